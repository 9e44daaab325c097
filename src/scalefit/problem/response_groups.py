"""Coefficients of several responses: by default each response has its own, exponents are shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalefit.data.column_names import known_as
from scalefit.data.several_responses import RESPONSE, ROW, Responses, read_responses
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError
from scalefit.laws import Law
from scalefit.problem.options import read_groups
from scalefit.problem.separability import structure

__all__ = ["coefficient_groups", "responses_for"]


def responses_for(law: Law, given: Any) -> Responses | None:
    """The responses of a fit, as the table takes them.

    Args:
        law: the law.
        given: the option.

    Raises:
        ArgumentError: they are no headers, or a column of the law is among them, or a law's column
            has a name that the long table needs.
    """
    found = read_responses(given, law.response)
    if found is None:
        return None
    for header in found.headers:
        if header in law.columns or (header != law.response and known_as(header) in law.columns):
            raise ArgumentError(
                f"responses names {header!r}, a column that {law.name!r} predicts from",
                argument="responses",
                value=list(found.headers),
                remedy="Name what is predicted only",
            )
    if found.value != law.response:
        raise ArgumentError(
            f"responses are of {found.value!r}, and {law.name!r} predicts {law.response!r}",
            argument="responses",
            value={found.value: list(found.headers)},
            remedy=f"Pass responses={list(found.headers)!r}",
        )
    for name in {RESPONSE, ROW} & {*law.columns}:
        raise ArgumentError(
            f"{law.name!r} has a column {name!r}, which a table of several responses gets",
            argument="responses",
            value=list(found.headers),
            remedy="Give the column another name in the law",
        )
    return found


def coefficient_groups(
    table: LossTable,
    law: Law,
    groups: Any,
    *,
    fixed: Mapping[str, float],
    tied: Sequence[Sequence[str]],
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, tuple[str, ...]]:
    """Columns that each grouped parameter differs by.

    Of several responses each has its own linear coefficients, unless ``groups`` says otherwise;
    those that the law declares by another column differ by both.

    Args:
        table: the table.
        law: the law.
        groups: the option; None where it was not given.
        fixed: parameters that are fixed.
        tied: groups of parameters that are tied.
        bounds: of parameters, beside those of the law.

    Raises:
        ArgumentError: ``groups`` makes no sense.
        DataError: the table lacks a column of the law.
    """
    found = read_groups(groups, law)
    if groups is not None or table.responses is None:
        return found
    used = table[RESPONSE][table.weight > 0]
    if used.nunique() < 2:
        return found
    table.require([*law.columns, law.response], law, fitted=True)
    held = {*fixed, *(name for group in tied for name in group)}
    linear = structure(law, table.columns_of(law), bounds).linear
    own = {name: (*found.get(name, ()), RESPONSE) for name in linear if name not in held}
    return found | own
