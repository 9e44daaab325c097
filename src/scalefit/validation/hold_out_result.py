"""The result of :func:`scalefit.holdout`: held-out runs, their errors and intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, shown
from scalefit.results.estimate import quantiles
from scalefit.results.fit import Fit
from scalefit.validation.calibration import LEVELS, Coverage, coverage_of

__all__ = ["HeldRuns", "HoldOut", "error_summary", "without_warned"]

# Warnings of a covariance that say that its intervals are too narrow.
TOO_NARROW = ("conditional_on_bound", "draws_at_bound", "determined_alone")

# Ends of the bins of ``by_distance``, decades.
DISTANCES = (0.0, 0.25, 0.5, 1.0, 2.0, math.inf)


class HeldRuns(NamedTuple):
    """Held-out runs of all folds, fold after fold: m of them.

    Attributes:
        frame: ``fold``, ``row``, the law's columns, ``observed``, ``predicted``, ``error``,
            ``distance``, ``pit``, ``log_density``, m rows.
        draws: of the loss of each under its predictive distribution, NaN where it has none, shape
            (draws, m); of shape (0, m) without intervals.
        logs: whether errors are of logarithms, in percent.
    """

    frame: pd.DataFrame
    draws: np.ndarray
    logs: bool

    def ends(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the interval of each run, shape (m,); NaN where there is none."""
        low, high = np.full((2, len(self.frame)), np.nan)
        known = ~np.isnan(self.draws).any(axis=0) & (len(self.draws) > 0)
        if known.any():
            tail = 0.5 * (1 - level)
            low[known], high[known] = quantiles(self.draws[:, known], [tail, 1 - tail])
        return low, high

    def coverage(self, level: float, rows: np.ndarray | None = None) -> Coverage:
        """How many runs, or how many of some, the intervals of one level hold."""
        at = np.ones(len(self.frame), dtype=bool) if rows is None else rows
        values = [self.frame["observed"].to_numpy(), self.frame["predicted"].to_numpy()]
        values += self.ends(level)
        with np.errstate(invalid="ignore", divide="ignore"):
            observed, middle, low, high = (
                np.log(item[at]) if self.logs else item[at] for item in values
            )
        return coverage_of(observed, middle, low, high, level)


