"""Fits of many tables as a job: a chunk is some of the tables, in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.data.files import named
from scalefit.data.readers import read_frame
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.jobs.chunks import Job, pieces
from scalefit.jobs.config import FitManyTable
from scalefit.laws import find
from scalefit.many.reading import group_numbers
from scalefit.many.result import RESULTS

__all__ = ["fit_many_job"]

# Tables of a chunk: some seconds of fits.
TABLES = 1000

# Column that says from which file a row is.
FILE = "table"


def fit_many_job(given: FitManyTable, chunk: int | None, folder: Path) -> Job:
    """The job of fits of many tables.

    Args:
        given: the files, and how their tables are fitted.
        chunk: tables of a chunk; 1000 by default.
        folder: that paths are relative to.

    Raises:
        DataError: a file that cannot be read, files of different columns, or no row in any.
        ArgumentError: no column tells the tables apart, or one has the name of a result.
    """
    runs = _runs(given, folder)
    by = _keys(given, runs)
    # In the order of their keys, as fit_many has them.
    number = group_numbers(runs, runs.groupby(by, observed=True))
    size = TABLES if chunk is None else chunk
    parts = pieces(int(number.max(initial=-1)) + 1, size)
    # Columns have one type in all chunks.
    kinds = {name: "str" if runs[name].dtype == object else runs[name].dtype for name in by}

    def compute(part: int) -> pd.DataFrame:
        own = runs[np.isin(number, parts[part])]
        return _fitted(own, by, given).astype(kinds)

    def tables(part: int) -> str:
        return f"tables {parts[part].start} to {parts[part].stop - 1}"

    options = given.model_dump(exclude={"tables"})
    # Of what the files hold, wherever they are.
    content = pd.util.hash_pandas_object(runs, index=False).to_numpy().tobytes()
    digest = hashlib.sha256(repr(list(runs)).encode() + content).hexdigest()
    plan = {"fit_many": options, "data": digest, "chunk": size}
    return Job(plan, len(parts), compute, tables, _summary)


def _keys(given: FitManyTable, runs: pd.DataFrame) -> list[str]:
    """Columns that tell the tables apart."""
    by = [FILE] if given.by is None else [given.by] if isinstance(given.by, str) else given.by
    by = list(dict.fromkeys(by))
    if unknown := [name for name in by if name not in runs]:
        raise ArgumentError(
            f"fit_many.by names {unknown[0]!r}, which is no column",
            argument="fit_many.by",
            value=given.by,
            remedy=f"Columns: {listed(list(runs))}",
        )
    ends = ("", "_se", "_low", "_high") if given.level is not None else ("",)
    results = {*RESULTS, *(f"{name}{end}" for name in find(given.law).names for end in ends)}
    if taken := [name for name in by if name in results]:
        raise ArgumentError(
            f"fit_many.by names {taken[0]!r}, which is also a column of the results",
            argument="fit_many.by",
            value=given.by,
            remedy="Give the column of the tables another name",
        )
    return by


def _fitted(runs: pd.DataFrame, by: list[str], given: FitManyTable) -> pd.DataFrame:
    """A row for each table of some runs, its key in columns."""
    options = given.model_dump(exclude={"tables", "by", "level", "columns"})
    options["bounds"] = {name: tuple(ends) for name, ends in given.bounds.items()}
    options["tied"] = [tuple(names) for names in given.tied]
    columns = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.columns.items()
    }
    options["intervals"] = given.level is not None
    found = sf.fit_many(runs, by=by, progress=False, **options, **columns)  # type: ignore[arg-type]
    rows = found.to_frame() if given.level is None else found.to_frame(given.level)
    return rows.rename_axis(by).reset_index()


def _runs(given: FitManyTable, folder: Path) -> pd.DataFrame:
    """The rows of all files; :data:`FILE` names the file where there are no other keys."""
    paths = [given.tables] if isinstance(given.tables, str) else given.tables
    frames = [read_frame(folder / path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if list(frame) != list(frames[0]):
            raise DataError(
                f"{named(Path(path))} has other columns than {named(Path(paths[0]))}",
                remedy="Give files of the same columns, in one order",
            )
    if given.by is None:
        frames = [frame.assign(**{FILE: path}) for path, frame in zip(paths, frames, strict=True)]
    runs = pd.concat(frames, ignore_index=True)
    if runs.empty:
        raise DataError(
            f"{named(Path(paths[0]))} holds no row" + (", nor do the others" if paths[1:] else ""),
            remedy="Give files that hold runs",
        )
    return runs


def _summary(read: Callable[..., pd.DataFrame]) -> str:
    """How many tables ended how."""
    counts = read(["status"])["status"].value_counts()
    ends = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    return f"{counts.sum():,} tables: {ends}"
