"""Every part of the engine on one device: grids, single fits, refits, and the proof.

With ``--device gpu`` each part is repeated on the CPU, and the script fails where the two differ by
more than rounding. The proof is numpy on the host whatever the device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from common import (
    PeakMemory,
    Timing,
    chinchilla_table,
    farseer_table,
    machine,
    options,
    race,
    table,
)
from grids import inputs
from refits import POINTS, REPLICATES, call, parameters, resampled
from single_fit import proof

import scalefit as sf
from scalefit.errors import FitError
from scalefit.fitting import grid
from scalefit.fitting.devices import on_device

# Cells per axis (rounded up to whole tiles), and rounds.
SIZES = {96: 31, 1000: 11, 9808: 3}
QUICK_SIZES = {96: 5, 400: 3}

# Largest relative difference between devices, of values and parameters alike.
PARITY = 1e-9

# The grid ranks cells by a projected error that carries rounding of about this share of the squared
# loss (grid.py), of which the error itself may be a small part.
GRID_ROUNDING = 1e-13

HEADER = ("item", "time (quartiles)", "rate", "peak extra memory")


class Item(NamedTuple):
    """One part of the engine.

    Attributes:
        name: what it is.
        call: does it, and waits for the result.
        numbers: of a result, the numbers that must not depend on the device.
        count: how many things it does, and their name.
        rounds: how often it is timed.
        rounding: absolute differences of the numbers up to here are none.
        host: whether it runs on the host whatever the device.
    """

    name: str
    call: Callable[[], Any]
    numbers: Callable[[Any], np.ndarray]
    count: tuple[float, str]
    rounds: int
    rounding: float = 0.0
    host: bool = False


def ranked(points: int, rounds: int, device: str) -> Item:
    """The ranking of a grid of cells of Chinchilla on 128 rows."""
    with on_device(device):
        problem, data, settings, axes = inputs(points)
        ranker = jax.jit(partial(grid.rank, problem))

    def run() -> grid.Ranking:
        with on_device(device):
            return jax.device_get(ranker(data, settings, axes))

    def numbers(found: grid.Ranking) -> np.ndarray:
        # Not which tile: next to the best cell of a fine grid others differ by rounding alone.
        return found.value[:1]

    cells = float(np.prod([len(axis) for axis in axes]))
    name = " x ".join(str(len(axis)) for axis in axes)
    return Item(
        f"rank {name} cells, 128 rows", run, numbers, (cells, "cells"), rounds, GRID_ROUNDING
    )


def fitted(runs: sf.LossTable, law: str, robust: str, rounds: int, device: str, label: str) -> Item:
    """A single fit without its proof."""

    def numbers(found: sf.Fit) -> np.ndarray:
        return np.array([found.value, *found.params.values()])

    run = partial(sf.fit, runs, law, robust=robust, certify=False, device=device)
    return Item(f"fit {law}, {label}, {len(runs)} rows", run, numbers, (1, "fits"), rounds)


def refitted(runs: sf.LossTable, robust: str, count: int, rounds: int, device: str) -> Item:
    """Refits to resampled rows, each searched on a grid of its own."""
    label = "squares" if robust == "none" else "log-Huber"
    run = call(runs, sf.Objective("log", robust), resampled(len(runs), count), device)

    def numbers(found: Any) -> np.ndarray:
        return np.concatenate([found.value, parameters(found).ravel()])

    name = f"{count} refits of {len(runs)} rows, {label}, {POINTS} x {POINTS} cells each"
    return Item(name, run, numbers, (count, "refits"), rounds)


def proved(runs: sf.LossTable, rounds: int) -> Item:
    """The proof that the squared fit is global."""
    run = proof(runs)

    def numbers(found: Any) -> np.ndarray:
        return np.array([found.gap, found.boxes])

    boxes = run().boxes
    return Item(
        "proof, squares (numpy on the host)", run, numbers, (boxes, "boxes"), rounds, host=True
    )


def items(device: str, quick: bool) -> list[Item]:
    """Everything that is measured, ready to run on a device."""
    runs, _, _ = chinchilla_table()
    farseer, _ = farseer_table()
    rounds, count, batches = (3, 64, 1) if quick else (21, REPLICATES, 3)
    sizes = QUICK_SIZES if quick else SIZES
    return [
        *(ranked(points, repeats, device) for points, repeats in sizes.items()),
        fitted(runs, "chinchilla", "huber", rounds, device, "log-Huber"),
        fitted(runs, "chinchilla", "none", rounds, device, "squares"),
        fitted(farseer, "farseer", "none", 3, device, "squares"),
        refitted(runs, "none", count, batches, device),
        refitted(runs, "huber", count, batches, device),
        proved(runs, rounds),
    ]


def difference(item: Item, here: Any, there: Any) -> float:
    """Largest relative difference of the numbers of two results."""
    first, second = item.numbers(here), item.numbers(there)
    apart = np.maximum(np.abs(first - second) - item.rounding, 0.0)
    size = np.maximum(np.abs(first), np.abs(second))
    return float(np.max(apart / np.where(size > 0, size, 1.0)))


def measured(item: Item) -> tuple[Any, Timing, int]:
    """Result of an item, its warm time, and the peak of this process's memory."""
    found = item.call()
    with PeakMemory() as during:
        item.call()
    return found, race({item.name: item.call}, item.rounds)[item.name], during.extra


