"""One plain table written to files in every format, dress and state of damage."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import openpyxl
import pandas as pd
import pyarrow
import pyarrow.feather
import pyarrow.parquet

import scalefit as sf
from campaign.dresses import QUANTITIES, plain
from campaign.judge import Outcome, numbers_of, same, tried, unlike

# Bytes that no number has, and no unit.
GARBAGE = (b"\0", b"\xff", b"x", b'"', b"@", b"\x1a", b"(", b"=")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: bytes(pyarrow.compress(data, "zstd", asbytes=True)),
    "zip": lambda data: zipped({"runs.csv": data}),
}


class Written(NamedTuple):
    """A table in a file.

    Attributes:
        name: of the file.
        data: what is in it, before it is packed.
        numbers: what it holds.
        tags: how it is written.
        sure: whether it has to be read; else it may be refused.
        text: whether every row is a line, whose last may be cut short unseen.
        sealed: whether a change of a byte cannot pass for another number.
    """

    name: str
    data: bytes
    numbers: pd.DataFrame
    tags: tuple[str, ...]
    sure: bool = True
    text: bool = False
    sealed: bool = True


def one_of(rng: np.random.Generator, *items: Any) -> Any:
    """One of some values of any types."""
    return items[rng.integers(len(items))]


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of some files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return stream.getvalue()


def cells_of(rng: np.random.Generator, runs: pd.DataFrame, decimal: str) -> dict[str, list[str]]:
    """Cells of text, which spell exactly the numbers of the table."""
    blank = one_of(rng, " ", "\u00a0", "\u202f", "'")
    ways: list[Callable[[float], str]] = [
        repr,
        lambda value: str(int(value)),
        lambda value: f"{int(value):.15e}",
        lambda value: f"{value / 1e6!r}M",
        lambda value: f"{value / 1e9!r}B",
        lambda value: f"{value / 1e9!r} billion",
        lambda value: f"{value / 1e8!r}x10^8",
        lambda value: f"+{int(value)}",
        lambda value: f" {int(value)} ",
        lambda value: f"{int(value):,}".replace(",", "," if decimal == "." else "\0"),
        lambda value: f"{int(value):,}".replace(",", blank),
    ]
    found = {}
    for name in ("N", "D"):
        way = ways[rng.integers(len(ways)) if rng.random() < 0.5 else rng.integers(2)]
        found[name] = [way(value) for value in runs[name]]
    found["loss"] = [repr(value) for value in runs["loss"]]
    if decimal == ",":
        found = {
            name: [text.replace(".", ",").replace("\0", ".") for text in texts]
            for name, texts in found.items()
        }
    return found


def separated(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """Separated text: any separator, quotes, decimals, encoding, comments, blank lines, ends."""
    separator = one_of(rng, ",", ",", ";", "\t", "|", " ")
    decimal = one_of(rng, ".", ".", ".", ",")
    sure = True
    if rng.random() < 0.3:
        digits = int(rng.integers(2, 6))
        runs = runs.assign(loss=runs["loss"].round(digits))
        # All losses may then be thousands, too.
        sure = decimal == "." or digits != 3
    columns = cells_of(rng, runs, decimal)
    if separator == " " and any(
        text.split() != [text] for item in columns.values() for text in item
    ):
        separator = "\t"
    label = one_of(rng, "", "", "unnamed", "index", "run")
    if label:
        labels = [str(place) for place in range(len(runs))]
        columns = {"" if label == "unnamed" else label: labels, **columns}
        sure = sure and not (label == "unnamed" and separator == " ")
    encoding = one_of(rng, "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1")
    if rng.random() < 0.3:
        words = ["caf\u00e9", "plain"]
        if separator != " ":
            words = ["caf\u00e9 au", "a, b; c", "x", "", 'a ""quoted"" word', "3", "two\nlines"]
            words = words[: rng.integers(1, len(words) + 1)]
        columns["corpus"] = [words[place % len(words)] for place in range(len(runs))]
    quoting = one_of(rng, "least", "least", "all", "header")

    def line(cells: list[str], all_of_it: bool) -> str:
        return separator.join(
            f'"{cell}"' if all_of_it or separator in cell or set('"\n') & set(cell) else cell
            for cell in cells
        )

    headers = line(list(columns), quoting in ("all", "header"))
    lines = [line(list(row), quoting == "all") for row in zip(*columns.values(), strict=True)]
    before = one_of(rng, [], [], [], ["# exported by x"], ["", ""], ["# one", "", "# two: three"])
    if separator == ";" and rng.random() < 0.2:
        before = ["sep=;"]
    blank = rng.random() < 0.1
    body = [item for one in lines for item in ([one, ""] if blank else [one])]
    end = one_of(rng, "\n", "\n", "\r\n", "\r")
    text = end.join([*before, headers, *body]) + end * int(rng.integers(0, 3))
    if encoding == "latin-1" and "\u202f" in text:
        encoding = "utf-8"
    suffix = one_of(rng, ".csv", ".csv", ".txt", ".dat", ".CSV", "", ".table")
    if separator == "\t":
        suffix = one_of(rng, ".tsv", ".tab", suffix)
    tags = (f"separator {separator!r}", f"decimal {decimal!r}", encoding, f"quotes {quoting}")
    said = (*tags, f"labels {label!r}", f"before {before}", f"end {end!r}", suffix)
    return Written(f"runs{suffix}", text.encode(encoding), runs, said, sure, text=True)


def as_json(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """JSON of any shape."""
    records = runs.to_dict("records")
    if rng.random() < 0.3:
        records = [
            {"config": {"N": row["N"]}, "D": row["D"], "loss": row["loss"]} for row in records
        ]
        return Written("nested.json", json.dumps(records).encode(), runs, ("nested",))
    if rng.random() < 0.2:
        records = [{name: repr(value) for name, value in row.items()} for row in records]
    kind = one_of(
        rng,
        *("records", "columns", "index", "split", "tight", "lists", "data", "runs", "table"),
        *("lines", "lines", "named"),
    )
    rows = {str(place): row for place, row in enumerate(records)}
    by_column = {name: [row[name] for row in records] for name in QUANTITIES}
    split = {
        "columns": list(QUANTITIES),
        "index": list(range(len(runs))),
        "data": [[row[name] for name in QUANTITIES] for row in records],
    }
    document: Any = {
        "records": records,
        "columns": {name: dict(zip(rows, by_column[name], strict=True)) for name in by_column},
        "index": rows,
        "split": split,
        "tight": {**split, "index_names": [None], "column_names": [None]},
        "lists": by_column,
        "data": {"data": records},
        "runs": {"made": "today", "runs": records, "count": len(records)},
        "table": {"schema": {"fields": [{"name": "N"}]}, "data": records},
        "lines": records,
        "named": {f"run {place}": row for place, row in enumerate(records)},
    }[kind]
    encoding = one_of(rng, "utf-8", "utf-8-sig", "utf-16")
    if kind == "lines":
        end = one_of(rng, "\n", "\r\n", "\n\n")
        text, suffix = end.join(map(json.dumps, records)), one_of(rng, ".jsonl", ".ndjson", ".json")
    else:
        text, suffix = json.dumps(document, indent=one_of(rng, None, 2)), one_of(rng, ".json", "")
    # Objects named by nothing but what they hold are one of two lists.
    sure = kind != "table"
    lines = kind == "lines"
    return Written(f"runs{suffix}", text.encode(encoding), runs, (kind, encoding), sure, text=lines)


def parquet(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """Parquet, in any compression, with or without row labels, in other types."""
    held = typed(rng, runs)
    stream = io.BytesIO()
    checked = bool(rng.random() < 0.5)
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pandas(held, preserve_index=one_of(rng, None, True, False)),
        stream,
        compression=one_of(rng, "snappy", "gzip", "zstd", "none"),
        row_group_size=int(rng.integers(3, 40)),
        use_dictionary=bool(rng.random() < 0.5),
        write_page_checksum=checked,
    )
    tags = ("checksums" if checked else "no checksums",)
    name = one_of(rng, "runs.parquet", "runs.pq", "runs")
    return Written(name, stream.getvalue(), floats(held), tags, sealed=False)


def feather(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """Feather, or a file of Arrow."""
    held, stream = typed(rng, runs), io.BytesIO()
    packing = one_of(rng, "uncompressed", "lz4", "zstd")
    pyarrow.feather.write_feather(held, stream, compression=packing)
    name = one_of(rng, "runs.feather", "runs.arrow", "runs")
    return Written(name, stream.getvalue(), floats(held), (packing,), sealed=False)


def excel(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """A workbook, with empty sheets, rows and columns around the table."""
    book = openpyxl.Workbook()
    sheet = book.active
    for _ in range(rng.integers(0, 3)):
        sheet.append([])
    left = [None] * int(rng.integers(0, 2))
    # Excel and openpyxl keep no more digits.
    runs = runs.assign(loss=[float(f"{value:.15g}") for value in runs["loss"]])
    columns = cells_of(rng, runs, ".")
    texts = rng.random() < 0.3
    sheet.append([*left, *QUANTITIES])
    for place, row in enumerate(runs.itertuples(index=False)):
        values = [columns[name][place] for name in QUANTITIES] if texts else list(row)
        sheet.append([*left, *values])
        if rng.random() < 0.05:
            sheet.append([])
    for _ in range(rng.integers(0, 3)):
        book.create_sheet()
    stream = io.BytesIO()
    book.save(stream)
    name = one_of(rng, "runs.xlsx", "runs.xlsm", "runs")
    return Written(name, stream.getvalue(), runs, ("text" if texts else "numbers",))


def markdown(rng: np.random.Generator, runs: pd.DataFrame) -> Written:
    """A table in Markdown, with words around it."""
    columns = cells_of(rng, runs, ".")
    if rng.random() < 0.3:
        columns["loss"] = [f"**{text}**" for text in columns["loss"]]
    if rng.random() < 0.3:
        columns = {"": [str(place) for place in range(len(runs))], **columns}
    rule = one_of(rng, "---", ":--", "--:", ":-:", " --- ", "-")
    edge = one_of(rng, "| ", "|  ", "")
    ends = (edge, edge[::-1])
    if "" in columns:
        ends = ("| ", " |")

    def line(cells: list[str]) -> str:
        return ends[0] + " | ".join(cells) + ends[1]

    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    lines = [line(list(columns)), line([rule] * len(columns)), *map(line, rows)]
    if rng.random() < 0.5:
        lines = ["# Runs", "", "Losses of some runs.", "", *lines, "", "More words."]
    end = one_of(rng, "\n", "\r\n")
    name = one_of(rng, "runs.md", "runs.txt", "runs.csv", "runs")
    return Written(name, (end.join(lines) + end).encode(), runs, (rule, *ends), text=True)


def typed(rng: np.random.Generator, runs: pd.DataFrame) -> pd.DataFrame:
    """The table with columns of other types."""
    types = {
        name: one_of(rng, "float64", "int64", "Int64", "string", "category") for name in ("N", "D")
    }
    types["loss"] = one_of(rng, "float64", "float32", "Float64", "string")
    # A string from text has no zeros cut.
    return pd.DataFrame(
        {
            name: runs[name].map(repr).astype("string")
            if kind == "string"
            else runs[name].astype(kind)
            for name, kind in types.items()
        }
    )


def floats(held: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a table of any types."""
    return pd.DataFrame({name: [float(value) for value in held[name]] for name in held})


