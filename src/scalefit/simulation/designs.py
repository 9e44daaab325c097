"""Designs: the N and D of runs that are to be simulated or planned, and named surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import affordable, choice, mapping, number, numbers, refused, whole
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.laws import Law, find
from scalefit.laws.additive_forms import ln_optimum

__all__ = ["SURFACES", "grid_design", "isoflop_design", "ratio_design"]


# Surfaces L = E + A N^-alpha + B D^-beta of known parameters. ``chinchilla``: Hoffmann et al. 2022,
# eq. 10. The others: Czech et al. 2026, arXiv 2603.22339.
SURFACES: Mapping[str, Mapping[str, float]] = Frozen(
    {
        name: Frozen(dict(zip(("E", "A", "B", "alpha", "beta"), values, strict=True)))
        for name, values in {
            "symmetric": (1.69, 400.0, 400.0, 0.31, 0.31),
            "chinchilla": (1.69, 406.4, 410.7, 0.34, 0.28),
            "asymmetric": (1.69, 406.4, 410.7, 0.465, 0.155),
        }.items()
    }
)

# Lowest and highest budget where only their number is given: those of Czech et al.
LOWEST, HIGHEST = 1e17, 1e21

LAW = find("chinchilla")

# Largest half-width, offset and drift: ratio of a size to the optimal one.
FARTHEST = 1e9

# Memory of one run while a design is built, bytes.
RUN = 64

SIZES = "Pass sizes in parameters, as N=[1e8, 1e9, 1e10]"


def isoflop_design(
    budgets: int | Sequence[float] = 5,
    *,
    points: int = 15,
    width: float = 8.0,
    surface: str | Mapping[str, float] = "chinchilla",
    offset: float = 1.0,
    drift: float = 1.0,
) -> pd.DataFrame:
    """IsoFLOP sweeps: at each budget, sizes from centre/width to centre width.

    The centre is the optimum, N*, unless an offset or a drift moves it.

    Args:
        budgets: training budgets, FLOP, counted as 6ND; or how many of them, equally spaced in
            log C from 1e17 to 1e21.
        points: sizes per budget, equally spaced in log N.
        width: ratio of the largest size to the centre.
        surface: a name in ``SURFACES``, or E, A, B, alpha, beta of the surface that the sweeps are
            centred on.
        offset: every centre sits at so many times D*, that is at N*/offset.
        drift: the centre moves on, linearly in log C, from none at the lowest budget to so many
            times D* at the highest; multiplies the offset.

    Returns:
        DataFrame with N (count), D (tokens) and C (FLOP), budget by budget.

    Raises:
        ArgumentError: the surface is unknown, a number makes no sense, or so many runs do not fit
            into memory.

    Example:
        >>> sweep = isoflop_design([1e19], points=3, width=2.0)
        >>> (sweep["N"] / 1e6).round().to_list()
        [114.0, 228.0, 456.0]
        >>> biased = isoflop_design([1e19, 1e21], points=1, drift=3.0)
        >>> (biased["N"] / 1e6).round().to_list()  # the second is a third of N*
        [228.0, 608.0]
    """
    remedy = "Pass a number of them, as budgets=5, or budgets=[1e19, 1e20, 1e21] in FLOP"
    points = whole(points, "points", least=1, remedy="Pass a number of sizes, as points=15")
    affordable(points, "points", RUN, remedy="Pass points=15")
    if isinstance(budgets, int | np.integer):
        count = whole(budgets, "budgets", least=1, remedy=remedy)
        affordable(count, "budgets", RUN * points, remedy=remedy)
        flops = np.geomspace(LOWEST, HIGHEST, count)
    else:
        flops = numbers(budgets, "budgets", above=0, empty=False, remedy=remedy)
        if flops.ndim != 1:
            raise refused("budgets", budgets, "a list of budgets", remedy)
    width = number(width, "width", least=1, most=FARTHEST, remedy="Pass a ratio, as width=8")
    least, most = 1 / FARTHEST, FARTHEST
    remedy = "Pass a factor, as offset=1"
    offset = number(offset, "offset", least=least, most=most, remedy=remedy)
    drift = number(drift, "drift", least=least, most=most, remedy="Pass a factor, as drift=1")
    p = parameters_of(LAW, surface_of(surface), "surface")
    for name in ("A", "B", "alpha", "beta"):
        remedy = "There is no optimum without it: pass surface='chinchilla'"
        number(p[name], f"surface[{name!r}]", above=0, remedy=remedy)
    spread = np.logspace(-1, 1, points, base=width) if points > 1 else np.ones(1)
    frames = []
    low, high = np.log(flops.min()), np.log(flops.max())
    for budget in flops.tolist():
        centre = np.exp(ln_optimum(p, budget / 6)[0])
        way = (np.log(budget) - low) / (high - low) if high > low else 0.0
        N = centre / (offset * drift**way) * spread
        frames.append(pd.DataFrame({"N": N, "D": budget / (6 * N), "C": float(budget)}))
    return pd.concat(frames, ignore_index=True)


def grid_design(N: Sequence[float], D: Sequence[float]) -> pd.DataFrame:
    """Every size trained on every number of tokens.

    Args:
        N: model parameters, count.
        D: training tokens, count.

    Returns:
        DataFrame with N, D and C = 6ND (FLOP), size by size.

    Raises:
        ArgumentError: no size, no number of tokens, or one that is not positive.

    Example:
        >>> len(grid_design([1e8, 1e9], [1e9, 1e10, 1e11]))
        6
    """
    sizes, tokens = _row(N, "N", SIZES), _row(D, "D", "Pass tokens, as D=[2e9, 2e10, 2e11]")
    affordable(len(sizes), "N", RUN * len(tokens), remedy=SIZES)
    pairs = np.stack(np.meshgrid(sizes, tokens, indexing="ij"), axis=-1).reshape(-1, 2)
    return _runs(pairs[:, 0], pairs[:, 1])


def ratio_design(N: Sequence[float], ratio: float | Sequence[float] = 20.0) -> pd.DataFrame:
    """Every size trained on so many tokens per parameter.

    One ratio alone cannot tell N from D: an additive law needs two or more.

    Args:
        N: model parameters, count.
        ratio: tokens per parameter, D/N, one or several.

    Returns:
        DataFrame with N, D and C = 6ND (FLOP), size by size.

    Raises:
        ArgumentError: no size, no ratio, or one that is not positive.

    Example:
        >>> ratio_design([1e8, 1e9], 20)["D"].to_list()
        [2000000000.0, 20000000000.0]
    """
    each = _row(ratio, "ratio", "Pass tokens per parameter, as ratio=[10, 20, 40]")
    rows = _row(N, "N", SIZES)
    affordable(len(rows), "N", RUN * len(each), remedy=SIZES)
    sizes, ratios = np.meshgrid(rows, each, indexing="ij")
    with np.errstate(over="ignore"):
        tokens = sizes.ravel() * ratios.ravel()
    return _runs(sizes.ravel(), tokens)


def _row(values: Any, argument: str, remedy: str) -> np.ndarray:
    """One positive number or more, shape (m,)."""
    found = np.atleast_1d(numbers(values, argument, above=0, empty=False, remedy=remedy))
    if found.ndim != 1:
        raise refused(argument, values, "a list of numbers", remedy)
    return found


def _runs(N: np.ndarray, D: np.ndarray) -> pd.DataFrame:
    """Runs with their compute.

    Raises:
        ArgumentError: it is more than float64 holds.
    """
    with np.errstate(over="ignore"):
        C = 6 * N * D
    huge = np.isinf(C)
    if huge.any():
        raise refused("N", float(N[huge][0]), "a size whose compute float64 holds", SIZES)
    return pd.DataFrame({"N": N, "D": D, "C": C})


def surface_of(surface: Any, argument: str = "surface") -> Mapping[str, float]:
    """Parameters of a surface by its name, or as they are.

    Raises:
        ArgumentError: no surface has that name, or it is no mapping of names to numbers.
    """
    if isinstance(surface, str):
        return SURFACES[choice(surface, argument, list(SURFACES))]
    remedy = f"Pass {argument}='chinchilla', or parameters by name"
    return {
        name: number(value, f"{argument}[{name!r}]", remedy=remedy)
        for name, value in mapping(surface, argument, remedy=remedy).items()
    }


def parameters_of(law: Law, values: Mapping[str, float], argument: str) -> Mapping[str, float]:
    """Every parameter of a law, out of values by name.

    Raises:
        ArgumentError: one is missing.
    """
    absent = [name for name in law.names if name not in values]
    if absent:
        raise ArgumentError(
            f"{argument} lacks {', '.join(absent)} of {law.name!r}",
            argument=argument,
            value=dict(values),
            remedy=f"Pass a number for each of {', '.join(law.names)}",
        )
    return values
