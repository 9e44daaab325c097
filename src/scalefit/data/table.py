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
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, mapping, names, shown
from scalefit.data import cells
from scalefit.data.column_checks import (
    as_numbers,
    out_of_size,
    refuse,
    sound,
)
from scalefit.data.column_guesses import refuse_ambiguous, unresolved
from scalefit.data.column_names import (
    ALIASES,
    ALWAYS_RESOLVED,
    quantity_of,
    refuse_no_header,
    rename,
    resolve,
)
from scalefit.data.column_units import is_source
from scalefit.data.containers import no_table
from scalefit.data.dropped_rows import (
    DroppedRow,
    apply_rules,
    counted,
    description,
    drop_missing,
)
from scalefit.data.interpretation import Interpretation, headers_with_units
from scalefit.data.loss_units import ASSUMED, LossScale, LossUnit, read_loss_scale
from scalefit.data.other_laws import called, other_ways
from scalefit.data.plain_frames import plain_frame
from scalefit.data.row_filter import RULE_REMEDY
from scalefit.data.row_labels import refuse_unlabelled
from scalefit.data.several_responses import (
    Responses,
    Stacked,
    read_responses,
    responses_of,
    stacked,
)
from scalefit.data.table_notes import reading_notes, replaced_columns
from scalefit.data.table_report import first_rows, next_step, quantities
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.laws import BUILTIN, Law
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description, Table

__all__ = ["LossTable", "as_table", "read"]

