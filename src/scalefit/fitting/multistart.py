"""Multistart refits: fits of one law to many tables of one design.

Where an optimum near all of them is known, as that of the table they were drawn from, they start
from it, and the grid is searched for some of them only: those chosen, those that end at a bound,
and those that reach no minimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.errors import DataError
from scalefit.fitting import grid
from scalefit.fitting.devices import Devices
from scalefit.fitting.diagnostics import converged
from scalefit.fitting.drawn import Drawn
from scalefit.fitting.end_points import Polished
from scalefit.fitting.engine import SAME_VALUE, Engine, or_infinite
from scalefit.fitting.grid import Candidates
from scalefit.fitting.polish import Polisher
from scalefit.fitting.tables import Tables
from scalefit.objective import Objective
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.progress import counting
from scalefit.runtime.settings import quiet

__all__ = ["SAME_VALUE", "Refits", "follow", "improve", "refit"]

# Cells per axis of a replicate's grid, where there are at most two: see grid.POINTS.
POINTS = 96


class Refits(NamedTuple):
    """The best point of every table.

    Attributes:
        coefficients: linear coefficients, raw units, shape (tables, k).
        coordinates: nonlinear coordinates, shape (tables, q).
        value: objective, shape (tables,).
        newton_decrement: see :class:`scalefit.fitting.end_points.Polished`, shape (tables,).
        gradient_cosine: see there, shape (tables,).
        active: see there, shape (tables, p).
        basins: local minima on the grid; 0 where it was not searched, shape (tables,).
        global_search: whether the grid was searched, shape (tables,).
        improved: whether that found a lower minimum than the known optimum led to, (tables,).
    """

    coefficients: np.ndarray
    coordinates: np.ndarray
    value: np.ndarray
    newton_decrement: np.ndarray
    gradient_cosine: np.ndarray
    active: np.ndarray
    basins: np.ndarray
    global_search: np.ndarray
    improved: np.ndarray


@quiet()
def refit(
    problem: Problem,
    objective: Objective,
    settings: Settings,
    data: Data,
    *,
    observed: np.ndarray | Drawn | None = None,
    weight: np.ndarray | Drawn | None = None,
    points: int | None = None,
    starts: int = 1,
    near: Candidates | None = None,
    global_search: np.ndarray | None = None,
    held: int | None = None,
    devices: Devices = None,
) -> Refits:
    """Fits of the same law to many tables of one design, each searched globally and polished.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the design, and the one table.
        observed: observed losses of every table, shape (tables, rows); the one table's own by
            default.
        weight: row weights of every table, shape (tables, rows); the one table's own by default.
        points: grid cells per axis.
        starts: cells polished for each table.
        near: one optimum to start from, coefficients in raw units; shapes (k,) and (q,).
        global_search: whether to search the grid for a table all the same, shape (tables,).
        held: for how many of the tables that end at a bound it is searched; for all by default.
        devices: where to compute.

    Returns:
        The best point of each.

    Raises:
        DataError: neither losses nor weights are given, or their shapes differ from the table's.
    """
    given = [item for item in (observed, weight) if item is not None]
    rows = data.response.size
    if not given or any(item.ndim != 2 or item.shape != (len(given[0]), rows) for item in given):
        raise DataError(
            f"replicates need losses or weights of shape (replicates, {rows}), not "
            f"{' and '.join(str(item.shape) for item in given) or 'none at all'}",
            remedy="Pass observed=, weight= or both, of one length, a column for each row",
        )
    count = len(given[0])
    axes = grid.axes(problem, settings, points or (POINTS if len(problem.nonlinear) <= 2 else None))
    tables = Tables(objective, data, observed, weight)
    engine = Engine(problem, settings, tables, axes, devices)
    if near is None:
        return _globally(engine, np.arange(count), starts)
    found = _followed(engine, count, near)
    doubtful = ~converged(objective, data, found)
    doubtful[np.flatnonzero(found.active.any(axis=1) & ~doubtful)[:held]] = True
    again = np.flatnonzero(doubtful if global_search is None else doubtful | global_search)
    if len(again):
        improve(objective, data, found, again, _globally(engine, again, starts))
    return found


@quiet()
def follow(
    problem: Problem,
    objective: Objective,
    settings: Settings,
    data: Data,
    near: Candidates,
    *,
    observed: np.ndarray | Drawn | None = None,
    weight: np.ndarray | Drawn | None = None,
    devices: Devices = None,
) -> Refits:
    """Where one minimum leads on each of many tables of one design; no grid is searched.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the design, and the one table.
        near: the minimum, coefficients in raw units; shapes (k,) and (q,).
        observed: as for :func:`refit`.
        weight: as for :func:`refit`; one of the two is given.
        devices: as for :func:`refit`.
    """
    tables = Tables(objective, data, observed, weight)
    count = next(len(item) for item in (observed, weight) if item is not None)
    return _followed(Engine(problem, settings, tables, (), devices), count, near)


@quiet()
def improve(
    objective: Objective, data: Data, found: Refits, index: np.ndarray, other: Refits
) -> np.ndarray:
    """Take over what refits of some tables do better.

    Args:
        objective: what is minimised.
        data: the design.
        found: refits of all tables, changed in place.
        index: the tables of the other refits, shape (m,).
        other: refits of those.

    Returns:
        Which of them ended lower, shape (m,).
    """
    lower = or_infinite(other.value) < or_infinite(found.value[index]) * (1 - SAME_VALUE)
    # One that did not converge is no better than one of the same value that did.
    better = lower | (converged(objective, data, other) & ~converged(objective, data, found)[index])
    for leaf, values in zip(found[:-3], other[:-3], strict=True):
        leaf[index[better]] = values[better]
    found.basins[index] = np.maximum(found.basins[index], other.basins)
    found.global_search[index] |= other.global_search
    found.improved[index] |= lower
    return lower


def _followed(engine: Engine, count: int, near: Candidates) -> Refits:
    """Where one minimum leads on every table."""
    coordinates, coefficients = (
        np.broadcast_to(leaf, (count, *np.shape(leaf))) for leaf in near[:2]
    )
    polisher = Polisher(engine.problem, engine.settings, engine.tables, engine.mesh, near=True)
    with counting("polishing", count, "refits") as stage:
        starts = Candidates(coordinates, coefficients, None)
        polished = polisher(np.arange(count), starts, stage=stage)
    never = np.zeros(count, dtype=bool)
    return _refits(polished, np.zeros(count, dtype=int), never, never.copy())


def _globally(engine: Engine, index: np.ndarray, starts: int) -> Refits:
    """The best point of each table given, searched over the whole bounds."""
    # Scattered cells are coarse: as many are polished as for a single fit, whatever ``starts`` is.
    rankings = engine.rank(index, starts)
    cells = [ranking.cells for ranking in rankings]
    place = np.repeat(np.arange(len(index)), [len(mine) for mine in cells])
    candidates = engine.solved(np.concatenate(cells), index[place])
    table, polished = engine.to_the_end(index[place], candidates)
    # A table's place among those given; they are in ascending order.
    place = np.searchsorted(index, table)
    order = np.lexsort((or_infinite(polished.value), place))
    best = order[np.searchsorted(place[order], np.arange(len(index)))]
    basins = np.array([ranking.basins for ranking in rankings])
    every = np.ones(len(index), dtype=bool)
    return _refits(polished.take(best), basins, every, ~every)


def _refits(
    polished: Polished, basins: np.ndarray, global_search: np.ndarray, improved: np.ndarray
) -> Refits:
    return Refits(
        polished.coefficients,
        polished.coordinates,
        polished.value,
        polished.newton_decrement,
        polished.gradient_cosine,
        polished.active,
        basins,
        global_search,
        improved,
    )
