# %% [markdown]
# # From a loss table to an allocation
# A simulated IsoFLOP sweep stands in for your runs: any DataFrame with model size, tokens and loss
# will do.

# %%
import sys
from pathlib import Path

import scalefit as sf

runs = sf.LossTable.from_frame(sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1))
print(runs)

# %% [markdown]
# `fit` searches the whole box of exponents and polishes the best cells. The result is a report:
# what was minimised, what was found, and how far to trust it.

# %%
fit = sf.fit(runs, "chinchilla")
print(fit.summary())

# %% [markdown]
# The optimum is exact, and evidence says so: the gradient is zero to rounding and every start
# agrees.

# %%
assert fit.status.usable
assert fit.diagnostics.gradient_cosine < 1e-10
assert fit.diagnostics.agreeing == fit.diagnostics.starts

# %% [markdown]
# Compute-optimal N and D for one budget or many; extrapolation is said, with its distance.

# %%
best = sf.allocate(fit, flops=1e24)
print(best)
print(sf.allocate(fit, flops=[1e21, 1e22, 1e23, 1e24]).to_frame())

# %% [markdown]
# What the objective does to the answer.

# %%
for residual in ("log", "relative", "raw"):
    for robust in ("huber", "none"):
        other = sf.fit(runs, residual=residual, robust=robust)
        ratio = sf.allocate(other, 1e24).tokens_per_param
        print(f"{residual:9} {robust:6} alpha {other.params['alpha']:.4f}  D/N at 1e24 {ratio:.0f}")

# %% [markdown]
# The picture: runs, contours, efficient frontier, the budget's optimum.

# %%
ax = sf.plot.surface(fit, runs, flops=1e24)
if len(sys.argv) > 1:
    ax.figure.savefig(Path(sys.argv[1]) / "quickstart.png", dpi=150)

# %% [markdown]
# Save and load: JSON, never code.

# %%
again = sf.Fit.from_json(fit.to_json())
assert again == fit
