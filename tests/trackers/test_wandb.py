"""Exports of Weights & Biases, and runs that its library has written."""

import json
import os

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data import limits


def codes(result):
    return {note.code: note for note in result.notes}


# Tables of runs: headers and cells as the page of a project exports them.


@pytest.fixture
def page(tmp_path):
    """All cells in quotes, a dash for no notes, ``config`` and final metrics side by side."""
    rows = [
        ("small", "finished", "1e7", 1e7, 3.5),
        ("middle", "finished", "4e7", 4e7, 3.1),
        ("large", "crashed", "16e7", 1.6e8, 2.8),
        ("middle", "finished", "again", 4e7, 3.2),
    ]
    frame = pd.DataFrame(
        [
            {
                "Name": name,
                "Agent": "",
                "State": state,
                "Notes": "-",
                "User": "",
                "Tags": tag,
                "Created": f"2025-11-13T09:48:1{place}.000Z",
                "Runtime": 9910,
                "Sweep": "",
                "model.n_params": size,
                "tokens": 1e9,
                "_step": 1000,
                "eval/loss": loss,
            }
            for place, (name, state, tag, size, loss) in enumerate(rows)
        ]
    )
    path = tmp_path / "wandb_export_2025-11-13T09_50_00.000Z.csv"
    frame.to_csv(path, index=False, quoting=1)
    return path


def test_a_table_of_runs_has_their_final_losses(page):
    histories = sf.trackers.wandb(page)
    table = histories.table("eval/loss")
    assert table.column("loss").tolist() == [3.5, 3.1, 3.2]
    assert table.column("N").tolist() == [1e7, 4e7, 4e7] and table.sources["D"] == "tokens"
    assert [(item.row, item.rule) for item in table.dropped] == [
        ("large", "unfinished: its state is 'crashed'")
    ]
    # Two runs of one name: when they were made tells them apart.
    assert codes(histories)["run_names_repeat"].details["runs"] == [
        "middle (2025-11-13T09:48:11.000Z)",
        "middle (2025-11-13T09:48:13.000Z)",
    ]
    with pytest.raises(sf.errors.DataError, match="called 'train/loss'"):
        histories.table("train/loss")


def test_a_table_of_runs_without_tokens_counts_them_by_its_steps(page):
    table = sf.trackers.wandb(page).table("eval/loss", tokens_per_step=2e6)
    assert table.column("D").tolist() == [2e9] * 3


# Charts


def chart(losses, low=0.0, high=0.0, axis="Step"):
    frame = pd.DataFrame({axis: list(losses["large"])})
    for run, by_step in losses.items():
        loss = np.array(list(by_step.values()))
        frame[f"{run} - eval/loss"] = loss
        frame[f"{run} - eval/loss__MIN"] = loss - low
        frame[f"{run} - eval/loss__MAX"] = loss + high
    return frame


def test_a_chart_has_a_column_for_each_run(tmp_path, losses, settings, values, known):
    losses["a - small"] = losses.pop("small")
    settings["a - small"] = settings.pop("small")
    known["a - small"] = known.pop("small")
    chart(losses).to_csv(tmp_path / "chart.csv", index=False)
    histories = sf.trackers.wandb(tmp_path / "chart.csv").with_config(settings)
    assert values(histories.table("eval/loss", tokens_per_step=1e6)) == known
    assert histories.notes == ()


def test_a_chart_of_averages_is_told_of(losses):
    histories = sf.trackers.wandb(chart(losses, low=0.1, high=0.2))
    assert codes(histories)["binned_history"].details["columns"] == [
        f"{run} - eval/loss" for run in losses
    ]


def test_a_chart_over_time_is_refused(losses):
    with pytest.raises(
        sf.errors.DataError, match=r"axis of the chart DataFrame is 'Relative Time \(Process\)'"
    ):
        sf.trackers.wandb(chart(losses, axis="Relative Time (Process)"))


# Histories


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_history_is_read_from_any_table(tmp_path, history, settings, values, known, suffix):
    path = tmp_path / f"history.{suffix}"
    match suffix:
        case "csv":
            history.to_csv(path)  # With the index, as most do.
        case "jsonl":
            history.to_json(path, orient="records", lines=True)
        case "parquet":
            history.to_parquet(path)
    histories = sf.trackers.wandb(path).with_config(settings)
    assert values(histories.table("eval/loss", tokens_per_step=1e6)) == known


def test_a_history_of_one_run_is_called_by_its_file(tmp_path, history):
    path = tmp_path / "small.csv"
    history[history["run"] == "small"].drop(columns="run").to_csv(path, index=False)
    assert sf.trackers.wandb(path).runs["run"].tolist() == ["small"]


