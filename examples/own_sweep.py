# %% [markdown]
# # From an idea to an allocation in an evening
# Small language models on bytes, trained on two cores by the scripts of `data/sweep`. Nothing is
# trained here: the results are in the repository, and the table in scalefit.

# %%
import sys
from pathlib import Path

import scalefit as sf

SWEEP = Path(__file__).parents[1] / "data" / "sweep"
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else None
TARGET = 1e14

# %% [markdown]
# ## Pilot
# Nineteen runs of eight to sixty seconds, to know where the optimum lies. A token is a byte.

# %%
pilot = sf.read(SWEEP / "pilot.jsonl", loss_unit="nats_per_byte")
first = sf.fit(pilot)
print(first.summary())

# %% [markdown]
# ## Design
# Five budgets, nine sizes each around the optimum of the pilot. What would they tell, if the pilot
# is right and the noise is what the pilot leaves over?

# %%
budgets = [1e11, 10**11.5, 1e12, 10**12.5, 1e13]
plan = sf.simulation.isoflop_design(budgets, points=9, width=5.0, surface=dict(first.params))
planned = sf.simulate(plan, params=dict(first.params), noise=0.0)
print(sf.check(planned, noise=first.residual_rms))

# %% [markdown]
# ## Sweep and check
# `python data/sweep/plan.py main` writes the manifest of the widths nearest to these sizes, and
# `python data/sweep/sweep.py main` trains it. Does it identify the law? What is the noise of seeds?

# %%
runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
print(sf.check(runs))

# %% [markdown]
# ## The first fit
# Its optimum is proved global. That is the fit; the law misses three times the noise of seeds.

# %%
additive = sf.fit(runs, certify=True)
print(additive.certificate)
print(additive.verdict)
sf.plot.diagnosis(sf.diagnose(additive, runs))

# %% [markdown]
# ## Which law?
# By the runs of the largest budget, held out.

# %%
choice = sf.compare(runs, ["chinchilla", "chinchilla_tied", "chinchilla_outer"])
print(choice)
fit = choice.fit
print(fit.verdict)

# %% [markdown]
# ## The answer, with intervals

# %%
draws = sf.bootstrap(fit, runs, n_draws=500, progress=False)
print(draws.summary())
print(sf.allocate(draws, flops=TARGET))

# %% [markdown]
# ## Approach 2 on the same runs

# %%
parabolas = sf.isoflop(runs)
report = sf.bias(draws, parabolas, runs, TARGET)
print(report)
print(report.attribution)

# %% [markdown]
# ## Runs that no fit has seen
# Small models trained far longer than is optimal, and models trained at ten times the largest
# budget: of the size that the additive law recommended, a third of it and three times it.

# %%
unseen = {}
for part, other in (("overtrained", "target"), ("target", "overtrained")):
    table = sf.datasets.load("scalefit_bytes", keep=f"part != '{other}'")
    for law in ("chinchilla", "chinchilla_outer"):
        unseen[part, law] = sf.holdout(table, law, test=f"part == '{part}'")
        print(f"{part}, {law}: {unseen[part, law].verdict()}")
columns = ["N", "D", "observed", "predicted", "low", "high"]
print(unseen["target", "chinchilla_outer"].to_frame()[columns].to_string(index=False))

# %% [markdown]
# ## Pictures

# %%
pictures = {
    "surface": sf.plot.surface(draws, runs, flops=TARGET),
    "isoflop": sf.plot.isoflop(parabolas, runs),
    "overtrained": sf.plot.holdout(unseen["overtrained", "chinchilla_outer"])[0],
}
if OUT:
    for name, ax in pictures.items():
        ax.figure.savefig(OUT / f"own_sweep_{name}.png", dpi=110)
