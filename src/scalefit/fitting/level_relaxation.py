"""Damped Newton steps of each level by itself, between steps of all parameters.

Given the parameters that rows share, the objective is a sum of small problems, one for each level.
A level whose rows all lie beyond delta has no curvature, so that Newton's step of all parameters
must be damped for its sake, and holds up every other level. Here each level has damping of its own
(block relaxation; Ortega and Rheinboldt 1970, Iterative Solution of Nonlinear Equations, section
7.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import lax

from scalefit.fitting.arrow import definite, solve_levels
from scalefit.fitting.scaled_objective import Penalties

__all__ = ["relax"]

# Steps of each level after each step of all, unless one gains less than this share of the
# objective.
TURNS = 12
LEAST_GAIN = 1e-12
DAMPING_START = 0.1
DAMPING_SHRINK = 0.1
DAMPING_GROW = 8.0


class _LevelModels(NamedTuple):
    """The objective of each level around its coefficients, (starts, ...).

    Attributes:
        value: shape (starts, levels).
        gradient: in the coefficients of a level, (starts, m, levels).
        hessian: shape (starts, m, m, levels).
        gauss_newton: with the majorising weights, likewise.
    """

    value: Any
    gradient: Any
    hessian: Any
    gauss_newton: Any


def relax(
    library: Any,
    levels: Any,
    penalties: Callable[[Any], Penalties],
    shared: Any,
    columns: Sequence[Any],
    start: tuple[Any, Any, Any],
    which: Any,
) -> Any:
    """Coefficients of the levels after a few steps, (starts, m, levels).

    Args:
        library: ``numpy`` or ``jax.numpy``.
        levels: sums of the division.
        penalties: of predictions.
        shared: the part of the prediction that stays, (starts, rows).
        columns: scaled column of each coefficient of a level, each (starts, rows).
        start: coefficients to start from and their bounds, each (starts, m, levels).
        which: starts for which the steps matter, (starts,).
    """
    xp = library
    point, low, high = start

    def models(point: Any) -> _LevelModels:
        total = shared
        for i, column in enumerate(columns):
            total = total + levels.spread(point[:, i]) * column
        return _level_models(xp, levels, penalties(total), columns)

    here = models(point)
    damping = xp.full(here.value.shape, DAMPING_START)

    def turn(point: Any, here: _LevelModels, damping: Any) -> tuple[Any, _LevelModels, Any, Any]:
        curved = definite(here.hessian, xp)
        hessian = xp.where(curved[..., None, None, :], here.hessian, 0.0)
        down = here.gradient <= 0
        # The gradient is zero in a level without rows, whose matrix is singular.
        held = ((point <= low) & ~down) | ((point >= high) & down) | (here.gradient == 0)
        # Damped in the metric of the whole Gauss-Newton block: invariant to the level's scaling.
        matrix = hessian + damping[:, None, None] * here.gauss_newton
        step = solve_levels(matrix, -here.gradient, held, xp)
        moved = xp.minimum(xp.maximum(point + step, low), high)
        there = models(moved)
        lower = there.value < here.value

        def chosen(new: Any, old: Any) -> Any:
            return xp.where(xp.expand_dims(lower, tuple(range(1, new.ndim - 1))), new, old)

        gain = xp.where(lower, here.value - there.value, 0.0).sum(axis=-1)
        # On a straight piece of a level little is gained before its end.
        straight = ~curved & (lower | ~held.all(-2))
        left = (gain > LEAST_GAIN * here.value.sum(axis=-1)) | straight.any(-1)
        damping = damping * xp.where(lower, DAMPING_SHRINK, DAMPING_GROW)
        return chosen(moved, point), _LevelModels(*map(chosen, there, here)), damping, left

    if xp is not np:
        state = point, here, damping
        return lax.fori_loop(0, TURNS, lambda _, now: turn(*now)[:3], state)[0]
    for _ in range(TURNS):
        point, here, damping, left = turn(point, here, damping)
        if not (left & which).any():
            break
    return point


def _level_models(xp: Any, levels: Any, found: Penalties, columns: Sequence[Any]) -> _LevelModels:
    """The objective of each level, from the penalties of the rows."""
    pull = found.psi * found.residual_derivative
    value = levels.sums(found.terms)
    hessian, gauss_newton = (
        xp.stack(
            [xp.stack([levels.sums(weight * a * b) for b in columns], axis=-2) for a in columns],
            axis=-3,
        )
        for weight in found.curvature
    )
    gradient = xp.stack([levels.sums(pull * column) for column in columns], axis=-2)
    return _LevelModels(
        xp.where(xp.isfinite(value), value, np.inf), gradient, hessian, gauss_newton
    )
