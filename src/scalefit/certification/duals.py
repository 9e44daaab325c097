"""Dual vectors that make the lower bounds of a proof large, for many boxes at once.

Where a dual vector comes from proves nothing: any vector gives a valid bound. So these solvers are
plain floating point.
"""

from __future__ import annotations

import numpy as np

from scalefit.certification.conjugates import Huber

__all__ = ["HuberDual", "nonnegative"]

# Violation of the constraints of the Huber dual, relative, left to be repaired by a shift.
INFEASIBLE = 1e-13


class HuberDual:
    """The dual of the nonnegative Huber problem on given columns, by an interior point method.

    Minimise sum_i a_i (delta v_i^2 / 2 - v_i z_i), a = w delta, z = target / divisor, over abs(v)
    <= 1 with sum_i a_i v_i K_ji <= -margin_j, K the columns over the divisor; u = a v / divisor.
    Multipliers: p of v <= 1, q of v >= -1, and c, the coefficients, of the columns' constraints,
    whose slacks are s. The iterates stay strictly inside the bounds; ``steps`` counts them, over
    all boxes.

    Source: predictor and corrector of Mehrotra 1992, SIAM J. Optim. 2(4).
    """

    def __init__(
        self,
        loss: Huber,
        corners: np.ndarray,
        goal: np.ndarray,
        free: np.ndarray,
        coefficients: np.ndarray,
    ) -> None:
        # Scaled: weights that sum to one, columns whose mean size is one.
        self.a = loss.row_weight * loss.delta
        self.a = self.a / self.a.sum()
        self.total = float((loss.row_weight * loss.delta).sum())
        self.delta, self.free, self.divisor, self.loss = loss.delta, free, loss.divisor, loss
        self.steps = 0
        self.size = np.maximum(np.abs(corners / loss.divisor) @ self.a, 1e-300)
        self.K = corners / loss.divisor / self.size[:, :, None]
        self.z = goal / loss.divisor
        self.c = coefficients * self.size
        # The start: residuals of the given coefficients, moved well inside of every bound.
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
        # Boxes that have converged drop out of the batch.
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
        # Complementarity, and the residuals of stationarity in v and of the constraints.
        gap = (p * above + q * below) @ a + (c * s * bound).sum(axis=1)
        rd = delta * v - z + (c[:, None, :] @ K)[:, 0] + p - q
        rs = np.where(bound, s, 0.0) + margin + (aK @ v[:, :, None])[:, :, 0]
        done = (gap * self.total < small) & (np.abs(rs).max(axis=1) < INFEASIBLE)
        mu = (gap / (2.0 + bound.sum()))[:, None]
        # Eliminating v, p, q and s leaves one small system in c: (K a H K' + diag(s/c)) dc = side.
        over_p, over_q = p / above, q / below
        H = 1.0 / (delta + over_p + over_q)
        M = (aK * H[:, None, :]) @ K.transpose(0, 2, 1)
        diagonal = np.where(bound, s / c, 0.0) + 1e-14 * np.einsum("bii->bi", M)
        M += np.eye(len(self.free)) * diagonal[:, None, :]
        dp = dq = dv = np.zeros_like(v)
        dc = ds = np.zeros_like(c)
        target = np.zeros_like(mu)
        for corrector in (False, True):
            # The predictor aims at a gap of zero, the corrector at ``target`` to second order.
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
                # Mehrotra's rule: mu (gap after the predictor / gap)^3.
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
    # A coefficient free in sign is always passive: no sign of it is wrong.
    passive = passive | free
    found = np.empty((batch, m))
    # Of the problems that are not solved yet: the fewest coefficients on the wrong side so far, and
    # how many tries without fewer are left.
    work, p = np.arange(batch), passive
    best, patience = np.full(batch, m + 1), np.full(batch, 3)
    for _ in range(4 * m + 10):
        # The passive coefficients by the normal equations, the others zero.
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
        # All on the wrong side change at once while that leaves fewer; after three tries without
        # success the last one alone, which cannot cycle.
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
