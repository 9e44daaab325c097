"""What a table's columns are and hold, and its first rows, as tables of a report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scalefit.data.column_guesses import guesses
from scalefit.data.column_names import UNITS
from scalefit.data.several_responses import Responses
from scalefit.frozen import Frozen
from scalefit.reporting.description import Column, Table
from scalefit.reporting.numbers import Kind

__all__ = ["first_rows", "next_step", "quantities"]

# How a report writes the quantities, and how much of a table it shows.
KINDS: Mapping[str, Kind] = Frozen({"N": "count", "D": "count", "C": "flop"})
ROWS_DESCRIBED, COLUMNS_DESCRIBED = 5, 8


def quantities(
    numbers: Mapping[str, np.ndarray], headers: Mapping[str, str], loss_unit: str
) -> Table:
    """Header, range and unit of each quantity that is in numbers.

    Args:
        numbers: of each quantity, each (rows,), NaN where a cell has none.
        headers: of each, as they are shown.
        loss_unit: unit of the losses; empty where it is not known.
    """
    known = [name for name, values in numbers.items() if np.isfinite(values).any()]
    kinds: list[Kind] = [KINDS.get(name, "number") for name in known]
    units = {**UNITS, "loss": loss_unit}
    return Table(
        [
            Column("quantity", known, "text"),
            Column("header", [headers[name] for name in known], "text"),
            Column("smallest", [np.nanmin(numbers[name]) for name in known], kinds),
            Column("largest", [np.nanmax(numbers[name]) for name in known], kinds),
            Column("unit", [units.get(name, "") for name in known], "text"),
        ],
        "quantities",
    )


def first_rows(frame: pd.DataFrame) -> Table:
    """The first rows, as many columns as fit a page."""
    first = frame.iloc[:ROWS_DESCRIBED, :COLUMNS_DESCRIBED]
    columns = [Column("row", [str(label) for label in first.index], "text")]
    for place, name in enumerate(first):
        values = first.iloc[:, place]
        numeric = values.dtype.kind in "iuf"
        kind: Kind = KINDS.get(str(name), "number") if numeric else "text"
        columns.append(Column(str(name), values.tolist(), kind))
    return Table(columns, f"first of {len(frame)} runs")


def next_step(frame: pd.DataFrame, sources: Mapping[str, object], several: Responses | None) -> str:
    """What to do with a table: fit it, or say which column is its loss.

    Args:
        frame: the table.
        sources: header of each quantity that is known.
        several: which columns its rows are responses of, if they are.
    """
    if "loss" in sources or several is not None:
        return "Next: scalefit.fit(table)."
    likely = guesses(frame, "loss", list(sources.values()))
    hint = f": perhaps loss={likely[0]!r}, where it is read" if likely else ""
    return f"No column is known as a loss{hint}."
