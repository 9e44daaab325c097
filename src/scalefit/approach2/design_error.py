"""The error of Approach 2 without noise, by width, centring and drift of the sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost, CostLike, find_cost, price
from scalefit.allocation.optimum import allocate
from scalefit.approach2.frontier import checked_budgets
from scalefit.approach2.parabola import VertexFits, vertex_fits
from scalefit.approach2.sweeps import Sweeps, sweeps
from scalefit.arguments import broadcast_shape, choice, numbers, whole
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.prediction import refuse_unknown
from scalefit.results.surface import Surface, checked_surface

ENDS = ("low", "high")

# Sizes of a sweep; exponents and half-widths whose losses float64 holds.
MOST_POINTS, STEEPEST, WIDEST = 100_000, 10.0, 1e30

__all__ = ["DesignBias", "design_bias", "parabola_shift", "sweeps_bias"]


def parabola_shift(alpha: Any, beta: Any, width: Any, points: int = 15) -> np.ndarray:
    """By how many powers of ten Approach 2 overstates N* on centred sweeps of an additive law.

    Along a budget the loss E + A N^-alpha + B D^-beta is, with w = log10(N/N*), up to scale and
    constant

        l(w) = beta 10^(-alpha w) + alpha 10^(beta w).

    The least-squares parabola through points equally spaced in [-log10 width, log10 width] has its
    vertex at the shift, not at 0. N* comes out 10^shift times, D* 10^-shift times its value, at
    every budget alike, so that the exponents are right and the intercepts wrong. The shift is 0
    for alpha = beta only.

    Args:
        alpha: exponent of N; any shape, broadcastable with the others.
        beta: exponent of D.
        width: ratio of the largest size to N*, which is that of N* to the smallest.
        points: sizes per budget, three or more.

    Returns:
        The shift of log10 N*.

    Raises:
        ArgumentError: an exponent is not positive, fewer than three points, or a width of one or
            less.

    Source:
        Czech et al. 2026, arXiv 2603.22339.

    Example:
        >>> f"{100 * (10 ** -parabola_shift(0.34, 0.28, 16.0) - 1):.2f} % of D*"
        '-5.10 % of D*'
    """
    given = {
        name: numbers(value, name, above=above, most=most, remedy=f"Pass {what}, as {name}={shown}")
        for name, value, above, most, what, shown in (
            ("alpha", alpha, 0, STEEPEST, "the exponent of N", 0.34),
            ("beta", beta, 0, STEEPEST, "the exponent of D", 0.28),
            ("width", width, 1, WIDEST, "a width above one", 16.0),
        )
    }
    broadcast_shape(given, remedy="Pass numbers, or arrays that broadcast")
    points = whole(points, "points", least=3, most=MOST_POINTS, remedy="Pass points=15")
    alpha, beta, width = np.broadcast_arrays(*given.values())
    w = np.log10(width)[..., None] * np.linspace(-1, 1, points)
    a, b = alpha[..., None], beta[..., None]
    # The constant alpha + beta is taken out by expm1, or it would cost digits on narrow sweeps.
    loss = b * np.expm1(-a * w * np.log(10)) + a * np.expm1(b * w * np.log(10))
    square, fourth = (w**2).sum(-1), (w**4).sum(-1)
    slope = (w * loss).sum(-1) / square
    curvature = (points * (w**2 * loss).sum(-1) - square * loss.sum(-1)) / (
        points * fourth - square**2
    )
    return np.asarray(-slope / (2 * curvature))[()]


@dataclass(frozen=True, eq=False)
class DesignBias(Described):
    """Approach 2 on noise-free losses of a law, against the law's own optimum.

    Attributes:
        budgets: a row for each budget of the design: ``budget``, ``N`` and ``D`` of the parabolas,
            ``N_true`` and ``D_true`` of the law, ``N_error`` and ``D_error``, relative.
        target: the same for each target budget, by the power laws.
        n_exponent: exponent of N* by Approach 2.
        d_exponent: exponent of D*.
        law: name of the law.
        cost: name of what budgets are counted in.
        draws: of an ensemble, ``N_error``, ``D_error`` of the target, shape (draws, targets), and
            ``n_exponent``, ``d_exponent``, shape (draws,).
        notes: soft problems of the law's own answers.
    """

    budgets: pd.DataFrame
    target: pd.DataFrame
    n_exponent: float
    d_exponent: float
    law: str
    cost: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """One of ``draws`` with its uncertainty.

        Raises:
            ArgumentError: there is no such answer.
            DataError: the bias is of a fit, not of an ensemble.
        """
        choice(name, "name", ("N_error", "D_error", "n_exponent", "d_exponent"))
        if not self.draws:
            raise DataError(
                f"this bias is of one fit and has no draws of {name!r}",
                remedy="Give an ensemble: design_bias(scalefit.bootstrap(fit, runs), runs, ...)",
            )
        value = self.target[name] if name in self.target else getattr(self, name)
        return self.draws.estimate(name, np.asarray(value, dtype=np.float64)[()], self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each budget that is extrapolated to; of an ensemble with intervals.

        Args:
            level: of the intervals of the errors, over the surface's draws.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        frame = self.target.copy()
        for name in ("N_error", "D_error") if self.draws else ():
            for end, values in zip(ENDS, self.estimate(name).interval(level), strict=True):
                frame[f"{name}_{end}"] = values
        return frame

    def __repr__(self) -> str:
        error = f"{self.target['D_error'].iloc[-1]:+.2%}"
        flops = shown(self.target["budget"].iloc[-1], "flop").value
        return f"<DesignBias: {error} in D* at {flops} FLOP>"

    def describe(self, level: float = 0.95) -> Description:
        """The errors at the target budgets, and those of the vertices.

        Args:
            level: of the intervals, over the surface's draws, where there are any.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        target = self.to_frame(level)
        last = target.iloc[-1]
        interval = f"{100 * level:g} % interval"
        over = ", intervals over the surface's draws" if self.draws else ""
        return Description(
            f"Approach 2 on these sizes without noise, if {self.law} were true ({self.cost})",
            f"Without noise Approach 2 is off by {last['D_error']:+.2%} in D* and "
            f"{last['N_error']:+.2%} in N* at {shown(last['budget'], 'flop').value} FLOP. "
            "With noise, and why: scalefit.bias",
            tables=[
                _target_rows(target, f"Extrapolated by the power laws{over}", interval),
                _vertex_rows(self.budgets),
            ],
            notes=self.notes,
        )


