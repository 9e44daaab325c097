"""One warm fit of 20,000 and of 200,000 rows: time and the peak of memory, each by the row.

Every size runs in a process of its own. Both should cost the same for each row.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from common import PeakMemory, Timing, baseline, in_process, machine, options, sources, table

ROWS = (240, 20_000, 200_000)
QUICK_ROWS = (240, 20_000)
PENALTIES = ("huber", "none")
BUDGETS = 5

HEADER = (
    "objective",
    "rows",
    "first fit",
    "warm fit (quartiles)",
    "us per row",
    "peak extra memory",
    "bytes per row",
)


def measured(rows: int, robust: str, rounds: int) -> dict[str, Any]:
    """Seconds and bytes of fits without their proof, in this process."""
    import scalefit as sf

    runs = sf.LossTable.from_frame(
        sf.simulate(sf.simulation.isoflop_design(BUDGETS, points=rows // BUDGETS))
    )
    seconds = []
    with PeakMemory() as during:
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            sf.fit(runs, robust=robust, certify=False)
            seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds, "memory": during.extra}


def section(quick: bool, checkout: Path | None = None) -> str:
    """The benchmark as Markdown."""
    lines = []
    versions = sources(checkout)
    for robust in PENALTIES:
        for rows in QUICK_ROWS if quick else ROWS:
            for version, source in versions.items():
                arguments = ["--one", str(rows), robust, *(["--quick"] if quick else [])]
                found = json.loads(in_process([__file__, *arguments], source)[0])
                first, *rest = found["seconds"]
                warm = Timing.of(rest)
                lines.append(
                    (
                        robust + (f", {version}" if checkout else ""),
                        f"{rows:,}",
                        f"{first:.3g} s",
                        warm.text,
                        f"{1e6 * warm.median / rows:.2f}",
                        f"{found['memory'] / 2**20:.3g} MiB",
                        f"{found['memory'] / rows:,.0f}",
                    )
                )
    said = (
        "Chinchilla on simulated sweeps, log residual, no proof. Memory is above what the process "
        "held with the table read."
    )
    return "\n\n".join(["## Many rows", said, table(HEADER, lines)])


def main() -> None:
    """Print the machine and the table; with ``--one ROWS PENALTY``, one of them as JSON."""
    hidden = argparse.ArgumentParser(add_help=False)
    hidden.add_argument("--one", nargs=2)
    known, rest = hidden.parse_known_args()
    parser = options(__doc__)
    baseline(parser)
    given = parser.parse_args(rest)
    if known.one:
        rows, robust = known.one
        print(json.dumps(measured(int(rows), robust, 1 if given.quick else 2)))
    else:
        print(machine(), section(given.quick, given.baseline), sep="\n\n")


if __name__ == "__main__":
    main()
