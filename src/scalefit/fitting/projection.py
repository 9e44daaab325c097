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

import itertools
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import (
    PIVOT_TOLERANCE,
    Factor,
    dot,
    factorise,
    product,
    solve,
    solve_dense,
)
from scalefit.fitting.model import Cells, Model
from scalefit.problem.problem import Data, Problem, Settings

__all__ = ["REJECTED", "Column", "column_size", "columns_over", "inner_division", "projected"]

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


class Column(NamedTuple):
    """One basis column on its sub-grid; ``mean`` and ``scale`` broadcast over the whole grid.

    A column that has a coefficient for each level holds its rows as (levels, rows of a level), and
    its scale with a last axis of levels.
    """

    rows: Any
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


def columns_over(
    model: Model, data: Data, cells: Cells, wanted: Callable[[tuple[int, ...]], bool]
) -> dict[Key, Column]:
    """Centred, scaled basis columns where wanted.

    Args:
        model: the problem's terms on the table.
        data: the table; or, where cells are points of one axis, that of each, (cells, rows).
        cells: the grid.
        wanted: whether the columns that see these axes are.
    """
    problem = model.problem
    found: dict[Key, Column] = {}
    inner = inner_division(problem)
    # A table at each point of one axis has weights of its own there, and so every column differs.
    own = (0,) if data.response.ndim > 1 else ()
    seen_by = [cells.across(axes) or own for axes in problem.axes_seen]
    chosen = [
        index
        for index, seen in enumerate(seen_by)
        if problem.owners.index(index) != _centred(problem) and wanted(seen)
    ]
    of_known = () if problem.axes_known is None else cells.across(problem.axes_known) or own
    with_known = problem.axes_known is not None and wanted(of_known)
    if not chosen and not with_known:
        return found
    axes = {axis for index in chosen for axis in seen_by[index]}
    values = model.over_cells(cells, axes | (set(of_known) if with_known else set()))
    shape = cells.shape
    for index in chosen:
        seen, first, division = (
            seen_by[index],
            problem.owners.index(index),
            problem.divisions[index],
        )
        rows = _on_axes(model, data, shape, values.columns[index], seen)
        if division is None:
            found[first] = _plain_column(model, data, shape, rows, seen)
        elif division == inner:
            found[LEVELS, index] = _level_column(model, data, shape, rows, seen, division)
        else:
            for level in range(problem.widths[index]):
                there = model.library.where(data.codes[division] == level, rows, 0.0)
                found[first + level] = _plain_column(model, data, shape, there, seen)
    if with_known:
        rows = _on_axes(model, data, shape, values.known, of_known)
        found[KNOWN] = _plain_column(model, data, shape, rows, of_known)
    return found


def column_size(model: Model, data: Data, columns: dict[Key, Column], index: int) -> Any:
    """Size of the columns of a linear parameter over the unit of the loss, (*grid, width)."""
    if (LEVELS, index) in columns:
        return columns[LEVELS, index].scale
    first = model.problem.owners.index(index)
    if first not in columns:  # the constant, which columns are centred for
        return model.library.reshape(1.0 / data.unit, (1,))
    each = [columns[first + level].scale for level in range(model.problem.widths[index])]
    return model.library.stack(each, axis=-1)


def _on_axes(
    model: Model, data: Data, shape: tuple[int, ...], rows: Any, seen: tuple[int, ...]
) -> Any:
    """A column on the axes it sees, shape (*sub-grid, rows)."""
    sizes = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    count = data.response.shape[-1]
    if np.ndim(rows) > len(shape):
        # A law that is compiled as it stands gives every term on every axis.
        rows = rows[tuple(slice(size) for size in sizes)]
    whole = model.library.broadcast_to(rows, (*sizes, count))
    return whole.reshape([*(shape[axis] for axis in seen), count])


def _plain_column(
    model: Model, data: Data, shape: tuple[int, ...], values: Any, seen: tuple[int, ...]
) -> Column:
    xp = model.library
    root = xp.sqrt(data.metric)
    rows = values * root
    scale = xp.sqrt(dot(rows, rows, xp))
    # A column of zeros (a parameter fixed at zero) stays one.
    rows = rows / xp.where(scale > 0, scale, 1.0)[..., None]
    mean = dot(rows, root, xp)
    if _centred(model.problem) is not None:
        rows = rows - mean[..., None] * root
    spread = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    return Column(rows, mean.reshape(spread), (scale / data.unit).reshape(spread), seen)


