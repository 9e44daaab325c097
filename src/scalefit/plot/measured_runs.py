"""Runs as pictures show them: what the law takes of each, observed and predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.data.table import LossTable
from scalefit.results.domain import outside
from scalefit.results.fit import Fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import refuse_unlabelled, table_again
from scalefit.results.surface import Surface

__all__ = ["MeasuredRuns", "measured"]


@dataclass(frozen=True)
class MeasuredRuns:
    """Runs of weight above zero beside their predictions.

    Attributes:
        fit: what predicts.
        table: the table, all rows.
        used: rows of weight above zero, booleans of shape (all rows,).
        labels: of the rows, shape (runs,).
        values: by name the law's columns, and those that coefficients differ by, shape (runs,).
        observed: losses, shape (runs,).
        predicted: losses, shape (runs,).
        beyond: runs outside those that were fitted, booleans of shape (runs,).
    """

    fit: Fit
    table: LossTable
    used: np.ndarray
    labels: np.ndarray
    values: Mapping[str, np.ndarray]
    observed: np.ndarray
    predicted: np.ndarray
    beyond: np.ndarray

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def relative(self) -> bool:
        """Whether errors have a meaning in percent: of losses that are all positive."""
        return bool((self.observed > 0).all() and (self.predicted > 0).all())

    @property
    def errors(self) -> np.ndarray:
        """Observed less predicted, in percent of the prediction where that has a meaning."""
        if self.relative:
            return 100 * (self.observed / self.predicted - 1)
        return self.observed - self.predicted

    @property
    def level_columns(self) -> list[str]:
        """Columns that coefficients differ by."""
        return [name for name in self.values if name not in self.fit.law.columns]

    def levels(self) -> np.ndarray:
        """Level of each run, shape (runs,); empty texts where coefficients do not differ."""
        named = [self.values[name].astype(str) for name in self.level_columns]
        return np.array([", ".join(row) for row in zip(*named, strict=True)] or [""] * len(self))


def measured(
    function: Callable[..., Any],
    surface: Surface,
    runs: LossTable | pd.DataFrame,
    columns: Mapping[str, Any],
) -> MeasuredRuns:
    """The runs that a picture shows.

    Args:
        function: the picture, for messages.
        surface: what predicts.
        runs: the table.
        columns: headers.

    Raises:
        ArgumentError: a keyword is neither an option nor a column, or it is no table.
        DataError: the table lacks a column, a response, or the level of a run.
    """
    fit = surface.point
    refuse_unknown(function, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    refuse_unlabelled(fit.groups.values(), table)
    used = table.weight > 0
    own = {name: values[used] for name, values in table.columns_of(fit.law).items()}
    grouped = dict.fromkeys(name for item in fit.groups.values() for name in item.columns)
    levels = {name: table.labels(name).to_numpy(dtype=object)[used] for name in grouped}
    return MeasuredRuns(
        fit,
        table,
        used,
        np.array(table.rows, dtype=object)[used],
        {**own, **{name: item for name, item in levels.items() if name not in own}},
        table.column(fit.law.response)[used],
        fit.evaluate(table)[used],
        np.broadcast_to(outside(fit.domain, own), used.sum()) if own else np.zeros(0, dtype=bool),
    )
