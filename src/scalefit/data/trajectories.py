"""Whether the rows of a table are checkpoints of a few runs instead of separate runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.cells import label
from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.table import LossTable

__all__ = ["RUN_HEADERS", "Trajectories", "find_trajectories", "header_of"]

# Headers, normalised, under which tables name the run that a checkpoint belongs to.
RUN_HEADERS = (
    "run",
    "run_id",
    "run_name",
    "run_index",
    "run_number",
    "training_run",
    "wandb_id",
    "trajectory",
    "curve",
)

# A named run with so many different D is a curve, and these rows its checkpoints.
FEWEST_NAMED = 5

# Rows of one size at so many different D, nine steps of ten between them equal, are checkpoints of
# a run: grids of D are geometric, and have 1 to 18 D of a size in published tables.
FEWEST_EVEN = 10
EVEN_SHARE = 0.8
EVEN = 0.02

# Rows of one size at so many different D, however spaced, so many of them a decade, are checkpoints
# where losses that are neighbours along D share their noise. Published grids have up to 8 a decade,
# and their noise is independent.
FEWEST_DENSE = 20
DENSE = 10.0
SHARED = 0.15
SURE = 3.0
# Degree of the smooth curve in ln D that is taken off before the noise is judged.
SMOOTH = 3

# Share of rows in curves above which a table counts as one of curves.
MOST_ROWS = 0.5


class Trajectories(NamedTuple):
    """Training curves of a table.

    Attributes:
        by: header of the column that tells them apart, or a list of two.
        code: number of each row's curve, shape (rows,); -1 where a row belongs to none.
        curves: number of curves.
    """

    by: str | list[str]
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


def header_of(table: LossTable, quantity: str) -> str | None:
    """Where a table has N or D, also if it was given as another quantity, as ``x="D"``."""
    if quantity in table.sources:
        return quantity
    of = {name: normalised(str(header)) for name, header in table.sources.items()}
    found = [name for name, header in of.items() if header in ALIASES[quantity]]
    return found[0] if len(found) == 1 else None


def find_trajectories(table: LossTable) -> Trajectories | None:
    """The training curves that most rows of positive weight belong to; None where they do not."""
    size, tokens = header_of(table, "N"), header_of(table, "D")
    if size is None or tokens is None:
        return None
    used = table.weight > 0
    N, D = table.column(size), table.column(tokens)
    of_size, counts = np.unique(N[used], return_inverse=True, return_counts=True)[1:]
    if counts[counts >= FEWEST_NAMED].sum() <= MOST_ROWS * used.sum():
        return None
    named = [
        header
        for header in table.frame.columns
        if isinstance(header, str) and normalised(header) in RUN_HEADERS
    ]
    for header in named:
        labels = np.array([label(cell) for cell in table.frame[header]], dtype=object)
        known = np.array([item is not None for item in labels]) & used
        code = np.full(len(N), -1)
        run = pd.factorize(labels[known])[0]
        code[known] = np.unique(np.c_[run, N[known]], axis=0, return_inverse=True)[1].ravel()
        found = _kept(code, D, used, str(header), lambda item: len(item) >= FEWEST_NAMED)
        if found is not None:
            return found
    code = np.full(len(N), -1)
    code[used] = of_size
    by: str | list[str] = table.sources[size]
    beside = _told_apart(table, code, D)
    if beside is not None:
        code, by = beside[1], [table.sources[size], beside[0]]
    even = _kept(code, D, used, by, _evenly_spaced)
    if even is not None or "loss" not in table.sources:
        return even
    dense = _kept(code, D, used, by, _densely_spaced)
    if dense is None or not _shares_noise(dense.code, D, table.column("loss")):
        return None
    return dense


def _told_apart(
    table: LossTable, of_size: np.ndarray, D: np.ndarray
) -> tuple[str, np.ndarray] | None:
    """The column by which rows of one size and one D belong to several runs, and their codes.

    None where no two rows share both, or no column with few values tells them apart.
    """
    used = of_size >= 0
    size, place = of_size[used], np.unique(D[used], return_inverse=True)[1]
    if len(np.unique(size * len(place) + place)) == len(place):
        return None
    best = None
    for header, values in table.frame.items():
        if not isinstance(header, str):
            continue
        cells = values[used]
        if cells.dtype == object:
            cells = cells.map(lambda cell: str(label(cell)))
        labels = pd.factorize(cells, use_na_sentinel=False)[0]
        group = np.unique(size * (labels.max() + 1) + labels, return_inverse=True)[1]
        apart = len(np.unique(group * len(place) + place)) == len(place)
        # A measurement tells every row apart.
        few = FEWEST_NAMED * (group.max() + 1) <= len(group)
        if apart and few and (best is None or group.max() < best[1].max()):
            best = (header, group)
    if best is None:
        return None
    code = np.full(len(D), -1)
    code[used] = best[1]
    return table.sources.get(best[0], best[0]), code


def _kept(
    code: np.ndarray,
    D: np.ndarray,
    used: np.ndarray,
    by: str | list[str],
    is_curve: Callable[[np.ndarray], bool],
) -> Trajectories | None:
    """Groups of rows that are curves; None where they hold too few of the rows."""
    kept = np.full(len(code), -1)
    count = 0
    for rows in _groups(code, D):
        if len(rows) >= FEWEST_NAMED and is_curve(np.unique(D[rows])):
            kept[rows] = count
            count += 1
    if np.count_nonzero(kept >= 0) <= MOST_ROWS * used.sum():
        return None
    return Trajectories(by, kept, count)


def _groups(code: np.ndarray, D: np.ndarray) -> list[np.ndarray]:
    """Rows of each code from 0 on, by D."""
    order = np.lexsort((D, code))
    order = order[code[order] >= 0]
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)


def _evenly_spaced(D: np.ndarray) -> bool:
    """Whether sorted values are at least ten, and 80 % of their steps equal."""
    if len(D) < FEWEST_EVEN:
        return False
    steps = np.diff(D)
    usual = np.median(steps)
    return bool((np.abs(steps - usual) <= EVEN * usual).mean() >= EVEN_SHARE)


def _densely_spaced(D: np.ndarray) -> bool:
    """Whether sorted values are at least twenty, ten a decade."""
    return len(D) >= FEWEST_DENSE and len(D) - 1 >= DENSE * float(np.log10(D[-1] / D[0]))


def _shares_noise(code: np.ndarray, D: np.ndarray, loss: np.ndarray) -> bool:
    """Whether neighbours of a curve lie on one side of a smooth curve through it."""
    rest = np.zeros(len(D))
    rows = _groups(code, D)
    for item in rows:
        x = np.log(D[item])
        basis = np.linalg.qr(np.vander((x - x.mean()) / np.ptp(x), SMOOTH + 1))[0]
        rest[item] = loss[item] - basis @ (basis.T @ loss[item])
    share, errors = Trajectories("", code, len(rows)).autocorrelation(D, rest)
    return share > SHARED and errors > SURE
