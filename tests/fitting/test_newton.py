"""The polish against scipy, and its derivatives against automatic differentiation."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from example_laws import joint
from scipy.optimize import lsq_linear

import scalefit as sf
from scalefit.fitting.grid import Candidates
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.scaled_objective import Batch
from scalefit.objective import influence, measure, penalty

TRUTH = sf.simulation.SURFACES["chinchilla"]


def words(options):
    return " ".join(str(value) for value in options.values())


@sf.law(source="a test")
def floored(
    N: Any, D: Any, *, A: sf.laws.Amplitude, share: sf.laws.Fraction, alpha: sf.laws.Exponent
):
    """1.2 + share (D / 1e9)^-alpha + A N^-alpha, whose remainder sees everything."""
    return 1.2 + share * (D / 1e9) ** -alpha + A * N ** -(alpha + share)


# Derivatives


TERMS = {
    "chinchilla": {},
    "tied": {"tied": [("alpha", "beta")]},
    "tied amplitudes": {"tied": [("A", "B")]},
    "column seeing both": {"law": joint},
    "fixed A": {"fixed": {"A": 350.0}},
    "fixed E": {"fixed": {"E": 1.8}},
    "fixed exponent": {"fixed": {"alpha": 0.3}},
    "bounded A": {"bounds": {"A": (100.0, 500.0)}},
    "remainder": {"law": floored, "fixed": {"A": 30.0}},
    "no coefficients": {"law": "kaplan"},
    "grouped A": {"groups": {"A": "format"}},
    "grouped E and B": {"groups": {"E": "format", "B": "format"}, "fixed": {"A": 350.0}},
    "grouped and bounded A": {"groups": {"A": "format"}, "bounds": {"A": (100.0, 500.0)}},
    "grouped by two columns": {"groups": {"A": "format", "B": "corpus"}, "law": "chinchilla_tied"},
}


# Of a program that runs once: compiled in a third of the time.
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module", params=TERMS)
def local(request, pose, runs):
    """The objective around a point as the polish sees it, and by differentiating it by JAX."""
    index = np.arange(len(runs))
    labelled = runs.assign(format=np.array(list("abc"))[index % 3], corpus=index // 3 % 2)
    posed = pose(labelled, **TERMS[request.param])
    problem, data, rng = posed.problem, posed.data, np.random.default_rng(5)
    k = len(problem.owners)
    low, high = posed.settings.lower[k:], posed.settings.upper[k:]
    start, here = (low + (high - low) * rng.uniform(0.4, 0.6, len(low)) for _ in range(2))
    point = np.concatenate([rng.uniform(0.2, 1.0, k), here])
    objective = scaled_objective(problem, data)
    none = np.full((1, len(point)), np.inf)
    batch = Batch(
        target=np.log(data.response[None]),
        weight=rng.uniform(0.5, 2.0, (1, len(runs))),
        metric=data.metric[None],
        lower=-none,
        upper=none,
        held=objective.scale(data.metric, start[None]),
        # Rows on both sides of it, at any such point.
        delta=np.full((1, 1), 1.0),
        shift=None,
    )

    def predicted(point):
        """The prediction in scaled coordinates, from the law itself."""
        columns = jnp.stack([*data.columns])
        return _predicted(problem, data, objective.moving, batch.held[0], columns, point)

    def value(point):
        rows = batch.target[0] - jnp.log(predicted(point))
        size, weight = jnp.abs(rows), batch.weight[0]
        return jnp.sum(weight * jnp.where(size <= 1.0, rows**2 / 2, size - 0.5))

    def first(point):
        found, slope = jax.value_and_grad(value)(point)
        return slope, (found, slope)

    def rows(point):
        found = predicted(point)
        return found, found

    def everything(point):
        jacobian, by_row = jax.jacfwd(rows, has_aux=True)(point)
        hessian, (found, slope) = jax.jacfwd(first, has_aux=True)(point)
        return by_row, jacobian, found, slope, hessian

    with jax.enable_x64(True):
        expected = jax.device_get(jax.jit(everything, compiler_options=QUICK)(point))
    return posed, point, objective, objective.local(batch, point[None]), batch, expected


def _predicted(problem, data, moving, held, columns, point):
    """The law at scaled coordinates, its columns taken as differences of the law itself."""
    k = len(problem.owners)
    params = dict(zip(problem.fixed, data.fixed, strict=True))
    for value, group, log in zip(point[k:], problem.nonlinear, problem.logarithmic, strict=True):
        params |= dict.fromkeys(group, jnp.exp(value) if log else value)
    zeros = {name: params.get(name, 0.0) for name in problem.structure.linear}

    def law(**linear):
        return problem.law(*columns, **{**params, **zeros, **linear})

    base = jnp.broadcast_to(law(), data.response.shape)
    total = base / data.unit
    for c, owner in enumerate(problem.owners):
        column = law(**dict.fromkeys(problem.linear[owner], 1.0)) - base
        division = problem.divisions[owner]
        if division is not None:
            column = column * (data.codes[division] == c - problem.owners.index(owner))
        size = jnp.sqrt(jnp.sum(data.metric * column**2)) if moving[c] else held[c]
        total = total + point[c] * column / size
    return total


def same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_prediction_is_that_of_the_law(local):
    posed, point, objective, _, batch, _ = local
    k = objective.k
    size = objective.effective_scale(batch, objective.scale(batch.metric, point[None, k:]))[0]
    params = posed.problem.parameters(
        point[:k] * posed.data.unit / size, point[k:], posed.data.fixed
    )
    for linear, levels, division in zip(
        posed.problem.linear, posed.problem.levels, posed.problem.divisions, strict=True
    ):
        if levels:
            own = np.array([params[f"{linear[0]}[{level}]"] for level in levels])
            params[linear[0]] = own[posed.data.codes[division]]
    expected = posed.problem.law.evaluate(posed.columns, params)
    predicted = objective.predict(batch, point[None])[0]
    np.testing.assert_allclose(predicted * posed.unit, expected, rtol=1e-13)


def test_jacobian_is_that_of_the_prediction(local):
    *_, here, _, (_, jacobian, _, _, _) = local
    same((here.jacobian.chain @ here.jacobian.stack)[0].T, jacobian)


def test_value_and_gradient_are_those_of_the_objective(local):
    _, point, objective, here, batch, (predicted, _, value, gradient, _) = local
    np.testing.assert_allclose(objective.predict(batch, point[None])[0], predicted, rtol=1e-12)
    np.testing.assert_allclose(here.value[0], value, rtol=1e-12)
    np.testing.assert_allclose(objective.value(batch, point[None])[0], value, rtol=1e-12)
    same(here.gradient[0], gradient)


def test_second_derivative_is_the_hessian_of_the_objective(local):
    *_, here, _, (*_, hessian) = local
    assert np.abs(hessian).max() > 0
    same(here.hessian[0], hessian)


def test_scales_change_as_their_derivatives_say(local):
    posed, point, objective, *_ = local
    metric, at = posed.data.metric[None], point[objective.k :]
    around = objective.scale_derivatives(metric, at[None])
    np.testing.assert_allclose(around.size, objective.scale(metric, at[None]), rtol=1e-14)
    for axis in range(objective.q):
        step = 1e-5 * np.eye(objective.q)[axis]
        ends = np.stack([objective.scale(metric, (at + s * step)[None])[0] for s in (-1, 1)])
        slope = np.diff(np.log(ends), axis=0)[0] / 2e-5
        np.testing.assert_allclose(around.first[0, :, axis], slope, rtol=1e-7, atol=1e-7)
        inverse = 1 / np.stack([ends[0], around.size[0], ends[1]])
        bend = (inverse[0] - 2 * inverse[1] + inverse[2]) / 1e-10 * around.size[0]
        np.testing.assert_allclose(around.rest[0, :, axis, axis], bend, rtol=1e-3, atol=1e-3)


# The objective


@pytest.mark.parametrize("options", [{}, {"robust": "none"}, {"robust": "asymmetric"}], ids=words)
def test_influence_is_the_derivative_of_the_penalty(options):
    how = measure(sf.objective.Objective(**options))
    rows = np.array([-5.0, -2e-3, -9e-4, -1e-5, 1e-5, 9e-4, 2e-3, 5.0])
    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(lambda r: penalty(how, r)))(rows)
        np.testing.assert_allclose(influence(how, rows), slope, rtol=1e-14)
    np.testing.assert_allclose(penalty(how, np.zeros(1)), 0)


# Interior optima


OBJECTIVES = [
    {"residual": residual, "robust": robust}
    for residual, robust in product(["log", "relative", "raw"], ["huber", "none"])
] + [{"delta": 1e-4}, {"delta": 0.03}, {"delta": 3.0}]
TABLES = {
    "quiet": {"noise": 1e-3, "seed": 0},
    "ordinary": {"noise": 5e-3, "seed": 1},
    "loud": {"noise": 2e-2, "seed": 2},
    "very loud": {"noise": 5e-2, "seed": 11},
}


def centred(runs, exponents=("alpha", "beta")):
    """Chinchilla in numpy, its amplitudes taken at N = 1e8 and D = 1e10 to be well conditioned."""
    N, D = runs["N"].to_numpy() / 1e8, runs["D"].to_numpy() / 1e10

    def predict(point):
        E, A, B, alpha, beta = point
        return E + A * N**-alpha + B * D**-beta

    return predict


def to_centred(params):
    return np.array(
        [
            params["E"],
            params["A"] * 1e8 ** -params["alpha"],
            params["B"] * 1e10 ** -params["beta"],
            params["alpha"],
            params["beta"],
        ]
    )


@pytest.mark.parametrize("options", OBJECTIVES, ids=words)
@pytest.mark.parametrize("table", TABLES)
def test_optimum_is_that_of_scipy(optimum, table, options):
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES[table])
    fit = sf.fit(runs, **options)
    expected = optimum(centred(runs), to_centred(TRUTH), runs["loss"].to_numpy(), **options)
    assert fit.objective_value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(to_centred(fit.params), expected.point, rtol=1e-7)
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.gradient_cosine < 1e-12
    assert fit.diagnostics.at_bound == ()


@pytest.mark.parametrize("options", OBJECTIVES, ids=words)
def test_optimum_of_a_law_whose_columns_see_both_exponents_is_that_of_scipy(optimum, options):
    truth = {"E": 1.7, "A": 300.0, "F": 0.4, "alpha": 0.3, "beta": 0.35}
    runs = sf.simulate(sf.simulation.isoflop_design(), joint, truth, noise=0.002, seed=3)
    N, D = runs["N"].to_numpy() / 1e8, runs["D"].to_numpy() / 1e10

    def predict(point):
        E, A, F, alpha, beta = point
        return E + A * N**-alpha + F * N**-alpha * D**-beta

    start = [1.7, 300 * 1e8**-0.3, 0.4, 0.3, 0.35]
    expected = optimum(predict, start, runs["loss"].to_numpy(), **options)
    fit = sf.fit(runs, joint, **options)
    found = [*to_centred(fit.params | {"B": 0})[:2], *list(fit.params.values())[2:]]
    assert fit.objective_value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(found, expected.point, rtol=1e-6)


@pytest.mark.parametrize("robust", ["huber", "none"])
@pytest.mark.parametrize("residual", ["log", "raw"])
def test_weights_count_rows_that_many_times(pose, optimum, runs, residual, robust):
    counts = np.arange(75) % 4
    posed = pose(runs, weight=counts, residual=residual, robust=robust)
    end = posed.polish(posed.search(posed.axes(16), 4)[1])
    best = end.value.argmin()
    repeated = runs.loc[runs.index.repeat(counts)]
    expected = optimum(
        centred(repeated),
        to_centred(TRUTH),
        repeated["loss"].to_numpy(),
        residual=residual,
        robust=robust,
    )
    assert end.value[best] == pytest.approx(expected.value, rel=1e-12)
    found = to_centred(posed.parameters(end, best))
    np.testing.assert_allclose(found, expected.point, rtol=1e-7)


# Independence of the start


CELLS = 16


@pytest.mark.parametrize("options", OBJECTIVES[:6], ids=words)
@pytest.mark.parametrize("coefficients", ["projected", "random"])
def test_every_cell_of_the_grid_leads_to_the_optimum(pose, optimum, runs, options, coefficients):
    posed = pose(runs, **options)
    axes = posed.axes(CELLS)
    value, projected = posed.project(axes)
    cells = np.array(list(product(*axes)))
    start = np.stack([item.ravel() for item in projected], axis=1)
    if coefficients == "random":
        start = np.random.default_rng(0).uniform(0, 1, start.shape)
    raw = start / posed.scaled(cells, np.ones_like(start))
    end = posed.polish(Candidates(cells, raw, value.ravel()))
    expected = optimum(centred(runs), to_centred(TRUTH), posed.observed, **options)
    np.testing.assert_allclose(end.value, expected.value, rtol=1e-10)
    np.testing.assert_allclose(
        np.exp(end.coordinates), np.broadcast_to(expected.point[3:], (CELLS**2, 2)), rtol=1e-6
    )
    assert end.gradient_cosine.max() < 1e-10
    assert not end.active.any()
    assert end.iterations.max() < 150


@pytest.mark.parametrize("options", OBJECTIVES[:6], ids=words)
def test_flat_valley_is_reached_at_its_floor_from_every_cell(pose, optimum, runs, options):
    # With two sizes, E, A and alpha are three numbers for two levels.
    rng = np.random.default_rng(7)
    two = pd.DataFrame({"N": np.tile([1e8, 1e9, 1e9], 25), "D": 10 ** rng.uniform(9, 11, 75)})
    two = sf.simulate(two, noise=0.005, seed=7)
    posed = pose(two, **options)
    axes = posed.axes(CELLS)
    value, projected = posed.project(axes)
    cells = np.array(list(product(*axes)))
    start = np.stack([item.ravel() for item in projected], axis=1)
    raw = start / posed.scaled(cells, np.ones_like(start))
    end = posed.polish(Candidates(cells, raw, value.ravel()))
    small, D = two["N"].to_numpy() == 1e8, two["D"].to_numpy() / 1e10
    expected = optimum(
        lambda x: np.where(small, x[0], x[1]) + x[2] * D ** -x[3],
        [2.5, 2.1, 0.65, 0.28],
        posed.observed,
        **options,
    )
    # What claims to have converged has.
    converged = end.newton_decrement < 1e-9
    assert converged.sum() > 250
    np.testing.assert_allclose(end.value[converged], expected.value, rtol=1e-7)
    assert np.sum(end.value < expected.value * (1 + 1e-10)) > 250


def test_levels_that_hang_on_a_row_each_do_not_slow_each_other_down():
    """Nearly an L1 problem: Newton and Gauss-Newton need dampings of their own."""
    runs = sf.simulate(sf.simulation.isoflop_design(points=20), noise=0.004, seed=5)
    dealt = np.random.default_rng(5).permutation(100) % 20
    fit = sf.fit(runs.assign(format=dealt), groups={"A": "format"})
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.agreeing == fit.diagnostics.starts
    assert fit.diagnostics.iterations < 200


# Bounds


def test_offset_that_would_be_negative_ends_at_zero(optimum):
    truth = dict(TRUTH) | {"E": -0.15}
    runs = sf.simulate(sf.simulation.isoflop_design(), params=truth, noise=0.003, seed=4)
    for options in OBJECTIVES[:6]:
        fit = sf.fit(runs, **options)
        expected = optimum(
            centred(runs),
            to_centred(truth | {"E": 0.1}),
            runs["loss"].to_numpy(),
            bounds=[(0, 10), (0, 100), (0, 100), (0.005, 5), (0.005, 5)],
            **options,
        )
        assert expected.point[0] == 0
        assert expected.pull[0] > 0
        assert fit.diagnostics.at_bound == ("E",)
        assert fit.params["E"] == 0
        assert fit.objective_value == pytest.approx(expected.value, rel=1e-10)
        np.testing.assert_allclose(to_centred(fit.params)[1:], expected.point[1:], rtol=1e-6)
        assert fit.diagnostics.gradient_cosine < 1e-10


@pytest.mark.parametrize(
    ("bounds", "end", "sign"), [((0.4, 1.0), 0.4, 1), ((0.05, 0.25), 0.25, -1)]
)
def test_exponent_ends_at_its_bound(optimum, runs, bounds, end, sign):
    for options in OBJECTIVES[:6]:
        fit = sf.fit(runs, bounds={"alpha": bounds}, **options)
        whole = centred(runs)
        expected = optimum(
            lambda x: whole([*x[:3], end, x[3]]),  # noqa: B023
            np.delete(to_centred(TRUTH), 3),
            runs["loss"].to_numpy(),
            **options,
        )
        found = to_centred(fit.params)
        assert fit.diagnostics.at_bound == ("alpha",)
        assert fit.params["alpha"] == end
        assert fit.objective_value == pytest.approx(expected.value, rel=1e-12)
        np.testing.assert_allclose(np.delete(found, 3), expected.point, rtol=1e-6)
        # The objective falls beyond the bound.
        step = 1e-6 * np.eye(5)[3]
        rows = [residuals(whole(found + s * step), runs, options) for s in (-1, 1)]
        assert sign * np.diff([objective(row, options) for row in rows])[0] > 0


@pytest.mark.parametrize("end", [5.0, 0.7, 0.1 + 0.2, 1e-2])
def test_a_bound_of_a_logarithmic_coordinate_is_met_to_the_last_digit(runs, end):
    # The exponential of its logarithm need not be the number.
    for bounds in ((end, 3 * end), (end / 3, end)):
        fit = sf.fit(runs, bounds={"alpha": bounds})
        if fit.diagnostics.at_bound:
            assert fit.params["alpha"] in bounds
            assert fit.diagnostics.minima[0].params["alpha"] in bounds


def test_both_of_a_tied_pair_meet_their_bound(runs):
    fit = sf.fit(runs, tied=[("alpha", "beta")], bounds={"alpha": (0.7, 5.0)})
    assert fit.params["alpha"] == fit.params["beta"] == 0.7


def residuals(predicted, runs, options):
    observed = runs["loss"].to_numpy()
    kind = options.get("residual", "log")
    if kind == "log":
        return np.log(observed) - np.log(predicted)
    return (observed - predicted) / (observed if kind == "relative" else 1.0)


def objective(rows, options):
    if options.get("robust") == "none":
        return np.sum(rows**2)
    size, delta = np.abs(rows), options.get("delta", 1e-3)
    return np.sum(np.where(size <= delta, rows**2 / 2, delta * (size - delta / 2)))


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "end"), [((10.0, 200.0), 200.0), ((900.0, 5e3), 900.0)])
def test_amplitude_ends_at_its_finite_bound(optimum, runs, bounds, end):
    N, D = runs["N"].to_numpy(), runs["D"].to_numpy() / 1e10
    for options in OBJECTIVES[:6]:
        fit = sf.fit(runs, bounds={"A": bounds}, **options)
        expected = optimum(
            lambda x: x[0] + end * N ** -x[2] + x[1] * D ** -x[3],
            [1.7, 0.65, 0.34, 0.28],
            runs["loss"].to_numpy(),
            **options,
        )
        free = sf.fit(runs, **options)
        assert np.sign(free.params["A"] - end) == np.sign(end - np.mean(bounds))
        assert fit.diagnostics.at_bound == ("A",)
        assert fit.params["A"] == end
        assert fit.objective_value == pytest.approx(expected.value, rel=1e-12)
        found = [fit.params["E"], to_centred(fit.params)[2], fit.params["alpha"]]
        np.testing.assert_allclose(found, expected.point[[0, 1, 2]], rtol=1e-6)


def test_bounds_that_do_not_bind_change_nothing(runs):
    free = sf.fit(runs)
    boxed = sf.fit(runs, bounds={"A": (100.0, 2e3), "beta": (0.1, 0.9)})
    assert boxed.diagnostics.at_bound == ()
    assert boxed.objective_value == pytest.approx(free.objective_value, rel=1e-12)
    for name, value in free.params.items():
        assert boxed.params[name] == pytest.approx(value, rel=1e-9)


def test_term_that_would_be_negative_ends_at_zero(optimum):
    # The loss rises with N, so that A is zero and alpha does nothing.
    runs = sf.simulation.isoflop_design()
    rng = np.random.default_rng(6)
    rising = 1.8 + 400 * runs["D"] ** -0.28 + 0.01 * np.log(runs["N"])
    runs["loss"] = rising * np.exp(0.002 * rng.standard_normal(75))
    D = runs["D"].to_numpy() / 1e10
    for options in OBJECTIVES[:6]:
        fit = sf.fit(runs, **options)
        expected = optimum(
            lambda x: x[0] + x[1] * D ** -x[2], [1.8, 0.6, 0.28], runs["loss"].to_numpy(), **options
        )
        assert fit.params["A"] == 0
        assert "A" in fit.diagnostics.at_bound
        assert fit.diagnostics.gradient_cosine < 1e-12
        assert fit.objective_value == pytest.approx(expected.value, rel=1e-12)
        np.testing.assert_allclose(to_centred(fit.params)[[0, 2, 4]], expected.point, rtol=1e-6)


def test_linear_law_is_bounded_least_squares(runs):
    D = runs["D"].to_numpy()
    columns = np.stack([np.ones(75), D**-0.3, runs["N"].to_numpy() ** -0.3], axis=1)
    limits = [(0.0, 1.5), (0.0, np.inf), (0.0, 150.0)]
    fit = sf.fit(
        runs,
        residual="raw",
        robust="none",
        fixed={"alpha": 0.3, "beta": 0.3},
        bounds={"E": limits[0], "A": limits[2]},
    )
    sizes = np.linalg.norm(columns, axis=0)
    expected = lsq_linear(
        columns / sizes,
        runs["loss"].to_numpy(),
        tuple(np.array(limits).T * sizes),
        method="bvls",
        tol=1e-15,
    )
    assert fit.objective_value == pytest.approx(2 * expected.cost, rel=1e-12)
    found = [fit.params[name] for name in ("E", "B", "A")]
    np.testing.assert_allclose(found, expected.x / sizes, rtol=1e-9)
    assert fit.diagnostics.at_bound == ("E", "A")


# A law without linear parameters


@pytest.mark.parametrize("options", [{}, {"residual": "raw", "robust": "none"}], ids=words)
def test_law_without_linear_parameters_is_fitted_to_the_truth(options):
    truth = {"N_c": 8.8e8, "D_c": 5.4e10, "alpha_N": 0.076, "alpha_D": 0.103}
    runs = sf.simulate(sf.simulation.isoflop_design(), "kaplan", truth, noise=0.0)
    fit = sf.fit(runs, "kaplan", **options)
    assert fit.status is sf.Status.EXACT
    for name, value in truth.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-8)
