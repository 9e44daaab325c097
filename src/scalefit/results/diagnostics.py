"""Numerical evidence that a fit is at an optimum, and at the global one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from scalefit.errors import listed
from scalefit.frozen import Frozen
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent

__all__ = ["NO_DIAGNOSTICS", "Diagnostics", "Minimum"]

Search = Literal["grid", "scattered", "none"]


@dataclass(frozen=True)
class Minimum:
    """A distinct local minimum that starts ended in.

    Attributes:
        value: objective there.
        starts: how many starts ended there.
        params: every parameter by name.
    """

    value: float
    starts: int
    params: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", Frozen(self.params))


@dataclass(frozen=True)
class Diagnostics(Described):
    """Numerical evidence that a fit is at an optimum, and at the global one.

    Attributes:
        search: ``grid`` where cells are at every combination of equally spaced coordinates,
            ``scattered`` where they are low-discrepancy points of blocks of coordinates, ``none``
            where the values are published ones.
        cells: cells at which the objective itself was minimised over the linear coefficients, by
            one least-squares problem where it is a sum of squares in them, by several reweighted
            ones otherwise.
        basins: local minima seen among those; scattered cells show none.
        starts: cells polished to the end on the true objective.
        minima: distinct minima reached, best first.
        gradient_cosine: largest cosine between the influence of the rows and a Jacobian column at
            the optimum; 0 at a stationary point, about 1e-15 when converged to rounding.
        newton_decrement: predicted decrease of a further Newton step, relative to the objective.
        iterations: of the start that reached the optimum.
        at_bound: parameters held by a bound.
        condition: condition number of the curvature in all free parameters, each scaled to unit
            curvature; those that a bound holds included, terms that are zero left out.
        condition_projected: the same in the nonlinear parameters after the linear ones are
            projected out.
        duality_gap: of a sum of absolute residuals, how far it lies above the sum of multiplier
            times residual, relative to the objective: the multipliers, between -1 and 1, annihilate
            the Jacobian, so that no step can lower the objective by more than this share while the
            law is as good as linear. Zero for other objectives.
        cells_by_squares: cells ranked by squared error, where that is not the objective itself.
    """

    search: Search
    cells: int
    basins: int
    starts: int
    minima: tuple[Minimum, ...]
    gradient_cosine: float
    newton_decrement: float
    iterations: int
    at_bound: tuple[str, ...]
    condition: float
    condition_projected: float
    duality_gap: float = 0.0
    cells_by_squares: int = 0

    @property
    def agreeing(self) -> int:
        """Starts that ended in the best minimum."""
        return self.minima[0].starts if self.minima else 0

    @property
    def gap(self) -> float | None:
        """How much worse the second minimum is, relative to the best; None if there is one."""
        if len(self.minima) < 2:
            return None
        best, second = self.minima[0].value, self.minima[1].value
        return (second - best) / best if best > 0 else math.inf

    @property
    def agreement(self) -> str:
        """How the starts of the search ended, in words."""
        second = "no other minimum was found"
        if self.gap is not None:
            worse = f"{percent(self.gap)} higher" if math.isfinite(self.gap) else "above zero"
            second = f"the next of {len(self.minima)} minima is {worse}"
        which = "all" if self.agreeing == self.starts else f"{self.agreeing} of"
        return f"{which} {self.starts} starts end here; {second}"

    def to_frame(self) -> pd.DataFrame:
        """A row for each minimum that was reached, best first: value, starts and parameters."""
        return pd.DataFrame(
            [{"value": item.value, "starts": item.starts, **item.params} for item in self.minima]
        )

    def describe(self, level: float = 0.95) -> Description:
        """The search and the optimum in facts, and a row for each minimum."""
        if self.search == "none":
            return Description("Diagnostics", "Published values: nothing was fitted.")
        minima = Table(
            [
                Column("objective", [item.value for item in self.minima]),
                Column("starts", [item.starts for item in self.minima], "integer"),
            ],
            "minima that were reached, best first",
        )
        return Description(
            "Diagnostics",
            self.agreement.capitalize() + ".",
            facts={
                "search": self._searched(),
                "gradient": f"{self.gradient_cosine:.1e} (cosine; 0 at a stationary point)",
                "Newton decrement": f"{self.newton_decrement:.1e} of the objective",
                "duality gap": f"{self.duality_gap:.1e} of the objective" * bool(self.duality_gap),
                "iterations": f"{self.iterations} of the best start",
                "at a bound": listed(self.at_bound),
                "condition": f"{self.condition:.3g} in all free parameters, "
                f"{self.condition_projected:.3g} in the nonlinear ones",
            },
            tables=[minima] if len(self.minima) > 1 else [],
        )

    def _searched(self) -> str:
        counts = {"by the objective itself": self.cells, "by squares": self.cells_by_squares}
        cells = " and ".join(f"{count:,} cells {how}" for how, count in counts.items() if count)
        if self.search == "grid":
            return (
                f"{cells}; {self.basins} local minim{'um' if self.basins == 1 else 'a'} on the grid"
            )
        return f"{cells}, at scattered points"

    def __repr__(self) -> str:
        return (
            f"<Diagnostics: {self.search} search, {self.agreeing} of {self.starts} starts agree, "
            f"gradient cosine {self.gradient_cosine:.1e}>"
        )


# What is known of the optimum behind published values.
NO_DIAGNOSTICS = Diagnostics("none", 0, 0, 0, (), math.nan, math.nan, 0, (), math.nan, math.nan)
