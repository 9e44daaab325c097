"""Pieces that several laws share: how structure multiplies parameters, tokens or experts."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

__all__ = ["precision_factor", "saturating_experts", "stretched"]


def precision_factor(P: Any, gamma: Any, n: Any = 0.0) -> Any:
    """1 - exp(n - P / gamma): share of the parameters that P bits of precision leave at work.

    Args:
        P: precision, bits.
        gamma: bits over which the share saturates.
        n: offset; the share is zero at P = n gamma.

    Source:
        Kumar et al. 2024, arXiv 2411.04330, appendix K (the offset is dropped in the main text).
    """
    return -jnp.expm1(n - P / gamma)


def saturating_experts(experts: Any, start: Any, most: Any) -> Any:
    """Effective number of experts, from ``start`` at one expert to ``most`` at infinitely many.

    1 / Ehat = 1 / (E - 1 + 1 / (1 / start - 1 / most)) + 1 / most

    Args:
        experts: experts per routed layer, count; 1 is a dense model.
        start: effective number at one expert.
        most: effective number at infinitely many.

    Source:
        Clark et al. 2022, arXiv 2202.01169.
    """
    return 1 / (1 / (experts - 1 + 1 / (1 / start - 1 / most)) + 1 / most)


def stretched(unique: Any, excess: Any, decay: Any) -> Any:
    """U + U R* (1 - exp(-R / R*)): what U of something is worth with R-fold repetition.

    Args:
        unique: amount without repetition, any unit.
        excess: repetitions R beyond the first, a number.
        decay: R*, repetitions after which a further one is worth 1/e of the first.

    Source:
        Muennighoff et al. 2023, arXiv 2305.16264.
    """
    return unique * (1 - decay * jnp.expm1(-excess / decay))
