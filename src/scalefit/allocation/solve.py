"""The optimum of a problem under every draw: by closed form where there is one, or the solver.

The additive laws have a closed form under k N D, and one equation under k N D + m N. Every other
problem goes to the solver, which agrees on the additive laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.allocation.additive_optimum import least_flops
from scalefit.allocation.inference_costs import best_tokens_for_budget, best_tokens_for_loss
from scalefit.allocation.problem import AllocationProblem
from scalefit.allocation.solver import (
    INFEASIBLE,
    INTERIOR,
    LIMITED,
    UNBOUNDED,
    Solution,
    solve,
)
from scalefit.laws import chinchilla, chinchilla_tied
from scalefit.laws.additive_forms import exponents, library, ln_optimum, sizes
from scalefit.runtime.settings import quiet

__all__ = ["CLOSED_FORMS", "additive", "solve_all"]

CLOSED_FORMS = (chinchilla, chinchilla_tied)


def solve_all(
    problem: AllocationProblem, params: Mapping[str, np.ndarray], levels: np.ndarray | None = None
) -> Solution:
    """The best of the choices, under every draw.

    Args:
        problem: the problem.
        params: parameters of its law, each of shape (draws,).
        levels: where every draw has levels of its own, shape (draws, *levels).

    Returns:
        Solutions of shape (draws, *levels).
    """
    law = problem.fit.law
    values = {name: np.asarray(params[name], dtype=np.float64) for name in law.names}
    count, shape = len(next(iter(values.values()))), problem.levels.shape
    combinations = problem.combinations
    if problem.plain and law in CLOSED_FORMS:
        found = _closed(problem, values, levels)
    else:
        numbers = problem.values()
        if levels is not None:
            each = levels.reshape(count, -1)
            numbers = numbers._replace(level=np.tile(each, (1, len(combinations))))
        found = solve(problem.form, values, numbers)
    spread = (count, len(combinations), *shape)
    spreads = {name: item.reshape(spread) for name, item in found.columns.items()}
    found = Solution(spreads, *(np.reshape(item, spread) for item in found[1:]))
    found = found._replace(state=_usable(problem, found))
    compared = found.cost if problem.form.minimises_cost else found.loss
    compared = np.where(found.state <= LIMITED, compared, np.inf)
    compared = np.where(np.isnan(compared), np.inf, compared)
    best = np.argmin(compared, axis=1)[:, None]
    chosen = {
        name: np.broadcast_to(combinations[:, i].reshape(-1, *(1,) * len(shape)), spread)
        for i, name in enumerate(problem.choices)
        if name != problem.form.size_column
    }
    columns = {**found.columns, **chosen}
    order = [name for name in (*law.columns, *problem.cost.columns) if name in columns]
    found = found._replace(columns={name: columns[name] for name in dict.fromkeys(order)})
    return _picked(found, best)


def _usable(problem: AllocationProblem, found: Solution) -> np.ndarray:
    """The states; solutions beyond what float64 holds count as none."""
    divided = [found.columns[name] for name in problem.divided]
    sound = np.isfinite([*divided, found.loss, found.cost]).all(axis=0)
    sound &= (np.array(divided) > 0).all(axis=0)
    return np.where((found.state <= LIMITED) & ~sound, INFEASIBLE, found.state)


def _picked(found: Solution, best: np.ndarray) -> Solution:
    def pick(item: np.ndarray) -> np.ndarray:
        return np.take_along_axis(item, best, 1)[:, 0]

    columns = {name: pick(item) for name, item in found.columns.items()}
    return Solution(columns, *(pick(item) for item in found[1:]))


def _closed(
    problem: AllocationProblem, params: Mapping[str, np.ndarray], levels: np.ndarray | None
) -> Solution:
    """The additive law's optimum under k N D + m N."""
    values = {name: item[:, None] for name, item in params.items()}
    level = problem.levels.reshape(1, -1) if levels is None else levels.reshape(len(levels), -1)
    k, m = problem.cost.per_product, problem.cost.per_model
    with quiet():
        found = additive(values, level, k, m, minimises_cost=problem.form.minimises_cost)
    shape = np.broadcast_shapes(level.shape, values["A"].shape)
    N, D, loss, cost, n_exponent, d_exponent = (np.broadcast_to(item, shape) for item in found)
    inside = (values["A"] > 0) & (values["B"] > 0) & np.ones(N.shape, dtype=bool)
    state = np.where(np.isfinite(N), INTERIOR, INFEASIBLE)
    total = values["alpha"] + values.get("beta", values["alpha"])
    # Czech et al. 2026, arXiv 2603.22339: half of (alpha + beta) x^2, to second order in x = ln 2.
    waste = np.broadcast_to(0.5 * total * math.log(2) ** 2, N.shape) if m == 0 else np.nan * N
    return Solution(
        {"N": N, "D": D},
        loss,
        cost,
        n_exponent,
        d_exponent,
        np.zeros(N.shape, dtype=bool),
        waste,
        np.where(inside, state, UNBOUNDED),
    )


def additive(
    params: Mapping[str, Any], level: Any, k: Any, m: float, *, minimises_cost: bool
) -> Any:
    """N*, D*, loss, cost and the slopes of ln N* and ln D* in ln cost of the additive law.

    Where a term is zero, any finite number: there is no optimum. Traceable by JAX.
    """
    xp = library(*params.values(), level)
    inside = (params["A"] > 0) & (params["B"] > 0)
    shown = {**params, **{name: xp.where(inside, params[name], 1.0) for name in ("A", "B")}}
    alpha, beta = exponents(shown)
    (ln_a, ln_b), rho = sizes(shown), m / k
    if m == 0:
        budget = least_flops({**shown, "E": params["E"]}, level, k) if minimises_cost else level
        x, u = ln_optimum(shown, budget / k)
        dx, du = beta / (alpha + beta), alpha / (alpha + beta)
    else:
        if minimises_cost:
            u = best_tokens_for_loss(shown, level, rho)
            # From the wedge, which unlike L - E - B D^-beta is no difference.
            wedge = xp.log1p(rho * xp.exp(-u))
            x = (xp.log(alpha / beta) + ln_a - ln_b + beta * u - wedge) / alpha
        else:
            u = best_tokens_for_budget(shown, level / k, rho)
            x = xp.log(level / k) - xp.log(xp.exp(u) + rho)
        # The wedge condition, differentiated along the optima of all budgets, or of all losses.
        share = 1.0 / (1.0 + rho * xp.exp(-u))
        du = alpha / ((alpha - 1.0) * share + beta + 1.0)
        dx = 1.0 - share * du
    loss = params["E"] + xp.exp(ln_a - alpha * x) + xp.exp(ln_b - beta * u)
    N, D = xp.exp(x), xp.exp(u)
    return N, D, loss, k * N * (D + rho), dx, du
