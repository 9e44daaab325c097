"""Covariance matrices of the parameters at an optimum: from the Jacobian, or a sandwich."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from scalefit.arguments import choice, shown
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.derivatives import core_share, derivatives
from scalefit.inference.fitted_data import Columns, FittedData, by_text, checked_by, clusters
from scalefit.inference.leverage import left_out
from scalefit.notes import Note
from scalefit.objective import Measure, influence
from scalefit.results.dependence import FEWEST_CLUSTERS

__all__ = ["CovarianceMatrix", "CovarianceMethod", "check_method", "covariance_matrix"]

CovarianceMethod = Literal["jacobian", "sandwich"]


class CovarianceMatrix(NamedTuple):
    """Covariance of the free parameters that are at no bound: coefficients, then coordinates.

    Attributes:
        matrix: shape (p, p).
        df: degrees of freedom of Student's t.
        notes: soft problems.
    """

    matrix: np.ndarray
    df: int
    notes: tuple[Note, ...]


def check_method(method: str, by: Any) -> Columns | None:
    """The columns of the clusters; raise where the method of a covariance makes no sense.

    Raises:
        ArgumentError: it is unknown, or takes no clusters.
    """
    choice(method, "method", get_args(CovarianceMethod))
    columns = checked_by(by)
    if method == "jacobian" and by is not None:
        raise ArgumentError(
            f"by={shown(by)} names clusters, and method='jacobian' takes runs as independent",
            argument="by",
            value=by,
            remedy="Use method='sandwich' for clusters of runs",
        )
    return columns


def covariance_matrix(
    fitted: FittedData, method: CovarianceMethod, by: Columns | None
) -> CovarianceMatrix:
    """The covariance in numbers; see :func:`scalefit.covariance`.

    Args:
        fitted: the fit on its table.
        method: ``jacobian`` or ``sandwich``.
        by: columns of clusters of runs that depend on each other (sandwich).

    Raises:
        DataError: a parameter has no effect, the curvature is singular, or the column makes no
            clusters.
    """
    problem, data = fitted.prepared.problem, fitted.prepared.data
    how = _finite_delta(data.measure, fitted)
    around = derivatives(problem, data._replace(measure=how), fitted.point)
    free = ~fitted.at_bound
    jacobian = around.jacobian[fitted.used][:, free]
    residuals = around.residuals[fitted.used]
    curvature = around.curvature[np.ix_(free, free)]
    weight = fitted.table.weight[fitted.used]
    psi = influence(how, residuals)
    # Columns of unit length: sizes of parameters differ by many powers of ten.
    size = np.sqrt(np.sum(weight[:, None] * jacobian**2, axis=0))
    _require_effect(fitted, size == 0)
    scaled = jacobian / size
    df = fitted.df_resid
    share = core_share(how, residuals, weight)
    notes: tuple[Note, ...] = ()
    if method == "jacobian":
        variance = np.sum(weight * psi**2) / df / share**2
        matrix = variance * _inverse(scaled.T @ (weight[:, None] * scaled))
    else:
        codes = None if by is None else _clusters(fitted, by)
        # Each run (or cluster) as if it had been left out of the fit: the jackknife to first order.
        without = left_out(scaled, weight, psi, codes)
        scores = (weight * without.values)[:, None] * scaled
        count = len(scores)
        if codes is not None:
            count = int(codes.max()) + 1
            scores = np.array([scores[codes == code].sum(axis=0) for code in range(count)])
            df = min(df, count - 1)
        hessian = share * (scaled.T @ (weight[:, None] * scaled)) + curvature / np.outer(size, size)
        steps = scores @ _inverse(hessian)
        matrix = (count - 1) / count * steps.T @ steps
        notes = _alone(without.alone, by)
    if not (np.isfinite(matrix).all() and (np.diagonal(matrix) > 0).all()):
        raise DataError(
            "the curvature of the objective is singular at the optimum: some combination of the "
            "parameters is not constrained by these runs",
            remedy="Fix or tie a parameter, or vary the columns more; see the fit's notes",
        )
    return CovarianceMatrix(matrix / np.outer(size, size), df, notes)


def _require_effect(fitted: FittedData, idle: np.ndarray) -> None:
    """Raise where a free parameter that is at no bound has no effect at the optimum."""
    if idle.any():
        names = np.array([group[0] for group in fitted.prepared.problem.names], dtype=object)
        idle_names = names[~fitted.at_bound][idle]
        raise DataError(
            f"{', '.join(idle_names)} {'has' if len(idle_names) == 1 else 'have'} no effect at "
            "the optimum: a term of theirs is zero",
            remedy="Fit a law without that term: its parameters cannot be estimated here",
        )


def _clusters(fitted: FittedData, by: Columns) -> np.ndarray:
    """Cluster of each row of positive weight, at least three in all."""
    values, codes = clusters(fitted, by)
    if len(values) < FEWEST_CLUSTERS:
        raise DataError(
            f"{by_text(by)!r} has 2 values: too few clusters for any standard error",
            column=by_text(by),
            remedy="Use finer clusters, or method='jacobian' without by=, which takes runs as "
            "independent",
        )
    return codes


def _alone(count: int, by: Columns | None) -> tuple[Note, ...]:
    if not count:
        return ()
    what = "runs" if by is None else f"values of {by_text(by)}"
    return (
        Note.of(
            "determined_alone",
            f"{count} {what} determine some combination of the parameters by themselves: the fit "
            "follows them there, their residuals say nothing about their noise, and the errors "
            f"are too small. Use method='jacobian'{'' if by is None else ' without by='}, or add "
            "runs beside them",
            {"count": count, "by": None if by is None else by_text(by)},
        ),
    )


def _finite_delta(how: Measure, fitted: FittedData) -> Measure:
    """The objective itself; for absolute residuals the Huber loss of a very small delta."""
    if not how.absolute:
        return how
    unit = float(fitted.prepared.data.unit) if fitted.fit.objective.residual == "raw" else 1.0
    return how._replace(delta=float(1e-9 * np.std(fitted.residuals) / unit))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix of unit scale; NaN where it is singular to rounding."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if np.abs(values).min() <= 1e-15 * np.abs(values).max():
        return np.full_like(matrix, np.nan)
    return (vectors / values) @ vectors.T
