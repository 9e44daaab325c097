"""Noise from run to run, which an interval for a new run adds to that of the surface."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from scalefit.inference.fitted_data import FittedData
from scalefit.objective import Residual, noisy_losses

__all__ = ["FEWEST_REPEATS", "KNOWN", "RunNoise", "run_noise"]

# Runs that differ by seed only must repeat this often, all together, before they say more about
# noise than the residuals do.
FEWEST_REPEATS = 5

# Numbers that stand for a distribution: the ends of a 99 % interval have ten beyond them.
LEAST_SAMPLE = 2001

# Below so many residuals fewer than one lies beyond each end of a 95 % interval.
FEW_RESIDUALS = 40

# Factors of noise whose size is known, or corrected for by percentiles.
KNOWN = np.empty(0)

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
        df: degrees of freedom behind its size; infinite where that is known.
        factors: of each draw, what the size of the noise may be over what it is estimated as,
            shape (draws,); empty where it is taken as it is.
    """

    values: np.ndarray
    source: Literal["seeds", "residuals", "sigma"]
    residual: Residual
    df: float = np.inf
    factors: np.ndarray = KNOWN

    def added(
        self, loss: np.ndarray, rng: np.random.Generator, usable: np.ndarray | None = None
    ) -> np.ndarray:
        """Losses of runs whose expectation is ``loss``, each with noise of its own.

        Args:
            loss: shape (draws, ...).
            rng: random numbers.
            usable: which of the draws these are, shape (all draws,); all by default.
        """
        noise = rng.choice(self.values, loss.shape)
        if len(self.factors):
            kept = self.factors if usable is None else self.factors[usable]
            noise = noise * kept.reshape(-1, *(1,) * (loss.ndim - 1))
        return noisy_losses(loss, noise, self.residual)

    def uncertain(self, count: int, seed: int) -> RunNoise:
        """The noise with draws of its size that are independent of those of the surface.

        Args:
            count: number of draws.
            seed: of the ensemble.
        """
        if np.isinf(self.df):
            return self
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])
        return self._replace(factors=np.sqrt(self.df / rng.chisquare(self.df, count)))

    def __str__(self) -> str:
        return f"noise of {self.values.std():.3g} ({SOURCES[self.source]})"


def run_noise(fitted: FittedData) -> RunNoise:
    """Noise from run to run: by known errors, by seeds where there are enough, or by residuals.

    Of a linear fit with few residuals it is of a normal distribution of their size.
    """
    residual, used = fitted.fit.objective.residual, fitted.used
    if fitted.errors is not None:
        return RunNoise(_normal(fitted.errors[used]), "sigma", residual)
    repeated = _between_seeds(fitted)
    if repeated is not None:
        return RunNoise(repeated.values, "seeds", residual, repeated.df)
    values = fitted.residuals[used] * fitted.inflation
    if fitted.linear and len(values) < FEW_RESIDUALS:
        values = _normal(np.array([np.sqrt(np.mean(values**2))]))
    else:
        values = _smoothed(values)
    return RunNoise(values, "residuals", residual, fitted.df_resid)


def _normal(sizes: np.ndarray) -> np.ndarray:
    """A sample of normal noise: its quantiles in the middle of equal shares, of each size."""
    from scipy.special import ndtri

    each = max(LEAST_SAMPLE // len(sizes), 1)
    if each > 1:
        quantiles = ndtri((np.arange(each) + 0.5) / each)
        return np.asarray(sizes[:, None] * (quantiles / quantiles.std())).ravel()
    # As many sizes as shares: each has one, in an order that does not follow the rows.
    shares = (np.arange(len(sizes)) + 0.5) / len(sizes)
    return np.asarray(sizes * ndtri(np.random.default_rng(0).permutation(shares)))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """A sample of the same mean square that has no gaps: each value with normal noise, shrunk.

    A fit passes close to some of its runs, a robust one through some of them, and the largest of
    few residuals is no end of a distribution.

    Source:
        Silverman 1986, Density Estimation, sections 3.4 (bandwidth) and 6.4 (variance kept).
    """
    from scipy.special import ndtri

    each = LEAST_SAMPLE // len(values)
    if each < 2:
        return values
    bandwidth = 1.06 * len(values) ** -0.2
    quantiles = ndtri((np.arange(each) + 0.5) / each)
    quantiles *= bandwidth * np.sqrt(np.mean(values**2)) / quantiles.std()
    return np.asarray((values[:, None] + quantiles) / np.hypot(1, bandwidth)).ravel()


class _Repeated(NamedTuple):
    """Residuals of repeated runs around their mean, scaled to the noise of one run."""

    values: np.ndarray
    df: int


def _between_seeds(fitted: FittedData) -> _Repeated | None:
    """Noise by repeated runs; None where there are too few."""
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
    df = len(values) - groups.ngroups
    if df < FEWEST_REPEATS:
        return None
    # Residuals about the mean of m runs have (m - 1) / m of the variance of the noise.
    several = (size > 1).to_numpy()
    inflated = (values - groups.transform("mean")) * np.sqrt(size / (size - 1).clip(lower=1))
    return _Repeated(inflated[several].to_numpy(), df)
