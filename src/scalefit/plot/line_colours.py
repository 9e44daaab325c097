"""Colours of lines that are in an order or have labels, and the bar that explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.plot.drawn_lines import Lines, said
from scalefit.plot.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    axis_label,
    figure_of,
    is_small,
    sequence,
    small_text,
    symbol,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LABELS", "Colours"]

LABELS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)


class Colours:
    """Colours of the lines and of their runs, and the bar that explains them."""

    def __init__(self, ax: Axes, lines: Lines) -> None:
        self.lines = lines
        count = len(lines.values)
        self.single = not lines.by or count < 2
        if self.single:
            self.of_line: Any = [BLUE] * count
        elif lines.labelled:
            self.of_line = [LABELS[i % len(LABELS)] for i in range(count)]
        else:
            self.of_line = sequence(ax, count)
        self.norm: Any = None
        if not (self.single or lines.labelled or lines.every):
            from matplotlib.colors import ListedColormap, LogNorm, Normalize

            self.map = ListedColormap(sequence(ax, 256).tolist())
            ends = lines.values[0], lines.values[-1]
            self.norm = (LogNorm if ends[0] > 0 else Normalize)(*ends)
            self.of_line = self.map(self.norm(lines.values))

    def of_runs(self, values: np.ndarray) -> Any:
        """Colour of each run that is shown, by its own value or by its line."""
        if self.norm is not None:
            return self.map(self.norm(values))
        return [self.of_line[line] for line in self.lines.member]

    def bar(self, ax: Axes) -> None:
        """The bar: continuous, or a box for each line."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import BoundaryNorm, ListedColormap
        from matplotlib.ticker import FixedLocator, NullLocator

        if self.single or self.lines.labelled:
            return
        by, values = self.lines.by, self.lines.values
        if self.norm is not None:
            shown, places = ScalarMappable(self.norm, self.map), values
        else:
            edges = np.arange(len(values) + 1)
            boxes = ListedColormap(np.asarray(self.of_line).tolist())
            shown = ScalarMappable(BoundaryNorm(edges, len(values)), boxes)
            places = edges[:-1] + 0.5
        figure = figure_of(ax)
        # Of many Axes each has little room: the ends say the order.
        few, size = is_small(ax), small_text(ax)
        kept = [0, len(values) - 1] if few else range(len(values))
        bar = figure.colorbar(shown, ax=ax, pad=0.02, aspect=28)
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_locator(FixedLocator([float(places[i]) for i in kept]))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.set_yticklabels([said(by, values[i]) for i in kept])
        bar.ax.tick_params(length=0, labelsize=size)
        name = axis_label(by, "FLOP, as 6ND" if by == "C" else None)
        bar.set_label(symbol(by) if few else name, size=size + 1)
