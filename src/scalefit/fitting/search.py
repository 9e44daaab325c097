"""From cells to optima: rank them, polish the best, and go on where that settles nothing.

Three compiled programs for each problem and table size, whatever the objective: one ranks cells,
one solves the best ones afresh, one polishes a batch of starts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from scalefit.fitting import grid, programs, refine
from scalefit.fitting.evidence import settled
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.objective import Objective

__all__ = ["search"]

# Starts on a grid are polished in batches of this many. One batch is enough where it ends in one
# interior minimum; otherwise (evidence.py) the others follow.
BATCH = 4

# Scattered starts are many and coarse: all go a short way, the best of them on to the end. Most
# iterations and starts of each round, in batches of this many.
ROUNDS = ((30, 32), (100, 8), (refine.MOST_ITERATIONS, 8))
SCATTERED_BATCH = 8


def search(
    problem: Problem, objective: Objective, data: Data, settings: Settings, axes: list[Any]
) -> tuple[grid.Ranking, refine.Polished]:
    """The ranking of the cells, and where the starts ended; in double precision, as the caller set.

    Args:
        problem: the problem.
        objective: what is minimised.
        data: rows, padded.
        settings: bounds.
        axes: cells, as from :func:`scalefit.fitting.grid.axes`.
    """
    size = SCATTERED_BATCH if problem.scattered else min(BATCH, grid.tile_count(problem, axes))
    taken = grid.most_starts(problem) if problem.scattered else size
    # Once, and not for each program anew.
    enough = partial(settled, problem, objective, data, settings)
    data, settings, axes = jax.device_put((data, settings, axes))
    # All three are compiled at the same time, the longest first.
    _polish.begin(problem, data, settings, _blank(problem, size), np.int64(0))
    _cells.begin(problem, data, settings, axes, np.zeros((taken, len(axes)), dtype=int))
    ranking = jax.device_get(_rank(problem, data, settings, axes))
    if problem.scattered:
        return ranking, _halve(problem, data, settings, axes, ranking)
    return ranking, _in_batches(problem, data, settings, axes, ranking, size, enough)


def _in_batches(
    problem: Problem,
    data: Data,
    settings: Settings,
    axes: list[Any],
    ranking: grid.Ranking,
    size: int,
    enough: Callable[[refine.Polished], bool],
) -> refine.Polished:
    """Polish one batch of starts, and the others where one does not settle it."""
    tiles = ranking.tiles[np.isfinite(ranking.value)]

    def batch(first: int) -> refine.Polished:
        chosen = tiles[first : first + size]
        # The last batch is filled up to the size that is compiled, and the filling dropped.
        filled = np.resize(chosen, (size, len(axes)))
        starts = _cells(problem, data, settings, axes, filled)
        found = _polish(problem, data, settings, starts, np.int64(refine.MOST_ITERATIONS))
        return refine.Polished(*(leaf[: len(chosen)] for leaf in jax.device_get(found)))

    polished = batch(0)
    if ranking.basins > size or not enough(polished):
        polished = _joined([polished, *(batch(i) for i in range(size, len(tiles), size))])
    return polished


def _halve(
    problem: Problem, data: Data, settings: Settings, axes: list[Any], ranking: grid.Ranking
) -> refine.Polished:
    """Polish the best scattered cells, the better ones further."""
    starts = jax.device_get(_cells(problem, data, settings, axes, ranking.tiles))
    polished: Any = None
    for limit, most in ROUNDS:
        batches = []
        for first in range(0, min(most, len(starts.value)), SCATTERED_BATCH):
            chosen = np.arange(len(starts.value))[first : first + SCATTERED_BATCH]
            filled = np.resize(chosen, SCATTERED_BATCH)
            these = grid.Candidates(*(leaf[filled] for leaf in starts))
            found = jax.device_get(_polish(problem, data, settings, these, np.int64(limit)))
            batches.append(refine.Polished(*(leaf[: len(chosen)] for leaf in found)))
        polished = _joined(batches)
        order = np.argsort(np.where(np.isfinite(polished.value), polished.value, np.inf))
        polished = refine.Polished(*(leaf[order] for leaf in polished))
        starts = grid.Candidates(polished.coordinates, polished.coefficients, polished.value)
    return polished


def _joined(batches: list[refine.Polished]) -> refine.Polished:
    return refine.Polished(*map(np.concatenate, zip(*batches, strict=True)))


def _blank(problem: Problem, starts: int) -> grid.Candidates:
    """Starts of the shapes that :func:`_cells` gives, without values."""
    return grid.Candidates(
        np.zeros((starts, len(problem.nonlinear))),
        np.zeros((starts, len(problem.owners))),
        np.zeros(starts),
    )


@programs.compiled(grid.Ranking)
def _rank(problem: Problem, data: Data, settings: Settings, axes: list[Any]) -> grid.Ranking:
    return grid.rank(problem, data, settings, axes)


@programs.compiled(grid.Candidates)
def _cells(
    problem: Problem, data: Data, settings: Settings, axes: list[Any], tiles: Any
) -> grid.Candidates:
    """The best cells of tiles, with coefficients in raw units."""
    found = grid.cells(problem, data, settings, axes, tiles)
    scale = jax.vmap(partial(refine.scales, problem, data))(found.coordinates)
    return found._replace(coefficients=found.coefficients * data.unit / scale)


@programs.compiled(refine.Polished)
def _polish(
    problem: Problem, data: Data, settings: Settings, starts: grid.Candidates, limit: Any
) -> refine.Polished:
    return refine.polish(problem, data, settings, starts, limit)
