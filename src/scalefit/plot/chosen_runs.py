"""Runs to make next, among those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit.arguments import instance
from scalefit.design.chosen_runs import NextRuns
from scalefit.plot.canvas import single, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["next_runs"]

UNITS = {"N": "parameters", "D": "tokens"}
CHOSEN = "#d1495b"
# Area of a circle, and what each repeat adds to it.
SIZE, GROWTH = 60, 45
# Points of a line of equal cost.
CURVE = 120


def next_runs(result: NextRuns, *, ax: Axes | None = None) -> Axes:
    """The chosen runs among those that are there, with lines of equal cost and the target.

    Args:
        result: from :func:`scalefit.next_runs`.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: N across and D up, or the first two columns of the law; of a law of one column,
        that and the cost. A circle grows with how often its run is made, and has the label of the
        first of these in the table.

    Raises:
        ArgumentError: ``result`` is something else, or ``ax`` is no Axes.
    """
    remedy = "Pass result=scalefit.next_runs(fit, runs, target=1e24, budget=1e21)"
    instance(result, "result", NextRuns, wanted="runs to make next", remedy=remedy)
    ax = single(ax, (6.6, 5.0))
    runs = result.runs
    plain = [str(name) for name in runs.columns[: list(runs.columns).index("cost")]]
    across, up = plain[:2] if len(plain) > 1 else (plain[0], "cost")
    if result.existing is not None and up in result.existing:
        there = result.existing
        label = f"{len(there)} runs there"
        ax.plot(there[across], there[up], "o", ms=4, color="0.45", label=label)
    for _, same in runs.groupby([across, up], sort=False):
        x, y = (float(same[name].iloc[0]) for name in (across, up))
        size = SIZE + GROWTH * (len(same) - 1)
        ax.scatter(x, y, size, color=CHOSEN, alpha=0.75, edgecolors="black", lw=0.6)
        often = f"{same.index[0]}" + (f" (x{len(same)})" if len(same) > 1 else "")
        ax.annotate(often, (x, y), xytext=(7, 5), textcoords="offset points", fontsize=8)
    # One entry for all circles, of the smallest.
    label = f"{len(runs)} next runs"
    ax.scatter([], [], SIZE, color=CHOSEN, edgecolors="black", lw=0.6, label=label)
    if {across, up} <= set(result.points):
        ax.plot(
            result.points[across],
            result.points[up],
            "*",
            ms=15,
            color="#edae49",
            mec="black",
            label=f"target: {result.target}",
        )
    ax.margins(0.12)
    ax.set(xscale="log", yscale="log")
    if min(ax.dataLim.x0, ax.dataLim.y0) <= 0:
        ax.set(xscale="linear", yscale="linear")
    elif result.cost is not None and set(result.cost.columns) <= {across, up}:
        _equal_costs(ax, result, across, up)
    unit = result.unit if up == "cost" else UNITS.get(up, "")
    ax.set(xlabel=with_unit(across, UNITS.get(across, "")), ylabel=with_unit(up, unit))
    ax.set_title(f"Next runs for {result.target}", fontsize=10)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize=9)
    return ax


def _equal_costs(ax: Axes, result: NextRuns, across: str, up: str) -> None:
    """A line for each decade of cost, with its label."""
    low, high = ax.get_xlim(), ax.get_ylim()
    x, y = np.geomspace(*low, CURVE), np.geomspace(*high, CURVE)
    grid = dict(zip((across, up), np.meshgrid(x, y), strict=True))
    # The caller looked.
    assert result.cost is not None
    costs = np.log10(result.cost.evaluate(grid))
    levels = np.arange(np.ceil(costs.min()), np.floor(costs.max()) + 1)
    lines = ax.contour(x, y, costs, levels, colors="0.8", linewidths=0.8, zorder=0)
    ax.clabel(lines, fmt=lambda value: f"1e{value:.0f} {result.unit}", fontsize=7)
    ax.set(xlim=low, ylim=high)
