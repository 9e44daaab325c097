"""Documents of fits: what is written is read, and nothing else is."""

import copy
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@sf.law(source="a test")
def mine(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, g: sf.laws.Exponent
):
    """E + A N^-g + B D^-g"""
    return E + A * N**-g + B * D**-g


def made():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.01, seed=2)
    halves = runs.assign(w=runs.index % 2, a=runs.index // 2 % 2)
    return {
        "plain": sf.fit(runs, certify=False),
        "certified": sf.fit(runs, robust="none", fixed={"E": 1.69}, certify=True),
        "given up": sf.fit(
            sf.simulate(sf.simulation.isoflop_design(points=3), noise=0.2, seed=1), robust="none"
        ),
        "absolute": sf.fit(runs, robust="l1"),
        "envelope": sf.fit(runs, robust="asymmetric"),
        "grouped": sf.fit(halves, groups={"A": ("w", "a"), "B": "w"}),
        "one level": sf.fit(halves, groups={"A": "w"}).at(w=1),
        "constrained": sf.fit(
            runs,
            fixed={"E": 1.69},
            tied=[("alpha", "beta")],
            bounds={"A": (0.0, math.inf)},
            keep="C > 5e17",
        ),
        "published": sf.published("chinchilla", "besiroglu"),
        "own law": sf.fit(runs, mine),
    }


FITS = (
    "plain",
    "certified",
    "given up",
    "absolute",
    "envelope",
    "grouped",
    "one level",
    "constrained",
    "published",
    "own law",
)


@pytest.fixture(scope="module")
def fits():
    found = made()
    assert tuple(found) == FITS
    return found


@pytest.fixture(scope="module")
def fit(fits):
    return fits["plain"]


def read(text, law=None):
    return sf.Fit.from_json(text, law=law)


def test_what_is_written_is_read(fits):
    for name, fit in fits.items():
        again = read(fit.to_json(), law=mine if name == "own law" else None)
        assert again.to_json() == fit.to_json()
        if name != "published":
            assert again == fit
    assert "not_certified" in [note.code for note in fits["given up"].notes]


# Nonsense in the place of each value, as JSON.
NONSENSE = {
    "null": "null",
    "true": "true",
    "text": '"x"',
    "empty text": '""',
    "long text": json.dumps("y" * 5000),
    "zero": "0",
    "half": "0.5",
    "negative": "-1",
    "more than a float": "1e400",
    "more digits than a float": "1" + "0" * 400,
    "NaN": "NaN",
    "nan": '{"float": "nan"}',
    "inf": '{"float": "inf"}',
    "no float": '{"float": "x"}',
    "list": "[]",
    "mapping": "{}",
}

FINITE = {"zero", "half", "negative"}
TEXTS = {"text", "empty text", "long text"}
ANYTHING = set(NONSENSE) - {"more than a float", "NaN"}

# All that is accepted in the place of another value. Anything else is another document.
ACCEPTED = {
    # Numbers that could be others.
    r"params\..*": FINITE,
    r"diagnostics\.minima\[\]\.params\..*": FINITE,
    r"diagnostics\.minima\[\]\.value": {"zero", "half"},
    r"objective_value|residual_rms": {"zero", "half"},
    r"diagnostics\.(gradient_cosine|newton_decrement)": {"zero", "half", "inf"},
    r"diagnostics\.condition(_projected)?": {"inf"},
    r"diagnostics\.duality_gap": {*FINITE, "inf"},
    r"diagnostics\.cells_by_squares": {"zero"},
    r"diagnostics\.(cells|basins|iterations)": {"zero"},
    r"objective\.delta": {"half"},
    r"certificate\.gap": {"zero", "half", "inf"},
    r"certificate\.rounding": {"zero", "half"},
    r"certificate\.boxes": {"zero"},
    r"certificate\.(region|lower)\..*": {*FINITE, "inf"},
    r"bounds\.A\[\]": {*FINITE, "inf"},
    r"verdict\.(spread|explained)": {*FINITE, "nan", "inf"},
    r"verdict\.influence\.(leverage|shift)": {*FINITE, "nan", "inf"},
    r"verdict\.patterns\[\]\.lag1": FINITE,
    r"verdict\.patterns\[\]\.(lag1_z|runs_z)": {*FINITE, "nan", "inf"},
    r"verdict\.patterns\[\]\.(p_value|share)": {"zero", "half"},
    # Ends of ranges that still have the lower one first.
    r"domain\.[ND]\[\]": {"half"},
    r"domain\.(D/N|6ND)\[\]": {"zero", "half", "inf"},
    # What may be missing: lists of what need not be, and fields of later versions.
    r"notes|dropped|tied|diagnostics\.at_bound": {"list"},
    r"(notes|dropped|tied|diagnostics\.at_bound)\[\]": {"removed"},
    r"fixed|bounds|groups|certificate\.(region|lower)": {"mapping"},
    r"(fixed|bounds|certificate\.(region|lower))\..*": {"removed"},
    r"verdict\.(patterns|outliers)": {"list"},
    r"verdict\.(patterns|outliers)\[\]": {"removed"},
    # Texts that nothing is read off.
    r"verdict\.outliers\[\]|verdict\.influence\.(row|parameter)": TEXTS,
    r"verdict\.words|verdict\.patterns\[\]\.column": TEXTS - {"empty text"},
    r"law\.source|dropped\[\]\.rule": TEXTS,
    r"provenance\..*": {*TEXTS, "removed"},
    r"provenance": {"mapping", "nan", "inf", "no float"},
    r"certificate\.reason|notes\[\]\.(code|message)": TEXTS - {"empty text"},
    r"groups\.\w\.columns\[\]": {"text", "long text", "removed"},
    # Labels of rows, and details of notes, which are anything.
    r"dropped\[\]\.row": {*TEXTS, *FINITE, "true", "more digits than a float", "nan", "inf"},
    r"notes\[\]\.details": {"mapping", "nan", "inf", "no float", "extra"},
    r"notes\[\]\.details\..*": {*ANYTHING, "removed", "extra"},
}


def places(node, at=()):
    yield at
    for key, item in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(item, dict | list):
            yield from places(item, (*at, key))
        else:
            yield (*at, key)


def tampered(document, at):
    """Every document with one nonsense in one place, by what it is."""
    for name, text in NONSENSE.items():
        if at:
            other = copy.deepcopy(document)
            inner(other, at[:-1])[at[-1]] = "@"
            yield name, json.dumps(other).replace('"@"', text, 1)
        else:
            yield name, text
    other = copy.deepcopy(document)
    if isinstance(here := inner(other, at), dict):
        here["surplus"] = 1
        yield "extra", json.dumps(other)
    if at:
        other = copy.deepcopy(document)
        del inner(other, at[:-1])[at[-1]]
        yield "removed", json.dumps(other)


def inner(node, at):
    for key in at:
        node = node[key]
    return node


def level_name(at):
    text = ""
    for key in at:
        text += "[]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


@pytest.mark.parametrize("name", FITS)
def test_nonsense_in_any_one_place_is_refused_by_name(fits, name):
    fit, law = fits[name], mine if name == "own law" else None
    document, plain = json.loads(fit.to_json()), fit.to_json()
    tried = refused = 0
    for at in places(document):
        allowed = {
            what
            for pattern, several in ACCEPTED.items()
            if re.fullmatch(pattern, level_name(at))
            for what in several
        }
        for what, text in tampered(document, at):
            tried += 1
            try:
                found = read(text, law)
            except sf.errors.DocumentError as error:
                refused += 1
                assert error.field or what in ("NaN", "more than a float") or len(at) < 2
                assert str(error).endswith(error.remedy)
            except sf.errors.LawError:
                refused += 1
                assert level_name(at).startswith("law")
            else:
                same = found.to_json() == plain
                assert same or what in allowed, f"{level_name(at)} took {what}"
                repr(found)
    assert tried > 1000
    assert refused > 0.7 * tried


NAMED = {
    # the document after a change, the field that is named, and what is said of it
    "a boolean as text": (("certificate", "closed"), "x", "certificate.closed", "a valid boolean"),
    "no rows": (("nobs",), -1, "nobs", "greater than or equal to 0"),
    "a parameter that is NaN": (("params", "E"), {"float": "nan"}, "params.E", "a valid number"),
    "a minimum": (
        ("diagnostics", "minima", 0, "value"),
        "low",
        "diagnostics.minima[0].value",
        "valid number",
    ),
    "a ratio": (("domain", "D/N", 1), None, "domain['D/N'][1]", "a valid number"),
    "ends reversed": (("domain", "N"), [1e9, 1e8], "domain.N", "in this order"),
    "a status": (("status",), "FINE", "status", "one of CONVERGED, EXACT"),
    "published": (("status",), "PUBLISHED", "objective_value", "NaN where status is PUBLISHED"),
    "a word": (("objective", "robust"), "hubber", "objective.robust", "'huber'"),
    "a delta of squares": (
        ("objective",),
        {"residual": "log", "robust": "none", "delta": 0.1, "asymmetry": None},
        "objective.delta",
        "null where robust is none",
    ),
    "a severity": (
        ("notes",),
        [{"code": "x", "severity": "bad", "message": "x", "details": {}}],
        "notes[0].severity",
        "'info' or 'warning'",
    ),
    "a fixed value": (("fixed", "E"), 1.5, "fixed.E", "the value of the parameter"),
    "a tied": (("tied",), [["alpha", "beta"]], "tied[0][1]", "to which it is tied"),
    "a proof with a reason": (("certificate", "closed"), True, "certificate.gap", "finite where"),
}


@pytest.mark.parametrize(("at", "value", "field", "said"), NAMED.values(), ids=NAMED)
def test_the_field_and_the_value_are_named(fit, at, value, field, said):
    document = json.loads(fit.to_json())
    inner(document, at[:-1])[at[-1]] = value
    with pytest.raises(sf.errors.DocumentError, match=re.escape(said)) as caught:
        read(json.dumps(document))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}=")


