"""Coefficients that differ by a categorical column, while exponents are shared."""

import re
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.grouping import Grouping

OBJECTIVES = {
    "log-huber": {},
    "log": {"robust": "none"},
    "relative": {"residual": "relative", "robust": "none"},
    "raw": {"residual": "raw", "robust": "none"},
}
SHARED = {"E": 1.69, "B": 410.7, "alpha": 0.34, "beta": 0.28}
A_OF = {"bf16": 400.0, "fp8": 430.0, "int4": 520.0}
E_OF = {"web": 1.6, "code": 1.1, "books": 1.8}
B_OF = {"web": 400.0, "code": 300.0, "books": 460.0}


def mixed(noise=0.005, seed=1, levels=A_OF, rows=None, **by_corpus):
    """Runs of an IsoFLOP sweep, formats and corpora dealt out in turn.

    ``by_corpus`` gives E or B of each corpus; what it does not give is shared.
    """
    runs = sf.simulation.isoflop_design(points=rows or 15)
    names = np.array(list(levels))
    runs["format"] = names[np.arange(len(runs)) % len(names)]
    runs["corpus"] = np.array(list(E_OF))[np.arange(len(runs)) * 7 // 5 % 3]
    params: dict[str, Any] = SHARED | {"A": runs["format"].map(levels).to_numpy()}
    params |= {name: runs["corpus"].map(values).to_numpy() for name, values in by_corpus.items()}
    rng = np.random.default_rng(seed)
    exact = sf.laws.find("chinchilla").evaluate(runs, params)
    return runs.assign(loss=exact * np.exp(noise * rng.standard_normal(len(runs))))


def same_fit(fit, other, names, rel=1e-9):
    """Equal parameters, one law's under the names of the other's."""
    assert fit.objective_value == pytest.approx(other.objective_value, rel=1e-11)
    assert set(names) | (set(fit.params) & set(other.params)) == set(fit.params)
    for name, value in fit.params.items():
        assert value == pytest.approx(other.params[names.get(name, name)], rel=rel), name


# Against a law written out with one indicator column for each level


@sf.law(source="a test")
def by_format(
    N: Any,
    D: Any,
    is_bf16: Any,
    is_fp8: Any,
    is_int4: Any,
    *,
    E: sf.laws.Offset,
    A1: sf.laws.Amplitude,
    A2: sf.laws.Amplitude,
    A3: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A_f N^-alpha + B D^-beta"""
    A = A1 * is_bf16 + A2 * is_fp8 + A3 * is_int4
    return E + A * N**-alpha + B * D**-beta


@sf.law(source="a test")
def offset_by_corpus(
    N: Any,
    D: Any,
    is_web: Any,
    is_code: Any,
    is_books: Any,
    *,
    E1: sf.laws.Offset,
    E2: sf.laws.Offset,
    E3: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E_c + A N^-alpha + B D^-beta"""
    return E1 * is_web + E2 * is_code + E3 * is_books + A * N**-alpha + B * D**-beta


@sf.law(source="a test")
def both_by_corpus(
    N: Any,
    D: Any,
    is_web: Any,
    is_code: Any,
    *,
    E1: sf.laws.Offset,
    E2: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B1: sf.laws.Amplitude,
    B2: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E_c + A N^-alpha + B_c D^-beta"""
    E, B = E1 * is_web + E2 * is_code, B1 * is_web + B2 * is_code
    return E + A * N**-alpha + B * D**-beta


@sf.law(source="a test")
def crossed(
    N: Any,
    D: Any,
    is_bf16: Any,
    is_int4: Any,
    is_web: Any,
    is_code: Any,
    *,
    E: sf.laws.Offset,
    A1: sf.laws.Amplitude,
    A2: sf.laws.Amplitude,
    B1: sf.laws.Amplitude,
    B2: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A_f N^-alpha + B_c D^-beta"""
    A = A1 * is_bf16 + A2 * is_int4
    return E + A * N**-alpha + (B1 * is_web + B2 * is_code) * D**-beta


def with_indicators(runs):
    every = {
        f"is_{level}": (runs[name] == level).astype(float)
        for name in ("format", "corpus")
        for level in sorted(set(runs[name]))
    }
    return runs.assign(**every)


def without(runs, *names):
    """Runs of other formats and corpora than these."""
    return runs[~(runs["format"].isin(names) | runs["corpus"].isin(names))].reset_index(drop=True)


AS = {"A[bf16]": "A1", "A[fp8]": "A2", "A[int4]": "A3"}
ES = {"E[web]": "E1", "E[code]": "E2", "E[books]": "E3"}
TWO = {"E[web]": "E1", "E[code]": "E2", "B[web]": "B1", "B[code]": "B2"}
CROSS = {"A[bf16]": "A1", "A[int4]": "A2", "B[web]": "B1", "B[code]": "B2"}

ONE_FORMAT = {"bf16": 400.0}
WRITTEN_OUT = {
    "A": (by_format, {"A": "format"}, mixed(rows=25), AS),
    "E": (
        offset_by_corpus,
        {"E": "corpus"},
        mixed(rows=25, E=E_OF, levels=ONE_FORMAT),
        ES,
    ),
    "E and B by one column": (
        both_by_corpus,
        {"E": "corpus", "B": "corpus"},
        without(mixed(rows=25, E=E_OF, B=B_OF, levels=ONE_FORMAT), "books"),
        TWO,
    ),
    "A and B by two columns": (
        crossed,
        {"A": "format", "B": "corpus"},
        without(mixed(rows=50, B=B_OF), "fp8", "books"),
        CROSS,
    ),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", WRITTEN_OUT)
def test_grouped_fit_is_that_of_the_law_with_indicator_columns(case, objective):
    law, groups, table, names = WRITTEN_OUT[case]
    runs = with_indicators(table)
    options = OBJECTIVES[objective]
    fit = sf.fit(runs, groups=groups, **options)
    written = sf.fit(runs, law, **options)
    same_fit(fit, written, names)
    assert fit.status is written.status is sf.Status.CONVERGED
    assert fit.n_free == written.n_free
    assert fit.diagnostics.agreeing == fit.diagnostics.starts
    assert fit.diagnostics.gradient_cosine < 1e-12
    np.testing.assert_allclose(fit.predict(runs), written.predict(runs), rtol=1e-12)
    assert fit.diagnostics.condition == pytest.approx(written.diagnostics.condition, rel=1e-4)


OPTIONS = {
    "weights": {"weight": np.arange(125) % 4},
    "exponents tied": {"tied": [("alpha", "beta")]},
    "E fixed": {"fixed": {"E": 1.6}},
    "linear": {"fixed": {"alpha": 0.34, "beta": 0.28}},
    "bounds that bind on two of three": {"bounds": {"A": (405.0, 500.0)}, "fixed": {"alpha": 0.34}},
    "bounds that bind on all": {"bounds": {"A": (600.0, 700.0)}},
}


@pytest.mark.slow
@pytest.mark.parametrize("robust", ["none", "huber"])
@pytest.mark.parametrize("case", OPTIONS)
def test_options_of_a_grouped_fit_do_what_they_do_to_the_law_written_out(case, robust):
    options = dict(OPTIONS[case])
    runs = with_indicators(mixed(rows=25))
    if "weight" in options:
        runs["weight"] = options.pop("weight")
    apart = dict(options)
    if "A" in options.get("bounds", {}):
        apart["bounds"] = dict.fromkeys(("A1", "A2", "A3"), options["bounds"]["A"])
    fit = sf.fit(runs, groups={"A": "format"}, robust=robust, **options)
    written = sf.fit(runs, by_format, robust=robust, **apart)
    same_fit(fit, written, AS)
    assert {AS.get(name, name) for name in fit.diagnostics.at_bound} == set(
        written.diagnostics.at_bound
    )
    assert bool(fit.diagnostics.at_bound) == ("bounds" in options)


def test_bound_that_binds_is_noted_with_the_name_that_bounds_takes():
    fit = sf.fit(mixed(rows=25), groups={"A": "format"}, bounds={"A": (600.0, 700.0)})
    notes = [note for note in fit.notes if note.code == "at_bound"]
    assert [note.details["parameter"] for note in notes] == ["A[bf16]", "A[fp8]", "A[int4]"]
    assert "bounds={'A': (0, 700)}" in notes[0].message


def test_amplitude_of_one_level_ends_at_zero():
    # One format's loss rises with N, against the others.
    runs = mixed(rows=25)
    rising = runs["format"] == "int4"
    runs.loc[rising, "loss"] = 1.69 + 410.7 * runs["D"] ** -0.28 + 0.01 * np.log(runs["N"] / 1e7)
    runs = with_indicators(runs)
    for robust in ("none", "huber"):
        fit = sf.fit(runs, groups={"A": "format"}, robust=robust)
        assert fit.params["A[int4]"] == 0
        assert "A[int4]" in fit.diagnostics.at_bound
        same_fit(fit, sf.fit(runs, by_format, robust=robust), AS, rel=1e-8)


def test_level_of_which_every_row_has_weight_zero_is_no_level():
    runs = mixed(rows=25)
    weight = np.where(runs["format"] == "fp8", 0.0, 1.0)
    fit = sf.fit(runs.assign(weight=weight), groups={"A": "format"})
    without = sf.fit(runs[weight > 0], groups={"A": "format"})
    assert fit.groups["A"].levels == ("bf16", "int4")
    same_fit(fit, without, {})
    assert fit.nobs == without.nobs
    with pytest.raises(sf.errors.DataError, match="'fp8' is not a level of format"):
        fit.predict(N=1e8, D=1e10, format="fp8")
    # A table may hold such rows; the fit has no prediction for them.
    lost = np.isnan(fit.predict(runs.assign(weight=weight)))
    np.testing.assert_array_equal(lost, weight == 0)
    with pytest.raises(sf.errors.DataError, match=r"not a level .* \(row 1\)"):
        fit.predict(runs)


@pytest.mark.parametrize("residual", ["log", "raw"])
def test_losses_far_below_a_squared_fit_still_find_their_way(residual):
    # A grid value predicts some losses below zero: the polish sets out from constants by level.
    runs = mixed(E=E_OF, levels={"bf16": 400.0}, noise=0.0, rows=25)
    runs.loc[::5, "loss"] *= np.linspace(0.2, 6.0, 25)
    fit = sf.fit(runs, groups={"E": "corpus"}, residual=residual, robust="none")
    assert fit.status is sf.Status.CONVERGED


# Recovery and what a grouped fit must not depend on


@pytest.mark.parametrize("count", [2, 5, 30])
@pytest.mark.parametrize("objective", ["log-huber", "raw"])
def test_noise_free_parameters_come_back(count, objective):
    levels = {f"f{i:02}": 300.0 * 1.02**i for i in range(count)}
    runs = mixed(noise=0.0, levels=levels, rows=60)
    fit = sf.fit(runs, groups={"A": "format"}, **OBJECTIVES[objective])
    assert fit.status is sf.Status.EXACT
    for name, value in SHARED.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-10)
    for level, value in levels.items():
        assert fit.params[f"A[{level}]"] == pytest.approx(value, rel=1e-10)
    assert len(fit.params) == count + 4 == fit.n_free


def test_two_divisions_come_back():
    runs = mixed(noise=0.0, E=E_OF, B=B_OF, rows=40)
    fit = sf.fit(runs, groups={"A": "format", "E": "corpus", "B": "corpus"})
    expected = {"alpha": 0.34, "beta": 0.28}
    for name, values in (("A", A_OF), ("E", E_OF), ("B", B_OF)):
        expected |= {f"{name}[{level}]": value for level, value in values.items()}
    assert set(fit.params) == set(expected)
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-10), name


@pytest.fixture(scope="module")
def noisy():
    return mixed(rows=25)


@pytest.fixture(scope="module")
def grouped(noisy):
    return sf.fit(noisy, groups={"A": "format"})


def test_row_order_does_not_matter(noisy, grouped):
    shuffled = noisy.sample(frac=1, random_state=3)
    same_fit(sf.fit(shuffled, groups={"A": "format"}), grouped, {})


def test_names_of_levels_do_not_matter(noisy, grouped):
    names = {"bf16": "z", "fp8": "y", "int4": "x"}
    renamed = noisy.assign(format=noisy["format"].map(names))
    fit = sf.fit(renamed, groups={"A": "format"})
    same_fit(fit, grouped, {f"A[{new}]": f"A[{old}]" for old, new in names.items()})


def test_units_move_what_carries_them_only(noisy, grouped):
    alpha, beta = grouped.params["alpha"], grouped.params["beta"]
    other = noisy.assign(N=noisy["N"] / 1e6, D=noisy["D"] / 1e9, loss=noisy["loss"] / np.log(2))
    fit = sf.fit(other[["N", "D", "loss", "format"]], groups={"A": "format"})
    for name, value in grouped.params.items():
        factor = {"A": 1e6**-alpha, "B": 1e9**-beta, "E": 1.0}.get(name[0])
        expected = value if factor is None else value * factor / np.log(2)
        assert fit.params[name] == pytest.approx(expected, rel=1e-8)
    assert fit.objective_value == pytest.approx(grouped.objective_value, rel=1e-11)


def test_one_coefficient_for_all_levels_is_never_better(noisy, grouped):
    assert grouped.objective_value < sf.fit(noisy).objective_value


# Declared with the law


@sf.law(source="a test")
def declared(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: Annotated[sf.laws.Amplitude, sf.laws.By("format")],
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A_f N^-alpha + B D^-beta"""
    return E + A * N**-alpha + B * D**-beta


def test_law_may_declare_what_differs(noisy, grouped):
    fit = sf.fit(noisy, declared)
    same_fit(fit, grouped, {})
    assert fit.groups == grouped.groups


def test_groups_of_a_call_add_to_the_declared_ones_and_win(noisy):
    both = sf.fit(noisy, declared, groups={"E": "corpus"})
    assert {name: item.columns for name, item in both.groups.items()} == {
        "A": ("format",),
        "E": ("corpus",),
    }
    other = sf.fit(noisy, declared, groups={"A": "corpus"})
    assert other.groups["A"].columns == ("corpus",)


# Levels


def table_of(**columns):
    frame = pd.DataFrame(columns)
    return sf.LossTable.from_frame(frame.assign(N=1e8, D=1e9, loss=3.0))


def levels_of(**columns):
    table = table_of(**columns)
    return Grouping.of(table, list(columns), np.ones(len(table), dtype=bool)).levels


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([16, 4, 8], ("4", "8", "16")),
        ([16.0, 4.0, 4.5], ("4", "4.5", "16")),
        ([16, 4.0, "4"], ("16", "4")),
        (["fp8", 4, 16], ("16", "4", "fp8")),
        ([True, False, True], ("False", "True")),
        ([True, 1, "x"], ("1", "True", "x")),
        (pd.array([2, 1, 2], dtype="Int64"), ("1", "2")),
        (pd.Categorical(["low", "high", "low"], ["low", "mid", "high"]), ("low", "high")),
        (pd.Categorical(["b", "a", "b"], ["b", "a"], ordered=True), ("b", "a")),
        (["x y", " x", "x"], (" x", "x", "x y")),
    ],
)
def test_levels_are_told_apart_and_put_in_order(values, levels):
    assert levels_of(format=values) == levels


def test_combinations_that_occur_are_levels():
    assert levels_of(w_bits=[4, 16, 16, 4], a_bits=[16, 16, 8, 16]) == ("4/16", "16/8", "16/16")


def test_slash_in_a_level_is_not_the_one_that_joins():
    levels = levels_of(first=["a/b", "a", "a"], second=["c", "b/c", "x"])
    assert len(levels) == 3
    assert levels_of(format=["a/b", "a"]) == ("a", "a/b")


@pytest.mark.parametrize("level_names", [4, 4.0, "4", np.int8(4), np.float32(4)])
def test_number_is_one_level_however_it_is_spelled(level_names):
    table = table_of(bits=[16, 4, 8])
    grouping = Grouping.of(table, ["bits"], np.ones(3, dtype=bool))
    assert grouping.codes_of({"bits": level_names}) == 0
    np.testing.assert_array_equal(grouping.codes_of({"bits": [level_names, "16"]}), [0, 2])
    np.testing.assert_array_equal(grouping.codes(table_of(bits=[level_names, "8", 16])), [0, 1, 2])


# Prediction


def expected(fit, runs, name="A", column="format"):
    own = [fit.params[f"{name}[{level}]"] for level in runs[column]]
    params = {key: value for key, value in fit.params.items() if "[" not in key}
    return fit.law.evaluate(runs, params | {name: np.array(own)})


def test_predictions_of_a_table_take_the_coefficient_of_each_row(noisy, grouped):
    np.testing.assert_array_equal(grouped.predict(noisy), expected(grouped, noisy))
    np.testing.assert_allclose(
        grouped.residuals(noisy), np.log(noisy["loss"] / grouped.predict(noisy)), rtol=1e-9
    )


def test_predictions_broadcast_levels_against_columns(grouped):
    N = np.array([1e8, 1e9, 1e10])
    levels = np.array([["bf16"], ["int4"]])
    found = grouped.predict(N=N, D=1e11, format=levels)
    assert found.shape == (2, 3)
    for row, level in zip(found, ("bf16", "int4"), strict=True):
        one = grouped.at(format=level)
        np.testing.assert_array_equal(row, one.predict(N=N, D=1e11))
    assert grouped.predict(N=1e8, D=1e11, format="fp8").shape == ()
    assert grouped.predict(N=1e8, D=1e11, format=["fp8"] * 4).shape == (4,)


def test_one_surface_is_a_fit_like_any_other(grouped):
    one = grouped.at(format="fp8")
    assert dict(one.params) == {
        name: grouped.params[{"A": "A[fp8]"}.get(name, name)] for name in one.law.names
    }
    assert dict(one.groups) == {}
    assert one.at() == one
    assert sf.Fit.from_json(one.to_json()) == one
    best = sf.allocate(one, 1e22)
    assert best.loss == pytest.approx(float(one.predict(N=best.N, D=best.D)), rel=1e-12)
    assert "A " in one.summary() and "A[" not in str(one.params)


def test_surface_of_two_divisions_needs_both_levels(noisy):
    fit = sf.fit(noisy, groups={"A": "format", "E": "corpus"})
    one = fit.at(format="int4", corpus="web")
    assert one.params["A"] == fit.params["A[int4]"]
    assert one.params["E"] == fit.params["E[web]"]
    with pytest.raises(sf.errors.DataError, match="corpus is not given"):
        fit.at(format="int4")


def test_bounds_held_stay_with_their_surface():
    fit = sf.fit(
        mixed(rows=25), groups={"A": "format"}, bounds={"A": (405.0, 900.0)}, fixed={"alpha": 0.34}
    )
    assert fit.diagnostics.at_bound == ("A[bf16]",)
    assert fit.at(format="bf16").diagnostics.at_bound == ("A",)
    assert fit.at(format="int4").diagnostics.at_bound == ()


def test_json_keeps_the_groups(grouped, noisy):
    again = sf.Fit.from_json(grouped.to_json())
    assert again == grouped
    np.testing.assert_array_equal(again.predict(noisy), grouped.predict(noisy))


def test_digest_tells_labels_apart(noisy, grouped):
    swapped = noisy.assign(format=noisy["format"].map({"bf16": "fp8", "fp8": "bf16"}.get))
    swapped["format"] = swapped["format"].fillna("int4")
    assert sf.fit(swapped, groups={"A": "format"}).provenance["data"] != grouped.provenance["data"]


# Reports


def test_report_lists_every_level_once(grouped):
    text = grouped.summary()
    for level in A_OF:
        assert text.count(f"A[{level}]") == 1
    assert "groups     A by format (3 levels)" in text
    assert "A[fp8]" in grouped._repr_html_()
    assert "A[3 levels]" in repr(grouped) and "fp8" not in repr(grouped)


def test_report_of_many_levels_with_long_names_keeps_its_columns():
    levels = {
        f"a quantization format of a rather long name, number {i}": 300.0 + i for i in range(30)
    }
    fit = sf.fit(mixed(noise=0.0, levels=levels, rows=60), groups={"A": "format"})
    lines = [line for line in fit.summary().splitlines() if line.startswith("  A[")]
    assert len(lines) == 10 + 5 - 4 and "... and 19 more" in fit.summary()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(repr(fit)) < 120


@pytest.fixture(scope="module")
def many():
    levels = {f"f{i:02}": 300.0 * 1.01**i for i in range(60)}
    runs = mixed(levels=levels, rows=100)
    return runs, sf.fit(runs, groups={"A": "format"}, bounds={"A": (330.0, 480.0)}, robust="none")


def test_report_of_very_many_levels_shows_the_first_and_counts_the_rest(many):
    runs, fit = many
    draws = sf.bootstrap(fit, runs, 5, method="residuals", progress=False)
    for text in (fit.summary(), fit._repr_html_()):
        # The verdict may name the level that one run decides.
        text = re.sub(r"without it A\[f\d+\] moves", "", text)
        assert "A[f08]" in text and all(f"A[f{i:02}]" not in text for i in range(9, 58))
        assert "... and 49 more: to_frame() has all" in text
        assert "A by format (60 levels)" in text
        assert "beta" in text
    assert len(fit.to_frame()) == 64 and "A[f59]" in fit.to_frame().index
    assert sf.Fit.from_json(fit.to_json()) == fit
    notes = [note for note in draws.notes if note.code == "draws_at_bound"]
    assert len(notes) == 1 and notes[0].details["parameter"] == "A"
    assert "of its 60 levels" in notes[0].message


def test_very_many_levels_at_one_bound_share_a_note(many):
    _, fit = many
    notes = [note for note in fit.notes if note.code == "at_bound"]
    assert [note.details["value"] for note in notes] == [330.0, 480.0]
    held = [level for note in notes for level in note.details["levels"]]
    assert sorted(f"A[{level}]" for level in held) == sorted(fit.diagnostics.at_bound)
    assert "bounds={'A': (0, 480)}" in notes[0].message
    assert "bounds={'A': (330, np.inf)}" in notes[1].message
    assert f"A of {len(notes[0].details['levels'])} of 60 levels" in notes[0].message
