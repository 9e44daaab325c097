"""Malformed tables and calls: each is refused by name, with column, row, value and remedy."""

import gzip
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.grouping import Grouping


@pytest.fixture
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.0)


def says(*parts):
    """A pattern that asks for these parts, in this order."""
    return "(?s)" + ".*".join(re.escape(part) for part in parts)


def put(column, *values, start=3):
    """A change that puts values into a column, from row 3 on."""

    def change(frame):
        filled = list(frame[column]) if column in frame else [1.0] * len(frame)
        filled[start : start + len(values)] = values
        kind = object if any(isinstance(value, str) for value in values) else None
        return frame.assign(**{column: pd.Series(filled, dtype=kind)})

    return change


def column_of(cells):
    """A column that holds each cell as it is."""
    held = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        held[place] = cell
    return pd.Series(held, dtype=object)


def whole(**columns):
    """A change that fills columns with a value."""
    return lambda frame: frame.assign(**columns)


NOT_A_NUMBER = ("Write numbers, as 1.3e9, '1.3B' or '1,300,000,000'",)
LEAVE_OUT = ("keep='abs(",)

TABLES = {
    # what is said of a column, and which column and rows the error names
    "N missing": (lambda f: f.drop(columns="N"), ["no column N", "params", "N='...'"], "N", ()),
    "D missing": (lambda f: f.drop(columns="D"), ["no column D", "tokens", "D='...'"], "D", ()),
    "loss missing": (
        lambda f: f.drop(columns="loss"),
        ["no column loss", "val_loss", "loss='...'", "Columns: N, D, C"],
        "loss",
        (),
    ),
    "nothing recognised": (
        lambda f: f.set_axis(list("wxyz"), axis=1),
        ["no columns N, D, loss", "N='...', D='...', loss='...'", "Columns: w, x, y, z"],
        "N",
        (),
    ),
    "columns of several levels": (
        lambda f: pd.concat({"run": f}, axis=1),
        ["headers of 2 levels, such as ('run', 'N')", "frame.droplevel(0, axis=1)"],
        None,
        (),
    ),
    "N ambiguous": (
        lambda f: f.rename(columns={"N": "params"}).assign(n_params=1.0),
        ["N could be any of the columns params, n_params", "Say which one: N='params'"],
        "N",
        (),
    ),
    "D ambiguous": (
        lambda f: f.rename(columns={"D": "tokens"}).assign(train_tokens=1.0),
        ["D could be any of the columns tokens, train_tokens", "Say which one: D='tokens'"],
        "D",
        (),
    ),
    "loss ambiguous": (
        lambda f: f.rename(columns={"loss": "val_loss"}).assign(eval_loss=1.0),
        ["loss could be any of the columns val_loss, eval_loss", "loss='val_loss'"],
        "loss",
        (),
    ),
    "headers that differ in case only": (
        lambda f: f.rename(columns={"loss": "Loss"}).assign(LOSS=1.0),
        ["loss could be any of the columns Loss, LOSS", "loss='Loss'"],
        "loss",
        (),
    ),
    "column label repeated": (
        lambda f: f.set_axis(["N", "D", "loss", "loss"], axis=1),
        ["two columns called loss", "Rename or remove one"],
        "loss",
        (),
    ),
    "no rows": (lambda f: f.iloc[:0], ["no rows", "Check the file or the query"], None, ()),
    "N zero": (put("N", 0.0), ["'N' is not positive (0) in row 3", "parameters"], "N", (3,)),
    "N negative": (put("N", -7e9), ["'N' is not positive (-7e+09) in row 3"], "N", (3,)),
    "N nan": (
        put("N", np.nan),
        ["'N' is missing (nan) in row 3", "keep='notna(N)' or missing='drop'"],
        "N",
        (3,),
    ),
    "N inf": (put("N", np.inf), ["'N' is not finite (inf) in row 3", *LEAVE_OUT], "N", (3,)),
    "D zero": (put("D", 0.0), ["'D' is not positive (0) in row 3", "tokens"], "D", (3,)),
    "D negative": (put("D", -1.0), ["'D' is not positive (-1) in row 3"], "D", (3,)),
    "D nan": (put("D", np.nan), ["'D' is missing (nan) in row 3", "missing='drop'"], "D", (3,)),
    "D minus inf": (put("D", -np.inf), ["'D' is not finite (-inf)", *LEAVE_OUT], "D", (3,)),
    "loss nan in many rows": (
        put("loss", *[np.nan] * 10),
        ["'loss' is missing (nan) in row 3 (10 such rows: 3, 4, 5, 6, 7, 8, 9, 10 and 2 more)"],
        "loss",
        tuple(range(3, 13)),
    ),
    "loss inf": (
        put("loss", np.inf),
        ["'loss' is not finite (inf) in row 3", "diverged run", "keep='loss < 20'"],
        "loss",
        (3,),
    ),
    "loss zero": (put("loss", 0.0), ["loss is 0 in row 3", "residual='raw'"], "loss", (3,)),
    "loss negative": (
        put("loss", -0.5, -0.6),
        ["loss is -0.5 in row 3", "log residuals need positive losses", "residual='raw'"],
        "loss",
        (3, 4),
    ),
    "weight negative": (
        put("weight", -1.0),
        ["'weight' is negative (-1) in row 3", "zero or more"],
        "weight",
        (3,),
    ),
    "weight nan": (
        put("weight", np.nan),
        ["'weight' is missing", "keep='notna(weight)'"],
        "weight",
        (3,),
    ),
    "weight inf": (
        put("weight", np.inf),
        ["'weight' is not finite", "keep='abs(weight) < inf'"],
        "weight",
        (3,),
    ),
    "weights all zero": (
        whole(weight=0.0),
        ["every value of 'weight' is zero", "at least one run a positive weight"],
        "weight",
        (),
    ),
    "unknown suffix on a number": (
        put("N", "1.3Q"),
        ["'N' is not a number ('1.3Q') in row 3", *NOT_A_NUMBER, "keep=\"N != '1.3Q'\""],
        "N",
        (3,),
    ),
    "suffix on a loss": (
        put("loss", "3.1M"),
        ["'loss' is not a number ('3.1M') in row 3"],
        "loss",
        (3,),
    ),
    "percentages": (
        put("loss", "31 %", "26 %"),
        ["'loss' is a percentage, and not a number ('31 %') in row 3 (2 such rows: 3, 4)"],
        "loss",
        (3, 4),
    ),
    "empty text": (put("loss", ""), ["'loss' is missing (nan) in row 3"], "loss", (3,)),
    "alias named with its header": (
        lambda f: put("N", "big")(f).rename(columns={"N": "Model Size"}),
        ["N (column 'Model Size') is not a number ('big') in row 3"],
        "Model Size",
        (3,),
    ),
    "row labels of the table": (
        lambda f: put("N", "big")(f).set_axis([f"run{i}" for i in range(len(f))]),
        ["'N' is not a number ('big') in row run3"],
        "N",
        ("run3",),
    ),
    "number too large for a float": (
        put("N", 10**400, "rest"),
        ["'N' is too large for a number of 64 bits (", "in row 3"],
        "N",
        (3, 4),
    ),
    "boolean among numbers": (put("N", True), ["'N' is not a number (True) in row 3"], "N", (3,)),
    "booleans": (whole(N=True), ["'N' holds bool values", "another column with N='...'"], "N", ()),
    "booleans as categories": (
        whole(N=pd.Categorical([True] * 75)),
        ["'N' is not a number (True) in row 0 (75 such rows: 0, 1,"],
        "N",
        tuple(range(75)),
    ),
    "datetimes": (
        whole(N=pd.Timestamp("2024-05-01")),
        ["'N' holds datetime64[", "values, not numbers"],
        "N",
        (),
    ),
    "durations": (whole(D=pd.Timedelta("1h")), ["'D' holds timedelta64["], "D", ()),
    "periods": (whole(D=pd.Period("2024", "Y")), ["'D' holds period[Y-DEC]"], "D", ()),
    "complex numbers": (whole(loss=3 + 1j), ["'loss' holds complex", "real part"], "loss", ()),
    "lists": (put("N", [1e9]), ["'N' is not a number ([1000000000.0]) in row 3"], "N", (3,)),
}


