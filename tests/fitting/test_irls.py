"""The objective itself at cells, and starts that squares would not show."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

import scalefit as sf
from scalefit import objective as obj
from scalefit.fitting import grid, irls
from scalefit.fitting.dense_objective import Gram
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.ranking import rank_cells

OBJECTIVES = [
    {"residual": residual, "robust": robust}
    for residual in ("log", "relative", "raw")
    for robust in ("huber", "l1", "asymmetric", "none")
]


@pytest.fixture(scope="module")
def spoiled(runs):
    """A sweep in which the losses of the seven smallest models are twice what they should be."""
    frame = runs.copy()
    frame.loc[frame["N"].nsmallest(7).index, "loss"] *= 2
    return frame


@pytest.mark.parametrize("seed", range(20))
def test_bounded_least_squares_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    k, rows = int(rng.integers(1, 6)), 12
    columns, target = rng.normal(size=(30, k, rows)), rng.normal(size=(30, rows))
    lower = np.where(rng.random(k) < 0.7, rng.normal(size=k) - 0.3, -np.inf)
    upper = np.where(rng.random(k) < 0.3, np.maximum(lower, -1.0) + rng.random(k) + 0.1, np.inf)
    gram = columns @ np.swapaxes(columns, 1, 2)
    right = (columns @ target[:, :, None])[..., 0]
    ends = np.broadcast_to(lower, right.shape), np.broadcast_to(upper, right.shape)
    nothing = np.zeros(right.shape)
    found, held, at = irls._bounded(Gram(gram, np), right, ends, (nothing > 0, nothing), np)
    for i in range(30):
        best = lsq_linear(columns[i].T, target[i], (lower, upper), tol=1e-14).x
        np.testing.assert_allclose(found[i], best, atol=1e-6)
    np.testing.assert_array_equal(found[held], at[held])


@pytest.mark.parametrize("options", OBJECTIVES, ids=lambda o: f"{o['residual']}-{o['robust']}")
def test_reweighting_ends_at_the_best_coefficients(pose, spoiled, monkeypatch, options):
    """The best value of all coefficients at given exponents, by an optimiser of the plain sum."""
    monkeypatch.setattr(irls, "TURNS", 400)
    monkeypatch.setattr(irls, "ABSOLUTE_SHARE", 1e-6)
    objective = sf.objective.Objective(**options, delta=0.02)
    posed = pose(spoiled, **options, delta=0.02)
    exponents = np.array([[0.34, 0.28], [0.8, 0.1], [0.1, 0.9]])
    newton = scaled_objective(posed.problem, posed.data)
    found = irls.project(newton, posed.data, posed.settings, np.log(exponents))
    N, D, loss = (spoiled[name].to_numpy() for name in ("N", "D", "loss"))
    for (alpha, beta), coefficients, value in zip(
        exponents, found.coefficients, found.value, strict=True
    ):
        columns = np.stack([np.ones(len(N)), (N / 1e8) ** -alpha, (D / 1e10) ** -beta])
        start = coefficients / [1.0, 1e8**alpha, 1e10**beta]

        def total(p, columns=columns):
            return obj.evaluate(objective, loss, p @ columns, np.ones(len(N)))[0]

        here = total(start)
        assert value * posed.data.measure.factor == pytest.approx(here, rel=1e-9)
        best = here
        for _ in range(3):
            polished = minimize(
                total,
                start,
                method="Nelder-Mead",
                bounds=[(0, None)] * 3,
                options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-12, "fatol": 1e-15},
            )
            start, best = polished.x, min(best, polished.fun)
        assert here <= best * (1 + 2e-4)


def test_a_few_turns_are_far_better_than_squares(pose, spoiled):
    posed = pose(spoiled)
    newton = scaled_objective(posed.problem, posed.data)
    axes = grid.coarse_axes(posed.problem, posed.settings, len(spoiled))
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    few = irls.project(newton, posed.data, posed.settings, places).value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(irls, "TURNS", 1)
        squares = irls.project(newton, posed.data, posed.settings, places).value
        patch.setattr(irls, "TURNS", 100)
        best = irls.project(newton, posed.data, posed.settings, places).value
    assert (few <= squares).all()
    close = np.argsort(best)[:10]
    assert (few[close] <= 1.03 * best[close]).all()
    assert (squares[close] > 1.2 * best[close]).any()


@pytest.mark.parametrize("options", [{}, {"tied": [("alpha", "beta")]}, {"fixed": {"E": 1.5}}])
def test_groups_ties_and_fixed_values_are_projected_too(pose, runs, options):
    labelled = runs.assign(format=np.array(list("ab"))[np.arange(len(runs)) % 2])
    posed = pose(labelled, groups={"A": "format"}, **options)
    q = len(posed.problem.nonlinear)
    places = np.log(np.full((2, q), 0.3) + 0.1 * np.arange(2)[:, None])
    newton = scaled_objective(posed.problem, posed.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(irls, "TURNS", 1)
        found = irls.project(newton, posed.data, posed.settings, places)
    # The first turn is of squares, whose coefficients the grid knows exactly.
    expected = posed.solve(places)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-6)


def test_which_objectives_squares_rank():
    def squared(residual, robust):
        return irls.squared(obj.measure(sf.objective.Objective(residual, robust)))

    assert squared("raw", "none") and squared("relative", "none") and squared("log", "none")
    others = [("log", "huber"), ("raw", "huber"), ("relative", "l1"), ("raw", "asymmetric")]
    assert not any(squared(*each) for each in others)


def test_a_flat_coordinate_leaves_room_for_starts_along_the_other():
    """Where one coordinate hardly matters, cells that differ only in it are one start, not many."""
    first = np.array([5.0, 3.0, 1.0, 2.0, 4.0])
    values = first[:, None] + 1e-3 * np.arange(7)
    ranking = rank_cells(values)
    assert ranking.basins == 1
    # The minimum, and its neighbours on either side along each axis.
    assert ranking.cells[:4].tolist() == [[2, 0], [3, 0], [2, 1], [1, 0]]
    assert (np.diff(np.sort(np.ravel_multi_index(ranking.cells.T, values.shape))) > 0).all()
    np.testing.assert_array_equal(ranking.value, values[tuple(ranking.cells.T)])


def test_no_cell_without_a_value_is_a_start():
    values = np.full((6, 6), np.inf)
    assert len(rank_cells(values).cells) == 0
    values[2, 3] = 1.0
    assert rank_cells(values).cells.tolist() == [[2, 3]]


def test_an_optimum_that_squares_hide_is_found(spoiled):
    """Four starts by squares agree on 0.0039006 at alpha 0.866."""
    fit = sf.fit(spoiled)
    assert fit.objective_value == pytest.approx(0.0038976162858, rel=1e-9)
    assert fit.params["alpha"] == pytest.approx(0.7913, abs=1e-4)
    boxed = sf.fit(spoiled, bounds={"alpha": (0.7, 0.84)})
    assert fit.objective_value <= boxed.objective_value * (1 + 1e-12)


def test_the_report_says_what_was_looked_at(runs, spoiled):
    easy, squared = sf.fit(runs), sf.fit(runs, robust="none", residual="raw")
    cells = len(grid.coarse_axes(*_posed(runs), len(runs))[0]) ** 2
    assert (easy.diagnostics.cells, easy.diagnostics.cells_by_squares) == (cells, 0)
    assert f"{cells} cells by the objective itself; 1 local minimum" in " ".join(
        easy.diagnostics.summary().split()
    )
    assert (squared.diagnostics.cells, squared.diagnostics.cells_by_squares) == (96**2, 0)
    # Of logarithms squares are the objective to first order only.
    logarithmic = sf.fit(runs, robust="none")
    assert (logarithmic.diagnostics.cells, logarithmic.diagnostics.cells_by_squares) == (0, 96**2)
    assert "9,216 cells by squares" in " ".join(logarithmic.diagnostics.summary().split())
    # Where the first starts do not settle it, squares are looked at as well.
    held = sf.fit(runs, bounds={"alpha": (0.5, 1.0)})
    assert (held.diagnostics.cells, held.diagnostics.cells_by_squares) == (cells, 96**2)
    assert "and 9,216 cells by squares" in " ".join(held.diagnostics.summary().split())


def _posed(runs):
    from scalefit.fitting.prepared_fit import prepare_fit

    table = sf.LossTable.from_frame(runs)
    posed = prepare_fit(
        table,
        sf.laws.find("chinchilla"),
        sf.objective.Objective(),
        fixed={},
        bounds={},
        tied=(),
        groups={},
    )
    return posed.problem, posed.settings
