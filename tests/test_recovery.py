"""Noise-free recovery, and what a fit must not depend on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf

OBJECTIVES = {
    "log-huber": {},
    "log": {"robust": "none"},
    "relative": {"residual": "relative", "robust": "none"},
    "raw": {"residual": "raw", "robust": "none"},
    "raw-huber": {"residual": "raw"},
}
WIDTHS = np.geomspace(2, 100, 20)


def worst(fit, truth):
    return max(abs(fit.params[name] / value - 1) for name, value in truth.items())


@pytest.fixture(scope="module")
def noisy():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.01)


@pytest.mark.parametrize("surface", sf.simulation.SURFACES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_noise_free_parameters_come_back_at_every_grid_width(surface, objective):
    """Three surfaces of Czech et al. 2026 x 20 widths: all five parameters to 1e-9."""
    truth = sf.simulation.SURFACES[surface]
    for width in WIDTHS:
        design = sf.simulation.isoflop_design(width=width, surface=surface)
        fit = sf.fit(sf.simulate(design, params=truth, noise=0.0), **OBJECTIVES[objective])
        assert worst(fit, truth) < 1e-9, width
        assert fit.status is sf.Status.EXACT


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        ("chinchilla_tied", {"E": 1.8, "A": 500.0, "B": 1500.0, "alpha": 0.35}),
        ("chinchilla_n", {"E": 2.4, "A": 300.0, "alpha": 0.3}),
        ("chinchilla_d", {"E": 2.1, "B": 800.0, "beta": 0.29}),
    ],
)
def test_smaller_forms_come_back_too(law, truth):
    runs = sf.simulate(sf.simulation.isoflop_design(), law, truth, noise=0.0)
    assert worst(sf.fit(runs, law), truth) < 1e-9


@settings(max_examples=15, deadline=None)
@given(
    E=st.floats(0.5, 3.0),
    A=st.floats(10.0, 1e5),
    B=st.floats(10.0, 1e5),
    alpha=st.floats(0.15, 0.8),
    beta=st.floats(0.15, 0.8),
)
def test_any_ordinary_surface_comes_back(E, A, B, alpha, beta):
    truth = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    runs = sf.simulate(sf.simulation.isoflop_design(surface=truth), params=truth, noise=0.0)
    fit = sf.fit(runs)
    # A term below 1e-4 of the loss leaves its own parameters fewer digits.
    assert worst(fit, truth) < 1e-7
    np.testing.assert_allclose(fit.predict(runs), runs["loss"], rtol=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("factor", [1e-6, 1e3, 7.0])
def test_counting_parameters_in_other_units_moves_only_their_amplitude(noisy, objective, factor):
    fit = sf.fit(noisy, **OBJECTIVES[objective])
    other = sf.fit(noisy.assign(N=noisy["N"] * factor)[["N", "D", "loss"]], **OBJECTIVES[objective])
    expected = dict(fit.params)
    expected["A"] *= factor ** fit.params["alpha"]
    assert worst(other, expected) < 1e-9
    assert other.objective_value == pytest.approx(fit.objective_value, rel=1e-12)


@pytest.mark.parametrize("factor", [1e-9, 1e3])
def test_counting_tokens_in_other_units_moves_only_their_amplitude(noisy, factor):
    fit = sf.fit(noisy)
    other = sf.fit(noisy.assign(D=noisy["D"] * factor)[["N", "D", "loss"]])
    expected = dict(fit.params)
    expected["B"] *= factor ** fit.params["beta"]
    assert worst(other, expected) < 1e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_in_bits_scale_the_linear_parameters(noisy, objective):
    bits = 1 / np.log(2)
    words = dict(OBJECTIVES[objective])
    fit = sf.fit(noisy, **words)
    if objective == "raw-huber":
        words["delta"] = 1e-3 * bits
    other = sf.fit(noisy.assign(loss=noisy["loss"] * bits), **words)
    expected = dict(fit.params)
    expected.update({name: expected[name] * bits for name in "EAB"})
    assert worst(other, expected) < 1e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_row_order_does_not_matter(noisy, objective):
    fit = sf.fit(noisy, **OBJECTIVES[objective])
    shuffled = sf.fit(noisy.sample(frac=1, random_state=3), **OBJECTIVES[objective])
    assert worst(shuffled, fit.params) < 1e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_row_twice_is_a_row_of_weight_two(noisy, objective):
    doubled = pd.concat([noisy, noisy.iloc[:20]], ignore_index=True)
    weight = np.where(np.arange(len(noisy)) < 20, 2.0, 1.0)
    twice = sf.fit(doubled, **OBJECTIVES[objective])
    weighted = sf.fit(noisy.assign(weight=weight), **OBJECTIVES[objective])
    assert worst(weighted, twice.params) < 1e-9
    assert weighted.objective_value == pytest.approx(twice.objective_value, rel=1e-12)


def test_a_row_of_weight_zero_is_no_row(noisy):
    wrong = noisy.copy()
    wrong.loc[3, "loss"] = 50.0
    weight = np.where(np.arange(len(noisy)) == 3, 0.0, 1.0)
    weighted = sf.fit(wrong.assign(weight=weight))
    assert worst(weighted, sf.fit(noisy.drop(index=3)).params) < 1e-9
    assert weighted.nobs == len(noisy) - 1


def test_a_row_of_weight_zero_may_be_one_the_law_says_nothing_about():
    from scalefit.objective import evaluate

    observed, predicted = np.array([2.0, 3.0]), np.array([-1.0, 2.7])
    value, rows = evaluate(
        sf.objective.Objective("log", "none"), observed, predicted, np.array([0.0, 1.0])
    )
    assert value == pytest.approx(np.log(3 / 2.7) ** 2, rel=1e-12)
    assert np.isinf(rows[0])
    lost, _ = evaluate(sf.objective.Objective("log", "none"), observed, predicted, np.ones(2))
    assert lost == np.inf


def test_the_fit_is_not_above_any_nearby_point(noisy):
    """The optimum of the sum as the objective defines it, not of some surrogate."""
    fit = sf.fit(noisy)
    rng = np.random.default_rng(0)
    observed = noisy["loss"].to_numpy()
    for scale in (1e-4, 1e-2):
        for _ in range(50):
            moved = {k: v * (1 + scale * rng.standard_normal()) for k, v in fit.params.items()}
            r = np.abs(np.log(observed) - np.log(fit.law.evaluate(noisy, moved)))
            assert np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum() >= fit.objective_value
