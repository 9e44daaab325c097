"""The bias of Approach 2: IsoFLOP curves with both optima, and the error of D* by budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.allocation.optimum import allocate
from scalefit.approach2.bias_report import BiasReport
from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.plot.canvas import several
from scalefit.plot.gap_parts import percent_label, percent_ticks
from scalefit.plot.isoflop_fans import budget_bar, top_loss
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    axis_label,
    extent,
    halo,
    ink,
    is_small,
    legend_below,
    log_axis,
    paper,
    picture,
    sequence,
    small_text,
    spread,
    title,
    written,
)
from scalefit.results.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bias"]

CURVE = 200
SURFACE, PARABOLA = BLUE, VERMILION
DASHED = (0, (4, 2))
# How far the curves of a budget reach beyond its runs, in ln N.
ROOM = 0.25
# The most that intervals widen the axis beyond the points and lines, as a factor of D*.
BEYOND = 3.0
LABEL = "change of $D^*$ from the surface's"


@picture
def bias(
    result: BiasReport,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Loss against model size by budget, and D* against the budget, relative to the surface's.

    On the left the runs, the parabola of each budget with its vertex, and the surface along the
    budget with its optimum. On the right the vertices with their intervals (a dotted line where
    the interval has no end), the vertices on the same sizes without noise, the power law of
    Approach 2, and an arrow for its error at the budget of the report, with the ends of both
    intervals of D* beside it.

    Args:
        result: from :func:`scalefit.bias`.
        runs: not needed; taken so that all pictures are called alike.
        level: coverage of the intervals at the arrow, which are over the resamples of Approach 2
            and over the surface's draws. Intervals of the vertices are of the level of the sweeps.
        ax: two Axes to draw on; new ones by default.

    Returns:
        The two Axes.

    Raises:
        ArgumentError: there is no report, the level is no number between 0 and 1, or ``ax`` no two
            Axes.
    """
    remedy = "Pass result=scalefit.bias(fit, scalefit.isoflop(runs), runs, 1e24)"
    instance(result, "result", BiasReport, wanted="a report of a bias", remedy=remedy)
    level = checked_level(level)
    left, right = several(ax, (1, 2), (11.6, 5.2))
    _curves(left, result)
    _errors(right, result, level)
    return np.array([left, right])


def _curves(ax: Axes, report: BiasReport) -> None:
    budgets = report.isoflop.budgets[report.isoflop.budgets["used"]]
    runs, members = report.isoflop.sweeps, report.isoflop.sweeps.members
    used = [item for item, on in zip(members, report.isoflop.budgets["used"], strict=True) if on]
    best = allocate(report.fit, budgets["budget"].to_numpy(), cost=report.cost)
    colours = sequence(ax, len(budgets))
    small = is_small(ax)
    for i, (colour, (_, one)) in enumerate(zip(colours, budgets.iterrows(), strict=True)):
        low, high = np.log(one["N_min"]) - ROOM, np.log(one["N_max"]) + ROOM
        x = np.linspace(low, high, CURVE)
        bowl = one["loss"] + one["curvature"] * (x - np.log(one["N"])) ** 2
        N = np.exp(x)
        slice_ = report.fit.evaluate(N=N, D=report.cost.tokens(one["budget"], N))
        ax.plot(N, bowl, color=colour, linewidth=1.0, linestyle=DASHED)
        ax.plot(N, slice_, color=colour, linewidth=1.4)
        at = used[i]
        ax.scatter(runs.N[at], runs.loss[at], s=4 if small else 9, color=colour, alpha=0.75, lw=0)
    ax.plot(best.N, best.loss, color=SURFACE, linewidth=0.9, zorder=4)
    style: dict[str, Any] = {
        "linestyle": "none",
        "markeredgecolor": paper(ax),
        "markeredgewidth": 0.7,
    }
    size = 4.0 if small else 6.5
    ax.plot(best.N, best.loss, "o", markersize=size, color=SURFACE, zorder=6, **style)
    ax.plot(
        budgets["N"], budgets["loss"], "D", markersize=size - 1, color=PARABOLA, zorder=5, **style
    )
    loss = runs.loss[np.concatenate(used)]
    room = 0.06 * np.ptp(loss)
    low, high = min(loss.min(), best.loss.min()), max(top_loss(runs.loss, used), best.loss.max())
    ax.set_ylim(low - room, high + room)
    log_axis(ax, "x", "count")
    ax.set(xlabel=axis_label("N"), ylabel=axis_label("loss", report.fit.loss_unit))
    title(ax, f"parabolas and {report.law}, by budget")
    _left_legend(ax, report)
    if not small:
        budget_bar(ax, budgets["budget"].to_numpy(), colours)


