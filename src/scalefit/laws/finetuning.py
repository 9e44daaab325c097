"""Fine-tuning: loss over the size of the fine-tuning set."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Offset, Positive, scale_of

__all__ = ["rectified_finetuning"]


@law(
    source="Lin et al. 2024, arXiv 2402.02314, rectified scaling law",
    latex=r"L(D) = E + \frac{B}{1 + (D / D_0)^\beta}",
    also_known_as=[
        "Hill curve of learning-curve work",
    ],
)
def rectified_finetuning(
    D: Positive,
    *,
    E: Offset,
    B: Amplitude,
    beta: Annotated[Exponent, Bounds(0.02, 3.0)],
    D0: Annotated[jax.Array, scale_of("D")],
) -> Any:
    """L(D) = E + B / (1 + (D / D0)^beta)

    Fine-tuning loss over examples: a power law with a flat start, as if some had been seen before.

    The paper writes B' / (D_l + D^beta) + E: D_l is D0^beta and B' is B D0^beta.

    Args:
        D: fine-tuning examples (or tokens), count, above zero.
        E: loss after infinitely much fine-tuning.
        B: what fine-tuning gains in all; B + E is the loss before it.
        beta: exponent of the power phase; 0.5 for GPT-2 on FLAN.
        D0: examples at which half of the gain is reached, about where the power phase begins; 7e4
            there.

    Curves that end before D0, or begin far above it, do not identify it.
    """
    return E + B / (1 + (D / D0) ** beta)
