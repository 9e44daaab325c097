"""The projected problem at every cell: columns on sub-grids, normal equations, bounds.

Everything is nested lists of arrays that broadcast over the grid: an entry has the size of the
sub-grid it depends on. :mod:`scalefit.fitting.grid` says which cells there are and what becomes of
their values.

Columns are centred (where the law has a free constant) and scaled to unit root mean square, which
makes the search independent of the units of the data. Coefficients that differ by the levels of a
division of the rows (groups.py) do not see each other's rows: they are eliminated first, all levels
at once, which costs per cell what as many plain columns' inner products cost. Bounds on
coefficients are kept exactly, by enumerating active sets.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.fitting.small import PIVOT_TOLERANCE, Factor, factorise, solve, solve_dense

__all__ = ["Column", "columns_over", "inner_division", "projected"]

# Active sets are enumerated up to this many: twice as many take twice as long to compile, and from
# about a hundred on far longer. A law with more bounded coefficients than that is ranked on a point
# of its box: coefficients outside are put on their bounds, and the others solved for again, this
# often.
MOST_ACTIVE_SETS = 32
PASSES = 3
# A share of each diagonal that keeps its systems solvable.
RIDGE = 1e-10


class Column(NamedTuple):
    """One basis column on its sub-grid; ``mean`` and ``scale`` broadcast over the whole grid.

    A column that has a coefficient for each level holds its rows as (levels, rows of a level), and
    its scale with a last axis of levels.
    """

    rows: jax.Array
    mean: Any
    scale: Any
    seen: tuple[int, ...]


# A column is known by the coefficient it belongs to; by its linear parameter and this, where it is
# eliminated with all its levels; by ``KNOWN`` where it is f0.
Key = int | tuple[str, int]
LEVELS = "levels"
KNOWN = -1


def inner_division(problem: Problem) -> int | None:
    """The division of the rows whose coefficients are eliminated first: the one with most levels.

    Coefficients of another division see rows of several of its levels: they stay plain columns.
    """
    widths: dict[int, int] = {}
    for index, division in enumerate(problem.divisions):
        if division is not None:
            widths[division] = problem.widths[index]
    return max(widths, key=lambda division: widths[division]) if widths else None


def _centred(problem: Problem) -> int | None:
    """The coefficient of the constant that columns are centred for, if any."""
    # Centring would couple the levels of a division.
    if problem.constant is None or any(item is not None for item in problem.divisions):
        return None
    return problem.owners.index(problem.constant)


def columns_over(problem: Problem, data: Data, grid: list[Any], wanted: Any) -> dict[Key, Column]:
    """Centred, scaled basis columns where wanted."""
    found: dict[Key, Column] = {}
    inner = inner_division(problem)
    for index, axes in enumerate(problem.axes_seen):
        seen = problem.across(axes)
        first = problem.owners.index(index)
        if first == _centred(problem) or not wanted(seen):
            continue
        division = problem.divisions[index]
        values = _over_grid(problem, partial(problem.column, index, data), grid, seen)
        if division is None:
            found[first] = _plain_column(problem, data, grid, values, seen)
        elif division == inner:
            found[LEVELS, index] = _level_column(data, grid, values, seen, division)
        else:
            for level in range(problem.widths[index]):
                there = jnp.where(data.codes[division] == level, values, 0.0)
                found[first + level] = _plain_column(problem, data, grid, there, seen)
    if problem.axes_known is not None:
        seen = problem.across(problem.axes_known)
        if wanted(seen):
            values = _over_grid(problem, partial(problem.known, data), grid, seen)
            found[KNOWN] = _plain_column(problem, data, grid, values, seen)
    return found


def _over_grid(problem: Problem, column: Any, grid: list[Any], seen: tuple[int, ...]) -> jax.Array:
    """A column on the sub-grid of the axes it sees, shape (*sub-grid, rows)."""

    def at(*coordinates: jax.Array) -> jax.Array:
        # Coordinates the column does not see are never used: any value of the axis will do.
        every = [axis[0] for axis in grid]
        for axis, coordinate in zip(seen, coordinates, strict=True):
            every[axis] = coordinate
        return jnp.asarray(column(problem.coordinates(every)))

    over_grid = at
    for position in reversed(range(len(seen))):
        over_grid = jax.vmap(over_grid, [0 if i == position else None for i in range(len(seen))])
    return over_grid(*(jnp.asarray(grid[axis]) for axis in seen))


def _plain_column(
    problem: Problem, data: Data, grid: list[Any], values: jax.Array, seen: tuple[int, ...]
) -> Column:
    scale = jnp.sqrt(jnp.sum(data.metric * values**2, axis=-1))
    # A column of zeros (a parameter fixed at zero) stays one.
    values = values / jnp.where(scale > 0, scale, 1.0)[..., None]
    mean = jnp.sum(data.metric * values, axis=-1)
    if _centred(problem) is not None:
        values = values - mean[..., None]
    spread = [len(grid[axis]) if axis in seen else 1 for axis in range(len(grid))]
    return Column(
        values * jnp.sqrt(data.metric),
        mean.reshape(spread),
        (scale / data.unit).reshape(spread),
        seen,
    )


def _level_column(
    data: Data, grid: list[Any], values: jax.Array, seen: tuple[int, ...], division: int
) -> Column:
    rows = _by_level(data, jnp.sqrt(data.metric) * values, division)
    scale = jnp.sqrt(jnp.sum(rows**2, axis=-1))
    rows = rows / jnp.where(scale > 0, scale, 1.0)[..., None]
    spread = [len(grid[axis]) if axis in seen else 1 for axis in range(len(grid))]
    return Column(rows, 0.0, (scale / data.unit).reshape(*spread, -1), seen)


def _by_level(data: Data, rows: jax.Array, division: int) -> jax.Array:
    """Rows sorted by level, shape (..., levels, rows of a level), zero where there are fewer."""
    return rows[..., data.places[division]] * data.present[division]


def _inner(first: Column, second: Column, dimensions: int, rows: str = "z") -> jax.Array:
    """Inner products over rows on the joint sub-grid, spread over the whole grid.

    With ``rows`` "yz" the columns are sorted by level, and so is the result: its last axis.
    """
    letters = "abcdefghijklm"
    left = "".join(letters[axis] for axis in first.seen)
    right = "".join(letters[axis] for axis in second.seen)
    joint = sorted(set(first.seen) | set(second.seen))
    kept = rows[:-1]
    out = "".join(letters[axis] for axis in joint) + kept
    values = jnp.einsum(f"{left}{rows},{right}{rows}->{out}", first.rows, second.rows)
    sizes = dict(zip(joint, values.shape, strict=False))
    spread = [sizes.get(axis, 1) for axis in range(dimensions)]
    return values.reshape([*spread, *values.shape[len(joint) :]])


class _System(NamedTuple):
    """Normal equations at every cell, in scaled columns; entries broadcast over the grid.

    The free constant, if any, is eliminated. The known part, if any, is the last column; its
    coefficient is its own scale.
    """

    gram: list[list[Any]]
    right: list[Any]
    means: list[Any]
    scales: list[Any]
    square: Any
    mean: Any


def _system(problem: Problem, data: Data, columns: dict[Key, Column], dimensions: int) -> _System:
    """Normal equations of the plain columns."""
    target = _target(problem, data)
    every = [columns[key] for key in _order(columns)]
    half = [[_inner(a, b, dimensions) for b in every[: i + 1]] for i, a in enumerate(every)]
    return _System(
        gram=[[half[max(i, j)][min(i, j)] for j in range(len(every))] for i in range(len(every))],
        right=[_inner(column, target, dimensions) for column in every],
        means=[column.mean for column in every],
        scales=[column.scale for column in every],
        square=jnp.sum(target.rows**2),
        mean=target.mean,
    )


def _target(problem: Problem, data: Data) -> Column:
    """The observed loss as a column."""
    mean = jnp.sum(data.metric * data.response)
    centred = data.response if _centred(problem) is None else data.response - mean
    return Column(centred * jnp.sqrt(data.metric), mean, 1.0, ())


def _order(columns: dict[Key, Column]) -> list[int]:
    """Keys as they stand in a system: free coefficients, then the known part."""
    plain = [key for key in columns if isinstance(key, int) and key != KNOWN]
    return sorted(plain) + [KNOWN] * (KNOWN in columns)


class _Levels(NamedTuple):
    """Normal equations of the coefficients of every level; arrays with a last axis of levels.

    Attributes:
        indices: linear parameters whose coefficients these are.
        gram: among them.
        factor: its factor.
        cross: for each plain column, its inner products with them.
        solved: for each plain column, those solved for.
        right: inner products with the loss.
        scales: of the columns.
    """

    indices: list[int]
    gram: list[list[Any]]
    factor: Factor
    cross: list[list[Any]]
    solved: list[list[Any]]
    right: list[Any]
    scales: list[Any]


def _levels(
    problem: Problem, data: Data, columns: dict[Key, Column], dimensions: int
) -> _Levels | None:
    division = inner_division(problem)
    if division is None:
        return None
    indices = [key[1] for key in columns if isinstance(key, tuple)]
    blocks = [columns[LEVELS, index] for index in indices]

    def sorted_rows(column: Column) -> Column:
        return column._replace(rows=_by_level(data, column.rows, division))

    half = [[_inner(a, b, dimensions, "yz") for b in blocks[: i + 1]] for i, a in enumerate(blocks)]
    size = range(len(blocks))
    factor = factorise(half)
    plain = [sorted_rows(columns[key]) for key in _order(columns)]
    cross = [[_inner(block, column, dimensions, "yz") for block in blocks] for column in plain]
    target = sorted_rows(_target(problem, data))
    return _Levels(
        indices,
        [[half[max(i, j)][min(i, j)] for j in size] for i in size],
        factor,
        cross,
        [solve(factor, items) for items in cross],
        [_inner(block, target, dimensions, "yz") for block in blocks],
        [block.scale for block in blocks],
    )


def _without_levels(system: _System, levels: _Levels) -> _System:
    """Normal equations of the plain columns with the coefficients of every level projected out."""

    def explained(cross: list[Any], solved: list[Any]) -> Any:
        return sum((a * b).sum(axis=-1) for a, b in zip(cross, solved, strict=True))

    size = range(len(system.right))
    of_loss = solve(levels.factor, levels.right)
    return system._replace(
        gram=[
            [
                (_left if i == j else jnp.subtract)(
                    system.gram[i][j], explained(levels.cross[i], levels.solved[j])
                )
                for j in size
            ]
            for i in size
        ],
        right=[system.right[i] - explained(levels.cross[i], of_loss) for i in size],
        square=system.square - explained(levels.right, of_loss),
    )


def _left(whole: Any, explained: Any) -> Any:
    """What elimination leaves of a column's square: nothing, where it leaves rounding."""
    rest = whole - explained
    return jnp.where(rest > PIVOT_TOLERANCE * whole, rest, 0.0)


