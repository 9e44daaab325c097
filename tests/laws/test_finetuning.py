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
