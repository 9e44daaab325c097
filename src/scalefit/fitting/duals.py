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

from scalefit.fitting.intervals import EPSILON
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


class Loss(ABC):
    """Rows of an objective, as functions of their predictions.

    Attributes:
        y: observed losses, (rows,).
        floor: objective of predictions of zero, or one of like size.
        reach: how far from zero a prediction may lie that is no worse than the incumbent, (rows,).
    """

    y: np.ndarray
    floor: float
    reach: np.ndarray

    @abstractmethod
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near its observed loss."""

    @abstractmethod
    def linearise(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight and target of the parabola that stands for each row near a prediction."""

    @abstractmethod
    def conjugate(self, u: np.ndarray) -> np.ndarray:
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

    def linearise(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        return self.start()

    def conjugate(self, u: np.ndarray) -> np.ndarray:
        """Lower bound of the sum of infima."""
        first = u * self.y
        second = u * u / (4 * self.w)
        return _lower_sum(first - second, (np.abs(first) + second).sum(axis=-1))

    def evaluate(self, predicted: np.ndarray) -> np.ndarray:
        """The objective."""
        return (self.w * (self.y - predicted) ** 2).sum(axis=-1)


class LogSquared(Loss):
    """w ln(L/f)^2 ; s = ln(f/L)."""

    FURTHEST = 0.7
    BEYOND = 1e-3
    NEAR = 0.05

    def __init__(self, observed: np.ndarray, weight: np.ndarray, value: float) -> None:
        self.y = observed
        self.w = weight
        self.floor = float(np.sum(weight))
        # |s| beyond this is worse than the incumbent in one row alone.
        self.most = np.sqrt(value / weight) * (1 + 64 * EPSILON)
        self.end = weight * self.most**2
        self.upper, self.lower = np.exp(self.most), np.exp(-self.most)
        self.reach = observed * self.upper * (1 + 64 * EPSILON)
        within = np.minimum(self.most, self.FURTHEST)
        self.nearest, self.furthest = observed * np.exp(-within), observed * np.exp(within)
        self.double, self.half = 2 * weight, 0.5 / weight
        # Of the size of the terms at the end of the interval, for each unit of abs(u L).
        self.reached = self.upper * (1 + self.most)
        # u L > 0 so large that psi rises from the lower end on.
        self.rising = 2 * weight * self.most / (self.lower * (1 - 1e-9)) * (1 + 8 * EPSILON)

    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near its observed loss."""
        return 2 * self.w / self.y**2, self.y

    def linearise(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        f = np.clip(predicted, self.nearest, self.furthest)
        s = np.log(f / self.y)
        rest = 1 - s
        return 2 * self.w * rest / (f * f), f * (1 - 2 * s) / rest

    def conjugate(self, u: np.ndarray) -> np.ndarray:
        """Inf of psi(s) = w s^2 + u L e^s over |s| <= most, row by row."""
        w, double = self.w, self.double
        p = u * self.y
        x = p * self.half
        np.maximum(x, -0.35, out=x)
        # -W(x), Lambert's function, by a rational start and one Newton step where that is not near.
        s = -x * (1 + 4 / 3 * x) / (1 + x * (7 / 3 + 5 / 6 * x))
        if np.abs(x).max(initial=0.0) > self.NEAR:
            e = x * np.exp(s)
            s -= (s + e) / (1 + e)
        size = np.abs(s)
        squared = w * s
        squared *= s
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
        # The size of the terms at the end of the interval, which is that of all inside it too.
        sizes = self.end.sum() + np.abs(p) @ self.reached
        if not (size <= self.most).all():
            sizes = sizes + (np.abs(e) * (1 + size) + squared).sum(axis=-1)
        terms = squared
        terms += e
        upper = p * self.upper
        sure = slope < 0.5 * self.BEYOND * m  # and m > 0: the slope is not negative
        slope *= slope
        slope /= 2 * m
        terms -= slope
        np.minimum(terms, self.end + upper, out=terms)
        if not sure.all():
            terms = np.where(sure, terms, np.minimum(upper, p * self.lower))
        low = p > self.rising
        if low.any():
            terms = np.where(low, self.end + p * self.lower, terms)
        return _lower_sum(terms, sizes)

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

    def linearise(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parabola of each row near a prediction."""
        r = np.abs(self.y - predicted) / self.divisor
        return self.w * np.minimum(1.0, self.delta / np.maximum(r, 1e-300)), self.y

    def conjugate(self, u: np.ndarray) -> np.ndarray:
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
    The iterates stay strictly inside the bounds. Predictor and corrector of Mehrotra 1992, SIAM J.
    Optim. 2(4).
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
