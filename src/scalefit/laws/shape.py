"""The shape of a model: laws that let aspect ratio or the split of its parameters vary."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Offset, Positive

__all__ = ["architecture_product", "architecture_sum", "aspect_ratio"]

Slope = Annotated[Coefficient, Bounds(-1.0, 1.0)]


@law(
    source="Bian et al. 2025, arXiv 2501.18107, inference-efficient law",
    latex=(
        r"L(N, D, R) = \left(E + \frac{A}{N^\alpha} + \frac{B}{D^\beta}\right) "
        r"(1 + \epsilon R^\gamma)"
    ),
)
def aspect_ratio(
    N: Positive,
    D: Positive,
    aspect: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    alpha: Annotated[Exponent, Bounds(0.05, 1.2)],
    beta: Annotated[Exponent, Bounds(0.05, 1.2)],
    gamma: Annotated[Exponent, Bounds(0.05, 3.0)],
    epsilon: Annotated[Exponent, Bounds(1e-6, 0.3)],
) -> Any:
    """L(N, D, R) = (E + A N^-alpha + B D^-beta) (1 + epsilon R^gamma)

    Models of every aspect ratio: wide and shallow ones are fast, and lose a little.

    The authors tie the three exponents: ``tied=[("alpha", "beta", "gamma")]``.

    Args:
        N: model parameters, count.
        D: training tokens, count.
        aspect: R, model width over number of layers.
        E: irreducible loss of an infinitely narrow model; 2.4 on their runs.
        A: size of the model term.
        B: size of the data term.
        alpha: model exponent; 0.61 with all three tied.
        beta: data exponent.
        gamma: exponent of the aspect ratio.
        epsilon: loss of a model as wide as deep, relative to E; 1.1e-3 with the exponents tied.

    Runs of one ratio D/N do not tell A from B: the authors' fit to such runs has a negative A.
    """
    return (E + A * N**-alpha + B * D**-beta) * (1 + epsilon * aspect**gamma)


@law(
    source="Bian et al. 2025, arXiv 2510.18245, conditional law, eq. 3 in another normalisation",
    latex=(
        r"L(x, r) = L_{best} \left(a_0 + a_1 \ln x + \frac{a_2}{x}\right) "
        r"\left(1 + b_1 \ln r + b_2 \left(\frac{1}{r} - 1\right)\right)"
    ),
)
def architecture_product(
    width_ratio: Positive,
    mlp_ratio: Positive,
    best_loss: Positive,
    *,
    a0: Coefficient,
    a1: Coefficient,
    a2: Coefficient,
    b1: Slope,
    b2: Slope,
) -> Any:
    """L(x, r) = L_best (a0 + a1 ln x + a2 / x) (1 + b1 ln r + b2 (1/r - 1))

    Shapes of one size: hidden width and the split between MLP and attention, as two factors.

    The paper's second factor b0 + b1 ln r + b2 / r times any constant is the same law with the
    first one divided by it; here it is 1 at r = 1. Each factor is stationary at its ratio of
    coefficients, a2 / a1 and b2 / b1, a minimum where a2 (b2) is positive. Taken from two
    independent restatements of the equation, without published coefficients.

    Args:
        width_ratio: x, hidden size over the square root of the parameters without embeddings; best
            near 0.08.
        mlp_ratio: r, MLP parameters over attention parameters; best near 1.
        best_loss: loss of the best shape of that N and D, nats per token.
        a0: first factor, constant.
        a1: its slope in ln x.
        a2: its part in 1 / x.
        b1: slope of the second factor in ln r.
        b2: its part in 1 / r.

    a0, a1 and a2 are correlated where x varies little: compare the stationary points.
    """
    width = a0 + a1 * jnp.log(width_ratio) + a2 / width_ratio
    return best_loss * width * (1 + b1 * jnp.log(mlp_ratio) + b2 * (1 / mlp_ratio - 1))


@law(
    source="Bian et al. 2025, arXiv 2510.18245, conditional law, additive variant",
    latex=(r"L(x, r) = L_{best} + a_0 + a_1 \ln x + \frac{a_2}{x} + b_1 \ln r + \frac{b_2}{r}"),
)
def architecture_sum(
    width_ratio: Positive,
    mlp_ratio: Positive,
    best_loss: Positive,
    *,
    a0: Coefficient,
    a1: Coefficient,
    a2: Coefficient,
    b1: Coefficient,
    b2: Coefficient,
) -> Any:
    """L(x, r) = L_best + a0 + a1 ln x + a2 / x + b1 ln r + b2 / r

    Shapes of one size: hidden width and the split between MLP and attention, as two sums.

    The form was read in works that quote it.

    Linear in everything. Stationary at x = a2 / a1 and r = b2 / b1, a minimum where a2 (b2) is
    positive.

    Args:
        width_ratio: x, hidden size over the square root of the parameters without embeddings.
        mlp_ratio: r, MLP parameters over attention parameters.
        best_loss: loss of the best shape of that N and D, nats per token.
        a0: constant.
        a1: slope in ln x.
        a2: part in 1 / x.
        b1: slope in ln r.
        b2: part in 1 / r.
    """
    width = a1 * jnp.log(width_ratio) + a2 / width_ratio
    return best_loss + a0 + width + b1 * jnp.log(mlp_ratio) + b2 / mlp_ratio
