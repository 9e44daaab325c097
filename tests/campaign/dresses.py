"""Honest numbers in every dress, and values that are no numbers: what people drop into ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

QUANTITIES = ("N", "D", "loss")
# Of a dress: what is given to fit, and the same numbers as plain floats where it holds such.
Dressed = tuple[Any, pd.DataFrame | None]
Dress = Callable[[np.random.Generator, pd.DataFrame], Dressed]


class Framed(pd.DataFrame):
    """A subclass, as of geopandas."""

    @property
    def _constructor(self) -> type[Framed]:
        return Framed


class Sulky:
    """An object that fails at everything."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __float__ = __bool__ = __len__ = __array__ = __hash__ = __repr__  # type: ignore

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


def plain(rng: np.random.Generator) -> pd.DataFrame:
    """A well-behaved table of whole numbers and losses."""
    rows = int(rng.integers(8, 32))
    N = np.round(np.exp(rng.uniform(np.log(1e7), np.log(1e10), rows)))
    D = np.round(np.exp(rng.uniform(np.log(1e9), np.log(1e12), rows)))
    losses = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
    losses = losses * np.exp(rng.normal(0, 5e-3, rows))
    return pd.DataFrame({"N": N, "D": D, "loss": losses})


def honest(change: Callable[[pd.DataFrame], Any]) -> Dress:
    """The same numbers, otherwise held."""
    return lambda _, runs: (change(runs.copy()), runs)


def other(change: Callable[[pd.DataFrame], Any]) -> Dress:
    """What is no table of numbers."""
    return lambda _, runs: (change(runs.copy()), None)


def cell(*values: Any) -> Dress:
    """One of some values in one cell."""

    def change(rng: np.random.Generator, runs: pd.DataFrame) -> Dressed:
        name = QUANTITIES[rng.integers(3)]
        items: list[Any] = runs[name].tolist()
        items[rng.integers(len(items))] = values[rng.integers(len(values))]
        column = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):
            column[place] = item
        return runs.assign(**{name: pd.Series(column, index=runs.index, dtype=object)}), None

    return change


def typed(dtype: Any, *names: str, largest: float | None = None) -> Dress:
    """Columns of another type; the numbers are what the type leaves of them."""

    def change(_: np.random.Generator, runs: pd.DataFrame) -> Dressed:
        for name in names or QUANTITIES:
            values = runs[name]
            if largest is not None:
                values = (values / values.max() * largest).round().clip(lower=1)
            runs[name] = values.astype(dtype)
        floats = {name: [float(value) for value in runs[name]] for name in runs}
        return runs, pd.DataFrame(floats)

    return change


def spelt(name: str, text: Callable[[float], str]) -> Dress:
    """Whole numbers of at most five digits before zeros, as text that spells them exactly."""

    def change(_: np.random.Generator, runs: pd.DataFrame) -> Dressed:
        size = 10.0 ** np.floor(np.log10(runs[name]) - 4)
        runs[name] = (runs[name] / size).round() * size
        return runs.assign(**{name: [text(value) for value in runs[name]]}), runs

    return change


def in_unit(header: str, name: str, unit: float) -> Dress:
    """A column under a header that names its unit, and the numbers that this makes."""

    def change(_: np.random.Generator, runs: pd.DataFrame) -> Dressed:
        smaller = runs[name] / unit
        counted = runs.assign(**{name: smaller * unit})
        return runs.drop(columns=name).assign(**{header: smaller}), counted

    return change


def headed(*names: Any) -> Dress:
    """Other headers."""
    return other(lambda runs: runs.set_axis(pd.Index(list(names), tupleize_cols=False), axis=1))


def indexed(labels: Callable[[int], Any]) -> Dress:
    """Other row labels."""
    return honest(lambda runs: runs.set_axis(labels(len(runs)), axis=0))


