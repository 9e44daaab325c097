"""Whatever holds a table in memory, as a plain pandas DataFrame of the same values.

Tables of other libraries are read through narwhals, Arrow's C stream or the interchange protocol:
none of them is named here. A mapping holds columns, or a run for each key; anything else is a
series of records.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.errors import ArgumentError, DataError, MissingExtraError, ScalefitError, listed

__all__ = [
    "as_series",
    "flattened",
    "from_records",
    "no_table",
    "refuse_repeated_labels",
    "to_pandas",
]

# Between the names of a record within a record, as in ``config/lr``.
WITHIN = "/"
# How deep records may lie in records: one that holds itself has no end.
DEEPEST = 32

# Records with few names in common are as a table much larger than they are: most cells are missing.
MOST_CELLS, SPARSE = 2**24, 64

# Cells that are no records, told apart at once.
SINGLE = frozenset({float, int, str, bool, type(None)})


def to_pandas(runs: Any) -> pd.DataFrame:
    """The table as a plain DataFrame; its values are not checked.

    Args:
        runs: a table of pandas, polars, pyarrow, modin or another library that narwhals knows, or
            that hands out Arrow streams or interchange frames; a dict of columns; a list, or any
            iterable, of records: dicts, dataclasses, named tuples, pydantic models; a structured
            array of numpy. Records within records become columns such as ``config/lr``.

    Raises:
        ArgumentError: it is no table.
        DataError: columns differ in length or in their row labels, or two have one name.
        MissingExtraError: the table can be read by pyarrow alone, which is not installed.
    """
    if isinstance(runs, pd.DataFrame):
        # Plain: methods of a subclass may differ, and attrs may hold what cannot be copied.
        return pd.DataFrame(runs)
    try:
        if isinstance(runs, Mapping):
            return _from_mapping(runs)
        if isinstance(runs, np.ndarray):
            return _from_array(runs)
        found = _from_library(runs)
    except ImportError as error:
        raise MissingExtraError(
            f"runs={shown(runs)} needs a package that is not installed ({error})", extra="parquet"
        ) from error
    except ScalefitError:
        raise
    except Exception as error:
        # Whatever a table of another library, a mapping or what is in it raises of itself.
        raise no_table(runs, f"reading it raises {type(error).__name__}") from error
    if found is not None:
        return found
    if isinstance(runs, Iterable) and not isinstance(runs, str | bytes | bytearray | type):
        try:
            return from_records(list(runs), runs)
        except ScalefitError:
            raise
        except Exception as error:  # Its own iteration, or names that pandas cannot hold.
            raise no_table(runs, f"reading it raises {type(error).__name__}") from error
    raise no_table(runs)


def from_records(records: Sequence[Any], runs: Any) -> pd.DataFrame:
    """Records as the rows of a DataFrame, missing where a record lacks what others have.

    Args:
        records: dicts, dataclasses, named tuples, pydantic models, structured scalars.
        runs: what they were passed as, for messages.

    Raises:
        ArgumentError: one of them is no record.
        DataError: a record has two values of one name.
    """
    flat = []
    for place, record in enumerate(records):
        try:
            named = _names_of(record)
            flat.append({} if named is None else _flat(named, place))
        except ScalefitError:
            raise
        except Exception as error:  # Whatever a record's own methods raise.
            raise no_table(runs, f"its item {place} raises {type(error).__name__}") from error
        if named is None:
            raise no_table(runs, f"its item {place}, {shown(record)}, is no record")
    names = dict.fromkeys(name for item in flat for name in item)
    _refuse_sparse(len(flat), len(names), sum(map(len, flat)))
    _refuse_halves(names)
    columns = {name: [item.get(name) for item in flat] for name in names}
    # A record that has None in place of a record within it adds no column.
    holding = {name[: at.start()] for name in columns for at in _inner_ends(name)}
    return pd.DataFrame(
        {
            name: as_series(values)
            for name, values in columns.items()
            if name not in holding or any(value is not None for value in values)
        }
    )


def no_table(runs: object, why: str = "") -> ArgumentError:
    """The error of what is passed as a table and is none."""
    first = runs[0] if isinstance(runs, list | tuple) and runs else None
    if hasattr(type(runs), "to_pandas"):
        remedy = "Pass runs.to_pandas()"
    elif isinstance(first, list | tuple) or (isinstance(runs, np.ndarray) and runs.ndim == 2):
        remedy = "Name the columns: pandas.DataFrame(runs, columns=['N', 'D', 'loss'])"
    else:
        remedy = (
            "Pass one run per row: pandas.DataFrame(...), a dict of columns, a list of dicts, or "
            "the path of a file, as 'runs.csv'"
        )
    problem = f"runs={shown(runs)} is not a table" + f": {why}" * bool(why)
    return ArgumentError(problem, argument="runs", value=runs, remedy=remedy)


def refuse_repeated_labels(frame: pd.DataFrame) -> None:
    """Raise when two columns have one name."""
    if frame.columns.is_unique:
        return
    repeated = list(frame.columns[frame.columns.duplicated()].unique())
    raise DataError(
        f"the table has two columns called {listed(repeated)}",
        column=str(repeated[0]),
        remedy="Rename or remove one of them",
    )


def _inner_ends(name: Any) -> Iterable[re.Match[str]]:
    return re.finditer(re.escape(WITHIN), name) if isinstance(name, str) else ()


def _from_library(runs: Any) -> pd.DataFrame | None:
    """A table of another library; None where it is of none."""
    import narwhals as nw

    if isinstance(names := getattr(runs, "column_names", None), list):
        refuse_repeated_labels(pd.DataFrame(columns=names))
    frame: Any = nw.from_native(runs, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        return _from_narwhals(frame)
    if isinstance(runs, type) or _is_series(runs):
        return None
    if hasattr(runs, "__arrow_c_stream__") or hasattr(runs, "__arrow_c_array__"):
        import pyarrow  # type: ignore[import-untyped]

        return _from_narwhals(nw.from_native(pyarrow.table(runs)))
    if hasattr(runs, "__dataframe__"):
        with warnings.catch_warnings():
            # Deprecated, and all that some tables have.
            warnings.simplefilter("ignore")
            return pd.DataFrame(pd.api.interchange.from_dataframe(runs))
    return None


def _from_narwhals(frame: Any) -> pd.DataFrame:
    """A frame of narwhals, column by column: polars' own conversion needs pyarrow."""
    if frame.implementation.is_pandas_like():
        return pd.DataFrame(frame.to_pandas())
    found = {name: _from_narwhals_series(frame[name]) for name in frame.columns}
    return flattened(pd.DataFrame(found, columns=frame.columns))


