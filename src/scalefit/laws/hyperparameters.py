"""Optimal learning rate and batch size over model and data size.

Fit them to the best run of each (N, D), with squared log residuals (``robust="none"``): that is
the linear regression of the logarithms. A coarse grid of hyperparameters leaves its steps in the
answer.
"""

from __future__ import annotations

from typing import Annotated

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Positive

__all__ = ["optimal_batch_size", "optimal_learning_rate"]

Slope = Annotated[Coefficient, Bounds(-2.0, 2.0)]


@law(
    source="Li et al. 2025 (Step Law), arXiv 2503.04715, optimal learning rate",
    response="lr",
    latex=r"\mathrm{lr}(N, D) = c N^a D^b",
)
def optimal_learning_rate(
    N: Positive, D: Positive, *, c: Amplitude, a: Slope, b: Slope
) -> Positive:
    """lr(N, D) = c N^a D^b

    The peak learning rate that gives the lowest loss at a size and a number of tokens.

    Args:
        N: parameters without embeddings, count.
        D: training tokens, count.
        c: learning rate at N = D = 1; 1.79 in the paper. Strongly correlated with both slopes.
        a: slope in N; -0.713.
        b: slope in D; 0.307.
    """
    return c * N**a * D**b


@law(
    source="Li et al. 2025 (Step Law), arXiv 2503.04715, optimal batch size",
    response="batch_size",
    latex=r"B(D) = c D^b",
)
def optimal_batch_size(D: Positive, *, c: Amplitude, b: Slope) -> Positive:
    """B(D) = c D^b

    The batch size that gives the lowest loss at a number of tokens.

    Args:
        D: training tokens, count.
        c: batch size at D = 1; 0.58 in the paper, with batches counted in tokens.
        b: slope in D; 0.571.
    """
    return c * D**b