Missing = Literal["raise", "drop"]


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
        scales: what the numbers of a quantity were multiplied by, where not by one.
        loss_unit: unit of the losses, after conversion; empty where it is not known.
        provenance: of a table of :mod:`scalefit.datasets`, its name, source and SHA-256; what
            losses were converted from, where they were.
        converted: how its losses became nats; None where they are as they were given.
    """

    frame: pd.DataFrame
    sources: Mapping[str, str]
    candidates: Mapping[str, tuple[str, ...]]
    dropped: tuple[DroppedRow, ...] = ()
    notes: tuple[Note, ...] = ()
    scales: Mapping[str, float] = Frozen({})
    loss_unit: str = ASSUMED
    provenance: Mapping[str, str] = Frozen()
    converted: LossScale | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.frame, pd.DataFrame):
            raise no_table(self.frame)
        for name in ("sources", "candidates"):
            mapping(getattr(self, name), name, remedy="Use LossTable.from_frame(frame)")

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        keep: str | Sequence[str] = (),
        missing: Missing = "raise",
        loss_unit: LossUnit | None = None,
        bytes_per_token: float | None = None,
        responses: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        **columns: str | tuple[str, float],
    ) -> LossTable:
        """A checked table from whatever holds one.

        Args:
            frame: one run per row, never modified: a DataFrame of pandas, polars or another
                library, an Arrow table, a dict of columns, a list of records (dicts, dataclasses,
                named tuples, pydantic models), a structured array; or the path of a file.
            keep: rules a row must satisfy, in headers or canonical names, such as
                ``"besiroglu_keep == 1"`` or ``"C < 1e21 and notna(loss)"``. Rows that fail are
                listed in ``dropped`` under the rule.
            missing: what to do about rows without a finite N, D, loss or weight: ``raise``, or
                ``drop`` and list.
            loss_unit: unit of the losses, which are converted to nats: ``nats``, ``bits`` or
                ``perplexity`` of a token, ``nats_per_byte`` or ``bits_per_byte``.
            bytes_per_token: bytes of the text over its tokens: losses per byte become losses per
                token.
            responses: headers of two or more columns that are responses of each run, as the losses
                of several domains: the table gets a row for each of them, with its header in the
                column ``response`` and the run's label in ``row``. Of a law that predicts something
                else than ``loss``, as ``{"accuracy": ["mmlu", "arc"]}``. Cells without a value are
                listed in ``dropped``.
            **columns: header of a quantity, as ``N="params_matmul"`` or ``U="unique_tokens"``, or
                of one in another unit, as ``N=("params_b", 1e9)``; wins over known names.

        Returns:
            The table.

        Raises:
            ArgumentError: it is no table; ``keep``, ``missing`` or a header makes no sense.
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
        loss, several = read_loss_scale(loss_unit, bytes_per_token), read_responses(responses)
        frame = plain_frame(frame)
        wide = Stacked(frame, [], []) if several is None else stacked(frame, several, columns)
        frame = wide.frame
        found = resolve(frame, columns)
        sources, candidates = found.sources, found.candidates
        refuse_ambiguous(frame, sources, candidates, converted=loss is not None)
        reading = Interpretation(found, loss)
        renamed = rename(frame, sources)
        done = reading.apply(renamed)
        renamed, dropped = apply_rules(frame, renamed, rules)
        dropped = [*wide.dropped, *dropped]
        checked = [name for name in (*ALWAYS_RESOLVED, "weight") if name in sources]
        for name in (*checked, *(item for item in found.scales if item not in checked)):
            values = renamed[name]
            if name not in done:
                renamed[name] = reading.strict(values, name)
            elif values.dtype != np.float64:
                renamed[name] = as_numbers(values, name, sources[name])
        if missing == "drop":
            renamed, lost = drop_missing(renamed, sources)
            dropped += lost
        if renamed.empty:
            said = f"no row is left: {len(dropped)} were dropped: {counted(dropped)}"
            raise DataError(said, rows=[item.row for item in dropped], remedy="Loosen the rules")
        known = Frozen(sources), Frozen(candidates), tuple(dropped), ()
        scales = Frozen(found.scales)
        origin = {**reading.provenance, **(several.provenance if several else {})}
        unit = several.unit if several and not loss else reading.loss_unit
        table = cls(renamed, *known, scales, unit, Frozen(origin), loss)
        for name in checked:
            table.column(name)
        # Runs of no weight say nothing of the unit, and C may be no number: it is optional.
        judged: dict[str, np.ndarray] = {
            name: np.where(table.weight > 0, table.numbers(name), np.nan)
            for name in ("N", "D", "C", "loss")
            if name in sources
        }
        notes = [*wide.notes, *reading.notes(), *reading_notes(table, judged)]
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
            raise self._unresolved([name])
        return self.frame[place]

    def __getstate__(self) -> dict[str, Any]:
        # Without the cache of checked columns.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def columns(self) -> list[Any]:
        """Names of the columns, recognised ones under their canonical name."""
        return list(self.frame.columns)

    @property
    def responses(self) -> Responses | None:
        """Which columns its rows are responses of; None of a table of one response."""
        return responses_of(self.provenance)

    def head(self, rows: int = 5) -> pd.DataFrame:
        """The first rows."""
        return self.frame.head(rows)

    def to_frame(self) -> pd.DataFrame:
        """All rows that were kept, as a DataFrame of its own."""
        return self.frame.copy()

    def describe(self, level: float = 0.95) -> Description:
        """What the columns are and hold, the first runs, and what was left out."""
        others = listed([name for name in self.columns if name not in self.sources])
        step = next_step(self.frame, self.sources, self.responses)
        return Description(
            "Loss table",
            f"{len(self)} runs, {len(self.dropped)} dropped. {step}",
            facts={"dropped": counted(self.dropped), "other columns": others},
            tables=[self._quantities(), first_rows(self.frame)],
            notes=self.notes,
            parts={"dropped": description(self.dropped)} if self.dropped else {},
        )

    def _quantities(self) -> Table:
        """Header, range and unit of each quantity that is in numbers."""
        numbers = {name: self.numbers(name) for name in self.sources if name in self.frame}
        return quantities(numbers, headers_with_units(self.sources, self.scales), self.loss_unit)

    def __repr__(self) -> str:
        known = ", ".join(
            name if source == name else f"{name}={source!r}"
            for name, source in headers_with_units(self.sources, self.scales).items()
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
        self.require(law.columns, law)
        used = {name: self.column(name) for name in law.columns}
        law.check(used, self.rows, self.sources)
        return used

    def require(
        self, names: Sequence[str], law: Law | None = None, *, fitted: bool = False
    ) -> None:
        """Refuse quantities that the table lacks, all at once.

        Args:
            names: canonical names or headers.
            law: the law that needs them, if it is one.
            fitted: whether it is fitted: other laws may do.

        Raises:
            DataError: it lacks one, or one could be several columns.
        """
        headers = {header: quantity for quantity, header in self.sources.items()}
        lacking = [
            name
            for name in names
            if name in self.candidates
            or (name not in self.frame and (name in ALIASES or name not in headers))
        ]
        if lacking:
            raise self._unresolved(lacking, law, fitted)

    def _unresolved(
        self, names: Sequence[str], law: Law | None = None, fitted: bool = False
    ) -> DataError:
        """The error for quantities that the table lacks or that could be several columns."""
        # Under the headers of the source, which are those that a caller can give.
        original = self.frame.rename(columns=dict(self.sources))
        usual = law is None or law is BUILTIN["chinchilla"]
        chosen = "" if usual or law is None else f", {called(law)}"
        return unresolved(
            original,
            names,
            self.sources,
            self.candidates,
            meanings={} if law is None else law.meanings,
            call=f"scalefit.fit(runs{chosen}" if fitted else "",
            otherwise=lambda: other_ways(self.sources, list(self.frame), names, law, fitted),
        )

    def _checked_column(self, name: str) -> np.ndarray:
        # A column N that was given for another quantity is not the N of a law.
        self.require([name])
        if name not in self.frame.columns:
            canonical = {header: quantity for quantity, header in self.sources.items()}
            return self.column(canonical[name])
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
        refuse_unlabelled(self.frame[place], name, self.rows)
        return self.frame[place]

    def numbers(self, name: str) -> np.ndarray:
        """One column as float64, NaN where a cell is no usable number, shape (rows,); never raises.

        Args:
            name: canonical name or header, of a column that is there.
        """
        values = cells.numbers(self.frame[name], quantity_of(name))[0]
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
    runs: Any,
    *,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    responses: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    **columns: str | tuple[str, float],
) -> LossTable:
    """A checked table from a file, or from whatever holds one in memory.

    Args:
        runs: path of a file: separated text (``.csv``, ``.tsv``, ``.txt``), ``.json``, ``.jsonl``,
            ``.parquet`` or a folder of it, ``.feather``, ``.xlsx``, ``.md``, compressed or not; or
            a table as :meth:`LossTable.from_frame` takes it.
        keep: rules a row must satisfy; this and the others as for :meth:`LossTable.from_frame`.
        missing: what to do about rows without N, D, loss or weight.
        loss_unit: unit of the losses.
        bytes_per_token: bytes of the text over its tokens.
        responses: headers of several responses of each run.
        **columns: headers of the quantities, with their unit if they need one.

    Returns:
        The table.

    Raises:
        ArgumentError: it is neither a path nor a table; or see :meth:`LossTable.from_frame`.
        DataError: the file does not exist, its format is unknown or broken, it holds more than five
            million rows or 1 GiB, or its content fails the checks of :meth:`LossTable.from_frame`.
        MissingExtraError: the format needs a package that is not installed.
    """
    return as_table(
        runs,
        keep=keep,
        missing=missing,
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
        responses=responses,
        **columns,
    )


def as_table(runs: Any, **options: Any) -> LossTable:
    """The table itself, or one made from what :func:`read` takes.

    Raises:
        ArgumentError: it is neither, or options are given for a table that is already built. Their
            defaults are no options, and headers that it has are none: calls in notes repeat them.
    """
    if isinstance(options.get("keep"), list | tuple) and not options["keep"]:
        del options["keep"]
    if isinstance(options.get("missing"), str) and options["missing"] == "raise":
        del options["missing"]
    for name in ("loss_unit", "bytes_per_token", "responses"):
        if options.get(name, True) is None:
            del options[name]
    if isinstance(runs, LossTable):
        if "responses" in options and read_responses(options["responses"]) == runs.responses:
            del options["responses"]
        for name in set(options) & set(runs.sources):
            if is_source(options[name], runs.sources[name], runs.scales.get(name, 1.0)):
                del options[name]
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
