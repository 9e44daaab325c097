"""Divisions of a table by categorical columns: one coefficient for each quantization format, corpus
or router, with the exponents shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data.cells import label
from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed

__all__ = ["Grouping", "level_keywords", "level_name"]

# Marks text that is not a label.
NO_LABEL = "\0"


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
        values = [table.labels(name)[used] for name in dict.fromkeys(columns)]
        levels = tuple(dict.fromkeys(_joined(_in_order(values))))
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
        labels = _joined([table.labels(name).tolist() for name in dict.fromkeys(self.columns)])
        codes = self._codes(labels)
        unknown = np.flatnonzero((codes < 0) & (table.weight > 0))
        if len(unknown):
            rows = [table.rows[i] for i in unknown]
            raise self._not_a_level(labels[unknown[0]], f" (row {rows[0]})", rows)
        return codes

    def known(self, table: LossTable) -> np.ndarray:
        """Whether each row is of one of the levels, booleans of shape (rows,).

        Raises:
            DataError: a column is absent or has gaps.
        """
        labels = _joined([table.labels(name).tolist() for name in dict.fromkeys(self.columns)])
        return self._codes(labels) >= 0

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
                    remedy=f"Say which: {level_keywords([self])}. Levels: {listed(self.levels)}",
                )
        # As objects: numpy would turn the numbers of a mixed array into text.
        arrays = np.broadcast_arrays(*(_objects(given[name]) for name in self.columns))
        frame = pd.DataFrame(
            {name: values.ravel() for name, values in zip(self.columns, arrays, strict=True)}
        )
        labels = _joined([frame[name].tolist() for name in frame])
        codes = self._codes(labels)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            raise self._not_a_level(labels[unknown[0]], "", [int(i) for i in unknown])
        return codes.reshape(arrays[0].shape)

    @property
    def example(self) -> dict[str, str]:
        """The first level, as a value of each column."""
        parts = [self.levels[0]]
        if len(self.columns) > 1:
            # A slash inside a level has a backslash before it.
            parts = [part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", self.levels[0])]
        return dict(zip(self.columns, parts, strict=True))

    def _codes(self, labels: Sequence[str]) -> np.ndarray:
        places = {level: i for i, level in enumerate(self.levels)}
        return np.array([places.get(item, -1) for item in labels], dtype=np.int64)

    def _not_a_level(self, level: str, where: str, rows: Sequence[object]) -> DataError:
        return DataError(
            f"{shown(level.replace(NO_LABEL, ''))} is not a level of {' and '.join(self.columns)} "
            f"that was fitted{where}",
            column=self.columns[0],
            rows=rows,
            remedy=f"Levels: {listed(self.levels)}",
        )


def level_keywords(groupings: Iterable[Grouping]) -> str:
    """The first level of each grouping as code, as ``format='fp8'``."""
    found: dict[str, str] = {}
    for grouping in sorted(groupings, key=lambda item: -len(item.columns)):
        found = {**grouping.example, **found}
    return ", ".join(f"{name}={value!r}" for name, value in found.items())


def level_name(name: str, level: str) -> str:
    """How the coefficient of one level is called."""
    return f"{name}[{level}]"


def _in_order(columns: Sequence[pd.Series]) -> list[list[Any]]:
    """Labels of each column, in the order of the rows' levels.

    Numbers sort as numbers, categories in their order; a mixture only as text.
    """
    values = [column.tolist() for column in columns]
    if all(map(_sorts_as_python, columns, values)):
        # Text, or numbers of one kind: sort the few distinct rows only.
        return [list(items) for items in zip(*sorted(set(zip(*values, strict=True))), strict=True)]
    frame = pd.DataFrame(dict(enumerate(columns)))
    try:
        frame = frame.sort_values(list(frame.columns))
    except TypeError:
        frame = frame.sort_values(list(frame.columns), key=lambda column: column.map(str))
    return [frame[place].tolist() for place in frame]


def _sorts_as_python(column: pd.Series, values: Sequence[object]) -> bool:
    """Whether sorting the values in Python gives the order that pandas gives."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return True
    ordered = isinstance(column.dtype, pd.CategoricalDtype)
    return not ordered and all(type(value) is str for value in values)


def _joined(columns: Sequence[Sequence[object]]) -> list[str]:
    texts = [[_text(value) for value in values] for values in columns]
    if len(texts) > 1:
        # A slash inside a label is escaped: a plain one joins two labels.
        texts = [[text.replace("/", "\\/") for text in items] for items in texts]
    return ["/".join(parts) for parts in zip(*texts, strict=True)]


def _objects(value: Any) -> np.ndarray:
    """One label or an array of them, as objects."""
    try:
        return np.asarray(value, dtype=object)
    except Exception:  # Ragged lists, and objects whose own methods raise.
        found = np.empty((), dtype=object)
        found[()] = value
        return found


def _text(value: object) -> str:
    """A level as text; for what cannot be a label, text that no label equals."""
    found = label(value)
    return NO_LABEL + shown(value) if found is None else found
