"""Every picture is right in a figure of its own, in a small one among others, on white and black.

What is checked is what a reader sees go wrong: text that leaves the figure, lies on other text or
on a legend, or cannot be read against what is behind it; and what a session must not find changed.
"""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend
from matplotlib.text import Text

import scalefit as sf
from scalefit.plot.style import background

# Overlap that the eye does not see, pixels.
SEEN = 2.0
# Contrast of text with what is behind it, as the Web Content Accessibility Guidelines count it.
LEAST_CONTRAST = 2.0


@pytest.fixture(scope="module")
def found():
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=3)
    fit = sf.fit(runs, robust="none", certify=False)
    draws = sf.covariance(fit, runs).draws(60, seed=4)
    isoflop = sf.isoflop(runs)
    return {
        "runs": runs,
        "fit": fit,
        "draws": draws,
        "isoflop": isoflop,
        "bias": sf.bias(draws, isoflop, runs, 1e24, rules=(), objectives=False),
        "allocation": sf.allocate(draws, np.geomspace(1e18, 1e24, 12)),
        "region": sf.near_optimal(draws, 1e24, overhead=0.05),
        "profile": sf.profile(fit, runs, "alpha"),
        "diagnosis": sf.diagnose(fit, runs),
        "holdout": sf.holdout(runs, scheme="rolling", robust="none"),
        "comparison": sf.compare(runs, ["chinchilla", "chinchilla_tied"], robust="none"),
        "next_runs": sf.next_runs(fit, runs, target=1e24, budget=1e21),
    }


# The result and the options of each, and how many Axes it draws on (None: not in a small one).
PICTURES = {
    "surface": ("draws", {"runs": True, "flops": 1e24}, 1),
    "isoflop": ("isoflop", {"runs": True}, 1),
    "predictions": ("draws", {"runs": True}, 1),
    "profile": ("profile", {}, 1),
    "projected": ("fit", {"runs": True}, 1),
    "pairs": ("draws", {"params": ["alpha", "beta"]}, None),
    "allocation": ("allocation", {}, 2),
    "region": ("region", {"fit": True}, 1),
    "pareto": ("fit", {"loss": 2.2}, 1),
    "bias": ("bias", {}, 2),
    "attribution": ("bias", {}, 1),
    "comparison": ("comparison", {}, 2),
    "holdout": ("holdout", {}, 2),
    "diagnosis": ("diagnosis", {}, None),
    "next_runs": ("next_runs", {}, 1),
    "curves": ("draws", {"runs": True, "flops": 1e24}, 1),
    "residuals": ("fit", {"runs": True}, None),
    "observed": ("draws", {"runs": True}, 1),
    "held_out": ("comparison", {"runs": True}, 2),
    "overview": ("draws", {"runs": True, "flops": 1e24}, None),
}


def draw(name, found, ax=None):
    key, options, _ = PICTURES[name]
    options = dict(options)
    runs = found["runs"] if options.pop("runs", False) else None
    if options.pop("fit", False):
        options["fit"] = found["draws"]
    return getattr(sf.plot, name)(found[key], runs, ax=ax, **options)


def texts(figure):
    """Every text that is seen, with its box; those of a legend as one."""
    renderer = figure.canvas.get_renderer()
    for item in figure.findobj(lambda item: isinstance(item, (Text, Legend))):
        if isinstance(item, Legend):
            yield item, item.get_window_extent(renderer)
        elif item.get_visible() and item.get_text().strip() and item.figure is not None:
            yield item, Text.get_window_extent(item, renderer)


def ticks_out_of_view(figure):
    """Labels of ticks that matplotlib keeps outside the limits and does not draw."""
    hidden = set()
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            # In decades of logarithmic axes.
            spread = axis.get_transform().transform
            low, high = spread([low, high])
            room = 1e-6 * (high - low)
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            shown = [
                tick
                for tick in ticks
                if ax.axison
                and axis.get_visible()
                and low - room <= spread(tick.get_loc()) <= high + room
            ]
            # Ticks of an earlier layout stay in the lists of the axis.
            kept = {label for tick in shown for label in (tick.label1, tick.label2)}
            for tick in (*axis.majorTicks, *axis.minorTicks):
                hidden |= {tick.label1, tick.label2} - kept
    return hidden


