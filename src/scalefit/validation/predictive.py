"""The predictive distribution of held-out runs: intervals, probability integrals, log scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.derivatives import derivatives
from scalefit.fitting.prepared_fit import pack
from scalefit.inference.covariance import Covariance, covariance
from scalefit.inference.fitted_data import FittedData, attach
from scalefit.inference.run_noise import run_noise
from scalefit.inference.subset_fits import SubsetFit
from scalefit.results.dependence import too_narrow
from scalefit.results.estimate import Estimate
from scalefit.results.status import Status

__all__ = ["Predictive", "predictive"]

# An end of a 95 % interval of so many draws is known to 4 % of its half-width.
DRAWS = 1000


class Predictive(NamedTuple):
    """How the runs of one fold are expected to fall, by the fit of the other runs.

    Attributes:
        loss: draws of the loss of each run, with noise: shape (draws, rows).
        pit: probability of a lower loss than that observed, shape (rows,).
        log_density: logarithm of the predictive density of ln loss, or of the loss where there is
            no logarithm, at that observed, shape (rows,).
        df: degrees of freedom of its Student's t.
        method: how the covariance was estimated.
        codes: codes of the warnings that the covariance and its draws carry.
    """

    loss: Estimate
    pit: np.ndarray
    log_density: np.ndarray
    df: float
    method: str
    codes: tuple[str, ...]


def predictive(one: SubsetFit, test: LossTable, seed: int, logs: bool) -> Predictive | str:
    """The predictive distribution of one fold, or why there is none.

    Intervals are those of ``covariance(fit, runs).draws(1000, seed).predict(kind="run")`` of the
    runs that were fitted. Where these are far from independent, the covariance takes the clusters
    that the fit's note names.

    The log score needs a density, and draws have none in their tails, which decide it. It is that
    of Student's t, with the centre of the prediction, the degrees of freedom of the covariance, and

        scale^2 = J V J^T + s^2,

    J derivatives of the residual in the parameters, V their covariance, s the root mean square of
    the noise that the draws add: the same distribution to first order, with noise that is taken as
    normal. For squares of a linear law it is the exact predictive distribution.

    Args:
        one: the fit, on its table.
        test: runs whose levels were fitted.
        seed: of the draws.
        logs: whether densities are of ln loss.

    Source:
        Geisser 1993, Predictive Inference (Student's t). Krueger et al. 2021, Int. Stat. Rev. 89(2)
        (log scores by parameters, not by smoothed draws).
    """
    fit = one.fit
    assert fit is not None
    if fit.status is Status.EXACT:
        return "the law passes through every run that is fitted: there is no noise to learn from"
    note = too_narrow(fit.notes)
    by = None if note is None else note.details["by"]
    try:
        found = covariance(fit, one.table, by=by)
        drawn = found.draws(DRAWS, seed)
    except DataError as error:
        return str(error)
    loss = drawn.predict(test, kind="run")
    observed = test.column(fit.law.response)
    # Half a draw on either side: never 0 or 1.
    pit = (np.count_nonzero(loss.draws < observed, axis=0) + 0.5) / (len(loss.draws) + 1)
    codes = [note.code for note in drawn.notes if note.severity == "warning"]
    density = _log_density(found, attach(fit, one.table), test, logs)
    return Predictive(loss, pit, density, found.df, found.method, tuple(dict.fromkeys(codes)))


def _log_density(found: Covariance, fitted: FittedData, test: LossTable, logs: bool) -> np.ndarray:
    """Logarithm of the density of Student's t at each observed loss, shape (rows,)."""
    fit, prepared = found.fit, fitted.prepared
    columns, observed = test.columns_of(fit.law), test.column(fit.law.response)
    codes = [grouping.codes(test) for grouping in prepared.codes]
    objective, problem = fit.objective, prepared.problem
    data = pack(problem, objective, columns, observed, np.ones(len(test)), fit.fixed, codes)
    around = derivatives(problem, data, fitted.point)
    unit = float(data.unit) if objective.residual == "raw" else 1.0
    residual, slope = unit * around.residuals, unit * around.jacobian[:, ~fitted.at_bound]
    # From coordinates, some of which are logarithms, to parameters in raw units.
    logarithmic = np.array([False] * len(problem.owners) + list(problem.logarithmic))
    natural = np.where(logarithmic, np.exp(np.where(logarithmic, fitted.point, 0.0)), 1.0)
    slope = slope / natural[~fitted.at_bound]
    surface = np.sum((slope @ found.matrix.to_numpy()) * slope, axis=1)
    scale = np.sqrt(surface + np.mean(run_noise(fitted).values ** 2))
    # Derivative of the residual in the logarithm of the loss, or in the loss.
    steep = np.ones(len(test))
    if objective.residual == "raw":
        steep = observed if logs else steep
    elif objective.residual == "relative":
        steep = (observed - observed * residual) / (observed if logs else observed**2)
    elif not logs:
        steep = 1 / observed
    from scipy.special import gammaln

    df = found.df
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    tail = 0.5 * (df + 1) * np.log1p((residual / scale) ** 2 / df)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(constant - tail - np.log(scale) + np.log(np.abs(steep)))
