# %% [markdown]
# # The catalogue of laws
# Fifty and more published laws, each a plain function: what there is, what a paper found, and a fit
# of one of them.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

table = sf.laws.table().to_frame()
print(f"{len(table)} laws in {table['family'].nunique()} families")
print(table.loc[table["family"] == "routed", ["name", "columns", "purpose"]].to_string(index=False))

# %% [markdown]
# What a law says about itself: its formula, columns, sources, and what is not identifiable.

# %%
print(sf.laws.joint_moe)
print((sf.laws.joint_moe.__doc__ or "").split("Args:")[0])

# %% [markdown]
# Published values predict and allocate like a fit, and say where they come from.

# %%
published = sf.published("joint_moe", "ludziejewski")
print(published)
print(sf.allocate(published, 1e22, fixed={"experts": 8}).to_frame().to_string(index=False))

# %% [markdown]
# A fit of a law from the catalogue: Kaplan's joint law of model size and data, on made-up runs.

# %%
sizes, tokens = np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
design = pd.DataFrame({"N": sizes.ravel(), "D": tokens.ravel()})
truth = sf.published("kaplan", "kaplan").params
runs = sf.simulate(design, "kaplan", truth, noise=0.002)
fit = sf.fit(runs, "kaplan")
print(fit)
for name, value in truth.items():
    print(f"{name}: {fit.params[name]:.4g}, from {value:.4g}")
