"""A fit near its optimum: residuals, what the objective makes of them, and their derivatives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.fitting.derivatives import core_share, derivatives, finite_delta
from scalefit.inference.fitted_data import FittedData
from scalefit.objective import Measure, Objective, influence, measure

__all__ = ["FAR_OFF", "Linearised", "linearised", "noise_spread", "pulls"]

# Robust standard deviations beyond which a run is far off.
# Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: 3.5; of 240 Gaussian runs 0.1 is.
FAR_OFF = 3.5


class Linearised(NamedTuple):
    """Runs of positive weight near the optimum, in units of the residual.

    Attributes:
        residuals: shape (rows,).
        pulls: psi(r) / mean psi', shape (rows,): the residuals themselves for squares.
        jacobian: derivatives of the residuals in the free parameters that are at no bound,
            (rows, p): coefficients in raw units, then coordinates.
        weight: shape (rows,).
        spread: standard deviation of the noise, by the pulls.
    """

    residuals: np.ndarray
    pulls: np.ndarray
    jacobian: np.ndarray
    weight: np.ndarray
    spread: float


def linearised(fitted: FittedData) -> Linearised:
    """A fit near its optimum."""
    fit, data = fitted.fit, fitted.prepared.data
    unit = float(data.unit) if fit.objective.residual == "raw" else 1.0
    around = derivatives(fitted.prepared.problem, data, fitted.point)
    residuals = np.asarray(fitted.residuals[fitted.used])
    weight = fitted.table.weight[fitted.used]
    return Linearised(
        residuals=residuals,
        pulls=pulls(fit.objective, residuals, weight),
        jacobian=unit * around.jacobian[fitted.used][:, ~fitted.at_bound],
        weight=weight,
        spread=noise_spread(fit.objective, residuals, weight, fitted.df_resid),
    )


def pulls(
    objective: Objective,
    residuals: np.ndarray,
    weight: np.ndarray,
    around: np.ndarray | None = None,
) -> np.ndarray:
    """What an objective makes of residuals, psi(r) / mean psi', in their unit, shape (rows,).

    To first order a fit by any of the objectives moves with its noise as a fit by squares does with
    these in place of the residuals. For squares they are the residuals.

    Args:
        objective: what is minimised.
        residuals: shape (rows,).
        weight: shape (rows,).
        around: residuals that the mean of psi' is estimated from; the same by default.
    """
    sample = residuals if around is None else around
    how = _measure(objective, sample)
    share = core_share(how, sample, weight)
    return np.asarray(influence(how, residuals)) / share


def noise_spread(objective: Objective, residuals: np.ndarray, weight: np.ndarray, df: int) -> float:
    """Standard deviation of the noise in the pulls, from residuals with df degrees of freedom.

    Source:
        Huber 1981, Robust Statistics, section 7.6 (s^2 / m^2).
    """
    return float(np.sqrt(np.sum(weight * pulls(objective, residuals, weight) ** 2) / df))


def _measure(objective: Objective, residuals: np.ndarray) -> Measure:
    return finite_delta(measure(objective), float(np.std(residuals)))
