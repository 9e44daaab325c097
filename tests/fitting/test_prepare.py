"""What fixing, tying and bounding make of a law, and what fit() makes of them."""

import math
from decimal import Decimal
from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.grouping import Grouping
from scalefit.fitting.model import Model
from scalefit.inference.fitted_data import attach
from scalefit.inference.posterior_density import coordinates
from scalefit.laws import scale_of
from scalefit.problem.options import read_bounds, read_fixed, read_ties
from scalefit.problem.prepare import prepare
from scalefit.problem.separability import structure

RNG = np.random.default_rng(0)
COLUMNS = {"N": 10 ** RNG.uniform(6, 10, 20), "D": 10 ** RNG.uniform(8, 12, 20)}
EXPONENT = (math.log(0.005), math.log(5.0))


@sf.law(source="a test")
def rich(
    N: Any,
    D: Any,
    *,
    gamma: sf.laws.Exponent,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    c: sf.laws.Coefficient,
    share: sf.laws.Fraction,
    Dc: Annotated[jax.Array, scale_of("D")],
):
    """E + A N^-alpha + c (N^-share + D^-alpha) + (D / Dc)^-gamma"""
    return E + A * N**-alpha + c * (N**-share + D**-alpha) + (D / Dc) ** -gamma


@sf.law(source="a test")
def unbounded(N: Any, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent, k: sf.laws.Coefficient):
    """A (1 + k N^-1) N^-alpha, whose k is nonlinear and has no finite bounds."""
    return A * (1 + k / N) * N**-alpha


def prepared(law="chinchilla", fixed=None, bounds=None, tied=(), groups=None, columns=COLUMNS):
    law = sf.laws.find(law)
    found = structure(law, columns)
    given = {"fixed": fixed or {}, "bounds": bounds or {}, "tied": tied, "groups": groups or {}}
    return prepare(law, found, columns, **given)


# Groups


@pytest.mark.parametrize(
    ("law", "options", "linear", "nonlinear", "fixed"),
    [
        ("chinchilla", {}, ["E", "A", "B"], ["alpha", "beta"], ""),
        ("chinchilla", {"fixed": {"E": 1.7}}, ["A", "B"], ["alpha", "beta"], "E"),
        ("chinchilla", {"fixed": {"beta": 0.3, "A": 4.0}}, ["E", "B"], ["alpha"], "A beta"),
        ("chinchilla", {"tied": [("beta", "alpha")]}, ["E", "A", "B"], ["alpha beta"], ""),
        ("chinchilla", {"tied": [("A", "B")]}, ["E", "A B"], ["alpha", "beta"], ""),
        ("chinchilla", {"tied": [["B", "E", "A"]]}, ["E A B"], ["alpha", "beta"], ""),
        (
            "chinchilla",
            {"tied": [("A", "B"), ("alpha", "beta")], "fixed": {"E": 2.0}},
            ["A B"],
            ["alpha beta"],
            "E",
        ),
        (
            "chinchilla",
            {"fixed": {"alpha": 0.3, "beta": 0.3}},
            ["E", "A", "B"],
            [],
            "alpha beta",
        ),
        ("chinchilla", {"fixed": {"E": 1.0, "A": 1.0, "B": 1.0}}, [], ["alpha", "beta"], "E A B"),
        (rich, {}, ["E", "A", "c"], ["gamma", "alpha", "share", "Dc"], ""),
        (
            rich,
            {"tied": [("alpha", "gamma")], "fixed": {"share": 0.5}},
            ["E", "A", "c"],
            ["gamma alpha", "Dc"],
            "share",
        ),
    ],
)
def test_parameters_fall_into_groups_in_the_order_of_the_law(
    law, options, linear, nonlinear, fixed
):
    problem, settings = prepared(law, **options)
    assert problem.linear == tuple(tuple(group.split()) for group in linear)
    assert problem.nonlinear == tuple(tuple(group.split()) for group in nonlinear)
    assert problem.fixed == tuple(fixed.split())
    assert problem.size == len(linear) + len(nonlinear)
    assert settings.lower.shape == settings.upper.shape == (problem.size,)


