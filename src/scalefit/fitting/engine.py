"""The engine: scans grids of cells and polishes starts, on one table or many of one design.

Columns of a design are evaluated once, whatever the number of its tables. A single fit
(:mod:`scalefit.fitting.search`) is one table; replicates of a bootstrap, folds of a hold-out and
tables of a study (:mod:`scalefit.fitting.multistart`) are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from jax.sharding import Mesh

from scalefit.fitting import grid
from scalefit.fitting.device_scan import DeviceScan
from scalefit.fitting.devices import Devices, chosen
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Candidates
from scalefit.fitting.newton import MOST_ITERATIONS
from scalefit.fitting.polish import HOST_NUMBERS, Polisher
from scalefit.fitting.ranking import Ranking, rank
from scalefit.fitting.tables import Tables
from scalefit.problem.problem import Problem, Settings
from scalefit.runtime.meshes import callers, is_host, mesh_of
from scalefit.runtime.progress import counting
from scalefit.runtime.settings import processor, quiet
from scalefit.runtime.threads import apart, in_threads

__all__ = ["SAME_VALUE", "Engine", "or_infinite"]

# Scattered starts are many and coarse: all go a short way, the best of them on to the end. Most
# iterations and starts of each round.
ROUNDS = ((30, grid.SCATTERED_STARTS), (100, 8), (MOST_ITERATIONS, 8))

# Above this many cells, of all tables together, grids are scanned by a compiled program on the host
# as well: a second or so of compiling is then worth it.
COMPILED_CELLS = 2**24
# Where a processor is named as the device, calling the program is worth it above this many.
CALLED_CELLS = 2**17

# Threads that call the program and rank what it scanned, at least: one ranks while another scans.
RANKING_THREADS = 2

# A value is lower than another by more than this share of it, or they are the same minimum.
SAME_VALUE = 1e-9


class Engine:
    """Scans grids and polishes starts, on the host or on a device.

    Args:
        problem: the problem.
        settings: its bounds.
        tables: the design, and the losses and weights of every table.
        axes: cells of the grid, as from :func:`scalefit.fitting.grid.axes`.
        devices: where to compute.
    """

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        tables: Tables,
        axes: Sequence[np.ndarray],
        devices: Devices,
    ) -> None:
        self.problem, self.settings, self.tables, self.axes = problem, settings, tables, axes
        self.mesh = chosen(devices, single=not any(tables.own))
        self.polisher = Polisher(problem, settings, tables, self.mesh)
        self._on_devices = DeviceScan(problem, settings, tables, axes)
        self.model = self.polisher.objective.model

    def rank(self, index: np.ndarray, starts: int) -> list[Ranking]:
        """Cells to start from for some tables, so many at most unless they are scattered."""
        compiled = bool(self.axes) and self.compiled(len(index))
        with counting("searching", len(index), "tables") as stage:
            if compiled:
                return self._ranked_by_blocks(index, starts, stage.update)
            found = []
            for table in index.tolist():
                found.append(self.ranked(table, self.scan(table, False), starts))
                stage.update()
            return found

    def _ranked_by_blocks(
        self, index: np.ndarray, starts: int, update: Callable[[int], Any]
    ) -> list[Ranking]:
        """The same by the compiled program."""
        mesh = self._scanning_mesh
        width = self._on_devices.width(mesh, len(index))
        blocks = [index[first : first + width] for first in range(0, len(index), width)]
        sizes = iter(map(len, blocks))

        def one(block: np.ndarray) -> list[Ranking]:
            with quiet():
                scans = self._on_devices(mesh, block, width)
            pairs = zip(block.tolist(), scans, strict=True)
            return [self.ranked(table, scan, starts) for table, scan in pairs]

        # A compiled program lets other threads of Python work meanwhile: they rank what was
        # scanned. Numpy does too little at a time for that.
        threads = max(RANKING_THREADS, callers(mesh))
        found = in_threads(one, blocks, threads, lambda: update(next(sizes)))
        return [item for part in found for item in part]

    def ranked(self, table: int, scan: grid.Scan | None, starts: int) -> Ranking:
        """Cells to start from on a scanned grid."""
        if scan is None:
            return Ranking(np.zeros((1, 0), dtype=int), np.zeros(1), 1)
        with quiet():
            data = self.tables.one(table)
            return rank(self.model, data, self.settings, self.axes, scan, starts)

    def compiled(self, tables: int) -> bool:
        """Whether grids of so many tables are scanned by a compiled program."""
        if self.mesh is not None and not is_host(self.mesh):
            return True
        most = COMPILED_CELLS if self.mesh is None else CALLED_CELLS
        return tables * prod(map(len, self.axes)) > most

    def scan(self, table: int, compiled: bool) -> grid.Scan | None:
        """The best cell of every tile of a table's grid; None where there is no grid."""
        if not self.axes:
            return None
        if compiled:
            return self._compiled_scan(table)
        with quiet():
            return grid.scan(self.model, self.tables.one(table), self.settings, self.axes)

    def _compiled_scan(self, table: int) -> grid.Scan:
        mesh = mesh_of([self._scanning_mesh.devices.flat[0]])
        return apart(lambda: self._on_devices(mesh, np.array([table]), 1))[0]

    @property
    def _scanning_mesh(self) -> Mesh:
        """Where compiled scans run, on the host too where grids are large."""
        return self.mesh or mesh_of([processor()])

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
            starts: points to start from.

        Returns:
            Which table each end is on, and the ends.
        """
        rounds = ROUNDS if self.problem.scattered else ((MOST_ITERATIONS, len(table)),)
        with counting("polishing", len(table), "starts") as stage:
            polished = self.polisher(table, starts, rounds[0][0], stage)
        for (last, _), (limit, most) in pairwise(rounds):
            going = np.flatnonzero(_places(table, or_infinite(polished.value)) < most)
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


def or_infinite(value: np.ndarray) -> np.ndarray:
    """Values, infinite where they are no numbers, so that those come last."""
    return np.where(np.isfinite(value), value, np.inf)


def _places(table: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Place of each start among those of its table, the lowest value first."""
    order = np.lexsort((value, table))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - np.searchsorted(table, table[order])
    return place
