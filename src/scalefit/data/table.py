"""Loss tables: the one place where input is checked.

A :class:`LossTable` knows which of its columns is the model size, the token count, the loss; every
number in it has been checked and is float64 (6 * N * D wraps around in int64 on most real tables);
and it lists every row that was left out, with the rule that left it out. Everything further right
trusts it.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, file_path, mapping, names, shown
from scalefit.data import cells
from scalefit.data.files import read_frame, refuse_repeated_labels
from scalefit.data.row_filter import RULE_REMEDY, holds, quoted
from scalefit.data.units import unit_notes
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.notes import Note

__all__ = ["DroppedRow", "LossTable", "read"]

# Names under which the field's tables carry each quantity, normalised (lower case, underscores).
# Deliberately short: a name that could mean two things (dataset_size: seen or unique tokens?
# params_active: of which expert count?) has to be given explicitly. Single letters match in their
# own case only.
ALIASES: Mapping[str, tuple[str, ...]] = Frozen(
    {
        "N": ("N", "params", "n_params", "num_params", "parameters", "model_size", "model_params"),
        "D": (
            "D",
            "tokens",
            "n_tokens",
            "num_tokens",
            "training_tokens",
            "train_tokens",
            "num_tokens_training",
            "tokens_trained",
        ),
        "loss": ("L", "loss", "final_loss", "val_loss", "validation_loss", "eval_loss"),
        "C": (
            "C",
            "flops",
            "compute",
            "budget",
            "flops_budget",
            "training_flop",
            "training_flops",
            "train_flops",
            "num_flops_training",
        ),
        "weight": ("weight", "weights", "sample_weight"),
        "group": ("group",),
        "seed": ("seed",),
    }
)

# Read at the border, because every law of N and D needs them; the others when something asks.
ALWAYS_RESOLVED = ("N", "D", "loss")
POSITIVE = ("N", "D", "C")

# A number is within these, or zero. No count or compute is near them; products and powers of what
# is further out leave what float64 can hold. Losses and weights are scaled, and judged elsewhere.
LEAST, MOST = 1e-30, 1e30
SCALED = ("loss", "weight")

# Names from here on are cut in messages.
LONG_NAME = 60

UNITS = Frozen({"N": "parameters", "D": "tokens", "C": "FLOP"})

Missing = Literal["raise", "drop"]


@dataclass(frozen=True)
class DroppedRow:
    """A row that was left out, and the rule that left it out."""

    row: object
    rule: str


@dataclass(frozen=True, eq=False)
class LossTable:
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
        sources, candidates = _resolve(frame, columns)
        renamed = _rename(frame, sources)
        renamed, dropped = _apply_rules(frame, renamed, rules)
        checked = [name for name in (*ALWAYS_RESOLVED, "weight") if name in sources]
        for name in checked:
            values = renamed[name]
            numbers = _numbers(values, name, sources[name])
            if numbers is not values:
                renamed[name] = numbers
        if missing == "drop":
            renamed, lost = _drop_missing(renamed, sources)
            dropped += lost
        if renamed.empty:
            raise DataError(
                f"no row is left: {len(dropped)} were dropped by {listed(_rules(dropped))}",
                remedy="Loosen the rules",
            )
        table = cls(renamed, Frozen(sources), Frozen(candidates), tuple(dropped))
        for name in checked:
            table.column(name)
        object.__setattr__(table, "notes", tuple(_reading_notes(table)))
        return table

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        known = ", ".join(
            name if source == name else f"{name}={source!r}"
            for name, source in self.sources.items()
        )
        dropped = f", {len(self.dropped)} dropped" if self.dropped else ""
        return f"<LossTable: {len(self)} rows{dropped}; {known}>"

    def _repr_html_(self) -> str:
        return (
            f"<p>{len(self)} runs, {len(self.dropped)} dropped</p>{self.frame.to_html(max_rows=20)}"
        )

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
        _refuse_no_header(name, "name")
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
        law.check(used, self.rows)
        return used

    def _checked_column(self, name: str) -> np.ndarray:
        if name in self.candidates:
            raise _ambiguous(name, self.candidates[name])
        if name not in self.frame.columns:
            canonical = {header: quantity for quantity, header in self.sources.items()}
            # A header N that was said to be another quantity is not the N that a law asks for.
            if name in canonical and name not in ALIASES:
                return self.column(canonical[name])
            raise _absent(name, self.frame)
        header = self.sources.get(name, name)
        values = _numbers(self.frame[name], name, header).to_numpy(dtype=np.float64, copy=True)
        # One look at a sound column; which check a bad one fails is found out after.
        if not _sound(values, name):
            self._refuse(values, name, header)
        values.flags.writeable = False
        return values

    def _refuse(self, values: np.ndarray, name: str, header: str) -> None:
        """Raise for the first check that a column fails."""
        _refuse_bad(
            values,
            np.isnan(values),
            "missing",
            name,
            header,
            self.rows,
            f"Fill it, or leave the rows out with {_keep(f'notna({quoted(header)})')}"
            + (" or missing='drop'" if name in (*ALWAYS_RESOLVED, "weight") else ""),
        )
        _refuse_bad(
            values,
            np.isinf(values),
            "not finite",
            name,
            header,
            self.rows,
            "A diverged run has no loss to fit: leave the rows out with a keep rule, such as "
            "keep='loss < 20'"
            if name == "loss"
            else f"Correct it, or leave the rows out with {_keep(f'abs({quoted(header)}) < inf')}",
        )
        _refuse_bad(
            values,
            _out_of_size(values, name),
            "of an impossible size",
            name,
            header,
            self.rows,
            f"Numbers are computed with from {LEAST:g} to {MOST:g}: check the column, and give it "
            f"in another unit if it is right, as {_rescaled(header)}",
        )
        if name in POSITIVE:
            _refuse_bad(
                values,
                values <= 0,
                "not positive",
                name,
                header,
                self.rows,
                f"{name} is a raw count ({UNITS[name]}): check the unit and the rows",
            )
        if name == "weight":
            _refuse_bad(
                values,
                values < 0,
                "negative",
                name,
                header,
                self.rows,
                "Weights count how often a row stands in the sum: zero or more",
            )
            if not values.any():
                raise DataError(
                    f"every value of {_spoken(name, header)} is zero",
                    column=header,
                    remedy="Give at least one run a positive weight",
                )

    def labels(self, name: str) -> pd.Series:
        """One column as it is, to group rows by.

        Args:
            name: canonical name or header.

        Raises:
            DataError: the column is missing, or a row has no label.
            ArgumentError: the name is none.
        """
        _refuse_no_header(name, "name")
        headers = {header: quantity for quantity, header in self.sources.items()}
        place = name if name in self.frame else headers.get(name, name)
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
                f"{name!r} is missing {_place(rows)}",
                column=name,
                rows=rows,
                remedy=f"Fill it, or leave the rows out with {_keep(f'notna({quoted(name)})')}",
            )
        if values.dtype.kind in "iufb":
            return values
        wrong = [place for place, cell in enumerate(values) if cells.label(cell) is None]
        if wrong:
            rows = [self.rows[place] for place in wrong]
            raise DataError(
                f"{name!r} is no label ({shown(values.iloc[wrong[0]])}) {_place(rows)}",
                column=name,
                rows=rows,
                remedy="Label rows with text of one line, numbers, truth values or dates",
            )
        return values

    def numbers(self, name: str) -> np.ndarray:
        """One column as far as it holds numbers, NaN elsewhere, shape (rows,); nothing is refused.

        Args:
            name: canonical name or header, of a column that is there.
        """
        values = cells.numbers(self.frame[name])[0]
        return np.where(np.isfinite(values) & ~_out_of_size(values, name), values, np.nan)

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
            seal.update(
                name.encode() + b"\0" + "\0".join(map(str, self.labels(name).tolist())).encode()
            )
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
    place = file_path(path, "path", remedy="Pass the path of a table, as 'runs.csv'")
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
    # A subclass may do other things where it is asked the same, and attrs hold what nobody copies.
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
    else:
        remedy = "Pass one run per row: pandas.DataFrame(...), or scalefit.read('runs.csv')"
    return ArgumentError(
        f"runs={shown(runs)} is not a table", argument="runs", value=runs, remedy=remedy
    )


def _normalised(header: str) -> str:
    text = header.strip()
    return text if len(text) == 1 else re.sub(r"[\s\-]+", "_", text).lower()


def _resolve(
    frame: pd.DataFrame, explicit: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Header of each quantity, and the quantities that several headers could mean."""
    headers: dict[str, list[str]] = {}
    for header in frame.columns:
        if isinstance(header, str):
            headers.setdefault(_normalised(header), []).append(header)
    sources: dict[str, str] = {}
    for name, header in explicit.items():
        _refuse_no_header(header, name)
        if header not in frame.columns:
            raise _unknown_header(name, header, frame)
        sources[name] = header
    used: dict[str, str] = {}
    for name, header in sources.items():
        if header in used:
            raise DataError(
                f"column {header!r} is given for both {used[header]} and {name}",
                column=header,
                remedy="Each quantity needs a column of its own",
            )
        used[header] = name
    candidates: dict[str, tuple[str, ...]] = {}
    for name, aliases in ALIASES.items():
        if name in sources:
            continue
        found = [header for alias in aliases for header in headers.get(alias, ())]
        found = [header for header in found if header not in used]
        if len(found) == 1:
            sources[name] = found[0]
        elif found:
            candidates[name] = tuple(found)
    for name in ALWAYS_RESOLVED:
        if name in candidates:
            raise _ambiguous(name, candidates[name])
    return sources, candidates


