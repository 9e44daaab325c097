"""How often intervals hold the truth, by simulation.

For each simulated table: one fit, then 95 % intervals of alpha, beta, E, and of N* and D* ten times
beyond the largest budget, by every method. Coverage is the share of tables whose interval holds the
surface that the table was drawn from.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from common import machine, table

import scalefit as sf

BUDGETS = (1e18, 3e18, 1e19, 3e19, 1e20)
SIZES = (30, 60, 240)
NOISE = 0.005
CLUSTERS = 12
MOST_PROFILED = 100
QUANTITIES = ("alpha", "beta", "E", "N*", "D*")
LEVEL = 0.95
BUDGET = 10 * max(BUDGETS)

Intervals = dict[str, tuple[float, float]]


# Noise of ln L, one standard deviation for all.
KINDS = {
    "gaussian": sf.Noise(NOISE),
    "heavy": sf.Noise(NOISE, freedom=3),
    "clustered": sf.Noise(NOISE, by="corpus", shared=0.7),
}


def design(kind: str, rows: int, surface: Mapping[str, float]) -> pd.DataFrame:
    """IsoFLOP sweeps of five budgets, or a grid of five sizes by as many token counts."""
    if kind == "isoflop":
        return sf.isoflop_design(BUDGETS, points=rows // 5, surface=surface)
    return sf.grid_design(np.geomspace(3e7, 2e9, 5), np.geomspace(1e9, 6e10, rows // 5))


def simulated(kind: str, rows: int, noisy: str, name: str, seed: int) -> pd.DataFrame:
    """One table; clusters are runs next to each other in no column, as a corpus or a tuning is."""
    surface = sf.SURFACES[name]
    frame = design(kind, rows, surface)
    rng = np.random.default_rng([seed, rows, len(kind), len(name)])
    # Dealt out at random, so that a cluster spans sizes and budgets.
    frame["corpus"] = rng.permutation(np.arange(len(frame)) % CLUSTERS)
    own = int(rng.integers(2**32))
    return sf.simulate(frame, params=surface, noise=KINDS[noisy], seed=own)


def of_draws(draws: sf.Ensemble) -> Intervals:
    """Percentile intervals of every quantity."""
    params = draws.interval(LEVEL)
    found = {name: (params["low"][name], params["high"][name]) for name in QUANTITIES[:3]}
    best = sf.allocate(draws, BUDGET)
    for name in ("N", "D"):
        found[f"{name}*"] = tuple(map(float, best.estimate(name).interval(LEVEL)))
    return found


def by_bootstrap(method: str, replicates: int, by: str | None = None) -> Callable[..., Intervals]:
    """Intervals of a bootstrap."""

    def intervals(fit: sf.Fit, runs: pd.DataFrame, seed: int) -> Intervals:
        return of_draws(
            sf.bootstrap(
                fit,
                runs,
                n=replicates,
                method=method,  # type: ignore[arg-type]
                by=by,
                seed=seed,
                searched=0.0,
                progress=False,
            )
        )

    return intervals


def by_curvature(method: str, by: str | None = None) -> Callable[..., Intervals]:
    """Intervals of a covariance."""

    def intervals(fit: sf.Fit, runs: pd.DataFrame, seed: int) -> Intervals:
        found = sf.covariance(fit, runs, method, by=by)  # type: ignore[arg-type]
        return of_draws(found.draws(1000, seed=seed))

    return intervals


def by_profile(fit: sf.Fit, runs: pd.DataFrame, seed: int) -> Intervals:
    """Profile intervals."""
    asked: dict[str, Any] = {name: name for name in QUANTITIES[:3]}
    asked |= {f"{name}*": sf.optimal(fit, name, BUDGET) for name in ("N", "D")}  # type: ignore[arg-type]
    found = {name: sf.profile(fit, runs, item) for name, item in asked.items()}
    return {
        name: (item.low if item.closed[0] else -np.inf, item.high if item.closed[1] else np.inf)
        for name, item in found.items()
    }


def methods(noisy: str, replicates: int, profiles: bool) -> dict[str, Callable[..., Intervals]]:
    """What is tried on a kind of noise; on clusters also what ignores them, to see the cost."""
    if noisy == "clustered":
        return {
            "jacobian (ignores clusters)": by_curvature("jacobian"),
            "rows (ignores clusters)": by_bootstrap("rows", replicates),
            "sandwich, by=": by_curvature("sandwich", "corpus"),
            "clusters": by_bootstrap("clusters", replicates, "corpus"),
            "wild, by=": by_bootstrap("wild", replicates, "corpus"),
        }
    found = {
        "jacobian": by_curvature("jacobian"),
        "sandwich": by_curvature("sandwich"),
        "rows": by_bootstrap("rows", replicates),
        "residuals": by_bootstrap("residuals", replicates),
        "wild": by_bootstrap("wild", replicates),
    }
    return {**found, "profile": by_profile} if profiles else found


def truth(name: str) -> dict[str, float]:
    """The quantities of a surface."""
    p = sf.SURFACES[name]
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    total = p["alpha"] + p["beta"]
    N = ratio ** (1 / total) * (BUDGET / 6) ** (p["beta"] / total)
    return {"alpha": p["alpha"], "beta": p["beta"], "E": p["E"], "N*": N, "D*": BUDGET / 6 / N}


def held(
    kind: str,
    rows: int,
    noisy: str,
    name: str,
    tables: int,
    replicates: int,
    profiles: bool,
    only: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Whether each interval of each simulated table holds the truth."""
    expected = truth(name)
    how = {"robust": "none"} if noisy != "heavy" else {}
    # Seconds for each table, where the others take hundredths.
    profiled = range(tables // 5 if profiles and rows < MOST_PROFILED else 0)
    for seed in range(tables):
        runs = simulated(kind, rows, noisy, name, seed)
        fit = sf.fit(runs, certify=False, **how)  # type: ignore[arg-type]
        for method, intervals in methods(noisy, replicates, seed in profiled).items():
            if only and not any(part in method for part in only):
                continue
            try:
                found = intervals(fit, runs, seed)
            except sf.ScalefitError:
                # No interval is no interval that holds the truth.
                found = dict.fromkeys(QUANTITIES, (np.nan, np.nan))
            for quantity, (low, high) in found.items():
                yield {
                    "design": kind,
                    "rows": rows,
                    "noise": noisy,
                    "surface": name,
                    "method": method,
                    "quantity": quantity,
                    "held": low <= expected[quantity] <= high,
                }


def study(
    tables: int,
    replicates: int,
    sizes: tuple[int, ...] = SIZES,
    kinds: tuple[str, ...] = ("isoflop", "grid"),
    noises: tuple[str, ...] = tuple(KINDS),
    profiles: bool = True,
    only: Sequence[str] = (),
) -> pd.DataFrame:
    """A row for each interval asked for."""
    return pd.DataFrame(
        row
        for noisy in noises
        for rows in sizes
        for kind in kinds
        for name in sf.SURFACES
        for row in held(kind, rows, noisy, name, tables, replicates, profiles, only)
    )


def report(found: pd.DataFrame) -> str:
    """Coverage in percent, over surfaces and designs, and the range of its cells."""
    lines = []
    for (noisy, rows, method), part in found.groupby(["noise", "rows", "method"], sort=False):
        shares = 100 * part.groupby("quantity")["held"].mean()
        cells = 100 * part.groupby(["design", "surface", "quantity"])["held"].mean()
        count = part.groupby("quantity").size().iloc[0]
        error = 100 * np.sqrt(0.95 * 0.05 / count)
        lines.append(
            (
                noisy,
                rows,
                method,
                *(f"{shares[quantity]:.1f}" for quantity in QUANTITIES),
                f"{cells.min():.0f} to {cells.max():.0f}",
                f"{error:.1f} ({count})",
            )
        )
    return table(("noise", "runs", "method", *QUANTITIES, "single cells", "+- (tables)"), lines)


def main() -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few tables")
    parser.add_argument("--tables", type=int, default=80, help="for each cell")
    parser.add_argument("--replicates", type=int, default=250)
    parser.add_argument("--noise", action="append", choices=KINDS, help="one kind; repeat")
    parser.add_argument("--method", action="append", help="methods with this in their name")
    options = parser.parse_args()
    tables, replicates = (5, 100) if options.quick else (options.tables, options.replicates)
    print(
        machine(),
        report(
            study(
                tables, replicates, noises=tuple(options.noise or KINDS), only=options.method or ()
            )
        ),
        sep="\n\n",
    )


if __name__ == "__main__":
    main()
