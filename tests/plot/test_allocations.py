"""Pictures of allocations show what was found."""

import numpy as np
import pytest

import scalefit as sf

FIT = sf.published("chinchilla", "besiroglu")


@pytest.fixture(scope="module")
def draws():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    return sf.covariance(sf.fit(runs), runs).draws(100, seed=4)


def test_lines_are_the_optimum_and_bands_its_intervals(draws):
    best = sf.allocate(draws, np.geomspace(1e22, 1e19, 5))
    axes = sf.plot.allocation(best, level=0.8)
    for name, ax in zip(("N", "D"), axes, strict=True):
        line = ax.lines[0]
        np.testing.assert_allclose(line.get_xdata(), best.flops[::-1])
        np.testing.assert_allclose(line.get_ydata(), best[name][::-1])
        (band,) = ax.collections
        low, high = best.estimate(name).interval(0.8)
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(low.min())
        assert heights.max() == pytest.approx(high.max())
        # The runs end at 1e21 FLOP.
        left = ax.transData.inverted().transform(ax.patches[0].get_extents().min)[0]
        assert left == pytest.approx(1e21, rel=1e-6)
        assert ax.texts[0].get_text() == "1.0 decades\nbeyond the runs"
    assert "C^{0.4" in axes[0].get_legend().get_texts()[-1].get_text()
    with pytest.raises(sf.errors.AllocationError, match="one budget is a point"):
        sf.plot.allocation(sf.allocate(FIT, 1e22))


def test_a_region_is_shaded_around_the_least_loss(draws):
    for fit in (FIT, draws):
        found = sf.near_optimal(fit, 1e21, overhead=0.05)
        ax = sf.plot.region(found, fit=fit)
        curve = ax.lines[0]
        x, y = curve.get_xdata(), curve.get_ydata()
        assert x[np.argmin(y)] == pytest.approx(float(found.best.N), rel=0.02)
        inverse = ax.transData.inverted()
        spans = [inverse.transform(patch.get_extents().min)[0] for patch in ax.patches]
        assert spans == [pytest.approx(float(found.low))]
    with pytest.raises(sf.errors.AllocationError, match="is of 2 budgets"):
        sf.plot.region(sf.near_optimal(FIT, [1e21, 1e22]), fit=FIT)


def test_on_the_pareto_curve_cheaper_serving_is_dearer_training():
    ax = sf.plot.pareto(FIT, loss=2.0, served=[1e12, 1e14])
    x, y = ax.lines[0].get_xdata(), ax.lines[0].get_ydata()
    assert (np.diff(x) > 0).all() and (np.diff(y) < 0).all()
    p = FIT.params
    loss = FIT.predict(N=y / 2, D=x / (3 * y))
    np.testing.assert_allclose(loss, 2.0, rtol=1e-9)
    best = sf.allocate(FIT, loss=2.0)
    (star,) = (line for line in ax.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == pytest.approx(float(best.budget))
    assert (x > star.get_xdata()[0]).all() and p["E"] < 2.0
