"""Reinforcement learning: reward over compute."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from scalefit.laws.base import law
from scalefit.laws.kinds import Bounds, Exponent, Fraction, scale_of

__all__ = ["reward_of_compute"]


@law(
    source="Khatri et al. 2025 (ScaleRL), arXiv 2510.13786, sigmoidal law",
    response="reward",
    latex=r"R(C) = R_0 + \frac{A - R_0}{1 + (C_{mid} / C)^B}",
)
def reward_of_compute(
    C: Any,
    *,
    R0: Fraction,
    A: Fraction,
    B: Annotated[Exponent, Bounds(0.2, 6.0)],
    C_mid: Annotated[jax.Array, scale_of("C")],
) -> Any:
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
