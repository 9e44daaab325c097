"""What trackers leave of some runs, as it should be and damaged."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import scalefit as sf
from campaign.files import FOLDER, one_of
from campaign.inputs import NONSENSE, tamper
from campaign.judge import Outcome, tried

ODD: tuple[Any, ...] = (
    *(
        None,
        "x",
        "",
        "nan",
        "NaN",
        "Infinity",
        "-inf",
        float("nan"),
        float("inf"),
        -1.0,
        0,
        10**400,
    ),
    *(
        True,
        [],
        {},
        [1.0],
        {"a": 1},
        "1e3",
        "3,5",
        1e308,
        -1e-300,
        "\u0663",
        "a\0b",
        "\ud800",
        2**63,
    ),
)


class Run(NamedTuple):
    """A run as it was.

    Attributes:
        name: of it.
        N: parameters.
        steps: of its records.
        losses: recorded at those.
    """

    name: str
    N: float
    steps: list[int]
    losses: list[float]


class Left(NamedTuple):
    """What a tracker left.

    Attributes:
        read: the histories.
        loss: its metric.
        spoilt: names of runs that were tampered with; None where any may be.
        options: of the table.
    """

    read: Callable[[], sf.trackers.Histories]
    loss: str
    spoilt: set[str] | None
    options: dict[str, Any]


def runs_of(rng: np.random.Generator) -> list[Run]:
    """Some runs of falling losses."""
    found = []
    for place in range(rng.integers(2, 6)):
        count = int(rng.integers(2, 12))
        steps = np.cumsum(rng.integers(1, 50, count)).tolist()
        losses = (2.0 + rng.random() + 4 * np.sort(rng.random(count))[::-1]).round(6).tolist()
        name = one_of(
            rng, f"run-{place}", f"r\u00e9sum\u00e9 {place}", f"a - b {place}", f"N{place}M_x"
        )
        found.append(Run(name, float(rng.integers(10**6, 10**10)), steps, losses))
    return found


def folder() -> Path:
    """An empty folder."""
    place = FOLDER() / "trackers"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def huggingface(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """States of the Trainer, one for each run or in its checkpoints."""
    place, spoilt = folder(), set()
    for run in runs:
        rows: list[dict[str, Any]] = []
        for step, loss in zip(run.steps, run.losses, strict=True):
            rows.append(
                {"step": step, "epoch": step / 100, "loss": loss + 0.5, "learning_rate": 1e-3}
            )
            rows.append({"step": step, "epoch": step / 100, "eval_loss": loss, "eval_runtime": 1.0})
        last = run.steps[-1]
        state: dict[str, Any] = {
            "global_step": last,
            "max_steps": last,
            "best_metric": min(run.losses),
            "log_history": rows,
            "num_input_tokens_seen": 1000 * last,
            "trial_params": {"lr": 1e-3, "deep": {"x": [1, 2]}},
        }
        text = json.dumps(state)
        if harm and rng.random() < 0.5:
            spoilt.add(run.name)
            text = spoil(rng, state, text)
        home = place / run.name
        home = home / f"checkpoint-{last}" if rng.random() < 0.4 else home
        home.mkdir(parents=True)
        (home / "trainer_state.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        config = json.dumps({"n_params": run.N, "model_type": "x"})
        if run.name in spoilt and rng.random() < 0.2:
            config = one_of(rng, "[]", "{", config[:-3], '{"n_params": "x"}', '{"n_params": [1]}')
        (home / "config.json").write_text(config)
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(lambda: sf.trackers.huggingface(place), "eval_loss", spoilt, options)


def spoil(rng: np.random.Generator, state: dict[str, Any], text: str) -> str:
    """A state that was changed in some places, or cut."""
    kind = rng.integers(4)
    if kind == 0:
        return text[: rng.integers(len(text))]
    if kind == 1:
        for _ in range(rng.integers(1, 4)):
            row = state["log_history"][rng.integers(len(state["log_history"]))]
            row[one_of(rng, "step", "eval_loss", "loss", "\u00e9", "a/b", "run")] = one_of(
                rng, *ODD
            )
    elif kind == 2:
        field = one_of(rng, *state, "trial_name", "total_flos")
        state[field] = one_of(rng, *ODD, *NONSENSE)
    else:
        for _ in range(rng.integers(1, 4)):
            tamper(rng, state)
    return json.dumps(state)


def history(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """A history of W&B, as CSV or as a DataFrame."""
    rows = [
        {"run": run.name, "_step": step, "eval/loss": loss, "n_params": run.N, "train/lr": 1e-3}
        for run in runs
        for step, loss in zip(run.steps, run.losses, strict=True)
    ]
    frame = pd.DataFrame(rows).astype(object)
    if rng.random() < 0.5:
        frame = frame.iloc[rng.permutation(len(frame))].sort_values("_step", kind="stable")
    frame, spoilt = changed(rng, frame, "run", harm)
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(in_file_or_not(rng, frame), "eval/loss", spoilt, options)


def page(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """The table of runs of a project's page."""
    frame = pd.DataFrame(
        [
            {
                **{"Name": run.name, "State": "finished", "User": "me", "Created": "2026"},
                **{"n_params": run.N, "_step": run.steps[-1], "eval/loss": run.losses[-1]},
            }
            for run in runs
        ]
    ).astype(object)
    frame, spoilt = changed(rng, frame, "Name", harm)
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(in_file_or_not(rng, frame), "eval/loss", spoilt, options)


