"""The objective in scaled coordinates: what the iterations minimise, for a batch of starts at once.

Each coefficient is multiplied by the root mean square of its column (so it is the size of that term
in the loss, whatever the units); nonlinear parameters keep their grid coordinate. With r the
residual of a row and w its weight, the objective is

    F(x) = sum of w rho(r(x)),   rho the Huber loss, or its square or asymmetric variant.

Its derivatives, with J the Jacobian of the residuals and psi = rho',

    gradient      J^T w psi
    Hessian       J^T w psi' J + sum of w psi r''
    Gauss-Newton  J^T W J,  W = w psi(r) / r,

the last of which is the second derivative of a parabola in r that touches rho and lies above it.

A batch has an axis of starts before all others; the table of each start may be its own. The same
lines run with numpy and, traced by JAX, inside one compiled program.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import dot
from scalefit.fitting.model import Model
from scalefit.objective import Residual

__all__ = ["IN_CACHE", "Batch", "LocalModel", "Penalties", "ScaleDerivatives", "ScaledObjective"]

# Numbers beyond which trial points are evaluated one by one: arrays of all would leave the cache.
IN_CACHE = 2**15

# Stands in for a residual of zero.
TINY = 1e-300


class Batch(NamedTuple):
    """The tables of a batch of starts; every array has an axis of starts, of length one if shared.

    Losses are in the unit of ``problem.Data``.

    Attributes:
        target: observed losses, or their logarithms under a logarithmic residual, (starts, rows).
        weight: row weights in the objective, (starts, rows).
        metric: row weights of the inner product in which columns are scaled; sum one,
            (starts, rows).
        lower: bounds in scaled coordinates, (starts, p).
        upper: (starts, p).
        held: scale of each column at the start, (starts, k); see ``ScaledObjective.moving``.
        delta: where the penalty turns linear, (starts, 1).
        shift: added to every residual, (starts, rows), or None.
    """

    target: Any
    weight: Any
    metric: Any
    lower: Any
    upper: Any
    held: Any
    delta: Any
    shift: Any

    def at_bound(self, point: Any, gradient: Any) -> Any:
        """Active bounds, (starts, p): the point is on one, and the objective falls beyond it."""
        below = (point <= self.lower) & (gradient >= 0)
        return below | ((point >= self.upper) & (gradient <= 0))


class ScaleDerivatives(NamedTuple):
    """Scales s of the columns, and what derivatives of a raw coefficient x / s are made of.

    Attributes:
        size: s, root mean square of each coefficient's column, (starts, k).
        first: g_a = d ln s / da, (starts, k, q).
        rest: s d2(1/s) / da db, (starts, k, q, q).
    """

    size: Any
    first: Any
    rest: Any


class LocalModel(NamedTuple):
    """The objective around a point, in scaled coordinates.

    Matrices are dense, (starts, p, p), or arrows (arrow.py).

    Attributes:
        rows: residuals without the shift, (starts, rows).
        value: (starts,).
        gradient: (starts, p).
        hessian: exact second derivative.
        gauss_newton: J^T W J with the weights psi(r)/r.
        jacobian: of the predictions, in the factored form of the kind of objective.
        residual_derivative: derivative of each residual in its prediction, (starts, rows).
        psi: weight times influence, (starts, rows).
    """

    rows: Any
    value: Any
    gradient: Any
    hessian: Any
    gauss_newton: Any
    jacobian: Any
    residual_derivative: Any
    psi: Any


class Penalties(NamedTuple):
    """What rows add to the objective, (starts, ...).

    Attributes:
        rows: residuals without the shift, (starts, rows).
        value: sum of weight times penalty, (starts,).
        terms: weight times penalty of each row, (starts, rows).
        residual_derivative: derivative of each residual in its prediction, (starts, rows).
        psi: weight times influence, (starts, rows).
        curvature: second derivative of weight times penalty in the prediction, and that of the
            parabola that lies above it, (2, starts, rows).
    """

    rows: Any
    value: Any
    terms: Any
    residual_derivative: Any
    psi: Any
    curvature: Any


class ScaledObjective(ABC):
    """The objective of one problem in scaled coordinates.

    Attributes:
        k: number of coefficients.
        q: number of nonlinear coordinates.
        moving: coefficients whose scale follows the coordinates, (k,). A finite bound on a raw
            coefficient is a box in scaled coordinates only if the scale of its column stays put.

    Args:
        model: its terms.
        unit: the unit of the loss.
        residual: ``log``, ``relative`` or ``raw``.
        asymmetry: how many times more a row below the surface counts.
        voids: whether some row of some table has weight zero.
    """

    def __init__(
        self,
        model: Model,
        unit: Any,
        *,
        residual: Residual,
        asymmetry: Any = 1.0,
        voids: bool = True,
    ) -> None:
        self.model = model
        self.problem = problem = model.problem
        self.library = model.library
        self.unit = unit
        self.residual = residual
        self.asymmetry = asymmetry
        self.symmetric = isinstance(asymmetry, float) and asymmetry == 1.0
        self.voids = voids
        self.k, self.q = len(problem.owners), len(problem.nonlinear)
        moving = [
            "finite" not in limits or not axes
            for limits, axes in zip(problem.limits, problem.axes_seen, strict=True)
        ]
        self.moving = np.array([moving[owner] for owner in problem.owners], dtype=bool)
        self._all_moving = bool(self.moving.all())

    # Columns

    @abstractmethod
    def columns_at(self, coordinates: Any, metric: Any) -> Any:
        """Scaled columns of all coefficients at some points.

        They have ``size``, ``known``, ``equations(metric, target)`` and ``predicted``; see
        ``dense_objective.ScaledColumns``.

        Args:
            coordinates: shape (points, q).
            metric: shape (rows,).
        """

    @property
    @abstractmethod
    def row_width(self) -> int:
        """Numbers that are held for each row at a point, about."""

    @abstractmethod
    def column_sums(
        self, index: int, coordinates: Any, signed: Any, absolute: Any
    ) -> tuple[Any, Any]:
        """Sums over rows of ``signed phi + absolute |phi|``, and of phi^2.

        Args:
            index: of the linear parameter whose columns phi are.
            coordinates: shape (points, q).
            signed: shape (rows,).
            absolute: shape (rows,).

        Returns:
            Shape (points, coefficients) each.
        """

    @abstractmethod
    def terms(self, coordinates: Any, coefficients: Any) -> list[Any]:
        """The term of each coefficient, and the known part last if there is one.

        Args:
            coordinates: shape (q,).
            coefficients: raw units, shape (k,).

        Returns:
            Each (rows,).
        """

    @abstractmethod
    def scale(self, metric: Any, coordinates: Any) -> Any:
        """Root mean square of each coefficient's column, (..., k).

        Args:
            metric: shape (..., rows).
            coordinates: shape (..., q).
        """

    @abstractmethod
    def scale_derivatives(self, metric: Any, coordinates: Any) -> ScaleDerivatives:
        """Scales of the columns with their derivatives, as if all moved, on the host.

        Args:
            metric: shape (starts, rows) or (1, rows).
            coordinates: shape (starts, q).
        """

    def effective_scale(self, batch: Batch, size: Any) -> Any:
        """Scales of columns, with that at the start where it stays, (..., starts, k)."""
        return size if self._all_moving else self.library.where(self.moving, size, batch.held)

    # Values

    @abstractmethod
    def predict(self, batch: Batch, point: Any) -> Any:
        """Prediction of each row in the unit of the loss, (..., starts, rows)."""

    def residuals_of(self, batch: Batch, predicted: Any) -> Any:
        """Residuals of predictions, without the shift, (..., starts, rows)."""
        if self.residual == "log":
            # Not a number below zero: the objective of such a point is infinite.
            rows = batch.target - self.library.log(predicted)
        else:
            rows = batch.target - predicted
            if self.residual == "relative":
                rows = rows / batch.target
        if self.voids:
            rows = self.library.where(batch.weight > 0, rows, 0.0)
        return rows

    def residuals(self, batch: Batch, point: Any) -> Any:
        """Residuals without the shift, (..., starts, rows)."""
        return self.residuals_of(batch, self.predict(batch, point))

    def value(self, batch: Batch, point: Any) -> Any:
        """Sum of weight times penalty, infinite where it is not a number, (..., starts).

        The Huber loss of a row is psi (r - psi / 2), with psi = r within delta.
        """
        xp = self.library
        if xp is np and point.ndim > 2 and point[..., 0].size * self.model.rows > IN_CACHE:
            return np.stack([self.value(batch, some) for some in point])
        rows = self.residuals(batch, point)
        if batch.shift is not None:
            rows = rows + batch.shift
        psi = xp.minimum(xp.maximum(rows, -batch.delta), batch.delta)
        terms = psi * (rows - 0.5 * psi)
        if not self.symmetric:
            terms = terms * xp.where(rows < 0, self.asymmetry, 1.0)
        found = dot(batch.weight, terms, xp)
        return xp.where(xp.isfinite(found), found, np.inf)

    def penalties(self, batch: Batch, predicted: Any) -> Penalties:
        """What rows add to the objective at predictions f, (starts, rows).

        With r' and r'' the derivatives of a residual in its prediction, the second derivative of
        w rho(r(f)) is w (psi' r'^2 + psi r''), where psi' is one within delta and zero beyond. Only
        ln L - ln f is curved, and its r'' = 1 / f^2 is r'^2.
        """
        xp = self.library
        rows = self.residuals_of(batch, predicted)
        shifted = rows if batch.shift is None else rows + batch.shift
        if self.residual == "log":
            first = -1.0 / predicted
            if self.voids:
                first = xp.where(batch.weight > 0, first, 0.0)
        else:
            each = batch.target if self.residual == "relative" else xp.ones(1)
            first = xp.broadcast_to(-1.0 / each, predicted.shape)
        psi = xp.minimum(xp.maximum(shifted, -batch.delta), batch.delta)
        value = psi * (shifted - 0.5 * psi)
        inside = psi == shifted
        # psi(r) / r, the weight of iteratively reweighted least squares.
        majorising = xp.minimum(1.0, batch.delta / xp.maximum(xp.abs(shifted), TINY))
        weight = batch.weight
        if not self.symmetric:
            weight = weight * xp.where(shifted < 0, self.asymmetry, 1.0)
        square = first * first * weight
        exact = inside + psi if self.residual == "log" else inside
        return Penalties(
            rows=rows,
            value=dot(weight, value, xp),
            terms=weight * value,
            residual_derivative=first,
            psi=weight * psi,
            curvature=xp.stack([square * exact, square * majorising]),
        )

    @abstractmethod
    def local(self, batch: Batch, point: Any) -> LocalModel:
        """The objective with its derivatives at a point, shape (starts, p)."""

    # Variable projection

    @abstractmethod
    def variable_projection(self, batch: Batch, points: Any) -> Any:
        """Points with coefficients that nearly minimise the objective for their coordinates.

        One weighted least-squares solution (Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2)).

        Args:
            batch: the tables.
            points: shape (..., starts, p).
        """

    def irls_weights(self, batch: Batch, predicted: Any, known: Any) -> tuple[Any, Any]:
        """Weights psi(r)/r of the least squares that majorise the objective, and their losses.

        Shape (..., starts, rows) each.
        """
        xp = self.library
        rows = self.residuals_of(batch, predicted)
        rows = xp.where(xp.isfinite(rows), rows, 0.0)
        size = xp.abs(rows)
        weight = xp.where(size <= batch.delta, 1.0, batch.delta / xp.where(size > 0, size, 1.0))
        if not self.symmetric:
            weight = weight * xp.where(rows < 0, self.asymmetry, 1.0)
        observed = xp.exp(batch.target) if self.residual == "log" else batch.target
        target = observed if known is None else observed - known
        return batch.metric * weight, xp.broadcast_to(target, rows.shape)

    def with_coefficients(self, batch: Batch, points: Any, solved: Any, ok: Any) -> Any:
        """Points with other coefficients, clipped to their bounds, where there is a solution."""
        xp, k = self.library, self.k
        solved = xp.clip(solved, batch.lower[:, :k], batch.upper[:, :k])
        solved = xp.where(ok[..., None], solved, points[..., :k])
        return xp.concatenate([solved, points[..., k:]], axis=-1)

    # Matrices of a LocalModel

    @abstractmethod
    def residual_squares(self, here: LocalModel) -> Any:
        """Sums of squares of each column of the Jacobian of the residuals, (starts, p)."""

    @abstractmethod
    def diagonal(self, matrix: Any) -> Any:
        """The diagonal, (starts, p)."""

    @abstractmethod
    def dense(self, matrix: Any) -> Any:
        """The whole matrix, (starts, p, p)."""

    @abstractmethod
    def packed(self, matrix: Any) -> Any:
        """Matrices as one array whose first axis is that of the starts."""

    @abstractmethod
    def blank_packed(self, count: int) -> np.ndarray:
        """Such an array of zeros."""

    @abstractmethod
    def solve_damped(
        self, here: LocalModel, active: Any, metric: Any, damping: Any
    ) -> tuple[Any, Any]:
        """Damped Newton, damped Gauss-Newton and undamped Newton steps.

        Args:
            here: the objective around the points.
            active: parameters that stay, (starts, p).
            metric: the damped diagonal, (starts, p).
            damping: of the Newton and of the Gauss-Newton step, (starts, 2).

        Returns:
            Steps, (3, starts, p), zero where a matrix is not safely positive definite; where it
            is, (3, starts).
        """

    def may_finish(self, ok: Any) -> Any:
        """Whether starts whose steps promise little may go on to finishing steps."""
        return True

    def relaxed(self, batch: Batch, point: Any, which: Any) -> Any:
        """Points that some starts moved to, or lower ones close by that cost less than a step."""
        return point