FORMATS = (separated, separated, separated, as_json, parquet, feather, excel, markdown)


def rows_cut(rng: np.random.Generator, written: Written) -> Written:
    """Without some of the rows, which are lines."""
    lines = written.data.split(b"\n")
    if (
        not written.text
        or len(lines) < len(written.numbers)
        or b"\n\n" in written.data.replace(b"\r", b"")
    ):
        return written
    first = next((i for i, line in enumerate(lines) if b"loss" in line), None)
    if first is None or "utf-16" in written.tags or "utf-32" in written.tags:
        return written
    if written.name.endswith(("json", "jsonl", "ndjson")):
        first -= 1
    elif "runs.md" in written.name or lines[first + 1].strip(b" |:-\r") == b"":
        first += 1
    kept = np.sort(rng.choice(len(written.numbers), len(written.numbers) - 2, replace=False))
    rows = lines[first + 1 : first + 1 + len(written.numbers)]
    data = b"\n".join(
        [*lines[: first + 1], *(rows[place] for place in kept), *lines[first + 1 + len(rows) :]]
    )
    numbers = written.numbers.iloc[kept].reset_index(drop=True)
    return written._replace(data=data, numbers=numbers)


def truncated(rng: np.random.Generator, written: Written) -> Written:
    """Without its end."""
    return written._replace(data=written.data[: rng.integers(len(written.data))], sure=False)


