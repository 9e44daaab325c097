"""Replicates fitted together: each is the fit it would be alone."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting import grid, polish
from scalefit.fitting.multistart import refit
from scalefit.fitting.tables import Tables

REPLICATES = 40
OBJECTIVES = [(residual, robust) for residual in ("log", "raw") for robust in ("none", "huber")]


@pytest.fixture(scope="module")
def resampled():
    """How often each of 75 runs is drawn, in each of 40 bootstrap samples."""
    rng = np.random.default_rng(0)
    return rng.multinomial(75, np.full(75, 1 / 75), size=REPLICATES).astype(float)


@pytest.fixture(scope="module")
def redrawn(runs):
    """The runs' losses with other noise, in each of 40 replicates."""
    rng = np.random.default_rng(1)
    return runs["loss"].to_numpy() * np.exp(0.004 * rng.standard_normal((REPLICATES, 75)))


def refitted(posed, objective, **replicates):
    return refit(posed.problem, objective, posed.settings, posed.data, **replicates)


def parameters(posed, found, replicate):
    return posed.problem.parameters(
        found.coefficients[replicate], found.coordinates[replicate], posed.data.fixed
    )


def assert_fits(posed, objective, found, tables):
    """Every replicate is the fit of its own table."""
    assert len(found.value) == len(tables)
    assert found.newton_decrement.max() < 1e-9
    assert found.gradient_cosine.max() < 1e-8
    how = {"residual": objective.residual, "robust": objective.robust, "delta": objective.delta}
    for replicate, table in enumerate(tables):
        fit = sf.fit(table, **how, certify=False)
        assert found.value[replicate] == pytest.approx(fit.objective_value, rel=1e-10)
        assert parameters(posed, found, replicate) == pytest.approx(dict(fit.params), rel=1e-7)


@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_weightings_are_fitted_as_if_alone(pose, runs, resampled, residual, robust):
    objective = sf.objective.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    found = refitted(posed, objective, weight=resampled)
    assert_fits(posed, objective, found, [runs.assign(weight=row) for row in resampled])


def test_known_optimum_leads_where_the_search_leads(pose, runs, resampled):
    objective = sf.objective.Objective("log", "huber")
    posed = pose(runs)
    fit = sf.fit(runs)
    k = len(posed.problem.owners)
    first = [fit.params[group[0]] for group in posed.problem.names]
    near = grid.Candidates(np.log(first[k:]), np.array(first[:k]), np.float64(0.0))
    whole = refitted(posed, objective, weight=resampled)
    assert whole.global_search.all()
    assert not whole.improved.any()
    chosen = np.arange(REPLICATES) % 8 == 0
    found = refitted(posed, objective, weight=resampled, near=near, global_search=chosen)
    np.testing.assert_array_equal(found.global_search, chosen)
    np.testing.assert_allclose(found.value, whole.value, rtol=1e-10)
    np.testing.assert_allclose(found.coordinates, whole.coordinates, rtol=1e-7)


def test_search_makes_up_for_a_start_that_leads_nowhere(pose, runs, resampled):
    """Exponents at the far corner of the box: where that is no way out, the search is."""
    objective = sf.objective.Objective("log", "huber")
    posed = pose(runs)
    corner = grid.Candidates(np.log([4.9, 4.9]), np.array([2.5, 0.0, 0.0]), np.float64(0.0))
    alone = refitted(posed, objective, weight=resampled, near=corner)
    whole = refitted(posed, objective, weight=resampled)
    every = np.ones(REPLICATES, dtype=bool)
    found = refitted(posed, objective, weight=resampled, near=corner, global_search=every)
    np.testing.assert_allclose(found.value, whole.value, rtol=1e-10)
    lost = ~alone.global_search & (alone.value > whole.value * (1 + 1e-9))
    assert (found.improved | ~lost).all()
    # What ended at a bound was searched without being asked.
    assert alone.global_search.any() or not lost.any()


@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_losses_are_fitted_as_if_alone(pose, runs, redrawn, residual, robust):
    objective = sf.objective.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    found = refitted(posed, objective, observed=redrawn)
    assert_fits(posed, objective, found, [runs.assign(loss=row) for row in redrawn])


