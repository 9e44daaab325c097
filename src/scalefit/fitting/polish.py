"""From starts to optima: the tables of a batch, and who runs its polish.

On the host numpy does the work, in threads that each keep a batch of starts going: a start that
arrives makes room for the next. On a device of JAX's the same iteration runs as one compiled
program over chunks of starts, and those that take longer go on by themselves.

The sum of absolute residuals is smoothed over by a Huber loss whose delta is their mean where a
start sets out, and polished a short way; ``absolute`` goes on from there, on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.fitting.arrow import arrangement
from scalefit.fitting.grid import Candidates
from scalefit.fitting.l1 import descend
from scalefit.fitting.levels import ByLevel, Division, Traced
from scalefit.fitting.linear_solve import dot
from scalefit.fitting.model import Model
from scalefit.fitting.narrowing import narrow
from scalefit.fitting.newton import (
    LENGTHS,
    MOST_ITERATIONS,
    PROMISE,
    ROUNDING,
    Batch,
    Goal,
    Local,
    Newton,
    State,
    at_bound,
)
from scalefit.objective import Objective, Residual
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.settings import on_device, processor, quiet
from scalefit.runtime.threads import THREADS, checkpoint, in_threads

__all__ = [
    "HOST_NUMBERS",
    "Polished",
    "Polisher",
    "Tables",
    "batch_of",
    "newton_of",
    "padded",
    "polished_chunk",
]

# Absolute residuals are smoothed over by a Huber loss whose delta is their mean at the start, until
# a step promises less than this share. Below the least, in the unit of the loss, rounding of the
# rows would be felt.
SMOOTHED_PROMISE = 1e-3
SMOOTHED_LEAST = 1e-12

# Coefficients up to which absolute residuals are minimised by dense equations at their kinks.
MOST_DENSE_ABSOLUTE = 32

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
        decrement: decrease a further Newton step promises, relative to the objective, (starts,).
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
    decrement: Any
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
    dense: bool | None = None,
) -> Newton:
    """The iteration for a problem on a table.

    Args:
        problem: the problem.
        data: the table.
        library: ``numpy``, or ``jax.numpy`` within a function that JAX traces.
        voids: whether some row may have weight zero.
        asymmetry: that of the objective by default.
        lengths: shorter and longer steps that are tried, too.
        dense: whether coefficients of every level have columns of their own; by their number by
            default.
    """
    dense = arrangement(problem) is None if dense is None else dense
    model = Model(problem, data.columns, data.fixed, library)
    counts = dict(zip(problem.divisions, problem.widths, strict=True))
    kind: Any = Newton
    divisions: list[Any]
    if dense:
        divisions = [
            (library.asarray(codes) == library.arange(counts[own])[:, None]) * 1.0
            for own, codes in enumerate(data.codes)
        ]
    elif library is np:
        kind = ByLevel
        divisions = [Division(codes, counts[own]) for own, codes in enumerate(data.codes)]
    else:
        kind = ByLevel
        divisions = [
            Traced(*arrays, counts[own], library)
            for own, arrays in enumerate(
                zip(data.codes, data.places, data.present, data.slots, strict=True)
            )
        ]
    return kind(
        model,
        data.unit,
        divisions,
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


class _Lanes(NamedTuple):
    """Starts under way: which each is, its table and its state."""

    place: Any
    batch: Batch
    state: State


def _set_out(
    newton: Newton,
    settings: Settings,
    tables: tuple[Any, Any, Any],
    delta: Any,
    absolute: bool,
    coordinates: Any,
    coefficients: Any,
) -> tuple[Batch, Any]:
    """The batch, and the points in scaled coordinates, (starts, p).

    Args:
        newton: the iteration.
        settings: bounds.
        tables: losses, weights, metric, each (starts, rows) or (1, rows).
        delta: where the penalty turns linear.
        absolute: whether that is the mean absolute residual of each start instead.
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
    if problem.constant is not None:
        # A squared fit may predict a loss without logarithm: then set out from a constant one.
        fine = xp.isfinite(newton.value(batch, point))
        if xp is not np or not fine.all():
            alone = np.array([owner == problem.constant for owner in problem.owners]) * size
            flat = alone / xp.sqrt(xp.sum(alone**2, axis=-1, keepdims=True))
            flat = xp.clip(xp.concatenate([flat, coordinates], axis=-1), lower, upper)
            point = xp.where(fine[:, None], point, flat)
    if absolute:
        rows = newton.residuals(batch, point)
        counted = xp.broadcast_to(weight > 0, rows.shape)
        mean = xp.sum(xp.where(counted, xp.abs(rows), 0.0), axis=-1) / xp.sum(counted, axis=-1)
        batch = batch._replace(delta=xp.maximum(mean, SMOOTHED_LEAST)[:, None])
    return batch, point


