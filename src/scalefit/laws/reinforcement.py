"""Reinforcement learning: reward over compute, and over distance from the starting policy."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import (
    Bounds,
    Coefficient,
    Exponent,
    Fraction,
    NotNegative,
    Positive,
    Share,
    scale_of,
)

__all__ = ["overoptimization_best_of_n", "overoptimization_rl", "reward_of_compute"]


@law(
    source="Khatri et al. 2025 (ScaleRL), arXiv 2510.13786, sigmoidal law",
    response="reward",
    latex=r"R(C) = R_0 + \frac{A - R_0}{1 + (C_{mid} / C)^B}",
    also_known_as=[
        "ScaleRL sigmoid (2510.13786)",
    ],
)
def reward_of_compute(
    C: Positive,
    *,
    R0: Fraction,
    A: Fraction,
    B: Annotated[Exponent, Bounds(0.2, 6.0)],
    C_mid: Annotated[jax.Array, scale_of("C")],
) -> Share:
    """R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B)

    Reward of one reinforcement-learning run over its compute: a logistic in ln C.

    The authors fit raw residuals (``residual="raw", robust="none"``) and leave
    out the first part of a run (below 1500 GPU hours of 100000).

    Args:
        C: compute of the run, in one unit, such as GPU hours.
        R0: pass rate before training; known, so fix it.
        A: pass rate at the end; 0.645 for their largest dense run, 0.02 between seeds.
        B: steepness, called efficiency; 1.7 there.
        C_mid: compute at half of the gain, in the unit of C. Runs that end before it do not
            identify A: its error is then tens of times larger.
    """
    return R0 + (A - R0) / (1 + (C_mid / C) ** B)


@law(
    source="Gao et al. 2022, arXiv 2210.10760, best-of-n",
    response="reward",
    latex=r"R(d) = d (\alpha - \beta d)",
)
def overoptimization_best_of_n(
    distance: NotNegative, *, alpha: Coefficient, beta: Coefficient
) -> Any:
    """R(d) = d (alpha - beta d)

    True reward of the best of n answers by an imperfect reward model: it rises, then falls.

    Linear in both. Largest at d = alpha / (2 beta). The form was read in works that quote it.

    Args:
        distance: d, square root of the KL divergence from the starting policy, nats^(1/2); the best
            of n diverges by ln n - (n - 1) / n.
        alpha: gain at first, reward per distance.
        beta: what the reward model's errors take back.
    """
    return distance * (alpha - beta * distance)


@law(
    source="Gao et al. 2022, arXiv 2210.10760, reinforcement learning",
    response="reward",
    latex=r"R(d) = d (\alpha - \beta \ln d)",
)
def overoptimization_rl(distance: Positive, *, alpha: Coefficient, beta: Coefficient) -> Any:
    """R(d) = d (alpha - beta ln d)

    True reward of training against an imperfect reward model: it rises, then falls.

    Linear in both. Largest at d = exp(alpha / beta - 1). The form was read in works that quote it.

    Args:
        distance: d, square root of the KL divergence from the starting policy, above 0, nats^(1/2).
        alpha: gain at d = 1, reward per distance.
        beta: what the reward model's errors take back.
    """
    return distance * (alpha - beta * jnp.log(distance))
