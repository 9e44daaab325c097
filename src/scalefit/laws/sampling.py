"""Repeated sampling: the share of problems that one of k attempts solves (coverage, pass@k)."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    Coefficient,
    Exponent,
    Kind,
    Offset,
    OneOrMore,
    Positive,
    Share,
    scale_of,
)

__all__ = ["coverage_beta", "coverage_of_compute", "coverage_power", "train_to_test"]

# Stirling's series of ln Gamma, B_2n / (2n (2n - 1) x^(2n - 1)). Beyond x = 8 what is left out is
# 1e-16 of what is kept.
STIRLING = (
    *(1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188),
    *(-691 / 360360, 1 / 156, -3617 / 122400),
)
STEPS = 8

# In attempts: below a thousandth of the smallest k a value acts as zero does, and above a
# million times the largest only the mean success rate shows, even in coverages of eight digits.
Attempts = Annotated[jax.Array, Kind("attempts", 1e-3, 1e6, spacing="log", column="samples")]


@law(
    source="Brown et al. 2024, arXiv 2407.21787, exponentiated power law",
    response="coverage",
    latex=r"c(k) = e^{-a k^{-b}}",
    also_known_as=[
        "pass@k",
        "PassUntil, task law in N (2310.03262)",
        "action error over samples of robots (2506.17811)",
    ],
)
def coverage_power(
    samples: OneOrMore,
    *,
    a: Annotated[Exponent, Bounds(1e-3, 1e6)],
    b: Annotated[Exponent, Bounds(0.01, 3.0)],
) -> Share:
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
    also_known_as=[
        "pass@k of problems of unequal difficulty",
        "inference scaling by memorisation (2410.16377)",
    ],
)
def coverage_beta(
    samples: OneOrMore,
    *,
    alpha: Annotated[Exponent, Bounds(0.01, 20.0)],
    beta: Attempts,
) -> Share:
    """c(k) = 1 - B(alpha, beta + k) / B(alpha, beta)

    Share of problems solved by one of k attempts, whose success rate differs by problem.

    The rate has a Beta(alpha, beta) density; B is the Beta function. For many attempts -ln c is
    about Gamma(alpha + beta) / Gamma(beta) k^-alpha.

    Args:
        samples: attempts per problem k, count.
        alpha: how few problems are hopeless; the exponent of the tail.
        beta: how few are easy. The mean success rate is alpha / (alpha + beta).
    """
    return -jnp.expm1(-_ln_success(samples, alpha, beta))


def _ln_success(k: Any, alpha: Any, beta: Any) -> Any:
    """Ln B(alpha, beta) - ln B(alpha, beta + k), to rounding; about alpha k / beta for large beta.

    Of four ln Gamma, each of which may be 1e9 times as large, rounding would be left. With h(x) =
    ln Gamma(x + alpha) - ln Gamma(x), it is h(beta + k) - h(beta). The recurrence of Gamma moves
    beta up by ``STEPS``, each step a logarithm of one plus something; there Stirling's series
    holds, whose leading terms are paired so that what they have in common is gone before it is
    rounded.
    """
    moved = sum(
        jnp.log1p(alpha * k / ((beta + step) * (alpha + beta + k + step))) for step in range(STEPS)
    )
    b = beta + STEPS
    y = b + k
    paired = k * jnp.log1p(alpha / y) + alpha * jnp.log1p(k / (b + alpha))
    paired = paired - (b - 0.5) * jnp.log1p(alpha * k / (b * (y + alpha)))
    rest = (_stirling(y + alpha) - _stirling(y)) - (_stirling(b + alpha) - _stirling(b))
    return moved + paired + rest


def _stirling(x: Any) -> Any:
    """Ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi) / 2, for x above ``STEPS``."""
    square, series = 1 / (x * x), 0.0
    for coefficient in reversed(STIRLING):
        series = series * square + coefficient
    return series / x


@law(
    source="Krajewski et al. 2025, arXiv 2512.08894, eq. 5, measured from C0 = A^(-1 / alpha)",
    response="coverage",
    latex=r"Q(C, k) = e^{-(C_0 / C)^\alpha k^{-(\beta + \delta \ln(C / C_0))}}",
    also_known_as=["code benchmarks over training compute and attempts (2512.08894)"],
)
def coverage_of_compute(
    C: Positive,
    samples: OneOrMore,
    *,
    C0: Annotated[jax.Array, scale_of("C")],
    alpha: Annotated[Exponent, Bounds(0.02, 1.5)],
    beta: Annotated[Coefficient, Bounds(-1.0, 3.0)],
    delta: Annotated[Coefficient, Bounds(-0.3, 0.3)],
) -> Share:
    """Q(C, k) = exp(-(C0 / C)^alpha k^-(beta + delta ln(C / C0)))

    Share of problems solved by one of k attempts, over training compute and attempts at once.

    The paper writes ln(-ln Q) = ln A + a ln C + b ln k + d ln C ln k: a = -alpha, ln A = alpha ln
    C0, d = -delta, b = -beta + delta ln C0. One attempt follows :data:`accuracy_of_compute` without
    a floor, one compute :data:`coverage_power`.

    Args:
        C: training compute, FLOP, at one ratio of tokens to parameters.
        samples: attempts per problem k, count.
        C0: compute at which one attempt solves 1/e of the problems.
        alpha: exponent of compute at one attempt.
        beta: exponent of the attempts at C0; far outside the table it is correlated with delta.
        delta: how much steeper the attempts get with each e-fold of compute, of either sign.

    One attempt alone leaves beta and delta undetermined, one compute all but two combinations. The
    authors regress ln(-ln Q) on the logarithms, which weighs coverages near 1 most.
    """
    steepness = beta + delta * jnp.log(C / C0)
    return jnp.exp(-((C0 / C) ** alpha) * samples**-steepness)


@law(
    source="Roberts et al. 2026, arXiv 2604.01411, train-to-test law, approach 1",
    latex=(r"L(N, D, k) = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta} + \frac{G}{k^\gamma}"),
    also_known_as=[
        "size of a retrieval datastore as third axis (2407.12854)",
        "third additive axis: steps and batch in place of D (2607.01487, by its abstract)",
    ],
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
