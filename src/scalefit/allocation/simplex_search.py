"""Minima over shares that add up to one, between limits: a primal-dual interior-point method.

Many problems of one shape are solved side by side: the draws of a fit, or the starts of one. Steps
are Newton's, with the Hessian made positive along its eigenvectors, so that they descend where the
function is not convex too. The start is inside the limits and so is every step: a power of a share
has an infinite slope at zero, and is never asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scalefit.runtime.settings import quiet

__all__ = ["HELD", "MixtureMinima", "inside", "minimise"]

Objective = Callable[[np.ndarray], list[np.ndarray]]

# Complementarity at the end, in units of the spread of the slopes: shares that are held are within
# as much of their limit, and the value is as near to its minimum.
LAST = 1e-13
# Largest component of the projected gradient that is left, in the same unit.
STATIONARY = 1e-7
STEPS = 300
# A share this near to its limit is at it.
HELD = 1e-6
# Distances from a limit within which shares are put on it, the closest first.
SNAPS = (1e-11, 1e-9, HELD)
# Of a value, relative.
ROUNDING = 1e-14
# Limits closer than this leave nothing to choose.
CLOSED = 1e-12
# Of the way to a limit that a step goes at most.
BEFORE = 0.995
HALVINGS = 30


class MixtureMinima(NamedTuple):
    """Local minima of several problems, over shares that add up to one.

    Attributes:
        shares: shape (items, domains).
        value: of the function, shape (items,).
        converged: whether the conditions of a minimum hold, shape (items,).
    """

    shares: np.ndarray
    value: np.ndarray
    converged: np.ndarray


def inside(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Shares that add up to one, each as far between its limits as every other."""
    width = float((high - low).sum())
    part = (1.0 - low.sum()) / width if width > 0 else 0.0
    found: np.ndarray = low + min(max(part, 0.0), 1.0) * (high - low)
    return found


@quiet()
def minimise(
    objective: Objective,
    values: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
) -> MixtureMinima:
    """A local minimum of each problem.

    Args:
        objective: value, gradient and Hessian at shares of shape (items, domains), of shapes
            (items,), (items, domains) and (items, domains, domains).
        values: the value alone.
        low: lower limits, shape (domains,).
        high: upper limits.
        start: shares strictly between the limits where these leave a choice, each row adding up to
            one, shape (items, domains).
    """
    shares, free = start.copy(), high - low > CLOSED
    room = min(1.0 - low.sum(), high.sum() - 1.0)
    if free.sum() < 2 or room <= CLOSED:
        return MixtureMinima(shares, values(shares), np.ones(len(shares), dtype=bool))

    def full(x: np.ndarray) -> np.ndarray:
        shares[:, free] = x
        return shares

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        value, slope, bend = objective(full(x))
        return value, slope[:, free], bend[:, free][:, :, free]

    state = _State(low[free], high[free], start[:, free], parts, lambda x: values(full(x)))
    for _ in range(STEPS):
        state.step()
        if state.done.all():
            break
    found, value = full(state.x).copy(), values(full(state.x))
    for near in SNAPS:
        # A share of 1e-9 is none, or is worth much where its power is small: the value says.
        snapped = np.clip(full(state.snapped(near)).round(13), low, high)
        same = values(snapped)
        better = same <= value + ROUNDING * np.abs(value)
        found = np.where(better[:, None], snapped, found)
        value = np.where(better, np.minimum(same, value), value)
    return MixtureMinima(found, values(found), state.done)


