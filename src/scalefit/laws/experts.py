"""Routed models (mixtures of experts): laws in which the number or the size of the experts varies.

``experts`` counts the experts of a routed layer, 1 for a dense model. How much they help fades at
both ends: Ehat is their effective number, from E_start for a dense model to E_max for infinitely
many, 1/Ehat = 1/(E - 1 + (1/E_start - 1/E_max)^-1) + 1/E_max.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.factors import saturating_experts
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    Coefficient,
    Domain,
    Exponent,
    Offset,
    OneOrMore,
    Positive,
    scale_of,
)

__all__ = ["efficiency_leverage", "fine_grained_moe", "joint_moe", "routed"]

Activation = Annotated[Any, Domain(0.0, 1.0, above=True)]

# The bounds must not meet: the effective number is undefined there.
Start = Annotated[jax.Array, scale_of("experts"), Bounds(0.5, 30.0)]
Most = Annotated[jax.Array, scale_of("experts"), Bounds(32.0, 16384.0)]


@law(
    source="Clark et al. 2022, arXiv 2202.01169, bilinear law with the saturating expert count",
    latex=(
        r"\log_{10} L(N, E) = a \log_{10} N + b \log_{10} \hat{E} "
        r"+ c \log_{10} N \log_{10} \hat{E} + \log_{10} A"
    ),
    also_known_as=[
        "unified scaling laws of routed language models (2202.01169)",
    ],
)
def routed(
    N: Positive,
    experts: OneOrMore,
    *,
    A: Amplitude,
    a: Annotated[Coefficient, Bounds(-0.5, 0.0)],
    b: Annotated[Coefficient, Bounds(-1.0, 0.5)],
    c: Annotated[Coefficient, Bounds(-0.05, 0.05)],
    E_start: Start,
    E_max: Most,
) -> Any:
    """L(N, E) = A N^a Ehat^b 10^(c log10 N log10 Ehat)

    Routed models of all sizes and expert counts at one number of tokens.

    1/Ehat = 1/(E - 1 + (1/E_start - 1/E_max)^-1) + 1/E_max. The paper writes log10 L = a log10 N +
    b log10 Ehat + c log10 N log10 Ehat + d: A is 10^d, and c belongs to decimal logarithms.

    Args:
        N: parameters that one token passes through, count (not the total).
        experts: experts of a routed layer, 1 for a dense model.
        A: loss at N = 1 and Ehat = 1; about 13.
        a: slope in N without routing, -0.08 to -0.09.
        b: slope in Ehat extrapolated to N = 1, -0.11 to -0.14.
        c: how much the gain from routing shrinks per decade of N, 0.009 to 0.013. Routing stops
            helping at N = 10^(-b/c).
        E_start: effective experts of a dense model, 1.7 to 4.3.
        E_max: effective experts at saturation, 240 to 480. Weakly identified: the fits of one table
            differ by a quarter with the choice of rows, and experts below 32 say nothing about it.
    """
    decades = jnp.log(saturating_experts(experts, E_start, E_max)) / jnp.log(10.0)
    return A * N ** (a + c * decades) * 10 ** (b * decades)


@law(
    source="Ludziejewski et al. 2025, arXiv 2502.05172, joint scaling law",
    latex=(
        r"L(N, D, E) = a \hat{E}^\delta N^{\alpha + \gamma \ln \hat{E}} "
        r"+ b \hat{E}^\omega D^{\beta + \zeta \ln \hat{E}} + c"
    ),
)
def joint_moe(
    N: Positive,
    D: Positive,
    experts: OneOrMore,
    *,
    c: Offset,
    a: Amplitude,
    b: Amplitude,
    alpha: Annotated[Coefficient, Bounds(-0.8, -0.02)],
    beta: Annotated[Coefficient, Bounds(-0.8, -0.02)],
    gamma: Annotated[Coefficient, Bounds(-0.1, 0.1)],
    delta: Annotated[Coefficient, Bounds(-1.5, 1.5)],
    zeta: Annotated[Coefficient, Bounds(-0.1, 0.1)],
    omega: Annotated[Coefficient, Bounds(-1.5, 1.5)],
    E_start: Start,
    E_max: Most,
) -> Any:
    """L(N, D, E) = a Ehat^(delta + gamma ln N) N^alpha + b Ehat^(omega + zeta ln D) D^beta + c

    A Chinchilla law for each number of experts, all of them drifting together.

    1/Ehat = 1/(E - 1 + (1/E_start - 1/E_max)^-1) + 1/E_max. The paper writes the first term a
    Ehat^delta N^(alpha + gamma ln Ehat), which is the same, and so the second. Exponents carry
    their own sign, as it prints them.

    Args:
        N: active parameters, count.
        D: training tokens, count.
        experts: experts of a routed layer, 1 for a dense model; one is active.
        c: irreducible loss; 1.36.
        a: size of the model term; 36.
        b: size of the data term; 36.
        alpha: model exponent at Ehat = 1; -0.19.
        beta: data exponent at Ehat = 1; -0.18.
        gamma: drift of the model exponent in ln Ehat; 0.0098.
        delta: slope of ln a in ln Ehat; -0.23.
        zeta: drift of the data exponent in ln Ehat; -0.026.
        omega: slope of ln b in ln Ehat; 0.55.
        E_start: effective experts of a dense model; 2.1.
        E_max: effective experts at saturation; 290. Not identifiable from runs of 32 experts or
            fewer: fix it. The other eight trade off among themselves too: compare the coefficients
            at each number of experts, or the surface.
    """
    x = jnp.log(saturating_experts(experts, E_start, E_max))
    model = a * jnp.exp(delta * x) * N ** (alpha + gamma * x)
    return model + b * jnp.exp(omega * x) * D ** (beta + zeta * x) + c


@law(
    source="Krajewski et al. 2024, arXiv 2402.07871, scaling with granularity",
    latex=(
        r"L(N, D, G) = c + \left(\frac{g}{G^\gamma} + a\right) \frac{1}{N^\alpha} "
        r"+ \frac{b}{D^\beta}"
    ),
)
def fine_grained_moe(
    N: Positive,
    D: Positive,
    granularity: Positive,
    *,
    c: Offset,
    g: Amplitude,
    a: Amplitude,
    b: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.03, 0.8)],
    beta: Annotated[Exponent, Bounds(0.03, 0.8)],
    gamma: Annotated[Exponent, Bounds(0.1, 2.0)],
) -> Any:
    """L(N, D, G) = c + (g / G^gamma + a) / N^alpha + b / D^beta

    Mixtures of experts whose experts are cut finer than the layer that they replace.

    Args:
        N: total parameters without embeddings, count (all experts, active or not).
        D: training tokens, count.
        granularity: G, how many times smaller an expert is than the dense feed-forward layer that
            it replaces, at a fixed expansion rate (64 in the paper).
        c: irreducible loss; 0.47.
        g: what coarse experts add to the model term; 2.1.
        a: size of the model term at infinite granularity; 18.1.
        b: size of the data term; 30.8.
        alpha: model exponent; 0.115.
        beta: data exponent; 0.147.
        gamma: how fast finer experts exhaust their gain; 0.58.

    The published coefficients are rounded: losses from them are off by up to 0.025. Dense models
    have another set (a 16.3, alpha 0.126, b 26.7, beta 0.127, the same c).
    """
    return c + (g * granularity**-gamma + a) * N**-alpha + b * D**-beta


@law(
    source="Tian et al. 2025, arXiv 2507.17702, efficiency leverage",
    response="leverage",
    latex=(
        r"\mathrm{EL}(A, G, C) = (A + A_s)^{a + d \log_{10} C + \beta \log_2 G "
        r"+ \gamma (\log_2 G)^2}"
    ),
)
def efficiency_leverage(
    activation: Activation,
    granularity: Positive,
    C: Positive,
    *,
    A_s: Annotated[Exponent, Bounds(1e-4, 1.0)],
    a: Annotated[Coefficient, Bounds(-5.0, 5.0)],
    d: Annotated[Coefficient, Bounds(-0.5, 0.5)],
    beta: Annotated[Coefficient, Bounds(-0.5, 0.5)],
    gamma: Annotated[Coefficient, Bounds(-0.1, 0.1)],
) -> Positive:
    """EL(A, G, C) = (A + A_s)^(a + d log10 C + beta log2 G + gamma (log2 G)^2)

    How many times the compute a dense model needs to reach the loss of a mixture of experts.

    The paper saturates A at large values too, by a limit of 5e16 that no activation reaches; it is
    left out. Bases of logarithms and coefficients were read in other works that quote them: only
    these bases give the paper's examples.

    Args:
        activation: A, active over total experts, 0 to 1.
        granularity: G, how finely experts are cut.
        C: compute of the mixture, FLOP.
        A_s: activation below which less of it gains no more; 0.016.
        a: exponent of activation at C = 1 and G = 1; 1.23.
        d: its slope per decade of compute; -0.076.
        beta: its slope per doubling of granularity; -0.117.
        gamma: its curvature; 0.0167. Granularity is best at log2 G = -beta / (2 gamma), if gamma is
            positive.
    """
    doublings = jnp.log2(granularity)
    power = a + d * jnp.log10(C) + beta * doublings + gamma * doublings**2
    return (activation + A_s) ** power
