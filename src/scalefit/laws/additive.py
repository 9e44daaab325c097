"""The additive law of Hoffmann et al. (Chinchilla) and its smaller forms.

N counts model parameters, D counts training tokens, both raw; the loss is in nats per token (or
whatever unit the table uses). A carries the unit of loss times N^alpha, B of loss times D^beta.
"""

from __future__ import annotations

from typing import Any

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Exponent, Offset

__all__ = ["chinchilla", "chinchilla_d", "chinchilla_n", "chinchilla_tied"]


@law(
    source="Hoffmann et al. 2022, arXiv 2203.15556, eq. 2 and Approach 3",
    latex=r"L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}",
)
def chinchilla(
    N: Any,
    D: Any,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
) -> Any:
    """L(N, D) = E + A N^-alpha + B D^-beta

    The additive law of pre-training: a term for finite models, one for finite data, and a floor.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        E: irreducible loss, the entropy of the text under a perfect model; 1.7 to 1.9 nats per
            token on web text.
        A: size of the finite-model term. Strongly correlated with alpha: compare surfaces or
            exponents across fits, not A.
        B: size of the finite-data term, correlated with beta in the same way.
        alpha: model exponent, 0.2 to 0.5 (up to 0.75 on small models).
        beta: data exponent, 0.2 to 0.5.

    Not identifiable from runs with one tokens-per-parameter ratio, one N or one D.
    """
    return E + A * N**-alpha + B * D**-beta


@law(
    source="Chinchilla with alpha = beta; used by Muennighoff et al. 2023, arXiv 2305.16264",
    latex=r"L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\alpha}",
)
def chinchilla_tied(
    N: Any, D: Any, *, E: Offset, A: Amplitude, B: Amplitude, alpha: Exponent
) -> Any:
    """L(N, D) = E + A N^-alpha + B D^-alpha

    One exponent for model and data, so that the optimal N and D grow alike and D/N is constant.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        alpha: common exponent.
    """
    return E + A * N**-alpha + B * D**-alpha


@law(
    source="power law with a constant, Henighan et al. 2020, arXiv 2010.14701, in N",
    latex=r"L(N) = E + \frac{A}{N^\alpha}",
)
def chinchilla_n(N: Any, *, E: Offset, A: Amplitude, alpha: Exponent) -> Any:
    """L(N) = E + A N^-alpha

    Runs at one number of tokens: what is left of Chinchilla when D does not vary.

    E then contains the data term of that D.

    Args:
        N: model parameters, count.
        E: loss of an infinitely large model on that data.
        A: size of the finite-model term.
        alpha: model exponent.
    """
    return E + A * N**-alpha


@law(
    source="power law with a constant, Henighan et al. 2020, arXiv 2010.14701, in D",
    latex=r"L(D) = E + \frac{B}{D^\beta}",
)
def chinchilla_d(D: Any, *, E: Offset, B: Amplitude, beta: Exponent) -> Any:
    """L(D) = E + B D^-beta

    Runs of one model size: what is left of Chinchilla when N does not vary.

    E then contains the model term of that N.

    Args:
        D: training tokens, count.
        E: loss of that model on infinitely many tokens.
        B: size of the finite-data term.
        beta: data exponent.
    """
    return E + B * D**-beta
