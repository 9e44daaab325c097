"""Draws of the parameters, two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalefit import arguments
from scalefit.errors import DataError
from scalefit.inference.ensemble import Ensemble, checked_draws
from scalefit.plot.canvas import several

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pairs"]

# More points than this only darken the picture.
MOST_POINTS = 4000
BINS = 40


def pairs(
    result: Ensemble,
    *,
    params: Sequence[str] | None = None,
    ax: Sequence[Axes] | np.ndarray | None = None,
) -> np.ndarray:
    """Every pair of free parameters against each other, amplitudes in their logarithm.

    Args:
        result: the ensemble.
        params: which m parameters; by default all free ones that vary.
        ax: m x m Axes; new ones by default.

    Returns:
        Array of Axes, shape (m, m): histograms on the diagonal, draws below it with the fit
        marked, nothing above.

    Raises:
        ArgumentError: there are no draws, a parameter is unknown, or ``ax`` is not m x m Axes.
        DataError: no parameter varies.
    """
    checked_draws(result, "result")
    names = _names(result, params)
    logarithmic = [_in_logarithm(result, name) for name in names]
    shown = [f"ln {name}" if log else name for name, log in zip(names, logarithmic, strict=True)]
    draws: list[np.ndarray] = []
    marks: list[float] = []
    for name, log in zip(names, logarithmic, strict=True):
        values, mark = result.drawn[name], result.fit.params[name]
        draws.append(np.log(values) if log else values)
        marks.append(np.log(mark) if log else mark)
    size = len(names)
    grid = several(ax, (size, size), (1.9 * size + 0.6, 1.9 * size + 0.4))
    for (row, column), one in np.ndenumerate(grid):
        if column > row:
            one.axis("off")
        elif column == row:
            _histogram(one, draws[row], marks[row])
        else:
            _cloud(one, draws[column], draws[row], (marks[column], marks[row]))
        one.tick_params(labelsize=7)
        if row == size - 1:
            one.set_xlabel(shown[column])
        else:
            one.set_xticklabels([])
        if column == 0 and row > 0:
            one.set_ylabel(shown[row])
        elif column > 0:
            one.set_yticklabels([])
    title = f"{result.fit.law.name}: {len(result) - result.failed} draws by {result.method}"
    grid[0, 0].figure.suptitle(title)
    return grid


def _names(result: Ensemble, params: Sequence[str] | None) -> list[str]:
    """The parameters to draw."""
    drawn = result.drawn
    if params is None:
        names = [name for name, values in drawn.items() if np.ptp(values) > 0]
        if not names:
            raise DataError("no parameter varies over these draws", remedy="Draw more, or free one")
        return names
    remedy = f"Pass some of {', '.join(drawn)}, as params={list(drawn)[:2]}"
    names = list(arguments.names(params, "params", remedy=remedy))
    for name in names or ("",):
        arguments.choice(name, "params", list(drawn), remedy=remedy)
    return names


def _in_logarithm(result: Ensemble, name: str) -> bool:
    """Whether a parameter is an amplitude, and positive in the fit and in every draw."""
    kinds = {param.name: param.kind.name for param in result.fit.law.params}
    positive = min(result.drawn[name].min(), result.fit.params[name]) > 0
    return kinds[name.partition("[")[0]] == "amplitude" and bool(positive)


def _histogram(ax: Axes, draws: np.ndarray, mark: float) -> None:
    ax.hist(draws, bins=BINS, color="#35b779")
    ax.axvline(mark, color="crimson", linewidth=1.2)
    ax.set_yticks([])


def _cloud(ax: Axes, x: np.ndarray, y: np.ndarray, mark: tuple[float, float]) -> None:
    ax.plot(
        x[:MOST_POINTS],
        y[:MOST_POINTS],
        linestyle="none",
        marker=".",
        markersize=2.5,
        alpha=0.35,
        color="#31688e",
        rasterized=True,
    )
    ax.plot(*mark, marker="*", markersize=11, color="gold", markeredgecolor="black")
