"""Convex functions that stand for the rows of a Huber loss where a dual vector is proposed.

A row g(x), x = f / scale, is given by the end slopes of its middle part, the zone, and by what it
does beyond:

- g' runs from ``left`` to ``right`` in the zone; ``place`` inverts it, so that the convex conjugate
  of the zone has place(v) as its derivative;
- to the right of the zone g is a straight line of slope ``right``;
- to its left g is a straight line of slope ``left``, plus a smooth ``tail``.

Nothing here proves anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from scalefit.certification.conjugates import stationary

__all__ = ["HuberRows", "LogHuberRows", "RowModel"]

# Residuals, in s, below which a zone of log residuals is left to its tail.
LOWEST = 0.5

# Below it, three terms of a series invert the slope of a zone to rounding.
NARROW = 2e-3


class RowModel(Protocol):
    """Rows as the interior point method takes them."""

    @property
    def left(self) -> np.ndarray:
        """Least slope of each row's zone, (boxes, rows)."""

    @property
    def right(self) -> np.ndarray:
        """Largest slope."""

    def place(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a zone has slope v, and the derivative of that place in v."""

    def tail(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """First and second derivative of the tails; None where there are none."""

    def take(self, boxes: Any) -> Self:
        """The rows of some of the boxes."""


class HuberRows(NamedTuple):
    """Huber losses of residuals that are linear in predictions: a parabola between two lines."""

    left: np.ndarray
    right: np.ndarray
    kink: np.ndarray
    below: np.ndarray
    above: np.ndarray

    @classmethod
    def of(
        cls, boxes: int, kink: np.ndarray, weight: np.ndarray, delta: float, asymmetry: float
    ) -> HuberRows:
        """Rows w c H(x - kink) / delta, c the asymmetry where x > kink."""
        shape = boxes, len(kink)
        parts = -weight, asymmetry * weight, kink, delta / weight, delta / weight / asymmetry
        return cls(*(np.broadcast_to(part, shape) for part in parts))

    def place(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the parabola has slope v."""
        slope = np.where(v > 0, self.above, self.below)
        return self.kink + slope * v, slope

    def tail(self, x: np.ndarray) -> None:
        """There is none."""

    def take(self, boxes: Any) -> HuberRows:
        """The rows of some of the boxes."""
        return HuberRows(*(part[boxes] for part in self))


class LogHuberRows:
    """Convex envelopes of w c H(ln x) / delta over ranges of x.

    The zone is abs(ln x) <= delta, or what of it is convex, ln x <= 1. Beyond, the row is concave,
    so that its envelope is a straight line to the end of the range. The tail is -ln x.
    """

    def __init__(
        self, ranges: np.ndarray, weight: np.ndarray, delta: float, asymmetry: float
    ) -> None:
        low, high = ranges[:, 0], ranges[:, 1]
        self.delta, self.asymmetry = delta, asymmetry
        self.lowest, self.highest = -min(delta, LOWEST), min(delta, 1.0)
        # At a kink, where there is no zone, the slopes of either side.
        steepest = np.array([-1.0, asymmetry])
        if delta > 0:
            steepest = self._slope(np.array([self.lowest, self.highest]))
        left, right = np.full_like(low, steepest[0]), np.full_like(low, steepest[1])
        # Rows that are beyond the zone all over their range lie on one line, at one place.
        above, below = low > self.highest, high < self.lowest
        beyond = high > self.highest
        if beyond.any():
            right = np.where(beyond, self._chord(low, high, right), right)
        left = np.where(above, -1.0, np.where(below, self._slope(high), left))
        right = np.where(below, 1.0, right)
        self.left, self.right = left * weight, right * weight
        end = np.exp(np.where(below, high, self.lowest))
        self.base = np.where(above, np.exp(low), np.where(below, end, 1.0))
        self.gain = np.where(above | below, 0.0, delta / weight)
        self.reach = np.where(above, 1.0, end)
        self.tails = np.where(above, 0.0, weight * np.ones_like(low))
        self.offset = np.where(above, 0.0, -self.left)

    def _slope(self, s: np.ndarray) -> np.ndarray:
        """Derivative of a row in x, over its weight."""
        inner = np.clip(s / self.delta, -1, 1) if self.delta > 0 else np.sign(s)
        return np.asarray(np.where(s > 0, self.asymmetry, 1.0) * inner * np.exp(-s))

    def _value(self, s: np.ndarray) -> np.ndarray:
        """A row over its weight, for s that are not negative."""
        inner = np.minimum(s, self.delta)
        zone = 0.5 * inner * inner / self.delta if self.delta > 0 else 0.0
        return np.asarray(self.asymmetry * (s - inner + zone))

    def _chord(self, low: np.ndarray, high: np.ndarray, most: np.ndarray) -> np.ndarray:
        """Slope of the line through the upper end that touches the zone, or from the lower end."""
        end, value = np.exp(high), self._value(np.maximum(high, 0.0))
        s = np.clip(0.5 * (low + self.highest), 0.0, self.highest)
        slope = most
        for _ in range(4):
            # The slope of the chord is stationary where it touches: each step squares the error.
            rise = value - self._value(s)
            slope = np.minimum(rise / np.maximum(end - np.exp(s), 1e-300), most)
            s = np.log1p(self._zone(slope * self.delta / self.asymmetry)[0])
            s = np.where(low > self.highest, low, np.clip(s, np.maximum(low, 0), self.highest))
        return slope

    def _zone(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of x with ln(x) / x = a, x - 1 and the derivative in a."""
        if self.delta <= NARROW:
            # e^s with s e^-s = a, by its series.
            slope = 1 + a * (3 + 8 * a)
            return a * (1 + a * (1.5 + a * (8 / 3))), slope
        s = stationary(-a)
        return np.expm1(s), np.exp(2 * s) / np.maximum(1 - s, 1e-3)

    def place(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a zone has slope v."""
        gain = self.gain
        if self.asymmetry != 1:
            gain = np.where(v > 0, gain / self.asymmetry, gain)
        beyond, slope = self._zone(gain * v)
        beyond += self.base
        slope *= gain
        return beyond, slope

    def tail(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of -ln x and, for a wide zone, of what of it is below ``LOWEST``."""
        inside = np.minimum(x, self.reach)
        first = self.tails / inside
        second = first / inside
        second *= x < self.reach
        if self.delta > LOWEST:
            s = -np.log(inside)
            zone = s < self.delta
            second = np.where(zone, second * (1 + s) / self.delta, second)
            first = np.where(zone, first * s / self.delta, first)
        return self.offset - first, second

    def take(self, boxes: Any) -> LogHuberRows:
        """The rows of some of the boxes."""
        taken = object.__new__(LogHuberRows)
        taken.__dict__.update(self.__dict__)
        for name in ("left", "right", "base", "gain", "reach", "tails", "offset"):
            setattr(taken, name, getattr(self, name)[boxes])
        return taken
