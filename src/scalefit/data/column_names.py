"""Which column of a table is which quantity: by known names, or by a header that is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from scalefit.arguments import shown
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen

__all__ = [
    "ALIASES",
    "ALWAYS_RESOLVED",
    "POSITIVE",
    "UNITS",
    "absent",
    "ambiguous",
    "refuse_no_header",
    "rename",
    "resolve",
]

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

# Checked when a table is read, because every law of N and D needs them; others when used.
ALWAYS_RESOLVED = ("N", "D", "loss")
POSITIVE = ("N", "D", "C")

# Names from here on are cut in messages.
LONG_NAME = 60

UNITS = Frozen({"N": "parameters", "D": "tokens", "C": "FLOP"})


def normalised(header: str) -> str:
    text = header.strip()
    return text if len(text) == 1 else re.sub(r"[\s\-]+", "_", text).lower()


def resolve(
    frame: pd.DataFrame, explicit: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Header of each quantity, and the quantities that several headers could mean."""
    headers: dict[str, list[str]] = {}
    for header in frame.columns:
        if isinstance(header, str):
            headers.setdefault(normalised(header), []).append(header)
    sources: dict[str, str] = {}
    for name, header in explicit.items():
        refuse_no_header(header, name)
        if header not in frame.columns:
            raise unknown_header(name, header, frame)
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
            raise ambiguous(name, candidates[name])
    return sources, candidates


def ambiguous(name: str, found: Sequence[str]) -> DataError:
    """An error for a quantity that several headers could mean."""
    return DataError(
        f"{name} could be any of the columns {listed(found)}",
        column=name,
        remedy=f"Say which one: {name}={found[0]!r}",
    )


def absent(wanted: str, frame: pd.DataFrame) -> DataError:
    """An error for a quantity or header that the table lacks, with what it has."""
    known = ALIASES.get(wanted, ())
    short = isinstance(wanted, str) and len(wanted) < LONG_NAME
    name = wanted if short else shown(wanted)
    also = f" (or under one of: {', '.join(known[1:])})" if len(known) > 1 else ""
    remedy = f"Say which column it is: {name}='...'. Columns: {listed(list(frame.columns))}"
    if name == "D" and "C" in frame and "N" in frame:
        remedy += (
            ". If the FLOP column counts 6ND, add the tokens first: "
            "frame['tokens'] = C / (6 * N), in floats"
        )
    return DataError(f"the table has no column {name}{also}", column=wanted, remedy=remedy)


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
    close = difflib.get_close_matches(
        str(header), [item for item in frame.columns if isinstance(item, str)], n=1
    )
    hint = f"Did you mean {close[0]!r}? " if close else ""
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
