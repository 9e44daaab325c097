"""The same law with the same options again: on other runs, or by another objective."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.data.table import LossTable
from scalefit.fitting.api import fit as fit_law
from scalefit.objective import Objective
from scalefit.results.fit import Fit

__all__ = ["crossed_objectives", "objective_label", "objective_variants", "refit"]

# Raw residuals weigh runs by the size of what is observed: beyond this ratio of the largest to the
# smallest, the small ones hardly count, and no one fits them so. Losses of published sweeps differ
# by a factor of 2 to 5.
WIDEST_RAW = 10.0

# How far delta is moved either way: a tenth of 0.001 makes nearly all residuals of published sweeps
# (0.3 to 1 %) count by their absolute value, ten times as much nearly all by their square.
DELTA_FACTOR = 10.0


def refit(fit: Fit, table: LossTable, objective: Objective | None = None) -> Fit:
    """The law of a fit with the same constraints and groups, unproved.

    Args:
        fit: the fit.
        table: the runs.
        objective: what is minimised; that of the fit by default.

    Raises:
        DataError: the table cannot identify the law, or the objective is not defined for it.
        FitError: no point within the bounds has a finite objective.
    """
    groups: Mapping[str, tuple[str, ...]] = {k: item.columns for k, item in fit.groups.items()}
    return fit_law(
        table,
        fit.law,
        fixed=dict(fit.fixed),
        bounds=dict(fit.bounds),
        tied=fit.tied,
        groups=groups,
        certify=False,
        **(objective or fit.objective).options,
    )


def objective_label(objective: Objective) -> str:
    """An objective in a few words, as ``log residuals, Huber``; delta where it is not 0.001."""
    penalties = {"huber": "Huber", "none": "squares", "l1": "absolute", "asymmetric": "asymmetric"}
    said = f"{objective.residual} residuals, {penalties[objective.robust]}"
    usual = objective.delta is None or objective.delta == Objective().delta
    return said if usual else f"{said} (delta = {objective.delta:g})"


def crossed_objectives() -> list[Objective]:
    """Raw and log residuals, by squares and by the usual Huber loss."""
    return [
        Objective("raw", "none"),
        Objective("log", "none"),
        Objective("raw", "huber"),
        Objective("log", "huber"),
    ]


def objective_variants(objective: Objective, observed: np.ndarray) -> list[Objective]:
    """Other objectives that someone might have chosen for these runs.

    Log residuals by squares, absolute values and the usual Huber loss, relative ones by the Huber
    loss, raw ones by squares, and the objective itself with ten times and a tenth of its delta. An
    asymmetric objective asks another question, that of a lower envelope: of it, other residuals and
    deltas.

    Args:
        objective: that of the fit, which is not among them.
        observed: responses of the runs that count: of logarithms and relative residuals all are
            positive, and raw residuals are sensible where they differ by no more than a factor of
            10.
    """
    delta, asymmetry = objective.delta, objective.asymmetry
    found: list[Objective] = []
    if objective.penalty.symmetric:
        crossed = [item for item in crossed_objectives() if item != Objective("raw", "huber")]
        found = [*crossed, Objective("log", "l1"), Objective("relative", "huber")]
    else:
        found = [
            Objective(residual, objective.robust, delta, asymmetry)
            for residual in ("log", "relative", "raw")
        ]
    if delta is not None:
        found += [
            Objective(objective.residual, objective.robust, delta * factor, asymmetry)
            for factor in (DELTA_FACTOR, 1 / DELTA_FACTOR)
        ]
    positive = bool((observed > 0).all())
    raw = not positive or observed.max() <= WIDEST_RAW * observed.min()
    return [
        item
        for item in dict.fromkeys(found)
        if item != objective and (positive if item.needs_positive_loss else raw)
    ]
