"""What people who fit scaling laws run into: each answered right, or with the remedy that is right.

Every group is one kind of trouble in a dozen shapes. Right values are written down, or computed
here from the formula, by scipy or by mpmath.
"""

import re
import warnings

import mpmath
import numpy as np
import pandas as pd
import pytest
from remedies import balanced, called, option, text_option, value_of
from scipy.optimize import curve_fit, minimize
from scipy.special import betaln

import scalefit as sf
from scalefit.approach2 import envelope, flag_runs, power_law, vertices
from scalefit.errors import AllocationError, ArgumentError, DataError, ScalefitError

E, A, B, ALPHA, BETA = 1.69, 406.4, 410.7, 0.34, 0.28
QUIET = {"n_draws": 8, "progress": False, "global_search": 0.0}


def surface(N, D):
    return E + A / N**ALPHA + B / D**BETA


def grid(sizes=5, tokens=6, noise=0.002, seed=0):
    """Runs of 2e7 to 2e9 parameters, each on 5e8 to 1e11 tokens."""
    N, D = np.meshgrid(np.geomspace(2e7, 2e9, sizes), np.geomspace(5e8, 1e11, tokens))
    N, D = N.ravel(), D.ravel()
    rng = np.random.default_rng(seed)
    noisy = np.exp(noise * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "loss": surface(N, D) * noisy})


def codes(answer):
    return {note.code: note for note in answer.notes}


def refusal(call, kind=ScalefitError):
    """The message of the error that a call ends in."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def warned(call):
    """What a call returns, and the codes of the notes that it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call()
    return found, {item.message.note.code for item in caught if hasattr(item.message, "note")}


# Unique tokens above the tokens of a run.

UNIQUE = {"E": 1.8, "A": 500.0, "B": 1400.0, "alpha": 0.35, "beta": 0.36}


def repeated(N, D, U, R=14.0):
    """Muennighoff et al. 2023, with U_D = min(U, D)."""
    seen = np.minimum(U, D)
    stretched = seen + seen * R * (1 - np.exp(-(D / seen - 1) / R))
    return 1.8 + 500.0 / N**0.35 + 1400.0 / stretched**0.36


def repeated_runs(U=1e9):
    N, D = np.meshgrid([1e8, 3e8, 1e9, 3e9], [5e8, 2e9, 8e9, 3.2e10, 1.28e11])
    runs = pd.DataFrame({"N": N.ravel(), "D": D.ravel(), "U": U})
    return runs.assign(loss=repeated(runs["N"], runs["D"], runs["U"]))


@pytest.fixture(scope="module")
def scarce():
    runs = repeated_runs()
    return sf.fit(runs, "repeated_tokens"), runs


@pytest.mark.parametrize("unique", [1e13, 1e12, 5.8e9])
def test_data_without_limit_is_chinchilla(unique):
    """The published values, N* and D* by their closed form; 2.92e8 and 2.947 at 1e19 FLOP."""
    fit = sf.published("data_constrained")
    best = sf.allocate(fit, 1e19, fixed={"U": unique})
    p = fit.params
    ratio = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    np.testing.assert_allclose(best.N, ratio * (1e19 / 6) ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(best.N, 2.92e8, rtol=2e-3)
    np.testing.assert_allclose(best.loss, 2.947, atol=5e-4)


def test_more_unique_tokens_never_raise_the_loss_of_a_budget():
    fit = sf.published("data_constrained")
    unique = np.geomspace(1e9, 1e14, 16)
    loss = [float(sf.allocate(fit, 1e22, fixed={"U": one}).loss) for one in unique]
    assert (np.diff(loss) <= 1e-12).all()
    np.testing.assert_allclose(loss[-1], 2.1880, atol=5e-5)
    sizes = sf.near_optimal(fit, 1e22, within=0.01, fixed={"U": 1e14}).to_frame()
    free = sf.near_optimal(fit, 1e22, within=0.01, fixed={"U": 1e12}).to_frame()
    pd.testing.assert_frame_equal(sizes, free)
    waste = sf.deadweight(fit, 1e10, 1e12 / 6, fixed={"U": 1e14}).share
    np.testing.assert_allclose(waste, sf.deadweight(fit, 1e10, 1e12 / 6, fixed={"U": 2e11}).share)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda runs: runs,
        lambda runs: runs.sample(frac=1, random_state=1),
        lambda runs: runs.assign(U=np.maximum(runs["U"], 0.9 * runs["D"].median())),
        lambda runs: runs.assign(U=runs["U"].map("{:.0f}".format)),
        lambda runs: runs.assign(U="1B"),
        lambda runs: pd.concat([runs, runs.assign(U=1e14)]),
    ],
    ids=["as is", "shuffled", "mostly above", "text", "text with a unit", "half without limit"],
)
def test_rows_that_see_part_of_their_unique_tokens_are_fitted(spoil):
    runs = spoil(repeated_runs())
    unique = runs["U"].replace("1B", 1e9).astype(float)
    runs = runs.assign(loss=repeated(runs["N"], runs["D"], unique))
    fit = sf.fit(runs, "repeated_tokens")
    np.testing.assert_allclose([fit.params[name] for name in UNIQUE], [*UNIQUE.values()], rtol=1e-4)
    np.testing.assert_allclose(fit.params["R_D"], 14.0, rtol=1e-4)


def test_predictions_below_one_epoch_are_numbers(scarce):
    fit, runs = scarce
    D = np.array([1e8, 1e9, 1e10])
    for unique in (1e7, 1e9, 1e13):
        found = fit.evaluate(N=1e9, D=D, U=unique)
        np.testing.assert_allclose(found, repeated(1e9, D, unique), rtol=1e-6)
    rng = np.random.default_rng(0)
    noisy = runs.assign(loss=runs["loss"] * np.exp(0.001 * rng.standard_normal(len(runs))))
    draws = sf.bootstrap(sf.fit(noisy, "repeated_tokens"), noisy, **QUIET)
    assert np.isfinite(draws.predict(N=1e9, D=1e9, U=1e11).draws).all()


def test_a_table_that_repeats_nothing_is_told_its_law():
    runs = repeated_runs(U=1e12)
    message = refusal(lambda: sf.fit(runs, "repeated_tokens"), DataError)
    fit = called(message, "scalefit.fit(", runs=runs)
    assert fit.law.name == "chinchilla"
    np.testing.assert_allclose([fit.params[name] for name in UNIQUE], [*UNIQUE.values()], rtol=1e-5)


