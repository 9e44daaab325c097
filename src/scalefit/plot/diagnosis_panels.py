"""A diagnosis in one picture: residuals along each column, and the answer without each block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.approach2.bias_variants import AS_GIVEN
from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.frozen import Frozen
from scalefit.plot.canvas import several
from scalefit.plot.gap_parts import ratio_axis
from scalefit.plot.residual_points import frame_height, points_within
from scalefit.plot.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    axis_label,
    band,
    ink,
    is_small,
    log_axis,
    picture,
    sequence,
    small_text,
    title,
)
from scalefit.reporting.numbers import Kind, shown
from scalefit.validation.diagnosis import Diagnosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["diagnosis", "diagnosis_shape"]

# Panels of residuals, at most: N, D, compute and D/N.
MOST_PANELS = 4
# Answers beyond this factor are put on the edge.
WIDEST = 8.0
BAND, TREND, FLAGGED = BLUE, VERMILION, VERMILION
# Colours of few blocks without an order.
FEW = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)
KINDS: Frozen[str, Kind] = Frozen({"N": "count", "D": "count", "C": "flop", "6ND": "flop"})


@picture
def diagnosis(
    result: Diagnosis,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Residuals against each column with their trends, and how the answer moves.

    In the panels of residuals a colour is a block (a budget), the line is the trend, and its band
    the t interval of its slope with standard errors by block; a title with an asterisk is a trend
    that a note warns of. Residuals beyond six times their usual size are triangles on the edge. In
    the two last panels a dot is the answer without one block, or by another objective, relative to
    that of the fit; the shaded band is the interval of the fit, and a grey bar what noise alone
    does to the answer without that block (as many standard errors as the level asks for).
    Vermilion blocks are those that a note warns of.

    Args:
        result: from :func:`scalefit.diagnose`.
        runs: not needed; taken so that all pictures are called alike.
        level: coverage of the intervals.
        ax: Axes to draw on, as many as a new figure would have: two rows of three for laws of N
            and D.

    Returns:
        The Axes, shape (2, 3) for laws of N and D, (3,) for a law of one column.

    Raises:
        ArgumentError: there is no diagnosis, the level is no number between 0 and 1, or ``ax`` is
            not as many Axes.
    """
    remedy = "Pass result=scalefit.diagnose(fit, runs)"
    instance(result, "result", Diagnosis, wanted="a diagnosis", remedy=remedy)
    level = checked_level(level)
    slopes = result.trends[result.trends["term"] == "slope"]
    names = list(slopes["column"])[:MOST_PANELS]
    places = _layout(len(names))[1]
    axes = several(ax, *diagnosis_shape(result))
    flat = np.ravel(axes)
    for name, place in zip(names, places, strict=False):
        _residuals(flat[place], result, name, level)
    _left_out(flat[places[-2]], result, level)
    _objectives(flat[places[-1]], result, level)
    for place in set(range(len(flat))) - {*places[: len(names)], *places[-2:]}:
        flat[place].set_axis_off()
    return axes


def diagnosis_shape(result: Diagnosis) -> tuple[tuple[int, int], tuple[float, float]]:
    """Rows and columns of the Axes of a diagnosis, and the size of its figure, inches."""
    count = int((result.trends["term"] == "slope").sum())
    down, across = _layout(min(count, MOST_PANELS))[0]
    tall = max(3.6 * down, 0.17 * len(result.left_out) + 3.6 * (down - 1))
    return (down, across), (4.6 * across, tall)


def _layout(count: int) -> tuple[tuple[int, int], list[int]]:
    """Rows and columns of Axes, and the places of the residuals and of the two last panels."""
    if count <= 1:
        return (1, 3), [0, 1, 2][1 - count :] if count else [1, 2]
    if count == 2:
        return (2, 2), [0, 1, 2, 3]
    if count == 3:
        return (2, 3), [0, 1, 2, 3, 4]
    return (2, 3), [0, 1, 3, 4, 2, 5]


def _colours(ax: Axes, result: Diagnosis) -> np.ndarray:
    """Colour of each run by its block, shape (runs, 4)."""
    from matplotlib.colors import to_rgba_array

    block = result.residuals["block"].cat
    count = len(block.categories)
    if block.ordered or count > len(FEW):
        shades = sequence(ax, count)
    else:
        shades = np.resize(to_rgba_array(list(FEW)), (count, 4))
    return np.asarray(shades[block.codes.to_numpy()])


def _residuals(ax: Axes, result: Diagnosis, name: str, level: float) -> None:
    """Residuals along one column, with their trend."""
    relative = result.fit.objective.residual != "raw"
    factor = 100.0 if relative else 1.0
    x = result.residuals[name].to_numpy()
    values = factor * result.residuals["residual"].to_numpy()
    top = frame_height(values)
    size = 6 if is_small(ax) else 14
    points_within(ax, x, values, top, colours=_colours(ax, result), s=size, linewidths=0)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    frame = result.trend_intervals(level)
    slope = frame[(frame["column"] == name) & (frame["term"] == "slope")].iloc[0]
    bend = frame[(frame["column"] == name) & (frame["term"] == "curvature")].iloc[0]
    logarithmic = slope["unit"] == "decade"
    _trend(ax, result, x, factor, slope, logarithmic)
    if logarithmic:
        log_axis(ax, "x", KINDS.get(name, "number"))
    ax.set_ylim(-top, top)
    ax.set_xlabel(axis_label(name, "FLOP" if name == "6ND" else None))
    ax.set_ylabel(axis_label(f"{result.fit.objective.residual} residual", "%" * relative))
    title(ax, _title(slope, bend, relative))


