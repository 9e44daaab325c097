# %% [markdown]
# # L(C): four runs, a pinned asymptote, and two recipes
# Laws of one column, fitted to small tables: exact intervals, the inverse C(L), the speed-up of a
# recipe, where two laws cross, and known errors of the losses.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

runs = pd.DataFrame(
    {
        "C": [2.19e17, 1.70e18, 9.00e18, 2.83e19],
        "loss": [3.82464, 3.43709, 3.16813, 3.00098],
    }
)

# %% [markdown]
# E and alpha are known from elsewhere. What is left is linear: under normal noise Student's t is
# exact with three degrees of freedom.

# %%
pinned = {"fixed": {"E": 1.6, "alpha": 0.0941}, "residual": "raw", "robust": "none"}
fit = sf.fit(runs, "power_offset", x="C", **pinned)
found = sf.covariance(fit, runs)
print(found.conf_int())

# %% [markdown]
# The fit knows that x is the column C. Its prediction, and its inverse.

# %%
draws = found.draws()
print("loss of 1e20 FLOP:  ", draws.predict(C=1e20))
print("FLOP of a loss of 2.9:", sf.inverse_predict(draws, 2.9))
print(sf.inverse_predict(fit, 1.5).notes[0])

# %% [markdown]
# A second recipe, whose reducible loss is 5 % lower: how much more compute the first needs.

# %%
better = runs.assign(loss=1.6 + 0.95 * (runs["loss"] - 1.6) + [0.002, -0.003, 0.001, 0.002])
recipe = sf.fit(better, "power_offset", x="C", **pinned)
speed_up = sf.compute_multiplier(sf.covariance(recipe, better).draws(seed=1), draws, 1e20)
print("speed-up:", speed_up)

# %% [markdown]
# Two recipes with exponents of their own may cross.

# %%
C = np.geomspace(1e18, 1e22, 12)
rng = np.random.default_rng(0)
tables = [
    pd.DataFrame({"C": C, "loss": (E + A * C**-alpha) * np.exp(0.001 * rng.standard_normal(12))})
    for E, A, alpha in ((1.6, 95.0, 0.094), (1.8, 180.0, 0.112))
]
fits = [sf.fit(table, "power_offset", x="C", robust="none") for table in tables]
both = [
    sf.bootstrap(one, table, n_draws=500, seed=i, progress=False)
    for i, (one, table) in enumerate(zip(fits, tables, strict=True))
]
print(sf.crossing(*both, within=(1e20, 1e24)))

# %% [markdown]
# Errors of the losses that are known, from five seeds of each run.

# %%
measured = tables[0].assign(loss_se=0.003)
known = sf.fit(measured, "power_offset", x="C", sigma="loss_se", residual="raw", robust="none")
print(known.summary())
print(sf.covariance(known, measured).summary())
