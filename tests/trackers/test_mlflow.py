"""Stores that MLflow's own client writes, read back: a database, and a folder."""

import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import scalefit as sf
from scalefit.trackers.mlflow_stores import _paged

# Before MLflow is imported: it tells its makers what is called.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def codes(result):
    return {note.code: note for note in result.notes}


def fill(uri, folder, losses, settings):
    """Three runs in one experiment; in another, one that was killed and one that is unnamed."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    place = folder.as_uri()
    experiment = client.create_experiment("scaling", artifact_location=place)
    for name, by_step in losses.items():
        run = client.create_run(experiment, run_name=name).info.run_id
        for key, value in settings[name].items():
            client.log_param(run, key, value if key != "model" else value["n_params"])
        client.set_tag(run, "family", "dense")
        for step, loss in by_step.items():
            client.log_metric(run, "eval/loss", loss, step=step)
        client.set_terminated(run, "FINISHED")
    other = client.create_experiment("other", artifact_location=place)
    run = client.create_run(other, run_name="small").info.run_id
    client.log_metric(run, "eval/loss", float("nan"), step=5)
    client.set_terminated(run, "KILLED")
    return uri


@pytest.fixture(scope="module", autouse=True)
def folders_allowed():
    """MLflow 3 writes no folder of runs without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield


@pytest.fixture
def folder(tmp_path, losses, settings):
    fill((tmp_path / "mlruns").as_uri(), tmp_path, losses, settings)
    return tmp_path / "mlruns"


def test_a_folder_of_runs_is_read_with_all_its_records(folder, values, known, monkeypatch):
    # Whoever reads has not set it.
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    histories = sf.trackers.mlflow(folder, "scaling")
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ
    table = histories.table("eval/loss", N="model", tokens_per_step=1e6)
    assert values(table) == known and table.notes == ()
    assert histories.runs["state"].tolist() == ["finished"] * 3
    assert histories.runs["tags/family"].tolist() == ["dense"] * 3
    assert len(histories.records) == 15


def test_all_experiments_are_read_by_default(folder):
    histories = sf.trackers.mlflow(str(folder))
    assert len(histories) == 4 and "run_names_repeat" in codes(histories)
    killed = histories.runs[histories.runs["state"] == "killed"]["run"].item()
    lost = histories.records[histories.records["run"] == killed]
    assert lost[["step", "eval/loss"]].to_numpy().tolist() == [[5.0, np.inf]]
    table = histories.table("eval/loss", N="model", tokens_per_step=1e6)
    assert [item.rule for item in table.dropped] == ["unfinished: its state is 'killed'"]


@pytest.mark.slow
def test_a_database_is_read_with_all_its_records(
    tmp_path, losses, settings, values, known, monkeypatch
):
    uri = fill(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, losses, settings)
    before = (tmp_path / "mlflow.db").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for source in (uri, tmp_path / "mlflow.db", "../mlflow.db"):
        histories = sf.trackers.mlflow(source, experiment="scaling")
        assert values(histories.table("eval/loss", N="model", tokens_per_step=1e6)) == known
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with pytest.raises(
        sf.errors.DataError, match=r"has no experiment 'none'\. Experiments: .*scaling"
    ):
        sf.trackers.mlflow(uri, "none")


@pytest.mark.slow
def test_a_database_of_another_schema_is_left_as_it_is(tmp_path):
    """MLflow would add its tables to whatever it opens."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INT, name TEXT)")
        database.execute("INSERT INTO experiments VALUES (0, 'x')")
        database.commit()
    before = (tmp_path / "old.db").read_bytes()
    with pytest.raises(sf.errors.DataError, match="MLflow cannot read the store"):
        sf.trackers.mlflow(tmp_path / "old.db")
    assert (tmp_path / "old.db").read_bytes() == before


def test_broken_files_of_a_folder_are_refused_and_never_run(folder):
    (broken,) = [path for path in folder.glob("*/meta.yaml") if "scaling" in path.read_text()]
    for text in ("{", "a: !!python/object/apply:os.getcwd []"):
        broken.write_text(text)
        with pytest.raises(sf.errors.DataError, match=r"cannot read the store|has no experiment"):
            sf.trackers.mlflow(folder, "scaling")


def test_what_is_no_store_is_refused_and_not_made(tmp_path):
    for uri in (f"sqlite:///{tmp_path}/none.db", tmp_path / "none", f"file://{tmp_path}/no%20ne"):
        with pytest.raises(sf.errors.DataError, match="there is no file or folder"):
            sf.trackers.mlflow(uri)
    with pytest.raises(sf.errors.DataError, match="is no store of MLflow"):
        sf.trackers.mlflow(tmp_path)
    (tmp_path / "other.db").write_bytes(b"no database" * 100)
    with closing(sqlite3.connect(tmp_path / "fresh.db")) as database:
        database.execute("CREATE TABLE t (x)")
    for name in ("other.db", "fresh.db"):
        with pytest.raises(sf.errors.DataError, match="is no database of MLflow"):
            sf.trackers.mlflow(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"other.db", "fresh.db"}
    with pytest.raises(sf.errors.ArgumentError, match="experiment=3"):
        sf.trackers.mlflow(tmp_path, 3)


def test_every_page_of_a_search_is_read():
    class Page(list):
        token = None

    pages = {None: ([1, 2], "b"), "b": ([], "c"), "c": ([3], None)}

    def search(page_token=None):
        items, token = pages[page_token]
        page = Page(items)
        page.token = token
        return page

    assert list(_paged(search)) == [1, 2, 3]
