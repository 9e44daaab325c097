"""Kinds of parameter: what a parameter means fixes its bounds, its grid and its sign.

A law annotates each parameter with a kind instead of carrying a table of bounds and initial
guesses. Each public kind is a type alias (``Annotated[Array, Kind(...)]``), so a law stays a
plain, type-checkable function. :class:`Bounds` narrows a kind in one law:
``alpha: Annotated[Exponent, Bounds(0.1, 1.0)]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import jax

__all__ = [
    "Amplitude",
    "Bounds",
    "By",
    "Coefficient",
    "Exponent",
    "Fraction",
    "Kind",
    "Offset",
    "scale_of",
]

Spacing = Literal["linear", "log"]

# An exponent below 0.005 is a logarithm in disguise (N^-0.005 changes by 7 % over six decades) and
# one above 5 is a step: neither end is a power law that a loss table can tell from a constant.
# Published exponents of loss laws lie between 0.03 and 1.8.
EXPONENT_BOUNDS = (0.005, 5.0)

# Published scales lie up to five decades outside the column (Kaplan's N_c = 8.8e13 for models up to
# 1.5e9); beyond six the law is a pure power over any table.
SCALE_MARGIN = 1e6


@dataclass(frozen=True)
class Kind:
    """What a parameter means.

    Attributes:
        name: word used in messages.
        lower: lower bound, in the parameter's own unit.
        upper: upper bound, in the parameter's own unit.
        spacing: how a grid over the parameter is spaced, and the coordinate it is refined in.
        column: for a scale, the data column whose range the bounds are multiples of.
    """

    name: str
    lower: float
    upper: float
    spacing: Spacing = "linear"
    column: str | None = None

    def narrowed(self, bounds: Bounds) -> Kind:
        """This kind with other bounds (absolute, also for a scale)."""
        return replace(self, lower=bounds.lower, upper=bounds.upper, column=None)

    @property
    def searchable(self) -> bool:
        """Whether the bounds are finite, so that a grid can cover them."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def example(self) -> float:
        """A value that the kind allows, near those that papers find."""
        typical = {"offset": 1.7, "exponent": 0.3}.get(self.name, 1.0)
        # At an end a term may vanish, and others with it.
        if self.lower < typical < self.upper:
            return typical
        if not self.searchable:
            return self.lower if math.isfinite(self.lower) else self.upper
        middle = self.lower * self.upper
        return math.sqrt(middle) if self.spacing == "log" else (self.lower + self.upper) / 2


@dataclass(frozen=True)
class Bounds:
    """Bounds of one parameter in one law, used inside ``Annotated``."""

    lower: float
    upper: float


@dataclass(frozen=True)
class By:
    """A linear coefficient that differs by a categorical column, used inside ``Annotated``.

    ``A: Annotated[Amplitude, By("format")]`` is one amplitude for each level of ``format``;
    several columns, ``By("weights", "activations")``, one for each combination that occurs.
    """

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        object.__setattr__(self, "columns", columns)


# How a parameter that a kind's bounds do not fit is declared instead, in messages.
OWN_BOUNDS = "a law of your own that declares it Annotated[Coefficient, Bounds({low:g}, {high:g})]"

Offset = Annotated[jax.Array, Kind("offset", 0.0, math.inf)]
"""Irreducible loss: linear, not negative, in the unit of the loss."""

Amplitude = Annotated[jax.Array, Kind("amplitude", 0.0, math.inf)]
"""Size of a reducible term: linear, not negative."""

Coefficient = Annotated[jax.Array, Kind("coefficient", -math.inf, math.inf)]
"""Linear and free in sign."""

Exponent = Annotated[jax.Array, Kind("exponent", *EXPONENT_BOUNDS, spacing="log")]
"""Power of a column: positive, dimensionless."""

Fraction = Annotated[jax.Array, Kind("fraction", 0.0, 1.0)]
"""Number between zero and one."""


def scale_of(column: str) -> Kind:
    """Kind of a parameter in the unit of a data column.

    Its bounds follow the table, six decades to either side of the column: from
    ``min(column) / 1e6`` to ``max(column) * 1e6``, searched in the logarithm. Used as
    ``Annotated[Array, scale_of("N")]``.

    Args:
        column: name of the data column, as in the law's signature.
    """
    return Kind("scale", 1.0 / SCALE_MARGIN, SCALE_MARGIN, spacing="log", column=column)