def _with_levels(
    problem: Problem, settings: Settings, levels: _Levels, value: Any, found: list[Any]
) -> tuple[Any, dict[int, Any]]:
    """Value and coefficients of every level, given those of the plain columns.

    A level's coefficient outside its bounds is put on them, the others staying where they are: the
    value is that of a point of the box, though not always the best one for that cell.
    """
    rest = list(levels.right)
    for coefficient, cross in zip(found, levels.cross, strict=True):
        rest = [
            item - jnp.asarray(coefficient)[..., None] * other
            for item, other in zip(rest, cross, strict=True)
        ]
    free = solve(levels.factor, rest)
    inside = []
    for index, coefficient, scale in zip(levels.indices, free, levels.scales, strict=True):
        first = problem.owners.index(index)
        ends = slice(first, first + problem.widths[index])
        # A bound of zero times a scale of zero is zero; an infinite one is no bound.
        for side, kind in zip(("lower", "upper"), problem.limits[index], strict=True):
            if kind != "none":
                limit = getattr(settings, side)[ends] * scale
                clip = jnp.maximum if side == "lower" else jnp.minimum
                coefficient = clip(coefficient, limit)
        inside.append(coefficient)
    moved = [new - old for new, old in zip(inside, free, strict=True)]
    for i, first_moved in enumerate(moved):
        for j, second_moved in enumerate(moved):
            value = value + (first_moved * levels.gram[i][j] * second_moved).sum(axis=-1)
    # Where the columns of a level are collinear, the pivot that stands in for a lost one leaves the
    # later coefficient near zero: that is a point of the box as well.
    return value, dict(zip(levels.indices, inside, strict=True))


