"""The runs to make next, and what they do to an interval: the result of ``next_runs``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.arguments import level as checked_level
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, percent, shown
from scalefit.results.estimate import AS_DRAWN, TailCorrection, quantiles

__all__ = ["NextRuns"]

# What is shown as a count, and in which unit the rest is not known.
COUNTS = ("N", "D", "U")

# Intervals that shrink by less are said in percent: "1 times narrower" says nothing.
SHOWN_FACTOR = 1.1


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns(Described):
    """Runs to make next, with the uncertainty of the target before and after them.

    Attributes:
        runs: a row for each run, those first that gain most for their cost; its index is that of
            the candidates where they were given. Columns of the law and the cost; ``cost``;
            ``spent``, with the runs above; and ``se`` after it, or ``separation`` for a choice of
            laws: see ``after``.
        target: what they make more certain, as ``N* at 1e+24 FLOP``.
        kind: ``optimum``, ``loss`` at points, or ``choice`` between two laws.
        value: the fit's answers, shape (answers,): one for an optimum or a point, one for each
            point of several; empty for a choice.
        before: standard error of each before the runs, to first order; of the logarithm where
            ``logarithmic``. For a choice, how far each law is from the other, fitted to its losses:
            the root of the sum of squares in standard deviations of a run.
        after: the same after each run and those above it, shape (runs, answers).
        logarithmic: whether the uncertainty is a factor.
        law: name of the law; of both for a choice.
        noise: standard deviation of the residual of a run.
        budget: most that all runs together may cost.
        unit: of the costs.
        candidates: how many runs could have been chosen.
        df: degrees of freedom of Student's t before the runs; infinite where the noise is given.
        existing: the law's columns of the runs that are there; None where they were not given.
        points: columns of the points of a loss, or of the optimum; empty for a choice.
        target_budget: compute of an optimum; NaN for others.
        cost: what is paid; None where a column of the candidates said it.
        notes: soft problems.
    """

    runs: pd.DataFrame
    target: str
    kind: Literal["optimum", "loss", "choice"]
    value: np.ndarray
    before: np.ndarray
    after: np.ndarray
    logarithmic: bool
    law: str
    noise: float
    budget: float
    unit: str
    candidates: int
    df: float
    existing: pd.DataFrame | None
    points: Mapping[str, np.ndarray]
    target_budget: float
    cost: Cost | None
    notes: tuple[Note, ...] = ()
    _drawn: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    _tails: TailCorrection = AS_DRAWN

    @property
    def spent(self) -> float:
        """What all runs cost together."""
        return float(self.runs["cost"].sum())

    @property
    def shrinkage(self) -> float:
        """Standard error before over after, the root mean square over answers; NaN for a choice."""
        if self.kind == "choice":
            return math.nan
        return float(np.sqrt((self.before**2).mean() / (self.after[-1] ** 2).mean()))

    def interval_before(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Interval of each answer before the runs, each end of shape (answers,).

        Of an ensemble by its draws, of a fit by Student's t.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
            DataError: two laws are told apart, and there is no answer.
        """
        return self._interval(checked_level(level), None)

    def interval_after(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Interval of each answer expected after the runs, around the answer of today.

        That of before, its distances from the answer (of the logarithm, where ``logarithmic``)
        scaled by the standard errors; of a fit with the degrees of freedom of the new runs too.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
            DataError: two laws are told apart, and there is no answer.
        """
        return self._interval(checked_level(level), len(self.runs) - 1)

    def _interval(self, level: float, place: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Interval after the run of a place and those above it; before them for None."""
        if self.kind == "choice":
            raise DataError(
                "these runs tell two laws apart, and no interval shrinks",
                remedy="See before and after: how far each law is from the other",
            )
        error = self.before if place is None else self.after[place]
        value = np.log(self.value) if self.logarithmic else self.value
        if len(self._drawn):
            tail = self._tails.outside(level)
            drawn = np.log(self._drawn) if self.logarithmic else self._drawn
            away = quantiles(drawn, [tail, 1 - tail]) - value
            low, high = value + away * error / self.before
        else:
            from scipy.special import stdtrit

            df = self.df + (0 if place is None else place + 1)
            reach = stdtrit(df, 0.5 + 0.5 * level) * error
            low, high = value - reach, value + reach
        if not self.logarithmic:
            return low, high
        with np.errstate(over="ignore"):
            return np.exp(low), np.exp(high)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The runs, with ``low`` and ``high`` of the target after each where it is one answer.

        Args:
            level: coverage of the intervals.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        level, frame = checked_level(level), self.runs.copy()
        if len(self.value) == 1:
            ends = [self._interval(level, i) for i in range(len(frame))]
            frame["low"] = [float(low[0]) for low, _ in ends]
            frame["high"] = [float(high[0]) for _, high in ends]
        return frame

    def describe(self, level: float = 0.95) -> Description:
        """The runs, and what they do to the target.

        Args:
            level: coverage of the intervals.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame, times = _without_repeats(self.to_frame(level))
        share = f"{100 * level:g} %"
        plain = _own_columns(frame)
        columns = [Column("run", list(map(str, frame.index)), "text")]
        if max(times) > 1:
            columns.append(Column("times", list(map(str, times)), "text"))
        columns += [
            Column(str(name), frame[name].tolist(), "count" if name in COUNTS else "number")
            for name in plain
        ]
        money: Kind = {"FLOP": "flop", "USD": "usd"}.get(self.unit, "number")  # type: ignore[assignment]
        columns += [
            Column(f"{name}, {self.unit}" if self.unit else name, frame[name].tolist(), money)
            for name in ("cost", "spent")
        ]
        columns += self._progress(frame)
        already = "" if self.existing is None else f"{len(self.existing):,}"
        return Description(
            title=f"Next runs for {self.target} ({self.law})",
            headline=self._headline(level),
            facts={
                "budget": f"{self._paid(self.budget)}, spent {self._paid(self.spent)}",
                "candidates": f"{self.candidates:,}",
                "runs there": already,
                "noise of a run": f"{self.noise:.3g}",
            },
            tables=[
                Table(columns, f"after each row, with those above it: {share} interval", share)
            ],
            notes=self.notes,
        )

    def _progress(self, frame: pd.DataFrame) -> list[Column]:
        """What each run, with those above it, leaves of the uncertainty."""
        if self.kind == "choice":
            names = [name for name in frame if str(name).startswith("separation")]
            return [Column(str(name), frame[name].tolist()) for name in names]
        kind: Kind = "percent" if self.logarithmic else "number"
        found = [Column("standard error", frame["se"].tolist(), kind)]
        if "low" in frame:
            values = [float(self.value[0])] * len(frame)
            name = "count" if self.kind == "optimum" else "number"
            found.append(
                Column(self.target, values, name, frame["low"].tolist(), frame["high"].tolist())  # type: ignore[arg-type]
            )
        return found

    def _headline(self, level: float) -> str:
        count = len(self.runs)
        runs = f"{count} run{'s' * (count != 1)} for {self._paid(self.spent)}"
        again = "Next: make them, add their losses to the table, fit it and ask again"
        if self.kind == "choice":
            first, second = self.law.split(" or ")
            said = [
                f"if {one} is true, {other} misses it by {before:.2g} standard deviations of a run "
                f"now and {after:.2g} then"
                for one, other, before, after in zip(
                    (first, second), (second, first), self.before, self.after[-1], strict=True
                )
            ]
            return f"{runs}: {'; '.join(said)}. {again}"
        shrunk = self._narrower
        if len(self.value) > 1:
            return (
                f"{runs} make the intervals of {self.target} {shrunk}, in the root mean square. "
                f"{again}"
            )
        kind: Kind = "count" if self.kind == "optimum" else "number"
        before, after = (
            shown(float(self.value[0]), kind, float(low[0]), float(high[0])).interval
            for low, high in (self.interval_before(level), self.interval_after(level))
        )
        se = ""
        if self.logarithmic:
            se = f", standard error {percent(self.before[0])} to {percent(self.after[-1, 0])}"
        return (
            f"{runs} make the {100 * level:g} % interval of {self.target} {shrunk}: from {before} "
            f"to {after}{se}. {again}"
        )

    @property
    def _narrower(self) -> str:
        """How much narrower intervals become: a factor, or a percentage where it is small."""
        if self.shrinkage >= SHOWN_FACTOR:
            return f"{self.shrinkage:.2g} times narrower"
        return f"{percent(max(1 - 1 / self.shrinkage, 0.0))} narrower"

    def _paid(self, cost: float) -> str:
        """A cost in words."""
        if self.unit == "USD":
            return f"${shown(cost, 'usd').value}"
        return f"{cost:.3g} {self.unit}".strip()

    def __repr__(self) -> str:
        shrunk = "" if self.kind == "choice" else f", {self._narrower}"
        return (
            f"<NextRuns for {self.target}: {len(self.runs)} for {self._paid(self.spent)}{shrunk}>"
        )


def _own_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that say which runs these are."""
    progress = ("cost", "spent", "se", "low", "high")
    return [
        str(name)
        for name in frame
        if name not in progress and not str(name).startswith("separation")
    ]


def _without_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """The last of each series of equal runs, and how many each series has."""
    values = frame[_own_columns(frame)].to_numpy()
    last = np.r_[(values[1:] != values[:-1]).any(axis=1), True]
    ends = np.flatnonzero(last)
    return frame[last], np.diff(np.r_[-1, ends]).tolist()
