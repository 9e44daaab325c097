"""Replicates fitted together: each is the fit it would be alone."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting import batch, grid, programs
from scalefit.fitting.batch import refit

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
    assert found.promise.max() < 1e-9
    assert found.stationary.max() < 1e-8
    how = {"residual": objective.residual, "robust": objective.robust, "delta": objective.delta}
    for replicate, table in enumerate(tables):
        fit = sf.fit(table, **how, certify=False)
        assert found.value[replicate] == pytest.approx(fit.value, rel=1e-10)
        assert parameters(posed, found, replicate) == pytest.approx(dict(fit.params), rel=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_weightings_are_fitted_as_if_alone(pose, runs, resampled, residual, robust):
    objective = sf.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    found = refitted(posed, objective, weight=resampled)
    assert_fits(posed, objective, found, [runs.assign(weight=row) for row in resampled])


def test_known_optimum_leads_where_the_search_leads(pose, runs, resampled):
    objective = sf.Objective("log", "huber")
    posed = pose(runs)
    fit = sf.fit(runs)
    k = len(posed.problem.owners)
    first = [fit.params[group[0]] for group in posed.problem.names]
    near = grid.Candidates(np.log(first[k:]), np.array(first[:k]), np.float64(0.0))
    whole = refitted(posed, objective, weight=resampled)
    assert whole.searched.all()
    assert not whole.gained.any()
    chosen = np.arange(REPLICATES) % 8 == 0
    found = refitted(posed, objective, weight=resampled, near=near, searched=chosen)
    np.testing.assert_array_equal(found.searched, chosen)
    np.testing.assert_allclose(found.value, whole.value, rtol=1e-10)
    np.testing.assert_allclose(found.coordinates, whole.coordinates, rtol=1e-7)


def test_search_makes_up_for_a_start_that_leads_nowhere(pose, runs, resampled):
    """Exponents at the far corner of the box: where that is no way out, the search is."""
    objective = sf.Objective("log", "huber")
    posed = pose(runs)
    corner = grid.Candidates(np.log([4.9, 4.9]), np.array([2.5, 0.0, 0.0]), np.float64(0.0))
    alone = refitted(posed, objective, weight=resampled, near=corner)
    whole = refitted(posed, objective, weight=resampled)
    every = np.ones(REPLICATES, dtype=bool)
    found = refitted(posed, objective, weight=resampled, near=corner, searched=every)
    np.testing.assert_allclose(found.value, whole.value, rtol=1e-10)
    lost = ~alone.searched & (alone.value > whole.value * (1 + 1e-9))
    assert (found.gained | ~lost).all()
    # What ended at a bound was searched without being asked.
    assert alone.searched.any() or not lost.any()


@pytest.mark.slow
@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_losses_are_fitted_as_if_alone(pose, runs, redrawn, residual, robust):
    objective = sf.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    found = refitted(posed, objective, observed=redrawn)
    assert_fits(posed, objective, found, [runs.assign(loss=row) for row in redrawn])


@pytest.mark.slow
def test_losses_and_weights_together(pose, runs, redrawn, resampled):
    posed = pose(runs)
    found = refitted(posed, sf.Objective(), observed=redrawn, weight=resampled)
    tables = [
        runs.assign(loss=loss, weight=weight)
        for loss, weight in zip(redrawn, resampled, strict=True)
    ]
    assert_fits(posed, sf.Objective(), found, tables)


@pytest.mark.slow
def test_rows_of_weight_zero_are_rows_all_the_same(pose, runs, redrawn):
    weight = np.where(np.arange(75) % 9 == 8, 0.0, 1.0)
    weight[-1] = 0.0
    posed = pose(runs, weight=weight)
    found = refitted(posed, sf.Objective(), observed=redrawn)
    assert_fits(
        posed, sf.Objective(), found, [runs.assign(loss=row, weight=weight) for row in redrawn]
    )


@pytest.mark.slow
def test_chunks_do_not_change_results(pose, runs, resampled, monkeypatch):
    posed = pose(runs)
    # Seven at once: the last chunk has two and is filled up.
    monkeypatch.setattr(batch, "CPU_BYTES", 7 * 8 * 96**2)
    many = np.concatenate([resampled, resampled[::-1], resampled[10:30]])
    chunked = refitted(posed, sf.Objective(), weight=many)
    monkeypatch.undo()
    whole = refitted(posed, sf.Objective(), weight=resampled)
    order = np.r_[0:40, 39:-1:-1, 10:30]
    for found, expected in zip(chunked, whole, strict=True):
        np.testing.assert_allclose(found, expected[order], rtol=1e-10, atol=1e-12, equal_nan=False)


def test_memory_does_not_grow_with_the_number_of_replicates(pose, runs, monkeypatch):
    sizes = {}
    call = programs.Program.__call__

    def note(program, problem, data, *arrays):
        # The losses are one array for all of them.
        assert data.response.shape == (128,)
        sizes.setdefault(program, []).append(len(data.weight))
        return call(program, problem, data, *arrays)

    monkeypatch.setattr(programs.Program, "__call__", note)
    found = refitted(pose(runs), sf.Objective(), weight=np.ones((301, 75)))
    assert len(found.value) == 301
    assert max(sizes[batch._rank]) * 8 * 96**2 <= batch.CPU_BYTES
    # Of one size, so that one program is compiled.
    assert len(sizes) == 3 and all(len(set(each)) == 1 < len(each) for each in sizes.values())


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_replicate_has_its_own_losses_weights_and_metric(
    pose, runs, redrawn, resampled, residual, weighted
):
    """What goes into the compiled program, without compiling it."""
    own = np.where(np.arange(75) % 9 == 8, 0.0, 1.0)
    posed = pose(runs, residual=residual, weight=own)
    given = resampled if weighted else None
    data = batch._packed(sf.Objective(residual), posed.data, redrawn, given, 75)
    weight = resampled if weighted else np.tile(own, (REPLICATES, 1))
    metric = weight if residual == "raw" else weight / redrawn**2
    np.testing.assert_allclose(data.response[:, :75] * posed.data.unit, redrawn, rtol=1e-14)
    np.testing.assert_array_equal(data.weight[:, :75], weight)
    np.testing.assert_allclose(
        data.metric[:, :75], metric / metric.sum(axis=1, keepdims=True), rtol=1e-13
    )
    assert not data.weight[:, 75:].any() and not data.metric[:, 75:].any()
    assert (data.response[:, 75:] == data.response[:, :1]).all()


@pytest.mark.parametrize(("residual", "robust"), OBJECTIVES)
def test_a_replicate_without_a_fit_says_so_and_leaves_the_others_alone(
    pose, runs, resampled, residual, robust
):
    objective = sf.Objective(residual, robust)
    posed = pose(runs, residual=residual, robust=robust)
    wrong = resampled.copy()
    wrong[3] = 0.0
    wrong[5, 7] = np.nan
    with np.errstate(invalid="ignore"):
        found = refitted(posed, objective, weight=wrong)
    good = refitted(posed, objective, weight=resampled)
    arrived = (found.promise < 1e-9) & (found.stationary < 1e-8)
    assert np.flatnonzero(~arrived).tolist() == [3, 5]
    others = np.delete(np.arange(REPLICATES), [3, 5])
    np.testing.assert_array_equal(found.coefficients[others], good.coefficients[others])


def test_a_replicate_on_two_runs_passes_through_them(pose, runs, resampled):
    posed = pose(runs, residual="raw", robust="none")
    few = resampled.copy()
    few[0] = np.isin(np.arange(75), [0, 20])
    found = refitted(posed, sf.Objective("raw", "none"), weight=few)
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
    with pytest.raises(sf.DataError, match=r"shape \(replicates, 75\)"):
        refitted(pose(runs), sf.Objective(), **replicates)
