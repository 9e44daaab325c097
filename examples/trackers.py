# %% [markdown]
# # From the logs of training runs to a law
# An experiment tracker has recorded every run. Simulated runs of the Trainer of Hugging Face stand
# in for yours: each leaves a `trainer_state.json`, and a `config.json` with its size.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np

import scalefit as sf

folder = Path(tempfile.mkdtemp())
design = sf.simulate(sf.simulation.isoflop_design(), noise=0.003, seed=1)
TOKENS_PER_STEP = 2**20


def write(run: Path, N: float, D: float, loss: float, stops_at: float = 1.0) -> None:
    """A run of a cosine schedule, from a loss of 11 to its final one."""
    planned = int(np.ceil(D / TOKENS_PER_STEP))
    share = np.linspace(0.0, stops_at, 21)[1:]
    log = [
        {
            "step": max(1, int(planned * part)),
            "eval_loss": float(loss + (11.0 - loss) * (1.0 - part) ** 4),
            "learning_rate": float(3e-4 * (0.1 + 0.45 * (1.0 + np.cos(np.pi * part)))),
        }
        for part in share
    ]
    state = {"global_step": log[-1]["step"], "max_steps": planned, "log_history": log}
    checkpoint = run / f"checkpoint-{state['global_step']}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_params": N}))


for place, row in design.iterrows():
    # Two of the runs were stopped early, and one lost its way.
    write(
        folder / f"run-{place:03}",
        row["N"],
        row["D"],
        12.5 if place == 7 else row["loss"],
        stops_at=0.4 if place in (3, 40) else 1.0,
    )

# %% [markdown]
# The histories of all runs, as they were recorded.

# %%
histories = sf.trackers.huggingface(folder)
print(histories)

# %% [markdown]
# One row for each run: its last loss. What has not finished or has diverged is left out, and
# listed.

# %%
runs = histories.table("eval_loss", tokens_per_step=TOKENS_PER_STEP)
for dropped in runs.dropped:
    print(f"left out: {dropped.row}, {dropped.rule}")
fit = sf.fit(runs)
print(fit)

# %% [markdown]
# With the runs that were stopped early, the table says that their losses are of another kind.

# %%
everything = histories.table(
    "eval_loss", tokens_per_step=TOKENS_PER_STEP, include=["unfinished", "diverged"]
)
print(next(note for note in everything.notes if note.code == "mid_schedule"))
