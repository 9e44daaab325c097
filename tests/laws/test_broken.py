"""Broken power laws: their segments, and that nothing overflows far from a break."""

import numpy as np
import pytest

import scalefit as sf
from scalefit import laws

ADDITION = sf.published("broken_power", "addition")


def slope(law, params, x):
    """Local slope of the part above the limit, in logarithms."""
    x = x * np.exp([-1e-4, 1e-4])
    return np.diff(np.log(law.evaluate({"x": x}, params) - params["a"]))[0] / 2e-4


def test_slopes_on_both_sides_of_the_break():
    p = dict(ADDITION.params)
    assert slope(ADDITION.law, p, p["d1"] / 5) == pytest.approx(-p["c0"], abs=1e-6)
    assert slope(ADDITION.law, p | {"a": 0.0}, 5 * p["d1"]) == pytest.approx(
        -(p["c0"] + p["c1"]), abs=1e-6
    )
    assert slope(ADDITION.law, p, p["d1"]) == pytest.approx(-(p["c0"] + p["c1"] / 2), abs=1e-4)


def test_slopes_of_three_segments():
    p = {"a": 0.0, "b": 3.0, "s0": 0.02, "s1": 0.52, "s2": 0.17}
    p |= {"d": 1e3, "g": 1e6, "f1": 0.3, "f2": 0.3}
    law = laws.find("broken_power_twice")
    for x, expected in ((1e-2, 0.02), (3e6, 0.52), (1e14, 0.17)):
        assert slope(law, p, x) == pytest.approx(-expected, abs=1e-5)


def test_one_break_is_two_of_which_one_changes_nothing():
    p = dict(ADDITION.params)
    twice = {"a": p["a"], "b": p["b"], "s0": p["c0"], "s1": p["c0"] + p["c1"]}
    twice |= {"s2": p["c0"] + p["c1"], "d": p["d1"], "g": 10.0, "f1": p["f1"], "f2": 0.2}
    x = np.geomspace(10, 1e4, 30)
    np.testing.assert_allclose(
        laws.find("broken_power_twice").evaluate({"x": x}, twice), ADDITION.predict(x=x), rtol=1e-12
    )


def test_sharp_breaks_do_not_overflow():
    p = dict(ADDITION.params) | {"f1": 0.02}
    values = ADDITION.law.evaluate({"x": np.array([1e-8, 1e3, 1e18])}, p)
    assert np.isfinite(values).all()
    assert values[2] == pytest.approx(p["a"], rel=1e-9)
