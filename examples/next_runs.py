# %% [markdown]
# # Which runs next?
# A small table of IsoFLOP sweeps, and compute for some more runs. The losses are simulated, so that
# the truth is known.

# %%
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import scalefit as sf

TARGET, MONEY = 1e22, 3e20
design = sf.simulation.isoflop_design([1e18, 5e18, 2e19, 1e20], points=5, width=4.0)
table = sf.simulate(design, seed=3)[["N", "D", "loss"]]
truth = sf.fit(sf.simulate(design, noise=0.0), certify=False)

# %% [markdown]
# All runs at once: a plan by the fit of today.

# %%
fit = sf.fit(table)
plan = sf.next_runs(fit, table, target=TARGET, budget=MONEY)
print(plan)

# %% [markdown]
# In three parts: each plan uses the losses of the runs before it. The noise between seeds is known
# here; without `noise=` it is that of each fit.

# %%
for step in range(3):
    fit = sf.fit(table)
    part = sf.next_runs(fit, table, target=TARGET, budget=MONEY / 3, count=7, noise=0.005)
    losses = sf.simulate(part.runs[["N", "D"]], seed=100 + step)
    table = pd.concat([table, losses], ignore_index=True)
    print(f"part {step + 1}: {len(losses)} runs for {part.spent:.3g} FLOP, ", end="")
    print(f"standard error of N* {part.before[0]:.1%} to {part.after[-1, 0]:.1%}")

# %%
true, found = (sf.allocate(one, flops=TARGET).N for one in (truth, sf.fit(table)))
print(f"N* after {len(table)} runs: {found:.3g}, truth {true:.3g}, {np.log(found / true):+.1%}")

# %%
ax = sf.plot.next_runs(plan)
if len(sys.argv) > 1:
    ax.figure.savefig(Path(sys.argv[1]) / "next_runs.png", dpi=150)
