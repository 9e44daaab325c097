"""How often intervals hold the truth, by simulation.

Tables are simulated on three surfaces, as IsoFLOP sweeps and as grids, in three sizes, with
independent noise of two kinds, noise shared by twelve corpora that are dealt out over the runs, and
noise shared by the runs of each of twelve budgets: 60 cells. For each table 95 % intervals of
alpha, beta, E, and of N* and D* ten times beyond the largest budget are made by every method.
Coverage is the share of tables whose interval holds the surface that the table was drawn from.

Replicates of all bootstraps of a cell are refitted in one batch, from the true surface, and a
profile is asked for its deviance at the truth only: an interval holds what lies below its
threshold.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import machine, table
from scipy.stats import binom
from scipy.stats import t as student
from tqdm import tqdm

import scalefit as sf
from scalefit.fitting import multistart
from scalefit.fitting.grid import Candidates
from scalefit.inference.fitted_data import FittedData, attach
from scalefit.inference.profile_path import ProfilePath
from scalefit.inference.profiled_quantity import read_quantity
from scalefit.inference.resampling import RESAMPLES
from scalefit.results.estimate import Estimate

BUDGETS = (1e18, 3e18, 1e19, 3e19, 1e20)
DESIGNS = ("isoflop", "grid")
SIZES = (30, 60, 240)
LONG = 240
NOISE = 0.005
CLUSTERS = 12
QUANTITIES = ("alpha", "beta", "E", "N*", "D*")
NAMES = ("E", "A", "B", "alpha", "beta")
LEVEL, LEAST, MOST = 0.95, 0.93, 0.97
BUDGET = 10 * max(BUDGETS)
DRAWS = 1000

# Noise of ln L, one standard deviation for all.
KINDS = {
    "gaussian": sf.simulation.Noise(NOISE),
    "heavy": sf.simulation.Noise(NOISE, df=3),
    "corpora": sf.simulation.Noise(NOISE, cluster="corpus", icc=0.7),
    "budgets": sf.simulation.Noise(NOISE, cluster="C", icc=0.7),
}
SHARED = {"corpora": "corpus", "budgets": "C"}

# On clusters also what ignores them, to see the cost.
BOOTSTRAPS = {
    "gaussian": {"rows": None, "strata": None, "residuals": None, "wild": None},
    "heavy": {"rows": None, "strata": None, "residuals": None, "wild": None},
    "corpora": {"clusters": "corpus", "wild": "corpus", "rows": None},
    "budgets": {"clusters": "C", "wild": "C", "rows": None},
}
COVARIANCES = {
    "gaussian": {"jacobian": None, "sandwich": None},
    "heavy": {"jacobian": None, "sandwich": None},
    "corpora": {"sandwich": "corpus", "jacobian": None},
    "budgets": {"sandwich": "C", "jacobian": None},
}


class Cell(NamedTuple):
    """One simulated setting."""

    noise: str
    rows: int
    design: str
    surface: str


def designed(cell: Cell) -> pd.DataFrame:
    """IsoFLOP sweeps of five or twelve budgets, or a grid of five sizes by many token counts."""
    if cell.design == "isoflop":
        several = tuple(np.geomspace(BUDGETS[0], BUDGETS[-1], CLUSTERS))
        budgets = several if cell.noise == "budgets" else BUDGETS
        surface = sf.simulation.SURFACES[cell.surface]
        return sf.simulation.isoflop_design(
            budgets, points=cell.rows // len(budgets), surface=surface
        )
    return sf.simulation.grid_design(
        np.geomspace(3e7, 2e9, 5), np.geomspace(1e9, 6e10, cell.rows // 5)
    )


def simulated(cell: Cell, seed: int) -> pd.DataFrame:
    """One table; a corpus spans sizes and budgets, dealt out at random."""
    frame = designed(cell)
    rng = np.random.default_rng([seed, cell.rows, len(cell.design), len(cell.surface)])
    frame["corpus"] = rng.permutation(np.arange(len(frame)) % CLUSTERS)
    own = int(rng.integers(2**32))
    return sf.simulate(
        frame, params=sf.simulation.SURFACES[cell.surface], noise=KINDS[cell.noise], seed=own
    )


def quantities(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What is asked for, of parameters; NaN where there is no optimum."""
    A, B, alpha, beta = (np.asarray(params[name]) for name in NAMES[1:])
    with np.errstate(all="ignore"):
        N = (alpha * A / (beta * B) * (BUDGET / 6) ** beta) ** (1 / (alpha + beta))
    N = np.where(np.isfinite(N) & (N > 0), N, np.nan)
    return {"alpha": alpha, "beta": beta, "E": params["E"], "N*": N, "D*": BUDGET / 6 / N}


