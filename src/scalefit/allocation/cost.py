"""What a training run costs, as a function of its columns.

A cost is a plain function like a law: columns of the table positional, constants with a default.
It is named wherever it is used; the 6 of 6ND stands in no other formula. What a convention counts
is in its docstring; FLOPs of a shape are in ``accounting``, prices in ``hardware``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from scalefit.errors import AllocationError

__all__ = ["COSTS", "Cost", "CostLike", "cost", "find_cost", "product"]

UNITS = ("FLOP", "USD")

KAPLAN = (
    "Kaplan et al. 2020, arXiv 2001.08361: 2 FLOPs forward and 4 backward for each "
    "parameter and token; attention and embeddings not counted apart"
)


@dataclass(frozen=True)
class Cost:
    """What a run costs, as a function of columns.

    Calling it evaluates the plain function. Where ``per_product`` is a number k the cost is exactly
    k N D + m N with m = ``per_model``, for which closed forms and one-equation solutions exist.

    Attributes:
        name: how reports call it.
        function: the function as written: columns positional, constants with a default.
        source: where the convention comes from.
        unit: ``FLOP`` or ``USD``.
        summary: the formula, one line.
        per_product: k, in the unit per parameter and token; None where the cost has another form.
        per_model: m, in the unit per parameter; 0 unless the cost goes on after training.
    """

    name: str
    function: Callable[..., Any]
    source: str
    unit: str = "FLOP"
    summary: str = ""
    per_product: float | None = None
    per_model: float = 0.0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise AllocationError(
                f"cost {self.name!r} is counted in {self.unit!r}. Use {' or '.join(UNITS)}"
            )
        _columns(self.name, self.function)

    def __call__(self, *columns: Any) -> Any:
        """The function itself, in the caller's precision; traceable by JAX."""
        return self.function(*columns)

    def __repr__(self) -> str:
        return f"<cost {self.name}({', '.join(self.columns)}) in {self.unit}: {self.summary}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it takes, in order."""
        return _columns(self.name, self.function)

    def evaluate(self, columns: Mapping[str, Any]) -> np.ndarray:
        """The cost in float64 on the host, whatever the caller's JAX configuration.

        Args:
            columns: at least the cost's columns by name, broadcastable, raw units.

        Returns:
            The cost in its unit, of the columns' broadcast shape.

        Raises:
            AllocationError: a column is missing.
        """
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise AllocationError(
                f"cost {self.name!r} is a function of {', '.join(self.columns)}; "
                f"{', '.join(missing)} not given"
            )
        arrays = np.broadcast_arrays(
            *(np.asarray(columns[name], dtype=np.float64) for name in self.columns)
        )
        with jax.enable_x64(True):
            value = np.asarray(self.function(*arrays), dtype=np.float64)
        return np.broadcast_to(value, arrays[0].shape)

    def tokens(self, budget: Any, N: Any) -> Any:
        """Tokens that a budget buys for N parameters; negative where it does not pay for them.

        Raises:
            AllocationError: the cost is not of the form k N D + m N.
        """
        if self.per_product is None:
            raise AllocationError(
                f"cost {self.name!r} is not a multiple of N D, so the tokens that a budget buys "
                "have no closed form"
            )
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
        AllocationError: the function takes no column, a variadic argument, or a keyword without
            default; or the unit is unknown.

    Example:
        >>> import scalefit as sf
        >>> @sf.cost(source="an example")
        ... def with_overhead(N, D):
        ...     "6 N D and 5 percent for evaluation"
        ...     return 1.05 * 6.0 * N * D
        >>> with_overhead
        <cost with_overhead(N, D) in FLOP: 6 N D and 5 percent for evaluation>
        >>> f"{with_overhead(1e9, 2e10):.3g}"
        '1.26e+20'
    """

    def decorate(function: Callable[..., Any]) -> Cost:
        lines = (inspect.getdoc(function) or "").splitlines()
        called = getattr(function, "__name__", "cost") if name is None else name
        return Cost(called, function, source, unit, lines[0] if lines else called)

    return decorate


def product(k: float, name: str | None = None, *, source: str) -> Cost:
    """The cost k N D.

    Args:
        k: FLOPs per parameter and token, positive.
        name: how reports call it; ``kND`` unless given.
        source: where k comes from.

    Raises:
        AllocationError: k is not a positive number.

    Example:
        >>> from scalefit.allocation import product
        >>> product(7.0, source="measured on our runs")
        <cost 7ND(N, D) in FLOP: 7 N D>
    """
    k = float(k)
    if not (np.isfinite(k) and k > 0):
        raise AllocationError(f"FLOPs per parameter and token must be positive, not {k!r}")

    def function(N: Any, D: Any) -> Any:
        return k * N * D

    called = f"{k:g}ND" if name is None else name
    return Cost(called, function, source, "FLOP", f"{k:g} N D", per_product=k)


def find_cost(cost: CostLike) -> Cost:
    """The cost itself, the one of that name, or the one that a plain function computes.

    Raises:
        AllocationError: no cost has that name, or the function is not one of columns.
    """
    if isinstance(cost, Cost):
        return cost
    if callable(cost):
        return _from_function(cost)
    if cost in COSTS:
        return COSTS[cost]
    close = difflib.get_close_matches(str(cost), COSTS, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise AllocationError(f"no cost is called {cost!r}. {hint}Known: {', '.join(COSTS)}")


def _from_function(function: Callable[..., Any]) -> Cost:
    return cost(source="a function of the user's")(function)


def _columns(name: str, function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the positional arguments without default: those with one are constants."""
    columns: list[str] = []
    for argument in inspect.signature(function).parameters.values():
        bare = argument.default is inspect.Parameter.empty
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise AllocationError(
                f"cost {name!r}: {argument} is variadic. Write every column out: def mine(N, D)"
            )
        if argument.kind is argument.KEYWORD_ONLY and bare:
            raise AllocationError(
                f"cost {name!r}: {argument.name} is a keyword without default. A column is "
                "positional, a constant has a default: def mine(N, D, *, k=6.0)"
            )
        if bare:
            columns.append(argument.name)
    if not columns:
        raise AllocationError(
            f"cost {name!r} takes no column. Write the columns as positional arguments: "
            "def mine(N, D)"
        )
    return tuple(columns)


COSTS: Mapping[str, Cost] = MappingProxyType({"6ND": product(6.0, source=KAPLAN)})
