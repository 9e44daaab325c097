# %% [markdown]
# # Rows chosen by rules, results kept in files, and what is refused
# Nothing here runs what stands in a file or in a rule, and nothing is overwritten unasked.

# %%
import tempfile
from pathlib import Path

import numpy as np

import scalefit as sf

folder = Path(tempfile.mkdtemp())
runs = sf.simulate(sf.simulation.isoflop_design(), seed=1)
runs.loc[7, "loss"] = np.nan
runs.assign(corpus=np.where(runs.index % 2, "web", "code")).to_csv(folder / "runs.csv", index=False)

# %% [markdown]
# A rule is a small language: arithmetic, comparisons, `and or not in`, a dozen functions.

# %%
table = sf.read(folder / "runs.csv", keep=["notna(loss)", "6 * N * D < 1e21", "corpus in ['web']"])
print(f"{len(table)} runs, {len(table.dropped)} left out, each under its rule: {table.dropped[0]}")
try:
    sf.read(folder / "runs.csv", keep="loss.to_pickle('stolen')")
except sf.errors.DataError as error:
    print(f"refused: {error}")

# %% [markdown]
# A fit is a text, draws are one file with a digest. What does not belong together is refused.

# %%
fit = sf.fit(table)
draws = sf.bootstrap(fit, table, 200, progress=False)
(folder / "fit.json").write_text(fit.to_json())
draws.save(folder / "draws")
again = sf.Ensemble.load(folder / "draws")
assert sf.Fit.from_json((folder / "fit.json").read_text()).params == fit.params
assert np.array_equal(again.params["alpha"], draws.params["alpha"])
try:
    sf.Fit.from_json(fit.to_json().replace('"rows": ', '"rows": -'))
except sf.errors.DocumentError as error:
    print(f"refused: {error.field}: {error}")
try:
    draws.save(folder / "runs.csv")
except sf.ScalefitError as error:
    print(f"refused: {error}")

# %% [markdown]
# What makes no sense is refused by argument, value and remedy.

# %%
for wrong in ({"seed": 1.5}, {"certify": "no"}, {"bounds": {"alpha": (0.6, 0.2)}}):
    try:
        sf.fit(table, **wrong)
    except sf.errors.ArgumentError as error:
        print(f"refused: {error}")

# %% [markdown]
# A proof on request ends: its limit is a number of boxes, the same on every machine.

# %%
proved = sf.fit(table, residual="relative", delta=0.01, certify=2_000)
print(proved.certificate.known)
