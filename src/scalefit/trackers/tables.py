"""Loss tables of tracked runs: one row for each run, or for each checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, names, whole
from scalefit.data.column_names import ALIASES
from scalefit.data.dropped_rows import DroppedRow, counted
from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed
from scalefit.notes import Note
from scalefit.trackers.checkpoints import Checkpoints
from scalefit.trackers.run_rules import diverged, in_schedule, unfinished

__all__ = ["Include", "Take", "all_checkpoints", "checked_include", "one_of_each_run"]

Take = Literal["last", "mean_last", "best"]
Include = Literal["unfinished", "diverged"]


def checked_include(include: Any) -> tuple[Include, ...]:
    """The kinds of runs that are kept although a rule would leave them out.

    Raises:
        ArgumentError: they are none.
    """
    remedy = "Pass the kinds of runs to keep, as include=['unfinished', 'diverged']"
    given = names(include, "include", remedy=remedy)
    return tuple(choice(item, "include", get_args(Include), remedy=remedy) for item in given)


def one_of_each_run(
    found: Checkpoints, take: Take, k: int, include: Sequence[Include]
) -> LossTable:
    """A row for each run: one loss of it, at the step that this is of."""
    choice(take, "take", get_args(Take))
    whole(k, "k", least=1, remedy="Pass how many losses are averaged, as k=10")
    loss = found.sources["loss"]
    dropped: list[DroppedRow] = []
    kept: dict[str, pd.Series] = {}
    amid: list[str] = []
    for run, rows in found.of_runs():
        row = _taken(rows, loss, take, k)
        rule = _rule(found, run, row, include)
        if row is None or rule:
            dropped.append(DroppedRow(run, str(rule)))
            continue
        kept[run] = row
        if in_schedule(found.curves[run], row["step"]):
            amid.append(run)
    if not kept:
        raise _none_left(dropped)
    chosen = pd.DataFrame.from_dict(kept, orient="index").drop(columns="run")
    chosen = chosen.infer_objects()
    settings = found.runs.loc[chosen.index].dropna(axis="columns", how="all")
    frame = settings.drop(columns=[name for name in chosen if name in settings])
    frame = pd.concat([chosen, frame], axis="columns").rename_axis("run")
    table = _table(frame, found, dropped)
    notes = [*_schedule_note(amid, table.rows, found.whole_tokens), *_end_note(found, table.rows)]
    return replace(table, notes=(*table.notes, *notes))


def all_checkpoints(found: Checkpoints, include: Sequence[Include]) -> LossTable:
    """A row for each loss that was recorded, with the run in the column ``run``."""
    loss = found.sources["loss"]
    dropped: list[DroppedRow] = []
    kept = []
    for run, rows in found.of_runs():
        last = rows.iloc[-1] if len(rows) else None
        rule = _rule(found, run, last, include)
        if rule:
            dropped.append(DroppedRow(run, rule))
            continue
        labelled = rows.set_axis([f"{run}@{step:g}" for step in rows["step"]], axis="index")
        lost = ~np.isfinite(labelled[loss].to_numpy())
        dropped += [DroppedRow(row, "its loss is NaN or infinite") for row in labelled.index[lost]]
        kept.append(labelled[~lost])
    if not sum(map(len, kept)):
        raise _none_left(dropped)
    frame = pd.concat(kept).rename_axis("checkpoint").infer_objects()
    table = _table(frame, found, dropped)
    notes = _end_note(found, table.frame["run"].unique())
    return replace(table, notes=(*table.notes, *notes))


def _taken(rows: pd.DataFrame, loss: str, take: Take, k: int) -> pd.Series | None:
    """The row that stands for a run; None where it has no loss."""
    if rows.empty:
        return None
    if take == "best":
        return rows.iloc[int(rows[loss].argmin())]
    last = rows.iloc[-1].copy()
    if take == "mean_last":
        last[loss] = rows[loss].iloc[-k:].mean()
    return last


def _rule(
    found: Checkpoints, run: str, row: pd.Series | None, include: Sequence[Include]
) -> str | None:
    """The rule that leaves a run out; None where it stays."""
    loss = found.sources["loss"]
    if row is None:
        after = found.warmup[run]
        return f"no {loss}" + f" from step {after:g} on" * (after > 0)
    curve = found.curves[run]
    if "unfinished" not in include and (rule := unfinished(curve)):
        return rule
    if not math.isfinite(row[loss]):
        return diverged(curve, row[loss])
    return None if "diverged" in include else diverged(curve, row[loss])


def _none_left(dropped: Sequence[DroppedRow]) -> DataError:
    rules = counted(dropped)
    if len(rules) > 300:
        rules = rules[:300] + "..."
    remedy = "Check the loss that was asked for"
    if any(item.rule.startswith(("unfinished", "diverged")) for item in dropped):
        remedy = (
            "Keep them by include=['unfinished', 'diverged']. Where the tracker's steps are no "
            "updates, say which metric counts those: step='...'"
        )
    return DataError(f"no run is left: {rules}", remedy=remedy)


def _table(frame: pd.DataFrame, found: Checkpoints, dropped: Sequence[DroppedRow]) -> LossTable:
    """The checked table; rows without a quantity are left out, and listed."""
    # Before the first update no token has been seen, and a law of tokens has no value.
    tokens = frame.get(found.sources.get("D", ""))
    unseen = np.zeros(len(frame), dtype=bool) if tokens is None else (tokens == 0).to_numpy()
    before = [DroppedRow(row, "no token has been seen yet") for row in frame.index[unseen]]
    dropped = [*dropped, *before]
    frame = frame[~unseen]
    if frame.empty:
        raise _none_left(dropped)
    lacking = [
        DroppedRow(row, f"no {name}")
        for name in ("N", "D")
        if name in found.sources
        for row in frame.index[frame[found.sources[name]].isna()]
    ]
    # A parameter of training is no weight of the fit, unless it is asked for.
    spare = [
        name for name in frame if name in ALIASES["weight"] and name not in found.sources.values()
    ]
    frame = frame.rename(columns={name: f"config/{name}" for name in spare})
    table = LossTable.from_frame(frame, missing="drop", **found.options())
    told = {item.row for item in lacking}
    others = [item for item in table.dropped if item.row not in told]
    every = (*dropped, *lacking, *others)
    return replace(table, dropped=every)


def _schedule_note(found: Sequence[str], kept: Sequence[object], tokens: str) -> list[Note]:
    """A note on losses from the middle of a learning-rate schedule, of runs that are kept."""
    amid = [run for run in found if run in kept]
    if not amid:
        return []
    told = f". Their D, {tokens!r}, is that of the whole run" if tokens else ""
    return [
        Note.of(
            "mid_schedule",
            f"{len(amid)} of {len(kept)} losses are from before the end of the run's learning-rate "
            f"schedule (runs {listed(amid)}): such a loss is above that of a run which ends "
            f"there{told}. Leave these runs out, or train them to the end",
            {"runs": amid, "kept": len(kept)},
        )
    ]


def _end_note(found: Checkpoints, kept: Any) -> list[Note]:
    """A note on runs of which nothing says whether they have come to their end."""
    unknown = [run for run in kept if run not in found.ends_known]
    if not unknown:
        return []
    return [
        Note.of(
            "run_end_unknown",
            f"nothing says whether {len(unknown)} of {len(kept)} runs have come to their end (runs "
            f"{listed(unknown)}): there is neither a state nor a planned number of steps. Pass "
            "that as planned=, a number or a parameter of the runs",
            {"runs": unknown},
        )
    ]
