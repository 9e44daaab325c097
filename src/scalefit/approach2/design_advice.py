"""What the next sweeps must be like for Approach 2 to be right, and what a surface fit needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.approach2.attribution import single_budget
from scalefit.approach2.planned_sweeps import PADDED, PlannedSweeps
from scalefit.arguments import instance, number, numbers, shown, whole
from scalefit.errors import ArgumentError, DataError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent
from scalefit.reporting.numbers import shown as shown_number
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet

__all__ = ["Advice", "advise"]

# Share of the tolerance that the width may take: the rest is for sweeps that are not centred.
SHARE = 0.5
NARROWEST, WIDEST = 1.05, 100.0
# Most sizes of a budget in a plan; most sizes and largest half-width that may be passed.
MOST_POINTS, MOST_ASKED, MOST_WIDE = 1000, 200, 1e6
# A plan that would take more.
NEVER = Frozen(dict.fromkeys(("points", "budgets", "runs"), math.inf))
NOISE = "Pass the standard deviation of a loss, in the unit of the residual, as noise=0.003"
# Largest offset and drift of the centres that is tried.
FARTHEST = 30.0
# The search for a limit: points of each round, and rounds.
SCAN, ROUNDS = 101, 6
FEWEST_BUDGETS = 4
# Curvature in standard errors from which a vertex, a ratio, is nearly normal, its first-order
# standard error right, and hardly any budget without a minimum. Half of it is not enough.
CLEAR = 5.0


@dataclass(frozen=True, eq=False)
class Advice(Described):
    """Sweeps that keep an answer within a tolerance.

    Attributes:
        flops: the budget that the answer is for.
        tolerance: largest relative bias of D*, and largest standard error of ln D*.
        width: half-width of centred sweeps at which Approach 2's bias takes half of the tolerance;
            100 where wider ones do not take it either.
        offset: lowest and highest constant offset of the centres, times D*, as in
            :func:`isoflop_design`, between which the bias stays within the tolerance.
        drift: the same for a drift, from none at the lowest budget.
        span: lowest and highest budget, FLOP.
        noise: standard deviation of a loss, in the unit of the fit's residual.
        plans: a row for each way: ``width``, sizes per budget (``points``), ``budgets`` and
            ``runs`` it takes, relative ``bias`` of D*, and ``se``, the standard error of ln D*.
            Infinite where more than a thousand sizes a budget, or a million runs, would not do.
        law: name of the law.
        cost: name of what budgets are counted in.
        notes: soft problems of the law's own answer.
    """

    flops: float
    tolerance: float
    width: float
    offset: tuple[float, float]
    drift: tuple[float, float]
    span: tuple[float, float]
    noise: float
    plans: pd.DataFrame
    law: str
    cost: str
    notes: tuple[Note, ...] = ()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The plans; there are no intervals."""
        return self.plans.copy()

    def __repr__(self) -> str:
        return (
            f"<Advice for {shown_number(self.flops, 'flop').value} FLOP to "
            f"{percent(self.tolerance)}: half-width up to {self.width:.3g}>"
        )

    def describe(self, level: float = 0.95) -> Description:
        """The plans, and the limits of sweeps for Approach 2.

        Args:
            level: not used: there are no intervals.
        """
        runs = self.plans["runs"]
        one, two = (
            f"{runs[plan]:,.0f} runs" if np.isfinite(runs[plan]) else "more runs than any plan has"
            for plan in ("Approach 2", "surface, wide")
        )
        low, high = self.span
        (down, up), (falling, rising) = self.offset, self.drift
        return Description(
            f"Sweeps for D* at {shown_number(self.flops, 'flop').value} FLOP to "
            f"{percent(self.tolerance)}, if {self.law} were true ({self.cost})",
            f"Approach 2 needs {one} in centred sweeps of half-width {self.width:.3g}, a "
            f"fit of the surface {two} in wide ones. Such sweeps: "
            f"scalefit.simulation.isoflop_design(width={self.width:.3g})",
            facts={
                "half-width": f"sizes from N*/{self.width:.3g} to {self.width:.3g} N*",
                "centres": f"from {down:.3g} to {up:.3g} times D*",
                "drift": f"of the centres, from {falling:.3g} to {rising:.3g} times D*",
                "budgets": f"from {low:.3g} to {high:.3g} FLOP",
                "noise": f"{self.noise:.4g}, standard deviation of a residual",
            },
            tables=[
                Table(
                    [
                        Column("method", list(map(str, self.plans.index)), "text"),
                        Column("half-width", self.plans["width"]),
                        Column("sizes each", self.plans["points"], "integer"),
                        Column("budgets", self.plans["budgets"], "integer"),
                        Column("runs", runs, "integer"),
                        Column("bias of D*", self.plans["bias"], "percent"),
                        Column("se of D*", self.plans["se"], "percent"),
                    ],
                    "Plans: bias and standard error of D*, relative",
                )
            ],
            notes=self.notes,
        )


