"""What is proved of the optimum of a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from scalefit.frozen import Frozen
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent

__all__ = ["NO_CERTIFICATE", "Certificate"]


@dataclass(frozen=True)
class Certificate(Described):
    """What is proved of the optimum of a fit. True when it is proved global to the tolerance.

    Attributes:
        closed: whether nothing in the box is lower than the value by more than the tolerance.
        gap: share of the value by which something in the box could still be lower, never less
            than ``rounding``; infinite where no proof was attempted.
        boxes: boxes that were bounded.
        region: where something lower could still be: range of each nonlinear parameter, in its own
            unit; empty when closed or not attempted.
        reason: why it is not closed, a sentence; empty when it is.
        rounding: share of the value that the rounding of float64 leaves open, one where the
            residuals are rounding themselves. No proof reaches further.
        lower: nonlinear parameters of a point with a lower objective, in their own units, where
            the proof came upon one.
    """

    closed: bool
    gap: float
    boxes: int
    region: Mapping[str, tuple[float, float]]
    reason: str
    rounding: float = 0.0
    lower: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("region", "lower"):
            object.__setattr__(self, name, Frozen(getattr(self, name)))

    @property
    def attempted(self) -> bool:
        """Whether a proof was attempted."""
        return self.closed or self.boxes > 0

    @property
    def known(self) -> str:
        """What is known of the optimum, in words."""
        if self.closed and self.rounding >= self.gap:
            return (
                f"global to rounding, which is {self.rounding:.0e} of the objective, "
                f"by {self.boxes} boxes"
            )
        if self.closed:
            return f"global to {self.gap:.0e} of the objective, by {self.boxes} boxes"
        if not self.attempted:
            return self.reason
        ranges = ", ".join(
            f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in self.region.items()
        )
        least = (
            f"Nothing is more than {100 * self.gap:.2g} % lower"
            if self.gap < 1
            else "How much lower the objective could be is not known"
        )
        return f"{self.reason}. {least}; what could be lies within {ranges or 'the bounds'}"

    def __bool__(self) -> bool:
        return self.closed

    def to_frame(self) -> pd.DataFrame:
        """A row for each parameter of ``region``: low and high."""
        return pd.DataFrame.from_dict(dict(self.region), orient="index", columns=["low", "high"])

    def describe(self, level: float = 0.95) -> Description:
        """What is proved, and the ranges where a lower objective is still possible."""
        names, ends = list(self.region), list(self.region.values())
        low, high = ([end[side] for end in ends] for side in (0, 1))
        columns = [Column("parameter", names, "name"), Column("from", low), Column("to", high)]
        where = "where something lower could still be"
        return Description(
            "Certificate",
            f"The optimum is {self.known}." if self.closed else f"{self._why()}.",
            facts={
                "could be lower by": percent(self.gap) if self.attempted and self.gap < 1 else "",
                "boxes bounded": f"{self.boxes:,}" if self.boxes else "",
                "lower point": ", ".join(f"{name}={at:.6g}" for name, at in self.lower.items()),
            },
            tables=[Table(columns, where)] if names else [],
        )

    def _why(self) -> str:
        """Why there is no proof, which is no fault of the fit where none was attempted."""
        reason = self.reason.removeprefix("not attempted: ")
        return f"{'Not proved' if self.attempted else 'No proof was attempted'}: {reason}"

    def __repr__(self) -> str:
        return f"<Certificate: {self.known if self.closed else self._why()}>"


NO_CERTIFICATE = Certificate(False, math.inf, 0, {}, "not attempted")
