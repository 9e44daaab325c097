"""Sums over the rows of each level of a table, and numbers of levels spread to their rows.

Three kinds with the same two methods: on the host, within a function that JAX traces, and of all
rows as one level.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["AllRows", "LevelSums", "TracedLevelSums"]


class LevelSums:
    """Sums by level on the host, over rows in the order of their levels.

    Args:
        codes: level of each row, shape (rows,); negative where it is none.
        levels: number of levels.
    """

    def __init__(self, codes: np.ndarray, levels: int) -> None:
        self.codes, self.levels = np.maximum(codes, 0), levels
        rows = np.flatnonzero(codes >= 0)
        order = rows[np.argsort(codes[rows], kind="stable")]
        self._order = None if np.array_equal(order, np.arange(len(codes))) else order
        counts = np.bincount(codes[rows], minlength=levels)
        (self._present,) = np.nonzero(counts)
        self._starts = np.cumsum([0, *counts[self._present][:-1]])

    def sums(self, values: Any) -> Any:
        """Sums over the rows of each level, (..., rows) to (..., levels)."""
        if self._order is not None:
            values = np.take(values, self._order, axis=-1)
        # A level without rows has no segment: reduceat would give it its neighbour's first row.
        found = np.add.reduceat(values, self._starts, axis=-1)
        if len(self._present) == self.levels:
            return found
        whole = np.zeros((*found.shape[:-1], self.levels))
        whole[..., self._present] = found
        return whole

    def spread(self, values: Any) -> Any:
        """The number of each row's level, (..., levels) to (..., rows)."""
        return np.take(values, self.codes, axis=-1)

    def with_each(self, other: LevelSums) -> LevelSums:
        """The division by pairs of a level and a level of another one."""
        return LevelSums(self.codes * other.levels + other.codes, self.levels * other.levels)


class TracedLevelSums:
    """Sums by level within a function that JAX traces.

    Rows of a level stand in slots of one length: a level of many rows has several slots.

    Args:
        codes: level of each row, shape (rows,).
        places: rows of each slot, shape (slots, rows of a slot), filled up.
        present: 1 where a place is a row, as in ``places``.
        slots: level of each slot, ascending, (slots,).
        levels: number of levels.
        library: ``jax.numpy``.
    """

    def __init__(
        self, codes: Any, places: Any, present: Any, slots: Any, levels: int, library: Any
    ) -> None:
        self.codes, self.levels = library.maximum(codes, 0), levels
        self._places, self._present, self._slots = places, present, slots
        self._library = library

    def sums(self, values: Any) -> Any:
        """As :meth:`LevelSums.sums`."""
        xp = self._library
        found = xp.where(self._present > 0, values[..., self._places], 0.0).sum(axis=-1)
        if len(self._slots) == self.levels:
            return found
        whole = xp.zeros((*found.shape[:-1], self.levels))
        return whole.at[..., self._slots].add(found, indices_are_sorted=True)

    def spread(self, values: Any) -> Any:
        """As :meth:`LevelSums.spread`."""
        return values[..., self.codes]


class AllRows:
    """All rows as one level."""

    levels = 1

    @staticmethod
    def sums(values: Any) -> Any:
        """Sum over all rows, (..., rows) to (..., 1)."""
        return values.sum(axis=-1)[..., None]

    @staticmethod
    def spread(values: Any) -> Any:
        """The one number, which every row has, (..., 1)."""
        return values
