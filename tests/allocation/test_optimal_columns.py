"""Optimal columns against closed forms, scipy and brute force; their intervals; what is refused."""

from functools import cache

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import scalefit as sf
from scalefit.laws import Amplitude, Coefficient, Offset

BOWL = {
    **{"E": 1.2, "A": 0.99, "B": 0.4, "s_l": 0.0074, "s_b": 0.0076, "c_ll": 0.028},
    **{"c_lb": -0.014, "c_bb": 0.0213, "l_N": 0.0247, "l_D": -0.0007, "b_N": -0.0045},
    **{"b_D": -0.0217, "t_N": 0.0, "t_D": 0.0, "alpha": 0.25, "beta": 0.24},
}
WALLS = {
    **{"E": 1.2, "A": 0.7, "P": 0.088, "Q": 0.048, "R": 0.2, "W": 2.4e-5},
    **{"alpha": 0.25, "p": 0.43, "r": 0.3, "u": 0.54, "v": 0.35, "k": 0.28},
}
BOTH = ["lr", "batch"]


@cache
def swept(law, noise=0.0):
    """Learning rates by batches of nine sizes by tokens, without noise or with."""
    grid = np.meshgrid([6e7, 2.5e8, 1e9], [2e9, 1.4e10, 1e11], [0.3, 1, 3], [0.25, 1, 4])
    N, D, rate, size = (item.ravel() for item in grid)
    lr = rate * 1.79 * N**-0.713 * D**0.307
    runs = pd.DataFrame({"N": N, "D": D, "lr": lr, "batch": size * 0.58 * D**0.571})
    law = sf.laws.find(law)
    loss = law.evaluate(runs, BOWL if law.name == "loss_bowl" else WALLS)
    spread = noise * np.random.default_rng(0).standard_normal(len(runs))
    return runs.assign(loss=loss * np.exp(spread))


@cache
def fitted(law, noise=0.0):
    return sf.fit(swept(law, noise), law, robust="none", certify=False)


def solved(params, N, D):
    """Logarithms of learning rate and batch at which the quadratic form is least."""
    n, d = np.log(N / 1e9), np.log(D / 2e10)
    slope = [
        params["s_l"] + params["l_N"] * n + params["l_D"] * d,
        params["s_b"] + params["b_N"] * n + params["b_D"] * d,
    ]
    curvature = [
        [2 * params["c_ll"], params["c_lb"]],
        [params["c_lb"], 2 * params["c_bb"]],
    ]
    return np.log([1e-3, 2**19]) - np.linalg.solve(curvature, slope)


def test_the_optimum_of_a_quadratic_form_is_that_of_its_normal_equations():
    found = sf.optimal_columns(fitted("loss_bowl"), BOTH, N=[[3e8], [1e9]], D=[4e9, 1e10, 5e10])
    assert found.loss.shape == found["lr"].shape == (2, 3) and found.inside.all()
    for i, N in enumerate([3e8, 1e9]):
        for j, D in enumerate([4e9, 1e10, 5e10]):
            expected = np.exp(solved(BOWL, N, D))
            at = [found["lr"][i, j], found["batch"][i, j]]
            np.testing.assert_allclose(at, expected, rtol=1e-7)
    # Powers of N and D, as the Step Law's.
    along = np.log(found["batch"])
    assert np.ptp(np.diff(along[0]) / np.diff(np.log([4e9, 1e10, 5e10]))) < 1e-7


def test_the_curvature_is_the_second_derivative():
    found = sf.optimal_columns(fitted("loss_bowl"), BOTH, N=1e9, D=4e10)
    shallow = (4e10 / 2e10) ** -BOWL["beta"]
    expected = shallow * np.array(
        [[2 * BOWL["c_ll"], BOWL["c_lb"]], [BOWL["c_lb"], 2 * BOWL["c_bb"]]]
    )
    np.testing.assert_allclose(found.curvature, expected, rtol=1e-6)


def test_the_optimum_of_walls_is_that_of_scipy():
    fit = fitted("posynomial_bowl")
    found = sf.optimal_columns(fit, BOTH, N=5e8, D=2e10)
    other = minimize(
        lambda logs: sf.laws.posynomial_bowl.evaluate(
            {"lr": np.exp(logs[0]), "batch": np.exp(logs[1]), "N": 5e8, "D": 2e10}, WALLS
        ),
        np.log([1e-3, 3e5]),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-15, "maxiter": 2000},
    )
    np.testing.assert_allclose(np.log([found["lr"], found["batch"]]), other.x, atol=2e-6)
    assert found.loss == pytest.approx(other.fun, rel=1e-9)
    # One column alone, the other held.
    one = sf.optimal_columns(fit, "lr", batch=1e5, N=5e8, D=2e10)
    rates = np.geomspace(1e-4, 1e-1, 20001)
    losses = fit.predict(lr=rates, batch=1e5, N=5e8, D=2e10)
    assert one["lr"] == pytest.approx(rates[losses.argmin()], rel=1e-3)
    assert one.loss <= losses.min()


