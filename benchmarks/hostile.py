"""The whole campaign of hostile input: what was tried, how it ended, and what was wrong.

Chunks of cases run in processes of their own, as many at a time as ``--jobs`` says. A case that
does not end within five minutes ends its process, and is counted as hanging. The exit code is 1 if
anything is wrong.
"""

from __future__ import annotations

import faulthandler
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import machine, options, table

# Shared with tests.
TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "laws")]

CHUNK = 250
# Of a quick run, one case in so many.
QUICK = 50
HANGS = 300.0
# Everything below this line of a page is written by --out.
MARKER = "<!-- figures -->\n"

Record = dict[str, Any]


def judged(name: str, seeds: range) -> None:
    """Print a line of JSON for each case, before it (its seed) and after it (how it ended)."""
    import matplotlib

    matplotlib.use("agg")
    from campaign.families import FAMILIES
    from campaign.fits import LOWER

    for seed in seeds:
        print(json.dumps({"family": name, "seed": seed}), flush=True)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        ended = FAMILIES[name].judge(seed)
        faulthandler.cancel_dump_traceback_later()
        record = {
            "family": name,
            "seed": seed,
            "tags": [*map(str, ended.tags)],
            "refused": bool(ended.refusal),
            "lower": ended.lower > LOWER,
            "faults": ended.faults,
            "seconds": ended.seconds,
        }
        print(json.dumps(record), flush=True)


def chunk(name: str, seeds: range) -> list[Record]:
    """How the cases of a chunk ended; after a hang, the rest in a further process."""
    records: list[Record] = []
    while seeds:
        arguments = [name, *map(str, (seeds.start, seeds.stop, seeds.step))]
        command = [sys.executable, __file__, "--one", *arguments]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **threads}
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        records += [line for line in lines if "seconds" in line]
        if done.returncode == 0:
            break
        if not lines:
            raise SystemExit(done.stderr)
        last = lines[-1]["seed"]
        reason = (done.stderr.strip().splitlines() or ["died"])[
            0 if "Timeout" in done.stderr else -1
        ]
        failed = {"tags": [], "refused": False, "lower": False, "seconds": HANGS}
        records.append({"family": name, "seed": last, **failed, "faults": [reason[:200]]})
        seeds = range(last + seeds.step, seeds.stop, seeds.step)
    return records


def chunks(names: Sequence[str], step: int) -> Iterator[tuple[str, range]]:
    """Families and seeds, the longest first."""
    from campaign.families import FAMILIES

    for name in names:
        family = FAMILIES[name]
        for first in range(0, family.cases, CHUNK * step):
            yield name, range(first, min(first + CHUNK * step, family.cases), step)


def page(records: list[Record], before: str) -> str:
    """The campaign as Markdown; the rows of families that were not tried are those of before."""
    from campaign.families import FAMILIES

    rows = []
    for name, family in FAMILIES.items():
        mine = [item for item in records if item["family"] == name]
        if not mine:
            kept = [line for line in before.splitlines() if line.startswith(f"| {name}: ")]
            rows += [[part.strip() for part in line.strip("|").split("|")] for line in kept]
            continue
        seconds = [item["seconds"] for item in mine]
        rows.append(
            (
                f"{name}: {family.what}",
                f"{len(mine):,}",
                f"{sum(not item['refused'] and not item['faults'] for item in mine):,}",
                f"{sum(item['lower'] and not item['faults'] for item in mine):,}",
                f"{sum(item['refused'] and not item['faults'] for item in mine):,}",
                f"{sum(bool(item['faults']) for item in mine):,}",
                f"{1e3 * statistics.median(seconds):.3g} ms",
                f"{max(seconds):.2g} s",
            )
        )
    header = (
        "tried",
        "cases",
        "answered",
        "lower known, and doubted",
        "refused",
        "wrong",
        "median",
        "longest",
    )
    lines = [table(header, rows)]
    wrong = [item for item in records if item["faults"]]
    if wrong:
        lines.append("What was wrong:")
        lines.append(
            "\n".join(
                f"- {item['family']} {item['seed']} ({', '.join(item['tags'])[:80]!r}): "
                f"{'; '.join(item['faults'])[:240]}"
                for item in wrong
            )
        )
    return "\n\n".join(lines)


def main() -> None:
    """Run the campaign and print its page; with ``--out FILE`` write it as well."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--out", type=Path, help="page to write the figures to")
    parser.add_argument("--only", nargs="+", metavar="FAMILY", help="keep the rows of the others")
    arguments = parser.parse_args()
    from campaign.families import FAMILIES

    todo = list(chunks(arguments.only or list(FAMILIES), QUICK if arguments.quick else 1))
    text = arguments.out.read_text() if arguments.out and arguments.out.exists() else ""
    records: list[Record] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for done, found in enumerate(pool.map(lambda item: chunk(*item), todo), 1):
            records += found
            wrong = sum(bool(item["faults"]) for item in records)
            print(f"{done} of {len(todo)} chunks, {wrong} wrong", file=sys.stderr, flush=True)
    above, _, figures = text.partition(MARKER)
    document = f"{machine()}\n\n{page(records, figures)}"
    print(document)
    if arguments.out:
        arguments.out.write_text(f"{above}{MARKER}\n{document}\n")
    raise SystemExit(any(item["faults"] for item in records))


if __name__ == "__main__":
    if "--one" in sys.argv:
        family, *numbers = sys.argv[sys.argv.index("--one") + 1 :]
        judged(family, range(*map(int, numbers)))
    else:
        main()
