"""Fine-tuning: loss over the size of the fine-tuning set, of the model, or of both."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Offset, Positive, scale_of

__all__ = ["joint_finetuning", "rectified_finetuning"]


@law(
    source="Lin et al. 2024, arXiv 2402.02314, rectified scaling law",
    latex=r"L(D) = E + \frac{B}{1 + (D / D_0)^\beta}",
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


@law(
    source="Zhang et al. 2024, arXiv 2402.17193, multiplicative joint law",
    latex=r"L(X, D) = E + \frac{A}{X^\alpha D^\beta}",
)
def joint_finetuning(
    X: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.005, 2.0)],
    beta: Annotated[Exponent, Bounds(0.005, 2.0)],
) -> Any:
    """L(X, D) = E + A X^-alpha D^-beta

    Fine-tuning loss over examples and one other size: their powers multiply.

    Args:
        X: size of the model, of its pretraining data, or of the adapter, count.
        D: fine-tuning tokens, count.
        E: irreducible loss of the task; 0.6 to 1 in translation.
        A: size of the reducible loss; 2e1 to 1e5, correlated with both exponents.
        alpha: exponent of X; 0.31 to 0.52 for model size in translation, 0.07 to 0.21 for
            pretraining data.
        beta: exponent of fine-tuning data; 0.09 to 0.15 for full tuning, 0.015 to 0.08 for prompts
            and LoRA.

    The authors share E and beta among the laws of one task in model size, in pretraining data and
    in adapter size. Two methods of one E are equal at D = (A1 / A2 X^(alpha2 - alpha1))^(1 / (beta1
    - beta2)).
    """
    return E + A * X**-alpha * D**-beta
