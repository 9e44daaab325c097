"""Public tables by name: the registry, the tables at hand, original files, downloads."""

import gc
import gzip
import hashlib
import os
import socket
import stat
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.separated_text import read_csv
from scalefit.datasets import Original, loading, sources
from scalefit.datasets.parsers import PARSERS, parsed
from scalefit.datasets.registry import FOLDERS, PACKAGE, registry

ROOT = Path(__file__).parents[1]
TABLES = list(sf.datasets.list())
OTHERS = [name for name in TABLES if sf.datasets.info(name).folder != PACKAGE]
OWN = [name for name in TABLES if name not in OTHERS]
ORIGINALS = [name for name in TABLES if sf.datasets.info(name).original]
# Tables with gaps in N, D or loss, and the rows that have none.
GAPS = {"obs_base_llm": 123, "routed_lm_curves": 5568}


@pytest.fixture(scope="module")
def folders(data_folder):
    """Folders of the tables as CSV, by the folder of an entry."""
    bench = os.environ.get("SCALEFIT_BENCH")
    package = Path(sf.datasets.__file__).parent
    return {"data": data_folder, "bench": Path(bench) if bench else None, PACKAGE: package}


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """An empty cache, no folder of tables, and no name that leads to another machine."""
    for variable in filter(None, (variable for _, variable in FOLDERS.values())):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SCALEFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    found = socket.getaddrinfo

    def local(host, *rest, **named):
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return found(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    return tmp_path / "cache"


# The registry


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_source_licence_hash_and_units(name):
    entry = sf.datasets.info(name)
    assert entry.url.startswith("https://") or (name in OWN and (ROOT / entry.url).is_dir())
    assert entry.licence and entry.citation and entry.unit
    assert len(bytes.fromhex(entry.sha256)) == 32
    assert all(entry.columns.values())
    assert entry.quantities.keys() <= {"N", "D", "C", "loss"}
    assert set(entry.quantities.values()) <= set(entry.columns)
    if entry.original:
        # At a commit, so that what is downloaded cannot change.
        assert entry.original.url.startswith("https://raw.githubusercontent.com/")
        assert any(len(part) == 40 for part in entry.original.url.split("/"))
        assert len(bytes.fromhex(entry.original.sha256)) == 32 and entry.original.bytes > 0
        assert set(entry.original.lacks) <= set(entry.columns)


def test_what_is_downloaded_has_a_parser_and_nothing_else():
    assert set(PARSERS) == set(ORIGINALS)


def test_the_project_holds_no_table_but_its_own():
    package = Path(sf.datasets.__file__).parent
    kept = {path.name for path in package.iterdir() if path.suffix not in (".py", "")}
    assert kept == {"registry.json", *(sf.datasets.info(name).file for name in OWN)}
    # Manifests and results of the runs that were trained here.
    assert {path.parent.name for path in (ROOT / "data").rglob("*.*sv")} <= {"data", "sweep"}
    assert [path.name for path in (ROOT / "data").glob("*.csv")] == ["scalefit_bytes.csv"]
    assert (ROOT / "data/scalefit_bytes.csv").samefile(package / "scalefit_bytes.csv")


def test_the_list_and_a_card_say_what_is_known():
    table = sf.datasets.list()
    frame = table.to_frame().set_index("name")
    assert len(table) == len(frame) == len(TABLES)
    assert frame.loc["chinchilla_epoch", ["rows", "download"]].to_list() == [245, True]
    assert not frame.loc["parscale", "download"]
    variables = {"SCALEFIT_BENCH": 19, "SCALEFIT_DATA": 17, "": 1}
    assert frame["variable"].value_counts().to_dict() == variables
    assert frame.index[frame["included"]].to_list() == OWN
    # All names are in what a terminal shows.
    assert not [name for name in TABLES if name not in table.summary()]
    card = sf.datasets.info("llama3_isoflops").summary()
    for said in (
        "not nats per token",
        "no license stated",
        "1bc1755b76e6ee55a911549c8ec52b71cb4803",
    ):
        assert said in card
    assert "not downloaded" in card and "oa_reason_exp" in card


@pytest.mark.parametrize("call", [sf.datasets.load, sf.datasets.info, sf.datasets.frame])
def test_an_unknown_name_is_told_the_nearest_and_all(call):
    with pytest.raises(sf.errors.ArgumentError) as caught:
        call("chinchila_epoch")
    assert "Did you mean 'chinchilla_epoch'?" in str(caught.value)
    assert all(name in str(caught.value) for name in TABLES)
    for none in (None, 3, ["gadre"], "x"):
        with pytest.raises(
            sf.errors.ArgumentError, match="Known: scalefit_bytes, chinchilla_epoch"
        ):
            call(none)


# Tables at hand


@pytest.mark.parametrize("name", TABLES)
def test_every_table_at_hand_is_the_registered_one_and_is_loaded(name, folders):
    entry = sf.datasets.info(name)
    if folders[entry.folder] is None:
        pytest.skip("set SCALEFIT_BENCH to the folder that holds the tables of benchmarks")
    content = (folders[entry.folder] / entry.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    frame = sf.datasets.frame(name)
    assert len(frame) == entry.rows
    assert set(entry.columns) <= set(frame.columns)
    if name in GAPS:
        with pytest.raises(sf.errors.DataError, match="missing='drop'"):
            sf.datasets.load(name)
        table = sf.datasets.load(name, missing="drop")
        assert len(table) == GAPS[name] and len(table.dropped) == entry.rows - GAPS[name]
    else:
        table = sf.datasets.load(name)
        assert len(table) == entry.rows
    assert "ambiguous_column" not in [note.code for note in table.notes]
    assert table.sources.items() >= entry.quantities.items()
    said = [note.message for note in table.notes if note.code == "dataset"]
    assert said == ([" ".join(entry.traps)] if entry.traps else [])
    assert table.provenance["dataset"] == name
    assert table.provenance["dataset sha256"] == entry.sha256


@pytest.mark.parametrize("name", ORIGINALS)
def test_original_files_give_the_tables_to_the_last_bit(name, data_folder):
    entry = sf.datasets.info(name)
    content = (data_folder / "originals" / entry.original.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry.original.sha256
    assert len(content) == entry.original.bytes
    tidy = read_csv(data_folder / entry.file).drop(columns=list(entry.original.lacks))
    pd.testing.assert_frame_equal(parsed(entry, content), tidy, check_exact=True)


def test_rules_and_headers_pass_through(data_folder):
    kept = sf.datasets.load("chinchilla_epoch", keep="besiroglu_keep == 1", C="budget")
    assert len(kept) == 240 and [item.row for item in kept.dropped] == [0, 1, 2, 3, 4]
    assert kept.sources["C"] == "budget"
    ladder = sf.datasets.load("marin_comma", keep="validation_optimal == 0")
    assert ladder.sources["C"] == "budget" and len(ladder) == 85
    # A header that the registry gives to another quantity is the caller's to use.
    assert sf.datasets.load("sld_lr_bsz_train", U="data_size").sources["U"] == "data_size"


def test_the_unit_of_the_losses_is_that_of_the_registry(data_folder):
    named = {"chinchilla_epoch": "nats/token", "farseer": "bits/character", "llama3_isoflops": ""}
    for name, unit in named.items():
        assert sf.datasets.load(name).loss_unit == unit
    assert sf.datasets.load("farseer", loss_unit="bits").loss_unit == "nats/token"


def test_a_fit_says_which_table_it_is_of(data_folder):
    fit = sf.fit(sf.datasets.load("chinchilla_epoch", keep="besiroglu_keep == 1"))
    assert fit.provenance["dataset"] == "chinchilla_epoch"
    assert fit.provenance["dataset sha256"].startswith("dd98e6e39799b2e7")
    assert "epoch-research/analyzing-chinchilla" in fit.provenance["dataset source"]
    assert fit.params["alpha"] == pytest.approx(0.34731, abs=5e-6)
    assert "chinchilla_epoch" in fit.summary()
    again = sf.Fit.from_json(fit.to_json())
    assert again.provenance == fit.provenance


def test_a_folder_may_hold_the_files_of_the_sources(data_folder, alone, tmp_path, monkeypatch):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "originals").symlink_to(data_folder / "originals")
    tidy = read_csv(data_folder / "chinchilla_epoch.csv")
    monkeypatch.setenv("SCALEFIT_DATA", str(folder))
    for name in ORIGINALS:
        assert len(sf.datasets.frame(name)) == sf.datasets.info(name).rows
    table = sf.datasets.load("chinchilla_epoch")
    np.testing.assert_array_equal(table.column("loss"), tidy["loss"])
    assert table.provenance["dataset sha256"].startswith("193478df4e90f040")
    assert table.provenance["dataset source"].startswith("https://raw.githubusercontent.com/")
    assert not alone.exists()


def test_another_file_of_the_name_is_refused(alone, tmp_path, monkeypatch):
    path = tmp_path / "parscale.csv"
    path.write_text("params,loss\n1e8,3.0\n")
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path))
    with pytest.raises(sf.errors.DataError) as caught:
        sf.datasets.load("parscale")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for said in (found, sf.datasets.info("parscale").sha256, f"scalefit.read({str(path)!r})"):
        assert said in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(sf.errors.DataError, match="is a folder"):
        sf.datasets.load("parscale")
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(sf.errors.DataError, match=r"is not a folder\. .*unset SCALEFIT_DATA"):
        sf.datasets.load("parscale")


