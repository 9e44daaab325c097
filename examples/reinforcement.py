# %% [markdown]
# # Reinforcement learning
# Two questions about one kind of curve. Where will a run end up, judged from its first part? And
# when a policy is trained against a reward model, how far may it go before the true reward falls?
#
# All data are simulated, and the true values are stated, so that you see what each fit recovers.
#
# ## The reward of a run over its compute
# Pass rates of reinforcement learning follow a sigmoid in the logarithm of compute:
#
# $$R(C) = R_0 + \frac{A - R_0}{1 + (C_{mid} / C)^B}$$
#
# with $R_0$ before training (measured, so it is fixed), $A$ at the end, $C_{mid}$ where half of
# the gain is made. True here: $R_0 = 0.20$, $A = 0.645$, $B = 1.7$, $C_{mid} = 10^{21}$ FLOP, and
# evaluations scatter by 0.8 points.

# %%
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf

TRUE = {"R0": 0.20, "A": 0.645, "B": 1.7, "C_mid": 1e21}
POINTS = sf.simulation.Noise(0.008, additive=True)
SQUARES = {"residual": "raw", "robust": "none"}  # a point is a point, at 20 % and at 60 %

compute = pd.DataFrame({"C": np.geomspace(2e19, 1e22, 40)})
run = sf.simulate(compute, "reward_of_compute", TRUE, noise=POINTS, seed=3)
fit = sf.fit(run, "reward_of_compute", fixed={"R0": 0.20}, **SQUARES)
fit

# %% [markdown]
# Next to the truth, with intervals:

# %%
whole = sf.covariance(fit, run).draws().to_frame()[["value", "low", "high"]]
whole.assign(true=[TRUE[name] for name in whole.index]).map("{:.3g}".format)

# %% [markdown]
# The whole run tells its end to half a point. But the whole run is what one wants to save.

# %% [markdown]
# ## From the early part
# The same fit to the run as it was at five moments. Refits to resampled evaluations give the end
# of the run, at $10^{22}$ FLOP, an interval.

# %%
END = 1e22
truth = float(sf.laws.reward_of_compute.evaluate({"C": END}, TRUE))
rows, bands = {}, {}
fine = np.geomspace(2e19, 1e22, 60)
for stop in (5e20, 1e21, 2e21, 4e21, 1e22):
    part = run[run["C"] <= stop]
    early = sf.fit(part, "reward_of_compute", fixed={"R0": 0.20}, **SQUARES)
    draws = sf.bootstrap(early, part, n_draws=200, progress=False)
    bands[stop] = draws.predict(C=fine)
    low, high = draws.predict(C=END).interval()
    rows[f"{stop:.0e}"] = {
        "evaluations": len(part),
        "of the run": f"{stop / END:.0%}",
        "reward at 1e22": f"{early.evaluate(C=END):.3f}",
        "95 %": f"{low:.2f} to {high:.2f}",
        "true": f"{truth:.3f}",
    }
pd.DataFrame(rows).T.rename_axis("stopped at, FLOP")

# %% [markdown]
# Up to $C_{mid}$ the curve looks the same whether it will end at 50 % or at 90 %: the fits are
# fine, their verdicts good, and the interval says that the end is not known. Twice $C_{mid}$ is
# where extrapolation begins to mean something.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
for ax, stop in zip(axes, (1e21, 4e21), strict=True):
    part = run["C"] <= stop
    ax.fill_between(fine, *bands[stop].interval(), alpha=0.25, linewidth=0)
    ax.plot(fine, bands[stop].value, label="fitted to the filled points")
    ax.plot(run["C"][part], run["reward"][part], "k.", markersize=6)
    ax.plot(run["C"][~part], run["reward"][~part], "k.", markerfacecolor="w", markersize=6)
    ax.set(xscale="log", xlabel="compute (FLOP)", title=f"up to {stop:.0e} FLOP", ylim=(0.15, 1))
axes[0].set_ylabel("pass rate")
axes[0].legend(frameon=False, loc="upper left")

# %% [markdown]
# ## Is it a sigmoid at all?
# Two rivals, a line each: one that rises faster at first and slower to its end,
# $e^{-(C_{mid}/C)^B}$, and one that goes on with $\ln C$ for ever. All are fitted to the run up to
# $2 \cdot 10^{21}$ and predict the rest.

