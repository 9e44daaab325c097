"""Two power laws, N*(C) and D*(C), and what they give at a budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from scalefit.approach2.power_laws import PowerLaw
from scalefit.arguments import level as checked_level
from scalefit.arguments import numbers
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.domain import extrapolation

__all__ = ["Frontier", "PowerLawOptimum", "checked_budgets", "power_law_table"]


@dataclass(frozen=True, eq=False)
class PowerLawOptimum(Described):
    """Compute-optimal N and D at some budgets, by power laws.

    Attributes:
        flops: the budgets, FLOP, any shape.
        n_law: power law of N*.
        d_law: power law of D*.
        notes: how far the budgets lie outside those of the power laws, and the notes of these.
    """

    flops: np.ndarray
    n_law: PowerLaw
    d_law: PowerLaw
    notes: tuple[Note, ...] = ()

    @cached_property
    def N(self) -> np.ndarray:
        """Parameters, of the shape of ``flops``."""
        return self.n_law.at(self.flops)

    @cached_property
    def D(self) -> np.ndarray:
        """Tokens, of the shape of ``flops``."""
        return self.d_law.at(self.flops)

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D*/N*."""
        return np.asarray(self.D / self.N)[()]

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each budget: N*, D* with their intervals, and D*/N*.

        Args:
            level: of the intervals: Student's t, from the scatter of the vertices about the power
                laws. NaN where the laws have none.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        columns = {"flops": self.flops}
        for name, law in (("N", self.n_law), ("D", self.d_law)):
            low, high = law.band(self.flops, level)
            columns |= {name: law.at(self.flops), f"{name}_low": low, f"{name}_high": high}
        columns["D/N"] = self.tokens_per_param
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def __repr__(self) -> str:
        if np.size(self.flops) != 1:
            return f"<PowerLawOptimum at {np.size(self.flops)} budgets>"
        N, D = (shown(np.ravel(item)[0], "count").value for item in (self.N, self.D))
        flops = shown(np.ravel(self.flops)[0], "flop").value
        return f"<PowerLawOptimum at {flops} FLOP: N {N}, D {D}>"

    def describe(self, level: float = 0.95) -> Description:
        """N* and D* at each budget.

        Args:
            level: of the intervals, see :meth:`to_frame`.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        columns = [Column("C, FLOP", frame["flops"], "flop")]
        for name, unit in (("N", "parameters"), ("D", "tokens")):
            low, high = frame[f"{name}_low"], frame[f"{name}_high"]
            ends = (low, high) if low.notna().any() else ((), ())
            columns.append(Column(f"{name}*, {unit}", frame[name], "count", *ends))
        columns.append(Column("D*/N*", frame["D/N"]))
        about = f"{100 * level:g} % interval"
        table = Table(columns, "intervals hold the scatter of the vertices, not a bias", about)
        return Description(
            "Compute-optimal N and D by power laws", tables=[table], notes=self.notes
        )


class Frontier(Described, ABC):
    """The power laws of N* and D* through the optima of some budgets.

    Attributes:
        n_law: power law of N*.
        d_law: power law of D*.
        notes: soft problems.
    """

    n_law: PowerLaw
    d_law: PowerLaw
    notes: tuple[Note, ...]

    @property
    @abstractmethod
    def span(self) -> tuple[float, float]:
        """Lowest and highest budget of the power laws, FLOP."""

    @property
    def n_exponent(self) -> float:
        """Exponent of N* in the budget."""
        return float(self.n_law.exponent)

    @property
    def d_exponent(self) -> float:
        """Exponent of D* in the budget."""
        return float(self.d_law.exponent)

    def at(self, flops: Any) -> PowerLawOptimum:
        """N*, D* and D*/N* of the power laws, each an array of the shape of ``flops``.

        N* and D* come from separate power laws: their product is C/6 only if C is 6ND in the table.

        Raises:
            ArgumentError: a budget is not a positive number.
        """
        budgets = checked_budgets(flops)
        notes = (*extrapolation({"C": self.span}, {"C": budgets}), *self.notes)
        return PowerLawOptimum(budgets, self.n_law, self.d_law, notes)


def power_law_table(n_law: PowerLaw, d_law: PowerLaw, level: float) -> Table:
    """The two power laws as a table of a description."""
    low, high = np.transpose([law.interval(checked_level(level)) for law in (n_law, d_law)])
    # The laws of an envelope have no interval.
    ends = (low, high) if np.isfinite(low).any() else ((), ())
    laws = [f"exp({law.intercept:.6g}) C^{law.exponent:.6g}" for law in (n_law, d_law)]
    return Table(
        [
            Column("", ["N*, parameters", "D*, tokens"], "text"),
            Column("exponent", [float(law.exponent) for law in (n_law, d_law)], "number", *ends),
            Column("power law", laws, "text"),
        ],
        "Power laws of the budget C (FLOP)",
        f"{100 * level:g} % interval",
    )


def checked_budgets(flops: Any) -> np.ndarray:
    """Budgets as float64.

    Raises:
        ArgumentError: a budget is not a positive number.
    """
    remedy = "Pass the budget in FLOP, as flops=1e24"
    return numbers(flops, "flops", above=0, empty=False, remedy=remedy)
