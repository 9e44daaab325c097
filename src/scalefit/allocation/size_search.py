"""The best size of every problem of a batch: a scan of the whole range, then a bracketed root.

The root is that of the derivative of the reduced objective. That finds an optimum to rounding at a
smooth minimum, at a kink where a limit begins to hold, and at the end of the range alike. Comparing
losses could not: near an optimum they differ by the square of the distance.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from scalefit.allocation.problem_batch import (
    INFEASIBLE,
    INTERIOR,
    LIMITED,
    SLOPELESS,
    UNBOUNDED,
    Batch,
    slices,
)
from scalefit.allocation.reduced_objective import (
    Expansion,
    expand,
    held_by_function,
    objective_on_grid,
)
from scalefit.allocation.roots import NARROW, bracketed, first_root
from scalefit.allocation.token_elimination import above_tokens, loss_margin, tokens_at

__all__ = ["best_size", "size_ends"]

# Sizes of a scan.
SCAN_POINTS = 512
# Numbers that are scanned at once: as many as stay in a processor's cache.
SCANNED = 2**15
# A slope that the second derivative moves to zero within this is that of a smooth minimum; at a
# kink or an end it is not.
LAST_DIGITS = 1e-5
# What Newton's method leaves of a distance to a smooth minimum, at most.
RESOLVED = 1e-11
# In ln size: a search that ended this near an end of the range ran into it.
AT_END = 1e-12
# How far an objective may be worse by rounding, relative.
ROUNDING = 1e-9
# Losses of a scan that differ by less, relative, differ by rounding.
FLATTEST = 1e-12
# Times that the points of a scan close in on where limits, or a loss, are violated least.
CLOSING = 8
# In ln size or ln tokens: how far beside a place it is checked whether the range ends there.
BESIDE = 1e-7


def best_size(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Ln of the best size, and the state of that solution, each of shape (problems, 1)."""
    low, high, mine_low, mine_high = size_ends(batch)
    points, value, lost = _scan(batch, low, high)
    best = np.argmin(value, axis=1)[:, None]
    least = np.take_along_axis(value, best, 1)
    last = points.shape[1] - 1
    left, middle, right = (
        np.take_along_axis(points, np.clip(best + i, 0, last), 1) for i in (-1, 0, 1)
    )
    x, there = _bracketed_minimum(batch, left, middle, right)
    # An end of the range itself, unless it lies beside a pole and is far worse.
    allowed = there.objective + ROUNDING * np.maximum(np.abs(there.objective), 1.0)
    at_low = (x - low < AT_END) & (value[:, :1] <= allowed)
    at_high = (high - x < AT_END) & (value[:, -1:] <= allowed)
    x = np.where(at_low, low, np.where(at_high, high, x))
    # Where a limit begins to hold the derivative jumps across zero: that is no interior optimum.
    slope, curvature = there.gradient[-1], there.hessian[-1][-1]
    interior = (np.abs(slope) < LAST_DIGITS * curvature) & ~(at_low | at_high)
    open_end = (at_low & ~mine_low) | (at_high & ~mine_high)
    open_end = open_end | _at_outer_end(batch, x, there.u, ~(interior | at_low | at_high))
    if open_end.any():
        open_end = open_end & ~held_by_function(batch, x, there.u)
    open_end = open_end | (_is_flat(value, least) & ~lost)[:, None]
    state = np.where(open_end, UNBOUNDED, np.where(interior, INTERIOR, LIMITED))
    # A law without a derivative there: nothing says which way the best size lies.
    state = np.where(np.isnan(slope) & there.feasible & ~(at_low | at_high), SLOPELESS, state)
    return x, np.where(np.isfinite(least), state, INFEASIBLE)


