"""Columns of a law over intervals of their coordinate, rounded outward, as a proof needs them.

A column is first multiplied by a positive function of the parameter, which changes no cone: one
that has a logarithm by what takes away its mean slope and its largest row, another by a power of
two. Columns whose logarithm is a straight line in the parameter (powers, exponentials) are enclosed
by what is left of that slope, any other by interval arithmetic of its traced program.

A coefficient that differs by level has one column for each: its term in the rows of the level, and
exactly zero elsewhere. The term is enclosed once for all of them. Each level has a scaling of its
own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from scalefit.certification.interval_programs import Enclosure, enclose, known, variable
from scalefit.certification.intervals import Interval, point
from scalefit.problem.basis import term_of
from scalefit.problem.problem import Problem
from scalefit.runtime.settings import own_settings
from scalefit.tracing.primitives import LOCK, closed_form

__all__ = ["Columns", "Inputs", "Pieces", "enclose_column"]


class Inputs(NamedTuple):
    """The numbers that columns are computed from.

    Attributes:
        columns: the law's data columns where the weight is positive, each of shape (rows,).
        fixed: values of the fixed parameters, in the order of ``Problem.fixed``.
        rows: number of rows.
        levels: for each linear parameter of the problem, the rows of each level that has any, each
            (rows of the level,); none where it has one coefficient for all rows.
    """

    columns: tuple[np.ndarray, ...]
    fixed: tuple[float, ...]
    rows: int
    levels: tuple[tuple[np.ndarray, ...], ...] = ()

    def masks(self, index: int) -> np.ndarray:
        """Which rows each column of a linear parameter is not zero in, (columns, rows)."""
        levels = self.levels[index] if self.levels else ()
        if not levels:
            return np.ones((1, self.rows), dtype=bool)
        masks = np.zeros((len(levels), self.rows), dtype=bool)
        for mask, rows in zip(masks, levels, strict=True):
            mask[rows] = True
        return masks


@lru_cache(maxsize=256)
def _program(problem: Problem, index: int | None, rows: int) -> ClosedJaxpr:
    """The traced program of a column (the known part for None) in the parameters themselves."""
    law, structure = problem.law, problem.structure
    logs = problem.in_logarithm
    free, held = len(problem.nonlinear), len(problem.fixed)

    def column(*given: Any) -> list[Any]:
        values = dict(zip(problem.fixed, given[free : free + held], strict=True))
        for group, value in zip(problem.nonlinear, given, strict=False):
            values.update(dict.fromkeys(group, value))
        coordinates = [
            jnp.log(values[name]) if log else values[name]
            for name, log in zip(structure.nonlinear, logs, strict=True)
        ]

        def term(name: str | None) -> Any:
            return term_of(law, structure, name, logs)(*given[free + held :], *coordinates)

        if index is None:
            terms = [
                values[name] * term(name) for name in problem.fixed if name in structure.linear
            ]
            terms += [term(None)] if structure.remainder is not None else []
        else:
            terms = [term(name) for name in problem.linear[index]]
        return [jnp.broadcast_to(sum(terms[1:], terms[0]), (rows,))]

    with LOCK, own_settings():
        return closed_form(column, [()] * (free + held) + [(rows,)] * len(law.columns))


def enclose_column(
    problem: Problem,
    table: Inputs,
    index: int | None,
    axis: int | None = None,
    lower: Any = None,
    upper: Any = None,
) -> Enclosure:
    """A column over intervals (batch,) of one coordinate, or of none; the known part for None."""
    theta = [known(1.0) for _ in problem.nonlinear]
    if axis is not None:
        theta[axis] = variable(lower, upper)
    program = _program(problem, index, table.rows)
    (found,) = enclose(program, [*theta, *map(known, table.fixed), *map(known, table.columns)])
    return found


@dataclass(frozen=True)
class Pieces:
    """Columns over intervals of their coordinates, each scaled by a positive function.

    ``middle`` and ``radius`` have shape (pieces, 5, rows): the column at the lower end and at the
    upper end, its second derivative at the middle, and over the whole interval its second and third
    derivatives. ``least`` is its lower bound over the interval, (pieces, rows).
    """

    middle: np.ndarray
    radius: np.ndarray
    least: np.ndarray


class _LogLines(NamedTuple):
    """Columns whose logarithm is a straight line in the parameter: powers, exponentials.

    Attributes:
        which: their places among the columns.
        start: where the level is taken, (columns,).
        level: of the logarithm, (columns, rows).
        slope: of the logarithm.
        first: slope that is left after the scaling, its square and its cube.
        square: see ``first``.
        cube: see ``first``.
    """

    which: list[int]
    start: np.ndarray
    level: Interval
    slope: Interval
    first: Interval
    square: Interval
    cube: Interval


class Columns:
    """The columns that depend on a coordinate, those of one coordinate after those of another.

    Attributes:
        axis: the coordinate each of them depends on.
        masks: the rows where each of them is not zero, (columns, rows).
        grouped: whether any is zero in some rows because it is of one level.
        spans: places of the columns of each term.
        grouped_spans: of each term of several columns, one for each level.
    """

    def __init__(self, problem: Problem, table: Inputs, low: np.ndarray, high: np.ndarray) -> None:
        self.problem, self.table = problem, table
        dependent = [
            (axis, index)
            for axis in range(len(problem.nonlinear))
            for index, axes in enumerate(problem.axes_seen)
            if axes == (axis,)
        ]
        # Of terms, each of one or several columns.
        self.term_axis = [axis for axis, _ in dependent]
        self.index = [index for _, index in dependent]
        self.term_masks = [table.masks(index) for index in self.index]
        self.grouped = any(len(masks) > 1 for masks in self.term_masks)
        self.axis = [
            axis for axis, masks in zip(self.term_axis, self.term_masks, strict=True) for _ in masks
        ]
        ends = np.cumsum([0, *map(len, self.term_masks)]).tolist()
        self.spans = [list(range(a, b)) for a, b in pairwise(ends)]
        self.grouped_spans = [span for span in self.spans if len(span) > 1]
        self.masks = np.concatenate([np.ones((0, table.rows), dtype=bool), *self.term_masks])
        self.lines = self._log_lines(low, high)
        straight = self.lines.which if self.lines else []
        self.curved = [place for place in range(len(dependent)) if place not in straight]

    def __len__(self) -> int:
        return len(self.axis)

    def _enclose(self, place: int, lower: np.ndarray, upper: np.ndarray) -> Enclosure:
        return enclose_column(
            self.problem, self.table, self.index[place], self.term_axis[place], lower, upper
        )

    def _by_level(self, place: int, reduce: Any, values: np.ndarray) -> np.ndarray:
        """A reduction of (..., rows) over the rows of each level of a term: (..., rows or 1)."""
        masks = self.term_masks[place]
        if len(masks) == 1 or values.shape[-1] == 1:
            return np.asarray(reduce(values, axis=-1, keepdims=True))
        found = np.empty(values.shape)
        for mask in masks:
            found[..., mask] = reduce(values[..., mask], axis=-1, keepdims=True)
        return found

    def _log_lines(self, low: np.ndarray, high: np.ndarray) -> _LogLines | None:
        """The columns whose logarithms have no curvature."""
        which, levels, slopes, starts = [], [], [], []
        for place, axis in enumerate(self.term_axis):
            center = 0.5 * (low[axis] + high[axis])
            column = self._enclose(
                place, np.array([low[axis], center]), np.array([high[axis], center])
            )
            if column.log is None:
                continue
            level, slope, *curved = column.log.jet
            if level is None or slope is None or len(slope.lo) > 1 or any(curved):
                continue
            which.append(place)
            starts.append(center)
            levels.append(level.mapped(lambda x: np.broadcast_to(x[1], self.table.rows)))
            slopes.append(slope.mapped(lambda x: np.broadcast_to(x[0], self.table.rows)))
        if not which:
            return None
        level, slope = (
            Interval(np.stack([x.lo for x in parts]), np.stack([x.hi for x in parts]))
            for parts in (levels, slopes)
        )
        mean = [
            self._by_level(place, np.mean, row) for place, row in zip(which, slope.mid, strict=True)
        ]
        first = slope - point(np.stack(np.broadcast_arrays(*mean)))
        square = first.square()
        return _LogLines(which, np.array(starts), level, slope, first, square, first * square)

    def pieces(self, lower: list[np.ndarray], upper: list[np.ndarray]) -> Pieces:
        """Every column over intervals of its coordinate, given for each coordinate."""
        terms = self._pieces_of_terms(lower, upper)
        if not self.grouped:
            return terms
        # The columns of a term one after the other, each in the rows of its level.
        counts = [len(lower[axis]) for axis in self.term_axis]
        ends = np.cumsum([0, *counts])
        which = [
            np.arange(ends[place], ends[place + 1])
            for place, masks in enumerate(self.term_masks)
            for _ in masks
        ]
        mask = np.repeat(self.masks, [len(item) for item in which], axis=0)
        of = np.concatenate(which)

        def masked(item: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return np.where(mask, item[of], 0.0)

        return Pieces(
            masked(terms.middle, mask[:, None]),
            masked(terms.radius, mask[:, None]),
            masked(terms.least, mask),
        )

    def _pieces_of_terms(self, lower: list[np.ndarray], upper: list[np.ndarray]) -> Pieces:
        """Terms, each scaled by one positive function in the rows of each of its levels."""
        counts = [len(lower[axis]) for axis in self.term_axis]
        ends = np.cumsum([0, *counts])
        shape = int(ends[-1]), 5, self.table.rows
        found = Interval(np.empty(shape), np.empty(shape))
        least = np.empty((shape[0], shape[2]))
        if self.lines is not None:
            which = self.lines.which
            a, b = (
                np.concatenate([side[self.term_axis[place]] for place in which])
                for side in (lower, upper)
            )
            taken = np.repeat(np.arange(len(which)), [counts[place] for place in which])
            rows: Any = slice(None)
            if self.curved:
                rows = np.concatenate([np.arange(ends[j], ends[j + 1]) for j in which])
            self._affine(self.lines, taken, a, b, found, least, rows)
        for place in self.curved:
            axis = self.term_axis[place]
            a, b = lower[axis], upper[axis]
            value, pair, *derivatives = self._general(place, a, 0.5 * (a + b), b)
            mine = slice(ends[place], ends[place + 1])
            for at, item in enumerate((*pair, *derivatives)):
                found.lo[mine, at], found.hi[mine, at] = item.lo, item.hi
            least[mine] = value.lo
        return Pieces(*found.ball, least)

    def _affine(
        self,
        lines: _LogLines,
        taken: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        found: Interval,
        least: np.ndarray,
        rows: Any,
    ) -> None:
        """Fill in the columns whose logarithm is a straight line in the parameter."""

        def at(item: Interval) -> Interval:
            return item.mapped(lambda x: x[taken])

        # With l the logarithm less its mean slope and its largest row at the middle m, a straight
        # line of slope ``first``: the column is e^l, its k-th derivative first^k e^l.
        m = 0.5 * (lower + upper)
        center = point(m[:, None])
        above = at(lines.level) + at(lines.slope) * (center - point(lines.start[taken][:, None]))
        above = above - point(self._largest(lines, taken, above.mid))
        # The middle lies between the ends, rounded or not, so that both distances are positive.
        steps = [center - point(lower[:, None]), point(upper[:, None]) - center]
        first = at(lines.first)
        down, up = (
            first.of_positive(Interval(np.maximum(step.lo, 0.0), step.hi)) for step in steps
        )
        parts = [above - down, above + up, above]
        # At the lower end, the upper end and the middle.
        column = Interval(np.stack([x.lo for x in parts]), np.stack([x.hi for x in parts])).exp()
        # The logarithm is monotone in the parameter, so the ends enclose what lies between.
        value = Interval(
            np.minimum(column.lo[0], column.lo[1]), np.maximum(column.hi[0], column.hi[1])
        )
        two = at(lines.square).of_positive(
            Interval(np.stack([column.lo[2], value.lo]), np.stack([column.hi[2], value.hi]))
        )
        three = at(lines.cube).of_positive(value)
        for out, ends, second, third in (
            (found.lo, column.lo, two.lo, three.lo),
            (found.hi, column.hi, two.hi, three.hi),
        ):
            out[rows, :2] = ends[:2].transpose(1, 0, 2)
            out[rows, 2:4] = second.transpose(1, 0, 2)
            out[rows, 4] = third
        least[rows] = value.lo

    def _largest(self, lines: _LogLines, taken: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Largest of each row of values over the rows of each level."""
        if not self.grouped:
            return np.asarray(values.max(axis=-1, keepdims=True))
        found = np.empty(values.shape)
        for number, place in enumerate(lines.which):
            mine = taken == number
            found[mine] = self._by_level(place, np.max, values[mine])
        return found

    def _general(self, place: int, lower: np.ndarray, center: np.ndarray, upper: np.ndarray) -> Any:
        """Any column, from its enclosures over the interval and at three points of it."""
        count = len(lower)
        starts = np.concatenate([lower, upper, center, lower])
        ends = np.concatenate([lower, upper, center, upper])
        column = self._enclose(place, starts, ends)
        at_a, at_b, at_m, over = (slice(i * count, (i + 1) * count) for i in range(4))

        def part(item: Interval | None, where: slice) -> Interval:
            if item is None:
                return point(np.zeros((1, 1)))
            return item.mapped(lambda x: x if x.shape[0] == 1 else x[where])

        if column.log is None:
            jet = column.jet
            size = self._by_level(place, np.max, np.abs(part(jet[0], at_m).mid))
            # A power of two: scaling is exact.
            scale = point(np.exp2(-np.round(np.log2(np.where(size > 0, size, 1.0)))))
            value, two, three = (part(jet[i], over) * scale for i in (0, 2, 3))
            pair = [part(jet[0], where) * scale for where in (at_a, at_b)]
            return value, pair, part(jet[2], at_m) * scale, two, three
        # With l the logarithm less a straight line: f = e^l, f'' = f (l'^2 + l''),
        # f''' = f (l'^3 + 3 l' l'' + l''').
        logs = column.log.jet
        tilt = self._by_level(place, np.mean, part(logs[1], at_m).mid)
        tilted = point(np.broadcast_to(tilt, (count, tilt.shape[-1])))
        top = point(self._by_level(place, np.max, part(logs[0], at_m).mid))
        m = point(center[:, None])
        steps = [point(lower[:, None]) - m, point(upper[:, None]) - m]
        span = Interval(steps[0].lo, steps[1].hi)
        first, second, third = (part(logs[i], over) for i in (1, 2, 3))
        first = first - tilted
        above = part(logs[0], at_m) - top
        value = (above + first * span).exp()
        square = first.square()
        two = value * (square + second)
        three = value * (first * (square + second.scaled(3.0)) + third)
        curve = above.exp() * ((part(logs[1], at_m) - tilted).square() + part(logs[2], at_m))
        pair = [
            (part(logs[0], where) - top - tilted * step).exp()
            for where, step in zip((at_a, at_b), steps, strict=True)
        ]
        return value, pair, curve, two, three
