"""Kinds of parameter: what a parameter means fixes its bounds, its grid and its sign.

A law annotates each parameter with a kind instead of carrying a table of bounds and initial
guesses. Each public kind is a type alias (``Annotated[Array, Kind(...)]``), so a law stays a
plain, type-checkable function. :class:`Bounds` narrows a kind in one law:
``alpha: Annotated[Exponent, Bounds(0.1, 1.0)]``.

Data columns are annotated too, with the values that they can have: ``N: Positive``; and so is what
the law returns: ``-> Share``. A formula gives some number outside them as well, a share of 30 or
half an expert, so that they are checked (``Law.check``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_args

import jax
import numpy as np

from scalefit.arguments import number, text

__all__ = [
    "Amplitude",
    "Bounds",
    "By",
    "Coefficient",
    "Domain",
    "Exponent",
    "Fraction",
    "Kind",
    "NotNegative",
    "Offset",
    "OneOrMore",
    "Positive",
    "Share",
    "annotation",
    "scale_of",
    "slope_of",
]

Spacing = Literal["linear", "log"]
T = TypeVar("T")

# An exponent below 0.005 is a logarithm in disguise (N^-0.005 changes by 7 % over six decades) and
# one above 5 is a step: neither end is a power law that a loss table can tell from a constant.
# Published exponents of loss laws lie between 0.03 and 1.8.
EXPONENT_BOUNDS = (0.005, 5.0)

# Published scales lie up to five decades outside the column (Kaplan's N_c = 8.8e13 for models up to
# 1.5e9); beyond six the law is a pure power over any table.
SCALE_MARGIN = 1e6

# A term that changes by more than exp(15) = 3e6 over a table is negligible in all but a few rows:
# a step, whose place a table shows but not its slope.
STEEPEST = 15.0


@dataclass(frozen=True)
class Kind:
    """What a parameter means.

    Attributes:
        name: word used in messages.
        lower: lower bound, in the parameter's own unit.
        upper: upper bound, in the parameter's own unit.
        spacing: how a grid over the parameter is spaced, and the coordinate it is refined in.
        column: for a scale, the data column whose range the bounds are multiples of; for a slope,
            the one whose width they are divided by.
        per: whether the parameter is per unit of the column, as a slope is.
    """

    name: str
    lower: float
    upper: float
    spacing: Spacing = "linear"
    column: str | None = None
    per: bool = False

    def narrowed(self, bounds: Bounds) -> Kind:
        """This kind with other bounds (absolute, also for a scale or a slope)."""
        return replace(self, lower=bounds.lower, upper=bounds.upper, column=None, per=False)

    @property
    def searchable(self) -> bool:
        """Whether the bounds are finite, so that a grid can cover them."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def example(self) -> float:
        """A value that the kind allows, near those that papers find."""
        typical = {"offset": 1.7, "exponent": 0.3}.get(self.name, 1.0)
        # Not an end of the bounds, where terms may vanish.
        if self.lower < typical < self.upper:
            return typical
        if not self.searchable:
            return self.lower if math.isfinite(self.lower) else self.upper
        middle = self.lower * self.upper
        return math.sqrt(middle) if self.spacing == "log" else (self.lower + self.upper) / 2


@dataclass(frozen=True)
class Bounds:
    """Bounds of one parameter in one law, used inside ``Annotated``.

    Raises:
        ArgumentError: an end is no number; infinities are.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        _set_numbers(self, "Bounds(0.1, 1.0)")


@dataclass(frozen=True)
class By:
    """A linear coefficient that differs by a categorical column, used inside ``Annotated``.

    ``A: Annotated[Amplitude, By("format")]`` is one amplitude for each level of ``format``;
    several columns, ``By("weights", "activations")``, one for each combination that occurs.
    """

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        remedy = 'Name the columns, as By("format")'
        found = tuple(
            text(item, f"By.columns[{i}]", remedy=remedy) for i, item in enumerate(columns)
        )
        object.__setattr__(self, "columns", found or (text("", "By.columns", remedy=remedy),))


def _set_numbers(ends: Any, example: str) -> None:
    """Check both ends and store them as floats."""
    for name in ("lower", "upper"):
        value = number(
            getattr(ends, name),
            f"{type(ends).__name__}.{name}",
            infinite=True,
            remedy=f"Give numbers, as {example}",
        )
        object.__setattr__(ends, name, value)


# The remedy where the bounds of a kind are too narrow, in messages.
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


def annotation(alias: Any, sort: type[T]) -> T:
    """The first item of a class in an ``Annotated`` alias: for laws that functions make.

    Args:
        alias: a kind of parameter or column, as ``Positive``.
        sort: the class, ``Kind`` or ``Domain``.
    """
    return next(item for item in get_args(alias) if isinstance(item, sort))


def scale_of(column: str) -> Kind:
    """Kind of a parameter in the unit of a data column.

    Its bounds follow the table, six decades to either side of the column: from
    ``min(column) / 1e6`` to ``max(column) * 1e6``, searched in the logarithm. Used as
    ``Annotated[Array, scale_of("N")]``.

    Args:
        column: name of the data column, as in the law's signature.

    Raises:
        ArgumentError: it is no name.
    """
    text(column, "column", remedy="Name the data column, as scale_of('N')")
    return Kind("scale", 1.0 / SCALE_MARGIN, SCALE_MARGIN, spacing="log", column=column)


def slope_of(column: str) -> Kind:
    """Kind of a slope of a logarithm in a data column, of either sign.

    Its bounds follow the table: over the width of the column, the term changes by a factor of
    exp(15) at most. Used as ``Annotated[Array, slope_of("share")]``.

    Args:
        column: name of the data column, as in the law's signature.

    Raises:
        ArgumentError: it is no name.
    """
    text(column, "column", remedy="Name the data column, as slope_of('share')")
    return Kind("slope", -STEEPEST, STEEPEST, column=column, per=True)


@dataclass(frozen=True)
class Domain:
    """Values that a data column of a law can have, used inside ``Annotated``.

    Attributes:
        lower: the least, in the column's unit.
        upper: the largest.
        above: whether the least itself is excluded.
        below: whether the largest itself is excluded.
    """

    lower: float = -math.inf
    upper: float = math.inf
    above: bool = False
    below: bool = False

    def __post_init__(self) -> None:
        _set_numbers(self, "Domain(0.0, 1.0)")

    def holds(self, values: Any) -> np.ndarray:
        """Whether each value is in the domain; a missing one (NaN) is not judged."""
        values = np.asarray(values, dtype=np.float64)
        out = values <= self.lower if self.above else values < self.lower
        return ~(out | (values >= self.upper if self.below else values > self.upper))

    def rule(self, name: str) -> str:
        """The domain as a rule on a column, as ``0 <= sparsity < 1``."""
        left = "" if math.isinf(self.lower) else f"{self.lower:g} {'<' if self.above else '<='} "
        right = "" if math.isinf(self.upper) else f" {'<' if self.below else '<='} {self.upper:g}"
        return f"{left}{name}{right}"


Positive = Annotated[Any, Domain(0.0, above=True)]
"""Column of positive numbers: parameters, tokens, FLOP, bits, losses."""

NotNegative = Annotated[Any, Domain(0.0)]
"""Column of numbers from zero on."""

OneOrMore = Annotated[Any, Domain(1.0)]
"""Column of counts that begin at one: experts, attempts, streams."""

Share = Annotated[Any, Domain(0.0, 1.0)]
"""Column of shares of a whole, zero to one and no percentages."""
