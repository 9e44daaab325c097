"""Train every run of a manifest that is not finished yet: ``python data/sweep/sweep.py main``.

Reads ``NAME.csv`` beside this file, a line for each run, and appends a line of JSON to
``NAME.jsonl`` for each that ends. Interrupted, it goes on with the next call. One process a core;
each computes on one thread, which keeps more of the machine busy than one process on all of them.

``--repeat 10`` trains ten runs of it again, drawn at random, into a new ``NAME_repeat.jsonl``, and
prints both losses of each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train import Run

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# A process waits for nobody: what one core does is done without asking another.
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


def manifest(path: Path) -> list[Run]:
    """The runs of a manifest."""
    from train import Run

    with path.open(newline="") as file:
        return [
            Run(
                run=line["run"],
                part=line["part"],
                width=int(line["width"]),
                steps=int(line["steps"]),
                batch=int(line["batch"]),
                lr=float(line["lr"]),
                budget=float(line["budget"]) if line["budget"] else None,
                seed=int(line["seed"]),
            )
            for line in csv.DictReader(file)
        ]


def results(path: Path) -> list[dict[str, Any]]:
    """The runs that ended. A last line that an interruption cut off is not one of them."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


@cache
def _windows(folder: Path) -> tuple[Any, Any]:
    from text import text, windows
    from train import CONTEXT

    return windows(text(folder), CONTEXT)


def _train(run: Run, folder: Path) -> dict[str, Any]:
    from train import train

    return train(run, *_windows(folder))


def sweep(runs: Sequence[Run], out: Path, folder: Path, processes: int) -> None:
    """Train what is missing.

    Args:
        runs: what to train.
        out: file of results, a line of JSON for each run that ended; written on.
        folder: holds the text, or gets it.
        processes: how many train at a time.
    """
    from tqdm import tqdm

    ended = {line["run"]: line for line in results(out)}
    for run in runs:
        line = ended.get(run.run, {})
        if changed := [
            name for name, value in asdict(run).items() if line.get(name, value) != value
        ]:
            raise ValueError(f"{run.run} of {out.name} had another {changed[0]}: name the run anew")
    left = [run for run in runs if run.run not in ended]
    if not left:
        return
    _windows(folder)  # downloads the text, before several processes would
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}"
    if out.exists() and not out.read_bytes().endswith(b"\n"):
        os.truncate(out, out.read_bytes().rfind(b"\n") + 1)
    with (
        tqdm(total=len(runs), initial=len(runs) - len(left), unit="run") as bar,
        out.open("a") as file,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        for future in as_completed([pool.submit(_train, run, folder) for run in left]):
            try:
                line = future.result()
            except BaseException:
                # What is under way ends unseen; what is queued does not begin.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            file.write(json.dumps(line) + "\n")
            file.flush()
            bar.set_postfix_str(f"{line['run']}: loss {line['loss']}, {line['seconds']:.0f} s")
            bar.update()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the manifest beside this script, without .csv")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "scalefit",
        help="folder for the text",
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="one for each core; 1 on a GPU"
    )
    parser.add_argument("--repeat", type=int, metavar="RUNS", help="train so many of them again")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of what is repeated")
    given = parser.parse_args()
    runs, out = manifest(HERE / f"{given.name}.csv"), HERE / f"{given.name}.jsonl"
    if given.repeat is None:
        sweep(runs, out, given.cache, given.processes)
        return
    first = {line["run"]: line["loss"] for line in results(out)}
    runs = [run for run in runs if run.run in first]
    runs = random.Random(given.seed).sample(runs, min(given.repeat, len(runs)))
    again = HERE / f"{given.name}_repeat.jsonl"
    again.unlink(missing_ok=True)
    sweep(runs, again, given.cache, given.processes)
    for line in results(again):
        print(f"{line['run']:26} {first[line['run']]} {line['loss']}")


if __name__ == "__main__":
    main()
