"""The engine: many starts on many tables of one design, searched over the whole box and polished.

A fit is a batch of one table. Its grid is scanned, the best separated cells are polished, and more
of them where the first do not settle it. Replicates of a bootstrap, folds of a hold-out and tables
of a study are the same with more tables, whose columns are evaluated once. Where an optimum near
all of them is known, as that of the table they were drawn from, they set out from there, and the
grid is searched for some of them only: those chosen, those that end at a bound, and those that do
not arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from scalefit.errors import DataError
from scalefit.fitting import grid, irls
from scalefit.fitting.devices import chosen
from scalefit.fitting.diagnostics import arrived, settled
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Candidates, Ranking, Searched
from scalefit.fitting.newton import MOST_ITERATIONS
from scalefit.fitting.polish import HOST_NUMBERS, Polisher
from scalefit.fitting.restarts import along_profiles, off_faces
from scalefit.fitting.tables import Tables, padded
from scalefit.objective import Objective
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.settings import on_device, processor, quiet
from scalefit.runtime.threads import THREADS, apart, in_threads

__all__ = ["SAME_VALUE", "Refits", "follow", "improve", "polish_from", "refit", "search"]

# Starts of a fit are polished in batches of this many. One batch is enough where it ends in one
# interior minimum; otherwise (evidence.py) the others follow.
BATCH = 4

# Where a neighbour of the best cell has more than this many times the value of the optimum reached
# from there, the law explains most of the table, and starts from the neighbour lead back.
MOST_ABOVE = 2.0

# Times that neighbours of the best end are looked at, as long as one of them is lower.
MOST_NEIGHBOURS = 4

# Scattered starts are many and coarse: all go a short way, the best of them on to the end. Most
# iterations and starts of each round.
ROUNDS = ((30, grid.SCATTERED_STARTS), (100, 8), (MOST_ITERATIONS, 8))

# Cells per axis of a replicate's grid, where there are at most two: see grid.POINTS.
POINTS = 96

# Above this many cells, of all tables together, grids are scanned by a compiled program on the host
# as well: a second or so of compiling is then worth it.
COMPILED_CELLS = 2**24
# Where a processor is named as the device, calling the program is worth it above this many.
CALLED_CELLS = 2**17

# A value is lower than another by more than this share of it, or they are the same minimum.
SAME_VALUE = 1e-9

# A shorter wait shows no bar.
BAR_SECONDS = 2.0


class Refits(NamedTuple):
    """The best point of every table.

    Attributes:
        coefficients: linear coefficients, raw units, shape (tables, k).
        coordinates: nonlinear coordinates, shape (tables, q).
        value: objective, shape (tables,).
        newton_decrement: see :class:`scalefit.fitting.end_points.Polished`, shape (tables,).
        gradient_cosine: see there, shape (tables,).
        active: see there, shape (tables, p).
        basins: local minima on the grid; 0 where it was not searched, shape (tables,).
        global_search: whether the grid was searched, shape (tables,).
        improved: whether that found a lower minimum than the known optimum led to, (tables,).
    """

    coefficients: np.ndarray
    coordinates: np.ndarray
    value: np.ndarray
    newton_decrement: np.ndarray
    gradient_cosine: np.ndarray
    active: np.ndarray
    basins: np.ndarray
    global_search: np.ndarray
    improved: np.ndarray


class _Engine:
    """Scans grids and polishes starts, on the host or on a device."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        tables: Tables,
        axes: Sequence[np.ndarray],
        device: str | None,
        progress: bool,
    ) -> None:
        self.problem, self.settings, self.tables, self.axes = problem, settings, tables, axes
        self.progress = progress
        self.device = chosen(device, single=not any(tables.own))
        self.polisher = Polisher(problem, settings, tables, self.device)
        self.model = self.polisher.objective.model

    def rank(self, index: np.ndarray, starts: int) -> list[Ranking]:
        """Cells to start from for some tables, so many at most unless they are scattered."""
        compiled = self.compiled(len(index))

        def one(table: int) -> Ranking:
            return self.ranked(table, self.scan(table, compiled), starts)

        # A compiled program lets other threads of Python work meanwhile; numpy does too little at
        # a time for that.
        with self.bar(len(index), "searching") as bar:
            done = (lambda: None) if bar is None else bar.update
            if compiled:
                return in_threads(one, index.tolist(), THREADS, done)
            found = []
            for table in index.tolist():
                found.append(one(table))
                done()
            return found

    def ranked(self, table: int, scan: grid.Scan | None, starts: int) -> Ranking:
        """Cells to start from on a scanned grid."""
        if scan is None:
            return Ranking(np.zeros((1, 0), dtype=int), np.zeros(1), 1)
        with quiet():
            data = self.tables.one(table)
            return grid.rank(self.model, data, self.settings, self.axes, scan, starts)

    def compiled(self, tables: int) -> bool:
        """Whether grids of so many tables are scanned by a compiled program."""
        if self.device is not None and self.device.platform != "cpu":
            return True
        most = COMPILED_CELLS if self.device is None else CALLED_CELLS
        return tables * prod(map(len, self.axes)) > most

    def scan(self, table: int, compiled: bool) -> grid.Scan | None:
        """The best cell of every tile of a table's grid; None where there is no grid."""
        if not self.axes:
            return None
        with quiet():
            data = self.tables.one(table)
            if compiled:
                return self._compiled_scan(data)
            return grid.scan(self.model, data, self.settings, self.axes)

    def _compiled_scan(self, data: Data) -> grid.Scan:
        def run() -> grid.Scan:
            with on_device(self.device or processor()):
                axes = list(self.axes)
                found = grid.scan_compiled(self.problem, padded(data), self.settings, axes)
                return grid.Scan(*jax.device_get(found))

        return apart(run)

    def solved(self, cells: np.ndarray, table: np.ndarray) -> Candidates:
        """Cells with their best coefficients, each on the grid of its own table."""
        coordinates = grid.points(self.problem, self.axes, cells)
        data = self.tables.data
        with quiet():
            if not any(self.tables.own):
                return grid.solved(self.model, data, self.settings, coordinates)
            found = []
            size = max(1, HOST_NUMBERS // data.response.size)
            for first in range(0, len(cells), size):
                some = slice(first, first + size)
                losses, weight, metric = self.tables.take(table[some])
                shape = metric.shape
                each = data._replace(
                    response=np.broadcast_to(losses, shape),
                    weight=np.broadcast_to(weight, shape),
                    metric=metric,
                )
                found.append(grid.solved(self.model, each, self.settings, coordinates[some]))
        return Candidates(*(np.concatenate(leaves) for leaves in zip(*found, strict=True)))

    def to_the_end(self, table: np.ndarray, starts: Candidates) -> tuple[np.ndarray, Polished]:
        """Polish starts to optima; of scattered ones the better ones of each table go further.

        Args:
            table: which table each is on, ascending, shape (starts,).
            starts: points to set out from.

        Returns:
            Which table each end is on, and the ends.
        """
        rounds = ROUNDS if self.problem.scattered else ((MOST_ITERATIONS, len(table)),)
        with self.bar(len(table), "polishing") as bar:
            polished = self.polisher(table, starts, rounds[0][0], bar)
        for (last, _), (limit, most) in pairwise(rounds):
            going = np.flatnonzero(_places(table, _finite(polished.value)) < most)
            unfinished = going[polished.iterations[going] >= last]
            points = Candidates(
                polished.coordinates[unfinished], polished.coefficients[unfinished], None
            )
            if len(unfinished):
                found = self.polisher(table[unfinished], points, limit)
                for leaf, values in zip(polished, found, strict=True):
                    leaf[unfinished] = values
            table, polished = table[going], polished.take(going)
        return table, polished

    # A single fit: the one table, for which nothing is known yet

    def solved_alone(self, cells: np.ndarray) -> Candidates:
        """Cells of the one table with their best coefficients by squares."""
        return self.solved(cells, np.zeros(len(cells), dtype=int))

    def settled(self, polished: Polished) -> bool:
        """Whether starts on the one table need no others beside them."""
        tables = self.tables
        return settled(self.problem, tables.objective, tables.data, self.settings, polished)

    def ends(self, starts: Candidates) -> Polished:
        """Where starts on the one table end, none on a face with a way down."""

        def to_the_end(some: Candidates) -> Polished:
            return self.to_the_end(np.zeros(len(some.coordinates), dtype=int), some)[1]

        polished = to_the_end(starts)
        for _ in self.problem.nonlinear:
            with quiet():
                which, onwards = off_faces(
                    self.polisher.objective, self.tables.one(0), self.settings, polished
                )
            if not len(which):
                break
            moved = to_the_end(onwards)
            # The polish of absolute residuals sets out smoothed, and may end higher than it began.
            lower = _finite(moved.value) < polished.value[which]
            if not lower.any():
                break
            for leaf, values in zip(polished, moved, strict=True):
                leaf[which[lower]] = values[lower]
        return polished

    def with_neighbours(self, polished: Polished, cells: Candidates | None = None) -> Polished:
        """The ends, and those of starts near the best one, and near lower ones found by those.

        Some cells go with the first of them.
        """
        newton, here, factor = self.polisher.objective, self.tables.one(0), self.polisher.factor
        for _ in range(MOST_NEIGHBOURS):
            if not np.isfinite(polished.value).any():
                break
            best = polished.take([np.argmin(_finite(polished.value))])
            starts = along_profiles(newton, here, self.settings, best, factor)
            starts, cells = starts if cells is None else starts.joined(cells), None
            if not len(starts.coordinates):
                break
            others = self.ends(starts)
            polished = polished.joined(others)
            if not (_finite(others.value) < best.value[0] * (1 - SAME_VALUE)).any():
                break
        return polished

    def reweighted(self) -> tuple[Searched, Candidates]:
        """Where starts on the one table are by the objective itself: its minima come first."""
        axes = grid.coarse_axes(self.problem, self.settings, self.tables.data.response.size)
        shape = tuple(map(len, axes))
        cells = np.stack(np.unravel_index(np.arange(prod(shape)), shape), axis=1)
        places = grid.points(self.problem, axes, cells)
        found = irls.project(self.polisher.objective, self.tables.one(0), self.settings, places)
        ranking = grid.rank_cells(found.value.reshape(shape))
        starts = found.take(np.ravel_multi_index(tuple(ranking.cells.T), shape))
        return Searched(len(cells), 0, ranking.basins), starts

    def bar(self, total: int, what: str) -> AbstractContextManager[Any]:
        if not self.progress:
            return nullcontext()
        from tqdm.auto import tqdm

        return tqdm(desc=what, total=total, unit="refit", delay=BAR_SECONDS, leave=False)


@quiet()
def search(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    axes: list[np.ndarray],
    device: str | None = None,
) -> tuple[Searched, Polished]:
    """What was searched for one table's fit, and where the starts from there ended.

    Args:
        problem: the problem.
        objective: what is minimised.
        data: the table.
        settings: bounds.
        axes: cells, as from :func:`scalefit.fitting.grid.axes`.
        device: where to compute, as for ``fit``.
    """
    engine = _Engine(problem, settings, Tables(objective, data), axes, device, False)
    if axes and not (problem.scattered or irls.squared(data.measure)):
        seen, starts = engine.reweighted()
        if seen.basins:
            return _by_itself(engine, seen, starts)
    return _by_squares(engine)


def _by_itself(engine: _Engine, seen: Searched, starts: Candidates) -> tuple[Searched, Polished]:
    """Ends of starts on the one table by the objective itself, and where they do not settle it by
    squares as well.
    """
    polished = engine.ends(starts.take([0]))
    # Neighbours of the best cell on the grid that are not far above where that led.
    chosen = starts.value <= MOST_ABOVE * polished.value[0] / engine.polisher.factor
    chosen &= np.arange(len(chosen)) < 1 + 2 * len(engine.axes)
    chosen[0] = False
    polished = engine.with_neighbours(polished, starts.take(chosen))
    if seen.basins == 1 and engine.settled(polished):
        return seen, polished
    # Its cells are coarse; those of squares are fine.
    squares = engine.ranked(0, engine.scan(0, engine.compiled(1)), grid.MOST_STARTS)
    chosen[0] = True
    others = starts.take(~chosen).joined(engine.solved_alone(squares.cells))
    polished = engine.with_neighbours(polished.joined(engine.ends(others)))
    return seen._replace(by_squares=prod(map(len, engine.axes))), polished


def _by_squares(engine: _Engine) -> tuple[Searched, Polished]:
    """Ends of starts on the one table from the best cells of squares."""
    scan = engine.scan(0, engine.compiled(1))
    ranking = engine.ranked(0, scan, BATCH)
    polished = engine.ends(engine.solved_alone(ranking.cells))
    if engine.problem.scattered:
        polished = polished.take(np.argsort(_finite(polished.value), kind="stable"))
    elif ranking.basins > BATCH or not engine.settled(polished):
        ranking = engine.ranked(0, scan, grid.MOST_STARTS)
        if len(ranking.cells) > BATCH:
            others = engine.ends(engine.solved_alone(ranking.cells[BATCH:]))
            polished = polished.joined(others)
    measure, cells = engine.tables.data.measure, prod(map(len, engine.axes))
    # Of logarithms squares are the objective to first order only.
    by_squares = 0 if irls.squared(measure) and measure.residual != "log" else cells
    return Searched(cells - by_squares, by_squares, ranking.basins), polished


@quiet()
def polish_from(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    params: Mapping[str, float],
    device: str | None = None,
) -> Polished:
    """Where the one start with these nonlinear parameters ends.

    Args:
        problem: the problem.
        objective: what is minimised.
        data: the table.
        settings: bounds.
        params: free nonlinear parameters by name, raw units.
        device: where to compute, as for ``fit``.
    """
    engine = _Engine(problem, settings, Tables(objective, data), (), device, False)
    values = [params[group[0]] for group in problem.nonlinear]
    place = [
        np.log(value) if logarithm else value
        for value, logarithm in zip(values, problem.logarithmic, strict=True)
    ]
    start = irls.project(
        engine.polisher.objective,
        engine.tables.one(0),
        settings,
        np.array([place], dtype=np.float64),
    )
    return engine.polisher(np.zeros(1, dtype=int), start)


@quiet()
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
    near: Candidates | None = None,
    global_search: np.ndarray | None = None,
    held: int | None = None,
    progress: bool = False,
    device: str | None = None,
) -> Refits:
    """Fits of the same law to many tables of one design, each searched globally and polished.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the design, and the one table.
        observed: observed losses of every table, shape (tables, rows); the one table's own by
            default.
        weight: row weights of every table, shape (tables, rows); the one table's own by default.
        points: grid cells per axis.
        starts: cells polished for each table.
        near: one optimum to set out from, coefficients in raw units; shapes (k,) and (q,).
        global_search: whether to search the grid for a table all the same, shape (tables,).
        held: for how many of the tables that end at a bound it is searched; for all by default.
        progress: whether to draw a bar once it has taken two seconds.
        device: where to compute, as for ``fit``.

    Returns:
        The best point of each.

    Raises:
        DataError: neither losses nor weights are given, or their shapes differ from the table's.
    """
    given = [item for item in (observed, weight) if item is not None]
    rows = data.response.size
    if not given or any(item.ndim != 2 or item.shape != (len(given[0]), rows) for item in given):
        raise DataError(
            f"replicates need losses or weights of shape (replicates, {rows}), not "
            f"{' and '.join(str(item.shape) for item in given) or 'none at all'}",
            remedy="Pass observed=, weight= or both, of one length, a column for each row",
        )
    count = len(given[0])
    axes = grid.axes(problem, settings, points or (POINTS if len(problem.nonlinear) <= 2 else None))
    tables = Tables(objective, data, observed, weight)
    engine = _Engine(problem, settings, tables, axes, device, progress)
    if near is None:
        return _globally(engine, np.arange(count), starts)
    found = _followed(engine, count, near)
    doubtful = ~arrived(objective, data, found)
    doubtful[np.flatnonzero(found.active.any(axis=1) & ~doubtful)[:held]] = True
    again = np.flatnonzero(doubtful if global_search is None else doubtful | global_search)
    if len(again):
        improve(objective, data, found, again, _globally(engine, again, starts))
    return found


