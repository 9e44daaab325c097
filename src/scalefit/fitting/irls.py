"""The objective itself at cells of a grid, by iteratively reweighted least squares (IRLS).

A grid of very many cells is scanned with least squares, which rank cells as a nearly quadratic
objective does. Where rows lie far beyond delta they do not: a few outliers dominate the sum of
squares, and a minimum that leaves them aside is missed. Here the coefficients of a cell minimise
the objective itself: with r the residual of a prediction f, the stationary coefficients of

    sum of w rho(r)    are those of    sum of v (y - f)^2,    v = w psi(r) (-dr/df) / (y - f),

which is positive, as r falls in f and is zero at f = y. A few iterations, each with the weights v
at the solution before, are enough to rank cells. For raw and relative residuals none makes a value
worse (Holland and Welsch 1977, Comm. Statist. A6(9)); for others the best one counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.dense_objective import Gram
from scalefit.fitting.grid import Candidates
from scalefit.fitting.scaled_objective import ScaledObjective
from scalefit.objective import Measure
from scalefit.problem.problem import Data, Settings
from scalefit.runtime.settings import quiet

__all__ = ["project", "projected", "squared"]

# Least squares of each cell: the first of squares, the others reweighted.
TURNS = 4

# Exchanges of coefficients between their bounds and the free ones; two or three settle all. A
# compiled program makes all that it may.
MOST_PIVOTS = 6
COMPILED_PIVOTS = 3

# Numbers of a chunk of cells, which stays in cache.
CHUNK = 2**17

# Absolute residuals below this share of the median one have the weight of that one.
ABSOLUTE_SHARE = 0.05

# A prediction without logarithm counts as this share of the observed loss.
LEAST_PREDICTED = 1e-3

# A row closer than this share of its loss counts as interpolated.
AT_ZERO = 1e-12

# A share of each diagonal that keeps the systems of collinear columns solvable.
RIDGE = 1e-10


def squared(how: Measure) -> bool:
    """Whether the penalty is the square: least squares then rank cells as the objective does.

    Exactly so for raw and relative residuals, to first order for logarithmic ones.
    """
    return bool(np.isinf(how.delta) and not how.absolute and how.asymmetry == 1.0)


def project(
    objective: ScaledObjective, data: Data, settings: Settings, coordinates: np.ndarray
) -> Candidates:
    """Points with coefficients that nearly minimise the objective there, and its value.

    Args:
        objective: the problem's objective, on the host.
        data: the table.
        settings: bounds.
        coordinates: shape (points, q).

    Returns:
        The points, coefficients in raw units and the objective in the unit of the loss; infinite
        where there is no solution.
    """
    size = max(1, CHUNK // (max(1, objective.row_width) * data.response.size))
    with quiet():
        parts = [
            projected(objective, data, settings, coordinates[first : first + size])
            for first in range(0, max(1, len(coordinates)), size)
        ]
    return Candidates(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True)))


def projected(
    objective: ScaledObjective, data: Data, settings: Settings, coordinates: Any
) -> Candidates:
    """The same for points that are few enough, with numpy or within a compiled program."""
    xp, k = objective.library, objective.k
    columns = objective.columns_at(coordinates, data.metric)
    known = 0.0 if columns.known is None else columns.known / data.unit
    factor = columns.size / data.unit
    lower, upper = settings.lower[:k], settings.upper[:k]
    ends = (xp.where(lower == 0, 0.0, lower * factor), xp.where(upper == 0, 0.0, upper * factor))
    metric = data.metric[None]
    best = xp.full(len(coordinates), np.inf)
    coefficients = xp.zeros((len(coordinates), k))
    held, at = xp.zeros((len(coordinates), k), dtype=bool), coefficients
    shape = (len(coordinates), data.response.size)
    target = xp.broadcast_to(data.response - known, shape)
    for _ in range(TURNS if k else 1):
        found = coefficients
        if k:
            gram, right = columns.equations(metric, target)
            found, held, at = _bounded(gram, right, ends, (held, at), xp)
        predicted = columns.predicted(found) + known
        value, metric = _weighed(data, predicted, xp)
        better = value < best
        best = xp.where(better, value, best)
        coefficients = xp.where(better[:, None], found, coefficients)
    return Candidates(coordinates, coefficients / factor, best)


def _bounded(
    gram: Gram, right: Any, ends: tuple[Any, Any], start: tuple[Any, Any], xp: Any
) -> tuple[Any, Any, Any]:
    """Least squares within bounds from normal equations, by block principal pivoting.

    All coefficients outside their bounds are held there, and all held ones that would lower the
    value inside are freed, until there are none (Portugal, Judice and Vicente 1994, Math. Comp.
    63(208)). Should that not settle, what is outside is put on its bound.

    Args:
        gram: inner products of the columns.
        right: inner products with the loss, (points, k).
        ends: bounds, each (points, k).
        start: coefficients that start on a bound, and their values, each (points, k).
        xp: ``numpy`` or ``jax.numpy``.

    Returns:
        The coefficients, which of them are held, and where; each (points, k).
    """
    (lower, upper), (held, at) = ends, start
    gram = gram.ridged(RIDGE)
    for _ in range(MOST_PIVOTS if xp is np else COMPILED_PIVOTS):
        some = xp is not np or held.any()
        rest = right
        if some:
            rest = xp.where(held, at, right - gram.times(xp.where(held, at, 0.0)))
        point = gram.solved(rest, held if some else None)
        inside = xp.minimum(xp.maximum(point, lower), upper)
        now = point != inside
        if some:
            gradient = gram.times(point) - right
            now |= held & xp.where(at == lower, gradient >= 0, gradient <= 0)
        if xp is np and (now == held).all():
            break
        held, at = now, inside
    return inside, held, at


def _weighed(data: Data, predicted: Any, xp: Any) -> tuple[Any, Any]:
    """Value of the objective, (points,), and the weights of the next turn, (points, rows)."""
    how, observed, weight = data.measure, data.response, data.weight
    if how.residual == "log":
        predicted = xp.maximum(predicted, LEAST_PREDICTED * observed)
        rows = xp.log(observed) - xp.log(predicted)
    else:
        rows = observed - predicted
    difference = observed - predicted if how.residual == "log" else rows
    if how.residual == "relative":
        rows = rows / observed
    if how.asymmetry != 1.0:
        weight = weight * xp.where(rows < 0, how.asymmetry, 1.0)
    if how.absolute:
        size = xp.abs(rows)
        value = (size * weight).sum(axis=-1)
        least = ABSOLUTE_SHARE * xp.median(size, axis=-1, keepdims=True)
        psi = rows / xp.maximum(size, least)
    else:
        psi = xp.clip(rows, -how.delta, how.delta)
        value = (psi * (rows - 0.5 * psi) * weight).sum(axis=-1)
    # v = w psi (-dr/df) / (y - f), with -dr/df = 1 / divisor; its limit where y = f is
    # w / divisor^2.
    divisor = (
        predicted if how.residual == "log" else observed if how.residual == "relative" else 1.0
    )
    near = xp.abs(difference) <= AT_ZERO * xp.abs(observed)
    reweighted = weight * xp.where(
        near, 1.0 / divisor**2, psi / (xp.where(near, 1.0, difference) * divisor)
    )
    return xp.where(xp.isfinite(value), value, xp.inf), reweighted
