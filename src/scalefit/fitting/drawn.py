"""Losses or weights of many tables at random, drawn when they are taken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

__all__ = ["Drawn"]

# Tables that are drawn at once, and most numbers of theirs: on long tables fewer are.
TABLES = 256
NUMBERS = 2**18
# Of all that is drawn by one seed, the place of the blocks; noise of new runs has others.
STREAM = 2
# Blocks that are kept: threads take neighbouring ones, and take each several times.
KEPT_BLOCKS = 8


class Drawn:
    """An array of shape (tables, rows) whose rows are drawn when they are indexed.

    They are drawn in blocks of a size that depends on the rows alone, each by a generator of its
    own, seeded by the number of the block. A table is therefore the same whichever others are
    taken, in whatever order, and however many there are.

    Args:
        draw: numbers of so many tables of one block, shape (n, rows), by a generator.
        tables: how many there are.
        rows: numbers of each.
        seed: of all.
    """

    ndim = 2

    def __init__(
        self,
        draw: Callable[[np.random.Generator, int], np.ndarray],
        tables: int,
        rows: int,
        seed: int,
    ) -> None:
        self.shape = (tables, rows)
        self._blocks = _Blocks(draw, max(1, min(TABLES, NUMBERS // max(rows, 1))), seed)
        self._which: np.ndarray | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Numbers of some tables, shape (some, rows); index is an array of places or a slice."""
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        return self._blocks.take(index if self._which is None else self._which[index])

    def some(self, which: np.ndarray) -> Drawn:
        """Some of the tables, as they are here."""
        found = Drawn.__new__(Drawn)
        found.shape, found._blocks = (len(which), self.shape[1]), self._blocks
        found._which = which if self._which is None else self._which[which]
        return found


class _Blocks:
    """The blocks, the last ones kept."""

    def __init__(
        self, draw: Callable[[np.random.Generator, int], np.ndarray], size: int, seed: int
    ) -> None:
        self.draw, self.size, self.seed = draw, size, seed
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def take(self, tables: np.ndarray) -> np.ndarray:
        """Numbers of some tables, by their numbers."""
        blocks, places = np.divmod(tables, self.size)
        order = np.argsort(blocks, kind="stable")
        numbers, firsts = np.unique(blocks[order], return_index=True)
        parts = [
            self._block(int(number))[places[mine]]
            for number, mine in zip(numbers, np.split(order, firsts[1:]), strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        found = np.concatenate(parts)
        found[order] = found.copy()
        return found

    def _block(self, number: int) -> np.ndarray:
        with self._lock:
            if number not in self._kept:
                seeds = np.random.SeedSequence(self.seed, spawn_key=(STREAM, number))
                self._kept[number] = self.draw(np.random.default_rng(seeds), self.size)
                if len(self._kept) > KEPT_BLOCKS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]
