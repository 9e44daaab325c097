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
from scalefit.reporting import report

__all__ = ["AS_DRAWN", "Draws", "Estimate", "Origin", "Tails", "quantiles"]


class Tails(NamedTuple):
    """How far out among draws the ends of an interval lie.

    Percentiles of refits to resampled runs are too narrow in small samples twice over: they are
    those of a normal distribution where the noise was estimated and Student's t is called for, and
    resampling n things spreads by (n - 1) / n of their variance. The ends are therefore read
    farther out, at the share of draws beyond

        inflation * t(df)

    of a normal distribution, which moves them alike for whatever is computed from the draws.

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
            level: coverage promised.
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

    def wider(self, other: Tails) -> Tails:
        """Tails that do for what is computed from draws of both."""
        return Tails(min(self.df, other.df), max(self.inflation, other.inflation))


AS_DRAWN = Tails()


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number, or an array of them, with draws that say how certain it is.

    Attributes:
        value: the estimate itself, of any shape S; computed from the fit, not from the draws.
        draws: one for each usable draw of the parameters, shape (draws, *S). NaN where a draw
            gives none; empty where the estimate is of a fit alone.
        tails: how far out among them the ends of an interval lie.
        notes: soft problems.
    """

    value: np.ndarray
    draws: np.ndarray
    tails: Tails = AS_DRAWN
    notes: tuple[Note, ...] = ()

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Percentile interval, each end of the shape of ``value``.

        Args:
            level: coverage promised. Of draws by resampling the percentiles are those of Student's
                t: see ``tails``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
            DataError: there are no draws.
        """
        tail = self.tails.outside(checked_level(level))
        low, high = quantiles(self._drawn(), [tail, 1 - tail])
        return low[()], high[()]

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of the draws.

        Raises:
            DataError: there are none.
        """
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nanstd(self._drawn(), axis=0, ddof=1))[()]

    def _drawn(self) -> np.ndarray:
        if not len(self.draws):
            raise DataError(
                "this estimate is of a fit alone and has no draws",
                remedy="Ask it of ensembles, as bootstrap(fit, runs)",
            )
        return self.draws

    def __repr__(self) -> str:
        return report.estimate_text(self)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each value, in order: value, and low and high where there are draws."""
        columns = {"value": self.value}
        if len(self.draws):
            columns["low"], columns["high"] = self.interval(level)
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})


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
        tails: how far out among them the ends of an interval lie.
        origin: how they were made; None where that is not known.
        index: place of each among the draws that were made, shape (draws,): those that failed are
            left out.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    tails: Tails = AS_DRAWN
    origin: Origin | None = None
    index: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

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
