"""Many problems solved at once: one for each pair of a draw and a budget (or a loss).

A :class:`Batch` binds the numbers of its problems to the traced functions that they share. Points
are values of ln size (x) and ln tokens (u), of shape (problems, points).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.problem_form import Programs
from scalefit.tracing.operations import Bound, Compiled

__all__ = [
    "FIXED",
    "INFEASIBLE",
    "INTERIOR",
    "LARGEST",
    "LEVEL",
    "LIMITED",
    "SLOPELESS",
    "TURN",
    "UNBOUNDED",
    "Batch",
    "BatchValues",
    "slices",
]

# States of a solution: a smooth minimum; one that a limit or a kink holds; none because one column
# always beats the other; none because nothing meets the constraints, or because the law has no
# derivative there.
INTERIOR, LIMITED, UNBOUNDED, INFEASIBLE, SLOPELESS = range(5)

# What determines the tokens: the budget or loss, an end of the range of numbers, or the zero slope
# of the loss in them. Limit i has the number 1 + i.
LEVEL, FIXED, TURN = 0, -1, -2

# Nothing has fewer than one parameter or token, or more than this; a logarithm.
LARGEST = math.log(1e30)

# A compiled function is called with a power of two of numbers, and of at least so many.
LEAST_POWER = 9


class BatchValues(NamedTuple):
    """The numbers of a batch; the last axis of each is that of the problems.

    Attributes:
        given: fixed columns in order, then parameters of the law; shape (given, problems).
        level: the budget or the loss, shape (problems,).
        extras: further free columns in the searched coordinate, shape (extras, problems).
        low: of each limit, shape (limits, problems).
        high: the same.
        box: ends of ln size and of the extras, shape (1 + extras, 2, problems).
        edge: whether the ends of the size are limits of the user's; shape (2, problems).
        reach: ends of ln(tokens/size) that are searched; shape (2, problems).
    """

    given: np.ndarray
    level: np.ndarray
    extras: np.ndarray
    low: np.ndarray
    high: np.ndarray
    box: np.ndarray
    edge: np.ndarray
    reach: np.ndarray

    def take(self, rows: Any) -> BatchValues:
        """Some of the problems: places, or a slice."""
        return BatchValues(*(item[..., rows] for item in self))


class Batch:
    """Problems of one form, with their numbers."""

    def __init__(self, programs: Programs, values: BatchValues) -> None:
        self.programs, self.values, self.form = programs, values, programs.form
        # With an axis for the points.
        self.level = values.level[:, None]
        self.extras = values.extras[..., None]
        self._bound: dict[str, Bound] = {}

    def __len__(self) -> int:
        return len(self.values.level)

    def take(self, rows: Any) -> Batch:
        """Some of the problems."""
        return Batch(self.programs, self.values.take(rows))

    def at(self, extras: np.ndarray) -> Batch:
        """The problems with other values of the extras, shape (extras, problems)."""
        return Batch(self.programs, self.values._replace(extras=extras))

    def run(self, name: str, x: Any, u: Any) -> list[Any]:
        """The values of a traced function, by its name in :class:`Programs`."""
        bound = self._bound.get(name)
        if bound is None:
            first = [*self.values.given[..., None], *self.extras]
            function = getattr(self.programs, name)
            if isinstance(function, Compiled):
                bound = partial(_padded, function, first)
            else:
                # What does not depend on x and u is computed here, once.
                bound = function.bind(*first)
            self._bound[name] = bound
        return bound(x, u)

    def loss(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The law."""
        value = self.run("binding" if self.form.minimises_cost else "objective", x, u)[0]
        return np.broadcast_to(value, x.shape)

    def ln_column(self, name: str, x: Any) -> Any:
        """Logarithm of a column other than the tokens; 0 for no column, the divisor of no ratio."""
        form = self.form
        if name == form.size_column:
            return x
        if name in form.extras:
            place = form.extras.index(name)
            value = self.extras[place]
            return value if form.logarithmic[place] else np.log(value)
        if name in self.programs.fixed:
            return np.log(self.values.given[self.programs.fixed.index(name)][:, None])
        return np.zeros(1)


def slices(count: int, size: int) -> list[slice]:
    """Consecutive slices of ``count`` rows, at most ``size`` in each."""
    return [slice(start, start + size) for start in range(0, count, size)]


def _padded(function: Compiled, first: Sequence[Any], *rest: Any) -> list[Any]:
    """A compiled function of arrays that broadcast, padded to few shapes: each takes a compile."""
    every = np.broadcast_arrays(*first, *rest)
    shape, count = every[0].shape, every[0].size
    size = 2 ** max(math.ceil(math.log2(count)), LEAST_POWER)
    flat = [np.resize(item, (size, 1)) for item in every]
    return [item.reshape(size)[:count].reshape(shape) for item in function.bind()(*flat)]
