# %% [markdown]
# # Skills of model families
# Six families with four models each, measured on five benchmarks. Two skills are behind the scores;
# families differ in how much of each they have, and parameters and tokens add to both.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

rng = np.random.default_rng(0)
FAMILIES, BENCHMARKS = list("abcdef"), ["arc", "hellaswag", "mmlu", "gsm8k", "math"]
FLOORS = {"arc": 0.25, "hellaswag": 0.25, "mmlu": 0.25}
models = pd.DataFrame(
    {
        "family": np.repeat(FAMILIES, 4),
        "N": np.tile([1e9, 3e9, 8e9, 70e9], 6),
        "D": np.repeat(rng.uniform(1e12, 15e12, 6), 4),
    },
    index=[f"{family}-{size}" for family in FAMILIES for size in ("1b", "3b", "8b", "70b")],
)
size, tokens = np.log(models["N"] / 1e10), np.log(models["D"] / 1e13)
knowledge = 0.5 * size + 0.3 * tokens + np.repeat(rng.normal(size=6), 4)
reasoning = 0.4 * size + 0.5 * tokens + np.repeat(rng.normal(size=6), 4)
LOADINGS = {
    "arc": (0.8, 0.0),
    "hellaswag": (1.0, 0.1),
    "mmlu": (0.9, 0.3),
    "gsm8k": (0.1, 1.2),
    "math": (0.0, 1.0),
}
for name, (of_knowledge, of_reasoning) in LOADINGS.items():
    inner = of_knowledge * knowledge + of_reasoning * reasoning
    floor = FLOORS.get(name, 0.0)
    exact = floor + (1 - floor) / (1 + np.exp(-inner))
    models[name] = np.clip(exact + 0.01 * rng.standard_normal(len(models)), 0, 1)
print(models.head(4).round(3))

# %% [markdown]
# The largest model of the last family is not there yet. The others place it.

# %%
known = models.drop(index="f-70b")
found = sf.skills.fit_skills(known, BENCHMARKS, skills=2, floors=FLOORS, penalty=0.1)
print(found.summary())
predicted = found.predict(N=70e9, D=models.loc["f-70b", "D"], family="f")[0]
beside = pd.DataFrame({"predicted": predicted, "observed": models.loc["f-70b", BENCHMARKS]})
print(beside.astype(float).round(3))

# %% [markdown]
# Does that hold of every family? Each in turn keeps its smallest model only.

# %%
out = sf.skills.leave_families_out(models, BENCHMARKS, skills=2, floors=FLOORS, penalty=0.1)
print(out.to_frame().round(3))
worst = (beside["predicted"] - beside["observed"]).abs().max()
print(f"f-70b is predicted to {worst:.3f} at worst, larger models to {out.mean_abs_error:.3f}")

# %% [markdown]
# The same models by principal components over compute, without sigmoids and floors.

# %%
components = sf.skills.fit_components(known, BENCHMARKS, components=2)
print(components.summary())
compute = 6 * 70e9 * models.loc["f-70b", "D"]
print(components.predict(compute, "f").round(3), "too low: the scores bend upwards")
