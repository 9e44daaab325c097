"""Allocations: the optimum over budgets, one budget around it, and serving against training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalefit.allocation.costs import CostLike, find_cost
from scalefit.allocation.inference_costs import lifetime
from scalefit.allocation.near_optimality import NearOptimal
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.arguments import instance, numbers
from scalefit.arguments import level as checked_level
from scalefit.errors import AllocationError
from scalefit.plot.canvas import several, single, with_unit
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["allocation", "pareto", "region"]

CURVE = 200
COLOURS = {"N": "#31688e", "D": "#d1495b"}
LABELS = {"N": "N*, parameters", "D": "D*, tokens"}


def allocation(
    result: Allocation, *, level: float = 0.95, ax: Axes | Sequence[Axes] | None = None
) -> np.ndarray:
    """Compute-optimal N and D against the budget, with bands where there are draws.

    Args:
        result: an allocation of several budgets, from :func:`scalefit.allocate`.
        level: coverage of the bands.
        ax: two Axes, for N and for D; new ones by default.

    Returns:
        The two Axes: the budget across, N and D up, all logarithmic.

    Raises:
        AllocationError: the allocation is of one budget.
        ArgumentError: ``result`` is no allocation, the level is no number between 0 and 1,
            or ``ax`` no two Axes.
    """
    instance(
        result,
        "result",
        Allocation,
        wanted="an allocation",
        remedy="Pass result=scalefit.allocate(fit, flops=[1e20, 1e22, 1e24])",
    )
    level = checked_level(level)
    budget = np.ravel(result.budget)
    if budget.size < 2:
        raise AllocationError(
            "an allocation of one budget is a point: allocate several, such as "
            "flops=np.geomspace(1e20, 1e25, 50)"
        )
    order = np.argsort(budget)
    axes = several(ax, (1, 2), (9.0, 4.0))
    for name, one in zip(("N", "D"), axes, strict=True):
        exponent = np.ravel(result.n_exponent if name == "N" else result.d_exponent)
        if result.draws:
            low, high = result.estimate(name).interval(level)
            one.fill_between(
                budget[order],
                np.ravel(low)[order],
                np.ravel(high)[order],
                color=COLOURS[name],
                alpha=0.25,
                linewidth=0.0,
                label=f"{100 * level:g} % interval",
            )
        shown = f", exponent {exponent[order][-1]:.3f}" if np.isfinite(exponent).all() else ""
        values = np.ravel(result[name])[order]
        one.loglog(budget[order], values, color=COLOURS[name], label=f"{name}*{shown}")
        one.set_xlabel(f"budget, {result.unit} ({result.cost})")
        one.set_ylabel(LABELS[name])
        one.legend(frameon=False, fontsize=9)
    return axes


def region(
    result: NearOptimal,
    *,
    fit: Surface,
    level: float = 0.95,
    cost: CostLike = "6ND",
    ax: Axes | None = None,
) -> Axes:
    """Loss against model size along one budget, with the sizes that are nearly as good.

    Args:
        result: from :func:`scalefit.near_optimal`, of one budget.
        fit: the fit it was found for; an ensemble adds a band.
        level: coverage of the band.
        cost: the cost it was found for.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: N (parameters, logarithmic) across, loss up.

    Raises:
        AllocationError: the region is of several budgets, or its cost is not k N D + m N.
        ArgumentError: there is no region, no fit, the level is no number between 0 and 1,
            is no Axes.
    """
    instance(
        result,
        "result",
        NearOptimal,
        wanted="a region",
        remedy="Pass result=scalefit.near_optimal(fit, flops=1e24, overhead=0.05)",
    )
    fit = checked_surface(fit)
    level = checked_level(level)
    if np.size(result.low) != 1:
        raise AllocationError(
            f"this region is of {np.size(result.low)} budgets, and a picture shows one: pass one "
            "budget, as near_optimal(fit, flops=1e24)"
        )
    best = result.best
    low, high, middle, budget, loss = (
        float(np.ravel(item)[0])
        for item in (result.low, result.high, best.N, best.budget, best.loss)
    )
    # Half as far again as the region reaches, on either side.
    N = np.exp(
        np.linspace(
            np.log(low) - 0.5 * np.log(high / low), np.log(high) + 0.5 * np.log(high / low), CURVE
        )
    )
    D = find_cost(cost).tokens(budget, N)
    N, D = N[D > 0], D[D > 0]
    ax = single(ax, (6.0, 4.2))
    ax.axvspan(low, high, color="0.92", zorder=0, label=result.criterion)
    if fit.drawn:
        below, above = fit.estimate_loss(N=N, D=D).interval(level)
        label = f"{100 * level:g} % interval"
        ax.fill_between(N, below, above, color="#31688e", alpha=0.25, linewidth=0.0, label=label)
    ax.plot(N, fit.point.evaluate(N=N, D=D), color="#31688e", label=f"{budget:.3g} {best.unit}")
    ax.plot(
        middle,
        loss,
        marker="*",
        markersize=13,
        color="gold",
        markeredgecolor="black",
        linestyle="none",
        label=f"N* = {middle:.3g}",
    )
    ax.set_xscale("log")
    ax.set_xlabel("N, parameters")
    ax.set_ylabel(with_unit("loss", fit.point.loss_unit))
    ax.set_title(f"{low:.3g} to {high:.3g} parameters", fontsize=10)
    ax.legend(frameon=False, fontsize=8)
    return ax


def pareto(
    result: Fit, *, loss: float, served: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """The cost of serving a token against the cost of training, at one loss.

    Every point of the curve is the cheapest model of that loss for some lifetime demand: no model
    has both costs lower.

    Args:
        result: a fit of a law of N and D.
        loss: the loss that every model reaches.
        served: lifetime demands to mark, tokens; decades from 1e11 to 1e15 by default.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: training FLOPs across, FLOPs per token served up, both logarithmic.

    Raises:
        AllocationError: as for :func:`scalefit.allocate`.
        ArgumentError: as there; demands are not positive numbers, or ``ax`` is no Axes.
    """
    checked_fit(result, "result")
    marks = np.geomspace(1e11, 1e15, 5)
    if served is not None:
        remedy = "Pass lifetime demands in tokens, as served=[1e11, 1e13, 1e15]"
        marks = np.ravel(numbers(served, "served", above=0, empty=False, remedy=remedy))
    demands = np.unique(np.concatenate([np.geomspace(marks.min(), marks.max(), 40), marks]))
    best = [allocate(result, loss=loss, cost=lifetime(tokens)) for tokens in demands]
    alone = allocate(result, loss=loss)
    N, D = (np.array([float(item[name]) for item in best]) for name in ("N", "D"))
    ax = single(ax, (6.0, 4.2))
    x = 6 * N * D
    ax.loglog(x, 2 * N, color="#31688e", label=f"loss {loss:.4g}")
    for tokens in marks:
        i = int(np.argmin(np.abs(np.log(demands / tokens))))
        ax.plot(6 * N[i] * D[i], 2 * N[i], "o", color="#31688e", markersize=5)
        ax.annotate(
            f"{tokens:.0e} served, {N[i]:.2g} parameters",
            (6 * N[i] * D[i], 2 * N[i]),
            xytext=(8, -2),
            textcoords="offset points",
            fontsize=8,
        )
    ax.plot(
        6 * alone.N * alone.D,
        2 * alone.N,
        marker="*",
        markersize=13,
        color="gold",
        markeredgecolor="black",
        linestyle="none",
        label=f"training alone: {alone.N:.2g} parameters",
    )
    ax.set_xlabel("training, FLOP (6ND)")
    ax.set_ylabel("serving, FLOP per token (2N)")
    # Room for what is written beside the points, which all lie left of the right end.
    ax.set_xlim(0.8 * x.min(), x.max() * (x.max() / x.min()) ** 0.8)
    ax.tick_params(axis="x", which="both", labelrotation=30)
    ax.legend(frameon=False, fontsize=9, loc="center right")
    return ax
