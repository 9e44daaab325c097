# %% [markdown]
# # Two data recipes
# Recipe A trains on the web as it is, recipe B on the tenth of it that a classifier likes. B looks
# better on small models. Is it better on large ones, and is it worth its price?
#
# The runs are simulated so that the truth is known. Filtering makes tokens worth more (a smaller
# $B$ in $L = E + A N^{-\alpha} + B D^{-\beta}$) and takes away some variety, which raises the
# floor $E$. The exponents are the same. Losses of both are on one held-out set, with 0.3 % of
# noise. The table has the best loss of each recipe at three of the nine budgets.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf

SHARED = {"A": 400.0, "alpha": 0.34, "beta": 0.28}
TRUTH = {
    "web": SHARED | {"E": 1.75, "B": 410.0},
    "filtered": SHARED | {"E": 1.82, "B": 310.0},
}
design = sf.simulation.isoflop_design(np.geomspace(1e18, 1e21, 9), points=7)
tables = {
    recipe: sf.simulate(design, params=truth, noise=0.003, seed=seed).assign(recipe=recipe)
    for seed, (recipe, truth) in enumerate(TRUTH.items())
}
runs = pd.concat(tables.values(), ignore_index=True)
runs.pivot_table("loss", index="C", columns="recipe", aggfunc="min").round(3).iloc[::4]

# %% [markdown]
# ## What do the recipes share?
# One law for all runs, one law with some coefficients by recipe, or two laws that share nothing?
# `compare` fits all three and predicts the largest budgets of both.

# %%
sharing = sf.compare(runs, ["chinchilla"], groups="recipe")
sharing

# %% [markdown]
# The fourteen held-out runs are too few for a verdict. The tests take all 126: the recipes differ
# ("pooled" is rejected, with residuals nine times as large), and two sets of exponents are not
# needed ("shared" within "alone"). Sharing them makes everything else more certain, and $E$, $A$
# and $B$ may differ.

# %%
fit = sf.fit(runs, groups={"E": "recipe", "A": "recipe", "B": "recipe"})
fit

# %% [markdown]
# ## How much compute is filtering worth?
# The compute multiplier at a budget $C$: how many times $C$ the web recipe needs to reach the loss
# that the filtered one has at $C$, each at its own best $N$ and $D$. Above 1 filtering wins. Draws
# of the fit give it an interval; both recipes come from the same fit, so the draws are paired.

# %%
draws = sf.bootstrap(fit, runs, n_draws=500, method="strata", by="recipe", progress=False)
web, filtered = draws.at(recipe="web"), draws.at(recipe="filtered")
budgets = np.geomspace(1e18, 1e24, 7)
multiplier = sf.compute_multiplier(filtered, web, budgets, paired=True)

exact = {
    recipe: sf.fit(sf.simulate(design, params=truth, noise=0.0), certify=False)
    for recipe, truth in TRUTH.items()
}
true = sf.compute_multiplier(exact["filtered"], exact["web"], budgets).value
table = multiplier.to_frame().round(2).assign(true=true.round(2))
table["filtering wins"] = [f"{share:.0%}" for share in np.mean(multiplier.draws > 1, axis=0)]
table.set_axis([f"{budget:.0e}" for budget in budgets]).rename_axis("FLOP")

# %% [markdown]
# "Filtering wins" is the share of draws in which it does. Where it is neither near 0 % nor near
# 100 %, these runs do not decide.

# %%
fine = np.geomspace(1e18, 1e24, 40)
curve = sf.compute_multiplier(filtered, web, fine, paired=True)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.fill_between(fine, *curve.interval(), alpha=0.25, linewidth=0)
ax.plot(fine, curve.value, label="fitted, with its 95 % interval")
ax.plot(budgets, true, "k.", label="true")
ax.axhline(1.0, color="grey", linewidth=0.8)
ax.axvspan(1e21, 1e24, color="grey", alpha=0.08, label="beyond the runs")
ax.set(xscale="log", yscale="log", xlim=(1e18, 1e24))
ax.set(xlabel="compute of the filtered recipe, FLOP", ylabel="compute multiplier")
ax.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
ax.minorticks_off()
ax.legend(frameon=False)

# %% [markdown]
# ## Where do they cross?
# Along its best allocations each recipe is a curve $L(C)$. The vertices of the IsoFLOP parabolas
# are nine points of it; a power law above a floor goes through them, and `crossing` finds where
# the two curves meet.

# %%
curves = {}
for seed, (recipe, one) in enumerate(tables.items()):
    vertices = sf.isoflop(one).budgets
    best = pd.DataFrame({"C": vertices["budget"], "loss": vertices["loss"]})
    law = sf.fit(best, "power_offset", x="C", robust="none")
    curves[recipe] = sf.bootstrap(law, best, n_draws=500, seed=seed, progress=False)
sf.crossing(curves["filtered"], curves["web"])

# %% [markdown]
# The same question to the fit of all runs, which knows more: the budget at which its multiplier
# passes 1, and those at which the ends of its interval do.


# %%
def passes_one(multipliers):
    """The budget where a falling row of multipliers is 1."""
    return np.exp(np.interp(0.0, -np.log(multipliers), np.log(fine)))


low, high = map(passes_one, curve.interval())
truly = passes_one(sf.compute_multiplier(exact["filtered"], exact["web"], fine).value)
print(f"they cross at {passes_one(curve.value):.2g} FLOP (95 %: {low:.2g} to {high:.2g})")
print(f"truly at {truly:.2g} FLOP")

# %% [markdown]
# ## At what price?
# Filtering is not free. A classifier of 100M parameters reads ten tokens for each one that is
# kept: $10 \cdot 2 \cdot 10^8$ FLOP for each token of training. If this run pays for it alone,
# that is a cost like any other, and the filtered recipe is allocated under it.


# %%
@sf.allocation.cost(source="a classifier of 100M parameters on ten tokens for each one kept")
def with_filtering(N, D):
    """6 N D + 2e9 D"""
    return 6.0 * N * D + 2e9 * D


plain = sf.allocate(web, flops=budgets)
free = sf.allocate(filtered, flops=budgets)
paid = sf.allocate(filtered, flops=budgets, cost=with_filtering)
losses = {"web": plain.loss, "filtered, free": free.loss, "filtered, paid": paid.loss}
choice = pd.DataFrame(losses, index=[f"{budget:.0e}" for budget in budgets]).rename_axis("FLOP")
choice["price, % of budget"] = (100 * 2e9 * paid.D / budgets).round(1)
choice["best, if paid"] = np.where(paid.loss < plain.loss, "filtered", "web")
choice.round(3)

# %% [markdown]
# The price falls with the budget, as larger models train longer on each token: it is a matter for
# small runs. Data that are filtered once and trained on many times divide it by the number of
# runs. What the price does to $N^*$ and $D^*$ at one budget, with intervals:

# %%
sf.allocate(filtered, flops=1e21, cost=with_filtering)

# %% [markdown]
# ## What this does not say
# The held-out set decides: filtered data look better on text like themselves. Beyond the runs the
# answer is that of the floor $E$, which is the least certain of all coefficients. And a recipe
# that runs out of tokens repeats them, which none of these laws knows.
#
# More: [groups and shared exponents](../groups.md), [compute multipliers](../allocation.md),
# [crossings of laws of one column](../one_column.md), [costs](../costs.md).