def _level_column(
    model: Model,
    data: Data,
    shape: tuple[int, ...],
    values: Any,
    seen: tuple[int, ...],
    division: int,
) -> Column:
    xp = model.library
    rows = _by_level(data, xp.sqrt(data.metric) * values, division)
    scale = xp.sqrt(_merged(model, data, division, xp.sum(rows**2, axis=-1)))
    rows = rows / xp.where(scale > 0, scale, 1.0)[..., data.slots[division], None]
    spread = [size if axis in seen else 1 for axis, size in enumerate(shape)]
    return Column(rows, 0.0, (scale / data.unit).reshape(*spread, -1), seen)


def _by_level(data: Data, rows: Any, division: int) -> Any:
    """Rows sorted by level, shape (..., slots, rows of a slot), zero where there are fewer."""
    return rows[..., data.places[division]] * data.present[division]


def _merged(model: Model, data: Data, division: int, values: Any) -> Any:
    """Sums over the slots of each level, (..., slots) to (..., levels)."""
    levels = model.problem.widths[model.problem.divisions.index(division)]
    slots = data.slots[division]
    if len(slots) == levels:
        return values
    if model.library is np:
        return np.add.reduceat(values, np.searchsorted(slots, np.arange(levels)), axis=-1)
    whole = model.library.zeros((*values.shape[:-1], levels))
    return whole.at[..., slots].add(values, indices_are_sorted=True)


def _inner(
    model: Model,
    first: Column,
    second: Column,
    dimensions: int,
    merged: Callable[[Any], Any] | None = None,
) -> Any:
    """Inner products over rows on the joint sub-grid, spread over the whole grid.

    Where the columns are sorted by level, ``merged`` makes of those of slots, the last axis, those
    of levels.
    """
    xp, levels = model.library, merged is not None
    shared = [axis for axis in first.seen if axis in second.seen]

    def matrix(column: Column) -> tuple[Any, list[int]]:
        """Axes that both see, levels, axes of its own as one, and the rows."""
        own = [axis for axis in column.seen if axis not in shared]
        order = [column.seen.index(axis) for axis in shared]
        count = len(column.seen)
        order += [count] if levels else []
        order += [column.seen.index(axis) for axis in own]
        rows = column.rows
        if order != list(range(len(order))):
            rows = xp.transpose(rows, (*order, rows.ndim - 1))
        lead = len(shared) + levels
        return rows.reshape(*rows.shape[:lead], -1, rows.shape[-1]), own

    left, own_left = matrix(first)
    right, own_right = matrix(second)
    if left.shape[-2] == 1 and right.shape[-2] == 1:
        values = dot(left[..., 0, :], right[..., 0, :], xp)[..., None, None]
    else:
        values = product(left, right, xp)
    sizes = {
        axis: size
        for column in (first, second)
        for axis, size in zip(column.seen, column.rows.shape, strict=False)
    }
    lead = len(shared) + levels
    own = [sizes[axis] for axis in (*own_left, *own_right)]
    values = values.reshape((*values.shape[:lead], *own))
    names = [*shared, *(["level"] if levels else []), *own_left, *own_right]
    wanted = [*sorted(sizes), *(["level"] if levels else [])]
    order = [names.index(name) for name in wanted]
    if order != list(range(len(order))):
        values = xp.transpose(values, order)
    spread = [sizes.get(axis, 1) for axis in range(dimensions)]
    if merged is None:
        return values.reshape(spread)
    values = merged(values)
    return values.reshape([*spread, values.shape[-1]])


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


def _system(model: Model, data: Data, columns: dict[Key, Column], dimensions: int) -> _System:
    """Normal equations of the plain columns."""
    target = _target(model, data)
    every = [columns[key] for key in _order(columns)]
    half = [[_inner(model, a, b, dimensions) for b in every[: i + 1]] for i, a in enumerate(every)]
    return _System(
        gram=[[half[max(i, j)][min(i, j)] for j in range(len(every))] for i in range(len(every))],
        right=[_inner(model, column, target, dimensions) for column in every],
        means=[column.mean for column in every],
        scales=[column.scale for column in every],
        square=dot(target.rows, target.rows, model.library),
        mean=target.mean,
    )


