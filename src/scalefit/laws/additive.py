"""The additive law of Hoffmann et al. (Chinchilla), its smaller forms and its near relations.

N counts model parameters, D counts training tokens, both raw; the loss is in nats per token (or
whatever unit the table uses). A carries the unit of loss times N^alpha, B of loss times D^beta.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Fraction, Kind, Offset, Positive

__all__ = [
    "chinchilla",
    "chinchilla_d",
    "chinchilla_n",
    "chinchilla_nonembedding",
    "chinchilla_outer",
    "chinchilla_overtrained",
    "chinchilla_tied",
]


@law(
    source="Hoffmann et al. 2022, arXiv 2203.15556, eq. 2 and Approach 3",
    latex=r"L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}",
    also_known_as=[
        "mixed-modal models, each modality (2301.03728)",
        "native multimodal models (2504.07951)",
        "replication of Approach 3 (2404.10102)",
        "training and serving a model's whole life (2401.00448)",
        "bits per byte of tasks in a model ladder (2412.04403)",
        "associative memories, without floor (2310.02984)",
        "model collapse, without floor (2402.07043)",
        "solvable model of N and D, without floor (2210.16859)",
        "dynamical model of N and steps, without floor (2402.01092)",
    ],
)
def chinchilla(
    N: Positive,
    D: Positive,
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
            token on web text, 1.82 +- 0.03 in the fit of Besiroglu et al.
        A: size of the finite-model term; 482 +- 125 there. Strongly correlated with alpha: compare
            surfaces or exponents across fits, not A.
        B: size of the finite-data term, correlated with beta in the same way; 2085 +- 1293.
        alpha: model exponent, 0.2 to 0.5 (up to 0.75 on small models); 0.35 +- 0.02.
        beta: data exponent, 0.2 to 0.5; 0.37 +- 0.02.

    Not identifiable from runs with one tokens-per-parameter ratio, one N or one D.
    """
    return E + A * N**-alpha + B * D**-beta


