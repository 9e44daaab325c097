"""The report of Approach 2 beside a fitted surface at one budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.allocation.deadweight_compute import Deadweight
from scalefit.allocation.hardware import Hardware
from scalefit.allocation.result import Allocation
from scalefit.approach2.attribution import Attribution, difference_text
from scalefit.approach2.design_error import DesignBias
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.approach2.resamples import resampling_tails
from scalefit.arguments import choice
from scalefit.arguments import level as checked_level
from scalefit.errors import DataError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, percent, shown
from scalefit.results.estimate import Draws, Estimate, TailCorrection
from scalefit.results.fit import Fit

__all__ = ["BiasReport"]

Quantity = Literal["N", "D", "D/N", "n_exponent", "d_exponent"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)
ANSWERS = (*QUANTITIES, "loss")

HEADINGS = ("N*, parameters", "D*, tokens", "D*/N*", "exponent of N*", "exponent of D*", "loss")
KINDS: tuple[Kind, ...] = ("count", "count", "number", "number", "number", "number")


@dataclass(frozen=True, eq=False)
class BiasReport(Described):
    """Approach 2 beside a fitted surface at one budget.

    The run in question is that of Approach 2's tokens, and of the size that the budget buys for
    them: N and D of Approach 2 come from separate parabolas and need not spend the budget.

    Attributes:
        fit: the surface; of an ensemble, its fit.
        isoflop: the sweeps by Approach 2.
        optimum: the surface's optimum at the budget, of an ensemble with draws.
        waste: deadweight of the run: the surface reaches its loss with less compute.
        cost: what the surface's budgets are counted in.
        design: errors of Approach 2 on these N and D without any noise.
        attribution: the error by cause.
        resamples: Approach 2 on resampled runs, the surface as it is: a row for each, with its
            answers, ``deadweight``, and ``failed_budgets``, the number of budgets without a
            minimum. Empty where the parabolas leave fewer than five residual degrees of freedom.
        variants: the answers with other objectives and without flagged runs: see :func:`bias`.
        hardware: what the run would be trained on.
        utilisation: share of the dense peak that it reaches.
        notes: soft problems.
    """

    fit: Fit
    isoflop: IsoFlop
    optimum: Allocation
    waste: Deadweight
    cost: Cost
    design: DesignBias
    attribution: Attribution
    resamples: pd.DataFrame
    variants: pd.DataFrame
    hardware: Hardware
    utilisation: float
    notes: tuple[Note, ...] = ()

    @property
    def flops(self) -> float:
        """The budget, FLOP."""
        return float(self.optimum.budget)

    @property
    def law(self) -> str:
        """Name of the law."""
        return self.fit.law.name

    @cached_property
    def surface(self) -> Mapping[str, float]:
        """``N``, ``D``, ``D/N``, ``n_exponent``, ``d_exponent`` and ``loss`` of the optimum."""
        best = self.optimum
        values = (best.N, best.D, best.tokens_per_param, best.n_exponent, best.d_exponent)
        return Frozen(dict(zip(ANSWERS, map(float, (*values, best.loss)), strict=True)))

    @cached_property
    def approach2(self) -> Mapping[str, float]:
        """The same by Approach 2; ``loss`` is the surface's, of the run in question."""
        best = self.isoflop.at(self.flops)
        exponents = self.isoflop.n_exponent, self.isoflop.d_exponent
        values: list[Any] = [best.N, best.D, best.tokens_per_param, *exponents, self.waste.loss]
        return Frozen(dict(zip(ANSWERS, map(float, values), strict=True)))

    @property
    def size(self) -> float:
        """Size of the run in question, parameters."""
        return float(budget_size(self.cost, self.flops, self.approach2["D"]))

    @property
    def deadweight(self) -> float:
        """Share of the budget that the run in question wastes."""
        return float(self.waste.share)

    @property
    def deadweight_flops(self) -> float:
        """Wasted FLOP."""
        return self.deadweight * self.flops

    @property
    def device_hours(self) -> float:
        """Device-hours of the wasted FLOP."""
        return float(self.hardware.hours(self.deadweight_flops, self.utilisation))

    @property
    def usd(self) -> float:
        """Dollars of the wasted FLOP."""
        return float(self.hardware.usd(self.deadweight_flops, self.utilisation))

    @property
    def draws(self) -> Draws:
        """The optimum under each draw of an ensemble, shape (draws,); empty for a fit."""
        return self.optimum.draws

    @property
    def tails(self) -> TailCorrection:
        """How far out among the resamples the ends of an interval lie."""
        return resampling_tails(self.isoflop)

    @property
    def failed_share(self) -> float:
        """Share of the resamples where Approach 2 has no minimum at some budget; NaN of none."""
        return float((self.resamples["failed_budgets"] > 0).mean())

    def error(self, name: str = "D") -> float:
        """Approach 2 relative to the surface, less one.

        Raises:
            ArgumentError: there is no such answer.
        """
        choice(name, "name", ANSWERS)
        return self.approach2[name] / self.surface[name] - 1

    def estimate(self, name: str = "deadweight") -> Estimate:
        """An answer with the uncertainty of the surface; Approach 2 stays as it is.

        Args:
            name: ``N``, ``D``, ``D/N``, ``n_exponent``, ``d_exponent`` or ``loss`` of the surface;
                ``error``, of D; or ``deadweight``.

        Raises:
            ArgumentError: there is no such answer.
            DataError: the report is of a fit, not of an ensemble.
        """
        choice(name, "name", (*ANSWERS, "deadweight", "error"))
        if not self.draws:
            raise DataError(
                "this report is of one fit: its surface has no intervals",
                remedy="Give an ensemble: bias(scalefit.bootstrap(fit, runs), isoflop, runs, "
                "flops)",
            )
        tails = self.draws.tails
        if name == "error":
            drawn = self.approach2["D"] / self.draws["D"] - 1
            return Estimate(np.asarray(self.error()), drawn, tails, self.notes)
        if name == "deadweight":
            drawn = self.waste.estimate("share").draws
            return Estimate(np.asarray(self.deadweight), drawn, tails, self.notes)
        drawn = self.optimum.estimate(name).draws
        return Estimate(np.asarray(self.surface[name]), drawn, tails, self.notes)

    def resampled(self, name: str = "D") -> Estimate:
        """An answer of Approach 2 with the uncertainty of its runs; the surface stays as it is.

        Args:
            name: ``N``, ``D``, ``D/N``, ``n_exponent`` or ``d_exponent``; ``error``, of D; or
                ``deadweight``.

        Raises:
            ArgumentError: there is no such answer.
            DataError: there are no resamples.
        """
        choice(name, "name", (*QUANTITIES, "deadweight", "error"))
        if not len(self.resamples):
            raise DataError(
                "the runs of this report were not resampled",
                remedy="Give n_draws=400, and sweeps of more runs where a note says `few_rows`",
            )
        if name == "error":
            drawn = self.resamples["D"].to_numpy() / self.surface["D"] - 1
            return Estimate(np.asarray(self.error()), drawn, self.tails, self.notes)
        value = self.deadweight if name == "deadweight" else self.approach2[name]
        drawn = self.resamples[name].to_numpy()
        return Estimate(np.asarray(value), drawn, self.tails, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each answer: by the surface, by Approach 2, and the relative error.

        Args:
            level: of the intervals: of the surface over the draws of an ensemble, of Approach 2
                over the resamples.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        rows = {}
        for name in ANSWERS:
            row = {"surface": self.surface[name], "approach2": self.approach2[name]}
            if self.draws:
                low, high = self.estimate(name).interval(level)
                row |= {"surface_low": float(low), "surface_high": float(high)}
            if name in self.resamples and len(self.resamples):
                low, high = self.resampled(name).interval(level)
                row |= {"approach2_low": float(low), "approach2_high": float(high)}
            rows[name] = {**row, "error": self.error(name)}
        order = ["surface", "surface_low", "surface_high", "approach2", "approach2_low"]
        frame = pd.DataFrame.from_dict(rows, orient="index")
        return frame[[name for name in [*order, "approach2_high", "error"] if name in frame]]

    def __repr__(self) -> str:
        return (
            f"<BiasReport at {shown(self.flops, 'flop').value} FLOP: "
            f"{self.attribution.headline}, deadweight {percent(self.deadweight)}>"
        )

    def describe(self, level: float = 0.95) -> Description:
        """The error of Approach 2, what it wastes, and why.

        Args:
            level: of the intervals, see :meth:`to_frame`.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        parts = {
            "attribution": self.attribution.describe(level),
            "design": self.design.describe(level),
        }
        if len(self.variants) > 1:
            title = "The same with other objectives, and without flagged runs"
            parts["variants"] = Description(title, tables=[self._variant_rows()])
        return Description(
            f"Approach 2 against {self.law} at {shown(self.flops, 'flop').value} FLOP, budgets "
            f"counted as {self.cost.name}",
            self._headline(level),
            facts=self._facts(level),
            tables=[self._answer_rows(level)],
            notes=self.notes,
            parts=parts,
        )

    def _headline(self, level: float) -> str:
        why = self.attribution
        notable = f" ({why.headline})" if why.cancels or why.of_convention else ""
        share, over = percent(self.deadweight), ""
        if self.draws or len(self.resamples):
            answer = self.estimate() if self.draws else self.resampled("deadweight")
            cell = shown(self.deadweight, "percent", *answer.interval(level))
            whose = "over the draws of the surface" if self.draws else "over resampled runs"
            share, over = cell.value, f" ({100 * level:g} %: {cell.interval} {whose})"
        return (
            f"Approach 2 would train on {difference_text(self.error(), 'tokens')} than the surface "
            f"says{notable}; that wastes {share} of the budget{over}. {why.largest_part} Why: "
            f".attribution. Next sweeps: scalefit.approach2.advise(fit, {self.flops:.3g})"
        )

    def _answer_rows(self, level: float) -> Table:
        frame = self.to_frame(level)
        sources = []
        columns = [Column("", HEADINGS, "text")]
        for name, heading, over in (
            ("surface", "surface", "of the surface over its draws"),
            ("approach2", "Approach 2", "of Approach 2 over resampled runs"),
        ):
            ends: Any = ()
            if f"{name}_low" in frame:
                ends = (frame[f"{name}_low"], frame[f"{name}_high"])
                sources.append(over)
            columns.append(Column(heading, frame[name], KINDS, *ends))
        columns.append(Column("difference", frame["error"], "percent"))
        title = "Optimum at the budget, and the loss of the run below"
        if sources:
            title += f"; intervals {' and '.join(sources)}"
        return Table(columns, title, f"{100 * level:g} % interval")

    def _facts(self, level: float) -> dict[str, str]:
        """What the difference costs, and how often Approach 2 has no answer."""
        D, size = (shown(item, "count").value for item in (self.approach2["D"], self.size))
        return {
            "the run": f"{D} tokens, for which the budget buys {size} parameters",
            "deadweight": f"{shown(self.deadweight_flops, 'flop').value} FLOP, "
            f"{self.device_hours:,.0f} hours of {self.hardware} at "
            f"{percent(self.utilisation)} of its dense peak, ${self.usd:,.0f}",
            "no noise": "on these runs Approach 2 would be off by "
            f"{self.design.target['D_error'].iloc[0]:+.2%} in D* without any noise",
            "resamples": self._resampling_fact(level),
        }

    def _resampling_fact(self, level: float) -> str:
        if not len(self.resamples):
            return ""
        failed = (self.resamples["failed_budgets"] > 0).sum()
        answer = self.resampled("deadweight")
        cell = shown(self.deadweight, "percent", *answer.interval(level))
        return (
            f"Approach 2 has no minimum at some budget in {failed} of {len(self.resamples)} "
            f"resamples of the runs; deadweight {100 * level:g} %: {cell.interval}, median "
            f"{percent(float(np.nanmedian(answer.draws)))}"
        )

    def _variant_rows(self) -> Table:
        frame = self.variants
        return Table(
            [
                Column("", list(map(str, frame.index)), "text"),
                Column("runs", frame["nobs"], "integer"),
                Column("budgets", frame["budgets"], "integer"),
                Column("N* exponent", frame["n_exponent"]),
                Column("by A2", frame["n_exponent_approach2"]),
                Column("error of D*", frame["error"], "percent"),
                Column("deadweight", frame["deadweight"], "percent"),
                Column("residual rms", frame["residual_rms"]),
            ]
        )


def budget_size(cost: Cost, flops: float, D: float | np.ndarray) -> np.ndarray:
    """Size that a budget k N D + m N buys for D tokens."""
    return np.asarray(flops / (cost.per_product * np.asarray(D) + cost.per_model))
