"""The fitted loss surface with the runs it was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.arguments import level as checked_level
from scalefit.arguments import number
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError
from scalefit.plot.canvas import beyond, single
from scalefit.plot.style import (
    ORANGE,
    diverging,
    figure_of,
    halo,
    ink,
    is_dark,
    is_small,
    label_places,
    legend_below,
    log_axis,
    picture,
    small_text,
    symbol,
    text_width,
    title,
    width_of,
    written,
)
from scalefit.plot.style import axis_label as labelled
from scalefit.results.fit import Fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import Surface, checked_surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["surface"]

# The largest budget that is marked: beyond, ticks of logarithmic axes leave float64.
MOST_DRAWN = 1e60
CELLS = 240
LEVELS = 15
# Room around the data and the budget, as a share of the logarithmic range.
MARGIN = 0.06
# Share of the residuals within the scale of their colours.
COLOURED = 0.98


@picture
def surface(
    result: Surface,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    flops: float | None = None,
    level: float = 0.95,
    cost: CostLike = "6ND",
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Contours of the fitted loss, the runs by their residuals, the frontier, a budget's optimum.

    Runs are blue where their loss lies below the surface and vermilion where it lies above it:
    where one colour gathers, the law misfits.

    Args:
        result: a fit of a law of N and D, or an ensemble of one, which adds the band of the
            frontier and the interval of the budget's optimum.
        runs: the table that was fitted, or another one to compare with. Without one the contours
            cover the ranges of the runs that were fitted, which a dotted frame shows.
        flops: a budget to mark, FLOP: its line of constant cost and the optimum on it.
        level: coverage of the band and of the interval.
        cost: what the budget is counted in.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: N (parameters) across, D (tokens) up, both logarithmic; contours are labelled
        with their loss, and the colour bar says by how many percent a run is off.

    Raises:
        AllocationError: the law is not one of N and D.
        ArgumentError: there is no fit, the budget is not positive, the level no number between 0
            and 1, or ``ax`` no Axes.
        DataError: the table lacks a column.
    """
    drawn = checked_surface(result, "result").one_surface()
    level = checked_level(level)
    fit = drawn.point
    if set(fit.law.columns) != {"N", "D"}:
        raise AllocationError(
            f"a loss surface is drawn over N and D, and {fit.law.name!r} is a law of "
            f"{', '.join(fit.law.columns)}"
        )
    refuse_unknown(surface, fit.law, columns)
    table = None if runs is None else table_again(fit.provenance, runs, columns)
    if table is not None:
        table.require(["N", "D", "loss"])
    counted = find_cost(cost)
    if flops is not None:
        remedy = "Pass one budget in FLOP, as flops=1e24"
        flops = number(flops, "flops", above=0, most=MOST_DRAWN, remedy=remedy)
    best = None if flops is None else allocate(drawn, flops, cost=counted)
    ax = single(ax, (7.4, 6.2))
    ranges = _ranges(fit, table, counted, best, level)
    ax.set(xlim=ranges[0], ylim=ranges[1])
    for axis in ("x", "y"):
        log_axis(ax, axis, "count")
    _contours(ax, fit, table, *ranges)
    if table is None:
        _frame(ax, fit)
    else:
        _runs(ax, fit, table)
    _frontier(ax, drawn, counted, level)
    if best is not None:
        _budget(ax, counted, best, level)
    ax.set(xlabel=labelled("N"), ylabel=labelled("D"))
    title(ax, [*_headline(ax, fit), *([] if best is None else beyond(best))])
    legend_below(ax)
    return ax


