"""Further free columns beside size and tokens: a narrowing lattice, then Newton's method.

At every point of the lattice the best size is searched. The lattice is narrowed around its best
point until Newton's method in all columns converges: in a narrow valley that resolves what
comparing losses cannot.
"""

from __future__ import annotations

import numpy as np

from scalefit.allocation.problem_batch import INFEASIBLE, INTERIOR, Batch, slices
from scalefit.allocation.reduced_objective import expand
from scalefit.allocation.roots import newton_step
from scalefit.allocation.size_search import best_size

__all__ = ["AT_ONCE", "LATTICE", "best_extras"]

# Problems that are solved together.
AT_ONCE = 4096
# Points along each of one, two, three further columns, in the first round and in later ones.
LATTICE = {1: (33, 9), 2: (13, 7), 3: (9, 5)}
# Of the width of the range: closer than this to an optimum, losses are equal in float64.
RESOLUTION = 1e-9
# Rounds of the lattice at most. Twenty narrow it to that; along a limit it moves in others.
MOST_ROUNDS = 60
# Rounds of the lattice before Newton's method is tried: a valley's width away from the minimum it
# would be a guess.
FIRST_ROUNDS = 3
# Newton steps in all columns, after which a valley that they do not resolve is left to the lattice.
NEWTON_STEPS = 12
# Steps to where a limit begins to hold along a column: of a sum, one.
SECANT_STEPS = 4
# A Newton step this short, relative, is the last one.
LAST_STEP = 1e-9


def best_extras(batch: Batch) -> tuple[Batch, np.ndarray, np.ndarray]:
    """The batch at its best extras, ln of the best size there, and the state of each solution."""
    count = len(batch.form.extras)
    points, later = LATTICE[count]
    box = batch.values.box[1:]
    extras, x, state = box[:, 0].copy(), np.empty((len(batch), 1)), np.empty((len(batch), 1))
    rows, problem = np.arange(len(batch)), batch
    low, high = box[:, 0], box[:, 1]
    wide = (high - low) / 2
    limited = [(limit, axis) for limit in _limits_of_extras(batch) for axis in range(count)]
    for turn in range(MOST_ROUNDS):
        share = np.linspace(0.0, 1.0, points)
        mesh = np.stack(np.meshgrid(*[share] * count, indexing="ij")).reshape(count, 1, -1)
        lattice = low[..., None] + mesh * (high - low)[..., None]
        faces = [_on_limit(problem, lattice, low, high, *face) for face in limited]
        centre, here, kind = _best_of(problem, np.concatenate([lattice, *faces], axis=-1))
        extras[:, rows], x[rows], state[rows] = centre, here, kind
        # Along a limit the best may lie beyond the part that is looked at: that part then moves.
        ends = problem.values.box[1:]
        passed = ((centre <= low) & (low > ends[:, 0])) | ((centre >= high) & (high < ends[:, 1]))
        wide = np.where(passed.any(axis=0), wide, 2 * wide / (points - 1))
        if turn >= FIRST_ROUNDS:
            # In a valley Newton's method resolves what comparing losses cannot.
            found, at, done = _descended(problem.at(centre), here, kind == INTERIOR, wide)
            extras[:, rows[done]], x[rows[done]] = found[:, done], at[done]
            done |= (wide <= RESOLUTION * (ends[:, 1] - ends[:, 0])).all(axis=0)
            rows, centre, wide = rows[~done], centre[:, ~done], wide[:, ~done]
            if not len(rows):
                break
            problem = batch.take(rows)
        ends = problem.values.box[1:]
        low, high = np.maximum(centre - wide, ends[:, 0]), np.minimum(centre + wide, ends[:, 1])
        points = later
    return batch.at(extras), x, state


def _limits_of_extras(batch: Batch) -> list[int]:
    """Limits that read several of the extras, and neither size nor tokens."""
    form = batch.form
    each = [{*limit.needs} for limit in form.limits]
    return [
        place
        for place, needs in enumerate(each)
        if len(needs & {*form.extras}) > 1 and not needs & {form.size_column, form.token_column}
    ]


