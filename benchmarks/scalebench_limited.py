"""Laws of ScaleBench's data-constrained task, as :mod:`scalebench_laws` has those of the others."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from scalebench_laws import SOURCE, Decades, In

import scalefit as sf
from scalefit.laws import Positive

_limited = sf.law(source=SOURCE + "data_con")
Column = Positive


@_limited
def data_con_1(
    U: Column,
    N: Column,
    D: Column,
    *,
    A: In[1e-3, 1e9],
    alpha: In[0.05, 2],
    B: In[1e-3, 1e8],
    beta: In[0.05, 2],
    E: In[-100, 200],
    gamma: In[-0.5, 0.5],
    delta: In[-0.5, 0.5],
) -> Any:
    """L = A N^-alpha + B D^-beta + E U^gamma N^delta"""
    return A * N**-alpha + B * D**-beta + E * U**gamma * N**delta


@_limited
def data_con_2(
    U: Column,
    N: Column,
    D: Column,
    *,
    a: In[-3, 10],
    b: In[-1e6, 1e6],
    c: In[-1e6, 1e6],
    d: In[-1e7, 1e7],
    p: In[-1.5, 0.5],
    q: In[-1.5, 0.5],
    r: In[-1.5, 0.5],
) -> Any:
    """L = a + b U^p + c N^q + d D^r"""
    return a + b * U**p + c * N**q + d * D**r


@_limited
def data_con_3(
    U: Column,
    N: Column,
    D: Column,
    *,
    A: In[1e-3, 1e7],
    tau_N: Decades[1e-3, 500],
    B: In[1e-3, 1e7],
    tau_D: Decades[1e-3, 500],
    alpha: In[0.05, 2],
    C: In[-3, 10],
    rho: Decades[1e-3, 100],
) -> Any:
    """L = A N'^-alpha + B D'^-alpha + C, X' = U_X (1 + tau_X (1 - exp(-R_X / tau_X)))"""
    some = jnp.minimum(rho * U, N)
    more = jnp.maximum(N / some - 1, 0.0)
    parameters = some * (1 + tau_N * (1 - jnp.exp(-more / tau_N)))
    tokens = U * (1 + tau_D * (1 - jnp.exp(-(D / U - 1) / tau_D)))
    return A * parameters**-alpha + B * tokens**-alpha + C


@_limited
def data_con_4(
    U: Column,
    N: Column,
    D: Column,
    *,
    L0: In[-3, 8],
    A: In[1e-3, 1e11],
    a: In[0.05, 2.5],
    B: In[1e-3, 1e9],
    b: In[0.05, 2.5],
    s: Decades[1e-5, 1e7],
    d: In[-2, 1.5],
) -> Any:
    """L = L0 + A N^-a + B D'^-b, D' = D / (1 + D / (s U N^d))"""
    return L0 + A * N**-a + B * (D / (1 + D / (s * U * N**d))) ** -b


@_limited
def data_con_5(
    U: Column,
    N: Column,
    D: Column,
    *,
    A: In[1e-3, 1e10],
    alpha: In[0.05, 2],
    B: In[1e-3, 1e10],
    beta: In[0.05, 2],
    E: In[-3, 10],
    gamma: In[0, 1],
) -> Any:
    """L = A N^-alpha + B (U^gamma D^(1 - gamma))^-beta + E"""
    return A * N**-alpha + B * (U**gamma * D ** (1 - gamma)) ** -beta + E


@_limited
def data_con_6(
    U: Column,
    N: Column,
    D: Column,
    *,
    E: In[-3, 10],
    A: In[1e-3, 1e11],
    alpha: In[0.05, 2],
    B: In[1e-3, 1e12],
    beta: In[0.05, 2],
    C: Decades[1e-9, 1e4],
    c: In[0, 2],
    d: In[-1, 1],
) -> Any:
    """E + A N^-alpha + B D'^-beta, D' = D / (1 + C max(D / U - 1, 0)^c N^d)"""
    # A power of zero has no derivative in the exponent: 1e-12 is theirs too.
    excess = jnp.maximum(D / U - 1, 1e-12)
    return E + A * N**-alpha + B * (D / (1 + C * excess**c * N**d)) ** -beta


@_limited
def data_con_7(
    U: Column,
    N: Column,
    D: Column,
    *,
    L0: In[-3, 10],
    A: In[1e-3, 1e9],
    alpha_pu: In[-2, 0.5],
    B: In[1e-3, 1e9],
    alpha_t: In[-2, 0.5],
    C: In[-1e13, 1e13],
    alpha_p: In[-2.5, 0.5],
) -> Any:
    """L = L0 + A (N U)^alpha_pu + B D^alpha_t + C N^alpha_p"""
    return L0 + A * (N * U) ** alpha_pu + B * D**alpha_t + C * N**alpha_p


@_limited
def data_con_8(
    U: Column,
    N: Column,
    D: Column,
    *,
    a: In[-3, 10],
    b: In[-1e8, 1e8],
    c: In[-1e8, 1e8],
    d: In[-200, 200],
    alpha: In[0.05, 2],
    beta: In[0.05, 2],
    gamma: In[0.05, 5],
) -> Any:
    """L = a + b D^-alpha + c N^-beta + d ln(1 + U / D)^gamma"""
    return a + b * D**-alpha + c * N**-beta + d * jnp.log(U / D + 1) ** gamma


@_limited
def data_con_9(
    U: Column,
    N: Column,
    D: Column,
    *,
    A: In[1e-3, 1e7],
    alpha: In[0.05, 2],
    B: In[1e-3, 1e7],
    beta: In[0.05, 2],
    C: Decades[1e-9, 1e11],
    gamma: In[0.05, 2],
    L: In[-3, 10],
) -> Any:
    """L = A N^-alpha + B D^-beta (1 + C U^-gamma) + L"""
    return A * N**-alpha + B * D**-beta * (1 + C * U**-gamma) + L


@_limited
def data_con_10(
    U: Column,
    N: Column,
    D: Column,
    *,
    L0: In[-3, 8],
    A: In[1e-3, 1e9],
    B: In[1e-3, 1e9],
    a: In[0.05, 2],
    b: In[0.05, 2],
    k: Decades[1e-3, 1e4],
    q: Decades[0.1, 50],
) -> Any:
    """L = L0 + A N^-a + B (D^-bq + (k U)^-bq)^(1/q)"""
    # The same as a sum of exponentials: the powers themselves fall below the least number.
    both = jnp.logaddexp(-b * q * jnp.log(D), -b * q * jnp.log(k * U))
    return L0 + A * N**-a + B * jnp.exp(both / q)


DATA_CON = (
    data_con_1,
    data_con_2,
    data_con_3,
    data_con_4,
    data_con_5,
    data_con_6,
    data_con_7,
    data_con_8,
    data_con_9,
    data_con_10,
)
