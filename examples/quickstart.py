# %% [markdown]
# # From your table to a decision
# You trained some models of different sizes and noted what they cost and how good they became. How
# large should the next one be, and on how much text should it be trained? This notebook goes from a
# CSV file, as people have it, to that answer, to its uncertainty, and to a page for colleagues. It
# takes a minute. Put your own file in place of `runs.csv`.

# %%
import tempfile
from pathlib import Path

import pandas as pd

import scalefit as sf

# %% [markdown]
# ## The file
# The runs are real: 61 small language models that read bytes, from [our own
# sweep](../own_sweep.md). Sizes and tokens are in millions, and the headers are none that any
# library asked for. As in any sweep, one run diverged and one crashed before it had a loss; those
# two rows we made up.

# %%
sweep = sf.datasets.frame("scalefit_bytes").query("held_out == 0")
table = pd.DataFrame(
    {
        "name": [f"run{number:02}" for number in range(len(sweep))],
        "params_m": sweep["N"] / 1e6,
        "tokens_m": sweep["D"] / 1e6,
        "final_val_loss": sweep["loss"].round(4),
    }
)
accidents = pd.DataFrame(
    {
        "name": ["diverged", "crashed"],
        "params_m": [0.0914, 0.1303],
        "tokens_m": [5.76, 12.8],
        "final_val_loss": [8.73, None],
    }
)
folder = Path(tempfile.mkdtemp())
path = folder / "runs.csv"
pd.concat([table[:40], accidents, table[40:]]).to_csv(path, index=False)
print(path.read_text()[:200])

# %% [markdown]
# ## Read it
# Nothing is dropped silently. A row without a loss is an error, which names the row and the option
# that leaves it out.

# %%
try:
    sf.read(path)
except sf.errors.DataError as error:
    print(error)

# %%
runs = sf.read(path, missing="drop")
runs

# %% [markdown]
# `params_m` was understood as parameters in millions, and the notes say so. N is the number of
# parameters from here on, D that of tokens (here bytes).

# %% [markdown]
# ## Fit it
# The usual law of the loss (Hoffmann et al. 2022) has five parameters:
#
# $$L(N, D) = E + A\,N^{-\alpha} + B\,D^{-\beta}$$
#
# E is the loss that no size and no amount of text removes; the other terms are what a model loses
# by being small, and by having read little.

# %%
sf.fit(runs)

# %% [markdown]
# The fit points at what it stumbled over. `outliers_dominate` gives two rows, and one of them is
# the run that diverged. The other is a run like any other, as a look shows. The objective is
# robust, so that one bad row moves the fit little, but it does not belong to the table. A rule
# leaves it out, and the crashed one with it: a missing loss is not below 5.

# %%
runs.to_frame().loc[[3, 40]]

# %%
runs = sf.read(path, keep="final_val_loss < 5")
first = sf.fit(runs)
print(first.verdict.level, first.verdict.words, sep=": ")

# %% [markdown]
# ## Is the law right?
# A verdict says whether the law describes these runs. Here it doubts it: some models were trained
# three times with other seeds, which tells the noise of a run (0.4 % of the loss), and the law
# misses three times as much. The picture has what it leaves over, against each column. Of a right
# law the points lie evenly around zero; here they bend along compute and D/N.

# %%
axes = sf.plot.residuals(first, runs)

# %% [markdown]
# ## Another law
# The note on the fit names laws that bend where this one cannot. `chinchilla_outer` raises the sum
# of the two terms to a power. It is better on the runs that it was fitted to, as any law with
# another parameter is. Does it also predict runs that it has *not* seen? `compare` takes runs out,
# fits each law to the rest, and looks.

# %%
found = sf.compare(runs, ["chinchilla", "chinchilla_outer"])
found

# %%
axes = sf.plot.held_out(found, runs)

# %%
fit = found.fit
print(fit.verdict.level, fit.verdict.words, sep=": ")

# %% [markdown]
# ## The decision
# Training costs about 6 N D floating-point operations. For 1e14 of them, ten times the largest
# budget of the sweep: which N and D give the least loss? Refitting to resampled runs gives the
# interval of every answer.

# %%
draws = sf.bootstrap(fit, runs, n_draws=400, progress=False)
best = sf.allocate(draws, flops=1e14)
print(f"D/N at 1e14 FLOP: {best.tokens_per_param:.0f} bytes for each parameter")
best

# %%
ax = sf.plot.curves(draws, runs, flops=1e14)

# %% [markdown]
# Each line is a model size; dashed parts lie beyond its runs. The same from above, with the line of
# the best models of all budgets:

# %%
ax = sf.plot.surface(draws, runs, flops=1e14)

# %% [markdown]
# How much does it matter? The optimum is flat: these sizes reach the same loss for at most 5 % more
# compute. Take the one that suits your hardware.

# %%
sf.near_optimal(draws, 1e14, overhead=0.05)

# %% [markdown]
# ## A page for colleagues
# The answer, the data, every warning, the methods of a paper, and the calls that repeat it all.

# %%
report = sf.report(draws, runs, best, path=folder / "report.html", title="What to train next")
print(report.answer)

# %% [markdown]
# ## What to run next
# If there is compute left for some more small runs, say for two of the largest ones so far: which
# runs would make this answer sharper, and by how much?

# %%
sf.next_runs(fit, runs, target=1e14, budget=2e13)

# %% [markdown]
# ## What this does not say
# - 1e14 FLOP lies one decade beyond the runs. The intervals are those of the fitted law; no
#   interval holds a wrong law ([what an answer does not say](../what_an_answer_does_not_say.md)).
#   In this case the runs [were trained](../own_sweep.md#the-runs-themselves): the size was right,
#   the loss 1.6 % too high.
# - The count of FLOPs is 6 N D. [Another cost](../costs.md), as attention or serving, has another
#   optimum: [the next notebooks](lifetime.md).
# - The exponents are those of this recipe. A learning rate that is wrong for the large models bends
#   them, and no fit can see it.
#
# Read on: [tables as people have them](../tables.md), [is the law right](../model_checking.md),
# [intervals](../uncertainty.md), [allocation](../allocation.md).
