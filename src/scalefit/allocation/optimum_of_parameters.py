"""The optimum of one budget as a function of the parameters of the law, with derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalefit.allocation.costs import Cost, CostLike
from scalefit.allocation.optimum import MEANT
from scalefit.allocation.optimum_derivatives import START, newton, newton_start
from scalefit.allocation.optimum_notes import reach_notes
from scalefit.allocation.problem import AllocationProblem, build_problem
from scalefit.allocation.refusals import require_design, require_optimum
from scalefit.allocation.solve import CLOSED_FORMS, additive, solve_all
from scalefit.allocation.solver import LIMITED, Solution
from scalefit.arguments import broadcast_shape, choice, mapping, numbers
from scalefit.calls import checked_call
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.results.fit import Fit
from scalefit.runtime.settings import own_settings, quiet
from scalefit.tracing.operations import Function, trace

__all__ = ["OptimumFunction", "optimum_function"]

What = Literal["N", "D", "D/N", "loss"]


@checked_call(**MEANT)
def optimum_function(
    fit: Fit,
    what: What,
    flops: float,
    *,
    cost: CostLike = "6ND",
    fixed: Mapping[str, Any] | None = None,
) -> OptimumFunction:
    """The compute-optimal N, D, D/N or loss at a budget, as a function of the parameters.

    For :func:`profile`, which differentiates it, and for :meth:`Ensemble.apply`.

    Args:
        fit: a fit of a law of N and D: its law is meant, not its parameters.
        what: the quantity.
        flops: the budget, FLOP.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        fixed: columns with a given value, one number each.

    Raises:
        ArgumentError: the budget is no positive number, or there is no such quantity.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: a column is neither free nor fixed, or there is no optimum.

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
    values = {name: float(np.asarray(value).flat[0]) for name, value in (fixed or {}).items()}
    found = OptimumFunction(
        problem.fit, what, float(problem.levels.flat[0]), problem.cost, Frozen(values)
    )
    own = found.at_fit
    require_design(found.problem, own)
    require_optimum(found.problem, own)
    return found


