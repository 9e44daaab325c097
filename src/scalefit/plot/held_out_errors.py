"""Held-out runs: observed against predicted, and errors against the distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.arguments import instance
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.plot.canvas import several
from scalefit.plot.style import (
    BLUE,
    GREY,
    VERMILION,
    axis_label,
    is_small,
    legend_below,
    picture,
    sequence,
    title,
)
from scalefit.validation.hold_out_result import HoldOut

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["holdout"]

# Folds that the legend names; of more, colours run from the first to the last.
MOST_NAMED = 8

# Width over which runs of one distance are spread, as a share of the largest: of one fold, and of
# several beside each other. Blocks have one distance.
ONE_FOLD, SEVERAL_FOLDS = 0.03, 0.16

# Order of what lies outside its interval.
CROSS = 4

# Room around losses and errors, as a share of their range. Wider intervals leave the picture.
LOSS_ROOM, ERROR_ROOM = 0.06, 0.3


@picture
def holdout(
    result: HoldOut,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    level: float = 0.95,
    ax: Any = None,
) -> np.ndarray:
    """Held-out runs against their predictions, and how errors grow with the distance.

    Args:
        result: from :func:`scalefit.holdout`.
        runs: not needed; taken so that all pictures are called alike.
        level: coverage of the intervals, drawn where there are any.
        ax: two Axes to draw on; new ones by default.

    Returns:
        Two Axes: predicted loss across and observed up, with the interval of a new run; and the
        distance outside the fitted runs across, the error up. Runs outside their interval are
        crosses. A colour for each fold, and folds of one distance are drawn beside each other.

    Raises:
        ArgumentError: there is no result, the level is no number between 0 and 1, or ``ax`` is not
            two Axes.
    """
    remedy = "Pass result=scalefit.holdout(runs)"
    instance(result, "result", HoldOut, wanted="held-out runs", remedy=remedy)
    level = checked_level(level)
    left, right = several(ax, (1, 2), (10.4, 4.8))
    frame = result.to_frame(level)
    frame = frame[np.isfinite(frame["error"])].copy()
    folds = [name for name in result.folds.index if (frame["fold"] == name).any()]
    frame["aside"] = frame["distance"] + _aside(frame)
    for colour, name in zip(_colours(left, len(folds)), folds, strict=True):
        part = frame[frame["fold"] == name]
        _runs(left, right, part, result, colour, name if len(folds) <= MOST_NAMED else "")
    _framed(left, right, frame, result)
    found = result.covered(level)
    said = [f"{result.fit.law.name}: {len(frame)} held-out runs"]
    if found.runs:
        said.append(f"{100 * level:g} % intervals hold {found.inside} of {found.runs}")
    title(left, said)
    if len(frame):
        size = f"{result.rmse:.3g} {result.unit}".rstrip()
        many = ", folds from dark to light" * (len(folds) > MOST_NAMED)
        title(right, [f"error by distance{many}", f"root mean square {size}"])
    if 1 < len(folds) <= MOST_NAMED:
        legend_below(right)
    _crossed(left)
    return np.array([left, right])


def _colours(ax: Axes, count: int) -> Any:
    """A colour for each fold."""
    return [BLUE] if count == 1 else sequence(ax, count)


def _crossed(ax: Axes) -> None:
    """What crosses, bars and the line mean."""
    from matplotlib.lines import Line2D

    bar = Line2D([], [], color=GREY, label="interval of a new run")
    style: dict[str, Any] = {
        "linestyle": "none",
        "marker": "X",
        "color": GREY,
        "markeredgecolor": VERMILION,
    }
    outside = Line2D([], [], label="run outside its interval", **style)
    drawn = [item for item in ax.collections if item.get_zorder() == CROSS]
    bars = any(type(item).__name__ == "LineCollection" for item in ax.collections)
    legend_below(ax, handles=[*([bar] if bars else []), *([outside] if drawn else [])])


def _runs(
    left: Axes, right: Axes, part: pd.DataFrame, result: HoldOut, colour: Any, name: str
) -> None:
    """The runs of one fold on both Axes, with their intervals."""
    predicted, observed = part["predicted"].to_numpy(), part["observed"].to_numpy()
    far, error = part["aside"].to_numpy(), part["error"].to_numpy()
    low, high = part["low"].to_numpy(), part["high"].to_numpy()
    known = np.isfinite(low) & np.isfinite(high)
    left.vlines(predicted[known], low[known], high[known], color=colour, linewidth=1.0, alpha=0.55)
    ends = [_error(end, predicted, result)[known] for end in (low, high)]
    right.vlines(far[known], *ends, color=colour, linewidth=1.0, alpha=0.55)
    outside = known & ((observed < low) | (observed > high))
    for at, marker, label in ((~outside, "o", name), (outside, "X", "")):
        for ax, across, up in ((left, predicted, observed), (right, far, error)):
            if at.any():
                ax.scatter(
                    across[at],
                    up[at],
                    marker=marker,
                    s=(18 if marker == "o" else 40) * (0.45 if is_small(ax) else 1.0),
                    color=colour,
                    edgecolors=GREY if marker == "o" else VERMILION,
                    linewidths=0.4 if marker == "o" else 1.0,
                    label=label or None,
                    zorder=3 if marker == "o" else CROSS,
                )


def _aside(frame: pd.DataFrame) -> np.ndarray:
    """Moves aside that keep runs of one distance apart, shape (rows,)."""
    if not len(frame):
        return np.empty(0)
    place = frame.groupby("fold").cumcount().to_numpy()
    count = frame.groupby("fold")["fold"].transform("size").to_numpy()
    fold = pd.factorize(frame["fold"])[0]
    width = ONE_FOLD if fold.max() == 0 else SEVERAL_FOLDS
    share = (fold + (place + 0.5) / count) / (fold.max() + 1)
    return np.asarray(width * _reach(frame) * (share - 0.5))


def _reach(frame: pd.DataFrame) -> float:
    """Width of the axis of distances, decades."""
    return max(float(frame["distance"].max()), 0.1) if len(frame) else 0.1


def _error(loss: np.ndarray, predicted: np.ndarray, result: HoldOut) -> np.ndarray:
    """Error that a run of some loss would have."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = 100 * (np.log(loss) - np.log(predicted))
    return np.asarray(logs if result.unit == "%" else loss - predicted)


