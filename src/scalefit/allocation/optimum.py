"""Compute-optimal N and D: the least loss that a budget can buy, or the least cost of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.allocation.costs import CostLike
from scalefit.allocation.problem import AllocationProblem, Free, Limits, build_problem
from scalefit.allocation.refusals import (
    draw_notes,
    notes_of,
    reach_notes,
    require_design,
    require_optimum,
)
from scalefit.allocation.result import Allocation
from scalefit.allocation.solve import CLOSED_FORMS, additive, solve_all
from scalefit.allocation.solver import LIMITED, START, Optimum, newton, newton_start
from scalefit.arguments import broadcast_shape, choice, mapping, numbers
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.settings import own_settings, quiet
from scalefit.tracing.operations import Function, trace

__all__ = ["allocate", "asked", "optimum_function"]


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
) -> Allocation:
    """Compute-optimal model size and token count.

    Minimises the fitted law subject to cost(N, D, ...) <= budget; or, given a loss, the cost
    subject to at most that loss. More of both lowers the loss of most laws, and the budget is spent
    to the end. For the additive law under k N D, with G = (alpha A / (beta B))^(1/(alpha +
    beta)),

        N* = G (C/k)^(beta/(alpha + beta)),   D* = (C/k) / N*.

    Every column of the law and of the cost is free or held. N and D are free.

    Args:
        fit: a fit of a law of the loss, or an ensemble of one.
        flops: budget or budgets, FLOP, any shape.
        usd: the same in dollars, for a cost in dollars.
        loss: loss or losses to be reached at the least cost, in place of a budget.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        free: further free columns: a pair ``(lowest, highest)`` for any number between, a list for
            one of its numbers, as ``{"P": (3, 16), "experts": [8, 16, 32]}``. Also for N and D.
        fixed: columns that are held, numbers or arrays that broadcast with the budgets, as
            ``{"U": 1e12}``.
        limits: what the answer keeps to: for a column, a ratio of two (``"D/N"``, or epochs as
            ``"D/U"``), or a positive function of columns, its highest value or a pair ``(lowest,
            highest)`` with None where there is none; as ``{"N": 70e9, memory: 80e9}``. Under a
            budget a function is taken to rise with D.

    Returns:
        The allocation, arrays of the shape of ``flops`` and ``fixed``; of an ensemble with draws of
        each, the loss being that at the draw's own optimum.

    Raises:
        ArgumentError: something passed is not what it has to be: a budget no positive number, a
            function of the caller's that raises or returns none.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level), or
            a column is held at, or free in, values that the law does not describe.
        AllocationError: a column is neither free nor held, the limits leave nothing, the loss
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
        surface.point, *asked(flops, usd, loss), cost=cost, free=free, fixed=fixed, limits=limits
    )
    one = {name: np.array([value]) for name, value in problem.fit.params.items()}
    found = solve_all(problem, one)
    require_design(problem, found)
    require_optimum(problem, found)
    answers = _answers(problem, found)
    draws = surface.drawn.apply(lambda drawn: _answers(problem, solve_all(problem, drawn)))
    notes = [*notes_of(problem, found, answers), *surface.draw_notes, *draw_notes(draws)]
    single = {name: values[0][()] for name, values in answers.items()}
    return Allocation(
        columns=Frozen({name: single.pop(name) for name in found.columns}),
        **single,
        law=problem.fit.law.name,
        cost=problem.cost.name,
        unit=problem.cost.unit,
        draws=draws,
        notes=tuple(notes),
    )


What = Literal["N", "D", "D/N", "loss"]