@pytest.mark.parametrize(
    ("options", "index"),
    [
        ({}, 0),
        ({"fixed": {"A": 1.0}}, 0),
        ({"fixed": {"E": 1.0}}, None),
        ({"tied": [("E", "A")]}, None),
        ({"tied": [("A", "B")]}, 0),
    ],
)
def test_constant_is_the_offset_that_stands_alone(options, index):
    assert prepared(**options)[0].constant == index


def test_constant_is_found_wherever_it_stands_and_missed_where_there_is_none():
    assert prepared(rich)[0].constant == 0
    assert prepared(unbounded, bounds={"k": (0, 1)})[0].constant is None

    @sf.law(source="a test")
    def last(N: Any, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent, E: sf.laws.Offset):
        return E + A * N**-alpha

    assert prepared(last)[0].constant == 1


def test_same_options_make_equal_problems_with_other_numbers():
    first, _ = prepared(fixed={"E": 1.7}, bounds={"A": (1.0, 2.0)})
    second, _ = prepared(fixed={"E": 1.8}, bounds={"A": (3.0, 4.0)})
    assert first == second
    assert hash(first) == hash(second)


def test_other_groups_or_kinds_of_bounds_make_other_problems():
    problems = [
        prepared(**options)[0]
        for options in (
            {},
            {"fixed": {"E": 1.7}},
            {"tied": [("A", "B")]},
            {"bounds": {"A": (1.0, 2.0)}},
            {"bounds": {"A": (1.0, math.inf)}},
        )
    ]
    assert len(set(problems)) == 5


FORMATS = Grouping(("format",), ("bf16", "fp8", "int4"))
CORPORA = Grouping(("corpus",), ("web", "code"))


def test_grouped_parameter_has_a_coefficient_for_each_level():
    problem, settings = prepared(groups={"A": FORMATS, "B": CORPORA}, bounds={"A": (1.0, 9.0)})
    assert problem.linear == (("E",), ("A",), ("B",))
    assert problem.widths == (1, 3, 2)
    assert problem.owners == (0, 1, 1, 1, 2, 2)
    assert problem.divisions == (None, 0, 1)
    assert problem.size == len(problem.names) == len(settings.lower) == 8
    assert settings.lower[1:4].tolist() == [1.0] * 3
    assert settings.upper[4:6].tolist() == [math.inf] * 2
    names = ["E", "A[bf16]", "A[fp8]", "A[int4]", "B[web]", "B[code]", "alpha", "beta"]
    assert problem.names == tuple((name,) for name in names)
    assert problem.ordered == tuple(names)
    values = problem.parameters(range(6), np.log([0.3, 0.4]), [])
    assert values == pytest.approx(dict(zip(names, [*range(6), 0.3, 0.4], strict=True)))


def test_parameters_grouped_alike_are_of_one_division():
    problem, _ = prepared(groups={"E": FORMATS, "A": CORPORA, "B": FORMATS})
    assert problem.divisions == (0, 1, 0)
    assert problem.constant == 0


def test_names_of_levels_make_no_other_problem_and_their_number_does():
    first, _ = prepared(groups={"A": FORMATS})
    renamed, _ = prepared(groups={"A": Grouping(("kind",), ("x", "y", "z"))})
    fewer, _ = prepared(groups={"A": CORPORA})
    assert first == renamed and hash(first) == hash(renamed)
    assert renamed.names[1] == ("A[x]",)
    assert first != fewer
    assert first != prepared(groups={"B": FORMATS})[0]


# Bounds


def test_bounds_of_the_kinds_are_given_in_the_coordinate_of_the_search():
    problem, (lower, upper, _) = prepared(rich)
    low, high = COLUMNS["D"].min() / 1e6, COLUMNS["D"].max() * 1e6
    expected = [
        (0, math.inf),
        (0, math.inf),
        (-math.inf, math.inf),
        EXPONENT,
        EXPONENT,
        (0, 1),
        (math.log(low), math.log(high)),
    ]
    np.testing.assert_allclose(np.stack([lower, upper], axis=1), expected, rtol=1e-14)
    assert problem.logarithmic == (True, True, False, True)


