"""Traced functions as straight-line programs that any array library runs, without compiling.

A law is a formula in a few columns and parameters. JAX traces it on scalars, differentiates it and
hands over a list of elementwise operations. :class:`Program` keeps that list, shortened, and runs
it on arrays of any shape that broadcast: with numpy for the tables people have, where a compiler
would take seconds for milliseconds of work, and with ``jax.numpy`` inside a jitted program for a
GPU or for very large batches. The operations are the same, and so are the numbers to rounding.

What depends on the columns only is computed once for a table (:meth:`Program.bind`).

A function that is no formula of one row (a loop, a sum over rows) has no such list. It is compiled
as it stands (:class:`Compiled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from scalefit.runtime.progress import compiling
from scalefit.runtime.settings import on_device, own_settings, processor, quiet
from scalefit.runtime.threads import apart
from scalefit.tracing.primitives import (
    CALLS,
    FEW,
    LOCK,
    NUMPY,
    SAME,
    SPECIAL,
    acts_on_elements,
    called,
    closed_form,
)

__all__ = ["Bound", "Compiled", "Function", "Part", "Program", "Untraceable", "joined", "trace"]


class Untraceable(Exception):  # noqa: N818 (a verdict about a function, not an error of the program)
    """The function is no list of elementwise operations."""


Key = tuple[Any, ...]


class Part(NamedTuple):
    """A traced function, and what it is called with: arguments of the whole by number, or floats.

    Where a float is zero or one, what is multiplied by it is left out of a :class:`Program`. Traced
    once with its directions as arguments, a derivative is so read for each of them.
    """

    closed: ClosedJaxpr
    given: Sequence[int | float]


class _Step:
    """One operation: what it is, its operands (places), and its place."""

    __slots__ = ("name", "operands", "params", "place", "primitive")

    def __init__(
        self, name: str, primitive: Any, params: Any, operands: tuple[int, ...], place: int
    ):
        self.name = name
        self.primitive = primitive
        self.params = params
        self.operands = operands
        self.place = place


class Bound(Protocol):
    """A function whose first arguments are given."""

    def __call__(self, *rest: Any) -> list[Any]:
        """Values, each of a shape that broadcasts to that of all arguments."""
        ...


class Function(Protocol):
    """What :func:`trace` makes of a function."""

    def bind(self, *first: Any, library: Any = np) -> Bound:
        """The function with its first arguments given, which are looked at once."""
        ...


class Program:
    """Elementwise operations in order, none twice, none without use.

    Args:
        inputs: number of arguments.
        parts: what is computed of them, one after the other.
    """

    def __init__(self, inputs: int, parts: Iterable[Part]) -> None:
        self.inputs = inputs
        self.constants: dict[int, Any] = {}
        self._steps: list[_Step] = []
        self._places = self.inputs
        self._known: dict[Key, int] = {}
        self.outputs: list[int] = []
        for closed, given in parts:
            operands = [it if isinstance(it, int) else self._constant(it) for it in given]
            self.outputs += self._read(closed, operands)
        self._prune()
        del self._known

    def bind(self, *first: Any, library: Any = np) -> Bound:
        """The program with its first inputs given; what depends on them only is computed now.

        Args:
            *first: values of the first inputs, arrays that broadcast; None for one that is given
                later too.
            library: ``numpy``, or ``jax.numpy`` within a function that JAX traces.
        """
        run = _RUNNERS[library.__name__]
        held: list[Any] = [None] * self._places
        for place, value in self.constants.items():
            held[place] = value
        later_inputs = [i for i in range(self.inputs) if i >= len(first) or first[i] is None]
        given = set(self.constants).union(range(self.inputs)).difference(later_inputs)
        held[: len(first)] = first
        # Function, first operand, the second or the list of others, and place.
        later: list[tuple[Callable[..., Any], int, int | list[int] | None, int]] = []
        for step in self._steps:
            function = run(step.name, step.primitive, step.params)
            if given.issuperset(step.operands):
                held[step.place] = function(*(held[place] for place in step.operands))
                given.add(step.place)
            else:
                one, *others = step.operands
                other = others[0] if len(others) == 1 else (others or None)
                later.append((function, one, other, step.place))
        outputs = self.outputs

        def finish(*rest: Any) -> list[Any]:
            values = held.copy()
            for place, value in zip(later_inputs, rest, strict=True):
                values[place] = value
            # Where arrays are small, most of the time of an allocation goes here.
            for function, one, other, place in later:
                if isinstance(other, int):
                    values[place] = function(values[one], values[other])
                elif other is None:
                    values[place] = function(values[one])
                else:
                    values[place] = function(values[one], *(values[item] for item in other))
            return [values[place] for place in outputs]

        return finish

    def __call__(self, *inputs: Any, library: Any = np) -> list[Any]:
        """All outputs."""
        return self.bind(*inputs, library=library)()

    def _read(self, closed: ClosedJaxpr, operands: list[int]) -> list[int]:
        """Take up the operations of a traced function; places of what it returns."""
        jaxpr = closed.jaxpr
        where: dict[Any, int] = dict(zip(jaxpr.invars, operands, strict=True))
        for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
            where[variable] = self._constant(value)

        def place(atom: Any) -> int:
            return self._constant(atom.val) if isinstance(atom, Literal) else where[atom]

        for equation in jaxpr.eqns:
            name = equation.primitive.name
            mine = [place(atom) for atom in equation.invars]
            if name in CALLS:
                found = self._read(called(equation), mine)
            else:
                if any(getattr(atom.aval, "shape", None) != () for atom in equation.outvars):
                    raise Untraceable(f"{name} makes an array of a single row")
                several = len(equation.outvars) != 1 or (name == "select_n" and len(mine) != 3)
                if several or name in ("pure_callback", "io_callback"):
                    raise Untraceable(f"{name} is no elementwise operation of one result")
                found = [self._add(name, equation, mine)]
            where.update(zip(equation.outvars, found, strict=True))
        return [place(atom) for atom in jaxpr.outvars]

    def _constant(self, value: Any) -> int:
        array = np.asarray(value)
        if array.shape != ():
            raise Untraceable("a constant is an array")
        number = array[()]
        key = ("constant", array.dtype.str, array.tobytes())
        if key not in self._known:
            self._known[key] = self._new()
            self.constants[self._known[key]] = number
        return self._known[key]

    def _new(self) -> int:
        self._places += 1
        return self._places - 1

    def _is(self, place: int, number: float) -> bool:
        return place in self.constants and self.constants[place] == number

    def _add(self, name: str, equation: Any, operands: list[int]) -> int:
        """Place of an operation's result, new or not; multiplying by one makes nothing new."""
        params = equation.params
        if name in SAME:
            return operands[0]
        if name == "convert_element_type":
            before, after = equation.invars[0].aval.dtype, params["new_dtype"]
            if operands[0] in self.constants:
                return self._constant(np.asarray(self.constants[operands[0]]).astype(after))
            if before == after or (before.kind in "fi" and np.dtype(after) == np.float64):
                return operands[0]
        if name == "mul":
            for one, other in (operands, operands[::-1]):
                if self._is(one, 1.0):
                    return other
                if self._is(one, 0.0):
                    return one
        if name in ("add", "add_any"):
            for one, other in (operands, operands[::-1]):
                if self._is(one, 0.0):
                    return other
        if (name == "sub" and self._is(operands[1], 0.0)) or (
            name in ("div", "pow") and self._is(operands[1], 1.0)
        ):
            return operands[0]
        if name in ("add", "add_any", "mul"):
            operands = sorted(operands)
        key = (name, tuple(operands), repr(params))
        found = self._known.get(key)
        if found is None:
            step = _Step(name, equation.primitive, params, tuple(operands), self._new())
            if name in NUMPY and all(item in self.constants for item in operands):
                with quiet():
                    value = getattr(np, NUMPY[name])(*(self.constants[item] for item in operands))
                found = self._constant(value)
            else:
                self._steps.append(step)
                found = step.place
            self._known[key] = found
        return found

    def _prune(self) -> None:
        """Leave out what no output needs."""
        needed = set(self.outputs)
        kept = []
        for step in reversed(self._steps):
            if step.place in needed:
                needed.update(step.operands)
                kept.append(step)
        self._steps = kept[::-1]
        self.constants = {
            place: self.constants[place] for place in self.constants if place in needed
        }


