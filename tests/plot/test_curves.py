"""What the picture of curves shows; checked on its artists, not its pixels."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

SIZES, TOKENS = [1e8, 3e8, 1e9], [2e9, 6e9, 2e10, 6e10]
TRUTH = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture(scope="module")
def runs():
    # The largest size has no run of the most tokens.
    grid = [(N, D) for N in SIZES for D in TOKENS if N * D < 5e19]
    return sf.simulate(pd.DataFrame(grid, columns=["N", "D"]), params=TRUTH, noise=0.003, seed=1)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


@pytest.fixture(scope="module")
def draws(fit, runs):
    return sf.covariance(fit, runs).draws(200, seed=2)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax, style):
    # Lines of the law: neither those of one value nor entries of the legend.
    return [
        line.get_xydata().T
        for line in ax.lines
        if len(line.get_xdata()) > 2 and line.get_linestyle() == style
    ]


def test_a_line_for_each_size_is_solid_where_its_runs_are(fit, runs):
    ax = sf.plot.curves(fit, runs)
    solid = drawn(ax, "-")
    assert len(solid) == 3
    for N, (D, loss) in zip(SIZES, solid, strict=True):
        np.testing.assert_allclose(loss, fit.evaluate(N=N, D=D))
        own = runs["D"][runs["N"] == N]
        np.testing.assert_allclose([D[0], D[-1]], [own.min(), own.max()])
    ends = sorted({D[0] for D, _ in drawn(ax, "--")})
    np.testing.assert_allclose(ends, [2e10, 6e10])
    assert len(ax.figure.axes[1].get_yticklabels()) == 3
    assert f"{len(runs)} runs" in labels(ax)


def test_against_compute_the_envelope_is_the_optimum(fit, runs):
    ax = sf.plot.curves(fit, runs, against="C", flops=1e22)
    (best,) = (line for line in ax.lines if line.get_label() == "compute-optimal")
    np.testing.assert_allclose(best.get_ydata(), sf.allocate(fit, best.get_xdata()).loss)
    (star,) = (line for line in ax.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == 1e22
    C, loss = drawn(ax, "-")[0]
    np.testing.assert_allclose(loss, fit.evaluate(N=1e8, D=C / 6e8))


def test_bands_are_the_intervals_of_the_lines(draws, runs):
    ax = sf.plot.curves(draws, runs, level=0.8)
    assert "80 % interval of the line" in labels(ax)
    corner = ax.collections[0].get_paths()[0].vertices
    at = corner[:, 0].max()
    low, high = draws.estimate_loss(N=1e8, D=at).interval(0.8)
    here = corner[corner[:, 0] == at, 1]
    np.testing.assert_allclose([here.min(), here.max()], [low, high])


def test_the_ranges_of_the_fit_stand_in_for_runs(fit):
    ax = sf.plot.curves(fit, to=1e12)
    D, _ = drawn(ax, "-")[0]
    np.testing.assert_allclose([D[0], D[-1]], fit.domain["D"])
    assert ax.get_xlim()[1] >= 1e12
    unknown = dataclasses.replace(fit, domain=dict.fromkeys(fit.domain, (np.nan, np.nan)))
    with pytest.raises(sf.errors.ArgumentError, match="Pass the runs"):
        sf.plot.curves(unknown)


def test_columns_that_are_not_drawn_are_those_of_most_runs(runs):
    grid = [(N, D, P) for N in SIZES for D in TOKENS for P in (4, 8)] + [(2e8, 1e10, 8)]
    frame = pd.DataFrame(grid, columns=["N", "D", "P"])
    effective = frame["N"] * (1 - np.exp(-frame["P"] / 3.0))
    frame["loss"] = 1.8 + 482 * effective**-0.35 + 2085 * frame["D"] ** -0.37
    fit = sf.fit(frame, "low_precision")
    ax = sf.plot.curves(fit, frame)
    assert "$P$ = 8 (13 of 25 runs)" in ax.get_title()
    D, loss = drawn(ax, "-")[0]
    np.testing.assert_allclose(loss, fit.evaluate(N=1e8, D=D, P=8))
    ax = sf.plot.curves(fit, frame, lines="P", at={"N": 3e8})
    D, loss = drawn(ax, "-")[0]
    np.testing.assert_allclose(loss, fit.evaluate(N=3e8, D=D, P=4))
    with pytest.raises(sf.errors.ArgumentError, match="values of P"):
        sf.plot.curves(fit, frame, at={"D": 1e9})
    with pytest.raises(sf.errors.ArgumentError, match="flops"):
        sf.plot.curves(fit, frame, lines="P", flops=1e22)


def test_a_law_of_one_column_is_one_line(runs):
    frame = pd.DataFrame({"C": np.geomspace(1e18, 1e21, 8)})
    frame["loss"] = 1.8 + 900 * frame["C"] ** -0.15
    fit = sf.fit(frame, "power_offset", x="C")
    ax = sf.plot.curves(fit, frame, against="C", to=1e23)
    assert ax.get_xlabel() == "$C$ (FLOP)"
    assert len(drawn(ax, "-")) == 1
    assert any(label.startswith("$E$ = 1.8") for label in labels(ax))
    with pytest.raises(sf.errors.ArgumentError, match="one line"):
        sf.plot.curves(fit, frame, lines="N")


def test_lines_may_be_levels_of_a_coefficient(runs):
    other = runs.assign(loss=runs["loss"] * 1.02)
    both = pd.concat([runs.assign(format="bf16"), other.assign(format="fp8")], ignore_index=True)
    fit = sf.fit(both, groups={"E": "format"})
    ax = sf.plot.curves(fit, both, lines="format", at={"N": 1e8})
    assert {"format = bf16", "format = fp8"} <= {*labels(ax)}
    (D, loss), _ = drawn(ax, "-")
    np.testing.assert_allclose(loss, fit.evaluate(N=1e8, D=D, format="bf16"))
