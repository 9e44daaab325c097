"""Searches of many nonlinear parameters: blocks of coordinates, scattered points, their optima."""

from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

import scalefit as sf
from scalefit.fitting import grid
from scalefit.fitting.model import Cells

N_SCALE = Annotated[jax.Array, sf.laws.scale_of("N")]
D_SCALE = Annotated[jax.Array, sf.laws.scale_of("D")]
Power = sf.laws.Exponent


@sf.law(source="Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5")
def kaplan(N: Any, D: Any, *, Nc: N_SCALE, Dc: D_SCALE, aN: Power, aD: Power):
    """((Nc / N)^(aN / aD) + Dc / D)^aD"""
    return ((Nc / N) ** (aN / aD) + Dc / D) ** aD


@sf.law(source="the same with a constant")
def kaplan_offset(
    N: Any, D: Any, *, E: sf.laws.Offset, Nc: N_SCALE, Dc: D_SCALE, aN: Power, aD: Power
):
    """E + ((Nc / N)^(aN / aD) + Dc / D)^aD"""
    return E + ((Nc / N) ** (aN / aD) + Dc / D) ** aD


@sf.law(source="a test")
def two_pairs(
    N: Any,
    D: Any,
    *,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    a: Power,
    s: N_SCALE,
    b: Power,
    t: D_SCALE,
):
    """A (1 + N / s)^-a + B (1 + D / t)^-b: two blocks of two."""
    return A * (1 + N / s) ** -a + B * (1 + D / t) ** -b


@sf.law(source="a test")
def chain(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    C: sf.laws.Amplitude,
    a: Power,
    b: Power,
    c: Power,
    z: Power,
):
    """E + A N^-a D^-b + B N^-b D^-c + C D^-z: a with b, b with c, and z alone."""
    return (
        E
        + A * (N / 1e8) ** -a * (D / 1e10) ** -b
        + B * (N / 1e8) ** -b * (D / 1e10) ** -c
        + C * (D / 1e10) ** -z
    )


@sf.law(source="a test")
def five(
    P: Any,
    Q: Any,
    R: Any,
    S: Any,
    T: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    C: sf.laws.Amplitude,
    F: sf.laws.Amplitude,
    G: sf.laws.Amplitude,
    a: Power,
    b: Power,
    c: Power,
    f: Power,
    g: Power,
):
    """E + A P^-a + B Q^-b + C R^-c + F S^-f + G T^-g"""
    return E + A * P**-a + B * Q**-b + C * R**-c + F * S**-f + G * T**-g


@sf.law(source="a test")
def six(
    P: Any,
    Q: Any,
    R: Any,
    *,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    C: sf.laws.Amplitude,
    a: Power,
    b: Power,
    c: Power,
    f: Power,
    g: Power,
    h: Power,
):
    """A P^-a Q^-f + B Q^-b R^-g + C R^-c P^-h: three blocks of two."""
    return A * P**-a * Q**-f + B * Q**-b * R**-g + C * R**-c * P**-h


TRUTH = {
    **{"E": 1.7, "A": 2.0, "B": 1.0, "C": 0.5, "F": 3.0, "G": 1.5},
    **{"a": 0.3, "b": 0.5, "c": 0.2, "f": 0.8, "g": 0.4},
}


