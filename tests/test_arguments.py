"""The border: what is a number, a count, a word, a path, and what only looks like one."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import arguments

REMEDY = "Pass the budget in FLOP, as flops=1e24"


class Sulky:
    """What cannot be printed, compared or converted."""

    def __repr__(self):
        raise RuntimeError("no")

    __array__ = __float__ = __index__ = __eq__ = __repr__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


NO_NUMBERS = {
    "text": "x",
    "digits": "1e24",
    "empty text": "",
    "bytes": b"3",
    "none": None,
    "truth": True,
    "numpy truth": np.True_,
    "complex": 1j,
    "complex without an imaginary part": complex(3, 0),
    "nan": math.nan,
    "infinity": math.inf,
    "beyond float64": 10**400,
    "beyond what Python prints": 10**5000,
    "decimal nan": Decimal("NaN"),
    "signalling nan": Decimal("sNaN"),
    "date": np.datetime64("2020-01-01"),
    "stamp": pd.Timestamp("2020-01-01"),
    "span": pd.Timedelta("1s"),
    "missing": pd.NA,
    "mapping": {"a": 1},
    "set": {1e22},
    "iterator": iter([1e24]),
    "function": lambda: 1,
    "class": int,
    "ragged": [[1, 2], [3]],
    "mixed": [1e24, "x"],
    "truths": [1, True][1:],
    "masked": np.ma.masked,
    "partly masked": np.ma.array([1.0, 2.0], mask=[False, True]),
    "nullable": pd.Series([1, None], dtype="Int64"),
    "records": np.array([(1.0,)], dtype=[("x", float)]),
    "void": np.void(b"abcdefgh"),
    "sulky": Sulky(),
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("check", [arguments.number, arguments.numbers], ids=["number", "numbers"])
def test_what_is_no_number_is_refused_by_argument_value_and_remedy(check, value):
    with pytest.raises(sf.errors.ArgumentError, match=r"^flops.* not a positive number") as caught:
        check(value, "flops", remedy=REMEDY, above=0)
    assert caught.value.argument.startswith("flops")
    assert caught.value.remedy == REMEDY
    assert str(caught.value).endswith(f". {REMEDY}")
    assert len(str(caught.value)) < 250
    assert isinstance(caught.value, sf.ScalefitError)
    assert isinstance(caught.value, ValueError)


NUMBERS = {
    "float": 2.5,
    "integer": 10**24,
    "decimal": Decimal("1e24"),
    "fraction": Fraction(1, 3),
    "half": np.float16(6e4),
    "brain": jnp.bfloat16(2),
    "array of none": np.array(1.7),
    "traced no more": jnp.float32(3),
    "big endian": np.array(3.0, dtype=">f8"),
}


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_numbers_pass_as_float64(value):
    found = arguments.number(value, "flops", remedy=REMEDY, above=0)
    assert type(found) is float
    assert found == float(value)


def test_sequences_keep_their_shape_and_the_place_of_what_is_wrong_is_named():
    for value in ([[1, 2], [3, 4]], np.arange(1, 5).reshape(2, 2), pd.DataFrame([[1, 2], [3, 4]])):
        found = arguments.numbers(value, "flops", remedy=REMEDY)
        assert found.dtype == np.float64
        assert np.array_equal(found, [[1, 2], [3, 4]])
    assert arguments.numbers([], "flops", remedy=REMEDY).shape == (0,)
    with pytest.raises(
        sf.errors.ArgumentError, match=r"^flops\[1, 0\]=-3\.0 is not a positive number\."
    ):
        arguments.numbers([[1, 2], [-3, 4]], "flops", remedy=REMEDY, above=0)
    with pytest.raises(sf.errors.ArgumentError, match=r"^flops\[1\]='x' is not a number\."):
        arguments.numbers([1.0, "x"], "flops", remedy=REMEDY)
    with pytest.raises(sf.errors.ArgumentError, match="is not one number"):
        arguments.number([1.0, 2.0], "flops", remedy=REMEDY)


def test_limits_are_kept_and_said():
    def level(value, **limits):
        return arguments.number(value, "level", remedy="Pass level=0.95", **limits)

    assert level(0, least=0) == 0
    assert level(1, most=1) == 1
    for value, limits, said in (
        (0, {"above": 0, "below": 1}, "a number above 0 and below 1"),
        (1, {"above": 0, "below": 1}, "a number above 0 and below 1"),
        (-1, {"least": 0}, "a number of at least 0"),
        (2, {"most": 1}, "a number of at most 1"),
    ):
        with pytest.raises(
            sf.errors.ArgumentError, match=f"^level={value} is not {said}. Pass level"
        ):
            level(value, **limits)
    assert level(math.inf, infinite=True) == math.inf
    with pytest.raises(sf.errors.ArgumentError):
        level(math.nan, infinite=True)
    assert np.isnan(arguments.numbers([math.nan], "x", remedy="Pass x=1", missing=True)).all()


def test_counts_are_whole_and_no_fraction_is_rounded():
    for value in (3, np.int8(3), np.uint64(3)):
        found = arguments.whole(value, "n", least=1, remedy="Pass n=200")
        assert type(found) is int
        assert found == 3
    for value in (1.0, 1.5, "3", None, True, -1, 0, math.nan, [3], 3j, Sulky()):
        with pytest.raises(
            sf.errors.ArgumentError, match=r"not a whole number of at least 1. Pass n=200"
        ):
            arguments.whole(value, "n", least=1, remedy="Pass n=200")
    with pytest.raises(sf.errors.ArgumentError, match="from 1 to 9"):
        arguments.whole(10, "n", least=1, most=9, remedy="Pass n=9")
    assert arguments.seed(0) == 0
    for value in (-1, "x", 1.5, None):
        with pytest.raises(
            sf.errors.ArgumentError, match=r"^seed=.* Pass a whole number, as seed=0"
        ):
            arguments.seed(value)


def test_words_flags_names_functions_and_paths():
    assert arguments.choice("log", "residual", ("log", "raw")) == "log"
    with pytest.raises(sf.errors.ArgumentError, match=r"one of 'log', 'raw'. Pass residual='raw'"):
        arguments.choice("rwa", "residual", ("log", "raw"))
    for value in (None, ["log"], 3, Sulky()):
        with pytest.raises(sf.errors.ArgumentError, match="Pass residual='log'"):
            arguments.choice(value, "residual", ("log", "raw"))
    assert arguments.flag(np.False_, "certify") is False
    for value in ("no", 0, None):
        with pytest.raises(sf.errors.ArgumentError, match="is not True or False"):
            arguments.flag(value, "certify")
    assert arguments.names("a", "by", remedy="Pass by='C'") == ("a",)
    assert arguments.names(["a", "b"], "by", remedy="Pass by='C'") == ("a", "b")
    for value in ("", b"a", 3, None, ["a", 3], {"a": 1}):
        with pytest.raises(sf.errors.ArgumentError, match="Pass by='C'"):
            arguments.names(value, "by", remedy="Pass by='C'")
    with pytest.raises(
        sf.errors.ArgumentError, match=r"^keep=3 is not a rule, or a list of rules\. "
    ):
        arguments.names(3, "keep", remedy="Pass keep='C < 1e21'", wanted="rule")
    with pytest.raises(
        sf.errors.ArgumentError, match=r"^keep\[0\]='' is not text that says something\. "
    ):
        arguments.names([""], "keep", remedy="Pass keep='C < 1e21'", wanted="rule")
    assert arguments.mapping({"E": 1}, "fixed", remedy="Pass fixed={'E': 1.7}") == {"E": 1}
    for value in (["E"], "E", None, {1: 2}):
        with pytest.raises(sf.errors.ArgumentError, match="Pass fixed="):
            arguments.mapping(value, "fixed", remedy="Pass fixed={'E': 1.7}")
    assert arguments.function(len, "cost", remedy="Pass a function") is len
    with pytest.raises(sf.errors.ArgumentError, match=r"^cost=None is not a function"):
        arguments.function(None, "cost", remedy="Pass a function")
    assert arguments.file_path("a/b.csv", "path", remedy="Pass 'runs.csv'") == Path("a/b.csv")
    for value in (None, 3, "", b"x.csv", "a\0b.csv", "\ud800.csv"):
        with pytest.raises(sf.errors.ArgumentError, match="is not the path of a file"):
            arguments.file_path(value, "path", remedy="Pass 'runs.csv'")


def test_a_traced_number_is_refused_and_not_a_traceback_of_jax():
    with pytest.raises(sf.errors.ArgumentError, match="flops"):
        jax.jit(lambda x: arguments.number(x, "flops", remedy=REMEDY))(1.0)


def test_none_of_several_numbers_is_allowed_unless_it_is_not():
    with pytest.raises(
        sf.errors.ArgumentError, match=r"^flops=\[\] is not a positive number\. Pass the"
    ):
        arguments.numbers([], "flops", above=0, remedy=REMEDY, empty=False)
    assert arguments.numbers(3, "flops", above=0, remedy=REMEDY, empty=False) == 3


def test_objects_are_of_their_class():
    options = {"wanted": "a path", "remedy": "Pass path=Path('x')"}
    path = Path("x")
    assert arguments.instance(path, "path", Path, **options) is path
    assert arguments.instance("x", "path", (Path, str), **options) == "x"
    for value in (None, {}, 3, Sulky()):
        with pytest.raises(
            sf.errors.ArgumentError, match=r"^path=.* is not a path. Pass path=Path"
        ):
            arguments.instance(value, "path", Path, **options)


def test_arrays_broadcast_or_the_first_that_does_not_is_named():
    given = {"N": np.zeros(3), "D": np.zeros((2, 1)), "held['U']": np.zeros(())}
    assert arguments.broadcast_shape(given, remedy="Give numbers") == (2, 3)
    assert arguments.broadcast_shape({}, remedy="Give numbers") == ()
    given["loss"] = np.zeros(4)
    with pytest.raises(sf.errors.ArgumentError) as caught:
        arguments.broadcast_shape(given, remedy="Give numbers")
    assert caught.value.argument == "loss"
    assert str(caught.value) == (
        "loss of shape (4,) does not fit N of shape (3,), D of shape (2, 1), held['U'] of shape "
        "(). Give numbers"
    )


def test_what_a_function_of_the_callers_raises_is_said_and_kept():
    def mine(N, *, k):
        return N / k

    remedy = "Write it for every k"
    assert arguments.answered(mine, "cost", 6.0, k=2.0, remedy=remedy) == 3
    with pytest.raises(sf.errors.ArgumentError) as caught:
        arguments.answered(mine, "cost", 6.0, k=0, remedy=remedy)
    line = mine.__code__.co_firstlineno
    assert str(caught.value) == (
        f"cost=mine (test_arguments.py:{line}) raises ZeroDivisionError: float division by zero. "
        "Write it for every k"
    )
    assert caught.value.value is mine
    assert isinstance(caught.value.__cause__, ZeroDivisionError)

    def silent():
        raise KeyError

    with pytest.raises(sf.errors.ArgumentError, match=r"raises KeyError\. Write"):
        arguments.answered(silent, "cost", remedy=remedy)

    def knowing():
        raise sf.errors.AllocationError("no budget")

    with pytest.raises(sf.errors.AllocationError, match=r"^no budget$"):
        arguments.answered(knowing, "cost", remedy=remedy)


def test_more_memory_than_there_is_is_refused_before_it_is_asked_for(monkeypatch):
    arguments.affordable(10, "n", 8, remedy="Pass n=1000")
    with pytest.raises(sf.errors.ArgumentError) as caught:
        arguments.affordable(10**12, "n", 8000, remedy="Pass n=1000")
    assert str(caught.value).startswith("n=1000000000000 would take 8e+06 GB, more than the ")
    with pytest.raises(sf.errors.ArgumentError, match="GB of memory that one call may take here"):
        arguments.affordable(10**400, "n", 8, remedy="Pass n=1000")
    monkeypatch.setattr(arguments.os, "sysconf", lambda name: 1e9)
    arguments.affordable(10**12, "n", 8000, remedy="Pass n=1000")
    monkeypatch.delattr(arguments.os, "sysconf")
    with pytest.raises(sf.errors.ArgumentError, match=r"more than the 8\.59 GB"):
        arguments.affordable(10, "n", 10**10, remedy="Pass n=1000")


def test_tables_and_functions_are_shown_by_what_they_are():
    assert arguments.shown(pd.DataFrame({"N": [1, 2]})) == "<DataFrame of shape (2, 1)>"
    assert arguments.shown(pd.Series([1])) == "<Series of shape (1,)>"
    line = test_tables_and_functions_are_shown_by_what_they_are.__code__.co_firstlineno
    assert arguments.shown(lambda: 1) == f"<lambda> (test_arguments.py:{line + 4})"
    assert arguments.shown(len) == "<built-in function len>"
