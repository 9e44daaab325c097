"""The families of cases by name: each takes a seed and judges how the case ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from campaign.calls import arguments, attacks
from campaign.containers import containers
from campaign.files import files
from campaign.fits import fits, laws
from campaign.inputs import documents, dressed, rules
from campaign.judge import Outcome
from campaign.shapes import shapes
from campaign.trackers import trackers
from campaign.units import units


class Family(NamedTuple):
    """A family of cases.

    Attributes:
        judge: how the case of a seed ended.
        size: seeds of the whole campaign, from 0; None for as many as there are attacks, which it
            takes a second of fits to know.
        what: what is tried and what must hold, for a table.
    """

    judge: Callable[[int], Outcome]
    size: int | None
    what: str

    @property
    def cases(self) -> int:
        """Seeds of the whole campaign."""
        return len(attacks()) if self.size is None else self.size


FAMILIES = {
    "fits": Family(
        fits,
        5500,
        "tables that are hard to fit, under every objective: value as stated, nothing lower by "
        "1e-6 in silence, the same in other units and order",
    ),
    "laws": Family(
        laws,
        1500,
        "every law of the catalogue on part of its table, roughened: not above the truth, nor "
        "above a descent from it or from the fit",
    ),
    "dresses": Family(
        dressed,
        3000,
        "numbers in other types, cells, headers, labels, containers; values that are no numbers: "
        "honest ones fitted as plain floats are, others refused",
    ),
    "files": Family(
        files,
        3150,
        "a table in files of every format, separator, encoding and packing: the same numbers; "
        "cut, torn, with other bytes, twice, misnamed: the same numbers, or refused",
    ),
    "containers": Family(
        containers,
        1710,
        "a table in whatever holds one in memory: the same numbers; odd and broken ones refused",
    ),
    "units": Family(
        units,
        2200,
        "units by header, pair and option: the same counts and nats; values that are none: refused",
    ),
    "trackers": Family(
        trackers,
        1040,
        "what trackers leave of runs: their last losses, sizes and tokens; damaged: refused, or "
        "those of the runs that are not",
    ),
    "shapes": Family(
        shapes,
        3600,
        "configurations, fields, tables of models, names of datasets: counted exactly, or refused",
    ),
    "documents": Family(
        documents,
        1500,
        "documents of fits with values replaced, removed, added, text cut: refused, or sound",
    ),
    "rules": Family(
        rules,
        1500,
        "rules for rows, sound or of random words and attacks: applied or refused, nothing run",
    ),
    "arguments": Family(
        arguments,
        None,
        "every argument of the public calls times values it is not meant for: refused by name, or "
        "an answer without NaN",
    ),
}
