"""Where starts ended: in the units of the table, with what the derivatives say of each end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import dot
from scalefit.fitting.newton import ROUNDING, State
from scalefit.fitting.scaled_objective import Batch, LocalModel, ScaledObjective

__all__ = ["Polished", "blank", "end_points", "newton_ends"]


class Polished(NamedTuple):
    """End points of the starts, in the units of the table.

    Attributes:
        coefficients: free linear coefficients, raw units, shape (starts, k).
        coordinates: free nonlinear coordinates, shape (starts, q).
        value: objective, shape (starts,).
        newton_decrement: decrease that a further Newton step promises, relative to the objective,
            (starts,).
        duality_gap: gap between the sum of absolute residuals and that of multiplier times
            residual, below which it cannot fall while the law is as good as linear, relative to the
            objective; 0 unless residuals are absolute, shape (starts,).
        gradient_cosine: largest cosine between the influence of the rows and a free Jacobian
            column, 0 at an optimum, shape (starts,).
        iterations: shape (starts,).
        active: which free parameters are held by a bound, shape (starts, p).
        gauss_newton: J^T W J at the end, in scaled coordinates, shape (starts, p, p), or packed
            (arrow.py). W has the weights psi(r)/r, or those of the table where residuals are
            absolute.
    """

    coefficients: Any
    coordinates: Any
    value: Any
    newton_decrement: Any
    duality_gap: Any
    gradient_cosine: Any
    iterations: Any
    active: Any
    gauss_newton: Any

    def take(self, which: Any) -> Polished:
        """Some of the starts."""
        return Polished(*(leaf[which] for leaf in self))

    def joined(self, other: Polished) -> Polished:
        """These starts and others."""
        return Polished(*map(np.concatenate, zip(self, other, strict=True)))

    def put(self, which: Any, found: Polished) -> None:
        """Write some of the starts in place."""
        for leaf, values in zip(self, found, strict=True):
            leaf[which] = values


def blank(count: int, objective: ScaledObjective) -> Polished:
    """End points to be written; NaN until then."""
    k, q = objective.k, objective.q
    return Polished(
        coefficients=np.zeros((count, k)),
        coordinates=np.zeros((count, q)),
        value=np.full(count, np.nan),
        newton_decrement=np.full(count, np.inf),
        duality_gap=np.zeros(count),
        gradient_cosine=np.full(count, np.inf),
        iterations=np.zeros(count, dtype=int),
        active=np.zeros((count, k + q), dtype=bool),
        gauss_newton=objective.blank_packed(count),
    )


def newton_ends(objective: ScaledObjective, factor: Any, batch: Batch, state: State) -> Polished:
    """End points of Newton iterations.

    Args:
        objective: the objective.
        factor: value of the objective over the sum of penalties.
        batch: the tables.
        state: where starts ended.
    """
    end = objective.local(batch, state.best)
    return end_points(
        objective,
        batch,
        state.best,
        end,
        value=end.value * factor,
        newton_decrement=state.decrement / objective.library.maximum(end.value, ROUNDING),
        iterations=state.iteration,
    )


def end_points(
    objective: ScaledObjective,
    batch: Batch,
    point: Any,
    end: LocalModel,
    *,
    value: Any,
    newton_decrement: Any,
    iterations: Any,
    duality_gap: Any = None,
) -> Polished:
    """End points in the units of the table, with what their derivatives say.

    The gradient in parameter i is the inner product of the rows' influence w psi with column i of
    the Jacobian; over their norms it is a cosine, free of units.
    """
    xp, k = objective.library, objective.k
    active = batch.at_bound(point, end.gradient)
    # |J_i| |w psi|, the largest that a component of the gradient could be.
    norms = xp.sqrt(objective.residual_squares(end) * dot(end.psi, end.psi, xp)[:, None])
    cosine = xp.abs(end.gradient) / xp.where(norms > 0, norms, 1.0)
    size = objective.effective_scale(batch, objective.scale(batch.metric, point[:, k:]))
    return Polished(
        coefficients=point[:, :k] * objective.unit / size,
        coordinates=point[:, k:],
        value=value,
        newton_decrement=newton_decrement,
        duality_gap=xp.zeros(len(point)) if duality_gap is None else duality_gap,
        gradient_cosine=xp.max(xp.where(active, 0.0, cosine), axis=-1, initial=0.0),
        iterations=iterations,
        active=active,
        gauss_newton=objective.packed(end.gauss_newton),
    )
