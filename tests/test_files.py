"""Files: what is opened, how much of it is read, and how one is written."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import pickle
import re
import stat
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data import files, limits, readers

ROW = b"1e8,2e9,3.5\n"
HEADER = b"N,D,loss\n"


@pytest.fixture
def small(monkeypatch):
    """Limits of 40 rows and 4,000 bytes."""
    monkeypatch.setattr(limits, "MOST_ROWS", 40)
    monkeypatch.setattr(limits, "MOST_BYTES", 4000)


@pytest.fixture
def frame():
    return pd.DataFrame({"N": [1e8, 2e8], "D": [2e9, 3e9], "loss": [3.1234567890123457, 3.2]})


# What is opened


@pytest.mark.parametrize("path", [None, 3, "", b"runs.csv", "a\0b.csv", "\ud800.csv", 1.5])
def test_what_is_no_path_is_refused_by_name(path):
    with pytest.raises(sf.errors.ArgumentError, match=r"'runs\.csv'") as caught:
        sf.read(path)
    assert caught.value.argument == "runs"


def test_names_that_no_folder_holds_are_refused_in_a_line():
    with pytest.raises(sf.errors.DataError, match="cannot be opened") as caught:
        sf.read("a" * 5000 + ".csv")
    assert len(str(caught.value)) < 300


def test_addresses_of_a_network_are_not_opened():
    with pytest.raises(sf.errors.DataError, match=r"there is no file .* Download it"):
        sf.read("https://example.org/runs.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        with pytest.raises(sf.errors.DataError, match="a pipe or a device"):
            sf.read(tmp_path / name)
        with pytest.raises(OSError, match="a pipe or a device"):
            files.open_regular(tmp_path / name)


def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path, monkeypatch):
    path = tmp_path / "runs.csv"
    path.write_bytes(HEADER)
    found = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(files.os, "stat", lambda _: found)
    with pytest.raises(OSError, match="a pipe or a device"):
        files.open_regular(path)


# How much is read


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zip"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_files_are_read_as_pandas_reads_them(tmp_path, frame, kind, suffix):
    path = tmp_path / f"runs.{kind}{suffix}"
    frame = frame.assign(note=["é, \r\n and\nmore", None], gap=[np.nan, 7], flag=[True, False])
    if kind == "jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
        plain = pd.read_json(path, lines=True, dtype=False, precise_float=True)
    else:
        separator = "," if kind == "csv" else "\t"
        frame.to_csv(path, index=False, sep=separator)
        plain = pd.read_csv(path, sep=separator)
    pd.testing.assert_frame_equal(readers.read_frame(path), plain)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    million = gzip.compress(ROW * 1_000_000, 1)
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(HEADER) + 20 * million)
    start = time.perf_counter()
    with pytest.raises(
        sf.errors.DataError, match=r"'runs\.csv\.gz' holds more than 5,000,000 rows"
    ):
        sf.read(path)
    assert time.perf_counter() - start < 10


TOO_MUCH = {
    "rows": ("r.csv", HEADER + 60 * ROW, "more than 40 rows"),
    "rows of text": ("r.tsv", (HEADER + 60 * ROW).replace(b",", b"\t"), "more than 40 rows"),
    "rows, compressed": ("r.csv.gz", gzip.compress(HEADER + 60 * ROW), "more than 40 rows"),
    "one endless row": ("r.csv.gz", gzip.compress(HEADER + 5000 * b"1"), "more than 0.003815 MiB"),
    "an endless header": ("r.csv", 5000 * b"N", "more than 0.003815 MiB"),
    "lines": ("r.jsonl", 60 * b'{"N": 1e8, "D": 2e9, "loss": 3.5}\n', "more than 40 rows"),
    "one endless line": ("r.jsonl.gz", gzip.compress(5000 * b"["), "more than 0.003815 MiB"),
}


@pytest.mark.parametrize(("name", "content", "said"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_more_than_a_fit_can_take_is_refused(small, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(sf.errors.DataError, match=said) as caught:
        sf.read(tmp_path / name)
    assert "LossTable.from_frame(pandas.read_" in caught.value.remedy


def test_as_many_rows_as_are_allowed_are_read(small, tmp_path):
    for name, content in {
        "runs.csv": HEADER + 40 * ROW,
        "runs.jsonl": 40 * b'{"N": 1e8, "D": 2e9, "loss": 3.5}\n',
    }.items():
        (tmp_path / name).write_bytes(content)
        assert len(sf.read(tmp_path / name)) == 40


def test_parquet_is_measured_before_it_is_decoded(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    count = limits.MOST_ROWS + 1
    pd.DataFrame({"N": np.ones(count)}).to_parquet(tmp_path / "long.parquet")
    pd.DataFrame(np.ones((200, 300))).rename(columns=str).to_parquet(tmp_path / "wide.parquet")
    monkeypatch.setattr(limits, "MOST_BYTES", 400_000)
    monkeypatch.setattr(pd, "read_parquet", None)
    with pytest.raises(sf.errors.DataError, match=r"'long\.parquet' holds 5,000,001 rows"):
        sf.read(tmp_path / "long.parquet")
    with pytest.raises(sf.errors.DataError, match=r"'wide\.parquet' holds 0\.4\d+ MiB"):
        sf.read(tmp_path / "wide.parquet")


def test_a_million_runs_are_read(tmp_path):
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(HEADER + ROW * 1_000_000, 1))
    assert len(sf.read(path)) == 1_000_000


# How a file is written


def put(content):
    return lambda file: file.write(content)


def test_a_file_is_written_under_exactly_its_name(tmp_path):
    for name in ("run-1.5", "run-1.7", "plain", "x.json"):
        files.write_whole(tmp_path / name, put(name.encode()), overwrite=False)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {name: name for name in ("run-1.5", "run-1.7", "plain", "x.json")}


@pytest.mark.parametrize("problem", [OSError("no space"), ValueError("no"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path, problem):
    path = tmp_path / "draws"
    path.write_bytes(b"before")

    def fail(file):
        file.write(b"half")
        raise problem

    with pytest.raises(type(problem)):
        files.write_whole(path, fail, overwrite=True)
    assert [item.name for item in tmp_path.iterdir()] == ["draws"]
    assert path.read_bytes() == b"before"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "draws"
    with pytest.raises(FileExistsError, match="exists already"):
        files.write_whole(path, lambda _: path.write_bytes(b"theirs"), overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_has_the_rights_of_any_other_and_keeps_those_it_has(tmp_path):
    files.write_whole(tmp_path / "new", put(b""), overwrite=True)
    (tmp_path / "plain").write_bytes(b"")
    assert mode(tmp_path / "new") == mode(tmp_path / "plain")
    (tmp_path / "plain").chmod(0o600)
    files.write_whole(tmp_path / "plain", put(b"more"), overwrite=True)
    assert mode(tmp_path / "plain") == 0o600


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "draws").write_bytes(b"kept")
    # Root may write to files without the right to.
    monkeypatch.setattr(files.os, "access", lambda path, _: Path(path).is_dir())
    with pytest.raises(PermissionError, match="may not be written"):
        files.write_whole(tmp_path / "draws", put(b"x"), overwrite=True)
    assert (tmp_path / "draws").read_bytes() == b"kept"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "real")
    for content in (b"first", b"second"):
        files.write_whole(tmp_path / "link", put(content), overwrite=True)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "real").read_bytes() == content


@pytest.mark.parametrize("path", ["/", "/dev/full", "/dev/null", ".", "absent/file", "a" * 300])
def test_places_for_no_file_are_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError):
        files.write_whole(Path(path), put(b"x"), overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("r.parquet", "pyarrow", "parquet"),
        ("r.parquet.gz", "pyarrow", "parquet"),
        ("r.feather", "pyarrow", "parquet"),
        ("r.csv.zst", "pyarrow", "parquet"),
        ("r.xlsx", "openpyxl", "excel"),
    ],
)
def test_a_format_without_its_package_names_the_extra(tmp_path, monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(gzip.compress(b"PAR1") if name.endswith("gz") else b"PAR1")
    said = rf"pip install 'scalefit\[{extra}\]', or save the table as CSV"
    with pytest.raises(ImportError, match=said) as caught:
        sf.read(tmp_path / name)
    assert isinstance(caught.value, sf.errors.MissingExtraError)


# Formats

# 2e9 as text is a count; 0.1 + 0.2 needs its last digit.
RUNS = {
    "N": [1e8, 7.5e9],
    "D": [2_000_000_000, 140_000_000_000],
    "loss": [3.1234567890123457, 0.1 + 0.2],
    "corpus": ["web", "código; a"],
}
ROWS = [dict(zip(RUNS, row, strict=True)) for row in zip(*RUNS.values(), strict=True)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CSV = """N,D,loss,corpus
1e8,2000000000,3.1234567890123457,web
7500000000,140000000000,0.30000000000000004,"código; a"
"""
SEMICOLON = CSV.replace(";", "/").replace(",", ";").replace("/", ";").replace(".", ",")
NESTED = [
    {"config": {"N": row["N"], "D": row["D"]}, "summary": {"loss": row["loss"]}} for row in ROWS
]
MARKDOWN = (
    "# Runs\n\nEach run once.\n\n| N | D | loss | corpus |\n|---:|---:|:---:|---|\n"
    "| 1e8 | 2000000000 | 3.1234567890123457 | web |\n"
    "| 7.5e9 | 140000000000 | 0.30000000000000004 | código; a |\n\nAnd an end.\n"
)
ALIGNED = """
           N            D                 loss corpus
 100000000.0   2000000000   3.1234567890123457    web
