"""The grid against least squares solved cell by cell on the columns themselves."""

from itertools import product
from typing import Annotated, Any

import jax
import numpy as np
import pytest
from example_laws import joint
from scipy.optimize import lsq_linear, nnls

import scalefit as sf
from scalefit.fitting import active_sets, grid, ranking
from scalefit.fitting.model import Model

FREE = (-np.inf, np.inf)
POSITIVE = (0.0, np.inf)


@sf.law(source="a test")
def floored(N: Any, D: Any, *, A: sf.laws.Amplitude, B: sf.laws.Amplitude, alpha: sf.laws.Exponent):
    """1.2 + (D / 1e9)^-alpha / 9 + A N^-alpha + B D^-1/3, with no constant and a remainder."""
    return 1.2 + (D / 1e9) ** -alpha / 9 + A * N**-alpha + B * D ** (-1 / 3)


@sf.law(source="a test")
def below(
    N: Any,
    *,
    E: Annotated[sf.laws.Coefficient, sf.laws.Bounds(-2.0, 1.0)],
    A: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
):
    """A N^-alpha - 2 E, whose constant term is not one."""
    return A * N**-alpha - 2 * E


def chinchilla(N, D, a, b):
    return [np.ones_like(N), N**-a, D**-b], 0.0


# What is posed, the columns and known part of a cell in numpy, and the bounds of its coefficients.
CASES = {
    "chinchilla": ({}, chinchilla, [POSITIVE] * 3),
    "raw": ({"residual": "raw"}, chinchilla, [POSITIVE] * 3),
    "relative": ({"residual": "relative", "robust": "none"}, chinchilla, [POSITIVE] * 3),
    "weighted": ({"weight": np.arange(75) % 4}, chinchilla, [POSITIVE] * 3),
    "builtin tied": (
        {"law": "chinchilla_tied"},
        lambda N, D, a: chinchilla(N, D, a, a),
        [POSITIVE] * 3,
    ),
    "tied": (
        {"tied": [("alpha", "beta")]},
        lambda N, D, a: chinchilla(N, D, a, a),
        [POSITIVE] * 3,
    ),
    "tied amplitudes": (
        {"tied": [("A", "B")]},
        lambda N, D, a, b: ([np.ones_like(N), N**-a + D**-b], 0.0),
        [POSITIVE] * 2,
    ),
    "fixed E": (
        {"fixed": {"E": 1.8}},
        lambda N, D, a, b: ([N**-a, D**-b], 1.8),
        [POSITIVE] * 2,
    ),
    "E fixed at zero": (
        {"fixed": {"E": 0.0}},
        lambda N, D, a, b: ([N**-a, D**-b], 0.0),
        [POSITIVE] * 2,
    ),
    "fixed A": (
        {"fixed": {"A": 350.0}},
        lambda N, D, a, b: ([np.ones_like(N), D**-b], 350 * N**-a),
        [POSITIVE] * 2,
    ),
    "A fixed at zero": (
        {"fixed": {"A": 0.0, "alpha": 0.3}},
        lambda N, D, b: ([np.ones_like(N), D**-b], 0.0),
        [POSITIVE] * 2,
    ),
    "fixed exponent": (
        {"fixed": {"alpha": 0.3}},
        lambda N, D, b: ([np.ones_like(N), N**-0.3, D**-b], 0.0),
        [POSITIVE] * 3,
    ),
    "bounded E": (
        {"bounds": {"E": (1.75, 1.9)}},
        chinchilla,
        [(1.75, 1.9), POSITIVE, POSITIVE],
    ),
    "E bounded above": (
        {"bounds": {"E": (-np.inf, 1.5)}},
        chinchilla,
        [(-np.inf, 1.5), POSITIVE, POSITIVE],
    ),
    "bounded amplitudes": (
        {"bounds": {"A": (100.0, 500.0), "B": (-np.inf, 900.0)}, "residual": "raw"},
        chinchilla,
        [POSITIVE, (100.0, 500.0), (-np.inf, 900.0)],
    ),
    "bounded tied amplitudes": (
        {"bounds": {"A": (100.0, 600.0), "B": (300.0, 900.0)}, "tied": [("A", "B")]},
        lambda N, D, a, b: ([np.ones_like(N), N**-a + D**-b], 0.0),
        [POSITIVE, (300.0, 600.0)],
    ),
    "everything bounded, A fixed": (
        {"fixed": {"A": 350.0}, "bounds": {"E": (1.0, 2.0), "B": (200.0, 500.0)}},
        lambda N, D, a, b: ([np.ones_like(N), D**-b], 350 * N**-a),
        [(1.0, 2.0), (200.0, 500.0)],
    ),
    "column seeing both": (
        {"law": joint},
        lambda N, D, a, b: (
            [np.ones_like(N), N**-a, (N / 1e8) ** -a * (D / 1e10) ** -b],
            0.0,
        ),
        [POSITIVE, POSITIVE, FREE],
    ),
    "remainder": (
        {"law": floored},
        lambda N, D, a: ([N**-a, D ** (-1 / 3)], 1.2 + (D / 1e9) ** -a / 9),
        [POSITIVE] * 2,
    ),
    "constant that is not one": (
        {"law": below},
        lambda N, a: ([np.full_like(N, -2.0), N**-a], 0.0),
        [(-2.0, 1.0), POSITIVE],
    ),
}


