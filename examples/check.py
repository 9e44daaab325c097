# %% [markdown]
# # What runs can tell, before they decide anything
# A ladder of models at 20 tokens per parameter fits any law of N and D, and tells their effects
# apart by nothing. `check` says so, and what the runs do determine.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

rng = np.random.default_rng(0)
N = np.geomspace(1e8, 1e10, 12)
rounded = 1 + 0.012 * rng.uniform(-1, 1, len(N))
ladder = sf.simulate(pd.DataFrame({"N": N, "D": 20 * N * rounded}), noise=0.003)
print(sf.check(ladder))

# %% [markdown]
# They determine the loss along their path, as a law of N alone.

# %%
of_size = sf.check(ladder, "chinchilla_n")
print(of_size)
print(sf.fit(ladder, "chinchilla_n").predict(N=3e10))

# %% [markdown]
# A plan of sweeps can be judged before it is trained, at the noise that seeds have.

# %%
for points in (5, 7, 9):
    plan = sf.simulation.isoflop_design([1e18, 1e19, 1e20, 1e21], points=points, width=4.0)
    found = sf.check(sf.simulate(plan, noise=0.0), noise=0.004)
    errors = found.to_frame().loc[["alpha", "beta"], "relative"]
    print(f"{found.runs} runs: alpha to {errors['alpha']:.1%}, beta to {errors['beta']:.1%}")

# %% [markdown]
# Half a decade of sizes fits as well, and reaches nowhere.

# %%
short = sf.simulation.grid_design(np.geomspace(1e8, 4e8, 5), np.geomspace(1e10, 4e10, 5))
for note in sf.check(sf.simulate(short, noise=0.002)).notes:
    print(note)
