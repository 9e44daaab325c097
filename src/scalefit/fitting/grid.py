"""Global search: the projected squared error on a grid over the nonlinear parameters.

Variable projection: at each cell the best coefficients have a closed form, so that only the
nonlinear parameters are searched. The grid is factorised: each basis column is evaluated on the
sub-grid of the coordinates it depends on, and the Gram matrix of a cell is assembled from inner
products of sub-grids. For Chinchilla, of the six inner products between E, A, B and the loss, only
one depends on both exponents; it is a matrix product, and the grid costs little more than that.

A Gram value (:mod:`scalefit.fitting.projection`) carries rounding of about 1e-16 relative to the
squared loss and only ranks cells; the best separated ones are polished on the true objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.fitting.active_sets import MOST_ACTIVE_SETS, REJECTED
from scalefit.fitting.basis_columns import column_size, columns_over, inner_division
from scalefit.fitting.model import Cells, Model
from scalefit.fitting.projection import projected
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.settings import quiet
from scalefit.runtime.threads import THREADS, in_threads

__all__ = [
    "Candidates",
    "Scan",
    "Searched",
    "at_points",
    "axes",
    "coarse_axes",
    "points",
    "scan",
    "scan_bytes",
    "solved",
    "tile_side",
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
# Bytes of one slab of cells: it should stay in cache between the product and the reduction. Numpy
# goes over a slab once for every operation, a compiled program for several at a time.
NUMPY_SLAB_BYTES = 2**19
SLAB_BYTES = 8 * 2**20

# Cells of a slab up to which a compiled program also returns where in each tile the best one is.
PLACED_CELLS = 2**15

# Cells times rows at which the objective itself is minimised over the coefficients, about: as much
# work as polishing two starts; and fewest and most cells per axis, by number of axes.
COARSE_NUMBERS = 2**14
COARSE = {1: (24, 96), 2: (8, 24), 3: (6, 10), 4: (4, 6)}


class Scan(NamedTuple):
    """The best cell of every tile.

    Attributes:
        value: its projected squared error, shape of the tiles.
        place: which cell of the tile it is, counted along the axes in order, shape of the tiles;
            None where that is not known.
    """

    value: Any
    place: Any


class Candidates(NamedTuple):
    """Points to start from.

    Attributes:
        coordinates: free nonlinear coordinates, shape (starts, q).
        coefficients: free linear coefficients, raw units, shape (starts, k).
        value: projected squared error relative to the squared loss, shape (starts,).
    """

    coordinates: Any
    coefficients: Any
    value: Any

    def take(self, which: Any) -> Candidates:
        """Some of the points."""
        return Candidates(*(None if leaf is None else leaf[which] for leaf in self))

    def joined(self, other: Candidates) -> Candidates:
        """These points and others, without their values, which may be of two kinds."""
        coordinates, coefficients = (
            np.concatenate(leaves) for leaves in zip(self[:2], other[:2], strict=True)
        )
        return Candidates(coordinates, coefficients, None)


class Searched(NamedTuple):
    """Where starts were looked for.

    Attributes:
        cells: cells at which the objective itself was minimised over the coefficients.
        by_squares: cells at which the squared error stood in for it.
        basins: local minima among the first, or among the second where there are no first; 0
            where cells are scattered.
    """

    cells: int
    by_squares: int
    basins: int


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
    return _equal(lower, upper, -(-wanted // TILE[count]) * TILE[count])


def coarse_axes(problem: Problem, settings: Settings, rows: int) -> list[np.ndarray]:
    """Cells along each axis for the objective itself, fewer where there are more rows.

    Args:
        problem: the problem; one axis to four.
        settings: its bounds.
        rows: rows of the table.
    """
    first, count = len(problem.owners), len(problem.nonlinear)
    fewest, most = COARSE[count]
    points = round((COARSE_NUMBERS / max(1, rows)) ** (1 / count))
    return _equal(settings.lower[first:], settings.upper[first:], min(max(points, fewest), most))


def _equal(lower: Any, upper: Any, points: int) -> list[np.ndarray]:
    return [np.linspace(low, high, points) for low, high in zip(lower, upper, strict=True)]


def _scatter(problem: Problem, lower: Any, upper: Any, seed: int) -> list[np.ndarray]:
    """Low-discrepancy points of every block (Sobol, scrambled by the seed)."""
    # Half a second to import, for laws that need it.
    from scipy.stats import qmc

    found = []
    for number, (axis, count) in enumerate(zip(problem.axes, _counts(problem), strict=True)):
        # The name of this argument that old and new versions of scipy know.
        sobol = qmc.Sobol(len(axis), seed=np.random.default_rng([seed, number]))
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


def _cells(problem: Problem, grid: Sequence[Any]) -> Cells:
    return Cells(grid, problem.axes, problem.scattered)


def values(model: Model, data: Data, settings: Settings, grid: Sequence[Any]) -> Any:
    """Projected squared error of every cell, relative to the squared loss, shape of the grid."""
    cells = _cells(model.problem, grid)
    columns = columns_over(model, data, cells, lambda seen: True)
    found = projected(model, data, settings, len(grid), columns, False)[0]
    return model.library.where(found < REJECTED, found, np.inf)


def scan(model: Model, data: Data, settings: Settings, grid: Sequence[Any]) -> Scan:
    """The best cell of each tile, slab by slab along the first axis.

    Args:
        model: the problem's terms on the table.
        data: the table.
        settings: bounds.
        grid: coordinates of each axis, whole tiles, as from :func:`axes`; one at least.
    """
    problem, host = model.problem, model.library is np
    tile = tile_side(problem)
    # Slabs of like size, as large as the cache allows: a thin slab makes the product pack its other
    # factor for little work. The last one is filled up with copies of the last cell.
    whole = len(grid[0]) // tile
    most = NUMPY_SLAB_BYTES if host else SLAB_BYTES
    count = -(-whole // max(1, most // (8 * tile * _row_size(problem, data, grid))))
    per_slab = -(-whole // count)
    cells = _cells(problem, grid)
    shared = columns_over(model, data, cells, lambda seen: 0 not in seen)

    def quietly(first: Any) -> Scan:
        with quiet():
            return slab(first)

    def slab(first: Any) -> Scan:
        mine = cells._replace(axes=[first, *grid[1:]])
        local = columns_over(model, data, mine, lambda seen: 0 in seen)
        columns = {**shared, **local}
        found = projected(model, data, settings, len(grid), columns, False)[0]
        return _best_of_tiles(model.library, found, tile)

    if count == 1:
        return slab(grid[0])
    if host:
        size = per_slab * tile
        firsts = [grid[0][i : i + size] for i in range(0, len(grid[0]), size)]
        parts = in_threads(quietly, firsts, THREADS)
        return Scan(*(np.concatenate(items) for items in zip(*parts, strict=True)))
    missing = (count * per_slab - whole) * tile
    slabs = jnp.concatenate([grid[0], jnp.repeat(grid[0][-1:], missing, axis=0)])
    slabs = slabs.reshape(count, per_slab * tile, *grid[0].shape[1:])
    found = lax.map(slab, slabs)
    return Scan(
        *(None if item is None else item.reshape(-1, *item.shape[2:])[:whole] for item in found)
    )


def at_points(
    model: Model, data: Data, settings: Settings, coordinates: Any, with_coefficients: bool
) -> tuple[Any, list[Any], Any]:
    """Projected squared error at points, scaled coefficients there, and the columns."""
    every = tuple(range(len(model.problem.nonlinear)))
    columns = columns_over(model, data, Cells([coordinates], (every,), True), lambda seen: True)
    value, solution = projected(model, data, settings, 1, columns, with_coefficients)
    return model.library.broadcast_to(value, (len(coordinates),)), solution, columns


def points(problem: Problem, grid: Sequence[Any], cells: np.ndarray) -> np.ndarray:
    """Coordinates of cells, shape (starts, q)."""
    found = np.zeros((len(cells), len(problem.nonlinear)))
    for axis, block, index in zip(grid, problem.axes, cells.T, strict=True):
        found[:, list(block)] = axis[index] if problem.scattered else axis[index][:, None]
    return found


def solved(model: Model, data: Data, settings: Settings, coordinates: Any) -> Candidates:
    """Points with the best coefficients there, each solved on its own columns.

    Args:
        model: the problem's terms on the table.
        data: the table; or that of each start, losses, weights and metric of shape (starts, rows).
        settings: bounds.
        coordinates: shape (starts, q).
    """
    xp, count = model.library, len(coordinates)
    value, solution, columns = at_points(model, data, settings, coordinates, True)
    parts = []
    for index, found in enumerate(solution):
        # The search counts a coefficient times its column's size.
        size = column_size(model, data, columns, index)
        raw = found / xp.where(size > 0, size, 1.0)
        parts.append(xp.broadcast_to(raw, (count, raw.shape[-1])))
    coefficients = xp.concatenate(parts, axis=-1) if parts else xp.zeros((count, 0))
    return Candidates(coordinates, coefficients, value)


def tile_side(problem: Problem) -> int:
    """Cells per side of a tile; scattered cells have no neighbours."""
    return 1 if problem.scattered else TILE.get(len(problem.nonlinear), 1)


def _row_size(problem: Problem, data: Data, grid: Sequence[Any]) -> int:
    """Numbers held for one value of the first axis: its cells, or a column over its sub-grid."""
    sizes = [len(axis) for axis in grid]
    cells = _cells(problem, grid)
    seen = [cells.across(axes) for axes in [*problem.axes_seen, problem.axes_known or ()]]
    columns = [
        data.response.shape[-1] * prod(sizes[axis] for axis in axes[1:])
        for axes in seen
        if 0 in axes
    ]
    division = inner_division(problem)
    levels = 1 if division is None else len(data.slots[division])
    plain = sum(
        width
        for width, own in zip(problem.widths, problem.divisions, strict=True)
        if own is None or own != division
    )
    # Systems too large to be enumerated are held whole.
    dense = plain**2 if 2**plain > MOST_ACTIVE_SETS else 0
    return max((levels + dense) * prod(sizes[1:]), *columns, 1)


def scan_bytes(problem: Problem, data: Data, grid: Sequence[Any]) -> int:
    """Bytes that a compiled scan takes, about: a slab, and all columns."""
    cells = _cells(problem, grid)
    columns = sum(
        prod(len(grid[axis]) for axis in cells.across(axes)) for axes in problem.axes_seen
    )
    slab = min(SLAB_BYTES, 8 * len(grid[0]) * _row_size(problem, data, grid))
    return 2 * slab + 8 * data.response.shape[-1] * columns


def _best_of_tiles(xp: Any, value: Any, tile: int) -> Scan:
    """The best cell of each block of ``tile`` cells along every axis, infinite where there is none.

    On a large grid a compiled program returns the value alone: finding where a minimum is would
    cost it as much as all the rest, and few tiles are needed in the end.
    """
    count = value.ndim
    if xp is not np and value.size > PLACED_CELLS:
        for axis in range(count):
            shape = (*value.shape[:axis], -1, tile, *value.shape[axis + 1 :])
            value = value.reshape(shape).min(axis=axis + 1)
        return Scan(xp.where(value < REJECTED, value, np.inf), None)
    split = [part for size in value.shape for part in (size // tile, tile)]
    order = [*range(0, 2 * count, 2), *range(1, 2 * count, 2)]
    blocks = xp.transpose(value.reshape(split), order)
    blocks = blocks.reshape(*blocks.shape[:count], -1)
    least = blocks.min(axis=-1)
    return Scan(xp.where(least < REJECTED, least, np.inf), xp.argmin(blocks, axis=-1))
