"""The grid search alone: time and memory per cell, against the matrix product it cannot avoid.

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
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from common import PeakMemory, Timing, race, run_alone, table
from jax import lax

import scalefit as sf
from scalefit.fitting import grid
from scalefit.fitting.pipeline import pack
from scalefit.fitting.problem import Data, Problem, Settings, prepare
from scalefit.fitting.search import BATCH
from scalefit.laws import find
from scalefit.separable import structure

# 128 rows need no padding.
BUDGETS = (1e18, 1e19, 1e20, 1e21)
POINTS_PER_BUDGET = 32

# Points per axis, and rounds: the default grid, and two for which the product matters.
SIZES = {96: 101, 1000: 31, 9801: 7}
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
    "search, warm (quartiles)",
    "ns per cell",
    "floor: bare product",
    "**search / floor**",
    "numpy product / floor",
    "cell by cell / search, per cell",
    "peak extra memory, compile and run",
    "buffers planned",
)


def inputs(points: int) -> tuple[Problem, Data, Settings, list[np.ndarray]]:
    """Chinchilla on simulated sweeps, as the pipeline hands it to the search."""
    law = find("chinchilla")
    frame = sf.simulate(sf.isoflop_design(BUDGETS, points=POINTS_PER_BUDGET))
    columns = {name: frame[name].to_numpy() for name in law.columns}
    problem, settings = prepare(law, structure(law, columns), columns, fix={}, bounds={}, tie=())
    weight = np.ones(len(frame))
    data = pack(problem, sf.Objective(), columns, frame["loss"].to_numpy(), weight, {})
    return problem, data, settings, grid.axes(problem, settings, points)


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


def extra_memory(call: Callable[[], Any]) -> int:
    """Bytes above the start at the peak of a first call, compilation included."""
    with PeakMemory() as during:
        jax.block_until_ready(call())
    return during.extra


def planned_memory(compiled: Any) -> int:
    """Bytes of buffers that a compiled program plans beside its inputs."""
    plan = compiled.memory_analysis()
    return plan.temp_size_in_bytes + plan.output_size_in_bytes


def search(problem: Problem, data: Data, settings: Settings, axes: list[Any]) -> grid.Candidates:
    """Rank every cell, and solve the best cell of each tile of a first batch of starts."""
    tiles = grid.rank(problem, data, settings, axes).tiles[:BATCH]
    return grid.cells(problem, data, settings, axes, tiles)


def check(found: grid.Candidates, data: Data) -> None:
    """The best cell has the error that its normal equations give when solved by themselves.

    Raises:
        SystemExit: it has not.
    """
    cells = np.exp(np.asarray(found.coordinates[:1, :, None]))
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
        times |= race({"numpy": partial(np.matmul, left, right)}, NUMPY_ROUNDS)
    return times


def single_cells(data: Data, settings: Settings) -> Callable[[], Any]:
    """The unfactorised solve on a grid of SINGLE_AXIS cells a side, in chunks."""
    low, high = settings.lower[-2:], settings.upper[-2:]
    axes = [np.exp(np.linspace(*ends, SINGLE_AXIS)) for ends in zip(low, high, strict=True)]
    alphas, betas = (item.reshape(-1, SINGLE_CHUNK) for item in np.meshgrid(*axes, indexing="ij"))
    return partial(jax.jit(cell_by_cell), data, alphas, betas)


def measure(points: int, rounds: int) -> dict[str, Any]:
    """Everything about one grid; to be called once in a process."""
    with jax.enable_x64(True):
        problem, data, settings, axes = inputs(points)
        searcher = jax.jit(partial(search, problem))
        call = partial(searcher, data, settings, axes)
        peak = extra_memory(call)
        check(call(), data)
        plan = planned_memory(searcher.lower(data, settings, axes).compile())
        rng = np.random.default_rng(0)
        rows, cells = len(data.response), len(axes[0])
        left, right = rng.standard_normal((cells, rows)), rng.standard_normal((rows, cells))
        times = race({"search": call, **slabs_of_product(left, right)}, rounds)
        times |= other_ends(data, settings, left, right)
    return {"shape": [len(axis) for axis in axes], "memory": [peak, plan], "times": times}


def in_fresh_process(points: int, rounds: int) -> dict[str, Any]:
    """``measure`` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(points), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"grid of {points} points failed:\n{done.stderr}")
    return json.loads(done.stdout)


def row(found: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    first, second = found["shape"]
    times = {name: Timing(*values) for name, values in found["times"].items()}
    search = times["search"]
    slab, bare = min(
        ((name, item) for name, item in times.items() if name.startswith("floor")),
        key=lambda pair: pair[1].median,
    )
    each = search.median / (first * second)
    single = times["cell by cell"].median / SINGLE_AXIS**2
    numpy = f"{times['numpy'].median / bare.median:.1f}" if "numpy" in times else "too large"
    return (
        f"{first} x {second}",
        search.text,
        f"{1e9 * each:.3g}",
        f"{bare.text}, slabs of {slab.split()[1]}",
        f"**{search.median / bare.median:.2f}**",
        numpy,
        f"{single / each:.0f}",
        *(f"{size / 2**20:.3g} MiB" for size in found["memory"]),
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
            f"{SINGLE_AXIS**2} cells.",
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
