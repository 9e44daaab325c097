"""ScaleRL: what a run identifies, and what a power law makes of it."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

LAW = sf.laws.reward_of_compute
# The published run: asymptote and steepness of 8e9 parameters over 1e5 GPU hours.
TRUTH = {"R0": 0.30, "A": 0.645, "B": 1.70, "C_mid": 12000.0}
RAW = {"residual": "raw", "robust": "none", "fixed": {"R0": 0.30}}


def run(last, noise=0.003, seed=0, first=1500.0):
    C = np.linspace(first, last, 75)
    reward = LAW.evaluate({"C": C}, TRUTH)
    return pd.DataFrame(
        {"C": C, "reward": reward + noise * np.random.default_rng(seed).standard_normal(75)}
    )


def test_reward_is_a_logistic_in_the_logarithm_of_compute():
    C = np.geomspace(1e2, 1e6, 9)
    reward = LAW.evaluate({"C": C}, TRUTH)
    share = (reward - 0.30) / (0.645 - 0.30)
    np.testing.assert_allclose(np.log(share / (1 - share)), 1.70 * np.log(C / 12000), atol=1e-9)


def test_run_past_its_midpoint_identifies_the_asymptote():
    fits = [sf.fit(run(50000.0, seed=seed), LAW, **RAW) for seed in range(10)]
    assert np.std([fit.params["A"] for fit in fits]) == pytest.approx(0.0015, rel=0.6)
    assert np.std([fit.params["B"] for fit in fits]) == pytest.approx(0.021, rel=0.6)
    for fit in fits:
        assert fit.params["A"] == pytest.approx(0.645, abs=0.006)


def test_run_that_ends_before_its_midpoint_does_not():
    early = [sf.fit(run(8000.0, seed=seed), LAW, **RAW).params["A"] for seed in range(10)]
    assert np.std(early) > 0.015


def test_power_law_of_the_same_run_saturates_too_high():
    """A power law of the whole run ends far above, of its last part close to the truth."""

    @sf.law(source="power law with an asymptote", response="reward")
    def power(C, *, A: sf.laws.Coefficient, D: sf.laws.Amplitude, b: sf.laws.Exponent):
        """A - D C^-b"""
        return A - D * C**-b

    found = [
        sf.fit(run(50000.0, 0.0, first=first), power, residual="raw", robust="none").params["A"]
        for first in (1500.0, 5000.0, 30000.0)
    ]
    assert found[0] > 1.0
    assert 0.66 < found[1] < 0.9
    assert found[2] == pytest.approx(0.645, abs=0.01)


@pytest.mark.parametrize(
    ("law", "best"),
    [
        (sf.laws.overoptimization_best_of_n, 1.0 / (2 * 0.1)),
        (sf.laws.overoptimization_rl, np.exp(1.0 / 0.1 - 1)),
    ],
)
def test_true_reward_is_largest_where_the_docstring_says(law, best):
    distance = best * np.array([0.9, 1.0, 1.1])
    before, at, after = law.evaluate({"distance": distance}, {"alpha": 1.0, "beta": 0.1})
    assert at > max(before, after)
