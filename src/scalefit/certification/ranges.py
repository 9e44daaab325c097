"""Narrower ranges of the predictions under squares of log residuals.

Log residuals w ln(L/f)^2 are concave in predictions above e times the observed loss. Where the
range that the infimum of such a row is taken over reaches there, the dual proves no more than the
row's convex envelope, however small the box. So a box carries a range for each prediction: where it
lies at every point of the box that is below the target. Beside the order of predictions
(:mod:`~scalefit.certification.order`), ranges are narrowed in two ways.

- By what is left: all rows but one have at least their infima, so that one has no more than its own
  and what the bound lacks of the target.
- By a tilt: a lower bound of the objective -+ tau f_k is, where it is below the target, an upper or
  lower bound of f_k; for the rows where the envelope costs most.

A box whose ranges are empty is proved.
"""

from __future__ import annotations

import numpy as np

from scalefit.certification.boxes import OpenBoxes
from scalefit.certification.conjugates import LogSquared
from scalefit.certification.relaxation import STEPS_OF_A_PROBLEM, Relaxation, scaled_system
from scalefit.certification.rounding import EPSILON

__all__ = ["STEP_LENGTHS", "narrow_by_rows"]

# Rounds of better bounds and narrower ranges in a box before it is cut, while the squared widths of
# the ranges shrink to this share.
ROUNDS = 3
SHRUNK = 0.8

# Newton steps a round, and the lengths that are tried of each.
STEPS = 8
STEP_LENGTHS = np.array([1.0, 0.5, 0.2, 0.05])

# Rows of a box whose ranges are narrowed by problems of their own, where cutting the box promises
# no more than this many times what its bound lacks.
TILTS = 8
TILT_SHARE = 20.0

# A row is tilted where its envelope costs more than this share of what the bound lacks.
TILT_COST = 0.02

# Halvings of what one row alone leaves to a range.
BISECTIONS = 5


def narrow_by_rows(relaxation: Relaxation, part: OpenBoxes, target: float) -> None:
    """Better bounds by more steps to the dual of the envelope and by narrower ranges, in place."""
    live = np.arange(len(part.bounds))
    for turn in range(ROUNDS):
        _improve(relaxation, part, live, target)
        live = live[part.bounds[live] < target]
        if relaxation.signed or turn == ROUNDS - 1 or not len(live):
            return
        before = part.ranges[live]
        _contract(relaxation, part, live, target)
        after = part.ranges[live]
        empty = (after[:, 0] > after[:, 1]).any(axis=1)
        part.bounds[live[empty]] = target
        size = np.square(after[:, 1] - after[:, 0]).sum(axis=1)
        shrunk = size < SHRUNK * np.square(before[:, 1] - before[:, 0]).sum(axis=1)
        live = live[shrunk & ~empty]
        if not len(live):
            return


def _improve(relaxation: Relaxation, part: OpenBoxes, live: np.ndarray, target: float) -> None:
    """Newton's method for the least sum of envelopes, of which every step gives a bound."""
    loss = relaxation.loss
    assert isinstance(loss, LogSquared)
    for _ in range(STEPS):
        gathered, at, ranges = part.gathered.take(live), part.predicted[live], part.ranges[live]
        weight, goal = loss.linearise(at, ranges)
        f, _, passive, u = relaxation.solve(
            part.corners[live],
            weight,
            goal,
            relaxation.margin(gathered, part.u[live]),
            part.passive[live],
            refine=True,
        )
        found, _, moved = relaxation.prove(gathered, u, ranges)
        relaxation.spend(STEPS_OF_A_PROBLEM * len(live))
        better = found > part.bounds[live]
        where = live[better]
        part.bounds[where], part.u[where] = found[better], moved[better]
        part.passive[where] = passive[better]
        lines = at + STEP_LENGTHS[:, None, None] * (f - at)
        values = loss.envelope(lines, ranges)[0].sum(axis=-1)
        values = np.where(np.isnan(values), np.inf, values)
        least = np.argmin(values, axis=0)
        every = np.arange(len(live))
        part.predicted[live] = lines[least, every]
        # By how much the bound may still rise is known from above.
        left = target - part.bounds[live]
        live = live[(left > 0) & (values[least, every] - part.bounds[live] > 0.03 * left)]
        if not len(live):
            return


