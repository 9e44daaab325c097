"""Which blocks of runs are left out in turn: budgets and sizes, or those of a column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.laws import Law
from scalefit.reporting.numbers import shown
from scalefit.validation.folds import Blocks, blocks_of

__all__ = ["MOST_BLOCKS", "Partition", "budget_column", "column_of", "partitions"]

# Blocks of numbers, at most: finer ones hold few runs each and move nothing, and a picture has a
# line for each.
MOST_BLOCKS = 12

# A block of rounding that holds more of the runs than this is a chain of close values.
CHAINED = 0.5


class Partition(NamedTuple):
    """Blocks of runs that are left out in turn.

    Attributes:
        by: the column, or ``6ND``.
        names: of each block, as ``1e+21`` or ``1e+21 to 4e+21``.
        codes: block of each run, -1 of runs of weight zero, shape (rows,).
        ordered: whether the blocks are of numbers, in rising order.
        distinct: how many blocks there were before neighbours were joined.
    """

    by: str
    names: tuple[str, ...]
    codes: np.ndarray
    ordered: bool
    distinct: int

    @property
    def kept(self) -> np.ndarray:
        """Runs that are left without each block, booleans of shape (blocks, rows)."""
        return (self.codes >= 0) & (self.codes != np.arange(len(self.names))[:, None])


def partitions(table: LossTable, law: Law, by: str | None) -> tuple[Partition, ...]:
    """Budgets and sizes for a law of N and D; else the blocks of one column.

    Args:
        table: the runs.
        law: the law.
        by: a column in place of the budgets, or of the law's first column.

    Returns:
        One or two; none where every run has one value of each column.

    Raises:
        DataError: there is no column ``by``, or it has one value.
    """
    wanted = [budget_column(table, law) if by is None else by]
    if {"N", "D"} <= set(law.columns) and "N" not in wanted:
        wanted.append("N")
    found = []
    for name in wanted:
        try:
            blocks = blocks_of(table, law, name)
        except DataError:
            if name == by:
                raise
            blocks = None
        one = _partition(table, name, blocks)
        if one is not None:
            found.append(one)
    return tuple(found)


def budget_column(table: LossTable, law: Law) -> str:
    """The column of the budgets: ``C`` where it is in numbers, else ``6ND``; or the law's first."""
    if not {"N", "D"} <= set(law.columns):
        return law.columns[0]
    if "C" in table.sources:
        counted = table.numbers("C")[table.weight > 0]
        if (np.isfinite(counted) & (counted > 0)).all():
            return "C"
    return "6ND"


def column_of(table: LossTable, name: str) -> np.ndarray:
    """A column of numbers, or ``6ND``, shape (rows,)."""
    if name == "6ND" and name not in table:
        return 6 * table.column("N") * table.column("D")
    return table.numbers(name) if name == "C" else table.column(name)


def _partition(table: LossTable, by: str, blocks: Blocks | None) -> Partition | None:
    """Blocks as they are, or neighbours joined where they are many; None of a single value."""
    if blocks is not None and not blocks.ordered:
        return Partition(blocks.by, blocks.names, blocks.codes, False, len(blocks.names))
    used = table.weight > 0
    values = column_of(table, by)
    codes = blocks.codes if blocks is not None else np.where(used, 0, -1)
    sizes = np.bincount(codes[used])
    distinct, single = np.unique(values[used], return_inverse=True)
    if len(distinct) < 2:
        return None
    if sizes.max() > CHAINED * used.sum() and len(distinct) > len(sizes):
        codes = codes.copy()
        codes[used] = single.ravel()
        sizes = np.bincount(codes[used])
    count = len(sizes)
    if count > MOST_BLOCKS:
        # Neighbours joined into blocks of about as many runs each.
        middle = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
        joined = np.unique((middle * MOST_BLOCKS).astype(int), return_inverse=True)[1].ravel()
        codes = np.where(codes >= 0, joined[codes], -1)
    # Rounding of one value is no range.
    one = blocks is not None and count == len(blocks.names) and count <= MOST_BLOCKS
    ends: list[tuple[float, ...]] = []
    for k in range(codes.max() + 1):
        inside = values[codes == k]
        ends.append((np.median(inside),) if one else (inside.min(), inside.max()))
    return Partition(by, _names(by, ends), codes, True, count)


def _names(by: str, ends: list[tuple[float, ...]]) -> tuple[str, ...]:
    """Names of blocks, each its own: as many digits as that takes."""
    for digits in range(3, 18):
        named = [
            " to ".join(dict.fromkeys(_named(by, float(end), digits) for end in pair))
            for pair in ends
        ]
        if len(set(named)) == len(named):
            break
    return tuple(named)


def _named(by: str, value: float, digits: int) -> str:
    """A value of a column, counts as people read them."""
    return (
        shown(value, "count").value if by in ("N", "D") and digits == 3 else f"{value:.{digits}g}"
    )
