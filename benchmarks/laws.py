"""The first and the second fit of every built-in law, on a table as its paper has them.

All in one process, with nothing kept from other processes. The tables are those of the tests'
catalogue, with noise. Times are CPU seconds of the process.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import in_process, run_versions, sources, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "laws"))

# CPU seconds of the first fit of each law, and of the median law.
TARGET, MEDIAN_TARGET = 4.0, 2.0
SHOWN = 10


def noisy(row: Any) -> Any:
    """The table of a row of the catalogue, with losses."""
    import scalefit as sf

    law, runs = sf.laws.find(row.law), row.design()
    params = {name: column(row, runs, name) for name in law.names}
    exact = law.evaluate({name: runs[name] for name in law.columns}, params)
    normal = row.noise * np.random.default_rng(0).standard_normal(len(runs))
    scale = 1.0 if row.options.get("residual") == "raw" else exact
    return runs.assign(**{law.response: exact + scale * normal})


def column(row: Any, runs: Any, name: str) -> Any:
    """The true value of a parameter; of a grouped one, that of each row's level."""
    import scalefit as sf

    if name in row.truth:
        return row.truth[name]
    (param,) = (param for param in sf.laws.find(row.law).params if param.name == name)
    (by,) = param.by
    return runs[by].map(lambda level: row.truth[f"{name}[{level}]"]).to_numpy()


def fitted(law: str) -> tuple[Any, Any]:
    """A fit of one law and its table."""
    from catalogue import ROWS

    import scalefit as sf

    row = next(row for row in ROWS if row.law == law)
    runs = noisy(row)
    return sf.fit(runs, row.law, **row.options), runs


def timed(row: Any) -> tuple[str, int, list[float], list[float]]:
    """Name of a law, rows of its table, CPU and wall seconds of a first and of a second fit."""
    import scalefit as sf

    runs = noisy(row)
    used, taken = [], []
    for _ in range(2):
        cpu, wall = time.process_time(), time.perf_counter()
        sf.fit(runs, row.law, **row.options)
        used.append(time.process_time() - cpu)
        taken.append(time.perf_counter() - wall)
    return row.law, len(runs), used, taken


def measured(quick: bool) -> list[Any]:
    """Every law, in this process; the first fit of a process is not to be timed."""
    from catalogue import ROWS

    import scalefit as sf

    sf.fit(sf.simulate(sf.simulation.isoflop_design()), "chinchilla_n")
    return [timed(row) for row in (ROWS[:3] if quick else ROWS)]


def section(quick: bool, checkout: Path | None = None) -> str:
    """The benchmark as Markdown, made in a process for which nothing was kept."""
    arguments = [__file__, "--one", *(["--quick"] if quick else [])]
    found = {
        version: json.loads(in_process(arguments, source, SCALEFIT_CACHE="off")[0])
        for version, source in sources(checkout).items()
    }
    here = sorted(found["here"], key=lambda item: -item[2][0])
    old = {item[0]: item for item in found.get("baseline", [])}
    said = []
    for version, items in found.items():
        cold, warm = (np.array([item[2][i] for item in items]) for i in (0, 1))
        said.append(
            f"{len(items)} laws, {version}: first fit {np.median(cold):.3f} s in the median "
            f"(target {MEDIAN_TARGET:g}) and {cold.max():.3f} s at most (target {TARGET:g}, "
            f"{int((cold > TARGET).sum())} above), second fit {np.median(warm):.3f} s and "
            f"{warm.max():.3f} s."
        )
    header = ["law", "runs", "first fit, CPU", "wall", "second fit, CPU", "wall"]
    header += ["baseline: first fit, CPU", "second fit, CPU"] if old else []
    lines = []
    for name, rows, used, taken in here[:SHOWN]:
        line = [
            f"`{name}`",
            rows,
            *(f"{x:.3f} s" for pair in zip(used, taken, strict=True) for x in pair),
        ]
        line += [f"{x:.3f} s" for x in old[name][2]] if old else []
        lines.append(line)
    return "\n\n".join(
        [
            "## Every built-in law",
            "CPU seconds, of one process after a first fit of another law. " + " ".join(said),
            f"The {len(lines)} slowest:",
            table(header, lines),
        ]
    )


if __name__ == "__main__":
    run_versions(measured, section, __doc__)
