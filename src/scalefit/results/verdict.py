"""Whether a law describes the runs it was fitted to, in words and in numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent

__all__ = ["NO_INFLUENCE", "NO_VERDICT", "Influence", "Level", "Pattern", "Verdict"]

Level = Literal["good", "doubtful", "poor", "none"]


@dataclass(frozen=True)
class Pattern:
    """Whether residuals of runs that are neighbours along a column resemble each other.

    Runs that share all inputs count as one, with their mean. Of runs with one value of the column
    the other inputs decide the order.

    Attributes:
        column: the column, or ``D/N`` or ``6ND``.
        lag1: correlation of neighbouring residuals.
        lag1_z: how far that is above what the law itself leaves of independent noise, in standard
            deviations.
        runs_z: the same of the number of runs of one sign, positive where there are few.
        p_value: chance of the less likely of the two, times the number of tests.
        share: share of the residual variance that neighbours have in common.
    """

    column: str
    lag1: float
    lag1_z: float
    runs_z: float
    p_value: float
    share: float


@dataclass(frozen=True)
class Influence:
    """The run that would move the parameters most if it were left out, to first order.

    Attributes:
        row: its label.
        leverage: share of its own prediction that it decides, 0 to 1 (the diagonal of the hat
            matrix).
        parameter: the parameter that it moves most.
        shift: how far, in standard errors of the parameter.
    """

    row: str
    leverage: float
    parameter: str
    shift: float


NO_INFLUENCE = Influence("", math.nan, "", math.nan)


@dataclass(frozen=True)
class Verdict(Described):
    """Whether a law describes the runs it was fitted to.

    Attributes:
        level: ``good``; ``doubtful`` where a pattern in the residuals, a few runs or the table
            itself leave doubts; ``poor`` where the law does not describe these runs; ``none`` where
            nothing was fitted, or an earlier version did.
        words: one sentence.
        spread: standard deviation of the residuals, in their unit, without the 2.5 % that are
            largest.
        explained: share of the variance of the response, in the scale of the residuals, that the
            law explains.
        patterns: for each column, whether residuals have a pattern along it.
        outliers: labels of the few rows that carry most of the squared residual.
        influence: the run that decides most.
    """

    level: Level
    words: str
    spread: float
    explained: float
    patterns: tuple[Pattern, ...]
    outliers: tuple[str, ...]
    influence: Influence

    def __bool__(self) -> bool:
        return self.level == "good"

    def to_frame(self) -> pd.DataFrame:
        """A row for each column: the pattern of the residuals along it."""
        columns = list(Pattern.__dataclass_fields__)
        return pd.DataFrame([asdict(item) for item in self.patterns], columns=columns)

    def describe(self, level: float = 0.95) -> Description:
        """The sentence, its numbers, and a row for each column."""
        alone = self.influence
        columns = [
            Column("along", [item.column for item in self.patterns], "name"),
            Column("lag-1 correlation", [item.lag1 for item in self.patterns]),
            Column("its z", [item.lag1_z for item in self.patterns]),
            Column("z of runs of signs", [item.runs_z for item in self.patterns]),
            Column("p value", [item.p_value for item in self.patterns]),
        ]
        return Description(
            "Verdict",
            f"{self.words.capitalize()}."
            if self.level == "none"
            else f"{self.level.capitalize()}: {self.words}.",
            facts={
                "explained": "" if math.isnan(self.explained) else percent(self.explained),
                "outliers": ", ".join(self.outliers),
                "most influential run": f"{alone.row} (leverage {alone.leverage:.2g}): without it "
                f"{alone.parameter} moves by {alone.shift:.2g} standard errors"
                if alone.row
                else "",
            },
            tables=[Table(columns, "patterns of the residuals along the columns")],
        )

    def __repr__(self) -> str:
        return f"<Verdict {self.level}: {self.words}>"


NO_VERDICT = Verdict("none", "nothing was judged", math.nan, math.nan, (), (), NO_INFLUENCE)
