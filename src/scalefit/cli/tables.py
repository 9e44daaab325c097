"""Tables as the options of a command say how to read them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scalefit.cli.completion import DATASET
from scalefit.cli.options import Reading
from scalefit.cli.pairs import header, pairs
from scalefit.errors import ScalefitError

if TYPE_CHECKING:
    from scalefit.data.table import LossTable
    from scalefit.laws import Law

__all__ = ["read_table", "several_responses"]

STANDARD_INPUT = "-"


def read_table(name: str, reading: Reading, laws: Sequence[Law] = ()) -> LossTable:
    """The table of a command.

    Args:
        name: path of a file, ``-`` for standard input, or ``dataset:NAME``.
        reading: how to read it.
        laws: what its columns are for: their columns may be named, beside those of any table.

    Raises:
        ScalefitError: ``--column`` names what is no quantity.
        DataError: it cannot be read.
    """
    import scalefit as sf
    from scalefit.data.readers import read_stream

    options: dict[str, Any] = _headers(reading, laws)
    options |= {"keep": reading.keep or (), "missing": reading.missing}
    more = {
        "loss_unit": reading.loss_unit,
        "bytes_per_token": reading.bytes_per_token,
        "responses": several_responses(reading, laws[0]) if laws else None,
    }
    options |= {key: value for key, value in more.items() if value is not None}
    if name.startswith(DATASET):
        return sf.datasets.load(name.removeprefix(DATASET), **options)
    from_input = name == STANDARD_INPUT
    return sf.read(
        read_stream(sys.stdin.buffer, "standard input") if from_input else name, **options
    )


def several_responses(reading: Reading, law: Law) -> Any:
    """What ``--responses`` means for a law, or None."""
    from scalefit.problem.response_groups import responses_for

    return responses_for(law, None if reading.responses is None else reading.responses.split(","))


def _headers(reading: Reading, laws: Sequence[Law]) -> dict[str, Any]:
    """Headers by quantity.

    Raises:
        ScalefitError: a quantity is unknown.
    """
    from scalefit.data.column_names import ALIASES

    found = pairs(reading.column, "--column QUANTITY=HEADER", header)
    own = [name for law in laws for name in (*law.columns, law.response)]
    known = list(dict.fromkeys([*ALIASES, *own]))
    unknown = [name for name in found if name not in known]
    if unknown and (laws or unknown[0] in ("keep", "missing", "responses")):
        raise ScalefitError(
            f"--column names {unknown[0]!r}, which is not a quantity. "
            f"Quantities: {', '.join(known)}"
        )
    return found