def _on_limit(
    batch: Batch, lattice: np.ndarray, low: np.ndarray, high: np.ndarray, limit: int, axis: int
) -> np.ndarray:
    """The points of a lattice, moved along one of the extras to where a limit begins to hold.

    An optimum on such a limit is no point of a lattice, and nothing near it need be better than a
    worse point on the limit. Points that cannot be moved there remain.
    """
    pairs, points = lattice.shape[1:]
    many = batch.take(np.repeat(np.arange(pairs), points))
    values = many.values
    end = np.where(np.isfinite(values.high[limit]), values.high[limit], values.low[limit])
    sides = [np.repeat(item[axis], points) for item in (low, high)]
    place = lattice.reshape(len(lattice), -1).copy()

    def beyond(at: np.ndarray) -> np.ndarray:
        place[axis] = at
        none = np.zeros((len(at), 1))
        return (
            np.broadcast_to(many.at(place).run("quantities", none, none)[limit], none.shape)[:, 0]
            - end
        )

    first, last = (beyond(side) for side in sides)
    for _ in range(SECANT_STEPS):
        at = sides[0] - first * (sides[1] - sides[0]) / (last - first)
        here = beyond(at)
        left = np.sign(here) == np.sign(first)
        sides = [np.where(left, at, sides[0]), np.where(left, sides[1], at)]
        first, last = np.where(left, here, first), np.where(left, last, here)
    moved = np.isfinite(at) & (at >= np.repeat(low[axis], points))
    moved &= at <= np.repeat(high[axis], points)
    place[axis] = np.where(moved, at, lattice[axis].ravel())
    return place.reshape(lattice.shape)


def _best_of(batch: Batch, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best extras of a lattice (extras, problems, points), the best x there, and its state."""
    pairs, points = lattice.shape[1:]
    size = max(1, AT_ONCE // points)
    found = []
    for rows in slices(pairs, size):
        some = lattice[:, rows]
        each = np.repeat(np.arange(pairs)[rows], points)
        many = batch.take(each).at(some.reshape(len(lattice), -1))
        x, state = best_size(many)
        value = np.broadcast_to(expand(many, x).objective, x.shape)
        value = np.where((state == INFEASIBLE) | np.isnan(value), np.inf, value)
        best = np.argmin(value.reshape(-1, points), axis=1)
        place = np.arange(len(best)) * points + best
        found.append((some[:, np.arange(len(best)), best], x[place], state[place]))
    centres, places, states = zip(*found, strict=True)
    return np.concatenate(centres, axis=1), np.concatenate(places), np.concatenate(states)


def _descended(
    batch: Batch, x: np.ndarray, smooth: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extras and x by Newton's method in all of them, and for which problems it converged.

    Args:
        batch: the problems at the extras to start from.
        x: ln size to start from, shape (problems, 1).
        smooth: whether the optimum along x is interior, shape (problems, 1).
        reach: how far the extras may move, shape (extras, problems).
    """
    low, high = batch.values.box[1:, 0], batch.values.box[1:, 1]
    start = batch.values.extras
    sound, converged = smooth[:, 0].copy(), np.zeros(len(x), dtype=bool)
    for _ in range(NEWTON_STEPS):
        extras = batch.values.extras
        there = expand(batch, x)
        shape = (len(x), 1)
        gradient = np.array([np.broadcast_to(i, shape)[:, 0] for i in there.gradient])
        hessian = np.array([[np.broadcast_to(i, shape)[:, 0] for i in k] for k in there.hessian])
        # A column that the objective pushes against an end of its range stays there.
        outward = ((extras <= low) & (gradient[:-1] >= 0)) | (
            (extras >= high) & (gradient[:-1] <= 0)
        )
        held = np.concatenate([outward, np.zeros((1, len(x)), dtype=bool)])
        step, definite = newton_step(gradient, hessian, held)
        z = np.concatenate([extras, x.T])
        moved = z - step
        inside = (moved[:-1] >= low) & (moved[:-1] <= high) & (np.abs(moved[:-1] - start) <= reach)
        sound &= definite & inside.all(axis=0)
        moved = np.where(sound, moved, z)
        # Where a limit is passed the lattice stays within it.
        sound &= np.broadcast_to(there.feasible, shape)[:, 0]
        converged = sound & (np.abs(step) <= LAST_STEP * np.maximum(np.abs(z), 1.0)).all(axis=0)
        batch, x = batch.at(moved[:-1]), moved[-1][:, None]
        if (converged | ~sound).all():
            break
    return batch.values.extras, x, converged
