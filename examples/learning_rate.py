# %% [markdown]
# # Learning rate and batch size from all runs of a sweep
# Simulated sweeps of nine model sizes by token counts; the loss as a law of learning rate, batch,
# N and D; its optimum with intervals, beside that of the best run of each cell.

# %%
from itertools import product

import numpy as np
import pandas as pd

import scalefit as sf

TRUTH = {
    **{"E": 1.2, "A": 0.7, "P": 0.088, "Q": 0.048, "R": 0.2, "W": 2.4e-5},
    **{"alpha": 0.25, "p": 0.43, "r": 0.3, "u": 0.54, "v": 0.35, "k": 0.28},
}
factors = (0.25, 0.5, 1.0, 2.0, 4.0)
design = pd.DataFrame(
    [
        (a * 1.79 * N**-0.713 * D**0.307, b * 0.58 * D**0.571, N, D)
        for N, D, a, b in product((6e7, 2.5e8, 1e9), (2e9, 1.4e10, 1e11), factors, factors)
    ],
    columns=["lr", "batch", "N", "D"],
)
runs = sf.simulate(design, "posynomial_bowl", TRUTH, noise=0.002, seed=1)

# %% [markdown]
# All 225 runs. The walls of the bowl are no outliers: squares.

# %%
fit = sf.fit(runs, "posynomial_bowl", robust="none")
print(fit.summary())
draws = sf.covariance(fit, runs).draws(500)
best = sf.optimal_columns(draws, ["lr", "batch"], N=1e9, D=[1e11, 1e12])
print(best)

# %% [markdown]
# The same by the best run of each cell, as optima are usually fitted: nine rows, whose values are
# steps of the grid.

# %%
cells = runs.loc[runs.groupby(["N", "D"])["loss"].idxmin()]
for law, column in (("optimal_learning_rate", "lr"), ("optimal_batch_size", "batch")):
    table = cells.drop(columns="loss")
    powers = sf.fit(table, law, robust="none")
    spread = sf.covariance(powers, table).draws(500)
    few = spread.predict(N=1e9, D=1e11) if column == "lr" else spread.predict(D=1e11)
    ends, all_runs = few.interval(), best.estimate(column).interval()
    ratio = np.log(ends[1] / ends[0]) / np.log(all_runs[1][0] / all_runs[0][0])
    print(f"{column}: {few.value:.3g} by the best of each cell, {ratio:.0f} times as uncertain")

# %% [markdown]
# One column alone: the best learning rate of a batch that the hardware dictates. And an optimum
# that the range does not hold.

# %%
print(sf.optimal_columns(fit, "lr", batch=[1e5, 1e6, 4e6], N=1e9, D=1e11))
narrow = sf.optimal_columns(fit, "lr", batch=1e6, N=1e9, D=1e11, within={"lr": (1e-5, 1e-4)})
print(*(note for note in narrow.notes if note.code == "no_inner_optimum"))
