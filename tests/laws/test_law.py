from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit import laws
from scalefit.errors import ArgumentError, LawError
from scalefit.laws import Kind, Param, scale_of

COUNTS = np.array([1.0, 16.0, 81.0])
TOKENS = np.array([4.0, 9.0, 100.0])


@sf.law(source="a test", response="accuracy")
def everything(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    c: sf.laws.Coefficient,
    alpha: sf.laws.Exponent,
    share: sf.laws.Fraction,
    Nc: Annotated[jax.Array, scale_of("N")],
) -> Any:
    """E + A (N / Nc)^-alpha + c share ln D

    More text.
    """
    return E + A * (N / Nc) ** -alpha + c * share * jnp.log(D)


@sf.law(source="a test")
def narrowed(
    N: Any,
    *,
    E: Annotated[sf.laws.Offset, sf.laws.Bounds(-1.0, 2.0)],
    alpha: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.1, 1.0)],
    Nc: Annotated[jax.Array, scale_of("N"), sf.laws.Bounds(1e3, 1e4)],
) -> Any:
    return E + (N / Nc) ** -alpha


# Reading the signature


def test_positional_arguments_are_columns_in_order() -> None:
    assert everything.columns == ("N", "D")


def test_positional_only_arguments_are_columns_too() -> None:
    @sf.law(source="a test")
    def slashed(D: Any, N: Any, /, *, E: sf.laws.Offset) -> Any:
        return E + 0 * N * D

    assert slashed.columns == ("D", "N")


def test_keyword_only_arguments_are_parameters_in_order() -> None:
    assert everything.names == ("E", "A", "c", "alpha", "share", "Nc")
    assert [param.name for param in everything.params] == list(everything.names)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("E", Kind("offset", 0.0, math.inf)),
        ("A", Kind("amplitude", 0.0, math.inf)),
        ("c", Kind("coefficient", -math.inf, math.inf)),
        ("alpha", Kind("exponent", 0.005, 5.0, spacing="log")),
        ("share", Kind("fraction", 0.0, 1.0)),
        ("Nc", Kind("scale", 1e-6, 1e6, spacing="log", column="N")),
    ],
)
def test_annotation_gives_the_kind(name: str, kind: Kind) -> None:
    (param,) = (param for param in everything.params if param.name == name)
    assert param.kind == kind


def test_bounds_narrow_a_kind_and_keep_the_rest_of_it() -> None:
    E, alpha, _ = narrowed.params
    assert E.kind == Kind("offset", -1.0, 2.0)
    assert alpha.kind == Kind("exponent", 0.1, 1.0, spacing="log")


def test_last_of_several_bounds_wins() -> None:
    @sf.law(source="a test")
    def closer(
        N: Any,
        *,
        alpha: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.1, 1.0), sf.laws.Bounds(0.2, 0.3)],
    ) -> Any:
        return N**-alpha

    assert (closer.params[0].kind.lower, closer.params[0].kind.upper) == (0.2, 0.3)


def test_kinds_can_be_given_as_plain_annotations_without_postponed_evaluation() -> None:
    def plain(N: Any, *, alpha: Any) -> Any:
        return N**-alpha

    plain.__annotations__["alpha"] = sf.laws.Exponent
    assert sf.law(source="a test")(plain).params[0].kind.name == "exponent"


def test_kinds_with_two_finite_bounds_are_searchable() -> None:
    found = [param.name for param in everything.params if param.kind.searchable]
    assert found == ["alpha", "share", "Nc"]


# Bounds on a table


def test_bounds_of_a_plain_kind_ignore_the_table() -> None:
    assert everything.params[3].bounds({}) == (0.005, 5.0)


def test_bounds_of_a_scale_follow_its_column() -> None:
    low, high = everything.params[5].bounds({"N": np.array([4e6, 2e6, 8e6])})
    assert low == pytest.approx(2.0, rel=1e-15)
    assert high == pytest.approx(8e12, rel=1e-15)


def test_explicit_bounds_of_a_scale_are_absolute() -> None:
    assert narrowed.params[2].bounds({"N": np.array([-1.0])}) == (1e3, 1e4)


