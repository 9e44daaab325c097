"""From loss or scale to what a model can do: error and accuracy of tasks.

Responses are ``error`` and ``accuracy``, between 0 and 1. The authors fit raw residuals:
``residual="raw", robust="none"``.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    Coefficient,
    Exponent,
    Fraction,
    Kind,
    NotNegative,
    Positive,
    Share,
    scale_of,
)

__all__ = [
    "accuracy_of_compute",
    "accuracy_of_loss",
    "accuracy_of_scale",
    "accuracy_of_size",
    "bleu_of_data",
    "error_of_loss",
]

# Per unit of loss: from a straight line over the losses of a table to a step.
Decay = Annotated[jax.Array, Kind("rate", 0.02, 15.0, spacing="log", column="loss", per=True)]
Steepness = Annotated[jax.Array, Kind("rate", 0.1, 200.0, spacing="log", column="loss", per=True)]
Middle = Annotated[jax.Array, Kind("middle", 0.2, 5.0, spacing="log", column="loss")]

# From where the score is a power of ln D in all but name, to no score at any D of the table.
Start = Annotated[jax.Array, Kind("start", 1e-12, 1.0, spacing="log", column="D")]

Fall = Annotated[Coefficient, Bounds(-1.0, 0.0)]
Power = Annotated[Exponent, Bounds(0.02, 1.5)]


@law(
    source="Gadre et al. 2024, arXiv 2403.08540, top-1 error over loss",
    response="error",
    latex=r"\mathrm{Err}(L) = \epsilon - k e^{-\gamma L}",
    also_known_as=[
        "exponential decay of downstream error",
    ],
)
def error_of_loss(
    loss: Positive,
    *,
    epsilon: Amplitude,
    k: Amplitude,
    gamma: Decay,
) -> Share:
    """Err(L) = epsilon - k exp(-gamma L)

    Mean error over many tasks from the loss on text.

    Args:
        loss: loss of a model, nats per token.
        epsilon: error of a model that knows nothing; 0.76 (mean of 46 tasks), 0.85 to 0.87 (of 17).
        k: size of the gain, extrapolated to zero loss; 1.1 to 2.2.
        gamma: how fast error follows loss, 1 / nat; 0.7 to 1.

    The paper fits six runs, three parameters: intervals from so few mean little.
    """
    return epsilon - k * jnp.exp(-gamma * loss)


@law(
    source="Bhagia et al. 2024 (OLMo task ladder), arXiv 2412.04403, step 2",
    response="accuracy",
    latex=r"\mathrm{Acc}(L) = \frac{a}{1 + e^{-k (L - L_0)}} + b",
    also_known_as=[
        "sigmoid of task accuracy over loss",
    ],
)
def accuracy_of_loss(
    loss: Positive,
    *,
    b: Fraction,
    a: Fall,
    k: Steepness,
    L0: Middle,
) -> Share:
    """Acc(L) = a / (1 + exp(-k (L - L0))) + b

    Accuracy on a task from the loss on its right answers, which a first fit predicts.

    Args:
        loss: loss on the right answers of the task, bits per byte.
        b: accuracy at small loss; often at its bound 1, which the notes then say.
        a: minus the fall from there to chance.
        k: steepness, per unit of loss.
        L0: loss at half of the fall.
    """
    return a * jax.nn.sigmoid(k * (loss - L0)) + b


@law(
    source="Bhagia et al. 2024 (OLMo task ladder), arXiv 2412.04403, single-step variant",
    response="accuracy",
    latex=(
        r"\mathrm{Acc}(N, D) = \frac{a}{1 + e^{-(A (N / 10^9)^{-\alpha} "
        r"+ B (D / 10^{11})^{-\beta} + e)}} + b"
    ),
)
def accuracy_of_scale(
    N: Positive,
    D: Positive,
    *,
    b: Fraction,
    a: Fall,
    A: Annotated[Exponent, Bounds(1e-3, 100.0)],
    B: Annotated[Exponent, Bounds(1e-3, 100.0)],
    e: Annotated[Coefficient, Bounds(-20.0, 10.0)],
    alpha: Power,
    beta: Power,
) -> Share:
    """Acc(N, D) = a / (1 + exp(-(A (N/1e9)^-alpha + B (D/1e11)^-beta + e))) + b

    Accuracy on a task from size and tokens at once: a sigmoid of a Chinchilla law.

    The steepness k of the two-step form is inside A, B and e, which is k (E - L0).

    Args:
        N: model parameters, count.
        D: training tokens, count.
        b: accuracy of an infinitely large model, were e minus infinity.
        a: minus the fall from b to chance.
        A: model term at 1e9 parameters, in units of the sigmoid's argument.
        B: data term at 1e11 tokens, in the same units.
        e: argument of an infinite model on infinite data.
        alpha: model exponent.
        beta: data exponent.

    Accuracies that are all below or all above the middle of the sigmoid identify neither a nor b;
    chance is known, so fix a + b there.
    """
    reducible = A * (N / 1e9) ** -alpha + B * (D / 1e11) ** -beta
    return a * jax.nn.sigmoid(reducible + e) + b


@law(
    source="Krajewski et al. 2025, arXiv 2512.08894, eq. 2, as in the authors' code",
    response="accuracy",
    latex=r"Q(C) = q + (1 - q) e^{-(C_0 / C)^\alpha}",
)
def accuracy_of_compute(
    C: Positive,
    *,
    floor: Fraction,
    C0: Annotated[jax.Array, scale_of("C")],
    alpha: Power,
) -> Share:
    """Q(C) = floor + (1 - floor) exp(-(C0 / C)^alpha)

    Accuracy on a task straight from compute, at one ratio of tokens to parameters.

    -ln Q' = A C^-alpha for Q' = (Q - floor) / (1 - floor), with A = C0^alpha: a Gompertz curve in
    ln C.

    Args:
        C: training compute, FLOP.
        floor: accuracy of guessing; fix it: ``fixed={"floor": 0.25}``.
        C0: compute at which Q' is 1/e.
        alpha: exponent.

    The authors regress ln(-ln Q') on ln C, which weighs accuracies near 1 most, and leave out
    those within 5 points of guessing.
    """
    return floor + (1 - floor) * jnp.exp(-((C0 / C) ** alpha))


@law(
    source="Krajewski et al. 2025, arXiv 2512.08894, eq. 4, as in the authors' code",
    response="accuracy",
    latex=r"Q(N, D) = \exp(-A (N / 10^9)^{-\alpha} - B (D / 10^{11})^{-\beta})",
)
def accuracy_of_size(
    N: Positive,
    D: Positive,
    *,
    A: Annotated[Exponent, Bounds(1e-4, 100.0)],
    B: Annotated[Exponent, Bounds(1e-4, 100.0)],
    alpha: Power,
    beta: Power,
) -> Share:
    """Q(N, D) = exp(-A (N/1e9)^-alpha - B (D/1e11)^-beta)

    Accuracy on a task straight from size and tokens.

    -ln Q = A N^-alpha + B D^-beta, each term measured at a common size. There is no constant:
    accuracy goes to 1. The authors take the accuracy above guessing q, as (Q - q) / (1 - q).

    Args:
        N: model parameters, count.
        D: training tokens, count.
        A: model term of -ln Q at 1e9 parameters.
        B: data term of -ln Q at 1e11 tokens.
        alpha: model exponent.
        beta: data exponent.
    """
    return jnp.exp(-A * (N / 1e9) ** -alpha - B * (D / 1e11) ** -beta)


@law(
    source="Isik et al. 2024, arXiv 2402.04177, log-law of BLEU (caption of its figure 9, quoted), "
    "with K = alpha^beta and D0 = A^(-1 / alpha)",
    response="bleu",
    latex=r"\mathrm{BLEU}(D) = K \left(\ln \frac{D}{D_0}\right)^\beta",
    also_known_as=["log-law of translation: f(D) = (log(A D^alpha))^beta (2402.04177)"],
)
def bleu_of_data(
    D: Positive,
    *,
    K: Amplitude,
    D0: Start,
    beta: Annotated[Exponent, Bounds(0.1, 10.0)],
) -> NotNegative:
    """BLEU(D) = K (ln(D / D0))^beta

    Translation quality after fine-tuning, over the tokens of pre-training.

    The paper writes (ln(A D^alpha))^beta: alpha = K^(1/beta), A = D0^-alpha. At D0 and below, where
    its logarithm is not positive, the score is 0.

    Args:
        D: pre-training tokens, count.
        K: score at D = e D0, in the unit of the score.
        D0: tokens from which on there is a score.
        beta: exponent of the logarithm; 1 is a straight line in ln D.

    Scores may be 0: fit raw residuals. Scores that rise by less than half over the table leave D0
    and beta to trade off, and K with them: compare predictions. The law holds where pre-training
    data suit the task; elsewhere the authors see scores fall with D.
    """
    above = D > D0
    return jnp.where(above, K * jnp.log(jnp.where(above, D / D0, 2.0)) ** beta, 0.0)
