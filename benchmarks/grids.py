"""The grid search alone: time and memory per cell, against the matrix product it cannot avoid.

The engine scans with numpy, and very large grids with a compiled program; both are timed at every
size, with the first call of the compiled one, so that the size from which it pays can be read off.

The search assembles the Gram matrix of every cell from inner products of sub-grids; for Chinchilla
the one that sees both exponents is a product of (cells of alpha x rows) with (rows x cells of
beta). That product, computed slab by slab with nothing but its minimum kept, is the floor. The
other end is what a search without the factorisation does: build the columns and solve the normal
equations at each cell by itself.

Each grid runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from common import PeakMemory, Timing, in_process, race, run_alone, table
from jax import lax

import scalefit as sf
from scalefit.fitting import grid
from scalefit.fitting.engine import COMPILED_CELLS, Engine
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.fitting.search import BATCH
from scalefit.fitting.tables import Tables
from scalefit.laws import find
from scalefit.problem.problem import Data, Settings
from scalefit.runtime.settings import quiet

# 128 rows need no padding.
BUDGETS = (1e18, 1e19, 1e20, 1e21)
POINTS_PER_BUDGET = 32

# Points per axis, and rounds: the default grid, and some for which the product matters.
SIZES = {96: 51, 1000: 11, 2048: 5, 4096: 5, 9801: 3}
QUICK_SIZES = {96: 11, 400: 5}

# Cells of alpha per slab of the bare product; the best of these is the floor.
SLABS = (16, 64, 128, 512)

# The unfactorised solve is timed on about 1e5 cells, in chunks whose columns fit the cache.
SINGLE_AXIS = 320
SINGLE_CHUNK = 256
SINGLE_ROUNDS = 3
NUMPY_ROUNDS = 5

# The check solves uncentred normal equations of three nearly collinear columns, which costs half
# the digits; a wrong search is off by far more.
SAME_ERROR = 1e-6

# numpy stores the whole product; skipped where that takes more than this share of free memory.
NUMPY_SHARE = 0.25

HEADER = (
    "cells",
    "engine scans with",
    "search in numpy (quartiles)",
    "compiled, warm (quartiles)",
    "compiled, first call",
    "ns per cell, engine's",
    "floor: bare product",
    "numpy / floor",
    "compiled / floor",
    "numpy's product / floor",
    "cell by cell / engine's, per cell",
    "peak extra memory, engine's",
)


def engine(points: int, device: str | None = None) -> Engine:
    """Chinchilla on simulated sweeps, as the pipeline hands it to the search."""
    frame = sf.simulate(sf.simulation.isoflop_design(BUDGETS, points=POINTS_PER_BUDGET))
    objective = sf.objective.Objective()
    runs = sf.LossTable.from_frame(frame)
    prepared = prepare_fit(runs, find("chinchilla"), objective)
    axes = grid.axes(prepared.problem, prepared.settings, points)
    tables = Tables(objective, prepared.data)
    return Engine(prepared.problem, prepared.settings, tables, axes, device)


def in_numpy(at: Engine) -> grid.Scan:
    """The best cell of every tile, by numpy on the host."""
    with quiet():
        return grid.scan(at.model, at.tables.data, at.settings, at.axes)


def compiled(at: Engine) -> grid.Scan:
    """The same by a compiled program, results on the host."""
    return at._compiled_scan(0)


def floor(slab: int, left: Any, right: Any) -> Any:
    """Smallest entry of each slab of left @ right, of which no more than a slab is stored."""
    slabs = left.reshape(-1, slab, left.shape[1])
    return lax.map(lambda rows: (rows @ right).min(), slabs)


def cell_by_cell(data: Data, alphas: Any, betas: Any) -> Any:
    """Smallest projected squared error over cells, each solved by itself; no bounds are kept.

    Args:
        data: rows.
        alphas: exponent of each cell, shape (chunks, cells).
        betas: exponent of each cell, shape (chunks, cells).
    """
    N, D = data.columns
    root = jnp.sqrt(data.metric)
    target = root * data.response

    def error(alpha: Any, beta: Any) -> Any:
        columns = root * jnp.stack([jnp.ones_like(target), N**-alpha, D**-beta])
        columns = columns / jnp.sqrt(jnp.sum(columns**2, axis=1, keepdims=True))
        right = columns @ target
        return target @ target - right @ jnp.linalg.solve(columns @ columns.T, right)

    return lax.map(lambda pair: jax.vmap(error)(*pair).min(), (alphas, betas))


def search(at: Engine, scan: Callable[[Any], grid.Scan]) -> grid.Candidates:
    """Rank every cell, and solve the best cells of a first batch of starts."""
    cells = at.ranked(0, scan(at), BATCH).cells
    return at.solved(cells, np.zeros(len(cells), dtype=int))


def check(found: grid.Candidates, data: Data) -> None:
    """The best cell has the error that its normal equations give when solved by themselves.

    Raises:
        SystemExit: it has not.
    """
    cells = np.exp(np.asarray(found.coordinates[:1, :, None]))
    with jax.enable_x64(True):
        value = float(cell_by_cell(data, cells[:, 0], cells[:, 1])[0])
    if not abs(value - float(found.value[0])) <= SAME_ERROR * value:
        raise SystemExit(f"search found {found.value[0]}, its cell has {value}: nothing to time")


def slabs_of_product(left: np.ndarray, right: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The bare product at several slab lengths, the last slab filled up with zeros."""
    cells = len(left)
    calls = {}
    for slab in sorted({min(slab, cells) for slab in SLABS}):
        filled = np.pad(left, ((0, -cells % slab), (0, 0)))
        calls[f"floor {slab}"] = partial(jax.jit(partial(floor, slab)), filled, right)
    return calls


