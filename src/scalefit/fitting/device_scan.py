"""The scan of the grids of many tables as one compiled program, on the devices of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from scalefit.fitting import grid
from scalefit.fitting.grid import Scan
from scalefit.fitting.model import Model
from scalefit.fitting.tables import Tables, padded
from scalefit.problem.problem import Problem, Settings
from scalefit.runtime.meshes import is_host, lanes_of_block, run_lanes

__all__ = ["DeviceScan", "scanned_block"]


class DeviceScan:
    """Scans the grids of tables of one design by the compiled program.

    Args:
        problem: the problem.
        settings: bounds.
        tables: the tables.
        axes: cells of the grid.
    """

    def __init__(
        self, problem: Problem, settings: Settings, tables: Tables, axes: Sequence[np.ndarray]
    ) -> None:
        self.problem, self.settings, self.tables, self.axes = problem, settings, tables, list(axes)

    def width(self, mesh: Mesh, count: int) -> int:
        """Tables of one call, of so many."""
        each = grid.scan_bytes(self.problem, padded(self.tables.data), self.axes)
        return lanes_of_block(mesh, each, count) * mesh.size

    def __call__(self, mesh: Mesh, index: np.ndarray, width: int) -> list[Scan]:
        """The best cell of every tile of each table's grid, of no more tables than the width."""
        # Filled up to the size that is compiled, the filling dropped.
        lanes = self.tables.padded(np.resize(index, width))
        shared = (padded(self.tables.data), self.settings, self.axes)
        static = (self.problem, not is_host(mesh))
        value, place = run_lanes(scanned_block, mesh, static, shared, lanes)
        return [Scan(value[i], None if place is None else place[i]) for i in range(len(index))]


def scanned_block(
    problem: Problem, together: bool, shared: tuple[Any, Any, Any], lanes: tuple[Any, Any, Any]
) -> Scan:
    """The best cell of every tile of each table's grid, as one program.

    Args:
        problem: the problem.
        together: whether all tables are scanned at once, or one after the other, in cache.
        shared: the design; bounds; cells of each axis.
        lanes: losses, weights and metric of each table, (tables, rows).
    """
    data, settings, axes = shared
    model = Model(problem, data.columns, data.fixed, jnp)

    def one(table: tuple[Any, Any, Any]) -> Scan:
        losses, weights, metric = table
        own = data._replace(response=losses, weight=weights, metric=metric)
        return grid.scan(model, own, settings, axes)

    return jax.vmap(one)(lanes) if together else lax.map(one, lanes)
