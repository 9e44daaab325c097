"""Notes: soft problems that results carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalefit.frozen import Frozen
from scalefit.note_codes import CODES, Severity

__all__ = ["Note", "NoteWarning"]


@dataclass(frozen=True)
class Note:
    """A soft problem, carried by a result.

    Attributes:
        code: stable short name, such as ``at_bound``.
        severity: ``info`` (worth knowing) or ``warning`` (changes how far the result is trusted).
        message: one sentence with the number, the limit and the remedy.
        details: the numbers of the message, for programs.
    """

    code: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", Frozen(dict(self.details)))

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        severity: Severity | None = None,
    ) -> Note:
        """A note of a registered code.

        Args:
            code: one of :data:`scalefit.note_codes.CODES`.
            message: one sentence with the number, the limit and the remedy.
            details: the numbers of the message, for programs.
            severity: of this case, where that of the code depends on the case.
        """
        known = CODES[code].severity
        if (known is None) == (severity is None):
            raise ValueError(f"the severity of {code!r} is {known}, and {severity} is given")
        return cls(code, known or severity or "info", message, details or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def to_document(self) -> dict[str, Any]:
        """The note as JSON holds it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "details": dict(self.details),
        }


class NoteWarning(UserWarning):
    """A note of warning on an answer that cannot carry it, such as an array.

    Attributes:
        note: the note.
    """

    def __init__(self, note: Note) -> None:
        self.note = note
        super().__init__(note)