def _numpy_runner(name: str, primitive: Any, params: Mapping[str, Any]) -> Callable[..., Any]:
    if name in NUMPY:
        function: Callable[..., Any] = getattr(np, NUMPY[name])
        return function
    if name in SPECIAL:
        return _special(SPECIAL[name])
    if name == "select_n":
        return lambda which, first, second: np.where(which, second, first)
    if name == "integer_pow":
        return _integer_power(params["y"])
    if name == "rsqrt":
        return lambda x: 1.0 / np.sqrt(x)
    if name == "one_minus_square":
        return lambda x: (1.0 + x) * (1.0 - x)
    if name == "clamp":
        return lambda low, x, high: np.clip(x, low, high)
    if name == "polygamma":
        return _special("polygamma")
    if name == "convert_element_type":
        return lambda x, to=params["new_dtype"]: np.asarray(x).astype(to)

    def bound(*operands: Any) -> Any:
        # An operation that numpy has no function for: JAX's own, one at a time.
        with on_device(processor()):
            shaped = [jnp.asarray(item) for item in np.broadcast_arrays(*operands)]
            return np.asarray(primitive.bind(*shaped, **params))

    return bound


def _jax_runner(name: str, primitive: Any, params: Mapping[str, Any]) -> Callable[..., Any]:
    def bound(*operands: Any) -> Any:
        # Operands of one shape, as scalars are, need no call of a compiled function.
        if len({np.shape(item) for item in operands}) > 1:
            operands = tuple(jnp.broadcast_arrays(*operands))
        return primitive.bind(*operands, **params)

    return bound


