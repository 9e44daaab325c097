"""The search of a single fit, stage by stage for all tables of a stack.

The best cell of every table is polished first; then good cells elsewhere and points along the
profiles of the best end, again where one of these ends lower; then, on tables that these do not
settle, a start in every part of the box. Each stage is one batch of starts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from scalefit.fitting.device_polish import block_width, polish_in_rounds
from scalefit.fitting.diagnostics import SAME_PLACE, converged
from scalefit.fitting.end_points import Polished, blank
from scalefit.fitting.engine import SAME_VALUE, or_infinite
from scalefit.fitting.grid import Candidates
from scalefit.fitting.newton import MOST_ITERATIONS, State
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.restarts import RISE, off_faces
from scalefit.fitting.search import MOST_ABOVE, MOST_NEIGHBOURS
from scalefit.many.programs import polished_tables, ranked_tables
from scalefit.many.stacks import Stack
from scalefit.objective import Objective
from scalefit.problem.problem import Problem, Settings
from scalefit.runtime.meshes import callers, lanes_of_block, run_lanes
from scalefit.runtime.settings import quiet
from scalefit.runtime.threads import in_threads

__all__ = ["Ends", "compile_programs", "search_stack"]

# Cells per axis by number of axes: of the objective itself, even, and of squares.
COARSE = {0: 0, 1: 24, 2: 8, 3: 6, 4: 4}
FINE = {0: 0, 1: 128, 2: 24, 3: 12, 4: 8}

# Cells beside the best one that are starts, at most, the lowest first.
MOST_BESIDE = 2

# Parts of the box per axis in which a table that is not settled has a start.
PARTS = {0: 0, 1: 12, 2: 4, 3: 3, 4: 2}

# Numbers that a cell takes for each row.
NUMBERS_PER_CELL = 8


class Ends(NamedTuple):
    """Where the starts of all tables ended.

    Attributes:
        table: which table each is on, (starts,).
        polished: the ends.
        basins: local minima of the coarse grid of each table, (tables,).
    """

    table: np.ndarray
    polished: Polished
    basins: np.ndarray

    def joined(self, table: np.ndarray, polished: Polished) -> Ends:
        """With further starts."""
        both = np.concatenate([self.table, table])
        return self._replace(table=both, polished=self.polished.joined(polished))

    def lowest(self) -> np.ndarray:
        """The place of the lowest end of each table, (tables,)."""
        value = or_infinite(self.polished.value)
        order = np.lexsort((value, self.table))
        return order[np.searchsorted(self.table[order], np.arange(len(self.basins)))]


@quiet()
def search_stack(problem: Problem, objective: Objective, stack: Stack, mesh: Mesh) -> Ends:
    """Starts and their ends for every table of a stack.

    Args:
        problem: the problem that every table poses, of four axes at most and no absolute residuals.
        objective: what is minimised.
        stack: the tables.
        mesh: the devices.
    """
    return _Stacked(problem, objective, stack, mesh).searched()


def compile_programs(problem: Problem, objective: Objective, stack: Stack, mesh: Mesh) -> None:
    """Compile what :func:`search_stack` runs, side by side; arguments as there."""
    engine = _Stacked(problem, objective, stack, mesh)
    ones = np.zeros(1, dtype=int)
    start = Candidates(np.zeros((1, engine.q)), np.zeros((1, engine.k)), None)
    calls: tuple[Callable[..., Any], ...] = (
        partial(engine.ranked, ones),
        partial(engine.polish, ones, start, most=1),
    )

    def made(call: Callable[..., Any]) -> None:
        with quiet():
            call()

    in_threads(made, calls, len(calls))


class _Stacked:
    """The engine on a stack of tables."""

    def __init__(self, problem: Problem, objective: Objective, stack: Stack, mesh: Mesh) -> None:
        self.problem, self.goal, self.stack, self.mesh = problem, objective, stack, mesh
        self.objective = scaled_objective(problem, stack.data)
        self.k, self.q = len(problem.owners), len(problem.nonlinear)
        self.data = stack.data
        # What a program is compiled for.
        self.measure = stack.data.measure
        self.factor = stack.factor * stack.weight_unit

    def searched(self) -> Ends:
        """See :func:`search_stack`."""
        every = np.arange(len(self.stack))
        points = self.ranked(every)
        values = points.value
        minima, others = self.minima(values)
        best = np.argmin(or_infinite(values), axis=1)
        ends = Ends(every, self.polish(every, points.take((every, best))), minima.sum(axis=1))
        if not self.q:
            return ends
        # Other minima of either grid, and cells beside the best one, not far above where that led.
        reached = ends.polished.value / self.factor
        chosen = np.zeros_like(values, dtype=bool)
        chosen[:, : minima.shape[1]] = minima | others
        chosen[:, minima.shape[1] :] = True
        chosen[every, best] = False
        chosen &= values <= MOST_ABOVE * reached[:, None]
        ends = self.with_starts(ends, *self.picked(chosen, points))
        ends = self.with_profiles(ends, every)
        unsettled = np.flatnonzero(~self.settled(ends))
        if len(unsettled):
            rest = np.zeros_like(values, dtype=bool)
            rest[unsettled] = self.parts(values)[unsettled] & ~chosen[unsettled]
            before = ends.polished.value[ends.lowest()]
            ends = self.with_starts(ends, *self.picked(rest, points))
            lower = ends.polished.value[ends.lowest()] < before * (1 - SAME_VALUE)
            ends = self.with_profiles(ends, np.flatnonzero(lower))
        return self.off_faces(ends)

    # Cells

    def ranked(self, tables: np.ndarray) -> Candidates:
        """Points to start from on some tables, arrays of shape (tables, points, ...)."""
        data = self.data
        sides = (COARSE[self.q], FINE[self.q])
        cells = COARSE[self.q] ** self.q + 3
        each = 8 * data.response.shape[1] * cells * NUMBERS_PER_CELL
        width = lanes_of_block(self.mesh, each, len(self.stack)) * self.mesh.size

        def run(index: np.ndarray) -> Any:
            filled = np.resize(index, width)
            lanes = (*self.stack.for_program(filled), self.stack.delta[filled])
            static = (self.problem, self.measure, sides)
            found = run_lanes(ranked_tables, self.mesh, static, (data.fixed,), lanes)
            return [leaf[: len(index)] for leaf in found]

        blocks = [tables[i : i + width] for i in range(0, len(tables), width)]
        found = in_threads(run, blocks, callers(self.mesh))
        return Candidates(*(np.concatenate(leaves) for leaves in zip(*found, strict=True)))

    def minima(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local minima of the coarse grid, and the best cells beside its lowest one.

        Both (tables, cells).
        """
        side, tables = COARSE[self.q], len(values)
        cells = side**self.q
        if not self.q:
            return np.ones((tables, 0), dtype=bool), np.zeros((tables, 0), dtype=bool)
        shape = (side,) * self.q
        coarse = or_infinite(values[:, :cells]).reshape(tables, *shape)
        lowest = coarse
        for axis in range(1, self.q + 1):
            pads = [(1, 1) if i == axis else (0, 0) for i in range(self.q + 1)]
            along = np.moveaxis(np.pad(lowest, pads, constant_values=np.inf), axis, 0)
            least = np.minimum(np.minimum(along[:-2], along[1:-1]), along[2:])
            lowest = np.moveaxis(least, 0, axis)
        minimum = ((coarse <= lowest) & np.isfinite(coarse)).reshape(tables, cells)
        best = np.unravel_index(coarse.reshape(tables, cells).argmin(axis=1), shape)
        beside = np.zeros((tables, cells), dtype=bool)
        every = np.arange(tables)
        for axis in range(self.q):
            across = np.moveaxis(coarse, axis + 1, 1).reshape(tables, side, -1)
            numbers = np.moveaxis(np.arange(cells).reshape(shape), axis, 0).reshape(side, -1)
            for step in (1, -1):
                at = best[axis] + step
                inside = (at >= 0) & (at < side)
                at = np.clip(at, 0, side - 1)
                cell = numbers[at, across[every, at].argmin(axis=1)]
                beside[every[inside], cell[inside]] = True
        heights = np.where(beside, values[:, :cells], np.inf)
        np.put_along_axis(beside, np.argsort(heights, axis=1)[:, MOST_BESIDE:], False, axis=1)
        return minimum, beside

    def parts(self, values: np.ndarray) -> np.ndarray:
        """The best cell of each part of the box, (tables, points)."""
        side, parts = COARSE[self.q], PARTS[self.q]
        shape = [n for _ in range(self.q) for n in (parts, side // parts)]
        order = [*range(0, 2 * self.q, 2), *range(1, 2 * self.q, 2)]
        cells = np.arange(side**self.q).reshape(shape).transpose(order).reshape(parts**self.q, -1)
        least = or_infinite(values)[:, cells].argmin(axis=2)
        chosen = np.zeros(values.shape, dtype=bool)
        np.put_along_axis(chosen, cells[np.arange(len(cells)), least], True, axis=1)
        return chosen & np.isfinite(values)

    def picked(self, chosen: np.ndarray, points: Candidates) -> tuple[np.ndarray, Candidates]:
        """Chosen points, and the table of each."""
        at = np.nonzero(chosen)
        return at[0], points.take(at)

    # Starts

    def polish(
        self, table: np.ndarray, starts: Candidates, most: int = MOST_ITERATIONS
    ) -> Polished:
        """Where starts end, each on a table of its own."""
        ends = blank(len(table), self.objective)

        def call(index: np.ndarray, state: State, limit: int) -> tuple[Polished, State]:
            mine, start = table[index], starts.take(index)[:2]
            numbers = (self.stack.delta[mine], self.factor[mine])
            shared = (self.data.fixed, np.int64(limit))
            lanes = (*self.stack.for_program(mine), numbers, *start, state)
            static = (self.problem, self.measure)
            found: tuple[Polished, State] = run_lanes(
                polished_tables, self.mesh, static, shared, lanes
            )
            return found

        # One width for all stages, whatever their number of starts is: one program.
        width = block_width(self.mesh, self.data.response.shape[1], len(self.stack))
        polish_in_rounds(self.mesh, call, ends, most, width)
        return ends

    def with_starts(self, ends: Ends, table: np.ndarray, starts: Candidates) -> Ends:
        """Ends with those of further starts."""
        return ends.joined(table, self.polish(table, starts)) if len(table) else ends

    def with_profiles(self, ends: Ends, tables: np.ndarray) -> Ends:
        """The same with starts along the profiles of the best ends, again for each better one."""
        for _ in range(MOST_NEIGHBOURS):
            if not len(tables):
                break
            before = ends.polished.value[ends.lowest()]
            ends = self.with_starts(ends, *self.along_profiles(ends, tables))
            lower = ends.polished.value[ends.lowest()] < before * (1 - SAME_VALUE)
            tables = np.flatnonzero(lower)
        return ends

    def along_profiles(self, ends: Ends, tables: np.ndarray) -> tuple[np.ndarray, Candidates]:
        """Points on either side of the best end of some tables along each nonlinear parameter.

        See ``fitting.restarts``. Coefficients move along the profile to first order.
        """
        best, k, data = ends.polished.take(ends.lowest()[tables]), self.k, self.stack.many(tables)
        inverse, free = _inverse(best)
        freedom = np.count_nonzero(data.weight, axis=1) - np.count_nonzero(free, axis=1)
        value = best.value / self.factor[tables] / np.maximum(1, freedom)
        own = np.diagonal(inverse, axis1=1, axis2=2)[:, k:]
        length = np.sqrt(2 * RISE * value[:, None] / own)
        # A step in all parameters for each nonlinear one, either way.
        steps = length[:, :, None] * np.swapaxes(inverse[:, :, k:], 1, 2)
        steps = np.concatenate([steps, -steps], axis=1)
        there = np.isfinite(steps).all(axis=2)
        one, way = np.nonzero(there)
        step = steps[one, way]
        on = self.stack.many(tables[one])
        low, high = (end[tables[one], k:] for end in self.stack.settings[:2])
        here = best.coordinates[one]
        coordinates = np.clip(here + step[:, k:], low, high)
        objective = scaled_objective(self.problem, on)
        # Coefficients are scaled by their columns, which change with the coordinates.
        before, after = (objective.scale(on.metric, place) for place in (here, coordinates))
        scaled = best.coefficients[one] * before / on.unit[:, None] + step[:, :k]
        raw = scaled * on.unit[:, None] / np.where(after > 0, after, 1.0)
        return tables[one], Candidates(coordinates, raw, None)

    # Judgement

    def settled(self, ends: Ends) -> np.ndarray:
        """Tables of one basin whose starts all ended in one and the same interior minimum."""
        polished, table = ends.polished, ends.table
        here = ends.polished.coordinates[ends.lowest()][table]
        same = np.abs(polished.coordinates - here) <= SAME_PLACE * (1 + np.abs(here))
        good = same.all(axis=1) & self.converged(ends) & ~polished.active.any(axis=1)
        found = ends.basins == 1
        np.logical_and.at(found, table, good)
        return found

    def converged(self, ends: Ends) -> np.ndarray:
        """Starts that reached a minimum, (starts,)."""
        return converged(self.goal, self.stack.many(ends.table), ends.polished)

    def off_faces(self, ends: Ends) -> Ends:
        """Go on from ends where a term vanished that would lower the objective."""
        doubtful = np.arange(len(self.stack))
        for _ in range(self.q):
            best = ends.lowest()
            table, starts = [], []
            for one in doubtful.tolist():
                end = ends.polished.take(best[one : one + 1])
                if np.isfinite(end.value[0]) and (end.coefficients == 0).any():
                    objective = scaled_objective(self.problem, self.stack.one(one))
                    settings = Settings(*(item[one] for item in self.stack.settings))
                    which, onwards = off_faces(objective, self.stack.one(one), settings, end)
                    if len(which):
                        table.append(one)
                        starts.append(onwards)
            if not table:
                break
            before = ends.polished.value[best]
            places, raw = (np.concatenate([item[i] for item in starts]) for i in (0, 1))
            onwards = Candidates(places, raw, None)
            ends = self.with_starts(ends, np.array(table), onwards)
            doubtful = np.flatnonzero(
                ends.polished.value[ends.lowest()] < before * (1 - SAME_VALUE)
            )
            ends = self.with_profiles(ends, doubtful)
        return ends


def _inverse(ends: Polished) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of the curvature at each end among the parameters that can move, zero elsewhere.

    Shapes (ends, p, p), and (ends, p) for which can.
    """
    matrix = ends.gauss_newton
    diagonal = np.diagonal(matrix, axis1=1, axis2=2)
    free = ~ends.active & (diagonal > 0) & np.isfinite(matrix).all(axis=(1, 2))[:, None]
    both = free[:, :, None] & free[:, None, :]
    size = np.sqrt(np.where(free, diagonal, 1.0))
    sizes = size[:, :, None] * size[:, None, :]
    scaled = np.where(both, matrix / sizes, np.eye(matrix.shape[-1]))
    return np.where(both, np.linalg.pinv(scaled, hermitian=True) / sizes, 0.0), free
