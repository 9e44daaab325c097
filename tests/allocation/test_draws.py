"""Allocations of ensembles: every draw is an allocation of its own."""

from dataclasses import replace

import numpy as np
import pytest
from example_laws import additive

import scalefit as sf

BUDGETS = np.array([1e20, 3e22])


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)


@pytest.fixture(scope="module")
def draws(runs):
    return sf.covariance(sf.fit(runs), runs).draws(200, seed=4)


def test_every_draw_is_allocated_as_a_fit_would_be(draws):
    best = sf.allocate(draws, BUDGETS)
    middle = sf.allocate(draws.fit, BUDGETS)
    assert not middle.draws
    for name in ("N", "D", "loss", "n_exponent", "d_exponent"):
        np.testing.assert_array_equal(getattr(best, name), getattr(middle, name))
        assert best.draws[name].shape == (200, 2)
    for i in (0, 77, 199):
        params = {name: values[i] for name, values in draws.params.items()}
        one = sf.allocate(replace(draws.fit, params=params), BUDGETS)
        for name, values in best.draws.items():
            np.testing.assert_allclose(values[i], getattr(one, name), rtol=1e-12)


def test_general_solver_gives_the_draws_of_the_closed_form(draws, runs):
    fit = sf.fit(runs, additive)
    same = replace(draws, fit=fit)
    found, expected = (sf.allocate(item, BUDGETS).draws for item in (same, draws))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9)


def test_frame_has_an_interval_for_each_answer(draws):
    best = sf.allocate(draws, BUDGETS)
    frame = best.to_frame(level=0.8)
    low, high = best.estimate("N").interval(0.8)
    np.testing.assert_array_equal(frame["N_low"], low)
    np.testing.assert_array_equal(frame["N_high"], high)
    assert (frame["N_low"] < frame["N"]).all()
    assert (frame["N"] < frame["N_high"]).all()
    ratio = best.estimate("D/N")
    np.testing.assert_allclose(ratio.draws, best.draws["D"] / best.draws["N"])
    wider = best.to_frame(level=0.95)
    assert (wider["D_low"] < frame["D_low"]).all()
    assert "95 % intervals of the optimum over 200 draws of the fit" in best.summary()
    assert "<table" in best._repr_html_()
    one = sf.allocate(draws, 1e22)
    assert "d ln N*/d ln C" in str(one) and "80 % interval" in one.summary(0.8)
    assert one.estimate("N").draws.shape == (200,)


def test_answers_that_do_not_exist_are_refused(draws):
    with pytest.raises(sf.errors.AllocationError, match="is of one fit and has no intervals"):
        sf.allocate(draws.fit, 1e20).estimate("N")


def test_draws_without_an_optimum_are_counted(draws):
    params = dict(draws.params)
    params["A"] = np.where(np.arange(200) < 7, 0.0, params["A"])
    best = sf.allocate(replace(draws, params=params), BUDGETS)
    assert np.isnan(best.draws["N"][:7]).all()
    assert np.isfinite(best.draws["N"][7:]).all()
    (note,) = [note for note in best.notes if note.code == "draws_without_optimum"]
    assert note.details["draws"] == 7
    assert np.isfinite(best.estimate("N").interval()).all()


@pytest.mark.parametrize("law", ["chinchilla", additive])
@pytest.mark.parametrize("what", ["N", "D", "D/N", "loss"])
def test_optimum_as_a_function_of_the_parameters(draws, runs, law, what):
    fit = draws.fit if law == "chinchilla" else sf.fit(runs, law)
    quantity = sf.allocation.optimum_function(fit, what, 3e22)
    best = sf.allocate(draws, 3e22)
    found = replace(draws, fit=fit).apply(quantity)
    expected = best.estimate(what)
    assert found.value == pytest.approx(float(expected.value), rel=1e-9)
    np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-9)


def test_questions_without_an_optimum_are_refused(draws, runs):
    with pytest.raises(sf.errors.AllocationError, match="law of N; a budget is divided"):
        sf.allocation.optimum_function(sf.fit(runs, "chinchilla_n"), "N", 1e20)
