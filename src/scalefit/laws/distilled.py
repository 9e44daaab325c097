"""Distillation: the loss of a student that learns from a teacher."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Positive

__all__ = ["distillation", "distillation_limit"]

Power = Annotated[Exponent, Bounds(0.05, 1.5)]
Shift = Annotated[Exponent, Bounds(0.02, 1.0)]


@law(
    source="Busbridge et al. 2025, arXiv 2502.08606, distillation scaling law",
    latex=(
        r"L = L_T + \frac{K}{L_T^{c_0}} \left(1 + x^{1/f_1}\right)^{-c_1 f_1} "
        r"\left(n^{-\alpha} + r d^{-\beta}\right)^\gamma,\quad x = \frac{L_T}{L_{sup} d_1}"
    ),
)
def distillation(
    N: Positive,
    D: Positive,
    teacher_loss: Positive,
    supervised_loss: Positive,
    *,
    K: Amplitude,
    c0: Annotated[Exponent, Bounds(0.01, 5.0)],
    c1: Annotated[Exponent, Bounds(1.0, 1e4)],
    d1: Annotated[Exponent, Bounds(0.8, 3.0)],
    f1: Shift,
    r: Annotated[Exponent, Bounds(1e-3, 1e3)],
    alpha: Power,
    beta: Power,
    gamma: Power,
) -> Any:
    """L = L_T + K L_T^-c0 (1 + (x / d1)^(1/f1))^(-c1 f1) (n^-alpha + r d^-beta)^gamma

    The loss of a student distilled from a teacher, by size, tokens and the teacher's loss.

    x = L_T / L_sup, n = N / 1e9, d = D / 1e11. The paper writes the last factor (A' N^-alpha + B'
    D^-beta)^gamma in raw counts; here its size is K, and r is the ratio of its terms at 1e9
    parameters and 1e11 tokens: A' is K^(1/gamma) 1e9^alpha, B' is r K^(1/gamma) 1e11^beta.

    Args:
        N: student parameters, count.
        D: tokens that the student is distilled on, count.
        teacher_loss: L_T, nats per token.
        supervised_loss: L_sup, what the student would reach on D tokens without a teacher; from a
            law fitted to such runs.
        K: size of the student's excess over its teacher.
        c0: how fast the excess shrinks with the teacher's loss.
        c1: how sharply a better teacher stops helping. Runs off to its bound along a ridge on which
            only (c1 f1)^f1 / d1 is fixed: use :data:`distillation_limit` there.
        d1: where the capacity gap opens, as a ratio of losses.
        f1: width of that transition, in ln of the ratio.
        r: data term over model term at 1e9 parameters and 1e11 tokens.
        alpha: exponent of student size.
        beta: exponent of distillation tokens.
        gamma: common power of both.

    Sloppy: parameters differ widely between fits of one table that agree within its noise. Compare
    predictions only. The paper's coefficients of this law are not quoted: none could be confirmed.
    """
    gap = (teacher_loss / (supervised_loss * d1)) ** (1 / f1)
    excess = ((N / 1e9) ** -alpha + r * (D / 1e11) ** -beta) ** gamma
    return teacher_loss + K * teacher_loss**-c0 * jnp.exp(-c1 * f1 * jnp.log1p(gap)) * excess


@law(
    source="Busbridge et al. 2025, arXiv 2502.08606, distillation scaling law at large c1",
    latex=(
        r"L = L_T + \frac{K}{L_T^{c_0}} e^{-x^{1/f_1}} "
        r"\left(n^{-\alpha} + r d^{-\beta}\right)^\gamma,\quad x = \frac{L_T}{L_{sup} s}"
    ),
)
def distillation_limit(
    N: Positive,
    D: Positive,
    teacher_loss: Positive,
    supervised_loss: Positive,
    *,
    K: Amplitude,
    c0: Annotated[Exponent, Bounds(0.01, 5.0)],
    s: Annotated[Exponent, Bounds(0.2, 5.0)],
    f1: Shift,
    r: Annotated[Exponent, Bounds(1e-3, 1e3)],
    alpha: Power,
    beta: Power,
    gamma: Power,
) -> Any:
    """L = L_T + K L_T^-c0 exp(-(x / s)^(1/f1)) (n^-alpha + r d^-beta)^gamma

    Distillation with one parameter fewer, where the data do not tell c1 and d1 apart.

    x = L_T / L_sup, n = N / 1e9, d = D / 1e11: what :data:`distillation` becomes where c1 and d1
    grow together, s = d1 (c1 f1)^-f1.

    Args:
        N: student parameters, count.
        D: tokens that the student is distilled on, count.
        teacher_loss: L_T, nats per token.
        supervised_loss: L_sup of the student without a teacher, nats per token.
        K: size of the student's excess over its teacher.
        c0: how fast the excess shrinks with the teacher's loss.
        s: ratio of losses at which the excess has fallen to 1/e.
        f1: width of the transition.
        r: data term over model term at 1e9 parameters and 1e11 tokens.
        alpha: exponent of student size.
        beta: exponent of distillation tokens.
        gamma: common power of both.
    """
    gap = (teacher_loss / (supervised_loss * s)) ** (1 / f1)
    excess = ((N / 1e9) ** -alpha + r * (D / 1e11) ** -beta) ** gamma
    return teacher_loss + K * teacher_loss**-c0 * jnp.exp(-gap) * excess
