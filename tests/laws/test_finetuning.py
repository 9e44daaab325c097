"""Fine-tuning laws: a published curve, and what the formulas say."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

# Test loss of GPT-2 fine-tuned on 200, 400, ... 1638400 examples of FLAN: one row of
# benchmark/flan.csv of linhaowei1/Fine-tuning-Scaling-Law (Apache-2.0).
GPT2 = [
    *(4.38600015640258, 4.28830003738403, 4.19134998321533, 4.0599250793457, 3.89045000076293),
    *(3.825725, 3.54565, 3.27245, 2.988425, 2.686375, 2.4488, 2.19325, 1.9785, 1.7906),
]


@pytest.fixture(scope="module")
def curve():
    return pd.DataFrame({"D": 200.0 * 2.0 ** np.arange(14), "loss": GPT2})


@pytest.mark.slow
def test_rectified_law_of_gpt2_on_flan(curve):
    fit = sf.fit(curve, "rectified_finetuning", robust="none")
    assert fit.params["E"] == pytest.approx(1.242, abs=5e-4)
    assert fit.params["B"] == pytest.approx(3.285, abs=5e-4)
    assert fit.params["beta"] == pytest.approx(0.5005, abs=5e-5)
    assert np.log(fit.params["D0"]) == pytest.approx(11.116, abs=5e-4)
    # Of the plain power law, which cannot be flat at the start, 0.04.
    assert fit.spread < 0.011
    assert sf.fit(curve, "chinchilla_d", robust="none").spread > 2 * fit.spread


def test_rectified_law_is_the_printed_one():
    D = np.geomspace(1e2, 1e7, 9)
    params = {"E": 1.2, "B": 3.3, "beta": 0.5, "D0": 7e4}
    found = sf.laws.rectified_finetuning.evaluate({"D": D}, params)
    np.testing.assert_allclose(found, 3.3 * 7e4**0.5 / (7e4**0.5 + D**0.5) + 1.2, rtol=1e-14)
    half = sf.laws.rectified_finetuning.evaluate({"D": 7e4}, params)
    assert half == pytest.approx(1.2 + 3.3 / 2)


def test_two_methods_of_one_floor_are_equal_at_the_critical_number_of_examples():
    # Translation into German by model size, full tuning and prompts, with one E.
    full, prompt = (
        {**sf.published("joint_finetuning", name).params, "E": 0.7}
        for name in ("wmt_de_full", "wmt_de_prompt")
    )
    X = np.geomspace(1e9, 1.6e10, 4)
    D = (full["A"] / prompt["A"] * X ** (prompt["alpha"] - full["alpha"])) ** (1 / (0.15 - 0.051))
    sides = [sf.laws.joint_finetuning.evaluate({"X": X, "D": D}, item) for item in (full, prompt)]
    np.testing.assert_allclose(*sides, rtol=1e-12)
    few = [
        sf.laws.joint_finetuning.evaluate({"X": X, "D": D / 10}, item) for item in (full, prompt)
    ]
    assert (few[0] > few[1]).all()
