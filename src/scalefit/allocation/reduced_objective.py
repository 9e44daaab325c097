"""The reduced objective: loss or ln(cost) as a function of size alone, the tokens eliminated.

With z the further free columns and ln size, and u(z) the ln tokens that the active constraint
g(z, u) = 0 determines, the objective is f(z, u(z)). By the implicit function theorem

    du/da = -g_a / g_u,
    d2u/da db = -(g_ab + g_au u_b + g_bu u_a + g_uu u_a u_b) / g_u,

and derivatives of f follow by the chain rule.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.problem_batch import FIXED, LEVEL, TURN, Batch
from scalefit.allocation.token_elimination import tokens_at, tokens_on_grid

__all__ = ["Expansion", "expand", "held_by_function", "objective_on_grid"]

# How far a limit may be passed by rounding, relative. Along a limit on which the loss is least, a
# loss is reached for less by the root of this.
PASSED = 1e-11
# How near its limit the value of a function lies that the limit holds, relative.
HELD = 1e-6


class Expansion(NamedTuple):
    """The reduced objective f(z) at a point, with derivatives.

    Attributes:
        u: ln tokens.
        exists: whether the constraints leave any tokens.
        feasible: whether every limit holds too.
        loss: the law.
        ln_cost: logarithm of the cost.
        objective: f, one of the two.
        gradient: of f, a list over z.
        hessian: of f, lists over z.
        u_gradient: du/dz, a list.
        u_level: du/dlevel.
        f_level: df/dlevel.
        f_level_x: d2f / dlevel dx, with x ln size.
        turned: whether more tokens would raise the loss.
        cost_gradient: of ln(cost) in z and u, a list.
    """

    u: Any
    exists: Any
    feasible: Any
    loss: Any
    ln_cost: Any
    objective: Any
    gradient: list[Any]
    hessian: list[list[Any]]
    u_gradient: list[Any]
    u_level: Any
    f_level: Any
    f_level_x: Any
    turned: Any
    cost_gradient: list[Any]


class _Derivatives(NamedTuple):
    """Loss, ln(cost) and limits that are functions, as lists in this order, in z and u.

    Attributes:
        value: the values.
        first: for each variable, the slopes.
        second: for each pair of variables, the second derivatives.
    """

    value: list[Any]
    first: list[list[Any]]
    second: dict[tuple[int, int], list[Any]]


class _Path(NamedTuple):
    """The eliminated u(z, level) with derivatives, as in :class:`Expansion`."""

    gradient: list[Any]
    hessian: list[list[Any]]
    level: Any
    level_x: Any


def objective_on_grid(batch: Batch, x: np.ndarray) -> np.ndarray:
    """The objective at equally spaced points; infinite where a limit is passed."""
    u, ok = tokens_on_grid(batch, x)
    (value,) = batch.run("objective", x, u)
    return np.where(ok & _within(batch, x, u) & np.isfinite(value), value, np.inf)


def expand(batch: Batch, x: np.ndarray) -> Expansion:
    """The objective with derivatives at ln sizes x, shape (problems, points)."""
    u, ok, active = tokens_at(batch, x)
    known = _derivatives(batch, x, u)
    path = _path(batch, known, active)
    k = 1 if batch.form.minimises_cost else 0
    n = len(path.gradient)
    first, second, du = known.first, known.second, path.gradient
    fu, fuu = first[n][k], second[n, n][k]
    hessian = [
        [
            second[a, b][k]
            + second[a, n][k] * du[b]
            + second[b, n][k] * du[a]
            + fuu * du[a] * du[b]
            + fu * path.hessian[a][b]
            for b in range(n)
        ]
        for a in range(n)
    ]
    objective = known.value[k]
    return Expansion(
        u,
        ok,
        ok & _within(batch, x, u) & np.isfinite(objective),
        known.value[0],
        known.value[1],
        objective,
        [first[a][k] + fu * du[a] for a in range(n)],
        hessian,
        du,
        path.level,
        fu * path.level,
        second[n - 1, n][k] * path.level + fuu * du[-1] * path.level + fu * path.level_x,
        active == TURN,
        [item[1] for item in first],
    )


def _derivatives(batch: Batch, x: np.ndarray, u: np.ndarray) -> _Derivatives:
    found = batch.run("expansion", x, u)
    n, kinds = len(batch.extras) + 1, 2 + len(batch.programs.bounding)
    blocks = [found[i : i + kinds] for i in range(0, len(found), kinds)]
    pairs = combinations_with_replacement(range(n + 1), 2)
    second = dict(zip(pairs, blocks[n + 2 :], strict=True))
    second |= {(b, a): block for (a, b), block in second.items()}
    return _Derivatives(blocks[0], blocks[1 : n + 2], second)


def _path(batch: Batch, known: _Derivatives, active: np.ndarray) -> _Path:
    """How the eliminated tokens follow from the active constraint."""
    n, first, second = len(known.first) - 1, known.first, known.second
    axes = range(n)

    def chosen(block: list[Any]) -> Any:
        """A derivative of the active constraint."""
        picked = block[0 if batch.form.minimises_cost else 1]
        for place, limit in enumerate(batch.programs.bounding):
            picked = np.where(active == 1 + limit, block[2 + place], picked)
        return picked

    gu, guu = chosen(first[n]), chosen(second[n, n])
    gradient = [-chosen(first[a]) / gu for a in axes]
    mixed = [chosen(second[a, n]) for a in axes]

    def bent(a: int, b: int) -> Any:
        whole = chosen(second[a, b]) + mixed[a] * gradient[b] + mixed[b] * gradient[a]
        return -(whole + guu * gradient[a] * gradient[b]) / gu

    hessian = [[bent(a, b) for b in axes] for a in axes]
    # Under a budget g is ln(cost) - ln(level), so that dg/dlevel is -1/level.
    level = (1.0 if batch.form.minimises_cost else 1.0 / batch.level) / gu
    level_x = -(mixed[-1] + guu * gradient[-1]) * level / gu
    if (active != LEVEL).any():
        gradient, hessian = _on_limits(batch, active, gradient, hessian, second)
        level, level_x = (np.where(active == LEVEL, i, 0.0) for i in (level, level_x))
    return _Path(gradient, hessian, level, level_x)


def _on_limits(
    batch: Batch,
    active: np.ndarray,
    gradient: list[Any],
    hessian: list[list[Any]],
    second: dict[tuple[int, int], list[Any]],
) -> tuple[list[Any], list[list[Any]]]:
    """Derivatives of u where neither the level nor a function determines it."""
    form, n = batch.form, len(gradient)
    free = active <= FIXED
    for i, limit in enumerate(form.limits):
        free |= (active == 1 + i) & (limit.numerator == form.token_column)
    gradient = [np.where(free, 0.0, item) for item in gradient]
    hessian = [[np.where(free, 0.0, item) for item in row] for row in hessian]
    for i, limit in enumerate(form.limits):
        here = active == 1 + i
        if limit.numerator != form.token_column or not here.any():
            continue
        # The tokens are a multiple of a column: of the size, du/dx is 1.
        if limit.denominator == form.size_column:
            gradient[-1] = np.where(here, 1.0, gradient[-1])
        elif limit.denominator in form.extras:
            place = form.extras.index(limit.denominator)
            value = 1.0 if form.logarithmic[place] else batch.extras[place]
            gradient[place] = np.where(here, 1.0 / value, gradient[place])
            bent = 0.0 if form.logarithmic[place] else -1.0 / value**2
            hessian[place][place] = np.where(here, bent, hessian[place][place])
    if (active == TURN).any():
        # The loss has no slope in u there, so that second derivatives of u do not matter.
        for a in range(n):
            turn = -second[a, n][0] / second[n, n][0]
            gradient[a] = np.where(active == TURN, turn, gradient[a])
    return gradient, hessian


def _within(batch: Batch, x: np.ndarray, u: np.ndarray) -> Any:
    """Whether every limit holds, to rounding."""
    ok: Any = True
    if batch.form.limits:
        low, high = batch.values.low[..., None], batch.values.high[..., None]
        for i, value in enumerate(batch.run("quantities", x, u)):
            ok = ok & ((value >= low[i] - PASSED * np.abs(low[i])) | np.isneginf(low[i]))
            ok = ok & ((value <= high[i] + PASSED * np.abs(high[i])) | np.isposinf(high[i]))
    return ok


def held_by_function(batch: Batch, x: np.ndarray, u: np.ndarray) -> Any:
    """Whether a limit on a function of columns holds the solution, and so ends the range."""
    found: Any = np.zeros(x.shape, dtype=bool)
    functions = [i for i, limit in enumerate(batch.form.limits) if limit.function is not None]
    values = batch.run("quantities", x, u) if functions else []
    for i in functions:
        for end in (batch.values.low[i][:, None], batch.values.high[i][:, None]):
            found = found | (np.abs(values[i] - end) <= HELD * np.abs(end)) & np.isfinite(end)
    return found
