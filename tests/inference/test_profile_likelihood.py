"""Profiles: constrained optima, found by other means."""

import numpy as np
import pytest
from scipy import stats

import scalefit as sf
from scalefit.fitting.derivatives import derivatives
from scalefit.inference.fitted_data import attach


def refitted(fit, runs, name, value):
    """Least objective with a parameter held, by a fit of its own over the whole bounds."""
    how = {"residual": fit.objective.residual, "robust": fit.objective.robust}
    return sf.fit(runs, fixed={name: value}, certify=False, **how)


@pytest.fixture(scope="module")
def alpha(squares, runs):
    return sf.profile(squares, runs, "alpha")


@pytest.mark.parametrize("robust", ["none", "huber"])
def test_every_point_is_the_fit_with_the_parameter_held(robust, runs):
    fit = sf.fit(runs, robust=robust)
    found = sf.profile(fit, runs, "alpha")
    frame = found.curve_frame()
    rises = []
    for _, row in frame.iloc[[0, 3, -4, -1]].iterrows():
        other = refitted(fit, runs, "alpha", row["value"])
        assert row["alpha"] == pytest.approx(row["value"], rel=1e-9)
        for name in ("E", "A", "B", "beta"):
            assert row[name] == pytest.approx(other.params[name], rel=1e-5)
        rises.append((other.objective_value - fit.objective_value) / row["deviance"])
    # One factor for all: the noise of the objective.
    np.testing.assert_allclose(rises, rises[0], rtol=1e-5)


def test_squares_are_compared_with_the_f_distribution(squares, runs):
    alpha = sf.profile(squares, runs, "alpha", method="jacobian")
    J_error = sf.covariance(squares, runs, "jacobian").standard_errors["alpha"]
    reach = stats.t.ppf(0.975, 25)
    assert alpha.threshold == pytest.approx(reach**2)
    assert alpha.closed == (True, True)
    assert alpha.low < squares.params["alpha"] < alpha.high
    assert (alpha.high - alpha.low) / 2 == pytest.approx(reach * J_error, rel=0.1)
    frame = alpha.curve_frame()
    ends = np.interp([alpha.low, alpha.high], frame["value"], frame["deviance"])
    np.testing.assert_allclose(ends, reach**2, rtol=5e-3)
    assert (np.diff(frame["value"]) > 0).all()
    assert frame["deviance"].min() == 0.0
    # The deviance is the rise of the sum of squares over the residual variance.
    row = frame.iloc[0]
    loss = np.log(runs["loss"].to_numpy())
    total = np.sum((loss - np.log(squares.law.evaluate(runs, row))) ** 2)
    variance = squares.objective_value / 25
    assert row["deviance"] == pytest.approx((total - squares.objective_value) / variance, rel=1e-6)


@pytest.mark.parametrize("by", [None, "corpus"])
@pytest.mark.parametrize("quantity", ["E", "N"])
def test_sandwich_divides_the_deviance_by_a_ratio_of_variances(squares, runs, by, quantity):
    def smooth(quantity):
        return quantity if quantity == "E" else sf.allocation.optimum_function(squares, "N", 1e21)

    plain = sf.profile(squares, runs, smooth(quantity), method="jacobian")
    found = sf.profile(squares, runs, smooth(quantity), by=by)
    assert found.method == ("sandwich" if by is None else "sandwich of corpus")
    assert found.df == (25 if by is None else 5)
    assert found.threshold == pytest.approx(stats.t.ppf(0.975, found.df) ** 2)
    # Standard errors of the quantity by small draws, which are linear.
    variances = []
    for options in ({"method": "jacobian"}, {"method": "sandwich", "by": by}):
        matrix = sf.covariance(squares, runs, **options).matrix
        gradient = []
        for name in matrix.index:
            ends = []
            for sign in (1, -1):
                params = dict(squares.params)
                params[name] *= 1 + sign * 1e-5
                ends.append(np.log(optimum(params)) if quantity == "N" else params["E"])
            gradient.append((ends[0] - ends[1]) / (2e-5 * squares.params[name]))
        variances.append(gradient @ matrix.to_numpy() @ gradient)
    ratio = variances[1] / variances[0]
    assert abs(np.log(ratio)) > 0.1
    # The same curve, in other units: compare where both were tried, at the fit's own ends.
    at = np.linspace(plain.low, plain.high, 5)
    curves = [
        np.interp(at, item.values, np.sqrt(item.deviance) * np.sign(item.values - item.value))
        for item in (plain, found)
    ]
    kept = np.abs(curves[0]) > 0.5
    np.testing.assert_allclose((curves[0] / curves[1])[kept] ** 2, ratio, rtol=0.02)