def test_unique_tokens_under_another_header_are_guessed(scarce):
    runs = scarce[1].rename(columns={"U": "unique_tokens"})
    for name in ("unique_tokens", "n_unique_tokens", "UniqueTokens"):
        named = runs.rename(columns={"unique_tokens": name})
        message = refusal(lambda: sf.fit(named, "repeated_tokens"), DataError)  # noqa: B023
        fit = called(message, "fit(runs", runs=named, fit=sf.fit)
        assert fit.params == scarce[0].params


@pytest.mark.parametrize("law", ["repeated_tokens", "repeated_epochs", "data_constrained"])
def test_of_no_law_of_repeated_data_is_a_run_below_one_epoch_special(law):
    """Where U >= D the formula is the one of U = D, for any parameters."""
    known = getattr(sf.laws, law)
    usual = {"d": 0.0, "k": 0.8, "N_1": 5e8, "R_D": 10.0, "R_N": 5.0, **UNIQUE}
    params = {name: usual[name] for name in known.names}
    D = np.geomspace(1e8, 1e12, 5)
    for unique in (D, 1.5 * D, 1e15 + 0 * D):
        found = known.evaluate({"N": 1e8 + 0 * D, "D": D, "U": unique}, params)
        plain = known.evaluate({"N": 1e8 + 0 * D, "D": D, "U": D}, params)
        np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize(
    ("law", "column", "value"),
    [
        ("repeated_tokens", "U", 0.0),
        ("repeated_tokens", "U", -1e9),
        ("data_constrained", "U", -1e9),
        ("repeated_epochs", "D", 0.0),
    ],
)
def test_what_no_table_of_repeated_data_has_is_refused_by_row(law, column, value):
    runs = repeated_runs()
    runs.loc[7, column] = value
    message = refusal(lambda: sf.fit(runs, law), DataError)
    assert column in message and "row 7" in message
    kept = sf.fit(runs, "repeated_tokens", keep=f"{column} > 0")
    np.testing.assert_allclose(
        [kept.params[name] for name in UNIQUE], [*UNIQUE.values()], rtol=1e-4
    )


# Small rates of success.


def coverage(k, alpha, beta):
    return -np.expm1(betaln(alpha, beta + k) - betaln(alpha, beta))


def exact_coverage(k, alpha, beta):
    with mpmath.workdps(50):
        a, b, k = mpmath.mpf(alpha), mpmath.mpf(beta), mpmath.mpf(k)
        g = mpmath.loggamma
        return float(-mpmath.expm1(g(a + b) + g(b + k) - g(b) - g(a + b + k)))


@pytest.mark.parametrize("beta", [0.5, 3e3, 5e4, 1e7])
@pytest.mark.parametrize("alpha", [0.05, 0.4, 3.0])
def test_coverage_is_right_to_rounding(alpha, beta):
    k = np.array([1.0, 2.0, 10.0, 1e3, 1e6, 1e10, 1e12])
    found = sf.laws.coverage_beta.evaluate({"samples": k}, {"alpha": alpha, "beta": beta})
    right = [exact_coverage(one, alpha, beta) for one in k]
    np.testing.assert_allclose(found, right, rtol=1e-13)


@pytest.mark.parametrize(
    ("rate", "alpha"),
    [(1e-2, 0.4), (1.3e-4, 0.4), (5e-5, 0.4), (8e-6, 0.4), (1e-4, 0.2), (1e-3, 2)],
)
def test_small_rates_are_fitted(rate, alpha):
    k = np.geomspace(1, 1e5, 16).round()
    beta = alpha / rate
    rng = np.random.default_rng(3)
    seen = coverage(k, alpha, beta) * np.exp(0.002 * rng.standard_normal(16))
    runs = pd.DataFrame({"samples": k, "coverage": seen})
    fit = sf.fit(runs, "coverage_beta", robust="none")
    assert fit.status.usable and "at_bound" not in codes(fit)
    best = minimize(
        lambda p: np.sum((np.log(seen) - np.log(coverage(k, *np.exp(p)))) ** 2),
        np.log([alpha, beta]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-18, "maxiter": 4000},
    )
    np.testing.assert_allclose([*fit.params.values()], np.exp(best.x), rtol=1e-3)
    np.testing.assert_allclose([*fit.params.values()], [alpha, beta], rtol=0.05)
    np.testing.assert_allclose(
        fit.evaluate(samples=1e9), coverage(1e9, *fit.params.values()), rtol=1e-9
    )


@pytest.mark.parametrize("robust", ["huber", "l1", "none"])
def test_the_unit_of_the_attempts_changes_nothing(robust):
    """Attempts in thousands: another beta, the same curve."""
    k = np.geomspace(1000, 1e7, 13).round()
    runs = pd.DataFrame({"samples": k, "coverage": coverage(k, 0.4, 8e3)})
    fit = sf.fit(runs, "coverage_beta", robust=robust)
    np.testing.assert_allclose([*fit.params.values()], [0.4, 8e3], rtol=1e-4)


def test_coverages_in_percent_and_of_nobody_are_refused():
    k = np.geomspace(1, 1e4, 13).round()
    runs = pd.DataFrame({"samples": k, "coverage": 100 * coverage(k, 0.4, 80.0)})
    message = refusal(lambda: sf.fit(runs, "coverage_beta"), DataError)
    assert "1" in message and "row" in message
    text = runs.assign(coverage=runs["coverage"].map("{:.9f}%".format))
    message = refusal(lambda: sf.fit(text, "coverage_beta"), DataError)
    fit = sf.fit(called(message, "runs.assign(", runs=text), "coverage_beta")
    np.testing.assert_allclose([*fit.params.values()], [0.4, 80.0], rtol=1e-4)
    runs = pd.DataFrame({"samples": k, "coverage": coverage(k, 0.4, 3e3)})
    runs.loc[0, "coverage"] = 0.0
    message = refusal(lambda: sf.fit(runs, "coverage_beta"), DataError)
    assert "row 0" in message
    raw = sf.fit(runs, "coverage_beta", residual="raw", delta=1.0)
    np.testing.assert_allclose([*raw.params.values()], [0.4, 3e3], rtol=0.01)


# Units.

ALLOCATED = ((ALPHA * A) / (BETA * B)) ** (1 / (ALPHA + BETA))


