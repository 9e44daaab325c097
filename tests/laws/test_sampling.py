"""Repeated sampling: the Beta mixture, and what its exponential fit makes of it."""

from functools import cache
from itertools import product

import jax
import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, least_squares
from scipy.special import beta as beta_function
from scipy.special import gamma

import scalefit as sf
from scalefit.laws import sampling

K = np.unique(np.round(np.geomspace(1, 1e4, 40)))
BETA = sf.laws.coverage_beta


def coverage(alpha, beta):
    return BETA.evaluate({"samples": K}, {"alpha": alpha, "beta": beta})


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 3.0), (0.5, 5.0), (1.0, 20.0)])
def test_coverage_is_that_of_the_beta_functions(alpha, beta):
    expected = 1 - beta_function(alpha, beta + K) / beta_function(alpha, beta)
    np.testing.assert_allclose(coverage(alpha, beta), expected, rtol=1e-10)
    one = BETA.evaluate({"samples": 1.0}, {"alpha": alpha, "beta": beta})
    assert one == pytest.approx(alpha / (alpha + beta), rel=1e-12)


@pytest.mark.parametrize(("alpha", "beta", "amplitude"), [(0.3, 3.0, 1.3417), (1.0, 20.0, 20.0)])
def test_tail_is_a_power_of_the_attempts(alpha, beta, amplitude):
    far = BETA.evaluate({"samples": 1e6}, {"alpha": alpha, "beta": beta})
    assert gamma(alpha + beta) / gamma(beta) == pytest.approx(amplitude, rel=1e-4)
    assert 1 - far == pytest.approx(amplitude * 1e6**-alpha, rel=3e-5)


ALPHAS = (0.01, 0.1, 0.4, 1.0, 3.3, 20.0)
BETAS = (0.05, 0.7, 3.0, 100.0, 3e3, 1e5, 1e7)
ATTEMPTS = (1.0, 2.0, 97.0, 1e4, 1e6, 1e10, 1e12)


@cache
def ln_failure(alpha, beta, k):
    """ln (1 - c) in sixty digits."""
    with mpmath.workdps(60):
        a, b, k = map(mpmath.mpf, (alpha, beta, k))
        up = mpmath.loggamma(b + k) - mpmath.loggamma(a + b + k)
        return up - mpmath.loggamma(b) + mpmath.loggamma(a + b)


def test_coverage_is_exact_to_rounding_at_any_rate():
    for alpha, beta, k in product(ALPHAS, BETAS, ATTEMPTS):
        found = float(BETA.evaluate({"samples": k}, {"alpha": alpha, "beta": beta}))
        with mpmath.workdps(60):
            log = ln_failure(alpha, beta, k)
            failure, success = mpmath.exp(log), -mpmath.expm1(log)
            where = (alpha, beta, k)
            assert abs(found / success - 1) < 3e-15, where
            # What is left of 1 is known to its last digit, and to those of the logarithm.
            assert abs(1 - found - failure) < 1.2e-16 - 1e-15 * log * failure, where


def test_what_is_left_of_one_is_exact_too():
    points = list(product(ALPHAS, BETAS, ATTEMPTS))
    alpha, beta, k = np.transpose(points)
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(sampling._ln_success)(k, alpha, beta))
    for where, ln in zip(points, found, strict=True):
        with mpmath.workdps(60):
            off = mpmath.expm1(-mpmath.mpf(float(ln)) - ln_failure(*where))
        # Of 1 - c itself: 1e-16 of its logarithm, which is -550 at most.
        assert abs(off) < 5e-14 + 2e-15 * abs(ln), where


def test_derivatives_of_coverage_are_exact_too():
    # Where hardly anything fails, coverage is 1 and its derivatives are its last digit.
    points = [(0.1, 0.3, 1e12), (0.1, 3e3, 1e4), (0.1, 1e7, 1.0), (0.1, 1e7, 1e12)]
    points += [(2.0, 0.3, 1.0), (2.0, 3e3, 1e4), (2.0, 1e7, 1e4), (20.0, 1e7, 97.0)]
    slopes = jax.grad(lambda a, b, k: BETA.function(k, alpha=a, beta=b), argnums=(0, 1))
    with jax.enable_x64(True):
        found = np.transpose(jax.jit(jax.vmap(slopes))(*np.transpose(points)))
    with mpmath.workdps(60):
        for where, pair in zip(points, found, strict=True):
            alpha, beta, k = map(mpmath.mpf, where)
            psi, failure = mpmath.digamma, mpmath.exp(ln_failure(*where))
            in_alpha = failure * (psi(alpha + beta + k) - psi(alpha + beta))
            in_beta = in_alpha + failure * (psi(beta) - psi(beta + k))
            assert abs(pair[0] / in_alpha - 1) < 1e-14, where
            assert abs(pair[1] / in_beta - 1) < 1e-14, where


