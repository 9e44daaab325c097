"""holdout(): runs predicted by fits that have not seen them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, flag, text, whole
from scalefit.arguments import seed as checked_seed
from scalefit.data.loss_units import LossUnit
from scalefit.data.subsets import subset
from scalefit.data.table import LossTable, Missing, as_table
from scalefit.errors import ArgumentError
from scalefit.fitting.api import fit as fit_law
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.laws import Law, find
from scalefit.objective import Residual, Robust
from scalefit.problem.response_groups import responses_for
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.progress import with_progress
from scalefit.validation.calibration import LEVELS
from scalefit.validation.fold_predictions import (
    FoldPredictions,
    known_levels,
    log_errors,
    predict_folds,
)
from scalefit.validation.folds import Fold, Scheme, blocks_of, folds_of, ruled_fold
from scalefit.validation.hold_out_notes import hold_out_notes
from scalefit.validation.hold_out_result import HeldRuns, HoldOut, error_summary
from scalefit.validation.predictive import DRAWS, Predictive, predictive

__all__ = ["holdout"]

COLUMN = "Name a column that divides the runs, as by='N'"
RULE = "Pass a rule as for keep=, as test='C > 1e21'"
COUNT = "Pass a number of blocks, as hold=1"


@with_progress
def holdout(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    by: str | None = None,
    scheme: Scheme = "largest",
    hold: int = 1,
    test: str | None = None,
    intervals: bool = True,
    residual: Residual = "log",
    robust: Robust = "huber",
    delta: float = 1e-3,
    asymmetry: float = 10.0,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    tied: Sequence[Sequence[str]] = (),
    groups: Mapping[str, str | Sequence[str]] | None = None,
    seed: int = 0,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    responses: Sequence[str] | None = None,
    progress: bool = True,
    devices: Devices = None,
    **columns: str | tuple[str, float],
) -> HoldOut:
    """How far a law reaches: runs predicted by fits that have not seen them.

    Runs are held out in blocks: all runs of one budget, size or label together. Each fold is a
    global fit of its own runs, with the same law, objective and constraints.

    Args:
        runs: a table, as for :func:`scalefit.fit`.
        law: name of a built-in law, or a law made with ``@scalefit.law``.
        by: column of the blocks; by default the compute, C or 6ND, where the law has N and D, and
            else its first column. Numbers within 5 % are one block.
        scheme: ``largest``: the ``hold`` largest blocks, by all below; ``rolling``: from each
            origin the ``hold`` blocks above it, by all below it; ``groups``: each block by all
            others.
        hold: number of blocks.
        test: instead of blocks, a rule as for ``keep``: runs that satisfy it are predicted by all
            others.
        intervals: whether to predict with intervals of a new run.
        residual: this and the others as for :func:`scalefit.fit`.
        robust: penalty of the residuals.
        delta: where the Huber loss turns linear.
        asymmetry: weight of runs below the surface.
        fixed: parameters held at a value.
        bounds: bounds by parameter.
        tied: groups of parameters that share a value.
        groups: coefficients that differ by a column.
        seed: of the draws behind intervals, and of scattered searches.
        keep: rules a row must satisfy (DataFrames only).
        missing: what to do about rows without a value (DataFrames only).
        loss_unit: unit of the losses (DataFrames only).
        bytes_per_token: of losses per byte (DataFrames only).
        responses: headers of several responses, as for :func:`scalefit.fit`.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where to fit the folds, as for :func:`scalefit.bootstrap`.
        **columns: headers of the quantities.

    Returns:
        Errors, coverage and log scores by fold, level and distance. Folds whose runs cannot
        identify the law, or give no intervals, are listed with the reason.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, cannot identify the law, or nothing can be held out.
        LawError: the law is unknown or ill-formed.
        FitError: no point within the bounds has a finite objective.

    Source:
        Rolling origins: Tashman 2000, Int. J. Forecasting 16(4). Coverage, PIT and log score:
        Gneiting and Raftery 2007, J. American Statistical Association 102(477).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.004, seed=1)
        >>> found = sf.holdout(runs, by="C")
        >>> found
        <HoldOut chinchilla: 9 runs of 1 folds by C, RMSE 0.5... %>
    """
    law = find(law)
    refuse_unknown(holdout, law, columns)
    intervals, seed = flag(intervals, "intervals"), checked_seed(seed)
    devices = checked_devices(devices)
    choice(scheme, "scheme", get_args(Scheme))
    hold = whole(hold, "hold", least=1, remedy=COUNT)
    by = None if by is None else text(by, "by", remedy=COLUMN)
    table = as_table(
        runs,
        keep=keep,
        missing=missing,
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
        responses=responses_for(law, responses),
        **columns,
    )
    name, folds = _folds(table, law, by, scheme, hold, test)
    fit = fit_law(
        table,
        law,
        residual=residual,
        robust=robust,
        delta=delta,
        asymmetry=asymmetry,
        fixed=fixed,
        bounds=bounds,
        tied=tied,
        groups=groups,
        seed=seed,
        certify=False,
    )
    found = predict_folds(fit, table, folds, devices)
    logs = bool((found.observed > 0).all() and not (found.predicted <= 0).any())
    expected = [
        _expected(found, table, fold, k, seed, logs) if intervals else ""
        for k, fold in enumerate(folds)
    ]
    # Those without a fit last: of origins, the earliest that identifies the law comes first.
    order = sorted(range(len(folds)), key=lambda k: found.fits[k].fit is None)
    held = _held_runs(found, table, law, folds, expected, order, logs)
    frame = _fold_frame(found, folds, expected, order, held)
    rows = [held.coverage(level) for level in LEVELS] if len(held.draws) else []
    density = held.frame["log_density"].to_numpy()
    known = density[~np.isnan(density)]
    result = HoldOut(
        fit=fit,
        fits=tuple(found.fits[k].fit for k in order),
        scheme="test" if test is not None else scheme,
        by=name,
        coverage=pd.DataFrame(rows),
        log_score=float(known.mean()) if len(known) else math.nan,
        notes=(),
        _runs=held,
        _folds=frame,
    )
    return result.with_notes(*hold_out_notes(result, table, folds))


def _folds(
    table: LossTable, law: Law, by: str | None, scheme: Scheme, hold: int, test: str | None
) -> tuple[str, tuple[Fold, ...]]:
    """What divides the runs, and the folds."""
    if test is None and scheme == "groups" and hold != 1:
        raise ArgumentError(
            f"scheme='groups' holds out each block in turn, not {hold} of them",
            argument="hold",
            value=hold,
            remedy="Leave out hold",
        )
    if test is None:
        blocks = blocks_of(table, law, by)
        return blocks.by, folds_of(blocks, scheme, hold)
    given = {"by": by is not None, "scheme": scheme != "largest", "hold": hold != 1}
    if any(given.values()):
        names = [name for name, there in given.items() if there]
        raise ArgumentError(
            f"test={test!r} says which runs are held out, and so does {names[0]}",
            argument=names[0],
            value={"by": by, "scheme": scheme, "hold": hold}[names[0]],
            remedy=f"Leave out {' and '.join(names)}, or test",
        )
    return test, (ruled_fold(table, text(test, "test", remedy=RULE)),)


def _expected(
    found: FoldPredictions, table: LossTable, fold: Fold, k: int, seed: int, logs: bool
) -> Predictive | str:
    """The predictive distribution of one fold's runs, or why there is none."""
    one = found.fits[k]
    if one.fit is None:
        return ""
    held = subset(table, fold.test)
    known = known_levels(one.fit, held)
    return predictive(one, subset(held, known), seed, logs) if known.any() else ""


