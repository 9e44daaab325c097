"""Laws side by side on the runs that were held out: the error of each run by each law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.arguments import choice, instance, refused
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError, listed
from scalefit.plot.canvas import several
from scalefit.plot.drawn_lines import quantity
from scalefit.plot.residual_points import frame_height, points_within
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    axis_label,
    figure_of,
    legend_below,
    log_axis,
    paper,
    picture,
    sequence,
    small_text,
)
from scalefit.reporting.numbers import shown
from scalefit.results.prediction import refuse_unknown
from scalefit.validation.comparison_result import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["held_out"]

# Panels in a row, and folds that the legend names.
IN_A_ROW, MOST_NAMED = 4, 8
# Distances, and budgets in the logarithm, that differ by less are the same.
SAME = 0.05
ORDER = "held-out runs, in the order of the folds"
AGAINST = ("C", "N", "D", "D/N")


@picture
def held_out(
    result: Comparison,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    against: str | None = None,
    level: float = 0.95,
    ax: Axes | Sequence[Axes] | None = None,
    **columns: str,
) -> np.ndarray:
    """Errors of every law run by run, on the runs that were held out of its fit.

    Points evenly around zero are a law that predicts; points that drift away from it, one whose
    form is wrong. Errors far off are triangles on the edge. The dashed line is the mean.

    Args:
        result: from :func:`scalefit.compare`.
        runs: the table that was compared: errors are then drawn against its compute, or size where
            one budget was held out. Without it they are drawn against the distance outside the
            runs of the fit.
        against: with ``runs``, what is across: ``"C"``, ``"N"``, ``"D"`` or ``"D/N"``.
        level: coverage of the intervals of the differences, for the verdicts.
        ax: Axes to draw on, one for each law; new ones by default.
        **columns: headers, as for ``compare``, where ``runs`` is a DataFrame.

    Returns:
        The Axes, one for each law, the lowest error first, on the same scales; shape (laws,) or in
        rows of four. Up is observed less predicted, in percent where residuals are logarithmic or
        relative. A colour for each fold.

    Raises:
        ArgumentError: there is no comparison, ``against`` is no such column or is given without
            ``runs``, the level is no number between 0 and 1, or ``ax`` are not as many Axes.
        DataError: the table lacks a column, or a run that was held out.
    """
    from matplotlib.ticker import MaxNLocator

    remedy = "Pass result=scalefit.compare(runs, ['chinchilla', 'farseer'])"
    instance(result, "result", Comparison, wanted="a comparison of laws", remedy=remedy)
    share = checked_level(level)
    refuse_unknown(held_out, None, columns)
    if against is not None and runs is None:
        raise refused("against", against, "of use without runs", "Pass the runs, as runs=table")
    count, frame = len(result.laws), result.held_out
    across = min(count, IN_A_ROW)
    shape = (-(-count // across), across)
    axes = several(ax, shape, (3.1 * across + 0.5, 3.0 * shape[0] + 0.4))
    x, label, logarithmic = _across(frame, runs, against, columns)
    relative = result.objective.needs_positive_loss
    errors = (100.0 if relative else 1.0) * frame[list(result.laws)].to_numpy(dtype=np.float64)
    top = frame_height(errors[np.isfinite(errors)]) if np.isfinite(errors).any() else 1.0
    said = result.to_frame(share)
    flat = np.ravel(axes)
    for place, (law, row) in enumerate(said.iterrows()):
        one = flat[place]
        _errors(one, frame, x, errors[:, place], top)
        one.set_title(_said(row, str(law), relative, errors[:, place]),
                      fontsize=small_text(one) + 1)  # fmt: skip
        if logarithmic:
            room = max(x.max() / x.min(), 10.0) ** 0.06
            one.set_xlim(x.min() / room, x.max() * room)
            log_axis(one, "x", "flop" if label.startswith("$C$") else "count")
        elif label == ORDER:
            one.xaxis.set_major_locator(MaxNLocator(integer=True))
        one.set_ylim(-top, top)
        if place >= count - across:
            one.set_xlabel(label)
        if place % across == 0:
            one.set_ylabel("observed \u2212 predicted" + ", %" * relative)
        else:
            one.tick_params(labelleft=False)
    for one in flat[count:]:
        one.set_axis_off()
    _explained(flat, frame, ax is None)
    return axes


def _across(
    frame: pd.DataFrame, runs: Any, against: str | None, columns: dict[str, str]
) -> tuple[np.ndarray, str, bool]:
    """Where each held-out run is across, the name of that, and whether it is logarithmic.

    Raises:
        ArgumentError: there is no such column.
        DataError: the table lacks a run.
    """
    if runs is None:
        reach = frame["reach"].to_numpy(dtype=np.float64)
        if len(reach) and np.ptp(reach) > SAME:
            return reach, "distance outside the fitted runs, decades", False
        # All are as far out: one after the other, as they were held out.
        return np.arange(1.0, len(frame) + 1), ORDER, False
    table = as_table(runs, **columns)
    own = {column: table.column(column) for column in ("N", "D", "C") if column in table}
    place = {row: i for i, row in enumerate(table.rows)}
    absent = [row for row in frame["row"] if row not in place]
    if absent:
        raise DataError(
            f"the table lacks runs that were held out: rows {listed(absent)}",
            remedy="Pass the table that compare was given",
        )
    rows = [place[row] for row in frame["row"]]
    name = "C" if against is None else choice(against, "against", AGAINST)
    needed = ["N", "D"] if name == "D/N" or (name == "C" and "C" not in own) else [name]
    table.require(needed)
    x = np.asarray(quantity(name, own))[rows]
    if against is None and "N" in own and len(x) and x.max() < x.min() * (1 + SAME):
        # One budget was held out: its runs differ by their size.
        name, x = "N", own["N"][rows]
    unit = "FLOP, as 6ND" if name == "C" and "C" not in own else None
    return x, axis_label(name, unit), bool(len(x) and (x > 0).all())


def _errors(ax: Axes, frame: pd.DataFrame, x: np.ndarray, errors: np.ndarray, top: float) -> None:
    """Errors of one law, and their mean."""
    known = np.isfinite(errors)
    names = list(dict.fromkeys(frame["fold"]))
    ax.axhline(0.0, color=GREY, linewidth=1.0, zorder=0)
    for colour, name in zip(_colours(ax, len(names)), names, strict=True):
        here = known & (frame["fold"] == name).to_numpy()
        if here.any():
            points_within(ax, x[here], errors[here], top, s=20, color=[colour], linewidths=0.4,
                          edgecolors=paper(ax), zorder=2)  # fmt: skip
    if known.any():
        mean = float(np.mean(errors[known]))
        ax.axhline(np.clip(mean, -top, top), color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)),
                   zorder=1)  # fmt: skip


def _colours(ax: Axes, count: int) -> Any:
    """A colour for each fold."""
    return [BLUE] if count == 1 else sequence(ax, count)


def _said(row: pd.Series, law: str, relative: bool, errors: np.ndarray) -> str:
    """The law, its error and what it is worth."""
    kind: Any = "percent" if relative else "number"
    words = str(row["verdict"]).partition(":")[0]
    if words == "worse":
        words = f"worse by {shown(row['worse_by'], kind).value}"
    known = errors[np.isfinite(errors)]
    mean = (
        f", mean {np.mean(known):+.2g}{' %' * relative}".replace("-", "\u2212")
        if len(known)
        else ""
    )
    return f"{law}: {words}\nRMSE {shown(row['error'], kind).value}{mean}"


def _explained(axes: np.ndarray, frame: pd.DataFrame, whole: bool) -> None:
    """What colours and dashes mean, below the panels."""
    from matplotlib.lines import Line2D

    first, names = axes[0], list(dict.fromkeys(frame["fold"]))
    colours = _colours(first, len(names))
    shown_folds = [0, len(names) - 1] if len(names) > MOST_NAMED else range(len(names))
    dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 5}
    handles: list[Any] = [
        Line2D([], [], color=colours[place], label=str(names[place]), **dot)
        for place in shown_folds
    ]
    handles.append(Line2D([], [], color=VERMILION, linestyle=(0, (4, 2)), label="mean"))
    if whole:
        figure = figure_of(first)
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    else:
        legend_below(axes[-1], handles=handles)
