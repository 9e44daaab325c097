"""Parallel streams: several forward passes of one model, joined."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Offset, OneOrMore, Positive

__all__ = ["parscale"]


@law(
    source="Chen et al. 2025 (ParScale), arXiv 2505.10475, parallel scaling law",
    latex=r"L(N, P) = E + \frac{A}{\left(N (1 + k \ln P)\right)^\alpha}",
)
def parscale(
    N: Positive,
    streams: OneOrMore,
    *,
    E: Offset,
    A: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.02, 1.5)],
    k: Annotated[Exponent, Bounds(0.01, 2.0)],
) -> Any:
    """L(N, P) = E + A (N (1 + k ln P))^-alpha

    Parallel streams of one model, worth 1 + k ln P times its parameters.

    The paper writes (A' / (N (1 + k ln P)))^alpha: A is A'^alpha. One number of tokens for all
    runs.

    Args:
        N: parameters without embeddings, count.
        streams: parallel streams P, 1 for an ordinary model.
        E: irreducible loss at that number of tokens; 0.69 on Python code, 1.29 on the Pile.
            Strongly correlated with alpha.
        A: size of the model term; A' is 1.1e7 on code, 2.0e8 on the Pile.
        alpha: model exponent; 0.19 and 0.20.
        k: gain of a stream; 0.39 and 0.33.
    """
    return E + A * (N * (1 + k * jnp.log(streams))) ** -alpha
