"""Which lines a picture of a law draws: what is across, what differs from line to line, the rest.

A law of N and D is a surface, and a picture of the loss against one column shows cuts through it:
one for each size, or each budget. Which ones follows from the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import choice, refused
from scalefit.data.budgets import SAME_BUDGET, budget_codes
from scalefit.errors import ArgumentError, listed
from scalefit.plot.style import written
from scalefit.reporting.numbers import Kind
from scalefit.results.fit import Fit
from scalefit.results.remembered_columns import by_header

__all__ = ["Lines", "kind_of", "lines_of", "lines_of_ranges", "quantity", "said"]

# Lines that are all drawn; of more values, so many are drawn.
MOST, CHOSEN = 8, 7
# Values further apart than this, in the logarithm, are no rounding of one: the runs have no sizes
# in common, and lines are drawn at round steps.
CONTINUOUS = 3 * SAME_BUDGET
# Columns that are counts.
COUNTED = ("N", "D", "N*", "D*", "U")
# Values that a table has of a column, where it is written as text to find the most common one.
DIGITS = 3


@dataclass(frozen=True)
class Lines:
    """Lines of a law, and the runs that belong to them.

    Attributes:
        across: column on the axis across, or ``C`` for 6ND.
        by: what differs from line to line, likewise; empty where there is one line.
        values: of ``by``, one for each line: numbers in rising order, or labels.
        member: line of each run that is shown, shape (shown,).
        rest: value of every other column.
        shown: runs that are at the rest, booleans of shape (rows,).
        distinct: number of values of ``by`` among the runs that are shown.
    """

    across: str
    by: str
    values: np.ndarray
    member: np.ndarray
    rest: Mapping[str, Any]
    shown: np.ndarray
    distinct: int

    @property
    def labelled(self) -> bool:
        """Whether lines differ by a label and not by a number."""
        return self.values.dtype == object

    @property
    def every(self) -> bool:
        """Whether all values of the runs have a line."""
        return len(self.values) == self.distinct

    def columns(self, fit: Fit, x: np.ndarray, line: Any) -> dict[str, Any]:
        """Columns of the law along a line.

        Args:
            fit: the fit.
            x: what is across.
            line: the value that the line has.
        """
        known = {**self.rest, self.across: x} | ({self.by: line} if self.by else {})
        if "C" in known and "C" not in fit.law.columns:
            product = known.pop("C") / 6
            missing = "D" if "N" in known else "N"
            known[missing] = product / known["N" if missing == "D" else "D"]
        return known


def quantity(name: str, columns: Mapping[str, Any]) -> Any:
    """A column, the compute 6ND, or tokens per parameter."""
    if name in columns:
        return columns[name]
    if name == "C":
        return 6 * columns["N"] * columns["D"]
    return columns["D"] / columns["N"]


def kind_of(name: str) -> Kind:
    """How the numbers of a column are written: counts as 36.9B, compute with a power of ten."""
    return "count" if name in COUNTED else "flop" if name == "C" else "number"


def said(name: str, value: Any) -> str:
    """A value of a column as people write it."""
    if not isinstance(value, int | float | np.number):
        return str(value)
    return written(float(value), kind_of(name))


def lines_of(
    fit: Fit,
    values: Mapping[str, np.ndarray],
    against: str | None,
    lines: str | None,
    at: Mapping[str, Any],
) -> Lines:
    """The lines that a picture of these runs has.

    Args:
        fit: the fit.
        values: of each run the law's columns and those that coefficients differ by, shape (rows,).
        against: what is across; by default tokens, or the law's first column.
        lines: what differs from line to line.
        at: values of other columns; by default those that most runs have.

    Raises:
        ArgumentError: a column is not one of the law.
    """
    across, by = _axes(fit, against, lines)
    at = {**by_header(fit.law, fit.provenance, at)}
    open_columns = _rest(fit, across, by, values, at)
    for name in at:
        if name not in open_columns:
            raise refused(
                "at", at, f"values of {listed(open_columns) or 'no column'}",
                f"Other columns are drawn. Leave {name!r} out of at",
            )  # fmt: skip
    every = {**values, **{name: quantity(name, values) for name in open_columns}}
    rest, there = _most_common(every, open_columns, at)
    if not by:
        none = np.zeros(int(there.sum()), dtype=np.intp)
        return Lines(across, by, np.zeros(1), none, rest, there, 1)
    # Lines at which no run is are those of all runs.
    among = there if there.any() else np.ones_like(there)
    found = np.asarray(quantity(by, values))[among]
    if found.dtype == object:
        levels, member = np.unique(found.astype(str), return_inverse=True)
        chosen, distinct = levels.astype(object), len(levels)
    else:
        chosen, member, distinct = _chosen(found.astype(np.float64))
    return Lines(across, by, chosen, member[: there.sum()], rest, there, distinct)


def _axes(fit: Fit, against: str | None, lines: str | None) -> tuple[str, str]:
    """What is across, and what differs from line to line."""
    own, grouped = fit.law.columns, _grouped(fit)
    plane = {"N", "D"} <= {*own}
    known = list(dict.fromkeys([*own, *(["C"] if plane else [])]))
    if against is not None and against not in known:
        # Its header in the table, where it is a text at all.
        named = by_header(fit.law, fit.provenance, {str(against): 1.0})
        against = next(iter(named), against) if isinstance(against, str) else against
    across = "D" if "D" in own else own[0]
    if against is not None:
        across = choice(against, "against", known)
    natural = {"D": "N", "C": "N", "N": "C"} if plane and "C" not in own else {}
    others = [name for name in own if name != across]
    by = natural.get(across, others[0] if others else "")
    if lines is not None:
        able = [name for name in (*known, *grouped) if name != across]
        if not able:
            raise ArgumentError(
                f"{fit.law.name!r} has one column, and one line",
                argument="lines", value=lines, remedy="Leave lines out",
            )  # fmt: skip
        by = choice(lines, "lines", able)
    return across, by


def _grouped(fit: Fit) -> list[str]:
    """Columns that coefficients differ by."""
    return list(dict.fromkeys(name for item in fit.groups.values() for name in item.columns))


def _rest(
    fit: Fit, across: str, by: str, values: Mapping[str, np.ndarray], at: Mapping[str, Any]
) -> list[str]:
    """Columns that are the same all over the picture."""
    own, drawn, shared = [*fit.law.columns, *_grouped(fit)], {across, by}, []
    if {"N", "D"} <= {*own} and "C" not in own:
        able = [name for name in ("N", "D", "C") if name not in drawn]
        if len(able) == 2:
            # One of both fixes the point: the one that is given, or that more runs share.
            given = [name for name in able if name in at] or able
            shared = [max(given, key=lambda name: _most(quantity(name, values)))]
        if len(able) < 3:
            drawn |= {"N", "D"}
    return shared + [name for name in dict.fromkeys(own) if name not in drawn]


def _most(values: np.ndarray) -> int:
    """How many runs share the value that most have."""
    found = pd.Series(_written(values)).value_counts()
    return int(found.max()) if len(found) else 0


def _most_common(
    values: Mapping[str, np.ndarray], names: list[str], at: Mapping[str, Any]
) -> tuple[dict[str, Any], np.ndarray]:
    """Values of the columns that are not drawn, and the runs that have them."""
    rows = len(next(iter(values.values())))
    there, rest = np.ones(rows, dtype=bool), dict(at)
    for name, value in at.items():
        there &= _same(values[name], value)
    left = [name for name in names if name not in at]
    # Where no run is at the values that were asked for, those of all runs stand for the rest.
    among = there if there.any() else np.ones(rows, dtype=bool)
    if left and rows:
        text = pd.DataFrame({name: _written(values[name][among]) for name in left})
        codes = text.groupby(left, sort=False).ngroup().to_numpy()
        most = codes == _winner(codes, [values[name][among] for name in left])
        for name in left:
            own = values[name][among][most]
            rest[name] = own[0] if own.dtype == object else float(np.median(own))
        inside = np.zeros(rows, dtype=bool)
        inside[np.flatnonzero(among)[most]] = True
        there &= inside
    return rest, there


def _winner(codes: np.ndarray, values: list[np.ndarray]) -> int:
    """The most common combination; of several, the one of the largest numbers."""
    counts = np.bincount(codes)
    tied = np.flatnonzero(counts == counts.max())
    first = [int(np.flatnonzero(codes == code)[0]) for code in tied]
    numbers = [item for item in values if item.dtype != object]
    size = [tuple(item[row] for item in numbers) for row in first]
    return int(tied[max(range(len(tied)), key=size.__getitem__)])


def _same(values: np.ndarray, value: Any) -> np.ndarray:
    """Which rows have a value, to rounding."""
    if values.dtype == object:
        return np.asarray(values.astype(str) == str(value))
    return np.asarray(np.isclose(values, float(value), rtol=SAME_BUDGET, atol=0.0))


def _written(values: np.ndarray) -> list[str]:
    if values.dtype == object:
        return [str(value) for value in values]
    return [f"{value:.{DIGITS}g}" for value in values]


def _chosen(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Values that have a line, the line of each run, and how many values there are."""
    if not len(values):
        return np.empty(0), np.empty(0, dtype=np.intp), 0
    if values.min() <= 0:
        centres, member = np.unique(values, return_inverse=True)
        steps = np.linspace(centres[0], centres[-1], CHOSEN)
        scale: Any = np.asarray
    else:
        member = budget_codes(np.log(values))
        parts = [values[member == code] for code in range(member.max() + 1)]
        if max(np.log(part.max() / part.min()) for part in parts) > CONTINUOUS:
            centres, member = np.unique(values, return_inverse=True)
        else:
            centres = np.array([np.median(part) for part in parts])
        steps, scale = np.geomspace(centres[0], centres[-1], CHOSEN), np.log
    if len(centres) <= MOST:
        return centres, member, len(centres)
    # The values that are nearest to even steps.
    near = np.abs(scale(centres)[:, None] - scale(steps)).argmin(axis=0)
    chosen = centres[np.unique(near)]
    belongs = np.abs(scale(values)[:, None] - scale(chosen)).argmin(axis=1)
    return chosen, belongs, len(centres)


