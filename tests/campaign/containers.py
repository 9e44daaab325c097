"""One plain table in whatever holds a table in memory, sound and odd."""

from __future__ import annotations

import array
import dataclasses
import sqlite3
from collections import ChainMap, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import Any

import jax.numpy as jnp
import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic

import scalefit as sf
from campaign.dresses import QUANTITIES, Framed, Sulky, plain
from campaign.files import floats, one_of
from campaign.judge import Outcome, numbers_of, same, tried, unlike

# What is given to read, and the numbers it holds; None of what is to be refused.
Held = tuple[Any, pd.DataFrame | None]
Maker = Callable[[np.random.Generator, pd.DataFrame], Held]


@dataclasses.dataclass
class Run:
    """A record."""

    N: Any
    D: Any
    loss: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    """A record without a dictionary."""

    N: Any
    D: Any
    loss: Any


class Model(pydantic.BaseModel):
    """A record that checks itself."""

    N: float
    D: float
    loss: float


Tuple = namedtuple("Tuple", QUANTITIES)


class Streamed:
    """A table that hands out a stream of Arrow, and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class Broken:
    """A table of some kind whose method fails."""

    def __init__(self, method: str) -> None:
        setattr(type(self), method, self.fail)

    def fail(self, *_: Any, **__: Any) -> Any:
        """Raise what no one expects."""
        raise ZeroDivisionError("no")


def broken(method: str) -> Any:
    """An object of a class of its own, one of whose methods fails."""
    return type("Broken", (Broken,), {})(method)


class Ghost(dict):
    """A mapping whose keys lead nowhere."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def values(self) -> Any:
        """Fail."""
        raise RuntimeError("no values")


def lists(runs: pd.DataFrame) -> dict[str, list[float]]:
    """Columns of plain floats."""
    return {name: runs[name].tolist() for name in QUANTITIES}


def records(runs: pd.DataFrame) -> list[dict[str, float]]:
    """Rows of plain floats."""
    return runs.to_dict("records")


def sound(make: Callable[[pd.DataFrame], Any]) -> Maker:
    """The same numbers in another container."""
    return lambda _, runs: (make(runs), runs)


def odd(make: Callable[[pd.DataFrame], Any]) -> Maker:
    """What is no table of numbers."""
    return lambda _, runs: (make(runs), None)


