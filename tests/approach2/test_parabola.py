"""The kernel against numpy's least squares, scipy's intervals, and closed forms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import scalefit as sf
from scalefit.approach2 import parabolas, power_law, vertex_fits
from scalefit.errors import ArgumentError, DataError


@pytest.fixture
def bowls():
    rng = np.random.default_rng(7)
    x = np.sort(rng.uniform(18, 24, (5, 3, 12)), axis=-1)
    y = 2.5 + 0.03 * (x - 21) ** 2 + 0.002 * (x - 21) ** 3 + rng.normal(0, 0.01, x.shape)
    return x, y, (rng.random(x.shape) > 0.25).astype(float)


def test_a_batch_is_what_polyfit_finds_one_by_one(bowls):
    x, y, weight = bowls
    found = parabolas(x, y, weight)
    for at in np.ndindex(5, 3):
        used = weight[at] > 0
        u = x[at][used] - 21
        (a, b, c), covariance = np.polyfit(u, y[at][used], 2, cov=True)
        np.testing.assert_allclose(found.curvature[at], a, rtol=1e-9)
        np.testing.assert_allclose(found.vertex[at], 21 - b / (2 * a), rtol=1e-11)
        np.testing.assert_allclose(found.minimum[at], c - b**2 / (4 * a), rtol=1e-11)
        np.testing.assert_allclose(found.curvature_se[at] ** 2, covariance[0, 0], rtol=1e-8)
        assert found.points[at] == used.sum()


def test_weights_count_rows_as_often_as_repeating_them(bowls):
    x, y, _ = bowls
    counts = np.random.default_rng(1).integers(0, 3, x.shape)
    found = parabolas(x, y, counts)
    one = parabolas(np.repeat(x[2, 1], counts[2, 1]), np.repeat(y[2, 1], counts[2, 1]))
    np.testing.assert_allclose(found.vertex[2, 1], one.vertex, rtol=1e-12)
    np.testing.assert_allclose(found.curvature[2, 1], one.curvature, rtol=1e-11)


def test_what_stands_at_weight_zero_does_not_matter(bowls):
    x, y, weight = bowls
    rubbish = np.where(weight > 0, y, np.nan)
    other = np.where(weight > 0, x, np.inf)
    for one, two in zip(parabolas(x, y, weight), parabolas(other, rubbish, weight), strict=True):
        np.testing.assert_array_equal(one, two)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(1e-4, 10), st.floats(-40, 60), st.floats(0.1, 5))
def test_exact_parabolas_are_found_wherever_they_lie(vertex, curvature, place, width):
    x = place + width * np.linspace(-1, 1, 7)
    top = place + width * vertex
    found = parabolas(x, 3 + curvature * (x - top) ** 2)
    # Losses of order 3 know their curvature no better than this.
    digits = 1e-13 * (3 / (curvature * width**2) + 10)
    assert abs(found.vertex - top) < width * digits * (1 + vertex**2)
    assert found.inside == (abs(vertex) <= 1) or abs(abs(vertex) - 1) < digits


def test_fewer_than_three_distinct_points_are_nan_and_spoil_nothing():
    x = np.array([[20.0, 21, 22, 23], [20, 20, 21, 21], [20, 21, 0, 0], [0, 0, 0, 0]])
    weight = [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    found = parabolas(x, (x - 21.2) ** 2, weight)
    np.testing.assert_allclose(found.vertex[0], 21.2, rtol=1e-12)
    for item in (found.vertex, found.curvature, found.minimum, found.curvature_se):
        assert np.isnan(item[1:]).all()
    assert not found.inside[1:].any()


def test_fiellers_interval_is_where_the_test_of_a_zero_slope_does_not_reject(bowls):
    x, y, _ = bowls
    x, y = x[0, 0], y[0, 0]
    low, high = parabolas(x, y).interval(0.9)
    assert low < parabolas(x, y).vertex < high
    for end in (low, high):
        # With its origin there, the linear coefficient is 0 at exactly this level.
        coefficients, covariance = np.polyfit(x - end, y, 2, cov=True)
        t = abs(coefficients[1]) / np.sqrt(covariance[1, 1])
        np.testing.assert_allclose(2 * stats.t.sf(t, len(x) - 3), 0.1, rtol=1e-6)


def test_fiellers_interval_has_no_end_where_the_curvature_is_not_significant():
    rng = np.random.default_rng(0)
    x = np.linspace(20, 22, 8)
    found = parabolas(x, 0.001 * (x - 21) ** 2 + rng.normal(0, 0.1, 8))
    assert abs(found.curvature) < found.curvature_se * 2
    assert found.interval() == (-np.inf, np.inf)


def test_fiellers_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(3)
    x = np.linspace(19, 23, 9)
    y = 0.02 * (x - 21.5) ** 2 + rng.normal(0, 0.01, (4000, 9))
    low, high = parabolas(x, y).interval(0.9)
    inside = ((low <= 21.5) & (21.5 <= high)).mean()
    assert abs(inside - 0.9) < 3 * np.sqrt(0.09 / 4000)


def test_power_law_is_scipys_regression():
    rng = np.random.default_rng(2)
    c = np.log(np.geomspace(1e18, 1e22, 6))
    v = 0.5 * c - 3 + rng.normal(0, 0.1, 6)
    law = power_law(np.exp(c), np.exp(v))
    found = stats.linregress(c, v)
    np.testing.assert_allclose(law.exponent, found.slope, rtol=1e-12)
    np.testing.assert_allclose(law.intercept, found.intercept, rtol=1e-10)
    np.testing.assert_allclose(law.exponent_se, found.stderr, rtol=1e-10)
    reach = stats.t.ppf(0.95, 4) * found.stderr
    np.testing.assert_allclose(law.interval(0.9), (found.slope - reach, found.slope + reach))
    ends = law.band([1e20, 1e25], 0.9)
    assert (ends[0] < law.at([1e20, 1e25])).all() and (law.at([1e20, 1e25]) < ends[1]).all()
    # Of the mean at x: s sqrt(1/n + (x - mean)^2 / Sxx).
    spread = np.sqrt(((v - found.intercept - found.slope * c) ** 2).sum() / 4)
    u = np.log(1e25) - c.mean()
    reach = stats.t.ppf(0.95, 4) * spread * np.sqrt(1 / 6 + u**2 / ((c - c.mean()) ** 2).sum())
    np.testing.assert_allclose(np.log(ends[1][1] / law.at(1e25)), reach, rtol=1e-10)


def test_a_printed_table_of_optima_is_taken_as_it_is():
    """Four sweeps that a paper prints; the slopes are those of scipy's linregress of the logs."""
    C = [1e18, 2e18, 5e18, 1e19]
    N = [110678115, 167797457, 250650865, 381758347]
    D = [1241505403, 1785336422, 2642234152, 3806871243]
    found = power_law(C, N)
    assert f"{found.exponent:.4f} {power_law(C, D).exponent:.4f}" == "0.5241 0.4786"
    assert 3.5e8 < found.at(1e19) < 4e8 and "C^0.524" in found.summary()
    # Of a given slope: the mean of ln N - ln C / 2, with three degrees of freedom.
    held = power_law(pd.Series(C), pd.Series(N), exponent=0.5)
    rest = np.log(N) - 0.5 * np.log(C)
    np.testing.assert_allclose([held.intercept, held.spread], [rest.mean(), rest.std(ddof=1)])
    assert held.interval() == (0.5, 0.5) and held.df == 3
    low, high = held.band(1e24)
    reach = stats.t.ppf(0.975, 3) * rest.std(ddof=1) / 2
    np.testing.assert_allclose(np.log([low, high]) - rest.mean() - 0.5 * np.log(1e24),
                               [-reach, reach])  # fmt: skip
    assert power_law([1e20], [6e8], exponent=0.5).at(1e22) == pytest.approx(6e9)
    assert np.isnan(power_law([1e20], [6e8]).exponent)
    for wrong in ([1e8, -2e8, 3e8, 4e8], [1e8, 0.0, 3e8, 4e8], [1e8, "2e8", 3e8, 4e8]):
        with pytest.raises(ArgumentError, match=r"optimum.*the logarithm is taken"):
            power_law(C, wrong)
    with pytest.raises(ArgumentError, match="flops"):
        power_law([0.0, 2e18, 5e18, 1e19], N)
    with pytest.raises(ArgumentError, match=r"exponent=0\.5"):
        power_law(C, N, exponent="a")


