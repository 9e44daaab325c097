"""Approach 2 on resampled runs: how far its answers scatter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.approach2.parabola import vertex_fits
from scalefit.approach2.power_laws import line_of_logs
from scalefit.notes import Note
from scalefit.results.estimate import AS_DRAWN, TailCorrection
from scalefit.results.fit_report import FEWEST_FREEDOM

__all__ = ["resample_approach2", "resampling_notes", "resampling_tails"]


def resampling_tails(isoflop: IsoFlop) -> TailCorrection:
    """How far out among the resamples the ends of an interval lie.

    A parabola takes three degrees of freedom of its budget, and of m runs drawn with replacement
    the spread is that of m - 1. Simulated 95 % intervals of D* at a hundred times the largest of
    five budgets held 93 to 98 % with 15 to 31 runs a budget, and 99 to 100 % with 5 to 9 runs,
    whose resamples spread widely as they are.
    """
    runs = _used_runs(isoflop)
    df = int((runs - 3).sum())
    if df < FEWEST_FREEDOM:
        return AS_DRAWN
    return TailCorrection(df, float(np.sqrt(runs.sum() / (runs - 1).sum())))


def resampling_notes(isoflop: IsoFlop) -> list[Note]:
    """A note where the runs are too few to be resampled."""
    runs = _used_runs(isoflop)
    df = int((runs - 3).sum())
    if df >= FEWEST_FREEDOM:
        return []
    return [
        Note.of(
            "few_rows",
            f"{runs.sum()} runs leave the parabolas of {len(runs)} budgets {df} residual degrees "
            "of freedom: resampling them says nothing, and Approach 2 has no interval. Add runs",
            {"rows": int(runs.sum()), "free": 3 * len(runs)},
            severity="info",
        )
    ]


def resample_approach2(isoflop: IsoFlop, flops: float, n_draws: int, seed: int) -> pd.DataFrame:
    """Approach 2 on runs drawn with replacement within each used budget.

    Args:
        isoflop: the sweeps, by parabolas.
        flops: budget that is extrapolated to, FLOP.
        n_draws: how many resamples.
        seed: of the random numbers.

    Returns:
        A row for each: N, D, D/N and both exponents, and ``failed_budgets``, the number of budgets
        without a minimum. NaN where fewer than two have one.
    """
    used = isoflop.budgets["used"].to_numpy()
    runs = isoflop.sweeps
    place, weight = (item[used] for item in runs.padded())
    budgets = isoflop.budgets["budget"].to_numpy()[used]
    rng = np.random.default_rng(seed)
    # How often each run was drawn, which multiplies its weight.
    times = np.zeros((n_draws, *place.shape))
    for row, count in enumerate((weight > 0).sum(-1)):
        times[:, row, :count] = rng.multinomial(count, np.full(count, 1 / count), n_draws)
    fits = vertex_fits(budgets, runs.N[place], runs.D[place], runs.loss[place], weight * times)
    usable = fits.usable
    if not isoflop.keep_edges:
        usable &= fits.n.inside & fits.d.inside
    n, d = (line_of_logs(budgets, item.vertex, usable) for item in (fits.n, fits.d))
    N, D = n.at(flops), d.at(flops)
    return pd.DataFrame(
        {
            "N": N,
            "D": D,
            "D/N": D / N,
            "n_exponent": n.exponent,
            "d_exponent": d.exponent,
            "failed_budgets": (~usable).sum(-1),
        }
    )


def _used_runs(isoflop: IsoFlop) -> np.ndarray:
    """Runs of each used budget, shape (budgets,)."""
    return isoflop.budgets["n"].to_numpy()[isoflop.budgets["used"].to_numpy()]
