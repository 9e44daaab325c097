"""Covariance matrices of the parameters at an optimum: from the Jacobian, or a sandwich."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from scalefit.arguments import choice, shown
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.derivatives import core_share, derivatives, finite_delta
from scalefit.inference.fitted_data import (
    Columns,
    FittedData,
    by_text,
    checked_by,
    clusters,
)
from scalefit.inference.leverage import left_out
from scalefit.notes import Note
from scalefit.objective import influence
from scalefit.results.dependence import FEWEST_CLUSTERS
from scalefit.results.fit_report import FEWEST_FREEDOM

__all__ = [
    "CovarianceMatrix",
    "CovarianceMethod",
    "check_method",
    "chosen_method",
    "covariance_matrix",
    "exact_notes",
]

CovarianceMethod = Literal["jacobian", "sandwich"]


class CovarianceMatrix(NamedTuple):
    """Covariance of the free parameters that are at no bound: coefficients, then coordinates.

    Attributes:
        matrix: shape (p, p).
        df: degrees of freedom of Student's t; infinite where errors are known.
        notes: soft problems.
    """

    matrix: np.ndarray
    df: float
    notes: tuple[Note, ...]


def check_method(method: str | None, by: Any) -> Columns | None:
    """The columns of the clusters; raise where the method of a covariance makes no sense.

    Args:
        method: None for the one that suits the fit.
        by: columns of clusters.

    Raises:
        ArgumentError: it is unknown, or takes no clusters.
    """
    if method is not None:
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


def chosen_method(
    fitted: FittedData, method: CovarianceMethod | None, by: Columns | None
) -> CovarianceMethod:
    """The method that was asked for, or that suits the fit.

    The sandwich, but where errors are known, or where few runs leave nothing but Student's t of a
    linear fit.
    """
    if method is not None:
        return method
    exact = fitted.linear and fitted.df_resid < FEWEST_FREEDOM
    plain = by is None and (exact or fitted.fit.objective.sigma is not None)
    return "jacobian" if plain else "sandwich"


def exact_notes(fitted: FittedData, method: CovarianceMethod) -> list[Note]:
    """A note where few runs have intervals because their Student's t is exact."""
    few = fitted.df_resid < FEWEST_FREEDOM and fitted.fit.objective.sigma is None
    if not (few and fitted.linear and method == "jacobian"):
        return []
    return [
        Note.of(
            "small_sample",
            f"{fitted.fit.nobs} runs leave {fitted.df_resid} residual degrees of freedom: the fit "
            "is linear, so that Student's t is exact under independent normal noise of one size, "
            "which so few runs cannot check",
            {"df": fitted.df_resid},
        )
    ]


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
    # Raw residuals of the data are in a unit of their own.
    unit = float(data.unit) if fitted.fit.objective.residual == "raw" else 1.0
    how = finite_delta(data.measure, float(np.std(fitted.residuals)) / unit)
    around = derivatives(problem, data._replace(measure=how), fitted.point)
    free = ~fitted.at_bound
    jacobian = around.jacobian[fitted.used][:, free]
    residuals = around.residuals[fitted.used]
    curvature = around.curvature[np.ix_(free, free)]
    weight = fitted.weight[fitted.used]
    psi = influence(how, residuals)
    # Columns of unit length: sizes of parameters differ by many powers of ten.
    size = np.sqrt(np.sum(weight[:, None] * jacobian**2, axis=0))
    _require_effect(fitted, size == 0)
    scaled = jacobian / size
    df: float = fitted.df_resid
    share = core_share(how, residuals, weight)
    notes: tuple[Note, ...] = ()
    if method == "jacobian":
        variance = np.sum(weight * psi**2) / df / share**2
        if fitted.fit.objective.sigma is not None:
            # Weights are one over squares of the errors, in the unit of the loss.
            raw = fitted.fit.objective.residual == "raw"
            variance, df = float(data.unit) ** -2 if raw else 1.0, math.inf
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


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix of unit scale; NaN where it is singular to rounding."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if np.abs(values).min() <= 1e-15 * np.abs(values).max():
        return np.full_like(matrix, np.nan)
    return (vectors / values) @ vectors.T
