"""The shape of a model: laws in which width, depth, or the split of its parameters vary."""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Exponent, Offset, Positive

__all__ = [
    "architecture_product",
    "architecture_sum",
    "aspect_ratio",
    "shape_dimension",
    "width_depth",
    "width_depth_size",
]

Slope = Annotated[Coefficient, Bounds(-1.0, 1.0)]
Power = Annotated[Exponent, Bounds(0.02, 2.0)]


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


@law(
    source="McLeish et al. 2025 (Gemstones), arXiv 2502.06857, law of width, depth and tokens in "
    "the authors' code",
    latex=(r"L(w, l, D) = E + \frac{A}{w^\alpha} + \frac{B}{l^\beta} + \frac{C}{D^\gamma}"),
)
def width_depth(
    width: Positive,
    depth: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    C: Amplitude,
    alpha: Power,
    beta: Power,
    gamma: Power,
) -> Any:
    """L(w, l, D) = E + A w^-alpha + B l^-beta + C D^-gamma

    Models of every width and depth: which of them to enlarge, and when to train for longer.

    Args:
        width: hidden size w, count.
        depth: layers l, count.
        D: training tokens, count.
        E: irreducible loss.
        A: size of the term of finite width.
        B: size of the term of finite depth.
        C: size of the finite-data term.
        alpha: exponent of the width; 0.26 on the authors' runs beyond 1e11 tokens.
        beta: exponent of the depth; 0.14 there.
        gamma: data exponent; 0.54 there.

    Runs of one ratio of width to depth do not tell A from B. Depths span little more than a decade
    in practice: E then trades off with B and beta, and the authors' own fit has E at zero.
    """
    return E + A * width**-alpha + B * depth**-beta + C * D**-gamma


@law(
    source="McLeish et al. 2025 (Gemstones), arXiv 2502.06857, law of width, depth, parameters and "
    "tokens, as in the authors' code",
    latex=(
        r"L(w, l, N, D) = E + \frac{A}{w^\alpha} + \frac{B}{l^\beta} + \frac{C}{D^\gamma}"
        r" + \frac{G}{N^\zeta}"
    ),
)
def width_depth_size(
    width: Positive,
    depth: Positive,
    N: Positive,
    D: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    C: Amplitude,
    G: Amplitude,
    alpha: Power,
    beta: Power,
    gamma: Power,
    zeta: Power,
) -> Any:
    """L(w, l, N, D) = E + A w^-alpha + B l^-beta + C D^-gamma + G N^-zeta

    Width and depth beside the number of parameters: ``width_depth`` with a term of size.

    Args:
        width: hidden size w, count.
        depth: layers l, count.
        N: parameters without the input embedding, count.
        D: training tokens, count.
        E: irreducible loss; 1.45 to 1.53 on the authors' runs.
        A: size of the term of finite width; 2.8 to 5.5.
        B: size of the term of finite depth; 0.80 to 1.00.
        C: size of the finite-data term.
        G: size of the term of few parameters.
        alpha: exponent of the width; 0.19 to 0.30.
        beta: exponent of the depth; 0.34 to 0.48.
        gamma: data exponent; 0.47 to 0.68.
        zeta: exponent of the parameters; 0.36 to 0.64.

    N is about 12 w^2 l: a table must have narrow and deep models beside wide and shallow ones, and
    even then the terms of width, depth and size stand in for each other. Compare surfaces.
    """
    model = A * width**-alpha + B * depth**-beta + G * N**-zeta
    return E + model + C * D**-gamma


@law(
    source="Alabdulmohsin et al. 2023 (SoViT), arXiv 2305.13035, f_k(x, t) (form read second-hand)",
    latex=(r"f(x, C) = E + \frac{A}{x^a} + \frac{B x^b + G}{C^c}"),
    also_known_as=[
        "frames, tokens or size of a video model against examples, one at a time (2505.18855)"
    ],
)
def shape_dimension(
    x: Positive,
    C: Positive,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    G: Amplitude,
    a: Power,
    b: Power,
    c: Power,
) -> Any:
    """f(x, C) = E + A x^-a + (B x^b + G) C^-c

    One dimension of a shape (width, depth, size of the MLP) at every compute: too small, too large.

    At a compute the best is x* = (a A C^c / (b B))^(1 / (a + b)), which grows as C^(c / (a + b)).

    Args:
        x: the dimension, count; name its column, as ``x="width"``.
        C: training compute, in any unit: the paper's t in GFLOP.
        E: error of an infinite model on infinite compute.
        A: size of the term of a small x.
        B: what each further x costs at little compute.
        G: size of the term of finite compute alone.
        a: exponent of a small x.
        b: exponent of a large x.
        c: exponent of compute.

    The best x of every compute must lie inside the table: x on one side of it identifies one of A
    and B alone. G and c trade off where compute varies little.
    """
    return E + A * x**-a + (B * x**b + G) * C**-c
