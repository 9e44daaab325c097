"""The result of an allocation: the optimum of one budget or many, with its draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalefit.arguments import choice
from scalefit.arguments import level as checked_level
from scalefit.arguments import shown as as_passed
from scalefit.errors import AllocationError, ArgumentError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, shown
from scalefit.results.estimate import Draws, Estimate, frame_of

__all__ = ["Allocation", "amount"]

# Quantities of an allocation beside its columns and their ratio.
ANSWERS = ("loss", "budget", "spent", "n_exponent", "d_exponent")

# The cost is shown beside the budget where it differs by more than this share.
LEFT = 1e-3


@dataclass(frozen=True, eq=False)
class Allocation(Described):
    """Compute-optimal N and D for one budget or many.

    Every array is of the shape of the budgets, or losses, that were passed. ``best["P"]`` is a
    column by name.

    Attributes:
        columns: the free columns at the optimum, ``N`` and ``D`` among them, raw units.
        loss: predicted loss there, in the unit of the fitted table.
        budget: what was to be spent; of a loss, the least that reaches it.
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
        domain: smallest and largest value of each column among the runs of the fit, and of
            ``D/N`` and ``6ND``, raw units.
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
    domain: Mapping[str, tuple[float, float]] = Frozen()

    def __getitem__(self, name: str) -> np.ndarray:
        if not (isinstance(name, str) and name in self.columns):
            raise ArgumentError(
                f"column {as_passed(name)} was not free here",
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
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities, for :meth:`estimate`."""
        left = () if np.allclose(self.spent, self.budget, rtol=LEFT) else ("spent",)
        return (*self.columns, *self._ratio, "loss", *left, "n_exponent", "d_exponent")

    @property
    def _ratio(self) -> tuple[str, ...]:
        return ("D/N",) if {"N", "D"} <= set(self.columns) else ()

    def estimate(self, name: str) -> Estimate:
        """One quantity with its uncertainty.

        Args:
            name: a free column, ``D/N``, ``loss``, ``budget``, ``spent``, ``n_exponent`` or
                ``d_exponent``.

        Raises:
            ArgumentError: the allocation has no such quantity.
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
        """One row per budget; of an ensemble with an interval for each quantity.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        budget = "flops" if self.unit == "FLOP" else self.unit.lower()
        values = {budget: self.budget, **{name: self._value(name) for name in self.quantities}}
        estimates = {name: self.estimate(name) for name in self.quantities if self.draws}
        if self.draws and np.ptp(self.draws["budget"], axis=0).any():
            estimates[budget] = self.estimate("budget")
        return frame_of(values, estimates, level)

    def describe(self, level: float = 0.95) -> Description:
        """The optimum in words, and a table of every budget.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        one = np.size(self.loss) == 1
        return Description(
            title=f"Compute-optimal allocation of {self.law}, cost {self.cost}",
            headline=f"{self._in_words()} {self._next}".strip(),
            tables=[self._by_quantity(level) if self.draws and one else self._by_budget(level)],
            notes=self.notes,
        )

    def _in_words(self) -> str:
        """What to train at the first budget, and at the last where there are several."""
        places = dict.fromkeys((0, np.size(self.loss) - 1))
        said = []
        for at in places:
            picked = {name: float(np.ravel(values)[at]) for name, values in self.columns.items()}
            N, D = picked.pop("N", None), picked.pop("D", None)
            words = [] if N is None else [f"{shown(N, 'count').value} parameters"]
            words += [] if D is None else [f"{shown(D, 'count').value} tokens"]
            train = " on ".join(words)
            if N is not None and D is not None:
                ratio = f"{D / N:,.0f}" if D > 10 * N else f"{D / N:.2g}"
                train += f" ({ratio} tokens each)"
            others = ", ".join(f"{name} = {value:.4g}" for name, value in picked.items())
            spent = amount(float(np.ravel(self.spent)[at]), self.unit)
            what = " with ".join(item for item in (train, others) if item)
            said.append(f"{what} for {spent}")
        return f"Train {', up to '.join(said)}: loss {self._losses}."

    @property
    def _losses(self) -> str:
        ends = dict.fromkeys(shown(float(np.ravel(self.loss)[at])).value for at in (0, -1))
        return " to ".join(ends)

    @property
    def _next(self) -> str:
        """The call that says how flat the optimum is."""
        if not {"N", "D"} <= set(self.columns):
            return ""
        budget = f"{float(np.ravel(self.budget)[0]):.6g}".replace("e+", "e")
        given = budget if self.unit == "FLOP" else f"usd={budget}"
        cost = "" if self.cost == "6ND" else ", cost=..."
        return f"Next: scalefit.near_optimal(fit, {given}, within=0.01{cost})"

    @property
    def _budget_heading(self) -> str:
        return f"budget ({self.unit})"

    def _by_budget(self, level: float) -> Table:
        """A row for each budget; of draws fewer columns, with intervals of those but the loss."""
        names = [*self.columns, "loss"] if self.draws else list(self.quantities)
        columns = [Column(self._budget_heading, np.ravel(self.budget).tolist(), self._budget_kind)]
        for name in names:
            shows = self.draws and name != "loss"
            ends = self.estimate(name).interval(level) if shows else ((), ())
            heading, kind = self._heading(name)
            low, high = (np.ravel(end).tolist() for end in ends)
            columns.append(Column(heading, np.ravel(self._value(name)).tolist(), kind, low, high))
        return Table(
            columns, self.interval_title(level, "the optimum"), f"{100 * level:g} % interval"
        )

    def _by_quantity(self, level: float) -> Table:
        """A row for each quantity at the one budget."""
        moves = bool(np.ptp(self.draws["budget"], axis=0).any())
        names = [*(("budget",) if moves else ()), *self.quantities]
        rows = [(self._heading(name), self.estimate(name)) for name in names]
        ends = [item.interval(level) for _, item in rows]
        return Table(
            [
                Column("at the optimum", [heading for (heading, _), _ in rows], "text"),
                Column(
                    "value",
                    [float(np.ravel(item.value)[0]) for _, item in rows],
                    [kind for (_, kind), _ in rows],
                    [float(np.ravel(low)[0]) for low, _ in ends],
                    [float(np.ravel(high)[0]) for _, high in ends],
                ),
            ],
            self.interval_title(level, "the optimum"),
            f"{100 * level:g} % interval",
        )

    def interval_title(self, level: float, what: str) -> str:
        """What the intervals of a table belong to; empty without draws."""
        if not self.draws:
            return ""
        count = len(self.draws["loss"])
        return f"{100 * level:g} % intervals of {what} over {count} draws of the fit"

    @property
    def _budget_kind(self) -> Kind:
        return "flop" if self.unit == "FLOP" else "usd"

    def _heading(self, name: str) -> tuple[str, Kind]:
        """Heading with its unit, and how its numbers are written."""
        known: dict[str, tuple[str, Kind]] = {
            "N": ("N* (params)", "count"),
            "D": ("D* (tokens)", "count"),
            "D/N": ("D*/N*", "number"),
            "loss": ("loss", "number"),
            "budget": (self._budget_heading, self._budget_kind),
            "spent": (f"spent ({self.unit})", self._budget_kind),
            "n_exponent": ("d ln N*/d ln C", "number"),
            "d_exponent": ("d ln D*/d ln C", "number"),
        }
        return known.get(name, (f"{name}*", "number"))

    def __repr__(self) -> str:
        budgets = np.ravel(self.budget)
        said = (
            amount(float(budgets[0]), self.unit) if budgets.size == 1 else f"{budgets.size} budgets"
        )
        return f"<Allocation of {self.law} at {said}>"


def amount(budget: float, unit: str) -> str:
    """A budget in words, with its unit."""
    return shown(budget, "usd").value if unit == "USD" else f"{shown(budget, 'flop').value} FLOP"
