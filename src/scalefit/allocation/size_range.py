"""The range of sizes around an optimum in which the objective stays below a ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.problem_batch import Batch
from scalefit.allocation.problem_form import ProblemForm, ProblemValues
from scalefit.allocation.reduced_objective import expand, objective_on_grid
from scalefit.allocation.roots import first_root
from scalefit.allocation.size_search import size_ends
from scalefit.allocation.solver import in_batches, with_turns
from scalefit.allocation.token_elimination import tokens_at

__all__ = ["SizeRange", "size_range"]

# Points between an optimum and the end of the scanned range.
RANGE_POINTS = 65
# A range that ends this share short of its ceiling was ended by something else. That is judged this
# share of its length inside its end.
SHORT_OF_CEILING, INSIDE = 1e-4, 1e-9


class SizeRange(NamedTuple):
    """Ends of a range of sizes, each of shape (draws, problems).

    Attributes:
        low: ln size at the lower end.
        high: at the upper end.
        tokens_low: ln tokens at the lower end.
        tokens_high: at the upper end.
        open_low: whether the scanned range ended before the ceiling was reached.
        open_high: likewise.
        cut_low: whether a limit, or the last size that reaches the loss, ended it before.
        cut_high: likewise.
        known: whether the start itself is below the ceiling.
    """

    low: Any
    high: Any
    tokens_low: Any
    tokens_high: Any
    open_low: Any
    open_high: Any
    cut_low: Any
    cut_high: Any
    known: Any


def size_range(
    form: ProblemForm,
    params: Mapping[str, np.ndarray],
    values: ProblemValues,
    start: np.ndarray,
    ceiling: np.ndarray,
) -> SizeRange:
    """How far the size may leave an optimum before the objective passes a ceiling.

    Args:
        form: of the problems, without extras.
        params: parameters of the law, each of shape (draws,).
        values: the numbers of the problems, as for :func:`~scalefit.allocation.solver.solve`.
        start: ln size of the optima, shape (draws, problems).
        ceiling: highest loss, or logarithm of the cost; shape (draws, problems).
    """
    form = with_turns(form, params, values)
    found: SizeRange = in_batches(_range_around, form, params, values, start, ceiling)
    return found


def _range_around(batch: Batch, start: np.ndarray, ceiling: np.ndarray) -> SizeRange:
    low, high, mine_low, mine_high = size_ends(batch)

    # Mirrored for the lower end, so that both are places where a function turns positive.
    def over(way: float) -> Any:
        def excess(batch: Batch, x: np.ndarray, ceiling: np.ndarray) -> Any:
            there = expand(batch, way * x)
            value = np.where(there.feasible, there.objective - ceiling, np.inf)
            return value, way * there.gradient[-1]

        return excess

    start, ceiling = start[:, None], ceiling[:, None]
    low, high = np.minimum(low, start), np.maximum(high, start)
    share = np.linspace(0.0, 1.0, RANGE_POINTS)
    there = expand(batch, start)
    slack = ceiling - there.objective
    known = there.exists & (slack > 0)
    ends, cuts = [], []
    for way, last, mine in ((-1.0, low, mine_low), (1.0, high, mine_high)):
        points = start + share * (last - start)
        points[:, -1:] = last
        # The optimum itself is below the ceiling, whatever rounding says.
        passed = objective_on_grid(batch, points)[:, 1:] > ceiling
        first = np.where(passed.any(axis=1), passed.argmax(axis=1), RANGE_POINTS - 2)[:, None]
        sides = [np.take_along_axis(points, first + i, 1) for i in (0, 1)]
        end = way * first_root(batch, over(way), way * sides[0], way * sides[1], ceiling)
        inside = end + INSIDE * (start - end)
        cut = ceiling - expand(batch, inside).objective > SHORT_OF_CEILING * slack
        # Beyond the last size that reaches a loss there are no tokens.
        end = np.where(tokens_at(batch, end)[1], end, inside)
        opened = cut & (end == last) & ~mine
        ends.append(end)
        cuts.append((opened, cut & ~opened))
    tokens = [tokens_at(batch, x)[0] for x in ends]
    opened, cut = zip(*cuts, strict=True)
    return SizeRange(*(item[:, 0] for item in (*ends, *tokens, *opened, *cut, known)))
