"""Nonsense is refused at the border by argument, value and remedy, and without a warning."""

import math
import warnings

import numpy as np
import pytest
from border import Row, check, keywords, runs

import scalefit as sf
from scalefit import arguments


@pytest.mark.parametrize(
    ("remedy", "values"),
    [
        ("Pass a whole number, as seed=0", {"seed": 0}),
        ("Pass level=0.95.", {"level": 0.95}),
        ("Pass True or False, as certify=True, or leave it out", {"certify": True}),
        ("Pass x={'E': 1.7}, or y=[1, 2]", {"x": {"E": 1.7}, "y": [1, 2]}),
        ("Give pairs (as bounds={'alpha': (0.2, 0.6)})", {"bounds": {"alpha": (0.2, 0.6)}}),
        ("Pass the fit that scalefit.fit returned", {}),
    ],
)
def test_what_a_remedy_prints_is_read_as_python(remedy, values):
    assert keywords(remedy) == values


def test_a_row_fails_where_an_error_or_its_remedy_is_no_use():
    def loud(seed):
        warnings.warn("leaked", stacklevel=1)
        arguments.seed(seed)

    def useless(level):
        arguments.number(level, "level", remedy="Pass level=2", below=1)

    sound = Row("sound", arguments.seed, {"value": -1}, "seed", {"value": 0})
    assert check(sound).value == -1
    with pytest.raises(AssertionError, match="seed"):
        check(Row("another argument", arguments.seed, {"value": -1}, "by", {"value": 0}))
    with pytest.raises(AssertionError, match="says nothing"):
        check(Row("no way", lambda x: arguments.text(x, "x", remedy="Pass"), {"x": 1}, "x"))
    with pytest.raises(UserWarning, match="leaked"):
        check(Row("loud", loud, {"seed": -1}, "seed"))
    with pytest.raises(sf.ArgumentError, match="level=2"):
        check(Row("useless", useless, {"level": 3}, "level"))


def fitted(**options):
    return sf.fit(runs(), **options)


