"""The general product law: two powers that multiply, above a floor."""

from __future__ import annotations

from typing import Annotated, Any

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Offset, Positive

__all__ = ["power_product"]


@law(
    source="Zhang et al. 2024, arXiv 2402.17193, multiplicative joint law",
    latex=r"L(X, D) = E + \frac{A}{X^\alpha D^\beta}",
    also_known_as=[
        "joint_finetuning",
        "NMT encoder/decoder sizes (2109.07740)",
        "visual tokens of VLMs (2411.03312)",
    ],
)
def power_product(
    X: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.005, 2.0)],
    beta: Annotated[Exponent, Bounds(0.005, 2.0)],
) -> Any:
    """L(X, D) = E + A X^-alpha D^-beta

    Two sizes whose powers multiply: each shrinks what the other leaves of the reducible loss.

    A straight plane in logarithms above the floor. In the additive law one size alone leaves a
    loss that the other cannot remove; here either of them alone reaches the floor.

    Args:
        X: one size, any positive quantity, as parameters of an encoder or of the whole model,
            experts, tokens of pretraining; name its column, as ``X="encoder_params"``.
        D: the other, any positive quantity, as fine-tuning tokens, visual tokens or parameters of a
            decoder; name its column, as ``D="decoder_params"``.
        E: irreducible loss; 0.6 to 1 in fine-tuning for translation.
        A: reducible loss at X = D = 1; 2e1 to 1e5 there, correlated with both exponents.
        alpha: exponent of X; there 0.31 to 0.52 for model size, 0.07 to 0.21 for pretraining data.
        beta: exponent of D; for fine-tuning tokens there 0.09 to 0.15 in full tuning, 0.015 to 0.08
            for prompts and LoRA.

    In fine-tuning, the authors share E and beta among the laws of one task in model size, in
    pretraining data and in adapter size. Two methods of one E are equal at D = (A1 / A2 X^(alpha2 -
    alpha1))^(1 / (beta1 - beta2)). Small exponents and E trade off.
    """
    return E + A * X**-alpha * D**-beta
