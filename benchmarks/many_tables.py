"""Ten thousand small tables through ``fit_many``, beside a loop of scipy, each at its optimum.

Tables have 20 to 60 runs, an additive law of their own and noise of one percent. The loop is what
such fits are usually made by: one descent of ``scipy.optimize.least_squares`` with the exact
Jacobian, set out from the parameters that the table was made with, which no one has outside of a
simulation. It is run on some of the tables and scaled to all. On 500 of them scipy then descends
from further starts as well, drawn from the box, and some are proved.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import machine, table
from scipy.optimize import least_squares

import scalefit as sf

TABLES, SAMPLED, LOOPED, PROVED, STARTS = 10_000, 500, 300, 25, 20
DELTA = 1e-3
# A value above another by more than this share of it is another minimum.
ABOVE = 1e-8

LOW = np.array([0.0, 0.0, 0.0, 0.005, 0.005])
HIGH = np.array([np.inf, np.inf, np.inf, 5.0, 5.0])


class Made(NamedTuple):
    """A table and the parameters it was made with."""

    runs: pd.DataFrame
    params: np.ndarray


def made(seed: int) -> Made:
    """20 to 60 runs of an additive law, with noise of one percent."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(20, 61)
    N, D = 10 ** rng.uniform(7, 9.5, rows), 10 ** rng.uniform(9, 11.5, rows)
    E, (A, B) = rng.uniform(1.2, 2.5), 10 ** rng.uniform(1.8, 3.5, 2)
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    loss = (E + A / N**alpha + B / D**beta) * np.exp(0.01 * rng.standard_normal(rows))
    return Made(pd.DataFrame({"N": N, "D": D, "loss": loss}), np.array([E, A, B, alpha, beta]))


def descent(runs: pd.DataFrame, start: np.ndarray) -> float:
    """Where scipy's descent ends, in the convention of the package."""
    x, y = (np.log(runs[name].to_numpy() / runs[name].iloc[0]) for name in "ND")
    observed = np.log(runs["loss"].to_numpy())
    first = runs[["N", "D"]].iloc[0].to_numpy()

    def parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(-p[3] * x), np.exp(-p[4] * y)

    def rows(p: np.ndarray) -> np.ndarray:
        of_n, of_d = parts(p)
        return observed - np.log(np.maximum(p[0] + p[1] * of_n + p[2] * of_d, 1e-300))

    def jacobian(p: np.ndarray) -> np.ndarray:
        of_n, of_d = parts(p)
        total = np.maximum(p[0] + p[1] * of_n + p[2] * of_d, 1e-300)
        columns = [np.ones_like(x), of_n, of_d, -p[1] * x * of_n, -p[2] * y * of_d]
        return -np.stack(columns, axis=1) / total[:, None]

    # Amplitudes are those at the first run, which are of ordinary size.
    begin = start.copy()
    begin[1:3] *= first ** -start[3:]
    begin = np.clip(begin, LOW + 1e-9, np.where(np.isfinite(HIGH), HIGH - 1e-9, np.inf))
    found = least_squares(
        rows,
        begin,
        jacobian,
        bounds=(LOW, HIGH),
        loss="huber",
        f_scale=DELTA,
        x_scale="jac",
        max_nfev=300,
    )
    return float(found.cost)


def scattered(seed: int) -> np.ndarray:
    """Points of the box, with amplitudes that make terms of ordinary size."""
    rng = np.random.default_rng([seed, 1])
    exponents = np.exp(rng.uniform(np.log(0.05), np.log(2.0), (STARTS, 2)))
    sizes = rng.uniform(0.05, 2.0, (STARTS, 2))
    amplitudes = sizes * np.array([1e8, 1e10]) ** exponents
    return np.column_stack([rng.uniform(0.1, 2.5, STARTS), amplitudes, exponents])


def timed(frame: pd.DataFrame, devices: Any) -> tuple[Any, float, float]:
    """Fits, and seconds of wall and of processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    fits = sf.fit_many(frame, by="table", progress=False, devices=devices)
    return fits, time.perf_counter() - wall, time.process_time() - cpu


def section(quick: bool, devices: Any = None) -> str:
    """The benchmark as Markdown."""
    count = 300 if quick else TABLES
    tables = [made(seed) for seed in range(count)]
    frame = pd.concat(
        [item.runs.assign(table=i) for i, item in enumerate(tables)], ignore_index=True
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fits, cold, cold_cpu = timed(frame, devices)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, warm, warm_cpu = timed(frame, devices)
    some = np.random.default_rng(0).permutation(count)
    looped = some[: LOOPED // 10 if quick else LOOPED]
    wall = time.perf_counter()
    ends = [descent(*tables[i]) for i in looped]
    loop = (time.perf_counter() - wall) / len(looped) * count
    value = fits.table["objective_value"].to_numpy()
    missed = sum(end > value[i] * (1 + ABOVE) for i, end in zip(looped, ends, strict=True))
    sampled = some[: SAMPLED // 50 if quick else SAMPLED]
    best = np.array(
        [
            min(descent(tables[i].runs, p) for p in (tables[i].params, *scattered(i)))
            for i in sampled
        ]
    )
    lower = int(np.sum(best < value[sampled] * (1 - ABOVE)))
    proofs = [sf.fit(tables[i].runs, certify=True) for i in sampled[: 2 if quick else PROVED]]
    closed = [(i, fit) for i, fit in zip(sampled, proofs, strict=False) if fit.certificate.closed]
    same = sum(abs(value[i] / fit.objective_value - 1) <= ABOVE for i, fit in closed)
    rows = [
        ("fit_many, first call of the process", f"{cold:.1f} s", f"{cold_cpu:.1f} s", 1.0),
        ("fit_many, second call", f"{warm:.1f} s", f"{warm_cpu:.1f} s", round(warm / cold, 2)),
        ("scipy, one descent from the truth", f"{loop:.0f} s", "", round(loop / cold, 1)),
    ]
    statuses = fits.table["status"].value_counts().to_dict()
    return "\n\n".join(
        [
            f"## {count:,} tables of 20 to 60 runs",
            table(("program", "wall", "processor", "ratio"), rows),
            f"The loop was run on {len(looped)} tables and scaled; on {missed} of them it ended "
            f"above the value of `fit_many`. Status: {statuses}. The process held "
            f"{peak / 1e6:.2f} GB at most, {(peak - before) / 1e6:.2f} GB of them for the fits.",
            f"On {len(sampled)} tables the best of {STARTS + 1} descents of scipy is lower than "
            f"`fit_many` {lower} times. Of {len(proofs)} of these tried, {len(closed)} are proved "
            f"global by `fit(certify=True)`, and `fit_many` has the value of {same} of them.",
        ]
    )


def main() -> None:
    """Print the machine and the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--devices", help="all, gpu, gpu:1 or cpu; JAX's default by default")
    given = parser.parse_args()
    print(machine(), section(given.quick, given.devices), sep="\n\n")


if __name__ == "__main__":
    main()