@pytest.mark.parametrize("worst", [0.0, -2.5])
def test_scale_of_a_column_that_is_not_positive_is_refused(worst: float) -> None:
    param = Param("Nc", scale_of("N"))
    message = f"parameter 'Nc' is a scale of column 'N', whose smallest value is {worst:g}"
    with pytest.raises(sf.errors.DataError, match=message) as caught:
        param.bounds({"N": np.array([3.0, worst])})
    assert caught.value.column == "N"
    assert "shift the column" in caught.value.remedy


# Descriptions


def test_source_response_and_name_are_kept() -> None:
    assert (everything.source, everything.response, everything.name) == (
        "a test",
        "accuracy",
        "everything",
    )
    assert narrowed.response == "loss"


def test_formula_is_the_first_line_of_the_docstring() -> None:
    assert everything.formula == "E + A (N / Nc)^-alpha + c share ln D"


def test_formula_falls_back_to_the_name() -> None:
    assert narrowed.formula == "narrowed"


def test_docstring_is_that_of_the_function() -> None:
    assert everything.__doc__ == "E + A (N / Nc)^-alpha + c share ln D\n\nMore text."
    assert narrowed.__doc__ is None


def test_repr_shows_signature_and_formula() -> None:
    assert repr(everything) == (
        "<law everything(N, D, *, E, A, c, alpha, share, Nc): E + A (N / Nc)^-alpha + c share ln D>"
    )
    assert repr(narrowed) == "<law narrowed(N, *, E, alpha, Nc): narrowed>"


def test_laws_are_frozen_and_equal_only_to_themselves() -> None:
    again = sf.law(source="a test")(narrowed.function)
    assert again != narrowed
    assert len({again, narrowed, narrowed}) == 2
    with pytest.raises(AttributeError):
        again.name = "other"  # type: ignore[misc]


# Refusals


def variadic_columns(*N: Any, alpha: sf.laws.Exponent) -> Any: ...
def variadic_params(N: Any, *, alpha: sf.laws.Exponent, **rest: Any) -> Any: ...
def without_columns(*, alpha: sf.laws.Exponent) -> Any: ...
def without_params(N: Any, alpha: sf.laws.Exponent) -> Any: ...
def unannotated(N: Any, *, alpha) -> Any: ...  # type: ignore[no-untyped-def]
def not_a_kind(N: Any, *, alpha: float) -> Any: ...
def two_kinds(N: Any, *, alpha: Annotated[jax.Array, scale_of("N"), scale_of("D")]) -> Any: ...
def wrong_column(N: Any, D: Any, *, c: Annotated[jax.Array, scale_of("M")]) -> Any: ...
def empty(N: Any, *, E: Annotated[sf.laws.Offset, sf.laws.Bounds(2.0, 1.0)]) -> Any: ...
def a_point(N: Any, *, E: Annotated[sf.laws.Offset, sf.laws.Bounds(1.0, 1.0)]) -> Any: ...
def log_of_zero(N: Any, *, a: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.0, 1.0)]) -> Any: ...
def unresolved(N: Any, *, E: Offset) -> Any: ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (variadic_columns, r"law 'variadic_columns': \*N: '?Any'? is variadic"),
        (variadic_params, r"law 'variadic_params': \*\*rest: '?Any'? is variadic"),
        (without_columns, "law 'without_columns' needs at least one data column"),
        (
            without_params,
            r"law 'without_params': alpha is annotated as a parameter",
        ),
        (
            unannotated,
            "law 'unannotated': parameter 'alpha' has no kind. Annotate it with one of",
        ),
        (not_a_kind, "law 'not_a_kind': parameter 'alpha' has no kind"),
        (two_kinds, "law 'two_kinds': parameter 'alpha' has several kinds"),
        (
            wrong_column,
            r"law 'wrong_column': c is a scale of 'M', which is not one of its columns \(N, D\)",
        ),
        (empty, r"law 'empty': parameter 'E' has empty bounds \(2.0, 1.0\)"),
        (a_point, r"law 'a_point': parameter 'E' has empty bounds \(1.0, 1.0\)"),
        (
            log_of_zero,
            "law 'log_of_zero': exponent 'a' is searched in the logarithm, so its lower bound "
            "must be positive, not 0",
        ),
        (unresolved, "law 'unresolved': annotation 'Offset' cannot be resolved. Import the kind"),
    ],
)
def test_malformed_signature_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(sf.errors.LawError, match=message):
        sf.law(source="a test")(function)


