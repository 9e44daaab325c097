"""What a fold's predictions would be with other noise in its training runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.multistart import follow
from scalefit.inference.fitted_data import attach, parameters
from scalefit.inference.subset_fits import SubsetFit
from scalefit.objective import noisy_losses
from scalefit.validation.candidates import FittedCandidate

__all__ = ["noise_draws", "predictions_with_noise"]

# Draws of the noise of all training runs: two dozen give a standard error to 15 %.
DRAWS = 24


def noise_draws(found: Sequence[FittedCandidate], table: LossTable) -> np.ndarray:
    """Draws of the noise of every run, shape (draws, rows), in units of the residual.

    They are residuals of the law that leaves the least of them, enlarged by sqrt(n / (n - p)): what
    another law leaves beyond that is no noise.

    Args:
        found: the laws, fitted to all rows.
        table: the table.
    """
    used = table.weight > 0
    n = int(used.sum())
    left = [
        (item.residuals[used] - item.residuals[used].mean()) * np.sqrt(n / max(n - item.n_free, 1))
        for item in found
    ]
    least = min(left, key=lambda residuals: float(np.sum(residuals**2)))
    return np.random.default_rng(0).choice(least, (DRAWS, len(table)))


def predictions_with_noise(one: SubsetFit, test: LossTable, noise: np.ndarray) -> np.ndarray:
    """Predictions by a fit whose training runs have each draw of noise added, shape (draws, rows).

    Each is followed from the fit to the runs as they are: another basin is no noise.

    Args:
        one: the fit of a fold, and its runs.
        test: the runs to predict.
        noise: of its training runs, in units of the residual, shape (draws, training runs).

    Returns:
        The predictions; NaN where there is no fit.
    """
    predicted = np.full((len(noise), len(test)), np.nan)
    if one.fit is None:
        return predicted
    try:
        whole = attach(one.fit, one.table)
    except DataError:
        # No optimum, or no noise: nothing to follow.
        return predicted
    prepared = whole.prepared
    found = follow(
        prepared.problem,
        one.fit.objective,
        prepared.settings,
        prepared.data,
        whole.optimum,
        observed=noisy_losses(prepared.observed, noise, one.fit.objective.residual),
    )
    params = parameters(whole, found.coefficients, found.coordinates, found.active)
    for k in np.flatnonzero(np.isfinite(found.value)):
        here = {name: float(values[k]) for name, values in params.items()}
        predicted[k] = replace(one.fit, params=here).evaluate(test)
    return predicted