def _trend(
    ax: Axes, result: Diagnosis, x: np.ndarray, factor: float, slope: pd.Series, logarithmic: bool
) -> None:
    """The line of a trend through the middle of the residuals, and the band of its slope."""
    z = np.log10(x) if logarithmic else (x - x.min()) / np.ptp(x)
    values = result.residuals["residual"].to_numpy()
    middle = np.median(values) if result.fit.objective.penalty.bounded else np.mean(values)
    along = np.linspace(z.min(), z.max(), 50)
    place = 10**along if logarithmic else x.min() + along * np.ptp(x)
    away = along - z.mean()
    ax.plot(place, factor * (middle + slope["value"] * away), color=TREND, linewidth=1.5)
    if np.isfinite(slope["se"]):
        ends = [factor * (middle + slope[end] * away) for end in ("low", "high")]
        ax.fill_between(place, np.min(ends, axis=0), np.max(ends, axis=0), color=TREND, alpha=0.2,
                        linewidth=0)  # fmt: skip


def _title(slope: pd.Series, bend: pd.Series, relative: bool) -> list[str]:
    """Both coefficients with the half-widths of their intervals; flagged ones with an asterisk."""
    factor, sign = (100.0, " %") if relative else (1.0, "")
    said = []
    for name, row, power in (("slope", slope, ""), ("curvature", bend, "²")):
        value, half = factor * row["value"], factor * 0.5 * (row["high"] - row["low"])
        text = f"{value:.2g}"
        if np.isfinite(half) and half > 0:
            # Both with two digits of the half-width.
            places = max(1 - int(np.floor(np.log10(half))), 0)
            text = f"{value:.{places}f} ± {half:.{places}f}"
        said.append(f"{name} {text}{sign} per {row['unit']}{power}{' *' * bool(row['flagged'])}")
    return said


def _left_out(ax: Axes, result: Diagnosis, level: float) -> None:
    """The answer without each block."""
    from scipy.stats import norm

    frame = result.left_out
    labels = [f"{row['by']} = {row['block']}" for _, row in frame.iterrows()]
    colours = [FLAGGED if flag else BAND for flag in frame["flagged"]]
    width = norm.ppf(0.5 + 0.5 * level) * frame["expected"].to_numpy()
    _dots(ax, result, level, frame["swing"].to_numpy(), labels, colours, width)
    title(ax, f"{_short(result)} without each block")


def _objectives(ax: Axes, result: Diagnosis, level: float) -> None:
    """The answer by other objectives, and without flagged runs."""
    frame = result.objectives.drop(AS_GIVEN)
    labels = [
        f"{name} ({int(runs)} left)" if name == "without flagged runs" else str(name)
        for name, runs in zip(frame.index, frame["runs"], strict=True)
    ]
    changes = frame["change"].to_numpy()
    _dots(ax, result, level, changes, labels, [BAND] * len(frame), np.full(len(frame), np.nan))
    title(ax, f"{_short(result)} by other objectives")


def _short(result: Diagnosis) -> str:
    """The answer and its value."""
    value = shown(result.answer, result.target.kind).value
    if result.target.optimum is None:
        return f"{result.target.first} at the target ({value})"
    return f"{result.target.called} ({value})"


def _dots(
    ax: Axes,
    result: Diagnosis,
    level: float,
    changes: np.ndarray,
    labels: list[str],
    colours: list[str],
    width: Any,
) -> None:
    """Answers relative to that of the fit, a row for each; the interval behind them."""
    rows = np.arange(len(changes))
    limit = np.log(WIDEST)
    ends = np.log(np.array(result.interval(level)) / result.answer)
    if np.isfinite(ends).all():
        ax.axvspan(*np.clip(ends, -limit, limit), **band(ax, BAND))
    ax.axvline(0.0, color=GREY, linewidth=0.9)
    bar = np.clip(np.nan_to_num(width), 0.0, limit)
    ax.hlines(rows, -bar, bar, color=GREY, linewidth=3.0, alpha=0.6)
    known = np.isfinite(changes)
    inside = known & (np.abs(changes) <= limit)
    shades = np.array(colours, dtype=object)
    shown = list(shades[inside])
    ax.scatter(
        changes[inside], rows[inside], s=26, color=shown, edgecolors=ink(ax), lw=0.5, zorder=3
    )
    for sign, marker in ((1, ">"), (-1, "<")):
        far = known & ~inside & (np.sign(changes) == sign)
        ax.scatter(np.full(far.sum(), sign * limit), rows[far], s=30, marker=marker,
                   color=list(shades[far]), zorder=3)  # fmt: skip
    for row in rows[~known]:
        ax.text(0.0, row, "no answer", fontsize=7, ha="center", va="center")
    finite = np.concatenate([changes[inside], bar, -bar, ends[np.isfinite(ends)], [0.0]])
    finite = np.clip(np.append(finite, np.clip(changes[known & ~inside], -limit, limit)), -limit,
                     limit)  # fmt: skip
    room = max(0.06 * float(np.ptp(finite)), 0.005)
    low, high = float(finite.min()) - room, float(finite.max()) + room
    ax.set_xlim(low, high)
    ratio_axis(ax)
    ax.set_yticks(rows, labels, fontsize=min(small_text(ax), 7 if len(rows) > 10 else 8))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("change of the answer" if is_small(ax) else "change of the answer (log scale)")
