"""Profiles: how the objective rises when one quantity is held away from its best value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit import objective as obj
from scalefit.arguments import refused, shown
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.objective_setup import scaled_objective, unbounded_batch
from scalefit.frozen import Frozen
from scalefit.inference.covariance import CovarianceMethod, check_method, spread
from scalefit.inference.derivatives import core_share
from scalefit.inference.ensemble import EXAMPLE, called
from scalefit.inference.fitted_data import (
    FittedData,
    attach,
    curve_notes,
    parameters,
    require_freedom,
)
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.estimate import checked_level
from scalefit.results.fit import Fit, checked_fit, refuse_unknown
from scalefit.runtime.settings import quiet
from scalefit.tracing.operations import Function, trace

__all__ = ["Profile", "profile"]

TRACEABLE = (
    "JAX differentiates it: write it with jax.numpy, of free parameters and without if or float, "
    f"as quantity={EXAMPLE}"
)

# A step that promises less than this share of the objective is none.
PROMISE = 1e-10
MOST_STEPS = 200

# Free parameters whose second derivatives in each other are held whole: 64 MB.
MOST_PARAMETERS = 200

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
POINTS_EACH_SIDE = 12


@dataclass(frozen=True, eq=False)
class Profile:
    """How far a quantity can be moved before the objective says no.

    Attributes:
        name: of the quantity.
        value: at the fit.
        low: lower end of the interval; where it is not closed, the lowest value reached.
        high: upper end.
        closed: whether the objective rises above the threshold at the lower and the upper end. An
            interval that is not closed on a side reaches the bounds of the fit there, or farther.
        level: coverage promised.
        threshold: deviance at which an end lies: the square of Student's t.
        freedom: its degrees of freedom.
        method: what the noise was taken from: ``jacobian``, ``sandwich``, or ``sandwich of`` the
            column of the clusters.
        values: values of the quantity that were tried, ascending, shape (m,).
        deviance: rise of the objective at each, in units of the noise, shape (m,).
        params: parameters at each, raw units, shape (m,) by name.
        notes: soft problems.
    """

    name: str
    value: float
    low: float
    high: float
    closed: tuple[bool, bool]
    level: float
    threshold: float
    freedom: int
    method: str
    values: np.ndarray
    deviance: np.ndarray
    params: Mapping[str, np.ndarray]
    notes: tuple[Note, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """A row for each value tried: value, deviance, and the parameters there."""
        return pd.DataFrame({"value": self.values, "deviance": self.deviance, **self.params})

    def __repr__(self) -> str:
        return report.profile_text(self)


def profile(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    quantity: str | Callable[..., Any],
    *,
    level: float = 0.95,
    method: CovarianceMethod = "jacobian",
    by: str | None = None,
    **columns: Any,
) -> Profile:
    """Interval of one quantity, by refitting everything else while it is held.

    The deviance of a value c is 2 (F(c) - F) / kappa, F(c) the least objective with the quantity
    held at c and kappa = s^2 / m the noise of the objective (s, m as for :func:`covariance`): for
    squares, the rise of the sum of squares over the residual variance. Its square root is compared
    with Student's t. Unlike a standard error it follows curved valleys and stops at bounds.
    That takes the noise as independent and of one size; ``method="sandwich"`` does not, and divides
    the deviance by the ratio of the two variances that :func:`covariance` gives the quantity.

    Args:
        fit: the fit.
        runs: the table it was made from.
        quantity: a parameter, or a function of parameters as for :meth:`Ensemble.apply`, made of
            operations that JAX can differentiate, as ``lambda alpha, beta: beta / (alpha + beta)``
            or ``scalefit.allocation.optimum_function(fit, "N", flops=1e24)``. A function with a
            true attribute ``logarithmic`` is followed in its logarithm.
        level: coverage.
        method: where the size of the noise comes from: ``jacobian`` or ``sandwich``, as for
            :func:`covariance`.
        by: column of clusters of runs that depend on each other (sandwich).
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The profile.

    Raises:
        ArgumentError: the quantity is unknown, fixed, without effect or cannot be differentiated,
            or another option makes no sense.
        DataError: the table is not the one that was fitted, leaves fewer than five residual
            degrees of freedom, or lacks the column; the objective is a sum of absolute residuals;
            or there are more than 200 free parameters.

    Source:
        Bates and Watts 1988, Nonlinear Regression Analysis and Its Applications, section 6.1
        (profile t); Ronchetti 1982 (scaled for robust objectives: Hampel et al. 1986, Robust
        Statistics, section 7.2); Chandler and Bate 2007, Biometrika 94(1) (scaled to a sandwich).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> sf.profile(sf.fit(runs), runs, "alpha")
        alpha: 0.3... (95 %: 0.3... to 0.3...)
    """
    from scipy.stats import t

    checked_fit(fit)
    share = checked_level(level)
    check_method(method, by)
    asked = _read(fit, quantity)
    require_freedom(fit)
    if fit.objective.robust == "l1":
        raise DataError(
            "a sum of absolute residuals has corners along a profile",
            remedy="Fit with robust='huber' and a small delta, or use bootstrap",
        )
    refuse_unknown(profile, fit.law, columns)
    if fit.n_free > MOST_PARAMETERS:
        raise DataError(
            f"a profile holds the cube of the {fit.n_free} free parameters in memory: "
            f"{MOST_PARAMETERS} is the limit",
            remedy="Use covariance or bootstrap, or profile a fit of fewer levels",
        )
    fitted = attach(fit, runs, **columns)
    name = asked.name
    least, most = _range(fitted, name)
    walk = _Walk(fitted, asked)
    freedom = fitted.freedom
    notes = [*getattr(quantity, "notes", ()), *fit.carried, *curve_notes(fit, by)]
    if method == "sandwich":
        freedom, said = walk.widen(fitted, by)
        notes += said
    reach = float(t.ppf(0.5 + 0.5 * share, freedom))
    sides = [walk.side(direction, reach) for direction in (-1, 1)]
    middle = _Held(walk.start, walk.level, 0.0)
    held = [*reversed(sides[0].points), middle, *sides[1].points]
    points = np.array([item.point for item in held])
    k = len(fitted.prepared.problem.owners)
    scale = np.array([walk.scale(point) for point in points]).reshape(len(points), k)
    active = (points <= walk.lower) | (points >= walk.upper)
    # A quantity is held to a share of its step, and may lie beyond a bound by that.
    ends = [float(np.clip(walk.natural(side.end), least, most)) for side in sides]
    closed = (sides[0].closed, sides[1].closed)
    notes += [
        Note.of(
            "profile_open",
            f"{name} is not bounded {where}: the objective stays below the threshold down to the "
            f"bounds of the fit ({end:.4g}). No interval from these runs ends there",
            {"side": where, "end": end},
        )
        for where, end, shut in zip(("below", "above"), ends, closed, strict=True)
        if not shut
    ]
    return Profile(
        name=name,
        value=walk.natural(walk.level),
        low=ends[0],
        high=ends[1],
        closed=closed,
        level=share,
        threshold=reach**2,
        freedom=freedom,
        method=method if by is None else f"{method} of {by}",
        values=np.clip([walk.natural(item.level) for item in held], least, most),
        deviance=np.array([item.deviance for item in held]),
        params=Frozen(parameters(fitted, points[:, :k] * scale, points[:, k:], active)),
        notes=tuple(notes),
    )


class _Asked(NamedTuple):
    """What is profiled, whether in its logarithm, and its function, which a parameter has not."""

    name: str
    logarithmic: bool
    function: Callable[..., Any] | None


def _read(fit: Fit, quantity: str | Callable[..., Any]) -> _Asked:
    if callable(quantity):
        name = getattr(quantity, "__name__", "quantity")
        # A function that is called as a parameter is is not that parameter.
        shown = "quantity" if name == "<lambda>" or name in fit.params else name
        return _Asked(shown, bool(getattr(quantity, "logarithmic", False)), quantity)
    if not isinstance(quantity, str) or quantity not in fit.params:
        raise refused(
            "quantity",
            quantity,
            "a parameter of this fit",
            f"Pass one of {', '.join(fit.params)}, or a function of them, as quantity={EXAMPLE}",
        )
    if quantity in fit.fixed:
        raise ArgumentError(
            f"quantity={quantity!r} is fixed at {fit.params[quantity]:g}: nothing varies with it",
            argument="quantity",
            value=quantity,
            remedy="Free it and fit again",
        )
    kind = {param.name: param.kind for param in fit.law.params}[quantity.partition("[")[0]]
    logarithmic = kind.spacing == "log" or (kind.name == "amplitude" and fit.params[quantity] > 0)
    return _Asked(quantity, logarithmic, None)


def _range(fitted: FittedData, name: str) -> tuple[float, float]:
    """Bounds of a parameter; none of a function."""
    for group, (low, high) in zip(
        fitted.prepared.problem.names, fitted.prepared.settings.ends, strict=True
    ):
        if name in group:
            return float(low), float(high)
    return -np.inf, np.inf


class _Around(NamedTuple):
    """The objective at a point: value (), gradient (p,), and two matrices (p, p)."""

    value: Any
    gradient: Any
    newton: Any
    above: Any


class _Natural(NamedTuple):
    """Free parameters in raw units (p,), and their derivatives in the walk's coordinates."""

    value: Any
    slope: Any
    bend: Any


