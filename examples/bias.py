# %% [markdown]
# # The bias of Approach 2
# IsoFLOP sweeps of a known surface, fitted by parabolas (Approach 2) and by a law of the surface.

# %%
import sys
from pathlib import Path

import scalefit as sf

truth = {"E": 2.8, "A": 6.4e5, "B": 4500.0, "alpha": 0.72, "beta": 0.41}
budgets = [3e18, 1e19, 3e19, 1e20, 3e20]
design = sf.simulation.isoflop_design(budgets, points=9, width=8.0, drift=1.5, surface=truth)
runs = sf.simulate(design, params=truth, noise=0.003, seed=1)
found = sf.isoflop(runs)
fit = sf.fit(runs)
draws = sf.covariance(fit, runs).draws(500)

# %% [markdown]
# Both answers at 1e22 FLOP, the price of the difference, its causes, and how far it depends on the
# runs and on the objective.

# %%
report = sf.bias(draws, found, runs, flops=1e22)
print(report)

# %% [markdown]
# The truth is known here, so that both answers can be compared with it.

# %%
true = truth["beta"] / (truth["alpha"] + truth["beta"])
surface, parabolas = report.surface["n_exponent"], report.approach2["n_exponent"]
print(f"\nexponent of N*: true {true:.4f}, surface {surface:.4f}, Approach 2 {parabolas:.4f}\n")

# %% [markdown]
# Advice: sweeps with a small bias of the parabolas, and the runs that a surface fit needs.

# %%
print(sf.approach2.advise(fit, 1e22, tolerance=0.05))

# %%
fans, errors = sf.plot.bias(report)
bars = sf.plot.attribution(report.attribution)
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    fans.figure.savefig(folder / "bias.png", dpi=150)
    bars.figure.savefig(folder / "bias_parts.png", dpi=150)
