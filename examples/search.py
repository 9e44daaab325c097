# %% [markdown]
# # Looking at the search, and proving its result
# Variable projection searches a plane: each pair of exponents represents the best surface with
# them.

# %%
import sys
from pathlib import Path

import scalefit as sf

runs = sf.LossTable.from_frame(sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1))
fit = sf.fit(runs, "chinchilla", robust="none")
looked = fit.diagnostics
print(
    f"{looked.cells_by_squares:,} cells by squares, {looked.basins} basin, "
    f"{looked.agreeing} starts agree"
)

# %% [markdown]
# For squared errors the optimum is proved: no point in the whole box of parameters is lower by more
# than the gap.

# %%
print(fit.certificate)
assert fit.certificate
assert fit.certificate.gap <= 1e-6

# %% [markdown]
# The picture: colours are multiples of the minimum of the objective, dots the cells, the star
# the optimum.

# %%
ax = sf.plot.projected(fit, runs)
if len(sys.argv) > 1:
    ax.figure.savefig(Path(sys.argv[1]) / "projected.png", dpi=150)

# %% [markdown]
# The default objective is not a sum of squares, and cells that squares rank would mislead it: with
# the losses of the seven smallest models doubled, starts from the best cells of squares agree on a
# minimum at alpha 0.87. The cells are those of the objective itself, and the report counts them.
# Its proof takes longer than the fit, and is made where it is asked for.

# %%
spoiled = sf.simulate(sf.simulation.isoflop_design(), seed=1)
spoiled.loc[spoiled["N"].nsmallest(7).index, "loss"] *= 2
robust = sf.fit(spoiled, certify=True)
print(
    f"alpha {robust.params['alpha']:.4f}, {robust.diagnostics.cells} cells of the objective itself"
)
print(robust.certificate)
assert robust.certificate
assert robust.certificate.gap <= 1e-6
assert not sf.fit(spoiled).certificate
assert robust.objective_value <= sf.fit(spoiled, bounds={"alpha": (0.7, 0.84)}).objective_value * (
    1 + 1e-12
)

# %% [markdown]
# A law of many nonlinear parameters is searched by scattered points instead of a grid. Farseer lets
# every part of the surface drift with N.

# %%
truth = {"E": 1.7, "B": 300.0, "beta": 0.28, "e": -0.06, "b": -0.3, "c": -0.03}
powers = {"p": 0.2, "q": -0.2, "r": 0.1}
drifting = sf.simulate(
    sf.simulation.isoflop_design(), "farseer", truth | powers, noise=0.002, seed=1
)
found = sf.fit(drifting, "farseer")
print(found.summary())
assert found.diagnostics.search == "scattered"