def _derivatives(
    function: Callable[..., Any],
    names: tuple[tuple[str, ...], ...],
    fixed: tuple[tuple[str, float], ...],
    name: str,
) -> tuple[Function, Function]:
    """Value with first derivative, and second derivative, of the free parameters, shape (p,)."""
    count = len(names)

    def value(*natural: Any) -> Any:
        params: dict[str, Any] = dict(fixed)
        for number, group in zip(natural, names, strict=True):
            params.update(dict.fromkeys(group, number))
        found = called(function, params, remedy=TRACEABLE, name="quantity")
        try:
            number = jnp.asarray(found, dtype=jnp.float64)
            if number.shape:
                found = f"an array of shape {number.shape}"
                raise ValueError(found)
        except Exception as error:  # Whatever JAX says of what is no number.
            raise ArgumentError(
                f"quantity={shown(function)} returns {shown(found)}, no single number",
                argument="quantity",
                value=function,
                remedy=f"Return one, as quantity={EXAMPLE}",
            ) from error
        return number

    def along(*natural: Any, axis: int) -> Any:
        return jax.jvp(value, natural, _unit(count, axis))[1]

    def slope(*natural: Any) -> list[Any]:
        return [value(*natural), *(along(*natural, axis=i) for i in range(count))]

    def bend(*natural: Any) -> list[Any]:
        pairs = combinations_with_replacement(range(count), 2)
        return [jax.jvp(partial(along, axis=i), natural, _unit(count, j))[1] for i, j in pairs]

    return trace(slope, count), trace(bend, count)


