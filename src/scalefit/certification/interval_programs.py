"""A traced function enclosed over whole intervals of its variable, derivatives included.

A JAX function of one scalar is traced once; its program is then run by numpy on intervals instead
of numbers, many intervals at a time. What comes out contains every value and derivative that the
function, read as a formula on real numbers, has on the interval.

Two things keep the enclosures narrow. A product of positive factors is carried as its logarithm, a
sum, so that N^-theta is exactly the line -theta ln N with no second derivative; and exp undoes log
symbolically.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from scalefit.certification import taylor
from scalefit.certification.intervals import Interval, NotEnclosed, outward, point
from scalefit.certification.rounding import FUNCTION_ULPS
from scalefit.certification.taylor import ORDER, Comparison, Jet, constant
from scalefit.tracing.primitives import CALLS, called

__all__ = ["Enclosure", "enclose", "known", "variable"]


class Enclosure:
    """What a program computes, over a batch of intervals of its variable.

    Attributes:
        log: for a positive quantity carried as its logarithm, that logarithm.
        exp: for a logarithm, the quantity it was taken of.
    """

    def __init__(
        self, jet: Jet | None = None, log: Enclosure | None = None, exp: Enclosure | None = None
    ) -> None:
        self._jet = jet
        self.log = log
        self.exp = exp

    @cached_property
    def jet(self) -> Jet:
        """Enclosures of value and derivatives, each of shape (batch or 1, *shape)."""
        if self._jet is not None:
            return self._jet
        assert self.log is not None
        return taylor.exp(self.log.jet)

    @property
    def value(self) -> Interval:
        """Enclosure of the value."""
        found = self.jet[0]
        assert found is not None
        return found

    @property
    def fixed(self) -> bool:
        """Whether it does not depend on the variable."""
        source = self.log.jet if self._jet is None and self.log is not None else self.jet
        return all(item is None for item in source[1:])

    @property
    def positive(self) -> bool:
        """Whether it is known to be positive, and its logarithm at hand or a constant."""
        return self.log is not None or (self.fixed and bool((self.value.lo > 0).all()))

    def logarithm(self) -> Enclosure:
        """Its logarithm."""
        if self.log is None:
            if not (self.value.lo > 0).all():
                raise NotEnclosed("it takes a power or logarithm of what may not be positive")
            self.log = Enclosure(taylor.log(self.jet), exp=self)
        return self.log


def variable(lower: np.ndarray, upper: np.ndarray) -> Enclosure:
    """The variable itself, over intervals of shape (batch,)."""
    return Enclosure((Interval(lower, upper), point(np.ones(1)), *[None] * (ORDER - 1)))


def known(array: Any) -> Enclosure:
    """An exact constant of any shape."""
    return Enclosure(constant(point(np.asarray(array, dtype=np.float64)[None])))


# Rules of primitives. Each takes Enclosures (or Comparisons) whose arrays have the batch axis
# first, and the parameters of the equation where it has any that matter.


def _rank(item: Enclosure | Comparison) -> int:
    if isinstance(item, Comparison):
        return item.yes.ndim
    jet = item.log.jet if item._jet is None and item.log is not None else item.jet
    assert jet[0] is not None
    return jet[0].lo.ndim


def _lift(item: Enclosure, rank: int) -> Enclosure:
    """A scalar among arrays, with axes to broadcast along."""
    missing = rank - _rank(item)
    if missing == 0:
        return item
    return _rearranged(item, lambda array: array.reshape(array.shape[:1] + (1,) * missing))


def _rearranged(item: Enclosure, function: Callable[[np.ndarray], np.ndarray]) -> Enclosure:
    if item._jet is None and item.log is not None:
        return Enclosure(log=_rearranged(item.log, function))
    jet = tuple(None if part is None else _map_ranked(part, function, item) for part in item.jet)
    exp = None if item.exp is None else _rearranged(item.exp, function)
    return Enclosure(jet, exp=exp)


def _map_ranked(part: Interval, function: Any, item: Enclosure) -> Interval:
    """Rearranged, after derivatives of lower rank (a one for all rows) are given all axes."""
    rank = item.value.lo.ndim
    if part.lo.ndim < rank:
        part = part.mapped(lambda array: array.reshape(array.shape + (1,) * (rank - array.ndim)))
    shape = item.value.lo.shape[1:]
    if part.lo.shape[1:] != shape:
        part = part.mapped(lambda array: np.broadcast_to(array, (array.shape[0], *shape)))
    return part.mapped(function)


def _is_number(item: Enclosure, number: float) -> bool:
    if not item.fixed or item.log is not None:
        return False
    value = item.value
    return value.lo is value.hi and bool((value.lo == number).all())


def _rule_add(x: Enclosure, y: Enclosure) -> Enclosure:
    return Enclosure(taylor.add(x.jet, y.jet))


def _rule_sub(x: Enclosure, y: Enclosure) -> Enclosure:
    return Enclosure(taylor.add(x.jet, taylor.negative(y.jet)))


def _rule_mul(x: Enclosure, y: Enclosure) -> Enclosure:
    if _is_number(x, 1.0) and _rank(x) <= _rank(y):
        return y
    if _is_number(y, 1.0) and _rank(y) <= _rank(x):
        return x
    if x.positive and y.positive and not (x.fixed and y.fixed):
        return Enclosure(log=_rule_add(x.logarithm(), y.logarithm()))
    return Enclosure(taylor.multiply(x.jet, y.jet))


def _rule_div(x: Enclosure, y: Enclosure) -> Enclosure:
    if _is_number(y, 1.0):
        return x
    if x.positive and y.positive and not (x.fixed and y.fixed):
        return Enclosure(log=_rule_sub(x.logarithm(), y.logarithm()))
    return Enclosure(taylor.multiply(x.jet, taylor.reciprocal(y.jet)))


def _rule_pow(x: Enclosure, y: Enclosure) -> Enclosure:
    if y.fixed and y.value.lo is y.value.hi:
        numbers = np.unique(y.value.lo)
        if len(numbers) == 1 and numbers[0] == int(numbers[0]) and abs(numbers[0]) <= 8:
            return _rule_integer_pow(x, y=int(numbers[0]))
    return Enclosure(log=Enclosure(taylor.multiply(y.jet, x.logarithm().jet)))


def _rule_integer_pow(x: Enclosure, *, y: int) -> Enclosure:
    if x.log is not None:
        return _power(x, float(y))
    return Enclosure(taylor.integer_power(x.jet, y))


def _power(x: Enclosure, exponent: float) -> Enclosure:
    return Enclosure(log=Enclosure(taylor.scaled(x.logarithm().jet, exponent)))


def _rule_expm1(x: Enclosure) -> Enclosure:
    return Enclosure((x.value.increasing(np.expm1), *taylor.exp(x.jet)[1:]))


def _rule_logistic(x: Enclosure) -> Enclosure:
    # 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2
    half = taylor.scaled(x.jet, 0.5)
    one = constant(point(np.ones((1,) * x.value.lo.ndim)))
    return Enclosure(taylor.scaled(taylor.add(taylor.tanh(half), one), 0.5))


def _rule_abs(x: Enclosure) -> Enclosure:
    if x.log is not None:
        return x
    value = x.value
    holds = Comparison(value.hi <= 0, value.lo >= 0)
    found = taylor.choose(x.jet, taylor.negative(x.jet), holds)
    first = found[0]
    assert first is not None
    return Enclosure((Interval(np.where(holds.sure, first.lo, 0.0), first.hi), *found[1:]))


def _rule_max(x: Enclosure, y: Enclosure) -> Enclosure:
    a, b = x.value, y.value
    found = taylor.choose(x.jet, y.jet, Comparison(b.lo >= a.hi, a.lo >= b.hi))
    bound = Interval(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi))
    return Enclosure((bound, *found[1:]))


def _rule_min(x: Enclosure, y: Enclosure) -> Enclosure:
    a, b = x.value, y.value
    found = taylor.choose(x.jet, y.jet, Comparison(b.hi <= a.lo, a.hi <= b.lo))
    bound = Interval(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi))
    return Enclosure((bound, *found[1:]))


def _rule_select(which: Comparison, *cases: Enclosure) -> Enclosure:
    if not isinstance(which, Comparison) or len(cases) != 2:
        raise NotEnclosed("it selects among more than two cases")
    if which.yes.all() or which.no.all():
        return cases[int(which.yes.all())]
    rank = max(map(_rank, cases))
    first, second = (_lift(item, rank) for item in cases)
    return Enclosure(taylor.choose(first.jet, second.jet, which))


def _compare(below: Callable[[Interval, Interval], Comparison]) -> Callable[..., Comparison]:
    return lambda x, y: below(x.value, y.value)


def _less(x: Interval, y: Interval) -> Comparison:
    return Comparison(x.hi < y.lo, x.lo >= y.hi)


def _less_equal(x: Interval, y: Interval) -> Comparison:
    return Comparison(x.hi <= y.lo, x.lo > y.hi)


def _equal(x: Interval, y: Interval) -> Comparison:
    same = (x.lo == x.hi) & (y.lo == y.hi) & (x.lo == y.lo)
    return Comparison(same, (x.hi < y.lo) | (x.lo > y.hi))


def _rule_convert(x: Any, *, new_dtype: Any, **_: Any) -> Any:
    if isinstance(x, Enclosure) and np.dtype(new_dtype) != np.float64:
        raise NotEnclosed(f"it converts to {np.dtype(new_dtype)}")
    if isinstance(x, Comparison):
        raise NotEnclosed("it counts with comparisons")
    return x


def _rule_broadcast(x: Any, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> Any:
    def broadcast(array: np.ndarray) -> np.ndarray:
        placed = [1] * len(shape)
        for axis, size in zip(broadcast_dimensions, array.shape[1:], strict=True):
            placed[axis] = size
        return np.broadcast_to(array.reshape(array.shape[0], *placed), (array.shape[0], *shape))

    return _rearrange(x, broadcast)


def _rule_reshape(x: Any, *, new_sizes: Any, **_: Any) -> Any:
    return _rearrange(x, lambda array: array.reshape(array.shape[0], *new_sizes))


def _rule_squeeze(x: Any, *, dimensions: Any, **_: Any) -> Any:
    return _rearrange(x, lambda array: array.squeeze(tuple(axis + 1 for axis in dimensions)))


def _rule_expand(x: Any, *, dimensions: Any, **_: Any) -> Any:
    return _rearrange(x, lambda array: np.expand_dims(array, [axis + 1 for axis in dimensions]))


def _rearrange(x: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    if isinstance(x, Comparison):
        return Comparison(function(x.yes), function(x.no))
    return _rearranged(x, function)


_LN2 = constant(outward(np.log([2.0]), np.log([2.0]), FUNCTION_ULPS))

RULES: dict[str, Callable[..., Any]] = {
    "add": _rule_add,
    "add_any": _rule_add,
    "sub": _rule_sub,
    "mul": _rule_mul,
    "div": _rule_div,
    "neg": lambda x: Enclosure(taylor.negative(x.jet)),
    # exp(ln y) is y itself.
    "exp": lambda x: x.exp if x.exp is not None else Enclosure(log=x),
    "exp2": lambda x: Enclosure(log=Enclosure(taylor.multiply(x.jet, _LN2))),
    "log": Enclosure.logarithm,
    "log2": lambda x: _rule_div(x.logarithm(), Enclosure(_LN2)),
    "log1p": lambda x: Enclosure(taylor.log1p(x.jet)),
    "expm1": _rule_expm1,
    "pow": _rule_pow,
    "integer_pow": _rule_integer_pow,
    "square": lambda x: _rule_integer_pow(x, y=2),
    "sqrt": lambda x: _power(x, 0.5),
    "rsqrt": lambda x: _power(x, -0.5),
    "tanh": lambda x: Enclosure(taylor.tanh(x.jet)),
    "logistic": _rule_logistic,
    "abs": _rule_abs,
    "max": _rule_max,
    "min": _rule_min,
    "select_n": _rule_select,
    "lt": _compare(_less),
    "le": _compare(_less_equal),
    "gt": _compare(lambda x, y: _less(y, x)),
    "ge": _compare(lambda x, y: _less_equal(y, x)),
    "eq": _compare(_equal),
    "ne": _compare(lambda x, y: ~_equal(x, y)),
    "not": operator.invert,
    "and": operator.and_,
    "or": operator.or_,
    "convert_element_type": _rule_convert,
    "broadcast_in_dim": _rule_broadcast,
    "reshape": _rule_reshape,
    "squeeze": _rule_squeeze,
    "expand_dims": _rule_expand,
    **dict.fromkeys(("copy", "copy_p", "stop_gradient"), lambda x: x),
}
ELEMENTWISE = {"add", "add_any", "sub", "mul", "div", "pow", "max", "min"} | {
    *("lt", "le", "gt", "ge", "eq", "ne")
}
# Primitives whose parameters change the result; those of others say how exactly it is computed.
WITH_PARAMETERS = {
    *("convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims"),
    "integer_pow",
}


def enclose(program: ClosedJaxpr, arguments: Sequence[Enclosure]) -> list[Any]:
    """Run a traced program on enclosures.

    Args:
        program: from ``jax.make_jaxpr``, traced in float64.
        arguments: one Enclosure for each of its arguments, made by :func:`known` and
            :func:`variable`.

    Raises:
        NotEnclosed: a primitive has no rule, or a logarithm is taken of what may not be positive.
    """
    with np.errstate(all="ignore"):
        return _run(program, arguments)


def _run(closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    program = closed.jaxpr
    values: dict[Any, Any] = dict(zip(program.invars, arguments, strict=True))
    values.update(zip(program.constvars, map(_read, closed.consts), strict=True))

    def value(atom: Any) -> Any:
        return _read(atom.val) if isinstance(atom, Literal) else values[atom]

    for equation in _needed(program):
        inputs = [value(atom) for atom in equation.invars]
        if equation.primitive.name in CALLS:
            outputs = _run(called(equation), inputs)
        else:
            outputs = [_applied(equation.primitive.name, inputs, equation.params)]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in program.outvars]


def _applied(name: str, inputs: list[Any], params: Mapping[str, Any]) -> Any:
    """What a primitive makes of its operands."""
    if name not in RULES:
        raise NotEnclosed(f"it uses {name!r}, which has no interval rule")
    if name in ELEMENTWISE:
        if not all(isinstance(item, Enclosure) for item in inputs):
            raise NotEnclosed("it computes with comparisons")
        rank = max(map(_rank, inputs))
        inputs = [_lift(item, rank) for item in inputs]
    return RULES[name](*inputs, **(params if name in WITH_PARAMETERS else {}))


def _read(array: Any) -> Any:
    array = np.asarray(array)
    if array.dtype == bool:
        return Comparison(array[None], ~array[None])
    if array.dtype.kind not in "fiu":
        raise NotEnclosed(f"it computes with {array.dtype}")
    return known(array)


def _needed(program: Any) -> list[Any]:
    """The equations that its outputs depend on: tracing leaves others in."""
    wanted = {atom for atom in program.outvars if not isinstance(atom, Literal)}
    kept = []
    for equation in reversed(program.eqns):
        if any(atom in wanted for atom in equation.outvars):
            kept.append(equation)
            wanted |= {atom for atom in equation.invars if not isinstance(atom, Literal)}
    return kept[::-1]