@pytest.mark.parametrize(("change", "parts", "column", "rows"), TABLES.values(), ids=TABLES)
def test_malformed_table_is_refused(runs, change, parts, column, rows):
    with pytest.raises(sf.errors.DataError, match=says(*parts)) as caught:
        sf.fit(change(runs))
    assert caught.value.column == column
    assert caught.value.rows == rows
    assert str(caught.value).endswith(caught.value.remedy)


class Lazy:
    """A table of another library."""

    def to_pandas(self):
        raise NotImplementedError


NO_FRAMES = {
    "bytes": (b"runs.csv", "'runs.csv'"),
    "None": (None, "pandas.DataFrame(...)"),
    "number": (3, "pandas.DataFrame(...)"),
    "Series": (pd.Series([1.0]), "pandas.DataFrame(...)"),
    "array": (np.ones((9, 3)), "pandas.DataFrame(runs, columns="),
    "groups": (pd.DataFrame({"N": [1.0]}).groupby("N"), "pandas.DataFrame(...)"),
    "the class": (pd.DataFrame, "pandas.DataFrame(...)"),
    "another library's": (Lazy(), "runs.to_pandas()"),
}


@pytest.mark.parametrize(("what", "remedy"), NO_FRAMES.values(), ids=NO_FRAMES)
def test_anything_but_a_dataframe_is_refused(what, remedy):
    with pytest.raises(
        sf.errors.ArgumentError, match=says("runs=", "is not a table", remedy)
    ) as caught:
        sf.LossTable.from_frame(what)
    assert caught.value.value is what
    with pytest.raises(sf.errors.ArgumentError, match="is not a table"):
        sf.LossTable(what, {}, {})
    with pytest.raises(sf.errors.ArgumentError, match="is not a table"):
        sf.fit(what)


@pytest.mark.parametrize("what", [None, "N", ["N"], {1: "N"}])
def test_a_table_is_not_put_together_of_anything(runs, what):
    with pytest.raises(
        sf.errors.ArgumentError, match=says("sources", "LossTable.from_frame(frame)")
    ):
        sf.LossTable(runs, what, {})
    with pytest.raises(
        sf.errors.ArgumentError, match=says("candidates", "LossTable.from_frame(frame)")
    ):
        sf.LossTable(runs, {}, what)


CALLS = {
    "header unknown": ({"N": "prams"}, ["no column 'prams' for N", "Columns: N, D, C, loss"]),
    "header misspelt": ({"loss": "losss"}, ["no column 'losss'", "Did you mean 'loss'?"]),
    "header a number": ({"N": 3}, ["no column 3 for N", "Columns: N, D, C, loss"]),
    "header given twice": (
        {"N": "C", "D": "C"},
        ["column 'C' is given for both N and D", "a column of its own"],
    ),
    "header of N given away": ({"C": "N"}, ["no column N", "N='...'", "Columns: N, D, loss"]),
    "rule leaves nothing": ({"keep": "C < 1"}, ["no row is left: 75", "'C < 1'", "Loosen"]),
    "two rules leave nothing": (
        {"keep": ["C < 1e18", "C > 1e18"]},
        ["no row is left: 75 were dropped: 60 by 'C < 1e18'; 15 by 'C > 1e18'"],
    ),
    "rule does not parse": ({"keep": "C <"}, ["rule 'C <' makes no sense at its end", "notna("]),
    "rule of unknown column": ({"keep": "U < 1"}, ["'U < 1'", "no column 'U'", "N, D, C, loss"]),
}


