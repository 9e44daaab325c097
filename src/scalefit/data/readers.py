"""Tables read as DataFrames from files of any format, as far as a fit can take them.

The suffix says what a file is, or, where it says nothing, the first bytes do. Nothing in a file is
run.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import pandas as pd

from scalefit.data import limits
from scalefit.data.binary_tables import parts_of, read_arrow, read_excel, read_parquet, read_parts
from scalefit.data.files import first_line, named, open_regular, reason
from scalefit.data.json_tables import read_json
from scalefit.data.limits import Source, read_bytes
from scalefit.data.separated_text import looks_separated, read_separated
from scalefit.errors import DataError, MissingExtraError, ScalefitError, listed

__all__ = ["read_frame", "read_stream"]

# The kind of a file by its suffix.
KINDS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "csv",
    ".dat": "csv",
    ".md": "markdown",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
BINARY: Mapping[str, Callable[[BinaryIO, Source], pd.DataFrame]] = {
    "parquet": read_parquet,
    "arrow": read_arrow,
    "excel": read_excel,
}
# Of each kind, the function of pandas that reads it, and how.
CALLS: Mapping[str, str] = {
    "csv": "read_csv({}, nrows={})",
    "tsv": "read_csv({}, sep='\\t', nrows={})",
    "markdown": "read_csv({}, sep='|', nrows={})",
    "json": "read_json({})",
    "jsonl": "read_json({}, lines=True, nrows={})",
    "parquet": "read_parquet({})",
    "arrow": "read_feather({})",
    "excel": "read_excel({}, nrows={})",
}
EXTRAS: Mapping[str, str] = {"parquet": "parquet", "arrow": "parquet", "excel": "excel"}

# Separators of kinds that have one of their own.
FAVOURED: Mapping[str, str] = {"tsv": "\t", "markdown": "|"}

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
# How files of each kind begin.
BEGINNINGS: Mapping[bytes, str] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\0": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"PK\3\4": ".zip",
}
# What may be before the first character: marks of byte order, blanks, other bytes of a character.
BEFORE = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"
# What is looked at of a file whose name says nothing.
BEGINNING = 2**16

OPEN = "Open it in an editor, or convert it to CSV"


def read_frame(path: Path) -> pd.DataFrame:
    """The table in a file, or in a folder of Parquet files, as a DataFrame; unchecked.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
        DataError: there is no such file, its format is unknown or broken, or it is too large.
    """
    if os.path.isdir(path):
        return _read_folder(path)
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        # Nothing is read from a network: pathlib leaves one slash of https://.
        far = re.match(r"[a-z0-9]{2,}:/", str(path)) is not None
        remedy = "Download it, and give the path of the file" if far else "Check the path"
        raise DataError(f"there is no file {named(path)}", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"{named(path)} cannot be opened ({reason(error)})",
            remedy="Give the path of a table in a regular file",
        ) from error
    with file:
        return _Reader(path.name, named(path), repr(str(path))).read(file)


def read_stream(stream: IO[bytes], name: str) -> pd.DataFrame:
    """The table that a stream holds, such as standard input, in any format that begins as one.

    Args:
        stream: read to its end, or as far as is read of a file.
        name: what messages call it.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
        DataError: its format is unknown or broken, or it is too large.
    """
    return _Reader(name, name, "sys.stdin.buffer").read(stream)


def _read_folder(path: Path) -> pd.DataFrame:
    try:
        parts = parts_of(path)
    except OSError as error:
        raise DataError(
            f"the folder {named(path)} cannot be opened ({reason(error)})",
            remedy="Give the path of one table in it",
        ) from error
    if not parts:
        raise DataError(
            f"{named(path)} is a folder, not a file, and not one of Parquet files alone",
            remedy="Give the path of one table in it",
        )
    reader = _Reader(path.name, named(path), repr(str(path)))
    return reader.guarded("parquet", lambda: read_parts(path, parts, reader.source("parquet")))


class _Reader:
    """A file while it is read: its name, whole and short, and how Python writes where it is."""

    def __init__(self, name: str, whole: str, where: str) -> None:
        self.name, self.whole, self.where = name, whole, where

    def read(self, stream: IO[bytes]) -> pd.DataFrame:
        kind, packed = _told(self.name)
        if kind in BINARY and not packed:
            return self._binary(kind, stream)
        start = b""
        if not packed and not kind:
            # The name says nothing.
            start = self._beginning(stream)
            begun = _begun(start)
            if begun in PACKED:
                whole = io.BytesIO(read_bytes(stream, self.source(kind), start=start, rows=False))
                stream, start, packed = whole, b"", begun
            else:
                kind = self._kind(start)
        if packed == ".zip":
            return self.guarded("zip", lambda: self._zipped(stream, kind))
        if packed:
            return self.guarded(kind or packed[1:], lambda: self._unpacked(stream, kind, packed))
        return self._content(stream, kind, start)

    def _beginning(self, stream: IO[bytes]) -> bytes:
        try:
            return stream.read(BEGINNING)
        except OSError as error:
            raise DataError(
                f"{self.whole} cannot be read ({reason(error)})", remedy=OPEN
            ) from error

    def source(self, kind: str) -> Source:
        """What messages say of the file."""
        call = CALLS.get(kind, CALLS["csv"]).format(self.where, limits.MOST_ROWS)
        return Source(self.name, f"pandas.{call}")

    def guarded(self, kind: str, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """What a reader returns, whatever it raises of a broken file as an error of its own."""
        try:
            return read()
        except ScalefitError:
            raise
        except ImportError as error:
            raise MissingExtraError(
                f"{self.name!r} needs a package that is not installed ({first_line(error)})",
                extra=EXTRAS.get(kind, "parquet"),
                otherwise="save the table as CSV",
            ) from error
        except Exception as error:
            # A broken file raises whatever its parser or decompressor raises.
            raise DataError(
                f"{self.name!r} cannot be read as {kind} ({first_line(error)})", remedy=OPEN
            ) from error

    def _unpacked(self, stream: IO[bytes], kind: str, packed: str) -> pd.DataFrame:
        with _unpack(stream, packed) as content:
            start = content.read(BEGINNING)
            return self._content(content, kind or self._kind(start), start)

    def _zipped(self, stream: Any, kind: str) -> pd.DataFrame:
        """The one table in a zip, or the workbook that a zip is."""
        with zipfile.ZipFile(stream) as packed:
            names = [item for item in packed.namelist() if not _is_beside(item)]
            if "xl/workbook.xml" in names:
                stream.seek(0)
                return self._binary("excel", stream)
            tables = [item for item in names if _told(item)[0]] or names
            if len(tables) != 1:
                raise DataError(
                    f"{self.name!r} holds {len(tables)} files: {listed(tables)}",
                    remedy="Unpack it, and give the path of one",
                )
            with packed.open(tables[0]) as content:
                start = content.read(BEGINNING)
                return self._content(
                    content, _told(tables[0])[0] or kind or self._kind(start), start
                )

    def _kind(self, start: bytes) -> str:
        """The kind of a file by how it begins.

        Raises:
            DataError: it is neither of a known kind nor text in columns.
        """
        if (begun := _begun(start)) in BINARY:
            return begun
        if start.lstrip(BEFORE)[:1] in (b"{", b"["):
            return "json"
        if start and looks_separated(start, self.source("csv")):
            return "csv"
        suffixes = ", ".join(KINDS)
        raise DataError(
            f"cannot tell the format of {self.whole}",
            remedy=f"Known suffixes: {suffixes}, also compressed ({', '.join(PACKED)})",
        )

    def _content(self, stream: IO[bytes], kind: str, start: bytes) -> pd.DataFrame:
        """What a stream holds whose kind is known, and whose beginning has been read."""
        source = self.source(kind)
        rows = kind in ("csv", "tsv", "markdown", "jsonl")

        def read() -> pd.DataFrame:
            data = read_bytes(stream, source, start=start, rows=rows)
            if kind in BINARY:
                return BINARY[kind](io.BytesIO(data), source)
            if kind in ("json", "jsonl"):
                return read_json(data, source, lines=kind == "jsonl")
            return read_separated(data, source, FAVOURED.get(kind, ""))

        return self.guarded(kind, read)

    def _binary(self, kind: str, file: Any) -> pd.DataFrame:
        return self.guarded(kind, lambda: BINARY[kind](file, self.source(kind)))


def _told(name: str) -> tuple[str, str]:
    """The kind that a name tells, and the compression; each empty where it tells none."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    packed = suffixes[-1] if suffixes and suffixes[-1] in PACKED else ""
    return next((KINDS[item] for item in reversed(suffixes) if item in KINDS), ""), packed


def _begun(start: bytes) -> str:
    """The kind, or the compression, of a file that begins as all of them do; else empty."""
    return next((kind for begin, kind in BEGINNINGS.items() if start.startswith(begin)), "")


def _is_beside(name: str) -> bool:
    """Whether a member of a zip is a folder, or what a system puts beside files."""
    return name.endswith("/") or name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _unpack(stream: Any, packed: str) -> Any:
    if packed == ".gz":
        return gzip.GzipFile(fileobj=stream)
    if packed == ".bz2":
        return bz2.BZ2File(stream)
    if packed == ".xz":
        return lzma.LZMAFile(stream)
    import pyarrow  # type: ignore[import-untyped]

    return pyarrow.CompressedInputStream(stream, "zstd")