@pytest.mark.parametrize(
    ("pair", "kinds"),
    [
        ((0, math.inf), ("zero", "none")),
        ((0.0, 2.0), ("zero", "finite")),
        ((1.0, 2.0), ("finite", "finite")),
        ((-1.0, 0.0), ("finite", "zero")),
        ((-math.inf, 0), ("none", "zero")),
        ((-math.inf, math.inf), ("none", "none")),
    ],
)
def test_kind_of_a_bound_is_none_zero_or_finite(pair, kinds):
    problem, settings = prepared(bounds={"A": pair})
    assert problem.limits == (("zero", "none"), kinds, ("zero", "none"))
    assert (settings.lower[1], settings.upper[1]) == pair


def test_given_bounds_replace_those_of_the_kind_even_where_wider():
    _, settings = prepared(bounds={"alpha": (0.001, 7.0), "E": (-1.0, 4.0)})
    assert settings.lower[0] == -1
    assert settings.upper[0] == 4
    assert settings.lower[3] == pytest.approx(math.log(0.001), rel=1e-15)
    assert settings.upper[3] == pytest.approx(math.log(7.0), rel=1e-15)


def test_tied_parameters_keep_the_bounds_they_share():
    _, settings = prepared(
        tied=[("alpha", "beta"), ("A", "B")],
        bounds={"alpha": (0.1, 0.5), "beta": (0.2, 0.9), "A": (5.0, 50.0), "B": (-1.0, 20.0)},
    )
    np.testing.assert_allclose(settings.lower, [0, 5, math.log(0.2)], rtol=1e-15)
    np.testing.assert_allclose(settings.upper, [math.inf, 20, math.log(0.5)], rtol=1e-15)


# Dependence


@pytest.mark.parametrize(
    ("law", "options", "seen", "known"),
    [
        ("chinchilla", {}, ((), (0,), (1,)), None),
        ("chinchilla", {"fixed": {"E": 1.0}}, ((0,), (1,)), ()),
        ("chinchilla", {"fixed": {"A": 1.0}}, ((), (1,)), (0,)),
        ("chinchilla", {"fixed": {"E": 1.0, "B": 1.0}}, ((0,),), (1,)),
        ("chinchilla", {"fixed": {"alpha": 1.0}}, ((), (), (0,)), None),
        ("chinchilla", {"fixed": {"A": 1.0, "alpha": 1.0}}, ((), (0,)), ()),
        ("chinchilla", {"tied": [("alpha", "beta")]}, ((), (0,), (0,)), None),
        ("chinchilla", {"tied": [("A", "B")]}, ((), (0, 1)), None),
        ("chinchilla", {"tied": [("A", "B"), ("alpha", "beta")]}, ((), (0,)), None),
        # gamma, alpha, share, Dc
        (rich, {}, ((), (1,), (1, 2)), (0, 3)),
        (rich, {"fixed": {"c": 1.0}}, ((), (1,)), (0, 1, 2, 3)),
        (rich, {"fixed": {"gamma": 1.0, "Dc": 1e9}}, ((), (0,), (0, 1)), ()),
        (rich, {"tied": [("alpha", "gamma")]}, ((), (0,), (0, 1)), (0, 2)),
    ],
)
def test_terms_depend_on_the_coordinates_that_are_left(law, options, seen, known):
    problem, _ = prepared(law, **options)
    assert problem.axes_seen == seen
    assert problem.axes_known == known


# Values


def test_columns_and_known_part_compose_the_law(pose):
    rng = np.random.default_rng(1)
    runs = sf.simulation.isoflop_design()
    runs["loss"] = rng.uniform(2, 4, len(runs))
    posed = pose(runs, rich, fixed={"A": 30.0, "share": 0.4}, tied=[("gamma", "alpha")])
    problem, data = posed.problem, posed.data
    a, Dc = 0.3, 1e11
    coordinates = [math.log(a), math.log(Dc)]
    model = Model(problem, data.columns, data.fixed)
    (one, column), known = model.values(np.array(coordinates))
    N, D = runs["N"], runs["D"]
    assert one == 1
    np.testing.assert_allclose(column, N**-0.4 + D**-a, rtol=1e-13)
    np.testing.assert_allclose(known, 30 * N**-a + (D / Dc) ** -a, rtol=1e-13)