def projected(
    problem: Problem, data: Data, settings: Settings, dimensions: int, columns: dict[Key, Column]
) -> tuple[jax.Array, list[Any]]:
    """Projected squared error of every cell, relative to the squared loss, and coefficients.

    Returns:
        Value; and for each linear parameter its scaled coefficients, with a last axis of levels.
    """
    system = _system(problem, data, columns, dimensions)
    levels = _levels(problem, data, columns, dimensions)
    if levels is not None:
        system = _without_levels(system, levels)
    order = _order(columns)
    value, found = _best_active_set(problem, data, settings, order, system)
    eliminated: dict[int, Any] = {}
    if levels is not None:
        # The known part enters with its own scale.
        every = [found[key] if key != KNOWN else columns[KNOWN].scale for key in order]
        value, eliminated = _with_levels(problem, settings, levels, value, every)
    solution = []
    for index in range(len(problem.linear)):
        if index in eliminated:
            solution.append(eliminated[index])
            continue
        first = problem.owners.index(index)
        parts = [found[first + level] for level in range(problem.widths[index])]
        shape = jnp.broadcast_shapes(*(jnp.shape(part) for part in parts))
        solution.append(jnp.stack([jnp.broadcast_to(part, shape) for part in parts], axis=-1))
    sizes = {
        axis: size
        for column in columns.values()
        for axis, size in zip(column.seen, column.rows.shape, strict=False)
    }
    return jnp.broadcast_to(value, [sizes.get(axis, 1) for axis in range(dimensions)]), solution


