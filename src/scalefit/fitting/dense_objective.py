"""The objective with a column for every coefficient, and dense matrices.

Derivatives are taken of the raw columns; what the scaling adds to them is written out. With phi a
raw column, s its root mean square in the metric, u = phi / s, <., .> the inner product of the
metric (in which <u, u> = 1), d_a and D_ab the derivatives of phi over s, and g_a = <u, d_a>,

    s_a / s  = g_a
    u_a      = d_a - g_a u
    u_ab     = D_ab - g_b d_a - g_a d_b + u (3 g_a g_b - <d_a, d_b> - <u, D_ab>).

The first derivatives of a prediction are sums of the leading rows of the stack
(derivative_stack.py), J = C S with S the raw rows and C the small matrix of the chain rule: J^T W J
is C (S W S^T) C^T, so that only raw rows meet the many rows of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.derivative_stack import StackLayout
from scalefit.fitting.linear_solve import combined, dot, product, solve_dense, stacked
from scalefit.fitting.model import Model
from scalefit.fitting.scaled_objective import (
    IN_CACHE,
    Batch,
    LocalModel,
    ScaleDerivatives,
    ScaledObjective,
)

__all__ = ["DenseObjective", "Gram", "ScaledColumns"]

# Rows of a stack up to which one product of all with all costs less than picking the pairs.
SMALL_STACK = 16


class Gram(NamedTuple):
    """Inner products of the columns of all coefficients.

    Attributes:
        matrix: shape (points, k, k).
        library: ``numpy`` or ``jax.numpy``.
    """

    matrix: Any
    library: Any

    def ridged(self, share: float) -> Gram:
        """With a share of each diagonal entry added."""
        return self._replace(matrix=self.matrix * (1 + share * np.eye(self.matrix.shape[-1])))

    def times(self, vector: Any) -> Any:
        """The product with a vector, (points, k)."""
        return dot(self.matrix, vector[:, None, :], self.library)

    def solved(self, right: Any, held: Any) -> Any:
        """The solution, (points, k), of which some entries may be held at the right-hand side."""
        matrix = self.matrix
        if held is not None:
            eye = np.eye(matrix.shape[-1])
            matrix = self.library.where(held[:, :, None] | held[:, None, :], eye, matrix)
        return solve_dense(matrix, right, library=self.library)[0]


class ScaledColumns(NamedTuple):
    """Columns of all coefficients at some points, over their scales.

    Attributes:
        size: root mean square of each column, one where that is zero, (points, k).
        known: the part without coefficients, or None.
        scaled: shape (points, k, rows).
        library: ``numpy`` or ``jax.numpy``.
    """

    size: Any
    known: Any
    scaled: Any
    library: Any

    def equations(self, metric: Any, target: Any) -> tuple[Gram, Any]:
        """Normal equations, for weights and losses of shape (points, rows)."""
        xp, weighted = self.library, self.scaled * metric[:, None]
        return Gram(product(weighted, self.scaled, xp), xp), dot(weighted, target[:, None], xp)

    def predicted(self, coefficients: Any) -> Any:
        """The sum of the columns with scaled coefficients, (points, rows)."""
        return (coefficients[:, None, :] @ self.scaled)[:, 0]


class FactoredJacobian(NamedTuple):
    """The transposed Jacobian of the predictions, J^T = C S.

    Attributes:
        chain: C, derivatives of a prediction as sums of raw rows, (starts, p, n).
        stack: S, raw columns and their first derivatives, (starts, n, rows).
    """

    chain: Any
    stack: Any


class DenseObjective(ScaledObjective):
    """The objective of a problem with few coefficients.

    Args:
        model: its terms.
        unit: the unit of the loss.
        indicators: for each division of the rows, which row is of which level, (levels, rows).
        options: see :class:`ScaledObjective`.
    """

    def __init__(self, model: Model, unit: Any, indicators: Sequence[Any], **options: Any) -> None:
        super().__init__(model, unit, **options)
        self._eye = np.eye(self.k + self.q)
        self.layout = StackLayout(model)
        self._levels = [
            None if division is None else indicators[division]
            for division in self.problem.divisions
        ]

    # Columns

    def _by_level(self, index: int | None, items: Sequence[Any]) -> list[Any]:
        """Rows of a linear parameter, or None for the known part, coefficient by coefficient."""
        levels = None if index is None else self._levels[index]
        return list(items) if levels is None else [x * level for level in levels for x in items]

    def raw_columns(self, coordinates: Any) -> tuple[Any, Any]:
        """Column of every coefficient, (..., k, rows), and the known part, or None."""
        values, known = self.model.values(coordinates)
        shape = (*np.shape(coordinates)[:-1], self.model.rows)
        blocks = [item for i, rows in enumerate(values) for item in self._by_level(i, [rows])]
        return stacked(blocks, shape, self.library), known

    def columns_at(self, coordinates: Any, metric: Any) -> ScaledColumns:
        """See :class:`ScaledObjective`."""
        xp = self.library
        columns, known = self.raw_columns(coordinates)
        size = xp.sqrt(dot(columns * metric, columns, xp))
        size = xp.where(size > 0, size, 1.0)
        return ScaledColumns(size, known, columns / size[..., None], xp)

    @property
    def row_width(self) -> int:
        """See :class:`ScaledObjective`."""
        return self.k

    def column_sums(
        self, index: int, coordinates: Any, signed: Any, absolute: Any
    ) -> tuple[Any, Any]:
        """See :class:`ScaledObjective`."""
        owners = np.array(self.problem.owners, dtype=int)
        columns = self.raw_columns(coordinates)[0][:, owners == index]
        return columns @ signed + np.abs(columns) @ absolute, (columns**2).sum(axis=-1)

    def terms(self, coordinates: Any, coefficients: Any) -> list[Any]:
        """See :class:`ScaledObjective`."""
        columns, known = self.raw_columns(coordinates)
        rest = [] if known is None else [np.broadcast_to(known, self.model.rows)]
        return [*(coefficients[:, None] * columns), *rest]

    def scale(self, metric: Any, coordinates: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return self._scale(metric, self.raw_columns(coordinates)[0])

    def _scale(self, metric: Any, columns: Any) -> Any:
        xp = self.library
        return xp.sqrt(dot(columns * metric[..., None, :], columns, xp))

    def scale_derivatives(self, metric: Any, coordinates: Any) -> ScaleDerivatives:
        """See :class:`ScaledObjective`."""
        layout, count = self.layout, len(coordinates)
        size, g, rest = self._scale_jet(self._stack(coordinates), metric, every=True)
        first = np.zeros((count, self.k, self.q))
        first[:, layout.d_coefficient, layout.d_axis] = g
        second = np.zeros((count, self.k, self.q, self.q))
        a, b = layout.d_axis[layout.s_a], layout.d_axis[layout.s_b]
        second[:, layout.s_coefficient, a, b] = rest
        second[:, layout.s_coefficient, b, a] = rest
        return ScaleDerivatives(size, first, second)

    def _stack(self, coordinates: Any) -> Any:
        """Columns and derivatives, as the layout has them, (starts, n, rows)."""
        jet = self.model.jet(coordinates)
        rows = [row for index, items in jet for row in self._by_level(index, items)]
        return stacked(rows, (len(coordinates), self.model.rows), self.library)

    def _scale_jet(self, stack: Any, metric: Any, every: bool = False) -> tuple[Any, Any, Any]:
        """Scales s of the columns; g_a and 3 g_a g_b - <d_a, d_b> - <u, D_ab>, which is
        s d2(1/s), both zero where s stays.

        Shapes (starts, k), and (starts, n) in the order of the layout.
        """
        xp, layout = self.library, self.layout
        k, nd = layout.k, len(layout.d_axis)
        columns, d = stack[:, layout.at["columns"]], stack[:, layout.at["d"]]
        weighted = columns * metric[:, None, :]
        square = dot(weighted, columns, xp)
        if not nd:
            return xp.sqrt(square), xp.zeros((len(stack), 0)), xp.zeros((len(stack), 0))
        of_d, of_s = layout.d_coefficient, layout.s_coefficient
        s = stack[:, layout.at["s"]]
        # Sums over rows of metric times phi d_a, d_a d_b and phi D_ab.
        if k + nd + len(of_s) <= SMALL_STACK:
            # One product of everything with everything costs less than picking.
            lead = xp.concatenate([weighted, d * metric[:, None, :]], axis=1)
            gram = product(lead, xp.concatenate([d, s], axis=1), xp)
            to_d = gram[:, of_d, np.arange(nd)]
            both = gram[:, k + layout.s_a, layout.s_b]
            to_s = gram[:, of_s, nd + np.arange(len(of_s))]
        else:
            to_d = dot(weighted[:, of_d], d, xp)
            mine = d * metric[:, None, :]
            both = dot(mine[:, layout.s_a], d[:, layout.s_b], xp)
            to_s = dot(weighted[:, of_s], s, xp)
        g = to_d / square[:, of_d]
        rest = 3.0 * g[:, layout.s_a] * g[:, layout.s_b] - (both + to_s) / square[:, of_s]
        if not (every or self._all_moving):
            g = xp.where(self.moving[of_d], g, 0.0)
            rest = xp.where(self.moving[of_s], rest, 0.0)
        return xp.sqrt(square), g, rest

    def predict(self, batch: Batch, point: Any) -> Any:
        """See :class:`ScaledObjective`."""
        columns, known = self.raw_columns(point[..., self.k :])
        size = self.effective_scale(batch, self._scale(batch.metric, columns))
        return self._total((point[..., : self.k] / size), columns, known)

    def _total(self, raw: Any, columns: Any, known: Any) -> Any:
        total = combined(raw, columns, self.library)
        return total if known is None else total + known / self.unit

    # The objective

    def local(self, batch: Batch, point: Any) -> LocalModel:
        """See :class:`ScaledObjective`."""
        xp, k, layout = self.library, self.k, self.layout
        stack = self._stack(point[:, k:])
        size, g, rest = self._scale_jet(stack, batch.metric)
        size = self.effective_scale(batch, size)
        raw = point[:, :k] / size
        known = stack[:, -1] if layout.has_known else None
        found = self.penalties(batch, self._total(raw, stack[:, layout.at["columns"]], known))
        # w psi dr/df: the derivative of the objective in each prediction.
        pull = found.psi * found.residual_derivative
        lead = stack[:, : layout.lead]
        chain = self._chain(size, raw, g)
        # Both J^T W J at once, for the exact and for the majorising weights.
        weighted = found.curvature[:, :, None, :] * lead
        products = chain @ product(weighted, lead, xp) @ xp.swapaxes(chain, -1, -2)
        sums = dot(stack, pull[:, None, :], xp)
        return LocalModel(
            rows=found.rows,
            value=found.value,
            gradient=(chain @ sums[:, : layout.lead, None])[..., 0],
            hessian=products[0] + self._curvature_of_law(sums, size, raw, g, rest),
            gauss_newton=products[1],
            jacobian=FactoredJacobian(chain, lead),
            residual_derivative=found.residual_derivative,
            psi=found.psi,
        )

    def _chain(self, size: Any, raw: Any, g: Any) -> Any:
        """Derivatives of a prediction as sums of the leading rows of a stack, (starts, p, n).

        In a scaled coefficient: phi / s. In a coordinate a: raw coefficient times phi_a - g_a phi.
        """
        xp, k, layout = self.library, self.k, self.layout
        chain = xp.zeros((len(size), k + self.q, layout.lead))
        every, axis = np.arange(k), k + layout.d_axis
        of_d = layout.d_coefficient
        own = raw[:, of_d]
        chain = _put(chain, every, every, 1.0 / size)
        chain = _put(chain, axis, k + np.arange(len(of_d)), own)
        chain = _put(chain, axis, of_d, -own * g)
        if len(layout.known_axis):
            places = np.arange(layout.at["known_d"].start, layout.lead)
            chain = _put(chain, k + layout.known_axis, places, 1.0 / self.unit)
        return chain

    def _curvature_of_law(self, sums: Any, size: Any, raw: Any, g: Any, rest: Any) -> Any:
        """Sum over rows of pull times second derivative of the prediction, (starts, p, p).

        Args:
            sums: over rows, of pull times each row of a stack, (starts, n).
            size: scales of the columns.
            raw: raw coefficients in the unit of the loss.
            g: of the layout's first derivatives.
            rest: of its second derivatives.
        """
        xp, k, q, layout = self.library, self.k, self.q, self.layout
        matrix = xp.zeros((len(size), k + q, k + q))
        if not q:
            return matrix
        of_d, of_s = layout.d_coefficient, layout.s_coefficient
        column, d = sums[:, layout.at["columns"]], sums[:, layout.at["d"]]
        # In a coefficient and a coordinate, u_a; in two coordinates, the coefficient times u_ab.
        sides = (d - g * column[:, of_d]) / size[:, of_d]
        found = sums[:, layout.at["s"]] + rest * column[:, of_s]
        found = found - g[:, layout.s_b] * d[:, layout.s_a] - g[:, layout.s_a] * d[:, layout.s_b]
        found = raw[:, of_s] * found
        known = layout.at["known_s"]
        if known.stop > known.start:
            found = xp.concatenate([found, sums[:, known] / self.unit], axis=1)
        axis = k + layout.d_axis
        matrix = _put(_put(matrix, of_d, axis, sides), axis, of_d, sides)
        corner = (found @ layout.gather).reshape(-1, q, q)
        if xp is np:
            matrix[:, k:, k:] = corner
            return matrix
        return matrix.at[:, k:, k:].set(corner)

    def residual_jacobian(self, here: LocalModel) -> Any:
        """J^T: derivatives of the residuals, (starts, p, rows)."""
        chain, stack = here.jacobian
        return (chain @ stack) * here.residual_derivative[:, None]

    def residual_squares(self, here: LocalModel) -> Any:
        """See :class:`ScaledObjective`."""
        jacobian = self.residual_jacobian(here)
        return dot(jacobian, jacobian, self.library)

    # Matrices of a LocalModel

    def diagonal(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return self.library.diagonal(matrix, axis1=-2, axis2=-1)

    def dense(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return matrix

    def packed(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return matrix

    def blank_packed(self, count: int) -> np.ndarray:
        """See :class:`ScaledObjective`."""
        return np.zeros((count, self.k + self.q, self.k + self.q))

    def solve_damped(
        self, here: LocalModel, active: Any, metric: Any, damping: Any
    ) -> tuple[Any, Any]:
        """See :class:`ScaledObjective`."""
        xp, eye = self.library, self._eye
        # H + lambda diag(J^T W J), for either damping; the third matrix is H itself.
        added = damping.T[:, :, None, None] * (metric[:, :, None] * eye)
        matrices = xp.stack([here.hessian + added[0], here.gauss_newton + added[1], here.hessian])
        right = -here.gradient
        if xp is not np or active.any():
            # An active parameter has the equation s = 0, and no part in the others.
            held = active[:, :, None] | active[:, None, :]
            matrices = xp.where(held, eye, matrices)
            right = xp.where(active, 0.0, right)
        return solve_dense(matrices, xp.broadcast_to(right, (3, *right.shape)), library=xp)

    def variable_projection(self, batch: Batch, points: Any) -> Any:
        """See :class:`ScaledObjective`."""
        xp, k = self.library, self.k
        if not k:
            return points
        if xp is np and points.ndim > 2 and points[..., 0].size * self.model.rows > IN_CACHE:
            return np.stack([self.variable_projection(batch, some) for some in points])
        columns, known = self.raw_columns(points[..., k:])
        size = self._scale(batch.metric, columns)
        columns = columns / self.effective_scale(batch, size)[..., None]
        known = None if known is None else known / self.unit
        predicted = combined(points[..., :k], columns, xp)
        predicted = predicted if known is None else predicted + known
        # Normal equations of the majorising least squares, in scaled columns.
        weight, target = self.irls_weights(batch, predicted, known)
        weighted = columns * weight[..., None, :]
        gram = product(weighted, columns, xp)
        right = dot(weighted, target[..., None, :], xp)
        solved, ok = solve_dense(gram, right, library=xp)
        return self.with_coefficients(batch, points, solved, ok)


def _put(matrix: Any, row: Any, column: Any, values: Any) -> Any:
    """Matrices with entries set; in place on the host."""
    if isinstance(matrix, np.ndarray):
        matrix[:, row, column] = values
        return matrix
    return matrix.at[:, row, column].set(values)
