"""From starts to optima: the tables of a batch, the stages of a polish, and who runs them.

On the host numpy does the work, in threads that each keep a batch of starts going: a start that
arrives makes room for the next. On a device of JAX's the same iteration runs as one compiled
program over chunks of starts, and those that take longer go on by themselves.

The sum of absolute residuals has no second derivative, and its optimum passes through some rows
exactly. It is approached through Huber losses of smaller and smaller delta, each polish starting
where the last one ended. The influences of the last one are the multipliers of the rows passed
through; one more polish of the Huber loss of r + psi (the method of multipliers) takes those rows
to zero, where smaller deltas would drown in rounding. The duality gap says how close that came.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.fitting.devices import THREADS, on_device, processor, quiet
from scalefit.fitting.grid import Candidates
from scalefit.fitting.linear_solve import combined, dot, product, solve_dense
from scalefit.fitting.model import Model
from scalefit.fitting.newton import (
    IN_CACHE,
    LENGTHS,
    MOST_ITERATIONS,
    PROMISE,
    ROUNDING,
    Batch,
    Goal,
    Newton,
    State,
    at_bound,
)
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.objective import Objective, Residual

__all__ = [
    "HOST_NUMBERS",
    "MOST_ABSOLUTE_ITERATIONS",
    "Polished",
    "Polisher",
    "Tables",
    "batch_of",
    "newton_of",
    "padded",
    "polished_chunk",
]

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

# Numbers in one row of a batch of starts on the host: it stays in cache, and is long enough for
# numpy to work on it and not on calling itself.
HOST_NUMBERS = 2**14
# Rows from which threads share the starts.
THREADED_ROWS = 2**14
# Starts that are done wait until this share of a batch is, and are then replaced together.
REFILL = 0.2

# Starts times rows above which the compiled program runs on the host as well: a few seconds of
# compiling are then worth it, and it uses every core (20,000 replicates of 200 rows).
COMPILED_NUMBERS = 2**22

# Bytes of one chunk on a device, and numbers that a start takes there for each row.
DEVICE_BYTES = 2**30
PROCESSOR_BYTES = 2**22
NUMBERS_PER_ROW = 64
# Most iterations of each round there; squares take 8, Huber losses 10 to 60.
LIMITS = (12, 30)
# Starts that go on together to the end.
TOGETHER = 32
# Rows are padded to powers of two there, so that tables of like size share a program.
FEWEST_ROWS = 32


class Polished(NamedTuple):
    """End points of the starts, in the units of the table.

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

    def take(self, which: Any) -> Polished:
        """Some of the starts."""
        return Polished(*(leaf[which] for leaf in self))

    def joined(self, other: Polished) -> Polished:
        """These starts and others."""
        return Polished(*map(np.concatenate, zip(self, other, strict=True)))


