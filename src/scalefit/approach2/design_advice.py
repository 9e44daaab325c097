"""What the next sweeps must be like for Approach 2 to be right, and what a surface fit needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.allocation.optimum_function import optimum_function
from scalefit.approach2.attribution import one_budget
from scalefit.approach2.parabola import VertexFits, vertex_fits
from scalefit.arguments import instance, number, numbers, shown, whole
from scalefit.errors import ArgumentError, DataError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet
from scalefit.tracing.operations import Bound, trace

__all__ = ["Advice", "advise"]

# Half of what may be wrong is left to sweeps that are not centred.
SHARE = 0.5
NARROWEST, WIDEST = 1.05, 100.0
# Sizes of a budget that a plan may take, and those and the half-width that may be asked for.
MOST_POINTS, MOST_ASKED, MOST_WIDE = 1000, 200, 1e6
# Of a plan that would take more.
NEVER = Frozen(dict.fromkeys(("points", "budgets", "runs"), math.inf))
NOISE = "Pass the standard deviation of a loss, in the unit of the residual, as noise=0.003"
# Farthest centre that is looked at, times D*.
FARTHEST = 30.0
# Points of each of the rounds that close in on a limit.
SCAN, ROUNDS = 101, 6
FEWEST_BUDGETS, MOST_BUDGETS, MOST_RUNS = 4, 2**14, 2**20
# Arrays are at least this long, and then a power of two: few shapes compile.
PADDED = 64
# A vertex is a ratio: with a curvature of so many standard errors it is nearly normal, its standard
# error that of first order, and hardly any budget is lost. With half as many it is neither.
CLEAR = 5.0


@dataclass(frozen=True, eq=False)
class Advice:
    """Sweeps that keep an answer within a tolerance.

    Attributes:
        flops: the budget that the answer is for.
        tolerance: largest relative bias of D*, and largest standard error of ln D*.
        width: half-width of centred sweeps at which Approach 2's bias takes half of the tolerance;
            100 where wider ones do not take it either.
        offset: lowest and highest constant offset of sweeps of that width, as of
            :func:`isoflop_design`: centres at so many times D*. The bias stays within the
            tolerance between them.
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

    def to_frame(self) -> pd.DataFrame:
        """The plans."""
        return self.plans.copy()

    def summary(self) -> str:
        """The limits and the plans as text."""
        return report.advice_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.advice_html(self)


