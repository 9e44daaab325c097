"""Sampling until a verifier accepts: by recursion, by simulation and by the authors' example."""

import jax
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from scalefit import laws
from scalefit.errors import ArgumentError

# The authors' notebook: easy and hard tasks, and a verifier of 0.75.
RATES, SHARES, VERIFIER = [0.87, 0.13], [0.58, 0.42], {"soundness": 0.75}


def step_by_step(attempts, completeness, soundness):
    """Tasks that are left, attempt by attempt."""
    left, correct, wrong = np.array(SHARES), 0.0, 0.0
    r = np.array(RATES)
    for _ in range(attempts):
        correct += (left * completeness * r).sum()
        wrong += (left * (1 - soundness) * (1 - r)).sum()
        left = left * ((1 - completeness) * r + soundness * (1 - r))
    return correct, wrong


@pytest.mark.parametrize("attempts", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("completeness", [1.0, 0.6])
def test_attempts_are_taken_one_by_one(attempts, completeness):
    found = laws.resampled(attempts, RATES, SHARES, soundness=0.75, completeness=completeness)
    expected = step_by_step(attempts, completeness, 0.75)
    assert [float(found.correct), float(found.wrong)] == pytest.approx(list(expected), rel=1e-12)


@pytest.mark.parametrize(("fluke", "best"), [(-0.7, 3), (-1, 2), (-2, 1), (-50, 0)])
def test_the_best_number_of_attempts_is_the_authors(fluke, best):
    assert laws.best_attempts(RATES, SHARES, **VERIFIER, fluke=fluke) == best
    values = []
    for attempts in range(16):
        correct, wrong = step_by_step(attempts, 1.0, 0.75)
        values.append(correct + fluke * wrong)
    assert int(np.argmax(values)) == best


def test_the_ceiling_is_the_share_of_right_ones_among_the_accepted():
    c, s, r = 0.8, 0.9, 0.3
    found = laws.resampled(np.inf, r, soundness=s, completeness=c)
    assert float(found.correct) == pytest.approx(c * r / (c * r + (1 - r) * (1 - s)), rel=1e-14)
    assert float(found.correct + found.wrong) == pytest.approx(1.0, rel=1e-14)


def test_ends_of_probabilities_are_no_trap():
    never = laws.resampled([1, np.inf], [0.0], soundness=1.0)
    assert never.correct.tolist() == never.wrong.tolist() == [0.0, 0.0]
    always = laws.resampled([0, 1, np.inf], [1.0], soundness=0.5)
    assert always.correct.tolist() == [0.0, 1.0, 1.0]
    # Without flukes accuracy is coverage.
    perfect = laws.resampled(9, RATES, SHARES, soundness=1.0)
    coverage = 1 - np.dot(SHARES, (1 - np.array(RATES)) ** 9)
    assert float(perfect.correct) == pytest.approx(coverage, rel=1e-14)


def test_coverage_becomes_accuracy_whatever_the_rates_are():
    """Rates of a Beta density: integrated over it, and from its coverage alone."""
    k = np.arange(1.0, 41.0)
    coverage = laws.coverage_beta.evaluate({"samples": k}, {"alpha": 0.7, "beta": 3.0})
    found = laws.verified_coverage(coverage, soundness=0.9)

    def accuracy(r):
        return float(laws.resampled(40, r, soundness=0.9).correct) * beta.pdf(r, 0.7, 3.0)

    whole = quad(accuracy, 0, 1, limit=200)[0]
    assert found[-1] == pytest.approx(whole, rel=1e-7)
    np.testing.assert_allclose(laws.verified_coverage(coverage, soundness=1.0), coverage)


def test_the_law_is_two_kinds_of_tasks():
    params = {"share": 0.58, "rate": 0.87, "ratio": 0.13 / 0.87, "soundness": 0.75}
    k = np.array([1.0, 2.0, 5.0, 50.0])
    found = laws.verified_sampling.evaluate({"samples": k}, params)
    np.testing.assert_allclose(found, laws.resampled(k, RATES, SHARES, **VERIFIER).correct)


@pytest.mark.parametrize(
    "call",
    [
        lambda: laws.resampled(-1, RATES, SHARES, **VERIFIER),
        lambda: laws.resampled(3, [1.2], **VERIFIER),
        lambda: laws.resampled(3, RATES, [0.5, 0.4], **VERIFIER),
        lambda: laws.resampled(3, RATES, [1.0], **VERIFIER),
        lambda: laws.resampled(3, RATES, SHARES, soundness=75),
        lambda: laws.resampled(3, [], **VERIFIER),
        lambda: laws.resampled(3, [RATES, RATES], **VERIFIER),
        lambda: laws.verified_coverage([0.2, np.nan], soundness=0.9),
        lambda: laws.verified_coverage([20, 33, 42], soundness=0.9),
        lambda: laws.verified_coverage([0.5, 0.4], soundness=0.9),
        lambda: laws.verified_coverage(0.3, soundness=0.9),
        lambda: laws.best_attempts(RATES, SHARES, **VERIFIER, fluke=1),
        lambda: laws.best_attempts(RATES, SHARES, **VERIFIER, fluke=-1, most=10**12),
        lambda: laws.best_attempts(RATES, SHARES, **VERIFIER, fluke="bad"),
    ],
)
def test_no_probabilities_are_refused(call):
    with pytest.raises(ArgumentError):
        call()


def test_a_verifier_that_rejects_nothing_has_derivatives():
    """At the bound of soundness 0, where the logarithm of what is rejected has none."""
    at = [0.4, 0.5, 0.1, 0.0]

    def value(samples, *given):
        named = dict(zip(laws.verified_sampling.names, given, strict=True))
        return laws.verified_sampling(samples, **named)

    with jax.enable_x64(True):
        for samples in (1.0, 2.0, 3.0, 1000.0):
            slopes = jax.grad(value, range(1, 5))(samples, *at)
            bends = jax.hessian(value, range(1, 5))(samples, *at)
            # The mean rate, whatever the number of attempts; a second one helps where s rises.
            wanted = [0.45, 0.4 + 0.6 * 0.1, 0.6 * 0.5]
            wanted.append((samples > 1) * (0.4 * 0.5 * 0.5 + 0.6 * 0.05 * 0.95))
            assert np.array(slopes) == pytest.approx(np.array(wanted), rel=1e-12)
            assert np.isfinite(np.array(bends)).all()