def _target(model: Model, data: Data) -> Column:
    """The observed loss as a column."""
    xp = model.library
    mean = dot(data.metric, data.response, xp)
    # A table at each point of one axis has losses of its own there.
    seen = (0,) if data.response.ndim > 1 else ()
    centred = data.response if _centred(model.problem) is None else data.response - mean[..., None]
    return Column(centred * xp.sqrt(data.metric), mean, 1.0, seen)


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
    model: Model, data: Data, columns: dict[Key, Column], dimensions: int
) -> _Levels | None:
    division = inner_division(model.problem)
    if division is None:
        return None
    indices = [key[1] for key in columns if isinstance(key, tuple)]
    blocks = [columns[LEVELS, index] for index in indices]

    merged = partial(_merged, model, data, division)

    def sorted_rows(column: Column) -> Column:
        return column._replace(rows=_by_level(data, column.rows, division))

    half = [
        [_inner(model, a, b, dimensions, merged) for b in blocks[: i + 1]]
        for i, a in enumerate(blocks)
    ]
    size = range(len(blocks))
    factor = factorise(half, library=model.library)
    plain = [sorted_rows(columns[key]) for key in _order(columns)]
    cross = [
        [_inner(model, block, column, dimensions, merged) for block in blocks] for column in plain
    ]
    target = sorted_rows(_target(model, data))
    return _Levels(
        indices,
        [[half[max(i, j)][min(i, j)] for j in size] for i in size],
        factor,
        cross,
        [solve(factor, items) for items in cross],
        [_inner(model, block, target, dimensions, merged) for block in blocks],
        [block.scale for block in blocks],
    )


def _without_levels(model: Model, system: _System, levels: _Levels) -> _System:
    """Normal equations of the plain columns with the coefficients of every level projected out."""

    def explained(cross: list[Any], solved: list[Any]) -> Any:
        return sum((a * b).sum(axis=-1) for a, b in zip(cross, solved, strict=True))

    def left(i: int, j: int, part: Any) -> Any:
        """What elimination leaves; of a square nothing, where it leaves rounding."""
        rest = system.gram[i][j] - part
        if i != j:
            return rest
        return model.library.where(rest > PIVOT_TOLERANCE * system.gram[i][i], rest, 0.0)

    size = range(len(system.right))
    of_loss = solve(levels.factor, levels.right)
    return system._replace(
        gram=[
            [left(i, j, explained(levels.cross[i], levels.solved[j])) for j in size] for i in size
        ],
        right=[system.right[i] - explained(levels.cross[i], of_loss) for i in size],
        square=system.square - explained(levels.right, of_loss),
    )


def _with_levels(
    model: Model, settings: Settings, levels: _Levels, value: Any, found: list[Any]
) -> tuple[Any, dict[int, Any]]:
    """Value and coefficients of every level, given those of the plain columns.

    A level's coefficient outside its bounds is put on them, the others staying where they are: the
    value is that of a point of the box, though not always the best one for that cell.
    """
    problem, xp = model.problem, model.library
    rest = list(levels.right)
    for coefficient, cross in zip(found, levels.cross, strict=True):
        rest = [
            item - xp.asarray(coefficient)[..., None] * other
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
                clip = xp.maximum if side == "lower" else xp.minimum
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
    model: Model,
    data: Data,
    settings: Settings,
    dimensions: int,
    columns: dict[Key, Column],
    with_coefficients: bool = True,
) -> tuple[Any, list[Any]]:
    """Projected squared error of every cell, relative to the squared loss, and coefficients.

    Returns:
        Value, infinite or ``REJECTED`` where there is no solution; and, where they are wanted, for
        each linear parameter its scaled coefficients, with a last axis of levels.
    """
    problem, xp = model.problem, model.library
    system = _system(model, data, columns, dimensions)
    levels = _levels(model, data, columns, dimensions)
    if levels is not None:
        system = _without_levels(model, system, levels)
    order = _order(columns)
    value, found = _best_active_set(
        model, data, settings, order, system, with_coefficients or levels is not None
    )
    eliminated: dict[int, Any] = {}
    if levels is not None:
        # The known part enters with its own scale.
        every = [found[key] if key != KNOWN else columns[KNOWN].scale for key in order]
        value, eliminated = _with_levels(model, settings, levels, value, every)
    solution = []
    for index in range(len(problem.linear) if with_coefficients else 0):
        if index in eliminated:
            solution.append(eliminated[index])
            continue
        first = problem.owners.index(index)
        parts = [found[first + level] for level in range(problem.widths[index])]
        shape = np.broadcast_shapes(*(np.shape(part) for part in parts))
        solution.append(xp.stack([xp.broadcast_to(part, shape) for part in parts], axis=-1))
    sizes = {
        axis: size
        for column in columns.values()
        for axis, size in zip(column.seen, column.rows.shape, strict=False)
    }
    return xp.broadcast_to(value, [sizes.get(axis, 1) for axis in range(dimensions)]), solution


