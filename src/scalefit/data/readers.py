"""Files of tables read as DataFrames, as far as a fit can take them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import pandas as pd

from scalefit.data.containers import refuse_repeated_labels
from scalefit.data.files import first_line, named, open_regular, reason
from scalefit.errors import DataError, MissingExtraError, listed

__all__ = ["read_frame"]

# Five times the largest tables that are fitted: a compressed file of kilobytes can hold billions.
MOST_ROWS = 5_000_000
# Decompressed text, or cells of eight bytes.
MOST_BYTES = 2**30


def read_frame(path: Path) -> pd.DataFrame:
    """The file as a DataFrame, unchecked; format by suffix.

    Raises:
        MissingExtraError: a Parquet file is read without pyarrow.
        DataError: there is no such file, its format is unknown or broken, or it is too large.
    """
    if os.path.isdir(path):
        raise DataError(
            f"{named(path)} is a folder, not a file", remedy="Give the path of one table in it"
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((item for item in reversed(suffixes) if item in READERS), None)
    if kind is None:
        raise DataError(
            f"cannot tell the format of {named(path)}",
            remedy=f"Known suffixes: {', '.join(READERS)} (CSV and JSON lines also compressed)",
        )
    try:
        open_regular(path).close()
    except FileNotFoundError as error:
        raise DataError(f"there is no file {named(path)}", remedy="Check the path") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{named(path)} cannot be opened ({reason(error)})",
            remedy="Give the path of a table in a regular file",
        ) from error
    try:
        return READERS[kind](path)
    except DataError:
        raise
    except ImportError as error:
        problem = f"{path.name!r} needs a package that is not installed ({first_line(error)})"
        if kind == ".parquet":
            raise MissingExtraError(
                problem, extra="parquet", otherwise="save the table as CSV"
            ) from error
        raise DataError(problem, remedy="Decompress the file first") from error
    except Exception as error:
        # A broken file raises whatever its parser or decompressor raises.
        raise DataError(
            f"{path.name!r} cannot be read as {kind[1:]} ({first_line(error)})",
            remedy="Open it in an editor, or convert it to CSV",
        ) from error


class _Counted(io.RawIOBase):
    """Text of a table as it is read, up to as much as a fit can take."""

    def __init__(self, text: IO[bytes], name: str, call: str) -> None:
        self._text = text
        self._bytes = self._lines = 0
        self._name, self._call = name, call

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        piece = self._text.read(len(into))
        self._bytes += len(piece)
        self._lines += piece.count(b"\n")
        # A header, and an empty line at the end.
        if self._lines > MOST_ROWS + 2:
            raise _too_large(self._name, f"more than {MOST_ROWS:,} rows", self._call)
        if self._bytes > MOST_BYTES:
            size = f"more than {MOST_BYTES / 2**20:.4g} MiB of text"
            raise _too_large(self._name, size, self._call)
        into[: len(piece)] = piece
        return len(piece)


def _too_large(name: str, size: str, call: str) -> DataError:
    return DataError(
        f"{name!r} holds {size}, more than is read by default",
        remedy=f"Read what is to be fitted yourself: LossTable.from_frame({call})",
    )


@contextmanager
def _text_of(path: Path, call: str) -> Iterator[BinaryIO]:
    """The text in a file, decompressed as pandas would, as far as it may be read."""
    from pandas.io.common import (  # type: ignore[import-not-found]
        get_handle,
        infer_compression,
    )

    how = infer_compression(str(path), "infer")
    with open_regular(path) as file, get_handle(file, "rb", compression=how, is_text=False) as text:
        # Buffered in pieces, so that the limits stop the reading early.
        yield io.BufferedReader(_Counted(text.handle, path.name, call), 2**16)


def _read_csv(path: Path) -> pd.DataFrame:
    return _read_separated(path, ",")


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_separated(path, "\t")


def _read_separated(path: Path, separator: str) -> pd.DataFrame:
    separated = "" if separator == "," else f", sep={separator!r}"
    call = f"pandas.read_csv({str(path)!r}{separated}, nrows={MOST_ROWS})"
    _refuse_repeated_headers(path, separator, call)
    with _text_of(path, call) as text:
        frame = pd.read_csv(text, sep=separator)
    # Pandas takes surplus fields for row labels, which moves every value under the next header.
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            f"the rows of {path.name!r} have more fields than its header",
            remedy=f"Give each field a header. Columns: {listed(list(frame.columns))}",
        )
    return frame


def _refuse_repeated_headers(path: Path, separator: str, call: str) -> None:
    """Raise for a repeated header, which pandas would silently rename to ``loss.1``."""
    with _text_of(path, call) as text:
        first = pd.read_csv(text, sep=separator, header=None, nrows=1, dtype=str)
    refuse_repeated_labels(pd.DataFrame(columns=first.iloc[0].dropna()))


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet  # type: ignore[import-untyped]

    with open_regular(path) as file:
        # From the metadata alone: decoded data can be a million times as large.
        table = pyarrow.parquet.ParquetFile(file).metadata
        groups = [table.row_group(place) for place in range(table.num_row_groups)]
        cells = 8 * table.num_rows * table.num_columns
        size = max(cells, sum(group.total_byte_size for group in groups))
        call = f"pandas.read_parquet({str(path)!r})"
        if table.num_rows > MOST_ROWS:
            raise _too_large(path.name, f"{table.num_rows:,} rows", call)
        if size > MOST_BYTES:
            raise _too_large(path.name, f"{size / 2**20:.4g} MiB", call)
        file.seek(0)
        return pd.read_parquet(file, engine="pyarrow")


def _read_json_lines(path: Path) -> pd.DataFrame:
    call = f"pandas.read_json({str(path)!r}, lines=True, nrows={MOST_ROWS})"
    with _text_of(path, call) as text:
        # Values as written (no guessed dates), to the last bit (the default parser rounds).
        return pd.read_json(text, lines=True, dtype=False, precise_float=True)


READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
