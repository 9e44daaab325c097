"""Enclosures of a traced function and its first three derivatives over whole intervals.

A JAX function of one scalar is traced once; its program is then run by numpy on intervals instead
of numbers, many intervals at a time, carrying value and derivatives together (Taylor arithmetic:
Moore 1966, Interval Analysis, chapter 11). What comes out contains every value that the function,
read as a formula on real numbers, takes on the interval.

Two things keep the enclosures narrow. A product of positive factors is carried as its logarithm, a
sum, so that N^-theta is exactly the line -theta ln N with no second derivative; and exp undoes log
symbolically.

Rounding: the four operations and the square root are correctly rounded, so that one unit in the
last place outward is safe; numpy promises 4 units for its elementary functions, and
``FUNCTION_ULPS`` are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

__all__ = ["ORDER", "Interval", "NotEnclosed", "Value", "enclose"]

# Highest derivative carried.
ORDER = 3

EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).smallest_subnormal)
FUNCTION_ULPS = 8


class NotEnclosed(Exception):  # noqa: N818 (a verdict about a law, not an error of the program)
    """The function cannot be enclosed; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Interval:
    """Lower and upper ends, arrays of one shape, infinite where nothing is known."""

    lo: np.ndarray
    hi: np.ndarray

    @property
    def mid(self) -> np.ndarray:
        """A number inside, not exactly the middle."""
        return np.asarray(0.5 * self.lo + 0.5 * self.hi)

    @property
    def ball(self) -> tuple[np.ndarray, np.ndarray]:
        """``mid``, and the distance from it within which the interval lies, rounded up."""
        mid = self.mid
        distance = np.maximum(self.hi - mid, mid - self.lo)
        # The distance is rounded, and the ends may be a unit of the last place away.
        distance *= 1 + 4 * EPSILON
        distance += TINY
        return mid, distance

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __add__(self, other: Interval) -> Interval:
        return outward(self.lo + other.lo, self.hi + other.hi)

    def __sub__(self, other: Interval) -> Interval:
        return outward(self.lo - other.hi, self.hi - other.lo)

    def __mul__(self, other: Interval) -> Interval:
        if other.lo is other.hi:
            one, two = self.lo * other.lo, self.hi * other.lo
            return outward(np.minimum(one, two), np.maximum(one, two))
        if self.lo is self.hi:
            return other * self
        ends = [x * y for x in (self.lo, self.hi) for y in (other.lo, other.hi)]
        return outward(_reduce(np.minimum, ends), _reduce(np.maximum, ends))

    def of_positive(self, other: Interval) -> Interval:
        """Product with an interval that has no negative number."""
        lower = np.where(self.lo < 0, other.hi, other.lo)
        upper = np.where(self.hi < 0, other.lo, other.hi)
        return outward(self.lo * lower, self.hi * upper)

    def square(self) -> Interval:
        """x^2, which is not negative."""
        low, high = self.lo * self.lo, self.hi * self.hi
        inside = (self.lo <= 0) & (self.hi >= 0)
        found = outward(np.where(inside, 0.0, np.minimum(low, high)), np.maximum(low, high))
        return Interval(np.maximum(found.lo, 0.0), found.hi)

    def reciprocal(self) -> Interval:
        """1 / x; everything where zero is inside."""
        inside = (self.lo <= 0) & (self.hi >= 0)
        found = outward(1.0 / self.hi, 1.0 / self.lo)
        return Interval(np.where(inside, -np.inf, found.lo), np.where(inside, np.inf, found.hi))

    def scaled(self, factor: float) -> Interval:
        """Product with a number."""
        if factor == 1.0:
            return self
        return self * point(np.float64(factor))

    def increasing(self, function: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Image under an increasing function of numpy."""
        return outward(function(self.lo), function(self.hi), FUNCTION_ULPS)

    def expanded(self, axes: int) -> Interval:
        """With that many axes of length one after the first."""
        if axes == 0:
            return self

        def expand(array: np.ndarray) -> np.ndarray:
            return array.reshape(array.shape[:1] + (1,) * axes + array.shape[1:])

        return self.mapped(expand)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """With both ends rearranged."""
        lo = function(self.lo)
        return Interval(lo, lo if self.lo is self.hi else function(self.hi))


def point(value: Any) -> Interval:
    """Interval of one number, exact."""
    array = np.asarray(value, dtype=np.float64)
    return Interval(array, array)


def outward(lo: np.ndarray, hi: np.ndarray, ulps: int = 1) -> Interval:
    """Ends moved apart by at least so many units in the last place."""
    return Interval(_moved(lo, -ulps), _moved(hi, ulps))


def _moved(end: np.ndarray, ulps: int) -> np.ndarray:
    step = np.abs(end)
    step *= ulps * EPSILON
    step += ulps * TINY
    step += end
    return step


def _reduce(function: Any, arrays: Sequence[np.ndarray]) -> np.ndarray:
    found = arrays[0]
    for array in arrays[1:]:
        found = function(found, array)
    return found


Jet = tuple[Interval | None, ...]
"""Value and derivatives up to ``ORDER``; None where a derivative is zero everywhere."""


def constant(value: Interval) -> Jet:
    """Jet of something that does not depend on the variable."""
    return (value, *[None] * ORDER)


class Value:
    """What a program computes, over a batch of intervals of its variable.

    Attributes:
        log: for a positive quantity carried as its logarithm, that logarithm.
        exp: for a logarithm, the quantity it was taken of.
    """

    def __init__(
        self, jet: Jet | None = None, log: Value | None = None, exp: Value | None = None
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
        return _exp(self.log.jet)

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

    def logarithm(self) -> Value:
        """Its logarithm."""
        if self.log is None:
            if not (self.value.lo > 0).all():
                raise NotEnclosed("it takes a power or logarithm of what may not be positive")
            self.log = Value(_log(self.jet), exp=self)
        return self.log


@dataclass(frozen=True)
class Truth:
    """A comparison over intervals: where it surely holds, and where it surely does not."""

    yes: np.ndarray
    no: np.ndarray


def variable(lower: np.ndarray, upper: np.ndarray) -> Value:
    """The variable itself, over intervals of shape (batch,)."""
    return Value((Interval(lower, upper), point(np.ones(1)), *[None] * (ORDER - 1)))


def known(array: Any) -> Value:
    """An exact constant of any shape."""
    return Value(constant(point(np.asarray(array, dtype=np.float64)[None])))


# Arithmetic of jets


def _plus(x: Interval | None, y: Interval | None) -> Interval | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _times(x: Interval | None, y: Interval | None) -> Interval | None:
    return None if x is None or y is None else x * y


def _times_number(x: Interval | None, factor: float) -> Interval | None:
    return None if x is None else x.scaled(factor)


def _add(x: Jet, y: Jet) -> Jet:
    return tuple(_plus(a, b) for a, b in zip(x, y, strict=True))


def _negative(x: Jet) -> Jet:
    return tuple(None if item is None else -item for item in x)


BINOMIAL = ((1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0))


def _multiply(x: Jet, y: Jet) -> Jet:
    found: list[Interval | None] = []
    for order in range(ORDER + 1):
        total: Interval | None = None
        for i, count in enumerate(BINOMIAL[order]):
            total = _plus(total, _times_number(_times(x[i], y[order - i]), count))
        found.append(total)
    return tuple(found)


def _compose(outer: Sequence[Interval], inner: Jet) -> Jet:
    """Jet of F(v) from enclosures of F, F', F'', F''' on the range of v (Faa di Bruno)."""
    f0, f1, f2, f3 = outer
    _, v1, v2, v3 = inner
    if v1 is None and v2 is None and v3 is None:
        return constant(f0)
    squared = None if v1 is None else v1.square()
    second = _plus(_times(f2, squared), _times(f1, v2))
    third = _plus(_times(f3, _times(squared, v1)), _times_number(_times(f2, _times(v1, v2)), 3.0))
    return f0, _times(f1, v1), second, _plus(third, _times(f1, v3))


def _exp(x: Jet) -> Jet:
    value = x[0]
    assert value is not None
    found = value.increasing(np.exp)
    found = Interval(np.maximum(found.lo, 0.0), found.hi)
    return _compose((found, found, found, found), x)


def _log(x: Jet) -> Jet:
    value = x[0]
    assert value is not None
    inverse = value.reciprocal()
    square = inverse.square()
    return _compose((value.increasing(np.log), inverse, -square, (square * inverse).scaled(2.0)), x)


def _reciprocal(x: Jet) -> Jet:
    value = x[0]
    assert value is not None
    inverse = value.reciprocal()
    square = inverse.square()
    return _compose(
        (inverse, -square, (square * inverse).scaled(2.0), square.square().scaled(-6.0)), x
    )


def _tanh(x: Jet) -> Jet:
    value = x[0]
    assert value is not None
    t = value.increasing(np.tanh)
    one = point(np.ones(1)).expanded(t.lo.ndim - 1)
    t2 = t.square()
    first = one - t2
    second = (t * first).scaled(-2.0)
    third = (first * (t2.scaled(3.0) - one)).scaled(2.0)
    return _compose((t, first, second, third), x)


def _integer_power(x: Jet, n: int) -> Jet:
    if n < 0:
        return _integer_power(_reciprocal(x), -n)
    value = x[0]
    assert value is not None
    if n == 0:
        return constant(point(np.ones_like(value.lo)))
    if n == 2:
        squared = value.square()
        return (squared, *_multiply(x, x)[1:])
    found = x
    for _ in range(n - 1):
        found = _multiply(found, x)
    return found


def _hull(x: Interval | None, y: Interval | None, take: np.ndarray, sure: np.ndarray) -> Interval:
    """The second where ``take``, else the first; where not sure which, both."""
    a = x or point(np.zeros((1,) * take.ndim))
    b = y or point(np.zeros((1,) * take.ndim))
    lo = np.where(sure, np.where(take, b.lo, a.lo), np.minimum(a.lo, b.lo))
    hi = np.where(sure, np.where(take, b.hi, a.hi), np.maximum(a.hi, b.hi))
    return Interval(lo, hi)


def _choose(first: Jet, second: Jet, holds: Truth) -> Jet:
    """The second jet where the truth holds, the first where it does not.

    Where it may change inside an interval nothing is known of the derivatives there: a kink has
    none.
    """
    sure = holds.yes | holds.no
    found: list[Interval | None] = [_hull(first[0], second[0], holds.yes, sure)]
    for a, b in zip(first[1:], second[1:], strict=True):
        if a is None and b is None and sure.all():
            found.append(None)
            continue
        item = _hull(a, b, holds.yes, sure)
        found.append(Interval(np.where(sure, item.lo, -np.inf), np.where(sure, item.hi, np.inf)))
    return tuple(found)


# Rules of primitives. Each takes Values (or Truths) whose arrays have the batch axis first, and the
# parameters of the equation.


def _rank(item: Value | Truth) -> int:
    if isinstance(item, Truth):
        return item.yes.ndim
    jet = item.log.jet if item._jet is None and item.log is not None else item.jet
    assert jet[0] is not None
    return jet[0].lo.ndim


def _lift(item: Value, rank: int) -> Value:
    """A scalar among arrays, with axes to broadcast along."""
    missing = rank - _rank(item)
    if missing == 0:
        return item
    return _rearranged(item, lambda array: array.reshape(array.shape[:1] + (1,) * missing))


def _rearranged(item: Value, function: Callable[[np.ndarray], np.ndarray]) -> Value:
    if item._jet is None and item.log is not None:
        return Value(log=_rearranged(item.log, function))
    jet = tuple(None if part is None else _map_ranked(part, function, item) for part in item.jet)
    exp = None if item.exp is None else _rearranged(item.exp, function)
    return Value(jet, exp=exp)


def _map_ranked(part: Interval, function: Any, item: Value) -> Interval:
    """Rearranged, after derivatives of lower rank (a one for all rows) are given all axes."""
    rank = item.value.lo.ndim
    if part.lo.ndim < rank:
        part = part.mapped(lambda array: array.reshape(array.shape + (1,) * (rank - array.ndim)))
    shape = item.value.lo.shape[1:]
    if part.lo.shape[1:] != shape:
        part = part.mapped(lambda array: np.broadcast_to(array, (array.shape[0], *shape)))
    return part.mapped(function)


def _is_number(item: Value, number: float) -> bool:
    if not item.fixed or item.log is not None:
        return False
    value = item.value
    return value.lo is value.hi and bool((value.lo == number).all())


def _rule_add(x: Value, y: Value) -> Value:
    return Value(_add(x.jet, y.jet))


def _rule_sub(x: Value, y: Value) -> Value:
    return Value(_add(x.jet, _negative(y.jet)))


def _rule_mul(x: Value, y: Value) -> Value:
    if _is_number(x, 1.0) and _rank(x) <= _rank(y):
        return y
    if _is_number(y, 1.0) and _rank(y) <= _rank(x):
        return x
    if x.positive and y.positive and not (x.fixed and y.fixed):
        return Value(log=_rule_add(x.logarithm(), y.logarithm()))
    return Value(_multiply(x.jet, y.jet))


def _rule_div(x: Value, y: Value) -> Value:
    if _is_number(y, 1.0):
        return x
    if x.positive and y.positive and not (x.fixed and y.fixed):
        return Value(log=_rule_sub(x.logarithm(), y.logarithm()))
    return Value(_multiply(x.jet, _reciprocal(y.jet)))


def _rule_exp(x: Value) -> Value:
    return x.exp if x.exp is not None else Value(log=x)


def _rule_log(x: Value) -> Value:
    return x.logarithm()


def _rule_pow(x: Value, y: Value) -> Value:
    if y.fixed and y.value.lo is y.value.hi:
        numbers = np.unique(y.value.lo)
        if len(numbers) == 1 and numbers[0] == int(numbers[0]) and abs(numbers[0]) <= 8:
            return _rule_integer_pow(x, y=int(numbers[0]))
    return Value(log=_rule_mul_plain(y, x.logarithm()))


def _rule_mul_plain(x: Value, y: Value) -> Value:
    return Value(_multiply(x.jet, y.jet))


def _rule_integer_pow(x: Value, *, y: int) -> Value:
    if x.log is not None:
        return _power(x, float(y))
    return Value(_integer_power(x.jet, y))


def _power(x: Value, exponent: float) -> Value:
    jet = tuple(_times_number(item, exponent) for item in x.logarithm().jet)
    return Value(log=Value(jet))


def _rule_log1p(x: Value) -> Value:
    return Value(_log1p(x.jet))


def _log1p(x: Jet) -> Jet:
    value = x[0]
    assert value is not None
    if not (value.lo > -1).all():
        raise NotEnclosed("it takes a logarithm of what may not be positive")
    shifted = _log(_add(x, constant(point(np.ones((1,) * value.lo.ndim)))))
    return (value.increasing(np.log1p), *shifted[1:])


def _rule_expm1(x: Value) -> Value:
    value = x.value
    return Value((value.increasing(np.expm1), *_exp(x.jet)[1:]))


def _rule_logistic(x: Value) -> Value:
    # 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2
    half = tuple(_times_number(item, 0.5) for item in x.jet)
    one = constant(point(np.ones((1,) * x.value.lo.ndim)))
    return Value(tuple(_times_number(item, 0.5) for item in _add(_tanh(half), one)))


def _rule_abs(x: Value) -> Value:
    if x.log is not None:
        return x
    value = x.value
    holds = Truth(value.hi <= 0, value.lo >= 0)
    found = _choose(x.jet, _negative(x.jet), holds)
    first = found[0]
    assert first is not None
    straddles = ~(holds.yes | holds.no)
    lower = np.where(straddles, 0.0, first.lo)
    return Value((Interval(lower, first.hi), *found[1:]))


def _rule_max(x: Value, y: Value) -> Value:
    a, b = x.value, y.value
    found = _choose(x.jet, y.jet, Truth(b.lo >= a.hi, a.lo >= b.hi))
    bound = Interval(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi))
    return Value((bound, *found[1:]))


def _rule_min(x: Value, y: Value) -> Value:
    a, b = x.value, y.value
    found = _choose(x.jet, y.jet, Truth(b.hi <= a.lo, a.hi <= b.lo))
    bound = Interval(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi))
    return Value((bound, *found[1:]))


def _rule_select(which: Truth, *cases: Value) -> Value:
    if not isinstance(which, Truth) or len(cases) != 2:
        raise NotEnclosed("it selects among more than two cases")
    if which.yes.all() or which.no.all():
        return cases[int(which.yes.all())]
    rank = max(map(_rank, cases))
    first, second = (_lift(item, rank) for item in cases)
    return Value(_choose(first.jet, second.jet, which))


def _compare(below: Callable[[Interval, Interval], Truth]) -> Callable[..., Truth]:
    return lambda x, y: below(x.value, y.value)


def _less(x: Interval, y: Interval) -> Truth:
    return Truth(x.hi < y.lo, x.lo >= y.hi)


def _less_equal(x: Interval, y: Interval) -> Truth:
    return Truth(x.hi <= y.lo, x.lo > y.hi)


def _equal(x: Interval, y: Interval) -> Truth:
    same = (x.lo == x.hi) & (y.lo == y.hi) & (x.lo == y.lo)
    return Truth(same, (x.hi < y.lo) | (x.lo > y.hi))


def _swap(truth: Truth) -> Truth:
    return Truth(truth.no, truth.yes)


def _same(x: Any, **_: Any) -> Any:
    return x


def _rule_convert(x: Any, *, new_dtype: Any, **_: Any) -> Any:
    if isinstance(x, Value) and np.dtype(new_dtype) != np.float64:
        raise NotEnclosed(f"it converts to {np.dtype(new_dtype)}")
    if isinstance(x, Truth):
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
    if isinstance(x, Truth):
        return Truth(function(x.yes), function(x.no))
    return _rearranged(x, function)


_LN2: Value = Value(constant(outward(np.log([2.0]), np.log([2.0]), FUNCTION_ULPS)))

RULES: dict[str, Callable[..., Any]] = {
    "add": _rule_add,
    "add_any": _rule_add,
    "sub": _rule_sub,
    "mul": _rule_mul,
    "div": _rule_div,
    "neg": lambda x: Value(_negative(x.jet)),
    "exp": lambda x, **_: _rule_exp(x),
    "exp2": lambda x, **_: Value(log=_rule_mul_plain(x, _LN2)),
    "log": lambda x, **_: _rule_log(x),
    "log1p": lambda x, **_: _rule_log1p(x),
    "expm1": lambda x, **_: _rule_expm1(x),
    "pow": _rule_pow,
    "integer_pow": _rule_integer_pow,
    "square": lambda x: _rule_integer_pow(x, y=2),
    "sqrt": lambda x, **_: _power(x, 0.5),
    "rsqrt": lambda x, **_: _power(x, -0.5),
    "tanh": lambda x, **_: Value(_tanh(x.jet)),
    "logistic": lambda x, **_: _rule_logistic(x),
    "abs": _rule_abs,
    "max": _rule_max,
    "min": _rule_min,
    "select_n": _rule_select,
    "lt": _compare(_less),
    "le": _compare(_less_equal),
    "gt": _compare(lambda x, y: _less(y, x)),
    "ge": _compare(lambda x, y: _less_equal(y, x)),
    "eq": _compare(_equal),
    "ne": _compare(lambda x, y: _swap(_equal(x, y))),
    "not": _swap,
    "and": lambda x, y: Truth(x.yes & y.yes, x.no | y.no),
    "or": lambda x, y: Truth(x.yes | y.yes, x.no & y.no),
    "convert_element_type": _rule_convert,
    "broadcast_in_dim": _rule_broadcast,
    "reshape": _rule_reshape,
    "squeeze": _rule_squeeze,
    "expand_dims": _rule_expand,
    "copy": _same,
    "copy_p": _same,
    "stop_gradient": _same,
}
ELEMENTWISE = {"add", "add_any", "sub", "mul", "div", "pow", "max", "min"} | {
    *("lt", "le", "gt", "ge", "eq", "ne")
}


def enclose(program: ClosedJaxpr, arguments: Sequence[Value]) -> list[Any]:
    """Run a traced program on enclosures.

    Args:
        program: from ``jax.make_jaxpr``, traced in float64.
        arguments: one Value for each of its arguments, made by :func:`known` and
            :func:`variable`.

    Raises:
        NotEnclosed: a primitive has no rule, or a logarithm is taken of what may not be positive.
    """
    with np.errstate(all="ignore"):
        return _run(program.jaxpr, program.consts, arguments)


def _run(program: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip(program.invars, arguments, strict=True))
    values.update(
        {name: _read(array) for name, array in zip(program.constvars, consts, strict=True)}
    )

    def value(atom: Any) -> Any:
        return _read(atom.val) if isinstance(atom, Literal) else values[atom]

    for equation in _needed(program):
        name = equation.primitive.name
        inside = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        inputs = [value(atom) for atom in equation.invars]
        if inside is not None and name in CALLS:
            body = inside.jaxpr if isinstance(inside, ClosedJaxpr) else inside
            extra = inside.consts if isinstance(inside, ClosedJaxpr) else []
            outputs = _run(body, extra, inputs)
        elif name in RULES:
            if name in ELEMENTWISE:
                if not all(isinstance(item, Value) for item in inputs):
                    raise NotEnclosed("it computes with comparisons")
                rank = max(map(_rank, inputs))
                inputs = [_lift(item, rank) for item in inputs]
            outputs = [RULES[name](*inputs, **_parameters(name, equation.params))]
        else:
            raise NotEnclosed(f"it uses {name!r}, which has no interval rule")
        values.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in program.outvars]


CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
}
WITH_PARAMETERS = {
    *("convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "expand_dims"),
    *("integer_pow", "copy", "exp", "exp2", "log", "log1p", "expm1", "sqrt", "rsqrt"),
    *("tanh", "logistic"),
}


def _parameters(name: str, params: Any) -> dict[str, Any]:
    return dict(params) if name in WITH_PARAMETERS else {}


def _read(array: Any) -> Any:
    array = np.asarray(array)
    if array.dtype == bool:
        return Truth(array[None], ~array[None])
    if array.dtype.kind not in "fiu":
        raise NotEnclosed(f"it computes with {array.dtype}")
    return known(array)


def _needed(program: Jaxpr) -> list[Any]:
    """The equations that its outputs depend on: tracing leaves others in."""
    wanted = {atom for atom in program.outvars if not isinstance(atom, Literal)}
    kept = []
    for equation in reversed(program.eqns):
        if any(atom in wanted for atom in equation.outvars):
            kept.append(equation)
            wanted |= {atom for atom in equation.invars if not isinstance(atom, Literal)}
    return kept[::-1]
