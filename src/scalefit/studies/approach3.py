"""Approach 3 as it is usually run: all five parameters at once, by L-BFGS-B from one start.

The optimiser is scipy's and shares no code with the fits of this library: a study compares them
with it. How far such a descent ends above the optimum, and how often, is part of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Descent", "descend"]

# E, A, B, alpha, beta: the box and the 4^5 starts of Czech et al. 2026.
BOX = np.array([(1e-6, 10.0), (1e-6, 1e6), (1e-6, 1e6), (0.01, 0.99), (0.01, 0.99)])
STARTS = (
    np.linspace(0.1, 5.0, 4),
    np.logspace(1, 4, 4),
    np.logspace(1, 4, 4),
    np.linspace(0.05, 0.95, 4),
    np.linspace(0.05, 0.95, 4),
)

# Tolerances at rounding, so that an early end is the optimiser's own.
OPTIONS: Any = {"ftol": 1e-15, "gtol": 1e-15, "maxiter": 1000, "maxfun": 15_000}

# Which parameters are logarithms where the law is written as a log-sum-exp.
LOGARITHMIC = np.array([True, True, True, False, False])

AT_BOUND = 1e-6


class Descent(NamedTuple):
    """The end of a descent.

    Attributes:
        point: E, A, B, alpha, beta, shape (5,).
        value: sum of squares.
        status: ``converged``, ``at_bound``, ``iteration_limit``, or ``stalled`` where the line
            search gave up.
    """

    point: np.ndarray
    value: float
    status: str


def descend(
    n: np.ndarray,
    d: np.ndarray,
    loss: np.ndarray,
    *,
    log: bool = False,
    rng: np.random.Generator | None = None,
) -> Descent:
    """One descent of the sum of squares of E + A N^-alpha + B D^-beta.

    Args:
        n: ln N, shape (rows,).
        d: ln D, shape (rows,).
        loss: shape (rows,).
        log: squares of ln L - ln f, with ln E, ln A and ln B as parameters; of L - f otherwise.
        rng: draws one start from the box; the best of a grid of 1,024 by default.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, section 3.3 (log-sum-exp, L-BFGS). Box, starts and
        tolerances: Czech et al. 2026, arXiv 2603.22339.
    """
    # Imported here: it takes half a second, and only these methods need it.
    from scipy.optimize import minimize

    lower, upper = BOX.T
    start = _best_start(n, d, loss, log) if rng is None else rng.uniform(lower, upper)
    box: Any = BOX
    if log:
        box = np.where(LOGARITHMIC[:, None], np.log(BOX), BOX)
        start = np.where(LOGARITHMIC, np.log(start), start)
    squares: Any = (_log_squares if log else _raw_squares)(n, d, loss)
    found: Any = minimize(squares, start, jac=True, method="L-BFGS-B", bounds=box, options=OPTIONS)
    point = found.x
    if log:
        point = np.where(LOGARITHMIC, np.exp(np.where(LOGARITHMIC, point, 0.0)), point)
    if not found.success:
        limited = found.nit >= OPTIONS["maxiter"]
        return Descent(point, float(found.fun), "iteration_limit" if limited else "stalled")
    bound = (point - lower < AT_BOUND) | (upper - point < AT_BOUND)
    return Descent(point, float(found.fun), "at_bound" if bound.any() else "converged")


def _best_start(n: np.ndarray, d: np.ndarray, loss: np.ndarray, log: bool) -> np.ndarray:
    """The start of the grid with the least sum of squares."""
    E, A, B, alpha, beta = (item.ravel()[:, None] for item in np.meshgrid(*STARTS, indexing="ij"))
    predicted = E + A * np.exp(-alpha * n) + B * np.exp(-beta * d)
    residual = np.log(predicted) - np.log(loss) if log else predicted - loss
    best = np.argmin((residual**2).sum(axis=1))
    return np.array([float(item[best, 0]) for item in (E, A, B, alpha, beta)])


def _raw_squares(n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> Callable[[Any], Any]:
    """Sum of squares of L - f and its gradient, as a function of the five parameters."""

    def squares(point: np.ndarray) -> tuple[float, np.ndarray]:
        E, A, B, alpha, beta = point
        first, second = np.exp(-alpha * n), np.exp(-beta * d)
        residual = E + A * first + B * second - loss
        slope = [residual.sum(), residual @ first, residual @ second]
        slope += [-A * (residual * first) @ n, -B * (residual * second) @ d]
        return float(residual @ residual), 2 * np.array(slope)

    return squares


def _log_squares(n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> Callable[[Any], Any]:
    """Sum of squares of ln L - ln f and its gradient; E, A and B are logarithms."""
    target = np.log(loss)

    def squares(point: np.ndarray) -> tuple[float, np.ndarray]:
        e, a, b, alpha, beta = point
        terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
        most = terms.max(axis=0)
        shares = np.exp(terms - most)
        total = shares.sum(axis=0)
        residual = most + np.log(total) - target
        constant, first, second = residual * shares / total
        slope = [constant.sum(), first.sum(), second.sum(), -first @ n, -second @ d]
        return float(residual @ residual), 2 * np.array(slope)

    return squares
