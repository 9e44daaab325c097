"""Tokens eliminated: the number of tokens that a size is trained on, by the budget or the loss.

Under a budget a model gets the most tokens that the budget and the limits allow, or fewer where
more would raise the loss. For a loss it gets the fewest that reach it. What is eliminated is the
*token column* of the problem, D in most laws; u is its logarithm, x that of the size column.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.allocation.problem_batch import FIXED, LARGEST, LEVEL, TURN, Batch
from scalefit.allocation.roots import first_root

__all__ = ["above_tokens", "loss_margin", "tokens_at", "tokens_on_grid"]

# How far limits may contradict each other by rounding, in the logarithm.
PASSED = 1e-11
# Points at which a law is evaluated that turns once, or more often, between the fewest and the most
# tokens.
TURN_POINTS = {1: 17, 2: 65}
# A loss is reached that is missed by no more than this, relative.
REACHED = 1e-14
# On a grid, one point in so many is solved from scratch where the tokens have no closed form.
# From a straight line between two of those, three Newton steps leave less than the square of the
# last one.
COARSE, COARSE_STEPS, NEAR = 8, 3, 1e-6


def tokens_at(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ln tokens, whether there is a solution, and which constraint is active.

    Args:
        batch: the problems.
        x: ln size, shape (problems, points).

    Returns:
        Three arrays of the shape of x. The active constraint is ``LEVEL`` for the budget or the
        loss, 1 + i for limit i, ``TURN`` where more tokens would raise the loss, and ``FIXED``
        where nothing but the range of numbers holds.
    """
    if batch.form.minimises_cost:
        return _first_for_loss(batch, x) if batch.form.turns else _least_for_loss(batch, x)
    return _lowest_affordable(batch, x) if batch.form.turns else _affordable(batch, x)


