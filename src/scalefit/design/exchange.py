"""Runs that lower a criterion most under a budget: a greedy start, then exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scalefit.design.criteria import Criterion

__all__ = ["Purse", "select", "sorted_by_gain"]

# The greedy start divides what a run gains by these powers of its cost: per FLOP, which buys many
# small runs, per run, which buys few large ones, and between.
POWERS = (1.0, 0.5, 0.0)

# Passes over all runs; on 2,000 candidates and 10 runs three to six are made.
MOST_PASSES = 30

# Share of the budget that rounding may overspend.
ROUNDING = 1e-9


class Purse(NamedTuple):
    """What may be bought.

    Attributes:
        costs: of each candidate, positive, shape (candidates,).
        budget: of all runs together, in the same unit.
        count: most runs.
        repeat: whether a candidate may be bought more than once.
    """

    costs: np.ndarray
    budget: float
    count: int
    repeat: bool

    def allowed(self, chosen: Sequence[int]) -> np.ndarray:
        """Which candidates can be added, shape (candidates,)."""
        if len(chosen) >= self.count:
            return np.zeros(len(self.costs), dtype=bool)
        left = self.budget * (1 + ROUNDING) - self.costs[list(chosen)].sum()
        found = self.costs <= left
        if not self.repeat:
            found[list(chosen)] = False
        return found


def select(criterion: Criterion, purse: Purse) -> list[int]:
    """Places of the candidates to run.

    Greedy choices, each followed by exchanges of one run for another, and of one run for as many
    as its cost pays for, until none lowers the criterion; the best of them.

    Source:
        Fedorov 1972, Theory of Optimal Experiments, chapter 3 (exchanges). Khuller, Moss and Naor
        1999, Inf. Process. Lett. 70(1) (greedy choices under a budget).
    """
    found = [_exchanged(criterion, purse, _greedy(criterion, purse, [], power)) for power in POWERS]
    return min(found, key=criterion.value)


def sorted_by_gain(criterion: Criterion, purse: Purse, chosen: Sequence[int]) -> list[int]:
    """The same runs, those first that gain most for their cost."""
    left, found = list(chosen), list[int]()
    while left:
        gains = (criterion.value(found) - criterion.with_each(found)[left]) / purse.costs[left]
        found.append(left.pop(int(np.argmax(gains))))
    return found


def _greedy(criterion: Criterion, purse: Purse, chosen: list[int], power: float) -> list[int]:
    """Add what gains most for that power of its cost, while it can be paid and gains anything."""
    found = list(chosen)
    price = purse.costs**power
    while True:
        allowed = purse.allowed(found)
        if not allowed.any():
            return found
        gains = np.where(
            allowed, (criterion.value(found) - criterion.with_each(found)) / price, -np.inf
        )
        best = int(np.argmax(gains))
        if not gains[best] > 0:
            return found
        found.append(best)


def _exchanged(criterion: Criterion, purse: Purse, chosen: list[int]) -> list[int]:
    """Swap runs while that lowers the criterion."""
    found, value = list(chosen), criterion.value(chosen)
    for _ in range(MOST_PASSES):
        start = value
        for i in range(len(found)):
            rest = found[:i] + found[i + 1 :]
            allowed = purse.allowed(rest)
            # Without repeats the run itself is among them: it has just been taken out.
            each = np.where(allowed, criterion.with_each(rest), np.inf)
            best = int(np.argmin(each))
            if each[best] < value - criterion.least_gain(value):
                found[i], value = best, float(each[best])
        if start - value < criterion.least_gain(value):
            refilled = _refilled(criterion, purse, found, value)
            if refilled is None:
                return found
            found, value = refilled, criterion.value(refilled)
    return found


def _refilled(
    criterion: Criterion, purse: Purse, chosen: list[int], value: float
) -> list[int] | None:
    """Runs without one of them, and what its cost pays for instead; None where none is better."""
    best, least = None, value - criterion.least_gain(value)
    for i in range(len(chosen)):
        rest = chosen[:i] + chosen[i + 1 :]
        for power in POWERS:
            tried = _greedy(criterion, purse, rest, power)
            reached = criterion.value(tried)
            if reached < least:
                best, least = tried, reached
    return best
