"""IsoFLOP sweeps: the runs of each budget, the parabola through them and its vertex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError, listed
from scalefit.plot.canvas import single
from scalefit.plot.style import (
    VERMILION,
    axis_label,
    figure_of,
    halo,
    ink,
    is_small,
    legend_below,
    log_axis,
    paper,
    picture,
    sequence,
    small_text,
    title,
    written,
)
from scalefit.results.prediction import refuse_unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["budget_bar", "isoflop", "top_loss"]

CURVE = 200
# Losses that differ by a larger factor are drawn on a logarithmic axis.
WIDE = 2.2
# A budget is shown up to so many times the usual height of one above its vertex.
TALLEST = 3.0


@picture
def isoflop(
    result: IsoFlop,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Loss against model size, a curve for each budget, with its vertex and the power law of N*.

    Parabolas are dashed where they leave their runs. Vertices are filled where the power laws go
    through them, hollow where not; runs that a rule left out are crosses. The line is N* of the
    power law, at the loss of the parabolas there, and its band the interval of N*. Runs far above
    their budget's vertex are triangles on the upper edge.

    Args:
        result: from :func:`scalefit.isoflop`.
        runs: the table it was given, for the unit of the loss; the runs are in the result.
        level: coverage of the intervals of the power law and of the exponents in the title.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as given to ``isoflop``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: N (parameters, logarithmic) across, loss up, a colour for each budget.

    Raises:
        ArgumentError: there are no sweeps, a keyword is neither an option nor a column, the level
            is no number between 0 and 1, or ``ax`` is no Axes.
        DataError: the table lacks a column, or a run that the sweeps have.
    """
    remedy = "Pass result=scalefit.isoflop(runs)"
    instance(result, "result", IsoFlop, wanted="the sweeps of an isoflop", remedy=remedy)
    refuse_unknown(isoflop, None, columns)
    level = checked_level(level)
    unit = "" if runs is None else _checked(result, as_table(runs, **columns)).loss_unit
    ax = single(ax, (7.0, 5.0))
    top = _framed(ax, result)
    log_axis(ax, "x", "count")
    colours = sequence(ax, len(result.budgets))
    sweeps, members = result.sweeps, _members(result)
    for colour, rows, (_, one) in zip(colours, members, result.budgets.iterrows(), strict=True):
        N, loss = sweeps.N[rows], sweeps.loss[rows]
        _points(ax, N, loss, top, colour)
        _curve(ax, result, one, N, loss, colour)
    _power_law(ax, result, level)
    _vertices(ax, result, colours)
    if len(result.removed):
        ax.plot(
            result.removed["N"],
            result.removed["loss"],
            "x",
            markersize=5,
            color=VERMILION,
            label=f"left out ({len(result.removed)} runs)",
            zorder=4,
        )
    ax.set(xlabel=axis_label("N"), ylabel=axis_label("loss", unit))
    title(ax, _headline(result, level))
    legend_below(ax)
    if not is_small(ax):
        budget_bar(ax, result.budgets["budget"].to_numpy(), colours)
    return ax


def _checked(result: IsoFlop, table: LossTable) -> LossTable:
    """The table, if it has the runs of the sweeps."""
    there = set(table.rows)
    absent = [row for row in result.runs.index if row not in there]
    if absent:
        raise DataError(
            f"the table lacks runs of the sweeps: rows {listed(absent)}",
            remedy="Pass the table that isoflop was given",
        )
    return table


def _members(result: IsoFlop) -> list[np.ndarray]:
    """Positions of the runs of each row of the budgets, by size."""
    sweeps = result.sweeps
    place = {row: i for i, row in enumerate(sweeps.rows)}
    found = []
    for budget in result.budgets["budget"]:
        rows = np.array([place[row] for row in result.runs.index[result.runs == budget]], dtype=int)
        found.append(rows[np.argsort(sweeps.N[rows], kind="stable")])
    return found


def _framed(ax: Axes, found: IsoFlop) -> float:
    """Limits that hold the runs; vertices far outside them, and runs far above, may leave.

    Returns:
        The loss above which runs are drawn on the edge.
    """
    N, loss = found.sweeps.N, found.sweeps.loss
    edge = (N.max() / N.min()) ** 0.06
    ax.set_xlim(N.min() / edge, N.max() * edge)
    top = top_loss(loss, _members(found))
    low = float(min(loss.min(), found.budgets["loss"][found.budgets["used"]].min()))
    if low > 0 and top / low > WIDE:
        room = (top / low) ** 0.05
        ax.set_ylim(low / room, top * room)
        log_axis(ax, "y")
    else:
        room = 0.05 * (top - low)
        ax.set_ylim(low - room, top + room)
    return top


def top_loss(loss: np.ndarray, members: list[np.ndarray]) -> float:
    """The most that is shown of losses by budget: one budget must not squash the others."""
    there = [loss[rows] for rows in members if len(rows)]
    heights = [float(np.ptp(one)) for one in there if len(one) > 1]
    tall = TALLEST * float(np.median(heights)) if heights else np.inf
    return float(max(min(one.max(), one.min() + tall) for one in there))


