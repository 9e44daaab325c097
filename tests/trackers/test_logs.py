"""Text logs: the lines of training programs as they print them, and patterns of one's own."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.trackers import json_files


def codes(result):
    return {note.code: note for note in result.notes}


# Lines of each program, and what they say: (step, metric): value.
LINES = {
    # karpathy/nanoGPT, train.py, with the output of its README.
    "nanogpt": (
        [
            "number of parameters: 10.65M",
            "step 0: train loss 4.2874, val loss 4.2823",
            "iter 0: loss 4.2664, time 38405.54ms, mfu -100.00%",
            "iter 10: loss 3.2044, time 23.16ms, mfu 16.09%",
            "step 250: train loss 1.9682, val loss 2.0663",
            "saving checkpoint to out-shakespeare-char",
        ],
        {
            (0, "loss"): 4.2664,
            (10, "loss"): 3.2044,
            (250, "train_loss"): 1.9682,
            (250, "val_loss"): 2.0663,
        },
        {},
    ),
    # Megatron-LM as of bigscience-workshop/bigscience, and the newest training.py with its time.
    "megatron": (
        [
            " iteration     6502/  159576 | consumed samples:       216960 | consumed tokens:    "
            "444334080 | elapsed time per iteration (ms): 31074.1 | learning rate: 5.997E-05 | "
            "global batch size:    80 | lm loss: 3.876781E+00 | loss scale: 4096.0 | "
            "grad norm: 3246.595 | number of nan iterations:   0 |",
            "time (ms) | forward-compute: 53.79 | forward-recv: 1.2",
            " [2025-04-13 23:41:12] iteration     6510/  159576 | consumed samples: 160 | elapsed "
            "time per iteration (ms): 1147.6 | learning rate: 0.000000E+00 | "
            "global batch size:    16 | loss scale: 8388608.0 | skipped iterations: 10 |",
            " validation loss at iteration 6600 | lm loss value: 2.724416E+00 | lm loss PPL: 1.5",
        ],
        {
            (6502, "loss"): 3.876781,
            (6502, "tokens"): 444334080,
            (6502, "samples"): 216960,
            (6502, "learning_rate"): 5.997e-5,
            (6502, "batch_size"): 80,
            # A skipped iteration has no loss.
            (6510, "loss"): np.nan,
            (6510, "batch_size"): 16,
            (6600, "val_loss"): 2.724416,
        },
        {"planned_steps": 159576},
    ),
    # karpathy/llm.c: llmc/logger.h writes main.log.
    "llm.c": (
        [
            "s:0 tel:11.0332",
            "s:1 trl:11.0103 lr:0.000001 norm:15.14",
            "s:250 tel:6.4570",
            "s:250 trl:6.4302 lr:0.000214 norm:1.21",
            "s:250 eval:0.2456",
        ],
        {
            (0, "val_loss"): 11.0332,
            (1, "loss"): 11.0103,
            (250, "val_loss"): 6.457,
            (250, "learning_rate"): 2.14e-4,
        },
        {},
    ),
    # pytorch/torchtitan, components/metrics.py, in the colours of a terminal.
    "torchtitan": (
        [
            "[titan] 2025-10-30 14:32:58,897 - root - INFO - \x1b[31mstep:  1  \x1b[32mloss:"
            "  8.1661  \x1b[38;2;180;60;0mgrad_norm:  3.6855  \x1b[36mmemory: 2.47GiB\x1b[0m",
            "[titan] - root - INFO - validate step: 10  loss:  7.6282  memory:  1.51GiB(1.90%)",
            "step: 1000  loss:     nan  memory:  1.51GiB(1.90%)",
        ],
        {
            (1, "loss"): 8.1661,
            (1, "grad_norm"): 3.6855,
            (10, "val_loss"): 7.6282,
            (10, "loss"): np.nan,
            (1000, "loss"): np.inf,
        },
        {},
    ),
    # KellerJordan/modded-nanogpt, records.
    "modded-nanogpt": (
        [
            "step:1/5100 train_loss:11.0310 train_time:213ms step_avg:nanms",
            "step:5100/5100 val_loss:3.2927 train_time:812253ms step_avg:159.58ms",
        ],
        {(1, "loss"): 11.031, (5100, "val_loss"): 3.2927},
        {"planned_steps": 5100},
    ),
}


@pytest.mark.parametrize("program", LINES)
def test_the_lines_of_a_program_are_read(tmp_path, program):
    lines, wanted, config = LINES[program]
    (tmp_path / "run.log").write_text("\n".join(lines))
    histories = sf.trackers.logs(tmp_path / "run.log", program)
    records = histories.records.set_index("step")
    assert {key: records.loc[key] for key in wanted} == pytest.approx(wanted, nan_ok=True)
    assert {name: histories.runs[name].item() for name in config} == config


def test_what_llm_c_prints_has_the_validation_after_its_step(tmp_path):
    # It says the loss before the first step, and after the steps of which it is.
    (tmp_path / "out.txt").write_text(
        "val loss 11.033154\n"
        "step    1/19560 | loss 11.010252 (+nanz)| norm 15.1374 (+nanz)| lr 8.57e-07 | 4688 ms |\n"
        "step 19559/19560 | loss 3.314194 (+0.19z)| norm 0.2776 (+3.74z)| lr 1.79e-11 | 4340 ms |\n"
        "val loss 3.297\n"
    )
    records = sf.trackers.logs(tmp_path, "llm.c").records
    assert records[["step", "val_loss"]].dropna().to_numpy().tolist() == [
        [0, 11.033154],
        [19559, 3.297],
    ]
    assert records["learning_rate"].dropna().tolist() == [8.57e-7, 1.79e-11]


def test_logs_of_a_folder_are_runs_by_their_names(tmp_path, losses, settings, values, known):
    for name, by_step in losses.items():
        (tmp_path / name).mkdir()
        lines = [
            f"[{step:>5}] loss={loss:.4f} (ppl {2.0 * loss})" for step, loss in by_step.items()
        ]
        (tmp_path / name / "train.log").write_text("\n".join(["starting", *lines]))
    (tmp_path / "small" / "notes.txt").write_text("nothing here")
    (tmp_path / "small" / "weights.bin").write_bytes(b"\xff" * 100)
    histories = sf.trackers.logs(tmp_path, r"\[ *(?P<step>\d+)\] loss=(?P<loss>\S+)")
    assert "notes.txt' has no line" in codes(histories)["not_read"].message
    assert sorted(histories.runs["run"]) == ["large/train", "middle/train", "small/train"]
    config = {f"{name}/train": value for name, value in settings.items()}
    table = histories.with_config(config).table("loss", tokens_per_step=1e6)
    assert {name.partition("/")[0]: value for name, value in values(table).items()} == known
    some = sf.trackers.logs(
        str(tmp_path / "*" / "train.log"), r"\[ *(?P<step>\d+)\] loss=(?P<loss>\S+)"
    )
    assert len(some) == 3 and some.notes == ()
    two = sf.trackers.logs(
        [tmp_path / "small", tmp_path / "large/train.log"], r"(?P<step>\d+)\] loss=(?P<loss>\S+)"
    )
    assert len(two) == 2


def test_a_log_that_was_continued_counts_from_where_it_went_on(tmp_path):
    lines = [
        f"iter {step}: loss {loss}, time"
        for step, loss in [(0, 9), (10, 8), (20, 7), (10, 7.5), (30, 6)]
    ]
    (tmp_path / "run.log").write_text("\n".join(lines))
    histories = sf.trackers.logs(tmp_path, "nanogpt")
    assert histories.records["loss"].tolist() == [9, 7.5, 6]
    assert codes(histories)["records_replaced"].details["runs"] == {"run": 2}


@pytest.mark.parametrize(
    "pattern", [3, "(", r"loss (\d+)", r"(?P<step>\d+)", r"(?P<loss>\d+)", [], ""]
)
def test_a_pattern_that_makes_no_sense_is_refused(tmp_path, pattern):
    (tmp_path / "run.log").write_text("iter 0: loss 9.0, time")
    with pytest.raises(sf.errors.ArgumentError, match=r"pattern.*or a program: nanogpt, megatron"):
        sf.trackers.logs(tmp_path, pattern)


def test_files_without_lines_are_refused(tmp_path, monkeypatch):
    with pytest.raises(
        sf.errors.DataError, match=r"there is no log in .* files of \.log, \.txt, \.out"
    ):
        sf.trackers.logs(tmp_path, "nanogpt")
    with pytest.raises(sf.errors.ArgumentError, match="paths=3"):
        sf.trackers.logs(3, "nanogpt")
    (tmp_path / "run.log").write_bytes(b"\xff\x00iter 0: loss 9.0, time\n" * 10)
    with pytest.raises(sf.errors.DataError, match=r"has the pattern\. Check it on a line"):
        sf.trackers.logs(tmp_path, "megatron")
    monkeypatch.setattr(json_files, "MOST_BYTES", 100)
    with pytest.raises(sf.errors.DataError, match="more than is read"):
        sf.trackers.logs(tmp_path, "nanogpt")