def best_size(flops):
    return ALLOCATED * (flops / 6) ** (BETA / (ALPHA + BETA))


PAIRS = [(1e9, 1e9), (1e9, 1e12), (1e6, 1e9), (1e6, 1e6), (1e9, 1.0), (1.0, 1e9), (1e6, 1.0)]


@pytest.fixture(scope="module")
def counted():
    return grid(noise=0.0)


def in_units(runs, n, d, **scaled):
    runs = runs.assign(N=runs["N"] / n, D=runs["D"] / d)
    return runs.assign(**{name: runs[name] / unit for name, unit in scaled.items()})


@pytest.mark.parametrize(("n", "d"), PAIRS)
def test_every_answer_of_a_table_in_other_units_is_refused_or_right(counted, n, d):
    runs = in_units(counted, n, d)
    fit = sf.fit(runs)
    note = codes(fit)["units"]
    calls = {
        "allocate": lambda fit: sf.allocate(fit, 1e22),
        "near_optimal": lambda fit: sf.near_optimal(fit, 1e22),
        "deadweight": lambda fit: sf.deadweight(fit, N=7e9, D=1.4e12),
        "by loss": lambda fit: sf.allocate(fit, loss=2.2),
        "multiplier": lambda fit: sf.compute_multiplier(fit, fit, 1e22),
    }
    for name, call in calls.items():
        if name == "by loss":
            assert "units" in codes(call(fit))
        else:
            message = refusal(lambda: call(fit), AllocationError)  # noqa: B023
            assert "another unit" in message, name
    units = {
        name: value_of(f"({pair})")
        for name, pair in re.findall(r"([ND])=\(('.*?', 1e\d+)\)", note.message)
    }
    assert units == {name: (name, unit) for name, unit in (("N", n), ("D", d)) if unit != 1.0}
    mended = sf.fit(runs, **units)
    np.testing.assert_allclose(calls["allocate"](mended).N, best_size(1e22), rtol=1e-6)
    waste = 1 - sf.allocate(mended, loss=surface(7e9, 1.4e12)).flops / (6 * 7e9 * 1.4e12)
    np.testing.assert_allclose(calls["deadweight"](mended).share, waste, rtol=1e-5)
    np.testing.assert_allclose(calls["multiplier"](mended).value, 1.0, rtol=1e-9)
    np.testing.assert_allclose(mended.evaluate(N=7e9, D=1.4e12), surface(7e9, 1.4e12), rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), PAIRS[:5])
def test_predictions_in_another_unit_than_the_table_are_warned_of(counted, n, d):
    fit = sf.fit(in_units(counted, n, d))
    found, said = warned(lambda: fit.predict(N=7e9 / n, D=1.4e11 / d))
    np.testing.assert_allclose(found, surface(7e9, 1.4e11), rtol=1e-6)
    assert "unit_mismatch" not in said
    counts = sf.fit(counted)
    for call in (
        lambda: counts.predict(N=7e9 / n, D=1.4e11 / d),
        lambda: fit.predict(N=7e9, D=1.4e11) if n * d >= 1e15 else counts.predict(N=7, D=140),
        lambda: counts.predict(pd.DataFrame({"N": [1e9, 7e9 / n], "D": [1e10, 1.4e11 / d]})),
    ):
        assert "unit_mismatch" in warned(call)[1]


@pytest.mark.parametrize(
    ("headers", "n", "d"),
    [
        ({"N": "params_b", "D": "tokens_b"}, 1e9, 1e9),
        ({"N": "params_millions", "D": "tokens_b"}, 1e6, 1e9),
        ({"N": "Params (M)", "D": "Tokens (B)"}, 1e6, 1e9),
        ({"N": "model_size_b", "D": "train_tokens_t"}, 1e9, 1e12),
    ],
)
def test_units_in_headers_are_taken(counted, headers, n, d):
    fit = sf.fit(in_units(counted, n, d).rename(columns=headers))
    assert "units" not in codes(fit) and "header_unit" in codes(fit)
    np.testing.assert_allclose(sf.allocate(fit, 1e22).N, best_size(1e22), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e15, 1e18, 8.64e19])
def test_budgets_in_other_units_are_said_and_scaled(unit):
    sweeps = sf.simulate(sf.simulation.isoflop_design(4, points=7), noise=0.0)
    runs = sweeps.assign(C=6 * sweeps["N"] * sweeps["D"] / unit)
    plain = sf.isoflop(sweeps)
    found = sf.isoflop(runs, cost="6ND")
    np.testing.assert_allclose(found.n_exponent, plain.n_exponent, rtol=1e-9)
    by = sf.isoflop(runs)
    assert "units" in codes(by) or by.span == plain.span
    scaled = sf.isoflop(runs, C=("C", unit))
    np.testing.assert_allclose(scaled.at(1e22).N, plain.at(1e22).N, rtol=1e-6)


def test_units_carry_through_sweeps_and_comparisons():
    sweeps = sf.simulate(sf.simulation.isoflop_design(4, points=7), noise=0.001)
    right = sf.isoflop(sweeps)
    billions = in_units(sweeps.drop(columns="C", errors="ignore"), 1e9, 1e9)
    assert "units" in codes(sf.isoflop(billions))
    scaled = sf.isoflop(billions, N=("N", 1e9), D=("D", 1e9))
    np.testing.assert_allclose(scaled.at(1e22).N, right.at(1e22).N, rtol=1e-6)
    fit = sf.fit(billions)
    refusal(lambda: sf.bias(fit, sf.isoflop(billions), billions, 1e22, n_draws=50))


# One bad run in a budget.

BUDGETS = (1e18, 3e18, 1e19, 3e19)
TRUE_EXPONENT = 0.28 / 0.62


