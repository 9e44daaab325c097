# %% [markdown]
# # Is the law right here?
# What a fit leaves over, and what its answer depends on: an IsoFLOP table with one budget whose
# large models were trained with too coarse a schedule.

# %%
import sys
from pathlib import Path

import numpy as np

import scalefit as sf

budgets = [1e18, 1e19, 1e20, 1e21, 1e22]
runs = sf.simulate(sf.simulation.isoflop_design(budgets, points=7), noise=0.003, seed=1)
bad = runs["C"] == 1e20
share = np.log(runs["N"][bad] / runs["N"][bad].min())
runs.loc[bad, "loss"] *= np.exp(0.04 * share / share.max())
fit = sf.fit(runs, robust="none")

# %% [markdown]
# N* at 1e24 FLOP: its interval, and how far it moves without one budget, without one size, and with
# another objective.

# %%
found = sf.diagnose(fit, runs, target=1e24)
print(found)
print("\nthe budget that moves it most:", found.largest_swing["block"])

# %% [markdown]
# Each budget left out, with the standard error of such a change if the law is right.

# %%
print(found.left_out[["by", "block", "runs", "N", "swing", "expected", "flagged"]].round(3))

# %%
axes = sf.plot.diagnosis(found)
if len(sys.argv) > 1:
    axes[0, 0].figure.savefig(Path(sys.argv[1]) / "diagnosis.png", dpi=150)