# Finding a law


@pytest.mark.parametrize("name", ["chinchilla", "chinchilla_tied", "chinchilla_n", "chinchilla_d"])
def test_builtin_laws_are_found_by_their_name(name: str) -> None:
    assert laws.find(name) is getattr(laws, name)
    assert laws.find(name).name == name
    assert laws.find(name).source


def test_builtin_mapping_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        laws.BUILTIN["mine"] = narrowed  # type: ignore[index]


def test_a_law_is_found_as_itself() -> None:
    assert laws.find(narrowed) is narrowed


def test_misspelt_name_is_answered_with_the_closest() -> None:
    message = "is called 'chinchila'. Did you mean 'chinchilla'\\? scalefit.laws.table\\(\\) lists"
    with pytest.raises(sf.errors.LawError, match=message):
        laws.find("chinchila")


def test_name_like_no_other_is_answered_with_the_list_and_the_search() -> None:
    with pytest.raises(
        sf.errors.LawError, match=r"is called 'zzz'\. scalefit.laws.table\(\) lists"
    ):
        laws.find("zzz")


def test_words_are_answered_with_the_laws_that_hold_them() -> None:
    with pytest.raises(sf.errors.LawError, match=r"says so: fine_grained_moe, efficiency_"):
        laws.find("mixture of experts")


@pytest.mark.parametrize(
    "name", ["additive_mixture_of", "joint_mixture_of_3", "mixture_of_3", "multi_power"]
)
def test_a_law_that_is_made_is_answered_with_the_call(name: str) -> None:
    with pytest.raises(sf.errors.LawError, match="are made by a function") as caught:
        laws.find(name)
    made = eval(str(caught.value).partition("law=")[2], {"scalefit": sf})
    assert made.name.startswith(name.rstrip("_0123456789"))


def test_plain_function_is_answered_with_the_decorator() -> None:
    with pytest.raises(
        sf.errors.LawError, match=r"'not_a_kind' is a plain function. Decorate it with"
    ):
        laws.find(not_a_kind)  # type: ignore[arg-type]


# Values


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        # 1.5 + 8 N^-1/2 + 6 D^-1/2 with square roots 1, 4, 9 and 2, 3, 10
        (
            "chinchilla",
            {"E": 1.5, "A": 8.0, "B": 6.0, "alpha": 0.5, "beta": 0.5},
            [1.5 + 8 + 3, 1.5 + 2 + 2, 1.5 + 8 / 9 + 0.6],
        ),
        # fourth roots 1, 2, 3 of N
        (
            "chinchilla",
            {"E": 0.0, "A": 6.0, "B": 36.0, "alpha": 0.25, "beta": 1.0},
            [6 + 9, 3 + 4, 2 + 0.36],
        ),
        (
            "chinchilla_tied",
            {"E": 1.0, "A": 9.0, "B": 6.0, "alpha": 0.5},
            [1 + 9 + 3, 1 + 2.25 + 2, 1 + 1 + 0.6],
        ),
        ("chinchilla_n", {"E": 2.0, "A": 6.0, "alpha": 0.25}, [8.0, 5.0, 4.0]),
        ("chinchilla_d", {"E": 2.0, "B": 6.0, "beta": 0.5}, [5.0, 4.0, 2.6]),
    ],
)
def test_builtin_laws_have_the_values_of_their_formulae(
    name: str, params: dict[str, float], expected: list[float]
) -> None:
    found = laws.find(name).evaluate({"N": COUNTS, "D": TOKENS}, params)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
RUNS = {"N": np.array([1e7, 3e8]), "D": np.array([2e9, 7e11])}
LOSSES = 1.69 + 406.4 * RUNS["N"] ** -0.34 + 410.7 * RUNS["D"] ** -0.28


@sf.law(source="a test")
def in_jax(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
    """A function whose steps are JAX's own, so that their precision is that of its flag."""
    return E + A * jnp.exp(-alpha * jnp.log(jnp.asarray(N)))


@pytest.mark.parametrize("flag", [False, True])
def test_evaluate_is_double_whatever_the_flag(flag: bool) -> None:
    with jax.enable_x64(flag):
        found = in_jax.evaluate(RUNS, {"E": 1.69, "A": 406.4, "alpha": 0.34})
        # The flag is the caller's again afterwards.
        assert jnp.asarray(1.0).dtype == (jnp.float64 if flag else jnp.float32)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 1.69 + 406.4 * RUNS["N"] ** -0.34, rtol=1e-14)


