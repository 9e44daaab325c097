"""What a fit minimises, in three words: residual, robust, delta.

The objective is a sum over rows, never a mean: quasi-Newton tolerances are absolute, and a mean of
tiny Huber terms has stopped published fits far from their optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.errors import DataError, LawError

__all__ = ["Objective", "Residual", "Robust"]

Residual = Literal["log", "relative", "raw"]
Robust = Literal["huber", "none"]

RESIDUAL_TEXT = {
    "log": "ln L - ln f",
    "relative": "(L - f) / L",
    "raw": "L - f",
}


@dataclass(frozen=True)
class Objective:
    """The sum that a fit minimises.

    With r the residual of a row and w its weight, ``robust="huber"`` sums w H(r), H(r) = r^2/2 for
    abs(r) <= delta and delta (abs(r) - delta/2) beyond; ``robust="none"`` sums w r^2.

    Attributes:
        residual: ``log`` (ln L - ln f), ``relative`` ((L - f)/L) or ``raw`` (L - f).
        robust: ``huber`` or ``none``.
        delta: where the Huber loss turns linear, in units of the residual; None without Huber.

    Raises:
        LawError: an unknown word, or a delta that is not positive.
    """

    residual: Residual = "log"
    robust: Robust = "huber"
    delta: float | None = 1e-3

    def __post_init__(self) -> None:
        for name, value, known in (
            ("residual", self.residual, get_args(Residual)),
            ("robust", self.robust, get_args(Robust)),
        ):
            if value not in known:
                raise LawError(f"{name}={value!r} is not one of {', '.join(map(repr, known))}")
        delta: Any = self.delta
        if self.robust == "none":
            object.__setattr__(self, "delta", None)
        elif not (isinstance(delta, Real) and math.isfinite(delta) and float(delta) > 0):
            raise LawError(f"delta must be a positive number, not {delta!r}")

    def __str__(self) -> str:
        residual = RESIDUAL_TEXT[self.residual]
        if self.robust == "none":
            return f"sum of w r^2, r = {residual}"
        return f"sum of w H(r), r = {residual}, H Huber with delta = {self.delta:g}"

    @property
    def needs_positive_loss(self) -> bool:
        """Whether the residual is defined for positive losses only."""
        return self.residual != "raw"


class Measure(NamedTuple):
    """An objective in numbers, so that one compiled program serves them all.

    The residual is ln L - ln f where ``logarithmic``, else (L - f) / divisor; the penalty is Huber
    with ``delta`` possibly infinite, which is half the square.

    Attributes:
        logarithmic: whether the residual is of logarithms, shape ().
        divisor: of a residual that is not, shape (rows,).
        delta: where the penalty turns linear, shape ().
        factor: value of the objective over the sum of penalties, shape ().
    """

    logarithmic: Any
    divisor: Any
    delta: Any
    factor: Any


def measure(objective: Objective, observed: np.ndarray, unit: float = 1.0) -> Measure:
    """The objective in numbers.

    Args:
        objective: what is summed.
        observed: observed losses divided by ``unit``, shape (rows,).
        unit: the unit; predictions are divided by it too.
    """
    raw = objective.residual == "raw"
    delta = np.inf if objective.delta is None else objective.delta
    return Measure(
        logarithmic=np.bool_(objective.residual == "log"),
        divisor=np.ones_like(observed) if raw else observed,
        delta=np.float64(delta / unit if raw else delta),
        factor=np.float64((2.0 if objective.robust == "none" else 1.0) * (unit**2 if raw else 1.0)),
    )


# The functions below serve compiled programs and, on numpy arrays, the host: the value reported is
# computed by the same lines, outside the compiler.


def _library(array: Any) -> Any:
    return np if isinstance(array, np.ndarray) else jnp


def residuals(how: Measure, observed: Any, predicted: Any) -> Any:
    """Residual of each row; infinite where the logarithm of a prediction does not exist."""
    xp = _library(predicted)
    # Ones stand in where no logarithm is taken: raw losses may be negative, and a prediction may
    # pass through zero on its way.
    fine = how.logarithmic & (predicted > 0)
    logs = xp.log(xp.where(how.logarithmic, observed, 1.0)) - xp.log(xp.where(fine, predicted, 1.0))
    logs = xp.where(fine, logs, xp.inf)
    return xp.where(how.logarithmic, logs, (observed - predicted) / how.divisor)


def residual_derivatives(how: Measure, predicted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and second derivative of each residual in its prediction."""
    inverse = -1.0 / jnp.where(how.logarithmic & (predicted > 0), predicted, how.divisor)
    return inverse, jnp.where(how.logarithmic, inverse**2, 0.0)


def penalty(how: Measure, residual: Any) -> Any:
    """Huber loss of each residual."""
    xp = _library(residual)
    size = xp.abs(residual)
    inner = xp.minimum(size, how.delta)
    # Delta may be infinite, and so may a residual: neither 0 * inf nor inf - inf may be formed.
    outside = size > how.delta
    delta = xp.where(outside, how.delta, 0.0)
    return 0.5 * inner**2 + delta * (xp.where(outside, size, 0.0) - delta)


def influence(how: Measure, residual: jax.Array) -> jax.Array:
    """psi(r), the derivative of the penalty."""
    return jnp.clip(residual, -how.delta, how.delta)


def curvature(how: Measure, residual: jax.Array) -> jax.Array:
    """Second derivative of the penalty: 1 within delta, 0 beyond."""
    return jnp.where(jnp.abs(residual) <= how.delta, 1.0, 0.0)


def reweighting(how: Measure, residual: jax.Array) -> jax.Array:
    """psi(r) / r, the curvature of the parabola that touches the penalty at r from above."""
    size = jnp.abs(residual)
    return jnp.where(size <= how.delta, 1.0, how.delta / jnp.where(size > 0, size, 1.0))


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
    how = measure(objective, observed)
    rows = residuals(how, observed, predicted)
    # A row of weight zero counts for nothing, even where no residual exists.
    terms = np.where(weight > 0, weight, 0.0) * np.where(weight > 0, penalty(how, rows), 0.0)
    return float(how.factor * np.sum(terms)), rows


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
