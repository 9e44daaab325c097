"""How far model size may leave the optimum: by loss at a budget, or by compute at a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike
from scalefit.allocation.optimum import MEANT, allocate
from scalefit.allocation.problem import AllocationProblem, build_problem
from scalefit.allocation.problem_options import Limits, level_and_unit
from scalefit.allocation.result import Allocation, amount
from scalefit.allocation.size_range import SizeRange, size_range
from scalefit.allocation.solve import solve_all
from scalefit.allocation.solver import LIMITED
from scalefit.arguments import choice, number
from scalefit.arguments import shown as as_passed
from scalefit.calls import checked_call
from scalefit.errors import AllocationError, ArgumentError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent, shown
from scalefit.results.estimate import Draws, Estimate, frame_of
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress

__all__ = ["NearOptimal", "near_optimal"]

ENDS = ("low", "high", "tokens_low", "tokens_high")


@dataclass(frozen=True, eq=False)
class NearOptimal(Described):
    """Model sizes that are nearly as good as the best.

    Every array is of the shape of the budgets.

    Attributes:
        best: the optimum.
        low: the smallest such model, parameters.
        high: the largest.
        tokens_low: training tokens of the smallest.
        tokens_high: of the largest.
        criterion: what nearly as good means, a phrase.
        draws: ``low``, ``high``, ``tokens_low`` and ``tokens_high`` under every draw of an
            ensemble, shape (draws, *budgets); empty for a fit.
        notes: soft problems.
    """

    best: Allocation
    low: np.ndarray
    high: np.ndarray
    tokens_low: np.ndarray
    tokens_high: np.ndarray
    criterion: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """One end with its uncertainty.

        Args:
            name: ``low``, ``high``, ``tokens_low`` or ``tokens_high``.

        Raises:
            ArgumentError: the region has no such end.
            AllocationError: the region is of a fit, not of an ensemble.
        """
        choice(name, "name", ENDS)
        if not self.draws:
            raise AllocationError(
                "this region is of one fit and has no intervals. Take that of an ensemble: "
                "near_optimal(scalefit.bootstrap(fit, runs), ...)"
            )
        return self.draws.estimate(name, getattr(self, name), self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per budget: the optimum ``N``, both ends, and high / low as ``span``.

        Args:
            level: coverage of the intervals of an ensemble, ``low_low`` to ``tokens_high_high``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        values = {"flops" if self.best.unit == "FLOP" else "usd": self.best.budget}
        values |= {"N": self.best.N, **{name: getattr(self, name) for name in ENDS}}
        values["span"] = self.high / self.low
        estimates = {name: self.estimate(name) for name in ENDS if self.draws}
        return frame_of(values, estimates, level)

    def describe(self, level: float = 0.95) -> Description:
        """The range of sizes in words, and a table of every budget.

        Args:
            level: coverage of the intervals of an ensemble.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        ranges = []
        for row in dict.fromkeys((0, len(frame) - 1)):
            low, high, best = (
                shown(frame[name].iloc[row], "count").value for name in ("low", "high", "N")
            )
            budget = amount(float(np.ravel(self.best.budget)[row]), self.best.unit)
            ranges.append(f"{low} to {high} parameters at {budget} (best {best})")
        return Description(
            title=f"Near-optimal model sizes of {self.best.law}, cost {self.best.cost}",
            headline=f"{'; '.join(ranges)}: {self.criterion}.",
            tables=[self._table(level)],
            notes=self.notes,
        )

    def _table(self, level: float) -> Table:
        """Three rows for each budget: the smallest model, the optimum, the largest."""
        count, unit = np.size(self.low), self.best.unit
        budgets = np.repeat(np.ravel(self.best.budget), 3).tolist()
        columns = [
            Column(f"budget ({unit})", budgets, "flop" if unit == "FLOP" else "usd"),
            Column("model", ["smallest", "optimum", "largest"] * count, "text"),
        ]
        for heading, names in (
            ("N (params)", ("low", "N", "high")),
            ("D (tokens)", ("tokens_low", "D", "tokens_high")),
        ):
            values = [self.best[name] if name in "ND" else getattr(self, name) for name in names]
            ends: list[Any] = []
            if self.draws:
                found = [
                    (self.best if name in "ND" else self).estimate(name).interval(level)
                    for name in names
                ]
                ends = [_interleaved([pair[i] for pair in found]) for i in (0, 1)]
            columns.append(Column(heading, _interleaved(values), "count", *ends))
        return Table(
            columns,
            self.best.interval_title(level, "sizes and tokens"),
            f"{100 * level:g} % interval",
        )

    def __repr__(self) -> str:
        count = np.size(self.low)
        return f"<NearOptimal sizes of {self.best.law} at {count} budget{'s' * (count != 1)}>"


