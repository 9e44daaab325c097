"""Proof that a fitted optimum is global, by weak duality and branch and bound.

TODO docstring
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.fitting.intervals import (
    EPSILON,
    Interval,
    NotEnclosed,
    Value,
    constant,
    enclose,
    known,
    outward,
    point,
    variable,
)
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.objective import Objective, measure

__all__ = ["Certificate", "certify"]

TOLERANCE = 1e-6
MOST_BOXES = 50_000
MOST_COORDINATES = 3

# Objectives below this share of the squared loss (residuals of 1e-5 of the loss) are not resolved
# to TOLERANCE in float64; the gap is then relative to this floor.
FLOOR = 1e-10

# Every coordinate is cut in two this often before anything is bounded.
FIRST_CUTS = 2

# Margin kept where a coefficient is free in sign.
SPARE = 1.5

# Violation of the constraints of the Huber dual, relative, left to be repaired by a shift.
INFEASIBLE = 1e-13

# Boxes bounded at once: keeps the arrays in cache.
CHUNK = 512

# A box searched in the logarithm is cut at the geometric mean while its ends are further apart.
GEOMETRIC = 4.0

# Coordinates whose share of the slack is at least this part of the largest are cut together.
CUT_SHARE = 0.3

# Generations of boxes between looks at whether the objective is lower in the most promising one.
LOOK = 4


@dataclass(frozen=True)
class Certificate:
    closed: bool
    gap: float
    boxes: int
    region: Mapping[str, tuple[float, float]]
    reason: str

    def __bool__(self) -> bool:
        return self.closed


class _Refusal(Exception):  # noqa: N818
    """Why a certificate is not attempted."""


def certify(
    problem: Problem,
    settings: Settings,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    value: float,
    *,
    tolerance: float = TOLERANCE,
    most_boxes: int = MOST_BOXES,
    seconds: float = np.inf,
) -> Certificate:
    with np.errstate(all="ignore"):
        try:
            search = _prepare(
                problem, settings, objective, columns, observed, weight, fixed, value, tolerance
            )
            return search.run(most_boxes, seconds)
        except (_Refusal, NotEnclosed) as refusal:
            reason = f"not attempted: {refusal}"
            return Certificate(False, float("nan"), 0, {}, reason)


def _prepare(problem, settings, objective, columns, observed, weight, fixed, value, tolerance):
    if not np.isfinite(value):
        raise _Refusal("the objective is not finite")
    free: list[int] = []
    for index, (group, kinds) in enumerate(zip(problem.linear, problem.limits, strict=True)):
        if kinds == ("none", "none") and not problem.axes_seen[index]:
            free.append(index)
        elif kinds != ("zero", "none"):
            raise _Refusal(f"coefficient {group[0]} has bounds other than zero from below")
        if len(problem.axes_seen[index]) > 1:
            raise _Refusal(f"the term of {group[0]} depends on more than one coordinate")
    if len(free) > 1:
        raise _Refusal("more than one coefficient is free in sign")
    if problem.axes_known:
        raise _Refusal("the law has a part without free coefficients that is searched too")
    q = len(problem.nonlinear)
    if q > MOST_COORDINATES:
        raise _Refusal(f"{q} nonlinear coordinates are more than {MOST_COORDINATES}")
    used = weight > 0
    data = Data(
        columns=tuple(
            np.asarray(columns[name], dtype=np.float64)[used] for name in problem.law.columns
        ),
        response=observed[used],
        weight=weight[used],
        metric=None,
        unit=1.0,
        fixed=tuple(float(fixed[name]) for name in problem.fixed),
        measure=measure(objective, observed[used]),
    )
    loss = _loss(objective, data.response, data.weight, value)
    k = len(problem.linear)
    logs = np.array(problem.logarithmic, dtype=bool)
    low, high = np.asarray(settings.lower)[k:], np.asarray(settings.upper)[k:]
    # The parameter itself is searched; the box is widened by the rounding of the exponential.
    margin = 4 * FUNCTION_MARGIN * np.where(logs, np.maximum(1, np.abs([low, high]).max(0)), 0)
    low = np.where(logs, np.exp(low) * (1 - margin), low)
    high = np.where(logs, np.exp(high) * (1 + margin), high)
    axes = []
    for axis in range(q):
        seeing = [i for i in range(k) if problem.axes_seen[i] == (axis,)]
        axes.append(_Axis(problem, data, axis, seeing, low[axis], high[axis]))
    at = np.sqrt(low * high) if False else 0.5 * (low + high)
    still = [i for i in range(k) if not problem.axes_seen[i]]
    static = [_enclose_column(problem, data, i, None, at, at).value for i in still]
    known_part = _known(problem, data, at)
    return _Search(
        problem, loss, axes, still, static, free, known_part, low, high, value, tolerance
    )


FUNCTION_MARGIN = 8 * EPSILON


# Enclosing columns


@lru_cache(maxsize=256)
def _program(problem: Problem, index: int | None, rows: int) -> Any:
    """The traced program of a column (the known part for None) in the parameters themselves."""

    def column(theta: Any, fixed: Any, arrays: Any) -> jax.Array:
        coordinates = [
            jnp.log(item) if logarithmic else item
            for item, logarithmic in zip(theta, problem.logarithmic, strict=True)
        ]
        data = Data(arrays, arrays[0], arrays[0], None, 1.0, fixed, None)
        if index is None:
            return problem.known(data, coordinates)
        return problem.column(index, data, coordinates)

    with jax.enable_x64(True):
        number = jax.ShapeDtypeStruct((), np.float64)
        array = jax.ShapeDtypeStruct((rows,), np.float64)
        return jax.make_jaxpr(column)(
            [number] * len(problem.nonlinear),
            (number,) * len(problem.fixed),
            (array,) * len(problem.law.columns),
        )


def _enclose_column(problem, data, index, axis, lower, upper) -> Value:
    """A column over intervals of one coordinate: ``lower``, ``upper`` (batch,), or points (q,)."""
    theta = [known(1.0) for _ in problem.nonlinear]
    if axis is not None:
        theta[axis] = variable(lower, upper)
    program = _program(problem, index, len(data.response))
    (found,) = enclose(program, [*theta, *map(known, data.fixed), *map(known, data.columns)])
    return found


def _known(problem, data, at) -> Interval | None:
    if problem.axes_known is None:
        return None
    return _enclose_column(problem, data, None, None, at, at).value.mapped(lambda x: x[0])


@dataclass(frozen=True)
class _Pieces:
    """Columns of one coordinate over intervals of it, each scaled by a positive function.

    ``middle`` and ``radius`` have shape (intervals, columns, 5, rows): the column at the lower end
    and at the upper end, its second derivative at the middle, and over the whole interval its
    second and third derivatives. ``least`` is its lower bound over the interval, (intervals,
    columns, rows).
    """

    middle: np.ndarray
    radius: np.ndarray
    least: np.ndarray


class _Axis:
    """The columns that see one coordinate."""

    def __init__(self, problem, data, axis, columns, low, high) -> None:
        self.problem, self.data, self.axis, self.columns = problem, data, axis, columns
        self.rows = len(data.response)
        self.width = len(columns)
        self.lines = [self._line(place, low, high) for place in range(self.width)]

    def _enclose(self, place, lower, upper) -> Value:
        return _enclose_column(
            self.problem, self.data, self.columns[place], self.axis, lower, upper
        )

    def _line(self, place, low, high) -> Any:
        """Level, slope and where the level is taken, of a logarithm without curvature."""
        center = 0.5 * (low + high)
        column = self._enclose(place, np.array([low, center]), np.array([high, center]))
        if column.log is None:
            return None
        level, slope, *curved = column.log.jet
        if (
            level is None
            or slope is None
            or len(slope.lo) > 1
            or any(x is not None for x in curved)
        ):
            return None
        return level.mapped(lambda x: x[1:]), slope, center

    def pieces(self, lower: np.ndarray, upper: np.ndarray) -> _Pieces:
        middle = np.empty((len(lower), self.width, 5, self.rows))
        radius = np.empty_like(middle)
        least = np.empty((len(lower), self.width, self.rows))
        for place in range(self.width):
            self._fill(place, lower, upper, middle[:, place], radius[:, place], least[:, place])
        return _Pieces(middle, radius, least)

    def _fill(self, place, lower, upper, middle, radius, least) -> None:
        center = 0.5 * (lower + upper)
        local = self._affine(place, lower, center, upper)
        if local is None:
            local = self._general(place, lower, center, upper)
        value, ends, curve, two, three = local
        for at, item in enumerate((*ends, curve, two, three)):
            middle[:, at] = item.mid
            radius[:, at] = item.radius
        least[:] = value.lo

    def _affine(self, place, lower, center, upper) -> Any:
        """A column whose logarithm is a straight line in the parameter: a power, an exponential."""
        if self.lines[place] is None:
            return None
        level, slope, start = self.lines[place]
        tilt = float(slope.mid.mean())
        first = slope - point(np.full((1, 1), tilt))
        m = point(center[:, None])
        above = level + slope * (m - point(np.full((1, 1), start)))
        above = above - point(above.mid.max(axis=-1, keepdims=True))
        steps = [point(lower[:, None]) - m, point(upper[:, None]) - m]
        span = Interval(steps[0].lo, steps[1].hi)
        ends = [_exp(above + first * step) for step in steps]
        # The logarithm is monotone in the parameter, so the ends enclose what lies between.
        value = Interval(np.minimum(ends[0].lo, ends[1].lo), np.maximum(ends[0].hi, ends[1].hi))
        square = first.square()
        return value, ends, _exp(above) * square, value * square, value * (first * square)

    def _general(self, place, lower, center, upper) -> Any:
        count = len(lower)
        starts = np.concatenate([lower, upper, center, lower])
        ends = np.concatenate([lower, upper, center, upper])
        column = self._enclose(place, starts, ends)
        at_a, at_b, at_m, over = (slice(i * count, (i + 1) * count) for i in range(4))

        def part(item: Interval | None, where: slice) -> Interval:
            if item is None:
                return point(np.zeros((1, 1)))
            return item.mapped(lambda x: x if x.shape[0] == 1 else x[where])

        if column.log is None:
            jet = column.jet
            size = np.abs(part(jet[0], at_m).mid).max(axis=-1, keepdims=True)
            # A power of two: scaling is exact.
            scale = point(np.exp2(-np.round(np.log2(np.where(size > 0, size, 1.0)))))
            value, two, three = (part(jet[i], over) * scale for i in (0, 2, 3))
            pair = [part(jet[0], where) * scale for where in (at_a, at_b)]
            return value, pair, part(jet[2], at_m) * scale, two, three
        logs = column.log.jet
        tilt = part(logs[1], at_m).mid.mean(axis=-1, keepdims=True)
        tilted = point(np.broadcast_to(tilt, (count, 1)))
        top = point(part(logs[0], at_m).mid.max(axis=-1, keepdims=True))
        m = point(center[:, None])
        steps = [point(lower[:, None]) - m, point(upper[:, None]) - m]
        span = Interval(steps[0].lo, steps[1].hi)
        first, second, third = (part(logs[i], over) for i in (1, 2, 3))
        first = first - tilted
        above = part(logs[0], at_m) - top
        value = _exp(above + first * span)
        square = first.square()
        two = value * (square + second)
        three = value * (first * (square + second.scaled(3.0)) + third)
        curve = _exp(above) * ((part(logs[1], at_m) - tilted).square() + part(logs[2], at_m))
        pair = [
            _exp(part(logs[0], where) - top - tilted * step)
            for where, step in zip((at_a, at_b), steps, strict=True)
        ]
        return value, pair, curve, two, three


def _exp(x: Interval) -> Interval:
    found = x.increasing(np.exp)
    return Interval(np.maximum(found.lo, 0.0), found.hi)


# Losses


def _gamma(terms: int) -> float:
    """Bound on the relative rounding error of a sum of that many products, in any order."""
    return 1.01 * (terms + 8) * EPSILON


def _lower_sum(terms: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Rigorous lower bound of sums over rows; each term carries at most 16 roundings of ``sizes``."""
    total = terms.sum(axis=-1)
    return total - _gamma(terms.shape[-1] + 16) * sizes.sum(axis=-1)


