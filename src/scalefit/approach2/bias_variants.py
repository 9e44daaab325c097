"""The bias again with other objectives and without flagged runs: how far choices move it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.allocation.deadweight_compute import deadweight
from scalefit.allocation.optimum import allocate
from scalefit.approach2.bias_report import budget_size
from scalefit.approach2.isoflop_fit import IsoFlop, refit_without
from scalefit.approach2.run_quality import RuleChoice
from scalefit.data.dropped_rows import DroppedRow
from scalefit.data.table import LossTable
from scalefit.errors import ScalefitError
from scalefit.fitting.refits import crossed_objectives, objective_label, refit
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.results.fit import Fit

__all__ = ["AS_GIVEN", "UNFLAGGED", "Comparison"]

AS_GIVEN, UNFLAGGED = "as given", "without flagged runs"


@dataclass(frozen=True)
class Comparison:
    """A surface and Approach 2 on the same runs, at one budget.

    Attributes:
        fit: the surface.
        isoflop: the sweeps by Approach 2.
        table: the runs.
        flops: the budget, FLOP.
        cost: what the surface's budgets are counted in.
    """

    fit: Fit
    isoflop: IsoFlop
    table: LossTable
    flops: float
    cost: Cost

    def variants(
        self, rules: Sequence[RuleChoice], objectives: bool
    ) -> tuple[pd.DataFrame, list[Note]]:
        """A row for each variant; one that has no answer becomes a note."""
        tries: dict[str, Callable[[], Comparison]] = {AS_GIVEN: lambda: self}
        if len(rules):
            tries[UNFLAGGED] = lambda: self.without_flagged(rules)
        for objective in crossed_objectives() if objectives else ():
            label = objective_label(objective)
            tries[label] = lambda objective=objective: self.with_objective(objective)  # type: ignore[misc]
        rows, notes = {}, []
        for label, variant in tries.items():
            try:
                rows[label] = variant().answers()
            except ScalefitError as error:
                if label == AS_GIVEN:
                    raise
                message = f"{label!r} has no answer here: {error}"
                notes.append(Note.of("variant_failed", message, {"variant": label}))
        return pd.DataFrame.from_dict(rows, orient="index"), notes

    def without_flagged(self, rules: Sequence[RuleChoice]) -> Comparison:
        """The same without the runs that the rules flag: Approach 2 and a new fit of the rest."""
        isoflop = refit_without(self.isoflop, rules)
        flagged = isoflop.removed["rule"]
        kept = ~self.table.frame.index.isin(flagged.index)
        dropped = [DroppedRow(row, f"flagged by {rule}") for row, rule in flagged.items()]
        table = replace(
            self.table,
            frame=self.table.frame[kept],
            dropped=(*self.table.dropped, *dropped),
        )
        fit = refit(self.fit, table)
        return replace(self, fit=fit, isoflop=isoflop, table=table)

    def with_objective(self, objective: Objective) -> Comparison:
        """The same with the surface fitted by another objective."""
        if objective == self.fit.objective:
            return self
        return replace(self, fit=refit(self.fit, self.table, objective))

    def wasted(self, D: Any) -> np.ndarray:
        """Share of the budget that training on D tokens wastes, of the shape of D."""
        size = budget_size(self.cost, self.flops, D)
        return deadweight(self.fit, size, D, cost=self.cost).share

    def answers(self) -> dict[str, Any]:
        """A row of ``BiasReport.variants``."""
        best = allocate(self.fit, self.flops, cost=self.cost)
        tokens = float(self.isoflop.at(self.flops).D)
        delta = self.fit.objective.delta
        residuals = np.abs(self.fit.residuals(self.table))
        return {
            "nobs": self.fit.nobs,
            "budgets": int(self.isoflop.budgets["used"].sum()),
            "n_exponent": float(best.n_exponent),
            "n_exponent_approach2": self.isoflop.n_exponent,
            "D": float(best.D),
            "D_approach2": tokens,
            "error": tokens / float(best.D) - 1,
            "deadweight": float(self.wasted(tokens)),
            "residual_rms": self.fit.residual_rms,
            "beyond_delta": np.nan if delta is None else float((residuals > delta).mean()),
        }
