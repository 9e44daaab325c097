"""Checks of a column's numbers, each with its error message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells
from scalefit.data.column_names import ALWAYS_RESOLVED, POSITIVE, UNITS, quantity_of
from scalefit.data.row_filter import quoted
from scalefit.errors import DataError, listed

__all__ = ["as_numbers", "keep_call", "out_of_size", "place_of", "refuse", "sound"]

# Numbers are zero or within these limits, which no count comes near: products and powers of larger
# ones overflow float64. Losses and weights are rescaled by the fit and are not limited here.
LEAST, MOST = 1e-30, 1e30
SCALED = ("loss", "weight")

PERCENTAGE = re.compile(r"\s*[+-]?[0-9]*\.?[0-9]+\s*%\s*")


def keep_call(rule: str) -> str:
    """A rule as an option that can be pasted."""
    return f"keep={rule!r}"


def spoken(name: str, header: str) -> str:
    """A quantity as messages name it, with its header where that is another."""
    return repr(name) if name == header else f"{name} (column {header!r})"


def as_numbers(values: pd.Series, name: str, header: str) -> pd.Series:
    """The column as float64, NaN where missing; itself where it is that already."""
    dtype = values.dtype
    if dtype == np.float64 and isinstance(dtype, np.dtype):
        return values
    if dtype.kind == "c":
        raise DataError(
            f"{spoken(name, header)} holds complex numbers",
            column=header,
            remedy="Take the real part",
        )
    if dtype.kind in "bmM" or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        raise DataError(
            f"{spoken(name, header)} holds {dtype} values, not numbers",
            column=header,
            remedy=f"Choose another column with {name}='...'",
        )
    numbers, bad = cells.numbers(values, quantity_of(name))
    if bad.any():
        rows = list(values.index[bad])
        first = values.astype(object).iloc[int(np.argmax(bad))]
        raise DataError(
            f"{spoken(name, header)} is {cells.fault(first)} ({shown(first)}) {place_of(rows)}",
            column=header,
            rows=rows,
            remedy=_of_percentages(values, header)
            or "Write numbers, as 1.3e9, '1.3B' or '1,300,000,000', or " + _without(first, header),
        )
    return pd.Series(numbers, index=values.index, name=values.name)


def _of_percentages(values: pd.Series, header: object) -> str:
    """How to make shares of text such as 12.5%; empty where other cells are among it."""
    each = zip(values.astype(object), cells.missing(values), strict=True)
    of_shares = all(
        bool(PERCENTAGE.fullmatch(cell)) if isinstance(cell, str) else gap for cell, gap in each
    )
    if not (of_shares and isinstance(header, str)):
        return ""
    shares = f"runs[{header!r}].str.rstrip('% ').astype(float) / 100"
    return f"Divide percentages by 100: runs.assign(**{{{header!r}: {shares}}})"


def _without(cell: object, header: str) -> str:
    """How to leave out rows with a cell that is no number."""
    if isinstance(cell, str) and cell.isprintable() and "'" not in cell and len(cell) < 40:
        return f"leave such rows out with {keep_call(f'{quoted(header)} != {cell!r}')}"
    return "leave such rows out before"


def place_of(rows: Sequence[object]) -> str:
    """The first of some rows, and how many there are."""
    more = f" ({len(rows)} such rows: {listed(rows)})" if len(rows) > 1 else ""
    return f"in row {listed(rows[:1])}{more}"


def out_of_size(values: np.ndarray, name: str) -> np.ndarray:
    """Where numbers are too large or too small to compute with, shape (rows,)."""
    if name in SCALED:
        return np.zeros(values.shape, dtype=bool)
    size = np.abs(values)
    return (size > MOST) | ((size < LEAST) & (size > 0))


def _rescaled(header: str) -> str:
    """A column in another unit, as code."""
    return f"runs.assign(**{{{header!r}: runs[{header!r}] / runs[{header!r}].median()}})"


def sound(values: np.ndarray, name: str) -> bool:
    """Whether a column passes every check of its quantity."""
    if not np.isfinite(values).all() or out_of_size(values, name).any():
        return False
    if name in POSITIVE:
        return bool((values > 0).all())
    return name != "weight" or bool((values >= 0).all() and values.any())


def refuse(values: np.ndarray, name: str, header: str, rows: Sequence[object]) -> None:
    """Raise for the first check that a column fails.

    Args:
        values: the column, NaN where a value is missing, shape (rows,).
        name: quantity, or header of another column.
        header: in the source.
        rows: row labels.

    Raises:
        DataError: it fails one.
    """
    for bad, what, remedy in _checks(values, name, header):
        if bad.any():
            where = [rows[int(i)] for i in np.flatnonzero(bad)]
            raise DataError(
                f"{spoken(name, header)} is {what} ({values[bad][0]:g}) {place_of(where)}",
                column=header,
                rows=where,
                remedy=remedy,
            )
    if name == "weight" and not values.any():
        raise DataError(
            f"every value of {spoken(name, header)} is zero",
            column=header,
            remedy="Give at least one run a positive weight",
        )


def _checks(values: np.ndarray, name: str, header: str) -> Iterator[tuple[np.ndarray, str, str]]:
    """Where each check fails, what is wrong there, and the remedy; in the order of the checks."""
    or_drop = " or missing='drop'" if name in (*ALWAYS_RESOLVED, "weight") else ""
    there = keep_call(f"notna({quoted(header)})")
    yield np.isnan(values), "missing", f"Fill it, or leave the rows out with {there}{or_drop}"
    finite = keep_call(f"abs({quoted(header)}) < inf")
    yield (
        np.isinf(values),
        "not finite",
        "A diverged run has no loss to fit: leave the rows out with a keep rule, such as "
        "keep='loss < 20'"
        if name == "loss"
        else f"Correct it, or leave the rows out with {finite}",
    )
    yield (
        out_of_size(values, name),
        "of an impossible size",
        f"Numbers are computed with from {LEAST:g} to {MOST:g}: check the column, and give it "
        f"in another unit if it is right, as {_rescaled(header)}",
    )
    if name in POSITIVE:
        remedy = f"{name} is a raw count ({UNITS[name]}): check the unit and the rows"
        yield values <= 0, "not positive", remedy
    if name == "weight":
        remedy = "Weights count how often a row stands in the sum: zero or more"
        yield values < 0, "negative", remedy
