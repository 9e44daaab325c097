"""Which header of a tracker is meant: by its whole name, its last parts, or what it usually is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from scalefit.arguments import shown
from scalefit.data.column_names import ALIASES, ambiguous
from scalefit.errors import DataError, listed
from scalefit.frozen import Frozen

__all__ = ["USUAL", "find", "usual"]

# Last parts of the names that training code gives each quantity, besides those of tables. The first
# that is there is taken for steps, schedules and vocabularies, which only judge a run; N and D are
# numbers of the table, and refused where several are there.
USUAL: Mapping[str, tuple[str, ...]] = Frozen(
    {
        "N": (
            *ALIASES["N"],
            "total_parameters",
            "total_params",
            "param_count",
            "parameter_count",
        ),
        "D": (
            *ALIASES["D"],
            "num_input_tokens_seen",
            "ntokens_seen",
            "n_tokens_seen",
            "train_tokens_seen",
            "consumed_tokens",
            "total_tokens",
            "token_count",
        ),
        "step": ("global_step",),
        "planned": (
            "planned_steps",
            "max_steps",
            "total_steps",
            "max_iters",
            "train_iters",
            "num_train_steps",
            "num_training_steps",
            "num_iterations",
            "iterations",
            "total_iters",
        ),
        "lr": ("learning_rate", "lr"),
        "vocabulary": ("vocab_size", "padded_vocab_size"),
    }
)


def parts(header: str) -> tuple[str, ...]:
    """A header as its parts, lower case: trackers join them by ``/`` or ``.``."""
    return tuple(re.sub(r"[\s\-]+", "_", part) for part in re.split(r"[/.]", header.lower()))


def find(name: str, headers: Sequence[str], argument: str) -> str:
    """The header that is meant: itself, or the only one that ends in the same parts.

    Args:
        name: as the caller wrote it.
        headers: those that there are.
        argument: what it was passed as.

    Raises:
        DataError: there is none, or there are several.
    """
    if name in headers:
        return name
    wanted = parts(name)
    found = [header for header in headers if parts(header)[-len(wanted) :] == wanted]
    whole = [header for header in found if len(parts(header)) == len(wanted)]
    if len(found) == 1 or len(whole) == 1:
        return (whole or found)[0]
    if found:
        raise ambiguous(argument, found)
    near = difflib.get_close_matches(name, headers, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"no metric or parameter of the runs is called {shown(name)}, which {argument} was to be",
        column=name,
        remedy=f"{hint}There are: {listed(headers) or 'none'}",
    )


def usual(quantity: str, headers: Sequence[str]) -> list[str]:
    """Headers that usually hold a quantity, those of the first name first."""
    # Single letters mean something in their own case only.
    ends = {
        header: header.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
        if len(parts(header)[-1]) == 1
        else parts(header)[-1]
        for header in headers
    }
    found = (header for name in USUAL[quantity] for header in headers if ends[header] == name)
    return list(dict.fromkeys(found))
