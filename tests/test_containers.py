"""Containers: every kind of table in memory is read as the same values."""

import datetime
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pydantic
import pytest

import scalefit as sf
from scalefit.data.containers import to_pandas

# Beyond 2**53, where float64 no longer holds every integer: 2**60 it does.
N = [2**60, 160_000_000, 7_000_000_000]
D = [2_000_000_000_000, 3_000_000_000, 140_000_000_000]
LOSS = [3.1234567890123457, 2.5, 0.1 + 0.2]
NAMES = ["web", "code", "web"]
COLUMNS = {"N": N, "D": D, "loss": LOSS, "corpus": NAMES}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@dataclass
class Run:
    N: int
    D: int
    loss: float
    corpus: str


class Model(pydantic.BaseModel):
    N: int
    D: int
    loss: float
    corpus: str


Named = namedtuple("Named", ["N", "D", "loss", "corpus"])


class Stream:
    """A table that hands out an Arrow stream, and nothing else."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchange:
    """A table of the interchange protocol alone."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, *args, **options):
        return self.table.__dataframe__(*args, **options)


class Subclass(pd.DataFrame):
    @property
    def _constructor(self):
        return Subclass


def polars(**columns):
    return pytest.importorskip("polars").DataFrame(columns or COLUMNS)


def arrow(**columns):
    return pytest.importorskip("pyarrow").table(columns or COLUMNS)


def narwhals_of_pandas():
    import narwhals

    # As modin and cudf come: a frame that is like pandas, by narwhals' name.
    return narwhals.from_native(pd.DataFrame(COLUMNS))


def structured():
    kinds = [("N", ">i8"), ("D", "u8"), ("loss", ">f8"), ("corpus", "U4")]
    return np.array(list(zip(*COLUMNS.values(), strict=True)), dtype=kinds)


CONTAINERS = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "subclass": lambda: Subclass(COLUMNS),
    "pandas of Arrow": lambda: arrow().to_pandas(types_mapper=pd.ArrowDtype),
    "like pandas": narwhals_of_pandas,
    "polars": polars,
    "polars, lazy": lambda: polars().lazy(),
    "pyarrow": arrow,
    "record batch": lambda: arrow().to_batches()[0],
    "batch reader": lambda: arrow().to_reader(),
    "Arrow stream": lambda: Stream(arrow()),
    "interchange": lambda: Interchange(pd.DataFrame(COLUMNS)),
    "dict of lists": lambda: COLUMNS,
    "dict of arrays": lambda: {name: np.array(values) for name, values in COLUMNS.items()},
    "dict of Series": lambda: dict(pd.DataFrame(COLUMNS).items()),
    "dict of polars Series": lambda: polars().to_dict(),
    "dict of tuples and ranges": lambda: {**COLUMNS, "N": tuple(N), "row": range(3)},
    "DataFrame.to_dict()": lambda: pd.DataFrame(COLUMNS).to_dict(),
    "dict of runs": lambda: dict(enumerate(ROWS)),
    "records": lambda: ROWS,
    "tuple of records": lambda: tuple(ROWS),
    "generator": lambda: (row for row in ROWS),
    "values of a dict": lambda: dict(enumerate(ROWS)).values(),
    "dataclasses": lambda: [Run(**row) for row in ROWS],
    "named tuples": lambda: [Named(**row) for row in ROWS],
    "itertuples": lambda: pd.DataFrame(COLUMNS).itertuples(index=False),
    "pydantic": lambda: [Model(**row) for row in ROWS],
    "rows of a DataFrame": lambda: [row for _, row in pd.DataFrame(COLUMNS).iterrows()],
    "structured array": structured,
    "recarray": lambda: structured().view(np.recarray),
    "structured scalars": lambda: list(structured()),
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_is_read_as_the_same_table(container):
    for read in (sf.read, sf.LossTable.from_frame):
        table = read(container())
        for name, values in {"N": N, "D": D, "loss": LOSS}.items():
            np.testing.assert_array_equal(table.column(name), np.array(values, dtype=float))
        assert table.labels("corpus").tolist() == NAMES
        assert list(table.rows) == [0, 1, 2]
        assert type(table.frame) is pd.DataFrame


def test_options_hold_for_every_container():
    table = sf.read(
        [{"size": 1e8, "D": 2e9, "loss": None}, {"size": 2e8, "D": 3e9, "loss": 3.0}],
        missing="drop",
        N="size",
    )
    assert [(item.row, item.rule) for item in table.dropped] == [(0, "missing loss")]
    assert sf.read(polars(), keep="corpus == 'web'").frame["N"].tolist() == [2**60, 7e9]
    assert sf.read(table) is table


