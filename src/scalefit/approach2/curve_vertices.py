"""The least point of each of many curves, by a parabola or a spline, and whether to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from scalefit.approach2.parabola import Parabolas, parabolas

__all__ = [
    "DISTINCT",
    "Method",
    "interval_ends",
    "least_points",
    "padded",
    "status_words",
    "within_reach",
]

Method = Literal["parabola", "akima", "cubic"]
"""How the least loss of a curve is found: by a parabola, or on a spline through the runs."""

DISTINCT = 3
# Two standard errors: below, the sign of the curvature is in doubt.
WEAK = 2.0
# A vertex farther outside the runs than so many times their width, in the logarithm, is no optimum.
FARTHEST_VERTEX = 2.0


def least_points(
    members: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray, weight: np.ndarray, method: Method
) -> Parabolas:
    """The least point of each curve, by a parabola or on a spline.

    Args:
        members: positions of the runs of each curve.
        x: logarithms of the coordinate, shape (runs,).
        y: losses, shape (runs,).
        weight: weights, shape (runs,).
        method: how it is found.
    """
    if method != "parabola":
        return _spline_vertices(members, x, y, weight, method)
    place, counted = padded(members, weight)
    return parabolas(x[place], y[place], counted)


def interval_ends(curves: Parabolas, name: str, level: float) -> dict[str, np.ndarray]:
    """Fieller's intervals of the vertices, as columns ``_low`` and ``_high`` of a coordinate."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.exp(curves.interval(level))
    return {f"{name}_low": low, f"{name}_high": high}


def padded(members: Sequence[np.ndarray], weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of the members of groups, shape (groups, members of the largest).

    Smaller groups are padded with weight 0, at position 0.
    """
    width = max((len(item) for item in members), default=0)
    place = np.zeros((len(members), width), dtype=np.intp)
    found = np.zeros(place.shape)
    for row, item in enumerate(members):
        place[row, : len(item)] = item
        found[row, : len(item)] = weight[item]
    return place, found


def _spline_vertices(
    members: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray, weight: np.ndarray, method: Method
) -> Parabolas:
    """Least points of splines, in the form of parabolas without errors.

    Args:
        members: positions of the runs of each curve.
        x: abscissae of all runs, shape (runs,).
        y: losses, shape (runs,).
        weight: weights by which runs of one abscissa are averaged, shape (runs,).
        method: which spline.
    """
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    kind = Akima1DInterpolator if method == "akima" else CubicSpline
    rows = []
    for item in members:
        at, of = np.unique(x[item], return_inverse=True)
        level = np.bincount(of, weight[item] * y[item]) / np.bincount(of, weight[item])
        if len(at) < DISTINCT:
            rows.append((np.nan, np.nan, np.nan, len(item), False))
            continue
        curve = kind(at, level)
        turns = curve.derivative().roots(extrapolate=False)
        turns = turns[np.isfinite(turns)]
        # Where an end is lower than every stationary point, the least point is no minimum.
        inside = len(turns) > 0 and float(curve(turns).min()) <= min(level[0], level[-1])
        least = float(turns[np.argmin(curve(turns))] if inside else at[np.argmin(level)])
        rows.append((least, float(curve(least)), float(curve(least, 2)) / 2, len(item), inside))
    vertex, minimum, curvature, points, inside_ = np.reshape(rows, (-1, 5)).T
    unknown = np.full(len(rows), np.nan)
    return Parabolas(
        vertex, minimum, curvature, unknown, points, inside_ > 0, unknown, unknown, unknown
    )


def within_reach(
    curve: Parabolas,
    members: Sequence[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    *,
    counts: bool,
) -> np.ndarray:
    """Whether each vertex can be an optimum that such runs have, shape (curves,).

    Args:
        curve: the vertices.
        members: positions of the runs of each curve.
        x: logarithms of the coordinate, shape (runs,).
        y: losses, shape (runs,).
        counts: whether the coordinate counts something, of which there is one at least.
    """
    # Where all losses are above zero, so is the least of them.
    positive = np.array([(y[item] > 0).all() for item in members], dtype=bool)
    low, high = np.reshape([[x[item].min(), x[item].max()] for item in members], (-1, 2)).T
    reach = FARTHEST_VERTEX * (high - low)
    # A logarithm below 0 is less than one: impossible, unless the runs are there too, in another
    # unit.
    least = np.maximum(low - reach, np.minimum(low, 0.0)) if counts else low - reach
    there = (curve.vertex >= least) & (curve.vertex <= high + reach)
    return np.asarray(there & ~(positive & (curve.minimum <= 0)))


def status_words(
    curves: Sequence[Parabolas], downward: np.ndarray, impossible: np.ndarray, wide: np.ndarray
) -> list[str]:
    """The status of each vertex, of one coordinate or several: the first that applies.

    Args:
        curves: the vertices over each coordinate.
        downward: which have no minimum, shape (curves,).
        impossible: which no run can have, shape (curves,).
        wide: which are of runs that do not belong together, shape (curves,).
    """
    weak = np.any([item.curvature < WEAK * item.curvature_se for item in curves], axis=0)
    few = np.any([np.isnan(item.curvature) for item in curves], axis=0)
    outside = ~np.all([item.inside for item in curves], axis=0)
    cases = {
        "too_few": few,
        "too_wide": wide,
        "negative_curvature": downward,
        "impossible": impossible,
        "edge_minimum": outside,
        "weak_curvature": weak,
    }
    return [str(word) for word in np.select(list(cases.values()), list(cases), default="ok")]
