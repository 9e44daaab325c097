"""The objective of a problem with coefficients of many levels: rows are summed by level.

With few levels every coefficient has a column of its own, zero in the rows of other levels
(dense_objective.py). Of many those columns are nearly all zeros: here inner products are sums over
the rows of each level (level_columns.py), and matrices are arrows (arrow.py). Time and memory grow
with the rows and with the levels, and not with their product.

With c_l the scaled coefficient of level l, s_l the scale of its column and phi the column of the
term, rows of the level have the prediction c_l phi / s_l + ..., so that

    first derivatives   phi / s_l   and   (c_l / s_l) (phi_a - g_a phi),
    second derivatives  (phi_a - g_a phi) / s_l   and   (c_l / s_l) (phi_ab - g_b phi_a - g_a phi_b
                        + (3 g_a g_b - <u_a, u_b> - <u, u_ab>) phi)

with g and the bracket of dense_objective.py, each a number of the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.arrow import Arrow, definite
from scalefit.fitting.level_columns import LevelColumns, LevelScaledColumns
from scalefit.fitting.level_relaxation import relax
from scalefit.fitting.linear_solve import dot, stacked
from scalefit.fitting.model import Model
from scalefit.fitting.scaled_objective import (
    Batch,
    LocalModel,
    Penalties,
    ScaleDerivatives,
    ScaledObjective,
)

__all__ = ["LevelObjective"]

# The Hessian of a level is used where it exceeds this share of the majorising one: with less
# curvature a Newton step would be long and wrong.
LEAST_CURVATURE = 0.1


class LevelJacobian(NamedTuple):
    """The Jacobian of the predictions, (starts, ...).

    Attributes:
        columns: raw column of each linear parameter.
        size: scale of the column of each of its coefficients.
        coordinates: derivative of the prediction in each coordinate, (starts, q, rows).
    """

    columns: list[Any]
    size: list[Any]
    coordinates: Any


class _ScaledTerm(NamedTuple):
    """A linear parameter's scales with their derivatives, and its raw coefficients.

    Attributes:
        size: s, (starts, levels).
        first: g_a by coordinate.
        rest: 3 g_a g_b - <u_a, u_b> - <u, u_ab> by pair of coordinates.
        raw: coefficients in the unit of the loss, (starts, levels).
    """

    size: Any
    first: dict[int, Any]
    rest: dict[tuple[int, int], Any]
    raw: Any


class LevelObjective(ScaledObjective):
    """The objective of a problem with many levels.

    Args:
        model: its terms.
        unit: the unit of the loss.
        divisions: ``LevelSums`` or ``TracedLevelSums`` of each division of the rows.
        options: see :class:`ScaledObjective`.
    """

    def __init__(self, model: Model, unit: Any, divisions: Sequence[Any], **options: Any) -> None:
        super().__init__(model, unit, **options)
        self.levels = LevelColumns(model, divisions)
        self.arrangement = self.levels.arrangement
        self._moves = [bool(self.moving[own.start]) for own in self.levels.own]

    # Columns

    def columns_at(self, coordinates: Any, metric: Any) -> LevelScaledColumns:
        """See :class:`ScaledObjective`."""
        columns, known = self.model.values(coordinates)
        size = self.levels.joined(self.levels.scales(metric, columns), coordinates.shape[:1])
        return LevelScaledColumns(self.levels, columns, np.where(size > 0, size, 1.0), known)

    @property
    def row_width(self) -> int:
        """See :class:`ScaledObjective`."""
        return len(self.problem.linear) + len(self.arrangement.others)

    def column_sums(
        self, index: int, coordinates: Any, signed: Any, absolute: Any
    ) -> tuple[Any, Any]:
        """See :class:`ScaledObjective`."""
        columns, _ = self.model.values(coordinates)
        column = np.broadcast_to(columns[index], (len(coordinates), self.model.rows))
        sums = self.levels.sums[index].sums
        return sums(column * signed + np.abs(column) * absolute), sums(column**2)

    def terms(self, coordinates: Any, coefficients: Any) -> list[Any]:
        """See :class:`ScaledObjective`."""
        columns, known = self.model.values(coordinates)
        found = self.levels.terms(columns, coefficients)
        found += [] if known is None else [known]
        return [np.broadcast_to(item, self.model.rows) for item in found]

    def scale(self, metric: Any, coordinates: Any) -> Any:
        """See :class:`ScaledObjective`."""
        columns, _ = self.model.values(coordinates)
        return self.levels.joined(self.levels.scales(metric, columns), np.shape(coordinates)[:-1])

    def scale_derivatives(self, metric: Any, coordinates: Any) -> ScaleDerivatives:
        """See :class:`ScaledObjective`."""
        xp, count, k, q = self.library, len(coordinates), self.k, self.q
        first, rest = xp.zeros((count, k, q)), xp.zeros((count, k, q, q))
        sizes = []
        for index, term in enumerate(self.model.expand(coordinates).columns):
            size, g, second = self._scale_jet(index, term, metric)
            own = self.levels.own[index]
            sizes.append(size)
            for axis, item in g.items():
                first[:, own, axis] = item
            for (a, b), item in second.items():
                rest[:, own, a, b] = rest[:, own, b, a] = item
        return ScaleDerivatives(self.levels.joined(sizes, (count,)), first, rest)

    def _scale_jet(self, index: int, term: Any, metric: Any) -> tuple[Any, Any, Any]:
        """Scales s of a linear parameter's columns; g_a and s d2(1/s), as in the dense case."""
        sums, xp = self.levels.sums[index].sums, self.library
        weighted = metric * term.value
        square = sums(weighted * term.value)
        g = {axis: sums(weighted * item) / square for axis, item in term.first.items()}
        rest = {}
        for (a, b), item in term.second.items():
            both = sums(metric * term.first[a] * term.first[b] + weighted * item)
            rest[a, b] = 3.0 * g[a] * g[b] - both / square
        return xp.sqrt(square), g, rest

    def predict(self, batch: Batch, point: Any) -> Any:
        """See :class:`ScaledObjective`."""
        columns, known = self.model.values(point[..., self.k :])
        sizes = self.levels.scales(batch.metric, columns)
        total = 0.0 if known is None else known / self.unit
        for index, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            raw = self._raw(batch, index, size, point)
            total = total + self.levels.sums[index].spread(raw) * column
        shape = (*np.shape(point)[:-1], self.model.rows)
        return self.library.broadcast_to(total, shape)

    def _raw(self, batch: Batch, index: int, size: Any, point: Any) -> Any:
        """Coefficients of a linear parameter in the unit of the loss."""
        own = self.levels.own[index]
        return point[..., own] / (size if self._moves[index] else batch.held[..., own])

    # The objective

    def local(self, batch: Batch, point: Any) -> LocalModel:
        """See :class:`ScaledObjective`."""
        xp = self.library
        shape = (len(point), self.model.rows)
        terms, known = self.model.expand(point[:, self.k :])
        scaled = [self._scaled_term(batch, i, term, point) for i, term in enumerate(terms)]
        predicted, jacobian_rows = self._prediction(terms, known, scaled)
        found = self.penalties(batch, xp.broadcast_to(predicted, shape))
        jacobian = LevelJacobian(
            [term.value for term in terms],
            [item.size for item in scaled],
            stacked(jacobian_rows, shape, xp) if self.q else xp.zeros((shape[0], 0, shape[1])),
        )
        both = self.weighted_products(jacobian, found.curvature)
        # w psi dr/df: the derivative of the objective in each prediction.
        pull = found.psi * found.residual_derivative
        gradients, sides, corner = self._second_derivatives(terms, known, scaled, pull)
        gradient = [
            self.levels.joined(gradients, shape[:1]),
            dot(jacobian.coordinates, pull[:, None], xp),
        ]
        return LocalModel(
            rows=found.rows,
            value=found.value,
            gradient=xp.concatenate(gradient, axis=-1),
            hessian=self._with_curvature(Arrow(*(leaf[0] for leaf in both)), sides, corner),
            gauss_newton=Arrow(*(leaf[1] for leaf in both)),
            jacobian=jacobian,
            residual_derivative=found.residual_derivative,
            psi=found.psi,
        )

    def _scaled_term(self, batch: Batch, index: int, term: Any, point: Any) -> _ScaledTerm:
        size, g, rest = self._scale_jet(index, term, batch.metric)
        if not self._moves[index]:
            size = batch.held[:, self.levels.own[index]]
            g, rest = dict.fromkeys(g, 0.0), dict.fromkeys(rest, 0.0)
        return _ScaledTerm(size, g, rest, self._raw(batch, index, size, point))

    def _prediction(
        self, terms: Sequence[Any], known: Any, scaled: Sequence[_ScaledTerm]
    ) -> tuple[Any, list[Any]]:
        """The prediction, and its derivative in each coordinate."""
        predicted: Any = 0.0 if known is None else known.value / self.unit
        jacobian_rows: list[Any] = [0.0] * self.q
        if known is not None:
            for axis, item in known.first.items():
                jacobian_rows[axis] = item / self.unit
        for sums, term, own in zip(self.levels.sums, terms, scaled, strict=True):
            each = sums.spread(own.raw)
            predicted = predicted + each * term.value
            for axis, item in term.first.items():
                moved = sums.spread(own.raw * own.first[axis]) * term.value
                jacobian_rows[axis] = jacobian_rows[axis] + each * item - moved
        return predicted, jacobian_rows

    def _second_derivatives(
        self, terms: Sequence[Any], known: Any, scaled: Sequence[_ScaledTerm], pull: Any
    ) -> tuple[list[Any], dict[tuple[int, int], Any], dict[tuple[int, int], Any]]:
        """Sums over rows of pull times derivatives of the prediction.

        Returns:
            Gradients of each linear parameter's coefficients; second derivatives by linear
            parameter and coordinate; second derivatives by pair of coordinates.
        """
        gradients: list[Any] = []
        sides: dict[tuple[int, int], Any] = {}
        corner: dict[tuple[int, int], Any] = {}
        if known is not None:
            for pair, item in known.second.items():
                rows = self.library.broadcast_to(item / self.unit, pull.shape)
                corner[pair] = dot(pull, rows, self.library)
        for index, (term, (size, g, rest, raw)) in enumerate(zip(terms, scaled, strict=True)):
            sums = self.levels.sums[index].sums
            of_column = sums(pull * term.value)
            gradients.append(of_column / size)
            of_first = {axis: sums(pull * item) for axis, item in term.first.items()}
            for axis, item in of_first.items():
                sides[index, axis] = (item - g[axis] * of_column) / size
            for (a, b), item in term.second.items():
                found = sums(pull * item) + rest[a, b] * of_column
                found = found - g[b] * of_first[a] - g[a] * of_first[b]
                corner[a, b] = corner.get((a, b), 0.0) + (raw * found).sum(axis=-1)
        return gradients, sides, corner

    def _with_curvature(self, matrix: Arrow, sides: Any, corner: Any) -> Arrow:
        """The matrix with those second derivatives added on both sides of the diagonal."""
        how, xp = self.arrangement, self.library
        cross, last = matrix.cross, matrix.corner
        at = how.coordinates.start
        for (index, axis), values in sides.items():
            if index in how.within:
                within = how.within[index]
                last = _plus(xp, last, (at + axis, within), values)
                last = _plus(xp, last, (within, at + axis), values)
            else:
                place = (at + axis, how.inner.index(index), slice(None))
                cross = _plus(xp, cross, place, values)
        for (a, b), values in corner.items():
            last = _plus(xp, last, (at + a, at + b), values)
            if a != b:
                last = _plus(xp, last, (at + b, at + a), values)
        return matrix._replace(cross=cross, corner=last)

    def weighted_products(self, jacobian: LevelJacobian, weight: Any) -> Arrow:
        """J^T W J in scaled coordinates, for weights of shape (..., starts, rows)."""
        xp, count = self.library, len(jacobian.coordinates)
        factor = self.levels.joined([1.0 / size for size in jacobian.size], (count,))
        factor = xp.concatenate([factor, xp.ones((count, self.q))], axis=-1)
        found = self.levels.gram(self.arrangement, jacobian.columns, jacobian.coordinates, weight)
        return found.scaled(*self.arrangement.split(factor))

    def rounding_of_rows(self, here: LocalModel, sizes: Any) -> Any:
        """|J| times sizes of the parameters, (starts, p): what rounding acts on, (starts, rows)."""
        columns, scales, coordinates = here.jacobian
        total = (np.abs(coordinates) * sizes[:, self.k :, None]).sum(axis=1) if self.q else 0.0
        for index, (column, size) in enumerate(zip(columns, scales, strict=True)):
            part = sizes[:, self.levels.own[index]] / size
            total = total + self.levels.sums[index].spread(part) * np.abs(column)
        return total * np.abs(here.residual_derivative)

    def residual_squares(self, here: LocalModel) -> Any:
        """See :class:`ScaledObjective`."""
        (columns, scales, coordinates), first = here.jacobian, here.residual_derivative
        square = first * first
        sizes = [
            each.sums(square * column * column) / size**2
            for each, column, size in zip(self.levels.sums, columns, scales, strict=True)
        ]
        moved = coordinates * first[:, None]
        every = [self.levels.joined(sizes, (len(first),)), dot(moved, moved, self.library)]
        return self.library.concatenate(every, axis=-1)

    # Matrices of a LocalModel

    def diagonal(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        inner, outer = matrix.diagonal
        return self.arrangement.joined(inner, outer, self.library)

    def dense(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return self.arrangement.dense(matrix)

    def packed(self, matrix: Any) -> Any:
        """See :class:`ScaledObjective`."""
        return self.arrangement.packed(matrix, self.library)

    def blank_packed(self, count: int) -> np.ndarray:
        """See :class:`ScaledObjective`."""
        return np.zeros((count, self.arrangement.size))

    def solve_damped(
        self, here: LocalModel, active: Any, metric: Any, damping: Any
    ) -> tuple[Any, Any]:
        """See :class:`ScaledObjective`."""
        xp, how = self.library, self.arrangement
        hessian, majorising = here.hessian, here.gauss_newton
        grown = [
            self._safe(hessian, majorising).plus(*how.split(damping[:, 0, None] * metric)),
            majorising.plus(*how.split(damping[:, 1, None] * metric)),
            hessian,
        ]
        matrices = Arrow(*map(xp.stack, zip(*grown, strict=True)))
        right = -here.gradient
        if xp is not np or active.any():
            matrices = matrices.without(*how.split(active), xp)
            right = xp.where(active, 0.0, right)
        inner, outer = how.split(xp.broadcast_to(right, (3, *right.shape)))
        inner, outer, ok = matrices.solve(inner, outer, xp)
        return how.joined(inner, outer, xp), ok

    def _safe(self, hessian: Arrow, majorising: Arrow) -> Arrow:
        """The Hessian, with the majorising block in levels of hardly any curvature.

        Of a few rows all may lie beyond delta, where the penalty is straight. Among many levels
        some are, and damping for their sake would hold up all others.
        """
        enough = definite(hessian.inner - LEAST_CURVATURE * majorising.inner, self.library)
        inner = self.library.where(enough[..., None, None, :], hessian.inner, majorising.inner)
        return hessian._replace(inner=inner)

    def may_finish(self, ok: Any) -> Any:
        """See :class:`ScaledObjective`."""
        # Where a level has no curvature, a step promises little because it is short.
        return ok[2]

    def variable_projection(self, batch: Batch, points: Any) -> Any:
        """See :class:`ScaledObjective`."""
        xp, k, levels = self.library, self.k, self.levels
        if points.ndim > 2:
            return xp.stack([self.variable_projection(batch, some) for some in points])
        how, shape = levels.linear_arrangement, (len(points), self.model.rows)
        columns, known = self.model.values(points[:, k:])
        size = levels.joined(levels.scales(batch.metric, columns), shape[:1])
        factor = 1.0 / self.effective_scale(batch, size)
        known = None if known is None else known / self.unit
        predicted = sum(levels.terms(columns, points[:, :k] * factor))
        predicted = predicted if known is None else predicted + known
        weight, target = self.irls_weights(batch, xp.broadcast_to(predicted, shape), known)
        gram = levels.gram(how, columns, xp.zeros((len(points), 0, shape[1])), weight)
        pull = weight * target
        right = levels.summed([pull * column for column in columns], len(points)) * factor
        inner, outer, ok = gram.scaled(*how.split(factor)).solve(*how.split(right), xp)
        return self.with_coefficients(batch, points, how.joined(inner, outer, xp), ok)

    def relaxed(self, batch: Batch, point: Any, which: Any) -> Any:
        """Points with the levels' coefficients moved on, level by level (level_relaxation.py)."""
        xp, how, levels = self.library, self.arrangement, self.levels
        if xp is np and not which.any():
            return point
        inner, outer = how.split(point)
        low, high = (how.split(end)[0] for end in (batch.lower, batch.upper))
        columns, known = self.model.values(point[:, self.k :])
        sizes = levels.scales(batch.metric, columns)
        shared: Any = 0.0 if known is None else known / self.unit
        for i in (*how.plain, *how.divided):
            raw = self._raw(batch, i, sizes[i], point)
            shared = shared + levels.sums[i].spread(raw) * columns[i]
        for i in how.inner:
            if not self._moves[i]:
                sizes[i] = batch.held[:, levels.own[i]]
        mine = [columns[i] / levels.inner.spread(sizes[i]) for i in how.inner]

        def penalties(total: Any) -> Penalties:
            return self.penalties(batch, xp.broadcast_to(total, (len(point), self.model.rows)))

        moved = relax(xp, levels.inner, penalties, shared, mine, (inner, low, high), which)
        return xp.where(which[:, None], how.joined(moved, outer, xp), point)


def _plus(xp: Any, array: Any, place: tuple[Any, ...], values: Any) -> Any:
    """Numbers added at places of the last axes; on the host in place."""
    if xp is np:
        array[(..., *place)] += values
        return array
    return array.at[(..., *place)].add(values)
