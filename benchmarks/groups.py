"""Fits with one coefficient for each level of a column, against the same law without groups.

A law written out with one indicator column and one amplitude for each level is the same fit the
long way round: the other baseline, where it is small enough. Both
must reach the same objective before anything is timed.
"""

from __future__ import annotations

import inspect
import time
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from common import Timing, race, run_alone, table

import scalefit as sf

LEVELS = (1, 5, 20, 80)
QUICK_LEVELS = (1, 5)
# Of a table that grows with its levels.
ROWS_EACH = 10
MANY = (10, 100, 1000, 3000)
QUICK_MANY = (10, 100)
# Written out up to here: program and grid grow with the square of the columns.
WRITTEN_OUT = 5

BUDGETS = (1e18, 1e19, 1e20, 1e21)
POINTS_PER_BUDGET = 240
SAME_OBJECTIVE = 1e-9

HEADER = (
    "law",
    "coefficients",
    "first fit",
    "warm fit (quartiles)",
    "ratio to one level",
    "per coefficient",
    "**ratio, per coefficient**",
)
MANY_HEADER = ("levels", "runs", "CPU", "per level", "**ratio, per level**")


def runs(levels: int) -> sf.LossTable:
    """960 simulated runs in as many formats, with the indicator columns of the longer law."""
    frame = sf.simulation.isoflop_design(BUDGETS, points=POINTS_PER_BUDGET)
    level = np.arange(len(frame)) % levels
    eff = np.linspace(1.0, 0.3, levels)[level]
    shrunk = frame.assign(N=frame["N"] * eff)
    frame = frame.assign(loss=sf.simulate(shrunk, seed=levels)["loss"], format=level)
    for i in range(levels):
        frame[f"is_{i}"] = (level == i).astype(float)
    return sf.LossTable.from_frame(frame)


def written_out(levels: int) -> sf.Law:
    """Chinchilla with one amplitude and one indicator column for each level."""
    amplitudes = [f"A{i}" for i in range(levels)]

    def function(N: Any, D: Any, *given: Any, **p: Any) -> Any:
        A = sum(p[name] * column for name, column in zip(amplitudes, given, strict=True))
        return p["E"] + A * jnp.power(N, -p["alpha"]) + p["B"] * jnp.power(D, -p["beta"])

    kinds = {
        "E": sf.laws.Offset,
        "B": sf.laws.Amplitude,
        "alpha": sf.laws.Exponent,
        "beta": sf.laws.Exponent,
    }
    kinds |= dict.fromkeys(amplitudes, sf.laws.Amplitude)
    columns = ["N", "D", *(f"is_{i}" for i in range(levels))]
    shape = inspect.Parameter
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [shape(name, shape.POSITIONAL_OR_KEYWORD) for name in columns]
        + [shape(name, shape.KEYWORD_ONLY) for name in kinds]
    )
    function.__annotations__ = kinds
    return sf.law(source="this benchmark")(function)


def first(call: Any) -> tuple[sf.Fit, float]:
    """A first fit, and the seconds it took."""
    begin = time.perf_counter()
    fit = call()
    return fit, time.perf_counter() - begin


def measure(levels: tuple[int, ...], rounds: int) -> list[tuple[str, ...]]:
    """Rows of the table.

    Raises:
        SystemExit: the law written out ends elsewhere.
    """
    calls: dict[str, Any] = {}
    begun: dict[str, float] = {}
    coefficients: dict[str, int] = {}
    sf.fit(
        sf.simulate(sf.simulation.isoflop_design()), "chinchilla_n"
    )  # starting JAX is not to be timed
    for count in levels:
        groups = {"A": "format"} if count > 1 else {}
        name = f"{count} levels" if groups else "one level: no groups"
        fits = {name: partial(sf.fit, runs(count), groups=groups)}
        if groups and count <= WRITTEN_OUT:
            fits[f"{count} columns, written out"] = partial(sf.fit, runs(count), written_out(count))
        values = []
        for label, call in fits.items():
            fit, begun[label] = first(call)
            values.append(fit.objective_value)
            coefficients[label] = fit.n_free
        if not np.ptp(values) <= SAME_OBJECTIVE * values[0]:
            raise SystemExit(f"objectives differ: {values}")
        calls |= fits
    times = race(calls, rounds)
    base_name = next(iter(calls))
    base = times[base_name].median
    each_base = base / coefficients[base_name]
    return [
        (
            name,
            str(coefficients[name]),
            Timing.of([begun[name]]).text.partition(" (")[0],
            item.text,
            f"{item.median / base:.2f}",
            f"{1e3 * item.median / coefficients[name]:.3g} ms",
            f"**{item.median / coefficients[name] / each_base:.2f}**",
        )
        for name, item in times.items()
    ]


def many_runs(levels: int) -> sf.LossTable:
    """Ten simulated runs of each level."""
    rng = np.random.default_rng(levels)
    level = np.arange(ROWS_EACH * levels) % levels
    N, D = (np.exp(rng.uniform(*np.log(ends), len(level))) for ends in ((1e7, 1e10), (1e9, 1e12)))
    eff = np.exp(rng.normal(0, 0.3, levels))[level]
    losses = 1.7 + 400 * eff * N**-0.34 + 410 * D**-0.28
    losses = losses * np.exp(rng.normal(0, 5e-3, len(level)))
    frame = {"N": N, "D": D, "loss": losses, "format": level}
    return sf.LossTable.from_frame(pd.DataFrame(frame))


def measure_many(levels: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Rows of the table of many levels: one fit each, CPU seconds of all threads."""
    rows, each_base = [], 0.0
    for count in levels:
        runs = many_runs(count)
        begin = time.process_time()
        sf.fit(runs, groups={"A": "format"})
        seconds = time.process_time() - begin
        each_base = each_base or seconds / count
        rows.append(
            (
                f"{count:,}",
                f"{ROWS_EACH * count:,}",
                f"{seconds:.2g} s",
                f"{1e3 * seconds / count:.2g} ms",
                f"**{seconds / count / each_base:.2f}**",
            )
        )
    return rows


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    rounds = 5 if quick else 31
    rows = measure(QUICK_LEVELS if quick else LEVELS, rounds)
    many = measure_many(QUICK_MANY if quick else MANY)
    return "\n\n".join(
        [
            "## Groups",
            f"Chinchilla on {len(BUDGETS) * POINTS_PER_BUDGET} simulated runs with one A for each "
            f"level; log residual, Huber. Medians of {rounds} rounds. The law "
            f"written out has the same optimum to {SAME_OBJECTIVE:g}, or the run fails.",
            table(HEADER, rows),
            f"Many levels of {ROWS_EACH} runs, one fit each, and the ratio to the fewest:",
            table(MANY_HEADER, many),
        ]
    )


def main() -> None:
    """Print the machine and the table."""
    run_alone(section, __doc__)


if __name__ == "__main__":
    main()
