"""The best end of every table, by the law as it is written, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.fitting.api import AGREEMENT
from scalefit.fitting.diagnostics import ROW_ROUNDING, SAME_PLACE, converged, exact
from scalefit.fitting.end_points import Polished
from scalefit.fitting.engine import or_infinite
from scalefit.fitting.newton import MOST_ITERATIONS
from scalefit.laws import Law
from scalefit.many.search import Ends
from scalefit.many.stacks import Stack
from scalefit.objective import Objective, measure, penalty, residuals
from scalefit.problem.problem import Problem
from scalefit.runtime.settings import quiet

__all__ = ["Judged", "judged"]

# Values this close are one value for choosing between an end that converged and one that did not.
SAME_VALUE = 1e-7


class Judged(NamedTuple):
    """The fits of the tables of a stack.

    Attributes:
        params: every parameter by name, (tables,).
        value: of the objective, (tables,).
        status: name of each, (tables,).
        held: which free parameters ended at one of their bounds, (tables, p).
        condition: of the curvature in all free parameters, (tables,).
        disagree: whether a start ended in another minimum, (tables,).
        nobs: rows that count, (tables,).
        residual_rms: weighted root mean square residual, (tables,).
        best: the ends, one for each table.
        doubtful: tables that a fit of their own has to settle: nothing finite was found, a
            parameter has no effect, or the law as it is written has another value.
    """

    params: dict[str, np.ndarray]
    value: np.ndarray
    status: np.ndarray
    held: np.ndarray
    condition: np.ndarray
    disagree: np.ndarray
    nobs: np.ndarray
    residual_rms: np.ndarray
    best: Polished
    doubtful: np.ndarray


@quiet()
def judged(
    problem: Problem, objective: Objective, stack: Stack, ends: Ends, fixed: Mapping[str, float]
) -> Judged:
    """The best end of each table, evaluated.

    Args:
        problem: the problem.
        objective: what is minimised.
        stack: the tables.
        ends: of their starts.
        fixed: values of the fixed parameters.
    """
    every = np.arange(len(stack))
    data = stack.many(every)
    best = ends.polished.take(_chosen(objective, stack, ends))
    params = _parameters(problem, stack, best, fixed)
    value, rms, slack = _evaluated(problem.law, objective, stack, params)
    there, through = converged(objective, data, best), exact(objective, data, best)
    names = [
        (through, "exact"),
        (there, "converged"),
        (best.iterations >= MOST_ITERATIONS, "iteration_limit"),
    ]
    status = np.select([mask for mask, _ in names], [name for _, name in names], "stalled")
    idle = (np.diagonal(best.gauss_newton, axis1=1, axis2=2) == 0).any(axis=1)
    agrees = np.abs(value - best.value) <= AGREEMENT * value + slack
    doubtful = ~np.isfinite(best.value) | ~agrees | (idle & (best.coefficients != 0).all(axis=1))
    work = _at_work(problem, best.coefficients)
    held, condition = best.active & work, _conditions(problem, best, work)
    nobs = np.count_nonzero(stack.data.weight, axis=1)
    doubts = np.flatnonzero(doubtful)
    disagree = _disagreeing(problem, objective, stack, ends, best)
    return Judged(params, value, status, held, condition, disagree, nobs, rms, best, doubts)


def _chosen(objective: Objective, stack: Stack, ends: Ends) -> np.ndarray:
    """The lowest end of each table; one that converged, where the lowest is hardly lower."""
    value = or_infinite(ends.polished.value)
    lowest = value[ends.lowest()][ends.table]
    there = converged(objective, stack.many(ends.table), ends.polished)
    # Before those that are lower by rounding alone.
    first = there & (value <= lowest * (1 + SAME_VALUE))
    order = np.lexsort((value, ~first, ends.table))
    return order[np.searchsorted(ends.table[order], np.arange(len(stack)))]


def _parameters(
    problem: Problem, stack: Stack, best: Polished, fixed: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Every parameter by name, those that a bound holds on the bound as it was given."""
    point = np.concatenate([best.coefficients, best.coordinates], axis=1)
    k = len(problem.owners)
    free = point.copy()
    logarithmic = np.array([False] * k + list(problem.logarithmic), dtype=bool)
    free[:, logarithmic] = np.exp(free[:, logarithmic])
    free = np.where(best.active, stack.settings.nearer_bound(point), free)
    found = {name: np.full(len(stack), value) for name, value in fixed.items()}
    for column, group in zip(free.T, problem.names, strict=True):
        found.update(dict.fromkeys(group, column))
    return {name: found[name] for name in problem.ordered}


