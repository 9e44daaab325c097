"""A question as far as it shapes a computation, and the functions that are traced for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from scalefit.allocation.column_functions import traceable
from scalefit.data.table import POSITIVE
from scalefit.laws import Law
from scalefit.tracing.exponentials import rewritten
from scalefit.tracing.operations import Function, trace
from scalefit.tracing.primitives import closed_form

__all__ = ["BudgetLine", "Measure", "ProblemValues", "Programs", "programs_of"]


class Measure(NamedTuple):
    """What a limit is put on: a column, a ratio of two, or a function of columns.

    Attributes:
        name: how reports call it.
        top: the column, or the numerator; empty for a function.
        bottom: the denominator; empty if there is none.
        function: of the columns in ``needs``, in order, or None.
        needs: the columns it reads.
    """

    name: str
    top: str
    bottom: str
    function: Callable[..., Any] | None
    needs: tuple[str, ...]

    def value(self, columns: Mapping[str, Any]) -> Any:
        """The measure at these columns."""
        if self.function is not None:
            function = traceable(self.function, len(self.needs))
            return function(*(columns[name] for name in self.needs))
        return columns[self.top] / (columns[self.bottom] if self.bottom else 1.0)


class BudgetLine(NamedTuple):
    """A question as far as it shapes a program; hashable.

    Attributes:
        law: of the loss.
        cost: function of ``cost_columns``.
        cost_columns: the columns that it reads.
        size_column: the column that is walked along.
        token_column: the column that is eliminated.
        extras: further free columns that vary continuously.
        logarithmic: for each of the extras, whether it is walked in the logarithm.
        limits: what is limited.
        reverse: whether the cost is minimised for a loss, not the loss for a cost.
        affine: whether the cost is a + b * pivot with the other columns held.
        turns: how often the loss turns along the pivot somewhere in sight: 0 where it only falls, 1
            where it rises at the end, 2 where it does more. Then a budget need not be spent to the
            end, and a loss may be reached by few of the pivot only.
    """

    law: Law
    cost: Callable[..., Any]
    cost_columns: tuple[str, ...]
    size_column: str = "N"
    token_column: str = "D"
    extras: tuple[str, ...] = ()
    logarithmic: tuple[bool, ...] = ()
    limits: tuple[Measure, ...] = ()
    reverse: bool = False
    affine: bool = True
    turns: int = 0


class ProblemValues(NamedTuple):
    """The numbers of a question.

    Attributes:
        level: the budget in the unit of the cost, or the loss; shape ().
        fixed: columns that are held, each of shape ().
        low: of each limit, -inf where there is none; shape (limits,).
        high: of each limit, inf where there is none; shape (limits,).
        box: ends of the walked column and of each of the extras, in the coordinate walked; shape
            (1 + extras, 2).
        edge: whether the ends of the walked column are limits of the user's; shape (2,).
        reach: logarithms of pivot/walk between which an optimum is looked for; shape (2,).
    """

    level: Any
    fixed: Mapping[str, Any]
    low: Any
    high: Any
    box: Any
    edge: Any
    reach: Any


class Programs:
    """The traced functions of a question, each traced when it is first asked for.

    Their arguments are held columns, parameters of the law, further columns in the coordinate
    walked, ln walk and ln pivot, in this order.
    """

    def __init__(self, line: BudgetLine, fixed: tuple[str, ...]) -> None:
        self.line, self.fixed = line, fixed
        self.count = len(fixed) + len(line.law.names) + len(line.extras) + 2
        # Limits that are functions bound the pivot of a budget, as the budget does.
        every = [i for i, limit in enumerate(line.limits) if limit.function is not None]
        self.bounding = [] if line.reverse else every
        self.affine = line.affine and not every

    def columns(self, given: Sequence[Any]) -> dict[str, Any]:
        """All columns."""
        line = self.line
        free = given[-2 - len(line.extras) :]
        found = dict(zip(self.fixed, given, strict=False))
        for name, logarithmic, value in zip(line.extras, line.logarithmic, free, strict=False):
            found[name] = jnp.exp(value) if logarithmic else value
        return {**found, line.size_column: jnp.exp(free[-2]), line.token_column: jnp.exp(free[-1])}

    def loss(self, given: Sequence[Any]) -> Any:
        """The law."""
        law, columns = self.line.law, self.columns(given)
        params = dict(zip(law.names, given[len(self.fixed) :], strict=False))
        return jnp.reshape(law(*(jnp.asarray(columns[name]) for name in law.columns), **params), ())

    def cost(self, columns: Mapping[str, Any]) -> Any:
        """The cost."""
        values = (jnp.asarray(columns[name]) for name in self.line.cost_columns)
        cost = traceable(self.line.cost, len(self.line.cost_columns))
        return jnp.reshape(cost(*values), ())

    def ln_cost(self, given: Sequence[Any]) -> Any:
        """Logarithm of the cost."""
        return jnp.log(self.cost(self.columns(given)))

    def measure(self, given: Sequence[Any], place: int) -> Any:
        """The value of a limit."""
        return jnp.reshape(jnp.asarray(self.line.limits[place].value(self.columns(given))), ())

    def ln_measure(self, given: Sequence[Any], place: int) -> Any:
        """Its logarithm."""
        return jnp.log(self.measure(given, place))

    def operations(self, *functions: Callable[[Sequence[Any]], Any]) -> Callable[..., list[Any]]:
        """Functions of all arguments as one list of operations, without general powers."""
        positive = [name in POSITIVE for name in self.fixed]
        positive += [False] * (self.count - len(positive))
        plain = rewritten(lambda *given: [item(given) for item in functions], positive)
        return jaxpr_as_fun(closed_form(plain, [()] * self.count))

    @property
    def constraints(self) -> list[Callable[[Sequence[Any]], Any]]:
        """Logarithms of what may bind the pivot of a budget."""
        return [self.ln_cost, *(partial(self.ln_measure, place=place) for place in self.bounding)]

    @cached_property
    def objective(self) -> Function:
        """What is minimised: the loss, or the logarithm of the cost."""
        function = self.ln_cost if self.line.reverse else self.loss
        return trace(lambda *given: self.operations(function)(*given), self.count)

    @cached_property
    def measures(self) -> Function:
        """The value of each limit."""
        each = [partial(self.measure, place=place) for place in range(len(self.line.limits))]
        return trace(lambda *given: self.operations(*each)(*given), self.count)

    @cached_property
    def spent(self) -> Function:
        """The cost without tokens, and its derivative in them: a straight line has one slope."""

        def both(*given: Any) -> list[Any]:
            def cost(token_column: Any) -> Any:
                return self.cost({**self.columns(given), self.line.token_column: token_column})

            return list(jax.jvp(cost, (jnp.zeros(()),), (jnp.ones(()),)))

        return trace(both, self.count)

    @cached_property
    def binding(self) -> Function:
        """What the pivot solves: the loss, or the constraints; values, then slopes in ln pivot."""
        functions = [self.loss] if self.line.reverse else self.constraints

        def both(*given: Any) -> list[Any]:
            value, slope = self._along_pivot(self.operations(*functions), given)
            return [*value, *slope]

        return trace(both, self.count)

    @cached_property
    def turning(self) -> Function:
        """Slope of the loss in ln pivot, and the slope of that."""

        def both(*given: Any) -> list[Any]:
            loss = self.operations(self.loss)

            def slope(*given: Any) -> list[Any]:
                return self._along_pivot(loss, given)[1]

            value, bend = self._along_pivot(slope, given)
            return [*value, *bend]

        return trace(both, self.count)

    @staticmethod
    def _along_pivot(function: Callable[..., list[Any]], given: Sequence[Any]) -> Any:
        def at(u: Any) -> list[Any]:
            return list(function(*given[:-1], u))

        return jax.jvp(at, (given[-1],), (jnp.ones(()),))

    @cached_property
    def expansion(self) -> Function:
        """Loss and constraints: values, then gradients and Hessians in extras, walk and pivot."""

        def every(*given: Any) -> list[Any]:
            operations = self.operations(self.loss, *self.constraints)
            first = self.count - len(self.line.extras) - 2
            here = tuple(given[first:])

            def unit(axis: int) -> tuple[Any, ...]:
                return tuple(jnp.asarray(1.0 * (i == axis)) for i in range(len(here)))

            def at(*values: Any) -> list[Any]:
                return list(operations(*given[:first], *values))

            def along(axis: int, *values: Any) -> list[Any]:
                return jax.jvp(at, values, unit(axis))[1]

            found = at(*here)
            for a in range(len(here)):
                found += along(a, *here)
            for a, b in combinations_with_replacement(range(len(here)), 2):
                found += jax.jvp(partial(along, a), here, unit(b))[1]
            return found

        return trace(every, self.count)


@lru_cache(maxsize=64)
def programs_of(line: BudgetLine, fixed: tuple[str, ...]) -> Programs:
    """The traced functions of a question, with the names of the columns that are held."""
    return Programs(line, fixed)
