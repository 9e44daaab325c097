"""What the cells of a column hold: numbers, labels, nothing, or none of these.

A column of Python objects can hold anything: Decimals, arrays without dimensions, bytes, objects
whose own comparison raises. Each cell is read on its own. Truth values, dates,
bytes and text such as ``1_000`` are not numbers.
"""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import number

__all__ = ["fault", "label", "missing", "numbers"]

# What is read as a number where it stands as text.
PLAIN = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*", re.IGNORECASE)
INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)

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


def numbers(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """A column as float64, and the rows whose cell is not a float64 number.

    Returns:
        The numbers, shape (rows,), NaN where a cell is missing or not a number; and whether each
        cell is not a number, shape (rows,).
    """
    if values.dtype.kind in "iuf":
        with np.errstate(over="ignore"):  # Infinities are refused later, by name and row.
            found = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        return found, np.zeros(len(found), dtype=bool)
    read = [_number(cell) for cell in values.astype(object)]
    found = np.array([math.nan if item is None else item for item in read], dtype=np.float64)
    return found, np.array([item is None for item in read], dtype=bool)


def missing(values: pd.Series) -> np.ndarray:
    """Where a column has no value, (rows,)."""
    if values.dtype != object:
        return np.asarray(values.isna(), dtype=bool)
    return np.array([_is_missing(cell) for cell in values], dtype=bool)


def fault(cell: Any) -> str:
    """What is wrong with a cell that is not a float64 number, in words."""
    try:
        real = PLAIN.fullmatch(cell) if isinstance(cell, str) else _is_real(cell)
        large = bool(real) and math.isinf(float(cell))
    except OverflowError:
        large = True
    except Exception:  # Whatever a cell's own methods raise.
        large = False
    return "too large for a number of 64 bits" if large else "not a number"


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


def _number(cell: Any) -> float | None:
    """A cell as float64, NaN where it is missing; None where it holds no number."""
    if type(cell) is float:
        return cell
    try:
        if _is_missing(cell):
            return math.nan
        if isinstance(cell, str):
            return _spelled(cell)
        if _is_real(cell):
            # float() turns a Decimal or longdouble beyond float64 into infinity silently.
            found = float(cell)
            return None if math.isinf(found) and cell != found else found
        return number(cell, "cell", infinite=True, remedy="")
    except Exception:  # Whatever a cell's own methods raise.
        return None


def _spelled(cell: str) -> float | None:
    if PLAIN.fullmatch(cell):
        found = float(cell)
        return None if math.isinf(found) else found
    return float(cell) if INFINITE.fullmatch(cell) else None


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
