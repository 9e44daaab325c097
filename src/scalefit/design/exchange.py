"""Runs that lower a criterion most under a budget: a greedy start, then exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from scalefit.design.criteria import Criterion

__all__ = ["Purse", "select", "sorted_by_gain"]

# The greedy start divides what a run gains by these powers of its cost: per FLOP, which buys many
# small runs, per run, which buys few large ones, and between.
POWERS = (1.0, 0.5, 0.0)

# Passes over all runs; on 2,000 candidates and 10 runs three to six are made.
MOST_PASSES = 30

# Up to so many runs one at a time is left out for what its cost pays for: the time grows with the
# square of their number, 0.1 s for 20 runs and 2,000 candidates.
REFILLED = 40
# Up to so many runs two at a time are left out as well: 28 pairs of 8.
PAIRED = 8
# Where that is so, the search begins with each of so many single runs too.
ALONE = 8

# Share of the budget that rounding may overspend.
ROUNDING = 1e-9


class Purse(NamedTuple):
    """What may be bought.

    Attributes:
        costs: of each candidate, positive, shape (candidates,).
        budget: of all runs together, in the same unit.
        most: most runs.
        repeat: whether a candidate may be bought more than once.
    """

    costs: np.ndarray
    budget: float
    most: int
    repeat: bool

    def allowed(self, chosen: Sequence[int]) -> np.ndarray:
        """Which candidates can be added, shape (candidates,)."""
        if len(chosen) >= self.most:
            return np.zeros(len(self.costs), dtype=bool)
        left = self.budget * (1 + ROUNDING) - self.costs[list(chosen)].sum()
        found = self.costs <= left
        if not self.repeat:
            found[list(chosen)] = False
        return found


def select(criterion: Criterion, purse: Purse) -> list[int]:
    """Places of the candidates to run.

    Greedy choices, each followed by exchanges of one run for another. The best of them goes on with
    exchanges of one run (of two, where they are few) for as many as its cost pays for, until none
    lowers the criterion.

    Source:
        Fedorov 1972, Theory of Optimal Experiments, chapter 3 (exchanges). Khuller, Moss and Naor
        1999, Inf. Process. Lett. 70(1) (greedy choices under a budget).
    """
    starts = [_greedy(criterion, purse, [], power) for power in POWERS]
    if max(map(len, starts)) <= PAIRED:
        starts += [_greedy(criterion, purse, [i], 0.5) for i in _best_alone(criterion, purse)]
    distinct = {tuple(sorted(start)): start for start in starts}.values()
    found = [_swapped(criterion, purse, start) for start in distinct]
    best = min(found, key=criterion.value)
    for _ in range(MOST_PASSES if len(best) <= REFILLED else 0):
        better = _refilled(criterion, purse, best)
        if better is None:
            break
        best = _swapped(criterion, purse, better)
    return best


def _best_alone(criterion: Criterion, purse: Purse) -> list[int]:
    """Candidates that lower the criterion most by themselves, each a start of its own."""
    each = np.where(purse.allowed([]), criterion.with_each([]), np.inf)
    order = np.argsort(each, kind="stable")[:ALONE]
    return [int(i) for i in order if np.isfinite(each[i])]


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


def _swapped(criterion: Criterion, purse: Purse, chosen: list[int]) -> list[int]:
    """Exchange one run for another while that lowers the criterion."""
    found, value = list(chosen), criterion.value(chosen)
    for _ in range(MOST_PASSES):
        start = value
        for i in range(len(found)):
            rest = found[:i] + found[i + 1 :]
            each = np.where(purse.allowed(rest), criterion.with_each(rest), np.inf)
            best = int(np.argmin(each))
            if each[best] < value - criterion.least_gain(value):
                found[i], value = best, float(each[best])
        if not value < start:
            break
    return found


def _refilled(criterion: Criterion, purse: Purse, chosen: list[int]) -> list[int] | None:
    """Runs without one or two of them, and what their cost pays for instead.

    None where nothing is better.
    """
    value = criterion.value(chosen)
    best, least = None, value - criterion.least_gain(value)
    places = range(len(chosen))
    left_out = [*combinations(places, 1)]
    left_out += [*combinations(places, 2)] if len(chosen) <= PAIRED else []
    # The same candidate twice is left out once.
    rests = {
        tuple(sorted(place for i, place in enumerate(chosen) if i not in some)) for some in left_out
    }
    for rest in sorted(rests):
        for power in POWERS:
            tried = _greedy(criterion, purse, list(rest), power)
            reached = criterion.value(tried)
            if reached < least:
                best, least = tried, reached
    return best