def test_a_table_of_optima_is_taken_by_its_columns(tmp_path):
    optima = pd.DataFrame(
        {
            "flops": [1e18, 2e18, 5e18, 1e19],
            "N": [110678115, 167797457, 250650865, 381758347],
            "best tokens": [1241505403, 1785336422, 2642234152, 3806871243],
        }
    )
    optima.to_csv(tmp_path / "optima.csv", index=False)
    assert f"{power_law(optima, 'N').exponent:.4f}" == "0.5241"
    assert f"{power_law(tmp_path / 'optima.csv', 'best tokens').exponent:.4f}" == "0.4786"
    with pytest.raises(DataError, match="no column"):
        power_law(optima, "D")
    with pytest.raises(DataError, match="positive"):
        power_law(optima.assign(N=[1e8, -2e8, 3e8, 4e8]), "N")
    # Of vertices, too.
    sweeps = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.0)
    found = sf.approach2.vertices(sweeps, over="N", by="C")
    law = power_law(found.to_frame(), "N")
    np.testing.assert_allclose(law.exponent, sf.isoflop(sweeps).n_exponent, rtol=1e-9)


def test_coefficients_and_predictions_have_their_intervals():
    rng = np.random.default_rng(3)
    c = np.log(np.geomspace(1e18, 1e22, 6))
    v = 0.5 * c - 3 + rng.normal(0, 0.1, 6)
    law, held = power_law(np.exp(c), np.exp(v)), power_law(np.exp(c), np.exp(v), exponent=0.5)
    line = stats.linregress(c, v)
    t = stats.t.ppf(0.95, 4)
    np.testing.assert_allclose(np.log(law.coefficient), line.intercept, rtol=1e-9)
    ends = np.log(law.coefficient_interval(0.9))
    reach = t * line.intercept_stderr
    np.testing.assert_allclose(ends, [line.intercept - reach, line.intercept + reach], rtol=1e-8)
    # A new optimum: s sqrt(1 + 1/n + (x - mean)^2 / Sxx).
    spread = np.sqrt(((v - line.intercept - line.slope * c) ** 2).sum() / 4)
    u = np.log(1e24) - c.mean()
    reach = t * spread * np.sqrt(1 + 1 / 6 + u**2 / ((c - c.mean()) ** 2).sum())
    np.testing.assert_allclose(np.log(law.prediction(1e24, 0.9)[1] / law.at(1e24)), reach)
    # Of a given slope: the mean of ln N - ln C / 2, by five degrees of freedom.
    rest = v - 0.5 * c
    reach = stats.t.ppf(0.95, 5) * rest.std(ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(
        np.log(held.coefficient_interval(0.9)), [rest.mean() - reach, rest.mean() + reach]
    )
    assert "coefficient" in held.summary() and held.to_frame()["df"].to_list() == [5]


def test_power_laws_leave_unusable_budgets_out_table_by_table():
    flops = np.geomspace(1e18, 1e21, 4)
    v = np.stack([0.5 * np.log(flops), 0.4 * np.log(flops)])
    v[0, 2] = 99.0
    usable = np.array([[True, True, False, True], [False, False, False, True]])
    law = power_law(flops, np.exp(v), usable)
    np.testing.assert_allclose(law.exponent[0], 0.5)
    assert np.isnan(law.exponent[1]) and law.budgets.tolist() == [3, 1]
    np.testing.assert_allclose(law.at([1e24, 1e25])[0], np.sqrt([1e24, 1e25]))


def test_many_tables_are_each_fitted_as_alone():
    design = sf.simulation.isoflop_design([1e19, 1e20, 1e21], points=8)
    tables = [sf.simulate(design, noise=0.02, seed=seed) for seed in range(30)]
    N, D = (design[name].to_numpy().reshape(3, 8) for name in "ND")
    losses = np.stack([table["loss"].to_numpy().reshape(3, 8) for table in tables])
    found = vertex_fits([1e19, 1e20, 1e21], N, D, losses)
    for seed, table in enumerate(tables):
        alone = sf.isoflop(table)
        np.testing.assert_allclose(found.n_law.exponent[seed], alone.n_exponent, rtol=1e-10)
        np.testing.assert_allclose(found.d_law.at(1e24)[seed], alone.at(1e24).D, rtol=1e-9)
        np.testing.assert_array_equal(found.usable[seed], alone.budgets["used"])


def test_a_table_without_a_minimum_is_nan_beside_the_others():
    design = sf.simulation.isoflop_design([1e19, 1e20], points=5)
    N, D = (design[name].to_numpy().reshape(2, 5) for name in "ND")
    loss = sf.simulate(design, noise=0.0)["loss"].to_numpy().reshape(2, 5)
    found = vertex_fits([1e19, 1e20], N, D, np.stack([loss, -loss]))
    assert np.isfinite(found.n_law.exponent[0]) and np.isnan(found.n_law.exponent[1])
    assert found.usable.tolist() == [[True, True], [False, False]]