# What is given to fit as such: the nonsense, and what the error calls the argument. The remedy is
# what the message prints, except where rows say what follows from it.
FIT = [
    *(
        Row(f"{name}={arguments.shown(value)}", fitted, {name: value}, name)
        for name, values in {
            "residual": ("logg", 1, None, ["log"], np.array(["log", "raw"])),
            "robust": ("Huber", None, ["huber"], b"huber"),
            "delta": (
                0,
                -1e-3,
                math.nan,
                math.inf,
                "1e-3",
                None,
                True,
                [1e-3],
                1j,
                10**400,
                1e-300,
            ),
            "seed": (-1, "x", 1.5, None, True, 2.0, [0]),
            "certify": ("no", 1, 0, [True], np.array([True])),
            "device": (3, "", b"cpu", True, ["cpu"]),
            "fix": (["E"], "E", 0, False, [], [("E", 1.7)], {1: 2.0}),
            "bounds": (1.0, [("alpha", (0.1, 1))], "alpha", {1: (0, 1)}, {None: (0, 1)}),
            "tie": (3, "alpha", {"alpha": "beta"}, {"alpha", "beta"}, False, b"ab", math.nan),
            "groups": ("format", ["A"], [("A", "format")], 0, {1: "format"}),
        }.items()
        for value in values
    ),
    *(
        Row(f"fix at {arguments.shown(value)}", fitted, {"fix": {"E": value}}, "fix['E']")
        for value in ("1.7", None, True, 1j, math.nan, math.inf, [1.7], np.array([1.7]), 10**400)
    ),
    *(
        Row(f"bounds {arguments.shown(pair)}", fitted, {"bounds": {"alpha": pair}}, argument)
        for pair, argument in (
            (None, "bounds['alpha']"),
            (0.2, "bounds['alpha']"),
            ((0.1, 1, 2), "bounds['alpha']"),
            ((0.2,), "bounds['alpha']"),
            ((), "bounds['alpha']"),
            (np.eye(2), "bounds['alpha']"),
            ("12", "bounds['alpha']"),
            ({0.1, 1.0}, "bounds['alpha']"),
            ({"lower": 0.1}, "bounds['alpha']"),
            (("0.1", "1"), "bounds['alpha'][0]"),
            ((0.1, "1"), "bounds['alpha'][1]"),
            ((False, True), "bounds['alpha']"),
            ((0.1j, 1), "bounds['alpha'][0]"),
            ((math.nan, 1), "bounds['alpha'][0]"),
            ((0.6, 0.2), "bounds['alpha']"),
            ((0.3, 0.3), "bounds['alpha']"),
            ((math.inf, math.inf), "bounds['alpha']"),
            ((0.1, math.inf), "bounds['alpha']"),
            ((-math.inf, math.inf), "bounds['alpha']"),
            ((0, 1), "bounds['alpha']"),
            ((-1, 1), "bounds['alpha']"),
            ((-2, -1), "bounds['alpha']"),
        )
    ),
    Row(
        "bounds no wider than rounding",
        fitted,
        {"bounds": {"alpha": (0.3, 0.3 + 1e-15)}},
        "bounds['alpha']",
        {"bounds": ..., "fix": {"alpha": 0.3}},
    ),
    *(
        Row(f"tie {arguments.shown(group)}", fitted, {"tie": [group]}, argument)
        for group, argument in (
            ("alpha", "tie[0]"),
            (("alpha",), "tie[0]"),
            ((), "tie[0]"),
            (("alpha", "alpha"), "tie[0]"),
            (("alpha", "beta", "alpha"), "tie[0]"),
            ([("alpha", "beta")], "tie[0][0]"),
            ((["alpha"], "beta"), "tie[0][0]"),
            (("alpha", 3), "tie[0][1]"),
            ({"alpha", "beta"}, "tie[0]"),
            (3, "tie[0]"),
            (None, "tie[0]"),
        )
    ),
    Row("tie flat", fitted, {"tie": ("alpha", "beta")}, "tie[0]"),
    *(
        Row(f"groups by {arguments.shown(by)}", fitted, {"groups": {"A": by}}, argument)
        for by, argument in (
            (3, "groups['A']"),
            (None, "groups['A']"),
            ((), "groups['A']"),
            ("", "groups['A']"),
            (("format", 3), "groups['A'][1]"),
            ({"format"}, "groups['A']"),
            (("format", "format"), "groups['A']"),
        )
    ),
    Row("fix unknown", fitted, {"fix": {"gamma": 1.0}}, "fix", {"fix": {"beta": 0.3}}),
    Row("fix misspelt", fitted, {"fix": {"alpa": 0.3}}, "fix", {"fix": {"alpha": 0.3}}),
    Row("bounds unknown", fitted, {"bounds": {"a": (0, 1)}}, "bounds", {"bounds": {"A": (0, 999)}}),
    Row("bounds by level", fitted, {"bounds": {"A[x]": (0, 1)}}, "bounds", {"bounds": {}}),
    Row("tie unknown", fitted, {"tie": [("alpha", "b")]}, "tie", {"tie": [("alpha", "beta")]}),
    Row("groups unknown", fitted, {"groups": {"Z": "format"}}, "groups", {"groups": {}}),
    Row("fix below bounds", fitted, {"fix": {"E": -1}}, "fix['E']"),
    Row("fix above bounds", fitted, {"fix": {"alpha": 7}}, "fix['alpha']"),
    Row(
        "fix everything",
        fitted,
        {"fix": dict(sf.SURFACES["chinchilla"])},
        "fix",
        {"fix": {"E": 1.69}},
    ),
    Row(
        "fixed and bounded",
        fitted,
        {"fix": {"E": 1.7}, "bounds": {"E": (1, 2)}},
        "bounds",
        {"bounds": {}},
    ),
    Row(
        "fixed and tied",
        fitted,
        {"fix": {"alpha": 0.3}, "tie": [("alpha", "beta")]},
        "tie",
        {"tie": ()},
    ),
    Row(
        "fixed and grouped",
        fitted,
        {"fix": {"A": 400.0}, "groups": {"A": "format"}},
        "groups",
        {"fix": {}},
    ),
    Row(
        "tied and grouped",
        fitted,
        {"tie": [("A", "B")], "groups": {"A": "format"}},
        "groups",
        {"tie": ()},
    ),
    Row("tied twice", fitted, {"tie": [("alpha", "beta"), ("beta", "alpha")]}, "tie"),
    Row("tie of kinds", fitted, {"tie": [("A", "alpha")]}, "tie", {"tie": [("A", "B")]}),
    Row(
        "tied without common bounds",
        fitted,
        {"tie": [("alpha", "beta")], "bounds": {"alpha": (0.1, 0.2), "beta": (0.3, 0.4)}},
        "tie",
        {"bounds": {"alpha": (0.1, 0.4), "beta": (0.3, 0.4)}},
    ),
    Row(
        "an exponent grouped",
        fitted,
        {"groups": {"alpha": "format"}},
        "groups",
        {"groups": {"A": "format"}},
    ),
    *(
        Row(
            f"asymmetry={arguments.shown(value)}",
            fitted,
            {"robust": robust, "asymmetry": value},
            "asymmetry",
        )
        for value in (1.0, 0.1, math.nan, math.inf, "10", 1e300, True)
        for robust in ("asymmetric", "huber")
    ),
    Row("delta of an envelope", fitted, {"robust": "asymmetric", "delta": -1}, "delta"),
    Row("delta of no use", fitted, {"robust": "none", "delta": "x"}, "delta"),
    Row("delta of raw losses", fitted, {"residual": "raw", "delta": 1e-12}, "delta"),
    *(
        Row(f"law={arguments.shown(law)}", fitted, {"law": law}, "law")
        for law in (None, 3, ["chinchilla"], sf.Law, runs(), {"N": 1})
    ),
    *(
        Row(f"runs={arguments.shown(table)}", sf.fit, {"runs": table}, "runs", {"runs": runs()})
        for table in (None, {"N": [1e9]}, "runs.csv", runs()["N"], np.ones((9, 3)), [1, 2])
    ),
    Row("option misspelt", fitted, {"resudual": "raw"}, "resudual", {"resudual": ...}),
]


@pytest.mark.parametrize("row", FIT, ids=str)
def test_nonsense_is_refused_and_mended_as_it_says(row):
    check(row)
