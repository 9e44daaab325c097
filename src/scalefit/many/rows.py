"""The rows of a result as they come in, and tables that are fitted by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.data.table import as_table
from scalefit.errors import ScalefitError
from scalefit.fitting.api import fit
from scalefit.laws import Law
from scalefit.many.intervals import Intervals
from scalefit.many.judging import Judged
from scalefit.many.noting import joined
from scalefit.many.reading import Given
from scalefit.many.result import FAILED, RESULTS
from scalefit.results.fit import Fit

__all__ = ["Alone", "Rows"]


@dataclass(frozen=True, eq=False)
class Alone:
    """Fits single tables of many, as :func:`scalefit.fit` does.

    Attributes:
        given: the tables.
        law: the law.
        options: of the fit.
        reading: options of reading.
    """

    given: Given
    law: Law
    options: Mapping[str, Any]
    reading: Mapping[str, Any]

    def __call__(self, number: int, certify: bool | None = None) -> Fit:
        """The fit of one table, by its number.

        Raises:
            ScalefitError: it cannot be fitted.
        """
        table = self.given.tables.get(number)
        if table is None:
            if number in self.given.failed:
                raise self.given.failed[number]
            frame, which = next(item for item in self.given.frames if (item[1] == number).any())
            table = as_table(frame[which == number], **self.reading)
        return fit(table, self.law, **self.options, certify=certify)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a result, one for each table.

    Attributes:
        keys: of the tables.
        law: the law.
        intervals: standard errors, where they are wanted.
        numbers: columns of numbers, each (tables,), NaN until they are known.
        texts: ``status``, ``notes`` and ``message``, each (tables,).
    """

    keys: pd.Index
    law: Law
    intervals: Intervals | None
    numbers: dict[str, np.ndarray] = field(init=False)
    texts: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.keys)
        names = (*self.law.names, "objective_value", "nobs", "residual_rms")
        object.__setattr__(self, "numbers", {name: np.full(count, np.nan) for name in names})
        empty = {name: np.full(count, "", dtype=object) for name in ("status", "notes", "message")}
        object.__setattr__(self, "texts", empty)

    def put(self, which: np.ndarray, found: Judged, notes: np.ndarray) -> None:
        """The rows of tables that were fitted together."""
        self._put(which, found, found.value, found.status, notes)

    def put_alone(self, number: int, alone: Alone) -> Fit | None:
        """The row of a table that is fitted by itself, and its fit; None where it fails."""
        try:
            found = alone(number, certify=False)
        except ScalefitError as error:
            self.fail(number, str(error))
            return None
        notes = joined([note.code for note in found.notes])
        self._put(number, found, found.objective_value, found.status.name.lower(), notes)
        return found

    def _put(self, which: Any, found: Judged | Fit, value: Any, status: Any, notes: Any) -> None:
        numbers = {"objective_value": value, "nobs": found.nobs, "residual_rms": found.residual_rms}
        for name, items in {**found.params, **numbers}.items():
            self.numbers[name][which] = items
        self.texts["status"][which], self.texts["notes"][which] = status, notes

    def take_back(self, which: np.ndarray) -> None:
        """Leave tables waiting."""
        for texts in self.texts.values():
            texts[which] = ""

    def fail(self, number: int, message: str) -> None:
        """The row of a table that cannot be fitted."""
        for values in self.numbers.values():
            values[number] = np.nan
        self.texts["status"][number], self.texts["message"][number] = FAILED, message

    @property
    def known(self) -> int:
        """Tables that have a row."""
        return int(np.count_nonzero(self.texts["status"] != ""))

    def waiting(self) -> list[int]:
        """Tables without a row."""
        return [int(number) for number in np.flatnonzero(self.texts["status"] == "")]

    def frame(self) -> pd.DataFrame:
        """All rows."""
        columns: dict[str, Any] = {name: self.numbers[name] for name in self.law.names}
        columns |= {name: {**self.numbers, **self.texts}[name] for name in RESULTS}
        return pd.DataFrame(columns, index=self.keys).astype({"nobs": "Int64"})
