"""Functions of columns that callers write: costs, and what a limit is put on.

Their signature is read once. Before they are used they are traced and tried, so that a mistake in
one is reported as such, and not met in the middle of a search. They may be written with ``numpy``
or with ``jax.numpy``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.arguments import answered, shown
from scalefit.errors import ArgumentError
from scalefit.runtime.settings import own_settings, quiet
from scalefit.tracing.reading import Unreadable, read_function

__all__ = ["called", "columns_of", "traceable", "tried", "values_of"]

Formula = Callable[..., Any]

NO_NUMBER = "returned {}, which is not a number for each row"

# Characters of a line to write instead, and of what is wrong, that a message holds.
SHOWN = 100
SAID = 160


def called(function: Formula) -> str:
    """What messages call a function."""
    return str(getattr(function, "__name__", type(function).__name__))


def columns_of(function: Formula, argument: str, *, remedy: str) -> tuple[str, ...]:
    """Names of the positional arguments without default: those with one are constants.

    Args:
        function: what was passed.
        argument: what it is called where it was passed.
        remedy: what to pass instead, a sentence without its full stop.

    Raises:
        ArgumentError: it is no function, or not one of columns.
    """

    def refused(problem: str) -> ArgumentError:
        return ArgumentError(problem, argument=argument, value=function, remedy=remedy)

    if not callable(function):
        raise refused(f"{argument}={shown(function)} is not a function of columns")
    said = f"{argument}={shown(function)}"
    try:
        hash(function)
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:  # Unhashable objects; some built-in functions.
        raise refused(f"{said} does not say which columns it takes") from error
    columns: list[str] = []
    for item in taken:
        bare = item.default is inspect.Parameter.empty
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
            raise refused(f"{said} takes {item}, and every column must be written out")
        if item.kind is item.KEYWORD_ONLY and bare:
            raise refused(
                f"{said} takes the keyword {item.name} without a default: a column is positional, "
                "a constant has a default"
            )
        if bare:
            columns.append(item.name)
    if not columns:
        raise refused(f"{said} takes no column")
    return tuple(columns)


def values_of(
    function: Formula, columns: Mapping[str, Any], argument: str, *, remedy: str
) -> np.ndarray:
    """Its values in float64, of the columns' broadcast shape, whatever the caller's JAX says.

    Args:
        function: of the columns, in order.
        columns: each of a shape that broadcasts with the others.
        argument: what the function is called where it was passed.
        remedy: what to write instead, a sentence without its full stop.

    Raises:
        ArgumentError: it raises, or returns what is no numbers.
    """
    arrays = np.broadcast_arrays(*(np.asarray(item, np.float64) for item in columns.values()))
    with own_settings(), quiet():
        value = answered(function, argument, *arrays, remedy=remedy)
        try:
            if np.asarray(value).dtype.kind not in "iuf":
                raise TypeError("no real numbers")
            return np.broadcast_to(np.asarray(value, dtype=np.float64), arrays[0].shape)
        except Exception as error:  # As a foreign object may when it becomes an array.
            raise _no_number(function, value, argument, remedy) from error


def tried(
    function: Formula, columns: Mapping[str, Any], argument: str, *, remedy: str
) -> np.ndarray:
    """The same, once it is known to be traceable by JAX with derivatives, and positive somewhere.

    Raises:
        ArgumentError: it raises when it is traced or called, or none of its values is a positive
            number.
    """
    _require_traceable(function, len(columns), argument, remedy)
    value = values_of(function, columns, argument, remedy=remedy)
    if not (np.isfinite(value) & (value > 0)).any():
        at = tuple(size // 2 for size in value.shape)
        spread = np.broadcast_arrays(*columns.values())
        where = ", ".join(
            f"{name} = {item[at]:.4g}" for name, item in zip(columns, spread, strict=True)
        )
        raise ArgumentError(
            f"{argument}={shown(function)} returned {value[at]:g} at {where}, and no positive "
            "number anywhere",
            argument=argument,
            value=function,
            remedy=remedy,
        )
    return value


def traceable(function: Formula, count: int) -> Formula:
    """A function that was tried, as JAX can trace it: with numpy's functions in it or without."""
    return _read(function, count)


def _require_traceable(function: Formula, count: int, argument: str, remedy: str) -> None:
    """Raise where JAX cannot trace a function of ``count`` numbers, or differentiate it."""
    try:
        _read(function, count)
    except Unreadable as error:
        place = "" if error.place is None or error.__cause__ else f", line {error.place.line},"
        # A message is one line.
        code = " ".join(error.code.split())
        write = f": write {code}" if 0 < len(code) <= SHOWN else ""
        raise ArgumentError(
            f"{argument}={shown(function)}{place} {error.problem[:SAID]}{write}",
            argument=argument,
            value=function,
            remedy=remedy,
        ) from error.__cause__


@lru_cache(maxsize=64)
def _read(function: Formula, count: int) -> Formula:
    """The function, or the function with JAX's for numpy's, once JAX has traced its derivatives.

    Raises:
        Unreadable: it can trace neither.
    """

    def read(variant: Formula) -> Formula:
        def traced(*given: Any) -> Any:
            value = variant(*given)
            try:
                found = jnp.asarray(value)
                fits = found.size == 1 and found.dtype.kind in "iuf"
            except Exception:  # Whatever a foreign object does when it becomes an array.
                fits = False
            if not fits:
                raise Unreadable(None, NO_NUMBER.format(shown(value)), "")
            return jnp.reshape(found.astype(np.float64), ())

        shaped: Any = jax.ShapeDtypeStruct
        # A callback, say, can be traced and has no derivative.
        jax.eval_shape(
            jax.grad(traced, argnums=tuple(range(count))), *[shaped((), np.float64)] * count
        )
        return variant

    with own_settings():
        return read_function(function, read)


def _no_number(function: Formula, value: Any, argument: str, remedy: str) -> ArgumentError:
    return ArgumentError(
        f"{argument}={shown(function)} {NO_NUMBER.format(shown(value))}",
        argument=argument,
        value=function,
        remedy=remedy,
    )