def test_parameters_undo_groups_logarithms_and_fixing():
    problem, _ = prepared(
        rich, fixed={"share": 0.25, "c": -2.0}, tied=[("gamma", "alpha"), ("E", "A")]
    )
    fixed = [-2.0, 0.25]
    assert problem.fixed == ("c", "share")
    found = problem.parameters([1.5], [math.log(0.5), math.log(1e9)], fixed)
    assert list(found) == list(rich.names)
    assert found == {
        "gamma": pytest.approx(0.5, rel=1e-15),
        "E": 1.5,
        "A": 1.5,
        "alpha": pytest.approx(0.5, rel=1e-15),
        "c": -2.0,
        "share": 0.25,
        "Dc": pytest.approx(1e9, rel=1e-14),
    }


# Refusals


def test_a_law_that_declares_a_range_without_an_end_is_refused():
    with pytest.raises(
        sf.errors.LawError,
        match=r"parameter 'k' of 'unbounded' enters nonlinearly, .* not \(-inf, inf\). Pass",
    ):
        prepared(unbounded)
    assert prepared(unbounded, bounds={"k": (-1.0, 1.0)})[0].nonlinear == (("alpha",), ("k",))


def test_options_are_read_as_plain_numbers_and_names():
    assert read_fixed({"E": np.float32(1.5), "A": 3}) == {"E": 1.5, "A": 3.0}
    assert read_fixed({"E": np.array(1.5), "A": Decimal("0.5")}) == {"E": 1.5, "A": 0.5}
    assert read_bounds({"E": [np.int64(1), math.inf]}) == {"E": (1.0, math.inf)}
    for pair in (np.array([0.25, 2]), pd.Series([0.25, 2]), (Decimal("0.25"), 2)):
        assert read_bounds({"alpha": pair}) == {"alpha": (0.25, 2.0)}
    assert read_ties([["alpha", "beta"]]) == [("alpha", "beta")]
    assert read_ties(()) == []


def test_a_parameter_may_be_fixed_at_its_bound():
    assert prepared(fixed={"E": 0.0, "alpha": 5.0})[0].fixed == ("E", "alpha")


# Fits of what is left


OBJECTIVES = [
    {"residual": "log", "robust": "huber"},
    {"residual": "relative", "robust": "none"},
    {"residual": "raw", "robust": "huber"},
    {"residual": "raw", "robust": "none"},
]

