"""Rows of Huber losses, their limits of absolute values among them, and their convex conjugates.

Bounds as in :mod:`~scalefit.certification.conjugates`. ``delta`` of zero stands for absolute
values; ``asymmetry`` multiplies rows whose prediction is above the observed loss.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from scalefit.certification.conjugates import FARTHEST, Loss, stationary
from scalefit.certification.rounding import EPSILON, lower_sum
from scalefit.certification.row_models import HuberRows, LogHuberRows, RowModel

__all__ = ["Huber", "LogHuber", "Robust"]

# How far from a stationary point, in s, the curvature of a row is bounded.
NEARBY = 1e-3


class Robust(Loss):
    """Rows that an interior point method minimises.

    Attributes:
        delta: where a row turns linear, zero for absolute values.
        asymmetry: factor of a row whose prediction is above the observed loss.
        slope: largest slope of a row in its residual, below the observed loss, (rows,).
        scale: what predictions are divided by, (rows,).
        unit: mean of ``slope``: what objectives are divided by.
    """

    def __init__(
        self,
        observed: np.ndarray,
        weight: np.ndarray,
        scale: np.ndarray,
        delta: float,
        asymmetry: float,
        value: float,
    ) -> None:
        self.y, self.scale, self.delta, self.asymmetry = observed, scale, delta, asymmetry
        self.slope = weight * (delta if delta > 0 else 1.0)
        self.typical = self.slope / scale
        self.unit = float(self.slope.mean()) if len(observed) else 1.0
        # Half a square as a row is within delta, times the square of the asymmetry.
        size = np.abs(observed / scale)
        self.floor = float(0.5 * asymmetry**2 * np.sum(weight * size**2))
        self.first_order = float(asymmetry * np.sum(self.slope * size))
        # What a row alone allows at no more than the value, on either side.
        share = value / self.slope / np.array([[1.0], [asymmetry]])
        most = np.where(share <= delta / 2, np.sqrt(2 * delta * share), share + delta / 2)
        self.most = most * (1 + 64 * EPSILON)

    def rounding(self, value: float, blur: float) -> float:
        """By how much the objective may be off where predictions may, relative, by ``blur``."""
        # No row is steeper than ``slope``, which is all that is known of absolute values.
        steepest = blur * self.first_order
        return min(super().rounding(value, blur), steepest) if self.delta > 0 else steepest

    def penalty(self, residual: np.ndarray) -> np.ndarray:
        """Rows over their ``slope``, of residuals that are positive above the observed loss."""
        size = np.abs(residual)
        inner = np.minimum(size, self.delta)
        zone = 0.5 * inner * inner / self.delta if self.delta > 0 else 0.0
        return np.asarray(np.where(residual > 0, self.asymmetry, 1.0) * (size - inner + zone))

    @abstractmethod
    def rows(self, ranges: np.ndarray) -> RowModel:
        """Convex functions that stand for the rows over their ranges, over ``unit``."""


class Huber(Robust):
    """w c H((L - f) / divisor), which is convex."""

    def __init__(
        self,
        observed: np.ndarray,
        weight: np.ndarray,
        divisor: np.ndarray,
        delta: float,
        asymmetry: float,
        value: float,
    ) -> None:
        super().__init__(observed, weight, divisor, delta, asymmetry, value)
        self.reach = (np.abs(observed) + self.most.max(axis=0) * divisor) * (1 + 64 * EPSILON)

    def rows(self, ranges: np.ndarray) -> RowModel:
        """The rows themselves."""
        weight = self.slope / self.unit
        return HuberRows.of(len(ranges), self.y / self.scale, weight, self.delta, self.asymmetry)

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima."""
        first = u * self.y
        pull = np.abs(u) * self.scale
        above = u < 0
        side = np.where(above, self.asymmetry, 1.0) * self.slope
        most = np.where(above, self.most[1], self.most[0])
        # A row at the end of what the incumbent allows.
        size = np.minimum(most, self.delta)
        end = side * (most - size)
        if self.delta > 0:
            end += side * (0.5 * size * size / self.delta)
        # With p the pull: p^2 / 2w while the row stays within delta; where it would pass that, the
        # row is least at the end of what the incumbent allows: p most - h(most). The larger of the
        # two is never too small, whichever applies.
        inner, outer = pull * pull * self.delta / (2 * side), pull * most
        second = np.maximum(inner, outer - end)
        sizes = inner + outer + end
        return lower_sum(first - second, (np.abs(first) + sizes).sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        rows = self.penalty((predicted - self.y) / self.scale)
        return np.asarray((self.slope * rows).sum(axis=-1))


class LogHuber(Robust):
    """w c H(s), s = ln(f/L): convex in f up to s = min(delta, 1), and concave beyond.

    Over a range of s that ends beyond, a row's convex envelope is the row itself up to a point of
    tangency, from there a straight line. Where a prediction lies on that line the dual leaves a
    gap, of second order in the width of the range.

    Attributes:
        range: lower and upper end of s, (2, rows).
    """

    def __init__(
        self, observed: np.ndarray, weight: np.ndarray, delta: float, asymmetry: float, value: float
    ) -> None:
        super().__init__(observed, weight, observed, delta, asymmetry, value)
        self.most = np.minimum(self.most, FARTHEST)
        self.range = np.stack([-self.most[0], self.most[1]])
        self.reach = observed * np.exp(self.most[1]) * (1 + 64 * EPSILON)
        # Where a row ceases to be convex.
        self.convex = min(delta, 1.0)

    def rows(self, ranges: np.ndarray) -> RowModel:
        """Their convex envelopes."""
        return LogHuberRows(ranges, self.slope / self.unit, self.delta, self.asymmetry)

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        fine = predicted > 0
        s = np.log(np.where(fine, predicted, 1.0) / self.y)
        return np.asarray(np.where(fine, self.slope * self.penalty(s), np.inf).sum(axis=-1))

    def one_sided(
        self, beyond: np.ndarray, rows: np.ndarray, side: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Some rows, and their derivatives in s, so far from s = 0 below (0) or above (1)."""
        each = self.slope[rows, None] * (self.asymmetry if side else 1.0)
        inner = np.minimum(beyond, self.delta)
        if self.delta > 0:
            zone, steep = 0.5 * inner * inner / self.delta, inner / self.delta
        else:
            zone, steep = 0.0, np.where(beyond > 0, 1.0, 0.0)
        return each * (beyond - inner + zone), each * steep

    def concavity(self, predicted: np.ndarray) -> np.ndarray:
        """By how much a row is flatter than at the end of its convex part, in f, (..., rows).

        A row is a convex function less another. The tangent of what is taken off lies below it, so
        that the row plus this slope times f, the constant left out, has a convex majorant that
        touches it.
        """
        s = np.log(np.maximum(predicted, 1e-300) / self.y)
        ends = self._slope(np.full(1, self.convex)) if self.delta > 0 else self.asymmetry
        return np.where(s > self.convex, ends - self._slope(s), 0.0) * self.slope / self.y

    def _slope(self, s: np.ndarray) -> np.ndarray:
        """Derivative in f/L of a row over its ``slope``; at a kink, zero."""
        inner = np.clip(s / self.delta, -1, 1) if self.delta > 0 else np.sign(s)
        return np.asarray(np.where(s > 0, self.asymmetry, 1.0) * inner * np.exp(-s))

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima over the range of each row."""
        terms, sizes = self.infima(
            u * (self.y / self.slope), self.range if ranges is None else ranges
        )
        return lower_sum(terms * self.slope, (sizes * self.slope).sum(axis=-1))

    def infima(self, p: np.ndarray, ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Infimum of psi(x) = H(ln x) c / delta + p x over each row's range of ln x.

        It is known from below to 16 roundings of a size. Up to x = e^convex psi is convex, beyond
        it is concave, so that it is least at the stationary point in the convex part or at an end
        of the range. For p >= e^delta the stationary point is x = 1/p, and psi = 1 + ln p - delta/2
        there; otherwise it lies within delta, at s with s + p (delta / c) e^s = 0.

        Returns:
            The infima, and the sizes of their terms, (..., rows).
        """
        low, high = ranges[..., 0, :], ranges[..., 1, :]
        at_low, at_high = self.penalty(low), self.penalty(high)
        x_low, x_high = np.exp(low), np.exp(high)
        sizes = 1 + np.abs(p) * x_high + at_low + at_high
        at_low, at_high = at_low + p * x_low, at_high + p * x_high
        terms, left = self._within(p), p >= math.exp(self.delta)
        if left.any():
            logs = np.log(np.where(left, p, 1.0))
            terms = np.where(left, 1 + logs - 0.5 * self.delta, terms)
            sizes = sizes + np.abs(logs)
        # Where the stationary point lies beyond an end of the range, that end is least.
        blur = 64 * EPSILON * (np.abs(p) + 1 / x_low + self.asymmetry)
        rising = (self._slope(low) + p > blur) | (low >= self.convex)
        terms = np.where(rising, at_low, terms)
        # What falls to the end of the convex part goes on falling: but for absolute values no slope
        # jumps there.
        falling = self._slope(np.minimum(high, self.convex)) + p < -blur
        if self.delta == 0:
            falling &= high <= self.convex
        # The concave part begins with a slope that is not positive.
        falling |= p <= -self.asymmetry
        return np.where(falling, at_high, np.minimum(terms, at_high)), sizes

    def _within(self, p: np.ndarray) -> np.ndarray:
        """Lower bound of psi over its convex part, of which the stationary point lies within delta.

        From a point s near it: with psi'' >= m around s, psi is nowhere less than psi(s) - g^2 / 2m
        (derivatives in s); or, where m is too small to say so, than its tangent.
        """
        delta = self.delta
        if delta == 0:
            # The kink, at x = 1.
            return p
        p = np.clip(p, -self.asymmetry, math.exp(delta))
        side = np.where(p < 0, self.asymmetry, 1.0) / delta
        s = np.clip(stationary(p / side), -delta, self.convex)
        e = p * np.exp(s)
        psi = 0.5 * side * s * s + e
        g = np.abs(side * s + e) + 32 * EPSILON * (np.abs(e) + np.abs(side * s))
        # For p >= 0 convex everywhere in s; for p < 0 near s, which the minimum is if m says so.
        m = (side + np.minimum(e, 0.0) * math.exp(NEARBY)) * (1 - 1e-9)
        sure = (p >= 0) | (g < 0.5 * NEARBY * m)
        # The tangent in x, over the convex part.
        tangent = g * np.exp(-s) * (math.exp(self.convex) - math.exp(-delta))
        return np.asarray(psi - np.where(sure, g * g / (2 * np.where(sure, m, 1.0)), tangent))