@pytest.fixture(scope="module")
def wide():
    """60 runs of five columns, each over three decades."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(10 ** rng.uniform(0, 3, (60, 5)), columns=list("PQRST")).assign(loss=2.0)


# Blocks of coordinates


@pytest.mark.parametrize(
    ("law", "options", "linked", "scattered"),
    [
        ("chinchilla", {}, [(0,), (1,)], False),
        ("chinchilla", {"fixed": {"alpha": 0.3}}, [(0,)], False),
        (two_pairs, {}, [(0, 1), (2, 3)], False),
        (two_pairs, {"tied": [("a", "b")]}, [(0, 1, 2)], True),
        (chain, {}, [(0, 1, 2), (3,)], True),
        (chain, {"fixed": {"b": 0.3}}, [(0,), (1,), (2,)], False),
        (chain, {"fixed": {"A": 1.0}}, [(0, 1, 2), (3,)], True),
        (chain, {"fixed": {"A": 0.0, "a": 0.3}}, [(0, 1), (2,)], False),
        (kaplan, {}, [(0, 1, 2, 3)], True),
        (kaplan, {"fixed": {"aN": 0.1}}, [(0, 1, 2)], True),
        (kaplan, {"fixed": {"aN": 0.1, "aD": 0.1}}, [(0, 1)], False),
        (five, {}, [(0,), (1,), (2,), (3,), (4,)], True),
        (five, {"fixed": {"g": 0.5}}, [(0,), (1,), (2,), (3,)], False),
        (six, {}, [(0, 3), (1, 4), (2, 5)], True),
        (six, {"fixed": {"f": 0.5, "g": 0.5}}, [(0,), (1,), (2, 3)], False),
    ],
)
def test_coordinates_that_a_column_sees_together_are_linked(
    pose, runs, wide, law, options, linked, scattered
):
    table = wide if law in (five, six) else runs
    problem = pose(table, law, **options).problem
    assert problem.linked == tuple(linked)
    assert problem.scattered is scattered
    alone = tuple((i,) for i in range(len(problem.nonlinear)))
    assert problem.axes == (tuple(linked) if scattered else alone)


def test_columns_lie_across_the_axes_that_hold_their_coordinates(pose, runs):
    posed = pose(runs, chain)
    scattered = Cells(posed.axes(None), posed.problem.axes, True)
    assert scattered.across((0, 1)) == (0,)
    assert scattered.across((3,)) == (1,)
    assert scattered.across((2, 3)) == (0, 1)
    assert scattered.across(()) == ()
    posed = pose(runs, two_pairs)
    regular = Cells(posed.axes(None), posed.problem.axes, False)
    assert regular.across((2, 3)) == (2, 3)


def test_coordinates_come_back_in_the_order_of_the_law(pose, wide):
    problem = pose(wide, six).problem
    axes = [np.array([[first, 30.0 + first]]) for first in (0.0, 10.0, 20.0)]
    assert grid.points(problem, axes, np.zeros((1, 3), int)).tolist() == [[0, 10, 20, 30, 40, 50]]
    regular = pose(wide, five, fixed={"g": 0.5}).problem
    axes = [np.array([0.0, value]) for value in (1.0, 2.0, 3.0, 4.0)]
    assert grid.points(regular, axes, np.ones((1, 4), int)).tolist() == [[1, 2, 3, 4]]


# Scattered points


@pytest.mark.parametrize("law", [kaplan, chain, five, six], ids=lambda law: law.name)
def test_scattered_points_fill_the_box_of_their_block(pose, runs, wide, law):
    posed = pose(wide if law in (five, six) else runs, law)
    problem, first = posed.problem, len(posed.problem.owners)
    lower, upper = posed.settings.lower[first:], posed.settings.upper[first:]
    axes = grid.axes(problem, posed.settings)
    assert np.prod([len(axis) for axis in axes]) <= grid.SCATTERED_CELLS
    for axis, block in zip(axes, problem.axes, strict=True):
        places = list(block)
        assert axis.shape[1] == len(block)
        unit = (axis - lower[places]) / (upper - lower)[places]
        assert unit.min() >= 0 and unit.max() <= 1
        # A low-discrepancy set: every sixteenth of every coordinate has its share.
        for column in unit.T:
            share = np.histogram(column, 16, (0, 1))[0] / len(unit)
            np.testing.assert_allclose(share, 1 / 16, atol=1e-12)


def test_scattered_points_repeat_with_the_seed_and_differ_without(pose, wide):
    posed = pose(wide, five)
    one, same, other = (grid.axes(posed.problem, posed.settings, seed=s) for s in (7, 7, 8))
    for first, second, third in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.abs(first - third).max() > 0
    # Blocks of like size do not repeat each other.
    assert np.abs(one[0] - one[1]).max() > 0


def terms_of(law, columns, params):
    """The law's terms and its value with every amplitude zero, by evaluating the law itself."""
    linear = [name for name in law.names if name.isupper()]
    zeros = dict.fromkeys(linear, 0.0)
    base = law.evaluate(columns, {**params, **zeros})
    return [law.evaluate(columns, {**params, **zeros, name: 1.0}) - base for name in linear], base