def optimum_function(
    fit: Fit,
    what: What,
    flops: float,
    *,
    cost: CostLike = "6ND",
    fixed: Mapping[str, Any] | None = None,
) -> Callable[[Mapping[str, Any]], Any]:
    """The compute-optimal N, D, D/N or loss at a budget, as a function of the parameters.

    For :func:`profile`, which differentiates it, and for :meth:`Ensemble.apply`.

    Args:
        fit: a fit of a law of N and D: its law is meant, not its parameters.
        what: the answer.
        flops: the budget, FLOP.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        fixed: columns that are held, each at a number.

    Raises:
        ArgumentError: the budget is no positive number, or there is no such answer.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: a column is neither free nor held, or there is no optimum.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> fit = sf.fit(runs)
        >>> sf.profile(fit, runs, sf.allocation.optimum_function(fit, "N", flops=1e21))
        <Profile N* at 1e+21 FLOP: ...e9 (95 %: ...e9 to ...e9)>
    """
    choice(what, "what", get_args(What))
    problem = build_problem(fit, flops, "FLOP", cost=cost, fixed=fixed)
    if problem.levels.size != 1:
        raise ArgumentError(
            f"{what}* is a function of the parameters at one budget, and flops and fixed have "
            f"{problem.levels.size}",
            argument="flops",
            value=flops,
            remedy="Pass one, as flops=1e24",
        )
    answer = _Optimal(problem, what)
    own = answer.found([np.array([problem.fit.params[name]]) for name in answer.names])
    require_design(problem, own)
    require_optimum(problem, own)

    def scoped(params: Mapping[str, Any]) -> Any:
        return answer(params)

    star = "*" if what != "loss" else ""
    scoped.__name__ = f"{what}{star} at {problem.levels.flat[0]:.3g} {problem.cost.unit}"
    # A loss relative to a unigram model is negative.
    scoped.logarithmic = what != "loss" or bool(own.loss.item() > 0)  # type: ignore[attr-defined]
    # A profile and Ensemble.apply know of the function alone.
    scoped.notes = reach_notes(problem, own)  # type: ignore[attr-defined]
    # With derivatives that nothing is compiled for.
    scoped.differentiated = answer.differentiated  # type: ignore[attr-defined]
    return scoped


