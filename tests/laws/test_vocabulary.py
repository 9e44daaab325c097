"""The vocabulary law on its authors' public runs, with their token count and the right one."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws.vocabularies import tokens_of_characters

PUBLISHED = sf.published("vocabulary").params
OPTIONS = {"residual": "raw", "tied": [("alpha1", "beta")]}


@pytest.fixture(scope="module")
def runs(data_folder):
    return pd.read_csv(data_folder / "vocab_scaling.csv")


def counted(runs, *, as_released):
    """The runs that the authors keep, with tokens counted from characters."""
    kept = runs[runs["flops"] >= 2.18e17]
    tokens = tokens_of_characters(
        kept["characters"].to_numpy(), kept["vocab_size"].to_numpy(), as_released=as_released
    )
    return kept[["params", "vocab_params", "loss"]].assign(D=tokens)


def huber(runs, params):
    fitted = sf.laws.vocabulary.evaluate(
        {"N": runs["params"], "vocab_params": runs["vocab_params"], "D": runs["D"]}, params
    )
    r = np.abs(runs["loss"] - fitted)
    return np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum()


def test_tokens_in_characters():
    assert float(tokens_of_characters(1e9, 32000)) == pytest.approx(0.2524e9, rel=1e-3)
    slip, right = (tokens_of_characters(1.0, 4096, as_released=flag) for flag in (True, False))
    assert float(slip / right) == pytest.approx(3.0, abs=0.1)
    largest = tokens_of_characters(1.0, np.array([2e5, 3e5]))
    assert largest[0] == largest[1]


def test_the_authors_count_gives_their_coefficients(runs, agrees):
    table = counted(runs, as_released=True)
    fit = sf.fit(table, "vocabulary", **OPTIONS)
    assert fit.nobs == 1054
    assert huber(table, PUBLISHED) == pytest.approx(0.06229, abs=1e-5)
    assert fit.objective_value <= huber(table, PUBLISHED)
    listed = ("vocabulary", "1054 runs of Tao et al., tokens counted as released")
    agrees(*listed, "Huber of L", fit.objective_value, 0.06229, abs=1e-5)
    assert fit.params["beta"] == pytest.approx(0.4453, abs=0.002)
    # Along a flat ridge.
    agrees(*listed, "alpha2", fit.params["alpha2"], 0.6637, abs=0.03)
    assert fit.params["E"] == pytest.approx(-5.5349, abs=0.005)


def test_the_right_count_moves_the_exponent_of_the_vocabulary(runs, agrees):
    fit = sf.fit(counted(runs, as_released=False), "vocabulary", **OPTIONS)
    assert fit.objective_value == pytest.approx(0.0668, abs=1e-4)
    listed = ("vocabulary", "1054 runs of Tao et al., tokens counted rightly", "alpha2")
    agrees(*listed, fit.params["alpha2"], 1.0588, abs=0.02)
    assert fit.params["beta"] == pytest.approx(0.4398, abs=0.003)
    assert fit.params["E"] == pytest.approx(-5.5369, abs=0.005)


def test_squares_over_all_rows_end_where_the_reference_does(runs, data_folder, agrees):
    """With any sign of the vocabulary's term: a negative one is best there."""
    text = (data_folder / "reference_fits.json").read_text()
    expected = json.loads(text)["vocab_scaling"]["all"]
    fit = sf.fit(
        runs,
        "vocabulary",
        residual="raw",
        robust="none",
        bounds={"A2": (-np.inf, np.inf), "alpha2": (0.05, 5.0)},
    )
    assert fit.nobs == expected["n"]
    listed = ("vocabulary", "1200 runs of Tao et al., A2 of any sign", "sum of squares of L")
    agrees(*listed, fit.objective_value, expected["objective"], rel=1e-9)
    for name in ("alpha1", "alpha2", "beta"):
        assert fit.params[name] == pytest.approx(expected["params"][name], rel=1e-5)
    assert fit.params["E"] == pytest.approx(expected["params"]["E0"], rel=1e-6)


