"""Functions that callers write (laws, costs, limits), as JAX can trace them.

Such a function may be written with ``jax.numpy`` or with ``numpy``. What JAX cannot trace is an
:class:`Unreadable`, which knows the line and, where there is one, the line to write instead.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from scalefit.errors import ScalefitError
from scalefit.tracing.numpy_calls import NoCounterpart, Value, with_numpy
from scalefit.tracing.source_lines import LOOPS, REFUSES, Place, Rewriting, place_of

__all__ = ["Unreadable", "read_function", "unreadable"]

Found = TypeVar("Found")

DECLARE = (
    "declare what a parameter can be as Annotated[kind, Bounds(lower, upper)], and a column as "
    "Annotated[Any, Domain(lower, upper)]"
)


class Unreadable(Exception):  # noqa: N818 (becomes an error that names the function)
    """What keeps a function from being traced.

    Attributes:
        place: where in its source; None where that is not known.
        problem: what is wrong, as a predicate of the place.
        remedy: what to do about it in a law.
        code: what to write instead; empty where that is not known.
    """

    def __init__(self, place: Place | None, problem: str, remedy: str, code: str = "") -> None:
        self.place, self.problem, self.remedy, self.code = place, problem, remedy, code
        super().__init__(problem)


def read_function(
    function: Callable[..., Any], read: Callable[[Callable[..., Any]], Found]
) -> Found:
    """What ``read`` makes of a function, or of the function with JAX's for numpy's in it.

    Args:
        function: as it is written.
        read: traces a function, and raises what JAX or the function raises.

    Raises:
        Unreadable: it cannot be traced; the cause is what the function itself raised.
        ScalefitError: the function or ``read`` raises that.
    """
    try:
        return read(function)
    except jax.errors.TracerArrayConversionError as error:
        first = error
    except (ScalefitError, Unreadable):
        raise
    except Exception as error:
        raise unreadable(function, error) from _cause(error)
    try:
        return read(with_numpy(function))
    except (ScalefitError, Unreadable):
        raise
    except NoCounterpart as error:
        raise unreadable(function, error) from None
    except Exception as error:
        if isinstance(error, jax.errors.TracerArrayConversionError):
            raise unreadable(function, first) from None
        # A function of JAX's that is handed what numpy's take.
        mixed = f"{Value.__module__}.{Value.__name__}" in str(error)
        if mixed:
            raise unreadable(function, first, mixed) from None
        raise unreadable(function, error) from _cause(error)


def unreadable(
    function: Callable[..., Any], error: BaseException, mixed: bool = False
) -> Unreadable:
    """What is said of a function that fails when it is traced.

    Args:
        function: as it is written.
        error: how it failed, with its traceback.
        mixed: whether the function would be read if numpy's functions stood in it alone.
    """
    place = place_of(error, function)
    rewriting = None if place is None else Rewriting(place)
    known = rewriting.rewritten() if rewriting is not None else None
    what, statement = known or (_culprit(error), "")
    code = "" if rewriting is None or not statement else rewriting.code(statement)
    if isinstance(error, NoCounterpart):
        problem = f"{known[0] if known else error} has no counterpart among JAX's functions"
        return Unreadable(place, problem, "Write what it computes with those of jax.numpy")
    if isinstance(error, jax.errors.TracerArrayConversionError) and mixed:
        problem = f"{what} is numpy's, in a function that is written with JAX's elsewhere"
        return Unreadable(place, problem, "Write it with one of the two", code)
    if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        problem = (
            f"{what} needs the value of an argument, and the function is read once for all values"
        )
        return Unreadable(place, problem, _remedy(what, code), code)
    said = str(error).strip().splitlines()
    problem = f"raises {type(error).__name__}"
    problem += f": {said[0].rstrip('.').replace('DynamicJaxprTracer', 'JAX array')}" if said else ""
    if rewriting is not None and any(isinstance(it, ast.Raise) for it in rewriting.statements):
        remedy = f"A law has a value for all parameters and rows: {DECLARE}"
    elif isinstance(error, NameError):
        remedy = "Define the name before the law is used"
    else:
        remedy = (
            "Columns and parameters are arrays of JAX's here, for which functions and methods of "
            "jax.numpy are written"
        )
    return Unreadable(place, problem, remedy)


def _remedy(what: str, code: str) -> str:
    """How to write a law so that it needs no value."""
    if what == LOOPS:
        return "Take a fixed number of steps, for _ in range(20), or write the limit itself"
    if what == REFUSES:
        return f"Leave it out: {DECLARE}"
    if code:
        return "Write"
    return (
        "Write it with functions of jax.numpy (import jax.numpy as jnp), and a choice as "
        "jnp.where(condition, one, other)"
    )


def _culprit(error: BaseException) -> str:
    """What needs a value, where no source shows it."""
    if isinstance(error, jax.errors.TracerBoolConversionError):
        return "an if, and, not or chain of comparisons"
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "a function of numpy's"
    return "float(), int() or a function of math"


def _cause(error: BaseException) -> BaseException | None:
    """The error where it is the user's own: one of JAX's says nothing more."""
    return None if isinstance(error, jax.errors.JAXTypeError) else error
