"""A bootstrap of 4,000 log-Huber fits against a warm-started loop in scipy.

``scalefit.bootstrap`` polishes every resample to a zero gradient and searches the whole box for one
in twenty. The loop is ``scipy.optimize.least_squares(loss="huber")`` with the exact Jacobian on the
resampled rows, set out from the optimum of the full table; it is run on some of the same resamples
and scaled to all of them.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

import numpy as np
from common import PeakMemory, Timing, chinchilla_table, peaks, run_alone, table
from refits import seconds
from scipy.optimize import least_squares
from single_fit import TOLERANCE, Reference

import scalefit as sf

REPLICATES = 4000
LOOPED = 40
DELTA = 1e-3
MEMORY_REPLICATES = (1000, 4000, 16_000)

HEADER = ("program", "time (quartiles)", "per replicate", "ratio", "largest difference")


class HuberLoop:
    """scipy's refits to resampled rows, one by one."""

    def __init__(self, runs: sf.LossTable, fit: sf.Fit) -> None:
        self.reference = Reference(runs)
        p = fit.params
        self.start = np.array([p["E"], np.log(p["A"]), np.log(p["B"]), p["alpha"], p["beta"]])

    def solve(self, rows: np.ndarray) -> np.ndarray:
        """E, A, B, alpha and beta of the resample made of these rows."""
        found: Any = least_squares(
            lambda point: self.reference.residual(point)[rows],
            self.start,
            jac=lambda point: self.reference.jacobian(point)[rows],
            loss="huber",
            f_scale=DELTA,
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=TOLERANCE,
            max_nfev=2000,
        )
        E, a, b, alpha, beta = found.x
        return np.array([E, np.exp(a), np.exp(b), alpha, beta])


def resamples(fit: sf.Fit, runs: sf.LossTable, count: int) -> np.ndarray:
    """Weights of the first that the bootstrap of so many replicates draws, shape (some, rows)."""
    from scalefit.inference.fitted_data import attach
    from scalefit.inference.resampling import RESAMPLES

    fitted = attach(fit, runs)
    return RESAMPLES["rows"](fitted, None, count, 0).weights[:LOOPED]


def picked(fit: sf.Fit, runs: sf.LossTable, replicates: int) -> list[np.ndarray]:
    """Rows of the first resamples of such a bootstrap, for the loop."""
    weights = resamples(fit, runs, replicates)
    return [np.repeat(np.arange(len(runs)), one.astype(int)) for one in weights]


def against_loop(runs: sf.LossTable, replicates: int, rounds: int, device: str | None) -> str:
    """Table of the bootstrap beside the loop."""
    fit = sf.fit(runs, delta=DELTA)
    draw = partial(sf.bootstrap, fit, runs, n_draws=replicates, progress=False, devices=device)
    draws, mine = seconds(draw, rounds)
    loop = HuberLoop(runs, fit)
    rows = picked(fit, runs, replicates)
    points, looped = seconds(lambda: np.array([loop.solve(one) for one in rows]), rounds)
    found = np.stack([draws.params[name] for name in ("E", "A", "B", "alpha", "beta")], axis=1)
    apart = np.abs(found[: len(points)] / points - 1).max(axis=1)
    whole = Timing(*(value * replicates / len(points) for value in looped))
    rows_of_table = [
        (
            f"scipy loop from the optimum, {len(points)} refits scaled",
            whole.text,
            f"{1e3 * whole.median / replicates:.2f} ms",
            "1",
            "",
        ),
        (
            f"scalefit.bootstrap, {replicates:,} replicates",
            mine.text,
            f"{1e3 * mine.median / replicates:.2f} ms",
            f"**{mine.median / whole.median:.3f}**",
            f"{np.median(apart):.0e} median, {apart.max():.0e} largest",
        ),
    ]
    largest = draws.replicates.gradient_cosine.max()
    went = f"{draws.failed} replicates failed; largest gradient {largest:.0e}."
    return table(HEADER, rows_of_table) + f"\n\n{went}"


def peak(count: int) -> int:
    """Bytes above the start during a bootstrap, in a process that has done one."""
    runs, _, _ = chinchilla_table()
    fit = sf.fit(runs)
    sf.bootstrap(fit, runs, n_draws=50, progress=False)
    with PeakMemory() as during:
        sf.bootstrap(fit, runs, n_draws=count, progress=False)
    return during.extra


def section(quick: bool, device: str | None = None, replicates: int = REPLICATES) -> str:
    """The benchmark as Markdown."""
    count, rounds = (200, 1) if quick else (replicates, 3)
    runs, _, name = chinchilla_table()
    return "\n\n".join(
        [
            "## Bootstrap",
            f"{name}; row bootstrap, log-Huber; medians of {rounds} round(s).",
            against_loop(runs, count, rounds, device),
            peaks(__file__, (50, 100) if quick else MEMORY_REPLICATES, "replicates"),
        ]
    )


def main() -> None:
    """Print the machine and the tables; with ``--memory COUNT``, bytes of so many replicates."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--device")
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    arguments, rest = parser.parse_known_args()
    if arguments.memory:
        print(peak(arguments.memory))
    else:
        sys.argv[1:] = rest
        run_alone(
            partial(section, device=arguments.device, replicates=arguments.replicates), __doc__
        )


if __name__ == "__main__":
    main()
