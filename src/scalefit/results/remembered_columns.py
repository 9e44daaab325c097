"""What the table of a fit called each column: the default headers where a table is given again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit.arguments import numbers
from scalefit.data.column_names import ALIASES, TABLE_OPTIONS
from scalefit.data.grouping import Grouping
from scalefit.data.plain_frames import plain_frame
from scalefit.data.several_responses import RESPONSE, Responses, responses_of
from scalefit.data.subsets import subset
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError, listed
from scalefit.frozen import Frozen
from scalefit.laws import Law

__all__ = ["LEVEL", "as_keywords", "by_header", "refuse_unlabelled", "spoken", "table_again"]

# Provenance of a fit that is one level of another: which, as keywords.
LEVEL = "level"


def table_again(
    provenance: Mapping[str, str],
    runs: Any,
    columns: Mapping[str, Any],
    names: Iterable[str] | None = None,
) -> LossTable:
    """A table, read as that of the fit was where it has the same headers.

    Args:
        provenance: of the fit: the header of each column, and the unit of its numbers.
        runs: a table, or what holds one.
        columns: options of the table; a header that is given wins.
        names: the quantities that are looked for; by default all that the fit's table had.

    Raises:
        ArgumentError: it is no table, or an option makes no sense.
        DataError: as for :func:`scalefit.read`.
    """
    known = _headers(provenance)
    wanted = [name for name in (known if names is None else names) if name in known]
    wanted = [name for name in wanted if name not in columns]
    if isinstance(runs, LossTable):
        return _with_columns(_own_rows(as_table(runs, **columns), provenance), provenance, wanted)
    if names is None or "loss" in names:
        columns = {**_loss_scale(provenance, runs, columns), **columns}
    if not wanted:
        return as_table(runs, **columns)
    frame = plain_frame(runs)
    several = wide_responses(provenance, frame, columns, wanted)
    if several is not None:
        columns = {**columns, "responses": several}
        wanted = [name for name in wanted if name != several.value]
    there = {str(header): header for header in frame.columns}
    given = [item for name, item in columns.items() if name not in TABLE_OPTIONS]
    taken = {str(item[0] if isinstance(item, tuple) and item else item) for item in given}
    again = {
        # With its unit, so that the header is not asked for one.
        name: (there[known[name]], _unit(provenance, name))
        for name in wanted
        if known[name] in there and known[name] not in taken
    }
    return as_table(frame, **{**again, **columns})


def wide_responses(
    provenance: Mapping[str, str], runs: Any, columns: Mapping[str, Any], wanted: Iterable[str]
) -> Responses | None:
    """The responses of a fit that a wide table has in a column each; None of any other table.

    Raises:
        DataError: it has some of them only.
    """
    several = responses_of(provenance)
    if several is None or several.value not in wanted or RESPONSE in (*runs.columns, *columns):
        return None
    there = [name for name in several.headers if name in runs.columns]
    if there and len(there) < len(several.headers) and several.value not in runs.columns:
        lacking = [name for name in several.headers if name not in there]
        raise DataError(
            f"the fit is of {len(several.headers)} responses, and the table lacks "
            f"{listed(lacking)}",
            column=lacking[0],
            remedy=f"Pass a table with all, or take one: fit.at(response={there[0]!r})",
        )
    return several if there and len(there) == len(several.headers) else None


def refuse_unlabelled(groupings: Iterable[Grouping], table: LossTable) -> None:
    """Refuse a table that does not say which response its rows are of, where coefficients differ.

    Raises:
        DataError: it does not.
    """
    for item in groupings:
        if RESPONSE in item.columns and RESPONSE not in table:
            level = item.example[RESPONSE]
            raise DataError(
                "the table is of one response and does not say of which, and coefficients of the "
                "fit differ by response",
                column=RESPONSE,
                remedy=f"Choose it: fit.at(response={level!r})",
            )


def _own_rows(table: LossTable, provenance: Mapping[str, str]) -> LossTable:
    """Of a table of several responses, the rows of the one that a fit is of."""
    own, several = responses_of(provenance), table.responses
    if own is None or several is None or len(own.headers) > 1 or own == several:
        return table
    kept = (table.frame[RESPONSE] == own.headers[0]).to_numpy()
    return subset(table, kept) if kept.any() else table


def _with_columns(
    table: LossTable, provenance: Mapping[str, str], wanted: Iterable[str]
) -> LossTable:
    """A table that was read before, with columns that it has under another quantity's name."""
    known = _headers(provenance)
    places = {header: name for name, header in table.sources.items()}
    added = {}
    for name in wanted:
        place = places.get(known[name], known[name])
        same = table.scales.get(place, 1.0) == _unit(provenance, name)
        if name not in table and place in table and same:
            added[name] = table.frame[place]
    if not added:
        return table
    sources = {**table.sources, **{name: known[name] for name in added}}
    return replace(table, frame=table.frame.assign(**added), sources=Frozen(sources))


