"""What leaving the compute-optimal size costs, in closed form for L = E + A N^-alpha + B D^-beta.

Budgets are k N D. At the optimum of a budget alpha A N^-alpha = beta B D^-beta; how far a model is
from that, and what it wastes, does not depend on E, nor on A and B except through the optimum.

Parameters are a mapping with A, B, alpha, beta (alpha alone where the exponents are tied) and,
where a loss is named, E; numbers or arrays, such as an ensemble's draws. Functions trace under
JAX, and called with numbers return float64 whatever the caller's configuration.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

import jax
import numpy as np

from scalefit.arguments import broadcast_shape, mapping, numbers
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.laws.additive_forms import (
    array,
    exponents,
    library,
    ln_optimum,
    ln_ratio,
    logaddexp,
    sizes,
)
from scalefit.runtime.settings import own_settings, quiet

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

# What arguments are greater than, and an example of each. NaN passes: a draw may give none.
POSITIVE = Frozen(
    {
        "flops": "1e24",
        "N": "7e9",
        "D": "1.4e12",
        "k": "6.0",
        "size_ratio": "0.5",
        "alpha": "0.34",
        "beta": "0.28",
    }
)


def in_float64(function: F) -> F:
    """The function in float64: of numbers by NumPy, and by JAX where it is being traced.

    Numbers are checked before.
    """
    signature = inspect.signature(function)
    needed = ("E", "A", "B", "alpha") if "E," in (function.__doc__ or "") else ("A", "B", "alpha")

    @wraps(function)
    def scoped(*args: Any, **options: Any) -> Any:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, options))):
            with own_settings():
                found = function(*args, **options)
        else:
            given = signature.bind(*args, **options).arguments
            with quiet():
                found = function(**_checked(given, needed))
        return jax.tree.map(_on_host, found)

    return scoped  # type: ignore[return-value]


def _checked(given: Mapping[str, Any], needed: tuple[str, ...]) -> dict[str, Any]:
    """Numbers as float64 arrays, and a mapping of such.

    Raises:
        ArgumentError: something is no number, not in range, or missing.
    """
    found: dict[str, Any] = {}
    shaped: dict[str, np.ndarray] = {}
    for name, value in given.items():
        if name == "params":
            found[name] = _params(value, needed)
            shaped |= {f"params[{key!r}]": item for key, item in found[name].items()}
            continue
        above = 0.0 if name in POSITIVE else None
        least = 0.0 if name == "tokens" else None
        example = POSITIVE.get(name, "2e12" if name == "tokens" else "2.0")
        remedy = f"Pass {name}={example}"
        options: dict[str, Any] = {"above": above, "least": least, "remedy": remedy}
        found[name] = numbers(value, name, missing=True, infinite=True, **options)
        shaped[name] = found[name]
    broadcast_shape(shaped, remedy="Pass numbers, or arrays that broadcast")
    return found


def _params(params: Any, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    remedy = f"Pass a fit's params: {', '.join(needed)} and beta"
    mapping(params, "params", remedy=remedy)
    missing = [name for name in needed if name not in params]
    if missing:
        raise ArgumentError(
            f"params has no {', '.join(missing)}", argument="params", value=params, remedy=remedy
        )
    names = [name for name in ("E", "A", "B", "alpha", "beta") if name in params]
    options: dict[str, Any] = {"missing": True, "infinite": True, "remedy": remedy}
    return {name: numbers(params[name], f"params[{name!r}]", **options) for name in names}


def _on_host(value: Any) -> Any:
    return value if isinstance(value, jax.core.Tracer) else np.asarray(value, dtype=np.float64)[()]


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
    x = ln_optimum(params, array(flops) / k)[0]
    return library(x).exp(x)


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
    xp = library(ln_n, ln_d)
    return params["E"] + xp.exp(ln_a - alpha * ln_n) + xp.exp(ln_b - beta * ln_d)


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
    at_one = logaddexp(ln_a - alpha * ln_n, ln_b - beta * ln_d)
    xp = library(excess, at_one)
    ln_c = (at_one - xp.log(xp.where(above, excess, 1.0))) * (1 / alpha + 1 / beta)
    return xp.where(above, k * xp.exp(ln_c), np.inf)


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
        >>> print(*(f"{overhead(k, 0.336, 0.283):.1%}" for k in (0.75, 0.5, 0.3)))
        2.8% 20.8% 105.6%
    """
    k, alpha, beta = array(size_ratio), array(alpha), array(beta)
    xp = library(k, alpha, beta)
    left = 1.0 - (beta / alpha) * xp.expm1(-alpha * xp.log(k))
    feasible = left > 0
    ln_k_d = -xp.log(xp.where(feasible, left, 1.0)) / beta
    return xp.where(feasible, xp.expm1(xp.log(k) + ln_k_d), np.inf)


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
    xp = library(alpha, beta)
    return xp.exp(xp.log(beta / (alpha + beta)) / alpha)


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
    ln_n, ln_d = (library(item).log(item) for item in (array(N), array(D)))
    total = ln_ratio(alpha, beta) + ln_a - alpha * ln_n - ln_b + beta * ln_d
    return library(total).exp(total)


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
    N, D = array(N), array(D)
    x = library(D).log(D) - ln_optimum(params, N * D)[1]
    xp = library(x, alpha, beta)
    # expm1: r is 1 to second order in x.
    above = (beta * xp.expm1(alpha * x) + alpha * xp.expm1(-beta * x)) / (alpha + beta)
    return -xp.expm1(-xp.log1p(above) * (1 / alpha + 1 / beta))
