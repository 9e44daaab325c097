# %% [markdown]
# # How certain is the optimum?
# A fit, four kinds of interval, and intervals of an allocation. The runs are simulated, so that the
# truth is known.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import scalefit as sf

runs = sf.simulate(sf.simulation.isoflop_design(points=10), noise=0.005, seed=1)
truth = sf.simulation.SURFACES["chinchilla"]
fit = sf.fit(runs)

# %% [markdown]
# Draws by resampling runs: each of them is a fit of its own.

# %%
draws = sf.bootstrap(fit, runs, n_draws=1000)
print(draws.summary())
assert draws.failed == 0

# %% [markdown]
# The same parameter by four methods.

# %%
methods = {
    "rows": draws.conf_int(),
    "residuals": sf.bootstrap(fit, runs, n_draws=1000, method="residuals").conf_int(),
    "sandwich": sf.covariance(fit, runs).conf_int(),
    "jacobian": sf.covariance(fit, runs, "jacobian").conf_int(),
}
print(pd.DataFrame({name: table.loc["alpha"] for name, table in methods.items()}).T)
print(sf.profile(fit, runs, "alpha"), "by profile; truth", truth["alpha"])

# %% [markdown]
# Twelve budgets, each tuned once for all of its runs: what a tuning adds to the loss is shared by
# them, and more runs at the same budget do not average it out.

# %%
design = sf.simulation.isoflop_design(12, points=8)
shared = sf.simulate(design, noise=sf.simulation.Noise(0.005, cluster="C", icc=0.7), seed=1)
found = sf.fit(shared)
clusters = sf.bootstrap(found, shared, n_draws=500, method="clusters", by="C")
ways = {
    "sandwich, ignoring tunings": sf.covariance(found, shared).conf_int(),
    "sandwich, by tuning": sf.covariance(found, shared, by="C").conf_int(),
    "clusters": clusters.conf_int(),
}
print(pd.DataFrame({name: table.loc["beta"] for name, table in ways.items()}).T)
print(sf.profile(found, shared, "beta", method="sandwich", by="C"), "by profile")
print("truth", truth["beta"])

# %% [markdown]
# The allocation of 1e23 FLOP with intervals. The loss of the run itself also has noise.

# %%
best = sf.allocate(draws, flops=1e23)
print(best)
loss = draws.predict(N=float(best.N), D=float(best.D))
run = draws.predict(N=float(best.N), D=float(best.D), kind="run")
print("loss of the surface:", loss)
print("loss of the run:    ", run)
print("exponent of N*:     ", draws.apply(lambda alpha, beta: beta / (alpha + beta)))
print(sf.profile(fit, runs, sf.allocation.optimum_function(fit, "N", flops=1e23)))

# %%
sf.plot.surface(draws, runs, flops=1e23)
sf.plot.predictions(draws, runs)
sf.plot.pairs(draws)
sf.plot.profile(sf.profile(fit, runs, "E"))
plt.show()
