# %% [markdown]
# # What to train
# Budgets, limits, further columns, near-optimal sizes and deadweight, on published surfaces. Any
# fit may take their place.

# %%
import numpy as np

import scalefit as sf

fit = sf.published("chinchilla", "besiroglu")

# %% [markdown]
# The optimum of a few budgets, and the least budget of a loss.

# %%
print(sf.allocate(fit, flops=[1e22, 1e23, 1e24]).to_frame().to_string(index=False))
print(f"a loss of 2.0 takes {sf.allocate(fit, loss=2.0).budget:.3g} FLOP at least")

# %% [markdown]
# A model that must fit on one device, and the price of that. Then the sizes that 5 % more compute
# allows, and the deadweight of a run away from the optimum.

# %%
free, small = sf.allocate(fit, 1e24), sf.allocate(fit, 1e24, limits={"N": 13e9})
print(f"{small.N:.3g} in place of {free.N:.3g} parameters: loss {small.loss:.4f}, {free.loss:.4f}")
region = sf.near_optimal(fit, 1e24, overhead=0.05)
print(
    f"5 % more compute reaches the same loss from {region.low:.3g} to {region.high:.3g} parameters"
)
waste = sf.deadweight(fit, N=70e9, D=15e12)
print(f"70e9 parameters on 15e12 tokens: {waste.share:.1%} wasted, had training been all")
print(f"{waste.hours('H100 SXM bf16'):.3g} hours, ${waste.usd('H100 SXM bf16') / 1e6:.2f}M")

# %% [markdown]
# Further columns: how often to repeat limited data, and how many experts fit into memory.

# %%
repeated = sf.published("data_constrained", "muennighoff")
unique = np.array([10e9, 25e9, 100e9])
best = sf.allocate(repeated, 1e22, fixed={"U": unique})
for U, N, D in zip(unique, best.N, best.D, strict=True):
    print(f"{U:.3g} unique tokens: {D / U:.1f} epochs, {N:.3g} parameters")


def memory(N, experts):
    """Bytes of all experts, where the routed layers are six tenths of a model."""
    return 2.0 * N * (1.0 + 0.6 * (experts - 1.0))


moe = sf.published("joint_moe", "ludziejewski")
for limit in (8e9, 24e9, 80e9):
    best = sf.allocate(moe, 1e22, free={"experts": [1, 2, 4, 8, 16, 32]}, limits={memory: limit})
    print(f"{limit:.0e} bytes: {best['experts']:.0f} experts, {best.N:.3g} active, {best.loss:.4f}")
