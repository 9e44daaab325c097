"""What is said of an optimum: refusals where there is none, and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from scalefit.allocation.problem import FAR_RATIO, AllocationProblem
from scalefit.allocation.solve import CLOSED_FORMS, solve_all
from scalefit.allocation.solver import INTERIOR, LIMITED, UNBOUNDED, Optimum
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.results.domain import extrapolation
from scalefit.results.estimate import Draws
from scalefit.results.fit import Fit

__all__ = [
    "draw_notes",
    "notes_of",
    "reach_notes",
    "require_design",
    "require_optimum",
    "unit_mismatch",
]

# So many times the largest run, or less than this share of the smallest, and sizes are in another
# unit than the table: no extrapolation that anybody means goes from 1e9 to 1e14, or back to 1e6.
HIGH_UNIT, LOW_UNIT = 1e5, 1e-3

# Of the budget: where twice the model size wastes less than this, runs can hardly tell the optimum.
FLAT = 0.02

# Sizes outside are no advice.
SENSIBLE = (1.0, 1e25)

# Share of a loss by which a column moves it over all runs, below which it moves it by rounding.
IDLE = 1e-12

# How near a limit an answer lies that the limit holds, relative.
AT_LIMIT = 1e-6


def require_design(problem: AllocationProblem, found: Optimum) -> None:
    """Raise where the runs of the fit do not tell the optimum of N and D from any other."""
    for note in problem.fit.notes:
        if note.code == "one_ratio" and {"N", "D"} <= set(found.columns):
            raise AllocationError(f"the runs of this fit determine no optimum: {note.message}")


def require_optimum(problem: AllocationProblem, found: Optimum, *, limited: bool = True) -> None:
    """Raise where the fit itself has no optimum at a level.

    Args:
        problem: what was asked.
        found: the answers.
        limited: whether limits could have been given.
    """
    fit, params = problem.fit, problem.fit.params
    idle = _idle(problem)
    if idle and (fit.law in CLOSED_FORMS or not problem.limited):
        values = ", ".join(f"{name} = {params[name]:g}" for name in ("A", "B") if name in params)
        raise AllocationError(
            f"the fitted loss does not depend on {' or '.join(idle)} beyond rounding "
            f"({values or fit.law.name}), so no budget is best split. See the notes of the fit, "
            f"and fit runs that differ in {' and '.join(idle)}"
        )
    state = found.state[0]
    if (state <= LIMITED).all():
        return
    at = tuple(np.argwhere(state > LIMITED)[0])
    level = problem.levels[at]
    unit = "" if problem.line.reverse else f" {problem.cost.unit}"
    if state[at] == UNBOUNDED and limited and problem.limited:
        _require_room(problem, found, at)
    if state[at] == UNBOUNDED:
        size_column, token_column = problem.line.size_column, problem.line.token_column
        reach = np.broadcast_to(problem.reach, (*state.shape, 2))[at]
        reach = np.clip(reach, *(math.log(FAR_RATIO) * 6 * np.array([-1, 1])))
        low, high = np.exp(reach)
        where = (
            "tokens per parameter"
            if (size_column, token_column) == ("N", "D")
            else f"{token_column}/{size_column}"
        )
        size, amount = (float(found.columns[name][0][at]) for name in (size_column, token_column))
        # A decade before the end that it ran into.
        few = math.log(amount / size) > reach.mean()
        end = 10 * size if few else size / 10
        limit = f"({end:.0e}, None)" if few else f"{end:.0e}"
        limit = limit if SENSIBLE[0] < end < SENSIBLE[1] else _seen(problem)
        limit = f"limits={{'{size_column}': {limit}}}"
        what = (
            f"the cost of a loss of {level:g}"
            if problem.line.reverse
            else (f"at {level:g}{unit} the loss")
        )
        cheapest = f"allocate(fit, loss={float(level)!r}, {limit})"
        raise AllocationError(
            f"{what} of {fit.law.name!r} has no minimum between {low:.1g} and {high:.1g} {where}: "
            "with these values, more of one always beats more of the other. "
            + (
                f"Limit one, as {limit}"
                if limited
                else f"Ask for the cheapest within limits: {cheapest}"
            )
        )
    raise AllocationError(_impossible(problem, level))


def _idle(problem: AllocationProblem) -> list[str]:
    """Which of the columns that a budget is divided between do not move the loss over the runs."""
    fit, params = problem.fit, problem.fit.params
    terms = (("N", "A"), ("D", "B")) if fit.law in CLOSED_FORMS else ()
    idle = {name for name, term in terms if not params[term] > 0} | {*_still(problem)}
    return sorted(idle, reverse=True)


def _still(problem: AllocationProblem) -> list[str]:
    """Those by which the loss changes between the ends of the runs by no more than rounding."""
    fit = problem.fit
    columns = {name: float(values.flat[0]) for name, values in problem.fixed.items()}
    columns |= {name: values[0] for name, values in problem.choices.items()}
    seen = [fit.domain.get(name, (math.nan, math.nan)) for name in problem.divided]
    if not {*fit.law.columns} <= {*columns, *problem.divided} or len(seen) < 2:
        return []
    if not all(low < high for low, high in seen):
        return []
    # One row at a time: a law need not be one of arrays.
    corners = (dict(zip(problem.divided, ends, strict=True)) for ends in product(*seen))
    each = [fit.law.evaluate({**columns, **corner}, fit.params) for corner in corners]
    loss = np.reshape(each, (2, 2))
    if not np.isfinite(loss).all():
        return []
    moved = [np.abs(np.diff(loss, axis=axis)).max() for axis in (0, 1)]
    least = IDLE * np.abs(loss).max()
    return [name for name, by in zip(problem.divided, moved, strict=True) if by <= least]


def _require_room(problem: AllocationProblem, found: Optimum, at: tuple[int, ...]) -> None:
    """Raise where there would be an optimum without the limits."""
    params = {name: np.array([value]) for name, value in problem.fit.params.items()}
    free = solve_all(problem.loosened(), params)
    if free.state[0][at] > LIMITED:
        return
    reach = np.broadcast_to(problem.reach, (*found.state[0].shape, 2))[at]
    if not np.isfinite(reach).all():
        return
    low, high = np.exp(reach)
    size_column, token_column = problem.divided
    best = ", ".join(f"{name} = {free.columns[name][0][at]:.4g}" for name in problem.divided)
    raise AllocationError(
        f"within the limits no {token_column}/{size_column} is between {low:.1g} and {high:.1g}, "
        f"where optima are looked for (that of the runs, and {FAR_RATIO:g} times beyond). Without "
        f"the limits it would be {best}: loosen them towards it"
    )


def _seen(problem: AllocationProblem) -> str:
    """What the runs have of the walked column, as a range."""
    low, high = problem.fit.domain.get(problem.line.size_column, (1e6, 1e12))
    return f"({low:g}, {high:g})"


def _impossible(problem: AllocationProblem, level: float) -> str:
    """Why nothing meets a question, with the numbers."""
    fit, line = problem.fit, problem.line
    params = {name: np.array([value]) for name, value in fit.params.items()}
    loosened = []
    for i, limit in enumerate(line.limits):
        other = solve_all(problem.without(i), params)
        meets = other.state[0] <= LIMITED
        if meets.any():
            at = tuple(np.argwhere(meets)[0])
            columns = _at(problem, other, at)
            ends = _ends_text(problem.low[i], problem.high[i])
            loosened.append(
                f"without {limit.name} {ends} it would be {float(limit.value(columns)):.4g}"
            )
    if loosened:
        meet = "meet" if len(problem.divided) > 1 else "meets"
        asked = f"a loss of {level:g}" if line.reverse else f"{level:g} {problem.cost.unit}"
        return (
            f"no {' and '.join(problem.divided)} {meet} every limit at {asked}: "
            f"{'; '.join(loosened)}. Loosen one"
        )
    if line.reverse:
        floors = {param.name for param in fit.law.params if param.kind.name != "amplitude"}
        floor = fit.params.get("E") if "E" in floors else None
        below = (
            f": its floor is E = {floor:g}"
            if floor is not None and floor >= level
            else (" within the limits and the tokens per parameter that are looked at")
        )
        return (
            f"no budget reaches a loss of {level:g} under this fit of {fit.law.name!r}{below}. Ask "
            "for a higher loss"
        )
    names = [
        f"{limit.name} {_ends_text(problem.low[i], problem.high[i])}"
        for i, limit in enumerate(line.limits)
    ]
    under = f" under {', '.join(names)}" if names else ""
    more = "Give a larger budget, or looser limits" if names else "Give a larger budget"
    return (
        f"{level:g} {problem.cost.unit} buy no {' and '.join(problem.divided)} under cost "
        f"{problem.cost.name!r}{under}. {more}"
    )


def _ends_text(low: float, high: float) -> str:
    if not math.isfinite(low):
        return f"<= {high:g}"
    return f">= {low:g}" if not math.isfinite(high) else f"in {low:g} to {high:g}"


def _at(problem: AllocationProblem, found: Optimum, at: tuple[int, ...]) -> dict[str, float]:
    columns = {name: float(values[at]) for name, values in problem.fixed.items()}
    return {**columns, **{name: float(values[0][at]) for name, values in found.columns.items()}}


def draw_notes(draws: Draws, answer: str = "loss") -> list[Note]:
    """A note on draws without an optimum: those whose answer, shape (draws, *levels), is NaN."""
    loss = draws.get(answer, np.empty((0, 1)))
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


def notes_of(
    problem: AllocationProblem, found: Optimum, answers: Mapping[str, np.ndarray]
) -> list[Note]:
    """Soft problems of the optimum of a fit, whose answers have an axis of one draw."""
    columns = {name: values[0] for name, values in found.columns.items()}
    notes = [*problem.fit.carried, *unit_mismatch(problem.fit, columns, "*")]
    notes += reach_notes(problem, found)
    notes += _limit_notes(problem, found)
    if found.turned[0].any():
        left = answers["spent"] / answers["budget"]
        notes.append(
            Note.of(
                "more_data_hurts",
                f"with these values the loss rises with {problem.line.token_column} before the "
                f"budget is spent: {problem.line.token_column} stops there, and the rest is left",
                {"spent": float(np.min(left[found.turned]))},
            )
        )
    notes += _flat(problem, found)
    return notes


def reach_notes(problem: AllocationProblem, found: Optimum) -> tuple[Note, ...]:
    """How far outside the runs of the fit its optimum lies, and columns are held."""
    columns = {**problem.fixed, **{name: values[0] for name, values in found.columns.items()}}
    starred = {name: f"{name}*" for name in found.columns}
    return extrapolation(problem.fit.domain, columns, starred)


def unit_mismatch(fit: Fit, columns: Mapping[str, np.ndarray], mark: str = "") -> list[Note]:
    """A note where N or D are so far from every run that one of both is in another unit.

    Args:
        fit: the fit.
        columns: values by column, any shape.
        mark: what follows the name of a column in print.
    """
    far = {}
    for name in ("N", "D"):
        if name not in columns or name not in fit.domain:
            continue
        low, high = fit.domain[name]
        values = columns[name][np.isfinite(columns[name]) & (columns[name] > 0)]
        if not (values.size and low > 0):
            continue
        if values.max() > HIGH_UNIT * high:
            far[name] = (values.max(), "above the largest", high)
        elif values.min() < LOW_UNIT * low:
            far[name] = (values.min(), "below the smallest", low)
    if not far:
        return []
    said = " and ".join(
        f"{name}{mark} = {value:.3g} is {max(value / end, end / value):.2g} times {how} of the "
        f"runs ({end:.3g})"
        for name, (value, how, end) in far.items()
    )
    return [
        Note.of(
            "unit_mismatch",
            f"{said}: the question and the fitted table are in different units. Ask in the unit "
            "of the table, or fit a table in raw counts",
            {name: float(value) for name, (value, _, _) in far.items()},
        )
    ]


def _limit_notes(problem: AllocationProblem, found: Optimum) -> list[Note]:
    columns = {name: np.asarray(values) for name, values in problem.fixed.items()}
    columns |= {name: values[0] for name, values in found.columns.items()}
    holding = {}
    for i, limit in enumerate(problem.line.limits):
        value = np.asarray(limit.value(columns), dtype=np.float64)
        for end in (problem.low[i], problem.high[i]):
            if math.isfinite(end) and (np.abs(value / end - 1) < AT_LIMIT).any():
                holding[limit.name] = end
    for name, (low, high) in zip(
        (problem.line.size_column, *problem.line.extras), _natural(problem), strict=True
    ):
        if name not in columns:
            continue
        ends = (
            (low, high)
            if name != problem.line.size_column
            else (
                low if problem.edge[0] else math.nan,
                high if problem.edge[1] else math.nan,
            )
        )
        for end in ends:
            if (np.abs(columns[name] - end) <= AT_LIMIT * max(abs(end), high - low)).any():
                holding[name] = end
    for name, values in problem.choices.items():
        if len(values) > 1 and np.isin(columns[name], (min(values), max(values))).any():
            holding[name] = float(columns[name].flat[0])
    if not holding:
        return []
    said = ", ".join(f"{name} = {end:.4g}" for name, end in holding.items())
    return [
        Note.of(
            "at_limit",
            f"a limit or an end of a range holds the answer: {said}",
            {"limits": holding},
        )
    ]


def _natural(problem: AllocationProblem) -> list[tuple[float, float]]:
    logs = (True, *problem.line.logarithmic)
    return [
        (math.exp(low), math.exp(high)) if log else (float(low), float(high))
        for (low, high), log in zip(problem.box, logs, strict=True)
    ]


def _flat(problem: AllocationProblem, found: Optimum) -> list[Note]:
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
            "optimum is flat, and N* is no sharp answer. See near_optimal()",
            {"waste_of_doubling": waste},
        )
    ]
