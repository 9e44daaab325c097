# %% [markdown]
# # From an idea to an allocation in an evening
# How large a model, on how much text, for a budget that nobody has spent yet? Answered once, from
# nothing, on two cores of a CPU: a pilot, a design, a sweep, a law, its answer, and three models
# trained at the end to see whether it was right. Nothing is trained here: the 74 runs come with
# scalefit.

# %%
import io

import pandas as pd

import scalefit as sf

TARGET = 1e14  # FLOP, ten times the largest budget of the sweep

# %% [markdown]
# The models are transformers of two layers that read bytes of an English dictionary; a token is a
# byte. Losses are in nats per byte, on text that was held out. [The whole story](../own_sweep.md)
# has how they were trained, and [the table's datasheet](../datasets.md) is printed by
# `sf.datasets.info("scalefit_bytes")`.
#
# ## 1. A pilot
# Nineteen runs of eight to sixty seconds, just to know where to look.

# %%
PILOT = """N,D,loss
5052,3299072,1.81727
2600,6410240,1.94072
8272,2014720,1.76601
17016,979456,1.74153
28832,578048,1.77849
61680,270336,1.91709
5052,9896960,1.77006
2600,19230720,1.92704
8272,6044416,1.68968
17016,2938368,1.61487
28832,1734144,1.61942
61680,810752,1.70243
106816,467968,1.75946
17016,9794816,1.55030
8272,20148224,1.65643
28832,5780736,1.50398
61680,2702080,1.51769
106816,1560320,1.57241
233952,712448,1.66755
"""
pilot = sf.read(pd.read_csv(io.StringIO(PILOT)), loss_unit="nats_per_byte")
first = sf.fit(pilot)
first

# %% [markdown]
# ## 2. A design
# Five budgets, and nine sizes around the optimum of the pilot at each. What would they tell, if the
# pilot were right and runs were as noisy as it leaves over? That is known before anything is
# trained.

# %%
budgets = [1e11, 10**11.5, 1e12, 10**12.5, 1e13]
surface = dict(first.params)
plan = sf.simulation.isoflop_design(budgets, points=9, width=5.0, surface=surface)
planned = sf.simulate(plan, params=surface, noise=0.0)
sf.check(planned, noise=first.residual_rms).to_frame().round(3)

# %% [markdown]
# The exponents to about 6 %. That will do; it was trained in 43 minutes.
#
# ## 3. The sweep
# Two more seeds of the middle budget tell how far runs differ that should not.

# %%
runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
design = sf.check(runs)
print(f"Seeds of one model differ by {design.noise:.2%} of the loss; no law can be closer.")

# %%
parabolas = sf.isoflop(runs)
ax = sf.plot.isoflop(parabolas, runs)

# %% [markdown]
# ## 4. The first fit, and why it is doubted
# Its optimum is proved global: as a fit it could not be better. It is the law that is doubted.

# %%
additive = sf.fit(runs, certify=True)
print("proved global:", bool(additive.certificate))
print(additive.verdict.level, additive.verdict.words, sep=": ")

# %%
axes = sf.plot.residuals(additive, runs)

# %% [markdown]
# The lines bend along compute and D/N: size and text act together. A small model gains less from
# more text than a sum of two terms says.
#
# ## 5. Which law?
# Three laws, each fitted without the largest budget, and asked to predict it.

# %%
choice = sf.compare(runs, ["chinchilla", "chinchilla_tied", "chinchilla_outer"])
choice

# %%
fit = choice.fit
print(fit.verdict.level, fit.verdict.words, sep=": ")

# %% [markdown]
# ## 6. The answer
# With intervals from refits to resampled runs.

# %%
draws = sf.bootstrap(fit, runs, n_draws=500, progress=False)
best = sf.allocate(draws, flops=TARGET)
best

# %%
ax = sf.plot.surface(draws, runs, flops=TARGET)

# %% [markdown]
# ## 7. What Approach 2 would have said
# The parabolas above, extended by a straight line, against the surface on the same runs.

# %%
report = sf.bias(draws, parabolas, runs, TARGET)
report.attribution

# %% [markdown]
# ## 8. Was it right?
# Ten small models were trained far longer than is best, and three models at 1e14 FLOP: at the size
# that the *additive* law recommended, a third of it and three times it. No fit above has seen them.

# %%
unseen = {}
for part, other in (("overtrained", "target"), ("target", "overtrained")):
    table = sf.datasets.load("scalefit_bytes", keep=f"part != '{other}'")
    for law in ("chinchilla", "chinchilla_outer"):
        unseen[part, law] = sf.holdout(table, law, test=f"part == '{part}'")
        print(f"{part}, {law}: {unseen[part, law].verdict()}")

# %%
columns = ["N", "D", "observed", "predicted", "low", "high"]
largest = unseen["target", "chinchilla_outer"].to_frame()[columns]
largest.astype({"N": int, "D": int}).round(3)

# %%
every = sf.datasets.load("scalefit_bytes")
ax = sf.plot.curves(draws, every, flops=TARGET)

# %% [markdown]
# What to train was right, as far as three runs tell: the middle one is the best, near the size that
# both laws recommend. What it reaches was not: the law with the outer exponent expected 1.6 % more
# loss, the additive one 7 %. A decade beyond the runs, a law that describes them well is still not
# the law.
#
# ## What this does not say
# - The exponents are those of two layers, 64 bytes of context and one recipe; the floor E is that
#   of this family, not of English.
# - `chinchilla_outer` was chosen on these runs, by one budget. That the runs at 1e14 FLOP are
#   nearer to it is evidence for it here.
# - Noise was measured at one budget.
#
# Read on: [the whole story](../own_sweep.md), [designs of runs](../design.md), [how far a law
# reaches](../holdout.md), [the bias of Approach 2](../parabolas.md).