def _framed(left: Axes, right: Axes, frame: pd.DataFrame, result: HoldOut) -> None:
    """Lines of no error, names of the axes."""
    response = axis_label(result.fit.law.response, result.fit.loss_unit)
    if len(frame):
        both = frame[["predicted", "observed"]].to_numpy()
        ends = [both.min(), both.max()]
        left.plot(ends, ends, color=GREY, linewidth=1.0, zorder=0)
        left.set_ylim(*_roomy(both, LOSS_ROOM))
        right.set_ylim(*_roomy(np.append(frame["error"], 0.0), ERROR_ROOM))
    right.set_xlim(-0.04 * _reach(frame), 1.1 * _reach(frame))
    right.axhline(0.0, color=GREY, linewidth=1.0, zorder=0)
    left.set_xlabel(f"predicted {response}")
    left.set_ylabel(f"observed {response}")
    far = "outside the runs" if is_small(right) else "distance outside the fitted runs"
    right.set_xlabel(f"{far} (decades)")
    said = "ln(observed / predicted)" if result.unit == "%" else "observed - predicted"
    right.set_ylabel(axis_label("error" if is_small(right) else said, result.unit))


def _roomy(values: np.ndarray, share: float) -> tuple[float, float]:
    """Range of values with room around it."""
    low, high = float(values.min()), float(values.max())
    room = share * (high - low)
    return low - room, high + room
