"""What a fit minimises, in three words (residual, robust, delta), or four with asymmetry.

The objective is a sum over rows, never a mean: quasi-Newton tolerances are absolute, and a mean of
tiny Huber terms has stopped published fits far from their optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np

from scalefit.arguments import choice, number
from scalefit.errors import DataError

__all__ = ["Objective", "Residual", "Robust", "noisy_losses"]

Residual = Literal["log", "relative", "raw"]
Robust = Literal["huber", "l1", "asymmetric", "none"]

# The penalty on runs below the surface in the lower-envelope fits of OLMo-core (allenai/OLMo-core,
# pull request 554).
ASYMMETRY = 10.0

# Above it, rows on either side of the surface differ by more than a step can balance in float64.
MOST_ASYMMETRY = 1e5

# Largest relative residual that noise may have: a loss of ten times the law's.
MOST_RELATIVE = 0.9

RESIDUAL_TEXT = {
    "log": "ln L - ln f",
    "relative": "(L - f) / L",
    "raw": "L - f",
}


@dataclass(frozen=True)
class Objective:
    """The sum that a fit minimises.

    With r the residual of a row and w its weight, ``robust="huber"`` sums w H(r), H(r) = r^2/2 for
    abs(r) <= delta and delta (abs(r) - delta/2) beyond; ``robust="none"`` sums w r^2;
    ``robust="l1"`` sums w abs(r); ``robust="asymmetric"`` sums w c H(r), where c is ``asymmetry``
    for a run below the surface (r < 0) and 1 above it.

    Attributes:
        residual: ``log`` (ln L - ln f), ``relative`` ((L - f)/L) or ``raw`` (L - f).
        robust: ``huber``, ``l1``, ``asymmetric`` or ``none``.
        delta: where the Huber loss turns linear, in units of the residual; None without Huber.
        asymmetry: how many times more a run below the surface counts than one above; None unless
            asymmetric.

    Raises:
        ArgumentError: an unknown word; a delta that is not positive; an asymmetry that is not above
            1 (1 is ``huber``, and less would be an upper envelope), or above 100,000.
    """

    residual: Residual = "log"
    robust: Robust = "huber"
    delta: float | None = 1e-3
    asymmetry: float | None = None

    def __post_init__(self) -> None:
        choice(self.residual, "residual", get_args(Residual))
        choice(self.robust, "robust", get_args(Robust))
        delta, asymmetry = None, None
        if self.delta is not None or self.robust in ("huber", "asymmetric"):
            delta = number(self.delta, "delta", above=0, remedy="Pass delta=1e-3")
        if self.asymmetry is not None or self.robust == "asymmetric":
            asymmetry = number(
                ASYMMETRY if self.asymmetry is None else self.asymmetry,
                "asymmetry",
                above=1,
                most=MOST_ASYMMETRY,
                remedy="It is how many times more a run below the surface counts than one above: "
                f"pass asymmetry={ASYMMETRY:g}",
            )
        if self.robust in ("none", "l1"):
            delta = None
        object.__setattr__(self, "delta", delta)
        object.__setattr__(self, "asymmetry", asymmetry if self.robust == "asymmetric" else None)

    def __str__(self) -> str:
        residual = RESIDUAL_TEXT[self.residual]
        if self.robust == "none":
            return f"sum of w r^2, r = {residual}"
        if self.robust == "l1":
            return f"sum of w abs(r), r = {residual}"
        huber = f"r = {residual}, H Huber with delta = {self.delta:g}"
        if self.robust == "asymmetric":
            return f"sum of w c H(r), {huber}, c = {self.asymmetry:g} where r < 0, else 1"
        return f"sum of w H(r), {huber}"

    @property
    def needs_positive_loss(self) -> bool:
        """Whether the residual is defined for positive losses only."""
        return self.residual != "raw"


def noisy_losses(loss: np.ndarray, noise: np.ndarray, residual: Residual) -> np.ndarray:
    """Losses L whose residuals about a law's losses f are given: the inverse of the residual.

    ``log``: L = f exp(noise). ``raw``: L = f + noise. ``relative``, (L - f)/L: L = f/(1 - noise).

    Args:
        loss: losses of the law, any shape, broadcastable with the noise.
        noise: residuals, in the unit of the residual.
        residual: its kind.
    """
    if residual == "log":
        return np.asarray(loss * np.exp(noise))
    if residual == "raw":
        return np.asarray(loss + noise)
    # A relative residual is below 1 for every finite loss: closer to it the loss has no limit.
    return np.asarray(loss / (1 - np.minimum(noise, MOST_RELATIVE)))


class Measure(NamedTuple):
    """An objective in numbers.

    The penalty is Huber with ``delta`` possibly infinite, which is half the square, times
    ``asymmetry`` where r < 0. Its slope is continuous all the same, since that of the Huber loss is
    zero at r = 0.

    An ``absolute`` objective is the limit of penalty / delta for small delta: the polish chooses
    the deltas, and ``delta`` here is not used.

    Attributes:
        residual: ``log``, ``relative`` or ``raw``, as of an :class:`Objective`.
        delta: where the penalty turns linear.
        asymmetry: factor of the penalty of a negative residual.
        absolute: whether the objective is the sum of w abs(r).
        factor: value of the objective over the sum of penalties, or of w abs(r).
    """

    residual: Residual
    delta: float
    asymmetry: float
    absolute: bool
    factor: float


def measure(objective: Objective, unit: float = 1.0) -> Measure:
    """The objective in numbers.

    Args:
        objective: what is summed.
        unit: what observed and predicted losses are divided by.
    """
    raw = objective.residual == "raw"
    absolute = objective.robust == "l1"
    delta = math.inf if objective.delta is None else objective.delta
    # A raw residual is counted in the unit, and its penalty in the square of it.
    scale = (unit if absolute else unit**2) if raw else 1.0
    return Measure(
        residual=objective.residual,
        delta=float(delta / unit if raw else delta),
        asymmetry=float(objective.asymmetry or 1.0),
        absolute=absolute,
        factor=float((2.0 if objective.robust == "none" else 1.0) * scale),
    )


# The functions below take arrays of numpy or of JAX. The value reported is computed by them on the
# host, apart from the search.


def _library(array: Any) -> Any:
    return np if isinstance(array, np.ndarray | np.floating | float) else jnp


def residuals(how: Measure, observed: Any, predicted: Any) -> Any:
    """Residual of each row; infinite where the logarithm of a prediction does not exist."""
    xp = _library(predicted)
    if how.residual == "raw":
        return observed - predicted
    if how.residual == "relative":
        return (observed - predicted) / observed
    # Ones stand in where there is no logarithm, for derivatives of what is not chosen.
    fine = predicted > 0
    logs = xp.log(observed) - xp.log(xp.where(fine, predicted, 1.0))
    return xp.where(fine, logs, xp.inf)


def residual_derivatives(how: Measure, observed: Any, predicted: Any) -> tuple[Any, Any]:
    """First and second derivative of each residual in its prediction."""
    if how.residual == "log":
        inverse = -1.0 / predicted
        return inverse, inverse**2
    each = observed if how.residual == "relative" else np.ones_like(observed)
    return -1.0 / each, np.zeros_like(each)


def penalty(how: Measure, residual: Any) -> Any:
    """Huber loss of each residual, times the asymmetry below the surface."""
    xp = _library(residual)
    size = xp.abs(residual)
    inner = xp.minimum(size, how.delta)
    # Delta may be infinite, and so may a residual: neither 0 * inf nor inf - inf may be formed.
    outside = size > how.delta
    delta = xp.where(outside, how.delta, 0.0)
    huber = 0.5 * inner**2 + delta * (xp.where(outside, size, 0.0) - delta)
    return _side(how, residual) * huber


def influence(how: Measure, residual: Any) -> Any:
    """psi(r), the derivative of the penalty."""
    return _side(how, residual) * _library(residual).clip(residual, -how.delta, how.delta)


def _side(how: Measure, residual: Any) -> Any:
    """How much a row counts for the side of the surface it lies on."""
    return _library(residual).where(residual < 0, how.asymmetry, 1.0)


def evaluate(
    objective: Objective, observed: np.ndarray, predicted: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value of the objective and the residuals, in float64 on the host.

    Args:
        objective: what is summed.
        observed: observed losses, shape (rows,).
        predicted: predicted losses, shape (rows,).
        weight: row weights, shape (rows,).
    """
    how = measure(objective)
    rows = residuals(how, observed, predicted)
    # A row of weight zero counts for nothing, even where no residual exists.
    sizes = np.abs(rows) if objective.robust == "l1" else penalty(how, rows)
    terms = np.where(weight > 0, weight, 0.0) * np.where(weight > 0, sizes, 0.0)
    return float(how.factor * np.sum(terms)), rows