def _target_rows(frame: pd.DataFrame, title: str, interval: str) -> Table:
    """A row for each target budget and answer."""
    answers = ("N", "D")
    ends = (
        [frame[[f"{name}_error_{end}" for name in answers]].to_numpy().ravel() for end in ENDS]
        if "D_error_low" in frame
        else []
    )
    optimum, found, error = (
        frame[[name + suffix for name in answers]].to_numpy().ravel()
        for suffix in ("_true", "", "_error")
    )
    return Table(
        [
            Column("C, FLOP", frame["budget"].repeat(2), "flop"),
            Column("", ["N*, parameters", "D*, tokens"] * len(frame), "text"),
            Column("of the law", optimum, "count"),
            Column("by Approach 2", found, "count"),
            Column("error", error, "percent", *ends),
        ],
        title,
        interval,
    )


def _vertex_rows(frame: pd.DataFrame) -> Table:
    columns = [Column("C, FLOP", frame["budget"], "flop")]
    for name in ("N", "D"):
        columns += [
            Column(f"{name}*", frame[f"{name}_true"], "count"),
            Column(f"{name} found", frame[name], "count"),
            Column("error", frame[f"{name}_error"], "percent"),
        ]
    return Table(columns, "Vertices of the budgets")


def design_bias(
    fit: Surface,
    runs: LossTable | pd.DataFrame,
    flops: Any,
    *,
    by: str | None = None,
    tolerance: float = 0.05,
    cost: CostLike = "6ND",
    **columns: str,
) -> DesignBias:
    """The error of Approach 2 on a design, if a fitted law were true.

    The law is evaluated at the N and D of the runs, Approach 2 is applied to these losses, and its
    vertices and extrapolations are compared with the law's compute-optimal N and D.

    Args:
        fit: a fit of a law of N and D, or an ensemble of one, which adds draws.
        runs: the design: a table with N and D. Its losses, if any, are not looked at.
        flops: budgets to extrapolate to, FLOP.
        by: as for :func:`isoflop`.
        tolerance: as for :func:`isoflop`; runs are grouped by the column C if there is one.
        cost: what budgets are counted in, for the parabolas and for the law alike.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        Relative errors per budget and at the target budgets.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: a column is missing, or fewer than two budgets have a minimum.
        AllocationError: the law is not one of N and D, or has no optimum.

    Example:
        >>> import scalefit as sf
        >>> design = sf.simulation.isoflop_design(width=16.0)
        >>> fit = sf.fit(sf.simulate(design, noise=0.0))
        >>> sf.approach2.design_bias(fit, design, 1e24).target["D_error"].round(3).to_list()
        [-0.051]
    """
    fit = checked_surface(fit).one_surface()
    refuse_unknown(design_bias, None, columns)
    design = sweeps(as_table(runs, **columns), by, tolerance, None, losses=False)
    return sweeps_bias(fit, design, checked_budgets(flops).ravel(), find_cost(cost))


