"""A problem's terms on the columns of one table, in the free coordinates.

Fixing and tying are applied here: the terms of tied linear parameters add, tied coordinates are one
coordinate, and fixed terms make up the known part. The law itself is traced once, whatever is fixed
or tied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np

from scalefit.problem.basis import Expansion, basis_of
from scalefit.problem.problem import Problem

__all__ = ["Cells", "Expanded", "Model", "Values"]


class Cells(NamedTuple):
    """A grid over the free coordinates.

    Attributes:
        axes: coordinates along each axis, (cells,); or, where they are scattered points of a block
            of coordinates, (cells, coordinates of the block).
        blocks: which coordinates each axis holds.
        scattered: whether axes hold blocks.
    """

    axes: Sequence[Any]
    blocks: tuple[tuple[int, ...], ...]
    scattered: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(axis) for axis in self.axes)

    def across(self, coordinates: Collection[int]) -> tuple[int, ...]:
        """Axes that hold the given coordinates."""
        return tuple(i for i, block in enumerate(self.blocks) if set(block) & set(coordinates))


class Values(NamedTuple):
    """Terms at some coordinates, each broadcastable to (..., rows).

    Attributes:
        columns: the column of each free linear parameter.
        known: the part without free coefficients, in the unit of the table; None where there is
            none.
    """

    columns: list[Any]
    known: Any


class Expanded(NamedTuple):
    """The same with first and second derivatives in the free coordinates."""

    columns: list[Expansion]
    known: Expansion | None


class _Part(NamedTuple):
    """A term of the law within a term of the problem, and the free coordinates it depends on.

    Attributes:
        term: place among the law's terms.
        factor: what it is multiplied by.
        first: pairs of a coordinate of the law and the free one it is.
        second: pairs of coordinates of the law, the free pair they are, and a factor: two where
            both are tied to one, as a mixed derivative then counts in both orders.
    """

    term: int
    factor: Any
    first: tuple[tuple[int, int], ...]
    second: tuple[tuple[tuple[int, int], tuple[int, int], float], ...]


class Model:
    """Values and derivatives of a problem's terms, for any number of points at once.

    Args:
        problem: the problem.
        columns: the law's data columns, each (rows,), raw units.
        fixed: values of the fixed parameters, in the order of ``Problem.fixed``.
        library: ``numpy``, or ``jax.numpy`` within a function that JAX traces.
    """

    def __init__(
        self, problem: Problem, columns: Sequence[Any], fixed: Sequence[Any], library: Any = np
    ) -> None:
        self.problem = problem
        self.library = library
        structure = problem.structure
        self._basis = basis_of(problem.law, structure, problem.in_logarithm)
        self.rows = int(np.shape(columns[0])[-1])
        # What depends on the columns alone is computed once; within a trace, before any loop.
        self._bound = {
            name: getattr(self._basis, name).bind(*columns, library=library)
            for name in ("values", "derivatives")
        }
        values = dict(zip(problem.fixed, fixed, strict=True))
        place = {name: axis for axis, group in enumerate(problem.nonlinear) for name in group}
        self._axes = [place.get(name) for name in structure.nonlinear]
        with np.errstate(divide="ignore"):
            self._inserted = [
                None if name in place else library.log(values[name]) if log else values[name]
                for name, log in zip(structure.nonlinear, problem.in_logarithm, strict=True)
            ]
        terms = {name: i for i, name in enumerate(structure.linear)}
        self._parts = [[self._part(terms[name], 1.0) for name in group] for group in problem.linear]
        self._known = [
            self._part(terms[name], value) for name, value in values.items() if name in terms
        ]
        if structure.remainder is not None:
            self._known.append(self._part(len(terms), 1.0))
        self._recipe = self._jet_recipe()

    def _part(self, term: int, factor: Any) -> _Part:
        placed = [(m, self._axes[m]) for m in self._basis.sees[term]]
        free = [(m, axis) for m, axis in placed if axis is not None]
        second = [
            ((m, n), (min(a, b), max(a, b)), 2.0 if m != n and a == b else 1.0)
            for (m, a), (n, b) in combinations_with_replacement(free, 2)
        ]
        return _Part(term, factor, tuple(free), tuple(second))

    def _run(self, what: str, coordinates: Sequence[Any]) -> list[Any]:
        return self._bound[what](
            *(
                given if axis is None else coordinates[axis]
                for axis, given in zip(self._axes, self._inserted, strict=True)
            )
        )

    def _each(self, coordinates: Any) -> list[Any]:
        return [coordinates[..., axis, None] for axis in range(len(self.problem.nonlinear))]

    def term_coordinates(self) -> tuple[list[tuple[int, ...]], tuple[int, ...] | None]:
        """Coordinates that each free term depends on, ascending, and those of the known part."""

        def of(parts: Sequence[_Part]) -> tuple[int, ...]:
            return tuple(sorted({axis for part in parts for _, axis in part.first}))

        return [of(parts) for parts in self._parts], of(self._known) if self._known else None

    def values(self, coordinates: Any) -> Values:
        """Every term at some coordinates.

        Args:
            coordinates: free nonlinear coordinates, shape (..., q).
        """
        return self._values(self._each(coordinates))

    def over_cells(self, cells: Cells, axes: Collection[int]) -> Values:
        """Terms over a grid of cells, each on the axes that it depends on, others of length one.

        Args:
            cells: the grid.
            axes: the axes of the terms that are wanted; the others stay at their first cell, where
                terms that depend on those are meaningless.
        """
        coordinates: list[Any] = [None] * len(self.problem.nonlinear)
        for position, (axis, block) in enumerate(zip(cells.axes, cells.blocks, strict=True)):
            shape = [1] * (len(cells.axes) + 1)
            shape[position] = -1 if position in axes else 1
            for place, coordinate in enumerate(block):
                values = axis[:, place] if cells.scattered else axis
                values = values if position in axes else values[:1]
                coordinates[coordinate] = self.library.reshape(values, shape)
        return self._values(coordinates)

    def _values(self, coordinates: Sequence[Any]) -> Values:
        found = self._run("values", coordinates)
        columns = [_sum(found[part.term] for part in parts) for parts in self._parts]
        if not self._known:
            return Values(columns, None)
        return Values(columns, _sum(_times(part.factor, found[part.term]) for part in self._known))

    def jet(self, coordinates: Any) -> list[tuple[int | None, list[Any]]]:
        """Columns, then first, then second derivatives, and those of the known part.

        Args:
            coordinates: free nonlinear coordinates, shape (starts, q).

        Returns:
            By linear parameter, None for the known part: columns; first derivatives, then those of
            the known part; second derivatives, likewise; the known part. Coordinates and pairs of
            them are in ascending order.
        """
        found = self._run("derivatives", self._each(coordinates))
        return [
            (
                index,
                [
                    found[sums[0][0]]
                    if len(sums) == 1 and _is_one(sums[0][1])
                    else _sum(_times(factor, found[place]) for place, factor in sums)
                    if sums
                    else 0.0
                    for sums in items
                ],
            )
            for index, items in self._recipe
        ]

    def _jet_recipe(self) -> list[tuple[int | None, list[list[tuple[int, Any]]]]]:
        """For each item of a jet, what it is a sum of: places in the program's output, factors."""
        first, place = [], 0
        for axes in self._basis.sees:
            first.append(place)
            place += 1 + len(axes) + len(axes) * (len(axes) + 1) // 2
        terms: list[tuple[int | None, list[_Part], tuple[int, ...]]] = [
            (index, parts, axes)
            for (index, parts), axes in zip(
                enumerate(self._parts), self.term_coordinates()[0], strict=True
            )
        ]
        known = [(None, self._known, self.term_coordinates()[1] or ())] if self._known else []

        def values(parts: list[_Part]) -> list[list[tuple[int, Any]]]:
            return [[(first[part.term], part.factor) for part in parts]]

        def first_derivatives(
            parts: list[_Part], axes: tuple[int, ...]
        ) -> list[list[tuple[int, Any]]]:
            sums: dict[int, list[tuple[int, Any]]] = {axis: [] for axis in axes}
            for part in parts:
                order = self._basis.sees[part.term]
                for own, axis in part.first:
                    sums[axis].append((first[part.term] + 1 + order.index(own), part.factor))
            return list(sums.values())

        def second_derivatives(
            parts: list[_Part], axes: tuple[int, ...]
        ) -> list[list[tuple[int, Any]]]:
            pairs = combinations_with_replacement(axes, 2)
            sums: dict[tuple[int, int], list[tuple[int, Any]]] = {pair: [] for pair in pairs}
            for part in parts:
                order = self._basis.sees[part.term]
                own = list(combinations_with_replacement(order, 2))
                start = first[part.term] + 1 + len(order)
                for pair, free, times in part.second:
                    factor = part.factor if times == 1.0 else times * part.factor
                    sums[free].append((start + own.index(pair), factor))
            return list(sums.values())

        return [
            *((index, values(parts)) for index, parts, _ in terms),
            *((index, first_derivatives(parts, axes)) for index, parts, axes in [*terms, *known]),
            *((index, second_derivatives(parts, axes)) for index, parts, axes in [*terms, *known]),
            *((None, values(parts)) for _, parts, _ in known),
        ]

    def expand(self, coordinates: Any) -> Expanded:
        """Every term with its derivatives, sorted out.

        Args:
            coordinates: free nonlinear coordinates, shape (..., q).
        """
        axes, known = self.term_coordinates()
        items = [item for _, mine in self.jet(coordinates) for item in mine]
        size = len(axes)
        every = [*axes, *([known] if known is not None else [])]
        rest = iter(items[size:])
        firsts = [{axis: next(rest) for axis in axes} for axes in every]
        seconds = [
            {pair: next(rest) for pair in combinations_with_replacement(axes, 2)} for axes in every
        ]
        columns = [Expansion(items[i], firsts[i], seconds[i]) for i in range(size)]
        if known is None:
            return Expanded(columns, None)
        return Expanded(columns, Expansion(items[-1], firsts[-1], seconds[-1]))


def _is_one(factor: Any) -> bool:
    return isinstance(factor, float) and factor == 1.0


def _times(factor: Any, value: Any) -> Any:
    return value if _is_one(factor) else factor * value


def _sum(items: Any) -> Any:
    total = None
    for item in items:
        total = item if total is None else total + item
    return total