@pytest.mark.parametrize(("options", "parts"), CALLS.values(), ids=CALLS)
def test_malformed_reading_call_is_refused(runs, options, parts):
    with pytest.raises(sf.errors.DataError, match=says(*parts)):
        sf.fit(runs, **options)


ARGUMENTS = {
    "header a list": ({"N": ["N"]}, "N", ["N=['N'] is not a column name", "N='...'"]),
    "header none": ({"loss": None}, "loss", ["loss=None is not a column name", "loss='...'"]),
    "header true": ({"N": True}, "N", ["N=True is not a column name", "N='...'"]),
    "header a tuple": ({"D": ("D",)}, "D", ["D=('D',) is not a column name"]),
    "header bytes": ({"D": b"D"}, "D", ["D=b'D' is not a column name"]),
    "missing= unknown": (
        {"missing": "dorp"},
        "missing",
        ["missing='dorp' is not one of 'raise', 'drop'", "Pass missing='drop'"],
    ),
    "missing= none": ({"missing": None}, "missing", ["missing=None", "Pass missing='raise'"]),
    "missing= a list": ({"missing": ["drop"]}, "missing", ["missing=['drop'] is not one of"]),
    "rule empty": ({"keep": [""]}, "keep[0]", ["keep[0]='' is not text", "keep='C < 1e21"]),
    "rule is no text": ({"keep": [5]}, "keep[0]", ["keep[0]=5 is not text", "keep='C < 1e21"]),
    "rule is bytes": ({"keep": b"C < 1"}, "keep", ["keep=b'C < 1' is not a rule", "keep='C"]),
    "keep is a number": ({"keep": 5}, "keep", ["keep=5 is not a rule, or a list of rules"]),
    "keep is nothing": ({"keep": None}, "keep", ["keep=None is not a rule", "keep='C < 1e21"]),
    "keep is a mask": (
        {"keep": pd.Series([True, False])},
        "keep",
        ["is not a rule", "frame[frame['C'] < 1e21]"],
    ),
    "keep is a function": ({"keep": lambda f: f}, "keep", ["is not a rule, or a list of rules"]),
}