def _evaluated(
    law: Law, objective: Objective, stack: Stack, params: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The objective, the root mean square residual, and what rounding explains, each (tables,)."""
    data, how = stack.data, measure(objective)
    shape = data.response.shape
    observed = data.response * data.unit[:, None]
    columns = {name: item.ravel() for name, item in zip(law.columns, data.columns, strict=True)}
    each = {name: np.repeat(item, shape[1]) for name, item in params.items()}
    predicted = law.evaluate(columns, each).reshape(shape)
    used = data.weight > 0
    rows = np.where(used, residuals(how, observed, predicted), 0.0)
    sizes = np.abs(rows) if how.absolute else penalty(how, rows)
    weight = data.weight * stack.weight_unit[:, None]
    value = how.factor * np.sum(weight * sizes, axis=1)
    rms = np.sqrt(np.sum(data.weight * rows**2, axis=1) / data.weight.sum(axis=1))
    error = ROW_ROUNDING * np.abs(observed)
    error = error / np.abs(observed) if objective.needs_positive_loss else error
    steepest = 1.0 if how.absolute else np.minimum(np.abs(rows) + error, how.delta)
    slack = how.factor * how.asymmetry * np.sum(weight * steepest * error, axis=1)
    return value, rms, slack


def _at_work(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Which free parameters some term that is not zero depends on, (tables, p)."""
    k = len(problem.owners)
    found = np.ones((len(coefficients), problem.size), dtype=bool)
    for axis in range(len(problem.nonlinear)):
        if axis in (problem.axes_known or ()):
            continue
        seen = [axis in problem.axes_seen[owner] for owner in problem.owners]
        found[:, k + axis] = (coefficients[:, seen] != 0).any(axis=1)
    return found


def _disagreeing(
    problem: Problem, objective: Objective, stack: Stack, ends: Ends, best: Polished
) -> np.ndarray:
    """Tables whose starts ended in several minima, (tables,)."""
    k, some = len(problem.owners), ends.polished
    own = best.take(ends.table)
    here, there = (
        np.where(_at_work(problem, item.coefficients)[:, k:], item.coordinates, 0.0)
        for item in (some, own)
    )
    same = (np.abs(here - there) <= SAME_PLACE * (1 + np.abs(there))).all(axis=1)
    # Only from the best end does the search go on where a term vanished: others are no minima.
    vanished = ((some.coefficients == 0) & (own.coefficients != 0)).any(axis=1)
    other = converged(objective, stack.many(ends.table), some) & np.isfinite(some.value)
    found = np.zeros(len(stack), dtype=bool)
    np.logical_or.at(found, ends.table, other & ~same & ~vanished)
    return found


def _conditions(problem: Problem, best: Polished, work: np.ndarray) -> np.ndarray:
    """Condition of the curvature in all free parameters that matter, (tables,).

    See ``fitting.diagnostics``: those that a bound holds are among them, terms that are zero not.
    """
    k = len(problem.owners)
    constant = np.array([owner == problem.constant for owner in problem.owners], dtype=bool)
    free = work.copy()
    free[:, :k] &= ~best.active[:, :k] | (best.coefficients != 0) | constant
    diagonal = np.diagonal(best.gauss_newton, axis1=1, axis2=2)
    both = free[:, :, None] & free[:, None, :]
    sound = np.asarray((np.isfinite(best.gauss_newton) | ~both).all(axis=(1, 2)))
    sound &= ((diagonal > 0) | ~free).all(axis=1)
    size = np.sqrt(np.where(free & sound[:, None], diagonal, 1.0))
    scaled = best.gauss_newton / (size[:, :, None] * size[:, None, :])
    # What is left out has eigenvalues of one, which lie between the others.
    scaled = np.where(both & sound[:, None, None], scaled, np.eye(problem.size))
    values = np.linalg.eigvalsh(scaled)
    sound &= values[:, 0] > 0
    return np.where(sound, values[:, -1] / np.where(sound, values[:, 0], 1.0), np.inf)
