"""Checkpoints of tracked runs: losses by step, with model size, tokens and what else is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import number, refused, shown, text
from scalefit.data import cells
from scalefit.data.column_names import ambiguous
from scalefit.data.column_units import read_source
from scalefit.data.loss_units import LossUnit
from scalefit.errors import ArgumentError
from scalefit.trackers.headers import find, usual
from scalefit.trackers.run_rules import RunCurve

__all__ = ["Checkpoints", "Quantities", "checkpoints"]

# Header of tokens that are computed, which says how.
COMPUTED = "step * tokens_per_step"


@dataclass(frozen=True)
class Quantities:
    """What a table of tracked runs is to hold, as the caller passed it."""

    loss: str
    N: str | tuple[str, float] | None = None
    D: str | tuple[str, float] | None = None
    tokens_per_step: Any = None
    step: str | None = None
    planned: Any = None
    warmup: Any = 0
    others: Mapping[str, str | tuple[str, float]] | None = None
    loss_unit: LossUnit | None = None
    bytes_per_token: float | None = None


@dataclass(frozen=True)
class Checkpoints:
    """Losses of runs by step.

    Attributes:
        rows: a row for each recorded loss: ``run``, ``step``, and the columns of ``sources``.
        sources: header of each quantity.
        runs: the parameters of the runs, by run.
        curves: each run's losses, and what is known of its length, by run.
        warmup: step before which losses are left out, by run.
        ends_known: runs of which something says whether they came to their end.
        asked: what the table is to hold.
        whole_tokens: header of the tokens, where it is a parameter: of the run to its end.
    """

    rows: pd.DataFrame
    sources: Mapping[str, str]
    runs: pd.DataFrame
    curves: Mapping[str, RunCurve]
    warmup: Mapping[str, float]
    ends_known: frozenset[str]
    asked: Quantities
    whole_tokens: str = ""

    def options(self) -> dict[str, Any]:
        """What the checked table is made with: headers, with their units, and that of the loss."""
        given = {"N": self.asked.N, "D": self.asked.D, **(self.asked.others or {})}
        found: dict[str, Any] = {
            name: header
            if (unit := read_source(given.get(name), name).scale) is None
            else (header, unit)
            for name, header in self.sources.items()
        }
        units = {
            "loss_unit": self.asked.loss_unit,
            "bytes_per_token": self.asked.bytes_per_token,
        }
        return found | units

    def of_runs(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each run and the rows of it after the warm-up."""
        groups = dict(list(self.rows.groupby("run", sort=False)))
        for run in self.runs.index:
            rows = groups.get(run, self.rows[:0])
            yield run, rows[~(rows["step"] < self.warmup[run])]


def checkpoints(records: pd.DataFrame, runs: pd.DataFrame, asked: Quantities) -> Checkpoints:
    """The losses that were recorded, with everything that a table is to hold of each.

    Args:
        records: a row for each run and step.
        runs: a row for each run.
        asked: what a table is to hold.

    Raises:
        ArgumentError: something that was passed makes no sense.
        DataError: a header is none, or could be several; a value is no number.
    """
    logged = [name for name in records.columns if name not in ("run", "step")]
    known = [name for name in runs.columns if name not in ("run", "state")]
    # In the order in which a quantity is looked for: what was recorded is of its step.
    headers = list(dict.fromkeys([*logged, *known]))
    by_run = runs.set_index("run")
    sources = _sources(asked, headers)
    counter = _counter(asked.step, logged if len(records) else known)
    rate = next(iter(usual("lr", logged)), None)
    needed = {*sources.values(), counter, rate, "run", "step"}
    on = _by_step(records[[name for name in records.columns if name in needed]], by_run, counter)
    last = _last_steps(on, by_run, counter)
    rows = _rows(on, by_run, sources["loss"], last)
    wanted = dict.fromkeys([name for key, name in sources.items() if key != "loss"])
    for header in wanted:
        rows[header] = _carried(rows, on, by_run, header)
    if asked.tokens_per_step is not None:
        rows[COMPUTED] = rows["step"] * _product(asked.tokens_per_step, by_run, rows["run"])
        sources["D"] = COMPUTED
    planned, by = _planned(asked.planned, by_run)
    known_ends = frozenset(by_run.index[planned.notna() | by_run["state"].notna()])
    warmup = _per_run(asked.warmup, "warmup", by_run).fillna(0.0)
    curves = _curves(rows, on, by_run, sources["loss"], last, planned, by)
    header = sources.get("D", "")
    whole = header if header in by_run and header not in on else ""
    starts = dict(zip(by_run.index, warmup, strict=True))
    return Checkpoints(rows, sources, by_run, curves, starts, known_ends, asked, whole)


