"""Simulated tables: designs of (N, D) points, and losses of a known law on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import (
    affordable,
    choice,
    flag,
    instance,
    mapping,
    number,
    numbers,
    refused,
    shown,
    text,
    whole,
)
from scalefit.arguments import seed as checked_seed
from scalefit.errors import ArgumentError, DataError, listed
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

LAW = find("chinchilla")

# Ratio of what is trained to what is optimal, at most.
FARTHEST = 1e9

# Bytes that a run takes while a design is made.
RUN = 64

SIZES = "Pass sizes in parameters, as N=[1e8, 1e9, 1e10]"


@dataclass(frozen=True)
class Noise:
    """How the losses of runs scatter about the law.

    Attributes:
        scale: standard deviation of a run's noise: of ln L, or of L itself, in nats, where
            ``additive``.
        additive: whether noise is added to the loss. Otherwise the loss is multiplied by
            exp(noise).
        df: degrees of freedom of Student's t, above 2; infinite for normal noise. At 3 one
            run in 72 lies more than three ``scale`` away, against one in 370. The t is divided by
            its own standard deviation, so that ``scale`` keeps its meaning.
        cluster: column of the design whose values are clusters: runs of one value share a shock, as
            those of one budget, corpus or tuning do. None for independent runs.
        icc: share of the variance (intraclass correlation) that is the cluster's, 0 to 1;
            the rest is each run's own. Not used without ``cluster``.

    Raises:
        ArgumentError: a number makes no sense.

    Example:
        >>> import scalefit as sf
        >>> design = sf.simulation.isoflop_design(points=9)
        >>> heavy = sf.simulate(design, noise=sf.simulation.Noise(0.005, df=3))
        >>> budgets = sf.simulate(design, noise=sf.simulation.Noise(0.005, cluster="C"))
    """

    scale: float
    additive: bool = False
    df: float = math.inf
    cluster: str | None = None
    icc: float = 0.7

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "scale": number(self.scale, "scale", least=0, remedy="Pass a size, as scale=0.005"),
            "additive": flag(self.additive, "additive"),
            "df": number(
                self.df,
                "df",
                above=2,
                infinite=True,
                remedy="Below, Student's t has no standard deviation: pass df=3, or "
                "float('inf') for normal noise",
            ),
            "icc": number(self.icc, "icc", least=0, most=1, remedy="Pass a share, as icc=0.7"),
        }
        if self.cluster is not None:
            text(
                self.cluster,
                "cluster",
                remedy="Pass the name of a column of the design, as cluster='C'",
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def draw(self, design: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """Noise of every row of a design, shape (rows,), in the unit of ``scale``.

        Raises:
            DataError: the design lacks the column of the clusters.
        """
        own = self._unit(len(design), rng)
        if self.cluster is None:
            return self.scale * own
        if self.cluster not in design:
            raise DataError(
                f"noise is shared by {self.cluster!r}, and the design has no such column",
                column=self.cluster,
                remedy=f"Columns: {', '.join(map(str, design.columns))}",
            )
        codes, clusters = pd.factorize(design[self.cluster])
        common = self._unit(len(clusters), rng)[codes]
        return self.scale * (np.sqrt(1 - self.icc) * own + np.sqrt(self.icc) * common)

    def applied(self, exact: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Losses of a law with noise on them."""
        return exact + noise if self.additive else exact * np.exp(noise)

    def _unit(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if math.isinf(self.df):
            return rng.standard_normal(count)
        spread = np.sqrt(self.df / (self.df - 2))
        return rng.standard_t(self.df, count) / spread


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
    ratio = p["alpha"] * p["A"] / (p["beta"] * p["B"])
    total = p["alpha"] + p["beta"]
    spread = np.logspace(-1, 1, points, base=width) if points > 1 else np.ones(1)
    frames = []
    low, high = np.log(flops.min()), np.log(flops.max())
    for budget in flops.tolist():
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
        ArgumentError: the design is no DataFrame, a parameter is missing or no number, or the noise
            or the seed makes no sense.
        DataError: the design lacks a column or has values that the law does not describe.

    Example:
        >>> import scalefit as sf
        >>> noise = sf.simulation.Noise(0.05, additive=True)
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=noise)
    """
    law = find(law)
    instance(
        design,
        "design",
        pd.DataFrame,
        wanted="a DataFrame",
        remedy="Pass one run per row, as design=scalefit.simulation.isoflop_design()",
    )
    kind = noise if isinstance(noise, Noise) else None
    if kind is None:
        remedy = "Pass a standard deviation of ln L, as noise=0.005, or a scalefit.simulation.Noise"
        kind = Noise(number(noise, "noise", least=0, remedy=remedy))
    values = parameters_of(law, surface_of(params, "params"), "params")
    rng = np.random.default_rng(checked_seed(seed))
    used = {}
    for name in law.columns:
        if name not in design:
            raise DataError(
                f"the design has no column {name!r}, which {law.name!r} takes",
                column=name,
                remedy=f"Columns: {listed(list(design.columns))}",
            )
        remedy = "Give plain numbers in raw counts"
        used[name] = numbers(design[name], f"design[{name!r}]", remedy=remedy)
    law.check(used, list(design.index))
    exact = law.evaluate(used, values)
    _refuse_endless(exact, "params", params, "Check them, and the columns of the design")
    with np.errstate(over="ignore"):
        loss = kind.applied(exact, kind.draw(design, rng))
    _refuse_endless(loss, "noise", noise, "Pass less, as noise=0.005")
    return design.assign(loss=loss)


def _refuse_endless(loss: np.ndarray, argument: str, value: Any, remedy: str) -> None:
    """Raise where a loss is no finite number."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if len(bad):
        raise ArgumentError(
            f"{argument}={shown(value)} makes the loss {loss[bad[0]]} in row {bad[0]} of the "
            "design, counted from 0",
            argument=argument,
            value=value,
            remedy=remedy,
        )


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