def _points(ax: Axes, N: np.ndarray, loss: np.ndarray, top: float, colour: np.ndarray) -> None:
    """The runs of a budget; those above the top on the edge."""
    small = is_small(ax)
    style: dict[str, Any] = {"color": [colour], "edgecolors": ink(ax), "linewidths": 0.3}
    far = loss > top
    ax.scatter(N[~far], loss[~far], s=6 if small else 16, zorder=3, **style)
    if far.any():
        high = np.full(far.sum(), ax.get_ylim()[1])
        ax.scatter(N[far], high, s=24, marker="^", zorder=3, clip_on=False, **style)


def _curve(
    ax: Axes, found: IsoFlop, one: pd.Series, N: np.ndarray, loss: np.ndarray, colour: np.ndarray
) -> None:
    """The parabola of a budget, dashed beyond its runs; for splines the runs joined."""
    if found.method != "parabola":
        ax.plot(N, loss, color=colour, linewidth=0.8)
    elif one["curvature"] > 0:
        x = np.log([one["N_min"], one["N_max"]])
        top = np.log(one["N"])
        inside = np.linspace(x[0], x[1], CURVE)
        ax.plot(np.exp(inside), _parabola(one, inside), color=colour, linewidth=1.2)
        if not one["interior"]:
            beyond = np.linspace(x[0] if top < x[0] else x[1], top, CURVE)
            ax.plot(
                np.exp(beyond), _parabola(one, beyond), color=colour, linewidth=1.0, linestyle="--"
            )


def _parabola(one: pd.Series, x: np.ndarray) -> np.ndarray:
    """The loss of a budget's parabola at ln N."""
    return np.asarray(one["loss"] + one["curvature"] * (x - np.log(one["N"])) ** 2)


def _power_law(ax: Axes, found: IsoFlop, level: float) -> None:
    """N* of the power law and its interval, at the loss of the parabolas, smooth between them."""
    from scipy.interpolate import PchipInterpolator

    used = found.budgets[found.budgets["used"]]
    budgets = used["budget"].to_numpy()
    sizes = np.log(found.n_law.at(budgets))
    loss = used["loss"].to_numpy(dtype=float)
    if found.method == "parabola":
        loss = np.array(
            [_parabola(one, x) for x, (_, one) in zip(sizes, used.iterrows(), strict=True)]
        )
    path = np.geomspace(budgets[0], budgets[-1], CURVE)
    height = PchipInterpolator(np.log(budgets), loss)(np.log(path))
    low, high = found.n_law.band(path, level)
    colour = ink(ax)
    if np.isfinite(low).all():
        label = f"{100 * level:g} % interval of $N^*$"
        ax.fill_betweenx(
            height, low, high, color=colour, alpha=0.16, linewidth=0, label=label, zorder=1
        )
    label = rf"power law $N^*\propto C^{{{found.n_exponent:.3f}}}$"
    ax.plot(
        found.n_law.at(path), height, color=colour, linewidth=1.5, label=label, zorder=4,
        path_effects=halo(ax, 2.6),
    )  # fmt: skip


def _vertices(ax: Axes, found: IsoFlop, colours: np.ndarray) -> None:
    """The vertices, filled where the power laws go through them."""
    there = (
        np.isfinite(found.budgets["N"].to_numpy())
        & (found.budgets["status"] != "negative_curvature").to_numpy()
    )
    named = set()
    for colour, (_, one) in zip(colours[there], found.budgets[there].iterrows(), strict=True):
        name = "" if one["status"] == "ok" else f", {one['status'].replace('_', ' ')}"
        name = f"vertex{name}" if one["used"] else f"vertex, not in the power law{name}"
        ax.scatter(
            one["N"],
            one["loss"],
            marker="D",
            s=16 if is_small(ax) else 42,
            facecolors=[colour] if one["used"] else paper(ax),
            edgecolors=ink(ax) if one["used"] else [colour],
            linewidths=0.9 if one["used"] else 1.4,
            label=None if name in named else name,
            zorder=5,
        )
        named.add(name)


def budget_bar(ax: Axes, budgets: np.ndarray, colours: np.ndarray) -> None:
    """The colours of budgets on a bar beside the Axes: each labelled, or as many as fit."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = len(budgets)
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    figure = figure_of(ax)
    bar = figure.colorbar(
        ScalarMappable(norm, ListedColormap(colours)), ax=ax, pad=0.015, aspect=26, fraction=0.05,
        shrink=min(0.06 * count + 0.2, 0.9),
    )  # fmt: skip
    every = int(np.ceil(count / 14))
    shown = np.arange(count)[::-every][::-1]
    bar.set_ticks(shown.tolist(), labels=[written(float(budgets[i]), "flop") for i in shown])
    bar.ax.tick_params(length=0, labelsize=small_text(ax))
    bar.outline.set_visible(False)
    bar.set_label(axis_label("C"))


def _headline(found: IsoFlop, level: float) -> list[str]:
    """Both exponents with their intervals."""
    said = []
    for name, law in (("N", found.n_law), ("D", found.d_law)):
        low, high = law.interval(level)
        ends = f" ({float(low):.2f} to {float(high):.2f})" if np.isfinite(low) else ""
        said.append(rf"${name}^*\propto C^{{{float(law.exponent):.3f}}}${ends}")
    used = int(found.budgets["used"].sum())
    return [
        ", ".join(said),
        f"by {found.method}, {used} of {len(found.budgets)} budgets, {100 * level:g} % intervals",
    ]
