"""Draws of the parameters, two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.inference.ensemble import Ensemble, checked_draws
from scalefit.plot.canvas import several
from scalefit.plot.style import BLUE, ORANGE, ink, picture, symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pairs"]

# More points than this only darken the picture.
MOST_POINTS = 4000
BINS = 40


@picture
def pairs(
    result: Ensemble,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    params: Sequence[str] | None = None,
    ax: Sequence[Axes] | np.ndarray | None = None,
) -> np.ndarray:
    """Every pair of free parameters against each other, amplitudes in their logarithm.

    Args:
        result: the ensemble.
        runs: not needed; taken so that all pictures are called alike.
        level: of the ellipses and of the dotted lines.
        params: which m parameters; by default all free ones that vary.
        ax: m x m Axes; new ones by default.

    Returns:
        Array of Axes, shape (m, m): histograms on the diagonal with the interval dotted, draws
        below it with the fit marked, nothing above. An ellipse would hold the level of the draws
        if they were normal: where they leave it, a standard error does not say all.

    Raises:
        ArgumentError: there are no draws, a parameter is unknown, the level is no number between
            0 and 1, or ``ax`` is not m x m Axes.
        DataError: no parameter varies.
    """
    checked_draws(result, "result")
    level = checked_level(level)
    names = _names(result, params)
    logarithmic = [_in_logarithm(result, name) for name in names]
    shown = [
        rf"$\ln$ {symbol(name)}" if log else symbol(name)
        for name, log in zip(names, logarithmic, strict=True)
    ]
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
            _histogram(one, draws[row], marks[row], level)
        else:
            _cloud(one, draws[column], draws[row], (marks[column], marks[row]), level)
        _ticks(one)
        if row == size - 1:
            one.set_xlabel(shown[column])
        else:
            one.set_xticklabels([])
        if column == 0 and row > 0:
            one.set_ylabel(shown[row])
        elif column > 0:
            one.set_yticklabels([])
    title = f"{result.fit.law.name}: {len(result) - result.failed} draws by {result.method}"
    grid[0, 0].figure.suptitle(title, fontsize=10)
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


def _ticks(ax: Axes) -> None:
    """Few of them: numbers of neighbours must not meet. Names that are read."""
    from matplotlib.ticker import MaxNLocator

    ax.tick_params(labelsize=6.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(10)
        if len(axis.get_ticklocs()):
            axis.set_major_locator(MaxNLocator(3))


def _histogram(ax: Axes, draws: np.ndarray, mark: float, level: float) -> None:
    ax.hist(draws, bins=BINS, color=BLUE, alpha=0.75)
    ax.axvline(mark, color=ORANGE, linewidth=1.6)
    for end in np.quantile(draws, [0.5 - 0.5 * level, 0.5 + 0.5 * level]):
        ax.axvline(end, color=ink(ax), linewidth=0.9, linestyle=":")
    ax.set_yticks([])


def _ellipse(ax: Axes, x: np.ndarray, y: np.ndarray, level: float) -> None:
    """The region of a level if the draws were normal."""
    from scipy.stats import chi2

    values, vectors = np.linalg.eigh(np.cov(x, y))
    turn = np.linspace(0.0, 2 * np.pi, 100)
    radii = np.sqrt(chi2.ppf(level, 2) * np.maximum(values, 0.0))
    around = vectors @ (radii[:, None] * [np.cos(turn), np.sin(turn)])
    ax.fill(
        around[0] + x.mean(), around[1] + y.mean(), fill=False, edgecolor=ink(ax), linewidth=0.9
    )


def _cloud(ax: Axes, x: np.ndarray, y: np.ndarray, mark: tuple[float, float], level: float) -> None:
    _ellipse(ax, x, y, level)
    ax.plot(
        x[:MOST_POINTS],
        y[:MOST_POINTS],
        linestyle="none",
        marker=".",
        markersize=2.5,
        alpha=0.35,
        color=BLUE,
        rasterized=True,
    )
    ax.plot(*mark, marker="*", markersize=11, color=ORANGE, markeredgecolor=ink(ax))
