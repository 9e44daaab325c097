"""The rows of all tables of a stack around their optima, to second order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit import objective as obj
from scalefit.fitting.model import Model
from scalefit.many.stacks import Stack
from scalefit.objective import Measure
from scalefit.problem.problem import Problem
from scalefit.runtime.settings import quiet

__all__ = ["Around", "around", "bases", "points_of"]


class Around(NamedTuple):
    """The objective at a point of each table; residuals in the unit of ``Data``.

    Attributes:
        how: the objective in numbers, with a delta for each table.
        delta: where the penalty turns linear, (tables, 1).
        predicted: losses, (tables, rows).
        weight: of each row, (tables, rows); zero where rows are filled up.
        residuals: (tables, rows), zero where the weight is.
        jacobian: derivative of each residual in each free parameter, (tables, rows, p).
        curvature: sum over rows of weight times influence times second derivative of the residual,
            (tables, p, p).
        unit: of the residuals, (tables,); one unless they are raw.
    """

    how: Measure
    delta: np.ndarray
    predicted: np.ndarray
    weight: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray
    curvature: np.ndarray
    unit: np.ndarray


def points_of(problem: Problem, params: Mapping[str, np.ndarray]) -> np.ndarray:
    """Coefficients in raw units, then coordinates, of parameters by name, (tables, p)."""
    first = np.stack([params[group[0]] for group in problem.names], axis=-1)
    logarithmic = np.array([*(False for _ in problem.owners), *problem.logarithmic], dtype=bool)
    with np.errstate(divide="ignore"):
        return np.where(logarithmic, np.log(np.where(logarithmic, first, 1.0)), first)


@quiet()
def around(problem: Problem, stack: Stack, point: np.ndarray) -> Around:
    """The objective and its derivatives at a point of each table.

    See ``fitting.derivatives``, of which this is the form for a stack.

    Args:
        problem: the problem that every table poses.
        stack: the tables.
        point: coefficients in raw units, then coordinates, (tables, p).
    """
    data, unit = stack.data, stack.data.unit[:, None]
    columns, known = Model(problem, data.columns, data.fixed).expand(
        point[:, len(problem.owners) :]
    )
    k, shape = len(problem.owners), data.response.shape
    predicted = np.zeros(shape) if known is None else np.broadcast_to(known.value, shape)
    slope = np.zeros((*shape, problem.size))
    for place, column in enumerate(columns):
        coefficient = point[:, place, None]
        predicted = predicted + coefficient * column.value
        slope[..., place] = column.value
        for axis, values in column.first.items():
            slope[..., k + axis] += coefficient * values
    for axis, values in (known.first if known else {}).items():
        slope[..., k + axis] += values
    delta = stack.delta[:, None]
    if data.measure.absolute:
        delta = np.full_like(delta, np.inf)
    replaced: Any = data.measure._replace
    how = replaced(delta=delta)
    weight = data.weight * stack.weight_unit[:, None]
    used = weight > 0
    residuals = np.where(used, obj.residuals(how, data.response, predicted / unit), 0.0)
    if data.measure.absolute:
        # In place of a kink, a square so narrow that no residual is in it.
        delta = 1e-9 * _spread(residuals, used)[:, None]
        how = replaced(delta=delta)
    # r' and r'', derivatives of each residual in its prediction f.
    first, second = obj.residual_derivatives(how, data.response, predicted / unit)
    first, second = np.where(used, first, 0.0), np.where(used, second, 0.0)
    slope = np.where(used[..., None], slope, 0.0) / unit[..., None]
    # Sum of w psi d2r, with d2r = r'' f_i f_j + r' f_ij.
    pull = weight * obj.influence(how, residuals)
    curvature = np.swapaxes(slope, 1, 2) @ ((pull * second)[..., None] * slope)
    along = pull * first / unit
    for place, column in enumerate(columns):
        for axis, values in column.first.items():
            value = _total(along, used, values)
            curvature[:, place, k + axis] += value
            curvature[:, k + axis, place] += value
    for coefficient, part in [*zip(point.T, columns, strict=False), (np.ones(len(stack)), known)]:
        for (i, j), values in (part.second if part else {}).items():
            value = coefficient * _total(along, used, values)
            curvature[:, k + i, k + j] += value
            if i != j:
                curvature[:, k + j, k + i] += value
    own = data.unit if how.residual == "raw" else np.ones(len(stack))
    return Around(
        how, delta, predicted / unit, weight, residuals, first[..., None] * slope, curvature, own
    )


def bases(slopes: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Orthonormal bases of the columns of matrices, (tables, rows, p).

    Directions that are lost to rounding are zero.

    Args:
        slopes: the matrices, (tables, rows, p).
        count: rows of each, filled ones left out, (tables,).
    """
    length = np.sqrt(np.sum(slopes**2, axis=1))
    scaled = np.nan_to_num(slopes / np.where(length > 0, length, 1.0)[:, None, :])
    rows, triangle = np.linalg.qr(scaled)
    left, sizes, _ = np.linalg.svd(triangle)
    most = np.maximum(count, slopes.shape[2])[:, None]
    known = sizes > sizes[:, :1] * np.finfo(float).eps * most
    return np.asarray((rows @ left) * known[:, None, :])


def _total(along: np.ndarray, used: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum(along * np.where(used, values, 0.0), axis=1))


def _spread(residuals: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Standard deviation of the residuals of each table, (tables,)."""
    count = used.sum(axis=1)
    mean = residuals.sum(axis=1) / count
    off = np.where(used, residuals - mean[:, None], 0.0)
    return np.asarray(np.sqrt((off**2).sum(axis=1) / count))
