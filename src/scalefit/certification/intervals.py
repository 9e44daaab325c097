"""Interval arithmetic on arrays, rounded outward.

An interval contains every value of what it stands for. The four operations and the square root are
correctly rounded in float64, so that moving each end by one unit in the last place is safe; numpy
promises 4 units for its elementary functions, and ``FUNCTION_ULPS`` are added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from scalefit.certification.rounding import EPSILON, FUNCTION_ULPS, TINY

__all__ = ["Interval", "NotEnclosed", "outward", "point"]


class NotEnclosed(Exception):  # noqa: N818 (says why there is no proof; nothing failed)
    """The function cannot be enclosed; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Interval:
    """Lower and upper ends, arrays of one shape, infinite where nothing is known."""

    lo: np.ndarray
    hi: np.ndarray

    @property
    def mid(self) -> np.ndarray:
        """A number inside, not exactly the middle."""
        return np.asarray(0.5 * self.lo + 0.5 * self.hi)

    @property
    def ball(self) -> tuple[np.ndarray, np.ndarray]:
        """``mid``, and the distance from it within which the interval lies, rounded up."""
        mid = self.mid
        distance = np.maximum(self.hi - mid, mid - self.lo)
        # The distance is rounded, and the ends may be a unit of the last place away.
        distance *= 1 + 4 * EPSILON
        distance += TINY
        return mid, distance

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __add__(self, other: Interval) -> Interval:
        return outward(self.lo + other.lo, self.hi + other.hi)

    def __sub__(self, other: Interval) -> Interval:
        return outward(self.lo - other.hi, self.hi - other.lo)

    def __mul__(self, other: Interval) -> Interval:
        if other.lo is other.hi:  # A point: two products instead of four.
            one, two = self.lo * other.lo, self.hi * other.lo
            return outward(np.minimum(one, two), np.maximum(one, two))
        if self.lo is self.hi:
            return other * self
        ends = [x * y for x in (self.lo, self.hi) for y in (other.lo, other.hi)]
        return outward(reduce(np.minimum, ends), reduce(np.maximum, ends))

    def of_positive(self, other: Interval) -> Interval:
        """Product with an interval that has no negative number."""
        lower = np.where(self.lo < 0, other.hi, other.lo)
        upper = np.where(self.hi < 0, other.lo, other.hi)
        return outward(self.lo * lower, self.hi * upper)

    def square(self) -> Interval:
        """x^2, which is not negative."""
        low, high = self.lo * self.lo, self.hi * self.hi
        inside = (self.lo <= 0) & (self.hi >= 0)
        found = outward(np.where(inside, 0.0, np.minimum(low, high)), np.maximum(low, high))
        return Interval(np.maximum(found.lo, 0.0), found.hi)

    def reciprocal(self) -> Interval:
        """1 / x; everything where zero is inside."""
        inside = (self.lo <= 0) & (self.hi >= 0)
        found = outward(1.0 / self.hi, 1.0 / self.lo)
        return Interval(np.where(inside, -np.inf, found.lo), np.where(inside, np.inf, found.hi))

    def scaled(self, factor: float) -> Interval:
        """Product with a number."""
        if factor == 1.0:
            return self
        return self * point(np.float64(factor))

    def exp(self) -> Interval:
        """e^x, which is not negative."""
        found = self.increasing(np.exp)
        return Interval(np.maximum(found.lo, 0.0), found.hi)

    def increasing(self, function: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Image under an increasing function of numpy."""
        return outward(function(self.lo), function(self.hi), FUNCTION_ULPS)

    def expanded(self, axes: int) -> Interval:
        """With that many axes of length one after the first."""
        if axes == 0:
            return self

        def expand(array: np.ndarray) -> np.ndarray:
            return array.reshape(array.shape[:1] + (1,) * axes + array.shape[1:])

        return self.mapped(expand)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """With both ends rearranged."""
        lo = function(self.lo)
        return Interval(lo, lo if self.lo is self.hi else function(self.hi))


def point(value: Any) -> Interval:
    """Interval of one number, exact."""
    array = np.asarray(value, dtype=np.float64)
    return Interval(array, array)


def outward(lo: np.ndarray, hi: np.ndarray, ulps: int = 1) -> Interval:
    """Ends moved apart by at least so many units in the last place."""
    return Interval(_moved(lo, -ulps), _moved(hi, ulps))


def _moved(end: np.ndarray, ulps: int) -> np.ndarray:
    # In place, for speed: end + ulps (EPSILON |end| + TINY).
    step = np.abs(end)
    step *= ulps * EPSILON
    step += ulps * TINY
    step += end
    return step
