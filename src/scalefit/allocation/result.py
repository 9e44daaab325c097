"""What an allocation is: the answers for one budget or many, with their draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalefit.arguments import choice, shown
from scalefit.arguments import level as checked_level
from scalefit.errors import AllocationError, ArgumentError
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.estimate import Draws, Estimate

__all__ = ["Allocation"]

# What an allocation has beside its columns and their ratio.
ANSWERS = ("loss", "budget", "spent", "n_exponent", "d_exponent")

# A budget that is left by more than this share is said to be left.
LEFT = 1e-3


@dataclass(frozen=True, eq=False)
class Allocation:
    """Compute-optimal N and D for one budget or many.

    Every array is of the shape of the budgets, or losses, that were asked for. ``best["P"]`` is a
    column by name.

    Attributes:
        columns: the free columns at the optimum, ``N`` and ``D`` among them, raw units.
        loss: predicted loss there, in the unit of the fitted table.
        budget: what was to be spent; where a loss was asked for, the least that reaches it.
        spent: the cost of the optimum: less than the budget where a limit leaves some, or where
            more tokens would raise the loss.
        n_exponent: d ln N* / d ln C at the budget; NaN where limits or further columns leave it
            without a derivative.
        d_exponent: d ln D* / d ln C at the budget, likewise.
        law: name of the law.
        cost: name of the cost.
        unit: what budgets are counted in, ``FLOP`` or ``USD``.
        draws: for each of the above from the columns to ``d_exponent``, by name, its value under
            every draw of an ensemble, shape (draws, *budgets); empty for a fit. NaN where a draw
            has no optimum.
        notes: soft problems.
    """

    columns: Mapping[str, np.ndarray]
    loss: np.ndarray
    budget: np.ndarray
    spent: np.ndarray
    n_exponent: np.ndarray
    d_exponent: np.ndarray
    law: str
    cost: str
    unit: str = "FLOP"
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        if not (isinstance(name, str) and name in self.columns):
            raise ArgumentError(
                f"column {shown(name)} was not free here",
                argument="column",
                value=name,
                remedy=f"Free were {', '.join(self.columns)}",
            )
        return self.columns[name]

    @property
    def N(self) -> np.ndarray:
        """Optimal model size, parameters."""
        return self["N"]

    @property
    def D(self) -> np.ndarray:
        """Optimal training tokens."""
        return self["D"]

    @property
    def flops(self) -> np.ndarray:
        """The budget in FLOP.

        Raises:
            AllocationError: it is counted in something else.
        """
        if self.unit != "FLOP":
            raise AllocationError(f"this budget is counted in {self.unit}: see its .budget")
        return self.budget

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D*/N*."""
        return np.asarray(self.D / self.N)[()]

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of what there is to :meth:`estimate`."""
        left = () if np.allclose(self.spent, self.budget, rtol=LEFT) else ("spent",)
        return (*self.columns, *self._ratio, "loss", *left, "n_exponent", "d_exponent")

    @property
    def _ratio(self) -> tuple[str, ...]:
        return ("D/N",) if {"N", "D"} <= set(self.columns) else ()

    def estimate(self, name: str) -> Estimate:
        """One answer with its uncertainty.

        Args:
            name: a free column, ``D/N``, ``loss``, ``budget``, ``spent``, ``n_exponent`` or
                ``d_exponent``.

        Raises:
            ArgumentError: the allocation has no such answer.
            AllocationError: the allocation is of a fit, not of an ensemble.
        """
        choice(name, "name", (*self.columns, *self._ratio, *ANSWERS))
        if not self.draws:
            raise AllocationError(
                "this allocation is of one fit and has no intervals. Allocate an ensemble: "
                "allocate(scalefit.bootstrap(fit, runs), ...)"
            )
        if name == "D/N":
            ratio = self.draws["D"] / self.draws["N"]
            return Estimate(self.tokens_per_param, ratio, self.draws.tails, self.notes)
        return self.draws.estimate(name, self._value(name), self.notes)

    def _value(self, name: str) -> np.ndarray:
        if name == "D/N":
            return self.tokens_per_param
        value: np.ndarray = self.columns[name] if name in self.columns else getattr(self, name)
        return value

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per budget; of an ensemble with an interval for each answer.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        budget = "flops" if self.unit == "FLOP" else self.unit.lower()
        columns = {budget: self.budget}
        if self.draws and np.ptp(self.draws["budget"], axis=0).any():
            low, high = self.estimate("budget").interval(level)
            columns |= {f"{budget}_low": low, f"{budget}_high": high}
        for name in self.answers:
            columns[name] = self._value(name)
            if self.draws:
                low, high = self.estimate(name).interval(level)
                columns |= {f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def summary(self, level: float = 0.95) -> str:
        """The table and the notes as text.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        return report.allocation_text(self, level)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.allocation_html(self)
