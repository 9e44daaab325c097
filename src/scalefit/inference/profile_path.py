"""The best points along a quantity: constrained minimisation, outward from a fit on both sides."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit import objective as obj
from scalefit.arguments import shown
from scalefit.errors import ArgumentError
from scalefit.fitting.derivatives import core_share, derivatives
from scalefit.fitting.objective_setup import scaled_objective, unbounded_batch
from scalefit.inference.covariance_matrix import covariance_matrix
from scalefit.inference.fitted_data import Columns, FittedData
from scalefit.inference.profiled_quantity import TRACEABLE, Quantity, QuantityFunction
from scalefit.notes import Note
from scalefit.runtime.settings import quiet

__all__ = ["PathPoint", "PathSide", "ProfilePath"]

# A step that promises less than this share of the objective ends the minimisation.
PROMISE = 1e-10
MOST_STEPS = 200

DAMPING_START, DAMPING_MOST = 1e-3, 1e10

# How exactly the quantity is held, relative to its step.
HELD = 1e-9
MOST_RESTORING = 25

# Values tried outward, each so many times farther than the last, and how exactly the end of the
# interval is then found: the root of the deviance to this share of the threshold's.
GROWTH = 1.6
MOST_OUTWARD = 30
END = 1e-4
MOST_SECANTS = 30
MOST_HALVINGS = 30
POINTS_EACH_SIDE = 12


class PathPoint(NamedTuple):
    """The best point with the quantity at a level.

    Attributes:
        point: coefficients in units of their columns' sizes, then coordinates, shape (p,).
        level: the quantity, or its logarithm.
        deviance: rise of the objective over the fit's, in units of the noise.
    """

    point: np.ndarray
    level: float
    deviance: float


class PathSide(NamedTuple):
    """One side of a profile, outward from the fit.

    Attributes:
        points: the points, outward.
        end: level at which the deviance passes the threshold, or the last one reached.
        closed: whether it does.
    """

    points: list[PathPoint]
    end: float
    closed: bool


class _Local(NamedTuple):
    """The objective at a point, shapes (), (p,), (p, p) and (p, p).

    ``hessian`` is the exact one. ``gauss_newton`` is that of the parabola that touches the
    penalties from above: positive definite, and safe far from the minimum.
    """

    value: Any
    gradient: Any
    hessian: Any
    gauss_newton: Any


class _Natural(NamedTuple):
    """Free parameters in raw units (p,), and their first and second derivatives in the point."""

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray


class ProfilePath:
    """Minimises the objective with a quantity q held at one level after the other.

    Coefficients are in units of their columns' sizes, so that all parameters are of one size. Each
    step is a Newton step of F in the tangent plane of q, after which the point is moved along the
    steepest direction of q until q is at its level again: F alone decides whether it is taken.
    """

    @quiet()
    def __init__(self, fitted: FittedData, quantity: Quantity) -> None:
        self._fitted = fitted
        self._problem, self._data = fitted.prepared.problem, fitted.prepared.data
        self._objective = scaled_objective(self._problem, self._data)
        self._logarithmic = quantity.logarithmic
        self._k = len(self._problem.owners)
        coordinates, scale = fitted.optimum.coordinates, self.scale(fitted.point)
        self.start = np.r_[fitted.optimum.coefficients / scale, coordinates]
        factor = np.r_[1 / scale, np.ones(len(coordinates))]
        self.lower = fitted.prepared.settings.lower * factor
        self.upper = fitted.prepared.settings.upper * factor
        self._quantity = QuantityFunction(fitted, quantity)
        here = self._local(self.start)
        diagonal = np.diagonal(here.gauss_newton)
        self._metric = np.maximum(diagonal, 1e-12 * diagonal.max())
        self.level, gradient = self._gradient(self.start)
        if not np.isfinite(gradient).all() or not gradient.any():
            raise ArgumentError(
                f"quantity={shown(quantity.function or quantity.name)} does not depend on any free "
                "parameter in a way that can be differentiated",
                argument="quantity",
                value=quantity.function or quantity.name,
                remedy=TRACEABLE,
            )
        self._least = float(here.value)
        self._noise = self._noise_of_objective()
        # Standard error of the quantity as if there were no bounds: it only sizes the first step.
        size = np.sqrt(self._metric)
        curved, scaled = here.gauss_newton / np.outer(size, size), gradient / size
        self._error = float(np.sqrt(self._noise * scaled @ np.linalg.pinv(curved) @ scaled))

    def _noise_of_objective(self) -> float:
        """Kappa = s^2 / m, with s^2 = sum w psi^2 / (n - p) and m = mean psi'.

        One where errors are known: weights are one over their squares.
        """
        fitted = self._fitted
        unit = float(self._data.unit) if fitted.fit.objective.residual == "raw" else 1.0
        residuals, weight = fitted.residuals[fitted.used] / unit, fitted.weight[fitted.used]
        if fitted.fit.objective.sigma is not None:
            return unit**-2
        how = self._data.measure
        variance = np.sum(weight * obj.influence(how, residuals) ** 2) / fitted.df_resid
        return float(variance / core_share(how, residuals, weight))

    @quiet()
    def use_sandwich(self, by: Columns | None) -> tuple[float, tuple[Note, ...]]:
        """Scale the deviance to the sandwich: its degrees of freedom of Student's t, and notes.

        The noise is multiplied by the ratio of the two variances that the sandwich and the Jacobian
        give the quantity, g^T V g with g its gradient. It stays as it is where the quantity depends
        on nothing that has a variance.

        Args:
            by: columns of the clusters.
        """
        natural = self._natural(self.start).value
        logs = np.array([False] * self._k + list(self._problem.logarithmic))
        gradient = self._quantity.gradient(natural)[1] * np.where(logs, natural, 1.0)
        fitted = self._fitted
        jacobian = derivatives(self._problem, self._data, fitted.point).jacobian[fitted.used]
        # Parameters that the quantity depends on are uncertain, even if a bound holds them. Those
        # of terms that are zero have no variance.
        held = (fitted.at_bound & (gradient == 0)) | ~jacobian.any(axis=0)
        here = fitted._replace(at_bound=held)
        gradient = gradient[~held]
        if not gradient.any():
            return fitted.df_resid, ()
        plain = covariance_matrix(here, "jacobian", None)
        robust = covariance_matrix(here, "sandwich", by)
        ratio = (gradient @ robust.matrix @ gradient) / (gradient @ plain.matrix @ gradient)
        self._noise *= float(ratio)
        self._error *= np.sqrt(float(ratio))
        return robust.df, robust.notes

    def scale(self, point: np.ndarray) -> np.ndarray:
        """Raw units of one unit of each coefficient at a point, shape (k,)."""
        return np.diagonal(self._natural(point).first)[: self._k]

    def natural(self, level: float) -> float:
        """A level as a value of the quantity."""
        return float(np.exp(level)) if self._logarithmic else float(level)

    @quiet()
    def side(self, direction: int, reach: float) -> PathSide:
        """Points outward in one direction, until the deviance passes reach^2.

        Args:
            direction: -1 or 1.
            reach: root of the threshold.
        """
        points: list[PathPoint] = []
        inner, outer = PathPoint(self.start, self.level, 0.0), None
        # A few small steps, then longer ones: where the parabola is wrong the first show it.
        step = reach * self._error / (POINTS_EACH_SIDE / 3)
        for _ in range(MOST_OUTWARD):
            found = self.hold(self.level + direction * step, inner.point)
            if found is None:
                return self._until_bounds(points, inner, self.level + direction * step)
            points.append(found)
            if found.deviance >= reach**2:
                outer = found
                break
            inner, step = found, step * GROWTH
        if outer is None:
            return PathSide(points, inner.level, False)
        # The root of the deviance is nearly straight: secants, kept inside by bisection.
        for _ in range(MOST_SECANTS):
            low, high = np.sqrt(inner.deviance), np.sqrt(outer.deviance)
            if min(high - reach, reach - low) <= END * reach:
                break
            # Not too close to an end that is already known.
            ratio = np.clip((reach - low) / (high - low), 0.02, 0.98)
            middle = self.hold(inner.level + ratio * (outer.level - inner.level), inner.point)
            if middle is None:
                break
            points.append(middle)
            inner, outer = (middle, outer) if middle.deviance < reach**2 else (inner, middle)
        low, high = np.sqrt(inner.deviance), np.sqrt(outer.deviance)
        end = inner.level + (reach - low) / (high - low) * (outer.level - inner.level)
        points.sort(key=lambda item: direction * item.level)
        return PathSide(points, float(end), True)

    def _until_bounds(self, points: list[PathPoint], inner: PathPoint, beyond: float) -> PathSide:
        """The open side where the bounds end the quantity, which bisection finds.

        Args:
            points: those found so far.
            inner: the last of them, or the fit.
            beyond: a level that the bounds do not allow.
        """
        outer = beyond
        for _ in range(MOST_HALVINGS):
            middle = 0.5 * (inner.level + outer)
            found = self.hold(middle, inner.point)
            if found is None:
                outer = middle
            else:
                points.append(found)
                inner = found
        return PathSide(points, inner.level, False)

    @quiet()
    def hold(self, level: float, start: np.ndarray) -> PathPoint | None:
        """The best point with the quantity at a level; None where the bounds allow none.

        Args:
            level: of the quantity, or of its logarithm.
            start: a point near it, shape (p,).
        """
        point = self._restored(start, level, np.zeros(len(start), dtype=bool))
        if point is None:
            return None
        # Levenberg and Marquardt: less damping after a step that decreases F, more after none did.
        damping = DAMPING_START
        here = self._local(point)
        if not np.isfinite(here.value):
            return None
        for _ in range(MOST_STEPS):
            trials = self._trials(point, level, here, damping)
            if trials and max(one.promise for one in trials) <= PROMISE * abs(here.value):
                break
            better = [one for one in trials if one.local.value < here.value]
            if better:
                best = min(better, key=lambda one: float(one.local.value))
                point, here = best.point, best.local
                damping = max(damping * 0.1, 1e-14)
            else:
                damping *= 8.0
                if damping > DAMPING_MOST:
                    break
        rise = 2 * (float(here.value) - self._least)
        return PathPoint(point, level, max(rise / self._noise, 0.0))

    def _trials(
        self, point: np.ndarray, level: float, here: _Local, damping: float
    ) -> list[_Trial]:
        """Where damped steps lead, by the Hessian of the Lagrangian and by Gauss-Newton."""
        _, slope = self._gradient(point)
        active = self._active(point, here.gradient, slope)
        free = ~active
        # The Lagrangian is F - lambda q: its Hessian has the curvature of the quantity too.
        multiplier = self._multiplier(here.gradient, slope, free)
        lagrangian = here.hessian - multiplier * self._hessian(point)
        trials = []
        for matrix in (lagrangian, here.gauss_newton):
            step = _tangent_step(matrix, self._metric * damping, here.gradient, slope, free)
            if step is None:
                continue
            promise = abs(0.5 * step @ (here.gradient - multiplier * slope))
            trial = self._restored(np.clip(point + step, self.lower, self.upper), level, active)
            if trial is not None:
                trials.append(_Trial(promise, trial, self._local(trial)))
        return trials

    def _restored(self, point: np.ndarray, level: float, active: np.ndarray) -> np.ndarray | None:
        """The point moved along the steepest direction until the quantity is at the level.

        Args:
            point: where to start, shape (p,).
            level: of the quantity, or of its logarithm.
            active: parameters that stay at their bounds, shape (p,).
        """
        active = active.copy()
        for _ in range(MOST_RESTORING):
            value, slope = self._gradient(point)
            missing = level - value
            if not np.isfinite(missing):
                return None
            if abs(missing) <= HELD * max(self._error, 1e-12 * abs(level)):
                return point
            direction = np.where(active, 0.0, slope / self._metric)
            size = slope @ direction
            if not size > 0:
                return None
            moved = point + direction * (missing / size)
            inside = np.clip(moved, self.lower, self.upper)
            # A parameter that was at its bound and is pushed against it stays there.
            active |= (inside != moved) & (inside == point)
            point = inside
        return None

    def _active(self, point: np.ndarray, gradient: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Parameters at a bound that the objective, along the quantity, pushes against."""
        every = np.ones(len(point), dtype=bool)
        pull = gradient - self._multiplier(gradient, slope, every) * slope
        return ((point <= self.lower) & (pull >= 0)) | ((point >= self.upper) & (pull <= 0))

    def _multiplier(self, gradient: np.ndarray, slope: np.ndarray, free: np.ndarray) -> float:
        """Lagrange multiplier dF/dq by least squares; zero where bounds hold the quantity."""
        # In the metric of Gauss and Newton, in which all parameters are of one size.
        share = slope[free] / self._metric[free]
        size = share @ slope[free]
        return float(share @ gradient[free] / size) if size > 0 else 0.0

    def _local(self, point: np.ndarray) -> _Local:
        with quiet():
            batch = unbounded_batch(self._objective, self._data, point[None, self._k :])
            here = self._objective.local(batch, point[None])
            hessian, gauss_newton = map(self._objective.dense, (here.hessian, here.gauss_newton))
        return _Local(here.value[0], here.gradient[0], hessian[0], gauss_newton[0])

    def _gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The quantity and its gradient in the point."""
        natural = self._natural(point)
        value, slope = self._quantity.gradient(natural.value)
        with quiet():
            return value, slope @ natural.first

    def _hessian(self, point: np.ndarray) -> np.ndarray:
        """Hessian of the quantity in the point, by the chain rule."""
        natural = self._natural(point)
        _, slope = self._quantity.gradient(natural.value)
        own = self._quantity.hessian(natural.value)
        return natural.first.T @ own @ natural.first + np.tensordot(slope, natural.second, 1)

    def _natural(self, point: np.ndarray) -> _Natural:
        """Raw units: a coefficient is its number in the point times unit / size of its column.

        The size s depends on the coordinates z: ``first`` is d ln s / dz, and ``rest`` is
        s d2(1/s) / dz dz.
        """
        k, p, logs = self._k, len(point), np.array(self._problem.logarithmic, dtype=bool)
        with quiet():
            size, first, rest = self._objective.scale_derivatives(
                self._data.metric[None], point[None, k:]
            )
        # Columns that do not move with a coordinate keep their size.
        moving = self._objective.moving
        first = np.where(moving[:, None], first[0], 0.0)
        rest = np.where(moving[:, None, None], rest[0], 0.0)
        factor = self._data.unit / size[0]
        raw = point[:k] * factor
        last = np.where(logs, np.exp(np.where(logs, point[k:], 0.0)), point[k:])
        slope, second = np.zeros((p, p)), np.zeros((p, p, p))
        # raw = z / s: derivatives in z, in the coordinates through s, and of both.
        slope[:k, :k] = np.diag(factor)
        slope[:k, k:] = -raw[:, None] * first
        slope[k:, k:] = np.diag(np.where(logs, last, 1.0))
        every = np.arange(k)
        second[every, every, k:] = -factor[:, None] * first
        second[every, k:, every] = -factor[:, None] * first
        second[:k, k:, k:] = raw[:, None, None] * rest
        axes = k + np.arange(p - k)
        second[axes, axes, axes] = np.where(logs, last, 0.0)
        return _Natural(np.concatenate([raw, last]), slope, second)


class _Trial(NamedTuple):
    """Where a step leads: the decrease it promised, the point, and the objective there."""

    promise: float
    point: np.ndarray
    local: _Local


def _tangent_step(
    matrix: np.ndarray, damping: np.ndarray, gradient: np.ndarray, slope: np.ndarray, free: Any
) -> np.ndarray | None:
    """The step that minimises a parabola without moving the quantity, to first order.

    It solves the equations of Karush, Kuhn and Tucker, with a the gradient of the quantity,

        [ H + D   a ] [  step  ]   [ -g ]
        [ a^T     0 ] [ lambda ] = [  0 ]

    Args:
        matrix: H, shape (p, p).
        damping: diagonal of D, shape (p,).
        gradient: g, shape (p,).
        slope: a, shape (p,).
        free: parameters that may move, shape (p,).
    """
    # Rows and columns in units of the diagonal: parameters differ by many powers of ten.
    size = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)[free]), 1e-300))
    inner = (matrix[np.ix_(free, free)] + np.diag(damping[free])) / np.outer(size, size)
    edge = slope[free] / size
    count = len(edge)
    # Where bounds alone hold the quantity no step moves it: the last row is then lambda = 0.
    length = np.linalg.norm(edge)
    edge = edge / length if length > 0 else edge
    whole = np.zeros((count + 1, count + 1))
    whole[:count, :count] = inner
    whole[:count, count] = whole[count, :count] = edge
    whole[count, count] = 0.0 if length > 0 else 1.0
    try:
        solved = np.linalg.solve(whole, np.r_[-gradient[free] / size, 0.0])
    except np.linalg.LinAlgError:
        return None
    step = np.zeros(len(free))
    step[free] = solved[:count] / size
    return step if np.isfinite(step).all() else None
