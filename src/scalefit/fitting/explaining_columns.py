"""Columns that a law does not have and that explain its residuals: labels, settings, quantities."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.column_names import normalised
from scalefit.data.repeated_cells import HYPERPARAMETERS
from scalefit.data.several_responses import ROW
from scalefit.data.table import LossTable
from scalefit.data.trajectories import RUN_HEADERS
from scalefit.laws import BUILTIN
from scalefit.results.fit import Fit

__all__ = ["Explaining", "explaining_columns"]

# A column explains residuals where their means by its values have this share of the variance, and
# chance gives as much once in ten thousand tables.
LEAST_SHARE = 0.25
CHANCE = 1e-4

# A label has at most this many values for each row; numbers are taken together in so many bins.
LEVELS_PER_ROW = 0.25
BINS = 8

# Words in headers of what someone found of the runs. Such a label explains residuals because it was
# made of them.
QUALITY = frozenset(
    {"comment", "exclude", "excluded", "flag", "flagged", "flags", "note", "notes"}
    | {"outlier", "outliers", "qc", "quality", "reason", "reasons"}
)

# Of hyperparameters those that are the shape of a model change with its size.
OF_SHAPE = ("width", "depth")


class Explaining(NamedTuple):
    """A column that explains residuals.

    Attributes:
        column: its name in the table.
        header: its header in the source.
        kind: ``label``, ``setting`` (a hyperparameter) or ``quantity`` (of a built-in law).
        share: share of the variance of the residuals, less what chance explains.
        law: a built-in law that has the quantity.
    """

    column: str
    header: str
    kind: str
    share: float
    law: str


def explaining_columns(
    fit: Fit,
    table: LossTable,
    used: np.ndarray,
    residuals: np.ndarray,
    *,
    labels_only: bool,
) -> list[Explaining]:
    """Columns that explain residuals, the most important first.

    Args:
        fit: the fit.
        table: its table.
        used: rows of positive weight, places in the table.
        residuals: of these, shape (n,).
        labels_only: whether to look at labels alone.
    """
    known = {*fit.law.columns, fit.law.response, "weight", "C"}
    known |= {ROW} if table.responses else set()
    known |= {name for item in fit.groups.values() for name in item.columns}
    tried: list[tuple[Explaining, float]] = []
    for column, dtype in table.frame.dtypes.items():
        numeric = dtype.kind in "iuf"
        if not isinstance(column, str) or column in known or (numeric and labels_only):
            continue
        header = str(table.sources.get(column, column))
        kind, law = "label", ""
        if numeric:
            kind, law = _kind(fit, column, header)
        if not kind or normalised(header) in RUN_HEADERS or _of_quality(header):
            continue
        values = table.frame[column].array
        values = values if len(used) == len(values) else values[used]
        code = _bins(values) if numeric else _labels(values)
        if code is None or (kind == "label" and _follows(fit, table, used, code)):
            continue
        share, chance = _explained(code, residuals)
        tried.append((Explaining(column, header, kind, share, law), chance))
    found = [
        item for item, chance in tried if item.share > LEAST_SHARE and chance * len(tried) < CHANCE
    ]
    return sorted(found, key=lambda item: -item.share)


def _of_quality(header: str) -> bool:
    """Whether a column says how good a run is, by its name, as ``oa_reason``."""
    return not QUALITY.isdisjoint(re.split(r"[^a-z]+", header.lower()))


def _kind(fit: Fit, column: str, header: str) -> tuple[str, str]:
    """What a column of numbers is: a setting, or a quantity of a wider law; else nothing."""
    name = normalised(header)
    if name in HYPERPARAMETERS and name not in OF_SHAPE:
        return "setting", ""
    for law in BUILTIN.values():
        wider = {*fit.law.columns, column}
        if set(law.columns) == wider and law.response == fit.law.response:
            return "quantity", law.name
    return "", ""


def _labels(values: Any) -> np.ndarray | None:
    """Codes of labels; None where they are one, or nearly as many as rows."""
    try:
        # As objects: a third of the time of Arrow's strings.
        code = pd.factorize(np.asarray(values, dtype=object))[0]
    except TypeError:
        # Lists and the like are no labels.
        return None
    levels = int(code.max(initial=-1)) + 1
    several = 1 < levels <= LEVELS_PER_ROW * len(code)
    return code if several and (code >= 0).all() else None


def _follows(fit: Fit, table: LossTable, used: np.ndarray, code: np.ndarray) -> bool:
    """Whether a label is only another name of a part of a column of the law, as ``small``."""
    levels = len(np.unique(code))
    for name in fit.law.columns:
        along = code[np.lexsort((code, table.column(name)[used]))]
        if np.count_nonzero(np.diff(along)) == levels - 1:
            return True
    return False


def _bins(values: Any) -> np.ndarray | None:
    """Codes of numbers, taken together by rank; None where they are one, or have gaps."""
    numbers = pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(numbers).all():
        return None
    _, code = np.unique(numbers, return_inverse=True)
    levels = int(code.max(initial=0)) + 1
    if levels > BINS:
        rank = np.argsort(np.argsort(numbers, kind="stable"))
        # Equal numbers share the bin of their first.
        first = np.full(levels, len(numbers))
        np.minimum.at(first, code, rank)
        code = np.unique(first[code] * BINS // len(numbers), return_inverse=True)[1]
    return code if levels > 1 else None


def _explained(code: np.ndarray, residuals: np.ndarray) -> tuple[float, float]:
    """Share of the variance that means by level explain, less chance, and the chance of as much."""
    from scipy.special import fdtrc

    sizes = np.bincount(code)
    levels, count = int(np.count_nonzero(sizes)), len(code)
    centred = residuals - residuals.mean()
    total = float(centred @ centred)
    if not (total > 0 and levels > 1 and count > levels):
        return 0.0, 1.0
    between = float((np.bincount(code, centred) ** 2 / np.maximum(sizes, 1)).sum())
    within = max(total - between, 1e-12 * total) / (count - levels)
    share = 1 - within / (total / (count - 1))
    return share, float(fdtrc(levels - 1, count - levels, between / (levels - 1) / within))
