"""Public scoreboards: SLDBench, ScaleBench with all rows, and 92 learning curves.

Tables are read from the folder that SCALEFIT_BENCH names (and Farseer's from SCALEFIT_DATA). Laws
are chosen by training rows; the scores are of test rows, where their files are there: the same
command scores the other tasks once ``sld_TASK_test.csv`` is in the folder. ``--out`` writes the
tables between the marks of a page, and with ``--task`` those of that SLDBench task alone.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from common import machine
from compare import curve_table
from scalebench import BENCHES, all_data
from sldbench import scoreboard
from sldbench_tasks import TASKS

PARTS = ("sldbench", "scalebench", "curves")


def between(page: str, name: str, text: str) -> str:
    """The page with the text between its marks.

    Raises:
        SystemExit: the page has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in page or end not in page:
        raise SystemExit(f"no marks of {name} in the page")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"


def renewed(page: str, name: str, task: str, text: str) -> str:
    """The text between the marks of a page, with the row or the section of one task from another.

    Args:
        page: with the tables of all tasks.
        name: of the marks.
        task: whose row and section are taken from ``text``.
        text: what is made for the task alone.
    """
    old = page.split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0].strip()
    row, section = rf"^\| {task} \|.*$", rf"^### {task}\n.*?(?=\n\n### |\Z)"
    for pattern in (re.compile(row, re.M), re.compile(section, re.M | re.S)):
        made = pattern.search(text)
        if made:
            return pattern.sub(made[0].replace("\\", r"\\"), old)
    raise SystemExit(f"nothing of {task} to write")


def tables(
    folder: Path, part: str, task: str | None, train_only: bool, workers: int
) -> dict[str, str]:
    """Texts of a part, by their marks."""
    if part == "sldbench":
        scores, choices = scoreboard(folder, task, train_only)
        return {"sldbench scores": scores, "sldbench choices": choices}
    if part == "scalebench":
        return {"scalebench": all_data(folder, task, train_only)}
    return {"curves": curve_table(folder, workers)}


def main() -> None:
    """Print the tables of each part, and write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--task", choices=sorted({*TASKS, *BENCHES}), help="one task")
    parser.add_argument("--train-only", action="store_true", help="leave test rows unread")
    parser.add_argument("--workers", type=int, default=2, help="processes for the curves")
    parser.add_argument(
        "--out", type=Path, metavar="PAGE", help="page to write into, between marks"
    )
    given = parser.parse_args()
    folder = os.environ.get("SCALEFIT_BENCH")
    if folder is None:
        parser.error("set SCALEFIT_BENCH to the folder of the tables")
    print(machine(), "\n")
    for part in PARTS:
        if given.only not in (None, part) or (given.task and part == "curves"):
            continue
        found = tables(Path(folder), part, given.task, given.train_only, given.workers)
        for name, text in found.items():
            print(f"## {name}\n\n{text}\n", flush=True)
            if given.out and (part == "sldbench" or not given.task):
                page = given.out.read_text()
                new = renewed(page, name, given.task, text) if given.task else text
                given.out.write_text(between(page, name, new))


if __name__ == "__main__":
    main()
