"""What a training run costs, as a function of its columns.

A cost is a plain function like a law: columns of the table positional, constants with a default.
Reports name it wherever it is used. What a convention counts is in its docstring.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.column_functions import called, columns_of, values_of
from scalefit.arguments import broadcast_shape, choice, mapping, number, numbers, shown, text
from scalefit.errors import AllocationError, ArgumentError
from scalefit.laws.pickling import code_travels
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description
from scalefit.runtime.settings import quiet

__all__ = ["FUNCTION", "Cost", "CostLike", "cost", "price"]

UNITS = ("FLOP", "USD")

# Remedies: of a function that is no cost, by the name of its argument; and of a missing source.
FUNCTION = (
    "Write the columns out, in plain operators and numpy, without if or float() on a column, "
    "and return a positive number, as {}=lambda N, D: 6.0 * N * D"
)
SOURCE = "Say where the formula comes from, as source='our cluster'"
PRODUCT = "Pass the cost of a parameter and token, as per_product=6.0, or None"


@dataclass(frozen=True)
class Cost(Described):
    """What a run costs, as a function of columns.

    Calling it evaluates the plain function. Where ``per_product`` is a number k the cost is exactly
    k N D + m N with m = ``per_model``, for which closed forms and one-equation solutions exist.

    A cost pickles where its function does: one of a decorator by reference to its module, as
    functions do; those of :func:`product` and its kin by their numbers.

    Attributes:
        name: how reports call it.
        function: the function as written: columns positional, constants with a default.
        source: where the convention comes from.
        unit: ``FLOP`` or ``USD``.
        formula: one line.
        per_product: k, in the unit per parameter and token; None where the cost has another form.
        per_model: m, in the unit per parameter; 0 unless the cost goes on after training.
    """

    name: str
    function: Callable[..., Any]
    source: str
    unit: str = "FLOP"
    formula: str = ""
    per_product: float | None = None
    per_model: float = 0.0

    def __post_init__(self) -> None:
        text(self.name, "name", remedy="Pass what reports call it, as name='mine'")
        text(self.source, "source", remedy=SOURCE)
        choice(self.unit, "unit", UNITS)
        columns_of(self.function, "function", remedy=FUNCTION.format("function"))
        if self.per_product is not None:
            number(self.per_product, "per_product", above=0, remedy=PRODUCT)
        number(self.per_model, "per_model", least=0, remedy="Pass per_model=0.0")

    def __call__(self, *columns: Any) -> Any:
        """The function itself, in the caller's precision; traceable by JAX."""
        return self.function(*columns)

    def __repr__(self) -> str:
        return f"<Cost {self.name}({', '.join(self.columns)}) in {self.unit}: {self.formula}>"

    def __copy__(self) -> Cost:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Cost:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        place = tuple(getattr(self.function, name, "") for name in ("__module__", "__qualname__"))
        # The decorator put the cost in the place of its function, where pickle would look for it.
        # Other processes have another __main__.
        apart = place[0] == "__main__" and code_travels()
        if all(place) and not apart and _found(*place) is self:
            return _found, place
        return Cost, tuple(getattr(self, item.name) for item in fields(self))

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: a cost is as it is written."""
        return ()

    def describe(self, level: float = 0.95) -> Description:
        """The formula, its columns, its source and its form."""
        closed = ""
        if self.per_product is not None:
            closed = f"{self.per_product:.6g} N D" + (
                f" + {self.per_model:.6g} N" if self.per_model else ""
            )
        return Description(
            title=f"Cost {self.name}({', '.join(self.columns)}) in {self.unit}",
            headline=f"Pass it as cost=... of scalefit.allocate: {self.formula}",
            facts={"source": self.source, "closed form": closed},
        )

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row: name, unit, formula, source, per_product and per_model."""
        names = ("name", "unit", "formula", "source", "per_product", "per_model")
        return pd.DataFrame({name: [getattr(self, name)] for name in names})

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it takes, in order."""
        return columns_of(self.function, "function", remedy=FUNCTION.format("function"))

    def evaluate(self, columns: Mapping[str, Any]) -> np.ndarray:
        """The cost in float64 on the host, whatever the caller's JAX configuration.

        Args:
            columns: at least the cost's columns by name, broadcastable, raw units.

        Returns:
            The cost in its unit, of the columns' broadcast shape.

        Raises:
            ArgumentError: a column is missing or no number, or the function raises or returns what
                is no number.
        """
        remedy = f"Pass columns={{{', '.join(f'{name!r}: 1e9' for name in self.columns)}}}"
        mapping(columns, "columns", remedy=remedy)
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise ArgumentError(
                f"columns has no {', '.join(missing)}, and cost {self.name!r} is a function of "
                f"{', '.join(self.columns)}",
                argument="columns",
                value=columns,
                remedy=remedy,
            )
        given = {
            level_name: numbers(
                columns[name], level_name, remedy=remedy, infinite=True, missing=True
            )
            for name in self.columns
            for level_name in (f"columns[{name!r}]",)
        }
        broadcast_shape(given, remedy=remedy)
        return values_of(self.function, given, "cost", remedy=FUNCTION.format("cost"))

    @quiet()
    def tokens(self, budget: Any, N: Any) -> Any:
        """Tokens that a budget buys for N parameters; negative where it does not pay for them.

        Raises:
            ArgumentError: a number is none.
            AllocationError: the cost is not of the form k N D + m N.
        """
        if self.per_product is None:
            raise AllocationError(
                f"cost {self.name!r} is not a multiple of N D, so the tokens that a budget buys "
                "have no closed form"
            )
        given = {
            name: numbers(value, name, infinite=True, missing=True, remedy=f"Pass {name}={example}")
            for name, value, example in (("budget", budget, "1e24"), ("N", N, "1e9"))
        }
        broadcast_shape(given, remedy="Pass numbers, or arrays that broadcast")
        budget, N = given["budget"][()], given["N"][()]
        spare = budget / N if self.per_model == 0.0 else budget / N - self.per_model
        return spare / self.per_product


# What arguments named ``cost`` take.
CostLike = str | Cost | Callable[..., Any]


def cost(
    *, source: str, unit: str = "FLOP", name: str | None = None
) -> Callable[[Callable[..., Any]], Cost]:
    """Decorator that turns a plain function of columns into a :class:`Cost`.

    Args:
        source: where the formula comes from: paper and equation, or "our cluster's bill".
        unit: ``FLOP`` or ``USD``.
        name: how reports call it; the function's name unless given.

    Raises:
        ArgumentError: the function takes no column, a variadic argument, or a keyword without
            default; the unit is unknown; or source or name is no text.

    Example:
        >>> import scalefit as sf
        >>> @sf.allocation.cost(source="an example")
        ... def with_overhead(N, D):
        ...     "6 N D and 5 percent for evaluation"
        ...     return 1.05 * 6.0 * N * D
        >>> with_overhead
        <Cost with_overhead(N, D) in FLOP: 6 N D and 5 percent for evaluation>
        >>> f"{with_overhead(1e9, 2e10):.3g}"
        '1.26e+20'
    """

    def decorate(function: Callable[..., Any]) -> Cost:
        columns_of(function, "function", remedy=FUNCTION.format("function"))
        lines = (inspect.getdoc(function) or "").splitlines()
        known = called(function) if name is None else name
        return Cost(known, function, source, unit, lines[0] if lines else known)

    text(source, "source", remedy=SOURCE)
    choice(unit, "unit", UNITS)

    return decorate


def _found(module: str, path: str) -> Any:
    """What a module has at a path; None where there is none."""
    try:
        return reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        return None


def price(cost: Cost, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """What runs cost, shape of the columns.

    Raises:
        ArgumentError: it is no positive number, or rests on another column.
    """
    strange = [name for name in cost.columns if name not in columns]
    if strange:
        raise ArgumentError(
            f"cost={shown(cost.function)} reads {', '.join(strange)}, and of runs "
            f"{', '.join(columns)} are known",
            argument="cost",
            value=cost,
            remedy=FUNCTION.format("cost"),
        )
    spent = cost.evaluate(columns)
    wrong = ~(np.isfinite(spent) & (spent > 0))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        where = ", ".join(
            f"{name} = {np.broadcast_to(columns[name], spent.shape)[at]:g}" for name in cost.columns
        )
        raise ArgumentError(
            f"cost={shown(cost.function)} returned {spent[at]:g} at {where}, and a run costs a "
            "positive number",
            argument="cost",
            value=cost,
            remedy=FUNCTION.format("cost"),
        )
    return spent
