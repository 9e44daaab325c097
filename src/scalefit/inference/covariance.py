"""Standard errors from the curvature of the objective at its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import affordable, choice, shown, text, whole
from scalefit.arguments import seed as checked_seed
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.inference.derivatives import core_share, slopes
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import (
    FEWEST_CLUSTERS,
    FittedData,
    attach,
    clusters,
    curve_notes,
    parameters,
    require_freedom,
    run_noise,
)
from scalefit.inference.leverage import left_out
from scalefit.notes import Note
from scalefit.objective import Measure, influence
from scalefit.reporting import report
from scalefit.results.estimate import checked_level
from scalefit.results.fit import Fit, checked_fit, refuse_unknown

__all__ = ["Covariance", "CovarianceMethod", "Spread", "check_method", "covariance", "spread"]

CovarianceMethod = Literal["jacobian", "sandwich"]

# Share of the draws beyond a bound above which their clipping is worth a note.
CLIPPED_SHARE = 0.01

# Numbers of eight bytes that a draw takes for each parameter.
FIELDS = 16
COUNT = "Pass n_draws=4000, which gives two digits of an interval"

# Draws whose columns are evaluated at once.
CHUNK = 256


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of the free parameters, to first order at the optimum.

    Attributes:
        fit: the fit.
        matrix: covariance of the free parameters in raw units, those at a bound left out, a
            DataFrame with their names on both sides; tied parameters by their first name.
        method: ``jacobian``, ``sandwich``, or ``sandwich of`` the column of the clusters.
        freedom: degrees of freedom of the t distribution of its intervals.
        notes: soft problems.
    """

    fit: Fit
    matrix: pd.DataFrame
    method: str
    freedom: int
    notes: tuple[Note, ...]
    _ground: FittedData
    _inner: np.ndarray
    _logarithmic: np.ndarray

    @property
    def standard_errors(self) -> pd.Series:
        """Standard error of each parameter, raw units."""
        return pd.Series(np.sqrt(np.diagonal(self.matrix)), self.matrix.index)

    @property
    def correlation(self) -> pd.DataFrame:
        """Correlation matrix."""
        errors = self.standard_errors.to_numpy()
        return self.matrix.div(errors, axis=0).div(errors, axis=1)

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Estimate, standard error and t interval of every free parameter.

        The interval is symmetric in the coordinate that :meth:`draws` are made in: the logarithm of
        positive amplitudes, exponents and scales, everything else as it is.

        Args:
            level: coverage promised.

        Returns:
            A row for each parameter: ``value``, ``se``, ``low``, ``high``, raw units.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
            DataError: fewer than five residual degrees of freedom are left, too few for any
                interval.
        """
        from scipy.stats import t

        share = checked_level(level)
        require_freedom(self.fit)
        reach = t.ppf(0.5 + 0.5 * share, self.freedom)
        value = pd.Series({name: self.fit.params[name] for name in self.matrix.index})
        errors = self.standard_errors
        with np.errstate(over="ignore"):
            factor = np.exp(reach * errors / value.where(self._logarithmic, np.inf))
        low = (value / factor).where(self._logarithmic, value - reach * errors)
        high = (value * factor).where(self._logarithmic, value + reach * errors)
        return pd.DataFrame({"value": value, "se": errors, "low": low, "high": high})

    def draws(self, n_draws: int = 4000, seed: int = 0) -> Ensemble:
        """Draws from the t distribution that the covariance describes.

        Coefficients are drawn as the size of their term over the runs, those of amplitudes in the
        logarithm, so that a drawn exponent takes its amplitude along; exponents and scales in the
        coordinate they are searched in, everything else as it is. What falls beyond a bound is put
        on it.

        Args:
            n_draws: number of draws.
            seed: of the draws.

        Raises:
            ArgumentError: the number of draws or the seed is none, or so many draws do not fit
                into memory.
            DataError: fewer than five residual degrees of freedom are left.
        """
        n_draws, seed = whole(n_draws, "n_draws", least=2, remedy=COUNT), checked_seed(seed)
        require_freedom(self.fit)
        fitted, problem = self._ground, self._ground.prepared.problem
        affordable(n_draws, "n_draws", 8 * FIELDS * problem.size, remedy=COUNT)
        count, p = len(problem.owners), problem.size
        rng = np.random.default_rng(seed)
        data, place = fitted.prepared.data, fitted.near.coordinates
        objective = scaled_objective(problem, data)
        around = objective.scale_derivatives(data.metric[None], place[None])
        sizes, turns = around.size, around.size[..., None] * around.first
        terms = fitted.near.coefficients * sizes[0]
        log = np.zeros(p, dtype=bool)
        log[~fitted.held] = self._logarithmic
        log = log[:count]
        # Terms in place of coefficients: to first order the same, and what a drawn exponent does
        # to its amplitude is then exact.
        turned = np.eye(p)
        turned[:count, :count] = np.diag(
            np.where(log, sizes[0] / np.where(log, terms, 1), sizes[0])
        )
        slopes_of_terms = fitted.near.coefficients[:, None] * turns[0]
        turned[:count, count:] = slopes_of_terms / np.where(log, terms, 1.0)[:, None]
        free = ~fitted.held
        turned = turned[np.ix_(free, free)]
        inner = turned @ self._inner @ turned.T
        size = np.sqrt(np.diagonal(inner))
        values, vectors = np.linalg.eigh(inner / np.outer(size, size))
        root = size[:, None] * vectors * np.sqrt(np.clip(values, 0, None))
        # A t variable is a normal one over the root of a chi-square over its freedom.
        shrink = np.sqrt(rng.chisquare(self.freedom, n_draws) / self.freedom)
        steps = np.zeros((n_draws, p))
        steps[:, free] = rng.standard_normal((n_draws, len(root))) @ root.T / shrink[:, None]
        points = np.r_[np.where(log, np.log(np.where(log, terms, 1.0)), terms), place] + steps
        drawn = np.clip(points[:, count:], *(fitted.prepared.settings[i][count:] for i in (0, 1)))
        points[:, :count][:, log] = np.exp(points[:, :count][:, log])
        for i in range(0, n_draws, CHUNK):
            points[i : i + CHUNK, :count] /= objective.scale(data.metric, drawn[i : i + CHUNK])
        # What is held stays where it is, whatever the size of its column.
        points[:, ~free] = fitted.point[~free]
        settings = fitted.prepared.settings
        beyond = (points < settings.lower) | (points > settings.upper)
        points = np.clip(points, settings.lower, settings.upper)
        notes = [
            Note.of(
                "draws_at_bound",
                f"{100 * share:.2g} % of the draws of {group[0]} fell beyond its bound and were "
                "put on it: so close to a bound the curvature says little. Use bootstrap",
                {"parameter": group[0], "share": float(share)},
                severity="warning",
            )
            for group, share in zip(problem.names, beyond.mean(axis=0), strict=True)
            if share > CLIPPED_SHARE
        ]
        held = np.broadcast_to(fitted.held, points.shape) | beyond
        return Ensemble(
            fit=self.fit,
            params=parameters(fitted, points[:, :count], points[:, count:], held),
            usable=np.ones(n_draws, dtype=bool),
            method=self.method,
            seed=seed,
            noise=run_noise(fitted),
            replicates=None,
            df_resid=fitted.freedom,
            notes=(*self.notes, *notes),
        )

    def __repr__(self) -> str:
        return report.covariance_text(self)


def covariance(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    method: CovarianceMethod = "sandwich",
    *,
    by: str | None = None,
    **columns: Any,
) -> Covariance:
    """Covariance of the parameters, from exact derivatives at the optimum.

    With J the derivatives of the residuals, H the second derivative of the objective and psi the
    derivative of the penalty, all at the optimum of n runs and p free parameters,

        jacobian:  s^2 / m^2 (J^T W J)^-1,  s^2 = sum w psi^2 / (n - p),  m = mean psi'
        sandwich:  (n - 1) / n H^-1 (sum w^2 psi_i^2 J_i J_i^T) H^-1,  psi_i of run i left out

    The first assumes noise of one size that does not depend on the run, the second only that runs
    (or clusters) are independent. It takes each run (or cluster) as if the fit had not seen it,
    (I - H)^-1 psi: the jackknife to first order. For squares the first is the covariance of
    nonlinear least squares. Where a Huber loss is quadratic for few rows only, mean psi' and that
    part of H are estimated from a wider window, as in quantile regression.

    Args:
        fit: the fit.
        runs: the table it was made from.
        method: ``jacobian`` or ``sandwich``.
        by: column of clusters of runs that depend on each other (sandwich).
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The covariance; its ``draws`` make an ensemble of it.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is not the one that was fitted, leaves no degree of freedom, or lacks
            the column; or the curvature is singular.

    Source:
        Seber and Wild 1989, Nonlinear Regression, section 2.1 (jacobian). Huber 1967, Proc. Fifth
        Berkeley Symposium (sandwich); MacKinnon and White 1985, J. Econometrics 29(3) (runs left
        out, HC3); MacKinnon, Nielsen and Webb 2023, J. Applied Econometrics 38(5), arXiv
        2205.03288 (clusters left out, CV3). Huber 1981, Robust Statistics, section 7.6
        (s^2 / m^2).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> sf.covariance(sf.fit(runs), runs).standard_errors.round(3)
        E         0.014
        A        25.9...
        B        20.4...
        alpha     0.004
        beta      0.003
        dtype: float64
    """
    checked_fit(fit)
    check_method(method, by)
    refuse_unknown(covariance, fit.law, columns)
    fitted = attach(fit, runs, **columns)
    found = spread(fitted, method, by)
    problem = fitted.prepared.problem
    point = fitted.point
    count = len(problem.owners)
    kinds = {param.name: param.kind.name for param in fit.law.params}
    amplitude = [kinds[problem.linear[owner][0]] == "amplitude" for owner in problem.owners]
    positive = np.array(amplitude, dtype=bool) & (fitted.near.coefficients > 0)
    searched = np.array([False] * count + list(problem.logarithmic))
    natural = np.where(searched, np.exp(np.where(searched, point, 0.0)), 1.0)[~fitted.held]
    names = [group[0] for group, held in zip(problem.names, fitted.held, strict=True) if not held]
    notes = [*curve_notes(fit, by), *found.notes]
    if fitted.held.any():
        notes.append(
            Note.of(
                "conditional_on_bound",
                f"{', '.join(fit.diagnostics.at_bound)} at a bound: the others' errors take it as "
                "known. Profiles and bootstrap replicates may leave the bound, and then say more",
                {"parameters": list(fit.diagnostics.at_bound)},
            )
        )
    return Covariance(
        fit=fit,
        matrix=pd.DataFrame(found.inner * np.outer(natural, natural), names, names),
        method=method if by is None else f"{method} of {by}",
        freedom=found.freedom,
        notes=tuple(notes),
        _ground=fitted,
        _inner=found.inner,
        _logarithmic=np.r_[positive, searched[count:]][~fitted.held],
    )


class Spread(NamedTuple):
    """Covariance of the free parameters that no bound holds, in the engine's coordinates.

    Attributes:
        inner: shape (p, p).
        freedom: degrees of freedom of Student's t.
        notes: soft problems.
    """

    inner: np.ndarray
    freedom: int
    notes: tuple[Note, ...]


def check_method(method: str, by: str | None) -> None:
    """Raise where the method of a covariance makes no sense.

    Raises:
        ArgumentError: it is unknown, or takes no clusters.
    """
    choice(method, "method", get_args(CovarianceMethod))
    if by is not None:
        text(by, "by", remedy="Pass the name of a column, as by='corpus'")
    if method == "jacobian" and by is not None:
        raise ArgumentError(
            f"by={shown(by)} names clusters, and method='jacobian' takes runs as independent",
            argument="by",
            value=by,
            remedy="Use method='sandwich' for clusters of runs",
        )


def spread(fitted: FittedData, method: CovarianceMethod, by: str | None) -> Spread:
    """The covariance in numbers; see :func:`covariance`."""
    problem, data = fitted.prepared.problem, fitted.prepared.data
    how = _finite_delta(data.measure, fitted)
    around = slopes(problem, data._replace(measure=how), fitted.point)
    jacobian = around.jacobian[fitted.used][:, ~fitted.held]
    residuals = around.residuals[fitted.used]
    bend = around.bend[np.ix_(~fitted.held, ~fitted.held)]
    weight = fitted.table.weight[fitted.used]
    psi = influence(how, residuals)
    size = np.sqrt(np.sum(weight[:, None] * jacobian**2, axis=0))
    idle = size == 0
    if idle.any():
        names = [group[0] for group in np.array(problem.names, dtype=object)[~fitted.held][idle]]
        raise DataError(
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect at the optimum: "
            "a term of theirs is zero",
            remedy="Fit a law without that term: its parameters cannot be estimated here",
        )
    scaled = jacobian / size
    freedom = fitted.freedom
    share = core_share(how, residuals, weight)
    notes: tuple[Note, ...] = ()
    if method == "jacobian":
        variance = np.sum(weight * psi**2) / freedom / share**2
        inner = variance * _inverse(scaled.T @ (weight[:, None] * scaled))
    else:
        codes = None if by is None else _clusters(fitted, by)
        without = left_out(scaled, weight, psi, codes)
        scores = (weight * without.values)[:, None] * scaled
        count = len(scores)
        if codes is not None:
            count = int(codes.max()) + 1
            scores = np.array([scores[codes == code].sum(axis=0) for code in range(count)])
            freedom = min(freedom, count - 1)
        curved = share * (scaled.T @ (weight[:, None] * scaled)) + bend / np.outer(size, size)
        steps = scores @ _inverse(curved)
        inner = (count - 1) / count * steps.T @ steps
        notes = _alone(without.alone, by)
    if not (np.isfinite(inner).all() and (np.diagonal(inner) > 0).all()):
        raise DataError(
            "the curvature of the objective is singular at the optimum: some combination of the "
            "parameters is not constrained by these runs",
            remedy="Fix or tie a parameter, or vary the columns more; see the fit's notes",
        )
    return Spread(inner / np.outer(size, size), freedom, notes)


def _clusters(fitted: FittedData, by: str) -> np.ndarray:
    """Number of the cluster of each row that counts."""
    known, codes = clusters(fitted, by)
    if len(known) < FEWEST_CLUSTERS:
        raise DataError(
            f"{by!r} has 2 values: too few clusters for any standard error",
            column=by,
            remedy="Use finer clusters, or method='jacobian' without by=, which takes runs as "
            "independent",
        )
    return codes


def _alone(count: int, by: str | None) -> tuple[Note, ...]:
    if not count:
        return ()
    what = "runs" if by is None else f"values of {by}"
    return (
        Note.of(
            "determined_alone",
            f"{count} {what} determine some combination of the parameters by themselves: the fit "
            "follows them there, their residuals say nothing about their noise, and the errors "
            f"are too small. Use method='jacobian'{'' if by is None else ' without by='}, or add "
            "runs beside them",
            {"count": count, "by": by},
        ),
    )


def _finite_delta(how: Measure, fitted: FittedData) -> Measure:
    """The measure itself; of absolute residuals, a Huber loss of next to no delta."""
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