def _upper_limit(batch: Batch, x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ln tokens at the tightest upper limit on them or on their ratio to a column; and which.

    The start itself, where no limit is tighter.
    """
    return _tightest(batch, x, start, batch.values.high, -1.0)


def _lower_limit(batch: Batch, x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for lower limits."""
    return _tightest(batch, x, start, batch.values.low, 1.0)


def _tightest(
    batch: Batch, x: np.ndarray, start: np.ndarray, ends: np.ndarray, way: float
) -> tuple[np.ndarray, np.ndarray]:
    """Tightest limit; ``way`` is 1 for lower limits and -1 for upper ones."""
    bound, active = start, np.full(start.shape, FIXED)
    for i, limit in enumerate(batch.form.limits):
        if limit.numerator == batch.form.token_column:
            end = np.log(np.maximum(ends[i], 0.0))[:, None] + batch.ln_column(limit.denominator, x)
            tighter = way * end > way * bound
            bound, active = np.where(tighter, end, bound), np.where(tighter, 1 + i, active)
    return bound, active


def _affordable(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most tokens that the budget and the limits allow."""
    most, active = _upper_limit(batch, x, np.full(x.shape, LARGEST))
    if batch.programs.affine:
        # Cost = base + slope D: one division.
        base, slope = batch.run("spent", x, np.zeros(1))
        left = batch.level - base
        ok = left > 0
        u = np.log(np.where(ok, left, 1.0) / slope)
        active = np.where(u <= most, LEVEL, active)
        u = np.minimum(u, most)
    else:
        # Between one token and the upper limit, where the tightest constraint is passed.
        none = np.zeros(x.shape)
        ok, whole = (_over_budget(batch, end, x)[0] <= 0 for end in (none, most))
        u = first_root(batch, _over_budget, np.where(whole, most, none), most, x)
        active = np.where(whole, active, _tightest_constraint(batch, u, x)[2])
    return u, ok & (u >= 0), active


def _least_for_loss(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fewest tokens that reach the loss, of a law that falls with every token."""
    least, active = _lower_limit(batch, x, np.zeros(x.shape))
    most = _farthest(batch, x, least)
    short = -loss_margin(batch, most, x)[0]
    # A loss missed by rounding alone counts as reached: the level is then moved by as much.
    slack = np.where(short > 0, REACHED * np.abs(batch.level), 0.0)
    ok = short <= slack
    level = ok & ~(loss_margin(batch, least, x, slack)[0] >= 0)
    u = first_root(batch, loss_margin, np.where(level, least, most), most, x, slack)
    return np.where(level, u, least), ok, np.where(level, LEVEL, active)


def _farthest(batch: Batch, x: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The most tokens that are searched for a loss."""
    # Beyond the range of optima a law is not to be trusted: it may rise again.
    return np.minimum(LARGEST, np.maximum(x + batch.values.reach[1][:, None], least))


def _lowest_affordable(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of least loss among those that the budget and the limits allow.

    Those at the end of the searched range are no solution: the law goes on falling there.
    """
    afforded, ok, active = _affordable(batch, x)
    far = x + batch.values.reach[1][:, None]
    most = np.minimum(afforded, far)
    least, lower = _lower_limit(batch, x, np.maximum(0.0, x + batch.values.reach[0][:, None]))
    least = np.minimum(least, most)
    u = _lowest_loss(batch, x, least, most)
    beyond = ((u >= far) & (far < afforded)) | ((u <= least) & (least < most) & (lower < LEVEL))
    active = np.where(u >= most, active, np.where(u <= least, lower, TURN))
    return u, ok & ~beyond, active


def _first_for_loss(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fewest tokens that reach the loss, though more may miss it again.

    Those at the lower end of the searched range are no solution.
    """
    near, far = (x + end[:, None] for end in batch.values.reach)
    least, lower = _lower_limit(batch, x, np.maximum(0.0, near))
    most, _ = _upper_limit(batch, x, np.minimum(LARGEST, far))
    exists = least <= most + PASSED
    most = np.maximum(most, least)
    count = TURN_POINTS[batch.form.turns]
    step = (most - least) / (count - 1)
    u, place, before = most, np.full(x.shape, -1), np.full(x.shape, -np.inf)
    risen = np.zeros(x.shape, dtype=bool)
    # From below: the first point that reaches the loss, and whether the loss rises before it.
    for i in range(count):
        at = least + i * step
        spare = loss_margin(batch, at, x)[0]
        first = (place < 0) & (spare >= 0)
        u, place = np.where(first, at, u), np.where(first, i, place)
        risen |= (place < 0) & (spare < before)
        before = spare
    slack, unsure = np.zeros(x.shape), (place < 0) | risen
    if unsure.any():
        # Between two points the loss may dip to the level and rise again: look at its minimum.
        rows, columns = np.nonzero(unsure)
        some, there = batch.take(rows), x[rows, columns][:, None]
        low, high, found = (item[rows, columns][:, None] for item in (least, u - step, u))
        never = place[rows, columns][:, None] < 0
        turn = _lowest_loss(some, there, low, np.where(never, found, np.maximum(high, low)))
        short, allowed = -loss_margin(some, turn, there)[0], REACHED * np.abs(some.level)
        reached = short <= allowed
        u[rows, columns] = np.where(reached | never, turn, found)[:, 0]
        exists[rows, columns] &= (reached | ~never)[:, 0]
        slack[rows, columns] = np.where(reached & (short > 0), allowed, 0.0)[:, 0]
    # The root lies between that point and the one before.
    below = np.where(place == 0, u, np.maximum(u - step, least))
    u = first_root(batch, loss_margin, below, u, x, slack)
    at_least = u <= least
    return u, exists & ~(at_least & (lower < LEVEL)), np.where(at_least, lower, LEVEL)


def _lowest_loss(batch: Batch, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Ln tokens of least loss between two ends."""

    def slope(batch: Batch, u: np.ndarray, x: np.ndarray) -> Any:
        return batch.run("turning", x, u)

    best, least = low, np.full(x.shape, np.inf)
    count = TURN_POINTS[batch.form.turns]
    for share in np.linspace(0.0, 1.0, count):
        at = low + share * (high - low)
        value = batch.loss(x, at)
        better = value < least
        best, least = np.where(better, at, best), np.where(better, value, least)
    step = (high - low) / (count - 1)
    u = first_root(batch, slope, np.maximum(best - step, low), np.minimum(best + step, high), x)
    return np.where(batch.loss(x, u) <= least + REACHED * np.abs(least), u, best)


def above_tokens(batch: Batch, x: np.ndarray, u: np.ndarray, tilt: np.ndarray) -> tuple[Any, Any]:
    """A function of (x, u) that is positive where a size has fewer tokens than u, and its slope.

    It compares without solving for the tokens.

    Args:
        batch: the problems.
        x: ln size, shape (problems, points).
        u: ln tokens that are compared with, of the same shape.
        tilt: du/dx of those.
    """
    if batch.form.minimises_cost:
        least, _ = _lower_limit(batch, x, np.zeros(x.shape))
        most = _farthest(batch, x, least)
        cut = most < u
        found = batch.run("expansion", x, np.minimum(most, u))
        value, other = batch.level - found[0], u - least
        slope = -_along(batch, found, 0, np.where(cut, np.nan, tilt))
        return np.where(other < value, other, value), np.where(other < value, np.nan, slope)
    found = batch.run("expansion", x, u)
    value, slope = found[1] - np.log(batch.level), _along(batch, found, 1, tilt)
    others = [u - _upper_limit(batch, x, np.full(x.shape, LARGEST))[0]]
    for place, limit in enumerate(batch.programs.bounding):
        others.append(found[2 + place] - np.log(batch.values.high[limit])[:, None])
    for other in others:
        # Where the tightest constraint changes there is no slope: the bracket is halved.
        value, slope = np.fmax(value, other), np.where(other > value, np.nan, slope)
    return value, slope


def _along(batch: Batch, found: list[Any], place: int, tilt: Any) -> Any:
    """Derivative in x of function number ``place`` of the expansion along a path of slope tilt."""
    kinds, n = 2 + len(batch.programs.bounding), len(batch.extras) + 1
    return found[kinds * n + place] + found[kinds * (n + 1) + place] * tilt


def tokens_on_grid(batch: Batch, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ln tokens, and whether there is a solution, at equally spaced sizes.

    Where there is no closed form a few of the points are solved from scratch. Newton's method
    starts from straight lines between those at all others.
    """
    count = x.shape[1]
    explicit = batch.programs.affine and not batch.form.minimises_cost
    if explicit or batch.form.turns or count < 4 * COARSE:
        return tokens_at(batch, x)[:2]
    knots = np.append(np.arange(0, count - 1, COARSE), count - 1)
    coarse, there, _ = tokens_at(batch, x[:, knots])
    left = np.minimum(np.arange(count) // COARSE, len(knots) - 2)
    share = (np.arange(count) - knots[left]) / (knots[left + 1] - knots[left])
    u = coarse[:, left] + share * (coarse[:, left + 1] - coarse[:, left])
    known = there[:, left] & there[:, left + 1]
    function = loss_margin if batch.form.minimises_cost else _over_budget
    for _ in range(COARSE_STEPS):
        value, slope = function(batch, u, x)
        step = value / slope
        u = u - step
    # Steps that left the range or went on moving are not trusted.
    if batch.form.minimises_cost:
        end, _ = _lower_limit(batch, x, np.zeros(x.shape))
        inside = (u > end) & (u < np.minimum(LARGEST, x + batch.values.reach[1][:, None]))
    else:
        end, _ = _upper_limit(batch, x, np.full(x.shape, LARGEST))
        inside = (u < end) & (u > 0)
    known = known & inside & (slope > 0) & (np.abs(step) < NEAR)
    if not known.all():
        # Beside the end of a limit, or of what can be reached: solve these from scratch.
        rows, columns = np.nonzero(~known)
        found, exists, _ = tokens_at(batch.take(rows), x[rows, columns][:, None])
        u[rows, columns], known[rows, columns] = found[:, 0], exists[:, 0]
    return u, known


def _tightest_constraint(batch: Batch, u: np.ndarray, x: np.ndarray) -> Any:
    """By how much ln(cost) or a limit is exceeded most, the slope of that in u, and which it is."""
    found = batch.run("binding", x, u)
    half = len(found) // 2
    value, slope = found[0] - np.log(batch.level), found[half]
    which = np.full(np.shape(value), LEVEL)
    for place, limit in enumerate(batch.programs.bounding, 1):
        other = found[place] - np.log(batch.values.high[limit])[:, None]
        tighter = ~(other <= value)
        value, slope = (
            np.where(tighter, other, value),
            np.where(tighter, found[half + place], slope),
        )
        which = np.where(tighter, 1 + limit, which)
    return value, slope, which


def _over_budget(batch: Batch, u: np.ndarray, x: np.ndarray) -> Any:
    """The same as a function with its slope, for :func:`first_root`."""
    return _tightest_constraint(batch, u, x)[:2]


def loss_margin(batch: Batch, u: np.ndarray, x: np.ndarray, slack: np.ndarray | float = 0.0) -> Any:
    """How far the loss lies below the level plus slack, and the slope of that in u."""
    loss, slope = batch.run("binding", x, u)
    return batch.level - loss + slack, -slope