def optimum(params, flops=1e21):
    """N* of the additive law, written out."""
    A, B, a, b = (params[name] for name in ("A", "B", "alpha", "beta"))
    return (a * A / (b * B) * (flops / 6) ** b) ** (1 / (a + b))


def test_nothing_is_compiled_for_an_optimum(squares, runs, compiled):
    asked = sf.allocation.optimum_function(squares, "N", 1e21)
    found = sf.profile(squares, runs, asked)
    assert compiled == []
    # The same by JAX alone, without the derivatives that it gives.
    again = sf.profile(squares, runs, _logarithmic(lambda params: asked(params)))
    assert (again.low, again.high) == pytest.approx((found.low, found.high), rel=1e-9)


def _logarithmic(function):
    function.logarithmic = True
    return function


def test_the_default_noise_is_that_of_the_covariance(alpha, squares, runs):
    assert alpha.method == sf.covariance(squares, runs).method == "sandwich"


def test_a_function_may_read_what_changes(squares, runs):
    """Also one that cannot be hashed."""

    class Power:
        __hash__ = None
        power = 1.0

        def __call__(self, alpha):
            return alpha**self.power

    asked = Power()
    first = sf.profile(squares, runs, asked)
    asked.power = 2.0
    assert sf.profile(squares, runs, asked).low == pytest.approx(first.low**2, rel=1e-4)


def test_level_widens_and_shape_of_the_quantity_does_not_matter(alpha, squares, runs):
    narrow = sf.profile(squares, runs, "alpha", level=0.8)
    assert alpha.low < narrow.low < narrow.high < alpha.high
    # A lower level is read off the values that were tried; a higher one was not.
    np.testing.assert_allclose(alpha.conf_int(0.8), narrow.conf_int(), rtol=1e-4)
    assert alpha.to_frame(0.95).loc["alpha", "low"] == alpha.low
    with pytest.raises(sf.errors.ArgumentError, match=r"at most 0\.8, the level"):
        narrow.conf_int(0.95)
    assert "(80 %: " in str(narrow)
    cubed = sf.profile(squares, runs, lambda alpha: alpha**3)
    assert cubed.low ** (1 / 3) == pytest.approx(alpha.low, rel=1e-4)
    assert cubed.high ** (1 / 3) == pytest.approx(alpha.high, rel=1e-4)
    assert cubed.name == "quantity"

    def beta(alpha):
        return alpha

    named = sf.profile(squares, runs, beta)
    assert (named.low, named.high) == pytest.approx((alpha.low, alpha.high), rel=1e-4)


@pytest.mark.parametrize("what", ["N", "D", "D/N", "loss"])
def test_optima_at_a_budget_have_profiles(squares, runs, what):
    budget = 3e22
    quantity = sf.allocation.optimum_function(squares, what, budget)
    found = sf.profile(squares, runs, quantity, method="jacobian")
    best = sf.allocate(squares, budget)
    expected = {"N": best.N, "D": best.D, "D/N": best.D / best.N, "loss": best.loss}
    assert found.value == pytest.approx(expected[what], rel=1e-9)
    assert found.closed == (True, True)
    draws = sf.covariance(squares, runs, "jacobian").draws(4000)
    low, high = draws.apply(quantity).interval()
    assert np.log(found.high / found.low) == pytest.approx(np.log(high / low), rel=0.25)
    # Along the profile each point keeps the quantity where it says.
    for i in (0, -1):
        params = {name: values[i] for name, values in found.params.items()}
        assert float(quantity(params)) == pytest.approx(found.values[i], rel=1e-6)