def swept(noise=5e-4, seed=0, sizes=7, budgets=BUDGETS):
    rng = np.random.default_rng(seed)
    rows = []
    for flops in budgets:
        N = best_size(flops) * np.geomspace(0.25, 4.0, sizes)
        D = flops / (6 * N)
        loss = surface(N, D) * np.exp(noise * rng.standard_normal(sizes))
        rows.append(pd.DataFrame({"C": flops, "N": N, "D": D, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    ("row", "by"),
    [(8, 0.3), (10, 0.1), (13, -0.2), (7, 0.3), (3, 0.05), (20, 1.0), (27, -0.1), (14, 8.0)],
)
def test_one_bad_run_is_found_and_the_exponent_is_right_without_it(row, by):
    """The exponent of the surface is 0.28 / 0.62 = 0.4516."""
    runs = swept()
    clean = sf.isoflop(runs).n_exponent
    runs.loc[row, "loss"] += by
    note = codes(sf.isoflop(runs))["isoflop_bent"]
    assert f"run {row} " in note.message
    flagged = flag_runs(runs, rules=["parabola_outlier"])
    assert [*flagged.index] == [row]
    rules = option(note.message, "rules")
    found = sf.isoflop(runs, rules=rules)
    assert abs(found.n_exponent - clean) < 0.006 and abs(found.n_exponent - TRUE_EXPONENT) < 0.01
    said = re.search(r"with this run and ([\d.]+) without", note.message)
    np.testing.assert_allclose(float(said[1]), found.n_exponent, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs.sample(frac=1, random_state=0),
        lambda runs: runs.drop(columns="C"),
        lambda runs: runs.rename(columns={"C": "flops", "N": "params", "D": "tokens"}),
        lambda runs: runs.assign(weight=1.0),
        lambda runs: runs.set_index(pd.Index([f"run-{i}" for i in range(len(runs))])),
    ],
    ids=["shuffled", "no C", "headers", "weights", "labels"],
)
def test_a_bad_run_is_found_however_the_table_is_written(change):
    runs = swept()
    runs.loc[9, "loss"] += 0.2
    runs = change(runs)
    found = sf.isoflop(runs, rules=option(codes(sf.isoflop(runs))["isoflop_bent"].message, "rules"))
    assert abs(found.n_exponent - TRUE_EXPONENT) < 0.01
    assert len(flag_runs(runs, rules=["parabola_outlier"])) == 1


def test_a_bad_run_of_no_weight_bends_nothing_and_two_are_both_found():
    runs = swept().assign(weight=1.0)
    runs.loc[9, ["loss", "weight"]] = [9.0, 0.0]
    assert "isoflop_bent" not in codes(sf.isoflop(runs))
    runs = swept()
    runs.loc[[9, 25], "loss"] += [0.2, 0.3]
    assert {*flag_runs(runs, rules=["parabola_outlier"]).index} == {9, 25}
    found = sf.isoflop(runs, rules=["parabola_outlier"])
    assert abs(found.n_exponent - TRUE_EXPONENT) < 0.01


def test_the_surface_and_the_comparison_name_the_bad_run():
    runs = swept()
    runs.loc[9, "loss"] += 0.3
    fit = sf.fit(runs)
    note = codes(fit)["outliers_dominate"]
    assert "rows 9" in note.message
    np.testing.assert_allclose(fit.params["alpha"], ALPHA, atol=0.03)
    squares = codes(sf.fit(runs, robust="none"))["outliers_dominate"]
    assert squares.severity == "warning" and "rows 9" in squares.message
    report = sf.bias(fit, sf.isoflop(runs), runs, 1e21, n_draws=50)
    assert "isoflop_bent" in codes(report) or "isoflop_bent" in str(report.summary())


# Checkpoints as rows.


def trajectories(sizes=6, points=60, seed=0, rho=0.9, noise=0.01, sd=1.0):
    rng = np.random.default_rng(seed)
    rows = []
    for run, N in enumerate(np.geomspace(5e7, 2e9, sizes)):
        D = np.linspace(3e8 / points, 3e8, points) * 40
        error = np.zeros(points)
        error[0] = noise * rng.standard_normal()
        for i in range(1, points):
            error[i] = rho * error[i - 1] + noise * np.sqrt(1 - rho**2) * rng.standard_normal()
        rows.append(
            pd.DataFrame({"run": run, "N": N, "D": D, "loss": surface(N, D) * np.exp(error)})
        )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs,
        lambda runs: runs.drop(columns="run"),
        lambda runs: runs.sample(frac=1, random_state=2),
        lambda runs: runs.assign(run="exp_" + runs["run"].astype(str)),
        lambda runs: runs.rename(columns={"run": "model", "N": "params", "D": "tokens"}),
        lambda runs: runs[runs["D"].rank(pct=True) > 0.1],
        lambda runs: runs.assign(step=runs["D"] / 5e5, lr=3e-4),
        lambda runs: runs.sample(frac=0.5, random_state=3),
    ],
    ids=["as is", "no name", "shuffled", "text", "headers", "late", "steps", "half"],
)
def test_training_curves_are_recognised_and_clusters_are_the_way_out(change):
    runs = change(trajectories())
    fit = sf.fit(runs)
    note = codes(fit)["trajectories"]
    assert note.severity == "warning" and "6 runs" in note.message
    clustered = called(note.message, "covariance(", fit=fit, runs=runs)
    alone = sf.covariance(fit, runs, by="index")
    ratio = clustered.standard_errors["beta"] / alone.standard_errors["beta"]
    assert ratio > 1.5
    assert "by=" in refusal(lambda: sf.covariance(fit, runs), DataError)
    assert "by=" in refusal(lambda: sf.bootstrap(fit, runs, **QUIET), DataError)


def test_sweeps_of_training_curves_are_refused_or_said():
    runs = trajectories()
    try:
        found = sf.isoflop(runs)
    except DataError as error:
        assert "envelope" in str(error)
    else:
        assert "trajectories" in codes(found)
        assert (found.at(1e19).N > 1).all()
    curve = envelope(runs)
    assert "envelope_few_sizes" in codes(curve) or abs(curve.n_exponent - TRUE_EXPONENT) < 0.1


def test_the_last_rows_of_training_curves_are_runs():
    rng = np.random.default_rng(0)
    runs = trajectories(sizes=8)
    # Each run ends at tokens of its own, three for each size.
    ends = pd.concat(
        [
            runs[runs["D"] <= stop * runs["D"].max()].groupby("run").tail(1)
            for stop in (0.1, 0.35, 1.0)
        ]
    )
    ends["loss"] = surface(ends["N"], ends["D"]) * np.exp(0.001 * rng.standard_normal(len(ends)))
    fit = sf.fit(ends)
    assert "trajectories" not in codes(fit)
    np.testing.assert_allclose(fit.params["alpha"], ALPHA, atol=0.03)
    message = refusal(lambda: sf.fit(runs.groupby("run").tail(1)), DataError)
    assert "chinchilla_n" in message
    alone = sf.fit(runs.groupby("run").tail(1), "chinchilla_n")
    np.testing.assert_allclose(alone.params["alpha"], ALPHA, atol=0.1)


