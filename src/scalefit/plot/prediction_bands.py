"""Observed against predicted losses, with the intervals that should hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused
from scalefit.data.table import LossTable
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    axis_label,
    band,
    ink,
    is_small,
    legend_below,
    paper,
    picture,
    title,
)
from scalefit.results.domain import outside
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import IntervalKind, Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["predictions"]

# Runs whose predictions lie within this share of the range of all are near each other.
NEAR = 0.05
CURVE = 200
# Fewer runs than this have a bar each.
FEW = 6


@picture
def predictions(
    result: Surface,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Relative error of the prediction of each run, with its intervals.

    Args:
        result: a fit, or an ensemble, which adds two bands: of the surface and of a new run.
        runs: the table that was fitted, or runs that were not, of the same columns; needed.
        level: coverage of each band.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: predicted loss across, 100 (observed / predicted - 1) up. Every run has its own
        intervals; bands are their mean ends among runs of about the same prediction. The legend
        counts the runs inside their own; their share is the level if the intervals hold. Runs
        outside those that were fitted are hollow: there the bands do not allow for a wrong form
        of the law, and the title says how far out they lie.

    Raises:
        ArgumentError: there is no fit or no table, the level is no number between 0 and 1, or
            ``ax`` no Axes.
        DataError: the table lacks a column.
    """
    surface = checked_surface(result, "result")
    if runs is None:
        raise refused("runs", runs, "a table", "Pass the runs, as predictions(fit, runs)")
    level = checked_level(level)
    fit = surface.point
    refuse_unknown(predictions, fit.law, columns)
    table = table_again(fit.provenance, runs, columns)
    used = table.weight > 0
    predicted = fit.evaluate(table)[used]
    observed = table.column(fit.law.response)[used]
    ax = single(ax, (7.0, 4.6))
    if surface.drawn:
        _bands(ax, surface, table, observed, predicted, level)
    ax.axhline(0.0, color=BLUE, linewidth=1.2)
    measured = {name: table.column(name)[used] for name in fit.law.columns}
    _runs(ax, predicted, 100 * (observed / predicted - 1), outside(fit.domain, measured))
    ax.set_xlabel(f"predicted {axis_label(fit.law.response, fit.loss_unit)}")
    ax.set_ylabel("off by (%)" if is_small(ax) else "observed / predicted - 1 (%)")
    said = [f"{fit.law.name}: predictions"]
    if surface.drawn:
        said.append("bands allow for noise and misfit inside the fitted runs, not for a wrong law")
    said += [note.message.partition(":")[0] for note in fit.extrapolation(measured)]
    title(ax, said)
    legend_below(ax)
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
    kinds: dict[IntervalKind, tuple[str, str]] = {
        "run": (GREY, "a new run"),
        "mean": (BLUE, "the surface"),
    }
    for kind, (colour, name) in kinds.items():
        interval = surface.estimate_loss(table, kind=kind).interval(level)
        low, high = (end[used] for end in interval)
        label = f"{100 * level:g} % interval of {name}"
        if kind == "run":
            inside = np.count_nonzero((observed >= low) & (observed <= high))
            label += f" ({inside} of {len(observed)} runs inside)"
        below, above = (100 * (end / predicted - 1) for end in (low, high))
        style = band(ax, colour, label=label, zorder=1)
        if len(predicted) < FEW:
            style = {**style, "linewidth": 7.0 if kind == "run" else 3.0}
            ax.vlines(predicted, below, above, **style)
            continue
        path = np.linspace(predicted.min(), predicted.max(), CURVE)
        lower, upper = (_smooth(path, predicted, end) for end in (below, above))
        ax.fill_between(path, lower, upper, **style)


def _smooth(path: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of the values near each place of a path, those nearer weighing more."""
    width = NEAR * np.ptp(places) or 1.0
    far = (path[:, None] - places[None, :]) / width
    # The nearest weighs one, so that gaps between runs do not lose all weight.
    weight = np.exp(-0.5 * (far**2 - (far**2).min(axis=1, keepdims=True)))
    return np.asarray(weight @ values / weight.sum(axis=1))


def _runs(ax: Axes, predicted: np.ndarray, error: np.ndarray, beyond: np.ndarray) -> None:
    """The runs, hollow where they lie outside those that were fitted."""
    for where, face, label in (
        (~beyond, VERMILION, "runs"),
        (beyond, paper(ax), "runs outside those fitted"),
    ):
        if where.any():
            ax.scatter(
                predicted[where],
                error[where],
                s=7 if is_small(ax) else 18,
                color=face,
                edgecolors=ink(ax) if face == VERMILION else VERMILION,
                linewidths=0.4 if face == VERMILION else 1.0,
                label=f"{np.count_nonzero(where)} {label}",
                zorder=3,
            )
