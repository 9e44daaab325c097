"""Filtered data: a pool of some quality, whose samples are worth less each time they are seen."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Exponent, Kind, Offset, Positive, Share
from scalefit.laws.relations import Relation

__all__ = ["quality_quantity_tradeoff"]

# Epochs that the formula counts: the paper's pools of 12.8 million are seen fifty times at most.
MOST = 64


@law(
    source="Goyal et al. 2024, arXiv 2404.07177, effective utility; read in the authors' code",
    response="error",
    relations=[Relation(f"samples / pool <= {MOST}")],
    latex=(
        r"y(n, U) = d + A\, n_1^{-b} \prod_{j \geq 2} \left(\frac{n_j}{n_{j-1}}\right)^{-b_j},"
        r"\quad b_j = b\, 2^{-(j-1)/\tau},\quad n_j = \min(n, j U)"
    ),
    also_known_as=["QQT, filtering of data with repeats (2404.07177)"],
)
def quality_quantity_tradeoff(
    samples: Positive,
    pool: Positive,
    *,
    d: Offset,
    A: Amplitude,
    b: Annotated[Exponent, Bounds(0.005, 2.0)],
    tau: Annotated[jax.Array, Kind("epochs", 0.1, 100.0, spacing="log")],
) -> Share:
    """y(n, U) = d + A n1^-b prod over epochs j >= 2 of (nj / n(j-1))^-bj, bj = b 2^(-(j-1) / tau)

    Filtered data: a small pool of high utility against a large one of less, with repetition.

    nj = min(n, j U) samples are seen by the end of epoch j, each epoch with a utility of its own.
    U = n and more is a power of n. Of a mixture of p pools of one size, the paper takes the mean of
    their b, and of their tau p times as much, as each is seen again so much later.

    The floor d is added to the product. The authors' code adds it before it multiplies by the
    ratios of the second and later epochs, so that their floor falls with repetition; up to one
    epoch both are the same. Their A is (a / 100,000)^-b, with an a that all pools share.

    Args:
        samples: samples seen n, with repetitions, count.
        pool: unique samples of the pool U, count; at most 64 epochs.
        d: error that no data go below; 0.1 is fixed in the paper.
        A: size of the reducible error at one sample.
        b: utility of a sample in the first epoch; 0.085 to 0.16 for ImageNet error of CLIP, from
            the worst of four pools to the best.
        tau: epochs after which the utility is halved; 2.3 to 8.5 there.

    tau is identified only by runs of several epochs; d and A by samples over a decade or more, and
    d is fixed at a value that is known where there are fewer: ``fixed={"d": 0.1}``.
    """
    epochs = samples / pool
    later: Any = 0.0
    keep = 2.0 ** (-1.0 / tau)
    # Horner's rule over the epochs, the last one first.
    for j in range(MOST - 1, 0, -1):
        later = keep * (later + jnp.log(jnp.clip(epochs / j, 1.0, (j + 1) / j)))
    return d + A * jnp.exp(-b * (jnp.log(jnp.minimum(samples, pool)) + later))