def api(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """The frame of runs of the documentation, its mappings as they are or as text."""
    spoilt = set()
    rows = []
    as_text = one_of(rng, None, repr, json.dumps)
    for run in runs:
        config: Any = {"n_params": run.N, "deep": {"lr": 1e-3, "list": [1, None]}}
        summary: Any = {"eval": {"loss": run.losses[-1]}, "_step": run.steps[-1]}
        if harm and rng.random() < 0.5:
            spoilt.add(run.name)
            if rng.random() < 0.5:
                tamper(rng, summary if rng.random() < 0.7 else config)
            else:
                summary["eval"]["loss"] = one_of(rng, *ODD)
        cells = [as_text(item) if as_text else item for item in (config, summary)]
        if run.name in spoilt and rng.random() < 0.2:
            cells[rng.integers(2)] = one_of(rng, *NONSENSE, "{'a': open('x')}", "{", "{'a': b'x'}")
        rows.append(
            {"name": run.name, "config": cells[0], "summary": cells[1], "state": "finished"}
        )
    frame = pd.DataFrame(rows)
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(in_file_or_not(rng, frame, mappings=as_text is None), "eval/loss", spoilt, options)


def chart(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """A chart, a column for each run."""
    pieces = {
        f"{run.name} - eval/loss": pd.Series(run.losses, run.steps, dtype=float) for run in runs
    }
    frame = pd.DataFrame(pieces)
    for name in list(frame):
        if rng.random() < 0.3:
            frame[f"{name}__MIN"] = frame[f"{name}__MAX"] = frame[name]
    frame = frame.sort_index().rename_axis("Step").reset_index().astype(object)
    frame, _ = changed(rng, frame, None, harm)
    sizes = {run.name: {"n_params": run.N} for run in runs}
    read = in_file_or_not(rng, frame)
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(lambda: read().with_config(sizes), "eval/loss", None if harm else set(), options)


def changed(
    rng: np.random.Generator, frame: pd.DataFrame, by: str | None, harm: bool
) -> tuple[pd.DataFrame, set[str] | None]:
    """A frame with cells, rows or columns that make no sense; and the runs of those."""
    if not harm:
        return frame, set()
    frame = frame.reset_index(drop=True)
    kind = rng.integers(4)
    if kind == 0 and by:
        rows = rng.integers(len(frame), size=2)
        spoilt = set(frame.loc[rows, by])
        doubled = frame.iloc[rows].copy()
        header = one_of(rng, *(name for name in frame if name != by))
        doubled[header] = pd.Series([one_of(rng, *ODD) for _ in rows], doubled.index, dtype=object)
        return pd.concat([frame, doubled], ignore_index=True), spoilt
    if kind == 1:
        header = one_of(rng, *frame)
        renamed = one_of(rng, "", "run", "state", "_step", "step", "\u00e9", "a/b", "Unnamed: 0")
        return frame.rename(columns={header: renamed}), None
    spoilt = set()
    for _ in range(rng.integers(1, 4)):
        row, header = rng.integers(len(frame)), one_of(rng, *frame)
        if by:
            spoilt.add(frame.loc[row, by])
        column = list(frame[header])
        column[row] = one_of(rng, *ODD)
        frame[header] = pd.Series(column, dtype=object)
        if header == by or header == "n_params":
            # Another run may get these records, or lose the parameter.
            return frame, None
    return frame, spoilt if by else None


def in_file_or_not(
    rng: np.random.Generator, frame: pd.DataFrame, *, mappings: bool = False
) -> Callable[[], sf.trackers.Histories]:
    """Histories of a frame, or of a file that it is written to."""
    way = one_of(rng, "frame", "csv", "json")
    path = folder() / f"export.{way}"
    try:
        if way == "csv":
            frame.to_csv(path, index=bool(rng.random() < 0.3), errors="surrogatepass")
        elif way == "json" and frame.columns.is_unique:
            path.write_text(json.dumps(frame.to_dict("records")), errors="surrogatepass")
        else:
            return lambda: sf.trackers.wandb(frame)
    except (ValueError, TypeError, OverflowError):
        return lambda: sf.trackers.wandb(frame)
    return lambda: sf.trackers.wandb(path)


def logs(rng: np.random.Generator, runs: list[Run], harm: bool) -> Left:
    """Text logs of programs."""
    place, spoilt = folder(), set()
    program, loss = one_of(
        rng, ("nanogpt", "val_loss"), ("llm.c", "val_loss"), ("modded-nanogpt", "val_loss"),
        ("torchtitan", "loss"), ("megatron", "loss"),
    )  # fmt: skip
    line = {
        "nanogpt": "step {s}: train loss 9.0, val loss {x}",
        "llm.c": "s:{s} tel:{x}",
        "modded-nanogpt": "step:{s}/{end} val_loss:{x} train_time:1ms",
        "torchtitan": "\x1b[31m[rank0] step: {s}  loss: {x}  grad_norm: 1.0\x1b[0m",
        "megatron": " iteration {s}/ {end} | consumed samples: 8 | lm loss: {x} |",
    }[program]
    for run in runs:
        lines = [
            line.format(s=step, x=loss_at, end=run.steps[-1])
            for step, loss_at in zip(run.steps, run.losses, strict=True)
        ]
        lines = [item for one in lines for item in (one, "some other line 3.5")]
        text = one_of(rng, "\n", "\r\n").join(["started", *lines, "done"])
        if harm and rng.random() < 0.5:
            spoilt.add(run.name)
            text = rough(rng, text, line)
        data = text.encode("utf-8", "surrogatepass")
        (place / f"{run.name}.log").write_bytes(data)
    sizes = {run.name: {"n_params": run.N} for run in runs}
    options = {"N": "n_params", "tokens_per_step": 1000}
    return Left(lambda: sf.trackers.logs(place, program).with_config(sizes), loss, spoilt, options)


def rough(rng: np.random.Generator, text: str, line: str) -> str:
    """A log with lines that are cut, repeated or of something else."""
    lines = text.split("\n")
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(lines)))
        odd = line.format(
            s=one_of(rng, 0, -5, 10**30, "nan", "1,000", "\u0663"), x=one_of(rng, *ODD), end="x"
        )
        lines[at : at + 1] = one_of(
            rng, [], [lines[at]] * 2, [odd], ["\0\0"], ["\udcff"], ["x" * 5000], [lines[at][::-1]]
        )
    return "\n".join(lines)