def _ambiguous(name: str, found: Sequence[str]) -> DataError:
    return DataError(
        f"{name} could be any of the columns {listed(found)}",
        column=name,
        remedy=f"Say which one: {name}={found[0]!r}",
    )


def _absent(asked: str, frame: pd.DataFrame) -> DataError:
    known = ALIASES.get(asked, ())
    name = asked if isinstance(asked, str) and len(asked) < LONG_NAME else shown(asked)
    also = f" (or under one of: {', '.join(known[1:])})" if len(known) > 1 else ""
    remedy = f"Say which column it is: {name}='...'. Columns: {listed(list(frame.columns))}"
    if name == "D" and "C" in frame and "N" in frame:
        remedy += (
            ". If the FLOP column counts 6ND, add the tokens first: "
            "frame['tokens'] = C / (6 * N), in floats"
        )
    return DataError(f"the table has no column {name}{also}", column=asked, remedy=remedy)


def _refuse_no_header(header: object, argument: str) -> None:
    """Raise for what cannot be a header: tables from arrays have whole numbers."""
    if not isinstance(header, str | int) or isinstance(header, bool):
        raise ArgumentError(
            f"{argument}={shown(header)} is not a column name",
            argument=argument,
            value=header,
            remedy=f"Give the header of the column: {argument}='...'",
        )


