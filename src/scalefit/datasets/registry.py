"""The registry of public tables: where each comes from, what its columns mean, and its traps.

The facts are in ``registry.json`` beside this file, and so are the tables of this project. No table
of others is part of the package.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import refused
from scalefit.frozen import Frozen
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table

__all__ = ["FOLDERS", "PACKAGE", "Dataset", "DatasetTable", "Original", "find", "registry"]

# The place of tables that this project measured: beside the registry, in the package.
PACKAGE = "package"

# What the tables of a place are, and the variable that names such a folder; the package has none.
FOLDERS: Mapping[str, tuple[str, str]] = Frozen(
    {
        PACKAGE: ("runs of small models of ours, in scalefit itself", ""),
        "data": ("runs of papers and releases", "SCALEFIT_DATA"),
        "bench": ("benchmarks of fitting", "SCALEFIT_BENCH"),
    }
)


@dataclass(frozen=True)
class Original:
    """The file that a source serves.

    Attributes:
        file: its name in the cache.
        url: where it is downloaded from: a file of a repository at a commit.
        sha256: of its bytes.
        bytes: how many there are.
        lacks: columns of the registered table that it does not give; they were merged from
            elsewhere.
    """

    file: str
    url: str
    sha256: str
    bytes: int
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset(Described):
    """What is known of a public table.

    Attributes:
        name: of the table.
        what: what its rows are, in a line.
        rows: how many there are.
        unit: of the loss.
        licence: as its source states it.
        citation: authors, year and title.
        title: of the source.
        url: of the source.
        commit: of the source, or ``unknown``.
        arxiv: numbers of the papers.
        columns: headers, each with meaning and unit.
        quantities: headers of N, D, C or loss that do not say which of them they are.
        derivation: how the table is made from its source.
        traps: what to know before fitting it.
        file: name of the table as a CSV.
        folder: which of :data:`FOLDERS` holds it.
        sha256: of the table as a CSV.
        original: the file that is downloaded, or None where none is registered.
    """

    name: str
    what: str
    rows: int
    unit: str
    licence: str
    citation: str
    title: str
    url: str
    commit: str
    arxiv: tuple[str, ...]
    columns: Mapping[str, str]
    quantities: Mapping[str, str]
    derivation: str
    traps: tuple[str, ...]
    file: str
    folder: str
    sha256: str
    original: Original | None = None

    def describe(self, level: float = 0.95) -> Description:
        """Source, licence, columns and traps."""
        facts = {
            "unit of the loss": self.unit,
            "licence": self.licence,
            "citation": self.citation,
            "arXiv": ", ".join(self.arxiv),
            "source": self.title,
            "URL": self.url,
            "commit": self.commit,
            "derivation": self.derivation,
            "SHA-256": f"{self.sha256} ({self.file})",
        }
        if self.original:
            facts["download"] = f"{self.original.url}, {self.original.bytes:,} bytes"
            facts["its SHA-256"] = self.original.sha256
            facts["not downloaded"] = ", ".join(self.original.lacks)
        facts |= {f"trap {place}": trap for place, trap in enumerate(self.traps, 1)}
        facts |= {f"column {header}": meaning for header, meaning in self.columns.items()}
        return Description(
            f"Dataset {self.name}",
            f"{self.what}: {self.rows} rows. Next: scalefit.datasets.load({self.name!r}).",
            facts=facts,
        )


@dataclass(frozen=True)
class DatasetTable(Described):
    """Public tables: a table in a notebook, a DataFrame by :meth:`to_frame`.

    Attributes:
        datasets: what is known of each, by name.
    """

    datasets: Mapping[str, Dataset]

    def __len__(self) -> int:
        return len(self.datasets)

    def __iter__(self) -> Iterator[str]:
        return iter(self.datasets)

    def to_frame(self) -> pd.DataFrame:
        """A row for each table.

        Returns:
            DataFrame with the columns name, rows, what, licence, unit (of the loss), included
            (whether it comes with scalefit), variable (of the environment: of a folder that may
            hold it), download (whether its source's file can be downloaded).
        """
        return pd.DataFrame(
            {
                "name": item.name,
                "rows": item.rows,
                "what": item.what,
                "licence": item.licence,
                "unit": item.unit,
                "included": item.folder == PACKAGE,
                "variable": FOLDERS[item.folder][1],
                "download": item.original is not None,
            }
            for item in self.datasets.values()
        )

    def describe(self, level: float = 0.95) -> Description:
        """Name, rows and kind of each table, by folder."""
        frame = self.to_frame()
        return Description(
            "Datasets",
            f"{len(self)} public tables. Load one by name, as "
            "scalefit.datasets.load('scalefit_bytes'); scalefit.datasets.info says what is known "
            "of it. Those that are neither included nor downloaded are read from a folder.",
            tables=[
                Table(
                    [
                        Column("name", part["name"], "text"),
                        Column("rows", [f"{rows}" for rows in part["rows"]], "text"),
                        Column("download", np.where(part["download"], "yes", ""), "text"),
                        Column("what", part["what"], "text"),
                    ],
                    f"{title}, in the folder of {variable}" if variable else title,
                    whole=True,
                )
                for title, variable in FOLDERS.values()
                if len(part := frame[frame["variable"] == variable])
            ],
        )

    def __repr__(self) -> str:
        return f"<DatasetTable: {len(self)} tables>"


@cache
def registry() -> Mapping[str, Dataset]:
    """Every registered table by name."""
    text = files("scalefit").joinpath("datasets", "registry.json").read_text(encoding="utf-8")
    return Frozen({name: _entry(name, held) for name, held in json.loads(text)["tables"].items()})


def _entry(name: str, held: dict[str, Any]) -> Dataset:
    source, original = held.pop("source"), held.pop("original", None)
    texts: dict[str, Any] = {key: held[key] for key in held if isinstance(held[key], str | int)}
    return Dataset(
        name=name,
        **texts,
        columns=Frozen(held["columns"]),
        quantities=Frozen(held["quantities"]),
        traps=tuple(held["traps"]),
        licence=source.pop("license"),
        arxiv=tuple(source.pop("arxiv")),
        **source,
        original=Original(**original | {"lacks": tuple(original["lacks"])}) if original else None,
    )


def find(name: Any) -> Dataset:
    """The registered table of that name.

    Raises:
        ArgumentError: there is none.
    """
    known = registry()
    if isinstance(name, str) and name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) else []
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise refused(
        "name", name, "the name of a registered table", f"{hint}Known: {', '.join(known)}"
    )
