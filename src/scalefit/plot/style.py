"""One look for all pictures: sizes, colours that the colour-blind tell apart, names of the axes.

The style is a context around each picture: no setting of the session changes. It sets sizes and
leaves the colours of the page to the session, so that pictures are right on white and on black.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from scalefit.frozen import Frozen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    "ink",
    "is_dark",
    "legend_below",
    "paper",
    "picture",
    "sequence",
    "symbol",
    "title",
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
# Widths of Axes below which text is smaller, inches.
NARROW, SMALL = 4.2, 2.8
# Of a legend below the Axes: its distance from them, points, and the room of one entry, inches.
BELOW, ENTRY = 34.0, 2.5
# Characters of a title in an inch.
CHARACTERS = 14.0


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


def width_of(ax: Axes) -> float:
    """Width of the Axes, inches."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # Axes that are drawn on belong to a figure.
    return float(ax.get_position().width * figure.get_figwidth())


def small_text(ax: Axes) -> float:
    """Size of the text of legends and notes in the Axes, points."""
    width = width_of(ax)
    return 6.5 if width < SMALL else 7.5 if width < NARROW else 8.5


def title(ax: Axes, lines: str | Iterable[str]) -> None:
    """A title of one or more lines, broken where the Axes end and smaller in small ones."""
    lines = [lines] if isinstance(lines, str) else list(lines)
    size = small_text(ax) + 1.5
    room = max(int(width_of(ax) * CHARACTERS * 9.5 / size), 16)
    broken = [part for line in lines for part in textwrap.wrap(line, room) or [""]]
    ax.set_title("\n".join(broken), fontsize=size)


def legend_below(ax: Axes, **options: Any) -> None:
    """A legend under the Axes and their label, where it hides nothing, in the columns that fit."""
    from matplotlib.transforms import ScaledTranslation

    figure = ax.get_figure(root=True)
    assert figure is not None
    down = ScaledTranslation(0, -BELOW / 72, figure.dpi_scale_trans)
    handles = ax.get_legend_handles_labels()[0]
    count = len(options.get("handles", handles))
    if not count:
        return
    columns = max(1, min(count, int(width_of(ax) / (ENTRY * small_text(ax) / 8.5))))
    options = {"ncols": columns, "fontsize": small_text(ax), **options}
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + down,
        borderaxespad=0.0,
        **options,
    )
