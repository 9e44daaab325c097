# %% [markdown]
# # The next sweep
# There is compute for more runs. Which ones make the answer most certain, and by how much? Three
# steps: check a plan before anything is trained, choose runs once there are some, and fit again.
#
# The losses are simulated from the surface of the Chinchilla paper with 0.5 % of noise, so that
# the right answer is known.

# %%
import numpy as np
import pandas as pd

import scalefit as sf

TARGET = 1e22  # FLOP of the run that all this is for
NOISE = 0.005
TRUE = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0), certify=False)


def train(design, seed):
    """Stands for training the runs of a design."""
    return sf.simulate(design[["N", "D"]], noise=NOISE, seed=seed)


# %% [markdown]
# ## Before there are runs
# A plan is a table of `N` and `D`. To judge it, give it the losses of a surface that might be
# true, and the noise between seeds that you expect. Here is one that many teams begin with: a
# ladder of models at 20 tokens per parameter.

# %%
sizes = np.geomspace(2e7, 2e9, 12)
ladder = pd.DataFrame({"N": sizes, "D": 20 * sizes * (1 + 0.01 * np.cos(5 * np.arange(12)))})
sf.check(sf.simulate(ladder, noise=0.0), noise=NOISE)

# %% [markdown]
# On a ladder $N$ and $D$ grow together, and no fit can tell what each does. Sweeps at fixed
# compute move them apart. How many sizes for each budget?

# %%
rows = {}
for points in (4, 5, 7, 9):
    plan = sf.simulation.isoflop_design([1e18, 5e18, 2e19, 1e20], points=points, width=4.0)
    found = sf.check(sf.simulate(plan, noise=0.0), noise=NOISE)
    error = found.to_frame().loc[["alpha", "beta"], "relative"]
    rows[f"{points} sizes"] = {
        "runs": len(plan),
        "FLOP": f"{plan['C'].sum():.2g}",
        "error of alpha": f"{error['alpha']:.1%}",
        "error of beta": f"{error['beta']:.1%}",
    }
pd.DataFrame(rows).T

# %% [markdown]
# ## The first sweep
# Five sizes at four budgets, and then as much compute again for what follows. The interval of the
# compute-optimal model is the number to watch.

# %%
design = sf.simulation.isoflop_design([1e18, 5e18, 2e19, 1e20], points=5, width=4.0)
SPARE = design["C"].sum()
runs = train(design, seed=3)
fit = sf.fit(runs)
draws = sf.covariance(fit, runs).draws()
before = sf.allocate(draws, flops=TARGET)
before

# %% [markdown]
# ## Which runs next?
# `next_runs` weighs every run that the compute can buy by how much it narrows the interval of
# $N^*$ at the target. It knows from the fit what each run would teach, and not its loss.

# %%
plan = sf.next_runs(fit, runs, target=TARGET, budget=SPARE, noise=NOISE)
plan

# %%
sf.plot.next_runs(plan)

# %% [markdown]
# The runs lie at the edges, where they say most if the law is right, and where they rest on it
# most if it is not. Limits keep them where you would trust them: `limits={"N": 5e9, "D/N": (2,
# 500)}`.

# %% [markdown]
# ## Train, add, fit again
# In three parts, each chosen with the losses of those before.

# %%
table, steps = runs, []
for part in range(3):
    one = sf.fit(table)
    chosen = sf.next_runs(one, table, target=TARGET, budget=SPARE / 3, count=7, noise=NOISE)
    table = pd.concat([table, train(chosen.runs, seed=100 + part)], ignore_index=True)
    errors = f"{chosen.before[0]:.1%}", f"{chosen.after[-1, 0]:.1%}"
    steps.append((len(table), f"{chosen.spent:.2g}", *errors))
columns = ["runs", "FLOP spent", "error of N* before", "planned after"]
pd.DataFrame(steps, columns=columns, index=["part 1", "part 2", "part 3"])

# %%
last = sf.fit(table)
after = sf.allocate(sf.covariance(last, table).draws(seed=1), flops=TARGET)
after

# %% [markdown]
# ## What it bought
# The comparison is the same compute spent on the same sweep again, with other seeds.

# %%
again = pd.concat([runs, train(design, seed=200)], ignore_index=True)
repeated = sf.allocate(sf.covariance(sf.fit(again), again).draws(seed=2), flops=TARGET)
truth = sf.allocate(TRUE, flops=TARGET).N
rows = {}
for name, found, count in (
    ("first sweep", before, len(runs)),
    ("the same sweep twice", repeated, len(again)),
    ("chosen runs", after, len(table)),
):
    row = found.to_frame().iloc[0]
    rows[name] = {
        "runs": count,
        "N*": f"{row['N'] / 1e9:.2f}B",
        "95 %": f"{row['N_low'] / 1e9:.2f}B to {row['N_high'] / 1e9:.2f}B",
        "width": f"{row['N_high'] / row['N_low']:.2f} times",
        "off by": f"{row['N'] / truth - 1:+.1%}",
    }
pd.DataFrame(rows).T

# %%
was, same, now = (row["width"] for row in rows.values())
print(f"ends of the interval of N*: {was} apart; the sweep repeated {same}; chosen runs {now}")

# %% [markdown]
# ## What this does not say
# The runs are chosen for one question at one target, under one law. They are not the best ones for
# another question, and they test the law least where they lean on it most: keep some runs at the
# middle of the sweep, and look at the verdict of each fit.
#
# More: [choosing runs](../design.md), [allocation](../allocation.md),
# [intervals](../uncertainty.md).
