"""Differences between the held-out errors of laws, run by run, and how certain they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Differences", "differences", "root_mean_square"]

# From so many blocks of held-out runs on, blocks are what is independent; below, single runs are.
# The quantile of Student's t is 2.8 at five blocks, 4.3 at three and 12.7 at two.
FEWEST_BLOCKS = 5


class Differences(NamedTuple):
    """Differences of the root mean square errors of every pair of laws, with standard errors.

    Attributes:
        value: of the first minus the second, shape (laws, laws).
        se: standard error, shape (laws, laws); NaN where there is none.
        df: degrees of freedom of Student's t, shape (laws, laws).
        blocks: number of independent blocks that the held-out runs were taken as; 0 for runs.
        draws: number of draws of the training runs' noise; 0 for none.
    """

    value: np.ndarray
    se: np.ndarray
    df: np.ndarray
    blocks: int
    draws: int

    def quantile(self, level: float, compared: int) -> np.ndarray:
        """Student's t by Bonferroni for so many comparisons at once, shape (laws, laws)."""
        from scipy.stats import t

        return np.asarray(t.ppf(1 - (1 - level) / (2 * compared), self.df))

    def p_values(self, compared: int) -> np.ndarray:
        """Two-sided, multiplied by the number of comparisons, shape (laws, laws)."""
        from scipy.stats import t

        with np.errstate(invalid="ignore", divide="ignore"):
            return np.minimum(1.0, compared * 2 * t.sf(np.abs(self.value) / self.se, self.df))


def root_mean_square(errors: np.ndarray) -> np.ndarray:
    """Of the last axis."""
    return np.asarray(np.sqrt(np.mean(errors**2, axis=-1)))


def differences(
    errors: np.ndarray, owner: np.ndarray, noisy: np.ndarray | None = None
) -> Differences:
    """Paired differences of root mean square errors, R_a - R_b, and their standard errors.

    Each held-out run contributes d_i = (e_ai^2 - e_bi^2) / (R_a + R_b), and the mean of d is the
    difference itself. Its variance over runs, or over blocks of runs, is that of a mean. Where one
    fit predicts all runs, the noise of its training runs is common to them, and its variance is
    added: that of the difference over fits to training runs with other noise.

    Args:
        errors: of every law for each held-out run, shape (laws, m).
        owner: block of each, shape (m,).
        noisy: the same errors where the training runs have other noise, shape (laws, draws, m); NaN
            of a draw without a fit. None where folds have training runs of their own, so that the
            spread between blocks has their noise.

    Source:
        Diebold and Mariano 1995, J. Business and Economic Statistics 13(3) (the mean of loss
        differentials). Satterthwaite 1946, Biometrics Bulletin 2(6) (degrees of freedom of a sum).
    """
    size = root_mean_square(errors)
    value = size[:, None] - size[None, :]
    sums = size[:, None] + size[None, :]
    squares = errors**2
    with np.errstate(invalid="ignore", divide="ignore"):
        single = (squares[:, None] - squares[None, :]) / sums[..., None]
    blocks = len(np.unique(owner))
    clustered = blocks >= FEWEST_BLOCKS or noisy is None
    units = np.unique(owner, return_inverse=True)[1] if clustered else np.arange(len(owner))
    tested, count = _variance_of_mean(single - value[..., None], units)
    freedom = np.full(value.shape, max(count - 1, 0), dtype=np.float64)
    trained, draws = np.zeros_like(value), 0
    if noisy is not None:
        trained, draws = _variance_over_draws(noisy)
        whole = tested + trained
        with np.errstate(invalid="ignore", divide="ignore"):
            freedom = whole**2 / (tested**2 / max(count - 1, 1) + trained**2 / max(draws - 1, 1))
    variance = tested + trained
    np.fill_diagonal(variance, 0.0)
    return Differences(value, np.sqrt(variance), freedom, blocks if clustered else 0, draws)


def _variance_of_mean(centred: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, int]:
    """Variance of the mean of values that are independent between units, and their number."""
    count, m = int(units.max()) + 1, centred.shape[-1]
    if count < 2:
        return np.full(centred.shape[:-1], np.nan), count
    sums = centred @ np.eye(count)[units]
    return count / (count - 1) * np.sum(sums**2, axis=-1) / m**2, count


def _variance_over_draws(noisy: np.ndarray) -> tuple[np.ndarray, int]:
    """Variance of the differences over draws, and the number of draws that have fits."""
    size = root_mean_square(noisy)
    size = size[:, np.isfinite(size).all(axis=0)]
    draws = size.shape[1]
    if draws < 2:
        return np.full((len(size), len(size)), np.nan), draws
    return np.var(size[:, None] - size[None, :], axis=-1, ddof=1), draws
