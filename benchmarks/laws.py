"""The first and the second fit of every law in a fresh process: built-in, made, on public tables.

Each case has a process of its own, in which the first fit is the first thing that is done: tracing
and whatever is imported late count. Times are CPU seconds, which leave other programs out; set
OPENBLAS_NUM_THREADS=1 where they are to be those of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import law_tables
import numpy as np
from common import baseline, in_process, machine, options, sources, table

# CPU seconds of the first fit of each law, of the median law, and of the second fit.
TARGET, MEDIAN_TARGET, SECOND_TARGET = 4.0, 2.0, 1.0
SHOWN = 12


def fitted(law: str) -> tuple[Any, Any]:
    """A fit of one law and its table of the catalogue."""
    import scalefit as sf

    runs, found, given = law_tables.catalogue(law)
    return sf.fit(runs, found, **given), runs


def measured(name: str) -> dict[str, Any] | None:
    """Rows of a table, CPU seconds of a first and a second fit; None where there is no table."""
    import scalefit as sf

    warnings.simplefilter("ignore")
    case = law_tables.cases()[name]()
    if case is None:
        return None
    runs, law, given = case
    used, rows = [], 0
    for _ in range(2):
        begin = time.process_time()
        rows = sf.fit(runs, law, **given).nobs
        used.append(time.process_time() - begin)
    return {"rows": rows, "first": used[0], "second": used[1]}


def all_measured(quick: bool, source: Path) -> dict[str, dict[str, Any]]:
    """Every case in a process of its own; those that a version does not know are left out."""
    every = list(law_tables.cases())
    found = {}
    for name in every[:3] if quick else every:
        arguments = [__file__, "--one", name]
        try:
            text, _ = in_process(arguments, source, SCALEFIT_CACHE="off")
        except SystemExit:
            continue
        if answer := json.loads(text.splitlines()[-1]):
            found[name] = answer
    return found


def above(items: dict[str, dict[str, Any]], which: str, target: float) -> str:
    """The cases above a target, as a list in words."""
    late = {name: item[which] for name, item in items.items() if item[which] > target}
    said = "; ".join(f"{name}: {value:.2f}" for name, value in late.items())
    return f"{len(late)} above {target:g} s ({said})" if late else f"none above {target:g} s"


def section(quick: bool, checkout: Path | None = None, every: bool = False) -> str:
    """The benchmark as Markdown."""
    found = {version: all_measured(quick, source) for version, source in sources(checkout).items()}
    said = []
    for version, items in found.items():
        first, second = (
            np.array([item[n] for item in items.values()]) for n in ("first", "second")
        )
        said.append(
            f"{version}, {len(items)} cases: first fit {np.median(first):.2f} s in the median "
            f"(target {MEDIAN_TARGET:g}), {above(items, 'first', TARGET)}; second fit "
            f"{np.median(second):.2f} s, {above(items, 'second', SECOND_TARGET)}."
        )
    old = found.get("baseline", {})
    header = ["case", "runs", "first fit", "second fit"]
    header += ["baseline: first fit", "second fit"] if checkout else []
    shown = sorted(found["here"].items(), key=lambda item: -item[1]["first"])
    lines = []
    for name, item in shown[: None if every else SHOWN]:
        line = [name, item["rows"], f"{item['first']:.2f} s", f"{item['second']:.2f} s"]
        if checkout:
            line += [f"{old[name][n]:.2f} s" if name in old else "-" for n in ("first", "second")]
        lines.append(line)
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "as the machine has them")
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    about = f"CPU seconds, each case in a fresh process. Threads of BLAS: {threads}; load {load}. "
    return "\n\n".join(
        [
            "## Every law",
            about + " ".join(said),
            f"{'All' if every else f'The {len(lines)} slowest'}:",
            table(header, lines),
        ]
    )


def main() -> None:
    parser: argparse.ArgumentParser = options(__doc__)
    baseline(parser)
    parser.add_argument("--one", metavar="CASE", help=argparse.SUPPRESS)
    parser.add_argument("--all", action="store_true", help="every case, not the slowest alone")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one)))
    else:
        print(machine(), section(given.quick, given.baseline, given.all), sep="\n\n")


if __name__ == "__main__":
    main()
