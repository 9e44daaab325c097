"""Calls that messages on a fit print, as they are typed on the same runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.column_units import spelled
from scalefit.data.other_laws import called
from scalefit.data.table import LossTable
from scalefit.laws import BUILTIN, Law
from scalefit.objective import Objective
from scalefit.results.fit import Fit

__all__ = ["call_of", "objective_options", "wider_laws"]

# Laws of more freedom on the same columns, each with the rows from which its parameters can be
# found.
WIDER: Mapping[str, tuple[tuple[str, int], ...]] = {
    "N, D": (("chinchilla_outer", 12), ("farseer", 20)),
    "x": (("broken_power", 12), ("broken_power_twice", 30)),
}


def objective_options(objective: Objective) -> str:
    """Options of fit that give an objective, as code after others; without those of the default."""
    return "".join(f", {name}={value!r}" for name, value in objective.options.items())


def call_of(
    fit: Fit,
    table: LossTable,
    law: str | Law | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    **options: str,
) -> str:
    """The call that fits a law to the same runs by the same objective.

    Args:
        fit: the fit.
        table: its table.
        law: another law, of the same number of columns or of the same names; by default its own.
        groups: of coefficients; by default its own.
        **options: others, as ``keep="D > 1e9"``.
    """
    wanted = fit.law if law is None else BUILTIN[law] if isinstance(law, str) else law
    same = set(fit.law.columns) <= set(wanted.columns)
    given = wanted.columns if same else fit.law.columns
    named = {
        name: _header(table, header)
        for name, header in zip(wanted.columns, given, strict=True)
        if _header(table, header) != name
    }
    response = table.sources.get(wanted.response, wanted.response)
    if table.responses is not None:
        named["responses"] = repr(list(table.responses.headers))
    if response != wanted.response and normalised(str(response)) not in ALIASES["loss"]:
        named[wanted.response] = repr(response)
    if law is None:
        # Of another law parameters have other names.
        named |= {
            name: repr(dict(found)) for name in ("fixed", "bounds") if (found := getattr(fit, name))
        }
        named |= {"tied": repr(list(fit.tied))} if fit.tied else {}
    if groups is None:
        linear = [name for name in fit.groups if name in wanted.names]
        groups = {name: fit.groups[name].columns for name in linear} if law is None else {}
    if groups:
        said = {name: _one_or_several(columns) for name, columns in groups.items()}
        named["groups"] = repr(said)
    named |= {name: repr(value) for name, value in options.items()}
    rest = "".join(f", {name}={value}" for name, value in named.items())
    return f"fit(runs, {called(wanted)}{objective_options(fit.objective)}{rest})"


def wider_laws(fit: Fit) -> list[str]:
    """Built-in laws of the same columns that can bend where this one cannot, for so many runs."""
    columns = fit.law.columns
    if fit.groups or fit.law.response != "loss":
        # What differs by group has another name in them, and they are laws of losses.
        return []
    names = WIDER.get(", ".join(columns) if len(columns) > 1 else "x", ())
    order = [name for name, _ in names]
    narrower = order.index(fit.law.name) + 1 if fit.law.name in order else 0
    return [name for name, rows in names[narrower:] if fit.nobs >= rows]


def _header(table: LossTable, name: str) -> str:
    """The header of a quantity as an option, with its unit; the quantity where it is its header."""
    header = table.sources.get(name, name)
    if header == name and name not in table.scales:
        return name
    if name in table.scales:
        return f"({header!r}, {spelled(table.scales[name])})"
    return repr(header)


def _one_or_several(columns: Sequence[str]) -> str | tuple[str, ...]:
    return columns[0] if len(columns) == 1 else tuple(columns)
