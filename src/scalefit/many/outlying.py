"""Tables of a stack in which few rows carry most of the squared residual."""

from __future__ import annotations

import numpy as np

from scalefit.fitting.fitted_rows import FittedRows
from scalefit.fitting.outlying_rows import (
    CHANCE,
    FEWEST_ROWS,
    GROUP_SHARE,
    LEAST_LEFT,
    MOST_GROUP,
    MOST_HIDDEN,
    MOST_PAIRED,
    ROWS_PER_PARAMETER,
    SHARE,
    SMALL_GROUP,
    left_out_group,
)
from scalefit.fitting.run_notes import (
    OUTLIER_GROUP,
    OUTLIER_ROWS,
    OUTLIER_SHARE,
    OUTLIER_SIZE,
    TINY,
)
from scalefit.many.around import bases
from scalefit.objective import MEDIAN_SIZE
from scalefit.runtime.settings import quiet

__all__ = ["dominant", "left_out"]

# Tables whose pairs of rows are tried at once.
CHUNK = 128


@quiet()
def dominant(squares: np.ndarray, count: np.ndarray, free: int) -> np.ndarray:
    """How many rows of each table carry over half of its squared residual; 0 where many do.

    See ``fitting.run_notes``.

    Args:
        squares: weighted, (tables, rows), zero where rows are filled up.
        count: rows of each table, (tables,).
        free: free parameters.
    """
    most = np.sort(squares, axis=1)[:, ::-1]
    few = np.maximum(1, np.ceil(OUTLIER_ROWS * count)).astype(int)
    every, size = np.arange(len(most)), np.maximum(count - free, 1)
    middle = np.sqrt(most[every, (size - 1) // 2]) + np.sqrt(most[every, size // 2])
    usual = (0.5 * middle / MEDIAN_SIZE) ** 2
    far = np.count_nonzero(most > OUTLIER_SIZE**2 * usual[:, None], axis=1)
    far = np.where(far <= np.maximum(1, np.minimum(OUTLIER_GROUP, count // 8)), far, 0)
    drop = most[:, :OUTLIER_GROUP] / np.maximum(most[:, 1 : OUTLIER_GROUP + 1], TINY)
    drop = np.where(np.arange(OUTLIER_GROUP) < far[:, None], drop, -1.0)
    far = np.where(far > 0, 1 + drop.argmax(axis=1), 0)
    found = np.where(few == 1, far, np.maximum(few, far))
    found = np.where(len(most) and count < 4 * few, 0, found)
    taken = np.cumsum(most, axis=1)[every, np.maximum(found, 1) - 1]
    return np.where(taken > OUTLIER_SHARE * most.sum(axis=1), found, 0)


@quiet()
def left_out(
    residuals: np.ndarray, slopes: np.ndarray, used: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """How many rows of each table a fit bends to, as ``fitting.outlying_rows`` finds them.

    Tables in which no group can be one are told by all of them together.

    Args:
        residuals: times the square root of their weights, (tables, rows).
        slopes: of these residuals in the parameters at no bound, (tables, rows, p); zero of others.
        used: rows of the tables, (tables, rows).
        which: tables to be looked at, (tables,).
    """
    found = np.zeros(len(used), dtype=int)
    count = used.sum(axis=1)
    basis = bases(slopes, count)
    width = np.count_nonzero((basis != 0).any(axis=1), axis=1)
    enough = count >= np.maximum(FEWEST_ROWS, ROWS_PER_PARAMETER * width)
    (tables,) = np.nonzero(which & enough & (width > 0))
    for first in range(0, len(tables), CHUNK):
        some = tables[first : first + CHUNK]
        may = _may_bend(basis[some], residuals[some], used[some], width[some])
        for one in some[may].tolist():
            found[one] = len(_group(basis[one], residuals[one], used[one]))
    return found


def _group(basis: np.ndarray, residuals: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The group of rows of one table."""
    rest, own = residuals[used], basis[used]
    own = own[:, (own != 0).any(axis=0)]
    rows = FittedRows(
        np.flatnonzero(used), np.ones(len(rest)), rest, rest, own, np.empty((0, 0)), (), 1.0
    )
    return left_out_group(rows)[0]


def _may_bend(
    basis: np.ndarray, residuals: np.ndarray, used: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Whether some group that is grown row by row is far off and takes off half of the squares."""
    along = np.swapaxes(basis, 1, 2) @ residuals[..., None]
    rest = np.where(used, residuals - (basis @ along)[..., 0], 0.0)
    own = np.maximum(1 - np.sum(basis**2, axis=2), LEAST_LEFT)
    count, total = used.sum(axis=1), np.sum(rest**2, axis=1)
    most = np.maximum(np.minimum(SMALL_GROUP, count // 8), np.ceil(GROUP_SHARE * count))
    most = np.minimum(most, MOST_GROUP).astype(int)
    hidden = np.partition(np.where(used, own, 1.0), 1, axis=1)[:, :2].sum(axis=1) < 2 - MOST_HIDDEN
    # Pairs of more rows are tried by themselves.
    found = hidden & (count > MOST_PAIRED)
    group = _Groups(basis, rest, own, ~used)
    first = group.farthest()
    one = group.without(first)
    pair = one.without(one.farthest())
    i, j = _best_pairs(basis, rest, own)
    best = group.without(np.where(hidden, i, first))
    best = best.without(np.where(hidden, j, best.farthest()))
    for size in range(1, int(most.max(initial=0)) + 1):
        grown = (one,) if size == 1 else (pair, best)
        for groups in grown:
            share = groups.taken / total
            far = (share > SHARE) & _unlikely(share, size, count, width)
            found |= far & (size <= most) & (total > 0)
        if size > 1:
            pair, best = pair.without(pair.farthest()), best.without(best.farthest())
    return found


class _Groups:
    """What fits leave once groups of rows are left out, one of each table, to first order.

    See ``fitting.outlying_rows``.
    """

    def __init__(
        self, basis: np.ndarray, rest: np.ndarray, own: np.ndarray, out: np.ndarray
    ) -> None:
        self.taken = np.zeros(len(rest))
        self._basis, self._rest, self._own, self._out = basis, rest, own, out
        self._every = np.arange(len(rest))

    def farthest(self) -> np.ndarray:
        """The row that is farthest off in each."""
        size = self._rest**2 / np.maximum(self._own, LEAST_LEFT)
        return np.where(self._out, -1.0, size).argmax(axis=1)

    def without(self, row: np.ndarray) -> _Groups:
        """The same without one row more of each."""
        at = (self._every, row)
        column = -(self._basis @ self._basis[at][..., None])[..., 0]
        column[at] += 1.0
        column /= np.sqrt(np.maximum(self._own[at], LEAST_LEFT))[:, None]
        along = np.sum(column * self._rest, axis=1)
        basis = np.concatenate([self._basis, column[..., None]], axis=2)
        out = self._out.copy()
        out[at] = True
        left = _Groups(basis, self._rest - along[:, None] * column, self._own - column**2, out)
        left.taken = self.taken + along**2
        return left


def _best_pairs(
    basis: np.ndarray, rest: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The two rows of each table without which the sum of squares falls most."""
    shared = basis @ np.swapaxes(basis, 1, 2)
    determinant = own[:, :, None] * own[:, None, :] - shared**2
    gain = (rest**2)[:, :, None] * own[:, None, :]
    gain = gain + np.swapaxes(gain, 1, 2) + 2 * shared * rest[:, :, None] * rest[:, None, :]
    gain = np.where(determinant > LEAST_LEFT, gain / np.maximum(determinant, LEAST_LEFT), 0.0)
    side = gain.shape[1]
    gain[:, np.arange(side), np.arange(side)] = 0.0
    i, j = np.divmod(gain.reshape(len(gain), -1).argmax(axis=1), side)
    return i, j


def _unlikely(share: np.ndarray, group: int, count: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Whether no group of this size is as far off by chance; a little more often than it is."""
    from scipy.special import comb, fdtrc

    freedom = np.maximum(count - width - group, 1)
    ratio = share / group / (np.maximum(1 - share, TINY) / freedom)
    return np.asarray(fdtrc(group, freedom, ratio) * comb(count, group) < 1.01 * CHANCE)
