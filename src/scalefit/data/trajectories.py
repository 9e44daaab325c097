"""Whether the rows of a table are checkpoints of a few runs instead of separate runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.cells import label
from scalefit.data.table import LossTable

__all__ = ["Trajectories", "find_trajectories"]

# Headers, normalised, under which tables name the run that a checkpoint belongs to.
RUN_HEADERS = ("run", "run_id", "run_name", "run_index", "trajectory", "curve")

# A named run with so many different D is a curve, and these rows its checkpoints.
FEWEST_NAMED = 5

# Rows of one size at so many different D, nine steps of ten between them equal, are checkpoints of
# a run: grids of D are geometric, and have 1 to 18 D of a size in published tables.
FEWEST_EVEN = 10
EVEN_SHARE = 0.8
EVEN = 0.02

# Share of rows in curves above which a table counts as one of curves.
MOST_ROWS = 0.5


class Trajectories(NamedTuple):
    """Training curves of a table.

    Attributes:
        by: header of the column that tells them apart.
        code: number of each row's curve, shape (rows,); -1 where a row belongs to none.
        curves: number of curves.
    """

    by: str
    code: np.ndarray
    curves: int

    @property
    def rows(self) -> int:
        """Rows that belong to a curve."""
        return int(np.count_nonzero(self.code >= 0))

    def last(self, D: np.ndarray) -> np.ndarray:
        """Position of the last row of each curve, shape (curves,)."""
        order = np.lexsort((D, self.code))
        order = order[self.code[order] >= 0]
        return order[np.flatnonzero(np.diff(self.code[order], append=self.curves))]

    def autocorrelation(self, D: np.ndarray, residuals: np.ndarray) -> tuple[float, float]:
        """Lag-1 autocorrelation of residuals along D within curves, and its z score under none."""
        order = np.lexsort((D, self.code))
        code, rest = self.code[order], residuals[order]
        together = (code[1:] == code[:-1]) & (code[1:] >= 0)
        first, second = rest[:-1][together], rest[1:][together]
        size = np.sqrt((first**2).sum() * (second**2).sum())
        if not size > 0:
            return 0.0, 0.0
        share = float((first * second).sum() / size)
        return share, share * float(np.sqrt(len(first)))


def find_trajectories(table: LossTable) -> Trajectories | None:
    """The training curves that most rows of positive weight belong to; None where they do not."""
    if not {"N", "D"} <= set(table.sources):
        return None
    used = table.weight > 0
    N, D = table.column("N"), table.column("D")
    of_size, counts = np.unique(N[used], return_inverse=True, return_counts=True)[1:]
    if counts[counts >= FEWEST_NAMED].sum() <= MOST_ROWS * used.sum():
        return None
    named = [
        header
        for header in table.frame.columns
        if isinstance(header, str)
        and header.strip().lower().replace(" ", "_").replace("-", "_") in RUN_HEADERS
    ]
    for header in named:
        labels = np.array([label(cell) for cell in table.frame[header]], dtype=object)
        known = np.array([item is not None for item in labels]) & used
        code = np.full(len(N), -1)
        run = pd.factorize(labels[known])[0]
        code[known] = np.unique(np.c_[run, N[known]], axis=0, return_inverse=True)[1].ravel()
        found = _kept(code, D, used, str(header), even=False)
        if found is not None:
            return found
    code = np.full(len(N), -1)
    code[used] = of_size
    return _kept(code, D, used, table.sources["N"], even=True)


def _kept(
    code: np.ndarray, D: np.ndarray, used: np.ndarray, by: str, *, even: bool
) -> Trajectories | None:
    """Groups of rows that are curves; None where they hold too few of the rows."""
    kept = np.full(len(code), -1)
    count = 0
    order = np.lexsort((D, code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-2))
    for rows in np.split(order, starts[1:]):
        if code[rows[0]] < 0 or len(rows) < FEWEST_NAMED:
            continue
        distinct = np.unique(D[rows])
        if _evenly_spaced(distinct) if even else len(distinct) >= FEWEST_NAMED:
            kept[rows] = count
            count += 1
    if np.count_nonzero(kept >= 0) <= MOST_ROWS * used.sum():
        return None
    return Trajectories(by, kept, count)


def _evenly_spaced(D: np.ndarray) -> bool:
    """Whether sorted values are at least ten, and 80 % of their steps equal."""
    if len(D) < FEWEST_EVEN:
        return False
    steps = np.diff(D)
    usual = np.median(steps)
    return bool((np.abs(steps - usual) <= EVEN * usual).mean() >= EVEN_SHARE)
