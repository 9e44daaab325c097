"""A profile: the rise of the objective where a quantity is fixed away from its optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.inference.profile_likelihood import Profile
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    BLUE,
    GREY,
    ORANGE,
    band,
    halo,
    ink,
    is_small,
    picture,
    small_text,
    symbol,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["profile"]

FORMULA = r"$\pm\sqrt{2\,\mathrm{rise}\,/\,\mathrm{noise}}$"


@picture
def profile(
    result: Profile,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """How far the objective rises where a quantity is held away from its best value.

    Args:
        result: from :func:`scalefit.profile`.
        runs: not needed; taken so that all pictures are called alike.
        level: coverage of the interval; at most the profile's own, which takes its place above.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: the quantity across; up the root of twice the rise of the objective over its
        noise, which counts standard errors, negative below the best value. A straight line means
        that a symmetric standard error would do. The interval is shaded, its ends written at them;
        an end that the profile does not close is dotted.

    Raises:
        ArgumentError: there is no profile, the level is no number between 0 and 1, or ``ax`` is no
            Axes.
    """
    remedy = "Pass result=scalefit.profile(fit, runs, 'alpha')"
    instance(result, "result", Profile, wanted="a profile", remedy=remedy)
    level = min(checked_level(level), result.level)
    ax = single(ax, (6.0, 4.4))
    side = np.sign(result.values - result.value)
    x, y = result.values, side * np.sqrt(result.deviance)
    small = is_small(ax)
    ax.plot(x, y, color=BLUE, marker="o", markersize=2.5 if small else 4)
    low, high = (float(end) for end in result.conf_int(level)[["low", "high"]].iloc[0])
    ax.axvspan(low, high, **band(ax, BLUE, alpha=0.12), zorder=0)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    for end, closed, align in zip((low, high), result.closed, ("right", "left"), strict=True):
        ax.axvline(end, color=BLUE, linewidth=1.0, linestyle="-" if closed else ":")
        _end(ax, end, closed, align)
    ax.plot(
        result.value, 0.0, marker="*", markersize=9 if small else 15, color=ORANGE,
        markeredgecolor=ink(ax), markeredgewidth=0.8, zorder=5,
    )  # fmt: skip
    # Room for what is written outside the interval.
    ax.margins(x=0.16)
    ax.set_xlabel(symbol(result.name))
    whole = "rise of the objective, in standard errors\n" + FORMULA
    ax.set_ylabel("rise (standard errors)" if small else whole)
    ends = f"{100 * level:g} % interval {low:.4g} to {high:.4g}"
    title(ax, [f"{symbol(result.name)} = {result.value:.4g}", ends])
    return ax


def _end(ax: Axes, end: float, closed: bool, align: str) -> None:
    """The value of an end of the interval, beside it."""
    text = f"{'' if closed else 'beyond '}{end:.4g}"
    ax.annotate(
        text,
        (end, 0.03 if align == "left" else 0.97),
        xytext=(4 if align == "left" else -4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha=align,
        va="bottom" if align == "left" else "top",
        fontsize=small_text(ax),
        path_effects=halo(ax),
    )
