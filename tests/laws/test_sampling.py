"""Repeated sampling: the Beta mixture, and what its exponential fit makes of it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import beta as beta_function
from scipy.special import gamma

import scalefit as sf

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
