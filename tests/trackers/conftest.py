"""Simulated runs whose final losses are known, and histories of them."""

import pandas as pd
import pytest

import scalefit as sf

# Parameters and final loss of each run; what a loss is above the final one, by step.
RUNS = {"small": (1e7, 3.5), "middle": (4e7, 3.1), "large": (1.6e8, 2.8)}
ABOVE = {0: 7.0, 250: 2.0, 500: 1.0, 750: 0.5, 1000: 0.0}
TOKENS = 1e6


@pytest.fixture
def losses():
    """Losses by step of each run."""
    return {
        name: {s: final + above for s, above in ABOVE.items()} for name, (_, final) in RUNS.items()
    }


@pytest.fixture
def settings():
    """Nested parameters of each run."""
    return {
        name: {"model": {"n_params": size, "vocab_size": 50_000}, "max_steps": 1000, "batch": 1000}
        for name, (size, _) in RUNS.items()
    }


@pytest.fixture
def history(losses):
    """A history as the API of Weights & Biases gives it, empty where nothing was recorded."""
    rows = []
    for run, by_step in losses.items():
        for step, loss in by_step.items():
            rows.append(
                {"run": run, "_step": step, "train/loss": loss + 0.1, "lr": 1 - 0.9 * step / 1000}
            )
            rows.append({"run": run, "_step": step, "eval/loss": loss})
    return pd.DataFrame(rows)


@pytest.fixture
def histories(history, settings):
    return sf.trackers.wandb(history).with_config(settings)


def values(table):
    """N, D and loss of a table by run."""
    columns = [table.column(name).tolist() for name in ("N", "D", "loss")]
    return dict(zip(table.rows, zip(*columns, strict=True), strict=True))


@pytest.fixture
def known():
    """What every reader is to find: N, D and the final loss of each run."""
    return {
        name: (size, 1e9, pytest.approx(final, rel=1e-6)) for name, (size, final) in RUNS.items()
    }


@pytest.fixture(name="values")
def values_fixture():
    return values