@pytest.mark.parametrize("noise", [3e-4, 1e-3, 3e-3])
def test_grids_and_sweeps_are_no_training_curves(noise):
    for runs in (grid(sizes=6, tokens=10, noise=noise), swept(noise=noise, sizes=9)):
        fit = sf.fit(runs)
        note = codes(fit).get("trajectories")
        assert note is None or note.severity == "info"


# Responses that rise.


def rising(x="x", y="accuracy", rows=10, noise=0.002, seed=0, low=500.0):
    """1.41 - 3.74 x^-0.154, made."""
    rng = np.random.default_rng(seed)
    X = low * 2.0 ** np.arange(rows)
    return pd.DataFrame({x: X, y: 1.41 - 3.74 * X**-0.154 + noise * rng.standard_normal(rows)})


RISES = {
    "power_offset": (lambda x, E, A, alpha: E + A * x**-alpha, [1.3, -3.0, 0.2]),
    "logarithmic": (lambda x, a, b: a + b * np.log(x), [0.0, 0.1]),
    "signed_power": (lambda x, A, b: A * x**b, [0.1, 0.2]),
}


@pytest.mark.parametrize("law", ["power", "power_offset"])
@pytest.mark.parametrize(
    ("header", "response"), [("x", "accuracy"), ("steps", "score"), ("Seen Examples", "R@1")]
)
def test_every_remedy_of_a_response_that_rises_can_be_pasted(law, header, response):
    runs = rising(header, response)
    options = {"x": header, "loss": response, "residual": "raw", "delta": 10.0}
    message = codes(sf.fit(runs, law, **options))["response_rises"].message
    found = [
        value_of(call, runs=runs) for call in re.findall(r"fit\(runs, .*?\)(?=[ ,.])", message)
    ]
    assert {fit.law.name for fit in found} == {*RISES}
    for fit in found:
        assert "response_rises" not in codes(fit)
        # The same by least squares, as scipy finds it.
        least = sf.fit(
            runs,
            fit.law,
            **options,
            bounds={"A": (-np.inf, 0)} if fit.law.name == "power_offset" else None,
        )
        shape, start = RISES[fit.law.name]
        x, y = runs.to_numpy(float).T
        right = curve_fit(shape, x, y, p0=start, maxfev=20000)[0]
        np.testing.assert_allclose([*least.params.values()], right, rtol=2e-4)


@pytest.mark.parametrize("column", ["N", "D", "C"])
def test_rising_responses_of_sizes_tokens_and_compute(column):
    runs = rising(column, "accuracy", low=1e8)
    fit = sf.fit(runs, "power_offset", x=column, loss="accuracy")
    call = balanced(codes(fit)["response_rises"].message, "fit(runs, 'power_offset'")
    found = value_of(call, runs=runs)
    np.testing.assert_allclose(found.evaluate(x=runs[column]), runs["accuracy"], atol=0.02)
    assert found.params["A"] < 0


def test_rising_responses_of_groups_weights_and_falling_ones():
    runs = pd.concat([rising(seed=i).assign(model=name) for i, name in enumerate("ab")])
    runs = runs.reset_index(drop=True)
    options = {"x": "x", "loss": "accuracy", "residual": "raw", "delta": 10.0}
    grouped = sf.fit(runs, "power_offset", groups={"E": "model"}, **options)
    found = value_of(balanced(codes(grouped)["response_rises"].message, "fit(runs, "), runs=runs)
    assert "response_rises" not in codes(found)
    right = curve_fit(*RISES["power_offset"][:1], runs["x"], runs["accuracy"], p0=[1.3, -3.0, 0.2])
    np.testing.assert_allclose(found.params["alpha"], right[0][2], atol=2e-3)
    # What falls is not told to rise, nor is noise about a constant.
    falling = runs.assign(accuracy=2 - runs["accuracy"])
    assert "response_rises" not in codes(sf.fit(falling, "power_offset", **options))
    rng = np.random.default_rng(0)
    flat = rising().assign(accuracy=0.5 + 0.01 * rng.standard_normal(10))
    assert "response_rises" not in codes(sf.fit(flat, "power_offset", **options))


@pytest.mark.parametrize("law", ["chinchilla", "chinchilla_tied"])
@pytest.mark.parametrize("header", ["accuracy", "loss"])
def test_responses_that_rise_with_sizes_and_tokens(law, header):
    """1 - (what falls) / 5: the amplitudes are those of the surface over -5."""
    runs = grid(noise=0.0).rename(columns={"loss": header})
    runs[header] = 1 - runs[header] / 5
    fit = sf.fit(runs, law, loss=header)
    found = value_of(balanced(codes(fit)["response_rises"].message, "fit(runs, "), runs=runs)
    assert "response_rises" not in codes(found)
    np.testing.assert_allclose(found.evaluate(runs), runs[header], rtol=0.02)
    if law == "chinchilla":
        wanted = [1 - E / 5, -A / 5, -B / 5, ALPHA, BETA]
        np.testing.assert_allclose([*found.params.values()], wanted, rtol=1e-4)
        assert "rises" in refusal(lambda: sf.allocate(found, 1e22), AllocationError)
        falls = sf.fit(runs.assign(error=1 - runs[header]), loss="error")
        np.testing.assert_allclose(sf.allocate(falls, 1e22).N, best_size(1e22), rtol=1e-5)


def test_negative_responses_ask_for_raw_residuals():
    message = refusal(lambda: sf.fit(rising(), "power_offset", x="x", loss="accuracy"), DataError)
    assert "residual='raw'" in message and "row 0" in message
    signed = sf.fit(rising(), "logarithmic", x="x", loss="accuracy", residual="raw", delta=10.0)
    right = curve_fit(RISES["logarithmic"][0], *rising().to_numpy().T)[0]
    np.testing.assert_allclose([*signed.params.values()], right, rtol=1e-6)


@pytest.mark.parametrize("power", [-0.5, -0.1])
def test_a_fixed_exponent_that_rises_has_a_law_of_its_own(power):
    runs = pd.DataFrame({"x": np.geomspace(1, 1e4, 9), "loss": np.geomspace(1, 1e4, 9) ** -power})
    message = refusal(lambda: sf.fit(runs, "power", fixed={"alpha": power}), ArgumentError)
    fit = sf.fit(runs, text_option(message, "law"), fixed=option(message, "fixed"))
    np.testing.assert_allclose(fit.params["A"], 1.0, rtol=1e-6)


