"""Least loss for a cost, or least cost for a loss, along the line that the other one draws.

One column, the pivot (tokens, where the law has them), is eliminated: under a budget it is the most
that the budget and the limits allow, for a loss to be reached the least that reaches it. What is
left is walked along another column (model size): scanned over its whole range, then the sign of the
derivative is bisected, which finds an optimum to rounding, at a smooth minimum, at the kink where a
limit begins to bind and at the end of the range alike. Comparing losses could not: near an optimum
they differ by the square of the distance. Further free columns are scanned on a lattice around that
walk, which is narrowed until it resolves no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.fitting.powers import quick
from scalefit.fitting.small import solve_dense
from scalefit.laws import Law

__all__ = [
    "INFEASIBLE",
    "INTERIOR",
    "LIMITED",
    "UNBOUNDED",
    "Line",
    "Measure",
    "Optimum",
    "Setting",
    "Stretch",
    "solve",
    "solve_one",
    "stretch",
]

INTERIOR, LIMITED, UNBOUNDED, INFEASIBLE = range(4)

SCAN_POINTS = 512
# The bracket is a few scan steps wide (0.3 in ln N at most); 60 halvings leave less than rounding.
BISECTIONS = 60
# Nothing has fewer than one parameter or token, or more than this.
LARGEST = math.log(1e30)
# Points of the lattice over one, two, three further columns, first round and later ones.
LATTICE = {1: (33, 9), 2: (13, 7), 3: (9, 5)}
# Of the width of the range: closer than this to an optimum, losses are equal in float64.
RESOLUTION = 1e-9
# A Newton step from the end of a bisection moves nothing but the last digits; a longer one is no
# step towards a smooth minimum, as at a kink.
LAST_DIGITS = 1e-5
# In the walked coordinate: a bisection that ended this near an end of the range ran into it.
AT_END = 1e-12
# How far a limit may be passed by rounding.
ROUNDING = 1e-9
# Losses along a line that differ by less, relative, differ by rounding.
FLATTEST = 1e-12
# Pairs of a draw and a question: one program for every number of them (see :func:`_in_blocks`).
AT_ONCE = 128


class Measure(NamedTuple):
    """What a limit is put on: a column, a ratio of two, or a function of columns.

    Attributes:
        name: how reports call it.
        top: the column, or the numerator; empty for a function.
        bottom: the denominator; empty if there is none.
        function: of the columns in ``needs``, in order, or None.
        needs: the columns it reads.
    """

    name: str
    top: str
    bottom: str
    function: Callable[..., Any] | None
    needs: tuple[str, ...]

    def value(self, columns: Mapping[str, Any]) -> Any:
        """The measure at these columns."""
        if self.function is not None:
            return self.function(*(columns[name] for name in self.needs))
        return columns[self.top] / (columns[self.bottom] if self.bottom else 1.0)


class Line(NamedTuple):
    """A question as far as it shapes a program; hashable.

    Attributes:
        law: of the loss.
        cost: function of ``cost_columns``.
        cost_columns: the columns that it reads.
        walk: the column that is walked along.
        pivot: the column that is eliminated.
        extras: further free columns that vary continuously.
        logarithmic: for each of the extras, whether it is walked in the logarithm.
        limits: what is limited.
        reverse: whether the cost is minimised for a loss, not the loss for a cost.
        affine: whether the cost is a + b * pivot with the other columns held.
        turns: whether the law may rise with the pivot, so that a budget is not spent to the end.
    """

    law: Law
    cost: Callable[..., Any]
    cost_columns: tuple[str, ...]
    walk: str = "N"
    pivot: str = "D"
    extras: tuple[str, ...] = ()
    logarithmic: tuple[bool, ...] = ()
    limits: tuple[Measure, ...] = ()
    reverse: bool = False
    affine: bool = True
    turns: bool = False


class Setting(NamedTuple):
    """The numbers of a question.

    Attributes:
        level: the budget in the unit of the cost, or the loss; shape ().
        held: columns that are held, each of shape ().
        low: of each limit, -inf where there is none; shape (limits,).
        high: of each limit, inf where there is none; shape (limits,).
        box: ends of the walked column and of each of the extras, in the coordinate walked; shape
            (1 + extras, 2).
        edge: whether the ends of the walked column are limits of the user's; shape (2,).
        reach: logarithms of pivot/walk between which an optimum is looked for; shape (2,).
    """

    level: Any
    held: Mapping[str, Any]
    low: Any
    high: Any
    box: Any
    edge: Any
    reach: Any


class Optimum(NamedTuple):
    """What was found, each of shape (draws, questions), or () for one.

    Attributes:
        columns: the free columns.
        loss: the law there.
        cost: the cost there.
        n_exponent: d ln walk / d ln cost, where the optimum is smooth; else NaN.
        d_exponent: d ln pivot / d ln cost, likewise.
        rising: d loss / d ln pivot there: positive where more of it hurts.
        waste: share of the budget that twice or half the walked column wastes, to second order;
            NaN where the cost is minimised.
        state: ``INTERIOR``, ``LIMITED``, ``UNBOUNDED`` or ``INFEASIBLE``.
    """

    columns: Mapping[str, Any]
    loss: Any
    cost: Any
    n_exponent: Any
    d_exponent: Any
    rising: Any
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
    """

    low: Any
    high: Any
    pivot_low: Any
    pivot_high: Any
    open_low: Any
    open_high: Any


