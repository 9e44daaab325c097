"""What runs tell about the parameters of a law at a level of noise: the information matrix."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from scalefit.fitting.derivatives import derivatives
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.inference.fitted_data import optimum_of
from scalefit.results.fit import Fit

__all__ = ["expected_errors", "noise_of_estimates"]

# Eigenvalues of the scaled information matrix below this share of the largest are rounding.
ROUNDING = 1e-14


def expected_errors(fit: Fit, prepared: PreparedFit, noise: float) -> pd.DataFrame:
    """Expected standard errors of every free parameter, those at a bound too.

    The covariance is s^2 (J^T W J)^-1, with the Jacobian J of the residuals at the fit, weights W
    of mean one, and s the noise as the objective of the fit passes it on. A parameter that nothing
    constrains has an infinite error.

    Args:
        fit: the fit.
        prepared: the problem that it solved.
        noise: standard deviation of a residual.

    Returns:
        A row for each free parameter: ``value``, ``standard_error``, ``relative``,
        ``nonlinear``, and ``sized``: whether it is a nonlinear one that its bounds hold above zero,
        which an error of its own size leaves undetermined; coefficients in an exponent may be zero.
    """
    table = prepared.table
    problem, count = prepared.problem, len(prepared.problem.owners)
    optimum = optimum_of(fit, problem)
    point = np.concatenate([optimum.coefficients, optimum.coordinates])
    used = table.weight > 0
    weight = table.weight[used] / table.weight[used].mean()
    jacobian = derivatives(problem, prepared.data, point).jacobian[used]
    if fit.objective.residual == "raw":
        jacobian = jacobian * float(prepared.data.unit)
    matrix = jacobian.T @ (weight[:, None] * jacobian)
    errors = noise_of_estimates(fit, noise) * np.sqrt(_inverse_diagonal(matrix))
    logarithmic = np.array([False] * count + list(problem.logarithmic))
    values = np.where(logarithmic, np.exp(np.where(logarithmic, point, 0.0)), point)
    nonlinear = np.arange(problem.size) >= count
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(logarithmic, errors, errors / np.abs(values))
        errors = np.where(logarithmic, errors * values, errors)
    return pd.DataFrame(
        {
            "value": values,
            "standard_error": errors,
            "relative": np.where(np.isnan(relative), np.inf, relative),
            "nonlinear": nonlinear,
            "sized": nonlinear & (prepared.settings.ends[:, 0] >= 0),
        },
        index=pd.Index([", ".join(group) for group in problem.names], name="parameter"),
    )


def _inverse_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Diagonal of the inverse; infinite where a parameter is not constrained, shape (p,)."""
    size = np.sqrt(np.diagonal(matrix))
    there = np.isfinite(size) & (size > 0)
    found = np.full(len(size), np.inf)
    values, vectors = np.linalg.eigh((matrix / np.outer(size, size))[np.ix_(there, there)])
    with np.errstate(divide="ignore"):
        share = vectors**2 / np.where(values > ROUNDING * values.max(initial=0.0), values, 0.0)
    # A vector without a part along a null direction is not touched by it.
    share = np.where(vectors**2 > ROUNDING, share, 0.0)
    found[there] = share.sum(axis=1) / size[there] ** 2
    return found


def noise_of_estimates(fit: Fit, noise: float) -> float:
    """The noise that enters the errors of an M-estimate under Gaussian noise: sqrt(E psi^2)/E psi'.

    Of squares it is the noise itself; of the Huber loss 1.25 times that where delta is far below
    the noise, as of absolute residuals, which a median has.

    Source:
        Huber 1964, Ann. Math. Stat. 35, 73, eq. 1.6.
    """
    penalty, delta = fit.objective.penalty, fit.objective.delta
    if penalty.absolute:
        return noise * math.sqrt(math.pi / 2)
    if delta is None or not penalty.symmetric or not noise > 0:
        return noise
    # Beyond 40 standard deviations no residual leaves the quadratic middle, in floats.
    z = min(delta / noise, 40.0)
    inside = math.erf(z / math.sqrt(2.0))
    density = math.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    squares = inside - 2 * z * density + z**2 * (1 - inside)
    return noise * math.sqrt(squares) / inside if inside > 0 else noise * math.sqrt(math.pi / 2)
