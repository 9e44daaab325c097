"""Ten thousand draws at twenty budgets, against a loop that minimises along each budget line.

The loop is what allocation is usually made of: ``scipy.optimize.minimize_scalar`` over ln N with
tokens from the budget. It is run on a few of the draws and scaled to all of them.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from common import race, run_alone, table
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.allocation import COSTS, Cost, lifetime

DRAWS = 10_000
LOOPED = 20
ROUNDS = 5
BUDGETS = np.geomspace(1e20, 1e25, 20)
SERVED = 1e11

HEADER = ("question", "solved by", "first call", "warm call (quartiles)", "ratio", "differs by")


@sf.law(source="the additive law, for which no closed form is known under this name")
def additive(
    N,
    D,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A N^-alpha + B D^-beta"""
    return E + A * N**-alpha + B * D**-beta


def looped(draws: sf.Ensemble, cost: Cost, count: int) -> tuple[np.ndarray, float]:
    """N* of the first draws, shape (count, budgets), and seconds that all draws would take."""
    start = time.perf_counter()
    found = np.empty((count, len(BUDGETS)))
    for i in range(count):
        p = {name: float(values[i]) for name, values in draws.drawn.items()}
        for j, budget in enumerate(BUDGETS):

            def loss(x: float, p: dict[str, float] = p, budget: float = budget) -> float:
                N = np.exp(x)
                D = cost.tokens(budget, N)
                if D <= 0:
                    return np.inf
                return p["E"] + p["A"] * N ** -p["alpha"] + p["B"] * D ** -p["beta"]

            best = minimize_scalar(loss, bounds=(12, 30), method="bounded", options={"xatol": 1e-9})
            found[i, j] = np.exp(best.x)
    return found, (time.perf_counter() - start) / count * len(draws)


def section(quick: bool) -> str:
    """The section of the document."""
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.005)
    draws = sf.covariance(sf.fit(runs), runs).draws(200 if quick else DRAWS, seed=1)
    general = replace(draws, fit=replace(draws.fit, law=additive))
    rows = []
    for name, cost, ways in (
        ("6ND", COSTS["6ND"], ("closed form", "general solver")),
        ("6ND + 2NT", lifetime(SERVED), ("one equation", "general solver")),
    ):
        expected, slow = looped(draws, cost, 3 if quick else LOOPED)
        rows.append((name, "scipy loop, scaled", "", f"{slow:.3g} s", "1", ""))
        for way, ensemble in zip(ways, (draws, general), strict=True):
            start = time.perf_counter()
            best = sf.allocate(ensemble, BUDGETS, cost=cost)
            first = time.perf_counter() - start
            timing = race(
                {"": lambda e=ensemble, c=cost: sf.allocate(e, BUDGETS, cost=c)},  # type: ignore[misc]
                2 if quick else ROUNDS,
            )[""]
            off = np.abs(best.draws["N"][: len(expected)] / expected - 1).max()
            ratio = timing.median / slow
            rows.append((name, way, f"{first:.2g} s", timing.text, f"{ratio:.2g}", f"{off:.1e}"))
    return (
        f"## Allocation\n\n{len(draws):,} draws at {len(BUDGETS)} budgets, T = {SERVED:g} tokens "
        "served. The last column is the largest relative difference in N* from the loop, which "
        f"compares losses and so sees no closer than about 1e-7.\n\n{table(HEADER, rows)}"
    )


if __name__ == "__main__":
    run_alone(section, __doc__)
