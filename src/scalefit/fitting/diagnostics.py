"""Evidence that a start ended in an optimum, and that the best one is global."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalefit.fitting.curvature import curvature_of
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Searched
from scalefit.fitting.newton import MOST_ITERATIONS
from scalefit.objective import Objective, typical_residual, value_of_residual
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.problem.separability import unidentified_error
from scalefit.results.diagnostics import Diagnostics, Minimum
from scalefit.results.status import Status
from scalefit.runtime.settings import quiet

__all__ = ["assess", "converged", "exact", "refuse_unidentified", "settled"]

# Starts in one minimum agree to about 1e-8 in the coordinates; a tenth of a percent is elsewhere.
# The objective cannot decide: minima that swap two like terms have equal values.
SAME_PLACE = 1e-3

# Values this close are one value for choosing between a start that converged and one that did not.
SAME_VALUE = 1e-7

# A step that promises less than this share of the objective is noise in any use of the parameters.
CONVERGED_PROMISE = 1e-9

# Largest cosine between influence and a Jacobian column at a point that is called stationary:
# optima have 1e-14.
CONVERGED_GRADIENT = 1e-6

# Root mean square residual, relative to the loss, at which a law passes through all rows.
EXACT_SPREAD = 1e-11

# Rounding of a residual, relative to the loss: of two logarithms and of terms of the loss's size.
ROW_ROUNDING = 2**-45


def settled(
    problem: Problem, objective: Objective, data: Data, settings: Settings, polished: Polished
) -> bool:
    """Whether every start of a batch ended in one and the same interior minimum.

    Where one did not, the problem is one of those that hide others: a flat valley, a term that
    nearly vanishes, an outlier with a basin of its own.
    """
    there = converged(objective, data, polished)
    order = np.argsort(polished.value)
    alone = len(_distinct(problem, data, settings, polished, order, there)) == 1
    return bool(there.all() and alone and not polished.active.any())


def refuse_unidentified(problem: Problem, data: Data, polished: Polished) -> None:
    """Raise where a parameter changed no prediction at the end of any start.

    Detection looks at some rows and random parameters: a parameter may be at work there, and at
    no end of the search.

    Raises:
        LawError: a nonlinear parameter has no effect on this table.
        DataError: the same of a built-in law.
    """
    count = len(problem.owners)
    ended = np.isfinite(polished.value)
    ends = polished.gauss_newton[ended]
    effect = [curvature_of(problem, item).diagonal[count:] > 0 for item in ends]
    at_work = np.array([~_unidentified(problem, item) for item in polished.coefficients[ended]])
    for group, nothing in zip(
        problem.nonlinear, np.asarray(~np.any(effect, axis=0) & at_work.any(axis=0)), strict=True
    ):
        if nothing and _changes_nothing(problem, data, polished, group):
            raise unidentified_error(problem.law, group[0])


def _changes_nothing(
    problem: Problem, data: Data, polished: Polished, group: Sequence[str]
) -> bool:
    """Whether parameters moved from where the best start ended change no prediction.

    A curvature of zero may be one that is no float.
    """
    best = int(np.nanargmin(polished.value))
    found = problem.parameters(polished.coefficients[best], polished.coordinates[best], data.fixed)
    # Of one level: what a coordinate does it does in every one.
    params = {name.partition("[")[0]: value for name, value in found.items()}
    columns = dict(zip(problem.law.columns, data.columns, strict=True))
    here = problem.law.evaluate(columns, params)
    moved = {name: 1.1 * params[name] + 1e-3 for name in group}
    return bool(np.array_equal(here, problem.law.evaluate(columns, params | moved)))


@quiet()
def assess(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    searched: Searched,
    polished: Polished,
) -> tuple[Status, Diagnostics]:
    """Status of the best start, and the evidence of all starts together."""
    order = np.argsort(np.where(np.isfinite(polished.value), polished.value, np.inf))
    there = converged(objective, data, polished)
    best = _best(polished, order, there, _value_of(objective, data, ROW_ROUNDING))
    order = np.array([best, *order[order != best]])
    minima = _distinct(problem, data, settings, polished, order, there)
    condition, projected = _conditions(problem, polished, best)
    bound = polished.active[best] & _at_work(problem, polished.coefficients[best])
    held = [name for group, at in zip(problem.names, bound, strict=True) if at for name in group]
    trust = Diagnostics(
        search="scattered" if problem.scattered else "grid",
        cells=searched.cells,
        cells_by_squares=searched.by_squares,
        basins=searched.basins,
        starts=len(polished.value),
        minima=minima,
        gradient_cosine=float(polished.gradient_cosine[best]),
        newton_decrement=float(polished.newton_decrement[best]),
        duality_gap=float(polished.duality_gap[best]),
        iterations=int(polished.iterations[best]),
        at_bound=tuple(name for name in problem.ordered if name in held),
        condition=condition,
        condition_projected=projected,
    )
    return _status(objective, data, polished, best), trust


def converged(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts that reached a minimum, or points of several tables that did.

    Args:
        objective: what is minimised.
        data: the table; or as many tables, (tables, rows), as there are points.
        polished: the points.
    """
    # Where nothing is left to explain, a relative promise is noise over noise.
    return _stationary(objective, data, polished) | exact(objective, data, polished)


