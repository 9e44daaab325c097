"""Repeated sampling: the share of problems that one of k attempts solves (coverage, pass@k)."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp
from jax.scipy.special import gammaln

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Offset, OneOrMore, Positive

__all__ = ["coverage_beta", "coverage_power", "train_to_test"]


@law(
    source="Brown et al. 2024, arXiv 2407.21787, exponentiated power law",
    response="coverage",
    latex=r"c(k) = e^{-a k^{-b}}",
)
def coverage_power(
    samples: OneOrMore,
    *,
    a: Annotated[Exponent, Bounds(1e-3, 1e3)],
    b: Annotated[Exponent, Bounds(0.01, 3.0)],
) -> Any:
    """c(k) = exp(-a k^-b)

    Share of problems solved by one of k attempts, over a window of k.

    The paper writes exp(a k^b) with both negative. A power of k is right only for many attempts: b
    fitted to few is too steep. To extrapolate, use :data:`coverage_beta`.

    Args:
        samples: attempts per problem k, count.
        a: -ln of the coverage of one attempt.
        b: exponent.
    """
    return jnp.exp(-a * samples**-b)


@law(
    source="Schaeffer et al. 2025, arXiv 2502.17578, success rates with a Beta density",
    response="coverage",
    latex=r"c(k) = 1 - \frac{B(\alpha, \beta + k)}{B(\alpha, \beta)}",
)
def coverage_beta(
    samples: OneOrMore,
    *,
    alpha: Annotated[Exponent, Bounds(0.01, 20.0)],
    beta: Annotated[Exponent, Bounds(0.05, 1e4)],
) -> Any:
    """c(k) = 1 - B(alpha, beta + k) / B(alpha, beta)

    Share of problems solved by one of k attempts, whose success rate differs by problem.

    The rate has a Beta(alpha, beta) density; B is the Beta function. For many attempts -ln c is
    about Gamma(alpha + beta) / Gamma(beta) k^-alpha.

    Args:
        samples: attempts per problem k, count.
        alpha: how few problems are hopeless; the exponent of the tail.
        beta: how few are easy. The mean success rate is alpha / (alpha + beta).
    """
    failure = gammaln(beta + samples) - gammaln(alpha + beta + samples)
    return -jnp.expm1(failure - gammaln(beta) + gammaln(alpha + beta))


@law(
    source="Roberts et al. 2026, arXiv 2604.01411, train-to-test law, approach 1",
    latex=(r"L(N, D, k) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta} + \frac{G}{k^\gamma}"),
)
def train_to_test(
    N: Positive,
    D: Positive,
    samples: OneOrMore,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    G: Amplitude,
    alpha: Exponent,
    beta: Exponent,
    gamma: Exponent,
) -> Any:
    """L(N, D, k) = E + A N^-alpha + B D^-beta + G k^-gamma

    Loss of a task under k attempts, to divide compute between training and sampling.

    The form was read in works that quote it.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        samples: attempts per problem k, count. With 2 N FLOP per token of an answer, a larger model
            leaves fewer of them.
        E: loss that remains with everything large.
        A: size of the model term.
        B: size of the data term.
        G: what one attempt alone loses to many.
        alpha: model exponent.
        beta: data exponent.
        gamma: exponent of the attempts.

    The loss is the mean over problems of -ln pass@k.
    """
    return E + A * N**-alpha + B * D**-beta + G * samples**-gamma
