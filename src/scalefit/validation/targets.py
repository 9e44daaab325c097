"""What a fit is asked when it is judged: the best N and D of a budget, or a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.allocation.optimum_functions import OptimumFunction, optimum_function
from scalefit.allocation.solver import LIMITED
from scalefit.arguments import mapping, number
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError, DataError
from scalefit.frozen import Frozen
from scalefit.reporting.numbers import Kind, shown
from scalefit.results.fit import Fit
from scalefit.results.prediction import column_numbers

__all__ = ["Target", "find_target"]

# So many times the largest run, where no target is given: the usual reach of a sweep, and the
# distance beyond which an answer is warned of.
BEYOND = 10.0


@dataclass(frozen=True, eq=False)
class Target:
    """A question to a fit: the compute-optimal N and D of a budget, or a prediction.

    Attributes:
        fit: the fit whose answer is the point estimate.
        flops: the budget, FLOP; NaN of a prediction.
        columns: the law's columns at the prediction; for a budget, those beside N and D.
        levels: labels by which coefficients are grouped, at the prediction.
        optimum: the optimum as a function of the parameters; None of a prediction.
        chosen: where it lies by default, in words; empty where it was given.
        reason: why it is a prediction though the law has N and D; else empty.
    """

    fit: Fit
    flops: float
    columns: Mapping[str, float]
    levels: Mapping[str, str]
    optimum: OptimumFunction | None
    chosen: str = ""
    reason: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The answers: ``N``, ``D`` and ``D/N`` at the optimum, or the response of the law."""
        return (self.fit.law.response,) if self.optimum is None else ("N", "D", "D/N")

    @property
    def first(self) -> str:
        """The answer whose changes are judged: ``N``, or the response."""
        return self.names[0]

    @property
    def kind(self) -> Kind:
        """How its numbers are written."""
        return "number" if self.optimum is None else "count"

    @property
    def called(self) -> str:
        """The first answer in words, as ``N* at 1.3e+23 FLOP``."""
        if self.optimum is not None:
            return f"N* at {shown(self.flops, 'flop').value} FLOP"
        given = {name: shown(value, _kind(name)).value for name, value in self.columns.items()}
        return f"{self.first} at " + ", ".join(
            f"{name} = {text}" for name, text in {**given, **self.levels}.items()
        )

    def values(self, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The answers under many parameters; NaN where there is none.

        Args:
            params: every parameter of the fit by name, each of shape (n,).

        Returns:
            Each answer by name, shape (n,).
        """
        arrays = {name: np.asarray(value, dtype=np.float64) for name, value in params.items()}
        if self.optimum is not None:
            found = self.optimum.solved([arrays[name] for name in self.optimum.names])
            there = np.ravel(found.state) <= LIMITED
            N, D = (np.where(there, np.ravel(found.columns[name]), np.nan) for name in ("N", "D"))
            return {"N": N, "D": D, "D/N": D / N}
        spelt = self.fit.level_names(**self.levels)
        own = {name: arrays[spelt.get(name, name)] for name in self.fit.law.names}
        shape = np.broadcast_shapes(*(np.shape(item) for item in own.values()))
        columns = {name: np.full(shape, value) for name, value in self.columns.items()}
        return {self.first: np.asarray(self.fit.law.evaluate(columns, own))}

    def of(self, fit: Fit) -> dict[str, float]:
        """The answers of one fit of the same law."""
        found = self.values({name: np.array([value]) for name, value in fit.params.items()})
        return {name: float(values[0]) for name, values in found.items()}


def find_target(fit: Fit, table: LossTable, target: Any) -> Target:
    """The question of a diagnosis.

    Args:
        fit: the fit.
        table: its table.
        target: a budget in FLOP, for laws of N and D; columns by name, for a prediction there; for
            laws without N and D also the value of their first column. None lies one decade beyond
            the runs.

    Raises:
        ArgumentError: it is none of these.
        DataError: the law does not describe the columns.
    """
    law = fit.law
    levels = {name: text for item in fit.groups.values() for name, text in item.example.items()}
    if isinstance(target, Mapping):
        return _prediction(fit, table, mapping(target, "target", remedy=_remedy(fit)), levels)
    if target is not None:
        target = number(target, "target", above=0, remedy=_remedy(fit))
    if not {"N", "D"} <= set(law.columns):
        return _ahead(fit, table, target, levels)
    budgets = np.where(table.weight > 0, table.column("N") * table.column("D"), 0.0)
    largest = int(np.argmax(budgets))
    flops = BEYOND * 6 * float(budgets[largest]) if target is None else target
    chosen = f"{BEYOND:g} times the largest 6ND of the runs" if target is None else ""
    columns = {name: float(table.column(name)[largest]) for name in law.columns}
    others = {name: value for name, value in columns.items() if name not in ("N", "D")}
    reason = f"coefficients differ by {', '.join(levels)}"
    if not fit.groups:
        try:
            optimum = optimum_function(fit, "N", flops, fixed=others)
        except (AllocationError, DataError) as error:
            reason = str(error)
        else:
            return Target(fit, flops, Frozen(others), Frozen({}), optimum, chosen)
    # The largest run, at its own D/N.
    scale = float(np.sqrt(flops / (6 * budgets[largest])))
    columns = {**columns, "N": columns["N"] * scale, "D": columns["D"] * scale}
    levels = _levels_of(fit, table, largest)
    law.check(columns)
    return Target(fit, np.nan, Frozen(columns), Frozen(levels), None, chosen, reason)


def _remedy(fit: Fit) -> str:
    """What to pass as a target."""
    if {"N", "D"} <= set(fit.law.columns):
        return "Pass a budget in FLOP, as target=1e24, or leave it out"
    name = fit.law.columns[0]
    return f"Pass {name}, as target={BEYOND * fit.domain[name][1]:.3g}, or leave it out"


def _prediction(
    fit: Fit, table: LossTable, given: Mapping[str, Any], levels: Mapping[str, str]
) -> Target:
    """The prediction at columns that are given; those left out are as in the largest run."""
    largest = _largest(fit, table)
    usual = {name: float(table.column(name)[largest]) for name in fit.law.columns}
    labels = {**_levels_of(fit, table, largest), **{k: v for k, v in given.items() if k in levels}}
    rest = {name: value for name, value in given.items() if name not in levels}
    found = column_numbers(fit.law, {**usual, **rest}, (), fit.domain, fit.groups, fit.provenance)
    columns = {
        name: number(values, f"target[{name!r}]", remedy=f"Pass one number for {name}")
        for name, values in found.items()
    }
    fit.level_names(**labels)
    return Target(fit, np.nan, Frozen(columns), Frozen(labels), None)


def _ahead(fit: Fit, table: LossTable, target: float | None, levels: Mapping[str, str]) -> Target:
    """The prediction of a law without N and D, ahead of its runs."""
    largest = _largest(fit, table)
    columns = {name: float(table.column(name)[largest]) for name in fit.law.columns}
    chosen = ""
    if target is not None:
        columns[fit.law.columns[0]] = target
        fit.law.check(columns)
    else:
        name = _unlimited(fit)
        chosen = "the largest run"
        if name and columns[name] > 0:
            columns[name] *= BEYOND
            chosen = f"{BEYOND:g} times the largest {name}, all else as in that run"
    labels = _levels_of(fit, table, largest) if levels else {}
    return Target(fit, np.nan, Frozen(columns), Frozen(labels), None, chosen)


def _largest(fit: Fit, table: LossTable) -> int:
    """Row of the largest run: of the most N D, or else of the largest first unlimited column."""
    columns = set(fit.law.columns)
    if {"N", "D"} <= columns:
        size = table.column("N") * table.column("D")
    else:
        size = table.column(_unlimited(fit) or fit.law.columns[0])
    return int(np.argmax(np.where(table.weight > 0, size, -np.inf)))


def _unlimited(fit: Fit) -> str:
    """The first column that may grow without limit; empty where all are shares."""
    for name in fit.law.columns:
        domain = fit.law.domains.get(name)
        if domain is None or np.isinf(domain.upper):
            return name
    return ""


def _levels_of(fit: Fit, table: LossTable, row: int) -> dict[str, str]:
    """Label of a row in each column that coefficients are grouped by."""
    names = dict.fromkeys(name for item in fit.groups.values() for name in item.columns)
    return {name: table.labels(name).iloc[row] for name in names}


def _kind(name: str) -> Kind:
    return {"N": "count", "D": "count", "C": "flop"}.get(name, "number")  # type: ignore[return-value]