def bounded_least_squares(columns, target, limits):
    """Smallest squared error and its coefficients, by scipy; columns of unit size go in."""
    sizes = np.linalg.norm(columns, axis=0)
    lower, upper = np.array(limits).T * sizes
    if not lower.any() and np.isinf(upper).all():
        scaled, norm = nnls(columns / sizes, target)
        return norm**2, scaled / sizes
    found = lsq_linear(columns / sizes, target, (lower, upper), method="bvls", tol=1e-15)
    assert found.success
    return 2 * found.cost, found.x / sizes


def direct(posed, terms, limits, coordinates):
    """Value relative to the squared loss, coefficients and condition number of one cell."""
    columns, known = terms(*posed.columns.values(), *coordinates)
    columns = np.stack(columns, axis=1)
    root = np.sqrt(posed.metric)
    weighted = columns * root[:, None]
    value, found = bounded_least_squares(weighted, (posed.observed - known) * root, limits)
    sizes = np.linalg.norm(weighted, axis=0)
    return value / posed.unit**2, found * sizes / posed.unit, np.linalg.cond(weighted / sizes)


@pytest.fixture(scope="module", params=CASES)
def solved(request, pose, runs):
    """Cells of a coarse grid as the package and as scipy solve them."""
    options, terms, limits = CASES[request.param]
    posed = pose(runs, **options)
    axes = posed.axes(16)
    value, found = posed.project(axes)
    cells = list(product(*axes))
    exponents = [
        [np.exp(x) if log else x for x, log in zip(cell, posed.problem.logarithmic, strict=True)]
        for cell in cells
    ]
    expected = [direct(posed, terms, limits, cell) for cell in exponents]
    return value, found, expected


def test_every_cell_has_the_value_of_bounded_least_squares(solved):
    value, _, expected = solved
    np.testing.assert_allclose(value.ravel(), [item[0] for item in expected], rtol=1e-12, atol=1e-9)


def test_cells_have_the_coefficients_of_bounded_least_squares(solved):
    _, found, expected = solved
    found = np.stack([item.ravel() for item in found], axis=1)
    # Normal equations square the condition of the columns.
    error = np.array([1e-14 * item[2] ** 2 for item in expected])
    told = error < 1e-3
    assert told.sum() >= 8
    difference = np.abs(found - np.stack([item[1] for item in expected])).max(axis=1)
    assert np.all(difference[told] <= error[told])


# Groups: coefficients of each level of a column


