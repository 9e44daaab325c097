"""What is always true of the notes of one code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Code", "Severity"]

Severity = Literal["info", "warning"]


@dataclass(frozen=True)
class Code:
    """What is always true of the notes of one code.

    Attributes:
        severity: of every such note; None where it depends on the case.
        meaning: what happened, in Markdown.
        remedy: what to do about it, in Markdown.
    """

    severity: Severity | None
    meaning: str
    remedy: str