def test_evaluate_takes_integers_lists_and_broadcasts() -> None:
    found = laws.chinchilla.evaluate({"N": [[1], [16]], "D": [4, 9, 100]}, CHINCHILLA)
    expected = 1.69 + 406.4 * np.array([[1.0], [16.0]]) ** -0.34 + 410.7 * TOKENS**-0.28
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_evaluate_broadcasts_a_law_that_ignores_its_columns() -> None:
    @sf.law(source="a test")
    def level(N: Any, *, E: sf.laws.Offset) -> Any:
        return E

    np.testing.assert_array_equal(level.evaluate({"N": COUNTS}, {"E": 2.0}), [2.0, 2.0, 2.0])


def test_evaluate_ignores_columns_and_parameters_that_are_not_the_laws() -> None:
    found = laws.chinchilla_n.evaluate(RUNS | {"C": np.ones(7)}, CHINCHILLA)
    np.testing.assert_allclose(found, 1.69 + 406.4 * RUNS["N"] ** -0.34, rtol=1e-14)


def test_evaluate_needs_every_parameter() -> None:
    with pytest.raises(KeyError, match="beta"):
        laws.chinchilla.evaluate(RUNS, {k: v for k, v in CHINCHILLA.items() if k != "beta"})


def test_calling_a_law_is_calling_its_function() -> None:
    np.testing.assert_allclose(
        laws.chinchilla(RUNS["N"], RUNS["D"], **CHINCHILLA), LOSSES, rtol=1e-14
    )


def test_calling_a_law_works_inside_jit() -> None:
    with jax.enable_x64(True):
        found = jax.jit(lambda N, D, p: laws.chinchilla(N, D, **p))(
            RUNS["N"], RUNS["D"], CHINCHILLA
        )
        assert isinstance(found, jax.Array)
        np.testing.assert_allclose(found, LOSSES, rtol=1e-14)


def test_calling_a_law_is_in_the_callers_precision() -> None:
    with jax.enable_x64(False):
        N = jnp.asarray(RUNS["N"])
        found = laws.chinchilla_n(N, E=1.69, A=406.4, alpha=0.34)
    assert found.dtype == jnp.float32


def test_gradient_of_a_law_is_that_of_its_formula() -> None:
    with jax.enable_x64(True):
        found = jax.grad(lambda a: laws.chinchilla_n(1e7, E=1.69, A=406.4, alpha=a))(0.34)
    assert float(found) == pytest.approx(-math.log(1e7) * 406.4 * 1e7**-0.34, rel=1e-14)


@sf.law(source="a test")
def relative(N: Any, *, E: sf.laws.Offset, alpha: sf.laws.Exponent) -> Any:
    """A law that looks at all rows."""
    return E + (N / jnp.mean(N)) ** -alpha


@sf.law(source="a test")
def looped(N: Any, *, E: sf.laws.Offset, alpha: sf.laws.Exponent) -> Any:
    """A law with a loop."""
    return E + jax.lax.fori_loop(0, 2, lambda _, x: 0.5 * x, N) ** -alpha


@sf.law(source="a test")
def in_numpy(N: Any, *, E: sf.laws.Offset, alpha: sf.laws.Exponent) -> Any:
    """A law that is written with numpy."""
    return E + np.exp(-alpha * np.log(N))


@sf.law(source="a test")
def branching(N: Any, *, E: sf.laws.Offset, alpha: sf.laws.Exponent) -> Any:
    """A law that asks for the value of a parameter."""
    return E + (N**-alpha if alpha < 0.5 else N**-0.5)


def test_evaluate_reads_a_law_of_numpy_as_a_formula() -> None:
    found = in_numpy.evaluate({"N": COUNTS}, {"E": 1.5, "alpha": 0.25})
    np.testing.assert_allclose(found, 1.5 + COUNTS**-0.25, rtol=1e-14)


def test_evaluate_runs_what_is_no_list_of_operations_as_it_stands() -> None:
    found = looped.evaluate({"N": COUNTS}, {"E": 1.5, "alpha": 0.25})
    np.testing.assert_allclose(found, 1.5 + (COUNTS / 4) ** -0.25, rtol=1e-14)


