"""The laws of Kaplan et al. in two columns, which have no irreducible loss.

N counts parameters without embeddings; losses are in nats per token of WebText2.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Exponent, Positive, scale_of

__all__ = ["kaplan", "kaplan_steps"]


@law(
    source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5",
    latex=(
        r"L(N, D) = \left[\left(\frac{N_c}{N}\right)^{\alpha_N / \alpha_D}"
        r" + \frac{D_c}{D}\right]^{\alpha_D}"
    ),
)
def kaplan(
    N: Positive,
    D: Positive,
    *,
    N_c: Annotated[jax.Array, scale_of("N")],
    D_c: Annotated[jax.Array, scale_of("D")],
    alpha_N: Exponent,
    alpha_D: Exponent,
) -> Any:
    """L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D

    Overfitting on limited data: finite model and finite data under one outer exponent, no floor.

    Under 6ND the optimal N grows as C^(1 / (1 + alpha_N / alpha_D)).

    Args:
        N: model parameters without embeddings, count.
        D: tokens of the training set, count.
        N_c: size at which the loss of unlimited data would be 1; 6.4e13.
        D_c: tokens at which the loss of an unlimited model would be 1; 1.8e13.
        alpha_N: model exponent; 0.076.
        alpha_D: data exponent; 0.103.

    N_c and D_c lie decades outside the tables and move with their exponents: compare
    exponents or surfaces, not scales.
    """
    return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D


@law(
    source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.6",
    latex=r"L(N, S) = \frac{A}{N^{\alpha_N}} + \frac{B}{S^{\alpha_S}}",
)
def kaplan_steps(
    N: Positive, S: Positive, *, A: Amplitude, B: Amplitude, alpha_N: Exponent, alpha_S: Exponent
) -> Any:
    """L(N, S) = A N^-alpha_N + B S^-alpha_S

    Learning curves of many sizes: loss by model size and steps, no floor.

    The paper writes (N_c / N)^alpha_N + (S_c / S_min)^alpha_S: A is N_c^alpha_N, B is S_c^alpha_S.

    Args:
        N: model parameters without embeddings, count.
        S: optimizer steps at a batch far above the critical one, count.
        A: size of the finite-model term; N_c = 6.5e13.
        B: size of the unfinished-training term; S_c = 2.1e3.
        alpha_N: model exponent; 0.077.
        alpha_S: step exponent; 0.76.
    """
    return A * N**-alpha_N + B * S**-alpha_S