class _Optimal:
    """An answer at one budget as a function of the parameters of the law."""

    def __init__(self, problem: AllocationProblem, what: What) -> None:
        self.problem, self.what = problem, what
        self.names = problem.fit.law.names
        self.closed = problem.plain and problem.fit.law in CLOSED_FORMS
        self._programs: dict[int, Function] = {}

    def __call__(self, params: Mapping[str, Any]) -> Any:
        remedy = f"Pass a fit's params: {', '.join(self.names)}"
        missing = [
            name for name in self.names if name not in mapping(params, "params", remedy=remedy)
        ]
        if missing:
            raise ArgumentError(
                f"params has no {', '.join(missing)}",
                argument="params",
                value=params,
                remedy=remedy,
            )
        values = [params[name] for name in self.names]
        if any(isinstance(value, jax.core.Tracer) for value in values):
            with own_settings():
                return self._traced([jnp.asarray(value, dtype=jnp.float64) for value in values])
        given = {
            f"params[{name!r}]": numbers(
                value, f"params[{name!r}]", missing=True, infinite=True, remedy=remedy
            )
            for name, value in zip(self.names, values, strict=True)
        }
        broadcast_shape(given, remedy=remedy)
        arrays = np.broadcast_arrays(*given.values())
        shape = arrays[0].shape
        found = self.found([value.ravel() for value in arrays])
        value = self._picked(found.columns, found.loss)
        return np.where(found.state <= LIMITED, value, np.nan).reshape(shape)[()]

    def differentiated(
        self, values: Sequence[float], order: int = 1
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """The answer, its gradient and, of order two, its Hessian in the parameters in order."""
        with own_settings():
            if order not in self._programs:
                self._programs[order] = self._derivatives(order)
            start = [] if self.closed else self._start(*(np.asarray(value) for value in values))
            with quiet():
                found = self._programs[order].bind()(*values, *start)
        size = len(values)
        value, gradient = float(found[0]), np.array(found[1 : 1 + size], dtype=np.float64)
        hessian = np.array(found[1 + size :], dtype=np.float64)
        return value, gradient, hessian.reshape((size, size) if order > 1 else (0, 0))

    def found(self, values: Sequence[np.ndarray]) -> Optimum:
        """The optima of arrays of parameters, in order."""
        return solve_all(self.problem, dict(zip(self.names, values, strict=True)))

    def _picked(self, columns: Mapping[str, Any], loss: Any) -> Any:
        if self.what == "loss":
            return loss
        # A column that is held is what it is held at.
        fixed = {name: values.flat[0] for name, values in self.problem.fixed.items()}
        known, line = {**fixed, **columns}, self.problem.line
        N, D = (
            known[name if name in known else role]
            for name, role in (("N", line.size_column), ("D", line.token_column))
        )
        return {"N": N, "D": D, "D/N": D / N}[self.what]

    def _traced(self, values: list[Any]) -> Any:
        """The answer under JAX, with derivatives of the first and second order."""
        if self.closed:
            return self._answer(values, [])
        # Traced now: within the callback JAX is busy.
        self._start(*(self.problem.fit.params[name] for name in self.names))
        fixed = [lax.stop_gradient(value) for value in jnp.broadcast_arrays(*values)]
        shaped: Any = jax.ShapeDtypeStruct
        outline = [shaped(fixed[0].shape, jnp.float64)] * START
        start = jax.pure_callback(self._start, outline, *fixed, vmap_method="expand_dims")
        return self._answer(values, start)

    def _start(self, *values: Any) -> list[np.ndarray]:
        """Where Newton's method begins: the optimum of concrete parameters."""
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
        params = dict(zip(self.names, (value.ravel() for value in arrays), strict=True))
        found = newton_start(self.problem.line, params, self.problem.setting())
        return [np.asarray(item).reshape(arrays[0].shape) for item in found]

    def _answer(self, values: Sequence[Any], start: Sequence[Any]) -> Any:
        problem = self.problem
        level = problem.levels.flat[0]
        if self.closed:
            k, m = problem.cost.per_product, problem.cost.per_model
            params = dict(zip(self.names, values, strict=True))
            N, D, loss, *_ = additive(params, level, k, m, reverse=False)
            return self._picked({"N": N, "D": D}, loss)
        columns, loss = newton(problem.line, problem.setting(), values, start)
        return self._picked(columns, loss)

    def _derivatives(self, order: int) -> Function:
        size = len(self.names)

        def value(*given: Any) -> Any:
            return self._answer(given[:size], given[size:])

        slope = jax.grad(value, argnums=tuple(range(size)))

        def every(*given: Any) -> list[Any]:
            found = [value(*given), *slope(*given)]
            for axis in range(size if order > 1 else 0):
                unit = tuple(jnp.asarray(1.0 * (axis == i)) for i in range(len(given)))
                found += jax.jvp(slope, given, unit)[1]
            return found

        return trace(every, size + (0 if self.closed else START))


def asked(flops: Any, usd: Any, loss: Any) -> tuple[Any, str]:
    """The one level that was asked for, and its unit.

    Raises:
        ArgumentError: none is given, or more than one.
    """
    given = [
        (value, unit)
        for value, unit in ((flops, "FLOP"), (usd, "USD"), (loss, "loss"))
        if value is not None
    ]
    if len(given) != 1:
        raise ArgumentError(
            f"{len(given)} of flops, usd and loss are given, and one says what is asked",
            argument="flops",
            value=flops,
            remedy="Pass one: a budget to spend, as flops=1e24, or a loss to reach, as loss=2.0",
        )
    return given[0]


def _answers(problem: AllocationProblem, found: Optimum) -> dict[str, np.ndarray]:
    """Every answer under every draw, shape (draws, *levels); NaN where there is no optimum."""
    inside = found.state <= LIMITED
    spent = np.asarray(found.cost)
    budget = spent if problem.line.reverse else np.broadcast_to(problem.levels, spent.shape)
    answers = {
        **found.columns,
        "loss": found.loss,
        "budget": budget,
        "spent": spent,
        "n_exponent": found.n_exponent,
        "d_exponent": found.d_exponent,
    }
    return {name: np.where(inside, values, np.nan) for name, values in answers.items()}
