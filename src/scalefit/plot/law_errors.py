"""Laws compared: their errors on held-out runs, and how much worse than the best each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.frozen import Frozen
from scalefit.plot.canvas import several
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    is_small,
    legend_below,
    log_axis,
    paper,
    picture,
    title,
)
from scalefit.validation.comparison_result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["comparison"]

COLOURS: Frozen[str, str] = Frozen({"best": BLUE, "worse": VERMILION})
NUMBERS = ["worse_by", "low", "high"]
MEANINGS = ((BLUE, "the best"), (VERMILION, "worse"), (GREY, "cannot be told from the best"))


@picture
def comparison(
    result: Comparison,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Any = None,
) -> np.ndarray:
    """Errors of every law, and differences to the best with their intervals.

    Args:
        result: from :func:`scalefit.compare`.
        runs: not needed; taken so that all pictures are called alike.
        level: coverage of the intervals, all together.
        ax: two Axes; new ones by default.

    Returns:
        The Axes, shape (2,): left the root mean square error of held-out runs (filled) and of all
        rows in the fit (open); right the difference to the best law. An interval that reaches zero
        cannot tell the two laws apart.

    Raises:
        ArgumentError: there is no comparison, or ``ax`` are not two Axes.
    """
    remedy = "Pass result=scalefit.compare(runs, ['chinchilla', 'farseer'])"
    instance(result, "result", Comparison, wanted="a comparison of laws", remedy=remedy)
    level = checked_level(level)
    frame = result.to_frame(level)
    left, right = axes = several(ax, (1, 2), (8.8, 1.9 + 0.42 * len(frame)))
    unit, factor = ("%", 100.0) if result.objective.needs_positive_loss else ("loss", 1.0)
    place = np.arange(len(frame))[::-1]
    for y, (label, row) in zip(place, frame.iterrows(), strict=True):
        colour = COLOURS.get(row["verdict"], GREY)
        _errors(left, factor * row["spread"], factor * row["error"], y, colour)
        _difference(right, row[NUMBERS] * factor, y, colour, label == result.best)
    right.axvline(0.0, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    left.set_yticks(place, list(frame.index))
    right.set_yticks(place, [""] * len(place))
    for one in axes:
        one.set_ylim(-0.6, len(frame) - 0.4)
        one.grid(axis="x", color=GREY, alpha=0.2)
        one.spines["left"].set_visible(False)
        one.tick_params(axis="y", length=0)
    log_axis(left, "x")
    left.set_xlabel(f"root mean square error ({unit})")
    small = is_small(right)
    right.set_xlabel(f"worse by ({unit})" if small else f"worse than {result.best} by ({unit})")
    title(left, "filled: held out, open: in the fit")
    title(right, f"{100 * level:g} % intervals, all differences together")
    _legends(right, set(frame["verdict"]))
    return axes


def _errors(ax: Axes, spread: float, error: float, y: float, colour: str) -> None:
    """The errors of a law, in the fit and held out."""
    ax.plot([spread, error], [y, y], color=colour, linewidth=0.8, alpha=0.6)
    ax.plot(spread, y, "o", markerfacecolor=paper(ax), color=colour, markersize=6)
    ax.plot(error, y, "o", color=colour, markersize=7)


def _difference(ax: Axes, row: pd.Series, y: float, colour: str, best: bool) -> None:
    """How much worse than the best a law is."""
    if best:
        ax.plot(0.0, y, "o", color=colour, markersize=7)
        return
    if np.isfinite(row["low"]):
        ends = [row["low"], row["high"]]
        ax.plot(ends, [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
    ax.plot(row["worse_by"], y, "o", color=colour, markersize=7)


def _legends(ax: Axes, there: set[str]) -> None:
    from matplotlib.lines import Line2D

    shown = [item for item in MEANINGS if item[0] == BLUE or item[1] in there]
    if there - {"best", "worse"}:
        shown = list(dict.fromkeys([*shown, MEANINGS[2]]))
    legend_below(
        ax,
        handles=[
            Line2D([], [], color=colour, marker="o", linestyle="none", label=label)
            for colour, label in shown
        ],
    )
