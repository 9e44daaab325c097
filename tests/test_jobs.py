"""Jobs from a file: what a file may say, chunks, parts, and processes that share them."""

import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scalefit as sf
from scalefit import cli
from scalefit.errors import ArgumentError, DataError
from scalefit.jobs import run as running
from scalefit.jobs.chunks import Job
from scalefit.jobs.cluster import Place, Shared, loss
from scalefit.jobs.config import (
    Cluster,
    FitManyFile,
    FitManyTable,
    StudyFile,
    StudyTable,
    read_config,
)
from scalefit.jobs.fit_many_job import fit_many_job
from scalefit.jobs.parts import Folder
from scalefit.jobs.study_job import study_job

EXAMPLES = Path(__file__).parents[1] / "examples"

STUDY = """
[study]
settings = { points = [6, 8], noise = [0.002, 0.01], budgets = [[1e18, 1e19, 1e20]] }
seeds = 32
flops = 1e23
[run]
output = "out"
chunk = 8
"""
TABLES = """
[fit_many]
tables = "runs.csv"
by = "corpus"
bounds = { alpha = [0.1, 0.9] }
[run]
output = "fits"
"""


def parts(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.parquet")}


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STUDY.replace("seeds", "seed"), r"study\.seed is no key\. Known here: settings, seeds"),
        (STUDY.replace("[study]", "[studies]"), "study is missing"),
        (STUDY.replace("= 32", "= 0"), r"study\.seeds.* = 0 should be greater than or equal to 1"),
        (STUDY.replace('"out"', "3"), r"run\.output = 3 should be a valid string"),
        (STUDY + "[cluster]\nport = 3\n", r"cluster\.port is no key.*coordinator, processes"),
    ],
)
def test_a_file_is_checked_key_by_key(tmp_path, text, said):
    with pytest.raises(ArgumentError, match=said):
        read_config(write(tmp_path / "job.toml", text), StudyFile, {})


def test_options_take_the_place_of_keys_and_no_toml_is_refused(tmp_path):
    path = write(tmp_path / "job.toml", STUDY)
    given = read_config(path, StudyFile, {"cluster": {"processes": 3, "process": None}})
    assert given.cluster.processes == 3 and given.cluster.process is None
    with pytest.raises(DataError, match="cannot be read as TOML"):
        read_config(write(path, "[study"), StudyFile, {})
    assert read_config(write(path, TABLES), FitManyFile, {}).fit_many.by == "corpus"


@pytest.mark.parametrize("chunk", [2, 6])
def test_chunks_are_the_study(chunk):
    settings = {"points": [4, 5], "noise": 0.01, "budgets": [[1e18, 1e19, 1e20]]}
    methods = ["surface", "approach2", "approach3_random"]
    job = study_job(StudyTable(settings=settings, seeds=3, methods=methods, slow_seeds=1), chunk)
    found = pd.concat([job.compute(number) for number in range(job.chunks)])
    whole = sf.studies.simulation_study(
        settings | {"budgets": (1e18, 1e19, 1e20)}, 3, methods=methods, slow_seeds=1, progress=False
    ).table
    order = ["setting", "method", "seed"]
    found, whole = (table.set_index(order).sort_index() for table in (found, whole))
    assert found.index.equals(whole.index)
    assert (found["budgets"] == str((1e18, 1e19, 1e20))).all()
    np.testing.assert_allclose(found["n_exponent"], whole["n_exponent"], rtol=1e-7)
    pd.testing.assert_series_equal(found["noise"], whole["noise"])


def test_a_chunk_of_seeds_that_no_method_runs_on_is_none():
    given = {"settings": {"points": 4}, "seeds": 8, "methods": ["approach3_random"]}
    assert study_job(StudyTable(**given, slow_seeds=3), 2).chunks == 2
    assert study_job(StudyTable(**given, slow_seeds=8), 2).chunks == 4


def test_a_setting_that_nothing_takes_is_refused_at_once():
    with pytest.raises(ArgumentError, match="'point', which neither"):
        study_job(StudyTable(settings={"point": 3}), None)


