"""What the parabolas did: fans with both optima, and the error of D* out to a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalefit.allocation.optimum import allocate
from scalefit.approach2.bias_report import BiasReport
from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.plot.canvas import pair
from scalefit.plot.gap_parts import percents, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bias"]

CURVE = 200
SURFACE, PARABOLA = "#1f6f8b", "#d1495b"
# Room beside the runs of a budget for its curves, in ln N.
ROOM = 0.25
# How far intervals may widen the picture beyond the answers, as a factor of D*.
BEYOND = 3.0


def bias(
    report: BiasReport, *, level: float = 0.95, axes: Sequence[Axes] | None = None
) -> np.ndarray:
    """Loss against model size by budget, and D* against the budget, relative to the surface's.

    On the left the runs, the parabola of each budget with its vertex, and the surface along the
    budget with its optimum. On the right the vertices with their intervals (a dotted line where
    the interval has no end), what parabolas would give on the same sizes without any noise, the
    power law of Approach 2, and an arrow for its error at the budget in question.

    Args:
        report: from :func:`scalefit.bias`.
        level: of the intervals: over the resamples of Approach 2, and over the surface's draws.
        axes: two Axes to draw on; new ones by default.

    Returns:
        The two Axes.

    Raises:
        ArgumentError: there is no report, the level is no number between 0 and 1, or ``axes`` no
            two Axes.
    """
    remedy = "Pass report=scalefit.bias(fit, scalefit.isoflop(runs), runs, 1e24)"
    instance(report, "report", BiasReport, wanted="a report of a bias", remedy=remedy)
    level = checked_level(level)
    left, right = pair(axes, (11.6, 4.9))
    _fans(left, report)
    _errors(right, report, level)
    return np.array([left, right])


def _fans(ax: Axes, report: BiasReport) -> None:
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    budgets = report.isoflop.budgets[report.isoflop.budgets["used"]]
    runs, members = report.isoflop.sweeps, report.isoflop.sweeps.members
    used = [item for item, on in zip(members, report.isoflop.budgets["used"], strict=True) if on]
    best = allocate(report.fit, budgets["budget"].to_numpy(), cost=report.cost)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(budgets)))
    for i, (colour, (_, one)) in enumerate(zip(colours, budgets.iterrows(), strict=True)):
        low, high = np.log(one["N_min"]) - ROOM, np.log(one["N_max"]) + ROOM
        x = np.linspace(low, high, CURVE)
        bowl = one["loss"] + one["curvature"] * (x - np.log(one["N"])) ** 2
        N = np.exp(x)
        slice_ = report.fit.evaluate(N=N, D=report.cost.tokens(one["budget"], N))
        ax.plot(N, bowl, color=colour, linewidth=1.0, linestyle=(0, (4, 2)))
        ax.plot(N, slice_, color=colour, linewidth=1.4)
        at = used[i]
        ax.scatter(runs.N[at], runs.loss[at], s=9, color=colour, alpha=0.75, linewidths=0)
    ax.plot(best.N, best.loss, color=SURFACE, linewidth=0.9, zorder=4)
    ax.plot(best.N, best.loss, "o", markersize=6, color=SURFACE, markeredgecolor="white", zorder=6)
    ax.plot(
        budgets["N"], budgets["loss"], "D", markersize=5.5, color=PARABOLA,
        markeredgecolor="white", zorder=5,
    )  # fmt: skip
    loss = runs.loss[np.concatenate(used)]
    room = 0.06 * np.ptp(loss)
    low, high = min(loss.min(), best.loss.min()), max(loss.max(), best.loss.max())
    ax.set_ylim(low - room, high + room)
    ax.set_xscale("log")
    ax.set_xlabel("N, parameters")
    ax.set_ylabel("loss, in the table's unit")
    ax.set_title(f"{len(budgets)} budgets, dark to light", fontsize=10)
    ax.legend(
        handles=[
            Line2D([], [], color="0.4", marker=".", linestyle="none", label="runs"),
            Line2D(
                [], [], color=PARABOLA, marker="D", markersize=5, linestyle=(0, (4, 2)),
                label="parabola and its vertex",
            ),
            Line2D([], [], color=SURFACE, marker="o", label=f"{report.law} and its optimum"),
        ],
        frameon=False,
        fontsize=8,
    )  # fmt: skip


def _errors(ax: Axes, report: BiasReport, level: float) -> None:
    found, flops = report.isoflop, report.flops
    budgets = found.to_frame(level)[found.budgets["used"]]
    at = budgets["budget"].to_numpy()
    true = allocate(report.fit, np.append(at, flops), cost=report.cost).D
    ratio = budgets["D"].to_numpy() / true[:-1]
    low, high = (budgets[name].to_numpy() / true[:-1] for name in ("D_low", "D_high"))
    bounded = (low > 0) & np.isfinite(high)
    away = np.where(bounded, [ratio - low, high - ratio], 0.0)
    ax.axhline(1.0, color=SURFACE, linewidth=1.4, label=f"{report.law}, fitted to all runs")
    ax.errorbar(
        at, ratio, away, fmt="D", markersize=5.5, color=PARABOLA,
        elinewidth=0.9, markeredgecolor="white", label=f"vertex, {100 * level:g} % interval",
    )  # fmt: skip
    for budget in at[~bounded & budgets["D_low"].notna().to_numpy()]:
        ax.axvline(budget, color=PARABOLA, linewidth=0.9, linestyle=":")
    exact = 1 + report.design.budgets["D_error"].to_numpy()[found.budgets["used"].to_numpy()]
    ax.plot(
        at, exact, "x", markersize=6, color="black", label="vertex on the same sizes without noise"
    )
    way = np.geomspace(at.min(), flops, CURVE)
    best = allocate(report.fit, way, cost=report.cost).D
    line = found.at(way).D / best
    ax.plot(way, line, color=PARABOLA, linewidth=1.2, linestyle=(0, (4, 2)), label="Approach 2")
    top = report.approach2["D"] / report.surface["D"]
    ax.annotate(
        "", (flops, top), (flops, 1.0),
        arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.6, "shrinkA": 0,
                    "shrinkB": 0, "mutation_scale": 14},
    )  # fmt: skip
    shown = [*ratio, *line, 1.0, *exact]
    least, most = min(shown), max(shown)
    ends = [*_doubts(ax, report, level), *low[bounded], *high[bounded]]
    least = max(min(least, *ends), least / BEYOND) if ends else least
    most = min(max(most, *ends), most * BEYOND) if ends else most
    room = max((most / least) ** 0.08, 1.01)
    # On the other side of the surface's line than the arrow, where nothing is.
    side = -1 if top > 1 else 1
    ax.annotate(
        f"{report.error():+.1%} tokens\nwastes {report.deadweight:.2%}", (flops, 1.0),
        (-4, 8 * side), textcoords="offset points", ha="right",
        va="top" if side < 0 else "bottom", fontsize=10, fontweight="bold",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(at.min() / 2, flops * (flops / at.min()) ** 0.06)
    ax.set_ylim(least / room, most * room)
    ax.minorticks_off()
    ticks = percents(least / room, most * room)
    ax.set_yticks(ticks, [said(tick) for tick in ticks])
    ax.set_xlabel("C, FLOP")
    ax.set_ylabel("D* relative to the surface's")
    why = report.attribution
    told = f"\n{why.headline}" if why.cancels or why.of_convention else ""
    ax.set_title(f"out to {flops:.3g} FLOP{told}", fontsize=10)
    handles, labels = ax.get_legend_handles_labels()
    # Error bars come last by themselves.
    ax.legend(
        [handles[-1], *handles[:-1]], [labels[-1], *labels[:-1]], fontsize=8, loc="best",
        framealpha=0.9, edgecolor="none",
    )  # fmt: skip


def _doubts(ax: Axes, report: BiasReport, level: float) -> list[float]:
    """Bars beside the arrow for the intervals of both answers; their ends."""
    reach = report.flops / report.isoflop.budgets["budget"].min()
    bars = []
    if len(report.resamples):
        bars.append((report.resampled("D"), "Approach 2, its runs resampled", PARABOLA))
    if report.draws:
        bars.append((report.estimate("D"), "the surface, over its draws", SURFACE))
    ends: list[float] = []
    for (answer, whose, colour), away in zip(bars, (0.02, 0.035), strict=False):
        low, high = (float(end) / report.surface["D"] for end in answer.interval(level))
        place = report.flops * reach**away
        label = f"{100 * level:g} %: {whose}"
        ax.plot([place, place], [low, high], color=colour, linewidth=3, alpha=0.5, label=label)
        ends += [low, high]
    return ends
