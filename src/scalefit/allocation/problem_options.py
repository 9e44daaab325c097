"""The options of ``allocate`` as numbers by column: level, ``fixed``, ``free`` and ``limits``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.allocation.column_functions import called, columns_of
from scalefit.allocation.function_checks import LIMITING
from scalefit.allocation.problem_form import LimitedQuantity
from scalefit.arguments import instance, mapping, number, numbers, shown
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.results.fit import Fit

__all__ = [
    "OPTION",
    "Free",
    "Limits",
    "example_of",
    "fixed_values",
    "free_ranges",
    "level_and_unit",
    "levels_of",
    "limits_of",
    "quantity_of",
]

Free = Mapping[str, Sequence[Any] | None]
"""Free columns: a pair (lowest, highest), a list of choices, or None for any positive number."""

Limits = Mapping[Any, Any]
"""A column, a ratio as ``D/N``, or a function of columns; to its highest value or a pair."""

# The option that a level in each unit is passed as.
OPTION = Frozen({"FLOP": "flops", "USD": "usd", "loss": "loss"})

# What to pass as a level.
LEVEL = Frozen(
    {
        "FLOP": "Pass the budget in FLOP, as flops=1e24",
        "USD": "Pass the budget in dollars, as usd=1e6",
        "loss": "Pass the loss to be reached, as loss=2.0",
    }
)

# Value of a column in an example where the runs do not say.
TYPICAL = Frozen({"N": 1e9, "D": 2e10})

ENDS = "Pass the highest value, or a pair (lowest, highest) with None where there is none"


def level_and_unit(flops: Any, usd: Any, loss: Any) -> tuple[Any, str]:
    """The one level that is given, and its unit.

    Raises:
        ArgumentError: none is given, or more than one.
    """
    given = [
        (value, unit)
        for value, unit in ((flops, "FLOP"), (usd, "USD"), (loss, "loss"))
        if value is not None
    ]
    if len(given) != 1:
        raise ArgumentError(
            f"{len(given)} of flops, usd and loss are given, and exactly one is needed",
            argument="flops",
            value=flops,
            remedy="Pass one: a budget to spend, as flops=1e24, or a loss to reach, as loss=2.0",
        )
    return given[0]


def levels_of(levels: Any, unit: str) -> np.ndarray:
    """Budgets or losses as an array of any shape.

    Raises:
        ArgumentError: they are no numbers, or a budget is not positive.
    """
    # Losses relative to a unigram model are negative.
    above = None if unit == "loss" else 0.0
    return numbers(levels, OPTION[unit], remedy=LEVEL[unit], above=above, empty=False)


def fixed_values(fit: Fit, fixed: Any, argument: str = "fixed") -> dict[str, np.ndarray]:
    """Columns with a given value, by name.

    Raises:
        ArgumentError: they are no numbers by name.
    """
    named = mapping(
        {} if fixed is None else fixed,
        argument,
        remedy=f"Pass numbers by column, as {argument}={{'D': 2e10}}",
    )
    found = {}
    for name, value in named.items():
        remedy = f"Pass a number, or several, as {argument}={{{name!r}: {example_of(fit, name):g}}}"
        found[name] = numbers(value, f"{argument}[{name!r}]", remedy=remedy, empty=False)
    return found


def free_ranges(fit: Fit, free: Any) -> dict[str, Any]:
    """Columns that are free: with None, a pair of ends, or a list of choices.

    Raises:
        ArgumentError: they are none of these.
    """
    named = mapping(
        {} if free is None else free,
        "free",
        remedy="Pass ranges by column, as free={'N': (1e9, 1e12)}",
    )
    found: dict[str, Any] = {}
    for name, values in named.items():
        argument, value = f"free[{name!r}]", example_of(fit, name)
        low, high = fit.domain.get(name, (value, 16 * value))
        remedy = (
            f"Pass a pair (lowest, highest), as free={{{name!r}: ({low:g}, {high:g})}}, or a list "
            "of choices"
        )
        if values is None:
            found[name] = None
        elif isinstance(values, tuple) and len(values) == 2:
            found[name] = _ends(argument, values, remedy)
        else:
            chosen = numbers(values, argument, remedy=remedy, empty=False)
            if chosen.ndim != 1:
                raise ArgumentError(
                    f"{argument}={shown(values)} is neither a pair nor a list",
                    argument=argument,
                    value=values,
                    remedy=remedy,
                )
            found[name] = [float(item) for item in chosen]
    return found


def limits_of(
    limits: Any, token_column: str, known: set[str]
) -> list[tuple[LimitedQuantity, float, float]]:
    """Each limited quantity with its lowest and highest value; infinite where there is none.

    Args:
        limits: as passed.
        token_column: a ratio to it is turned upside down, so that tokens are its numerator.
        known: columns that a quantity may read.

    Raises:
        ArgumentError: a quantity, or an end of it, is none.
    """
    named = instance(
        {} if limits is None else limits,
        "limits",
        Mapping,
        wanted="a mapping from columns, ratios or functions",
        remedy="Pass the highest value of each, as limits={'N': 70e9}",
    )
    found = []
    for what, ends in named.items():
        quantity = quantity_of(what)
        low, high = _ends(f"limits[{quantity.name!r}]", ends, ENDS)
        if quantity.denominator == token_column:
            low, high = (
                (1 / high if high < math.inf else -math.inf),
                (1 / low if low > 0 else math.inf),
            )
            quantity = quantity._replace(numerator=token_column, denominator=quantity.numerator)
        strange = set(quantity.needs) - known
        if strange:
            raise ArgumentError(
                f"limits has {quantity.name!r}, which reads {', '.join(sorted(strange))}, and the "
                f"columns of the law and the cost are {', '.join(sorted(known))}",
                argument="limits",
                value=limits,
                remedy=f"Fix it, as fixed={{'{min(strange)}': 1e9}}, or limit another",
            )
        found.append((quantity, low, high))
    return found


def quantity_of(what: Any) -> LimitedQuantity:
    """A key of ``limits``: a column, a ratio, or a function of columns.

    Raises:
        ArgumentError: it is none of these.
    """
    if callable(what):
        needs = columns_of(what, "limits", remedy=LIMITING)
        return LimitedQuantity(called(what), "", "", what, needs)
    parts = [part.strip() for part in what.split("/")] if isinstance(what, str) else []
    if not (parts and all(parts)) or len({*parts}) < len(parts) or len(parts) > 2:
        raise ArgumentError(
            f"limits has {shown(what)}, which is neither a column, nor a ratio of two, nor a "
            "function of columns",
            argument="limits",
            value=what,
            remedy="Name what is limited, as limits={'N': 70e9, 'D/N': (20, None)}",
        )
    numerator, denominator = (*parts, "")[:2]
    return LimitedQuantity(what, numerator, denominator, None, tuple(parts))


def example_of(fit: Fit, name: str) -> float:
    """A value of a column for an example: one of the runs, where they are known."""
    low, _ = fit.domain.get(name, (math.nan, math.nan))
    return low if low == low else TYPICAL.get(name, 1.0)


def _ends(argument: str, ends: Any, remedy: str) -> tuple[float, float]:
    """The lowest and the highest value; infinite where there is none."""
    pair = ends if isinstance(ends, (tuple, list, np.ndarray)) and np.shape(ends) else (None, ends)
    if ends is None or len(pair) != 2 or all(end is None for end in pair):
        raise ArgumentError(
            f"{argument}={shown(ends)} limits nothing", argument=argument, value=ends, remedy=remedy
        )
    low, high = (
        fallback if end is None else number(end, argument, infinite=True, remedy=remedy)
        for end, fallback in zip(pair, (-math.inf, math.inf), strict=True)
    )
    if not (low <= high and high > 0 and low < math.inf):
        fault = (
            "has its lowest value above its highest" if low > high else "leaves nothing positive"
        )
        raise ArgumentError(
            f"{argument}={shown(ends)} {fault}", argument=argument, value=ends, remedy=remedy
        )
    return low, high
