"""The search of a single fit.

Cells are ranked by the objective itself on a coarse grid, or by squares on a fine one, and the best
of them polished; more of them where the first do not settle it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from scalefit.fitting import grid, irls
from scalefit.fitting.diagnostics import settled
from scalefit.fitting.end_points import Polished
from scalefit.fitting.engine import SAME_VALUE, Engine, or_infinite
from scalefit.fitting.grid import Candidates, Searched
from scalefit.fitting.ranking import MOST_STARTS, rank_cells
from scalefit.fitting.restarts import along_profiles, off_faces
from scalefit.fitting.tables import Tables
from scalefit.objective import Objective
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.progress import counting
from scalefit.runtime.settings import quiet

__all__ = ["polish_from", "search"]

# Starts of a fit are polished in batches of this many. One batch is enough where it ends in one
# interior minimum; otherwise (evidence.py) the others follow.
BATCH = 4

# Where a neighbour of the best cell has more than this many times the value of the optimum reached
# from there, the law explains most of the table, and the neighbour leads to the same minimum.
MOST_ABOVE = 2.0

# Times that neighbours of the best end are polished, as long as one of them ends lower.
MOST_NEIGHBOURS = 4


@quiet()
def search(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    axes: list[np.ndarray],
    device: str | None = None,
) -> tuple[Searched, Polished]:
    """What was searched for one table's fit, and where the starts from there ended.

    Args:
        problem: the problem.
        objective: what is minimised.
        data: the table.
        settings: bounds.
        axes: cells, as from :func:`scalefit.fitting.grid.axes`.
        device: where to compute, as for ``fit``.
    """
    engine = _OneTable(problem, settings, Tables(objective, data), axes, device)
    if axes and not (problem.scattered or irls.squared(data.measure)):
        seen, starts = engine.reweighted()
        if seen.basins:
            return engine.by_objective(seen, starts)
    return engine.by_squares()


@quiet()
def polish_from(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    params: Mapping[str, float],
    device: str | None = None,
) -> Polished:
    """Where the one start with these nonlinear parameters ends.

    Args:
        problem: the problem.
        objective: what is minimised.
        data: the table.
        settings: bounds.
        params: free nonlinear parameters by name, raw units.
        device: where to compute, as for ``fit``.
    """
    engine = _OneTable(problem, settings, Tables(objective, data), (), device)
    values = [params[group[0]] for group in problem.nonlinear]
    place = [
        np.log(value) if logarithm else value
        for value, logarithm in zip(values, problem.logarithmic, strict=True)
    ]
    start = irls.project(
        engine.polisher.objective,
        engine.tables.one(0),
        settings,
        np.array([place], dtype=np.float64),
    )
    return engine.polisher.from_nearby(start)


class _OneTable(Engine):
    """The engine on one table."""

    def solved_alone(self, cells: np.ndarray) -> Candidates:
        """Cells with their best coefficients by squares."""
        return self.solved(cells, np.zeros(len(cells), dtype=int))

    def searched_grid(self) -> grid.Scan | None:
        """The best cell of every tile of the grid; None where there is no grid."""
        with counting("searching the grid"):
            return self.scan(0, self.compiled(1))

    def settled(self, polished: Polished) -> bool:
        """Whether these ends are one interior minimum, so that no other start is needed."""
        tables = self.tables
        return settled(self.problem, tables.objective, tables.data, self.settings, polished)

    def ends(self, starts: Candidates) -> Polished:
        """Where starts end. From a bound off which the objective falls, the polish goes on."""

        def to_the_end(some: Candidates) -> Polished:
            return self.to_the_end(np.zeros(len(some.coordinates), dtype=int), some)[1]

        polished = to_the_end(starts)
        for _ in self.problem.nonlinear:
            with quiet():
                which, onwards = off_faces(
                    self.polisher.objective, self.tables.one(0), self.settings, polished
                )
            if not len(which):
                break
            moved = to_the_end(onwards)
            # The polish of absolute residuals starts on a smoothed sum, and may end higher.
            lower = or_infinite(moved.value) < polished.value[which]
            if not lower.any():
                break
            for leaf, values in zip(polished, moved, strict=True):
                leaf[which[lower]] = values[lower]
        return polished

    def with_neighbours(self, polished: Polished, cells: Candidates | None = None) -> Polished:
        """Ends, and those of starts along the profiles of the best one, again for each better one.

        Args:
            polished: ends so far.
            cells: other starts, polished with the first of these.
        """
        objective, factor = self.polisher.objective, self.polisher.factor
        here = self.tables.one(0)
        for _ in range(MOST_NEIGHBOURS):
            if not np.isfinite(polished.value).any():
                break
            best = polished.take([np.argmin(or_infinite(polished.value))])
            starts = along_profiles(objective, here, self.settings, best, factor)
            starts, cells = starts if cells is None else starts.joined(cells), None
            if not len(starts.coordinates):
                break
            others = self.ends(starts)
            polished = polished.joined(others)
            if not (or_infinite(others.value) < best.value[0] * (1 - SAME_VALUE)).any():
                break
        return polished

    def reweighted(self) -> tuple[Searched, Candidates]:
        """Cells of a coarse grid by the objective itself, the best first, as starts."""
        axes = grid.coarse_axes(self.problem, self.settings, self.tables.data.response.size)
        shape = tuple(map(len, axes))
        cells = np.stack(np.unravel_index(np.arange(prod(shape)), shape), axis=1)
        places = grid.points(self.problem, axes, cells)
        found = irls.project(self.polisher.objective, self.tables.one(0), self.settings, places)
        ranking = rank_cells(found.value.reshape(shape))
        starts = found.take(np.ravel_multi_index(tuple(ranking.cells.T), shape))
        return Searched(len(cells), 0, ranking.basins), starts

    def by_objective(self, seen: Searched, starts: Candidates) -> tuple[Searched, Polished]:
        """Ends of starts from the best cells by the objective, and, where those do not settle it,
        of starts from the best cells of squares as well.
        """
        polished = self.ends(starts.take([0]))
        # Neighbours of the best cell on the grid that are not far above where that led.
        chosen = starts.value <= MOST_ABOVE * polished.value[0] / self.polisher.factor
        chosen &= np.arange(len(chosen)) < 1 + 2 * len(self.axes)
        chosen[0] = False
        polished = self.with_neighbours(polished, starts.take(chosen))
        if seen.basins == 1 and self.settled(polished):
            return seen, polished
        # Its cells are coarse; those of squares are fine.
        squares = self.ranked(0, self.searched_grid(), MOST_STARTS)
        chosen[0] = True
        others = starts.take(~chosen).joined(self.solved_alone(squares.cells))
        polished = self.with_neighbours(polished.joined(self.ends(others)))
        return seen._replace(by_squares=prod(map(len, self.axes))), polished

    def by_squares(self) -> tuple[Searched, Polished]:
        """Ends of starts from the best cells of squares, more of them where the first disagree."""
        scan = self.searched_grid()
        ranking = self.ranked(0, scan, BATCH)
        polished = self.ends(self.solved_alone(ranking.cells))
        if self.problem.scattered:
            polished = polished.take(np.argsort(or_infinite(polished.value), kind="stable"))
        elif ranking.basins > BATCH or not self.settled(polished):
            ranking = self.ranked(0, scan, MOST_STARTS)
            if len(ranking.cells) > BATCH:
                others = self.ends(self.solved_alone(ranking.cells[BATCH:]))
                polished = polished.joined(others)
        measure, cells = self.tables.data.measure, prod(map(len, self.axes))
        # Of logarithms squares are the objective to first order only.
        by_squares = 0 if irls.squared(measure) and measure.residual != "log" else cells
        return Searched(cells - by_squares, by_squares, ranking.basins), polished
