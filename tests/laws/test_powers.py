"""Power laws of either sign, and the logarithm between them."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

import scalefit as sf

# 1.41 - 3.74 x^-0.154 with noise.
X = np.array([5e2, 1e3, 2e3, 4e3, 8e3, 1.6e4, 3.2e4, 5e4, 1e5, 2e5])
ACCURACY = pd.DataFrame(
    {
        "x": X,
        "accuracy": [
            *(-0.02312, 0.12169, 0.25487, 0.37087, 0.47466),
            *(0.57236, 0.66058, 0.70985, 0.77655, 0.83927),
        ],
    }
)
RAW = {"loss": "accuracy", "residual": "raw", "robust": "none"}


def noted(fit):
    return next(note.message for note in fit.notes if note.code == "response_rises")


def test_a_rising_accuracy_levels_off_as_the_note_says():
    message = noted(sf.fit(ACCURACY, "power", **RAW))
    assert message.startswith("accuracy rises with x (rank correlation 1.00)")
    call = message[message.index("fit(runs, 'power_offset'") : message.index(" rises to a limit")]
    fit = eval(call, {"fit": sf.fit, "runs": ACCURACY, "np": np})
    expected, _ = curve_fit(
        lambda x, E, A, alpha: E + A * x**-alpha, X, ACCURACY["accuracy"], (1.4, -3.7, 0.15)
    )
    np.testing.assert_allclose(list(fit.params.values()), expected, rtol=1e-5)
    np.testing.assert_allclose(expected, [1.38845, -3.77757, 0.15828], rtol=5e-5)


def test_a_logarithm_is_a_regression_on_ln_x():
    fit = sf.fit(ACCURACY, "logarithmic", **RAW)
    slope, constant = np.polyfit(np.log(X), ACCURACY["accuracy"], 1)
    assert (fit.params["a"], fit.params["b"]) == pytest.approx((constant, slope), rel=1e-10)


@pytest.mark.parametrize("exponent", [-4.0, -0.125, 0.0, 0.3271, 2.5])
@pytest.mark.parametrize("size", [0.292, -3.0])
def test_a_power_of_either_sign_is_found(exponent, size):
    runs = pd.DataFrame({"x": X, "y": size * X**exponent})
    residual = "log" if size > 0 else "relative"
    if size < 0:
        with pytest.raises(sf.errors.DataError, match="positive"):
            sf.fit(runs, "signed_power", loss="y")
        residual = "raw"
    fit = sf.fit(runs, "signed_power", loss="y", residual=residual, robust="none")
    assert fit.params["b"] == pytest.approx(exponent, abs=1e-8)
    assert fit.params["A"] == pytest.approx(size, rel=1e-6)


def test_a_regression_of_logarithms_is_the_fit_of_a_signed_power():
    y = 0.31 * X**-0.125 * np.exp(0.01 * np.random.default_rng(3).standard_normal(len(X)))
    fit = sf.fit(pd.DataFrame({"x": X, "lr": y}), "signed_power", loss="lr", robust="none")
    slope, constant = np.polyfit(np.log(X), np.log(y), 1)
    assert fit.params["b"] == pytest.approx(slope, rel=1e-8)
    assert fit.params["A"] == pytest.approx(np.exp(constant), rel=1e-8)
