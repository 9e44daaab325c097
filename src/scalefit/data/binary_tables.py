"""Parquet, Arrow and Excel as DataFrames; each is measured before it is decoded."""

from __future__ import annotations

import itertools
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from scalefit.data.containers import flattened, refuse_repeated_labels
from scalefit.data.files import open_regular
from scalefit.data.limits import Source, refuse_rows, refuse_size
from scalefit.errors import DataError, listed

__all__ = ["parts_of", "read_arrow", "read_excel", "read_parquet", "read_parts"]

PARQUET = (".parquet", ".pq")


def read_parquet(file: BinaryIO, source: Source) -> pd.DataFrame:
    """A table in Parquet.

    Raises:
        ImportError: pyarrow is not installed.
        DataError: it is too large.
        Exception: what pyarrow raises of a broken file.
    """
    import pyarrow.parquet  # type: ignore[import-untyped]

    refuse_rows((measured := _measured(file))[0], source)
    refuse_size(measured[1], source)
    file.seek(0)
    return _frame(pyarrow.parquet.read_table(file, page_checksum_verification=True))


def _measured(file: BinaryIO) -> tuple[int, int]:
    """Rows and bytes of a Parquet file, from the metadata alone: data can be a million times it."""
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(file).metadata
    groups = [table.row_group(place) for place in range(table.num_row_groups)]
    cells = 8 * table.num_rows * table.num_columns
    return table.num_rows, max(cells, sum(group.total_byte_size for group in groups))


def parts_of(folder: Path) -> list[Path]:
    """The files of a table in a folder of Parquet files; none where it holds anything else.

    Folders within it are looked into where they are partitions, as ``corpus=web``.
    """
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        inner = parts_of(path) if path.is_dir() and "=" in path.name else []
        if not inner and path.suffix.lower() not in PARQUET:
            return []
        found += inner or [path]
    return found


def read_parts(folder: Path, parts: list[Path], source: Source) -> pd.DataFrame:
    """A table in a folder of Parquet files, with the columns of all of them.

    Raises:
        ImportError: pyarrow is not installed.
        OSError: a part is no regular file.
        DataError: it is too large.
        Exception: what pyarrow raises of broken files.
    """
    import pyarrow.dataset  # type: ignore[import-untyped]

    rows = size = 0
    for part in parts:
        with open_regular(part) as file:
            measured = _measured(file)
        rows, size = rows + measured[0], size + measured[1]
        refuse_rows(rows, source)
        refuse_size(size, source)
    checked = pyarrow.dataset.ParquetFragmentScanOptions(page_checksum_verification=True)
    options: dict[str, Any] = {
        "format": pyarrow.dataset.ParquetFileFormat(default_fragment_scan_options=checked),
        "partitioning": "hive",
        "partition_base_dir": str(folder),
    }
    names = [str(part) for part in parts]
    table = pyarrow.dataset.dataset(names, **options)
    # Of the first part alone, unless told: a column of another would be left out.
    schemas = [table.schema, *(item.physical_schema for item in table.get_fragments())]
    schema = pyarrow.unify_schemas(schemas, promote_options="permissive").remove_metadata()
    return _frame(pyarrow.dataset.dataset(names, schema=schema, **options).to_table())


def read_arrow(file: BinaryIO, source: Source) -> pd.DataFrame:
    """A table in an Arrow file, which Feather is.

    Raises:
        ImportError: pyarrow is not installed.
        DataError: it is too large.
        Exception: what pyarrow raises of a broken file.
    """
    import pyarrow

    # Without a column, a batch is its number of rows.
    bare = pyarrow.ipc.open_file(file, options=pyarrow.ipc.IpcReadOptions(included_fields=[]))
    rows = sum(bare.get_batch(place).num_rows for place in range(bare.num_record_batches))
    refuse_rows(rows, source)
    file.seek(0)
    reader = pyarrow.ipc.open_file(file)
    refuse_size(8 * rows * len(reader.schema), source)
    batches, size = [], 0
    for place in range(reader.num_record_batches):
        batches.append(reader.get_batch(place))
        size += batches[-1].nbytes
        refuse_size(size, source)
    return _frame(pyarrow.Table.from_batches(batches, reader.schema))


def _frame(table: Any) -> pd.DataFrame:
    """An Arrow table as a DataFrame, whose text is decoded only when it is used."""
    table.validate(full=True)
    return flattened(table.to_pandas())


def read_excel(file: BinaryIO, source: Source) -> pd.DataFrame:
    """The one table in a workbook of Excel: of a sheet with a header and rows.

    Raises:
        ImportError: openpyxl is not installed.
        DataError: no sheet holds a table, or several do; it is too large.
        Exception: what openpyxl raises of a broken file.
    """
    import openpyxl  # type: ignore[import-untyped]

    with zipfile.ZipFile(file) as packed:
        refuse_size(sum(item.file_size for item in packed.infolist()), source)
    file.seek(0)
    with warnings.catch_warnings():
        # Of styles and extensions that hold no values.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = ((sheet.title, _cells(sheet, source)) for sheet in book.worksheets)
        tables = {title: rows for title, rows in sheets if rows}
    if len(tables) > 1:
        name = next(iter(tables))
        call = f"{source.call.removesuffix(')')}, sheet_name={name!r})"
        raise DataError(
            f"{source.name!r} holds tables in {len(tables)} sheets: {listed(list(tables))}",
            remedy=f"Choose one: LossTable.from_frame({call})",
        )
    if not tables:
        raise DataError(
            f"{source.name!r} has no sheet with a header and rows",
            remedy="Fill one, or save as CSV",
        )
    header, *rows = next(iter(tables.values()))
    columns = [
        (f"Unnamed: {place}" if name is None else name, list(values))
        for place, (name, values) in enumerate(zip(header, zip(*rows, strict=True), strict=True))
        if name is not None or any(value is not None for value in values)
    ]
    refuse_repeated_labels(pd.DataFrame(columns=[name for name, _ in columns]))
    return pd.DataFrame(dict(columns))


def _cells(sheet: Any, source: Source) -> list[tuple[Any, ...]]:
    """The rows of a sheet that are not empty, of one length; none where there are less than two."""
    # What a file says of its own size may be anything.
    sheet.reset_dimensions()
    found, cells = [], 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row)
        refuse_size(8 * cells, source)
        if any(cell is not None for cell in row):
            found.append(row)
            refuse_rows(len(found) - 1, source)
    if len(found) < 2:
        return []
    width = max(map(len, found))
    refuse_size(8 * width * len(found), source)
    return [
        tuple(itertools.islice(itertools.chain(row, itertools.repeat(None)), width))
        for row in found
    ]
