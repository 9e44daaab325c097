"""Basis columns of a law over a grid: centred, scaled, each on the sub-grid that it depends on.

Columns are centred (where the law has a free constant) and scaled to unit root mean square, which
makes the search independent of the units of the data. Arrays broadcast over the grid: an entry has
the size of the sub-grid it depends on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import dot
from scalefit.fitting.model import Cells, Model
from scalefit.problem.problem import Data, Problem

__all__ = [
    "KNOWN",
    "LEVELS",
    "Column",
    "Key",
    "by_level",
    "centred",
    "column_size",
    "columns_over",
    "inner_division",
    "merged",
]


class Column(NamedTuple):
    """One basis column on its sub-grid; ``mean`` and ``scale`` broadcast over the whole grid.

    A column that has a coefficient for each level holds its rows as (levels, rows of a level), and
    its scale with a last axis of levels.

    Attributes:
        rows: the column, weighted, centred and of unit square, shape (*sub-grid, rows).
        mean: its mean before it was centred.
        scale: its root mean square over the unit of the loss.
        axes: the axes of the grid that it depends on.
    """

    rows: Any
    mean: Any
    scale: Any
    axes: tuple[int, ...]


# A column is known by the coefficient it belongs to; by its linear parameter and this, where it is
# eliminated with all its levels; by ``KNOWN`` where it is f0.
Key = int | tuple[str, int]
LEVELS = "levels"
KNOWN = -1


def inner_division(problem: Problem) -> int | None:
    """The division of the rows whose coefficients are eliminated first: the one with most levels.

    Coefficients of another division share rows with several of its levels: they stay plain columns.
    """
    widths: dict[int, int] = {}
    for index, division in enumerate(problem.divisions):
        if division is not None:
            widths[division] = problem.widths[index]
    return max(widths, key=lambda division: widths[division]) if widths else None


def centred(problem: Problem) -> int | None:
    """The coefficient of the constant that columns are centred for, if any."""
    # Centring would couple the levels of a division.
    if problem.constant is None or any(item is not None for item in problem.divisions):
        return None
    return problem.owners.index(problem.constant)


def columns_over(
    model: Model, data: Data, cells: Cells, wanted: Callable[[tuple[int, ...]], bool]
) -> dict[Key, Column]:
    """Centred, scaled basis columns where wanted.

    Args:
        model: the problem's terms on the table.
        data: the table; or, where cells are points of one axis, that of each, (cells, rows).
        cells: the grid.
        wanted: whether columns that depend on these axes are.
    """
    problem = model.problem
    found: dict[Key, Column] = {}
    inner = inner_division(problem)
    # A table at each point of one axis has weights of its own there, and so every column differs.
    own = (0,) if data.response.ndim > 1 else ()
    seen_by = [cells.across(axes) or own for axes in problem.axes_seen]
    chosen = [
        index
        for index, seen in enumerate(seen_by)
        if problem.owners.index(index) != centred(problem) and wanted(seen)
    ]
    of_known = () if problem.axes_known is None else cells.across(problem.axes_known) or own
    with_known = problem.axes_known is not None and wanted(of_known)
    if not chosen and not with_known:
        return found
    axes = {axis for index in chosen for axis in seen_by[index]}
    values = model.over_cells(cells, axes | (set(of_known) if with_known else set()))
    shape = cells.shape
    for index in chosen:
        seen, first, division = (
            seen_by[index],
            problem.owners.index(index),
            problem.divisions[index],
        )
        rows = _on_axes(model, data, shape, values.columns[index], seen)
        if division is None:
            found[first] = _plain_column(model, data, shape, rows, seen)
        elif division == inner:
            found[LEVELS, index] = _level_column(model, data, shape, rows, seen, division)
        else:
            for level in range(problem.widths[index]):
                there = model.library.where(data.codes[division] == level, rows, 0.0)
                found[first + level] = _plain_column(model, data, shape, there, seen)
    if with_known:
        rows = _on_axes(model, data, shape, values.known, of_known)
        found[KNOWN] = _plain_column(model, data, shape, rows, of_known)
    return found


def column_size(model: Model, data: Data, columns: dict[Key, Column], index: int) -> Any:
    """Size of the columns of a linear parameter over the unit of the loss, (*grid, width)."""
    if (LEVELS, index) in columns:
        return columns[LEVELS, index].scale
    first = model.problem.owners.index(index)
    if first not in columns:  # the constant, which columns are centred for
        return model.library.reshape(1.0 / data.unit, (1,))
    each = [columns[first + level].scale for level in range(model.problem.widths[index])]
    return model.library.stack(each, axis=-1)


def _on_axes(
    model: Model, data: Data, shape: tuple[int, ...], rows: Any, seen: tuple[int, ...]
) -> Any:
    """A column on the axes it depends on, shape (*sub-grid, rows)."""
    sizes = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    count = data.response.shape[-1]
    if np.ndim(rows) > len(shape):
        # A law that is no list of operations gives every term on every axis.
        rows = rows[tuple(slice(size) for size in sizes)]
    whole = model.library.broadcast_to(rows, (*sizes, count))
    return whole.reshape([*(shape[axis] for axis in seen), count])


def _plain_column(
    model: Model, data: Data, shape: tuple[int, ...], values: Any, seen: tuple[int, ...]
) -> Column:
    xp = model.library
    root = xp.sqrt(data.metric)
    rows = values * root
    scale = xp.sqrt(dot(rows, rows, xp))
    # A column of zeros (a parameter fixed at zero) stays one.
    rows = rows / xp.where(scale > 0, scale, 1.0)[..., None]
    mean = dot(rows, root, xp)
    if centred(model.problem) is not None:
        rows = rows - mean[..., None] * root
    spread = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    return Column(rows, mean.reshape(spread), (scale / data.unit).reshape(spread), seen)


def _level_column(
    model: Model,
    data: Data,
    shape: tuple[int, ...],
    values: Any,
    seen: tuple[int, ...],
    division: int,
) -> Column:
    xp = model.library
    rows = by_level(data, xp.sqrt(data.metric) * values, division)
    scale = xp.sqrt(merged(model, data, division, xp.sum(rows**2, axis=-1)))
    rows = rows / xp.where(scale > 0, scale, 1.0)[..., data.slots[division], None]
    spread = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    return Column(rows, 0.0, (scale / data.unit).reshape(*spread, -1), seen)


def by_level(data: Data, rows: Any, division: int) -> Any:
    """Rows sorted by level, shape (..., slots, rows of a slot), zero where there are fewer."""
    return rows[..., data.places[division]] * data.present[division]


def merged(model: Model, data: Data, division: int, values: Any) -> Any:
    """Sums over the slots of each level, (..., slots) to (..., levels)."""
    levels = model.problem.widths[model.problem.divisions.index(division)]
    slots = data.slots[division]
    if len(slots) == levels:
        return values
    if model.library is np:
        return np.add.reduceat(values, np.searchsorted(slots, np.arange(levels)), axis=-1)
    whole = model.library.zeros((*values.shape[:-1], levels))
    return whole.at[..., slots].add(values, indices_are_sorted=True)
