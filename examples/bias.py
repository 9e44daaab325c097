# %% [markdown]
# # What the parabolas did to the answer
# IsoFLOP sweeps of a known surface, read by parabolas (Approach 2) and by a fit of the surface.

# %%
import sys
from pathlib import Path

import scalefit as sf

design = sf.isoflop_design(points=9, width=16.0, drift=3.0, surface="asymmetric")
runs = sf.simulate(design, params="asymmetric", noise=0.003, seed=1)
found = sf.isoflop(runs)
fit = sf.fit(runs)
draws = sf.covariance(fit, runs).draws(500)

# %% [markdown]
# Both answers at 1e24 FLOP, what the difference costs, why, and how much rests on the data and on
# the objective.

# %%
report = sf.bias(draws, found, runs, flops=1e24)
print(report)

# %% [markdown]
# The truth is known here: which answer is nearer?

# %%
alpha, beta = (sf.SURFACES["asymmetric"][name] for name in ("alpha", "beta"))
print(f"\nexponent of N*: true {beta / (alpha + beta):.4f}, surface ", end="")
print(f"{report.surface['n_exponent']:.4f}, Approach 2 {report.approach2['n_exponent']:.4f}")

# %% [markdown]
# Next time: sweeps on which the parabolas would be right, and what a surface fit needs.

# %%
print(sf.advise(fit, 1e24, tolerance=0.05))

# %%
fans, errors = sf.plot.bias(report)
bars = sf.plot.attribution(report.attribution)
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    fans.figure.savefig(folder / "bias.png", dpi=150)
    bars.figure.savefig(folder / "bias_parts.png", dpi=150)
