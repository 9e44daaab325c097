"""Global search: the projected squared error on a grid over the nonlinear parameters.

Variable projection: at each cell the best coefficients are known in closed form, so the search has
only the nonlinear parameters. The grid is factorised: each basis column is evaluated on the
sub-grid of the coordinates it sees, and the Gram matrix of a cell is assembled from inner products
of sub-grids. For Chinchilla, of the six inner products between E, A, B and the loss, only one sees
both exponents; it is a matrix product, and the grid costs little more than that.

A Gram value (projection.py) carries rounding of about 1e-16 relative to the squared loss and only
ranks cells; the best separated ones are polished on the true objective (refine.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.fitting.projection import (
    MOST_ACTIVE_SETS,
    columns_over,
    inner_division,
    projected,
)

__all__ = [
    "Candidates",
    "Ranking",
    "axes",
    "cells",
    "most_starts",
    "rank",
    "tile_count",
    "values",
]

# Cells per axis by number of axes. Two exponents at 96 points each are 7 % apart, 0.02 near 0.3:
# finer than a basin of the projected objective.
POINTS = {1: 512, 2: 96, 3: 48, 4: 24}

# Scattered points of one block of coordinates: as many as 16 on each axis would be, up to a number
# at which a column is evaluated in a tenth of a second, and the combinations of all blocks within
# what a matrix product covers as fast.
SCATTERED_PER_AXIS = 16
SCATTERED_PER_BLOCK = 4096
SCATTERED_CELLS = 2**21
SCATTERED_STARTS = 32

# Cells are reduced to the best of each tile as they are computed, so that a grid of 1e8 cells never
# stands in memory at once. Cells per side of a tile, by number of axes.
TILE = {1: 8, 2: 8, 3: 4, 4: 4}
# Bytes of one slab of cells: it should stay in cache between the product and the reduction.
SLAB_BYTES = 8 * 2**20

# Starts: first the local minima of the grid, best first, then the best cells at least a tenth of
# the grid away from every earlier start.
MOST_STARTS = 16
SEPARATION = 10


class Ranking(NamedTuple):
    """Tiles to start from; on the device, then on the host.

    Attributes:
        tiles: index of each tile along every axis, shape (starts, q).
        value: order in which they were taken, infinite once no tile is left, shape (starts,).
        basins: number of local minima among all tiles, shape ().
    """

    tiles: Any
    value: Any
    basins: Any


class Candidates(NamedTuple):
    """Cells to start from.

    Attributes:
        coordinates: free nonlinear coordinates, shape (starts, q).
        coefficients: each times the root mean square of its column, in ``data.unit``; solved on
            the columns of the cell itself, shape (starts, k).
        value: projected squared error relative to the squared loss, shape (starts,).
    """

    coordinates: Any
    coefficients: Any
    value: Any


def axes(
    problem: Problem, settings: Settings, points: int | None = None, seed: int = 0
) -> list[np.ndarray]:
    """Cells along each axis: coordinates equally spaced between the bounds, shape (cells,); or
    scattered points of a block of coordinates, shape (cells, coordinates of the block).

    Args:
        problem: the problem.
        settings: its bounds.
        points: cells per axis of a regular grid, rounded up to whole tiles. Default by number of
            axes.
        seed: of the scattered points.
    """
    first = len(problem.owners)
    lower, upper = settings.lower[first:], settings.upper[first:]
    if problem.scattered:
        return _scatter(problem, lower, upper, seed)
    count = len(problem.nonlinear)
    if not count:
        return []
    wanted = points or POINTS[count]
    rounded = -(-wanted // TILE[count]) * TILE[count]
    return [np.linspace(lower[i], upper[i], rounded) for i in range(count)]


def _scatter(problem: Problem, lower: Any, upper: Any, seed: int) -> list[np.ndarray]:
    """Low-discrepancy points of every block (Sobol, scrambled by the seed)."""
    # Half a second to import, for laws that need it.
    from scipy.stats import qmc

    found = []
    for number, (axis, count) in enumerate(zip(problem.axes, _counts(problem), strict=True)):
        sobol = qmc.Sobol(len(axis), rng=np.random.default_rng([seed, number]))
        places = list(axis)
        unit = sobol.random(count)
        found.append(lower[places] + (upper[places] - lower[places]) * unit)
    return found


def _counts(problem: Problem) -> list[int]:
    """Scattered points of each block."""
    counts = [min(SCATTERED_PER_BLOCK, SCATTERED_PER_AXIS ** len(axis)) for axis in problem.axes]
    while prod(counts) > SCATTERED_CELLS:
        counts[counts.index(max(counts))] //= 2
    return counts


def tile_count(problem: Problem, grid: Sequence[Any]) -> int:
    """Number of tiles of a grid; one where there is nothing to search."""
    return prod(len(axis) // _tile(problem) for axis in grid)


def most_starts(problem: Problem) -> int:
    """Starts that :func:`rank` chooses where cells are scattered."""
    return min(SCATTERED_STARTS, max(_counts(problem)))


def rank(problem: Problem, data: Data, settings: Settings, grid: Sequence[Any]) -> Ranking:
    """The tiles worth starting from: local minima, then the best ones far from every earlier one;
    where cells are scattered, the best cells of the largest block.

    Args:
        problem: the problem; a new one compiles a new program.
        data: rows, padded.
        settings: bounds.
        grid: coordinates of each axis, whole tiles, as from :func:`axes`.
    """
    if not grid:
        return Ranking(jnp.zeros((1, 0), dtype=int), jnp.zeros(1), jnp.asarray(1))
    tiles = _scan(problem, data, settings, [jnp.asarray(axis) for axis in grid])
    if problem.scattered:
        return _best_scattered(tiles)
    basin = _local_minima(tiles)
    indices, value = _separated(tiles, basin, MOST_STARTS)
    return Ranking(jnp.stack(indices, axis=1), value, basin.sum())


def values(problem: Problem, data: Data, settings: Settings, grid: Sequence[Any]) -> jax.Array:
    """Projected squared error of every cell, relative to the squared loss, shape of the grid."""
    axes = [jnp.asarray(axis) for axis in grid]
    columns = columns_over(problem, data, axes, lambda seen: True)
    return projected(problem, data, settings, len(axes), columns)[0]


def _best_scattered(values: jax.Array) -> Ranking:
    """The best points of the largest block, each with its best partners."""
    largest = max(range(values.ndim), key=lambda axis: values.shape[axis])
    flat = jnp.moveaxis(values, largest, 0).reshape(values.shape[largest], -1)
    partner = jnp.argmin(flat, axis=1)
    negative, chosen = lax.top_k(-flat.min(axis=1), min(SCATTERED_STARTS, len(flat)))
    others = [size for axis, size in enumerate(values.shape) if axis != largest]
    indices = list(jnp.unravel_index(partner[chosen], others))
    indices.insert(largest, chosen)
    # Points in no order have no neighbours, and so no basins.
    return Ranking(jnp.stack(indices, axis=1), -negative, jnp.asarray(0))


def cells(
    problem: Problem, data: Data, settings: Settings, grid: Sequence[Any], tiles: Any
) -> Candidates:
    """The best cell of each tile, with its coefficients.

    Args:
        problem: the problem.
        data: rows, padded.
        settings: bounds.
        grid: coordinates of each axis.
        tiles: index of each tile along every axis, shape (starts, q).
    """
    axes = [jnp.asarray(axis) for axis in grid]
    return jax.vmap(partial(_best_cell, problem, data, settings, axes))(tiles)


def _scan(problem: Problem, data: Data, settings: Settings, grid: list[Any]) -> jax.Array:
    """Best value in each tile, slab by slab along the first axis."""
    tile = _tile(problem)
    # Slabs of like size, as large as the cache allows: a thin slab makes the product pack its other
    # factor for little work. The last one is filled up with copies of the last cell.
    whole = len(grid[0]) // tile
    count = -(-whole // max(1, SLAB_BYTES // (8 * tile * _row_size(problem, data, grid))))
    per_slab = -(-whole // count)
    missing = (count * per_slab - whole) * tile
    slabs = jnp.concatenate([grid[0], jnp.repeat(grid[0][-1:], missing, axis=0)])
    slabs = slabs.reshape(count, per_slab * tile, *grid[0].shape[1:])
    shared = columns_over(problem, data, grid, lambda seen: 0 not in seen)

    def slab(first: jax.Array) -> jax.Array:
        local = columns_over(problem, data, [first, *grid[1:]], lambda seen: 0 in seen)
        columns = {**shared, **local}
        return _tile_minima(projected(problem, data, settings, len(grid), columns)[0], tile)

    minima: Any = slab(slabs[0])[None] if len(slabs) == 1 else lax.map(slab, slabs)
    return minima.reshape(-1, *minima.shape[2:])[:whole]


def _tile(problem: Problem) -> int:
    """Cells per side of a tile; scattered cells have no neighbours."""
    return 1 if problem.scattered else TILE.get(len(problem.nonlinear), 1)


def _row_size(problem: Problem, data: Data, grid: list[Any]) -> int:
    """Numbers held for one value of the first axis: its cells, or a column over its sub-grid."""
    sizes = [len(axis) for axis in grid]
    seen = [problem.across(axes) for axes in [*problem.axes_seen, problem.axes_known or ()]]
    columns = [
        len(data.response) * prod(sizes[axis] for axis in axes[1:]) for axes in seen if 0 in axes
    ]
    division = inner_division(problem)
    levels = 1 if division is None else len(data.places[division])
    plain = sum(
        width
        for width, own in zip(problem.widths, problem.divisions, strict=True)
        if own is None or own != division
    )
    # Systems too large to be enumerated are held whole.
    dense = plain**2 if 2**plain > MOST_ACTIVE_SETS else 0
    return max((levels + dense) * prod(sizes[1:]), *columns, 1)


def _tile_minima(values: Any, tile: int) -> jax.Array:
    """Minimum over blocks of ``tile`` cells along every axis."""
    for axis in range(values.ndim):
        shape = (*values.shape[:axis], -1, tile, *values.shape[axis + 1 :])
        values = values.reshape(shape).min(axis=axis + 1)
    return values


def _local_minima(tiles: jax.Array) -> jax.Array:
    """Which tiles are not above any neighbour, a plateau counting once."""
    # Where a coefficient is zero its exponent does not matter and the grid is flat along it; a tilt
    # far below any real difference leaves one lowest tile.
    tilt = jnp.arange(tiles.size).reshape(tiles.shape) / tiles.size
    tilted = tiles + 1e-12 * tilt
    window = (3,) * tiles.ndim
    lowest = lax.reduce_window(tilted, jnp.inf, lax.min, window, (1,) * tiles.ndim, "SAME")
    return (tilted <= lowest) & jnp.isfinite(tiles)


def _separated(
    tiles: jax.Array, basin: jax.Array, starts: int
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Indices of the local minima, then of the best tiles far from every earlier one; order."""
    positions = jnp.meshgrid(*(jnp.arange(count) for count in tiles.shape), indexing="ij")
    reach = [max(1, count // SEPARATION) for count in tiles.shape]
    # Above every value: the basins come first.
    above = 1.0 + jnp.max(jnp.where(jnp.isfinite(tiles), tiles, 0.0))
    order = jnp.where(basin, tiles, tiles + above)

    def pick(remaining: jax.Array, _: None) -> tuple[jax.Array, Any]:
        # argmin of everything is a scalar loop; a minimum over the other axes first is not.
        flat = remaining.reshape(len(remaining), -1)
        row = jnp.argmin(flat.min(axis=1))
        index = (row, *jnp.unravel_index(jnp.argmin(flat[row]), remaining.shape[1:]))
        near, here = jnp.asarray(True), jnp.asarray(True)
        for position, centre, span in zip(positions, index, reach, strict=True):
            near = near & (jnp.abs(position - centre) <= span)
            here = here & (position == centre)
        taken = here | (near & ~basin)
        return jnp.where(taken, jnp.inf, remaining), (index, remaining[index])

    return lax.scan(pick, order, None, length=min(starts, tiles.size))[1]


def _best_cell(
    problem: Problem, data: Data, settings: Settings, grid: list[Any], tile: jax.Array
) -> Candidates:
    """The best cell of one tile."""
    side = _tile(problem)
    inside = [lax.dynamic_slice_in_dim(axis, tile[i] * side, side) for i, axis in enumerate(grid)]
    columns = columns_over(problem, data, inside, lambda seen: True)
    value, solution = projected(problem, data, settings, len(grid), columns)
    cell = jnp.unravel_index(jnp.argmin(value), value.shape)
    chosen = problem.coordinates([axis[index] for axis, index in zip(inside, cell, strict=True)])
    coefficients = [
        jnp.broadcast_to(item, (*value.shape, item.shape[-1]))[cell] for item in solution
    ]
    return Candidates(
        jnp.stack(chosen) if chosen else jnp.zeros(0),
        jnp.concatenate(coefficients) if coefficients else jnp.zeros(0),
        value[cell],
    )
