"""A profile: the rise of the objective where a quantity is fixed away from its optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalefit.arguments import instance
from scalefit.inference.profile_likelihood import Profile
from scalefit.plot.canvas import single

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["profile"]


def profile(result: Profile, *, ax: Axes | None = None) -> Axes:
    """The deviance along a quantity, its threshold, and the interval.

    Args:
        result: from :func:`scalefit.profile`.
        ax: Axes to draw on; new ones by default.

    Returns:
        The Axes: the quantity across, the signed square root of the deviance up. A straight
        line means that a symmetric standard error would do.

    Raises:
        ArgumentError: there is no profile, or ``ax`` is no Axes.
    """
    remedy = "Pass result=scalefit.profile(fit, runs, 'alpha')"
    instance(result, "result", Profile, wanted="a profile", remedy=remedy)
    ax = single(ax, (6.0, 4.2))
    side = np.sign(result.values - result.value)
    ax.plot(
        result.values,
        side * np.sqrt(result.deviance),
        color="#31688e",
        marker="o",
        markersize=3.5,
        linewidth=1.4,
    )
    reach = np.sqrt(result.threshold)
    share = f"{100 * result.level:g} %"
    for name, end, closed, height in zip(
        ("lower", "upper"), (result.low, result.high), result.closed, (-reach, reach), strict=True
    ):
        ax.axhline(height, color="0.7", linewidth=0.8, linestyle="--")
        ax.axvline(
            end,
            color="crimson",
            linewidth=1.0,
            linestyle="-" if closed else ":",
            label=f"{name} end of the {share} interval: {'' if closed else 'beyond '}{end:.4g}",
        )
    ax.plot(result.value, 0.0, marker="*", markersize=13, color="gold", markeredgecolor="black")
    ax.set_xlabel(result.name)
    ax.set_ylabel("signed square root of the deviance")
    ax.set_title(f"profile of {result.name}, best at {result.value:.4g}", fontsize=10)
    ax.legend(frameon=False, fontsize=9)
    return ax
