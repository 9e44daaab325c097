"""The noise from run to run that replicates show: runs of equal inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.cells import label
from scalefit.data.column_names import normalised
from scalefit.data.repeated_cells import HYPERPARAMETERS, REPLICATES
from scalefit.data.several_responses import RESPONSE
from scalefit.data.table import LossTable
from scalefit.data.trajectories import RUN_HEADERS

__all__ = ["ReplicateNoise", "exact_copies", "replicate_noise"]

# Columns that never tell a replicate from another: what was measured, and what names a run.
OWN = ("loss", "weight", "C", "seed")

# A column of text with more labels than this share of the rows names runs, not kinds of them; one
# of numbers with more values is a measurement.
MOST_LABELS = 0.5


class ReplicateNoise(NamedTuple):
    """Noise between replicates.

    Attributes:
        value: standard deviation within groups of equal inputs, pooled; of the logarithm of the
            response for log residuals.
        groups: groups of two runs or more.
        rows: runs in them.
        df: degrees of freedom, rows - groups.
    """

    value: float
    groups: int
    rows: int
    df: int


def exact_copies(table: LossTable, columns: Sequence[str], response: str) -> np.ndarray:
    """Which rows of positive weight repeat an earlier one's inputs and response, shape (rows,)."""
    values = {name: table.column(name) for name in (*columns, response)}
    # C and N tell copies of a law of one column apart.
    values |= {name: table.numbers(name) for name in ("N", "D", "C") if name in table.sources}
    if table.responses is not None:
        values[RESPONSE] = table.frame[RESPONSE].astype(str).to_numpy()
    used = table.weight > 0
    found = np.zeros(len(table), dtype=bool)
    found[used] = pd.DataFrame(values)[used].duplicated().to_numpy()
    return found


def replicate_noise(
    table: LossTable, columns: Sequence[str], response: str, *, logarithmic: bool
) -> ReplicateNoise | None:
    """The noise between runs of equal inputs; None where no two runs have them.

    Inputs are the columns of the law and whatever else may tell kinds of runs apart:
    hyperparameters, labels and numbers that return in many rows. Exact copies count once.

    Args:
        table: the runs.
        columns: columns of the law and of its groups.
        response: what the law predicts.
        logarithmic: whether noise is that of the logarithm.
    """
    used = (table.weight > 0) & ~exact_copies(
        table, [name for name in columns if _is_number(table, name)], response
    )
    code = np.zeros(int(used.sum()), dtype=np.int64)
    inputs = [*columns, *_kinds(table, {*columns, response})]
    for name in inputs:
        labels = pd.factorize(_values(table, name)[used], use_na_sentinel=False)[0]
        code = np.unique(code * (labels.max() + 1) + labels, return_inverse=True)[1]
    y = table.column(response)[used]
    rest = pd.Series(np.log(y) if logarithmic else y).groupby(code)
    sizes = rest.transform("size").to_numpy()
    rows, groups = int((sizes > 1).sum()), len(np.unique(code[sizes > 1]))
    if not groups:
        return None
    squares = float(((rest.transform("mean") - rest.obj)[sizes > 1] ** 2).sum())
    return ReplicateNoise(float(np.sqrt(squares / (rows - groups))), groups, rows, rows - groups)


def _kinds(table: LossTable, known: set[str]) -> list[str]:
    """Further columns in which replicates must agree."""
    found = []
    for name in table.frame.columns:
        if not isinstance(name, str) or name in known or name in OWN:
            continue
        header = normalised(table.sources.get(name, name))
        if header in (*RUN_HEADERS, *REPLICATES):
            continue
        values = _values(table, name)[table.weight > 0]
        few = len(pd.unique(values)) <= MOST_LABELS * len(values)
        if few or header in HYPERPARAMETERS or name in ("N", "D"):
            found.append(name)
    return found


def _is_number(table: LossTable, name: str) -> bool:
    return table[name].dtype.kind in "iuf"


def _values(table: LossTable, name: str) -> np.ndarray:
    if _is_number(table, name):
        return table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([str(label(cell)) for cell in table[name]], dtype=object)
