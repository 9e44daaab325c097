# %% [markdown]
# # The error of an answer, before any run is trained
# The planned sweeps are simulated many times, with noise like that of earlier ones.

# %%
import numpy as np

import scalefit as sf

PLAN = {"surface": "chinchilla", "budgets": [(1e18, 1e19, 1e20)], "points": [5, 10], "offset": 2.0}
found = sf.studies.simulation_study(
    {**PLAN, "noise": [0.002, 0.01]}, seeds=100, flops=1e23, progress=False
)
print(found)

# %% [markdown]
# Tokens for 1e23 FLOP: bias and spread of either method, in percent.

# %%
errors = 100 * found.table.set_index(["noise", "points", "method"])["D_error"]
print(errors.groupby(level=[0, 1, 2]).agg(["mean", "std"]).round(1))

# %% [markdown]
# How many more runs Approach 2 needs for the same precision.

# %%
rms = found.errors(["noise", "points"])["rms"].unstack()
print(((rms["approach2"] / rms["surface"]) ** 2).round(1))

# %% [markdown]
# The same runs as a grid of sizes and tokens, with noise that runs of a corpus share.


# %%
def grid(corpora):
    """Five sizes by six numbers of tokens, corpora in turn."""
    design = sf.simulation.grid_design(np.geomspace(3e7, 3e9, 5), np.geomspace(1e9, 3e10, 6))
    return design.assign(corpus=np.arange(len(design)) % corpora)


shared = sf.studies.simulation_study(
    {"corpora": [3, 30], "noise": 0.005, "cluster": "corpus"},
    seeds=100,
    methods="surface",
    design=grid,
    progress=False,
)
print(shared.errors("corpora"))
assert (shared.table["status"] != "failed").all()
