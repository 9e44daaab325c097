"""The objective over two nonlinear parameters, with the cells of the grid and the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused
from scalefit.data.table import LossTable
from scalefit.fitting.landscape import Landscape, landscape
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    GREY,
    ORANGE,
    VERMILION,
    figure_of,
    is_small,
    legend_below,
    log_axis,
    picture,
    symbol,
    title,
    written,
)
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["projected"]

# Contours at these rises over the least value: a bowl near it, decades far from it.
RISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e5, 1e6)
# Contours in view, at most, those of the highest rises.
MOST_LEVELS = 8
# Cells of each axis: in view, and of the whole search.
POINTS, COARSE = 128, 96
# The view holds the bowl up to the first multiple at which it spans so many cells of the plane.
SPANNED = 5
# Room around it, as a share of its width.
MARGIN = 0.6

Ends = tuple[float, float]


@picture
def projected(
    result: Fit,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """The objective over two nonlinear parameters, minimised over the linear ones.

    At each point the linear coefficients take their best values within their bounds. The view is
    the bowl of the optimum; a small picture in the corner is the whole box of the search, with the
    view as a frame. Dots are the cells of the grid that the search evaluates first; it polishes
    the local minima among them, and others.

    Args:
        result: a fit with two free nonlinear parameters.
        runs: the table that was fitted; needed.
        level: not needed; taken so that all pictures are called alike.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: the first parameter across, the second up; contours are multiples of its
        minimum on the plane.

    Raises:
        LawError: the fit has another number of free nonlinear parameters.
        ArgumentError: there is no fit or no table, or ``ax`` is no Axes.
        DataError: the table lacks a column.
    """
    fit = checked_fit(result, "result")
    checked_level(level)
    if runs is None:
        raise refused("runs", runs, "a table", "Pass the fitted runs, as projected(fit, runs)")
    refuse_unknown(projected, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    cells, whole = landscape(fit, table), landscape(fit, table, COARSE)
    best = tuple(fit.params[name] for name in cells.names)
    near = landscape(fit, table, POINTS, _view(whole, best))
    ax = single(ax, (6.6, 5.8))
    _plane(ax, near, float(near.value.min()))
    across, up = np.meshgrid(cells.first, cells.second, indexing="ij")
    small = is_small(ax)
    dot = 1.5 if small else 3.0
    ax.plot(across.ravel(), up.ravel(), ".", markersize=dot, color=GREY, label="grid cells")
    minima = [[item.params[name] for name in cells.names] for item in fit.diagnostics.minima]
    if len(minima) > 1:
        ax.plot(
            *np.transpose(minima[1:]), "o", mfc="none", color=VERMILION, label="other local minima"
        )
    ax.plot(
        *best,
        "*",
        markersize=9 if small else 15,
        color=ORANGE,
        markeredgecolor="black",
        markeredgewidth=0.8,
        label="optimum",
        zorder=5,
    )
    _scaled(ax, near)
    ax.set(xlabel=symbol(cells.names[0]), ylabel=symbol(cells.names[1]))
    if not small:
        _whole(ax, whole, near)
    ends = ", ".join(
        f"{symbol(name)} {written(axis[0])} to {written(axis[-1])}"
        for name, axis in zip(cells.names, (whole.first, whole.second), strict=True)
    )
    title(ax, [f"{fit.law.name}: {fit.objective.formula}", f"searched: {ends}"])
    legend_below(ax)
    return ax


def _relative(plane: Landscape, least: float) -> np.ndarray:
    """Multiples of the least value, the first parameter across; NaN without coefficients."""
    return np.where(np.isfinite(plane.value), plane.value, np.nan).T / max(least, 1e-300)


def _view(whole: Landscape, best: tuple[float, ...]) -> tuple[Ends, Ends]:
    """Ends of both parameters around the bowl of the optimum, within the box of the search."""
    from scipy.ndimage import label

    relative = _relative(whole, float(whole.value.min())).T
    axes = (whole.first, whole.second)
    place = tuple(int(np.abs(axis - at).argmin()) for axis, at in zip(axes, best, strict=True))
    relative[place] = 1.0
    for rise in RISES:
        parts, _ = label(relative <= 1 + rise)
        inside = np.nonzero(parts == parts[place])
        if min(np.ptp(ends) for ends in inside) >= SPANNED:
            break
    view = []
    for axis, ends, log in zip(axes, inside, whole.logarithmic, strict=True):
        scaled = np.log(axis) if log else axis
        low, high = scaled[ends.min()], scaled[ends.max()]
        room = MARGIN * max(high - low, scaled[2] - scaled[0])
        low, high = max(low - room, scaled[0]), min(high + room, scaled[-1])
        view.append((float(np.exp(low)), float(np.exp(high))) if log else (float(low), float(high)))
    return view[0], view[1]


def _plane(ax: Axes, plane: Landscape, least: float) -> None:
    """Contours, with a bar beside large Axes."""
    from matplotlib.colors import BoundaryNorm

    relative = _relative(plane, least)
    seen = [rise for rise in RISES if rise < np.nanmax(relative) - 1][-MOST_LEVELS:]
    levels = [1.0, *(1 + rise for rise in seen or RISES[:1])]
    drawn = ax.contourf(
        plane.first, plane.second, relative, levels=levels,
        norm=BoundaryNorm(levels, 256, extend="max"), cmap="viridis", extend="max",
    )  # fmt: skip
    ax.contour(plane.first, plane.second, relative, levels, colors="white", linewidths=0.4)
    figure = figure_of(ax)
    if is_small(ax):
        return
    bar = figure.colorbar(drawn, ax=ax, label="objective, multiples of its minimum", aspect=30)
    bar.set_ticks(levels, labels=[f"{level:.4g}" for level in levels])


def _scaled(ax: Axes, plane: Landscape) -> None:
    """Axes that end where the plane does."""
    ax.set(xlim=plane.first[[0, -1]], ylim=plane.second[[0, -1]])
    sides: tuple[Literal["x", "y"], ...] = ("x", "y")
    for which, log in zip(sides, plane.logarithmic, strict=True):
        if log:
            log_axis(ax, which)


def _whole(ax: Axes, whole: Landscape, near: Landscape) -> None:
    """The box of the search in a corner, with the view as a frame."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    inset = ax.inset_axes((0.69, 0.69, 0.3, 0.3))
    relative = np.log10(_relative(whole, float(whole.value.min())))
    inset.contourf(whole.first, whole.second, relative, levels=24, cmap="viridis")
    inset.set(
        xscale="log" if whole.logarithmic[0] else "linear",
        yscale="log" if whole.logarithmic[1] else "linear",
    )
    inset.tick_params(which="both", left=False, bottom=False, labelleft=False, labelbottom=False)
    corner = near.first[0], near.second[0]
    width, height = near.first[-1] - corner[0], near.second[-1] - corner[1]
    inset.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=1.3))
    inset.text(
        0.04,
        0.04,
        "whole search",
        transform=inset.transAxes,
        color="white",
        fontsize=6.5,
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )
    for spine in inset.spines.values():
        spine.set(visible=True, edgecolor="white", linewidth=1.0)
