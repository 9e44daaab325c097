"""Polish: from the best cells to optima of the true objective, exact to rounding.

Damped Newton in scaled coordinates: each coefficient is multiplied by the root mean square of its
column (so it is the size of that term in the loss, whatever the units), nonlinear parameters keep
their grid coordinate. Every iteration tries two steps, each with a damping of its own, and keeps
the better:

- Gauss-Newton with the weights psi(r)/r, whose parabola lies above the objective (raw, relative):
  it makes headway from afar, where most rows sit on the linear part of the Huber loss;
- Newton with the exact second derivative, which ends a nearly-L1 problem in a few steps once the
  rows on either side of delta are sorted out, where the first would creep.

Where many nonlinear parameters make the valley curved, each trial step is followed by a new
solution of the coefficients alone (variable projection), and the better of the two counts.

The sum of absolute residuals has no second derivative, and its optimum passes through some rows
exactly. It is approached through Huber losses of smaller and smaller delta, each polish starting
where the last one ended. The influences of the last one are the multipliers of the rows passed
through; one more polish of the Huber loss of r + psi (the method of multipliers) takes those rows
to zero, where smaller deltas would drown in rounding. The duality gap says how close that came.

Bounds are kept by projection with an active set read off the gradient at every iteration. A batch
of starts is one program; a fit is a batch of one table.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit import objective as obj
from scalefit.fitting.grid import Candidates
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.fitting.small import solve_dense

__all__ = ["Polished", "Terms", "design", "polish", "scales"]

# A nearly-L1 objective on noise without a law has taken 600; a table with a law takes 5 to 130.
MOST_ITERATIONS = 1000

# The loop stops when a Newton step promises less than this share of the objective. Below about
# 1e-15 the objective no longer sees an improvement; the finishing steps go on by the gradient.
PROMISE = 1e-11
FINISHING_STEPS = 3

# An objective this small relative to the squared loss is rounding: the law passes through all rows.
ROUNDING = 1e-28

# Absolute residuals: delta starts at their mean and shrinks by this factor from stage to stage,
# each polished until a step promises less than this share, down to this share of the mean. Below
# the least, in the unit of the loss, rounding of the rows would be felt.
SMOOTHING_SHRINK = 0.1
SMOOTHING_PROMISE = 1e-3
SMOOTHING_END = 1e-5
SMOOTHING_LEAST = 1e-12

# A row that should be passed through, but is not yet, is worth less than PROMISE at the end.
ABSOLUTE_PROMISE = 1e-13

# Along rows passed through a step is as short as delta is small: real tables take 60 to 7000.
MOST_ABSOLUTE_ITERATIONS = 20_000

DAMPING_START = 1e-3
DAMPING_SHRINK = 0.1
DAMPING_GROW = 8.0
DAMPING_LEAST = 1e-15
DAMPING_MOST = 1e12


class Polished(NamedTuple):
    """End points of the starts, in the units of the table; on the device, then on the host.

    Attributes:
        coefficients: free linear coefficients, raw units, shape (starts, k).
        coordinates: free nonlinear coordinates, shape (starts, q).
        value: objective, shape (starts,).
        promise: decrease a further Newton step promises, relative to the objective, (starts,).
        duality: gap between the sum of absolute residuals and that of multiplier times residual,
            below which it cannot fall while the law is as good as linear, relative to the
            objective; 0 unless residuals are absolute, shape (starts,).
        stationary: largest cosine between the influence of the rows and a free Jacobian column, 0
            at an optimum, shape (starts,).
        iterations: shape (starts,).
        active: which free parameters are held by a bound, shape (starts, p).
        gauss_newton: J^T W J at the end, in scaled coordinates, shape (starts, p, p). W has the
            weights psi(r)/r, or those of the table where residuals are absolute.
    """

    coefficients: Any
    coordinates: Any
    value: Any
    promise: Any
    duality: Any
    stationary: Any
    iterations: Any
    active: Any
    gauss_newton: Any


class _Local(NamedTuple):
    """The objective around a point, in scaled coordinates; ``rows`` are its residuals."""

    rows: jax.Array
    value: jax.Array
    gradient: jax.Array
    newton: jax.Array
    gauss_newton: jax.Array
    design: jax.Array
    stationary: jax.Array


class _Record(NamedTuple):
    """A point and what is known there."""

    point: jax.Array
    local: _Local
    promise: jax.Array


class _State(NamedTuple):
    """The best record so far and the point to look at next."""

    best: _Record
    point: jax.Array
    damping: jax.Array
    finishing: jax.Array
    iteration: jax.Array
    done: jax.Array


def scales(problem: Problem, data: Data, coordinates: Any) -> jax.Array:
    """Root mean square of each coefficient's column, raw units of the column, shape (k,)."""
    return Terms(problem, data, coordinates).scale(coordinates)