ROWS = pd.DataFrame({"key": ["a", "b"], "value": [0.1, np.nan]})


def test_a_part_is_finished_when_it_is_whole_and_of_its_plan(tmp_path):
    folder, other = Folder(tmp_path, "digest", 3), Folder(tmp_path, "another", 3)
    assert not folder.finished(0)
    folder.write(0, ROWS)
    path = tmp_path / "part-000000.parquet"
    content = path.read_bytes()
    folder.write(0, ROWS)
    assert path.read_bytes() == content
    assert folder.finished(0) and not other.finished(0)
    path.rename(tmp_path / "part-000001.parquet")
    assert not folder.finished(1)
    for size in (0, 3, len(content) - 1):
        path.write_bytes(content[:size])
        assert not folder.finished(0)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "part-000001.parquet"), ROWS)


def stand_in(computed, broken=(), chunks=5):
    def compute(chunk):
        if chunk in broken:
            raise sf.errors.FitError("it broke")
        computed.append(chunk)
        return ROWS.assign(value=float(chunk))

    given = {"study": {"seeds": 3}}
    return Job(given, chunks, compute, "number {}".format, lambda read: f"{len(read())} rows")


def test_a_job_is_resumed_where_it_ended(tmp_path, capsys):
    once, again = tmp_path / "once", tmp_path / "again"
    assert running.run(lambda: stand_in([]), once, Cluster()) == 0
    assert "10 rows\nresults in" in capsys.readouterr().out
    computed = []
    code = running.run(lambda: stand_in(computed, broken=[2]), again, Cluster())
    assert (code, computed) == (running.NO_FIT, [0, 1])
    said = capsys.readouterr().err
    assert "it broke (in chunk 2, number 2; 2 of 5 chunks are finished and stay valid" in said
    (again / "part-000001.parquet").write_bytes(b"PAR1")
    (again / ".scalefit-0123.tmp").write_bytes(b"half")
    assert running.run(lambda: stand_in(computed), again, Cluster()) == 0
    assert computed == [0, 1, 1, 2, 3, 4]
    assert parts(once) == parts(again)
    assert {path.name for path in again.iterdir()} == {*parts(again), "_plan.json"}
    assert pd.read_parquet(again)["value"].tolist() == sorted([*range(5)] * 2)


def test_two_runs_in_one_folder_do_not_disturb_each_other(tmp_path, monkeypatch):
    folder, replace = Folder(tmp_path, "digest", 3), os.replace

    def late(source, target):
        # The other run is done with this chunk and with all others.
        monkeypatch.setattr(os, "replace", replace)
        folder.write(0, ROWS)
        folder.tidy()
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    folder.write(0, ROWS)
    assert folder.finished(0)


def test_a_full_disk_is_said_with_a_remedy_that_keeps_what_is_finished(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArgumentError, match=r"No space left on device\)\. Make room") as caught:
        Folder(tmp_path, "digest", 3).write(0, ROWS)
    assert "remove" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_refused(tmp_path):
    job = stand_in([])
    folder = Folder(tmp_path, job.digest, job.chunks)
    folder.prepare(job.plan)
    folder.prepare(job.plan)
    other = Job({"study": {"seeds": 4}}, 5, job.compute, job.named, job.summary)
    with pytest.raises(ArgumentError, match=r"another plan \(of another study\.seeds\)"):
        Folder(tmp_path, other.digest, 5).prepare(other.plan)
    (tmp_path / "part-000005.parquet").touch()
    with pytest.raises(ArgumentError, match="which is no part of this plan"):
        folder.prepare(job.plan)
    (tmp_path / "_plan.json").unlink()
    with pytest.raises(ArgumentError, match="holds other files"):
        folder.prepare(job.plan)


def test_without_pyarrow_the_command_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert running.run(lambda: stand_in([]), tmp_path, Cluster()) == running.BAD_INPUT
    assert "pip install 'scalefit[parquet]'" in capsys.readouterr().err


