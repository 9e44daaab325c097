"""Many fits of one law to one design at once: replicates of a bootstrap, splits of a hold-out.

Every replicate is a fit of its own: the grid is searched over the whole bounds for it, and its best
cells are polished to the same accuracy as a single fit's, by the same code. What replicates share
is the design: the columns of the law are evaluated once for all replicates of a chunk. Where an
optimum near all of them is known, as that of the table they were drawn from, they set out from
there, and the grid is searched for some of them only: those chosen, those that end at a bound, and
those that do not arrive.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.errors import DataError
from scalefit.fitting import grid, programs, refine
from scalefit.fitting.devices import on_device
from scalefit.fitting.evidence import stationary
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.fitting.search import ROUNDS
from scalefit.objective import Measure, Objective, measure

__all__ = ["Refits", "refit"]

# Cells per axis of a replicate's grid, where there are at most two: see grid.POINTS.
POINTS = 96

# Replicates are searched and polished in chunks of about this many bytes of cells and rows, so that
# memory does not grow with their number. On a processor a chunk should stay in cache, and a thread
# for each core takes the next one; an accelerator wants many replicates at a time.
CPU_BYTES = 4 * 2**20
OTHER_BYTES = 2**30
NUMBERS_PER_ROW = 64  # of a replicate, while it is polished
MOST_THREADS = 16

# A value is lower than another by more than this share of it, or they are the same minimum.
SAME_VALUE = 1e-9

# Until then nobody misses a bar.
BAR_SECONDS = 2.0

# The replicates of a chunk are polished in lockstep: those that take longer go on by themselves.
# Most iterations of each round; squares take 8, Huber losses 10 to 60.
LIMITS = (12, 30, refine.MOST_ITERATIONS)


class Refits(NamedTuple):
    """The best point of every replicate.

    Attributes:
        coefficients: linear coefficients, raw units, shape (replicates, k).
        coordinates: nonlinear coordinates, shape (replicates, q).
        value: objective, shape (replicates,).
        promise: see :class:`scalefit.fitting.refine.Polished`, shape (replicates,).
        stationary: see there, shape (replicates,).
        active: see there, shape (replicates, p).
        basins: local minima on the grid; 0 where it was not searched, shape (replicates,).
        searched: whether the grid was searched, shape (replicates,).
        gained: whether that found a lower minimum than the known optimum led to, (replicates,).
    """

    coefficients: np.ndarray
    coordinates: np.ndarray
    value: np.ndarray
    promise: np.ndarray
    stationary: np.ndarray
    active: np.ndarray
    basins: np.ndarray
    searched: np.ndarray
    gained: np.ndarray


def refit(
    problem: Problem,
    objective: Objective,
    settings: Settings,
    data: Data,
    *,
    observed: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    points: int | None = None,
    starts: int = 1,
    near: grid.Candidates | None = None,
    searched: np.ndarray | None = None,
    progress: bool = False,
    device: str | None = None,
) -> Refits:
    """Fits of the same law to replicates of one table, each searched globally and polished.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the table, packed.
        observed: observed losses of every replicate, shape (replicates, rows); the table's own by
            default.
        weight: row weights of every replicate, shape (replicates, rows); the table's own by
            default.
        points: grid cells per axis.
        starts: cells polished for each replicate.
        near: one optimum to set out from, coefficients in raw units; shapes (k,) and (q,).
        searched: whether to search the grid for a replicate all the same, shape (replicates,).
        progress: whether to draw a bar once it has taken two seconds.
        device: where to compute, as for ``fit``.

    Returns:
        The best point of each.

    Raises:
        DataError: neither losses nor weights are given, or their shapes differ from the table's.
    """
    given = [item for item in (observed, weight) if item is not None]
    rows = int(data.rows)
    if not given or any(item.ndim != 2 or item.shape != (len(given[0]), rows) for item in given):
        raise DataError(
            f"replicates need losses or weights of shape (replicates, {rows}), not "
            f"{' and '.join(str(item.shape) for item in given) or 'none at all'}",
            remedy="Pass observed=, weight= or both, of one length, a column for each row",
        )
    count = len(given[0])
    axes = grid.axes(problem, settings, points or (POINTS if len(problem.nonlinear) <= 2 else None))

    def packed(index: np.ndarray) -> Data:
        losses, weights = (None if item is None else item[index] for item in (observed, weight))
        return _packed(objective, data, losses, weights, rows)

    run = _Chunks(problem, packed, data.response.size, axes, device, progress)

    def globally(index: np.ndarray) -> Refits:
        return _globally(problem, objective, run, index, settings, axes, starts)

    if near is None:
        return globally(np.arange(count))
    start = grid.Candidates(*(np.broadcast_to(leaf, (count, *np.shape(leaf))) for leaf in near))
    polished = _to_the_end(problem, objective, run, np.arange(count), start, settings)
    never = np.zeros(count, dtype=bool)
    found = _refits(polished, np.zeros(count, dtype=int), never, never.copy())
    doubtful = found.active.any(axis=1) | ~stationary(found)
    again = np.flatnonzero(doubtful if searched is None else doubtful | searched)
    if len(again):
        other = globally(again)
        lower = _finite(other.value) < _finite(found.value[again]) * (1 - SAME_VALUE)
        # One that did not arrive is no better than one of the same value that did.
        better = lower | (stationary(other) & ~stationary(found)[again])
        for leaf, values in zip(found[:-2], other[:-2], strict=True):
            leaf[again[better]] = values[better]
        found.basins[again] = other.basins
        found.searched[again] = True
        found.gained[again] = lower
    return found


def _globally(
    problem: Problem,
    objective: Objective,
    run: _Chunks,
    index: np.ndarray,
    settings: Settings,
    axes: list[Any],
    starts: int,
) -> Refits:
    """The best point of each replicate given, searched over the whole bounds."""
    ranking = run(_rank, index, (), settings, axes)
    # Scattered cells say little: as many are polished as for a single fit, however many are asked.
    taken = ranking.tiles[:, : None if problem.scattered else starts]
    usable = np.isfinite(ranking.value[:, : taken.shape[1]])
    usable[:, 0] = True
    place, start = np.nonzero(usable)
    candidates = run(_cells, index[place], (taken[place, start],), settings, axes)
    polished = _to_the_end(problem, objective, run, index[place], candidates, settings)
    order = np.lexsort((_finite(polished.value), place))
    best = order[np.searchsorted(place[order], np.arange(len(index)))]
    every = np.ones(len(index), dtype=bool)
    chosen = refine.Polished(*(leaf[best] for leaf in polished))
    return _refits(chosen, ranking.basins, every, ~every)


def _refits(
    polished: refine.Polished, basins: np.ndarray, searched: np.ndarray, gained: np.ndarray
) -> Refits:
    own = {name: getattr(polished, name) for name in Refits._fields[:5]}
    return Refits(**own, active=polished.active, basins=basins, searched=searched, gained=gained)


def _finite(value: np.ndarray) -> np.ndarray:
    """Values by which to order: what is not a number comes last."""
    return np.where(np.isfinite(value), value, np.inf)


def _to_the_end(
    problem: Problem,
    objective: Objective,
    run: _Chunks,
    replicate: np.ndarray,
    candidates: grid.Candidates,
    settings: Settings,
) -> refine.Polished:
    """Polish every start of every replicate; of scattered starts the better ones go further.

    Args:
        problem: the problem.
        objective: what is minimised.
        run: evaluates programs.
        replicate: which one each candidate belongs to, ascending, shape (candidates,).
        candidates: points to set out from.
        settings: bounds.

    Returns:
        Where each candidate ended.
    """
    rounds = ROUNDS if problem.scattered else tuple((limit, len(replicate)) for limit in LIMITS)
    if objective.robust == "l1" and not problem.scattered:
        # Its stages start anew whenever they are interrupted.
        rounds = rounds[-1:]
    polished = run(_polish, replicate, (candidates,), settings, np.int64(rounds[0][0]))
    for (last, _), (limit, most) in pairwise(rounds):
        place = _places(replicate, _finite(polished.value))
        going = np.flatnonzero((polished.iterations >= last) & (place < most))
        if not len(going):
            break
        points = grid.Candidates(
            polished.coordinates[going], polished.coefficients[going], polished.value[going]
        )
        found = run(_polish, replicate[going], (points,), settings, np.int64(limit))
        for leaf, values in zip(polished, found, strict=True):
            leaf[going] = values
    return cast(refine.Polished, polished)


def _places(replicate: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Place of each candidate among those of its replicate, the lowest value first."""
    order = np.lexsort((value, replicate))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - np.searchsorted(replicate, replicate[order])
    return place


