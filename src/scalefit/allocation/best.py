"""The optimum of a question under every draw: by closed form where there is one, or the solver.

The additive laws have a closed form under k N D, and one equation under k N D + m N. Every other
question goes to the solver, whose answers on the additive laws are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.allocation.question import Question
from scalefit.allocation.serving import best_tokens_for_budget, best_tokens_for_loss
from scalefit.allocation.solver import (
    INFEASIBLE,
    INTERIOR,
    LIMITED,
    UNBOUNDED,
    Optimum,
    solve,
)
from scalefit.allocation.waste import exponents, least_flops, ln_optimum, sizes
from scalefit.laws import chinchilla, chinchilla_tied

__all__ = ["CLOSED_FORMS", "additive", "solved"]

CLOSED_FORMS = (chinchilla, chinchilla_tied)


def solved(
    question: Question, params: Mapping[str, np.ndarray], levels: np.ndarray | None = None
) -> Optimum:
    """The best of the choices, under every draw.

    Args:
        question: what is asked.
        params: parameters of its law, each of shape (draws,).
        levels: where every draw has levels of its own, shape (draws, *levels).

    Returns:
        Optima of shape (draws, *levels).
    """
    law = question.fit.law
    values = {name: np.asarray(params[name], dtype=np.float64) for name in law.names}
    count, shape = len(next(iter(values.values()))), question.levels.shape
    combinations = question.combinations
    with jax.enable_x64(True):
        if question.plain and law in CLOSED_FORMS:
            found = _closed(question, values, levels)
        else:
            setting = question.setting()
            if levels is not None:
                each = levels.reshape(count, -1)
                setting = setting._replace(level=np.tile(each, (1, len(combinations))))
            found = solve(question.line, values, setting)
    spread = (count, len(combinations), *shape)
    found = jax.tree.map(lambda item: np.asarray(item).reshape(spread), found)
    compared = found.cost if question.line.reverse else found.loss
    compared = np.where(found.state <= LIMITED, compared, np.inf)
    compared = np.where(np.isnan(compared), np.inf, compared)
    best = np.argmin(compared, axis=1)[:, None]
    chosen = {
        name: np.broadcast_to(combinations[:, i].reshape(-1, *(1,) * len(shape)), spread)
        for i, name in enumerate(question.choices)
        if name != question.line.walk
    }
    columns = {**found.columns, **chosen}
    order = [name for name in (*law.columns, *question.cost.columns) if name in columns]
    found = found._replace(columns={name: columns[name] for name in dict.fromkeys(order)})
    return _picked(found, best)


def _picked(found: Optimum, best: np.ndarray) -> Optimum:
    def pick(item: np.ndarray) -> np.ndarray:
        return np.take_along_axis(item, best, 1)[:, 0]

    columns = {name: pick(item) for name, item in found.columns.items()}
    return Optimum(columns, *(pick(item) for item in found[1:]))


def _closed(
    question: Question, params: Mapping[str, np.ndarray], levels: np.ndarray | None
) -> Optimum:
    """The additive law's optimum under k N D + m N."""
    values = {name: item[:, None] for name, item in params.items()}
    level = question.levels.reshape(1, -1) if levels is None else levels.reshape(len(levels), -1)
    k, m = question.cost.per_product, question.cost.per_model
    found = additive(values, level, k, m, served=m > 0, reverse=question.line.reverse)
    N, D, loss, cost, n_exponent, d_exponent = (np.asarray(item) for item in found)
    inside = (values["A"] > 0) & (values["B"] > 0) & np.ones(N.shape, dtype=bool)
    state = np.where(np.isfinite(N), INTERIOR, INFEASIBLE)
    total = values["alpha"] + values.get("beta", values["alpha"])
    # Czech et al. 2026, arXiv 2603.22339: half of (alpha + beta) x^2, to second order in x = ln 2.
    waste = np.broadcast_to(0.5 * total * math.log(2) ** 2, N.shape) if m == 0 else np.nan * N
    return Optimum(
        {"N": N, "D": D},
        loss,
        cost,
        n_exponent,
        d_exponent,
        np.full(N.shape, -1.0),
        waste,
        np.where(inside, state, UNBOUNDED),
    )


@partial(jax.jit, static_argnames=("served", "reverse"))
def additive(
    params: Mapping[str, Any], level: Any, k: Any, m: Any, *, served: bool, reverse: bool
) -> Any:
    """N*, D*, loss, cost and the slopes of ln N* and ln D* in ln cost of the additive law.

    Where a term is zero, any finite number: there is no optimum.
    """
    inside = (params["A"] > 0) & (params["B"] > 0)
    shown = {**params, **{name: jnp.where(inside, params[name], 1.0) for name in ("A", "B")}}
    alpha, beta = exponents(shown)
    (ln_a, ln_b), rho = sizes(shown), m / k

    def placed(level: Any) -> tuple[Any, Any, Any]:
        if not served:
            budget = least_flops({**shown, "E": params["E"]}, level, k) if reverse else level
            x, u = ln_optimum(shown, budget / k)
        elif reverse:
            u = best_tokens_for_loss(shown, level, rho)
            # From the wedge, which unlike L - E - B D^-beta is no difference.
            wedge = jnp.log1p(rho * jnp.exp(-u))
            x = (jnp.log(alpha / beta) + ln_a - ln_b + beta * u - wedge) / alpha
        else:
            u = best_tokens_for_budget(shown, level / k, rho)
            x = jnp.log(level / k) - jnp.log(jnp.exp(u) + rho)
        return x, u, jnp.log(k) + x + jnp.log(jnp.exp(u) + rho)

    level = jnp.broadcast_to(level, jnp.broadcast_shapes(jnp.shape(level), jnp.shape(alpha)))
    (x, u, c), (dx, du, dc) = jax.jvp(placed, (level,), (jnp.ones_like(level),))
    loss = params["E"] + jnp.exp(ln_a - alpha * x) + jnp.exp(ln_b - beta * u)
    return jnp.exp(x), jnp.exp(u), loss, jnp.exp(c), dx / dc, du / dc