def test_a_fit_is_the_same_whatever_holds_the_runs():
    runs = sf.simulate(sf.simulation.isoflop_design(), seed=1)
    columns = {name: runs[name].tolist() for name in ("N", "D", "loss")}
    assert sf.fit(polars(**columns)).params == sf.fit(runs).params


DECIMALS = [Decimal("3.5"), None, Decimal("2.25")]
DAYS = [datetime.date(2024, 5, 1), None, datetime.date(2024, 5, 2)]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_gaps_and_encodings_keep_their_values(library):
    given = {"N": [1, None, 3], "loss": DECIMALS, "flag": [True, None, False], "day": DAYS}
    if library == "polars":
        pl = pytest.importorskip("polars")
        table = pl.DataFrame(given).with_columns(
            corpus=pl.Series(["a", None, "b"], dtype=pl.Categorical),
            kind=pl.Series(["a", "b", "a"], dtype=pl.Enum(["a", "b"])),
            wide=pl.Series([1, 2, 2**100], dtype=pl.Int128),
            small=pl.Series([1.5, None, 2.5], dtype=pl.Float32),
            run=pl.Series([{"lr": 0.1}, {"lr": 0.2}, None]),
        )
    else:
        pa = pytest.importorskip("pyarrow")
        table = pa.table(
            {
                **given,
                "corpus": pa.array(["a", None, "b"]).dictionary_encode(),
                "kind": pa.array(["a", "b", "a"]),
                "wide": pa.array([1, 2, 2**100], pa.decimal128(38)),
                "small": pa.array([np.float16(1.5), None, np.float16(2.5)], pa.float16()),
                "run": pa.array([{"lr": 0.1}, {"lr": 0.2}, None]),
            }
        )
    frame = to_pandas(table)
    assert frame["N"].isna().tolist() == [False, True, False] and frame["N"][2] == 3
    assert frame["loss"].tolist() == DECIMALS
    assert frame["day"].tolist() == DAYS
    assert frame["corpus"].fillna("-").tolist() == ["a", "-", "b"]
    assert frame["kind"].tolist() == ["a", "b", "a"]
    assert frame["flag"].tolist() == [True, None, False]
    assert list(map(int, frame["wide"])) == [1, 2, 2**100]
    assert frame["small"][0] == 1.5 and np.isnan(frame["small"][1])
    assert frame["run/lr"][1] == 0.2 and np.isnan(frame["run/lr"][2])
    assert "run" not in frame


def test_masked_cells_are_missing():
    array = np.ma.array([(1.0, 2), (3.0, 4)], mask=[(False, False), (True, False)], dtype="f8,i8")
    assert to_pandas(array)["f0"].isna().tolist() == [False, True]
    gaps = to_pandas({"N": np.ma.array([1, 2], mask=[True, False]), "D": [1, 2]})
    assert gaps["N"].isna().tolist() == [True, False]


def test_records_within_records_are_columns():
    runs = [
        {"config": {"model": {"N": 1e8}, "lr": 0.1}, "loss": 3.0},
        {"config": {"model": {"N": 2e8}}, "loss": 2.9, "note": "x"},
        {"config": None, "loss": 2.8},
    ]
    frame = to_pandas(runs)
    assert list(frame) == ["config/model/N", "config/lr", "loss", "note"]
    assert frame["config/model/N"].isna().tolist() == [False, False, True]
    assert frame["note"].isna().tolist() == [True, False, True]
    nested = np.array([(1.0, (2, 3))], dtype=[("loss", float), ("size", [("N", int), ("D", int)])])
    assert to_pandas(nested).to_dict("list") == {"loss": [1.0], "size/N": [2], "size/D": [3]}


def test_row_labels_are_kept():
    runs = {"first": {"N": 1, "loss": 3.0}, "second": {"N": 2, "loss": 2.0}}
    assert to_pandas(runs).to_dict("index") == runs
    frame = pd.DataFrame({"N": [1, 2], "loss": [3.0, 2.0]}, index=["a", "b"])
    pd.testing.assert_frame_equal(to_pandas(dict(frame.items())), frame)


def test_a_single_value_holds_for_every_run():
    assert to_pandas({"N": [1, 2], "seed": 7})["seed"].tolist() == [7, 7]
    assert to_pandas({"N": 1e8, "loss": 3.0}).to_dict("list") == {"N": [1e8], "loss": [3.0]}


# What is refused

