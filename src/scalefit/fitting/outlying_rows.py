"""Rows that a fit bends to: few that carry the squared residual together, and one that decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalefit.fitting.fitted_rows import FittedRows
from scalefit.results.verdict import NO_INFLUENCE, Influence

__all__ = ["influential_row", "left_out_group"]

# Rows among which pairs are looked for: all of a small table; of larger ones those that are
# farthest off or have the most leverage, as others hide nothing. All pairs of 160 rows took a tenth
# of the verdict.
MOST_PAIRED = 60
# Rows of a group, at most: a share of the table, three of a small one, and never more than this.
GROUP_SHARE, SMALL_GROUP, MOST_GROUP = 0.025, 3, 12
# In smaller tables two rows in a group are a part of the runs.
FEWEST_ROWS, ROWS_PER_PARAMETER = 12, 4

# A group is one where chance makes any group of its size so far off once in a thousand fits, with
# normal noise, and leaving it out takes off more than half of the squared residual.
CHANCE = 1e-3
SHARE = 0.5

# Leverages of two rows, together, above which they may hide each other wholly.
MOST_HIDDEN = 0.8

# What is left of a row's own information where it determines a parameter alone.
LEAST_LEFT = 1e-8


def left_out_group(rows: FittedRows) -> tuple[np.ndarray, float]:
    """Few rows without which the squared residual falls by more than half, and by how much.

    A fit without the rows S has a sum of squares lower by r_S^T (I - H_SS)^-1 r_S, to first order.
    Where two rows have leverage enough to hide each other, all pairs are tried.

    Returns:
        Their places among the rows, the farthest first, and the share of the squares; none, and
        zero, where there are no such rows.
    """
    none = np.empty(0, dtype=np.int64), 0.0
    count, width = rows.basis.shape
    if count < max(FEWEST_ROWS, ROWS_PER_PARAMETER * width) or not width:
        return none
    # Of squares, whatever the objective is: what a fit of squares leaves.
    rest = rows.residuals - rows.basis @ (rows.basis.T @ rows.residuals)
    total = float(rest @ rest)
    if not total > 0:
        return none
    own = np.maximum(1 - rows.leverage, LEAST_LEFT)
    most = max(min(SMALL_GROUP, count // 8), math.ceil(GROUP_SHARE * count))
    most = min(most, MOST_GROUP)
    # One row may hide another, but hardly half of what both take off, unless they decide much of
    # their own predictions.
    hidden = np.partition(own, 1)[:2].sum() < 2 - MOST_HIDDEN
    if not hidden and np.partition(rest**2 / own, -most)[-most:].sum() < SHARE / 2 * total:
        return none
    group = _Left(rows.basis, rest, own).without(int(np.argmax(rest**2 / own)))
    pair = group.without(group.farthest)
    if hidden:
        pair = _Left(rows.basis, rest, own)
        for row in _best_pair(rows, rest, own):
            pair = pair.without(row)
    # Where the best two take off less than their part of the half, so do more.
    if pair.taken < 2 / max(most, 2) * SHARE * total:
        return none
    # One row, two, and from these on the row that takes off most.
    for size in range(1, most + 1):
        share = group.taken / total
        longer = group.without(group.farthest)
        if share > SHARE and _unlikely(share, size, count, width):
            more = (longer.taken / total - share) / (1 - share)
            # Where the next row is off as well, the group is larger.
            if not _unlikely(more, 1, count - size, width):
                found = np.array(group.rows, dtype=np.int64)
                return found[np.argsort(-np.abs(rest[found]))], share
        group = pair if size == 1 else longer
    return none


class _Left:
    """What a fit leaves once a group of rows is left out, to first order.

    A row is left out by a parameter of its own, which adds one column to the basis: each row more
    takes a product with one vector, and no system is solved.

    Attributes:
        rows: the group.
        taken: by how much the sum of squares falls without it.
        farthest: the row that is farthest off then.
    """

    def __init__(self, basis: np.ndarray, rest: np.ndarray, own: np.ndarray) -> None:
        self.rows: list[int] = []
        self.taken = 0.0
        self._basis, self._rest, self._own = basis, rest, own

    @property
    def farthest(self) -> int:
        size = self._rest**2 / np.maximum(self._own, LEAST_LEFT)
        size[self.rows] = -1.0
        return int(np.argmax(size))

    def without(self, row: int) -> _Left:
        """The same without one row more."""
        column = -(self._basis @ self._basis[row])
        column[row] += 1.0
        column /= np.sqrt(max(float(self._own[row]), LEAST_LEFT))
        along = float(column @ self._rest)
        basis = np.column_stack([self._basis, column])
        left = _Left(basis, self._rest - along * column, self._own - column**2)
        left.rows = [*self.rows, row]
        left.taken = self.taken + along**2
        return left


def _best_pair(rows: FittedRows, rest: np.ndarray, own: np.ndarray) -> list[int]:
    """The two rows without which the sum of squares falls most."""
    tried = np.arange(len(rest))
    if len(tried) > MOST_PAIRED:
        half = MOST_PAIRED // 2
        off = np.argpartition(-(rest**2 / own), half)[:half]
        tried = np.union1d(off, np.argpartition(own, half)[:half])
    r, h = rest[tried], own[tried]
    shared = rows.basis[tried] @ rows.basis[tried].T
    # Of the matrix [[h1, -s], [-s, h2]] the inverse is [[h2, s], [s, h1]] / (h1 h2 - s^2).
    determinant = np.multiply.outer(h, h) - shared**2
    gain = np.multiply.outer(r**2, h)
    gain = gain + gain.T + 2 * shared * np.multiply.outer(r, r)
    gain = np.where(determinant > LEAST_LEFT, gain / np.maximum(determinant, LEAST_LEFT), 0.0)
    np.fill_diagonal(gain, 0.0)
    i, j = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return [int(tried[i]), int(tried[j])]


def _unlikely(share: float, group: int, count: int, width: int) -> bool:
    """Whether no group of this size is as far off by chance: an F test, times all groups."""
    from scipy.special import fdtrc

    freedom = count - width - group
    if freedom < 1:
        return False
    ratio = share / group / (max(1 - share, np.finfo(float).tiny) / freedom)
    return bool(fdtrc(group, freedom, ratio) * math.comb(count, group) < CHANCE)


def influential_row(
    rows: FittedRows, influence: np.ndarray, labels: Sequence[Any]
) -> tuple[Influence, float]:
    """The run that moves a parameter most when it is left out, and how unlikely its residual is.

    Args:
        rows: the fit.
        influence: psi of each row, times the square root of its weight, shape (n,).
        labels: of all rows of the table.

    Returns:
        The run, and the chance of a residual as large among all of them, with normal noise.

    Source:
        Belsley, Kuh and Welsch 1980, Regression Diagnostics, section 2.1 (DFBETAS).
    """
    from scipy.special import stdtr

    if not rows.names or rows.freedom < 2:
        return NO_INFLUENCE, 1.0
    leverage = rows.leverage
    own = np.maximum(1 - leverage, LEAST_LEFT)
    squares = influence**2 / own
    # Noise as the other rows have it.
    others = np.maximum(float(influence @ influence) - squares, 0.0) / (rows.freedom - 1)
    noise = np.sqrt(np.maximum(others, np.finfo(float).tiny))
    moves = rows.inverse @ rows.basis.T
    errors = np.sqrt(np.sum(rows.inverse**2, axis=1))
    shifts = np.abs(moves / errors[:, None]) * np.abs(influence) / own / noise
    # A run that is all that is known of something moves it without a residual of its own.
    alone = int(np.argmax(leverage))
    axis, row = divmod(int(np.argmax(shifts)), len(leverage))
    if leverage[alone] > 1 - 1e-6:
        axis, row = int(np.argmax(np.abs(moves[:, alone]) / errors)), alone
    t = math.sqrt(float(squares[row])) / float(noise[row])
    chance = 2 * float(stdtr(rows.freedom - 1, -t)) * len(leverage)
    label, shift = str(labels[rows.used[row]]), float(shifts[axis, row])
    found = Influence(label, float(leverage[row]), rows.names[axis], shift)
    return found, min(chance, 1.0)
