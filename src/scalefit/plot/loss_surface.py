"""The fitted loss surface with the runs it was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.arguments import level as checked_level
from scalefit.arguments import number
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError
from scalefit.plot.canvas import single, with_unit
from scalefit.results.fit import Fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["surface"]

# The largest budget that is marked: beyond, ticks of logarithmic axes leave float64.
MOST_DRAWN = 1e60
CELLS = 240
LEVELS = 14
# Room around the data and the budget, as a share of the logarithmic range.
MARGIN = 0.06


def surface(
    result: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    flops: float | None = None,
    level: float = 0.95,
    cost: CostLike = "6ND",
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Runs, contours of the fitted loss, the efficient frontier, and a budget's optimum.

    Args:
        result: a fit of a law of N and D, or an ensemble of one, which adds the band of the
            frontier and the interval of the budget's optimum.
        runs: the table that was fitted, or another one to compare with.
        flops: a budget to mark, FLOP: its line of constant cost and the optimum on it.
        level: coverage of the band and of the interval.
        cost: what the budget is counted in.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: N (parameters) across, D (tokens) up, both logarithmic, colour for the loss.

    Raises:
        AllocationError: the law is not one of N and D.
        ArgumentError: there is no fit, the budget is not positive, the level no number between 0
            and 1, or ``ax`` no Axes.
        DataError: the table lacks a column.
    """
    drawn = checked_surface(result, "result").one_surface()
    level = checked_level(level)
    fit = drawn.point
    if set(fit.law.columns) != {"N", "D"}:
        raise AllocationError(
            f"a loss surface is drawn over N and D, and {fit.law.name!r} is a law of "
            f"{', '.join(fit.law.columns)}"
        )
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    refuse_unknown(surface, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    table.require(["N", "D", "loss"])
    N, D, loss = (table.column(name) for name in ("N", "D", "loss"))
    counted = find_cost(cost)
    if flops is not None:
        remedy = "Pass one budget in FLOP, as flops=1e24"
        flops = number(flops, "flops", above=0, most=MOST_DRAWN, remedy=remedy)
    best = None if flops is None else allocate(drawn, flops, cost=counted)
    ax = single(ax, (8.0, 6.0))

    marked = [] if best is None else [best.N]
    if best is not None and best.draws:
        marked += best.estimate("N").interval(level)
    x_range = _range([N, *marked])
    y_range = _range([D, *(counted.tokens(flops, at) for at in marked)])
    x, y = np.geomspace(*x_range, CELLS), np.geomspace(*y_range, CELLS)
    predicted = fit.evaluate(N=x[None, :], D=y[:, None])
    levels = _levels(predicted, loss)
    norm = (LogNorm if levels[0] > 0 else Normalize)(levels[0], levels[-1])
    filled = ax.contourf(x, y, predicted, levels, norm=norm, cmap="viridis_r", extend="both")
    ax.contour(x, y, predicted, levels, colors="white", linewidths=0.4, alpha=0.6)
    ax.scatter(
        N,
        D,
        c=loss,
        norm=norm,
        cmap=filled.cmap,
        edgecolors="black",
        linewidths=0.5,
        s=26,
        label=f"{len(N)} runs",
        zorder=3,
    )
    _draw_frontier(ax, drawn, counted, x_range, y_range, level)
    if best is not None:
        _draw_budget(ax, counted, best, x, level)

    ax.set(xscale="log", yscale="log", xlim=x_range, ylim=y_range)
    ax.set_xlabel("N, model parameters")
    ax.set_ylabel("D, training tokens")
    ax.set_title(f"{fit.law.name}: {_headline(fit)}", fontsize=10)
    bar = ax.figure.colorbar(filled, ax=ax, label=with_unit("loss", fit.loss_unit))
    bar.ax.yaxis.set_major_locator(FixedLocator(levels[::2].tolist()))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    # Below the Axes: wherever it lay inside, it would hide runs of some table.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2, frameon=False, fontsize=9)
    return ax


def _range(parts: list[Any]) -> tuple[float, float]:
    """Range of all values with a margin, in logarithms."""
    logs = np.log(np.concatenate([np.atleast_1d(part) for part in parts]))
    room = MARGIN * max(np.ptp(logs), 1.0)
    return float(np.exp(logs.min() - room)), float(np.exp(logs.max() + room))


def _levels(predicted: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Levels that are dense where the runs are, and reach down to the best loss in view.

    An untrained corner of the window can lie at ten times the loss of any run: levels follow the
    runs, and what lies above them is one colour.
    """
    low = min(predicted.min(), loss.min())
    high = min(predicted.max(), float(np.quantile(loss, 0.98)) * 1.05)
    high = max(high, low * 1.01 if low > 0 else low + 0.01)
    return np.geomspace(low, high, LEVELS) if low > 0 else np.linspace(low, high, LEVELS)


def _draw_frontier(
    ax: Axes,
    fit: Surface,
    cost: Cost,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    level: float,
) -> None:
    """The optimal (N, D) of every budget in view, and the band it lies in."""
    low, high = (cost(n, d) for n, d in zip(x_range, y_range, strict=True))
    try:
        frontier = allocate(fit, np.geomspace(low, high, 100), cost=cost)
    except AllocationError:
        # Some budget in view has no interior optimum: the surface is still worth seeing.
        return
    if frontier.draws:
        # Along the line of each budget: where N is lower, D is higher.
        low, high = frontier.estimate("N").interval(level)
        ax.fill(
            np.r_[low, high[::-1]],
            np.r_[cost.tokens(frontier.flops, low), cost.tokens(frontier.flops, high)[::-1]],
            color="crimson",
            alpha=0.25,
            linewidth=0,
            label=f"{100 * level:g} % band of the frontier",
        )
    ax.plot(
        frontier.N,
        frontier.D,
        color="crimson",
        linewidth=1.8,
        label=f"efficient frontier, N* \u221d C^{float(frontier.n_exponent[-1]):.3f}",
    )


def _draw_budget(ax: Axes, cost: Cost, best: Any, x: np.ndarray, level: float) -> None:
    """The line of one budget and its optimum, with its interval."""
    ax.plot(
        x,
        cost.tokens(best.flops, x),
        color="black",
        linestyle="--",
        linewidth=1.0,
        label=f"{cost.name} = {best.flops:.3g} FLOP",
    )
    if best.draws:
        ends = np.array(best.estimate("N").interval(level))
        ax.plot(ends, cost.tokens(best.flops, ends), color="gold", linewidth=4.0, zorder=3)
    ax.plot(
        best.N,
        best.D,
        marker="*",
        markersize=15,
        color="gold",
        markeredgecolor="black",
        linestyle="none",
        label=f"N* = {best.N:.3g}, D* = {best.D:.3g}, loss {best.loss:.3f}",
        zorder=4,
    )


def _headline(fit: Fit) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in fit.params.items())
