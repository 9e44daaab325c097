"""Sums of absolute residuals, minimised exactly: an interior-point path, then the active set.

A sum of w |r| has no derivative where a row is interpolated, and at its minimum some rows are, as
many as there are free parameters or fewer. A path of smooth problems (l1_interior_point.py) leads
close enough to tell which; the equations at those rows (l1_active_set.py) are then solved to
rounding. If the solution is no minimum, the path goes on, and the rows are chosen anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.dense_objective import DenseObjective
from scalefit.fitting.l1_active_set import EXCHANGED_FROM, accumulated, interpolate
from scalefit.fitting.l1_interior_point import (
    MU_END,
    MU_SHRINK,
    central_multiplier,
    initial_damping,
    interior_step,
)
from scalefit.fitting.l1_state import (
    L1Minima,
    L1Path,
    lagrangian,
    minima_of,
    rounding_of_residuals,
    typical_residual,
)
from scalefit.fitting.linear_solve import dot, product
from scalefit.fitting.scaled_objective import Batch

__all__ = ["minimise_l1"]

# Mu starts at this share of the typical absolute residual.
MU_START = 0.1

# Active sets are tried from this share of the typical residual on, once for each set of rows. Where
# rows may be exchanged, the same ones are tried once more. They are, too, where rounding decides:
# below the second share, or below this many times where mu ends.
TRIED_FROM = 1e-2
TRIED_AGAIN = 1e-8
ROUNDED = 100.0

# A row is interpolated where its multiplier is farther from one than the root of mu over the
# typical residual, within these limits: off the surface it is as far as mu over the residual.
DISTANCE = (1e-3, 0.1)

# Two rules that choose the interpolated rows.
RULES = 2

TINY = 1e-300


def minimise_l1(
    objective: DenseObjective, batch: Batch, point: Any, most: Any, share: float = 1.0
) -> L1Minima:
    """From points near minima to minima.

    Args:
        objective: for its derivatives.
        batch: tables and bounds.
        point: scaled coordinates, (starts, p).
        most: iterations at most, (starts,).
        share: of where mu starts otherwise, less where points are known to be near good minima.
    """
    count = len(point)
    rows = objective.residuals(batch, point)
    mu = np.maximum(share * MU_START * typical_residual(rows, batch.weight), MU_END)
    ends, multipliers = point.copy(), central_multiplier(rows, mu)
    iterations = np.zeros(count, dtype=int)
    path = L1Path(
        place=np.arange(count),
        batch=batch,
        point=point,
        rows=rows,
        multiplier=multipliers.copy(),
        mu=mu,
        damping=initial_damping(count),
        tried=np.zeros((count, RULES, rows.shape[1]), dtype=bool),
        iteration=iterations.copy(),
    ).take(np.flatnonzero(most > 0))
    while len(path.place):
        path, little = interior_step(objective, path)
        ends[path.place], multipliers[path.place] = path.point, path.multiplier
        iterations[path.place] = path.iteration
        ended = np.zeros(len(path.place), dtype=bool)
        # Where a step promises little the path is close enough to choose interpolated rows.
        for rule in range(RULES):
            which, through = _candidates(path, little & ~ended, rule)
            if len(which):
                path.tried[which, rule] = through
                some = path.take(which)
                at, balanced, converged = interpolate(objective, some, through)
                ended[which[converged]] = True
                found = some.place[converged]
                ends[found], multipliers[found] = at[converged], balanced[converged]
        ended |= little & (path.mu <= MU_END) | (path.iteration >= most[path.place])
        path = path._replace(mu=np.where(little, np.maximum(MU_SHRINK * path.mu, MU_END), path.mu))
        if ended.any():
            path = path.take(np.flatnonzero(~ended))
    return _minima(objective, batch, ends, multipliers, iterations)


def _candidates(path: L1Path, wanted: Any, rule: int) -> tuple[Any, Any]:
    """Starts whose interpolated rows, by a rule, were not tried; and those rows.

    Args:
        path: where they are.
        wanted: starts to look at, (starts,).
        rule: 0 for rows whose multiplier is far from one, 1 for rows whose residual over the
            typical one is smaller than the distance of their multiplier from one.
    """
    weight = path.weight
    share = path.mu / np.maximum(typical_residual(path.rows, weight), TINY)
    distance, size = 1 - np.abs(path.multiplier), np.abs(path.rows)
    if rule == 0:
        through = distance > np.clip(np.sqrt(share), *DISTANCE)[:, None]
    else:
        through = size * share[:, None] < distance * path.mu[:, None]
    through = through & (weight > 0)
    known = (path.tried[:, : rule + 1] == through[:, None]).all(axis=-1).any(axis=-1)
    # Mu falls tenfold, so that it is within this range once or twice.
    again = (share <= EXCHANGED_FROM) & (share > 0.06 * EXCHANGED_FROM)
    again |= (share <= TRIED_AGAIN) | (path.mu <= ROUNDED * MU_END)
    which = wanted & (share <= TRIED_FROM) & (~known | again)
    return np.flatnonzero(which), through[which]


def _minima(
    objective: DenseObjective, batch: Batch, point: Any, multiplier: Any, iterations: Any
) -> L1Minima:
    """The ends, with how far from minima they can be."""
    rows = objective.residuals(batch, point)
    end = lagrangian(objective, batch, point, multiplier, rows)
    jacobian = objective.residual_jacobian(end)
    weight = np.broadcast_to(batch.weight, end.rows.shape)
    return minima_of(
        batch,
        end._replace(gauss_newton=product(jacobian * weight[:, None], jacobian)),
        multiplier,
        value=dot(weight, np.abs(end.rows)),
        rounding=rounding_of_residuals(batch, accumulated(point, jacobian)),
        point=point,
        iterations=iterations,
    )
