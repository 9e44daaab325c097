"""What the cells of a column hold: numbers, labels, nothing, or none of these.

A column of Python objects can hold anything: Decimals, arrays without dimensions, bytes, objects
whose own comparison raises. Each cell is read on its own, but for what a comma in text separates.
Truth values, dates and bytes are not numbers.
"""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import number
from scalefit.data.text_numbers import (
    Comma,
    Quantity,
    Spelling,
    comma_of,
    is_gap,
    reads_as,
    spells_too_much,
    why_not,
)

__all__ = ["Reading", "fault", "label", "missing", "numbers", "read"]

# Control characters, line separators and surrogates, which break reports and files.
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

LABELS: tuple[type, ...] = (
    Real,
    Decimal,
    np.bool_,
    date,
    timedelta,
    np.datetime64,
    pd.Period,
    pd.Interval,
)


class Reading(NamedTuple):
    """A column as numbers.

    Attributes:
        numbers: float64, NaN where a cell is missing or not a number, shape (rows,).
        bad: whether each cell is not a number, shape (rows,).
        spelt: text that was read as more than a plain number, by what it has: the number of such
            cells, and the first as text and as a number.
        own_unit: whether each cell is text that names its unit, shape (rows,).
    """

    numbers: np.ndarray
    bad: np.ndarray
    spelt: dict[str, tuple[int, str, float]]
    own_unit: np.ndarray


def numbers(values: pd.Series, quantity: Quantity = "other") -> tuple[np.ndarray, np.ndarray]:
    """A column as float64, and the rows whose cell is not a float64 number.

    Args:
        values: the column.
        quantity: what it counts, which decides how text is read.

    Returns:
        The numbers, shape (rows,), NaN where a cell is missing or not a number; and whether each
        cell is not a number, shape (rows,).
    """
    return read(values, quantity)[:2]


def read(values: pd.Series, quantity: Quantity = "other") -> Reading:
    """A column as numbers, with what was read as one; see :func:`numbers`."""
    if values.dtype.kind in "iuf":
        with np.errstate(over="ignore"):  # Infinities are refused later, by name and row.
            found = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        none = np.zeros(len(found), dtype=bool)
        return Reading(found, none, {}, none)
    each = list(values.astype(object))
    comma = comma_of((cell for cell in each if isinstance(cell, str)), quantity)
    spelt: dict[str, tuple[int, str, float]] = {}
    found = np.full(len(each), np.nan)
    bad, own_unit = np.zeros((2, len(each)), dtype=bool)
    for place, cell in enumerate(each):
        item = _number(cell, quantity, comma)
        if item is None:
            bad[place] = True
        elif isinstance(item, Spelling):
            found[place], own_unit[place] = item.value, item.unit
            if item.how:
                count, *first = spelt.get(item.how, (0, str(cell), item.value))
                spelt[item.how] = (count + 1, *first)  # type: ignore[assignment]
        else:
            found[place] = item
    return Reading(found, bad, spelt, own_unit)


def missing(values: pd.Series) -> np.ndarray:
    """Where a column has no value, (rows,)."""
    if values.dtype != object:
        return np.asarray(values.isna(), dtype=bool)
    return np.array([_is_missing(cell) for cell in values], dtype=bool)


def fault(cell: Any) -> str:
    """What is wrong with a cell that is not a float64 number, in words."""
    try:
        text = isinstance(cell, str)
        large = spells_too_much(cell) if text else _is_real(cell) and math.isinf(float(cell))
    except OverflowError:
        large = True
    except Exception:  # Whatever a cell's own methods raise.
        large = False
    if large:
        return "too large for a number of 64 bits"
    return why_not(cell) if isinstance(cell, str) else "not a number"


def label(cell: Any) -> str | None:
    """A cell as the text of a group label; None where it cannot be one.

    4 and 4.0 are one label, however a file was read.
    """
    if isinstance(cell, str):
        text = str.__str__(cell)  # numpy.str_ to str.
        return text if text.strip() and not BREAKS.search(text) else None
    if not isinstance(cell, LABELS) or _is_missing(cell):
        return None
    if isinstance(cell, Decimal) and cell.is_nan():  # A signalling NaN raises when compared.
        return None
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    try:
        return str(cell)
    except Exception:  # Whatever a cell's own methods raise.
        return None


def _number(cell: Any, quantity: Quantity, comma: Comma) -> float | Spelling | None:
    """A cell as float64, NaN where it is missing; None where it holds no number."""
    if type(cell) is float:
        return cell
    try:
        if isinstance(cell, str):
            return math.nan if is_gap(cell) else reads_as(cell, quantity, comma)
        if _is_missing(cell):
            return math.nan
        if _is_real(cell):
            # float() turns a Decimal or longdouble beyond float64 into infinity silently.
            found = float(cell)
            return None if math.isinf(found) and cell != found else found
        return number(cell, "cell", infinite=True, remedy="")
    except Exception:  # Whatever a cell's own methods raise.
        return None


def _is_real(cell: Any) -> bool:
    # numpy.timedelta64 counts as an integer type.
    no_number = bool | np.bool_ | np.timedelta64
    return isinstance(cell, Real | Decimal) and not isinstance(cell, no_number)


def _is_missing(cell: Any) -> bool:
    """Whether a cell is missing: None, NA, NaT, NaN or masked."""
    if cell is None or cell is pd.NA or cell is pd.NaT or cell is np.ma.masked:
        return True
    if isinstance(cell, float | np.floating):
        return math.isnan(cell)
    if isinstance(cell, Decimal):
        return cell.is_qnan()
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return isinstance(cell, np.ma.MaskedArray) and cell.ndim == 0 and bool(cell.mask)
