# %% [markdown]
# # How far does a law reach?
# Fit the small runs, predict the large ones, and count how many the intervals hold. The runs are
# simulated: their surface is Chinchilla's, and then one that it does not describe.

# %%
import matplotlib.pyplot as plt
import numpy as np

import scalefit as sf

budgets = tuple(np.geomspace(1e18, 1e22, 9))
runs = sf.simulate(sf.simulation.isoflop_design(budgets, points=9), noise=0.003, seed=1)
found = sf.holdout(runs, hold=3, robust="none")
print(found)

# %% [markdown]
# From every budget on: the earliest origins, which cannot identify the law, are listed last with
# the reason.

# %%
rolling = sf.holdout(runs, scheme="rolling", robust="none")
print(rolling.folds[["train", "test", "distance", "mean", "rmse", "inside"]].round(2))
print(rolling.by_distance.round(2))

# %% [markdown]
# The same sweeps where N and D interact: losses of E + (A N^-a + B D^-b)^k. The additive law fits
# the small runs well, and does not reach as far. With the outer exponent it does.

# %%
truth = {"E": 1.8, "S": 0.55, "w": 0.5, "alpha": 0.6, "beta": 0.6, "k": 0.5}
N, D = runs["N"].to_numpy(), runs["D"].to_numpy()
loss = sf.laws.chinchilla_outer.evaluate({"N": N, "D": D}, truth)
noise = np.exp(0.003 * np.random.default_rng(2).standard_normal(len(runs)))
bent = runs.assign(loss=loss * noise)
for law in ("chinchilla", "chinchilla_outer"):
    one = sf.holdout(bent, law, hold=4, robust="none")
    print(f"{law}: {one.verdict()}; log score {one.log_score:.2f}")

# %%
sf.plot.holdout(rolling)
plt.show()
