"""NumPy's functions, and SciPy's special ones, on values that JAX traces.

A traced value of JAX's refuses them, and a law is often written with them. :class:`Value` holds a
traced value and answers numpy's protocols: ``np.exp`` of it is ``jnp.exp`` of what it holds, so
that the program of a law is the one that its spelling in ``jax.numpy`` has. JAX's own functions
take no such value: a law is written in one of the two.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["NoCounterpart", "Value", "counterpart", "held", "released", "with_numpy"]

# Functions of scipy.special that JAX has under another name.
RENAMED = {"psi": "digamma"}

OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
UNARY = ("neg", "pos", "abs", "invert")


class NoCounterpart(Exception):  # noqa: N818 (a verdict about a function, said as a LawError)
    """A function of numpy's or SciPy's that JAX lacks."""


def counterpart(function: Any) -> tuple[str, Callable[..., Any]]:
    """JAX's function for one of numpy's, or of ``scipy.special``'s.

    Returns:
        The module it is in, ``jax.numpy`` or ``jax.scipy.special``, and the function.

    Raises:
        NoCounterpart: there is none.
    """
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is function and callable(getattr(jnp, name, None)):
        return "jax.numpy", getattr(jnp, name)
    if isinstance(function, np.ufunc) and getattr(np, name, None) is not function:
        from jax.scipy import special

        if callable(found := getattr(special, RENAMED.get(name, name), None)):
            return "jax.scipy.special", found
    raise NoCounterpart(name)


def held(item: Any) -> Any:
    """A traced value as numpy's functions take it; anything else as it is."""
    return Value(item) if isinstance(item, jax.core.Tracer) else item


def released(item: Any) -> Any:
    """What numpy's functions made, as JAX takes it: values inside lists and tuples too."""
    return jax.tree.map(
        lambda leaf: leaf.traced if isinstance(leaf, Value) else leaf,
        item,
        is_leaf=lambda leaf: isinstance(leaf, Value),
    )


def _held(item: Any) -> Any:
    return jax.tree.map(held, item)


def with_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of traced values, with numpy's functions in it."""

    def called(*args: Any, **kwargs: Any) -> Any:
        return released(function(*_held(args), **_held(kwargs)))

    return called


class Value:
    """A traced value that numpy's functions take."""

    __slots__ = ("traced",)

    def __init__(self, traced: Any) -> None:
        self.traced = traced

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            raise NoCounterpart(f"{ufunc.__name__}.{method}")
        return _held(counterpart(ufunc)[1](*released(inputs), **released(options)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _held(counterpart(function)[1](*released(args), **released(kwargs)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Protocols of arrays, such as __jax_array__, which it would answer wrongly.
            raise AttributeError(name)
        found = getattr(self.traced, name)
        return with_numpy(found) if callable(found) else held(found)

    def __getitem__(self, key: Any) -> Any:
        return held(self.traced[released(key)])

    # Conversions to a number fail as they do for a traced value of JAX.

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.traced.__array__()

    def __bool__(self) -> bool:
        return bool(self.traced)

    def __float__(self) -> float:
        return float(self.traced)

    def __int__(self) -> int:
        return int(self.traced)

    def __complex__(self) -> complex:
        return complex(self.traced)

    def __index__(self) -> int:
        return operator.index(self.traced)

    def __len__(self) -> int:
        return len(self.traced)

    def __round__(self, digits: int = 0) -> Any:
        return held(round(self.traced, digits))


def _operation(name: str) -> Callable[..., Any]:
    function = getattr(operator, f"__{name}__")

    def forward(self: Value, *other: Any) -> Any:
        return held(function(self.traced, *released(other)))

    return forward


def _reflected(name: str) -> Callable[..., Any]:
    function = getattr(operator, f"__{name}__")

    def backward(self: Value, other: Any) -> Any:
        return held(function(other, self.traced))

    return backward


for _name in (*OPERATORS, *COMPARISONS, *UNARY):
    setattr(Value, f"__{_name}__", _operation(_name))
for _name in OPERATORS:
    setattr(Value, f"__r{_name}__", _reflected(_name))
