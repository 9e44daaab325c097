"""Bootstrap: refits to resampled rows, clusters or residuals, each a fit of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, FitError
from scalefit.fitting import multistart
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.fitting.diagnostics import converged
from scalefit.fitting.grid import Candidates
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import (
    Columns,
    FittedData,
    attach,
    by_text,
    checked_by,
    own_clusters,
    parameters,
    require_clusters,
    require_freedom,
)
from scalefit.inference.replicate_notes import SearchChecks, replicate_notes
from scalefit.inference.replicates import Replicates
from scalefit.inference.resampling import RESAMPLES, Method, Resample
from scalefit.inference.run_noise import run_noise
from scalefit.results.dependence import dependence_notes
from scalefit.results.estimate import AS_DRAWN
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.progress import with_progress

__all__ = ["bootstrap"]

# Share of the replicates for which the whole box is searched although the polish from the fit
# converged.
SEARCHED = 0.05

# Methods that take clusters, or have a twin that does, and are refused without where it matters.
PLAIN = ("rows", "wild")

# Cells per axis of that search. Up to so many nonlinear coordinates it is cheap; with more it costs
# as much as a hundred refits, and only a part of the replicates is searched.
POINTS = 32
MOST_GRIDDED = 2

# Where searches are expensive: at least so many replicates, drawn at random, are searched to check
# that the minima known from others were enough, round by round, until none ends lower or this share
# of all has been searched. No larger share is searched for ending at a bound.
FEWEST_CHECKED = 10
MOST_SEARCHED = 0.25
# Most such minima from which every replicate is polished again.
MOST_FOLLOWED = 6

# Numbers of eight bytes that a replicate takes for each parameter. What it is fitted to is drawn
# when its turn comes.
FIELDS = 16
COUNT = "Pass n_draws=1000, which gives two digits of an interval"


@with_progress
def bootstrap(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    n_draws: int = 1000,
    *,
    method: Method = "rows",
    by: str | Sequence[str] | None = None,
    seed: int = 0,
    global_search: float = SEARCHED,
    progress: bool = True,
    devices: Devices = None,
    **columns: Any,
) -> Ensemble:
    """Draws of the parameters by refitting to resampled tables.

    Every replicate is a fit: polished from the optimum of the table until its gradient is zero to
    rounding. The whole bounds are searched for a share of the replicates, for those that end at a
    bound and for those that do not converge; for all of them, if a search finds a lower minimum
    than the polish in any of that share.

    Args:
        fit: the fit.
        runs: the table it was made from.
        n_draws: number of replicates.
        method: what is resampled. ``rows``: the runs, as if each had been drawn on its own, with
            all of its responses where these are several.
            ``clusters``: all runs of one value of ``by`` together, for runs that share a
            trajectory, a corpus or a tuning. ``strata``: runs within each value of ``by`` (within
            each budget by default), so that the design keeps its budgets. ``residuals``: losses of
            the fitted surface plus residuals of other runs; the design is kept, and noise of one
            size is assumed. ``wild``: losses of the surface plus the run's own residual, as of a
            fit without the run (or its cluster), times a random number of Webb's six, one for each
            run, or for each value of ``by``; the design is kept, and noise may differ from run to
            run and be shared within a cluster.
        by: column of the clusters or strata, or several columns, whose combinations these are;
            ``index`` for the labels of the rows.
        seed: of the resampling.
        global_search: share of the replicates that is searched over the whole bounds in any case.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where to polish: ``"all"`` devices of this process, one as ``"gpu"`` or
            ``"gpu:1"``, or a mesh of JAX's. By default JAX's default device where that is an
            accelerator; otherwise numpy on the host, or a compiled program for more than
            20,000 replicates of 200 runs.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The draws, and how each refit went. Replicates that did not reach an optimum are counted and
        left out of every interval. Percentiles are corrected for Student's t: see
        ``Ensemble.tails``.

    Raises:
        ArgumentError: an option is invalid, or so many replicates do not fit into memory.
        DataError: the table is not the one that was fitted, leaves fewer than five residual
            degrees of freedom, or lacks the column; or rows are far from independent, and ``rows``
            or ``wild`` names no clusters.
        FitError: no replicate reached an optimum.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap (rows, residuals). Cameron,
        Gelbach and Miller 2008, Rev. Econ. Stat. 90(3) (clusters, wild). Webb 2023, Can. J. Econ.
        56(3) (six-point weights). Hesterberg 2014, arXiv 1411.5279 (percentiles).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> draws = sf.bootstrap(sf.fit(runs), runs, n_draws=200)
        >>> draws
        <Ensemble chinchilla: 200 draws by rows>
    """
    checked_fit(fit)
    n_draws = arguments.whole(n_draws, "n_draws", least=2, remedy=COUNT)
    method, columns_by = _checked_options(fit, method, by)
    seed = arguments.seed(seed)
    global_search = arguments.number(
        global_search,
        "global_search",
        least=0,
        most=1,
        remedy=f"Pass a share, as global_search={SEARCHED}",
    )
    devices = checked_devices(devices)
    arguments.affordable(n_draws, "n_draws", 8 * FIELDS * (fit.n_free + 1), remedy=COUNT)
    # Losses with known noise are drawn, whatever the residuals say of it.
    require_freedom(fit, method == "residuals" and fit.objective.sigma is not None)
    refuse_unknown(bootstrap, fit.law, columns)
    clustered = columns_by is not None and method != "strata"
    if method in PLAIN and not clustered:
        plain = "clusters" if method == "rows" else method
        require_clusters(fit, f"bootstrap(fit, runs, method={plain!r}, by={{by}})")
    fitted = attach(fit, runs, **columns)
    resample = RESAMPLES[method](fitted, columns_by, n_draws, seed)
    refits = _Refits(fitted, resample, n_draws, devices)
    found, checks = refits.searched(global_search, np.random.default_rng(seed))
    usable = converged(fit.objective, fitted.prepared.data, found) & np.isfinite(found.value)
    if not usable.any():
        raise FitError(
            f"none of {n_draws} replicates reached an optimum: resampled like this, the runs do "
            "not constrain the law. Fix or tie a parameter, or resample residuals, which keeps the "
            "design"
        )
    noise = run_noise(fitted)
    if resample.tails == AS_DRAWN:
        # Elsewhere percentiles are corrected for it.
        noise = noise.uncertain(n_draws, seed)
    return Ensemble(
        fit=fit,
        params=parameters(fitted, found.coefficients, found.coordinates, found.active),
        usable=usable,
        method=method if columns_by is None else f"{method} of {by_text(columns_by)}",
        seed=seed,
        noise=noise,
        replicates=Replicates(
            objective_value=found.value,
            newton_decrement=found.newton_decrement,
            gradient_cosine=found.gradient_cosine,
            global_search=found.global_search,
            improved=found.improved,
        ),
        df_resid=fitted.df_resid,
        tails=resample.tails,
        notes=(
            *([] if clustered else dependence_notes(fit.notes)),
            *resample.notes,
            *replicate_notes(fitted, found, usable, checks),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Refits:
    """Refits to resampled tables.

    Attributes:
        fitted: the fit on its table.
        resample: weights or losses of the replicates.
        n_draws: number of replicates.
        devices: where to polish.
    """

    fitted: FittedData
    resample: Resample
    n_draws: int
    devices: Devices

    def searched(
        self, share: float, rng: np.random.Generator
    ) -> tuple[multistart.Refits, SearchChecks | None]:
        """The best minimum found for every replicate, and what checks of the search showed.

        Args:
            share: of the replicates that are searched over the whole bounds in any case.
            rng: draws others that are.
        """
        cheap = len(self.fitted.prepared.problem.nonlinear) <= MOST_GRIDDED
        # One in so many, whatever the number of replicates: those are in no order.
        chosen = np.diff(np.floor(share * np.arange(self.n_draws + 1))) > 0
        batch = max(FEWEST_CHECKED, round(share * self.n_draws))
        most = None if cheap else max(batch, round(MOST_SEARCHED * self.n_draws))
        every = np.arange(self.n_draws)
        found = self._refit(every, near=self.fitted.optimum, global_search=chosen, held=most)
        if cheap:
            others = np.flatnonzero(~found.global_search)
            # A polish from the fit does not always lead to the least minimum: then search them all.
            if found.improved[chosen].any() and len(others):
                self._improve(found, others, self._refit(others))
            return found, None
        if found.improved.any():
            return found, self._follow(found, batch, rng)
        return found, SearchChecks(0, int(chosen.sum()), 0)

    def _refit(self, which: np.ndarray, **options: Any) -> multistart.Refits:
        """Refits of some replicates; a search of the whole bounds for each without options."""
        prepared = self.fitted.prepared
        gridded = len(prepared.problem.nonlinear) <= MOST_GRIDDED
        losses, weights = self.resample.losses, self.resample.weights
        return multistart.refit(
            prepared.problem,
            self.fitted.fit.objective,
            prepared.settings,
            prepared.data,
            observed=None if losses is None else losses.some(which),
            weight=None if weights is None else weights.some(which),
            points=POINTS if gridded else None,
            devices=self.devices,
            **options,
        )

    def _improve(
        self, found: multistart.Refits, which: np.ndarray, other: multistart.Refits
    ) -> np.ndarray:
        """Take over other refits of some replicates where they are lower; which of them are."""
        fit, data = self.fitted.fit, self.fitted.prepared.data
        return multistart.improve(fit.objective, data, found, which, other)

    def _follow(
        self, found: multistart.Refits, batch: int, rng: np.random.Generator
    ) -> SearchChecks:
        """Polish every replicate from the minima that searches of some found, then check.

        Args:
            found: refits of all replicates, changed in place.
            batch: replicates to search in a round.
            rng: draws them.
        """
        prepared, n = self.fitted.prepared, self.n_draws
        # The least value that a known minimum leads to.
        reached = np.where(found.improved, np.inf, found.value)
        fresh, followed, checked, missed = np.flatnonzero(found.improved), 0, 0, 0
        while len(fresh):
            for one in fresh:
                led = reached[one] <= found.value[one] * (1 + multistart.SAME_VALUE)
                if led or followed == MOST_FOLLOWED:
                    continue
                near = Candidates(found.coordinates[one], found.coefficients[one], None)
                other = multistart.follow(
                    prepared.problem,
                    self.fitted.fit.objective,
                    prepared.settings,
                    prepared.data,
                    near,
                    observed=self.resample.losses,
                    weight=self.resample.weights,
                    devices=self.devices,
                )
                self._improve(found, np.arange(n), other)
                reached = np.fmin(reached, other.value)
                followed += 1
            rest = np.flatnonzero(~found.global_search)
            if not len(rest) or (checked and found.global_search.sum() >= MOST_SEARCHED * n):
                break
            some = np.sort(rng.permutation(rest)[:batch])
            lower = self._improve(found, some, self._refit(some))
            fresh, checked, missed = some[lower], len(some), int(lower.sum())
        return SearchChecks(followed, checked, missed)


def _checked_options(fit: Fit, method: Method, by: Any) -> tuple[Method, Columns | None]:
    """The method, and the columns of its clusters or strata; raise where they do not go together.

    Where a run has several responses, they are resampled with it.
    """
    arguments.choice(method, "method", get_args(Method))
    found = checked_by(by)
    if method == "clusters" and by is None:
        raise ArgumentError(
            "by=None names no clusters, which method='clusters' resamples",
            argument="by",
            value=by,
            remedy="Pass the column that says which runs belong together, as by='corpus'",
        )
    if method in ("rows", "residuals") and by is not None:
        raise ArgumentError(
            f"by={arguments.shown(by)} names clusters or strata, and method={method!r} resamples "
            "single runs",
            argument="by",
            value=by,
            remedy="Use method='clusters' or 'wild' for runs that depend on each other, "
            "method='strata' to keep the number of runs of each value",
        )
    if method in PLAIN and found is None and own_clusters(fit) is not None:
        return "clusters" if method == "rows" else method, own_clusters(fit)
    return method, found
