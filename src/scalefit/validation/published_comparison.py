"""Published coefficients beside a fit to the same runs, as a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.inference.covariance import Covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent, shown
from scalefit.results.estimate import Estimate
from scalefit.results.fit import Fit

__all__ = ["SAME_OPTIMUM", "Exponents", "PublishedComparison"]

# Values of the objective this close together, relative to it, are one: what the rounding of
# coefficients to seven digits changes.
SAME_OPTIMUM = 1e-7

EXPONENT = "d ln N*/d ln C"


class Exponents(NamedTuple):
    """Exponents of the compute-optimal N at a budget.

    Attributes:
        budget: where, FLOP.
        published: d ln N*/d ln C of the published coefficients.
        fitted: of the fit, with draws.
    """

    budget: float
    published: float
    fitted: Estimate


@dataclass(frozen=True, eq=False)
class PublishedComparison(Described):
    """Published coefficients beside a fit to the same runs: whose objective is lower, and how far.

    Attributes:
        fit: the fit.
        published: the published coefficients, in the units of the table.
        source: where they are from.
        value: the objective of the fit at the published coefficients; infinite where a prediction
            has no logarithm.
        local: the parameters where a descent from the published ones ends, under the constraints of
            the fit: its linear coefficients are solved for first.
        local_value: the objective there.
        likelihood_ratio: 2 ln of the likelihood of the residuals at the fit over that at the
            published coefficients, each with its likeliest noise; NaN where the objective is no
            likelihood.
        exponents: of the compute-optimal N, for laws of N and D; None where there are none.
        intervals: what the intervals of the parameters are from; None where there are none.
        notes: soft problems.
    """

    fit: Fit
    published: Fit
    source: str
    value: float
    local: Mapping[str, float]
    local_value: float
    likelihood_ratio: float
    exponents: Exponents | None
    intervals: Ensemble | Covariance | None
    notes: tuple[Note, ...] = ()

    @property
    def excess(self) -> float:
        """The objective at the published coefficients less that of the fit; below zero where the
        published ones are lower.
        """
        return self.value - self.fit.objective_value

    @property
    def relative_excess(self) -> float:
        """The same over the objective of the fit."""
        return self.excess / abs(self.fit.objective_value)

    @property
    def lower(self) -> str:
        """Whose objective is lower: ``fit``, ``published`` or ``neither``."""
        if abs(self.relative_excess) <= SAME_OPTIMUM:
            return "neither"
        return "fit" if self.excess > 0 else "published"

    @property
    def published_is(self) -> str:
        """What the published point is to this objective.

        ``the optimum``: its objective is that of the fit; ``lower``: below it; ``on the way``: a
        descent from there ends at the fit; ``at another minimum``: it ends above the fit.
        """
        if self.lower != "fit":
            return "the optimum" if self.lower == "neither" else "lower"
        above = self.local_value - self.fit.objective_value
        near = above <= SAME_OPTIMUM * abs(self.fit.objective_value)
        return "on the way" if near else "at another minimum"

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each parameter, and for the exponent of the compute-optimal N where it is one.

        Args:
            level: coverage of the intervals.

        Returns:
            ``published`` and ``fitted`` values, raw units; ``low`` and ``high`` of the fitted one;
            ``inside``: whether the published value is between them, None where there is no
            interval.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        rows = {
            name: [self.published.params[name], value, np.nan, np.nan]
            for name, value in self.fit.params.items()
        }
        if self.intervals is not None:
            for name, row in self.intervals.conf_int(level).iterrows():
                rows[str(name)][2:] = [row["low"], row["high"]]
        if self.exponents is not None:
            at = self.exponents
            rows[EXPONENT] = [at.published, float(at.fitted.value), np.nan, np.nan]
            if len(at.fitted.draws):
                rows[EXPONENT][2:] = [float(end) for end in at.fitted.interval(level)]
        frame = pd.DataFrame.from_dict(
            rows, orient="index", columns=["published", "fitted", "low", "high"]
        )
        between = (frame["low"] <= frame["published"]) & (frame["published"] <= frame["high"])
        return frame.assign(inside=between.astype(object).where(frame["low"].notna(), None))

    def in_joint_region(self, level: float = 0.95) -> bool | None:
        """Whether the published point is in the joint confidence region of all free parameters.

        The region is that of the likelihood ratio, by its chi-squared distribution. It holds for
        runs whose noise is independent. None where the objective is no likelihood.

        Args:
            level: coverage.
        """
        from scipy.stats import chi2

        share = checked_level(level)
        if np.isnan(self.likelihood_ratio):
            return None
        return bool(self.likelihood_ratio <= chi2.ppf(share, self._free))

    @property
    def _free(self) -> int:
        """Free parameters that no bound holds."""
        return max(1, self.fit.n_free - len(self.fit.diagnostics.at_bound))

    def verdict(self, level: float = 0.95) -> str:
        """Whose objective is lower, by how much, and what the published point is, in words."""
        by = f"by {shown(abs(self.excess)).value} ({percent(abs(self.relative_excess))})"
        if self.lower == "neither":
            said = "The published coefficients are the optimum of this objective on these runs"
        elif self.lower == "published":
            said = f"The published coefficients have the lower objective, {by}"
        elif not np.isfinite(self.value):
            said = "The published coefficients predict what has no residual: the fit is lower"
        else:
            said = f"The fit has the lower objective, {by}"
            said += {
                "on the way": "; a descent from the published coefficients ends at the fit",
                "at another minimum": "; a descent from the published coefficients ends at another "
                f"point, with {self.local_value:.9g}",
            }[self.published_is]
        region = self.in_joint_region(level)
        if region is not None:
            where = "inside" if region else "outside"
            said += f". They are {where} the fit's joint {100 * level:g} % region"
        return f"{said}."

    def describe(self, level: float = 0.95) -> Description:
        """Both objectives, and the parameters side by side."""
        frame = self.to_frame(level)
        share = f"{100 * level:g} %"
        within = {True: "inside", False: "outside", None: ""}
        columns = [
            Column("parameter", list(frame.index), "text"),
            Column("published", list(frame["published"])),
            Column("fitted", list(frame["fitted"]), low=frame["low"], high=frame["high"]),
            Column("published is", [within[item] for item in frame["inside"]], "text"),
        ]
        return Description(
            f"Published coefficients of {self.fit.law.name} beside a fit",
            self.verdict(level),
            self.fit.law.formula,
            self.fit.law.latex,
            facts={
                "published": self.source,
                "objective": self.fit.objective.formula,
                "at the fit": f"{self.fit.objective_value:.9g}",
                "at the published coefficients": f"{self.value:.9g}",
                "runs": str(self.fit.nobs),
                "likelihood ratio": ""
                if np.isnan(self.likelihood_ratio)
                else f"{self.likelihood_ratio:.4g} (2 ln), of {self._free} free parameters",
                EXPONENT: ""
                if self.exponents is None
                else f"at {shown(self.exponents.budget, 'flop').value} FLOP",
            },
            tables=[
                Table(columns, f"raw units, with {share} intervals of the fit", f"{share} interval")
            ],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        return (
            f"<PublishedComparison: {self.fit.law.name}, {self.fit.objective_value:.9g} fitted, "
            f"{self.value:.9g} published>"
        )
