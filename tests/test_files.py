"""Files: what is opened, how much of it is read, and how one is written."""

import gzip
import os
import stat
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data import files, readers

ROW = b"1e8,2e9,3.5\n"
HEADER = b"N,D,loss\n"


@pytest.fixture
def small(monkeypatch):
    """Limits of 40 rows and 4,000 bytes."""
    monkeypatch.setattr(readers, "MOST_ROWS", 40)
    monkeypatch.setattr(readers, "MOST_BYTES", 4000)


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
    count = readers.MOST_ROWS + 1
    pd.DataFrame({"N": np.ones(count)}).to_parquet(tmp_path / "long.parquet")
    pd.DataFrame(np.ones((200, 300))).rename(columns=str).to_parquet(tmp_path / "wide.parquet")
    monkeypatch.setattr(readers, "MOST_BYTES", 400_000)
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


def test_parquet_without_its_extra_is_an_import_error_with_a_remedy(tmp_path, monkeypatch):
    def missing(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setitem(readers.READERS, ".parquet", missing)
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r"pip install 'scalefit\[parquet\]', or save") as caught:
        sf.read(tmp_path / "runs.parquet")
    assert isinstance(caught.value, sf.errors.MissingExtraError)
