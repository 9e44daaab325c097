"""Ranges of the runs behind a fit, and how far outside them an answer lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.data.column_names import UNITS, known_as
from scalefit.notes import Note
from scalefit.reporting.numbers import Kind, shown
from scalefit.runtime.settings import quiet

__all__ = ["extrapolation", "outside", "ranges", "reach", "unit_mismatch"]

Domain = Mapping[str, tuple[float, float]]

# A loss surface is fitted over two to five decades of budget. One decade beyond its largest run is
# the usual use; further out the answer rests on the form of the law. The range of a column that
# reaches zero or below has no decades: its width takes their place.
FAR = 1.0

# So many times the largest run, or less than this share of the smallest, and sizes are in another
# unit than the table: nobody extrapolates from 1e9 to 1e14, or back to 1e6.
HIGH_UNIT, LOW_UNIT = 1e5, 1e-3

# Columns that a message names: a law may have dozens, as the nodes of a quadrature are.
NAMED = 8

# In decades or widths: rounding must not put a run at the edge outside.
ROUNDING = 1e-9


def extrapolation(
    domain: Domain, columns: Mapping[str, Any], said: Mapping[str, str] | None = None
) -> tuple[Note, ...]:
    """A note where values leave the ranges of the runs, with the farthest distance by column.

    Args:
        domain: smallest and largest value of each column among the runs, and of ``D/N`` and
            ``6ND``; NaN where it is not known.
        columns: values by name, broadcastable.
        said: what the message calls a column, where that is not its name.
    """
    reach = {
        name: float(far.max()) for name, far in _distances(domain, columns).items() if far.size
    }
    beyond = {name: far for name, far in reach.items() if far > 0}
    if not beyond:
        return ()
    called = dict(said or {})
    where = _few(
        [
            f"{called.get(name, name)} {_digits(far)} {_unit(*domain[name])} outside the runs "
            f"({_range(name, *domain[name], called.get(name))})"
            for name, far in beyond.items()
        ]
    )
    note = Note.of(
        "extrapolation",
        f"{where}: the answer rests on the form of the law, and no interval holds a wrong form",
        {"flops" if name == "6ND" else name: far for name, far in reach.items()},
        severity="warning" if max(beyond.values()) > FAR else "info",
    )
    return (note,)


def unit_mismatch(
    domain: Domain, columns: Mapping[str, np.ndarray], mark: str = ""
) -> tuple[Note, ...]:
    """A note where N or D are so far from every run that one of both is in another unit.

    Args:
        domain: smallest and largest value of each column among the runs.
        columns: values by column, any shape.
        mark: what follows the name of a column in print.
    """
    far = {}
    for name in ("N", "D"):
        if name not in columns or name not in domain:
            continue
        low, high = domain[name]
        values = columns[name][np.isfinite(columns[name]) & (columns[name] > 0)]
        if not (values.size and low > 0):
            continue
        if values.max() > HIGH_UNIT * high:
            far[name] = (values.max(), "above the largest", high)
        elif values.min() < LOW_UNIT * low:
            far[name] = (values.min(), "below the smallest", low)
    if not far:
        return ()
    said = " and ".join(
        f"{name}{mark} = {value:.3g} is {max(value / end, end / value):.2g} times {how} of the "
        f"runs ({end:.3g})"
        for name, (value, how, end) in far.items()
    )
    note = Note.of(
        "unit_mismatch",
        f"{said}: the budget or the run is in another unit than the fitted table. Give it "
        "in the unit of the table, or fit a table in raw counts",
        {name: float(value) for name, (value, _, _) in far.items()},
    )
    return (note,)


def outside(domain: Domain, columns: Mapping[str, Any]) -> np.ndarray:
    """Which rows leave the ranges of the runs, of the columns' broadcast shape."""
    shape = np.broadcast_shapes(*(np.shape(values) for values in columns.values()))
    found = np.zeros(shape, dtype=bool)
    for far in _distances(domain, columns).values():
        found |= far > 0
    return found


def reach(domain: Domain, columns: Mapping[str, Any]) -> np.ndarray:
    """How far values lie outside the ranges of the runs, in the column in which they are farthest.

    In decades; in widths of its range for a column that reaches zero. Zero inside; of the broadcast
    shape.

    Args:
        domain: smallest and largest value of each column among the runs, and of ``D/N`` and
            ``6ND``; NaN where it is not known.
        columns: values by name, broadcastable.
    """
    found = [np.nan_to_num(far) for far in _distances(domain, columns).values()]
    return np.asarray(np.maximum.reduce(np.broadcast_arrays(*found)))


def ranges(domain: Domain, said: Mapping[str, str] | None = None) -> str:
    """The range of each column among the runs, in words; without those that are not known.

    Args:
        domain: the ranges.
        said: what a column is called, where that is not its name.
    """
    found, called = [], dict(said or {})
    for name, (low, high) in domain.items():
        if name == "D/N" or math.isnan(low):
            continue
        unit = f" {UNITS.get('C' if name == '6ND' else name, '')}".rstrip()
        found.append(f"{called.get(name, name)} {_range(name, low, high, called.get(name))}{unit}")
    return _few(found)


def _few(said: list[str]) -> str:
    """What is said of columns, in a line; the tail counted where there are many."""
    more = len(said) - NAMED
    return ", ".join(said[:NAMED]) + (f" and {more} more columns" if more > 0 else "")


def _range(name: str, low: float, high: float, header: str | None = None) -> str:
    """A range of a column in the digits of people; one number where both ends are the same.

    With its unit, where the column is called by a header that a quantity is known by.
    """
    quantity = "C" if name == "6ND" else name
    if name not in UNITS and header is not None:
        quantity = known_as(header) or name
    kind: Kind = "flop" if quantity == "C" else "count"
    ends = dict.fromkeys((low, high))
    digits = [shown(end, kind).value if quantity in UNITS else f"{end:.4g}" for end in ends]
    unit = UNITS.get(quantity, "") if header is not None else ""
    return f"{' to '.join(digits)} {unit}".rstrip()


def _distances(domain: Domain, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """How far the values lie outside the range of their column, in its unit; 0 inside."""
    measured = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    with quiet():
        if {"N", "D"} <= set(measured):
            measured["D/N"] = measured["D"] / measured["N"]
            measured["6ND"] = 6 * measured["N"] * measured["D"]
        return {
            name: _distance(values, *domain[name])
            for name, values in measured.items()
            if name in domain and not np.isnan(domain[name]).any()
        }


def _distance(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Distance outside one range; 0 for NaN."""
    if low > 0:
        # Zero and below are infinitely many decades below.
        ratios = np.maximum(values, 0.0)
        far = np.maximum(np.log10(ratios / high), np.log10(low / ratios))
    else:
        beyond = np.maximum(values - high, low - values)
        far = np.where(beyond > 0, beyond / (high - low), 0.0)
    return np.where(far > ROUNDING, far, 0.0)


def _unit(low: float, _: float) -> str:
    return "decades" if low > 0 else "widths of their range"


def _digits(far: float) -> str:
    """Few digits: Python repeats a warning whenever its text changes."""
    return f"{far:.2g}" if far < 1 else f"{far:.1f}"
