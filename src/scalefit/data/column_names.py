"""Which column of a table is which quantity: by known names, or by a header that is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells
from scalefit.data.column_units import fits, read_source, scaled_header, unit_of
from scalefit.data.text_numbers import Quantity
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen

__all__ = [
    "ALIASES",
    "ALWAYS_RESOLVED",
    "POSITIVE",
    "TABLE_OPTIONS",
    "UNITS",
    "Resolved",
    "ambiguous",
    "known_as",
    "normalised",
    "quantity_of",
    "refuse_no_header",
    "rename",
    "resolve",
    "unknown_header",
]

# Names under which the field's tables carry each quantity, normalised (lower case, underscores).
# Deliberately short: a name that could mean two things (dataset_size: seen or unique tokens?
# params_active: of which expert count?) has to be given explicitly. Single letters match in their
# own case only. The first name of each is its own: a header that is exactly this wins.
ALIASES: Mapping[str, tuple[str, ...]] = Frozen(
    {
        "N": (
            "N",
            "param",
            "params",
            "n_params",
            "num_params",
            "parameter",
            "parameters",
            "n_parameters",
            "num_parameters",
            "model_size",
            "model_params",
        ),
        "D": (
            "D",
            "tokens",
            "n_tokens",
            "num_tokens",
            "tokens_seen",
            "training_tokens",
            "train_tokens",
            "num_tokens_training",
            "tokens_trained",
        ),
        "loss": (
            "loss",
            "L",
            "final_loss",
            "val_loss",
            "validation_loss",
            "eval_loss",
            "final_val_loss",
            "final_validation_loss",
            "final_eval_loss",
        ),
        "C": (
            "C",
            "flop",
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

# Checked when a table is read, because every law of N and D needs them; others when used.
ALWAYS_RESOLVED = ("N", "D", "loss")
POSITIVE = ("N", "D", "C")

# Options of LossTable.from_frame beside headers.
TABLE_OPTIONS = ("keep", "missing", "loss_unit", "bytes_per_token", "responses")

UNITS = Frozen({"N": "parameters", "D": "tokens", "C": "FLOP"})


class Resolved(NamedTuple):
    """Which header is which quantity.

    Attributes:
        sources: header of each quantity.
        scales: what the numbers of a quantity are multiplied by, where not by one.
        named: quantities whose unit is the one that their header names.
        candidates: quantities that several headers could mean, with those headers.
    """

    sources: dict[str, str]
    scales: dict[str, float]
    named: tuple[str, ...]
    candidates: dict[str, tuple[str, ...]]


def normalised(header: str) -> str:
    """A header as aliases are written: lower case, underscores; a lone letter keeps its case."""
    text = header.strip()
    return text if len(text) == 1 else re.sub(r"[\s\-]+", "_", text).lower()


def known_as(header: str) -> str | None:
    """The quantity that a header is a known name of; None where it is of none."""
    return next((name for name, known in ALIASES.items() if normalised(header) in known), None)


def quantity_of(name: str) -> Quantity:
    """What a column counts, by its canonical name: decides how text in it is read."""
    return "count" if name in POSITIVE else "measure" if name in ("loss", "weight") else "other"


def resolve(frame: pd.DataFrame, explicit: Mapping[str, Any]) -> Resolved:
    """Which header is which quantity, by what is given and by known names.

    A header that is exactly a quantity's name wins over its other names, and those win over names
    with a unit, as ``params_b``.

    Args:
        frame: the table.
        explicit: header of a quantity, or a pair of the header and the unit of its numbers.

    Raises:
        ArgumentError: what is given is no header.
        DataError: there is no such header, or it is given twice.
    """
    given = {name: read_source(item, name) for name, item in explicit.items()}
    for name, source in given.items():
        refuse_no_header(source.header, name)
        if source.header not in frame.columns:
            raise unknown_header(name, source.header, frame)
    used: dict[Any, str] = {}
    for name, source in given.items():
        if source.header in used:
            raise DataError(
                f"column {source.header!r} is given for both {used[source.header]} and {name}",
                column=source.header,
                remedy="Each quantity needs a column of its own",
            )
        used[source.header] = name
    found = Resolved({}, {}, (), {})
    for name, source in given.items():
        unit = unit_of(source.header, name) if source.scale is None else None
        found = _with_header(found, name, source.header, unit, frame)
        if source.scale not in (None, 1.0):
            found = found._replace(scales=found.scales | {name: source.scale})
    headers = [name for name in frame.columns if isinstance(name, str) and name not in used]
    for name in ALIASES:
        if name not in found.sources:
            found = _with_known(found, name, headers, frame)
    return found


def _with_known(
    found: Resolved, name: str, headers: Sequence[str], frame: pd.DataFrame
) -> Resolved:
    """A quantity resolved by names that are known for it, if there are any."""
    exact = [header for header in headers if header.strip() == name]
    alias = [header for header in headers if normalised(header) in ALIASES[name]]
    first = exact or alias
    if len(first) == 1:
        return found._replace(sources={**found.sources, name: first[0]})
    if first:
        return found._replace(candidates={**found.candidates, name: tuple(first)})
    scaled = {header: scaled_header(header, ALIASES) for header in headers}
    units = {header: item[1] for header, item in scaled.items() if item and item[0] == name}
    if len(units) != 1:
        many = {name: tuple(units)} if units else {}
        return found._replace(candidates=found.candidates | many)
    ((header, unit),) = units.items()
    return _with_header(found, name, header, unit, frame)


def _with_header(
    found: Resolved, name: str, header: str, unit: float | None, frame: pd.DataFrame
) -> Resolved:
    """A quantity by its header, and by the unit that this names, if it names one."""
    found = found._replace(sources={**found.sources, name: header})
    if unit is None:
        return found
    # A header may say billions where its numbers are counts, or name a unit each.
    reading = cells.read(frame[header], quantity_of(name))
    counts = reading.own_unit.all() or not fits(reading.numbers[~reading.own_unit], name, unit)
    scales = found.scales | ({} if counts else {name: unit})
    return found._replace(scales=scales, named=(*found.named, name))


def ambiguous(name: str, found: Sequence[str]) -> DataError:
    """An error for a quantity that several headers could mean."""
    return DataError(
        f"{name} could be any of the columns {listed(found)}",
        column=name,
        remedy=f"Say which one: {name}={found[0]!r}",
    )


def refuse_no_header(header: object, argument: str) -> None:
    """Raise for what cannot be a header: headers are text, or whole numbers for arrays."""
    if not isinstance(header, str | int) or isinstance(header, bool):
        raise ArgumentError(
            f"{argument}={shown(header)} is not a column name",
            argument=argument,
            value=header,
            remedy=f"Give the header of the column: {argument}='...'",
        )


def unknown_header(name: str, header: str, frame: pd.DataFrame) -> DataError:
    """An error for a header that the table does not have, with the nearest one."""
    close = difflib.get_close_matches(
        str(header), [item for item in frame.columns if isinstance(item, str)], n=1
    )
    hint = f"Did you mean {close[0]!r}? " if close else ""
    option = difflib.get_close_matches(name, TABLE_OPTIONS, n=1, cutoff=0.75)
    if option:
        hint = f"Did you mean the option {option[0]}=? "
    return DataError(
        f"there is no column {shown(header)} for {name}",
        column=header,
        remedy=f"{hint}Columns: {listed(list(frame.columns))}",
    )


def rename(frame: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """A copy under canonical names, without columns whose name another column takes."""
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
