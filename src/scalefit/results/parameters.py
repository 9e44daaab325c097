"""The parameters of a fit: a mapping that shows itself as a table, with units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from scalefit.data.column_names import UNITS
from scalefit.data.grouping import level_name
from scalefit.data.loss_units import ASSUMED
from scalefit.frozen import Frozen
from scalefit.laws import Law, Param
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown

__all__ = ["Parameters", "loss_unit", "parameter_table", "states_of", "units_of"]


class Parameters(Frozen[str, float], Described):
    """Parameters by name, in the units of the table's columns.

    A mapping like a dictionary: ``dict(fit.params)`` has every digit, ``fit.params`` shows five.

    Attributes:
        units: unit of each parameter, where it has a simple one, as ``nats/token``.
    """

    __slots__ = ("units",)
    units: Mapping[str, str]

    def __init__(self, values: Mapping[str, float], units: Mapping[str, str] | None = None) -> None:
        super().__init__(values)
        object.__setattr__(self, "units", Frozen(units))

    def to_frame(self) -> pd.DataFrame:
        """A row for each parameter: value and unit."""
        rows = {name: (value, self.units.get(name, "")) for name, value in self.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "unit"])

    def describe(self, level: float = 0.95) -> Description:
        """A table of values and units; no parameter has an interval without draws."""
        return Description("Parameters", tables=[parameter_table(self, self.units, {})])

    def __reduce__(self) -> tuple[type, tuple[dict[str, float], dict[str, str]]]:
        return type(self), (dict(self), dict(self.units))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={shown(value).value}" for name, value in self.items())
        return f"<Parameters {inside}>"


def parameter_table(
    params: Mapping[str, float], units: Mapping[str, str], state: Mapping[str, str]
) -> Table:
    """Parameters as reports show them.

    Args:
        params: values by name.
        units: unit of each that has one.
        state: what is said beside a parameter, by name, as ``fixed``.
    """
    columns = [Column("parameter", list(params), "name"), Column("value", list(params.values()))]
    for name, words in (("unit", units), ("", state)):
        if any(words.values()):
            columns.append(Column(name, [words.get(item, "") for item in params], "text"))
    return Table(columns)


def loss_unit(law: Law, codes: set[str], provenance: Mapping[str, str]) -> str:
    """Unit of what a law predicts; empty where it is not known.

    Args:
        law: the law.
        codes: codes of the notes on its fit: one of them says that losses are no nats per token.
        provenance: of the fit: names the unit of its table.
    """
    if law.response != "loss" or "loss_unit" in codes:
        return ""
    return provenance.get("loss unit", ASSUMED)


def units_of(law: Law, levels: Mapping[str, tuple[str, ...]], loss: str) -> dict[str, str]:
    """Unit of each parameter that has a simple one.

    An amplitude has the unit of the loss times powers of columns, an exponent none.

    Args:
        law: the law.
        levels: levels of each grouped parameter.
        loss: unit of what the law predicts.
    """
    found: dict[str, str] = {}
    for param in law.params:
        unit = _unit(param, loss)
        names = [level_name(param.name, level) for level in levels.get(param.name, ())]
        found.update(dict.fromkeys(names or [param.name], unit))
    return {name: unit for name, unit in found.items() if unit}


def states_of(
    names: Iterable[str],
    at_bound: Iterable[str],
    fixed: Iterable[str],
    tied: Iterable[tuple[str, ...]],
) -> dict[str, str]:
    """What is said beside each parameter: whether it is fixed, tied or at a bound."""
    state = dict.fromkeys(names, "")
    state.update(dict.fromkeys(at_bound, "at bound"))
    state.update(dict.fromkeys(fixed, "fixed"))
    for group in tied:
        state.update(dict.fromkeys(group[1:], f"= {group[0]}"))
    return state


def _unit(param: Param, loss: str) -> str:
    if param.kind.name == "offset":
        return loss
    if param.kind.column is None:
        return ""
    column = UNITS.get(param.kind.column, param.kind.column)
    return f"per {column}" if param.kind.per else column
