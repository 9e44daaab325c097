"""Sums of absolute residuals with coefficients of many levels, by Huber losses of falling delta.

The equations at interpolated rows (l1_active_set.py) are dense in those rows, of which every level
has as many as coefficients. Here delta of a Huber loss falls tenfold from optimum to optimum, which
then moves as good as linearly with delta (Clark and Osborne 1986, SIAM J. Sci. Stat. Comput. 7(1)).
A row's residual over delta at the end is its multiplier l. The optimum of the loss of r + delta l,
in place of r, interpolates the rows themselves (the method of multipliers; Hestenes 1969, J. Optim.
Theory Appl. 4(5)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.l1_state import (
    LAST_PLACES,
    L1Minima,
    lagrangian,
    minima_of,
    rounding_of_residuals,
    typical_residual,
)
from scalefit.fitting.level_objective import LevelObjective
from scalefit.fitting.newton import (
    MOST_ITERATIONS,
    PROMISE,
    Goal,
    advance,
    begin,
    frozen_where,
)
from scalefit.fitting.scaled_objective import Batch

__all__ = ["continued"]

# Delta falls so often by this factor from the typical absolute residual, and stays far above
# rounding; then so many updates of the multipliers follow.
STAGES = 5
SHRINK = 0.1
UPDATES = 3


def continued(
    objective: LevelObjective,
    batch: Batch,
    point: Any,
    most: Any,
    lengths: tuple[tuple[int, float], ...],
    share: float = 1.0,
) -> L1Minima:
    """From points near minima of absolute residuals to minima.

    Args:
        objective: the objective.
        batch: tables and bounds.
        point: scaled coordinates, (starts, p).
        most: iterations at most, (starts,).
        lengths: shorter and longer trial steps; see ``newton.LENGTHS``.
        share: of where delta starts otherwise; see ``l1.minimise_l1``.
    """

    def optimum(batch: Batch, point: Any, left: Any) -> tuple[Any, Any]:
        return _optimum(objective, batch, point, np.maximum(left, 0), lengths)

    rows = objective.residuals(batch, point)
    least = LAST_PLACES / SHRINK**STAGES
    delta = np.maximum(share * typical_residual(rows, batch.weight), least)[:, None]
    iterations, before = np.zeros(len(point), dtype=int), point
    for _ in range(STAGES):
        delta = SHRINK * delta
        # Extrapolated linearly in delta.
        batch, start = batch._replace(delta=delta), point + SHRINK * (point - before)
        start, before = np.clip(start, batch.lower, batch.upper), point
        point, taken = optimum(batch, start, most - iterations)
        iterations += taken
    multiplier = np.clip(objective.residuals(batch, point) / delta, -1.0, 1.0)
    for _ in range(UPDATES):
        batch = batch._replace(shift=delta * multiplier)
        point, taken = optimum(batch, point, most - iterations)
        iterations += taken
        shifted = objective.residuals(batch, point) + batch.shift
        multiplier = np.clip(shifted / delta, -1.0, 1.0)
    return _minima(objective, batch, point, multiplier, iterations)


def _optimum(
    objective: LevelObjective,
    batch: Batch,
    point: Any,
    most: Any,
    lengths: tuple[tuple[int, float], ...],
) -> tuple[Any, Any]:
    """Optima of one delta, and iterations taken."""
    goal = Goal(np.full(1, PROMISE), np.full(1, True))
    state = begin(objective, point)
    for _ in range(MOST_ITERATIONS):
        stopped = state.done | (state.iteration >= most)
        if stopped.all():
            break
        moved = advance(objective, batch, goal, state, lengths=lengths)
        state = frozen_where(np, stopped, state, moved)
    return state.best, state.iteration


def _minima(
    objective: LevelObjective, batch: Batch, point: Any, multiplier: Any, iterations: Any
) -> L1Minima:
    """The ends, with how far from minima they can be."""
    rows = objective.residuals(batch, point)
    end = lagrangian(objective, batch, point, multiplier, rows)
    weight = np.broadcast_to(batch.weight, rows.shape)
    squares = weight * end.residual_derivative**2
    sizes = np.maximum(np.abs(point), 1.0)
    return minima_of(
        batch,
        end._replace(gauss_newton=objective.weighted_products(end.jacobian, squares)),
        multiplier,
        value=(weight * np.abs(end.rows)).sum(axis=-1),
        rounding=rounding_of_residuals(batch, objective.rounding_of_rows(end, sizes)),
        point=point,
        iterations=iterations,
    )