@pytest.mark.parametrize("name", sorted(set(OTHERS) - set(ORIGINALS)))
def test_what_cannot_be_checked_is_not_downloaded(name, alone):
    entry = sf.datasets.info(name)
    with pytest.raises(sf.errors.DataError) as caught:
        sf.datasets.load(name)
    for said in (entry.url, entry.licence, FOLDERS[entry.folder][1], entry.file, entry.sha256):
        assert said in str(caught.value)
    assert not alone.exists()


def test_a_table_of_our_own_needs_neither_folder_nor_network(alone):
    entry = sf.datasets.info("scalefit_bytes")
    table = sf.datasets.load("scalefit_bytes")
    assert len(table) == entry.rows and table.loss_unit == "nats/byte"
    assert set(sf.datasets.frame("scalefit_bytes").columns) == set(entry.columns)
    assert table.provenance["dataset sha256"] == entry.sha256
    assert not alone.exists()


# Downloads, from this machine

HEADER = b"Model Name,Parameters,Tokens/Params,Tokens,Batch Size,Smoothed Loss\n"
MADE = HEADER + b"".join(
    b"m,%d.0,20,%d.0,160.0,%.17g\n" % (n, 20 * n, 1.7 + 400 / n**0.34 + 400 / (20 * n) ** 0.28)
    for n in (10**8, 3 * 10**8, 10**9, 3 * 10**9)
)


