"""How far model size may leave the optimum: by loss at a budget, or by compute at a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike
from scalefit.allocation.optimum import allocate, asked
from scalefit.allocation.problem import AllocationProblem, Limits, build_problem
from scalefit.allocation.result import Allocation
from scalefit.allocation.solve import solve_all
from scalefit.allocation.solver import LIMITED, stretch
from scalefit.arguments import choice, number, shown
from scalefit.errors import AllocationError, ArgumentError
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.surface import Surface, checked_surface

__all__ = ["NearOptimal", "near_optimal"]


@dataclass(frozen=True, eq=False)
class NearOptimal:
    """Model sizes that are nearly as good as the best.

    Every array is of the shape of the budgets.

    Attributes:
        best: the optimum.
        low: the smallest such model, parameters.
        high: the largest.
        tokens_low: training tokens of the smallest.
        tokens_high: of the largest.
        criterion: what nearly as good means, a sentence.
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
        choice(name, "name", ("low", "high", "tokens_low", "tokens_high"))
        if not self.draws:
            raise AllocationError(
                "this region is of one fit and has no intervals. Ask for that of an ensemble: "
                "near_optimal(scalefit.bootstrap(fit, runs), ...)"
            )
        return self.draws.estimate(name, getattr(self, name), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """One row per budget: the optimum and both ends."""
        columns = {
            "flops" if self.best.unit == "FLOP" else "usd": self.best.budget,
            "N": self.best.N,
            "N_low": self.low,
            "N_high": self.high,
            "D_low": self.tokens_high,
            "D_high": self.tokens_low,
            "span": self.high / self.low,
        }
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def summary(self) -> str:
        """The table and the notes as text."""
        return report.region_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.region_html(self)


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
        within: loss given away, in the unit of the table.
        overhead: share of extra cost, such as 0.05; 0.05 where neither is given.
        cost: as for :func:`allocate`.
        fixed: as for :func:`allocate`.
        limits: as for :func:`allocate`.

    Returns:
        Both ends; a note where the range that is looked at ended first, or a limit.

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
    levels, unit = asked(flops, usd, None)
    point = surface.point
    problem = build_problem(point, levels, unit, cost=cost, fixed=fixed, limits=limits)
    one = {name: np.array([value]) for name, value in problem.fit.params.items()}
    kept: AllocationProblem | None = None
    if overhead is not None:
        kept = build_problem(point, best.loss, "loss", cost=cost, fixed=fixed, limits=limits)
    shares = (within, overhead)
    ends, notes = _ends(problem, kept, one, shares)
    draws = surface.drawn.apply(lambda drawn: _ends(problem, kept, drawn, shares, point=False)[0])
    return NearOptimal(
        best,
        **{name: values[0][()] for name, values in ends.items()},
        criterion=(
            f"loss within {within:g} of the best at the budget"
            if within is not None
            else f"at most {overhead:.3g} more cost at the best loss of the budget"
        ),
        draws=draws,
        notes=(*best.notes, *notes),
    )


def _criterion(within: Any, overhead: Any) -> tuple[float | None, float | None]:
    if within is None:
        share = 0.05 if overhead is None else overhead
        remedy = "Pass a share of extra cost, as overhead=0.05"
        return None, number(share, "overhead", above=0, remedy=remedy)
    if overhead is not None:
        raise ArgumentError(
            f"within={shown(within)} and overhead={shown(overhead)} are two criteria",
            argument="within",
            value=within,
            remedy="Pass one of them, and within=None or overhead=None",
        )
    remedy = "Pass the loss given away, in the unit of the table, as within=0.01"
    return number(within, "within", above=0, remedy=remedy), None


def _ends(
    problem: AllocationProblem,
    kept: AllocationProblem | None,
    params: Mapping[str, np.ndarray],
    shares: tuple[float | None, float | None],
    *,
    point: bool = True,
) -> tuple[dict[str, np.ndarray], list[Note]]:
    """Both ends under every draw; ``point`` where those are the one of the fit itself."""
    within, overhead = shares
    best = solve_all(problem, params)
    spread = best.loss.shape
    count = spread[0]
    if kept is None or overhead is None:
        asks, level = problem, None
        ceiling = best.loss + within
    else:
        asks, level = kept, best.loss.reshape(count, -1)
        ceiling = np.log(best.cost) + np.log1p(overhead)
    setting = asks.setting()
    if level is not None:
        setting = setting._replace(level=level)
    values = {name: np.asarray(params[name], dtype=np.float64) for name in asks.fit.law.names}
    start = np.log(best.columns[problem.line.size_column]).reshape(count, -1)
    found = stretch(asks.line, values, setting, start, ceiling.reshape(count, -1))
    known = found.known.reshape(spread)
    if point and not known.all():
        level = float(best.loss[~known][0])
        raise AllocationError(
            f"the loss of {level:g} has no least cost within the limits and the tokens per "
            "parameter that are looked at, so that no region is around it. Ask for within=0.01 of "
            "the loss, or loosen a limit"
        )
    usable = (best.state <= LIMITED) & known
    names = {
        "low": found.low,
        "high": found.high,
        "tokens_low": found.pivot_low,
        "tokens_high": found.pivot_high,
    }
    ends = {
        name: np.where(usable, np.exp(item).reshape(spread), np.nan) for name, item in names.items()
    }
    opened, cut = (
        [
            end
            for end, item in zip(("low", "high"), items, strict=True)
            if np.any(item & usable.reshape(count, -1))
        ]
        for items in ((found.open_low, found.open_high), (found.cut_low, found.cut_high))
    )
    notes = []
    if opened:
        notes.append(
            Note.of(
                "region_open",
                f"the region has no {' and no '.join(opened)} end within the tokens per parameter "
                "that are looked at: what is shown is where looking ended",
                {"ends": opened},
            )
        )
    if cut:
        notes.append(
            Note.of(
                "region_cut",
                f"the {' and the '.join(cut)} end of the region is where a limit holds, or where "
                "no number of tokens reaches the loss beyond: less is given away there than was "
                "asked for",
                {"ends": cut},
            )
        )
    return ends, notes
