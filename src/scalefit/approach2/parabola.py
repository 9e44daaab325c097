"""Parabolas through IsoFLOP sweeps and power laws through their vertices, for many tables at once.

All functions work along the last axis of arrays, so that thousands of simulated or resampled tables
take one call. What cannot be computed is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import broadcast_shape, number, numbers, refused
from scalefit.arguments import level as checked_level
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.runtime.settings import quiet

__all__ = [
    "Parabolas",
    "PowerLaw",
    "VertexFits",
    "line_of_logs",
    "parabolas",
    "power_law",
    "vertex_fits",
]

# Squared norm of the column x^2 after the lower columns are projected out, relative to before:
# below this, fewer than three points are distinct and the curvature is not determined.
DEGENERATE = 1e-22

# Decimal logarithms of budgets, and of the sizes and tokens that are best there, in published
# tables, and the slopes of one in the other.
LOG_FLOPS, LOG_OPTIMA, LOG_SLOPES = (15.0, 28.0), (5.0, 14.0), (0.25, 0.75)


class Parabolas(NamedTuple):
    """Least-squares parabolas; every array of the shape of the batch.

    Attributes:
        vertex: abscissa of the vertex, of either sign of the curvature.
        minimum: the parabola's value there.
        curvature: coefficient of the square.
        curvature_se: its standard error; NaN without a residual degree of freedom.
        points: points of positive weight.
        inside: whether the vertex lies within the range of the points.
        slope: slope at the (weighted) mean of the points, independent of the curvature.
        slope_se: its standard error.
        offset: abscissa at which a parabola of slope zero has its vertex.
    """

    vertex: np.ndarray
    minimum: np.ndarray
    curvature: np.ndarray
    curvature_se: np.ndarray
    points: np.ndarray
    inside: np.ndarray
    slope: np.ndarray
    slope_se: np.ndarray
    offset: np.ndarray

    def __repr__(self) -> str:
        return f"<Parabolas of shape {np.shape(self.vertex)}>"

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Fieller's interval for the vertex, under normal errors of one size.

        The vertex is ``offset - slope / (2 curvature)``, and slope and curvature are uncorrelated.
        Both ends are infinite where the curvature does not differ from zero at this level: then
        the data do not bound the vertex.

        Args:
            level: confidence.

        Source:
            Fieller 1954, J. R. Stat. Soc. B 16, 175.
        """
        t = _quantile(self.points - 3.0, level)
        a, b = self.curvature, self.slope
        # With r = b/a, all r with (b - r a)^2 <= t^2 (var b + r^2 var a): between the roots of a
        # quadratic in r, whose leading coefficient is positive where a differs from zero.
        with quiet():
            lead = a**2 - (t * self.curvature_se) ** 2
            root = np.sqrt(np.maximum((a * b) ** 2 - lead * (b**2 - (t * self.slope_se) ** 2), 0.0))
            ends = np.sort([(a * b - root) / lead, (a * b + root) / lead], axis=0)
            low, high = self.offset - 0.5 * ends[1], self.offset - 0.5 * ends[0]
        unbounded = lead <= 0
        return np.where(unbounded, -np.inf, low)[()], np.where(unbounded, np.inf, high)[()]


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

    def band(self, flops: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Student's t interval of the line itself at budgets in FLOP.

        Raises:
            ArgumentError: a budget is not a positive number, or the level none between 0 and 1.
        """
        c = np.log(_budgets(flops))
        lift = (..., *(None,) * c.ndim)
        spread, count, se, centre, t = (
            np.asarray(item)[lift]
            for item in (self.spread, self.budgets, self.exponent_se, self.centre, self._t(level))
        )
        reach = np.exp(t * np.hypot(spread / np.sqrt(count), se * (c - centre)))
        middle = self.at(flops)
        return middle / reach, middle * reach

    def _t(self, level: float) -> np.ndarray:
        return np.asarray(_quantile(self.df, level))[()]

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: they are on what the power law belongs to."""
        return ()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each table of the batch: exponent with its interval, intercept, budgets.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        low, high = self.interval(level)
        columns = {
            "exponent": self.exponent,
            "exponent_low": low,
            "exponent_high": high,
            "intercept": self.intercept,
            "spread": self.spread,
            "budgets": self.budgets,
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
        columns = [
            Column("exponent", frame["exponent"], low=frame["exponent_low"],
                   high=frame["exponent_high"]),
            Column("intercept (ln)", frame["intercept"]),
            Column("budgets", frame["budgets"], "integer"),
        ]  # fmt: skip
        if np.ndim(self.exponent):
            title, formula = f"Power laws of shape {np.shape(self.exponent)}", "exp(a) C^b"
        else:
            title = "Power law"
            formula = f"exp({self.intercept:.6g}) C^{self.exponent:.6g}"
        return Description(title, formula=formula, tables=[Table(columns, interval=interval)])


def _budgets(flops: Any) -> np.ndarray:
    return numbers(flops, "flops", above=0, remedy="Pass the budget in FLOP, as flops=1e24")


def _arrays(**given: Any) -> dict[str, np.ndarray]:
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


def _quantile(df: np.ndarray, level: float) -> np.ndarray:
    """Quantile of Student's t at the upper end of an interval; NaN without a degree of freedom."""
    # Imported here: it takes a tenth of a second, and only intervals need it.
    from scipy.special import stdtrit

    tail = 0.5 * (1 + checked_level(level))
    return np.asarray(stdtrit(np.where(df > 0, df, np.nan), tail))


class VertexFits(NamedTuple):
    """Approach 2 on a batch of tables of shape S, each of some budgets.

    Attributes:
        n: parabolas in ln N, arrays of shape (*S, budgets).
        d: parabolas in ln D, the same.
        usable: whether both open upward, shape (*S, budgets).
        n_law: N* against the budget over the usable budgets, arrays of shape S.
        d_law: D* against the budget.
    """

    n: Parabolas
    d: Parabolas
    usable: np.ndarray
    n_law: PowerLaw
    d_law: PowerLaw

    def __repr__(self) -> str:
        return f"<VertexFits of shape {np.shape(self.usable)}>"


def parabolas(x: Any, y: Any, weight: Any = None) -> Parabolas:
    """Least-squares parabolas of y in x along the last axis.

    The columns 1, x, x^2 are made orthogonal first (about the mean of x), which keeps every digit
    of the vertex, and makes the estimates of slope and curvature uncorrelated.

    Args:
        x: abscissae, shape (..., points).
        y: ordinates, broadcastable with x.
        weight: weights of the squares, broadcastable with both, ones by default. Zero leaves a
            point out (a gap of the table, a row that was not drawn), whatever stands there; so
            does NaN in x or y.

    Returns:
        Parabolas, arrays of shape (...). NaN where fewer than three points are distinct.

    Raises:
        ArgumentError: something is no number, or the arrays do not broadcast.
    """
    given = _arrays(x=x, y=y, weight=1.0 if weight is None else weight)
    x, y, w = np.broadcast_arrays(*map(np.atleast_1d, given.values()))
    used = (w > 0) & np.isfinite(x) & np.isfinite(y)
    w, x, y = (np.where(used, item, 0.0) for item in (w, x, y))
    with quiet():
        total = w.sum(-1)
        mean, level = _means(w, x, total), _means(w, y, total)
        # u = x - mean, centred twice: the second time takes out the rounding of the first mean.
        u = np.where(used, x - mean[..., None], 0.0)
        rounding = _means(w, u, total)
        mean, u = mean + rounding, np.where(used, u - rounding[..., None], 0.0)
        # Gram-Schmidt: p = u^2 - (skew u + square / total) is orthogonal to 1 and u.
        square, cube = (w * u**2).sum(-1), (w * u**3).sum(-1)
        skew = cube / square
        p = np.where(used, u * (u - skew[..., None]) - (square / total)[..., None], 0.0)
        norm = (w * p**2).sum(-1)
        z = np.where(used, y - level[..., None], 0.0)
        sound = norm > DEGENERATE * square**2 / total
        norm = np.where(sound, norm, np.nan)
        slope, curvature = (w * u * z).sum(-1) / square, (w * p * z).sum(-1) / norm
        residual = z - slope[..., None] * u - curvature[..., None] * p
        points = used.sum(-1)
        df = np.where(points > 3, points - 3.0, np.nan)
        variance = (w * residual**2).sum(-1) / df
        # Zero of the derivative, slope + curvature (2 u - skew).
        offset = 0.5 * skew
        at = offset - 0.5 * slope / curvature
        minimum = level + slope * at + curvature * (at * (at - skew) - square / total)
        low = np.where(used, u, np.inf).min(-1, initial=np.inf)
        high = np.where(used, u, -np.inf).max(-1, initial=-np.inf)
    slope = np.where(sound, slope, np.nan)
    return Parabolas(
        vertex=mean + at,
        minimum=minimum,
        curvature=curvature,
        curvature_se=np.sqrt(variance / norm),
        points=points,
        inside=(at >= low) & (at <= high),
        slope=slope,
        slope_se=np.sqrt(variance / np.where(sound, square, np.nan)),
        offset=mean + offset,
    )


def power_law(
    flops: Any, optimum: Any, usable: Any = True, *, exponent: float | None = None
) -> PowerLaw:
    """A power law of optima against budgets: a straight line through their logarithms.

    Ordinary least squares of ln optimum on ln C along the last axis, also of optima that a paper
    prints.

    Args:
        flops: budgets, FLOP, shape (..., budgets).
        optimum: N*, D* or whatever is best at each, as it is, not its logarithm; broadcastable.
            NaN is a gap.
        usable: which of them count.
        exponent: a slope to keep; by default it is fitted too.

    Returns:
        Power laws, arrays of shape (...). NaN where fewer than two budgets are usable (one, of a
        given exponent).

    Raises:
        ArgumentError: something is no number or not positive, both look like logarithms, or the
            arrays do not broadcast.

    Example:
        >>> from scalefit.approach2 import power_law
        >>> found = power_law([1e18, 1e19, 1e20], [6.0e7, 1.8e8, 6.1e8])
        >>> round(float(found.exponent), 3)
        0.504
        >>> f"{power_law([1e18, 1e20], [6.0e7, 6.1e8], exponent=0.5).at(1e22):.3g}"
        '6.05e+09'
    """
    remedy = "Pass what is best at each budget, as optimum=[6.0e7, 1.8e8]: the logarithm is taken"
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
    if np.asarray(usable).dtype.kind != "b":
        raise refused("usable", usable, "True or False of each", "Pass which count, as usable=True")
    given = _arrays(flops=flops, optimum=optimum, usable=np.asarray(usable) * 1.0)
    with quiet():
        c, v, used = np.broadcast_arrays(
            np.log(np.atleast_1d(given["flops"])), given["optimum"], given["usable"] > 0
        )
        used = used & np.isfinite(c) & np.isfinite(v)
        count = used.sum(-1)
        c, v, w = np.where(used, c, 0.0), np.where(used, v, 0.0), used.astype(np.float64)
        centre, height = _means(w, c, count), _means(w, v, count)
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


def vertex_fits(flops: Any, N: Any, D: Any, loss: Any, weight: Any = None) -> VertexFits:
    """Chinchilla's Approach 2 on a batch of tables.

    At each budget a parabola of the loss in ln N and, separately, one in ln D, both by ordinary
    least squares; then straight lines through the logarithms of the vertices.

    Args:
        flops: budgets, FLOP, shape (*S, budgets) or (budgets,).
        N: parameters, shape (*S, budgets, points) or broadcastable, such as (budgets, points).
        D: tokens, the same.
        loss: losses, the same; the only argument that has to differ between the tables.
        weight: 0 for points that a table lacks, and counts or weights for the others.

    Returns:
        The fits. NaN and ``usable`` false where there is no parabola, NaN exponents where fewer
        than two budgets are usable.

    Raises:
        ArgumentError: something is no number, or the arrays do not broadcast.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, section 3.2.

    Example:
        >>> import scalefit as sf
        >>> from scalefit.approach2 import vertex_fits
        >>> design = sf.simulation.isoflop_design([1e19, 1e20], points=9)
        >>> tables = [sf.simulate(design, noise=0.002, seed=seed)["loss"] for seed in range(100)]
        >>> columns = (design["N"], design["D"], tables)
        >>> N, D, loss = (np.reshape(item, (-1, 2, 9)) for item in columns)
        >>> vertex_fits([1e19, 1e20], N, D, loss).n_law.exponent.shape
        (100,)
    """
    given = _arrays(N=N, D=D, loss=loss, weight=1.0 if weight is None else weight)
    with quiet():
        x, y = (np.log(given[name]) for name in ("N", "D"))
    n, d = parabolas(x, loss, weight), parabolas(y, loss, weight)
    usable = (n.curvature > 0) & (d.curvature > 0)
    return VertexFits(
        n, d, usable, line_of_logs(flops, n.vertex, usable), line_of_logs(flops, d.vertex, usable)
    )


def _means(w: np.ndarray, x: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.asarray((w * x).sum(-1) / total)
