"""Laws of number formats: formats compared, and training with quantized numbers.

N counts parameters, D training tokens, G numbers that share a scale.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    By,
    Exponent,
    Fraction,
    Kind,
    NotNegative,
    Offset,
    OneOrMore,
    Positive,
    Share,
)
from scalefit.laws.relations import Relation

__all__ = [
    "effective_parameters",
    "effective_parameters_and_tokens",
    "float_quantized",
    "optimal_qat_share",
    "qat",
    "qat_excess",
    "quartet",
]

Power = Annotated[Exponent, Bounds(0.02, 2.0)]


@law(
    source="Frantar et al. 2025, arXiv 2502.16440; QuEST, Panferov et al. 2025, arXiv 2502.05003",
    latex=(
        r"L(N, D) = E + \frac{A_f}{N^\alpha} + \frac{B}{D^\beta},\quad"
        r" \mathrm{eff}_f = \left(\frac{A_{16}}{A_f}\right)^{1/\alpha}"
    ),
    also_known_as=[
        "effective parameter multipliers of formats",
    ],
)
def effective_parameters(
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Annotated[Amplitude, By("format")],
    B: Amplitude,
    alpha: Exponent,
    beta: Exponent,
) -> Any:
    """L(N, D) = E + A_f N^-alpha + B D^-beta, one A for each format f

    Formats compared: a model in format f is worth eff_f = (A_16 / A_f)^(1 / alpha) of its size.

    The papers write A (N eff_f)^-alpha. One amplitude for each format is the same law, and linear.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        E: irreducible loss.
        A: size of the finite-model term, one for each level of the column ``format``.
        B: size of the finite-data term.
        alpha: model exponent; 0.063 on the public QuEST runs.
        beta: data exponent; 0.241 on those runs.

    Multipliers move with E: on the QuEST runs, where E ends at its bound of 0, that of 4 bits is
    0.69; with E held at 2 it is 0.59.
    """
    return E + A * N**-alpha + B * D**-beta


@law(
    source="Quartet, Castro et al. 2025, arXiv 2505.14669, with gamma = 1",
    latex=(
        r"L(N, D) = E + \frac{A_f}{N^\alpha} + \frac{B_b}{D^\beta},\quad"
        r" \mathrm{eff}_N = \left(\frac{A_{16}}{A_f}\right)^{1/\alpha},"
        r"\ \mathrm{eff}_D = \left(\frac{B_{16}}{B_b}\right)^{1/\beta}"
    ),
)
def effective_parameters_and_tokens(
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Annotated[Amplitude, By("forward")],
    B: Annotated[Amplitude, By("backward")],
    alpha: Exponent,
    beta: Exponent,
) -> Any:
    """L(N, D) = E + A_f N^-alpha + B_b D^-beta, one A for each forward format f, B for backward b

    Formats of the two passes compared: the forward one costs parameters, the backward one tokens.

    eff_N = (A_16 / A_f)^(1 / alpha) and eff_D = (B_16 / B_b)^(1 / beta).

    Args:
        N: model parameters, count.
        D: training tokens, count.
        E: irreducible loss.
        A: size of the finite-model term, one for each level of the column ``forward``.
        B: size of the finite-data term, one for each level of the column ``backward``.
        alpha: model exponent.
        beta: data exponent.

    Needs runs of more than one combination of formats, and several D/N in each.
    """
    return E + A * N**-alpha + B * D**-beta


@law(
    source="Quartet, Castro et al. 2025, arXiv 2505.14669, table 6",
    latex=(
        r"L = E + S\left[(1 - w) \left(\frac{N\,\mathrm{eff}_N}{10^9}\right)^{-\alpha}"
        r" + w \left(\frac{D\,\mathrm{eff}_D}{2\cdot 10^{10}}\right)^{-\beta}\right]^k"
    ),
)
def quartet(
    N: Positive,
    D: Positive,
    forward: Share,
    backward: Share,
    *,
    E: Offset,
    S: Amplitude,
    w: Fraction,
    alpha: Power,
    beta: Power,
    k: Annotated[Exponent, Bounds(0.05, 2.0)],
    eff_N: Annotated[jax.Array, Kind("multiplier", 0.05, 1.5)],
    eff_D: Annotated[jax.Array, Kind("multiplier", 0.05, 1.5)],
) -> Any:
    """L = E + S ((1 - w) (N eff_N^f / 1e9)^-alpha + w (D eff_D^b / 2e10)^-beta)^k

    One low-precision format against a baseline, with the outer exponent of ``chinchilla_outer``.

    The paper writes E + (A (N eff_N)^-alpha + B (D eff_D)^-beta)^gamma: A = S^(1/k) (1 - w)
    1e9^alpha, B = S^(1/k) w 2e10^beta, gamma = k.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        forward: 1 where the forward pass is in the format, 0 where in the baseline's.
        backward: 1 where the backward pass is in the format, 0 where in the baseline's.
        E: irreducible loss; 1.35.
        S: reducible loss of the baseline at 1e9 parameters and 2e10 tokens.
        w: share of the data term in the sum there.
        alpha: model exponent inside; 0.589.
        beta: data exponent inside; 0.544.
        k: outer exponent; 0.274.
        eff_N: parameters that the forward format leaves, as a share; 0.64 for MXFP4.
        eff_D: tokens that the backward format leaves, as a share; 0.88 to 0.93 for MXFP4.

    The authors fit the baseline first and fix it; the exponents and k are strongly correlated.
    """
    model = (N * eff_N**forward / 1e9) ** -alpha
    data = (D * eff_D**backward / 2e10) ** -beta
    return E + S * ((1 - w) * model + w * data) ** k


def _log2_power(group: Any, power: Any) -> Any:
    """(log2 G)^power, 0 at G = 1, where its derivatives in the power are 0 too."""
    several = group > 1
    return jnp.where(several, jnp.log2(jnp.where(several, group, 2.0)) ** power, 0.0)


@law(
    source="Chen et al. 2025, arXiv 2505.14302, delta_p",
    response="excess",
    latex=(
        r"\delta(N, D, G) = k \frac{D^{\gamma_D} \left(\log_2 G\right)^{\gamma_G}}{N^{\gamma_N}}"
    ),
)
def qat_excess(
    N: Positive,
    D: Positive,
    G: OneOrMore,
    *,
    k: Amplitude,
    gamma_N: Power,
    gamma_D: Power,
    gamma_G: Power,
) -> Any:
    """delta(N, D, G) = k D^gamma_D (log2 G)^gamma_G N^-gamma_N

    Loss added by quantization-aware training: more with data, more with coarser groups.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        G: group size: numbers that share a scale, count; 1 adds nothing, one scale per channel is
            the hidden size.
        k: size; 0.1582 for weights and activations at 4 bits (W4A4).
        gamma_N: exponent of parameters; 0.2186 for W4A4.
        gamma_D: exponent of tokens; 0.0745 for W4A4.
        gamma_G: exponent of log2 G; 0.7779 for W4A4.

    Fits the column ``excess``: loss minus that of the same run in 16 bits, in nats per token.
    """
    return k * D**gamma_D * _log2_power(G, gamma_G) * N**-gamma_N


@law(
    source="Chen et al. 2025, arXiv 2505.14302, L(N, D, G)",
    latex=(
        r"L = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}"
        r" + k \frac{D^{\gamma_D} \left(\log_2 G\right)^{\gamma_G}}{N^{\gamma_N}}"
    ),
)
def qat(
    N: Positive,
    D: Positive,
    G: OneOrMore,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    k: Amplitude,
    alpha: Power,
    beta: Power,
    gamma_N: Power,
    gamma_D: Power,
    gamma_G: Power,
) -> Any:
    """L(N, D, G) = E + A N^-alpha + B D^-beta + k D^gamma_D (log2 G)^gamma_G N^-gamma_N

    Quantization-aware training: Chinchilla and the excess of ``qat_excess``.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        G: group size: numbers that share a scale, count; 1 where nothing is quantized.
        E: irreducible loss; 1.9279.
        A: size of the finite-model term; 237.7.
        B: size of the finite-data term; 596.2.
        k: size of the excess; 0.1582 for W4A4.
        alpha: model exponent; 0.3022, tied to beta.
        beta: data exponent; 0.3022.
        gamma_N: exponent of parameters in the excess.
        gamma_D: exponent of tokens in the excess.
        gamma_G: exponent of log2 G in the excess.

    Runs in 16 bits (G = 1) keep the excess from passing for E, A and B.
    """
    excess = qat_excess(N, D, G, k=k, gamma_N=gamma_N, gamma_D=gamma_D, gamma_G=gamma_G)
    return E + A * N**-alpha + B * D**-beta + excess


@law(
    source="Sun et al. 2025, arXiv 2501.02423 (form read second-hand, confirmed by its numbers)",
    latex=(
        r"L = E + \frac{A}{N^\alpha} + \frac{B}{D^\beta} + K \frac{D^\beta}{N^\alpha}"
        r" \frac{\log_2 G}{(e + 0.5)^\delta (m + 0.5)^\nu}"
    ),
)
def float_quantized(
    N: Positive,
    D: Positive,
    exponent_bits: NotNegative,
    mantissa_bits: NotNegative,
    G: OneOrMore,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    K: Amplitude,
    alpha: Power,
    beta: Power,
    delta: Annotated[Exponent, Bounds(0.2, 8.0)],
    nu: Annotated[Exponent, Bounds(0.2, 8.0)],
) -> Any:
    """L = E + A N^-alpha + B D^-beta + K (D^beta / N^alpha) log2 G / ((e + 0.5)^delta (m + 0.5)^nu)

    Training in floating point of few bits: exponent bits e, mantissa bits m, block of a scale G.

    More tokens than D_crit = (B N^alpha (e + 0.5)^delta (m + 0.5)^nu / (K log2 G))^(1 / (2 beta))
    make the model worse. Of P = e + m + 1 bits, e = delta P / (delta + nu) - 0.5 is best.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        exponent_bits: exponent bits e of the format, count.
        mantissa_bits: mantissa bits m of the format, count.
        G: numbers that share a scale, count.
        E: irreducible loss; 1.9061.
        A: size of the finite-model term; 69.2343.
        B: size of the finite-data term; 68973.0621.
        K: size of the excess; 1 / 11334.5197 (the paper's gamma is 1 / K).
        alpha: model exponent; 0.2368.
        beta: data exponent; 0.5162.
        delta: exponent of the exponent bits; 3.1926.
        nu: exponent of the mantissa bits; 2.9543.

    The excess shares alpha and beta with the other terms. Scales per channel or tensor count as
    equivalents of log2 G that the paper fits.
    """
    fineness = (exponent_bits + 0.5) ** delta * (mantissa_bits + 0.5) ** nu
    excess = K * D**beta / N**alpha * jnp.log2(G) / fineness
    return E + A * N**-alpha + B * D**-beta + excess


@law(
    source="Dremov et al. 2025, arXiv 2509.22935, optimal fraction of quantization-aware training "
    "(form and constant read second-hand)",
    response="qat_share",
    latex=r"f(N, D, P) = e^{-a / \ln S},\quad S = \frac{8 D}{N P}",
    relations=[Relation("N * bits / 8 <= D")],
)
def optimal_qat_share(
    N: Positive,
    D: Positive,
    bits: Positive,
    *,
    a: Annotated[jax.Array, Kind("constant", 0.1, 100.0, spacing="log")],
) -> Share:
    """f(N, D, bits) = exp(-a / ln S), S = D / (N bits / 8)

    The best share of the tokens to train quantization-aware, after training in full precision.

    The share grows with S, the tokens for each byte of the quantized model. The paper writes
    exp(ln S - a / ln S) / S, which is the same.

    Args:
        N: model parameters, count.
        D: training tokens in all, count.
        bits: bits of the quantized weights.
        a: 6.7297; its mean absolute error in the share is 0.091 over 757 runs from 86 million to
            2.2 billion parameters, 1 to 6 bits.

    Fit it to the best share of each (N, D, bits), in raw residuals: one such share gives a. At one
    token per byte the share is 0; with fewer the formula means nothing.
    """
    per_byte = 8 * D / (N * bits)
    above = per_byte > 1
    return jnp.where(above, jnp.exp(-a / jnp.log(jnp.where(above, per_byte, 2.0))), 0.0)
