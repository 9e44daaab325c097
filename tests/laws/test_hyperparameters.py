"""Step Law: formulas as printed, and fits of its public grid of runs."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def best(data_folder):
    """The best run of each size and number of tokens; batches in tokens (2048 a sequence)."""
    runs = pd.read_csv(data_folder / "steplaw_dense.csv")
    lowest = runs.loc[runs.groupby(["params", "tokens"])["loss"].idxmin()]
    table = lowest[["params", "tokens", "lr"]].assign(batch_size=2048 * lowest["batch_size"])
    return table.reset_index(drop=True)


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["steplaw_dense"]


@pytest.mark.slow
def test_learning_rate_is_the_regression_of_logarithms(best, references):
    expected = references["lr_power_law"]
    fit = sf.fit(best, "optimal_learning_rate", robust="none")
    assert fit.rows == 17
    assert fit.params["a"] == pytest.approx(expected["coefN"], abs=1e-9)
    assert fit.params["b"] == pytest.approx(expected["coefD"], abs=1e-9)
    assert np.log(fit.params["c"]) == pytest.approx(expected["intercept"], abs=1e-7)


@pytest.mark.slow
def test_batch_size_is_the_regression_of_logarithms(best, references):
    expected = references["bs_power_law"]
    fit = sf.fit(best, "optimal_batch_size", robust="none")
    assert fit.params["b"] == pytest.approx(expected["coefD"], abs=1e-9)
    assert np.log(fit.params["c"]) == pytest.approx(expected["intercept"], abs=1e-7)


def test_printed_coefficients_are_the_means_of_the_published_bootstrap(references):
    means = references["source_bootstrap_means"]
    assert np.exp(means["lr_intercept"]) == pytest.approx(1.79, abs=0.01)
    assert means["lr_coefN"] == pytest.approx(-0.713, abs=5e-4)
    assert means["lr_coefD"] == pytest.approx(0.307, abs=5e-4)
    assert np.exp(means["bs_intercept"]) == pytest.approx(0.58, abs=0.005)
    assert means["bs_coefD"] == pytest.approx(0.571, abs=5e-4)


def test_printed_law_is_within_a_step_of_the_grid_of_the_best_runs(best):
    lr = sf.laws.optimal_learning_rate.evaluate(
        {"N": best["params"], "D": best["tokens"]}, {"c": 1.79, "a": -0.713, "b": 0.307}
    )
    batch = sf.laws.optimal_batch_size.evaluate({"D": best["tokens"]}, {"c": 0.58, "b": 0.571})
    # The grid has steps of sqrt 2 and 1.4 to 2; the loss is flat near its least value.
    assert np.median(np.abs(np.log2(lr / best["lr"]))) < 0.5
    assert np.median(np.abs(np.log2(batch / best["batch_size"]))) < 0.5
