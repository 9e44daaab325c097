# %% [markdown]
# # Which mixture of data?
# Losses on three domains over their shares, the mixture with the least mean, and what caps, a pull
# towards natural shares and the noise of the runs do to it.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

# %% [markdown]
# Eighteen small runs of three domains. The shares add up to one: the law has columns for all but
# one. Each domain helps its own loss most.

# %%
law = sf.laws.mixture_of("web", "code")
truth = {
    "web": {"c": 2.4, "k": 1.1, "t_web": -1.6, "t_code": 0.1},
    "code": {"c": 0.9, "k": 1.4, "t_web": 0.1, "t_code": -2.9},
    "books": {"c": 2.5, "k": 0.5, "t_web": 0.4, "t_code": 0.9},
}
shares = np.random.default_rng(0).dirichlet([2.0, 1.5, 1.0], 18)
runs = pd.DataFrame(shares[:, :2], columns=["web", "code"])
for seed, (name, params) in enumerate(truth.items()):
    simulated = sf.simulate(runs[["web", "code"]], law, params, noise=0.002, seed=seed)
    runs[f"{name}_loss"] = simulated["loss"].to_numpy()

# %% [markdown]
# One fit and one ensemble for each loss. The same seed pairs their draws.

# %%
fits = {name: sf.fit(runs, law, loss=f"{name}_loss") for name in truth}
draws = {
    name: sf.bootstrap(fit, runs, n_draws=200, seed=1, method="residuals", progress=False)
    for name, fit in fits.items()
}

# %% [markdown]
# The least mean of the three losses, against the natural mixture and the best of the runs.

# %%
natural = {"web": 8e11, "code": 1.2e11, "books": 8e10}
best = sf.optimal_mixture(draws, natural=natural, runs=runs, rest="books")
print(best)

# %% [markdown]
# Of code there are 20 billion tokens, to be seen four times in a run of 300 billion; the cap holds,
# and has a price.

# %%
run = {"available": {"code": 2e10}, "tokens": 3e11}
capped = sf.optimal_mixture(draws, natural=natural, rest="books", **run)
print(capped)
print(f"a percent more of code would lower the loss by {capped.price['code'] / 100:.4f}")

# %% [markdown]
# Code may matter more, and what is known to work may be worth staying near.

# %%
print(sf.optimal_mixture(fits, weights={"web": 1, "code": 3, "books": 1}, rest="books", **run))
print(sf.optimal_mixture(fits, natural=natural, pull=0.05, rest="books", **run))

# %% [markdown]
# With size and tokens in the law: the additive one has one best mixture at every scale, and says
# how many more tokens another takes.

# %%
scaled = sf.laws.additive_mixture_of("code", "web", "books")
rng = np.random.default_rng(3)
mixed = pd.DataFrame(rng.dirichlet(np.ones(3), 60), columns=["code", "web", "books"])
mixed = mixed.assign(N=rng.choice([1e8, 4e8, 1.6e9], 60), D=rng.choice([4e9, 2e10, 1e11], 60))
size = {"E": 0.6, "K": 0.5, "A": 40.0, "B": 400.0, "alpha": 0.25, "beta": 0.28}
worth = {"c_web": 0.4, "c_books": 0.3, "g_code": 0.3, "g_web": 0.4, "g_books": 0.5}
fit = sf.fit(sf.simulate(mixed, scaled, size | worth, noise=0.002), scaled)
at = {"N": 7e9, "D": 1e12}
print(sf.optimal_mixture(fit, at=at, natural=natural))