def _goal(absolute: bool) -> Goal:
    """When a polish is over; of absolute residuals it is only the way to where their kinks are."""
    decrement = SMOOTHED_PROMISE if absolute else PROMISE
    return Goal(np.full(1, decrement), np.full(1, not absolute))


def _summary(newton: Newton, factor: Any, batch: Batch, state: State) -> Polished:
    """What is known of the starts where they ended."""
    end = newton.local(batch, state.best)
    return _described(
        newton,
        batch,
        state.best,
        end,
        value=end.value * factor,
        decrement=state.decrement / newton.library.maximum(end.value, ROUNDING),
        iterations=state.iteration,
    )


def _described(
    newton: Newton,
    batch: Batch,
    point: Any,
    end: Local,
    *,
    value: Any,
    decrement: Any,
    iterations: Any,
    duality: Any = None,
) -> Polished:
    """End points in the units of the table, with what their derivatives say."""
    xp, k = newton.library, newton.k
    active = at_bound(point, end.gradient, batch)
    norms = xp.sqrt(newton.squares(end) * dot(end.psi, end.psi, xp)[:, None])
    cosine = xp.abs(end.gradient) / xp.where(norms > 0, norms, 1.0)
    size = newton.kept(batch, newton.scale(batch.metric, point[:, k:]))
    return Polished(
        coefficients=point[:, :k] * newton.unit / size,
        coordinates=point[:, k:],
        value=value,
        decrement=decrement,
        duality=xp.zeros(len(point)) if duality is None else duality,
        stationary=xp.max(xp.where(active, 0.0, cosine), axis=-1, initial=0.0),
        iterations=iterations,
        active=active,
        gauss_newton=newton.curvatures(end.gauss_newton),
    )


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
        most = MOST_DENSE_ABSOLUTE if self.absolute else 0
        self.dense = arrangement(problem) is None or len(problem.owners) <= most
        self.newton = newton_of(
            problem, data, voids=tables.voids, lengths=lengths, dense=self.dense
        )
        self.resolve = self.newton.resolved if problem.scattered else None
        # What each start has of its own: target, weight, metric, bounds, sizes, delta, shift.
        self.own = (*tables.own, True, True, True, self.absolute, False)

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
        count, rows = len(table), self.data.response.size
        to_kinks = partial(self._at_kinks, most)

        def on_host(table: np.ndarray, starts: Candidates) -> Polished:
            ends = self._on_host(table, starts, most, max(1, HOST_NUMBERS // rows), bar)
            return to_kinks(table, ends) if self.absolute else ends

        if self.device is None and count * rows <= COMPILED_NUMBERS:
            return self._shared(on_host, table, starts)
        ends = self._on_device(self.device or processor(), table, starts, most, bar)
        return self._shared(to_kinks, table, ends) if self.absolute else ends

    def _shared(self, work: Any, table: np.ndarray, starts: Any) -> Polished:
        """Work on the host, shared among threads."""
        count, rows = len(table), self.data.response.size
        width = max(1, HOST_NUMBERS // rows)
        # On shorter rows threads of Python wait for each other longer than numpy works.
        threads = max(1, min(THREADS, -(-count // width))) if rows >= THREADED_ROWS else 1

        def share(which: np.ndarray) -> Polished:
            leaves = (None if leaf is None else leaf[which] for leaf in starts)
            with quiet():
                return work(table[which], type(starts)(*leaves))

        shares = [np.arange(count)[i::threads] for i in range(threads)]
        if threads == 1:
            return share(shares[0])
        found = in_threads(share, shares, threads)
        order = np.argsort(np.concatenate(shares))
        return Polished(*(np.concatenate(leaves)[order] for leaves in zip(*found, strict=True)))

    # On the host

    def _on_host(
        self, table: np.ndarray, starts: Candidates, most: int, width: int, bar: Any
    ) -> Polished:
        """Keep a batch of starts going until every one has ended."""
        count, newton, goal = len(table), self.newton, _goal(self.absolute)
        ends = _blank(count, newton)
        waiting = min(width, count)
        live = self._begun(table, starts, np.arange(waiting))
        while True:
            checkpoint()
            before = live.state
            moved = newton.advance(live.batch, goal, before, self.resolve)
            stopped = before.done | (before.iteration >= most)
            live = live._replace(state=_kept(np, stopped, before, moved))
            ended = live.state.done | (live.state.iteration >= most)
            # One that has ended stands still until others have, too.
            if np.count_nonzero(ended) < min(max(1, REFILL * width), len(ended)):
                continue
            mine = self._take(live, ended)
            found = _summary(newton, self.factor, mine.batch, mine.state)
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
            self.absolute,
            starts.coordinates[which],
            starts.coefficients[which],
        )
        return _Lanes(which, batch, self.newton.begin(point))

    def _take(self, lanes: _Lanes, which: np.ndarray) -> _Lanes:
        batch = (
            item[which] if mine else item for item, mine in zip(lanes.batch, self.own, strict=True)
        )
        return _Lanes(
            lanes.place[which],
            Batch(*batch),
            State(*(leaf[which] for leaf in lanes.state)),
        )

    def _join(self, first: _Lanes, second: _Lanes) -> _Lanes:
        def both(a: Sequence[Any], b: Sequence[Any], own: Sequence[bool]) -> list[Any]:
            each = zip(a, b, own, strict=True)
            return [np.concatenate([x, y]) if mine else x for x, y, mine in each]

        return _Lanes(
            np.concatenate([first.place, second.place]),
            Batch(*both(first.batch, second.batch, self.own)),
            State(*both(first.state, second.state, (True,) * len(State._fields))),
        )

    def _at_kinks(self, most: int, table: np.ndarray, ends: Polished) -> Polished:
        """Where sums of absolute residuals end, from where their smoothed ones did."""
        newton, width = self.newton, max(1, HOST_NUMBERS // self.data.response.size)
        going = np.flatnonzero(np.isfinite(ends.value))
        for which in (going[first : first + width] for first in range(0, len(going), width)):
            checkpoint()
            batch, point = _set_out(
                newton,
                self.settings,
                self.tables.take(table[which]),
                0.0,
                False,
                ends.coordinates[which],
                ends.coefficients[which],
            )
            left = most - ends.iterations[which]
            if isinstance(newton, ByLevel):
                found = narrow(newton, batch, point, left)
            else:
                found = descend(newton, batch, point, left)
            polished = _described(
                newton,
                batch,
                found.point,
                found.end,
                value=found.value * self.factor,
                decrement=found.decrement,
                duality=found.duality,
                iterations=ends.iterations[which] + found.iterations,
            )
            for leaf, values in zip(ends, polished, strict=True):
                leaf[which] = values
        return ends

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
        ends = _blank(len(table), self.newton)
        # Delta would be chosen anew whenever it is interrupted; a few starts are not worth it.
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
            # Also a single chunk: nothing interrupts a program that the caller runs itself.
            in_threads(run, chunks, THREADS if on_host else 1)
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
            self.dense,
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


@partial(jax.jit, static_argnames=("problem", "residual", "absolute", "dense"))
def polished_chunk(
    problem: Problem,
    residual: Residual,
    absolute: bool,
    dense: bool,
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
        dense: see :func:`newton_of`.
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
    data = data._replace(measure=how)
    newton = newton_of(problem, data, jnp, asymmetry=asymmetry, dense=dense)
    resolve = newton.resolved if problem.scattered else None
    start = (tables, delta, absolute, coordinates, coefficients)
    batch, point = _set_out(newton, settings, *start)
    goal = _goal(absolute)

    def step(state: State) -> State:
        moved = newton.advance(batch, goal, state, resolve)
        return _kept(jnp, state.done | (state.iteration >= most), state, moved)

    def going(state: State) -> Any:
        return (~state.done & (state.iteration < most)).any()

    state = lax.while_loop(going, step, newton.begin(point))
    return _summary(newton, factor, batch, state)


class _Kind(NamedTuple):
    """A measure whose numbers are passed beside it."""

    residual: Residual
    asymmetry: float = 1.0


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


def _blank(count: int, newton: Newton) -> Polished:
    """End points to be filled in."""
    k, q = newton.k, newton.q
    return Polished(
        coefficients=np.zeros((count, k)),
        coordinates=np.zeros((count, q)),
        value=np.full(count, np.nan),
        decrement=np.full(count, np.inf),
        duality=np.zeros(count),
        stationary=np.full(count, np.inf),
        iterations=np.zeros(count, dtype=int),
        active=np.zeros((count, k + q), dtype=bool),
        gauss_newton=newton.blank(count),
    )
