"""Which runs share a budget where no column names the budgets."""

from __future__ import annotations

import numpy as np

__all__ = ["SAME_BUDGET", "budget_codes"]

# Values this close, in the logarithm, are one: rounding of N, D or C, not a design. Public grids
# step by a fifth or more.
SAME_BUDGET = 0.05


def budget_codes(log_flops: np.ndarray, tolerance: float = SAME_BUDGET) -> np.ndarray:
    """Number of each run's budget, in rising order, shape (rows,).

    A new budget begins wherever the sorted logarithms leave a gap wider than the tolerance.

    Args:
        log_flops: ln C of each run, shape (rows,).
        tolerance: widest gap within a budget, in ln C.
    """
    order = np.argsort(log_flops, kind="stable")
    codes = np.empty(len(log_flops), dtype=np.intp)
    codes[order] = np.concatenate([[0], np.cumsum(np.diff(log_flops[order]) > tolerance)])
    return codes
