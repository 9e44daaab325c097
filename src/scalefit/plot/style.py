"""One look for all pictures: sizes, colours that the colour-blind tell apart, names of the axes.

The style is a context around each picture: no setting of the session changes. It sets sizes and
leaves the colours of the page to the session, so that pictures are right on white and on black.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np

from scalefit.frozen import Frozen
from scalefit.reporting.numbers import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "axis_label",
    "background",
    "band",
    "diverging",
    "halo",
    "ink",
    "is_dark",
    "is_small",
    "label_places",
    "label_points",
    "legend_below",
    "log_axis",
    "paper",
    "picture",
    "prepared",
    "remark",
    "sequence",
    "small_text",
    "spread",
    "symbol",
    "text_width",
    "title",
    "written",
]

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color): told apart by all kinds of colour
# vision, and seen on white and on black. BLUE is the fitted surface, VERMILION what it is compared
# with, ORANGE an optimum, GREY what lies behind.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, GREY = "#56B4E9", "#CC79A7", "#8A8A8A"

SIZES: Frozen[Any, Any] = Frozen(
    {
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "axes.labelsize": 9.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "legend.handlelength": 1.8,
        "legend.columnspacing": 1.4,
        "lines.linewidth": 1.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "mathtext.fontset": "dejavusans",
        "savefig.bbox": "standard",
    }
)

UNITS = Frozen(
    {
        "N": "parameters",
        "D": "tokens",
        "C": "FLOP",
        "D/N": "tokens per parameter",
        "N*": "parameters",
        "D*": "tokens",
    }
)
GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|chi|psi"
    "|omega",
    re.IGNORECASE,
)
# What is typeset: a letter or a Greek one, with an index of a few letters; a ratio of letters.
SYMBOL = re.compile(rf"(?P<base>{GREEK.pattern}|\w|\w/\w)(?:_(?P<index>\w{{1,3}}))?", re.IGNORECASE)
# A word of a line, formulas whole.
WORD = re.compile(r"(?:\$[^$]*\$|[^\s$])+")
# Widths of Axes below which text is smaller, and a height below which they are small, inches.
NARROW, SMALL, LOW = 4.2, 2.8, 1.7
# Of a legend below the Axes: its distance from them, points, and what an entry has beside its text
# (its line and gaps), in sizes of the text.
BELOW, HANDLE = 40.0, 4.0
# Room of the label of a tick across and up, in sizes of its text.
ACROSS, UP = 4.6, 2.2
# Letters of counts.
COUNTS = ((1.0, ""), (1e3, "K"), (1e6, "M"), (1e9, "B"), (1e12, "T"))
# Digits of a logarithmic axis that are labelled, from many to few.
DIGITS = (
    tuple(np.arange(10, 100, 5) / 10),
    tuple(range(1, 10)),
    (1, 2, 3, 5),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def picture(function: Callable[P, R]) -> Callable[P, R]:
    """A function that draws, in the style of all pictures."""

    @functools.wraps(function)
    def drawn(*arguments: P.args, **keywords: P.kwargs) -> R:
        import matplotlib as mpl

        # These alone are put back: a notebook's backend, loaded by its first picture, sets others.
        before = {name: mpl.rcParams[name] for name in SIZES}
        mpl.rcParams.update(SIZES)
        try:
            return function(*arguments, **keywords)
        finally:
            mpl.rcParams.update(before)

    return drawn


def symbol(name: str) -> str:
    """A quantity or parameter as it is typeset: ``alpha_D[fp8]`` becomes Greek with an index.

    Names that are no symbol, as ``loss`` or ``w_bits``, stay as they are.
    """
    bare, bracket, level = name.partition("[")
    found = SYMBOL.fullmatch(bare.removesuffix("*"))
    if not found:
        return name
    base, index = found["base"], found["index"]
    shown = rf"\{base}" if GREEK.fullmatch(base) else base
    lower = rf"_{{\mathrm{{{index}}}}}" if index else ""
    star = "^*" if bare.endswith("*") else ""
    return f"${shown}{lower}{star}$" + (f" [{level}" if bracket else "")


def axis_label(name: str, unit: str | None = None) -> str:
    """What an axis shows, as ``N (parameters)``, typeset, with the unit where it is known.

    Args:
        name: a quantity of the field, a column, or words.
        unit: of its numbers; of N, D, C and D/N by default as they are counted.
    """
    unit = UNITS.get(name, "") if unit is None else unit
    return f"{symbol(name)} ({unit})" if unit else symbol(name)


def background(ax: Axes) -> tuple[float, float, float]:
    """The colour that is behind what is drawn, each of red, green and blue within 0 and 1."""
    from matplotlib.colors import to_rgba

    below = np.array([1.0, 1.0, 1.0])
    for colour in (ax.figure.get_facecolor(), ax.get_facecolor()):
        *own, opacity = to_rgba(colour)
        below = opacity * np.array(own) + (1 - opacity) * below
    red, green, blue = below
    return float(red), float(green), float(blue)


def is_dark(ax: Axes) -> bool:
    """Whether white is seen better there than black."""
    return bool(np.dot(background(ax), (0.2126, 0.7152, 0.0722)) < 0.45)


def ink(ax: Axes) -> str:
    """Black on light Axes, white on dark ones."""
    return "white" if is_dark(ax) else "black"


def paper(ax: Axes) -> str:
    """The opposite of the ink, as for the edges of markers."""
    return "black" if is_dark(ax) else "white"


def sequence(ax: Axes, count: int) -> np.ndarray:
    """Colours of things in an order, as sizes or budgets, shape (count, 4), seen on the Axes."""
    import matplotlib as mpl

    ends = (0.25, 1.0) if is_dark(ax) else (0.0, 0.85)
    return np.asarray(mpl.colormaps["viridis"](np.linspace(*ends, max(count, 1))[:count]))


def band(ax: Axes, colour: Any, **options: Any) -> dict[str, Any]:
    """How an interval is filled: lightly on white, more strongly on black."""
    return {"color": colour, "alpha": 0.42 if is_dark(ax) else 0.22, "linewidth": 0.0, **options}


def diverging(ax: Axes) -> Any:
    """Colours from below (blue) over none (grey) to above (vermilion), a colormap."""
    from matplotlib.colors import LinearSegmentedColormap

    middle = "#3c3c3c" if is_dark(ax) else "#f4f4f4"
    return LinearSegmentedColormap.from_list("scalefit", [BLUE, SKY, middle, "#F5A26B", VERMILION])


def halo(ax: Axes, width: float = 2.0) -> list[Any]:
    """Path effects that set text or a line off from what lies behind it."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=paper(ax))]


