# %% [markdown]
# # A law of your own
# A law is a plain function: data columns positional, parameters keyword-only, each annotated with
# what it means. Which parameters are linear is found out and proved, not declared.

# %%
from typing import Annotated

import numpy as np

import scalefit as sf


@sf.law(source="my notebook")
def interacting(
    N,
    D,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    F: sf.laws.Coefficient,
    alpha: sf.laws.Exponent,
    beta: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.05, 1.0)],
):
    """L(N, D) = E + A N^-alpha + B D^-beta + F N^(-alpha/2) D^(-beta/2)"""
    return E + A * N**-alpha + B * D**-beta + F * N ** (-alpha / 2) * D ** (-beta / 2)


# %% [markdown]
# Simulate from it, fit it, and get everything a built-in law gets.

# %%
truth = {"E": 1.7, "A": 400.0, "B": 600.0, "F": 40.0, "alpha": 0.34, "beta": 0.29}
runs = sf.simulate(sf.simulation.isoflop_design(width=20.0), interacting, truth, noise=0.0)
fit = sf.fit(runs, interacting)
print(fit.summary())
for name, value in truth.items():
    np.testing.assert_allclose(fit.params[name], value, rtol=1e-6)

# %% [markdown]
# No closed form exists for its optimum; the general solver finds it.

# %%
print(sf.allocate(fit, flops=[1e20, 1e22, 1e24]))

# %% [markdown]
# Fix, bound or tie any parameter.

# %%
tied = sf.fit(runs, interacting, tied=[("alpha", "beta")], fixed={"E": 1.7})
print(tied)
print([note.code for note in tied.notes])