def _left_legend(ax: Axes, report: BiasReport) -> None:
    from matplotlib.lines import Line2D

    kinds: list[tuple[Any, str, Any, str]] = [
        (GREY, ".", "none", "runs"),
        (PARABOLA, "D", DASHED, "parabola and its vertex"),
        (SURFACE, "o", "-", f"{report.law} and its optimum"),
    ]
    legend_below(
        ax,
        handles=[
            Line2D([], [], color=colour, marker=marker, markersize=5, linestyle=line, label=label)
            for colour, marker, line, label in kinds
        ],
    )


def _errors(ax: Axes, report: BiasReport, level: float) -> None:
    found, flops, small = report.isoflop, report.flops, is_small(ax)
    budgets = found.to_frame(level)[found.budgets["used"]]
    at = budgets["budget"].to_numpy()
    true = allocate(report.fit, at, cost=report.cost).D
    ratio = budgets["D"].to_numpy() / true
    low, high = (budgets[name].to_numpy() / true for name in ("D_low", "D_high"))
    bounded = (low > 0) & np.isfinite(high)
    away = np.where(bounded, [ratio - low, high - ratio], 0.0)
    ax.axhline(1.0, color=SURFACE, linewidth=1.4, label=f"{report.law}, fitted to all runs")
    ax.errorbar(
        at, ratio, away, fmt="D", markersize=3.5 if small else 5.5, color=PARABOLA,
        elinewidth=0.9, markeredgecolor=paper(ax), label=f"vertex, {100 * level:g} % interval",
    )  # fmt: skip
    endless = at[~bounded & budgets["D_low"].notna().to_numpy()]
    for i, budget in enumerate(endless):
        label = None if i else "vertex whose interval has no end"
        ax.axvline(budget, color=PARABOLA, linewidth=0.9, linestyle=":", label=label)
    exact = 1 + report.design.budgets["D_error"].to_numpy()[found.budgets["used"].to_numpy()]
    ax.plot(
        at, exact, "x", markersize=3.5 if small else 6, color=ink(ax), zorder=4,
        label="vertex on the same sizes, no noise",
    )  # fmt: skip
    path = np.geomspace(at.min(), flops, CURVE)
    line = found.at(path).D / allocate(report.fit, path, cost=report.cost).D
    ax.plot(path, line, color=PARABOLA, linewidth=1.4, linestyle=DASHED, label="Approach 2")
    _arrow(ax, report)
    ends = [*_intervals(ax, report, level), *low[bounded], *high[bounded]]
    ax.set_xlim(at.min() / 2, flops * (flops / at.min()) ** 0.06)
    log_axis(ax, "x", "flop")
    _percent_axis(ax, [*ratio, *line, 1.0, *exact], ends)
    _end_labels(ax, report, level)
    ax.set(xlabel=axis_label("C"), ylabel="change of $D^*$" if small else f"{LABEL} (log scale)")
    why = report.attribution
    said = [f"error of Approach 2 out to {written(flops, 'flop')} FLOP"]
    title(ax, [*said, why.headline] if why.cancels or why.of_convention else said)
    handles, labels = ax.get_legend_handles_labels()
    # matplotlib lists error bars last; the vertices come first here.
    legend_below(ax, handles=[handles[-1], *handles[:-1]], labels=[labels[-1], *labels[:-1]])


