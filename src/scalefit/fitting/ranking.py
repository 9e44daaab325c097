"""Which cells of a grid to start from: local minima first, then good cells far from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.grid import SCATTERED_STARTS, Scan, at_points, points, tile_side
from scalefit.fitting.model import Model
from scalefit.problem.problem import Data, Settings

__all__ = ["MOST_STARTS", "Ranking", "rank", "rank_cells"]

# Starts: first the local minima of the grid, best first, then the best cells at least a tenth of
# the grid away from every earlier start.
MOST_STARTS = 16
# Those by the objective itself, where the first few do not settle it: its minima are many on tables
# with hardly any law in them, and four times as many starts take twice as long.
MOST_COARSE_STARTS = 32
SEPARATION = 10


class Ranking(NamedTuple):
    """Cells to start from.

    Attributes:
        cells: index of each along every axis, shape (starts, axes).
        value: their projected squared errors, shape (starts,).
        basins: number of local minima among all tiles; 0 where cells are scattered.
    """

    cells: np.ndarray
    value: np.ndarray
    basins: int


def rank(
    model: Model,
    data: Data,
    settings: Settings,
    grid: Sequence[Any],
    found: Scan,
    most: int = MOST_STARTS,
) -> Ranking:
    """The cells worth starting from: local minima, then the best ones far from every earlier one;
    where cells are scattered, the best cells of the largest block.

    Args:
        model: the problem's terms on the table, on the host.
        data: the table.
        settings: bounds.
        grid: coordinates of each axis.
        found: the best cell of every tile, as from :func:`scan`.
        most: starts on a grid, at most.
    """
    tiles = found.value
    if model.problem.scattered:
        return _best_scattered(tiles, min(SCATTERED_STARTS, max(tiles.shape)))
    if not np.isfinite(tiles).any():
        nothing = np.zeros((1, tiles.ndim), dtype=int)
        return Ranking(nothing, np.array([np.inf]), 0)
    basin = _local_minima(tiles)
    chosen = _separated(tiles, basin, most)
    least = tiles[tuple(chosen.T)]
    if found.place is None:
        cells = _best_cells(model, data, settings, grid, chosen)
    else:
        side = tile_side(model.problem)
        inside = np.unravel_index(found.place[tuple(chosen.T)], (side,) * tiles.ndim)
        cells = chosen * side + np.stack(inside, axis=1)
    return Ranking(cells, least, int(basin.sum()))


def _best_cells(
    model: Model, data: Data, settings: Settings, grid: Sequence[Any], tiles: np.ndarray
) -> np.ndarray:
    """Index of the best cell of each of some tiles, all of their cells solved as points."""
    side, axes = tile_side(model.problem), tiles.shape[1]
    offsets = np.stack(np.unravel_index(np.arange(side**axes), (side,) * axes), axis=1)
    cells = (tiles[:, None] * side + offsets).reshape(-1, axes)
    found = at_points(model, data, settings, points(model.problem, grid, cells), False)[0]
    best = np.argmin(np.reshape(found, (len(tiles), -1)), axis=1)
    return cells.reshape(len(tiles), -1, axes)[np.arange(len(tiles)), best]


def _best_scattered(value: np.ndarray, starts: int) -> Ranking:
    """The best points of the largest block, each with its best partners."""
    largest = int(np.argmax(value.shape))
    flat = np.moveaxis(value, largest, 0).reshape(value.shape[largest], -1)
    partner = flat.argmin(axis=1)
    least = flat.min(axis=1)
    chosen = np.argsort(least, kind="stable")[:starts]
    others = [size for axis, size in enumerate(value.shape) if axis != largest]
    indices = list(np.unravel_index(partner[chosen], others)) if others else []
    indices.insert(largest, chosen)
    # Points in no order have no neighbours, and so no basins.
    return Ranking(np.stack(indices, axis=1), least[chosen], 0)


def _local_minima(tiles: np.ndarray) -> np.ndarray:
    """Which tiles are not above any neighbour, a plateau counting once."""
    # Where a coefficient is zero its exponent does not matter and the grid is flat along it; a tilt
    # far below any real difference leaves one lowest tile.
    tilt = np.arange(tiles.size).reshape(tiles.shape) / max(tiles.size, 1)
    tilted = tiles + 1e-12 * tilt
    lowest = tilted
    for axis in range(tiles.ndim):
        padded = np.pad(
            lowest,
            [(1, 1) if i == axis else (0, 0) for i in range(tiles.ndim)],
            constant_values=np.inf,
        )
        along = np.moveaxis(padded, axis, 0)
        least = np.minimum(np.minimum(along[:-2], along[1:-1]), along[2:])
        lowest = np.moveaxis(least, 0, axis)
    return (tilted <= lowest) & np.isfinite(tiles)


def rank_cells(values: np.ndarray) -> Ranking:
    """The cells worth starting from by the objective itself.

    First its local minima, best first; then, on either side of the best one along each axis, the
    best cell of all with that coordinate: where the objective hardly depends on one coordinate,
    cells that differ only in it are alike; then the best ones far from every earlier one.

    Args:
        values: objective of every cell, shape of the grid.
    """
    basin = _local_minima(values)
    chosen = [tuple(cell) for cell in _separated(values, basin, int(basin.sum()))]
    for step in (1, -1, 2, -2):
        for axis in range(values.ndim if chosen else 0):
            index = chosen[0][axis] + step
            if 0 <= index < values.shape[axis]:
                profile = np.take(values, index, axis)
                cell = np.unravel_index(int(profile.argmin()), profile.shape)
                chosen.append((*cell[:axis], index, *cell[axis:]))
    chosen += [tuple(cell) for cell in _separated(values, basin, MOST_COARSE_STARTS)]
    cells = np.array(list(dict.fromkeys(chosen)), dtype=int).reshape(-1, values.ndim)
    fine = np.isfinite(values[tuple(cells.T)])
    cells = cells[fine][:MOST_COARSE_STARTS]
    return Ranking(cells, values[tuple(cells.T)], int(basin.sum()))


def _separated(tiles: np.ndarray, basin: np.ndarray, starts: int) -> np.ndarray:
    """Indices of the local minima, then of the best tiles far from every earlier one."""
    reach = np.array([max(1, count // SEPARATION) for count in tiles.shape])
    remaining = np.where(basin, np.inf, tiles)
    minima = np.argwhere(basin)
    minima = minima[np.argsort(tiles[basin], kind="stable")][:starts]
    chosen = list(minima)

    def clear(index: np.ndarray) -> None:
        low = np.maximum(index - reach, 0)
        remaining[tuple(map(slice, low, index + reach + 1))] = np.inf

    for index in chosen:
        clear(index)
    while len(chosen) < starts:
        flat = int(remaining.argmin())
        index = np.array(np.unravel_index(flat, tiles.shape), dtype=int)
        if not np.isfinite(remaining[tuple(index)]):
            break
        chosen.append(index)
        clear(index)
    return np.array(chosen, dtype=int).reshape(-1, tiles.ndim)
