"""Laws of one column, and small tables: columns remembered, exact intervals, inverses, crossings.

Right values are closed forms, or those of scipy.
"""

import itertools
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import curve_fit

import scalefit as sf
from scalefit.errors import AllocationError, ArgumentError, DataError, DocumentError
from scalefit.laws import Coefficient, Positive

E, ALPHA = 1.6, 0.0941
SQUARES = {"residual": "raw", "robust": "none"}
PINNED = {"fixed": {"E": E, "alpha": ALPHA}, **SQUARES}


@pytest.fixture(autouse=True)
def far():
    """Predictions far outside are what is asked for here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.NoteWarning)
        yield


def codes(answer):
    return {note.code: note for note in answer.notes}


def four():
    """Four runs along loss(C) = 1.6 + A C^-.0941, off it by a few thousandths."""
    C = np.array([2.19e17, 1.7e18, 9e18, 2.83e19])
    loss = [3.8246409741718863, 3.437086528744456, 3.168129005808365, 3.000978296369284]
    return pd.DataFrame({"C": C, "loss": loss})


def curve(offset=1.6, A=95.0, alpha=0.094, noise=0.002, seed=0, count=12):
    C = np.geomspace(1e18, 1e22, count)
    noisy = np.exp(noise * np.random.default_rng(seed).standard_normal(count))
    return pd.DataFrame({"C": C, "loss": (offset + A * C**-alpha) * noisy})


@pytest.fixture(scope="module")
def pinned():
    return sf.fit(four(), "power_offset", x="C", **PINNED)


@pytest.fixture(scope="module")
def by_hand():
    """A, its standard error and the residual spread, by the formulas of one linear coefficient."""
    runs = four()
    z, y = runs["C"] ** -ALPHA, runs["loss"] - E
    A = (z * y).sum() / (z**2).sum()
    spread = np.sqrt(((y - A * z) ** 2).sum() / 3)
    return A, spread / np.sqrt((z**2).sum()), spread


def test_four_runs_with_a_pinned_asymptote_have_an_exact_interval(pinned, by_hand):
    A, se, _ = by_hand
    assert (round(A, 4), round(se, 4)) == (95.2405, 0.1123)
    found = sf.covariance(pinned, four())
    reach = stats.t.ppf(0.975, 3) * se
    row = found.conf_int().loc["A"]
    np.testing.assert_allclose(row, [A, se, A - reach, A + reach], rtol=1e-8)
    assert found.df == 3 and found.method == "jacobian"
    assert codes(found)["small_sample"].details == {"df": 3}
    whole = sf.profile(pinned, four(), "A")
    np.testing.assert_allclose([whole.low, whole.high], row[["low", "high"]], rtol=1e-5)
    draws = found.draws(20_000)
    np.testing.assert_allclose(draws.conf_int().loc["A", ["low", "high"]], row[2:], rtol=4e-4)
    assert "small_sample" in codes(draws.predict(C=1e21))


def test_a_new_run_beside_four_has_the_interval_of_students_t(pinned, by_hand):
    A, se, spread = by_hand
    z = 1e19**-ALPHA
    reach = stats.t.ppf(0.975, 3) * np.sqrt(spread**2 + (z * se) ** 2)
    low, high = sf.covariance(pinned, four()).draws(20_000).predict(C=1e19, kind="run").interval()
    np.testing.assert_allclose([low, high], [E + A * z - reach, E + A * z + reach], atol=5e-4)


@pytest.mark.parametrize("df", [3, 5, 10])
def test_a_new_run_has_the_predictive_distribution_of_students_t(df):
    """f + s sqrt(1 + h) t: one chi-square scales the parameters and the noise of each draw."""
    C = np.geomspace(1e18, 1e21, df + 2)
    loss = E + 95 * C**-ALPHA + 0.004 * np.random.default_rng(df).standard_normal(len(C))
    runs = pd.DataFrame({"C": C, "loss": loss})
    fit = sf.fit(runs, "power_offset", x="C", fixed={"alpha": ALPHA}, certify=False, **SQUARES)
    X, x = np.stack([np.ones(len(C)), C**-ALPHA], axis=1), np.array([1, 1e22**-ALPHA])
    best, (square,), *_ = np.linalg.lstsq(X, loss, rcond=None)
    scale = np.sqrt(square / df * (1 + x @ np.linalg.solve(X.T @ X, x)))
    draws = sf.covariance(fit, runs, "jacobian").draws(40_000, seed=df)
    found = draws.predict(C=1e22, kind="run")
    for level in (0.5, 0.8, 0.95):
        share = 0.5 + 0.5 * level
        reach = stats.t.ppf(share, df)
        error = np.sqrt(share * (1 - share) / 40_000) / stats.t.pdf(reach, df)
        ends = (np.array(found.interval(level)) - x @ best) / scale
        np.testing.assert_allclose(ends, [-reach, reach], atol=3.5 * error)


def test_what_is_not_exact_is_refused_with_a_call_that_works(pinned):
    runs = four()
    huber = sf.fit(runs, "power_offset", x="C", fixed=PINNED["fixed"])
    bent = sf.fit(runs, "power_offset", x="C", fixed={"E": E}, **SQUARES)
    signed = sf.fit(runs, "signed_power", x="C", **SQUARES)
    for fit in (huber, bent, signed):
        with pytest.raises(DataError, match="fewer than 5") as caught:
            sf.covariance(fit, runs).conf_int()
        call = re.search(r"fit\(runs, .*?\)(?=:)", str(caught.value))[0]
        again = eval(call, {"fit": sf.fit, "runs": runs})
        assert sf.covariance(again, runs).conf_int().loc["A", "se"] > 0
    for ask in (
        lambda: sf.covariance(pinned, runs, "sandwich").conf_int(),
        lambda: sf.bootstrap(pinned, runs, progress=False),
    ):
        with pytest.raises(DataError, match=r"Take covariance\(fit, runs\)"):
            ask()


def test_two_linear_parameters_and_one_degree_of_freedom():
    runs = pd.DataFrame({"C": [1e18, 1e19, 1e21], "accuracy": [0.31, 0.42, 0.57]})
    fit = sf.fit(runs, "logarithmic", x="C", loss="accuracy", **SQUARES)
    right = stats.linregress(np.log(runs["C"]), runs["accuracy"])
    found = sf.covariance(fit, runs).conf_int().loc["b"]
    reach = stats.t.ppf(0.975, 1) * right.stderr
    expected = [right.slope, right.stderr, right.slope - reach, right.slope + reach]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_a_fit_remembers_what_its_table_called_a_column(pinned):
    runs = four()
    right = E + pinned["A"] * 1e24**-ALPHA
    assert pinned.predict(C=1e24) == pinned.predict(x=1e24) == pytest.approx(right, rel=1e-14)
    np.testing.assert_array_equal(pinned.predict(runs), pinned.predict(runs, x="C"))
    np.testing.assert_allclose(pinned.residuals(runs), runs["loss"] - pinned.predict(runs))
    draws = sf.covariance(pinned, runs).draws(50)
    assert draws.predict(C=[1e20, 1e24]).value.shape == (2,)
    loaded = sf.Fit.from_json(pinned.to_json())
    assert loaded.predict(C=1e24) == pinned.predict(C=1e24)
    # A table that was read before has the column under its own name.
    read = sf.read(runs)
    np.testing.assert_array_equal(pinned.predict(read), pinned.predict(runs))
    assert sf.covariance(pinned, read).df == 3
    # A keyword wins.
    other = runs.rename(columns={"C": "flops"})
    np.testing.assert_array_equal(pinned.predict(other, x="flops"), pinned.predict(runs))
    with pytest.raises(ArgumentError, match="not from B"):
        pinned.predict(B=1e24)
    assert "fit.predict(C=...)" in pinned.summary()
    assert "C 2.19e17 to 2.83e19 FLOP" in pinned.summary()


def test_every_method_takes_the_table_again_without_its_headers():
    runs = curve(count=10).rename(columns={"C": "budget of run", "loss": "error"})
    fit = sf.fit(runs, "power_offset", x="budget of run", loss="error")
    draws = sf.bootstrap(fit, runs, n_draws=8, progress=False, global_search=0.0)
    assert len(draws) == 8
    assert sf.covariance(fit, runs).standard_errors["alpha"] > 0
    assert sf.profile(fit, runs, "alpha").low < fit["alpha"]
    ax = sf.plot.predictions(draws, runs.assign(**{"budget of run": runs["budget of run"] * 100}))
    assert "budget of run 2.0 decades outside" in ax.get_title()
    assert fit.predict(**{"budget of run": 1e20}) == fit.predict(x=1e20)


def test_units_are_remembered_with_their_columns():
    grid = [(n, d) for n, d in itertools.product((0.1, 0.4, 1.6, 6.4), (4.0, 20.0, 100.0))]
    runs = pd.DataFrame(grid, columns=["size", "data"])
    rng = np.random.default_rng(0)
    surface = 1.69 + 406.4 * (1e9 * runs["size"]) ** -0.34 + 410.7 * (1e9 * runs["data"]) ** -0.28
    runs["loss"] = surface * np.exp(0.002 * rng.standard_normal(len(runs)))
    fit = sf.fit(runs, N=("size", 1e9), D=("data", 1e9))
    np.testing.assert_array_equal(
        fit.predict(runs), fit.predict(N=1e9 * runs["size"], D=1e9 * runs["data"])
    )
    assert fit.predict(size=7.0, data=140.0) == fit.predict(N=7e9, D=140e9)
    assert sf.covariance(fit, runs).standard_errors["alpha"] > 0
    assert sf.Fit.from_json(fit.to_json()).predict(size=7.0, D=140e9) == fit.predict(N=7e9, D=140e9)


def test_the_note_of_an_extrapolation_names_the_column_and_its_unit(pinned):
    draws = sf.covariance(pinned, four()).draws(50)
    said = codes(draws.predict(C=2.83e21))["extrapolation"].message
    assert said.startswith("C 2.0 decades outside the runs (2.19e17 to 2.83e19 FLOP)")


def test_the_inverse_of_a_pinned_law(pinned, by_hand):
    A, se, _ = by_hand
    right = (A / (2.5 - E)) ** (1 / ALPHA)
    found = sf.inverse_predict(sf.covariance(pinned, four()).draws(), 2.5)
    assert found.value == pytest.approx(right, rel=1e-9)
    ends = A + np.array([-1, 1]) * stats.t.ppf(0.975, 3) * se
    np.testing.assert_allclose(found.interval(), (ends / (2.5 - E)) ** (1 / ALPHA), rtol=5e-3)
    assert codes(found)["extrapolation"].message.startswith("C 2.1 decades")
    assert pinned.predict(C=found.value) == pytest.approx(2.5, rel=1e-13)


def test_losses_that_a_law_never_reaches(pinned):
    found = sf.inverse_predict(pinned, [[3.0, 1.6], [1.5, 2.0]])
    assert found.value.shape == (2, 2)
    assert np.isinf(found.value[[0, 1], [1, 0]]).all() and np.isfinite(np.diag(found.value)).all()
    assert "as loss = 1.6" in codes(found)["level_not_reached"].message
    with pytest.raises(ArgumentError, match="loss"):
        sf.inverse_predict(pinned, np.nan)


def test_an_interval_is_open_where_draws_never_reach_the_loss():
    runs = curve(noise=0.004, seed=3, count=8)
    draws = sf.bootstrap(
        sf.fit(runs, "power_offset", x="C", robust="none", certify=False),
        runs,
        n_draws=300,
        progress=False,
    )
    floor = float(np.quantile(draws.drawn["E"], 0.9))
    found = sf.inverse_predict(draws, floor)
    share = np.mean(draws.drawn["E"] >= floor)
    assert codes(found)["interval_open"].details["share"] == pytest.approx(share)
    assert found.interval()[1] == np.inf and np.isfinite(found.interval()[0])
    # A value is an end of the interval where the prediction there has the loss as its end.
    _, high = draws.predict(C=1e21).interval(0.8)
    assert sf.inverse_predict(draws, high).interval(0.8)[1] == pytest.approx(1e21, rel=0.05)


INVERSES = {
    "power": ({"A": 9.0, "alpha": 0.05}, 0.8, lambda y: (9.0 / y) ** 20),
    "logarithmic": ({"a": -1.2, "b": 0.04}, 0.7, lambda y: np.exp((y + 1.2) / 0.04)),
    "signed_power": ({"A": 2e-4, "b": 0.17}, 0.6, lambda y: (y / 2e-4) ** (1 / 0.17)),
}


@pytest.mark.parametrize("law", INVERSES)
def test_inverses_of_laws_that_fall_and_rise(law):
    params, level, inverse = INVERSES[law]
    C = np.geomspace(1e18, 1e21, 6)
    exact = sf.laws.find(law).evaluate({"x": C}, params)
    fit = sf.fit(pd.DataFrame({"C": C, "y": exact}), law, x="C", loss="y", robust="none")
    found = sf.inverse_predict(fit, level)
    assert found.value == pytest.approx(inverse(level), rel=1e-6)


def test_of_two_columns_the_one_that_is_not_given_is_solved_for():
    params = sf.simulation.SURFACES["chinchilla"]
    fit = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0))
    found = sf.inverse_predict(fit, 2.5, N=[1e9, 1e10, 1e5])
    left = 2.5 - params["E"] - params["A"] * np.array([1e9, 1e10, 1e5]) ** -params["alpha"]
    right = np.where(left > 0, (params["B"] / np.abs(left)) ** (1 / params["beta"]), np.inf)
    np.testing.assert_allclose(found.value, right, rtol=1e-8)
    for columns in ({}, {"N": 1e9, "D": 1e10}, {"M": 1e9}):
        with pytest.raises(ArgumentError, match=r"Call inverse_predict\(fit, loss, N=...\)"):
            sf.inverse_predict(fit, 2.5, **columns)


@sf.law(source="a test", response="error")
def valley(x: Positive, *, a: Coefficient, b: Coefficient):
    """a + b (ln x - 40)^2"""
    return a + b * (np.log(x) - 40.0) ** 2


def test_of_several_roots_the_smallest_is_given():
    C = np.exp(np.linspace(36.0, 43.0, 12))
    runs = pd.DataFrame({"C": C, "error": 0.1 + 0.02 * (np.log(C) - 40) ** 2})
    found = sf.inverse_predict(sf.fit(runs, valley, x="C", **SQUARES), 0.18)
    assert np.log(found.value) == pytest.approx(38.0, abs=1e-9)
    assert codes(found)["several_roots"].details == {"count": 2}


def test_an_allocation_of_a_law_of_one_column_points_to_its_inverse(pinned):
    with pytest.raises(AllocationError) as caught:
        sf.allocate(pinned, loss=2.9)
    call = re.search(r"scalefit\.(inverse_predict\(.*\))", str(caught.value))[1]
    found = eval(call, {"inverse_predict": sf.inverse_predict, "fit": pinned})
    assert pinned.predict(C=found.value) == pytest.approx(2.9)
    with pytest.raises(AllocationError, match=r"fit\.predict\(C=1e\+21\)"):
        sf.allocate(pinned, 1e21)


@pytest.fixture(scope="module")
def recipes():
    """Four runs of a recipe, and of a baseline whose reducible loss is 5 % larger."""
    runs = four()
    rng = np.random.default_rng(1)
    other = runs.assign(loss=1.6 + 1.05 * (runs["loss"] - 1.6) + 0.003 * rng.standard_normal(4))
    fits = [sf.fit(table, "power_offset", x="C", **PINNED) for table in (runs, other)]
    return fits, [sf.covariance(fit, table) for fit, table in zip(fits, (runs, other), strict=True)]


def test_the_speed_up_of_two_pinned_laws(recipes):
    (fit, baseline), (ours, theirs) = recipes
    right = (baseline["A"] / fit["A"]) ** (1 / ALPHA)
    found = sf.compute_multiplier(fit, baseline, [1e19, 1e21])
    np.testing.assert_allclose(found.value, right, rtol=1e-9)
    # At a compute the losses are L1 and L2: ((L1 - E) / (L2 - E))^(1 / alpha).
    first, second = (item.predict(C=1e19) - E for item in (baseline, fit))
    assert found.value[0] == pytest.approx((first / second) ** (1 / ALPHA), rel=1e-9)
    drawn = sf.compute_multiplier(ours.draws(), theirs.draws(seed=1), 1e19)
    # The ratio of two amplitudes, each with Student's t of 3 degrees of freedom.
    rng = np.random.default_rng(0)
    A, B = (
        item.fit["A"] + item.standard_errors["A"] * rng.standard_t(3, 400_000)
        for item in (ours, theirs)
    )
    expected = np.quantile((B / A) ** (1 / ALPHA), [0.1, 0.9])
    np.testing.assert_allclose(drawn.interval(0.8), expected, rtol=4e-3)
    assert "extrapolation" in codes(found)


def test_the_speed_up_of_known_errors_is_that_of_the_delta_method(recipes):
    """ln(A' / A) / alpha has the variance of both relative errors of A together, over alpha^2."""
    (fit, baseline), _ = recipes
    tables = [four().assign(loss=E + item["A"] * four()["C"] ** -ALPHA) for item in (fit, baseline)]
    tables = [table.assign(loss=table["loss"] + [0.002, -0.001, 0.001, -0.002]) for table in tables]
    fits = [sf.fit(table, "power_offset", x="C", sigma=0.004, **PINNED) for table in tables]
    found = [sf.covariance(item, table) for item, table in zip(fits, tables, strict=True)]
    errors = [item.standard_errors["A"] / item.fit["A"] for item in found]
    half = stats.norm.ppf(0.975) * np.hypot(*errors) / ALPHA
    draws = [item.draws(seed=seed) for seed, item in enumerate(found)]
    low, high = sf.compute_multiplier(*draws, 1e20).interval()
    assert np.log(high / low) / 2 == pytest.approx(half, rel=0.04)


def test_multipliers_of_other_columns_are_refused(recipes):
    (fit, _), (ours, _) = recipes
    grid = sf.fit(sf.simulate(sf.simulation.isoflop_design()))
    other = sf.fit(four().rename(columns={"C": "D"}), "power_offset", x="D", **PINNED)
    for second, said in ((grid, "law of N, D"), (other, "of C and the other of D")):
        with pytest.raises(AllocationError, match=said):
            sf.compute_multiplier(fit, second, 1e20)
        with pytest.raises(AllocationError, match=said):
            sf.crossing(fit, second)
    with pytest.raises(AllocationError, match="nothing is allocated"):
        sf.compute_multiplier(fit, fit, 1e20, fixed={"N": 1e9})
    for call in (sf.crossing, lambda a, b: sf.compute_multiplier(a, b, 1e20)):
        with pytest.raises(AllocationError, match="one recipe is an ensemble"):
            call(ours.draws(10), fit)


def crossed(A=180.0, **options):
    exact = [curve(noise=0.0), curve(1.8, A, 0.112, noise=0.0)]
    return [sf.fit(table, "power_offset", x="C", **options) for table in exact]


def test_two_laws_cross_where_their_difference_is_zero():
    from scipy.optimize import brentq

    first, second = crossed()
    found = sf.crossing(first, second)

    def gap(log):
        C = np.exp(log)
        return 1.6 + 95 * C**-0.094 - 1.8 - 180 * C**-0.112

    right = np.exp([brentq(gap, 38, 45), brentq(gap, 45, 57)])
    np.testing.assert_allclose(found.value, right, rtol=1e-5)
    np.testing.assert_allclose(found.response, first.predict(C=found.value), rtol=1e-12)
    assert found.lower_beyond == ("second", "first") and found.lower_at_start == "first"
    one = sf.crossing(first, second, within=(1e20, 1e23))
    np.testing.assert_allclose(one.value, right[1:], rtol=1e-5)
    assert "C = 1e20 to 1e23 FLOP" in one.summary()
    none = sf.crossing(first, second, within=(1e20, 1e21))
    assert none.value.size == 0 and "the second is lower throughout" in none.summary()
    with pytest.raises(DataError, match="0 crossings"):
        none.estimate()
    for within in ((2.0, 1.0), (0.0, 1.0), 3.0):
        with pytest.raises(ArgumentError, match="within"):
            sf.crossing(first, second, within=within)


def test_a_crossing_of_draws_has_an_interval_and_its_share():
    tables = [curve(noise=0.001, seed=1), curve(1.8, 180.0, 0.112, noise=0.001, seed=2)]
    fits = [sf.fit(table, "power_offset", x="C", robust="none", certify=False) for table in tables]
    draws = [
        sf.bootstrap(fit, table, n_draws=200, progress=False, seed=i)
        for i, (fit, table) in enumerate(zip(fits, tables, strict=True))
    ]
    found = sf.crossing(*draws)
    row = found.to_frame().iloc[-1]
    assert row["value_low"] < row["value"] < row["value_high"]
    assert 0.9 < row["share"] <= 1.0
    # At each draw's crossing both draws predict the same.
    at = found.draws["value"][:, -1]
    both = [
        np.array([item.law.evaluate({"x": at}, draw.drawn)])
        for item, draw in zip(fits, draws, strict=True)
    ]
    np.testing.assert_allclose(*both, rtol=1e-10)
    assert found.estimate(-1).value == found.value[-1]
    assert ("draws_without_crossing" in codes(found)) == bool((found.share < 1).any())


def with_errors(seed=1, residual="raw", count=9):
    rng = np.random.default_rng(seed)
    runs = curve(noise=0.0, count=count)
    runs["loss_se"] = rng.uniform(0.002, 0.02, count)
    runs["loss"] += runs["loss_se"] * rng.standard_normal(count)
    return runs


@pytest.mark.parametrize("residual", ["raw", "relative"])
def test_known_errors_are_those_of_curve_fit(residual):
    runs = with_errors()
    fit = sf.fit(
        runs,
        "power_offset",
        x="C",
        residual=residual,
        robust="none",
        sigma="loss_se",
        certify=False,
    )

    def law(C, E, log, alpha):
        return E + np.exp(log) * (C / 1e20) ** -alpha

    right, matrix = curve_fit(
        law,
        runs["C"],
        runs["loss"],
        [1.5, 0.0, 0.1],
        runs["loss_se"],
        absolute_sigma=True,
        ftol=1e-15,
        xtol=1e-15,
    )
    np.testing.assert_allclose([fit["E"], fit["alpha"]], right[[0, 2]], rtol=1e-6)
    found = sf.covariance(fit, runs)
    np.testing.assert_allclose(
        found.standard_errors[["E", "alpha"]], np.sqrt(np.diag(matrix))[[0, 2]], rtol=1e-4
    )
    chi = np.sum(((runs["loss"] - law(runs["C"], *right)) / runs["loss_se"]) ** 2)
    assert fit.objective_value == pytest.approx(chi, rel=1e-8)
    p = stats.chi2.sf(chi, 6)
    assert f"{chi:.3g} for 6 degrees of freedom (p = {p:.2g})" in fit.summary()
    # Normal, not of Student's t, though there are few runs.
    row = found.conf_int().loc["E"]
    half = stats.norm.ppf(0.975) * row["se"]
    np.testing.assert_allclose([row["low"], row["high"]], [fit["E"] - half, fit["E"] + half])
    assert found.df == np.inf and "of known errors" in " ".join(found.summary().split())


def test_known_errors_do_not_follow_the_residuals(pinned):
    """Standard errors are sigma / sqrt(sum z^2), however large residuals are."""
    z = four()["C"] ** -ALPHA
    for sigma, code in ((0.005, False), (0.5, True), (0.0002, True)):
        fit = sf.fit(four(), "power_offset", x="C", sigma=sigma, **PINNED)
        assert fit["A"] == pytest.approx(pinned["A"])
        found = sf.covariance(fit, four())
        assert found.standard_errors["A"] == pytest.approx(sigma / np.sqrt((z**2).sum()), rel=1e-8)
        assert ("sigma_inconsistent" in codes(fit)) == code
        whole = sf.profile(fit, four(), "A")
        np.testing.assert_allclose(
            [whole.low, whole.high], found.conf_int().loc["A", ["low", "high"]], rtol=1e-5
        )
    said = codes(fit)["sigma_inconsistent"]
    assert said.details["ratio"] == pytest.approx(0.00421 / 0.0002, rel=0.01)


def test_log_residuals_divide_known_errors_by_the_loss():
    runs = with_errors()
    fit = sf.fit(runs, "power", x="C", robust="none", sigma="loss_se")
    right, matrix = np.polyfit(
        np.log(runs["C"]),
        np.log(runs["loss"]),
        1,
        w=runs["loss"] / runs["loss_se"],
        cov="unscaled",
    )
    assert fit["alpha"] == pytest.approx(-right[0], rel=1e-8)
    se = sf.covariance(fit, runs).standard_errors["alpha"]
    assert se == pytest.approx(np.sqrt(matrix[0, 0]), rel=1e-6)


def test_known_errors_are_in_the_unit_of_the_table():
    runs = with_errors()
    nats = sf.fit(runs, "power_offset", x="C", sigma="loss_se", **SQUARES)
    bits = runs.assign(loss=runs["loss"] / np.log(2), loss_se=runs["loss_se"] / np.log(2))
    same = sf.fit(bits, "power_offset", x="C", sigma="loss_se", loss_unit="bits", **SQUARES)
    assert same.objective_value == pytest.approx(nats.objective_value, rel=1e-9)
    words = np.exp(runs["loss"])
    perplexity = runs.assign(loss=words, loss_se=runs["loss_se"] * words)
    options = {"sigma": "loss_se", "loss_unit": "perplexity", **SQUARES}
    same = sf.fit(perplexity, "power_offset", x="C", **options)
    assert same.objective_value == pytest.approx(nats.objective_value, rel=1e-9)


def test_draws_by_known_errors_have_their_spread():
    runs = with_errors(count=6)
    fit = sf.fit(runs, "power_offset", x="C", sigma="loss_se", fixed={"alpha": 0.094}, **SQUARES)
    se = sf.covariance(fit, runs).standard_errors
    draws = sf.bootstrap(fit, runs, n_draws=2000, method="residuals", progress=False)
    np.testing.assert_allclose(draws.conf_int()["se"], se, rtol=0.08)
    assert draws.noise.source == "sigma"
    assert draws.noise.values.std() == pytest.approx(
        np.sqrt(np.mean(runs["loss_se"] ** 2)), rel=0.02
    )


def test_known_errors_that_make_no_sense_are_refused():
    runs = with_errors()
    options = {"law": "power_offset", "x": "C"}
    with pytest.raises(ArgumentError, match="Pass robust='none' with it"):
        sf.fit(runs, sigma="loss_se", **options)
    for sigma in (0.0, -1.0, "", True):
        with pytest.raises(ArgumentError, match="sigma"):
            sf.fit(runs, sigma=sigma, robust="none", **options)
    with pytest.raises(DataError, match="Did you mean 'loss_se'"):
        sf.fit(runs, sigma="los_se", robust="none", **options)
    for size in (1e-300, 1e300):
        with pytest.raises(DataError, match="no loss has such an error"):
            sf.fit(runs, sigma=size, robust="none", **options)
    bad = runs.assign(loss_se=runs["loss_se"].where(runs.index != 3, 0.0))
    with pytest.raises(DataError, match=r"rows 3.*a standard error is positive"):
        sf.fit(bad, sigma="loss_se", robust="none", **options)
    # What does not count needs none.
    weighted = bad.assign(weight=1.0 * (bad.index != 3))
    assert sf.fit(weighted, sigma="loss_se", robust="none", **options).status.usable
    fit = sf.fit(runs, sigma="loss_se", robust="none", **options)
    with pytest.raises(DataError, match="not the 9 runs"):
        sf.covariance(fit, runs.assign(loss_se=0.01))


def test_known_errors_go_into_a_document_and_back():
    runs = with_errors()
    for sigma in ("loss_se", 0.01):
        fit = sf.fit(runs, "power_offset", x="C", sigma=sigma, robust="none", certify=False)
        again = sf.Fit.from_json(fit.to_json())
        assert again == fit and again.objective.sigma == sigma
        assert sf.covariance(again, runs).df == np.inf
    assert '"sigma"' not in sf.fit(runs, "power_offset", x="C").to_json()
    with pytest.raises(DocumentError, match=r"objective\.sigma"):
        sf.Fit.from_json(fit.to_json().replace('"sigma": 0.01', '"sigma": -1'))


def test_parts_of_a_table_keep_its_known_errors():
    from scalefit.inference.subset_fits import fit_subsets

    runs = with_errors()
    fit = sf.fit(runs, "power_offset", x="C", sigma="loss_se", **SQUARES)
    kept = np.arange(9) != 4
    (part,) = fit_subsets(fit, sf.read(runs, x="C"), kept[None])
    alone = sf.fit(runs[kept], "power_offset", x="C", sigma="loss_se", **SQUARES)
    assert part.fit["alpha"] == pytest.approx(alone["alpha"], rel=1e-7)


@pytest.mark.slow
def test_intervals_of_four_runs_hold_what_they_promise():
    """Of 100 tables 90 to 99 hold it with a probability of 98 % where intervals are exact."""
    C, rng, held = four()["C"], np.random.default_rng(0), []
    truth = 95.0
    for _ in range(100):
        tables = [
            pd.DataFrame({"C": C, "loss": E + A * C**-ALPHA + 0.004 * rng.standard_normal(4)})
            for A in (truth, 1.05 * truth)
        ]
        fits = [sf.fit(table, "power_offset", x="C", certify=False, **PINNED) for table in tables]
        ours, theirs = (
            sf.covariance(fit, table).draws(600, seed=i)
            for i, (fit, table) in enumerate(zip(fits, tables, strict=True))
        )
        row = sf.covariance(fits[0], tables[0]).conf_int().loc["A"]
        inverse = sf.inverse_predict(ours, 2.5).interval()
        speed = sf.compute_multiplier(ours, theirs, 1e21).interval()
        new = ours.predict(C=1e21, kind="run").interval()
        run = E + truth * 1e21**-ALPHA + 0.004 * rng.standard_normal()
        ends = [
            (row["low"], truth, row["high"]),
            (inverse[0], (truth / 0.9) ** (1 / ALPHA), inverse[1]),
            (speed[0], 1.05 ** (1 / ALPHA), speed[1]),
            (new[0], run, new[1]),
        ]
        held.append([low <= right <= high for low, right, high in ends])
    exact, inverse, speed, new = np.sum(held, axis=0)
    assert all(90 <= count <= 99 for count in (exact, inverse, new))
    # Of two independent estimates of 3 degrees of freedom, as of Behrens and Fisher: on the wide
    # side.
    assert speed >= 90