def solve(line: Line, params: Mapping[str, np.ndarray], setting: Setting) -> Optimum:
    """Every question under every draw.

    Args:
        line: the question.
        params: parameters of the law, each of shape (draws,).
        setting: its numbers, each with a leading axis of questions; the level may have one of draws
            before it.

    Returns:
        Optima of shape (draws, questions), on the host.
    """
    return Optimum(*_in_blocks(_solved_block, line, params, setting))


def stretch(
    line: Line,
    params: Mapping[str, np.ndarray],
    setting: Setting,
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
        The ends, each of shape (draws, questions), on the host.
    """
    return Stretch(*_in_blocks(_stretched_block, line, params, setting, start, ceiling))


def _in_blocks(
    program: Any, line: Line, params: Mapping[str, Any], setting: Setting, *each: Any
) -> Any:
    """Every pair of a draw and a question, a block of pairs at a time, the last one filled up.

    So that one program serves one budget and twenty, a fit and an ensemble: compiling takes
    seconds, a block milliseconds.
    """
    draws, count = len(next(iter(params.values()))), len(setting.box)
    level = np.broadcast_to(setting.level, (draws, count))
    rest = setting._replace(level=np.zeros(count))
    blocks: list[Any] = []
    for start in range(0, draws * count, AT_ONCE):
        pair = np.minimum(np.arange(start, start + AT_ONCE), draws * count - 1)
        draw, asked = np.divmod(pair, count)
        some = {name: np.asarray(values)[draw] for name, values in params.items()}
        part = jax.tree.map(lambda item, asked=asked: np.asarray(item)[asked], rest)
        part = part._replace(level=level[draw, asked])
        found = program(line, some, part, *(item[draw, asked] for item in each))
        blocks.append(jax.device_get(found))

    def joined(*items: np.ndarray) -> np.ndarray:
        return np.concatenate(items)[: draws * count].reshape(draws, count)

    return jax.tree.map(joined, *blocks)


@partial(jax.jit, static_argnames="line")
def _solved_block(line: Line, params: Any, setting: Setting) -> Optimum:
    found: Optimum = jax.vmap(partial(solve_one, line))(params, setting)
    return found


@partial(jax.jit, static_argnames="line")
def _stretched_block(
    line: Line, params: Any, setting: Setting, start: Any, ceiling: Any
) -> Stretch:
    def one(params: Any, setting: Setting, start: Any, ceiling: Any) -> Stretch:
        return _stretched(_Road(line, params, setting), start, ceiling)

    found: Stretch = jax.vmap(one)(params, setting, start, ceiling)
    return found


def _stretched(road: _Road, start: Any, ceiling: Any) -> Stretch:
    none = jnp.zeros(0)
    low, high, mine_low, mine_high = road.ends(none)

    def over(x: Any) -> jax.Array:
        inside = road.feasible(x, none)
        return ~inside | (road.objective(x, none, road.setting.level) > ceiling)

    left = -_first(lambda x: over(-x), -start, -low)
    right = _first(over, start, high)
    pivots = [road.pivoted(x, none, road.setting.level)[0] for x in (left, right)]
    open_low = (left <= low) & ~mine_low
    return Stretch(left, right, pivots[0], pivots[1], open_low, (right >= high) & ~mine_high)


def solve_one(line: Line, params: Mapping[str, Any], setting: Setting) -> Optimum:
    """One question; every number of shape (). Differentiable twice where the optimum is smooth."""
    road = _Road(line, params, setting)
    extras, box = jnp.zeros(0), setting.box[1:]
    if line.extras:
        extras = road.narrowed(box)
    x, state = road.walked(extras)
    smooth = state == INTERIOR
    if line.extras:
        # Once the lattice has found the valley, Newton's method in all columns at once resolves
        # what comparing losses cannot.
        z = jnp.concatenate([x[None], extras])
        for _ in range(3):
            z = road.stepped_jointly(z, smooth, box)
        x, extras = z[0], z[1:]
    (x, u), (dx, du) = road.placed(x, extras, smooth)
    columns = road.columns(x, u, extras)
    plain = smooth & (not line.extras)
    return Optimum(
        {name: columns[name] for name in (line.walk, line.pivot, *line.extras)},
        road.loss(columns),
        road.cost(columns),
        jnp.where(plain, dx, jnp.nan),
        jnp.where(plain, du, jnp.nan),
        jax.grad(lambda u: road.loss(road.columns(x, u, extras)))(u),
        road.wasted(x, extras),
        state,
    )


class _Road:
    """The question of one draw, as functions of the walked coordinate x and the extras p."""

    def __init__(self, line: Line, params: Mapping[str, Any], setting: Setting) -> None:
        self.line, self.params, self.setting = line, params, setting
        self.law = quick(line.law)

    def columns(self, x: Any, u: Any, extras: Any) -> dict[str, Any]:
        line = self.line
        free = {
            name: jnp.exp(extras[i]) if line.logarithmic[i] else extras[i]
            for i, name in enumerate(line.extras)
        }
        return {**self.setting.held, line.walk: jnp.exp(x), line.pivot: jnp.exp(u), **free}

    def loss(self, columns: Mapping[str, Any]) -> jax.Array:
        values = (jnp.asarray(columns[name]) for name in self.line.law.columns)
        return jnp.reshape(self.law(*values, **self.params), ())

    def cost(self, columns: Mapping[str, Any]) -> jax.Array:
        values = (jnp.asarray(columns[name]) for name in self.line.cost_columns)
        return jnp.reshape(self.line.cost(*values), ())

    def objective(self, x: Any, extras: Any, level: Any) -> jax.Array:
        """What is minimised: the loss, or the logarithm of the cost."""
        u, _ = self.pivoted(x, extras, level)
        columns = self.columns(x, u, extras)
        return jnp.log(self.cost(columns)) if self.line.reverse else self.loss(columns)

    def feasible(self, x: Any, extras: Any) -> jax.Array:
        u, ok = self.pivoted(x, extras, self.setting.level)
        columns = self.columns(x, u, extras)
        for i, limit in enumerate(self.line.limits):
            value = limit.value(columns)
            low, high = self.setting.low[i], self.setting.high[i]
            ok &= (value >= low - ROUNDING * jnp.abs(low)) | jnp.isneginf(low)
            ok &= (value <= high + ROUNDING * jnp.abs(high)) | jnp.isposinf(high)
        return ok & jnp.isfinite(self.objective(x, extras, self.setting.level))

    # The pivot

    def pivoted(self, x: Any, extras: Any, level: Any) -> tuple[jax.Array, jax.Array]:
        """Ln of the pivot that the level leaves, and whether there is one."""
        return (self._reaching if self.line.reverse else self._affording)(x, extras, level)

    def _bound(self, x: Any, extras: Any, ends: Any, pick: Any, start: Any) -> jax.Array:
        """Ln of the pivot at the tightest limit that is put on it or on its ratio to a column."""
        columns, bound = self.columns(x, 0.0, extras), jnp.asarray(start)
        for i, limit in enumerate(self.line.limits):
            if limit.top == self.line.pivot:
                below = columns[limit.bottom] if limit.bottom else 1.0
                bound = pick(bound, jnp.log(jnp.maximum(ends[i], 0.0)) + jnp.log(below))
        return bound

    def _affording(self, x: Any, extras: Any, level: Any) -> tuple[jax.Array, jax.Array]:
        """The most that the budget and the limits allow."""
        most = self._bound(x, extras, self.setting.high, jnp.minimum, LARGEST)
        functions = [(i, m) for i, m in enumerate(self.line.limits) if m.function is not None]

        def excess(u: Any) -> jax.Array:
            columns = self.columns(x, u, extras)
            over = jnp.log(self.cost(columns) / level)
            for i, limit in functions:
                over = jnp.maximum(over, jnp.log(limit.value(columns) / self.setting.high[i]))
            return over

        if self.line.affine and not functions:

            def spent(pivot: Any) -> jax.Array:
                return self.cost({**self.columns(x, 0.0, extras), self.line.pivot: pivot})

            base, slope = jax.value_and_grad(spent)(0.0)
            left = level - base
            ok = left > 0
            u = jnp.minimum(jnp.log(jnp.where(ok, left, 1.0) / slope), most)
        else:
            ok = excess(0.0) <= 0
            whole = excess(most) <= 0
            u = _first(lambda u: excess(u) > 0, 0.0, most)
            u = jnp.where(whole, most, _rooted(excess, jnp.where(whole, 0.0, u)))
        if self.line.turns:
            u = jnp.minimum(u, self._turning(x, extras, u))
        return u, ok & (u >= 0)

    def _reaching(self, x: Any, extras: Any, level: Any) -> tuple[jax.Array, jax.Array]:
        """The least that reaches the loss and the limits."""
        least = self._bound(x, extras, self.setting.low, jnp.maximum, 0.0)
        # Farther out than optima are looked for a law may do anything, and rise again.
        most = jnp.minimum(LARGEST, jnp.maximum(x + self.setting.reach[1], least))
        if self.line.turns:
            most = self._turning(x, extras, most)

        def excess(u: Any) -> jax.Array:
            return self.loss(self.columns(x, u, extras)) - level

        ok = excess(most) <= 0
        whole = excess(least) <= 0
        u = _first(lambda u: excess(u) <= 0, least, most)
        u = jnp.where(ok & ~whole, _rooted(excess, u), least)
        return u, ok

    def _turning(self, x: Any, extras: Any, most: Any) -> jax.Array:
        """Where the loss stops falling with the pivot; ``most`` if it falls all the way."""
        slope = jax.grad(lambda u: self.loss(self.columns(x, u, extras)))
        u = _first(lambda u: slope(u) > 0, 0.0, most)
        turned = slope(most) > 0
        return jnp.where(turned, _rooted(slope, u), most)

    # The walk

    def ends(self, extras: Any) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Ends of the range that is scanned, and whether each is a limit of the user's.

        Whatever the pivot is divided by, its ratio falls along the walk, so that a limit on it is
        an end of the walk.
        """
        low, high = self.setting.box[0]
        mine_low, mine_high = self.setting.edge

        def height(x: Any, bottom: Any) -> jax.Array:
            u, ok = self.pivoted(x, extras, self.setting.level)
            below = jnp.log(bottom(self.columns(x, u, extras)))
            return jnp.where(ok, u - below, jnp.inf if self.line.reverse else -jnp.inf)

        def crossing(bottom: Any, value: Any) -> jax.Array:
            found = _first(lambda x: height(x, bottom) < value, *self.setting.box[0])
            return jnp.where(jnp.isneginf(value), self.setting.box[0][1], found)

        def ratio(columns: Mapping[str, Any]) -> Any:
            return columns[self.line.walk]

        reach_low, reach_high = self.setting.reach
        start = _first(lambda x: height(x, ratio) <= reach_high, low, high)
        high_reach = _first(lambda x: height(x, ratio) < reach_low, low, high)
        mine_low &= start <= low
        mine_high &= high_reach >= high
        low, high = jnp.maximum(low, start), jnp.minimum(high, high_reach)
        for i, limit in enumerate(self.line.limits):
            if limit.top != self.line.pivot:
                continue

            def bottom(columns: Mapping[str, Any], limit: Measure = limit) -> Any:
                return columns[limit.bottom] if limit.bottom else jnp.asarray(1.0)

            if self.line.reverse:
                value = jnp.log(self.setting.high[i])
                end = _first(lambda x, b=bottom, v=value: height(x, b) <= v, *self.setting.box[0])  # type: ignore[misc]
                mine_low, low = mine_low | (end > low), jnp.maximum(low, end)
            else:
                value = jnp.log(jnp.maximum(self.setting.low[i], 0.0))
                end = crossing(bottom, value)
                mine_high, high = mine_high | (end < high), jnp.minimum(high, end)
        return low, high, mine_low, mine_high

    def walked(self, extras: Any) -> tuple[jax.Array, jax.Array]:
        """The best x, and the state of it."""
        level = self.setting.level
        low, high, mine_low, mine_high = self.ends(extras)
        points = jnp.linspace(low, high, SCAN_POINTS)
        value = jax.vmap(self.objective, (0, None, None))(points, extras, level)
        value = jnp.where(jax.vmap(self.feasible, (0, None))(points, extras), value, jnp.inf)
        value = jnp.where(jnp.isnan(value), jnp.inf, value)
        best = jnp.argmin(value)
        middle = points[best]
        slope = jax.grad(self.objective)

        def falling(x: Any) -> jax.Array:
            return jnp.where(self.feasible(x, extras), slope(x, extras, level) < 0, x < middle)

        def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            x = 0.5 * (low + high)
            down = falling(x)
            return jnp.where(down, x, low), jnp.where(down, high, x)

        first, last = (
            points[jnp.maximum(best - 1, 0)],
            points[jnp.minimum(best + 1, len(points) - 1)],
        )
        ends = lax.stop_gradient(lax.fori_loop(0, BISECTIONS, halve, (first, last)))
        x = 0.5 * (ends[0] + ends[1])
        # At the border of what is feasible the middle may lie outside by rounding.
        x = jnp.where(self.feasible(x, extras), x, jnp.where(x < middle, ends[1], ends[0]))
        at_low, at_high = x - points[0] < AT_END, points[-1] - x < AT_END
        x = jnp.where(at_low, points[0], jnp.where(at_high, points[-1], x))
        # Where a limit begins to bind the derivative jumps across zero.
        tilt, bend = jax.jvp(lambda x: slope(x, extras, level), (x,), (jnp.ones_like(x),))
        interior = (jnp.abs(tilt) < LAST_DIGITS * bend) & ~(at_low | at_high)
        state = jnp.where(interior, INTERIOR, LIMITED)
        open_end = (at_low & ~mine_low) | (at_high & ~mine_high)
        # A loss that is equal along the whole line has a least one by rounding only.
        top = jnp.max(jnp.where(jnp.isfinite(value), value, -jnp.inf))
        level_line = top - value[best] <= FLATTEST * jnp.abs(value[best])
        state = jnp.where(open_end | (level_line & (points[0] < points[-1])), UNBOUNDED, state)
        return x, jnp.where(jnp.isfinite(value[best]), state, INFEASIBLE)

    def best_along(self, extras: Any) -> jax.Array:
        x, state = self.walked(extras)
        value = self.objective(x, extras, self.setting.level)
        return jnp.where(state == INFEASIBLE, jnp.inf, jnp.where(jnp.isnan(value), jnp.inf, value))

    def placed(self, x: Any, extras: Any, smooth: Any) -> tuple[Any, Any]:
        """Ln walk and ln pivot at the optimum, and the slope of each in ln cost."""
        slope = jax.grad(self.objective)

        def found(level: Any) -> tuple[Any, Any]:
            best = x
            if not self.line.extras:
                root = _rooted(lambda x: slope(x, extras, level), x)
                best = jnp.where(smooth, root, x)
            u, _ = self.pivoted(best, extras, level)
            return (best, u), jnp.log(self.cost(self.columns(best, u, extras)))

        level = jnp.asarray(self.setting.level)
        (place, _), (moved, paid) = jax.jvp(found, (level,), (jnp.ones_like(level),))
        return place, (moved[0] / paid, moved[1] / paid)

    def wasted(self, x: jax.Array, extras: Any) -> jax.Array:
        """Share of the budget that a step of ln 2 along the walk wastes, to second order."""
        if self.line.reverse:
            return jnp.asarray(jnp.nan)
        level = self.setting.level
        bend = jax.grad(jax.grad(self.objective))(x, extras, level)
        # What a relative change of the budget is worth.
        gain = -level * jax.grad(self.objective, 2)(x, extras, level)
        return 0.5 * math.log(2) ** 2 * bend / gain

    # Further free columns

    def narrowed(self, box: jax.Array) -> jax.Array:
        """The extras of the best walk, by a lattice that is narrowed around its best point."""
        count = len(self.line.extras)
        first, later = LATTICE[count]
        value = jax.vmap(self.best_along)

        def scanned(low: jax.Array, high: jax.Array, points: int) -> tuple[jax.Array, jax.Array]:
            share = jnp.linspace(0.0, 1.0, points)
            mesh = jnp.stack(jnp.meshgrid(*[share] * count, indexing="ij"), -1).reshape(-1, count)
            lattice = low + mesh * (high - low)
            return lattice[jnp.argmin(value(lattice))], (high - low) / (points - 1)

        def again(_: Any, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            centre, step = state
            low = jnp.maximum(centre - step, box[:, 0])
            return scanned(low, jnp.minimum(centre + step, box[:, 1]), later)

        rounds = math.ceil(math.log(RESOLUTION) / math.log(2 / (later - 1)))
        centre, _ = lax.fori_loop(0, rounds, again, scanned(box[:, 0], box[:, 1], first))
        return lax.stop_gradient(centre)

    def stepped_jointly(self, z: jax.Array, smooth: Any, box: jax.Array) -> jax.Array:
        def value(z: jax.Array) -> jax.Array:
            return self.objective(z[0], z[1:], self.setting.level)

        slope, bend = jax.grad(value)(z), jax.hessian(value)(z)
        # A column that stays at an end of its range is none of the step's.
        held = jnp.concatenate([jnp.zeros(1, bool), (z[1:] <= box[:, 0]) | (z[1:] >= box[:, 1])])
        bend = jnp.where(held[:, None] | held[None, :], jnp.eye(len(z)), bend)
        step, ok = solve_dense(bend, jnp.where(held, 0.0, slope))
        moved = z - jnp.where(held, 0.0, step)
        inside = jnp.all((moved[1:] >= box[:, 0]) & (moved[1:] <= box[:, 1]))
        take = smooth & ok & inside & (jnp.max(jnp.abs(step)) < 10 * LAST_DIGITS)
        return jnp.where(take, moved, z)


def _first(crossed: Callable[[Any], Any], low: Any, high: Any) -> jax.Array:
    """Where a condition that is false first and then true turns; ``high`` if it never does.

    Where it turns back again farther out, one of the places where it turns true.
    """

    def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        over = crossed(middle)
        return jnp.where(over, low, middle), jnp.where(over, middle, high)

    start = jnp.asarray(low, dtype=jnp.float64), jnp.asarray(high, dtype=jnp.float64)
    bottom, top = lax.fori_loop(0, BISECTIONS, halve, start)
    never = (top == start[1]) & ~crossed(high)
    found = jnp.where(never, start[1], 0.5 * (bottom + top))
    return lax.stop_gradient(jnp.where(crossed(low), start[0], found))


def _rooted(function: Callable[[Any], Any], near: Any) -> jax.Array:
    """A root that bisection found, to the last digits and with every derivative.

    Bisection has no derivative; that of a root follows from the function's own. Where the function
    has a kink there, the value stays what bisection found.
    """

    def solve(function: Callable[[Any], Any], near: jax.Array) -> jax.Array:
        value, slope = jax.value_and_grad(function)(near)
        step = value / jnp.where(slope == 0, 1.0, slope)
        return near - jnp.where(jnp.abs(step) < LAST_DIGITS, step, 0.0)

    def tangent(linear: Callable[[Any], Any], value: Any) -> Any:
        slope = linear(1.0)
        return value / jnp.where(slope == 0, 1.0, slope)

    found: jax.Array = lax.custom_root(function, lax.stop_gradient(near), solve, tangent)
    return found
