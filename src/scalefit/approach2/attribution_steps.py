"""Approach 2 on sweeps that change step by step from ideal ones to the runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.allocation.costs import Cost
from scalefit.allocation.result import Allocation
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.approach2.parabola import vertex_fits
from scalefit.approach2.power_laws import line_of_logs
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface

__all__ = ["Design", "Steps", "stacked_params", "with_draws"]

# Half-width of the sweeps that show the asymmetry alone: that of the narrowest sweeps in use.
NARROW = 2.0


class Design(NamedTuple):
    """The runs of the used budgets, as arrays of shape (budgets, points) padded by weight 0.

    Attributes:
        flops: the budgets, shape (budgets,).
        points: runs of each, shape (budgets,).
        N: parameters.
        D: tokens.
        D_counted: tokens that each run's C buys for its N, by the surface's cost.
        loss: measured losses.
        weight: weights.
    """

    flops: np.ndarray
    points: np.ndarray
    N: np.ndarray
    D: np.ndarray
    D_counted: np.ndarray
    loss: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, isoflop: IsoFlop, cost: Cost) -> Design:
        """The runs of the used budgets."""
        used = isoflop.budgets["used"].to_numpy()
        runs = isoflop.sweeps
        place, weight = runs.padded()
        place, weight = place[used], weight[used]
        return cls(
            isoflop.budgets["budget"].to_numpy()[used],
            (weight > 0).sum(-1),
            runs.N[place],
            runs.D[place],
            cost.tokens(runs.C[place], runs.N[place]),
            runs.loss[place],
            weight,
        )

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """As many equally spaced numbers from -1 to 1 as there are runs, and their weights."""
        rank = np.arange(self.weight.shape[1])
        there = rank < self.points[:, None]
        return np.where(there, 2 * rank / (self.points[:, None] - 1) - 1, 0.0), there * 1.0

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the smallest and of the largest size of each budget."""
        there = self.weight > 0
        low = np.where(there, self.N, np.inf).min(-1)
        return np.log(low), np.log(np.where(there, self.N, 0.0).max(-1))


class Steps(NamedTuple):
    """Answers of Approach 2 after each step, for the fit and every draw at once.

    The first axis of every array holds the fit, then the draws.

    Attributes:
        design: the runs.
        target: budget that is extrapolated to, FLOP.
        fit: the surface.
        cost: what its budgets are counted in.
        params: its parameters, each of shape (1 + draws, 1, 1).
        N: its optima at the budgets and, last, the target, shape (1 + draws, budgets + 1).
        D: the same.
    """

    design: Design
    target: float
    fit: Fit
    cost: Cost
    params: dict[str, np.ndarray]
    N: np.ndarray
    D: np.ndarray

    def answers(self, n_exponent: np.ndarray, d_exponent: np.ndarray) -> np.ndarray:
        """Answers after each step, shape (1 + draws, steps, answers)."""
        design, flops = self.design, self.design.flops
        grid, even = design.grid()
        low, high = design.ends()
        # Of ln N: the optima, half the range of the runs, and their middle's distance from N*.
        best, top = np.log(self.N[:, :-1]), np.log(self.N[:, -1])
        width = 0.5 * (high - low)[:, None] * grid
        away = 0.5 * (low + high) - best
        # The trend is a straight line in ln C: a power law of exp(away).
        mean, trend = away.mean(-1, keepdims=True), np.log(line_of_logs(flops, away).at(flops))
        optimum = np.stack([top, np.log(self.D[:, -1]), n_exponent[:, -1], d_exponent[:, -1]], -1)
        sizes = np.broadcast_to(design.N, (len(best), *design.N.shape))
        measured = np.broadcast_to(design.loss, sizes.shape)
        return np.stack(
            [
                optimum,
                self._line(best, np.log(self.D[:, :-1])),
                self._centred(best[..., None] + np.log(NARROW) * grid, even),
                self._centred(best[..., None] + width, even),
                self._centred((best + mean)[..., None] + width, even),
                self._centred((best + trend)[..., None] + width, even),
                self._approach2(sizes, design.D_counted, design.weight),
                self._approach2(sizes, design.D, design.weight),
                self._approach2(sizes, design.D, design.weight, measured),
            ],
            axis=1,
        )

    def _centred(self, ln_n: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Answers on sweeps of these sizes, each trained to its budget."""
        N = np.exp(ln_n)
        return self._approach2(N, self.cost.tokens(self.design.flops[:, None], N), weight)

    def _approach2(
        self, N: np.ndarray, D: np.ndarray, weight: np.ndarray, loss: np.ndarray | None = None
    ) -> np.ndarray:
        """Answers of Approach 2 on losses of the surface, or on those given."""
        if loss is None:
            loss = self.fit.law.evaluate({"N": N, "D": D}, self.params)
        fits = vertex_fits(self.design.flops, N, D, loss, weight)
        n, d = (np.where(fits.usable, item.vertex, np.nan) for item in (fits.n, fits.d))
        return self._line(n, d)

    def _line(self, ln_n: np.ndarray, ln_d: np.ndarray) -> np.ndarray:
        """Answers of power laws; NaN unless every budget has an optimum."""
        laws = [line_of_logs(self.design.flops, item) for item in (ln_n, ln_d)]
        reached = [np.log(law.at(self.target)) for law in laws]
        answers = np.stack([*reached, *(law.exponent for law in laws)], axis=-1)
        known = np.isfinite(ln_n).all(-1) & np.isfinite(ln_d).all(-1)
        return np.where(known[:, None], answers, np.nan)


def stacked_params(fit: Surface) -> dict[str, np.ndarray]:
    """Parameters of the fit and of every draw, shape (1 + draws, 1, 1)."""
    return {
        name: np.reshape([fit.point.params[name], *fit.drawn.get(name, ())], (-1, 1, 1))
        for name in fit.point.law.names
    }


def with_draws(best: Allocation, name: str) -> np.ndarray:
    """An answer of the fit and of every draw, shape (1 + draws, budgets)."""
    drawn = [best.estimate(name).draws] if best.draws else []
    value = best.tokens_per_param if name == "D/N" else getattr(best, name)
    return np.concatenate([np.asarray(value)[None], *drawn]).reshape(-1, np.size(value))