def test_what_is_fixed_in_a_history_is_a_parameter(history):
    history = history.assign(width=history["run"].map(len) * 64, router=history["run"].str[0])
    histories = sf.trackers.wandb(history)
    assert histories.runs["width"].tolist() == [320, 384, 320]
    table = histories.table("eval/loss", N="width", tokens_per_step=1e6)
    assert table.frame["router"].tolist() == ["s", "m", "l"]


def test_real_curves_end_in_the_table_of_their_last_losses(data_folder):
    curves = pd.read_csv(data_folder / "originals/routed_curves.csv.gz")
    history = curves.rename(columns={"step": "_step", "hyper_id": "run"})
    histories = sf.trackers.wandb(history.sample(frac=1, random_state=0).sort_values("_step"))
    table = histories.table("loss_validation", N="total_parameter_count", tokens_per_step=2**19)
    stored = pd.read_csv(data_folder / "routed_lm.csv").astype({"run": str}).set_index("run")
    wanted = stored.loc[list(table.rows)]
    assert len(table) == len(stored) == 223
    assert table.column("loss").tolist() == wanted["loss"].tolist()
    assert table.column("D").tolist() == wanted["tokens"].tolist()
    assert table.column("N").tolist() == wanted["total_params"].tolist()
    assert table.frame["router_type"].tolist() == wanted["router"].tolist()