def lines_of_ranges(
    fit: Fit, against: str | None, lines: str | None, at: Mapping[str, Any]
) -> tuple[Lines, tuple[float, float]]:
    """Lines without runs, at even steps of the ranges that the fit knows, and the range across.

    Raises:
        ArgumentError: a column is not one of the law, or the ranges are not known.
    """
    ranges = {("C" if name == "6ND" else name): ends for name, ends in fit.domain.items()}
    if any(name not in ranges or not np.isfinite(ranges[name]).all() for name in fit.law.columns):
        raise ArgumentError(
            "the fit does not know the ranges of its runs, as published values do not",
            argument="runs", value=None, remedy="Pass the runs, as runs=table",
        )  # fmt: skip
    levels: dict[str, list[str]] = {}
    for item in sorted(fit.groups.values(), key=lambda item: len(item.columns)):
        known = list(item.levels) if len(item.columns) == 1 else [item.example[item.columns[0]]]
        levels = {**{name: [value] for name, value in item.example.items()}, **levels}
        levels[item.columns[0]] = known
    values: dict[str, np.ndarray] = {
        name: np.array([_middle(*ranges[name])]) for name in fit.law.columns
    }
    values |= {name: np.array(item[:1], dtype=object) for name, item in levels.items()}
    one = lines_of(fit, values, against, lines, at)
    chosen = one.values
    if one.by in levels:
        chosen = np.array(levels[one.by], dtype=object)
    elif one.by:
        low, high = ranges[one.by]
        spaced = np.geomspace if low > 0 else np.linspace
        # One value where the column does not vary.
        chosen = np.unique(spaced(low, high, CHOSEN - 2))
    nobody = np.zeros(0, dtype=np.intp)
    found = replace(one, values=chosen, member=nobody, shown=nobody > 0, distinct=len(chosen))
    return found, ranges[one.across]


def _middle(low: float, high: float) -> float:
    return float(np.sqrt(low * high)) if low > 0 else 0.5 * (low + high)
