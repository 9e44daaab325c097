"""Trends, blocks left out and other objectives, against what numpy and refits say."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f, t

import scalefit as sf
from scalefit.data.table import as_table
from scalefit.errors import ArgumentError, DataError
from scalefit.reporting.numbers import chance
from scalefit.simulation import isoflop_design
from scalefit.validation.residual_trends import holm
from scalefit.validation.targets import find_target

BUDGETS = [1e18, 1e19, 1e20, 1e21, 1e22]


@pytest.fixture(scope="module")
def runs():
    design = sf.simulation.isoflop_design(BUDGETS, points=7)
    return sf.simulate(design, noise=0.004, seed=1)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, robust="none", certify=False)


@pytest.fixture(scope="module")
def found(fit, runs):
    return sf.diagnose(fit, runs)


def codes(found):
    return {note.code for note in found.notes}


def log_law(params, runs):
    return np.log(
        params["E"]
        + params["A"] * runs["N"] ** -params["alpha"]
        + params["B"] * runs["D"] ** -params["beta"]
    )


def jacobian(fit, runs):
    """Derivatives of log residuals in E, A, B, alpha, beta, by hand."""
    p, N, D = fit.params, runs["N"].to_numpy(), runs["D"].to_numpy()
    a, b = N ** -p["alpha"], D ** -p["beta"]
    columns = [np.ones(len(N)), a, b, -p["A"] * a * np.log(N), -p["B"] * b * np.log(D)]
    return -np.column_stack(columns) / np.exp(log_law(p, runs)).to_numpy()[:, None]


@pytest.mark.parametrize("name", ["N", "D", "C", "D/N"])
def test_slopes_and_curvatures_are_those_of_least_squares(fit, runs, found, name):
    e = np.log(runs["loss"]) - log_law(fit.params, runs)
    x = runs["D"] / runs["N"] if name == "D/N" else runs[name]
    trends = found.trends[found.trends["column"] == name].set_index("term")["value"]
    assert trends["slope"] == pytest.approx(np.polyfit(np.log10(x), e, 1)[0], abs=1e-9)
    assert trends["curvature"] == pytest.approx(np.polyfit(np.log10(x), e, 2)[0], abs=1e-9)


@pytest.mark.parametrize("name", ["N", "D/N"])
def test_errors_of_slopes_are_the_jackknife_over_budgets(fit, runs, found, name):
    """A term b z is added to the linearised law, and refitted without each budget."""
    e = (np.log(runs["loss"]) - log_law(fit.params, runs)).to_numpy()
    z = np.log10(runs["D"] / runs["N"] if name == "D/N" else runs[name]).to_numpy()
    d = z - z.mean()
    X = np.column_stack([jacobian(fit, runs), d])
    X = X / np.linalg.norm(X, axis=0)
    whole = np.linalg.lstsq(X, e, rcond=None)[0][-1]
    without = [
        np.linalg.lstsq(X[rows], e[rows], rcond=None)[0][-1]
        for rows in ((runs["C"] != b).to_numpy() for b in BUDGETS)
    ]
    se = np.sqrt(4 / 5 * np.sum((np.array(without) - whole) ** 2))
    rest = d - X[:, :-1] @ np.linalg.lstsq(X[:, :-1], d, rcond=None)[0]
    # From the column of unit length to z, and from what the law leaves of z to z itself.
    expected = se / np.linalg.norm(d) * (rest @ rest) / (d @ d)
    row = found.trend_intervals(0.9).query(f"column == '{name}' and term == 'slope'").iloc[0]
    assert row["se"] == pytest.approx(expected, rel=1e-6)
    assert row["df"] == 4
    half = t.ppf(0.95, 4) * expected
    assert row["low"] == pytest.approx(row["value"] - half, rel=1e-6)
    assert row["high"] == pytest.approx(row["value"] + half, rel=1e-6)


def test_probabilities_are_adjusted_by_holm():
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 raised to the one before, 0.9 * 1.
    adjusted = holm(np.array([0.9, 0.01, np.nan, 0.03, 0.02]))
    np.testing.assert_allclose(adjusted, [0.9, 0.04, np.nan, 0.06, 0.06])


def test_a_block_left_out_is_the_fit_of_the_others(fit, runs, found):
    for by, blocks in (("C", 5), ("N", None)):
        part = found.left_out[found.left_out["by"] == by]
        assert blocks is None or len(part) == blocks
    for budget in (1e18, 1e21):
        row = found.left_out[found.left_out["block"] == f"{budget:.3g}"].iloc[0]
        alone = sf.fit(runs[runs["C"] != budget], robust="none", certify=False)
        for name, value in alone.params.items():
            assert row[name] == pytest.approx(value, rel=1e-6)
        best, whole = (float(sf.allocate(item, found.target.flops).N) for item in (alone, fit))
        assert row["N"] == pytest.approx(best, rel=1e-6)
        assert row["swing"] == pytest.approx(np.log(best / whole), abs=1e-6)
        assert row["runs"] == 7


def test_the_target_is_a_decade_beyond_and_can_be_given(fit, runs, found):
    largest = 6 * float((runs["N"] * runs["D"]).max())
    assert found.target.flops == pytest.approx(10 * largest)
    assert found.answer == pytest.approx(float(sf.allocate(fit, 10 * largest).N))
    assert "10 times the largest 6ND" in found.summary()
    other = sf.diagnose(fit, runs, target=1e24)
    assert other.target.flops == 1e24
    assert other.answer == pytest.approx(float(sf.allocate(fit, 1e24).N))


def test_a_swing_has_the_variance_of_the_fits_with_and_without(fit, runs, found):
    """Against the covariances of squares: Var(without) - Var(with), noise by the others."""
    J = jacobian(fit, runs)
    C, p = found.target.flops, fit.params
    a, b = p["alpha"], p["beta"]
    G = np.log(a * p["A"] / (b * p["B"])) / (a + b)
    # ln N* = (ln(alpha A / (beta B)) + beta ln(C/6)) / (alpha + beta).
    lnN = G + b / (a + b) * np.log(C / 6)
    g = np.array([0.0, 1 / p["A"], -1 / p["B"], 1 / a - lnN, -1 / b + np.log(C / 6) - lnN])
    g[1:] /= a + b
    row = found.left_out[found.left_out["block"] == "1e+19"].iloc[0]
    rest = (runs["C"] != 1e19).to_numpy()
    scale = np.linalg.norm(J, axis=0)
    J, g = J / scale, g / scale
    unit = g @ np.linalg.solve(J[rest].T @ J[rest], g) - g @ np.linalg.solve(J.T @ J, g)
    other = sf.fit(runs[rest], robust="none", certify=False)
    noise = np.sum(other.residuals(runs[rest]) ** 2) / (28 - 5)
    assert row["expected"] == pytest.approx(np.sqrt(noise * unit), rel=1e-5)


def test_other_objectives_are_fits_by_them(runs, fit, found):
    target = found.target.flops
    for label, options in {
        "log residuals, Huber": {},
        "raw residuals, squares": {"residual": "raw", "robust": "none"},
        "log residuals, absolute": {"robust": "l1"},
    }.items():
        other = sf.fit(runs, certify=False, **options)
        best = float(sf.allocate(other, target).N)
        assert found.objectives.loc[label, "N"] == pytest.approx(best, rel=1e-8)
        change = np.log(best / found.answer)
        assert found.objectives.loc[label, "change"] == pytest.approx(change, abs=1e-8)
    assert found.objectives.index[0] == "as given"


def test_a_budget_whose_sizes_were_tuned_otherwise_is_found(runs):
    """In one budget large models were trained too coarsely: their losses are up to 4 % too high."""
    bad = runs.copy()
    rows = bad["C"] == 1e20
    share = np.log(bad["N"][rows] / bad["N"][rows].min())
    bad.loc[rows, "loss"] *= np.exp(0.04 * share / share.max())
    found = sf.diagnose(sf.fit(bad, robust="none", certify=False), bad)
    flagged = found.left_out[found.left_out["flagged"]]
    assert "1e+20" in set(flagged["block"])
    assert found.largest_swing["block"] == "1e+20"
    note = next(note for note in found.notes if note.code == "influential_block")
    assert "C = 1e+20" in note.details["blocks"]


def test_a_smooth_pattern_is_that_of_an_f_test(fit, runs, found):
    """A cubic in ln N and ln D beside the law's derivatives, by least squares."""
    e = (np.log(runs["loss"]) - log_law(fit.params, runs)).to_numpy()
    x, y = (np.log(runs[name] / runs[name].median()).to_numpy() for name in ("N", "D"))
    cubic = [x**i * y**j for i in range(4) for j in range(4) if 1 <= i + j <= 3]
    J = jacobian(fit, runs)
    X = np.column_stack([J, *cubic])
    X = X / np.linalg.norm(X, axis=0)
    whole, rest = (
        np.sum((e - A @ np.linalg.lstsq(A, e, rcond=None)[0]) ** 2)
        for A in (J / np.linalg.norm(J, axis=0), X)
    )
    assert found.pattern.terms == 9
    # In J and cubic nothing is lost to rounding; the residuals are within 3.5 deviations.
    assert found.pattern.share == pytest.approx(1 - (rest / 21) / (whole / 30), abs=1e-6)
    assert found.pattern.p == pytest.approx(f.sf((whole - rest) / 9 / (rest / 21), 9, 21), rel=1e-4)


