"""Which columns a budget is divided between, and the ranges of all free columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.costs import Cost
from scalefit.allocation.problem_form import LimitedQuantity
from scalefit.allocation.problem_options import example_of, quantity_of
from scalefit.arguments import shown
from scalefit.errors import AllocationError, ArgumentError
from scalefit.laws import Law, Relation
from scalefit.results.fit import Fit
from scalefit.results.remembered_columns import spoken

__all__ = [
    "NO_SIZE",
    "WHOLE_RANGE",
    "SearchRanges",
    "divided_columns",
    "limits_of_law",
    "search_ranges",
]

# Stands for the size column where the budget buys one column only.
NO_SIZE = "$none"

# Ends of ln size where the caller gives none.
WHOLE_RANGE = (0.0, math.log(1e30))

# A column that varies by more than this factor is searched in its logarithm.
WIDE = 4.0

MOST_EXTRAS = 3
MOST_COMBINATIONS = 10_000

Limit = tuple[LimitedQuantity, float, float]

# Ends of a ratio of the two sides of a relation.
AT_MOST, AT_LEAST = (-math.inf, 1.0), (1.0, math.inf)


class SearchRanges(NamedTuple):
    """The ranges of free columns.

    Attributes:
        box: ends of ln size and of each of the extras in the searched coordinate, shape
            (1 + extras, 2).
        edge: whether the ends of the size are the user's; shape (2,).
        extras: columns beside size and tokens that vary continuously.
        logarithmic: for each of those, whether its logarithm is searched.
        choices: columns that take one of a list, with the list.
        limits: limited quantities that are left, with their lowest and highest value.
    """

    box: np.ndarray
    edge: np.ndarray
    extras: tuple[str, ...]
    logarithmic: tuple[bool, ...]
    choices: dict[str, tuple[float, ...]]
    limits: list[Limit]


def divided_columns(
    fit: Fit, cost: Cost, free: Mapping[str, Any], fixed: Mapping[str, Any], level: str
) -> tuple[str, str]:
    """The size column and the token column: N and D, or what stands for them.

    Args:
        fit: of the law.
        cost: what is paid.
        free: further free columns.
        fixed: columns with a given value.
        level: the level as it was passed, for examples: ``flops=1e+24``.

    Raises:
        AllocationError: the cost has no two free columns of the law, nor one that it buys alone.
    """
    law = fit.law
    listed = {name for name, values in free.items() if isinstance(values, list)}
    shared = [
        name
        for name in law.columns
        if name in cost.columns and name not in fixed and (name in ("N", "D") or name in free)
    ]
    moving = [name for name in shared if name not in listed]
    if len(moving) == 1 and {*cost.columns} <= {*moving, *fixed, *free}:
        # Nothing to divide: the solution is what the budget buys of the one column.
        return NO_SIZE, moving[0]
    if len(shared) < 2:
        between = " and ".join(name for name in cost.columns if name not in fixed) or "nothing"
        hint = f", with {', '.join(fixed)} fixed" if fixed else ""
        raise AllocationError(
            f"{law.name!r} is a law of {', '.join(law.columns)}; a budget is divided between "
            f"{between} under cost {cost.name!r}{hint}. {_remedy(fit, cost, fixed, level)}"
        )
    token_column = "D" if "D" in shared else shared[-1]
    rest = [name for name in shared if name != token_column]
    return ("N" if "N" in rest else rest[0]), token_column


def limits_of_law(
    law: Law, size_column: str, token_column: str, free: Collection[str]
) -> Iterator[Limit]:
    """What a law demands of the columns that are searched: relations, and ends of their domains.

    Args:
        law: the law.
        size_column: the column whose range is searched.
        token_column: the column that is eliminated.
        free: columns without a given value; ends and choices of further ones are in their domains.
    """
    for relation in law.relations:
        if {*relation.columns} & {*free}:
            yield _limit_of(relation, token_column)
    for name in (size_column, token_column):
        domain = law.domains.get(name)
        # Size and tokens are searched from one on.
        if domain is not None and (domain.lower > 1.0 or math.isfinite(domain.upper)):
            limit = LimitedQuantity(name, name, "", None, (name,), True)
            yield limit, domain.lower if domain.lower > 0 else -math.inf, domain.upper


def _limit_of(relation: Relation, token_column: str) -> Limit:
    """A relation as a limit on one column, on a ratio of two with the tokens above, or on sides."""
    name, columns = relation.rule, relation.columns
    if relation.of_two:
        (smaller,), (larger,) = relation.smaller, relation.larger
        if smaller == token_column:
            return LimitedQuantity(name, smaller, larger, None, columns, True), *AT_MOST
        return LimitedQuantity(name, larger, smaller, None, columns, True), *AT_LEAST
    if token_column in relation.larger and token_column not in relation.smaller:
        return LimitedQuantity(name, "", "", relation.inverse, columns, True), *AT_LEAST
    return LimitedQuantity(name, "", "", relation.ratio, columns, True), *AT_MOST


def search_ranges(
    free: Mapping[str, Any], limits: list[Limit], size_column: str, token_column: str
) -> SearchRanges:
    """The ranges of free columns; a range of the tokens becomes a limit, one on the size an end.

    Raises:
        ArgumentError: a range has no end.
        AllocationError: a column is free without a range, tokens are one of a list, or too many
            columns or choices are free.
    """
    box, edge = [[*WHOLE_RANGE]], np.zeros(2, dtype=bool)
    if size_column == NO_SIZE:
        box, edge = [[0.0, 0.0]], np.ones(2, dtype=bool)
    extras: list[str] = []
    logs: list[bool] = []
    choices: dict[str, tuple[float, ...]] = {}
    on_tokens: list[Limit] = []
    for name, values in free.items():
        if values is None:
            if name not in (size_column, token_column):
                raise AllocationError(
                    f"{name!r} is free without a range. Give one, as free={{'{name}': (1, 16)}}, "
                    "or a list of choices"
                )
        elif isinstance(values, tuple):
            if name == token_column:
                on_tokens.append((quantity_of(token_column), *values))
            elif name == size_column:
                _narrow(box, edge, *values)
            else:
                extras.append(name)
                logarithmic, ends = _extra(name, values)
                logs.append(logarithmic)
                box.append(ends)
        elif name == token_column:
            raise AllocationError(
                f"{token_column!r} follows from the budget and cannot be one of a list. Limit it, "
                f"as limits={{'{token_column}': ...}}, or fix it"
            )
        else:
            choices[name] = tuple(values)
    _check_count(extras, choices)
    kept = []
    for quantity, low, high in reversed(limits):
        if quantity.numerator == size_column and not quantity.denominator:
            _narrow(box, edge, low, high)
        else:
            kept.append((quantity, low, high))
    return SearchRanges(
        np.array(box), edge, tuple(extras), tuple(logs), choices, [*kept[::-1], *on_tokens]
    )


def _extra(name: str, values: tuple[float, float]) -> tuple[bool, list[float]]:
    """Whether a column is searched in its logarithm, and its ends there."""
    low, high = values
    if not math.isfinite(high - low):
        raise ArgumentError(
            f"free[{name!r}]={shown(values)} has no end",
            argument=f"free[{name!r}]",
            value=values,
            remedy=f"Give both ends, as free={{{name!r}: (1, 16)}}",
        )
    logarithmic = low > 0 and high > WIDE * low
    return logarithmic, [math.log(low), math.log(high)] if logarithmic else [low, high]


def _check_count(extras: list[str], choices: Mapping[str, tuple[float, ...]]) -> None:
    if len(extras) > MOST_EXTRAS:
        raise AllocationError(
            f"{len(extras)} further columns are free in a range ({', '.join(extras)}), more than "
            f"{MOST_EXTRAS}. Fix some, or give lists of choices"
        )
    count = math.prod(len(values) for values in choices.values())
    if count > MOST_COMBINATIONS:
        raise AllocationError(
            f"the choices of {', '.join(choices)} have {count} combinations, more than "
            f"{MOST_COMBINATIONS}. Give fewer, or ranges"
        )


def _narrow(box: list[list[float]], edge: np.ndarray, low: float, high: float) -> None:
    """Move the ends of the size to where a range of the user's has them."""
    if low > 1.0 and math.log(low) > box[0][0]:
        box[0][0], edge[0] = math.log(low), True
    if high < 1e30 and math.log(max(high, 1.0)) < box[0][1]:
        box[0][1], edge[1] = math.log(max(high, 1.0)), True


