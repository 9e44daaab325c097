"""Exact derivatives of the objective at a point, for methods that use its curvature."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit import objective as obj
from scalefit.fitting.model import Expanded, Model
from scalefit.objective import Measure
from scalefit.problem.problem import Data, Problem
from scalefit.runtime.settings import quiet

__all__ = [
    "Derivatives",
    "core_share",
    "derivatives",
    "finite_delta",
    "jacobian_at",
    "residuals_at",
]


class Derivatives(NamedTuple):
    """The objective at a point; penalty and residuals in the unit of ``Data``.

    Attributes:
        value: sum of weight times penalty, shape ().
        residuals: shape (rows,).
        jacobian: derivative of each residual in each free parameter, shape (rows, p).
        curvature: sum over rows of weight times influence times second derivative of the residual,
            shape (p, p).
    """

    value: Any
    residuals: Any
    jacobian: Any
    curvature: Any


def residuals_at(problem: Problem, data: Data, point: jax.Array) -> jax.Array:
    """Residual of each row at a point, in the unit of ``Data``, shape (rows,); traceable by JAX.

    Args:
        problem: the problem.
        data: the table.
        point: coefficients in raw units, then coordinates, shape (p,).
    """
    k = len(problem.owners)
    columns, known = Model(problem, data.columns, data.fixed, jnp).values(point[k:])
    predicted = jnp.zeros(()) if known is None else known
    first = 0
    for column, width, division in zip(columns, problem.widths, problem.divisions, strict=True):
        part = point[first : first + width]
        part = part[0] if division is None else part[data.codes[division]]
        predicted = predicted + part * column
        first += width
    predicted = jnp.broadcast_to(predicted, data.response.shape)
    return obj.residuals(data.measure, data.response, predicted / data.unit)


def derivatives(problem: Problem, data: Data, point: np.ndarray) -> Derivatives:
    """The objective and its derivatives at a point.

    Args:
        problem: the problem.
        data: the table.
        point: coefficients in raw units, then coordinates, shape (p,).
    """
    how, unit = data.measure, data.unit
    with quiet():
        around = _expanded(problem, data, point)
        predicted, slope = around.predicted / unit, around.slope / unit
        residuals = obj.residuals(how, data.response, predicted)
        # r' and r'', derivatives of each residual in its prediction f.
        first, second = obj.residual_derivatives(how, data.response, predicted)
        jacobian = first[:, None] * around.slope / unit
        # Sum of w psi d2r, with d2r = r'' f_i f_j + r' f_ij.
        pull = data.weight * obj.influence(how, residuals)
        curvature = slope.T @ ((pull * second)[:, None] * slope)
        along = pull * first / unit
        for (i, j), values in around.second.items():
            value = np.sum(along * values)
            curvature[i, j] += value
            if i != j:
                curvature[j, i] += value
        for places, axis, members, values in around.mixed:
            value = (along * values) @ members
            curvature[places, axis] += value
            curvature[axis, places] += value
        return Derivatives(
            value=np.sum(data.weight * obj.penalty(how, residuals)),
            residuals=residuals,
            jacobian=jacobian,
            curvature=curvature,
        )


def jacobian_at(problem: Problem, data: Data, point: np.ndarray) -> np.ndarray:
    """Derivative of each residual in each free parameter, shape (rows, p), in the unit of ``Data``.

    Args:
        problem: the problem.
        data: the table.
        point: coefficients in raw units, then coordinates, shape (p,).
    """
    with quiet():
        around = Model(problem, data.columns, data.fixed).expand(point[len(problem.owners) :])
        predicted, slope, _ = _first_order(problem, data, point, around)
        first, _ = obj.residual_derivatives(data.measure, data.response, predicted / data.unit)
        return np.asarray(first[:, None] * slope / data.unit)


class _Expanded(NamedTuple):
    """The prediction around a point, raw units.

    Attributes:
        predicted: shape (rows,).
        slope: derivative in each free parameter, shape (rows, p).
        second: second derivative in two coordinates by their places, each of shape (rows,).
        mixed: of each term, second derivatives in its coefficients and a coordinate: places of the
            coefficients, place of the coordinate, which rows have which coefficient (rows, levels),
            and the derivative of the column in the coordinate (rows,).
    """

    predicted: np.ndarray
    slope: np.ndarray
    second: dict[tuple[int, int], Any]
    mixed: list[tuple[slice, int, np.ndarray, Any]]


def _expanded(problem: Problem, data: Data, point: np.ndarray) -> _Expanded:
    """The prediction f = f0 + sum_t c_t g_t and its derivatives, of columns g_t and known part f0.

    A coefficient c_t that differs by level is c_t[level of the row].
    """
    k = len(problem.owners)
    around = Model(problem, data.columns, data.fixed).expand(point[k:])
    predicted, slope, levels = _first_order(problem, data, point, around)
    second: dict[tuple[int, int], Any] = {}
    mixed = []
    for column, (places, members) in zip(around.columns, levels, strict=True):
        for axis, values in column.first.items():
            mixed.append((places, k + axis, members, values))
        for (i, j), values in column.second.items():
            pair = (k + i, k + j)
            second[pair] = second.get(pair, 0.0) + (members @ point[places]) * values
    if around.known is not None:
        for (i, j), values in around.known.second.items():
            second[k + i, k + j] = second.get((k + i, k + j), 0.0) + values
    return _Expanded(predicted, slope, second, mixed)


def _first_order(
    problem: Problem, data: Data, point: np.ndarray, around: Expanded
) -> tuple[np.ndarray, np.ndarray, list[tuple[slice, np.ndarray]]]:
    """The prediction, its slope, and of each term the coefficients and which rows have which."""
    k, rows = len(problem.owners), data.response.size
    columns, known = around
    predicted = np.zeros(rows) if known is None else known.value + np.zeros(rows)
    slope = np.zeros((rows, problem.size))
    levels = []
    start = 0
    for column, width, division in zip(columns, problem.widths, problem.divisions, strict=True):
        places = slice(start, start + width)
        members = np.ones((rows, 1))
        if division is not None:
            members = (data.codes[division][:, None] == np.arange(width)) * 1.0
        coefficient = members @ point[places]
        predicted = predicted + coefficient * column.value
        slope[:, places] = members * np.broadcast_to(column.value, rows)[:, None]
        for axis, values in column.first.items():
            slope[:, k + axis] += coefficient * values
        levels.append((places, members))
        start += width
    if known is not None:
        for axis, values in known.first.items():
            slope[:, k + axis] += values
    return predicted, slope, levels


def finite_delta(how: Measure, spread: float) -> Measure:
    """The objective itself; for absolute residuals the Huber loss of a very small delta.

    Args:
        how: the objective in numbers.
        spread: standard deviation of the residuals, in its unit.
    """
    return how._replace(delta=1e-9 * spread) if how.absolute else how


def core_share(how: Measure, residuals: np.ndarray, weight: np.ndarray) -> float:
    """Expected second derivative of the penalty, E[psi'], from a sample of residuals.

    It is the share of the residuals within delta of zero. Where few rows are that close, the share
    is that of a wider window, times the ratio of the widths, as for the sparsity of a quantile
    regression: the density near zero hardly changes over either.

    Args:
        how: the objective in numbers.
        residuals: shape (rows,), in its unit.
        weight: shape (rows,).

    Source:
        Hall and Sheather 1988, J. R. Stat. Soc. B 50(3) (width). Koenker 2005, Quantile
        Regression, section 3.4 (sandwich).
    """
    delta = float(how.delta)
    # Of an asymmetric penalty psi' differs by side.
    side = np.where(residuals < 0, float(how.asymmetry), 1.0)
    if not np.isfinite(delta):
        return float(np.average(side, weights=weight))
    # At least as wide as a sparsity is estimated from.
    window = max(delta, _bandwidth(residuals))
    inside = np.abs(residuals) <= window
    return float(np.average(side * inside, weights=weight) * delta / window)


def _bandwidth(residuals: np.ndarray) -> float:
    """Half width of the window around zero, in the unit of the residuals."""
    # Half a second to import: not for those who only fit.
    from scipy.stats import norm as normal

    count = len(residuals)
    # Width of Hall and Sheather, as a share of the sample on either side of the median. At the
    # median: phi(0)^2 is 1 / (2 pi), and the second factor 1.5 phi^2 / (2 x^2 + 1).
    share = count ** (-1 / 3) * normal.ppf(0.975) ** (2 / 3) * (1.5 / (2 * np.pi)) ** (1 / 3)
    share = min(share, 0.45)
    # In units of the residuals, by a normal distribution of their robust spread (the interquartile
    # range is 1.349 standard deviations).
    low, high = np.quantile(residuals, [0.25, 0.75])
    spread = min(np.std(residuals), (high - low) / 1.349) or float(np.std(residuals))
    return float(spread * normal.ppf(0.5 + share))