def _memory(device: str, extra: int) -> str:
    if device.startswith("cpu"):
        return f"{extra / 2**20:.3g} MiB"
    # Never falls: the largest so far of this process, on the device.
    platform, _, number = device.partition(":")
    known = jax.local_devices(backend=platform)[int(number or 0)].memory_stats() or {}
    peak = known.get("peak_bytes_in_use")
    return "unknown" if peak is None else f"{peak / 2**20:.3g} MiB on the device so far"


def report(device: str, quick: bool, parity: bool) -> tuple[str, list[str]]:
    """The table as Markdown, and the names of items that differ from the CPU's."""
    header, rows, apart = list(HEADER), [], []
    here = items(device, quick)
    others: list[Any] = [None] * len(here)
    if parity:
        header += ["time on the CPU", "largest relative difference"]
        others = items("cpu", quick)
    for item, other in zip(here, others, strict=True):
        found, time, extra = measured(item)
        count, what = item.count
        line = [item.name, time.text, f"{count / time.median:.3g} {what}/s"]
        line.append(_memory("cpu" if item.host else device, extra))
        if other is not None:
            reference, taken, _ = measured(other)
            differs = difference(item, found, reference)
            line += [taken.text, f"{differs:.1e}"]
            if not differs <= PARITY:
                apart.append(f"{item.name}: {differs:.1e}")
        rows.append(line)
    return table(header, rows), apart


def _kind(device: str) -> str:
    platform, _, number = device.partition(":")
    return str(jax.local_devices(backend=platform)[int(number or 0)].device_kind)


def section(quick: bool, device: str | None = None, parity: bool | None = None) -> str:
    """The benchmark as Markdown, on JAX's default device unless told.

    Raises:
        SystemExit: results differ from those of the CPU by more than rounding.
    """
    device = device or jax.default_backend()
    compare = not device.startswith("cpu") if parity is None else parity
    body, apart = report(device, quick, compare)
    note = ""
    if compare:
        note = (
            f" Results agree with those of the CPU to {PARITY:g}; of the grid's, what exceeds "
            f"rounding of {GRID_ROUNDING:g} of the squared loss counts."
        )
    text = "\n\n".join(
        [
            f"## The engine on {device}",
            f"Device: {_kind(device)}. Warm calls, results back on the host. Refits and fits "
            f"include the search of the whole box; the proof never leaves the host.{note}",
            body,
        ]
    )
    if apart:
        print(text)
        raise SystemExit("differs from the CPU: " + "; ".join(apart))
    return text


def main() -> None:
    """Print the machine and the table."""
    parser = options(__doc__)
    parser.add_argument("--device", help="cpu, gpu or one of several as gpu:1; JAX's default")
    parser.add_argument(
        "--parity",
        action=argparse.BooleanOptionalAction,
        help="repeat everything on the CPU and compare (default unless the device is the CPU)",
    )
    arguments = parser.parse_args()
    try:
        text = section(arguments.quick, arguments.device, arguments.parity)
    except FitError as error:
        sys.exit(str(error))
    print(machine(), text, sep="\n\n")


if __name__ == "__main__":
    main()
