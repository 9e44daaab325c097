"""The curvature J^T W J where a start ended: inverse and condition, dense or of many levels."""

from __future__ import annotations

import numpy as np

from scalefit.fitting.arrow import Arrangement
from scalefit.problem.problem import Problem

__all__ = ["Curvature", "condition", "curvature_of"]


class Curvature:
    """J^T W J at one end point: its inverse and its condition.

    Args:
        problem: the problem.
        matrix: shape (p, p).
    """

    def __init__(self, problem: Problem, matrix: np.ndarray) -> None:
        self.matrix, self.k = matrix, len(problem.owners)

    @property
    def diagonal(self) -> np.ndarray:
        """Shape (p,)."""
        return np.diagonal(self.matrix)

    def inverse(self, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Free nonlinear coordinates, and the block of the inverse among those.

        The inverse of J^T W J is the first-order covariance over the noise.
        """
        (some,) = np.nonzero(free)
        scaled, size = _to_unit(self.matrix[np.ix_(some, some)])
        inverse = np.linalg.pinv(scaled, hermitian=True) / np.outer(size, size)
        (moving,) = np.nonzero(some >= self.k)
        return some[moving] - self.k, inverse[np.ix_(moving, moving)]

    def conditions(self, free: np.ndarray) -> tuple[float, float]:
        """Condition numbers in the free parameters, and with coefficients projected out."""
        matrix, k = self.matrix, self.k
        linear = np.flatnonzero(free[:k])
        nonlinear = k + np.flatnonzero(free[k:])
        whole = matrix[np.ix_(free, free)]
        projected = matrix[np.ix_(nonlinear, nonlinear)]
        if len(linear) and len(nonlinear):
            cross = matrix[np.ix_(linear, nonlinear)]
            inner = matrix[np.ix_(linear, linear)]
            projected = projected - cross.T @ np.linalg.lstsq(inner, cross, rcond=None)[0]
        return condition(whole), condition(projected)


class CurvatureByLevel(Curvature):
    """J^T W J of many levels at one end point.

    Args:
        problem: the problem.
        row: the matrix as ``Arrangement.packed`` has it.
    """

    def __init__(self, problem: Problem, row: np.ndarray) -> None:
        self.how, self.k = Arrangement(problem), len(problem.owners)
        self.arrow = self.how.unpacked(row)

    @property
    def diagonal(self) -> np.ndarray:
        return np.asarray(self.how.joined(*self.arrow.diagonal))

    def _left(self, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Free coordinates, and the Schur complement with all other parameters eliminated."""
        inner, outer = self.how.split(free)
        # Levels that are not free have a border of zeros: nothing is eliminated for them.
        shared = self.arrow.without(~inner, ~outer).shared()
        among = np.zeros(len(outer), dtype=bool)
        among[self.how.coordinates] = True
        axes, others = np.flatnonzero(among & outer), np.flatnonzero(~among & outer)
        left = shared[np.ix_(axes, axes)]
        if len(others) and len(axes):
            cross = shared[np.ix_(others, axes)]
            within = shared[np.ix_(others, others)]
            left = left - cross.T @ np.linalg.lstsq(within, cross, rcond=None)[0]
        return axes - self.how.coordinates.start, left

    def inverse(self, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moving, left = self._left(free)
        scaled, size = _to_unit(left)
        return moving, np.linalg.pinv(scaled, hermitian=True) / np.outer(size, size)

    def conditions(self, free: np.ndarray) -> tuple[float, float]:
        inner, outer = self.how.split(free)
        diagonal = self.diagonal[free]
        whole = float("inf")
        if np.isfinite(diagonal).all() and (diagonal > 0).all():
            size = [
                np.where(one, 1 / np.sqrt(np.where(one, item, 1.0)), 0.0)
                for one, item in zip((inner, outer), self.arrow.diagonal, strict=True)
            ]
            # Parameters that are not free leave eigenvalues of one, which lie between the extremes.
            least, most = self.arrow.scaled(*size).without(~inner, ~outer).extremes()
            whole = most / least if least > 0 else whole
        return whole, condition(self._left(free)[1])


def curvature_of(problem: Problem, matrix: np.ndarray) -> Curvature:
    """The curvature of one start, from its row of ``Polished.gauss_newton``."""
    return Curvature(problem, matrix) if matrix.ndim == 2 else CurvatureByLevel(problem, matrix)


def _to_unit(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix scaled to unit diagonal, and the roots of its diagonal."""
    size = np.sqrt(np.diagonal(matrix))
    return matrix / np.outer(size, size), size


def condition(matrix: np.ndarray) -> float:
    """Condition number after scaling to unit diagonal; infinite when singular to rounding."""
    if not len(matrix):
        return 1.0
    diagonal = np.diagonal(matrix)
    # Rounding of a projection can leave a negative diagonal.
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return float("inf")
    values = np.linalg.eigvalsh(_to_unit(matrix)[0])
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")