def mixed_columns(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A dict of columns, each held otherwise."""
    holders: list[Callable[[pd.Series], Any]] = [
        list,
        tuple,
        deque,
        np.asarray,
        lambda column: column,
        lambda column: pl.Series(column.tolist()),
        lambda column: pa.array(column),
        lambda column: pa.chunked_array([pa.array(column[:3]), pa.array(column[3:])]),
        lambda column: array.array("d", column),
        lambda column: memoryview(array.array("d", column)),
        lambda column: pd.Index(column),
        lambda column: np.ma.masked_array(column, mask=False),
        lambda column: np.asarray(column, dtype=">f8"),
        lambda column: [Decimal(value) for value in column],
        lambda column: [Fraction(value) for value in column],
        lambda column: list(map(repr, column)),
        lambda column: list(map(np.float64, column)),
        lambda column: [np.array(value) for value in column],
        lambda column: iter(list(column)),
        lambda column: pd.Categorical(column),
        lambda column: pd.array(column, dtype="Float64"),
    ]
    return {name: one_of(rng, *holders)(runs[name]) for name in QUANTITIES}, runs


def polars_types(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A frame of polars with columns of any type, eager or lazy."""
    counts = (pl.Int64, pl.UInt64, pl.Float64, pl.Int128, pl.Decimal(38, 0), pl.String)
    types = {"N": one_of(rng, *counts), "D": one_of(rng, *counts)}
    types["loss"] = one_of(rng, pl.Float64, pl.Float32, pl.String, pl.Categorical)
    frame = pl.DataFrame(lists(runs))
    for name, kind in types.items():
        column = pl.col(name)
        if kind in (pl.String, pl.Categorical):
            texts = pl.Series(name, list(map(repr, frame[name].to_list())))
            frame = frame.with_columns(texts.cast(kind))
        elif isinstance(kind, pl.Decimal):
            frame = frame.with_columns(column.cast(pl.Int64).cast(kind))
        else:
            frame = frame.with_columns(column.cast(kind))
    expected = floats(pd.DataFrame({name: frame[name].to_list() for name in QUANTITIES}))
    return one_of(rng, frame, frame.lazy(), narwhals.from_native(frame)), expected


def arrow_types(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A table of Arrow with columns of any type, in any holder."""
    counts = [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(38, 0), pa.string(), "codes"]
    arrays = {}
    for name in QUANTITIES:
        kind = one_of(rng, *(counts if name != "loss" else [pa.float64(), pa.float32(), "codes"]))
        column = pa.array(runs[name])
        if kind == "codes":
            arrays[name] = column.dictionary_encode()
        elif kind == pa.string():
            arrays[name] = pa.array(list(map(repr, runs[name])))
        elif isinstance(kind, pa.Decimal128Type):
            arrays[name] = pa.array([Decimal(int(value)) for value in runs[name]], kind)
        else:
            arrays[name] = column.cast(kind)
    table = pa.table(arrays)
    expected = floats(pd.DataFrame(table.to_pydict()))
    holders = (table, table.to_batches()[0], Streamed(table), table.to_reader())
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return one_of(rng, *holders, narwhals.from_native(table), frame), expected


def structured(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A structured array of any field types."""
    kinds = [(name, one_of(rng, "f8", ">f8", "i8", "u8", "f4", "O", ">i8")) for name in ("N", "D")]
    kinds.append(("loss", one_of(rng, "f8", ">f8", "f4", "O")))
    held = np.zeros(len(runs), dtype=kinds)
    for name in QUANTITIES:
        held[name] = runs[name]
    expected = floats(pd.DataFrame({name: held[name].tolist() for name in QUANTITIES}))
    holders = (held, held.view(np.recarray), np.ma.array(held), list(held), held[::-1][::-1])
    return one_of(rng, *holders), expected


def masked(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """Arrays with a value that is masked, and so is no value."""
    name = QUANTITIES[rng.integers(3)]
    mask = np.arange(len(runs)) == rng.integers(len(runs))
    kind = one_of(rng, "float64", "int64", "float32")
    hidden = np.ma.masked_array(runs[name].astype(kind), mask=mask)
    if rng.random() < 0.5:
        return {**lists(runs), name: hidden}, None
    rows = np.zeros(len(runs), dtype=[(item, "f8") for item in QUANTITIES])
    for item in QUANTITIES:
        rows[item] = runs[item]
    held = np.ma.array(rows)
    held[name].mask = mask
    held.mask[name] = mask
    return held, None


def gap(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A gap of some library in one column."""
    name = QUANTITIES[rng.integers(3)]
    values: list[Any] = runs[name].tolist()
    values[rng.integers(len(values))] = None
    columns: dict[str, Any] = {**lists(runs), name: values}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    fewer = [{key: item for key, item in row.items() if item is not None} for row in rows]
    return one_of(rng, columns, rows, fewer, pl.DataFrame(columns), pa.table(columns)), None


def database(_: np.random.Generator, runs: pd.DataFrame) -> Held:
    """Rows of a database."""
    with sqlite3.connect(":memory:") as link:
        link.row_factory = sqlite3.Row
        link.execute("create table runs (N real, D real, loss real)")
        link.executemany("insert into runs values (?, ?, ?)", runs.to_numpy().tolist())
        rows = link.execute("select N, D, loss from runs").fetchall()
    return rows, runs


def replaced(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """A record that is another thing."""
    rows: list[Any] = records(runs)
    values = (None, 3, "x", [], {}, Sulky(), {"N": 1.0}, (1, 2), rows, np.nan, {1: 2}, b"", int)
    place = int(rng.integers(len(rows)))
    rows[place] = one_of(rng, *values)
    return rows, None


def ragged(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """Columns of other lengths and kinds."""
    columns: dict[Any, Any] = lists(runs)
    short = columns["D"][:-1]
    wrong = (short, [], np.ones((len(runs), 2)), [[1.0]] * len(runs), None, "x", {1.0}, Sulky(), 3j)
    columns["D"] = one_of(rng, *wrong)
    return columns, None


def circular(rng: np.random.Generator, runs: pd.DataFrame) -> Held:
    """Containers that hold themselves."""
    rows: list[Any] = records(runs)
    rows[0]["self"] = rows[0]
    held: list[Any] = []
    held.append(held)
    return one_of(rng, rows, held, {"N": rows[0]}), None


def failing() -> Iterator[dict[str, float]]:
    """Rows that end with an error."""
    yield {"N": 1e8, "D": 2e9, "loss": 3.0}
    raise ZeroDivisionError("no more")


MAKERS: dict[str, Maker] = {
    "columns": mixed_columns,
    "columns again": mixed_columns,
    "polars": polars_types,
    "arrow": arrow_types,
    "structured": structured,
    "masked": masked,
    "gap": gap,
    "database": database,
    "records": sound(records),
    "a tuple of records": sound(lambda f: tuple(records(f))),
    "a deque of records": sound(lambda f: deque(records(f))),
    "a generator of records": sound(lambda f: iter(records(f))),
    "an array of records": odd(lambda f: np.array(records(f), dtype=object)),
    "ordered records": sound(lambda f: [OrderedDict(row) for row in records(f)]),
    "views of records": sound(lambda f: [MappingProxyType(row) for row in records(f)]),
    "chains": sound(lambda f: [ChainMap({"N": r["N"]}, r) for r in records(f)]),
    "dataclasses": sound(lambda f: [Run(**row) for row in records(f)]),
    "slots": sound(lambda f: [Slotted(**row) for row in records(f)]),
    "named tuples": sound(lambda f: [Tuple(**row) for row in records(f)]),
    "models": sound(lambda f: [Model(**row) for row in records(f)]),
    "kinds of records": sound(
        lambda f: [(Run, Tuple, Model, dict)[i % 4](**row) for i, row in enumerate(records(f))]
    ),
    "series as records": sound(lambda f: [row for _, row in f.iterrows()]),
    "rows by name": sound(lambda f: {f"run {i}": row for i, row in enumerate(records(f))}),
    "rows by number": sound(lambda f: dict(enumerate(records(f)))),
    "dataclasses by name": sound(lambda f: {f"r{i}": Run(**r) for i, r in enumerate(records(f))}),
    "a dict of dicts": sound(lambda f: f.to_dict()),
    "a dict by index": sound(lambda f: f.to_dict("index")),
    "a dict of series": sound(lambda f: f.to_dict("series")),
    "a mapping": sound(lambda f: MappingProxyType(lists(f))),
    "records within records": sound(
        lambda f: [{**row, "config": {"lr": 1e-3}} for row in records(f)]
    ),
    "one size for all": lambda _, f: ({**lists(f), "N": 1e9}, f.assign(N=1e9)),
    "one size of numpy": lambda _, f: ({**lists(f), "N": np.float64(1e9)}, f.assign(N=1e9)),
    "a subclass": sound(Framed),
    "a frame of narwhals": sound(narwhals.from_native),
    "row labels": sound(lambda f: {n: f[n].set_axis(list(f.index[::-1])) for n in f}),
    "other row labels": odd(lambda f: {**f.to_dict("series"), "D": f["D"].iloc[::-1]}),
    "replaced": replaced,
    "ragged": ragged,
    "circular": circular,
    "namespaces": odd(lambda f: [SimpleNamespace(**row) for row in records(f)]),
    "lists of lists": odd(lambda f: f.to_numpy().tolist()),
    "a matrix": odd(lambda f: f.to_numpy()),
    "a jax matrix": odd(lambda f: jnp.asarray(f.to_numpy())),
    "zipped": odd(lambda f: zip(f.N, f.D, f.loss, strict=True)),
    "a split dict": odd(lambda f: f.to_dict("split")),
    "a set": odd(lambda f: set(f["N"])),
    "a column of polars": odd(lambda f: pl.Series(f["N"].tolist())),
    "a column of arrow": odd(lambda f: pa.array(f["N"])),
    "text": odd(lambda f: f.to_csv()),
    "bytes": odd(lambda f: f.to_csv().encode()),
    "json": odd(lambda f: f.to_json()),
    "nothing": lambda rng, _: (one_of(rng, [], {}, (), None, pl.DataFrame(), pa.table({})), None),
    "classes": odd(lambda _: Run),
    "failing rows": odd(lambda _: failing()),
    "sulky": odd(lambda _: Sulky()),
    "ghosts": lambda rng, f: (one_of(rng, Ghost(lists(f)), [Ghost(N=1)]), None),
    "broken streams": odd(lambda _: broken("__arrow_c_stream__")),
    "broken interchange": odd(lambda _: broken("__dataframe__")),
    "broken iteration": odd(lambda _: broken("__iter__")),
    "broken length": odd(lambda _: broken("__len__")),
    "broken columns": odd(lambda _: broken("column_names")),
    "repeated names of arrow": odd(lambda f: pa.table([f["N"], f["D"]], names=["N", "N"])),
    "names of no text": odd(lambda f: {1: f["N"], 2: f["D"], (3,): f["loss"]}),
    "struct columns": odd(lambda f: pl.DataFrame({"run": records(f)})),
    "list columns": odd(lambda f: pl.DataFrame({**lists(f), "N": [[v] for v in f["N"]]})),
    "objects of polars": odd(
        lambda f: pl.DataFrame({"N": pl.Series([object()] * len(f), dtype=pl.Object)})
    ),
    "dates of polars": odd(
        lambda f: pl.DataFrame(lists(f)).with_columns(pl.col("N").cast(pl.Int64).cast(pl.Datetime))
    ),
    "truths of polars": odd(
        lambda f: pl.DataFrame(lists(f)).with_columns(pl.col("N").cast(pl.Boolean))
    ),
    "nothing of polars": odd(lambda f: pl.DataFrame({**lists(f), "N": [None] * len(f)})),
}  # fmt: skip


def containers(seed: int) -> Outcome:
    """A table in memory: read as the same numbers, or refused where it holds no such."""
    rng = np.random.default_rng([seed, 21])
    name = list(MAKERS)[seed % len(MAKERS)]
    runs = plain(rng)
    held, expected = MAKERS[name](rng, runs.copy())
    before = _snapshot(held)
    outcome = tried(
        "containers", seed, (name, type(held).__name__), lambda: numbers_of(sf.read(held))
    )
    if before is not None and before != _snapshot(held):
        outcome.faults.append("the input was modified")
    if expected is None and outcome.answer is not None:
        outcome.faults.append(f"taken for a table: {outcome.answer.head(2).to_dict('list')}")
    elif expected is not None and outcome.refusal:
        outcome.faults.append(f"honest numbers refused: {outcome.refusal[:160]}")
    elif expected is not None and outcome.answer is not None:
        outcome.faults += unlike(outcome.answer, expected)
        if seed % 4 == 0 and not hasattr(held, "__next__"):
            rng = np.random.default_rng([seed, 21])
            again, _ = MAKERS[name](rng, plain(rng))
            fit = tried("containers", seed, (name,), lambda: sf.fit(again))
            outcome.faults += fit.faults
            if fit.answer is not None and not same(fit.answer, sf.fit(expected), 1e-6):
                outcome.faults.append("the fit is another than that of its numbers")
    outcome.answer = None
    return outcome


def _snapshot(held: Any) -> Any:
    """What a container holds, to be compared; None of what cannot be looked at twice."""
    if isinstance(held, pd.DataFrame):
        return held.to_dict("list")
    if isinstance(held, list | tuple | dict | deque | np.ndarray | pa.Table | pl.DataFrame):
        try:
            return repr(held)
        except Exception:  # Its own.
            return None
    return None