def label(method: str, by: str | None, noise: str) -> str:
    """Name of a method in the table."""
    if by is not None:
        return method if method == "clusters" else f"{method}, by="
    return f"{method} (ignores clusters)" if noise in SHARED else method


def inside(estimate: Estimate, truth: float) -> bool:
    """Whether an interval holds the truth."""
    low, high = estimate.interval(LEVEL)
    return bool(low <= truth <= high)


def by_bootstrap(
    grounds: Sequence[FittedData],
    method: str,
    by: str | None,
    replicates: int,
    truth: Mapping[str, Any],
) -> Iterator[dict[str, bool]]:
    """Of every table, whether its intervals by resampling hold the truth."""
    resamples = [
        RESAMPLES[method](fitted, by, replicates, seed) for seed, fitted in enumerate(grounds)
    ]
    prepared, fit = grounds[0].prepared, grounds[0].fit
    names = [group[0] for group in prepared.problem.names]
    count = len(prepared.problem.owners)
    start = np.array([truth[name] for name in names])
    logs = np.array([False] * count + list(prepared.problem.logarithmic))
    start = np.where(logs, np.log(np.where(logs, start, 1.0)), start)
    weighted = resamples[0].losses is None
    losses = [
        np.broadcast_to(fitted.table.column("loss"), (replicates, len(fitted.used)))
        if weighted
        else item.losses[:]
        for fitted, item in zip(grounds, resamples, strict=True)
    ]
    found = multistart.refit(
        prepared.problem,
        fit.objective,
        prepared.settings,
        prepared.data,
        observed=np.concatenate(losses),
        weight=np.concatenate([item.weights[:] for item in resamples]) if weighted else None,
        points=32,
        near=Candidates(start[count:], start[:count], np.float64(0.0)),
    )
    points = np.concatenate([found.coefficients, found.coordinates], axis=1)
    points = np.where(logs, np.exp(np.where(logs, points, 0.0)), points)
    expected = quantities(truth)
    for number, item in enumerate(resamples):
        drawn = points[number * replicates : (number + 1) * replicates]
        asked = quantities(dict(zip(names, drawn.T, strict=True)))
        yield {
            name: inside(Estimate(np.nan, values, item.tails), expected[name])  # type: ignore[arg-type]
            for name, values in asked.items()
        }


def by_covariance(
    fit: sf.Fit,
    runs: pd.DataFrame,
    method: str,
    by: str | None,
    seed: int,
    truth: Mapping[str, Any],
) -> dict[str, bool]:
    """Whether percentiles of draws from the curvature hold the truth."""
    draws = sf.covariance(fit, runs, method, by=by).draws(DRAWS, seed)  # type: ignore[arg-type]
    expected = quantities(truth)
    return {
        name: inside(Estimate(np.nan, values, draws.tails), expected[name])  # type: ignore[arg-type]
        for name, values in quantities(draws.drawn).items()
    }


def by_profile(
    fitted: FittedData,
    asked: Mapping[str, Any],
    method: str,
    by: str | None,
    truth: Mapping[str, Any],
) -> dict[str, bool]:
    """Whether the deviance at the truth is below the threshold."""
    expected, found = quantities(truth), {}
    for name, quantity in asked.items():
        read = read_quantity(fitted.fit, quantity)
        path = ProfilePath(fitted, read)
        df = fitted.df_resid
        if method == "sandwich":
            df, _ = path.use_sandwich(by)
        level = np.log(expected[name]) if read.logarithmic else expected[name]
        fixed = path.hold(float(level), path.start)
        reach = student.ppf(0.5 + 0.5 * LEVEL, df)
        found[name] = fixed is not None and fixed.deviance <= reach**2
    return found


