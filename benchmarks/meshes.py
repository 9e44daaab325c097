"""Batches over the devices of a mesh: strong scaling, fits per second, and what bounds them.

Two devices are forced on the processor, and the same bootstrap and study run on one and on both,
each device one block at a time, in turn in one process. Beside them one device with the threads of
the host, as by default. Fits per second are those of the accelerator where there is one, or of the
processor, from a thousand replicates on. What the program takes for a start and an iteration is
XLA's own count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
from common import Timing, chinchilla_table, in_process, race, run_alone, table

import scalefit as sf
from scalefit.fitting import device_polish, engine
from scalefit.runtime import meshes
from scalefit.runtime.settings import own_settings

REPLICATES, QUICK_REPLICATES = 8192, 512
SEEDS, QUICK_SEEDS = 256, 16
ROUNDS = 5
SIZES, QUICK_SIZES = (1000, 10_000, 100_000), (200, 400)
FORCED = "--xla_force_host_platform_device_count=2"

SCALING = (
    "batch",
    "one device",
    "two devices (quartiles)",
    "one / two",
    "one device, threads of the host",
    "one / threads",
)
RATES = ("replicates", "seconds", "fits per second", "GFLOP/s", "GB/s")


def bootstrap(fit: sf.Fit, runs: sf.LossTable, count: int, devices: Any) -> sf.Ensemble:
    """A row bootstrap by the compiled program alone."""
    return sf.bootstrap(
        fit, runs, n_draws=count, global_search=0.0, devices=devices, progress=False
    )


def study(seeds: int, devices: Any) -> sf.studies.Study:
    """Surface fits of simulated tables, each searched over the whole box."""
    settings = {"points": 16, "noise": [0.003, 0.01]}
    return sf.studies.simulation_study(
        settings, seeds, methods="surface", devices=devices, progress=False
    )


def scaling(quick: bool) -> dict[str, dict[str, Timing]]:
    """Times on one device and on two; in a process where there are two."""
    runs, _, _ = chinchilla_table()
    fit = sf.fit(runs, certify=False)
    count, seeds = (QUICK_REPLICATES, QUICK_SEEDS) if quick else (REPLICATES, SEEDS)
    batches = {
        f"bootstrap, {count:,} log-Huber": partial(bootstrap, fit, runs, count),
        f"study, {2 * seeds:,} tables": partial(study, seeds),
    }
    one, two = (meshes.mesh_of(jax.devices()[:n]) for n in (1, 2))
    whole, ranking = meshes.THREADS, engine.RANKING_THREADS
    # Grids of the study are scanned by the program whatever their number.
    engine.CALLED_CELLS = 0

    def by(threads: int, call: Callable[[Any], Any], mesh: Any) -> Any:
        meshes.THREADS, engine.RANKING_THREADS = threads, min(threads, ranking)
        return call(mesh)

    return {
        name: race(
            {
                "one": partial(by, 1, call, one),
                "two": partial(by, 1, call, two),
                "threads": partial(by, whole, call, one),
            },
            1 if quick else ROUNDS,
        )
        for name, call in batches.items()
    }


def scaling_table(quick: bool) -> str:
    """Strong scaling, measured in a process with two devices."""
    arguments = [__file__, "--scaling", *(["--quick"] if quick else [])]
    output, _ = in_process(arguments, XLA_FLAGS=FORCED, JAX_PLATFORMS="cpu")
    rows = []
    for name, found in json.loads(output).items():
        times = {label: Timing(*values) for label, values in found.items()}
        one = times["one"].median
        rows.append(
            (
                name,
                times["one"].text,
                times["two"].text,
                f"**{one / times['two'].median:.2f}**",
                times["threads"].text,
                f"{one / times['threads'].median:.2f}",
            )
        )
    return table(SCALING, rows)


class Watched:
    """Calls of the polish: how often the body of its loop ran, on blocks of which size."""

    def __init__(self) -> None:
        self.call: Sequence[Any] = ()
        self._often: list[int] = []
        self._run = device_polish.run_lanes

    def __enter__(self) -> Watched:
        device_polish.run_lanes = self
        return self

    def __exit__(self, *_: object) -> None:
        device_polish.run_lanes = self._run

    @property
    def bodies(self) -> int:
        """How often the body of the loop ran, on all devices together."""
        return sum(self._often)

    def __call__(self, program: Any, mesh: Any, *given: Any) -> Any:
        """As ``run_lanes``."""
        found = self._run(program, mesh, *given)
        # A block goes on until its last start has ended. Its states are last in what it is given.
        times = found[1].iteration - given[-1][-1].iteration
        self._often.append(int(times.reshape(mesh.size, -1).max(axis=1).sum()))
        self.call = (program, mesh, *given)
        return found

    def cost(self) -> Mapping[str, float]:
        """XLA's count of FLOPs and bytes of one block, the body of its loop once."""
        program, mesh, static, shared, lanes = self.call
        width = len(lanes[1]) // mesh.size
        block = jax.tree.map(lambda leaf: leaf[:width], lanes)
        with own_settings():
            compiled = meshes._compiled(program, static).lower(shared, block).compile()
        found = compiled.cost_analysis()
        return {"flops": found["flops"], "bytes": found["bytes accessed"], "width": width}