# %%
Scale = Annotated[float, sf.laws.scale_of("C")]  # a parameter in the unit of C


@sf.law(source="this notebook", response="reward")
def gompertz(C, *, R0: sf.laws.Fraction, A: sf.laws.Fraction, B: sf.laws.Exponent, C_mid: Scale):
    """R0 + (A - R0) exp(-(C_mid / C)^B)"""
    return R0 + (A - R0) * np.exp(-((C_mid / C) ** B))


@sf.law(source="this notebook", response="reward")
def endless(C, *, R0: sf.laws.Fraction, a: sf.laws.Amplitude, C_mid: Scale):
    """R0 + a ln(1 + C / C_mid)"""
    return R0 + a * np.log1p(C / C_mid)


laws = ["reward_of_compute", gompertz, endless]
rivals = sf.compare(run, laws, test="C > 2e21", **SQUARES)
rivals

# %%
sf.plot.comparison(rivals)

# %% [markdown]
# ## Against a reward model
# A policy that is trained against a learned reward goes on to please it when that no longer helps.
# With $d$ the square root of the KL divergence from the starting policy, the true reward is
# $d\,(\alpha - \beta \ln d)$ under reinforcement learning, and $d\,(\alpha - \beta d)$ for the
# best of $n$ answers. Simulated: reinforcement learning with $\alpha = 0.9$, $\beta = 0.35$, and
# 0.04 of noise.

# %%
PEAK = {"alpha": 0.9, "beta": 0.35}
distance = pd.DataFrame({"distance": np.linspace(0.5, 9.0, 18)})
noise = sf.simulation.Noise(0.04, additive=True)
trained = sf.simulate(distance, "overoptimization_rl", PEAK, noise=noise, seed=1)
both = ["overoptimization_rl", "overoptimization_best_of_n"]
sf.compare(trained, both, test="distance > 5", **SQUARES)

# %% [markdown]
# How far may it go? The peak is at $d = e^{\alpha/\beta - 1}$. Any function of the parameters has
# an interval by the draws; here from the first part of the curve, before the peak, and from all of
# it.

# %%
exact = float(np.exp(PEAK["alpha"] / PEAK["beta"] - 1))
peaks = {}
for name, part in {"d up to 3": trained[trained["distance"] <= 3], "all": trained}.items():
    one = sf.fit(part, "overoptimization_rl", **SQUARES)
    draws = sf.covariance(one, part).draws(seed=0)
    place = draws.apply(lambda alpha, beta: np.exp(alpha / beta - 1))
    low, high = place.interval()
    peaks[name] = {
        "evaluations": len(part),
        "peak at d": f"{float(place.value):.2f}",
        "95 %": f"{low:.2f} to {high:.2f}",
        "true": f"{exact:.2f}",
    }
print(f"the true reward peaks at d = {peaks['all']['peak at d']}, truly {exact:.2f}")
pd.DataFrame(peaks).T.rename_axis("fitted to")

# %%
d = np.linspace(0.1, 10, 100)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for color, (name, end) in zip(("C1", "C0"), {"d up to 3": 3, "all": 9}.items(), strict=True):
    part = trained[trained["distance"] <= end]
    draws = sf.covariance(sf.fit(part, "overoptimization_rl", **SQUARES), part).draws(1000)
    band = draws.predict(distance=d)
    ax.fill_between(d, *band.interval(), alpha=0.25, linewidth=0, color=color)
    ax.plot(d, band.value, color=color, label=f"fitted to {name}")
ax.plot(trained["distance"], trained["reward"], "k.", label="evaluations")
ax.axvline(exact, color="grey", linestyle=":", label="true peak")
ax.set(xlabel="$d$ = square root of the KL divergence", ylabel="true reward", ylim=(0, 2.5))
ax.legend(frameon=False)

# %% [markdown]
# ## What this does not say
# Evaluations of one run depend on each other: its luck goes on, and the scatter along the curve
# does not show how far another seed would end from it (about two points in published runs). A run
# that is changed on the way, by another learning rate or other problems, is on another curve.
#
# More: [laws of rewards](../which_law.md), [laws of one column](../one_column.md), [a law of your
# own](../laws.md), [comparing laws](../compare.md), [intervals](../uncertainty.md).