def test_a_term_that_the_law_lacks_is_a_trend():
    """A power of D/N beside the terms of N and D."""
    design = sf.simulation.isoflop_design(np.geomspace(1e18, 1e22, 9), points=9, width=20.0)
    runs = sf.simulate(design, noise=0.002, seed=3)
    z = np.log10(runs["D"] / runs["N"])
    bent = runs.assign(loss=runs["loss"] * np.exp(0.01 * (z - z.mean()) ** 2))
    found = sf.diagnose(sf.fit(bent, robust="none", certify=False), bent)
    flagged = found.trends[found.trends["flagged"]]
    assert "D/N" in set(flagged["column"])
    assert {"residual_trend", "residual_pattern"} <= codes(found)
    assert not sf.diagnose(sf.fit(runs, robust="none", certify=False), runs).trends["flagged"].any()


WRONG = {"residual_trend", "residual_pattern", "influential_block", "objective_decides"}


def test_a_clean_table_flags_nothing(found):
    assert not WRONG & codes(found)
    assert not found.trends["flagged"].any() and not found.left_out["flagged"].any()


def test_what_moves_the_answer_is_sorted_and_said(found):
    frame = found.to_frame()
    assert set(frame.index) >= {"interval", "C", "N", "objective"}
    assert (frame["factor"].diff().dropna() <= 0).all()
    low, high = found.estimate("N").interval()
    most = max(abs(np.log(low / found.answer)), abs(np.log(high / found.answer)))
    assert frame.loc["interval", "factor"] == pytest.approx(np.exp(most))
    swings = found.left_out[found.left_out["by"] == "C"]["swing"].abs()
    assert frame.loc["C", "factor"] == pytest.approx(np.exp(swings.max()))
    assert "hinges most on" in found.summary() and "hinges most on" in repr(found)


