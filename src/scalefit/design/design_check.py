"""What a design of runs identifies, as a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.laws import BUILTIN
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, percent, shown
from scalefit.results.fit import Fit

__all__ = ["BLOCKING", "DesignCheck", "NoiseSource"]

NoiseSource = Literal["given", "replicates", "residuals", "assumed"]
"""Where the level of the noise is from."""

# Findings with which a design does not identify its law.
BLOCKING = (
    "not_identified",
    "one_ratio",
    "single_budget",
    "collinear_columns",
    "weakly_identified",
)

SOURCES = {
    "given": "as given",
    "replicates": "of replicates",
    "residuals": "of the residuals",
    "assumed": "assumed: the runs show none",
}


@dataclass(frozen=True, eq=False)
class DesignCheck(Described):
    """What a design of runs identifies under a law.

    Attributes:
        law: name of the law.
        identifies: whether the runs identify it: no note says that they do not (``not_identified``,
            ``one_ratio``, ``single_budget``, ``collinear_columns``, ``weakly_identified``).
        fit: the fit to the runs at which the design is judged; None where ``scalefit.fit`` refuses
            them.
        runs: runs of positive weight.
        noise: standard deviation of the noise of a run: of ln(loss), or of the response itself
            where it is not positive.
        noise_source: ``given``; ``replicates``, runs of equal inputs; ``residuals`` of the fit; or
            ``assumed`` where the runs show none.
        expected: a row for each free parameter, those at a bound too: ``value`` at the fit,
            ``standard_error`` expected at that noise, and ``relative``, the error over the value.
        separation: a row for each pair of columns that different parameters depend on: ``first``,
            ``second``, ``power`` of the path that the runs follow, ``off``, their distance from it
            (in the logarithm of the second), and ``apart``, what moving the two apart does at most,
            in standard errors.
        spans: a row for each column, and for compute (``C``) and ``D/N``: ``low``, ``high``,
            ``decades``, ``target`` and ``beyond``, how many decades above the runs it lies.
        notes: what was found, worst first.
    """

    law: str
    identifies: bool
    fit: Fit | None
    runs: int
    noise: float
    noise_source: NoiseSource
    expected: pd.DataFrame
    separation: pd.DataFrame
    spans: pd.DataFrame
    notes: tuple[Note, ...]

    @property
    def condition(self) -> float:
        """Condition number of the information matrix at the fit, each parameter scaled to one.

        Of all free parameters, those at a bound too; NaN without a fit.
        """
        return float("nan") if self.fit is None else self.fit.diagnostics.condition

    @property
    def condition_projected(self) -> float:
        """The same of the nonlinear parameters, with the linear ones projected out."""
        return float("nan") if self.fit is None else self.fit.diagnostics.condition_projected

    def __repr__(self) -> str:
        verb = "identify" if self.identifies else "do not identify"
        return f"<DesignCheck: {self.runs} runs {verb} {self.law}>"

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each free parameter: value, expected standard error, their ratio, interval.

        Args:
            level: of the intervals ``low`` to ``high``, of a normal distribution.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        # Imported here: it takes a tenth of a second, and only intervals need it.
        from scipy.special import ndtri

        frame = self.expected[["value", "standard_error", "relative"]]
        reach = ndtri(0.5 * (1 + checked_level(level))) * frame["standard_error"]
        return frame.assign(low=frame["value"] - reach, high=frame["value"] + reach)

    def describe(self, level: float = 0.95) -> Description:
        """Whether the design identifies the law, how well, and what it cannot tell.

        Args:
            level: of the intervals of the parameters.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        condition = f"{self.condition:.3g}, {self.condition_projected:.3g} with linear parameters "
        return Description(
            f"Design of {self.runs} runs under {self.law}",
            self.headline,
            facts={
                "noise": f"{self._noise_text} ({SOURCES[self.noise_source]})",
                "condition": f"{condition}projected out" if self.fit is not None else "",
            },
            tables=[self._findings(), self._expected_rows(level), self._span_rows()],
            notes=self.notes,
        )

    @property
    def headline(self) -> str:
        """Whether the runs identify the law, in a sentence or two."""
        if not self.identifies:
            codes = [note.code for note in self.notes if note.code in BLOCKING]
            return (
                f"This design does not identify {self.law}: {', '.join(dict.fromkeys(codes))}. The "
                "notes say what it does determine, and what to add."
            )
        each = ", ".join(
            f"{name} {percent(row['relative'])}"
            if row["sized"]
            else f"{name} {shown(row['standard_error']).value}"
            for name, row in self.expected[self.expected["nonlinear"]].iterrows()
        )
        errors = f" Expected standard errors: {each}." if each else ""
        if self.fit is not None and self.fit.verdict.level == "poor":
            return (
                f"This design would identify {self.law} if that law described the runs, and it "
                f"does not: see fit.verdict.{errors.replace('Expected', 'Only then expected')}"
            )
        law = repr(self.law) if self.law in BUILTIN else "law"
        return f"This design identifies {self.law}.{errors} Next: scalefit.fit(runs, {law})."

    @property
    def _noise_text(self) -> str:
        logarithmic = self.fit is None or self.fit.objective.residual == "log"
        if not np.isfinite(self.noise):
            return "unknown"
        return percent(self.noise) if logarithmic else f"{self.noise:.3g}"

    def _findings(self) -> Table:
        """A row for each note: what it is about, and whether it is a warning."""
        return Table(
            [
                Column("finding", [note.code for note in self.notes], "text"),
                Column("severity", [note.severity for note in self.notes], "text"),
                Column("blocks", ["yes" if note.code in BLOCKING else "no" for note in self.notes],
                       "text"),
            ],
            "Findings; a design with one that blocks does not identify the law",
        )  # fmt: skip

    def _expected_rows(self, level: float) -> Table:
        frame = self.to_frame(level)
        # Nothing is known of a parameter without a finite error.
        known = np.isfinite(frame["standard_error"])
        low, high = (frame[end].where(known) for end in ("low", "high"))
        return Table(
            [
                Column("parameter", list(frame.index), "text"),
                Column("value", frame["value"], "number", low, high),
                Column("standard error", frame["standard_error"]),
                Column("relative", frame["relative"], "percent"),
            ],
            "Parameters, with errors expected of a fit at this noise",
            f"{100 * level:g} % interval",
        )

    def _span_rows(self) -> Table:
        kinds: list[Kind] = [
            "flop" if name == "C" else "count" if name in ("N", "D") else "number"
            for name in self.spans.index
        ]
        return Table(
            [
                Column("", list(self.spans.index), "text"),
                Column("from", self.spans["low"], kinds),
                Column("to", self.spans["high"], kinds),
                Column("decades", [f"{item:.2f}" for item in self.spans["decades"]], "text"),
            ],
            "Ranges of the runs",
        )
