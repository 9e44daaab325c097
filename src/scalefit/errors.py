"""Every exception that scalefit raises on purpose.

A message says what is wrong (column, rows, value) and then the remedy. What is only doubtful is no
exception: it is a :class:`~scalefit.notes.Note` on the result.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "AllocationError",
    "ArgumentError",
    "DataError",
    "DocumentError",
    "FitError",
    "LawError",
    "MissingExtraError",
    "ScalefitError",
]

# Rows beyond this many are counted, not printed: a message must fit a terminal.
ROWS_SHOWN = 8
# Characters of a label that are printed.
LABEL_SHOWN = 80


class ScalefitError(Exception):
    """Base of every exception raised on purpose by scalefit.

    One that is raised in another process arrives with its attributes.
    """

    def __reduce__(self) -> tuple[Callable[..., ScalefitError], tuple[Any, ...], dict[str, Any]]:
        # Python would call the class with the message alone, which lacks the keywords.
        held = {name: _sendable(value) for name, value in vars(self).items()}
        return _again, (type(self), self.args), held


class DataError(ScalefitError, ValueError):
    """A loss table cannot be used as it stands.

    Attributes:
        column: name of the offending column, or None where the whole table is at fault.
        rows: row labels at fault, as in the DataFrame's index (for a file: 0-based data row).
        remedy: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str,
        column: str | None = None,
        rows: Sequence[object] = (),
    ) -> None:
        self.column = column
        self.rows: tuple[object, ...] = tuple(rows)
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}")


class ArgumentError(ScalefitError, ValueError):
    """An argument of a call is of a wrong type or out of range, whatever the table.

    Attributes:
        argument: what it is called.
        value: what was passed.
        remedy: what to pass instead.
    """

    def __init__(self, problem: str, *, argument: str, value: object, remedy: str) -> None:
        self.argument = argument
        self.value = value
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}")


class DocumentError(ScalefitError, ValueError):
    """A saved result holds what no result of that kind holds.

    Attributes:
        field: which field, as ``diagnostics.minima[0].value``; empty where it is no such document.
        value: what is there.
        remedy: what to do about it.
    """

    def __init__(self, problem: str, *, field: str, value: object, remedy: str) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}")


class MissingExtraError(ScalefitError, ImportError):
    """A package that comes with an extra of scalefit is not installed.

    Attributes:
        extra: name of the extra, as in ``pip install 'scalefit[bayes]'``.
        remedy: how to install it.
    """

    def __init__(self, problem: str, *, extra: str, otherwise: str = "") -> None:
        self.extra = extra
        self.remedy: str = f"Run pip install 'scalefit[{extra}]'" + f", or {otherwise}" * bool(
            otherwise
        )
        super().__init__(f"{problem}. {self.remedy}")


class LawError(ScalefitError, ValueError):
    """A law is ill-formed, unknown, or not identifiable as written."""


class FitError(ScalefitError, RuntimeError):
    """No usable fit exists (nothing in the searched box gives a finite objective)."""


class AllocationError(ScalefitError, ValueError):
    """A budget cannot be allocated under this law."""


def _again(kind: type[ScalefitError], args: tuple[Any, ...]) -> ScalefitError:
    """An error of a kind and a message, whose attributes are to be set."""
    return kind.__new__(kind, *args)


def _sendable(value: object) -> object:
    """A value, or its text where it cannot be pickled: the error is to arrive whatever it holds."""
    try:
        pickle.dumps(value)
    except Exception:
        return tuple(map(_sendable, value)) if type(value) is tuple else _short(value)
    return value


def listed(items: Sequence[object]) -> str:
    """Items as text of one line, the tail counted when there are many."""
    shown = ", ".join(_short(item) for item in items[:ROWS_SHOWN])
    hidden = len(items) - ROWS_SHOWN
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def _short(item: object) -> str:
    """A label as text of one line."""
    try:
        text = str(item)
    except Exception:  # Its own __str__.
        text = f"<{type(item).__name__}>"
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= LABEL_SHOWN else f"{text[: LABEL_SHOWN - 3]}..."
