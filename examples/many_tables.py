# %% [markdown]
# # One law on many small tables
# The loss on each of many corpora by each of several metrics: a table for each pair, a fit for each
# table, all of them in one program.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

# Simulated: each pair has exponents of its own.
rng = np.random.default_rng(0)
design = sf.simulation.isoflop_design(points=6)
parts = []
for corpus in [f"corpus {i:02}" for i in range(40)]:
    for metric in ("loss", "bits"):
        alpha, beta = rng.uniform(0.28, 0.4, 2)
        surface = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": alpha, "beta": beta}
        runs = sf.simulate(design, "chinchilla", surface, noise=0.003, seed=len(parts))
        parts.append(runs.assign(corpus=corpus, metric=metric, alpha_true=alpha))
frame = pd.concat(parts, ignore_index=True)
# One run diverged.
frame.loc[3, "loss"] = np.inf
print(f"{len(frame)} runs of {len(parts)} tables")

# %% [markdown]
# Groups as in pandas; a row for each table. The table with a bad loss is a row, and no error.

# %%
fits = sf.fit_many(frame, by=["corpus", "metric"])
print(fits.table[["alpha", "beta", "objective_value", "status"]].head())
print(fits)
print(fits.failed.iloc[0])

# %% [markdown]
# The table is a DataFrame like any other.

# %%
true = frame.groupby(["corpus", "metric"])["alpha_true"].first()
off = (fits.table["alpha"] / true - 1).dropna().abs()
print(f"alpha is off by {100 * off.median():.1f} % in the median of {len(off)} tables")
assert len(off) == len(parts) - 1
assert off.median() < 0.05

# %% [markdown]
# One of them in full: its verdict, its notes, its evidence.

# %%
one = fits.fit(("corpus 07", "loss"))
print(one.summary())
