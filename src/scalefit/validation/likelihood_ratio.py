"""How much less likely one set of coefficients makes the residuals than another."""

from __future__ import annotations

import math

import numpy as np

from scalefit.inference.posterior_density import log_normaliser
from scalefit.objective import Measure, Objective, measure
from scalefit.runtime.settings import own_settings

__all__ = ["likelihood_ratio"]

# e-folds of the scale of the noise around its mean penalty: it is 1 to 2 times that one.
AROUND = 2.0


def likelihood_ratio(objective: Objective, value: float, other: float, weight: np.ndarray) -> float:
    """2 ln(L / L'): the likelihood of the residuals at one value of the objective over another.

    The noise has the density exp(-penalty / scale) over its integral, which is normal for squares,
    double exponential for absolute values, and in between for the Huber loss. The scale is the
    likeliest one of each; where errors are known, they are it.

    Args:
        objective: what is summed.
        value: its value at the first coefficients.
        other: at the second ones.
        weight: row weights, shape (rows,).

    Returns:
        The ratio; NaN where the objective is no likelihood: an asymmetric one, or rows of different
        weights.

    Source:
        Wilks 1938, Annals of Mathematical Statistics 9(1).
    """
    if objective.sigma is not None:
        return other - value
    used = weight[weight > 0]
    if not objective.penalty.symmetric or np.ptp(used) > 0:
        return math.nan
    if not math.isfinite(other):
        return math.inf
    how = measure(objective)
    means = [item / how.factor / used.sum() for item in (value, other)]
    first, second = (_least(how, mean) for mean in means)
    return 2 * used.size * (second - first)


def _least(how: Measure, mean: float) -> float:
    """The least of mean / scale + ln(integral of exp(-penalty / scale)) over the scale."""
    if how.absolute:
        return math.log(mean)
    if math.isinf(how.delta):
        return 0.5 * math.log(mean)
    from scipy.optimize import minimize_scalar

    def minus_log(stretch: float) -> float:
        scale = mean * math.exp(stretch)
        with own_settings():
            return mean / scale + float(log_normaliser(how, scale))

    found = minimize_scalar(
        minus_log, bounds=(-AROUND, AROUND), method="bounded", options={"xatol": 1e-8}
    )
    return float(found.fun)
