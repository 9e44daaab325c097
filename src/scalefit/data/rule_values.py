"""Values in rules on rows: numbers, truth values, text, and anything else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells

__all__ = [
    "OTHER",
    "Opaque",
    "Text",
    "Truth",
    "Value",
    "all_of",
    "any_of",
    "kind_of",
    "missing",
    "opposite",
    "value_of",
]


class Truth(NamedTuple):
    """Where something is true and where it is false; unknown elsewhere."""

    yes: np.ndarray
    no: np.ndarray


class Text(NamedTuple):
    """Text, where it is missing, and whether it can be ordered: only if all cells are text."""

    values: np.ndarray
    missing: np.ndarray
    sorts: bool = True


class Opaque(NamedTuple):
    """Anything else, which rules can only test for being missing."""

    missing: np.ndarray
    kind: str


Value = np.ndarray | Truth | Text | Opaque

# A cell of a text column that is not text, and equals no text.
OTHER = object()


def value_of(values: pd.Series) -> Value:
    """A column as a value of a rule."""
    kind = values.dtype.kind
    if kind in "iuf":
        return cells.numbers(values)[0]
    gaps = cells.missing(values)
    if kind in "mMc":
        return Opaque(gaps, f"a column of {values.dtype} values")
    each = list(values.astype(object))
    there = [cell for cell, gap in zip(each, gaps, strict=True) if not gap]
    if there and all(isinstance(cell, bool | np.bool_) for cell in there):
        yes = np.array([not gap and bool(cell) for cell, gap in zip(each, gaps, strict=True)])
        return Truth(yes, ~yes & ~gaps)
    if any(isinstance(cell, str) for cell in there):
        text = [
            cell if isinstance(cell, str) else "" if gap else OTHER
            for cell, gap in zip(each, gaps, strict=True)
        ]
        sorts = all(isinstance(cell, str) for cell in there)
        # Ordered categories do not sort as text.
        sorts = sorts and not getattr(values.dtype, "ordered", False)
        return Text(np.array(text, dtype=object), gaps, sorts)
    numbers, bad = cells.numbers(values)
    if bad.any():
        first = each[int(np.flatnonzero(bad)[0])]
        return Opaque(gaps, f"a column of other things, such as {shown(first)},")
    return numbers


def missing(value: Value) -> np.ndarray:
    """Where a value is missing, (rows,)."""
    if isinstance(value, np.ndarray):
        return np.isnan(value)
    if isinstance(value, Truth):
        return ~(value.yes | value.no)
    return value.missing


def kind_of(value: Value) -> str:
    """What a value is, in words."""
    if isinstance(value, np.ndarray):
        return "a number"
    if isinstance(value, Truth):
        return "what is true or false"
    if isinstance(value, Opaque):
        return value.kind
    if not value.values.ndim:
        return "text"
    first = next(item for item in value.values if item is not OTHER and item)
    return f"a column of text, such as {shown(first)},"


def opposite(value: Truth) -> Truth:
    """True where it was false."""
    return Truth(value.no, value.yes)


def all_of(items: list[np.ndarray]) -> np.ndarray:
    """All of several truth values in each row."""
    return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*items)))


def any_of(items: list[np.ndarray]) -> np.ndarray:
    """Any of several truth values in each row."""
    return np.asarray(np.logical_or.reduce(np.broadcast_arrays(*items)))
