"""From a problem and its table to the objective in scaled coordinates, and to starts within it."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.arrow import arrangement
from scalefit.fitting.dense_objective import DenseObjective
from scalefit.fitting.level_objective import LevelObjective
from scalefit.fitting.level_sums import LevelSums, TracedLevelSums
from scalefit.fitting.model import Model
from scalefit.fitting.newton import PROMISE, Goal
from scalefit.fitting.scaled_objective import Batch, ScaledObjective
from scalefit.problem.problem import Data, Problem, Settings

__all__ = ["goal_of", "scaled_objective", "starting_batch", "unbounded_batch"]

# The sum of absolute residuals is first minimised as a Huber loss whose delta is their mean at the
# start, until a step promises less than this share. Delta is no smaller than the least, in the unit
# of the loss, where rounding of the rows would show.
SMOOTHED_PROMISE = 1e-3
SMOOTHED_LEAST = 1e-12


def scaled_objective(
    problem: Problem,
    data: Data,
    library: Any = np,
    *,
    voids: bool = True,
    asymmetry: Any = None,
    dense: bool | None = None,
) -> DenseObjective | LevelObjective:
    """The objective of a problem on a table.

    Args:
        problem: the problem.
        data: the table.
        library: ``numpy``, or ``jax.numpy`` within a function that JAX traces.
        voids: whether some row may have weight zero.
        asymmetry: that of the table's measure by default.
        dense: whether coefficients of every level have columns of their own; by their number by
            default.
    """
    dense = arrangement(problem) is None if dense is None else dense
    model = Model(problem, data.columns, data.fixed, library)
    counts = dict(zip(problem.divisions, problem.widths, strict=True))
    options = {
        "residual": data.measure.residual,
        "asymmetry": data.measure.asymmetry if asymmetry is None else asymmetry,
        "voids": voids,
    }
    if dense:
        indicators = [
            (library.asarray(codes) == library.arange(counts[own])[:, None]) * 1.0
            for own, codes in enumerate(data.codes)
        ]
        return DenseObjective(model, data.unit, indicators, **options)
    sums: list[Any]
    if library is np:
        sums = [LevelSums(codes, counts[own]) for own, codes in enumerate(data.codes)]
    else:
        slots = zip(data.codes, data.places, data.present, data.slots, strict=True)
        sums = [TracedLevelSums(*arrays, counts[own], library) for own, arrays in enumerate(slots)]
    return LevelObjective(model, data.unit, sums, **options)


def unbounded_batch(objective: ScaledObjective, data: Data, coordinates: np.ndarray) -> Batch:
    """The one table without bounds, for derivatives at given points.

    Args:
        objective: the objective.
        data: the table.
        coordinates: where scales are taken that do not move, shape (starts, q).
    """
    losses, metric = data.response[None], data.metric[None]
    none = np.full((1, objective.k + objective.q), np.inf)
    return Batch(
        target=np.log(losses) if objective.residual == "log" else losses,
        weight=data.weight[None],
        metric=metric,
        lower=-none,
        upper=none,
        held=objective.scale(metric, coordinates),
        delta=np.full((1, 1), data.measure.delta),
        shift=None,
    )


def starting_batch(
    objective: ScaledObjective,
    settings: Settings,
    tables: tuple[Any, Any, Any],
    delta: Any,
    smoothed: bool,
    coordinates: Any,
    coefficients: Any,
) -> tuple[Batch, Any]:
    """The batch, and the points in scaled coordinates, (starts, p).

    Args:
        objective: the objective.
        settings: bounds.
        tables: losses, weights, metric, each (starts, rows) or (1, rows).
        delta: where the penalty turns linear.
        smoothed: whether that is the mean absolute residual of each start instead.
        coordinates: (starts, q).
        coefficients: raw units, (starts, k).
    """
    xp = objective.library
    losses, weight, metric = tables
    size = objective.scale(metric, coordinates)
    factor = xp.concatenate([size / objective.unit, xp.ones(coordinates.shape)], axis=-1)
    # Infinite scales leave a bound of zero at zero.
    lower, upper = (
        xp.where(bound == 0, 0.0, bound * factor) for bound in (settings.lower, settings.upper)
    )
    batch = Batch(
        target=xp.log(losses) if objective.residual == "log" else losses,
        weight=weight,
        metric=metric,
        lower=lower,
        upper=upper,
        held=size,
        delta=xp.full((1, 1), delta),
        shift=None,
    )
    point = xp.concatenate([coefficients * size / objective.unit, coordinates], axis=-1)
    point = _with_finite_value(objective, batch, xp.clip(point, lower, upper), size)
    if smoothed:
        rows = objective.residuals(batch, point)
        counted = xp.broadcast_to(weight > 0, rows.shape)
        mean = xp.sum(xp.where(counted, xp.abs(rows), 0.0), axis=-1) / xp.sum(counted, axis=-1)
        batch = batch._replace(delta=xp.maximum(mean, SMOOTHED_LEAST)[:, None])
    return batch, point


def _with_finite_value(objective: ScaledObjective, batch: Batch, point: Any, size: Any) -> Any:
    """Points, or a constant loss where the objective is infinite and the law has a constant.

    A least-squares fit may predict a negative loss, which has no logarithm.
    """
    xp, problem = objective.library, objective.problem
    if problem.constant is None:
        return point
    finite = xp.isfinite(objective.value(batch, point))
    if xp is np and finite.all():
        return point
    # The constant alone, in its scaled coordinate: a prediction of one unit of the loss.
    alone = np.array([owner == problem.constant for owner in problem.owners]) * size
    flat = alone / xp.sqrt(xp.sum(alone**2, axis=-1, keepdims=True))
    flat = xp.concatenate([flat, point[:, objective.k :]], axis=-1)
    return xp.where(finite[:, None], point, xp.clip(flat, batch.lower, batch.upper))


def goal_of(absolute: bool) -> Goal:
    """When a polish is over; a smoothed sum of absolute residuals needs few digits."""
    decrement = SMOOTHED_PROMISE if absolute else PROMISE
    return Goal(np.full(1, decrement), np.full(1, not absolute))