# Coverage of problems whose rates are drawn from Beta(0.4, 3000), ten thousand attempts each.
RARE = pd.DataFrame(
    {
        "samples": [1.0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
        "coverage": [
            *(1.4066667e-4, 2.8127426e-4, 7.0274302e-4, 1.40401336e-3, 2.80215654e-3),
            *(6.96177183e-3, 0.01378080, 0.02700981, 0.06373370, 0.11675263, 0.20082598),
            *(0.35887873, 0.49),
        ],
    }
)


@pytest.mark.parametrize("residual", ["raw", "log"])
@pytest.mark.parametrize("robust", ["none", "huber"])
def test_small_rates_are_fitted(residual, robust):
    fit = sf.fit(RARE, BETA, residual=residual, robust=robust)
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.at_bound == ()
    assert not {"at_bound", "starts_stalled"} & {note.code for note in fit.notes}
    assert fit.params["alpha"] == pytest.approx(0.509, abs=4e-3)
    if robust == "none":
        # The same by another program, from a point nearby, attempt after attempt.
        k, observed = RARE["samples"].to_numpy(), RARE["coverage"].to_numpy()

        def misfit(x):
            a, b = np.exp(x)
            failed = np.cumsum(np.log1p(-a / (a + b + np.arange(k[-1]))))
            c = -np.expm1(failed[k.astype(int) - 1])
            return 1e3 * (observed - c) if residual == "raw" else np.log(observed / c)

        found = np.exp(least_squares(misfit, np.log([0.4, 3e3]), xtol=1e-12, ftol=1e-14).x)
        np.testing.assert_allclose([fit.params["alpha"], fit.params["beta"]], found, rtol=1e-4)


@pytest.mark.parametrize("rate", [1.3e-4, 5e-5])
def test_no_draw_of_small_rates_fails_or_stalls(rate):
    beta = 0.4 * (1 / rate - 1)
    k = RARE["samples"].to_numpy()
    for seed in range(18):
        rates = np.random.default_rng(seed).beta(0.4, beta, 300)
        solved = -np.expm1(k[:, None] * np.log1p(-rates)).mean(axis=1)
        runs = pd.DataFrame({"samples": k, "coverage": solved})
        options = ({}, {"residual": "raw", "robust": "none"}, {"robust": "none"})[seed % 3]
        fit = sf.fit(runs, BETA, **options)
        assert fit.status in (sf.Status.CONVERGED, sf.Status.EXACT), (seed, options)
        assert fit.diagnostics.at_bound == (), (seed, options)
        assert 0.2 < fit.params["alpha"] < 1.0, (seed, options)


@pytest.mark.parametrize("beta", [0.05, 3e3, 5e4, 1e6])
@pytest.mark.parametrize("residual", ["raw", "log"])
@pytest.mark.parametrize("attempts", [13, 5])
def test_bounds_of_the_attempts_follow_the_table(beta, residual, attempts):
    """Coverages of 1e-7 have attempts by the million behind them; twenty of each show it."""
    k = RARE["samples"].to_numpy()[:attempts]
    exact = BETA.evaluate({"samples": k}, {"alpha": 0.4, "beta": beta})
    runs = pd.DataFrame({"samples": k, "coverage": exact})
    fit = sf.fit(runs, BETA, residual=residual, robust="none")
    assert fit.diagnostics.at_bound == ()
    assert fit.params["alpha"] == pytest.approx(0.4, rel=1e-6)
    assert fit.params["beta"] == pytest.approx(beta, rel=1e-6)


# Density, then a and b of least squares and the largest error left.
WINDOWS = {
    (0.3, 3.0): (2.3206, 0.3718, 0.012),
    (0.5, 5.0): (2.755, 0.5258, 0.027),
    (1.0, 20.0): (5.512, 0.7214, 0.0556),
}


@pytest.mark.parametrize("density", WINDOWS)
def test_exponential_fitted_to_a_window_is_too_steep(density):
    a, b, largest = WINDOWS[density]
    table = pd.DataFrame({"samples": K, "coverage": coverage(*density)})
    fit = sf.fit(table, "coverage_power", residual="raw", robust="none")
    assert fit.params["a"] == pytest.approx(a, abs=6e-4)
    assert fit.params["b"] == pytest.approx(b, abs=6e-4)
    assert np.abs(fit.residuals(table)).max() == pytest.approx(largest, abs=6e-4)


def test_density_extrapolates_where_the_exponential_does_not():
    k = np.arange(1.0, 41.0)
    exact = BETA.evaluate({"samples": k}, {"alpha": 0.3, "beta": 3.0})
    few = pd.DataFrame({"samples": k, "coverage": exact})
    beta, power = (
        sf.fit(few, law, residual="raw", robust="none") for law in (BETA, "coverage_power")
    )
    truth = coverage(0.3, 3.0)
    np.testing.assert_allclose(beta.predict(samples=K), truth, rtol=1e-9)
    assert truth[-1] < power.predict(samples=K)[-1] - 0.02


def test_budgets_for_training_and_sampling_have_one_optimum():
    """The stationarity condition of N, at fixed training and sampling compute."""
    p = {"E": 0.2, "A": 30.0, "B": 60.0, "G": 0.8, "alpha": 0.25, "beta": 0.25, "gamma": 0.4}
    training, sampling = 1e19, 1e11

    def slope(N):
        data, tries = training / (6 * N), sampling / (2 * N)
        less = p["alpha"] * p["A"] * N ** -p["alpha"]
        more = p["beta"] * p["B"] * data ** -p["beta"] + p["gamma"] * p["G"] * tries ** -p["gamma"]
        return more - less

    best = brentq(slope, 1e6, 1e10)
    N = best * np.array([0.98, 1.0, 1.02])
    columns = {"N": N, "D": training / (6 * N), "samples": sampling / (2 * N)}
    before, at, after = sf.laws.train_to_test.evaluate(columns, p)
    assert at < min(before, after)


# Over compute too


def test_coverage_over_compute_is_the_regression_of_the_paper():
    """ln(-ln Q) = ln A + a ln C + b ln k + d ln C ln k, as the authors' least squares has it."""
    rng = np.random.default_rng(3)
    C, k = np.exp(rng.uniform(43, 50, 30)), np.round(np.exp(rng.uniform(0, 5, 30)))
    params = {"C0": 3e21, "alpha": 0.21, "beta": 0.4, "delta": 0.03}
    coverage = sf.laws.coverage_of_compute.evaluate({"C": C, "samples": k}, params)
    basis = np.column_stack([np.ones(30), np.log(C), np.log(k), np.log(C) * np.log(k)])
    (ln_A, a, b, d), *_ = np.linalg.lstsq(basis, np.log(-np.log(coverage)), rcond=None)
    assert [-a, -d] == pytest.approx([0.21, 0.03], rel=1e-8)
    assert ln_A / 0.21 == pytest.approx(np.log(3e21), rel=1e-8)
    assert -b + 0.03 * np.log(3e21) == pytest.approx(0.4, rel=1e-6)


def test_coverage_over_compute_joins_two_laws():
    law, C, k = sf.laws.coverage_of_compute, np.geomspace(1e19, 1e22, 5), np.array([1.0, 8, 100])
    params = {"C0": 3e21, "alpha": 0.21, "beta": 0.4, "delta": 0.03}
    once = sf.laws.accuracy_of_compute.evaluate({"C": C}, {"floor": 0.0, "C0": 3e21, "alpha": 0.21})
    np.testing.assert_allclose(law.evaluate({"C": C, "samples": 1.0}, params), once, rtol=1e-14)
    a, b = (3e21 / 1e20) ** 0.21, 0.4 + 0.03 * np.log(1e20 / 3e21)
    power = sf.laws.coverage_power.evaluate({"samples": k}, {"a": a, "b": b})
    np.testing.assert_allclose(law.evaluate({"C": 1e20, "samples": k}, params), power, rtol=1e-14)
