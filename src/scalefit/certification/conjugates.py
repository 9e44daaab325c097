"""Rows of an objective, and lower bounds of their convex conjugates.

A vector u proves a lower bound of the objective through sum_i inf [h_i(f_i) + u_i f_i]; this file
bounds those infima from below, rounding included. A prediction that is no worse than an incumbent
in its row alone, h_i(f_i) <= value, lies in an interval, and each infimum is taken over that, or
over the narrower range that a box carries.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from scalefit.certification.rounding import EPSILON, lower_sum

__all__ = ["FARTHEST", "LogSquared", "Loss", "Squared", "Squares", "stationary"]

# Largest range of ln(f/L), either way: a prediction e^600 times the observed loss, 10^260 times,
# leaves the range of floats where it is multiplied by anything.
FARTHEST = 600.0

# Of Lambert's function: below, its rational approximation is near enough.
NEAR = 0.05


class Loss(ABC):
    """Rows of an objective, as functions of their predictions.

    Attributes:
        y: observed losses, (rows,).
        floor: objective of predictions of zero, or one of like size.
        reach: how far from zero a prediction may lie that is no worse than the incumbent, (rows,).
        typical: sizes of a dual vector, not negative, (rows,).
        range: ends of what narrows the infima, of ln(f/L), that the incumbent allows in one row
            alone, (2, rows); of no rows where nothing does.
    """

    range = np.empty((2, 0))
    y: np.ndarray
    floor: float
    reach: np.ndarray
    typical: np.ndarray

    def rounding(self, value: float, blur: float) -> float:
        """By how much an objective may be off where every prediction may, relative, by ``blur``."""
        # To first and second order.
        return 2 * blur * math.sqrt(value * self.floor) + blur**2 * self.floor

    @abstractmethod
    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of sum_i inf [h_i(f) + u_i f], (boxes,), from u of shape (boxes, rows)."""

    @abstractmethod
    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective, not rigorous."""


class Squares(Loss):
    """Rows that parabolas stand for where a dual vector is proposed."""

    @abstractmethod
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near its observed loss."""

    @abstractmethod
    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near a prediction."""


class Squared(Squares):
    """w (L - f)^2 / divisor^2."""

    def __init__(
        self, observed: np.ndarray, weight: np.ndarray, divisor: np.ndarray, value: float
    ) -> None:
        self.y = observed
        self.w = weight / divisor**2
        self.floor = float(np.sum(self.w * observed**2))
        self.reach = (np.abs(observed) + np.sqrt(value / self.w)) * (1 + 64 * EPSILON)
        self.typical = 2 * self.w * np.abs(observed)

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return 2 * self.w, self.y

    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        return self.start()

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima."""
        first = u * self.y
        second = u * u / (4 * self.w)
        return lower_sum(first - second, (np.abs(first) + second).sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        return (self.w * (self.y - predicted) ** 2).sum(axis=-1)


def _ends(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ranges[..., 0, :], ranges[..., 1, :]


def _tangency() -> tuple[np.ndarray, np.ndarray]:
    """Ends of a range of s beyond 1, and where a line from there touches s^2 over e^s."""
    touch = np.linspace(1.0, 0.0, 400)
    end = touch + 1e-9 + 50.0 * np.ones_like(touch)
    low = touch.copy()
    # The line from the tangent at ``touch`` meets the curve again at the end: by bisection.
    for _ in range(60):
        middle = 0.5 * (low + end)
        above = 2 * touch * np.expm1(middle - touch) > (middle - touch) * (middle + touch)
        over = above & (middle > touch + 1e-12)
        # Below the second meeting the curve lies above its tangent.
        low, end = np.where(over, low, middle), np.where(over, middle, end)
    return end, touch


_MEETING, _TOUCH = _tangency()


def _tangent(high: np.ndarray) -> np.ndarray:
    """Largest s at which the convex envelope over a range that ends at ``high`` is the row."""
    return np.where(high <= 1, high, np.interp(high, _MEETING, _TOUCH))


def stationary(x: np.ndarray) -> np.ndarray:
    """Approximate solution of s + x e^s = 0: -W(x), Lambert's function. Overwrites x.

    By a rational start, and Newton steps where that is not near.
    """
    np.maximum(x, -0.3678, out=x)
    s = -x * (1 + 4 / 3 * x) / (1 + x * (7 / 3 + 5 / 6 * x))
    if np.abs(x).max(initial=0.0) > NEAR:
        if x.max() > 1:
            far = np.log1p(np.maximum(x, 0))
            s = np.where(x > 1, far * (np.log1p(far) / (2 + far) - 1), s)
        for _ in range(1 if -0.2 < x.min() and x.max() < 0.5 else 4):
            e = x * np.exp(s)
            s -= (s + e) / np.maximum(1 + e, 1e-3)
    return s


class LogSquared(Squares):
    """w ln(L/f)^2 ; s = ln(f/L), convex in f up to s = 1 and concave beyond.

    Over a range of s that ends beyond 1 a row's convex envelope is the row itself up to a point of
    tangency, from there a straight line to the end of the range. Where a prediction lies on that
    line the dual leaves a gap, which closes as the range is narrowed.

    Attributes:
        range: lower and upper end of s, (2, rows).
    """

    # How far from its observed loss, in s, a row is stood for by its own parabola.
    FURTHEST = 0.7
    # How far past the stationary point psi'' is bounded.
    BEYOND = 1e-3
    # Curvature of the straight part of an envelope, as a share of 2w / f^2: a parabola needs some.
    FLAT = 1e-3
    # And of the steep parabola out of the range.
    WALL = 30.0

    def __init__(self, observed: np.ndarray, weight: np.ndarray, value: float) -> None:
        self.y = observed
        self.w = weight
        self.floor = float(np.sum(weight))
        # |s| beyond this is worse than the incumbent in one row alone.
        most = np.minimum(np.sqrt(value / weight) * (1 + 64 * EPSILON), FARTHEST)
        self.range = np.stack([-most, most])
        within = np.minimum(most, self.FURTHEST)
        self.nearest, self.furthest = observed * np.exp(-within), observed * np.exp(within)
        self.reach = observed * np.exp(most) * (1 + 64 * EPSILON)
        self.double, self.half = 2 * weight, 0.5 / weight
        self.typical = self.double / observed

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return 2 * self.w / self.y**2, self.y

    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction, or of its envelope over a range."""
        if ranges is None:
            f = np.clip(predicted, self.nearest, self.furthest)
            s = np.log(f / self.y)
            rest = 1 - s
            return 2 * self.w * rest / (f * f), f * (1 - 2 * s) / rest
        _, slope, curve = self.envelope(predicted, ranges)
        return curve, predicted - slope / curve

    def descend(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convex parabola of each row with its slope at a prediction."""
        f = np.maximum(predicted, self.y * 1e-9)
        s = np.log(f / self.y)
        curve = 2 * self.w * np.maximum(1 - s, 0.1) / (f * f)
        return curve, f - 2 * self.w * s / (f * curve)

    def envelope(
        self, predicted: np.ndarray, ranges: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Convex envelope of each row, with slope and curvature; a steep parabola out of range."""
        low, high = _ends(ranges)
        # Exponentials of anything beyond are of no use, and may overflow.
        low, high = np.maximum(low, -20.0), np.minimum(high, 60.0)
        f = np.clip(predicted, self.y * np.exp(low), self.y * np.exp(high))
        s = np.clip(np.log(f / self.y), low, high)
        value = self.w * s * s
        slope, curve = 2 * self.w * s / f, 2 * self.w * (1 - s) / (f * f)
        tangent = np.maximum(_tangent(high), low)
        flat = s > tangent
        if flat.any():
            # The chord from the point of tangency to the end of the range.
            a, b, y, w = (
                np.broadcast_to(x, s.shape)[flat] for x in (tangent, high, self.y, self.w)
            )
            width = np.exp(b) - np.exp(a)
            slope[flat] = w / y * (b + a) * (b - a) / np.where(width > 0, width, 1.0)
            value[flat] = w * a * a + slope[flat] * (f[flat] - y * np.exp(a))
            curve[flat] = self.FLAT * 2 * w / f[flat] ** 2
        out = predicted - f
        if out.any():
            # Beyond the range: on with the slope at its end, and a steep parabola.
            wall = np.where(out != 0, self.WALL * 2 * self.w / f**2, 0.0)
            value += slope * out + 0.5 * wall * out * out
            slope += wall * out
            curve = np.where(out != 0, wall, curve)
        return value, slope, curve

    def rows(
        self, u: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Infimum of psi(s) = w s^2 + u L e^s over each row's range, and the size of its terms.

        The infimum is known from below to 16 roundings of that size. With p = u L, psi'' = 2w + p
        e^s: for p >= 0 psi is convex, for p < 0 it is convex up to s = ln(-2w/p) and concave
        beyond, so that its infimum is at the stationary point in the convex part or at the upper
        end.
        """
        low, high = _ends(self.range if ranges is None else ranges)
        p = u * self.y
        s = stationary(p * self.half)
        terms, sizes, sure = self._least_near(s, p)
        # Ends of the range, and the slopes there.
        w, double = self.w, self.double
        most = np.maximum(np.abs(low), np.abs(high))
        ends = []
        for end in (low, high):
            e = p * np.exp(end)
            sizes = sizes + np.abs(e) * (1 + most)
            ends.append((w * end * end + e, double * end + e, e))
        sizes = sizes + w * most * most
        (at_low, rise_low, e_low), (at_high, rise_high, e_high) = ends
        blur = 64 * EPSILON * (double * most + np.abs(e_high) + np.abs(e_low)) * (1 + most)
        if not sure.all():
            # psi' / 2w = s + x e^s is at most ln(-1/x) - 1, x = p / 2w.
            steepest = np.maximum(-1 - np.log(np.maximum(-p * self.half, 1e-300)), 0.0) + 1e-12
            rest = np.maximum(at_high - double * steepest * (high - low), np.minimum(e_high, e_low))
            terms = np.where(sure, terms, rest)
        np.minimum(terms, at_high, out=terms)
        # From the lower end psi rises, until it may fall to the upper one, or it is concave in all
        # of the range; or it falls to the upper end.
        right = (rise_low > blur) | (double + e_low < -blur)
        if right.any():
            terms = np.where(right, np.minimum(at_low, at_high), terms)
        left = (rise_high < -blur) & (double + e_high > blur)
        if left.any():
            terms = np.where(left, at_high, terms)
        return terms, sizes

    def _least_near(
        self, s: np.ndarray, p: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower bound of psi over its convex part from a point near the minimum.

        With psi'' >= m > 0 and slope g at s, psi is nowhere less than psi(s) - g^2 / 2m.

        Returns:
            The bound; the size of its terms; where it is one.
        """
        double = self.double
        size = np.abs(s)
        terms = self.w * s * s
        e = np.exp(s)
        e *= p
        slope = double * s
        slope += e
        # psi'' = 2w + u L e^s is at least m: for u >= 0 everywhere, for u < 0 up to ``BEYOND`` past
        # s. There psi has begun to rise, and it goes on rising until it is concave: beyond, it is
        # least at the end of the interval.
        m = np.minimum(e, 0)
        m *= math.exp(self.BEYOND) * (1 + 1e-9)
        m += double * (1 - 1e-9)
        noise = np.abs(e)
        noise += double * size
        noise *= 32 * EPSILON
        np.abs(slope, out=slope)
        slope += noise
        sizes = np.abs(e) * (1 + size) + terms
        terms += e
        sure = slope < 0.5 * self.BEYOND * m  # and m > 0: the slope is not negative
        slope *= slope
        slope /= 2 * m
        terms -= slope
        return terms, sizes, sure

    def one_sided(
        self, beyond: np.ndarray, rows: np.ndarray, side: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Some rows, and their derivatives in s, so far from s = 0; (some, ...)."""
        w = self.w[rows, None]
        return w * beyond**2, 2 * w * beyond

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima over the range of each row."""
        terms, sizes = self.rows(u, ranges)
        return lower_sum(terms, sizes.sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        fine = predicted > 0
        s = np.log(np.where(fine, predicted, 1.0) / self.y)
        return np.where(fine, self.w * s * s, np.inf).sum(axis=-1)