# The term of the vocabulary as a logarithm


def test_the_logarithm_is_the_limit_of_the_power():
    at = {"N": 1e8, "vocab_params": np.geomspace(1e6, 1e8, 5), "D": 1e10}
    shared = {"A1": 82.0, "B": 5760.0, "alpha1": 0.32, "beta": 0.37}
    # c ln V = lim A2 V^-alpha2 - A2 for A2 = -c / alpha2.
    power = shared | {"E": -6.3 + 0.05 / 1e-6, "A2": -0.05 / 1e-6, "alpha2": 1e-6}
    logarithm = sf.laws.vocabulary_logarithmic.evaluate(at, shared | {"E": -6.3, "c": 0.05})
    np.testing.assert_allclose(sf.laws.vocabulary.evaluate(at, power), logarithm, rtol=1e-4)


BENCH = {
    "N": "non_vocab_parameters",
    "vocab_params": "vocab_size",
    "D": "num_characters",
    "loss": "unigram_normalized_loss",
}


@pytest.fixture(scope="module")
def checkpoints():
    """The training rows of the benchmark: 20 checkpoints of each run, nine vocabularies."""
    folder = os.environ.get("SCALEFIT_BENCH")
    if folder is None:
        pytest.skip("set SCALEFIT_BENCH to the folder that holds the tables of benchmarks")
    table = pd.read_csv(Path(folder) / "sld_vocab_train.csv")
    own = table.groupby(["non_vocab_parameters", "vocab_size"])
    return table.assign(stage=own.cumcount() // 5)


def test_the_coefficient_of_the_logarithm_is_that_of_linear_regression(checkpoints):
    fit = sf.fit(checkpoints, "vocabulary_logarithmic", residual="raw", robust="none", **BENCH)
    N, V, D = (checkpoints[BENCH[name]].to_numpy() for name in ("N", "vocab_params", "D"))
    terms = (np.ones(len(N)), N ** -fit["alpha1"], np.log(V), D ** -fit["beta"])
    design = np.stack(terms, axis=1)
    size = np.abs(design).max(axis=0)
    best = np.linalg.lstsq(design / size, checkpoints[BENCH["loss"]], rcond=None)[0] / size
    assert [fit[name] for name in ("E", "A1", "c", "B")] == pytest.approx(list(best), rel=1e-6)
    assert fit["c"] == pytest.approx(0.0567, abs=1e-4)


def test_the_term_of_the_vocabulary_fades_as_training_goes_on(checkpoints):
    """Figures of the law's documentation: ln V beside a parabola in ln characters at each size."""
    found = []
    for _, part in checkpoints.groupby("stage"):
        columns = [np.log(part["vocab_size"])]
        for N in part["non_vocab_parameters"].unique():
            own = (part["non_vocab_parameters"] == N).astype(float)
            length = np.log(part["num_characters"] / 1e10)
            columns += [own, own * length, own * length**2]
        found.append(np.linalg.lstsq(np.stack(columns, axis=1), part[BENCH["loss"]])[0][0])
    assert found == pytest.approx([0.144, 0.040, 0.027, 0.008], abs=5e-4)


def test_a_logarithm_predicts_the_next_vocabulary_better_than_a_power(checkpoints):
    """The largest of the training vocabularies from those below it: R2 .972 against .958."""
    largest = checkpoints["vocab_size"] == checkpoints["vocab_size"].max()
    below, above = checkpoints[~largest], checkpoints[largest]
    found = {}
    for law in ("vocabulary", "vocabulary_logarithmic"):
        fit = sf.fit(below, law, residual="raw", robust="none", **BENCH)
        error = above[BENCH["loss"]] - fit.evaluate(above)
        found[law] = 1 - (error**2).mean() / above[BENCH["loss"]].var(ddof=0)
    assert found["vocabulary"] == pytest.approx(0.9575, abs=2e-4)
    assert found["vocabulary_logarithmic"] == pytest.approx(0.9724, abs=2e-4)
