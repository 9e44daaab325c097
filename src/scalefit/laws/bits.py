"""Laws with bits: training and serving at low precision.

N counts parameters (without embeddings in Kumar et al.), D training tokens, P bits per number.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.factors import precision_factor
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Kind, Offset, Positive

__all__ = ["low_precision", "precision", "ptq_excess", "unified_precision"]

# Bits over which a factor saturates, and where it starts; published values are 0.96 to 2.8 and 0.3
# to 2.4. A factor below the floor is that of precisions at which training diverges.
Bits = Annotated[jax.Array, Kind("bits", 0.3, 8.0, spacing="log")]
Shift = Annotated[jax.Array, Kind("shift", -1.0, 3.0)]
FLOOR = 1e-4

Power = Annotated[Exponent, Bounds(0.02, 2.0)]


def _share(P: Any, gamma: Any, n: Any) -> Any:
    factor = precision_factor(P, gamma, n)
    return jnp.where(factor > FLOOR, factor, FLOOR)


@law(
    source="Kumar et al. 2024, arXiv 2411.04330, with one precision for all tensors and the offset "
    "of appendix K",
    latex=(
        r"L(N, D, P) = E + A \left[N \left(1 - e^{n - P/\gamma}\right)\right]^{-\alpha}"
        r" + \frac{B}{D^\beta}"
    ),
)
def low_precision(
    N: Positive,
    D: Positive,
    P: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Power,
    beta: Power,
    gamma: Bits,
    n: Shift,
) -> Any:
    """L(N, D, P) = E + A (N (1 - exp(n - P / gamma)))^-alpha + B D^-beta

    Training with weights and activations at one precision: fewer bits act as fewer parameters.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        P: bits of weights and activations alike.
        E: irreducible loss.
        A: size of the finite-model term at full precision.
        B: size of the finite-data term.
        alpha: model exponent.
        beta: data exponent.
        gamma: bits over which the effective parameters saturate; 2.5 on the public QuEST runs.
        n: offset, so that nothing is left at P = n gamma bits; 0.65 on those runs.

    Without n the same runs are fitted four times worse. Fits need two or more precisions below 8
    bits, and none at which training diverges.
    """
    return E + A * (N * _share(P, gamma, n)) ** -alpha + B * D**-beta


@law(
    source="Kumar et al. 2024, arXiv 2411.04330, eq. of N_eff with the offsets of appendix K",
    latex=(
        r"L = E + A\,N_{\mathrm{eff}}^{-\alpha} + \frac{B}{D^\beta},\quad"
        r" N_{\mathrm{eff}} = N \prod_{x}\left(1 - e^{n_x - P_x / \gamma_x}\right)"
    ),
)
def precision(
    N: Positive,
    D: Positive,
    P_w: Positive,
    P_a: Positive,
    P_kv: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Power,
    beta: Power,
    gamma_w: Bits,
    gamma_a: Bits,
    gamma_kv: Bits,
    n_w: Shift,
    n_a: Shift,
    n_kv: Shift,
) -> Any:
    """L = E + A N_eff^-alpha + B D^-beta, N_eff = N prod_x (1 - exp(n_x - P_x / gamma_x))

    Training with weights, activations and key-value cache each at a precision of its own.

    The main text prints N_eff without n_x; the fitted constants hold only with it. At 6NDP/16 FLOP
    the optimal common precision maximises prod_x (1 - exp(n_x - P / gamma_x)) / P, whatever the
    budget: 7.00 bits with the published values. (The paper prints other powers of P in its N* and
    D*, which do not follow from its law.)

    Args:
        N: model parameters without embeddings, count.
        D: training tokens, count.
        P_w: bits of weights.
        P_a: bits of activations.
        P_kv: bits of the key-value cache.
        E: irreducible loss; 2.7648.
        A: size of the finite-model term; 4299.
        B: size of the finite-data term; 18060.
        alpha: model exponent; 0.4965, tied to beta.
        beta: data exponent; 0.4965.
        gamma_w: bits over which weights saturate; 2.6745.
        gamma_a: bits over which activations saturate; 2.2102.
        gamma_kv: bits over which the cache saturates; 0.9578.
        n_w: offset of weights; 0.3037.
        n_a: offset of activations; 1.4072.
        n_kv: offset of the cache; 2.4185.

    A tensor that is always at 16 bits identifies neither of its numbers: fix them. The cache's are
    the least certain. Leave out runs at which training diverges (activations or cache at 3 bits).
    """
    share = _share(P_w, gamma_w, n_w) * _share(P_a, gamma_a, n_a) * _share(P_kv, gamma_kv, n_kv)
    return E + A * (N * share) ** -alpha + B * D**-beta


@law(
    source="Kumar et al. 2024, arXiv 2411.04330, delta_PTQ",
    response="excess",
    latex=r"\delta(N, D, P) = C_T \frac{D^{\gamma_D}}{N^{\gamma_N}}\, e^{-P / \gamma_P}",
)
def ptq_excess(
    N: Positive,
    D: Positive,
    P: Positive,
    *,
    C_T: Amplitude,
    gamma_D: Annotated[Exponent, Bounds(0.02, 2.0)],
    gamma_N: Annotated[Exponent, Bounds(0.02, 2.0)],
    gamma_P: Annotated[Bits, Bounds(0.1, 5.0)],
) -> Any:
    """delta(N, D, P) = C_T D^gamma_D N^-gamma_N exp(-P / gamma_P)

    Loss added by quantizing trained weights: the longer a model was trained, the more it loses.

    The paper writes C_T D^gamma_D N^-gamma_N exp(-P / gamma_post + b); only C_T e^b has a meaning,
    and it is C_T here.

    Args:
        N: model parameters without embeddings, count.
        D: training tokens, count.
        P: bits of the weights after training.
        C_T: size; 0.1847, which is 0.0598 e^1.1277 of the paper.
        gamma_D: exponent of tokens; 0.5068.
        gamma_N: exponent of parameters; 0.3439.
        gamma_P: bits that divide the excess by e; 0.5907.

    Fits the column ``excess``: loss after quantization minus loss before, in nats per token.
    """
    return C_T * D**gamma_D * N**-gamma_N * jnp.exp(-P / gamma_P)


@law(
    source="Kumar et al. 2024, arXiv 2411.04330, unified law",
    latex=(
        r"L = E + \frac{A}{N_{\mathrm{eff}}^\alpha} + \frac{B}{D^\beta}"
        r" + C_T \frac{D^{\gamma_D}}{N_{\mathrm{eff}}^{\gamma_N}} e^{-P / \gamma_P}"
        r" \prod_x \left[1 - e^{-C_x (P_x - P)}\right]"
    ),
)
def unified_precision(
    N: Positive,
    D: Positive,
    P_w: Positive,
    P_a: Positive,
    P_kv: Positive,
    P: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    C_T: Amplitude,
    alpha: Power,
    beta: Power,
    gamma_w: Bits,
    gamma_a: Bits,
    gamma_kv: Bits,
    n_w: Shift,
    n_a: Shift,
    n_kv: Shift,
    gamma_D: Annotated[Exponent, Bounds(0.02, 2.0)],
    gamma_N: Annotated[Exponent, Bounds(0.02, 2.0)],
    gamma_P: Annotated[Bits, Bounds(0.1, 5.0)],
    C_w: Annotated[jax.Array, Kind("rate", 0.02, 5.0, spacing="log")],
    C_a: Annotated[jax.Array, Kind("rate", 0.02, 5.0, spacing="log")],
    C_kv: Annotated[jax.Array, Kind("rate", 0.02, 5.0, spacing="log")],
) -> Any:
    """L = precision(N, D, P_x) + ptq_excess(N_eff, D, P) prod_x (1 - exp(-C_x (P_x - P)))

    Training at one precision and serving at another, in one law.

    N_eff is that of ``precision``. Served at the precision of training, or above it, nothing is
    added.

    Args:
        N: model parameters without embeddings, count.
        D: training tokens, count.
        P_w: bits of weights in training.
        P_a: bits of activations in training.
        P_kv: bits of the key-value cache in training.
        P: bits of the weights when serving.
        E: irreducible loss.
        A: size of the finite-model term.
        B: size of the finite-data term.
        C_T: size of the excess, as in ``ptq_excess``.
        alpha: model exponent.
        beta: data exponent.
        gamma_w: bits over which weights saturate.
        gamma_a: bits over which activations saturate.
        gamma_kv: bits over which the cache saturates.
        n_w: offset of weights.
        n_a: offset of activations.
        n_kv: offset of the cache.
        gamma_D: exponent of tokens in the excess.
        gamma_N: exponent of parameters in the excess.
        gamma_P: bits that divide the excess by e.
        C_w: how fast training at low precision hardens weights against it, per bit. The paper
            prints no values of the three.
        C_a: the same for activations.
        C_kv: the same for the cache.

    Eighteen parameters are too many at once: fit ``precision`` on runs served as they were trained,
    fix its numbers, then fit the excess. The paper finds that this predicts as well as a joint fit.
    """
    share = _share(P_w, gamma_w, n_w) * _share(P_a, gamma_a, n_a) * _share(P_kv, gamma_kv, n_kv)
    effective = N * share
    hardened: Any = 1.0
    for trained, rate in ((P_w, C_w), (P_a, C_a), (P_kv, C_kv)):
        hardened = hardened * -jnp.expm1(-rate * jnp.maximum(trained - P, 0.0))
    excess = ptq_excess(effective, D, P, C_T=C_T, gamma_D=gamma_D, gamma_N=gamma_N, gamma_P=gamma_P)
    return E + A * effective**-alpha + B * D**-beta + excess * hardened
