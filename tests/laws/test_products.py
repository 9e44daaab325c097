"""The product law, its earlier name, and the names that find it."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import laws

TRUE = {"E": 0.75, "A": 40.0, "alpha": 0.3, "beta": 0.12}


@pytest.fixture(scope="module")
def runs():
    X, D = (item.ravel() for item in np.meshgrid(np.geomspace(1, 64, 5), np.geomspace(1, 1e4, 5)))
    return pd.DataFrame({"X": X, "D": D, "loss": 0.75 + 40.0 / (X**0.3 * D**0.12)})


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, "joint_finetuning")


def test_two_methods_of_one_floor_are_equal_at_the_critical_number_of_examples():
    # Translation into German by model size, full tuning and prompts, with one E.
    full, prompt = (
        {**sf.published("power_product", name).params, "E": 0.7}
        for name in ("wmt_de_full", "wmt_de_prompt")
    )
    X = np.geomspace(1e9, 1.6e10, 4)
    D = (full["A"] / prompt["A"] * X ** (prompt["alpha"] - full["alpha"])) ** (1 / (0.15 - 0.051))
    sides = [laws.power_product.evaluate({"X": X, "D": D}, item) for item in (full, prompt)]
    np.testing.assert_allclose(*sides, rtol=1e-12)
    few = [laws.power_product.evaluate({"X": X, "D": D / 10}, item) for item in (full, prompt)]
    assert (few[0] > few[1]).all()


def test_the_name_of_earlier_versions_is_the_same_law(fit):
    assert laws.find("joint_finetuning") is fit.law is laws.power_product
    assert dict(fit.params) == pytest.approx(TRUE, rel=1e-6)
    assert sf.published("joint_finetuning", "wmt_de_full")["alpha"] == 0.52


def test_saved_fits_of_the_earlier_name_are_read(fit):
    old = fit.to_json().replace('"power_product"', '"joint_finetuning"')
    assert old != fit.to_json()
    assert sf.Fit.from_json(old) == fit
    assert sf.Fit.from_json(old, law="power_product") == fit
    with pytest.raises(sf.errors.LawError, match="has columns"):
        sf.Fit.from_json(old, law="chinchilla")


def test_other_uses_of_the_formula_find_it():
    assert laws.find("NMT") is laws.power_product
    assert laws.power_product in [*laws.search("visual tokens")]
