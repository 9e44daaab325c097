# %% [markdown]
# # Quantization formats with shared exponents
# Runs in four formats: the exponents, E and B are shared, and each format has its own A. How much
# smaller does a format make the model?

# %%
import numpy as np
import pandas as pd

import scalefit as sf

# Simulated: a format acts as if the model had eff * N parameters.
EFF = {"bf16": 1.0, "fp8": 0.97, "int4": 0.72, "int2": 0.15}
design = sf.simulation.isoflop_design(points=24)
design["format"] = np.resize(list(EFF), len(design))
shrunk = design.assign(N=design["N"] * design["format"].map(EFF))
runs = design.assign(loss=sf.simulate(shrunk, noise=0.002, seed=1)["loss"])
print(runs.groupby("format", sort=False).size())

# %% [markdown]
# One law for all formats: the verdict says that it does not describe them, and the note names the
# column.

# %%
pooled = sf.fit(runs)
print(pooled.verdict.words)
print(*pooled.notes, sep="\n")

# %% [markdown]
# One fit of all of them: one coefficient A for each format.

# %%
fit = sf.fit(runs, "chinchilla", groups={"A": "format"})
print(fit.summary())
assert fit.verdict.level == "good"

# %% [markdown]
# A_f N^-alpha = A_bf16 (eff N)^-alpha: the ratio of the coefficients says what a format costs.

# %%
alpha = fit.params["alpha"]
eff = {f: (fit.params["A[bf16]"] / fit.params[f"A[{f}]"]) ** (1 / alpha) for f in EFF}
print(pd.DataFrame({"eff, fitted": eff, "eff, true": EFF}).round(3))
for name, value in EFF.items():
    assert abs(eff[name] - value) < 0.05

# %% [markdown]
# Predictions ask for the format; an allocation asks for one surface.

# %%
print(fit.predict(N=7e9, D=2e11, format=list(EFF)))
for name in EFF:
    best = sf.allocate(fit.at(format=name), flops=1e23)
    print(f"{name}: N* {float(best.N):.3g}, D* {float(best.D):.3g}, loss {float(best.loss):.4f}")