class Tables:
    """Tables of one design: losses and weights of each, or those of the one table.

    Args:
        objective: what is minimised.
        data: the design, and the one table's losses and weights.
        observed: observed losses of every table, (tables, rows); the one table's by default.
        weight: row weights of every table, (tables, rows); the one table's by default.
    """

    def __init__(
        self,
        objective: Objective,
        data: Data,
        observed: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> None:
        self.objective, self.data = objective, data
        self.observed, self.weight = observed, weight
        given = [item for item in (observed, weight) if item is not None]
        # Weights count in a unit of their own, a power of two: however large or small they are,
        # neither their squares nor thresholds of rounding are out of range.
        most = np.max(data.weight if weight is None else weight, initial=0.0)
        self.unit = float(np.exp2(np.floor(np.log2(most)))) if most > 0 else 1.0
        self.voids = bool((data.weight == 0).any() if weight is None else (weight == 0).any())
        # What every table has of its own: target, weight, metric.
        self.own = (observed is not None, weight is not None, bool(given))

    def take(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Losses, weights and metric of some tables, (tables, rows), or (1, rows) if shared.

        Weights are in the tables' own unit.
        """
        data = self.data
        if not any(self.own):
            return data.response[None], data.weight[None] / self.unit, data.metric[None]
        losses, weights = data.response[None], data.weight[None] / self.unit
        if self.observed is not None:
            losses = self.observed[index] / data.unit
        if self.weight is not None:
            weights = np.asarray(self.weight[index], dtype=np.float64) / self.unit
        metric = weights / losses**2 if self.objective.needs_positive_loss else weights
        metric = np.broadcast_to(metric, (len(index), losses.shape[-1]))
        # A table without any weight is nowhere defined: nan to the end.
        return losses, weights, metric / metric.sum(axis=-1, keepdims=True)

    def one(self, index: int) -> Data:
        """One of the tables."""
        losses, weights, metric = (item[0] for item in self.take(np.array([index])))
        return self.data._replace(response=losses, weight=weights, metric=metric)


def newton_of(
    problem: Problem,
    data: Data,
    library: Any = np,
    *,
    voids: bool = True,
    asymmetry: Any = None,
    lengths: tuple[tuple[int, float], ...] = LENGTHS,
) -> Newton:
    """The iteration for a problem on a table.

    Args:
        problem: the problem.
        data: the table.
        library: ``numpy``, or ``jax.numpy`` within a function that JAX traces.
        voids: whether some row may have weight zero.
        asymmetry: that of the objective by default.
        lengths: shorter and longer steps that are tried, too.
    """
    indicators = [
        (library.asarray(codes) == library.arange(len(places))[:, None]) * 1.0
        for codes, places in zip(data.codes, data.places, strict=True)
    ]
    return Newton(
        Model(problem, data.columns, data.fixed, library),
        data.unit,
        indicators,
        residual=data.measure.residual,
        asymmetry=data.measure.asymmetry if asymmetry is None else asymmetry,
        voids=voids,
        lengths=lengths,
    )


def batch_of(newton: Newton, data: Data, coordinates: np.ndarray) -> Batch:
    """The one table without bounds, for looking at points beside the polish.

    Args:
        newton: the iteration.
        data: the table.
        coordinates: where sizes are taken of columns whose size stays, shape (starts, q).
    """
    losses, metric = data.response[None], data.metric[None]
    none = np.full((1, newton.k + newton.q), np.inf)
    return Batch(
        target=np.log(losses) if newton.residual == "log" else losses,
        weight=data.weight[None],
        metric=metric,
        lower=-none,
        upper=none,
        held=newton.scale(metric, coordinates),
        delta=np.full((1, 1), data.measure.delta),
        shift=None,
    )


class _Stage(NamedTuple):
    """Where a start is on its way through the stages, (starts,).

    Attributes:
        precise: whether this one is polished to the end.
        final: whether it is the last.
    """

    precise: Any
    final: Any


class _Lanes(NamedTuple):
    """Starts under way: which each is, its table, goal, stage and state."""

    place: Any
    batch: Batch
    goal: Goal
    stage: _Stage
    state: State


def _set_out(
    newton: Newton,
    settings: Settings,
    tables: tuple[Any, Any, Any],
    delta: Any,
    coordinates: Any,
    coefficients: Any,
) -> tuple[Batch, Any]:
    """The batch, and the points in scaled coordinates, (starts, p).

    Args:
        newton: the iteration.
        settings: bounds.
        tables: losses, weights, metric, each (starts, rows) or (1, rows).
        delta: where the penalty turns linear.
        coordinates: (starts, q).
        coefficients: raw units, (starts, k).
    """
    xp, problem = newton.library, newton.problem
    losses, weight, metric = tables
    size = newton.scale(metric, coordinates)
    factor = xp.concatenate([size / newton.unit, xp.ones(coordinates.shape)], axis=-1)
    lower, upper = (
        xp.where(bound == 0, 0.0, bound * factor) for bound in (settings.lower, settings.upper)
    )
    batch = Batch(
        target=xp.log(losses) if newton.residual == "log" else losses,
        weight=weight,
        metric=metric,
        lower=lower,
        upper=upper,
        held=size,
        delta=xp.full((1, 1), delta),
        shift=None,
    )
    point = xp.concatenate([coefficients * size / newton.unit, coordinates], axis=-1)
    point = xp.clip(point, lower, upper)
    if problem.constant is None:
        return batch, point
    # A squared fit may predict a loss without logarithm: then set out from a constant one.
    fine = xp.isfinite(newton.value(batch, point))
    if xp is np and fine.all():
        return batch, point
    alone = np.array([owner == problem.constant for owner in problem.owners]) * size
    flat = alone / xp.sqrt(xp.sum(alone**2, axis=-1, keepdims=True))
    flat = xp.clip(xp.concatenate([flat, coordinates], axis=-1), lower, upper)
    return batch, xp.where(fine[:, None], point, flat)


def _next_stage(newton: Newton, lanes: _Lanes, which: Any, begins: bool) -> _Lanes:
    """Starts on their way to a sum of absolute residuals, some of them at their next stage.

    Args:
        newton: the iteration.
        lanes: the starts.
        which: those whose stage has ended, (starts,).
        begins: whether none of them has had a stage yet.
    """
    xp, batch, state, stage = newton.library, lanes.batch, lanes.state, lanes.stage
    rows = newton.residuals(batch, state.best)
    shift = xp.zeros_like(rows) if batch.shift is None else batch.shift
    weight = xp.broadcast_to(batch.weight, rows.shape)
    mean = dot(weight, xp.abs(rows), xp) / xp.sum(weight, axis=-1)
    least = xp.maximum(SMOOTHING_END * mean, SMOOTHING_LEAST)
    before = xp.broadcast_to(batch.delta, (len(rows), 1))
    if begins:
        delta = xp.maximum(mean, least)
        final = xp.zeros(len(rows), dtype=bool)
    else:
        delta = xp.maximum(xp.minimum(SMOOTHING_SHRINK * before[:, 0], mean), least)
        # A precise stage is the last but one.
        final = stage.precise
    precise = final | (delta <= least)
    multiplier = xp.clip((rows + shift) / before, -1.0, 1.0)
    moved = xp.where(final[:, None], before * multiplier, 0.0)
    fresh = newton.begin(state.best)._replace(iteration=state.iteration)

    def chosen(new: Any, old: Any) -> Any:
        return xp.where(which.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return lanes._replace(
        batch=batch._replace(
            delta=chosen(xp.where(final[:, None], before, delta[:, None]), before),
            shift=chosen(moved, shift),
        ),
        goal=lanes.goal._replace(
            promise=chosen(
                xp.where(precise, ABSOLUTE_PROMISE, SMOOTHING_PROMISE), lanes.goal.promise
            ),
            precise=chosen(precise, lanes.goal.precise),
        ),
        stage=_Stage(chosen(precise, stage.precise), chosen(final, stage.final)),
        state=State(*(chosen(new, old) for new, old in zip(fresh, state, strict=True))),
    )


def _summary(newton: Newton, factor: Any, absolute: bool, lanes: _Lanes) -> Polished:
    """What is known of the starts where they ended."""
    xp, k, batch, state = newton.library, newton.k, lanes.batch, lanes.state
    point = state.best
    end = newton.local(batch, point)
    active = at_bound(point, end.gradient, batch)
    slope = (end.mix @ end.stack) * end.first[:, None]
    norms = xp.sqrt(dot(slope, slope, xp) * dot(end.psi, end.psi, xp)[:, None])
    cosine = xp.abs(end.gradient) / xp.where(norms > 0, norms, 1.0)
    value, duality, matrix = end.value, xp.zeros(len(point)), end.gauss_newton
    if absolute:
        shifted = end.rows if batch.shift is None else end.rows + batch.shift
        multiplier = xp.clip(shifted / batch.delta, -1.0, 1.0)
        weight = xp.broadcast_to(batch.weight, end.rows.shape)
        value = dot(weight, xp.abs(end.rows), xp)
        gap = value - dot(weight, multiplier * end.rows, xp)
        duality = xp.where(value > 0, gap / xp.where(value > 0, value, 1.0), 0.0)
        matrix = product(slope * weight[:, None], slope, xp)
    size = newton.kept(batch, newton.scale(batch.metric, point[:, k:]))
    return Polished(
        coefficients=point[:, :k] * newton.unit / size,
        coordinates=point[:, k:],
        value=value * factor,
        promise=xp.where(
            lanes.stage.final, state.promise / xp.maximum(end.value, ROUNDING), np.inf
        ),
        duality=duality,
        stationary=xp.max(xp.where(active, 0.0, cosine), axis=-1, initial=0.0),
        iterations=state.iteration,
        active=active,
        gauss_newton=matrix,
    )


def _resolved(newton: Newton, batch: Batch, points: Any) -> Any:
    """Points with their coefficients at their least squares, to first order, for their rest."""
    xp, k = newton.library, newton.k
    if not k:
        return points
    if xp is np and points.ndim > 2 and points[..., 0].size * newton.model.rows > IN_CACHE:
        return np.stack([_resolved(newton, batch, some) for some in points])
    columns, known = newton.raw_columns(points[..., k:])
    size = newton.kept(batch, xp.sqrt(dot(columns * batch.metric[:, None], columns, xp)))
    columns = columns / size[..., None]
    known = None if known is None else known / newton.unit
    predicted = combined(points[..., :k], columns, xp)
    predicted = predicted if known is None else predicted + known
    rows = newton.rows_of(batch, predicted)
    rows = xp.where(xp.isfinite(rows), rows, 0.0)
    above = xp.abs(rows)
    weight = xp.where(above <= batch.delta, 1.0, batch.delta / xp.where(above > 0, above, 1.0))
    if not newton.symmetric:
        weight = weight * xp.where(rows < 0, newton.asymmetry, 1.0)
    weighted = columns * (batch.metric * weight)[..., None, :]
    observed = newton.losses(batch)
    target = observed if known is None else observed - known
    target = xp.broadcast_to(target, rows.shape)
    gram = product(weighted, columns, xp)
    solved, ok = solve_dense(gram, dot(weighted, target[..., None, :], xp), library=xp)
    solved = xp.clip(solved, batch.lower[:, :k], batch.upper[:, :k])
    solved = xp.where(ok[..., None], solved, points[..., :k])
    return xp.concatenate([solved, points[..., k:]], axis=-1)


class Polisher:
    """Polishes starts on tables of one design.

    Args:
        problem: the problem.
        settings: bounds.
        tables: the tables.
        device: the device whose compiled programs run, or None for numpy on the host.
        near: whether starts lie in the valley of their optimum, so that Newton's step will do.
    """

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        tables: Tables,
        device: jax.Device | None = None,
        near: bool = False,
    ) -> None:
        self.problem, self.settings, self.tables, self.device = problem, settings, tables, device
        self.data = data = tables.data
        self.absolute = data.measure.absolute
        self.factor = data.measure.factor * tables.unit
        lengths = () if near else LENGTHS
        self.newton = newton_of(problem, data, voids=tables.voids, lengths=lengths)
        self.resolve = partial(_resolved, self.newton) if problem.scattered else None
        # What each start has of its own: target, weight, metric, bounds, sizes, delta, shift.
        self.own = (*tables.own, True, True, True, self.absolute, self.absolute)

    def __call__(
        self, table: np.ndarray, starts: Candidates, most: int = MOST_ITERATIONS, bar: Any = None
    ) -> Polished:
        """Where starts end.

        Args:
            table: which table each is on, shape (starts,).
            starts: points to set out from.
            most: iterations at most.
            bar: is told how many have ended.
        """
        limit = most
        if self.absolute and most >= MOST_ITERATIONS:
            limit = MOST_ABSOLUTE_ITERATIONS
        count, rows = len(table), self.data.response.size
        if self.device is not None or count * rows > COMPILED_NUMBERS:
            return self._on_device(self.device or processor(), table, starts, limit, bar)
        width = max(1, HOST_NUMBERS // rows)
        # On shorter rows threads of Python wait for each other longer than numpy works.
        threads = max(1, min(THREADS, -(-count // width))) if rows >= THREADED_ROWS else 1

        def share(which: np.ndarray) -> Polished:
            some = Candidates(starts.coordinates[which], starts.coefficients[which], None)
            with quiet():
                return self._on_host(table[which], some, limit, width, bar)

        shares = [np.arange(count)[i::threads] for i in range(threads)]
        if threads == 1:
            return share(shares[0])
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(share, shares))
        order = np.argsort(np.concatenate(shares))
        return Polished(*(np.concatenate(leaves)[order] for leaves in zip(*found, strict=True)))

    # On the host

    def _on_host(
        self, table: np.ndarray, starts: Candidates, most: int, width: int, bar: Any
    ) -> Polished:
        """Keep a batch of starts going until every one has ended."""
        count, newton = len(table), self.newton
        ends = _blank(count, newton.k, newton.q)
        waiting = min(width, count)
        live = self._begun(table, starts, np.arange(waiting))
        while True:
            before = live.state
            moved = newton.advance(live.batch, live.goal, before, self.resolve)
            stopped = before.done | (before.iteration >= most)
            live = live._replace(state=_kept(np, stopped, before, moved))
            over = live.state.done | (live.state.iteration >= most)
            ended = over & (live.stage.final | (live.state.iteration >= most))
            if self.absolute and (over & ~ended).any():
                live = _next_stage(newton, live, over & ~ended, False)
            # One that has ended stands still until others have, too.
            if np.count_nonzero(ended) < min(max(1, REFILL * width), len(ended)):
                continue
            mine = self._take(live, ended)
            found = _summary(newton, self.factor, self.absolute, mine)
            for leaf, values in zip(ends, found, strict=True):
                leaf[mine.place] = values
            if bar is not None:
                bar.update(len(mine.place))
            live = self._take(live, ~ended)
            if waiting < count:
                more = np.arange(waiting, min(count, waiting + width - len(live.place)))
                waiting = int(more[-1]) + 1
                fresh = self._begun(table, starts, more)
                live = self._join(live, fresh) if len(live.place) else fresh
            elif not len(live.place):
                return ends

    def _begun(self, table: np.ndarray, starts: Candidates, which: np.ndarray) -> _Lanes:
        """Starts that set out."""
        batch, point = _set_out(
            self.newton,
            self.settings,
            self.tables.take(table[which]),
            self.data.measure.delta,
            starts.coordinates[which],
            starts.coefficients[which],
        )
        lanes = _under_way(self.newton, self.absolute, batch, point)
        return lanes._replace(place=which)

    def _take(self, lanes: _Lanes, which: np.ndarray) -> _Lanes:
        batch = (
            item[which] if mine else item for item, mine in zip(lanes.batch, self.own, strict=True)
        )
        return _Lanes(
            lanes.place[which],
            Batch(*batch),
            Goal(lanes.goal.promise[which], lanes.goal.precise[which]),
            _Stage(*(leaf[which] for leaf in lanes.stage)),
            State(*(leaf[which] for leaf in lanes.state)),
        )

    def _join(self, first: _Lanes, second: _Lanes) -> _Lanes:
        def both(a: Sequence[Any], b: Sequence[Any], own: Sequence[bool]) -> list[Any]:
            each = zip(a, b, own, strict=True)
            return [np.concatenate([x, y]) if mine else x for x, y, mine in each]

        return _Lanes(
            np.concatenate([first.place, second.place]),
            Batch(*both(first.batch, second.batch, self.own)),
            Goal(*both(first.goal, second.goal, (True, True))),
            _Stage(*both(first.stage, second.stage, (True, True))),
            State(*both(first.state, second.state, (True,) * len(State._fields))),
        )

    # On a device

    def _on_device(
        self, device: jax.Device, table: np.ndarray, starts: Candidates, most: int, bar: Any
    ) -> Polished:
        """Chunks of starts in lockstep; those that take longer go on by themselves."""
        arrays = padded(self.data)
        on_host = device.platform == "cpu"
        # On a processor a chunk stays in cache, and a thread for each core takes the next one.
        size = PROCESSOR_BYTES if on_host else DEVICE_BYTES
        width = max(1, size // (8 * arrays.response.size * NUMBERS_PER_ROW))
        width = min(width, 1 << (len(table) - 1).bit_length())
        ends = _blank(len(table), self.newton.k, self.newton.q)
        # Stages would start anew whenever they are interrupted; a few starts are not worth it.
        together = self.absolute or len(table) <= TOGETHER
        limits = [] if together else [limit for limit in LIMITS if limit < most]
        going, points = np.arange(len(table)), starts
        for limit in [*limits, most]:

            def run(index: np.ndarray, now: Candidates = points, limit: int = limit) -> None:
                # The last chunk is filled up to the size that is compiled, and the filling dropped.
                filled = np.resize(index, width)
                with on_device(device):
                    found = self._chunk(arrays, table[filled], now, filled, limit)
                for leaf, values in zip(ends, found, strict=True):
                    leaf[index] = np.asarray(values)[: len(index)]

            chunks = [going[first : first + width] for first in range(0, len(going), width)]
            if on_host and len(chunks) > 1:
                with ThreadPoolExecutor(THREADS) as pool:
                    list(pool.map(run, chunks))
            else:
                for index in chunks:
                    run(index)
            left = going[ends.iterations[going] >= limit]
            if bar is not None:
                bar.update(len(going) - len(left) if limit < most else len(going))
            going = left
            if not len(going):
                break
            points = Candidates(ends.coordinates, ends.coefficients, ends.value)
        return ends

    def _chunk(
        self, arrays: Data, table: np.ndarray, points: Candidates, which: np.ndarray, most: int
    ) -> Polished:
        how, missing = self.data.measure, arrays.response.size - self.data.response.size
        losses, weights, metric = self.tables.take(table)
        # Padding repeats the last row, so that nothing not finite enters, at weight zero.
        losses = np.pad(losses, ((0, 0), (0, missing)), mode="edge")
        weights, metric = (np.pad(item, ((0, 0), (0, missing))) for item in (weights, metric))
        found = polished_chunk(
            self.problem,
            how.residual,
            how.absolute,
            arrays,
            self.settings,
            (losses, weights, metric),
            (how.delta, how.asymmetry, self.factor),
            points.coordinates[which],
            points.coefficients[which],
            np.int64(most),
        )
        return cast(Polished, jax.device_get(found))


def padded(data: Data) -> Data:
    """The design with rows filled up to a power of two, without what is no array."""
    rows = data.response.size
    missing = (1 << (max(FEWEST_ROWS, rows) - 1).bit_length()) - rows

    def filled(values: Any) -> np.ndarray:
        return np.pad(values, (0, missing), mode="edge")

    return data._replace(
        columns=tuple(map(filled, data.columns)),
        codes=tuple(map(filled, data.codes)),
        response=filled(data.response),
        weight=np.pad(data.weight, (0, missing)),
        metric=np.pad(data.metric, (0, missing)),
        measure=cast(Any, None),
    )


@partial(jax.jit, static_argnames=("problem", "residual", "absolute"))
def polished_chunk(
    problem: Problem,
    residual: Residual,
    absolute: bool,
    data: Data,
    settings: Settings,
    tables: tuple[Any, Any, Any],
    numbers: tuple[Any, Any, Any],
    coordinates: Any,
    coefficients: Any,
    most: Any,
) -> Polished:
    """Where starts end, as one program.

    Args:
        problem: the problem.
        residual: of the objective.
        absolute: whether the objective is the sum of absolute residuals.
        data: the design.
        settings: bounds.
        tables: losses, weights and metric of each start's table.
        numbers: delta, asymmetry and factor of the objective.
        coordinates: points to set out from, (starts, q).
        coefficients: raw units, (starts, k).
        most: iterations at most.
    """
    delta, asymmetry, factor = numbers
    how = cast(Any, _Kind(residual))
    newton = newton_of(problem, data._replace(measure=how), jnp, asymmetry=asymmetry)
    resolve = partial(_resolved, newton) if problem.scattered else None
    batch, point = _set_out(newton, settings, tables, delta, coordinates, coefficients)
    lanes = _under_way(newton, absolute, batch, point)

    def step(lanes: _Lanes) -> _Lanes:
        moved = newton.advance(lanes.batch, lanes.goal, lanes.state, resolve)
        stopped = lanes.state.done | (lanes.state.iteration >= most)
        kept = _kept(jnp, stopped, lanes.state, moved)
        lanes = lanes._replace(state=kept)
        if not absolute:
            return lanes
        ended = kept.done & ~lanes.stage.final & (kept.iteration < most)
        return lax.cond(
            ended.any(), lambda it: _next_stage(newton, it, ended, False), lambda it: it, lanes
        )

    def going(lanes: _Lanes) -> Any:
        return (~lanes.state.done & (lanes.state.iteration < most)).any()

    return _summary(newton, factor, absolute, lax.while_loop(going, step, lanes))


class _Kind(NamedTuple):
    """A measure whose numbers are passed beside it."""

    residual: Residual
    asymmetry: float = 1.0


def _under_way(newton: Newton, absolute: bool, batch: Batch, point: Any) -> _Lanes:
    """Starts at their first stage."""
    xp, count = newton.library, len(point)
    every = xp.ones(count, dtype=bool)
    lanes = _Lanes(
        place=xp.arange(count),
        batch=batch,
        goal=Goal(xp.full(count, PROMISE), every),
        stage=_Stage(every, every),
        state=newton.begin(point),
    )
    return _next_stage(newton, lanes, every, True) if absolute else lanes


def _kept(xp: Any, which: Any, old: State, new: State) -> State:
    """The new state, but the old one of some starts."""
    if xp is np and not which.any():
        return new
    return State(
        *(
            xp.where(which.reshape(-1, *[1] * (after.ndim - 1)), before, after)
            for before, after in zip(old, new, strict=True)
        )
    )


def _blank(count: int, k: int, q: int) -> Polished:
    """End points to be filled in."""
    p = k + q
    return Polished(
        coefficients=np.zeros((count, k)),
        coordinates=np.zeros((count, q)),
        value=np.full(count, np.nan),
        promise=np.full(count, np.inf),
        duality=np.zeros(count),
        stationary=np.full(count, np.inf),
        iterations=np.zeros(count, dtype=int),
        active=np.zeros((count, p), dtype=bool),
        gauss_newton=np.zeros((count, p, p)),
    )