class Source(BaseHTTPRequestHandler):
    """Serves the file of ``/whole``, breaks off in ``/cut``, is silent on ``/slow``; else 404."""

    asked: ClassVar[Counter] = Counter()

    def do_GET(self):
        self.asked[self.path] += 1
        if self.path == "/slow":
            time.sleep(0.5)
            return
        if self.path not in ("/whole", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(MADE)))
        self.end_headers()
        self.wfile.write(MADE if self.path == "/whole" else MADE[:100])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def source(alone, server, monkeypatch):
    """Registers the file of a path of the server as the original of a table."""
    Source.asked.clear()

    def register(path, content=MADE, url=server):
        sha256 = hashlib.sha256(content).hexdigest()
        original = Original("made.csv", url + path, sha256, len(content))
        entry = replace(registry()["mpt_overtrained"], rows=4, original=original)
        monkeypatch.setattr(loading, "find", {"made": entry}.__getitem__)
        return original

    return register


def refused():
    with pytest.raises(sf.errors.DataError) as caught:
        sf.datasets.load("made")
    return str(caught.value)


def test_a_file_is_downloaded_once_and_checked(source, alone):
    original = source("/whole")
    table = sf.datasets.load("made")
    assert table.column("N").tolist() == [1e8, 3e8, 1e9, 3e9]
    assert table.sources["loss"] == "loss" and "tokens_per_param" in table
    assert table.provenance["dataset source"] == original.url
    assert table.provenance["dataset sha256"] == original.sha256
    assert [path.name for path in alone.iterdir()] == ["made.csv"]
    pd.testing.assert_frame_equal(sf.datasets.frame("made"), sf.datasets.frame("made"))
    assert sf.datasets.load("made").column("loss").tolist() == table.column("loss").tolist()
    assert Source.asked == {"/whole": 1}


def test_a_damaged_file_of_the_cache_is_downloaded_again(source, alone):
    source("/whole")
    alone.mkdir()
    (alone / "made.csv").write_bytes(MADE[:-1])
    assert len(sf.datasets.load("made")) == 4
    assert (alone / "made.csv").read_bytes() == MADE
    assert Source.asked == {"/whole": 1}


