"""Runs against what was predicted of them, with the bands they should lie in."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.plot.canvas import single
from scalefit.results.domain import outside
from scalefit.results.prediction import refuse_unknown
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["predictions"]

# Letters of a line of the title.
TITLE_WIDTH = 90


def predictions(
    fit: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Relative error of the prediction of each run, and where it should lie.

    Args:
        fit: a fit, or an ensemble, which adds two bands: of the surface and of a new run.
        runs: the table that was fitted, or runs that were not, of the same columns.
        level: share of each band.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: predicted loss across, 100 (observed / predicted - 1) up. The legend counts the
        runs inside the band of a new run, which is the level if the intervals hold. Runs outside
        those that were fitted are hollow: there the bands hold no wrong form of the law, and a
        line under the title says how far out they lie.

    Raises:
        ArgumentError: there is no fit, the level is no number between 0 and 1, or ``ax`` no Axes.
        DataError: the table lacks a column.
    """
    surface = checked_surface(fit)
    level = checked_level(level)
    fit = surface.point
    refuse_unknown(predictions, fit.law, columns)
    table = as_table(runs, **columns)
    used = table.weight > 0
    predicted = fit.evaluate(table)[used]
    observed = table.column(fit.law.response)[used]
    ax = single(ax, (7.0, 4.4))
    order = np.argsort(predicted)
    x = predicted[order]

    def error(loss: np.ndarray) -> np.ndarray:
        return 100 * (loss / predicted - 1)

    if surface.drawn:
        for kind, colour, name in (
            ("run", "0.85", "a new run"),
            ("mean", "#f4a3a8", "the surface"),
        ):
            low, high = (
                end[used]
                for end in surface.estimate_loss(table, kind=kind).interval(level)  # type: ignore[arg-type]
            )
            label = f"{100 * level:g} % of {name}"
            if kind == "run":
                inside = np.count_nonzero((observed >= low) & (observed <= high))
                label += f" ({inside} of {len(observed)} runs inside)"
            ax.fill_between(
                x,
                error(low)[order],
                error(high)[order],
                color=colour,
                linewidth=0,
                label=label,
                step="mid",
            )
    ax.axhline(0.0, color="crimson", linewidth=1.2)
    measured = {name: table.column(name)[used] for name in fit.law.columns}
    beyond = outside(fit.domain, measured)
    for where, face, label in (
        (~beyond, "#31688e", "runs"),
        (beyond, "white", "runs outside those fitted"),
    ):
        if where.any():
            ax.scatter(
                predicted[where],
                error(observed)[where],
                s=18,
                color=face,
                edgecolors="black",
                linewidths=0.4,
                label=f"{np.count_nonzero(where)} {label}",
                zorder=3,
            )
    ax.set_xlabel("predicted loss, in the table's unit")
    ax.set_ylabel("observed above predicted, %")
    title = [f"{fit.law.name}: predictions"]
    if surface.drawn:
        title.append(
            "bands hold noise and misfit inside the fitted runs, not a wrong form of the law"
        )
    for note in fit.extrapolation(measured):
        title += textwrap.wrap(note.message.partition(":")[0], TITLE_WIDTH)
    ax.set_title("\n".join(title), fontsize=10 if len(title) == 1 else 8)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=9)
    return ax
