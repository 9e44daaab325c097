"""Limited data: what tokens seen again, and parameters beyond the data, are worth.

D counts tokens with repetitions, U unique ones at hand, of which a run sees U_D = min(U, D): it
does not know of others. Runs of a single epoch have U_D = D.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.factors import stretched
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    Coefficient,
    Exponent,
    Fraction,
    Kind,
    Offset,
    Positive,
)

__all__ = [
    "data_constrained",
    "repeated_epochs",
    "repeated_tokens",
    "repetition_penalty",
    "saturating_epochs",
]

Decay = Annotated[jax.Array, Kind("repetitions", 0.5, 1e3, spacing="log")]
# U_N has a power of their ratio, which would overflow beyond.
Power = Annotated[Exponent, Bounds(0.02, 2.0)]
Steepness = Annotated[Exponent, Bounds(0.05, 3.0)]
# A relative difference of two columns of tokens that is no repetition.
ROUNDED = 1e-9
Epochs = Annotated[jax.Array, Kind("epochs", 0.1, 1e5, spacing="log")]


@law(
    source="Muennighoff et al. 2023, arXiv 2305.16264, decay of repeated data alone",
    latex=(
        r"L(N, D, U) = E + \frac{A}{N^\alpha} + \frac{B}{D'^\beta},\quad"
        r" D' = U_D + U_D R_D \left(1 - e^{-(D/U_D - 1)/R_D}\right),\quad U_D = \min(U, D)"
    ),
    also_known_as=[
        "effective data of repeated epochs",
    ],
)
def repeated_tokens(
    N: Positive,
    D: Positive,
    U: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    R_D: Decay,
) -> Any:
    """L(N, D, U) = E + A N^-alpha + B D'^-beta, D' = U + U R_D (1 - exp(-(D/U - 1) / R_D))

    Repeated data: each further epoch is worth less, in effective tokens D'.

    U is min(U, D): where there are more unique tokens than the run sees, it is Chinchilla.

    Args:
        N: model parameters, count.
        D: training tokens with repetitions, count.
        U: unique training tokens at hand, count; above D, a run sees D of them.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        alpha: model exponent.
        beta: data exponent.
        R_D: repetitions after which a further one is worth 1/e of the first; 2.9 on the 182 runs of
            the paper with the rest of the law frozen, 15.4 where excess parameters decay too.

    R_D is identified only by runs with several epochs; a table without any is refused, and
    ``chinchilla`` is the law for it.
    """
    seen = jnp.minimum(U, D)
    return E + A * N**-alpha + B * stretched(seen, D / seen - 1, R_D) ** -beta


@law(
    source="Muennighoff et al. 2023, arXiv 2305.16264, effective data and effective parameters",
    latex=(
        r"L(N, D, U) = E + \frac{A}{N'^\alpha} + \frac{B}{D'^\beta},\quad"
        r" X' = U_X + U_X R_X \left(1 - e^{-(X/U_X - 1)/R_X}\right),\quad U_D = \min(U, D)"
    ),
)
def data_constrained(
    N: Positive,
    D: Positive,
    U: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Power,
    beta: Power,
    N_1: Annotated[jax.Array, Kind("size", 1e7, 1e11, spacing="log")],
    R_D: Decay,
    R_N: Decay,
) -> Any:
    """L(N, D, U) = E + A N'^-alpha + B D'^-beta, X' = U_X + U_X R_X (1 - exp(-(X/U_X - 1) / R_X))

    Limited data: repeated tokens and excess parameters are worth less and less.

    U_D = min(U, D); U_N = min(N, N_1 (U_D / 1e10)^(beta / alpha)) is the size that is
    compute-optimal for U_D tokens, beyond which parameters are in excess. Where there are more
    unique tokens than the run sees and N is no larger than that, it is Chinchilla.

    Args:
        N: model parameters, count.
        D: training tokens with repetitions, count.
        U: unique training tokens at hand, count; above D, a run sees D of them.
        E: irreducible loss; 1.869 in the paper.
        A: size of the finite-model term; 521.
        B: size of the finite-data term; 1488.
        alpha: model exponent; 0.353, tied to beta.
        beta: data exponent; 0.353.
        N_1: size that is compute-optimal for 1e10 tokens; 5.1e8. In the paper it follows from
            single-epoch runs, G (1e10 G)^(beta / alpha) with G = (alpha A / (beta B))^(1 / (alpha +
            beta)) = 0.2258. Fix it: the law has a corner in it.
        R_D: repetitions after which a further one is worth 1/e of the first; 15.4.
        R_N: multiples of U_N after which a further one is worth 1/e of the first; 5.3.

    The authors fit E, A, B, alpha = beta on single-epoch runs, then R_D and R_N alone. On their 182
    runs that pair is a flat valley with several minima: the published one is not the lowest, and
    from R_D = 14 to 300 the objective changes by 0.2 %. Neither number is identified alone; compare
    predictions.
    """
    seen = jnp.minimum(U, D)
    optimal = jnp.minimum(N, N_1 * (seen / 1e10) ** (beta / alpha))
    parameters = stretched(optimal, N / optimal - 1, R_N)
    return E + A * parameters**-alpha + B * stretched(seen, D / seen - 1, R_D) ** -beta


@law(
    source="MuPT, Qu et al. 2024, arXiv 2404.06393, eq. 2, without its hinge for overfitting",
    latex=(
        r"L(N, D, U) = E + \frac{A}{N^\alpha} + \frac{B}{{D''}^\beta}"
        r" + \frac{d}{N^\alpha {D''}^\beta},\quad D'' = U_D \frac{1 - k^{D/U_D}}{1 - k},\quad"
        r" U_D = \min(U, D)"
    ),
)
def repeated_epochs(
    N: Positive,
    D: Positive,
    U: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    d: Coefficient,
    alpha: Exponent,
    beta: Exponent,
    k: Annotated[Fraction, Bounds(0.3, 0.999)],
) -> Any:
    """L = E + A N^-alpha + B D''^-beta + d N^-alpha D''^-beta, D'' = U (1 - k^(D/U)) / (1 - k)

    Repeated data, geometric: each epoch is worth k times the one before; N and D interact.

    U is min(U, D), so that the first epoch counts in full from its first token.

    Args:
        N: model parameters, count.
        D: training tokens with repetitions, count.
        U: unique training tokens at hand, count; above D, a run sees D of them.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        d: size of the interaction, of either sign; no interaction at 0.
        alpha: model exponent.
        beta: data exponent.
        k: worth of an epoch relative to the one before; towards 1 repetition costs nothing. The
            paper prints no values.

    A, B and d share their exponents with the interaction and are correlated strongly: compare
    surfaces.
    """
    unique = jnp.minimum(U, D)
    seen = unique * jnp.expm1(D / unique * jnp.log(k)) / (k - 1)
    model, data = N**-alpha, seen**-beta
    return E + A * model + B * data + d * model * data


@law(
    source="Lovelace et al. 2026, arXiv 2605.01640, overfitting penalty; read in a review of it",
    latex=(
        r"L(N, D, U) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}"
        r" + P \left(\frac{D}{U_D} - 1\right)^\delta \left(\frac{N}{U_D}\right)^\kappa,\quad"
        r" U_D = \min(U, D)"
    ),
)
def repetition_penalty(
    N: Positive,
    D: Positive,
    U: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    P: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    delta: Steepness,
    kappa: Steepness,
) -> Any:
    """L(N, D, U) = E + A N^-alpha + B D^-beta + P (D/U - 1)^delta (N/U)^kappa

    Repeated data that do harm: the loss rises again once a large model has seen few tokens often.

    U is min(U, D): runs that repeat nothing have no penalty, and the law is Chinchilla. Of the laws
    of repeated data it is the one whose loss is not monotone in D or N: there is a number of epochs
    beyond which more of them are harmful, and it is smaller for larger models.

    Args:
        N: model parameters, count.
        D: training tokens with repetitions, count.
        U: unique training tokens at hand, count; above D, a run sees D of them.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        P: penalty of one repetition of as many tokens as there are parameters, in the unit of the
            loss; 0.05 on the runs of Muennighoff et al. Strong weight decay lowers it.
        alpha: model exponent.
        beta: data exponent.
        delta: exponent of the repetitions; 0.4 on those runs.
        kappa: exponent of parameters per unique token; 0.7 there. The paper has a form with one
            coefficient alone, ``fixed={"delta": 1, "kappa": 1}``; ``tied=[("delta", "kappa")]``
            makes it a power of N (D - U) / U^2.

    P, delta and kappa are identified by runs that overfit, of several sizes; where none does, they
    trade off against B and beta.
    """
    unique = jnp.minimum(U, D)
    # The power of no repetition has no slope, and that of a rounding error is no small number.
    repeats = D > unique * (1 + ROUNDED)
    again = jnp.where(repeats, D / unique - 1, 1.0)
    harm = jnp.where(repeats, again**delta * (N / unique) ** kappa, 0.0)
    return E + A * N**-alpha + B * D**-beta + P * harm


@law(
    source="law 4 of data_con in the code of ScaleBench, arXiv 2604.22753, with R at N = 1e9",
    latex=(
        r"L(N, D, U) = E + \frac{A}{N^\alpha} + \frac{B}{D'^\beta},\quad"
        r" \frac{1}{D'} = \frac{1}{D} + \frac{1}{R\,(N / 10^9)^d\,U_D},\quad U_D = \min(U, D)"
    ),
)
def saturating_epochs(
    N: Positive,
    D: Positive,
    U: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    R: Epochs,
    d: Annotated[Coefficient, Bounds(-2.0, 2.0)],
) -> Any:
    """L(N, D, U) = E + A N^-alpha + B D'^-beta, D' = D / (1 + D / (R (N / 1e9)^d U))

    Repeated data that are worth so many epochs at most, and fewer of them to a larger model.

    U is min(U, D). Unlike in the other laws of repeated data, the first epoch counts a little less
    than in full, D / (1 + 1 / R), and the most that repetition can give depends on the size.

    Args:
        N: model parameters, count.
        D: training tokens with repetitions, count.
        U: unique training tokens at hand, count; above D, a run sees D of them.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        alpha: model exponent.
        beta: data exponent.
        R: epochs that endless repetition is worth to a model of 1e9 parameters.
        d: power with which that number grows with the model, of either sign; below zero where
            larger models use repetitions worse.

    R is identified by runs of more epochs than that, d by such runs of several sizes.
    """
    worth = R * (N / 1e9) ** d * jnp.minimum(U, D)
    return E + A * N**-alpha + B * (D / (1 + D / worth)) ** -beta
