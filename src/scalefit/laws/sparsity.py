"""Sparse weights, sparse mixtures of experts, and compressed representations.

``sparsity`` is the share that is left out: of weights, those that are zero; of experts, those that
a token does not reach.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Domain, Exponent, Offset, Positive

__all__ = ["capacity", "compressed", "moe_sparsity", "weight_sparsity"]

Sparsity = Annotated[Any, Domain(0.0, 1.0, below=True)]
Error = Annotated[Any, Domain(0.0, 1.0, above=True, below=True)]


@law(
    source="Abnar et al. 2025, arXiv 2501.12370, L(N, D, S)",
    latex=(
        r"L(N, D, S) = \frac{a}{N^\alpha} + \frac{b}{D^\beta} + \frac{c}{(1 - S)^\lambda} "
        r"+ \frac{d}{(1 - S)^\delta N^\gamma} + e"
    ),
)
def moe_sparsity(
    N: Positive,
    D: Positive,
    sparsity: Sparsity,
    *,
    e: Offset,
    a: Amplitude,
    b: Amplitude,
    c: Amplitude,
    d: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.05, 1.2)],
    beta: Annotated[Exponent, Bounds(0.05, 1.2)],
    lam: Annotated[Coefficient, Bounds(-1.0, 1.0)],
    delta: Annotated[Exponent, Bounds(0.01, 1.0)],
    gamma: Annotated[Exponent, Bounds(0.01, 1.0)],
) -> Any:
    """L(N, D, S) = a / N^alpha + b / D^beta + c / (1 - S)^lambda + d / ((1 - S)^delta N^gamma) + e

    Mixtures of experts of every sparsity, by their total parameters.

    The coefficients quoted here were taken from two independent restatements, not from the paper.

    Args:
        N: total parameters, count.
        D: training tokens, count.
        sparsity: share of experts that a token does not reach, 0 (dense) to below 1.
        e: irreducible loss; 0.94.
        a: size of the model term; 16612.
        b: size of the data term; 5456.
        c: size of the sparsity term; 0.46. With lambda near zero it is a constant: only c + e is
            then identified.
        d: size of the interaction of sparsity and N; 17.3.
        alpha: model exponent; 0.60.
        beta: data exponent; 0.40.
        lam: lambda, exponent of the sparsity term; -0.17.
        delta: exponent of 1 - S in the interaction; 0.16.
        gamma: exponent of N in the interaction; 0.16.

    Of c, e and a only the surface that they make together is identified by designs like the
    paper's: compare predictions.
    """
    dense = 1 - sparsity
    interaction = d * dense**-delta * N**-gamma
    return a * N**-alpha + b * D**-beta + c * dense**-lam + interaction + e


@law(
    source="Frantar et al. 2023, arXiv 2309.08520, L(S, N, D)",
    latex=(r"L(N, D, S) = \frac{a_S (1 - S)^{b_S} + c_S}{N^{b_N}} + \frac{B}{D^{b_D}} + c"),
)
def weight_sparsity(
    N: Positive,
    D: Positive,
    sparsity: Sparsity,
    *,
    c: Offset,
    a_S: Amplitude,
    c_S: Amplitude,
    B: Amplitude,
    b_S: Annotated[Exponent, Bounds(0.1, 2.0)],
    b_N: Annotated[Exponent, Bounds(0.05, 1.2)],
    b_D: Annotated[Exponent, Bounds(0.05, 1.2)],
) -> Any:
    """L(N, D, S) = (a_S (1 - S)^b_S + c_S) N^-b_N + B D^-b_D + c

    Models with weights pruned to zero, by the parameters that are left.

    The paper writes the data term (a_D / D)^b_D: B is a_D^b_D.

    Args:
        N: non-zero parameters, count.
        D: training tokens, count.
        sparsity: share of weights that are zero, 0 (dense) to below 1.
        c: irreducible loss; 0.65 for T5 on C4.
        a_S: what dense models lose to sparse ones of as many non-zero parameters; 17.
        c_S: size of the model term at full sparsity; 45.
        B: size of the data term; 62 (a_D is 6.9e8).
        b_S: exponent of density; 0.72.
        b_N: exponent of N; 0.245.
        b_D: exponent of D; 0.20.
    """
    return (a_S * (1 - sparsity) ** b_S + c_S) * N**-b_N + B * D**-b_D + c


def capacity(gmse: Any, F: Any, C: Any) -> Any:
    """tanh(F log_1/4 GMSE)^C: share of the parameters that a compressed representation is worth.

    It is 1 for a representation without error and 0 for one that says nothing.

    Args:
        gmse: mean square error of the representation on standard normal data, between 0 and 1.
        F: how fast capacity comes with precision.
        C: how slowly it sets in.

    Source:
        Panferov et al. 2025, arXiv 2506.01863, eq. 3 with unit limit.
    """
    return jnp.tanh(F * jnp.log(gmse) / jnp.log(0.25)) ** C


@law(
    source="Panferov et al. 2025, arXiv 2506.01863, eq. 3 in the Chinchilla law",
    latex=(
        r"L(N, D) = E + \frac{A}{(N \rho)^\alpha} + \frac{B}{D^\beta},\quad "
        r"\rho = \tanh^C (F \log_{1/4} \mathrm{GMSE})"
    ),
)
def compressed(
    N: Positive,
    D: Positive,
    gmse: Error,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    F: Annotated[Exponent, Bounds(0.1, 2.0)],
    C: Annotated[Exponent, Bounds(0.5, 6.0)],
) -> Any:
    """L(N, D, GMSE) = E + A (N rho)^-alpha + B D^-beta, rho = tanh(F log_1/4 GMSE)^C

    Compressed formats, each described by its error on normal data, so that new ones are predicted.

    The upper limit of rho, a third parameter in the paper, is one here.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        gmse: mean square error of the format on standard normal data, above 0 and below 1; optimal
            uniform quantizers of 1 to 4 bits have 0.363, 0.119, 0.0374, 0.0115. Give runs without
            compression a number like 1e-12, not 0.
        E: irreducible loss.
        A: size of the model term.
        B: size of the data term.
        alpha: model exponent.
        beta: data exponent.
        F: how fast capacity comes with precision; about 0.46 for weights alone.
        C: how slowly it sets in; about 1.8 there.
    """
    return E + A * (N * capacity(gmse, F, C)) ** -alpha + B * D**-beta
