"""Loss tables: the one place where input is checked.

A :class:`LossTable` knows which of its columns is the model size, the token count, the loss; every
number in it has been checked and is float64 (6 * N * D wraps around in int64 on most real tables);
and it lists every row that was left out, with the rule that left it out. The rest
of the library trusts it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, file_path, mapping, names, shown
from scalefit.data import cells
from scalefit.data.column_checks import (
    as_numbers,
    keep_call,
    out_of_size,
    place_of,
    refuse,
    sound,
)
from scalefit.data.column_names import (
    ALIASES,
    ALWAYS_RESOLVED,
    UNITS,
    absent,
    ambiguous,
    refuse_no_header,
    rename,
    resolve,
)
from scalefit.data.dropped_rows import (
    DroppedRow,
    apply_rules,
    counted,
    description,
    drop_missing,
)
from scalefit.data.files import read_frame, refuse_repeated_labels
from scalefit.data.row_filter import RULE_REMEDY, quoted
from scalefit.data.table_notes import reading_notes, replaced_columns
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind

__all__ = ["LossTable", "as_table", "read"]

Missing = Literal["raise", "drop"]

# How a report writes the quantities, and how much of a table it shows.
KINDS: Mapping[str, Kind] = Frozen({"N": "count", "D": "count", "C": "flop"})
ROWS_DESCRIBED, COLUMNS_DESCRIBED = 5, 8


@dataclass(frozen=True, eq=False)
class LossTable(Described):
    """Training runs, one per row, checked.

    Built by :func:`read` or :meth:`from_frame`. The canonical columns are ``N`` (model parameters,
    count), ``D`` (training tokens, count), ``loss`` (nats per token unless the user's table says
    otherwise), and optionally ``C`` (training FLOP), ``weight``, ``group``, ``seed``.

    Attributes:
        frame: all columns, recognised ones under their canonical name; the index keeps the labels
            of the source.
        sources: canonical name to the header it had in the source.
        candidates: canonical names that several headers could mean, with those headers.
        dropped: rows left out, each with its rule.
        notes: soft problems found while reading.
    """

    frame: pd.DataFrame
    sources: Mapping[str, str]
    candidates: Mapping[str, tuple[str, ...]]
    dropped: tuple[DroppedRow, ...] = ()
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.frame, pd.DataFrame):
            raise _no_frame(self.frame)
        for name in ("sources", "candidates"):
            mapping(getattr(self, name), name, remedy="Use LossTable.from_frame(frame)")

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        keep: str | Sequence[str] = (),
        missing: Missing = "raise",
        **columns: str,
    ) -> LossTable:
        """A checked table from a DataFrame.

        Args:
            frame: one run per row; never modified.
            keep: rules a row must satisfy, in headers or canonical names, such as
                ``"besiroglu_keep == 1"`` or ``"C < 1e21 and notna(loss)"``. Rows that fail are
                listed in ``dropped`` under the rule.
            missing: what to do about rows without N, D, loss or weight: ``raise``, or ``drop`` and
                list.
            **columns: header of a quantity, as ``N="params_matmul"`` or ``U="unique_tokens"``;
                wins over the alias table.

        Returns:
            The table.

        Raises:
            ArgumentError: it is no DataFrame; ``keep``, ``missing`` or a header makes no sense.
            DataError: a header is unknown, ambiguous or used twice; a value is missing, not a
                number, not finite or not positive; a rule makes no sense on this table; no row is
                left.

        Example:
            >>> import pandas as pd
            >>> runs = pd.DataFrame({"params": [1e8], "tokens": [2e9], "loss": [3.2]})
            >>> LossTable.from_frame(runs).sources["N"]
            'params'
        """
        choice(missing, "missing", get_args(Missing))
        rules = names(keep, "keep", remedy=RULE_REMEDY, wanted="rule")
        frame = _plain(frame)
        sources, candidates = resolve(frame, columns)
        renamed = rename(frame, sources)
        renamed, dropped = apply_rules(frame, renamed, rules)
        checked = [name for name in (*ALWAYS_RESOLVED, "weight") if name in sources]
        for name in checked:
            values = renamed[name]
            numbers = as_numbers(values, name, sources[name])
            if numbers is not values:
                renamed[name] = numbers
        if missing == "drop":
            renamed, lost = drop_missing(renamed, sources)
            dropped += lost
        if renamed.empty:
            raise DataError(
                f"no row is left: {len(dropped)} were dropped: {counted(dropped)}",
                remedy="Loosen the rules",
            )
        table = cls(renamed, Frozen(sources), Frozen(candidates), tuple(dropped))
        for name in checked:
            table.column(name)
        # Runs of no weight say nothing of the unit, and C may be no number: it is optional.
        judged: dict[str, np.ndarray] = {
            name: np.where(table.weight > 0, table.numbers(name), np.nan)
            for name in ("N", "D", "C", "loss")
            if name in sources
        }
        notes = reading_notes(renamed, sources, candidates, judged)
        notes += replaced_columns(frame, sources)
        object.__setattr__(table, "notes", tuple(notes))
        return table

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.frame)

    def __getitem__(self, name: str) -> pd.Series:
        """One column as it is, by canonical name or header; :meth:`column` checks its numbers.

        Raises:
            DataError: there is no such column.
            ArgumentError: the name is none.
        """
        refuse_no_header(name, "name")
        place = self._place(name)
        if place not in self.frame:
            raise absent(name, self.frame)
        return self.frame[place]

    def __getstate__(self) -> dict[str, Any]:
        # Without the cache of checked columns.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def columns(self) -> list[Any]:
        """Names of the columns, recognised ones under their canonical name."""
        return list(self.frame.columns)

    def head(self, rows: int = 5) -> pd.DataFrame:
        """The first rows."""
        return self.frame.head(rows)

    def to_frame(self) -> pd.DataFrame:
        """All rows that were kept, as a DataFrame of its own."""
        return self.frame.copy()

    def describe(self, level: float = 0.95) -> Description:
        """What the columns are and hold, the first runs, and what was left out."""
        others = [name for name in self.columns if name not in self.sources]
        return Description(
            "Loss table",
            f"{len(self)} runs, {len(self.dropped)} dropped. Next: scalefit.fit(table).",
            facts={
                "dropped": counted(self.dropped),
                "other columns": listed(others) if others else "",
            },
            tables=[self._quantities(), self._first_rows()],
            notes=self.notes,
            parts={"dropped": description(self.dropped)} if self.dropped else {},
        )

    def _quantities(self) -> Table:
        """Header, range and unit of each quantity that is in numbers."""
        numbers = {name: self.numbers(name) for name in self.sources if name in self.frame}
        known = [name for name, values in numbers.items() if np.isfinite(values).any()]
        kinds: list[Kind] = [KINDS.get(name, "number") for name in known]
        return Table(
            [
                Column("quantity", known, "text"),
                Column("header", [str(self.sources[name]) for name in known], "text"),
                Column("smallest", [np.nanmin(numbers[name]) for name in known], kinds),
                Column("largest", [np.nanmax(numbers[name]) for name in known], kinds),
                Column("unit", [UNITS.get(name, "") for name in known], "text"),
            ],
            "quantities",
        )

    def _first_rows(self) -> Table:
        """The first rows, as many columns as fit a page."""
        first = self.frame.iloc[:ROWS_DESCRIBED, :COLUMNS_DESCRIBED]
        columns = [Column("row", [str(label) for label in first.index], "text")]
        for place, name in enumerate(first):
            values = first.iloc[:, place]
            numeric = values.dtype.kind in "iuf"
            kind: Kind = KINDS.get(str(name), "number") if numeric else "text"
            columns.append(Column(str(name), values.tolist(), kind))
        return Table(columns, f"first of {len(self)} runs")

    def __repr__(self) -> str:
        known = ", ".join(
            name if source == name else f"{name}={source!r}"
            for name, source in self.sources.items()
        )
        dropped = f", {len(self.dropped)} dropped" if self.dropped else ""
        return f"<LossTable: {len(self)} rows{dropped}; {known}>"

    def __contains__(self, name: object) -> bool:
        return isinstance(name, Hashable) and name in self.frame.columns

    @cached_property
    def rows(self) -> tuple[object, ...]:
        """Row labels, as in the source."""
        return tuple(self.frame.index)

    def column(self, name: str) -> np.ndarray:
        """One column as float64, checked.

        Args:
            name: canonical name or header.

        Returns:
            Values, shape (rows,), raw units.

        Raises:
            DataError: the column is missing or ambiguous, or a value is missing, not a number, not
                finite, or not positive where the quantity must be.
            ArgumentError: the name is none.
        """
        refuse_no_header(name, "name")
        cache: dict[str, np.ndarray] = self.__dict__.setdefault("_checked", {})
        if name not in cache:
            cache[name] = self._checked_column(name)
        return cache[name]

    def columns_of(self, law: Law) -> dict[str, np.ndarray]:
        """The data columns of a law by name, each as :meth:`column` gives it.

        Raises:
            DataError: as for :meth:`column`; a value is none that the law describes.
        """
        used = {name: self.column(name) for name in law.columns}
        law.check(used, self.rows, self.sources)
        return used

    def _checked_column(self, name: str) -> np.ndarray:
        if name in self.candidates:
            raise ambiguous(name, self.candidates[name])
        if name not in self.frame.columns:
            canonical = {header: quantity for quantity, header in self.sources.items()}
            # A column N that was given for another quantity is not the N of a law.
            if name in canonical and name not in ALIASES:
                return self.column(canonical[name])
            raise absent(name, self.frame)
        header = self.sources.get(name, name)
        values = as_numbers(self.frame[name], name, header).to_numpy(dtype=np.float64, copy=True)
        # One test for the usual case; a bad column then finds the check that it fails.
        if not sound(values, name):
            refuse(values, name, header, self.rows)
        values.flags.writeable = False
        return values

    def _place(self, name: str) -> Any:
        """Where a column is, by canonical name or header."""
        headers = {header: quantity for quantity, header in self.sources.items()}
        return name if name in self.frame else headers.get(name, name)

    def labels(self, name: str) -> pd.Series:
        """One column as it is, to group rows by.

        Args:
            name: canonical name or header.

        Raises:
            DataError: the column is missing, or a row has no label.
            ArgumentError: the name is none.
        """
        refuse_no_header(name, "name")
        place = self._place(name)
        if place not in self.frame:
            raise DataError(
                f"the table has no column {shown(name)} to group by",
                column=name,
                remedy=f"Columns: {listed(list(self.frame.columns))}",
            )
        values = self.frame[place]
        gaps = cells.missing(values)
        if gaps.any():
            rows = [self.rows[i] for i in np.flatnonzero(gaps)]
            raise DataError(
                f"{name!r} is missing {place_of(rows)}",
                column=name,
                rows=rows,
                remedy=f"Fill it, or leave the rows out with {keep_call(f'notna({quoted(name)})')}",
            )
        if values.dtype.kind in "iufb":
            return values
        each = values.tolist()
        # A few texts make up most columns: each is looked at once.
        sound = {item for item in {cell for cell in each if type(cell) is str} if cells.label(item)}
        wrong = [
            place
            for place, cell in enumerate(each)
            if not (cell in sound if type(cell) is str else cells.label(cell) is not None)
        ]
        if wrong:
            rows = [self.rows[place] for place in wrong]
            raise DataError(
                f"{name!r} is no label ({shown(values.iloc[wrong[0]])}) {place_of(rows)}",
                column=name,
                rows=rows,
                remedy="Label rows with text of one line, numbers, truth values or dates",
            )
        return values

    def numbers(self, name: str) -> np.ndarray:
        """One column as float64, NaN where a cell is no usable number, shape (rows,); never raises.

        Args:
            name: canonical name or header, of a column that is there.
        """
        values = cells.numbers(self.frame[name])[0]
        return np.where(np.isfinite(values) & ~out_of_size(values, name), values, np.nan)

    @cached_property
    def weight(self) -> np.ndarray:
        """Row weights, ones where the table has none, shape (rows,)."""
        return self.column("weight") if "weight" in self.sources else np.ones(len(self))

    def digest(self, names: Sequence[str], labels: Sequence[str] = ()) -> str:
        """SHA-256 of the named columns and the weights, as float64 in row order.

        Args:
            names: columns of numbers.
            labels: columns of labels, as text.
        """
        seal = hashlib.sha256()
        for name in names:
            seal.update(name.encode() + b"\0" + self.column(name).tobytes())
        for name in labels:
            # 4 and 4.0 are one label. Each distinct one is read once.
            codes, distinct = pd.factorize(self.labels(name).astype(object))
            texts = np.array([cells.label(cell) or "" for cell in distinct], dtype=object)
            seal.update(name.encode() + b"\0" + "\0".join(texts[codes]).encode())
        seal.update(b"weight\0" + self.weight.astype(np.float64).tobytes())
        return seal.hexdigest()


def read(
    path: str | Path, *, keep: str | Sequence[str] = (), missing: Missing = "raise", **columns: str
) -> LossTable:
    """A checked table from a file.

    Args:
        path: ``.csv``, ``.tsv``, ``.parquet``, ``.jsonl`` or ``.ndjson``; CSV and JSON lines may be
            compressed (``.csv.gz``).
        keep: see :meth:`LossTable.from_frame`.
        missing: see :meth:`LossTable.from_frame`.
        **columns: see :meth:`LossTable.from_frame`.

    Returns:
        The table.

    Raises:
        ArgumentError: the path is none; or see :meth:`LossTable.from_frame`.
        DataError: the file does not exist, its format is unknown or broken, it holds more than five
            million rows or 1 GiB, or its content fails the checks of :meth:`LossTable.from_frame`.
    """
    remedy = "Pass the path of a table, as 'runs.csv'"
    if isinstance(path, pd.DataFrame | LossTable | Mapping):
        remedy += ". A DataFrame needs no reading: scalefit.fit(frame), LossTable.from_frame(frame)"
    place = file_path(path, "path", remedy=remedy)
    return LossTable.from_frame(read_frame(place), keep=keep, missing=missing, **columns)


def as_table(runs: LossTable | pd.DataFrame, **options: Any) -> LossTable:
    """The table itself, or one made from a DataFrame.

    Raises:
        ArgumentError: it is neither, or options are given for a table that is already built. Their
            defaults are no options: an empty ``keep``, and ``missing="raise"``.
    """
    if isinstance(options.get("keep"), list | tuple) and not options["keep"]:
        del options["keep"]
    if isinstance(options.get("missing"), str) and options["missing"] == "raise":
        del options["missing"]
    if isinstance(runs, LossTable):
        if options:
            name = min(options)
            raise ArgumentError(
                f"{listed(sorted(options))} cannot be given for a LossTable",
                argument=name,
                value=options[name],
                remedy="Give them to scalefit.read or LossTable.from_frame, which built it",
            )
        return runs
    return LossTable.from_frame(runs, **options)


def _plain(frame: Any) -> pd.DataFrame:
    """A table as a plain DataFrame of the same data, with one level of headers, all different.

    Raises:
        ArgumentError: it is none.
        DataError: it has no rows, or headers of several levels or that repeat.
    """
    if not isinstance(frame, pd.DataFrame):
        raise _no_frame(frame)
    # Plain: methods of a subclass may differ, and attrs may hold what cannot be copied.
    frame = pd.DataFrame(frame)
    if frame.empty:
        lacking = "columns" if len(frame) else "rows"
        raise DataError(
            f"the table has no {lacking}", remedy="Check the file or the query behind it"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        if frame.columns.nlevels > 1:
            raise DataError(
                f"the table has headers of {frame.columns.nlevels} levels, such as "
                f"{frame.columns[0]}",
                remedy="Leave one, as frame.droplevel(0, axis=1)",
            )
        frame = frame.set_axis(frame.columns.get_level_values(0), axis=1)
    refuse_repeated_labels(frame)
    return frame


def _no_frame(runs: object) -> ArgumentError:
    if hasattr(type(runs), "to_pandas"):
        remedy = "Pass runs.to_pandas()"
    elif isinstance(runs, str | Path):
        remedy = "Pass scalefit.read('runs.csv')"
    elif isinstance(runs, Mapping | list):
        remedy = "Pass pandas.DataFrame(runs), one run per row"
    else:
        remedy = "Pass one run per row: pandas.DataFrame(...), or scalefit.read('runs.csv')"
    return ArgumentError(
        f"runs={shown(runs)} is not a table", argument="runs", value=runs, remedy=remedy
    )
