"""Pictures of ensembles and profiles say what the numbers say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scalefit as sf
from scalefit.plot.style import ORANGE


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)


@pytest.fixture(scope="module")
def draws(runs):
    return sf.covariance(sf.fit(runs), runs).draws(300, seed=4)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_surface_of_an_ensemble_has_the_band_of_the_frontier(draws, runs):
    ax = sf.plot.surface(draws, runs, flops=1e23, level=0.8)
    assert "80 % band of the frontier" in labels(ax)
    (band,) = ax.patches
    N, D = band.get_xy().T
    # Both edges are on the lines of their budgets, and the frontier lies between them.
    middle = sf.allocate(draws.fit, 6 * N[:100] * D[:100])
    assert (N[:100] <= middle.N * (1 + 1e-9)).all()
    bar = [line for line in ax.lines if line.get_color() == ORANGE and len(line.get_xdata()) == 2]
    low, high = sf.allocate(draws, 1e23).estimate("N").interval(0.8)
    np.testing.assert_allclose(bar[0].get_xdata(), [low, high])
    assert ax.get_xlim()[1] > high
    plain = sf.plot.surface(draws.fit, runs, flops=1e23)
    assert not plain.patches


def test_predictions_count_the_runs_inside_the_band(draws, runs):
    ax = sf.plot.predictions(draws, runs, level=0.9)
    low, high = draws.predict(runs, kind="run").interval(0.9)
    inside = int(((runs["loss"] >= low) & (runs["loss"] <= high)).sum())
    assert f"90 % interval of a new run ({inside} of 30 runs inside)" in labels(ax)
    offsets = ax.collections[-1].get_offsets()
    expected = 100 * (runs["loss"] / draws.fit.predict(runs) - 1)
    np.testing.assert_allclose(np.sort(offsets[:, 1]), np.sort(expected))
    bare = sf.plot.predictions(draws.fit, runs)
    assert labels(bare) == ["30 runs"]


def test_profile_shows_its_ends(draws, runs):
    found = sf.profile(draws.fit, runs, "alpha")
    ax = sf.plot.profile(found)
    assert [text.get_text() for text in ax.texts] == [f"{found.low:.4g}", f"{found.high:.4g}"]
    assert f"95 % interval {found.low:.4g} to {found.high:.4g}" in ax.get_title()
    narrower = sf.plot.profile(found, level=0.5, ax=plt.subplots()[1])
    low, high = found.conf_int(0.5)[["low", "high"]].iloc[0]
    assert [text.get_text() for text in narrower.texts] == [f"{low:.4g}", f"{high:.4g}"]
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(np.interp([found.low, found.high], x, y),
                               np.array([-1, 1]) * np.sqrt(found.threshold), rtol=5e-3)  # fmt: skip
    fit = sf.fit(runs, bounds={"alpha": (draws.fit.params["alpha"] - 1e-3, 1.0)})
    ax = sf.plot.profile(sf.profile(fit, runs, "alpha"), ax=plt.subplots()[1])
    assert "beyond" in ax.texts[0].get_text()


def test_pairs_show_log_amplitudes_and_mark_the_fit(draws):
    grid = sf.plot.pairs(draws)
    assert grid.shape == (5, 5)
    assert [ax.get_xlabel() for ax in grid[-1]] == [
        "$E$",
        r"$\ln$ $A$",
        r"$\ln$ $B$",
        r"$\alpha$",
        r"$\beta$",
    ]
    cloud, mark = grid[3, 1].lines
    np.testing.assert_array_equal(cloud.get_xdata(), np.log(draws.params["A"]))
    np.testing.assert_array_equal(cloud.get_ydata(), draws.params["alpha"])
    assert mark.get_xdata() == [np.log(draws.fit.params["A"])]
    assert sf.plot.pairs(draws, params=["alpha", "beta"]).shape == (2, 2)
