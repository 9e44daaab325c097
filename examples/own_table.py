# %% [markdown]
# # A table as it is
# Runs from a spreadsheet: sizes in millions as text, tokens in billions, losses in bits per byte,
# a run that diverged, and a header of its own for the loss. Nothing is cleaned by hand.

# %%
import tempfile
from pathlib import Path

import numpy as np

import scalefit as sf

design = sf.simulate(sf.simulation.isoflop_design([1e18, 1e19, 1e20], points=7), seed=2)
BYTES_PER_TOKEN = 4.2
lines = ["Model Size;Tokens (B);C4 bpb;notes"]
for place, row in design.iterrows():
    bits = row["loss"] / np.log(2) / BYTES_PER_TOKEN
    loss = "diverged" if place == 5 else f"{bits:.6f}".replace(".", ",")
    tokens = f"{row['D'] / 1e9:.6g}".replace(".", ",")
    lines.append(f"{row['N'] / 1e6:.0f}M;{tokens};{loss};")
path = Path(tempfile.mkdtemp(), "runs.csv")
path.write_text("\n".join(lines), encoding="utf-8")
print("\n".join(lines[:4]))

# %% [markdown]
# The first try says everything that is missing, with a guess, in one call to paste.

# %%
try:
    sf.fit(path)
except sf.errors.DataError as error:
    print(error)

# %% [markdown]
# The call, with the unit of the loss; then the run without a loss, by the rule that is printed.

# %%
options = {"loss": "C4 bpb", "loss_unit": "bits_per_byte", "bytes_per_token": BYTES_PER_TOKEN}
try:
    sf.fit(path, **options)
except sf.errors.DataError as error:
    print(error)

# %%
runs = sf.read(path, **options, keep="`C4 bpb` != 'diverged'")
print(runs)
fit = sf.fit(runs)
print(fit)
print(sf.allocate(fit, 1e22))

# %% [markdown]
# The same table with plain headers over billions is fitted, but not allocated for a budget in
# FLOP: N* would come out as a few billion where it is in the table's own unit.

# %%
plain = runs.to_frame()[["N", "D", "loss"]].assign(
    N=lambda f: f["N"] / 1e9, D=lambda f: f["D"] / 1e9
)
wrong = sf.fit(plain)
try:
    sf.allocate(wrong, 1e22)
except sf.errors.AllocationError as error:
    print(error)
print(sf.allocate(sf.fit(plain, N=("N", 1e9), D=("D", 1e9)), 1e22))
