"""The registry of the codes of notes: severity, meaning and remedy of each.

:meth:`Note.of` makes a note of one of them; the table of docs/report.md is written from them.
"""

from collections.abc import Mapping

from scalefit.frozen import Frozen
from scalefit.note_codes import (
    answers,
    approach2,
    comparisons,
    designs,
    diagnosis,
    draws,
    fits,
    holdout,
    next_runs,
    skills,
    tables,
)
from scalefit.note_codes.code import Code, Severity

__all__ = ["CODES", "Code", "Severity"]

CODES: Mapping[str, Code] = Frozen(
    {
        **fits.CODES,
        **tables.CODES,
        **designs.CODES,
        **answers.CODES,
        **draws.CODES,
        **approach2.CODES,
        **comparisons.CODES,
        **diagnosis.CODES,
        **holdout.CODES,
        **next_runs.CODES,
        **skills.CODES,
    }
)
