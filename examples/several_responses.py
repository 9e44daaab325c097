# %% [markdown]
# # Losses of several domains, fitted at once
# Runs are measured on code and on web text. The exponents are shared, and each domain has its own
# E, A and B.

# %%
import numpy as np

import scalefit as sf

TRUE = {
    "loss_code": {"E": 1.1, "A": 300.0, "B": 250.0},
    "loss_web": {"E": 1.9, "A": 420.0, "B": 400.0},
}
runs = sf.simulation.isoflop_design(points=12)
law, rng = sf.laws.find("chinchilla"), np.random.default_rng(1)
of_run = 0.002 * rng.standard_normal(len(runs))
for name, params in TRUE.items():
    noise = of_run + 0.002 * rng.standard_normal(len(runs))
    runs[name] = law.evaluate(runs, {**params, "alpha": 0.34, "beta": 0.28}) * np.exp(noise)
runs.loc[5, "loss_code"] = np.nan
print(runs.head().round(3))

# %% [markdown]
# One fit. The run that was not measured on code counts for web text all the same.

# %%
responses = list(TRUE)
fit = sf.fit(runs, "chinchilla", responses=responses)
print(fit.summary())
assert fit.nobs == 2 * len(runs) - 1

# %% [markdown]
# Intervals resample runs with both of their losses: what they share is no evidence twice.

# %%
draws = sf.bootstrap(fit, runs, n_draws=200, progress=False)
print(draws.to_frame().round(4))
alone = sf.fit(runs[runs["loss_code"].notna()], loss="loss_code")
print("alpha of both", round(fit["alpha"], 4), "and of code alone", round(alone["alpha"], 4))

# %% [markdown]
# A surface for each response; predictions of all of them.

# %%
new = runs[["N", "D"]].head(3) * 100
print(fit.predict(new).round(3))
for name in responses:
    best = sf.allocate(fit.at(response=name), flops=1e22)
    print(f"{name}: N* {float(best.N):.3g}, D/N {float(best.D / best.N):.3g}")

# %% [markdown]
# Do they share their exponents? Held-out runs say.

# %%
found = sf.compare(sf.read(runs, responses=responses), ["chinchilla"], groups="response")
print(found.to_frame()[["free", "error", "verdict"]])
