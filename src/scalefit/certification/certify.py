"""Proof that a fitted optimum is global: which fits have one, and how it is set up.

A proof exists, for every objective, where every free coefficient is bounded by zero below and by
nothing above and every term depends on one nonlinear coordinate at most. One coefficient may be
free in sign if its term has none, except under Huber losses of log residuals and their limits. How
it works: see :mod:`~scalefit.certification.relaxation` (the bound) and
:mod:`~scalefit.certification.branch_bound` (the search).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scalefit.certification.branch_bound import Search
from scalefit.certification.conjugates import Loss
from scalefit.certification.enclosures import Columns, Inputs, enclose_column
from scalefit.certification.intervals import Interval, NotEnclosed
from scalefit.certification.losses import loss
from scalefit.certification.proposals import Goal
from scalefit.certification.relaxation import (
    REFINEMENTS,
    REFINEMENTS_NEAR_ROUNDING,
    FixedColumns,
    Relaxation,
)
from scalefit.certification.rounding import EPSILON, FUNCTION_ULPS, TINY, gamma
from scalefit.objective import Objective
from scalefit.problem.problem import Problem, Settings
from scalefit.results.certificate import Certificate
from scalefit.runtime.settings import quiet

__all__ = ["DEFAULT_BOXES", "DEFAULT_WORK", "MOST_BOXES", "MOST_WORK", "certify"]

# Share of the objective to which an optimum is proved.
TOLERANCE = 1e-6

# Squared fits of real tables take 170 to 700 boxes, Huber ones as many, three coordinates 2,000.
MOST_BOXES = 50_000

# What they may cost, since a box of many rows, or of rows that are far from parabolas, costs more:
# steps of the interior point method, times the rows and as many as a step costs beside them. Each
# is a tenth to a third of a microsecond, so that a proof ends in some seconds.
MOST_WORK = 6.4e7

# The same of a proof that every fit of squares tries: within a second.
DEFAULT_BOXES = 5_000
DEFAULT_WORK = MOST_WORK / 8

MOST_COORDINATES = 3

# Columns of the convex problem of a box: one for a coefficient whose term is fixed, two for others.
# With 43, 20 levels of one coefficient, squares take 3 s.
MOST_COLUMNS = 50

# Roundings in a prediction as a proof encloses it, beside those of a sum over the rows: columns are
# known to some thousand units in the last place.
ROUNDINGS = 4000


class Unprovable(Exception):  # noqa: N818 (says why there is no proof; nothing failed)
    """Why a certificate is not attempted, as the end of a sentence."""


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
    codes: Sequence[np.ndarray] = (),
    tolerance: float = TOLERANCE,
    most_boxes: int = MOST_BOXES,
    most_work: float = MOST_WORK,
) -> Certificate:
    """Try to prove that no point of the bounds has a lower objective than a fit.

    Where there is no proof, the certificate says why.

    Args:
        problem: the problem.
        settings: its bounds.
        objective: what is minimised.
        columns: the law's data columns by name, each of shape (rows,), raw units.
        observed: observed losses, shape (rows,).
        weight: row weights, shape (rows,).
        fixed: values of the fixed parameters.
        value: the objective at the fit.
        codes: level of each row in each division of the rows, each (rows,).
        tolerance: share of the value to prove it to.
        most_boxes: where to give up, in boxes.
        most_work: where to give up, in what they cost (``MOST_WORK``); the last generation of
            boxes may pass it.
    """
    with quiet():
        try:
            search = prepare_search(
                problem,
                settings,
                objective,
                columns,
                observed,
                weight,
                fixed,
                value,
                tolerance,
                codes,
            )
            return search.run(most_boxes, most_work)
        except (Unprovable, NotEnclosed) as why:
            return Certificate(False, math.inf, 0, {}, f"not attempted: {why}")


def prepare_search(
    problem: Problem,
    settings: Settings,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    value: float,
    tolerance: float,
    codes: Sequence[np.ndarray] = (),
) -> Search:
    """The search, before its first box.

    Raises:
        Unprovable: the problem or objective is not of the kind that can be proved.
        NotEnclosed: a column has no interval arithmetic.
    """
    if not np.isfinite(value):
        raise Unprovable("the objective is not finite")
    free = _free_in_sign(problem)
    if free and objective.residual == "log" and objective.penalty.bounded:
        raise Unprovable(
            "a coefficient is free in sign, so that predictions do not bound the other terms"
        )
    used = weight > 0
    # Weights near one, by a power of two.
    exponent = 1 - int(np.frexp(weight.max(initial=0.0))[1])
    weight, value = np.ldexp(weight, exponent), math.ldexp(value, exponent)
    if not used.any():
        raise Unprovable("no row has a weight")
    table = Inputs(
        columns=tuple(
            np.asarray(columns[name], dtype=np.float64)[used] for name in problem.law.columns
        ),
        fixed=tuple(float(fixed[name]) for name in problem.fixed),
        rows=int(np.count_nonzero(used)),
        levels=_levels(problem, codes, used),
    )
    rows = loss(objective, observed[used], weight[used], value)
    low, high = _box(problem, settings)
    searched = Columns(problem, table, low, high)
    fixed_columns = _fixed_columns(problem, table, free)
    _refuse_many(len(fixed_columns) + 2 * len(searched))
    goal = _goal(rows, value, tolerance, exponent)
    near = goal.rounding >= 1e-3 * goal.allowed
    relaxation = Relaxation(
        rows,
        searched,
        fixed_columns,
        _known_part(problem, table),
        REFINEMENTS_NEAR_ROUNDING if near else REFINEMENTS,
    )
    return Search(problem, relaxation, low, high, goal)


def _free_in_sign(problem: Problem) -> list[int]:
    """Coefficients of either sign, one at most.

    Raises:
        Unprovable: the problem is not of the kind that can be proved.
    """
    free: list[int] = []
    for index, (group, kinds) in enumerate(zip(problem.linear, problem.limits, strict=True)):
        if kinds == ("none", "none") and problem.levels[index]:
            raise Unprovable(f"coefficient {group[0]} is free in sign and differs by a column")
        if kinds == ("none", "none") and not problem.axes_seen[index]:
            free.append(index)
        elif kinds != ("zero", "none"):
            raise Unprovable(f"coefficient {group[0]} has bounds other than zero from below")
        if len(problem.axes_seen[index]) > 1:
            raise Unprovable(f"the term of {group[0]} depends on more than one coordinate")
    if len(free) > 1:
        raise Unprovable("more than one coefficient is free in sign")
    if problem.axes_known:
        raise Unprovable("the law has a part without free coefficients that is searched too")
    if len(problem.nonlinear) > MOST_COORDINATES:
        raise Unprovable(
            f"{len(problem.nonlinear)} nonlinear coordinates are more than {MOST_COORDINATES}"
        )
    return free


def _levels(
    problem: Problem, codes: Sequence[np.ndarray], used: np.ndarray
) -> tuple[tuple[np.ndarray, ...], ...]:
    """Rows, of those that are used, of each level of each linear parameter.

    A level without any has no part in the objective.
    """
    found: list[tuple[np.ndarray, ...]] = []
    for levels, division in zip(problem.levels, problem.divisions, strict=True):
        rows: list[np.ndarray] = []
        if division is not None:
            mine = np.asarray(codes[division])[used]
            rows = [np.flatnonzero(mine == level) for level in range(len(levels))]
        found.append(tuple(item for item in rows if len(item)))
    return tuple(found)


def _fixed_columns(problem: Problem, table: Inputs, free: Sequence[int]) -> FixedColumns:
    """The columns that no nonlinear parameter changes, one for each level."""
    columns, signs, masks = [], [], []
    for index, axes in enumerate(problem.axes_seen):
        if axes:
            continue
        term = enclose_column(problem, table, index).value
        for mask in table.masks(index):
            columns.append(term)
            signs.append(index in free)
            masks.append(mask)
    return FixedColumns.of(columns, signs, table.rows, masks)


def _refuse_many(size: int) -> None:
    """Refuse problems of which every box would take long.

    Raises:
        Unprovable: there are more corner columns than a proof is attempted with.
    """
    if size > MOST_COLUMNS:
        raise Unprovable(f"{size} columns at the corners of a box are more than {MOST_COLUMNS}")


def _box(problem: Problem, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the nonlinear parameters themselves, also where a fit searches the logarithm."""
    k = len(problem.owners)
    logs = np.array(problem.logarithmic, dtype=bool)
    low, high = np.asarray(settings.lower)[k:], np.asarray(settings.upper)[k:]
    # Widened by the rounding of the exponential.
    margin = (
        4 * FUNCTION_ULPS * EPSILON * np.where(logs, np.maximum(1, np.abs([low, high]).max(0)), 0)
    )
    return (
        np.where(logs, np.exp(low) * (1 - margin), low),
        np.where(logs, np.exp(high) * (1 + margin), high),
    )


def _known_part(problem: Problem, table: Inputs) -> Interval | None:
    """The part of the law without free coefficients, (rows,)."""
    if problem.axes_known is None:
        return None
    enclosed = enclose_column(problem, table, None).value
    # What is the same in every row may come as one number.
    return enclosed.mapped(lambda x: np.broadcast_to(x[0], table.rows))


def _goal(rows: Loss, value: float, tolerance: float, exponent: int) -> Goal:
    """The tolerance, or what rounding leaves, whichever is more."""
    rounding = rows.rounding(value, gamma(2 * len(rows.y) + ROUNDINGS))
    rounding += 4 * len(rows.y) * math.ldexp(TINY, exponent)
    return Goal(value, max(tolerance * value, rounding), rounding, exponent)