def _contract(relaxation: Relaxation, part: OpenBoxes, live: np.ndarray, target: float) -> None:
    """Narrow ranges by what a bound leaves to points below the target.

    With terms_i at most the infimum of psi_i = h_i + u_i f_i, every row of such a point has
    psi_i <= terms_i + (target - bound), since the other rows have no less than their terms.
    """
    loss = relaxation.loss
    assert isinstance(loss, LogSquared)
    lacks = target - part.bounds[live]
    u, predicted = part.u[live], part.predicted[live]
    low, high = part.ranges[live, 0], part.ranges[live, 1]
    terms, sizes = loss.rows(u, part.ranges[live])
    p = u * loss.y
    s = np.clip(np.log(np.maximum(predicted, 1e-300) / loss.y), low, high)

    def psi(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        e = p * np.exp(x)
        return loss.w * x * x + e, loss.double * x + e, loss.double + e

    limit = terms + (lacks * (1 + 1e-9))[:, None] + 1e-12 * (np.abs(terms) + sizes)
    limit = np.where(np.isfinite(limit), limit, np.inf)
    # psi falls, rises and, where it is concave, may fall again: see ``LogSquared.rows``. Both ends
    # are found by bisection, (inner, outer) at the upper one and (left, right) at the lower.
    ended = psi(high)[0] > limit
    inner, outer, left, right = s.copy(), high, low, s.copy()
    for _ in range(BISECTIONS):
        x = 0.5 * (inner + outer)
        value, slope, curve = psi(x)
        out = ended & (value > limit) & ((slope > 0) | (curve < 0))
        inner, outer = np.where(out, inner, x), np.where(out, x, outer)
        x = 0.5 * (left + right)
        value, slope, curve = psi(x)
        out = (value > limit) & (slope < 0) & (curve > 0)
        left, right = np.where(out, x, left), np.where(out, right, x)
    part.ranges[live, 0], part.ranges[live, 1] = left, outer
    # What is left is due to rows whose envelope lies below them.
    below = psi(s)[0] - terms
    use = np.isfinite(lacks) & (part.slack[live].sum(axis=1) < TILT_SHARE * lacks)
    every = np.arange(len(live))
    for _ in range(TILTS):
        row = np.argmax(below, axis=1)
        mine = np.flatnonzero(use & (below[every, row] > TILT_COST * lacks))
        if not len(mine):
            return
        below[every, row] = 0.0
        _tilt(relaxation, part, live[mine], row[mine], target)


def _tilt(
    relaxation: Relaxation, part: OpenBoxes, live: np.ndarray, row: np.ndarray, target: float
) -> None:
    """Narrow the range of one row in each box, by lower bounds of the objective +- tau f."""
    loss = relaxation.loss
    assert isinstance(loss, LogSquared)
    every = np.arange(len(live))
    gathered, corners, ranges = part.gathered.take(live), part.corners[live], part.ranges[live]
    column = corners[every, :, row]
    passive = part.passive[live]
    weight, _ = loss.linearise(part.predicted[live], ranges)
    gram = (corners * weight[:, None, :]) @ corners.transpose(0, 2, 1)
    system, scale = scaled_system(gram, passive, 1e-10)
    side = np.where(passive, column * scale, 0.0)
    lever = (side * np.linalg.solve(system, side[:, :, None])[:, :, 0]).sum(axis=1)
    # The best for a parabola: tau times the movement costs as much as there is room.
    tau = np.sqrt(2 * (target - part.bounds[live]) / np.maximum(lever, 1e-300))
    for end, sign in ((1, 1.0), (0, -1.0)):
        q, f, active = part.u[live], part.predicted[live], passive
        for _ in range(2):
            weight, goal = loss.linearise(f, ranges)
            margin = relaxation.margin(gathered, q) + (sign * tau)[:, None] * column
            f, _, active, q = relaxation.solve(corners, weight, goal, margin, active, refine=True)
            q[every, row] += sign * tau
        tilt = np.zeros_like(q)
        tilt[every, row] = sign * tau
        found, _, moved = relaxation.prove(gathered, q, ranges, tilt)
        relaxation.spend(STEPS_OF_A_PROBLEM * len(live))
        # target > found + sign tau f, where tau is what the rounded difference took off.
        blur = 1e-12 + 8 * EPSILON * np.abs(moved[every, row]) / tau
        share = sign * (target - found) / tau / loss.y[row]
        at = np.where(share > 0, np.log(np.where(share > 0, share, 1.0)), -np.inf) + sign * blur
        at = np.where(np.isfinite(found) & (blur < 1e-3), at, sign * np.inf)
        narrower = np.minimum if end else np.maximum
        part.ranges[live, end, row] = narrower(part.ranges[live, end, row], at)
