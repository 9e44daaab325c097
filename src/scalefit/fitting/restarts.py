"""Further starts, made from where others ended.

**Along profiles.** Where most rows lie beyond delta the objective is nearly one of absolute
residuals: minima that interpolate different rows lie closer together than the cells of any grid.
With C the inverse curvature at the best end, starts lie on the first-order profile of each
nonlinear parameter i,

    x_i +- t,  the others by t C_ji / C_ii,  t = sqrt(2 RISE v C_ii / (n - p)),

a few standard errors (Bates and Watts 1988, Nonlinear Regression Analysis, section 6.1).

**Off faces.** Where a coefficient is zero its exponent has no effect, and the gradient only shows
that the term does not help with the exponent that it happens to have. Such a point is a minimum
only if the term helps with no exponent: with p = w psi(r) dr/df the pull of each row, the objective
changes at the rate

    g(a) = sum of p phi(a)

as the coefficient of the column phi(a) grows from zero, and must rise for every a of the box (a
parameter that is present only under the alternative; Davies 1977, Biometrika 64(2)).
"""

from __future__ import annotations

from itertools import product as combinations
from typing import Any

import numpy as np

from scalefit.fitting.curvature import curvature_of
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Candidates
from scalefit.fitting.irls import project
from scalefit.fitting.scaled_objective import ScaledObjective
from scalefit.objective import influence, residual_derivatives, residuals
from scalefit.problem.problem import Data, Settings
from scalefit.runtime.settings import quiet

__all__ = ["along_profiles", "off_faces"]

# Rise of the quadratic model along a profile: that of three standard errors.
RISE = 9.0

# Values of the exponents that are tried, about, whatever the number of the term's coordinates.
POINTS = 256

# Cosine of pull and column that is no rounding.
DESCENT = 1e-6

# An absolute residual this small, in the unit of the loss, belongs to an interpolated row.
INTERPOLATED = 1e-9


def along_profiles(
    objective: ScaledObjective, data: Data, settings: Settings, end: Polished, factor: float
) -> Candidates:
    """Points on either side of an end along the profile of each nonlinear parameter.

    Args:
        objective: the problem's objective, on the host.
        data: the table.
        settings: bounds.
        end: where one start ended, by itself.
        factor: value of the objective over the sum of penalties in the weights of the table.

    Returns:
        Two points for each nonlinear parameter that no bound holds, with coefficients that nearly
        minimise the objective there.
    """
    k, here = objective.k, end.coordinates[0]
    curvature = curvature_of(objective.problem, end.gauss_newton[0])
    free = ~end.active[0] & (curvature.diagonal > 0)
    moving, inverse = curvature.inverse(free)
    freedom = max(1, np.count_nonzero(data.weight) - np.count_nonzero(free))
    value = end.value[0] / factor
    if data.measure.absolute:
        # Half the squares of residuals of that mean: the curvature is theirs.
        value = 0.5 * value**2 / data.weight.sum()
    places: list[np.ndarray] = []
    for across in inverse.T:
        own = across[len(places) // 2]
        step = np.zeros(objective.q)
        # Where rounding leaves no curvature, the points are not finite, and dropped.
        with quiet():
            step[moving] = np.sqrt(2 * RISE * value / (freedom * own)) * across
        places += [here + step, here - step]
    points = np.array(places).reshape(-1, objective.q)
    points = points[np.isfinite(points).all(axis=1)]
    points = np.clip(points, settings.lower[k:], settings.upper[k:])
    return project(objective, data, settings, points)


def off_faces(
    objective: ScaledObjective, data: Data, settings: Settings, polished: Polished
) -> tuple[np.ndarray, Candidates]:
    """Starts that ended with a vanished term that would lower the objective, and where to go on.

    Args:
        objective: the problem's objective, on the host.
        data: the table.
        settings: bounds.
        polished: where starts ended.

    Returns:
        Which starts, (found,), and for each the end with the exponents of one vanished term put
        where the term leads down most steeply.
    """
    problem, k = objective.problem, objective.k
    owners = np.array(problem.owners, dtype=int)
    which, coordinates = [], []
    ended = np.isfinite(polished.value)
    for start in np.flatnonzero((ended[:, None] & (polished.coefficients == 0)).any(axis=1)):
        zero = polished.coefficients[start] == 0
        vanished = [index for index in range(len(problem.linear)) if zero[owners == index].all()]
        in_use = set(problem.axes_known or ()).union(
            *(problem.axes_seen[i] for i in range(len(problem.linear)) if i not in vanished)
        )
        pull = None
        steepest, best = -DESCENT, None
        for index in vanished:
            free = [axis for axis in problem.axes_seen[index] if axis not in in_use]
            if not free or problem.limits[index][0] != "zero":
                continue
            if pull is None:
                pull = _pull(objective, data, polished, int(start))
            places = _places(settings, k, polished.coordinates[start], free)
            rates = _rates(objective, index, places, pull).min(axis=-1)
            least = int(np.argmin(rates))
            if rates[least] < steepest:
                steepest, best = rates[least], places[least]
        if best is not None:
            which.append(start)
            coordinates.append(best)
    chosen = np.array(which, dtype=int)
    places = np.array(coordinates).reshape(len(chosen), objective.q)
    return chosen, Candidates(places, polished.coefficients[chosen], None)


def _places(settings: Settings, k: int, here: np.ndarray, free: list[int]) -> np.ndarray:
    """The point with some coordinates at every combination of values within their bounds."""
    side = max(3, round(POINTS ** (1 / len(free))))
    axes = [np.linspace(settings.lower[k + a], settings.upper[k + a], side) for a in free]
    places = np.repeat(here[None], side ** len(free), axis=0)
    places[:, free] = list(combinations(*axes))
    return places


def _pull(
    objective: ScaledObjective, data: Data, polished: Polished, start: int
) -> tuple[Any, Any]:
    """Pull of each row, and that of interpolated rows, which rises both ways; (rows,) each."""
    how, observed = data.measure, data.response
    terms = objective.terms(polished.coordinates[start], polished.coefficients[start])
    predicted = np.sum(terms, axis=0) / data.unit
    rows = residuals(how, observed, predicted)
    first = residual_derivatives(how, observed, predicted)[0]
    weight = np.where(data.weight > 0, data.weight, 0.0)
    if not how.absolute:
        return weight * influence(how, rows) * first, np.zeros_like(first)
    interpolated = np.abs(rows) <= INTERPOLATED
    return weight * np.where(
        interpolated, 0.0, np.sign(rows)
    ) * first, weight * interpolated * np.abs(first)


def _rates(
    objective: ScaledObjective, index: int, places: np.ndarray, pull: tuple[Any, Any]
) -> Any:
    """Rate at which the objective changes as a coefficient grows from zero, as the cosine of the
    pull and its column, (places, coefficients).
    """
    signed, either = pull
    rate, square = objective.column_sums(index, places, signed, either)
    size = np.sqrt(square * (signed**2 + either**2).sum())
    return rate / np.where(size > 0, size, 1.0)
