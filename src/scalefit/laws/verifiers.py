"""Repeated sampling until a verifier accepts: what a verifier that errs makes of coverage."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from scalefit.arguments import number, numbers, refused, whole
from scalefit.errors import ArgumentError
from scalefit.laws.base import law
from scalefit.laws.kinds import Bounds, Fraction, OneOrMore, Share

__all__ = [
    "Resampled",
    "best_attempts",
    "resampled",
    "verified_coverage",
    "verified_sampling",
]

RATES = "Give the success rate of each kind of task, as rates=[0.87, 0.13]"
SHARES = "Give the share of each kind of task, as shares=[0.58, 0.42]"
# Attempts that are looked at, at most: arrays of as many numbers for each kind of task.
MOST = 10_000_000
# Shares are rounded.
ROUNDING = 1e-6

# A share of answers that are rejected, below which its powers are none.
SMALLEST = 1e-100

SHARE = "It is a probability, 0 to 1"


class Resampled(NamedTuple):
    """What becomes of tasks that are attempted until an answer is accepted.

    Attributes:
        correct: share of tasks with a correct answer accepted, shape of the attempts.
        wrong: share with a wrong one accepted; of the rest none is.
    """

    correct: np.ndarray
    wrong: np.ndarray


def resampled(
    samples: Any, rates: Any, shares: Any = None, *, soundness: float, completeness: float = 1.0
) -> Resampled:
    """Shares of tasks answered rightly and wrongly by the first answer that a verifier accepts.

    An attempt at a task of rate r is accepted with a = c r + (1 - s)(1 - r); within k attempts a
    correct answer is with c r / a (1 - (1 - a)^k), which tends to c r / (c r + (1 - s)(1 - r)).

    Args:
        samples: attempts per task k at most, count; ``np.inf`` gives the limits.
        rates: chance r of a correct attempt, for each kind of task.
        shares: share of the tasks of each kind; equal by default.
        soundness: chance s that a wrong answer is rejected.
        completeness: chance c that a correct answer is accepted.

    Raises:
        ArgumentError: a probability is none, or shares do not add up to 1.

    Source:
        Stroebl et al. 2024, arXiv 2411.17501, and the authors' notebook.

    Example:
        >>> from scalefit import laws
        >>> float(laws.resampled(100, [0.2], soundness=0.9).correct.round(3))
        0.714
    """
    attempts = "Pass numbers of attempts, as samples=[1, 10, 100]"
    k = numbers(samples, "samples", least=0, infinite=True, remedy=attempts)
    weight, right, wrong = _chances(rates, shares, soundness, completeness)
    accepted = right + wrong
    with np.errstate(divide="ignore", invalid="ignore"):
        # Certain acceptance, and none at all, have no logarithm to multiply.
        ln_left = np.where(k[..., None] > 0, k[..., None] * np.log1p(-accepted), 0.0)
        reached = np.where(accepted > 0, -np.expm1(ln_left) / accepted, 0.0)
    return Resampled((weight * right * reached).sum(-1), (weight * wrong * reached).sum(-1))


def best_attempts(
    rates: Any,
    shares: Any = None,
    *,
    soundness: float,
    completeness: float = 1.0,
    fluke: float,
    correct: float = 1.0,
    most: int = 10_000,
) -> int:
    """The number of attempts of the highest expected value, where wrong answers cost something.

    Zero where no answer at all is best. A task without an accepted answer is worth nothing.

    Args:
        rates: as for :func:`resampled`.
        shares: as for :func:`resampled`.
        soundness: as for :func:`resampled`.
        completeness: as for :func:`resampled`.
        fluke: value of a wrong answer that is accepted, zero or below.
        correct: value of a correct one.
        most: attempts that are looked at: an answer of as many may be too few.

    Raises:
        ArgumentError: a probability is none, or a value is no number.

    Source:
        Stroebl et al. 2024, arXiv 2411.17501. Their notebook weighs the k-th attempt by the kinds
        of task that are left twice; here it is once, with the same best numbers in its example.

    Example:
        >>> from scalefit import laws
        >>> laws.best_attempts([0.87, 0.13], [0.58, 0.42], soundness=0.75, fluke=-1)
        2
    """
    value = number(correct, "correct", remedy="Pass correct=1")
    cost = number(
        fluke, "fluke", most=0, remedy="Pass fluke=-1: as bad as a correct answer is good"
    )
    most = whole(most, "most", least=1, most=MOST, remedy="Pass most=10_000")
    k = np.arange(most + 1)
    found = resampled(k, rates, shares, soundness=soundness, completeness=completeness)
    return int(np.argmax(value * found.correct + cost * found.wrong))


def verified_coverage(coverage: Any, *, soundness: float) -> np.ndarray:
    """Accuracy within 1, 2, ... attempts under a verifier, from coverage by as many attempts.

    sum over j of s^(j - 1) (c(j) - c(j - 1)): the j-th attempt counts where all wrong ones before
    it were rejected. Whatever the success rates of the tasks are, for a verifier that accepts
    every correct answer.

    Args:
        coverage: c(1), c(2), ...: share of tasks that one of j attempts solves, as of
            :data:`coverage_beta`.
        soundness: chance s that a wrong answer is rejected.

    Raises:
        ArgumentError: coverage is no row of shares, or soundness none.
    """
    remedy = "Give coverage by 1, 2, 3, ... attempts, as coverage=[0.2, 0.33, 0.42]"
    found = numbers(coverage, "coverage", least=0, most=1, empty=False, remedy=remedy)
    if found.ndim != 1 or (np.diff(found) < -ROUNDING).any():
        raise refused("coverage", coverage, "a row of shares that never fall", remedy)
    s = number(soundness, "soundness", least=0, most=1, remedy=SHARE)
    gained = np.diff(found, prepend=0.0)
    return np.cumsum(s ** np.arange(found.size) * gained)


def _chances(
    rates: Any, shares: Any, soundness: float, completeness: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of each kind of task, and the chance of a right and a wrong acceptance an attempt."""
    r = np.atleast_1d(numbers(rates, "rates", least=0, most=1, empty=False, remedy=RATES))
    if r.ndim > 1:
        raise refused("rates", rates, "one number for each kind of task", RATES)
    w = (
        np.full(r.shape, 1 / r.size)
        if shares is None
        else np.atleast_1d(numbers(shares, "shares", least=0, most=1, remedy=SHARES))
    )
    if w.shape != r.shape or abs(w.sum() - 1) > ROUNDING:
        raise ArgumentError(
            f"shares of {r.size} kinds of task add up to 1",
            argument="shares",
            value=shares,
            remedy=SHARES,
        )
    s = number(soundness, "soundness", least=0, most=1, remedy=SHARE)
    c = number(completeness, "completeness", least=0, most=1, remedy=SHARE)
    return w, c * r, (1 - s) * (1 - r)