KINDS = (huggingface, huggingface, history, page, api, chart, logs)


def trackers(seed: int) -> Outcome:
    """Runs of a tracker: their last losses, tokens and sizes; of damaged ones, values recorded."""
    rng = np.random.default_rng([seed, 24])
    kind, harm = KINDS[seed % len(KINDS)], bool(rng.random() < 0.65)
    runs = runs_of(rng)
    left = kind(rng, runs, harm)
    take = one_of(rng, "last", "last", "best", "mean_last")
    # Of a run without a history, the last loss is all that is known.
    take = "last" if kind in (page, api) else take
    include = one_of(rng, (), (), ["unfinished"], ["unfinished", "diverged"])
    curves = rng.random() < 0.25

    def call() -> sf.LossTable:
        histories = left.read()
        histories.summary(), repr(histories), histories._repr_html_()
        options = {**left.options, "include": include}
        if curves:
            table = histories.curves(left.loss, **options)
        else:
            table = histories.table(left.loss, take=take, k=3, **options)
        table.summary(), repr(table)
        return table

    tags = (kind.__name__, "damaged" if harm else "", take, "curves" if curves else "")
    outcome = tried("trackers", seed, tags, call)
    if outcome.refusal and not harm:
        outcome.faults.append(f"honest runs refused: {outcome.refusal[:200]}")
    if outcome.answer is not None:
        outcome.faults += misread(outcome.answer, runs, left, "curves" if curves else take, harm)
    outcome.answer = None
    return outcome


def misread(table: sf.LossTable, runs: list[Run], left: Left, take: str, harm: bool) -> list[str]:
    """Faults where a run has another loss, size or number of tokens than it had."""
    known = {run.name: run for run in runs}
    names = table.frame["run"] if take == "curves" else pd.Series(table.rows)
    numbers = {name: table.column(name) for name in ("N", "D", "loss")}
    faults = [f"{name} is not finite" for name in numbers if not np.isfinite(numbers[name]).all()]
    if not harm and set(names) != set(known):
        faults.append(f"the runs {sorted(map(str, names))} are of {sorted(known)}")
    if left.spoilt is None:
        return faults
    for place, name in enumerate(names):
        if name in left.spoilt or name not in known:
            continue
        run = known[name]
        at = int(numbers["D"][place] / 1000 + 0.5)
        if take == "curves":
            expected = run.losses[run.steps.index(at)]
        elif take == "mean_last":
            expected = math.fsum(run.losses[-3:]) / len(run.losses[-3:])
        else:
            expected = run.losses[-1] if take == "last" else min(run.losses)
        ends = {"last": run.steps[-1], "mean_last": run.steps[-1]}
        sound = (
            np.isclose(numbers["loss"][place], expected, rtol=1e-12)
            and numbers["N"][place] == run.N
            and at == ends.get(take, at)
        )
        if not sound:
            got = {key: values[place] for key, values in numbers.items()}
            faults.append(f"{name!r}: {got}, and was {run}"[:300])
    return faults
