"""Run every benchmark and print one Markdown document."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import allocations
import before
import cold
import engine
import ensembles
import grids
import groups
import meshes
import minima
import proofs
import reading
import refits
import rows
import single_fit
from common import machine, options

SECTIONS = (
    single_fit.section,
    rows.section,
    groups.section,
    grids.section,
    refits.section,
    ensembles.section,
    allocations.section,
    engine.section,
    meshes.section,
    proofs.section,
    reading.section,
    cold.section,
)


TITLE = "# Benchmarks\n\n"
# In a page, everything below this line is written by --out.
MARKER = "<!-- figures -->\n"


def main() -> None:
    """Print the document; with ``--out FILE`` write it as well."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, help="file to write the document to")
    parser.add_argument("--baseline", type=Path, help="a checkout of an earlier version")
    arguments = parser.parse_args()
    document = TITLE + machine()
    print(document, flush=True)
    sections: list[Callable[[bool], str]] = [*SECTIONS]
    sections.insert(-1, partial(minima.section, checkout=arguments.baseline))
    if arguments.baseline:
        sections.insert(0, partial(before.section, checkout=arguments.baseline))
        sections[-1] = partial(cold.section, checkout=arguments.baseline, rounds=1)
    for section in sections:
        text = section(arguments.quick)
        print("", text, sep="\n", flush=True)
        document += f"\n\n{text}"
    if arguments.out:
        before_figures = ""
        if arguments.out.exists():
            # What a page says of its figures stays above them.
            said, marker, _ = arguments.out.read_text().partition(MARKER)
            before_figures = said + marker + "\n" if marker else ""
            document = document.removeprefix(TITLE) if marker else document
        arguments.out.write_text(before_figures + document + "\n")


if __name__ == "__main__":
    main()