@sf.law(source="a test")
def known_part(
    N: Any, D: Any, *, A: sf.laws.Coefficient, F: sf.laws.Amplitude, alpha: sf.laws.Exponent
):
    """1.2 + (D / 1e9)^-alpha / 9 + A N^-alpha + F D^-1/3, with no constant and a remainder."""
    return 1.2 + (D / 1e9) ** -alpha / 9 + A * N**-alpha + F * D ** (-1 / 3)


def by(column, levels, term):
    """Columns of one term, one for each level."""
    return [np.where(column == level, term, 0.0) for level in levels]


FORMATS, CORPORA = ("a", "b", "c", "d"), ("x", "y")


def formats(N, D):
    index = np.arange(len(N))
    return np.array(FORMATS)[index % 4], np.array(CORPORA)[index * 7 // 5 % 2]


def grouped_A(N, D, a, b):
    return [np.ones_like(N), *by(formats(N, D)[0], FORMATS, N**-a), D**-b], 0.0


def grouped_E(N, D, a, b):
    return [*by(formats(N, D)[0], FORMATS, np.ones_like(N)), N**-a, D**-b], 0.0


def grouped_EB(N, D, a, b):
    own = formats(N, D)[0]
    return [*by(own, FORMATS, np.ones_like(N)), N**-a, *by(own, FORMATS, D**-b)], 0.0


def grouped_crosswise(N, D, a, b):
    own, other = formats(N, D)
    return [np.ones_like(N), *by(own, FORMATS, N**-a), *by(other, CORPORA, D**-b)], 0.0


GROUPED = {
    "A": ({"groups": {"A": "format"}}, grouped_A, [POSITIVE] * 6),
    "A, raw": ({"groups": {"A": "format"}, "residual": "raw"}, grouped_A, [POSITIVE] * 6),
    "A, weighted": (
        {"groups": {"A": "format"}, "weight": np.arange(75) % 3},
        grouped_A,
        [POSITIVE] * 6,
    ),
    "E": ({"groups": {"E": "format"}}, grouped_E, [POSITIVE] * 6),
    "E and B": ({"groups": {"E": "format", "B": "format"}}, grouped_EB, [POSITIVE] * 9),
    "A and B by two columns": (
        {"groups": {"A": "format", "B": "corpus"}},
        grouped_crosswise,
        [POSITIVE] * 7,
    ),
    "A, E fixed": (
        {"groups": {"A": "format"}, "fixed": {"E": 1.6}},
        lambda *at: (grouped_A(*at)[0][1:], 1.6),
        [POSITIVE] * 5,
    ),
    "A bounded": (
        {"groups": {"A": "format"}, "bounds": {"A": (380.0, 420.0)}},
        grouped_A,
        [POSITIVE, *[(380.0, 420.0)] * 4, POSITIVE],
    ),
    "A, exponents tied": (
        {"groups": {"A": "format"}, "tied": [("alpha", "beta")]},
        lambda N, D, a: grouped_A(N, D, a, a),
        [POSITIVE] * 6,
    ),
    "remainder": (
        {"law": known_part, "groups": {"A": "format"}},
        lambda N, D, a: (
            [*by(formats(N, D)[0], FORMATS, N**-a), D ** (-1 / 3)],
            1.2 + (D / 1e9) ** -a / 9,
        ),
        [*[FREE] * 4, POSITIVE],
    ),
}


@pytest.mark.parametrize("case", GROUPED)
def test_cells_of_grouped_coefficients_have_the_value_of_bounded_least_squares(pose, runs, case):
    options, terms, limits = GROUPED[case]
    own, other = formats(runs["N"], runs["D"])
    labelled = runs.assign(format=own, corpus=other)
    posed = pose(labelled, **options)
    axes = posed.axes(16)
    value, found = posed.project(axes)
    value = value.ravel()
    found = np.stack([item.ravel() for item in found], axis=1)
    grouped = [posed.problem.divisions[owner] == 0 for owner in posed.problem.owners]
    clipped = 0
    for i, cell in enumerate(product(*axes)):
        expected, _, condition = direct(posed, terms, limits, np.exp(cell))
        columns, known = terms(*posed.columns.values(), *np.exp(cell))
        columns = np.stack(columns, axis=1)
        scales = np.sqrt(np.sum(posed.metric[:, None] * columns**2, axis=0)) / posed.unit
        # What is found is a point of the box, and has the value that is said.
        low, high = np.array(limits).T * scales
        assert np.all((found[i] >= low - 1e-12) & (found[i] <= high + 1e-12))
        at = columns @ (found[i] / scales)
        error = np.sum(posed.metric * (posed.observed - known - at) ** 2) / posed.unit**2
        assert value[i] == pytest.approx(error, rel=1e-9, abs=1e-9)
        assert value[i] >= expected * (1 - 1e-12) - 1e-9
        on_bound = (found[i] <= low + 1e-12) | (found[i] >= high - 1e-12)
        if on_bound[grouped].any():
            clipped += 1
        elif condition < 1e5:
            assert value[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    # The narrow bounds bind somewhere in every cell; E is zero where exponents are small.
    assert (clipped == len(value)) if case == "A bounded" else (clipped < 0.7 * len(value))


@pytest.mark.parametrize(
    "case",
    [
        "chinchilla",
        "bounded E",
        "E bounded above",
        "bounded amplitudes",
        "remainder",
        "everything bounded, A fixed",
        "A fixed at zero",
        "column seeing both",
    ],
)
def test_more_bounds_than_are_enumerated_give_a_point_of_the_box(pose, runs, monkeypatch, case):
    options, terms, limits = CASES[case]
    posed = pose(runs, **options)
    axes = posed.axes(16)
    monkeypatch.setattr(active_sets, "MOST_ACTIVE_SETS", 0)
    value, found = posed.project(axes)
    found = np.stack([item.ravel() for item in found], axis=1)
    best = np.array([direct(posed, terms, limits, np.exp(cell))[0] for cell in product(*axes)])
    low, high = np.array(limits).T
    for i, cell in enumerate(product(*axes)):
        columns, known = terms(*posed.columns.values(), *np.exp(cell))
        columns = np.stack(columns, axis=1)
        scales = np.sqrt(np.sum(posed.metric[:, None] * columns**2, axis=0)) / posed.unit
        coefficients = found[i] / scales
        assert np.all((coefficients >= low - 1e-9) & (coefficients <= high * (1 + 1e-9)))
        error = np.sum(posed.metric * (posed.observed - known - columns @ coefficients) ** 2)
        assert value.ravel()[i] == pytest.approx(error / posed.unit**2, rel=1e-7, abs=1e-9)
    assert (value.ravel() >= best * (1 - 1e-12) - 1e-9).all()
    # Nearly everywhere the best point, and so in the best cell.
    assert np.mean(value.ravel() <= best + 1e-7) > 0.8
    assert value.min() == pytest.approx(best.min(), rel=1e-4, abs=1e-7)


def test_term_explained_by_the_levels_is_left_out(pose, runs):
    # Each level has one D, so that B D^-beta and E are constants within each level.
    index = np.arange(75)
    labelled = runs.assign(D=10.0 ** (9 + index % 4), format=np.array(FORMATS)[index % 4])
    posed = pose(labelled, groups={"E": "format"})
    value, found = posed.project(posed.axes(16))
    assert np.isfinite(value).all()
    assert all(np.isfinite(item).all() for item in found)
    assert np.abs(np.stack(found)).max() < 1e3


# Axes


def test_axes_run_from_bound_to_bound_in_equal_steps(pose, runs):
    posed = pose(runs, bounds={"alpha": (0.1, 0.8)})
    alpha, beta = posed.axes(24)
    np.testing.assert_allclose(np.exp(alpha), np.geomspace(0.1, 0.8, 24), rtol=1e-14)
    np.testing.assert_allclose(np.exp(beta), np.geomspace(0.005, 5.0, 24), rtol=1e-14)


@pytest.mark.parametrize(("wanted", "given"), [(1, 8), (8, 8), (9, 16), (24, 24)])
def test_axes_hold_whole_tiles(pose, runs, wanted, given):
    assert [len(axis) for axis in pose(runs).axes(wanted)] == [given, given]


@pytest.mark.parametrize(("law", "points"), [("chinchilla", 96), ("chinchilla_n", 512)])
def test_axes_are_finer_where_there_are_fewer(pose, runs, law, points):
    assert {len(axis) for axis in pose(runs, law).axes(None)} == {points}


# Slabs


@pytest.mark.parametrize(
    "options",
    [{"fixed": {"B": 400.0}}, {"law": joint}, {"law": "chinchilla_n"}],
    ids=["known part shared", "column seeing both", "one axis"],
)
def test_slabs_give_the_tiles_of_the_whole(pose, runs, monkeypatch, options):
    posed = pose(runs, **options)
    axes = posed.axes(48)
    whole = posed.scan(axes)
    # Two tiles of the first axis at a time: three slabs.
    row = grid._row_size(posed.problem, posed.data, axes)
    bytes_ = 8 * 2 * grid.TILE[len(axes)] * row
    monkeypatch.setattr(grid, "NUMPY_SLAB_BYTES", bytes_)
    monkeypatch.setattr(grid, "SLAB_BYTES", bytes_)
    slabs = posed.scan(axes)

    def compiled(data):
        model = Model(posed.problem, data.columns, data.fixed, jax.numpy)
        return grid.scan(model, data, posed.settings, axes)

    with jax.enable_x64(True):
        traced = jax.jit(compiled).trace(posed.data._replace(measure=None))
        assert "length=3" in str(traced.jaxpr)
        device = traced.lower().compile()(posed.data._replace(measure=None))
    # And the tiles are those of the cells.
    value, _ = posed.project(axes)
    blocks = value.reshape([n for _ in axes for n in (6, 8)])
    expected = blocks.min(axis=tuple(range(1, 2 * len(axes), 2)))
    for found in (whole, slabs, device):
        assert found.value.shape == (6,) * len(axes)
        np.testing.assert_allclose(found.value, expected, rtol=1e-13, atol=1e-14)
    # Of each tile that is chosen, the best cell is, wherever that was found.
    given = posed.model, posed.data, posed.settings, axes
    for found in (whole, slabs, grid.Scan(np.asarray(device.value), None)):
        ranked = ranking.rank(*given, found, 4)
        chosen = value[tuple(ranked.cells.T)]
        np.testing.assert_allclose(chosen, ranked.value, rtol=1e-9, atol=1e-14)


# Starts


def local_minima(tiles):
    return np.argwhere(ranking._local_minima(tiles)).tolist()


def separated(tiles, starts):
    return ranking._separated(tiles, ranking._local_minima(tiles), starts).tolist()


def bowl(shape, *centres):
    """Squared distance to the nearest centre (position, depth), in one to three dimensions."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    bowls = [depth + 1e-2 * ((places - np.array(at)) ** 2).sum(-1) for at, depth in centres]
    return np.min(bowls, axis=0)


@pytest.mark.parametrize(
    ("shape", "centres"),
    [
        ((20,), [((4,), 0.1), ((15,), 0.2)]),
        ((12, 12), [((2, 3), 0.1), ((9, 8), 0.3), ((2, 10), 0.2)]),
        ((6, 6, 6), [((0, 0, 0), 0.1), ((5, 5, 5), 0.11)]),
        ((3, 3, 3, 3), [((2, 0, 1, 2), 0.1)]),
    ],
)
def test_local_minima_are_the_bottoms_of_bowls(shape, centres):
    assert local_minima(bowl(shape, *centres)) == sorted(list(at) for at, _ in centres)


def test_plateau_is_one_minimum():
    for shape in [(20,), (12, 12), (6, 6, 6)]:
        assert local_minima(np.full(shape, 1e-5)) == [[0] * len(shape)]
        assert local_minima(np.full(shape, 0.25)) == [[0] * len(shape)]


def test_flat_valley_is_one_minimum():
    along = np.abs(np.arange(12) - 5.0)
    assert local_minima(np.broadcast_to(along, (12, 12))) == [[0, 5]]
    assert local_minima(np.broadcast_to(along[:, None], (12, 12))) == [[5, 0]]


def test_cells_without_a_solution_are_no_minima():
    tiles = np.full((12, 12), np.inf)
    assert local_minima(tiles) == []
    tiles[3, 1] = 0.5
    assert local_minima(tiles) == [[3, 1]]


def test_starts_are_the_local_minima_best_first():
    tiles = bowl((12, 12), ((2, 3), 0.3), ((9, 8), 0.1), ((2, 10), 0.2))
    assert separated(tiles, 3) == [[9, 8], [2, 10], [2, 3]]


def test_local_minima_come_before_better_cells_that_are_none():
    tiles = bowl((12, 12), ((2, 3), 0.1), ((9, 8), 0.3))
    picked = separated(tiles, 3)
    assert picked[:2] == [[2, 3], [9, 8]]
    assert tiles[tuple(picked[2])] < tiles[9, 8]


@pytest.mark.parametrize(("shape", "reach"), [((64,), 6), ((12, 12), 1), ((30, 20), (3, 2))])
def test_starts_that_are_no_basin_are_a_tenth_of_the_grid_from_every_earlier_one(shape, reach):
    tiles = bowl(shape, ((1,) * len(shape), 0.1))
    picked = np.array(separated(tiles, 4))
    apart = np.abs(picked[:, None] - picked[None]) > reach
    assert (apart.any(axis=-1) | np.eye(4, dtype=bool)).all()


def test_basins_close_to_each_other_get_a_start_each():
    tiles = bowl((64,), ((10,), 0.1), ((13,), 0.12), ((50,), 0.3))
    assert separated(tiles, 3) == [[10], [13], [50]]


def test_every_start_is_the_best_of_what_is_left():
    tiles = np.random.default_rng(1).uniform(size=(12, 12))
    order = np.where(np.isin(np.arange(144), [12 * i + j for i, j in local_minima(tiles)]), 0, 2)
    left = tiles + order.reshape(12, 12)
    for i, j in separated(tiles, 8):
        assert left[i, j] == left.min()
        left[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2] = np.inf


def test_no_more_starts_than_tiles():
    assert separated(np.array([0.3, 0.1]), 4)[0] == [1]
    assert len(separated(np.array([0.3, 0.1]), 4)) == 1
    assert len(separated(np.array([0.3, 0.1, 0.2, 0.5]), 4)) == 2


@pytest.fixture(scope="module")
def chinchilla_search(pose, runs):
    posed = pose(runs)
    axes = posed.axes(96)
    return posed, axes, posed.search(axes, 4)[1]


def test_search_starts_in_the_best_cell_of_the_grid(chinchilla_search):
    posed, axes, found = chinchilla_search
    value, _ = posed.project(axes)
    best = np.unravel_index(value.argmin(), value.shape)
    assert found.value[0] == pytest.approx(value.min(), rel=0, abs=1e-14)
    np.testing.assert_array_equal(found.coordinates[0], [axes[0][best[0]], axes[1][best[1]]])


def test_a_smooth_bowl_is_one_basin_with_starts_all_over_it(pose, runs):
    ranking, _ = pose(runs).search(pose(runs).axes(96), 4)
    assert ranking.basins == 1
    assert 4 < len(ranking.value) == len(np.unique(ranking.cells, axis=0))
    assert ranking.value[0] < 1e-3
    assert (np.diff(ranking.value) >= 0).all()


def test_search_gives_each_start_the_coefficients_of_scipy(chinchilla_search):
    posed, _, found = chinchilla_search
    for coordinates, coefficients, value in zip(
        found.coordinates, found.coefficients, found.value, strict=True
    ):
        expected = direct(posed, chinchilla, [POSITIVE] * 3, np.exp(coordinates))
        assert value == pytest.approx(expected[0], rel=0, abs=1e-14)
        scaled = posed.scaled(coordinates[None], coefficients[None])[0]
        np.testing.assert_allclose(scaled, expected[1], rtol=0, atol=1e-14 * expected[2] ** 2)


def test_search_starts_lie_tiles_apart_within_the_bounds(chinchilla_search):
    _, axes, found = chinchilla_search
    places = [np.searchsorted(axis, c) for axis, c in zip(axes, found.coordinates.T, strict=True)]
    tiles = np.stack(places, axis=1) // grid.TILE[2]
    apart = np.abs(tiles[:, None] - tiles[None]).max(axis=-1)
    assert (apart + 2 * np.eye(4) > 1).all()


def test_values_of_the_starts_are_those_of_their_tiles(chinchilla_search):
    posed, axes, found = chinchilla_search
    value, _ = posed.project(axes)
    for coordinates, actual in zip(found.coordinates, found.value, strict=True):
        i, j = (np.searchsorted(a, c) // 8 * 8 for a, c in zip(axes, coordinates, strict=True))
        assert actual == pytest.approx(value[i : i + 8, j : j + 8].min(), rel=0, abs=1e-14)


def test_exponent_of_a_term_that_is_not_there_is_a_plateau_that_counts_once(pose):
    # The loss rises with N, so that A is zero in every good cell and alpha does nothing.
    runs = sf.simulation.isoflop_design()
    runs["loss"] = 2 + 400 * runs["D"] ** -0.3 + 0.02 * np.log(runs["N"])
    posed = pose(runs, residual="raw", bounds={"beta": (0.1, 1.0)})
    axes = posed.axes(48)
    ranking, _ = posed.search(axes, 4)
    value, (_, A, _) = posed.project(axes)
    best = value.argmin(axis=1)
    assert np.ptp(best) == 0
    assert np.ptp(value[:, best[0]]) == 0
    assert not A[:, best[0]].any()
    assert ranking.basins == 1


@sf.law(source="a test")
def two_valleys(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    t: Annotated[sf.laws.Coefficient, sf.laws.Bounds(-1.0, 1.0)],
):
    """E + A N^-(t^2 + 0.01) + B D^-((t - 0.1)^2 + 0.01): like exponents at t and near -t."""
    return E + A * N ** -(t**2 + 0.01) + B * D ** -((t - 0.1) ** 2 + 0.01)


@pytest.mark.parametrize("t", [0.55, -0.55])
def test_two_basins_get_a_start_each(pose, t):
    truth = {"E": 1.7, "A": 300.0, "B": 500.0, "t": t}
    runs = sf.simulate(sf.simulation.isoflop_design(), two_valleys, truth, noise=0.001)
    posed = pose(runs, two_valleys)
    ranking, found = posed.search(posed.axes(512), 4)
    assert ranking.basins == 2
    assert np.sign(found.coordinates[:2, 0]).tolist() == [np.sign(t), -np.sign(t)]
    assert found.coordinates[0, 0] == pytest.approx(t, abs=0.02)
    assert found.value[0] < found.value[1]


def test_search_without_nonlinear_coordinates_solves_the_one_cell(pose, runs):
    posed = pose(runs, fixed={"alpha": 0.34, "beta": 0.28})
    _, found = posed.search([], 4)
    columns = [np.ones(75), runs["N"] ** -0.34, runs["D"] ** -0.28]

    def terms(N, D):
        return columns, 0.0

    value, coefficients, _ = direct(posed, terms, [POSITIVE] * 3, ())
    assert found.coordinates.shape == (1, 0)
    assert found.value[0] == pytest.approx(value, rel=0, abs=1e-14)
    scaled = posed.scaled(np.zeros((1, 0)), found.coefficients)[0]
    np.testing.assert_allclose(scaled, coefficients, rtol=0, atol=1e-10)
