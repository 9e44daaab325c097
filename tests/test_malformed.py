"""Malformed tables and calls: each is refused by name, with column, row, value and remedy."""

import gzip
import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@pytest.fixture
def runs():
    return sf.simulate(sf.isoflop_design(), noise=0.0)


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


def whole(**columns):
    """A change that fills columns with a value."""
    return lambda frame: frame.assign(**columns)


NOT_A_NUMBER = ("Write plain numbers in raw counts: 1.3e9, not '1.3B'",)
LEAVE_OUT = ("keep='abs(`",)

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
        ["no column N", "Columns: w, x, y, z"],
        "N",
        (),
    ),
    "columns of several levels": (
        lambda f: pd.concat({"run": f}, axis=1),
        ["no column N", "('run', 'N')"],
        "N",
        (),
    ),
    "N ambiguous": (
        whole(n_params=1.0),
        ["N could be any of the columns N, n_params", "Say which one: N='N'"],
        "N",
        (),
    ),
    "D ambiguous": (
        whole(tokens=1.0),
        ["D could be any of the columns D, tokens", "Say which one: D='D'"],
        "D",
        (),
    ),
    "loss ambiguous": (
        whole(val_loss=1.0, eval_loss=1.0),
        ["loss could be any of the columns loss, val_loss, eval_loss", "loss='loss'"],
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
        ["'N' is missing (nan) in row 3", "keep='`N`.notna()' or missing='drop'"],
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
    "weight nan": (put("weight", np.nan), ["'weight' is missing", "`weight`"], "weight", (3,)),
    "weight inf": (put("weight", np.inf), ["'weight' is not finite", "`weight`"], "weight", (3,)),
    "weights all zero": (
        whole(weight=0.0),
        ["every value of 'weight' is zero", "at least one run a positive weight"],
        "weight",
        (),
    ),
    "suffix on a number": (
        put("N", "1.3B"),
        ["'N' is not a number ('1.3B') in row 3", *NOT_A_NUMBER],
        "N",
        (3,),
    ),
    "thousands separator": (
        put("D", "1,300", "2,600"),
        ["'D' is not a number ('1,300') in row 3 (2 such rows: 3, 4)", *NOT_A_NUMBER],
        "D",
        (3, 4),
    ),
    "empty text": (put("loss", ""), ["'loss' is not a number ('') in row 3"], "loss", (3,)),
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
        ["'N' is not a number (1000000000", "in row 3"],
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
    with pytest.raises(sf.DataError, match=says(*parts)) as caught:
        sf.fit(change(runs))
    assert caught.value.column == column
    assert caught.value.rows == rows
    assert str(caught.value).endswith(caught.value.remedy)


CALLS = {
    "header unknown": ({"N": "prams"}, ["no column 'prams' for N", "Columns: N, D, C, loss"]),
    "header misspelt": ({"loss": "losss"}, ["no column 'losss'", "Did you mean 'loss'?"]),
    "header a number": ({"N": 3}, ["N=3 is not a column name", "N='...'"]),
    "header a list": ({"N": ["N"]}, ["N=['N'] is not a column name", "N='...'"]),
    "header given twice": (
        {"N": "C", "D": "C"},
        ["column 'C' is given for both N and D", "a column of its own"],
    ),
    "header of N given away": ({"C": "N"}, ["no column N", "N='...'", "Columns: C, D, loss"]),
    "missing= unknown": ({"missing": "ignore"}, ["missing='ignore'", "'raise' or missing='drop'"]),
    "rule leaves nothing": ({"keep": "C < 1"}, ["no row is left: 75", "'C < 1'", "Loosen"]),
    "two rules leave nothing": (
        {"keep": ["C < 1e18", "C > 1e18"]},
        ["no row is left: 75 were dropped by 'C < 1e18', 'C > 1e18'"],
    ),
    "rule does not parse": ({"keep": "C <"}, ["rule 'C <' cannot be evaluated", "N, D, C, loss"]),
    "rule empty": ({"keep": [""]}, ["rule '' cannot be evaluated", "DataFrame.query"]),
    "rule not boolean": ({"keep": "C + 1"}, ["'C + 1' is not true or false", "'C < 1e21'"]),
    "rule assigns": ({"keep": "y = C"}, ["'y = C' is not true or false", "'C < 1e21'"]),
    "rule a constant": ({"keep": "True"}, ["'True' is not true or false", "'C < 1e21'"]),
    "rule of unknown column": ({"keep": "U < 1"}, ["'U < 1'", "'U' is not defined", "N, D, C"]),
    "rule reaches for variables": ({"keep": "C < @limit"}, ["'C < @limit'", "not defined"]),
    "rule reaches for modules": ({"keep": "@pd.eval('1') < C"}, ["@pd", "not defined"]),
    "rule calls a function": ({"keep": "open(C) < 1"}, ["'open(C) < 1'", "not a supported"]),
    "rule is no text": ({"keep": [5]}, ["the rule 5 is not text", "keep='C < 1e21'"]),
    "keep is a number": ({"keep": 5}, ["keep=5 is not a rule", "keep='C < 1e21'"]),
}


@pytest.mark.parametrize(("options", "parts"), CALLS.values(), ids=CALLS)
def test_malformed_reading_call_is_refused(runs, options, parts):
    with pytest.raises(sf.DataError, match=says(*parts)):
        sf.fit(runs, **options)


def test_mask_as_a_rule_is_refused(runs):
    with pytest.raises(sf.DataError, match=says("True is not text", "frame[frame['C'] < 1e21]")):
        sf.LossTable.from_frame(runs, keep=runs["C"] < 1e19)


def test_dropping_every_row_with_a_missing_loss_is_refused(runs):
    with pytest.raises(sf.DataError, match=says("no row is left: 75", "'missing loss'")):
        sf.fit(runs.assign(loss=np.nan), missing="drop")


@pytest.mark.parametrize(
    "options",
    [{"keep": "C < 1e20"}, {"missing": "drop"}, {"N": "C"}],
    ids=lambda o: next(iter(o)),
)
def test_reading_options_beside_a_table_are_refused(runs, options):
    table = sf.LossTable.from_frame(runs)
    name = next(iter(options))
    with pytest.raises(sf.DataError, match=says(f"{name} cannot be given for a LossTable", "read")):
        sf.fit(table, **options)


@pytest.mark.parametrize("residual", ["log", "relative"])
def test_negative_losses_ask_for_raw_residuals(runs, residual):
    negative = runs.assign(loss=runs["loss"] - 10)
    with pytest.raises(
        sf.DataError, match=says(f"{residual} residuals", "residual='raw'")
    ) as caught:
        sf.fit(negative, residual=residual)
    assert caught.value.rows == tuple(range(75))


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
        ["4 runs cannot identify the 5 free parameters of 'chinchilla' (rows 0, 1, 2, 3)", "fix"],
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
    with pytest.raises(sf.DataError, match=says(*parts)) as caught:
        sf.fit(change(runs))
    assert caught.value.column == column
    assert len(caught.value.rows) > 0


def test_one_n_is_blamed_on_the_table_when_the_law_is_new(runs):
    @sf.law(source="a law that no table has met")
    def fresh(N, D, *, E: sf.Offset, A: sf.Amplitude, B: sf.Amplitude, alpha: sf.Exponent):
        return E + A * N**-alpha + B * D**-0.3

    with pytest.raises(sf.DataError, match="every run has N"):
        sf.fit(runs.assign(N=1e8), fresh)


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
    "CSV with a long row": ("r.csv", b"N,D,loss\n1,2,3\n1,2,3,4,5\n", ["as csv", "line 3, saw 5"]),
    "CSV with long rows throughout": (
        "r.csv",
        b"N,D,loss\n1,2,3,4\n1,2,3,4\n",
        ["the rows of 'r.csv' have more fields than its header", "Columns: N, D, loss"],
    ),
    "CSV with a short row": ("r.csv", b"N,D,loss\n1,2,3\n1,2\n", ["'loss' is missing", "row 1"]),
    "CSV in another encoding": ("r.csv", "N,D\n1,2".encode("utf-16"), ["as csv", "utf-8"]),
    "CSV with suffixed numbers": ("r.csv", b"N,D,loss\n7B,2,3\n", ["'N' is not a number ('7B')"]),
    "CSV that is not gzipped": ("r.csv.gz", b"N,D,loss\n1,2,3\n", ["'r.csv.gz' cannot be read as"]),
    "CSV cut short": ("r.csv.gz", GZIPPED[:-12], ["'r.csv.gz' cannot be read as csv", "ended"]),
    "Parquet broken": ("r.parquet", b"PAR1 not PAR1", ["'r.parquet' cannot be read as parquet"]),
    "JSON lines broken": (
        "r.jsonl",
        b'{"N": 1\n',
        ["'r.jsonl' cannot be read as jsonl", "convert"],
    ),
    "JSON lines without content": ("r.jsonl", b"", ["the table has no rows"]),
    "JSON lines of mixed kinds": ("r.ndjson", b'{"N": 1}\n5\n', ["cannot be read as ndjson"]),
    "JSON lines with nesting": (
        "r.jsonl",
        b'{"N": {"a": 1}}\n',
        ["'N' is not a number ({'a': 1})"],
    ),
    "unknown suffix": ("r.xlsx", b"", ["cannot tell the format of", ".csv, .tsv, .parquet"]),
    "no suffix": ("runs", b"", ["cannot tell the format of", ".csv, .tsv, .parquet"]),
}


