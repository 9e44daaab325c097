"""What a picture of curves is made of: lines with their bands, runs, the frontier, an optimum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.errors import AllocationError
from scalefit.plot.drawn_lines import Lines, quantity, said
from scalefit.plot.line_colours import Colours
from scalefit.plot.measured_runs import MeasuredRuns
from scalefit.plot.style import GREY, ORANGE, band, ink, paper, symbol
from scalefit.results.remembered_columns import spoken
from scalefit.results.surface import Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "View",
    "draw_frontier",
    "draw_lines",
    "draw_optimum",
    "draw_runs",
    "in_words",
    "one_surface",
]

CURVE, BAND, FRONTIER = 160, 60, 60
DASHES: Any = (0, (4.0, 2.0))


@dataclass(frozen=True)
class View:
    """What is drawn, and over which range.

    Attributes:
        surface: the law.
        lines: its lines.
        runs: the runs, where there are any.
        ends: where the runs begin and end across.
        reach: where the lines do.
        level: coverage of the bands.
    """

    surface: Surface
    lines: Lines
    runs: MeasuredRuns | None
    ends: tuple[float, float]
    reach: tuple[float, float]
    level: float

    @property
    def called(self) -> str:
        """What is across: the table's header, where the law says nothing of what it counts."""
        fit = self.surface.point
        return spoken(fit.law, fit.provenance).get(self.lines.across, self.lines.across)

    @property
    def across(self) -> np.ndarray:
        """Where the runs that are shown are across, shape (shown,)."""
        assert self.runs is not None
        values = quantity(self.lines.across, self.runs.values)
        return np.asarray(values, dtype=np.float64)[self.lines.shown]

    @property
    def observed(self) -> np.ndarray:
        """Losses of the runs that are shown, shape (shown,)."""
        assert self.runs is not None
        return self.runs.observed[self.lines.shown]

    def span(self, place: int) -> tuple[float, float] | None:
        """Where the runs of a line begin and end; None where it has none."""
        if self.runs is None:
            return self.ends
        own = self.across[self.lines.member == place]
        return (float(own.min()), float(own.max())) if len(own) else None

    def points(self, low: float, high: float, count: int) -> np.ndarray:
        """Points across, even as the axis is."""
        return (np.geomspace if self.reach[0] > 0 else np.linspace)(low, high, count)

    def loss(self, x: np.ndarray, value: Any) -> np.ndarray:
        """Predictions along a line."""
        fit = self.surface.point
        return fit.evaluate(**self.lines.columns(fit, x, value))

    def pieces(self, place: int) -> Iterator[tuple[bool, float, float]]:
        """Parts of a line: whether runs are there, and where it begins and ends."""
        low, high = self.reach
        span = self.span(place)
        parts = [(False, low, high)]
        if span is not None:
            parts = [(True, *span), (False, low, span[0]), (False, span[1], high)]
        return ((inside, start, end) for inside, start, end in parts if start < end)


def one_surface(surface: Surface, lines: Lines) -> tuple[Surface, dict[str, float] | None]:
    """The surface at the levels of the lines, and the columns that are fixed on it."""
    own = surface.point.law.columns
    levels = {name: value for name, value in lines.rest.items() if name not in own}
    further = {name: value for name, value in lines.rest.items() if name in own}
    return (surface.at(**levels) if levels else surface), further or None


