"""Histories: what a tracker recorded of many runs, and the loss tables of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import mapping, refused, shown
from scalefit.data.loss_units import LossUnit
from scalefit.data.table import LossTable
from scalefit.data.text_numbers import reads_as
from scalefit.errors import ArgumentError, listed
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.trackers.checkpoints import Checkpoints, Quantities, checkpoints
from scalefit.trackers.series import flat, free_name, writable
from scalefit.trackers.tables import (
    Include,
    Take,
    all_checkpoints,
    checked_include,
    one_of_each_run,
)

__all__ = ["Histories"]


@dataclass(frozen=True, eq=False)
class Histories(Described):
    """The histories of training runs, as an experiment tracker left them.

    Attributes:
        records: a row for each run and step, in order: ``run``, ``step``, and a column for each
            metric. NaN is what was not recorded at that step; where a run recorded NaN, or a number
            without end, it is infinite.
        runs: a row for each run: ``run``, ``state`` (how it ended in the tracker's own word, lower
            case; missing where the tracker keeps none), and its parameters and final metrics.
        source: what was read.
        notes: soft problems found while reading.
    """

    records: pd.DataFrame
    runs: pd.DataFrame
    source: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that have a history."""
        return [name for name in self.records.columns if name not in ("run", "step")]

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        of = f" of {listed(self.metrics)}" if self.metrics else ""
        return f"<Histories: {len(self)} runs, {len(self.records)} records{of}>"

    def table(
        self,
        loss: str,
        *,
        N: str | tuple[str, float] | None = None,
        D: str | tuple[str, float] | None = None,
        tokens_per_step: float | str | Sequence[float | str] | None = None,
        step: str | None = None,
        take: Take = "last",
        k: int = 10,
        warmup: float | str = 0,
        planned: float | str | None = None,
        include: Include | Sequence[Include] = (),
        loss_unit: LossUnit | None = None,
        bytes_per_token: float | None = None,
        **columns: str | tuple[str, float],
    ) -> LossTable:
        """One row for each run: its final loss, and the tokens until then.

        Names are those of metrics and parameters, whole or their last parts: ``"n_params"`` finds
        ``model/n_params`` where that is the only one. A metric is taken at the step of the loss,
        a parameter as it is.

        Runs that have not finished, and runs that have diverged, are left out and listed in
        ``dropped`` under their rule. A run is unfinished where its tracker gives another state, or
        where its next record would still have come before its planned steps. It has diverged where
        its last loss is NaN or infinite, is above its first (of more than two), or is above that of
        a uniform guess over its vocabulary, where a parameter says how large that is.

        Args:
            loss: the metric that is fitted, as ``"eval/loss"``.
            N: model parameters, in another unit as ``("params_m", 1e6)``; by default what is
                usually called so.
            D: training tokens; by default what is usually called so.
            tokens_per_step: tokens of one update, instead of ``D``: a number, a parameter, or
                several of them whose product it is, as ``["batch_size", "seq_len"]``.
            step: metric that counts updates; by default one called ``global_step``, or the
                tracker's own steps.
            take: ``last`` loss of a run; ``mean_last``, the mean of its last ``k`` at the step of
                the last; ``best``, the lowest.
            k: losses that ``mean_last`` averages.
            warmup: step before which losses are left out: a number or a parameter.
            planned: steps that a run was to have, a number or a parameter; by default what is
                usually called so, as ``max_steps``.
            include: runs that are kept all the same: ``"unfinished"``, ``"diverged"``. A loss that
                is no number is never kept.
            loss_unit: unit of the losses, as for :func:`scalefit.read`. Runs are judged by the
                numbers as they were recorded.
            bytes_per_token: as for :func:`scalefit.read`.
            **columns: further quantities, as ``C="total_flos"``.

        Returns:
            The checked table, a row for each run under its name, with all parameters of the run.

        Raises:
            ArgumentError: an option makes no sense.
            DataError: a name is unknown or could be several; a value is no number or out of range;
                no run is left.

        Example:
            >>> import pandas as pd, scalefit as sf
            >>> history = pd.DataFrame(
            ...     {"run": ["a", "a", "b"], "_step": [1, 2, 2], "loss": [4.0, 3.2, 3.0]}
            ... )
            >>> sizes = {"a": {"n_params": 1e8}, "b": {"n_params": 2e8}}
            >>> histories = sf.trackers.wandb(history).with_config(sizes)
            >>> table = histories.table("loss", tokens_per_step=5e8)
            >>> table.column("D").tolist(), table.column("loss").tolist()
            ([1000000000.0, 1000000000.0], [3.2, 3.0])
        """
        kept = checked_include(include)
        asked = Quantities(
            *(loss, N, D, tokens_per_step, step, planned, warmup, columns),
            loss_unit=loss_unit,
            bytes_per_token=bytes_per_token,
        )
        return self._noted(one_of_each_run(self._checkpoints(asked), take, k, kept))

    def curves(
        self,
        loss: str,
        *,
        N: str | tuple[str, float] | None = None,
        D: str | tuple[str, float] | None = None,
        tokens_per_step: float | str | Sequence[float | str] | None = None,
        step: str | None = None,
        warmup: float | str = 0,
        planned: float | str | None = None,
        include: Include | Sequence[Include] = (),
        loss_unit: LossUnit | None = None,
        bytes_per_token: float | None = None,
        **columns: str | tuple[str, float],
    ) -> LossTable:
        """A row for each loss that was recorded, for :func:`scalefit.approach2.envelope`.

        Args:
            loss: the metric that is fitted.
            N: as for :meth:`table`.
            D: as for :meth:`table`.
            tokens_per_step: as for :meth:`table`.
            step: as for :meth:`table`.
            warmup: as for :meth:`table`.
            planned: as for :meth:`table`.
            include: as for :meth:`table`.
            loss_unit: as for :meth:`table`.
            bytes_per_token: as for :meth:`table`.
            **columns: as for :meth:`table`.

        Returns:
            The checked table, with the columns ``run`` and ``step``. Losses that are no number, and
            those before the first update, are listed in ``dropped``.

        Raises:
            ArgumentError: as for :meth:`table`.
            DataError: as for :meth:`table`.
        """
        kept = checked_include(include)
        asked = Quantities(
            *(loss, N, D, tokens_per_step, step, planned, warmup, columns),
            loss_unit=loss_unit,
            bytes_per_token=bytes_per_token,
        )
        return self._noted(all_checkpoints(self._checkpoints(asked), kept))

    def _checkpoints(self, asked: Quantities) -> Checkpoints:
        return checkpoints(self.records, self.runs, asked)

    def _noted(self, table: LossTable) -> LossTable:
        return replace(table, notes=(*self.notes, *table.notes))

    def with_config(self, config: Any) -> Histories:
        r"""The same runs with further parameters, joined by the name of the run.

        Args:
            config: a mapping from runs to their parameters, nested or not; or a DataFrame with a
                column ``run``, or with the runs as its index; or a regular expression, whose named
                groups are parameters that the name of a run holds, as ``r"N(?P<N>\d+[MB])"``. A
                group is a number where it reads as one, with K, M, B or T as 1e3 to 1e12.

        Returns:
            Histories whose ``runs`` have these columns too, in place of any of the same name, and
            these states, where there are any.

        Raises:
            ArgumentError: it is none of these, or no run has any of its names.
        """
        found = _of_names(config, self.runs["run"]) if isinstance(config, str) else _joined(config)
        absent = [run for run in self.runs["run"] if run not in found]
        unused = [run for run in found if run not in set(self.runs["run"])]
        if len(absent) == len(self.runs):
            raise refused(
                "config",
                config,
                f"a configuration of any of the runs {listed(list(self.runs['run']))}",
                "Name the runs as histories.runs['run'] does",
            )
        # A state is one of the run; other columns of ours are none of a parameter.
        rows = [
            {
                key if key == "state" else free_name(writable(key), "config"): writable(value)
                for key, value in one.items()
            }
            for one in (found.get(run, {}) for run in self.runs["run"])
        ]
        new = pd.DataFrame(rows, index=self.runs.index)
        if "state" in new:
            new["state"] = new["state"].where(new["state"].notna(), self.runs["state"])
        runs = self.runs.drop(columns=[name for name in new if name in self.runs])
        notes = [*self.notes]
        if absent or unused:
            notes.append(
                Note.of(
                    "runs_unmatched",
                    f"{len(absent)} runs have no entry in the config ({listed(absent) or 'none'}), "
                    f"and {len(unused)} entries have no run ({listed(unused) or 'none'}). Name "
                    "the entries as the column run does",
                    {"absent": absent, "unused": unused},
                )
            )
        return replace(self, runs=pd.concat([runs, new], axis="columns"), notes=tuple(notes))

    def to_frame(self) -> pd.DataFrame:
        """The records, as a DataFrame of its own."""
        return self.records.copy()

    def describe(self, level: float = 0.95) -> Description:
        """What was recorded, and of which runs."""
        states = self.runs["state"].dropna()
        counts = {state: int(count) for state, count in states.value_counts(sort=False).items()}
        return Description(
            "Histories",
            f"{len(self)} runs, {len(self.records)} records of {len(self.metrics)} metrics. "
            "Next: histories.table(loss).",
            facts={
                "source": self.source,
                "states": ", ".join(f"{count} {state}" for state, count in counts.items()),
                "parameters": listed([name for name in self.runs if name not in ("run", "state")]),
            },
            tables=[self._metrics_table(), self._runs_table()],
            notes=self.notes,
        )

    def _metrics_table(self) -> Table:
        """How often each metric was recorded, and between which values."""
        values = [self.records[name].to_numpy() for name in self.metrics]
        finite = [item[np.isfinite(item)] for item in values]
        return Table(
            [
                Column("metric", self.metrics, "text"),
                Column("records", [int((~np.isnan(item)).sum()) for item in values], "integer"),
                Column("least", [item.min() if len(item) else np.nan for item in finite]),
                Column("largest", [item.max() if len(item) else np.nan for item in finite]),
            ],
            "metrics",
            rest="histories.metrics has all",
        )

    def _runs_table(self) -> Table:
        """State, records and last step of each run."""
        groups = self.records.groupby("run")["step"]
        count, last = groups.size(), groups.max()
        runs = self.runs["run"]
        return Table(
            [
                Column("run", runs, "text"),
                Column(
                    "state", [x if isinstance(x, str) else "-" for x in self.runs["state"]], "text"
                ),
                Column("records", [int(count.get(run, 0)) for run in runs], "integer"),
                Column("last step", [last.get(run, np.nan) for run in runs], "count"),
            ],
            "runs",
            rest="histories.runs has all",
        )


