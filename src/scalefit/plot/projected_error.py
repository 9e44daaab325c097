"""The objective over two nonlinear parameters, with the cells of the grid and the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.data.table import LossTable
from scalefit.fitting.landscape import landscape
from scalefit.plot.canvas import single
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["projected"]

# Contours at these multiples of the least value: a bowl near it, decades far from it.
LEVELS = (1.01, 1.03, 1.1, 1.3, 2, 5, 10, 30, 100, 300, 1000, 3000, 10000)
POINTS = 192
# More dots than these are drawn as specks.
MANY_CELLS = 2000


def projected(
    result: Fit, runs: LossTable | pd.DataFrame, *, ax: Axes | None = None, **columns: str
) -> Axes:
    """The objective over two nonlinear parameters, minimised over the linear ones.

    At each point the linear coefficients take their best values within their bounds. Dots are the
    cells of the grid that the search evaluates first; it polishes the local minima among them, and
    others.

    Args:
        result: a fit with two free nonlinear parameters.
        runs: the table that was fitted.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: the first parameter across, the second up; contours are multiples of its
        minimum on the plane.

    Raises:
        LawError: the fit has another number of free nonlinear parameters.
        ArgumentError: there is no fit, or ``ax`` is no Axes.
        DataError: the table lacks a column.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter

    fit = checked_fit(result, "result")
    refuse_unknown(projected, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    cells = landscape(fit, table)
    fine = landscape(fit, table, POINTS)
    ax = single(ax, (6.4, 5.2))
    least = fine.value.min()
    # A cell where no coefficients exist is no part of the picture.
    relative = np.where(np.isfinite(fine.value), fine.value, np.nan).T / max(least, 1e-300)
    levels = [1.0, *(level for level in LEVELS if level < np.nanmax(relative))]
    drawn = ax.contourf(
        fine.first,
        fine.second,
        relative,
        levels=levels,
        norm=LogNorm(1, max(levels)),
        cmap="viridis",
        extend="max",
    )
    ax.contour(fine.first, fine.second, relative, levels, colors="white", linewidths=0.4)
    bar = plt.colorbar(drawn, ax=ax, label="objective, multiples of its minimum")
    # The innermost contours lie too close on the bar to be labelled.
    bar.set_ticks(
        levels, labels=[f"{level:g}" if level == 1 or level > 1.1 else "" for level in levels]
    )
    across, up = np.meshgrid(cells.first, cells.second, indexing="ij")
    size = 0.7 if across.size > MANY_CELLS else 2.5
    ax.plot(across.ravel(), up.ravel(), ".", markersize=size, color="white", label="grid cells")
    seen = [item.params for item in fit.diagnostics.minima]
    for params in seen[1:]:
        ax.plot(
            params[cells.names[0]], params[cells.names[1]], "o", mfc="none", color="C1", label=None
        )
    best = fit.params
    ax.plot(
        best[cells.names[0]],
        best[cells.names[1]],
        "*",
        markersize=13,
        color="C3",
        markeredgecolor="white",
        label="optimum",
    )
    ax.set(
        xscale="log" if cells.logarithmic[0] else "linear",
        yscale="log" if cells.logarithmic[1] else "linear",
        xlabel=cells.names[0],
        ylabel=cells.names[1],
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_title(f"{fit.law.name}: {fit.objective.formula}", fontsize=10)
    ax.legend(loc="upper left", fontsize=8, facecolor="0.5")
    return ax
