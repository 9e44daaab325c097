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
# `fit` searches the whole box of exponents and polishes the best cells. The result
# prints as a report: the parameters, the quality of the fit, notes.

# %%
fit = sf.fit(runs, "chinchilla")
print(fit.summary())

# %% [markdown]
# The evidence for the optimum: the gradient is zero to rounding, and all starts agree.

# %%
assert fit.status.usable
assert fit.diagnostics.gradient_cosine < 1e-10
assert fit.diagnostics.agreeing == fit.diagnostics.starts

# %% [markdown]
# Compute-optimal N and D for one budget or many. A note gives the distance of an extrapolation.

# %%
best = sf.allocate(fit, flops=1e24)
print(best)
print(sf.allocate(fit, flops=[1e21, 1e22, 1e23, 1e24]).to_frame())

# %% [markdown]
# Draws of the parameters give every answer an interval. `bias` compares the fit with the parabolas
# of Approach 2 on the same runs.

# %%
draws = sf.bootstrap(fit, runs, n_draws=200, progress=False)
print(sf.allocate(draws, flops=1e24))
print(sf.bias(draws, sf.isoflop(runs), runs, flops=1e24))

# %% [markdown]
# The allocation under other objectives.

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
# Save and load as JSON, without code.

# %%
again = sf.Fit.from_json(fit.to_json())
assert again == fit
