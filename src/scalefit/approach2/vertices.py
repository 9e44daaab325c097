"""The optimum of every budget by a parabola or a spline, and whether it can be trusted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from scalefit.approach2.parabola import Parabolas, PowerLaw, VertexFits, power_law, vertex_fits
from scalefit.approach2.sweeps import Sweeps
from scalefit.errors import DataError, listed

__all__ = [
    "Method",
    "budget_table",
    "find_vertices",
    "flops_text",
    "is_possible",
    "power_laws",
    "statuses",
    "used_budgets",
    "with_intervals",
]

Method = Literal["parabola", "akima", "cubic"]
"""How the least loss of a budget is found: by a parabola, or on a spline through the runs."""

DISTINCT = 3
# Two standard errors: below, the sign of the curvature is in doubt.
WEAK = 2.0
# Largest over smallest C of a budget, above which gaps have chained several budgets or checkpoints.
WIDEST_BUDGET = 2.0
# A vertex farther outside the runs than so many times their width, in the logarithm, is no optimum.
FARTHEST_VERTEX = 2.0


def find_vertices(runs: Sweeps, method: Method) -> VertexFits:
    """The optimum of each budget, over N and over D, and power laws through all of them."""
    if method == "parabola":
        place, weight = runs.padded()
        flops = [runs.budget(item) for item in runs.members]
        return vertex_fits(flops, runs.N[place], runs.D[place], runs.loss[place], weight)
    n, d = (_splines(runs, column, method) for column in (runs.N, runs.D))
    usable = np.isfinite(n.vertex) & np.isfinite(d.vertex)
    # Placeholders: the power laws are fitted later, through the budgets that are used.
    none = power_law(np.ones(len(usable)), n.vertex, False)
    return VertexFits(n, d, usable, none, none)


def _splines(runs: Sweeps, column: np.ndarray, method: Method) -> Parabolas:
    """Least points of splines, in the form of parabolas without errors."""
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    kind = Akima1DInterpolator if method == "akima" else CubicSpline
    rows = []
    for members in runs.members:
        x, of = np.unique(np.log(column[members]), return_inverse=True)
        weight = runs.weight[members]
        y = np.bincount(of, weight * runs.loss[members]) / np.bincount(of, weight)
        if len(x) < DISTINCT:
            rows.append((np.nan, np.nan, np.nan, len(members), False))
            continue
        curve = kind(x, y)
        turns = curve.derivative().roots(extrapolate=False)
        turns = turns[np.isfinite(turns)]
        # Where an end is lower than every stationary point, the least point is no minimum.
        inside = len(turns) > 0 and float(curve(turns).min()) <= min(y[0], y[-1])
        least = float(turns[np.argmin(curve(turns))] if inside else x[np.argmin(y)])
        rows.append((least, float(curve(least)), float(curve(least, 2)) / 2, len(members), inside))
    vertex, minimum, curvature, points, inside_ = np.reshape(rows, (-1, 5)).T
    unknown = np.full(len(rows), np.nan)
    return Parabolas(
        vertex, minimum, curvature, unknown, points, inside_ > 0, unknown, unknown, unknown
    )


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
    with np.errstate(over="ignore", invalid="ignore"):
        n, d = (np.exp(curve.interval(level)) for curve in (fits.n, fits.d))
    return {"N_low": n[0], "N_high": n[1], "D_low": d[0], "D_high": d[1]}


def is_possible(runs: Sweeps, fits: VertexFits) -> np.ndarray:
    """Whether the vertex of each budget can be its optimum, shape (budgets,)."""
    members = runs.members
    # Where all losses are above zero, so is the least of them.
    positive_losses = np.array([(runs.loss[item] > 0).all() for item in members], dtype=bool)
    possible = ~(positive_losses & ((fits.n.minimum <= 0) | (fits.d.minimum <= 0)))
    for curve, column in ((fits.n, runs.N), (fits.d, runs.D)):
        ends = [np.log([column[item].min(), column[item].max()]) for item in members]
        low, high = np.reshape(ends, (-1, 2)).T
        reach = FARTHEST_VERTEX * (high - low)
        # ln N below 0 is less than one parameter: impossible, unless the runs are there too, in
        # another unit.
        least = np.maximum(low - reach, np.minimum(low, 0.0))
        possible &= (curve.vertex >= least) & (curve.vertex <= high + reach)
    return np.asarray(possible)


def statuses(runs: Sweeps, budgets: pd.DataFrame, fits: VertexFits) -> list[str]:
    """The status of each budget: the first that applies, in this order."""
    weak = (fits.n.curvature < WEAK * fits.n.curvature_se) | (
        fits.d.curvature < WEAK * fits.d.curvature_se
    )
    few = np.isnan(fits.n.curvature) | np.isnan(fits.d.curvature)
    outside = ~(fits.n.inside & fits.d.inside)
    wide = (budgets["C_ratio"].to_numpy() > WIDEST_BUDGET) & (not runs.named)
    cases = [few, wide, ~fits.usable, ~is_possible(runs, fits), outside, weak]
    words = ["too_few", "too_wide", "negative_curvature", "impossible", "edge_minimum"]
    words.append("weak_curvature")
    return [str(word) for word in np.select(cases, words, default="ok")]


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
    return power_law(flops, fits.n.vertex, used), power_law(flops, fits.d.vertex, used)


def flops_text(budgets: pd.DataFrame) -> str:
    """Budgets as text for messages."""
    return listed([f"{value:.3g}" for value in budgets["budget"]]) + " FLOP"
