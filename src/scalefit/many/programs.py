"""Programs that a device runs for a block of tables, each lane with rows of its own."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp

from scalefit.fitting import grid
from scalefit.fitting.device_polish import polished_block
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Candidates
from scalefit.fitting.irls import projected
from scalefit.fitting.model import Model
from scalefit.fitting.newton import State
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.objective import Measure
from scalefit.problem.problem import Data, Problem, Settings

__all__ = ["STARTING_MINIMA", "polished_tables", "ranked_tables"]

# Minima of the fine grid of squares that are starts.
STARTING_MINIMA = 3

# A tilt far below any real difference leaves one lowest cell on a plateau.
TILT = 1e-12


def polished_tables(
    problem: Problem, measure: Measure, shared: Any, lanes: Any
) -> tuple[Polished, State]:
    """Where starts end, each on a table of its own, and their states.

    Args:
        problem: the problem.
        measure: the objective; its delta and factor are those of each table.
        shared: values of the fixed parameters; iterations at most.
        lanes: tables without their measure, bounds, delta and factor, points to start from,
            coordinates (starts, q) and coefficients in raw units (starts, k), and states of starts
            that have begun.
    """
    fixed, most = shared

    def one(
        data: Data, settings: Settings, numbers: tuple[Any, Any], *start: Any
    ) -> tuple[Polished, State]:
        delta, factor = numbers
        data = data._replace(fixed=fixed)
        given = (data, settings, (delta, measure.asymmetry, factor), most)
        rows = (data.response, data.weight, data.metric)
        # A batch of one.
        alone = jax.tree.map(lambda leaf: leaf[None], (rows, *start))
        found = polished_block(problem, measure.residual, False, True, given, alone)
        single: tuple[Polished, State] = jax.tree.map(lambda leaf: leaf[0], found)
        return single

    return jax.vmap(one)(*lanes)


def ranked_tables(
    problem: Problem, measure: Measure, sides: tuple[int, int], shared: Any, lanes: Any
) -> Candidates:
    """Points to start from on every table, with the objective there.

    The objective itself is minimised over the coefficients at the cells of a coarse grid, and at
    the best local minima of a fine grid of squares, which costs next to nothing.

    Args:
        problem: the problem, of four axes at most.
        measure: the objective; its delta is that of each table.
        sides: cells per axis of the coarse and of the fine grid.
        shared: values of the fixed parameters.
        lanes: tables without their measure, bounds, and delta.

    Returns:
        Points of each table, arrays with an axis of tables before that of points: cells of the
        coarse grid in order, then the minima of squares. Without an axis, the one point there is.
    """
    (fixed,) = shared
    k = len(problem.owners)

    def one(data: Data, settings: Settings, delta: Any) -> Candidates:
        data = data._replace(fixed=fixed)
        places = jnp.zeros((1, 0))
        if problem.nonlinear:
            ends = list(zip(settings.lower[k:], settings.upper[k:], strict=True))
            coarse, fine = ([jnp.linspace(*end, side) for end in ends] for side in sides)
            model = Model(problem, data.columns, fixed, jnp)
            squares = grid.values(model, data, settings, fine)
            places = jnp.concatenate([_cells(coarse), _best_minima(squares, _cells(fine))])
        own = data._replace(measure=measure._replace(delta=delta))
        asymmetry = measure.asymmetry
        objective = scaled_objective(problem, own, jnp, asymmetry=asymmetry, dense=True)
        return projected(objective, own, settings, places)

    return jax.vmap(one)(*lanes)


def _cells(axes: list[Any]) -> Any:
    """Coordinates of every cell, (cells, q)."""
    return jnp.stack([item.ravel() for item in jnp.meshgrid(*axes, indexing="ij")], axis=-1)


def _best_minima(values: Any, cells: Any) -> Any:
    """Cells of the lowest local minima; of any cells where minima are fewer."""
    tilted = values + TILT * jnp.arange(values.size).reshape(values.shape) / values.size
    around = jnp.pad(tilted, 1, constant_values=jnp.inf)
    views = [
        around[tuple(slice(s, s + n) for s, n in zip(shift, values.shape, strict=True))]
        for shift in product((0, 1, 2), repeat=values.ndim)
    ]
    minimum = (tilted <= jnp.stack(views).min(axis=0)) & jnp.isfinite(values)
    order = jnp.argsort(jnp.where(minimum, values, jnp.inf).ravel())
    return cells[order[:STARTING_MINIMA]]
