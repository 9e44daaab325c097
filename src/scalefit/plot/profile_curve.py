"""A profile: how the objective rises when a quantity is held elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit.arguments import instance
from scalefit.inference.profile_likelihood import Profile
from scalefit.plot.canvas import single

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["profile"]


def profile(found: Profile, *, ax: Axes | None = None) -> Axes:
    """The deviance along a quantity, its threshold, and the interval.

    Args:
        found: from :func:`scalefit.profile`.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: the quantity across, the signed root of the deviance up. A straight line means
        that a symmetric standard error would do.

    Raises:
        ArgumentError: there is no profile, or ``ax`` is no Axes.
    """
    remedy = "Pass found=scalefit.profile(fit, runs, 'alpha')"
    instance(found, "found", Profile, wanted="a profile", remedy=remedy)
    ax = single(ax, (6.0, 4.2))
    side = np.sign(found.values - found.value)
    ax.plot(
        found.values,
        side * np.sqrt(found.deviance),
        color="#31688e",
        marker="o",
        markersize=3.5,
        linewidth=1.4,
    )
    reach = np.sqrt(found.threshold)
    for end, closed, height in zip(
        (found.low, found.high), found.closed, (-reach, reach), strict=True
    ):
        ax.axhline(height, color="0.7", linewidth=0.8, linestyle="--")
        ax.axvline(
            end,
            color="crimson",
            linewidth=1.0,
            linestyle="-" if closed else ":",
            label=f"{end:.4g}" if closed else f"open beyond {end:.4g}",
        )
    ax.plot(found.value, 0.0, marker="*", markersize=13, color="gold", markeredgecolor="black")
    ax.set_xlabel(found.name)
    ax.set_ylabel("signed root of the deviance")
    ax.set_title(found.as_text(), fontsize=9)
    ax.legend(frameon=False, fontsize=9)
    return ax
