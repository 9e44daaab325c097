"""Laws compared: errors by hand, paired differences, nested tests, the law that is chosen."""

from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.data.table import as_table
from scalefit.errors import ArgumentError, DataError
from scalefit.laws import Amplitude, Exponent, Offset
from scalefit.laws.kinds import Bounds
from scalefit.objective import Objective
from scalefit.simulation import isoflop_design
from scalefit.validation.candidates import fitted, read_laws
from scalefit.validation.comparison_folds import common_folds
from scalefit.validation.nested_tests import nested_tests
from scalefit.validation.paired_differences import differences

LAWS = ["chinchilla_n", "chinchilla_tied", "chinchilla"]
SQUARES = {"residual": "log", "robust": "none"}


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(isoflop_design(points=7), noise=0.004, seed=1)


@pytest.fixture(scope="module")
def found(runs):
    return sf.compare(runs, LAWS, **SQUARES)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def test_errors_are_those_of_fits_to_the_other_budgets(runs, found):
    top = runs["C"] > 5e20
    errors = {}
    for law in LAWS:
        fit = sf.fit(runs[~top], law, **SQUARES, certify=False)
        errors[law] = np.log(runs.loc[top, "loss"] / fit.predict(runs[top]))
    expected = sorted(LAWS, key=lambda law: rms(errors[law]))
    assert list(found.laws) == expected == ["chinchilla", "chinchilla_tied", "chinchilla_n"]
    frame = found.to_frame()
    for law in LAWS:
        np.testing.assert_allclose(found.held_out[law], errors[law], atol=1e-9)
        assert frame.loc[law, "error"] == pytest.approx(rms(errors[law]), rel=1e-6)
        assert frame.loc[law, "mean_abs"] == pytest.approx(np.mean(np.abs(errors[law])), rel=1e-6)
    assert list(found.held_out["row"]) == list(runs.index[top])
    np.testing.assert_allclose(found.held_out["reach"], 1.0, atol=0.05)


def test_the_best_is_fitted_to_all_rows_and_laws_are_weighed_by_their_errors(runs, found):
    whole = sf.fit(runs, "chinchilla", **SQUARES, certify=False)
    assert found.best == "chinchilla"
    assert found.fit.params["alpha"] == pytest.approx(whole.params["alpha"], rel=1e-9)
    error = found.to_frame()["error"]
    expected = (1 / error) / (1 / error).sum()
    np.testing.assert_allclose([found.weights[law] for law in error.index], expected)
    at = {"N": [1e9, 5e9], "D": [2e10, 1e11]}
    inner = {"chinchilla_n": {"N": at["N"]}}
    mixed = sum(
        found.weights[law] * np.log(found.fits[law].evaluate(**inner.get(law, at))) for law in LAWS
    )
    np.testing.assert_allclose(found.predict(**at), np.exp(mixed))


def test_the_verdict_is_that_of_the_intervals(found):
    frame = found.to_frame()
    for law, row in frame.iterrows():
        if law != found.best:
            assert (row["verdict"] == "worse") == (row["low"] > 0)
            assert row["low"] < row["worse_by"] < row["high"]
    assert frame.loc["chinchilla_n", "verdict"] == "worse"
    assert "better than chinchilla_n by" in found.verdict()
    wide, narrow = (found.to_frame(level) for level in (0.99, 0.5))
    assert (wide["low"].dropna() < narrow["low"].dropna()).all()


def test_criteria_are_those_of_the_gaussian_likelihood(runs, found):
    frame, n = found.to_frame(), len(runs)
    for law in LAWS:
        fit = found.fits[law]
        residuals = np.log(runs["loss"] / fit.evaluate(runs))
        loglik = stats.norm(0, rms(residuals)).logpdf(residuals).sum()
        k = fit.n_free + 1
        assert frame.loc[law, "bic"] == pytest.approx(k * np.log(n) - 2 * loglik)
        aicc = 2 * k - 2 * loglik + 2 * k * (k + 1) / (n - k - 1)
        assert frame.loc[law, "aicc"] == pytest.approx(aicc)
    robust = sf.compare(runs, ["chinchilla_tied", "chinchilla"])
    assert robust.to_frame()["aicc"].isna().all()
    assert "no_criteria" in {note.code for note in robust.notes}