def design(problem: Problem, data: Data, start: Any) -> Terms:
    """The law around a point: coefficients of unit-size columns, then coordinates.

    Args:
        problem: the problem.
        data: rows, padded.
        start: the point, shape (p,); scales of coefficients with finite bounds are those there.
    """
    return Terms(problem, data, jnp.asarray(start)[len(problem.owners) :])


def polish(
    problem: Problem,
    data: Data,
    settings: Settings,
    starts: Candidates,
    limit: Any = MOST_ITERATIONS,
) -> Polished:
    """Optima of the objective reached from each start.

    Args:
        problem: the problem.
        data: rows, padded.
        settings: bounds.
        starts: points to set out from, coefficients in raw units.
        limit: iterations at most.
    """

    def one(coefficients: jax.Array, start: jax.Array) -> Polished:
        scaled = coefficients * scales(problem, data, start) / data.unit
        return _polish_one(problem, data, settings, scaled, start, limit)

    return jax.vmap(one)(starts.coefficients, starts.coordinates)


def _polish_one(
    problem: Problem,
    data: Data,
    settings: Settings,
    coefficients: jax.Array,
    start: jax.Array,
    limit: Any,
) -> Polished:
    k = len(problem.owners)
    terms = Terms(problem, data, start)

    def rows_at(point: jax.Array) -> jax.Array:
        return obj.residuals(data.measure, data.response, terms.predict(point))

    def total(rows: jax.Array, smooth: _Smoothing) -> jax.Array:
        how = data.measure._replace(delta=smooth.delta)
        return jnp.sum(_weighted(data.weight, obj.penalty(how, rows + smooth.shift)))

    def value(point: jax.Array, smooth: _Smoothing) -> jax.Array:
        return total(rows_at(point), smooth)

    def local(point: jax.Array, smooth: _Smoothing) -> _Local:
        how = data.measure._replace(delta=smooth.delta)
        model = terms.expand(point)
        plain_rows = obj.residuals(how, data.response, model.value)
        rows = plain_rows + smooth.shift
        first, second = obj.residual_derivatives(how, model.value)
        psi = _weighted(data.weight, obj.influence(how, rows))
        bend = _weighted(data.weight, obj.curvature(how, rows))
        above = _weighted(data.weight, obj.reweighting(how, rows))
        plain = _weighted(data.weight, jnp.ones_like(rows))
        slope = model.slope  # (rows, p)
        outer = jnp.stack([bend * first**2 + psi * second, above * first**2, plain * first**2])
        products = jnp.einsum("mn,np,nq->mpq", outer, slope, slope)
        pull = psi * first
        gradient = pull @ slope
        sizes = jnp.sqrt(jnp.sum((slope * first[:, None]) ** 2, axis=0) * jnp.sum(psi**2))
        return _Local(
            rows=plain_rows,
            value=total(plain_rows, smooth),
            gradient=gradient,
            newton=products[0] + model.bend(pull),
            gauss_newton=products[1],
            design=products[2],
            stationary=jnp.abs(gradient) / jnp.where(sizes > 0, sizes, 1.0),
        )

    plainly = _Smoothing(jnp.asarray(data.measure.delta), jnp.zeros_like(data.response))
    factor = jnp.concatenate([terms.scale(start) / data.unit, jnp.ones(len(problem.nonlinear))])
    lower, upper = settings.lower * factor, settings.upper * factor
    first = jnp.clip(jnp.concatenate([coefficients, start]), lower, upper)
    if problem.constant is not None:
        # A squared fit may predict a loss without logarithm: then set out from a constant one.
        alone = np.array([owner == problem.constant for owner in problem.owners], dtype=float)
        sizes = alone * terms.scale(start)  # of a level's rows: the root of their share
        flat = jnp.concatenate([sizes / jnp.linalg.norm(sizes), start])
        both = jnp.stack([first, jnp.clip(flat, lower, upper)])
        possible = jax.vmap(rows_at)(both)
        chosen = jnp.where(jnp.isfinite(total(possible[0], plainly)), 0, 1)
        first, rows = both[chosen], possible[chosen]
    else:
        rows = rows_at(first)

    def resolve(point: jax.Array) -> jax.Array:
        """The point with its coefficients at their least squares, to first order, for its rest."""
        rows = rows_at(point)
        influence = obj.reweighting(data.measure, jnp.where(jnp.isfinite(rows), rows, 0.0))
        columns, known = terms.columns(point[k:]), terms.known(point[k:])
        weighted = (data.metric * influence)[:, None] * columns
        solved, ok = solve_dense(weighted.T @ columns, weighted.T @ (data.response - known))
        solved = jnp.clip(solved, lower[:k], upper[:k])
        return jnp.concatenate([jnp.where(ok, solved, point[:k]), point[k:]])

    absolute = data.measure.absolute
    whole = absolute & (limit >= MOST_ITERATIONS)
    most = jnp.where(whole, MOST_ABSOLUTE_ITERATIONS, limit)

    def multipliers(rows: jax.Array, smooth: _Smoothing) -> jax.Array:
        """Influence of each row on a smoothed sum of absolute residuals, over delta."""
        return jnp.clip((rows + smooth.shift) / smooth.delta, -1.0, 1.0)

    def stage(last: _Stage) -> _Stage:
        rows = last.state.best.local.rows
        mean = jnp.sum(_weighted(data.weight, jnp.abs(rows))) / jnp.sum(data.weight)
        least = jnp.maximum(SMOOTHING_END * mean, SMOOTHING_LEAST)
        delta = jnp.maximum(jnp.minimum(SMOOTHING_SHRINK * last.smooth.delta, mean), least)
        # A precise stage is the last but one, or, of an objective that is smooth, the only one.
        final = ~absolute | last.precise
        smooth = _Smoothing(
            delta=jnp.where(absolute, jnp.where(final, last.smooth.delta, delta), plainly.delta),
            shift=jnp.where(
                absolute & final, last.smooth.delta * multipliers(rows, last.smooth), 0.0
            ),
        )
        precise = final | (delta <= least)
        share = jnp.where(absolute, ABSOLUTE_PROMISE, PROMISE)
        goal = _Goal(jnp.where(precise, share, SMOOTHING_PROMISE), precise, most)
        state = _minimise(
            value,
            local,
            last.state,
            smooth,
            goal,
            lower,
            upper,
            resolve if problem.scattered and k else None,
        )
        return _Stage(smooth, precise, final, state)

    last = lax.while_loop(
        lambda last: ~last.final & (last.state.iteration < most),
        stage,
        _Stage(plainly, jnp.asarray(False), jnp.asarray(False), _untried(first, rows)),
    )
    end = last.state.best
    active = _active(end.point, end.local.gradient, lower, upper)
    rows = end.local.rows
    gap = jnp.abs(rows) - multipliers(rows, last.smooth) * rows
    size, gap = (jnp.sum(_weighted(data.weight, each)) for each in (jnp.abs(rows), gap))
    promise = end.promise / jnp.maximum(end.local.value, ROUNDING)
    return Polished(
        coefficients=end.point[:k] * data.unit / terms.scale(end.point[k:]),
        coordinates=end.point[k:],
        value=jnp.where(absolute, size, end.local.value) * data.measure.factor,
        promise=jnp.where(last.final, promise, jnp.inf),
        duality=jnp.where(absolute & (size > 0), gap / jnp.where(size > 0, size, 1.0), 0.0),
        stationary=jnp.max(jnp.where(active, 0.0, end.local.stationary), initial=0.0),
        iterations=last.state.iteration,
        active=active,
        gauss_newton=jnp.where(absolute, end.local.design, end.local.gauss_newton),
    )