def _sources(asked: Quantities, headers: Sequence[str]) -> dict[str, str]:
    """Header of each quantity that was asked for, or that is usually there."""
    text(asked.loss, "loss", remedy="Pass the metric that is fitted, as loss='eval/loss'")
    found = {"loss": find(asked.loss, headers, "loss")}
    if asked.D is not None and asked.tokens_per_step is not None:
        raise ArgumentError(
            f"D={shown(asked.D)} and tokens_per_step={shown(asked.tokens_per_step)} both say how "
            "many tokens a run has seen",
            argument="D",
            value=asked.D,
            remedy="Pass one of them",
        )
    for quantity in ("N", "D"):
        name = getattr(asked, quantity)
        if name is not None:
            found[quantity] = _named(name, quantity, headers)
        elif quantity == "N" or asked.tokens_per_step is None:
            usually = [header for header in usual(quantity, headers) if header != found["loss"]]
            if len(usually) > 1:
                raise ambiguous(quantity, usually)
            if usually:
                found[quantity] = usually[0]
    for quantity, name in (asked.others or {}).items():
        found[quantity] = _named(name, quantity, headers)
    return found


def _named(given: Any, quantity: str, headers: Sequence[str]) -> str:
    """The header that is given for a quantity, alone or with a unit."""
    name = read_source(given, quantity).header
    text(name, quantity, remedy=f"Pass the name of a metric or parameter, as {quantity}='...'")
    return find(name, headers, quantity)


def _counter(step: str | None, headers: Sequence[str]) -> str | None:
    """The header that counts updates; None where nothing but the tracker does."""
    if step is None:
        return next(iter(usual("step", headers)), None)
    text(step, "step", remedy="Pass the metric that counts updates, as step='train/global_step'")
    found = find(step, ["step", *headers], "step")
    return None if found == "step" else found


def _by_step(records: pd.DataFrame, runs: pd.DataFrame, counter: str | None) -> pd.DataFrame:
    """The records by the count of updates: the trainer's own, where it was recorded."""
    if counter is None or counter not in records:
        return records
    counts = records.groupby("run", sort=False)[counter].ffill()
    # A run that never recorded it keeps the tracker's steps.
    counted = records.groupby("run", sort=False)[counter].transform("count")
    counts = counts.where(counted > 0, records["step"])
    renumbered = records.assign(step=counts)
    renumbered = renumbered[np.isfinite(counts)]
    # Of several records at one step, the last that has a metric counts.
    order = {run: place for place, run in enumerate(runs.index)}
    last = renumbered.groupby([renumbered["run"].map(order), "step"]).last()
    return last.reset_index("step").reset_index(drop=True)[list(records.columns)]


def _rows(on: pd.DataFrame, runs: pd.DataFrame, loss: str, last: np.ndarray) -> pd.DataFrame:
    """A row for each recorded loss; of runs whose tracker kept only their last one, that."""
    found = on.loc[on[loss].notna(), ["run", "step", loss]] if loss in on else None
    if loss not in runs:
        return on[["run", "step"]].assign(**{loss: np.nan})[:0] if found is None else found.copy()
    recorded = set() if found is None else set(found["run"])
    final = cells.numbers(runs[loss])[0]
    rest = [
        run not in recorded and not math.isnan(at)
        for run, at in zip(runs.index, final, strict=True)
    ]
    kept = pd.DataFrame({"run": runs.index[rest], "step": last[rest], loss: final[rest]})
    return kept if found is None or found.empty else pd.concat([found, kept], ignore_index=True)


def _last_steps(on: pd.DataFrame, runs: pd.DataFrame, counter: str | None) -> np.ndarray:
    """Last step of each run, NaN where none is known, shape (runs,)."""
    last = on.groupby("run")["step"].max().reindex(runs.index).to_numpy(dtype=np.float64)
    headers = [counter, *usual("step", list(runs.columns)), "_step"]
    for header in [name for name in headers if name in runs]:
        last = np.where(np.isnan(last), cells.numbers(runs[header])[0], last)
    return np.asarray(last, dtype=np.float64)