def _stationary(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts whose steps promise nothing and whose gradient is zero, as far as rounding shows."""
    delta = data.measure.delta
    spread = typical_residual(objective, polished.value, data.weight, data.unit, delta)
    noise = ROW_ROUNDING / np.maximum(spread, ROW_ROUNDING)
    still = polished.gradient_cosine <= CONVERGED_GRADIENT + noise
    # The decrease that a step promises is quadratic in the gradient.
    return (polished.newton_decrement <= CONVERGED_PROMISE + noise**2) & still


def _best(polished: Polished, order: np.ndarray, converged: np.ndarray, known: float) -> int:
    """The lowest start; one that converged, where the lowest did not and is hardly lower."""
    lowest = int(order[0])
    for i in order:
        if converged[i] and polished.value[i] <= polished.value[lowest] * (1 + SAME_VALUE) + known:
            return int(i)
    return lowest


def exact(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts that ended where the law passes through every row, to rounding."""
    return polished.value <= _value_of(objective, data, EXACT_SPREAD)


def _value_of(objective: Objective, data: Data, residual: float) -> Any:
    """Objective where every residual is this share of the loss."""
    return value_of_residual(objective, residual, data.weight, data.unit, data.measure.delta)


def _status(objective: Objective, data: Data, polished: Polished, best: int) -> Status:
    if exact(objective, data, polished)[best]:
        return Status.EXACT
    if _stationary(objective, data, polished)[best]:
        return Status.CONVERGED
    if polished.iterations[best] >= MOST_ITERATIONS:
        return Status.ITERATION_LIMIT
    return Status.STALLED


def _distinct(
    problem: Problem,
    data: Data,
    settings: Settings,
    polished: Polished,
    order: np.ndarray,
    converged: np.ndarray,
) -> tuple[Minimum, ...]:
    """Starts grouped by where they ended, best first; starts that did not converge are left out."""
    found: list[list[Any]] = []
    for i in order:
        value = float(polished.value[i])
        place = np.where(
            _unidentified(problem, polished.coefficients[i]), 0.0, polished.coordinates[i]
        )
        if not (np.isfinite(value) and (converged[i] or i == order[0])):
            continue
        for group in found:
            if np.all(np.abs(place - group[1]) <= SAME_PLACE * (1 + np.abs(group[1]))):
                group[2] += 1
                break
        else:
            found.append([value, place, 1, i])
    return tuple(
        Minimum(
            value,
            count,
            problem.parameters(
                polished.coefficients[i],
                polished.coordinates[i],
                data.fixed,
                _held(settings, polished, i),
            ),
        )
        for value, _, count, i in found
    )


def _held(settings: Settings, polished: Polished, start: int) -> list[float]:
    """The bound that holds each free parameter where a start ended, nan where none does."""
    point = np.r_[polished.coefficients[start], polished.coordinates[start]]
    return np.where(polished.active[start], settings.nearer_bound(point), np.nan).tolist()


def _unidentified(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Coordinates that only terms of coefficient zero depend on: any value fits as well."""
    at_work = set(problem.axes_known or ())
    for owner, coefficient in zip(problem.owners, coefficients, strict=True):
        at_work |= set(problem.axes_seen[owner]) if coefficient != 0 else set()
    # A law without linear parameters is all known part.
    return np.array([axis not in at_work for axis in range(len(problem.nonlinear))], dtype=bool)


def _at_work(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Free parameters, coefficients first, that are identified; shape (p,)."""
    return np.r_[np.ones(len(problem.owners), dtype=bool), ~_unidentified(problem, coefficients)]


def _conditions(problem: Problem, polished: Polished, best: int) -> tuple[float, float]:
    """Condition of the curvature in all free parameters, and with the linear ones projected out.

    Of those that a bound holds as well: what the table cannot tell apart often ends at one, and the
    others alone look well determined. A term that is zero is left out.
    """
    k = len(problem.owners)
    coefficients = polished.coefficients[best]
    free = _at_work(problem, coefficients)
    free[:k] &= ~polished.active[best, :k] | (coefficients != 0) | _constant(problem)
    return curvature_of(problem, polished.gauss_newton[best]).conditions(free)


def _constant(problem: Problem) -> np.ndarray:
    """Coefficients of the constant term, which is there where it is zero; shape (k,)."""
    return np.array([owner == problem.constant for owner in problem.owners], dtype=bool)
