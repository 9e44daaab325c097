"""Separated text as DataFrames: its separator, its header, its decimal commas.

pandas reads the rows. What it would guess, or take silently, is settled here: the separator,
comments before the header, text without a header, decimal commas.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from scalefit.data.containers import refuse_repeated_labels
from scalefit.data.limits import Source, as_utf8, too_large
from scalefit.errors import DataError, listed

__all__ = ["looks_separated", "read_csv", "read_separated"]

# The more usual first. The last, blanks in any number, is tried where none of the others separates.
SEPARATORS = (",", "\t", ";", "|")
BLANKS = r"\s+"

# Marks of text whose characters have several bytes each.
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)

# How much is looked at to find the separator: rows, and bytes.
SAMPLE_ROWS = 100
SAMPLE_BYTES = 2**16
# Beyond some hundred thousand columns, pandas takes minutes.
LONGEST_HEADER = 2**20

END = re.compile(rb"\r\n|\n|\r")
LINE = re.compile(rb"[^\r\n]*(\r\n|\n|\r|\Z)")
EXCEL = re.compile(rb"\"?sep=(.)\"?\s*", re.IGNORECASE)
# The line between the header and the rows of a table in Markdown.
RULES = re.compile(rb"^(?=[ \t:-]*[|+])[ \t:|+]*-[ \t:|+-]*\r?$", re.MULTILINE)
CELL = re.compile(r"(?<!\\)\|")
LONG_ROW = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")

EXPONENT = r"(?:[eE][+-]?\d+)?"
NUMBER = re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+|\d*,\d+){EXPONENT}|[+-]?inf|nan", re.IGNORECASE)
# 10,072 and 10,072,747, but neither 3,14 nor 0,123.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
# These, and those.
COMMA = re.compile(rf"\s*(?:[+-]?\d*,\d+{EXPONENT}|{THOUSANDS.pattern})\s*")
# A number with a point, as a whole cell, in raw text.
POINT = rb"(?:^|[%b\"])[ ]*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?[ ]*(?=[%b\"\r\n]|\Z)"


@dataclass(frozen=True)
class Layout:
    """How a text is laid out.

    Attributes:
        separator: the character, or ``BLANKS``.
        start: where the header begins, or the first row where the header is a comment; bytes.
        header: the header that a comment holds; None where it is the first line.
    """

    separator: str
    start: int
    header: tuple[str, ...] | None


def read_separated(data: bytes, source: Source, favoured: str = "") -> pd.DataFrame:
    """A table in separated text, or in Markdown.

    Args:
        data: the whole text, in any encoding that :func:`as_utf8` tells.
        source: what it is, for messages.
        favoured: the separator where the header has it, whatever else separates; a bar for
            Markdown.

    Raises:
        DataError: it has no header or repeats one, has rows of more fields than the header, or
            numbers that may have decimal commas or thousands.
        Exception: what pandas raises of text that is no table.
    """
    data = as_utf8(data, source)
    if (markdown := _markdown(data, source)) is not None:
        data, favoured = markdown, "|"
    elif favoured == "|":
        raise DataError(f"{source.name!r} holds no table", remedy="Give it a header and a rule")
    start = _first_line(data)[0]
    if (length := len(_line(data, start))) > LONGEST_HEADER:
        raise too_large(source, f"a header of {length / 2**20:.4g} MiB")
    layout = _layout(data, favoured)
    rows = _rows(_sample(data, layout.start), layout.separator)
    first, *rows = [list(layout.header), *rows] if layout.header else rows or [[]]
    if first and all(NUMBER.fullmatch(cell.strip()) for cell in first):
        raise _no_header(first, source, layout.separator)
    refuse_repeated_labels(pd.DataFrame(columns=[cell for cell in first if cell.strip()]))
    # Pandas takes surplus fields of the first row for row labels, which moves every value under the
    # next header.
    if rows and len(rows[0]) > len(first):
        raise DataError(
            f"the rows of {source.name!r} have more fields than its header",
            remedy=f"Give each field a header. Columns: {listed(first)}",
        )
    return _with_decimals(_parsed(data, layout, source), data, layout, source)


def read_csv(stream: Any, **options: Any) -> pd.DataFrame:
    """``pandas.read_csv``, with every number as Python reads it.

    Args:
        stream: the text.
        **options: of ``pandas.read_csv``.
    """
    frame: pd.DataFrame = pd.read_csv(stream, **_exactly(), **options)
    return frame


@cache
def _exactly() -> dict[str, Any]:
    # Before pandas 3.1 numbers of 16 digits are an ulp off without this option; since then with it,
    # there is a warning.
    usual = pd.read_csv(io.StringIO("x\n0.30000000000000004"))["x"][0]
    return {} if usual == 0.1 + 0.2 else {"float_precision": "round_trip"}


def looks_separated(data: bytes, source: Source) -> bool:
    """Whether the beginning of a file is text in columns, with a header."""
    if not data.startswith(WIDE):
        # The last line may be cut short, in the middle of a character too.
        data = data[: data.rfind(b"\n") + 1] or data
    try:
        data = as_utf8(data, source)
    except DataError:
        return False
    if RULES.search(data):
        return True
    layout = _layout(data, "")
    rows = _rows(_sample(data, layout.start), layout.separator)
    return len(rows) > 1 and _columns(rows) > 1


def _parsed(data: bytes, layout: Layout, source: Source, decimal: str = ".") -> pd.DataFrame:
    stream = io.BytesIO(data)
    stream.seek(layout.start)
    named = {"header": None, "names": layout.header} if layout.header else {}
    try:
        frame = read_csv(stream, sep=layout.separator, decimal=decimal, low_memory=False, **named)
    except pd.errors.ParserError as error:
        found = LONG_ROW.search(str(error))
        if found is None:
            raise
        line = int(found[2]) + len(END.findall(data[: layout.start]))
        raise _long_row(line, int(found[3]), int(found[1]), source) from error
    return frame


def _long_row(line: int, fields: int, header: int, source: Source) -> DataError:
    return DataError(
        f"line {line} of {source.name!r} has {fields} fields, and its header {header}",
        remedy="Quote a field that holds a separator, or give each field a header",
    )


# The layout


def _layout(data: bytes, favoured: str) -> Layout:
    start, comment = _first_line(data)
    if (found := EXCEL.fullmatch(_line(data, start))) is not None:
        # The line by which Excel is told the separator.
        start += len(_line(data, start))
        return Layout(found[1].decode("latin-1"), start, None)
    sample = _sample(data, start)
    separator = _separator(sample, favoured)
    rows = _rows(sample, separator)
    if comment and rows:
        header = _rows(comment, separator)[0]
        if len(header) == len(rows[0]) and _numeric(rows[0]) and not _numeric(header):
            return Layout(separator, start, tuple(header))
    return Layout(separator, start, None)


def _first_line(data: bytes) -> tuple[int, str]:
    """Where the first line begins that is neither blank nor a comment; the comment before it."""
    start, comment = 0, ""
    while start < len(data):
        line = _line(data, start)
        text = line.strip()
        if text and not text.startswith(b"#"):
            break
        comment = text.lstrip(b"# ").decode("utf-8", "replace") if text else comment
        start += len(line)
    return start, comment


def _line(data: bytes, start: int) -> bytes:
    found = LINE.match(data, start)
    return found[0] if found else b""


def _sample(data: bytes, start: int) -> str:
    """The first lines, whole."""
    # The header and the first row, however long.
    end = start + max(SAMPLE_BYTES, 4 * len(_line(data, start)))
    piece = data[start:end]
    if len(data) > end:
        piece = piece[: max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1] or piece
    return piece.decode("utf-8", "replace")


def _separator(sample: str, favoured: str) -> str:
    """What separates as many fields in every row as in the header; else the most of a header."""
    found = {separator: _rows(sample, separator) for separator in SEPARATORS}
    if favoured and found[favoured] and len(found[favoured][0]) > 1:
        return favoured
    alike = {separator: _columns(rows) for separator, rows in found.items()}
    if max(alike.values()) > 1:
        return max(alike, key=lambda separator: alike[separator])
    header, *rows = _rows(sample, BLANKS) or [[]]
    # A printed DataFrame has row labels without a header, which is refused with the rest.
    if len(header) > 1 and _columns(rows) in (len(header), len(header) + 1):
        return BLANKS
    widths = {separator: len(rows[0]) if rows else 0 for separator, rows in found.items()}
    return max(widths, key=lambda separator: widths[separator])


def _rows(sample: str, separator: str) -> list[list[str]]:
    """The first rows as fields, without blank lines."""
    if separator == BLANKS:
        rows = [line.split() for line in sample.splitlines()[:SAMPLE_ROWS]]
        return [row for row in rows if row]
    rows = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=separator):
            if len(row) > 1 or "".join(row).strip():
                rows.append(row)
            if len(rows) == SAMPLE_ROWS:
                break
    except csv.Error:
        # Of what is no text in lines; pandas says more of it.
        return rows
    return rows


def _columns(rows: Sequence[Sequence[str]]) -> int:
    """How many fields every row has; 0 where they differ."""
    widths = {len(row) for row in rows}
    return widths.pop() if len(widths) == 1 else 0


def _numeric(row: Sequence[str]) -> bool:
    return any(NUMBER.fullmatch(cell.strip()) for cell in row)


def _no_header(first: Sequence[str], source: Source, separator: str) -> DataError:
    names = ["N", "D", "loss", *(f"column {place}" for place in range(4, len(first) + 1))]
    named = _call(source, separator, f"header=None, names={names[: len(first)]}")
    return DataError(
        f"{source.name!r} has no header: its first line is {listed(first)}",
        remedy="Add one" + f", or name the columns in their order: {named}" * bool(named),
    )


def _call(source: Source, separator: str, options: str) -> str:
    """The call that reads a file with options of pandas; empty where pandas does not read it."""
    call = source.call.removesuffix(")")
    if not call.startswith("pandas.read_csv"):
        return ""
    separated = "" if separator == "," or "sep=" in call else f", sep={separator!r}"
    return f"LossTable.from_frame({call}{separated}, {options}))"


# Markdown


def _markdown(data: bytes, source: Source) -> bytes | None:
    """The one table of Markdown in a text, separated by bars; None where there is none."""
    if b"|" not in data or not RULES.search(data):
        return None
    lines = [line.strip() for line in data.decode("utf-8").splitlines()]
    starts = [
        place - 1
        for place in range(1, len(lines))
        if RULES.fullmatch(lines[place].encode()) and "|" in lines[place - 1]
    ]
    if not starts:
        return None
    if len(starts) > 1:
        raise DataError(
            f"{source.name!r} holds {len(starts)} tables, in lines "
            f"{listed([start + 1 for start in starts])}",
            remedy="Leave one of them",
        )
    written = io.StringIO()
    writer = csv.writer(written, delimiter="|", lineterminator="\n")
    header = _cells(lines[starts[0]])
    writer.writerow(header)
    rows = lines[starts[0] + 2 :]
    length = next((place for place, line in enumerate(rows) if "|" not in line), len(rows))
    for place, line in enumerate(rows[length:], starts[0] + 3 + length):
        if "|" in line and len(_cells(line)) == len(header):
            raise DataError(
                f"the table of {source.name!r} ends before line {starts[0] + 3 + length}, and line "
                f"{place} has as many cells again",
                remedy="Remove the lines between its rows, or what is after it",
            )
    for place, line in enumerate(rows[:length], starts[0] + 3):
        if len(cells := _cells(line)) > len(header):
            raise _long_row(place, len(cells), len(header), source)
        writer.writerow(cells)
    return written.getvalue().encode("utf-8")


def _cells(line: str) -> list[str]:
    """The cells of a line of Markdown."""
    cells = CELL.split(line.removeprefix("|").removesuffix("|"))
    return [cell.strip().replace(r"\|", "|") for cell in cells]


# Decimal commas


def _with_decimals(
    frame: pd.DataFrame, data: bytes, layout: Layout, source: Source
) -> pd.DataFrame:
    """The frame with numbers such as ``3,14`` as floats, in a text whose decimals have commas.

    Commas are decimals where a number has some that cannot be thousands, and no number of the text
    has a point or several commas. Where each may be thousands as well, nothing is guessed.
    """
    texts = {name: values for name, values in frame.items() if values.dtype.kind not in "iufb"}
    held = {name: cells for name, values in texts.items() if (cells := _with_comma(values))}
    every = [cell for cells in held.values() for cell in cells]
    if not every or any(cell.count(",") > 1 or "." in cell for cell in every):
        return frame
    if _has_points(data, layout.separator):
        return frame
    if all(THOUSANDS.fullmatch(cell.strip()) for cell in every):
        # In text separated by commas, quoted numbers with commas are thousands.
        if layout.separator == ",":
            return frame
        raise _doubtful(held, source, layout.separator)
    frame = _parsed(data, layout, source, decimal=",")
    for name in held:
        if frame[name].dtype.kind not in "iuf":
            frame[name] = _decimals(frame[name])
    return frame


def _with_comma(values: pd.Series) -> list[str]:
    """The cells of a column that are numbers with commas."""
    cells = values.unique().tolist()
    return [
        cell for cell in cells if isinstance(cell, str) and "," in cell and COMMA.fullmatch(cell)
    ]


def _has_points(data: bytes, separator: str) -> bool:
    """Whether a cell of a text is a number with a decimal point."""
    between = rb" \t" if separator == BLANKS else re.escape(separator.encode())
    return re.search(POINT % (between, between), data, re.MULTILINE) is not None


def _decimals(values: pd.Series) -> pd.Series:
    """A column of text with its numbers as floats; other text stays as it is."""

    def read(cell: object) -> object:
        if not isinstance(cell, str) or not NUMBER.fullmatch(cell.strip()):
            return cell
        return float(cell.strip().replace(",", "."))

    return pd.Series([read(cell) for cell in values.tolist()], index=values.index)


def _doubtful(held: dict[object, list[str]], source: Source, separator: str) -> DataError:
    name, cells = next(iter(held.items()))
    ways = [_call(source, separator, f"{way}=','") for way in ("decimal", "thousands")]
    return DataError(
        f"{name!r} holds {cells[0]!r} in {source.name!r}, which has a decimal comma or thousands",
        column=str(name),
        remedy=f"Say which: {ways[0]} or {ways[1]}" if ways[0] else "Write it with a point",
    )
