from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit import laws
from scalefit.laws import scale_of
from scalefit.problem.basis import term_of
from scalefit.problem.separability import Structure, structure

RNG = np.random.default_rng(0)
COLUMNS = {"N": 10 ** RNG.uniform(6, 10, 40), "D": 10 ** RNG.uniform(8, 12, 40)}


def law(function: Any) -> sf.Law:
    return sf.law(source="a test")(function)


# Laws of other shapes than Chinchilla's


@law
def interacting(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    F: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
    g: sf.laws.Exponent,
    h: sf.laws.Exponent,
) -> Any:
    return E + A * N**-alpha + B * D**-beta + F / (N**g * D**h)


@law
def known_floor(N: Any, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
    return 1.69 + A * N**-alpha


@law
def moving_floor(
    N: Any,
    *,
    A: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    gamma: sf.laws.Exponent,
    kappa: sf.laws.Exponent,
) -> Any:
    return N**-gamma + A * N**-alpha * jnp.log(N) ** -kappa


@law
def bilinear(
    N: Any,
    *,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    gamma: sf.laws.Exponent,
    alpha: sf.laws.Exponent,
) -> Any:
    return A * (1 + B * N**-gamma) * N**-alpha


@law
def outer_exponent(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    a: sf.laws.Exponent,
    b: sf.laws.Exponent,
    k: sf.laws.Exponent,
) -> Any:
    return E + (A * N**-a + B * D**-b) ** k


@law
def kaplan(
    N: Any,
    D: Any,
    *,
    Nc: Annotated[jax.Array, scale_of("N")],
    Dc: Annotated[jax.Array, scale_of("D")],
    aN: sf.laws.Exponent,
    aD: sf.laws.Exponent,
) -> Any:
    return ((Nc / N) ** (aN / aD) + Dc / D) ** aD


@law
def all_linear(
    N: Any, D: Any, *, E: sf.laws.Offset, c: sf.laws.Coefficient, d: sf.laws.Coefficient
) -> Any:
    return E - c * jnp.log(N) + d * jnp.log(D)


@law
def logarithmic(
    N: Any, *, E: sf.laws.Offset, logA: sf.laws.Coefficient, alpha: sf.laws.Exponent
) -> Any:
    return E + jnp.exp(logA) * N**-alpha


@law
def shared(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    share: sf.laws.Fraction,
    alpha: sf.laws.Exponent,
) -> Any:
    return E + A * (share * N**-alpha + (1 - share) * D**-alpha)


@law
def absolute(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
    return E + jnp.abs(A) * N**-alpha


@law
def clipped(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
    return E + jnp.maximum(A, 0.5) * N**-alpha


@law
def folded(
    N: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
) -> Any:
    return E + jnp.maximum(A * (N / 1e8) ** -alpha, B)


def Shape(*parts: Any, **named: Any) -> Structure:
    """A structure whose ``uses`` is left open; it has a test of its own."""
    return Structure(*parts, **named, uses=())


CASES: list[tuple[sf.Law, Structure]] = [
    (
        laws.chinchilla,
        Shape(("E", "A", "B"), ("alpha", "beta"), ((), ("alpha",), ("beta",)), "E", remainder=None),
    ),
    (
        laws.chinchilla_tied,
        Shape(("E", "A", "B"), ("alpha",), ((), ("alpha",), ("alpha",)), "E", None),
    ),
    (laws.chinchilla_n, Shape(("E", "A"), ("alpha",), ((), ("alpha",)), "E", None)),
    (laws.chinchilla_d, Shape(("E", "B"), ("beta",), ((), ("beta",)), "E", None)),
    (
        interacting,
        Shape(
            ("E", "A", "B", "F"),
            ("alpha", "beta", "g", "h"),
            ((), ("alpha",), ("beta",), ("g", "h")),
            "E",
            None,
        ),
    ),
    (known_floor, Shape(("A",), ("alpha",), (("alpha",),), None, ())),
    (
        moving_floor,
        Shape(
            ("A",), ("alpha", "gamma", "kappa"), (("alpha", "kappa"),), None, remainder=("gamma",)
        ),
    ),
    (bilinear, Shape(("A",), ("B", "gamma", "alpha"), (("B", "gamma", "alpha"),), None, None)),
    (
        outer_exponent,
        Shape(("E",), ("A", "B", "a", "b", "k"), ((),), "E", remainder=("A", "B", "a", "b", "k")),
    ),
    (kaplan, Shape((), ("Nc", "Dc", "aN", "aD"), (), None, ("Nc", "Dc", "aN", "aD"))),
    (all_linear, Shape(("E", "c", "d"), (), ((), (), ()), "E", None)),
    (logarithmic, Shape(("E",), ("logA", "alpha"), ((),), "E", ("logA", "alpha"))),
    (
        shared,
        Shape(("E", "A"), ("share", "alpha"), ((), ("share", "alpha")), "E", None),
    ),
    (absolute, Shape(("E",), ("A", "alpha"), ((),), "E", ("A", "alpha"))),
    (clipped, Shape(("E",), ("A", "alpha"), ((),), "E", ("A", "alpha"))),
    (folded, Shape(("E",), ("A", "B", "alpha"), ((),), "E", ("A", "B", "alpha"))),
]
NAMED = [pytest.param(law, expected, id=law.name) for law, expected in CASES]


def term(law: sf.Law, found: Structure, name: str | None) -> Any:
    """A term of a law as a function of rows and of nonlinear parameters by name."""
    plain = [False] * len(found.nonlinear)

    def of(rows: Any, theta: Any) -> Any:
        coordinates = [theta[other] for other in found.nonlinear]
        return term_of(law, found, name, plain)(*rows, *coordinates)

    return of


@pytest.mark.parametrize(("law", "expected"), NAMED)
def test_structure_of(law: sf.Law, expected: Structure) -> None:
    assert replace(structure(law, COLUMNS), uses=()) == expected


USES = [
    (laws.chinchilla, [(), ("N",), ("D",), ("N",), ("D",)]),
    (laws.chinchilla_tied, [(), ("N",), ("D",), ("N", "D")]),
    (laws.chinchilla_n, [(), ("N",), ("N",)]),
    (kaplan, [("N", "D")] * 4),
    (all_linear, [(), ("N",), ("D",)]),
]


@pytest.mark.parametrize(("law", "expected"), USES, ids=lambda item: getattr(item, "name", ""))
def test_columns_that_the_effect_of_each_parameter_depends_on(
    law: sf.Law, expected: list[tuple[str, ...]]
) -> None:
    assert list(structure(law, COLUMNS).uses) == expected


def plausible(law: sf.Law, rng: np.random.Generator) -> dict[str, float]:
    """Parameters drawn from the inside of their kinds."""
    found = {}
    for param in law.params:
        kind = param.kind
        if kind.name == "scale":
            assert kind.column is not None
            found[param.name] = float(rng.choice(COLUMNS[kind.column]))
        elif kind.name in ("exponent", "fraction"):
            found[param.name] = rng.uniform(0.1, 0.9)
        else:
            found[param.name] = rng.uniform(0.5, 4.0)
    return found


@pytest.mark.parametrize(("law", "expected"), NAMED)
def test_basis_and_remainder_recompose_the_law(law: sf.Law, expected: Structure) -> None:
    rng = np.random.default_rng(1)
    rows = [COLUMNS[name] for name in law.columns]
    for _ in range(5):
        params = plausible(law, rng)
        theta = {name: params[name] for name in expected.nonlinear}
        with jax.enable_x64(True):
            terms = [term(law, expected, None)(rows, theta)]
            terms += [params[n] * term(law, expected, n)(rows, theta) for n in expected.linear]
            together = sum(np.broadcast_to(np.asarray(term), rows[0].shape) for term in terms)
        size = sum(np.abs(np.asarray(term)) for term in terms)
        direct = law.evaluate(COLUMNS, params)
        assert np.all(np.abs(together - direct) <= 1e-13 * size)


@pytest.mark.parametrize(("law", "expected"), NAMED)
def test_terms_depend_on_what_they_see_and_on_nothing_else(
    law: sf.Law, expected: Structure
) -> None:
    rng = np.random.default_rng(2)
    rows = [COLUMNS[name] for name in law.columns]
    params = plausible(law, rng)
    theta = {name: params[name] for name in expected.nonlinear}
    terms = [term(law, expected, name) for name in expected.linear]
    seen = list(expected.depends_on)
    if expected.remainder is not None:
        terms.append(term(law, expected, None))
        seen.append(expected.remainder)
    for name in expected.nonlinear:
        moved = theta | {name: 1.1 * theta[name]}
        with jax.enable_x64(True):
            changed = [
                bool(np.any(np.asarray(one(rows, theta)) != np.asarray(one(rows, moved))))
                for one in terms
            ]
        assert changed == [name in names for names in seen]


@pytest.mark.parametrize(("law", "expected"), NAMED)
def test_remainder_is_none_only_where_it_vanishes(law: sf.Law, expected: Structure) -> None:
    rows = [COLUMNS[name] for name in law.columns]
    theta = plausible(law, np.random.default_rng(3))
    theta = {name: theta[name] for name in expected.nonlinear}
    with jax.enable_x64(True):
        value = np.asarray(term(law, expected, None)(rows, theta))
    assert (expected.remainder is None) == bool(np.all(value == 0))


def test_terms_of_chinchilla_are_its_powers() -> None:
    found = structure(laws.chinchilla, COLUMNS)
    theta = {"alpha": 0.37, "beta": 0.21}
    expected = {"E": np.ones(40), "A": COLUMNS["N"] ** -0.37, "B": COLUMNS["D"] ** -0.21}
    with jax.enable_x64(True):
        for name, column in expected.items():
            rows = term(laws.chinchilla, found, name)((COLUMNS["N"], COLUMNS["D"]), theta)
            np.testing.assert_allclose(np.broadcast_to(rows, 40), column, rtol=1e-14)


def test_order_of_parameters_decides_which_of_two_coupled_ones_is_linear() -> None:
    @law
    def reversed_bilinear(
        N: Any,
        *,
        B: sf.laws.Amplitude,
        A: sf.laws.Amplitude,
        gamma: sf.laws.Exponent,
        alpha: sf.laws.Exponent,
    ) -> Any:
        return A * (1 + B * N**-gamma) * N**-alpha

    found = structure(reversed_bilinear, COLUMNS)
    assert found.linear == ("B",)
    assert found.remainder == ("A", "alpha")


def test_fake_linear_parameter_does_not_drag_a_true_one_down() -> None:
    @law
    def fake_first(
        N: Any, *, A: sf.laws.Amplitude, E: sf.laws.Offset, alpha: sf.laws.Exponent
    ) -> Any:
        return jnp.abs(A) * N**-alpha + E

    assert structure(fake_first, COLUMNS).linear == ("E",)


def test_structure_is_the_same_on_other_rows_and_units() -> None:
    @law
    def fresh(
        N: Any, D: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return E + A * (N / D) ** -alpha

    tiny = {"N": np.array([0.5, 1e-3, 4.0]), "D": np.array([2.0, 3.0, 0.1])}
    expected = Shape(("E", "A"), ("alpha",), ((), ("alpha",)), "E", None)
    assert replace(structure(fresh, tiny), uses=()) == expected


def test_structure_does_not_depend_on_the_precision_flag() -> None:
    for flag in (False, True):

        @law
        def fresh(
            N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
        ) -> Any:
            return E + A * jnp.exp(-alpha * jnp.log(N))

        with jax.enable_x64(flag):
            assert structure(fresh, COLUMNS).linear == ("E", "A")


def test_structure_is_detected_once_per_law_and_forgotten_with_it() -> None:
    calls = 0

    def counted(N: Any, *, E: sf.laws.Offset) -> Any:
        nonlocal calls
        calls += 1
        return E + 0 * N

    fresh = law(counted)
    first = structure(fresh, COLUMNS)
    seen = calls
    assert seen > 0
    assert structure(fresh, COLUMNS) is first
    assert calls == seen
    alive = weakref.ref(fresh)
    del fresh
    gc.collect()
    assert alive() is None


@law
def switched(
    N: Any,
    kind: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    k: sf.laws.Fraction,
    alpha: sf.laws.Exponent,
) -> Any:
    """A term of one kind of rows is a nonlinear parameter alone, of the other a product with it."""
    return E + A * N**-alpha + jnp.where(kind > 0, A * k, k) * jnp.log(N)


def test_a_law_that_branches_on_a_column_has_the_structure_of_each_table() -> None:
    N = np.geomspace(1e6, 1e9, 12)
    one = {"N": N, "kind": np.ones(12)}
    both = {"N": N, "kind": np.resize([0.0, 1.0], 12)}
    product = Shape(("E", "A"), ("k", "alpha"), ((), ("k", "alpha")), "E", None)
    mixed = replace(product, remainder=("k",))
    for _ in range(2):
        assert replace(structure(switched, one), uses=()) == product
        assert replace(structure(switched, both), uses=()) == mixed


def test_a_parameter_that_only_another_table_determines_is_refused() -> None:
    @law
    def half(
        N: Any, kind: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return E + jnp.where(kind > 0, A * N**-alpha, 0.0)

    N = np.geomspace(1e6, 1e9, 12)
    assert structure(half, {"N": N, "kind": np.ones(12)}).linear == ("E", "A")
    with pytest.raises(sf.errors.LawError, match="law 'half' does not depend on parameter 'A'"):
        structure(half, {"N": N, "kind": np.zeros(12)})


def test_structures_of_two_tables_that_are_equal_are_one_object() -> None:
    other = {name: values[::2] for name, values in COLUMNS.items()}
    assert structure(laws.chinchilla, other) is structure(laws.chinchilla, COLUMNS)


def test_structure_of_a_law_that_is_no_list_of_operations() -> None:
    @law
    def looped(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
        return E + A * jax.lax.fori_loop(0, 2, lambda _, x: 0.5 * x, N) ** -alpha

    expected = Shape(("E", "A"), ("alpha",), ((), ("alpha",)), "E", None)
    assert replace(structure(looped, COLUMNS), uses=()) == expected


def test_a_law_whose_rows_depend_on_each_other_has_no_structure() -> None:
    @law
    def relative(
        N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return E + A * (N / jnp.mean(N)) ** -alpha

    with pytest.raises(sf.errors.LawError, match="when the other rows change"):
        structure(relative, COLUMNS)


# Constants


@pytest.mark.parametrize("factor", [3.0, -1.0])
def test_a_term_that_is_another_number_than_one_is_no_constant(factor: float) -> None:
    @law
    def multiplied(
        N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return factor * E + A * N**-alpha

    found = structure(multiplied, COLUMNS)
    assert found.linear == ("E", "A")
    assert found.constant is None


def test_a_term_that_varies_over_the_rows_is_no_constant() -> None:
    @law
    def slope(
        N: Any, *, c: sf.laws.Coefficient, A: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return c * jnp.log(N) + A * N**-alpha

    assert structure(slope, COLUMNS).constant is None


def test_a_term_that_sees_a_parameter_is_no_constant() -> None:
    @law
    def lifted(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, k: sf.laws.Exponent) -> Any:
        return E * 2**k + A * N**-k

    found = structure(lifted, COLUMNS)
    assert found.depends_on == (("k",), ("k",))
    assert found.constant is None


# Branches


def test_parameter_at_work_in_one_row_only_is_seen() -> None:
    @law
    def repeated(
        D: Any,
        U: Any,
        *,
        E: sf.laws.Offset,
        B: sf.laws.Amplitude,
        beta: sf.laws.Exponent,
        R: Annotated[sf.laws.Amplitude, sf.laws.Bounds(0.1, 100.0)],
    ) -> Any:
        epochs = jnp.maximum(D / U - 1, 0)
        return E + B * (U * (1 + epochs / (1 + epochs / R))) ** -beta

    U = np.geomspace(1e8, 1e11, 500)
    D = U.copy()
    D[100] *= 4
    found = replace(structure(repeated, {"D": D, "U": U}), uses=())
    assert found == Shape(("E", "B"), ("beta", "R"), ((), ("beta", "R")), "E", None)


def test_parameter_at_work_on_one_side_of_another_only_is_seen() -> None:
    @law
    def branching(
        N: Any,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
        k: sf.laws.Exponent,
    ) -> Any:
        return E + A * N**-alpha + jnp.maximum(k - alpha, 0) * jnp.log(N)

    found = structure(branching, COLUMNS)
    assert found.linear == ("E", "A")
    assert found.remainder == ("alpha", "k")


# Refusals


def test_product_of_two_amplitudes_is_refused_by_name() -> None:
    @law
    def product(
        N: Any, *, A: sf.laws.Amplitude, B: sf.laws.Amplitude, alpha: sf.laws.Exponent
    ) -> Any:
        return 1.69 + A * B * N**-alpha

    with pytest.raises(sf.errors.LawError, match="law 'product': parameters 'A' and 'B' change"):
        structure(product, COLUMNS)


def test_amplitude_and_scale_of_one_power_are_refused_by_name() -> None:
    @law
    def twice(
        N: Any,
        *,
        A: sf.laws.Amplitude,
        Nc: Annotated[jax.Array, scale_of("N")],
        alpha: sf.laws.Exponent,
    ) -> Any:
        return 1.69 + A * (Nc / N) ** alpha

    with pytest.raises(sf.errors.LawError, match="law 'twice': parameters 'A' and 'Nc' change"):
        structure(twice, COLUMNS)


def test_two_constants_are_refused_by_name() -> None:
    @law
    def doubled(
        N: Any, *, E: sf.laws.Offset, F: sf.laws.Offset, A: sf.laws.Amplitude, k: sf.laws.Exponent
    ) -> Any:
        return E + F + A * N**-k

    with pytest.raises(sf.errors.LawError, match=r"parameters 'E' and 'F' change .* Merge them"):
        structure(doubled, COLUMNS)


def test_parameter_that_does_nothing_is_refused() -> None:
    @law
    def idle(
        N: Any,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
        k: sf.laws.Exponent,
    ) -> Any:
        return E + A * N**-alpha

    with pytest.raises(sf.errors.LawError, match="law 'idle' does not depend on parameter 'k'"):
        structure(idle, COLUMNS)


def test_parameter_multiplied_by_zero_does_nothing() -> None:
    @law
    def zeroed(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude) -> Any:
        return E + 0 * A * N

    with pytest.raises(sf.errors.LawError, match="law 'zeroed' does not depend on parameter 'A'"):
        structure(zeroed, COLUMNS)


def test_law_that_is_not_finite_is_refused_with_an_example() -> None:
    @law
    def undefined(N: Any, *, E: sf.laws.Offset, k: sf.laws.Exponent) -> Any:
        return E + jnp.log(k - 10) * N**-k

    message = r"law 'undefined': (.|\n)*is nan at ordinary values, as N = .*, E = "
    with pytest.raises(sf.errors.LawError, match=message):
        structure(undefined, COLUMNS)


def test_law_whose_derivative_is_not_finite_is_refused() -> None:
    @law
    def kinked(N: Any, *, E: sf.laws.Offset, k: sf.laws.Fraction) -> Any:
        return E + jnp.sqrt(k - k) * N

    with pytest.raises(sf.errors.LawError, match="has no finite derivatives at ordinary values"):
        structure(kinked, COLUMNS)


def test_refused_law_is_refused_again() -> None:
    @law
    def idle(N: Any, *, E: sf.laws.Offset, k: sf.laws.Exponent) -> Any:
        return E + 0 * N

    for _ in range(2):
        with pytest.raises(sf.errors.LawError, match="does not depend on parameter 'k'"):
            structure(idle, COLUMNS)
