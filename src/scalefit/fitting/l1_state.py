"""Sums of absolute residuals: the state of their minimisation, and how far a point is from it.

With multipliers l in [-1, 1] of the rows, sum of w |r| = max over l of sum of w l r. A point is a
minimum, to first order, where some multipliers satisfy

    J^T W l = 0,   |r| = l r,

so that l = sign(r) for a row off the surface, and l is whatever balances the others for a row that
the surface passes through (an interpolated row).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import dot
from scalefit.fitting.scaled_objective import Batch, LocalModel, ScaledObjective

__all__ = [
    "LAST_PLACES",
    "L1Minima",
    "L1Path",
    "lagrangian",
    "minima_of",
    "rounding_of_residuals",
    "typical_residual",
]

# What is computed from numbers of size one is known to this.
LAST_PLACES = 4 * float(np.finfo(np.float64).eps)


class L1Minima(NamedTuple):
    """Where starts ended.

    Attributes:
        point: scaled coordinates, (starts, p).
        end: the sum of weight times multiplier times residual there; its Gauss-Newton matrix is
            that of the weights.
        iterations: (starts,).
        value: sum of weight times absolute residual, (starts,).
        decrement: share of it by which a step could lower it, (starts,): the duality gap, with
            residuals that are zero to rounding counted as zero.
        duality_gap: share by which it lies above the sum of weight times multiplier times residual,
            (starts,).
    """

    point: Any
    end: LocalModel
    iterations: Any
    value: Any
    decrement: Any
    duality_gap: Any


class L1Path(NamedTuple):
    """Starts under way, (starts, ...).

    Attributes:
        place: number of each start, (starts,).
        batch: their tables and bounds.
        point: scaled coordinates, (starts, p).
        rows: residuals, (starts, rows).
        multiplier: of each row, (starts, rows).
        mu: barrier parameter, (starts,).
        damping: (starts,).
        tried: sets of interpolated rows that were tried last, by the rule that chose them,
            (starts, rules, rows).
        iteration: (starts,).
    """

    place: Any
    batch: Batch
    point: Any
    rows: Any
    multiplier: Any
    mu: Any
    damping: Any
    tried: Any
    iteration: Any

    @property
    def weight(self) -> Any:
        """Weights of the rows, (starts, rows)."""
        return np.broadcast_to(self.batch.weight, self.rows.shape)

    def take(self, which: Any) -> L1Path:
        """Some of the starts."""
        count = len(self.place)
        batch = Batch(*(x if x is None or len(x) != count else x[which] for x in self.batch))
        leaves = self._replace(batch=batch)._asdict()
        return L1Path(**leaves | {name: leaves[name][which] for name in leaves if name != "batch"})


def typical_residual(rows: Any, weight: Any) -> Any:
    """Mean absolute residual of the rows of positive weight, unweighted, (starts,)."""
    counted = np.broadcast_to(weight > 0, rows.shape)
    return dot(np.where(counted, 1.0, 0.0), np.abs(rows)) / counted.sum(axis=-1)


def lagrangian(
    objective: ScaledObjective, batch: Batch, point: Any, multiplier: Any, rows: Any
) -> LocalModel:
    """The sum of weight times multiplier times residual around a point, (starts, ...).

    Its second derivative is ``hessian - gauss_newton``, where ``gauss_newton`` is J^T W J.
    """
    # The influence of a row within delta is its residual and shift: with this one, the multiplier.
    shifted = batch._replace(delta=np.ones((1, 1)), shift=multiplier - rows)
    return objective.local(shifted, point)


def minima_of(
    batch: Batch, end: LocalModel, multiplier: Any, value: Any, rounding: Any, **known: Any
) -> L1Minima:
    """How far from the least sum points can be, to first order, by their multipliers.

    Args:
        batch: the tables.
        end: the Lagrangian there.
        multiplier: of each row, (starts, rows).
        value: sum of weight times absolute residual, (starts,).
        rounding: what residuals are known to, (starts, rows).
        known: the other fields.
    """
    weight, sizes = np.broadcast_to(batch.weight, end.rows.shape), np.abs(end.rows)
    terms = weight * (sizes - multiplier * end.rows)
    resolved = np.where(sizes > rounding, terms, 0.0)
    share = np.where(value > 0, value, 1.0)
    return L1Minima(
        end=end,
        value=value,
        decrement=resolved.sum(axis=-1) / share,
        duality_gap=terms.sum(axis=-1) / share,
        **known,
    )


def rounding_of_residuals(batch: Batch, accumulated: Any) -> Any:
    """What residuals are known to, (starts, rows).

    Args:
        batch: the tables.
        accumulated: |J| times the sizes of the parameters, (starts, rows).
    """
    return LAST_PLACES * (1.0 + np.abs(batch.target) + accumulated)