def draw_lines(ax: Axes, view: View, colours: Colours) -> None:
    """Each line, solid where its runs are and dashed elsewhere, and its band."""
    lines = view.lines
    for place, (value, colour) in enumerate(zip(lines.values, colours.of_line, strict=True)):
        if view.surface.drawn:
            x = view.points(*view.reach, BAND)
            columns = lines.columns(view.surface.point, x, value)
            ends = view.surface.estimate_loss(**columns).interval(view.level)
            ax.fill_between(x, *ends, **band(ax, colour))
        if lines.labelled:
            ax.plot([], [], color=colour, label=f"{lines.by} = {value}")
        for inside, low, high in view.pieces(place):
            x = view.points(low, high, CURVE)
            style: Any = "-" if inside else DASHES
            ax.plot(
                x,
                view.loss(x, value),
                color=colour,
                linestyle=style,
                linewidth=1.7 if inside else 1.1,
            )
    ax.plot([], [], color=GREY, linestyle=DASHES, linewidth=1.1, label=_beyond(view))
    if view.surface.drawn:
        name = f"{100 * view.level:g} % interval of the line"
        ax.fill_between([], [], **band(ax, GREY, alpha=0.5), label=name)


def _beyond(view: View) -> str:
    """What dashes mean."""
    several = view.runs is not None and len(view.lines.values) > 1
    named = {"N": "size", "C": "budget"}.get(view.lines.by, "line")
    return f"beyond the runs of the {named}" if several else "beyond the runs"


def draw_runs(ax: Axes, view: View, colours: Colours) -> None:
    """The runs, in the colours of their lines or of their own values."""
    if view.runs is None or not view.lines.shown.any():
        return
    by = view.lines.by
    values = quantity(by, view.runs.values)[view.lines.shown] if by else np.zeros(0)
    count = len(view.observed)
    ax.scatter(
        view.across,
        view.observed,
        c=colours.of_runs(values),
        s=22 if count < 150 else 14,
        edgecolors=paper(ax),
        linewidths=0.4,
        zorder=3,
    )
    # The entry of all of them has no size's colour.
    dot: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "color": GREY,
        "markeredgecolor": paper(ax),
    }
    ax.plot([], [], markersize=5, label=f"{count} runs", **dot)
    if view.reach[1] > view.ends[1]:
        ax.axvline(view.ends[1], color=GREY, linestyle=":", linewidth=1.1,
                   label="where the runs end", zorder=0)  # fmt: skip


def draw_frontier(ax: Axes, view: View) -> None:
    """The lowest loss of each budget, where the law has one."""
    if not {view.lines.by} <= {"N", "D"}:
        return
    one, further = one_surface(view.surface, view.lines)
    budgets = np.geomspace(*view.reach, FRONTIER)
    try:
        best = allocate(one.point, budgets, fixed=further)
    except AllocationError:
        # Some budget has no optimum of its own: the lines are still worth seeing.
        return
    ax.plot(budgets, best.loss, color=ORANGE, linewidth=2.2, label="compute-optimal", zorder=2.5)


def draw_optimum(ax: Axes, view: View, best: Allocation) -> None:
    """The optimum of the budget, its interval, and the line that it lies on."""
    lines = view.lines
    place, loss = _across(lines, best), float(best.loss)
    on = float(best.budget if lines.by == "C" else best[lines.by])
    x = view.points(*view.reach, CURVE)
    ax.plot(x, view.loss(x, on), color=ORANGE, linestyle=DASHES, linewidth=1.4, zorder=2.5)
    if best.draws:
        ends = best.estimate("loss").interval(view.level)
        ax.plot([place, place], list(ends), color=ORANGE, linewidth=4.0, solid_capstyle="butt",
                alpha=0.6, zorder=4)  # fmt: skip
    ax.plot(
        place,
        loss,
        marker="*",
        markersize=14,
        color=ORANGE,
        markeredgecolor=ink(ax),
        markeredgewidth=0.7,
        linestyle="none",
        label=f"optimum of {said('C', best.budget)} FLOP",
        zorder=5,
    )


def in_words(best: Allocation) -> str:
    """An optimum in a line."""
    values = ", ".join(f"{symbol(f'{name}*')} = {said(name, best[name])}" for name in ("N", "D"))
    return f"optimum of {said('C', best.budget)} FLOP: {values}, loss {float(best.loss):.3f}"


def _across(lines: Lines, best: Allocation) -> float:
    return float(best.budget if lines.across == "C" else best[lines.across])
