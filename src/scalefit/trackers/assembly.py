"""Histories put together from runs: one name for each, one value for each metric and step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.data.containers import as_series
from scalefit.data.limits import MOST_BYTES
from scalefit.errors import DataError, listed
from scalefit.notes import Note
from scalefit.trackers.histories import Histories
from scalefit.trackers.series import TrackedRun, free_name, writable

__all__ = ["assembled", "not_read"]

# Of files that a note tells of, with their paths.
MOST_TOLD = 3


def assembled(runs: Sequence[TrackedRun], source: str, notes: Sequence[Note] = ()) -> Histories:
    """The histories of some runs.

    Args:
        runs: as their trackers left them, at least one.
        source: what was read, for reports.
        notes: soft problems of reading.

    Raises:
        DataError: they hold more than a table may.
    """
    runs = [_writable(run) for run in runs]
    names = _labels(runs)
    pieces, replaced = [], {}
    widest = len({metric for run in runs for metric in run.series})
    length = sum(max((len(steps) for steps, _ in run.series.values()), default=0) for run in runs)
    if 8 * length * widest > MOST_BYTES:
        raise DataError(
            f"{source} holds {length:,} records of {widest:,} metrics, more than is read at once",
            remedy="Read fewer runs at once, or export fewer metrics",
        )
    for name, run in zip(names, runs, strict=True):
        piece, lost = _records(run)
        pieces.append(piece.assign(run=name))
        if lost:
            replaced[name] = lost
    records = pd.concat(pieces, ignore_index=True)
    metrics = [column for column in records.columns if column not in ("run", "step")]
    heads = pd.DataFrame({"run": names, "state": [run.state for run in runs]}, dtype=object)
    found = pd.concat([heads, _settings(runs).set_axis(heads.index)], axis="columns")
    own = [*_name_note(names, runs), *_replaced_note(replaced)]
    return Histories(records[["run", "step", *metrics]], found, source, (*notes, *own))


def _settings(runs: Sequence[TrackedRun]) -> pd.DataFrame:
    """A row of parameters for each run, NaN where it has none of the name."""
    rows = [{free_name(key, "config"): cell for key, cell in run.config.items()} for run in runs]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: as_series([row.get(name, math.nan) for row in rows]) for name in names}
    return pd.DataFrame(columns, index=range(len(rows)))


def not_read(parts: Sequence[str]) -> list[Note]:
    """A note on what a tracker left and could not be read, with the reason of each."""
    if not parts:
        return []
    more = f" and {len(parts) - MOST_TOLD} more" * (len(parts) > MOST_TOLD)
    told = "; ".join(parts[:MOST_TOLD]) + more
    return [
        Note.of(
            "not_read",
            f"{len(parts)} parts of what the tracker left were not read: {told}. Restore them, or "
            "do without",
            {"parts": list(parts)},
        )
    ]


def _writable(run: TrackedRun) -> TrackedRun:
    """The run with names and text that tables can hold."""
    return replace(
        run,
        name=writable(run.name),
        series={writable(name): item for name, item in run.series.items()},
        config={writable(name): writable(value) for name, value in run.config.items()},
        state=writable(run.state),
        key=writable(run.key),
    )


def _labels(runs: Sequence[TrackedRun]) -> list[str]:
    """A name for each run that no other has."""
    shared = Counter(run.name for run in runs)
    found: list[str] = []
    taken = {name for name, count in shared.items() if count == 1}
    for place, run in enumerate(runs):
        label = run.name
        if shared[run.name] > 1:
            label = f"{run.name} ({run.key or place + 1})"
            while label in taken:
                label = f"{label} ({place + 1})"
            taken.add(label)
        found.append(label)
    return found


def _records(run: TrackedRun) -> tuple[pd.DataFrame, int]:
    """A row for each step of one run, and how many records a later one replaced."""
    lost = 0
    kept = {}
    for metric, (steps, values) in run.series.items():
        stays = _not_replaced(steps)
        lost += int((~stays).sum())
        kept[free_name(metric, "history")] = (steps[stays], values[stays])
    every = [steps for steps, _ in kept.values()]
    steps = np.unique(np.concatenate(every)) if every else np.empty(0)
    columns = {"step": steps.astype(np.float64)}
    for metric, (at, values) in kept.items():
        column = np.full(len(steps), np.nan)
        column[np.searchsorted(steps, at)] = values
        columns[metric] = column
    return pd.DataFrame(columns), lost


def _not_replaced(steps: np.ndarray) -> np.ndarray:
    """Records that no later one goes back behind: a run that resumes repeats its steps.

    Args:
        steps: in the order in which they were recorded, shape (records,).
    """
    later = np.minimum.accumulate(steps[::-1])[::-1]
    return np.append(steps[:-1] < later[1:], np.ones(len(steps[-1:]), dtype=bool))


def _name_note(names: Sequence[str], runs: Sequence[TrackedRun]) -> list[Note]:
    """A note on runs that share a name."""
    renamed = [name for name, run in zip(names, runs, strict=True) if name != run.name]
    if not renamed:
        return []
    return [
        Note.of(
            "run_names_repeat",
            f"{len(renamed)} runs share their name with another; they are called {listed(renamed)}",
            {"runs": renamed},
        )
    ]


def _replaced_note(replaced: dict[str, int]) -> list[Note]:
    """A note on steps that were recorded more than once."""
    if not replaced:
        return []
    return [
        Note.of(
            "records_replaced",
            f"{sum(replaced.values())} records of the runs {listed(list(replaced))} were replaced: "
            "the run went back to an earlier step, as one that resumes does, and what it recorded "
            "from there on counts",
            {"runs": dict(replaced)},
        )
    ]