@pytest.mark.parametrize(("options", "argument", "parts"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_reading_options_of_other_types_are_refused(runs, options, argument, parts):
    for read in (sf.fit, sf.LossTable.from_frame):
        with pytest.raises(sf.errors.ArgumentError, match=says(*parts)) as caught:
            read(runs, **options)
        assert caught.value.argument == argument
        assert str(caught.value).endswith(caught.value.remedy)


@pytest.mark.parametrize("name", [None, 1.5, ["N"], True, b"N", np.nan, ("N",), {}, slice(None)])
def test_a_table_is_asked_for_columns_by_name(runs, name):
    table = sf.LossTable.from_frame(runs)
    assert name not in table
    for ask in (table.column, table.labels):
        with pytest.raises(sf.errors.ArgumentError, match=says("name=", "is not a column name")):
            ask(name)
    with pytest.raises(sf.errors.DataError, match="no column 7"):
        table.column(7)


def test_dropping_every_row_with_a_missing_loss_is_refused(runs):
    with pytest.raises(sf.errors.DataError, match=says("no row is left: 75", "'missing loss'")):
        sf.fit(runs.assign(loss=np.nan), missing="drop")


@pytest.mark.parametrize(
    "options",
    [{"keep": "C < 1e20"}, {"missing": "drop"}, {"N": "C"}],
    ids=lambda o: next(iter(o)),
)
def test_reading_options_beside_a_table_are_refused(runs, options):
    table = sf.LossTable.from_frame(runs)
    name = next(iter(options))
    with pytest.raises(
        sf.errors.ArgumentError, match=says(f"{name} cannot be given for a LossTable", "read")
    ):
        sf.fit(table, **options)


def test_headers_that_a_table_has_may_be_given_again_as_notes_print_them(runs):
    other = runs.rename(columns={"N": "size", "D": "text"}).assign(size=runs["N"] / 1e9)
    table = sf.read(other, N=("size", 1e9), D="text")
    sf.fit(table, "chinchilla", N=("size", 1e9), D="text")
    with pytest.raises(sf.errors.ArgumentError, match="N cannot be given for a LossTable"):
        sf.fit(table, N=("size", 1e6))


@pytest.mark.parametrize("options", [{"keep": ()}, {"keep": []}, {"missing": "raise"}])
def test_defaults_of_reading_are_accepted_beside_a_table(runs, options):
    table = sf.LossTable.from_frame(runs)
    assert sf.fit(table, **options).params == sf.fit(table).params


@pytest.mark.parametrize("residual", ["log", "relative"])
def test_negative_losses_ask_for_raw_residuals(runs, residual):
    negative = runs.assign(loss=runs["loss"] - 10)
    with pytest.raises(
        sf.errors.DataError, match=says(f"{residual} residuals", "residual='raw'")
    ) as caught:
        sf.fit(negative, residual=residual)
    assert caught.value.rows == tuple(range(75))


# Cells


class Sulky:
    """What does nothing that it is asked to."""

    def _refuse(self, *_, **__):
        raise RuntimeError("sulky")

    __eq__ = __lt__ = __float__ = __bool__ = __len__ = __iter__ = __array__ = _refuse
    __repr__ = __str__ = __getattr__ = _refuse
    __hash__ = None


class Rebel(float):
    """A number that refuses to be one."""

    def _refuse(self, *_):
        raise RuntimeError("sulky")

    __float__ = __eq__ = __repr__ = _refuse
    __hash__ = None


NO_NUMBERS = {
    # a cell, and what is said of it
    "bytes": (b"3.0", "is not a number (b'3.0')"),
    "bytes of numpy": (np.bytes_(b"3.0"), "is not a number ("),
    "truth value": (np.True_, "is not a number (np.True_)"),
    "complex": (complex(3, 0), "is not a number ((3+0j))"),
    "array": (np.array([3.0]), "is not a number (array([3.]))"),
    "array of nothing": (np.array([]), "is not a number (array([]"),
    "truth value in an array": (np.array(True), "is not a number (array(True))"),
    "text in an array": (np.array("3.0"), "is not a number (array('3.0'"),
    "column": (pd.Series([3.0]), "is not a number ("),
    "set": ({3.0}, "is not a number ({3.0})"),
    "function": (len, "is not a number (<built-in function len>)"),
    "class": (int, "is not a number (<class 'int'>)"),
    "date": (pd.Timestamp("2024-05-01"), "is not a number (Timestamp('2024-05-01"),
    "date of numpy": (np.datetime64("2024"), "is not a number (np.datetime64('2024'))"),
    "duration": (pd.Timedelta("1s"), "is not a number (Timedelta("),
    "duration of numpy": (np.timedelta64(3, "s"), "is not a number (np.timedelta64(3,'s'))"),
    "interval": (pd.Interval(0, 1), "is not a number (Interval(0, 1"),
    "signalling": (Decimal("sNaN"), "is not a number (Decimal('sNaN'))"),
    "sulky object": (Sulky(), "is not a number (<"),
    "sulky number": (Rebel(3.0), "is not a number (<"),
    "groups of two": ("1_00_00", "is not a number ('1_00_00')"),
    "hexadecimal": ("0x10", "is not a number ('0x10')"),
    "digits of another script": ("\u0661\u0662", "is not a number ("),
    "blank": ("  ", "is missing (nan)"),
    "the word nan": ("nan", "is missing (nan)"),
    "a dash": ("\u2013", "is missing (nan)"),
    "huge": (10**400, "is too large for a number of 64 bits (1000"),
    "huge and negative": (-(10**400), "is too large for a number of 64 bits (-1000"),
    "huge fraction": (Fraction(10**400, 3), "is too large for a number of 64 bits (Fraction(1000"),
    "huge decimal": (Decimal("1e999"), "is too large for a number of 64 bits (Decimal('1E+999'))"),
    "huge longdouble": (np.longdouble("1e4000"), "is too large for a number of 64 bits ("),
    "huge text": ("1e999", "is too large for a number of 64 bits ('1e999')"),
    "masked": (np.ma.masked, "is missing (nan)"),
    "masked array": (np.ma.array(3.0, mask=True), "is missing (nan)"),
    "no decimal": (Decimal("NaN"), "is missing (nan)"),
    "no time": (np.datetime64("NaT"), "is missing (nan)"),
    "NA": (pd.NA, "is missing (nan)"),
    "infinite decimal": (Decimal("Infinity"), "is not finite (inf)"),
    "infinite text": ("-Infinity", "is not finite (-inf)"),
    "tiny": (1e-200, "is of an impossible size (1e-200)"),
    "vast": (1e300, "is of an impossible size (1e+300)"),
    "vast text": ("1e31", "is of an impossible size (1e+31)"),
    "denormal": (5e-324, "is of an impossible size (4.94066e-324)"),
}


@pytest.mark.parametrize(("cell", "said"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_cells_that_are_no_numbers_are_refused(runs, cell, said):
    # Losses and weights are judged against each other, in the tests of rounding.
    for name in ("N",) if "impossible size" in said else ("N", "loss", "weight"):
        cells = list(runs[name]) if name in runs else [1.0] * len(runs)
        cells[3] = cell
        frame = runs.assign(**{name: column_of(cells)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(
                sf.errors.DataError, match=says(f"'{name}' {said}", "in row 3")
            ) as caught:
                sf.fit(frame)
        assert caught.value.column == name and caught.value.rows == (3,)
        assert frame[name].iloc[3] is cell


def test_an_optional_column_that_holds_anything_is_left_alone(runs):
    cells = [cell for cell, _ in NO_NUMBERS.values()]
    odd = column_of([cells[i % len(cells)] for i in range(len(runs))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for column in (odd, 1 + 2j, True, "x", -1.0, 1e300, pd.Timestamp("2024-05-01"), None):
            assert sf.LossTable.from_frame(runs.assign(C=column, run=column, note=column)).rows
    assert sf.LossTable.from_frame(runs.assign(C=odd), keep="isna(C) or notna(C)").rows
    with pytest.raises(sf.errors.DataError, match="'C' is not a number"):
        sf.LossTable.from_frame(runs.assign(C=odd)).column("C")


NUMBERS = {
    # how a column may hold its numbers
    "decimals": lambda v: column_of([Decimal(repr(float(x))) for x in v]),
    "fractions": lambda v: column_of([Fraction(float(x)) for x in v]),
    "arrays without dimensions": lambda v: column_of([np.array(x) for x in v]),
    "numbers of jax": lambda v: column_of([jax_number(x) for x in v]),
    "text": lambda v: column_of([f" {float(x)!r} " for x in v]),
    "strings": lambda v: v.map(repr).astype("string"),
    "objects": lambda v: v.astype(object),
    "longdouble": lambda v: v.astype(np.longdouble),
    "categories": lambda v: v.astype("category"),
    "sparse": lambda v: v.astype(pd.SparseDtype("float64")),
    "nullable": lambda v: v.astype("Float64"),
    "other byte order": lambda v: pd.Series(v.to_numpy().astype(">f8")),
    "strided": lambda v: pd.Series(np.repeat(v.to_numpy(), 3)[::3]),
}


def jax_number(value):
    import jax

    with jax.enable_x64(True):
        return jax.numpy.asarray(value)


@pytest.fixture(scope="module")
def plain_runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.003, seed=1)


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_any_kind_are_the_same_numbers(plain_runs, kind):
    runs = plain_runs.rename(columns=str)
    columns = {name: NUMBERS[kind](runs[name]) for name in ("N", "D", "loss")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = sf.LossTable.from_frame(runs.assign(**columns))
    for name in columns:
        np.testing.assert_array_equal(table.column(name), runs[name].to_numpy())


class Subclass(pd.DataFrame):
    """A DataFrame that does other things where it is asked the same."""

    @property
    def _constructor(self):
        return Subclass

    def __getitem__(self, key):
        raise RuntimeError("sulky")

    def copy(self, *_, **__):
        raise RuntimeError("sulky")


class Unprinted:
    """A label that has no text."""

    def __repr__(self):
        raise RuntimeError("sulky")


def with_attributes(frame, what):
    frame.attrs["what"] = what
    return frame


FRAMES = {
    "one level of headers": lambda f: f.set_axis(pd.MultiIndex.from_arrays([f.columns]), axis=1),
    "subclass": Subclass,
    "row labels that repeat": lambda f: f.set_axis([0] * len(f)),
    "row labels that are missing": lambda f: f.set_axis([np.nan] * len(f)),
    "row labels of two levels": lambda f: f.set_axis(
        pd.MultiIndex.from_arrays([f.index, ["a"] * len(f)])
    ),
    "dates as row labels": lambda f: f.set_axis(pd.date_range("2024", periods=len(f))),
    "intervals as row labels": lambda f: f.set_axis(pd.interval_range(0, len(f))),
    "row labels named as a column": lambda f: f.rename_axis("N"),
    "header none": lambda f: f.assign(extra=1.0).rename(columns={"extra": None}),
    "header nan": lambda f: f.assign(extra=1.0).rename(columns={"extra": np.nan}),
    "header a tuple": lambda f: f.assign(extra=1.0).set_axis([*f.columns, ("a", 1)], axis=1),
    "header that nothing prints": lambda f: f.assign(x=1.0).rename(columns={"x": Unprinted()}),
    "row labels that nothing prints": lambda f: f.set_axis([Unprinted() for _ in f.index]),
    "attributes that nothing copies": lambda f: with_attributes(f, iter([])),
    "header a number": lambda f: f.assign(extra=1.0).rename(columns={"extra": 7}),
}


ROW_LABELS = {
    "of two lines": ("a\nb", "in row a\\nb"),
    "of no end": ("ab" * 5000, "in row " + "ab" * 38 + "a..."),
    "of no text": (Unprinted(), "in row <Unprinted>"),
    "of two levels": ((1, "a"), "in row (1, 'a')"),
}


@pytest.mark.parametrize(("label", "said"), ROW_LABELS.values(), ids=ROW_LABELS)
def test_row_labels_are_said_in_one_line(runs, label, said):
    labels = np.empty(len(runs), dtype=object)
    labels[:] = range(len(runs))
    labels[3] = label
    frame = put("N", np.nan)(runs).set_axis(pd.Index(labels, tupleize_cols=False))
    with pytest.raises(sf.errors.DataError, match=says("'N' is missing (nan)", said)) as caught:
        sf.LossTable.from_frame(frame)
    assert "\n" not in str(caught.value) and caught.value.rows == (label,)


@pytest.mark.parametrize("change", FRAMES.values(), ids=FRAMES)
def test_frames_of_any_kind_are_the_same_table(runs, change):
    frame = change(runs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = sf.LossTable.from_frame(frame, keep="N > 0 and loss < 100")
    for name in ("N", "D", "loss", "C"):
        np.testing.assert_array_equal(table.column(name), runs[name].to_numpy())
    assert len(table.rows) == len(runs) and repr(table)


SIZES = {
    # factors of N, D and loss within what is computed with: the same fit
    "small counts": (1e-30, 1e-35, 1.0),
    "large counts": (1e18, 1e15, 1.0),
    "small losses": (1.0, 1.0, 1e-28),
    "large losses": (1.0, 1.0, 1e28),
}


@pytest.mark.parametrize(
    "options", [{}, {"residual": "raw", "robust": "l1"}], ids=["log", "raw l1"]
)
@pytest.mark.parametrize("factors", SIZES.values(), ids=SIZES)
def test_a_fit_does_not_depend_on_units_of_any_size(plain_runs, factors, options):
    scaled = plain_runs[["N", "D", "loss"]] * np.array(factors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit, plain = sf.fit(scaled, **options), sf.fit(plain_runs[["N", "D", "loss"]], **options)
    for name in ("alpha", "beta"):
        assert fit.params[name] == pytest.approx(plain.params[name], rel=1e-9)
    assert fit.params["E"] == pytest.approx(plain.params["E"] * factors[2], rel=1e-9)


def test_a_start_that_ends_at_no_number_is_passed_over(monkeypatch):
    monkeypatch.setattr("scalefit.data.column_checks.MOST", 1e300)
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.003, seed=1)[
        ["N", "D", "loss"]
    ]
    options = {"residual": "raw", "robust": "l1"}
    fit, plain = sf.fit(runs * np.array([1e60, 1e60, 1.0]), **options), sf.fit(runs, **options)
    assert fit.params["alpha"] == pytest.approx(plain.params["alpha"], rel=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 1e200, 1e-300])
@pytest.mark.parametrize("column", ["N", "D", "C"])
def test_impossible_sizes_are_refused_with_the_unit_that_helps(plain_runs, column, factor):
    runs = plain_runs
    scaled = runs.assign(**{column: runs[column] * factor})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            sf.errors.DataError, match=f"'{column}' is of an impossible size"
        ) as caught:
            sf.LossTable.from_frame(scaled).column(column)
    remedy = f"runs.assign(**{{'{column}': runs['{column}'] / runs['{column}'].median()}})"
    assert remedy in caught.value.remedy


# Designs that identify nothing


DESIGNS = {
    "one N": (
        whole(N=1e8),
        ["every run has N = 1e+08 (rows 0, 1,", "effects of E, A, alpha", "law='chinchilla_d'"],
        "N",
    ),
    "one D": (whole(D=2e9), ["every run has D = 2e+09", "law='chinchilla_n'", "other D"], "D"),
    "one tokens-per-parameter ratio": (
        lambda f: f.assign(D=20 * f["N"]),
        ["every run has D/N = 20 within 1 %", "effects of N and D", "IsoFLOP sweep"],
        "D",
    ),
    "one ratio to rounding of steps": (
        lambda f: f.assign(D=20 * f["N"] * (1 + 1e-3 * (f.index % 7))),
        ["every run has D/N = 20", "within 1 %"],
        "D",
    ),
    "fewer runs than parameters": (
        lambda f: f.iloc[:4],
        ["4 runs cannot identify the 5 free parameters of 'chinchilla' (rows 0, 1, 2, 3)", "fixed"],
        None,
    ),
    "fewer distinct points than parameters": (
        lambda f: pd.concat([f.iloc[:4]] * 20, ignore_index=True),
        ["4 distinct (N, D) points cannot identify the 5 free parameters", "Add runs"],
        None,
    ),
    "fewer weighted runs than parameters": (
        lambda f: f.assign(weight=[1.0] * 4 + [0.0] * 71),
        ["4 runs cannot identify the 5 free parameters", "(rows 0, 1, 2, 3)"],
        None,
    ),
}


@pytest.mark.parametrize(("change", "parts", "column"), DESIGNS.values(), ids=DESIGNS)
def test_design_that_cannot_identify_the_law_is_refused(runs, change, parts, column):
    with pytest.raises(sf.errors.DataError, match=says(*parts)) as caught:
        sf.fit(change(runs))
    assert caught.value.column == column
    assert len(caught.value.rows) > 0


def test_one_n_is_blamed_on_the_table_when_the_law_is_new(runs):
    @sf.law(source="a law that no table has met")
    def fresh(
        N,
        D,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
    ):
        return E + A * N**-alpha + B * D**-0.3

    with pytest.raises(sf.errors.DataError, match="every run has N"):
        sf.fit(runs.assign(N=1e8), fresh)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_runs_are_blamed_on_the_table_when_the_law_is_new(runs, rows):
    @sf.law(source="a law that no table has met")
    def fresh(
        N,
        D,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        B: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
    ):
        return E + A * N**-alpha + B * D**-0.3

    with pytest.raises(
        sf.errors.DataError, match=f"{rows} runs cannot identify the 4 free parameters"
    ):
        sf.fit(runs.iloc[:rows], fresh)


# Files


def file_of(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


GZIPPED = gzip.compress(b"N,D,loss\n" + b"1e8,2e9,3.5\n" * 50)

FILES = {
    "repeated header in CSV": ("r.csv", b"N,D,loss,loss\n1,2,3,4\n", ["two columns called loss"]),
    "repeated header in TSV": ("r.tsv", b"N\tN\tD\tloss\n1\t1\t2\t3\n", ["two columns called N"]),
    "CSV without content": ("r.csv", b"", ["'r.csv' cannot be read as csv", "No columns"]),
    "CSV without rows": ("r.csv", b"N,D,loss\n", ["the table has no rows"]),
    "CSV with a long row": (
        "r.csv",
        b"N,D,loss\n1,2,3\n1,2,3,4,5\n",
        ["line 3 of 'r.csv' has 5 fields, and its header 3"],
    ),
    "CSV with long rows throughout": (
        "r.csv",
        b"N,D,loss\n1,2,3,4\n1,2,3,4\n",
        ["the rows of 'r.csv' have more fields than its header", "Columns: N, D, loss"],
    ),
    "CSV with a short row": ("r.csv", b"N,D,loss\n1,2,3\n1,2\n", ["'loss' is missing", "row 1"]),
    "CSV in another encoding": ("r.csv", "N,D\n1,2".encode("utf-16-le"), ["is no text", "zero"]),
    "CSV with a word": ("r.csv", b"N,D,loss\nbig,2,3\n", ["'N' is not a number ('big')"]),
    "CSV that is not gzipped": ("r.csv.gz", b"N,D,loss\n1,2,3\n", ["'r.csv.gz' cannot be read as"]),
    "CSV cut short": ("r.csv.gz", GZIPPED[:-12], ["'r.csv.gz' cannot be read as csv", "ended"]),
    "Parquet broken": ("r.parquet", b"PAR1 not PAR1", ["'r.parquet' cannot be read as parquet"]),
    "JSON lines broken": (
        "r.jsonl",
        b'{"N": 1\n',
        ["'r.jsonl' cannot be read as jsonl", "convert"],
    ),
    "JSON lines without content": ("r.jsonl", b"", ["the table has no rows"]),
    "JSON lines of mixed kinds": (
        "r.ndjson",
        b'{"N": 1}\n5\n',
        ["cannot be read as jsonl (line 2 is 5, no object)"],
    ),
    "JSON lines with nesting": (
        "r.jsonl",
        b'{"N": [{"a": 1}]}\n',
        ["'N' is not a number ([{'a': 1}])"],
    ),
    "unknown suffix": ("r.xyz", b"", ["cannot tell the format of", ".csv, .tsv, .tab"]),
    "no suffix": ("runs", b"", ["cannot tell the format of", ".csv, .tsv, .tab"]),
}


@pytest.mark.parametrize(("name", "content", "parts"), FILES.values(), ids=FILES)
def test_malformed_file_is_refused(tmp_path, name, content, parts):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(sf.errors.DataError, match=says(*parts)):
        sf.read(file_of(tmp_path, name, content))


def test_repeated_header_is_not_called_a_broken_file(tmp_path):
    with pytest.raises(
        sf.errors.DataError, match=r"^the table has two columns called D\. "
    ) as caught:
        sf.read(file_of(tmp_path, "runs.csv", b"N,D,D,loss\n1,2,3,4\n"))
    assert caught.value.column == "D"


def test_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(sf.errors.DataError, match=says("no file", "nowhere.csv", "Check the path")):
        sf.read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["folder", "folder.csv"])
def test_folder_is_no_file(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(
        sf.errors.DataError, match=says(name, "is a folder", "Give the path of one table")
    ):
        sf.read(tmp_path / name)


# Laws and what is asked of their parameters


def undecorated(N, D, *, E):
    return E


@pytest.mark.parametrize(
    ("law", "parts"),
    [
        pytest.param("chinchila", ["'chinchila'", "Did you mean 'chinchilla'?"], id="misspelt"),
        pytest.param("kaplan1066", ["'kaplan1066'", "scalefit.laws.table() lists"], id="unknown"),
        pytest.param(undecorated, ["'undecorated'", "@scalefit.law"], id="undecorated"),
    ],
)
def test_what_is_no_law_is_refused(runs, law, parts):
    with pytest.raises(sf.errors.LawError, match=says(*parts)):
        sf.fit(runs, law)


# Groups


@pytest.fixture
def labelled(runs):
    return runs.assign(
        format=np.array(["bf16", "fp8", "int4"])[runs.index % 3], bits=16.0, corpus=runs.index % 2
    )


LABELS = {
    # what is done to the table, the groups, what is said, the column and the rows named
    "column missing": (
        lambda f: f,
        {"A": "fromat"},
        ["no column 'fromat' to group by", "Columns: N, D, C, loss, format"],
        "fromat",
        (),
    ),
    "label missing": (
        lambda f: f.assign(format=f["format"].mask(f.index.isin([3, 5]))),
        {"A": "format"},
        ["'format' is missing in row 3 (2 such rows: 3, 5)", "keep='notna(format)'"],
        "format",
        (3, 5),
    ),
    "number missing": (
        lambda f: f.assign(bits=f["bits"].mask(f.index == 7)),
        {"A": ("format", "bits")},
        ["'bits' is missing in row 7", "keep='notna(bits)'"],
        "bits",
        (7,),
    ),
    "label empty": (
        lambda f: f.assign(format=f["format"].where(f.index != 4, "")),
        {"A": "format"},
        ["'format' is no label ('') in row 4", "text of one line, numbers, truth values or dates"],
        "format",
        (4,),
    ),
    "label of two lines": (
        lambda f: f.assign(format=f["format"].where(f.index != 4, "a\nb")),
        {"A": "format"},
        ["'format' is no label ('a\\nb') in row 4", "text of one line"],
        "format",
        (4,),
    ),
    "label that no file holds": (
        lambda f: f.assign(format=f["format"].astype(object).where(f.index > 0, "\ud800")),
        {"A": "format"},
        ["'format' is no label ('\\ud800') in row 0"],
        "format",
        (0,),
    ),
    "one level": (
        lambda f: f,
        {"A": "bits"},
        ["bits has one level only (16)", "Leave it out of groups"],
        "bits",
        (),
    ),
    "one level with weight": (
        lambda f: f.assign(weight=(f["format"] == "fp8").astype(float)),
        {"A": "format"},
        ["format has one level only (fp8)"],
        "format",
        (),
    ),
    "a level for every run": (
        lambda f: f.assign(run=f.index),
        {"A": "run"},
        ["75 runs cannot identify the 79 free parameters"],
        None,
        tuple(range(75)),
    ),
    "fewer runs than coefficients of its own": (
        lambda f: f.assign(format=f["format"].mask(f.index == 4, "rare")),
        {"E": "format", "B": "format"},
        ["level 'rare' of format has fewer distinct runs (rows 4)", "(E, B)", "keep rule"],
        "format",
        (4,),
    ),
    "fewer distinct runs than coefficients of its own": (
        lambda f: pd.concat([f, f.iloc[[4, 4]].assign(format="rare")], ignore_index=True),
        {"E": "format", "A": "format"},
        ["level 'rare' of format has fewer distinct runs (rows 75, 76)", "(E, A)"],
        "format",
        (75, 76),
    ),
    "a level of one N": (
        lambda f: f.assign(N=f["N"].mask(f["format"] == "fp8", 1e8)),
        {"E": "format", "A": "format"},
        ["every run of level 'fp8' of format has N = 1e+08", "its E, A are one", "with other N"],
        "N",
        tuple(range(1, 75, 3)),
    ),
    "every level of one N": (
        lambda f: f.assign(N=f["format"].map({"bf16": 1e8, "fp8": 2e8, "int4": 3e8})),
        {"A": "format"},
        ["each level of format has one N only", "effects of E, A, alpha", "fix or group fewer"],
        "N",
        tuple(range(75)),
    ),
    "offsets of levels of one N": (
        lambda f: f.assign(N=f["format"].map({"bf16": 1e8, "fp8": 2e8, "int4": 3e8})),
        {"E": "format"},
        ["each level of format has one N only", "effects of E, A, alpha"],
        "N",
        tuple(range(75)),
    ),
}


@pytest.mark.parametrize(
    ("change", "groups", "parts", "column", "rows"), LABELS.values(), ids=LABELS
)
def test_table_that_groups_cannot_be_fitted_to_is_refused(
    labelled, change, groups, parts, column, rows
):
    with pytest.raises(sf.errors.DataError, match=says(*parts)) as caught:
        sf.fit(change(labelled), groups=groups)
    assert caught.value.column == column
    assert caught.value.rows == rows


@pytest.fixture(scope="module")
def grouped():
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
    runs["format"] = np.array(["bf16", "fp8", "int4"])[runs.index % 3]
    runs["bits"] = runs.index // 3 % 2
    return sf.fit(runs, groups={"A": "format", "B": ("format", "bits")})


LEVELS = {
    "column missing": ({}, ["one coefficient for each format", "Say which: format='bf16'", "fp8"]),
    "second column missing": (
        {"format": "fp8"},
        ["each format and bits, and bits is not given", "format='bf16', bits='0'", "bf16/0"],
    ),
    "level unknown": (
        {"format": "fp4", "bits": 0},
        ["'fp4' is not a level of format that was fitted", "Levels: bf16, fp8, int4"],
    ),
    "combination unknown": (
        {"format": "fp8", "bits": 2},
        ["'fp8/2' is not a level of format and bits that was fitted", "bf16/0, bf16/1"],
    ),
    "level missing": ({"format": np.nan, "bits": 0}, ["'nan' is not a level of format"]),
    "level none": ({"format": None, "bits": 0}, ["'None' is not a level of format"]),
    "level empty": ({"format": "", "bits": 0}, ["is not a level of format", "Levels: bf16"]),
    "level bytes": ({"format": b"fp8", "bits": 0}, ["\"b'fp8'\" is not a level of format"]),
    "level a mapping": ({"format": {"fp8": 1}, "bits": 0}, ["is not a level of format"]),
    "level of lists": ({"format": "fp8", "bits": {1}}, ["is not a level of format and bits"]),
    "level a slash": ({"format": "fp8/1", "bits": 1}, ["'fp8/1' is not a level of format"]),
    "level very long": ({"format": "x" * 10_000, "bits": 0}, ["...", "is not a level of format"]),
    "level in other case": ({"format": "FP8", "bits": 0}, ["'FP8' is not a level"]),
}


@pytest.mark.parametrize(("levels", "parts"), LEVELS.values(), ids=LEVELS)
def test_predictions_and_surfaces_ask_for_a_level_that_was_fitted(grouped, levels, parts):
    for ask in (grouped.at, lambda **levels: grouped.predict(N=1e9, D=1e10, **levels)):
        with pytest.raises(sf.errors.DataError, match=says(*parts)):
            ask(**levels)


NO_LABELS = {
    "bytes": b"fp8",
    "list": ["fp8"],
    "tuple": ("fp8",),
    "mapping": {"a": 1},
    "array": np.array("fp8"),
    "complex": 1j,
    "signalling": Decimal("sNaN"),
    "object": object(),
    "sulky": Sulky(),
}


@pytest.mark.parametrize("label", NO_LABELS.values(), ids=NO_LABELS)
def test_what_is_no_label_is_refused(labelled, grouped, label):
    cells = list(labelled["format"])
    cells[4] = label
    mixed = labelled.assign(format=column_of(cells))
    with pytest.raises(
        sf.errors.DataError, match=says("'format' is no label (", "in row 4")
    ) as caught:
        sf.fit(mixed, groups={"A": "format"})
    assert (caught.value.column, caught.value.rows) == ("format", (4,))
    if not isinstance(label, list | tuple | np.ndarray):
        with pytest.raises(sf.ScalefitError, match=r"is not a (level of format|value of a column)"):
            grouped.at(format=label, bits=0)


LABELS_OF_MANY_KINDS = {
    "brackets": ("a]", "b[c]"),
    "slashes": ("a/b", "c\\/d"),
    "quotes": ("a'b", 'c"d'),
    "markup": ("<b>", "&"),
    "truth values": (True, False),
    "numbers and text": (4, "fp8"),
    "dates": (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-01")),
    "intervals": (pd.Interval(0, 1), pd.Interval(1, 2)),
    "the word of nothing": ("None", "nan"),
}


@pytest.mark.parametrize("labels", LABELS_OF_MANY_KINDS.values(), ids=LABELS_OF_MANY_KINDS)
def test_labels_of_many_kinds_are_levels(runs, labels):
    frame = runs.assign(kind=column_of([labels[i % 2] for i in runs.index]), one="x")
    table, used = sf.LossTable.from_frame(frame), np.ones(len(runs), dtype=bool)
    for columns in (("kind",), ("kind", "one")):
        grouping = Grouping.of(table, columns, used)
        assert len(grouping.levels) == 2
        np.testing.assert_array_equal(grouping.codes_of(grouping.example), 0)
        each = grouping.codes_of({"kind": column_of(labels), "one": "x"})
        np.testing.assert_array_equal(np.sort(each), [0, 1])
    with pytest.raises(sf.errors.DataError, match="is not a level of kind and one"):
        grouping.codes_of({"kind": None, "one": "x"})


def test_one_and_one_and_one_are_one_level(runs):
    frame = runs.assign(bits=column_of([(1, 1.0, "1", 2)[i % 4] for i in runs.index]))
    grouping = Grouping.of(sf.LossTable.from_frame(frame), ["bits"], np.ones(len(runs), dtype=bool))
    assert grouping.levels == ("1", "2")


def test_predictions_name_the_row_of_an_unknown_level(grouped):
    table = sf.simulation.isoflop_design([1e19], points=4).assign(format="fp8", bits=[0, 1, 7, 8])
    with pytest.raises(sf.errors.DataError, match=r"'fp8/7' is not a level .*\(row 2\)") as caught:
        grouped.predict(table)
    assert caught.value.rows == (2, 3)
    with pytest.raises(sf.errors.DataError, match="no column 'bits' to group by"):
        grouped.predict(table.drop(columns="bits"))


def test_columns_that_nothing_differs_by_are_refused(grouped):
    with pytest.raises(sf.errors.DataError, match=says("differs by 'corpus'", "bits, format")):
        grouped.at(format="fp8", bits=1, corpus="web")
    with pytest.raises(
        sf.errors.ArgumentError, match=says("N, D, format, bits", "from N, D, fromat")
    ):
        grouped.predict(N=1e9, D=1e10, fromat="fp8")


def test_one_surface_is_of_one_level(grouped):
    with pytest.raises(
        sf.errors.DataError, match=says("several values of format", "one level at a time")
    ):
        grouped.at(format=["fp8", "int4"], bits=1)


def test_what_needs_one_surface_asks_for_it(grouped, runs):
    asks = says("one A for each format", "fit.at(format='bf16', bits='0')", "bf16, fp8, int4")
    with pytest.raises(sf.errors.DataError, match=asks):
        sf.allocate(grouped, 1e22)
    with pytest.raises(sf.errors.DataError, match=asks):
        sf.plot.surface(grouped, runs)
    assert sf.allocate(grouped.at(format="bf16", bits="0"), 1e22).N > 0