class _Loss(Protocol):
    """Rows of an objective, as functions of the prediction.

    ``linearise``: weight and target of the parabola that stands for each row near a prediction.
    ``conjugate``: lower bound of sum_i inf [h_i(f) + u_i f].
    ``reach``: how far from zero a prediction may lie that is no worse than the incumbent, (rows,).
    """

    floor: float
    reach: np.ndarray

    def start(self) -> tuple[np.ndarray, np.ndarray]: ...

    def linearise(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def conjugate(self, u: np.ndarray) -> np.ndarray: ...

    def evaluate(self, predicted: np.ndarray) -> np.ndarray: ...


class _Squared:
    """w (L - f)^2 / divisor^2."""

    def __init__(self, observed, weight, divisor, value) -> None:
        self.y = observed
        self.w = weight / divisor**2
        self.floor = float(np.sum(self.w * observed**2))
        self.reach = (np.abs(observed) + np.sqrt(value / self.w)) * (1 + 64 * EPSILON)

    def start(self):
        return 2 * self.w, self.y

    def linearise(self, predicted):
        return self.start()

    def conjugate(self, u):
        first = u * self.y
        second = u * u / (4 * self.w)
        return _lower_sum(first - second, np.abs(first) + second)

    def evaluate(self, predicted):
        return (self.w * (self.y - predicted) ** 2).sum(axis=-1)


class _LogSquared:
    """w ln(L/f)^2 ; s = ln(f/L)."""

    FURTHEST = 0.7
    BEYOND = 1e-3

    def __init__(self, observed, weight, value) -> None:
        self.y = observed
        self.w = weight
        self.floor = float(np.sum(weight))
        # |s| beyond this is worse than the incumbent in one row alone.
        self.most = np.sqrt(value / weight) * (1 + 64 * EPSILON)
        self.end = weight * self.most**2
        self.upper, self.lower = np.exp(self.most), np.exp(-self.most)
        self.reach = observed * self.upper * (1 + 64 * EPSILON)

    def start(self):
        return 2 * self.w / self.y**2, self.y

    def linearise(self, predicted):
        ratio = np.clip(predicted / self.y, np.exp(-self.FURTHEST), np.exp(self.FURTHEST))
        s = np.clip(np.log(ratio), -self.most, self.most)
        f = self.y * np.exp(s)
        slope = 2 * self.w * s / f
        curvature = 2 * self.w * (1 - s) / f**2
        return curvature, f - slope / curvature

    def conjugate(self, u):
        """inf of psi(s) = w s^2 + u L e^s over |s| <= most, row by row."""
        w, most = self.w, self.most
        p = u * self.y
        half = p / (2 * w)
        x = np.maximum(half, -0.35)
        # -W(x), Lambert's function, by a rational start and one Newton step.
        s = -x * (1 + 4 / 3 * x) / (1 + x * (7 / 3 + 5 / 6 * x))
        e = x * np.exp(s)
        s = s - (s + e) / (1 + e)
        squared = w * s * s
        e = p * np.exp(s)
        slope = 2 * w * s + e
        # psi'' = 2w + u L e^s is at least m: for u >= 0 everywhere, for u < 0 up to ``BEYOND`` past
        # s. There psi has begun to rise, and it goes on rising until it is concave: beyond, it is
        # least at the end of the interval.
        m = 2 * w * (1 - 1e-9) + np.minimum(e, 0) * (math.exp(self.BEYOND) * (1 + 1e-9))
        slope = np.abs(slope) + 32 * EPSILON * (2 * w * np.abs(s) + np.abs(e))
        terms = squared + e - slope * slope / (2 * m)
        sizes = squared + np.abs(e) * (1 + np.abs(s))
        upper, lower = p * self.upper, p * self.lower
        sure = (m > 0) & (slope < 0.5 * self.BEYOND * m)
        terms = np.where(sure, np.minimum(terms, self.end + upper), np.minimum(upper, lower))
        sizes = np.maximum(sizes, self.end + np.abs(upper) * (1 + most))
        # u > 0 so large that psi rises from the lower end on.
        low = lower * (1 - 1e-9) > 2 * w * most
        terms = np.where(low, self.end + lower, terms)
        return _lower_sum(terms, sizes)

    def evaluate(self, predicted):
        fine = predicted > 0
        s = np.log(np.where(fine, predicted, 1.0) / self.y)
        return np.where(fine, self.w * s * s, np.inf).sum(axis=-1)


class _Huber:
    """w H((L - f) / divisor)."""

    def __init__(self, observed, weight, divisor, delta, value) -> None:
        self.y, self.divisor, self.delta, self.row_weight = observed, divisor, delta, weight
        self.w = weight / divisor**2
        # Half the square, as H is within delta.
        self.floor = float(0.5 * np.sum(self.w * observed**2))
        size = value / weight
        most = np.where(size <= delta**2 / 2, np.sqrt(2 * size), size / delta + delta / 2)
        self.most = most * (1 + 64 * EPSILON)
        inner = np.minimum(self.most, delta)
        self.end = weight * (0.5 * inner**2 + delta * np.maximum(self.most - delta, 0))
        self.reach = (np.abs(observed) + self.most * divisor) * (1 + 64 * EPSILON)

    def start(self):
        return self.w, self.y

    def linearise(self, predicted):
        r = np.abs(self.y - predicted) / self.divisor
        return self.w * np.minimum(1.0, self.delta / np.maximum(r, 1e-300)), self.y

    def conjugate(self, u):
        first = u * self.y
        pull = np.abs(u) * self.divisor
        limit = np.minimum(self.most, self.delta) * self.row_weight
        inside = pull <= limit
        # Beyond, the row is least at the end of what the incumbent allows it.
        second = np.where(inside, pull**2 / (2 * self.row_weight), pull * self.most - self.end)
        size = np.where(inside, second, pull * self.most + self.end)
        return _lower_sum(first - second, np.abs(first) + size)

    def evaluate(self, predicted):
        r = np.abs(self.y - predicted) / self.divisor
        inner = np.minimum(r, self.delta)
        return (self.row_weight * (0.5 * inner**2 + self.delta * (r - inner))).sum(axis=-1)


class _HuberDual:
    """The dual of the nonnegative Huber problem on given columns, by an interior point method.

    Minimise sum_i a_i (delta v_i^2 / 2 - v_i z_i), a = w delta, z = target / divisor, over abs(v)
    <= 1 with sum_i a_i v_i K_ji <= -margin_j, K the columns over the divisor; u = a v / divisor.
    The iterates stay strictly inside the bounds. Predictor and corrector of Mehrotra 1992, SIAM J.
    Optim. 2(4).
    """

    def __init__(self, loss, corners, goal, free, coefficients) -> None:
        self.a = loss.row_weight * loss.delta
        self.a = self.a / self.a.sum()
        self.total = float((loss.row_weight * loss.delta).sum())
        self.delta, self.free, self.divisor, self.loss = loss.delta, free, loss.divisor, loss
        self.size = np.maximum(np.abs(corners / loss.divisor) @ self.a, 1e-300)
        self.K = corners / loss.divisor / self.size[:, :, None]
        self.z = goal / loss.divisor
        self.c = coefficients * self.size
        r = self.z - np.einsum("bm,bmn->bn", self.c, self.K)
        level = (np.abs(r) @ self.a)[:, None] + 1e-300
        self.v = np.clip(r / self.delta, -0.9, 0.9)
        over = r - self.delta * self.v
        self.p = np.maximum(over, 0) + 0.1 * level
        self.q = np.maximum(-over, 0) + 0.1 * level
        self.c = np.where(free, self.c, np.maximum(self.c, 0.1 * level))
        self.s = np.full_like(self.c, 0.1)

    def vector(self) -> np.ndarray:
        return self.v * (self.loss.row_weight * self.delta / self.divisor)

    def coefficients(self) -> np.ndarray:
        return self.c / self.size

    def improve(self, margin, small, most) -> None:
        """Iterate until the duality gap is below ``small`` in units of the objective."""
        margin = margin / self.size / self.total
        names = ("K", "v", "p", "q", "c", "s")
        live = np.arange(len(margin))
        K, *state = (getattr(self, name) for name in names)
        z = np.broadcast_to(self.z, self.v.shape)
        for _ in range(most):
            state, done = self._iterate(K, margin, z, state, small)
            for name, item in zip(names[1:], state, strict=True):
                getattr(self, name)[live] = item
            if done.all():
                break
            if done.any():
                K, margin, live = K[~done], margin[~done], live[~done]
                z = z[~done]
                state = [item[~done] for item in state]

    def _iterate(self, K, margin, z, state, small):
        a, delta, bound = self.a, self.delta, ~self.free
        v, p, q, c, s = state
        above, below = 1 - v, 1 + v
        aK = a * K
        gap = (p * above + q * below) @ a + (c * s * bound).sum(axis=1)
        rd = delta * v - z + (c[:, None, :] @ K)[:, 0] + p - q
        rs = np.where(bound, s, 0.0) + margin + (aK @ v[:, :, None])[:, :, 0]
        done = (gap * self.total < small) & (np.abs(rs).max(axis=1) < INFEASIBLE)
        mu = (gap / (2.0 + bound.sum()))[:, None]
        over_p, over_q = p / above, q / below
        H = 1.0 / (delta + over_p + over_q)
        M = (aK * H[:, None, :]) @ K.transpose(0, 2, 1)
        diagonal = np.where(bound, s / c, 0.0) + 1e-14 * np.einsum("bii->bi", M)
        M += np.eye(len(self.free)) * diagonal[:, None, :]
        dp = dq = dv = np.zeros_like(v)
        dc = ds = np.zeros_like(c)
        target = np.zeros_like(mu)
        for corrector in (False, True):
            tp = (target + dp * dv) / above - p
            tq = (target - dq * dv) / below - q
            tc = np.where(bound, (target - dc * ds) / c - s, 0.0)
            g = (tq - rd - tp) * H
            side = tc + rs + (aK @ g[:, :, None])[:, :, 0]
            dc = np.linalg.solve(M, side[:, :, None])[:, :, 0]
            dv = g - (dc[:, None, :] @ K)[:, 0] * H
            dp, dq = tp + over_p * dv, tq - over_q * dv
            ds = np.where(bound, -rs - (aK @ dv[:, :, None])[:, :, 0], 0.0)
            step = np.minimum.reduce(
                [_reach(above, -dv), _reach(below, dv), _reach(p, dp), _reach(q, dq)]
                + [_reach(s, ds, bound), _reach(c, dc, bound)]
            )
            step = np.minimum(step * (0.995 if corrector else 1.0), 1.0)
            if not corrector:
                t = step[:, None]
                ahead = ((p + t * dp) * (above - t * dv) + (q + t * dq) * (below + t * dv)) @ a
                ahead = ahead + ((c + t * dc) * (s + t * ds) * bound).sum(axis=1)
                target = mu * np.clip(ahead / gap, 0, 1)[:, None] ** 3
        moves = np.isfinite(step) & np.isfinite(dv).all(axis=1) & ~done
        t = np.where(moves, step, 0.0)[:, None]
        steps = (dv, dp, dq, dc, np.where(bound, ds, 0.0))
        moved = [
            np.where(moves[:, None], x + t * dx, x) for x, dx in zip(state, steps, strict=True)
        ]
        return moved, ~moves


def _reach(x, dx, where=True):
    """How far along dx all of x stay positive."""
    return np.where(where & (dx < 0), -x / dx, 1e300).min(axis=1)


def _loss(objective: Objective, observed, weight, value) -> Any:
    value = max(value, 0.0)
    if objective.robust == "none":
        if objective.residual == "log":
            return _LogSquared(observed, weight, value)
        divisor = observed if objective.residual == "relative" else np.ones_like(observed)
        return _Squared(observed, weight, divisor, value)
    if objective.residual == "log":
        raise _Refusal("the Huber loss of log residuals is not convex in the prediction")
    divisor = observed if objective.residual == "relative" else np.ones_like(observed)
    return _Huber(observed, weight, divisor, float(objective.delta), value)


# The inner problem


def _nonnegative(gram, moment, passive, free):
    """Minimise c.G c / 2 - c.b over c >= 0, a batch at once, by block principal pivoting.

    Portugal, Judice and Vicente 1994, Math. Comp. 63. What is returned need not be exact.
    """
    batch, m, _ = gram.shape
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    gram = gram * scale[:, :, None] * scale[:, None, :]
    b = moment * scale
    small = 1e-14 * np.abs(b).max(axis=1)
    found = np.zeros((batch, m))
    best = np.full(batch, m + 1)
    patience = np.full(batch, 3)
    work = np.arange(batch)
    identity = np.eye(m)
    passive = passive | free
    for _ in range(4 * m + 10):
        p = passive[work]
        g = gram[work]
        pair = p[:, :, None] & p[:, None, :]
        system = np.where(pair, g, 0.0) + identity * np.where(p, 1e-14, 1.0)[:, None, :]
        c = np.linalg.solve(system, np.where(p, b[work], 0.0)[:, :, None])[:, :, 0]
        dual = (g @ c[:, :, None])[:, :, 0] - b[work]
        wrong = np.where(p, (c < 0) & ~free, dual < -small[work, None])
        found[work] = c
        bad = wrong.sum(axis=1)
        if not bad.any():
            break
        better = bad < best[work]
        trying = ~better & (patience[work] > 0)
        best[work] = np.where(better, bad, best[work])
        patience[work] = np.where(better, 3, patience[work] - trying)
        alone = ~better & ~trying
        last = m - 1 - np.argmax(wrong[:, ::-1], axis=1)
        single = np.arange(m)[None, :] == last[:, None]
        flip = wrong & (~alone[:, None] | single)
        passive[work] = p ^ flip
        work = work[bad > 0]
    return np.where(free, found, np.maximum(found, 0.0)) * scale, passive


@dataclass
class _Boxes:
    """Boxes still to be bounded: ends (boxes, q) and the columns at work in the parent."""

    lower: np.ndarray
    upper: np.ndarray
    passive: np.ndarray

    def __len__(self) -> int:
        return len(self.lower)

    def take(self, which) -> _Boxes:
        return _Boxes(self.lower[which], self.upper[which], self.passive[which])


class _Search:
    def __init__(
        self, problem, loss, axes, still, static, free, known_part, low, high, value, tolerance
    ):
        self.problem, self.loss, self.axes, self.value = problem, loss, axes, value
        self.low, self.high = low, high
        self.scale = max(value, FLOOR * loss.floor)
        self.target = value - tolerance * self.scale
        self.tolerance = tolerance
        rows = len(loss.y)
        self.rows = rows
        # Columns that see nothing, scaled to the size of one.
        self.static = np.zeros((len(static), rows))
        self.static_radius = np.zeros((len(static), rows))
        for place, item in enumerate(static):
            top = np.abs(item.mid).max()
            factor = np.exp2(-np.round(np.log2(top))) if top > 0 else 1.0
            self.static[place] = item.mid * factor
            self.static_radius[place] = item.radius * factor
        self.size = len(static) + 2 * sum(axis.width for axis in axes)
        self.free = np.zeros(self.size, dtype=bool)
        self.free[[still.index(i) for i in free]] = True
        self.known = known_part.mid if known_part is not None else np.zeros(rows)
        self.known_radius = known_part.radius if known_part is not None else np.zeros(rows)
        self.has_known = known_part is not None
        self.boxes = 0
        weight, target = loss.start()
        self.direction = weight * np.abs(target)
        self.gamma = _gamma(rows)

    # The bound

    def bound(self, boxes: _Boxes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower bounds (boxes,), slack by coordinate (boxes, q), and columns at work."""
        count = len(boxes)
        corners = np.empty((count, self.size, self.rows))
        corners[:, : len(self.static)] = self.static
        first = len(self.static)
        gathered = []
        for axis_number, axis in enumerate(self.axes):
            a, b = boxes.lower[:, axis_number], boxes.upper[:, axis_number]
            _, pick, inverse = np.unique(a + 1j * b, return_index=True, return_inverse=True)
            pieces = axis.pieces(a[pick], b[pick])
            middle = pieces.middle[inverse]
            width = 2 * axis.width
            corners[:, first : first + width] = middle[:, :, :2].reshape(count, width, self.rows)
            # Twice the distance from the middle, which is rounded.
            width_above = (b - a + 4 * EPSILON * np.maximum(np.abs(a), np.abs(b))) * (
                1 + 4 * EPSILON
            )
            gathered.append((first, middle, pieces, inverse, width_above))
            first += width
        fine = np.isfinite(corners).all(axis=(1, 2))
        corners[~fine] = 1.0

        weight, target = self.loss.start()
        margin = np.zeros((count, self.size))
        predicted, stationary, passive = self._solve(corners, weight, target, margin, boxes.passive)
        weight, target = self.loss.linearise(predicted)
        if isinstance(self.loss, _Huber):
            dual = _HuberDual(self.loss, corners, self.loss.y - self.known, self.free, stationary)
            dual.improve(margin, 0.03 * self.value, 12)
            stationary = dual.coefficients()
            dual.improve(self._margin(gathered, dual.vector()), 1e-2 * self.tolerance * self.scale, 30)
            u = dual.vector()
        else:
            margin = self._margin(gathered, weight * (target - predicted))
            predicted, _, passive = self._solve(
                corners, weight, target, margin, passive, refine=True
            )
            u = weight * (target - predicted)
        bounds, needed = self._prove(gathered, u)
        mixing = self._slack(gathered, stationary, weight)
        cost = np.minimum(needed, 1e100) * (np.abs(predicted) @ self.direction)[:, None]
        slack = np.sqrt(2 * self.value) * mixing + cost
        return np.where(fine, bounds, -np.inf), slack, passive

    def _solve(self, corners, weight, target, margin, passive, refine=False):
        """u = weight (target - f) with u.column <= -margin, f of nonnegative coefficients."""
        weighted = corners * (weight[:, None, :] if weight.ndim == 2 else weight)
        gram = weighted @ corners.transpose(0, 2, 1)
        goal = target - self.known
        moment = (
            np.einsum("bmn,bn->bm", weighted, np.broadcast_to(goal, (len(corners), self.rows)))
            + margin
        )
        c, passive = _nonnegative(gram, moment, passive, self.free)
        k = np.einsum("bm,bmn->bn", c, corners)
        if not refine:
            return k + self.known, c, passive
        # One step of refinement against rows: the Gram matrix squares the condition.
        u = weight * (goal - k)
        rest = np.einsum("bmn,bn->bm", corners, u) + margin
        p = passive
        scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
        pair = p[:, :, None] & p[:, None, :]
        system = np.where(pair, gram * scale[:, :, None] * scale[:, None, :], 0.0)
        system += np.eye(self.size) * np.where(p, 1e-14, 1.0)[:, None, :]
        step = np.linalg.solve(system, np.where(p, rest * scale, 0.0)[:, :, None])[:, :, 0] * scale
        c = np.where(self.free, c + step, np.maximum(c + step, 0.0))
        k = np.einsum("bm,bmn->bn", c, corners)
        return k + self.known, c, passive

    def _margin(self, gathered, u):
        """By how much the test would fail inside the box, for each corner column; not rigorous."""
        margin = np.zeros((len(u), self.size))
        size = np.abs(u)
        margin[:, : len(self.static)] = 4 * (
            size @ (self.gamma * np.abs(self.static) + self.static_radius).T
        )
        for first, middle, pieces, inverse, width in gathered:
            for place in range(middle.shape[1]):
                dots = np.einsum("bkn,bn->bk", middle[:, place], u)
                noise = np.einsum(
                    "bn,bn->b", size, np.abs(middle[:, place, 0]) + np.abs(middle[:, place, 1])
                )
                spread = np.einsum("bn,bn->b", size, pieces.radius[inverse, place, 3])
                curve = _curve(
                    dots,
                    np.zeros_like(dots),
                    spread,
                    np.einsum("bn,bn->b", size, pieces.radius[inverse, place, 4]),
                    width,
                )
                over = np.maximum(_summit(*np.minimum(dots[:, :2], 0).T, curve, width), 0)
                over = np.where(np.isfinite(over), over, 0.0) + 4 * self.gamma * noise
                margin[:, first + 2 * place] = over
                margin[:, first + 2 * place + 1] = over
        if self.free.any():
            # What fails the test by a little cannot be repaired by a shift: see _prove.
            margin *= SPARE
            place = int(np.argmax(self.free))
            psi = np.abs(self.static[place])
            margin += 16 * self.gamma * (size @ psi)[:, None] / psi.max()
        margin[:, self.free] = 0.0
        return margin

    def _prove(self, gathered, u):
        """Rigorous lower bounds from any u."""
        size = np.abs(u)
        e = self.direction
        radius = self.gamma * np.abs(self.static) + self.static_radius
        above = u @ self.static.T + 1.01 * (size @ radius.T)
        uncertain = np.zeros(len(u))
        row = 0
        if self.free.any():
            place = int(np.argmax(self.free))
            psi, psi_radius = self.static[place], self.static_radius[place]
            row = int(np.argmax(np.abs(psi)))
            off = np.abs(u @ psi) + 1.01 * (size @ radius[place])
            least = np.abs(psi[row]) - psi_radius[row]
            uncertain = 1.01 * off / least
            above = above + 1.01 * uncertain[:, None] * (
                np.abs(self.static[:, row]) + radius[:, row]
            )
            e = np.zeros_like(e)
        shift = np.zeros(len(u))
        tests: list[tuple[np.ndarray, Any]] = []
        needed = np.zeros((len(u), len(self.axes)))
        for place in range(len(self.static)):
            if self.free[place]:
                continue
            against = (self.static[place] - self.static_radius[place]) @ e * (
                1 - 1e-9
            ) - self.gamma * np.abs(self.static[place]) @ e
            shift = np.maximum(shift, _ratio(above[:, place], against))
            tests.append((above[:, place], against))
        for number, (_, middle, pieces, inverse, width) in enumerate(gathered):
            radius = pieces.radius + self.gamma * (np.abs(pieces.middle) + pieces.radius)
            radius = radius[inverse]
            least = pieces.least @ e
            least = least - self.gamma * (np.abs(pieces.least) @ e)
            for place in range(middle.shape[1]):
                dots = np.einsum("bkn,bn->bk", middle[:, place], u)
                errors = 1.01 * np.einsum("bkn,bn->bk", radius[:, place], size)
                errors += (
                    1.01
                    * uncertain[:, None]
                    * (np.abs(middle[:, place, :, row]) + radius[:, place, :, row])
                )
                # The spread of the whole interval's derivatives is inside errors[:, 3:].
                curve = _curve(dots, errors, errors[:, 3], errors[:, 4], width)
                top = _summit(dots[:, 0] + errors[:, 0], dots[:, 1] + errors[:, 1], curve, width)
                ratio = _ratio(top, least[inverse, place])
                tests.append((top, least[inverse, place]))
                needed[:, number] = np.maximum(needed[:, number], ratio)
        shift = np.maximum(shift, needed.max(axis=1)) if len(self.axes) else shift
        ok = np.isfinite(shift)
        for excess, against in tests:
            # The direction may hurt a column that is not positive.
            ok &= (against > 0) | (shift == 0) | (excess - shift * against * (1 + 1e-9) <= 0)
        # The shifted vector is rounded: the product t e is taken a little too large.
        moved = u - np.where(ok & (shift > 0), shift, 0.0)[:, None] * e
        bounds = self.loss.conjugate(moved)
        if self.has_known:
            terms = moved * self.known
            bounds -= terms.sum(axis=-1) + 1.01 * (
                np.abs(moved) @ (self.gamma * np.abs(self.known) + self.known_radius)
            )
        bounds -= 1.01 * uncertain * (self.loss.reach[row] + np.abs(self.known[row]))
        bounds -= 4 * EPSILON * np.abs(bounds)
        return np.where(ok & np.isfinite(bounds), bounds, -np.inf), needed

    def _slack(self, gathered, coefficients, weight):
        """How far mixing the corners of an interval can move the fit, by coordinate."""
        slack = np.zeros((len(coefficients), len(self.axes)))
        w = np.broadcast_to(weight, (len(coefficients), self.rows))
        for number, (first, middle, _, _, width) in enumerate(gathered):
            for place in range(middle.shape[1]):
                at = first + 2 * place
                c = coefficients[:, at] + coefficients[:, at + 1]
                bend = np.sqrt(np.einsum("bn,bn->b", w, middle[:, place, 2] ** 2))
                slack[:, number] += c * width**2 / 8 * bend
        return slack

    # The search

    def run(self, most_boxes: int, seconds: float) -> Certificate:
        began = time.perf_counter()
        if self.value <= self.tolerance * self.scale:
            # No objective is negative.
            return Certificate(True, self.value / self.scale, 0, {}, "")
        start = np.zeros((1, self.size), dtype=bool)
        start[:, : len(self.static)] = True
        boxes = _Boxes(self.low[None], self.high[None], start)
        for _ in range(FIRST_CUTS):
            boxes = self._cut(boxes, np.ones((len(boxes), len(self.axes))))
        least, reason, turn = np.inf, "", 0
        open_boxes = boxes
        while len(boxes):
            parts = [
                self.bound(boxes.take(slice(i, i + CHUNK))) for i in range(0, len(boxes), CHUNK)
            ]
            bounds, slack, passive = (np.concatenate(item) for item in zip(*parts, strict=True))
            self.boxes += len(boxes)
            done = bounds >= self.target
            if done.any():
                least = min(least, float(bounds[done].min()))
            open_boxes = _Boxes(boxes.lower[~done], boxes.upper[~done], passive[~done])
            if done.all():
                gap = max((self.value - least) / self.scale, 0.0)
                return Certificate(True, gap, self.boxes, {}, "")
            lowest = float(bounds[~done].min())
            turn += 1
            reason = self._stop(open_boxes, bounds[~done], most_boxes, began, seconds, turn)
            if reason:
                break
            boxes = self._cut(open_boxes, slack[~done])
        gap = (self.value - max(min(lowest, least), 0.0)) / self.scale
        return Certificate(False, gap, self.boxes, self._region(open_boxes), reason)

    def _stop(self, boxes, bounds, most_boxes, began, seconds, turn) -> str:
        where = int(np.argmin(bounds))
        at = 0.5 * (boxes.lower[where] + boxes.upper[where])
        reached = self._objective_at(at) if turn % LOOK == 0 else np.inf
        if reached < self.target:
            point_ = ", ".join(
                f"{group[0]} = {x:.6g}" for group, x in zip(self.problem.nonlinear, at, strict=True)
            )
            return f"the objective is lower elsewhere: {reached:.8g} at {point_}, against {self.value:.8g}"
        if self.boxes >= most_boxes:
            return f"{len(boxes)} boxes are still open after {self.boxes}"
        if time.perf_counter() - began > seconds:
            return f"{len(boxes)} boxes are still open after {seconds:g} s"
        if not self.axes:
            return "the bound of the one convex problem is not tight enough"
        return ""

    def _objective_at(self, theta: np.ndarray) -> float:
        """Objective with the best coefficients at one point; not rigorous."""
        corners = [self.static]
        for number, axis in enumerate(self.axes):
            at = theta[number : number + 1]
            corners.append(axis.pieces(at, at).middle[0, :, 0])
        matrix = np.concatenate(corners)[None]
        if not np.isfinite(matrix).all():
            return np.inf
        keep = self.size, self.free
        free = np.zeros(matrix.shape[1], dtype=bool)
        free[: len(self.static)] = self.free[: len(self.static)]
        self.size, self.free = matrix.shape[1], free
        try:
            weight, target = self.loss.start()
            zero = np.zeros((1, self.size))
            passive = np.ones((1, self.size), dtype=bool)
            for _ in range(3):
                predicted, _, passive = self._solve(matrix, weight, target, zero, passive, True)
                weight, target = self.loss.linearise(predicted)
        finally:
            self.size, self.free = keep
        return float(self.loss.evaluate(predicted)[0])

    def _cut(self, boxes: _Boxes, slack: np.ndarray) -> _Boxes:
        slack = np.where(np.isfinite(slack), slack, 0.0)
        largest = slack.max(axis=1, keepdims=True) if slack.shape[1] else slack
        if not self.axes:
            return boxes
        relative = (boxes.upper - boxes.lower) / (self.high - self.low)
        slack = np.where(largest > 0, slack, relative)
        largest = slack.max(axis=1, keepdims=True)
        cut = slack >= CUT_SHARE * largest
        logs = np.array(self.problem.logarithmic, dtype=bool)
        lower, upper, passive = boxes.lower, boxes.upper, boxes.passive
        for number in range(len(self.axes)):
            which = cut[:, number]
            a, b = lower[which, number], upper[which, number]
            far = logs[number] & (b > GEOMETRIC * a)
            at = np.where(far, np.sqrt(np.abs(a * b)), 0.5 * (a + b))
            left, right = upper.copy(), lower[which].copy()
            left[which, number] = at
            right[:, number] = at
            lower = np.concatenate([lower, right])
            upper = np.concatenate([left, upper[which]])
            passive = np.concatenate([passive, passive[which]])
            cut = np.concatenate([cut, cut[which]])
        return _Boxes(lower, upper, passive)

    def _region(self, boxes: _Boxes) -> dict[str, tuple[float, float]]:
        region = {}
        for number, group in enumerate(self.problem.nonlinear):
            ends = float(boxes.lower[:, number].min()), float(boxes.upper[:, number].max())
            region.update(dict.fromkeys(group, ends))
        return region


def _curve(dots, errors, second, third, width):
    """Upper bound of -g'' over the interval, by its enclosure or from its middle."""
    whole = -dots[:, 3] + second
    middle = -dots[:, 2] + errors[:, 2] + 0.5 * width * (np.abs(dots[:, 4]) + third)
    return np.minimum(
        np.where(np.isnan(whole), np.inf, whole), np.where(np.isnan(middle), np.inf, middle)
    )


def _summit(a, b, curve, width):
    """Upper bound on an interval of g with ends a and b and -g'' <= curve."""
    bulge = np.maximum(curve, 0.0) * width**2 / 8 * (1 + 8 * EPSILON)
    rise = np.abs(b - a) * (1 - 4 * EPSILON)
    # Chord plus parabola: its top lies inside where the chord rises less than 4 bulges.
    inside = rise < 4 * bulge
    top = 0.5 * (a + b) + bulge + np.where(inside, rise**2 / (16 * bulge), 0.0)
    top = np.where(inside, top + 8 * EPSILON * (np.abs(a) + np.abs(b) + bulge), np.maximum(a, b))
    return np.where(np.isnan(top), np.inf, top)


def _ratio(excess, against):
    """How much of the direction repairs an excess; infinite where it cannot."""
    needed = excess / against * (1 + 1e-9)
    return np.where(excess <= 0, 0.0, np.where(against > 0, needed, np.inf))
