"""Farseer: every part of the surface over D drifts with N along a stretched exponential."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Positive

__all__ = ["farseer"]

# Drifts are slopes in ln N at 1e9 parameters; a power of 1 is an exponential in N itself.
Drift = Annotated[Coefficient, Bounds(-2.0, 2.0)]
Power = Annotated[Coefficient, Bounds(-1.0, 1.0)]

# Below this, (exp(power x) - 1) / power is evaluated by its series: the second derivative of the
# quotient would lose more digits than the truncated series does.
SMALL = 0.02
TERMS = 8


@law(
    source="Farseer, arXiv 2506.10972, L(N, D)",
    latex=(
        r"L(N, D) = E\,e^{e\,g_p(N)} + B\,e^{b\,g_q(N)} D^{-\beta e^{c\,g_r(N)}},\quad "
        r"g_p(N) = \frac{(N / 10^9)^p - 1}{p}"
    ),
)
def farseer(
    N: Positive,
    D: Positive,
    *,
    E: Amplitude,
    B: Amplitude,
    beta: Exponent,
    e: Drift,
    b: Drift,
    c: Drift,
    p: Power,
    q: Power,
    r: Power,
) -> Any:
    """L(N, D) = E exp(e g(N, p)) + B exp(b g(N, q)) D^(-beta exp(c g(N, r)))

    Floor, size and exponent of the data term all drift with N, along stretched exponentials.

    Here g(N, p) = ((N / 1e9)^p - 1) / p, which is ln(N / 1e9) at p = 0. The paper writes each
    exponent as a N^p + b; here it is measured from 1e9 parameters, which describes the same
    surfaces, but where a, b and the power of the paper move together over many decades, value and
    slope at 1e9 parameters are each determined by the runs. The paper's a is e / (p 1e9^p) and its
    additive constant ln E - e / p, and so for the others.

    Args:
        N: model parameters without embeddings, count.
        D: training tokens, count.
        E: loss of a model of 1e9 parameters on infinitely many tokens.
        B: size of the finite-data term of such a model.
        beta: data exponent of such a model.
        e: slope of ln E in ln N there; negative where larger models end lower.
        b: slope of ln B there.
        c: slope of ln beta there.
        p: power of N along which ln E drifts.
        q: power of N along which ln B drifts.
        r: power of N along which ln beta drifts.

    Needs several D at each of many N; the powers are the least certain numbers. Where all models
    are far from 1e9 parameters, E, B and beta are extrapolations, and beta may need wider bounds,
    as ``bounds={"beta": (1e-5, 5)}``.
    """
    x = jnp.log(N / 1e9)
    exponent = beta * jnp.exp(c * _drift(x, r))
    return E * jnp.exp(e * _drift(x, p)) + B * jnp.exp(b * _drift(x, q)) * D**-exponent


def _drift(x: Any, power: Any) -> Any:
    """(exp(power x) - 1) / power, with its limit and derivatives at power 0."""
    y = power * x
    small = jnp.abs(y) < SMALL
    divisor = jnp.where(small, 1.0, power)
    series = jnp.ones_like(y)
    for term in range(TERMS, 1, -1):
        series = 1 + y / term * series
    return jnp.where(small, x * series, jnp.expm1(divisor * x) / divisor)
