"""Sweeps that are planned: Approach 2's bias on them, and the standard errors of D*."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scalefit.allocation.costs import Cost
from scalefit.allocation.optimum import allocate
from scalefit.allocation.optimum_functions import optimum_function
from scalefit.approach2.parabola import VertexFits, vertex_fits
from scalefit.fitting.law_slopes import law_with_slopes
from scalefit.results.fit import Fit

__all__ = ["PADDED", "PlannedSweeps"]

MOST_BUDGETS, MOST_RUNS = 2**14, 2**20
# Arrays are padded to this length, and then to powers of two: few shapes compile.
PADDED = 64


@dataclass(frozen=True)
class PlannedSweeps:
    """Sweeps over a span of budgets, if a fitted law were true.

    Attributes:
        fit: the law with its parameters.
        target: budget that is extrapolated to, FLOP.
        cost: what budgets are counted in.
        low: lowest budget, FLOP.
        high: highest budget, FLOP.
        points: sizes per budget, equally spaced in ln N.
        noise: standard deviation of a residual.
    """

    fit: Fit
    target: float
    cost: Cost
    low: float
    high: float
    points: int
    noise: float

    @property
    def most(self) -> int:
        """Most budgets that are tried, a power of two."""
        return min(MOST_BUDGETS, 2 ** int(math.log2(MOST_RUNS / self.points)))

    def budgets(self, count: int) -> np.ndarray:
        """So many budgets, padded with the highest one."""
        flops = np.geomspace(self.low, self.high, count)
        padded = np.full(max(PADDED, 2 ** math.ceil(math.log2(count))), self.high)
        padded[:count] = flops
        return padded

    def grid(self, flops: np.ndarray, half: Any) -> tuple[np.ndarray, np.ndarray]:
        """Sizes and tokens around N* times ``half`` (..., budgets, points) of ln N."""
        best = allocate(self.fit, flops, cost=self.cost)
        N = best.N[:, None] * np.exp(half)
        return N, self.cost.tokens(flops[:, None], N)

    def bias(self, count: int, width: Any, *, offset: Any = 1.0, drift: Any = 1.0) -> np.ndarray:
        """Relative error of Approach 2's D* without noise, of the arguments' broadcast shape."""
        flops = self.budgets(count)
        there = np.arange(len(flops)) < count
        width, offset, drift = (
            np.log(np.asarray(item, dtype=np.float64))[..., None, None]
            for item in (width, offset, drift)
        )
        # The drift grows from none at the lowest budget to all of it at the highest.
        way = np.log(flops / self.low) / math.log(self.high / self.low)
        half = width * np.linspace(-1, 1, self.points) - offset - drift * way[:, None]
        N, D = self.grid(flops, half)
        fits = vertex_fits(flops, N, D, self.loss(N, D), there[:, None] * 1.0)
        optimum = allocate(self.fit, self.target, cost=self.cost).D
        return np.asarray(fits.d_law.at(self.target) / optimum - 1)

    def loss(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """What the law says of sizes and tokens, NaN where those are."""
        return self.fit.law.evaluate({"N": N, "D": D}, self.fit.params)

    def _centred(self, count: int, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Budgets, sizes and tokens of sweeps centred on the optimum."""
        flops = self.budgets(count)
        N, D = self.grid(flops, math.log(width) * np.linspace(-1, 1, self.points))
        return flops, N, D

    def noises(self, loss: np.ndarray) -> np.ndarray:
        """Standard deviation of each loss."""
        return self.noise * (np.ones_like(loss) if self.raw else loss)

    @property
    def raw(self) -> bool:
        """Whether the noise is of the loss itself, not of its logarithm."""
        return self.fit.objective.residual == "raw"

    def error(self, count: int, width: float) -> float:
        """Standard error of ln D* by Approach 2 on centred sweeps, to first order in the noise."""
        flops, N, D = self._centred(count, width)
        loss = self.loss(N, D)
        # Error propagation: losses to the vertex of each budget, vertices to the power law.
        of_vertex, _ = _derivatives(vertex_fits(flops, N, D, loss), D)
        vertex = np.sqrt((of_vertex**2 * self.noises(loss) ** 2).sum(-1))[:count]
        c = np.log(flops[:count])
        away = c - c.mean()
        weight = 1 / count + (math.log(self.target) - c.mean()) * away / (away**2).sum()
        return float(np.sqrt((weight**2 * vertex**2).sum()))

    def curvature_ratio(self, width: float) -> float:
        """Curvature in standard errors of its own, at the flattest budget."""
        flops, N, D = self._centred(2, width)
        loss = self.loss(N, D)
        fits = vertex_fits(flops, N, D, loss)
        _, of_curvature = _derivatives(fits, D)
        se = np.sqrt((of_curvature**2 * self.noises(loss) ** 2).sum(-1))
        if self.noise == 0:
            return math.inf
        return float((fits.d.curvature / se).min())

    def surface_error(self, count: int, width: float) -> float:
        """Standard error of ln D* by a least-squares fit of the law, to first order."""
        flops, N, D = self._centred(count, width)
        there = np.repeat(np.arange(len(flops)) < count, self.points)
        jacobian = self._jacobian(N.ravel(), D.ravel())[there]
        if len(jacobian) < jacobian.shape[1]:
            return math.inf
        # With J = Q R the standard error of g . parameters is sigma |R^-T g|. Columns are scaled to
        # norm one first: parameters differ by many powers of ten.
        scale = np.linalg.norm(jacobian, axis=0)
        triangle = np.linalg.qr(jacobian / scale, mode="r")
        from scipy.linalg import solve_triangular

        try:
            spread = solve_triangular(triangle, self.gradient / scale, trans="T")
        except np.linalg.LinAlgError:
            return math.inf
        return float(self.noise * np.linalg.norm(spread))

    def _jacobian(self, N: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Derivatives of the predictions, or of their logarithms, in the free parameters."""
        law = self.fit.law
        columns = [{"N": N, "D": D}[name] for name in law.columns]
        params = [np.atleast_1d(self.fit.params[name]) for name in law.names]
        loss, *slopes = law_with_slopes(law).bind(*columns)(*params)
        scale = 1.0 if self.raw else 1.0 / loss
        each = {
            name: np.broadcast_to(slope * scale, N.shape)
            for name, slope in zip(law.names, slopes, strict=True)
        }
        return np.stack([sum(each[name] for name in group) for group in self._free()], axis=1)

    @cached_property
    def gradient(self) -> np.ndarray:
        """Derivatives of ln D* in the free parameters."""
        names = self.fit.law.names
        answer: Any = optimum_function(self.fit, "D", self.target, cost=self.cost)
        value, slope, _ = answer.differentiated([self.fit.params[name] for name in names])
        each = dict(zip(names, slope / value, strict=True))
        return np.array([sum(each[name] for name in group) for group in self._free()])

    def _free(self) -> list[tuple[str, ...]]:
        """Names of the free parameters, tied ones together; one at a bound counts as known."""
        fit = self.fit
        tied = {name: group for group in fit.tied for name in group}
        groups = dict.fromkeys(tied.get(name, (name,)) for name in fit.law.names)
        fixed = {*fit.fixed, *fit.diagnostics.at_bound}
        return [group for group in groups if not fixed & set(group)]


def _derivatives(fits: VertexFits, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the vertex and of the curvature over ln D in each loss of its budget."""
    # Of the orthogonal columns u and p of scalefit.approach2.parabolas, for equal weights.
    x = np.log(D)
    u = x - x.mean(-1, keepdims=True)
    square = (u**2).sum(-1, keepdims=True)
    p = u**2 - square / D.shape[-1] - u * (u**3).sum(-1, keepdims=True) / square
    slope, curvature = u / square, p / (p**2).sum(-1, keepdims=True)
    b, a = fits.d.slope[..., None], fits.d.curvature[..., None]
    return -slope / (2 * a) + b * curvature / (2 * a**2), curvature
