"""What a training run costs, as a function of its columns.

A cost is named wherever it is used; the 6 of 6ND stands in no formula.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scalefit.errors import AllocationError

__all__ = ["COSTS", "Cost", "find_cost"]


@dataclass(frozen=True)
class Cost:
    """Training FLOPs as ``factor * N * D``.

    Attributes:
        name: how reports call it.
        factor: FLOPs per parameter and token.
        source: where the convention comes from.
    """

    name: str
    factor: float
    source: str

    def flops(self, N: Any, D: Any) -> Any:
        """Training FLOPs of N parameters (count) on D tokens."""
        return self.factor * N * D

    def tokens(self, flops: Any, N: Any) -> Any:
        """Tokens that a budget in FLOPs buys for N parameters."""
        return flops / (self.factor * N)


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "6ND": Cost(
            "6ND",
            6.0,
            "Kaplan et al. 2020, arXiv 2001.08361: 2 FLOPs forward and 4 backward for each "
            "parameter and token; attention and embeddings not counted apart",
        )
    }
)


def find_cost(cost: str | Cost) -> Cost:
    """The cost itself, or the one of that name.

    Raises:
        AllocationError: no cost has that name.
    """
    if isinstance(cost, Cost):
        return cost
    if cost in COSTS:
        return COSTS[cost]
    close = difflib.get_close_matches(str(cost), COSTS, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise AllocationError(f"no cost is called {cost!r}. {hint}Known: {', '.join(COSTS)}")
