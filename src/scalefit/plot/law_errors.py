"""Laws compared: their errors on held-out runs, and how much worse than the best each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.plot.canvas import several
from scalefit.validation.comparison_result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["comparison"]

WORSE, UNSURE, BEST = "#c0392b", "0.45", "#31688e"


def comparison(result: Comparison, *, ax: Axes | None = None, level: float = 0.95) -> np.ndarray:
    """Errors of every law, and differences to the best with their intervals.

    Args:
        result: from :func:`scalefit.compare`.
        ax: two Axes; new ones by default.
        level: coverage of the intervals, all together.

    Returns:
        The Axes, shape (2,): left the root mean square error of held-out runs (filled) and of all
        rows in the fit (open); right the difference to the best law. An interval that reaches zero
        cannot tell the two laws apart.

    Raises:
        ArgumentError: there is no comparison, or ``ax`` are not two Axes.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    remedy = "Pass result=scalefit.compare(runs, ['chinchilla', 'farseer'])"
    instance(result, "result", Comparison, wanted="a comparison of laws", remedy=remedy)
    share = checked_level(level)
    frame = result.to_frame(share)
    axes = several(ax, (1, 2), (8.6, 1.4 + 0.42 * len(frame)))
    unit, factor = ("%", 100.0) if result.objective.needs_positive_loss else ("loss", 1.0)
    place = np.arange(len(frame))[::-1]
    colors = {"best": BEST, "worse": WORSE}
    for y, (label, row) in zip(place, frame.iterrows(), strict=True):
        color = colors.get(row["verdict"], UNSURE)
        axes[0].plot(factor * row["spread"], y, "o", mfc="white", color=color, markersize=6)
        axes[0].plot(factor * row["error"], y, "o", color=color, markersize=7)
        if label == result.best:
            axes[1].plot(0.0, y, "o", color=color, markersize=7)
            continue
        if np.isfinite(row["low"]):
            ends = [factor * row["low"], factor * row["high"]]
            axes[1].plot(ends, [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
        axes[1].plot(factor * row["worse_by"], y, "o", color=color, markersize=7)
    axes[1].axvline(0.0, color="0.7", linewidth=0.9, linestyle="--", zorder=0)
    axes[0].set_yticks(place, list(frame.index))
    axes[1].set_yticks(place, [""] * len(place))
    for one in axes:
        one.set_ylim(-0.6, len(frame) - 0.4)
        one.grid(axis="x", color="0.92")
        one.set_axisbelow(True)
    axes[0].set_xscale("log")
    axes[0].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_xlabel(f"root mean square residual, {unit}\n(filled: held out; open: in sample)")
    axes[1].set_xlabel(
        f"worse than {result.best} by, {unit}\n({100 * share:g} %, all differences together)"
    )
    return axes
