"""The iteration for coefficients of many levels: rows are summed by level, never laid out by it.

With few levels every coefficient has a column of its own, zero in the rows of other levels
(newton.py). Of many those columns are nearly all zeros: here a grouped linear parameter has the one
column of its term, its coefficient of each row is looked up, and inner products are sums over the
rows of each level. Matrices are arrows (arrow.py). Time and memory grow with the rows and with the
levels, and not with their product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from jax import lax

from scalefit.fitting.arrow import Arrangement, Arrow, definite, solve_levels
from scalefit.fitting.linear_solve import dot, product
from scalefit.fitting.model import Model
from scalefit.fitting.newton import LENGTHS, Batch, Columns, Local, Newton, Sizes
from scalefit.objective import Residual

__all__ = ["ByLevel", "Division"]


# A level bends this share of the parabola above it, or too little to be trusted far.
LEAST_BENT = 0.1


# Steps of each level by itself after each step of all, unless one gains less than this share of the
# objective; damping they begin with, and what is made of it by a step that does and one that does
# not lower the objective.
TURNS = 12
RELAXED = 1e-12
LEVEL_DAMPING = 0.1
LEVEL_SHRINK = 0.1
LEVEL_GROW = 8.0


class Division:
    """Rows of a table by levels: sums over each, and numbers of levels given to rows.

    Args:
        codes: level of each row, shape (rows,); negative where it is none.
        levels: number of levels.
    """

    def __init__(self, codes: np.ndarray, levels: int) -> None:
        self.codes, self.levels = np.maximum(codes, 0), levels
        rows = np.flatnonzero(codes >= 0)
        order = rows[np.argsort(codes[rows], kind="stable")]
        self._order = None if np.array_equal(order, np.arange(len(codes))) else order
        counts = np.bincount(codes[rows], minlength=levels)
        (self._some,) = np.nonzero(counts)
        self._starts = np.cumsum([0, *counts[self._some][:-1]])

    def sums(self, values: Any) -> Any:
        """Sums over the rows of each level, (..., rows) to (..., levels)."""
        if self._order is not None:
            values = np.take(values, self._order, axis=-1)
        found = np.add.reduceat(values, self._starts, axis=-1)
        if len(self._some) == self.levels:
            return found
        whole = np.zeros((*found.shape[:-1], self.levels))
        whole[..., self._some] = found
        return whole

    def spread(self, values: Any) -> Any:
        """What each row has of its level, (..., levels) to (..., rows)."""
        return np.take(values, self.codes, axis=-1)

    def with_each(self, other: Division) -> Division:
        """The division by pairs of a level and a level of another one."""
        return Division(self.codes * other.levels + other.codes, self.levels * other.levels)


class Traced:
    """The same within a function that JAX traces.

    Args:
        codes: level of each row, shape (rows,).
        places: rows of each slot, shape (slots, rows of a slot), filled up.
        present: 1 where a place is a row, as in ``places``.
        slots: level of each slot, ascending, (slots,).
        levels: number of levels.
        library: ``jax.numpy``.
    """

    def __init__(
        self, codes: Any, places: Any, present: Any, slots: Any, levels: int, library: Any
    ) -> None:
        self.codes, self.levels = library.maximum(codes, 0), levels
        self._places, self._present, self._slots = places, present, slots
        self._library = library

    def sums(self, values: Any) -> Any:
        """Sums over the rows of each level, (..., rows) to (..., levels)."""
        xp = self._library
        there = xp.where(self._present > 0, values[..., self._places], 0.0).sum(axis=-1)
        if len(self._slots) == self.levels:
            return there
        whole = xp.zeros((*there.shape[:-1], self.levels))
        return whole.at[..., self._slots].add(there, indices_are_sorted=True)

    def spread(self, values: Any) -> Any:
        """What each row has of its level, (..., levels) to (..., rows)."""
        return values[..., self.codes]


class Whole:
    """All rows as of one level."""

    levels = 1

    @staticmethod
    def sums(values: Any) -> Any:
        """Sum over all rows, (..., rows) to (..., 1)."""
        return values.sum(axis=-1)[..., None]

    @staticmethod
    def spread(values: Any) -> Any:
        """What every row has, (..., 1)."""
        return values


class _Rows(NamedTuple):
    """What derivatives of a prediction are made of, (starts, ...).

    Attributes:
        columns: raw column of each linear parameter.
        size: that of the column of each of its coefficients.
        slopes: derivative of the prediction in each coordinate, (starts, q, rows).
    """

    columns: list[Any]
    size: list[Any]
    slopes: Any


class _Apart(NamedTuple):
    """The objective of each level by itself, (starts, ...).

    Attributes:
        worth: shape (starts, levels).
        gradient: in the coefficients of a level, (starts, m, levels).
        bend: second derivative, (starts, m, m, levels).
        above: that of the parabola above, likewise.
    """

    worth: Any
    gradient: Any
    bend: Any
    above: Any


class ByLevel(Newton):
    """The iteration for one problem with many levels.

    Args:
        model: its terms.
        unit: the unit of the loss.
        divisions: the divisions of the rows, each a ``Division`` or a ``Traced`` one.
        residual: as for ``Newton``; so are the others.
        asymmetry: see there.
        voids: see there.
        lengths: see there.
    """

    def __init__(
        self,
        model: Model,
        unit: Any,
        divisions: Sequence[Any],
        *,
        residual: Residual,
        asymmetry: Any = 1.0,
        voids: bool = True,
        lengths: tuple[tuple[int, float], ...] = LENGTHS,
    ) -> None:
        self.arrangement = Arrangement(model.problem)
        self.alone = Arrangement(model.problem, coordinates=False)
        super().__init__(
            model,
            unit,
            divisions,
            residual=residual,
            asymmetry=asymmetry,
            voids=voids,
            lengths=lengths,
        )

    def _lay_out(self, indicators: Sequence[Any]) -> None:
        problem, how = self.problem, self.arrangement
        self._divisions: list[Any] = [
            Whole() if own is None else indicators[own] for own in problem.divisions
        ]
        self._inner = self._divisions[how.inner[0]]
        self._pairs: dict[tuple[int | None, int | None], Any] = {}
        ends = np.cumsum([0, *problem.widths]).tolist()
        self._own = [slice(a, b) for a, b in pairwise(ends)]
        self._moves = [bool(self.moving[own.start]) for own in self._own]

    # Columns

    def sums_of(self, rows: Sequence[Any], count: int) -> Any:
        """Sums over the rows of each coefficient, of rows of each linear parameter, (count, k)."""
        sums = [each.sums(item) for each, item in zip(self._divisions, rows, strict=True)]
        return self._joined(sums, (count,))

    def total(self, columns: Sequence[Any], coefficients: Any) -> Any:
        """Sum of columns times coefficients, (..., rows)."""
        return sum(
            each.spread(coefficients[..., own]) * column
            for each, own, column in zip(self._divisions, self._own, columns, strict=True)
        )

    def terms(self, coordinates: Any, coefficients: Any) -> list[Any]:
        """As ``Newton.terms``."""
        columns, known = self.model.values(coordinates)
        found = [
            np.broadcast_to(each.spread(coefficients[own]) * column, self.model.rows)
            for each, own, column in zip(self._divisions, self._own, columns, strict=True)
        ]
        rest = [] if known is None else [np.broadcast_to(known, self.model.rows)]
        return [*found, *rest]

    def at(self, coordinates: Any, metric: Any) -> Columns:
        """As ``Newton.at``."""
        columns, known = self.model.values(coordinates)
        size = self._joined(self._sizes_of(metric, columns), coordinates.shape[:1])
        size = np.where(size > 0, size, 1.0)
        return cast(Columns, _AtPoints(self, columns, size, known))

    @property
    def wide(self) -> int:
        """As ``Newton.wide``."""
        return len(self.problem.linear) + len(self.arrangement.others)

    def slopes_of(self, index: int, coordinates: Any, signed: Any, either: Any) -> tuple[Any, Any]:
        """As ``Newton.slopes_of``."""
        columns, _ = self.model.values(coordinates)
        column = np.broadcast_to(columns[index], (len(coordinates), self.model.rows))
        sums = self._divisions[index].sums
        return sums(column * signed + np.abs(column) * either), sums(column**2)

    def scale(self, metric: Any, coordinates: Any) -> Any:
        """As ``Newton.scale``."""
        columns, _ = self.model.values(coordinates)
        return self._joined(self._sizes_of(metric, columns), np.shape(coordinates)[:-1])

    def _sizes_of(self, metric: Any, columns: Sequence[Any]) -> list[Any]:
        xp = self.library
        return [
            xp.sqrt(each.sums(metric * column * column))
            for each, column in zip(self._divisions, columns, strict=True)
        ]

    def _joined(self, parts: Sequence[Any], shape: tuple[int, ...]) -> Any:
        """Numbers of each linear parameter's coefficients, one after the other, (*shape, k)."""
        xp = self.library
        if not parts:
            return xp.zeros((*shape, 0))
        return xp.concatenate(
            [xp.broadcast_to(part, (*shape, part.shape[-1])) for part in parts], axis=-1
        )

    def predict(self, batch: Batch, point: Any) -> Any:
        """As ``Newton.predict``."""
        columns, known = self.model.values(point[..., self.k :])
        sizes = self._sizes_of(batch.metric, columns)
        total = 0.0 if known is None else known / self.unit
        for index, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            part = self._part(batch, index, size, point)
            total = total + self._divisions[index].spread(part) * column
        shape = (*np.shape(point)[:-1], self.model.rows)
        return self.library.broadcast_to(total, shape)

    def _part(self, batch: Batch, index: int, size: Any, point: Any) -> Any:
        """Coefficients of a linear parameter in the unit of the loss."""
        own = self._own[index]
        return point[..., own] / (size if self._moves[index] else batch.held[..., own])

    def sizes_around(self, metric: Any, coordinates: Any) -> Sizes:
        """As ``Newton.sizes_around``."""
        xp, count, k, q = self.library, len(coordinates), self.k, self.q
        first, rest = xp.zeros((count, k, q)), xp.zeros((count, k, q, q))
        sizes = []
        for index, term in enumerate(self.model.expand(coordinates).columns):
            size, g, bends = self._around_term(index, term, metric)
            own = self._own[index]
            sizes.append(size)
            for axis, item in g.items():
                first[:, own, axis] = item
            for (a, b), item in bends.items():
                rest[:, own, a, b] = rest[:, own, b, a] = item
        return Sizes(self._joined(sizes, (count,)), first, rest)

    def _around_term(self, index: int, term: Any, metric: Any) -> tuple[Any, Any, Any]:
        """Size of a linear parameter's columns; g and rest, see ``Newton._around``."""
        sums, xp = self._divisions[index].sums, self.library
        weighted = metric * term.value
        square = sums(weighted * term.value)
        g = {axis: sums(weighted * item) / square for axis, item in term.first.items()}
        rest = {}
        for (a, b), item in term.second.items():
            both = sums(metric * term.first[a] * term.first[b] + weighted * item)
            rest[a, b] = 3.0 * g[a] * g[b] - both / square
        return xp.sqrt(square), g, rest

    # The objective

    def local(self, batch: Batch, point: Any) -> Local:
        """As ``Newton.local``."""
        xp, k, q = self.library, self.k, self.q
        shape = (len(point), self.model.rows)
        terms, known = self.model.expand(point[:, k:])
        predicted: Any = 0.0 if known is None else known.value / self.unit
        slopes: list[Any] = [0.0] * q
        corner: dict[tuple[int, int], Any] = {}
        if known is not None:
            for axis, item in known.first.items():
                slopes[axis] = item / self.unit
        around = []
        for index, term in enumerate(terms):
            size, g, rest = self._around_term(index, term, batch.metric)
            if not self._moves[index]:
                size = batch.held[:, self._own[index]]
                g, rest = dict.fromkeys(g, 0.0), dict.fromkeys(rest, 0.0)
            part = self._part(batch, index, size, point)
            around.append((size, g, rest, part))
            spread = self._divisions[index].spread
            each = spread(part)
            predicted = predicted + each * term.value
            for axis, item in term.first.items():
                slopes[axis] = slopes[axis] + each * item - spread(part * g[axis]) * term.value
        found = self.penalties(batch, xp.broadcast_to(predicted, shape))
        rows = _Rows(
            [term.value for term in terms],
            [item[0] for item in around],
            self._stacked(slopes, shape) if q else xp.zeros((len(point), 0, shape[1])),
        )
        both = self.products(rows, found.curvatures)
        pull = found.psi * found.first
        if known is not None:
            for pair, item in known.second.items():
                corner[pair] = dot(pull, xp.broadcast_to(item / self.unit, shape), xp)
        gradients, sides = [], {}
        for index, (term, (size, g, rest, part)) in enumerate(zip(terms, around, strict=True)):
            sums = self._divisions[index].sums
            of_column = sums(pull * term.value)
            gradients.append(of_column / size)
            of_first = {axis: sums(pull * item) for axis, item in term.first.items()}
            for axis, item in of_first.items():
                sides[index, axis] = (item - g[axis] * of_column) / size
            for (a, b), item in term.second.items():
                bent = sums(pull * item) + rest[a, b] * of_column
                bent = bent - g[b] * of_first[a] - g[a] * of_first[b]
                corner[a, b] = corner.get((a, b), 0.0) + (part * bent).sum(axis=-1)
        gradient = [self._joined(gradients, shape[:1]), dot(rows.slopes, pull[:, None], xp)]
        return Local(
            rows=found.rows,
            value=found.value,
            gradient=xp.concatenate(gradient, axis=-1),
            newton=self._curving(Arrow(*(leaf[0] for leaf in both)), sides, corner),
            gauss_newton=Arrow(*(leaf[1] for leaf in both)),
            stack=rows,
            mix=None,
            first=found.first,
            psi=found.psi,
        )

    def products(self, rows: _Rows, weight: Any) -> Arrow:
        """J^T W J in scaled coordinates, for weights of shape (..., starts, rows)."""
        xp, count = self.library, len(rows.slopes)
        factor = self._joined([1.0 / size for size in rows.size], (count,))
        factor = xp.concatenate([factor, xp.ones((count, self.q))], axis=-1)
        found = self.gram(self.arrangement, rows.columns, rows.slopes, weight)
        return found.scaled(*self.arrangement.split(factor))

    def gram(self, how: Arrangement, columns: Sequence[Any], slopes: Any, weight: Any) -> Arrow:
        """Weighted inner products of raw columns and of rows of the coordinates.

        Args:
            how: the arrangement, with as many coordinates.
            columns: of each linear parameter, each broadcastable to (starts, rows).
            slopes: of each coordinate, (starts, coordinates, rows).
            weight: shape (..., starts, rows).
        """
        xp, sums = self.library, self._inner.sums
        plain = slopes
        if how.plain:
            shape = (len(slopes), self.model.rows)
            first = self._stacked([columns[i] for i in how.plain], shape)
            plain = xp.concatenate([first, slopes], axis=1) if slopes.shape[1] else first
        heavy = [weight * columns[i] for i in how.inner]
        inner = [
            [sums(item * columns[j]) for j in how.inner[: a + 1]] for a, item in enumerate(heavy)
        ]
        size = range(len(heavy))
        inner = [xp.stack([inner[max(a, b)][min(a, b)] for b in size], axis=-2) for a in size]
        cross = [sums(item[..., None, :] * plain) for item in heavy]
        corner = product(weight[..., None, :] * plain, plain, xp)
        for number, i in enumerate(how.divided):
            mine, each = weight * columns[i], self._divisions[i].sums
            edges = [each(mine[..., None, :] * plain)]
            edges += [self._between(j, i, mine * columns[j]) for j in how.divided[:number]]
            own = each(mine * columns[i])
            own = own[..., None] * np.eye(own.shape[-1])
            edge = xp.concatenate(edges, axis=-2)
            above = xp.concatenate([corner, edge], axis=-1)
            below = xp.concatenate([xp.swapaxes(edge, -1, -2), own], axis=-1)
            corner = xp.concatenate([above, below], axis=-2)
            across = [self._between(i, how.inner[0], item * columns[i]) for item in heavy]
            cross = [xp.concatenate(both, axis=-2) for both in zip(cross, across, strict=True)]
        return Arrow(xp.stack(inner, axis=-3), xp.stack(cross, axis=-2), corner)

    def _between(self, first: int, second: int, rows: Any) -> Any:
        """Sums over the rows of each pair of levels of two linear parameters, (..., w, w)."""
        one, other = self._divisions[first], self._divisions[second]
        if one is other:
            found = one.sums(rows)
            return found[..., None] * np.eye(found.shape[-1])
        if self.library is not np:
            indicator = (one.codes == np.arange(one.levels)[:, None]) * 1.0
            return other.sums(rows[..., None, :] * indicator)
        key = (first, second)
        if key not in self._pairs:
            self._pairs[key] = one.with_each(other)
        found = self._pairs[key].sums(rows)
        return found.reshape(*found.shape[:-1], one.levels, other.levels)

    def _curving(self, matrix: Arrow, sides: Any, corner: Any) -> Arrow:
        """The matrix, with what rows bend in coefficients and coordinates, and in coordinates."""
        how, xp = self.arrangement, self.library
        cross, last = matrix.cross, matrix.corner
        at = how.coordinates.start
        for (index, axis), values in sides.items():
            if index in how.within:
                within = how.within[index]
                last = _plus(xp, last, (at + axis, within), values)
                last = _plus(xp, last, (within, at + axis), values)
            else:
                place = (at + axis, how.inner.index(index), slice(None))
                cross = _plus(xp, cross, place, values)
        for (a, b), values in corner.items():
            last = _plus(xp, last, (at + a, at + b), values)
            if a != b:
                last = _plus(xp, last, (at + b, at + a), values)
        return matrix._replace(cross=cross, corner=last)

    def along(self, here: Local, steps: Any, sizes: bool = False) -> Any:
        """Change of residuals with parameters, (starts, p) to (starts, rows); or, with ``sizes``,
        the sum of the sizes of what each parameter changes.
        """
        rows, q = here.stack, self.q
        of = np.abs if sizes else np.asarray
        total = (of(rows.slopes) * steps[:, self.k :, None]).sum(axis=1) if q else 0.0
        for index, (column, size) in enumerate(zip(rows.columns, rows.size, strict=True)):
            part = steps[:, self._own[index]] / size
            total = total + self._divisions[index].spread(part) * of(column)
        return total * of(here.first)

    def squares(self, here: Local) -> Any:
        """As ``Newton.squares``."""
        rows, first = here.stack, here.first
        square = first * first
        sizes = [
            each.sums(square * column * column) / size**2
            for each, column, size in zip(self._divisions, rows.columns, rows.size, strict=True)
        ]
        moved = rows.slopes * first[:, None]
        every = [self._joined(sizes, (len(first),)), dot(moved, moved, self.library)]
        return self.library.concatenate(every, axis=-1)

    def curvatures(self, matrix: Any) -> Any:
        """As ``Newton.curvatures``."""
        return self.arrangement.packed(matrix, self.library)

    def blank(self, count: int) -> np.ndarray:
        """As ``Newton.blank``."""
        return np.zeros((count, self.arrangement.size))

    def dense(self, matrix: Any) -> Any:
        """As ``Newton.dense``."""
        return self.arrangement.dense(matrix)

    def diagonal(self, matrix: Any) -> Any:
        """As ``Newton.diagonal``."""
        inner, outer = matrix.diagonal
        return self.arrangement.joined(inner, outer, self.library)

    def _solved(self, here: Local, active: Any, metric: Any, damping: Any) -> tuple[Any, Any]:
        xp, how = self.library, self.arrangement
        newton, above = here.newton, here.gauss_newton
        grown = [
            self._bent(newton, above).plus(*how.split(damping[:, 0, None] * metric)),
            above.plus(*how.split(damping[:, 1, None] * metric)),
            newton,
        ]
        matrices = Arrow(*map(xp.stack, zip(*grown, strict=True)))
        right = -here.gradient
        if xp is not np or active.any():
            matrices = matrices.without(*how.split(active), xp)
            right = xp.where(active, 0.0, right)
        inner, outer = how.split(xp.broadcast_to(right, (3, *right.shape)))
        inner, outer, ok = matrices.solve(inner, outer, xp)
        return how.joined(inner, outer, xp), ok

    def resolved(self, batch: Batch, points: Any) -> Any:
        """As ``Newton.resolved``."""
        xp, k, how = self.library, self.k, self.alone
        if points.ndim > 2:
            return xp.stack([self.resolved(batch, some) for some in points])
        shape = (len(points), self.model.rows)
        columns, known = self.model.values(points[:, k:])
        size = self._joined(self._sizes_of(batch.metric, columns), shape[:1])
        factor = 1.0 / self.kept(batch, size)
        known = None if known is None else known / self.unit
        predicted = self.total(columns, points[:, :k] * factor)
        predicted = predicted if known is None else predicted + known
        weight, target = self.weighed(batch, xp.broadcast_to(predicted, shape), known)
        gram = self.gram(how, columns, xp.zeros((len(points), 0, shape[1])), weight)
        pull = weight * target
        right = self.sums_of([pull * column for column in columns], len(points)) * factor
        inner, outer, ok = gram.scaled(*how.split(factor)).solve(*how.split(right), xp)
        return self.with_solved(batch, points, how.joined(inner, outer, xp), ok)

    def ready(self, ok: Any) -> Any:
        """As ``Newton.ready``."""
        # Where a level does not bend at all, a step promises little because it is short.
        return ok[2]

    def relaxed(self, batch: Batch, point: Any, which: Any) -> Any:
        """Points with the levels' coefficients moved on, level by level.

        Given what rows share, each level is a small problem by itself, with damping of its own: a
        level whose rows all lie beyond delta is sent to where they do not, and holds up no other.
        """
        xp, how = self.library, self.arrangement
        if xp is np and not which.any():
            return point
        place, outer = how.split(point)
        low, high = (how.split(end)[0] for end in (batch.lower, batch.upper))
        around = self._apart(batch, point)
        here = around(place)
        damping = xp.full(here.worth.shape, LEVEL_DAMPING)

        def turn(place: Any, here: _Apart, damping: Any) -> tuple[Any, _Apart, Any, Any]:
            bent = definite(here.bend, xp)
            bend = xp.where(bent[..., None, None, :], here.bend, 0.0)
            down = here.gradient <= 0
            held = ((place <= low) & ~down) | ((place >= high) & down) | (here.gradient == 0)
            matrix = bend + damping[:, None, None] * here.above
            step = solve_levels(matrix, -here.gradient, held, xp)
            moved = xp.minimum(xp.maximum(place + step, low), high)
            there = around(moved)
            lower = there.worth < here.worth

            def chosen(new: Any, old: Any) -> Any:
                return xp.where(xp.expand_dims(lower, tuple(range(1, new.ndim - 1))), new, old)

            gain = xp.where(lower, here.worth - there.worth, 0.0).sum(axis=-1)
            # On a straight piece of a level little is gained before its end.
            left = (gain > RELAXED * here.worth.sum(axis=-1)) | (
                ~bent & (lower | ~held.all(-2))
            ).any(-1)
            grown = damping * xp.where(lower, LEVEL_SHRINK, LEVEL_GROW)
            return chosen(moved, place), _Apart(*map(chosen, there, here)), grown, left

        if xp is np:
            for _ in range(TURNS):
                place, here, damping, left = turn(place, here, damping)
                if not (left & which).any():
                    break
        else:
            state = place, here, damping
            place = lax.fori_loop(0, TURNS, lambda _, now: turn(*now)[:3], state)[0]
        return xp.where(which[:, None], how.joined(place, outer, xp), point)

    def _apart(self, batch: Batch, point: Any) -> Callable[[Any], _Apart]:
        """The objective of each level around coefficients, the rest of a point staying."""
        xp, how = self.library, self.arrangement
        sums, spread = self._inner.sums, self._inner.spread
        columns, known = self.model.values(point[:, self.k :])
        sizes = self._sizes_of(batch.metric, columns)
        shared: Any = 0.0 if known is None else known / self.unit
        for i in (*how.plain, *how.divided):
            part = self._part(batch, i, sizes[i], point)
            shared = shared + self._divisions[i].spread(part) * columns[i]
        for i in how.inner:
            if not self._moves[i]:
                sizes[i] = batch.held[:, self._own[i]]
        mine = [columns[i] / spread(sizes[i]) for i in how.inner]
        shape = (len(point), self.model.rows)

        def around(place: Any) -> _Apart:
            total = shared
            for i, column in enumerate(mine):
                total = total + spread(place[:, i]) * column
            found = self.penalties(batch, xp.broadcast_to(total, shape))
            pull = found.psi * found.first
            worth = sums(found.each)
            bends = [
                [[sums(weight * a * b) for b in mine] for a in mine] for weight in found.curvatures
            ]
            return _Apart(
                xp.where(xp.isfinite(worth), worth, np.inf),
                xp.stack([sums(pull * column) for column in mine], axis=-2),
                *(xp.stack([xp.stack(row, axis=-2) for row in rows], axis=-3) for rows in bends),
            )

        return around

    def _bent(self, newton: Arrow, above: Arrow) -> Arrow:
        """Second derivatives, with those of the parabola above in levels that hardly bend.

        Of a few rows all may lie beyond delta, where a level does not bend at all. Among many
        levels some do not, and those would hold up all others.
        """
        enough = definite(newton.inner - LEAST_BENT * above.inner, self.library)[..., None, None, :]
        return newton._replace(inner=self.library.where(enough, newton.inner, above.inner))