def _from_narwhals_series(series: Any) -> pd.Series:
    import narwhals as nw

    dtype = series.dtype
    # Numpy has no integers of 128 bits; Decimals and dictionaries keep their values as objects.
    wide = isinstance(dtype, nw.Int128 | nw.UInt128 | nw.Decimal)
    if dtype.is_numeric() and not wide:
        return pd.Series(series.to_numpy())
    return as_series(series.to_list())


def _is_series(values: Any) -> bool:
    import narwhals as nw

    found = nw.from_native(values, series_only=True, pass_through=True)
    return isinstance(found, nw.Series)


def _from_array(runs: np.ndarray) -> pd.DataFrame:
    names = runs.dtype.names
    if runs.ndim != 1 or names is None:
        raise no_table(runs)
    columns = {name: runs[name] for name in names}
    return flattened(_from_columns(columns, runs))


def _from_mapping(runs: Mapping[Any, Any]) -> pd.DataFrame:
    """Columns by name; runs by name where the values are records; else one run."""
    values = list(runs.values())
    if any(_is_column(value) for value in values):
        return flattened(_from_columns(runs, runs))
    inner = [value for value in values if isinstance(value, Mapping)]
    if (
        any(inner)
        and len(inner) == len(values)
        and all(_is_place(key) for each in inner for key in each)
    ):
        # As DataFrame.to_dict and to_json write it: rows within columns.
        rows = list(dict.fromkeys(key for each in inner for key in each))
        _refuse_sparse(len(rows), len(inner), sum(map(len, inner)))
        columns = {
            name: as_series([each.get(row) for row in rows])
            for name, each in zip(runs, inner, strict=True)
        }
        return pd.DataFrame(columns).set_axis(_row_labels(rows))
    if values and all(_names_of(value) is not None for value in values):
        return from_records(values, runs).set_axis(_row_labels(list(runs)))
    return from_records([runs] if runs else [], runs)


def _refuse_sparse(rows: int, columns: int, values: int) -> None:
    """Raise for a table that is a million times what it was given as."""
    if rows * columns > max(MOST_CELLS, SPARSE * values):
        raise DataError(
            f"the table would have {rows:,} rows and {columns:,} columns for {values:,} values",
            remedy="Give every run the same names",
        )


def _refuse_halves(names: Iterable[Any]) -> None:
    """Raise for a name with half a character, which no file and no screen can show."""
    for name in names:
        if isinstance(name, str):
            name.encode()


def _row_labels(keys: list[Any]) -> pd.Index:
    """Keys of a dict as row labels; numbers as numbers, which JSON writes as text."""
    return pd.Index([int(key) for key in keys] if all(map(_is_place, keys)) else keys)


