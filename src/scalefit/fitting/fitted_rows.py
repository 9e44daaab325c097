"""The rows of a fit around its optimum, to first order: residuals, slopes, leverage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.fitting.derivatives import jacobian_at
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.objective import binary_size, robust_size
from scalefit.results.fit import Fit

__all__ = ["MOST_PARAMETERS", "FittedRows", "fitted_rows"]

# Residuals beyond so many robust standard deviations count as if they were there.
CLIPPED = 3.0

# Of more parameters, which only many levels have, no basis is formed: it is dense, rows times
# parameters, and a hundred times what a fit of 240 levels of six rows holds otherwise.
MOST_PARAMETERS = 64

TINY = np.finfo(np.float64).tiny


class FittedRows(NamedTuple):
    """Rows of positive weight, each times the square root of its weight.

    Weights are divided by their mean, and residuals by ``unit``.

    Attributes:
        used: where they are in the table, shape (rows,).
        weight: shape (n,).
        residuals: shape (n,).
        clipped: the same, those far out moved to three robust standard deviations, shape (n,).
        basis: an orthonormal basis of the columns of the Jacobian, shape (n, q); none of more than
            ``MOST_PARAMETERS``.
        inverse: derivative of the free parameters at no bound in the coordinates of the basis,
            each in the unit of its column of the Jacobian, shape (p, q).
        names: of these parameters.
        unit: what residuals are divided by.
    """

    used: np.ndarray
    weight: np.ndarray
    residuals: np.ndarray
    clipped: np.ndarray
    basis: np.ndarray
    inverse: np.ndarray
    names: tuple[str, ...]
    unit: float

    @property
    def leverage(self) -> np.ndarray:
        """The diagonal of the hat matrix, shape (n,)."""
        return np.asarray(np.sum(self.basis**2, axis=1))

    @property
    def freedom(self) -> int:
        """Rows less parameters at no bound."""
        return len(self.residuals) - self.basis.shape[1]


def fitted_rows(fit: Fit, prepared: PreparedFit, residuals: np.ndarray) -> FittedRows:
    """The rows of a fit around its optimum.

    Args:
        fit: the fit.
        prepared: the problem it solved.
        residuals: of each row, shape (rows,).
    """
    problem, weight = prepared.problem, prepared.table.weight
    used = weight > 0
    root = np.sqrt(weight[used] / weight[used].mean())
    unit = binary_size(float(np.abs(residuals[used]).max()))
    rest = root * residuals[used] / unit
    size = CLIPPED * robust_size(rest, fit.n_free)
    names: tuple[str, ...] = ()
    basis, inverse = np.empty((len(rest), 0)), np.empty((0, 0))
    held = np.array([group[0] in fit.diagnostics.at_bound for group in problem.names], dtype=bool)
    point = problem.point(fit.params)
    if np.isfinite(point).all() and fit.n_free <= MOST_PARAMETERS:
        slopes = jacobian_at(problem, prepared.data, point)[used]
        slopes = root[:, None] * slopes[:, ~held]
        names, basis, inverse = _basis(
            slopes,
            [group[0] for group, at in zip(problem.names, held, strict=True) if not at],
        )
    return FittedRows(
        np.flatnonzero(used),
        root**2,
        rest,
        np.clip(rest, -size, size) if size > 0 else rest,
        basis,
        inverse,
        names,
        unit,
    )


def _basis(slopes: np.ndarray, names: list[str]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the parameters that matter, a basis of their slopes, and its inverse.

    Directions that are lost to rounding are left out.
    """
    with np.errstate(all="ignore"):
        size = np.sqrt(np.sum(slopes**2, axis=0))
        there = np.isfinite(size) & (size > TINY)
        scaled = slopes[:, there] / size[there]
    # Of the small triangle: a third of the time of the rows, and as exact.
    rows, triangle = np.linalg.qr(scaled)
    left, sizes, right = np.linalg.svd(triangle, full_matrices=False)
    known = sizes > sizes.max(initial=0.0) * np.finfo(float).eps * max(scaled.shape)
    kept = tuple(name for name, at in zip(names, there, strict=True) if at)
    return kept, rows @ left[:, known], right[known].T / sizes[known]
