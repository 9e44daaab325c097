"""Runs that do not belong to their curve, found before any curve is judged.

One run off its sweep bends the parabola through it, and every rule that judges runs by that
parabola then finds the others. Here each run is compared with what the others say: with the
parabola through the other runs of its curve, or with a fitted surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scalefit.data.table import LossTable
from scalefit.objective import robust_size
from scalefit.results.surface import Surface, checked_surface

__all__ = ["Curves", "Outlier", "parabola_outliers", "surface_outliers", "surface_residuals"]

# Smallest 1 - leverage with which the error of a run shows in its residual; relative rounding error
# of losses.
LEAST_FREE, ROUNDING = 1e-6, 1e-12

# Fewest distinct values of a curve that leave a parabola a degree of freedom when one run is taken
# out.
FEWEST_BENT = 5

# An outlier has a probability below this among all runs, by the scatter of its curve without it.
CHANCE = 0.01

# With few runs that scatter is known badly, and no run is improbable. Then an outlier is a run that
# is FAR times the limit from the usual scatter, and OWN times the scatter of its own curve.
FAR, OWN = 2.5, 10.0


class Curves(NamedTuple):
    """Runs of several curves.

    Attributes:
        members: positions of the runs of each.
        x: logarithms of what was swept, shape (runs,).
        y: losses, shape (runs,).
        weight: weights, shape (runs,).
    """

    members: Sequence[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def without(self, places: Sequence[int]) -> Curves:
        """The same curves without some runs."""
        return self._replace(members=[item[~np.isin(item, places)] for item in self.members])


class Outlier(NamedTuple):
    """A run that does not belong to its curve.

    Attributes:
        place: its position among the runs.
        miss: loss above the parabola through the others, or its residual from the surface.
        score: its distance from there in standard errors, by the usual scatter.
    """

    place: int
    miss: float
    score: float


def parabola_outliers(curves: Curves, limit: float) -> list[Outlier]:
    """The worst run of each curve, where the others lie on a parabola without it.

    The worst run is the one whose removal lowers the sum of squares most. The square root of that
    change is compared with the scatter about parabolas that is usual in the other curves (their
    median), and with the scatter of its own curve without it: a parabola is not the true curve,
    and curves may differ in noise.

    Source:
        Change of the sum of squares without a run, r^2 / (1 - h): Cook and Weisberg 1982.
    """
    from scipy.special import stdtr

    variances: dict[int, float] = {}
    worst: dict[int, _WorstRun] = {}
    for number, members in enumerate(curves.members):
        distinct = len(np.unique(curves.x[members]))
        if distinct >= FEWEST_BENT - 1:
            variances[number], run = _residual_variance(curves, members)
            if distinct >= FEWEST_BENT:
                worst[number] = run
    count = sum(len(members) for members in curves.members)
    bent = []
    for number, run in worst.items():
        others = [value for other, value in variances.items() if other != number]
        usual = float(np.sqrt(np.median(others))) if others else 0.0
        score = run.fall / (max(usual, ROUNDING * abs(run.miss)) or run.own)
        # Bonferroni, two-sided, over all runs.
        improbable = 2 * count * float(stdtr(run.df, -run.fall / run.own)) < CHANCE
        far = score > FAR * limit and run.fall > OWN * run.own
        if score > limit and (improbable or far):
            bent.append(Outlier(run.place, run.miss, score))
    return bent


class _WorstRun(NamedTuple):
    """The run of a curve whose removal lowers the sum of squares about the parabola most.

    Attributes:
        place: its position among the runs.
        miss: loss above the parabola through the others.
        fall: square root of the change of the sum of squares.
        own: standard deviation of the residuals of the others.
        df: degrees of freedom of that.
    """

    place: int
    miss: float
    fall: float
    own: float
    df: int


def _residual_variance(curves: Curves, members: np.ndarray) -> tuple[float, _WorstRun]:
    """Residual variance of a curve about its parabola, and its worst run."""
    x, y, w = curves.x[members], curves.y[members], curves.weight[members]
    root = np.sqrt(w / w.mean())
    scaled = (x - x.mean()) / np.ptp(x)
    basis = np.linalg.qr(np.vander(scaled, 3) * root[:, None])[0]
    residual = root * y - basis @ (basis.T @ (root * y))
    squares, df = float(residual @ residual), len(x) - 3
    free = 1 - (basis**2).sum(axis=1)
    # A run with leverage 1, alone at its end, is always on the parabola.
    falls = np.where(free > LEAST_FREE, residual**2 / np.maximum(free, LEAST_FREE), 0.0)
    i = int(np.argmax(falls))
    without = max(squares - float(falls[i]), 0.0)
    # Not below what rounding of the losses leaves. Of four runs nothing is left to estimate it.
    own = np.sqrt(without / max(df - 1, 1)) + ROUNDING * np.abs(y).max()
    miss = float(residual[i] / max(free[i], LEAST_FREE) / root[i])
    return squares / df, _WorstRun(int(members[i]), miss, float(np.sqrt(falls[i])), own, df - 1)


def surface_residuals(fit: Surface, table: LossTable) -> np.ndarray:
    """Residual of each row from a fitted surface, as its objective defines it, shape (rows,).

    Raises:
        ArgumentError: it is no surface.
        DataError: the table lacks a column of its law.
    """
    return checked_surface(fit).point.residuals(table)


def surface_outliers(
    residuals: np.ndarray, members: Sequence[np.ndarray], limit: float
) -> list[Outlier]:
    """Runs whose residual from a surface has a modified z score above the limit.

    Median and median absolute deviation of all runs do not depend on the outliers, and a surface
    through many sweeps hardly does.

    Args:
        residuals: of each run, shape (runs,).
        members: positions of the runs of each curve.
        limit: of the score.

    Source:
        Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers.
    """
    places = np.concatenate([np.zeros(0, dtype=np.intp), *members])
    if not len(places):
        return []
    rest = residuals[places]
    away = rest - np.median(rest)
    usual = max(robust_size(away), ROUNDING)
    return [
        Outlier(int(place), float(miss), float(score))
        for place, miss, score in zip(places, rest, np.abs(away) / usual, strict=True)
        if score > limit
    ]
