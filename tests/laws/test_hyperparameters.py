"""Step Law: formulas as printed, and fits of its public grid of runs. Surge: its derivation."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

RATE, BATCH = "optimal_learning_rate", "optimal_batch_size"
LISTED = "17 cells of Step Law, best runs"


@pytest.fixture(scope="module")
def best(data_folder):
    """The best run of each size and number of tokens; batches in tokens (2048 a sequence)."""
    runs = pd.read_csv(data_folder / "steplaw_dense.csv")
    lowest = runs.loc[runs.groupby(["params", "tokens"])["loss"].idxmin()]
    table = lowest[["params", "tokens", "lr"]].assign(batch=2048 * lowest["batch_size"])
    return table.reset_index(drop=True)


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["steplaw_dense"]


def test_learning_rate_is_the_regression_of_logarithms(best, references, agrees):
    expected = references["lr_power_law"]
    fit = sf.fit(best, RATE, robust="none")
    assert fit.nobs == 17
    slopes = [fit.params["a"], fit.params["b"]]
    agrees(RATE, LISTED, "a, b", slopes, [expected["coefN"], expected["coefD"]], abs=1e-9)
    assert np.log(fit.params["c"]) == pytest.approx(expected["intercept"], abs=1e-7)


def test_batch_size_is_the_regression_of_logarithms(best, references, agrees):
    expected = references["bs_power_law"]
    fit = sf.fit(best, BATCH, robust="none")
    agrees(BATCH, LISTED, "b", fit.params["b"], expected["coefD"], abs=1e-9)
    assert np.log(fit.params["c"]) == pytest.approx(expected["intercept"], abs=1e-7)


def test_printed_coefficients_are_the_means_of_the_published_bootstrap(references):
    means = references["source_bootstrap_means"]
    rate, batch = (sf.published(name).params for name in (RATE, BATCH))
    assert rate["c"] == pytest.approx(np.exp(means["lr_intercept"]), abs=0.01)
    assert rate["a"] == pytest.approx(means["lr_coefN"], abs=5e-4)
    assert rate["b"] == pytest.approx(means["lr_coefD"], abs=5e-4)
    assert batch["c"] == pytest.approx(np.exp(means["bs_intercept"]), abs=0.005)
    assert batch["b"] == pytest.approx(means["bs_coefD"], abs=5e-4)


def test_printed_law_is_within_a_step_of_the_grid_of_the_best_runs(best):
    rate = sf.published(RATE).predict(N=best["params"], D=best["tokens"])
    batch = sf.published(BATCH).predict(D=best["tokens"])
    # The grid has steps of sqrt 2 and 1.4 to 2; the loss is flat near its least value.
    assert np.median(np.abs(np.log2(rate / best["lr"]))) < 0.5
    assert np.median(np.abs(np.log2(batch / best["batch"]))) < 0.5


# Surge


def test_surge_is_the_best_step_along_signs_of_gradients():
    """Of theorem 3 of the paper: a step along signs of mean E_i = sqrt(2 B / pi) mu_i / sigma_i.

    The best step is E mu / (sum_i (1 - E_i^2) H_ii + E H E), to second order in B for the diagonal.
    """
    rng = np.random.default_rng(0)
    mu, sigma = rng.uniform(0.5, 2.0, (2, 6))
    root = rng.standard_normal((6, 6)) + 1
    H = root @ root.T
    snr = mu / sigma
    S = snr @ (H - np.diag(np.diag(H))) @ snr
    params = {
        "B_noise": np.pi * np.trace(H) / (2 * S),
        "lr_max": mu @ snr / (2 * np.sqrt(np.trace(H) * S)),
    }
    for B in (1e-3, 0.2, params["B_noise"], 7.0):
        E = np.sqrt(2 * B / np.pi) * snr
        best = E @ mu / ((1 - E**2) @ np.diag(H) + E @ H @ E)
        found = sf.laws.surge_learning_rate.evaluate({"batch": B}, params)
        assert found == pytest.approx(best, rel=1e-12)


def test_surge_peaks_at_the_noise_and_grows_as_a_square_root_before():
    params = {"lr_max": 3e-4, "B_noise": 500.0}
    batches = np.array([50.0, 500.0, 5000.0, 1e-4, 4e-4])
    low, peak, high, first, second = sf.laws.surge_learning_rate.evaluate(
        {"batch": batches}, params
    )
    assert peak == pytest.approx(3e-4, rel=1e-15)
    assert low == pytest.approx(high, rel=1e-14)
    assert low < 2 / 3 * peak
    assert second / first == pytest.approx(2, rel=1e-5)
