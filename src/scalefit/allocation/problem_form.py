"""The form of an allocation problem, its numbers, and the functions that are traced for it.

Problems that differ in numbers alone share their traced functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from scalefit.allocation.column_functions import traceable
from scalefit.data.column_names import POSITIVE
from scalefit.laws import Law
from scalefit.tracing.exponentials import rewritten
from scalefit.tracing.operations import Function, trace
from scalefit.tracing.primitives import closed_form

__all__ = ["LimitedQuantity", "ProblemForm", "ProblemValues", "Programs", "programs_of"]


class LimitedQuantity(NamedTuple):
    """What a limit is put on: a column, a ratio of two, or a function of columns.

    Attributes:
        name: how reports call it.
        numerator: the column, or that above the line; empty for a function.
        denominator: the column below the line; empty if there is none.
        function: of the columns in ``needs``, in order, or None.
        needs: the columns it reads.
        own: whether the law itself demands the limit, and not the caller.
    """

    name: str
    numerator: str
    denominator: str
    function: Callable[..., Any] | None
    needs: tuple[str, ...]
    own: bool = False

    def value(self, columns: Mapping[str, Any]) -> Any:
        """The quantity at these columns."""
        if self.function is not None:
            function = traceable(self.function, len(self.needs))
            return function(*(columns[name] for name in self.needs))
        return columns[self.numerator] / (columns[self.denominator] if self.denominator else 1.0)


class ProblemForm(NamedTuple):
    """What the traced functions of a problem depend on, without its numbers; hashable.

    Attributes:
        law: of the loss.
        cost: function of ``cost_columns``.
        cost_columns: the columns that it reads.
        size_column: the column whose range is searched: N, or what stands for it.
        token_column: the column that is eliminated: D, or what stands for it.
        extras: further free columns that vary continuously.
        logarithmic: for each of the extras, whether its logarithm is searched.
        limits: what is limited.
        minimises_cost: whether the cost is minimised for a loss, not the loss for a cost.
        affine: whether the cost is a + b * tokens with the other columns fixed.
        turns: how often the loss turns along the tokens in the searched range: 0 where it only
            falls, 1 where it rises at the end, or with the size for the least cost of a loss, 2 for
            more. Where it turns a budget need not be spent to the end, and a loss may be reached
            by few tokens only.
    """

    law: Law
    cost: Callable[..., Any]
    cost_columns: tuple[str, ...]
    size_column: str = "N"
    token_column: str = "D"
    extras: tuple[str, ...] = ()
    logarithmic: tuple[bool, ...] = ()
    limits: tuple[LimitedQuantity, ...] = ()
    minimises_cost: bool = False
    affine: bool = True
    turns: int = 0


class ProblemValues(NamedTuple):
    """The numbers of a problem, or of several with a leading axis.

    Attributes:
        level: the budget in the unit of the cost, or the loss; shape ().
        fixed: columns with a given value, each of shape ().
        low: of each limit, -inf where there is none; shape (limits,).
        high: of each limit, inf where there is none; shape (limits,).
        box: ends of ln size and of each of the extras in the searched coordinate; shape
            (1 + extras, 2).
        edge: whether the ends of the size are limits of the user's; shape (2,).
        reach: logarithms of tokens/size between which an optimum is searched; shape (2,).
    """

    level: Any
    fixed: Mapping[str, Any]
    low: Any
    high: Any
    box: Any
    edge: Any
    reach: Any


class Programs:
    """The traced functions of a form, each traced when it is first used.

    Their arguments are fixed columns, parameters of the law, extras in the searched coordinate, ln
    size and ln tokens, in this order.
    """

    def __init__(self, form: ProblemForm, fixed: tuple[str, ...]) -> None:
        self.form, self.fixed = form, fixed
        self.count = len(fixed) + len(form.law.names) + len(form.extras) + 2
        # Limits on functions of size or tokens bound the tokens of a budget, as the budget does.
        searched = {form.size_column, form.token_column}
        every = [
            i
            for i, limit in enumerate(form.limits)
            if limit.function is not None and searched & {*limit.needs}
        ]
        self.bounding = [] if form.minimises_cost else every
        self.affine = form.affine and not every

    def columns(self, given: Sequence[Any]) -> dict[str, Any]:
        """All columns."""
        form = self.form
        free = given[-2 - len(form.extras) :]
        found = dict(zip(self.fixed, given, strict=False))
        for name, logarithmic, value in zip(form.extras, form.logarithmic, free, strict=False):
            found[name] = jnp.exp(value) if logarithmic else value
        return {**found, form.size_column: jnp.exp(free[-2]), form.token_column: jnp.exp(free[-1])}

    def loss(self, given: Sequence[Any]) -> Any:
        """The law."""
        law, columns = self.form.law, self.columns(given)
        params = dict(zip(law.names, given[len(self.fixed) :], strict=False))
        return jnp.reshape(law(*(jnp.asarray(columns[name]) for name in law.columns), **params), ())

    def cost(self, columns: Mapping[str, Any]) -> Any:
        """The cost."""
        values = (jnp.asarray(columns[name]) for name in self.form.cost_columns)
        cost = traceable(self.form.cost, len(self.form.cost_columns))
        return jnp.reshape(cost(*values), ())

    def ln_cost(self, given: Sequence[Any]) -> Any:
        """Logarithm of the cost."""
        return jnp.log(self.cost(self.columns(given)))

    def quantity(self, given: Sequence[Any], place: int) -> Any:
        """The value of a limited quantity."""
        return jnp.reshape(jnp.asarray(self.form.limits[place].value(self.columns(given))), ())

    def ln_quantity(self, given: Sequence[Any], place: int) -> Any:
        """Its logarithm."""
        return jnp.log(self.quantity(given, place))

    def operations(self, *functions: Callable[[Sequence[Any]], Any]) -> Callable[..., list[Any]]:
        """Functions of all arguments as one list of operations, without general powers."""
        positive = [name in POSITIVE for name in self.fixed]
        positive += [False] * (self.count - len(positive))
        plain = rewritten(lambda *given: [item(given) for item in functions], positive)
        return jaxpr_as_fun(closed_form(plain, [()] * self.count))

    @property
    def constraints(self) -> list[Callable[[Sequence[Any]], Any]]:
        """Logarithms of what may bound the tokens of a budget: cost, and limits on functions."""
        return [self.ln_cost, *(partial(self.ln_quantity, place=place) for place in self.bounding)]

    @cached_property
    def objective(self) -> Function:
        """What is minimised: the loss, or the logarithm of the cost."""
        function = self.ln_cost if self.form.minimises_cost else self.loss
        return trace(lambda *given: self.operations(function)(*given), self.count)

    @cached_property
    def quantities(self) -> Function:
        """The value of each limited quantity."""
        each = [partial(self.quantity, place=place) for place in range(len(self.form.limits))]
        return trace(lambda *given: self.operations(*each)(*given), self.count)

    @cached_property
    def spent(self) -> Function:
        """The cost without tokens, and its derivative in them: a straight line has one slope."""

        def both(*given: Any) -> list[Any]:
            def cost(token_column: Any) -> Any:
                return self.cost({**self.columns(given), self.form.token_column: token_column})

            return list(jax.jvp(cost, (jnp.zeros(()),), (jnp.ones(()),)))

        return trace(both, self.count)

    @cached_property
    def binding(self) -> Function:
        """What determines the tokens, loss or constraints: values, then slopes in ln tokens."""
        functions = [self.loss] if self.form.minimises_cost else self.constraints

        def both(*given: Any) -> list[Any]:
            value, slope = self._along_tokens(self.operations(*functions), given)
            return [*value, *slope]

        return trace(both, self.count)

    @cached_property
    def turning(self) -> Function:
        """Slope of the loss in ln tokens, and the slope of that."""

        def both(*given: Any) -> list[Any]:
            loss = self.operations(self.loss)

            def slope(*given: Any) -> list[Any]:
                return self._along_tokens(loss, given)[1]

            value, bend = self._along_tokens(slope, given)
            return [*value, *bend]

        return trace(both, self.count)

    @staticmethod
    def _along_tokens(function: Callable[..., list[Any]], given: Sequence[Any]) -> Any:
        def at(u: Any) -> list[Any]:
            return list(function(*given[:-1], u))

        return jax.jvp(at, (given[-1],), (jnp.ones(()),))

    @cached_property
    def expansion(self) -> Function:
        """Loss and constraints: values, gradients and Hessians in extras, ln size, ln tokens."""

        def every(*given: Any) -> list[Any]:
            operations = self.operations(self.loss, *self.constraints)
            first = self.count - len(self.form.extras) - 2
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
def programs_of(form: ProblemForm, fixed: tuple[str, ...]) -> Programs:
    """The traced functions of a form, with the names of its fixed columns.

    The least recently used are dropped: a new lambda in every call leaves no more than those here.
    """
    return Programs(form, fixed)
