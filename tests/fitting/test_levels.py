"""Coefficients of many levels: the same optima as with a column for each, by sums over levels."""

import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting import arrow, polish
from scalefit.fitting import prepared_fit as pipeline
from scalefit.fitting.arrow import Arrangement, Arrow, solve_levels
from scalefit.fitting.curvature import condition, curvature_of
from scalefit.fitting.level_objective import LevelObjective
from scalefit.fitting.level_sums import LevelSums
from scalefit.fitting.objective_setup import scaled_objective, unbounded_batch
from scalefit.fitting.scaled_objective import Batch
from scalefit.runtime.settings import quiet

GROUPS = {
    "A": {"A": "format"},
    "A and E": {"A": "format", "E": "format"},
    "all": {"E": "format", "A": "format", "B": "format"},
    "crossed": {"A": "format", "B": "corpus"},
    "three by two": {"A": "format", "B": "corpus", "E": "corpus"},
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "huber": {},
    "squares": {"robust": "none"},
    "relative": {"residual": "relative"},
    "raw": {"residual": "raw", "delta": 0.01},
    "l1": {"robust": "l1"},
    "raw l1": {"robust": "l1", "residual": "raw"},
    "asymmetric": {"robust": "asymmetric"},
}


def table(levels, rows=8, seed=0, noise=5e-3):
    """Runs of many formats and three corpora, each format as often."""
    rng, count = np.random.default_rng(seed), rows * levels
    N, D = np.exp(rng.uniform(16, 23, count)), np.exp(rng.uniform(21, 28, count))
    number, corpus = rng.permutation(np.arange(count) % levels), rng.integers(0, 3, count)
    A = 400 * np.exp(0.2 * rng.normal(size=levels))[number]
    B = 410 * np.array([0.9, 1.0, 1.2])[corpus]
    loss = (1.7 + A * N**-0.34 + B * D**-0.28) * np.exp(noise * rng.normal(size=count))
    return pd.DataFrame({"N": N, "D": D, "loss": loss, "format": number, "corpus": corpus})


@pytest.fixture
def by_level(monkeypatch):
    """Levels are summed over however few they are; or each has a column, where that is asked."""

    def choose(dense):
        monkeypatch.setattr(arrow, "MOST_DENSE", 10**6 if dense else 0)
        monkeypatch.setattr(polish, "MOST_DENSE_ABSOLUTE", 10**6 if dense else 0)

    choose(False)
    return choose


