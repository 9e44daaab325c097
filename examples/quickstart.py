# %% [markdown]
# # From a loss table to an allocation
# The runs are an IsoFLOP sweep of small language models on bytes, which comes with scalefit. In its
# place: any DataFrame or file with model size, tokens and loss.

# %%
import sys
from pathlib import Path

import numpy as np

import scalefit as sf

runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
print(runs)

# %% [markdown]
# `fit` searches the whole box of exponents and polishes the best cells. The result
# prints as a report: the parameters, the quality of the fit, notes.

# %%
additive = sf.fit(runs, "chinchilla")
print(additive.summary())

# %% [markdown]
# The verdict is doubtful: further seeds of some runs tell the noise, and the law misses three times
# as much. The note names a law that bends. `compare` holds the largest budget out to tell which
# predicts better.

# %%
found = sf.compare(runs, ["chinchilla", "chinchilla_outer"])
print(found)
fit = found.fit
print(fit.summary())

# %% [markdown]
# The evidence for the optimum: the gradient is zero to rounding, and all starts agree.

# %%
assert fit.verdict
assert fit.diagnostics.gradient_cosine < 1e-10
assert fit.diagnostics.agreeing == fit.diagnostics.starts

# %% [markdown]
# Compute-optimal N and D for one budget or many. A note gives the distance of an extrapolation.

# %%
print(sf.allocate(fit, flops=1e14))
print(sf.allocate(fit, flops=[1e12, 1e13, 1e14]).to_frame())

# %% [markdown]
# Draws of the parameters give every answer an interval. `bias` compares the fit with the parabolas
# of Approach 2 on the same runs.

# %%
draws = sf.bootstrap(fit, runs, n_draws=200, progress=False)
print(sf.allocate(draws, flops=1e14))
print(sf.bias(draws, sf.isoflop(runs), runs, flops=1e14))

# %% [markdown]
# Runs that the fit has not seen: small models trained far longer than is optimal, and three at ten
# times the largest budget.

# %%
unseen = sf.datasets.load("scalefit_bytes", keep="held_out == 1")
miss = np.log(unseen.column("loss") / fit.predict(unseen))
size = np.sqrt(np.mean(miss**2))
print(f"{len(miss)} unseen runs: off by {size:.1%}, {np.abs(miss).max():.1%} at most")

# %% [markdown]
# The allocation under other objectives.

# %%
for residual in ("log", "relative", "raw"):
    for robust in ("huber", "none"):
        other = sf.fit(runs, fit.law, residual=residual, robust=robust)
        ratio = sf.allocate(other, 1e14).tokens_per_param
        print(f"{residual:9} {robust:6} alpha {other.params['alpha']:.4f}  D/N at 1e14 {ratio:.0f}")

# %% [markdown]
# The picture: runs, contours, efficient frontier, the budget's optimum.

# %%
ax = sf.plot.surface(fit, runs, flops=1e14)
if len(sys.argv) > 1:
    ax.figure.savefig(Path(sys.argv[1]) / "quickstart.png", dpi=150)

# %% [markdown]
# Save and load as JSON, without code.

# %%
again = sf.Fit.from_json(fit.to_json())
assert again == fit
