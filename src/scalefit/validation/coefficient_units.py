"""Coefficients of one unit of the columns in another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.arguments import mapping, number
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.laws import Law

__all__ = ["converted", "read_units"]

# Relative difference of two predictions that is no rounding of a law.
SAME = 1e-9

REMEDY = "Give what one unit of the paper is in the table's, as units={'x': 8.64e19} for PF-days"


def read_units(units: Any, law: Law) -> dict[str, float]:
    """What one unit of the paper is in the unit of the table, by column, checked.

    Raises:
        ArgumentError: no mapping from columns of the law, or its response, to positive numbers.
    """
    found = mapping({} if units is None else units, "units", remedy=REMEDY)
    for name in found:
        if name not in (*law.columns, law.response):
            raise ArgumentError(
                f"units names {name!r}, and {law.name!r} has no column {name!r}",
                argument="units",
                value=units,
                remedy=f"Its columns are {listed([*law.columns, law.response])}",
            )
    return {
        name: number(value, f"units[{name!r}]", above=0, remedy=REMEDY)
        for name, value in found.items()
    }


def converted(
    law: Law,
    params: Mapping[str, float],
    units: Mapping[str, float],
    columns: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """The coefficients with which a law predicts in other units what it predicted in its own.

    Scales and slopes follow their column, exponents and shares stay, and linear coefficients are
    those that give the same predictions: B of D in thousands of millions is B 1e9^beta of D.

    Args:
        law: the law.
        params: every parameter by name, in the units that they are published in.
        units: what one of these units is in the table's, by column; others are the same.
        columns: the law's columns in the units of the table, each (rows,).

    Raises:
        DataError: the law has no such coefficients, as where it divides a column by a constant; or
            the rows do not tell them apart, as those of one N do not tell A from E.
    """
    own = {name: values / units.get(name, 1.0) for name, values in columns.items()}
    wanted = units.get(law.response, 1.0) * law.evaluate(own, params)
    linear = [item.name for item in law.params if not item.kind.searchable]
    found = dict.fromkeys(linear, 0.0)
    for item in law.params:
        if item.name not in found:
            unit = units.get(item.kind.column or "", 1.0)
            found[item.name] = params[item.name] * (1 / unit if item.kind.per else unit)
    base = law.evaluate(columns, found)
    terms = [law.evaluate(columns, {**found, name: 1.0}) - base for name in linear]
    if terms:
        design = np.stack(terms, axis=1)
        size = np.abs(design).max(axis=0)
        size[size == 0] = 1.0
        best, _, rank, _ = np.linalg.lstsq(design / size, wanted - base, rcond=None)
        if rank < len(linear):
            raise DataError(
                f"the rows do not tell {listed(linear)} of {law.name!r} apart, and in other units "
                "they are those that predict the same",
                remedy="Give the table's columns in the units of the paper",
            )
        found |= dict(zip(linear, (best / size).tolist(), strict=True))
    if not np.allclose(law.evaluate(columns, found), wanted, rtol=SAME, atol=0.0):
        said = ", ".join(f"{name} of {unit:g}" for name, unit in units.items())
        raise DataError(
            f"{law.name!r} has no coefficients that say the same in other units ({said})",
            remedy="Give the table's columns in the units of the paper",
        )
    return found