def test_missing_and_unknown_fields_are_named(fit):
    document = json.loads(fit.to_json())
    del document["diagnostics"]["cells"]
    with pytest.raises(sf.errors.DocumentError, match=r"^diagnostics\.cells is missing"):
        read(json.dumps(document))
    document["diagnostics"]["cells"] = 5
    document["diagnostics"]["sells"] = 5
    with pytest.raises(
        sf.errors.DocumentError, match=r"^diagnostics\.sells=5 .*there is no such field"
    ):
        read(json.dumps(document))


@pytest.mark.parametrize("text", ["[]", "{}", "null", "x", "[" * 10**6, '{"a":' * 10**5, "\ud800"])
def test_text_that_is_no_fit_is_refused(text):
    with pytest.raises(sf.errors.DocumentError, match="no document of a fit by scalefit") as caught:
        read(text)
    assert caught.value.field == ""
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", [None, 3, b"{}", "", {"schema": 1}])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(sf.errors.ArgumentError, match=r"Fit\.to_json"):
        read(text)


def test_other_schemas_are_refused_by_name(fit):
    document = json.loads(fit.to_json())
    with pytest.raises(
        sf.errors.DocumentError, match=r"schema 999, newer than 3\. Update scalefit"
    ):
        read(json.dumps({**document, "schema": 999, "unheard": "of"}))
    with pytest.raises(
        sf.errors.DocumentError, match=r"schema 0, and this version reads 2 and 3\."
    ):
        read(json.dumps({**document, "schema": 0}))


