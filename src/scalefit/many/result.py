"""Fits of one law to many tables, a row for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused, shown
from scalefit.errors import ArgumentError
from scalefit.laws import Law
from scalefit.many.intervals import Intervals
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.results.fit import Fit

__all__ = ["FitMany"]

FAILED = "failed"

# Columns of the rows, after those of the parameters.
RESULTS = ("objective_value", "status", "notes", "nobs", "residual_rms", "message")


@dataclass(frozen=True, eq=False, repr=False)
class FitMany(Described):
    """Fits of one law to many tables.

    Attributes:
        law: the law.
        objective: what was minimised.
        table: a row for each table in the order given, with its key as index: the parameters in raw
            units, ``objective_value``, ``status`` (as of a fit, in small letters, or ``failed``),
            ``notes`` (codes, joined by commas), ``nobs``, ``residual_rms``, and ``message``, which
            says why a table failed.

            Codes that are looked for, in every table: ``lower_envelope``, ``sigma_inconsistent``,
            ``delta_unused``, ``delta_tiny``, ``at_bound``, ``response_rises``,
            ``weakly_identified``, ``few_rows``, ``outliers_dominate`` and ``poor_fit``, where a fit
            of the table alone has them; and ``starts_disagree``, of other starts than those of such
            a fit. Of ``poor_fit`` nothing is said where runs of equal inputs differ as much: a fit
            of the table alone looks for the cause. All other codes, and the verdict:
            ``fits.fit(key)``.
        notes: soft problems found while reading.
    """

    law: Law
    objective: Objective
    table: pd.DataFrame
    notes: tuple[Note, ...]
    _intervals: Intervals | None
    _refit: Callable[[int], Fit]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def failed(self) -> pd.Series:
        """Why tables failed, by key."""
        return self.table.loc[self.table["status"] == FAILED, "message"]

    def fit(self, key: Any) -> Fit:
        """The whole fit of one table, with its evidence and all of its notes, made anew.

        Args:
            key: of the table, as in the index of ``table``.

        Raises:
            ArgumentError: there is no such table.
            DataError: it cannot be fitted; so for the other errors of ``fit``.
        """
        try:
            place = self.table.index.get_loc(key)
        except (KeyError, TypeError, pd.errors.InvalidIndexError) as error:
            remedy = "Pass one of its index, as fits.table.index[0]"
            raise refused("key", key, "the key of a table", remedy) from error
        if not isinstance(place, int | np.integer):
            remedy = "Pass the whole key, and give every table its own"
            raise refused("key", key, "the key of one table", remedy)
        return self._refit(int(place))

    def to_frame(self, level: float | None = None) -> pd.DataFrame:
        """The row of each table, with intervals where a level is given.

        Intervals are those of ``scalefit.covariance`` by its default method, each run taken as
        independent of the others. They are NaN where it gives none: of a parameter that is fixed
        or ended at a bound (the others take that as known), where the status is not ``converged``,
        where fewer than five residual degrees of freedom are left (``few_rows``; but for a linear
        fit of raw residuals by squares, and for known errors), and where the curvature is singular.

        Args:
            level: coverage promised. Columns ``NAME_se`` (standard error, raw units), ``NAME_low``
                and ``NAME_high`` of each parameter are then added.

        Raises:
            ArgumentError: the level is no number between 0 and 1, or no standard errors were
                computed.
        """
        if level is None:
            return self.table.copy()
        share = checked_level(level)
        if self._intervals is None:
            raise ArgumentError(
                f"level={shown(level)} asks for intervals, and no standard errors were computed",
                argument="level",
                value=level,
                remedy="Compute them with the fits: fit_many(..., intervals=True)",
            )
        values = {name: self.table[name].to_numpy() for name in self.law.names}
        return self.table.assign(**self._intervals.ends(values, share))

    def describe(self, level: float = 0.95) -> Description:
        """How the fits ended, and the spread of the parameters over the tables."""
        counts = self.table["status"].value_counts()
        good = self.table[self.table["status"] != FAILED]
        quartiles = good[list(self.law.names)].quantile([0.25, 0.5, 0.75])
        ended = ", ".join(f"{count} {name}" for name, count in counts.items())
        return Description(
            f"{self.law.name} on {len(self)} tables",
            f"{ended}. One of them in full: fits.fit(key)",
            tables=[
                Table(
                    [
                        Column("parameter", list(self.law.names), "text"),
                        *(
                            Column(name, quartiles.loc[share].to_numpy())
                            for name, share in (("lower", 0.25), ("median", 0.5), ("upper", 0.75))
                        ),
                    ],
                    "Quartiles over the tables that were fitted",
                )
            ],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        return f"<FitMany {self.law.name}: {len(self)} tables, {len(self.failed)} failed>"
