"""Sums of absolute residuals with coefficients of many levels, by Huber losses that narrow.

The equations at the kinks (absolute.py) are dense in the rows passed through, of which every level
has as many as coefficients. Here delta of a Huber loss falls tenfold from optimum to optimum, which
then moves as good as linearly with delta (Clark and Osborne 1986, SIAM J. Sci. Stat. Comput. 7(1)).
What a row's residual over delta leaves at the end is its multiplier l. The optimum of the loss of
r + delta l, in place of r, passes through the rows themselves (the method of multipliers; Hestenes
1969, J. Optim. Theory Appl. 4(5)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.fitting.l1 import LAST_PLACES, Kinked, typical
from scalefit.fitting.levels import ByLevel
from scalefit.fitting.newton import MOST_ITERATIONS, PROMISE, Batch, Goal, State

__all__ = ["narrow"]

# Delta ends at this power of ten of the typical absolute residual, far above rounding; optima with
# multipliers follow.
STAGES = 5
NARROWER = 0.1
MULTIPLIED = 3


def narrow(newton: ByLevel, batch: Batch, point: Any, most: Any) -> Kinked:
    """From points near optima of absolute residuals to optima.

    Args:
        newton: the iteration.
        batch: tables and bounds.
        point: scaled coordinates, (starts, p).
        most: iterations at most, (starts,).
    """
    rows = newton.residuals(batch, point)
    delta = np.maximum(typical(rows, batch.weight), LAST_PLACES / NARROWER**STAGES)[:, None]
    iterations, before = np.zeros(len(point), dtype=int), point
    for _ in range(STAGES):
        delta = NARROWER * delta
        batch, start = batch._replace(delta=delta), point + NARROWER * (point - before)
        start, before = np.clip(start, batch.lower, batch.upper), point
        point, taken = _polished(newton, batch, start, np.maximum(most - iterations, 0))
        iterations += taken
    multiplier = np.clip(newton.residuals(batch, point) / delta, -1.0, 1.0)
    for _ in range(MULTIPLIED):
        batch = batch._replace(shift=delta * multiplier)
        point, taken = _polished(newton, batch, point, np.maximum(most - iterations, 0))
        iterations += taken
        shifted = newton.residuals(batch, point) + batch.shift
        multiplier = np.clip(shifted / delta, -1.0, 1.0)
    return _judged(newton, batch, point, multiplier, iterations)


def _polished(newton: ByLevel, batch: Batch, point: Any, most: Any) -> tuple[Any, Any]:
    """Optima of one delta, and iterations taken."""
    goal = Goal(np.full(1, PROMISE), np.full(1, True))
    state = newton.begin(point)
    for _ in range(MOST_ITERATIONS):
        stopped = state.done | (state.iteration >= most)
        if stopped.all():
            break
        moved = newton.advance(batch, goal, state)
        state = State(
            *(
                np.where(stopped.reshape(-1, *[1] * (new.ndim - 1)), old, new)
                for old, new in zip(state, moved, strict=True)
            )
        )
    return state.best, state.iteration


def _judged(newton: ByLevel, batch: Batch, point: Any, multiplier: Any, iterations: Any) -> Kinked:
    """How far from the least sum points can be, to first order, by their multipliers."""
    rows = newton.residuals(batch, point)
    shifted = batch._replace(delta=np.ones((1, 1)), shift=multiplier - rows)
    end = newton.local(shifted, point)
    weight, sizes = np.broadcast_to(batch.weight, rows.shape), np.abs(end.rows)
    value = (weight * sizes).sum(axis=-1)
    terms = weight * (sizes - multiplier * end.rows)
    felt = newton.along(end, np.maximum(np.abs(point), 1.0), sizes=True)
    known = LAST_PLACES * (1.0 + np.abs(batch.target) + felt)
    seen = np.where(sizes > known, terms, 0.0)
    share = np.where(value > 0, value, 1.0)
    return Kinked(
        point=point,
        end=end._replace(gauss_newton=newton.products(end.stack, weight * end.first**2)),
        iterations=iterations,
        value=value,
        decrement=seen.sum(axis=-1) / share,
        duality=terms.sum(axis=-1) / share,
    )
