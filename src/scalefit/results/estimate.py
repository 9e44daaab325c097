"""Numbers with draws, and how an interval is read off them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown

__all__ = ["AS_DRAWN", "Draws", "Estimate", "Origin", "TailCorrection", "frame_of", "quantiles"]


class TailCorrection(NamedTuple):
    """Which percentiles of the draws are the ends of an interval.

    Plain percentiles of refits to resampled runs give too narrow an interval in small samples, for
    two reasons. The noise is estimated, so that Student's t is called for in place of the normal
    distribution; and resampling n things has (n - 1) / n of their variance. The ends are therefore
    the percentiles that a normal distribution has at

        inflation * t(df)

    standard deviations, for whatever is computed from the draws.

    Attributes:
        df: degrees of freedom behind the spread of the draws; infinite where the draws have
            the tails they need.
        inflation: factor by which their standard deviation is too small.

    Source:
        Hesterberg 2014, arXiv 1411.5279 (expanded percentile interval).
    """

    df: float = math.inf
    inflation: float = 1.0

    def outside(self, level: float) -> float:
        """Share of the draws beyond each end of an interval.

        Args:
            level: coverage.
        """
        if self == AS_DRAWN:
            return 0.5 * (1 - level)
        from scipy.special import ndtr

        return float(ndtr(-self.quantile(level)))

    def quantile(self, level: float) -> float:
        """Standard deviations of the draws from their middle to each end, were they normal."""
        from scipy.special import ndtri, stdtrit

        tail = 0.5 * (1 - level)
        end = ndtri(tail) if math.isinf(self.df) else stdtrit(self.df, tail)
        return -self.inflation * float(end)

    def wider(self, other: TailCorrection) -> TailCorrection:
        """Correction for what is computed from draws of both."""
        return TailCorrection(min(self.df, other.df), max(self.inflation, other.inflation))


AS_DRAWN = TailCorrection()


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Described):
    """A number, or an array of them, with draws that give its uncertainty.

    Attributes:
        value: the estimate, of any shape S; computed from the fit, not from the draws.
        draws: one for each usable draw of the parameters, shape (draws, *S). NaN where a draw
            gives none; empty where the estimate is of a fit alone.
        tails: which percentiles of the draws are the ends of an interval.
        notes: soft problems.
    """

    value: np.ndarray
    draws: np.ndarray
    tails: TailCorrection = AS_DRAWN
    notes: tuple[Note, ...] = ()

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Percentile interval, each end of the shape of ``value``.

        Args:
            level: coverage. Of draws by resampling the percentiles are corrected for Student's t:
                see ``tails``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
            DataError: there are no draws.
        """
        tail = self.tails.outside(checked_level(level))
        low, high = quantiles(self._require_draws(), [tail, 1 - tail])
        return low[()], high[()]

    @property
    def se(self) -> np.ndarray:
        """Standard error: the standard deviation of the draws.

        Raises:
            DataError: there are none.
        """
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nanstd(self._require_draws(), axis=0, ddof=1))[()]

    def _require_draws(self) -> np.ndarray:
        if not len(self.draws):
            raise DataError(
                "this estimate is of a fit alone and has no draws",
                remedy="Ask it of ensembles, as bootstrap(fit, runs)",
            )
        return self.draws

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each value, in order: ``value``, and where there are draws ``low``, ``high``.

        Args:
            level: coverage.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        level = checked_level(level)
        columns = {"value": self.value}
        if len(self.draws):
            columns["low"], columns["high"] = self.interval(level)
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def describe(self, level: float = 0.95) -> Description:
        """The value and its interval, or a table of several."""
        frame, share = self.to_frame(level), f"{100 * level:g} %"
        count = len(self.draws)
        of = f"{count:,} draws" if count else "a fit alone, without draws"
        if np.ndim(self.value):
            low, high = (list(frame.get(name, ())) for name in ("low", "high"))
            place = list(map(str, np.ndindex(np.shape(self.value))))
            if np.ndim(self.value) == 1:
                place = list(map(str, range(len(frame))))
            columns = [
                Column("index", place, "text"),
                Column("value", list(frame["value"]), low=low, high=high),
            ]
            title = f"{share} interval of each value" if count else ""
            headline, tables = "", [Table(columns, title, f"{share} interval")]
        else:
            headline, tables = self._as_text(level), []
        return Description(f"Estimate of {of}", headline, tables=tables, notes=self.notes)

    def _as_text(self, level: float = 0.95) -> str:
        """A scalar with its interval in a line."""
        low, high = self.interval(level) if len(self.draws) else (None, None)
        said = shown(self.value, "number", low, high)
        return f"{said.value} ({100 * level:g} %: {said.interval})" if said.interval else said.value

    def __repr__(self) -> str:
        shape = f"of shape {np.shape(self.value)}" if np.ndim(self.value) else self._as_text()
        draws = f"{len(self.draws)} draws" if len(self.draws) else "no draws"
        warnings = sum(note.severity == "warning" for note in self.notes)
        more = f", {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
        return f"<Estimate {shape}, {draws}{more}>"