def slack(objective: Objective, rows: np.ndarray, weight: np.ndarray, error: np.ndarray) -> float:
    """By how much the objective may move where residuals move by so much.

    Args:
        objective: what is summed.
        rows: residuals, shape (rows,).
        weight: row weights, shape (rows,).
        error: largest change of each residual, shape (rows,).
    """
    how = measure(objective)
    size = np.where(weight > 0, np.abs(rows), 0.0)
    steepest = np.ones(()) if objective.robust == "l1" else np.minimum(size + error, how.delta)
    return float(how.factor * how.asymmetry * np.sum(weight * steepest * error))


def binary_size(value: Any) -> float:
    """The power of two of a number's size, by which others are divided without rounding.

    One where the number is zero, or none.
    """
    if not (np.isfinite(value) and value):
        return 1.0
    return float(np.ldexp(1.0, int(np.frexp(value)[1])))


def require_positive(objective: Objective, loss: Any, rows: Any) -> None:
    """Raise where the residual needs positive losses and the table has others.

    Raises:
        DataError: a loss is zero or negative under a log or relative residual.
    """
    if objective.needs_positive_loss and not (loss > 0).all():
        bad = (loss <= 0).nonzero()[0]
        raise DataError(
            f"loss is {loss[bad[0]]:g} in row {rows[bad[0]]}: {objective.residual} residuals need "
            "positive losses",
            column="loss",
            rows=[rows[i] for i in bad],
            remedy="Use residual='raw' (unigram-normalised and difference losses are negative), or "
            "convert the loss to nats per token",
        )
