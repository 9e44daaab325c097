"""Roots and Newton steps of many small problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

__all__ = ["NARROW", "bracketed", "first_root", "newton_step"]

# A Newton step this short, relative, ends a search: the next one would be rounding.
SHORT = 1e-13
# A bracket this narrow, relative, holds no number between its ends that differs from them.
NARROW = float(np.finfo(np.float64).eps)
# Iterations after which the upper end is tried where Newton's method points beyond it.
PROBES = 2
# Every second iteration halves a bracket at least, so that this is never reached.
MOST_ITERATIONS = 200
# A pivot of a symmetric matrix below this share of its diagonal has no digits left.
PIVOT_TOLERANCE = 1e-12


class Rows(Protocol):
    """Problems, one to a row."""

    def take(self, rows: Any) -> Any:
        """Some of them."""
        ...


R = TypeVar("R", bound=Rows)


def first_root(
    problems: R,
    function: Callable[..., Any],
    low: np.ndarray,
    high: np.ndarray,
    *more: np.ndarray,
) -> np.ndarray:
    """Where a function turns positive; ``low`` where it starts so, ``high`` where it never does.

    Of a function that turns positive several times, one of those places.
    """
    shape = np.broadcast_shapes(low.shape, high.shape, *(item.shape for item in more))
    low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    top = np.where(function(problems, low, *more)[0] > 0, low, high)
    # From the middle: near the ends of a range a law is not to be trusted.
    x, _, right = bracketed(problems, function, low, top, 0.5 * (low + top), *more, known=False)
    never = (right >= top) & (top - x <= 4.0 * NARROW * np.maximum(np.abs(top), 1.0))
    return np.where(never, top, x)


def bracketed(
    problems: R,
    function: Callable[..., Any],
    low: np.ndarray,
    high: np.ndarray,
    start: np.ndarray,
    *more: np.ndarray,
    short: float = SHORT,
    known: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots by Newton's method inside brackets, which are halved where it makes no progress.

    Args:
        problems: the problems, one to a row.
        function: of them, of points of shape (problems, points) and of ``more``; value and slope.
            The root is where the value turns positive, by a jump too.
        low: lower ends of the brackets, shape (problems, points).
        high: upper ends.
        start: where to begin, in the brackets.
        *more: further arguments, with a leading axis of problems.
        short: a Newton step of this length, relative, is the last one. Beside a pole steps get
            short too, so that this is the distance left to one.
        known: whether the function is positive at the upper ends.

    Returns:
        The roots, and what is left of the brackets.
    """
    every = [np.array(item, dtype=np.float64) for item in (start, low, high)]
    x, low, high = (item.copy() for item in every)
    finished: np.ndarray = ~(high > low)
    before, untried = np.full(x.shape, np.inf), np.full(x.shape, not known)
    rows = np.arange(len(x))
    for turn in range(MOST_ITERATIONS):
        # Problems that are finished leave once they are half of all: taking costs a copy.
        alive = np.logical_not(finished.all(axis=1))
        left = int(alive.sum())
        if 2 * left <= len(alive):
            for whole, item in zip(every, (x, low, high), strict=True):
                whole[rows] = item
            if not left:
                break
            problems, rows = problems.take(alive), rows[alive]
            x, low, high, before = (item[alive] for item in (x, low, high, before))
            finished, untried = finished[alive], untried[alive]
            more = tuple(item[alive] for item in more)
        value, slope = function(problems, x, *more)
        over = value > 0
        low, high = np.where(over, low, x), np.where(over, x, high)
        step = -value / slope
        moved, middle = x + step, 0.5 * (low + high)
        size, scale = np.abs(step), np.maximum(np.abs(x), 1.0)
        last = size <= short * scale
        # Newton's step is taken inside the bracket, if it is at most half of the last one.
        quick = (moved > low) & (moved < high) & (size < 0.5 * before)
        ahead = np.where(last, np.clip(moved, low, high), np.where(quick, moved, middle))
        untried = untried & ~over
        if turn >= PROBES and untried.any():
            # Newton's method points beyond the upper end: halving would take long to reach it.
            ahead = np.where(untried & (moved >= high), high, ahead)
        before = np.abs(ahead - x)
        x = np.where(finished, x, ahead)
        finished = finished | last | ~(high - low > NARROW * scale)
    else:
        for whole, item in zip(every, (x, low, high), strict=True):
            whole[rows] = item
    return every[0], every[1], every[2]


def newton_step(
    gradient: np.ndarray, hessian: np.ndarray, fixed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's step, to be subtracted, and where the Hessian is positive definite.

    By Gauss-Jordan elimination of all problems at once: they are far too small for LAPACK.

    Args:
        gradient: shape (k, problems).
        hessian: shape (k, k, problems).
        fixed: which columns must not move, shape (k, problems).
    """
    size = len(gradient)
    unit = np.eye(size)[..., None]
    # A fixed column has the row and the column of the identity, and no gradient: its step is 0.
    matrix = np.where(fixed[:, None] | fixed[None, :], unit, hessian)
    work = np.concatenate([matrix, np.where(fixed, 0.0, gradient)[:, None]], axis=1)
    definite = np.ones(gradient.shape[1], dtype=bool)
    for j in range(size):
        pivot = work[j, j]
        good = pivot > PIVOT_TOLERANCE * np.abs(matrix[j, j])
        row = work[j] / np.where(good, pivot, 1.0)
        # Every other row loses its entry in column j; row j becomes the scaled one.
        work = work - (work[:, j] - unit[:, j])[:, None] * row[None]
        definite &= good
    return work[:, -1], definite
