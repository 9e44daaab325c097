"""From one loss to another: the same model on other data, or the same data under another recipe."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Kind, Offset, Positive

__all__ = ["loss_to_loss"]

# A power of zero has no derivative.
TINY = 1e-30


@law(
    source="Brandfonbrener et al. 2024, arXiv 2411.12925, shifted power law",
    latex=r"L_1 = E_1 + K (L_0 - E_0)^\kappa",
    also_known_as=[
        "LLMs on the Line (2502.12120)",
    ],
)
def loss_to_loss(
    source_loss: Positive,
    *,
    E1: Offset,
    K: Amplitude,
    kappa: Annotated[Exponent, Bounds(0.2, 3.0)],
    E0: Annotated[jax.Array, Kind("floor", 1e-3, 1.0, spacing="log", column="source_loss")],
) -> Any:
    """L1 = K (L0 - E0)^kappa + E1

    The loss on one data set from that on another, for paired runs (same N and D).

    Args:
        source_loss: L0, loss on the first data set, nats per token.
        E1: irreducible loss of the second data set.
        K: size; 0.6 to 1.1 between corpora of text.
        kappa: exponent; 0.94 to 1.10 between training sets, 1 where both losses fall alike.
        E0: irreducible loss of the first data set, below every L0. The authors take E0 and E1 from
            a Chinchilla fit of each data set: ``fixed={"E0": ...}``. Losses far above it, or a
            kappa near 1, leave it undetermined, and E1 and K with it.

    Where L0 is below E0 the loss is E1, so that an undetermined E0 ends at the smallest L0.
    """
    return E1 + K * jnp.maximum(source_loss - E0, TINY) ** kappa