class _State:
    """Where the problems stand: shares, multipliers of their limits, and the barrier's weight."""

    def __init__(
        self,
        low: np.ndarray,
        high: np.ndarray,
        x: np.ndarray,
        parts: Callable[[np.ndarray], tuple[np.ndarray, ...]],
        values: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.low, self.high, self.x, self.parts, self.values = low, high, x, parts, values
        value, slope, bend = parts(x)
        # A function that is flat has any scale.
        self.scale = np.maximum(np.ptp(slope, axis=1), 1e-12)
        self.value, self.slope, self.bend = self._scaled(value, slope, bend)
        self.weight = np.full(len(x), 0.1)
        below, above = self.gaps(x)
        self.lower, self.upper = self.weight[:, None] / below, self.weight[:, None] / above
        self.done = np.zeros(len(x), dtype=bool)
        # A basis of changes that keep the sum.
        size = x.shape[1]
        self.basis = np.linalg.svd(np.ones((1, size)))[2][1:].T

    def _scaled(
        self, value: np.ndarray, slope: np.ndarray, bend: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        each = self.scale[:, None]
        return value / self.scale, slope / each, bend / each[..., None]

    def gaps(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far shares are from their lower and upper limits."""
        return x - self.low, self.high - x

    def step(self) -> None:
        """One step of every problem, and the next weight of the barrier where it is solved."""
        below, above = self.gaps(self.x)
        weight = self.weight[:, None]
        tilt = self.slope - weight / below + weight / above
        bend = self.bend + _diagonal(self.lower / below + self.upper / above)
        move = self._direction(tilt, bend)
        lower = weight / below - self.lower - self.lower / below * move
        upper = weight / above - self.upper + self.upper / above * move
        length = np.minimum(_reach(below, move), _reach(above, -move))
        length = self._descended(move, length, tilt)
        self.x = self.x + length[:, None] * move
        for own, change in ((self.lower, lower), (self.upper, upper)):
            own += _reach(own, change)[:, None] * change
        self.value, self.slope, self.bend = self._scaled(*self.parts(self.x))
        self._tighten()

    def _direction(self, tilt: np.ndarray, bend: np.ndarray) -> np.ndarray:
        """Newton's step along changes that keep the sum, downhill in every eigenvector."""
        reduced = self.basis.T @ bend @ self.basis
        reduced = np.where(np.isfinite(reduced), reduced, 0.0)
        curves, along = np.linalg.eigh(reduced)
        curves = np.abs(curves)
        curves = np.maximum(curves, 1e-12 * curves.max(axis=1, keepdims=True) + 1e-300)
        seen = np.einsum("iab,ia->ib", along, tilt @ self.basis)
        found: np.ndarray = -np.einsum("iab,ib->ia", along, seen / curves) @ self.basis.T
        return np.where(np.isfinite(found), found, 0.0)

    def _merit(self, x: np.ndarray, value: np.ndarray) -> np.ndarray:
        below, above = self.gaps(x)
        walls = (np.log(below) + np.log(above)).sum(axis=1)
        return np.asarray(value - self.weight * walls)

    def _descended(self, move: np.ndarray, length: np.ndarray, tilt: np.ndarray) -> np.ndarray:
        """Lengths of steps that lower the function with its barrier, halved until they do."""
        before = self._merit(self.x, self.value)
        slope = (tilt * move).sum(axis=1)
        rounding = 1e-13 * (1 + np.abs(before))
        for _ in range(HALVINGS):
            x = self.x + length[:, None] * move
            after = self._merit(x, self.values(x) / self.scale)
            bad = ~(after <= before + 1e-4 * length * slope + rounding)
            if not bad.any():
                break
            length = np.where(bad, 0.5 * length, length)
        return length

    def _tighten(self) -> None:
        """A smaller weight of the barrier where the conditions hold to the present one."""
        below, above = self.gaps(self.x)
        left = self.slope - self.lower + self.upper
        left = np.abs(left - left.mean(axis=1, keepdims=True)).max(axis=1)
        slack = np.maximum(
            np.abs(self.lower * below - self.weight[:, None]).max(axis=1),
            np.abs(self.upper * above - self.weight[:, None]).max(axis=1),
        )
        met = (left <= np.maximum(10 * self.weight, STATIONARY)) & (slack <= 10 * self.weight)
        self.done |= met & (self.weight <= LAST)
        smaller = np.maximum(np.minimum(0.2 * self.weight, self.weight**1.5), LAST)
        self.weight = np.where(met, smaller, self.weight)

    def snapped(self, near: float) -> np.ndarray:
        """Shares with those at a limit that are this near to it, and that it holds."""
        below, above = self.gaps(self.x)
        at_low = (below < near) & (self.lower > below)
        at_high = (above < near) & (self.upper > above)
        x = np.where(at_low, self.low, np.where(at_high, self.high, self.x))
        # What that leaves of one goes to the share with most room.
        room = np.where(at_low | at_high, -1.0, np.minimum(below, above))
        rows, most = np.arange(len(x)), room.argmax(axis=1)
        left = self.x.sum(axis=1) - x.sum(axis=1)
        x[rows, most] += np.where(room[rows, most] > 0, left, 0.0)
        return np.asarray(x)


def _diagonal(values: np.ndarray) -> np.ndarray:
    return values[..., None] * np.eye(values.shape[1])


def _reach(gap: np.ndarray, move: np.ndarray) -> np.ndarray:
    """How far along a move a gap stays open, one at most."""
    ratio = np.where(move < 0, -gap / np.where(move < 0, move, -1.0), np.inf)
    return np.minimum(1.0, BEFORE * ratio.min(axis=1))
