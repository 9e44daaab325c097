"""Held-out runs: folds as one batch against separate fits, and how often intervals hold new runs.

The folds of one table are fits of their own. They are timed against the loop that holds runs out
by hand, a ``scalefit.fit`` and a covariance for each fold; both come to the same errors, or the
script stops. Coverage is the share of held-out runs inside their intervals on simulated tables,
whose law is the one that is fitted, with the standard error over tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from common import machine, options, race, table

import scalefit as sf

BUDGETS = np.geomspace(1e18, 1e21, 11)
POINTS, NOISE = 22, 0.005
LEVELS = (0.5, 0.8, 0.95)
TABLES = 100


def swept(seed: int = 0, budgets: int = len(BUDGETS), points: int = POINTS) -> pd.DataFrame:
    """Sweeps of three decades of budgets."""
    span = np.geomspace(BUDGETS[0], BUDGETS[-1], budgets)
    design = sf.simulation.isoflop_design(tuple(span), points=points)
    return sf.simulate(design, noise=NOISE, seed=seed)


def ladder(seed: int) -> pd.DataFrame:
    """Sixteen sizes, three runs of each."""
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(1e7, 1e10, 16), 3)
    loss = (1.8 + 400 * N**-0.34) * np.exp(NOISE * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "loss": loss})


def batch(runs: sf.LossTable) -> np.ndarray:
    """Errors of all folds by ``holdout``."""
    return sf.holdout(runs, scheme="rolling").errors


def by_hand(runs: sf.LossTable) -> np.ndarray:
    """The same by a fit and a covariance for each fold."""
    frame, errors = runs.to_frame(), []
    budget = frame["C"].to_numpy()
    for origin in BUDGETS[1:]:
        train = frame[budget < origin * 0.99]
        test = frame[np.abs(np.log(budget / origin)) < 0.01]
        fit = sf.fit(train, certify=False)
        draws = sf.covariance(fit, train).draws(1000)
        loss = draws.predict(test, kind="run")
        loss.interval()
        errors.append(100 * np.log(test["loss"].to_numpy() / loss.value))
    return np.concatenate(errors)


def speed(rounds: int) -> str:
    """One batch against separate fits."""
    runs = sf.read(swept())
    if not np.allclose(batch(runs), by_hand(runs), atol=1e-4):
        raise SystemExit("the errors of the batch are not those of separate fits")
    calls: dict[str, Callable[[], Any]] = {
        "one batch": partial(batch, runs),
        "without intervals": partial(sf.holdout, runs, scheme="rolling", intervals=False),
        "a fit and a covariance for each fold": partial(by_hand, runs),
    }
    found = race(calls, rounds)
    base = found["one batch"].median
    rows = [(name, item.text, f"{item.median / base:.2f}") for name, item in found.items()]
    title = f"{len(runs)} runs, {len(BUDGETS) - 1} rolling origins"
    return table((title, "time (quartiles)", "ratio"), rows)


SWEEPS = partial(swept, budgets=7, points=9)
CASES: dict[str, tuple[Callable[[int], pd.DataFrame], str, dict[str, Any]]] = {
    "two columns, the two largest budgets": (SWEEPS, "chinchilla", {"hold": 2}),
    "two columns, rolling": (SWEEPS, "chinchilla", {"scheme": "rolling"}),
    "one column, the three largest sizes": (ladder, "chinchilla_n", {"hold": 3}),
    "one column, rolling": (ladder, "chinchilla_n", {"scheme": "rolling"}),
}


def shares(
    make: Callable[[int], pd.DataFrame], law: str, given: dict[str, Any], tables: int
) -> list[str]:
    """Coverage at each level, with its standard error over tables."""
    held: list[list[float]] = []
    for seed in range(tables):
        found = sf.holdout(make(seed), law, **given)
        held.append([found.covered(level).share for level in LEVELS])
    each = np.array(held)
    error = np.nanstd(each, axis=0) / np.sqrt(len(each))
    return [
        f"{100 * share:.1f} ± {100 * one:.1f}"
        for share, one in zip(np.nanmean(each, axis=0), error, strict=True)
    ]


def coverage(tables: int) -> str:
    """How often intervals of new runs hold held-out runs."""
    rows = [
        (name, robust, *shares(make, law, {**given, "robust": robust}, tables))
        for name, (make, law, given) in CASES.items()
        for robust in ("none", "huber")
    ]
    header = ("held out", "objective", *(f"{100 * level:g} % intervals hold" for level in LEVELS))
    return table(header, rows)


def section(quick: bool) -> str:
    """Both tables."""
    told = coverage(4 if quick else TABLES)
    return f"## Held-out runs\n\n{speed(2 if quick else 7)}\n\n{told}"


def main() -> None:
    """Print the machine and both tables."""
    arguments = options(__doc__).parse_args()
    print(machine(), section(arguments.quick), sep="\n\n")


if __name__ == "__main__":
    main()
