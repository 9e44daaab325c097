"""Relative residuals against every column of the law, with their smooth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused
from scalefit.data.table import LossTable
from scalefit.objective import robust_size
from scalefit.plot.canvas import several
from scalefit.plot.drawn_lines import kind_of, quantity
from scalefit.plot.line_colours import LABELS
from scalefit.plot.measured_runs import MeasuredRuns, measured
from scalefit.plot.residual_points import frame_height, local_lines, points_within
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    axis_label,
    band,
    figure_of,
    ink,
    legend_below,
    log_axis,
    paper,
    picture,
    small_text,
    title,
)
from scalefit.results.remembered_columns import spoken
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_residuals", "residuals"]

# Panels at most, and in a row where there are more than four.
MOST_PANELS, IN_A_ROW = 9, 3
# Runs beyond so many times the usual size have their row's label, so many at most in a panel.
OUTLYING, MOST_LABELS = 4.0, 6
# Room of a label, as shares of the width and the height of a panel.
NEAR = (0.09, 0.055)
# Fewest runs, and values of a column, that a smooth is drawn through.
FEWEST_RUNS, FEWEST_VALUES = 8, 4


@picture
def residuals(
    result: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    level: float = 0.95,
    ax: Axes | Sequence[Axes] | None = None,
    **columns: str,
) -> np.ndarray:
    """Observed losses relative to predictions, against every column: what the law leaves over.

    A law that describes its runs leaves points evenly around zero in every panel. The line is a
    smooth of them with its interval if runs are independent: where the band leaves zero, the law
    misses a pattern. Runs far off have the labels of their rows; those beyond six times the usual
    size are triangles on the edge. Hollow runs lie outside those that were fitted.

    Args:
        result: a fit or an ensemble.
        runs: the table that was fitted, or runs that were not, of the same columns.
        level: coverage of the band of the smooth.
        ax: Axes to draw on, as many as a new figure would have: two rows of two for laws of N and
            D.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes, shape (2, 2) for laws of N and D: against N, D, C as 6ND, and D/N; one for each
        column of other laws. 100 (observed / predicted - 1) up, or the difference where a response
        can be zero.

    Raises:
        ArgumentError: there is no fit, no run, the level is no number between 0 and 1, or ``ax`` is
            not as many Axes.
        DataError: the table lacks a column.
    """
    surface = checked_surface(result, "result")
    level = checked_level(level)
    shown = measured(residuals, surface, runs, columns)
    if not len(shown):
        raise refused("runs", runs, "a table with runs of weight", "Pass the runs, as runs=table")
    names = _names(shown)
    across = 2 if len(names) in (2, 4) else min(len(names), IN_A_ROW)
    down = -(-len(names) // across)
    axes = several(ax, (down, across), (4.4 * across, 3.1 * down + 0.3))
    flat = np.ravel(axes)
    for one, name in zip(flat, names, strict=False):
        draw_residuals(one, shown, name, level, ylabel=one in flat[::across])
    for one in flat[len(names) :]:
        one.set_axis_off()
    _explained(flat[: len(names)], shown, level, ax is None)
    return axes


def _names(runs: MeasuredRuns) -> list[str]:
    """What is across in the panels: columns that vary, and what follows from N and D."""
    own = [*runs.fit.law.columns]
    if {"N", "D"} <= {*own} and "C" not in own:
        own = ["N", "D", "C", "D/N", *[name for name in own if name not in ("N", "D")]]
    vary = [name for name in own if np.ptp(quantity(name, runs.values)) > 0]
    return (vary or own)[:MOST_PANELS]


def draw_residuals(
    ax: Axes, runs: MeasuredRuns, name: str, level: float, *, ylabel: bool = True
) -> None:
    """Residuals along one column.

    Args:
        ax: Axes to draw on.
        runs: the runs.
        name: the column, ``C`` or ``D/N``.
        level: coverage of the band.
        ylabel: whether the axis up is named.
    """
    x, values = np.asarray(quantity(name, runs.values), dtype=np.float64), runs.errors
    top, levels = frame_height(values), runs.levels()
    if logarithmic := bool(x.min() > 0):
        ax.set_xscale("log")
    ax.axhline(0.0, color=GREY, linewidth=1.0, zorder=0)
    known = dict.fromkeys(levels)
    for place, own in enumerate(known):
        colour = LABELS[place % len(LABELS)] if own else BLUE
        for beyond in (False, True):
            here = (levels == own) & (runs.beyond == beyond)
            if here.any():
                style: dict[str, Any] = {"facecolors": colour, "edgecolors": paper(ax)}
                if beyond:
                    style = {"facecolors": "none", "edgecolors": colour}
                width = 0.9 if beyond else 0.4
                points_within(ax, x[here], values[here], top, s=18, linewidths=width, zorder=2,
                              **style)  # fmt: skip
    z = np.log10(x) if logarithmic else x
    if len(x) >= FEWEST_RUNS and len(np.unique(np.round(z, 6))) >= FEWEST_VALUES:
        _smooth(ax, z, values, level, logarithmic)
    _labels(ax, x, values, top, runs)
    ax.set_ylim(-top, top)
    unit = "FLOP, as 6ND" if name == "C" and "C" not in runs.fit.law.columns else None
    called = spoken(runs.fit.law, runs.fit.provenance).get(name, name)
    ax.set_xlabel(axis_label(called, unit))
    if logarithmic:
        log_axis(ax, "x", kind_of(called))
    if ylabel:
        said = "observed / predicted \u2212 1, %" if runs.relative else "observed \u2212 predicted"
        ax.set_ylabel(said)


def _smooth(ax: Axes, z: np.ndarray, values: np.ndarray, level: float, logarithmic: bool) -> None:
    """The smooth and its band."""
    from scipy.stats import t

    places, middle, error, df = local_lines(z, values)
    half = t.ppf(0.5 + 0.5 * level, df) * error
    x = 10**places if logarithmic else places
    ax.fill_between(x, middle - half, middle + half, zorder=2.5, **band(ax, VERMILION))
    ax.plot(x, middle, color=VERMILION, linewidth=1.6, zorder=3)


def _labels(ax: Axes, x: np.ndarray, values: np.ndarray, top: float, runs: MeasuredRuns) -> None:
    """Labels of the rows that are far off."""
    usual = robust_size(values)
    far = np.flatnonzero(np.abs(values) > OUTLYING * usual) if usual else np.empty(0, dtype=int)
    z = np.log(x) if x.min() > 0 else x
    said: list[tuple[float, float]] = []
    for row in far[np.argsort(-np.abs(values[far]))]:
        y = float(np.clip(values[row], -0.96 * top, 0.96 * top))
        place = (z[row] - z.min()) / (np.ptp(z) or 1.0), 0.5 * y / top
        # A label that would lie on another one is left out.
        near = any(abs(place[0] - a) < NEAR[0] and abs(place[1] - b) < NEAR[1] for a, b in said)
        if near or len(said) == MOST_LABELS:
            continue
        said.append(place)
        left = place[0] > 0.5
        ax.annotate(
            str(runs.labels[row]),
            (x[row], y),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            fontsize=small_text(ax) - 1,
            ha="right" if left else "left",
            va="center",
            color=ink(ax),
        )


def _explained(axes: np.ndarray, runs: MeasuredRuns, level: float, whole: bool) -> None:
    """The title, and what colours and lines mean; of the whole figure where it is a new one."""
    size = robust_size(runs.errors)
    said = f"{runs.fit.law.name}: {len(runs)} runs, usual residual {size:.2g}"
    said += " %" if runs.relative else ""
    handles = _handles(runs, level)
    figure = figure_of(axes[0])
    if whole:
        figure.suptitle(said, fontsize=10.5)
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    else:
        title(axes[0], said)
        legend_below(axes[-1], handles=handles)


def _handles(runs: MeasuredRuns, level: float) -> list[Any]:
    """Entries of the legend."""
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 5}
    known = [own for own in dict.fromkeys(runs.levels()) if own]
    found = [
        Line2D([], [], color=LABELS[place % len(LABELS)], label=own, **dot)
        for place, own in enumerate(known)
    ]
    if runs.beyond.any():
        label = f"{np.count_nonzero(runs.beyond)} runs outside those fitted"
        found.append(Line2D([], [], markerfacecolor="none", color=BLUE, label=label, **dot))
    label = f"smooth, and its {100 * level:g} % interval if runs are independent"
    return [*found, Line2D([], [], color=VERMILION, linewidth=1.6, label=label)]
