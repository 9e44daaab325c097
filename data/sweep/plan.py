"""Write the manifests: ``python data/sweep/plan.py rate``, then ``pilot``, ``main``, ``target``.

rate: five learning rates at each of three widths, to check the rule of the widths.
pilot: a coarse sweep at three small budgets, to know where the optimum lies.
main: five IsoFLOP lines, centred on the optimum of a fit to the pilot; two more seeds on one of
them; and over-trained runs off the lines.
target: what the fit to the main sweep recommends at ten times its largest budget, trained.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from train import BATCH, CONTEXT, Run, learning_rate, sizes

if TYPE_CHECKING:
    import scalefit as sf

HERE = Path(__file__).resolve().parent
WIDTHS = range(4, 1024, 4)


def run(part: str, width: int, *, budget: float, seed: int = 0) -> Run:
    """A run of so many FLOP, counted as 6 N D, at the learning rate of its width."""
    steps = round(budget / (6 * sizes(width)[0] * BATCH * CONTEXT))
    name = f"{part}_{budget:.3g}_w{width}_s{seed}".replace("+", "")
    return Run(name, part, width, steps, BATCH, learning_rate(width), budget, seed)


def rate() -> Iterable[Run]:
    """8,192 steps at learning rates a factor of two apart, around the rule's."""
    for width in (16, 48, 128):
        for power in range(-2, 3):
            lr = float(f"{learning_rate(width) * 2.0**power:.3g}")
            yield Run(f"rate_w{width}_{power:+d}", "rate", width, 8192, BATCH, lr, None, 0)


def pilot() -> Iterable[Run]:
    """Three budgets half a decade apart."""
    for budget, widths in {
        1e11: (8, 12, 16, 24, 32, 48),
        3e11: (8, 12, 16, 24, 32, 48, 64),
        1e12: (16, 24, 32, 48, 64, 96),
    }.items():
        yield from (run("pilot", width, budget=budget) for width in widths)


def main() -> Iterable[Run]:
    """Five IsoFLOP lines half a decade apart, and runs beside them.

    A line has eight or nine sizes, from a fifth to five times the optimum that the pilot predicts;
    seed 0, and seeds 1 and 2 on the middle line. Beside the lines: five small models on as much
    text as there is without repeating any, and on a third of it.
    """
    import scalefit as sf

    fit = fitted("pilot", part="pilot")
    for power in range(5):
        budget = float(f"{10 ** (11 + power / 2):.3g}")
        centre = sf.allocate(fit, flops=budget).N
        chosen = {nearest(centre * 5.0 ** (step / 4)) for step in range(-4, 5)}
        for width in sorted(chosen):
            yield run("isoflop", width, budget=budget)
            if power == 2:
                yield run("isoflop", width, budget=budget, seed=1)
                yield run("isoflop", width, budget=budget, seed=2)
    for width in (8, 12, 16, 24, 32):
        for text in (13e6, 39e6):
            flops = float(f"{6 * sizes(width)[0] * text:.6g}")
            yield run("overtrained", width, budget=flops)


def target() -> Iterable[Run]:
    """1e14 FLOP at the optimum that the lines predict, at a third of it, and at three times it."""
    import scalefit as sf

    centre = sf.allocate(fitted("main", part="isoflop"), flops=1e14).N
    for factor in (1 / 3, 1, 3):
        yield run("target", nearest(factor * centre), budget=1e14)


def fitted(name: str, part: str) -> sf.Fit:
    """The additive law, fitted to what a manifest gave."""
    from sweep import results

    import scalefit as sf

    lines = [line for line in results(HERE / f"{name}.jsonl") if line["status"] == "finished"]
    return sf.fit(
        [{key: line[key] for key in ("N", "D", "loss")} for line in lines if line["part"] == part]
    )


def nearest(size: float) -> int:
    """The width whose model is nearest to a size."""
    return min(WIDTHS, key=lambda width: abs(math.log(sizes(width)[0] / size)))


def write(name: str) -> None:
    """A manifest beside this file."""
    with (HERE / f"{name}.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, [field.name for field in fields(Run)], lineterminator="\n")
        lines.writeheader()
        lines.writerows(
            asdict(run)
            for run in {"rate": rate, "pilot": pilot, "main": main, "target": target}[name]()
        )


if __name__ == "__main__":
    write(sys.argv[1])