@pytest.mark.parametrize("law", [chain, six], ids=lambda law: law.name)
def test_every_scattered_cell_has_the_value_of_least_squares(pose, runs, wide, law):
    rng = np.random.default_rng(3)
    table = runs if law is chain else wide.assign(loss=rng.uniform(1.5, 3.0, len(wide)))
    posed = pose(table, law)
    axes = [axis[:6] for axis in grid.axes(posed.problem, posed.settings)]
    value, _ = posed.project(axes)
    assert value.shape == (6,) * len(axes)
    root = np.sqrt(posed.metric)
    names = [group[0] for group in posed.problem.nonlinear]
    for cell in np.ndindex(*value.shape):
        held = [axis[i] for axis, i in zip(axes, cell, strict=True)]
        coordinates = np.zeros(len(names))
        for block, values in zip(posed.problem.axes, held, strict=True):
            coordinates[list(block)] = values
        terms, base = terms_of(
            law, posed.columns, dict(zip(names, np.exp(coordinates), strict=True))
        )
        weighted = np.stack(terms, axis=1) * root[:, None]
        weighted /= np.linalg.norm(weighted, axis=0)
        norm = nnls(weighted, (posed.observed - base) * root)[1]
        assert value[cell] == pytest.approx((norm / posed.unit) ** 2, rel=1e-10, abs=1e-9)


def test_the_ranking_takes_the_best_points_with_their_best_partners(pose, runs):
    posed = pose(runs, chain)
    axes = [axis[:64] for axis in grid.axes(posed.problem, posed.settings)]
    value, _ = posed.project(axes)
    ranking, candidates = posed.search(axes, 5)
    least = value.min(axis=1)
    np.testing.assert_allclose(ranking.value[:5], np.sort(least)[:5], rtol=1e-9)
    np.testing.assert_array_equal(ranking.cells[:5, 0], np.argsort(least)[:5])
    np.testing.assert_array_equal(ranking.cells[:5, 1], value[ranking.cells[:5, 0]].argmin(axis=1))
    for found, tile in zip(candidates.coordinates, ranking.cells, strict=False):
        np.testing.assert_array_equal(found, [*axes[0][tile[0]], *axes[1][tile[1]]])


# Optima


@pytest.fixture(scope="module")
def chinchilla_runs(data_folder):
    return sf.read(data_folder / "chinchilla_epoch.csv", keep="besiroglu_keep == 1")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("law", "half", "expected"),
    [
        (kaplan, 0.0303058, {"aN": 0.09607, "aD": 0.11413}),
        pytest.param(
            kaplan_offset,
            0.0187815,
            {"aN": 0.25981, "aD": 0.29113, "E": 1.61986},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["without offset", "with offset"],
)
def test_the_joint_law_of_kaplan_reaches_its_minimum(chinchilla_runs, law, half, expected, seed):
    fit = sf.fit(chinchilla_runs, law, robust="none", seed=seed)
    assert fit.nobs == 240
    assert fit.diagnostics.search == "scattered"
    assert fit.status is sf.Status.CONVERGED
    assert fit.objective_value / 2 == pytest.approx(half, rel=1e-5)
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, abs=1e-5)


@pytest.mark.slow
def test_five_exponents_are_recovered(wide):
    exact = sf.simulate(wide.drop(columns="loss"), five, TRUTH, noise=0.0)
    fit = sf.fit(exact, five)
    assert fit.status is sf.Status.EXACT
    assert fit.diagnostics.search == "scattered"
    assert (fit.diagnostics.cells, fit.diagnostics.cells_by_squares) == (0, 16**5)
    for name, value in TRUTH.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-9)


def test_the_seed_means_nothing_on_a_grid(runs):
    one, other = (sf.fit(runs, seed=seed) for seed in (0, 5))
    assert one.diagnostics.search == "grid"
    assert dict(one.params) == dict(other.params)


def test_report_names_scattered_points(chinchilla_runs):
    fit = sf.fit(chinchilla_runs, kaplan, robust="none")
    assert "at scattered points" in fit.diagnostics.summary()
    assert sf.Fit.from_json(fit.to_json(), law=kaplan).diagnostics.search == "scattered"


def test_a_law_of_one_long_column_moves_as_far_as_its_bounds(pose, runs):
    """A scale's bounds follow the table, and the points with them."""
    posed = pose(runs, kaplan)
    (axis,) = grid.axes(posed.problem, posed.settings)
    low, high = np.log(runs["N"].min() / 1e6), np.log(runs["N"].max() * 1e6)
    assert axis[:, 0].min() == pytest.approx(low, abs=0.05)
    assert axis[:, 0].max() == pytest.approx(high, abs=0.05)
    assert axis.shape == (4096, 4)
