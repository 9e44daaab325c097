"""Simulated tables: designs of (N, D) points, and losses of a known law on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import DataError
from scalefit.laws import Law, find

__all__ = ["SURFACES", "Noise", "grid_design", "isoflop_design", "ratio_design", "simulate"]

# Surfaces L = E + A N^-alpha + B D^-beta of known parameters. ``chinchilla``: Hoffmann et al. 2022,
# eq. 10. The others: Czech et al. 2026, arXiv 2603.22339.
SURFACES: Mapping[str, Mapping[str, float]] = {
    "symmetric": {"E": 1.69, "A": 400.0, "B": 400.0, "alpha": 0.31, "beta": 0.31},
    "chinchilla": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    "asymmetric": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.465, "beta": 0.155},
}

# The ends of the budgets that are asked for by their number: those of Czech et al.
LOWEST, HIGHEST = 1e17, 1e21


@dataclass(frozen=True)
class Noise:
    """How the losses of runs scatter about the law.

    Attributes:
        scale: standard deviation of a run's noise: of ln L, or of L itself, in nats, where
            ``additive``.
        additive: whether noise is added to the loss. Otherwise the loss is multiplied by
            exp(noise).
        freedom: degrees of freedom of Student's t, above 2; infinite for normal noise. At 3 one
            run in 72 lies more than three ``scale`` away, against one in 370. The t is divided by
            its own standard deviation, so that ``scale`` keeps its meaning.
        by: column of the design whose values are clusters: runs of one value share a shock, as
            those of one budget, corpus or tuning do. None for independent runs.
        shared: share of the variance that is the cluster's, 0 to 1; the rest is each run's own.
            Not used without ``by``.

    Raises:
        DataError: a number makes no sense.

    Example:
        >>> import scalefit as sf
        >>> design = sf.isoflop_design(points=9)
        >>> heavy = sf.simulate(design, noise=sf.Noise(0.005, freedom=3))
        >>> budgets = sf.simulate(design, noise=sf.Noise(0.005, by="C"))
    """

    scale: float
    additive: bool = False
    freedom: float = math.inf
    by: str | None = None
    shared: float = 0.7

    def __post_init__(self) -> None:
        sensible = 0 <= self.scale < math.inf and 0 <= self.shared <= 1
        if not (sensible and self.freedom > 2):
            raise DataError(
                f"noise of scale={self.scale}, freedom={self.freedom}, shared={self.shared} makes "
                "no sense",
                remedy="Give a scale of zero or more, more than 2 degrees of freedom (below, "
                "Student's t has no standard deviation), and a share of 0 to 1",
            )

    def draw(self, design: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """Noise of every row of a design, shape (rows,), in the unit of ``scale``.

        Raises:
            DataError: the design lacks the column of the clusters.
        """
        own = self._unit(len(design), rng)
        if self.by is None:
            return self.scale * own
        if self.by not in design:
            raise DataError(
                f"noise is shared by {self.by!r}, and the design has no such column",
                column=self.by,
                remedy=f"Columns: {', '.join(map(str, design.columns))}",
            )
        codes, clusters = pd.factorize(design[self.by])
        common = self._unit(len(clusters), rng)[codes]
        return self.scale * (np.sqrt(1 - self.shared) * own + np.sqrt(self.shared) * common)

    def applied(self, exact: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Losses of a law with noise on them."""
        return exact + noise if self.additive else exact * np.exp(noise)

    def _unit(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if math.isinf(self.freedom):
            return rng.standard_normal(count)
        spread = np.sqrt(self.freedom / (self.freedom - 2))
        return rng.standard_t(self.freedom, count) / spread


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
        DataError: the surface is unknown, or a number makes no sense.

    Example:
        >>> sweep = isoflop_design([1e19], points=3, width=2.0)
        >>> (sweep["N"] / 1e6).round().to_list()
        [114.0, 228.0, 456.0]
        >>> biased = isoflop_design([1e19, 1e21], points=1, drift=3.0)
        >>> (biased["N"] / 1e6).round().to_list()  # the second is a third of N*
        [228.0, 608.0]
    """
    flops: Sequence[float] = (
        np.geomspace(LOWEST, HIGHEST, max(0, int(budgets))).tolist()
        if isinstance(budgets, int | np.integer)
        else budgets
    )
    sensible = width >= 1 and offset > 0 and drift > 0 and all(budget > 0 for budget in flops)
    if points < 1 or not sensible or not len(flops):
        raise DataError(
            f"points={points}, width={width:g}, offset={offset:g}, drift={drift:g}, "
            f"budgets={list(flops)} describe no sweep",
            remedy="Use at least one point, a width of one or more, positive budgets, offset and "
            "drift",
        )
    p = surface_of(surface)
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    total = p["alpha"] + p["beta"]
    spread = np.logspace(-1, 1, points, base=width) if points > 1 else np.ones(1)
    frames = []
    low, high = np.log(min(flops)), np.log(max(flops))
    for budget in flops:
        centre = ratio ** (1 / total) * (budget / 6) ** (p["beta"] / total)
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
        DataError: no size, no number of tokens, or one that is not positive.

    Example:
        >>> len(grid_design([1e8, 1e9], [1e9, 1e10, 1e11]))
        6
    """
    pairs = np.stack(np.meshgrid(N, D, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float64)
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
        DataError: no size, no ratio, or one that is not positive.

    Example:
        >>> ratio_design([1e8, 1e9], 20)["D"].to_list()
        [2000000000.0, 20000000000.0]
    """
    sizes, ratios = np.meshgrid(N, np.atleast_1d(ratio), indexing="ij")
    return _runs(sizes.ravel(), sizes.ravel() * ratios.ravel())


def _runs(N: np.ndarray, D: np.ndarray) -> pd.DataFrame:
    if not len(N) or not (np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)).all():
        raise DataError(
            "these sizes and tokens describe no design",
            remedy="Give one or more of each, all of them positive",
        )
    return pd.DataFrame({"N": N, "D": D, "C": 6 * N * D})


def simulate(
    design: pd.DataFrame,
    law: str | Law = "chinchilla",
    params: str | Mapping[str, float] = "chinchilla",
    *,
    noise: float | Noise = 0.005,
    seed: int = 0,
) -> pd.DataFrame:
    """The design with losses of a law, and noise on them.

    Args:
        design: columns of the law, raw units.
        law: name of a built-in law, or a law.
        params: a name in ``SURFACES``, or the law's parameters.
        noise: standard deviation of ln L, normal and independent; or a :class:`Noise`, which can be
            additive, heavy-tailed or shared by clusters of runs.
        seed: of the noise.

    Returns:
        A copy of the design with a column ``loss``.

    Raises:
        DataError: the design lacks a column or has values that the law does not describe, a
            parameter is missing, or the noise is negative.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.isoflop_design(), noise=sf.Noise(0.05, additive=True))
    """
    law = find(law)
    values = surface_of(params)
    absent = [name for name in law.columns if name not in design]
    missing = [name for name in law.names if name not in values]
    if absent or missing:
        raise DataError(
            f"cannot simulate {law.name!r}: columns {absent} and parameters {missing} are missing",
            remedy="Give every column and parameter",
        )
    kind = noise if isinstance(noise, Noise) else Noise(noise)
    used = {name: design[name].to_numpy(dtype=np.float64) for name in law.columns}
    law.check(used, list(design.index))
    exact = law.evaluate(used, values)
    return design.assign(loss=kind.applied(exact, kind.draw(design, np.random.default_rng(seed))))


def surface_of(surface: str | Mapping[str, float]) -> Mapping[str, float]:
    """Parameters of a surface by its name, or as they are.

    Raises:
        DataError: no surface has that name.
    """
    if not isinstance(surface, str):
        return surface
    if surface not in SURFACES:
        raise DataError(f"no surface is called {surface!r}", remedy=f"Known: {', '.join(SURFACES)}")
    return SURFACES[surface]
