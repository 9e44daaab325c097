"""Allocations: the optimum over budgets, one budget around it, and serving against training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike, find_cost
from scalefit.allocation.inference_costs import lifetime
from scalefit.allocation.near_optimality import NearOptimal
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.arguments import instance, numbers
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.errors import AllocationError
from scalefit.plot.canvas import beyond, several, single, warned
from scalefit.plot.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    axis_label,
    band,
    extent,
    ink,
    is_small,
    legend_below,
    log_axis,
    picture,
    remark,
    small_text,
    spread,
    title,
    written,
)
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["allocation", "pareto", "region"]

CURVE = 200
COLOURS = {"N": BLUE, "D": GREEN}


@picture
def allocation(
    result: Allocation,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | Sequence[Axes] | None = None,
    **columns: str,
) -> np.ndarray:
    """Compute-optimal N and D against the budget, with bands where there are draws.

    Budgets beyond those of the runs that were fitted are shaded.

    Args:
        result: an allocation of several budgets, from :func:`scalefit.allocate`.
        runs: a table, to show its runs as dots where budgets are FLOP; none by default.
        level: coverage of the bands.
        ax: two Axes, for N and for D; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The two Axes: the budget across, N and D up, all logarithmic.

    Raises:
        AllocationError: the allocation is of one budget.
        ArgumentError: ``result`` is no allocation, the level is no number between 0 and 1,
            or ``ax`` no two Axes.
        DataError: the table lacks a column.
    """
    instance(
        result,
        "result",
        Allocation,
        wanted="an allocation",
        remedy="Pass result=scalefit.allocate(fit, flops=[1e20, 1e22, 1e24])",
    )
    level = checked_level(level)
    if np.size(result.budget) < 2:
        raise AllocationError(
            "an allocation of one budget is a point: allocate several, such as "
            "flops=np.geomspace(1e20, 1e25, 50)"
        )
    table = None if runs is None else as_table(runs, **columns)
    axes = several(ax, (1, 2), (9.0, 4.2))
    for name, one in zip(("N", "D"), axes, strict=True):
        if table is not None and result.unit == "FLOP":
            _dots(one, table, name)
        _optimum(one, result, name, level)
    return axes


def _dots(ax: Axes, table: LossTable, name: str) -> None:
    """The runs of a table."""
    N, D = table.column("N"), table.column("D")
    ax.plot(
        6 * N * D, N if name == "N" else D, ".", color=GREY, alpha=0.7, markersize=4,
        label=f"{len(N)} runs", zorder=1,
    )  # fmt: skip


def _optimum(ax: Axes, result: Allocation, name: str, level: float) -> None:
    """One column of the optimum against the budget."""
    order = np.argsort(np.ravel(result.budget))
    budget, values = np.ravel(result.budget)[order], np.ravel(result[name])[order]
    colour = COLOURS[name]
    if result.draws:
        low, high = (np.ravel(end)[order] for end in result.estimate(name).interval(level))
        label = f"{100 * level:g} % interval"
        ax.fill_between(budget, low, high, **band(ax, colour, label=label))
    exponent = np.ravel(result.n_exponent if name == "N" else result.d_exponent)[order]
    label = f"${name}^*$"
    if np.isfinite(exponent).all():
        label = rf"${name}^*\propto C^{{{exponent[-1]:.3f}}}$"
    ax.plot(budget, values, color=colour, label=label)
    x, y = ax.dataLim.intervalx, ax.dataLim.intervaly
    ax.set(
        xlim=(x[0] / _room(x), x[1] * _room(x)),
        ylim=(y[0] / _room(y), y[1] * _room(y)),
    )
    log_axis(ax, "x", "flop" if result.unit == "FLOP" else "count")
    log_axis(ax, "y", "count")
    _ends(ax, result, budget)
    cost = "$6ND$" if result.cost == "6ND" else result.cost
    ax.set(xlabel=f"budget, {cost} ({result.unit})", ylabel=axis_label(f"{name}*"))
    title(ax, warned(result.notes) if name == "N" else [])
    legend_below(ax)


def _room(ends: np.ndarray) -> float:
    """Room at an end of a logarithmic axis, a factor."""
    return float((ends[1] / ends[0]) ** 0.04)


def _ends(ax: Axes, result: Allocation, budget: np.ndarray) -> None:
    """Shade the budgets whose optimum spends more or less compute than any run."""
    low, high = result.domain.get("6ND", (np.nan, np.nan))
    if not {"N", "D"} <= set(result.columns) or not np.isfinite([low, high]).all():
        return
    order = np.argsort(np.ravel(result.budget))
    spent = np.log(6 * np.ravel(result.N)[order] * np.ravel(result.D)[order])
    first, last = ax.get_xlim()
    colour = ink(ax)
    for end, edge, side in ((high, last, 1), (low, first, -1)):
        beyond_by = side * (spent[-1 if side > 0 else 0] - np.log(end)) / np.log(10)
        if not beyond_by > 0.05:
            continue
        place = np.exp(np.interp(np.log(end), spent, np.log(budget)))
        ax.axvspan(*sorted((place, edge)), color=colour, alpha=0.07, linewidth=0, zorder=0)
        ax.axvline(place, color=colour, linewidth=0.8, linestyle=":", zorder=0)
        if side > 0 and not is_small(ax):
            text = f"{beyond_by:.1f} decades\nbeyond the runs"
            remark(ax, text, "lower right", alpha=0.85)
    ax.set_xlim(first, last)


@picture
def region(
    result: NearOptimal,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    fit: Surface,
    level: float = 0.95,
    cost: CostLike = "6ND",
    ax: Axes | None = None,
) -> Axes:
    """The rise of the loss with model size along one budget, and the sizes nearly as good.

    Args:
        result: from :func:`scalefit.near_optimal`, of one budget.
        runs: not needed; taken so that all pictures are called alike.
        fit: the fit it was found for; an ensemble adds a band.
        level: coverage of the band.
        cost: the cost it was found for.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: N (parameters, logarithmic) across, the loss above that of the optimum up, in
        percent. A dotted line is the largest model of the runs that were fitted, where in view.

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
    room = np.sqrt(high / low)
    N = np.geomspace(low / room, high * room, CURVE)
    D = find_cost(cost).tokens(budget, N)
    N, D = N[D > 0], D[D > 0]
    ax = single(ax, (6.0, 4.6))
    ax.axvspan(low, high, color=ink(ax), alpha=0.08, linewidth=0, zorder=0, label=result.criterion)
    rise = 100 * (fit.point.evaluate(N=N, D=D) / loss - 1)
    where = written(budget, "flop" if best.unit == "FLOP" else "count")
    ax.plot(N, rise, color=BLUE, label=f"{where} {best.unit} spent")
    ax.set_ylim(-0.25 * rise.max(), 1.15 * rise.max())
    if fit.drawn:
        _rises(ax, fit, (N, D), (middle, float(np.ravel(best.D)[0])), level)
    unit = f" {fit.point.loss_unit}".rstrip()
    _star(ax, middle, 0.0, f"$N^*$ = {written(middle, 'count')}, loss {loss:.4g}{unit}")
    ax.set_xlim(N[0], N[-1])
    _largest(ax, result.best, N)
    log_axis(ax, "x", "count")
    ax.set(xlabel=axis_label("N"), ylabel="loss above the least (%)")
    ends = " to ".join(written(end, "count") for end in (low, high))
    title(ax, [f"{ends} parameters are nearly as good", *beyond(best), *warned(result.notes)])
    legend_below(ax)
    return ax


