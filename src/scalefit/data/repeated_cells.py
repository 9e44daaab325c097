"""Whether rows repeat the same inputs: replicates, or a sweep of a column the law does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data import cells
from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.table import LossTable
from scalefit.data.trajectories import RUN_HEADERS

__all__ = [
    "HYPERPARAMETERS",
    "REPLICATES",
    "RepeatedCells",
    "cell_headers",
    "cell_remedies",
    "cell_values",
    "find_repeated_cells",
]

# Rows of one cell from which it counts, and the share of all rows in such cells that makes a table
# one of repeated cells.
FEWEST_ROWS = 3
MOST_ROWS = 0.5

# A column is swept where it explains this share of the ranks of the losses within cells, and where
# chance explains as much once in ten thousand columns.
LEAST_SHARE = 0.1
CHANCE = 1e-4

# Rows that are looked at for what was swept: of larger tables so many at random.
MOST_JUDGED = 10_000

# Positions in a cell that are told apart; more are binned.
MOST_LEVELS = 12

# Headers of replicates, whose noise may be shared by many cells of one model.
REPLICATES = ("seed", "random_seed", "init_seed", "data_seed", "replicate", "repeat", "trial")

# Hyperparameters by their headers, normalised. Of other columns the same values return in many
# cells; a column of numbers that never do is a measurement.
HYPERPARAMETERS = (
    "lr",
    "learning_rate",
    "peak_lr",
    "max_lr",
    "batch_size",
    "batch",
    "bs",
    "bsz",
    "gbsz",
    "global_batch_size",
    "weight_decay",
    "wd",
    "warmup",
    "warmup_steps",
    "dropout",
    "width",
    "depth",
)


class RepeatedCells(NamedTuple):
    """Rows that share all inputs of a law.

    Attributes:
        columns: the inputs, as the table has them.
        measured: what is compared within a cell.
        code: number of each row's cell, shape (rows,); -1 of weight zero.
        cells: number of cells of three rows or more.
        rows: rows in them.
        spread: usual standard deviation within such a cell, of the logarithm where all values are
            positive.
        swept: columns that tell the rows of a cell apart and move what is measured, the most
            important first.
        share: share of the ranks within cells that they explain.
    """

    columns: tuple[str, ...]
    measured: str
    code: np.ndarray
    cells: int
    rows: int
    spread: float
    swept: tuple[str, ...]
    share: float


def find_repeated_cells(
    table: LossTable, columns: Sequence[str], measured: str
) -> RepeatedCells | None:
    """Cells of the table that hold most rows of positive weight; None where they do not.

    Args:
        table: the table.
        columns: inputs of the law, and columns of its groups.
        measured: what the law predicts, or the loss where it predicts the best of what is swept.
    """
    used = table.weight > 0
    grouped = np.zeros(int(used.sum()), dtype=np.int64)
    for name in columns:
        labels = pd.factorize(cell_values(table, name)[used], use_na_sentinel=False)[0]
        grouped = np.unique(grouped * (labels.max() + 1) + labels, return_inverse=True)[1]
        there = np.bincount(grouped)[grouped] >= FEWEST_ROWS
        # Every further column makes cells smaller.
        if there.sum() <= MOST_ROWS * len(grouped):
            return None
    code = np.full(len(used), -1)
    code[used] = grouped
    rows = np.flatnonzero(used)[there]
    within = pd.factorize(code[rows])[0]
    y = table.column(measured)[rows]
    spread = pd.Series(np.log(y) if (y > 0).all() else y).groupby(within).std()
    others = [
        header
        for header in table.frame.columns
        if isinstance(header, str) and header not in {*columns, measured, "weight"}
    ]
    if len(rows) > MOST_JUDGED:
        some = np.random.default_rng(0).permutation(len(rows))[:MOST_JUDGED]
        rows, within, y = rows[some], pd.factorize(within[some])[0], y[some]
    swept, share = _swept(table, others, rows, within, y)
    return RepeatedCells(
        tuple(columns),
        measured,
        code,
        len(spread),
        int(there.sum()),
        float(spread.median()),
        swept,
        share,
    )


def cell_headers(table: LossTable, found: RepeatedCells) -> list[str]:
    """Headers of the inputs that rows of a cell share."""
    return [table.sources.get(name, name) for name in found.columns]


def cell_remedies(table: LossTable, found: RepeatedCells, free: int) -> list[str]:
    """What can be done about a sweep in every cell, as calls.

    Args:
        table: the table.
        found: its cells.
        free: parameters of the law, which as many rows must determine.
    """
    headers = cell_headers(table, found)
    measured = table.sources.get(found.measured, found.measured)
    least = f"runs.loc[runs.groupby({headers!r})[{measured!r}].idxmin()]"
    if not table.frame.index.is_unique:
        least = f"runs.sort_values({measured!r}).drop_duplicates({headers!r})"
    best = [f"the best row of each cell, {least}"] if found.code.max() >= free else []
    swept = found.swept[0]
    header = table.sources.get(swept, swept)
    if _values(table, swept).dtype == object:
        return []
    if normalised(header) not in HYPERPARAMETERS:
        return [f"a law with {header} among its columns", *best]
    known = normalised(measured) in (normalised(alias) for alias in ALIASES["loss"])
    options = f"over={header!r}, by={headers!r}"
    options += "" if known else f", loss={measured!r}"
    options += ", repeats='least'" if len(found.swept) > 1 else ""
    return [*best, f"the vertex of each, scalefit.approach2.vertices(runs, {options})"]


def cell_values(table: LossTable, name: str) -> np.ndarray:
    """A column of numbers, or of labels as text."""
    values = table[name]
    if values.dtype.kind in "iuf":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([str(cells.label(cell)) for cell in values], dtype=object)


def _values(table: LossTable, header: str) -> np.ndarray:
    """A column that may be swept: numbers, also those of a hyperparameter that are text."""
    values = cell_values(table, header)
    if values.dtype == object and normalised(header) in HYPERPARAMETERS:
        found, bad = cells.numbers(table.frame[header])
        return values if bad.any() else found
    return values


def _swept(
    table: LossTable, headers: Sequence[str], rows: np.ndarray, within: np.ndarray, loss: np.ndarray
) -> tuple[tuple[str, ...], float]:
    """Columns that explain the losses within cells, by forward selection, and their share.

    Losses are ranked within their cell, so that diverged runs count no more than others, and
    columns of numbers are too: a bowl over the learning rate is one over its ranks.
    """
    ranks = _centred(pd.Series(loss).groupby(within).rank(pct=True).to_numpy()[:, None], within)
    total = float((ranks**2).sum())
    freedom = len(rows) - int(within.max()) - 1
    found = [(header, _levels(table, header, rows, within)) for header in headers]
    left = {header: _centred(levels, within) for header, levels in found if levels is not None}
    chosen: list[str] = []
    design, unexplained, size = np.empty((len(rows), 0)), total, 0
    while left and total > 0:
        tried = {}
        for header, columns in left.items():
            wider = np.hstack([design, columns])
            coefficients, _, rank, _ = np.linalg.lstsq(wider, ranks, rcond=1e-9)
            tried[header] = float(((ranks - wider @ coefficients) ** 2).sum()), int(rank)
        # Steps and batch size of one number of tokens explain the same: the first, not rounding.
        least = min(squares for squares, _ in tried.values()) + 1e-9 * total
        best = next(header for header, (squares, _) in tried.items() if squares <= least)
        squares, rank = tried[best]
        if not _explains(unexplained - squares, squares, rank - size, freedom - rank, total):
            break
        chosen.append(best)
        design, unexplained, size = np.hstack([design, left.pop(best)]), squares, rank
    adjusted = 1 - (unexplained / max(freedom - size, 1)) / (total / freedom) if total > 0 else 0.0
    return tuple(chosen), float(adjusted)


def _explains(gain: float, squares: float, size: int, freedom: int, total: float) -> bool:
    """Whether a fall of the sum of squares is more than chance, and large enough."""
    from scipy.special import fdtrc

    if size < 1 or freedom < 1:
        return False
    noise = max(squares / freedom, 1e-12 * total)
    large = gain - size * noise > LEAST_SHARE * (squares + gain)
    return bool(large and fdtrc(size, freedom, gain / size / noise) < CHANCE)


def _levels(
    table: LossTable, header: str, rows: np.ndarray, within: np.ndarray
) -> np.ndarray | None:
    """Indicators of the levels of a column in cells; None where it cannot be swept.

    Numbers count by their place among those of their cell.
    """
    if normalised(header) in (*RUN_HEADERS, *REPLICATES):
        return None
    values = pd.Series(_values(table, header)[rows])
    of_cells = values.groupby(within).nunique(dropna=False)
    known = normalised(header) in HYPERPARAMETERS
    if (of_cells > 1).mean() <= 0.5 or not (known or 2 * values.nunique() <= len(rows)):
        return None
    if values.dtype == object:
        code = pd.factorize(values)[0]
        if code.max() >= len(rows) / 4:
            return None
    else:
        code = values.groupby(within).rank(method="dense").fillna(0).to_numpy()
        code = np.ceil(code * min(1.0, MOST_LEVELS / code.max())).astype(int)
    return np.asarray(pd.get_dummies(code).to_numpy(dtype=np.float64))


def _centred(columns: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Columns less their mean in each cell."""
    frame = pd.DataFrame(columns)
    return np.asarray((frame - frame.groupby(within).transform("mean")).to_numpy())