def _joined(config: Any) -> dict[str, dict[str, Any]]:
    """Parameters by run, of a mapping or a frame."""
    remedy = "Pass a mapping from runs to parameters, as config={'run-1': {'n_params': 1e8}}"
    if isinstance(config, pd.DataFrame):
        indexed = config.set_index("run") if "run" in config else config
        if not indexed.index.is_unique:
            twice = indexed.index[indexed.index.duplicated()][0]
            raise ArgumentError(
                f"config has two rows of the run {shown(twice)}",
                argument="config",
                value=config,
                remedy="Leave one of them out",
            )
        rows = indexed.to_dict("index")
        return {
            str(run): {str(k): v for k, v in row.items() if _there(v)} for run, row in rows.items()
        }
    found = {}
    for run, values in mapping(config, "config", remedy=remedy).items():
        found[run] = flat(mapping(values, f"config[{run!r}]", remedy=remedy), "config")
    return found


def _there(value: Any) -> bool:
    """Whether a cell holds anything."""
    return isinstance(value, list | tuple | dict) or bool(pd.notna(value))


def _of_names(pattern: str, runs: pd.Series) -> dict[str, dict[str, Any]]:
    """Parameters by run, of the names of the runs that a regular expression finds."""
    remedy = "Pass a regular expression with named groups, as config=r'(?P<N>[0-9]+[MB])'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise refused("config", pattern, f"a regular expression ({error})", remedy) from error
    if not compiled.groupindex:
        raise refused("config", pattern, "a regular expression with named groups", remedy)
    matches = {run: match for run in runs if (match := compiled.search(run))}
    return {
        run: {name: _read(value) for name, value in match.groupdict().items() if value is not None}
        for run, match in matches.items()
    }


def _read(value: str) -> float | str:
    """A piece of a name as a number, with K, M, B or T, where it is one."""
    found = reads_as(value, "count")
    return value if found is None else found.value
