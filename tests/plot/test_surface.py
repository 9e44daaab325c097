"""What the picture of a surface shows; checked on its artists, not its pixels."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def runs():
    return sf.LossTable.from_frame(sf.simulate(sf.simulation.isoflop_design()))


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_axes_are_logarithmic_and_carry_units(fit, runs):
    ax = sf.plot.surface(fit, runs)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "$N$ (parameters)"
    assert ax.get_ylabel() == "$D$ (tokens)"
    assert "loss (nats/token)" in labels(ax)
    assert ax.figure.axes[1].get_ylabel() == "observed / predicted - 1 (%)"


def test_runs_are_coloured_by_their_residual(fit, runs):
    ax = sf.plot.surface(fit, runs)
    (points,) = (item for item in ax.collections if item.get_label() == "75 runs")
    off = 100 * (runs.column("loss") / fit.predict(runs) - 1)
    np.testing.assert_allclose(points.get_array(), off)
    assert points.norm.vmin == -points.norm.vmax


def test_contours_are_labelled_with_their_loss(fit, runs):
    ax = sf.plot.surface(fit, runs)
    ax.figure.canvas.draw()
    texts = [text for text in ax.texts if text.get_text()]
    assert len(texts) > 5
    for text in texts:
        N, D = text.get_position()
        assert float(fit.predict(N=N, D=D)) == pytest.approx(float(text.get_text()), rel=5e-3)


def test_without_runs_the_ranges_of_the_fit_are_drawn(fit):
    ax = sf.plot.surface(fit)
    (frame,) = (line for line in ax.lines if line.get_label() == "ranges of the runs")
    assert (frame.get_xdata().min(), frame.get_xdata().max()) == fit.domain["N"]
    assert len(ax.figure.axes) == 1


def test_every_run_is_drawn_inside_the_window(fit, runs):
    ax = sf.plot.surface(fit, runs, flops=1e24)
    (points,) = (item for item in ax.collections if item.get_label() == "75 runs")
    offsets = np.asarray(points.get_offsets())
    np.testing.assert_allclose(np.sort(offsets[:, 0]), np.sort(runs.column("N")))
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert ((offsets[:, 0] > left) & (offsets[:, 0] < right)).all()
    assert ((offsets[:, 1] > bottom) & (offsets[:, 1] < top)).all()


def test_the_budget_and_its_optimum_are_where_allocate_puts_them(fit, runs):
    ax = sf.plot.surface(fit, runs, flops=1e24)
    best = sf.allocate(fit, 1e24)
    (star,) = (line for line in ax.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (best.N, best.D)
    (budget,) = (line for line in ax.lines if "FLOP" in line.get_label())
    np.testing.assert_allclose(6 * budget.get_xdata() * budget.get_ydata(), 1e24)


def test_the_frontier_is_optimal_everywhere(fit, runs):
    ax = sf.plot.surface(fit, runs)
    (line,) = (item for item in ax.lines if "frontier" in item.get_label())
    N, D = line.get_xdata(), line.get_ydata()
    np.testing.assert_allclose(sf.allocate(fit, 6 * N * D).N, N, rtol=1e-9)


def test_the_legend_hides_no_run(fit, runs):
    ax = sf.plot.surface(fit, runs, flops=1e24)
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.y1 <= ax.get_window_extent().y0


def test_it_draws_on_the_axes_given(fit, runs):
    figure, ax = plt.subplots()
    assert sf.plot.surface(fit, runs, ax=ax) is ax
    assert ax.figure is figure


def test_without_a_budget_there_is_no_star(fit, runs):
    ax = sf.plot.surface(fit, runs)
    assert not [line for line in ax.lines if line.get_marker() == "*"]
    assert len(labels(ax)) == 3


def test_a_dataframe_with_its_own_headers_works(fit, runs):
    frame = runs.frame.rename(columns={"N": "size"})
    ax = sf.plot.surface(fit, frame, N="size")
    assert "75 runs" in labels(ax)


def test_a_law_of_one_column_is_refused(runs):
    truth = {"E": 2.0, "A": 400.0, "alpha": 0.3}
    table = sf.simulate(sf.simulation.isoflop_design(), "chinchilla_n", truth, noise=0.0)
    with pytest.raises(sf.errors.AllocationError, match="drawn over N and D"):
        sf.plot.surface(sf.fit(table, "chinchilla_n"), table)


def test_a_surface_without_optimum_is_drawn_without_a_frontier(runs):
    @sf.law(source="more of either always helps")
    def product(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
        """E + A (N D)^-alpha"""
        return E + A * (N * D) ** -alpha

    ax = sf.plot.surface(sf.fit(runs, product), runs)
    assert not [line for line in ax.lines if "frontier" in line.get_label()]
