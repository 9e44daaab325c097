# %% [markdown]
# # The Chinchilla points, refitted
# 245 runs read off Figure 4 of Hoffmann et al. by Besiroglu et al. 2024 (arXiv 2404.10102). The
# file states no licence, so it is not part of scalefit: it is downloaded once, or read from the
# folder that SCALEFIT_DATA names. Run
#
#     python examples/chinchilla_points.py [FOLDER FOR THE PICTURE]

# %%
import sys
from pathlib import Path

import pandas as pd

import scalefit as sf

try:
    every = sf.datasets.load("chinchilla_epoch")
except sf.errors.DataError as error:
    sys.exit(str(error))
# The authors leave out the five largest losses: training that had barely started.
used = sf.datasets.load("chinchilla_epoch", keep="besiroglu_keep == 1")
print(used)

# %% [markdown]
# The canonical objective, Huber on log losses, on their 240 rows and on all 245.

# %%
fit = sf.fit(used)
print(fit.summary())
print()
with_outliers = sf.fit(every)
print(with_outliers)

# %% [markdown]
# Published: alpha 0.35, beta 0.37, E 1.82. The optimum of the objective they name is at alpha
# 0.34731, beta 0.36717, E 1.81722, its value 1.018274e-3.

# %%
assert round(fit.objective_value, 9) == 0.001018274
assert round(fit.params["alpha"], 5) == 0.34731
assert round(fit.params["beta"], 5) == 0.36717

# %% [markdown]
# What the choice of objective and of five rows does to the answer at 1e24 FLOP.

# %%
rows = []
for name, table in (("240 rows", used), ("245 rows", every)):
    for residual in ("log", "relative", "raw"):
        for robust in ("huber", "none"):
            other = sf.fit(table, residual=residual, robust=robust)
            best = sf.allocate(other, 1e24)
            rows.append(
                {
                    "rows": name,
                    "objective": f"{residual} {robust}",
                    "alpha": other.params["alpha"],
                    "beta": other.params["beta"],
                    "N* (1e9)": best.N / 1e9,
                    "D/N": best.tokens_per_param,
                }
            )
print(pd.DataFrame(rows).round(3).to_string(index=False))

# %%
print(sf.allocate(fit, flops=1e24))
ax = sf.plot.surface(fit, used, flops=1e24)
if len(sys.argv) > 1:
    ax.figure.savefig(Path(sys.argv[1]) / "chinchilla_points.png", dpi=150)