@law(
    source="Stroebl et al. 2024, arXiv 2411.17501, tasks of two kinds as in the authors' notebook",
    response="accuracy",
    latex=(
        r"\mathrm{acc}(k) = \sum_{i=1}^{2} w_i \frac{r_i}{a_i} \left(1 - (1 - a_i)^k\right), \quad"
        r" a_i = r_i + (1 - s)(1 - r_i)"
    ),
    also_known_as=["imperfect verifiers, limits of resampling"],
)
def verified_sampling(
    samples: OneOrMore,
    *,
    share: Fraction,
    rate: Annotated[Fraction, Bounds(1e-3, 0.999)],
    ratio: Annotated[Fraction, Bounds(1e-4, 1.0)],
    soundness: Annotated[Fraction, Bounds(0.0, 0.99999)],
) -> Share:
    """acc(k) = sum_i w_i r_i / a_i (1 - (1 - a_i)^k), a_i = r_i + (1 - s)(1 - r_i)

    Accuracy of the first of k attempts that a verifier accepts, which may be a wrong one.

    Tasks are of two kinds, easy ones with share w and rate r, and hard ones with rate r ratio. The
    verifier accepts every correct answer. Its ceiling is the sum of w r / a: no number of attempts
    passes it.

    Args:
        samples: attempts per problem k at most, count.
        share: share w of easy tasks.
        rate: chance r that an attempt at an easy task is correct.
        ratio: the same chance of hard tasks over that of easy ones.
        soundness: chance s that the verifier rejects a wrong answer; 0.75 in the authors' example.

    Attempts so few that the curve does not level off leave soundness and ratio undetermined. What
    coverage of any kind becomes under a verifier: :func:`verified_coverage`.
    """
    total: Any = 0.0
    for weight, r in ((share, rate), (1 - share, rate * ratio)):
        # (1 - q^k) / (1 - q) with q = 1 - a, in a form whose derivatives exist where q is zero.
        q = soundness * (1 - r)
        later = q * (1 - jnp.maximum(q, SMALLEST) ** (samples - 1)) / (1 - q)
        total = total + weight * r * (1 + later)
    return total
