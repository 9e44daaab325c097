"""An interior point method for many convex problems of few columns at once.

Each is: minimise sum_i g_i(x_i) - margin.c over x = K c + x0, c >= 0, with rows g_i as
:mod:`~scalefit.certification.row_models` describes them. Their slopes at the solution are the dual
vector that a proof wants; any other would be a valid one, so that nothing here need be exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.certification.boxes import workspace
from scalefit.certification.row_models import RowModel

__all__ = ["InteriorPoint"]

# Multipliers of a start, as a share of the mean residual.
CENTRED = 0.1

# Share of the way to the boundary that a step goes.
FRACTION = 0.995

# Trace on the diagonal of the normal equations, so that columns that coincide can be solved.
TRACE = 1e-15


class _State(NamedTuple):
    """Iterates, strictly inside their bounds.

    Attributes:
        c: coefficients, (boxes, columns).
        s: slacks of their constraints.
        v: slopes in the zones, (boxes, rows).
        p: multipliers of v <= right.
        q: multipliers of v >= left.
    """

    c: np.ndarray
    s: np.ndarray
    v: np.ndarray
    p: np.ndarray
    q: np.ndarray


class InteriorPoint:
    """Convex problems on given columns.

    With u = -g'(x) the optimum has u.K_j + margin_j <= 0 for every column, and equality where its
    coefficient is positive. In the zone of a row, x - p + q = place(v): p is how far x lies to the
    right of it, q to the left.

    Attributes:
        slopes: g'(x), (boxes, rows).
        predicted: x.
        steps: how many were taken, over all boxes.

    Source: predictor and corrector of Mehrotra 1992, SIAM J. Optim. 2(4).
    """

    def __init__(
        self, columns: np.ndarray, offset: np.ndarray, free: np.ndarray, rows: RowModel
    ) -> None:
        boxes, count, width = columns.shape
        # Columns of mean one.
        self.size = np.maximum(np.abs(columns).mean(axis=2), 1e-300)
        self.K = columns / self.size[:, :, None]
        self.offset, self.rows, self.bound = offset, rows, ~free
        c = np.full((boxes, count), 1.0 / count)
        c /= np.maximum(np.abs((c[:, None, :] @ self.K)[:, 0]).mean(axis=1, keepdims=True), 1e-300)
        x = (c[:, None, :] @ self.K)[:, 0] + offset
        v = 0.5 * (rows.left + rows.right)
        residual = x - rows.place(v)[0]
        level = CENTRED * np.abs(residual).mean(axis=1, keepdims=True) + 1e-300
        s = np.where(self.bound, CENTRED * width, 0.0) + np.zeros_like(c)
        p, q = np.maximum(residual, 0) + level, np.maximum(-residual, 0) + level
        self.state = _State(c, s, v, p, q)
        self.slopes, self.predicted, self.steps = v.copy(), x, 0

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of the columns as they were given, (boxes, columns)."""
        return np.asarray(self.state.c / self.size)

    def solve(self, margin: np.ndarray, small: np.ndarray, most: int) -> None:
        """Iterate until no objective is more than ``small`` above its minimum.

        Args:
            margin: by how much each column's constraint is to hold, (boxes, columns).
            small: in units of the sum over the rows, (boxes,).
            most: steps to give up after.
        """
        margin = margin / self.size
        K, rows, state, live = self.K, self.rows, self.state, np.arange(len(margin))
        for turn in range(most + 1):
            at = _Linearised(K, rows, state, margin, self.offset, self.bound)
            done = at.converged(small)
            last = turn == most or bool(done.all())
            if last or done.any():
                self._keep(live, at, state, slice(None) if last else done)
            if last:
                return
            if done.any():
                left = ~done
                K, rows, margin, live = K[left], rows.take(left), margin[left], live[left]
                small = small[left]
                state, at = _State(*(item[left] for item in state)), at.take(left, rows, K)
            self.steps += len(live)
            state = at.step(state)

    def _keep(self, live: np.ndarray, at: _Linearised, state: _State, which: Any) -> None:
        where = live[which]
        self.slopes[where], self.predicted[where] = at.slopes[which], at.x[which]
        self.state.c[where] = state.c[which]


