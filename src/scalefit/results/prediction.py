"""What a prediction needs: a law's columns as a caller gives them, and parameters by row."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.arguments import numbers, refused, shown
from scalefit.data.column_names import ALIASES, TABLE_OPTIONS
from scalefit.data.grouping import Grouping, level_keywords, level_name
from scalefit.errors import ArgumentError, DataError
from scalefit.laws import Law

__all__ = ["by_row", "column_numbers", "labels", "refuse_positions", "refuse_unknown", "single"]


def refuse_positions(call: str, law: Law, given: Sequence[Any]) -> None:
    """Raise for columns that are given by position: the order differs between laws.

    Args:
        call: what is called.
        law: the law.
        given: what was passed by position; a table alone is in order.

    Raises:
        ArgumentError: it is no table alone.
    """
    if len(given) == 1 and not isinstance(given[0], int | float | np.number | np.ndarray):
        return
    named = dict(zip(law.columns, given, strict=False))
    words = ", ".join(f"{name}={_short(named.get(name))}" for name in law.columns)
    raise ArgumentError(
        f"{call} takes a table, or columns by name: {shown(given[0])} is neither",
        argument="runs",
        value=given[0],
        remedy=f"Pass columns by name: {call}({words})",
    )


def refuse_unknown(
    function: Callable[..., Any], law: Law | None, columns: Mapping[str, Any]
) -> None:
    """Raise for keywords that are neither options nor columns, such as misspelt options.

    Args:
        function: what takes the options and the columns, both by keyword.
        law: the law, where it is of one.
        columns: what is left of its keywords.

    Raises:
        ArgumentError: one is neither.
    """
    quantities = {*ALIASES} if law is None else {*ALIASES, *law.columns, law.response}
    whose = "a table" if law is None else repr(law.name)
    for name, value in columns.items():
        if name not in (*quantities, *TABLE_OPTIONS):
            options = [
                item.name
                for item in inspect.signature(function).parameters.values()
                if item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
            ]
            close = difflib.get_close_matches(name, [*options, *TABLE_OPTIONS, *quantities], n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise ArgumentError(
                f"{name}={shown(value)} is neither an option of {function.__name__} nor a column "
                f"of {whose}",
                argument=name,
                value=value,
                remedy=f"{hint}Columns: {', '.join(sorted(quantities))}",
            )


def column_numbers(
    law: Law,
    given: Mapping[str, Any],
    others: Sequence[str],
    domain: Mapping[str, tuple[float, float]],
    groups: Mapping[str, Grouping],
    provenance: Mapping[str, str],
) -> dict[str, np.ndarray]:
    """A law's columns as numbers, out of what is given by name.

    Args:
        law: the law.
        given: the columns.
        others: names that may be among ``given``.
        domain: range of each column among the runs: examples in messages are its largest values.
        groups: levels of its grouped parameters.
        provenance: headers of the columns in the table, for messages.

    Raises:
        ArgumentError: a column is missing, unknown or not of numbers.
        DataError: the law does not describe one.
    """
    # Of published values no ranges are known.
    largest = {name: domain.get(name, (1.0, 1.0))[1] for name in law.columns}
    example = {name: item if math.isfinite(item) else 1e9 for name, item in largest.items()}
    known = list(dict.fromkeys([*example, *others]))
    wrong = [name for name in given if name not in known]
    wrong += [name for name in example if name not in given]
    if wrong:
        example_call = [f"{name}={value:g}" for name, value in example.items()]
        example_call += [level_keywords(groups.values())] if groups else []
        raise ArgumentError(
            f"{law.name!r} predicts from the columns {', '.join(known)}, "
            f"not from {', '.join(map(str, given)) or 'nothing'}",
            argument=str(wrong[0]),
            value=given.get(wrong[0]),
            remedy="Pass a table, or each column as a keyword: "
            f"predict({', '.join(example_call)}){_headers(law, provenance)}",
        )
    used = {
        name: numbers(
            given[name], name, infinite=True, remedy=f"Pass raw numbers, as {name}={value:g}"
        )
        for name, value in example.items()
    }
    law.check(used)
    return used


def labels(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Values by name as arrays of objects, each of its own shape.

    Raises:
        ArgumentError: something is of no shape.
    """
    found = {}
    for name, value in given.items():
        try:
            found[name] = np.asarray(value, dtype=object)
        except Exception as error:  # Whatever its own methods raise.
            remedy = f"Pass a value, or a list of them, as {name}='fp8'"
            raise refused(name, value, "a value of a column", remedy) from error
    return found


def by_row(
    law: Law,
    params: Mapping[str, float],
    groups: Mapping[str, Grouping],
    codes: Mapping[Grouping, np.ndarray],
) -> dict[str, Any]:
    """The law's parameters, a grouped one as the coefficient of each row.

    Args:
        law: the law.
        params: every parameter by name, grouped ones once for each level.
        groups: the division that each grouped parameter differs by.
        codes: level of each row in each division, of the rows' shape; NaN follows from -1.
    """
    found: dict[str, Any] = {}
    for name in law.names:
        if name in groups:
            values = np.array([params[level_name(name, level)] for level in groups[name].levels])
            level = codes[groups[name]]
            found[name] = np.where(level < 0, np.nan, values[level])
        else:
            found[name] = params[name]
    return found


def single(codes: np.ndarray, grouping: Grouping) -> int:
    """The one level in codes of one surface.

    Raises:
        DataError: there are several.
    """
    if codes.ndim:
        raise DataError(
            f"several values of {' and '.join(grouping.columns)} are given for one surface",
            column=grouping.columns[0],
            remedy="Ask for one level at a time",
        )
    return int(codes)


def _short(value: Any) -> str:
    """A value as code may have it."""
    try:
        return f"{value:g}" if isinstance(value, int | float | np.number) else "..."
    except OverflowError:  # A whole number beyond float64.
        return "..."


def _headers(law: Law, provenance: Mapping[str, str]) -> str:
    """Which of the law's columns the table has under another name."""
    headers = {name: provenance.get(f"column {name}", name) for name in law.columns}
    other = [f"{name} is its column {head!r}" for name, head in headers.items() if head != name]
    return f". In the table {' and '.join(other)}" if other else ""