def test_far_off_runs_are_left_out_once(runs):
    off = runs.copy()
    off.loc[[3, 20], "loss"] *= 1.2
    fit = sf.fit(off)
    found = sf.diagnose(fit, off)
    assert list(found.residuals.index[found.residuals["flagged"]]) == [3, 20]
    alone = sf.fit(off.drop([3, 20]))
    row = found.objectives.loc["without flagged runs"]
    assert row["runs"] == 33
    assert row["alpha"] == pytest.approx(alone.params["alpha"], rel=1e-6)


def test_a_law_of_one_column_is_asked_for_a_prediction():
    x = np.geomspace(1e3, 1e9, 24)
    loss = (1.6 + 30 * x**-0.25) * np.exp(0.005 * np.random.default_rng(0).normal(size=24))
    runs = pd.DataFrame({"x": x, "loss": loss})
    fit = sf.fit(runs, "power_offset")
    found = sf.diagnose(fit, runs)
    assert found.target.columns["x"] == pytest.approx(1e10)
    assert found.answer == pytest.approx(float(fit.evaluate(x=1e10)))
    assert len(found.left_out) == 12
    assert {note.code for note in found.notes} >= {"blocks_joined"}
    given = sf.diagnose(fit, runs, target=3e9)
    assert given.answer == pytest.approx(float(fit.evaluate(x=3e9)))
    assert sf.plot.diagnosis(found).shape == (3,)


