"""Power laws in one column, whatever the column counts, and the logarithm between them."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Offset, Positive

__all__ = ["logarithmic", "power", "power_offset", "signed_power"]


@law(
    source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.1 to 1.3",
    latex=r"L(x) = \frac{A}{x^\alpha}",
)
def power(x: Positive, *, A: Amplitude, alpha: Exponent) -> Any:
    """L(x) = A x^-alpha

    A straight line in logarithms: loss by model size, tokens, compute or steps alone.

    Kaplan et al. write (x_c / x)^alpha: A is x_c^alpha, x_c is A^(1 / alpha).

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``.
        A: loss at x = 1. Strongly correlated with alpha.
        alpha: exponent; Kaplan et al. find 0.076 in parameters, 0.095 in tokens and 0.050 in
            compute, in nats per token of WebText2.
    """
    return A * x**-alpha


@law(
    source="Henighan et al. 2020, arXiv 2010.14701, eq. 1.1",
    latex=r"L(x) = E + \frac{A}{x^\alpha}",
)
def power_offset(x: Positive, *, E: Offset, A: Amplitude, alpha: Exponent) -> Any:
    """L(x) = E + A x^-alpha

    Power law above a floor: loss by model size, tokens, compute or steps alone.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``.
        E: loss at infinite x, with everything else as it is.
        A: reducible loss at x = 1. Strongly correlated with alpha.
        alpha: exponent.

    A floor is identified only where the curve bends towards it: over one decade, E and alpha trade
    off. A response that rises and levels off, as an accuracy, has A below zero:
    ``bounds={"A": (-np.inf, 0)}``.
    """
    return E + A * x**-alpha


@law(
    source="allometric law, as for optimal hyperparameters by DeepSeek-AI 2024, arXiv 2401.02954",
    latex=r"y(x) = A x^b",
    also_known_as=[
        "AdamW timescale over tokens per parameter (2505.13738)",
        "critical batch size over loss (2001.08361)",
    ],
)
def signed_power(
    x: Positive, *, A: Coefficient, b: Annotated[Coefficient, Bounds(-5.0, 5.0)]
) -> Any:
    """y(x) = A x^b

    A power of either sign: what grows with x, or falls; a straight line in logarithms.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``. Name that of the
            response as ``loss="accuracy"``.
        A: response at x = 1, of either sign. Strongly correlated with b.
        b: exponent of either sign; :data:`power` has alpha = -b. DeepSeek-AI find 0.3271 for the
            optimal batch size over compute, and -0.1250 for the optimal learning rate.
    """
    return A * x**b


@law(
    source="linear regression on ln x, as for accuracy over compute by Ruan et al. 2024, arXiv "
    "2405.10938, before its sigmoid",
    latex=r"y(x) = a + b \ln x",
)
def logarithmic(x: Positive, *, a: Coefficient, b: Coefficient) -> Any:
    """y(x) = a + b ln x

    As much more, or less, with each factor of x: the limit of a power law of small exponent.

    Linear in both. Fit raw residuals where the response may be zero or negative.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``. Name that of the
            response as ``loss="accuracy"``.
        a: response at x = 1, which may lie far outside the table.
        b: change for each e-fold of x, of either sign; 2.303 b for each decade.

    It has no limit: an accuracy along it passes 1.
    """
    return a + b * jnp.log(x)