def _arrow(ax: Axes, report: BiasReport) -> None:
    """The error of D* at the budget of the report, and its cost."""
    top = report.approach2["D"] / report.surface["D"]
    ax.annotate(
        "", (report.flops, top), (report.flops, 1.0),
        arrowprops={"arrowstyle": "-|>", "color": ink(ax), "linewidth": 1.6, "shrinkA": 0,
                    "shrinkB": 0, "mutation_scale": 14},
    )  # fmt: skip
    # The text lies on the other side of the surface's line than the arrow.
    side = -1 if top > 1 else 1
    ax.annotate(
        f"{report.error():+.1%} tokens\nwastes {report.deadweight:.2%}", (report.flops, 1.0),
        (-4, 8 * side), textcoords="offset points", ha="right",
        va="top" if side < 0 else "bottom", fontsize=small_text(ax) + (0 if is_small(ax) else 1),
        fontweight="bold", path_effects=halo(ax),
    )  # fmt: skip


def _percent_axis(ax: Axes, shown: list[float], ends: list[float]) -> None:
    """A logarithmic axis of ratios, labelled in percent, that intervals widen only so far."""
    least, most = min(shown), max(shown)
    low, high = min(least, *ends, most), max(most, *ends, least)
    least, most = max(low, least / BEYOND), min(high, most * BEYOND)
    room = max((most / least) ** 0.08, 1.01)
    ax.set_yscale("log")
    ax.set_ylim(least / room, most * room)
    ax.minorticks_off()
    ticks = percent_ticks(least / room, most * room)
    ax.set_yticks(ticks, [percent_label(tick) for tick in ticks])


def _bars(report: BiasReport) -> list[tuple[Estimate, str, str]]:
    """Both answers that have an interval, whose, and the colour."""
    bars: list[tuple[Estimate, str, str]] = []
    if len(report.resamples):
        bars.append((report.resampled("D"), "Approach 2 (resampled runs)", PARABOLA))
    if report.draws:
        bars.append((report.estimate("D"), f"{report.law} (draws)", SURFACE))
    return bars


def _end_labels(ax: Axes, report: BiasReport, level: float) -> None:
    """The tokens at the ends of both intervals, beside the Axes; at an edge where they leave."""
    if is_small(ax):
        return
    low, high = np.log(ax.get_ylim())
    tall = 72 * extent(ax)[1]
    found = []
    for answer, _, colour in _bars(report):
        for end in map(float, answer.interval(level)):
            place = (np.log(end / report.surface["D"]) - low) / (high - low)
            found.append((float(np.clip(place, 0.0, 1.0)) * tall, end, colour))
    found.sort()
    moved = spread(np.array([place for place, _, _ in found]), 1.3 * small_text(ax))
    for (_, end, colour), place in zip(found, moved, strict=True):
        ax.annotate(
            written(end, "count"), (1.0, place / tall), xytext=(5, 0), xycoords="axes fraction",
            textcoords="offset points", color=colour, fontsize=small_text(ax), va="center",
        )  # fmt: skip


def _intervals(ax: Axes, report: BiasReport, level: float) -> list[float]:
    """Bars beside the arrow for the intervals of both answers; their ends."""
    reach = report.flops / report.isoflop.budgets["budget"].min()
    ends: list[float] = []
    for (answer, whose, colour), away in zip(_bars(report), (0.02, 0.035), strict=False):
        low, high = (float(end) / report.surface["D"] for end in answer.interval(level))
        place = report.flops * reach**away
        label = f"{100 * level:g} % interval: {whose}"
        ax.plot([place, place], [low, high], color=colour, linewidth=3, alpha=0.5, label=label)
        ends += [low, high]
    return ends
