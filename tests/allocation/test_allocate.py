"""Closed form, general solver, and what an allocation says about itself."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from example_laws import additive
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit import allocation


@sf.law(source="multiplicative, for which more of either always helps")
def product(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
    """E + A (N D)^-alpha"""
    return E + A * (N * D) ** -alpha


def exact_fit(surface, law="chinchilla", **options):
    params = sf.simulation.SURFACES[surface] if isinstance(surface, str) else surface
    design = sf.simulation.isoflop_design(surface=params)
    return sf.fit(sf.simulate(design, params=params, noise=0.0), law, **options)


@pytest.fixture(scope="module")
def chinchilla_fit():
    return exact_fit("chinchilla")


@pytest.fixture(scope="module")
def user_fit():
    return exact_fit("chinchilla", additive)


def test_hoffmann_values_give_the_known_optimum_at_the_gopher_budget(chinchilla_fit):
    """Rounded values of Hoffmann et al. 2022: 92.6 tokens per parameter, N* = 32.2e9."""
    best = sf.allocate(chinchilla_fit, flops=5.76e23)
    assert best.tokens_per_param == pytest.approx(92.6, abs=0.05)
    assert best.N == pytest.approx(32.2e9, rel=2e-3)
    assert 6 * best.N * best.D == pytest.approx(5.76e23, rel=1e-12)


@pytest.mark.parametrize(
    ("surface", "tokens"),
    [
        # D* at 3.8e25 FLOP on surfaces of Czech et al. 2026, arXiv 2603.22339.
        ("chinchilla", 2.96665e13),
        ({"E": 3.169, "A": 215886, "B": 4750, "alpha": 0.684, "beta": 0.439}, 2.87585e13),
        ({"E": 2.158, "A": 381773, "B": 4659, "alpha": 0.71, "beta": 0.372}, 1.76482e14),
    ],
    ids=["chinchilla", "soda", "sparse_nmm"],
)
def test_published_surfaces_give_the_published_token_counts(surface, tokens):
    assert sf.allocate(exact_fit(surface), flops=3.8e25).D == pytest.approx(tokens, rel=3e-6)


def test_exponents_are_those_of_the_closed_form(chinchilla_fit):
    best = sf.allocate(chinchilla_fit, flops=1e22)
    assert best.n_exponent == pytest.approx(0.28 / 0.62, rel=1e-9)
    assert best.n_exponent + best.d_exponent == pytest.approx(1.0, rel=1e-15)


def test_the_optimum_beats_its_neighbours_on_the_budget_line(chinchilla_fit):
    best = sf.allocate(chinchilla_fit, flops=1e22)
    for factor in (0.9, 0.99, 1.01, 1.1):
        N = best.N * factor
        assert chinchilla_fit.predict(N=N, D=1e22 / (6 * N)) > best.loss


def test_general_solver_agrees_with_the_closed_form(chinchilla_fit, user_fit):
    budgets = np.geomspace(1e17, 1e27, 21)
    closed, general = sf.allocate(chinchilla_fit, budgets), sf.allocate(user_fit, budgets)
    np.testing.assert_allclose(general.N, closed.N, rtol=1e-9)
    np.testing.assert_allclose(general.n_exponent, closed.n_exponent, rtol=1e-9)
    np.testing.assert_allclose(general.loss, closed.loss, rtol=1e-12)


def test_a_law_that_is_no_formula_of_a_row_is_solved_too(chinchilla_fit):
    """A loop is compiled as it stands."""

    @sf.law(source="the additive law, summed in a loop")
    def looped(
        N,
        D,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
        beta: sf.laws.Exponent,
    ):
        """E + A N^-alpha + B D^-beta"""
        terms = jnp.stack([A * N**-alpha, B * D**-beta])
        return E + jax.lax.fori_loop(0, 2, lambda i, total: total + terms[i], jnp.zeros_like(N))

    general = sf.allocate(replace(chinchilla_fit, law=looped), [1e20, 1e23])
    closed = sf.allocate(chinchilla_fit, [1e20, 1e23])
    np.testing.assert_allclose(general.N, closed.N, rtol=1e-9)


def test_nothing_is_compiled_for_an_allocation(user_fit, compiled):
    """Compiling takes seconds, which is what the first answer of a process would wait for."""
    asked = [
        {"flops": 1e22},
        {"loss": 2.5},
        {"flops": 1e22, "cost": lambda N, D: 6 * N * D * (1 + (D / 1e12) ** 0.5)},
        {"flops": 1e22, "limits": {"D/N": (30, None), lambda N: 2 * N: 1e10}},
    ]
    for question in asked:
        sf.allocate(user_fit, **question)
    sf.near_optimal(user_fit, 1e22)
    sf.deadweight(user_fit, 1e9, 1e11)
    assert not compiled
    jax.jit(lambda x: x + len(compiled))(1.0)
    assert compiled


def test_general_solver_agrees_with_scipy_on_a_law_without_closed_form():
    @sf.law(source="additive with an interaction")
    def interacting(
        N,
        D,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        F: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
        beta: sf.laws.Exponent,
    ):
        """E + A N^-alpha + B D^-beta + F N^(-alpha/2) D^(-beta/2)"""
        return E + A * N**-alpha + B * D**-beta + F * N ** (-alpha / 2) * D ** (-beta / 2)

    truth = {"E": 1.7, "A": 400.0, "B": 600.0, "F": 50.0, "alpha": 0.34, "beta": 0.3}
    runs = sf.simulate(sf.simulation.isoflop_design(), interacting, truth, noise=0.0)
    fit = sf.fit(runs, interacting)
    best = sf.allocate(fit, [1e20, 1e24])
    for flops, N in zip(best.flops, best.N, strict=True):
        found = minimize_scalar(
            lambda x, c=flops: float(fit.predict(N=np.exp(x), D=c / (6 * np.exp(x)))),
            bounds=(10, 30),
            method="bounded",
            options={"xatol": 1e-10},
        )
        # Comparing losses cannot see closer than the root of rounding.
        assert np.log(N) == pytest.approx(found.x, abs=1e-6)


def test_exponents_of_a_general_law_are_derivatives_of_its_optimum(user_fit):
    step = 1e-4
    below, above = sf.allocate(user_fit, 1e22 * np.exp([-step, step])).N
    slope = (np.log(above) - np.log(below)) / (2 * step)
    assert sf.allocate(user_fit, 1e22).n_exponent == pytest.approx(slope, rel=1e-6)


def test_one_budget_gives_numbers_and_many_give_arrays(chinchilla_fit):
    one = sf.allocate(chinchilla_fit, 1e21)
    many = sf.allocate(chinchilla_fit, [1e20, 1e21, 1e22])
    assert np.shape(one.N) == () and many.N.shape == (3,)
    assert many.N[1] == one.N
    assert list(many.to_frame()["flops"]) == [1e20, 1e21, 1e22]
    assert len(one.to_frame()) == 1


def test_the_cost_is_named_and_its_factor_counts(chinchilla_fit):
    dear = allocation.product(7.0, "7ND", source="a test")
    best = sf.allocate(chinchilla_fit, 7e21, cost=dear)
    assert best.N == pytest.approx(sf.allocate(chinchilla_fit, 6e21).N, rel=1e-12)
    assert best.cost == "7ND"


def test_extrapolation_is_said_with_its_distance(chinchilla_fit):
    far = sf.allocate(chinchilla_fit, 1e24).notes
    (note,) = (item for item in far if item.code == "extrapolation")
    assert note.severity == "warning"
    assert note.details["flops"] == pytest.approx(3.0, abs=1e-9)
    near = sf.allocate(chinchilla_fit, 2e21).notes
    assert [item.severity for item in near if item.code == "extrapolation"] == ["info"]
    assert not sf.allocate(chinchilla_fit, 1e19).notes


def test_budgets_below_the_runs_are_extrapolation_too(chinchilla_fit):
    (note,) = sf.allocate(chinchilla_fit, 1e15).notes
    assert note.details["flops"] == pytest.approx(2.0, abs=1e-9)


def test_warnings_of_the_fit_are_passed_on():
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.01)
    fit = sf.fit(runs, bounds={"alpha": (0.5, 1.0)})
    codes = [note.code for note in sf.allocate(fit, 1e20).notes]
    assert "fit_warnings" in codes


def test_a_law_of_one_column_is_refused():
    runs = sf.simulate(
        sf.simulation.isoflop_design(),
        "chinchilla_n",
        {"E": 2.0, "A": 400.0, "alpha": 0.3},
        noise=0.0,
    )
    with pytest.raises(
        sf.errors.AllocationError, match="law of N; a budget is divided between N and D"
    ):
        sf.allocate(sf.fit(runs, "chinchilla_n"), 1e21)


def test_a_law_of_another_response_is_refused():
    with pytest.raises(sf.errors.AllocationError, match="predicts lr, and the best split"):
        sf.allocate(sf.published("optimal_learning_rate"), 1e21)


def test_a_law_without_interior_optimum_is_refused():
    truth = {"E": 1.7, "A": 1e4, "alpha": 0.2}
    runs = sf.simulate(sf.simulation.isoflop_design(), product, truth, noise=0.0)
    with pytest.raises(
        sf.errors.AllocationError, match=r"no minimum between .* tokens per parameter"
    ):
        sf.allocate(sf.fit(runs, product), 1e21)


@sf.law(source="Chinchilla with a power that is one of zero before the data repeat")
def penalised(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude):
    """E + A N^-0.34 + B D^-0.28 + (D / min(D, 1e12) - 1)^0.5"""
    return E + A * N**-0.34 + B * D**-0.28 + (D / jnp.minimum(D, 1e12) - 1) ** 0.5


def test_a_law_without_a_derivative_is_refused_and_not_answered(chinchilla_fit):
    kept = {name: chinchilla_fit.params[name] for name in "EAB"}
    fit = replace(chinchilla_fit, law=penalised, params=kept)
    with pytest.raises(sf.errors.AllocationError, match=r"no derivative at N = .*jnp\.where"):
        sf.allocate(fit, 1e20)


def test_a_term_that_vanished_is_refused(chinchilla_fit):
    without = replace(chinchilla_fit, params={**chinchilla_fit.params, "A": 0.0})
    with pytest.raises(sf.errors.AllocationError, match="does not depend on N"):
        sf.allocate(without, 1e20)


def test_reports_name_the_cost_and_the_law(chinchilla_fit):
    best = sf.allocate(chinchilla_fit, 1e24)
    assert "of chinchilla, cost 6ND" in best.summary()
    assert "extrapolation" in best.summary()
    assert "Train 41.3B parameters" in str(best) and "Next: scalefit.near_optimal(fit, 1e24" in str(
        best
    )
    assert "<table" in best._repr_html_()
    assert isinstance(best.to_frame(), pd.DataFrame)
