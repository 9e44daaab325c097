"""Taylor arithmetic: a value and its first three derivatives, each an interval.

The rules of calculus, applied to intervals instead of numbers. What comes out contains the value
and the derivatives at every point of an interval of the variable.

Source: Moore 1966, Interval Analysis, chapter 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalefit.certification.intervals import Interval, NotEnclosed, point

__all__ = [
    "ORDER",
    "Comparison",
    "Jet",
    "add",
    "choose",
    "constant",
    "exp",
    "integer_power",
    "log",
    "log1p",
    "multiply",
    "negative",
    "reciprocal",
    "scaled",
    "tanh",
]

# Highest derivative carried.
ORDER = 3

Jet = tuple[Interval | None, ...]
"""Value and derivatives up to ``ORDER``; None where a derivative is zero everywhere."""


def constant(value: Interval) -> Jet:
    """Jet of something that does not depend on the variable."""
    return (value, *[None] * ORDER)


@dataclass(frozen=True)
class Comparison:
    """A comparison over intervals: where it surely holds, and where it surely does not."""

    yes: np.ndarray
    no: np.ndarray

    def __invert__(self) -> Comparison:
        return Comparison(self.no, self.yes)

    def __and__(self, other: Comparison) -> Comparison:
        return Comparison(self.yes & other.yes, self.no | other.no)

    def __or__(self, other: Comparison) -> Comparison:
        return Comparison(self.yes | other.yes, self.no & other.no)

    @property
    def sure(self) -> np.ndarray:
        """Where it is known."""
        return self.yes | self.no


def _plus(x: Interval | None, y: Interval | None) -> Interval | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _times(x: Interval | None, y: Interval | None) -> Interval | None:
    return None if x is None or y is None else x * y


def _times_number(x: Interval | None, factor: float) -> Interval | None:
    return None if x is None else x.scaled(factor)


def _value(x: Jet) -> Interval:
    assert x[0] is not None
    return x[0]


def add(x: Jet, y: Jet) -> Jet:
    """X + y"""
    return tuple(_plus(a, b) for a, b in zip(x, y, strict=True))


def scaled(x: Jet, factor: float) -> Jet:
    """Factor x"""
    return tuple(_times_number(item, factor) for item in x)


def negative(x: Jet) -> Jet:
    """-x"""
    return tuple(None if item is None else -item for item in x)


BINOMIAL = ((1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0))


def multiply(x: Jet, y: Jet) -> Jet:
    """X y, by the product rule of each order"""
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


def exp(x: Jet) -> Jet:
    """e^x"""
    found = _value(x).exp()
    return _compose((found, found, found, found), x)


def log(x: Jet) -> Jet:
    """Ln x, of a positive x"""
    value = _value(x)
    inverse = value.reciprocal()
    square = inverse.square()
    return _compose((value.increasing(np.log), inverse, -square, (square * inverse).scaled(2.0)), x)


def log1p(x: Jet) -> Jet:
    """ln(1 + x)

    Raises:
        NotEnclosed: 1 + x may not be positive.
    """
    value = _value(x)
    if not (value.lo > -1).all():
        raise NotEnclosed("it takes a logarithm of what may not be positive")
    shifted = log(add(x, constant(point(np.ones((1,) * value.lo.ndim)))))
    # The value itself from log1p: near zero the logarithm of 1 + x has no digits left.
    return (value.increasing(np.log1p), *shifted[1:])


def reciprocal(x: Jet) -> Jet:
    """1 / x"""
    inverse = _value(x).reciprocal()
    square = inverse.square()
    return _compose(
        (inverse, -square, (square * inverse).scaled(2.0), square.square().scaled(-6.0)), x
    )


def tanh(x: Jet) -> Jet:
    """Tanh x"""
    t = _value(x).increasing(np.tanh)
    one = point(np.ones(1)).expanded(t.lo.ndim - 1)
    t2 = t.square()
    first = one - t2
    second = (t * first).scaled(-2.0)
    third = (first * (t2.scaled(3.0) - one)).scaled(2.0)
    return _compose((t, first, second, third), x)


def integer_power(x: Jet, n: int) -> Jet:
    """x^n"""
    if n < 0:
        return integer_power(reciprocal(x), -n)
    value = _value(x)
    if n == 0:
        return constant(point(np.ones_like(value.lo)))
    if n == 2:
        # A square is not negative, which a product of intervals does not know.
        return (value.square(), *multiply(x, x)[1:])
    found = x
    for _ in range(n - 1):
        found = multiply(found, x)
    return found


def _hull(x: Interval | None, y: Interval | None, take: np.ndarray, sure: np.ndarray) -> Interval:
    """The second where ``take``, else the first; where not sure which, both."""
    a = x or point(np.zeros((1,) * take.ndim))
    b = y or point(np.zeros((1,) * take.ndim))
    lo = np.where(sure, np.where(take, b.lo, a.lo), np.minimum(a.lo, b.lo))
    hi = np.where(sure, np.where(take, b.hi, a.hi), np.maximum(a.hi, b.hi))
    return Interval(lo, hi)


def choose(first: Jet, second: Jet, holds: Comparison) -> Jet:
    """The second jet where the comparison holds, the first where it does not.

    Where it may change inside an interval nothing is known of the derivatives there: a kink has
    none.
    """
    sure = holds.sure
    found: list[Interval | None] = [_hull(first[0], second[0], holds.yes, sure)]
    for a, b in zip(first[1:], second[1:], strict=True):
        if a is None and b is None and sure.all():
            found.append(None)
            continue
        item = _hull(a, b, holds.yes, sure)
        found.append(Interval(np.where(sure, item.lo, -np.inf), np.where(sure, item.hi, np.inf)))
    return tuple(found)
