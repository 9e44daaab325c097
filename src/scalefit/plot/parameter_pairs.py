"""Clouds of parameters, two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scalefit import arguments
from scalefit.errors import DataError
from scalefit.inference.ensemble import Ensemble, checked_draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pairs"]

# More points than this only darken the clouds.
MOST_POINTS = 4000
BINS = 40


def pairs(draws: Ensemble, params: Sequence[str] | None = None) -> np.ndarray:
    """Every pair of free parameters against each other, amplitudes in their logarithm.

    Args:
        draws: the ensemble.
        params: which parameters; all free ones that vary by default.

    Returns:
        Array of Axes, shape (m, m): histograms on the diagonal, clouds below it with the fit
        marked, nothing above.

    Raises:
        ArgumentError: there are no draws, or a parameter is unknown.
        DataError: no parameter varies.
    """
    import matplotlib.pyplot as plt

    drawn = checked_draws(draws).drawn
    if params is None:
        names = [name for name, values in drawn.items() if np.ptp(values) > 0]
    else:
        remedy = f"Pass some of {', '.join(drawn)}, as params={list(drawn)[:2]}"
        names = list(arguments.names(params, "params", remedy=remedy))
        for name in names or ("",):
            arguments.choice(name, "params", list(drawn), remedy=remedy)
    if not names:
        raise DataError("no parameter varies over these draws", remedy="Draw more, or free one")
    kinds = {param.name: param.kind.name for param in draws.fit.law.params}
    shown, marks = {}, {}
    for name in names:
        values, mark = drawn[name], draws.fit.params[name]
        log = kinds[name.partition("[")[0]] == "amplitude" and values.min() > 0 and mark > 0
        shown[f"ln {name}" if log else name] = np.log(values) if log else values
        marks[f"ln {name}" if log else name] = np.log(mark) if log else mark
    size = len(names)
    figure, grid = plt.subplots(
        size, size, figsize=(1.9 * size + 0.6, 1.9 * size + 0.4), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for i, (below, y) in enumerate(shown.items()):
        for j, (across, x) in enumerate(shown.items()):
            ax: Axes = grid[i, j]
            if j > i:
                ax.axis("off")
                continue
            if i == j:
                ax.hist(x, bins=BINS, color="#35b779")
                ax.axvline(marks[across], color="crimson", linewidth=1.2)
                ax.set_yticks([])
            else:
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
                ax.plot(
                    marks[across], marks[below], marker="*", markersize=11, color="gold",
                    markeredgecolor="black",
                )  # fmt: skip
            ax.tick_params(labelsize=7)
            if i == size - 1:
                ax.set_xlabel(across)
            else:
                ax.set_xticklabels([])
            if j == 0 and i > 0:
                ax.set_ylabel(below)
            elif j > 0:
                ax.set_yticklabels([])
    figure.suptitle(f"{draws.fit.law.name}: {len(draws) - draws.failed} draws by {draws.method}")
    return np.asarray(grid)