@quiet()
def follow(
    problem: Problem,
    objective: Objective,
    settings: Settings,
    data: Data,
    near: Candidates,
    *,
    observed: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    progress: bool = False,
    device: str | None = None,
) -> Refits:
    """Where one minimum leads on each of many tables of one design; no grid is searched.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the design, and the one table.
        near: the minimum, coefficients in raw units; shapes (k,) and (q,).
        observed: as for :func:`refit`.
        weight: as for :func:`refit`; one of the two is given.
        progress: as for :func:`refit`.
        device: as for :func:`refit`.
    """
    tables = Tables(objective, data, observed, weight)
    count = next(len(item) for item in (observed, weight) if item is not None)
    return _followed(_Engine(problem, settings, tables, (), device, progress), count, near)


@quiet()
def improve(
    objective: Objective, data: Data, found: Refits, index: np.ndarray, other: Refits
) -> np.ndarray:
    """Take over what refits of some tables do better.

    Args:
        objective: what is minimised.
        data: the design.
        found: refits of all tables, changed in place.
        index: the tables of the other refits, shape (m,).
        other: refits of those.

    Returns:
        Which of them ended lower, shape (m,).
    """
    lower = _finite(other.value) < _finite(found.value[index]) * (1 - SAME_VALUE)
    # One that did not arrive is no better than one of the same value that did.
    better = lower | (arrived(objective, data, other) & ~arrived(objective, data, found)[index])
    for leaf, values in zip(found[:-3], other[:-3], strict=True):
        leaf[index[better]] = values[better]
    found.basins[index] = np.maximum(found.basins[index], other.basins)
    found.global_search[index] |= other.global_search
    found.improved[index] |= lower
    return lower