State = str  # "free", "lower" or "upper"


def _states(problem: Problem, index: int) -> list[State]:
    if index == KNOWN:
        return ["known"]
    lower, upper = problem.limits[problem.owners[index]]
    return ["free"] + ["lower"] * (lower != "none") + ["upper"] * (upper != "none")


def _best_active_set(
    model: Model,
    data: Data,
    settings: Settings,
    order: list[int],
    system: _System,
    with_coefficients: bool,
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds: the best feasible solution over all active sets.

    The bounded optimum is the free optimum on the set of coefficients off their bounds, and every
    other feasible candidate is a point of the same box, so the smallest feasible value is exact.

    Returns:
        Value relative to the squared loss, and the scaled coefficients by their index.
    """
    problem, xp = model.problem, model.library
    constant = _centred(problem)
    choices = [_states(problem, index) for index in order]
    constants: list[State] = [] if constant is None else _states(problem, constant)
    if prod(len(states) for states in [*choices, constants or [""]]) > MOST_ACTIVE_SETS:
        return _point_of_the_box(model, data, settings, order, system)
    best: Any = np.inf
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
        for states in itertools.product(*choices):
            held = {
                i: system.scales[i]
                if state == "known"
                else bound(order[i], state, system.scales[i])
                for i, state in enumerate(states)
                if state != "free"
            }
            free = [i for i, state in enumerate(states) if state == "free"]
            value, found, ok = _solve_free(gram, right, square, free, held, xp)
            coefficients = {order[i]: found[i] for i in found if order[i] != KNOWN}
            for i in free:
                ok = ok & inside(order[i], found[i], system.scales[i])
            if constant is not None:
                terms = [found[i] * system.means[i] for i in found if not _is_zero(found[i])]
                explained = sum(terms, start=np.zeros(()))
                level = system.mean - explained if pinned is None else pinned
                coefficients[constant] = level
                if pinned is None:
                    ok = ok & inside(constant, level, 1.0 / data.unit)
            tried.append((value, coefficients, ok))
    # Sets that depend on one axis are compared on that axis, before those that fill the grid.
    for value, coefficients, ok in sorted(tried, key=lambda item: _joint_size(item[0], item[2])):
        if xp is np and not with_coefficients:
            # Much faster than choosing, on a whole grid; what is not a number is never less.
            best = xp.fmin(best, value + REJECTED * xp.logical_not(ok))
            continue
        better = ok & (value < best)
        best = xp.where(better, value, best)
        if with_coefficients:
            solution = {
                i: xp.where(better, found, solution.get(i, 0.0))
                for i, found in coefficients.items()
            }
    return best, solution


def _joint_size(*arrays: Any) -> int:
    return prod(np.broadcast_shapes(*(np.shape(item) for item in arrays)))


def _bound(problem: Problem, settings: Settings, index: int, state: State, scale: Any) -> Any:
    """Bound of a scaled coefficient."""
    side = 0 if state == "lower" else 1
    if problem.limits[problem.owners[index]][side] == "zero":
        return 0.0
    return (settings.lower, settings.upper)[side][index] * scale


def _point_of_the_box(
    model: Model, data: Data, settings: Settings, order: list[int], system: _System
) -> tuple[Any, dict[int, Any]]:
    """Least squares under bounds, nearly: a point of the box, and its value.

    Dense, where the enumeration is unrolled: this is for many coefficients.
    """
    problem, xp = model.problem, model.library
    gram, right = _dense(system.gram, 2, xp), _dense(system.right, 1, xp)
    means, scales = _dense(system.means, 1, xp), _dense(system.scales, 1, xp)
    square, every = system.square, list(order)
    constant = _centred(problem)
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
        free = [index != KNOWN and side not in _states(problem, index) for index in every]
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
    gram: list[list[Any]],
    right: list[Any],
    square: Any,
    free: list[int],
    held: dict[int, Any],
    xp: Any,
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
    factor = factorise([[gram[i][j] for j in free] for i in free], library=xp)
    solved = solve(factor, rest)
    for entry, coefficient in zip(rest, solved, strict=True):
        value = value - entry * coefficient
    return value, {**held, **dict(zip(free, solved, strict=True))}, factor.ok


def _is_zero(value: Any) -> bool:
    return isinstance(value, float) and value == 0.0