def overlap(one, other):
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    tall = min(one.y1, other.y1) - max(one.y0, other.y0)
    return min(wide, tall)


def contrast(one, other):
    def light(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def judge(figure):
    """What a reader would see go wrong in a figure, in words."""
    wrong = []
    width, height = figure.canvas.get_width_height()
    figure.canvas.draw()
    hidden = ticks_out_of_view(figure)
    seen = [(item, box) for item, box in texts(figure) if item not in hidden and box.width > 0]
    of_legends = {
        text
        for item, _ in seen
        if isinstance(item, Legend)
        for text in (*item.get_texts(), item.get_title())
    }
    seen = [(item, box) for item, box in seen if item not in of_legends]

    def called(item):
        return "legend" if isinstance(item, Legend) else repr(item.get_text())

    for item, box in seen:
        if min(box.x0, box.y0) < -SEEN or box.x1 > width + SEEN or box.y1 > height + SEEN:
            wrong.append(f"{called(item)} leaves the figure")
        ax = getattr(item, "axes", None)
        plain = isinstance(item, Text) and ax is not None and not item.get_path_effects()
        if plain and contrast(to_rgb(item.get_color()), background(ax)) < LEAST_CONTRAST:
            wrong.append(f"{called(item)} cannot be read")
    for (one, a), (other, b) in itertools.combinations(seen, 2):
        # The boxes of slanted labels, as on contours, are far larger than what is written.
        slanted = any(getattr(item, "get_rotation", lambda: 0)() % 90 for item in (one, other))
        if not slanted and overlap(a, b) > SEEN:
            wrong.append(f"{called(one)} lies on {called(other)}")
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    if len(np.unique(pixels.reshape(-1, 3), axis=0)) < 20:
        wrong.append("the figure is blank")
    return wrong


@pytest.fixture(autouse=True)
def session():
    """No picture leaves a setting changed, nor a figure open that it does not return."""
    plt.close("all")
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


STYLES = ("default", "dark_background")
# Each picture on one background; on the other by the slow tests, as panels that take longest.
ONES = [
    pytest.param(name, style, marks=pytest.mark.slow if turn or name == "diagnosis" else ())
    for place, name in enumerate(PICTURES)
    for turn, style in enumerate(STYLES if place % 2 else STYLES[::-1])
]


@pytest.mark.parametrize(("name", "style"), ONES)
def test_a_picture_of_its_own(name, style, found):
    with plt.style.context(style), mpl.rc_context({"figure.dpi": 60}):
        axes = np.ravel(np.asarray(draw(name, found), dtype=object))
        assert all(isinstance(ax, Axes) for ax in axes)
        assert plt.get_fignums() == [axes[0].figure.number]
        assert judge(axes[0].figure) == []


@pytest.mark.slow
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_small_pictures_side_by_side(style, found):
    """Six in a figure of 7.8 by 4 inches, as in a paper."""
    with plt.style.context(style), mpl.rc_context({"figure.dpi": 80}):
        room = []
        for name, (_, _, count) in PICTURES.items():
            if count is None:
                continue
            if len(room) < count:
                room = list(plt.subplots(2, 3, figsize=(7.8, 4.0), layout="constrained")[1].flat)
            given, room = room[:count], room[count:]
            returned = draw(name, found, given[0] if count == 1 else given)
            assert list(np.ravel(np.asarray(returned, dtype=object))) == given
        wrong = {n: judge(plt.figure(n)) for n in plt.get_fignums()}
    assert wrong == {number: [] for number in wrong}


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_takes_runs_and_a_level(name, found):
    key, options, _ = PICTURES[name]
    given = {key: item for key, item in options.items() if key not in ("runs", "fit")}
    if "fit" in options:
        given["fit"] = found["draws"]
    with pytest.raises(sf.errors.ArgumentError, match="level"):
        getattr(sf.plot, name)(found[key], found["runs"], level=2.0, **given)