@pytest.mark.parametrize(("name", "content", "parts"), FILES.values(), ids=FILES)
def test_malformed_file_is_refused(tmp_path, name, content, parts):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(sf.DataError, match=says(*parts)):
        sf.read(file_of(tmp_path, name, content))


def test_repeated_header_is_not_called_a_broken_file(tmp_path):
    with pytest.raises(sf.DataError, match=r"^the table has two columns called D\. ") as caught:
        sf.read(file_of(tmp_path, "runs.csv", b"N,D,D,loss\n1,2,3,4\n"))
    assert caught.value.column == "D"


def test_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(sf.DataError, match=says("no file", "nowhere.csv", "Check the path")):
        sf.read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["folder", "folder.csv"])
def test_folder_is_no_file(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(sf.DataError, match=says(name, "is a folder", "Give the path of one table")):
        sf.read(tmp_path / name)


# Laws and what is asked of their parameters


def undecorated(N, D, *, E):
    return E


@pytest.mark.parametrize(
    ("law", "parts"),
    [
        pytest.param("chinchila", ["'chinchila'", "Did you mean 'chinchilla'?"], id="misspelt"),
        pytest.param("kaplan1066", ["'kaplan1066'", "Known: chinchilla,"], id="unknown"),
        pytest.param(undecorated, ["'undecorated'", "@scalefit.law(source="], id="undecorated"),
    ],
)
def test_what_is_no_law_is_refused(runs, law, parts):
    with pytest.raises(sf.LawError, match=says(*parts)):
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
        ["'format' is missing in row 3 (2 such rows: 3, 5)", "keep='`format`.notna()'"],
        "format",
        (3, 5),
    ),
    "number missing": (
        lambda f: f.assign(bits=f["bits"].mask(f.index == 7)),
        {"A": ("format", "bits")},
        ["'bits' is missing in row 7", "keep='`bits`.notna()'"],
        "bits",
        (7,),
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
    with pytest.raises(sf.DataError, match=says(*parts)) as caught:
        sf.fit(change(labelled), groups=groups)
    assert caught.value.column == column
    assert caught.value.rows == rows


@pytest.fixture(scope="module")
def grouped():
    runs = sf.simulate(sf.isoflop_design(), noise=0.0)
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
    "level in other case": ({"format": "FP8", "bits": 0}, ["'FP8' is not a level"]),
}