State = str  # "free", "lower" or "upper"


def _states(problem: Problem, index: int) -> list[State]:
    if index == KNOWN:
        return ["known"]
    lower, upper = problem.limits[problem.owners[index]]
    return ["free"] + ["lower"] * (lower != "none") + ["upper"] * (upper != "none")


def _best_active_set(
    problem: Problem, data: Data, settings: Settings, order: list[int], system: _System
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds: the best feasible solution over all active sets.

    The bounded optimum is the free optimum on the set of coefficients off their bounds, and every
    other feasible candidate is a point of the same box, so the smallest feasible value is exact.

    Returns:
        Value relative to the squared loss, and the scaled coefficients by their index.
    """
    constant = _centred(problem)
    choices = [_states(problem, index) for index in order]
    constants: list[State] = [] if constant is None else _states(problem, constant)
    if prod(len(states) for states in [*choices, constants or [""]]) > MOST_ACTIVE_SETS:
        return _point_of_the_box(problem, data, settings, order, system)
    best: Any = jnp.inf
    tried: list[tuple[Any, dict[int, Any], Any]] = []
    solution: dict[int, Any] = {}

    bound = partial(_bound, problem, settings)

    def inside(index: int, value: Any, scale: Any) -> Any:
        ok: Any = True
        limits = problem.limits[problem.owners[index]]
        for state, kind in zip(("lower", "upper"), limits, strict=True):
            if kind != "none":
                limit = bound(index, state, scale)
                ok = ok & ((value >= limit) if state == "lower" else (value <= limit))
        return ok

    for constant_state in constants or ["absent"]:
        gram, right, square = system.gram, system.right, system.square
        pinned: Any = None
        if constant is not None and constant_state != "free":
            # Columns were centred for a free constant: put the means back.
            pinned = bound(constant, constant_state, 1.0 / data.unit)
            gap = system.mean - pinned
            gram = [
                [entry + system.means[i] * system.means[j] for j, entry in enumerate(row)]
                for i, row in enumerate(gram)
            ]
            right = [entry + gap * mean for entry, mean in zip(right, system.means, strict=True)]
            square = square + gap**2
        for states in product(*choices):
            held = {
                i: system.scales[i]
                if state == "known"
                else bound(order[i], state, system.scales[i])
                for i, state in enumerate(states)
                if state != "free"
            }
            free = [i for i, state in enumerate(states) if state == "free"]
            value, found, ok = _solve_free(gram, right, square, free, held)
            coefficients = {order[i]: found[i] for i in found if order[i] != KNOWN}
            for i in free:
                ok = ok & inside(order[i], found[i], system.scales[i])
            if constant is not None:
                terms = [found[i] * system.means[i] for i in found if not _is_zero(found[i])]
                explained = sum(terms, start=jnp.zeros(()))
                level = system.mean - explained if pinned is None else pinned
                coefficients[constant] = level
                if pinned is None:
                    ok = ok & inside(constant, level, 1.0 / data.unit)
            tried.append((value, coefficients, ok))
    # Sets that depend on one axis are compared on that axis, before those that fill the grid.
    for value, coefficients, ok in sorted(tried, key=lambda item: (item[0] + item[2]).size):
        better = ok & (value < best)
        best = jnp.where(better, value, best)
        solution = {
            i: jnp.where(better, found, solution.get(i, 0.0)) for i, found in coefficients.items()
        }
    return best, solution


def _bound(problem: Problem, settings: Settings, index: int, state: State, scale: Any) -> Any:
    """Bound of a scaled coefficient."""
    side = 0 if state == "lower" else 1
    if problem.limits[problem.owners[index]][side] == "zero":
        return 0.0
    return (settings.lower, settings.upper)[side][index] * scale


def _point_of_the_box(
    problem: Problem, data: Data, settings: Settings, order: list[int], system: _System
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds, nearly: a point of the box, and its value.

    Dense, where the enumeration is unrolled: this is for many coefficients.
    """
    gram, right, means = (_dense(system.gram, 2), _dense(system.right, 1), _dense(system.means, 1))
    scales, square, every = _dense(system.scales, 1), system.square, list(order)
    constant = _centred(problem)
    if constant is not None:
        # Columns were centred for a free constant: put the means and the constant back.
        means = jnp.concatenate([means, jnp.ones((*means.shape[:-1], 1))], axis=-1)
        gram = jnp.pad(gram, [(0, 0)] * (gram.ndim - 2) + [(0, 1)] * 2)
        right = jnp.pad(right, [(0, 0)] * (right.ndim - 1) + [(0, 1)])
        gram = gram + means[..., :, None] * means[..., None, :]
        right = right + system.mean * means
        square = square + system.mean**2
        unit = jnp.full((*scales.shape[:-1], 1), 1.0 / data.unit)
        scales = jnp.concatenate([scales, unit], axis=-1)
        every.append(constant)
    known = np.array([index == KNOWN for index in every])
    ends = []
    for side, nothing in (("lower", -jnp.inf), ("upper", jnp.inf)):
        own = [getattr(settings, side)[index] if index != KNOWN else 1.0 for index in every]
        # A bound of zero times a scale of zero is zero; an infinite one is no bound.
        free = [index != KNOWN and side not in _states(problem, index) for index in every]
        finite = jnp.stack([0.0 if none else end for none, end in zip(free, own, strict=True)])
        ends.append(jnp.where(jnp.array(free), nothing, finite * scales))
    held = jnp.broadcast_to(known, right.shape)
    point = jnp.where(known, scales, jnp.zeros_like(right))
    size = len(every)
    for _ in range(PASSES):
        rest = right - jnp.einsum("...ij,...j->...i", gram, jnp.where(held, point, 0.0))
        matrix = jnp.where(held[..., :, None] | held[..., None, :], jnp.eye(size), gram)
        # Collinear columns share what they explain.
        matrix = matrix * (1 + RIDGE * jnp.eye(size))
        solved = solve_dense(matrix, jnp.where(held, point, rest))[0]
        point = jnp.clip(jnp.where(held, point, solved), *ends)
        held = held | (point != solved)
    value = jnp.einsum("...ij,...i,...j->...", gram, point, point)
    value = square - 2 * jnp.einsum("...i,...i->...", right, point) + value
    return value, {index: point[..., i] for i, index in enumerate(every) if index != KNOWN}


def _dense(entries: Any, dimensions: int) -> jax.Array:
    """Nested lists of arrays that broadcast against each other, as last axes of one array."""
    flat = entries if dimensions == 1 else [item for row in entries for item in row]
    shape = jnp.broadcast_shapes(*(jnp.shape(item) for item in flat))
    stacked = jnp.stack([jnp.broadcast_to(item, shape) for item in flat], axis=-1)
    return stacked if dimensions == 1 else stacked.reshape(*shape, len(entries), len(entries))


def _solve_free(
    gram: list[list[Any]], right: list[Any], square: Any, free: list[int], held: dict[int, Any]
) -> tuple[Any, dict[int, Any], Any]:
    """Value and coefficients with some held, the others at their least-squares optimum."""
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
    factor = factorise([[gram[i][j] for j in free] for i in free])
    solved = solve(factor, rest)
    for entry, coefficient in zip(rest, solved, strict=True):
        value = value - entry * coefficient
    return value, {**held, **dict(zip(free, solved, strict=True))}, factor.ok


def _is_zero(value: Any) -> bool:
    return isinstance(value, float) and value == 0.0
