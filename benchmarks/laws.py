"""The first and the second fit of every built-in law, on a table as its paper has them.

The first one compiles the law's programs, with nothing kept from other processes. The tables are
those of the tests' catalogue, with noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import run_alone, table

import scalefit as sf

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "laws"))

COLD, WARM = 10.0, 3.0


def timed(row: Any) -> tuple[str, int, float, float]:
    """Name of a law, rows of its table, and seconds of a first and of a second fit."""
    law, runs = sf.laws.find(row.law), row.design()
    params = {name: column(row, runs, name) for name in law.names}
    exact = law.evaluate({name: runs[name] for name in law.columns}, params)
    normal = row.noise * np.random.default_rng(0).standard_normal(len(runs))
    scale = 1.0 if row.options.get("residual") == "raw" else exact
    runs = runs.assign(**{law.response: exact + scale * normal})
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        sf.fit(runs, row.law, **row.options)
        seconds.append(time.perf_counter() - begin)
    return row.law, len(runs), seconds[0], seconds[1]


def column(row: Any, runs: Any, name: str) -> Any:
    """The true value of a parameter; of a grouped one, that of each row's level."""
    if name in row.truth:
        return row.truth[name]
    (param,) = (param for param in sf.laws.find(row.law).params if param.name == name)
    (by,) = param.by
    return runs[by].map(lambda level: row.truth[f"{name}[{level}]"]).to_numpy()


def section(quick: bool) -> str:
    """The benchmark as Markdown, made in a process for which nothing was kept."""
    command = [sys.executable, __file__, "--cold", *(["--quick"] if quick else [])]
    environment = os.environ | {"SCALEFIT_CACHE": "off"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"the fits failed:\n{done.stderr}")
    return done.stdout.strip()


def measured(quick: bool) -> str:
    """What :func:`section` shows, in this process."""
    from catalogue import ROWS

    found = sorted(map(timed, ROWS[:3] if quick else ROWS), key=lambda item: -item[2])
    slow = [item for item in found if item[2] > COLD or item[3] > WARM]
    shown = slow + [item for item in found if item not in slow][: max(0, 12 - len(slow))]
    cold, warm = (np.median([item[i] for item in found]) for i in (2, 3))
    said = (
        f"{len(found)} laws: median {cold:.1f} s cold and {warm:.2f} s warm; {len(slow)} above "
        f"{COLD:g} s cold or {WARM:g} s warm. The slowest:"
    )
    lines = [(f"`{name}`", rows, f"{a:.1f} s", f"{b:.2f} s") for name, rows, a, b in shown]
    header = ("law", "runs", "first fit", "second fit")
    return "\n\n".join(["## Every built-in law", said, table(header, lines)])


def main() -> None:
    """Print the machine and the table; with ``--cold`` the table alone, made here."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cold", action="store_true")
    arguments, rest = parser.parse_known_args()
    if arguments.cold:
        print(measured("--quick" in rest))
    else:
        run_alone(section, __doc__)


if __name__ == "__main__":
    main()