def _remedy(fit: Fit, cost: Cost, fixed: Mapping[str, Any], level: str) -> str:
    """A call that works for a law that shares less than two free columns with the cost."""
    columns = fit.law.columns
    paid = [name for name in columns if name in cost.columns]
    if paid and all(name in fixed for name in paid):
        return f"Leave {paid[-1]} out of fixed: the budget decides it"
    if paid:
        return _buy_one(fit, cost, fixed, level, paid)
    if {"N", "D"} <= set(columns):
        usual = "in dollars" if level.startswith("usd") else "as cost='6ND'"
        return f"Give a cost of columns of the law, {usual}"
    if "C" in columns or (len(columns) == 1 and _falls(fit)):
        return _count_in_compute(fit, level)
    values = ", ".join(f"{name}={example_of(fit, name):g}" for name in columns)
    return f"It has a loss, and no budget: fit.predict({values})"


def _buy_one(fit: Fit, cost: Cost, fixed: Mapping[str, Any], level: str, paid: list[str]) -> str:
    """A call in which the budget buys one column, the others fixed."""
    bought = next(name for name in paid if name not in fixed)
    others = dict.fromkeys(name for name in (*cost.columns, *fit.law.columns) if name != bought)
    known = {name: example_of(fit, name) for name in others if name not in fixed}
    counted = "" if cost.name == "6ND" else ", cost=..."
    if not known:
        return (
            f"To get what the budget buys of {bought} alone: allocate(fit, {level}{counted}, "
            f"free={{{bought!r}: None}})"
        )
    given = "".join(f", {name!r}: ..." for name in fixed)
    said = ", ".join(f"{name!r}: {value:g}" for name, value in known.items())
    return (
        f"Fix the others, and the budget buys {bought}: allocate(fit, {level}{counted}, "
        f"fixed={{{said}{given}}}). Or give a cost of columns of the law, as a function of them"
    )


