# %% [markdown]
# # Which learning-rate schedule?
# Fit two schedules, predict any other. The curves are simulated by the multi-power law: a cosine
# and a run of two stages, of 12,000 steps each, with losses every 200 steps.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf

PEAK, WARMUP = 3e-4, 1000


def cosine(total):
    """Warm-up, then a cosine to a tenth of the peak."""
    step = np.arange(total + 1)
    done = np.clip((step - WARMUP) / (total - WARMUP), 0, 1)
    return PEAK * np.minimum(step / WARMUP, 1) * (0.1 + 0.45 * (1 + np.cos(np.pi * done)))


def two_stages(total, first, share):
    """Warm-up, stable until a step, then a share of the peak."""
    step = np.arange(total + 1)
    return PEAK * np.minimum(step / WARMUP, 1) * np.where(step < first, 1, share)


def wsd(total, decay):
    """Warm-up, stable, and an exponential decay over the last share of the steps."""
    step = np.arange(total + 1)
    done = np.clip((step - (1 - decay) * total) / (decay * total), 0, 1)
    return PEAK * np.minimum(step / WARMUP, 1) * 0.1**done


# %% [markdown]
# A schedule becomes columns: sums over its steps until each row. With `lam` come those of the
# annealing law, with `nodes` (by default) those of the multi-power law.

# %%
law = sf.laws.multi_power()
steps = np.arange(1200, 12001, 200)
made = {"cosine": cosine(12000), "two stages": two_stages(12000, 6000, 0.3)}
design = pd.concat(
    [sf.laws.schedule_columns(lr, steps).assign(schedule=name) for name, lr in made.items()],
    ignore_index=True,
)
truth = {"E": 2.65, "A": 0.6, "alpha": 0.45, "B": 440, "C": 2.1, "beta": 0.6, "gamma": 0.65}
runs = sf.simulate(design, law, truth, noise=0.0005, seed=1)
fit = sf.fit(runs, law)
print(fit)

# %% [markdown]
# The same curves by the annealing law, for some `lam`: that of the least objective is taken.

# %%
annealed = {}
for lam in (0.99, 0.995, 0.998, 0.999, 0.9995):
    parts = [sf.laws.schedule_columns(lr, steps, lam=lam, nodes=0) for lr in made.values()]
    table = pd.concat(parts, ignore_index=True).assign(loss=runs["loss"].to_numpy())
    annealed[lam] = sf.fit(table, "annealing")
best = min(annealed, key=lambda lam: annealed[lam].objective_value)
print(f"lam = {best}: {annealed[best].objective_value:.3g}, multi_power {fit.objective_value:.3g}")

# %% [markdown]
# A third schedule, which neither fit has seen, beside the truth.

# %%
unseen = wsd(12000, 0.2)
columns = sf.laws.schedule_columns(unseen, steps)
error = fit.predict(columns) / law.evaluate(columns, truth) - 1
print(f"WSD, unseen: predicted within {100 * np.abs(error).max():.2f} % at every step")

# %% [markdown]
# And what was the question: which decay ends lowest, at 24,000 steps?

# %%
total = 24000
shapes = {"cosine": cosine(total)} | {
    f"WSD, last {100 * decay:.0f} %": wsd(total, decay) for decay in (0.05, 0.1, 0.2, 0.4)
}
last = pd.concat([sf.laws.schedule_columns(lr, [total]) for lr in shapes.values()])
losses = dict(zip(shapes, fit.predict(last), strict=True))
for name, loss in losses.items():
    print(f"{name:15s} {loss:.4f}")
winner = min(losses, key=losses.get)
gain = losses["cosine"] - losses[winner]
print(f"{winner} ends lowest, {gain:.4f} nats below the cosine")

# %%
every = np.arange(WARMUP, total + 1, 100)
for name in ("cosine", winner):
    plt.plot(every, fit.predict(sf.laws.schedule_columns(shapes[name], every)), label=name)
plt.xlabel("step")
plt.ylabel("loss (nats per token)")
plt.legend()
plt.show()
