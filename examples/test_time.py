# %% [markdown]
# # Test-time compute
# Ask a model once, and it solves some problems. Ask it a hundred times and keep any right answer,
# and it solves more: the share of problems that one of $k$ attempts solves is the *coverage*, or
# pass@k. How many attempts does a target take? And is it cheaper to ask a small model often, or a
# large one seldom?
#
# All data are simulated. The first model solves each of 400 problems with a chance of its own,
# drawn from a Beta distribution with $\alpha = 0.35$, $\beta = 2.5$: many hopeless problems, few
# easy ones. Each is attempted 100 times.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf

TRUE = {"alpha": 0.35, "beta": 2.5}
PROBLEMS, ATTEMPTS = 400, 100
K = np.array([1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 100])

rng = np.random.default_rng(0)
solved = rng.binomial(ATTEMPTS, rng.beta(*TRUE.values(), PROBLEMS))


def coverage(solved):
    """pass@k for each k, without bias: 1 - C(n - c, k) / C(n, k), c of n attempts right."""
    tried = np.arange(K.max())[:, None]
    left = np.clip((ATTEMPTS - solved - tried) / (ATTEMPTS - tried), 0, None)
    return 1 - np.cumprod(left, axis=0)[K - 1].mean(axis=1)


runs = pd.DataFrame({"samples": K, "coverage": coverage(solved)})
runs.set_index("samples").round(3).T

# %% [markdown]
# ## Two laws, one curve
# `coverage_power`, $c = e^{-a k^{-b}}$, is a straight line in $\ln(-\ln c)$ over $\ln k$.
# `coverage_beta` is what problems of unequal difficulty give: $c = 1 - B(\alpha, \beta + k) /
# B(\alpha, \beta)$.

# %%
laws = ("coverage_power", "coverage_beta")
fits = {law: sf.fit(runs, law, residual="raw", robust="none") for law in laws}
fits["coverage_beta"]

# %% [markdown]
# Inside the runs the two laws agree to a fraction of a point; a hundred times farther out the
# power, which is too steep for many attempts, is a point above. Both lie below the truth where
# there are runs, for a reason that no law mends: these 400 problems happen to be hard ones.

# %%
far = np.array([1, 10, 100, 1_000, 10_000])
table = pd.DataFrame({law: one.evaluate(samples=far) for law, one in fits.items()}, index=far)
table["true"] = sf.laws.coverage_beta.evaluate({"samples": far}, TRUE)
table.rename_axis("attempts").round(3)

# %% [markdown]
# ## How many attempts for a target?
# The points of one coverage curve come from the same problems and the same attempts, so they err
# together, and no interval that takes them as independent holds. What is drawn at random are the
# problems: resample those, compute the curve again, fit again.

# %%
resampled = {
    draw: pd.DataFrame(
        {"samples": K, "coverage": coverage(solved[rng.integers(0, PROBLEMS, PROBLEMS)])}
    )
    for draw in range(60)
}
many = sf.fit_many(resampled, "coverage_beta", residual="raw", robust="none", progress=False)
draws = many.to_frame()[["alpha", "beta"]]
draws.quantile([0.05, 0.5, 0.95]).round(2).assign(of=["5 %", "median", "95 %"]).set_index("of")

# %%
TARGETS = (0.5, 0.7, 0.8, 0.9)
wide = np.geomspace(1, 1e6, 2000)
columns = {"samples": wide}
curves = np.array(
    [sf.laws.coverage_beta.evaluate(columns, dict(row)) for _, row in draws.iterrows()]
)
exact = sf.laws.coverage_beta.evaluate(columns, TRUE)
needed = {}
for target in TARGETS:
    likely, power = (
        float(sf.inverse_predict(fits[law], target).value)
        for law in ("coverage_beta", "coverage_power")
    )
    low, high = np.quantile([np.interp(target, row, wide) for row in curves], [0.05, 0.95])
    needed[f"{target:.0%}"] = {
        "attempts": f"{likely:,.0f}",
        "90 % interval": f"{low:,.0f} to {high:,.0f}",
        "true": f"{np.interp(target, exact, wide):,.0f}",
        "by coverage_power": f"{power:,.0f}",
    }
print(f"coverage of 90 % takes {needed['90%']['attempts']} attempts")
pd.DataFrame(needed).T.rename_axis("coverage")

# %% [markdown]
# The interval holds the luck of the problems. It does not hold the choice of the law, which
# matters as much at 90 %.

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.fill_between(wide, *np.quantile(curves, [0.05, 0.95], axis=0), alpha=0.25, linewidth=0)
ax.plot(wide, fits["coverage_beta"].evaluate(samples=wide), label="coverage_beta, 90 %")
ax.plot(wide, fits["coverage_power"].evaluate(samples=wide), label="coverage_power")
ax.plot(wide, exact, "k--", linewidth=1, label="true")
ax.plot(K, runs["coverage"], "ko", markersize=4, label="measured")
ax.set(xscale="log", xlim=(1, 1e5), ylim=(0, 1), xlabel="attempts per problem", ylabel="coverage")
ax.legend(frameon=False, loc="lower right")