@sf.law(source="a test")
def two_valleys(x, *, a: Offset, b: Coefficient, c: Coefficient):
    """a + b ln x + c (ln^2 x - 4)^2"""
    u = np.log(x)
    return a + b * u + c * (u**2 - 4) ** 2


@sf.law(source="a test")
def along_zero(z, *, a: Offset, b: Coefficient, c: Coefficient):
    """a + b z + c z^2"""
    return a + b * z + c * z**2


@sf.law(source="a test")
def looped(x, *, a: Offset, b: Coefficient, c: Amplitude):
    """a + b u + c u^2 of u = ln x, by a loop"""
    u = jax.numpy.log(x)
    return a + jax.lax.fori_loop(0, 1, lambda _, v: v + b * u + c * u**2, 0.0 * u)


def table(law, params, x):
    (column,) = law.columns
    runs = pd.DataFrame({column: x})
    return runs.assign(loss=law.evaluate(runs, params))


@pytest.mark.parametrize(("tilt", "side"), [(0.02, -1), (-0.02, 1)])
def test_the_lower_of_two_valleys_is_found(tilt, side):
    params = {"a": 3.0, "b": tilt, "c": 0.05}
    runs = table(two_valleys, params, np.geomspace(0.04, 25, 15))
    found = sf.optimal_columns(sf.fit(runs, two_valleys, robust="none"), "x")
    logs = np.linspace(-4, 4, 400001)
    best = logs[two_valleys.evaluate({"x": np.exp(logs)}, params).argmin()]
    assert np.sign(best) == side
    assert np.log(found["x"]) == pytest.approx(best, abs=3e-5) and found.inside


@pytest.mark.parametrize("law", [along_zero, pytest.param(looped, marks=pytest.mark.slow)])
def test_other_coordinates_and_laws_that_are_no_formula_of_numpy(law):
    x = np.linspace(-2, 3, 11) if law is along_zero else np.geomspace(0.1, 20, 11)
    params = {"a": 3.0, "b": -0.2, "c": 0.1}
    fit = sf.fit(table(law, params, x), law, robust="none", certify=False)
    (column,) = law.columns
    expected = 1.0 if law is along_zero else np.e
    assert sf.optimal_columns(fit, column)[column] == pytest.approx(expected, rel=1e-6)


def test_the_optimum_is_proposed_where_a_rate_was_swept():
    fit = fitted("posynomial_bowl")
    draws = sf.covariance(fitted("posynomial_bowl", 0.002), swept("posynomial_bowl", 0.002)).draws(
        9
    )
    for given, said in (("fit", fit.summary()), ("draws", draws.summary())):
        call = f"scalefit.optimal_columns({given}, ['lr', 'batch'], N=..., D=...)"
        assert call in " ".join(said.split()), said


def test_an_interval_is_that_of_the_delta_method():
    runs = swept("loss_bowl", 0.001)
    fit = fitted("loss_bowl", 0.001)
    matrix = sf.covariance(fit, runs)
    draws = matrix.draws(2000, seed=1)
    N, D = 1e9, 5e10
    found = sf.optimal_columns(draws, BOTH, N=N, D=D)
    params = dict(fit.params)
    names = list(matrix.matrix.index)
    step = {name: 1e-5 * max(abs(params[name]), 0.01) for name in names}
    slopes = np.array(
        [
            (
                solved({**params, name: params[name] + step[name]}, N, D)
                - solved({**params, name: params[name] - step[name]}, N, D)
            )
            / (2 * step[name])
            for name in names
        ]
    )
    errors = np.sqrt(np.diag(slopes.T @ matrix.matrix.to_numpy() @ slopes))
    for name, error in zip(BOTH, errors, strict=True):
        low, high = found.estimate(name).interval(0.95)
        t = draws.drawn.tails.quantile(0.95)
        assert np.log(high / low) == pytest.approx(2 * t * error, rel=0.1)
        assert low < found[name] < high
    frame = found.to_frame(0.9)
    assert list(frame)[:5] == ["N", "D", "lr", "lr_low", "lr_high"]
    assert "95 % interval" in found.summary() and not found.notes


def test_an_end_of_the_range_is_no_optimum():
    runs = pd.DataFrame({"x": np.geomspace(1e6, 1e9, 9)})
    runs["loss"] = 1.7 + 400 * runs["x"] ** -0.3
    fit = sf.fit(runs, "power_offset", x="x", robust="none")
    found = sf.optimal_columns(fit, "x")
    assert found["x"] == pytest.approx(1e10) and not found.inside
    assert {note.code for note in found.notes} >= {"no_inner_optimum"}
    nearer = sf.optimal_columns(fit, "x", within={"x": (1e6, 1e8)})
    assert nearer["x"] == pytest.approx(1e8) and nearer.within == {"x": (1e6, 1e8)}