def _unknown_header(name: str, header: str, frame: pd.DataFrame) -> DataError:
    close = difflib.get_close_matches(
        str(header), [item for item in frame.columns if isinstance(item, str)], n=1
    )
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return DataError(
        f"there is no column {shown(header)} for {name}",
        column=header,
        remedy=f"{hint}Columns: {listed(list(frame.columns))}",
    )


def _rename(frame: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """A copy under canonical names; a header that another column's canonical name takes is lost."""
    renaming = {header: name for name, header in sources.items() if header != name}
    taken = set(renaming.values()) & set(frame.columns) - set(renaming)
    if taken:
        frame = frame.drop(columns=list(taken))
    if isinstance(frame.columns, pd.MultiIndex):
        return frame.rename(columns=renaming).copy()
    # What DataFrame.rename does, in a tenth of its time.
    copied = frame.copy()
    headers = [renaming.get(header, header) for header in frame.columns]
    copied.columns = pd.Index(headers, name=frame.columns.name, tupleize_cols=False)
    return copied


def _apply_rules(
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


def _keep(rule: str) -> str:
    """A rule as an option that can be pasted."""
    return f"keep={rule!r}"


def _rules(dropped: Sequence[DroppedRow]) -> list[str]:
    return list(dict.fromkeys(repr(item.rule) for item in dropped))


def _spoken(name: str, header: str) -> str:
    return repr(name) if name == header else f"{name} (column {header!r})"


def _numbers(values: pd.Series, name: str, header: str) -> pd.Series:
    """The column as float64, NaN where missing; itself where it is that already."""
    dtype = values.dtype
    if dtype == np.float64 and isinstance(dtype, np.dtype):
        return values
    if dtype.kind == "c":
        raise DataError(
            f"{_spoken(name, header)} holds complex numbers",
            column=header,
            remedy="Take the real part",
        )
    if dtype.kind in "bmM" or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        raise DataError(
            f"{_spoken(name, header)} holds {dtype} values, not numbers",
            column=header,
            remedy=f"Choose another column with {name}='...'",
        )
    numbers, bad = cells.numbers(values)
    if bad.any():
        rows = list(values.index[bad])
        first = values.astype(object).iloc[int(np.argmax(bad))]
        raise DataError(
            f"{_spoken(name, header)} is {cells.fault(first)} ({shown(first)}) {_place(rows)}",
            column=header,
            rows=rows,
            remedy="Write plain numbers in raw counts: 1.3e9, not '1.3B' or '1,300,000,000'",
        )
    return pd.Series(numbers, index=values.index, name=values.name)


def _place(rows: Sequence[object]) -> str:
    more = f" ({len(rows)} such rows: {listed(rows)})" if len(rows) > 1 else ""
    return f"in row {listed(rows[:1])}{more}"


def _out_of_size(values: np.ndarray, name: str) -> np.ndarray:
    if name in SCALED:
        return np.zeros(values.shape, dtype=bool)
    size = np.abs(values)
    return (size > MOST) | ((size < LEAST) & (size > 0))


def _rescaled(header: str) -> str:
    """A column in another unit, as code."""
    return f"runs.assign(**{{{header!r}: runs[{header!r}] / runs[{header!r}].median()}})"


def _sound(values: np.ndarray, name: str) -> bool:
    """Whether a column passes every check of its quantity."""
    if not np.isfinite(values).all() or _out_of_size(values, name).any():
        return False
    if name in POSITIVE:
        return bool((values > 0).all())
    return name != "weight" or bool((values >= 0).all() and values.any())


def _refuse_bad(
    values: np.ndarray,
    bad: np.ndarray,
    what: str,
    name: str,
    header: str,
    rows: Sequence[object],
    remedy: str,
) -> None:
    if bad.any():
        where = [rows[int(i)] for i in np.flatnonzero(bad)]
        value = values[bad][0]
        raise DataError(
            f"{_spoken(name, header)} is {what} ({value:g}) {_place(where)}",
            column=header,
            rows=where,
            remedy=remedy,
        )


def _drop_missing(
    frame: pd.DataFrame, sources: Mapping[str, str]
) -> tuple[pd.DataFrame, list[DroppedRow]]:
    dropped: list[DroppedRow] = []
    for name in (*ALWAYS_RESOLVED, "weight"):
        if name in sources:
            lost = np.isnan(frame[name].to_numpy())
            if lost.any():
                dropped += [DroppedRow(row, f"missing {name}") for row in frame.index[lost]]
                frame = frame[~lost]
    return frame, dropped


def _reading_notes(table: LossTable) -> list[Note]:
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
    there = table.sources
    repeated = _repeated(table.frame) if all(name in there for name in ALWAYS_RESOLVED) else []
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
    # Runs of no weight say nothing of the unit, and C may be no number: it is optional.
    judged = {
        name: np.where(table.weight > 0, table.numbers(name), np.nan)
        for name in ("N", "D", "C", "loss")
        if name in there
    }
    return [*notes, *unit_notes(judged, there, table.rows)]


def _repeated(frame: pd.DataFrame) -> list[object]:
    """Labels of the rows that have an earlier row's N, D and loss."""
    key = list(ALWAYS_RESOLVED)
    ordered = np.stack([frame[name].to_numpy() for name in reversed(key)])
    ordered = ordered[:, np.lexsort(ordered)]
    # Rows of one key are neighbours now, and most tables have none: pandas finds out which are
    # later ones. Rows that lack a value can be repeated too, where nan equals nothing.
    alike = (ordered[:, 1:] == ordered[:, :-1]).all(axis=0)
    if not (alike.any() or np.isnan(ordered).any()):
        return []
    return list(frame.index[frame.duplicated(key)])
