"""A law with its first and second derivatives in some of its columns, traced once for each law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.laws import Law
from scalefit.tracing.operations import Function, trace

__all__ = ["column_derivatives", "derivatives_of"]


def column_derivatives(law: Law, over: Sequence[str], logs: Sequence[bool]) -> Function:
    """Value, gradient and lower triangle of the Hessian of a law, in coordinates of columns.

    Args:
        law: the law.
        over: the columns.
        logs: whether the coordinate of each is its logarithm.

    Returns:
        A function of the columns, those of ``over`` by their coordinates, and of the parameters;
        its values are read by :func:`derivatives_of`.
    """
    key = ("derivatives in columns", tuple(over), tuple(logs))
    if key not in law.memo:
        law.memo[key] = _traced(law, over, logs)
    found: Function = law.memo[key]
    return found


def derivatives_of(
    found: Sequence[Any], count: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of :func:`column_derivatives` as arrays.

    Args:
        found: the values.
        count: number of columns that are varied.
        shape: of the arguments together.

    Returns:
        Value, gradient and Hessian, of shapes ``shape``, (*shape, count), (*shape, count, count).
    """
    value, *rest = (np.broadcast_to(item, shape) for item in found)
    first = np.stack(rest[:count], axis=-1)
    second = np.empty((*shape, count, count))
    for (i, j), item in zip(_pairs(count), rest[count:], strict=True):
        second[..., i, j] = second[..., j, i] = item
    return value, first, second


def _pairs(count: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(count) for j in range(i + 1)]


def _traced(law: Law, over: Sequence[str], logs: Sequence[bool]) -> Function:
    """The function, as a program where the law is a formula of one row."""
    count, places = len(law.columns), [law.columns.index(name) for name in over]

    def every(*given: Any) -> list[Any]:
        named = dict(zip(law.names, given[count:], strict=True))

        def value(*coordinates: Any) -> Any:
            columns = list(given[:count])
            for place, log, item in zip(places, logs, coordinates, strict=True):
                columns[place] = jnp.exp(item) if log else item
            return jnp.reshape(law(*columns, **named), jnp.shape(given[0]))

        at = tuple(given[place] for place in places)
        units = [
            tuple(jnp.full_like(item, 1.0 * (i == k)) for i, item in enumerate(at))
            for k in range(len(at))
        ]

        def slope(i: int, *coordinates: Any) -> Any:
            return jax.jvp(value, coordinates, units[i])[1]

        first = [slope(i, *at) for i in range(len(at))]
        second = [
            jax.jvp(lambda *xs, i=i: slope(i, *xs), at, units[j])[1] for i, j in _pairs(len(at))
        ]
        return [value(*at), *first, *second]

    return trace(every, count + len(law.names), count)