@pytest.mark.parametrize(
    "options",
    [
        {"fixed": {"alpha": 0.34}},
        {"fixed": {"A": 400.0, "alpha": 0.34}},
        {"tied": [("alpha", "beta")]},
        {"groups": {"A": "format", "B": "corpus"}},
        {"bounds": {"A": (100.0, 380.0)}},
    ],
    ids=str,
)
def test_every_form_of_a_problem_is_searched_for_each_table(pose, runs, resampled, options):
    """Also where a column is the same in every cell, and differs by table all the same."""
    index = np.arange(75)
    labelled = runs.assign(format=np.array(list("ab"))[index % 2], corpus=index * 7 // 5 % 2)
    posed = pose(labelled, **options)
    found = refitted(posed, sf.objective.Objective(), weight=resampled[:5], points=32)
    for value, row in zip(found.value, resampled, strict=False):
        alone = sf.fit(labelled.assign(weight=row), **options).objective_value
        assert value == pytest.approx(alone, rel=1e-9)


def test_losses_and_weights_together(pose, runs, redrawn, resampled):
    posed = pose(runs)
    found = refitted(posed, sf.objective.Objective(), observed=redrawn, weight=resampled)
    tables = [
        runs.assign(loss=loss, weight=weight)
        for loss, weight in zip(redrawn, resampled, strict=True)
    ]
    assert_fits(posed, sf.objective.Objective(), found, tables)


def test_rows_of_weight_zero_are_rows_all_the_same(pose, runs, redrawn):
    weight = np.where(np.arange(75) % 9 == 8, 0.0, 1.0)
    weight[-1] = 0.0
    posed = pose(runs, weight=weight)
    found = refitted(posed, sf.objective.Objective(), observed=redrawn)
    assert_fits(
        posed,
        sf.objective.Objective(),
        found,
        [runs.assign(loss=row, weight=weight) for row in redrawn],
    )


def test_batches_and_threads_do_not_change_results(pose, runs, resampled, monkeypatch):
    posed = pose(runs)
    many = np.concatenate([resampled, resampled[::-1], resampled[10:30]])
    whole = refitted(posed, sf.objective.Objective(), weight=resampled)
    order = np.r_[0:40, 39:-1:-1, 10:30]
    for numbers, threads in ((7 * 75, 1), (3 * 75, 3)):
        monkeypatch.setattr(polish, "HOST_NUMBERS", numbers)
        monkeypatch.setattr(polish, "THREADS", threads)
        found = refitted(posed, sf.objective.Objective(), weight=many)
        for leaf, expected in zip(found, whole, strict=True):
            np.testing.assert_allclose(leaf, expected[order], rtol=1e-10, atol=1e-12)


def test_memory_does_not_grow_with_the_number_of_replicates(pose, runs, monkeypatch):
    sizes = []
    take = Tables.take

    def note(tables, index):
        sizes.append(len(index))
        return take(tables, index)

    monkeypatch.setattr(Tables, "take", note)
    found = refitted(pose(runs), sf.objective.Objective(), weight=np.ones((701, 75)))
    assert len(found.value) == 701
    assert max(sizes) * 75 <= polish.HOST_NUMBERS


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_replicate_has_its_own_losses_weights_and_metric(
    pose, runs, redrawn, resampled, residual, weighted
):
    own = np.where(np.arange(75) % 9 == 8, 0.0, 1.0)
    posed = pose(runs, residual=residual, weight=own)
    given = resampled if weighted else None
    tables = Tables(sf.objective.Objective(residual), posed.data, redrawn, given)
    losses, weights, found = tables.take(np.arange(REPLICATES))
    weight = resampled if weighted else np.tile(own, (REPLICATES, 1))
    metric = weight if residual == "raw" else weight / redrawn**2
    np.testing.assert_allclose(losses * posed.data.unit, redrawn, rtol=1e-14)
    np.testing.assert_array_equal(np.broadcast_to(weights * tables.unit, weight.shape), weight)
    np.testing.assert_allclose(found, metric / metric.sum(axis=1, keepdims=True), rtol=1e-13)


@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_a_replicate_without_a_fit_says_so_and_leaves_the_others_alone(
    pose, runs, resampled, residual, robust
):
    objective = sf.objective.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    wrong = resampled.copy()
    wrong[3] = 0.0
    wrong[5, 7] = np.nan
    with np.errstate(invalid="ignore"):
        found = refitted(posed, objective, weight=wrong)
    good = refitted(posed, objective, weight=resampled)
    converged = (found.newton_decrement < 1e-9) & (found.gradient_cosine < 1e-8)
    assert np.flatnonzero(~converged).tolist() == [3, 5]
    others = np.delete(np.arange(REPLICATES), [3, 5])
    np.testing.assert_array_equal(found.coefficients[others], good.coefficients[others])


def test_a_replicate_on_two_runs_passes_through_them(pose, runs, resampled):
    posed = pose(runs, residual="raw", robust="none")
    few = resampled.copy()
    few[0] = np.isin(np.arange(75), [0, 20])
    found = refitted(posed, sf.objective.Objective("raw", "none"), weight=few)
    assert found.value[0] < 1e-25 * runs["loss"].pow(2).sum()
    assert found.value[1:].min() > 1e-4


@pytest.mark.parametrize(
    "replicates",
    [
        {},
        {"weight": np.ones(75)},
        {"weight": np.ones((4, 74))},
        {"weight": np.ones((4, 76))},
        {"observed": np.ones((4, 128))},
        {"observed": np.ones((4, 75)), "weight": np.ones((5, 75))},
        {"observed": np.ones((4, 75)), "weight": np.ones((4, 75, 1))},
    ],
    ids=["none", "a vector", "too few", "too many", "padded", "unlike numbers", "three axes"],
)
def test_other_shapes_are_refused(pose, runs, replicates):
    with pytest.raises(sf.errors.DataError, match=r"shape \(replicates, 75\)"):
        refitted(pose(runs), sf.objective.Objective(), **replicates)
