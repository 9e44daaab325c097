"""Filtering with repeats: the product over epochs, and where the authors' code differs."""

import numpy as np
import pytest

import scalefit as sf

LAW = sf.laws.quality_quantity_tradeoff
POOL = 1.28e7
TRUTH = {"d": 0.1, "A": 11.4, "b": 0.16, "tau": 6.7}


def product(samples, d, A, b, tau, code=False):
    """The paper's product, epoch by epoch; the floor as the authors' code has it, or outside."""
    y = A * min(samples, POOL) ** -b + (d if code else 0.0)
    epoch = 1
    while epoch * POOL < samples:
        seen = min(samples, (epoch + 1) * POOL)
        y *= (seen / (epoch * POOL)) ** (-b * 0.5 ** (epoch / tau))
        epoch += 1
    return y if code else y + d


@pytest.mark.parametrize("epochs", [0.3, 1.0, 1.5, 2.0, 7.25, 50.0, 64.0])
def test_it_is_the_product_over_epochs(epochs):
    found = LAW.evaluate({"samples": epochs * POOL, "pool": POOL}, TRUTH)
    assert found == pytest.approx(product(epochs * POOL, **TRUTH), rel=1e-12)
    theirs = product(epochs * POOL, **TRUTH, code=True)
    assert (theirs == pytest.approx(found, rel=1e-12)) == (epochs <= 1)
    assert epochs <= 1 or theirs < found


def test_without_a_floor_the_authors_code_is_the_law():
    bare = TRUTH | {"d": 0.0}
    for epochs in (3.5, 50):
        found = LAW.evaluate({"samples": epochs * POOL, "pool": POOL}, bare)
        assert found == pytest.approx(product(epochs * POOL, **bare, code=True), rel=1e-12)


def test_a_long_half_life_is_a_power_and_a_short_one_a_wall():
    at = {"samples": np.array([2.0, 20.0]) * POOL, "pool": POOL}
    fresh = LAW.evaluate({"samples": at["samples"], "pool": 1e12}, TRUTH)
    np.testing.assert_allclose(LAW.evaluate(at, TRUTH | {"tau": 1e9}), fresh, rtol=1e-7)
    once = LAW.evaluate({"samples": POOL, "pool": POOL}, TRUTH)
    np.testing.assert_allclose(LAW.evaluate(at, TRUTH | {"tau": 0.02}), once, rtol=1e-12)


def test_more_epochs_than_it_counts_are_refused():
    with pytest.raises(sf.errors.DataError, match="samples / pool <= 64"):
        LAW.check({"samples": 65 * POOL, "pool": POOL})
