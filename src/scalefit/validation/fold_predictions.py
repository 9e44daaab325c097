"""Runs predicted by fits that have not seen them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scalefit.data.subsets import subset
from scalefit.data.table import LossTable
from scalefit.fitting.devices import Devices
from scalefit.inference.subset_fits import SubsetFit, fit_subsets
from scalefit.objective import Objective, measure, residuals
from scalefit.results.domain import reach
from scalefit.results.fit import Fit
from scalefit.validation.folds import Fold

__all__ = ["FoldPredictions", "known_levels", "log_errors", "predict_folds"]


class FoldPredictions(NamedTuple):
    """Held-out runs with their predictions, fold after fold: m of them in all.

    Attributes:
        fits: the fit of each fold, or why there is none.
        fold: number of the fold of each, shape (m,).
        row: number of its row in the table, shape (m,).
        observed: in the unit of the table, shape (m,).
        predicted: by the fit of its fold, shape (m,); NaN where that has none, or its level was not
            fitted.
        reach: how far it lies outside the runs of that fit, in decades of the column in which it is
            farthest, shape (m,); see :func:`scalefit.results.domain.reach`.
    """

    fits: tuple[SubsetFit, ...]
    fold: np.ndarray
    row: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    reach: np.ndarray

    def errors(self, objective: Objective) -> np.ndarray:
        """Observed minus predicted, as an objective defines residuals, shape (m,)."""
        return np.asarray(residuals(measure(objective), self.observed, self.predicted))


def predict_folds(
    fit: Fit, table: LossTable, folds: Sequence[Fold], devices: Devices = None
) -> FoldPredictions:
    """Each fold's runs, predicted by the law fitted to its other runs.

    Args:
        fit: the law fitted to the whole table, whose objective and constraints the folds share.
        table: its table.
        folds: the folds.
        devices: where to fit.
    """
    kept = np.array([fold.train for fold in folds])
    fits = fit_subsets(fit, table, kept, devices=devices)
    observed = table.column(fit.law.response)
    rows = [np.flatnonzero(fold.test) for fold in folds]
    parts = [
        _predicted(one, subset(table, fold.test)) for one, fold in zip(fits, folds, strict=True)
    ]
    row = np.concatenate(rows)
    return FoldPredictions(
        fits,
        np.repeat(np.arange(len(folds)), [len(part) for part in rows]),
        row,
        observed[row],
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
    )


def _predicted(one: SubsetFit, test: LossTable) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and distances of the runs of one fold, each of shape (rows,)."""
    if one.fit is None:
        return np.full(len(test), np.nan), np.full(len(test), np.nan)
    columns = test.columns_of(one.fit.law)
    distance = np.broadcast_to(reach(one.fit.domain, columns), len(test))
    predicted = np.full(len(test), np.nan)
    known = known_levels(one.fit, test)
    if known.any():
        predicted[known] = one.fit.evaluate(subset(test, known))
    return predicted, distance


def known_levels(fit: Fit, test: LossTable) -> np.ndarray:
    """Whether the levels of each row were fitted, booleans of shape (rows,)."""
    found = np.ones(len(test), dtype=bool)
    for grouping in fit.groups.values():
        found &= grouping.known(test)
    return found


def log_errors(found: FoldPredictions) -> np.ndarray:
    """Logarithm of observed over predicted, shape (m,); NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log(found.observed) - np.log(found.predicted))
