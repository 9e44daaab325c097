"""Fits to parts of one table: one batch wherever the parts pose one problem."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scalefit.data.subsets import subset
from scalefit.data.table import LossTable
from scalefit.errors import DataError, FitError
from scalefit.fitting import multistart
from scalefit.fitting.api import result_of
from scalefit.fitting.devices import Devices
from scalefit.fitting.diagnostics import EXACT_SPREAD, converged
from scalefit.fitting.prepared_fit import PreparedFit, prepare_again
from scalefit.fitting.refits import refit
from scalefit.inference.fitted_data import optimum_of
from scalefit.objective import evaluate, value_of_residual
from scalefit.results.diagnostics import NO_DIAGNOSTICS, Minimum
from scalefit.results.fit import Fit
from scalefit.results.status import Status

__all__ = ["SubsetFit", "fit_subsets"]

# Cells of each part that are polished to the end, beside the optimum of the whole table.
STARTS = 2


class SubsetFit(NamedTuple):
    """The fit to one part of a table.

    Attributes:
        fit: the fit; None where the part cannot identify the law, or no point has an objective.
        table: the part.
        failure: why there is none; empty where there is one.
    """

    fit: Fit | None
    table: LossTable
    failure: str


def fit_subsets(
    fit: Fit,
    table: LossTable,
    kept: np.ndarray,
    *,
    searched: bool = True,
    devices: Devices = None,
) -> tuple[SubsetFit, ...]:
    """The same law, objective and constraints, fitted to parts of a table.

    Every part is searched over the whole bounds, and polished from the optimum of the whole table
    too, so that each is a global fit of its own rows alone: the lower end counts. Parts that pose
    one problem, with equal bounds and levels, are searched and polished as one batch.

    Args:
        fit: the fit of the whole table.
        table: its table.
        kept: which rows each part has, booleans of shape (parts, rows).
        searched: whether parts are searched over the whole bounds; else only those that do not
            converge from the optimum of the whole table.
        devices: where to fit.

    Returns:
        One for each part; what it lacks of a fit by :func:`scalefit.fit` is its search evidence and
        its certificate.
    """
    whole = prepare_again(fit, table)
    found: list[SubsetFit | None] = [None] * len(kept)
    batches: dict[bytes, list[int]] = {}
    prepared: dict[int, PreparedFit] = {}
    for i, rows in enumerate(kept):
        part = subset(table, rows)
        try:
            own = prepare_again(fit, part)
        except DataError as error:
            found[i] = SubsetFit(None, part, str(error))
            continue
        if own.problem == whole.problem:
            prepared[i] = own
            batches.setdefault(np.stack(own.settings[:2]).tobytes(), []).append(i)
        else:
            # Another number of levels: its coefficients are others.
            found[i] = _alone(fit, part)
    for members in batches.values():
        refits = _refit(fit, whole, prepared[members[0]], table, kept[members], searched, devices)
        done = converged(fit.objective, whole.data, refits)
        for k, i in enumerate(members):
            found[i] = _assembled(fit, prepared[i], refits, k, bool(done[k]))
    return tuple(item for item in found if item is not None)


def _refit(
    fit: Fit,
    whole: PreparedFit,
    own: PreparedFit,
    table: LossTable,
    kept: np.ndarray,
    searched: bool,
    devices: Devices,
) -> multistart.Refits:
    """Parts with equal bounds, as the whole table with other weights."""
    return multistart.refit(
        whole.problem,
        fit.objective,
        own.settings,
        whole.data,
        weight=whole.weight * kept,
        starts=STARTS,
        near=optimum_of(fit, whole.problem) if fit.status.usable else None,
        global_search=np.full(len(kept), searched),
        held=None if searched else 0,
        devices=devices,
    )


def _assembled(
    fit: Fit, own: PreparedFit, refits: multistart.Refits, k: int, done: bool
) -> SubsetFit:
    """One part's refit as a fit."""
    if not np.isfinite(refits.value[k]):
        return SubsetFit(None, own.table, "no point that was searched has a finite objective")
    problem, active = own.problem, refits.active[k]
    point = np.concatenate([refits.coefficients[k], refits.coordinates[k]])
    held = np.where(active, own.settings.nearer_bound(point), np.nan).tolist()
    params = problem.parameters(refits.coefficients[k], refits.coordinates[k], own.data.fixed, held)
    predicted = own.predict(params)
    value, residuals = evaluate(fit.objective, own.observed, predicted, own.weight)
    diagnostics = replace(
        NO_DIAGNOSTICS,
        search="scattered" if problem.scattered else "grid",
        starts=1,
        minima=(Minimum(value, 1, params),),
        gradient_cosine=float(refits.gradient_cosine[k]),
        newton_decrement=float(refits.newton_decrement[k]),
        at_bound=tuple(
            group[0] for group, there in zip(problem.names, active, strict=True) if there
        ),
    )
    least = value_of_residual(
        fit.objective, EXACT_SPREAD, own.data.weight, float(own.data.unit), own.data.measure.delta
    )
    status = Status.CONVERGED if done else Status.STALLED
    status = Status.EXACT if refits.value[k] <= least else status
    return SubsetFit(
        result_of(own, fit.bounds, status, diagnostics, value, residuals), own.table, ""
    )


def _alone(fit: Fit, part: LossTable) -> SubsetFit:
    """A part that poses a problem of its own."""
    try:
        found = refit(fit, part)
    except (DataError, FitError) as error:
        return SubsetFit(None, part, str(error))
    return SubsetFit(found, part, "")