def _rises(
    ax: Axes,
    fit: Surface,
    path: tuple[np.ndarray, np.ndarray],
    best: tuple[float, float],
    level: float,
) -> None:
    """The band of the rise above the loss at the optimum, both under each draw."""
    # The optimum comes last: each draw compares with its own loss there.
    N, D = (np.append(one, end) for one, end in zip(path, best, strict=True))
    found = fit.estimate_loss(N=N, D=D)
    rises = replace(
        found,
        value=100 * (found.value / found.value[-1] - 1),
        draws=100 * (found.draws / found.draws[:, -1:] - 1),
    )
    low, high = (end[:-1] for end in rises.interval(level))
    label = f"{100 * level:g} % interval of the rise"
    ax.fill_between(path[0], low, high, **band(ax, BLUE, label=label))


def _star(ax: Axes, x: float, y: float, label: str) -> None:
    """An optimum."""
    ax.plot(
        x, y, marker="*", markersize=9 if is_small(ax) else 15, color=ORANGE,
        markeredgecolor=ink(ax), markeredgewidth=0.8, linestyle="none", label=label, zorder=5,
    )  # fmt: skip


def _largest(ax: Axes, best: Allocation, N: np.ndarray) -> None:
    """The largest model of the runs, where it is in view."""
    largest = best.domain.get("N", (np.nan, np.nan))[1]
    if N[0] < largest < N[-1]:
        label = f"largest of the runs, {written(largest, 'count')}"
        ax.axvline(largest, color=ink(ax), linewidth=1.0, linestyle=":", label=label)