class _Products(NamedTuple):
    """Inner products of the columns of all coefficients: ``newton.Gram`` of many levels."""

    how: Arrangement
    matrix: Arrow

    def ridged(self, share: float) -> _Products:
        inner, outer = self.matrix.diagonal
        return self._replace(matrix=self.matrix.plus(share * inner, share * outer))

    def times(self, vector: Any) -> Any:
        return self.how.joined(*self.matrix.times(*self.how.split(vector)))

    def solved(self, right: Any, held: Any) -> Any:
        matrix = self.matrix if held is None else self.matrix.without(*self.how.split(held))
        return self.how.joined(*matrix.solve(*self.how.split(right))[:2])


class _AtPoints(NamedTuple):
    """Columns of all coefficients at some points: ``newton.Columns`` of many levels."""

    newton: ByLevel
    columns: list[Any]
    size: Any
    known: Any

    def equations(self, metric: Any, target: Any) -> tuple[_Products, Any]:
        newton, count = self.newton, len(self.size)
        how, pull = newton.alone, metric * target
        shape = (count, newton.model.rows)
        none, factor = np.zeros((count, 0, shape[1])), 1.0 / self.size
        matrix = newton.gram(how, self.columns, none, np.broadcast_to(metric, shape))
        right = newton.sums_of([pull * column for column in self.columns], count)
        return _Products(how, matrix.scaled(*how.split(factor))), right * factor

    def predicted(self, coefficients: Any) -> Any:
        return self.newton.total(self.columns, coefficients / self.size)


def _plus(xp: Any, array: Any, place: tuple[Any, ...], values: Any) -> Any:
    """Numbers added at places of the last axes; on the host in place."""
    if xp is np:
        array[(..., *place)] += values
        return array
    return array.at[(..., *place)].add(values)