def _ranges(
    fit: Fit, table: LossTable | None, cost: Cost, best: Allocation | None, level: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Both ranges that hold all runs and the budget's optimum with its interval."""
    marked = [] if best is None else [best.N]
    if best is not None and best.draws:
        marked += best.estimate("N").interval(level)
    N, D = (fit.domain[name] if table is None else table.column(name) for name in ("N", "D"))
    tokens = [] if best is None else [cost.tokens(best.budget, at) for at in marked]
    return _range([N, *marked]), _range([D, *tokens])


def _range(parts: list[Any]) -> tuple[float, float]:
    """Range of all values with a margin, in logarithms."""
    logs = np.log(np.concatenate([np.atleast_1d(part) for part in parts]))
    room = MARGIN * max(np.ptp(logs), 1.0)
    return float(np.exp(logs.min() - room)), float(np.exp(logs.max() + room))


def _contours(
    ax: Axes,
    fit: Fit,
    table: LossTable | None,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Lines of equal loss, labelled, over quiet colours that the runs stand out from."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
    from matplotlib.lines import Line2D

    x, y = np.geomspace(*x_range, CELLS), np.geomspace(*y_range, CELLS)
    predicted = fit.evaluate(N=x[None, :], D=y[:, None])
    levels = _levels(predicted, predicted if table is None else table.column("loss"))
    norm = (LogNorm if levels[0] > 0 else Normalize)(levels[0], levels[-1])
    ends = GROUND[is_dark(ax)]
    colours = LinearSegmentedColormap.from_list("ground", ends)
    ax.contourf(x, y, predicted, levels, norm=norm, cmap=colours, extend="both", zorder=0)
    lines = ax.contour(x, y, predicted, levels, colors=ink(ax), linewidths=0.5, alpha=0.4, zorder=1)
    places = label_places(ax, (x, y), predicted, levels)
    texts = ax.clabel(
        lines, fmt=lambda value: f"{value:.3g}", fontsize=small_text(ax) - 0.5, manual=places,
        inline_spacing=3,
    ) if places else ()  # fmt: skip
    for text in texts:
        text.set(color=ink(ax), path_effects=halo(ax, 1.8), alpha=0.9)
    unit = f" ({fit.loss_unit})" if fit.loss_unit else ""
    ax.add_line(Line2D([], [], color=ink(ax), lw=0.7, alpha=0.6, label=f"loss{unit}"))


# Colours from the least loss to the most: on light Axes and on dark ones.
GROUND = (
    ("#9fc8c8", "#c9e0d6", "#e9f1e4", "#fbfaf2"),
    ("#2f6f78", "#24505c", "#1a323d", "#10191f"),
)


def _levels(predicted: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Levels that are dense where the runs are, and reach down to the best loss in view.

    An untrained corner of the window can lie at ten times the loss of any run: levels follow the
    runs, and what lies above them is one colour.
    """
    low = min(predicted.min(), loss.min())
    high = min(predicted.max(), float(np.quantile(loss, 0.98)) * 1.05)
    high = max(high, low * 1.01 if low > 0 else low + 0.01)
    levels = np.geomspace(low, high, LEVELS) if low > 0 else np.linspace(low, high, LEVELS)
    gap = float(np.diff(levels).min())
    # The roundest numbers that keep them apart.
    step = 10.0 ** np.floor(np.log10(gap))
    step *= max(digit for digit in (1, 2, 5) if digit * step <= gap)
    return np.unique(np.round(levels / step) * step)


def _runs(ax: Axes, fit: Fit, table: LossTable) -> None:
    """The runs, coloured by how far their loss is from the surface, with a bar of its own."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    N, D, loss = (table.column(name) for name in ("N", "D", "loss"))
    off = 100 * (loss / fit.evaluate(N=N, D=D) - 1)
    most = max(float(np.quantile(np.abs(off), COLOURED)), 1e-3)
    small = is_small(ax)
    drawn = ax.scatter(
        N,
        D,
        c=off,
        cmap=diverging(ax),
        vmin=-most,
        vmax=most,
        s=11 if small else 34,
        edgecolors=ink(ax),
        linewidths=0.35 if small else 0.6,
        label=f"{len(N)} runs",
        zorder=3,
    )
    if small:
        return
    figure = figure_of(ax)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.55, aspect=18, pad=0.02, extend="both")
    bar.locator = MaxNLocator(4)
    bar.formatter = FuncFormatter(lambda value, _: f"{value:+.3g}" if value else "0")
    bar.update_ticks()
    bar.outline.set_linewidth(0.5)
    bar.set_label("observed / predicted - 1 (%)")


def _frame(ax: Axes, fit: Fit) -> None:
    """The ranges of the runs that were fitted."""
    (left, right), (low, high) = fit.domain["N"], fit.domain["D"]
    ax.plot(
        [left, right, right, left, left],
        [low, low, high, high, low],
        color=ink(ax),
        linestyle=":",
        linewidth=1.2,
        label="ranges of the runs",
    )


def _frontier(ax: Axes, fit: Surface, cost: Cost, level: float) -> None:
    """The optimal (N, D) of every budget in view, and the band it lies in."""
    low, high = (cost(n, d) for n, d in zip(ax.get_xlim(), ax.get_ylim(), strict=True))
    try:
        frontier = allocate(fit, np.geomspace(low, high, 100), cost=cost)
    except AllocationError:
        # Some budget in view has no interior optimum: the surface is still worth seeing.
        return
    colour = ink(ax)
    if frontier.draws:
        # Along the line of each budget: where N is lower, D is higher.
        low, high = frontier.estimate("N").interval(level)
        ax.fill(
            np.r_[low, high[::-1]],
            np.r_[cost.tokens(frontier.flops, low), cost.tokens(frontier.flops, high)[::-1]],
            color=colour,
            alpha=0.16,
            linewidth=0,
            label=f"{100 * level:g} % band of the frontier",
        )
    exponent = float(frontier.n_exponent[-1])
    ax.plot(
        frontier.N,
        frontier.D,
        color=colour,
        linewidth=1.8,
        label=rf"efficient frontier, $N^*\propto C^{{{exponent:.3f}}}$",
    )


def _budget(ax: Axes, cost: Cost, best: Allocation, level: float) -> None:
    """The line of one budget and its optimum, with its interval."""
    x = np.geomspace(*ax.get_xlim(), CELLS)
    budget = float(best.flops)
    ax.plot(
        x,
        cost.tokens(budget, x),
        color=ink(ax),
        linestyle=(0, (5, 3)),
        linewidth=1.1,
        label=f"{cost.name} = {written(budget, 'flop')} FLOP",
    )
    if best.draws:
        ends = np.array(best.estimate("N").interval(level))
        ax.plot(
            ends, cost.tokens(budget, ends), color=ORANGE, linewidth=4.5, zorder=4, alpha=0.9,
            solid_capstyle="round",
        )  # fmt: skip
    N, D = (written(float(best[name]), "count") for name in ("N", "D"))
    ax.plot(
        best.N,
        best.D,
        marker="*",
        markersize=10 if is_small(ax) else 17,
        color=ORANGE,
        markeredgecolor=ink(ax),
        markeredgewidth=0.8,
        linestyle="none",
        label=f"$N^*$ = {N}, $D^*$ = {D}, loss {float(best.loss):.3f}",
        zorder=5,
    )


def _headline(ax: Axes, fit: Fit) -> list[str]:
    """The law, typeset where it fits, and its parameters."""
    size = small_text(ax) + 1.5
    name, formula = fit.law.name, f"${fit.law.latex}$"
    fits = fit.law.latex and text_width(f"{name}:  {formula}", size) < 72 * width_of(ax)
    values = ", ".join(f"{symbol(key)} = {written(value)}" for key, value in fit.params.items())
    return [f"{name}:  {formula}" if fits and not is_small(ax) else name, values]