def covered(cell: Cell, tables: int, replicates: int) -> list[dict[str, Any]]:
    """How many tables of a cell each method holds, a row for each method and quantity."""
    truth = sf.simulation.SURFACES[cell.surface]
    how: dict[str, Any] = {} if cell.noise == "heavy" else {"robust": "none", "certify": False}
    runs = [simulated(cell, seed) for seed in range(tables)]
    fits = [sf.fit(item, **how) for item in runs]
    grounds = [attach(fit, item) for fit, item in zip(fits, runs, strict=True)]
    asked: dict[str, Any] = {name: name for name in QUANTITIES[:3]}
    asked |= {
        f"{name}*": sf.allocation.optimum_function(fits[0], name, BUDGET) for name in ("N", "D")
    }  # type: ignore[arg-type]
    fixed: dict[str, list[dict[str, bool]]] = {}
    for method, by in BOOTSTRAPS[cell.noise].items():
        if method == "strata" and cell.design != "isoflop":
            continue
        name = label(method, by, cell.noise)
        fixed[name] = list(by_bootstrap(grounds, method, by, replicates, truth))
    nothing = dict.fromkeys(QUANTITIES, False)
    for method, by in COVARIANCES[cell.noise].items():
        name = label(method, by, cell.noise)
        fixed[name], fixed[f"profile: {name}"] = [], []
        for seed, (fit, item) in enumerate(zip(fits, runs, strict=True)):
            try:
                fixed[name].append(by_covariance(fit, item, method, by, seed, truth))
            except sf.errors.DataError:
                # No interval is no interval that holds the truth.
                fixed[name].append(nothing)
            try:
                fixed[f"profile: {name}"].append(
                    by_profile(grounds[seed], asked, method, by, truth)
                )
            except sf.errors.DataError:
                fixed[f"profile: {name}"].append(nothing)
    return [
        {
            **cell._asdict(),
            "method": name,
            "quantity": quantity,
            "fixed": sum(item[quantity] for item in items),
            "tables": len(items),
        }
        for name, items in fixed.items()
        for quantity in QUANTITIES
    ]


def study(
    tables: int, replicates: int, noises: Sequence[str] = tuple(KINDS), jobs: int = 1
) -> pd.DataFrame:
    """A row for each cell, method and quantity."""
    # The long ones first.
    cells = [
        Cell(*item)
        for item in product(noises, sorted(SIZES, reverse=True), DESIGNS, sf.simulation.SURFACES)
    ]
    # Of twelve budgets thirty runs are too few for sweeps, and a grid has none.
    cells = [
        cell
        for cell in cells
        if cell.noise != "budgets" or (cell.design == "isoflop" and cell.rows > SIZES[0])
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = [
            pool.submit(covered, cell, tables // 2 if cell.rows >= LONG else tables, replicates)
            for cell in cells
        ]
        done = tqdm(as_completed(waiting), total=len(cells), desc="cells")
        return pd.DataFrame([row for item in done for row in item.result()])


def beyond_chance(fixed: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Whether a count is one that neither 93 % nor 97 % nor anything between explains, at 1 %."""
    below = binom.cdf(fixed, tables, LEAST) < 0.005
    return np.asarray(below | (binom.sf(fixed - 1, tables, MOST) < 0.005))


def report(found: pd.DataFrame) -> str:
    """Coverage in percent over surfaces and designs, and cells that are outside 93 to 97."""
    found = found.assign(share=100 * found["fixed"] / found["tables"])
    found["outside"] = beyond_chance(found["fixed"].to_numpy(), found["tables"].to_numpy())
    order = {name: place for place, name in enumerate(KINDS)}
    found = found.sort_values(
        ["noise", "rows"], key=lambda c: c.map(order) if c.name == "noise" else c
    )
    lines = []
    for (noisy, rows, method), part in found.groupby(
        ["noise", "rows", "method"], sort=False, observed=True
    ):
        each = part.groupby("quantity")[["fixed", "tables"]].sum()
        shares = 100 * each["fixed"] / each["tables"]
        far = part[part["outside"]]
        named = sorted({f"{row.design} {row.surface}" for row in far.itertuples()})
        if len(named) == len(part[["design", "surface"]].drop_duplicates()):
            named = ["all designs"]
        lines.append(
            (
                noisy,
                rows,
                method,
                *(f"{shares[quantity]:.1f}" for quantity in QUANTITIES),
                f"{part['share'].min():.0f} to {part['share'].max():.0f}",
                f"{len(far)} of {len(part)}" + (f" ({', '.join(named)})" if len(named) else ""),
            )
        )
    heading = ("noise", "runs", "method", *QUANTITIES, "single cells", "outside 93 to 97")
    return table(heading, lines)


def main() -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few tables")
    parser.add_argument("--tables", type=int, default=200, help="for each cell; half for 240 runs")
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--noise", action="append", choices=KINDS, help="one kind; repeat")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--save", help="file for the counts of every cell, CSV")
    options = parser.parse_args()
    tables, replicates = (5, 50) if options.quick else (options.tables, options.replicates)
    found = study(tables, replicates, tuple(options.noise or KINDS), options.jobs)
    if options.save:
        found.to_csv(options.save, index=False)
    print(machine(), report(found), sep="\n\n")


if __name__ == "__main__":
    main()
