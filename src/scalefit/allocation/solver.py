"""Least loss for a cost, or least cost for a loss, along the curve that the other one draws.

One column, the pivot (tokens, where the law has them), is eliminated: under a budget it is the most
that the budget and the limits allow, for a loss to be reached the least that reaches it. Where the
law rises with the pivot anywhere in sight, the pivot of a budget is the one of least loss among
those that it allows, so that in both directions what is meant is at most: the least loss of at most
a budget, the least cost of at most a loss. What is
left is a function of another column, the walk (model size): scanned over its whole range, then the
root of its derivative is bracketed, which finds an optimum to rounding, at a smooth minimum, at the
kink where a limit begins to bind and at the end of the range alike. Comparing losses could not:
near an optimum they differ by the square of the distance. Further free columns are scanned on a
lattice around that walk, which is narrowed until Newton's method in all columns takes over.

Law, cost and limits are traced once for a question, with their derivatives (``tracing``); those of
the pivot follow from the equation that it solves. All pairs of a draw and a question go through
numpy together, so that nothing is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.allocation.budget_line import BudgetLine, ProblemValues, programs_of
from scalefit.allocation.reduced_problem import (
    INFEASIBLE,
    INTERIOR,
    LARGEST,
    LIMITED,
    TURN,
    UNBOUNDED,
    Pairs,
    Reduced,
    slices,
)
from scalefit.allocation.roots import first_root, newton_step
from scalefit.runtime.settings import quiet

__all__ = [
    "INFEASIBLE",
    "INTERIOR",
    "LIMITED",
    "START",
    "UNBOUNDED",
    "Optimum",
    "Stretch",
    "newton",
    "newton_start",
    "solve",
    "stretch",
]

# Points of the lattice over one, two, three further columns, first round and later ones.
LATTICE = {1: (33, 9), 2: (13, 7), 3: (9, 5)}
# Of the width of the range: closer than this to an optimum, losses are equal in float64.
RESOLUTION = 1e-9
# Pairs of a draw and a question that are solved together.
AT_ONCE = 4096
# Newton steps in all columns, after which a valley that they do not resolve is left to the lattice.
NEWTON_STEPS = 12
# A Newton step this short, relative, is the last one.
LAST_STEP = 1e-9
# Rounds of the lattice before Newton's method is tried: a valley's width away from the minimum it
# would be a guess.
FIRST_ROUNDS = 3
# Numbers that :func:`newton` begins with: ln walk, ln pivot, an inverse Jacobian of 2 by 2, and
# whether the pivot is where the law turns.
START = 7
# Points along the walk and the pivot, and along each further column, at which it is looked how
# often the law turns along the pivot; and what is no turn, relative to the loss.
SIGHT, SIGHT_EXTRAS, LEVEL_RISE = (33, 65), 3, 1e-12
# Points between an optimum and the end of the range at which a stretch may end.
STRETCH_POINTS = 65
# A stretch that ends this share short of its ceiling was ended by something else, looked at this
# share of its length before its end.
SHORT_OF_CEILING, INSIDE = 1e-4, 1e-9


class Optimum(NamedTuple):
    """What was found, each of shape (draws, questions), or () for one.

    Attributes:
        columns: the free columns.
        loss: the law there.
        cost: the cost there.
        n_exponent: d ln walk / d ln cost, where the optimum is smooth; else NaN.
        d_exponent: d ln pivot / d ln cost, likewise.
        turned: whether more of the pivot would raise the loss there, so that the budget is left.
        waste: share of the budget that twice or half the walked column wastes, to second order;
            NaN where the cost is minimised.
        state: ``INTERIOR``, ``LIMITED``, ``UNBOUNDED`` or ``INFEASIBLE``.
    """

    columns: Mapping[str, Any]
    loss: Any
    cost: Any
    n_exponent: Any
    d_exponent: Any
    turned: Any
    waste: Any
    state: Any


class Stretch(NamedTuple):
    """A stretch of the walk, each of shape (draws, questions).

    Attributes:
        low: ln walk at its lower end.
        high: at its upper end.
        pivot_low: ln pivot at the lower end.
        pivot_high: at the upper end.
        open_low: whether the range that is looked at ended first.
        open_high: likewise.
        cut_low: whether a limit, or the last size that reaches the loss, ended it first.
        cut_high: likewise.
        known: whether the start itself is below the ceiling.
    """

    low: Any
    high: Any
    pivot_low: Any
    pivot_high: Any
    open_low: Any
    open_high: Any
    cut_low: Any
    cut_high: Any
    known: Any


def solve(line: BudgetLine, params: Mapping[str, np.ndarray], setting: ProblemValues) -> Optimum:
    """Every question under every draw.

    Args:
        line: the question.
        params: parameters of the law, each of shape (draws,).
        setting: its numbers, each with a leading axis of questions; the level may have one of draws
            before it.

    Returns:
        Optima of shape (draws, questions).
    """
    found: Optimum = _in_blocks(_solved, _in_sight(line, params, setting), params, setting)
    return found


def stretch(
    line: BudgetLine,
    params: Mapping[str, np.ndarray],
    setting: ProblemValues,
    start: np.ndarray,
    ceiling: np.ndarray,
) -> Stretch:
    """How far the walk may leave an optimum before the objective passes a ceiling.

    Args:
        line: the question, without extras.
        params: parameters of the law, each of shape (draws,).
        setting: its numbers, as for :func:`solve`.
        start: ln walk of the optima, shape (draws, questions).
        ceiling: highest loss, or logarithm of the cost; shape (draws, questions).

    Returns:
        The ends, each of shape (draws, questions).
    """
    line = _in_sight(line, params, setting)
    found: Stretch = _in_blocks(_stretched, line, params, setting, start, ceiling)
    return found


def newton_start(
    line: BudgetLine, params: Mapping[str, np.ndarray], setting: ProblemValues
) -> list[np.ndarray]:
    """What :func:`newton` begins with: the optima of one budget, and the inverse Jacobian there.

    Args:
        line: a question about a budget, without limits and extras.
        params: parameters of the law, each of shape (draws,).
        setting: its numbers, for one question.

    Returns:
        ``START`` arrays of shape (draws,).
    """
    found: _Start = _in_blocks(_started, _in_sight(line, params, setting), params, setting)
    return [item[:, 0] for item in found]


def newton(
    line: BudgetLine, setting: ProblemValues, params: Sequence[Any], start: Sequence[Any]
) -> tuple[dict[str, Any], Any]:
    """Free columns and loss of the optimum of a budget as JAX differentiates them, twice.

    Two steps towards the root of the optimality conditions with the Jacobian held: each makes
    the derivatives of one more order those of the root, which the start is without any.

    Args:
        line: a question about a budget, without limits and extras.
        setting: its numbers, for one question.
        params: parameters of the law in order, arrays that broadcast.
        start: from :func:`newton_start`.
    """
    programs = programs_of(line, tuple(sorted(setting.fixed)))
    given = [float(setting.fixed[name][0]) for name in programs.fixed]
    level, one_size = math.log(float(np.ravel(setting.level)[0])), _is_fixed(*setting.box[0, 0])
    operations = programs.operations(programs.loss, programs.ln_cost)

    def conditions(params: Sequence[Any], x: Any, u: Any, turned: Any) -> tuple[Any, Any]:
        def at(x: Any, u: Any) -> list[Any]:
            return list(operations(*given, *params, x, u))

        (_, paid), (loss_x, paid_x) = jax.jvp(partial(at, u=u), (x,), (jnp.ones(()),))
        _, (loss_u, paid_u) = jax.jvp(partial(at, x), (u,), (jnp.ones(()),))
        tilt = jnp.where(turned, loss_x, loss_x * paid_u - loss_u * paid_x)
        return tilt, jnp.where(turned, loss_u, paid - level)

    def optimum(params: Sequence[Any], start: Sequence[Any]) -> tuple[Any, Any, Any]:
        x, u, a, b, c, d, turned = start
        for _ in range(2):
            tilt, over = conditions(params, x, u, turned)
            x, u = x if one_size else x - (a * tilt + b * over), u - (c * tilt + d * over)
        return x, u, operations(*given, *params, x, u)[0]

    each = optimum
    for _ in range(max(jnp.ndim(item) for item in (*params, *start))):
        each = jax.vmap(each)
    x, u, loss = each(list(params), list(start))
    free = (
        {line.token_column: jnp.exp(u)}
        if one_size
        else {line.size_column: jnp.exp(x), line.token_column: jnp.exp(u)}
    )
    return free, loss


class _Start(NamedTuple):
    """See :func:`newton_start`."""

    x: Any
    u: Any
    a: Any
    b: Any
    c: Any
    d: Any
    turned: Any


def _started(reduced: Reduced) -> _Start:
    x, state = reduced.walked()
    u, _, active = reduced.pivoted(x)
    turned = active[:, 0] == TURN
    found = [np.broadcast_to(item, x.shape)[:, 0] for item in reduced.run("expansion", x, u)]
    # Loss and cost by turns: values, slopes in x and u, second derivatives in xx, xu and uu.
    _, _, fx, gx, fu, gu, fxx, gxx, fxu, gxu, fuu, guu = found
    tilt_x = fxx * gu + fx * gxu - fxu * gx - fu * gxx
    tilt_u = fxu * gu + fx * guu - fuu * gx - fu * gxu
    tilt_x, tilt_u, gx, gu = np.where(turned, [fxx, fxu, fxu, fuu], [tilt_x, tilt_u, gx, gu])
    # A kink of the law in its columns, as where repetition begins, holds the walk where it is.
    kink = state[:, 0] == LIMITED
    fixed = _is_fixed(*reduced.pairs.box[0]) | kink
    gx, tilt_x, tilt_u = np.where(fixed, [[0.0], [1.0], [0.0]], [gx, tilt_x, tilt_u])
    scale = 1.0 / (tilt_x * gu - tilt_u * gx)
    slope = np.where(kink, 0.0, gu * scale)
    inverse = slope, -tilt_u * scale, -gx * scale, tilt_x * scale
    return _Start(x[:, 0], u[:, 0], *inverse, turned.astype(np.float64))


def _is_fixed(low: Any, high: Any) -> Any:
    """Whether there is nothing to walk along between two ends."""
    return low == high


def _in_sight(line: BudgetLine, params: Mapping[str, Any], setting: ProblemValues) -> BudgetLine:
    """The question, told how often the law turns along the pivot where answers are looked for.

    That depends on draws and held columns, not on levels.
    """
    count = len(setting.box)
    fixed = [np.reshape(values, (count, 1)) for values in setting.fixed.values()]
    rows = np.hstack([*fixed, setting.box.reshape(count, -1), setting.reach])
    _, few = np.unique(rows, axis=0, return_index=True)
    some = ProblemValues(
        np.ones(len(few)),
        {name: values[few] for name, values in setting.fixed.items()},
        *(item[few] for item in setting[2:]),
    )
    return line._replace(turns=int(_in_blocks(_turns, line, params, some).max()))


def _turns(reduced: Reduced) -> np.ndarray:
    """How often the loss turns along the pivot anywhere in sight: see :class:`BudgetLine`."""
    pairs = reduced.pairs
    low, high = (end[:, None] for end in pairs.box[0])
    x = low + (high - low) * np.linspace(0.0, 1.0, 1 if (low == high).all() else SIGHT[0])
    near, far = (np.clip(x + end[:, None], 0.0, LARGEST) for end in pairs.reach)
    ends = pairs.box[1:]
    turns = np.zeros(len(reduced), dtype=int)
    for places in product(np.linspace(0.0, 1.0, SIGHT_EXTRAS), repeat=len(ends)):
        there = reduced.at(ends[:, 0] + np.reshape(places, (-1, 1)) * (ends[:, 1] - ends[:, 0]))
        before, risen = np.full(x.shape, np.inf), np.zeros(x.shape, dtype=bool)
        for share in np.linspace(0.0, 1.0, SIGHT[1]):
            loss = there.loss(x, near + share * (far - near))
            slack = LEVEL_RISE * np.abs(before)
            again = risen & (loss < before - slack)
            risen |= loss > before + slack
            turns = np.maximum(turns, np.where(again.any(axis=1), 2, risen.any(axis=1)))
            before = loss
    return turns


def _in_blocks(
    function: Callable[..., Any],
    line: BudgetLine,
    params: Mapping[str, Any],
    setting: ProblemValues,
    *each: np.ndarray,
) -> Any:
    """Every pair of a draw and a question, a block of pairs at a time."""
    draws, count = len(next(iter(params.values()))), len(setting.box)
    level = np.broadcast_to(np.asarray(setting.level, dtype=np.float64), (draws, count)).ravel()
    names = tuple(sorted(setting.fixed))
    fixed = [np.asarray(setting.fixed[name]) for name in names]
    values = [np.asarray(params[name]) for name in line.law.names]
    rest = [np.moveaxis(np.asarray(item), 0, -1) for item in setting[2:]]
    extras = len(line.extras)
    size = AT_ONCE // LATTICE[extras][0] ** extras + 1 if extras else AT_ONCE
    blocks: list[Any] = []
    with quiet():
        for start in range(0, draws * count, size):
            pair = np.arange(start, min(start + size, draws * count))
            draw, asked = np.divmod(pair, count)
            given = np.array([*(item[asked] for item in fixed), *(item[draw] for item in values)])
            pairs = Pairs(
                given, level[pair], np.empty((0, len(pair))), *(i[..., asked] for i in rest)
            )
            reduced = Reduced(programs_of(line, names), pairs)
            blocks.append(function(reduced, *(item.ravel()[pair] for item in each)))

    def joined(*items: np.ndarray) -> np.ndarray:
        return np.concatenate(items).reshape(draws, count)

    return jax.tree.map(joined, *blocks)


def _solved(reduced: Reduced) -> Optimum:
    line = reduced.line
    if line.extras:
        reduced, x, state = _narrowed(reduced)
    else:
        x, state = reduced.walked()
    there = reduced.expanded(x)
    smooth = (state == INTERIOR) & (not line.extras)
    # How the optimum moves with the level: the derivative stays zero.
    dx = -there.cross / there.bend[-1][-1]
    du = there.level + there.token_column[-1] * dx
    paid = there.paid[-1] * du + there.paid[-2] * dx
    bend, gain = there.bend[-1][-1], -reduced.level * there.gain
    # What a relative change of the budget is worth, against that of a step of ln 2.
    waste = 0.5 * math.log(2) ** 2 * bend / gain
    size_column = {line.size_column: np.exp(x), line.token_column: np.exp(there.u)}
    free = zip(line.extras, line.logarithmic, reduced.extras, strict=True)
    columns = size_column | {name: np.exp(p) if log else p for name, log, p in free}

    def flat(value: Any) -> np.ndarray:
        return np.array(np.broadcast_to(value, x.shape)[:, 0])

    return Optimum(
        {name: flat(value) for name, value in columns.items()},
        flat(there.loss),
        flat(np.exp(there.ln_cost)),
        flat(np.where(smooth, dx / paid, np.nan)),
        flat(np.where(smooth, du / paid, np.nan)),
        flat(there.turned),
        flat(np.nan if line.reverse else waste),
        flat(state),
    )


def _stretched(reduced: Reduced, start: np.ndarray, ceiling: np.ndarray) -> Stretch:
    low, high, mine_low, mine_high = reduced.ends()

    def over(way: float) -> Any:
        def excess(reduced: Reduced, x: np.ndarray, ceiling: np.ndarray) -> Any:
            there = reduced.expanded(way * x)
            value = np.where(there.feasible, there.objective - ceiling, np.inf)
            return value, way * there.slope[-1]

        return excess

    start, ceiling = start[:, None], ceiling[:, None]
    low, high = np.minimum(low, start), np.maximum(high, start)
    share = np.linspace(0.0, 1.0, STRETCH_POINTS)
    there = reduced.expanded(start)
    slack = ceiling - there.objective
    known = there.exists & (slack > 0)
    ends, cuts = [], []
    for way, last, mine in ((-1.0, low, mine_low), (1.0, high, mine_high)):
        points = start + share * (last - start)
        points[:, -1:] = last
        # The optimum itself is within, whatever rounding says.
        passed = reduced.values(points)[:, 1:] > ceiling
        first = np.where(passed.any(axis=1), passed.argmax(axis=1), STRETCH_POINTS - 2)[:, None]
        sides = [np.take_along_axis(points, first + i, 1) for i in (0, 1)]
        end = way * first_root(reduced, over(way), way * sides[0], way * sides[1], ceiling)
        inside = end + INSIDE * (start - end)
        cut = ceiling - reduced.expanded(inside).objective > SHORT_OF_CEILING * slack
        # Beyond the last size that reaches a loss there is no pivot.
        end = np.where(reduced.pivoted(end)[1], end, inside)
        opened = cut & (end == last) & ~mine
        ends.append(end)
        cuts.append((opened, cut & ~opened))
    pivots = [reduced.pivoted(x)[0] for x in ends]
    opened, cut = zip(*cuts, strict=True)
    return Stretch(*(item[:, 0] for item in (*ends, *pivots, *opened, *cut, known)))


def _narrowed(reduced: Reduced) -> tuple[Reduced, np.ndarray, np.ndarray]:
    """The problem at the best extras, the best x there, and the state of it.

    By a lattice that is narrowed around its best point, until Newton's method converges.
    """
    count = len(reduced.line.extras)
    points, later = LATTICE[count]
    rounds = math.ceil(math.log(RESOLUTION) / math.log(2 / (later - 1)))
    box = reduced.pairs.box[1:]
    extras, x, state = box[:, 0].copy(), np.empty((len(reduced), 1)), np.empty((len(reduced), 1))
    rows, problem = np.arange(len(reduced)), reduced
    low, high = box[:, 0], box[:, 1]
    for turn in range(rounds + 1):
        share = np.linspace(0.0, 1.0, points)
        mesh = np.stack(np.meshgrid(*[share] * count, indexing="ij")).reshape(count, 1, -1)
        lattice = low[..., None] + mesh * (high - low)[..., None]
        centre, here, kind = _best_of(problem, lattice)
        extras[:, rows], x[rows], state[rows] = centre, here, kind
        step = (high - low) / (points - 1)
        if turn >= FIRST_ROUNDS:
            # In a valley Newton's method resolves what comparing losses cannot.
            found, at, done = _descended(problem.at(centre), here, kind == INTERIOR, step)
            extras[:, rows[done]], x[rows[done]] = found[:, done], at[done]
            rows, centre, step = rows[~done], centre[:, ~done], step[:, ~done]
            if not len(rows):
                break
            problem = reduced.take(rows)
        ends = problem.pairs.box[1:]
        low, high = np.maximum(centre - step, ends[:, 0]), np.minimum(centre + step, ends[:, 1])
        points = later
    return reduced.at(extras), x, state


def _best_of(reduced: Reduced, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best extras of a lattice (extras, pairs, points), the best x there, and its state."""
    pairs, points = lattice.shape[1:]
    size = max(1, AT_ONCE // points)
    found = []
    for rows in slices(pairs, size):
        some = lattice[:, rows]
        each = np.repeat(np.arange(pairs)[rows], points)
        many = reduced.take(each).at(some.reshape(len(lattice), -1))
        x, state = many.walked()
        value = np.broadcast_to(many.expanded(x).objective, x.shape)
        value = np.where((state == INFEASIBLE) | np.isnan(value), np.inf, value)
        best = np.argmin(value.reshape(-1, points), axis=1)
        place = np.arange(len(best)) * points + best
        found.append((some[:, np.arange(len(best)), best], x[place], state[place]))
    centres, places, states = zip(*found, strict=True)
    return np.concatenate(centres, axis=1), np.concatenate(places), np.concatenate(states)


def _descended(
    reduced: Reduced, x: np.ndarray, smooth: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extras and x by Newton's method in all of them, and for which pairs it converged.

    Args:
        reduced: the problem at the extras to begin with.
        x: where to begin, shape (pairs, 1).
        smooth: whether the optimum along x is, shape (pairs, 1).
        reach: how far the extras may go, shape (extras, pairs).
    """
    low, high = reduced.pairs.box[1:, 0], reduced.pairs.box[1:, 1]
    start = reduced.pairs.extras
    sound, converged = smooth[:, 0].copy(), np.zeros(len(x), dtype=bool)
    for _ in range(NEWTON_STEPS):
        extras = reduced.pairs.extras
        there = reduced.expanded(x)
        shape = (len(x), 1)
        gradient = np.array([np.broadcast_to(i, shape)[:, 0] for i in there.slope])
        hessian = np.array([[np.broadcast_to(i, shape)[:, 0] for i in k] for k in there.bend])
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
        converged = sound & (np.abs(step) <= LAST_STEP * np.maximum(np.abs(z), 1.0)).all(axis=0)
        reduced, x = reduced.at(moved[:-1]), moved[-1][:, None]
        if (converged | ~sound).all():
            break
    return reduced.pairs.extras, x, converged
