"""A law together with its derivatives in its parameters, traced once."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from scalefit.laws import Law
from scalefit.tracing.operations import Function, trace

__all__ = ["law_with_slopes"]


def law_with_slopes(law: Law) -> Function:
    """The prediction of a row, and its derivative in each parameter.

    Returns:
        A function of the columns, to be bound, and of the parameters, in the order of the law.
    """
    key = "prediction and slopes"
    if key not in law.memo:
        count = len(law.columns)

        def every(*given: Any) -> list[Any]:
            def value(*params: Any) -> Any:
                named = dict(zip(law.names, params, strict=True))
                return jnp.reshape(law(*given[:count], **named), jnp.shape(given[0]))

            params = given[count:]
            found = [value(*params)]
            for axis in range(len(params)):
                unit = tuple(jnp.asarray(1.0 * (axis == i)) for i in range(len(params)))
                found.append(jax.jvp(value, params, unit)[1])
            return found

        law.memo[key] = trace(every, count + len(law.names), count)
    found: Function = law.memo[key]
    return found
