"""Powers of one column, whatever it counts, and their relatives: logarithms and exponentials."""

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
    Positive,
    scale_of,
)

__all__ = [
    "logarithmic",
    "logarithmic_sum",
    "power",
    "power_offset",
    "shifted_power",
    "signed_power",
    "signed_power_offset",
    "stretched_exponential",
]

Slope = Annotated[Coefficient, Bounds(-5.0, 5.0)]
# A ten-thousandth of the smallest x changes no loss by more than its noise; a hundred times the
# largest leaves a straight line in x.
Shift = Annotated[jax.Array, Kind("shift", 1e-4, 1e2, spacing="log", column="x")]


@law(
    source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.1 to 1.3",
    latex=r"L(x) = \frac{A}{x^\alpha}",
    also_known_as=[
        "CLIP error over compute (2212.07143)",
        "superposition over width (2505.10465)",
        "time-series models (2410.12360)",
        "diffusion transformers (2410.08184)",
        "human preferences, WorldPM (2505.10527)",
    ],
)
def power(x: Positive, *, A: Amplitude, alpha: Exponent) -> Any:
    """L(x) = A x^-alpha

    A straight line in logarithms: loss by model size, tokens, compute or steps alone.

    Kaplan et al. write (x_c / x)^alpha: A is x_c^alpha, x_c is A^(1 / alpha).

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``.
        A: loss at x = 1. Strongly correlated with alpha.
        alpha: exponent; Kaplan et al. find 0.076 in parameters, 0.095 in tokens and 0.050 in
            compute, in nats per token of WebText2.
    """
    return A * x**-alpha


@law(
    source="Henighan et al. 2020, arXiv 2010.14701, eq. 1.1",
    latex=r"L(x) = E + \frac{A}{x^\alpha}",
    also_known_as=[
        "learning curves (1712.00409)",
        "lottery-ticket ensembles, alpha = 1 (2310.02258)",
        "self-consistency over votes (2511.12309)",
        "nested asymptotes of regularised ensembles, twice (2509.14786)",
    ],
)
def power_offset(x: Positive, *, E: Offset, A: Amplitude, alpha: Exponent) -> Any:
    """L(x) = E + A x^-alpha

    Power law above a floor: loss by model size, tokens, compute or steps alone.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``.
        E: loss at infinite x, with everything else as it is.
        A: reducible loss at x = 1. Strongly correlated with alpha.
        alpha: exponent.

    A floor is identified only where the curve bends towards it: over one decade, E and alpha trade
    off. A response that rises and levels off, as an accuracy, has A below zero:
    ``bounds={"A": (-np.inf, 0)}``.
    """
    return E + A * x**-alpha


@law(
    source="LAION 2025, arXiv 2506.04598, saturation on both sides in the authors' code; pow4 of "
    "Domhan et al. 2015, IJCAI",
    latex=r"L(x) = E + \frac{A}{(x + x_0)^\alpha}",
    also_known_as=[
        "pow4 of learning curves: accuracy c - (a x + b)^-alpha (Domhan et al. 2015, IJCAI)",
        "error of CLIP over compute, with a saturating start (2506.04598)",
    ],
)
def shifted_power(x: Positive, *, E: Offset, A: Amplitude, alpha: Exponent, x0: Shift) -> Any:
    """L(x) = E + A (x + x0)^-alpha

    A power law above a floor with a flat start, as if x0 had been seen before.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="D"``.
        E: limit at infinite x.
        A: reducible loss at x + x0 = 1. Strongly correlated with alpha.
        alpha: exponent of the straight part, where x is far above x0.
        x0: shift, in the unit of x; at 0 it is :data:`power_offset`. Searched from 1e-4 of the
            smallest x to 100 times the largest.

    Runs far above x0 do not tell it from zero: it ends anywhere below the smallest x, or at its
    bound. Runs all below it show a straight line in x, and then alpha, A and x0 trade off. A curve
    that bends like an exponential has alpha at its upper bound: :data:`stretched_exponential`.
    """
    return E + A * (x + x0) ** -alpha


@law(
    source="allometric law, as for optimal hyperparameters by DeepSeek-AI 2024, arXiv 2401.02954",
    latex=r"y(x) = A x^b",
    also_known_as=[
        "allometric law",
        "AdamW timescale over tokens per parameter (2505.13738)",
        "critical batch size over loss (2001.08361)",
    ],
)
def signed_power(x: Positive, *, A: Coefficient, b: Slope) -> Any:
    """y(x) = A x^b

    A power of either sign: what grows with x, or falls; a straight line in logarithms.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``. Name that of the
            response as ``loss="accuracy"``.
        A: response at x = 1, of either sign. Strongly correlated with b.
        b: exponent of either sign; :data:`power` has alpha = -b. DeepSeek-AI find 0.3271 for the
            optimal batch size over compute, and -0.1250 for the optimal learning rate.
    """
    return A * x**b