def test_a_law_of_another_name_is_refused(fits):
    @sf.law(source="a test")
    def other(
        N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, g: sf.laws.Exponent
    ):
        """E + A N^-g + B D^-g"""
        return E + A * N**-g + B * D**-g

    text = fits["own law"].to_json()
    with pytest.raises(sf.errors.LawError, match="was made with 'mine'"):
        read(text, other)
    with pytest.raises(sf.errors.ArgumentError):
        read(text, 3)


def test_whatever_notes_and_rows_hold_is_written(fit):
    odd = {
        "array": np.array([1.0, np.nan]),
        "time": pd.Timestamp("2026-01-01"),
        "set": {1},
        ("a", 1): np.float32(0.5),
        "half": "\ud800",
        "deep": {"float": -np.inf},
    }
    again = read(fit.with_notes(sf.Note("odd", "info", "odd \ud800", odd)).to_json())
    note = again.notes[-1]
    assert note.message == "odd \\ud800"
    assert note.details["time"] == "2026-01-01 00:00:00"
    assert note.details["deep"] == {"float": -np.inf}
    assert math.isnan(note.details["array"][1])


def test_headers_that_are_no_text_are_written(fits):
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.01, seed=2)
    fit = sf.fit(runs.rename(columns={"N": 0}), N=0, certify=False)
    assert read(fit.to_json()) == fit
    assert fit.provenance["column N"] == "0"
