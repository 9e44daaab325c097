"""What the picture of the projected error shows; checked on its artists, not its pixels."""

from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet

import scalefit as sf
from scalefit.fitting.landscape import landscape


@pytest.fixture(scope="module")
def runs():
    return sf.LossTable.from_frame(sf.simulate(sf.simulation.isoflop_design()))


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


@pytest.fixture(scope="module")
def drawn(fit, runs):
    return sf.plot.projected(fit, runs)


def star(ax):
    (line,) = (item for item in ax.lines if item.get_marker() == "*")
    return line


@sf.law(source="a test")
def shifted(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    h: sf.laws.Fraction,
    alpha: sf.laws.Exponent,
):
    """E + A exp(-h ln(D / 1e10)) (N / 1e8)^-alpha: one parameter is not searched in its log."""
    return E + A * (D / 1e10) ** -h * (N / 1e8) ** -alpha


def test_axes_are_logarithmic_and_named_by_the_parameters(drawn):
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("log", "log")
    assert (drawn.get_xlabel(), drawn.get_ylabel()) == (r"$\alpha$", r"$\beta$")
    assert "chinchilla" in drawn.get_title()
    bar = drawn.figure.axes[1]
    assert "multiples of its minimum" in bar.get_ylabel()


def test_it_draws_on_the_axes_given(fit, runs):
    figure, ax = plt.subplots()
    assert sf.plot.projected(fit, runs, ax=ax) is ax
    assert ax.figure is figure
    assert plt.get_fignums() == [figure.number]


def test_the_star_is_at_the_optimum(fit, drawn):
    line = star(drawn)
    assert (*line.get_xdata(), *line.get_ydata()) == (fit.params["alpha"], fit.params["beta"])
    assert line.get_label() == "optimum"


def test_every_cell_of_the_search_is_a_dot(fit, drawn):
    (dots,) = (item for item in drawn.lines if item.get_label() == "grid cells")
    assert len(dots.get_xdata()) == fit.diagnostics.cells == 15**2
    assert dots.get_xdata().min() == pytest.approx(0.005)
    assert dots.get_ydata().max() == pytest.approx(5.0)


def test_contours_start_at_the_least_value_and_surround_the_optimum(runs):
    squared = sf.fit(runs, robust="none")
    ax = sf.plot.projected(squared, runs)
    filled = next(item for item in ax.collections if isinstance(item, QuadContourSet))
    assert filled.levels[0] == 1.0 and (np.diff(filled.levels) > 0).all()
    inner = filled.get_paths()[0].vertices
    for place, name in enumerate(("alpha", "beta")):
        assert inner[:, place].min() <= squared.params[name] * 1.04
        assert inner[:, place].max() >= squared.params[name] / 1.04


def test_the_bowl_fills_the_picture_and_the_search_is_named(fit, runs, drawn):
    """The optimum was in a corner of three decades; the view is a small part of the search."""
    low, high = np.log10(drawn.get_xlim())
    assert high - low < 1.5
    middle = np.log10(fit.params["alpha"])
    assert 0.25 < (middle - low) / (high - low) < 0.75
    assert r"$\alpha$ 0.005 to 5" in drawn.get_title()
    with pytest.raises(sf.errors.ArgumentError, match="runs"):
        sf.plot.projected(fit)


def test_the_plane_is_lowest_at_the_optimum_of_squares(runs):
    squared = sf.fit(runs, robust="none", residual="raw")
    plane = landscape(squared, runs, 192)
    row, column = np.unravel_index(plane.value.argmin(), plane.value.shape)
    step = (5.0 / 0.005) ** (1 / 191)
    assert abs(np.log(plane.first[row] / squared.params["alpha"])) < 2 * np.log(step)
    assert abs(np.log(plane.second[column] / squared.params["beta"])) < 2 * np.log(step)
    assert squared.objective_value <= plane.value.min() <= 1.1 * squared.objective_value


def test_the_plane_is_that_of_the_objective_itself(fit, runs):
    """Not of squares: its least value is the fit's, and its minimum at the fit's optimum."""
    plane = landscape(fit, runs, 96)
    row, column = np.unravel_index(plane.value.argmin(), plane.value.shape)
    step = np.log(5.0 / 0.005) / 95
    assert abs(np.log(plane.first[row] / fit.params["alpha"])) < 2 * step
    assert abs(np.log(plane.second[column] / fit.params["beta"])) < 2 * step
    assert fit.objective_value <= plane.value.min() <= 1.3 * fit.objective_value


def test_a_parameter_searched_as_it_is_has_a_linear_axis(runs):
    ax = sf.plot.projected(sf.fit(runs, shifted), runs)
    assert (ax.get_xlabel(), ax.get_xscale()) == ("$h$", "linear")
    assert (ax.get_ylabel(), ax.get_yscale()) == (r"$\alpha$", "log")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"law": "chinchilla_tied"}, r"has 1 \(alpha\)"),
        ({"fixed": {"alpha": 0.34}}, r"has 1 \(beta\)"),
        ({"fixed": {"alpha": 0.34, "beta": 0.28}}, r"has 0 \(none\)"),
    ],
)
def test_a_line_or_a_point_is_refused(fit, runs, options, found):
    law = sf.laws.find(options.get("law", "chinchilla"))
    other = replace(fit, law=law, fixed=options.get("fixed", {}))
    with pytest.raises(sf.errors.LawError, match=found):
        sf.plot.projected(other, runs)


def test_a_space_is_refused(fit, runs):
    @sf.law(source="a test")
    def space(
        N: Any,
        D: Any,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        C: sf.laws.Amplitude,
        a: sf.laws.Exponent,
        b: sf.laws.Exponent,
        c: sf.laws.Exponent,
    ):
        """E + A N^-a + B D^-b + C (N D)^-c"""
        return E + A * N**-a + B * D**-b + C * (N * D) ** -c

    with pytest.raises(sf.errors.LawError, match=r"has 3 \(a, b, c\)"):
        sf.plot.projected(replace(fit, law=space), runs)


def test_a_dataframe_with_its_own_headers_works(fit, runs):
    frame = runs.frame.rename(columns={"N": "size"})
    ax = sf.plot.projected(fit, frame, N="size")
    assert ax.get_xlabel() == r"$\alpha$"


def test_a_plane_of_coefficients_by_level_is_drawn(runs):
    split = runs.frame.assign(kind=np.where(np.arange(len(runs)) % 2, "a", "b"))
    fit = sf.fit(split, groups={"A": "kind"})
    ax = sf.plot.projected(fit, split)
    assert star(ax).get_xdata() == [fit.params["alpha"]]