def _carried(rows: pd.DataFrame, on: pd.DataFrame, runs: pd.DataFrame, header: str) -> pd.Series:
    """A quantity at each row: the last value recorded until then, or the run's parameter."""
    found = pd.Series(np.nan, rows.index, dtype=np.float64)
    if header in on:
        until = on[["run", "step", header]].copy()
        until[header] = until.groupby("run", sort=False)[header].ffill()
        at = until.set_index(["run", "step"])[header]
        found = pd.Series(
            at.reindex(pd.MultiIndex.from_frame(rows[["run", "step"]])).to_numpy(), rows.index
        )
    if header in runs:
        constant = rows["run"].map(runs[header])
        found = constant.where(found.isna(), found) if found.notna().any() else constant
    return found


def _product(given: Any, runs: pd.DataFrame, of: pd.Series) -> pd.Series:
    """Tokens of each step: a number, a parameter of the runs, or a product of several."""
    factors = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
    if not len(factors):
        raise refused("tokens_per_step", given, "a number, a parameter or several", "Pass a number")
    found = pd.Series(1.0, runs.index)
    for factor in factors:
        found = found * _per_run(factor, "tokens_per_step", runs, above=0)
    return of.map(found)


def _per_run(given: Any, argument: str, runs: pd.DataFrame, **limits: float) -> pd.Series:
    """A number for each run: the same one, or a parameter of the runs; NaN where that is none."""
    if isinstance(given, str):
        header = find(given, [name for name in runs.columns if name != "state"], argument)
        return pd.Series(cells.numbers(runs[header])[0], runs.index)
    remedy = f"Pass a number, or the name of a parameter of the runs, as {argument}='...'"
    least: dict[str, Any] = limits or {"least": 0}
    return pd.Series(number(given, argument, remedy=remedy, **least), runs.index)


def _planned(given: Any, runs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Steps that each run was to have, NaN where nothing says so, and the header that says so."""
    found = pd.Series(np.nan, runs.index)
    by = pd.Series("", runs.index, dtype=object)
    for one in usual("planned", list(runs.columns)) if given is None else [given]:
        steps = _per_run(one, "planned", runs)
        # Trainers write -1 or 0 where epochs decide.
        said = found.isna() & np.isfinite(steps) & (steps > 0)
        found = found.where(~said, steps)
        by = by.where(~said, one if isinstance(one, str) else "")
    return found, by


def _curves(
    rows: pd.DataFrame,
    on: pd.DataFrame,
    runs: pd.DataFrame,
    loss: str,
    last: np.ndarray,
    planned: pd.Series,
    by: pd.Series,
) -> dict[str, RunCurve]:
    """Each run's losses, and what is known of its length."""
    rate = next(iter(usual("lr", [name for name in on.columns if name != loss])), None)
    size = next(iter(usual("vocabulary", list(runs.columns))), None)
    sizes = cells.numbers(runs[size])[0] if size else np.full(len(runs), np.nan)
    losses = dict(list(rows.groupby("run", sort=False)))
    logged = dict(list(on.groupby("run", sort=False)))
    found = {}
    for place, run in enumerate(runs.index):
        own, all_of_it = losses.get(run, rows[:0]), logged.get(run, on[:0])
        rates = all_of_it[all_of_it[rate].notna()] if rate else all_of_it[:0]
        steps = all_of_it["step"].to_numpy(dtype=np.float64)
        state, plan, words = runs["state"].iloc[place], planned.iloc[place], sizes[place]
        # A summary has no history: its count of steps is that of the tracker, not of updates.
        judged = len(steps) > 0 and not math.isnan(plan)
        found[run] = RunCurve(
            own["step"].to_numpy(dtype=np.float64) if len(steps) else np.empty(0),
            own[loss].to_numpy(dtype=np.float64) if len(steps) else np.empty(0),
            0.0 if math.isnan(last[place]) else float(last[place]),
            float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0,
            state if isinstance(state, str) else None,
            float(plan) if judged else None,
            by.iloc[place],
            float(words) if words > 1 else None,
            rates["step"].to_numpy(dtype=np.float64),
            rates[rate].to_numpy(dtype=np.float64) if rate else np.empty(0),
        )
    return found
