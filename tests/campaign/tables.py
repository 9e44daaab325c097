"""Tables that are hard to fit, each from a seed: designs, losses, weights, objectives, options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

# Laws of the form c0 + sum of c_j x_j^-e_j, and how often each is asked for.
LAWS = {
    "chinchilla": 0.8,
    "chinchilla_tied": 0.08,
    "chinchilla_n": 0.06,
    "chinchilla_d": 0.06,
}
OBJECTIVES: tuple[tuple[float, Mapping[str, Any]], ...] = (
    (5, {}),
    (3, {"robust": "none"}),
    (3, {"residual": "raw", "robust": "none"}),
    (1, {"residual": "relative", "robust": "none"}),
    (1, {"residual": "raw"}),
    (1, {"residual": "relative"}),
    (1, {"residual": "raw", "certify": True}),
    (1, {"residual": "relative", "certify": True}),
    (1, {"robust": "l1"}),
    (1, {"residual": "raw", "robust": "l1"}),
    (1, {"robust": "asymmetric"}),
    (1, {"delta": 1e-6}),
    (1, {"delta": 0.1}),
)


class Case(NamedTuple):
    """What is given to ``fit``, and words for what is hostile in it."""

    runs: pd.DataFrame
    law: str
    options: dict[str, Any]
    tags: tuple[str, ...]


def log_uniform(rng: np.random.Generator, low: float, high: float, size: Any = None) -> Any:
    """Numbers between two positive ones, uniform in the logarithm."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def case(seed: int) -> Case:
    """A table, a law and options."""
    rng = np.random.default_rng([seed, 11])
    law = str(rng.choice(list(LAWS), p=list(LAWS.values())))
    sizes, design = sizes_of(rng)
    losses, shape = losses_of(rng, *sizes)
    runs = pd.DataFrame({"N": sizes[0], "D": sizes[1], "loss": losses})
    tags = [law, design, *shape]
    if rng.random() < 0.2:
        runs["weight"], kind = weights_of(rng, len(runs))
        tags.append(kind)
    if rng.random() < 0.1:
        again = runs.iloc[rng.integers(0, len(runs), 1 + len(runs) // 4)]
        runs = pd.concat([runs, again], ignore_index=True)
        tags.append("repeated rows")
    odds = np.array([item[0] for item in OBJECTIVES])
    options = dict(OBJECTIVES[rng.choice(len(OBJECTIVES), p=odds / odds.sum())][1])
    if options.get("residual") == "raw" and options.get("robust") not in ("none", "l1"):
        # In the unit of the loss, which may be anything here.
        options["delta"] = float(rng.choice([1e-3, 1e-2, 1.0]) * np.median(losses))
    if law == "chinchilla" and rng.random() < 0.1:
        name, more = (
            ("E is fixed", {"fixed": {"E": 0.5 * float(losses.min())}}),
            ("bounds", {"bounds": {"alpha": (0.1, 0.6), "beta": (0.1, 0.6)}}),
            ("tied exponents", {"tied": [("alpha", "beta")]}),
        )[rng.integers(3)]
        options |= more
        tags.append(name)
    runs = runs.iloc[rng.permutation(len(runs))].reset_index(drop=True)
    return Case(runs, law, options, tuple(tags))


def sizes_of(rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    """N and D of a sweep, a ladder, a cloud, few levels; from a hair's width to 18 decades."""
    rows = int(rng.choice([rng.integers(3, 12), rng.integers(8, 40), rng.integers(40, 250)]))
    low = log_uniform(rng, 1e6, 1e9)
    high = low * 10 ** float(rng.choice([0.02, 0.3, 1.0, 2.0, 4.0], p=[0.05, 0.1, 0.3, 0.4, 0.15]))
    kind = str(
        rng.choice(
            [
                "isoflop",
                "grid",
                "cloud",
                "ladder",
                "few sizes",
                "few token counts",
                "clusters",
                "wide",
            ],
            p=[0.22, 0.18, 0.22, 0.12, 0.08, 0.08, 0.06, 0.04],
        )
    )
    if kind == "isoflop":
        budgets = np.geomspace(120 * low**2, 120 * high**2, int(rng.integers(1, 8)))
        C = budgets[np.arange(rows) % len(budgets)]
        width = rng.uniform(0.1, 3)
        N = np.sqrt(C / 120) * np.exp(rng.uniform(-width, width, rows))
        D = C / (6 * N)
    elif kind == "grid":
        side = max(2, int(np.sqrt(rows)))
        N, D = (
            axis.ravel()
            for axis in np.meshgrid(
                np.geomspace(low, high, side), np.geomspace(20 * low, 60 * high, side)
            )
        )
    elif kind == "ladder":
        N = log_uniform(rng, low, high, rows)
        off = float(rng.choice([0.0, 1e-3, 1e-2, 0.1, 0.3]))
        D = N * log_uniform(rng, 5, 100) * np.exp(rng.uniform(-off, off, rows))
    elif kind == "clusters":
        where = rng.integers(0, rng.integers(3, 7), rows)
        N = log_uniform(rng, low, high, 7)[where] * np.exp(rng.normal(0, 1e-3, rows))
        D = 20 * log_uniform(rng, low, high, 7)[where] * np.exp(rng.normal(0, 1e-3, rows))
    elif kind == "wide":
        N, D = log_uniform(rng, 1, 1e18, rows), log_uniform(rng, 1, 1e18, rows)
    else:
        N, D = log_uniform(rng, low, high, rows), 20 * log_uniform(rng, low, 10 * high, rows)
        few = int(rng.integers(1, 4))
        if kind == "few sizes":
            N = log_uniform(rng, low, high, few)[rng.integers(0, few, rows)]
        elif kind == "few token counts":
            D = 20 * log_uniform(rng, low, high, few)[rng.integers(0, few, rows)]
    unit = float(rng.choice([1.0, 1e-6, 1e-9], p=[0.8, 0.1, 0.1]))
    return (N * unit, D * unit), kind


def losses_of(
    rng: np.random.Generator, N: np.ndarray, D: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Losses of a law, or of none; noise from none to a third; outliers, rounding, other units."""
    kind = str(
        rng.choice(
            [
                "a law",
                "no floor",
                "a vanishing term",
                "steep",
                "two laws",
                "a break",
                "steps",
                "a bump",
                "rising",
                "chance",
                "constant",
            ],
            p=[0.36, 0.06, 0.08, 0.06, 0.1, 0.08, 0.05, 0.06, 0.06, 0.06, 0.03],
        )
    )
    x, y = N / N.min(), D / D.min()
    alpha, beta = log_uniform(rng, 0.03, 1.2, 2) if kind != "steep" else rng.uniform(1.5, 6, 2)
    floor = 0.0 if kind == "no floor" else log_uniform(rng, 0.3, 3)
    first, second = log_uniform(rng, 0.05, 5, 2)
    if kind == "a vanishing term":
        second = log_uniform(rng, 1e-9, 1e-3)
    losses = floor + first * x**-alpha + second * y**-beta
    if kind == "two laws":
        other = floor * rng.uniform(0.5, 1.5) + first * x ** -log_uniform(rng, 0.03, 1.2)
        losses = np.where(rng.random(len(x)) < rng.uniform(0.2, 0.5), other, losses)
    elif kind == "a break":
        middle = np.median(x)
        losses = np.where(x > middle, losses * (x / middle) ** rng.uniform(-0.5, 0.5), losses)
    elif kind == "steps":
        losses = 2.0 + (x <= np.median(x)) + 0.5 * (y <= np.median(y))
    elif kind == "a bump":
        losses *= 1 + rng.uniform(0.1, 0.6) * np.exp(-(np.log(x / np.median(x)) ** 2))
    elif kind == "rising":
        losses = floor + first * x ** log_uniform(rng, 0.01, 0.5)
    elif kind == "chance":
        losses = rng.uniform(1, 4, len(x))
    elif kind == "constant":
        losses = np.full(len(x), 1.0 + floor)
    tags = [kind]
    noise = float(
        rng.choice(
            [0.0, 1e-12, 1e-8, 1e-4, 5e-3, 3e-2, 0.3], p=[0.06, 0.04, 0.05, 0.15, 0.4, 0.2, 0.1]
        )
    )
    errors = rng.standard_normal(len(x))
    if rng.random() < 0.3:
        errors = rng.standard_t(1.5, len(x)).clip(-50, 50)
        tags.append("heavy tails")
    losses = losses * np.exp(np.clip(noise * errors, -5, 5))
    if rng.random() < 0.35:
        count = max(1, int(rng.uniform(0.01, 0.3) * len(x)))
        order = (rng.permutation(len(x)), np.argsort(N), np.argsort(-N))[rng.integers(3)]
        losses[order[:count]] *= log_uniform(rng, 0.3, 10)
        tags.append("outliers")
    if rng.random() < 0.15:
        losses = np.maximum(np.round(losses, int(rng.integers(1, 4))), 1e-3)
        tags.append("rounded")
    if rng.random() < 0.15:
        losses = losses * log_uniform(rng, 1e-3, 1e3)
        tags.append("another unit")
    return losses, tuple(tags)


def weights_of(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, str]:
    """Weights of any size and spread; some rows may have none."""
    kind = str(rng.choice(["even", "huge", "tiny", "zeros", "one dominates", "twelve decades"]))
    some = (rng.random(rows) < 0.7) * 1.0
    some[rng.integers(rows)] = 1.0
    weights = {
        "even": rng.uniform(0.1, 2, rows),
        "huge": np.full(rows, 1e12),
        "tiny": np.full(rows, 1e-12),
        "zeros": some,
        "one dominates": np.where(np.arange(rows) == 0, 1e8, 1.0),
        "twelve decades": log_uniform(rng, 1e-6, 1e6, rows),
    }[kind]
    return weights, f"weights: {kind}"
