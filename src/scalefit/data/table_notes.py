"""Soft problems of a table that are found while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from scalefit.data.column_names import ALWAYS_RESOLVED
from scalefit.data.several_responses import RESPONSE
from scalefit.data.units import unit_notes
from scalefit.errors import listed
from scalefit.notes import Note

__all__ = ["reading_notes", "replaced_columns"]


class Read(Protocol):
    """What notes need of a table."""

    @property
    def frame(self) -> pd.DataFrame:
        """The table under canonical names."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Header of each quantity."""

    @property
    def candidates(self) -> Mapping[str, Sequence[str]]:
        """Quantities that several headers could mean, with those."""

    @property
    def scales(self) -> Mapping[str, float]:
        """What the numbers of a quantity were multiplied by."""

    @property
    def loss_unit(self) -> str:
        """Unit of the losses; empty where they are perplexities."""


def reading_notes(table: Read, judged: Mapping[str, np.ndarray]) -> list[Note]:
    """Notes on columns that could be several, on rows that repeat, and on units.

    Args:
        table: the table.
        judged: numbers of N, D, C and loss, as far as there are any, NaN in rows of no weight.
    """
    frame, sources = table.frame, table.sources
    notes = [
        Note.of(
            "ambiguous_column",
            f"{name} could be any of the columns {listed(found)}; none was used. Say which one if "
            f"you need it: {name}={found[0]!r}",
            {"quantity": name, "columns": list(found)},
            severity="warning" if name == "weight" else "info",
        )
        for name, found in table.candidates.items()
    ]
    repeated = _repeated(frame) if all(name in sources for name in ALWAYS_RESOLVED) else []
    if repeated:
        notes.append(
            Note.of(
                "duplicate_rows",
                f"{len(repeated)} rows repeat an earlier row's N, D and loss exactly (rows "
                f"{listed(repeated)}). Each counts as a run of its own; drop them if they "
                "are not",
                {"rows": [str(row) for row in repeated]},
            )
        )
    return [*notes, *unit_notes(judged, sources, table.scales, table.loss_unit, tuple(frame.index))]


def replaced_columns(frame: pd.DataFrame, sources: Mapping[str, str]) -> list[Note]:
    """A note on each column that is left out because another one was given for its name."""
    lost = [
        name
        for name, header in sources.items()
        if header != name and name in frame.columns and name not in sources.values()
    ]
    return [
        Note.of(
            "column_replaced",
            f"{name} is column {sources[name]!r}, and the table's own column {name} is left out. "
            "Rename it before, if it is needed",
            {"quantity": name, "header": sources[name]},
        )
        for name in lost
    ]


def _repeated(frame: pd.DataFrame) -> list[object]:
    """Labels of the rows that have an earlier row's N, D and loss, of the same response."""
    key = list(ALWAYS_RESOLVED)
    ordered = np.stack([frame[name].to_numpy() for name in reversed(key)])
    ordered = ordered[:, np.lexsort(ordered)]
    # Equal rows are neighbours after sorting, and most tables have none. Only where some are equal,
    # or hold NaN (which equals nothing here), does pandas find the later ones.
    alike = (ordered[:, 1:] == ordered[:, :-1]).all(axis=0)
    if not (alike.any() or np.isnan(ordered).any()):
        return []
    if RESPONSE in frame and isinstance(frame[RESPONSE].dtype, pd.CategoricalDtype):
        key.append(RESPONSE)
    return list(frame.index[frame.duplicated(key)])
