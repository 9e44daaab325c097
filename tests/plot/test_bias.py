"""The pictures of the bias say what the report says."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import norm, t

import scalefit as sf
from scalefit.inference import Draws, TailCorrection


@pytest.fixture(scope="module")
def report():
    runs = sf.simulate(sf.simulation.isoflop_design(drift=3.0, points=9), noise=0.002, seed=2)
    fit = sf.published("chinchilla", "hoffmann")
    return sf.bias(fit, sf.isoflop(runs), runs, 1e24, rules=(), objectives=False)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax, marker):
    (found,) = (line for line in ax.lines if line.get_marker() == marker)
    return found.get_xdata(), found.get_ydata()


def test_fans_have_both_optima_and_the_arrow_is_the_error(report):
    left, right = sf.plot.bias(report)
    budgets = report.isoflop.budgets
    true = sf.allocate(report.fit, budgets["budget"].to_numpy())
    np.testing.assert_allclose(points(left, "o"), [true.N, true.loss])
    np.testing.assert_allclose(points(left, "D"), budgets[["N", "loss"]].to_numpy().T)
    # A parabola and a slice for each budget, and the line through the optima.
    assert sum(len(line.get_xdata()) > 100 for line in left.lines) == 10
    _, exact = points(right, "x")
    np.testing.assert_allclose(exact - 1, report.design.budgets["D_error"])
    _, vertices = points(right, "D")
    np.testing.assert_allclose(vertices, budgets["D"] / true.D)
    (arrow,) = (text for text in right.texts if text.arrow_patch is not None)
    np.testing.assert_allclose(arrow.xy, [1e24, 1 + report.error()])
    said = " ".join(text.get_text() for text in right.texts)
    assert f"{report.error():+.1%}" in said and f"{report.deadweight:.2%}" in said
    assert "95 % interval: Approach 2 (resampled runs)" in labels(right)
    assert "95 % interval: chinchilla (draws)" not in labels(right)


def test_bars_are_the_intervals_that_the_report_prints(report):
    """Of resampled clusters and of resampled sweeps these are no raw percentiles."""
    rng = np.random.default_rng(3)
    D = report.surface["D"] * np.exp(0.1 * rng.standard_normal(500))
    correction = TailCorrection(5, 1.2)
    drawn = replace(report, optimum=replace(report.optimum, draws=Draws({"D": D}, correction)))
    # Five budgets of nine runs: 30 degrees of freedom, and a spread of eight of them.
    assert drawn.tails == TailCorrection(30, np.sqrt(45 / 40))
    right = sf.plot.bias(drawn, level=0.9)[1]
    bars = {line.get_label(): line.get_ydata() for line in right.lines}
    frame = drawn.resampled("D"), drawn.estimate("D")
    for label, found, freedom, inflation in (
        ("90 % interval: Approach 2 (resampled runs)", frame[0], 30, np.sqrt(45 / 40)),
        ("90 % interval: chinchilla (draws)", frame[1], 5, 1.2),
    ):
        share = norm.cdf(-inflation * t.ppf(0.95, freedom))
        ends = np.nanquantile(found.draws, [share, 1 - share])
        assert not np.allclose(ends, np.nanquantile(found.draws, [0.05, 0.95]), rtol=1e-3)
        np.testing.assert_allclose(found.interval(0.9), ends)
        np.testing.assert_allclose(bars[label], ends / report.surface["D"])


def test_axes_of_ones_own_and_endless_intervals(report):
    budgets = report.isoflop.budgets.assign(D_low=0.0, D_high=np.inf)
    endless = replace(report, isoflop=replace(report.isoflop, budgets=budgets))
    own = plt.subplots(1, 2)[1]
    left, right = sf.plot.bias(endless, ax=own)
    assert left is own[0] and right is own[1]
    assert sum(line.get_linestyle() == ":" for line in right.lines) == 5
    assert np.isfinite(right.get_ylim()).all()


@pytest.mark.parametrize("drawn", [False, True])
def test_bars_lead_from_the_surface_to_approach_2(report, drawn):
    why = report.attribution
    if drawn:
        rng = np.random.default_rng(0)
        parts = why.parts["ln_D"].to_numpy() + 0.01 * rng.standard_normal((50, len(why.parts)))
        names = ("ln_N", "ln_D", "n_exponent", "d_exponent")
        why = replace(why, draws=Draws(dict.fromkeys(names, parts)))
    ax = sf.plot.attribution(why)
    starts = [bar.get_x() for bar in ax.patches]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, [*why.parts["ln_D"], why.gap["ln_D"]])
    np.testing.assert_allclose(starts[1:-1], np.cumsum(widths[:-2]))
    assert starts[0] == starts[-1] == 0
    assert [tick.get_text() for tick in ax.get_yticklabels()][-1] == "Approach 2"
    assert bool(ax.collections) == drawn
    assert "0" in [tick.get_text() for tick in ax.get_xticklabels()]
