"""ParScale: fits of the authors' public runs."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

CORPORA = {"pile": "the Pile", "stack_v2_python": "Python code"}
OBJECTIVES = {
    "huber_log_1e-3": {},
    "mse_log": {"robust": "none"},
    "mse_raw": {"residual": "raw", "robust": "none"},
}


@pytest.fixture(scope="module")
def runs(data_folder):
    return pd.read_csv(data_folder / "parscale.csv")


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["parscale"]


def of(runs, corpus):
    return runs[runs["train_dataset"] == corpus]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("corpus", CORPORA)
def test_default_search_finds_the_reference_optimum(runs, references, agrees, corpus, objective):
    expected = references[corpus][objective]
    fit = sf.fit(of(runs, corpus), "parscale", **OBJECTIVES[objective])
    assert fit.nobs == expected["n"]
    assert fit.objective_value == pytest.approx(expected["objective"], rel=1e-9)
    if objective == "huber_log_1e-3":
        listed = ("parscale", f"24 runs of Chen et al. on {CORPORA[corpus]}", "Huber of ln L")
        agrees(*listed, fit.objective_value, expected["objective"], rel=1e-9)
    for name in ("E", "alpha", "k"):
        assert fit.params[name] == pytest.approx(expected["params"][name], abs=1e-7)
    size = 1e9 * expected["params"]["A_in_1e9"]
    assert fit.params["A"] ** (1 / fit.params["alpha"]) == pytest.approx(size, rel=1e-6)


def test_prediction_is_that_of_the_authors_demonstration(agrees):
    fit = sf.published("parscale", "stack_python")
    quantity = "loss of 2.8e9 parameters and 4 streams"
    loss = float(fit.predict(N=2.8e9, streams=4))
    agrees("parscale", "none: published coefficients", quantity, loss, 1.01548, abs=5e-6)


def test_published_coefficients_are_the_optimum_of_the_runs(runs):
    for corpus, configuration in {"stack_v2_python": "stack_python", "pile": "pile"}.items():
        fit = sf.fit(of(runs, corpus), "parscale")
        for name, value in sf.published("parscale", configuration).params.items():
            assert fit.params[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("corpus", "least"), [("stack_v2_python", 0.994), ("pile", 0.995)])
def test_eight_streams_are_predicted_from_up_to_four(runs, corpus, least):
    mine = of(runs, corpus)
    held = mine[mine["streams"] == 8]
    fit = sf.fit(mine[mine["streams"] < 8], "parscale")
    error = held["loss"] - fit.predict(held)
    assert 1 - np.sum(error**2) / np.sum((held["loss"] - held["loss"].mean()) ** 2) > least


def test_one_stream_is_the_law_of_size():
    N = np.geomspace(1e8, 1e10, 5)
    params = {"E": 1.29, "A": 42.0, "alpha": 0.196}
    found = sf.laws.parscale.evaluate({"N": N, "streams": 1.0}, params | {"k": 0.33})
    np.testing.assert_allclose(found, sf.laws.chinchilla_n.evaluate({"N": N}, params), rtol=1e-14)
