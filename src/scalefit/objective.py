"""What a fit minimises, in three words: residual, robust, delta.

The objective is a sum over rows, never a mean: quasi-Newton tolerances are absolute, and a mean of
tiny Huber terms has stopped published fits far from their optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

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
        if self.robust == "none":
            object.__setattr__(self, "delta", None)
        elif self.delta is None or not (math.isfinite(self.delta) and self.delta > 0):
            raise LawError(f"delta must be a positive number, not {self.delta!r}")

    def __str__(self) -> str:
        residual = RESIDUAL_TEXT[self.residual]
        if self.robust == "none":
            return f"sum of w r^2, r = {residual}"
        return f"sum of w H(r), r = {residual}, H Huber with delta = {self.delta:g}"

    @property
    def needs_positive_loss(self) -> bool:
        """Whether the residual is defined for positive losses only."""
        return self.residual != "raw"


# The functions below serve compiled programs and, on numpy arrays, the host: the value reported is
# computed by the same lines, outside the compiler.


def _library(array: Any) -> Any:
    return np if isinstance(array, np.ndarray) else jnp


def residuals(kind: str, observed: Any, predicted: Any) -> Any:
    """Residual of each row; infinite where the logarithm of a prediction does not exist."""
    if kind == "log":
        xp = _library(predicted)
        # The inner where keeps the derivative finite on the branch that is not taken.
        safe = xp.where(predicted > 0, predicted, 1.0)
        return xp.where(predicted > 0, xp.log(observed) - xp.log(safe), xp.inf)
    if kind == "relative":
        return (observed - predicted) / observed
    return observed - predicted


def residual_derivatives(kind: str, observed: Any, predicted: Any) -> tuple[Any, Any]:
    """First and second derivative of each residual in its prediction."""
    if kind == "log":
        safe = jnp.where(predicted > 0, predicted, 1.0)
        return -1.0 / safe, 1.0 / safe**2
    if kind == "relative":
        return -1.0 / observed, jnp.zeros_like(observed)
    return -jnp.ones_like(observed), jnp.zeros_like(observed)


def penalty(kind: str, residual: Any, delta: Any) -> Any:
    """rho(r) of each row."""
    if kind == "none":
        return residual**2
    xp = _library(residual)
    size = xp.abs(residual)
    return xp.where(size <= delta, 0.5 * residual**2, delta * (size - 0.5 * delta))


def influence(kind: str, residual: jax.Array, delta: Any) -> jax.Array:
    """psi(r), the derivative of rho."""
    return 2.0 * residual if kind == "none" else jnp.clip(residual, -delta, delta)


def curvature(kind: str, residual: jax.Array, delta: Any) -> jax.Array:
    """The second derivative of rho; 0 or 1 for Huber."""
    if kind == "none":
        return jnp.full_like(residual, 2.0)
    return jnp.where(jnp.abs(residual) <= delta, 1.0, 0.0)


def reweighting(kind: str, residual: jax.Array, delta: Any) -> Any:
    """psi(r) / r, the curvature of the parabola that touches rho at r from above."""
    if kind == "none":
        return jnp.full_like(residual, 2.0)
    return delta / jnp.maximum(jnp.abs(residual), delta)


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
    rows = residuals(objective.residual, observed, predicted)
    return float(np.sum(weight * penalty(objective.robust, rows, objective.delta))), rows


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