@dataclass(frozen=True, eq=False, repr=False)
class HoldOut(Described):
    """Runs predicted by fits that have not seen them.

    Errors are 100 ln(observed / predicted), percent: positive where the run is worse than
    predicted. Where a loss or a prediction is not positive they are observed - predicted.

    Attributes:
        fit: the fit to all runs.
        fits: the fit of each fold, in the order of ``folds``; None where there is none.
        scheme: how folds were made: ``largest``, ``rolling``, ``groups``, or ``test``.
        by: the column that divides the runs, or the rule.
        coverage: a row for each level, 50, 80 and 95 %: ``runs`` with an interval of a new run,
            how many are ``inside``, their ``share`` with its binomial 95 % interval ``share_low``
            and ``share_high``, and ``width``, how many times as wide the intervals would have held
            the level.
        log_score: mean logarithm of the predictive density of ln loss (of the loss where there is
            no logarithm) at the held-out runs; larger is better.
        notes: soft problems.
    """

    fit: Fit
    fits: tuple[Fit | None, ...]
    scheme: str
    by: str
    coverage: pd.DataFrame
    log_score: float
    notes: tuple[Note, ...]
    _runs: HeldRuns
    _folds: pd.DataFrame

    @property
    def errors(self) -> np.ndarray:
        """Error of each held-out run that was predicted, fold after fold."""
        error = self._runs.frame["error"].to_numpy()
        return error[np.isfinite(error)]

    @property
    def rmse(self) -> float:
        """Root mean square of the errors; NaN without any."""
        return _rms(self.errors)

    @property
    def unit(self) -> str:
        """Unit of the errors: ``%``, or that of the losses."""
        return "%" if self._runs.logs else self.fit.loss_unit

    @property
    def folds(self) -> pd.DataFrame:
        """A row for each fold, those without a fit last.

        ``train`` and ``test``, numbers of runs; ``predicted``, how many of them have a prediction;
        ``distance``, the farthest of them outside the runs that were fitted, decades; ``mean``,
        ``median``, ``rmse`` and ``largest`` error; ``inside``, share in the 95 % interval;
        ``log_score``; ``df`` of Student's t; ``method`` of the covariance; ``reason`` why there is
        no fit, or no interval; ``warnings``, codes of the notes of the fit and its covariance.
        """
        return self._folds.copy()

    @property
    def by_distance(self) -> pd.DataFrame:
        """Errors by the distance of runs outside those fitted, decades.

        ``above`` and ``to``, the ends of the bin; ``runs``; ``mean``, ``rmse`` and ``largest``
        error; ``inside``, share in the 95 % interval. The first bin is inside the runs.
        """
        frame, rows = self._runs.frame, []
        far = frame["distance"].to_numpy()
        ends = (-math.inf, *DISTANCES)
        for low, high in pairwise(ends):
            at = (far > low) & (far <= high) & np.isfinite(frame["error"].to_numpy())
            if at.any():
                rows.append(
                    {"above": max(low, 0.0), "to": high, "runs": int(at.sum())}
                    | error_summary(frame["error"].to_numpy()[at])
                    | {"inside": self._runs.coverage(0.95, at).share}
                )
        return pd.DataFrame(rows).drop(columns="median", errors="ignore")

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each held-out run.

        Args:
            level: coverage of the intervals of a new run.

        Returns:
            ``fold``; ``row``, its label in the table; the law's columns; ``observed``;
            ``predicted``; ``error``; ``low`` and ``high``, the interval; ``distance``, decades;
            ``inside``, whether the interval holds it (missing where there is none); ``pit``, the
            probability of a lower loss; ``log_density``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self._runs.frame.copy()
        low, high = self._runs.ends(checked_level(level))
        place = list(frame.columns).index("error") + 1
        frame.insert(place, "low", low)
        frame.insert(place + 1, "high", high)
        held = pd.Series((frame["observed"] >= low) & (frame["observed"] <= high), dtype="boolean")
        frame.insert(place + 3, "inside", held.mask(np.isnan(low) | np.isnan(high)))
        return frame

    def with_notes(self, *notes: Note) -> HoldOut:
        """The same result with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def describe(self, level: float = 0.95) -> Description:
        """How far the law reaches, in words and by fold, level and distance."""
        level = checked_level(level)
        return Description(
            f"{self.fit.law.name} on held-out runs",
            self._headline(level),
            self.fit.law.formula,
            self.fit.law.latex,
            facts=self._facts(),
            tables=[self._fold_table(), self._coverage_table(level), self._distance_table()],
            notes=self.notes,
        )

    def covered(self, level: float = 0.95) -> Coverage:
        """How many held-out runs the intervals of a level hold: a row of ``coverage``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        return self._runs.coverage(checked_level(level))

    def verdict(self, level: float = 0.95) -> str:
        """How well the held-out runs are predicted, and whether intervals hold them, in words.

        Args:
            level: coverage of the intervals.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        return self._headline(checked_level(level))

    def _headline(self, level: float) -> str:
        errors = self.errors
        if not len(errors):
            return "No held-out run has a prediction: see the reasons in folds"
        frame = self._runs.frame
        far = float(np.nanmax(frame["distance"][np.isfinite(frame["error"])]))
        unit = self._distance_unit if f"{far:.2g}" != "1" else self._distance_unit.rstrip("s")
        reach = f", up to {far:.2g} {unit} beyond its training," * (far > 0)
        predicted = self._folds[self._folds["predicted"] > 0]
        of = f" of {len(predicted)} folds" if len(predicted) > 1 else f" ({predicted.index[0]})"
        runs = f"{len(errors)} run{'s' * (len(errors) > 1)}"
        said = f"Predicts {runs}{of}{reach} to {self._size(errors)}"
        if self.scheme == "rolling" and len(predicted) > 1:
            # Errors of early origins are those of few runs.
            name = predicted.index[-1]
            last = errors[(frame["fold"][np.isfinite(frame["error"])] == name).to_numpy()]
            said += f"; those of the last origin ({name}) to {self._size(last)}"
        return f"{said}. {self._held(level)}" if len(self._runs.draws) else said

    def _held(self, level: float) -> str:
        """Whether the intervals hold what they promise, in words."""
        found, share = self._runs.coverage(level), f"{100 * level:g} %"
        if not found.runs:
            return f"No fold has {share} intervals: see the reasons in folds"
        held = f"{share} intervals hold {found.inside} of {found.runs}"
        between = f"{_share(found.share_low)} to {_share(found.share_high)}"
        if found.too_few:
            return f"{held}: too few runs to judge coverage, which may be {between}"
        if found.too_wide:
            return f"{held}: too wide, {_factor(found.width)} of their width would do"
        held += f", {_share(found.share)}"
        if found.too_narrow:
            by = f"too narrow by a factor of {_factor(found.width)}"
            if math.isinf(found.width):
                by = "beside the predictions, and no width would do"
            return f"{held}: {by}{without_warned(self.to_frame(level), self._folds)}"
        return f"{held}: as promised within chance ({between})"

    def _size(self, errors: np.ndarray) -> str:
        """Mean error, root mean square and largest error, in words."""
        mean, rms = self._error(errors.mean(), _rms(errors)), self._error(_rms(errors))
        return f"{mean} on average (RMSE {rms}, largest {self._error(largest(errors))})"

    def _error(self, error: float, about: float = math.nan) -> str:
        """An error with its unit, in the digits that matter beside one of another size."""
        unit = 100.0 if self._runs.logs else 1.0
        kind: Kind = "percent" if self._runs.logs else "number"
        ends = (None, None) if math.isnan(about) else (error - about, error + about)
        low, high = (None if end is None else end / unit for end in ends)
        text = shown(error / unit, kind, low, high).value
        return text if self._runs.logs else f"{text} {self.unit}".rstrip()

    @property
    def _distance_unit(self) -> str:
        """What distances are counted in."""
        zero = any(low <= 0 for low, _ in self.fit.domain.values())
        return "decades (or widths of a range that reaches zero)" if zero else "decades"

    def _facts(self) -> dict[str, str]:
        lost = int((self._folds["predicted"] == 0).sum())
        method = list(dict.fromkeys(name for name in self._folds["method"] if name))
        how = f"{', '.join(method)}; of a new run, with noise from run to run"
        score = "ln loss" if self._runs.logs else "the loss"
        return {
            "held out": f"{self.scheme} by {self.by}"
            if self.scheme != "test"
            else f"runs where {self.by}",
            "folds": f"{len(self._folds)}" + f", {lost} of them without predictions" * bool(lost),
            "objective": self.fit.objective.formula,
            "intervals": how if method else "",
            "log score": f"{self.log_score:.4g}, mean log density of {score}"
            if np.isfinite(self.log_score)
            else "",
        }

    def _fold_table(self) -> Table:
        frame = self._folds
        columns = [
            Column(*self._fold_names(), "text"),
            Column("fitted", frame["train"], "integer"),
            Column("held out", frame["test"], "integer"),
            Column("decades", [_decades(x) for x in frame["distance"]], "text"),
            *self._error_columns(frame),
        ]
        if len(self._runs.draws):
            columns += [
                Column("in 95 %", [_share(x) for x in frame["inside"]], "text"),
                Column("log score", [_decades(x) for x in frame["log_score"]], "text"),
            ]
        return Table(columns, f"Errors of each fold, {self._meaning}", rest="folds has all")

    def _fold_names(self) -> tuple[str, list[str]]:
        """Heading and names of the folds: the value alone where all are of one column."""
        names, start = [str(name) for name in self._folds.index], f"{self.by} = "
        if all(name.startswith(start) for name in names):
            return self.by, [name.removeprefix(start) for name in names]
        return "fold", names

    def _distance_table(self) -> Table:
        frame = self.by_distance
        if frame.empty or frame["to"].max() == 0:
            return Table([])
        ends = zip(frame["above"].to_list(), frame["to"].to_list(), strict=True)
        said = [_bin(above, to) for above, to in ends]
        columns = [
            Column("decades outside", said, "text"),
            Column("runs", frame["runs"], "integer"),
            *self._error_columns(frame),
        ]
        if len(self._runs.draws):
            columns.append(Column("in 95 %", [_share(x) for x in frame["inside"]], "text"))
        return Table(columns, "Errors by distance outside the fitted runs", rest="by_distance")

    def _error_columns(self, frame: pd.DataFrame) -> list[Column]:
        names = {"mean": "mean error", "rmse": "RMSE", "largest": "largest"}
        size = frame["rmse"].to_list()
        return [
            Column(said, list(map(self._cell, frame[name].to_list(), size)), "text")
            for name, said in names.items()
        ]

    def _cell(self, error: float, about: float) -> str:
        """An error in a table, in the digits of those beside it."""
        return "-" if math.isnan(error) else self._error(error, about)

    def _coverage_table(self, level: float) -> Table:
        if not len(self._runs.draws):
            return Table([])
        rows = [self._runs.coverage(x) for x in sorted({*LEVELS, level})]
        frame = pd.DataFrame(rows)
        columns = [
            Column("level", [f"{100 * x:g} %" for x in frame["level"]], "text"),
            Column("runs", frame["runs"], "integer"),
            Column("inside", frame["inside"], "integer"),
            Column("share", frame["share"], "percent", frame["share_low"], frame["share_high"]),
            Column("width for the level", [_factor(x) for x in frame["width"]], "text"),
        ]
        return Table(columns, "Intervals of a new run", "95 % of a binomial share")

    @property
    def _meaning(self) -> str:
        return "ln(observed / predicted)" if self._runs.logs else "observed - predicted"

    def __repr__(self) -> str:
        size = f"RMSE {self._error(self.rmse)}" if len(self.errors) else "no predictions"
        return (
            f"<HoldOut {self.fit.law.name}: {len(self.errors)} runs of {len(self._folds)} folds by "
            f"{self.by}, {size}>"
        )


def without_warned(runs: pd.DataFrame, folds: pd.DataFrame) -> str:
    """How many runs intervals hold without the folds whose covariance warns of them, in words.

    Args:
        runs: as ``HoldOut.to_frame`` gives them.
        folds: as ``HoldOut.folds`` has them.

    Returns:
        The words; empty where there are no such folds, or no others.
    """
    codes = folds["warnings"].str.split(", ")
    warned = codes[codes.map(lambda item: any(code in TOO_NARROW for code in item))].index
    inside = runs["inside"][~runs["fold"].isin(warned)].dropna()
    if not len(warned) or not len(inside):
        return ""
    count = f"{len(warned)} fold{'s' * (len(warned) > 1)}"
    return f" ({int(inside.sum())} of {len(inside)} without {count} at a bound or an end)"


def error_summary(errors: np.ndarray) -> dict[str, float]:
    """Mean, median, root mean square and largest error, NaN without any."""
    if not len(errors):
        return dict.fromkeys(("mean", "median", "rmse", "largest"), math.nan)
    return {
        "mean": float(errors.mean()),
        "median": float(np.median(errors)),
        "rmse": _rms(errors),
        "largest": largest(errors),
    }


def largest(errors: np.ndarray) -> float:
    """The error of largest size, with its sign."""
    return float(errors[np.argmax(np.abs(errors))])


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else math.nan


def _bin(above: float, to: float) -> str:
    """A bin of distances in words."""
    if to == 0:
        return "inside"
    return f"beyond {above:g}" if math.isinf(to) else f"{above:g} to {to:g}"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if np.isfinite(share) else "-"


def _decades(far: float) -> str:
    return f"{far:.2f}" if np.isfinite(far) else "-"


def _factor(width: float) -> str:
    return f"{width:.2g}" if np.isfinite(width) else "-"
