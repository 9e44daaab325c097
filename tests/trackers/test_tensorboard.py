"""Event files that SummaryWriters write, read back."""

import os

import numpy as np
import pytest
from tensorboardX import SummaryWriter

import scalefit as sf


def codes(result):
    return {note.code: note for note in result.notes}


def write(folder, by_step, parameters=None, tag="eval/loss"):
    with SummaryWriter(str(folder)) as writer:
        for step, loss in by_step.items():
            writer.add_scalar(tag, loss, step)
        if parameters:
            # To a folder of its own below the run, as PyTorch does.
            writer.add_hparams(parameters, {"hparam/loss": 3.0}, name="1700000000.0")


@pytest.fixture
def folder(tmp_path, losses, settings):
    for name, by_step in losses.items():
        size = settings[name]["model"]["n_params"]
        write(
            tmp_path / "exp" / name, by_step, {"n_params": size, "max_steps": 1000, "opt": "adam"}
        )
    return tmp_path / "exp"


def test_each_folder_is_a_run(folder, values, known):
    histories = sf.trackers.tensorboard(folder)
    table = histories.table("eval/loss", tokens_per_step=1e6)
    assert values(table) == known and table.notes == ()
    assert histories.runs["opt"].tolist() == ["adam"] * 3
    assert histories.runs["hparam/loss"].tolist() == [3.0] * 3
    one = sf.trackers.tensorboard(folder / "small")
    assert one.runs["run"].tolist() == ["small"] and len(one.records) == 5


def test_a_resumed_run_has_two_files_and_the_later_one_counts(tmp_path, monkeypatch):
    write(tmp_path, {0: 9.0, 100: 8.0, 200: 7.0})
    # Files are ordered by the second in their names.
    (first,) = tmp_path.iterdir()
    first.rename(tmp_path / "events.out.tfevents.1000000000.host")
    write(tmp_path, {150: 7.5, 300: 6.0})
    histories = sf.trackers.tensorboard(tmp_path)
    assert histories.records["step"].tolist() == [0, 100, 150, 300]
    assert "records_replaced" in codes(histories)


@pytest.mark.slow
def test_all_of_a_long_run_is_read_with_its_nan(tmp_path):
    # More than the 10,000 points that TensorBoard samples for a curve.
    write(
        tmp_path / "run",
        {step: float(20 - step / 1000) for step in range(12_000)} | {12_000: np.nan},
    )
    records = sf.trackers.tensorboard(tmp_path).records
    assert len(records) == 12_001 and records["eval/loss"].iloc[-1] == np.inf


def test_a_file_that_breaks_off_is_read_until_there(tmp_path, losses):
    write(tmp_path / "run", losses["small"])
    (file,) = (tmp_path / "run").iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    assert 0 < len(sf.trackers.tensorboard(tmp_path).records) < 5


def test_folders_without_scalars_are_refused_or_told_of(tmp_path, losses):
    with pytest.raises(sf.errors.DataError, match=r"no event file is in the folder .* log_dir"):
        sf.trackers.tensorboard(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/events.out.tfevents.1.host").write_bytes(b"no events")
    with pytest.raises(sf.errors.DataError, match="holds a scalar"):
        sf.trackers.tensorboard(tmp_path)
    os.mkfifo(tmp_path / "empty/events.out.tfevents.2.host")
    with pytest.raises(sf.errors.DataError, match="is no regular file"):
        sf.trackers.tensorboard(tmp_path)
    (tmp_path / "empty/events.out.tfevents.2.host").unlink()
    write(tmp_path / "run", losses["small"])
    assert "empty' has no scalar" in codes(sf.trackers.tensorboard(tmp_path))["not_read"].message
    with pytest.raises(sf.errors.DataError, match="is a file, not a folder"):
        sf.trackers.tensorboard(tmp_path / "empty/events.out.tfevents.1.host")
