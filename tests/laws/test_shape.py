"""Shapes of models: stationary points, and the paper's way of writing them."""

import numpy as np
import pytest

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
