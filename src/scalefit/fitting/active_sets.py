"""Least squares under bounds at every cell of a grid, from normal equations.

Bounds on coefficients are kept exactly, by enumerating active sets; nearly, where there are too
many of those.
"""

from __future__ import annotations

import itertools
from math import prod
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.basis_columns import KNOWN, centred
from scalefit.fitting.linear_solve import factorise, solve, solve_dense
from scalefit.fitting.model import Model
from scalefit.fitting.normal_equations import System
from scalefit.problem.problem import Data, Problem, Settings

__all__ = ["MOST_ACTIVE_SETS", "REJECTED", "best_active_set"]

# Active sets are enumerated up to this many: twice as many take twice as long to compile, and from
# about a hundred on far longer. A law with more bounded coefficients than that is ranked on a point
# of its box: coefficients outside are put on their bounds, and the others solved for again, this
# often.
MOST_ACTIVE_SETS = 32
PASSES = 3
# Added to the value of a solution outside its bounds: more than any value.
REJECTED = 1e300
# A share of each diagonal that keeps its systems solvable.
RIDGE = 1e-10

State = str  # of a coefficient: "free", "lower", "upper", or "known" for the known part


class _Candidate(NamedTuple):
    """The least-squares solution of one active set, and where it is within all bounds."""

    value: Any
    coefficients: dict[int, Any]
    inside: Any


class _Bounds(NamedTuple):
    """Bounds of scaled coefficients: those of the coefficients times the scale of their columns."""

    problem: Problem
    settings: Settings

    def states(self, index: int) -> list[State]:
        """States that a coefficient may be in at the optimum."""
        if index == KNOWN:
            return ["known"]
        lower, upper = self.problem.limits[self.problem.owners[index]]
        return ["free"] + ["lower"] * (lower != "none") + ["upper"] * (upper != "none")

    def at(self, index: int, state: State, scale: Any) -> Any:
        """The bound that a coefficient is held at; the known part's coefficient is its scale."""
        if state == "known":
            return scale
        side = 0 if state == "lower" else 1
        # A zero of Python's own, so that terms of coefficients held at zero can be left out.
        if self.problem.limits[self.problem.owners[index]][side] == "zero":
            return 0.0
        return (self.settings.lower, self.settings.upper)[side][index] * scale

    def holds(self, index: int, value: Any, scale: Any) -> Any:
        """Whether a coefficient is within its bounds, at every cell."""
        ok: Any = True
        lower, upper = self.problem.limits[self.problem.owners[index]]
        if lower != "none":
            ok = ok & (value >= self.at(index, "lower", scale))
        if upper != "none":
            ok = ok & (value <= self.at(index, "upper", scale))
        return ok