def _followed(engine: _Engine, count: int, near: Candidates) -> Refits:
    """Where one minimum leads on every table."""
    coordinates, coefficients = (
        np.broadcast_to(leaf, (count, *np.shape(leaf))) for leaf in near[:2]
    )
    polisher = Polisher(engine.problem, engine.settings, engine.tables, engine.device, near=True)
    with engine.bar(count, "polishing") as bar:
        starts = Candidates(coordinates, coefficients, None)
        polished = polisher(np.arange(count), starts, bar=bar)
    never = np.zeros(count, dtype=bool)
    return _refits(polished, np.zeros(count, dtype=int), never, never.copy())


def _globally(engine: _Engine, index: np.ndarray, starts: int) -> Refits:
    """The best point of each table given, searched over the whole bounds."""
    # Scattered cells say little: as many are polished as for a single fit, however many are asked.
    rankings = engine.rank(index, starts)
    cells = [ranking.cells for ranking in rankings]
    place = np.repeat(np.arange(len(index)), [len(mine) for mine in cells])
    candidates = engine.solved(np.concatenate(cells), index[place])
    table, polished = engine.to_the_end(index[place], candidates)
    # A table's place among those given; they are in ascending order.
    place = np.searchsorted(index, table)
    order = np.lexsort((_finite(polished.value), place))
    best = order[np.searchsorted(place[order], np.arange(len(index)))]
    basins = np.array([ranking.basins for ranking in rankings])
    every = np.ones(len(index), dtype=bool)
    return _refits(polished.take(best), basins, every, ~every)


def _refits(
    polished: Polished, basins: np.ndarray, global_search: np.ndarray, improved: np.ndarray
) -> Refits:
    own = {name: getattr(polished, name) for name in Refits._fields[:5]}
    return Refits(
        **own, active=polished.active, basins=basins, global_search=global_search, improved=improved
    )


def _finite(value: np.ndarray) -> np.ndarray:
    """Values by which to order: what is not a number comes last."""
    return np.where(np.isfinite(value), value, np.inf)


def _places(table: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Place of each start among those of its table, the lowest value first."""
    order = np.lexsort((value, table))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - np.searchsorted(table, table[order])
    return place
