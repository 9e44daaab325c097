"""Rows that are left out of a table, each with the rule that left it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.data.column_names import ALWAYS_RESOLVED
from scalefit.data.row_filter import holds
from scalefit.reporting.description import Column, Description, Table

__all__ = ["DroppedRow", "apply_rules", "counted", "description", "drop_missing"]


@dataclass(frozen=True)
class DroppedRow:
    """A row that was left out, and the rule that left it out."""

    row: object
    rule: str


def apply_rules(
    original: pd.DataFrame, renamed: pd.DataFrame, rules: Sequence[str]
) -> tuple[pd.DataFrame, list[DroppedRow]]:
    """Rows that satisfy every rule, and the others under the first rule they fail."""
    if not rules:
        return renamed, []
    # A canonical name wins over a header, and both over the row labels.
    known = {
        str(header): frame.iloc[:, place]
        for frame in (original, renamed)
        for place, header in enumerate(frame.columns)
        if isinstance(header, str | int)
    }
    if original.index.nlevels == 1:
        known.setdefault("index", pd.Series(original.index))
    dropped: list[DroppedRow] = []
    kept = np.ones(len(renamed), dtype=bool)
    for rule in rules:
        passed = holds(rule, known)
        dropped += [DroppedRow(row, rule) for row in renamed.index[kept & ~passed]]
        kept &= passed
    return renamed[kept].copy(), dropped


def drop_missing(
    frame: pd.DataFrame, sources: Mapping[str, str]
) -> tuple[pd.DataFrame, list[DroppedRow]]:
    """Rows that have every quantity that each run needs, as finite numbers, and the others."""
    dropped: list[DroppedRow] = []
    for name in (*ALWAYS_RESOLVED, "weight"):
        if name not in sources:
            continue
        for lacks, why in ((np.isnan, "missing"), (np.isinf, "infinite")):
            lost = lacks(frame[name].to_numpy())
            if lost.any():
                dropped += [DroppedRow(row, f"{why} {name}") for row in frame.index[lost]]
                frame = frame[~lost]
    return frame, dropped


def counted(dropped: Sequence[DroppedRow]) -> str:
    """How many rows each rule left out, in words."""
    rules = Counter(item.rule for item in dropped)
    return "; ".join(f"{count} by {rule!r}" for rule, count in rules.items())


def description(dropped: Sequence[DroppedRow]) -> Description:
    """A table of the rows and their rules."""
    rows, rules = [str(item.row) for item in dropped], [item.rule for item in dropped]
    columns = [Column("row", rows, "text"), Column("rule", rules, "text")]
    return Description("Dropped rows", tables=[Table(columns, rest="table.dropped has all")])
