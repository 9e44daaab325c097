"""A thousand refits to resampled rows, each searched globally, against a local loop in scipy.

The engine's ``refit`` searches the whole box for every replicate and polishes the best cell. The
loop is what a bootstrap is usually made of: ``scipy.optimize.least_squares`` with the exact
Jacobian, set out from the optimum of the full table, which no search had to find. It is run on some
of the same resamples and scaled to all of them.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import numpy as np
from common import PeakMemory, Timing, chinchilla_table, peaks, run_alone, table
from scipy.optimize import least_squares
from single_fit import SAME_OBJECTIVE, TOLERANCE, Reference

import scalefit as sf
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.laws import find

try:
    from scalefit.fitting.multistart import Refits, refit
except ImportError:  # an earlier version, measured by before.py
    from scalefit.fitting.multistart import Refits, refit

REPLICATES = 1000
POINTS = 100
LOOPED = 50
MEMORY_REPLICATES = (250, 1000, 4000)

HEADER = ("program", "time (quartiles)", "per refit", "ratio", "largest difference of a parameter")


def resampled(rows: int, replicates: int) -> np.ndarray:
    """Weights of bootstrap resamples, shape (replicates, rows)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(rows, np.full(rows, 1 / rows), size=replicates).astype(float)


def call(
    runs: sf.LossTable,
    objective: sf.objective.Objective,
    weight: np.ndarray,
    device: str | None = None,
) -> partial[Refits]:
    """The refits of Chinchilla to rows weighted differently, ready to be called."""
    law = find("chinchilla")
    prepared = prepare_fit(runs, law, objective)
    return partial(
        refit,
        prepared.problem,
        objective,
        prepared.settings,
        prepared.data,
        weight=weight,
        points=POINTS,
        devices=device,
    )


def parameters(found: Refits) -> np.ndarray:
    """E, A, B, alpha and beta of every replicate, shape (replicates, 5)."""
    return np.concatenate([found.coefficients, np.exp(found.coordinates)], axis=1)


class Loop:
    """scipy's refits, one by one, from the optimum of the full table."""

    def __init__(self, runs: sf.LossTable) -> None:
        self.reference = Reference(runs)
        params = sf.fit(runs, robust="none", certify=False).params
        self.start = np.array(
            [
                params["E"],
                np.log(params["A"]),
                np.log(params["B"]),
                params["alpha"],
                params["beta"],
            ]
        )

    def solve(self, weight: np.ndarray) -> tuple[np.ndarray, float]:
        """E, A, B, alpha and beta of one replicate, and its sum of squares."""
        root = np.sqrt(weight)
        found: Any = least_squares(
            lambda point: root * self.reference.residual(point),
            self.start,
            jac=lambda point: root[:, None] * self.reference.jacobian(point),
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=TOLERANCE,
        )
        E, a, b, alpha, beta = found.x
        return np.array([E, np.exp(a), np.exp(b), alpha, beta]), 2 * found.cost


def seconds(function: Any, rounds: int) -> tuple[Any, Timing]:
    """Value of a warm call, and its time."""
    value, taken = function(), []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return value, Timing.of(taken)


def against_loop(runs: sf.LossTable, replicates: int, rounds: int) -> str:
    """Table of the refits beside the loop.

    Raises:
        SystemExit: a refit is worse than the loop's.
    """
    weight = resampled(len(runs), replicates)
    found, squares = seconds(call(runs, sf.objective.Objective("log", "none"), weight), rounds)
    _, huber = seconds(call(runs, sf.objective.Objective("log", "huber"), weight), rounds)
    loop = Loop(runs)
    some = weight[:LOOPED]
    local, looped = seconds(lambda: [loop.solve(one) for one in some], rounds)
    ended = np.array([value for _, value in local])
    if (found.value[: len(some)] > ended * (1 + SAME_OBJECTIVE)).any():
        raise SystemExit("a refit ends above the local loop: nothing to time")
    mine = parameters(found)[: len(some)]
    apart = np.abs(mine / np.array([point for point, _ in local]) - 1)
    same = found.value[: len(some)] >= ended * (1 - SAME_OBJECTIVE)
    lower = int((~same).sum())
    whole = Timing(*(value * replicates / len(some) for value in looped))
    name = f"scipy loop from the optimum, {len(some)} refits scaled"
    rows = [
        (name, whole.text, _each(whole, replicates), "1", ""),
        (
            f"scalefit, squares, {POINTS} x {POINTS} cells each",
            squares.text,
            _each(squares, replicates),
            f"**{squares.median / whole.median:.2f}**",
            f"{apart[same].max():.1e}",
        ),
        (
            f"scalefit, log-Huber, {POINTS} x {POINTS} cells each",
            huber.text,
            _each(huber, replicates),
            f"{huber.median / whole.median:.2f}",
            "",
        ),
    ]
    worse = f"\n\nThe loop missed a lower optimum in {lower} of {len(some)} resamples."
    return table(HEADER, rows) + (worse if lower else "")


def _each(time: Timing, count: int) -> str:
    return f"{1e3 * time.median / count:.2f} ms"


def peak(count: int) -> int:
    """Bytes above the start while replicates are fitted, in a process that has done one."""
    runs, _, _ = chinchilla_table()
    objective = sf.objective.Objective("log", "none")
    call(runs, objective, resampled(len(runs), 1))()
    refits = call(runs, objective, resampled(len(runs), count))
    with PeakMemory() as during:
        refits()
    return during.extra


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    replicates, rounds = (100, 1) if quick else (REPLICATES, 5)
    counts = (50, 100) if quick else MEMORY_REPLICATES
    runs, _, name = chinchilla_table()
    return "\n\n".join(
        [
            "## Refits to resampled rows",
            f"{name}; {replicates} multinomial resamples, log residual; medians of {rounds} "
            "round(s). scalefit searches the whole box for every resample, scipy descends from the "
            "optimum of the full table.",
            against_loop(runs, replicates, rounds),
            peaks(__file__, counts, "replicates"),
        ]
    )


def main() -> None:
    """Print the machine and the tables; with ``--memory COUNT``, bytes of so many refits."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--memory", type=int)
    arguments, _ = parser.parse_known_args()
    if arguments.memory:
        print(peak(arguments.memory))
    else:
        run_alone(section, __doc__)


if __name__ == "__main__":
    main()
