"""IsoFLOP sweeps: the runs of each budget, the parabola through them and its vertex."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.arguments import instance
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError, listed
from scalefit.plot.canvas import single, with_unit
from scalefit.results.prediction import refuse_unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["isoflop"]

CURVE = 200


def isoflop(
    result: IsoFlop, runs: LossTable | pd.DataFrame, *, ax: Axes | None = None, **columns: str
) -> Axes:
    """Loss against model size, a curve for each budget, with its vertex.

    Parabolas are dashed where they leave their runs. Vertices are filled where the power laws go
    through them, hollow where not; runs that a rule left out are crosses.

    Args:
        result: from :func:`scalefit.isoflop`.
        runs: the table it was given.
        ax: Axes to draw on; new ones by default.
        **columns: headers, as given to ``isoflop``, where ``runs`` is a DataFrame.

    Returns:
        The Axes: N (parameters, logarithmic) across, loss up, a colour for each budget.

    Raises:
        ArgumentError: there are no sweeps, a keyword is neither an option nor a column, or ``ax``
            is no Axes.
        DataError: the table lacks a column, or a run that the sweeps have.
    """
    import matplotlib as mpl

    remedy = "Pass result=scalefit.isoflop(runs)"
    instance(result, "result", IsoFlop, wanted="the sweeps of an isoflop", remedy=remedy)
    refuse_unknown(isoflop, None, columns)
    table = as_table(runs, **columns)
    place = {row: i for i, row in enumerate(table.rows)}
    absent = [row for row in result.runs.index if row not in place]
    if absent:
        raise DataError(
            f"the table lacks runs of the sweeps: rows {listed(absent)}",
            remedy="Pass the table that isoflop was given",
        )
    N, loss = table.column("N"), table.column("loss")
    ax = single(ax, (7.4, 5.0))
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.92, len(result.budgets)))
    for colour, (_, one) in zip(colours, result.budgets.iterrows(), strict=True):
        rows = [place[row] for row in result.runs.index[result.runs == one["budget"]]]
        ax.scatter(
            N[rows], loss[rows], s=16, color=colour, edgecolors="black", linewidths=0.3, zorder=3
        )
        _curve(ax, result, one, N[rows], loss[rows], colour)
    _vertices(ax, result, colours)
    if len(result.removed):
        ax.scatter(
            result.removed["N"],
            result.removed["loss"],
            marker="x",
            s=26,
            color="crimson",
            linewidths=1.0,
            label=f"left out ({len(result.removed)} runs)",
            zorder=4,
        )
    ax.set_xscale("log")
    _framed(ax, result, N, loss)
    ax.set_xlabel("N, parameters")
    ax.set_ylabel(with_unit("loss", table.loss_unit))
    ax.set_title(
        f"N* grows as C^{result.n_exponent:.3f}, D* as C^{result.d_exponent:.3f} ({result.method})",
        fontsize=10,
    )
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _curve(
    ax: Axes, found: IsoFlop, one: pd.Series, N: np.ndarray, loss: np.ndarray, colour: np.ndarray
) -> None:
    if found.method != "parabola":
        order = np.argsort(N)
        ax.plot(N[order], loss[order], color=colour, linewidth=0.8)
    elif one["curvature"] > 0:
        x = np.log([one["N_min"], one["N_max"]])
        top = np.log(one["N"])

        def parabola(x: np.ndarray) -> np.ndarray:
            return np.asarray(one["loss"] + one["curvature"] * (x - top) ** 2)

        inside = np.linspace(x[0], x[1], CURVE)
        ax.plot(np.exp(inside), parabola(inside), color=colour, linewidth=1.2)
        if not one["interior"]:
            beyond = np.linspace(x[0] if top < x[0] else x[1], top, CURVE)
            ax.plot(np.exp(beyond), parabola(beyond), color=colour, linewidth=1.0, linestyle="--")


def _vertices(ax: Axes, found: IsoFlop, colours: np.ndarray) -> None:
    there = (
        np.isfinite(found.budgets["N"].to_numpy())
        & (found.budgets["status"] != "negative_curvature").to_numpy()
    )
    shown, used = found.budgets[there], found.budgets["used"].to_numpy()
    line = found.budgets[used]
    ax.plot(line["N"], line["loss"], color="0.25", linewidth=0.9, zorder=4)
    for colour, (_, one) in zip(colours[there], shown.iterrows(), strict=True):
        doubt = "" if one["status"] == "ok" else f", {one['status'].replace('_', ' ')}"
        ax.scatter(
            one["N"],
            one["loss"],
            marker="D",
            s=46,
            facecolors=[colour] if one["used"] else "white",
            edgecolors="black",
            linewidths=1.0,
            label=f"{one['budget']:.3g} FLOP{doubt}",
            zorder=5,
        )


def _framed(ax: Axes, found: IsoFlop, N: np.ndarray, loss: np.ndarray) -> None:
    """Vertices far outside the runs are allowed to leave the picture; the runs are not."""
    edge = (N.max() / N.min()) ** 0.06
    ax.set_xlim(N.min() / edge, N.max() * edge)
    shown = np.concatenate([loss, found.budgets["loss"][found.budgets["used"]]])
    room = 0.05 * (shown.max() - shown.min())
    ax.set_ylim(shown.min() - room, shown.max() + room)
