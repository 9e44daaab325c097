"""Run every benchmark and print one Markdown document."""

from __future__ import annotations

from pathlib import Path

import allocations
import engine
import ensembles
import grids
import groups
import laws
import refits
import single_fit
import startup
from common import machine, options

SECTIONS = (
    single_fit.section,
    groups.section,
    grids.section,
    refits.section,
    ensembles.section,
    allocations.section,
    engine.section,
    laws.section,
    startup.section,
)


def main() -> None:
    """Print the document; with ``--out FILE`` write it as well."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, help="file to write the document to")
    arguments = parser.parse_args()
    document = "# Benchmarks\n\n" + machine()
    print(document, flush=True)
    for section in SECTIONS:
        text = section(arguments.quick)
        print("", text, sep="\n", flush=True)
        document += f"\n\n{text}"
    if arguments.out:
        arguments.out.write_text(document + "\n")


if __name__ == "__main__":
    main()