def test_nan_in_text_is_a_loss_that_diverged(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text(
        '{"_step": 0, "loss": 9.0}\n{"_step": 1, "loss": "NaN"}\n{"_step": 2, "loss": "Infinity"}\n'
    )
    records = sf.trackers.wandb(path).records
    assert records["loss"].tolist() == [9.0, np.inf, np.inf]


def test_a_history_without_a_run_or_a_step_is_refused(history):
    lost = history.copy()
    lost.loc[3, "run"] = None
    with pytest.raises(sf.errors.DataError, match="'run' is missing in row 3"):
        sf.trackers.wandb(lost)
    lost = history.astype({"_step": float})
    lost.loc[4, "_step"] = np.nan
    with pytest.raises(sf.errors.DataError, match="'_step' is no number in row 4"):
        sf.trackers.wandb(lost)


def test_a_column_called_step_stays_a_metric(history):
    records = sf.trackers.wandb(history.assign(step=history["_step"] * 2)).records
    assert records["history/step"].tolist() == (records["step"] * 2).tolist()


# Frames of the API: the snippet of the documentation of Weights & Biases.


@pytest.fixture
def api(settings):
    return pd.DataFrame(
        {
            "summary": [
                {"eval/loss": loss, "_step": 1000, "_wandb": {"runtime": 9}, "lr": 0.0}
                for loss in (3.5, 3.1, 2.8)
            ],
            "config": [{**settings[run], "lr": 3e-4, "tokens": 1e9} for run in settings],
            "name": list(settings),
        }
    )


def test_a_frame_of_the_api_is_read_as_it_is_and_as_text(tmp_path, api, values, known):
    api.to_csv(tmp_path / "project.csv")
    assert "{'eval/loss': 3.5" in (tmp_path / "project.csv").read_text()
    api.to_json(tmp_path / "project.jsonl", orient="records", lines=True)
    for source in (api, tmp_path / "project.csv", tmp_path / "project.jsonl"):
        histories = sf.trackers.wandb(source)
        assert values(histories.table("eval/loss")) == known
        assert histories.runs["lr"].tolist() == [3e-4] * 3
        assert histories.runs["summary/lr"].tolist() == [0.0] * 3


def test_real_configurations_are_read_as_text(tmp_path, data_folder):
    text = (data_folder / "originals/quest_runs_for_scaling.json").read_text()
    runs = pd.DataFrame(json.loads(text))
    summary = runs.drop(columns="args").to_dict("records")
    frame = pd.DataFrame({"summary": summary, "config": runs["args"], "name": runs.index.map(str)})
    frame.to_csv(tmp_path / "project.csv")
    table = sf.trackers.wandb(tmp_path / "project.csv").table("loss", N="non_embedding_parameters")
    assert table.column("loss").tolist() == runs["loss"].tolist()
    assert table.column("D").tolist() == runs["tokens"].tolist()
    assert table.frame["iterations"].tolist() == [item["iterations"] for item in runs["args"]]


def test_losses_that_are_nan_in_text_of_python_have_diverged(api):
    api = api.assign(summary=["{'eval/loss': nan}", "{'eval/loss': 3.1}", "{'eval/loss': 2.8}"])
    table = sf.trackers.wandb(api).table("eval/loss")
    assert [item.rule for item in table.dropped] == ["no eval/loss"]


@pytest.mark.parametrize(
    "cell",
    ["__import__('os').getcwd()", "{'a': open('x')}", "{", "(" * 10_000, "[1]", 3, "{'a': b}"],
    ids=lambda cell: str(cell)[:20],
)
def test_text_of_an_api_frame_is_never_run(api, cell):
    api["config"] = [cell if row == 1 else {} for row in range(3)]
    with pytest.raises(sf.errors.DataError, match="'config' of row 1 is no mapping"):
        sf.trackers.wandb(api)


# Folders of the library


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that the library of Weights & Biases has logged offline, by its own hand."""
    wandb = pytest.importorskip("wandb")
    top = tmp_path_factory.mktemp("wandb")
    settings = wandb.Settings(x_disable_stats=True, console="off", silent=True)
    kept = {name: os.environ.get(name) for name in ("WANDB_MODE", "WANDB_DIR")}
    os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": str(top)}
    try:
        config = {"model": {"n_params": 1e7}, "max_steps": 1000}
        run = wandb.init(project="scaling", name="small", config=config, settings=settings)
        for step in range(0, 1001, 10):
            run.log({"train/loss": 4.0 - step / 2000}, step=step)
        run.log({"eval": {"loss": 3.4}, "note": "x" * 40_000}, step=1000)
        run.finish()
        # The log is written by a process of its own, which ends here.
        wandb.teardown()
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return top / "wandb"


def test_a_run_of_the_library_is_read_from_its_log(folder):
    histories = sf.trackers.wandb(folder)
    assert histories.runs["run"].tolist() == ["small"] and histories.notes == ()
    assert histories.runs["state"].tolist() == ["finished"]
    assert len(histories.records) == 101
    table = histories.table("eval/loss", tokens_per_step=1e6)
    assert table.frame.loc["small", ["N", "D", "loss"]].tolist() == [1e7, 1e9, 3.4]
    # 4 - 1000 / 2000.
    assert histories.table("train/loss", tokens_per_step=1e6).column("loss").tolist() == [3.5]
    (log,) = folder.glob("offline-run-*/*.wandb")
    assert sf.trackers.wandb(log).records.equals(histories.records)


def test_a_log_that_breaks_off_is_read_until_there(folder, tmp_path):
    (log,) = folder.glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    torn = tmp_path / "run-torn.wandb"
    torn.write_bytes(content[:3000])
    histories = sf.trackers.wandb(torn)
    assert 0 < len(histories.records) < 101 and "breaks off" in codes(histories)["not_read"].message
    assert histories.runs["state"].tolist() == ["running"]
    damaged = bytearray(content)
    damaged[3000] ^= 1
    torn.write_bytes(damaged)
    assert sf.trackers.wandb(torn).records.equals(histories.records)
    torn.write_bytes(b"something else")
    with pytest.raises(sf.errors.DataError, match="is no log of wandb"):
        sf.trackers.wandb(torn)


def test_a_run_of_which_only_its_files_are_left_has_its_final_loss(tmp_path):
    files_of_run = tmp_path / "run-20250813_124246-n67z9ude/files"
    files_of_run.mkdir(parents=True)
    # As the library writes it: each parameter with its value, and what is its own.
    (files_of_run / "config.yaml").write_text(
        "wandb_version: 1\n_wandb:\n  desc: null\n  value: {cli_version: 0.16.0}\n"
        "n_params:\n  desc: null\n  value: 10000000\ntokens:\n  value: 1.0e9\n"
    )
    (files_of_run / "wandb-summary.json").write_text('{"eval/loss": 3.5, "_step": 1000}')
    table = sf.trackers.wandb(tmp_path).table("eval/loss")
    assert table.frame.iloc[0][["N", "D", "loss"]].tolist() == [1e7, 1e9, 3.5]
    # Ten levels of aliases would unfold to ten billion.
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]
    bomb += ["tree: {<<: {x: *a10}}", "n_params: 5", "tokens: 6"]
    (files_of_run / "config.yaml").write_text("\n".join(bomb))
    assert sf.trackers.wandb(tmp_path).runs["n_params"].tolist() == [5]
    (files_of_run / "config.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(sf.errors.DataError, match="cannot be read as YAML"):
        sf.trackers.wandb(tmp_path)


def test_what_is_no_export_is_refused(tmp_path, history, monkeypatch):
    with pytest.raises(sf.errors.DataError, match=r"has the columns x\. Export a table of runs"):
        sf.trackers.wandb(pd.DataFrame({"x": [1]}))
    with pytest.raises(sf.errors.DataError, match="no run of Weights & Biases is in the folder"):
        sf.trackers.wandb(tmp_path)
    with pytest.raises(sf.errors.DataError, match="has no row"):
        sf.trackers.wandb(history[:0])
    with pytest.raises(sf.errors.ArgumentError, match="source=3"):
        sf.trackers.wandb(3)
    history.to_csv(tmp_path / "history.csv")
    monkeypatch.setattr(limits, "MOST_ROWS", 20)
    with pytest.raises(sf.errors.DataError, match="more than 20 rows"):
        sf.trackers.wandb(tmp_path / "history.csv")
