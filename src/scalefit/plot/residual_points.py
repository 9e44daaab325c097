"""Residuals along a column: points within the frame, those beyond it on the edge, a smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.objective import robust_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["frame_height", "local_lines", "points_within"]

# Residuals beyond so many times their usual size are put on the edge.
TALLEST = 6.0
# Width of the weights of a smooth, as a share of the range; points of its line.
WIDTH, POINTS = 0.16, 60
# Residuals count in a smooth up to so many times their usual size.
CLIPPED = 3.5


def frame_height(values: np.ndarray) -> float:
    """Half the height of a frame that a few large residuals do not stretch."""
    usual = robust_size(values) or float(np.abs(values).max()) or 1.0
    return 1.12 * min(float(np.abs(values).max()) or 1.0, TALLEST * usual)


def points_within(
    ax: Axes,
    x: np.ndarray,
    values: np.ndarray,
    top: float,
    *,
    colours: np.ndarray | None = None,
    **style: Any,
) -> None:
    """Points, those beyond the frame as triangles on its edge.

    Args:
        ax: Axes to draw on.
        x: where they are across, shape (runs,).
        values: residuals, shape (runs,).
        top: half the height of the frame.
        colours: of each point, where they differ, shape (runs, 4).
        **style: of the points.
    """

    def drawn(here: np.ndarray, height: np.ndarray, **more: Any) -> None:
        own = {} if colours is None else {"color": colours[here]}
        ax.scatter(x[here], height, **style, **own, **more)

    size = style.pop("s", 16)
    beyond = np.abs(values) > top
    label = style.pop("label", None)
    if not beyond.all():
        drawn(~beyond, values[~beyond], s=size, label=label)
    for sign, marker in ((1, "^"), (-1, "v")):
        far = beyond & (np.sign(values) == sign)
        if far.any():
            drawn(far, np.full(far.sum(), 0.96 * sign * top), s=1.5 * size, marker=marker)


def local_lines(
    z: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A smooth through residuals, by local lines with normal weights.

    Residuals beyond 3.5 times their usual size count as if they were there.

    Args:
        z: where residuals are, shape (runs,), of three values at least.
        values: the residuals, shape (runs,).

    Returns:
        Places, shape (60,); the smooth and its standard error there, if runs are independent; and
        their degrees of freedom.

    Source:
        Cleveland 1979, J. Am. Stat. Assoc. 74(368) (local lines); Loader 1999, Local Regression and
        Likelihood, section 2.3 (variance, degrees of freedom).
    """
    limit = CLIPPED * (robust_size(values) or np.inf)
    kept = np.clip(values, -limit, limit)
    width = WIDTH * np.ptp(z)
    places = np.linspace(z.min(), z.max(), POINTS)
    rows = _smoother(places, z, width)
    own = _smoother(z, z, width)
    rest = kept - own @ kept
    df = max(len(z) - 2 * np.trace(own) + np.sum(own**2), 1.0)
    error = np.sqrt(np.sum(rest**2) / df) * np.sqrt(np.sum(rows**2, axis=1))
    return places, rows @ kept, error, float(df)


def _smoother(places: np.ndarray, z: np.ndarray, width: float) -> np.ndarray:
    """Weights of the residuals at each place, shape (places, runs)."""
    away = z[None, :] - places[:, None]
    weight = np.exp(-0.5 * (away / width) ** 2)
    total, first = weight.sum(1), (weight * away).sum(1)
    second = (weight * away**2).sum(1)
    # Where weighted runs are all at one place there is a mean and no line.
    spread = total * second - first**2
    line = spread > 1e-9 * (total * width) ** 2
    safe = np.where(line, spread, 1.0)
    tilt = weight * (second[:, None] - away * first[:, None]) / safe[:, None]
    return np.asarray(np.where(line[:, None], tilt, weight / total[:, None]))
