"""IsoFLOP fits, one budget at a time: Chinchilla's Approach 2, and the same by splines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.approach2.budget_vertices import (
    budget_table,
    find_vertices,
    power_laws,
    statuses,
    used_budgets,
    with_intervals,
)
from scalefit.approach2.curve_vertices import Method
from scalefit.approach2.frontier import Frontier, power_law_table
from scalefit.approach2.isoflop_notes import bent_notes, budget_notes, row_notes
from scalefit.approach2.power_laws import PowerLaw
from scalefit.approach2.run_quality import RuleChoice, apply_rules, flag_frame
from scalefit.approach2.sweeps import Sweeps, sweeps
from scalefit.arguments import choice, flag
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.notes import Note
from scalefit.reporting.description import Column, Description, Table
from scalefit.results.prediction import refuse_unknown
from scalefit.results.surface import Surface

__all__ = ["IsoFlop", "Method", "isoflop", "refit_without"]

# Level of the intervals in ``IsoFlop.budgets``.
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class IsoFlop(Frontier):
    """Vertices of IsoFLOP sweeps, and power laws through them.

    Attributes:
        budgets: a row for each budget, in rising order.

            - ``budget``, ``C_ratio``: FLOP, geometric mean of its runs; and their largest over
              their smallest.
            - ``n``, ``sizes``: runs, and distinct sizes.
            - ``N_min``, ``N_max``, ``half_width``: range of sizes, and the root of its ratio.
            - ``centre``: powers of ten from the vertex up to the geometric middle of the range.
            - ``N``, ``N_low``, ``N_high``: size of least loss, with its 95 % interval (Fieller's).
            - ``D``, ``D_low``, ``D_high``: the same for tokens, from the curve over D.
            - ``D_from_budget``: the tokens that the budget buys for N.
            - ``loss``: at the vertex over N.
            - ``curvature``, ``curvature_se``: coefficient of (ln N)^2.
            - ``interior``: whether the vertex over N lies in the range.
            - ``status``: ``ok``, ``too_few`` (fewer than three distinct sizes), ``edge_minimum``,
              ``negative_curvature``, ``weak_curvature`` (below two standard errors),
              ``impossible`` (a vertex outside the runs by more than twice their width, below one
              parameter or token where the runs are above, or of a loss below zero where all are
              above) or ``too_wide`` (runs of close C chained over more than a factor of two).
            - ``used``: whether the power laws go through it.
        n_law: N* against the budget.
        d_law: D* against the budget.
        method: how vertices were found.
        cost: name of what budgets are counted in.
        runs: budget of each run that was not left out, FLOP, by its label.
        removed: runs left out by a rule: ``budget``, ``N``, ``D``, ``loss``, ``rule``, ``reason``.
        keep_edges: whether a vertex outside its runs counts.
        sweeps: the runs that were not left out, grouped by budget.
        notes: soft problems.
    """

    budgets: pd.DataFrame
    n_law: PowerLaw
    d_law: PowerLaw
    method: Method
    cost: str
    runs: pd.Series
    removed: pd.DataFrame
    keep_edges: bool
    sweeps: Sweeps
    notes: tuple[Note, ...] = ()

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest budget of the power laws, FLOP."""
        budgets = self.budgets["budget"][self.budgets["used"]]
        return float(budgets.min()), float(budgets.max())

    def to_frame(self, level: float = LEVEL) -> pd.DataFrame:
        """The row of each budget, with intervals of another level than 95 %.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        if checked_level(level) == LEVEL:
            return self.budgets.copy()
        return with_intervals(self.budgets, find_vertices(self.sweeps, self.method), level)

    def __repr__(self) -> str:
        return (
            f"<IsoFlop by {self.method}: {int(self.budgets['used'].sum())} of {len(self.budgets)} "
            f"budgets, N* ~ C^{self.n_exponent:.4f}, D* ~ C^{self.d_exponent:.4f}>"
        )

    def describe(self, level: float = LEVEL) -> Description:
        """The exponents, the power laws and the optimum of each budget.

        Args:
            level: of the intervals: Student's t for an exponent, Fieller's for a vertex.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        used = int(self.budgets["used"].sum())
        low, high = self.n_law.interval(checked_level(level))
        interval = f" ({100 * level:g} %: {low:.3f} to {high:.3f})" if np.isfinite(low) else ""
        return Description(
            f"IsoFLOP sweeps by {self.method}, budgets counted as {self.cost}",
            f"N* grows as C^{self.n_exponent:.3f}{interval} and D* as C^{self.d_exponent:.3f}, by "
            f"{used} of {len(self.budgets)} budgets. At a budget: .at(1e24). Next, a law of all "
            "runs, which has no bias of parabolas: scalefit.fit(runs), then scalefit.bias",
            tables=[power_law_table(self.n_law, self.d_law, level), self._budget_rows(level)],
            notes=self.notes,
        )

    def _budget_rows(self, level: float) -> Table:
        """Budgets with three sizes or more: a table off any grid has dozens of one or two runs."""
        frame = self.to_frame(level)
        frame = frame[frame["status"] != "too_few"]
        # Without a bound the data say nothing of the vertex.
        bounded = frame["N_low"].gt(0) & np.isfinite(frame["N_high"])
        ends = [frame[name].where(bounded) for name in ("N_low", "N_high")]
        return Table(
            [
                Column("C, FLOP", frame["budget"], "flop"),
                Column("runs", frame["n"], "integer"),
                Column("N*, params", frame["N"], "count", *(ends if bounded.any() else ((), ()))),
                Column("D*, tokens", frame["D"], "count"),
                Column("loss", frame["loss"]),
                Column("status", frame["status"], "text"),
                Column("used", ["yes" if used else "no" for used in frame["used"]], "text"),
            ],
            "Optimum of each budget of three sizes or more",
            f"{100 * level:g} % interval",
            "budgets has all",
        )


def isoflop(
    runs: LossTable | pd.DataFrame,
    *,
    by: str | None = None,
    tolerance: float = 0.05,
    cost: str | Cost | None = None,
    method: Method = "parabola",
    rules: Sequence[RuleChoice] = (),
    keep_edges: bool = True,
    fit: Surface | None = None,
    **columns: str,
) -> IsoFlop:
    """Compute-optimal N and D from IsoFLOP sweeps, without a law of the loss.

    At each budget the size of least loss is the vertex of a parabola of the loss in ln N, and the
    tokens of least loss that of one in ln D, both by least squares. Then ln N* and ln D* are fitted
    on ln C, unweighted. Budgets with fewer than three distinct sizes, without a minimum, or with an
    impossible one are listed and left out. Before a budget is judged, runs that do not belong to it
    are looked for: by the parabola through the others, or by the residuals of ``fit``. They count;
    a note names them and gives the exponent without them.

    The vertices are biased even without noise, unless the loss is symmetric about its optimum:
    :func:`design_bias` says how much.

    Args:
        runs: a table with N, D and the loss.
        by: column that names the budget of a run; by default runs whose C is close share one.
        tolerance: a new budget begins where the sorted ln C leave a wider gap than this.
        cost: what C is counted in. By default it is the table's column C, or 6ND without one.
        method: ``parabola``; or ``akima`` or ``cubic``, the least point on a spline through the
            runs, which follows their noise and has no interval.
        rules: rules of :func:`flag_runs` to leave runs out by, in order; none by default.
        keep_edges: whether a parabola's vertex outside its runs counts. A spline's never does.
        fit: a law fitted to the runs, whose residuals then say which runs are off, in place of the
            parabolas; for the rule ``surface_outlier`` too.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        Vertices, power laws, runs left out, and notes.

    Raises:
        ArgumentError: an option is unknown or no number in its range.
        DataError: a column is missing, or fewer than two budgets have a minimum.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, section 3.2.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
        >>> found = sf.isoflop(runs)
        >>> round(found.n_exponent, 4), round(found.d_exponent, 4)
        (0.4516, 0.5484)
        >>> best = found.at(1e24)
        >>> f"{best.N:.3g} parameters, {best.D:.3g} tokens"  # of this surface 4.04e+12 are best
        '4.25e+10 parameters, 3.92e+12 tokens'
    """
    choice(method, "method", get_args(Method))
    keep_edges = flag(keep_edges, "keep_edges")
    refuse_unknown(isoflop, None, columns)
    table = as_table(runs, **columns)
    every = sweeps(table, by, tolerance, cost, fit=fit)
    name = every.cost.name if every.counted else f"column {table.sources['C']!r}"
    return _fit_sweeps(every, rules, method, keep_edges, name, (*table.notes, *row_notes(table)))


def refit_without(isoflop: IsoFlop, rules: Sequence[RuleChoice]) -> IsoFlop:
    """The same runs, grouped as they were, without those that the rules find.

    Raises:
        ArgumentError: a rule is unknown.
        DataError: fewer than two budgets have a minimum.
    """
    return _fit_sweeps(isoflop.sweeps, rules, isoflop.method, isoflop.keep_edges, isoflop.cost, ())


def _fit_sweeps(
    every: Sweeps,
    rules: Sequence[RuleChoice],
    method: Method,
    keep_edges: bool,
    cost: str,
    notes: Sequence[Note],
) -> IsoFlop:
    flags, kept = apply_rules(every, rules)
    removed = flag_frame(every, flags)
    fits = find_vertices(kept, method)
    budgets = budget_table(kept, fits, LEVEL)
    budgets["status"] = statuses(kept, budgets, fits)
    # The least point of a spline at the end of its runs is no vertex.
    edges = keep_edges and method == "parabola"
    budgets["used"] = used_budgets(budgets["status"].to_numpy(), fits, edges)
    n_law, d_law = power_laws(budgets, fits)
    return IsoFlop(
        budgets=budgets,
        n_law=n_law,
        d_law=d_law,
        method=method,
        cost=cost,
        runs=_budget_of_runs(kept),
        removed=removed,
        keep_edges=keep_edges,
        sweeps=kept,
        notes=(
            *notes,
            *bent_notes(kept, method, budgets, n_law),
            *budget_notes(kept, budgets, removed),
        ),
    )


def _budget_of_runs(runs: Sweeps) -> pd.Series:
    """Budget of each run that is in one, FLOP, by its label."""
    budget = np.full(len(runs.N), np.nan)
    for members in runs.members:
        budget[members] = runs.budget(members)
    return pd.Series(budget, index=pd.Index(runs.rows), name="budget").dropna()
