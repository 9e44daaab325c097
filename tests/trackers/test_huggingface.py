"""States that the Trainer of Transformers writes, read back."""

import json
import struct

import pytest
from transformers.trainer_callback import TrainerState

import scalefit as sf


def state(by_step, max_steps=1000, tokens=1e6):
    """A state of the Trainer: training and evaluation at one step are two entries."""
    log = []
    for step, loss in by_step.items():
        log.append(
            {"loss": loss + 0.1, "learning_rate": 1e-3 * (1 - step / max_steps), "step": step}
        )
        log.append({"eval_loss": loss, "num_input_tokens_seen": step * tokens, "step": step})
    last = max(by_step)
    return TrainerState(
        global_step=last,
        max_steps=max_steps,
        num_input_tokens_seen=int(last * tokens),
        total_flos=6e17,
        log_history=log,
    )


def save(folder, written, config=None):
    folder.mkdir(parents=True)
    written.save_to_json(str(folder / "trainer_state.json"))
    if config:
        (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def folder(tmp_path, losses, settings):
    """Runs with two checkpoints each, and the configuration of a model beside the last one."""
    for name, by_step in losses.items():
        half = {step: loss for step, loss in by_step.items() if step <= 500}
        save(tmp_path / name / "checkpoint-500", state(half))
        save(tmp_path / name / "checkpoint-1000", state(by_step), settings[name]["model"])
    return tmp_path


def test_the_last_checkpoint_has_the_history_of_a_run(folder, values, known):
    histories = sf.trackers.huggingface(folder)
    table = histories.table("eval_loss")
    assert values(table) == known
    assert (table.sources["N"], table.sources["D"]) == ("n_params", "num_input_tokens_seen")
    assert histories.runs["state"].tolist() == ["finished"] * 3 and table.notes == ()
    assert table.frame["total_flos"].tolist() == [6e17] * 3


def test_a_checkpoint_or_a_file_is_a_run(folder):
    one = sf.trackers.huggingface(folder / "small/checkpoint-500/trainer_state.json")
    assert one.runs["run"].tolist() == ["small"]
    same = sf.trackers.huggingface(str(folder / "small/checkpoint-500"))
    assert same.runs["run"].tolist() == ["small"] and same.records.equals(one.records)
    with pytest.raises(sf.errors.DataError, match="ended before its planned steps"):
        one.with_config({"small": {"n_params": 1e7}}).table("eval_loss")


def test_parameters_are_counted_in_the_weights(folder):
    # As safetensors writes them: 2 * 3 + 5 numbers of four bytes.
    header = {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F32", "shape": [5], "data_offsets": [24, 44]},
    }
    text = json.dumps(header).encode()
    path = folder / "small/checkpoint-1000/model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(44))
    assert sf.trackers.huggingface(folder).table("eval_loss").frame.loc["small", "N"] == 11
    path.write_bytes(struct.pack("<Q", 2**60) + text)
    assert sf.trackers.huggingface(folder).table("eval_loss").frame.loc["small", "N"] == 1e7


def test_nan_is_read_as_the_trainer_writes_it(tmp_path):
    save(tmp_path / "run", state({0: 9.0, 500: float("nan"), 1000: float("nan")}))
    assert "NaN" in (tmp_path / "run/trainer_state.json").read_text()
    histories = sf.trackers.huggingface(tmp_path).with_config({"run": {"n_params": 1e7}})
    with pytest.raises(
        sf.errors.DataError, match="diverged: its loss is NaN or infinite at its end"
    ):
        histories.table("eval_loss")


def test_broken_states_are_told_of_and_the_others_read(folder):
    (folder / "small/checkpoint-1000/trainer_state.json").write_text('{"log_history": [{"lo')
    (folder / "large/checkpoint-1000/trainer_state.json").write_text('{"log_history": 3}')
    (folder / "large/checkpoint-500/trainer_state.json").write_text("[]")
    histories = sf.trackers.huggingface(folder)
    assert histories.runs["run"].tolist() == ["middle", "small"]
    (note,) = histories.notes
    assert note.code == "not_read" and len(note.details["parts"]) == 3
    # What is left of the run is its half.
    assert [item.row for item in histories.table("eval_loss", N="global_step").dropped] == ["small"]


def test_a_broken_configuration_is_told_of_and_the_run_read(folder, losses):
    (folder / "small/checkpoint-1000/config.json").write_text("{")
    (folder / "small/checkpoint-1000/model.safetensors").write_bytes(b"short")
    histories = sf.trackers.huggingface(folder)
    assert "config.json" in histories.notes[0].message and len(histories) == 3
    dropped = histories.table("eval_loss").dropped
    assert [(item.row, item.rule) for item in dropped] == [("small", "no N")]


def test_steps_that_are_none_are_left_out(tmp_path):
    huge = "9" * 400
    entries = [f'{{"step": {step}, "loss": 3}}' for step in (huge, "NaN", '"1"', "null", 5)]
    text = f'{{"global_step": {huge}, "max_steps": "x", "log_history": [{",".join(entries)}, 3]}}'
    (tmp_path / "trainer_state.json").write_text(text)
    assert sf.trackers.huggingface(tmp_path).records["step"].tolist() == [5]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", '"text"', "{}"])
def test_a_file_that_is_no_state_is_refused(tmp_path, text):
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises(sf.errors.DataError, match=r"trainer_state\.json"):
        sf.trackers.huggingface(path)


def test_a_folder_without_a_state_is_refused(tmp_path):
    with pytest.raises(
        sf.errors.DataError, match=r"no trainer_state.json is in the folder .* output_dir"
    ):
        sf.trackers.huggingface(tmp_path)
    with pytest.raises(sf.errors.DataError, match="there is no file or folder"):
        sf.trackers.huggingface(tmp_path / "none")
    with pytest.raises(sf.errors.ArgumentError, match="path=3"):
        sf.trackers.huggingface(3)


def test_halves_of_characters_are_question_marks(tmp_path):
    rows = [{"step": 5, "eval_loss": 3.0, "\ud800": 1.0}]
    state = {"global_step": 5, "max_steps": 5, "log_history": rows, "trial_name": "a\udfffb"}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    histories = sf.trackers.huggingface(tmp_path).with_config({tmp_path.name: {"x": "\ud800"}})
    assert histories.metrics == ["eval_loss", "?"]
    assert histories.runs.loc[0, ["trial_name", "x"]].to_list() == ["a?b", "?"]