class _Linearised:
    """Residuals of the conditions for an optimum at an iterate, and the step from there."""

    arrays = ("x", "slopes", "above", "below", "gap", "lack", "off", "apart", "curve", "bend")

    def __init__(
        self,
        K: np.ndarray,
        rows: RowModel,
        state: _State,
        margin: np.ndarray,
        offset: np.ndarray,
        bound: np.ndarray,
    ) -> None:
        self.K, self.bound = K, bound
        c, s, v, p, q = state
        self.x = (c[:, None, :] @ K)[:, 0]
        self.x += offset
        place, self.curve = rows.place(v)
        tail = rows.tail(self.x)
        self.slopes = v if tail is None else v + tail[0]
        self.bend = np.zeros((len(v), 0)) if tail is None else tail[1]
        self.above, self.below = rows.right - v, v - rows.left
        # Complementarity; stationarity in the coefficients; x - p + q = place(v).
        self.gap = _dot(p, self.above) + _dot(q, self.below) + (c * s).sum(axis=1)
        self.lack = (K @ self.slopes[:, :, None])[:, :, 0] - margin - s
        self.off = self.x - place
        self.apart = self.off - p
        self.apart += q

    def take(self, left: np.ndarray, rows: RowModel, K: np.ndarray) -> _Linearised:
        """The same of some of the boxes."""
        taken = object.__new__(_Linearised)
        taken.K, taken.bound = K, self.bound
        for name in self.arrays:
            setattr(taken, name, getattr(self, name)[left])
        return taken

    def converged(self, small: np.ndarray) -> np.ndarray:
        """Which boxes need no more steps, or have no more to take, (boxes,)."""
        lack, apart = np.abs(self.lack).max(axis=1), np.abs(self.apart).sum(axis=1)
        solved = (self.gap < small) & (lack < 1e-3 * small) & (apart < 10 * small)
        # Rounding, and iterates that are no numbers.
        ended = self.gap < 1e-3 * small
        return solved | ended | ~np.isfinite(self.gap + lack + apart)

    def _system(
        self, pull_p: np.ndarray, pull_q: np.ndarray, ratio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Eliminating v, p, q and s leaves (K W K' + diag(s/c)) dc = side: H, W less the tails."""
        K = self.K
        H = self.curve + pull_p
        H += pull_q
        np.divide(1.0, H, out=H)
        W = H + self.bend if self.bend.size else H
        weighted = np.multiply(K, W[:, None, :], out=workspace("weighted", *K.shape))
        M = weighted @ K.transpose(0, 2, 1)
        trace = TRACE * np.einsum("bii->bi", M)
        M += np.eye(K.shape[1]) * (ratio + trace)[:, None, :]
        return H, M

    def step(self, state: _State) -> _State:
        """One predictor and corrector."""
        c, s, v, p, q = state
        bound, K, gap = self.bound, self.K, self.gap
        over, under = 1 / self.above, 1 / self.below
        pull_p, pull_q = p * over, q * under
        ratio = np.where(bound, s / c, 0.0)
        H, M = self._system(pull_p, pull_q, ratio)

        def direction(near: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            near *= H
            dc = _solve(M, side - self.lack - (K @ near[:, :, None])[:, :, 0])
            dv = (dc[:, None, :] @ K)[:, 0]
            dv *= H
            dv += near
            return dc, dv

        # The predictor aims at a gap of zero: dp = p (dv/above - 1), dq = -q (dv/below + 1).
        dc, dv = direction(self.off, -s)
        ds = np.where(bound, -s - ratio * dc, 0.0)
        up, down = dv * over, dv * under
        rates = [up.max(axis=1), 1 - up.min(axis=1), -down.min(axis=1), 1 + down.max(axis=1)]
        t = _length([*rates, *_rates(c, dc, s, ds, bound)], 1.0)
        up -= 1
        up *= p
        up *= dv
        down += 1
        down *= q
        down *= dv
        # Mehrotra's rule: mu (gap after the predictor / gap)^3.
        curved = (dc * ds).sum(axis=1) - up.sum(axis=1) - down.sum(axis=1)
        ahead = np.clip(((1 - t) * gap + t * t * curved) / gap, 0, 1)
        target = (gap * ahead**3 / (2 * v.shape[1] + bound.sum()))[:, None]
        # The corrector, to second order: with dp dv = up and dq dv = -down of the predictor.
        up += target
        up *= over
        up -= p
        down += target
        down *= under
        down -= q
        near = self.apart - up
        near += down
        aim = np.where(bound, (target - dc * ds) / c - s, 0.0)
        dc, dv = direction(near, aim)
        pull_p *= dv
        pull_p += up
        pull_q *= dv
        np.subtract(down, pull_q, out=pull_q)
        ds = np.where(bound, aim - ratio * dc, 0.0)
        over *= dv
        under *= dv
        rates = [over.max(axis=1), -under.min(axis=1)]
        rates += [-(pull_p / p).min(axis=1), -(pull_q / q).min(axis=1)]
        t = _length([*rates, *_rates(c, dc, s, ds, bound)], FRACTION)[:, None]
        return _State(c + t * dc, s + t * ds, v + t * dv, p + t * pull_p, q + t * pull_q)


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("bn,bn->b", x, y)


def _solve(system: np.ndarray, side: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(system, side[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        # One of them is singular: no step for any, which their bounds survive.
        return np.full_like(side, np.nan)


def _rates(
    c: np.ndarray, dc: np.ndarray, s: np.ndarray, ds: np.ndarray, bound: np.ndarray
) -> list[np.ndarray]:
    return [
        np.where(bound, -dc / c, 0.0).max(axis=1, initial=0.0),
        np.where(bound, -ds / np.where(bound, s, 1.0), 0.0).max(axis=1, initial=0.0),
    ]


def _length(rates: list[np.ndarray], fraction: float) -> np.ndarray:
    """How far to go, at most all the way, where iterates fall by these shares of themselves."""
    return np.minimum(fraction / np.maximum(np.maximum.reduce(rates), 1e-300), 1.0)
