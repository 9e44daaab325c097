"""Loss over learning rate and batch size, with model and data size: runs away from their optimum.

Every coefficient is of a reference run, so that it has the size of its term there: learning rate
1e-3, batch of 2^19 tokens, 1e9 parameters, 2e10 tokens. Other units of a column change the
coefficients and no prediction.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Offset, Positive

__all__ = ["loss_bowl", "posynomial_bowl"]

# The reference run: learning rate, tokens of a batch, parameters, tokens.
REFERENCE = (1e-3, 2.0**19, 1e9, 2e10)

Power = Annotated[Exponent, Bounds(0.02, 2.0)]
Slope = Annotated[Coefficient, Bounds(-1.0, 1.5)]


def _logs(*columns: Any) -> tuple[Any, ...]:
    """Logarithms of the columns against the reference run."""
    return tuple(
        jnp.log(column / reference) for column, reference in zip(columns, REFERENCE, strict=True)
    )


@law(
    source="second-order expansion of the loss in ln lr and ln batch, with the optimum of "
    "Li et al. 2025, arXiv 2503.04715",
    latex=r"L = E + \frac{A}{n^\alpha} + \frac{1}{d^\beta} (B + s_l x + s_b y + c_{ll} x^2 + "
    r"c_{lb} x y + c_{bb} y^2 + x (l_N \ln n + l_D \ln d) + y (b_N \ln n + b_D \ln d) + "
    r"t_N \ln n + t_D \ln d)",
    also_known_as=["quadratic in ln lr and ln batch", "hyperparameter response surface"],
)
def loss_bowl(
    lr: Positive,
    batch: Positive,
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Coefficient,
    s_l: Coefficient,
    s_b: Coefficient,
    c_ll: Coefficient,
    c_lb: Coefficient,
    c_bb: Coefficient,
    l_N: Coefficient,
    l_D: Coefficient,
    b_N: Coefficient,
    b_D: Coefficient,
    t_N: Coefficient,
    t_D: Coefficient,
    alpha: Exponent,
    beta: Exponent,
) -> Any:
    """L = E + A n^-alpha + d^-beta (B + quadratic form in ln lr and ln batch)

    Learning rate and batch size around their optimum, from all runs of a sweep.

    With x = ln(lr / 1e-3), y = ln(batch / 2^19), n = N / 1e9 and d = D / 2e10 the form is B + s_l x
    + s_b y + c_ll x^2 + c_lb x y + c_bb y^2 + x (l_N ln n + l_D ln d) + y (b_N ln n + b_D ln d) +
    t_N ln n + t_D ln d. Its optimum is a power of N and D, as the Step Law's; the bowl grows
    shallower with D, as the part of the loss that data removes does.

    Args:
        lr: peak learning rate.
        batch: tokens of a batch; of a table in sequences, name its column with their length, as
            ``batch=("batch_size", 2048)``.
        N: parameters without embeddings, count.
        D: training tokens, count.
        E: irreducible loss, nats per token; it trades off with A over one decade of N.
        A: finite-model loss of the reference run; about 1.
        B: finite-data loss of the reference run; of any sign, as the reference is any point.
        s_l: slope in ln lr at the reference run.
        s_b: slope in ln batch there.
        c_ll: curvature along ln lr; 0.03. It is a bowl where c_ll > 0 and 4 c_ll c_bb > c_lb^2.
        c_lb: product of ln lr and ln batch; -0.014: larger batches take higher learning rates.
        c_bb: curvature along ln batch; 0.02.
        l_N: drift of the slope in ln lr with ln N; 0.025: larger models take lower rates.
        l_D: drift of the slope in ln lr with ln D; about 0.
        b_N: drift of the slope in ln batch with ln N; about 0.
        b_D: drift of the slope in ln batch with ln D; -0.02: more tokens take larger batches.
        t_N: drift of the bowl's floor with ln N.
        t_D: drift of the bowl's floor with ln D; strongly correlated with beta and B.
        alpha: exponent of N.
        beta: exponent of D, of the bowl's depth too.

    A quadratic form is right around the optimum only: far from it use :data:`posynomial_bowl`.
    """
    x, y, n, d = _logs(lr, batch, N, D)
    form = B + s_l * x + s_b * y + c_ll * x**2 + c_lb * x * y + c_bb * y**2
    form = form + x * (l_N * n + l_D * d) + y * (b_N * n + b_D * d) + t_N * n + t_D * d
    return E + A * jnp.exp(-alpha * n) + jnp.exp(-beta * d) * form


@law(
    source="scalefit 2026, docs/hyperparameters.md: chosen by its predictions of held-out scales "
    "of the runs of Li et al. 2025 (Step Law), arXiv 2503.04715",
    latex=r"L = E + \frac{A}{n^\alpha} + P n^r (\frac{l}{b d^{1/3}})^p + "
    r"Q n^v (\frac{l^{1/2} b}{d^{3/2}})^u + R (\frac{b^{1/3}}{l d})^k + W l^3",
    also_known_as=["learning rate and batch size far from the optimum", "sum of monomials"],
)
def posynomial_bowl(
    lr: Positive,
    batch: Positive,
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    P: Amplitude,
    Q: Amplitude,
    R: Amplitude,
    W: Coefficient,
    alpha: Exponent,
    p: Power,
    r: Slope,
    u: Power,
    v: Slope,
    k: Power,
) -> Any:
    """L = E + A n^-alpha + P n^r z^p + Q n^v s^u + R t^-k + W l^3

    Learning rate and batch size over the whole range of a sweep, and extrapolated to larger runs.

    Of l = lr / 1e-3, b = batch / 2^19, n = N / 1e9 and d = D / 2e10 are made z = l / (b d^(1/3)),
    s = l^(1/2) b / d^(3/2) and t = l d / b^(1/3). Each term is one cause of a higher loss: the size
    of the model, the noise of the gradient (z), few steps (s), slow learning (t) and instability
    (l^3). In logarithms the sum is convex: a bowl with walls of different steepness. The powers
    1/3, 1/2, 3/2 and 3 were found on those runs, and are fixed.

    Args:
        lr: peak learning rate.
        batch: tokens of a batch; of a table in sequences, name its column with their length, as
            ``batch=("batch_size", 2048)``.
        N: parameters without embeddings, count.
        D: training tokens, count.
        E: irreducible loss, nats per token; at its bound 0 where N covers a decade only.
        A: finite-model loss of the reference run; about 2 where E is 0.
        P: loss by the noise of the gradient in the reference run; about 0.06.
        Q: loss by few steps; about 0.09.
        R: loss by slow learning; about 0.2.
        W: loss by instability; 2e-5. It is of no sign where no run comes near divergence.
        alpha: exponent of N; 0.09 where E is 0.
        p: exponent of noise; 0.43.
        r: exponent of N in noise; 0.3.
        u: exponent of few steps; 0.54.
        v: exponent of N in few steps; 0.35.
        k: exponent of slow learning; 0.28.

    Without a range of learning rates on both sides of the optimum R and P trade off with A.
    """
    x, y, n, d = _logs(lr, batch, N, D)
    noise = P * jnp.exp(p * (x - y - d / 3) + r * n)
    steps = Q * jnp.exp(u * (x / 2 + y - 1.5 * d) + v * n)
    slow = R * jnp.exp(-k * (x + d - y / 3))
    return E + A * jnp.exp(-alpha * n) + noise + steps + slow + W * jnp.exp(3 * x)
