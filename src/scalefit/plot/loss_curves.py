"""The loss against tokens, compute or size: a line for each size, and what lies beyond the runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.arguments import level as checked_level
from scalefit.arguments import mapping, number
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError
from scalefit.plot.canvas import beyond, single
from scalefit.plot.curve_artists import (
    View,
    draw_frontier,
    draw_lines,
    draw_optimum,
    draw_runs,
    in_words,
    one_surface,
)
from scalefit.plot.drawn_lines import Lines, kind_of, lines_of, lines_of_ranges, quantity, said
from scalefit.plot.line_colours import Colours
from scalefit.plot.measured_runs import measured
from scalefit.plot.style import axis_label, ink, legend_below, log_axis, picture, symbol, title
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves"]

# How far lines go beyond the runs by default, decades, where more of a column lowers the loss.
BEYOND = 0.5
# Room around the losses, as a share of their range.
ROOM = 0.05
# The largest budget and column that are drawn: beyond, ticks of logarithmic axes leave float64.
MOST_DRAWN = 1e60
# A loss this close below the picture, as a share of its height, is still taken into it.
NEAR = 0.25
# Points of a line that say how high and low it goes.
EVEN = 80
PLANE = ("N", "D")
# Where a law has nothing left to lose, and how close to its offset it is there.
ENDLESS, AT_END = 1e60, 1e-3


@picture
def curves(
    result: Surface,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    against: str | None = None,
    lines: str | None = None,
    at: Mapping[str, Any] | None = None,
    flops: float | None = None,
    to: float | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Runs and the fitted loss against one column: solid where runs are, dashed beyond.

    Args:
        result: a fit, or an ensemble, which adds the band of each line.
        runs: the table that was fitted, or another one to compare with. Without it, lines are solid
            over the ranges that the fit knows.
        against: what is across: a column of the law, or ``"C"`` for 6ND; tokens by default, or the
            law's first column.
        lines: what differs from line to line: a column of the law, ``"C"``, or a column that
            coefficients differ by. By default sizes, and budgets against ``"N"``. Of more than
            eight values seven are drawn, and runs have the colour of their own value.
        at: values of further columns, as ``{"P": 4, "format": "fp8"}``; by default those that most
            runs have. The title says which, and how many runs have them.
        flops: a budget to mark, FLOP: its optimum, and the line of its size or of the budget.
        to: how far the lines go, in units of ``against``; three times the largest of the runs by
            default.
        level: coverage of the bands.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: the column across, logarithmic where it is positive; the loss up. Against compute
        the lowest loss of each budget is a line too. The loss that no training removes is dotted
        where it is in view.

    Raises:
        AllocationError: there is no optimum of the budget to mark.
        ArgumentError: there is no fit, a column is not of the law, a number is not positive, the
            level no number between 0 and 1, ``ax`` no Axes, or the fit without ``runs`` does not
            know its ranges.
        DataError: the table lacks a column, or ``at`` has a level that was not fitted.
    """
    surface = checked_surface(result, "result")
    level, fit = checked_level(level), surface.point
    remedy = "Pass values by column, as at={'P': 4}"
    chosen = mapping({} if at is None else at, "at", remedy=remedy)
    table = None
    if runs is None:
        drawn, ends = lines_of_ranges(fit, against, lines, chosen)
    else:
        table = measured(curves, surface, runs, columns)
        drawn = lines_of(fit, table.values, against, lines, chosen)
        x = np.asarray(quantity(drawn.across, table.values), dtype=np.float64)[drawn.shown]
        ends = (x.min(), x.max()) if len(x) else _known_range(fit, drawn.across)
    best = None if flops is None else _optimum(surface, drawn, flops)
    ax = single(ax, (7.4, 5.0))
    view = View(surface, drawn, table, ends, _reach(drawn, ends, best, to), level)
    colours = Colours(ax, drawn)
    draw_lines(ax, view, colours)
    draw_runs(ax, view, colours)
    if drawn.across == "C" and "C" not in fit.law.columns:
        draw_frontier(ax, view)
    if best is not None:
        draw_optimum(ax, view, best)
    _frame(ax, view, best)
    # Both before the bar takes room of the Axes.
    legend_below(ax)
    title(ax, _title(view, best))
    colours.bar(ax)
    return ax


def _known_range(fit: Fit, across: str) -> tuple[float, float]:
    """Range across of the fitted runs, where no run is shown."""
    low, high = fit.domain.get(across, fit.domain.get("6ND", (np.nan, np.nan)))
    return (low, high) if np.isfinite([low, high]).all() else (1.0, 10.0)


def _optimum(surface: Surface, lines: Lines, flops: float) -> Allocation:
    """The optimum of the budget to mark.

    Raises:
        AllocationError: there is none.
        ArgumentError: the lines are not cuts of one surface of N and D.
    """
    fit = surface.point
    if not {lines.across, lines.by} <= {"N", "D", "C"} or not {"N", "D"} <= {*fit.law.columns}:
        raise ArgumentError(
            f"the optimum of a budget lies on lines of N, D or C, not on lines of "
            f"{lines.by or lines.across}",
            argument="flops", value=flops, remedy="Leave flops out; to= says how far lines go",
        )  # fmt: skip
    remedy = "Pass one budget in FLOP, as flops=1e24"
    flops = number(flops, "flops", above=0, most=MOST_DRAWN, remedy=remedy)
    one, further = one_surface(surface, lines)
    return allocate(one, flops, fixed=further)


