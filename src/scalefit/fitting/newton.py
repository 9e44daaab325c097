"""Damped Newton iterations with active bounds, for many starts at once, exact to rounding.

Every iteration tries three steps and keeps the one that is lowest:

- Gauss-Newton with the weights psi(r)/r, damped. Its parabola lies above the objective (raw,
  relative), so that it descends from afar, where most rows are on the linear part of the Huber
  loss.
- Newton with the exact Hessian, damped (Levenberg 1944; Marquardt 1963, with the diagonal of the
  Gauss-Newton matrix as the metric of the damping).
- The same undamped. It ends a nearly-L1 problem in a few steps once the rows on either side of
  delta are sorted out, where the damped ones would take many short steps.

A step promises the decrease s^T g / 2 of its own parabola: for Newton's step, half the squared
Newton decrement (Boyd and Vandenberghe 2004, Convex Optimization, section 9.5).

Where many nonlinear parameters make the valley curved, each trial step is followed by a new
solution of the coefficients alone (variable projection), and the better of the two counts.

Bounds are kept by projection of the trial points, with an active set that is read off the gradient
at every iteration (Bertsekas 1982, SIAM J. Control Optim. 20(2)).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.scaled_objective import Batch, LocalModel, ScaledObjective

__all__ = [
    "LENGTHS",
    "MOST_ITERATIONS",
    "PROMISE",
    "ROUNDING",
    "Goal",
    "State",
    "advance",
    "begin",
    "frozen_where",
]

# A nearly-L1 objective on noise without a law has taken 600; a table with a law takes 5 to 130.
MOST_ITERATIONS = 1000

# The descent stops when a Newton step promises less than this share of the objective. Below about
# 1e-15 the objective no longer resolves an improvement; the finishing steps go on by the gradient.
PROMISE = 1e-11
FINISHING_STEPS = 3

# An objective this small relative to the squared loss is rounding: the law passes through all rows.
ROUNDING = 1e-28

# Shorter and longer trial steps along the damped Newton step (0) and the Gauss-Newton step (1):
# a third fewer iterations than with the steps alone from a cell of the grid. The first serves a
# Newton step that overshoots, the last a Gauss-Newton step that is short.
LENGTHS = ((0, 0.3), (1, 0.3), (1, 3.0))

# A finishing step that promises less than this share of the objective leaves rounding.
FINISHED = 1e-26

# While finishing, the objective may rise by this share, which is its rounding.
VALUE_ROUNDING = 1e-12

# The damped diagonal is no smaller than this share of its largest entry.
LEAST_METRIC = 1e-12

DAMPING_START = 1e-3
DAMPING_SHRINK = 0.1
DAMPING_GROW = 8.0
DAMPING_LEAST = 1e-15
DAMPING_MOST = 1e12

# Places of the steps of ``ScaledObjective.solve_damped``; the first two have damping.
DAMPED = 2
UNDAMPED = 2


class Goal(NamedTuple):
    """When to stop.

    Attributes:
        decrement: share of the objective that a step must promise to be worth taking, (starts,).
        precise: whether undamped steps follow until the gradient is rounding, (starts,).
    """

    decrement: Any
    precise: Any


class State(NamedTuple):
    """Where each start is, (starts, ...).

    Attributes:
        point: the current point, (starts, p).
        best: the best point so far, (starts, p).
        decrement: decrease that a further step from the best point promises, (starts,).
        damping: of the Newton and of the Gauss-Newton step, (starts, 2).
        finishing: number of finishing steps taken, counted from one; 0 before, (starts,).
        iteration: (starts,).
        done: (starts,).
    """

    point: Any
    best: Any
    decrement: Any
    damping: Any
    finishing: Any
    iteration: Any
    done: Any


class _Trial(NamedTuple):
    """The chosen trial of each start.

    Attributes:
        point: shape (starts, p).
        value: objective there, (starts,).
        lower: whether any trial along each damped step lowers the objective, (2, starts).
    """

    point: Any
    value: Any
    lower: Any


def begin(objective: ScaledObjective, point: Any) -> State:
    """The state of starts before their first iteration."""
    xp, starts = objective.library, len(point)
    return State(
        point=point,
        best=point,
        decrement=xp.full(starts, np.inf),
        damping=xp.full((starts, 2), DAMPING_START),
        finishing=xp.zeros(starts, dtype=int),
        iteration=xp.zeros(starts, dtype=int),
        done=xp.zeros(starts, dtype=bool),
    )


def advance(
    objective: ScaledObjective,
    batch: Batch,
    goal: Goal,
    state: State,
    *,
    lengths: tuple[tuple[int, float], ...] = LENGTHS,
    projected: bool = False,
) -> State:
    """One iteration of every start.

    The loop has two phases. While the objective can tell points apart, a step is taken when it is
    lower. Once a step promises less than the goal, undamped Newton steps are taken (counted by
    ``finishing``) as long as they bring the promise, and with it the gradient, down: the last
    digits of the parameters are below what the objective can resolve. A goal that need not be
    precise has no second phase, and leaves the first one early.

    Args:
        objective: the objective.
        batch: the tables.
        goal: when to stop.
        state: where starts are.
        lengths: shorter and longer trial steps; see ``LENGTHS``.
        projected: whether trial points are also tried with their coefficients solved anew.
    """
    xp = objective.library
    here = objective.local(batch, state.point)
    active = batch.at_bound(state.point, here.gradient)
    finishing = state.finishing > 0
    steps, ok = _steps(objective, here, active, state.damping)
    promises = xp.abs(0.5 * xp.vecdot(steps, here.gradient))
    # Strong damping makes a step promise little: then the other steps decide.
    decrement = xp.where(finishing & ok[UNDAMPED], promises[UNDAMPED], promises.max(axis=0))
    # Where no matrix is positive definite there is no promise either: the damping grows.
    known = ok.any(axis=0)
    decrement = xp.where(known, decrement, np.inf)
    improved = ~finishing | ((state.finishing == 1) & known) | (decrement < state.decrement)
    trial = _best_trial(objective, batch, state, steps, here.value, lengths, projected)
    floor = xp.maximum(goal.decrement * here.value, ROUNDING)
    # Equal to rounding counts as equal while finishing.
    level = here.value * (1 + VALUE_ROUNDING) + floor
    taken = xp.where(finishing, ok[UNDAMPED] & (trial.value <= level), trial.value < here.value)
    begins = ~finishing & (decrement <= floor) & objective.may_finish(ok)
    move = taken & ~begins
    enough = (state.finishing > FINISHING_STEPS) | (decrement <= FINISHED * here.value)
    done = finishing & (~improved | ~taken | enough)
    # Each by its own success: that Gauss-Newton descends says nothing of the Newton step.
    damping = state.damping * xp.where(trial.lower.T, DAMPING_SHRINK, DAMPING_GROW)
    stuck = (damping > DAMPING_MOST).all(axis=1)
    moved = xp.where(move[:, None], trial.point, state.point)
    return State(
        point=objective.relaxed(batch, moved, move & ~finishing),
        best=xp.where(improved[:, None], state.point, state.best),
        decrement=xp.where(improved, decrement, state.decrement),
        damping=xp.minimum(xp.maximum(damping, DAMPING_LEAST), DAMPING_MOST),
        finishing=state.finishing + (finishing | begins),
        iteration=state.iteration + 1,
        done=state.done | done | (begins & ~goal.precise) | stuck,
    )


def _steps(
    objective: ScaledObjective, here: LocalModel, active: Any, damping: Any
) -> tuple[Any, Any]:
    """The three steps; see :meth:`ScaledObjective.solve_damped`."""
    xp = objective.library
    metric = objective.diagonal(here.gauss_newton)
    # A coordinate without effect, as the exponent of a term that is zero, stays where it is.
    active = active | (metric == 0)
    metric = xp.maximum(metric, LEAST_METRIC * metric.max(axis=-1, keepdims=True))
    return objective.solve_damped(here, active, metric, damping)


def _best_trial(
    objective: ScaledObjective,
    batch: Batch,
    state: State,
    steps: Any,
    value: Any,
    lengths: tuple[tuple[int, float], ...],
    projected: bool,
) -> _Trial:
    """The lowest of the trial points; while finishing, that of the undamped Newton step."""
    xp = objective.library
    if lengths:
        others = [length * steps[which] for which, length in lengths]
        steps = xp.concatenate([steps, xp.stack(others)])
    trials = xp.minimum(xp.maximum(state.point + steps, batch.lower), batch.upper)
    if projected:
        trials = xp.concatenate([trials, objective.variable_projection(batch, trials)])
    values = objective.value(batch, trials)
    chosen = xp.where(state.finishing > 0, UNDAMPED, xp.argmin(values, axis=0))
    each = xp.arange(len(state.point))
    # A step has succeeded also where only its projected trial is lower.
    lower = (values < value).reshape(-1, len(steps), len(each)).any(axis=0)
    return _Trial(trials[chosen, each], values[chosen, each], lower[:DAMPED])


def frozen_where(xp: Any, stopped: Any, old: State, new: State) -> State:
    """The new state, but the old one of starts that have stopped."""
    if xp is np and not stopped.any():
        return new
    return State(
        *(
            xp.where(stopped.reshape(-1, *[1] * (after.ndim - 1)), before, after)
            for before, after in zip(old, new, strict=True)
        )
    )