class _Chunks:
    """Programs over many replicates, chunk by chunk, every chunk of one size."""

    def __init__(
        self,
        problem: Problem,
        packed: Callable[[np.ndarray], Data],
        rows: int,
        axes: list[Any],
        device: str | None,
        progress: bool,
    ) -> None:
        self.problem = problem
        self.packed = packed
        self.device = device
        self.progress = progress
        with on_device(device):
            (place,) = jnp.zeros(()).devices()
        processor = place.platform == "cpu"
        most = (CPU_BYTES if processor else OTHER_BYTES) // 8
        cells = prod(len(axis) for axis in axes)
        self.polished = max(1, most // (rows * NUMBERS_PER_ROW))
        self.searched = max(1, min(self.polished, most // cells))
        self.threads = min(MOST_THREADS, os.cpu_count() or 1) if processor else 1

    def __call__(
        self,
        program: programs.Program[Any],
        replicate: np.ndarray,
        own: tuple[Any, ...],
        *common: Any,
    ) -> Any:
        """Value of a program for every replicate given.

        Args:
            program: takes the problem, data, what is its own, and what is common.
            replicate: which ones, shape (n,).
            own: arrays of one entry for each, (n, ...).
            common: arrays for all.
        """
        # One fit needs no bar, and asyncio comes with it.
        from tqdm.auto import tqdm

        size = self.searched if program is _rank else self.polished

        def chunk(first: int) -> Any:
            # The last chunk is filled up to the size that is compiled, and the filling dropped.
            index = np.arange(first, first + size) % len(replicate)
            mine = jax.tree.map(lambda leaf: leaf[index], own)
            with on_device(self.device):
                data = self.packed(replicate[index])
                return jax.device_get(program(self.problem, data, *mine, *common))

        begins = range(0, len(replicate), size)
        with ThreadPoolExecutor(min(self.threads, len(begins))) as pool:
            done = tqdm(
                pool.map(chunk, begins),
                STAGES[program],
                total=len(begins),
                unit_scale=size,
                unit="refit",
                delay=BAR_SECONDS,
                leave=False,
                disable=not self.progress,
            )
            found = list(done)
        joined = (np.concatenate(leaves)[: len(replicate)] for leaves in zip(*found, strict=True))
        return program.returns(*joined)


def _packed(
    objective: Objective,
    data: Data,
    observed: np.ndarray | None,
    weight: np.ndarray | None,
    rows: int,
) -> Data:
    """The table with losses and weights of several replicates, padded as it is."""
    size = data.response.size

    def padded(values: np.ndarray, fill: bool) -> np.ndarray:
        # As in the table: padding repeats the first row, at weight zero.
        rest = values[:, :1] if fill else np.zeros((len(values), 1))
        return np.concatenate([values, np.repeat(rest, size - rows, axis=1)], axis=1)

    response = data.response if observed is None else padded(observed, True) / data.unit
    weights = data.weight[None] if weight is None else padded(weight, False)
    metric = weights / response**2 if objective.needs_positive_loss else weights
    count = len(weights) if observed is None else len(observed)
    # A replicate without any weight is nowhere defined: nan to the end, and no warning on the way.
    with np.errstate(invalid="ignore"):
        metric = np.broadcast_to(metric / metric.sum(axis=-1, keepdims=True), (count, size))
    return data._replace(
        response=response,
        weight=np.broadcast_to(weights, metric.shape),
        metric=metric,
        measure=measure(objective, response, float(data.unit)),
    )


def _each(function: Callable[..., Any], data: Data, *own: Any) -> Any:
    """A function of data and of arrays, for every replicate of a chunk."""
    nothing: Any = None
    losses = 0 if data.response.ndim == 2 else nothing
    over = Data(*([nothing] * len(Data._fields)))._replace(
        response=losses,
        weight=0,
        metric=0,
        measure=Measure(*([nothing] * len(Measure._fields)))._replace(divisor=losses),
    )
    return jax.vmap(function, (over, *([0] * len(own))))(data, *own)


@programs.compiled(grid.Ranking)
def _rank(problem: Problem, data: Data, settings: Settings, axes: list[Any]) -> grid.Ranking:
    return cast(grid.Ranking, _each(lambda data: grid.rank(problem, data, settings, axes), data))


@programs.compiled(grid.Candidates)
def _cells(
    problem: Problem, data: Data, tiles: Any, settings: Settings, axes: list[Any]
) -> grid.Candidates:
    """The best cell of a tile of each replicate, with coefficients in raw units."""

    def one(data: Data, tile: Any) -> grid.Candidates:
        found = grid.cells(problem, data, settings, axes, tile[None])
        scale = refine.scales(problem, data, found.coordinates[0])
        found = found._replace(coefficients=found.coefficients * data.unit / scale)
        return cast(grid.Candidates, jax.tree.map(itemgetter(0), found))

    return cast(grid.Candidates, _each(one, data, tiles))


@programs.compiled(refine.Polished)
def _polish(
    problem: Problem, data: Data, start: grid.Candidates, settings: Settings, limit: Any
) -> refine.Polished:
    def one(data: Data, start: grid.Candidates) -> refine.Polished:
        alone = grid.Candidates(*(leaf[None] for leaf in start))
        found = refine.polish(problem, data, settings, alone, limit)
        return cast(refine.Polished, jax.tree.map(itemgetter(0), found))

    return cast(refine.Polished, _each(one, data, start))


STAGES = {_rank: "searching", _cells: "solving cells", _polish: "polishing"}