def _reach(
    lines: Lines,
    ends: tuple[float, float],
    best: Allocation | None,
    to: float | None,
) -> tuple[float, float]:
    """From where to where the lines go."""
    low, high = ends
    if low <= 0:
        end = high if to is None else number(to, "to", remedy="Pass a number, as to=1.5")
        return low, max(high, end)
    wider = 10**BEYOND if lines.across != "N" or lines.by != "C" else 1.0
    far = [high * wider] if to is None else []
    if to is not None:
        remedy = f"Pass how far {lines.across} goes, as to={10 * high:.1g}"
        far = [high, number(to, "to", above=0, most=MOST_DRAWN, remedy=remedy)]
    if best is not None:
        far.append(1.5 * _place(lines, best))
        low = min(low, _place(lines, best) / 1.5)
    return low, max(far)


def _place(lines: Lines, best: Allocation) -> float:
    """Where an optimum is across."""
    return float(best.budget if lines.across == "C" else best[lines.across])


def _frame(ax: Axes, view: View, best: Allocation | None) -> None:
    """Scales, ranges and names of the axes, and the loss that no training removes."""
    fit, lines = view.surface.point, view.lines
    low, high = view.reach
    if low > 0:
        edge = max(high / low, 2.0) ** 0.02
        ax.set_xlim(low / edge, high * edge)
        log_axis(ax, "x", kind_of(view.called))
    bottom, top = _losses(view, best)
    height = top - bottom or abs(top) or 1.0
    floor = _floor(view)
    if floor is not None and bottom - NEAR * height < floor[1] < top:
        bottom = min(bottom, floor[1])
        name = f"{symbol(floor[0])} = {floor[1]:.3g}, which no training removes"
        ax.axhline(floor[1], color=ink(ax), linewidth=0.9, linestyle=(0, (1, 2)), label=name)
    ax.set_ylim(bottom - ROOM * height, top + ROOM * height)
    own = lines.across in fit.law.columns
    ax.set_xlabel(axis_label(view.called) if own else axis_label("C", "FLOP, as 6ND"))
    ax.set_ylabel(axis_label(fit.law.response, fit.loss_unit))


def _losses(view: View, best: Allocation | None) -> tuple[float, float]:
    """Range of the losses in view: where lines leave the runs upwards, they leave the picture."""
    x = view.points(*view.reach, EVEN)
    drawn = [view.loss(x, value) for value in view.lines.values]
    every = np.concatenate([y[np.isfinite(y)] for y in drawn])
    own = view.observed if view.runs is not None else np.empty(0)
    if not len(own):
        own = np.concatenate([view.loss(np.array(view.ends), value) for value in view.lines.values])
    optimum = [] if best is None else [float(best.loss)]
    if best is not None and best.draws:
        optimum.append(float(best.estimate("loss").interval(view.level)[0]))
    bottom = min([*own, *every, *optimum])
    # Losses fall and scores rise: whichever does, what is beyond the runs stays in view.
    rising = all(y[-1] > y[0] for y in drawn)
    return (float(own.min()), float(max(own.max(), every.max()))) if rising else (
        float(bottom), float(own.max()))  # fmt: skip


def _floor(view: View) -> tuple[str, float] | None:
    """The loss that is left without end of everything, with the name of its parameter.

    None for a law that has no such parameter, or one for each line.
    """
    fit = view.surface.point
    names = [item.name for item in fit.law.params if item.kind.name == "offset"]
    rest = {name: item for name, item in view.lines.rest.items() if name not in PLANE}
    grouped = {name for item in fit.groups.values() for name in item.columns} - {*rest}
    if len(names) != 1 or grouped:
        return None
    one = one_surface(view.surface, view.lines)[0].point if fit.groups else fit
    own = {name: rest.get(name, ENDLESS) for name in fit.law.columns}
    end = float(one.evaluate(**own))
    value = one.params[names[0]]
    return (names[0], value) if value > 0 and abs(end - value) < AT_END * value else None


def _title(view: View, best: Allocation | None) -> list[str]:
    """What is drawn, the columns that are fixed, and how far an optimum lies outside the runs."""
    fit, lines = view.surface.point, view.lines
    one = f"{fit.law.name}: {fit.law.response} against {symbol(view.called)}"
    if lines.by and not lines.every:
        one += f", lines at {len(lines.values)} of {lines.distinct} values of {symbol(lines.by)}"
    found = [one]
    if lines.rest:
        fixed = ", ".join(f"{symbol(name)} = {said(name, x)}" for name, x in lines.rest.items())
        if view.runs is not None:
            fixed += f" ({len(view.observed)} of {len(view.runs)} runs)"
        found.append(fixed)
    return found if best is None else [*found, in_words(best), *beyond(best)]