def _scan(
    batch: Batch, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes, the objective there, and for which problems no size of the first scan is feasible."""
    count = 1 if (low == high).all() else SCAN_POINTS
    points = low + (high - low) * np.linspace(0.0, 1.0, count)
    # Exactly, whatever rounding the sum leaves.
    points[:, -1:] = high
    blocks = slices(len(points), max(1, SCANNED // count))
    value = np.concatenate([objective_on_grid(batch.take(rows), points[rows]) for rows in blocks])
    lost = ~np.isfinite(value).any(axis=1)
    if lost.any():
        points[lost], value[lost] = _refined(batch.take(lost), points[lost], value[lost])
    return points, value, lost


def _bracketed_minimum(
    batch: Batch, low: np.ndarray, middle: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, Expansion]:
    """The minimum between two points of a scan, and the expansion there."""
    x, left, right = bracketed(batch, _slope_inside, low, high, middle, middle, short=4.0 * NARROW)
    there = expand(batch, x)
    rough = ~(there.feasible & (np.abs(there.gradient[-1]) < RESOLVED * there.hessian[-1][-1]))
    if rough.any():
        # At a kink, or at the border of what is feasible, the two sides of the root differ.
        sides = np.concatenate([x, left, right], axis=1)
        found = expand(batch, sides)
        worth = np.where(found.feasible, found.objective, np.inf)
        better = np.take_along_axis(sides, np.argmin(worth, axis=1)[:, None], 1)
        x = np.where(rough, better, x)
        there = expand(batch, x)
    return x, there


def _is_flat(value: np.ndarray, least: np.ndarray) -> np.ndarray:
    """For which problems the objective of a scan is constant: its minimum is one by rounding."""
    known = np.isfinite(value)
    top = np.where(known, value, -np.inf).max(axis=1, keepdims=True)
    level = top - least <= FLATTEST * np.abs(least)
    return (known.sum(axis=1) > 1) & level[:, 0]


def size_ends(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the scanned range in ln size, and whether each is a limit of the user's.

    Along a budget, tokens over any column fall as the size grows. A limit on such a ratio, or on
    the tokens, therefore ends the range of sizes. Of a law that turns, what the budget allows is
    meant.
    """
    form, values = batch.form, batch.values
    low, high = values.box[0][0], values.box[0][1]
    mine_low, mine_high = values.edge.astype(bool)
    if form.turns and form.minimises_cost:
        return _corner_ends(batch, low, high, mine_low, mine_high)
    found = _crossings(batch, low, high)
    start, stop = found[:, 0], found[:, 1]
    mine_low, mine_high = mine_low & (start <= low), mine_high & (stop >= high)
    low, high = np.maximum(low, start), np.minimum(high, stop)
    for end in found[:, 2:].T:
        if form.minimises_cost:
            mine_low, low = mine_low | (end > low), np.maximum(low, end)
        else:
            mine_high, high = mine_high | (end < high), np.minimum(high, end)
    return low[:, None], high[:, None], mine_low[:, None], mine_high[:, None]


def _crossings(batch: Batch, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Ln size at which the tokens, or their ratio to a column, pass each of several values.

    The values are both ends of the tokens per size that are searched, then every limit on the
    tokens; shape (problems, 2 + limits).
    """
    form, values = batch.form, batch.values
    places = [i for i, limit in enumerate(form.limits) if limit.numerator == form.token_column]
    divisors = [form.size_column] * 2 + [form.limits[i].denominator for i in places]
    if form.minimises_cost:
        ends = [np.log(values.high[i]) for i in places]
    else:
        ends = [np.log(np.maximum(values.low[i], 0.0)) for i in places]
    farthest = np.full(low.shape, np.inf) if form.turns else values.reach[1]
    value = np.stack([farthest, values.reach[0], *ends], axis=1)
    found = np.where(np.isposinf(value), low[:, None], high[:, None])
    known = np.isfinite(value).any(axis=0)
    if not known.any():
        return found
    divisors = [name for name, some in zip(divisors, known, strict=True) if some]
    own = np.array([name == form.size_column for name in divisors], dtype=np.float64)

    def below(batch: Batch, x: np.ndarray, value: np.ndarray) -> Any:
        """Positive where the tokens are below so many times a column."""
        each = [batch.ln_column(name, x[:, [i]]) for i, name in enumerate(divisors)]
        under = np.concatenate([np.broadcast_to(i, (len(x), 1)) for i in each], axis=1)
        return above_tokens(batch, x, value + under, own)

    start, end = (np.broadcast_to(item[:, None], value.shape)[:, known] for item in (low, high))
    crossed = first_root(batch, below, start, end, value[:, known])
    found[:, known] = np.where(np.isfinite(value[:, known]), crossed, found[:, known])
    return found


def _corner_ends(
    batch: Batch, low: np.ndarray, high: np.ndarray, mine_low: np.ndarray, mine_high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The ends between which every lower limit on the tokens is below every upper one."""
    form, values = batch.form, batch.values
    places = [i for i, limit in enumerate(form.limits) if limit.numerator == form.token_column]
    origin = np.zeros((len(low), 1))
    for i, j in product(places, places):
        below, above = (form.limits[place].denominator == form.size_column for place in (i, j))
        if below == above:
            continue
        ends = np.log(np.maximum(values.low[i], 0.0)), np.log(values.high[j])
        lower, upper = (
            end + np.broadcast_to(batch.ln_column(limit.denominator, origin)[:, 0], low.shape)
            for end, limit in zip(ends, (form.limits[i], form.limits[j]), strict=True)
        )
        # One of the two limits is a multiple of the size.
        cross = upper - lower if below else lower - upper
        if below:
            mine_high, high = mine_high | (cross < high), np.minimum(high, cross)
        else:
            mine_low, low = mine_low | (cross > low), np.maximum(low, cross)
    return low[:, None], high[:, None], mine_low[:, None], mine_high[:, None]


def _refined(batch: Batch, points: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A finer scan where no point is feasible, around the point that violates least.

    The feasible range may be narrower than the distance of points: where limits cross, or where a
    loss is the least that they allow.
    """
    share = np.linspace(0.0, 1.0, points.shape[1])
    points, value, alive = points.copy(), value.copy(), np.arange(len(points))
    for _ in range(CLOSING):
        miss = _violation(batch.take(alive), points[alive])
        best = np.argmin(miss, axis=1)
        # At an end of the range nothing beyond violates less: there is nothing to refine.
        inner = (best > 0) & (best < len(share) - 1) & np.isfinite(miss.min(axis=1))
        alive, best = alive[inner], best[inner]
        if not len(alive):
            break
        first, last = points[alive, best - 1], points[alive, best + 1]
        points[alive] = first[:, None] + (last - first)[:, None] * share
        value[alive] = objective_on_grid(batch.take(alive), points[alive])
        alive = alive[~np.isfinite(value[alive]).any(axis=1)]
        if not len(alive):
            break
    return points, value


def _violation(batch: Batch, x: np.ndarray) -> np.ndarray:
    """By how much limits, or the loss, are violated, relative; infinite without any tokens.

    By the fewest tokens that reach the loss, or those that come nearest to it.
    """
    u, ok, _ = tokens_at(batch, x)
    miss = np.where(ok, 0.0, np.inf)
    if batch.form.minimises_cost:
        short = -loss_margin(batch, u, x)[0] / np.abs(batch.level)
        miss = np.where(ok | ~(short > 0), miss, short)
    if batch.form.limits:
        for value, low, high in zip(
            batch.run("quantities", x, u), batch.values.low, batch.values.high, strict=True
        ):
            low, high = low[:, None], high[:, None]
            miss = np.fmax(miss, np.where(low > 0, np.log(low / value), -np.inf))
            miss = np.fmax(miss, np.log(value / high))
    return np.broadcast_to(miss, x.shape)


def _at_outer_end(batch: Batch, x: np.ndarray, u: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Which of some points inside the range lie at an end of the searched tokens."""
    rows = np.flatnonzero(some)
    outer = np.zeros(x.shape, dtype=bool)
    if not len(rows):
        return outer
    if batch.form.minimises_cost:
        ends = [x + end[:, None] for end in batch.values.reach] if batch.form.turns else []
        ends.append(np.zeros(x.shape))
        return some & np.any([np.abs(u - end) < BESIDE for end in ends], axis=0)
    sides = x[rows] + BESIDE * np.array([-1.0, 1.0])
    outer[rows] = ~tokens_at(batch.take(rows), sides)[1].all(axis=1, keepdims=True)
    return outer


def _slope_inside(batch: Batch, x: np.ndarray, middle: np.ndarray) -> Any:
    """Derivative of the objective in ln size; towards the middle where a limit is passed."""
    there = expand(batch, x)
    outside = np.where(x < middle, -np.inf, np.inf)
    return np.where(there.feasible, there.gradient[-1], outside), there.hessian[-1][-1]