class Origin(NamedTuple):
    """How draws were made: two ensembles of one origin can be paired draw by draw.

    Attributes:
        method: what made them, as ``rows``.
        seed: of the random numbers.
        made: how many were made.
        nobs: runs behind them.
    """

    method: str
    seed: int
    made: int
    nobs: int


@dataclass(frozen=True, eq=False)
class Draws(Mapping[str, np.ndarray]):
    """Quantities by name under every draw, arrays of shape (draws, ...); false without any.

    Attributes:
        arrays: the quantities.
        tails: which percentiles of the draws are the ends of an interval.
        origin: how they were made; None where that is not known.
        index: place of each among the draws that were made, shape (draws,): those that failed are
            left out.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    tails: TailCorrection = AS_DRAWN
    origin: Origin | None = None
    index: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __repr__(self) -> str:
        count = len(next(iter(self.values()))) if self else 0
        return f"<Draws of {', '.join(self) or 'nothing'}: {count} draws>"

    def apply(self, function: Callable[[Draws], Mapping[str, np.ndarray]]) -> Draws:
        """Other quantities under the same draws; without draws, none, and nothing is called."""
        return replace(self, arrays=dict(function(self))) if self else self

    def estimate(self, name: str, value: np.ndarray, notes: Sequence[Note] = ()) -> Estimate:
        """A quantity, whose value and notes are given, with its draws; perhaps without any."""
        drawn = self[name] if self else np.empty((0, *np.shape(value)))
        return Estimate(value, drawn, self.tails, tuple(notes))

    def first(self, count: int) -> Draws:
        """The first of them."""
        kept = {name: values[:count] for name, values in self.arrays.items()}
        return replace(self, arrays=kept, index=self.index[:count])

    def shared(self, other: Draws) -> Draws:
        """Those that are usable in the other too, where both are of one origin."""
        kept = np.isin(self.index, other.index)
        arrays = {name: values[kept] for name, values in self.arrays.items()}
        return replace(self, arrays=arrays, index=self.index[kept])


def frame_of(
    values: Mapping[str, np.ndarray], estimates: Mapping[str, Estimate], level: float
) -> pd.DataFrame:
    """Quantities as columns, flattened, each followed by the ends of its interval.

    Args:
        values: the quantities by name, of one shape.
        estimates: those of them that have draws.
        level: coverage of the intervals.

    Returns:
        A row for each value: ``name``, and ``name_low`` and ``name_high`` of an estimate.

    Raises:
        ArgumentError: the level is no number between 0 and 1.
    """
    checked_level(level)
    columns: dict[str, np.ndarray] = {}
    for name, value in values.items():
        columns[name] = np.ravel(value)
        if name in estimates:
            low, high = estimates[name].interval(level)
            columns |= {f"{name}_low": np.ravel(low), f"{name}_high": np.ravel(high)}
    return pd.DataFrame(columns)


def quantiles(draws: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles along the first axis, without draws that give none; NaN where none does."""
    if np.isfinite(draws).all():
        return np.quantile(draws, shares, axis=0)
    # Between two infinities nothing can be interpolated.
    columns = draws.reshape(len(draws), -1).T
    kept = [column[~np.isnan(column)] for column in columns]
    found = [
        np.quantile(item, shares, method="linear" if np.isfinite(item).all() else "nearest")
        if len(item)
        else np.full(len(shares), np.nan)
        for item in kept
    ]
    return np.array(found).T.reshape(len(shares), *draws.shape[1:])