def _count_in_compute(fit: Fit, level: str) -> str:
    """A call whose cost is the one column of the law that stands for compute."""
    columns = fit.law.columns
    main = "C" if "C" in columns else columns[0]
    ranges, rest = [f"{main!r}: None"], []
    for name in columns:
        low, high = fit.domain.get(name, (math.nan, math.nan))
        if name != main and low < high:
            ranges.append(f"{name!r}: ({low:g}, {high:g})")
        elif name != main:
            rest.append(f"{name!r}: {example_of(fit, name):g}")
    more = f", fixed={{{', '.join(rest)}}}" if rest else ""
    counted = f"lambda {main}: {main}"
    if len(columns) == 1 and not level.startswith("usd"):
        return _of_one_column(fit, level)
    if level.startswith("usd"):
        counted = f"scalefit.allocation.cost(source='mine', unit='USD')({counted})"
    return (
        f"Count the budget in {main}: allocate(fit, {level}, cost={counted}, "
        f"free={{{', '.join(ranges)}}}{more})"
    )


def _of_one_column(fit: Fit, level: str) -> str:
    """What stands for an allocation in a law of one column: its prediction, or the inverse."""
    (column,) = fit.law.columns
    header = spoken(fit.law, fit.provenance).get(column, column)
    kind, _, value = level.partition("=")
    if kind == "loss":
        return f"The {header} that reaches it: scalefit.inverse_predict(fit, {value})"
    given = header if header.isidentifier() else column
    return f"Nothing is divided. The loss at a value of {header}: fit.predict({given}={value})"


def _falls(fit: Fit) -> bool:
    """Whether the loss of a law of one column falls over the runs."""
    (name,) = fit.law.columns
    first, last = fit.law.evaluate({name: fit.domain.get(name, (1.0, 1e9))}, fit.params)
    return bool(last < first)