def some_slow(cases, *slow):
    """Cases by name, those that take seconds in the other tier."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in cases]


def same(actual, expected, share=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=share * np.abs(expected).max())


@pytest.mark.parametrize("objective", some_slow(OBJECTIVES, "asymmetric"))
@pytest.mark.parametrize("groups", GROUPS)
def test_fit_is_that_with_a_column_for_each_level(by_level, groups, objective):
    runs, options = table(7), OBJECTIVES[objective]
    fits = []
    for dense in (True, False):
        by_level(dense)
        fits.append(sf.fit(runs, groups=GROUPS[groups], certify=False, **options))
    whole, fit = fits
    assert fit.objective_value == pytest.approx(whole.objective_value, rel=1e-13)
    assert dict(fit.params) == pytest.approx(dict(whole.params), rel=1e-10)
    assert fit.status is whole.status is sf.Status.CONVERGED
    assert [note.code for note in fit.notes] == [note.code for note in whole.notes]
    for name in ("condition", "condition_projected"):
        assert getattr(fit.diagnostics, name) == pytest.approx(
            getattr(whole.diagnostics, name), rel=1e-8
        )
    assert fit.diagnostics.agreeing == fit.diagnostics.starts == whole.diagnostics.starts
    assert fit.diagnostics.newton_decrement < 1e-12
    assert fit.diagnostics.gradient_cosine < 1e-8


OPTIONS: dict[str, dict[str, Any]] = {
    "weights": {"weight": True},
    "exponents tied": {"tied": [("alpha", "beta")]},
    "E fixed": {"fixed": {"E": 1.7}},
    "exponents fixed": {"fixed": {"alpha": 0.34, "beta": 0.28}},
    "bounds that bind": {"bounds": {"A": (390.0, 450.0)}, "fixed": {"beta": 0.28}},
}


@pytest.mark.parametrize("robust", ["huber", "none", "l1"])
@pytest.mark.parametrize("case", some_slow(OPTIONS, "bounds that bind"))
def test_options_do_what_they_do_with_a_column_for_each_level(by_level, case, robust):
    options, runs, fits = dict(OPTIONS[case]), table(7), []
    if options.pop("weight", False):
        runs["weight"] = np.arange(len(runs)) % 4
    for dense in (True, False):
        by_level(dense)
        fits.append(sf.fit(runs, groups={"A": "format"}, robust=robust, certify=False, **options))
    whole, fit = fits
    assert fit.objective_value == pytest.approx(whole.objective_value, rel=1e-13)
    assert dict(fit.params) == pytest.approx(dict(whole.params), rel=1e-10)
    assert fit.diagnostics.at_bound == whole.diagnostics.at_bound
    assert bool(fit.diagnostics.at_bound) == ("bounds" in options)
    assert fit.status is whole.status
    assert fit.diagnostics.condition == pytest.approx(whole.diagnostics.condition, rel=1e-8)


def test_fit_is_that_of_scipy(optimum):
    runs = table(20)
    fit = sf.fit(runs, groups={"A": "format"}, certify=False)
    N, D, loss, number = (runs[name].to_numpy() for name in ("N", "D", "loss", "format"))

    def predict(point):
        *A, E, B, alpha, beta = point
        return E + np.array(A)[number] * N**-alpha + B * D**-beta

    names = [*(f"A[{level}]" for level in range(20)), "E", "B", "alpha", "beta"]
    here = np.array([fit.params[name] for name in names])
    found = optimum(predict, 1.02 * here, loss)
    assert fit.objective_value <= found.value * (1 + 1e-10)
    np.testing.assert_allclose(found.point, here, rtol=1e-5)


@pytest.mark.parametrize("fixed", [{}, {"E": 1.7}])
@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("groups", GROUPS)
def test_derivatives_are_those_with_a_column_for_each_level(pose, groups, residual, fixed):
    if "E" in GROUPS[groups] and fixed:
        pytest.skip("E is grouped")
    posed = pose(
        table(5),
        groups=GROUPS[groups],
        residual=residual,
        fixed=fixed,
        bounds={"A": (100.0, np.inf)},
    )
    rng, data, settings = np.random.default_rng(3), posed.data, posed.settings
    both = [scaled_objective(posed.problem, data, dense=dense) for dense in (True, False)]
    whole, sums = both
    assert isinstance(sums, LevelObjective) and not isinstance(whole, LevelObjective)
    k, rows = whole.k, len(data.response)
    low, high = settings.lower[k:], settings.upper[k:]
    coordinates = low + (high - low) * rng.uniform(0.4, 0.6, (2, len(low)))
    point = np.concatenate([rng.uniform(0.2, 1.0, (2, k)), coordinates], axis=1)
    metric = data.metric[None]
    same(sums.scale(metric, coordinates), whole.scale(metric, coordinates))
    for left, right in zip(
        *(item.scale_derivatives(metric, coordinates) for item in both), strict=True
    ):
        same(right, left)
    none = np.full((1, point.shape[1]), np.inf)
    batch = Batch(
        target=np.log(data.response[None]) if residual == "log" else data.response[None],
        weight=rng.integers(0, 3, (2, rows)) * 1.0,
        metric=metric,
        lower=-none,
        upper=none,
        held=whole.scale(metric, 0.9 * coordinates),
        delta=np.full((1, 1), 1.0),
        shift=None,
    )
    same(sums.predict(batch, point), whole.predict(batch, point))
    trials = np.stack([point, 1.01 * point])
    same(sums.value(batch, trials), whole.value(batch, trials))
    same(sums.variable_projection(batch, trials), whole.variable_projection(batch, trials), 1e-6)
    first, second = (item.local(batch, point) for item in both)
    for name in ("rows", "value", "gradient", "residual_derivative", "psi"):
        same(getattr(second, name), getattr(first, name))
    for name in ("hessian", "gauss_newton"):
        same(sums.dense(getattr(second, name)), getattr(first, name))
    same(sums.residual_squares(second), whole.residual_squares(first))
    same(sums.diagonal(second.hessian), whole.diagonal(first.hessian))
    sizes = np.abs(rng.normal(size=point.shape))
    jacobian = np.abs(whole.residual_jacobian(first))
    same(sums.rounding_of_rows(second, sizes), (sizes[:, None] @ jacobian)[:, 0])
    packed = sums.packed(second.gauss_newton)
    free = np.arange(point.shape[1]) % 5 != 2
    for start in range(2):
        one = curvature_of(posed.problem, packed[start])
        other = curvature_of(posed.problem, first.gauss_newton[start])
        same(one.diagonal, other.diagonal)
        assert one.conditions(free) == pytest.approx(other.conditions(free), rel=1e-6)
        for left, right in zip(one.inverse(free), other.inverse(free), strict=True):
            same(left, right, 1e-6)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("t", [0, 1, 4])
def test_arrow_is_solved_as_the_whole_matrix(m, t):
    rng, levels, batch = np.random.default_rng(m + 10 * t), 6, 3
    size = m * levels + t
    how = SimpleNamespace(
        levels=rng.permutation(size)[: m * levels].reshape(m, levels),
        _shapes=((m, m, levels), (t, m, levels), (t, t)),
    )
    how.others = np.setdiff1d(np.arange(size), how.levels)
    how._back = np.argsort(np.concatenate([how.levels.ravel(), how.others]))
    half = rng.normal(size=(batch, levels, m + t, m + t + 2))
    parts = half @ np.swapaxes(half, -1, -2)
    matrix = Arrow(
        np.moveaxis(parts[:, :, :m, :m], 1, -1),
        np.moveaxis(parts[:, :, m:, :m], 1, -1),
        parts[:, :, m:, m:].sum(axis=1),
    )
    whole = Arrangement.dense(how, matrix)
    right, held = rng.normal(size=(batch, size)), rng.random((batch, size)) < 0.2
    inner, outer, ok = matrix.solve(*Arrangement.split(how, right))
    assert ok.all()
    same(Arrangement.joined(how, inner, outer), np.linalg.solve(whole, right[..., None])[..., 0])
    same(
        Arrangement.joined(how, *matrix.times(*Arrangement.split(how, right))),
        (whole @ right[..., None])[..., 0],
    )
    cut = matrix.without(*Arrangement.split(how, held))
    expected = np.where(held[:, :, None] | held[:, None, :], np.eye(size), whole)
    same(Arrangement.dense(how, cut), expected)
    for i in range(batch):
        ends = Arrow(*(leaf[i] for leaf in matrix)).extremes()
        np.testing.assert_allclose(ends, np.linalg.eigvalsh(whole[i])[[0, -1]], rtol=1e-9)
    packed = Arrangement.packed(how, matrix)
    assert packed.shape == (batch, m * m * levels + t * m * levels + t * t)
    for left, right in zip(Arrangement.unpacked(how, packed), matrix, strict=True):
        np.testing.assert_array_equal(left, right)
    # One that is not positive definite has no solution, and says so.
    spoiled = matrix._replace(inner=matrix.inner.copy())
    spoiled.inner[1, 0, 0, 2] = -1.0
    with quiet():
        inner, outer, ok = spoiled.solve(*Arrangement.split(how, held * 1.0))
    assert ok.tolist() == [True, False, True]
    assert not inner[1].any() and not outer[1].any()


def test_levels_alone_are_solved_with_some_coefficients_held():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(4, 3, 5))
    blocks, right = half @ np.swapaxes(half, 1, 2), rng.normal(size=(4, 3))
    held = np.arange(12).reshape(4, 3) % 5 == 0
    found = solve_levels(np.moveaxis(blocks, 0, -1), right.T, held.T)
    for i in range(4):
        free = ~held[i]
        expected = np.zeros(3)
        expected[free] = np.linalg.solve(blocks[i][np.ix_(free, free)], right[i][free])
        np.testing.assert_allclose(found[:, i], expected, atol=1e-12)


def test_condition_of_a_singular_matrix_is_infinite(pose):
    posed = pose(table(5), groups={"A": "format"})
    how = Arrangement(posed.problem)
    matrix = Arrow(np.ones((1, 1, 5)), np.ones((4, 1, 5)), 5.0 * np.ones((4, 4)))
    one = curvature_of(posed.problem, how.packed(matrix))
    every = np.ones(9, dtype=bool)
    assert one.conditions(every) == (np.inf, np.inf)
    assert condition(how.dense(matrix)) > 1e14


def test_sums_leave_out_rows_of_no_level():
    division = LevelSums(np.array([2, -1, 0, 2, 0]), 4)
    values = np.arange(10.0).reshape(2, 5)
    np.testing.assert_array_equal(division.sums(values), [[6, 0, 3, 0], [16, 0, 13, 0]])
    np.testing.assert_array_equal(division.spread(np.arange(4.0)), [2, 0, 0, 2, 0])


# What it costs


def peak(levels, **options):
    """Bytes that a fit of so many levels of six rows holds at most."""
    runs = table(levels, 6)
    sf.fit(runs, groups={"A": "format"}, certify=False, **options)
    tracemalloc.start()
    try:
        fit = sf.fit(runs, groups={"A": "format"}, certify=False, **options)
        return tracemalloc.get_traced_memory()[1], fit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("objective", ["huber", "squares"])
def test_memory_and_starts_do_not_grow_with_levels_times_rows(objective):
    few, small = peak(60, **OBJECTIVES[objective])
    many, large = peak(240, **OBJECTIVES[objective])
    assert many < 6 * few
    assert large.diagnostics.starts <= small.diagnostics.starts + 2
    if objective == "huber":
        # Less than a matrix of rows by coefficients for each of two starts.
        assert many < 2 * 240 * 1440 * 8


def test_each_level_is_summed_over_its_own_rows_only(pose, monkeypatch):
    """Numbers that one look at the objective goes through grow with rows, not with their square."""
    touched = []

    def counted(add):
        def sums(self, values):
            touched.append(np.size(values))
            return add(self, values)

        return sums

    monkeypatch.setattr(LevelSums, "sums", counted(LevelSums.sums))
    numbers = {}
    for levels in (50, 200):
        posed = pose(table(levels, 5), groups={"A": "format"})
        objective = scaled_objective(posed.problem, posed.data)
        point = np.concatenate([np.full(objective.k, 0.3), np.log([0.3, 0.3])])[None]
        touched.clear()
        objective.local(unbounded_batch(objective, posed.data, point[:, objective.k :]), point)
        numbers[levels] = sum(touched)
    assert numbers[200] == 4 * numbers[50]


def test_a_level_of_very_many_rows_fills_up_no_other():
    codes = np.concatenate([np.zeros(5000, dtype=int), np.repeat(np.arange(1, 1000), 5)])
    rng = np.random.default_rng(0)
    codes, used = rng.permutation(codes), rng.random(len(codes)) < 0.9
    places, present, slots = pipeline._by_level(codes, used)
    assert places.size <= 4 * len(codes)
    taken = places[present > 0]
    np.testing.assert_array_equal(np.sort(taken), np.flatnonzero(used))
    np.testing.assert_array_equal(codes[taken], np.repeat(slots, present.sum(axis=1).astype(int)))
    assert (np.diff(slots) >= 0).all()


def test_slots_of_a_level_are_summed_in_the_grid(pose, monkeypatch):
    runs = table(6, 8)
    runs = pd.concat([runs, table(1, 60, seed=4)], ignore_index=True)
    found = []
    for filled in (100, 2):
        monkeypatch.setattr(pipeline, "MOST_FILLED", filled)
        posed = pose(runs, groups={"A": "format", "E": "format"}, robust="none")
        found.append((posed, *posed.project(posed.axes(16))))
    assert len(found[0][0].data.slots[0]) == 6 < len(found[1][0].data.slots[0])
    same(found[1][1], found[0][1])
    for one, other in zip(found[1][2], found[0][2], strict=True):
        same(one, other, 1e-8)


def test_levels_whose_rows_all_lie_beyond_delta_hold_up_no_start():
    runs = table(150, 5, noise=0.02)
    fit = sf.fit(runs, groups={"A": "format"}, certify=False)
    assert fit.status is sf.Status.CONVERGED
    # Of objectives that are nearly of absolute residuals there may be several minima.
    assert sum(item.starts for item in fit.diagnostics.minima) == fit.diagnostics.starts
    assert fit.diagnostics.iterations < 60


def test_bootstrap_of_many_levels():
    runs = table(30)
    fit = sf.fit(runs, groups={"A": "format"}, certify=False)
    draws = sf.bootstrap(fit, runs, 10, method="strata", by="format", progress=False)
    assert draws.usable.all()
    assert draws.params["A[29]"].std() > 0


def test_profile_of_too_many_levels_is_refused():
    runs = table(200, 4)
    fit = sf.fit(runs, groups={"A": "format"}, robust="none")
    with pytest.raises(sf.errors.DataError, match=r"204 free parameters.*200 is the limit"):
        sf.profile(fit, runs, "alpha")


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_three_hundred_levels(objective):
    runs = table(300, 6, seed=1)
    fit = sf.fit(runs, groups={"A": "format"}, **OBJECTIVES[objective])
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.agreeing == fit.diagnostics.starts
    shared = {name: fit.params[name] for name in ("E", "B", "alpha", "beta")}
    # With the shared ones fixed there, each level by itself has the same coefficient.
    for level in (0, 123, 299):
        alone = sf.fit(
            pd.concat([runs[runs["format"] == level]] * 2, ignore_index=True),
            fixed=shared,
            certify=False,
            **OBJECTIVES[objective],
        )
        name = f"A[{level}]"
        assert alone.params["A"] == pytest.approx(fit.params[name], rel=1e-7), name


@pytest.mark.slow
@pytest.mark.parametrize("groups", ["A", "A and E", "crossed"])
def test_program_of_many_levels_ends_where_the_host_does(groups):
    runs = table(20)
    fit = sf.fit(runs, groups=GROUPS[groups], certify=False)
    compiled = sf.fit(runs, groups=GROUPS[groups], certify=False, device="cpu")
    assert compiled.objective_value == pytest.approx(fit.objective_value, rel=1e-13)
    assert dict(compiled.params) == pytest.approx(dict(fit.params), rel=1e-10)
