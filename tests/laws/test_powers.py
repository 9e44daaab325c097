"""Powers of either sign, with limits and shifts; logarithms and exponentials beside them."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

import scalefit as sf

# 1.41 - 3.74 x^-0.154 with noise.
X = np.array([5e2, 1e3, 2e3, 4e3, 8e3, 1.6e4, 3.2e4, 5e4, 1e5, 2e5])
ACCURACY = pd.DataFrame(
    {
        "x": X,
        "accuracy": [
            *(-0.02312, 0.12169, 0.25487, 0.37087, 0.47466),
            *(0.57236, 0.66058, 0.70985, 0.77655, 0.83927),
        ],
    }
)
RAW = {"loss": "accuracy", "residual": "raw", "robust": "none"}


def noted(fit):
    return next(note.message for note in fit.notes if note.code == "response_rises")


def test_a_rising_accuracy_levels_off_as_the_note_says():
    message = noted(sf.fit(ACCURACY, "power", **RAW))
    assert message.startswith("accuracy rises with x (rank correlation 1.00)")
    call = message[message.index("fit(runs, 'power_offset'") : message.index(" rises to a limit")]
    fit = eval(call, {"fit": sf.fit, "runs": ACCURACY, "np": np})
    expected, _ = curve_fit(
        lambda x, E, A, alpha: E + A * x**-alpha, X, ACCURACY["accuracy"], (1.4, -3.7, 0.15)
    )
    np.testing.assert_allclose(list(fit.params.values()), expected, rtol=1e-5)
    np.testing.assert_allclose(expected, [1.38845, -3.77757, 0.15828], rtol=5e-5)


def test_a_logarithm_is_a_regression_on_ln_x():
    fit = sf.fit(ACCURACY, "logarithmic", **RAW)
    slope, constant = np.polyfit(np.log(X), ACCURACY["accuracy"], 1)
    assert (fit.params["a"], fit.params["b"]) == pytest.approx((constant, slope), rel=1e-10)


@pytest.mark.parametrize("exponent", [-4.0, -0.125, 0.0, 0.3271, 2.5])
@pytest.mark.parametrize("size", [0.292, -3.0])
def test_a_power_of_either_sign_is_found(exponent, size):
    runs = pd.DataFrame({"x": X, "y": size * X**exponent})
    residual = "log" if size > 0 else "relative"
    if size < 0:
        with pytest.raises(sf.errors.DataError, match="positive"):
            sf.fit(runs, "signed_power", loss="y")
        residual = "raw"
    fit = sf.fit(runs, "signed_power", loss="y", residual=residual, robust="none")
    assert fit.params["b"] == pytest.approx(exponent, abs=1e-8)
    assert fit.params["A"] == pytest.approx(size, rel=1e-6)


def test_a_regression_of_logarithms_is_the_fit_of_a_signed_power():
    y = 0.31 * X**-0.125 * np.exp(0.01 * np.random.default_rng(3).standard_normal(len(X)))
    fit = sf.fit(pd.DataFrame({"x": X, "lr": y}), "signed_power", loss="lr", robust="none")
    slope, constant = np.polyfit(np.log(X), np.log(y), 1)
    assert fit.params["b"] == pytest.approx(slope, rel=1e-8)
    assert fit.params["A"] == pytest.approx(np.exp(constant), rel=1e-8)


def noted_codes(fit):
    return {note.code for note in fit.notes}


# With a shift


def test_without_a_shift_the_shifted_power_is_the_power_above_a_floor():
    params = {"E": 1.7, "A": 40.0, "alpha": 0.3}
    found = sf.laws.shifted_power.evaluate({"x": X}, params | {"x0": 0.0})
    np.testing.assert_array_equal(found, sf.laws.power_offset.evaluate({"x": X}, params))


def test_a_shifted_power_is_that_of_scipy():
    noise = 0.01 * np.random.default_rng(7).standard_normal(len(X))
    runs = pd.DataFrame({"x": X, "loss": 1.2 + 60 * (X + 4e3) ** -0.5 + noise})
    fit = sf.fit(runs, "shifted_power", residual="raw", robust="none")
    expected, _ = curve_fit(
        lambda x, E, ln_A, alpha, ln_x0: E + np.exp(ln_A - alpha * np.log(x + np.exp(ln_x0))),
        X,
        runs["loss"],
        (1.2, np.log(60), 0.5, np.log(4e3)),
        xtol=1e-14,
    )
    E, ln_A, alpha, ln_x0 = expected
    assert [fit.params[name] for name in ("E", "alpha")] == pytest.approx([E, alpha], rel=1e-5)
    assert fit.params["A"] == pytest.approx(np.exp(ln_A), rel=1e-4)
    assert fit.params["x0"] == pytest.approx(np.exp(ln_x0), rel=1e-5)


@pytest.mark.slow
def test_a_shift_extrapolates_learning_curves_better_than_none():
    """Root mean square of ln L beyond the rows to be fitted: 20 curves of language, 5 of them NMT.

    By power_offset, M3 of Alabdulmohsin et al. 2022: 0.0423, 0.0471 (NMT), 0.00113, 0.00227 (LM).
    """
    path = os.environ.get("SCALEFIT_BENCH")
    if path is None:
        pytest.skip("set SCALEFIT_BENCH to the folder that holds the tables of benchmarks")
    table = pd.read_csv(Path(path) / "curves_language.csv").drop_duplicates()
    errors = {}
    for (domain, *_), curve in table.groupby(["Domain", "Task", "Model"]):
        curve = curve.rename(columns={"Seen Examples": "x", "Loss": "loss"})
        kept = curve["Training"] == 1
        for law in ("shifted_power", "power_offset"):
            found = sf.fit(curve.loc[kept, ["x", "loss"]], law).predict(curve[~kept])
            off = np.log(found / curve.loc[~kept, "loss"])
            errors.setdefault((domain, law), []).append(np.sqrt(np.mean(off**2)))
    mean = {key: np.mean(values) for key, values in errors.items()}
    assert mean["NMT", "power_offset"] == pytest.approx(0.0423, abs=1e-4)
    assert mean["NMT", "shifted_power"] < 0.016
    assert mean["LM", "shifted_power"] < 0.00090 < mean["LM", "power_offset"]
    assert mean["BB", "shifted_power"] < mean["BB", "power_offset"] < 0.0126


# Of either sign, with a limit


def test_a_signed_power_with_an_offset_is_that_of_scipy():
    fit = sf.fit(ACCURACY, "signed_power_offset", **RAW)
    expected, _ = curve_fit(
        lambda x, E, A, b: E + A * x**b, X, ACCURACY["accuracy"], (1.4, -3.7, -0.15)
    )
    np.testing.assert_allclose(list(fit.params.values()), expected, rtol=1e-5)


@pytest.mark.parametrize(("E", "A", "b"), [(-1.0, 3.0, -0.1), (2.0, -0.01, 0.4)])
def test_limits_and_sizes_of_either_sign_are_found(E, A, b):
    runs = pd.DataFrame({"x": X, "y": E + A * X**b})
    fit = sf.fit(runs, "signed_power_offset", loss="y", residual="raw", robust="none")
    assert list(fit.params.values()) == pytest.approx([E, A, b], rel=1e-6)


def test_a_logarithm_leaves_the_exponent_at_zero_and_says_so():
    runs = pd.DataFrame({"x": X, "y": 0.3 * np.log(X) - 1})
    runs["y"] += 0.01 * np.random.default_rng(1).standard_normal(len(X))
    fit = sf.fit(runs, "signed_power_offset", loss="y", residual="raw", robust="none")
    straight = sf.fit(runs, "logarithmic", loss="y", residual="raw", robust="none")
    assert abs(fit.params["b"]) < 0.02
    assert "weakly_identified" in noted_codes(fit)
    np.testing.assert_allclose(fit.predict(runs), straight.predict(runs), atol=0.02)


def test_bounds_free_the_sign_of_any_coefficient():
    """A response that rises in N and falls in D to a limit below zero, by Chinchilla."""
    rng = np.random.default_rng(5)
    N, D = (side.ravel() for side in np.meshgrid(np.geomspace(1, 300, 6), np.geomspace(1, 900, 6)))
    y = -0.5 - 2.0 * N**-0.4 + 1.5 * D**-0.6 + 0.002 * rng.standard_normal(N.size)
    free = dict.fromkeys(["E", "A", "B"], (-np.inf, np.inf))
    fit = sf.fit(
        pd.DataFrame({"N": N, "D": D, "y": y}),
        "chinchilla",
        loss="y",
        residual="raw",
        robust="none",
        bounds=free,
    )
    expected, _ = curve_fit(
        lambda _, E, A, B, alpha, beta: E + A * N**-alpha + B * D**-beta,
        N,
        y,
        (-0.5, -2.0, 1.5, 0.4, 0.6),
    )
    np.testing.assert_allclose(list(fit.params.values()), expected, rtol=1e-5)


# In two columns, and faster than any power


def test_logarithms_of_two_columns_solve_the_normal_equations():
    rng = np.random.default_rng(2)
    x, z = np.exp(rng.uniform(10, 20, (2, 40)))
    y = 0.2 - 0.03 * np.log(x) + 0.05 * np.log(z) + 0.02 * rng.standard_normal(40)
    runs = pd.DataFrame({"x": x, "z": z, "y": y})
    fit = sf.fit(runs, "logarithmic_sum", loss="y", residual="raw", robust="none")
    basis = np.column_stack([np.ones(40), np.log(x), np.log(z)])
    expected = np.linalg.solve(basis.T @ basis, basis.T @ y)
    np.testing.assert_allclose(list(fit.params.values()), expected, rtol=1e-9)


def test_a_stretched_exponential_is_that_of_scipy():
    noise = 0.003 * np.random.default_rng(4).standard_normal(len(X))
    y = 0.9 - 0.8 * np.exp(-((X / 2e4) ** 0.6)) + noise
    fit = sf.fit(
        pd.DataFrame({"x": X, "accuracy": y}),
        "stretched_exponential",
        bounds={"A": (-np.inf, 0)},
        **RAW,
    )
    expected, _ = curve_fit(
        lambda x, E, A, ln_s, b: E + A * np.exp(-np.exp(b * (np.log(x) - ln_s))),
        X,
        y,
        (0.9, -0.8, np.log(2e4), 0.6),
    )
    found = [fit.params[name] for name in ("E", "A", "b")]
    np.testing.assert_allclose(found, expected[[0, 1, 3]], rtol=1e-5)
    assert fit.params["s"] == pytest.approx(np.exp(expected[2]), rel=1e-5)
    # The Weibull, Janoschek and exp4 curves of Domhan et al. are this one.
    upper, size, s, b = fit.params["E"], -fit.params["A"], fit.params["s"], fit.params["b"]
    weibull = upper - size * np.exp(-((X / s) ** b))
    exp4 = upper - np.exp(-(s**-b) * X**b + np.log(size))
    np.testing.assert_allclose(weibull, fit.predict(x=X), rtol=1e-12)
    np.testing.assert_allclose(exp4, fit.predict(x=X), rtol=1e-12)
