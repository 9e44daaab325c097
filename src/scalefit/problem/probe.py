"""Rows of a table and values of the parameters at which a law is examined.

A law need not be finite at every value that its bounds allow: an exponential of a power overflows
far from where the power is measured, and the search passes over such cells. Where the first few
values happen on one, or on one where a term vanishes, more are drawn, and those kept at which the
law is of ordinary size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np

from scalefit.laws.base import Law

__all__ = ["BEST", "Probe", "Range", "within"]

# Lower and upper bound of a parameter, and how it is spaced between them.
Range = tuple[float, float, str]

# How well a law can be seen at each of some points, (points,): zero where it is not of ordinary
# size, ``BEST`` where every parameter does something as well; and whether its second derivatives
# at one point are finite.
Merit = Callable[[np.ndarray], np.ndarray]
Smooth = Callable[[np.ndarray], bool]
BEST = 2

# Random points at which derivatives are taken. One would do for analytic laws; several catch a law
# that branches on a parameter.
PROBES = 4
# Enough rows that a term which is not zero in few of them (repeated data, a rare domain) is found.
PROBE_ROWS = 1024
# More than a law has parameters: on one row any two of them change the prediction the same way.
FEWEST_SCATTERED = 32

# Points drawn where the law is not finite at the first ones, and the share of them that must be
# ordinary. Farseer is at half of its points on models of a thousand parameters, and the search
# finds its minimum there; a law that is finite at fewer than this has the wrong bounds.
DRAWN, LEAST_SHARE = 128, 0.25
# Points kept of those, the best first. Where a law overflows at some, its terms vanish at others
# (at half of Farseer's): parameters seem to do nothing there, or the same.
KEPT = 16

# Points by which bounds are compared that the error proposes, and times that one is halved.
COMPARED, HALVINGS = 64, 8


class Probe:
    """Rows and parameter values at which a law is examined.

    Args:
        law: the law.
        columns: the law's data columns by name, each of shape (rows,).
        ranges: of each parameter, as the law declares it.
        narrowed: the same within the bounds of the call.
    """

    def __init__(
        self,
        law: Law,
        columns: Mapping[str, np.ndarray],
        ranges: Sequence[Range],
        narrowed: Sequence[Range],
    ) -> None:
        self.rng = np.random.default_rng(0)
        rows = len(next(iter(columns.values())))
        chosen = self.rng.choice(rows, size=min(rows, PROBE_ROWS), replace=False)
        self.columns = {name: columns[name][chosen] for name in law.columns}
        self.points = _drawn(self.rng, ranges, PROBES)
        self._names, self._ranges, self._narrowed = law.names, list(ranges), list(narrowed)

    def scattered(self) -> dict[str, np.ndarray]:
        """The columns without what ties them: constant ones spread, others in another order.

        They have rows enough to tell parameters apart, however few the table has.
        """
        rng = np.random.default_rng(1)
        spread = {}
        for name, values in self.columns.items():
            rows = max(len(values), FEWEST_SCATTERED)
            spread[name] = rng.permutation(np.resize(values, rows)) * rng.uniform(0.7, 1.0, rows)
        return spread

    def settle(self, merit: Merit, smooth: Smooth) -> bool:
        """Put the points where the law is of ordinary size; False where too few are.

        They are sought within the bounds of the law, then within those of the call.
        """
        for ranges in (self._ranges, self._narrowed):
            found = _ordinary(ranges, merit, smooth)
            if found is not None:
                self.points = found
                return True
        return False

    def bounds(self, merit: Merit, smooth: Smooth) -> dict[str, tuple[float, float]]:
        """Bounds within which points settle, tried; none where halving ranges leads to none."""
        ranges = self._narrowed
        for _ in range(HALVINGS):
            tried = list(_halved(ranges))
            drawn = [_drawn(np.random.default_rng(3), item, COMPARED) for item in tried]
            shares = [np.count_nonzero(merit(points)) for points in drawn]
            if not any(shares):
                break
            ranges = tried[int(np.argmax(shares))]
            if _ordinary(ranges, merit, smooth) is not None:
                changed = zip(self._names, ranges, self._ranges, strict=True)
                return {name: item[:2] for name, item, own in changed if item != own}
        return {}


def within(own: Range, given: tuple[float, float] | None) -> Range:
    """A range within the bounds of a call; within those alone where the two have nothing in common.

    Bounds that widen it change nothing: the law is not examined where it was not declared.
    """
    low, high, spacing = own
    if given is None:
        return own
    lower, upper = max(low, given[0]), min(high, given[1])
    if lower < upper:
        return lower, upper, spacing
    # A range without a logarithm is refused by name, with the other options of the fit.
    return own if spacing == "log" and given[0] <= 0 else (*given, spacing)


def _drawn(rng: np.random.Generator, ranges: Sequence[Range], count: int) -> np.ndarray:
    return np.array([[_plausible(rng, *item) for item in ranges] for _ in range(count)])


def _plausible(rng: np.random.Generator, lower: float, upper: float, spacing: str) -> float:
    """A generic value inside bounds that may be infinite."""
    if not np.isfinite(lower):
        lower, upper = (-3.0, 3.0) if not np.isfinite(upper) else (upper - 3.0, upper)
    elif not np.isfinite(upper):
        lower, upper = lower + 0.5, lower + 3.0
    elif spacing == "log":
        # The inner half of the logarithmic range: ends may overflow (N^5).
        low, high = np.log(lower), np.log(upper)
        return float(np.exp(rng.uniform(0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high)))
    return float(rng.uniform(lower, upper))


def _ordinary(ranges: Sequence[Range], merit: Merit, smooth: Smooth) -> np.ndarray | None:
    """Points within ranges at which a law is of ordinary size; None where too few are."""
    # Whether a law is refused hangs on its ranges and the table, not on how rows were chosen.
    points = _drawn(np.random.default_rng(2), ranges, DRAWN)
    found = merit(points)
    points = points[np.argsort(-found, kind="stable")][: np.count_nonzero(found)]
    if len(points) < LEAST_SHARE * DRAWN:
        return None
    kept = list(islice((point for point in points if smooth(point)), KEPT))
    return np.array(kept) if len(kept) == KEPT else None


def _halved(ranges: Sequence[Range]) -> list[list[Range]]:
    """The ranges with one of them halved, either way, for each that is finite."""
    found = []
    for place, (low, high, spacing) in enumerate(ranges):
        if not (math.isfinite(low) and math.isfinite(high)):
            continue
        middle = math.sqrt(low * high) if spacing == "log" else (low + high) / 2
        # As it is printed.
        middle = float(f"{middle:.3g}")
        halves = [pair for pair in ((low, middle), (middle, high)) if pair[0] < pair[1]]
        found += [[*ranges[:place], (*half, spacing), *ranges[place + 1 :]] for half in halves]
    return found