def written(value: float, kind: Kind = "number") -> str:
    """A number of a picture, three digits: counts as 36.9B, large numbers with a typeset power."""
    if kind == "count":
        for factor, letter in COUNTS:
            if factor <= value < 1000 * factor:
                return f"{float(f'{value / factor:.3g}'):g}{letter}"
    digits, _, power = f"{value:.3g}".partition("e")
    if not power:
        return digits
    if 0 < int(power) < 5 and kind == "number":
        return f"{float(f'{value:.3g}'):.0f}"
    times = "" if digits == "1" else rf"{digits}\times"
    return rf"${times}10^{{{int(power)}}}$"


def log_axis(ax: Axes, which: Literal["x", "y"], kind: Kind = "number") -> None:
    """Make an axis logarithmic between its limits, with as many labels as there is room for.

    Args:
        ax: the Axes; their limits are those that stay.
        which: ``x`` or ``y``.
        kind: of its numbers: ``count`` labels 1B, ``flop`` a power of ten.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = ax.xaxis if which == "x" else ax.yaxis
    ax.set(**{f"{which}scale": "log"})
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    size = tick_size(ax)
    ax.tick_params(axis=which, which="both", labelsize=size)
    width, height = extent(ax)
    room = (width / ACROSS if which == "x" else height / UP) * 72 / size
    ends = np.log10([low, high])
    base = 10.0 ** max(1, int(np.ceil(np.ptp(ends) / max(room, 1.0))))
    digits = (1.0,) if base > 10 else _digits(low, high, room)
    axis.set_major_locator(LogLocator(base, subs=digits, numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value, kind)))
    subs = tuple(range(2, 10)) if np.ptp(ends) < 10 else (1.0,)
    axis.set_minor_locator(LogLocator(10.0, subs=subs, numticks=99))
    axis.set_minor_formatter(NullFormatter())
    ax.set(**{f"{which}lim": (low, high)})


def _digits(low: float, high: float, room: float) -> tuple[float, ...]:
    """The digits of labels, as many as fit, or few where too many do."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for digits in DIGITS:
        places = np.outer(powers, digits).ravel()
        # Room is for labels at equal distances, and theirs are not.
        gaps = np.diff(np.log10(np.sort(places)))
        inside = np.count_nonzero((places >= low) & (places <= high))
        if inside <= room and gaps.min() * room >= 0.8 * np.log10(high / low):
            return digits if inside > 1 else DIGITS[-2]
    return (1.0,)


