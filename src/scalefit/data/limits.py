"""How much of a table is read, and the text of one, as far as that."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import IO

from scalefit.errors import DataError

__all__ = ["Source", "as_utf8", "read_bytes", "refuse_rows", "refuse_size", "too_large"]

# Five times the largest tables that are fitted: a compressed file of kilobytes can hold billions.
MOST_ROWS = 5_000_000
# Decompressed text, or cells of eight bytes.
MOST_BYTES = 2**30

# What is taken from a file at a time, so that the limits stop the reading early.
PIECE = 2**18

# Marks of byte order, the longer first where one begins with another.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Source:
    """Where a table comes from, for messages.

    Attributes:
        name: of the file, or what else it is.
        call: the call of pandas that reads it without limits.
    """

    name: str
    call: str

    @property
    def remedy(self) -> str:
        """What reads the table whatever its size."""
        return f"Read what is to be fitted yourself: LossTable.from_frame({self.call})"


def refuse_rows(rows: int, source: Source) -> None:
    """Raise for more rows than are read."""
    if rows > MOST_ROWS:
        raise too_large(source, f"{rows:,} rows")


def refuse_size(size: int, source: Source) -> None:
    """Raise for more bytes than are read, decompressed."""
    if size > MOST_BYTES:
        raise too_large(source, f"{size / 2**20:.4g} MiB")


def read_bytes(stream: IO[bytes], source: Source, *, start: bytes = b"", rows: bool) -> bytes:
    """What a stream holds, up to as much as a fit can take.

    Args:
        stream: the rest of the file, decompressed.
        source: what it is, for messages.
        start: what was read of it before.
        rows: whether a line is a row.

    Raises:
        DataError: it holds more.
    """
    pieces, size, lines = [start], len(start), start.count(b"\n")
    while True:
        # A header, and an empty line at the end.
        if rows and lines > MOST_ROWS + 2:
            raise too_large(source, f"more than {MOST_ROWS:,} rows")
        if size > MOST_BYTES:
            raise too_large(source, f"more than {MOST_BYTES / 2**20:.4g} MiB of text")
        piece = stream.read(PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        lines += piece.count(b"\n")


def as_utf8(data: bytes, source: Source) -> bytes:
    """Text as UTF-8 without a mark of byte order.

    Text without a mark is UTF-8 if it can be, and else Windows-1252, in which the printable
    characters of Latin-1 are the same.

    Raises:
        DataError: it is neither.
    """
    mark, encoding = next((item for item in MARKS if data.startswith(item[0])), (b"", ""))
    if encoding == "utf-8":
        data = data[len(mark) :]
    elif encoding:
        data = _recoded(data, encoding, source)
    if b"\0" in data[:PIECE]:
        raise _no_text(source, "it holds zero bytes")
    if not encoding and not _is_utf8(data):
        data = _recoded(data, "windows-1252", source)
    return data


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), PIECE):
            decoder.decode(data[start : start + PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _recoded(data: bytes, encoding: str, source: Source) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        raise _no_text(source, f"it is neither UTF-8 nor {encoding}") from error


def _no_text(source: Source, why: str) -> DataError:
    return DataError(
        f"{source.name!r} is no text: {why}",
        remedy="Save it as CSV in UTF-8",
    )


def too_large(source: Source, size: str) -> DataError:
    """The error of a table of more than is read."""
    return DataError(
        f"{source.name!r} holds {size}, more than is read by default", remedy=source.remedy
    )