def flipped(rng: np.random.Generator, written: Written) -> Written:
    """With some bytes replaced."""
    data = bytearray(written.data)
    for place in rng.integers(len(data), size=rng.integers(1, 4)):
        data[place : place + 1] = GARBAGE[rng.integers(len(GARBAGE))]
    return written._replace(data=bytes(data), sure=False)


def twice(rng: np.random.Generator, written: Written) -> Written:
    """Two files in one, header and all."""
    between = one_of(rng, b"", b"\n", b"\n\n") if written.text else b""
    if written.tags[0] == "lines":
        # Lines of JSON have no header.
        numbers = pd.concat([written.numbers, written.numbers], ignore_index=True)
        written = written._replace(numbers=numbers)
    return written._replace(data=written.data + between + written.data, sure=False, text=False)


def misnamed(rng: np.random.Generator, written: Written) -> Written:
    """Under the suffix of another format."""
    suffixes = [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".feather", ".xlsx", ".md", ".gz"]
    suffix = one_of(rng, *suffixes, ".zip", ".py")
    return written._replace(name=f"runs{suffix}", sure=False)


def with_line(rng: np.random.Generator, written: Written) -> Written:
    """With a line that is no run, at its end or after its header."""
    if not written.text or {"utf-16", "utf-32"} & set(written.tags):
        return written
    line = one_of(
        rng, "Total", "# the end", "params,tokens,nats", "1,2,3,4,5,6,7", "---", "N,D,loss", '"',
        "total;1e9;3.2", "{}", "[]", "null", '{"N": 1}', "...", "\x1a", "=SUM(A1:A9)", "\ufeff",
    )  # fmt: skip
    lines = written.data.split(b"\n")
    at = one_of(rng, len(lines), len(lines), int(rng.integers(len(lines) + 1)))
    lines[at:at] = [line.encode()]
    return written._replace(data=b"\n".join(lines), sure=False, text=False)