@dataclass(frozen=True, eq=False)
class OptimumFunction:
    """A compute-optimal quantity at one budget, as a function of the parameters of a law.

    Called with parameters by name, numbers or arrays, it returns the quantity, NaN where there is
    no optimum; under JAX it can be differentiated twice. Two functions of the same fit, quantity,
    budget, cost and fixed columns are equal, and share what is traced for them.

    Attributes:
        fit: of the law.
        what: ``N``, ``D``, ``D/N`` or ``loss``.
        flops: the budget, FLOP.
        cost: what is paid.
        fixed: columns with a given value.
    """

    fit: Fit
    what: What
    flops: float
    cost: Cost
    fixed: Frozen[str, float]

    @property
    def _key(self) -> tuple[Any, ...]:
        fit = self.fit
        ranges = frozenset((name, *map(float, ends)) for name, ends in fit.domain.items())
        # NaN equals nothing: a range that is not known is one by its text.
        return (
            fit.law,
            tuple(fit.params.items()),
            frozenset(map(str, ranges)),
            self.what,
            self.flops,
            self.cost,
            tuple(self.fixed.items()),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OptimumFunction) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __getstate__(self) -> dict[str, Any]:
        # Without what is cached: traced functions do not pickle.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __repr__(self) -> str:
        return f"<OptimumFunction {self.__name__} of {self.fit.law.name}>"

    @property
    def __name__(self) -> str:
        """What reports call the quantity, as ``N* at 1e+24 FLOP``."""
        star = "*" if self.what != "loss" else ""
        return f"{self.what}{star} at {self.flops:.3g} {self.cost.unit}"

    @cached_property
    def problem(self) -> AllocationProblem:
        """The checked problem."""
        return build_problem(self.fit, self.flops, "FLOP", cost=self.cost, fixed=self.fixed)

    @cached_property
    def at_fit(self) -> Solution:
        """The optimum of the fit itself."""
        return self.solved([np.array([self.fit.params[name]]) for name in self.names])

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters of the law, in order."""
        return self.fit.law.names

    @property
    def closed(self) -> bool:
        """Whether the optimum has a closed form."""
        return self.problem.plain and self.fit.law in CLOSED_FORMS

    @property
    def logarithmic(self) -> bool:
        """Whether the quantity is positive, so that a profile follows its logarithm."""
        # A loss relative to a unigram model is negative.
        return self.what != "loss" or bool(self.at_fit.loss.item() > 0)

    @property
    def notes(self) -> tuple[Note, ...]:
        """How far outside the runs the optimum of the fit lies."""
        return reach_notes(self.problem, self.at_fit)

    def __call__(self, params: Mapping[str, Any]) -> Any:
        """The quantity at parameters by name: numbers, arrays that broadcast, or traced by JAX.

        Raises:
            ArgumentError: a parameter is missing, or no number.
        """
        remedy = f"Pass a fit's params: {', '.join(self.names)}"
        given = mapping(params, "params", remedy=remedy)
        missing = [name for name in self.names if name not in given]
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
        arguments = {
            f"params[{name!r}]": numbers(
                value, f"params[{name!r}]", missing=True, infinite=True, remedy=remedy
            )
            for name, value in zip(self.names, values, strict=True)
        }
        broadcast_shape(arguments, remedy=remedy)
        arrays = np.broadcast_arrays(*arguments.values())
        shape = arrays[0].shape
        found = self.solved([value.ravel() for value in arrays])
        value = self._quantity(found.columns, found.loss)
        return np.where(found.state <= LIMITED, value, np.nan).reshape(shape)[()]

    def differentiated(
        self, values: Sequence[float], order: int = 1
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """The quantity with derivatives, without anything being compiled.

        Args:
            values: parameters of the law in order.
            order: 1 for the gradient, 2 for the Hessian too.

        Returns:
            The value, the gradient of shape (p,), and the Hessian of shape (p, p), or (0, 0).
        """
        with own_settings():
            start = [] if self.closed else self._start(*(np.asarray(value) for value in values))
            program = _derivatives(self, order)
            with quiet():
                found = program.bind()(*values, *start)
        size = len(values)
        value, gradient = float(found[0]), np.array(found[1 : 1 + size], dtype=np.float64)
        hessian = np.array(found[1 + size :], dtype=np.float64)
        return value, gradient, hessian.reshape((size, size) if order > 1 else (0, 0))

    def solved(self, values: Sequence[np.ndarray]) -> Solution:
        """The optima of arrays of parameters, in order."""
        return solve_all(self.problem, dict(zip(self.names, values, strict=True)))

    def traced(self, values: Sequence[Any], start: Sequence[Any]) -> Any:
        """The quantity as JAX traces it, of parameters in order and :func:`newton_start`."""
        problem = self.problem
        if self.closed:
            k, m = problem.cost.per_product, problem.cost.per_model
            params = dict(zip(self.names, values, strict=True))
            N, D, loss, *_ = additive(params, problem.levels.flat[0], k, m, minimises_cost=False)
            return self._quantity({"N": N, "D": D}, loss)
        columns, loss = newton(problem.form, problem.values(), values, start)
        return self._quantity(columns, loss)

    def _quantity(self, columns: Mapping[str, Any], loss: Any) -> Any:
        if self.what == "loss":
            return loss
        known, form = {**self.fixed, **columns}, self.problem.form
        N, D = (
            known[name if name in known else role]
            for name, role in (("N", form.size_column), ("D", form.token_column))
        )
        return {"N": N, "D": D, "D/N": D / N}[self.what]

    def _traced(self, values: list[Any]) -> Any:
        """The quantity under JAX, with derivatives of the first and second order."""
        if self.closed:
            return self.traced(values, [])
        # Traced now: within the callback JAX is busy.
        self._start(*(self.fit.params[name] for name in self.names))
        constant = [lax.stop_gradient(value) for value in jnp.broadcast_arrays(*values)]
        shaped: Any = jax.ShapeDtypeStruct
        outline = [shaped(constant[0].shape, jnp.float64)] * START
        start = jax.pure_callback(self._start, outline, *constant, vmap_method="expand_dims")
        return self.traced(values, start)

    def _start(self, *values: Any) -> list[np.ndarray]:
        """Where Newton's method starts: the optimum of concrete parameters."""
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
        params = dict(zip(self.names, (value.ravel() for value in arrays), strict=True))
        found = newton_start(self.problem.form, params, self.problem.values())
        return [np.asarray(item).reshape(arrays[0].shape) for item in found]


@lru_cache(maxsize=64)
def _derivatives(function: OptimumFunction, order: int) -> Function:
    """Value, gradient and, of order two, Hessian in the parameters in order; traced."""
    size = len(function.names)

    def value(*given: Any) -> Any:
        return function.traced(given[:size], given[size:])

    slope = jax.grad(value, argnums=tuple(range(size)))

    def every(*given: Any) -> list[Any]:
        found = [value(*given), *slope(*given)]
        for axis in range(size if order > 1 else 0):
            unit = tuple(jnp.asarray(1.0 * (axis == i)) for i in range(len(given)))
            found += jax.jvp(slope, given, unit)[1]
        return found

    return trace(every, size + (0 if function.closed else START))
