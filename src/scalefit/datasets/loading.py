"""Registered tables by name: what there is, what is known of it, and the table itself."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from scalefit.data.loss_units import ASSUMED
from scalefit.data.separated_text import read_csv
from scalefit.data.table import LossTable, Missing
from scalefit.datasets.parsers import parsed
from scalefit.datasets.registry import Dataset, DatasetTable, find, registry
from scalefit.datasets.sources import File, file_of
from scalefit.frozen import Frozen
from scalefit.notes import Note

__all__ = ["frame", "info", "list", "load"]

# Units of losses as the registry says them, and as results show them.
UNITS: Mapping[str, str] = Frozen(
    {
        "nats per token": ASSUMED,
        "nats per byte": "nats/byte",
        "bits per character": "bits/character",
    }
)


def load(
    name: str, *, keep: str | Sequence[str] = (), missing: Missing = "raise", **columns: Any
) -> LossTable:
    """A public table by its name, checked.

    It is read from the folder that ``SCALEFIT_DATA`` (``SCALEFIT_BENCH`` for tables of benchmarks)
    names, if it is there; otherwise from the cache, into which the file of its source is downloaded
    once. Either has the registered SHA-256, or is refused.

    Args:
        name: one of :func:`list`.
        keep: see :meth:`LossTable.from_frame`.
        missing: see :meth:`LossTable.from_frame`.
        **columns: headers, and units of the loss, as for :meth:`LossTable.from_frame`; without them
            those that the registry gives, as ``C="budget"`` for IsoFLOP ladders.

    Returns:
        The table. Its ``provenance`` has the name, the source and the SHA-256 of the file that was
        read, and so has that of a fit; its note ``dataset`` says what to know before fitting it.
        Some tables lack N, D or loss, as :func:`info` says, and serve laws without them.

    Raises:
        ArgumentError: there is no table of that name; or see :meth:`LossTable.from_frame`.
        DataError: the file cannot be had, or is another than the registered one; or see
            :meth:`LossTable.from_frame`.
        MissingExtraError: the source is a Parquet file, and pyarrow is not installed.
    """
    entry = find(name)
    file = file_of(entry)
    given = {
        quantity: header
        for quantity, header in entry.quantities.items()
        if header not in columns.values()
    }
    table = LossTable.from_frame(_frame(entry, file), keep=keep, missing=missing, **given | columns)
    notes = (*table.notes, *_traps(entry))
    unit = table.loss_unit if "loss_unit" in columns else _loss_unit(entry)
    known = Frozen({**_provenance(entry, file), **table.provenance})
    return replace(table, notes=notes, provenance=known, loss_unit=unit)


def frame(name: str) -> pd.DataFrame:
    """A public table by its name, as it is: every row and cell, under the headers of its source.

    Args:
        name: one of :func:`list`.

    Returns:
        All rows, gaps included; meaning and unit of each column: :func:`info`.

    Raises:
        ArgumentError: there is no table of that name.
        DataError: the file cannot be had, or is another than the registered one.
        MissingExtraError: the source is a Parquet file, and pyarrow is not installed.
    """
    entry = find(name)
    return _frame(entry, file_of(entry))


def info(name: str) -> Dataset:
    """What is known of a public table: source, licence, SHA-256, columns with units, traps.

    Args:
        name: one of :func:`list`.

    Raises:
        ArgumentError: there is no table of that name.

    Example:
        >>> import scalefit as sf
        >>> sf.datasets.info("llama3_isoflops").columns["tokens"]
        'training tokens (raw count)'
    """
    return find(name)


def list() -> DatasetTable:
    """The public tables that are known by name.

    Returns:
        A table of them; a DataFrame by its ``to_frame``.

    Example:
        >>> import scalefit as sf
        >>> sf.datasets.list().to_frame().set_index("name").loc["gadre", "licence"]
        'MIT (LICENSE.txt)'
    """
    return DatasetTable(registry())


def _frame(entry: Dataset, file: File) -> pd.DataFrame:
    if file.original:
        return parsed(entry, file.content)
    how: Any = "gzip" if entry.file.endswith(".gz") else None
    return read_csv(io.BytesIO(file.content), compression=how)


def _traps(entry: Dataset) -> tuple[Note, ...]:
    """A note on what to know of a table, where there is anything."""
    if not entry.traps:
        return ()
    return (Note.of("dataset", " ".join(entry.traps), {"name": entry.name, "unit": entry.unit}),)


def _loss_unit(entry: Dataset) -> str:
    """Unit of the losses as results show it; empty where it is none that they know."""
    return next((unit for said, unit in UNITS.items() if entry.unit.startswith(said)), "")


def _provenance(entry: Dataset, file: File) -> Frozen[str, str]:
    """What a fit says of its table."""
    url = entry.original.url if file.original and entry.original else entry.url
    return Frozen({"dataset": entry.name, "dataset source": url, "dataset sha256": file.sha256})
