"""Powers of positive numbers written as exponentials, which are cheaper to differentiate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from scalefit.tracing.primitives import called

__all__ = ["rewritten"]

# Operations whose result is positive when every operand is, and those whose result always is (an
# exponential that underflows to zero has no use as a base either way).
KEEPS_POSITIVE = {"add", "mul", "div", "pow", "max", "min", "sqrt", "rsqrt", "integer_pow"} | {
    *("square", "broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "copy", "copy_p"),
}
ALWAYS_POSITIVE = {"exp", "exp2"}


def rewritten(function: Callable[..., Any], positive: Sequence[bool]) -> Callable[..., Any]:
    """The function with powers of positive numbers written as exponentials.

    ``N**-alpha`` is a general power, whose derivative in the exponent guards against a base of
    zero and which takes four to ten times as long as exp(-alpha ln N). Where the base is known to
    be positive the two are the same number to rounding (a few units in the last place). Laws stay
    written as their papers have them.

    Args:
        function: of positional arguments, traceable by JAX.
        positive: which of them are positive whenever it is called.
    """

    def evaluate(*given: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*given)
        known = [_Value(value, sure) for value, sure in zip(given, positive, strict=True)]
        found = [item.value for item in _with_exponentials(closed, known)]
        return jax.tree.unflatten(jax.tree.structure(shape), found)

    return evaluate


class _Value(NamedTuple):
    """A value, whether it is positive for certain, and its logarithm where it is known."""

    value: Any
    positive: bool
    logarithm: Any = None


def _with_exponentials(closed: ClosedJaxpr, given: Sequence[_Value]) -> list[_Value]:
    """Values of a traced function; the logarithm of an exponential is its exponent."""
    held: dict[Any, _Value] = {}

    def read(atom: Any) -> _Value:
        if isinstance(atom, Literal):
            return _Value(atom.val, bool(np.all(np.asarray(atom.val) > 0)))
        return held[atom]

    jaxpr = closed.jaxpr
    for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
        held[variable] = _Value(value, False)
    held.update(zip(jaxpr.invars, given, strict=True))
    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        first, name = operands[0] if operands else None, equation.primitive.name
        if name == "pow" and first is not None and first.positive:
            logarithm = jnp.log(first.value) if first.logarithm is None else first.logarithm
            exponent = operands[1].value * logarithm
            found = [_Value(jnp.exp(exponent), True, exponent)]
        elif name == "log" and first is not None and first.logarithm is not None:
            found = [_Value(first.logarithm, False)]
        elif name in ("jit", "pjit", "custom_jvp_call"):
            found = _with_exponentials(called(equation), operands)
        else:
            bound = equation.primitive.bind(*(item.value for item in operands), **equation.params)
            results = list(bound) if equation.primitive.multiple_results else [bound]
            sure = name in ALWAYS_POSITIVE or (
                name in KEEPS_POSITIVE and all(item.positive for item in operands)
            )
            known = first.value if name == "exp" and first is not None else None
            found = [_Value(item, sure, known) for item in results]
        held.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]