# Overflow is no error here: what is beyond float64 is inf, and has no plan.
@quiet()
def advise(
    fit: Fit,
    flops: float,
    *,
    tolerance: float = 0.05,
    points: int = 9,
    span: tuple[float, float] | None = None,
    noise: float | None = None,
    wide: float = 16.0,
    cost: CostLike = "6ND",
) -> Advice:
    """Sweeps on which Approach 2 is right to a tolerance, and runs that a surface fit needs.

    If the fitted law were true: the largest half-width, offset and drift of the centres at which
    Approach 2's D* at a budget is biased by no more than the tolerance, by running it on noise-free
    losses; and the least number of budgets, four or more and equally spaced in log C, at which the
    standard error of ln D* is no more than the tolerance. For Approach 2 that error is propagated
    from the losses through vertices and power law, for a surface fit by squares from the Jacobian
    of the law, both to first order. Approach 2 gets as many points per budget as make its
    curvatures five standard errors: below, it loses budgets. A surface fit of the true law has no
    bias, so that its sweeps may be wide, and wide ones take fewer runs.

    Args:
        fit: a fit of a law of N and D.
        flops: the budget that the answer is for, FLOP.
        tolerance: of D*, relative.
        points: sizes per budget, equally spaced in log N; Approach 2 may get more.
        span: lowest and highest budget of the sweeps, FLOP; by default those of the fitted runs.
        noise: standard deviation of a loss, in the unit of the fit's residual; by default the
            root mean square residual, corrected for the parameters that were fitted.
        wide: half-width of the sweeps of the other plans.
        cost: what budgets are counted in, k N D.

    Returns:
        The limits and the plans.

    Raises:
        ArgumentError: a number makes no sense.
        DataError: the fit has no span or no noise.
        AllocationError: the law is not one of N and D, has no optimum, or the cost is not k N D.

    Source:
        Bias: Czech et al. 2026, arXiv 2603.22339.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.003))
        >>> plans = sf.approach2.advise(fit, 1e23, tolerance=0.02).plans
        >>> plans.loc["Approach 2", "width"].round(1), plans.loc["surface, wide", "width"]
        (np.float64(3.1), np.float64(16.0))
        >>> bool(plans.loc["Approach 2", "runs"] > 5 * plans.loc["surface, wide", "runs"])
        True
    """
    remedy = "Pass what scalefit.fit(runs) returned; of an ensemble, its fit"
    fit = instance(fit, "fit", Fit, wanted="a fit", remedy=remedy).one_surface()
    remedy = "Pass a relative error of D*, as tolerance=0.05"
    tolerance = number(tolerance, "tolerance", above=0, below=1, remedy=remedy)
    points = whole(points, "points", least=4, most=MOST_ASKED, remedy="Pass points=9")
    remedy = "Pass a half-width, as wide=16.0"
    wide = number(wide, "wide", above=NARROWEST, most=MOST_WIDE, remedy=remedy)
    low, high = _span(fit, span)
    sigma = _noise(fit) if noise is None else number(noise, "noise", least=0, remedy=NOISE)
    if not math.isfinite(sigma):
        raise DataError(
            f"{fit.nobs} runs leave no residual degree of freedom to tell the noise from",
            remedy=NOISE,
        )
    sweep = PlannedSweeps(fit, single_budget(flops), find_cost(cost), low, high, points, sigma)
    half = SHARE * tolerance
    width = math.exp(_limit(lambda x: sweep.bias(5, np.exp(x)), half, *np.log([NARROWEST, WIDEST])))
    plans = {
        "Approach 2": _approach2_plan(sweep, width, tolerance),
        "surface": _surface_plan(sweep, width, tolerance),
        "Approach 2, wide": _approach2_plan(sweep, wide, tolerance),
        "surface, wide": _surface_plan(sweep, wide, tolerance),
    }
    frame = pd.DataFrame.from_dict(plans, orient="index")
    count = int(min(plans["Approach 2"]["budgets"], PADDED))

    def ends(bias: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
        far = math.log(FARTHEST)
        down = _limit(lambda x: bias(np.exp(-x)), tolerance, 0, far)
        return math.exp(-down), math.exp(_limit(lambda x: bias(np.exp(x)), tolerance, 0, far))

    return Advice(
        flops=sweep.target,
        tolerance=tolerance,
        width=width,
        offset=ends(lambda x: sweep.bias(count, width, offset=x)),
        drift=ends(lambda x: sweep.bias(count, width, drift=x)),
        span=(low, high),
        noise=sigma,
        plans=frame,
        law=fit.law.name,
        cost=sweep.cost.name,
        notes=allocate(fit, sweep.target, cost=sweep.cost).notes,
    )


def _span(fit: Fit, span: Any) -> tuple[float, float]:
    """Lowest and highest budget."""
    if span is None and "6ND" not in fit.domain:
        raise DataError(
            f"this fit of {fit.law.name!r} does not say which budgets its runs had",
            remedy="Give span=(1e18, 1e21), the lowest and the highest budget of the sweeps",
        )
    remedy = "Pass the lowest and the highest budget, as span=(1e18, 1e21)"
    ends = numbers(
        fit.domain["6ND"] if span is None else span, "span", above=0, most=1e100, remedy=remedy
    )
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ArgumentError(
            f"span={shown(span)} is not two rising budgets",
            argument="span",
            value=span,
            remedy=remedy,
        )
    return float(ends[0]), float(ends[1])


def _noise(fit: Fit) -> float:
    """Standard deviation of a residual, corrected for the free parameters; NaN without any left."""
    df = fit.df_resid
    return fit.residual_rms * math.sqrt(fit.nobs / df) if df > 0 else math.nan


def _limit(
    bias: Callable[[np.ndarray], np.ndarray], tolerance: float, start: float, end: float
) -> float:
    """How far one may go from the start before the bias leaves the tolerance."""
    low, high = start, end
    for _ in range(ROUNDS):
        x = np.linspace(low, high, SCAN)
        over = ~(np.abs(bias(x)) <= tolerance)
        if not over.any():
            return high
        first = int(np.argmax(over))
        if first == 0:
            return low
        low, high = float(x[first - 1]), float(x[first])
    return low


def _approach2_plan(sweep: PlannedSweeps, width: float, tolerance: float) -> dict[str, float]:
    """Approach 2 on budgets of as many points as their curvatures need."""
    for _ in range(3):
        # The standard error falls a little slower than one over the root of the points.
        ratio = sweep.curvature_ratio(width)
        if ratio >= CLEAR:
            break
        points = 1.01 * (CLEAR / ratio) ** 2 * sweep.points if ratio > 0 else math.inf
        if not points <= MOST_POINTS:
            bias = float(sweep.bias(PADDED, width))
            return {"width": width, **NEVER, "bias": bias, "se": math.inf}
        sweep = replace(sweep, points=math.ceil(points))
    most = sweep.most
    budgets = _least(lambda count: sweep.error(count, width), tolerance, most)
    count = int(min(budgets, PADDED))
    return {
        "width": width,
        "points": sweep.points,
        "budgets": budgets,
        "runs": budgets * sweep.points,
        "bias": float(sweep.bias(count, width)),
        "se": sweep.error(int(min(budgets, most)), width),
    }


def _surface_plan(sweep: PlannedSweeps, width: float, tolerance: float) -> dict[str, float]:
    most = sweep.most
    budgets = _least(lambda count: sweep.surface_error(count, width), tolerance, most)
    return {
        "width": width,
        "points": sweep.points,
        "budgets": budgets,
        "runs": budgets * sweep.points,
        "bias": 0.0,
        "se": sweep.surface_error(int(min(budgets, most)), width),
    }


def _least(error: Callable[[int], float], tolerance: float, most: int) -> float:
    """The least number of budgets whose standard error is within the tolerance."""
    few, enough = FEWEST_BUDGETS - 1, FEWEST_BUDGETS
    while not error(enough) <= tolerance:
        if enough == most:
            return math.inf
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if error(middle) <= tolerance else (middle, enough)
    return enough
