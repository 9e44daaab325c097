"""Notes of latent skills: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "skills_unsettled": Code(
        "warning",
        "the best start of a fit of skills was still going down at its last step",
        "a larger `penalty=`, fewer `skills=`",
    ),
    "skills_starts_differ": Code(
        "warning",
        "only one start of a fit of skills ended at the least objective",
        "more `starts=`, fewer `skills=`",
    ),
    "skills_unused": Code(
        "info",
        "the penalty took a skill away: nothing loads on it",
        "fewer `skills=`, if the number is to be reported",
    ),
    "families_left_out": Code(
        "info",
        "families of one model have none to hold out",
        "nothing; they are fitted all the same",
    ),
}
