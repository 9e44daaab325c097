"""diagnose(): what a fitted law leaves over, and what its answer depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import text
from scalefit.errors import DataError
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.inference.covariance import covariance
from scalefit.inference.fitted_data import FittedData, attach, by_text
from scalefit.inference.subset_fits import fit_subsets
from scalefit.notes import Note
from scalefit.results.dependence import too_narrow
from scalefit.results.estimate import Draws
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.prediction import refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.progress import with_progress
from scalefit.validation.diagnosis import Diagnosis
from scalefit.validation.diagnosis_notes import diagnosis_notes
from scalefit.validation.left_out_blocks import Partition, budget_column, column_of, partitions
from scalefit.validation.linearised import linearised
from scalefit.validation.objective_sensitivity import flagged_runs, objective_frame
from scalefit.validation.residual_trends import residual_trends
from scalefit.validation.smooth_pattern import smooth_pattern
from scalefit.validation.swings import left_out_frame
from scalefit.validation.targets import Target, find_target

__all__ = ["diagnose"]

# A search of the bounds of more nonlinear parameters takes seconds for each block: minutes in all,
# of the five of 'data_constrained'. Fits without a block then start at the optimum of all runs.
MOST_SEARCHED = 4

# Draws of the interval: two digits of its ends.
N_DRAWS = 1000


@with_progress
def diagnose(
    fit: Fit,
    runs: Any,
    *,
    target: Any = None,
    by: str | None = None,
    seed: int = 0,
    progress: bool = True,
    devices: Devices = None,
    **columns: Any,
) -> Diagnosis:
    """What a fitted law leaves over, and what its answer depends on.

    Three questions, each answered on the runs themselves. Do the residuals have a trend along N,
    D, C or D/N, or another smooth pattern? How far does the answer move without one budget, or one
    size, and is that more than noise? How far does it move with the objective, or without runs that
    are far off? The answer is N* at a budget, or a prediction for other laws.

    Args:
        fit: the fit.
        runs: the table it was made from.
        target: the question. For a law of N and D a budget in FLOP; by default ten times the
            largest 6ND of the runs. For other laws the value of their first column; by default ten
            times the largest. Columns by name, as ``{"N": 7e9, "D": 2e12}``, ask for the
            prediction there. A law of N and D with grouped coefficients, or without an optimum, is
            asked for the prediction of its largest run scaled to the budget.
        by: column of blocks of runs that are left out together and are the clusters of standard
            errors; by default budgets (``C``, or 6ND), or the first column of a law without N and
            D. Sizes are left out beside them.
        seed: of the draws of the interval.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where to fit without a block, as for :func:`scalefit.bootstrap`.
        **columns: headers and options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The diagnosis; :func:`scalefit.plot.diagnosis` draws it.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is not the one that was fitted; the fit is of published values, passes
            through every run, did not converge, or leaves no degree of freedom.

    Source:
        Trends: added variables, with standard errors by cluster (CV3) as in
        :func:`scalefit.covariance`. Swings: deletion of groups of cases, Cook and Weisberg 1982,
        Residuals and Influence in Regression, section 3.6.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.003)
        >>> found = sf.diagnose(sf.fit(runs), runs)
        >>> int(found.trends["flagged"].sum()), int(found.left_out["flagged"].sum())
        (0, 0)
        >>> found.largest_swing["block"]
        '...'
    """
    checked_fit(fit)
    refuse_unknown(diagnose, fit.law, columns)
    seed, devices = arguments.seed(seed), checked_devices(devices)
    if by is not None:
        by = text(by, "by", remedy="Pass the name of a column, as by='N'")
    _require_residuals(fit)
    fitted = attach(fit, runs, **columns)
    table = fitted.table
    asked = find_target(fit, table, target)
    cuts = partitions(table, fit.law, by)
    near = linearised(fitted)
    answer = asked.of(fit)[asked.first]
    flagged = flagged_runs(fitted)
    parts = [row for cut in cuts for row in cut.kept]
    count = len(fitted.prepared.problem.nonlinear)
    kept = np.array([*parts, *([~flagged] * bool(flagged.any()))])
    subsets = fit_subsets(fit, table, kept, searched=count <= MOST_SEARCHED, devices=devices)
    measured = _columns(fitted)
    codes = cuts[0].codes[fitted.used] if cuts else np.arange(fit.nobs)
    rows = {name: values[fitted.used] for name, values in measured.items()}
    draws, method = _draws(fitted, asked, by, seed)
    left_out = left_out_frame(fitted, asked, near, cuts, subsets[: len(parts)], answer)
    found = Diagnosis(
        fit=fit,
        target=asked,
        trends=residual_trends(near, fit.objective, rows, codes, fit.df_resid),
        pattern=smooth_pattern(near, {name: rows[name] for name in fit.law.columns}, fit.df_resid),
        left_out=left_out,
        objectives=objective_frame(
            fitted, asked, subsets[len(parts)] if flagged.any() else None, answer
        ),
        residuals=_rows(fitted, rows, cuts, flagged),
        draws=draws,
        method=method,
        jackknife=_jackknife(left_out),
    )
    notes = [*diagnosis_notes(found, cuts), *_searched(count), *_reach(asked), *fit.carried]
    return replace(found, notes=tuple(n for i, n in enumerate(notes) if n not in notes[:i]))


def _require_residuals(fit: Fit) -> None:
    """Raise where there are no residuals to judge by.

    Raises:
        DataError: the values are published ones, or the law passes through every run.
    """
    if fit.status is Status.PUBLISHED:
        raise DataError(
            "these values are published ones: nothing was fitted that could be diagnosed",
            remedy="Fit the law to runs: diagnose(fit(runs), runs). How published values predict "
            "runs: scalefit.plot.predictions(fit, runs)",
        )
    if fit.status is Status.EXACT:
        raise DataError(
            "the law passes through every run to rounding: it leaves nothing to diagnose",
            remedy="Simulated losses need noise before they say what an answer depends on",
        )


def _columns(fitted: FittedData) -> dict[str, np.ndarray]:
    """The columns of the trends, each of shape (rows,): N, D, compute and D/N, then the others."""
    law, table = fitted.fit.law, fitted.table
    if not {"N", "D"} <= set(law.columns):
        return {name: table.column(name) for name in law.columns}
    flops = budget_column(table, law)
    found = {"N": table.column("N"), "D": table.column("D"), flops: column_of(table, flops)}
    found["D/N"] = found["D"] / found["N"]
    return found | {name: table.column(name) for name in law.columns}


def _rows(
    fitted: FittedData,
    columns: dict[str, np.ndarray],
    cuts: Sequence[Partition],
    flagged: np.ndarray,
) -> pd.DataFrame:
    """The runs that count, with their residuals."""
    labels = pd.Index(fitted.table.rows)[fitted.used]
    frame = pd.DataFrame({"residual": fitted.residuals[fitted.used], **columns}, index=labels)
    names = np.array(cuts[0].names if cuts else ["all"], dtype=object)
    codes = cuts[0].codes[fitted.used] if cuts else np.zeros(len(frame), dtype=int)
    block = pd.Categorical(names[codes], categories=list(names), ordered=_ordered(cuts))
    return frame.assign(block=block, flagged=flagged[fitted.used])


def _ordered(cuts: Sequence[Partition]) -> bool:
    return not cuts or cuts[0].ordered


def _draws(fitted: FittedData, target: Target, by: str | None, seed: int) -> tuple[Draws, str]:
    """The answers under draws of the parameters, and how they were made."""
    fit, note = fitted.fit, too_narrow(fitted.fit.notes)
    named = note.details["by"] if note is not None else None
    if fit.df_resid < FEWEST_FREEDOM:
        return Draws(), f"none: {fit.df_resid} residual degrees of freedom are too few"
    failure = ""
    for clusters in dict.fromkeys((by, named) if by is not None else (named,)):
        try:
            found = covariance(fit, fitted.table, by=clusters).draws(N_DRAWS, seed)
        except DataError as error:
            failure = failure or str(error)
            continue
        whose = "each run by itself" if clusters is None else f"clusters of {by_text(clusters)}"
        return (
            found.drawn.apply(target.values),
            f"from the sandwich covariance, {whose}: scalefit.covariance",
        )
    return Draws(), f"none: {failure}"


def _jackknife(left_out: pd.DataFrame) -> pd.Series:
    """Standard error of ln of the answer by the blocks of each column; NaN where one has none."""
    found = {}
    for by, part in left_out.groupby("by", sort=False):
        swings, count = part["swing"].to_numpy(), len(part)
        found[str(by)] = float(np.sqrt((count - 1) / count * np.sum(swings**2)))
    return pd.Series(found, dtype=float)


def _searched(count: int) -> tuple[Note, ...]:
    """A note where the fits without a block were not searched over the whole bounds."""
    if count <= MOST_SEARCHED:
        return ()
    return (
        Note.of(
            "searched_nearby",
            f"the law has {count} nonlinear parameters, more than {MOST_SEARCHED}: fits without a "
            "block start at the optimum of all runs, and only those that do not converge from "
            "there are searched over the whole bounds. A change may be larger where another "
            "minimum takes over",
            {"nonlinear": count, "limit": MOST_SEARCHED},
        ),
    )


def _reach(target: Target) -> tuple[Note, ...]:
    """How far outside the runs the target lies."""
    if target.optimum is not None:
        return target.optimum.notes
    return target.fit.extrapolation(target.columns)
