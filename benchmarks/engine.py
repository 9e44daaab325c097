"""Every part of the engine on the host and on a device, in one table, and whether they agree.

Grids, single fits, bootstraps of log-Huber fits and a study of many tables. On the host numpy runs
the engine; on a device of JAX's, the CPU included, the same lines run as compiled programs. The
script fails where the two differ by more than rounding.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import grids
import jax
import numpy as np
import studies
from common import Timing, chinchilla_table, farseer_table, machine, options, table

import scalefit as sf
from scalefit.errors import FitError
from scalefit.fitting import multistart
from scalefit.fitting.diagnostics import converged
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.laws import find

SIZES, QUICK_SIZES = (96, 1000, 9801), (96, 400)
REPLICATES, QUICK_REPLICATES = (1000, 100_000), (100, 500)
ROUNDS = 5
# No further round of an item that has taken this long.
MOST_SECONDS = 4.0

# Largest relative difference, of values and parameters alike.
PARITY = 1e-9
# A grid ranks cells by an error that carries rounding of about this share of the squared loss.
GRID_ROUNDING = 1e-13

HEADER = ("item", "host (quartiles)", "rate")
DEVICE_HEADER = ("device, first", "device (quartiles)", "rate", "host / device", "differs by")


class Item(NamedTuple):
    """One part of the engine.

    Attributes:
        name: what it is.
        call: does it on the host (None: numpy) or a device, and waits for the result.
        numbers: of a result, the numbers that must not depend on where.
        count: how many things it does, and their name.
        rounding: absolute differences of the numbers up to here are none.
    """

    name: str
    call: Callable[[str], Any]
    numbers: Callable[[Any], np.ndarray]
    count: tuple[float, str]
    rounding: float = 0.0


def scanned(points: int) -> Item:
    """The scan of a grid of cells of Chinchilla on 128 rows."""
    at = {None: grids.engine(points)}
    cells = [len(axis) for axis in at[None].axes]

    def run(device: str | None) -> Any:
        if device is None:
            return grids.in_numpy(at[None])
        return grids.compiled(at.setdefault(device, grids.engine(points, device)))

    name = f"scan of {' x '.join(map(str, cells))} cells, 128 rows"
    # Not which cell of a tile: next to the best one of a fine grid others differ by rounding alone.
    return Item(
        name, run, lambda found: found.value, (float(np.prod(cells)), "cells"), GRID_ROUNDING
    )


def fitted(runs: sf.LossTable, law: str, robust: str) -> Item:
    """A single fit without its proof."""

    def run(device: str | None) -> sf.Fit:
        return sf.fit(runs, law, robust=robust, certify=False, device=device)  # type: ignore[arg-type]

    def numbers(found: sf.Fit) -> np.ndarray:
        return np.array([found.objective_value, *found.params.values()])

    return Item(f"fit, {law}, {robust}, {len(runs)} rows", run, numbers, (1, "fits"))


def resampled(runs: sf.LossTable, fit: sf.Fit, count: int) -> Item:
    """A row bootstrap of log-Huber fits."""

    def run(device: str | None) -> sf.Ensemble:
        return sf.bootstrap(fit, runs, n_draws=count, progress=False, devices=device)

    def numbers(found: sf.Ensemble) -> np.ndarray:
        return np.stack(list(found.params.values()))

    return Item(f"bootstrap, {count:,} log-Huber", run, numbers, (count, "fits"))


def studied(seeds: int) -> Item:
    """The surface fits of the tables of studies.py, design by design."""
    prepared, losses, law, goal = [], [], find("chinchilla"), sf.objective.Objective("raw", "none")
    for design, tables, _ in studies.published_tables(seeds):
        runs = sf.LossTable.from_frame(design.assign(loss=np.sqrt((tables**2).mean(axis=0))))
        prepared.append(prepare_fit(runs, law, goal))
        losses.append(tables)

    def one(at: Any, tables: np.ndarray, device: str | None) -> multistart.Refits:
        return multistart.refit(
            at.problem, goal, at.settings, at.data, observed=tables, devices=device
        )

    def run(device: str | None) -> list[multistart.Refits]:
        return [one(at, tables, device) for at, tables in zip(prepared, losses, strict=True)]

    def numbers(found: list[multistart.Refits]) -> np.ndarray:
        # Values alone: many of these tables have a flat valley, and fix no parameter to ten digits.
        each = [
            np.where(converged(goal, at.data, item), item.value, 0.0)
            for at, item in zip(prepared, found, strict=True)
        ]
        return np.concatenate(each)

    count = sum(map(len, losses))
    return Item(
        f"study, {count:,} tables, {len(prepared)} designs", run, numbers, (count, "tables")
    )


def items(quick: bool) -> Iterator[Item]:
    """Everything that is measured, made when its turn comes."""
    runs, _, _ = chinchilla_table()
    yield from map(scanned, QUICK_SIZES if quick else SIZES)
    yield fitted(runs, "chinchilla", "huber")
    yield fitted(runs, "chinchilla", "none")
    if not quick:
        yield fitted(farseer_table()[0], "farseer", "none")
    fit = sf.fit(runs)
    yield from (resampled(runs, fit, n) for n in (QUICK_REPLICATES if quick else REPLICATES))
    yield studied(2 if quick else studies.SEEDS)


def timed(call: Callable[[], Any], compiles: bool) -> tuple[Any, float, Timing]:
    """Result of a call, seconds of the first one, and of warm ones where there is time for them."""
    seconds: list[float] = []
    least = 2 if compiles else 1
    while len(seconds) < least or (
        sum(seconds[least - 1 :]) < MOST_SECONDS and len(seconds) <= ROUNDS
    ):
        begin = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - begin)
    return found, seconds[0], Timing.of(seconds[1:] or seconds)


def difference(item: Item, here: Any, there: Any) -> float:
    """Largest relative difference of the numbers of two results."""
    first, second = item.numbers(here), item.numbers(there)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    apart = np.where(same, 0.0, np.maximum(np.abs(first - second) - item.rounding, 0.0))
    size = np.maximum(np.abs(first), np.abs(second))
    return float(np.max(apart / np.where(size > 0, size, 1.0)))


def report(device: str, quick: bool) -> tuple[str, list[str]]:
    """The table as Markdown, and the names of items that differ from the host's."""
    rows, apart = [], []
    for item in items(quick):
        count, what = item.count

        def rate(time: Timing, count: float = count, what: str = what) -> str:
            return f"{count / time.median:.3g} {what}/s"

        reference, _, host = timed(partial(item.call, None), False)
        row = [item.name, host.text, rate(host)]
        found, first, warm = timed(partial(item.call, device), True)
        differs = difference(item, found, reference)
        row += [f"{first:.2f} s", warm.text, rate(warm)]
        row += [f"**{host.median / warm.median:.2f}**", f"{differs:.1e}"]
        if not differs <= PARITY:
            apart.append(f"{item.name}: {differs:.1e}")
        rows.append(row)
        print(f"{item.name}: done", file=sys.stderr, flush=True)
    return table([*HEADER, *DEVICE_HEADER], rows), apart


