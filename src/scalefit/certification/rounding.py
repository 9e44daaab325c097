"""Bounds on what float64 rounding does to the arithmetic of a proof."""

from __future__ import annotations

import numpy as np

__all__ = ["EPSILON", "FUNCTION_ULPS", "TINY", "gamma", "lower_sum"]

EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).smallest_subnormal)

# Added outward to numpy's elementary functions, which promise 4 units in the last place.
FUNCTION_ULPS = 8


def gamma(terms: int) -> float:
    """Bound on the relative rounding error of a sum of so many products, in any order.

    gamma_n = n eps / (1 - n eps), with room for a few operations beside the sum.

    Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    return 1.01 * (terms + 8) * EPSILON


def lower_sum(terms: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Lower bound of sums over the last axis.

    Args:
        terms: each known to 16 roundings of its size, (..., rows).
        sizes: sum of the sizes of the terms, (...).
    """
    return terms.sum(axis=-1) - gamma(terms.shape[-1] + 16) * sizes
