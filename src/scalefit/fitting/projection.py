"""Variable projection: the squared error of every cell, minimised over the linear coefficients.

Everything is nested lists of arrays that broadcast over the grid: an entry has the size of the
sub-grid it depends on. :mod:`scalefit.fitting.grid` makes the cells and ranks their values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.active_sets import best_active_set
from scalefit.fitting.basis_columns import KNOWN, Column, Key
from scalefit.fitting.model import Model
from scalefit.fitting.normal_equations import (
    level_equations,
    normal_equations,
    order_of,
    sizes_of,
    with_levels,
    without_levels,
)
from scalefit.problem.problem import Data, Settings

__all__ = ["projected"]


def projected(
    model: Model,
    data: Data,
    settings: Settings,
    dimensions: int,
    columns: dict[Key, Column],
    with_coefficients: bool = True,
) -> tuple[Any, list[Any]]:
    """Projected squared error of every cell, relative to the squared loss, and coefficients.

    Returns:
        Value, infinite or ``REJECTED`` where there is no solution; and, where they are wanted, for
        each linear parameter its scaled coefficients, with a last axis of levels.
    """
    problem, xp = model.problem, model.library
    system = normal_equations(model, data, columns, dimensions)
    levels = level_equations(model, data, columns, dimensions)
    if levels is not None:
        system = without_levels(model, system, levels)
    order = order_of(columns)
    value, found = best_active_set(
        model, data, settings, order, system, with_coefficients or levels is not None
    )
    eliminated: dict[int, Any] = {}
    if levels is not None:
        # The known part enters with its own scale.
        every = [found[key] if key != KNOWN else columns[KNOWN].scale for key in order]
        value, eliminated = with_levels(model, settings, levels, value, every)
    solution = []
    for index in range(len(problem.linear) if with_coefficients else 0):
        if index in eliminated:
            solution.append(eliminated[index])
            continue
        first = problem.owners.index(index)
        parts = [found[first + level] for level in range(problem.widths[index])]
        shape = np.broadcast_shapes(*(np.shape(part) for part in parts))
        solution.append(xp.stack([xp.broadcast_to(part, shape) for part in parts], axis=-1))
    sizes = sizes_of(columns.values())
    return xp.broadcast_to(value, [sizes.get(axis, 1) for axis in range(dimensions)]), solution
