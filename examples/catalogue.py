# %% [markdown]
# # The catalogue of laws
# Over fifty published laws, each a plain function; published coefficients; a fit of one of them.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

print(
    f"{len(sf.laws.BUILTIN)} laws in {len(sf.laws.FAMILIES)} families; sf.laws.table() lists them"
)
for law in sf.laws.FAMILIES["routed"]:
    print(f"{law.name} of {', '.join(law.columns)}: {law.purpose}")

# %% [markdown]
# A law documents its formula, columns, sources, and what is not identifiable.

# %%
print(sf.laws.joint_moe)
print((sf.laws.joint_moe.__doc__ or "").split("Args:")[0])

# %% [markdown]
# Published coefficients predict and allocate like a fit, and carry their source.

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