def corpora(folder, count=4):
    frames = [
        sf.simulate(sf.simulation.isoflop_design(3, points=6), noise=0.01, seed=seed).assign(
            corpus=f"c{seed}"
        )
        for seed in reversed(range(count))
    ]
    pd.concat(frames).to_csv(folder / "runs.csv", index=False)


def test_tables_are_fitted_in_the_order_of_their_keys(tmp_path, monkeypatch):
    corpora(tmp_path, 5)
    calls = []

    class Found:
        def __init__(self, runs, **options):
            calls.append(options)
            self.table = runs.groupby(options["by"])[["loss"]].min()

        def to_frame(self, level=0.95):
            return self.table.assign(level=level)

    monkeypatch.setattr(sf, "fit_many", Found)
    given = FitManyTable(
        tables="runs.csv", by="corpus", bounds={"alpha": [0.1, 0.9]}, columns={"N": ["N", 1.0]}
    )
    job = fit_many_job(given, 2, tmp_path)
    found = [job.compute(number) for number in range(job.chunks)]
    assert [list(part["corpus"]) for part in found] == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert calls[0]["bounds"] == {"alpha": (0.1, 0.9)} and calls[0]["N"] == ("N", 1.0)
    other = corpora(tmp_path, 4) or fit_many_job(given, 2, tmp_path)
    assert other.digest != job.digest
    with pytest.raises(ArgumentError, match=r"fit_many\.by names 'recipe'.*Columns: .*corpus"):
        fit_many_job(given.model_copy(update={"by": "recipe"}), 2, tmp_path)
    twice = FitManyTable(tables="runs.csv", by=["corpus", "corpus"])
    assert list(fit_many_job(twice, 2, tmp_path).compute(1)["corpus"]) == ["c2", "c3"]
    files = FitManyTable(tables=["runs.csv", "runs.csv"])
    assert list(fit_many_job(files, 2, tmp_path).compute(0)["table"]) == ["runs.csv"]


@pytest.mark.parametrize("name", ["alpha", "status", "beta_low"])
def test_a_key_that_has_the_name_of_a_result_is_refused_at_once(tmp_path, name):
    corpora(tmp_path, 2)
    pd.read_csv(tmp_path / "runs.csv").rename(columns={"corpus": name}).to_csv(
        tmp_path / "runs.csv", index=False
    )
    given = FitManyTable(tables="runs.csv", by=name, level=0.9)
    with pytest.raises(ArgumentError, match=f"'{name}', which is also a column of the results"):
        fit_many_job(given, None, tmp_path)


def test_files_without_a_row_are_refused(tmp_path):
    write(tmp_path / "runs.csv", "N,D,loss,corpus\n")
    with pytest.raises(DataError, match=r"'runs\.csv' holds no row"):
        fit_many_job(FitManyTable(tables="runs.csv", by="corpus"), None, tmp_path)


