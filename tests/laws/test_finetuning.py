"""Fine-tuning laws: what the formulas say."""

import numpy as np
import pytest

import scalefit as sf


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
