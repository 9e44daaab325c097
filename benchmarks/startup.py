"""What a cold process costs: imports, the first fit with its compilation, the second fit.

Each number comes from fresh processes. JAX's own persistent compilation cache is not set, and
scalefit's is switched off, so that the first fit of a process compiles, except where it is said to
be warm: then an earlier process has filled it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

from common import Timing, run_alone, table

IMPORTS = ("numpy", "pandas", "jax", "jax, pandas", "scalefit")
IMPORT_BASELINE = "jax, pandas"

FARSEER_ROUNDS = 2

IMPORT_PROGRAM = """
import time
begin = time.perf_counter()
import {names}
print(time.perf_counter() - begin)
"""

FIT_PROGRAM = """
import json, time
times = {}
begin = time.perf_counter()
import scalefit as sf
times["import"] = time.perf_counter() - begin
runs = sf.simulate(sf.isoflop_design(points=48))
for name in ("first fit", "second fit"):
    begin = time.perf_counter()
    fit = sf.fit(runs)
    times[name] = time.perf_counter() - begin
print(json.dumps(times))
"""

# More nonlinear parameters than a grid covers: the longest to compile of the built-in laws.
FARSEER_PROGRAM = """
import json, time
times = {}
import scalefit as sf
runs = sf.simulate(sf.isoflop_design(points=48))
for name in ("first", "second"):
    begin = time.perf_counter()
    fit = sf.fit(runs, "farseer", robust="none")
    times[name] = time.perf_counter() - begin
print(json.dumps(times))
"""

WHOLE_PROGRAM = """
import scalefit as sf
print(sf.fit(sf.simulate(sf.isoflop_design(points=48))).summary())
"""


def python(program: str, cache: str = "off") -> tuple[str, float]:
    """Output of a program in a fresh interpreter, and the seconds until it ended."""
    environment = {
        name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name
    }
    environment["SCALEFIT_CACHE"] = cache
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout, time.perf_counter() - begin


def imports(rounds: int) -> str:
    """Table of import times, in rounds that run each once."""
    programs = {names: IMPORT_PROGRAM.format(names=names) for names in IMPORTS}
    for program in programs.values():  # byte code and file cache
        python(program)
    seconds: dict[str, list[float]] = {names: [] for names in IMPORTS}
    for _ in range(rounds):
        for names, program in programs.items():
            seconds[names].append(float(python(program)[0]))
    times = {names: Timing.of(values) for names, values in seconds.items()}
    base = times[IMPORT_BASELINE].median
    rows = [
        (f"`import {names}`", item.text, f"{item.median / base:.2f}")
        for names, item in times.items()
    ]
    return table(("import", "time (quartiles)", f"ratio to `import {IMPORT_BASELINE}`"), rows)


def first_fits(rounds: int) -> str:
    """Table of the first and the second fit of a process, and of a whole process."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        python(WHOLE_PROGRAM, folder)
        for _ in range(rounds):
            for cache, where in (("off", "no cache"), (folder, "warm cache")):
                measured = json.loads(python(FIT_PROGRAM, cache)[0])
                whole = python(WHOLE_PROGRAM, cache)[1]
                seconds.setdefault("import", []).append(measured["import"])
                seconds.setdefault("second fit", []).append(measured["second fit"])
                seconds.setdefault(f"first fit, {where}", []).append(measured["first fit"])
                name = f"whole process: import, fit, print; {where}"
                seconds.setdefault(name, []).append(whole)
        farseer(seconds, min(rounds, FARSEER_ROUNDS))
    times = {name: Timing.of(values) for name, values in seconds.items()}
    base = times["import"].median
    rows = [(name, item.text, f"{item.median / base:.3g}") for name, item in times.items()]
    return table(("part", "time (quartiles)", "ratio to `import scalefit`"), rows)


def farseer(seconds: dict[str, list[float]], rounds: int) -> None:
    """Add the Farseer law: a whole process that compiles, and a warm fit."""
    for _ in range(rounds):
        output, whole = python(FARSEER_PROGRAM)
        measured = json.loads(output)
        whole -= measured["second"]  # the process fits twice
        seconds.setdefault("Farseer, whole process, no cache", []).append(whole)
        seconds.setdefault("Farseer, second fit", []).append(measured["second"])


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    rounds = 1 if quick else 5
    return "\n\n".join(
        [
            "## Start-up",
            f"Medians of {rounds} fresh process(es) each, run in turn, files cached by the system.",
            imports(rounds),
            "240 simulated rows. The first fit compiles, or loads what an earlier process "
            "compiled; the second does neither. Chinchilla with log-Huber losses unless said "
            "otherwise; Farseer with squares.",
            first_fits(rounds),
        ]
    )


def main() -> None:
    """Print the machine and the tables."""
    run_alone(section, __doc__)


if __name__ == "__main__":
    main()
