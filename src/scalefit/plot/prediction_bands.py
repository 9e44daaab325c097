"""Observed against predicted losses, with the intervals that should hold them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.plot.canvas import single, with_unit
from scalefit.results.domain import outside
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import IntervalKind, Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["predictions"]

# Width of a line of the title, characters.
TITLE_WIDTH = 90


def predictions(
    result: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Relative error of the prediction of each run, with its intervals.

    Args:
        result: a fit, or an ensemble, which adds two bands: of the surface and of a new run.
        runs: the table that was fitted, or runs that were not, of the same columns.
        level: coverage of each band.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: predicted loss across, 100 (observed / predicted - 1) up. The legend counts the
        runs inside the band of a new run; their share is the level if the intervals hold. Runs
        outside those that were fitted are hollow: there the bands do not allow for a wrong form
        of the law, and the title says how far out they lie.

    Raises:
        ArgumentError: there is no fit, the level is no number between 0 and 1, or ``ax`` no Axes.
        DataError: the table lacks a column.
    """
    surface = checked_surface(result, "result")
    level = checked_level(level)
    fit = surface.point
    refuse_unknown(predictions, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    used = table.weight > 0
    predicted = fit.evaluate(table)[used]
    observed = table.column(fit.law.response)[used]
    ax = single(ax, (7.0, 4.4))
    if surface.drawn:
        _bands(ax, surface, table, observed, predicted, level)
    ax.axhline(0.0, color="crimson", linewidth=1.2)
    measured = {name: table.column(name)[used] for name in fit.law.columns}
    _runs(ax, predicted, 100 * (observed / predicted - 1), outside(fit.domain, measured))
    ax.set_xlabel(f"predicted {with_unit(fit.law.response, fit.loss_unit)}")
    ax.set_ylabel("observed / predicted - 1, %")
    title = [f"{fit.law.name}: predictions"]
    if surface.drawn:
        title.append("bands allow for noise and misfit inside the fitted runs, not for a wrong law")
    for note in fit.extrapolation(measured):
        title += textwrap.wrap(note.message.partition(":")[0], TITLE_WIDTH)
    ax.set_title("\n".join(title), fontsize=10 if len(title) == 1 else 8)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=9)
    return ax


def _bands(
    ax: Axes,
    surface: Surface,
    table: LossTable,
    observed: np.ndarray,
    predicted: np.ndarray,
    level: float,
) -> None:
    """The intervals of a new run and of the surface, in percent of the prediction."""
    used = table.weight > 0
    order = np.argsort(predicted)
    kinds: dict[IntervalKind, tuple[str, str]] = {
        "run": ("0.85", "a new run"),
        "mean": ("#f4a3a8", "the surface"),
    }
    for kind, (colour, name) in kinds.items():
        interval = surface.estimate_loss(table, kind=kind).interval(level)
        low, high = (end[used] for end in interval)
        label = f"{100 * level:g} % interval of {name}"
        if kind == "run":
            inside = np.count_nonzero((observed >= low) & (observed <= high))
            label += f" ({inside} of {len(observed)} runs inside)"
        below, above = (100 * (end / predicted - 1)[order] for end in (low, high))
        ax.fill_between(
            predicted[order], below, above, color=colour, linewidth=0, label=label, step="mid"
        )


def _runs(ax: Axes, predicted: np.ndarray, error: np.ndarray, beyond: np.ndarray) -> None:
    """The runs, hollow where they lie outside those that were fitted."""
    for where, face, label in (
        (~beyond, "#31688e", "runs"),
        (beyond, "white", "runs outside those fitted"),
    ):
        if where.any():
            ax.scatter(
                predicted[where],
                error[where],
                s=18,
                color=face,
                edgecolors="black",
                linewidths=0.4,
                label=f"{np.count_nonzero(where)} {label}",
                zorder=3,
            )