@pytest.mark.parametrize("law", [relative, branching], ids=lambda law: law.name)
def test_evaluate_refuses_what_is_no_formula_of_one_row(law: sf.Law) -> None:
    with pytest.raises(sf.errors.LawError, match=f"law '{law.name}': File .*, line"):
        law.evaluate({"N": COUNTS}, {"E": 1.5, "alpha": 0.25})


def test_evaluate_takes_parameters_that_differ_by_row_and_by_draw() -> None:
    A = np.array([[1.0], [2.0]])
    alpha = np.array([0.25, 0.5, 0.75])
    found = laws.chinchilla_n.evaluate({"N": COUNTS}, {"E": 1.0, "A": A, "alpha": alpha})
    np.testing.assert_allclose(found, 1.0 + A * COUNTS**-alpha, rtol=1e-14)


def test_evaluate_keeps_to_what_the_law_says_where_it_is_not_finite() -> None:
    found = in_jax.evaluate({"N": [-1.0, 0.0]}, {"E": 1.0, "A": 1.0, "alpha": 0.5})
    np.testing.assert_array_equal(found, [np.nan, np.inf])


def test_evaluate_compiles_nothing_for_a_formula(compiled: list[str]) -> None:
    @sf.law(source="a test")
    def fresh(N: Any, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent) -> Any:
        return A * jnp.tanh(alpha * jnp.log(N))

    # A shape that nothing else has.
    fresh.evaluate({"N": np.linspace(2, 3, 1931)}, {"A": 1.0, "alpha": 0.3})
    assert not compiled


# Other names


@pytest.fixture
def known_as(monkeypatch):
    """A catalogue of two laws with other names."""
    names = {"chinchilla": ("model collapse (2402.07043)",), "power": ("Model sizes of ASR, WER",)}
    kept = {
        name: (replace(laws.BUILTIN[name], also_known_as=known),) for name, known in names.items()
    }
    monkeypatch.setattr(laws, "FAMILIES", kept)
    return {name: member for name, (member,) in kept.items()}


def test_a_law_is_found_by_the_beginning_of_another_name(known_as):
    assert laws.find("2402.07043") is known_as["chinchilla"]
    assert laws.find("model sizes") is laws.find(" wer ") is known_as["power"]


@pytest.mark.parametrize("words", ["power law", "form", "sizes", "mod", "(", "asr"])
def test_words_in_the_midst_of_another_name_are_no_law(words):
    with pytest.raises(LawError, match=r"no built-in law is called"):
        laws.find(words)


def test_a_search_without_a_find_is_shown():
    found = laws.search("zzz")
    assert "no law" in found.summary() and list(found.to_frame()) == list(laws.table().to_frame())


def test_another_name_of_two_laws_is_refused(known_as):
    with pytest.raises(
        LawError, match="'model' is another name of several laws: chinchilla, power"
    ):
        laws.find("model")


def test_a_search_reads_all_that_is_said_of_a_law(known_as):
    assert [item.name for item in laws.search("COLLAPSE hoffmann")] == ["chinchilla"]
    assert [item.name for item in laws.search("zzz")] == []
    assert len(laws.search("model")) == 2
    with pytest.raises(ArgumentError, match="words"):
        laws.search("")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("BLEU against fine-tuning data", "bleu_of_data"),
        ("finetuning", "rectified_finetuning"),
        ("overtraining", "chinchilla_overtrained"),
        ("downstream accuracy", "accuracy_of_loss"),
        ("repeated sampling", "coverage_power"),
        ("MoE", "joint_moe"),
        ("multi-power", "annealing"),
    ],
)
def test_a_search_takes_the_words_of_a_question(words, name):
    found = laws.search(words)
    assert name in [item.name for item in found] and len(found) < 6 and not found.partly


def test_a_question_that_no_law_answers_whole_gets_the_laws_with_most_of_its_words():
    found = laws.search("verifier quizzically accepts")
    assert [item.name for item in found] == ["verified_sampling"]
    assert "No law has all the words; 1 law with 2 of 3 words. Pass" in found.summary()
    assert "scalefit.fit(runs, 'verified_sampling')" in found.summary()
    assert not len(laws.search("quizzically overnight experts zzz"))
