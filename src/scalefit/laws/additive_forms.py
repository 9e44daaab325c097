"""Closed forms of the additive law L = E + A N^-alpha + B D^-beta, in logarithms.

Where N D is given, alpha A N^-alpha = beta B D^-beta at the least loss. A and B may be 1e5, and
their powers far larger: everything here is a sum of logarithms. Parameters are a mapping with A, B,
alpha, beta (alpha alone where the exponents are tied), numbers or arrays. Functions trace under
JAX, and compile nothing for numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["array", "exponents", "library", "ln_optimum", "ln_ratio", "logaddexp", "sizes"]


def array(value: Any) -> Any:
    """A number, a list or an array as float64."""
    library = jnp if isinstance(value, jax.core.Tracer) else np
    return library.asarray(value, dtype=np.float64)


def library(*values: Any) -> Any:
    """``jax.numpy`` where one of the values is being traced, else ``numpy``.

    Nothing is compiled for numbers then.
    """
    return jnp if any(isinstance(value, jax.core.Tracer) for value in values) else np


def logaddexp(first: Any, second: Any) -> Any:
    """Ln(e^first + e^second) where one of them at least is finite."""
    # Several times as fast as NumPy's own, which goes through numbers one by one.
    xp = library(first, second)
    return xp.maximum(first, second) + xp.log1p(xp.exp(-xp.abs(first - second)))


def exponents(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Alpha and beta as float64 arrays; one exponent where they are tied."""
    alpha = array(params["alpha"])
    return alpha, array(params.get("beta", alpha))


def sizes(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Ln A and ln B as float64 arrays: A and B may be 1e5, and their powers far larger."""
    ln_a, ln_b = (library(value).log(value) for value in (array(params["A"]), array(params["B"])))
    return ln_a, ln_b


def ln_optimum(params: Mapping[str, Any], product: Any) -> tuple[Any, Any]:
    """Ln N* and ln D* where N D is given."""
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    ln_g = (ln_ratio(alpha, beta) + ln_a - ln_b) / (alpha + beta)
    c = library(product).log(product)
    x = ln_g + beta / (alpha + beta) * c
    return x, c - x


def ln_ratio(alpha: Any, beta: Any) -> Any:
    """Ln(alpha / beta)."""
    return library(alpha, beta).log(alpha / beta)