_RUNNERS = {"numpy": _numpy_runner, "jax.numpy": _jax_runner}


@cache
def _special(name: str) -> Callable[..., Any]:
    # A tenth of a second to import, for laws that need it.
    from scipy import special

    function: Callable[..., Any] = getattr(special, name)
    return function


def _integer_power(power: int) -> Callable[[Any], Any]:
    if power == 2:
        return np.square
    if power == 3:
        return lambda x: x * x * x
    if power == -1:
        return np.reciprocal
    return lambda x: np.power(x, float(power))


class Compiled:
    """A function that is no list of elementwise operations, compiled by JAX for each set of shapes.

    It is called with whole columns, and is mapped over everything else.
    """

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        self.function = function
        self.count = count
        self._compiled = jax.jit(self._mapped)

    def _mapped(self, first: Any, rest: Any) -> list[Any]:
        def each(*rest: Any) -> list[Any]:
            return list(self.function(*first, *rest))

        for _ in range(rest[0].ndim if rest else 0):
            each = jax.vmap(each)
        return each(*rest)

    def bind(self, *first: Any, library: Any = np) -> Bound:
        """The function with its columns given, as :meth:`Program.bind`."""
        rows = np.broadcast_shapes(*(np.shape(item) for item in first))

        def finish(*rest: Any) -> list[Any]:
            # The other arguments end in an axis of length one, where the rows will be.
            shape = np.broadcast_shapes((1,), *(np.shape(item) for item in rest))[:-1]
            shaped = [
                library.broadcast_to(library.asarray(item, dtype=np.float64), (*shape, 1))[..., 0]
                for item in rest
            ]
            found = self._mapped(first, shaped) if library is jnp else self._run(first, shaped)
            return [_on_rows(item, (*shape, *rows), len(shape), library) for item in found]

        def scoped(*rest: Any) -> list[Any]:
            with own_settings():
                return finish(*rest)

        return scoped

    def _run(self, first: Any, rest: Any) -> list[np.ndarray]:
        def run() -> list[np.ndarray]:
            given = (tuple(map(np.asarray, first)), rest)
            with on_device(processor()), compiling(self._compiled, given, "the law"):
                found = self._compiled(*given)
                return [np.asarray(item) for item in found]

        return apart(run)


def _on_rows(item: Any, shape: tuple[int, ...], lead: int, library: Any) -> Any:
    """A value that may not depend on the rows, broadcast to them."""
    missing = len(shape) - item.ndim
    return library.broadcast_to(
        item.reshape(item.shape[:lead] + (1,) * missing + item.shape[lead:]), shape
    )


def trace(function: Callable[..., Sequence[Any]], count: int, rows: int = 0) -> Function:
    """A program of a function.

    Args:
        function: of ``count`` scalars, the first ``rows`` of which are numbers of one row; it
            returns a sequence of scalars.
        count: number of arguments.
        rows: how many of the first ones are columns.

    Returns:
        A :class:`Program`, or a :class:`Compiled` where the function is no formula of one row.
    """
    with LOCK, own_settings():
        if rows and not _elementwise(function, count, rows):
            return Compiled(function, count)
        try:
            return Program(count, [Part(closed_form(function, [()] * count), range(count))])
        except Untraceable:
            return Compiled(function, count)


def joined(
    parts: Callable[[Sequence[tuple[int, ...]]], Sequence[Part]], count: int, rows: bool
) -> Function:
    """A program of several traced functions, whose values follow each other.

    Args:
        parts: the functions, traced for arguments of these shapes.
        count: number of arguments.
        rows: whether they are functions of whole columns, which are no formulas of one row.

    Returns:
        As :func:`trace`.
    """

    def function(*given: Any) -> list[Any]:
        found: list[Any] = []
        for closed, numbers in parts([jnp.shape(item) for item in given]):
            mine = [given[it] if isinstance(it, int) else jnp.asarray(it) for it in numbers]
            found += jaxpr_as_fun(closed)(*mine)
        return found

    if rows:
        return Compiled(function, count)
    with LOCK, own_settings():
        try:
            return Program(count, parts([()] * count))
        except Untraceable:
            return Compiled(function, count)


def _elementwise(function: Callable[..., Sequence[Any]], count: int, rows: int) -> bool:
    """Whether each row of a function's value depends on that row of its columns only.

    Read off the operations on columns of three rows: every one of them must act on each element by
    itself.
    """
    try:
        closed = closed_form(function, [(FEW,)] * rows + [()] * (count - rows))
    except (TypeError, ValueError, jax.errors.JAXTypeError):
        # A formula that works on single rows only, or on none: the caller's trace will say.
        return True
    return acts_on_elements(closed)
