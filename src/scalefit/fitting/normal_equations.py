"""Normal equations of the basis columns at every cell of a grid.

Coefficients that differ by the levels of a division of the rows do not depend on each other's rows:
they are eliminated first, all levels at once, which costs per cell what as many plain columns'
inner products cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from scalefit.fitting.basis_columns import (
    KNOWN,
    LEVELS,
    Column,
    Key,
    by_level,
    centred,
    inner_division,
    merged,
)
from scalefit.fitting.linear_solve import PIVOT_TOLERANCE, Factor, dot, factorise, product, solve
from scalefit.fitting.model import Model
from scalefit.problem.problem import Data, Settings

__all__ = [
    "Levels",
    "System",
    "level_equations",
    "normal_equations",
    "order_of",
    "sizes_of",
    "with_levels",
    "without_levels",
]


class System(NamedTuple):
    """Normal equations at every cell, in scaled columns; entries broadcast over the grid.

    The squared error of coefficients c is square - 2 right.c + c.gram.c. The free constant, if any,
    is eliminated by centring. The known part, if any, is the last column; its coefficient is its
    own scale.

    Attributes:
        gram: inner products of the columns.
        right: inner products of the columns with the loss.
        means: means of the columns before they were centred.
        scales: root mean squares of the columns over the unit of the loss.
        square: inner product of the (centred) loss with itself.
        mean: mean of the loss.
    """

    gram: list[list[Any]]
    right: list[Any]
    means: list[Any]
    scales: list[Any]
    square: Any
    mean: Any


def normal_equations(
    model: Model, data: Data, columns: dict[Key, Column], dimensions: int
) -> System:
    """Normal equations of the plain columns."""
    target = _target(model, data)
    every = [columns[key] for key in order_of(columns)]
    half = [
        [_inner_product(model, a, b, dimensions) for b in every[: i + 1]]
        for i, a in enumerate(every)
    ]
    return System(
        gram=[[half[max(i, j)][min(i, j)] for j in range(len(every))] for i in range(len(every))],
        right=[_inner_product(model, column, target, dimensions) for column in every],
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
    losses = data.response
    if centred(model.problem) is not None:
        losses = losses - mean[..., None]
    return Column(losses * xp.sqrt(data.metric), mean, 1.0, seen)


def order_of(columns: dict[Key, Column]) -> list[int]:
    """Keys as they stand in a system: free coefficients, then the known part."""
    plain = [key for key in columns if isinstance(key, int) and key != KNOWN]
    return sorted(plain) + [KNOWN] * (KNOWN in columns)


def _inner_product(
    model: Model,
    first: Column,
    second: Column,
    dimensions: int,
    by_levels: Callable[[Any], Any] | None = None,
) -> Any:
    """Inner products over rows at every cell, broadcastable over the whole grid.

    For columns of shape (*sub-grid, rows) the result has the joint sub-grid of both: axes that both
    depend on are a batch, and the others are the two sides of one matrix product,

        (shared..., own of the first..., rows) @ (shared..., own of the second..., rows)^T.

    For Chinchilla, N^-alpha and D^-beta share no axis: one product of two (cells, rows) matrices
    gives all their inner products.

    Args:
        model: the problem's terms on the table.
        first: a column.
        second: another.
        dimensions: axes of the grid.
        by_levels: where rows are sorted by level, (..., slots, rows of a slot): from sums of slots
            to those of levels, along the last axis. Slots are one more shared axis.
    """
    xp, levels = model.library, by_levels is not None
    shared = [axis for axis in first.axes if axis in second.axes]

    def matrix(column: Column) -> tuple[Any, list[int]]:
        """Rows as (shared axes, slots, all other axes as one, rows), and those other axes."""
        own = [axis for axis in column.axes if axis not in shared]
        order = [column.axes.index(axis) for axis in shared]
        order += [len(column.axes)] if levels else []
        order += [column.axes.index(axis) for axis in own]
        rows = column.rows
        if order != list(range(len(order))):
            rows = xp.transpose(rows, (*order, rows.ndim - 1))
        lead = len(shared) + levels
        return rows.reshape(*rows.shape[:lead], -1, rows.shape[-1]), own

    left, own_left = matrix(first)
    right, own_right = matrix(second)
    if left.shape[-2] == 1 and right.shape[-2] == 1:
        # Neither has an axis of its own: a sum over rows, without a matrix product of one by one.
        values = dot(left[..., 0, :], right[..., 0, :], xp)[..., None, None]
    else:
        values = product(left, right, xp)
    sizes = sizes_of([first, second])
    own = [sizes[axis] for axis in (*own_left, *own_right)]
    values = values.reshape((*values.shape[: len(shared) + levels], *own))
    # From (shared, level, own of the first, own of the second) to the grid's order, level last.
    level = ["level"] if levels else []
    names = [*shared, *level, *own_left, *own_right]
    order = [names.index(name) for name in [*sorted(sizes), *level]]
    if order != list(range(len(order))):
        values = xp.transpose(values, order)
    spread = [sizes.get(axis, 1) for axis in range(dimensions)]
    if by_levels is None:
        return values.reshape(spread)
    values = by_levels(values)
    return values.reshape([*spread, values.shape[-1]])


def sizes_of(columns: Iterable[Column]) -> dict[int, int]:
    """Cells along each axis that any of the columns depends on."""
    return {
        axis: size
        for column in columns
        for axis, size in zip(column.axes, column.rows.shape, strict=False)
    }


class Levels(NamedTuple):
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


def level_equations(
    model: Model, data: Data, columns: dict[Key, Column], dimensions: int
) -> Levels | None:
    """Normal equations of the coefficients of every level; None where none differ by level."""
    division = inner_division(model.problem)
    if division is None:
        return None
    indices = [key[1] for key in columns if isinstance(key, tuple)]
    blocks = [columns[LEVELS, index] for index in indices]
    by_levels = partial(merged, model, data, division)

    def sorted_rows(column: Column) -> Column:
        return column._replace(rows=by_level(data, column.rows, division))

    half = [
        [_inner_product(model, a, b, dimensions, by_levels) for b in blocks[: i + 1]]
        for i, a in enumerate(blocks)
    ]
    size = range(len(blocks))
    factor = factorise(half, library=model.library)
    plain = [sorted_rows(columns[key]) for key in order_of(columns)]
    cross = [
        [_inner_product(model, block, column, dimensions, by_levels) for block in blocks]
        for column in plain
    ]
    target = sorted_rows(_target(model, data))
    return Levels(
        indices,
        [[half[max(i, j)][min(i, j)] for j in size] for i in size],
        factor,
        cross,
        [solve(factor, items) for items in cross],
        [_inner_product(model, block, target, dimensions, by_levels) for block in blocks],
        [block.scale for block in blocks],
    )


def without_levels(model: Model, system: System, levels: Levels) -> System:
    """Normal equations of the plain columns with the coefficients of every level projected out.

    With p the plain columns, l those of levels, and y the loss this is the Schur complement:
    gram_pp - gram_pl gram_ll^-1 gram_lp, and right_p - gram_pl gram_ll^-1 right_l. The matrix
    gram_ll has one small block for each level, so that products are summed over levels.
    """

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


def with_levels(
    model: Model, settings: Settings, levels: Levels, value: Any, found: list[Any]
) -> tuple[Any, dict[int, Any]]:
    """Value and coefficients of every level, given those of the plain columns.

    A level's coefficient outside its bounds is put on them, the others staying where they are: the
    value is that of a point of the box, though not always the best one for that cell.
    """
    problem, xp = model.problem, model.library
    # What the plain columns leave of the loss, and the best coefficients for that.
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
    # From the minimum a move d costs d.gram.d.
    moved = [new - old for new, old in zip(inside, free, strict=True)]
    for i, first_moved in enumerate(moved):
        for j, second_moved in enumerate(moved):
            value = value + (first_moved * levels.gram[i][j] * second_moved).sum(axis=-1)
    # Where the columns of a level are collinear, the pivot that stands in for a lost one leaves the
    # later coefficient near zero: that is a point of the box as well.
    return value, dict(zip(levels.indices, inside, strict=True))