def test_the_test_of_one_exponent_is_the_f_test(runs, found):
    sums = {law: np.sum(np.log(runs["loss"] / found.fits[law].evaluate(runs)) ** 2) for law in LAWS}
    df = len(runs) - 5
    expected = (sums["chinchilla_tied"] - sums["chinchilla"]) / sums["chinchilla"] * df
    row = found.tests.set_index(["law", "within"]).loc[("chinchilla_tied", "chinchilla")]
    assert row["statistic"] == pytest.approx(expected, rel=1e-6)
    assert row["p"] == pytest.approx(stats.f.sf(expected, 1, df), rel=1e-4)
    assert (row["df"], row["df_resid"], row["constraint"]) == (1, df, "alpha = beta")


def test_fixed_and_tied_parameters_are_restrictions(runs):
    laws = {
        "free": {"law": "chinchilla"},
        "no floor": {"law": "chinchilla", "fixed": {"E": 0}},
        "at 1.7": {"law": "chinchilla", "fixed": {"E": 1.7}},
        "one exponent": {"law": "chinchilla", "tied": [("alpha", "beta")]},
    }
    tests = sf.compare(runs, laws, **SQUARES).tests.set_index(["law", "within"])
    assert set(tests.index) == {
        ("no floor", "free"),
        ("at 1.7", "free"),
        ("one exponent", "free"),
    }
    assert tests.loc[("no floor", "free"), "method"] == "F, half"
    assert tests.loc[("at 1.7", "free"), "method"] == "F"
    assert tests.loc[("no floor", "free"), "p"] < 1e-6


def test_differences_over_blocks_are_students_t_over_block_means():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(2, 24)) * [[1.0], [1.3]]
    owner = np.repeat(np.arange(6), 4)
    got = differences(errors, owner)
    size = np.sqrt(np.mean(errors**2, axis=1))
    assert got.value[0, 1] == pytest.approx(size[0] - size[1])
    each = (errors[0] ** 2 - errors[1] ** 2) / size.sum()
    expected = stats.ttest_1samp(each.reshape(6, 4).mean(axis=1), 0)
    assert got.p_values(1)[0, 1] == pytest.approx(expected.pvalue)
    assert got.p_values(3)[0, 1] == pytest.approx(min(1, 3 * expected.pvalue))
    assert got.blocks == 6


def test_the_noise_of_the_training_runs_is_added():
    rng = np.random.default_rng(1)
    errors, drawn = rng.normal(size=(2, 9)), rng.normal(size=(2, 4, 9))
    drawn[:, 3] = np.nan
    got = differences(errors, np.zeros(9), drawn)
    size = np.sqrt(np.mean(errors**2, axis=1))
    each = (errors[0] ** 2 - errors[1] ** 2) / size.sum()
    other = np.diff(np.sqrt(np.mean(drawn[:, :3] ** 2, axis=2)), axis=0)[0]
    assert got.se[0, 1] == pytest.approx(np.sqrt(each.var(ddof=1) / 9 + other.var(ddof=1)))
    assert (got.blocks, got.draws) == (0, 3)


def test_a_curve_is_held_out_by_half_octaves_that_leave_runs_enough():
    x = np.r_[np.geomspace(1, 64, 13)]
    table = as_table(pd.DataFrame({"x": x, "loss": 1 + x**-0.3}), x="x")
    law = sf.laws.find("power_offset")
    options = {"by": None, "scheme": "largest", "hold": 1, "test": None}
    (fold,), *_ = common_folds(table, [law], 3, **options)
    assert list(np.flatnonzero(fold.test)) == [12]
    (fold,), *_ = common_folds(table, [law], 3, **{**options, "hold": 4})
    assert list(np.flatnonzero(fold.test)) == [9, 10, 11, 12]
    (fold,), *_ = common_folds(table, [law], 9, **{**options, "hold": 4})
    assert fold.train.sum() == 11
    with pytest.raises(DataError, match="no fold leaves 14 runs"):
        common_folds(table, [law], 12, **options)