def _interleaved(values: list[Any]) -> list[float]:
    """The first of each, then the second of each, and so on."""
    found: list[float] = np.stack([np.ravel(item) for item in values], axis=1).ravel().tolist()
    return found


@checked_call(**MEANT)
@with_progress
def near_optimal(
    fit: Surface,
    flops: Any = None,
    *,
    usd: Any = None,
    within: float | None = None,
    overhead: float | None = None,
    cost: CostLike = "6ND",
    fixed: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    progress: bool = True,
) -> NearOptimal:
    """The model sizes whose loss, or whose extra compute, stays close to the best.

    With ``within`` the budget C is kept: the N for which the least loss of cost(N, D) <= C is at
    most the best one plus ``within``. With ``overhead`` the loss is kept: the N that reach the best
    loss of the budget for at most (1 + overhead) times the least that it takes, which is C wherever
    the budget is spent to the end.

    Args:
        fit: a fit of a law of the loss, or an ensemble of one.
        flops: budget or budgets, FLOP.
        usd: the same in dollars, for a cost in dollars.
        within: loss above the best, in the unit of the table.
        overhead: share of extra cost, such as 0.05; 0.05 where neither is given.
        cost: as for :func:`allocate`.
        fixed: as for :func:`allocate`.
        limits: as for :func:`allocate`.
        progress: whether a line shows what is going on once it takes more than a second.

    Returns:
        Both ends; a note where the searched range ended first, or a limit.

    Raises:
        ArgumentError: as for :func:`allocate`; or both criteria are given, or one is no positive
            number.
        DataError: coefficients of the fit differ by a column.
        AllocationError: as for :func:`allocate`; or the best loss has no least cost.

    Source:
        de Vries 2023, Go smol or go home (compute overhead at equal loss).

    Example:
        >>> import scalefit as sf
        >>> region = sf.near_optimal(sf.published("chinchilla", "besiroglu"), 1e24, overhead=0.05)
        >>> f"{region.low / 1e9:.0f}B to {region.high / 1e9:.0f}B, best {region.best.N / 1e9:.0f}B"
        '68B to 142B, best 96B'
    """
    surface = checked_surface(fit)
    within, overhead = _criterion(within, overhead)
    best = allocate(fit, flops, usd=usd, cost=cost, fixed=fixed, limits=limits)
    if len(best.columns) < 2:
        (bought,) = best.columns
        given = ", ".join(fixed or {})
        raise AllocationError(
            f"with {given} fixed the budget buys {bought} alone, and no range of sizes is near the "
            f"best. Leave {given} out of fixed, and give what the law has beside N and D"
        )
    levels, unit = level_and_unit(flops, usd, None)
    point = surface.point
    problem = build_problem(point, levels, unit, cost=cost, fixed=fixed, limits=limits)
    kept: AllocationProblem | None = None
    if overhead is not None:
        kept = build_problem(point, best.loss, "loss", cost=cost, fixed=fixed, limits=limits)
    share = within if within is not None else overhead
    assert share is not None
    one = {name: np.array([value]) for name, value in problem.fit.params.items()}
    found, usable = _ranges(problem, kept, one, share)
    if not found.known.all():
        level = float(np.ravel(best.loss)[np.argmin(found.known[0])])
        raise AllocationError(
            f"the loss of {level:g} has no least cost within the limits and the tokens per "
            "parameter that are searched, so that no region is around it. Pass within=0.01 of "
            "the loss, or loosen a limit"
        )

    def drawn_ends(drawn: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return _ends(*_ranges(problem, kept, drawn, share), best.loss.shape)

    ends = _ends(found, usable, best.loss.shape)
    return NearOptimal(
        best,
        **{name: values[0][()] for name, values in ends.items()},
        criterion=(
            f"a loss within {within:g} of the best at the budget"
            if within is not None
            else f"at most {percent(share)} more cost at the best loss of the budget"
        ),
        draws=surface.drawn.apply(drawn_ends),
        notes=(*best.notes, *_notes(found, usable)),
    )


def _criterion(within: Any, overhead: Any) -> tuple[float | None, float | None]:
    """The one criterion that is given; an overhead of 5 percent by default."""
    if within is None:
        share = 0.05 if overhead is None else overhead
        remedy = "Pass a share of extra cost, as overhead=0.05"
        return None, number(share, "overhead", above=0, remedy=remedy)
    if overhead is not None:
        raise ArgumentError(
            f"within={as_passed(within)} and overhead={as_passed(overhead)} are two criteria",
            argument="within",
            value=within,
            remedy="Pass one of them, and within=None or overhead=None",
        )
    remedy = "Pass a loss above the best, in the unit of the table, as within=0.01"
    return number(within, "within", above=0, remedy=remedy), None


def _ranges(
    problem: AllocationProblem,
    kept: AllocationProblem | None,
    params: Mapping[str, np.ndarray],
    share: float,
) -> tuple[SizeRange, np.ndarray]:
    """The range of sizes under every draw, shape (draws, levels), and where it can be used.

    Args:
        problem: of the budget.
        kept: of the best loss, where that is kept and the cost may grow.
        params: parameters of the law, each of shape (draws,).
        share: loss, or share of cost, above the best.
    """
    best = solve_all(problem, params)
    count = len(best.loss)
    solved, values = problem, problem.values()
    if kept is None:
        ceiling = best.loss + share
    else:
        solved, values = kept, kept.values()._replace(level=best.loss.reshape(count, -1))
        ceiling = np.log(best.cost) + np.log1p(share)
    drawn = {name: np.asarray(params[name], dtype=np.float64) for name in solved.fit.law.names}
    start = np.log(best.columns[problem.form.size_column]).reshape(count, -1)
    found = size_range(solved.form, drawn, values, start, ceiling.reshape(count, -1))
    return found, (best.state.reshape(count, -1) <= LIMITED) & found.known


def _ends(found: SizeRange, usable: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Both ends and their tokens, each of shape (draws, *levels); NaN where there is no range."""
    return {
        name: np.where(usable, np.exp(getattr(found, name)), np.nan).reshape(-1, *shape)
        for name in ENDS
    }


def _notes(found: SizeRange, usable: np.ndarray) -> list[Note]:
    """Which ends are none of the criterion's."""
    opened, cut = (
        [end for end, item in zip(("low", "high"), items, strict=True) if np.any(item & usable)]
        for items in ((found.open_low, found.open_high), (found.cut_low, found.cut_high))
    )
    notes = []
    if opened:
        notes.append(
            Note.of(
                "region_open",
                f"the region has no {' and no '.join(opened)} end within the tokens per parameter "
                "that are searched: what is shown is where the search ended",
                {"ends": opened},
            )
        )
    if cut:
        notes.append(
            Note.of(
                "region_cut",
                f"the {' and the '.join(cut)} end of the region is where a limit holds, or where "
                "no number of tokens reaches the loss beyond: the loss or cost there is less than "
                "the criterion allows",
                {"ends": cut},
            )
        )
    return notes