def torn(rng: np.random.Generator, written: Written) -> Written:
    """A piece moved elsewhere."""
    start, end = np.sort(rng.integers(len(written.data), size=2))
    piece = written.data[start:end][:200]
    rest = written.data[:start] + written.data[start + len(piece) :]
    to = int(rng.integers(len(rest) + 1))
    data = rest[:to] + piece + rest[to:]
    # Digits may be moved into digits.
    return written._replace(data=data, sure=False, sealed=False)


DAMAGES = (
    truncated,
    truncated,
    flipped,
    flipped,
    flipped,
    twice,
    torn,
    rows_cut,
    misnamed,
    with_line,
)


@cache
def FOLDER() -> Path:
    """Where the files are written."""
    return Path(mkdtemp())


def put(written: Written, rng: np.random.Generator, packed: str, harm: str) -> Path:
    """The file on disk, packed, and damaged once more."""
    data, name = written.data, written.name
    if packed:
        data = PACKERS[packed](data) if packed != "zip" else zipped({written.name: data})
        name = one_of(rng, f"{name}.{packed}", f"runs.{packed}", "runs")
        # What is inside a zip has a name of its own; of others the name tells the kind.
        if packed != "zip" and not name.startswith(written.name):
            name = f"{written.name}.{packed}"
    if harm == "truncated":
        data = data[: rng.integers(len(data))]
    elif harm == "flipped":
        at = int(rng.integers(len(data)))
        data = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
    elif harm == "several" and packed == "zip":
        data = zipped({written.name: written.data, f"more-{written.name}": written.data})
    place = FOLDER() / name
    place.write_bytes(data)
    return place


def files(seed: int) -> Outcome:
    """A table in a file: read as the same numbers; damaged, the same numbers or refused."""
    rng = np.random.default_rng([seed, 20])
    made = FORMATS[seed % len(FORMATS)]
    runs = plain(rng)
    if rng.random() < 0.1:
        # More rows than are looked at to tell the layout.
        runs = pd.concat([runs, *(plain(rng) for _ in range(15))], ignore_index=True)
    written = made(rng, runs)
    damage = harm = packed = ""
    if rng.random() < 0.4:
        how = DAMAGES[rng.integers(len(DAMAGES))]
        damage, written = how.__name__, how(rng, written)
    if rng.random() < 0.25:
        packed = str(rng.choice(list(PACKERS)))
        if not damage and rng.random() < 0.5:
            harm = one_of(rng, "truncated", "flipped", "several")
            # The streams of pyarrow have no checksum.
            written = written._replace(sure=False, sealed=packed != "zst")
    path = put(written, rng, packed, harm)
    if packed and written.data.startswith(b"PK") and not Path(written.name).suffix:
        # A workbook without a suffix inside of something else.
        written = written._replace(sure=False)
    options = {"N": "config/N"} if written.tags == ("nested",) else {}
    tags = (made.__name__, damage, packed, harm, *written.tags)
    outcome = tried("files", seed, tags, lambda: numbers_of(sf.read(path, **options)))
    if outcome.refusal and written.sure:
        outcome.faults.append(f"honest numbers refused: {outcome.refusal[:160]}")
    found = outcome.answer
    if found is not None and (written.sealed or not (damage or harm)):
        expected = written.numbers
        if damage == "truncated" and written.text and not harm:
            # The last row may be cut short in the middle of its number.
            expected = expected.iloc[: len(found) - 1]
            found = found.iloc[: len(expected)]
        outcome.faults += unlike(found, expected)
        if not damage and not harm and seed % 4 == 0:
            fit, alike = sf.fit(path, **options), sf.fit(written.numbers)
            if not same(fit, alike, 1e-9):
                outcome.faults.append("the fit of the file is another than that of its numbers")
    outcome.answer = None
    path.unlink()
    return outcome


def folders(rng: np.random.Generator, runs: pd.DataFrame) -> tuple[Path, pd.DataFrame]:
    """A folder of Parquet files."""
    place = FOLDER() / f"folder-{rng.integers(10**9)}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    held = typed(rng, runs)
    middle = int(rng.integers(1, len(runs)))
    for part, rows in enumerate((held.iloc[:middle], held.iloc[middle:])):
        rows.to_parquet(place / f"part-{part}.parquet")
    return place, floats(held)
