"""The projected objective over a plane, to look at: what the grid search sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.errors import LawError
from scalefit.fitting import grid
from scalefit.fitting.devices import quiet
from scalefit.fitting.model import Model
from scalefit.fitting.pipeline import pose_again
from scalefit.result import Fit
from scalefit.table import LossTable

__all__ = ["Landscape", "landscape"]


class Landscape(NamedTuple):
    """The projected squared error over two nonlinear parameters.

    Attributes:
        names: of the two; tied ones by the first.
        first: values of the first, shape (m,).
        second: values of the second, shape (n,).
        value: least squared error of the weighted residuals at each pair, the linear coefficients
            at their best within their bounds, relative to the squared loss, shape (m, n).
        logarithmic: whether each is searched in its logarithm.
    """

    names: tuple[str, str]
    first: np.ndarray
    second: np.ndarray
    value: np.ndarray
    logarithmic: tuple[bool, bool]


def landscape(fit: Fit, table: LossTable, points: int | None = None) -> Landscape:
    """What the grid search saw: every cell's value.

    Args:
        fit: a fit with two free nonlinear parameters.
        table: the table that was fitted.
        points: cells per axis; those of the search by default.

    Raises:
        LawError: the fit has another number of free nonlinear parameters.
        DataError: the table lacks a column.
    """
    posed = pose_again(fit, table)
    problem = posed.problem
    if len(problem.nonlinear) != 2:
        found = ", ".join(group[0] for group in problem.nonlinear) or "none"
        raise LawError(
            f"a plane has two nonlinear parameters; this fit of {fit.law.name!r} has "
            f"{len(problem.nonlinear)} ({found}). Fix or tie the others in a fit of their own"
        )
    axes = grid.axes(problem, posed.settings, points)
    with quiet():
        model = Model(problem, posed.data.columns, posed.data.fixed)
        value = np.asarray(grid.values(model, posed.data, posed.settings, axes))
    first, second = (
        np.exp(axis) if log else axis for axis, log in zip(axes, problem.logarithmic, strict=True)
    )
    names = (problem.nonlinear[0][0], problem.nonlinear[1][0])
    logarithmic = (problem.logarithmic[0], problem.logarithmic[1])
    return Landscape(names, first, second, value, logarithmic)