@pytest.mark.parametrize(
    ("number", "said", "means"),
    [
        (6, "coordination_service stopped sending heartbeats):\n2\nThe", "process 2 of 4 was lost"),
        (6, "client.h heartbeats):\n/job:jax_worker/task:3\n", "process 0 of 4, which coordinates"),
        (6, "client.h Barrier: Task 1 heartbeat timeout. This", "process 1 of 4 was lost"),
        (6, "client.h Socket closed", "process 0 of 4, which coordinates, has gone"),
        (9, "", "process 1 of 4 was ended by SIGKILL"),
    ],
)
def test_what_ended_a_process_is_said_in_a_sentence(number, said, means):
    shared = Shared()
    assert shared.told() is None
    shared.tell(Place(1, 4))
    assert loss(shared.told(), Cluster(), number, said).startswith(means)
    together = loss(None, Cluster(coordinator="10.0.0.1:99"), 6, "client.h DEADLINE_EXCEEDED")
    assert "did not come together within 300 s" in together and "10.0.0.1:99" in together


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Processes:
    """Processes of one job on the loopback address."""

    def __init__(self, command, config, output, count):
        address = f"127.0.0.1:{port()}"
        # Programs compiled as those of this process.
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        words = [sys.executable, "-m", "scalefit", command, config, "--output", output]
        words += ["--coordinator", address, "--processes", count, "--heartbeat", 5, "--process"]
        self.all = [
            subprocess.Popen(
                list(map(str, [*words, number])),
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]

    def ended(self):
        """Exit code, standard output and standard error of each."""
        said = [process.communicate(timeout=120) for process in self.all]
        return [(process.returncode, *text) for process, text in zip(self.all, said, strict=True)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study file, and the parts that one process makes of it."""
    folder = tmp_path_factory.mktemp("study")
    path = write(folder / "study.toml", STUDY)
    done = CliRunner().invoke(cli.app, ["study", str(path)])
    assert done.exit_code == 0, done.output
    assert "Study of 4 settings, 128 tables" in done.stdout
    return path, parts(folder / "out")


@pytest.mark.slow
def test_four_processes_make_the_same_parts(study, tmp_path):
    path, expected = study
    ends = Processes("study", path, tmp_path, 4).ended()
    assert [code for code, *_ in ends] == [0] * 4, ends
    assert "Study of 4 settings, 128 tables" in ends[0][1] and not ends[1][1]
    assert "16/16" in ends[0][2] and not ends[1][2]
    assert parts(tmp_path) == expected and len(expected) == 16


@pytest.mark.slow
def test_a_study_that_loses_one_of_four_processes_is_finished_by_two(study, tmp_path):
    path, expected = study
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201  # shown where the test fails
    rng = random.Random(seed)
    victim, moment = rng.randrange(4), rng.randrange(1, 8)
    running = Processes("study", path, tmp_path, 4)
    until = time.monotonic() + 60
    while len(parts(tmp_path)) < moment and time.monotonic() < until:
        time.sleep(0.01)
    running.all[victim].kill()
    ends = running.ended()
    assert ends.pop(victim)[0] == -9
    lost = rf"process {victim} of 4(, which coordinates, has gone| was lost)"
    others = r"process 0 of 4, which coordinates, has gone"
    for code, _, said in ends:
        assert code == 4
        assert re.search(rf"scalefit: ({lost}|{others})", said.splitlines()[-1]), said
        assert "of 16 chunks are finished and stay valid" in said and "@" not in said
    assert sum(re.search(lost, said) is not None for *_, said in ends) >= 1
    # By half as many.
    ends = Processes("study", path, tmp_path, 2).ended()
    assert [code for code, *_ in ends] == [0] * 2, ends
    assert parts(tmp_path) == expected
    assert {path.name for path in tmp_path.iterdir()} == {*expected, "_plan.json"}


def test_the_example_of_a_study_runs(tmp_path):
    done = CliRunner().invoke(
        cli.app, ["study", str(EXAMPLES / "study.toml"), "--output", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert "Study of 8 settings, 512 tables" in done.stdout
    found = pd.read_parquet(tmp_path)
    assert len(found) == 1024 and found["setting"].is_monotonic_increasing


@pytest.mark.slow
def test_the_example_of_many_fits_runs_in_one_process_and_in_two(tmp_path):
    path, one, two = EXAMPLES / "fit_many.toml", tmp_path / "one", tmp_path / "two"
    done = CliRunner().invoke(cli.app, ["fit-many", str(path), "--output", str(one)])
    assert done.exit_code == 0, done.output
    found = pd.read_parquet(one).set_index("part")
    assert dict(found["status"]) == {
        "isoflop": "converged",
        "overtrained": "converged",
        "target": "failed",
    }
    # There is one chunk: the second process has nothing to do.
    ends = Processes("fit-many", path, two, 2).ended()
    assert [code for code, *_ in ends] == [0, 0], ends
    assert "3 tables: 2 converged, 1 failed\nresults in" in ends[0][1]
    assert parts(one) == parts(two)
