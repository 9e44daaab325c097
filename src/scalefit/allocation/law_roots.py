"""Where a law along one of its columns passes a level, at a fit and under every draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet

__all__ = ["Line", "Passes", "bisected", "line_of", "passes"]

# Decades beyond the runs in which a level is looked for. A power of exponent 0.05, among the
# smallest published, changes by a factor of 1000 over as many.
REACH = 60.0

# Values per decade that are tried, near the runs (so many decades around them) and beyond: a bend
# is seen that is wider than a quarter of a decade there.
NEAR, FINE, COARSE = 3.0, 16, 2

# Halvings of a step of the coarse grid, to the last digit of a logarithm.
HALVINGS = 52

# Values of a law at once: 32 MB of each array.
AT_ONCE = 4_000_000

LN10 = math.log(10.0)


@dataclass(frozen=True)
class Line:
    """A law along one of its columns, for some settings of the others.

    Attributes:
        fit: the fit.
        column: the column.
        others: values of the other columns, each of shape (points,).
        params: parameters of every draw by name, each of shape (draws,).
    """

    fit: Fit
    column: str
    others: Mapping[str, np.ndarray]
    params: Mapping[str, np.ndarray]

    @quiet()
    def at(self, logs: np.ndarray) -> np.ndarray:
        """The law at logarithms of the column.

        Args:
            logs: shape (..., draws or 1, points).

        Returns:
            Shape (..., draws, points).
        """
        params = {name: values[:, None] for name, values in self.params.items()}
        return self.fit.law.evaluate({**self.others, self.column: np.exp(logs)}, params)

    def some(self, points: slice) -> Line:
        """The same at some of the points."""
        others = {name: values[points] for name, values in self.others.items()}
        return Line(self.fit, self.column, others, self.params)

    def grid(self, within: tuple[float, float] | None = None) -> np.ndarray:
        """Logarithms at which the law is tried, ascending, shape (m,).

        Args:
            within: the range; by default sixty decades to either side of the runs, as far as the
                law describes them.
        """
        low, high = self.runs
        near = (low - NEAR * LN10, high + NEAR * LN10)
        ends = near[0] - REACH * LN10, near[1] + REACH * LN10
        if within is not None:
            ends = (math.log(within[0]), math.log(within[1]))
        elif self.column in self.fit.law.domains:
            domain = self.fit.law.domains[self.column]
            ends = (
                max(ends[0], math.log(domain.lower) if domain.lower > 0 else -math.inf),
                min(ends[1], math.log(domain.upper) if domain.upper > 0 else math.inf),
            )
        fine = np.arange(near[0], near[1], LN10 / FINE)
        coarse = np.arange(ends[0], ends[1], LN10 / COARSE)
        every = np.concatenate([coarse, fine, ends])
        return np.unique(every[(every >= ends[0]) & (every <= ends[1])])

    @property
    def runs(self) -> tuple[float, float]:
        """Logarithms of the ends of the column's range among the runs."""
        low, high = self.fit.domain.get(self.column, (math.nan, math.nan))
        high = high if 0 < high < math.inf else 1.0
        return math.log(low if 0 < low <= high else high), math.log(high)


class Passes(NamedTuple):
    """Where a function turns from negative to positive along a grid.

    Attributes:
        first: logarithm of the first such place; -inf where it is positive throughout, inf where it
            is not positive at the upper end and never turns so; shape (draws, points).
        changes: how often it changes its sign, shape (draws, points).
    """

    first: np.ndarray
    changes: np.ndarray


def line_of(
    fit: Fit,
    column: str,
    others: Mapping[str, Any],
    params: Mapping[str, np.ndarray] | None = None,
) -> Line:
    """A fitted law along a column.

    Args:
        fit: the fit.
        column: the column.
        others: values of the others, each of shape (points,).
        params: parameters of every draw; the fit's own by default.
    """
    own = {name: np.array([fit.params[name]]) for name in fit.law.names}
    drawn = own if params is None else {name: params[name] for name in fit.law.names}
    return Line(fit, column, {name: np.asarray(item) for name, item in others.items()}, drawn)


def passes(
    function: Callable[[np.ndarray, slice], np.ndarray],
    grid: np.ndarray,
    draws: int,
    points: int,
) -> Passes:
    """Where a function of the logarithm of a column turns positive, by bisection.

    Args:
        function: of logarithms of shape (..., draws or 1, some points) and which points these are;
            NaN counts as negative.
        grid: logarithms, ascending, shape (m,).
        draws: number of draws.
        points: number of points.
    """
    first, count = np.empty((draws, points)), np.empty((draws, points), dtype=int)
    each = max(1, AT_ONCE // (len(grid) * draws))
    for start in range(0, points, each):
        some = slice(start, min(start + each, points))
        over = function(grid[:, None, None], some) > 0
        over = np.broadcast_to(over, (len(grid), draws, some.stop - start))
        count[:, some] = np.count_nonzero(over[1:] != over[:-1], axis=0)
        turns = over[1:] & ~over[:-1]
        place = turns.argmax(axis=0)
        found = bisected(partial(_positive, function, some), grid, place)
        none = np.where(over[-1], -np.inf, np.inf)
        first[:, some] = np.where(turns.any(axis=0), found, none)
    return Passes(first, count)


def _positive(
    function: Callable[[np.ndarray, slice], np.ndarray], some: slice, logs: np.ndarray
) -> np.ndarray:
    return np.asarray(function(logs, some) > 0)


def bisected(
    beyond: Callable[[np.ndarray], np.ndarray], grid: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Where a condition turns true inside a step of the grid, to rounding.

    Args:
        beyond: the condition, of logarithms of the shape of the places.
        grid: logarithms, ascending.
        place: number of each step; it is true at its upper end.
    """
    low, high = grid[place], grid[place + 1]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        up = beyond(middle)
        low, high = np.where(up, low, middle), np.where(up, middle, high)
    return np.asarray(0.5 * (low + high))