# Options of fit, the prediction in what is left free (N in 1e8, D in 1e10), the parameters there,
# and where scipy starts.
LEFT = {
    "E fixed": (
        {"fixed": {"E": 1.75}},
        lambda N, D, A, B, a, b: 1.75 + A * N**-a + B * D**-b,
        lambda A, B, a, b: {"E": 1.75, "A": A * 1e8**a, "B": B * 1e10**b, "alpha": a, "beta": b},
        [0.78, 0.65, 0.34, 0.28],
    ),
    "E fixed at zero, alpha bounded": (
        {"fixed": {"E": 0}, "bounds": {"alpha": (0.2, 1.0)}},
        lambda N, D, A, B, a, b: A * N**-a + B * D**-b,
        lambda A, B, a, b: {"E": 0, "A": A * 1e8**a, "B": B * 1e10**b, "alpha": a, "beta": b},
        [0.7, 2.4, 0.35, 0.1],
    ),
    "A fixed": (
        {"fixed": {"A": 500.0}},
        lambda N, D, E, B, a, b: E + 500 * 1e8**-a * N**-a + B * D**-b,
        lambda E, B, a, b: {"E": E, "A": 500.0, "B": B * 1e10**b, "alpha": a, "beta": b},
        [1.7, 0.65, 0.35, 0.28],
    ),
    "alpha and B fixed": (
        {"fixed": {"alpha": 0.36, "B": 300.0}},
        lambda N, D, E, A, b: E + A * N**-0.36 + 300 * 1e10**-b * D**-b,
        lambda E, A, b: {"E": E, "A": A * 1e8**0.36, "B": 300.0, "alpha": 0.36, "beta": b},
        [1.7, 0.7, 0.27],
    ),
    "exponents tied": (
        {"tied": [("alpha", "beta")]},
        lambda N, D, E, A, B, a: E + A * N**-a + B * D**-a,
        lambda E, A, B, a: {"E": E, "A": A * 1e8**a, "B": B * 1e10**a, "alpha": a, "beta": a},
        [1.7, 0.8, 0.65, 0.31],
    ),
    "amplitudes tied, beta bounded": (
        {"tied": [("A", "B")], "bounds": {"beta": (0.1, 0.9)}},
        lambda N, D, E, A, a, b: E + A * (1e8**-a * N**-a + 1e10**-b * D**-b),
        lambda E, A, a, b: {"E": E, "A": A, "B": A, "alpha": a, "beta": b},
        [1.7, 400.0, 0.34, 0.28],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LEFT)
def test_fit_of_what_is_left_is_that_of_scipy(optimum, runs, case):
    options, predict, params, start = LEFT[case]
    N, D = runs["N"].to_numpy() / 1e8, runs["D"].to_numpy() / 1e10
    for words in OBJECTIVES:
        fit = sf.fit(runs, **options, **words)
        expected = optimum(lambda x: predict(N, D, *x), start, runs["loss"].to_numpy(), **words)
        assert fit.objective_value == pytest.approx(expected.value, rel=1e-11)
        assert dict(fit.params) == pytest.approx(params(*expected.point), rel=1e-6)
        assert fit.status is sf.Status.CONVERGED
        assert fit.diagnostics.at_bound == ()
        assert fit.n_free == len(start)


def test_fixed_and_tied_values_are_exact_and_kept_on_the_fit(runs):
    fixed = sf.fit(runs, fixed={"E": 1.75})
    assert fixed.params["E"] == 1.75
    assert fixed.fixed == {"E": 1.75}
    tied = sf.fit(runs, tied=[("beta", "alpha")])
    assert tied.params["alpha"] == tied.params["beta"]
    assert tied.tied == (("alpha", "beta"),)


@sf.law(source="a test")
def mixed_spacing(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: Annotated[jax.Array, sf.laws.Kind("exponent", 0.0, 2.0)],
):
    """E + A N^-alpha + B D^-beta, of which beta is not searched in its logarithm"""
    return E + A * N**-alpha + B * D**-beta


@pytest.mark.parametrize("robust", ["huber", "none"])
def test_ties_join_kinds_that_are_searched_differently(runs, robust):
    # Of squares a proof is attempted as well, and what it leaves open is around the optimum.
    fit = sf.fit(runs, mixed_spacing, tied=[("beta", "alpha")], robust=robust)
    same = sf.fit(runs, tied=[("alpha", "beta")], robust=robust)
    assert fit.params["beta"] == fit.params["alpha"]
    assert dict(fit.params) == pytest.approx(dict(same.params), rel=1e-9)
    assert fit.bounds == {}
    assert fit.certificate.attempted == (robust == "none")
    for low, high in fit.certificate.region.values():
        assert low <= fit.params["alpha"] <= high


def test_a_tie_with_a_linear_kind_first_has_the_same_posterior(runs):
    @sf.law(source="a test")
    def linear_first(
        N: Any,
        D: Any,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        alpha: Annotated[jax.Array, sf.laws.Kind("exponent", 0.005, 5.0)],
        beta: sf.laws.Exponent,
    ):
        """E + A N^-alpha + B D^-beta, of which alpha is not searched in its logarithm"""
        return E + A * N**-alpha + B * D**-beta

    found, expected = (
        coordinates(attach(sf.fit(runs, law, tied=[("alpha", "beta")]), runs))
        for law in (linear_first, "chinchilla")
    )
    assert found.raised.tolist() == expected.raised.tolist()
    np.testing.assert_allclose(found.lower, expected.lower)
    np.testing.assert_allclose(found.upper, expected.upper)


def test_bounds_around_the_optimum_leave_it_alone(runs):
    free = sf.fit(runs)
    near = {name: (0.9 * free.params[name], 1.1 * free.params[name]) for name in ("alpha", "beta")}
    boxed = sf.fit(runs, bounds=near)
    assert boxed.bounds == near
    assert boxed.objective_value == pytest.approx(free.objective_value, rel=1e-12)
    assert dict(boxed.params) == pytest.approx(dict(free.params), rel=1e-9)
