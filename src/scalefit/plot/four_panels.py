"""A fit in four panels: the surface, its curves, what it leaves over, and what it recommends."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.arguments import level as checked_level
from scalefit.arguments import number
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.plot.canvas import several
from scalefit.plot.curve_artists import in_words
from scalefit.plot.drawn_lines import quantity, said
from scalefit.plot.loss_curves import MOST_DRAWN, curves
from scalefit.plot.loss_surface import surface
from scalefit.plot.measured_runs import MeasuredRuns, measured
from scalefit.plot.observed_losses import draw_observed
from scalefit.plot.residual_panels import draw_residuals
from scalefit.plot.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    axis_label,
    band,
    figure_of,
    ink,
    legend_below,
    log_axis,
    picture,
    small_text,
    symbol,
)
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["overview"]

SIZE = (10.0, 7.5)
# Without a budget the recommendations go so far beyond the largest run.
FARTHER = 30.0
BUDGETS = 80
# Notes below the panels, and characters of a line of them at the size of the figure.
MOST_NOTES, WIDTH = 3, 150


@picture
def overview(
    result: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    flops: float | None = None,
    level: float = 0.95,
    ax: Sequence[Axes] | None = None,
    **columns: str,
) -> np.ndarray:
    """A fit for a paper or a slide, in four panels.

    (a) the loss over N and D with the runs, the efficient frontier and the budget's optimum; (b)
    the loss against D, a line for each size, dashed beyond its runs; (c) the residuals against
    compute; (d) the compute-optimal N and D against the budget, and where the runs end. Below are
    the warnings of the fit and of the optimum.

    Args:
        result: a fit of a law of N and D, or an ensemble of one, which adds bands.
        runs: the table that was fitted.
        flops: a budget to mark, FLOP.
        level: coverage of the bands.
        ax: four Axes to draw on; new ones by default, on a page of 10 by 7.5 inches.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes, shape (2, 2). Where a law has no optimum, (d) has observed against predicted
        losses.

    Raises:
        AllocationError: the law is not one of N and D, or there is no optimum of the budget.
        ArgumentError: there is no fit, no run, the budget is not positive, the level no number
            between 0 and 1, or ``ax`` no four Axes.
        DataError: the table lacks a column, or coefficients differ by one: ``fit.at(...)`` chooses
            a level.
    """
    drawn = checked_surface(result, "result").one_surface()
    level, fit = checked_level(level), drawn.point
    if set(fit.law.columns) != {"N", "D"}:
        raise AllocationError(
            f"an overview is of a law of N and D, and {fit.law.name!r} is one of "
            f"{', '.join(fit.law.columns)}: scalefit.plot.curves and scalefit.plot.residuals draw "
            "any law"
        )
    if flops is not None:
        remedy = "Pass one budget in FLOP, as flops=1e24"
        flops = number(flops, "flops", above=0, most=MOST_DRAWN, remedy=remedy)
    shown = measured(overview, drawn, runs, columns)
    best = None if flops is None else allocate(drawn, flops)
    axes = several(ax, (2, 2), SIZE)
    first, second, third, fourth = np.ravel(axes)
    surface(drawn, shown.table, flops=flops, level=level, ax=first)
    curves(drawn, shown.table, flops=flops, level=level, ax=second)
    draw_residuals(third, shown, "C", level)
    if not _recommended(fourth, drawn, shown, best, level):
        draw_observed(fourth, drawn, shown, level)
    titles = ("loss over size and tokens", "loss by size, dashed beyond its runs",
              "residuals against compute", "compute-optimal size and tokens")  # fmt: skip
    for letter, one, name in zip("abcd", np.ravel(axes), titles, strict=True):
        size = small_text(one) + 2
        one.set_title("")
        one.set_title(f"({letter}) {name}", loc="left", fontsize=size)
    if ax is None:
        lines = [_fit_line(drawn), *([] if best is None else [in_words(best)])]
        _page(np.ravel(axes), lines, _warnings(drawn, best), level)
    return axes


def _recommended(
    ax: Axes, drawn: Surface, runs: MeasuredRuns, best: Allocation | None, level: float
) -> bool:
    """Optimal N and D of every budget, with bands; whether the law has any."""
    spent = quantity("C", runs.values)
    ends = float(spent.min()), float(spent.max())
    far = FARTHER * ends[1] if best is None else max(3 * float(best.budget), 3 * ends[1])
    budgets = np.geomspace(ends[0], far, BUDGETS)
    try:
        found = allocate(drawn, budgets)
    except AllocationError:
        return False
    for name, colour in (("N", BLUE), ("D", GREEN)):
        if found.draws:
            low, high = found.estimate(name).interval(level)
            ax.fill_between(budgets, low, high, **band(ax, colour))
        exponent = float((found.n_exponent if name == "N" else found.d_exponent)[-1])
        unit = {"N": "parameters", "D": "tokens"}[name]
        # Dashed where no run is.
        label = f"{symbol(f'{name}*')}, {unit}, grows as $C^{{{exponent:.2f}}}$"
        inside = budgets <= ends[1]
        cut = int(inside.sum())
        ax.plot(budgets[:cut], found[name][:cut], color=colour, label=label)
        ax.plot(budgets[cut - 1 :], found[name][cut - 1 :], color=colour, linestyle=(0, (4, 2)))
        if best is not None:
            value = float(best[name])
            ax.plot(float(best.budget), value, marker="*", color=ORANGE, markersize=13,
                    markeredgecolor=ink(ax), markeredgewidth=0.7, zorder=4,
                    linestyle="none")  # fmt: skip
            # Where the lines, which rise, are not.
            above = name == "D"
            ax.annotate(said(name, value), (float(best.budget), value),
                        xytext=(-4, 7) if above else (3, -14), textcoords="offset points",
                        ha="right" if above else "left", fontsize=small_text(ax))  # fmt: skip
    ax.axvline(ends[1], color=GREY, linestyle=":", linewidth=1.1, label="where the runs end")
    ax.set(xscale="log", yscale="log")
    log_axis(ax, "x", "flop")
    log_axis(ax, "y", "count")
    ax.set_xlabel(axis_label("C", "FLOP, as 6ND"))
    ax.set_ylabel(f"{symbol('N*')} (parameters), {symbol('D*')} (tokens)")
    legend_below(ax)
    return True


def _fit_line(drawn: Surface) -> str:
    """The law and its parameters in a line."""
    fit = drawn.point
    values = ", ".join(f"{symbol(name)} = {value:.4g}" for name, value in fit.params.items())
    return f"{fit.law.name} on {fit.nobs} runs: {values}"


def _warnings(drawn: Surface, best: Allocation | None) -> list[Note]:
    """Warnings of the fit, of the draws and of the optimum, each code once."""
    every = [*drawn.point.notes, *drawn.draw_notes, *(best.notes if best is not None else ())]
    # What repeats that a fit has warnings is no news here.
    return list({
        note.code: note for note in every
        if note.severity == "warning" and note.code != "fit_warnings"
    }.values())  # fmt: skip


def _page(axes: np.ndarray, said_of: list[str], notes: list[Note], level: float) -> None:
    """The title of the figure, one legend for all panels, and the notes below it."""
    from matplotlib.lines import Line2D

    figure = figure_of(axes[0])
    figure.suptitle("\n".join(said_of), fontsize=10.5)
    handles: dict[str, Any] = {}
    for place, one in enumerate(axes):
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            # Of the surface the lines: its runs and its optimum are in the next panel too.
            if place or (isinstance(handle, Line2D) and handle.get_marker() in ("", "None", None)):
                handles.setdefault(label, handle)
        if one.get_legend() is not None:
            one.get_legend().remove()
    label = f"smooth, and its {100 * level:g} % interval if runs are independent"
    handles[label] = Line2D([], [], color=VERMILION, linewidth=1.6)
    lines = [f"{note.code}: {note.message.partition(': ')[0]}" for note in notes[:MOST_NOTES]]
    if len(notes) > MOST_NOTES:
        lines.append(f"and {len(notes) - MOST_NOTES} more notes: print the fit")
    # As the title of the legend: the layout leaves room for it.
    figure.legend(
        handles=list(handles.values()),
        labels=list(handles),
        loc="outside lower center",
        ncols=3,
        fontsize=7.5,
        title="\n".join(part for item in lines for part in textwrap.wrap(item, WIDTH)) or None,
        title_fontsize=7.5,
        alignment="left",
    )
