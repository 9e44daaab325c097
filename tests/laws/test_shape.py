"""Shapes of models: stationary points, and the papers' ways of writing them."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import scalefit as sf


def stationary(law, params, column, at):
    """Derivative of a law in one column, scaled, at a value of it."""
    columns = {"width_ratio": 0.08, "mlp_ratio": 1.5, "best_loss": 3.0}
    step = 1e-6
    ends = [law.evaluate(columns | {column: at * (1 + sign * step)}, params) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("law", [sf.laws.architecture_product, sf.laws.architecture_sum])
def test_factors_are_least_at_the_ratio_of_their_coefficients(law):
    params = {"a0": 1.0, "a1": 0.05, "a2": 0.004, "b1": 0.02, "b2": 0.03}
    for column, at in (("width_ratio", 0.08), ("mlp_ratio", 1.5)):
        assert stationary(law, params, column, at) == pytest.approx(0, abs=1e-8)
        assert (
            stationary(law, params, column, 0.8 * at)
            < 0
            < stationary(law, params, column, 1.2 * at)
        )


def test_normalisation_of_the_second_factor_changes_no_surface():
    """The paper's (a0 + a1 ln x + a2/x) (b0 + b1 ln r + b2/r), from its own coefficients."""
    a0, a1, a2, b0, b1, b2 = 0.9, 0.03, 0.002, 0.8, 0.05, 0.07
    x, r = np.array([0.03, 0.08, 0.2])[:, None], np.array([0.5, 1.0, 4.0])
    printed = 2.9 * (a0 + a1 * np.log(x) + a2 / x) * (b0 + b1 * np.log(r) + b2 / r)
    size = b0 + b2
    params = {"a0": a0 * size, "a1": a1 * size, "a2": a2 * size, "b1": b1 / size, "b2": b2 / size}
    found = sf.laws.architecture_product.evaluate(
        {"width_ratio": x, "mlp_ratio": r, "best_loss": 2.9}, params
    )
    np.testing.assert_allclose(found, printed, rtol=1e-14)


# Width and depth


def test_gemstones_are_near_their_published_laws():
    """Public losses of cooled-down runs; the root mean square of the 199 is 0.008 in ln L."""
    fit = sf.published("width_depth_size", "gemstones_cool_end")
    runs = {
        "width": np.array([1024.0, 256.0, 3072.0]),
        "depth": np.array([28.0, 80.0, 12.0]),
        "N": np.array([543482880.0, 104440064.0, 2007837696.0]),
        "D": np.array([109987233792.0, 55012491264.0, 99027517440.0]),
    }
    np.testing.assert_allclose(fit.predict(**runs), [2.6894825, 3.1235538, 2.5708084], rtol=0.008)
    # The authors' sum of exponentials, from the constants as they are stored.
    logs = [
        1.6375654653 - 0.30146699 * np.log(runs["width"]),
        -0.0254911443 - 0.3655461733 * np.log(runs["depth"]),
        7.8653383939 - 0.5055007692 * np.log(runs["N"]),
        9.9838221358 - 0.4670177667 * np.log(runs["D"]),
        np.full(3, 0.4195179541),
    ]
    np.testing.assert_allclose(fit.predict(**runs), np.exp(logs).sum(axis=0), rtol=1e-10)


def test_without_a_term_of_size_both_laws_of_width_and_depth_are_one():
    small = sf.published("width_depth")
    at = {"width": 768.0, "depth": 12.0, "D": 2e10}
    larger = sf.laws.width_depth_size.evaluate(
        at | {"N": 1e8}, {**small.params, "G": 0.0, "zeta": 0.5}
    )
    assert larger == pytest.approx(small.predict(**at), rel=1e-14)
    expected = np.exp(2.1161206619) * 768**-0.2607743843
    expected += np.exp(0.7321112501) * 12**-0.1418010881
    expected += np.exp(11.5418232414) * 2e10**-0.5420589921
    assert small.predict(**at) == pytest.approx(expected, rel=1e-10)


def test_the_best_dimension_of_a_shape_is_the_closed_form():
    params = {"E": 0.1, "A": 3.0, "B": 0.02, "G": 0.8, "a": 0.6, "b": 0.5, "c": 0.35}
    for C in (1e2, 1e4):
        found = minimize_scalar(
            lambda ln_x, C=C: float(
                sf.laws.shape_dimension.evaluate({"x": np.exp(ln_x), "C": C}, params)
            ),
            bounds=(0, 15),
            method="bounded",
            options={"xatol": 1e-9},
        )
        best = (0.6 * 3.0 * C**0.35 / (0.5 * 0.02)) ** (1 / 1.1)
        assert np.exp(found.x) == pytest.approx(best, rel=1e-5)
