"""Deadweight compute: what a run spent beyond the least that its loss takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike, price
from scalefit.allocation.hardware import Hardware, find_hardware
from scalefit.allocation.optimum import MEANT
from scalefit.allocation.optimum_notes import draw_notes
from scalefit.allocation.problem import build_problem
from scalefit.allocation.problem_options import fixed_values
from scalefit.allocation.refusals import require_optimum, require_ratios
from scalefit.allocation.result import amount
from scalefit.allocation.solve import solve_all
from scalefit.allocation.solver import LIMITED
from scalefit.allocation.unit_checks import require_units
from scalefit.arguments import broadcast_shape, choice, numbers
from scalefit.calls import checked_call
from scalefit.errors import AllocationError, ArgumentError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, percent
from scalefit.results.domain import extrapolation, unit_mismatch
from scalefit.results.estimate import Draws, Estimate, frame_of
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface

__all__ = ["Deadweight", "deadweight"]

QUANTITIES = ("spent", "needed", "wasted", "share", "loss")


@dataclass(frozen=True, eq=False)
class Deadweight(Described):
    """What runs waste against the best split of their own cost.

    Every array is of the runs' shape.

    Attributes:
        N: parameters of the run.
        D: its training tokens.
        spent: cost of the run.
        needed: the least cost of its loss.
        loss: predicted loss of the run.
        unit: of the costs, ``FLOP`` or ``USD``.
        draws: ``spent``, ``needed`` and ``loss`` under every draw of an ensemble, shape (draws,
            *runs); empty for a fit. NaN where a draw has no least cost.
        notes: soft problems.
    """

    N: np.ndarray
    D: np.ndarray
    spent: np.ndarray
    needed: np.ndarray
    loss: np.ndarray
    unit: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    @property
    def wasted(self) -> np.ndarray:
        """Spent beyond what was needed."""
        return np.asarray(self.spent - self.needed)[()]

    @property
    def share(self) -> np.ndarray:
        """Share of what was spent that was wasted."""
        return np.asarray(1 - self.needed / self.spent)[()]

    def hours(self, hardware: str | Hardware, utilisation: float = 0.5) -> np.ndarray:
        """Device hours of the waste.

        Raises:
            ArgumentError: the hardware is unknown, or the share is not in (0, 1].
            AllocationError: the cost is in dollars.
        """
        return self._device(hardware).hours(self.wasted, utilisation)

    def usd(self, hardware: str | Hardware | None = None, utilisation: float = 0.5) -> np.ndarray:
        """Dollars of the waste: on hardware, or as counted by a cost in dollars.

        Raises:
            ArgumentError: the hardware is unknown, or the share is not in (0, 1].
            AllocationError: the cost is in FLOP and no hardware is named.
        """
        if self.unit == "USD":
            return self.wasted
        return self._device(hardware).usd(self.wasted, utilisation)

    def _device(self, hardware: str | Hardware | None) -> Hardware:
        if hardware is None or self.unit != "FLOP":
            raise AllocationError(
                f"this waste is counted in {self.unit}: hours and dollars of FLOP need hardware, "
                "such as 'H100 SXM bf16'"
            )
        return find_hardware(hardware)

    def estimate(self, name: str) -> Estimate:
        """One quantity with its uncertainty.

        Args:
            name: ``wasted``, ``share``, ``spent``, ``needed`` or ``loss``.

        Raises:
            ArgumentError: there is no such quantity.
            AllocationError: the waste is of a fit, not of an ensemble.
        """
        choice(name, "name", QUANTITIES)
        if not self.draws:
            raise AllocationError(
                "this waste is of one fit and has no intervals. Take that of an ensemble: "
                "deadweight(scalefit.bootstrap(fit, runs), ...)"
            )
        drawn = dict(self.draws)
        drawn["wasted"] = drawn["spent"] - drawn["needed"]
        drawn["share"] = drawn["wasted"] / drawn["spent"]
        return Estimate(getattr(self, name), drawn[name], self.draws.tails, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per run; of an ensemble with an interval for each quantity.

        Args:
            level: coverage of an interval.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        values = {"N": self.N, "D": self.D}
        values |= {name: getattr(self, name) for name in QUANTITIES}
        estimates = {name: self.estimate(name) for name in QUANTITIES if self.draws}
        return frame_of(values, estimates, level)

    def describe(self, level: float = 0.95) -> Description:
        """The waste in words, and a table of every run.

        Args:
            level: coverage of the intervals of an ensemble.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        worst = frame.iloc[int(np.argmax(frame["share"].to_numpy()))]
        which = "The run wastes" if len(frame) == 1 else f"The worst of {len(frame)} runs wastes"
        kind: Kind = "flop" if self.unit == "FLOP" else "usd"
        columns = [Column(name, frame[name].to_list(), "count") for name in ("N", "D")]
        columns += [
            Column(f"{name} ({self.unit})", frame[name].to_list(), kind)
            for name in ("spent", "needed")
        ]
        low, high = (
            frame[f"share_{end}"].to_list() if self.draws else [] for end in ("low", "high")
        )
        columns += [Column("wasted share", frame["share"].to_list(), "percent", low, high)]
        columns += [Column("loss", frame["loss"].to_list())]
        count = len(self.draws["loss"]) if self.draws else 0
        return Description(
            title="Deadweight compute: spent beyond the least cost of the same loss",
            headline=(
                f"{which} {percent(worst['share'])} of {amount(worst['spent'], self.unit)}: its "
                f"loss of {worst['loss']:.4g} needs {amount(worst['needed'], self.unit)}."
            ),
            tables=[
                Table(
                    columns,
                    f"{100 * level:g} % interval of the wasted share over {count} draws of the fit"
                    if count
                    else "",
                    f"{100 * level:g} % interval",
                )
            ],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        count = np.size(self.spent)
        return f"<Deadweight of {count} run{'s' * (count != 1)} in {self.unit}>"


@checked_call(**{**MEANT, "N": "N={}", "D": "D={}"})
def deadweight(
    fit: Surface,
    N: Any,
    D: Any,
    *,
    cost: CostLike = "6ND",
    fixed: Mapping[str, Any] | None = None,
) -> Deadweight:
    """What a run of N parameters on D tokens wastes, by a fitted law.

    The loss of the run is L(N, D); the least cost that reaches it is that of the best N and D of at
    most that loss, searched around the runs of the fit and around this run. For the additive law
    under k N D see :func:`allocation.deadweight_share`.

    Args:
        fit: a fit of a law of N and D, or an ensemble of one.
        N: parameters, any shape.
        D: training tokens; broadcasts with N.
        cost: as for :func:`allocate`.
        fixed: further columns of the law and the cost, as for :func:`allocate`.

    Returns:
        What was spent, needed and wasted.

    Raises:
        ArgumentError: as for :func:`allocate`; or N or D are no positive numbers.
        DataError: coefficients of the fit differ by a column, or a column has values that the law
            does not describe.
        AllocationError: as for :func:`allocate`; or the loss of a run has no least cost, or is no
            number.

    Source:
        Czech et al. 2026, arXiv 2603.22339, deadweight compute loss.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0))
        >>> D = 3.34535e13
        >>> waste = sf.deadweight(fit, 3.8e25 / (6 * D), D)
        >>> f"{waste.share:.3%} of {waste.spent:.2g} FLOP"
        '0.447% of 3.8e+25 FLOP'
    """
    surface = checked_surface(fit)
    point = surface.point
    given = {
        name: numbers(value, name, above=0, empty=False, remedy=f"Pass {what}, as {name}={example}")
        for name, value, what, example in (
            ("N", N, "the parameters of the run", "7e9"),
            ("D", D, "its training tokens", "1.4e12"),
        )
    }
    fixed = fixed_values(point.one_surface(), fixed)
    if {"N", "D"} & set(fixed):
        raise ArgumentError(
            f"fixed has {' and '.join(sorted({'N', 'D'} & set(fixed)))}, which the run has already",
            argument="fixed",
            value=fixed,
            remedy="Fix what the law has beside N and D",
        )
    broadcast = given | {f"fixed[{name!r}]": value for name, value in fixed.items()}
    shape = broadcast_shape(broadcast, remedy="Pass numbers, or arrays that broadcast")
    N, D = (np.broadcast_to(value, shape) for value in given.values())
    with np.errstate(over="ignore"):
        huge = np.isinf(N * D) | np.isinf(D / N)
    if huge.any():
        raise ArgumentError(
            f"D={D[huge][0]:g} times N = {N[huge][0]:g}, or over it, is more than float64 holds",
            argument="D",
            value=D,
            remedy="Pass the training tokens of the run, as D=1.4e12",
        )
    require_units(point, {"N": N, "D": D})
    require_ratios(point)
    one = {name: np.array([value]) for name, value in point.one_surface().params.items()}
    answers = _answers(point, one, N, D, cost, fixed)
    notes = [
        *point.carried,
        *unit_mismatch(point.domain, {"N": N, "D": D}),
        *extrapolation(point.domain, {**fixed, "N": N, "D": D}),
    ]
    draws = surface.drawn.apply(
        lambda drawn: _answers(point, drawn, N, D, cost, fixed, point=False)
    )
    notes += [*surface.draw_notes, *draw_notes(draws, "needed")]
    return Deadweight(
        N[()],
        D[()],
        **{name: values[0][()] for name, values in answers.items()},
        unit=build_problem(point, 1.0, "loss", cost=cost, fixed=fixed).cost.unit,
        draws=draws,
        notes=tuple(notes),
    )


def _answers(
    fit: Fit,
    params: Mapping[str, np.ndarray],
    N: np.ndarray,
    D: np.ndarray,
    cost: CostLike,
    fixed: Mapping[str, np.ndarray],
    *,
    point: bool = True,
) -> dict[str, np.ndarray]:
    """Every quantity under every draw; ``point`` where the one draw is the fit itself."""
    columns = {**fixed, "N": N, "D": D}
    law = fit.law
    law.check(columns)
    values = {name: np.asarray(params[name]).reshape(-1, *(1,) * N.ndim) for name in law.names}
    loss = law.evaluate(columns, values)
    if point and not np.isfinite(loss).all():
        at = tuple(np.argwhere(~np.isfinite(loss[0]))[0])
        raise AllocationError(
            f"the fit of {law.name!r} predicts a loss of {loss[0][at]:g} for N = {N[at]:g} and D = "
            f"{D[at]:g}, so that nothing is known of its waste. Leave that run out"
        )
    levels = np.where(np.isfinite(loss[0]), loss[0], 0.0)
    problem = build_problem(fit, levels, "loss", cost=cost, fixed=fixed)
    # The run itself reaches its loss, so that there is a solution around it.
    problem = replace(problem, around=D / N)
    found = solve_all(problem, params, loss)
    if point:
        require_optimum(problem, found, limited=False)
    spent = np.broadcast_to(price(problem.cost, columns), loss.shape)
    # A run at the optimum needs all of it, to rounding.
    needed = np.where(found.state <= LIMITED, np.minimum(found.cost, spent), np.nan)
    return {"spent": spent, "needed": needed, "loss": loss}