def best_active_set(
    model: Model,
    data: Data,
    settings: Settings,
    order: list[int],
    system: System,
    with_coefficients: bool,
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds: the best feasible solution over all active sets.

    An active set says which coefficients are held at which of their bounds; the others are at their
    unconstrained optimum given those. The bounded optimum is the solution of one such set, and
    every other solution within the bounds is a point of the same box with a value no lower, so the
    smallest feasible value is exact.

    Args:
        model: the problem's terms on the table.
        data: the table.
        settings: bounds.
        order: the coefficient of each column of the system.
        system: normal equations.
        with_coefficients: whether coefficients are wanted as well as values.

    Returns:
        Value relative to the squared loss, and the scaled coefficients by their index.
    """
    xp, bounds = model.library, _Bounds(model.problem, settings)
    constant = centred(model.problem)
    choices = [bounds.states(index) for index in order]
    of_constant: list[State] = ["free"] if constant is None else bounds.states(constant)
    if prod(map(len, [*choices, of_constant])) > MOST_ACTIVE_SETS:
        return _point_of_the_box(model, data, bounds, order, system)
    # The column of the constant is one in every row: its scale is one over the unit of the loss.
    unit = 1.0 / data.unit
    tried = []
    for state in of_constant:
        if constant is None or state == "free":
            equations, level = system, None
        else:
            level = bounds.at(constant, state, unit)
            equations = _uncentred(system, level)
        for states in itertools.product(*choices):
            found = _solution(bounds, order, equations, states, xp)
            if constant is not None:
                found = _with_constant(bounds, system, order, found, constant, level, unit)
            tried.append(found)
    return _least(tried, with_coefficients, xp)


def _solution(
    bounds: _Bounds, order: list[int], system: System, states: tuple[State, ...], xp: Any
) -> _Candidate:
    """The solution of one active set, the constant aside."""
    held = {
        place: bounds.at(order[place], state, system.scales[place])
        for place, state in enumerate(states)
        if state != "free"
    }
    free = [place for place, state in enumerate(states) if state == "free"]
    value, found, ok = _solve_free(system, free, held, xp)
    for place in free:
        ok = ok & bounds.holds(order[place], found[place], system.scales[place])
    return _Candidate(value, {order[place]: item for place, item in found.items()}, ok)


def _uncentred(system: System, level: Any) -> System:
    """The equations with the constant held at a level: columns and loss were centred for a free
    one, so that the means are put back.
    """
    gap = system.mean - level
    return system._replace(
        gram=[
            [entry + system.means[i] * system.means[j] for j, entry in enumerate(row)]
            for i, row in enumerate(system.gram)
        ],
        right=[entry + gap * mean for entry, mean in zip(system.right, system.means, strict=True)],
        square=system.square + gap**2,
    )


def _with_constant(
    bounds: _Bounds,
    system: System,
    order: list[int],
    found: _Candidate,
    constant: int,
    level: Any,
    unit: Any,
) -> _Candidate:
    """A solution with the constant that belongs to it: the level it is held at, or, where it is
    free, what the means of the other terms leave of the mean loss.
    """
    inside = found.inside
    if level is None:
        means = dict(zip(order, system.means, strict=True))
        parts = [
            value * means[index]
            for index, value in found.coefficients.items()
            if not _is_zero(value)
        ]
        level = system.mean - sum(parts, start=np.zeros(()))
        inside = inside & bounds.holds(constant, level, unit)
    return found._replace(coefficients={**found.coefficients, constant: level}, inside=inside)


def _least(tried: list[_Candidate], with_coefficients: bool, xp: Any) -> tuple[Any, dict[int, Any]]:
    """The lowest value within bounds at every cell, and its coefficients."""
    best: Any = np.inf
    solution: dict[int, Any] = {}
    # Sets that depend on one axis are compared on that axis, before those that fill the grid.
    for value, coefficients, inside in sorted(tried, key=_joint_size):
        if xp is np and not with_coefficients:
            # Much faster than choosing, on a whole grid; what is not a number is never less.
            best = xp.fmin(best, value + REJECTED * xp.logical_not(inside))
            continue
        better = inside & (value < best)
        best = xp.where(better, value, best)
        if with_coefficients:
            solution = {
                index: xp.where(better, found, solution.get(index, 0.0))
                for index, found in coefficients.items()
                if index != KNOWN
            }
    return best, solution


def _joint_size(item: _Candidate) -> int:
    return prod(np.broadcast_shapes(np.shape(item.value), np.shape(item.inside)))


def _point_of_the_box(
    model: Model, data: Data, bounds: _Bounds, order: list[int], system: System
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds, nearly: a point of the box, and its value.

    Coefficients that end outside their bounds are put on them and held, and the others solved for
    again. Dense systems, where the enumeration is unrolled: this is for many coefficients.
    """
    xp, settings = model.library, bounds.settings
    gram, right = _dense(system.gram, 2, xp), _dense(system.right, 1, xp)
    means, scales = _dense(system.means, 1, xp), _dense(system.scales, 1, xp)
    square, every = system.square, list(order)
    constant = centred(model.problem)
    if constant is not None:
        # Columns were centred for a free constant: put the means and the constant back.
        means = xp.concatenate([means, xp.ones((*means.shape[:-1], 1))], axis=-1)
        gram = xp.pad(gram, [(0, 0)] * (gram.ndim - 2) + [(0, 1)] * 2)
        right = xp.pad(right, [(0, 0)] * (right.ndim - 1) + [(0, 1)])
        gram = gram + means[..., :, None] * means[..., None, :]
        right = right + system.mean * means
        square = square + system.mean**2
        unit = xp.full((*scales.shape[:-1], 1), 1.0 / data.unit)
        scales = xp.concatenate([scales, unit], axis=-1)
        every.append(constant)
    known = np.array([index == KNOWN for index in every])
    ends = []
    for side, nothing in (("lower", -xp.inf), ("upper", xp.inf)):
        own = [getattr(settings, side)[index] if index != KNOWN else 1.0 for index in every]
        # A bound of zero times a scale of zero is zero; an infinite one is no bound.
        free = [index != KNOWN and side not in bounds.states(index) for index in every]
        finite = xp.stack([0.0 if none else end for none, end in zip(free, own, strict=True)])
        ends.append(xp.where(np.array(free), nothing, finite * scales))
    held = xp.broadcast_to(known, right.shape)
    point = xp.where(known, scales, xp.zeros_like(right))
    size = len(every)
    for _ in range(PASSES):
        rest = right - xp.einsum("...ij,...j->...i", gram, xp.where(held, point, 0.0))
        matrix = xp.where(held[..., :, None] | held[..., None, :], np.eye(size), gram)
        # Collinear columns share what they explain.
        matrix = matrix * (1 + RIDGE * np.eye(size))
        solved = solve_dense(matrix, xp.where(held, point, rest), library=xp)[0]
        point = xp.clip(xp.where(held, point, solved), *ends)
        held = held | (point != solved)
    value = xp.einsum("...ij,...i,...j->...", gram, point, point)
    value = square - 2 * xp.einsum("...i,...i->...", right, point) + value
    return value, {index: point[..., i] for i, index in enumerate(every) if index != KNOWN}


def _dense(entries: Any, dimensions: int, xp: Any) -> Any:
    """Nested lists of arrays that broadcast against each other, as last axes of one array."""
    flat = entries if dimensions == 1 else [item for row in entries for item in row]
    shape = np.broadcast_shapes(*(np.shape(item) for item in flat))
    stacked = xp.stack([xp.broadcast_to(item, shape) for item in flat], axis=-1)
    return stacked if dimensions == 1 else stacked.reshape(*shape, len(entries), len(entries))


def _solve_free(
    system: System, free: list[int], held: dict[int, Any], xp: Any
) -> tuple[Any, dict[int, Any], Any]:
    """Value and coefficients with some held, the others at their least-squares optimum.

    Held ones h change the square to square - 2 right.h + h.gram.h and leave right - gram.h to the
    free ones; the free optimum c then lowers the value by (right - gram.h).c.
    """
    gram, right, square = system.gram, system.right, system.square
    # Most bounds are zero: the terms of coefficients held there are left out.
    nonzero = {i: value for i, value in held.items() if not _is_zero(value)}
    value = square
    for i, first in nonzero.items():
        value = value - 2 * right[i] * first
        for j, second in nonzero.items():
            value = value + gram[i][j] * first * second
    rest = []
    for i in free:
        entry = right[i]
        for j, second in nonzero.items():
            entry = entry - gram[i][j] * second
        rest.append(entry)
    factor = factorise([[gram[i][j] for j in free] for i in free], library=xp)
    solved = solve(factor, rest)
    for entry, coefficient in zip(rest, solved, strict=True):
        value = value - entry * coefficient
    return value, {**held, **dict(zip(free, solved, strict=True))}, factor.ok


def _is_zero(value: Any) -> bool:
    return isinstance(value, float) and value == 0.0