@pytest.fixture(scope="module")
def bent():
    x = np.geomspace(1, 1e3, 16)
    noise = 0.004 * np.random.default_rng(3).normal(size=16)
    curve = x**-0.1 * (1 + (x / 40) ** 5) ** -0.08
    return pd.DataFrame({"x": x, "loss": curve * np.exp(noise)})


CURVES = ["power_offset", "broken_power"]


def test_no_bend_has_no_p_value_by_a_distribution(bent):
    plain = sf.compare(bent, CURVES, robust="none")
    assert plain.tests["p"].isna().all()
    assert "replicates=199" in plain.tests["why"][0]
    assert "no_p_value" in {note.code for note in plain.notes}


@pytest.mark.slow
def test_no_bend_is_tested_by_simulation(bent):
    drawn = sf.compare(bent, CURVES, robust="none", replicates=19)
    assert drawn.tests["p"][0] == pytest.approx(1 / 20)
    assert drawn.tests["method"][0] == "simulated"


def test_groups_of_no_column_are_refused(runs):
    with pytest.raises(sf.errors.ArgumentError, match=r"groups=\(\) is not a column or several"):
        sf.compare(runs, "chinchilla", groups=())


def test_groups_are_pooled_shared_or_alone(runs):
    corpus = np.where(np.arange(len(runs)) % 2, "web", "code")
    loss = runs["loss"] * np.where(corpus == "web", 1.0, 1.2)
    found = sf.compare(runs.assign(corpus=corpus, loss=loss), "chinchilla", groups="corpus")
    frame = found.to_frame()
    assert frame["free"].to_dict() == {"pooled": 5, "shared": 8, "alone": 10}
    assert found.laws[-1] == "pooled"
    tests = found.tests.set_index(["law", "within"])
    assert tests["df"].to_dict() == {
        ("pooled", "shared"): 3,
        ("pooled", "alone"): 5,
        ("shared", "alone"): 2,
    }
    assert set(found.fits["alone"]) == {"code", "web"}
    assert found.fits["pooled"].nobs == len(runs)


@sf.law(source="a test")
def narrow(
    N,
    D,
    *,
    E: Offset,
    A: Amplitude,
    B: Amplitude,
    a: Annotated[Exponent, Bounds(0.05, 0.33)],
    b: Annotated[Exponent, Bounds(0.05, 0.6)],
):
    """E + A N^-a + B D^-b"""
    return E + A * N**-a + B * D**-b


def test_a_law_held_where_the_search_ends_is_not_chosen(runs):
    found = sf.compare(runs, [narrow, "chinchilla_n"])
    assert found.laws[0] == "narrow"
    assert found.best == "chinchilla_n"
    assert found.weights["narrow"] == 0
    assert "held_at_search_bound" in {note.code for note in found.notes}


def test_rolling_origins_with_too_few_runs_are_noted(runs):
    found = sf.compare(runs, ["chinchilla_tied", "chinchilla"], scheme="rolling")
    # Seven runs are what five parameters and two degrees of freedom take: one N each, no tokens.
    assert found.folds == ("C = 1e+18", "C = 1e+19", "C = 1e+20", "C = 1e+21")
    assert len(found.held_out) == 28
    found = sf.compare(runs, ["chinchilla", "chinchilla_outer"], scheme="rolling")
    assert found.folds == ("C = 1e+19", "C = 1e+20", "C = 1e+21")
    (note,) = (note for note in found.notes if note.code == "folds_left_out")
    assert note.details["folds"] == 1


