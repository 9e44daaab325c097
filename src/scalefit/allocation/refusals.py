"""Refusals: errors where a fit has no optimum, with the reason and a remedy."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from scalefit.allocation.problem import FAR_RATIO, AllocationProblem
from scalefit.allocation.problem_batch import SLOPELESS
from scalefit.allocation.solve import CLOSED_FORMS, solve_all
from scalefit.allocation.solver import LIMITED, UNBOUNDED, Solution
from scalefit.allocation.unit_checks import require_units
from scalefit.errors import AllocationError
from scalefit.results.fit import Fit

__all__ = ["require_design", "require_optimum", "require_ratios"]

# Sizes outside are not proposed as a limit.
SENSIBLE = (1.0, 1e25)

# Share of a loss: a column that moves it by less over all runs moves it by rounding.
IDLE = 1e-12


def require_design(problem: AllocationProblem, found: Solution) -> None:
    """Raise where the runs of the fit do not identify the optimum of N and D.

    Raises:
        AllocationError: all runs have one ratio of tokens to parameters, or they are in another
            unit than the budget.
    """
    require_units(problem.fit, {name: values[0] for name, values in found.columns.items()}, "*")
    if {"N", "D"} <= set(found.columns):
        require_ratios(problem.fit)


def require_ratios(fit: Fit) -> None:
    """Raise where the runs of a fit have one ratio of tokens to parameters.

    Raises:
        AllocationError: they have.
    """
    for note in fit.notes:
        if note.code == "one_ratio":
            raise AllocationError(f"the runs of this fit determine no optimum: {note.message}")


def require_optimum(problem: AllocationProblem, found: Solution, *, limited: bool = True) -> None:
    """Raise where the fit itself has no optimum at a level.

    Args:
        problem: what was solved.
        found: its solutions.
        limited: whether the caller takes limits, which a remedy may name.

    Raises:
        AllocationError: there is none, with the reason.
    """
    idle = _idle(problem)
    if idle and (problem.fit.law in CLOSED_FORMS or not problem.limited):
        params = problem.fit.params
        values = ", ".join(f"{name} = {params[name]:g}" for name in ("A", "B") if name in params)
        if min(params.get("A", 0.0), params.get("B", 0.0)) < 0:
            raise AllocationError(
                f"what was fitted rises with {' or '.join(idle)} ({values}), and a budget is split "
                "for the least of it. Fit what falls, as 1 - accuracy"
            )
        raise AllocationError(
            f"the fitted loss does not depend on {' or '.join(idle)} beyond rounding "
            f"({values or problem.fit.law.name}), so no budget is best split. See the notes of the "
            f"fit, and fit runs that differ in {' and '.join(idle)}"
        )
    state = found.state[0]
    if (state <= LIMITED).all():
        return
    at = tuple(np.argwhere(state > LIMITED)[0])
    if state[at] == SLOPELESS:
        raise AllocationError(_slopeless(problem, found, at))
    if state[at] != UNBOUNDED:
        raise AllocationError(_impossible(problem, problem.levels[at]))
    if limited and problem.limited:
        _require_room(problem, found, at)
    raise AllocationError(_unbounded(problem, found, at, limited))


def _slopeless(problem: AllocationProblem, found: Solution, at: tuple[int, ...]) -> str:
    """What to do about a law that has values and no derivative."""
    size, tokens = problem.form.size_column, problem.form.token_column
    here = ", ".join(f"{name} = {found.columns[name][0][at]:.4g}" for name in (size, tokens))
    return (
        f"law {problem.fit.law.name!r} has no derivative at {here}, so its least value cannot be "
        "found. A power of zero has none: write the term with jnp.where, so that the power is "
        "taken of positive numbers only"
    )


def _unbounded(
    problem: AllocationProblem, found: Solution, at: tuple[int, ...], limited: bool
) -> str:
    """Why a problem without an interior optimum has none, and a limit that gives it one."""
    form, level = problem.form, problem.levels[at]
    reach = np.broadcast_to(problem.reach, (*found.state[0].shape, 2))[at]
    reach = np.clip(reach, *(math.log(FAR_RATIO) * 6 * np.array([-1, 1])))
    low, high = np.exp(reach)
    divided = (form.size_column, form.token_column)
    where = (
        "tokens per parameter"
        if divided == ("N", "D")
        else f"{form.token_column}/{form.size_column}"
    )
    size, tokens = (float(found.columns[name][0][at]) for name in divided)
    # A decade before the end that the search ran into.
    few = math.log(tokens / size) > reach.mean()
    end = 10 * size if few else size / 10
    limit = f"({end:.0e}, None)" if few else f"{end:.0e}"
    limit = limit if SENSIBLE[0] < end < SENSIBLE[1] else _seen(problem)
    limit = f"limits={{'{form.size_column}': {limit}}}"
    what = (
        f"the cost of a loss of {level:g}"
        if form.minimises_cost
        else f"at {level:g} {problem.cost.unit} the loss"
    )
    return (
        f"{what} of {problem.fit.law.name!r} has no minimum between {low:.1g} and {high:.1g} "
        f"{where}: with these values, more of one always beats more of the other. "
        + (
            f"Limit one, as {limit}"
            if limited
            else f"Find the cheapest within limits: allocate(fit, loss={float(level)!r}, {limit})"
        )
    )


def _idle(problem: AllocationProblem) -> list[str]:
    """Columns that a budget is divided between and that do not move the loss over the runs."""
    fit, params = problem.fit, problem.fit.params
    terms = (("N", "A"), ("D", "B")) if fit.law in CLOSED_FORMS else ()
    idle = {name for name, term in terms if not params[term] > 0} | {*_still(problem)}
    return sorted(idle, reverse=True)


def _still(problem: AllocationProblem) -> list[str]:
    """Those that change the loss between the ends of the runs by no more than rounding."""
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


def _require_room(problem: AllocationProblem, found: Solution, at: tuple[int, ...]) -> None:
    """Raise where there would be an optimum without the limits."""
    params = {name: np.array([value]) for name, value in problem.fit.params.items()}
    free = solve_all(problem.without_limits(), params)
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
        f"where optima are searched (that of the runs, and {FAR_RATIO:g} times beyond). Without "
        f"the limits it would be {best}: loosen them towards it"
    )


def _seen(problem: AllocationProblem) -> str:
    """The range of sizes of the runs, as text."""
    low, high = problem.fit.domain.get(problem.form.size_column, (1e6, 1e12))
    return f"({low:g}, {high:g})"


def _impossible(problem: AllocationProblem, level: float) -> str:
    """Why nothing meets the constraints, with the numbers."""
    fit, form = problem.fit, problem.form
    params = {name: np.array([value]) for name, value in fit.params.items()}
    loosened = []
    for i, limit in enumerate(form.limits):
        if limit.own:
            continue
        other = solve_all(problem.without_limit(i), params)
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
        target = f"a loss of {level:g}" if form.minimises_cost else f"{level:g} {problem.cost.unit}"
        return (
            f"no {' and '.join(problem.divided)} {meet} every limit at {target}: "
            f"{'; '.join(loosened)}. Loosen one"
        )
    if form.minimises_cost:
        floors = {param.name for param in fit.law.params if param.kind.name != "amplitude"}
        floor = fit.params.get("E") if "E" in floors else None
        below = (
            f": its floor is E = {floor:g}"
            if floor is not None and floor >= level
            else (" within the limits and the tokens per parameter that are searched")
        )
        return (
            f"no budget reaches a loss of {level:g} under this fit of {fit.law.name!r}{below}. "
            "Give a higher loss"
        )
    names = [
        limit.name if limit.own else f"{limit.name} {_ends_text(problem.low[i], problem.high[i])}"
        for i, limit in enumerate(form.limits)
    ]
    under = f" under {', '.join(names)}" if names else ""
    more = "Give a larger budget"
    if names:
        looser = problem.limited or not (problem.fixed or problem.choices)
        more += ", or looser limits" if looser else ", or other values of fixed columns and choices"
    return (
        f"{level:g} {problem.cost.unit} buy no {' and '.join(problem.divided)} under cost "
        f"{problem.cost.name!r}{under}. {more}"
    )


def _ends_text(low: float, high: float) -> str:
    if not math.isfinite(low):
        return f"<= {high:g}"
    return f">= {low:g}" if not math.isfinite(high) else f"in {low:g} to {high:g}"


def _at(problem: AllocationProblem, found: Solution, at: tuple[int, ...]) -> dict[str, float]:
    columns = {name: float(values[at]) for name, values in problem.fixed.items()}
    return {**columns, **{name: float(values[0][at]) for name, values in found.columns.items()}}
