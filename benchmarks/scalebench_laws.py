"""Laws of ScaleBench (Li et al. 2026, arXiv 2604.22753) as users write them, with its bounds.

The formulas and the bounds are those of its repository (PlanarG/active-sl at baebe5c,
``benchmark/dataset/TASK_scaling_law/laws.py``), the law's number is in its name. Where a nonlinear
parameter is bounded by zero and spans decades, the bound here is 1e-9 and its grid logarithmic.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax.numpy as jnp

import scalefit as sf
from scalefit.laws import Bounds, Coefficient, Exponent, Positive

SOURCE = "Li et al. 2026, arXiv 2604.22753, ScaleBench, task "


class In:
    """A parameter between two numbers: ``In[0, 3]``."""

    def __class_getitem__(cls, ends: tuple[float, float]) -> Any:
        return Annotated[Coefficient, Bounds(*map(float, ends))]


class Decades:
    """A positive parameter searched by its logarithm: ``Decades[1e-3, 500]``."""

    def __class_getitem__(cls, ends: tuple[float, float]) -> Any:
        return Annotated[Exponent, Bounds(*map(float, ends))]


N_, P_ = Positive, Positive
_parallel = sf.law(source=SOURCE + "parallel")
_moe = sf.law(source=SOURCE + "moe")
_sparsity = sf.law(source=SOURCE + "sparsity")
_limited = sf.law(source=SOURCE + "data_con")


@_parallel
def parallel_1(
    N: N_,
    S: P_,
    *,
    c0: In[-5, 5],
    cN: In[0, 500],
    alpha: In[0, 2],
    cS: In[-50, 50],
    beta: In[0, 2],
    cNS: In[-100, 100],
) -> Any:
    """L = c0 + cN N^-alpha + cS S^-beta + cNS N^-alpha S^-beta"""
    return c0 + cN * N**-alpha + cS * S**-beta + cNS * N**-alpha * S**-beta


@_parallel
def parallel_2(
    N: N_, S: P_, *, c0: In[-5, 5], cN: In[0, 500], alpha: In[0, 2], cS: In[-50, 50], beta: In[0, 2]
) -> Any:
    """L = c0 + cN N^-alpha + cS S^-beta"""
    return c0 + cN * N**-alpha + cS * S**-beta


@_parallel
def parallel_3(N: N_, S: P_, *, a: In[0, 500], b: In[-2, 0], c: In[-5, 5], d: In[-5, 5]) -> Any:
    """L = a N^b + c / (1 + S) + d"""
    return a * N**b + c / (1 + S) + d


@_parallel
def parallel_4(N: N_, S: P_, *, a: In[0, 500], b: In[-2, 0], c: In[-5, 5], d: In[-5, 5]) -> Any:
    """L = a N^b + c S^-0.5 + d"""
    return a * N**b + c * S**-0.5 + d


@_parallel
def parallel_5(
    N: N_, S: P_, *, A: Decades[1e-9, 1e9], k: In[-100, 100], alpha: In[0, 3], E: In[-5, 5]
) -> Any:
    """L = (A / (N (k ln S + 1)))^alpha + E"""
    worth = jnp.maximum(N * (k * jnp.log(S) + 1), 1e-12)
    return (A / worth) ** alpha + E


@_parallel
def parallel_6(
    N: N_, S: P_, *, c0: In[-200, 200], c1: In[-200, 200], alpha: In[0, 2], beta: In[0, 2]
) -> Any:
    """L = c0 + c1 (N^-alpha + S^-beta)"""
    return c0 + c1 * (N**-alpha + S**-beta)


@_parallel
def parallel_7(
    N: N_, S: P_, *, L0: In[-5, 5], A: In[0, 500], alpha: In[0, 2], k: In[-50, 50]
) -> Any:
    """L = L0 + A N^-alpha / (1 + k ln S)"""
    return L0 + A * N**-alpha / jnp.maximum(1 + k * jnp.log(S), 1e-12)


@_parallel
def parallel_8(N: N_, S: P_, *, a: In[0, 500], b: In[-2, 0], c: In[-5, 5], d: In[-10, 10]) -> Any:
    """L = (a N^b + c) / (1 + d ln S)"""
    return (a * N**b + c) / jnp.maximum(1 + d * jnp.log(S), 1e-12)


@_parallel
def parallel_9(N: N_, S: P_, *, A: In[0, 5000], alpha: In[0, 2], beta: In[0, 2]) -> Any:
    """L = A N^-alpha S^-beta"""
    return A * N**-alpha * S**-beta


@_parallel
def parallel_10(
    N: N_, S: P_, *, A: In[0, 500], alpha: In[0, 2], E: In[-5, 5], beta: In[0, 2]
) -> Any:
    """L = (A N^-alpha + E) S^-beta"""
    return (A * N**-alpha + E) * S**-beta


@_moe
def moe_1(
    N: N_, experts: P_, *, L: In[0, 3], B: In[0.1, 500], alpha: In[0, 1.5], beta: In[-0.5, 1.5]
) -> Any:
    """Loss = L + B / (N^alpha E^beta)"""
    return L + B * N**-alpha * experts**-beta


@_moe
def moe_2(
    N: N_,
    experts: P_,
    *,
    L: In[0, 3],
    K: In[0, 500],
    alpha: In[0, 2],
    beta: In[0, 2],
    gamma: In[0, 2],
) -> Any:
    """Loss = L + K (N^alpha E^beta)^-gamma"""
    return L + K * (N**alpha * experts**beta) ** -gamma


@_moe
def moe_3(
    N: N_,
    experts: P_,
    *,
    A: In[0, 5e3],
    alpha: In[-1.5, 0],
    B: Decades[1e-9, 20],
    beta: In[0, 2],
    C: In[-1e4, 1e4],
    D: In[-5, 5],
) -> Any:
    """A N^alpha / (1 + B E^beta) + C N^(0.6 alpha) + D"""
    return A * N**alpha / (1 + B * experts**beta) + C * N ** (0.6 * alpha) + D


@_moe
def moe_4(
    N: N_,
    experts: P_,
    *,
    a: In[0.1, 500],
    alpha: In[0, 1.5],
    b: Decades[1e-9, 20],
    gamma: In[0, 1.5],
    c: In[-5, 5],
    d: In[-1, 1],
) -> Any:
    """L = a / (N^alpha (1 + b E)^gamma) + c + d (ln N - 0.4 ln(1 + E))"""
    drift = jnp.log(N) - 0.4 * jnp.log(1 + experts)
    return a * N**-alpha * (1 + b * experts) ** -gamma + c + d * drift


@_moe
def moe_5(
    N: N_,
    experts: P_,
    *,
    p0: In[0, 3],
    p1: In[-5, 10],
    p2: In[-1, 1],
    p3: In[-1, 1],
    p4: In[-0.1, 0.1],
    p5: In[-1, 1],
) -> Any:
    """L = p0 + exp(p1 + p2 ln E + p3 ln N + p4 ln E ln N) + p5 ln E"""
    e, n = jnp.log(experts), jnp.log(N)
    return p0 + jnp.exp(jnp.clip(p1 + p2 * e + p3 * n + p4 * e * n, -50.0, 50.0)) + p5 * e


@_moe
def moe_6(
    N: N_,
    experts: P_,
    *,
    a: In[0, 200],
    b: In[0, 1.5],
    c: In[-5, 20],
    d: In[-0.5, 2],
    e: In[-5, 5],
    f: In[-20, 20],
) -> Any:
    """L = a N^-b (1 + c E^-d) + e + f / (E N^0.05)"""
    return a * N**-b * (1 + c * experts**-d) + e + f / (experts * N**0.05)


@_moe
def moe_7(
    N: N_,
    experts: P_,
    *,
    p0: In[-500, 500],
    p1: In[-1, 0.5],
    p2: In[-1.5, 0.5],
    p3: In[-500, 500],
    p4: In[-1.5, 0.5],
    p5: In[-5, 5],
) -> Any:
    """L = p0 E^p1 N^p2 + p3 N^p4 + p5"""
    return p0 * experts**p1 * N**p2 + p3 * N**p4 + p5


@_moe
def moe_8(
    N: N_, experts: P_, *, a: In[0, 500], b: In[-1.5, 0.5], c: In[-1.5, 0.5], d: In[0, 3]
) -> Any:
    """L = a N^b E^c + d"""
    return a * N**b * experts**c + d


@_moe
def moe_9(N: N_, experts: P_, *, c0: In[0, 3], A: In[0, 500], g: In[-1, 2], a: In[0, 2]) -> Any:
    """L = c0 + A (N E^g)^-a"""
    return c0 + A * (N * experts**g) ** -a


@_moe
def moe_10(
    N: N_,
    experts: P_,
    *,
    bias: In[0, 3],
    A: In[0, 15],
    alpha: In[0, 2],
    B: Decades[1e-9, 100],
    gamma: In[0, 6],
    beta: In[0, 2],
) -> Any:
    """L = bias + A (N / 1e9)^-alpha ((1 + B E^gamma) / (1 + B))^-beta"""
    return bias + A * (N / 1e9) ** -alpha * ((1 + B * experts**gamma) / (1 + B)) ** -beta


@_sparsity
def sparsity_1(
    P: P_,
    N: N_,
    *,
    d1: In[-5, 5],
    a: In[0.01, 3],
    b: In[0.01, 3],
    c: In[-1, 1],
    d3: In[-5, 5],
) -> Any:
    """L = exp(d1 - a ln P - b ln N + c ln P ln N) + exp(d3)"""
    p, n = jnp.log(P), jnp.log(N)
    return jnp.exp(d1 - a * p - b * n + c * p * n) + jnp.exp(d3)


@_sparsity
def sparsity_2(
    P: P_, N: N_, *, d1: In[-5, 5], a: In[0.01, 3], b: In[0.01, 3], d3: In[-5, 5]
) -> Any:
    """L = exp(d1) P^-a N^-b + exp(d3)"""
    return jnp.exp(d1) * P**-a * N**-b + jnp.exp(d3)


@_sparsity
def sparsity_3(
    P: P_,
    N: N_,
    *,
    d1: In[-5, 5],
    a: In[0.01, 3],
    d2: In[-5, 5],
    b: In[0.01, 3],
    c: In[-1, 1],
    d3: In[-5, 5],
) -> Any:
    """L = exp(d1) P^-a + exp(d2) N^-b exp(c ln P ln N) + exp(d3)"""
    mixed = jnp.exp(d2 + c * jnp.log(P) * jnp.log(N)) * N**-b
    return jnp.exp(d1) * P**-a + mixed + jnp.exp(d3)


@_sparsity
def sparsity_4(
    P: P_,
    N: N_,
    *,
    d1: In[-5, 5],
    a: In[0.01, 3],
    d2: In[-5, 5],
    b: In[0.01, 3],
    d3: In[-5, 5],
) -> Any:
    """L = exp(d1) P^-a + exp(d2) N^-b + exp(d3)"""
    return jnp.exp(d1) * P**-a + jnp.exp(d2) * N**-b + jnp.exp(d3)


PARALLEL = (
    parallel_1,
    parallel_2,
    parallel_3,
    parallel_4,
    parallel_5,
    parallel_6,
    parallel_7,
    parallel_8,
    parallel_9,
    parallel_10,
)
MOE = (moe_1, moe_2, moe_3, moe_4, moe_5, moe_6, moe_7, moe_8, moe_9, moe_10)
SPARSITY = (sparsity_1, sparsity_2, sparsity_3, sparsity_4)