# One ratio of tokens to parameters.


def ladder(rows=12, power=1.0, ratio=20.0, jitter=0.012, noise=0.003, seed=0):
    rng = np.random.default_rng(seed)
    N = np.geomspace(1e8, 1e10, rows)
    D = ratio * N * (N / 1e9) ** (power - 1) * np.exp(jitter * rng.standard_normal(rows))
    loss = surface(N, D) * np.exp(noise * rng.standard_normal(rows))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


LADDERS = {
    "as published": {},
    "exact": {"jitter": 0.0},
    "two percent": {"jitter": 0.02, "seed": 4},
    "little noise": {"noise": 0.001, "jitter": 0.003},
    "few": {"rows": 7},
    "many": {"rows": 30, "jitter": 0.004},
    "hundred": {"ratio": 100.0},
    "bends": {"power": 1.15},
    "falls": {"power": 0.8},
}


@pytest.mark.parametrize("name", LADDERS)
def test_of_runs_along_one_path_no_ratio_is_the_best(name):
    runs = ladder(**LADDERS[name])
    try:
        fit = sf.fit(runs, certify=False)
    except DataError as error:
        message = str(error)
        assert "D/N" in message or "same" in message or "N and D" in message
    else:
        assert "one_ratio" in codes(fit)
        message = codes(fit)["one_ratio"].message
        for call in (
            lambda: sf.allocate(fit, 1e22),
            lambda: sf.near_optimal(fit, 1e22),
            lambda: sf.allocate(fit, loss=2.1),
            lambda: sf.compute_multiplier(fit, fit, 1e22),
            lambda: sf.deadweight(fit, N=1e9, D=1e11),
        ):
            assert "determine no optimum" in refusal(call, AllocationError)
        # What the runs do determine is the loss along their path.
        inside = fit.evaluate(runs) / surface(runs["N"], runs["D"]) - 1
        assert np.abs(inside).max() < 0.01


@pytest.mark.parametrize("name", ["as published", "exact", "hundred", "little noise"])
def test_runs_along_one_path_determine_the_loss_of_their_compute(name):
    runs = ladder(**LADDERS[name])
    runs = runs.assign(C=6 * runs["N"] * runs["D"])
    fit = sf.fit(runs, "power_offset", x="C")
    ratio = LADDERS[name].get("ratio", 20.0)
    # Twice the largest budget, along the path.
    N = 2**0.5 * 1e10
    right = surface(N, ratio * N)
    np.testing.assert_allclose(fit.evaluate(x=6 * ratio * N**2), right, rtol=0.01)
    of_size = sf.fit(runs, "chinchilla_n")
    np.testing.assert_allclose(of_size.evaluate(N=N), right, rtol=0.01)
    fixed = sf.fit(runs, fixed={"alpha": ALPHA, "beta": BETA})
    assert "one_ratio" not in codes(fixed)


@pytest.mark.parametrize("law", ["chinchilla_tied", "chinchilla_outer", "kaplan"])
def test_nor_is_one_the_best_by_other_laws(law):
    fit = sf.fit(ladder(), law, certify=False)
    assert "one_ratio" in codes(fit)
    assert "determine no optimum" in refusal(lambda: sf.allocate(fit, 1e22), AllocationError)
    assert "one_ratio" not in codes(sf.fit(grid(), law, certify=False))


def test_nor_of_groups_nor_of_draws():
    two = [ladder(seed=i).assign(corpus=name) for i, name in enumerate("ab")]
    runs = pd.concat(two, ignore_index=True)
    fit = sf.fit(runs, groups={"E": "corpus"}, certify=False)
    draws = sf.bootstrap(sf.fit(ladder(), certify=False), ladder(), **QUIET)
    for answer in (fit.at(corpus="a"), draws):
        for call in (lambda at: sf.allocate(at, 1e22), lambda at: sf.deadweight(at, 1e9, 1e10)):
            assert "determine no optimum" in refusal(lambda: call(answer))  # noqa: B023


@pytest.mark.parametrize("jitter", [0.3, 0.6])
def test_runs_at_several_ratios_are_allocated(jitter):
    runs = ladder(rows=24, jitter=jitter, noise=0.001)
    fit = sf.fit(runs)
    assert "one_ratio" not in codes(fit)
    assert 0.4 < sf.allocate(fit, 1e21).N / best_size(1e21) < 2.5


# Published optima.

OPTIMA = pd.DataFrame(
    {
        "C": [1e18, 2e18, 5e18, 1e19],
        "N": [110678115, 167797457, 250650865, 381758347],
        "D": [1241505403, 1785336422, 2642234152, 3806871243],
    }
)


def line(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@pytest.mark.parametrize(("column", "right"), [("N", 0.5241), ("D", 0.4786)])
@pytest.mark.parametrize(
    "form",
    [lambda x: x, list, lambda x: x.to_numpy(), lambda x: x[::-1], lambda x: x.astype(float)],
)
def test_published_optima_make_their_power_laws(column, right, form):
    found = power_law(form(OPTIMA["C"]), form(OPTIMA[column]))
    np.testing.assert_allclose(found.exponent, right, atol=5e-5)
    np.testing.assert_allclose(found.exponent, line(OPTIMA["C"], OPTIMA[column]), rtol=1e-9)
    np.testing.assert_allclose(
        found.at(1e22),
        np.exp(
            np.polyval(np.polyfit(np.log(OPTIMA["C"]), np.log(OPTIMA[column]), 1), np.log(1e22))
        ),
        rtol=1e-9,
    )


def test_a_slope_may_be_kept_and_a_gap_left():
    kept = power_law(OPTIMA["C"], OPTIMA["N"], exponent=0.5)
    centre = np.exp(np.mean(np.log(OPTIMA["N"]) - 0.5 * np.log(OPTIMA["C"])))
    np.testing.assert_allclose(kept.at(1e20), centre * 1e10, rtol=1e-9)
    gap = OPTIMA["N"].astype(float).where(OPTIMA.index != 1)
    np.testing.assert_allclose(
        power_law(OPTIMA["C"], gap).exponent,
        line(OPTIMA["C"].drop(1), OPTIMA["N"].drop(1)),
        rtol=1e-9,
    )
    # By a law of one column, too, with its intervals.
    fit = sf.fit(OPTIMA, "signed_power", x="C", loss="N", robust="none")
    np.testing.assert_allclose(fit.params["b"], 0.5241, atol=5e-5)


@pytest.mark.parametrize("column", ["N", "D"])
@pytest.mark.parametrize("logarithm", [np.log, np.log10])
def test_logarithms_of_optima_are_refused_and_undone(column, logarithm):
    C, best = logarithm(OPTIMA["C"]), logarithm(OPTIMA[column])
    message = refusal(lambda: power_law(C, best), ArgumentError)
    found = called(message, "power_law(", power_law=power_law, flops=C, optimum=best)
    np.testing.assert_allclose(found.exponent, line(OPTIMA["C"], OPTIMA[column]), rtol=1e-9)


@pytest.mark.parametrize(
    ("C", "best"),
    [
        ([1.0, 10.0, 100.0], [0.2, 0.6, 1.9]),
        ([20.0, 40.0, 80.0], [7.0, 10.0, 14.0]),
        ([1e18, 1e20, 1e22], [3e-3, 1e-3, 4e-4]),
        ([1e18, 1e20, 1e22], [18.0, 20.0, 22.0]),
    ],
)
def test_other_units_and_other_optima_are_no_logarithms(C, best):
    np.testing.assert_allclose(power_law(C, best).exponent, line(C, best), rtol=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1e8, "big"])