def _from_columns(given: Mapping[Any, Any], runs: Any) -> pd.DataFrame:
    """Columns of one length; a single value holds for every row."""
    _refuse_halves(given)
    columns = {name: _column(value, name, runs) for name, value in given.items()}
    lengths = {name: len(value) for name, value in columns.items() if value is not None}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name}: {length}" for name, length in [*lengths.items()][:8])
        raise DataError(
            f"the columns differ in length ({said}{', ...' * (len(lengths) > 8)})",
            column=str(min(lengths, key=lambda name: lengths[name])),
            remedy="Give every column a value for every run, as None where there is none",
        )
    rows = next(iter(lengths.values()))
    index = _labels({name: value for name, value in given.items() if isinstance(value, pd.Series)})
    found = {
        name: as_series([given[name]] * rows) if value is None else value.set_axis(range(rows))
        for name, value in columns.items()
    }
    frame = pd.DataFrame(found)
    return frame if index is None else frame.set_axis(index)


def _labels(given: Mapping[Any, pd.Series]) -> pd.Index | None:
    """The row labels that Series have in common; None where there are no Series."""
    series = list(given.items())
    for name, values in series[1:]:
        if not values.index.equals(series[0][1].index):
            first = series[0][0]
            raise DataError(
                f"the columns {first} and {name} have different row labels",
                column=str(name),
                remedy="Pass pandas.concat(runs, axis=1), which puts equal labels into one row, or "
                "{name: list(values) for name, values in runs.items()}, which goes by order",
            )
    return series[0][1].index if series else None


def _column(value: Any, name: Any, runs: Any) -> pd.Series | None:
    """What a dict holds under a name as a column; None where it is a single value."""
    if not _is_column(value):
        return None
    if isinstance(value, pd.Series):
        return value
    if _is_series(value):
        import narwhals as nw

        return _from_narwhals_series(nw.from_native(value, series_only=True))
    if not hasattr(value, "__array__"):
        return as_series(list(value))
    if not isinstance(value, np.ndarray):
        value = np.asarray(value)
    if value.ndim != 1:
        raise no_table(runs, f"its column {shown(name)} has the shape {value.shape}")
    if value.dtype.names is not None:
        return as_series([_names_of(cell) for cell in value])
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    return pd.Series(value)


def _is_column(value: Any) -> bool:
    """Whether it holds values in an order, rather than being one."""
    if isinstance(value, str | bytes | bytearray | Mapping | set | frozenset | type):
        return False
    if hasattr(value, "__array__"):
        return np.ndim(value) > 0
    return isinstance(value, Iterable) and _names_of(value) is None


def _is_place(key: Any) -> bool:
    """Whether a key of a dict is the number of a row."""
    if isinstance(key, str):
        return key.isascii() and key.isdigit()
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _names_of(record: Any) -> dict[str, Any] | None:
    """The values of a record by name; None where it is no record."""
    if isinstance(record, dict):
        return record
    if type(record) in SINGLE or isinstance(record, type):
        return None
    if isinstance(record, np.void):
        names = record.dtype.names
        return None if names is None else {name: record[name] for name in names}
    if is_dataclass(record):
        return {item.name: getattr(record, item.name) for item in fields(record)}
    if callable(getattr(record, "model_dump", None)):
        return dict(record.model_dump())
    if isinstance(record, tuple):
        names = getattr(record, "_fields", None)
        return None if names is None else dict(zip(names, record, strict=True))
    # A Mapping, a row of a DataFrame, of a database.
    if hasattr(record, "keys") and hasattr(record, "__getitem__"):
        return {name: record[name] for name in record.keys()}  # noqa: SIM118
    return None


def _flat(record: Mapping[Any, Any], place: int, depth: int = 0) -> dict[Any, Any]:
    """The values of a record, and of those within it, under names such as ``config/lr``."""
    if SINGLE.issuperset(map(type, record.values())):
        return dict(record)
    found: dict[Any, Any] = {}
    for name, value in record.items():
        inner = None if isinstance(value, pd.Series) else _names_of(value)
        if inner is None:
            items: Mapping[Any, Any] = {name: value}
        elif depth == DEEPEST:
            raise DataError(
                f"the record {place} holds more than {DEEPEST} records within one another",
                column=str(name),
                rows=[place],
                remedy="Pass the values of each run alone",
            )
        else:
            items = {
                f"{name}{WITHIN}{key}": item for key, item in _flat(inner, place, depth + 1).items()
            }
        for key, item in items.items():
            if key in found:
                raise DataError(
                    f"the record {place} has two values called {shown(key)}",
                    column=str(key),
                    rows=[place],
                    remedy="Rename or remove one of them",
                )
            found[key] = item
    return found


def flattened(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column for each name within a column of records, as ``config/lr``."""
    nested = [
        name
        for name, values in frame.items()
        if values.dtype == object and any(_names_of(cell) is not None for cell in values)
    ]
    if not nested:
        return frame
    rows = frame.to_dict(orient="records")
    found = from_records(rows, rows)
    return found.set_axis(frame.index)


def as_series(values: list[Any]) -> pd.Series:
    """Values as a column, in the type that holds them; as objects where none does."""
    try:
        return pd.Series(values)
    except (OverflowError, TypeError, ValueError):
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return pd.Series(found, dtype=object)
