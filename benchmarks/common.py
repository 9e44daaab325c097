"""What the benchmarks share: paired timing, the machine, tables of results, the data.

A timing on its own says little about another machine. Everything here is timed against a baseline
in the same process and the same minute, in rounds that call every contender once, so that whatever
else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import psutil

PACKAGES = ("scalefit", "jax", "jaxlib", "numpy", "scipy", "pandas")

# Set to a folder holding this file, the benchmarks fit the published table instead of a simulated
# one of the same size.
DATA_VARIABLE = "SCALEFIT_DATA"
# A folder with the tables of public benchmarks of fitters.
BENCH_VARIABLE = "SCALEFIT_BENCH"
CHINCHILLA_FILE = "chinchilla_epoch.csv"
FARSEER_FILE = "farseer.csv"
CHINCHILLA_RULE = "besiroglu_keep == 1"

SAMPLE_SECONDS = 5e-4


class Timing(NamedTuple):
    """Seconds per call over the rounds: median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Median and quartiles of measured seconds."""
        if len(seconds) < 2:
            return cls(seconds[0], seconds[0], seconds[0])
        low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(middle, low, high)

    @property
    def text(self) -> str:
        """Median and quartiles with a unit, such as ``5.1 ms (4.9 to 5.6)``."""
        unit, factor = next(
            (unit, factor)
            for unit, factor, least in (("s", 1, 1.0), ("ms", 1e3, 1e-3), ("us", 1e6, 0.0))
            if self.median >= least
        )
        low, middle, high = (factor * value for value in (self.low, self.median, self.high))
        return f"{middle:.3g} {unit} ({low:.3g} to {high:.3g})"


def race(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Warm time of each call: every round makes each call once and waits for its result."""
    from jax import block_until_ready

    for call in calls.values():
        block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            block_until_ready(call())
            seconds[name].append(time.perf_counter() - begin)
    return {name: Timing.of(values) for name, values in seconds.items()}


class PeakMemory:
    """Largest resident size of this process while the block runs, bytes, by sampling."""

    def __enter__(self) -> PeakMemory:
        self._process = psutil.Process()
        self.start = self.peak = self._process.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    @property
    def extra(self) -> int:
        """Bytes above the size at the start."""
        return self.peak - self.start

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def in_process(
    arguments: Sequence[str], source: Path | None = None, **environment: str
) -> tuple[str, float]:
    """Output of a script in a fresh interpreter, and the seconds until it ended.

    Args:
        arguments: of the interpreter.
        source: folder that scalefit is imported from; the one of this process by default.
        environment: further variables.

    Raises:
        SystemExit: the process failed.
    """
    kept = {name: text for name, text in os.environ.items() if "COMPILATION_CACHE" not in name}
    kept |= {"PYTHONPATH": str(source or own_source()), **environment}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=kept
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout, time.perf_counter() - begin


def own_source() -> Path:
    """The folder that scalefit is imported from here."""
    place = find_spec("scalefit")
    if place is None or place.origin is None:
        raise SystemExit("scalefit is not installed")
    return Path(place.origin).parents[1]


def baseline(parser: argparse.ArgumentParser) -> None:
    """An option for an earlier version to be measured in turn with this one."""
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="checkout of an older commit")


def sources(checkout: Path | None) -> dict[str, Path]:
    """Folders that scalefit is imported from, by what they are called in tables."""
    found = {"here": own_source()}
    return found if checkout is None else {**found, "baseline": checkout / "src"}


def peaks(script: str, counts: Sequence[int], what: str) -> str:
    """Table of the peak of memory by a count, each in a process of its own.

    Args:
        script: prints bytes when called with ``--memory COUNT``.
        counts: the counts.
        what: is counted.

    Raises:
        SystemExit: a process failed.
    """
    rows = []
    for count in counts:
        output, _ = in_process([script, "--memory", str(count)])
        rows.append((f"{count:,}", f"{int(output) / 2**20:.3g} MiB"))
    return table((what, "peak extra memory"), rows)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine() -> str:
    """The machine and the versions, as a Markdown table."""
    import jax

    cores = f"{psutil.cpu_count(logical=False)} physical, {psutil.cpu_count()} logical"
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    rows = [
        ("CPU", _cpu()),
        ("cores", f"{cores}; load average {busy} at the start"),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("system", platform.platform()),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        *((name, version(name)) for name in PACKAGES),
        ("JAX device", ", ".join(f"{d.platform} ({d.device_kind})" for d in jax.devices())),
    ]
    return table(("machine", ""), rows)


def _cpu() -> str:
    """Name of the processor, as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def chinchilla_table() -> tuple[Any, Any, str]:
    """240 runs as a LossTable and as the equal DataFrame, and what they are."""
    import pandas as pd

    import scalefit as sf

    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        path = Path(folder) / CHINCHILLA_FILE
        frame = pd.read_csv(path).query(CHINCHILLA_RULE)
        name = "Chinchilla runs extracted by Besiroglu et al. 2024"
    else:
        frame = sf.simulate(sf.simulation.isoflop_design(points=48))
        name = "simulated IsoFLOP sweeps"
    runs = sf.LossTable.from_frame(frame)
    return runs, frame, f"{name}, {len(runs)} rows"


def farseer_table() -> tuple[Any, str]:
    """Runs for the Farseer law as a LossTable, and what they are."""
    import scalefit as sf

    folder = os.environ.get(DATA_VARIABLE)
    if folder and (Path(folder) / FARSEER_FILE).exists():
        runs, name = sf.read(Path(folder) / FARSEER_FILE), "runs published with Farseer"
    else:
        frame = sf.simulate(sf.simulation.isoflop_design(points=48))
        runs, name = sf.LossTable.from_frame(frame), "simulated IsoFLOP sweeps"
    return runs, f"{name}, {len(runs)} rows"


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows ``--quick``."""
    summary = (description or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats")
    return parser


def run_versions(
    measured: Callable[[bool], Any],
    section: Callable[[bool, Any], str],
    description: str | None,
    needed: bool = False,
) -> None:
    """Command line of a benchmark that runs itself in other processes, of an earlier version too.

    Args:
        measured: figures of this version, made in this process: printed as JSON with ``--one``.
        section: the text, of ``--quick`` and the checkout of the earlier version or None.
        description: of the benchmark.
        needed: whether there is nothing to say without an earlier version.
    """
    parser = options(description)
    baseline(parser)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.quick)))
    elif needed and given.baseline is None:
        parser.error("--baseline DIR is needed: there is nothing to compare with")
    else:
        print(machine(), section(given.quick, given.baseline), sep="\n\n")


def run_alone(section: Callable[[bool], str], description: str | None) -> None:
    """Command line of one benchmark: the machine, then its section."""
    quick = options(description).parse_args().quick
    print(machine(), section(quick), sep="\n\n")