# %% [markdown]
# ## Someone must notice the right answer
# Coverage is what a perfect verifier would make of the attempts. One that lets some of the wrong
# answers pass stops at one of those sooner or later, and then more attempts help no more:

# %%
k = np.arange(1, 10_001)
perfect = fits["coverage_beta"].evaluate(samples=k)
verified = {
    f"{1 - sound:.1%} of wrong answers pass": sf.laws.verified_coverage(perfect, soundness=sound)
    for sound in (0.999, 0.98, 0.9)
}
pd.DataFrame({"perfect": perfect, **verified}, index=k).loc[far].round(3)

# %% [markdown]
# ## Size against attempts
# Larger models need fewer attempts and cost more for each. The 24 models of an IsoFLOP sweep were
# asked 1, 4, 16, 64 and 256 times; the loss is the mean of $-\ln$ pass@k over the problems:
#
# $$L = E + A N^{-\alpha} + B D^{-\beta} + G k^{-\gamma}$$
#
# These are simulated too, with 1 % of noise.

# %%
LIFE = {"E": 0.15, "A": 60.0, "B": 200.0, "G": 0.9, "alpha": 0.3, "beta": 0.28, "gamma": 0.45}
design = sf.simulation.isoflop_design(np.geomspace(1e18, 1e21, 4), points=6)
design = design.loc[design.index.repeat(5)].reset_index(drop=True)
design["samples"] = np.tile([1, 4, 16, 64, 256], len(design) // 5)
asked = sf.simulate(design, "train_to_test", LIFE, noise=0.01, seed=1)
joint = sf.fit(asked, "train_to_test")
joint

# %% [markdown]
# Training costs $6 N D$, an attempt $2 N$ for each of 500 tokens, and over its life the model gets
# a hundred thousand to a billion problems. Given $10^{22}$ FLOP for all of it, what are the best
# $N$, $D$ and $k$?


# %%
def lifetime(problems):
    """Cost of training and of all attempts at so many problems."""

    @sf.allocation.cost(source=f"training, and 500 tokens an attempt at {problems:.0e} problems")
    def cost(N, D, samples):
        """6 N D + 2 N 500 k problems"""
        return 6.0 * N * D + 1000.0 * problems * N * samples

    return cost


joint_draws = sf.covariance(joint, asked).draws(300)
rows = {}
for problems in (1e5, 1e6, 1e7, 1e8, 1e9):
    cost = lifetime(problems)
    best = sf.allocate(joint_draws, flops=1e22, cost=cost, free={"samples": (1, 256)})
    row = best.to_frame().iloc[0]
    asking = 1000.0 * problems * row["N"] * row["samples"] / 1e22
    rows[f"{problems:.0e}"] = {
        "N": f"{row['N'] / 1e9:.2f}B",
        "D": f"{row['D'] / 1e12:.2f}T",
        "k": f"{row['samples']:.0f}",
        "k, 95 %": f"{row['samples_low']:.0f} to {row['samples_high']:.0f}",
        "asking, % of cost": f"{100 * asking:.0f}",
        "loss": f"{row['loss']:.3f}",
        "solved": f"{np.exp(-row['loss']):.0%}",
    }
pd.DataFrame(rows).T.rename_axis("problems")

# %% [markdown]
# The more a model is asked, the smaller it should be, and the longer trained; attempts give way
# only when they take a good part of the cost. 256 attempts are the most that were measured, and
# the most allowed here: for few problems more would help. `solved` is $e^{-L}$, the geometric mean
# of pass@k.
#
# At one cost of asking, without training, which model and how many attempts? Models with 200
# tokens per parameter, for $10^{13}$ FLOP a problem:

# %%
sizes = np.geomspace(1e8, 3e9, 60)
attempts = 1e13 / (1000.0 * sizes)
there = (attempts >= 1) & (attempts <= 256)
grid = {"N": sizes[there], "D": 200 * sizes[there], "samples": attempts[there]}
loss = joint_draws.predict(**grid)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.fill_between(grid["N"], *loss.interval(), alpha=0.25, linewidth=0)
ax.plot(grid["N"], loss.value, label="fitted, 95 %")
ax.plot(grid["N"], sf.laws.train_to_test.evaluate(grid, LIFE), "k--", linewidth=1, label="true")
least = np.argmin(loss.value)
ax.plot(grid["N"][least], loss.value[least], "*", markersize=14, color="C1")
note = f"{grid['N'][least] / 1e9:.2f}B, {grid['samples'][least]:.0f} attempts"
ax.annotate(
    note, (grid["N"][least], loss.value[least]), xytext=(-30, 14), textcoords="offset points"
)
ax.set(xscale="log", xlabel="$N$ (parameters)", ylabel="loss, $-\\ln$ pass@k")
ax.legend(frameon=False)

# %% [markdown]
# ## What this does not say
# A coverage beyond the attempts that were made rests on how hard the hardest problems are, of
# which the runs hold few: compare both laws, and read the interval. Coverage needs a verifier; a
# vote or a reward model in its place is a law of its own.
#
# More: [laws of samples](../which_law.md), [laws of one column](../one_column.md),
# [costs](../costs.md), [allocation](../allocation.md).