def section(quick: bool, device: str | None = None) -> str:
    """The benchmark as Markdown.

    Args:
        quick: small sizes.
        device: of JAX's; its own default by default.

    Raises:
        SystemExit: results differ from those of the host by more than rounding.
    """
    device = device or jax.default_backend()
    platform, _, number = device.partition(":")
    try:
        kind = jax.local_devices(backend=platform)[int(number or 0)].device_kind
    except RuntimeError as error:
        raise SystemExit(f"there is no {device!r} here") from error
    body, apart = report(device, quick)
    text = "\n\n".join(
        [
            f"## The engine on the host and on {device}",
            f"Host: numpy, nothing compiled. Device: {kind}; its first call compiles. Warm calls, "
            f"results on the host; up to {ROUNDS} rounds, as many as fit into {MOST_SECONDS:g} s. "
            f"Results agree to {PARITY:g} of themselves, or the script fails; those of grids to "
            f"{GRID_ROUNDING:g} of the squared loss as well.",
            body,
        ]
    )
    if apart:
        print(text)
        raise SystemExit("differs from the host: " + "; ".join(apart))
    return text


def main() -> None:
    """Print the machine and the table."""
    parser = options(__doc__)
    parser.add_argument("--device", help="gpu, one of several as gpu:1, or cpu; JAX's by default")
    given: argparse.Namespace = parser.parse_args()
    try:
        text = section(given.quick, given.device)
    except FitError as error:
        sys.exit(str(error))
    print(machine(), text, sep="\n\n")


if __name__ == "__main__":
    main()