def tick_text(value: float, kind: Kind) -> str:
    """The label of a tick."""
    return f"{value:.6g}" if kind == "number" and 1e-4 < value < 1e6 else written(value, kind)


def prepared(ax: Axes) -> Axes:
    """Axes with text of the size that they have room for, and without a frame."""
    size = small_text(ax)
    ax.tick_params(which="both", labelsize=min(size, 8.5))
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(size + (0.5 if is_small(ax) else 1.0))
        axis.offsetText.set_fontsize(size)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def figure_of(ax: Axes) -> Figure:
    """The whole figure that the Axes are on, and no part of it."""
    # The second is that of a part; of a whole figure it is itself.
    figure = ax.figure.figure
    assert figure is not None
    return figure


def extent(ax: Axes) -> tuple[float, float]:
    """Width and height of the Axes, inches."""
    figure = figure_of(ax)
    box = ax.get_position()
    return float(box.width * figure.get_figwidth()), float(box.height * figure.get_figheight())


def width_of(ax: Axes) -> float:
    """Width of the Axes, inches."""
    return extent(ax)[0]


def is_small(ax: Axes) -> bool:
    """Whether the Axes are one of many: no legend fits below them, nor a title of several lines."""
    width, height = extent(ax)
    return width < SMALL or height < LOW


def small_text(ax: Axes) -> float:
    """Size of the text of legends and notes in the Axes, points."""
    width = width_of(ax)
    return 6.5 if is_small(ax) else 7.5 if width < NARROW else 8.5


def tick_size(ax: Axes) -> float:
    """Size of the labels of ticks, points."""
    return min(small_text(ax), 8.5)