class _Smoothing(NamedTuple):
    """Penalty of a stage: Huber of delta, at the residuals plus a shift, shape (rows,)."""

    delta: jax.Array
    shift: jax.Array


class _Goal(NamedTuple):
    """When a stage ends: share of the objective promised, whether to finish, most iterations."""

    promise: jax.Array
    precise: jax.Array
    most: jax.Array


class _Stage(NamedTuple):
    """Where the polish of one smoothing ended; the final stage ends at the optimum."""

    smooth: _Smoothing
    precise: jax.Array
    final: jax.Array
    state: _State


class _Model(NamedTuple):
    """The prediction around a point: rows, slope (rows, p), and its contracted curvature."""

    value: jax.Array
    slope: jax.Array
    bend: Any


class Terms:
    """The law as a sum of scaled coefficients times columns of unit size.

    The derivatives use that form: a column is differentiated only in the coordinates it sees, and
    second derivatives among coefficients are known to vanish.
    """

    def __init__(self, problem: Problem, data: Data, start: jax.Array) -> None:
        self.problem = problem
        self.data = data
        # A finite bound on a coefficient is a box only if the scale of its column stays put.
        self.held = [
            self._size(problem.columns(i, data, start)) if "finite" in limits and seen else None
            for i, (limits, seen) in enumerate(zip(problem.limits, problem.axes_seen, strict=True))
        ]

    def _size(self, columns: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(self.data.metric[:, None] * columns**2, axis=0))

    def scale(self, coordinates: jax.Array) -> jax.Array:
        """Root mean square of each coefficient's column, shape (k,)."""
        sizes = [
            self._size(self.problem.columns(i, self.data, coordinates)) if held is None else held
            for i, held in enumerate(self.held)
        ]
        return jnp.concatenate(sizes) if sizes else jnp.zeros(0)

    def _columns(self, index: int, coordinates: Any) -> jax.Array:
        """Columns of one linear parameter, of unit size, shape (rows, width)."""
        columns = self.problem.columns(index, self.data, coordinates)
        held = self.held[index]
        return columns / (self._size(columns) if held is None else held)

    def predict(self, point: jax.Array) -> jax.Array:
        """Prediction of each row in ``data.unit``."""
        k = len(self.problem.owners)
        value = self.known(point[k:])
        for index, part in enumerate(self._split(point)):
            value = value + self._columns(index, point[k:]) @ part
        return value

    def _split(self, point: jax.Array) -> list[jax.Array]:
        """Coefficients of each linear parameter."""
        parts, first = [], 0
        for index in range(len(self.problem.linear)):
            parts.append(point[first : first + self.problem.widths[index]])
            first += self.problem.widths[index]
        return parts

    def columns(self, coordinates: Any) -> jax.Array:
        """Every coefficient's column, of unit size, shape (rows, k)."""
        every = range(len(self.problem.linear))
        return jnp.concatenate([self._columns(i, coordinates) for i in every], axis=1)

    def known(self, coordinates: Any) -> jax.Array:
        """Part of the prediction without free coefficients, in ``data.unit``, shape (rows,)."""
        if self.problem.axes_known is None:
            return jnp.zeros_like(self.data.response)
        return self.problem.known(self.data, coordinates) / self.data.unit

    def expand(self, point: jax.Array) -> _Model:
        """Prediction, slope and curvature at a point."""
        k = len(self.problem.owners)
        q = len(self.problem.nonlinear)
        coordinates = point[k:]
        value = jnp.zeros_like(self.data.response)
        blocks: list[jax.Array] = []  # slopes in the coefficients, (rows, width) each
        slopes: list[Any] = [jnp.zeros_like(value)] * q  # in the coordinates
        # Second derivatives: (linear parameter, coordinate) -> (rows, width), and (coordinate,
        # coordinate) -> (rows,), one triangle. Among coefficients they vanish.
        mixed: dict[tuple[int, int], Any] = {}
        bends: dict[tuple[int, int], Any] = {}

        def add(seen: tuple[int, ...], slope: jax.Array, bend: jax.Array) -> None:
            for a, m in enumerate(seen):
                slopes[m] = slopes[m] + slope[:, a]
                for b, other in enumerate(seen[a:], start=a):
                    bends[m, other] = bends.get((m, other), 0.0) + bend[:, a, b]

        for index, (seen, part) in enumerate(
            zip(self.problem.axes_seen, self._split(point), strict=True)
        ):
            columns, slope, bend = _derivatives(partial(self._columns, index), coordinates, seen)
            value = value + columns @ part
            blocks.append(columns)
            add(seen, jnp.einsum("ngs,g->ns", slope, part), jnp.einsum("ngst,g->nst", bend, part))
            for a, m in enumerate(seen):
                mixed[index, m] = slope[:, :, a]
        if self.problem.axes_known is not None:
            seen = self.problem.axes_known
            known, slope, bend = _derivatives(self.known, coordinates, seen)
            value = value + known
            add(seen, slope, bend)

        def contract(weights: jax.Array) -> jax.Array:
            """Sum over rows of weight times second derivative, shape (p, p)."""
            corner: list[list[Any]] = [[jnp.zeros(())] * q for _ in range(q)]
            for (m, other), rows in bends.items():
                corner[m][other] = corner[other][m] = weights @ rows
            cross = [
                jnp.stack(
                    [
                        weights @ mixed[index, m]
                        if (index, m) in mixed
                        else jnp.zeros(self.problem.widths[index])
                        for m in range(q)
                    ],
                    axis=1,
                )
                for index in range(len(blocks) if q else 0)
            ]
            side = jnp.concatenate([*cross, jnp.zeros((0, q))])
            inner = jnp.stack([jnp.stack(row) for row in corner]) if q else jnp.zeros((0, 0))
            upper = jnp.concatenate([jnp.zeros((k, k)), side.reshape(k, q)], axis=1)
            return jnp.concatenate([upper, jnp.concatenate([side.reshape(k, q).T, inner], axis=1)])

        spread = [jnp.broadcast_to(slope, value.shape)[:, None] for slope in slopes]
        return _Model(value, jnp.concatenate([*blocks, *spread], axis=1), contract)


