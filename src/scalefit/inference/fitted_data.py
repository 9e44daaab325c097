"""A fit on its table: the optimum in numbers, which every method for uncertainty starts from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import names, refused
from scalefit.data.other_laws import called
from scalefit.data.several_responses import ROW as RUNS
from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.grid import Candidates
from scalefit.fitting.known_errors import residual_errors
from scalefit.fitting.prepared_fit import PreparedFit, data_digest, prepare_again
from scalefit.problem.problem import Problem
from scalefit.results.dependence import MOST_NARROWED, too_narrow
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.remembered_columns import LEVEL, as_keywords, refuse_unlabelled, table_again
from scalefit.results.status import Status

__all__ = [
    "Columns",
    "FittedData",
    "attach",
    "by_text",
    "checked_by",
    "clusters",
    "optimum_of",
    "own_clusters",
    "parameters",
    "require_clusters",
    "require_freedom",
]

# Kinds of parameter that enter linearly.
LINEAR = ("offset", "amplitude", "coefficient")

# How rules and clusters call the labels of the rows.
ROW = "index"

Columns = str | tuple[str, ...]


class FittedData(NamedTuple):
    """A fit on its table.

    Attributes:
        fit: the fit.
        table: its table.
        prepared: the problem it solved.
        optimum: its optimum, coefficients in raw units, shapes (k,) and (q,).
        at_bound: which free parameters are at a bound, shape (p,).
        used: rows of positive weight, shape (rows,).
        predicted: prediction of each row, shape (rows,).
        residuals: shape (rows,), as the objective defines them.
        df_resid: residual degrees of freedom, n - p.
    """

    fit: Fit
    table: LossTable
    prepared: PreparedFit
    optimum: Candidates
    at_bound: np.ndarray
    used: np.ndarray
    predicted: np.ndarray
    residuals: np.ndarray
    df_resid: int

    @property
    def point(self) -> np.ndarray:
        """The optimum as one point: coefficients in raw units, then coordinates, shape (p,)."""
        return np.concatenate([self.optimum.coefficients, self.optimum.coordinates])

    @property
    def inflation(self) -> float:
        """sqrt(n / (n - p)): residuals are smaller than the noise, because the fit follows them."""
        return float(np.sqrt(self.fit.nobs / self.df_resid))

    @property
    def weight(self) -> np.ndarray:
        """Weight of each row in the sum, with known errors in it, shape (rows,)."""
        return self.prepared.weight

    @property
    def errors(self) -> np.ndarray | None:
        """Known standard error of each residual, shape (rows,); None where none is stated."""
        return residual_errors(self.fit.objective, self.table, self.prepared.observed)

    def exact(self, method: str) -> bool:
        """Whether intervals by a method hold with any number of residual degrees of freedom."""
        known = self.fit.objective.sigma is not None
        return method == "jacobian" and (known or self.linear)

    @property
    def linear(self) -> bool:
        """Whether residuals are linear in every free parameter, at no bound, and their squares
        are summed: under normal noise Student's t is then exact, however few runs there are.
        """
        objective = self.fit.objective
        straight = objective.residual == "raw" and not self.prepared.problem.nonlinear
        return straight and not objective.penalty.bounded and not self.at_bound.any()


def attach(fit: Fit, runs: LossTable | pd.DataFrame, **columns: Any) -> FittedData:
    """A fit on the table it was made from.

    Args:
        fit: the fit.
        runs: the table it was made from.
        **columns: options of the table where it is a DataFrame, as for ``fit``.

    Raises:
        DataError: the table is another one, the fit is one level of a larger one, no degree of
            freedom is left, the fit passes through every row, or it did not converge.
    """
    if LEVEL in fit.provenance and "data" in fit.provenance:
        raise _of_one_level(fit)
    table = table_again(fit.provenance, runs, columns)
    refuse_unlabelled(fit.groups.values(), table)
    prepared = prepare_again(fit, table)
    grouped = sorted({name for item in fit.groups.values() for name in item.columns})
    digest = data_digest(table, fit.law, fit.objective, grouped)
    if "data" in fit.provenance and digest != fit.provenance["data"]:
        raise DataError(
            f"these are not the {fit.nobs} runs that the fit was made from: columns, losses, "
            "weights or the order of the rows differ",
            remedy="Pass the very table given to fit, with the same keep and missing",
        )
    if fit.df_resid < 1:
        require_freedom(fit)
    if fit.status is Status.EXACT:
        raise DataError(
            "the law passes through every run to rounding: there is no noise to learn from",
            remedy="Simulated losses need noise before they say how certain a fit is",
        )
    if not fit.status.usable:
        raise DataError(
            f"the fit is not at an optimum ({fit.status.name.lower()}), so nothing around it "
            "describes its uncertainty",
            remedy="Fix or tie a parameter, or add runs, until the fit converges",
        )
    problem = prepared.problem
    predicted = fit.predict(table)
    return FittedData(
        fit=fit,
        table=table,
        prepared=prepared,
        optimum=optimum_of(fit, problem),
        at_bound=np.array(
            [group[0] in fit.diagnostics.at_bound for group in problem.names], dtype=bool
        ),
        used=table.weight > 0,
        predicted=predicted,
        residuals=fit.residuals(table),
        df_resid=fit.df_resid,
    )


def _of_one_level(fit: Fit) -> DataError:
    """The error for a fit that was taken from one of all levels."""
    level = fit.provenance[LEVEL]
    return DataError(
        f"this is {fit.law.name!r} at {level}, taken from a fit to all {fit.nobs} rows, which "
        "alone says how certain it is",
        column=level.partition("=")[0],
        remedy="Pass that fit, before .at(...); its draws have a level as well: "
        f"scalefit.bootstrap(fit, runs).at({level})",
    )


def optimum_of(fit: Fit, problem: Problem) -> Candidates:
    """The optimum of a fit in numbers: coefficients in raw units, and coordinates.

    Args:
        fit: the fit.
        problem: the problem it solved.
    """
    first = [fit.params[group[0]] for group in problem.names]
    count = len(problem.owners)
    coordinates = np.array(
        [
            np.log(value) if log else value
            for value, log in zip(first[count:], problem.logarithmic, strict=True)
        ]
    )
    return Candidates(coordinates, np.array(first[:count]), np.float64(fit.objective_value))


def require_freedom(fit: Fit, exact: bool = False) -> None:
    """Raise where the fit has too few residual degrees of freedom for an interval.

    Args:
        fit: the fit.
        exact: whether the interval holds with any number of them: by an exact Student's t, or by
            known errors.

    Raises:
        DataError: too few residual degrees of freedom, or published values.
    """
    if fit.status is Status.PUBLISHED:
        raise DataError(
            "these values are published ones, and no table stands behind them",
            remedy="Fit the law to runs; the published uncertainties are in the fit's notes",
        )
    if fit.df_resid >= (1 if exact else FEWEST_FREEDOM):
        return
    raise DataError(
        f"{fit.nobs} runs leave {fit.df_resid} residual degrees of freedom for {fit.n_free} "
        f"parameters, fewer than {FEWEST_FREEDOM}: the residuals say too little about the "
        "noise for any interval to hold what it promises",
        remedy=_ways_out(fit),
    )


def _ways_out(fit: Fit) -> str:
    """What gives an interval of few runs."""
    if fit.df_resid < 1:
        return "Add runs, or fix or tie parameters with reason"
    # What has finite bounds is searched, because it does not enter linearly.
    free = [param for param in fit.law.params if param.name not in fit.fixed]
    bent = [one.name for one in free if one.kind.name not in LINEAR or one.kind.searchable]
    squares = "residual='raw', robust='none'"
    held = {**fit.fixed, **{name: float(f"{fit.params[name]:.4g}") for name in bent}}
    if fit.objective.residual == "raw" and not fit.objective.penalty.bounded and not bent:
        exact = "Take covariance(fit, runs), whose Student's t is exact for a linear fit by squares"
    else:
        named = as_keywords(fit.law, fit.provenance)
        given = f", fixed={held!r}" if held else ""
        reason = ", with the others fixed with reason" if bent else ""
        call = f"fit(runs, {called(fit.law)}{named}, {squares}{given})"
        exact = f"Fit what is linear by squares{reason}, as {call}: covariance is then exact"
    known = "state known errors of the losses, as robust='none', sigma=0.01"
    return f"{exact}. Or {known}; or add runs"


def require_clusters(fit: Fit, call: str) -> None:
    """Raise where rows are far from independent and no clusters are named.

    Args:
        fit: the fit.
        call: name of the function with its options, ``{by}`` for the column of the clusters.

    Raises:
        DataError: intervals by rows would be more than twice too narrow.
    """
    note = too_narrow(fit.notes)
    if note is None:
        return
    by = note.details["by"]
    named = call.format(by=repr(by if isinstance(by, str) else list(by)))
    said = note.message.split(". Ways out: ")[0]
    raise DataError(
        f"{said}. Intervals by rows that are more than {MOST_NARROWED:g} times too narrow are "
        "refused",
        column=by if isinstance(by, str) else by[0],
        remedy=f"Name what is independent: {named}. To take each row as independent all the same: "
        + call.format(by=repr(ROW)),
    )


def parameters(
    fitted: FittedData, coefficients: np.ndarray, coordinates: np.ndarray, active: np.ndarray
) -> dict[str, np.ndarray]:
    """Every parameter by name, for many points at once.

    Args:
        fitted: the fit on its table.
        coefficients: raw units, shape (n, k).
        coordinates: shape (n, q).
        active: which free parameters a bound holds, shape (n, p).

    Returns:
        Values of shape (n,), in the law's order.
    """
    problem, settings = fitted.prepared.problem, fitted.prepared.settings
    point = np.concatenate([coefficients, coordinates], axis=1)
    # Coefficients are in raw units, and some coordinates are logarithms.
    logarithmic = np.array([False] * len(problem.owners) + list(problem.logarithmic))
    values = np.where(logarithmic, np.exp(np.where(logarithmic, point, 0.0)), point)
    values = np.where(active, settings.nearer_bound(point), values)
    found = {name: np.full(len(point), value) for name, value in fitted.fit.fixed.items()}
    # Tied parameters share a value.
    for group, column in zip(problem.names, values.T, strict=True):
        found.update(dict.fromkeys(group, column))
    return {name: found[name] for name in problem.ordered}


def checked_by(by: Any) -> Columns | None:
    """The columns of clusters that were passed: one name, or a tuple of several.

    Raises:
        ArgumentError: they are no names.
    """
    if by is None:
        return None
    remedy = "Pass the name of a column, as by='corpus', or of several, as by=['N', 'D']"
    found = names(by, "by", remedy=remedy, wanted="column name")
    if not found:
        raise refused("by", by, "a column name", remedy)
    return found[0] if len(found) == 1 else found


def own_clusters(fit: Fit) -> Columns | None:
    """The clusters that rows are in by themselves: runs, where each has several responses."""
    return RUNS if len(fit.responses) > 1 else None


def by_text(by: Columns) -> str:
    """Columns of clusters as text."""
    return by if isinstance(by, str) else ", ".join(by)


def clusters(fitted: FittedData, by: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Values of columns over the rows of positive weight, and which of them each such row has.

    Args:
        fitted: the fit on its table.
        by: name of the column, or several, whose combinations count; ``index`` for the labels of
            the rows, unless a column has that name.

    Raises:
        DataError: there is no such column, or it has one value only.
    """
    table, columns = fitted.table, []
    for name in (by,) if isinstance(by, str) else by:
        if name == ROW and name not in table:
            columns.append(np.array([str(row) for row in table.rows]))
        else:
            columns.append(np.array(table.labels(name).astype(str), dtype=np.str_))
    labels = np.stack(columns, axis=1)[fitted.used]
    distinct, codes = np.unique(labels, axis=0, return_inverse=True)
    values = np.array(["/".join(row) for row in distinct])
    if len(values) < 2:
        raise DataError(
            f"{by_text(by)!r} has one value only ({values[0]}): there are no clusters",
            column=by_text(by),
            remedy="Choose another column, or take runs as independent",
        )
    return values, codes.ravel()