def test_a_file_that_changed_is_refused_and_not_kept(source, alone):
    original = source("/whole", content=MADE + b"m,1.0,1,1.0,1.0,1.0\n")
    message = refused()
    assert "the file changed at its source" in message and original.url in message
    assert original.sha256 in message and hashlib.sha256(MADE).hexdigest() in message
    assert list(alone.iterdir()) == []


def test_a_connection_that_is_cut_leaves_nothing(source, alone):
    source("/cut")
    assert "broke off before the file was whole" in refused()
    assert list(alone.iterdir()) == []


def test_a_source_that_is_silent_is_not_waited_for(source, alone, monkeypatch):
    monkeypatch.setattr(sources, "TIMEOUT", 0.1)
    source("/slow")
    assert "does not answer within 0.1 s" in refused()
    assert list(alone.iterdir()) == []


def test_a_source_out_of_reach_says_what_to_do(source, alone):
    source("/gone")
    assert "answers 404" in refused()
    # A connection that was left open would be a ResourceWarning.
    gc.collect()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://tables.invalid"):
        original = source("/whole", url=url)
        message = refused()
        assert f"{original.url} cannot be reached (ConnectionError)" in message
        assert str(alone / "made.csv") in message and "SCALEFIT_DATA" in message
        # The remedy: the file, got elsewhere, in that place.
        (alone / "made.csv").write_bytes(MADE)
        assert len(sf.datasets.load("made")) == 4
        (alone / "made.csv").unlink()


def test_a_cache_that_cannot_be_written_to_is_named(source, alone, tmp_path, monkeypatch):
    source("/whole")
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("SCALEFIT_CACHE", str(blocked / "cache"))
    message = refused()
    assert repr(str(blocked / "cache")) in message and "Set SCALEFIT_CACHE to a folder" in message
    alone.mkdir()
    alone.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("SCALEFIT_CACHE", str(alone))
    # To a superuser everything can be written.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != alone)
    assert repr(str(alone)) in refused()
    assert Source.asked == {}
    # What is in it already is read.
    alone.chmod(stat.S_IRWXU)
    (alone / "made.csv").write_bytes(MADE)
    alone.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert len(sf.datasets.load("made")) == 4
    alone.chmod(stat.S_IRWXU)


def test_the_cache_is_by_default_that_of_the_user(alone, tmp_path, monkeypatch):
    monkeypatch.delenv("SCALEFIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with pytest.raises(sf.errors.DataError) as caught:
        sf.datasets.load("chinchilla_epoch")
    place = tmp_path / "home/scalefit/epoch_svg_extracted_data.csv"
    assert f"put it at {str(place)!r}" in str(caught.value)


def test_parsers_of_compressed_files_read_what_they_hold():
    """Two runs of two steps: the last of each, and all but those at step 0."""
    header = (
        "hyper_id,step,loss_c4,loss_curation_corpus,loss_lambada,loss_pile,loss_validation,"
        "loss_wikitext103,num_experts,d_model,num_blocks,num_heads,kqv_size,flop_increase,k,"
        "router_type,seed,routing_frequency,total_parameter_count,dense_parameter_count,"
        "flops_per_step,model_size_label\n"
    )
    rest = "1,8,2,2,4,1.0,1,Hash,42,0.5,16.0,8.0,9.0,8M"
    rows = [
        f"{run},{step},1,1,1,1,{10 - run - step / 1000},1,{rest}\n"
        for run in (1, 2)
        for step in (0, 1000)
    ]
    content = gzip.compress((header + "".join(rows)).encode())
    runs = parsed(sf.datasets.info("routed_lm"), content)
    assert runs["run"].tolist() == [1, 2] and runs["loss"].tolist() == [8.0, 7.0]
    assert runs["tokens"].tolist() == [1000 * 256 * 2048] * 2
    assert runs["params"].dtype == np.int64
    curves = parsed(sf.datasets.info("routed_lm_curves"), content)
    assert curves["step"].tolist() == [1000, 1000]


def test_without_pyarrow_the_table_of_a_parquet_file_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(sf.errors.MissingExtraError, match=r"scalefit\[parquet\]"):
        parsed(sf.datasets.info("farseer"), b"PAR1")
