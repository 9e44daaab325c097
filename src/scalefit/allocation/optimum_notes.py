"""Notes on an optimum: how far from the runs it lies, what holds it, how flat it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from scalefit.allocation.problem import AllocationProblem
from scalefit.allocation.solver import INTERIOR, Solution
from scalefit.notes import Note
from scalefit.results.domain import extrapolation, unit_mismatch
from scalefit.results.estimate import Draws

__all__ = ["draw_notes", "optimum_notes", "reach_notes"]

# Of the budget: where twice the model size wastes less than this, runs can hardly tell the optimum.
FLAT = 0.02

# How near a limit a solution lies that the limit holds, relative.
AT_LIMIT = 1e-6


def optimum_notes(
    problem: AllocationProblem, found: Solution, answers: Mapping[str, np.ndarray]
) -> list[Note]:
    """Soft problems of the optimum of a fit; its answers have an axis of one draw."""
    columns = {name: values[0] for name, values in found.columns.items()}
    notes = [*problem.fit.carried, *unit_mismatch(problem.fit.domain, columns, "*")]
    notes += reach_notes(problem, found)
    notes += _limit_notes(problem, found)
    if found.turned[0].any():
        left = answers["spent"] / answers["budget"]
        notes.append(
            Note.of(
                "more_data_hurts",
                f"with these values the loss rises with {problem.form.token_column} before the "
                f"budget is spent: {problem.form.token_column} stops there, and the rest is left",
                {"spent": float(np.min(left[found.turned]))},
            )
        )
    notes += _flat(problem, found)
    return notes


def reach_notes(problem: AllocationProblem, found: Solution) -> tuple[Note, ...]:
    """How far outside the runs of the fit its optimum and its fixed columns lie."""
    columns = {**problem.fixed, **{name: values[0] for name, values in found.columns.items()}}
    starred = {name: f"{name}*" for name in found.columns}
    return extrapolation(problem.fit.domain, columns, starred)


def _limit_notes(problem: AllocationProblem, found: Solution) -> list[Note]:
    columns = {name: np.asarray(values) for name, values in problem.fixed.items()}
    columns |= {name: values[0] for name, values in found.columns.items()}
    holding = dict(_holding_limits(problem, columns)) | dict(_holding_ranges(problem, columns))
    if not holding:
        return []
    own = {relation.rule for relation in problem.fit.law.relations}
    said = ", ".join(
        name if name in own else f"{name} = {end:.4g}" for name, end in holding.items()
    )
    return [
        Note.of(
            "at_limit",
            f"a limit or an end of a range holds the optimum: {said}",
            {"limits": holding},
        )
    ]


def _holding_limits(
    problem: AllocationProblem, columns: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, float]]:
    """Limits that hold the optimum, by name, with the value of each."""
    for i, limit in enumerate(problem.form.limits):
        value = np.asarray(limit.value(columns), dtype=np.float64)
        for end in (problem.low[i], problem.high[i]):
            if math.isfinite(end) and (np.abs(value / end - 1) < AT_LIMIT).any():
                yield limit.name, end


def _holding_ranges(
    problem: AllocationProblem, columns: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, float]]:
    """Ends of ranges and lists that hold the optimum, by column."""
    form = problem.form
    names, logs = (form.size_column, *form.extras), (True, *form.logarithmic)
    for name, (low, high), logarithmic in zip(names, problem.box, logs, strict=True):
        if name not in columns:
            continue
        ends = [math.exp(low), math.exp(high)] if logarithmic else [float(low), float(high)]
        width = ends[1] - ends[0]
        # The whole range of sizes has ends too, that no user gave.
        mine = problem.edge if name == form.size_column else (True, True)
        for end, given in zip(ends, mine, strict=True):
            near = np.abs(columns[name] - end) <= AT_LIMIT * max(abs(end), width)
            if given and near.any():
                yield name, end
    for name, values in problem.choices.items():
        if len(values) > 1 and np.isin(columns[name], (min(values), max(values))).any():
            yield name, float(columns[name].flat[0])


def _flat(problem: AllocationProblem, found: Solution) -> list[Note]:
    """A note where twice the size wastes hardly anything."""
    known = (found.state[0] == INTERIOR) & np.isfinite(found.waste[0])
    if not known.any():
        return []
    waste = float(np.min(found.waste[0][known]))
    if not 0 <= waste < FLAT:
        return []
    return [
        Note.of(
            "flat_optimum",
            f"twice or half the model size wastes {waste:.1%} of the budget at most: the "
            "optimum is flat, and N* is not sharply determined. See near_optimal()",
            {"waste_of_doubling": waste},
        )
    ]


def draw_notes(draws: Draws, quantity: str = "loss") -> list[Note]:
    """A note on draws without an optimum: those whose quantity, shape (draws, *levels), is NaN."""
    loss = draws.get(quantity, np.empty((0, 1)))
    lost = int(np.isnan(loss).any(axis=tuple(range(1, loss.ndim))).sum())
    if not lost:
        return []
    return [
        Note.of(
            "draws_without_optimum",
            f"{lost} of {len(loss)} draws have no optimum at some budget, as when a term is zero: "
            "the intervals are of the others, and too narrow",
            {"draws": lost},
        )
    ]