DRESSES: dict[str, Dress] = {
    "text": cell("x", "7B", "1,000,000", "", " ", "nan", "1e9x", "١٢", "0x10", "1_000", "\0"),
    "units in text": cell("7B", "1.3Q", "70 million", "7B-chat", "5 EFLOP", "1,4B", "12 %", "~3"),
    "groups in text": cell("1,234", "1,23,4", "1.234.567", "1 234", "1,234.5", "3,36", "0,5", ","),
    "gaps in text": cell("-", "\u2013", "n/a", "?", "None", "**3.36**", "**", "inf", "--"),
    "millions": spelt("N", lambda value: f"{value / 1e6!r}M"),
    "billions of tokens": spelt("D", lambda value: f"{value / 1e9!r} B tokens"),
    "commas": spelt("N", lambda value: f"{int(value):,}"),
    "spaces": spelt("D", lambda value: f"{int(value):,}".replace(",", " ")),
    "powers of ten": spelt("D", lambda value: f"{value / 1e9!r}x10^9"),
    "decimal commas": honest(
        lambda f: f.assign(loss=f.loss.map(lambda v: repr(v).replace(".", ",")))
    ),
    "bold losses": honest(lambda f: f.assign(loss=f.loss.map(lambda v: f"**{v!r}**"))),
    "a header in billions": in_unit("params_b", "N", 1e9),
    "a header in millions": in_unit("N (M)", "N", 1e6),
    "a header in trillions": in_unit("Tokens [trillions]", "D", 1e12),
    "a teacher beside": honest(lambda f: f.assign(N_T=1e9, D_T=1e9)),
    "a speed beside": honest(lambda f: f.assign(tflops=400.0)),
    "perplexities by name": other(lambda f: f.rename(columns={"loss": "ppl"})),
    "bytes": cell(b"3.0", np.bytes_(b"3.0"), bytearray(b"3")),
    "nothing": cell(None, np.nan, pd.NA, pd.NaT, float("inf"), -np.inf),
    "signs": cell(0, -0.0, -1, -1e9, 1e-320, 5e-324, 1.7e308, 10**400, -(10**300), 2**63),
    "containers": cell([1, 2], [], (3,), {"a": 1}, {1}, np.array([1.0, 2.0]), np.array([])),
    "arrays of one": cell(
        np.array(3.0), np.ma.masked, np.array([3.0]), jnp.float32(3), pd.Series([3.0])
    ),
    "complex": cell(1 + 2j, complex(3, 0), np.complex64(2)),
    "truths": cell(True, False, np.True_),
    "dates": cell(
        pd.Timestamp("2020"), pd.Timedelta("1s"), np.datetime64("2020"), pd.Period("2020")
    ),
    "objects": cell(object(), Ellipsis, int, len, slice(1), NotImplemented, Sulky(), range(3)),
    "decimals": cell(
        Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e999"), Decimal("-1")
    ),
    "fractions": honest(lambda f: f.map(lambda v: Fraction(v)).astype(object)),
    "all decimals": honest(lambda f: f.map(lambda v: Decimal(v)).astype(object)),
    "objects of numpy": honest(lambda f: f.map(np.float64).astype(object)),
    "text of numbers": honest(lambda f: f.map(repr)),
    "strings": honest(lambda f: f.map(repr).astype("string")),
    "int8": typed(np.int8, "N", "D", largest=120),
    "uint8": typed("UInt8", "N", "D", largest=200),
    "int32": typed(np.int32, "N", largest=2e9),
    "int64": typed(np.int64, "N", "D"),
    "uint64": typed(np.uint64, "N", "D"),
    "nullable integers": typed("Int64", "N", "D"),
    "nullable floats": typed("Float64"),
    "float16": typed(np.float16, "loss"),
    "float32": typed(np.float32),
    "long doubles": typed(np.longdouble),
    "big endian": typed(">f8"),
    "sparse": typed(pd.SparseDtype("float")),
    "categories": honest(lambda f: f.astype("category")),
    "arrow": honest(lambda f: f.convert_dtypes(dtype_backend="pyarrow")),
    "complex columns": other(lambda f: f.astype(complex)),
    "truth columns": other(lambda f: f.astype(bool)),
    "date columns": other(lambda f: f.assign(N=pd.to_datetime(f.N.astype("int64")))),
    "span columns": other(lambda f: f.assign(D=pd.to_timedelta(f.D.astype("int64")))),
    "period columns": other(
        lambda f: f.assign(N=pd.period_range("2000", periods=len(f), freq="D"))
    ),
    "interval columns": other(lambda f: f.assign(N=pd.interval_range(0, len(f)))),
    "overflowing halves": other(lambda f: f.assign(N=np.full(len(f), np.inf, np.float16))),
    "gaps": other(lambda f: f.assign(N=f.N.astype("Int64").mask(f.index == 2))),
    "repeated header": other(lambda f: pd.concat([f, f[["loss"]]], axis=1)),
    "two levels of headers": other(lambda f: pd.concat({"a": f}, axis=1)),
    "one level of headers": other(
        lambda f: f.set_axis(pd.MultiIndex.from_tuples([(n,) for n in f]), axis=1)
    ),
    "numbered headers": headed(0, 1, 2),
    "headers in capitals": honest(lambda f: f.set_axis(["PARAMS", "TOKENS", "LOSS"], axis=1)),
    "padded headers": honest(
        lambda f: f.set_axis([" Model Size ", "training tokens", "Val-Loss"], axis=1)
    ),
    "greek headers": headed("\N{GREEK CAPITAL LETTER NU}", "D", "loss"),
    "other scripts": headed("参数", "令牌", "损失"),
    "no header": headed(None, "D", "loss"),
    "nan header": headed(np.nan, "D", "loss"),
    "tuple header": headed(("N",), "D", "loss"),
    "sulky header": headed(frozenset({1}), "D", "loss"),
    "two candidates": other(lambda f: f.assign(params=2 * f.N)),
    "no D": other(lambda f: f.drop(columns="D")),
    "no column": other(lambda f: f[[]]),
    "no row": other(lambda f: f.iloc[:0]),
    "one row": other(lambda f: f.iloc[:1]),
    "two rows": other(lambda f: f.iloc[:2]),
    "one label": indexed(lambda n: [0] * n),
    "nan labels": indexed(lambda n: [np.nan] * n),
    "pairs of labels": indexed(lambda n: pd.MultiIndex.from_arrays([np.arange(n), ["a"] * n])),
    "date labels": indexed(lambda n: pd.date_range("2020", periods=n)),
    "mixed labels": indexed(
        lambda n: pd.Index([None, "x", 1.5, (1, 2), *range(n)][:n], tupleize_cols=False)
    ),
    "interval labels": indexed(lambda n: pd.interval_range(0, n)),
    "labels called N": honest(lambda f: f.set_index(pd.Index(range(len(f)), name="N"))),
    "read only": honest(lambda f: (f.to_numpy().setflags(write=False), f)[1]),
    "strided": honest(
        lambda f: pd.DataFrame(
            np.asfortranarray(np.repeat(f.to_numpy(), 2, 0))[::2], columns=f.columns
        )
    ),
    "transposed": honest(lambda f: f.T.T),
    "transposed objects": honest(lambda f: f.astype(object).T.T),
    "subclass": honest(Framed),
    "attributes": honest(lambda f: (f.attrs.update(N=1), f)[1]),
    "records": other(lambda f: f.to_dict("records")),
    "a dict": other(lambda f: f.to_dict("list")),
    "a structured array": other(lambda f: f.to_records(index=False)),
    "an array": other(lambda f: f.to_numpy()),
    "a series": other(lambda f: f["loss"]),
    "nothing at all": other(lambda _: None),
    "a number": other(lambda _: 3),
    "a path": other(lambda _: "runs.csv"),
    "a class": other(lambda _: pd.DataFrame),
    "groups": other(lambda f: f.groupby("N")),
    "a generator": other(lambda f: (row for row in f.itertuples())),
    "negative weights": other(lambda f: f.assign(weight=-1.0)),
    "zero weights": other(lambda f: f.assign(weight=0.0)),
    "text weights": other(lambda f: f.assign(weight="heavy")),
    "nan weights": other(lambda f: f.assign(weight=[np.nan, *[1.0] * (len(f) - 1)])),
    "objects beside": honest(lambda f: f.assign(note=[object()] * len(f))),
    "lists beside": honest(lambda f: f.assign(note=[[1]] * len(f))),
    "sulky beside": honest(lambda f: f.assign(note=[Sulky() for _ in range(len(f))])),
    "text compute": honest(lambda f: f.assign(C="x")),
    "negative compute": honest(lambda f: f.assign(C=-1.0)),
    "infinite compute": honest(lambda f: f.assign(C=np.inf)),
    "dated compute": honest(lambda f: f.assign(C=pd.Timestamp("2020"))),
}
