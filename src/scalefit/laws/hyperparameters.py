"""Optimal learning rate and batch size over sizes and each other; the price of large batches.

Fit them to the best run of each (N, D), with squared log residuals (``robust="none"``): that is
the linear regression of the logarithms. A coarse grid of hyperparameters leaves its steps in the
answer.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Positive, scale_of

__all__ = ["optimal_batch_size", "optimal_learning_rate", "surge_learning_rate", "tokens_of_batch"]

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
    response="batch",
    latex=r"B(D) = c D^b",
    also_known_as=["critical batch size over tokens (2505.13738, 2410.21676)"],
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


@law(
    source="Li et al. 2024 (Surge phenomenon), arXiv 2405.14578, eq. 13, read in a formal proof of "
    "the paper's theorem 3",
    response="lr",
    latex=(
        r"\mathrm{lr}(B) = \frac{2\,\mathrm{lr}_{max}}"
        r"{\sqrt{B_{noise} / B} + \sqrt{B / B_{noise}}}"
    ),
    also_known_as=["learning rate of Adam over batch size: square-root rule, peak, decline"],
)
def surge_learning_rate(
    batch: Positive,
    *,
    lr_max: Amplitude,
    B_noise: Annotated[jax.Array, scale_of("batch")],
) -> Positive:
    """lr(B) = 2 lr_max / (sqrt(B_noise / B) + sqrt(B / B_noise))

    The best learning rate of Adam over batch size: it grows as sqrt(B), peaks and falls again.

    Derived for updates by the sign of the gradient, and for small batches: the fall beyond the peak
    is beyond what the authors derive.

    Args:
        batch: B, in samples or tokens.
        lr_max: the learning rate at the peak.
        B_noise: batch size at the peak, in the unit of B; it grows as the loss falls.

    Batches all far below the peak show only lr_max / sqrt(B_noise): B_noise then ends anywhere
    above them, and lr_max with it. Batches all far above show only lr_max sqrt(B_noise).
    """
    return 2 * lr_max / (jnp.sqrt(B_noise / batch) + jnp.sqrt(batch / B_noise))


@law(
    source="McCandlish et al. 2018, arXiv 1812.06162, examples against steps to a fixed loss",
    response="D",
    latex=r"D(b) = D_{\min} (1 + \frac{b}{b_{crit}})",
    also_known_as=[
        "critical batch size (2001.08361, 2410.21676, 2505.13738)",
        "steps to a loss: S(b) = D(b) / b = S_min (1 + b_crit / b)",
    ],
)
def tokens_of_batch(
    batch: Positive, *, D_min: Amplitude, b_crit: Annotated[jax.Array, scale_of("batch")]
) -> Positive:
    """D(b) = D_min (1 + b / b_crit)

    Tokens that a fixed loss takes at a batch size: the critical batch takes twice the least.

    The steps are D / b = S_min (1 + b_crit / b) with S_min = D_min / b_crit: the least number, at
    unlimited batches. The loss is the same in every row: interpolate the curves of runs whose
    learning rate is tuned at every batch. The form was read in works that quote it.

    Args:
        batch: tokens of a batch, count.
        D_min: tokens at small batches.
        b_crit: critical batch, in the unit of ``batch``; 1e5 to 1e7 tokens, more at lower losses.

    Batches far below the critical one show D_min only, those far above it D_min / b_crit only.
    """
    return D_min * (1 + batch / b_crit)
