"""Power laws of optima against budgets, for many tables at once.

All functions work along the last axis of arrays. What cannot be computed is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import broadcast_shape, number, numbers, refused
from scalefit.arguments import level as checked_level
from scalefit.data.table import as_table
from scalefit.errors import ArgumentError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.runtime.settings import quiet

__all__ = [
    "PowerLaw",
    "arrays_of",
    "line_of_logs",
    "power_law",
    "quantile_of_t",
    "weighted_means",
]

# Decimal logarithms of budgets, and of the sizes and tokens that are best there, in published
# tables, and the slopes of one in the other.
LOG_FLOPS, LOG_OPTIMA, LOG_SLOPES = (15.0, 28.0), (5.0, 14.0), (0.25, 0.75)


@dataclass(frozen=True, eq=False)
class PowerLaw(Described):
    """Optimum against budget, exp(intercept) C^exponent; every array of the shape of the batch.

    Attributes:
        exponent: slope of the logarithms.
        intercept: natural logarithm of the coefficient.
        exponent_se: standard error of the exponent; NaN for two budgets.
        budgets: how many budgets it went through.
        centre: mean of ln C.
        spread: standard deviation of the residuals of the logarithm.
        df: its degrees of freedom: budgets less two, or less one where the exponent was given.
    """

    exponent: np.ndarray
    intercept: np.ndarray
    exponent_se: np.ndarray
    budgets: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    df: np.ndarray

    def at(self, flops: Any) -> np.ndarray:
        """The optimum at budgets in FLOP, shape (*batch, *shape of ``flops``).

        Raises:
            ArgumentError: a budget is not a positive number.
        """
        c = np.log(_budgets(flops))
        lift = (..., *(None,) * c.ndim)
        exponent, intercept, centre = (
            np.asarray(item)[lift] for item in (self.exponent, self.intercept, self.centre)
        )
        # About the centre: ln C is near 45, and intercept + exponent ln C would lose two digits.
        return np.asarray(np.exp(intercept + exponent * centre + exponent * (c - centre)))[()]

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Student's t interval of the exponent, from the scatter of the vertices.

        It is the exponent itself where that was given.

        Args:
            level: confidence.
        """
        reach = self._t(level) * self.exponent_se
        return self.exponent - reach, self.exponent + reach

    @property
    def coefficient(self) -> np.ndarray:
        """What multiplies C^exponent, C in FLOP."""
        with quiet():
            return np.asarray(np.exp(self.intercept))[()]

    def coefficient_interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Student's t interval of the coefficient.

        It is that of the line at C = 1, some twenty decades below the budgets, and wide unless the
        exponent was given; :meth:`band` is that of the line where it is used.

        Args:
            level: confidence.
        """
        with quiet():
            error = np.hypot(self.spread / np.sqrt(self.budgets), self.exponent_se * self.centre)
            reach = np.exp(self._t(level) * error)
            return self.coefficient / reach, self.coefficient * reach

    def prediction(self, flops: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Student's t interval of the optimum of a new sweep at budgets in FLOP, with its scatter.

        Raises:
            ArgumentError: a budget is not a positive number, or the level none between 0 and 1.
        """
        return self._around(flops, level, scatter=1.0)

    def band(self, flops: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Student's t interval of the line itself at budgets in FLOP.

        Raises:
            ArgumentError: a budget is not a positive number, or the level none between 0 and 1.
        """
        return self._around(flops, level, scatter=0.0)

    def _around(self, flops: Any, level: float, *, scatter: float) -> tuple[np.ndarray, np.ndarray]:
        """Interval of the line, with some share of the variance of one optimum about it."""
        c = np.log(_budgets(flops))
        lift = (..., *(None,) * c.ndim)
        spread, count, se, centre, t = (
            np.asarray(item)[lift]
            for item in (self.spread, self.budgets, self.exponent_se, self.centre, self._t(level))
        )
        reach = np.exp(t * np.hypot(spread * np.sqrt(1 / count + scatter), se * (c - centre)))
        middle = self.at(flops)
        return middle / reach, middle * reach

    def _t(self, level: float) -> np.ndarray:
        return np.asarray(quantile_of_t(self.df, level))[()]

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: they are on what the power law belongs to."""
        return ()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each table of the batch: exponent and coefficient with intervals, budgets.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        low, high = self.interval(level)
        ends = self.coefficient_interval(level)
        columns = {
            "exponent": self.exponent,
            "exponent_low": low,
            "exponent_high": high,
            "coefficient": self.coefficient,
            "coefficient_low": ends[0],
            "coefficient_high": ends[1],
            "intercept": self.intercept,
            "spread": self.spread,
            "budgets": self.budgets,
            "df": self.df,
        }
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def __repr__(self) -> str:
        if np.ndim(self.exponent):
            return f"<PowerLaw of shape {np.shape(self.exponent)}>"
        return f"<PowerLaw exp({self.intercept:.6g}) C^{self.exponent:.6g}>"

    def describe(self, level: float = 0.95) -> Description:
        """The exponents, and the formula of a single law.

        Args:
            level: of the intervals: Student's t, from the scatter of the vertices.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        interval = f"{100 * level:g} % interval"
        # At C = 1, far from any budget, a fitted line has no useful interval.
        known = ["coefficient_low", "coefficient_high"] if np.all(self.exponent_se == 0) else []
        ends = [frame[name] for name in known]
        columns = [
            Column("exponent", frame["exponent"], low=frame["exponent_low"],
                   high=frame["exponent_high"]),
            Column("coefficient", frame["coefficient"], "number", *ends),
            Column("budgets", frame["budgets"], "integer"),
            Column("df", frame["df"], "integer"),
        ]  # fmt: skip
        if np.ndim(self.exponent):
            title, formula = f"Power laws of shape {np.shape(self.exponent)}", "exp(a) C^b"
        else:
            title = "Power law"
            formula = f"exp({self.intercept:.6g}) C^{self.exponent:.6g}"
        return Description(title, formula=formula, tables=[Table(columns, interval=interval)])


def _budgets(flops: Any) -> np.ndarray:
    return numbers(flops, "flops", above=0, remedy="Pass the budget in FLOP, as flops=1e24")


def power_law(
    flops: Any, optimum: Any, usable: Any = True, *, exponent: float | None = None
) -> PowerLaw:
    """A power law of optima against budgets: a straight line through their logarithms.

    Ordinary least squares of ln optimum on ln C along the last axis, also of optima that a paper
    prints.

    Args:
        flops: budgets, FLOP, shape (..., budgets); or a table of optima with a column C, whatever
            :func:`scalefit.read` takes.
        optimum: N*, D* or whatever is best at each, as it is, not its logarithm; broadcastable.
            NaN is a gap. Of a table, the name of its column, as ``"N"``.
        usable: which of them count.
        exponent: a slope to keep; by default it is fitted too.

    Returns:
        Power laws, arrays of shape (...). NaN where fewer than two budgets are usable (one, of a
        given exponent).

    Raises:
        ArgumentError: something is no number or not positive, both look like logarithms, or the
            arrays do not broadcast.
        DataError: the table lacks a column, or a value of it is not positive.

    Example:
        >>> from scalefit.approach2 import power_law
        >>> found = power_law([1e18, 1e19, 1e20], [6.0e7, 1.8e8, 6.1e8])
        >>> round(float(found.exponent), 3)
        0.504
        >>> f"{power_law([1e18, 1e20], [6.0e7, 6.1e8], exponent=0.5).at(1e22):.3g}"
        '6.05e+09'
    """
    remedy = "Pass what is best at each budget, as optimum=[6.0e7, 1.8e8]: the logarithm is taken"
    if isinstance(optimum, str):
        try:
            table = as_table(flops)
        except ArgumentError as error:
            if error.argument != "runs" or isinstance(flops, str | Path):
                raise
            what = "numbers, or the name of a column where flops is a table"
            raise refused("optimum", optimum, what, remedy) from None
        flops, optimum = table.column("C"), table.column(optimum)
    found = numbers(optimum, "optimum", above=0, missing=True, remedy=remedy)
    if exponent is not None:
        exponent = number(exponent, "exponent", remedy="Pass a slope to keep, as exponent=0.5")
    budgets = _budgets(flops)
    _refuse_logarithms(budgets, found)
    return line_of_logs(budgets, np.log(found), usable, exponent)


def _refuse_logarithms(flops: np.ndarray, optimum: np.ndarray) -> None:
    """Raise for logarithms of budgets and of the sizes or tokens that are best there.

    Their ranges and the slope of their line are those of published tables. Of budgets in another
    unit, all would have to lie there within a factor of two, and all sizes within three.

    Raises:
        ArgumentError: both are natural logarithms, or both decimal ones.
    """
    for call, scale in (("np.exp({})", math.log(10.0)), ("10.0 ** np.asarray({})", 1.0)):
        pairs = ((flops, LOG_FLOPS), (optimum, LOG_OPTIMA))
        inside = all(
            low * scale < np.nanmin(values, initial=np.inf)
            and np.nanmax(values, initial=-np.inf) < high * scale
            for values, (low, high) in pairs
        )
        if not inside:
            continue
        rise, run = (np.nanmax(values) - np.nanmin(values) for values, _ in pairs[::-1])
        if LOG_SLOPES[0] * run <= rise <= LOG_SLOPES[1] * run:
            raise refused(
                "flops",
                flops,
                "what its logarithm is taken of: these look like logarithms already",
                f"Pass numbers as they are: power_law({call.format('flops')}, "
                f"{call.format('optimum')})",
            )


def line_of_logs(
    flops: Any, optimum: Any, usable: Any = True, exponent: float | None = None
) -> PowerLaw:
    """The same, of natural logarithms of the optima."""
    try:
        counts = np.asarray(usable)
    except Exception:  # Whatever the object's own methods raise.
        counts = np.empty(0)
    if counts.dtype.kind != "b":
        raise refused("usable", usable, "True or False of each", "Pass which count, as usable=True")
    given = arrays_of(flops=flops, optimum=optimum, usable=counts * 1.0)
    with quiet():
        c, v, used = np.broadcast_arrays(
            np.log(np.atleast_1d(given["flops"])), given["optimum"], given["usable"] > 0
        )
        used = used & np.isfinite(c) & np.isfinite(v)
        count = used.sum(-1)
        c, v, w = np.where(used, c, 0.0), np.where(used, v, 0.0), used.astype(np.float64)
        centre, height = weighted_means(w, c, count), weighted_means(w, v, count)
        u = np.where(used, c - centre[..., None], 0.0)
        z = np.where(used, v - height[..., None], 0.0)
        square = (u**2).sum(-1)
        square = np.where(square > 0, square, np.nan)
        free = 2 if exponent is None else 1
        slope = (u * z).sum(-1) / square if exponent is None else np.full(count.shape, exponent)
        squares = ((z - slope[..., None] * u) ** 2).sum(-1)
        df = np.maximum(count - free, 0)
        spread = np.sqrt(squares / np.where(df > 0, df, np.nan))
        return PowerLaw(
            exponent=slope[()],
            intercept=(height - slope * centre)[()],
            exponent_se=(spread / np.sqrt(square) if exponent is None else 0.0 * spread)[()],
            budgets=count,
            centre=centre[()],
            spread=spread[()],
            df=df,
        )


def arrays_of(**given: Any) -> dict[str, np.ndarray]:
    """Float64 arrays that broadcast; NaN and infinities are gaps.

    Raises:
        ArgumentError: something is no number, or they do not broadcast.
    """
    remedy = "Pass arrays of numbers that broadcast"
    arrays = {
        name: numbers(value, name, infinite=True, missing=True, remedy=remedy)
        for name, value in given.items()
    }
    broadcast_shape(arrays, remedy=remedy)
    return arrays


def quantile_of_t(df: np.ndarray, level: float) -> np.ndarray:
    """Quantile of Student's t at the upper end of an interval; NaN without a degree of freedom."""
    # Imported here: it takes a tenth of a second, and only intervals need it.
    from scipy.special import stdtrit

    tail = 0.5 * (1 + checked_level(level))
    return np.asarray(stdtrit(np.where(df > 0, df, np.nan), tail))


def weighted_means(w: np.ndarray, x: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Weighted means along the last axis."""
    return np.asarray((w * x).sum(-1) / total)