def _unit(count: int, axis: int) -> tuple[Any, ...]:
    return tuple(jnp.ones(()) if i == axis else jnp.zeros(()) for i in range(count))


class _Quantity:
    """A function of the free parameters in raw units, with derivatives; its logarithm if asked."""

    def __init__(self, fitted: FittedData, asked: _Asked) -> None:
        self.logarithmic = asked.logarithmic
        self.place: int | None = None
        self.fitted = fitted
        self._names = tuple(map(tuple, fitted.prepared.problem.names))
        self._differentiated: Any = getattr(asked.function, "differentiated", None)
        if asked.function is None:
            # A parameter is its own derivative.
            (self.place,) = (i for i, group in enumerate(self._names) if asked.name in group)
        elif self._differentiated is None:
            # Traced anew each time: a user's function may read what changes between calls.
            fixed = tuple(fitted.fit.fixed.items())
            self._slope, self._bend = _derivatives(asked.function, self._names, fixed, asked.name)

    def _own(self, natural: np.ndarray, order: int) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian of a function that gives its own, in the free parameters."""
        law = self.fitted.fit.law.names
        params = dict(self.fitted.fit.fixed)
        for number, group in zip(natural, self._names, strict=True):
            params.update(dict.fromkeys(group, float(number)))
        value, gradient, hessian = self._differentiated([params[name] for name in law], order)
        # Tied parameters move together.
        together = np.array([[name in group for name in law] for group in self._names], dtype=float)
        bent = together @ hessian @ together.T if order > 1 else hessian
        return value, together @ gradient, bent

    def slope(self, natural: np.ndarray) -> tuple[float, np.ndarray]:
        """Value, and derivative in each parameter, shape (p,)."""
        if self.place is not None:
            value, slope = natural[self.place], np.eye(len(natural))[self.place]
        elif self._differentiated is not None:
            value, slope, _ = self._own(natural, 1)
        else:
            with quiet():
                value, *slopes = (float(item) for item in self._slope.bind(*natural)())
            slope = np.array(slopes)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (
                (float(np.log(value)), slope / value) if self.logarithmic else (float(value), slope)
            )

    def bend(self, natural: np.ndarray) -> np.ndarray:
        """Second derivative, shape (p, p)."""
        size = len(natural)
        own = np.zeros((size, size))
        if self._differentiated is not None:
            own = self._own(natural, 2)[2]
        elif self.place is None:
            pairs = combinations_with_replacement(range(size), 2)
            with quiet():
                found = self._bend.bind(*natural)()
            for (i, j), item in zip(pairs, found, strict=True):
                own[i, j] = own[j, i] = item
        if not self.logarithmic:
            return own
        value, slope = self.slope(natural)
        return own / np.exp(value) - np.outer(slope, slope)


class _Held(NamedTuple):
    """The best point with the quantity at a level."""

    point: np.ndarray
    level: float
    deviance: float


class _Side(NamedTuple):
    """One side of a profile, outward from the fit."""

    points: list[_Held]
    end: float
    closed: bool


class _Walk:
    """Constrained minimisation along a quantity, in coordinates of unit-size columns.

    Every step keeps the quantity: it is solved for in the tangent plane, then restored along the
    steepest direction of the quantity, so that the objective alone judges it.
    """

    @quiet()
    def __init__(self, fitted: FittedData, asked: _Asked) -> None:
        self.problem, self.data = fitted.prepared.problem, fitted.prepared.data
        self.objective = scaled_objective(self.problem, self.data)
        self.logarithmic = asked.logarithmic
        self.k = len(self.problem.owners)
        coordinates = fitted.near.coordinates
        raw = fitted.point
        self.start = np.r_[fitted.near.coefficients / self.scale(raw), coordinates]
        factor = np.r_[1 / self.scale(raw), np.ones(len(coordinates))]
        self.lower = fitted.prepared.settings.lower * factor
        self.upper = fitted.prepared.settings.upper * factor

        self._quantity = _Quantity(fitted, asked)
        here = self.around(self.start)
        self.metric = np.maximum(np.diagonal(here.above), 1e-12 * np.diagonal(here.above).max())
        self.level, slope = self.slope(self.start)
        self.best = float(here.value)
        unit = float(self.data.unit) if fitted.fit.objective.residual == "raw" else 1.0
        residuals, weight = fitted.residuals[fitted.used] / unit, fitted.table.weight[fitted.used]
        how = self.data.measure
        spread = np.sum(weight * obj.influence(how, residuals) ** 2) / fitted.freedom
        share = core_share(how, residuals, weight)
        self.kappa = float(spread / share)
        if not np.isfinite(slope).all() or not slope.any():
            raise ArgumentError(
                f"quantity={shown(asked.function or asked.name)} does not depend on any free "
                "parameter in a way that can be differentiated",
                argument="quantity",
                value=asked.function or asked.name,
                remedy=TRACEABLE,
            )
        size = np.sqrt(self.metric)
        curved, scaled = here.above / np.outer(size, size), slope / size
        # A first step only, as if there were no bounds: the walk corrects it.
        self.error = float(np.sqrt(self.kappa * scaled @ np.linalg.pinv(curved) @ scaled))

    @quiet()
    def widen(self, fitted: FittedData, by: str | None) -> tuple[int, tuple[Note, ...]]:
        """Take the noise of the quantity from a sandwich; its degrees of freedom, and notes."""
        natural = self._natural(self.start).value
        logs = np.array([False] * self.k + list(self.problem.logarithmic))
        slope = self._quantity.slope(natural)[1] * np.where(logs, natural, 1.0)
        # What the quantity is made of is not known, even if a bound holds it.
        here = fitted._replace(held=fitted.held & (slope == 0))
        slope = slope[~here.held]
        plain, robust = spread(here, "jacobian", None), spread(here, "sandwich", by)
        ratio = float((slope @ robust.inner @ slope) / (slope @ plain.inner @ slope))
        self.kappa *= ratio
        self.error *= np.sqrt(ratio)
        return robust.freedom, robust.notes

    def scale(self, point: np.ndarray) -> np.ndarray:
        """Raw units of one unit of each coefficient at a point, shape (k,)."""
        return np.diagonal(self._natural(point).slope)[: self.k]

    def natural(self, level: float) -> float:
        """A level of the quantity as the caller knows it."""
        return float(np.exp(level)) if self.logarithmic else float(level)

    def around(self, point: np.ndarray) -> _Around:
        """Exact second derivative, and that of the parabola that touches penalties from above."""
        with quiet():
            batch = unbounded_batch(self.objective, self.data, point[None, self.k :])
            here = self.objective.local(batch, point[None])
            bend, above = map(self.objective.dense, (here.hessian, here.gauss_newton))
        return _Around(here.value[0], here.gradient[0], bend[0], above[0])

    def _natural(self, point: np.ndarray) -> _Natural:
        k, logs = self.k, np.array(self.problem.logarithmic, dtype=bool)
        with quiet():
            size, first, rest = self.objective.scale_derivatives(
                self.data.metric[None], point[None, k:]
            )
        moving = self.objective.moving
        first = np.where(moving[:, None], first[0], 0.0)
        rest = np.where(moving[:, None, None], rest[0], 0.0)
        factor = self.data.unit / size[0]
        raw = point[:k] * factor
        last = np.where(logs, np.exp(np.where(logs, point[k:], 0.0)), point[k:])
        p = len(point)
        slope, bend = np.zeros((p, p)), np.zeros((p, p, p))
        slope[:k, :k] = np.diag(factor)
        slope[:k, k:] = -raw[:, None] * first
        slope[k:, k:] = np.diag(np.where(logs, last, 1.0))
        every = np.arange(k)
        bend[every, every, k:] = -factor[:, None] * first
        bend[every, k:, every] = -factor[:, None] * first
        bend[:k, k:, k:] = raw[:, None, None] * rest
        axes = k + np.arange(p - k)
        bend[axes, axes, axes] = np.where(logs, last, 0.0)
        return _Natural(np.concatenate([raw, last]), slope, bend)

    def slope(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        natural = self._natural(point)
        value, slope = self._quantity.slope(natural.value)
        with quiet():
            return value, slope @ natural.slope

    @quiet()
    def side(self, direction: int, reach: float) -> _Side:
        """Values outward in one direction, until the deviance passes the threshold."""
        points: list[_Held] = []
        inner, outer = _Held(self.start, self.level, 0.0), None
        step = reach * self.error / (POINTS_EACH_SIDE / 3)
        for _ in range(MOST_OUTWARD):
            found = self.hold(self.level + direction * step, inner.point)
            if found is None:
                return self._to_the_wall(points, inner, self.level + direction * step)
            points.append(found)
            if found.deviance >= reach**2:
                outer = found
                break
            inner, step = found, step * GROWTH
        if outer is None:
            return _Side(points, inner.level, False)
        # The root of the deviance is nearly straight: secants, kept inside by bisection.
        for _ in range(MOST_SECANTS):
            low, high = np.sqrt(inner.deviance), np.sqrt(outer.deviance)
            if min(high - reach, reach - low) <= END * reach:
                break
            ratio = np.clip((reach - low) / (high - low), 0.02, 0.98)
            middle = self.hold(inner.level + ratio * (outer.level - inner.level), inner.point)
            if middle is None:
                break
            points.append(middle)
            inner, outer = (middle, outer) if middle.deviance < reach**2 else (inner, middle)
        low, high = np.sqrt(inner.deviance), np.sqrt(outer.deviance)
        end = inner.level + (reach - low) / (high - low) * (outer.level - inner.level)
        points.sort(key=lambda item: direction * item.level)
        return _Side(points, float(end), True)

    def _to_the_wall(self, points: list[_Held], inner: _Held, beyond: float) -> _Side:
        """Nothing there: halve the way to where the bounds end it."""
        outer = beyond
        for _ in range(30):
            middle = 0.5 * (inner.level + outer)
            found = self.hold(middle, inner.point)
            if found is None:
                outer = middle
            else:
                points.append(found)
                inner = found
        return _Side(points, inner.level, False)

    @quiet()
    def hold(self, level: float, start: np.ndarray) -> _Held | None:
        """The best point with the quantity at a level; None where the bounds leave none."""
        point = self._restored(start, level, np.zeros(len(start), dtype=bool))
        if point is None:
            return None
        damping = DAMPING_START
        here = self.around(point)
        if not np.isfinite(here.value):
            return None
        for _ in range(MOST_STEPS):
            _, slope = self.slope(point)
            bend = self._bent(point)
            active = self._active(point, here.gradient, slope)
            free = ~active
            multiplier = self._multiplier(here.gradient, slope, free)
            trials = []
            for matrix in (here.newton - multiplier * bend, here.above):
                step = _tangent(matrix, self.metric * damping, here.gradient, slope, free)
                if step is None:
                    continue
                decrement = abs(0.5 * step @ (here.gradient - multiplier * slope))
                trial = self._restored(np.clip(point + step, self.lower, self.upper), level, active)
                if trial is not None:
                    found = self.around(trial)
                    trials.append((float(found.value), decrement, trial, found))
            if trials and max(item[1] for item in trials) <= PROMISE * abs(here.value):
                break
            better = [item for item in trials if item[0] < here.value]
            if better:
                _, _, point, here = min(better, key=lambda item: item[0])
                damping = max(damping * 0.1, 1e-14)
            else:
                damping *= 8.0
                if damping > DAMPING_MOST:
                    break
        return _Held(point, level, max(2 * (float(here.value) - self.best) / self.kappa, 0.0))

    def _bent(self, point: np.ndarray) -> np.ndarray:
        natural = self._natural(point)
        _, slope = self._quantity.slope(natural.value)
        own = self._quantity.bend(natural.value)
        return natural.slope.T @ own @ natural.slope + np.tensordot(slope, natural.bend, 1)

    def _active(self, point: np.ndarray, gradient: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Parameters at a bound that the objective, along the quantity, pushes against."""
        every = np.ones(len(point), dtype=bool)
        pull = gradient - self._multiplier(gradient, slope, every) * slope
        return ((point <= self.lower) & (pull >= 0)) | ((point >= self.upper) & (pull <= 0))

    def _multiplier(self, gradient: np.ndarray, slope: np.ndarray, free: np.ndarray) -> float:
        """How much the objective rises with the quantity; none where bounds hold the quantity."""
        share = slope[free] / self.metric[free]
        size = share @ slope[free]
        return float(share @ gradient[free] / size) if size > 0 else 0.0

    def _restored(self, point: np.ndarray, level: float, active: np.ndarray) -> np.ndarray | None:
        """The point moved along the steepest direction until the quantity is at the level."""
        active = active.copy()
        for _ in range(MOST_RESTORING):
            value, slope = self.slope(point)
            missing = level - value
            if not np.isfinite(missing):
                return None
            if abs(missing) <= HELD * max(self.error, 1e-12 * abs(level)):
                return point
            direction = np.where(active, 0.0, slope / self.metric)
            size = slope @ direction
            if not size > 0:
                return None
            moved = point + direction * (missing / size)
            inside = np.clip(moved, self.lower, self.upper)
            active |= (inside != moved) & (inside == point)
            point = inside
        return None


def _tangent(
    matrix: np.ndarray, damping: np.ndarray, gradient: np.ndarray, slope: np.ndarray, free: Any
) -> np.ndarray | None:
    """The step that minimises a parabola without moving the quantity, to first order."""
    size = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)[free]), 1e-300))
    inner = (matrix[np.ix_(free, free)] + np.diag(damping[free])) / np.outer(size, size)
    edge = slope[free] / size
    count = len(edge)
    # Where bounds alone hold the quantity there is nothing to keep: a row of its own then.
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
