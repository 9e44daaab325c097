"""Least loss for a cost, or least cost for a loss, along the curve that the other one draws.

One column, the pivot (tokens, where the law has them), is eliminated: under a budget it is the most
that the budget and the limits allow, for a loss to be reached the least that reaches it. What is
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
from functools import cached_property, lru_cache, partial
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from scalefit.laws import Law
from scalefit.table import POSITIVE
from scalefit.tracing import Bound, Compiled, Function, closed_form, rewritten, trace

__all__ = [
    "INFEASIBLE",
    "INTERIOR",
    "LIMITED",
    "START",
    "UNBOUNDED",
    "Line",
    "Measure",
    "Optimum",
    "Setting",
    "Stretch",
    "newton",
    "newton_start",
    "solve",
    "stretch",
]

INTERIOR, LIMITED, UNBOUNDED, INFEASIBLE = range(4)

SCAN_POINTS = 512
# Nothing has fewer than one parameter or token, or more than this.
LARGEST = math.log(1e30)
# Points of the lattice over one, two, three further columns, first round and later ones.
LATTICE = {1: (33, 9), 2: (13, 7), 3: (9, 5)}
# Of the width of the range: closer than this to an optimum, losses are equal in float64.
RESOLUTION = 1e-9
# A derivative that its second one moves to zero within this vanishes at a smooth minimum; at a kink
# or an end it does not.
LAST_DIGITS = 1e-5
# In the walked coordinate: a search that ended this near an end of the range ran into it.
AT_END = 1e-12
# How far a limit may be passed by rounding.
ROUNDING = 1e-9
# Losses along a line that differ by less, relative, differ by rounding.
FLATTEST = 1e-12
# A Newton step this short, relative, ends a search: the next one would be of rounding.
SHORT = 1e-13
# A bracket this narrow, relative, holds no number between its ends worth telling apart.
NARROW = 4.0 * float(np.finfo(np.float64).eps)
# Every second iteration halves a bracket at least.
MOST_ITERATIONS = 200
# Pairs of a draw and a question that are solved together, and numbers that are scanned at once: as
# many as stay in a processor's cache.
AT_ONCE, SCANNED = 4096, 2**15
# Of the points of a scan one in so many is solved from scratch where the pivot has no closed form.
# From a line between two of those, three Newton steps leave less than the square of the last.
COARSE, COARSE_STEPS, NEAR = 8, 3, 1e-6
# Newton steps in all columns, after which a valley that they do not resolve is left to the lattice.
NEWTON_STEPS = 12
# A Newton step this short, relative, is the last one.
LAST_STEP = 1e-9
# Rounds of the lattice before Newton's method is tried: a valley's width away from the minimum it
# would be a guess.
FIRST_ROUNDS = 3
# A pivot of a symmetric matrix below this share of its diagonal has no digits left.
PIVOT_TOLERANCE = 1e-12
# Numbers that :func:`newton` begins with: ln walk, ln pivot, and an inverse Jacobian of 2 by 2.
START = 6
# What the pivot follows from: the level, nothing, or the slope of the loss in it; a limit has one
# plus its place.
LEVEL, FIXED, TURN = 0, -1, -2


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
        Optima of shape (draws, questions).
    """
    found: Optimum = _in_blocks(_solved, line, params, setting)
    return found


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
        The ends, each of shape (draws, questions).
    """
    found: Stretch = _in_blocks(_stretched, line, params, setting, start, ceiling)
    return found


def newton_start(
    line: Line, params: Mapping[str, np.ndarray], setting: Setting
) -> list[np.ndarray]:
    """What :func:`newton` begins with: the optima of one budget, and the inverse Jacobian there.

    Args:
        line: a question about a budget, without limits and extras.
        params: parameters of the law, each of shape (draws,).
        setting: its numbers, for one question.

    Returns:
        ``START`` arrays of shape (draws,).
    """
    found: _Start = _in_blocks(_started, line, params, setting)
    return [item[:, 0] for item in found]


def newton(
    line: Line, setting: Setting, params: Sequence[Any], start: Sequence[Any]
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
    programs = _programs(line, tuple(sorted(setting.held)))
    held = [float(setting.held[name][0]) for name in programs.held]
    level, fixed = math.log(float(np.ravel(setting.level)[0])), _is_fixed(*setting.box[0, 0])
    operations = programs.operations(programs.loss, programs.ln_cost)

    def conditions(params: Sequence[Any], x: Any, u: Any) -> tuple[Any, Any]:
        def at(x: Any, u: Any) -> list[Any]:
            return list(operations(*held, *params, x, u))

        (_, paid), (loss_x, paid_x) = jax.jvp(partial(at, u=u), (x,), (jnp.ones(()),))
        _, (loss_u, paid_u) = jax.jvp(partial(at, x), (u,), (jnp.ones(()),))
        return loss_x * paid_u - loss_u * paid_x, paid - level

    def optimum(params: Sequence[Any], start: Sequence[Any]) -> tuple[Any, Any, Any]:
        x, u, a, b, c, d = start
        for _ in range(2):
            tilt, over = conditions(params, x, u)
            x, u = x if fixed else x - (a * tilt + b * over), u - (c * tilt + d * over)
        return x, u, operations(*held, *params, x, u)[0]

    each = optimum
    for _ in range(max(jnp.ndim(item) for item in (*params, *start))):
        each = jax.vmap(each)
    x, u, loss = each(list(params), list(start))
    free = {line.pivot: jnp.exp(u)} if fixed else {line.walk: jnp.exp(x), line.pivot: jnp.exp(u)}
    return free, loss


class _Start(NamedTuple):
    """See :func:`newton_start`."""

    x: Any
    u: Any
    a: Any
    b: Any
    c: Any
    d: Any


def _started(reduced: _Reduced) -> _Start:
    x, _ = reduced.walked()
    u, _, _ = reduced.pivoted(x)
    found = [np.broadcast_to(item, x.shape)[:, 0] for item in reduced.run("expansion", x, u)]
    # Loss and cost by turns: values, slopes in x and u, second derivatives in xx, xu and uu.
    _, _, fx, gx, fu, gu, fxx, gxx, fxu, gxu, fuu, guu = found
    tilt_x = fxx * gu + fx * gxu - fxu * gx - fu * gxx
    tilt_u = fxu * gu + fx * guu - fuu * gx - fu * gxu
    fixed = _is_fixed(*reduced.pairs.box[0])
    gx, tilt_x, tilt_u = np.where(fixed, [[0.0], [1.0], [0.0]], [gx, tilt_x, tilt_u])
    scale = 1.0 / (tilt_x * gu - tilt_u * gx)
    return _Start(x[:, 0], u[:, 0], gu * scale, -tilt_u * scale, -gx * scale, tilt_x * scale)


def _is_fixed(low: Any, high: Any) -> Any:
    """Whether there is nothing to walk along between two ends."""
    return low == high


def _in_blocks(
    function: Callable[..., Any],
    line: Line,
    params: Mapping[str, Any],
    setting: Setting,
    *each: np.ndarray,
) -> Any:
    """Every pair of a draw and a question, a block of pairs at a time."""
    draws, count = len(next(iter(params.values()))), len(setting.box)
    level = np.broadcast_to(np.asarray(setting.level, dtype=np.float64), (draws, count)).ravel()
    names = tuple(sorted(setting.held))
    held = [np.asarray(setting.held[name]) for name in names]
    values = [np.asarray(params[name]) for name in line.law.names]
    rest = [np.moveaxis(np.asarray(item), 0, -1) for item in setting[2:]]
    extras = len(line.extras)
    size = AT_ONCE // LATTICE[extras][0] ** extras + 1 if extras else AT_ONCE
    blocks: list[Any] = []
    with np.errstate(all="ignore"):
        for start in range(0, draws * count, size):
            pair = np.arange(start, min(start + size, draws * count))
            draw, asked = np.divmod(pair, count)
            given = np.array([*(item[asked] for item in held), *(item[draw] for item in values)])
            pairs = _Pairs(
                given, level[pair], np.empty((0, len(pair))), *(i[..., asked] for i in rest)
            )
            reduced = _Reduced(_programs(line, names), pairs)
            blocks.append(function(reduced, *(item.ravel()[pair] for item in each)))

    def joined(*items: np.ndarray) -> np.ndarray:
        return np.concatenate(items).reshape(draws, count)

    return jax.tree.map(joined, *blocks)


def _solved(reduced: _Reduced) -> Optimum:
    line = reduced.line
    if line.extras:
        reduced, x, state = reduced.narrowed()
    else:
        x, state = reduced.walked()
    there = reduced.expanded(x)
    smooth = (state == INTERIOR) & (not line.extras)
    # How the optimum moves with the level: the derivative stays zero.
    dx = -there.cross / there.bend[-1][-1]
    du = there.level + there.pivot[-1] * dx
    paid = there.paid[-1] * du + there.paid[-2] * dx
    bend, gain = there.bend[-1][-1], -reduced.level * there.gain
    # What a relative change of the budget is worth, against that of a step of ln 2.
    waste = 0.5 * math.log(2) ** 2 * bend / gain
    walk = {line.walk: np.exp(x), line.pivot: np.exp(there.u)}
    free = zip(line.extras, line.logarithmic, reduced.extras, strict=True)
    columns = walk | {name: np.exp(p) if log else p for name, log, p in free}

    def flat(value: Any) -> np.ndarray:
        return np.array(np.broadcast_to(value, x.shape)[:, 0])

    return Optimum(
        {name: flat(value) for name, value in columns.items()},
        flat(there.loss),
        flat(np.exp(there.ln_cost)),
        flat(np.where(smooth, dx / paid, np.nan)),
        flat(np.where(smooth, du / paid, np.nan)),
        flat(there.rising),
        flat(np.nan if line.reverse else waste),
        flat(state),
    )


def _stretched(reduced: _Reduced, start: np.ndarray, ceiling: np.ndarray) -> Stretch:
    low, high, mine_low, mine_high = reduced.ends()

    def over(way: float) -> Any:
        def excess(reduced: _Reduced, x: np.ndarray, ceiling: np.ndarray) -> Any:
            there = reduced.expanded(way * x)
            value = np.where(there.feasible, there.objective - ceiling, np.inf)
            return value, way * there.slope[-1]

        return excess

    start, ceiling = start[:, None], ceiling[:, None]
    left = -_first(reduced, over(-1.0), -start, -low, ceiling)
    right = _first(reduced, over(1.0), start, high, ceiling)
    pivots = [reduced.pivoted(x)[0] for x in (left, right)]
    opened = (left <= low) & ~mine_low, (right >= high) & ~mine_high
    return Stretch(*(item[:, 0] for item in (left, right, *pivots, *opened)))


# What is traced


class _Programs:
    """The traced functions of a question, each traced when it is first asked for.

    Their arguments are held columns, parameters of the law, further columns in the coordinate
    walked, ln walk and ln pivot, in this order.
    """

    def __init__(self, line: Line, held: tuple[str, ...]) -> None:
        self.line, self.held = line, held
        self.count = len(held) + len(line.law.names) + len(line.extras) + 2
        # Limits that are functions bound the pivot of a budget, as the budget does.
        every = [i for i, limit in enumerate(line.limits) if limit.function is not None]
        self.bounding = [] if line.reverse else every
        self.affine = line.affine and not every

    def columns(self, given: Sequence[Any]) -> dict[str, Any]:
        """All columns."""
        line = self.line
        free = given[-2 - len(line.extras) :]
        found = dict(zip(self.held, given, strict=False))
        for name, logarithmic, value in zip(line.extras, line.logarithmic, free, strict=False):
            found[name] = jnp.exp(value) if logarithmic else value
        return {**found, line.walk: jnp.exp(free[-2]), line.pivot: jnp.exp(free[-1])}

    def loss(self, given: Sequence[Any]) -> Any:
        """The law."""
        law, columns = self.line.law, self.columns(given)
        params = dict(zip(law.names, given[len(self.held) :], strict=False))
        return jnp.reshape(law(*(jnp.asarray(columns[name]) for name in law.columns), **params), ())

    def cost(self, columns: Mapping[str, Any]) -> Any:
        """The cost."""
        values = (jnp.asarray(columns[name]) for name in self.line.cost_columns)
        return jnp.reshape(self.line.cost(*values), ())

    def ln_cost(self, given: Sequence[Any]) -> Any:
        """Logarithm of the cost."""
        return jnp.log(self.cost(self.columns(given)))

    def measure(self, given: Sequence[Any], place: int) -> Any:
        """The value of a limit."""
        return jnp.reshape(jnp.asarray(self.line.limits[place].value(self.columns(given))), ())

    def ln_measure(self, given: Sequence[Any], place: int) -> Any:
        """Its logarithm."""
        return jnp.log(self.measure(given, place))

    def operations(self, *functions: Callable[[Sequence[Any]], Any]) -> Callable[..., list[Any]]:
        """Functions of all arguments as one list of operations, without general powers."""
        positive = [name in POSITIVE for name in self.held]
        positive += [False] * (self.count - len(positive))
        plain = rewritten(lambda *given: [item(given) for item in functions], positive)
        return jaxpr_as_fun(closed_form(plain, [()] * self.count))

    @property
    def constraints(self) -> list[Callable[[Sequence[Any]], Any]]:
        """Logarithms of what may bind the pivot of a budget."""
        return [self.ln_cost, *(partial(self.ln_measure, place=place) for place in self.bounding)]

    @cached_property
    def objective(self) -> Function:
        """What is minimised: the loss, or the logarithm of the cost."""
        function = self.ln_cost if self.line.reverse else self.loss
        return trace(lambda *given: self.operations(function)(*given), self.count)

    @cached_property
    def measures(self) -> Function:
        """The value of each limit."""
        each = [partial(self.measure, place=place) for place in range(len(self.line.limits))]
        return trace(lambda *given: self.operations(*each)(*given), self.count)

    @cached_property
    def spent(self) -> Function:
        """The cost without any pivot, and its slope in the pivot: a straight line has one slope."""

        def both(*given: Any) -> list[Any]:
            def cost(pivot: Any) -> Any:
                return self.cost({**self.columns(given), self.line.pivot: pivot})

            return list(jax.jvp(cost, (jnp.zeros(()),), (jnp.ones(()),)))

        return trace(both, self.count)

    @cached_property
    def binding(self) -> Function:
        """What the pivot solves: the loss, or the constraints; values, then slopes in ln pivot."""
        functions = [self.loss] if self.line.reverse else self.constraints

        def both(*given: Any) -> list[Any]:
            value, slope = self._along_pivot(self.operations(*functions), given)
            return [*value, *slope]

        return trace(both, self.count)

    @cached_property
    def turning(self) -> Function:
        """Slope of the loss in ln pivot, and the slope of that."""

        def both(*given: Any) -> list[Any]:
            loss = self.operations(self.loss)

            def slope(*given: Any) -> list[Any]:
                return self._along_pivot(loss, given)[1]

            value, bend = self._along_pivot(slope, given)
            return [*value, *bend]

        return trace(both, self.count)

    @staticmethod
    def _along_pivot(function: Callable[..., list[Any]], given: Sequence[Any]) -> Any:
        def at(u: Any) -> list[Any]:
            return list(function(*given[:-1], u))

        return jax.jvp(at, (given[-1],), (jnp.ones(()),))

    @cached_property
    def expansion(self) -> Function:
        """Loss and constraints: values, then gradients and Hessians in extras, walk and pivot."""

        def every(*given: Any) -> list[Any]:
            operations = self.operations(self.loss, *self.constraints)
            first = self.count - len(self.line.extras) - 2
            here = tuple(given[first:])

            def unit(axis: int) -> tuple[Any, ...]:
                return tuple(jnp.asarray(1.0 * (i == axis)) for i in range(len(here)))

            def at(*values: Any) -> list[Any]:
                return list(operations(*given[:first], *values))

            def along(axis: int, *values: Any) -> list[Any]:
                return jax.jvp(at, values, unit(axis))[1]

            found = at(*here)
            for a in range(len(here)):
                found += along(a, *here)
            for a, b in combinations_with_replacement(range(len(here)), 2):
                found += jax.jvp(partial(along, a), here, unit(b))[1]
            return found

        return trace(every, self.count)


@lru_cache(maxsize=64)
def _programs(line: Line, held: tuple[str, ...]) -> _Programs:
    return _Programs(line, held)


# The question of some pairs


class _Pairs(NamedTuple):
    """The numbers of some pairs of a draw and a question, which are the last axis of each.

    Attributes:
        given: held columns in order, then parameters of the law; shape (given, pairs).
        level: shape (pairs,).
        extras: further columns in the coordinate walked, shape (extras, pairs).
        low: of each limit, shape (limits, pairs).
        high: the same.
        box: shape (1 + extras, 2, pairs).
        edge: shape (2, pairs).
        reach: the same.
    """

    given: np.ndarray
    level: np.ndarray
    extras: np.ndarray
    low: np.ndarray
    high: np.ndarray
    box: np.ndarray
    edge: np.ndarray
    reach: np.ndarray

    def take(self, rows: Any) -> _Pairs:
        """Some of them: places, or a slice."""
        return _Pairs(*(item[..., rows] for item in self))


class _Expansion(NamedTuple):
    """The reduced objective f(z) at a point, with z the extras and ln walk, and derivatives.

    Attributes:
        u: ln pivot.
        exists: whether the constraints leave a pivot.
        feasible: whether every limit holds too.
        loss: the law.
        ln_cost: logarithm of the cost.
        objective: f, one of the two.
        slope: gradient of f, a list over z.
        bend: Hessian of f, lists over z.
        pivot: du/dz.
        level: du/dlevel.
        gain: df/dlevel.
        cross: d^2 f / dlevel dx, with x ln walk.
        rising: derivative of the loss in u.
        paid: gradient of the logarithm of the cost in z and u.
    """

    u: Any
    exists: Any
    feasible: Any
    loss: Any
    ln_cost: Any
    objective: Any
    slope: list[Any]
    bend: list[list[Any]]
    pivot: list[Any]
    level: Any
    gain: Any
    cross: Any
    rising: Any
    paid: list[Any]


class _Reduced:
    """The problem with the pivot eliminated, of some pairs.

    Points x are values of ln walk, of shape (pairs, points); extras belong to the pair.
    """

    def __init__(self, programs: _Programs, pairs: _Pairs) -> None:
        self.programs, self.pairs, self.line = programs, pairs, programs.line
        self.level = pairs.level[:, None]
        self.extras = pairs.extras[..., None]
        self._bound: dict[str, Bound] = {}

    def __len__(self) -> int:
        return len(self.pairs.level)

    def take(self, rows: Any) -> _Reduced:
        """The problem of some of the pairs."""
        return _Reduced(self.programs, self.pairs.take(rows))

    def at(self, extras: np.ndarray) -> _Reduced:
        """The problem with other extras."""
        return _Reduced(self.programs, self.pairs._replace(extras=extras))

    def run(self, name: str, x: Any, u: Any) -> list[Any]:
        """The values of a traced function."""
        bound = self._bound.get(name)
        if bound is None:
            first = [*self.pairs.given[..., None], *self.extras]
            function = getattr(self.programs, name)
            if isinstance(function, Compiled):
                bound = partial(_padded, function, first)
            else:
                bound = function.bind(*first)
            self._bound[name] = bound
        return bound(x, u)

    def _ln(self, name: str, x: Any) -> Any:
        """Logarithm of a column other than the pivot; of no column, that of one."""
        line = self.line
        if name == line.walk:
            return x
        if name in line.extras:
            place = line.extras.index(name)
            value = self.extras[place]
            return value if line.logarithmic[place] else np.log(value)
        if name in self.programs.held:
            return np.log(self.pairs.given[self.programs.held.index(name)][:, None])
        return np.zeros(1)

    # The pivot

    def pivoted(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ln of the pivot, whether there is one, and which constraint is active.

        Under a budget the most that it and the limits allow, for a loss the least that reaches it.
        """
        return self._reaching(x) if self.line.reverse else self._affording(x)

    def _tightest(self, x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the pivot at the tightest limit on it or on its ratio to a column, and which."""
        bound, active = start, np.full(start.shape, FIXED)
        ends = self.pairs.low if self.line.reverse else self.pairs.high
        for i, limit in enumerate(self.line.limits):
            if limit.top == self.line.pivot:
                end = np.log(np.maximum(ends[i], 0.0))[:, None] + self._ln(limit.bottom, x)
                tighter = end > bound if self.line.reverse else end < bound
                bound, active = np.where(tighter, end, bound), np.where(tighter, 1 + i, active)
        return bound, active

    def _affording(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        most, active = self._tightest(x, np.full(x.shape, LARGEST))
        if self.programs.affine:
            base, slope = self.run("spent", x, np.zeros(1))
            left = self.level - base
            ok = left > 0
            u = np.log(np.where(ok, left, 1.0) / slope)
            active = np.where(u <= most, LEVEL, active)
            u = np.minimum(u, most)
        else:
            none = np.zeros(x.shape)
            ok, whole = (_excess(self, end, x)[0] <= 0 for end in (none, most))
            u = _first(self, _excess, np.where(whole, most, none), most, x)
            active = np.where(whole, active, _binding(self, u, x)[2])
        if self.line.turns:
            turn, turned = self._turning(x, u)
            active, u = np.where(turned & (turn < u), TURN, active), np.minimum(u, turn)
        return u, ok & (u >= 0), active

    def _reaching(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        least, active = self._tightest(x, np.zeros(x.shape))
        # Farther out than optima are looked for a law may do anything, and rise again.
        reach = self.pairs.reach[1][:, None]
        most = np.minimum(LARGEST, np.maximum(x + reach, least))
        if self.line.turns:
            most = self._turning(x, most)[0]
        ok = _missing(self, most, x)[0] >= 0
        level = ok & ~(_missing(self, least, x)[0] >= 0)
        u = _first(self, _missing, np.where(level, least, most), most, x)
        return np.where(level, u, least), ok, np.where(level, LEVEL, active)

    def _turning(self, x: np.ndarray, most: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the loss stops falling with the pivot, and whether it does before ``most``."""

        def slope(reduced: _Reduced, u: np.ndarray, x: np.ndarray) -> Any:
            return reduced.run("turning", x, u)

        turned = slope(self, most, x)[0] > 0
        return _first(self, slope, np.where(turned, 0.0, most), most, x), turned

    # The reduced objective

    def values(self, x: np.ndarray) -> np.ndarray:
        """The objective at equally spaced points; infinite where a limit is passed."""
        u, ok = self._pivots(x)
        (value,) = self.run("objective", x, u)
        return np.where(ok & self._within(x, u) & np.isfinite(value), value, np.inf)

    def _pivots(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the pivot and whether there is one, at equally spaced points.

        Where it has to be searched for, a few of the points are solved, and Newton's method goes
        on from straight lines between them.
        """
        count = x.shape[1]
        explicit = self.programs.affine and not self.line.reverse
        if explicit or self.line.turns or count < 4 * COARSE:
            return self.pivoted(x)[:2]
        knots = np.append(np.arange(0, count - 1, COARSE), count - 1)
        coarse, there, _ = self.pivoted(x[:, knots])
        left = np.minimum(np.arange(count) // COARSE, len(knots) - 2)
        share = (np.arange(count) - knots[left]) / (knots[left + 1] - knots[left])
        u = coarse[:, left] + share * (coarse[:, left + 1] - coarse[:, left])
        known = there[:, left] & there[:, left + 1]
        function = _missing if self.line.reverse else _excess
        for _ in range(COARSE_STEPS):
            value, slope = function(self, u, x)
            step = value / slope
            u = u - step
        if self.line.reverse:
            end, _ = self._tightest(x, np.zeros(x.shape))
            inside = (u > end) & (u < np.minimum(LARGEST, x + self.pairs.reach[1][:, None]))
        else:
            end, _ = self._tightest(x, np.full(x.shape, LARGEST))
            inside = (u < end) & (u > 0)
        known = known & inside & (slope > 0) & (np.abs(step) < NEAR)
        if not known.all():
            # Beside an end of a limit, or of what can be reached.
            rows, columns = np.nonzero(~known)
            found, exists, _ = self.take(rows).pivoted(x[rows, columns][:, None])
            u[rows, columns], known[rows, columns] = found[:, 0], exists[:, 0]
        return u, known

    def _within(self, x: np.ndarray, u: np.ndarray) -> Any:
        """Whether every limit holds."""
        ok: Any = True
        if self.line.limits:
            low, high = self.pairs.low[..., None], self.pairs.high[..., None]
            for i, value in enumerate(self.run("measures", x, u)):
                ok = ok & ((value >= low[i] - ROUNDING * np.abs(low[i])) | np.isneginf(low[i]))
                ok = ok & ((value <= high[i] + ROUNDING * np.abs(high[i])) | np.isposinf(high[i]))
        return ok

    def expanded(self, x: np.ndarray) -> _Expansion:
        """The objective with derivatives: those of the pivot follow from its active constraint."""
        u, ok, active = self.pivoted(x)
        found = self.run("expansion", x, u)
        n, kinds = len(self.extras) + 1, 2 + len(self.programs.bounding)
        blocks = [found[i : i + kinds] for i in range(0, len(found), kinds)]
        pairs = list(combinations_with_replacement(range(n + 1), 2))
        first = blocks[1 : n + 2]
        second = dict(zip(pairs, blocks[n + 2 :], strict=True))
        for (a, b), block in list(second.items()):
            second[b, a] = block
        axes = range(n)

        def chosen(block: list[Any]) -> Any:
            """A derivative of the active constraint."""
            picked = block[0 if self.line.reverse else 1]
            for place, limit in enumerate(self.programs.bounding):
                picked = np.where(active == 1 + limit, block[2 + place], picked)
            return picked

        gu, guu = chosen(first[n]), chosen(second[n, n])
        slopes = [-chosen(first[a]) / gu for a in axes]
        mixed = [chosen(second[a, n]) for a in axes]

        def bent(a: int, b: int) -> Any:
            whole = chosen(second[a, b]) + mixed[a] * slopes[b] + mixed[b] * slopes[a]
            return -(whole + guu * slopes[a] * slopes[b]) / gu

        bends = [[bent(a, b) for b in axes] for a in axes]
        level = (1.0 if self.line.reverse else 1.0 / self.level) / gu
        level_slope = -(mixed[-1] + guu * slopes[-1]) * level / gu
        if (active != LEVEL).any():
            slopes, bends = self._elsewhere(active, slopes, bends, first, second)
            level, level_slope = (np.where(active == LEVEL, i, 0.0) for i in (level, level_slope))
        loss, ln_cost = blocks[0][:2]
        k = 1 if self.line.reverse else 0
        fu, fuu = first[n][k], second[n, n][k]
        slope = [first[a][k] + fu * slopes[a] for a in axes]
        bend = [
            [
                second[a, b][k]
                + second[a, n][k] * slopes[b]
                + second[b, n][k] * slopes[a]
                + fuu * slopes[a] * slopes[b]
                + fu * bends[a][b]
                for b in axes
            ]
            for a in axes
        ]
        cross = second[n - 1, n][k] * level + fuu * slopes[-1] * level + fu * level_slope
        objective = blocks[0][k]
        return _Expansion(
            u,
            ok,
            ok & self._within(x, u) & np.isfinite(objective),
            loss,
            ln_cost,
            objective,
            slope,
            bend,
            slopes,
            level,
            fu * level,
            cross,
            first[n][0],
            [item[1] for item in first],
        )

    def _elsewhere(
        self, active: np.ndarray, slopes: list[Any], bends: list[list[Any]], first: Any, second: Any
    ) -> tuple[list[Any], list[list[Any]]]:
        """Derivatives of the pivot where neither the level nor a function decides it."""
        line, n = self.line, len(slopes)
        free = active <= FIXED
        for i, limit in enumerate(line.limits):
            free |= (active == 1 + i) & (limit.top == line.pivot)
        slopes = [np.where(free, 0.0, item) for item in slopes]
        bends = [[np.where(free, 0.0, item) for item in row] for row in bends]
        for i, limit in enumerate(line.limits):
            here = active == 1 + i
            if limit.top != line.pivot or not here.any():
                continue
            # The pivot is a multiple of a column.
            if limit.bottom == line.walk:
                slopes[-1] = np.where(here, 1.0, slopes[-1])
            elif limit.bottom in line.extras:
                place = line.extras.index(limit.bottom)
                value = 1.0 if line.logarithmic[place] else self.extras[place]
                slopes[place] = np.where(here, 1.0 / value, slopes[place])
                bent = 0.0 if line.logarithmic[place] else -1.0 / value**2
                bends[place][place] = np.where(here, bent, bends[place][place])
        if (active == TURN).any():
            # Its second derivatives are of no account where the loss has no slope in it.
            for a in range(n):
                turn = -second[a, n][0] / second[n, n][0]
                slopes[a] = np.where(active == TURN, turn, slopes[a])
        return slopes, bends

    # The walk

    def ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Ends of the range that is scanned, and whether each is a limit of the user's.

        Whatever the pivot is divided by, its ratio falls along the walk, so that a limit on it is
        an end of the walk.
        """
        line, pairs = self.line, self.pairs
        low, high = pairs.box[0][0], pairs.box[0][1]
        mine_low, mine_high = pairs.edge.astype(bool)
        limits = [limit for limit in line.limits if limit.top == line.pivot]
        places = [i for i, limit in enumerate(line.limits) if limit.top == line.pivot]
        bottoms = [line.walk, line.walk, *(limit.bottom for limit in limits)]
        if line.reverse:
            ends = [np.log(pairs.high[i]) for i in places]
        else:
            ends = [np.log(np.maximum(pairs.low[i], 0.0)) for i in places]
        value = np.stack([pairs.reach[1], pairs.reach[0], *ends], axis=1)
        shape = value.shape

        def below(reduced: _Reduced, x: np.ndarray, value: np.ndarray) -> Any:
            """How far the ratio is below a value, by what it is divided by."""
            there = reduced.expanded(x)
            under = [reduced._ln(name, x[:, [i]]) for i, name in enumerate(bottoms)]
            under = np.concatenate([np.broadcast_to(i, (len(x), 1)) for i in under], axis=1)
            height = np.where(there.exists, there.u - under, np.inf if line.reverse else -np.inf)
            own = np.array([name == line.walk for name in bottoms], dtype=np.float64)
            return value - height, own - there.pivot[-1]

        found = np.where(np.isposinf(value), low[:, None], high[:, None])
        known = np.isfinite(value).any(axis=0)
        if known.any():
            bottoms = [name for name, some in zip(bottoms, known, strict=True) if some]
            start, end = (np.broadcast_to(item[:, None], shape)[:, known] for item in (low, high))
            crossed = _first(self, below, start, end, value[:, known])
            found[:, known] = np.where(np.isfinite(value[:, known]), crossed, found[:, known])
        start, stop = found[:, 0], found[:, 1]
        mine_low, mine_high = mine_low & (start <= low), mine_high & (stop >= high)
        low, high = np.maximum(low, start), np.minimum(high, stop)
        for end in found[:, 2:].T:
            if line.reverse:
                mine_low, low = mine_low | (end > low), np.maximum(low, end)
            else:
                mine_high, high = mine_high | (end < high), np.minimum(high, end)
        return low[:, None], high[:, None], mine_low[:, None], mine_high[:, None]

    def walked(self) -> tuple[np.ndarray, np.ndarray]:
        """The best x, and the state of it, each of shape (pairs, 1)."""
        low, high, mine_low, mine_high = self.ends()
        count = 1 if (low == high).all() else SCAN_POINTS
        points = low + (high - low) * np.linspace(0.0, 1.0, count)
        points[:, -1:] = high
        value = np.concatenate(
            [
                self.take(rows).values(points[rows])
                for rows in _slices(len(points), max(1, SCANNED // count))
            ]
        )
        best = np.argmin(value, axis=1)[:, None]
        least = np.take_along_axis(value, best, 1)
        first, middle, last = (
            np.take_along_axis(points, np.clip(best + i, 0, count - 1), 1) for i in (-1, 0, 1)
        )
        x, left, right = _bracketed(self, _descending, first, last, middle, middle)
        there = self.expanded(x)
        # At the border of what is feasible the root may lie outside by rounding.
        inside = np.where(x < middle, right, left)
        if not there.feasible.all():
            x = np.where(there.feasible, x, inside)
            there = self.expanded(x)
        at_low, at_high = x - points[:, :1] < AT_END, points[:, -1:] - x < AT_END
        x = np.where(at_low, points[:, :1], np.where(at_high, points[:, -1:], x))
        # Where a limit begins to bind the derivative jumps across zero.
        tilt, bend = there.slope[-1], there.bend[-1][-1]
        interior = (np.abs(tilt) < LAST_DIGITS * bend) & ~(at_low | at_high)
        open_end = (at_low & ~mine_low) | (at_high & ~mine_high)
        # A loss that is equal along the whole line has a least one by rounding only.
        top = np.where(np.isfinite(value), value, -np.inf).max(axis=1, keepdims=True)
        level = (top - least <= FLATTEST * np.abs(least)) & (points[:, :1] < points[:, -1:])
        state = np.where(open_end | level, UNBOUNDED, np.where(interior, INTERIOR, LIMITED))
        return x, np.where(np.isfinite(least), state, INFEASIBLE)

    # Further free columns

    def narrowed(self) -> tuple[_Reduced, np.ndarray, np.ndarray]:
        """The problem at the best extras, the best x there, and the state of it.

        By a lattice that is narrowed around its best point, until Newton's method converges.
        """
        count = len(self.line.extras)
        points, later = LATTICE[count]
        rounds = math.ceil(math.log(RESOLUTION) / math.log(2 / (later - 1)))
        box = self.pairs.box[1:]
        extras, x, state = box[:, 0].copy(), np.empty((len(self), 1)), np.empty((len(self), 1))
        rows, problem = np.arange(len(self)), self
        low, high = box[:, 0], box[:, 1]
        for turn in range(rounds + 1):
            share = np.linspace(0.0, 1.0, points)
            mesh = np.stack(np.meshgrid(*[share] * count, indexing="ij")).reshape(count, 1, -1)
            lattice = low[..., None] + mesh * (high - low)[..., None]
            centre, here, kind = problem._best_of(lattice)
            extras[:, rows], x[rows], state[rows] = centre, here, kind
            step = (high - low) / (points - 1)
            if turn >= FIRST_ROUNDS:
                # In a valley Newton's method resolves what comparing losses cannot.
                found, at, done = problem.at(centre)._descended(here, kind == INTERIOR, step)
                extras[:, rows[done]], x[rows[done]] = found[:, done], at[done]
                rows, centre, step = rows[~done], centre[:, ~done], step[:, ~done]
                if not len(rows):
                    break
                problem = self.take(rows)
            ends = problem.pairs.box[1:]
            low, high = np.maximum(centre - step, ends[:, 0]), np.minimum(centre + step, ends[:, 1])
            points = later
        return self.at(extras), x, state

    def _best_of(self, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best extras of a lattice (extras, pairs, points), the best x there, and its state."""
        pairs, points = lattice.shape[1:]
        size = max(1, AT_ONCE // points)
        found = []
        for rows in _slices(pairs, size):
            some = lattice[:, rows]
            each = np.repeat(np.arange(pairs)[rows], points)
            many = self.take(each).at(some.reshape(len(lattice), -1))
            x, state = many.walked()
            value = np.broadcast_to(many.expanded(x).objective, x.shape)
            value = np.where((state == INFEASIBLE) | np.isnan(value), np.inf, value)
            best = np.argmin(value.reshape(-1, points), axis=1)
            place = np.arange(len(best)) * points + best
            found.append((some[:, np.arange(len(best)), best], x[place], state[place]))
        centre, x, state = zip(*found, strict=True)
        return np.concatenate(centre, axis=1), np.concatenate(x), np.concatenate(state)

    def _descended(
        self, x: np.ndarray, smooth: np.ndarray, reach: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Extras and x by Newton's method in all of them, and for which pairs it converged.

        Args:
            x: where to begin, shape (pairs, 1).
            smooth: whether the optimum along x is, shape (pairs, 1).
            reach: how far the extras may go, shape (extras, pairs).
        """
        low, high = self.pairs.box[1:, 0], self.pairs.box[1:, 1]
        start, reduced = self.pairs.extras, self
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
            step, definite = _newton_step(gradient, hessian, held)
            z = np.concatenate([extras, x.T])
            moved = z - step
            inside = (
                (moved[:-1] >= low) & (moved[:-1] <= high) & (np.abs(moved[:-1] - start) <= reach)
            )
            sound &= definite & inside.all(axis=0)
            moved = np.where(sound, moved, z)
            converged = sound & (np.abs(step) <= LAST_STEP * np.maximum(np.abs(z), 1.0)).all(axis=0)
            reduced, x = reduced.at(moved[:-1]), moved[-1][:, None]
            if (converged | ~sound).all():
                break
        return reduced.pairs.extras, x, converged


def _descending(reduced: _Reduced, x: np.ndarray, middle: np.ndarray) -> Any:
    """Derivative of the objective along the walk; towards the middle where a limit is passed."""
    there = reduced.expanded(x)
    outside = np.where(x < middle, -np.inf, np.inf)
    return np.where(there.feasible, there.slope[-1], outside), there.bend[-1][-1]


def _binding(reduced: _Reduced, u: np.ndarray, x: np.ndarray) -> Any:
    """How far the tightest constraint of a budget is passed, its slope in u, and which it is."""
    found = reduced.run("binding", x, u)
    half = len(found) // 2
    value, slope = found[0] - np.log(reduced.level), found[half]
    which = np.full(np.shape(value), LEVEL)
    for place, limit in enumerate(reduced.programs.bounding, 1):
        other = found[place] - np.log(reduced.pairs.high[limit])[:, None]
        tighter = ~(other <= value)
        value, slope = (
            np.where(tighter, other, value),
            np.where(tighter, found[half + place], slope),
        )
        which = np.where(tighter, 1 + limit, which)
    return value, slope, which


def _excess(reduced: _Reduced, u: np.ndarray, x: np.ndarray) -> Any:
    return _binding(reduced, u, x)[:2]


def _missing(reduced: _Reduced, u: np.ndarray, x: np.ndarray) -> Any:
    """How far the loss is below its level, and the slope of that in u."""
    loss, slope = reduced.run("binding", x, u)
    return reduced.level - loss, -slope


def _newton_step(
    gradient: np.ndarray, hessian: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's step to be taken off, with some columns held, and where the Hessian is definite.

    Args:
        gradient: shape (k, pairs).
        hessian: shape (k, k, pairs).
        held: shape (k, pairs).
    """
    size = len(gradient)
    unit = np.eye(size)[..., None]
    matrix = np.where(held[:, None] | held[None, :], unit, hessian)
    work = np.concatenate([matrix, np.where(held, 0.0, gradient)[:, None]], axis=1)
    definite = np.ones(gradient.shape[1], dtype=bool)
    for j in range(size):
        pivot = work[j, j]
        good = pivot > PIVOT_TOLERANCE * np.abs(matrix[j, j])
        row = work[j] / np.where(good, pivot, 1.0)
        # Every other row loses its entry in column j; row j becomes the scaled one.
        work = work - (work[:, j] - unit[:, j])[:, None] * row[None]
        definite &= good
    return work[:, -1], definite


# Roots


def _first(
    reduced: _Reduced,
    function: Callable[..., Any],
    low: np.ndarray,
    high: np.ndarray,
    *more: np.ndarray,
) -> np.ndarray:
    """Where a function turns positive; ``low`` if it is at once, ``high`` if it never does.

    Where it turns back again farther out, one of the places where it turns positive.
    """
    shape = np.broadcast_shapes(low.shape, high.shape, *(item.shape for item in more))
    low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    top = np.where(function(reduced, low, *more)[0] > 0, low, high)
    # From the middle: near the ends of a range a law may do anything.
    x, _, right = _bracketed(reduced, function, low, top, 0.5 * (low + top), *more)
    never = (right >= top) & (top - x <= 2 * NARROW * np.maximum(np.abs(top), 1.0))
    return np.where(never, top, x)


def _bracketed(
    reduced: _Reduced,
    function: Callable[..., Any],
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
    *more: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots by Newton's method inside brackets, which are halved where it makes no progress.

    Args:
        reduced: the problem.
        function: of it, of points of shape (pairs, points) and of ``more``; value and slope. What
            counts is where the value turns positive, be it by a jump.
        low: lower ends of the brackets, shape (pairs, points).
        high: upper ends.
        start: where to begin, in the brackets.
        *more: further arguments, with a leading axis of pairs.

    Returns:
        The roots, and what is left of the brackets.
    """
    every = [np.array(item, dtype=np.float64) for item in (start, low, high)]
    x, low, high = (item.copy() for item in every)
    finished = ~(high > low)
    before = np.full(x.shape, np.inf)
    rows = np.arange(len(x))
    for _ in range(MOST_ITERATIONS):
        alive = ~finished.all(axis=1)
        left = int(alive.sum())
        if 2 * left <= len(alive):
            for whole, item in zip(every, (x, low, high), strict=True):
                whole[rows] = item
            if not left:
                break
            reduced, rows = reduced.take(alive), rows[alive]
            x, low, high, finished, before = (
                item[alive] for item in (x, low, high, finished, before)
            )
            more = tuple(item[alive] for item in more)
        value, slope = function(reduced, x, *more)
        over = value > 0
        low, high = np.where(over, low, x), np.where(over, x, high)
        step = -value / slope
        moved, middle = x + step, 0.5 * (low + high)
        size, scale = np.abs(step), np.maximum(np.abs(x), 1.0)
        short = size <= SHORT * scale
        quick = (moved > low) & (moved < high) & (size < 0.5 * before)
        ahead = np.where(short, np.clip(moved, low, high), np.where(quick, moved, middle))
        before = np.abs(ahead - x)
        x = np.where(finished, x, ahead)
        finished = finished | short | ~(high - low > NARROW * scale)
    else:
        for whole, item in zip(every, (x, low, high), strict=True):
            whole[rows] = item
    return every[0], every[1], every[2]


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _padded(function: Compiled, first: Sequence[Any], *rest: Any) -> list[Any]:
    """A compiled function at arrays that broadcast, in few shapes: each takes a compilation."""
    every = np.broadcast_arrays(*first, *rest)
    shape, count = every[0].shape, every[0].size
    size = 2 ** max(math.ceil(math.log2(count)), 9)
    flat = [np.resize(item, (size, 1)) for item in every]
    return [item.reshape(size)[:count].reshape(shape) for item in function.bind()(*flat)]
