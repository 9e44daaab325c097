"""Divisions of a table by categorical columns: one coefficient for each quantization format, corpus
or router, with the exponents shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import DataError, listed
from scalefit.table import LossTable

__all__ = ["Grouping", "spelled"]


@dataclass(frozen=True)
class Grouping:
    """Levels of one categorical column, or of the combinations of several.

    Attributes:
        columns: headers or canonical names in the table.
        levels: the levels as text, in order; combined ones are joined by a slash.
    """

    columns: tuple[str, ...]
    levels: tuple[str, ...]

    @classmethod
    def of(cls, table: LossTable, columns: Sequence[str], used: np.ndarray) -> Grouping:
        """The levels that occur in a table.

        Args:
            table: the table.
            columns: its columns.
            used: rows that count, shape (rows,).

        Raises:
            DataError: a column is absent, has gaps, or has one level only.
        """
        values = _labels(table, columns)[used]
        # Numbers sort as numbers, categories in their order; a mixture only as text.
        try:
            values = values.sort_values(list(values.columns))
        except TypeError:
            values = values.sort_values(list(values.columns), key=lambda column: column.map(str))
        levels = tuple(dict.fromkeys(_joined(values)))
        if len(levels) < 2:
            raise DataError(
                f"{' and '.join(columns)} has one level only ({listed(levels)})",
                column=columns[0],
                remedy="Leave it out of groups: there is nothing to tell apart",
            )
        return cls(tuple(columns), levels)

    def codes(self, table: LossTable) -> np.ndarray:
        """Index of each row's level, shape (rows,); -1 in rows of weight zero of no known level.

        Raises:
            DataError: a column is absent or has gaps, or a row is of a level that is not known.
        """
        labels = _joined(_labels(table, self.columns))
        codes = self._codes(labels)
        unknown = np.flatnonzero((codes < 0) & (table.weight > 0))
        if len(unknown):
            rows = [table.rows[i] for i in unknown]
            raise self._not_a_level(labels[unknown[0]], f" (row {rows[0]})", rows)
        return codes

    def codes_of(self, given: Mapping[str, Any]) -> np.ndarray:
        """The same for columns given as arrays or scalars, broadcast against each other.

        Raises:
            DataError: a column is missing, or a value is not a known level.
        """
        for name in self.columns:
            if name not in given:
                raise DataError(
                    f"the fit has one coefficient for each {' and '.join(self.columns)}, and "
                    f"{name} is not given",
                    column=name,
                    remedy=f"Say which: {self.asked}. Levels: {listed(self.levels)}",
                )
        # As objects: an array of numbers and text would turn the numbers into text of its own.
        arrays = np.broadcast_arrays(
            *(np.asarray(given[name], dtype=object) for name in self.columns)
        )
        frame = pd.DataFrame(
            {name: values.ravel() for name, values in zip(self.columns, arrays, strict=True)}
        )
        labels = _joined(frame)
        codes = self._codes(labels)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            raise self._not_a_level(labels[unknown[0]], "", [int(i) for i in unknown])
        return codes.reshape(arrays[0].shape)

    @property
    def asked(self) -> str:
        """How the columns are given as keywords."""
        return ", ".join(f"{name}=..." for name in self.columns)

    def _codes(self, labels: Sequence[str]) -> np.ndarray:
        places = {level: i for i, level in enumerate(self.levels)}
        return np.array([places.get(item, -1) for item in labels], dtype=np.int64)

    def _not_a_level(self, label: str, where: str, rows: Sequence[object]) -> DataError:
        return DataError(
            f"{label!r} is not a level of {' and '.join(self.columns)} that was fitted{where}",
            column=self.columns[0],
            rows=rows,
            remedy=f"Levels: {listed(self.levels)}",
        )


def spelled(name: str, level: str) -> str:
    """How the coefficient of one level is called."""
    return f"{name}[{level}]"


def _labels(table: LossTable, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: table.labels(name) for name in columns})


def _joined(frame: pd.DataFrame) -> list[str]:
    columns = [[_text(value) for value in frame[name]] for name in frame]
    if len(columns) > 1:
        # A slash inside a level is not the one that joins two.
        columns = [[text.replace("/", "\\/") for text in texts] for texts in columns]
    return ["/".join(parts) for parts in zip(*columns, strict=True)]


def _text(value: object) -> str:
    """A level as text: 4 and 4.0 are one level, however pandas read the column."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
