"""What leaving the compute-optimal size costs, in closed form for L = E + A N^-alpha + B D^-beta.

Budgets are k N D. At the optimum of a budget alpha A N^-alpha = beta B D^-beta; how far a model is
from that, and what it wastes, does not depend on E, nor on A and B except through the optimum.

Parameters are a mapping with A, B, alpha, beta (alpha alone where the exponents are tied) and,
where a loss is named, E; numbers or arrays, such as an ensemble's draws. Functions trace under
JAX, and called with numbers return float64 whatever the caller's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "best_loss",
    "best_size",
    "deadweight_share",
    "implied_inference_tokens",
    "least_feasible_size",
    "least_flops",
    "overhead",
    "wedge",
]

F = TypeVar("F", bound=Callable[..., Any])


def in_float64(function: F) -> F:
    """The function in float64; NumPy's arrays out unless it is being traced."""

    @wraps(function)
    def scoped(*args: Any, **options: Any) -> Any:
        with jax.enable_x64(True):
            found = function(*args, **options)
        return jax.tree.map(_on_host, found)

    return scoped  # type: ignore[return-value]


def _on_host(value: Any) -> Any:
    return value if isinstance(value, jax.core.Tracer) else np.asarray(value, dtype=np.float64)[()]


def array(value: Any) -> jax.Array:
    """A number, a list or an array as float64."""
    return jnp.asarray(value, dtype=jnp.float64)


