"""Tables made to hide their lowest minimum from squares, shared by tests and a benchmark."""

import numpy as np
import pandas as pd


def hidden_table(seed):
    """Few runs on steep laws, some sizes off by a factor: minima side by side, or hidden."""
    rng = np.random.default_rng([seed, 5])
    rows = int(rng.integers(8, 60))
    N = np.exp(rng.uniform(np.log(1e6), np.log(1e9), rows))
    D = 20 * np.exp(rng.uniform(np.log(1e6), np.log(1e10), rows))
    share = np.exp(rng.uniform(-3, 1.5, 2))
    alpha, beta = np.exp(rng.uniform(np.log(0.05), np.log(1.5), 2))
    loss = 1 + share[0] * (N / N.min()) ** -alpha + share[1] * (D / D.min()) ** -beta
    loss *= np.exp(10 ** rng.uniform(-3, -0.8) * rng.standard_normal(rows))
    if seed % 2:
        ends = np.argsort(N)[:: rng.choice([-1, 1])][: 1 + int(0.25 * rng.random() * rows)]
        loss[ends] *= np.exp(rng.uniform(-1, 2))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})