def test_what_makes_no_comparison_is_refused(runs):
    with pytest.raises(ArgumentError, match="alone is no comparison"):
        sf.compare(runs, "chinchilla")
    with pytest.raises(ArgumentError, match="twice"):
        sf.compare(runs, ["chinchilla", "chinchilla"])
    with pytest.raises(ArgumentError, match="key of laws"):
        sf.compare(runs, {"chinchilla": {"seed": 1}, "chinchilla_n": {}})
    with pytest.raises(ArgumentError, match="each say what is held out"):
        sf.compare(runs, LAWS, by="C", test="C > 1e20")
    with pytest.raises(ArgumentError, match="scheme"):
        sf.compare(runs, LAWS, scheme="random")
    with pytest.raises(ArgumentError, match="their errors do not compare"):
        sf.compare(runs, ["chinchilla", sf.laws.find("coverage_beta")])


def test_the_picture_shows_the_intervals(found):
    axes = sf.plot.comparison(found)
    frame = found.to_frame()
    ends = [line.get_xdata() for line in axes[1].lines if len(line.get_xdata()) == 2]
    for _, row in frame.iloc[1:].iterrows():
        assert any(np.allclose(item, [100 * row["low"], 100 * row["high"]]) for item in ends)
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("robust", ["none", "huber"])
def test_p_values_of_nested_laws_are_uniform_under_the_smaller_one(robust):
    """Simulated with one exponent; 120 p values against the uniform distribution."""
    design = isoflop_design(points=7)
    truth = {"E": 1.7, "A": 500.0, "B": 900.0, "alpha": 0.31}
    candidates = read_laws(["chinchilla_tied", "chinchilla"])
    p = []
    for seed in range(120):
        table = as_table(sf.simulate(design, "chinchilla_tied", truth, noise=0.005, seed=seed))
        both = [fitted(item, table, Objective("log", robust)) for item in candidates]
        (test,) = nested_tests(both, table, 0, 0)
        p.append(test.p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    # 5 % of 120, and three standard errors.
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


@pytest.mark.slow
def test_laws_that_predict_alike_are_rarely_told_apart():
    """Two regressions, mirror images of each other on a table that is its own mirror image."""
    rng = np.random.default_rng(0)
    grid = np.linspace(-1, 1, 7)
    u, v = (item.ravel() for item in np.meshgrid(grid, grid))
    block = np.round(3 * (u + v)).astype(int)
    designs = [np.stack([np.ones(49), a, b, a**2], axis=1) for a, b in ((u, v), (v, u))]

    def errors(design, loss, rows):
        return loss - design @ np.linalg.lstsq(design[rows], loss[rows], rcond=None)[0]

    rejected = {"largest": [], "rolling": []}
    for _ in range(500):
        loss = u + v + 0.05 * (np.sin(3 * u) + np.sin(3 * v)) + 0.1 * rng.normal(size=49)
        test = block > 2
        noise = 0.1 * rng.normal(size=(24, 49)) * ~test
        drawn = [[errors(design, loss + more, ~test)[test] for more in noise] for design in designs]
        single = [errors(design, loss, ~test)[test] for design in designs]
        got = differences(np.array(single), block[test], np.array(drawn))
        rejected["largest"].append(got.p_values(1)[0, 1] < 0.05)
        steps = range(-1, 6)
        each = [
            np.concatenate([errors(design, loss, block < k)[block == k] for k in steps])
            for design in designs
        ]
        owner = np.concatenate([block[block == k] for k in steps])
        rejected["rolling"].append(differences(np.array(each), owner).p_values(1)[0, 1] < 0.05)
    # 5 % of 500, and three standard errors.
    assert max(np.mean(item) for item in rejected.values()) < 0.08


@pytest.mark.slow
def test_farseer_is_not_preferred_on_runs_of_chinchilla():
    design, better = isoflop_design(points=9), 0
    for seed in range(6):
        runs = sf.simulate(design, noise=0.005, seed=seed)
        frame = sf.compare(runs, ["chinchilla", "farseer"], hold=2).to_frame()
        better += frame.index[0] == "farseer" and frame["verdict"].iloc[1] == "worse"
    # The chance of more than 1 of 6 is 3.3 % at 5 % each.
    assert better <= 1