@picture
def pareto(
    result: Fit,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    loss: float,
    served: Sequence[float] | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """The cost of serving a token against the cost of training, at one loss.

    Every point of the curve is the cheapest model of that loss for some lifetime demand: no model
    has both costs lower.

    Args:
        result: a fit of a law of N and D.
        runs: not needed; taken so that all pictures are called alike.
        loss: the loss that every model reaches.
        served: lifetime demands to mark, tokens; decades from 1e11 to 1e15 by default.
        level: not needed, as ``runs``.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: training FLOPs across, FLOPs per token served up, both logarithmic.

    Raises:
        AllocationError: as for :func:`scalefit.allocate`.
        ArgumentError: as there; demands are not positive numbers, or ``ax`` is no Axes.
    """
    checked_fit(result, "result")
    checked_level(level)
    marks = np.geomspace(1e11, 1e15, 5)
    if served is not None:
        remedy = "Pass lifetime demands in tokens, as served=[1e11, 1e13, 1e15]"
        marks = np.ravel(numbers(served, "served", above=0, empty=False, remedy=remedy))
    demands = np.unique(np.concatenate([np.geomspace(marks.min(), marks.max(), 40), marks]))
    best = [allocate(result, loss=loss, cost=lifetime(tokens)) for tokens in demands]
    alone = allocate(result, loss=loss)
    N, D = (np.array([float(item[name]) for item in best]) for name in ("N", "D"))
    ax = single(ax, (6.0, 4.6))
    x, first = 6 * N * D, float(6 * alone.N * alone.D)
    label = "cheapest model by tokens served (written beside it)"
    ax.plot(x, 2 * N, color=BLUE, label=label)
    name = f"training alone: {written(float(alone.N), 'count')} parameters"
    _star(ax, first, float(2 * alone.N), name)
    # Room for what is written beside the points.
    ends = np.array([first, x.max() * (x.max() / first) ** 0.25])
    ax.set(
        xlim=(ends[0] / _room(ends), ends[1]),
        ylim=(1.6 * N.min(), 2 * float(alone.N) * 1.25),
    )
    log_axis(ax, "x", "flop")
    log_axis(ax, "y", "flop")
    at = np.array([int(np.argmin(np.abs(np.log(demands / tokens)))) for tokens in marks])
    ax.plot(x[at], 2 * N[at], "o", color=BLUE, markersize=5)
    _demands(ax, marks, x[at], N[at])
    ax.set(xlabel="training, $6ND$ (FLOP)", ylabel="serving, $2N$ (FLOP per token)")
    title(ax, f"models of loss {loss:.4g} by the tokens that they will serve")
    legend_below(ax)
    return ax


def _demands(ax: Axes, marks: np.ndarray, x: np.ndarray, N: np.ndarray) -> None:
    """What each point serves, written beside it and moved apart where points are close."""
    size = small_text(ax)
    order = np.argsort(2 * N)
    low, high = np.log(ax.get_ylim())
    tall = 72 * extent(ax)[1]
    places = (np.log(2 * N[order]) - low) / (high - low) * tall
    for i, place, moved in zip(order, places, spread(places, 1.35 * size), strict=True):
        text = written(float(marks[i]), "flop")
        ax.annotate(
            text,
            (x[i], 2 * N[i]),
            xytext=(9, moved - place + 5),
            textcoords="offset points",
            fontsize=size,
            va="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": GREY, "shrinkA": 0},
        )
