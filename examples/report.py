# %% [markdown]
# # A report for a paper and for colleagues
# A fit, intervals and an allocation in one page, and its methods for a paper. The runs are
# simulated; everything is written into a temporary folder.

# %%
import tempfile
from pathlib import Path

import scalefit as sf

runs = sf.simulate(sf.simulation.isoflop_design(points=10), noise=0.005, seed=1)
folder = Path(tempfile.mkdtemp())
runs.to_csv(folder / "runs.csv", index=False)

fit = sf.fit(folder / "runs.csv", keep="C > 2e17")
draws = sf.bootstrap(fit, folder / "runs.csv", n_draws=200, keep="C > 2e17")

# %% [markdown]
# What no table says comes from the author. The rest of the methods is what the fit knows.

# %%
report = sf.report(
    draws,
    folder / "runs.csv",
    sf.allocate(draws, 1e23),
    keep="C > 2e17",
    title="How large a model for 1e23 FLOP?",
    about={
        "N": "all parameters but embeddings",
        "D": "tokens seen, padding left out",
        "architecture": "dense decoder-only transformers",
        "optimizer": "AdamW",
        "schedule": "a cosine to a tenth of its peak, over exactly the tokens of the run",
    },
)
print(report.answer)

# %% [markdown]
# One page for a browser, Markdown for a repository, LaTeX for a paper.

# %%
for name in ("report.html", "report.md", "report.tex"):
    report.save(folder / name)
    print(f"wrote {name}")

text = (folder / "report.md").read_text()
print(text[text.index("**Fitting.**") :].partition("\n\n")[0])
