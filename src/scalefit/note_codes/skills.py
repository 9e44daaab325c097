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
    "floors_above_scores": Code(
        "warning",
        "most scores of a benchmark are below its score of guessing, which predictions are above",
        "a lower one in `floors=`",
    ),
    "scores_unseen": Code(
        "info",
        "held-out scores of a benchmark that no fitted model of their fold has are left out",
        "nothing; or folds by another column",
    ),
    "families_left_out": Code(
        "info",
        "families of one model have none to hold out",
        "nothing; they are fitted all the same",
    ),
}
