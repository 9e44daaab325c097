"""Whether residuals follow a smooth surface of the columns that the law does not describe."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from scalefit.objective import robust_size
from scalefit.validation.linearised import FAR_OFF, Linearised
from scalefit.validation.residual_trends import ALPHA, centred_columns

__all__ = ["SmoothPattern", "smooth_pattern"]

# Degree of the polynomial: a cubic bends twice, as misfits of a power law do.
DEGREE = 3

# Share of the variance that a pattern explains from which it matters: without it the spread of the
# residuals would be 13 % less. Of public tables under the Chinchilla law it is 0.43 (Gadre), 0.49
# (Chinchilla), 0.79 (Llama 3) and 0.98 (Farseer); of simulated ones 0.02 on average.
LEAST_SHARE = 0.25

# Directions of the polynomial below this share of their length are imitated by the law.
LEAST_FREE = 1e-8


class SmoothPattern(NamedTuple):
    """A polynomial in the logarithms of the columns, added to the law to first order.

    Attributes:
        share: of the variance of the residuals that it explains, adjusted for its terms: zero on
            average where the law is right.
        terms: how many there are that the law cannot imitate.
        p: probability of so much, or more, if the law is right and runs are independent.
        flagged: whether that is improbable, and the share matters.
    """

    share: float
    terms: int
    p: float
    flagged: bool


def smooth_pattern(near: Linearised, columns: Mapping[str, np.ndarray], df: int) -> SmoothPattern:
    """The share of the residuals' variance that a smooth surface explains.

    An F test of a cubic polynomial added to the linearised law, on residuals that are clipped at
    3.5 robust standard deviations. Unlike the trends it takes runs as independent.

    Args:
        near: the fit near its optimum.
        columns: the law's columns, values of the runs that count, each of shape (rows,).
        df: residual degrees of freedom of the fit.

    Source:
        Ramsey 1969, J. R. Stat. Soc. B 31(2) (powers added to a regression).
    """
    from scipy.stats import f

    root = np.sqrt(near.weight)
    limit = FAR_OFF * robust_size(near.residuals, len(near.residuals) - df)
    values = root * np.clip(near.residuals, -limit, limit)
    law = _basis(root[:, None] * near.jacobian)
    rest = values - law @ (law.T @ values)
    centred = centred_columns(columns, near.weight)
    scaled = [z / np.abs(z).max() for z, _ in centred.values()]
    powers = [
        root * np.prod([scaled[i] for i in chosen], axis=0)
        for degree in range(1, DEGREE + 1)
        for chosen in combinations_with_replacement(range(len(scaled)), degree)
        # Of more than two columns each by itself.
        if len(scaled) <= 2 or len(set(chosen)) == 1
    ]
    if not powers:
        return SmoothPattern(np.nan, 0, np.nan, False)
    added = np.column_stack(powers)
    added = added / np.linalg.norm(added, axis=0)
    added = _basis(added - law @ (law.T @ added), LEAST_FREE)
    terms = added.shape[1]
    left = len(values) - law.shape[1] - terms
    if left < 1 or terms < 1:
        return SmoothPattern(np.nan, terms, np.nan, False)
    whole = float(rest @ rest)
    unexplained = whole - float(np.sum((added.T @ rest) ** 2))
    share = 1 - (unexplained / left) / (whole / (left + terms))
    p = float(f.sf((whole - unexplained) / terms / (unexplained / left), terms, left))
    return SmoothPattern(share, terms, p, bool(p < ALPHA and share > LEAST_SHARE))


def _basis(columns: np.ndarray, least: float = 1e-12) -> np.ndarray:
    """An orthonormal basis of columns, without directions that are lost to rounding."""
    size = np.linalg.norm(columns, axis=0)
    scaled = columns / np.where(size > 0, size, 1.0) if least < LEAST_FREE else columns
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(left[:, sizes > least])
