# %% [markdown]
# # How large should Llama 3 have been?
# Before the real run of 3.8e25 FLOP, Llama 3 trained 133 small models at ten budgets, drew a
# parabola through the losses of each, and extended a straight line through their minima (Approach 2
# of Hoffmann et al. 2022). The same runs can be fitted by one law of all of them. How far are the
# two answers apart, why, and what would the difference cost?

# %%
import scalefit as sf

FLOPS = 3.8e25  # of the real run

# %% [markdown]
# ## The runs
# The points of Figure 2 of the paper, as digitised by others. They are read from the folder that
# `SCALEFIT_DATA` names, or downloaded once.

# %%
try:
    runs = sf.datasets.load("llama3_isoflops")
except sf.errors.DataError as error:
    raise SystemExit(f"This notebook needs the published points. {error}") from None
runs

# %% [markdown]
# The note matters: the paper does not say how its loss is normalised. The answers below, sizes and
# tokens, hardly depend on that; E, A and B do.

# %% [markdown]
# ## Approach 2: a parabola for each budget
# At one budget a small model reads much and a large one little; in between the loss is least. A
# parabola in ln N finds the place, and a straight line through the places in logarithms goes on to
# other budgets: N* grows as a power of C.

# %%
parabolas = sf.isoflop(runs)
parabolas

# %%
ax = sf.plot.isoflop(parabolas, runs)

# %% [markdown]
# ## The surface: one law of all runs
# A fit of $L(N, D) = E + A N^{-\alpha} + B D^{-\beta}$ uses every run of every budget at once. It
# assumes the form of the law, where Approach 2 assumes a parabola and a straight line. By squares
# on the losses themselves the optimum is proved global.

# %%
fit = sf.fit(runs, residual="raw", robust="none")
fit

# %%
draws = sf.bootstrap(fit, runs, n_draws=500, progress=False)
ax = sf.plot.surface(draws, runs, flops=FLOPS)

# %% [markdown]
# ## Both answers at 3.8e25 FLOP

# %%
found = sf.bias(draws, parabolas, runs, flops=FLOPS)
print(
    f"Approach 2 asks for {found.error('D'):.0%} more tokens. If the surface is right, that wastes "
    f"{found.deadweight:.1%} of the budget:\n{found.device_hours / 1e6:.2f} million hours of an "
    f"H100, or ${found.usd / 1e6:.1f} million."
)
found

# %% [markdown]
# "Wasted" means this: the surface reaches the loss of that run for less compute. The price is small
# because the optimum is flat, and large because the run is.

# %%
fans, errors = sf.plot.bias(found)

# %% [markdown]
# On the right, black crosses are what the parabolas would find on these sizes *without noise*. They
# lie on the line of the surface: the sweeps are narrow and well placed, and the method itself errs
# by less than 1 %. So what makes the difference?

# %% [markdown]
# ## Why
# The gap, taken apart: asymmetry, width, centring and drift are errors of the design, which any
# noise-free runs at these sizes would show. The rest is noise, and misfit of the law.

# %%
found.attribution

# %%
ax = sf.plot.attribution(found.attribution)

# %% [markdown]
# Nearly all of it is in the losses. Rules that look at one budget at a time flag 17 runs: some lie
# off the curve of their neighbours, and the two largest budgets hardly bend.

# %%
flagged = sf.approach2.flag_runs(runs)
flagged.groupby(["budget", "rule"]).size().rename("runs").to_frame()

# %% [markdown]
# Without them, left out of both methods, the two agree to 9 % of D*. So a few runs decide as much
# as the method does. What the surface minimises matters too: `deadweight`, the share of the budget
# that would be wasted, goes from 0.06 to 0.18.

# %%
columns = ["nobs", "n_exponent", "n_exponent_approach2", "error", "deadweight"]
found.variants[columns].round(3)

# %% [markdown]
# ## What this does not say
# - Not that Llama 3 was trained wrongly. The gap has an interval that includes zero, the authors
#   knew more about these runs than a figure shows, and a model that serves many people [should be
#   smaller](lifetime.md) than the compute-optimal one.
# - 3.8e25 FLOP lie 3.6 decades beyond the runs. Both answers are extrapolations of a form.
# - The points were read from a figure; so may be the runs that the rules flag.
#
# Read on: [the bias of Approach 2](../parabolas.md), [IsoFLOP sweeps](../isoflop.md), [what an
# answer does not say](../what_an_answer_does_not_say.md).
