"""SLDBench: one law for each task, chosen by what it predicts of held-out training rows.

Every candidate is compared by ``scalefit.compare`` in each group and fold; the law of the highest
R2 of all held-out rows is chosen and fitted to all training rows. Then, and only then, are test
rows read.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import DATA_VARIABLE, FARSEER_FILE, table
from sldbench_tasks import TASKS, Task

import scalefit as sf


class Choice(NamedTuple):
    """What training rows say of the candidates of a task.

    Attributes:
        free: the number of parameters of each.
        held: R2 of all held-out rows.
        missed: root mean square error of these, over responses.
        best: the law that is chosen.
        verdict: of the comparison of the largest scale, where there is one group.
        seconds: taken.
    """

    free: dict[str, int]
    held: dict[str, float]
    missed: dict[str, float]
    best: str
    verdict: str
    seconds: float


def r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    """1 - mean over responses of the mean square error over the variance, at least -1.

    Args:
        truth: a row for each run, a column for each response.
        predicted: the same.
    """
    if not np.isfinite(predicted).all():
        return -1.0
    rest = np.mean((truth - predicted) ** 2, axis=0) / np.var(truth, axis=0)
    return float(max(-1.0, 1 - rest.mean()))


def place(folder: Path, name: str, part: str) -> Path:
    """The file of a task; Farseer's training rows are the table of that name in SCALEFIT_DATA."""
    own = folder / f"sld_{name}_{part}.csv"
    data = os.environ.get(DATA_VARIABLE)
    if name == "farseer" and part == "train" and data and not own.exists():
        return Path(data) / FARSEER_FILE
    return own


def read(folder: Path, name: str, part: str) -> pd.DataFrame:
    """Rows of a task, by group where it has groups."""
    frame = pd.read_csv(place(folder, name, part))
    return frame if "group" in frame else frame.assign(group="all_data")


def groups(task: Task, frame: pd.DataFrame) -> Iterator[tuple[Any, list[pd.DataFrame]]]:
    """Each group with its rows, as one table for each response."""
    for key, rows in frame.groupby("group", sort=True):
        tables = []
        for place, header in enumerate(task.responses):
            one = rows.reset_index(drop=True).rename(columns=task.columns)
            one = one.astype(dict.fromkeys(one.select_dtypes("number"), float))
            one = one.assign(loss=task.sign * rows[header].to_numpy())
            tables.append(task.prepared(one, place) if task.prepared else one)
        yield key, tables


def _compared(task: Task, rows: pd.DataFrame, fit: np.ndarray, held: np.ndarray) -> Any:
    """The candidates on one fold."""
    kept = rows[fit | held].assign(held=held[fit | held].astype(float))
    return sf.compare(kept, task.candidates, test="held > 0.5", **task.objective)


def choose(task: Task, frame: pd.DataFrame) -> Choice:
    """The candidates compared on every fold of every group and response."""
    began = time.perf_counter()
    truth: dict[int, list[np.ndarray]] = defaultdict(list)
    made: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    free: dict[str, int] = {}
    verdict, count = "", 0
    for key, tables in groups(task, frame):
        count += 1
        for place, rows in enumerate(tables):
            for fold, (fit, held) in enumerate(task.folds(rows)):
                found = _compared(task, rows, fit, held)
                seen = rows.loc[held, "loss"].to_numpy()
                if len(found.held_out) < len(seen):
                    raise SystemExit(f"not every law of {key} predicts every held-out row")
                truth[place].append(seen)
                for label in task.candidates:
                    error = found.held_out[label].to_numpy()
                    raw = found.objective.residual == "raw"
                    made[label, place].append(seen - error if raw else seen / np.exp(error))
                free = dict(found.to_frame()["free"])
                verdict = found.verdict() if fold == 0 else verdict
    seen = np.column_stack([np.concatenate(part) for part in truth.values()])
    all_made = {
        label: np.column_stack([np.concatenate(made[label, place]) for place in truth])
        for label in task.candidates
    }
    held = {label: r2(seen, values) for label, values in all_made.items()}
    missed = {
        label: float(np.sqrt(np.mean((seen - values) ** 2))) for label, values in all_made.items()
    }
    allowed = [k for k in held if not task.cap or free[k] * len(task.responses) <= task.cap]
    best = max(allowed, key=lambda label: held[label])
    single = count * len(task.responses) == 1
    seconds = time.perf_counter() - began
    return Choice(free, held, missed, best, verdict if single else "", seconds)


def score(task: Task, best: str, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """R2 of the chosen law on the test rows of all groups, which are read only here."""
    options = dict(task.candidates[best])
    law = options.pop("law")
    fits = {
        key: [sf.fit(rows, law, certify=False, **options, **task.objective) for rows in tables]
        for key, tables in groups(task, train)
    }
    truth, made = [], []
    for key, tables in groups(task, test):
        if key not in fits:
            continue
        truth.append(np.column_stack([rows["loss"].to_numpy() for rows in tables]))
        made.append(
            np.column_stack(
                [
                    fit.evaluate(**{name: rows[name].to_numpy() for name in fit.law.columns})
                    for fit, rows in zip(fits[key], tables, strict=True)
                ]
            )
        )
    return r2(np.concatenate(truth), np.concatenate(made))


def digits(value: float) -> str:
    """An R2, with more digits the nearer it is to one."""
    return f"{value:.4f}" if value > 0.99 else f"{value:.3f}"


def scoreboard(folder: Path, only: str | None, train_only: bool) -> tuple[str, str]:
    """The table of scores, and that of choices.

    Args:
        folder: with the tables.
        only: a task; all by default.
        train_only: whether to leave test rows unread.
    """
    scores, choices = [], []
    for name, task in TASKS.items():
        if only not in (None, name) or not place(folder, name, "train").exists():
            continue
        train = read(folder, name, "train")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = choose(task, train)
            there = place(folder, name, "test").exists() and not train_only
            blind = score(task, found.best, train, read(folder, name, "test")) if there else None
        human, agent = task.published or ("", "")
        scores.append(
            (
                name,
                f"`{found.best}`",
                digits(found.held[found.best]),
                "" if blind is None else f"**{digits(blind)}**",
                human,
                agent,
                f"{found.seconds:.0f} s",
            )
        )
        choices += [_reasons(name, task, found)]
        print(f"{name}: {scores[-1]}\n{choices[-1]}\n", flush=True)
    header = (
        "task",
        "law chosen",
        "R2, held-out training rows",
        "R2, test rows",
        "human law",
        "best agent",
        "time",
    )
    return table(header, scores), "\n\n".join(choices)


def _reasons(name: str, task: Task, found: Choice) -> str:
    """The candidates of a task with what they predict, and the verdict."""
    rows = [
        (
            f"**`{label}`**" if label == found.best else f"`{label}`",
            found.free[label],
            digits(found.held[label]),
            f"{found.missed[label]:.4f}",
        )
        for label in sorted(found.held, key=lambda label: -found.held[label])
    ]
    said = f"### {name}\n\nCandidates: {task.why}."
    if found.verdict:
        said += f" On the largest scale: {found.verdict}."
    header = ("law", "parameters", "R2 of held-out rows", "root mean square error")
    return f"{said}\n\n{table(header, rows)}"
