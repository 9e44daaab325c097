"""Primitives of JAX, what each is in numpy, and how a function is traced into them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

__all__ = [
    "CALLS",
    "FEW",
    "LOCK",
    "NUMPY",
    "SAME",
    "SPECIAL",
    "acts_on_elements",
    "called",
    "closed_form",
]

# Rows of the columns that a function is traced on, to see what it does with several.
FEW = 3

# Operations that call a function of their own, by the name of the parameter that holds it.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat": "jaxpr",
    "checkpoint": "jaxpr",
}

# Operations that leave a scalar what it is, apart from its type.
SAME = {
    "broadcast_in_dim",
    "reshape",
    "squeeze",
    "copy",
    "copy_p",
    "expand_dims",
    "optimization_barrier",
    "stop_gradient",
}

# Names of numpy's functions for operations of JAX's.
NUMPY = {
    **{
        name: name for name in ("add", "exp", "exp2", "log", "log1p", "expm1", "tanh", "sin", "cos")
    },
    **{name: name for name in ("tan", "sinh", "cosh", "sqrt", "abs", "sign", "floor", "ceil")},
    # JAX has log2 from 0.12; before, it is the quotient of two logarithms.
    **{name: name for name in ("square", "cbrt", "nextafter", "log2")},
    **{"sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "rem": "fmod"},
    **{"add_any": "add", "max": "maximum", "min": "minimum", "pow": "power"},
    **{"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"},
    **{"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"},
    **{"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"},
    **{"eq": "equal", "ne": "not_equal", "is_finite": "isfinite"},
    **{"and": "logical_and", "or": "logical_or", "not": "logical_not", "xor": "logical_xor"},
}
# And of scipy.special's.
SPECIAL = {
    **{"lgamma": "gammaln", "digamma": "digamma", "logistic": "expit", "erf": "erf"},
    **{"erfc": "erfc", "erf_inv": "erfinv", "bessel_i0e": "i0e", "bessel_i1e": "i1e"},
    **{"igamma": "gammainc", "igammac": "gammaincc", "regularized_incomplete_beta": "betainc"},
}
OWN = {
    *("select_n", "integer_pow", "rsqrt", "clamp", "polygamma", "convert_element_type"),
    # From JAX 0.12 in derivatives, such as that of tanh.
    "one_minus_square",
}

# JAX's tracing is thread-safe; what it makes is kept in dictionaries that are not.
LOCK = threading.RLock()


def closed_form(function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> ClosedJaxpr:
    """A function traced in double precision on arrays of these shapes."""
    shape_of: Any = jax.ShapeDtypeStruct
    outline = [shape_of(shape, jnp.float64) for shape in shapes]
    return jax.make_jaxpr(lambda *values: list(function(*values)))(*outline)


def called(equation: Any) -> ClosedJaxpr:
    """What an operation of ``CALLS`` calls."""
    inner = equation.params[CALLS[equation.primitive.name]]
    return inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())


def acts_on_elements(closed: ClosedJaxpr) -> bool:
    """Whether every operation on columns of ``FEW`` rows acts on each element by itself."""
    for equation in closed.jaxpr.eqns:
        name = equation.primitive.name
        if name in CALLS:
            if not acts_on_elements(called(equation)):
                return False
        elif name in ("broadcast_in_dim", "reshape", "squeeze", "expand_dims"):
            before = getattr(equation.invars[0].aval, "shape", ())
            if not all(
                atom.aval.shape in ((FEW,), before) or before == () for atom in equation.outvars
            ):
                return False
        elif name not in NUMPY and name not in SPECIAL and name not in OWN and name not in SAME:
            return False
    return all(atom.aval.shape in ((), (FEW,)) for atom in closed.jaxpr.outvars)
