"""Power laws in one column, whatever the column counts."""

from __future__ import annotations

from typing import Any

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Exponent, Offset, Positive

__all__ = ["power", "power_offset"]


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
    off.
    """
    return E + A * x**-alpha
