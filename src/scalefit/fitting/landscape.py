"""The objective over a plane, minimised over the linear coefficients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import LawError
from scalefit.fitting import grid, irls
from scalefit.fitting.model import Model
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.prepared_fit import prepare_again
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet

__all__ = ["Landscape", "landscape"]


class Landscape(NamedTuple):
    """The objective over two nonlinear parameters, the linear coefficients at their best.

    Attributes:
        names: of the two; tied ones by the first.
        first: values of the first, shape (m,).
        second: values of the second, shape (n,).
        value: objective at each pair, the linear coefficients at their best within their bounds
            (nearly, where that is no least-squares problem), shape (m, n).
        logarithmic: whether each is searched in its logarithm.
    """

    names: tuple[str, str]
    first: np.ndarray
    second: np.ndarray
    value: np.ndarray
    logarithmic: tuple[bool, bool]


def landscape(
    fit: Fit,
    table: LossTable,
    points: int | None = None,
    box: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> Landscape:
    """The objective at every cell of the search.

    Args:
        fit: a fit with two free nonlinear parameters.
        table: the table that was fitted.
        points: cells per axis; those of the search by default.
        box: lowest and highest value of each parameter; the bounds of the search by default.

    Raises:
        LawError: the fit has another number of free nonlinear parameters.
        DataError: the table lacks a column.
    """
    prepared = prepare_again(fit, table)
    problem = prepared.problem
    if len(problem.nonlinear) != 2:
        found = ", ".join(group[0] for group in problem.nonlinear) or "none"
        raise LawError(
            f"a plane has two nonlinear parameters; this fit of {fit.law.name!r} has "
            f"{len(problem.nonlinear)} ({found}). Fix or tie the others in a fit of their own"
        )
    data, settings = prepared.data, prepared.settings
    axes = (
        grid.axes(problem, settings, points)
        if points is not None or irls.squared(data.measure)
        else grid.coarse_axes(problem, settings, data.response.size)
    )
    if box is not None:
        axes = [
            np.log(np.geomspace(*ends, len(axis))) if log else np.linspace(*ends, len(axis))
            for ends, log, axis in zip(box, problem.logarithmic, axes, strict=True)
        ]
    if irls.squared(data.measure) and data.measure.residual != "log":
        with quiet():
            model = Model(problem, data.columns, data.fixed)
            value = np.asarray(grid.values(model, data, settings, axes))
        # So far relative to the squared loss.
        square = float(data.unit) ** 2 if data.measure.residual == "raw" else 1.0
        value = value * data.weight.sum() * square
    else:
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        projected = irls.project(scaled_objective(problem, data), data, settings, places)
        value = projected.value.reshape(len(axes[0]), len(axes[1])) * data.measure.factor
    first, second = (
        np.exp(axis) if log else axis for axis, log in zip(axes, problem.logarithmic, strict=True)
    )
    names = (problem.nonlinear[0][0], problem.nonlinear[1][0])
    logarithmic = (problem.logarithmic[0], problem.logarithmic[1])
    return Landscape(names, first, second, value, logarithmic)