def text_width(text: str, size: float) -> float:
    """Width of one line of text, formulas included, points; infinite where it cannot be set."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    try:
        found = text_to_path.get_text_width_height_descent(
            text, FontProperties(size=size), "$" in text
        )
    except ValueError:  # No formula that matplotlib can set.
        return float("inf")
    return float(found[0])


def broken(line: str, room: float, size: float) -> list[str]:
    """A line broken between words where it would be wider than the room, points."""
    lines = [""]
    for word in WORD.findall(line):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def title(ax: Axes, lines: str | Iterable[str], *, most: int = 6) -> None:
    """A title of one or more lines, broken where the Axes end; in small Axes of the first only."""
    lines = [lines] if isinstance(lines, str) else list(lines)
    size = small_text(ax) + 1.5
    if is_small(ax):
        lines, size = lines[:1], size - 0.5
    room = 72 * width_of(ax) * 1.04
    found = [part for line in lines for part in broken(line, room, size)]
    ax.set_title("\n".join(found[: 2 if is_small(ax) else most]), fontsize=size)


def remark(ax: Axes, text: str, where: str = "lower left", **options: Any) -> Any:
    """A few words within the Axes, in a corner."""
    up, across = where.split()
    x, y = {"left": 0.02, "right": 0.98, "center": 0.5}[across], {"lower": 0.03, "upper": 0.97}[up]
    options = {"fontsize": small_text(ax), "path_effects": halo(ax), "color": ink(ax), **options}
    return ax.text(
        x, y, text, transform=ax.transAxes, ha=across, va={"lower": "bottom", "upper": "top"}[up],
        **options,
    )  # fmt: skip


def label_places(
    ax: Axes,
    grid: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
    levels: np.ndarray,
    *,
    right: float = 0.93,
    top: float = 0.96,
) -> list[tuple[float, float]]:
    """Where to label contours: at a line near the right edge, and at one near the upper.

    Args:
        ax: the Axes.
        grid: places across, shape (m,), and up, shape (n,), at equal distances on the Axes.
        values: at each, shape (n, m).
        levels: of the contours.
        right: share of the width at which the first line is.
        top: share of the height of the second, which small Axes lack: upright text leaves them.
    """
    x, y = grid
    column, row = int(right * len(x)), int(top * len(y))
    width, height = extent(ax)
    apart = (4.0 if is_small(ax) else 2.4) * small_text(ax) / 72
    found: list[tuple[float, float]] = []
    for upright in (False,) if is_small(ax) else (False, True):
        along, room = (values[row, :], width) if upright else (values[:, column], height)
        last = -np.inf
        for place in sorted(
            int(np.flatnonzero(turns)[0])
            for turns in (np.diff(np.sign(along - level)) != 0 for level in levels)
            if turns.any()
        ):
            share = place / len(along)
            # Not in the corner, where a frontier or a target may lie.
            if 0.07 < share < 0.72 and share * room - last >= apart:
                last = share * room
                found.append((x[place], y[row]) if upright else (x[column], y[place]))
    return found


def label_points(ax: Axes, points: Iterable[tuple[float, float, str]]) -> None:
    """Write beside points, each on the first side where nothing is written yet."""
    size = small_text(ax) - 0.5
    taken: list[tuple[float, float, float, float]] = []
    scale = 72.0 / ax.figure.dpi
    for x, y, text in points:
        across, up = scale * ax.transData.transform((x, y))
        width = text_width(text, size)
        for align, side in (("left", 1), ("left", -1), ("right", 1), ("right", -1)):
            left = across + 7 if align == "left" else across - 7 - width
            low = up + 5 * side - (0 if side > 0 else size)
            box = (left, low, left + width, low + size)
            if not any(
                box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
                for other in taken
            ):
                break
        taken.append(box)
        ax.annotate(
            text, (x, y), xytext=(7 if align == "left" else -7, 5 * side),
            textcoords="offset points", ha=align, va="bottom" if side > 0 else "top",
            fontsize=size, path_effects=halo(ax), zorder=6,
        )  # fmt: skip


def spread(places: np.ndarray, apart: float) -> np.ndarray:
    """Places in rising order moved as little as it takes to be so far apart."""
    moved = np.array(places, dtype=np.float64)
    # Each crowd is centred on what it labels; crowds that meet become one.
    crowds = [[i] for i in range(len(moved))]
    i = 0
    while i < len(crowds):
        crowd = crowds[i]
        middle = float(np.mean(np.asarray(places)[crowd]))
        moved[crowd] = middle + apart * (np.arange(len(crowd)) - 0.5 * (len(crowd) - 1))
        if i and moved[crowd[0]] - moved[crowds[i - 1][-1]] < apart * (1 - 1e-9):
            crowds[i - 1 : i + 1] = [[*crowds[i - 1], *crowd]]
            i -= 1
        else:
            i += 1
    return moved


def legend_below(ax: Axes, **options: Any) -> None:
    """A legend under the Axes and their label, where it hides nothing, in the columns that fit.

    Small Axes have none. Where the figure makes no room below (it has no constrained layout), it
    lies within the Axes.
    """
    from matplotlib.transforms import ScaledTranslation

    figure = figure_of(ax)
    labels = ax.get_legend_handles_labels()[1]
    labels = [item.get_label() for item in options.get("handles", [])] or labels
    if not labels or is_small(ax):
        return
    size = small_text(ax)
    options = {"fontsize": size, **options}
    if figure.get_layout_engine() is None:
        ax.legend(**{"loc": "best", "frameon": True, "framealpha": 0.85, **options})
        return
    down = ScaledTranslation(0, -BELOW / 72, figure.dpi_scale_trans)
    widest = max(text_width(label, size) for label in labels) + HANDLE * size
    columns = max(1, min(len(labels), int(72 * 1.25 * width_of(ax) / widest)))
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + down,
        borderaxespad=0.0,
        **{"ncols": columns, **options},
    )
