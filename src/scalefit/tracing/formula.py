"""A law's function read as a formula: traced, checked, or refused with the line at fault.

JAX traces the function on scalars and on short columns, with values that stand for any number.
The program is the same every time the function is traced, and for any number of rows; otherwise the
function is no law: it keeps a state, draws random numbers, or counts rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from scalefit.errors import LawError, ScalefitError
from scalefit.runtime.settings import own_settings
from scalefit.tracing.operations import Compiled, Function, Part, Program, Untraceable
from scalefit.tracing.primitives import FEW, LOCK, SAME, acts_on_elements, closed_form
from scalefit.tracing.reading import Unreadable, read_function, unreadable
from scalefit.tracing.source_lines import Place, place_of, returns_of

__all__ = ["Formula", "coupled", "formula_of", "law_error", "refusal"]


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
    try:
        return read_function(function, _Reader(name, function, columns, params))
    except LawError as error:
        # Anew, without what JAX adds to errors that pass through it.
        raise LawError(*error.args) from None
    except Unreadable as error:
        raise _of_law(name, error) from error.__cause__
    except ScalefitError as error:
        raise refusal(name, function, error) from error


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
            return Program(self.count, [Part(single, range(self.count))])
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


def refusal(name: str, function: Callable[..., Any], error: BaseException) -> LawError:
    """What is said of a law whose function fails.

    Args:
        name: of the law.
        function: as it is written.
        error: how it failed, with its traceback.
    """
    return _of_law(name, unreadable(function, error))


def _of_law(name: str, found: Unreadable) -> LawError:
    return law_error(name, found.place, found.problem, found.remedy, found.code)


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
