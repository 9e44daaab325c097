"""The objective around a point by exact derivatives, for methods that look at its curvature."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit import objective as obj
from scalefit.fitting.model import Model
from scalefit.objective import Measure
from scalefit.problem.problem import Data, Problem
from scalefit.runtime.settings import quiet

__all__ = ["Slopes", "core_share", "rows", "slopes"]


class Slopes(NamedTuple):
    """The objective at a point; penalty and residuals in the unit of ``Data``.

    Attributes:
        value: sum of weight times penalty, shape ().
        residuals: shape (rows,).
        jacobian: derivative of each residual in each free parameter, shape (rows, p).
        bend: sum over rows of weight times influence times second derivative of the residual,
            shape (p, p).
    """

    value: Any
    residuals: Any
    jacobian: Any
    bend: Any


def rows(problem: Problem, data: Data, point: jax.Array) -> jax.Array:
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


def slopes(problem: Problem, data: Data, point: np.ndarray) -> Slopes:
    """The objective and its derivatives at a point.

    Args:
        problem: the problem.
        data: the table.
        point: coefficients in raw units, then coordinates, shape (p,).
    """
    k, q = len(problem.owners), len(problem.nonlinear)
    how, count = data.measure, data.response.size
    with quiet():
        columns, known = Model(problem, data.columns, data.fixed).expand(point[k:])
        predicted = np.zeros(count) if known is None else known.value + np.zeros(count)
        slope = np.zeros((count, k + q))
        second: dict[tuple[int, int], Any] = {}
        sides = []
        first = 0
        for term, width, division in zip(columns, problem.widths, problem.divisions, strict=True):
            part = point[first : first + width]
            here = np.ones((count, 1))
            if division is not None:
                here = (data.codes[division][:, None] == np.arange(width)) * 1.0
            own = here @ part
            predicted = predicted + own * term.value
            slope[:, first : first + width] = here * np.broadcast_to(term.value, count)[:, None]
            for axis, item in term.first.items():
                slope[:, k + axis] += own * item
                sides.append((slice(first, first + width), k + axis, here, item))
            for pair, item in term.second.items():
                second[pair] = second.get(pair, 0.0) + own * item
            first += width
        if known is not None:
            for axis, item in known.first.items():
                slope[:, k + axis] += item
            for pair, item in known.second.items():
                second[pair] = second.get(pair, 0.0) + item
        predicted, unit = predicted / data.unit, data.unit
        residuals = obj.residuals(how, data.response, predicted)
        inverse, curved = obj.residual_derivatives(how, data.response, predicted)
        jacobian = inverse[:, None] * slope / unit
        pull = data.weight * obj.influence(how, residuals)
        # d2 r = r'' f_i f_j + r' f_ij, f the prediction.
        bend = (slope / unit).T @ ((pull * curved)[:, None] * (slope / unit))
        along = pull * inverse / unit
        for (a, b), item in second.items():
            value = np.sum(along * item)
            bend[k + a, k + b] += value
            if a != b:
                bend[k + b, k + a] += value
        for where, axis, here, item in sides:
            values = (along * item) @ here
            bend[where, axis] += values
            bend[axis, where] += values
        return Slopes(
            value=np.sum(data.weight * obj.penalty(how, residuals)),
            residuals=residuals,
            jacobian=jacobian,
            bend=bend,
        )


def core_share(how: Measure, residuals: np.ndarray, weight: np.ndarray) -> float:
    """Expected second derivative of the penalty, E[psi'], from a sample of residuals.

    Where the penalty is quadratic for few rows only, counting those would be counting few rows.
    The share is then that of a wider window, as for the sparsity of a quantile regression, times
    the ratio of the widths: the density near zero hardly changes over either.

    Args:
        how: the objective in numbers.
        residuals: shape (rows,), in its unit.
        weight: shape (rows,).

    Source:
        Hall and Sheather 1988, J. R. Stat. Soc. B 50(3) (width). Koenker 2005, Quantile
        Regression, section 3.4 (sandwich).
    """
    delta = float(how.delta)
    side = np.where(residuals < 0, float(how.asymmetry), 1.0)
    if not np.isfinite(delta):
        return float(np.average(side, weights=weight))
    window = max(delta, _bandwidth(residuals))
    inside = np.abs(residuals) <= window
    return float(np.average(side * inside, weights=weight) * delta / window)


def _bandwidth(residuals: np.ndarray) -> float:
    """Half width of the window around zero, in the unit of the residuals."""
    # Half a second to import: not for those who only fit.
    from scipy.stats import norm as normal

    count = len(residuals)
    # At the median: phi(0)^2 is 1 / (2 pi), and the second factor 1.5 phi^2 / (2 x^2 + 1).
    share = count ** (-1 / 3) * normal.ppf(0.975) ** (2 / 3) * (1.5 / (2 * np.pi)) ** (1 / 3)
    share = min(share, 0.45)
    low, high = np.quantile(residuals, [0.25, 0.75])
    spread = min(np.std(residuals), (high - low) / 1.349) or float(np.std(residuals))
    return float(spread * normal.ppf(0.5 + share))
