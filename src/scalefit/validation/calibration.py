"""Whether intervals hold what they promise: shares of runs inside, and what chance allows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["LEVELS", "Coverage", "binomial_interval", "coverage_of", "wanted_width"]

# Half, most and nearly all of the runs.
LEVELS = (0.5, 0.8, 0.95)

# Confidence of the interval of a share.
CONFIDENCE = 0.95

# With fewer runs than leave one outside on average, nobody sees that an interval is too wide: 20
# runs at 95 %.
FEWEST_OUTSIDE = 1.0


class Coverage(NamedTuple):
    """How many runs the intervals of one level hold.

    Attributes:
        level: coverage promised.
        runs: runs with an interval.
        inside: how many of them it holds.
        share: the same as a share, NaN without runs.
        share_low: lower end of its binomial 95 % interval.
        share_high: upper end.
        width: how many times as wide the intervals would have held the level.
    """

    level: float
    runs: int
    inside: int
    share: float
    share_low: float
    share_high: float
    width: float

    @property
    def too_narrow(self) -> bool:
        """Whether fewer runs are inside than chance allows."""
        return self.share_high < self.level

    @property
    def too_wide(self) -> bool:
        """Whether more runs are inside than chance allows."""
        return self.share_low > self.level

    @property
    def too_few(self) -> bool:
        """Whether it says nothing: the level is possible, and so is nearly every other."""
        possible = not (self.too_narrow or self.too_wide)
        return possible and self.runs * (1 - self.level) < FEWEST_OUTSIDE


def binomial_interval(inside: int, count: int) -> tuple[float, float]:
    """Exact 95 % interval of a share, as of independent runs.

    Source:
        Clopper and Pearson 1934, Biometrika 26(4).
    """
    from scipy.special import betaincinv

    tail = 0.5 * (1 - CONFIDENCE)
    low = float(betaincinv(inside, count - inside + 1, tail)) if inside else 0.0
    high = float(betaincinv(inside + 1, count - inside, 1 - tail)) if inside < count else 1.0
    return low, high


def coverage_of(
    observed: np.ndarray, middle: np.ndarray, low: np.ndarray, high: np.ndarray, level: float
) -> Coverage:
    """How many runs the intervals of one level hold.

    Args:
        observed: shape (rows,), on the scale of the others; NaN where there is none.
        middle: the prediction, shape (rows,).
        low: lower end, shape (rows,).
        high: upper end, shape (rows,).
        level: coverage promised.
    """
    known = np.isfinite(observed) & ~np.isnan(low) & ~np.isnan(high)
    observed, middle, low, high = (item[known] for item in (observed, middle, low, high))
    count = len(observed)
    inside = int(np.count_nonzero((observed >= low) & (observed <= high)))
    least, most = binomial_interval(inside, count) if count else (np.nan, np.nan)
    share = inside / count if count else float("nan")
    width = wanted_width(observed, middle, low, high, level)
    return Coverage(level, count, inside, share, least, most, width)


def wanted_width(
    observed: np.ndarray, middle: np.ndarray, low: np.ndarray, high: np.ndarray, level: float
) -> float:
    """How many times as wide intervals would have held what they promise; NaN without runs.

    Each end is moved away from the prediction by this factor: the least by which at least the
    promised share of the runs is inside.
    """
    if not len(observed):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        end = np.where(observed >= middle, high - middle, middle - low)
        needed = np.where(observed == middle, 0.0, np.abs(observed - middle) / end)
    # An end on the wrong side of the prediction holds nothing, however far it is moved.
    needed = np.where(needed < 0, np.inf, needed)
    return float(np.quantile(needed, level, method="inverted_cdf"))
