"""The picture of sweeps shows what was found."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scalefit as sf


@pytest.fixture
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.002, seed=2)


def test_vertices_parabolas_and_runs_are_drawn(runs):
    small = runs[(runs["C"] < runs["C"].max()) | (runs.index < runs.index[-5])]
    found = sf.isoflop(small)
    ax = sf.plot.isoflop(found, small)
    budgets = found.budgets
    diamonds = [
        item
        for item in ax.collections
        if len(item.get_paths()[0].vertices) == 5 and len(item.get_offsets()) == 1
    ]
    np.testing.assert_allclose([item.get_offsets()[0][0] for item in diamonds], budgets["N"])
    np.testing.assert_allclose([item.get_offsets()[0][1] for item in diamonds], budgets["loss"])
    solid = [line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 9]
    assert len(solid) == 6
    x, y = solid[0].get_xdata(), solid[0].get_ydata()
    first = small[small["C"] == small["C"].min()]
    fitted = np.polyval(np.polyfit(np.log(first["N"]), first["loss"], 2), np.log(x))
    np.testing.assert_allclose(y, fitted, rtol=1e-9)
    # The last budget's vertex lies beyond its runs.
    assert [line.get_linestyle() for line in ax.lines].count("--") == 1
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-2:] == ["vertex", "vertex, edge minimum"]
    assert f"{found.n_exponent:.3f}" in ax.get_title()
    law = next(line for line in ax.lines if "power law" in line.get_label())
    np.testing.assert_allclose(law.get_xdata()[[0, -1]], found.n_law.at(found.span))
    assert np.all(np.diff(law.get_xdata()) > 0)
    bar = ax.figure.axes[1]
    assert bar.get_yticklabels()[-1].get_text() == "$10^{21}$"


def test_runs_that_were_left_out_are_crosses(runs):
    runs.loc[12, "loss"] += 0.5
    found = sf.isoflop(runs, rules=["spline_outlier"], method="akima")
    ax = sf.plot.isoflop(found, runs, ax=plt.subplots()[1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"left out ({len(found.removed)} runs)" in labels


def test_another_table_is_refused(runs):
    with pytest.raises(sf.errors.DataError, match="lacks runs"):
        sf.plot.isoflop(sf.isoflop(runs), runs[:20])


def test_a_result_draws_itself_and_one_budget_does_not_squash_the_rest(runs):
    plain = sf.plot.isoflop(sf.isoflop(runs)).get_ylim()
    runs.loc[runs.index[8], "loss"] *= 3
    ax = sf.plot.isoflop(sf.isoflop(runs))
    assert ax.get_ylim()[1] < 1.5 * plain[1]