def test_profile_that_meets_the_bounds_is_open_there(runs):
    fit = sf.fit(runs, bounds={"alpha": (0.33, 0.6)}, robust="none")
    free = sf.fit(runs, robust="none")
    assert fit.params["alpha"] == pytest.approx(free.params["alpha"])
    found = sf.profile(fit, runs, "alpha")
    assert found.closed == (False, True)
    assert found.low == pytest.approx(0.33, rel=1e-6)
    (note,) = found.notes
    assert (note.code, note.details["side"]) == ("profile_open", "below")
    assert "(open)" in repr(found)


def test_offset_that_runs_do_not_determine_is_open_below():
    """A few small models: the irreducible loss may as well be zero."""
    small = sf.simulate(
        sf.simulation.isoflop_design([1e15, 1e16, 1e17], points=9), noise=0.1, seed=0
    )
    fit = sf.fit(small, robust="none")
    found = sf.profile(fit, small, "E")
    assert not found.closed[0]
    assert found.low == 0.0
    assert (found.values >= 0).all()


def test_parameter_at_a_bound_has_a_profile_on_one_side(runs):
    free = sf.fit(runs, robust="none")
    upper = sf.profile(free, runs, "alpha").low - 0.001
    fit = sf.fit(runs, bounds={"alpha": (0.1, upper)}, robust="none")
    assert fit.diagnostics.at_bound == ("alpha",)
    found = sf.profile(fit, runs, "alpha")
    assert (found.high, found.closed) == (upper, (True, False))
    assert found.value == pytest.approx(upper)
    # Along another quantity the bound holds where a fit with that quantity fixed ends at it.
    other = sf.profile(fit, runs, "beta")
    assert other.closed == (True, True)
    for i in (0, -1):
        options = {"bounds": {"alpha": (0.1, upper)}, "fixed": {"beta": other.values[i]}}
        held = sf.fit(runs, robust="none", certify=False, **options)
        assert other.params["alpha"][i] == pytest.approx(held.params["alpha"], rel=1e-5)
        assert other.params["A"][i] == pytest.approx(held.params["A"], rel=1e-4)


def test_a_term_that_is_zero_leaves_profiles_of_everything_else(runs):
    params = {**sf.simulation.SURFACES["chinchilla"], "B": 1e-9}
    without = sf.simulate(runs[["N", "D"]], params=params, noise=0.02, seed=3)
    fit = sf.fit(without, robust="none", certify=False)
    assert fit.params["B"] == 0
    for quantity in ("alpha", "B", "beta"):
        found = sf.profile(fit, without, quantity)
        plain = sf.profile(fit, without, quantity, method="jacobian")
        assert found.closed == plain.closed
    assert sf.profile(fit, without, "alpha").closed == (True, True)


def test_sums_of_absolute_residuals_have_no_profile(runs):
    absolute = sf.fit(runs, robust="l1")
    with pytest.raises(sf.errors.DataError, match="corners along a profile"):
        sf.profile(absolute, runs, "alpha")


def test_derivatives_are_those_of_the_objective(squares, runs):
    fitted = attach(squares, runs)
    point = np.r_[fitted.optimum.coefficients, fitted.optimum.coordinates]
    found = derivatives(fitted.prepared.problem, fitted.prepared.data, point)
    assert 2 * float(found.value) == pytest.approx(squares.objective_value, rel=1e-12)
    psi, jacobian = np.asarray(found.residuals)[:30], np.asarray(found.jacobian)[:30]
    sizes = np.linalg.norm(jacobian, axis=0) * np.linalg.norm(psi)
    assert np.abs(psi @ jacobian / sizes).max() < 1e-12