def test_draws_without_an_optimum_are_told():
    rng = np.random.default_rng(0)
    x = np.geomspace(1e-3, 3e-3, 12)
    runs = pd.DataFrame({"x": x, "loss": 2.5 + 0.01 * np.log(x / 3e-3) ** 2})
    runs["loss"] += 0.002 * rng.standard_normal(12)
    law = sf.law(source="a test")(parabola)
    fit = sf.fit(runs, law, robust="none", residual="raw")
    found = sf.optimal_columns(sf.covariance(fit, runs).draws(400, seed=0), "x")
    assert {note.code for note in found.notes} >= {"draws_without_optimum"}
    low, high = found.estimate("x").interval()
    assert high == pytest.approx(3e-2), "the end of the range"
    assert low < found["x"]


def parabola(x, *, a: Offset, b: Coefficient, c: Coefficient):
    """a + b ln x + c ln^2 x"""
    return a + b * np.log(x) + c * np.log(x) ** 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["lr", "rate"], {"N": 1e9, "D": 1e10}), "Name columns of the law"),
        ((["lr", "lr"], {"N": 1e9, "D": 1e10}), "different columns"),
        (([], {}), "different columns"),
        ((BOTH, {"N": 1e9}), r"optimal_columns\(fit, \['lr', 'batch'\], N=..., D=...\)"),
        ((BOTH, {"N": 1e9, "D": 1e10, "lr": 1e-3}), "pass values of N and D"),
        ((BOTH, {"N": 1e9, "D": 1e10, "within": {"N": (1, 2)}}), "Pass a range for a column"),
        ((BOTH, {"N": 1e9, "D": 1e10, "within": {"lr": (2, 1)}}), "ends before it begins"),
        ((BOTH, {"N": 1e9, "D": 1e10, "within": {"lr": 1e-3}}), "pair of the lowest"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said):
    over, options = arguments
    with pytest.raises(sf.errors.ArgumentError, match=said):
        sf.optimal_columns(fitted("loss_bowl"), over, **options)


def of_logarithms(**coefficients):
    """A fit of the quadratic form in ln x at these coefficients, without noise."""
    x = np.geomspace(1e-4, 1e-2, 9)
    law = sf.law(source="a test")(parabola)
    return sf.fit(pd.DataFrame({"x": x, "loss": law.evaluate({"x": x}, coefficients)}), law)


def test_what_does_not_change_has_no_minimum():
    # Rounding curves the constant upwards by 1e-31.
    found = sf.optimal_columns(of_logarithms(a=3.0, b=0.0, c=0.0), "x")
    assert not found.inside
    curved = sf.optimal_columns(of_logarithms(a=3.0, b=0.0, c=1e-5), "x", within={"x": (0.1, 9)})
    assert curved.inside and curved["x"] == pytest.approx(1.0, rel=1e-3)


def ratio_alone(x, y, *, a: Offset, c: Coefficient):
    """a + c ln^2(x / y)"""
    return a + c * np.log(x / y) ** 2


def test_a_flat_direction_is_told_and_no_end_blamed():
    x, y = (item.ravel() for item in np.meshgrid([1.0, 2.0, 4.0], [1.0, 3.0, 9.0]))
    law = sf.law(source="a test")(ratio_alone)
    runs = pd.DataFrame({"x": x, "y": y, "loss": 2 + 0.1 * np.log(x / y) ** 2})
    found = sf.optimal_columns(sf.fit(runs, law), ["x", "y"])
    note = next(note for note in found.notes if note.code == "no_inner_optimum")
    assert not found.inside and "does not curve upwards in every direction" in note.message


def test_a_size_in_another_unit_than_the_table_is_refused():
    runs = sf.simulation.isoflop_design(points=5)
    runs = sf.simulate(runs).assign(N=lambda table: table["N"] / 1e9)
    with pytest.raises(sf.errors.AllocationError, match="another unit"):
        sf.optimal_columns(sf.fit(runs, certify=False), "D", N=1e9)


def test_values_that_the_law_does_not_describe_are_refused():
    with pytest.raises(sf.errors.ArgumentError, match=r"N=\[\] is not a number"):
        sf.optimal_columns(fitted("loss_bowl"), BOTH, N=[], D=1e10)
    with pytest.raises(sf.errors.ArgumentError, match="beyond what 'loss_bowl' describes: 0 < lr"):
        sf.optimal_columns(fitted("loss_bowl"), BOTH, N=1e9, D=1e10, within={"lr": (-1, 1)})
    with pytest.raises(sf.errors.DataError, match="0 < N"):
        sf.optimal_columns(fitted("loss_bowl"), BOTH, N=-1e9, D=1e10)


def test_a_column_of_the_name_of_the_result_is_refused():
    """A table of the result would show one of the two under it."""
    losses = pd.DataFrame({"loss": np.linspace(2, 4, 12)})
    runs = losses.assign(error=0.8 - 1.2 * np.exp(-0.5 * losses["loss"]))
    fit = sf.fit(runs, "error_of_loss", certify=False)
    with pytest.raises(sf.errors.DataError, match="calls its error"):
        sf.optimal_columns(fit, "loss")