@quiet()  # Budgets and noise may be anything: what is beyond float64 is inf.
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
    sweep = _Sweep(fit, one_budget(flops), find_cost(cost), low, high, points, sigma)
    half = SHARE * tolerance
    width = math.exp(_limit(lambda x: sweep.bias(5, np.exp(x)), half, *np.log([NARROWEST, WIDEST])))
    plans = {
        "Approach 2": _parabolic_plan(sweep, width, tolerance),
        "surface": _surface_plan(sweep, width, tolerance),
        "Approach 2, wide": _parabolic_plan(sweep, wide, tolerance),
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
    freedom = fit.nobs - fit.n_free
    return fit.residual_rms * math.sqrt(fit.nobs / freedom) if freedom > 0 else math.nan


@dataclass(frozen=True)
class _Sweep:
    """Sweeps over a span of budgets, if a fitted law were true."""

    fit: Fit
    target: float
    cost: Cost
    low: float
    high: float
    points: int
    noise: float

    @property
    def most(self) -> int:
        """Most budgets that are tried, a power of two."""
        return min(MOST_BUDGETS, 2 ** int(math.log2(MOST_RUNS / self.points)))

    def budgets(self, count: int) -> np.ndarray:
        """So many budgets, padded with the highest one."""
        flops = np.geomspace(self.low, self.high, count)
        padded = np.full(max(PADDED, 2 ** math.ceil(math.log2(count))), self.high)
        padded[:count] = flops
        return padded

    def grid(self, flops: np.ndarray, half: Any) -> tuple[np.ndarray, np.ndarray]:
        """Sizes and tokens around N* times ``half`` (..., budgets, points) of ln N."""
        best = allocate(self.fit, flops, cost=self.cost)
        N = best.N[:, None] * np.exp(half)
        return N, self.cost.tokens(flops[:, None], N)

    def bias(self, count: int, width: Any, *, offset: Any = 1.0, drift: Any = 1.0) -> np.ndarray:
        """Relative error of Approach 2's D* without noise, of the arguments' broadcast shape."""
        flops = self.budgets(count)
        there = np.arange(len(flops)) < count
        width, offset, drift = (
            np.log(np.asarray(item, dtype=np.float64))[..., None, None]
            for item in (width, offset, drift)
        )
        way = np.log(flops / self.low) / math.log(self.high / self.low)
        half = width * np.linspace(-1, 1, self.points) - offset - drift * way[:, None]
        N, D = self.grid(flops, half)
        fits = vertex_fits(flops, N, D, self.loss(N, D), there[:, None] * 1.0)
        true = allocate(self.fit, self.target, cost=self.cost).D
        return np.asarray(fits.d_law.at(self.target) / true - 1)

    def loss(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """What the law says of sizes and tokens, NaN where those are."""
        return self.fit.law.evaluate({"N": N, "D": D}, self.fit.params)

    def _one(self, count: int, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        flops = self.budgets(count)
        N, D = self.grid(flops, math.log(width) * np.linspace(-1, 1, self.points))
        return flops, N, D

    def noises(self, loss: np.ndarray) -> np.ndarray:
        """Standard deviation of each loss."""
        return self.noise * (np.ones_like(loss) if self.raw else loss)

    @property
    def raw(self) -> bool:
        """Whether the noise is of the loss itself, not of its logarithm."""
        return self.fit.objective.residual == "raw"

    def error(self, count: int, width: float) -> float:
        """Standard error of ln D* by Approach 2 on centred sweeps, to first order in the noise."""
        flops, N, D = self._one(count, width)
        loss = self.loss(N, D)
        pull, _ = _pulls(vertex_fits(flops, N, D, loss), D)
        vertex = np.sqrt((pull**2 * self.noises(loss) ** 2).sum(-1))[:count]
        c = np.log(flops[:count])
        away = c - c.mean()
        weight = 1 / count + (math.log(self.target) - c.mean()) * away / (away**2).sum()
        return float(np.sqrt((weight**2 * vertex**2).sum()))

    def clearness(self, width: float) -> float:
        """Curvature in standard errors of its own, at the flattest budget."""
        flops, N, D = self._one(2, width)
        loss = self.loss(N, D)
        fits = vertex_fits(flops, N, D, loss)
        _, pull = _pulls(fits, D)
        se = np.sqrt((pull**2 * self.noises(loss) ** 2).sum(-1))
        if self.noise == 0:
            return math.inf
        return float((fits.d.curvature / se).min())

    def surface_error(self, count: int, width: float) -> float:
        """Standard error of ln D* by a least-squares fit of the law, to first order."""
        flops, N, D = self._one(count, width)
        there = np.repeat(np.arange(len(flops)) < count, self.points)
        jacobian = self._jacobian(N.ravel(), D.ravel())[there]
        if len(jacobian) < jacobian.shape[1]:
            return math.inf
        scale = np.linalg.norm(jacobian, axis=0)
        triangle = np.linalg.qr(jacobian / scale, mode="r")
        from scipy.linalg import solve_triangular

        try:
            spread = solve_triangular(triangle, self.gradient / scale, trans="T")
        except np.linalg.LinAlgError:
            return math.inf
        return float(self.noise * np.linalg.norm(spread))

    def _jacobian(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Derivatives of the predictions, or of their logarithms, in the free parameters."""
        law = self.fit.law
        columns = [{"N": N, "D": D}[name] for name in law.columns]
        loss, *slopes = self._slopes(*columns, *(self.fit.params[name] for name in law.names))
        scale = 1.0 if self.raw else 1.0 / loss
        each = {
            name: np.broadcast_to(slope * scale, N.shape)
            for name, slope in zip(law.names, slopes, strict=True)
        }
        return np.stack([sum(each[name] for name in group) for group in self._free()], axis=1)

    @cached_property
    def _slopes(self) -> Bound:
        """The loss and its derivative in each parameter."""
        law = self.fit.law
        count = len(law.columns)

        def every(*given: Any) -> list[Any]:
            def loss(*params: Any) -> Any:
                values = dict(zip(law.names, params, strict=True))
                return jnp.reshape(law(*given[:count], **values), jnp.shape(given[0]))

            params = given[count:]
            found = [loss(*params)]
            for axis in range(len(params)):
                unit = tuple(jnp.asarray(1.0 * (axis == i)) for i in range(len(params)))
                found.append(jax.jvp(loss, params, unit)[1])
            return found

        function = trace(every, count + len(law.names), count)

        def of_rows(*given: Any) -> list[Any]:
            return function.bind(*given[:count])(*(np.atleast_1d(item) for item in given[count:]))

        return of_rows

    @cached_property
    def gradient(self) -> np.ndarray:
        """Derivatives of ln D* in the free parameters."""
        names = self.fit.law.names
        answer: Any = optimum_function(self.fit, "D", self.target, cost=self.cost)
        value, slope, _ = answer.differentiated([self.fit.params[name] for name in names])
        each = dict(zip(names, slope / value, strict=True))
        return np.array([sum(each[name] for name in group) for group in self._free()])

    def _free(self) -> list[tuple[str, ...]]:
        """Names of the free parameters, tied ones together; one at a bound counts as known."""
        fit = self.fit
        tied = {name: group for group in fit.tied for name in group}
        groups = dict.fromkeys(tied.get(name, (name,)) for name in fit.law.names)
        fixed = {*fit.fixed, *fit.diagnostics.at_bound}
        return [group for group in groups if not fixed & set(group)]


def _pulls(fits: VertexFits, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the vertex and of the curvature over ln D in each loss of its budget."""
    x = np.log(D)
    u = x - x.mean(-1, keepdims=True)
    square = (u**2).sum(-1, keepdims=True)
    p = u**2 - square / D.shape[-1] - u * (u**3).sum(-1, keepdims=True) / square
    slope, curvature = u / square, p / (p**2).sum(-1, keepdims=True)
    b, a = fits.d.slope[..., None], fits.d.curvature[..., None]
    return -slope / (2 * a) + b * curvature / (2 * a**2), curvature


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


def _parabolic_plan(sweep: _Sweep, width: float, tolerance: float) -> dict[str, float]:
    """Approach 2 on budgets of so many points that their curvature is clear."""
    for _ in range(3):
        # Of equally spaced points the curvature's error falls a little slower than their root.
        clear = sweep.clearness(width)
        if clear >= CLEAR:
            break
        points = 1.01 * (CLEAR / clear) ** 2 * sweep.points if clear > 0 else math.inf
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


def _surface_plan(sweep: _Sweep, width: float, tolerance: float) -> dict[str, float]:
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
