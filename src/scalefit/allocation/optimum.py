"""Compute-optimal N and D: the least loss that a budget can buy, or the least cost of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.allocation.costs import CostLike
from scalefit.allocation.optimum_notes import draw_notes, optimum_notes
from scalefit.allocation.problem import AllocationProblem, build_problem
from scalefit.allocation.problem_options import Free, Limits, level_and_unit
from scalefit.allocation.refusals import require_design, require_optimum
from scalefit.allocation.result import Allocation
from scalefit.allocation.solve import solve_all
from scalefit.allocation.solver import LIMITED, Solution
from scalefit.calls import checked_call
from scalefit.frozen import Frozen
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress

__all__ = ["MEANT", "allocate"]

# What to pass in place of names that are often tried.
MEANT = Frozen(
    {
        **dict.fromkeys(("C", "budget", "compute", "flop"), "flops={}"),
        **dict.fromkeys(("dollars", "money", "price"), "usd={}"),
        **dict.fromkeys(("held", "hold", "given"), "fixed={}"),
        **dict.fromkeys(("L", "target"), "loss={}"),
        **{name: f"fixed={{{{'{name}': {{}}}}}}" for name in ("N", "D", "U", "P")},
    }
)


@checked_call(**MEANT)
@with_progress
def allocate(
    fit: Surface,
    flops: Any = None,
    *,
    usd: Any = None,
    loss: Any = None,
    cost: CostLike = "6ND",
    free: Free | None = None,
    fixed: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    progress: bool = True,
) -> Allocation:
    """Compute-optimal model size and token count.

    Minimises the fitted law subject to cost(N, D, ...) <= budget; or, given a loss, the cost
    subject to at most that loss. More of both lowers the loss of most laws, and the budget is spent
    to the end. For the additive law under k N D, with G = (alpha A / (beta B))^(1/(alpha +
    beta)),

        N* = G (C/k)^(beta/(alpha + beta)),   D* = (C/k) / N*.

    Every column of the law and of the cost is free or fixed. N and D are free.

    Args:
        fit: a fit of a law of the loss, or an ensemble of one.
        flops: budget or budgets, FLOP, any shape.
        usd: the same in dollars, for a cost in dollars.
        loss: loss or losses to be reached at the least cost, in place of a budget.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        free: further free columns: a pair ``(lowest, highest)`` for any number between, a list for
            one of its numbers, as ``{"P": (3, 16), "experts": [8, 16, 32]}``. Also for N and D.
        fixed: columns with a given value, numbers or arrays that broadcast with the budgets, as
            ``{"U": 1e12}``.
        limits: what N and D must keep to: for a column, a ratio of two (``"D/N"``, or epochs as
            ``"D/U"``), or a positive function of columns, its highest value or a pair ``(lowest,
            highest)`` with None where there is none; as ``{"N": 70e9, memory: 80e9}``. Under a
            budget a function is taken to rise with D.
        progress: whether a line shows what is going on once it takes more than a second.

    Returns:
        The allocation, arrays of the shape of ``flops`` and ``fixed``; of an ensemble with draws of
        each, the loss being that at the draw's own optimum.

    Raises:
        ArgumentError: an option is unknown, or not what it has to be: a budget no positive number,
            a function of the caller's that raises or returns none.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level), or
            a column is fixed at, or free in, values that the law does not describe.
        AllocationError: a column is neither free nor fixed, the limits leave nothing, the loss
            cannot be reached, or more of one column always beats more of the other (no interior
            optimum).

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, eq. 4.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0))
        >>> best = sf.allocate(fit, flops=5.76e23)
        >>> f"{best.N:.3g} parameters, {best.tokens_per_param:.1f} tokens each"
        '3.22e+10 parameters, 92.6 tokens each'
        >>> small = sf.allocate(fit, flops=5.76e23, limits={"N": 13e9})
        >>> f"{small.N:.3g} parameters, {small.loss / best.loss - 1:.2%} more loss"
        '1.3e+10 parameters, 0.50% more loss'
    """
    surface = checked_surface(fit)
    problem = build_problem(
        surface.point,
        *level_and_unit(flops, usd, loss),
        cost=cost,
        free=free,
        fixed=fixed,
        limits=limits,
    )
    one = {name: np.array([value]) for name, value in problem.fit.params.items()}
    found = solve_all(problem, one)
    require_design(problem, found)
    require_optimum(problem, found)
    answers = _answers(problem, found)
    draws = surface.drawn.apply(lambda drawn: _answers(problem, solve_all(problem, drawn)))
    notes = [*optimum_notes(problem, found, answers), *surface.draw_notes, *draw_notes(draws)]
    single = {name: values[0][()] for name, values in answers.items()}
    return Allocation(
        columns=Frozen({name: single.pop(name) for name in found.columns}),
        **single,
        law=problem.fit.law.name,
        cost=problem.cost.name,
        unit=problem.cost.unit,
        draws=draws,
        notes=tuple(notes),
        domain=problem.fit.domain,
    )


def _answers(problem: AllocationProblem, found: Solution) -> dict[str, np.ndarray]:
    """Every quantity under every draw, shape (draws, *levels); NaN where there is no optimum."""
    inside = found.state <= LIMITED
    spent = np.asarray(found.cost)
    budget = spent if problem.form.minimises_cost else np.broadcast_to(problem.levels, spent.shape)
    answers = {
        **found.columns,
        "loss": found.loss,
        "budget": budget,
        "spent": spent,
        "n_exponent": found.n_exponent,
        "d_exponent": found.d_exponent,
    }
    return {name: np.where(inside, values, np.nan) for name, values in answers.items()}
