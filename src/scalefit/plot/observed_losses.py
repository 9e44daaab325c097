"""Observed against predicted losses on equal axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused
from scalefit.data.table import LossTable
from scalefit.plot.canvas import single
from scalefit.plot.line_colours import LABELS
from scalefit.plot.measured_runs import MeasuredRuns, measured
from scalefit.plot.style import BLUE, GREY, legend_below, paper, picture, title
from scalefit.reporting.numbers import percent
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_observed", "observed"]

# Room around the losses, as a share of their range.
ROOM = 0.05


@picture
def observed(
    result: Surface,
    runs: LossTable | pd.DataFrame,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Observed losses against predictions: points on the diagonal are predicted exactly.

    Args:
        result: a fit, or an ensemble, which adds the interval of a new run to each.
        runs: the table that was fitted, or runs that were not, of the same columns.
        level: coverage of the intervals.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: predicted loss across and observed up, on equal scales. A colour for each level
        that coefficients differ by. Runs outside those that were fitted are hollow. The title says
        how much of the variance the predictions explain (R^2, about the mean of the losses) and
        their root mean square error.

    Raises:
        ArgumentError: there is no fit, no run, the level is no number between 0 and 1, or ``ax`` is
            no Axes.
        DataError: the table lacks a column.
    """
    surface = checked_surface(result, "result")
    level = checked_level(level)
    shown = measured(observed, surface, runs, columns)
    if not len(shown):
        raise refused("runs", runs, "a table with runs of weight", "Pass the runs, as runs=table")
    ax = single(ax, (5.6, 5.6))
    draw_observed(ax, surface, shown, level)
    legend_below(ax)
    title(ax, [*_quality(shown), *_beyond(shown)])
    return ax


def draw_observed(ax: Axes, surface: Surface, runs: MeasuredRuns, level: float) -> None:
    """The diagonal, the intervals and the runs."""
    both = np.concatenate([runs.observed, runs.predicted])
    room = ROOM * (np.ptp(both) or abs(both[0]) or 1.0)
    ends = [float(both.min() - room), float(both.max() + room)]
    ax.plot(ends, ends, color=GREY, linewidth=1.1, zorder=1, label="observed = predicted")
    if surface.drawn:
        found = surface.estimate_loss(runs.table, kind="run").interval(level)
        low, high = (end[runs.used] for end in found)
        inside = int(((runs.observed >= low) & (runs.observed <= high)).sum())
        label = f"{100 * level:g} % interval of a new run ({inside} of {len(runs)} inside)"
        ax.vlines(runs.predicted, low, high, color=GREY, alpha=0.55, linewidth=2.2, zorder=1.5,
                  label=label)  # fmt: skip
    levels = runs.levels()
    for place, own in enumerate(dict.fromkeys(levels)):
        colour = LABELS[place % len(LABELS)] if own else BLUE
        for beyond in (False, True):
            here = (levels == own) & (runs.beyond == beyond)
            if here.any():
                name = f"{np.count_nonzero(here)} runs" + (f" of {own}" if own else "")
                style: dict[str, Any] = {"facecolors": colour, "edgecolors": paper(ax)}
                if beyond:
                    style = {"facecolors": "none", "edgecolors": colour}
                    name += " outside those fitted"
                ax.scatter(runs.predicted[here], runs.observed[here], s=22, label=name, zorder=3,
                           linewidths=0.9 if beyond else 0.4, **style)  # fmt: skip
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    response = runs.fit.law.response
    unit = f" ({runs.fit.loss_unit})" if runs.fit.loss_unit else ""
    ax.set_xlabel(f"predicted {response}{unit}")
    ax.set_ylabel(f"observed {response}{unit}")


def _quality(runs: MeasuredRuns) -> list[str]:
    """How well the runs inside the fitted range are predicted, in words."""
    name, which = runs.fit.law.name, ~runs.beyond
    if not which.any():
        # All are outside: what is said is of all of them.
        name, which = f"{name}, outside the fitted runs", runs.beyond
    observed, miss = runs.observed[which], (runs.observed - runs.predicted)[which]
    size = float(np.sqrt(np.mean(miss**2)))
    said = f"RMSE {size:.3g} {runs.fit.loss_unit}".rstrip()
    if runs.relative:
        said += f" ({percent(float(np.sqrt(np.mean((miss / runs.predicted[which]) ** 2))))})"
    total = float(np.sum((observed - observed.mean()) ** 2))
    if not total:
        return [f"{name}: {said}"]
    share = 1 - float(np.sum(miss**2)) / total
    return [f"{name}: {_share(share)} of the variance explained (R\u00b2)", said]


def _share(share: float) -> str:
    """A share of the variance: more digits as it comes close to one, none below zero.

    Predictions worse than the mean of the losses explain nothing.
    """
    if share < 0:
        return "none"
    places = int(np.clip(np.ceil(-np.log10(max(1 - share, 1e-6))) - 1, 1, 4))
    return f"{100 * share:.{places}f} %"


def _beyond(runs: MeasuredRuns) -> list[str]:
    """The same of runs outside those that were fitted."""
    if not runs.beyond.any() or runs.beyond.all():
        return []
    miss = (runs.observed - runs.predicted)[runs.beyond]
    mean = float(np.mean(runs.errors[runs.beyond]))
    unit = " %" if runs.relative else ""
    size = f"{np.sqrt(np.mean(miss**2)):.3g} {runs.fit.loss_unit}".rstrip()
    return [f"outside: RMSE {size}, mean {mean:+.2g}{unit}".replace("-", "\u2212")]