def test_grouped_coefficients_have_a_prediction(runs):
    runs = runs.assign(corpus=np.where(np.arange(len(runs)) % 2, "web", "code"))
    runs["loss"] *= np.where(runs["corpus"] == "web", 1.05, 1.0)
    fit = sf.fit(runs, groups={"E": "corpus"})
    found = sf.diagnose(fit, runs)
    assert found.target.names == ("loss",) and "corpus" in found.target.reason
    assert {"E[web]", "E[code]"} <= set(found.left_out)
    where = {**found.target.columns, **found.target.levels}
    assert found.answer == pytest.approx(float(fit.evaluate(**where)))
    assert 6 * where["N"] * where["D"] == pytest.approx(10 * 6 * (runs["N"] * runs["D"]).max())


def test_constraints_and_weights_are_those_of_the_fit(runs):
    weight = np.where(runs["C"] == 1e18, 0.0, 1.0 + runs.index % 2)
    runs = runs.assign(weight=weight)
    fit = sf.fit(runs, tied=[("alpha", "beta")], fixed={"E": 1.7})
    found = sf.diagnose(fit, runs)
    assert (found.left_out["alpha"] == found.left_out["beta"]).all()
    assert (found.left_out["E"] == 1.7).all()
    assert len(found.residuals) == 28 and "1e+18" not in set(found.left_out["block"])
    row = found.left_out[found.left_out["block"] == "1e+20"].iloc[0]
    alone = sf.fit(runs[runs["C"] != 1e20], tied=[("alpha", "beta")], fixed={"E": 1.7})
    assert row["alpha"] == pytest.approx(alone.params["alpha"], rel=1e-6)


def test_blocks_of_a_column_take_the_place_of_budgets(runs, fit):
    labelled = runs.assign(lab=np.array(["a", "b", "c", "d"])[np.arange(len(runs)) % 4])
    found = sf.diagnose(fit, labelled, by="lab")
    assert list(dict.fromkeys(found.left_out["by"])) == ["lab", "N"]
    assert (found.trends["df"] == 3).all()
    assert list(found.residuals["block"].cat.categories) == ["a", "b", "c", "d"]


def test_blocks_that_the_law_needs_are_listed_with_their_reason():
    """Of two sizes, neither can be left out."""
    N = np.repeat([1e8, 1e9], 8)
    D = np.tile(np.geomspace(1e9, 1e11, 8), 2)
    runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    runs["loss"] *= np.exp(0.002 * np.random.default_rng(1).normal(size=16))
    fit = sf.fit(runs, fixed={"alpha": 0.34})
    found = sf.diagnose(fit, runs)
    failed = found.left_out[found.left_out["by"] == "N"]
    assert (failed["failure"] != "").all() and failed["swing"].isna().all()
    assert "block_needed" in codes(found)
    assert "N = 100M" in found.summary()


def test_without_an_optimum_the_reason_is_told_and_a_prediction_taken():
    """Runs at one D/N: allocate refuses."""
    N = np.geomspace(1e7, 1e10, 14)
    runs = pd.DataFrame(
        {"N": N, "D": 20 * N, "loss": 1.7 + 400 * N**-0.34 + 410 * (20 * N) ** -0.28}
    )
    runs["loss"] *= np.exp(0.004 * np.random.default_rng(1).normal(size=14))
    runs["D"] *= np.exp(0.01 * np.random.default_rng(2).normal(size=14))
    fit = sf.fit(runs, robust="none", certify=False)
    # The target alone: the blocks and objectives of such runs take seconds.
    target = find_target(fit, as_table(runs), None)
    assert target.names == ("loss",) and "one_ratio" in target.reason + str(fit.notes)