def sweeps_bias(fit: Surface, design: Sweeps, targets: np.ndarray, cost: Cost) -> DesignBias:
    """The same on runs that are grouped already.

    Raises:
        DataError: fewer than two budgets have a minimum.
    """
    surface = fit.point
    members = design.members
    place, weight = design.padded()
    N, D = design.N[place], design.D[place]
    counted = price(cost, {"N": design.N, "D": design.D})
    budget = np.array([np.exp(np.log(counted[item]).mean()) for item in members])
    best = allocate(fit, np.concatenate([budget, targets]), cost=cost)
    one = vertex_fits(budget, N, D, surface.evaluate(N=N, D=D), weight)
    if one.n_law.budgets < 2:
        raise DataError(
            f"{int(one.n_law.budgets)} of {len(budget)} budgets of this design have a minimum by "
            "a parabola, and a power law needs two",
            remedy="A budget needs three distinct sizes around the optimum. Check how runs are "
            "grouped (by=, tolerance=)",
        )
    vertices = {"N": np.exp(one.n.vertex), "D": np.exp(one.d.vertex)}
    reached = {"N": one.n_law.at(targets), "D": one.d_law.at(targets)}
    split = len(budget)

    def under_draws(_: Draws) -> dict[str, np.ndarray]:
        each = vertex_fits(budget, N, D, fit.estimate_loss(N=N, D=D).draws, weight)
        return _drawn(each, targets, best.draws, split)

    return DesignBias(
        budgets=_compared(budget, vertices, best.N[:split], best.D[:split]),
        target=_compared(targets, reached, best.N[split:], best.D[split:]),
        n_exponent=float(one.n_law.exponent),
        d_exponent=float(one.d_law.exponent),
        law=surface.law.name,
        cost=cost.name,
        draws=fit.drawn.apply(under_draws),
        notes=best.notes,
    )


def _compared(
    budget: np.ndarray, found: Mapping[str, np.ndarray], N: np.ndarray, D: np.ndarray
) -> pd.DataFrame:
    frame = pd.DataFrame({"budget": budget})
    for name, true in (("N", N), ("D", D)):
        frame[name] = found[name]
        frame[f"{name}_true"] = true
        frame[f"{name}_error"] = found[name] / true - 1
    return frame


def _drawn(
    each: VertexFits, targets: np.ndarray, best: Mapping[str, np.ndarray], split: int
) -> dict[str, np.ndarray]:
    return {
        "N_error": each.n_law.at(targets) / best["N"][:, split:] - 1,
        "D_error": each.d_law.at(targets) / best["D"][:, split:] - 1,
        "n_exponent": np.asarray(each.n_law.exponent),
        "d_exponent": np.asarray(each.d_law.exponent),
    }
