"""Standard errors from the curvature of the objective at its optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import affordable, whole
from scalefit.arguments import level as checked_level
from scalefit.arguments import seed as checked_seed
from scalefit.data.table import LossTable
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.inference.covariance_matrix import (
    CovarianceMethod,
    check_method,
    chosen_method,
    covariance_matrix,
    exact_notes,
)
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import (
    FittedData,
    attach,
    by_text,
    own_clusters,
    parameters,
    require_clusters,
    require_freedom,
)
from scalefit.inference.interval_table import interval_table, least_certain
from scalefit.inference.run_noise import RunNoise, run_noise
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import rough_percent
from scalefit.results.dependence import dependence_notes
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.prediction import refuse_unknown

__all__ = ["Covariance", "covariance"]

# Share of the draws beyond a bound above which their clipping is worth a note.
CLIPPED_SHARE = 0.01

# Numbers of eight bytes that a draw takes for each parameter.
FIELDS = 16
COUNT = "Pass n_draws=4000, which gives two digits of an interval"

# Draws whose columns are evaluated at once.
CHUNK = 256


@dataclass(frozen=True, eq=False, repr=False)
class Covariance(Described):
    """Covariance of the free parameters, to first order at the optimum.

    Attributes:
        fit: the fit.
        matrix: covariance of the free parameters in raw units, those at a bound left out, a
            DataFrame with their names on both sides; tied parameters by their first name.
        method: ``jacobian``, ``sandwich``, or ``sandwich of`` the column of the clusters.
        df: degrees of freedom of the t distribution of its intervals; infinite, of a normal one,
            where errors are known.
        notes: soft problems.
    """

    fit: Fit
    matrix: pd.DataFrame
    method: str
    df: float
    notes: tuple[Note, ...]
    _fitted: FittedData
    _matrix: np.ndarray
    _logarithmic: np.ndarray

    @property
    def _exact(self) -> bool:
        """Whether intervals hold with any number of residual degrees of freedom."""
        return self._fitted.exact(self.method)

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
                interval but that of a linear fit or of known errors.
        """
        from scipy.stats import t

        share = checked_level(level)
        require_freedom(self.fit, self._exact)
        reach = t.ppf(0.5 + 0.5 * share, self.df)
        frame, log = self._errors(), self._logarithmic
        value, errors = frame["value"].to_numpy(), frame["se"].to_numpy()
        with np.errstate(over="ignore"):
            factor = np.exp(reach * errors / np.where(log, value, np.inf))
            low = np.where(log, value / factor, value - reach * errors)
            high = np.where(log, value * factor, value + reach * errors)
        return frame.assign(low=low, high=high)

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
            DataError: fewer than five residual degrees of freedom are left, as for
                :meth:`conf_int`.
        """
        n_draws, seed = whole(n_draws, "n_draws", least=2, remedy=COUNT), checked_seed(seed)
        require_freedom(self.fit, self._exact)
        fitted, problem = self._fitted, self._fitted.prepared.problem
        affordable(n_draws, "n_draws", 8 * FIELDS * problem.size, remedy=COUNT)
        settings, k = fitted.prepared.settings, len(problem.owners)
        rng = np.random.default_rng(seed)
        # A t variable is a normal one over the root of a chi-square over its degrees of freedom.
        widths = np.ones(n_draws)
        if np.isfinite(self.df):
            widths = np.sqrt(self.df / rng.chisquare(self.df, n_draws))
        points = self._points(widths, rng)
        beyond = (points < settings.lower) | (points > settings.upper)
        points = np.clip(points, settings.lower, settings.upper)
        notes = [
            Note.of(
                "draws_at_bound",
                f"{rough_percent(share)} of the draws of {group[0]} fell beyond its bound and were "
                "put on it: so close to a bound the curvature says little. Use bootstrap",
                {"parameter": group[0], "share": float(share)},
                severity="warning",
            )
            for group, share in zip(problem.names, beyond.mean(axis=0), strict=True)
            if share > CLIPPED_SHARE
        ]
        at_bound = np.broadcast_to(fitted.at_bound, points.shape) | beyond
        return Ensemble(
            fit=self.fit,
            params=parameters(fitted, points[:, :k], points[:, k:], at_bound),
            usable=np.ones(n_draws, dtype=bool),
            method=self.method,
            seed=seed,
            noise=self._noise(widths, seed),
            replicates=None,
            df_resid=fitted.df_resid,
            notes=(*self.notes, *notes),
        )

    def _noise(self, widths: np.ndarray, seed: int) -> RunNoise:
        """Noise from run to run, with the size that each draw gives it.

        Student's t of a new run, f + s sqrt(1 + h) t, is of one estimate s of the noise: where the
        surface and the noise rest on the same residuals, a draw scales both by one factor.
        """
        noise = run_noise(self._fitted)
        if noise.source == "residuals" and noise.df == self.df:
            return noise._replace(factors=widths)
        return noise.uncertain(len(widths), seed)

    def _points(self, widths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws as points, coefficients in raw units, then coordinates, shape (n_draws, p).

        Args:
            widths: factor of each draw on normal steps, shape (n_draws,).
            rng: random numbers.
        """
        n_draws = len(widths)
        fitted, data = self._fitted, self._fitted.prepared.data
        problem, settings = fitted.prepared.problem, fitted.prepared.settings
        k, p, free = len(problem.owners), problem.size, ~fitted.at_bound
        newton = scaled_objective(problem, data)
        terms = self._terms(
            newton.scale_derivatives(data.metric[None], fitted.optimum.coordinates[None])
        )
        inner = terms.turned @ self._matrix @ terms.turned.T
        # A root of the correlation matrix, rows scaled: rounding may leave it not quite definite.
        size = np.sqrt(np.diagonal(inner))
        values, vectors = np.linalg.eigh(inner / np.outer(size, size))
        root = size[:, None] * vectors * np.sqrt(np.clip(values, 0, None))
        steps = np.zeros((n_draws, p))
        steps[:, free] = rng.standard_normal((n_draws, len(root))) @ root.T * widths[:, None]
        points = np.r_[terms.start, fitted.optimum.coordinates] + steps
        # Back from sizes of terms to coefficients, with the columns at the drawn coordinates.
        drawn = np.clip(points[:, k:], settings.lower[k:], settings.upper[k:])
        points[:, :k][:, terms.log] = np.exp(points[:, :k][:, terms.log])
        for i in range(0, n_draws, CHUNK):
            points[i : i + CHUNK, :k] /= newton.scale(data.metric, drawn[i : i + CHUNK])
        # What a bound holds stays there, whatever the size of its column.
        points[:, ~free] = fitted.point[~free]
        return points

    def _terms(self, around: Any) -> _Terms:
        """Sizes of terms in place of coefficients.

        To first order that is the same, and what a drawn exponent does to its amplitude is exact.

        Args:
            around: size of each column over the runs, and its relative derivatives in the
                coordinates, at the optimum.
        """
        fitted = self._fitted
        k, p, free = len(fitted.optimum.coefficients), len(fitted.point), ~fitted.at_bound
        sizes, slopes = around.size[0], (around.size[..., None] * around.first)[0]
        terms = fitted.optimum.coefficients * sizes
        log = np.zeros(p, dtype=bool)
        log[free] = self._logarithmic
        log = log[:k]
        # Terms that are not in the logarithm are divided by one.
        unit = np.where(log, terms, 1.0)
        turned = np.eye(p)
        turned[:k, :k] = np.diag(np.where(log, sizes / unit, sizes))
        turned[:k, k:] = (fitted.optimum.coefficients[:, None] * slopes) / unit[:, None]
        start = np.where(log, np.log(unit), terms)
        return _Terms(start, log, turned[np.ix_(free, free)])

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The table of parameters: the same as :meth:`conf_int`."""
        return self.conf_int(level)

    def describe(self, level: float = 0.95) -> Description:
        """How well the parameters are known, their intervals, and their correlations."""
        level = checked_level(level)
        if self.fit.df_resid < FEWEST_FREEDOM and not self._exact:
            frame = self._errors()
            headline = "too few residual degrees of freedom for intervals: add runs"
        else:
            frame = self.conf_int(level)
            headline = f"{least_certain(self.fit, frame, level)}. Next: covariance.draws()"
        return Description(
            title=f"Covariance of {self.fit.law.name} by {self.method}",
            headline=headline,
            facts={"runs": f"{self.fit.nobs}, {self.fit.df_resid} residual degrees of freedom"},
            tables=[interval_table(frame, level, self._distribution)],
            notes=self.notes,
            parts={"correlation": self._correlations()},
        )

    @property
    def _distribution(self) -> str:
        """What the intervals are of, in words."""
        if not np.isfinite(self.df):
            return "by the normal distribution, of known errors"
        return f"by Student's t of {self.df:g} degrees of freedom"

    def _errors(self) -> pd.DataFrame:
        """Estimate and standard error of every free parameter."""
        value = pd.Series({name: self.fit.params[name] for name in self.matrix.index})
        return pd.DataFrame({"value": value, "se": self.standard_errors})

    def _correlations(self) -> Description:
        frame = self.correlation
        columns = [Column("", list(frame.index), "text")]
        columns += [Column(str(name), [f"{x:.3f}" for x in frame[name]], "text") for name in frame]
        return Description("Correlations", tables=[Table(columns, rest="correlation has all")])

    def __repr__(self) -> str:
        return f"<Covariance {self.fit.law.name}: {len(self.matrix)} parameters by {self.method}>"


class _Terms(NamedTuple):
    """Coordinates that draws are made in: sizes of terms, then nonlinear coordinates.

    Attributes:
        start: the terms at the optimum, or their logarithms, shape (k,).
        log: which of them are in the logarithm, shape (k,).
        turned: derivative of these coordinates in the free parameters, shape (free, free).
    """

    start: np.ndarray
    log: np.ndarray
    turned: np.ndarray


def covariance(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    method: CovarianceMethod | None = None,
    *,
    by: str | Sequence[str] | None = None,
    **columns: Any,
) -> Covariance:
    """Covariance of the parameters, from exact derivatives at the optimum.

    With J the derivatives of the residuals, H the second derivative of the objective and psi the
    derivative of the penalty, all at the optimum of n runs and p free parameters,

        jacobian:  s^2 / m^2 (J^T W J)^-1,  s^2 = sum w psi^2 / (n - p),  m = mean psi'
        sandwich:  (n - 1) / n H^-1 (sum w^2 psi_i^2 J_i J_i^T) H^-1,  psi_i of run i left out

    The first assumes noise of one size that does not depend on the run, the second only that runs
    (or clusters) are independent. It takes each run (or cluster) as if left out of the fit,
    (I - H)^-1 psi: the jackknife to first order. For squares the first is the covariance of
    nonlinear least squares. Where a Huber loss is quadratic for few rows only, mean psi' and that
    part of H are estimated from a wider window, as in quantile regression.

    Where the errors of the losses are known (``fit(..., sigma=...)``), W has one over their
    squares, s^2 is one, and intervals are normal. Where squares of raw residuals are summed and
    every free parameter is linear, Student's t is exact under normal noise of one size, from one
    residual degree of freedom on.

    Args:
        fit: the fit.
        runs: the table it was made from.
        method: ``jacobian`` or ``sandwich``; by default the sandwich, but where errors are known,
            and where a linear fit has fewer than five residual degrees of freedom.
        by: column of clusters of runs that depend on each other, or several columns, whose
            combinations are the clusters (sandwich); ``index`` for the labels of the rows. Of
            several responses by default the runs, with all responses of each.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The covariance; its ``draws`` make an ensemble of it.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is not the one that was fitted, leaves no degree of freedom, or lacks
            the column; the curvature is singular; or rows are far from independent, and a sandwich
            names no clusters.

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
    clustered = check_method(method, by)
    if clustered is None and method != "jacobian" and fit.objective.sigma is None:
        clustered = own_clusters(fit)
    refuse_unknown(covariance, fit.law, columns)
    if method != "jacobian" and clustered is None:
        require_clusters(fit, "covariance(fit, runs, by={by})")
    fitted = attach(fit, runs, **columns)
    method = chosen_method(fitted, method, clustered)
    found = covariance_matrix(fitted, method, clustered)
    problem = fitted.prepared.problem
    point = fitted.point
    count = len(problem.owners)
    kinds = {param.name: param.kind.name for param in fit.law.params}
    amplitude = [kinds[problem.linear[owner][0]] == "amplitude" for owner in problem.owners]
    positive = np.array(amplitude, dtype=bool) & (fitted.optimum.coefficients > 0)
    # What is exact is so in the parameters themselves, not in their logarithms.
    positive &= not (fitted.linear and method == "jacobian")
    searched = np.array([False] * count + list(problem.logarithmic))
    natural = np.where(searched, np.exp(np.where(searched, point, 0.0)), 1.0)[~fitted.at_bound]
    names = [
        group[0] for group, held in zip(problem.names, fitted.at_bound, strict=True) if not held
    ]
    notes = [*([] if clustered else dependence_notes(fit.notes)), *found.notes]
    notes += exact_notes(fitted, method)
    if fitted.at_bound.any():
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
        matrix=pd.DataFrame(found.matrix * np.outer(natural, natural), names, names),
        method=method if clustered is None else f"{method} of {by_text(clustered)}",
        df=found.df,
        notes=tuple(notes),
        _fitted=fitted,
        _matrix=found.matrix,
        _logarithmic=np.r_[positive, searched[count:]][~fitted.at_bound],
    )
