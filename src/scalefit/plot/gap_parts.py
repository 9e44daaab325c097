"""The gap between Approach 2 and a surface as steps from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.approach2.attribution import Attribution
from scalefit.approach2.bias_report import BiasReport
from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    extent,
    ink,
    is_small,
    picture,
    small_text,
    title,
    written,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["attribution", "percent_label", "percent_ticks", "ratio_axis"]

# Steps between labels, as shares; the first that leaves few enough is taken.
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
MOST_LABELS = 8
# Factors that are labelled where percents get long.
FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 8.0, 20.0, 100.0)

NAMES = {
    "straight_line": "straight line",
    "asymmetry": "asymmetry, at half-width 2",
    "width": "width",
    "off_centre": "off centre",
    "drift": "drift",
    "placement": "placement",
    "flop_convention": "FLOP convention",
    "noise_and_misfit": "noise and misfit",
    "gap": "Approach 2",
}
UP, DOWN, WHOLE = VERMILION, BLUE, GREY


@picture
def attribution(
    result: Attribution | BiasReport,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Bars from the surface's D* to that of Approach 2, a step for each cause.

    Args:
        result: from :func:`scalefit.approach2.attribute_bias`, or a report of
            :func:`scalefit.bias`, whose ``attribution`` is drawn.
        runs: not needed; taken so that all pictures are called alike.
        level: of the intervals, drawn where there are draws, over the surface's draws.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: change of ln D* across, in percent of D* at the labels, which are not equally
        far apart; causes down.

    Raises:
        ArgumentError: there is no attribution, the level is no number between 0 and 1, or ``ax`` is
            no Axes.
    """
    remedy = "Pass result=scalefit.approach2.attribute_bias(fit, scalefit.isoflop(runs), 1e24)"
    if isinstance(result, BiasReport):
        result = result.attribution
    instance(result, "result", Attribution, wanted="an attribution", remedy=remedy)
    level = checked_level(level)
    ax = single(ax, (7.4, 4.0))
    size = small_text(ax)
    frame = result.to_frame(level)
    parts = frame["ln_D"].to_numpy()
    start = np.append(np.cumsum(parts[:-1]) - parts[:-1], 0.0)
    rows = np.arange(len(parts))
    colours = [UP if part > 0 else DOWN for part in parts[:-1]] + [WHOLE]
    ax.barh(rows, parts, left=start, color=colours, height=0.62)
    reach = [*start, *(start + parts)]
    tips = np.maximum(np.maximum(start, start + parts), 0.0)
    if result.draws:
        low, high = (start + frame[f"ln_D_{end}"].to_numpy() for end in ("low", "high"))
        ax.hlines(rows, low, high, color=ink(ax), linewidth=1.0)
        tips = np.maximum(tips, high)
        reach += [*low, *high]
    for row, tip, part in zip(rows, tips, parts, strict=True):
        percent = round(100 * float(np.expm1(part)), 2)
        text = f"{percent:+.2f} %" if percent else "0"
        ax.annotate(
            text, (tip, row), (5, 0), textcoords="offset points", va="center", fontsize=size
        )
    ends = (start + parts)[:-1]
    for above, end in enumerate(ends):
        ax.plot([end, end], [above, above + 1], color=GREY, linewidth=0.7, zorder=0)
    ax.axvline(0.0, color=ink(ax), linewidth=0.9)
    span = max(reach) - min(reach)
    ax.set_xlim(min(reach) - 0.05 * span, max(reach) + (0.5 if is_small(ax) else 0.2) * span)
    ax.set_yticks(rows, [NAMES[name] for name in frame.index])
    ax.invert_yaxis()
    ratio_axis(ax)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    whole = "change of $D^*$ from the surface's (log scale)"
    ax.set_xlabel("change of $D^*$ (log scale)" if is_small(ax) else whole)
    flops = written(result.flops, "flop")
    title(ax, f"why Approach 2 differs from {result.law} at {flops} FLOP")
    return ax


def ratio_axis(ax: Axes) -> None:
    """Label an axis of logarithms of ratios across, in percent, or in factors of large ones.

    From no change outwards, each label where it does not touch those before.
    """
    low, high = ax.get_xlim()
    if high - low > np.log(3.0):
        ratios = np.array([1 / factor for factor in FACTORS[:0:-1]] + [*FACTORS])
        labels = [f"{ratio:g}x" if ratio >= 1 else f"1/{1 / ratio:g}" for ratio in ratios]
    else:
        ratios = percent_ticks(np.exp(low), np.exp(high))
        labels = [percent_label(ratio) for ratio in ratios]
    places = np.log(ratios)
    size = small_text(ax)
    apart = max(map(len, labels)) * 0.75 * size / 72 / extent(ax)[0] * (high - low)
    kept: list[int] = []
    for i in np.argsort(np.abs(places)):
        inside = low <= places[i] <= high
        if inside and all(abs(places[i] - places[k]) > apart for k in kept):
            kept.append(int(i))
    ax.set_xticks(places[kept], [labels[k] for k in kept])


def percent_ticks(low: float, high: float) -> np.ndarray:
    """Ratios between two that are round percents from 1, few enough to be read."""
    for step in STEPS:
        ticks = 1 + step * np.arange(np.ceil((low - 1) / step), np.floor((high - 1) / step) + 1)
        ticks = ticks[(ticks > 1e-9) & (ticks >= low)]
        if len(ticks) <= MOST_LABELS:
            break
    return np.asarray(ticks)


def percent_label(ratio: float) -> str:
    """A ratio as a percent from 1."""
    return f"{round(100 * (ratio - 1), 6) + 0.0:+.4g} %" if abs(ratio - 1) > 1e-12 else "0"
