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
        levels: the levels, in order; combined ones are joined by a slash.
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
        frame = _labels(table, columns)
        values = frame[used].drop_duplicates()
        # Numbers sort as numbers; a mixture only as text.
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
        """Index of each row's level, shape (rows,); rows of weight zero may be of no level (0).

        Raises:
            DataError: a column is absent or has gaps, or a row is of a level that is not known.
        """
        return self._codes(_joined(_labels(table, self.columns)), table.rows, table.weight > 0)

    def codes_of(self, given: Mapping[str, Any]) -> np.ndarray:
        """The same for columns given as arrays or scalars, broadcast against each other.

        Raises:
            DataError: a column is missing, or a value is not a known level.
        """
        for name in self.columns:
            if name not in given:
                raise DataError(
                    f"the fit has one coefficient for each {' and '.join(self.columns)}",
                    column=name,
                    remedy=f"Say which: {name}=..., one of {listed(self.levels)}",
                )
        arrays = np.broadcast_arrays(*(np.asarray(given[name]) for name in self.columns))
        frame = pd.DataFrame(
            {name: values.ravel() for name, values in zip(self.columns, arrays, strict=True)}
        )
        rows = tuple(range(len(frame)))
        codes = self._codes(_joined(frame), rows, np.ones(len(frame), dtype=bool))
        return codes.reshape(arrays[0].shape)

    def _codes(self, labels: Sequence[str], rows: Sequence[object], used: np.ndarray) -> np.ndarray:
        places = {level: i for i, level in enumerate(self.levels)}
        unknown = [i for i, item in enumerate(labels) if used[i] and item not in places]
        if unknown:
            raise DataError(
                f"{labels[unknown[0]]!r} is not a level of {' and '.join(self.columns)} that was "
                "fitted",
                column=self.columns[0],
                rows=[rows[i] for i in unknown],
                remedy=f"Levels: {listed(self.levels)}",
            )
        return np.array([places.get(item, 0) for item in labels], dtype=np.int64)


def spelled(name: str, level: str) -> str:
    """How the coefficient of one level is called."""
    return f"{name}[{level}]"


def _labels(table: LossTable, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: table.labels(name) for name in columns})


def _joined(frame: pd.DataFrame) -> list[str]:
    columns = [[_text(value) for value in frame[name]] for name in frame]
    return ["/".join(parts) for parts in zip(*columns, strict=True)]


def _text(value: object) -> str:
    """A level as text: 4 and 4.0 are one level, however pandas read the column."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
