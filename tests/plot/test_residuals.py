"""Residuals, observed losses, held-out errors and the overview; checked on their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

import scalefit as sf
from scalefit.plot.residual_points import local_lines


@pytest.fixture(scope="module")
def runs():
    table = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    # One run far off.
    table.loc[7, "loss"] *= 1.2
    return table


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


@pytest.fixture(scope="module")
def draws(fit, runs):
    return sf.covariance(fit, runs).draws(200, seed=4)


def offsets(ax):
    points = [item for item in ax.collections if isinstance(item, PathCollection)]
    return np.concatenate([np.asarray(item.get_offsets()) for item in points])


def test_residuals_are_against_each_column_and_what_follows_from_both(fit, runs):
    axes = sf.plot.residuals(fit, runs)
    assert axes.shape == (2, 2)
    x = {
        "N": runs["N"],
        "D": runs["D"],
        "C": 6 * runs["N"] * runs["D"],
        "D/N": runs["D"] / runs["N"],
    }
    error = 100 * (runs["loss"] / fit.evaluate(runs) - 1)
    for ax, values in zip(axes.ravel(), x.values(), strict=True):
        points = offsets(ax)
        np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(values))
        near = np.abs(error) < ax.get_ylim()[1]
        assert near.sum() == len(runs) - 1
        assert np.isin(np.round(error[near], 9), np.round(points[:, 1], 9)).all()
        # The run that is far off is on the edge, and has its label.
        assert ax.texts[0].get_text() == "7"
    assert [ax.get_xlabel()[:3] for ax in axes.ravel()] == ["$N$", "$D$", "$C$", "$D/"]


def test_runs_outside_the_fit_are_hollow_and_levels_have_colours(fit, runs):
    far = pd.concat([runs, runs.tail(2).assign(D=lambda frame: 1e3 * frame["D"])])
    far = far.reset_index(drop=True)
    axes = sf.plot.residuals(fit, far)
    hollow = [item for item in axes[0, 0].collections if item.get_facecolors().size == 0]
    assert sum(len(item.get_offsets()) for item in hollow) == 2
    both = pd.concat([runs.assign(kind="a"), runs.assign(kind="b")], ignore_index=True)
    axes = sf.plot.residuals(sf.fit(both, groups={"E": "kind"}), both)
    said = [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()]
    assert said[:2] == ["a", "b"]


def test_the_smooth_passes_through_a_line_and_knows_its_noise():
    z = np.linspace(0.0, 1.0, 40)
    places, middle, error, df = local_lines(z, 3 * z - 1)
    np.testing.assert_allclose(middle, 3 * places - 1, atol=1e-9)
    assert np.all(error < 1e-9)
    rng = np.random.default_rng(0)
    errors = [local_lines(z, rng.normal(size=40)) for _ in range(200)]
    missed = np.array([smooth / error for _, smooth, error, _ in errors])
    assert 0.9 < missed.std() < 1.2
    assert 30 < df < 38


def test_observed_losses_are_on_equal_axes_with_intervals(draws, runs):
    ax = sf.plot.observed(draws, runs, level=0.9)
    assert ax.get_xlim() == ax.get_ylim()
    low, high = draws.predict(runs, kind="run").interval(0.9)
    inside = int(((runs["loss"] >= low) & (runs["loss"] <= high)).sum())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"90 % interval of a new run ({inside} of {len(runs)} inside)" in labels
    bars = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(bars[:, 0, 1], low)
    np.testing.assert_allclose(bars[:, 1, 0], draws.fit.evaluate(runs))
    miss = runs["loss"] - draws.fit.evaluate(runs)
    share = 1 - np.sum(miss**2) / np.sum((runs["loss"] - runs["loss"].mean()) ** 2)
    assert f"{100 * share:.1f} % of the variance" in ax.get_title()


def test_held_out_errors_of_laws_are_side_by_side(runs):
    found = sf.compare(runs, ["chinchilla", "chinchilla_tied"])
    axes = sf.plot.held_out(found, runs)
    assert axes.shape == (2,)
    assert axes[0].get_ylim() == axes[1].get_ylim()
    for ax, law in zip(axes, found.laws, strict=True):
        assert ax.get_title().startswith(law)
        np.testing.assert_allclose(np.sort(offsets(ax)[:, 1]), np.sort(100 * found.held_out[law]))
    # All of one budget, they are against their sizes.
    sizes = runs["N"].loc[found.held_out["row"]]
    np.testing.assert_allclose(np.sort(offsets(axes[0])[:, 0]), np.sort(sizes))
    assert "held-out" in sf.plot.held_out(found)[0].get_xlabel()
    with pytest.raises(sf.errors.ArgumentError, match="Pass the runs"):
        sf.plot.held_out(found, against="C")
    with pytest.raises(sf.errors.DataError, match="lacks runs"):
        sf.plot.held_out(found, runs.head(5))
    with pytest.raises(sf.errors.ArgumentError, match="comparison"):
        sf.plot.held_out(runs)


def test_the_overview_has_four_panels_and_the_warnings(draws, runs):
    axes = sf.plot.overview(draws, runs, flops=1e25)
    assert axes.shape == (2, 2)
    assert [ax.get_title(loc="left")[:3] for ax in axes.ravel()] == ["(a)", "(b)", "(c)", "(d)"]
    best = sf.allocate(draws.fit, 1e25)
    stars = [line for line in axes[1, 1].lines if line.get_marker() == "*"]
    np.testing.assert_allclose([line.get_ydata()[0] for line in stars], [best.N, best.D])
    legend = axes[0, 0].figure.legends[0]
    assert "extrapolation" in legend.get_title().get_text()
    figure, given = plt.subplots(2, 2)
    assert sf.plot.overview(draws.fit, runs, ax=given).ravel()[0] is given[0, 0]
    assert not figure.legends
    with pytest.raises(sf.errors.AllocationError, match="curves and"):
        table = runs[["D", "loss"]]
        sf.plot.overview(sf.fit(table, "chinchilla_d"), table)