def _derivatives(
    columns: Any, coordinates: jax.Array, seen: tuple[int, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Columns, and their slope and curvature in the coordinates they see as further axes."""
    places = jnp.asarray(seen, dtype=int)

    def of_seen(values: jax.Array) -> jax.Array:
        return columns(coordinates.at[places].set(values))

    values = coordinates[places]
    if not seen:
        rows = of_seen(values)
        return rows, jnp.zeros((*rows.shape, 0)), jnp.zeros((*rows.shape, 0, 0))

    if len(seen) == 1:
        # Along one coordinate two nested tangents do, without the batches of a Jacobian.
        def along(at: jax.Array) -> jax.Array:
            return of_seen(at[None])

        def slope_along(at: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(along, (at,), (jnp.ones(()),))

        (rows, slope), (_, bend) = jax.jvp(slope_along, (values[0],), (jnp.ones(()),))
        return rows, slope[..., None], bend[..., None, None]

    # Each derivative hands on what it was taken of, so that the columns are traced once.
    def rows_twice(at: jax.Array) -> tuple[jax.Array, jax.Array]:
        rows = of_seen(at)
        return rows, rows

    def slope_and_all(at: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        slope, rows = jax.jacfwd(rows_twice, has_aux=True)(at)
        return slope, (slope, rows)

    bend, (slope, rows) = jax.jacfwd(slope_and_all, has_aux=True)(values)
    return rows, slope, bend


def _weighted(weight: Any, terms: jax.Array) -> jax.Array:
    """Weight times term, zero for padding rows even where the term is infinite."""
    return jnp.where(weight > 0, weight * terms, 0.0)


def _active(point: jax.Array, gradient: jax.Array, lower: jax.Array, upper: jax.Array) -> jax.Array:
    """Parameters held by a bound: at it, with the objective falling beyond it."""
    return ((point <= lower) & (gradient >= 0)) | ((point >= upper) & (gradient <= 0))


def _steps(local: _Local, active: jax.Array, damping: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Newton and Gauss-Newton steps (2, p), zero where the matrix is not positive definite."""
    metric = jnp.diagonal(local.gauss_newton)
    # A coordinate without effect, as the exponent of a term that is zero, stays where it is.
    active = active | (metric == 0)
    metric = jnp.maximum(metric, 1e-12 * jnp.max(metric))
    both = jnp.stack([local.newton, local.gauss_newton])
    both = both + damping[:, None, None] * jnp.diag(metric)
    held = active[:, None] | active[None, :]
    both = jnp.where(held, jnp.eye(active.size), both)
    right = jnp.where(active, 0.0, -local.gradient)
    return solve_dense(both, jnp.stack([right, right]))


def _untried(first: jax.Array, rows: jax.Array) -> _State:
    """A state at a point of which only the residuals are known."""
    row, square = jnp.zeros(first.size), jnp.zeros((first.size, first.size))
    much, none = jnp.asarray(jnp.inf), jnp.asarray(0)
    local = _Local(rows, much, row, square, square, square, row)
    return _State(
        best=_Record(first, local, much),
        point=first,
        damping=jnp.full(2, DAMPING_START),
        finishing=none,
        iteration=none,
        done=jnp.asarray(False),
    )


def _minimise(
    value: Any,
    local: Any,
    state: _State,
    smooth: _Smoothing,
    goal: _Goal,
    lower: jax.Array,
    upper: jax.Array,
    resolve: Any = None,
) -> _State:
    """Damped Newton within a box, from the point of a state.

    The loop has two phases. While the objective can tell points apart, a step is taken when it is
    lower. Once a step promises less than the goal, undamped Newton steps are taken (counted by
    ``finishing``) as long as they bring the promise, and with it the gradient, down: the last
    digits of the parameters are below what the objective can see. A stage that need not be precise
    has no second phase, and leaves the first one early.
    """

    def advance(state: _State) -> _State:
        here = local(state.point, smooth)
        active = _active(state.point, here.gradient, lower, upper)
        finishing = state.finishing > 0
        damping = jnp.where(finishing, 0.0, state.damping)
        steps, ok = _steps(here, active, damping)
        promises = jnp.abs(0.5 * steps @ here.gradient)
        # A step promises little where its damping has grown: the other one is asked as well.
        promise = jnp.where(finishing & ok[0], promises[0], jnp.max(promises))
        # Without a step nothing is known of what one would bring: the damping grows.
        known = ok.any()
        promise = jnp.where(known, promise, jnp.inf)
        record = _Record(state.point, here, promise)
        improved = ~finishing | ((state.finishing == 1) & known) | (promise < state.best.promise)
        best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), record, state.best)

        trials = jnp.clip(state.point + steps, lower, upper)
        if resolve is not None:
            trials = jnp.concatenate([trials, jax.vmap(resolve)(trials)])
        worths = jax.vmap(lambda trial: value(trial, smooth))(trials)
        worths = jnp.where(jnp.isfinite(worths), worths, jnp.inf)
        chosen = jnp.where(finishing, 0, jnp.argmin(worths))
        worth = worths[chosen]
        floor = jnp.maximum(goal.promise * here.value, ROUNDING)
        # Equal to rounding counts as equal while finishing.
        taken = jnp.where(
            finishing, ok[0] & (worth <= here.value * (1 + 1e-12) + floor), worth < here.value
        )
        begins = ~finishing & (promise <= floor)
        move = taken & ~begins
        done = finishing & (~improved | ~taken | (state.finishing > FINISHING_STEPS))
        # Each by its own success: that Gauss-Newton creeps on says nothing for the other step.
        better = (worths < here.value).reshape(-1, 2).any(axis=0)
        grown = state.damping * jnp.where(better, DAMPING_SHRINK, DAMPING_GROW)
        return _State(
            best=best,
            point=jnp.where(move, trials[chosen], state.point),
            damping=jnp.clip(grown, DAMPING_LEAST, DAMPING_MOST),
            finishing=state.finishing + (finishing | begins),
            iteration=state.iteration + 1,
            done=done | (begins & ~goal.precise) | (grown > DAMPING_MOST).all(),
        )

    begin = _untried(state.best.point, state.best.local.rows)._replace(iteration=state.iteration)
    return lax.while_loop(lambda state: ~state.done & (state.iteration < goal.most), advance, begin)
