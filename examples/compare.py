# %% [markdown]
# # Which law?
# Three laws, one protocol: which predicts runs that it has not seen, and is that certain?

# %%
import matplotlib.pyplot as plt

import scalefit as sf

# Simulated: the terms in N and D interact, as on several public tables. The truth has k = 0.5.
TRUTH = {"E": 1.7, "S": 0.7, "w": 0.5, "alpha": 0.6, "beta": 0.6, "k": 0.5}
design = sf.simulation.isoflop_design([1e18, 3e18, 1e19, 3e19, 1e20, 3e20, 1e21], points=7)
runs = sf.simulate(design, "chinchilla_outer", TRUTH, noise=0.001, seed=1)

# %% [markdown]
# Every law is fitted to the same training runs and predicts the same held-out ones: here the two
# largest budgets from the five below.

# %%
found = sf.compare(runs, ["chinchilla", "chinchilla_tied", "chinchilla_outer"], hold=2)
print(found.summary())

# %% [markdown]
# The table has the errors with their differences to the best, the tests of laws that are
# restrictions of others; `fit` is the chosen law on all rows.

# %%
print(found.to_frame()[["free", "error", "worse_by", "low", "high", "verdict"]])
print(found.tests[["law", "within", "constraint", "effect", "p"]])
print(f"chosen: {found.best}, k = {found.fit.params['k']:.2f}")

# %%
axes = sf.plot.comparison(found)
axes[0].figure.savefig("compare.png", dpi=150)
plt.close("all")