def test_what_cannot_be_diagnosed_is_refused(runs):
    exact = sf.simulate(sf.simulation.isoflop_design(BUDGETS, points=7), noise=0.0)
    with pytest.raises(DataError, match="nothing to diagnose"):
        sf.diagnose(sf.fit(exact), exact)
    with pytest.raises(DataError, match="published"):
        sf.diagnose(sf.published("chinchilla", "hoffmann"), runs)
    fit = sf.fit(runs)
    with pytest.raises(DataError, match="not the 35 runs"):
        sf.diagnose(fit, runs.iloc[1:])
    for options, what in (
        ({"target": -1.0}, "target"),
        ({"target": "1e24"}, "target"),
        ({"by": 3}, "by"),
        ({"seed": -1}, "seed"),
        ({"targte": 1e24}, "targte"),
    ):
        with pytest.raises(ArgumentError) as caught:
            sf.diagnose(fit, runs, **options)
        assert caught.value.argument == what
    with pytest.raises(DataError, match="no column"):
        sf.diagnose(fit, runs, by="lab")


def test_the_table_may_be_a_table_or_headers(runs, fit, found):
    other = sf.diagnose(fit, as_table(runs))
    pd.testing.assert_frame_equal(other.left_out, found.left_out)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_right_laws_are_rarely_flagged():
    """Of tables of a right law, 5 % at most are flagged."""
    flagged = 0
    design = sf.simulation.isoflop_design(BUDGETS, points=7)
    for seed in range(40):
        runs = sf.simulate(design, noise=0.005, seed=seed)
        robust = "none" if seed % 2 else "huber"
        fit = sf.fit(runs, robust=robust, certify=False)
        flagged += bool(WRONG & codes(sf.diagnose(fit, runs)))
    # At 5 % five or more of 40 are flagged with a probability of 5 %.
    assert flagged <= 4


def test_trends_that_the_law_imitates_are_named_and_have_no_row():
    """A power law of N and D fits every slope along them: 1e-11 % is no finding."""
    N, D = (item.ravel() for item in np.meshgrid(np.geomspace(1e7, 1e9, 6), [1e9, 1e10, 1e11]))
    rates = pd.DataFrame({"N": N, "D": D, "lr": 2.0 * N**-0.4 * D**0.1})
    rates["lr"] *= np.exp(0.05 * np.random.default_rng(0).standard_normal(len(rates)))
    fit = sf.fit(rates, "optimal_learning_rate", loss="lr", robust="none")
    described = sf.diagnose(fit, rates, loss="lr").describe()
    assert "slope along N" in described.facts["not asked"]
    (trends,) = [table for table in described.tables if table.title.startswith("Trends")]
    assert "slope" not in trends.columns[1].values


def test_a_pattern_beside_a_good_verdict_says_why():
    """The verdict looks along one column at a time; a twist of N and D shows in no column."""
    table = sf.simulate(isoflop_design(points=9), noise=0.002, seed=1)[["N", "D", "loss"]]
    x, y = (np.log10(table[name] / table[name].median()) for name in ("N", "D"))
    table["loss"] *= np.exp(0.006 * (x * y**2 - x))
    twisted = sf.fit(table)
    assert twisted.verdict.level == "good"
    assert "no pattern along any one of N" in twisted.verdict.words
    notes = sf.diagnose(twisted, table).notes
    (note,) = [note for note in notes if note.code == "residual_pattern"]
    assert "one column at a time" in note.message


def test_a_probability_that_underflows_is_no_zero():
    assert (chance(0.0), chance(0.0213)) == ("p < 1e-300", "p = 0.021")
