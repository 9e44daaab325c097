"""Rows of an objective and their convex conjugates, and duals of the problem on given columns.

A vector u proves a lower bound through sum_i inf [h_i(f_i) + u_i f_i]; this file bounds those
infima from below, rounding included, and finds vectors that make them large. Where the vectors come
from proves nothing, so the solvers are plain floating point. What a prediction no worse than an
incumbent may be in one row alone, h_i(f_i) <= value, confines each infimum to an interval.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from scalefit.certification.intervals import EPSILON
from scalefit.objective import Objective

__all__ = ["Huber", "HuberDual", "LogSquared", "Loss", "Squared", "gamma", "loss", "nonnegative"]

# Violation of the constraints of the Huber dual, relative, left to be repaired by a shift.
INFEASIBLE = 1e-13


def gamma(terms: int) -> float:
    """Bound on the relative rounding error of a sum of that many products, in any order."""
    return 1.01 * (terms + 8) * EPSILON


def _lower_sum(terms: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Lower bound of sums over rows, each term known to 16 roundings of its size, summed too."""
    total = terms.sum(axis=-1)
    return total - gamma(terms.shape[-1] + 16) * sizes


def _ends(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ranges[..., 0, :], ranges[..., 1, :]


def _tangency() -> tuple[np.ndarray, np.ndarray]:
    """Ends of a range of s beyond 1, and where a line from there touches s^2 over e^s."""
    touch = np.linspace(1.0, 0.0, 400)
    end = touch + 1e-9 + 50.0 * np.ones_like(touch)
    low = touch.copy()
    # The line from the tangent at ``touch`` meets the curve again at the end: by bisection.
    for _ in range(60):
        middle = 0.5 * (low + end)
        above = 2 * touch * np.expm1(middle - touch) > (middle - touch) * (middle + touch)
        over = above & (middle > touch + 1e-12)
        # Below the second meeting the curve lies above its tangent.
        low, end = np.where(over, low, middle), np.where(over, middle, end)
    return end, touch


_MEETING, _TOUCH = _tangency()


def _tangent(high: np.ndarray) -> np.ndarray:
    """Largest s at which the convex envelope over a range that ends at ``high`` is the row."""
    return np.where(high <= 1, high, np.interp(high, _MEETING, _TOUCH))


class Loss(ABC):
    """Rows of an objective, as functions of their predictions.

    Attributes:
        y: observed losses, (rows,).
        floor: objective of predictions of zero, or one of like size.
        reach: how far from zero a prediction may lie that is no worse than the incumbent, (rows,).
        range: ends of what narrows the infima, of the predictions as the loss counts them, that the
            incumbent allows in one row alone, (2, rows); of no rows where nothing does.
    """

    range = np.empty((2, 0))
    y: np.ndarray
    floor: float
    reach: np.ndarray

    @abstractmethod
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near its observed loss."""

    @abstractmethod
    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near a prediction."""

    @abstractmethod
    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of sum_i inf [h_i(f) + u_i f], (boxes,), from u of shape (boxes, rows)."""

    @abstractmethod
    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective, not rigorous."""


class Squared(Loss):
    """w (L - f)^2 / divisor^2."""

    def __init__(
        self, observed: np.ndarray, weight: np.ndarray, divisor: np.ndarray, value: float
    ) -> None:
        self.y = observed
        self.w = weight / divisor**2
        self.floor = float(np.sum(self.w * observed**2))
        self.reach = (np.abs(observed) + np.sqrt(value / self.w)) * (1 + 64 * EPSILON)

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return 2 * self.w, self.y

    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        return self.start()

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima."""
        first = u * self.y
        second = u * u / (4 * self.w)
        return _lower_sum(first - second, (np.abs(first) + second).sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        return (self.w * (self.y - predicted) ** 2).sum(axis=-1)


class LogSquared(Loss):
    """w ln(L/f)^2 ; s = ln(f/L), convex in f up to s = 1 and concave beyond.

    Over a range of s that ends beyond 1 a row's convex envelope is the row itself up to a point of
    tangency, from there a straight line to the end of the range. Where a prediction lies on that
    line the dual leaves a gap, which closes as the range is narrowed.

    Attributes:
        range: lower and upper end of s, (2, rows).
    """

    FURTHEST = 0.7
    BEYOND = 1e-3
    NEAR = 0.05
    FLAT = 1e-3
    WALL = 30.0

    def __init__(self, observed: np.ndarray, weight: np.ndarray, value: float) -> None:
        self.y = observed
        self.w = weight
        self.floor = float(np.sum(weight))
        # |s| beyond this is worse than the incumbent in one row alone.
        most = np.sqrt(value / weight) * (1 + 64 * EPSILON)
        self.range = np.stack([-most, most])
        within = np.minimum(most, self.FURTHEST)
        self.nearest, self.furthest = observed * np.exp(-within), observed * np.exp(within)
        self.reach = observed * np.exp(most) * (1 + 64 * EPSILON)
        self.double, self.half = 2 * weight, 0.5 / weight

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return 2 * self.w / self.y**2, self.y

    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction, or of its envelope over a range."""
        if ranges is None:
            f = np.clip(predicted, self.nearest, self.furthest)
            s = np.log(f / self.y)
            rest = 1 - s
            return 2 * self.w * rest / (f * f), f * (1 - 2 * s) / rest
        _, slope, curve = self.envelope(predicted, ranges)
        return curve, predicted - slope / curve

    def descend(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convex parabola of each row with its slope at a prediction."""
        f = np.maximum(predicted, self.y * 1e-9)
        s = np.log(f / self.y)
        curve = 2 * self.w * np.maximum(1 - s, 0.1) / (f * f)
        return curve, f - 2 * self.w * s / (f * curve)

    def envelope(
        self, predicted: np.ndarray, ranges: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Convex envelope of each row, with slope and curvature; a steep parabola out of range."""
        low, high = _ends(ranges)
        low, high = np.maximum(low, -20.0), np.minimum(high, 60.0)
        f = np.clip(predicted, self.y * np.exp(low), self.y * np.exp(high))
        s = np.clip(np.log(f / self.y), low, high)
        value = self.w * s * s
        slope, curve = 2 * self.w * s / f, 2 * self.w * (1 - s) / (f * f)
        tangent = np.maximum(_tangent(high), low)
        flat = s > tangent
        if flat.any():
            a, b, y, w = (
                np.broadcast_to(x, s.shape)[flat] for x in (tangent, high, self.y, self.w)
            )
            width = np.exp(b) - np.exp(a)
            slope[flat] = w / y * (b + a) * (b - a) / np.where(width > 0, width, 1.0)
            value[flat] = w * a * a + slope[flat] * (f[flat] - y * np.exp(a))
            curve[flat] = self.FLAT * 2 * w / f[flat] ** 2
        out = predicted - f
        if out.any():
            wall = np.where(out != 0, self.WALL * 2 * self.w / f**2, 0.0)
            value += slope * out + 0.5 * wall * out * out
            slope += wall * out
            curve = np.where(out != 0, wall, curve)
        return value, slope, curve

    def rows(
        self, u: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Infimum of psi(s) = w s^2 + u L e^s over each row's range, and the size of its terms.

        The infimum is known from below to 16 roundings of that size.
        """
        low, high = _ends(self.range if ranges is None else ranges)
        w, double = self.w, self.double
        p = u * self.y
        x = p * self.half
        np.maximum(x, -0.3678, out=x)
        # -W(x), Lambert's function, by a rational start and Newton steps where that is not near.
        s = -x * (1 + 4 / 3 * x) / (1 + x * (7 / 3 + 5 / 6 * x))
        if np.abs(x).max(initial=0.0) > self.NEAR:
            if x.max() > 1:
                far = np.log1p(np.maximum(x, 0))
                s = np.where(x > 1, far * (np.log1p(far) / (2 + far) - 1), s)
            for _ in range(1 if -0.2 < x.min() and x.max() < 0.5 else 4):
                e = x * np.exp(s)
                s -= (s + e) / np.maximum(1 + e, 1e-3)
        size = np.abs(s)
        terms = w * s * s
        e = np.exp(s)
        e *= p
        slope = double * s
        slope += e
        # psi'' = 2w + u L e^s is at least m: for u >= 0 everywhere, for u < 0 up to ``BEYOND`` past
        # s. There psi has begun to rise, and it goes on rising until it is concave: beyond, it is
        # least at the end of the interval.
        m = np.minimum(e, 0)
        m *= math.exp(self.BEYOND) * (1 + 1e-9)
        m += double * (1 - 1e-9)
        noise = np.abs(e)
        noise += double * size
        noise *= 32 * EPSILON
        np.abs(slope, out=slope)
        slope += noise
        sizes = np.abs(e) * (1 + size) + terms
        terms += e
        sure = slope < 0.5 * self.BEYOND * m  # and m > 0: the slope is not negative
        slope *= slope
        slope /= 2 * m
        terms -= slope
        # Ends of the range, and the slopes there.
        most = np.maximum(np.abs(low), np.abs(high))
        ends = []
        for end in (low, high):
            e = p * np.exp(end)
            sizes = sizes + np.abs(e) * (1 + most)
            ends.append((w * end * end + e, double * end + e, e))
        sizes = sizes + w * most * most
        (at_low, rise_low, e_low), (at_high, rise_high, e_high) = ends
        blur = 64 * EPSILON * (double * most + np.abs(e_high) + np.abs(e_low)) * (1 + most)
        if not sure.all():
            # psi' / 2w = s + x e^s is at most ln(-1/x) - 1.
            steepest = np.maximum(-1 - np.log(np.maximum(-p * self.half, 1e-300)), 0.0) + 1e-12
            rest = np.maximum(at_high - double * steepest * (high - low), np.minimum(e_high, e_low))
            terms = np.where(sure, terms, rest)
        np.minimum(terms, at_high, out=terms)
        # From the lower end psi rises, until it may fall to the upper one, or it is concave in all
        # of the range; or it falls to the upper end.
        right = (rise_low > blur) | (double + e_low < -blur)
        if right.any():
            terms = np.where(right, np.minimum(at_low, at_high), terms)
        left = (rise_high < -blur) & (double + e_high > blur)
        if left.any():
            terms = np.where(left, at_high, terms)
        return terms, sizes

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima over the range of each row."""
        terms, sizes = self.rows(u, ranges)
        return _lower_sum(terms, sizes.sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        fine = predicted > 0
        s = np.log(np.where(fine, predicted, 1.0) / self.y)
        return np.where(fine, self.w * s * s, np.inf).sum(axis=-1)


class Huber(Loss):
    """w H((L - f) / divisor)."""

    def __init__(
        self,
        observed: np.ndarray,
        weight: np.ndarray,
        divisor: np.ndarray,
        delta: float,
        value: float,
    ) -> None:
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

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return self.w, self.y

    def linearise(
        self, predicted: np.ndarray, ranges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        r = np.abs(self.y - predicted) / self.divisor
        return self.w * np.minimum(1.0, self.delta / np.maximum(r, 1e-300)), self.y

    def conjugate(self, u: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
        """Lower bound of the sum of infima."""
        first = u * self.y
        pull = np.abs(u) * self.divisor
        # With p the pull: p^2 / 2w while the row stays within delta; where it would pass that, the
        # row is least at the end of what the incumbent allows: p most - h(most). The larger of the
        # two is never too small, whichever applies.
        inner, outer = pull**2 / (2 * self.row_weight), pull * self.most
        second = np.maximum(inner, outer - self.end)
        size = inner + outer + self.end
        return _lower_sum(first - second, (np.abs(first) + size).sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        r = np.abs(self.y - predicted) / self.divisor
        inner = np.minimum(r, self.delta)
        return (self.row_weight * (0.5 * inner**2 + self.delta * (r - inner))).sum(axis=-1)


class HuberDual:
    """The dual of the nonnegative Huber problem on given columns, by an interior point method.

    Minimise sum_i a_i (delta v_i^2 / 2 - v_i z_i), a = w delta, z = target / divisor, over abs(v)
    <= 1 with sum_i a_i v_i K_ji <= -margin_j, K the columns over the divisor; u = a v / divisor.
    The iterates stay strictly inside the bounds; ``steps`` counts them, over all boxes. Predictor
    and corrector of Mehrotra 1992, SIAM J. Optim. 2(4).
    """

    def __init__(
        self,
        loss: Huber,
        corners: np.ndarray,
        goal: np.ndarray,
        free: np.ndarray,
        coefficients: np.ndarray,
    ) -> None:
        self.a = loss.row_weight * loss.delta
        self.a = self.a / self.a.sum()
        self.total = float((loss.row_weight * loss.delta).sum())
        self.delta, self.free, self.divisor, self.loss = loss.delta, free, loss.divisor, loss
        self.steps = 0
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
        """The dual vector u, (boxes, rows)."""
        return self.v * (self.loss.row_weight * self.delta / self.divisor)

    def coefficients(self) -> np.ndarray:
        """The coefficients of the columns, (boxes, columns)."""
        return self.c / self.size

    def improve(self, margin: np.ndarray, small: float, most: int) -> None:
        """Iterate until the duality gap is below ``small`` in units of the objective."""
        margin = margin / self.size / self.total
        names = ("K", "v", "p", "q", "c", "s")
        live = np.arange(len(margin))
        K, *state = (getattr(self, name) for name in names)
        z = np.broadcast_to(self.z, self.v.shape)
        for _ in range(most):
            state, done = self._iterate(K, margin, z, state, small)
            self.steps += len(K)
            for name, item in zip(names[1:], state, strict=True):
                getattr(self, name)[live] = item
            if done.all():
                break
            if done.any():
                K, margin, live = K[~done], margin[~done], live[~done]
                z = z[~done]
                state = [item[~done] for item in state]

    def _iterate(
        self,
        K: np.ndarray,
        margin: np.ndarray,
        z: np.ndarray,
        state: list[np.ndarray],
        small: float,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """One predictor and corrector; the new state, and which boxes need no more."""
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
                [
                    *(_reach(above, -dv), _reach(below, dv), _reach(p, dp), _reach(q, dq)),
                    *(_reach(s, ds, bound), _reach(c, dc, bound)),
                ]
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


def _reach(x: np.ndarray, dx: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
    """How far along dx all of x stay positive."""
    return np.where(where & (dx < 0), -x / dx, 1e300).min(axis=1)


def loss(
    objective: Objective, observed: np.ndarray, weight: np.ndarray, value: float
) -> Squared | LogSquared | Huber | None:
    """The rows of an objective; None where they have no useful dual."""
    value = max(value, 0.0)
    if objective.robust == "none":
        if objective.residual == "log":
            return LogSquared(observed, weight, value)
        divisor = observed if objective.residual == "relative" else np.ones_like(observed)
        return Squared(observed, weight, divisor, value)
    if objective.residual == "log":
        return None
    divisor = observed if objective.residual == "relative" else np.ones_like(observed)
    assert objective.delta is not None
    return Huber(observed, weight, divisor, float(objective.delta), value)


def nonnegative(
    gram: np.ndarray, moment: np.ndarray, passive: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise c.G c / 2 - c.b over c >= 0, a batch at once, by block principal pivoting.

    Portugal, Judice and Vicente 1994, Math. Comp. 63. What is returned need not be exact.
    """
    batch, m, _ = gram.shape
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    gram = gram * scale[:, :, None] * scale[:, None, :]
    b = moment * scale
    small = -1e-14 * np.abs(b).max(axis=1, keepdims=True)
    identity = np.eye(m)
    # A trace on the diagonal of what is solved keeps singular ones solvable.
    solved = gram + 1e-14 * identity
    passive = passive | free
    found = np.empty((batch, m))
    # Of the problems that are not solved yet: the fewest coefficients of the wrong sign, and how
    # many tries without fewer are left before they change sides one at a time.
    work, p = np.arange(batch), passive
    best, patience = np.full(batch, m + 1), np.full(batch, 3)
    for _ in range(4 * m + 10):
        system = np.where(p[:, :, None] & p[:, None, :], solved, identity)
        c = np.linalg.solve(system, (b * p)[:, :, None])
        wrong = np.where(p, c[:, :, 0] < 0, (gram @ c)[:, :, 0] - b < small) & ~free
        found[work], passive[work] = c[:, :, 0], p
        bad = np.count_nonzero(wrong, axis=1)
        left = bad > 0
        if not left.any():
            break
        if not left.all():
            work, p, wrong, bad = work[left], p[left], wrong[left], bad[left]
            best, patience = best[left], patience[left]
            gram, solved, b, small = gram[left], solved[left], b[left], small[left]
        better = bad < best
        trying = ~better & (patience > 0)
        best = np.where(better, bad, best)
        patience = np.where(better, 3, patience - trying)
        alone = ~better & ~trying
        if alone.any():
            last = m - 1 - np.argmax(wrong[:, ::-1], axis=1)
            wrong &= ~alone[:, None] | (np.arange(m) == last[:, None])
        p = p ^ wrong
    return np.where(free, found, np.maximum(found, 0.0)) * scale, passive