def by_header(
    law: Law, provenance: Mapping[str, str], given: Mapping[str, Any], others: Iterable[str] = ()
) -> dict[str, Any]:
    """Columns by name, where some are given under the header that the fit's table had for them.

    Numbers under a header are in its unit.

    Args:
        law: the law.
        provenance: of the fit.
        given: values by the name of a column, or by its header.
        others: further names that may be among them, which are no headers.

    Raises:
        ArgumentError: numbers that are to be multiplied by a unit are none.
    """
    known = _headers(provenance)
    names = {known[name]: name for name in law.columns if name in known and name not in given}
    found = {}
    for header, value in given.items():
        name = header if header in law.columns or header in others else names.get(header, header)
        unit = 1.0 if name == header else _unit(provenance, name)
        if unit != 1.0:
            remedy = f"Pass raw numbers, as {name}=1e9"
            value = np.asarray(numbers(value, header, infinite=True, remedy=remedy)) * unit
        found[name] = value
    return found


def spoken(law: Law, provenance: Mapping[str, str]) -> dict[str, str]:
    """What messages call the one column of a law that says nothing of what it counts, as ``x``."""
    known = _headers(provenance)
    if len(law.columns) != 1:
        return {}
    return {name: known[name] for name in law.columns if name in known and name not in ALIASES}


def as_keywords(law: Law, provenance: Mapping[str, str]) -> str:
    """The columns of a fit as keywords of a call, after others; without those of their own name."""
    known, said = _headers(provenance), ""
    for name in (*law.columns, law.response):
        header, unit = known.get(name, name), _unit(provenance, name)
        if header != name or unit != 1.0:
            said += f", {name}={header!r}" if unit == 1.0 else f", {name}=({header!r}, {unit:g})"
    return said


def _headers(provenance: Mapping[str, str]) -> dict[str, str]:
    mark = "column "
    return {key[len(mark) :]: item for key, item in provenance.items() if key.startswith(mark)}


def _loss_scale(
    provenance: Mapping[str, str], runs: Any, columns: Mapping[str, Any]
) -> dict[str, Any]:
    """What the losses of the fit's table were read as, as options of a table of the same."""
    said = {"loss", "loss_unit", "bytes_per_token", "responses"} & {*columns}
    if "losses read as" not in provenance or said - {"loss"}:
        return {}
    header = _headers(provenance).get("loss", "loss")
    if columns.get("loss", header) != header:
        return {}
    size = provenance.get("bytes per token")
    per = {} if size is None else {"bytes_per_token": float(size)}
    return {"loss_unit": provenance["losses read as"], **per}


def _unit(provenance: Mapping[str, str], name: str) -> float:
    """What the numbers of a column were multiplied by; a document may say anything."""
    try:
        unit = float(provenance.get(f"unit of {name}", "1.0"))
    except ValueError:
        return 1.0
    return unit if 0 < unit < math.inf else 1.0