def rates(sizes: Sequence[int]) -> str:
    """Fits per second by the number of replicates, and what bounds them."""
    runs, _, name = chinchilla_table()
    fit = sf.fit(runs, certify=False)
    place = jax.default_backend()
    rows, cost = [], {}
    for count in sizes:
        # The program of a size is compiled once, as is that of what goes on in its rounds.
        bootstrap(fit, runs, count if count <= sizes[0] else min(count, 2 * sizes[0]), place)
        with Watched() as seen:
            begin = time.perf_counter()
            bootstrap(fit, runs, count, place)
            taken = time.perf_counter() - begin
        cost = seen.cost()
        rows.append(
            (
                f"{count:,}",
                f"{taken:.3g}",
                f"**{count / taken:,.0f}**",
                f"{seen.bodies * cost['flops'] / taken / 1e9:.3g}",
                f"{seen.bodies * cost['bytes'] / taken / 1e9:.3g}",
            )
        )
    each = {what: cost[what] / cost["width"] for what in ("flops", "bytes")}
    text = (
        f"{name}, on {place}. The program takes {each['flops'] / 1e6:.2g} MFLOP and "
        f"{each['bytes'] / 1e6:.2g} MB for a start and an iteration as XLA counts them, "
        f"{each['flops'] / each['bytes']:.2g} FLOP a byte, in blocks of {cost['width']:,.0f} "
        "starts. Processors and accelerators do several FLOP in the time of a byte: memory bounds "
        "it, or the cache where a block fits into it. Rates are those counts over the time."
    )
    return f"{text}\n\n{table(RATES, rows)}"


def section(quick: bool, most: int = SIZES[-1]) -> str:
    """The benchmark as Markdown."""
    sizes = QUICK_SIZES if quick else [*(n for n in SIZES if n <= most), *([most] * (most > 1e5))]
    return "\n\n".join(
        [
            "## Batches on a mesh",
            f"Strong scaling; medians of {1 if quick else ROUNDS} round(s).",
            scaling_table(quick),
            rates(sizes),
        ]
    )


def main() -> None:
    """Print the machine and the tables; ``--most 1000000`` goes on to so many replicates."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--most", type=int, default=SIZES[-1])
    arguments, rest = parser.parse_known_args()
    if arguments.scaling:
        print(json.dumps(scaling("--quick" in rest)))
    else:
        sys.argv[1:] = rest
        run_alone(partial(section, most=arguments.most), __doc__)


if __name__ == "__main__":
    main()
