"""Simulated tables: designs of (N, D) points, and losses of a known law on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scalefit.errors import DataError
from scalefit.laws import Law, find

__all__ = ["SURFACES", "isoflop_design", "simulate"]

# Surfaces L = E + A N^-alpha + B D^-beta of known parameters. ``chinchilla``: Hoffmann et al. 2022,
# eq. 10. The others: Czech et al. 2026, arXiv 2603.22339.
SURFACES: Mapping[str, Mapping[str, float]] = {
    "symmetric": {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31},
    "chinchilla": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    "asymmetric": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.465, "beta": 0.155},
}


def isoflop_design(
    budgets: Sequence[float] = (1e17, 1e18, 1e19, 1e20, 1e21),
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
        budgets: training budgets, FLOP, counted as 6ND.
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
        DataError: the surface is unknown, or a number makes no sense.

    Example:
        >>> sweep = isoflop_design([1e19], points=3, width=2.0)
        >>> (sweep["N"] / 1e6).round().to_list()
        [114.0, 228.0, 456.0]
        >>> biased = isoflop_design([1e19, 1e21], points=1, drift=3.0)
        >>> (biased["N"] / 1e6).round().to_list()  # the second is a third of N*
        [228.0, 608.0]
    """
    sensible = width >= 1 and offset > 0 and drift > 0 and all(budget > 0 for budget in budgets)
    if points < 1 or not sensible:
        raise DataError(
            f"points={points}, width={width:g}, offset={offset:g}, drift={drift:g}, "
            f"budgets={list(budgets)} describe no sweep",
            remedy="Use at least one point, a width of one or more, positive budgets, offset and "
            "drift",
        )
    p = _surface(surface)
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    total = p["alpha"] + p["beta"]
    spread = np.logspace(-1, 1, points, base=width) if points > 1 else np.ones(1)
    frames = []
    low, high = np.log(min(budgets)), np.log(max(budgets))
    for budget in budgets:
        centre = ratio ** (1 / total) * (budget / 6) ** (p["beta"] / total)
        way = (np.log(budget) - low) / (high - low) if high > low else 0.0
        N = centre / (offset * drift**way) * spread
        frames.append(pd.DataFrame({"N": N, "D": budget / (6 * N), "C": float(budget)}))
    return pd.concat(frames, ignore_index=True)


def simulate(
    design: pd.DataFrame,
    law: str | Law = "chinchilla",
    params: str | Mapping[str, float] = "chinchilla",
    *,
    noise: float = 0.005,
    seed: int = 0,
) -> pd.DataFrame:
    """The design with losses of a law, each times exp(noise * standard normal).

    Args:
        design: columns of the law, raw units.
        law: name of a built-in law, or a law.
        params: a name in ``SURFACES``, or the law's parameters.
        noise: standard deviation of ln L.
        seed: of the noise.

    Returns:
        A copy of the design with a column ``loss``.

    Raises:
        DataError: the design lacks a column, a parameter is missing, or the noise is negative.
    """
    law = find(law)
    values = _surface(params)
    absent = [name for name in law.columns if name not in design]
    missing = [name for name in law.names if name not in values]
    if absent or missing or not noise >= 0:
        raise DataError(
            f"cannot simulate {law.name!r}: columns {absent} and parameters {missing} are missing, "
            f"noise is {noise}",
            remedy="Give every column and parameter, and a noise of zero or more",
        )
    exact = law.evaluate({name: design[name] for name in law.columns}, values)
    rng = np.random.default_rng(seed)
    return design.assign(loss=exact * np.exp(noise * rng.standard_normal(len(design))))


def _surface(surface: str | Mapping[str, float]) -> Mapping[str, float]:
    if not isinstance(surface, str):
        return surface
    if surface not in SURFACES:
        raise DataError(f"no surface is called {surface!r}", remedy=f"Known: {', '.join(SURFACES)}")
    return SURFACES[surface]