def other_ends(data: Data, settings: Settings, left: np.ndarray, right: np.ndarray) -> Any:
    """Cell by cell, and numpy's stored product where it fits in memory.

    numpy's threads stay awake for a while after a product, so each is timed by itself.
    """
    times = race({"cell by cell": single_cells(data, settings)}, SINGLE_ROUNDS)
    if 8 * len(left) ** 2 < NUMPY_SHARE * psutil.virtual_memory().available:
        times |= race({"product": partial(np.matmul, left, right)}, NUMPY_ROUNDS)
    return times


def single_cells(data: Data, settings: Settings) -> Callable[[], Any]:
    """The unfactorised solve on a grid of SINGLE_AXIS cells a side, in chunks."""
    low, high = settings.lower[-2:], settings.upper[-2:]
    axes = [np.exp(np.linspace(*ends, SINGLE_AXIS)) for ends in zip(low, high, strict=True)]
    alphas, betas = (item.reshape(-1, SINGLE_CHUNK) for item in np.meshgrid(*axes, indexing="ij"))
    return partial(jax.jit(cell_by_cell), data, alphas, betas)


def measure(points: int, rounds: int) -> dict[str, Any]:
    """Everything about one grid; to be called once in a process."""
    at = engine(points)
    data, cells = at.tables.data, len(at.axes[0])
    calls = {"numpy": partial(search, at, in_numpy), "compiled": partial(search, at, compiled)}
    chosen = "compiled" if cells**2 > COMPILED_CELLS else "numpy"
    begin = time.perf_counter()
    with PeakMemory() as first:
        calls[chosen]()
    firsts, memory = {chosen: time.perf_counter() - begin}, first.extra
    for name, call in calls.items():
        begin = time.perf_counter()
        check(call(), data)
        firsts.setdefault(name, time.perf_counter() - begin)
    times = race(calls, rounds)
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        rows = len(data.response)
        left, right = rng.standard_normal((cells, rows)), rng.standard_normal((rows, cells))
        times |= race(slabs_of_product(left, right), rounds)
        times |= other_ends(data._replace(measure=None), at.settings, left, right)
    return {
        "shape": [len(axis) for axis in at.axes],
        "engine": chosen,
        "first": firsts["compiled"],
        "memory": memory,
        "times": times,
    }


def in_fresh_process(points: int, rounds: int) -> dict[str, Any]:
    """``measure`` in a process of its own."""
    output, _ = in_process([__file__, "--one", str(points), "--rounds", str(rounds)])
    return json.loads(output)


def row(found: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    first, second = found["shape"]
    times = {name: Timing(*values) for name, values in found["times"].items()}
    mine = times[found["engine"]]
    slab, bare = min(
        ((name, item) for name, item in times.items() if name.startswith("floor")),
        key=lambda pair: pair[1].median,
    )
    each = mine.median / (first * second)
    single = times["cell by cell"].median / SINGLE_AXIS**2
    product = f"{times['product'].median / bare.median:.1f}" if "product" in times else "too large"
    ratios = {name: times[name].median / bare.median for name in ("numpy", "compiled")}
    return (
        f"{first} x {second}",
        found["engine"],
        times["numpy"].text,
        times["compiled"].text,
        f"{found['first']:.2f} s",
        f"{1e9 * each:.3g}",
        f"{bare.text}, slabs of {slab.split()[1]}",
        *(
            f"**{ratio:.2f}**" if name == found["engine"] else f"{ratio:.2f}"
            for name, ratio in ratios.items()
        ),
        product,
        f"{single / each:.0f}",
        f"{found['memory'] / 2**20:.3g} MiB",
    )


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    sizes = QUICK_SIZES if quick else SIZES
    rows = [row(in_fresh_process(points, rounds)) for points, rounds in sizes.items()]
    return "\n\n".join(
        [
            "## Grid search",
            f"Chinchilla on {len(BUDGETS) * POINTS_PER_BUDGET} simulated rows, float64; medians of "
            f"{', '.join(map(str, sizes.values()))} rounds. The floor is the best of several slab "
            "lengths. Cell by cell: normal equations without bounds on "
            f"{SINGLE_AXIS**2} cells. The engine compiles the scan of more than "
            f"{COMPILED_CELLS:,} cells: where the first call costs less than numpy.",
            table(HEADER, rows),
        ]
    )


def main() -> None:
    """Print the machine and the table; with ``--one POINTS``, one grid as JSON."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--one", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    arguments, _ = parser.parse_known_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.rounds)))
    else:
        run_alone(section, __doc__)


if __name__ == "__main__":
    main()