def test_optima_that_are_none_are_refused(bad):
    assert "optimum" in refusal(lambda: power_law([1e18, 1e19, 1e20], [1e8, bad, 1e9]))


# A pair of bad rows.


@pytest.mark.parametrize(
    ("rows", "factors"),
    [
        ((4, 21), (1.3, 0.75)),
        ((4, 5), (1.2, 1.2)),
        ((0, 29), (1.5, 1.5)),
        ((12,), (1.4,)),
        ((3, 11, 20), (1.3, 1.3, 0.8)),
        ((7, 8), (0.8, 0.85)),
    ],
)
@pytest.mark.parametrize("robust", ["huber", "none"])
def test_a_few_bad_rows_are_named_together(rows, factors, robust):
    runs = grid(noise=0.001)
    runs.loc[[*rows], "loss"] *= np.array(factors)
    note = codes(sf.fit(runs, robust=robust))["outliers_dominate"]
    named = re.search(r"\(rows (.*?)\)", note.message)[1].split(", ")
    assert {*named} >= {*map(str, rows)} and note.severity == (
        "warning" if robust == "none" else "info"
    )
    huber = sf.fit(runs.drop(index=[int(row) for row in named]))
    np.testing.assert_allclose(huber.params["alpha"], ALPHA, atol=0.01)


