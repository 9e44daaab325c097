"""The objective around a point by exact derivatives, for methods that look at its curvature."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit import objective as obj
from scalefit.fitting import programs
from scalefit.fitting.problem import Data, Problem
from scalefit.objective import Measure

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
    """Residual of each row at a point, in the unit of ``Data``, shape (rows,).

    Args:
        problem: the problem.
        data: rows, padded.
        point: coefficients in raw units, then coordinates, shape (p,).
    """
    k = len(problem.owners)
    predicted = problem.known(data, point[k:])
    first = 0
    for index, width in enumerate(problem.widths):
        columns = problem.columns(index, data, point[k:])
        predicted = predicted + columns @ point[first : first + width]
        first += width
    return obj.residuals(data.measure, data.response, predicted / data.unit)


@programs.compiled(Slopes)
def slopes(problem: Problem, data: Data, point: Any) -> Slopes:
    """The objective and its derivatives at a point.

    Args:
        problem: the problem.
        data: rows, padded; padding has weight zero.
        point: coefficients in raw units, then coordinates, shape (p,).
    """

    def each(point: jax.Array) -> jax.Array:
        return rows(problem, data, point)

    def pulled(point: jax.Array, pull: jax.Array) -> jax.Array:
        return jnp.sum(pull * each(point))

    residuals = each(point)
    pull = data.weight * obj.influence(data.measure, residuals)
    return Slopes(
        value=jnp.sum(data.weight * obj.penalty(data.measure, residuals)),
        residuals=residuals,
        jacobian=jax.jacfwd(each)(point),
        bend=jax.hessian(pulled)(point, pull),
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