@law(
    source="allometric law with an offset; a < 0 and b < 0 is pow3 of Domhan et al. 2015, IJCAI",
    latex=r"y(x) = E + A x^b",
    also_known_as=[
        "pow3 of learning curves: accuracy c - a x^-alpha (Domhan et al. 2015, IJCAI)",
        "Box-Tidwell regression (1962): a power of the regressor",
    ],
)
def signed_power_offset(x: Positive, *, E: Coefficient, A: Coefficient, b: Slope) -> Any:
    """y(x) = E + A x^b

    What rises or falls to a limit, or away from one, with every coefficient of either sign.

    Fit raw residuals where the response may be zero or negative.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``. Name that of the
            response as ``loss="accuracy"``.
        E: the limit: at infinite x where b is below zero, at x = 0 where it is above.
        A: distance from the limit at x = 1. Strongly correlated with b.
        b: exponent of either sign; :data:`power_offset` has alpha = -b, and E and A not negative.

    A response along a straight line in ln x has b = 0, where E and A run apart and cancel: it is
    :data:`logarithmic`. Over one decade of x, b and E trade off.
    """
    return E + A * x**b


@law(
    source="linear regression on ln x, as for accuracy over compute by Ruan et al. 2024, arXiv "
    "2405.10938, before its sigmoid",
    latex=r"y(x) = a + b \ln x",
    also_known_as=[
        "PC = w ln C + b: principal components of benchmarks over compute (2405.10938)",
        "lr(N) = a - b ln N: learning rate by size (OpenAI, read second-hand)",
        "semilogarithmic regression: a metric by doublings",
    ],
)
def logarithmic(x: Positive, *, a: Coefficient, b: Coefficient) -> Any:
    """y(x) = a + b ln x

    As much more, or less, with each factor of x: the limit of a power law of small exponent.

    Linear in both. Fit raw residuals where the response may be zero or negative.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="C"``. Name that of the
            response as ``loss="accuracy"``.
        a: response at x = 1, which may lie far outside the table.
        b: change for each e-fold of x, of either sign; 2.303 b for each decade.

    It has no limit: an accuracy along it passes 1.
    """
    return a + b * jnp.log(x)


@law(
    source="linear regression on ln x and ln z, as for skills over size and tokens by Maia Polo et "
    "al. 2024 (Sloth), arXiv 2412.06540, without their product",
    latex=r"y(x, z) = a + b \ln x + c \ln z",
    also_known_as=["semilogarithmic regression on two columns"],
)
def logarithmic_sum(
    x: Positive, z: Positive, *, a: Coefficient, b: Coefficient, c: Coefficient
) -> Any:
    """y(x, z) = a + b ln x + c ln z

    As much more, or less, with each factor of x and of z: a metric over size and tokens.

    Linear in all three. Fit raw residuals where the response may be zero or negative.

    Args:
        x: first quantity that is scaled, positive; name its column, as ``x="N"``.
        z: second one, as ``z="D"``. Name the column of the response as ``loss="accuracy"``.
        a: response at x = z = 1, which may lie far outside the table.
        b: change for each e-fold of x, of either sign; 2.303 b for each decade.
        c: change for each e-fold of z.

    Runs along a line, as those of one ratio z / x, show only b + c. It has no limit: an accuracy
    along it passes 1.
    """
    return a + b * jnp.log(x) + c * jnp.log(z)


@law(
    source="Weibull curve of learning curves, Domhan et al. 2015, IJCAI, there 1 / s = kappa",
    latex=r"L(x) = E + A\,e^{-(x / s)^b}",
    also_known_as=[
        "wbl4, weibull, janoschek and exp4 of learning curves (Domhan et al. 2015, IJCAI)",
        "Kohlrausch function",
        "exponential decay to a floor, with b fixed at 1",
    ],
)
def stretched_exponential(
    x: Positive,
    *,
    E: Offset,
    A: Amplitude,
    s: Annotated[jax.Array, scale_of("x")],
    b: Annotated[Exponent, Bounds(0.05, 5.0)],
) -> Any:
    """L(x) = E + A exp(-(x / s)^b)

    Learning curves that reach their floor faster than any power, after a slow start.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="D"``.
        E: limit at infinite x.
        A: fall from x = 0 to there; ``bounds={"A": (-np.inf, 0)}`` for a response that rises.
        s: where 1/e of the fall is left, in the unit of x.
        b: stretching; 1 is exponential, below 1 the fall begins early and has a long tail, above 1
            it is an S.

    Runs all above s say little of A, runs all below s little of E, and either leave s and b to
    trade off. A b near its lower bound is a power law: :data:`power_offset`.
    """
    return E + A * jnp.exp(-((x / s) ** b))
