"""The optimum of every budget by a parabola or a spline, and whether it can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.approach2.curve_vertices import (
    Method,
    interval_ends,
    least_points,
    status_words,
    within_reach,
)
from scalefit.approach2.parabola import VertexFits
from scalefit.approach2.power_laws import PowerLaw, line_of_logs
from scalefit.approach2.sweeps import Sweeps
from scalefit.errors import DataError, listed

__all__ = [
    "budget_table",
    "find_vertices",
    "flops_text",
    "is_possible",
    "power_laws",
    "statuses",
    "used_budgets",
    "with_intervals",
]

# Largest over smallest C of a budget, above which gaps have chained several budgets or checkpoints.
WIDEST_BUDGET = 2.0


def find_vertices(runs: Sweeps, method: Method) -> VertexFits:
    """The optimum of each budget, over N and over D, and power laws through all of them."""
    n, d = (
        least_points(runs.members, np.log(column), runs.loss, runs.weight, method)
        for column in (runs.N, runs.D)
    )
    # A least point of a spline has a curvature of either sign.
    found = [
        (it.curvature > 0) if method == "parabola" else np.isfinite(it.vertex) for it in (n, d)
    ]
    usable = found[0] & found[1]
    flops = [runs.budget(item) for item in runs.members]
    laws = (line_of_logs(flops, curve.vertex, usable) for curve in (n, d))
    return VertexFits(n, d, usable, *laws)


def budget_table(runs: Sweeps, fits: VertexFits, level: float) -> pd.DataFrame:
    """The columns of ``IsoFlop.budgets`` up to ``interior``."""
    members = runs.members
    sizes = [runs.N[item] for item in members]
    low, high = (np.array([end(item) for item in sizes]) for end in (np.min, np.max))
    budget = np.array([runs.budget(item) for item in members])
    with np.errstate(over="ignore", invalid="ignore"):
        N, D = np.exp(fits.n.vertex), np.exp(fits.d.vertex)
    ends = _interval_ends(fits, level)
    return pd.DataFrame(
        {
            "budget": budget,
            "C_ratio": [runs.C[item].max() / runs.C[item].min() for item in members],
            "n": [len(item) for item in members],
            "sizes": [len(np.unique(item)) for item in sizes],
            "N_min": low,
            "N_max": high,
            "half_width": np.sqrt(high / low),
            "centre": np.log10(np.sqrt(low) * np.sqrt(high)) - fits.n.vertex / np.log(10),
            "N": N,
            "N_low": ends["N_low"],
            "N_high": ends["N_high"],
            "D": D,
            "D_low": ends["D_low"],
            "D_high": ends["D_high"],
            "D_from_budget": runs.cost.tokens(budget, N),
            "loss": fits.n.minimum,
            "curvature": fits.n.curvature,
            "curvature_se": fits.n.curvature_se,
            "interior": fits.n.inside,
        }
    )


def with_intervals(budgets: pd.DataFrame, fits: VertexFits, level: float) -> pd.DataFrame:
    """The table with Fieller's intervals of the vertices at another level."""
    return budgets.assign(**_interval_ends(fits, level))


def _interval_ends(fits: VertexFits, level: float) -> dict[str, np.ndarray]:
    return interval_ends(fits.n, "N", level) | interval_ends(fits.d, "D", level)


def is_possible(runs: Sweeps, fits: VertexFits) -> np.ndarray:
    """Whether the vertex of each budget can be its optimum, shape (budgets,)."""
    over_n, over_d = (
        within_reach(curve, runs.members, np.log(column), runs.loss, counts=True)
        for curve, column in ((fits.n, runs.N), (fits.d, runs.D))
    )
    return over_n & over_d


def statuses(runs: Sweeps, budgets: pd.DataFrame, fits: VertexFits) -> list[str]:
    """The status of each budget: the first that applies, in this order."""
    wide = (budgets["C_ratio"].to_numpy() > WIDEST_BUDGET) & (not runs.named)
    return status_words([fits.n, fits.d], ~fits.usable, ~is_possible(runs, fits), wide)


def used_budgets(status: np.ndarray, fits: VertexFits, edges: bool) -> np.ndarray:
    """Which budgets the power laws go through, shape (budgets,)."""
    refused = np.isin(status, ("too_wide", "impossible"))
    return np.asarray(fits.usable & ~refused & (edges | (status != "edge_minimum")))


def power_laws(budgets: pd.DataFrame, fits: VertexFits) -> tuple[PowerLaw, PowerLaw]:
    """The power laws through the used budgets.

    Raises:
        DataError: fewer than two budgets are used, or training curves were taken for sweeps and no
            vertex lies within its runs.
    """
    used = budgets["used"].to_numpy()
    counts = budgets["status"].value_counts()
    curves = (
        ". Where rows are checkpoints of training curves: scalefit.approach2.envelope(runs)"
        if "too_wide" in counts
        else ""
    )
    if used.sum() < 2:
        states = listed([f"{count} {status}" for status, count in counts.items()])
        raise DataError(
            f"{used.sum()} of {len(budgets)} budgets have a usable minimum, and a power law needs "
            f"two ({states})",
            remedy="A budget needs three distinct sizes around its least loss. Check how runs are "
            "grouped (by=, tolerance=), or fit a law of the whole table: "
            f"scalefit.fit(runs){curves}",
        )
    if curves and (budgets["status"][used] == "edge_minimum").all():
        raise DataError(
            f"all {used.sum()} usable vertices lie outside their runs "
            f"({flops_text(budgets[used])}): no budget shows a size of least loss, and a power "
            "law would go through extrapolations",
            remedy="Add sizes around the least loss, check how runs are grouped (by=, tolerance=), "
            f"or fit a law of the whole table: scalefit.fit(runs){curves}",
        )
    flops = budgets["budget"].to_numpy()
    return line_of_logs(flops, fits.n.vertex, used), line_of_logs(flops, fits.d.vertex, used)


def flops_text(budgets: pd.DataFrame) -> str:
    """Budgets as text for messages."""
    return listed([f"{value:.3g}" for value in budgets["budget"]]) + " FLOP"
