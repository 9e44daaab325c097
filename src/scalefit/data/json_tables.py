"""JSON as DataFrames: records or columns, whole or in lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from scalefit.arguments import shown
from scalefit.data import limits
from scalefit.data.containers import flattened, from_records, to_pandas
from scalefit.data.limits import Source, as_utf8, refuse_rows, refuse_size, too_large
from scalefit.errors import ArgumentError, DataError, listed

__all__ = ["read_json"]

# Lists and objects in a text, for every row that may be read: a gigabyte of text can hold half a
# billion, which take a hundred times as much.
OPENINGS = 4


def read_json(data: bytes, source: Source, *, lines: bool) -> pd.DataFrame:
    """A table in JSON.

    Args:
        data: a list of records, as in ``orient="records"``; an object of columns, of rows
            (``orient="index"``), of ``columns`` and ``data`` (``orient="split"``), or with one list
            of records; one record; or a record per line.
        source: what it is, for messages.
        lines: whether it should be a record per line; an object alone is then a record.

    Raises:
        DataError: it is JSON, and no table; or an object has two values of one name.
        ValueError: it is no JSON.
    """
    text = as_utf8(data, source).strip()
    if not text:
        return pd.DataFrame()
    openings = text.count(b"{") + text.count(b"[")
    if openings > OPENINGS * limits.MOST_ROWS:
        raise too_large(source, f"{openings:,} lists and objects")
    document = _document(text, source)
    if lines and isinstance(document, dict):
        document = [document]
    try:
        frame = _table(document, source)
    except ArgumentError as error:
        raise DataError(
            f"{source.name!r} holds no table ({shown(document)})",
            remedy="Write one run per line, each as an object of its values",
        ) from error
    refuse_rows(len(frame), source)
    refuse_size(8 * frame.size, source)
    return frame


def _document(text: bytes, source: Source) -> Any:
    """What the text says; a list of what its lines say where it is several documents."""
    try:
        return _parsed(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
    found = []
    for place, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(_parsed(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {place}: {error.msg}") from error
            if not isinstance(found[-1], dict):
                raise ValueError(f"line {place} is {shown(found[-1])}, no object")
    return found


def _parsed(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"an object has two values called {shown(repeated)}",
            column=repeated,
            remedy="Rename or remove one of them",
        )
    return found


def _table(document: Any, source: Source) -> pd.DataFrame:
    if isinstance(document, list):
        return from_records(document, document)
    if not isinstance(document, Mapping):
        return to_pandas(document)
    names, rows = document.get("columns"), document.get("data")
    if (
        isinstance(names, list)
        and isinstance(rows, list)
        and all(type(row) is list for row in rows)
    ):
        return flattened(pd.DataFrame(rows, document.get("index"), names))
    tables = [name for name, value in document.items() if _is_records(value)]
    if len(tables) > 1:
        raise DataError(
            f"{source.name!r} holds {len(tables)} lists of records: {listed(tables)}",
            remedy=f"Pass one of them: scalefit.read(document[{tables[0]!r}]), with the file read "
            "by document = json.load(...)",
        )
    return from_records(document[tables[0]], document) if tables else to_pandas(document)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
