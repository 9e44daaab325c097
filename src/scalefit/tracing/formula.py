"""A law's function read as a formula: traced, checked, or refused with the line that is no formula.

JAX traces the function on scalars and on short columns, with values that stand for any number.
What comes of it is the same every time it is traced and for any number of rows, or the function is
no law: it keeps a state, draws random numbers, or counts rows.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from scalefit.errors import LawError
from scalefit.runtime.settings import own_settings
from scalefit.tracing.numpy_calls import NoCounterpart, Value, with_numpy
from scalefit.tracing.operations import (
    LOCK,
    SAME,
    Compiled,
    Function,
    Program,
    Untraceable,
    acts_on_elements,
    closed_form,
)
from scalefit.tracing.source_lines import LOOPS, REFUSES, Place, Rewriting, place_of, returns_of

__all__ = ["Formula", "coupled", "formula_of", "law_error", "refusal"]

# Rows of the columns that a law is traced on.
FEW = 3


class Formula(NamedTuple):
    """A law's function as JAX has it.

    Attributes:
        function: the function, of columns in order and parameters by name, that JAX can trace.
        program: of columns, then parameters, in order.
    """

    function: Callable[..., Any]
    program: Function


def formula_of(
    name: str, function: Callable[..., Any], columns: int, params: Sequence[str]
) -> Formula:
    """The formula that a law's function is.

    Args:
        name: of the law.
        function: of columns in order, then parameters by name.
        columns: number of columns.
        params: names of the parameters.

    Raises:
        LawError: it is none.
    """
    read = _Reader(name, function, columns, params)
    try:
        return read(function)
    except jax.errors.TracerArrayConversionError as error:
        first = error
    except LawError as error:
        # Anew, without what JAX adds to errors that pass through it.
        raise LawError(*error.args) from None
    except Exception as error:
        raise refusal(name, function, error) from _cause(error)
    try:
        return read(with_numpy(function))
    except LawError as error:
        raise LawError(*error.args) from None
    except NoCounterpart as error:
        raise refusal(name, function, error) from None
    except Exception as error:
        if isinstance(error, jax.errors.TracerArrayConversionError):
            raise refusal(name, function, first) from None
        # A function of JAX's that is handed what numpy's take.
        mixed = f"{Value.__module__}.{Value.__name__}" in str(error)
        raise refusal(name, function, first if mixed else error, mixed) from _cause(error)


class _Reader:
    """Traces a function, and refuses what it gives."""

    def __init__(
        self, name: str, function: Callable[..., Any], columns: int, params: Sequence[str]
    ) -> None:
        self.name, self.function, self.columns, self.params = name, function, columns, params
        self.count = columns + len(params)

    def __call__(self, function: Callable[..., Any]) -> Formula:
        def plain(*given: Any) -> list[Any]:
            params = dict(zip(self.params, given[self.columns :], strict=True))
            return [self._value(function(*given[: self.columns], **params))]

        with LOCK, own_settings():
            return Formula(function, self._program(plain))

    def _program(self, plain: Callable[..., Any]) -> Function:
        try:
            several = self._on_rows(plain, FEW)
        except LawError:
            raise
        except Exception as error:
            # A formula of numbers that are no columns, or none.
            several, failed = None, error
        if several is not None:
            self._check_shape(several)
        if several is not None and not acts_on_elements(several):
            self._check_numbers(plain, several)
            return Compiled(plain, self.count)
        try:
            single = closed_form(plain, [()] * self.count)
        except Exception as error:
            if several is None:
                raise
            place = place_of(error, self.function)
            problem = f"raises {type(error).__name__} for a single row: {error}"
            raise law_error(self.name, place, problem, COUPLED[1]) from error
        if several is None and not acts_on_elements(single):
            raise failed
        self._check_numbers(plain, single, several)
        try:
            return Program(single)
        except Untraceable:
            return Compiled(plain, self.count)

    def _on_rows(self, plain: Callable[..., Any], rows: int) -> ClosedJaxpr:
        return closed_form(plain, [(rows,)] * self.columns + [()] * (self.count - self.columns))

    def _value(self, value: Any) -> Any:
        """What the function returned, as an array of real numbers."""
        if value is None:
            raise self._no_value("returns nothing", "End it with return and the predicted value")
        try:
            found = None if isinstance(value, tuple | list | str) else jnp.asarray(value)
        except (TypeError, ValueError):
            found = None
        if found is None or found.dtype.kind not in "iuf":
            what = f"a {type(value).__name__}" if found is None else f"{found.dtype} values"
            raise self._no_value(
                f"returns {what}, not the predicted value", "Return one real number for each row"
            )
        return found

    def _check_shape(self, several: ClosedJaxpr) -> None:
        (shape,) = (atom.aval.shape for atom in several.jaxpr.outvars)
        if shape not in ((), (FEW,)):
            raise self._no_value(
                f"returns values of shape {shape} for {FEW} rows",
                "Return one value for each row: an index or slice, or a function of several rows "
                "at once, has no place in it",
            )

    def _check_numbers(
        self, plain: Callable[..., Any], first: ClosedJaxpr, other: ClosedJaxpr | None = None
    ) -> None:
        """Refuse a function whose numbers change, from trace to trace or with the rows.

        Where it was traced on one row and on several, which have the same numbers, it is not
        traced again.
        """
        if other is not None and _numbers(first) == _numbers(other):
            return
        single = first.jaxpr.invars[0].aval.shape == ()
        again = closed_form(plain, [()] * self.count) if single else self._on_rows(plain, FEW)
        if _numbers(again) != _numbers(first):
            raise self._no_value(
                "gives another formula each time it is called",
                "Take out what changes between calls: random numbers, a counter, the time, a cache",
            )
        if other is not None and _numbers(self._on_rows(plain, FEW + 1)) != _numbers(other):
            raise self._no_value(*COUPLED)

    def _no_value(self, problem: str, remedy: str) -> LawError:
        return law_error(self.name, returns_of(self.function), problem, remedy)


COUPLED = (
    "gives a row another value when the other rows change",
    "Compute each row from that row only: a mean, a maximum, an order or a number of rows is "
    "another one for every table, and for one prediction. Write the number itself, as N / 1e9",
)


def coupled(name: str, function: Callable[..., Any]) -> LawError:
    """What is said of a law whose rows depend on each other."""
    return law_error(name, returns_of(function), *COUPLED)


def refusal(
    name: str, function: Callable[..., Any], error: BaseException, mixed: bool = False
) -> LawError:
    """What is said of a law whose function fails when it is traced.

    Args:
        name: of the law.
        function: as it is written.
        error: how it failed, with its traceback.
        mixed: whether the function would be read if numpy's functions stood in it alone.
    """
    place = place_of(error, function)
    rewriting = None if place is None else Rewriting(place)
    asked = rewriting.asked() if rewriting is not None else None
    what, statement = asked or (_asked_by(error), "")
    code = "" if rewriting is None or not statement else rewriting.code(statement)
    if isinstance(error, NoCounterpart):
        problem = f"{asked[0] if asked else error} has no counterpart among JAX's functions"
        return law_error(name, place, problem, "Write what it computes with those of jax.numpy")
    if isinstance(error, jax.errors.TracerArrayConversionError) and mixed:
        problem = f"{what} is numpy's, in a law that is written with JAX's functions elsewhere"
        return law_error(name, place, problem, "Write it with one of the two", code)
    if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        problem = (
            f"{what} asks for the value of a parameter or column, and a law is read once for all "
            "of them"
        )
        remedy = "Write"
        if what == LOOPS:
            remedy = "Take a fixed number of steps, for _ in range(20), or write the limit itself"
        elif what == REFUSES:
            remedy = (
                "Leave it out: declare what a parameter can be as Annotated[kind, "
                "Bounds(lower, upper)], and a column as Annotated[Any, Domain(lower, upper)]"
            )
        elif not code:
            remedy = (
                "Write it with functions of jax.numpy (import jax.numpy as jnp), and a choice as "
                "jnp.where(condition, one, other)"
            )
        return law_error(name, place, problem, remedy, code)
    said = str(error).strip().splitlines()
    problem = f"raises {type(error).__name__}"
    problem += f": {said[0].rstrip('.').replace('DynamicJaxprTracer', 'JAX array')}" if said else ""
    if rewriting is not None and any(isinstance(it, ast.Raise) for it in rewriting.statements):
        remedy = (
            "A law has a value for all parameters and rows: declare what a parameter can be as "
            "Annotated[kind, Bounds(lower, upper)], and a column as Annotated[Any, "
            "Domain(lower, upper)]"
        )
    elif isinstance(error, NameError):
        remedy = "Define the name before the law is used"
    else:
        remedy = (
            "Columns and parameters are arrays of JAX's here, for which functions and methods of "
            "jax.numpy are written"
        )
    return law_error(name, place, problem, remedy)


def _asked_by(error: BaseException) -> str:
    """What asked for a value, where no source says it."""
    if isinstance(error, jax.errors.TracerBoolConversionError):
        return "an if, and, not or chain of comparisons"
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "a function of numpy's"
    return "float(), int() or a function of math"


def law_error(
    name: str, place: Place | None, problem: str, remedy: str, code: str = ""
) -> LawError:
    """A LawError that shows a place in the source, where there is one.

    Args:
        name: of the law.
        place: in its source.
        problem: what is wrong, as a predicate of the place.
        remedy: what to do about it.
        code: what to write instead.
    """
    where = "" if place is None else f"{place}\n" if place.text else f"{place}: "
    said = f"law {name!r} {problem}" if not where else f"law {name!r}: {where}{problem}"
    return LawError(f"{said}. {remedy}" + (f":\n{code}" if code else ""))


def _cause(error: BaseException) -> BaseException | None:
    """The error where it is the user's own: one of JAX's says nothing more."""
    return None if isinstance(error, jax.errors.JAXTypeError) else error


def _numbers(closed: ClosedJaxpr) -> set[tuple[str, bytes]]:
    """Numbers in a traced function, of all operations that do more than repeat them."""
    found = {_number(value) for value in closed.consts}
    for equation in _equations(closed.jaxpr):
        if equation.primitive.name not in SAME:
            found |= {_number(atom.val) for atom in equation.invars if isinstance(atom, Literal)}
        for value in equation.params.values():
            inner = value if isinstance(value, tuple | list) else (value,)
            found |= {
                _number(item)
                for each in inner
                if isinstance(each, ClosedJaxpr)
                for item in each.consts
            }
    found |= {_number(atom.val) for atom in closed.jaxpr.outvars if isinstance(atom, Literal)}
    return found


def _number(value: Any) -> tuple[str, bytes]:
    array = np.asarray(value, dtype=np.float64) if np.ndim(value) == 0 else np.asarray(value)
    return str(array.dtype), array.tobytes()


def _equations(jaxpr: Jaxpr) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, ClosedJaxpr):
                    yield from _equations(item.jaxpr)
                elif isinstance(item, Jaxpr):
                    yield from _equations(item)