7500000000.0 140000000000  0.30000000000000004 código;a
"""


def oriented(orient):
    """As DataFrame.to_json writes it, with every digit."""
    return json.dumps(pd.DataFrame(RUNS).to_dict(orient=orient)).encode()


def packed(*members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return held.getvalue()


def zstandard(content):
    pyarrow = pytest.importorskip("pyarrow")
    held = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(held, "zstd") as file:
        file.write(content)
    return held.getvalue().to_pybytes()


def binary(write):
    pytest.importorskip("pyarrow")
    held = io.BytesIO()
    write(pd.DataFrame(RUNS), held)
    return held.getvalue()


def workbook(*sheets):
    book = pytest.importorskip("openpyxl").Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


TABLE = [list(RUNS), *(list(row.values()) for row in ROWS)]
PARQUET = lambda: binary(lambda frame, file: frame.to_parquet(file))  # noqa: E731
FEATHER = lambda: binary(lambda frame, file: frame.to_feather(file))  # noqa: E731
EXCEL = lambda: workbook(("notes", [["made by hand"]]), ("runs", [[], *TABLE]))  # noqa: E731

FORMATS = {
    "comma": ("r.csv", CSV.encode()),
    "semicolons and decimal commas": ("r.csv", SEMICOLON.encode()),
    "Excel's line": ("r.csv", b"sep=;\r\n" + SEMICOLON.encode()),
    "tabs": ("r.tsv", pd.DataFrame(RUNS).to_csv(index=False, sep="\t").encode()),
    "tabs by another name": ("r.txt", pd.DataFrame(RUNS).to_csv(index=False, sep="\t").encode()),
    "bars": ("r.csv", pd.DataFrame(RUNS).to_csv(index=False, sep="|").encode()),
    "ends of lines of Windows": ("r.csv", CSV.replace("\n", "\r\n").encode()),
    "ends of lines of old Macs": ("r.csv", CSV.replace("\n", "\r").encode()),
    "mark of byte order": ("r.csv", CSV.encode("utf-8-sig")),
    "UTF-16": ("r.csv", CSV.encode("utf-16")),
    "UTF-16, sniffed": ("r", CSV.encode("utf-16")),
    "UTF-32, big-endian": ("r.csv", codecs.BOM_UTF32_BE + CSV.encode("utf-32-be")),
    "Windows-1252": ("r.csv", CSV.encode("cp1252")),
    "comments and blank lines": ("r.csv", b'# of "5" runs\n\n#N,D\n \n' + CSV.encode()),
    "header in a comment": ("r.txt", b"# made by numpy\n# " + CSV.encode()),
    "Markdown": ("r.md", MARKDOWN.encode()),
    "Markdown in text": ("r.txt", MARKDOWN.encode()),
    "JSON records": ("r.json", oriented("records")),
    "JSON columns": ("r.json", json.dumps(RUNS).encode()),
    "JSON columns of rows": ("r.json", oriented("dict")),
    "JSON rows": ("r.json", oriented("index")),
    "JSON split": ("r.json", oriented("split")),
    "JSON table": ("r.json", json.dumps({"schema": {}, "data": ROWS}).encode()),
    "JSON within data": ("r.json", json.dumps({"data": ROWS, "total": 2}).encode()),
    "JSON of runs by name": ("r.json", json.dumps({"a": ROWS[0], "b": ROWS[1]}).encode()),
    "JSON, indented": ("r.json", json.dumps(ROWS, indent=2).encode()),
    "JSON in UTF-16": ("r.json", json.dumps(ROWS).encode("utf-16")),
    "JSON lines": ("r.jsonl", LINES.encode()),
    "JSON lines by another name": ("r.json", LINES.encode()),
    "JSON by the name of lines": ("r.ndjson", oriented("records")),
    "JSON, sniffed": ("r", b"\n " + oriented("records")),
    "Parquet": ("r.parquet", PARQUET),
    "Parquet, sniffed": ("r", PARQUET),
    "Feather": ("r.feather", FEATHER),
    "Arrow, sniffed": ("r.ipc", FEATHER),
    "Excel": ("r.xlsx", EXCEL),
    "Excel, sniffed": ("r", EXCEL),
    "gzip": ("r.csv.gz", gzip.compress(CSV.encode())),
    "gzip, sniffed": ("r", gzip.compress(CSV.encode())),
    "bzip2": ("r.jsonl.bz2", bz2.compress(LINES.encode())),
    "xz": ("r.csv.xz", lzma.compress(CSV.encode())),
    "Zstandard": ("r.csv.zst", lambda: zstandard(CSV.encode())),
    "zip": ("r.zip", packed(("runs.csv", CSV), ("__MACOSX/._runs.csv", "x"), ("README", "x"))),
    "zip of a folder": ("r.zip", packed(("runs/", ""), ("runs/runs.jsonl", LINES))),
    "zip of a file without a suffix": ("r.csv.zip", packed(("runs", CSV))),
    "zip of Parquet": ("r.zip", lambda: packed(("runs.parquet", PARQUET()))),
    "zip, sniffed": ("r", packed(("runs.csv", CSV))),
    "no suffix": ("r", CSV.encode()),
    "unknown suffix": ("r.out", CSV.encode()),
}


@pytest.mark.parametrize(("name", "content"), FORMATS.values(), ids=FORMATS)
def test_every_format_is_read_as_the_same_table(tmp_path, name, content):
    content = content() if callable(content) else content
    (tmp_path / name).write_bytes(content)
    for table in (
        sf.read(tmp_path / name),
        sf.LossTable.from_frame(readers.read_stream(io.BytesIO(content), "standard input")),
    ):
        for column in ("N", "D", "loss"):
            # openpyxl writes 16 digits.
            rtol = 2e-16 if b"xl/" in content else 0
            np.testing.assert_allclose(table.column(column), RUNS[column], rtol=rtol)
        assert table.labels("corpus").tolist() == RUNS["corpus"]
        assert len(table.columns) == 4 or "JSON" in name


def test_text_in_aligned_columns_is_read(tmp_path):
    (tmp_path / "r.txt").write_text(ALIGNED, encoding="utf-8")
    table = sf.read(str(tmp_path / "r.txt"))
    for column in ("N", "D", "loss"):
        np.testing.assert_array_equal(table.column(column), RUNS[column])
    assert table.columns == list(RUNS)


def test_tables_as_databases_print_them_are_read(tmp_path):
    (tmp_path / "r.txt").write_text(" N   | loss \n-----+------\n 1e8 |  3.5 \n(1 row)\n")
    assert readers.read_frame(tmp_path / "r.txt").to_dict("list") == {"N": [1e8], "loss": [3.5]}


def test_runs_within_runs_are_columns(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(NESTED))
    table = sf.read(tmp_path / "r.json", N="config/N", D="config/D", loss="summary/loss")
    np.testing.assert_array_equal(table.column("loss"), RUNS["loss"])


def test_a_fit_takes_the_path_of_its_table(tmp_path):
    runs = sf.simulate(sf.simulation.isoflop_design(), seed=1)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    assert sf.fit(str(tmp_path / "runs.csv")).params == sf.fit(runs).params


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(RUNS)
    for place, corpus in enumerate(("web", "code")):
        (tmp_path / f"corpus={corpus}").mkdir()
        part = frame[["N", "D", "loss"]].iloc[[place]]
        # A column that the first part lacks.
        part = part.assign(seed=7) if place == 0 else part
        part.to_parquet(tmp_path / f"corpus={corpus}" / "part-0.parquet", index=False)
    (tmp_path / "_SUCCESS").write_text("")
    table = sf.read(tmp_path, keep="loss > 0").frame.sort_values("N")
    assert table["loss"].tolist() == RUNS["loss"]
    assert table["corpus"].astype(str).tolist() == ["web", "code"]
    assert table["seed"].tolist()[0] == 7 and np.isnan(table["seed"].tolist()[1])
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(sf.errors.DataError, match="is a folder"):
        sf.read(tmp_path)


# Numbers


def test_thousands_are_never_read_as_decimals(tmp_path):
    (tmp_path / "r.csv").write_text(
        'N,D,loss\n"10,072,747","10,072",3.5\n"9,072,747","9,500",3.4\n'
    )
    frame = readers.read_frame(tmp_path / "r.csv")
    assert frame["N"].tolist() == ["10,072,747", "9,072,747"]
    assert frame["D"].tolist() == ["10,072", "9,500"]
    (tmp_path / "r.tsv").write_text("N\tD\tloss\n10,072\t10,072,747\t3.5\n9,072\t20,072,747\t3\n")
    frame = readers.read_frame(tmp_path / "r.tsv")
    assert frame["N"].tolist() == ["10,072", "9,072"]
    # No point, and groups: neither are thousands beside them decimals.
    (tmp_path / "r.tsv").write_text("N\tD\tloss\n10,072\t10,072,747\t3\n9,072\t20,072,747\t3\n")
    assert readers.read_frame(tmp_path / "r.tsv")["N"].tolist() == ["10,072", "9,072"]


DECIMALS = {
    "semicolons": "N;loss;note\n100;3,14;a, b\n200;2,987;-1,5e-3\n300;;2\n",
    "tabs": "N\tloss\tnote\n100\t3,14\ta, b\n200\t2,987\t-1,5e-3\n300\t\t2\n",
    "quoted, of commas": 'N,loss,note\n100,"3,14","a, b"\n200,"2,987","-1,5e-3"\n300,,2\n',
}


@pytest.mark.parametrize("text", DECIMALS.values(), ids=DECIMALS)
def test_decimal_commas_are_read_as_floats(tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    frame = readers.read_frame(tmp_path / "r.csv")
    assert frame["loss"].tolist()[:2] == [3.14, 2.987] and np.isnan(frame["loss"][2])
    assert frame["loss"].dtype == float
    assert frame["note"].tolist() == ["a, b", -0.0015, 2.0]
    assert frame["N"].tolist() == [100, 200, 300]


def test_commas_that_may_be_either_are_refused(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("N;D;loss\n100000000;200;3,142\n200000000;300;2,987\n")
    with pytest.raises(sf.errors.DataError, match="'loss' holds '3,142'") as caught:
        sf.read(path)
    ways = re.findall(r"LossTable\.from_frame\(pandas\.read_csv\(.*?\)\)", caught.value.remedy)
    names = {"LossTable": sf.LossTable, "pandas": pd}
    assert [eval(way, names).column("loss")[0] for way in ways] == [3.142, 3142.0]
    # One number that is no thousands settles it.
    path.write_text("N;D;loss\n100000000;200;3,142\n200000000;300;2,98\n")
    assert sf.read(path).column("loss").tolist() == [3.142, 2.98]


# What is refused


REFUSED = {
    "no header": (
        "r.csv",
        b"1e8;2e9;3.5\n2e8;3e9;3.4\n",
        "has no header: its first line is 1e8, 2e9",
    ),
    "no header, sniffed": ("r", b"1e8,2e9,3.5\n2e8,3e9,3.4\n", "has no header"),
    "a long row after comments": (
        "r.csv",
        b"# one\n# two\nN,D\n1,2\n1,2,3\n",
        "line 5 of 'r.csv' has 3 fields, and its header 2",
    ),
    "a header of a million columns": ("r.csv", b"a," * 2**20 + b"a\n", "a header of 2 MiB"),
    "a repeated header of semicolons": ("r.csv", b"N;D;N\n1;2;3\n", "two columns called N"),
    "a repeated name in JSON": ("r.json", b'[{"N": 1, "N": 2}]', "two values called 'N'"),
    "numbers in JSON": ("r.json", b"[1, 2]", r"'r\.json' holds no table"),
    "lists in JSON": ("r.json", b"[[1, 2], [3, 4]]", r"'r\.json' holds no table"),
    "a number in JSON": ("r.json", b"3.5", r"'r\.json' holds no table"),
    "broken JSON": ("r.json", b'[{"N": 1}', "cannot be read as json"),
    "a broken line of JSON": ("r.jsonl", b'{"N": 1}\n{"N": \n', "line 2: Expecting value"),
    "endless nesting in JSON": ("r.json", b"[" * 100_000, "cannot be read as json"),
    "columns of JSON of several lengths": ("r.json", b'{"N": [1], "D": [1, 2]}', "N: 1, D: 2"),
    "several tables in JSON": (
        "r.json",
        b'{"a": [{"N": 1}], "b": [{"N": 1}]}',
        "2 lists of records",
    ),
    "records of nothing in common": (
        "r.json",
        json.dumps([{f"x{place}": 1} for place in range(5000)]).encode(),
        "5,000 rows and 5,000 columns for 5,000 values",
    ),
    "rows of nothing in common": (
        "r.json",
        json.dumps({f"x{place}": {str(place): 1} for place in range(5000)}).encode(),
        "5,000 rows and 5,000 columns for 5,000 values",
    ),
    "several tables in a zip": (
        "r.zip",
        packed(("a.csv", CSV), ("b.csv", CSV)),
        "2 files: a.csv, b",
    ),
    "nothing in a zip": ("r.zip", packed(), "holds 0 files"),
    "a broken zip": ("r.zip", b"PK\3\4 and more", "cannot be read as zip"),
    "several tables in Markdown": ("r.md", (MARKDOWN * 2).encode(), "2 tables, in lines 5, 15"),
    "Markdown without a table": ("r.md", b"# Runs\n\nNone.\n", "holds no table"),
    "a long row of Markdown": (
        "r.md",
        (MARKDOWN.replace("| web |", "| web | x |")).encode(),
        "line 7 of 'r.md' has 5 fields, and its header 4",
    ),
    "long rows that count": (
        "r.csv",
        b"N,D,loss\n1,2e9,3.5,\n2,3e9,3.4,\n3,4e9,3.3,\n",
        "have more fields than its header. Give each field a header. Columns: N, D, loss",
    ),
    "long rows of a header in a comment": (
        "r.txt",
        b"# N D loss\n0 1e8 2e9 3.5\n1 2e8 3e9 3.4\n",
        "has no header|have more fields",
    ),
    "a printed DataFrame": (
        "r.txt",
        str(pd.DataFrame(RUNS).drop(columns="corpus")).encode(),
        "the rows of 'r.txt' have more fields than its header",
    ),
    "several sheets": (
        "r.xlsx",
        lambda: workbook(("a", TABLE), ("b", TABLE)),
        "tables in 2 sheets: a, b",
    ),
    "no sheet": ("r.xlsx", lambda: workbook(("a", [["N"]])), "no sheet with a header and rows"),
    "a repeated header of a sheet": (
        "r.xlsx",
        lambda: workbook(("a", [["N", "N"], [1, 2]])),
        "two columns called N",
    ),
    "bytes of no text": ("r.csv", b"N,D\n\x81,2\n", "neither UTF-8 nor windows-1252"),
    "a pickle": ("r.pkl", pickle.dumps(RUNS), "cannot tell the format"),
    "an old pickle": ("r.pkl", pickle.dumps(RUNS, protocol=0), "cannot tell the format"),
    "a pickle called CSV": ("r.csv", pickle.dumps(RUNS), "is no text"),
    "prose": ("r", b"Dear reader,\nthese are the runs that were made.\n", "cannot tell the format"),
}


@pytest.mark.parametrize(("name", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_files_of_no_one_table_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(sf.errors.DataError, match=said):
        sf.read(tmp_path / name)


def test_remedies_of_files_do_what_they_say(tmp_path):
    def mended(name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(sf.errors.DataError) as caught:
            sf.read(tmp_path / name)
        call = caught.value.remedy.partition(": ")[2]
        return eval(call, {"LossTable": sf.LossTable, "pandas": pd})

    assert mended("r.csv", b"1e8;2e9;3.5\n2e8;3e9;3.4\n").column("loss").tolist() == [3.5, 3.4]
    sheets = mended("r.xlsx", workbook(("a", TABLE), ("b", TABLE)))
    assert sheets.column("N").tolist() == RUNS["N"]


MUCH = {
    "JSON": ("r.json", json.dumps([{"N": 1}] * 60).encode(), "60 rows"),
    "JSON of empty objects": ("r.json", b"[" + b"{}," * 200 + b"{}]", "202 lists and objects"),
    "JSON in a zip": ("r.zip", packed(("r.json", b"[" + b" " * 5000)), "more than 0.003815 MiB"),
    "CSV in a zip": ("r.zip", packed(("r.csv", HEADER + 60 * ROW)), "more than 40 rows"),
    "CSV of no name": ("r", gzip.compress(HEADER + 60 * ROW), "more than 40 rows"),
    "CSV in bzip2": ("r.csv.bz2", bz2.compress(HEADER + 5000 * b"1"), "0.003815 MiB"),
    "CSV in xz": ("r.csv.xz", lzma.compress(HEADER + 5000 * b"1"), "0.003815 MiB"),
    "CSV in Zstandard": ("r.csv.zst", lambda: zstandard(HEADER + 60 * ROW), "more than 40 rows"),
    "Parquet in a zip": (
        "r.zip",
        lambda: packed(("r.parquet", PARQUET() + bytes(5000))),
        "more than 0.003815 MiB",
    ),
    "Feather": (
        "r.feather",
        lambda: feather(pd.DataFrame({"N": np.ones(60)})),
        "60 rows",
    ),
    "Feather of text": ("r.feather", lambda: feather(pd.DataFrame({"N": ["x" * 5000]})), "MiB"),
    "Excel": ("r.xlsx", lambda: workbook(("a", [["N"]] * 60)), "MiB"),
}


def feather(frame):
    pytest.importorskip("pyarrow")
    held = io.BytesIO()
    frame.to_feather(held, compression="zstd")
    return held.getvalue()


@pytest.mark.parametrize(("name", "content", "said"), MUCH.values(), ids=MUCH)
def test_too_much_of_any_format_is_refused(small, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(sf.errors.DataError, match=said) as caught:
        sf.read(tmp_path / name)
    assert "LossTable.from_frame(pandas.read_" in caught.value.remedy


def test_a_sheet_with_cells_far_apart_is_measured(tmp_path, monkeypatch):
    book = pytest.importorskip("openpyxl").Workbook()
    for place, value in {"A1": "N", "A2": 1e8, "A9000": 2e8}.items():
        book.active[place] = value
    book.save(tmp_path / "r.xlsx")
    assert sf.read(tmp_path / "r.xlsx").column("N").tolist() == [1e8, 2e8]
    book.active["XFD2"] = 1.0
    book.save(tmp_path / "r.xlsx")
    monkeypatch.setattr(limits, "MOST_BYTES", 100_000)
    with pytest.raises(sf.errors.DataError, match=r"holds 0\.\d+ MiB"):
        sf.read(tmp_path / "r.xlsx")


# Damaged files


def test_changed_pages_of_parquet_files_with_checksums_are_refused(tmp_path, frame):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(frame)
    options = {"write_page_checksum": True, "compression": "none", "use_dictionary": False}
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "runs.parquet"
    pyarrow.parquet.write_table(table, path, **options)
    data = bytearray(path.read_bytes())
    place = data.index(np.array([1e8, 2e8]).tobytes())
    data[place + 5] ^= 1
    path.write_bytes(data)
    for source in (path, folder):
        with pytest.raises(sf.errors.DataError, match="cannot be read as parquet"):
            sf.read(source)


@pytest.mark.parametrize("name", ["runs.feather", "runs.parquet"])
def test_text_of_broken_characters_is_refused_with_its_file(tmp_path, frame, name):
    path = tmp_path / name
    texts = frame.map(repr).astype("string")
    if name == "runs.feather":
        texts.to_feather(path, compression="uncompressed")
    else:
        texts.to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"3.1234567890123457", b"3.12345678901234\xff\xff"))
    with pytest.raises(sf.errors.DataError, match=f"'{name}' cannot be read"):
        sf.read(path)


def test_a_message_of_a_broken_file_is_cut_short(tmp_path, frame):
    path = tmp_path / "runs.xlsx"
    frame.to_excel(path, index=False)
    data = path.read_bytes()
    place = data.index(b"PK\3\4", 10)
    # A name in a zip that is said to be thousands of bytes long.
    data = data[: place + 26] + b"\xff\x07" + data[place + 28 :]
    path.write_bytes(data)
    with pytest.raises(sf.errors.DataError, match="cannot be read as excel") as caught:
        sf.read(path)
    assert len(str(caught.value)) < 700


def test_rows_of_markdown_after_another_line_are_refused(tmp_path):
    path = tmp_path / "runs.md"
    rows = "| N | D | loss |\n|---|---|---|\n| 1e8 | 2e9 | 3.1 |\n"
    path.write_text(f"Words.\n\n{rows}\nMore words | and a bar.\n")
    assert len(sf.read(path)) == 1
    path.write_text(f"{rows}more runs:\n| 2e8 | 4e9 | 2.9 |\n")
    with pytest.raises(sf.errors.DataError, match="ends before line 4, and line 5 has as many"):
        sf.read(path)
