"""Noise from run to run, which an interval for a new run adds to that of the surface."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from scalefit.inference.fitted_data import FEWEST_FREEDOM, FittedData
from scalefit.objective import Residual, noisy_losses

__all__ = ["FEWEST_REPEATS", "RunNoise", "run_noise"]

# Runs that differ by seed only must repeat this often, all together, before they say more about
# noise than the residuals do.
FEWEST_REPEATS = 5

# Numbers that stand for a distribution: the ends of a 99 % interval have ten beyond them.
LEAST_SAMPLE = 2001

SOURCES = {
    "seeds": "spread of runs that differ by seed only",
    "residuals": "residuals of the fit, which hold its misfit inside the runs too",
    "sigma": "known errors of the losses, and no misfit",
}


class RunNoise(NamedTuple):
    """Noise from run to run.

    Attributes:
        values: a sample of it, residuals as the objective defines them, shape (m,).
        source: ``seeds``, ``residuals`` or ``sigma``.
        residual: kind of the residual.
    """

    values: np.ndarray
    source: Literal["seeds", "residuals", "sigma"]
    residual: Residual

    def added(self, loss: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Losses of runs whose expectation is ``loss``, each with noise of its own."""
        return noisy_losses(loss, rng.choice(self.values, loss.shape), self.residual)

    def __str__(self) -> str:
        return f"noise of {self.values.std():.3g} ({SOURCES[self.source]})"


def run_noise(fitted: FittedData) -> RunNoise:
    """Noise from run to run: by known errors, by seeds where there are enough, or by residuals.

    Of a linear fit with few degrees of freedom residuals are too few for a sample: it is of a
    Student's t of their size then.
    """
    residual, used = fitted.fit.objective.residual, fitted.used
    if fitted.errors is not None:
        return RunNoise(_sample(fitted.errors[used], np.inf), "sigma", residual)
    repeated = _between_seeds(fitted)
    if repeated is not None:
        return RunNoise(repeated, "seeds", residual)
    values = fitted.residuals[used] * fitted.inflation
    if fitted.linear and fitted.df_resid < FEWEST_FREEDOM:
        values = _sample(np.array([np.sqrt(np.mean(values**2))]), fitted.df_resid)
    return RunNoise(values, "residuals", residual)


def _sample(sizes: np.ndarray, df: float) -> np.ndarray:
    """A sample of Student's t: its quantiles in the middle of equal shares, of each size."""
    from scipy.special import ndtri, stdtrit

    each = max(LEAST_SAMPLE // len(sizes), 1)
    shares = (np.arange(each) + 0.5) / each
    if each == 1:
        # As many sizes as shares: each has one, in an order that does not follow the rows.
        shares = np.random.default_rng(0).permutation((np.arange(len(sizes)) + 0.5) / len(sizes))
    quantiles = ndtri(shares) if np.isinf(df) else stdtrit(df, shares)
    return np.asarray(sizes[:, None] * quantiles).ravel() if each > 1 else sizes * quantiles


def _between_seeds(fitted: FittedData) -> np.ndarray | None:
    """Residuals of repeated runs around their mean, scaled to the noise of one run."""
    table = fitted.table
    if "seed" not in table.sources:
        return None
    # Runs of the same columns and levels repeat each other.
    keys = [pd.Series(table.column(name)) for name in fitted.fit.law.columns]
    keys += [pd.Series(codes) for codes in fitted.prepared.codes.values()]
    frame = pd.concat(keys, axis=1)[fitted.used]
    values = pd.Series(fitted.residuals[fitted.used], index=frame.index)
    groups = values.groupby([frame[name] for name in frame])
    size = groups.transform("size")
    if len(values) - groups.ngroups < FEWEST_REPEATS:
        return None
    # Residuals about the mean of m runs have (m - 1) / m of the variance of the noise.
    several = (size > 1).to_numpy()
    inflated = (values - groups.transform("mean")) * np.sqrt(size / (size - 1).clip(lower=1))
    return inflated[several].to_numpy()
