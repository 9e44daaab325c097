"""Parabolas through IsoFLOP sweeps, and Approach 2 by them, for many tables at once.

All functions work along the last axis of arrays, so that thousands of simulated or resampled tables
take one call. What cannot be computed is NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.approach2.power_laws import (
    PowerLaw,
    arrays_of,
    line_of_logs,
    quantile_of_t,
    weighted_means,
)
from scalefit.runtime.settings import quiet

__all__ = ["Parabolas", "VertexFits", "parabolas", "vertex_fits"]

# Squared norm of the column x^2 after the lower columns are projected out, relative to before:
# below this, fewer than three points are distinct and the curvature is not determined.
DEGENERATE = 1e-22


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
        t = quantile_of_t(self.points - 3.0, level)
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
    given = arrays_of(x=x, y=y, weight=1.0 if weight is None else weight)
    x, y, w = np.broadcast_arrays(*map(np.atleast_1d, given.values()))
    used = (w > 0) & np.isfinite(x) & np.isfinite(y)
    w, x, y = (np.where(used, item, 0.0) for item in (w, x, y))
    with quiet():
        total = w.sum(-1)
        mean, level = weighted_means(w, x, total), weighted_means(w, y, total)
        # u = x - mean, centred twice: the second time takes out the rounding of the first mean.
        u = np.where(used, x - mean[..., None], 0.0)
        rounding = weighted_means(w, u, total)
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
    given = arrays_of(N=N, D=D, loss=loss, weight=1.0 if weight is None else weight)
    with quiet():
        x, y = (np.log(given[name]) for name in ("N", "D"))
    n, d = parabolas(x, loss, weight), parabolas(y, loss, weight)
    usable = (n.curvature > 0) & (d.curvature > 0)
    return VertexFits(
        n, d, usable, line_of_logs(flops, n.vertex, usable), line_of_logs(flops, d.vertex, usable)
    )