def exponents(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Alpha and beta as float64 arrays; one exponent where they are tied."""
    alpha = array(params["alpha"])
    return alpha, array(params.get("beta", alpha))


def sizes(params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Ln A and ln B as float64 arrays: A and B may be 1e5, and their powers far larger."""
    ln_a, ln_b = (jnp.log(array(params[name])) for name in ("A", "B"))
    return ln_a, ln_b


def ln_optimum(params: Mapping[str, Any], product: Any) -> tuple[Any, Any]:
    """Ln N* and ln D* where N D is given."""
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    ln_g = (jnp.log(alpha / beta) + ln_a - ln_b) / (alpha + beta)
    c = jnp.log(product)
    x = ln_g + beta / (alpha + beta) * c
    return x, c - x


@in_float64
def best_size(params: Mapping[str, Any], flops: Any, k: float = 6.0) -> Any:
    """N* = G (C/k)^(beta/(alpha+beta)), G = (alpha A / (beta B))^(1/(alpha+beta))

    Args:
        params: A, B, alpha, beta.
        flops: budget C.
        k: FLOPs per parameter and token.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, eq. 4.

    Example:
        >>> params = {"A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> f"{best_size(params, 5.76e23):.3g}"
        '3.22e+10'
    """
    return jnp.exp(ln_optimum(params, array(flops) / k)[0])


@in_float64
def best_loss(params: Mapping[str, Any], flops: Any, k: float = 6.0) -> Any:
    """L_opt(C) = E + K (C/k)^(-alpha beta/(alpha+beta)), K = A G^-alpha + B G^beta

    Args:
        params: E, A, B, alpha, beta.
        flops: budget C.
        k: FLOPs per parameter and token.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, eq. 4 put into eq. 2.

    Example:
        >>> params = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> round(float(best_loss(params, 3.8e25)), 6)
        1.816533
    """
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    ln_n, ln_d = ln_optimum(params, array(flops) / k)
    return params["E"] + jnp.exp(ln_a - alpha * ln_n) + jnp.exp(ln_b - beta * ln_d)


@in_float64
def least_flops(params: Mapping[str, Any], loss: Any, k: float = 6.0) -> Any:
    """C = k ((L - E) / K)^(-(alpha+beta)/(alpha beta)), the inverse of :func:`best_loss`

    Args:
        params: E, A, B, alpha, beta.
        loss: loss to reach.
        k: FLOPs per parameter and token.

    Returns:
        The least budget, FLOP; inf where the loss is not above E.

    Example:
        >>> params = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> f"{least_flops(params, best_loss(params, 1e22)):.6g}"
        '1e+22'
    """
    alpha, beta = exponents(params)
    excess = array(loss) - params["E"]
    above = excess > 0
    ln_n, ln_d = ln_optimum(params, array(1.0))
    ln_a, ln_b = sizes(params)
    at_one = jnp.logaddexp(ln_a - alpha * ln_n, ln_b - beta * ln_d)
    ln_c = (at_one - jnp.log(jnp.where(above, excess, 1.0))) * (1 / alpha + 1 / beta)
    return jnp.where(above, k * jnp.exp(ln_c), jnp.inf)


@in_float64
def overhead(size_ratio: Any, alpha: Any, beta: Any) -> Any:
    """k_N k_D - 1, k_D = [1 - (beta/alpha) (k_N^-alpha - 1)]^(-1/beta)

    Extra training compute of a model k_N times the compute-optimal one, at equal loss. It holds at
    every budget, and is inf at and below :func:`least_feasible_size`.

    Args:
        size_ratio: k_N = N / N*, below or above 1.
        alpha: model exponent.
        beta: data exponent.

    Source:
        de Vries 2023, Go smol or go home, with A N*^-alpha / (B D*^-beta) = beta / alpha put in.

    Example:
        >>> [f"{overhead(k, 0.336, 0.283):.1%}" for k in (0.75, 0.5, 0.3)]
        ['2.8%', '20.8%', '105.6%']
    """
    k, alpha, beta = array(size_ratio), array(alpha), array(beta)
    left = 1.0 - (beta / alpha) * jnp.expm1(-alpha * jnp.log(k))
    feasible = left > 0
    ln_k_d = -jnp.log(jnp.where(feasible, left, 1.0)) / beta
    return jnp.where(feasible, jnp.expm1(jnp.log(k) + ln_k_d), jnp.inf)


@in_float64
def least_feasible_size(alpha: Any, beta: Any) -> Any:
    """k_min = (beta / (alpha + beta))^(1/alpha)

    The share of the compute-optimal size below which no number of tokens reaches its loss. Overhead
    is large long before: 100 percent at a third of the size.

    Args:
        alpha: model exponent.
        beta: data exponent.

    Source:
        The pole of the formula of :func:`overhead`.

    Example:
        >>> f"{least_feasible_size(0.336, 0.283):.2%}"
        '9.74%'
    """
    alpha, beta = array(alpha), array(beta)
    return jnp.exp(jnp.log(beta / (alpha + beta)) / alpha)


@in_float64
def wedge(params: Mapping[str, Any], N: Any, D: Any) -> Any:
    """(alpha A N^-alpha) / (beta B D^-beta)

    1 where training compute alone was minimised, above 1 for a model smaller than that, below 1 for
    a larger one. At the optimum of 6 N D + 2 N T it is 1 + T / (3 D).

    Args:
        params: A, B, alpha, beta.
        N: model parameters, count.
        D: training tokens, count.

    Source:
        First-order condition of Sardana et al. 2024, arXiv 2401.00448.
    """
    alpha, beta = exponents(params)
    ln_a, ln_b = sizes(params)
    ln_n, ln_d = (jnp.log(array(item)) for item in (N, D))
    return jnp.exp(jnp.log(alpha / beta) + ln_a - alpha * ln_n - ln_b + beta * ln_d)


@in_float64
def implied_inference_tokens(params: Mapping[str, Any], N: Any, D: Any) -> Any:
    """T = 3 D (w - 1), w the :func:`wedge`

    The lifetime demand under which this model was the cheapest one of its loss; negative for a
    model larger than compute-optimal, which no demand explains.

    Args:
        params: A, B, alpha, beta.
        N: model parameters, count.
        D: training tokens, count.

    Source:
        First-order condition of Sardana et al. 2024, arXiv 2401.00448, solved for T.

    Example:
        >>> import scalefit as sf
        >>> params = sf.published("chinchilla", "besiroglu").params
        >>> f"{implied_inference_tokens(params, N=8.03e9, D=15e12):.2g} tokens"
        '1.9e+14 tokens'
    """
    return 3.0 * array(D) * (wedge(params, N, D) - 1.0)


@in_float64
def deadweight_share(params: Mapping[str, Any], N: Any, D: Any) -> Any:
    """1 - r^(-(alpha+beta)/(alpha beta)), r = (beta e^(alpha x) + alpha e^(-beta x))/(alpha+beta)

    Share of the compute that a run of N parameters on D tokens wastes: 1 - C_eq / C, where C_eq is
    the least compute of its loss, and x = ln(D / D*) at the run's own compute. About
    (alpha + beta) x^2 / 2 near the optimum. With h the :func:`overhead` at N over the optimal size
    of the same loss it is h / (1 + h).

    Args:
        params: A, B, alpha, beta.
        N: model parameters, count.
        D: training tokens, count.

    Source:
        Czech et al. 2026, arXiv 2603.22339, deadweight compute loss, in closed form.

    Example:
        >>> params = {"A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> D = 3.34535e13
        >>> f"{deadweight_share(params, 3.8e25 / (6 * D), D):.3%}"
        '0.447%'
    """
    alpha, beta = exponents(params)
    x = jnp.log(array(D)) - ln_optimum(params, array(N) * array(D))[1]
    # expm1: r is 1 to second order in x.
    above = (beta * jnp.expm1(alpha * x) + alpha * jnp.expm1(-beta * x)) / (alpha + beta)
    return -jnp.expm1(-jnp.log1p(above) * (1 / alpha + 1 / beta))