@law(
    source="Chinchilla with alpha = beta; used by Muennighoff et al. 2023, arXiv 2305.16264",
    latex=r"L(N, D) = E + \frac{A}{N^\alpha} + \frac{B}{D^\alpha}",
)
def chinchilla_tied(
    N: Positive, D: Positive, *, E: Offset, A: Amplitude, B: Amplitude, alpha: Exponent
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
def chinchilla_n(N: Positive, *, E: Offset, A: Amplitude, alpha: Exponent) -> Any:
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
def chinchilla_d(D: Positive, *, E: Offset, B: Amplitude, beta: Exponent) -> Any:
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


@law(
    source="Gadre et al. 2024, arXiv 2403.08540, L(C, M)",
    latex=r"L(C, M) = E + \left(a M^\eta + b M^{-\eta}\right) C^{-\eta}",
    also_known_as=[
        "tokens per parameter",
    ],
)
def chinchilla_overtrained(
    C: Positive, M: Positive, *, E: Offset, a: Amplitude, b: Amplitude, eta: Exponent
) -> Any:
    """L(C, M) = E + (a M^eta + b M^-eta) C^-eta

    Over-training: loss by compute and tokens per parameter, with one exponent.

    The same surface as ``chinchilla_tied`` with alpha = 2 eta, A = a 6^-eta and B = b 6^-eta, where
    C = 6ND and M = D/N.

    Args:
        C: training compute 6ND, FLOP.
        M: tokens per parameter D/N, a number.
        E: irreducible loss; 1.5 to 1.8 nats per token in the paper.
        a: size of the finite-model term.
        b: size of the finite-data term. The compute-optimal M is (b / a)^(1 / (2 eta)) at every
            budget.
        eta: exponent of compute; 0.121 to 0.136 in the paper.

    The paper fits five runs with four parameters, the only run with another M alone deciding one of
    them. Runs at one M identify only a M^eta + b M^-eta.
    """
    return E + (a * M**eta + b * M**-eta) * C**-eta


@law(
    source="Pearce and Song 2024, arXiv 2406.12907, L(N_E, D)",
    latex=(r"L(N, D) = E + A \left(N + \gamma N^{1/3}\right)^{-\alpha} + \frac{B}{D^\beta}"),
)
def chinchilla_nonembedding(
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    gamma: Annotated[jax.Array, Kind("embedding", 1e2, 1e7, spacing="log")],
) -> Any:
    """L(N, D) = E + A (N + gamma N^(1/3))^-alpha + B D^-beta

    Chinchilla for counts without embeddings: why small models seem to want more parameters.

    N + gamma N^(1/3) is the count with embeddings of models of one aspect ratio. Counted without,
    the optimal N grows as C^(beta / (alpha/3 + beta)) for small models and turns slowly to
    C^(beta / (alpha + beta)).

    Args:
        N: model parameters without embeddings, count.
        D: training tokens, count.
        E: irreducible loss.
        A: size of the finite-model term, in the count with embeddings.
        B: size of the finite-data term.
        alpha: model exponent.
        beta: data exponent.
        gamma: embedding parameters of a model of one parameter: 47491 for a vocabulary of 32000 and
            the aspect ratio of the paper; grows as the vocabulary. Known from the architecture: fix
            it where you can.

    gamma is weakly identified by losses alone: only small models feel it, along with alpha.
    """
    return E + A * (N + gamma * N ** (1 / 3)) ** -alpha + B * D**-beta


# Reference model and tokens of the outer-exponent law: round numbers inside most tables.
REFERENCE_N = 1e9
REFERENCE_D = 2e10


@law(
    source="Skaling, arXiv 2608.07222 (read second-hand); the supervised law of Busbridge et al. "
    "2025, arXiv 2502.08606, and the base of Quartet, arXiv 2505.14669, have the same form",
    latex=(
        r"L(N, D) = E + S\left[(1 - w) \left(\frac{N}{10^9}\right)^{-\alpha}"
        r" + w \left(\frac{D}{2\cdot 10^{10}}\right)^{-\beta}\right]^k"
    ),
    also_known_as=[
        "Skaling (2608.07222)",
        "supervised baseline of distillation (2502.08606)",
    ],
)
def chinchilla_outer(
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    S: Amplitude,
    w: Fraction,
    alpha: Annotated[Exponent, Bounds(0.02, 2.0)],
    beta: Annotated[Exponent, Bounds(0.02, 2.0)],
    k: Annotated[Exponent, Bounds(0.05, 2.0)],
) -> Any:
    """L(N, D) = E + S ((1 - w) (N / 1e9)^-alpha + w (D / 2e10)^-beta)^k

    Additive law with a free outer exponent, for surfaces whose N and D terms interact.

    Papers write E + (A N^-alpha + B D^-beta)^k. Here the sum is measured at 1e9 parameters and 2e10
    tokens, which describes the same surfaces with numbers that are determined by the runs:
    A = S^(1/k) (1 - w) 1e9^alpha and B = S^(1/k) w 2e10^beta. At k = 1 it is Chinchilla, at E = 0
    it contains Kaplan's joint law. The compute-optimal N and D do not depend on k.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        E: irreducible loss.
        S: reducible loss of a model of 1e9 parameters after 2e10 tokens.
        w: share of the data term in the sum there, 0 to 1.
        alpha: model exponent inside; 0.4 to 0.7 on public tables, more than without k.
        beta: data exponent inside; 0.4 to 0.7.
        k: outer exponent; 0.77 on the Chinchilla points, 0.35 to 0.40 on those of Gadre et al.,
            0.49 on Farseer's.

    k moves with alpha and beta: compare surfaces, or the products k alpha and k beta.
    """
    return E + S * ((1 - w) * (N / REFERENCE_N) ** -alpha + w * (D / REFERENCE_D) ** -beta) ** k