@pytest.mark.parametrize("law", ["optimal_learning_rate", "optimal_batch_size"])
def test_bad_optima_are_named_and_huber_is_right_with_them(law):
    cells = grid(noise=0.0)
    rng = np.random.default_rng(1)
    exponents = (-0.41, 0.1) if law == "optimal_learning_rate" else (0.0, 0.5)
    best = 0.24 * cells["N"] ** exponents[0] * cells["D"] ** exponents[1]
    best *= np.exp(0.01 * rng.standard_normal(len(cells)))
    best[[11, 17]] *= [0.05, 25.0]
    known = getattr(sf.laws, law)
    runs = cells.drop(columns="loss").assign(**{known.response: best})
    fit = sf.fit(runs, law)
    note = codes(fit)["outliers_dominate"]
    assert {*re.search(r"\(rows (.*?)\)", note.message)[1].split(", ")} == {"11", "17"}
    fitted = [fit.params[name] for name in known.names if name in ("a", "b", "alpha", "beta")]
    wanted = exponents if len(fitted) == 2 else exponents[1:]
    np.testing.assert_allclose(fitted, wanted, atol=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_names_no_row(seed):
    assert "outliers_dominate" not in codes(sf.fit(grid(noise=0.003, seed=seed), robust="none"))


# A sweep in every cell.


def cells_swept(
    column="lr", best=lambda N, D: 30 * N**-0.45 * D**0.12, points=5, noise=0.0, seed=0
):
    rng = np.random.default_rng(seed)
    rows = []
    for N, tokens in ((1.9e7, (6e8, 3e9)), (5.5e7, (2e9, 9e9)), (1.35e8, (4e9, 2e10))):
        for D in tokens:
            at = best(N, D)
            values = at * 2.0 ** (np.arange(points) - points // 2 + 0.3)
            loss = surface(N, D) + 0.05 * np.log(values / at) ** 2
            loss += noise * rng.standard_normal(points)
            rows.append(pd.DataFrame({"N": N, "D": D, column: values, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    ("column", "law", "constants"),
    [
        ("lr", "optimal_learning_rate", (30.0, -0.45, 0.12)),
        ("batch_size", "optimal_batch_size", None),
        ("width", None, None),
        ("weight_decay", None, None),
    ],
)
def test_the_best_of_any_swept_column_is_found(column, law, constants):
    def best(N, D):
        return 30 * N**-0.45 * D**0.12 if column == "lr" else 0.3 * D**0.5

    runs = cells_swept(column, best)
    note = codes(sf.fit(runs))["repeated_cells"]
    assert note.severity == "warning" and note.details["swept"] == [column]
    found = called(note.message, "scalefit.approach2.vertices(", runs=runs).to_frame()
    np.testing.assert_allclose(found[column], best(found["N"], found["D"]), rtol=1e-6)
    np.testing.assert_allclose(found["loss"], surface(found["N"], found["D"]), rtol=1e-9)
    if constants:
        fit = sf.fit(found, law)
        np.testing.assert_allclose([fit.params[name] for name in "cab"], constants, rtol=1e-4)
    rows = value_of(balanced(note.message, "runs.loc["), runs=runs)
    assert "repeated_cells" not in codes(sf.fit(rows, fixed={"E": E, "alpha": ALPHA}))


@pytest.mark.parametrize(
    "change",
    [
        lambda runs: runs.sample(frac=1, random_state=0),
        lambda runs: runs.assign(cell=runs["N"].astype(str) + "/" + runs["D"].astype(str)),
        lambda runs: runs.rename(columns={"N": "params", "D": "tokens", "lr": "learning_rate"}),
        lambda runs: runs.assign(weight=2.0),
        lambda runs: runs.drop(index=[0, 12, 29]),
        lambda runs: runs.assign(lr=runs["lr"].map("{:.9e}".format)),
        lambda runs: runs.assign(
            N=runs["N"].map("{:.1f}".format), D=runs["D"].map("{:,.0f}".format)
        ),
    ],
    ids=["shuffled", "labels", "headers", "weights", "missing", "text", "counts as text"],
)
def test_sweeps_are_found_however_the_table_is_written(change):
    runs = change(cells_swept(points=6))
    note = codes(sf.fit(runs))["repeated_cells"]
    assert note.severity == "warning"
    found = called(note.message, "scalefit.approach2.vertices(", runs=runs).to_frame()
    law = sf.fit(found, "optimal_learning_rate", **{} if "lr" in found else {"lr": "learning_rate"})
    np.testing.assert_allclose([law.params["a"], law.params["b"]], [-0.45, 0.12], rtol=1e-4)


def test_vertices_by_labels_and_by_one_column_are_those_of_polyfit():
    runs = cells_swept(noise=0.002)
    runs["cell"] = [f"cell {i // 5}" for i in range(len(runs))]
    found = vertices(runs, over="lr", by="cell").to_frame()
    for cell, rows in runs.groupby("cell"):
        curve = np.polyfit(np.log(rows["lr"]), rows["loss"], 2)
        vertex = np.exp(-curve[1] / (2 * curve[0]))
        mine = found.loc[found["cell"] == cell, "lr"].item()
        np.testing.assert_allclose(mine, vertex, rtol=1e-6)


# Headers, text and predictions.

TEXTS = {
    "units": lambda runs: runs.assign(N=[f"{x / 1e6:.6f}M" for x in runs["N"]]),
    "billions": lambda runs: runs.assign(D=[f"{x / 1e9:.9f} B" for x in runs["D"]]),
    "commas": lambda runs: runs.assign(D=[f"{x:,.0f}" for x in runs["D"]]),
    "bold": lambda runs: runs.assign(loss=[f"**{x:.12f}**" for x in runs["loss"]]),
    "bold at times": lambda runs: runs.assign(
        loss=[f"**{x:.12f}**" if i % 7 == 0 else f"{x:.12f}" for i, x in enumerate(runs["loss"])]
    ),
    "spaces": lambda runs: runs.assign(loss=[f" {x:.12f} " for x in runs["loss"]]),
    "scientific": lambda runs: runs.assign(N=[f"{x:.9e}" for x in runs["N"]]),
    "tokens": lambda runs: runs.assign(D=[f"{x / 1e9:.9f}B tokens" for x in runs["D"]]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_numbers_as_text_are_the_numbers(counted, name):
    fit = sf.fit(TEXTS[name](counted.astype(object)))
    np.testing.assert_allclose([*fit.params.values()], [E, A, B, ALPHA, BETA], rtol=1e-5)


@pytest.mark.parametrize("cell", ["-", "NaN", "nan", "", "n/a", None, np.nan, "—", "N/A", "--"])
def test_cells_without_a_number_are_missing_and_named(counted, cell):
    runs = counted.astype(object)
    runs.loc[[3, 11], "loss"] = cell
    message = refusal(lambda: sf.fit(runs), DataError)
    assert "missing" in message and "3, 11" in message
    kept = sf.fit(runs, keep=text_option(message, "keep"))
    dropped = sf.fit(runs, missing=text_option(message, "missing"))
    assert kept.nobs == dropped.nobs == 28
    np.testing.assert_allclose([*kept.params.values()], [E, A, B, ALPHA, BETA], rtol=1e-5)


@pytest.mark.parametrize(
    ("exact", "other"),
    [
        ("D", "train_tokens"),
        ("D", "tokens"),
        ("N", "params"),
        ("N", "model_size"),
        ("loss", "val_loss"),
        ("loss", "L"),
        (" D ", "tokens"),
    ],
)
def test_a_header_that_is_exactly_the_name_wins(counted, exact, other):
    runs = counted.rename(columns={exact.strip(): exact})
    fit = sf.fit(runs.assign(**{other: 2.5 * runs[exact]}))
    np.testing.assert_allclose([*fit.params.values()], [E, A, B, ALPHA, BETA], rtol=1e-5)


def test_of_two_other_names_neither_wins(counted):
    runs = counted.rename(columns={"D": "tokens"}).assign(train_tokens=2 * counted["D"])
    message = refusal(lambda: sf.fit(runs), DataError)
    fit = sf.fit(runs, D=text_option(message, "D"))
    np.testing.assert_allclose(fit.params["B"], B, rtol=1e-5)


@pytest.mark.parametrize(
    ("columns", "far"),
    [
        ({"N": 1e9, "D": 1e10}, False),
        ({"N": 1e10, "D": 2e11}, False),
        ({"N": 1e11, "D": 2e12}, True),
        ({"N": 1e9, "D": 1e13}, True),
        ({"N": 1e5, "D": 1e10}, True),
        ({"N": [1e9, 1e12], "D": [1e10, 1e13]}, True),
    ],
)
def test_predictions_far_outside_are_warned_of(counted, columns, far):
    fit = sf.fit(counted)
    right = surface(np.asarray(columns["N"]), np.asarray(columns["D"]))
    found, said = warned(lambda: fit.predict(**columns))
    np.testing.assert_allclose(found, right, rtol=1e-6)
    assert ("extrapolation" in said) == far
    if np.ndim(columns["N"]):
        table = pd.DataFrame(columns)
        assert ("extrapolation" in warned(lambda: fit.predict(table))[1]) == far


def test_predictions_from_text_are_refused_or_right(counted):
    fit = sf.fit(counted)
    table = pd.DataFrame({"N": ["100M", "1.5B"], "D": ["10B", "30B tokens"]})
    right = surface(np.array([1e8, 1.5e9]), np.array([1e10, 3e10]))
    np.testing.assert_allclose(fit.predict(table), right, rtol=1e-6)
    message = refusal(lambda: fit.predict(N="100M", D=1e10), ArgumentError)
    assert "raw numbers" in message
    draws = sf.bootstrap(sf.fit(grid()), grid(), **QUIET)
    assert "extrapolation" in codes(draws.predict(N=1e12, D=1e13))
    assert "unit_mismatch" in codes(draws.predict(N=7.0, D=1e11))
