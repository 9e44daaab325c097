"""What every method stands on: the fit, the table it was made from, and its optimum in numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError
from scalefit.fitting.api import PreparedFit, prepare_again
from scalefit.fitting.grid import Candidates
from scalefit.inference.ensemble import RunNoise
from scalefit.notes import Note
from scalefit.results.fit import Fit
from scalefit.results.status import Status

__all__ = [
    "FEWEST_CLUSTERS",
    "FittedData",
    "attach",
    "clusters",
    "curve_notes",
    "parameters",
    "require_freedom",
    "run_noise",
]

# Below this many residual degrees of freedom the spread of the residuals is itself a guess (its
# 95 % interval spans a factor of 3.4 at 5, and 6 at 3), and with it any interval.
FEWEST_FREEDOM = 5

# Runs that differ by seed only must repeat this often, all together, before they say more about
# noise than the residuals do.
FEWEST_REPEATS = 5

# Two clusters have one difference between them: no standard error.
FEWEST_CLUSTERS = 3


class FittedData(NamedTuple):
    """A fit on its table.

    Attributes:
        fit: the fit.
        table: its table.
        prepared: the problem it solved.
        near: its optimum, coefficients in raw units, shapes (k,) and (q,).
        held: which free parameters are at a bound, shape (p,).
        used: rows that count, shape (rows,).
        predicted: prediction of each row, shape (rows,).
        residuals: shape (rows,), as the objective defines them.
        freedom: residual degrees of freedom.
    """

    fit: Fit
    table: LossTable
    prepared: PreparedFit
    near: Candidates
    held: np.ndarray
    used: np.ndarray
    predicted: np.ndarray
    residuals: np.ndarray
    freedom: int

    @property
    def point(self) -> np.ndarray:
        """The optimum as one point: coefficients in raw units, then coordinates, shape (p,)."""
        return np.concatenate([self.near.coefficients, self.near.coordinates])

    @property
    def inflation(self) -> float:
        """Factor by which residuals are smaller than the noise, on average, the fit having followed
        them.
        """
        return float(np.sqrt(self.fit.nobs / self.freedom))


def attach(fit: Fit, runs: LossTable | pd.DataFrame, **columns: Any) -> FittedData:
    """The ground that a fit and its table make.

    Args:
        fit: the fit.
        runs: the table it was made from.
        **columns: options of the table where it is a DataFrame, as for ``fit``.

    Raises:
        DataError: the table is another one, no degree of freedom is left, the fit passes through
            every row, or it did not converge.
    """
    table = as_table(runs, **columns)
    prepared = prepare_again(fit, table)
    grouped = sorted({name for item in fit.groups.values() for name in item.columns})
    digest = table.digest([*fit.law.columns, fit.law.response], grouped)
    if "data" in fit.provenance and digest != fit.provenance["data"]:
        raise DataError(
            f"these are not the {fit.nobs} runs that the fit was made from: columns, losses, "
            "weights or the order of the rows differ",
            remedy="Pass the very table given to fit, with the same keep and missing",
        )
    freedom = fit.nobs - fit.n_free
    if freedom < 1:
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
    first = [fit.params[group[0]] for group in problem.names]
    count = len(problem.owners)
    coordinates = np.array(
        [
            np.log(value) if log else value
            for value, log in zip(first[count:], problem.logarithmic, strict=True)
        ]
    )
    predicted = fit.predict(table)
    return FittedData(
        fit=fit,
        table=table,
        prepared=prepared,
        near=Candidates(coordinates, np.array(first[:count]), np.float64(fit.objective_value)),
        held=np.array(
            [group[0] in fit.diagnostics.at_bound for group in problem.names], dtype=bool
        ),
        used=table.weight > 0,
        predicted=predicted,
        residuals=fit.residuals(table),
        freedom=freedom,
    )


def require_freedom(fit: Fit) -> None:
    """Raise where no interval can hold what it promises.

    Raises:
        DataError: fewer than five residual degrees of freedom, or published values.
    """
    if fit.status is Status.PUBLISHED:
        raise DataError(
            "these values are published ones, and no table stands behind them",
            remedy="Fit the law to runs; the published uncertainties are in the fit's notes",
        )
    freedom = fit.nobs - fit.n_free
    if freedom < FEWEST_FREEDOM:
        raise DataError(
            f"{fit.nobs} runs leave {freedom} residual degrees of freedom for {fit.n_free} "
            f"parameters, fewer than {FEWEST_FREEDOM}: the residuals say too little about the "
            "noise for any interval to hold what it promises",
            remedy="Add runs, or fix or tie parameters with reason",
        )


def curve_notes(fit: Fit, by: str | None) -> list[Note]:
    """That rows are checkpoints of few runs, where no column ``by`` names clusters of them."""
    return [note for note in fit.notes if by is None and note.code == "trajectories"]


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
    upper = settings.upper - point < point - settings.lower
    bound = np.where(upper, settings.ends[:, 1], settings.ends[:, 0])
    logarithmic = np.array([False] * len(problem.owners) + list(problem.logarithmic))
    values = np.where(logarithmic, np.exp(np.where(logarithmic, point, 0.0)), point)
    values = np.where(active, bound, values)
    found = {name: np.full(len(point), value) for name, value in fitted.fit.fixed.items()}
    for group, column in zip(problem.names, values.T, strict=True):
        found.update(dict.fromkeys(group, column))
    return {name: found[name] for name in problem.ordered}


def clusters(fitted: FittedData, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column among the rows that count, and the number of each such row's.

    Args:
        fitted: the fit on its table.
        by: name of the column.

    Raises:
        DataError: there is no such column, or it has one value only.
    """
    labels = fitted.table.labels(by).astype(str).to_numpy()[fitted.used]
    known, codes = np.unique(labels, return_inverse=True)
    if len(known) < 2:
        raise DataError(
            f"{by!r} has one value only ({known[0]}): there are no clusters",
            column=by,
            remedy="Choose another column, or take runs as independent",
        )
    return known, codes


def run_noise(fitted: FittedData) -> RunNoise:
    """Noise from run to run: of runs that differ by seed only, where there are enough of them."""
    residual = fitted.fit.objective.residual
    repeated = _of_seeds(fitted)
    if repeated is not None:
        return RunNoise(repeated, "seeds", residual)
    return RunNoise(fitted.residuals[fitted.used] * fitted.inflation, "residuals", residual)


def _of_seeds(fitted: FittedData) -> np.ndarray | None:
    """Residuals of repeated runs around their mean, scaled to the noise of one run."""
    table = fitted.table
    if "seed" not in table.sources:
        return None
    keys = [pd.Series(table.column(name)) for name in fitted.fit.law.columns]
    keys += [pd.Series(codes) for codes in fitted.prepared.codes.values()]
    frame = pd.concat(keys, axis=1)[fitted.used]
    values = pd.Series(fitted.residuals[fitted.used], index=frame.index)
    groups = values.groupby([frame[name] for name in frame])
    size = groups.transform("size")
    if len(values) - groups.ngroups < FEWEST_REPEATS:
        return None
    several = (size > 1).to_numpy()
    inflated = (values - groups.transform("mean")) * np.sqrt(size / (size - 1).clip(lower=1))
    return inflated[several].to_numpy()
