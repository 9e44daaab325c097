# %% [markdown]
# # Which law?
# Two laws can describe the same runs and disagree about the next, larger one. Here they are judged
# by runs that neither has seen, with an interval on the difference; and where the runs cannot tell
# them apart, new runs are chosen that can.
#
# The runs are simulated, so that the answer is known. Their terms in $N$ and $D$ interact, as on
# several public tables:
#
# $$L = E + S \left[(1 - w)\,(N/N_0)^{-\alpha} + w\,(D/D_0)^{-\beta}\right]^k, \quad k = 0.5,$$
#
# and each loss is off by 0.2 % at random. With $k = 1$ this is the law of the Chinchilla paper.

# %%
import pandas as pd

import scalefit as sf

TRUTH = {"E": 1.7, "S": 0.7, "w": 0.5, "alpha": 0.6, "beta": 0.6, "k": 0.5}
BUDGETS = [1e18, 3e18, 1e19, 3e19, 1e20, 3e20, 1e21]


def train(design, noise, seed):
    """Stands for training the runs of a design."""
    return sf.simulate(design, "chinchilla_outer", TRUTH, noise=noise, seed=seed)


runs = train(sf.simulation.isoflop_design(BUDGETS, points=7), noise=0.002, seed=1)
runs.head(7)

# %% [markdown]
# ## One law at a time
# Every fit says whether its law describes the runs. The additive law does not: its residuals have
# a pattern along compute and along tokens per parameter, where there should be noise alone.

# %%
additive = sf.fit(runs, "chinchilla")
additive.verdict

# %%
sf.plot.residuals(additive, runs)

# %% [markdown]
# ## Several laws, one protocol
# `compare` fits every law to the same runs and predicts the same held-out ones, here the two
# largest budgets from the five below. The difference of two errors has an interval of its own; a
# law is called worse only where that interval excludes zero.

# %%
found = sf.compare(runs, ["chinchilla", "chinchilla_tied", "chinchilla_outer"], hold=2)
found

# %%
sf.plot.comparison(found)

# %% [markdown]
# The second table above tests laws that are special cases of others. Here it asks whether $k = 1$
# will do, and whether one exponent serves for both terms. The winner, fitted to all runs again, is
# `found.fit`: its $k$ should be near the true 0.5.

# %%
print(f"chosen: {found.best}, k = {found.fit.params['k']:.2f}")
found.fit

# %% [markdown]
# ## How far does each reach?
# From each budget, both laws predict the next one: an origin that rolls through the table.
# `inside` is the share of runs that the 95 % intervals hold.

# %%
reach = {
    law: sf.holdout(runs, law, scheme="rolling", robust="none")
    for law in ("chinchilla", "chinchilla_outer")
}
columns = ["rmse", "largest", "inside"]
pd.concat({law: one.folds[columns].iloc[2:] for law, one in reach.items()}, axis=1).round(2)

# %% [markdown]
# Errors are in percent of the loss. The additive law does not get better with more compute, as a
# right one would; the error is in its form, and no interval of a fit covers a wrong form.

# %% [markdown]
# ## These runs cannot tell
# Now a smaller sweep of three budgets, with five times the noise. Both laws pass as good.

# %%
small = train(sf.simulation.isoflop_design(BUDGETS[:3], points=5), noise=0.01, seed=4)
small = small[["N", "D", "loss"]]
undecided = sf.compare(small, ["chinchilla", "chinchilla_outer"])
undecided

# %% [markdown]
# "Cannot tell" does not say that the laws are equal. It says that with these runs either choice is
# a guess. What the guess is worth, ten times beyond the largest budget:

# %%
pair = {law: sf.fit(small, law) for law in ("chinchilla", "chinchilla_outer")}
best = pd.concat([sf.allocate(one, flops=1e20).to_frame() for one in pair.values()])
best.set_axis(list(pair))[["N", "D", "D/N", "loss"]].map("{:.3g}".format)

# %% [markdown]
# ## What would tell them apart?
# `next_runs` takes one fit as the truth, lets the other bend as far as it can, and picks the runs
# where that is not far enough. They lie at the edges: small models trained for very long, and
# large ones trained briefly, where an interaction of $N$ and $D$ shows.

# %%
plan = sf.next_runs(
    pair["chinchilla_outer"], small, target=pair["chinchilla"], budget=2e20, noise=0.01, count=8
)
plan

# %% [markdown]
# The last two columns say how far apart the laws are after each run, in standard deviations of a
# run. If the additive law is true the other one follows it closely, as it contains it: with enough
# runs its $k$ will come out as 1. Train them, add them, ask again.

# %%
new = train(plan.runs[["N", "D"]], noise=0.01, seed=9)
more = pd.concat([small, new], ignore_index=True)
decided = sf.compare(more, ["chinchilla", "chinchilla_outer"], scheme="rolling")
decided

# %%
tests = pd.concat({"before": undecided.tests, "after": decided.tests}).droplevel(1)
tests[["law", "within", "constraint", "effect", "p"]].assign(p=tests["p"].map("{:.2g}".format))

# %% [markdown]
# Two questions, two answers. The test takes all runs together and now rejects $k = 1$. The
# held-out errors favour the same law, but they are few, and the interval of their difference still
# holds zero: whether the bend matters for prediction, these runs do not settle.

# %% [markdown]
# ## What this does not say
# The best of the laws compared is not the true one: all may be wrong, and a law that wins one
# decade ahead may lose three decades ahead. Compare at the distance at which you will use it.
#
# More: [the comparison of laws](../compare.md), [held-out runs](../holdout.md), [which law for
# which question](../which_law.md), [choosing runs](../design.md).
