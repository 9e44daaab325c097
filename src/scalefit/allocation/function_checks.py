"""Callers' functions tried at many sizes and tokens before a search relies on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.allocation.column_functions import tried
from scalefit.allocation.cost_model import FUNCTION, Cost
from scalefit.arguments import shown
from scalefit.errors import ArgumentError
from scalefit.runtime.settings import quiet

__all__ = ["check_cost", "check_limit", "is_affine", "trial_points"]

# Sizes and tokens of the trial.
SIZES, TOKENS = (1e6, 1e9, 1e12), (1e3, 1e15, 7)

LIMITING = (
    "Write the columns out, in plain operators and numpy, without if or float() on a column, "
    "and return a positive number, as limits={lambda N: 2.0 * N: 8e10}"
)


def trial_points(
    size_column: str,
    token_column: str,
    extras: Mapping[str, tuple[float, float, bool]],
    fixed: Mapping[str, np.ndarray],
    choices: Mapping[str, tuple[float, ...]],
) -> dict[str, np.ndarray]:
    """Columns to try functions at: sizes down, tokens across, the first or middle value of others.

    Args:
        size_column: the column of sizes.
        token_column: the column of tokens.
        extras: ends of each further free column, and whether they are logarithms.
        fixed: columns with a given value.
        choices: columns that take one of a list.
    """
    columns = {name: values.flat[0] for name, values in fixed.items()}
    columns |= {name: values[0] for name, values in choices.items()}
    for name, (low, high, logarithmic) in extras.items():
        middle = np.mean([low, high])
        columns[name] = math.exp(middle) if logarithmic else middle
    columns |= {size_column: np.array(SIZES)[:, None], token_column: np.geomspace(*TOKENS)}
    return {name: np.asarray(value, dtype=np.float64) for name, value in columns.items()}


def check_limit(function: Any, needs: Sequence[str], points: Mapping[str, np.ndarray]) -> None:
    """Try a function that is limited.

    Raises:
        ArgumentError: it raises, or returns no positive number anywhere.
    """
    _tried(function, needs, points, "limits", LIMITING)


def check_cost(
    cost: Cost, points: Mapping[str, np.ndarray], size_column: str, token_column: str
) -> np.ndarray:
    """What a function costs at the trial points, shape (sizes, tokens).

    Raises:
        ArgumentError: it cannot be called, returns no numbers, or does not rise.
    """
    remedy = FUNCTION.format("cost")
    value = _tried(cost.function, cost.columns, points, "cost", remedy)
    known = value[np.isfinite(value)]
    constant = bool((known == known[0]).all())
    if constant or not (value[:, 1:] > value[:, :-1]).any():
        spent = " and ".join(name for name in (size_column, token_column) if name in cost.columns)
        said = (
            f"{known[0]:g} whatever {spent} are"
            if constant
            else f"no higher with more {token_column}"
        )
        raise ArgumentError(
            f"cost={shown(cost.function)} is {said}, and more has to cost more",
            argument="cost",
            value=cost,
            remedy=f"Fix {token_column}, or give it a price. {remedy}",
        )
    return value


def is_affine(value: np.ndarray, tokens: np.ndarray) -> bool:
    """Whether a cost of shape (sizes, tokens) is a straight line in the tokens at every size.

    Then the tokens of a budget have a closed form. A wrong yes would show in the budgets of the
    solution.
    """
    share = (tokens - tokens[0]) / (tokens[-1] - tokens[0])
    with quiet():
        ends = value[:, :1] + (value[:, -1:] - value[:, :1]) * share
    return bool(np.allclose(value, ends, rtol=1e-9, atol=0.0))


def _tried(
    function: Any,
    needs: Sequence[str],
    points: Mapping[str, np.ndarray],
    argument: str,
    remedy: str,
) -> np.ndarray:
    """The values of a function at the trial points, shape (sizes, tokens)."""
    columns = {name: points[name] for name in needs}
    value = tried(function, columns, argument, remedy=remedy)
    return np.broadcast_to(value, np.broadcast_shapes(*(item.shape for item in points.values())))
