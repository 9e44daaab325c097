"""What a comparison of laws is: errors on held-out runs, tests, a verdict, and the law chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.errors import ArgumentError
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.fit import Fit
from scalefit.validation.paired_differences import Differences

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Described):
    """Laws compared by one protocol: the same rows, objective and folds.

    Attributes:
        laws: labels of the laws, the lowest error of held-out runs first.
        best: label of the law that is chosen: the first of them, unless its fit ended where the
            search ends.
        fits: the fit of each to all rows, by label; one for each level, by level, where levels are
            fitted alone.
        weights: weight of each in :meth:`predict`: in proportion to one over its error, and zero
            for a law whose fit ended where the search ends.
        objective: what every law minimises.
        folds: what was held out, fold after fold.
        held_out: a row for each held-out run and fold: ``fold``, ``row`` (its label), ``reach``
            (decades outside the runs of the fit, the most of all laws), and a column for each law
            with its error, observed minus predicted as the objective has residuals.
        tests: a row for each law that is a restriction of another one: ``law``, ``within``,
            ``constraint``, ``effect``, ``spread`` (ratio of the residuals), ``statistic``, ``df``,
            ``df_resid``, ``p``, ``method``, and ``why`` there is no p value.
        notes: soft problems.
    """

    laws: tuple[str, ...]
    best: str
    fits: Mapping[str, Any]
    weights: Mapping[str, float]
    objective: Objective
    folds: tuple[str, ...]
    held_out: pd.DataFrame
    tests: pd.DataFrame
    notes: tuple[Note, ...]
    _rows: pd.DataFrame
    _differences: Differences

    @property
    def fit(self) -> Fit:
        """The chosen law, fitted to all rows.

        Raises:
            ArgumentError: it is a fit for each level: they are ``fits[best]``, by level.
        """
        found = self.fits[self.best]
        if isinstance(found, Fit):
            return found
        raise ArgumentError(
            f"{self.best!r} is a fit for each of {len(found)} levels",
            argument="fit",
            value=self.best,
            remedy=f"Take one level's, as comparison.fits[{self.best!r}][{next(iter(found))!r}]",
        )

    def predict(self, runs: Any = None, **columns: Any) -> np.ndarray:
        """Losses by all laws together: the mean of their logarithms, by :attr:`weights`.

        A combination of forecasts is wrong less often than the one that looked best. Under a raw
        objective it is the mean of the losses.

        Args:
            runs: a table with the laws' columns; or else give them.
            **columns: values of the laws' columns, or headers of a table.

        Returns:
            Predictions, as of :meth:`Fit.predict`.

        Raises:
            ArgumentError: levels are fitted alone by a law that has a weight.
            DataError: a column is missing.

        Source:
            Bates and Granger 1969, Operational Research Quarterly 20(4); Stock and Watson 2004,
            J. Forecasting 23(6) (weights of one over a power of the error).
        """
        terms = []
        for label in self.laws:
            weight = self.weights[label]
            if not weight:
                continue
            fit = self.fits[label]
            if not isinstance(fit, Fit):
                raise ArgumentError(
                    f"{label!r} is a fit for each of {len(fit)} levels, and has a weight",
                    argument="runs",
                    value=runs,
                    remedy="Compare it with groups= left out",
                )
            own = {
                name: value
                for name, value in columns.items()
                if runs is not None or name in fit.law.columns or name in _levels_of(fit)
            }
            predicted = fit.predict(runs, **own)
            terms.append(
                weight * (np.log(predicted) if self.objective.needs_positive_loss else predicted)
            )
        total = np.sum(terms, axis=0)
        return np.asarray(np.exp(total) if self.objective.needs_positive_loss else total)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each law, the lowest error first.

        Args:
            level: coverage of the intervals, all differences together.

        Returns:
            Indexed by ``law``: ``free`` (parameters), ``spread`` (root mean square residual of all
            rows), ``error`` (root mean square of held-out runs), ``mean_abs`` (mean absolute),
            ``reach`` (decades, the most), ``worse_by`` (error less that of the best) with ``low``
            and ``high``, ``p`` of it, ``weight``, ``aicc``, ``bic`` (NaN where there is no
            likelihood) and ``verdict``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        share = checked_level(level)
        best = self.laws.index(self.best)
        found = self._differences
        reach = found.quantile(share, self._compared)[:, best] * found.se[:, best]
        value = found.value[:, best]
        others = np.arange(len(value)) != best
        rows = self._rows
        return rows[["free", "spread", "error", "mean_abs", "reach"]].assign(
            worse_by=value,
            low=np.where(others, value - reach, np.nan),
            high=np.where(others, value + reach, np.nan),
            p=np.where(others, found.p_values(self._compared)[:, best], np.nan),
            weight=[self.weights[label] for label in self.laws],
            aicc=rows["aicc"],
            bic=rows["bic"],
            verdict=[
                self._verdict(k, float(value[k] - reach[k]), float(value[k] + reach[k]))
                for k in range(len(value))
            ],
        )

    @property
    def _compared(self) -> int:
        """Pairs of laws: the best is chosen among all, so that all are compared with each other."""
        return max(1, len(self.laws) * (len(self.laws) - 1) // 2)

    def _verdict(self, place: int, low: float, high: float) -> str:
        if self.laws[place] == self.best:
            return "best"
        if not np.isfinite(low):
            return "cannot tell: no interval"
        if low > 0:
            return "worse"
        return "better, but held at a bound" if high < 0 else "cannot tell"

    def verdict(self, level: float = 0.95) -> str:
        """What the held-out runs say, in a sentence.

        Args:
            level: coverage of the intervals.
        """
        frame = self.to_frame(level)
        kind: Any = "percent" if self.objective.needs_positive_loss else "number"
        said = shown(frame.loc[self.best, "error"], kind).value
        words = [f"{self.best} predicts the held-out runs to {said}"]
        for label, row in frame.iterrows():
            if row["verdict"] == "worse":
                found = shown(row["worse_by"], kind, row["low"], row["high"])
                words.append(f"better than {label} by {found.value} ({found.interval})")
        unsure = [str(k) for k, row in frame.iterrows() if row["verdict"].startswith("cannot")]
        if unsure:
            words.append(f"cannot be told from {', '.join(unsure)}")
        return "; ".join(words)

    def describe(self, level: float = 0.95) -> Description:
        """The verdict, the laws in order of their errors, and the tests of nested ones."""
        frame = self.to_frame(level)
        relative = self.objective.needs_positive_loss
        kind: Any = "percent" if relative else "number"
        columns = [
            Column("law", list(frame.index), "text"),
            Column("free", list(frame["free"]), "integer"),
            Column("in sample", list(frame["spread"]), kind),
            Column("held out", list(frame["error"]), kind),
            Column(
                "worse by",
                [None if label == self.best else x for label, x in frame["worse_by"].items()],
                kind,
                low=list(frame["low"]),
                high=list(frame["high"]),
            ),
            Column("weight", [f"{x:.2f}" for x in frame["weight"]], "text"),
        ]
        if frame["bic"].notna().any():
            columns += [
                Column(name, [f"{x:.1f}" for x in frame[key]], "text")
                for name, key in (("AICc", "aicc"), ("BIC", "bic"))
            ]
        columns.append(Column("verdict", list(frame["verdict"]), "text"))
        share = f"{100 * level:g} %"
        title = "root mean square residuals, of all rows and of held-out runs"
        tables = [Table(columns, title, f"{share}, all differences together"), *self._tests()]
        return Description(
            title=f"Comparison of {len(self.laws)} laws",
            headline=f"{self.verdict(level)}. Next: comparison.fit, or comparison.predict of all",
            facts={
                "objective": self.objective.formula,
                "held out": f"{len(self.held_out)} runs: {'; '.join(self.folds)}",
                "intervals": self._intervals(),
            },
            tables=tables,
            notes=self.notes,
        )

    def _intervals(self) -> str:
        found = self._differences
        said = f"by Student's t over {found.blocks or len(self.held_out)} "
        said += "blocks" if found.blocks else "runs"
        if found.draws:
            said += f", and {found.draws} draws of the training runs' noise"
        pairs = f"; Bonferroni over {self._compared} pairs" if self._compared > 1 else ""
        return said + pairs

    def _tests(self) -> list[Table]:
        if not len(self.tests):
            return []
        rows = self.tests
        return [
            Table(
                [
                    Column("law", list(rows["law"]), "text"),
                    Column("within", list(rows["within"]), "text"),
                    Column("constraint", list(rows["constraint"]), "text"),
                    Column("found", list(rows["effect"]), "text"),
                    Column("spread ratio", [f"{x:.4g}" for x in rows["spread"]], "text"),
                    Column("statistic", [f"{x:.4g}" for x in rows["statistic"]], "text"),
                    Column("df", list(rows["df"]), "integer"),
                    Column("p", [_p_text(x) for x in rows["p"]], "text"),
                    Column("by", list(rows["method"]), "text"),
                ],
                "tests of laws that are restrictions of others, on all rows",
                rest="tests has all",
            )
        ]

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.laws)} laws: {self.verdict()}>"


def _levels_of(fit: Fit) -> set[str]:
    return {name for item in fit.groups.values() for name in item.columns}


def _p_text(p: float) -> str:
    return "-" if np.isnan(p) else f"{p:.2g}"