@pytest.mark.parametrize(("levels", "parts"), LEVELS.values(), ids=LEVELS)
def test_predictions_and_surfaces_ask_for_a_level_that_was_fitted(grouped, levels, parts):
    for ask in (grouped.at, lambda **levels: grouped.predict(N=1e9, D=1e10, **levels)):
        with pytest.raises(sf.DataError, match=says(*parts)):
            ask(**levels)


def test_predictions_name_the_row_of_an_unknown_level(grouped):
    table = sf.isoflop_design([1e19], points=4).assign(format="fp8", bits=[0, 1, 7, 8])
    with pytest.raises(sf.DataError, match=r"'fp8/7' is not a level .*\(row 2\)") as caught:
        grouped.predict(table)
    assert caught.value.rows == (2, 3)
    with pytest.raises(sf.DataError, match="no column 'bits' to group by"):
        grouped.predict(table.drop(columns="bits"))


def test_columns_that_nothing_differs_by_are_refused(grouped):
    with pytest.raises(sf.DataError, match=says("differs by 'corpus'", "bits, format")):
        grouped.at(format="fp8", bits=1, corpus="web")
    with pytest.raises(sf.ArgumentError, match=says("N, D, format, bits", "from N, D, fromat")):
        grouped.predict(N=1e9, D=1e10, fromat="fp8")


def test_one_surface_is_of_one_level(grouped):
    with pytest.raises(sf.DataError, match=says("several values of format", "one level at a time")):
        grouped.at(format=["fp8", "int4"], bits=1)


def test_what_needs_one_surface_asks_for_it(grouped, runs):
    asks = says("one A for each format", "fit.at(format='bf16', bits='0')", "bf16, fp8, int4")
    with pytest.raises(sf.DataError, match=asks):
        sf.allocate(grouped, 1e22)
    with pytest.raises(sf.DataError, match=asks):
        sf.plot.surface(grouped, runs)
    assert sf.allocate(grouped.at(format="bf16", bits="0"), 1e22).N > 0