def _held_runs(
    found: FoldPredictions,
    table: LossTable,
    law: Law,
    folds: Sequence[Fold],
    expected: Sequence[Predictive | str],
    order: Sequence[int],
    logs: bool,
) -> HeldRuns:
    """The held-out runs of all folds, in the order in which these are listed."""
    count = len(found.row)
    drawn = any(isinstance(item, Predictive) for item in expected)
    draws = np.full((DRAWS if drawn else 0, count), np.nan)
    pit, density = np.full((2, count), np.nan)
    for k, item in enumerate(expected):
        if isinstance(item, Predictive):
            at = np.flatnonzero((found.fold == k) & np.isfinite(found.predicted))
            draws[:, at], pit[at], density[at] = item.loss.draws, item.pit, item.log_density
    error = 100 * log_errors(found) if logs else found.observed - found.predicted
    names = np.array([fold.name for fold in folds], dtype=object)
    frame = pd.DataFrame(
        {
            "fold": names[found.fold],
            "row": [table.rows[row] for row in found.row],
            **{name: table.column(name)[found.row] for name in law.columns},
            "observed": found.observed,
            "predicted": found.predicted,
            "error": error,
            "distance": found.reach,
            "pit": pit,
            "log_density": density,
        }
    )
    place = np.argsort(np.argsort(order)[found.fold], kind="stable")
    return HeldRuns(frame.iloc[place].reset_index(drop=True), draws[:, place], logs)


def _fold_frame(
    found: FoldPredictions,
    folds: Sequence[Fold],
    expected: Sequence[Predictive | str],
    order: Sequence[int],
    held: HeldRuns,
) -> pd.DataFrame:
    """A row for each fold; see ``HoldOut.folds``."""
    rows = {}
    for k in order:
        fold, one, item = folds[k], found.fits[k], expected[k]
        at = (held.frame["fold"] == fold.name).to_numpy()
        part = held.frame[at]
        error = part["error"].to_numpy()
        known = np.isfinite(error)
        density = part["log_density"].dropna()
        warned = [] if one.fit is None else [n.code for n in one.fit.notes if _warns(n)]
        if isinstance(item, Predictive):
            warned += [code for code in item.codes if code not in warned]
        rows[fold.name] = {
            "train": int(fold.train.sum()),
            "test": int(fold.test.sum()),
            "predicted": int(known.sum()),
            "distance": part["distance"].max(),
            **error_summary(error[known]),
            "inside": held.coverage(0.95, at).share,
            "log_score": density.mean() if len(density) else math.nan,
            "df": item.df if isinstance(item, Predictive) else math.nan,
            "method": item.method if isinstance(item, Predictive) else "",
            "reason": one.failure or (item if isinstance(item, str) else ""),
            "warnings": ", ".join(warned),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("fold")


def _warns(note: Any) -> bool:
    return bool(note.severity == "warning")
