"""From many tables, or the groups of one, to the rows that their fits take.

Tables of equal headers are read as one, since checking a table takes longer than fitting it. Where
one cannot be read, halves are, until it is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from scalefit import arguments
from scalefit.data.plain_frames import plain_frame
from scalefit.data.table import LossTable, as_table
from scalefit.errors import ArgumentError, DataError, ScalefitError, listed
from scalefit.fitting.known_errors import weights
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.objective import Objective, require_positive

__all__ = ["Given", "Part", "Parts", "given_tables", "group_numbers", "read_parts"]

# Column of a combined frame that holds the number of each row's table.
NUMBER = "number of the table"

TABLES = "Pass a frame with by='corpus', frame.groupby('corpus'), a dict of tables, or a list"


class Given(NamedTuple):
    """Tables as they were given.

    Attributes:
        keys: of the tables, in their order.
        frames: frames to be read, each with the number of the table of each row, (rows,).
        tables: tables that are read already, by their number.
        failed: why a table is none, by its number.
    """

    keys: pd.Index
    frames: list[tuple[pd.DataFrame, np.ndarray]]
    tables: dict[int, LossTable]
    failed: dict[int, ScalefitError]


class Part(NamedTuple):
    """The rows of one table that a fit takes.

    Attributes:
        columns: the law's columns by name, each (rows,), raw units.
        observed: losses, (rows,).
        weight: of each row in the sum, known errors included, (rows,).
        own: the table's own weights, (rows,).
        rows: labels.
        sources: header of each quantity.
    """

    columns: Mapping[str, np.ndarray]
    observed: np.ndarray
    weight: np.ndarray
    own: np.ndarray
    rows: np.ndarray
    sources: Mapping[str, str]


class Parts(NamedTuple):
    """What was read.

    Attributes:
        parts: rows of the tables that could be read, by their number.
        failed: why the others could not, by their number.
        notes: soft problems found while reading.
    """

    parts: dict[int, Part]
    failed: dict[int, str]
    notes: tuple[Note, ...]


def given_tables(tables: Any, by: Any) -> Given:
    """Tables with their keys, from whatever holds many.

    Args:
        tables: a mapping of keys to tables, a sequence of tables, a table with ``by``, or a frame
            that is grouped already.
        by: columns whose values tell the tables of one frame apart.

    Raises:
        ArgumentError: it is none of these, or ``by`` is missing or makes no sense.
        DataError: a row of the frame has no value of a column of ``by``.
    """
    if isinstance(tables, Mapping | Sequence) and not len(tables):
        raise ArgumentError(
            f"tables={arguments.shown(tables)} holds no table",
            argument="tables",
            value=tables,
            remedy=TABLES,
        )
    if isinstance(tables, DataFrameGroupBy):
        _refuse_by(by, "a grouped frame")
        frame: Any = tables.obj
        return _grouped(frame, tables)
    if isinstance(tables, Mapping) and not _is_columns(tables):
        _refuse_by(by, "a dict of tables")
        return _listed(_index_of(list(tables)), list(tables.values()))
    if isinstance(tables, Sequence) and not isinstance(tables, str) and not _is_records(tables):
        _refuse_by(by, "a list of tables")
        return _listed(pd.RangeIndex(len(tables)), tables)
    if by is None:
        raise ArgumentError(
            f"tables={arguments.shown(tables)} is one table, and by names no column that tells "
            "several apart",
            argument="by",
            value=by,
            remedy=TABLES,
        )
    frame = tables.frame if isinstance(tables, LossTable) else plain_frame(tables)
    names = list(dict.fromkeys(arguments.names(by, "by", remedy=TABLES)))
    if not names:
        raise arguments.refused("by", by, "the name of a column", TABLES)
    for name in names:
        if name not in frame and name not in frame.index.names:
            raise DataError(
                f"by names {name!r}, which is no column of the table",
                column=name,
                remedy=f"Its columns: {', '.join(map(str, frame.columns))}",
            )
    grouped = frame.groupby(names[0] if len(names) == 1 else names, observed=True)
    found = _grouped(frame, grouped)
    if not isinstance(tables, LossTable):
        return found
    (number,) = (item[1] for item in found.frames)
    parts = {i: _rows_of(tables, number == i) for i in range(len(found.keys))}
    return found._replace(frames=[], tables=parts)


def _index_of(keys: Sequence[Any]) -> pd.Index:
    """Keys as an index: of several levels where all are tuples of one length."""
    lengths = {len(key) if isinstance(key, tuple) else 0 for key in keys}
    if len(lengths) == 1 and min(lengths) > 1:
        return pd.MultiIndex.from_tuples(keys)
    return pd.Index(keys, dtype=object, tupleize_cols=False)


def _refuse_by(by: Any, what: str) -> None:
    if by is not None:
        raise ArgumentError(
            f"by={arguments.shown(by)} groups one frame, and tables is {what}",
            argument="by",
            value=by,
            remedy="Leave by out",
        )


def _is_columns(tables: Mapping[Any, Any]) -> bool:
    """Whether a mapping is one table, by columns."""
    values = list(tables.values())
    return bool(values) and all(
        isinstance(item, pd.Series | np.ndarray)
        or (isinstance(item, Sequence) and not isinstance(item, str) and _are_cells(item))
        for item in values
    )


def _is_records(tables: Sequence[Any]) -> bool:
    """Whether a sequence is one table, by rows of cells."""
    first = tables[0] if len(tables) else None
    return isinstance(first, Mapping) and _are_cells(list(first.values()))


def _are_cells(items: Sequence[Any]) -> bool:
    return len(items) > 0 and all(
        isinstance(item, str | int | float | np.generic | None) for item in items
    )


def group_numbers(frame: pd.DataFrame, grouped: Any) -> np.ndarray:
    """The number of the group of each row of a frame, (rows,).

    Args:
        frame: the frame.
        grouped: the same, grouped.

    Raises:
        DataError: a row is in no group.
    """
    number = grouped.ngroup().to_numpy()
    # NaN where pandas leaves a row out.
    missing = ~(number >= 0)
    if missing.any():
        rows = frame.index[missing].tolist()
        raise DataError(
            f"rows {listed(rows)} have no value of the columns that tell the tables apart",
            rows=rows,
            remedy="Fill the gaps, or leave these rows out first",
        )
    return np.asarray(number, dtype=int)


def _grouped(frame: pd.DataFrame, grouped: Any) -> Given:
    number = group_numbers(frame, grouped)
    sizes = grouped.size()
    if isinstance(sizes, pd.DataFrame):
        # Of a frame grouped with as_index=False.
        sizes = sizes.set_index(list(sizes.columns[:-1])).iloc[:, 0]
    # Groups are numbered without categories that have no row, and those are no tables.
    return Given(sizes.index[sizes.to_numpy() > 0], [(frame, number)], {}, {})


def _rows_of(table: LossTable, which: np.ndarray) -> LossTable:
    """Some rows of a table that is read already."""
    return replace(table, frame=table.frame[which])


def _listed(keys: pd.Index, tables: Sequence[Any]) -> Given:
    """Tables one by one; frames of equal headers are put together."""
    found = Given(keys, [], {}, {})
    alike: dict[tuple[Any, ...], list[tuple[int, pd.DataFrame]]] = {}
    for number, item in enumerate(tables):
        if isinstance(item, LossTable):
            found.tables[number] = item
            continue
        try:
            frame = plain_frame(item)
        except ScalefitError as error:
            found.failed[number] = error
            continue
        kinds = (*frame.columns, *map(str, frame.dtypes))
        alike.setdefault(kinds, []).append((number, frame))
    for members in alike.values():
        each = np.repeat([i for i, _ in members], [len(frame) for _, frame in members])
        found.frames.append((pd.concat([frame for _, frame in members]), each))
    return found


def read_parts(given: Given, law: Law, objective: Objective, options: Mapping[str, Any]) -> Parts:
    """The rows of every table.

    Args:
        given: the tables.
        law: the law.
        objective: what is minimised: may name a column of known errors.
        options: of reading, as for ``fit``.

    Raises:
        DataError: no table can be read, and it is not their rows: a column is absent.
        ArgumentError: an option of reading makes no sense.
    """
    found = Parts({}, {i: str(error) for i, error in given.failed.items()}, ())
    notes: list[Note] = []
    of_all: list[DataError] = []
    for frame, number in given.frames:
        try:
            notes += _read(frame, number, law, objective, options, found)
        except DataError as error:
            of_all.append(error)
            found.failed.update(dict.fromkeys(np.unique(number).tolist(), str(error)))
    for one, table in given.tables.items():
        try:
            found.parts.update(_split(table, np.full(len(table), one), law, objective))
        except DataError as error:
            found.failed[one] = str(error)
    if of_all and not found.parts:
        raise of_all[0]
    for one in range(len(given.keys)):
        if one not in found.parts and one not in found.failed:
            found.failed[one] = "no row of the table is left: every one was dropped"
    return found._replace(notes=tuple(dict.fromkeys(notes)))


def _read(
    frame: pd.DataFrame,
    number: np.ndarray,
    law: Law,
    objective: Objective,
    options: Mapping[str, Any],
    found: Parts,
    part: bool = False,
) -> list[Note]:
    """Read the tables of a frame, or halves of them where something is wrong with a row.

    Raises:
        DataError: something is wrong with all of them, unless they are a part of others.
    """
    try:
        table = as_table(frame.assign(**{NUMBER: number}), **options)
        parts = dict(_split(table, table.frame[NUMBER].to_numpy(), law, objective))
    except DataError as error:
        if not (error.rows or part):
            # Said of the frame as it was given, without our column.
            dict(_split(as_table(frame, **options), number, law, objective))
            raise
        several = np.unique(number)
        if len(several) == 1:
            found.failed[int(several[0])] = str(error)
            return []
        below = number < several[len(several) // 2]
        halves = [
            _read(frame[w], number[w], law, objective, options, found, part=True)
            for w in (below, ~below)
        ]
        return [*halves[0], *halves[1]]
    found.parts.update(parts)
    return list(table.notes)


def _split(
    table: LossTable, number: np.ndarray, law: Law, objective: Objective
) -> Iterator[tuple[int, Part]]:
    """The rows of each table of a combined one.

    Raises:
        DataError: it lacks a column, or holds a value that the law or the objective does not take.
    """
    table.require([*law.columns, law.response], law, fitted=True)
    columns, observed = table.columns_of(law), table.column(law.response)
    require_positive(objective, observed, table.rows)
    law.check({law.response: observed}, table.rows, table.sources)
    weight, labels = weights(objective, table, observed), table.frame.index.to_numpy()
    order = np.argsort(number, kind="stable")
    which, first = np.unique(number[order], return_index=True)
    places = np.split(order, first[1:])
    for one, place in zip(which.tolist(), places, strict=True):
        own = {name: values[place] for name, values in columns.items()}
        yield (
            one,
            Part(
                own,
                observed[place],
                weight[place],
                table.weight[place],
                labels[place],
                table.sources,
            ),
        )
