"""The options of a fit that name parameters, read and checked apart from any law's structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scalefit import arguments
from scalefit.arguments import shown
from scalefit.errors import ArgumentError
from scalefit.laws import Law

__all__ = ["read_bounds", "read_fixed", "read_groups", "read_ties"]

# Bounds this close, relative to their size, are a value: a grid between them has one point.
ROUNDING = 2**-46


def read_fixed(fixed: Any) -> dict[str, float]:
    """Fixed values by parameter; of None no value.

    Raises:
        ArgumentError: not a mapping of names to numbers.
    """
    if fixed is None:
        return {}
    remedy = "Pass numbers by name, as fixed={'E': 1.7}"
    return {
        name: arguments.number(value, f"fixed[{name!r}]", remedy=remedy)
        for name, value in arguments.mapping(fixed, "fixed", remedy=remedy).items()
    }


def read_bounds(bounds: Any) -> dict[str, tuple[float, float]]:
    """Bounds by parameter; of None no bound.

    Raises:
        ArgumentError: not a mapping of names to pairs of numbers, of which the first is the lower
            by more than rounding.
    """
    if bounds is None:
        return {}
    remedy = "Pass pairs (lower, upper) by name, as bounds={'alpha': (0.2, 0.6)}"
    found = {}
    for name, pair in arguments.mapping(bounds, "bounds", remedy=remedy).items():
        argument = f"bounds[{name!r}]"
        ends = arguments.numbers(pair, argument, infinite=True, remedy=remedy)
        if ends.shape != (2,):
            raise arguments.refused(argument, pair, "a pair of numbers", remedy)
        low, high = ends.tolist()
        if not low < high:
            raise ArgumentError(
                f"{argument}={shown((low, high))} is empty: no number lies between",
                argument=argument,
                value=pair,
                remedy=f"{remedy}, or fix a parameter, as fixed={{'E': 1.7}}",
            )
        if high - low <= ROUNDING * max(abs(low), abs(high)) < math.inf:
            raise ArgumentError(
                f"{argument}={shown((low, high))} is no wider than rounding",
                argument=argument,
                value=pair,
                remedy=f"Fix the parameter, as fixed={{{name!r}: {low:g}}}",
            )
        found[name] = (low, high)
    return found


def read_groups(groups: Any, law: Law) -> dict[str, tuple[str, ...]]:
    """Columns that each grouped parameter differs by; of None those that the law declares.

    Raises:
        ArgumentError: not a mapping of names to a column or several.
    """
    found = {param.name: param.by for param in law.params if param.by}
    if groups is None:
        return found
    remedy = "Pass a column or several by parameter, as groups={'A': 'format'}"
    for name, columns in arguments.mapping(groups, "groups", remedy=remedy).items():
        argument = f"groups[{name!r}]"
        several = arguments.names(columns, argument, remedy=remedy)
        if not several or len(set(several)) < len(several):
            raise arguments.refused(argument, columns, "one column or several different", remedy)
        found[name] = several
    return found


def read_ties(tied: Any) -> list[tuple[str, ...]]:
    """Groups of tied parameters; of None no group.

    Raises:
        ArgumentError: not a sequence of groups of two or more different names.
    """
    if tied is None:
        return []
    remedy = "Pass groups of two or more names, as tied=[('alpha', 'beta')]"
    if not isinstance(tied, Sequence) or isinstance(tied, str | bytes | bytearray):
        raise arguments.refused("tied", tied, "a list of groups of names", remedy)
    found = []
    for place, group in enumerate(tied):
        argument = f"tied[{place}]"
        names = arguments.names(group, argument, remedy=remedy)
        if isinstance(group, str) or len(set(names)) < max(2, len(names)):
            raise arguments.refused(argument, group, "a group of different names", remedy)
        found.append(names)
    return found
