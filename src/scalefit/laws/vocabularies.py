"""Vocabulary size: its parameters as a third resource beside the others and the text.

The loss is normalised by a unigram model, which makes losses of different vocabularies comparable
and negative: fit it with ``residual="raw"``.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Positive

__all__ = ["tokens_of_characters", "vocabulary", "vocabulary_logarithmic"]


def tokens_of_characters(
    characters: Any, vocab_size: Any, *, as_released: bool = False
) -> np.ndarray:
    """H (0.00639222 ln(V)^2 - 0.15811069 ln(V) + 1.20470122): tokens in a text of H characters.

    Args:
        characters: H, count.
        vocab_size: entries of the vocabulary V, count; more than 2e5 count as that.
        as_released: evaluate the polynomial at V / 1000 as the authors' code does, by mistake: its
            vocabularies are in thousands there, the polynomial is of entries. The published
            coefficients need it; the counts are about three times too large.

    Source:
        Tao et al. 2024, arXiv 2407.13623, and its released code.
    """
    x = np.log(np.minimum(vocab_size, 2e5) / (1000 if as_released else 1))
    return np.asarray(characters) * (0.00639222 * x**2 - 0.15811069 * x + 1.20470122)


@law(
    source="Tao et al. 2024, arXiv 2407.13623, parametric fit of the loss",
    latex=(
        r"L(N, V, D) = E + \frac{A_1}{N^{\alpha_1}} + \frac{A_2}{(V d)^{\alpha_2}} "
        r"+ \frac{B}{D^\beta}"
    ),
)
def vocabulary(
    N: Positive,
    vocab_params: Positive,
    D: Positive,
    *,
    E: Annotated[Coefficient, Bounds(-math.inf, 0.0)],
    A1: Amplitude,
    A2: Amplitude,
    B: Amplitude,
    alpha1: Exponent,
    alpha2: Exponent,
    beta: Exponent,
) -> Any:
    """L(N, V, D) = E + A1 / N^alpha1 + A2 / (V d)^alpha2 + B / D^beta

    Models of every vocabulary size, by the loss relative to a unigram model.

    The loss is normalised by a unigram model and negative: fit with ``residual="raw"``. The authors
    tie alpha1 and beta: ``tied=[("alpha1", "beta")]``.

    Args:
        N: parameters outside the vocabulary, count.
        vocab_params: parameters of the vocabulary V d (entries times width), count.
        D: training tokens, count; from characters by ``tokens_of_characters``.
        E: loss of an infinite model, -5.5 nats per token; the paper writes -E.
        A1: size of the model term.
        A2: size of the vocabulary term, not negative: more of it never hurts. Nearly proportional
            to a power of alpha2, on a flat ridge. Where it ends at zero, fit
            ``vocabulary_logarithmic``.
        B: size of the data term.
        alpha1: exponent of the other parameters; 0.45.
        alpha2: exponent of the vocabulary; 0.67 in the paper, with tokens counted as its code
            does, 1.06 with the right count.
        beta: data exponent; 0.45.

    The paper's coefficients (A1 1.83, A2 0.196, B 2.12, E -5.53) are for N and V d in millions and
    D in billions, counted with ``as_released=True``.
    """
    return E + A1 * N**-alpha1 + A2 * vocab_params**-alpha2 + B * D**-beta


@law(
    source="the limit of small alpha2 of Tao et al. 2024, arXiv 2407.13623, with c = -A2 alpha2 of "
    "either sign",
    latex=r"L(N, V, D) = E + \frac{A_1}{N^{\alpha_1}} + c \ln V + \frac{B}{D^\beta}",
    also_known_as=[
        "vocabulary with a term of either sign",
    ],
)
def vocabulary_logarithmic(
    N: Positive,
    vocab_params: Positive,
    D: Positive,
    *,
    E: Coefficient,
    A1: Amplitude,
    c: Coefficient,
    B: Amplitude,
    alpha1: Exponent,
    beta: Exponent,
) -> Any:
    """L(N, V, D) = E + A1 / N^alpha1 + c ln V + B / D^beta

    Vocabularies whose term bends too little for an exponent, or has the other sign.

    The loss is normalised by a unigram model and negative: fit with ``residual="raw"``. Where
    checkpoints of the training are pooled, large vocabularies lag: after the same text they have
    seen fewer tokens, and each row of the embedding more rarely. c is then above zero, and a power
    with A2 >= 0 ends at zero.

    Args:
        N: parameters outside the vocabulary, count.
        vocab_params: parameters of the vocabulary V d, or its entries V, count.
        D: training tokens, or characters, count.
        E: loss of an infinite model at V = 1, of either sign: outside every table.
        A1: size of the model term.
        c: loss that each e-fold of the vocabulary adds, of either sign: 0.057 on 1080 public
            checkpoints of Tao et al. over characters; 0.144 +- 0.008 in the first quarter of their
            training and 0.008 +- 0.004 in the last, by regression at each size.
        B: size of the data term.
        alpha1: exponent of the other parameters.
        beta: data exponent.
    """
    return E + A1 * N**-alpha1 + c * jnp.log(vocab_params) + B * D**-beta
