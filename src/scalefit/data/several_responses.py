"""Several responses of each run, as benchmarks or domains: a row for each of them.

A wide table has a column for each response. It becomes long at the border, before any other check:
the name of the response is a categorical column, and everything else is as in a table of one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.data import cells
from scalefit.data.dropped_rows import DroppedRow
from scalefit.data.loss_units import named_unit
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.notes import Note

__all__ = ["RESPONSE", "ROW", "Responses", "Stacked", "read_responses", "responses_of", "stacked"]

# Columns of the long table: the response of each row, and the row of the wide table.
RESPONSE, ROW = "response", "row"

REMEDY = "Pass the headers of two or more columns, as responses=['loss_code', 'loss_web']"


class Responses(NamedTuple):
    """Which columns are responses.

    Attributes:
        value: the name that their numbers get, what a law predicts.
        headers: headers of the columns, in the order of the levels.
    """

    value: str
    headers: tuple[str, ...]

    def only(self, header: str) -> Responses:
        """One of them."""
        return Responses(self.value, (header,))

    @property
    def unit(self) -> str:
        """The unit that their headers name; empty where they differ, and of perplexities."""
        units = {named_unit(header)[0] for header in self.headers}
        return units.pop() if len(units) == 1 else ""

    @property
    def provenance(self) -> Frozen[str, str]:
        """What a fit remembers of them."""
        return Frozen({"responses": json.dumps({self.value: list(self.headers)})})


class Stacked(NamedTuple):
    """A long table.

    Attributes:
        frame: a row for each run and response that has a value.
        dropped: the others, each with its rule.
        notes: on a column that is left out.
    """

    frame: pd.DataFrame
    dropped: list[DroppedRow]
    notes: list[Note]


def read_responses(given: Any, value: str = "loss") -> Responses | None:
    """The responses that an option names; None where it is None.

    Args:
        given: headers; or a mapping from the name that their numbers get to the headers.
        value: that name, where it is not given.

    Raises:
        ArgumentError: they are no headers, one alone, or one twice.
    """
    if given is None or isinstance(given, Responses):
        return given
    if isinstance(given, Mapping):
        named = arguments.mapping(given, "responses", remedy=REMEDY)
        if len(named) != 1:
            raise arguments.refused("responses", given, "of one quantity", REMEDY)
        ((value, given),) = named.items()
    if isinstance(given, pd.Index | pd.Series | np.ndarray):
        given = given.tolist()
    headers = arguments.names(given, "responses", remedy=REMEDY, wanted="header")
    if len(headers) < 2:
        one = f"Pass it as the response itself, {value}={headers[0]!r}" if headers else REMEDY
        count = "one column only" if headers else "no column"
        raise ArgumentError(
            f"responses names {count}: there is nothing to share",
            argument="responses",
            value=given,
            remedy=one,
        )
    twice = [name for place, name in enumerate(headers) if name in headers[:place]]
    if twice:
        raise ArgumentError(
            f"responses names {twice[0]!r} twice",
            argument="responses",
            value=given,
            remedy="Name each column once",
        )
    return Responses(value, headers)


def responses_of(provenance: Mapping[str, str]) -> Responses | None:
    """The responses of a table, as its provenance has them; None where it is of one."""
    try:
        ((value, headers),) = json.loads(provenance["responses"]).items()
        return Responses(value, tuple(map(str, headers)))
    except (KeyError, ValueError, TypeError, AttributeError):  # A document may say anything.
        return None


def stacked(frame: pd.DataFrame, responses: Responses, columns: Mapping[str, Any]) -> Stacked:
    """A wide table as a long one.

    A row is labelled by its row in the wide table and its response, as ``12/loss_code``; of one
    response, by its row alone. A run without a value of a response has no row of it.

    Args:
        frame: a row for each run.
        responses: its columns of responses.
        columns: headers of quantities that are given.

    Raises:
        ArgumentError: the response itself is given as well, or is one of the quantities.
        DataError: a response is no column of the table, or has no value, or the table has columns
            that the long one needs.
    """
    value, headers = responses
    _refuse_conflicts(frame, responses, columns)
    notes = []
    if value in frame.columns and value not in headers:
        notes.append(
            Note.of(
                "column_replaced",
                f"{value} is from the columns of responses=, and the table's own column {value} "
                "is left out. Name it among them, if it is one",
                {"quantity": value, "header": list(headers)},
            )
        )
    others = frame.drop(columns=[name for name in (value, *headers) if name in frame.columns])
    unique = frame.index.nlevels == 1 and frame.index.is_unique
    labels = [str(label) for label in (frame.index if unique else range(len(frame)))]
    numbers = pd.concat([frame[name].astype(_kind(frame, headers)) for name in headers])
    long = others.take(np.tile(np.arange(len(frame)), len(headers)))
    if len(headers) > 1:
        long.index = pd.Index([f"{label}/{name}" for name in headers for label in labels])
    added: dict[str, Any] = {
        ROW: np.tile(np.array(labels, dtype=object), len(headers)),
        RESPONSE: pd.Categorical(np.repeat(headers, len(frame)), categories=headers, ordered=True),
        value: numbers.to_numpy(),
    }
    long = long.assign(**added)
    gaps = np.asarray(cells.missing(long[value]))
    _refuse_empty(headers, gaps)
    dropped = [
        DroppedRow(label, f"missing {name}")
        for label, name in zip(long.index[gaps], long[RESPONSE][gaps], strict=True)
    ]
    return Stacked(long[~gaps], dropped, notes)


def _refuse_empty(headers: Sequence[str], gaps: np.ndarray) -> None:
    """Refuse responses without a value, given which cells of the long table have none."""
    empty = [
        name
        for name, none in zip(headers, gaps.reshape(len(headers), -1), strict=True)
        if none.all()
    ]
    if empty and gaps.size:
        raise DataError(
            f"no run has a value of {listed(empty)}",
            column=empty[0],
            remedy="Leave it out of responses",
        )


def _kind(frame: pd.DataFrame, headers: Sequence[str]) -> Any:
    """The type that the columns have in common: float64, or else whatever cells are."""
    plain = all(frame[name].dtype.kind in "iuf" for name in headers)
    return np.float64 if plain else object


def _refuse_conflicts(
    frame: pd.DataFrame, responses: Responses, columns: Mapping[str, Any]
) -> None:
    value, headers = responses
    if value in columns:
        raise ArgumentError(
            f"{value}= and responses= both say what is predicted",
            argument=value,
            value=columns[value],
            remedy=f"Leave out {value}, or name its column among responses",
        )
    for name, source in columns.items():
        header = source[0] if isinstance(source, tuple) and source else source
        if header in headers:
            raise ArgumentError(
                f"column {header!r} is given for {name}, and is one of the responses",
                argument="responses",
                value=list(headers),
                remedy="Leave it out of responses",
            )
    for name in headers:
        if name not in frame.columns:
            near = difflib.get_close_matches(name, [h for h in frame if isinstance(h, str)], n=1)
            raise DataError(
                f"responses names {arguments.shown(name)}, which is no column of the table",
                column=name,
                remedy=(f"Did you mean {near[0]!r}? " if near else "")
                + f"Columns: {listed(list(frame.columns))}",
            )
    for name in (RESPONSE, ROW):
        if name in frame.columns:
            raise DataError(
                f"the table has a column {name!r}, which a table of several responses gets",
                column=name,
                remedy=f"Rename it before, as runs.rename(columns={{{name!r}: {name + '_'!r}}})",
            )
