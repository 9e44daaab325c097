"""Runs to make next, among those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.design.chosen_runs import NextRuns
from scalefit.frozen import Frozen
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    GREY,
    ORANGE,
    VERMILION,
    axis_label,
    ink,
    is_small,
    label_places,
    label_points,
    legend_below,
    log_axis,
    picture,
    title,
    written,
)
from scalefit.reporting.numbers import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["next_runs"]

KINDS: Frozen[str, Kind] = Frozen({"N": "count", "D": "count", "cost": "flop"})
# Area of a circle, and what each repeat adds to it.
SIZE, GROWTH = 60, 45
# Points of a line of equal cost.
CURVE = 120


@picture
def next_runs(
    result: NextRuns,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """The chosen runs among those that are there, with lines of equal cost and the target.

    Args:
        result: from :func:`scalefit.next_runs`.
        runs: the runs that are there, where the result was not given them.
        level: not needed; taken so that all pictures are called alike.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: N across and D up, or the first two columns of the law; of a law of one column,
        that and the cost. A circle grows with how often its run is made, and has the label of the
        first of these in the table.

    Raises:
        ArgumentError: ``result`` is something else, or ``ax`` is no Axes.
        DataError: the table lacks a column.
    """
    remedy = "Pass result=scalefit.next_runs(fit, runs, target=1e24, budget=1e21)"
    instance(result, "result", NextRuns, wanted="runs to make next", remedy=remedy)
    checked_level(level)
    ax = single(ax, (6.6, 5.2))
    chosen, small = result.runs, is_small(ax)
    plain = [str(name) for name in chosen.columns[: list(chosen.columns).index("cost")]]
    across, up = plain[:2] if len(plain) > 1 else (plain[0], "cost")
    there = result.existing if runs is None else _there(as_table(runs, **columns), across, up)
    if there is not None and up in there:
        label = f"{len(there)} runs there"
        ax.plot(there[across], there[up], "o", ms=2.5 if small else 4, color=GREY, label=label)
    named: list[tuple[float, float, str]] = []
    for _, same in chosen.groupby([across, up], sort=False):
        x, y = (float(same[name].iloc[0]) for name in (across, up))
        size = (SIZE + GROWTH * (len(same) - 1)) * (0.35 if small else 1.0)
        ax.scatter(x, y, size, color=VERMILION, alpha=0.8, edgecolors=ink(ax), lw=0.6)
        often = f"{same.index[0]}" + (f" (x{len(same)})" if len(same) > 1 else "")
        named.append((x, y, often))
    # One entry for all circles, of the smallest.
    label = f"{len(chosen)} next runs"
    ax.scatter([], [], SIZE, color=VERMILION, edgecolors=ink(ax), lw=0.6, label=label)
    if {across, up} <= set(result.points):
        ax.plot(
            result.points[across],
            result.points[up],
            "*",
            ms=9 if small else 15,
            color=ORANGE,
            mec=ink(ax),
            mew=0.8,
            label=f"target: {result.target}",
        )
    ax.margins(0.12)
    if min(ax.dataLim.x0, ax.dataLim.y0) > 0:
        log_axis(ax, "x", KINDS.get(across, "number"))
        log_axis(ax, "y", KINDS.get(up, "number"))
        if result.cost is not None and set(result.cost.columns) <= {across, up}:
            _equal_costs(ax, result, across, up)
    if not small:
        label_points(ax, named)
    unit = result.unit if up == "cost" else None
    ax.set(xlabel=axis_label(across), ylabel=axis_label(up, unit))
    title(ax, [f"next runs for {result.target}", _gain(result)])
    legend_below(ax)
    return ax


def _there(table: LossTable, across: str, up: str) -> pd.DataFrame:
    """The runs of a table."""
    table.require([across, *({up} - {"cost"})])
    return pd.DataFrame({name: table.column(name) for name in (across, up) if name in table})


def _gain(result: NextRuns) -> str:
    """What the runs cost and give."""
    cost = f"they cost {written(result.spent, 'flop')} {result.unit}"
    if result.kind == "choice":
        return cost
    return f"{cost} and divide the standard error by {result.shrinkage:.2g}"


def _equal_costs(ax: Axes, result: NextRuns, across: str, up: str) -> None:
    """A line for each decade of cost, with its label."""
    low, high = ax.get_xlim(), ax.get_ylim()
    x, y = np.geomspace(*low, CURVE), np.geomspace(*high, CURVE)
    grid = dict(zip((across, up), np.meshgrid(x, y), strict=True))
    # The caller looked.
    assert result.cost is not None
    costs = np.log10(result.cost.evaluate(grid))
    levels = np.arange(np.ceil(costs.min()), np.floor(costs.max()) + 1)
    lines = ax.contour(x, y, costs, levels, colors=GREY, linewidths=0.7, zorder=0, alpha=0.6)
    if not is_small(ax):
        places = label_places(ax, (x, y), costs, levels, right=0.9, top=0.92)
        ax.clabel(
            lines,
            fmt=lambda value: f"{written(10.0 ** round(value), 'flop')} {result.unit}",
            fontsize=7,
            colors=ink(ax),
            manual=places,
        )
    ax.set(xlim=low, ylim=high)
