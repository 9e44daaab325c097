"""Columns that rows are grouped by: their labels, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells
from scalefit.data.column_checks import keep_call, place_of
from scalefit.data.row_filter import quoted
from scalefit.errors import DataError

__all__ = ["refuse_unlabelled"]


def refuse_unlabelled(values: pd.Series, name: str, rows: Sequence[object]) -> None:
    """Raise where a row has no label, or what is none.

    Args:
        values: the column.
        name: of the column.
        rows: row labels.

    Raises:
        DataError: a row has none.
    """
    gaps = cells.missing(values)
    if gaps.any():
        where = [rows[int(i)] for i in np.flatnonzero(gaps)]
        raise DataError(
            f"{name!r} is missing {place_of(where)}",
            column=name,
            rows=where,
            remedy=f"Fill it, or leave the rows out with {keep_call(f'notna({quoted(name)})')}",
        )
    if values.dtype.kind in "iufb":
        return
    each = values.tolist()
    # A few texts make up most columns: each is looked at once.
    sound = {item for item in {cell for cell in each if type(cell) is str} if cells.label(item)}
    wrong = [
        place
        for place, cell in enumerate(each)
        if not (cell in sound if type(cell) is str else cells.label(cell) is not None)
    ]
    if wrong:
        where = [rows[place] for place in wrong]
        raise DataError(
            f"{name!r} is no label ({shown(values.iloc[wrong[0]])}) {place_of(where)}",
            column=name,
            rows=where,
            remedy="Label rows with text of one line, numbers, truth values or dates",
        )
