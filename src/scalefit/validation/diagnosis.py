"""The result of a diagnosis: trends, swings, other objectives, and what the answer hinges on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.approach2.bias_variants import AS_GIVEN, UNFLAGGED
from scalefit.arguments import choice
from scalefit.arguments import level as checked_level
from scalefit.errors import listed
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, chance, percent, shown
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.fit import Fit
from scalefit.validation.smooth_pattern import SmoothPattern
from scalefit.validation.targets import Target

__all__ = ["INTERVAL", "OBJECTIVE", "Diagnosis"]

INTERVAL, OBJECTIVE = "interval", "objective"

# Changes below this factor are read more easily in percent.
PERCENT = 1.1


@dataclass(frozen=True, eq=False)
class Diagnosis(Described):
    """What a fitted law leaves over, and what its answer depends on.

    Attributes:
        fit: the fit.
        target: the question: the compute-optimal N and D of a budget, or a prediction.
        trends: trends of the residuals. A row for each column and term, ``slope`` and
            ``curvature``, and for N and D their ``interaction``: ``value`` in units of the residual
            per decade (others than slopes per decade squared; per width of its range where a
            column has zeros: see ``unit``), ``se`` and ``df`` of a t interval, ``p``,
            ``p_adjusted`` (Holm), ``change`` of the residuals over the range of the runs, and
            ``flagged``.
        pattern: the share of the variance of the residuals that a smooth surface, a cubic in the
            logarithms of the law's columns, explains beyond the law, with its F test.
        left_out: the fit without each block of runs. A row for each: ``by`` and ``block``,
            ``runs`` that were left out, every parameter, the answers (``N``, ``D``, ``D/N``, or the
            prediction), ``swing`` = ln(answer / answer of all runs) of the first one, ``expected``
            (its standard error if the law is right), ``p``, ``p_adjusted`` (Holm), ``flagged``, and
            ``failure``: why there is no answer, else empty.
        objectives: the fit by other objectives, and without flagged runs. A row for each, ``as
            given`` first: ``runs``, every parameter, the answers, ``change`` as ``swing`` above,
            and ``failure``.
        residuals: the runs of positive weight: ``residual``, the columns of the trends, ``block``
            (its cluster) and ``flagged`` (far off, or named by a note of the fit).
        draws: the answers under draws of the parameters; empty where there is no interval.
        method: how the draws were made, or why there are none.
        jackknife: standard error of ln of the answer from leaving out the blocks of each column of
            ``left_out``.
        notes: soft problems.
    """

    fit: Fit
    target: Target
    trends: pd.DataFrame
    pattern: SmoothPattern
    left_out: pd.DataFrame
    objectives: pd.DataFrame
    residuals: pd.DataFrame
    draws: Draws
    method: str
    jackknife: pd.Series
    notes: tuple[Note, ...] = ()

    @property
    def answer(self) -> float:
        """The answer that swings are relative to: N* at the budget, or the prediction."""
        return float(self.objectives[self.target.first].iloc[0])

    @property
    def largest_swing(self) -> pd.Series | None:
        """The row of ``left_out`` with the largest swing; None where no block has an answer."""
        sizes = np.abs(self.left_out["swing"].to_numpy())
        return self.left_out.iloc[int(np.nanargmax(sizes))] if np.isfinite(sizes).any() else None

    def estimate(self, name: str | None = None) -> Estimate:
        """An answer with its draws.

        Args:
            name: ``N``, ``D`` or ``D/N`` of a budget, or the response of the law; the first by
                default.

        Raises:
            ArgumentError: there is no such answer.
        """
        known = self.target.names
        name = known[0] if name is None else choice(name, "name", known)
        return self.draws.estimate(name, np.asarray(self.objectives[name].iloc[0]), self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """What moves the answer, the largest first.

        Args:
            level: of the interval.

        Returns:
            A row for the ``interval``, the blocks of each column (``C``, ``N``), the ``objective``
            and ``without flagged runs``, of those that there are: ``change``, ln of the answer over
            that of the fit, the largest of its kind; ``factor`` = exp(|change|); and ``what``
            causes it.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        rows = {}
        low, high = self.interval(level)
        if np.isfinite([low, high]).all():
            ends = np.log([low / self.answer, high / self.answer])
            rows[INTERVAL] = _largest(ends, [f"{100 * level:g} % interval"] * 2)
        for by, part in self.left_out.groupby("by", sort=False):
            blocks = [f"{by} = {name}" for name in part["block"]]
            rows[str(by)] = _largest(part["swing"].to_numpy(), blocks)
        changes = self.objectives["change"].drop(AS_GIVEN)
        if UNFLAGGED in changes:
            count = int(self.residuals["flagged"].sum())
            rows[UNFLAGGED] = _largest(
                changes[[UNFLAGGED]].to_numpy(), [f"{count} flagged run{'s' * (count > 1)}"]
            )
        tried = changes.drop(UNFLAGGED, errors="ignore")
        rows[OBJECTIVE] = _largest(tried.to_numpy(), list(tried.index))
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["change", "what"])
        frame = frame.dropna(subset="change")
        frame.insert(1, "factor", np.exp(frame["change"].abs()))
        return frame.sort_values("factor", ascending=False, kind="stable")

    @property
    def _symbol(self) -> str:
        return self.target.first if self.target.optimum is None else "N*"

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the answer; NaN where there is none."""
        checked_level(level)
        if not self.draws:
            return np.nan, np.nan
        low, high = self.estimate().interval(level)
        return float(low), float(high)

    def trend_intervals(self, level: float = 0.95) -> pd.DataFrame:
        """``trends`` with the t interval of each: ``low`` and ``high``.

        Args:
            level: coverage of each by itself.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        from scipy.stats import t

        frame = self.trends
        reach = t.ppf(0.5 + 0.5 * checked_level(level), np.maximum(frame["df"], 1)) * frame["se"]
        return frame.assign(low=frame["value"] - reach, high=frame["value"] + reach)

    def __repr__(self) -> str:
        return f"<Diagnosis of {self.fit.law.name}: {self.target.called}; {self._hinges()}>"

    def describe(self, level: float = 0.95) -> Description:
        """What the answer hinges on, trends, swings and objectives.

        Args:
            level: of the intervals.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        return Description(
            f"Diagnosis of {self.fit.law.name}, {self.fit.nobs} runs",
            self._headline(level),
            facts=self._facts(),
            tables=[self._sources(level), self._trend_rows(level)],
            notes=self.notes,
            parts={
                "left_out": Description(
                    "Without each block of runs", tables=[self._left_out_rows()]
                ),
                "objectives": Description(
                    "By other objectives, and without flagged runs",
                    tables=[self._objective_rows()],
                ),
            },
        )

    def _hinges(self, level: float = 0.95) -> str:
        """What moves the answer most, in words."""
        frame = self.to_frame(level)
        if not len(frame):
            return "nothing to compare it with"
        name, row = frame.index[0], frame.iloc[0]
        said = {INTERVAL: "its interval", OBJECTIVE: f"the objective ({row['what']})"}
        words = said.get(str(name), _without(row).removeprefix("without "))
        return f"hinges most on {words}, {_size(row['factor'])}"

    def _headline(self, level: float) -> str:
        """The verdict in two sentences."""
        frame = self.to_frame(level)
        low, high = self.interval(level)
        known = np.isfinite([low, high]).all()
        ends = (low, high) if known else (None, None)
        cell = shown(self.answer, self.target.kind, *ends)
        first = f"{self.target.called} is {cell.value}"
        if known:
            below, above = percent(low / self.answer - 1), percent(high / self.answer - 1)
            first += f" ({100 * level:g} %: {cell.interval}, {below} to +{above})"
        causes = []
        for name, row in frame.drop(INTERVAL, errors="ignore").iterrows():
            how = f"with the objective ({row['what']})" if name == OBJECTIVE else _without(row)
            causes.append(f"{_size(row['factor'])} {how}")
        moved = f". It moves by {', '.join(causes)}" if causes else ""
        pattern = ""
        if self.pattern.flagged:
            pattern = f"The law misses a smooth pattern, {percent(self.pattern.share)} of the "
            pattern += "variance of its residuals. "
        return (
            f"{first}{moved}: it {self._hinges(level)}. {pattern}"
            "Picture: scalefit.plot.diagnosis(result)."
        )

    def _facts(self) -> dict[str, str]:
        """The target, how errors are made, and what could not be fitted."""
        failed = self.left_out[self.left_out["failure"] != ""]
        errors = [f"{by}: {percent(se)}" for by, se in self.jackknife.items() if np.isfinite(se)]
        return {
            "target": ". ".join(item for item in (self.target.chosen, self.target.reason) if item),
            "interval": self.method,
            "jackknife": f"standard error of ln {self._symbol} from leaving out blocks of "
            + ", ".join(errors)
            if errors
            else "",
            "pattern": self._pattern(),
            "not asked": self._imitated(),
            "not fitted": "; ".join(
                f"without {row['by']} = {row['block']}: {row['failure']}"
                for _, row in failed.iterrows()
            ),
        }

    def _imitated(self) -> str:
        """Trends that the law itself can imitate, so that residuals never show them."""
        frame = self.trends[self.trends["se"].isna()]
        names = [f"{row['term']} along {row['column']}" for _, row in frame.iterrows()]
        return f"{listed(names)}: the parameters of the law fit these" if names else ""

    def _pattern(self) -> str:
        """How much of the residuals a smooth surface explains."""
        share, _, p, _ = self.pattern
        if not np.isfinite(p):
            return ""
        return (
            f"a smooth surface explains {percent(max(share, 0.0))} of the variance of the "
            f"residuals beyond the law ({chance(p)} if it is right)"
        )

    def _sources(self, level: float) -> Table:
        frame = self.to_frame(level)
        return Table(
            [
                Column("what moves it", list(map(str, frame.index)), "text"),
                Column("factor", [f"{value:.4g}" for value in frame["factor"]], "text"),
                Column("change", np.expm1(frame["change"]), "percent"),
                Column("by", list(frame["what"]), "text"),
            ],
            f"Largest change of {self.target.called}",
        )

    def _trend_rows(self, level: float) -> Table:
        frame = self.trend_intervals(level)
        # A law of powers fits slopes along its columns exactly: nothing is left to ask.
        frame = frame[np.isfinite(frame["se"])]
        kind: Kind = "number" if self.fit.objective.residual == "raw" else "percent"
        decades = set(frame["unit"]) <= {"decade"}
        named = [
            name if decades or unit == "decade" else f"{name}, per {unit}"
            for name, unit in zip(frame["column"], frame["unit"], strict=True)
        ]
        return Table(
            [
                Column("column", named, "text"),
                Column("trend", list(frame["term"]), "text"),
                Column("value", frame["value"], kind, frame["low"], frame["high"]),
                Column("over the runs", frame["change"], kind),
                Column("p, adjusted", [f"{value:.2g}" for value in frame["p_adjusted"]], "text"),
                Column("", ["trend" if item else "" for item in frame["flagged"]], "text"),
            ],
            "Trends of the residuals: slopes per decade, others per decade squared",
            f"{100 * level:g} % interval",
        )

    def _left_out_rows(self) -> Table:
        frame = self.left_out
        return Table(
            [
                Column("left out", [f"{a} = {b}" for a, b in frame[["by", "block"]].to_numpy()],
                       "text"),
                Column("runs", frame["runs"], "integer"),
                *(
                    Column(name, frame[name], self.target.kind if name != "D/N" else "number")
                    for name in self.target.names
                ),
                Column("change", np.expm1(frame["swing"]), "percent"),
                Column("expected, +-", frame["expected"], "percent"),
                Column("", ["influential" if item else "" for item in frame["flagged"]], "text"),
            ],
            f"Change of {self.target.called}, and its standard error if the law is right",
            rest="left_out has all",
            whole=True,
        )  # fmt: skip

    def _objective_rows(self) -> Table:
        frame = self.objectives
        return Table(
            [
                Column("fitted by", list(map(str, frame.index)), "text"),
                Column("runs", frame["runs"], "integer"),
                *(
                    Column(name, frame[name], self.target.kind if name != "D/N" else "number")
                    for name in self.target.names
                ),
                Column("change", np.expm1(frame["change"]), "percent"),
            ],
            rest="objectives has all",
            whole=True,
        )


def _size(factor: float) -> str:
    """A change in words: a factor, or a percentage where it is small."""
    return f"a factor of {factor:.2f}" if factor >= PERCENT else percent(factor - 1)


def _without(row: pd.Series) -> str:
    """Which runs are left out, in words."""
    return (
        f"without {row['what']}" if "=" not in row["what"] else f"without the runs of {row['what']}"
    )


def _largest(changes: np.ndarray, causes: list[str]) -> tuple[float, str]:
    """The largest change, and what causes it; NaN where there is none."""
    sizes = np.abs(changes)
    if not np.isfinite(sizes).any():
        return np.nan, ""
    place = int(np.nanargmax(np.where(np.isfinite(sizes), sizes, np.nan)))
    return float(changes[place]), causes[place]
