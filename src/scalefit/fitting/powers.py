"""Powers of positive numbers, written as exponentials where a law is evaluated by the million.

``N**-alpha`` compiles to a general power, which on a processor is computed one number at a time and
whose derivative in the exponent guards against a base of zero. Where the base is known to be
positive, exp(-alpha ln N) is the same number to rounding (a few units in the last place), and four
to ten times faster. Laws stay written as their papers have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from scalefit.laws import Law
from scalefit.table import POSITIVE

__all__ = ["quick"]

# A result of these is positive when every operand is.
KEEPS = {"add", "mul", "div", "pow", "max", "min", "sqrt", "rsqrt", "integer_pow", "square"} | {
    *("broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "copy", "copy_p"),
}
# Of these always: an exponential that underflows to zero has no use as a base either way.
MAKES = {"exp", "exp2"}
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


def quick(law: Law) -> Callable[..., Any]:
    """The law's function, with powers of positive numbers as exponentials.

    Args:
        law: a law; its columns N, D and C are positive in every table.

    Returns:
        A function called as the law is.
    """

    def evaluate(*columns: Any, **params: Any) -> Any:
        given = (*columns, *(params[name] for name in law.names))
        known = [*(name in POSITIVE for name in law.columns), *(False for _ in law.names)]

        def plain(*values: Any) -> Any:
            return law(
                *values[: len(columns)], **dict(zip(law.names, values[len(columns) :], strict=True))
            )

        return _run(jax.make_jaxpr(plain)(*given), given, known)[0][0]

    return evaluate


def _run(
    closed: ClosedJaxpr, given: Sequence[Any], known: Sequence[bool]
) -> tuple[list[Any], list[bool]]:
    """Values of a traced function, and which of them are positive for certain."""
    held: dict[Any, tuple[Any, bool]] = {}

    def read(atom: Any) -> tuple[Any, bool]:
        if isinstance(atom, Literal):
            return atom.val, bool(np.all(np.asarray(atom.val) > 0))
        return held[atom]

    jaxpr = closed.jaxpr
    for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
        held[variable] = value, False
    for variable, value, sure in zip(jaxpr.invars, given, known, strict=True):
        held[variable] = value, sure
    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        values = [value for value, _ in operands]
        positive = [sure for _, sure in operands]
        name = equation.primitive.name
        if name == "pow" and positive[0]:
            found, certain = [jnp.exp(values[1] * jnp.log(values[0]))], [True]
        elif name in CALLS:
            inner = equation.params[CALLS[name]]
            found, certain = _run(inner, values, positive)
        else:
            bound = equation.primitive.bind(*values, **equation.params)
            found = list(bound) if equation.primitive.multiple_results else [bound]
            certain = [name in MAKES or (name in KEEPS and all(positive))] * len(found)
        held.update(zip(equation.outvars, zip(found, certain, strict=True), strict=True))
    results = [read(atom) for atom in jaxpr.outvars]
    return [value for value, _ in results], [positive for _, positive in results]