REFUSED = {
    "unequal lengths": (
        {"N": [1, 2], "D": [1, 2, 3], "loss": [3.0, 2.0]},
        r"the columns differ in length \(N: 2, D: 3, loss: 2\). Give every column",
    ),
    "other row labels": (
        {"N": pd.Series([1, 2]), "loss": pd.Series([3.0, 2.0], index=[1, 2])},
        r"the columns N and loss have different row labels. Pass pandas.concat\(runs",
    ),
    "one name twice": (
        [{"a/b": 1, "a": {"b": 2}}],
        "the record 0 has two values called 'a/b'. Rename",
    ),
    "no rows": ([], "the table has no rows"),
    "no columns": ({}, "the table has no rows"),
    "empty records": ([{}, {}], "the table has no rows"),
}


@pytest.mark.parametrize(("what", "said"), REFUSED.values(), ids=REFUSED)
def test_tables_that_make_no_sense_are_refused(what, said):
    with pytest.raises(sf.errors.DataError, match=said):
        sf.read(what)


def test_a_record_that_holds_itself_is_refused():
    endless = {"N": 1}
    endless["config"] = endless
    with pytest.raises(sf.errors.DataError, match="more than 32 records within one another"):
        sf.read([endless])


class Hostile(Mapping):
    def __getitem__(self, key):
        raise RuntimeError("no")

    def __iter__(self):
        return iter(["N"])

    def __len__(self):
        return 1


NO_TABLES = {
    "list of lists": (
        [[1e9, 2e9, 3.0]],
        r"pandas\.DataFrame\(runs, columns=\['N', 'D', 'loss'\]\)",
    ),
    "two-dimensional array": (np.ones((9, 3)), r"pandas\.DataFrame\(runs, columns="),
    "list of numbers": ([1, 2], r"its item 0, 1, is no record"),
    "list with a gap": ([{"N": 1}, None], r"its item 1, None, is no record"),
    "hostile record": ([Hostile()], "its item 0 raises RuntimeError"),
    "half a character": ([{"N": 1.0, "\ud800": 1}], "reading it raises UnicodeEncodeError"),
    "hostile mapping": (Hostile(), "reading it raises RuntimeError"),
    "hostile column": ({"N": [1e8], "D": Hostile()}, "reading it raises RuntimeError"),
    "column of two dimensions": ({"N": np.ones((2, 2))}, r"its column 'N' has the shape \(2, 2\)"),
    "matrix of records": (np.ones((2, 2), dtype=[("N", float)]), "is not a table"),
    "bytes": (b"runs.csv", "is not a table"),
    "a class": (pd.DataFrame, "is not a table"),
    "a Series": (pd.Series([1.0]), "is not a table"),
    "a record alone": (Run(1, 2, 3.0, "web"), "is not a table"),
}


@pytest.mark.parametrize(("what", "said"), NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_is_refused(what, said):
    with pytest.raises(sf.errors.ArgumentError, match=said) as caught:
        sf.read(what)
    assert caught.value.argument == "runs"


def test_columns_of_arrow_with_one_name_are_refused():
    pa = pytest.importorskip("pyarrow")
    table = pa.table([pa.array([1]), pa.array([2])], names=["N", "N"])
    with pytest.raises(sf.errors.DataError, match="two columns called N"):
        sf.read(table)


def test_sizes_as_headers_are_told_to_be_melted():
    wide = pd.DataFrame({"tokens": [1e9, 2e9], "70M": [3.5, 3.4], "160M": [3.3, 3.1]})
    with pytest.raises(sf.errors.DataError, match="The headers 70M, 160M are sizes") as caught:
        sf.read(wide).column("N")
    call = re.search(r"runs\.melt\(.*?\)(?=\. )", str(caught.value))[0]
    melted = eval(call, {"runs": wide})
    assert melted.to_dict("list") == {
        "tokens": [1e9, 2e9, 1e9, 2e9],
        "N": ["70M", "70M", "160M", "160M"],
        "loss": [3.5, 3.4, 3.3, 3.1],
    }
    with pytest.raises(sf.errors.DataError, match="no column N") as caught:
        sf.read(pd.DataFrame(np.ones((4, 3)))).column("N")
    assert "melt" not in str(caught.value)


def test_tables_are_read_without_pyarrow_and_polars_alone(tmp_path):
    pytest.importorskip("polars")
    code = """
import sys
sys.modules["pyarrow"] = None
import polars, scalefit as sf
frame = polars.DataFrame({"N": [1, 2], "D": [3, 4], "loss": [3.0, None], "corpus": ["a", None]})
print(sf.read(frame, missing="drop").frame.values.tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[[1.0, 3.0, 3.0, 'a']]\n"
