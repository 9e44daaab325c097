"""The vocabulary law on its authors' public runs, with their token count and the right one."""

import json

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
