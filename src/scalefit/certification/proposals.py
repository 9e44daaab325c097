"""Dual vectors for boxes: where a proof has them from.

Any vector gives a valid bound, so that what proposes it is plain floating point. Squares take
weighted nonnegative least squares, Huber losses an interior point method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import Boxes, Gathered
from scalefit.certification.conjugates import LogSquared, Squares
from scalefit.certification.huber_conjugates import LogHuber, Robust
from scalefit.certification.ranges import STEP_LENGTHS
from scalefit.certification.relaxation import Relaxation

__all__ = ["Goal", "Proposed", "at_points", "by_interior_point", "by_parabolas"]

# How well convex problems are solved: first as a share of the incumbent's objective, then of what
# may be lower or, if that is more, of what the first bound lacks; and their most steps.
ROUGH = 3e-3
FINE = 1e-2
LACKING = 1e-3
STEPS = 32

# Numbers of the arrays of problems that are solved at once: in cache.
AT_ONCE = 8_000

# Steps at a point that is looked at.
LOOK_STEPS = 12


@dataclass(frozen=True)
class Goal:
    """What is to be proved: that no objective is below ``target``.

    Attributes:
        value: the incumbent's objective, times 2^exponent.
        allowed: by how much something may be lower and the incumbent still counts as global.
        rounding: by how much float64 may be off.
        exponent: by which the weights were scaled.
    """

    value: float
    allowed: float
    rounding: float
    exponent: int

    @property
    def target(self) -> float:
        """What every bound is to reach."""
        return self.value - self.allowed

    def unscaled(self, value: float) -> float:
        """An objective in the weights that were given."""
        return math.ldexp(value, -self.exponent)


class Proposed(NamedTuple):
    """Bounds of boxes, and what they rest on.

    Attributes:
        bounds: lower bounds of the objective, (boxes,).
        needed: shift of the dual vector that each coordinate needed, (boxes, q).
        u: dual vectors, (boxes, rows).
        predicted: predictions of the convex problems, (boxes, rows).
        passive: the columns with a positive coefficient, (boxes, columns).
        mixing: what mixing corner columns costs by each coordinate, (boxes, q).
    """

    bounds: np.ndarray
    needed: np.ndarray
    u: np.ndarray
    predicted: np.ndarray
    passive: np.ndarray
    mixing: np.ndarray


def by_parabolas(
    relaxation: Relaxation, gathered: Gathered, corners: np.ndarray, boxes: Boxes, goal: Goal
) -> Proposed:
    """From least squares of the parabolas that stand for the rows."""
    loss = relaxation.loss
    assert isinstance(loss, Squares)
    weight, target = loss.start()
    margin = np.zeros((len(boxes), relaxation.size))
    predicted, stationary, passive, _ = relaxation.solve(
        corners, weight, target, margin, boxes.passive
    )
    weight, target = loss.linearise(predicted)
    margin = relaxation.margin(gathered, weight * (target - predicted))
    predicted, _, passive, u = relaxation.solve(
        corners, weight, target, margin, passive, refine=True
    )
    bounds, needed, u = relaxation.prove(gathered, u, boxes.ranges)
    mixing = math.sqrt(2 * goal.value) * relaxation.mixing(gathered, stationary, weight)
    return Proposed(bounds, needed, u, predicted, passive, mixing)


def by_interior_point(
    relaxation: Relaxation, gathered: Gathered, corners: np.ndarray, boxes: Boxes, goal: Goal
) -> Proposed:
    """From the convex problem of the corner columns, some boxes at a time."""
    loss, each = relaxation.loss, max(1, AT_ONCE // relaxation.rows)
    assert isinstance(loss, Robust)
    if len(boxes) > each:
        some = [slice(first, first + each) for first in range(0, len(boxes), each)]
        parts = [
            by_interior_point(relaxation, gathered.take(k), corners[k], boxes.take(k), goal)
            for k in some
        ]
        return Proposed(*(np.concatenate(item) for item in zip(*parts, strict=True)))
    ranges, rows = boxes.ranges, loss.rows(boxes.ranges)
    margin, rough = np.zeros((len(boxes), relaxation.size)), np.full(len(boxes), ROUGH * goal.value)
    first_u, predicted, coefficients = relaxation.minimise(corners, rows, margin, rough, STEPS)
    bounds, needed, u = relaxation.prove(gathered, first_u, ranges)
    # Once more, with what the tests exceed zero by between the corners taken off.
    left = np.flatnonzero(~(bounds >= goal.target))
    if len(left):
        part = gathered.take(left)
        margin = relaxation.margin(part, first_u[left])
        # Where a bound lacks much no exact solution is wanted, and there may be none.
        small = np.clip(LACKING * (goal.target - bounds[left]), FINE * goal.allowed, goal.value)
        again = relaxation.minimise(corners[left], rows.take(left), margin, small, STEPS)
        found, shift, moved = relaxation.prove(part, again.u, ranges[left])
        better = found > bounds[left]
        where = left[better]
        bounds[where], needed[where], u[where] = found[better], shift[better], moved[better]
        predicted[where] = again.predicted[better]
        coefficients[where] = again.coefficients[better]
    mixing = relaxation.bending(gathered, coefficients, loss.typical)
    return Proposed(bounds, needed, u, predicted, boxes.passive, mixing)


def at_points(relaxation: Relaxation, theta: np.ndarray, goal: Goal) -> np.ndarray:
    """Objectives with the best coefficients found at points (points, q), (points,).

    Not rigorous, and not lower than they are.
    """
    count, rows = len(theta), relaxation.rows
    at = list(theta.T)
    pieces = relaxation.columns.pieces(at, at).middle[:, 0].reshape(-1, count, rows)
    still = np.broadcast_to(relaxation.fixed.middle, (count, len(relaxation.fixed), rows))
    matrix = np.concatenate([still, pieces.transpose(1, 0, 2)], axis=1)
    values = np.full(count, np.inf)
    fine = np.isfinite(matrix).all(axis=(1, 2))
    if fine.any():
        loss = relaxation.loss
        if isinstance(loss, Robust):
            values[fine] = _least_robust(relaxation, loss, matrix[fine], goal)
        else:
            values[fine] = [_least_squares(relaxation, item[None]) for item in matrix[fine]]
    return values


def _least_squares(relaxation: Relaxation, matrix: np.ndarray) -> float:
    """The least sum of squares over the coefficients; of log residuals, a local minimum."""
    loss = relaxation.loss
    assert isinstance(loss, Squares)
    weight, target = loss.start()
    zero = np.zeros(matrix.shape[:2])
    passive = np.ones(zero.shape, dtype=bool)
    predicted, _, passive, _ = relaxation.solve(matrix, weight, target, zero, passive, True)
    if isinstance(loss, LogSquared):
        for _ in range(LOOK_STEPS):
            weight, target = loss.descend(predicted)
            aim, _, passive, _ = relaxation.solve(matrix, weight, target, zero, passive, True)
            lines = predicted + STEP_LENGTHS[:, None] * (aim - predicted)
            values = loss.evaluate(lines)
            if not values.min() < loss.evaluate(predicted)[0]:
                break
            predicted = lines[np.argmin(values)][None]
    return float(loss.evaluate(predicted)[0])


def _least_robust(
    relaxation: Relaxation, loss: Robust, matrix: np.ndarray, goal: Goal
) -> np.ndarray:
    """Local minima over the coefficients, by convex majorants, (points,).

    What is concave in a row is replaced by its tangent at the last point: the objective falls from
    one solution to the next.
    """
    # The convex parts of the rows, without an end of their ranges.
    ranges = np.zeros((len(matrix), 2, relaxation.rows))
    ranges[:, 0] = -1.0
    rows, small = loss.rows(ranges), np.full(len(matrix), 0.1 * goal.allowed)
    margin, best = np.zeros(matrix.shape[:2]), np.full(len(matrix), np.inf)
    for _ in range(LOOK_STEPS):
        c = relaxation.minimise(matrix, rows, margin, small, STEPS).coefficients
        predicted = (c[:, None, :] @ matrix)[:, 0] + relaxation.known
        values = loss.evaluate(predicted)
        falls = values < best - 0.1 * goal.allowed
        best = np.fmin(values, best)
        if not isinstance(loss, LogHuber) or not falls.any():
            break
        margin = (matrix @ loss.concavity(predicted)[:, :, None])[:, :, 0]
    return best
