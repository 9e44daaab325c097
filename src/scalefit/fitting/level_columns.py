"""Columns of coefficients that differ by level, and their inner products, without zeros.

A grouped linear parameter has the one column phi of its term; its coefficient in a row is that of
the row's level. Inner products of the columns of two coefficients are sums over the rows that
belong to both levels:

- coefficients of one division: zero between different levels, sums of phi_i phi_j over each level;
- a coefficient of no division and one of a level: sums of their product over that level;
- coefficients of two divisions: sums over the rows of each pair of levels.

Together they are an arrow (arrow.py), in time that grows with the rows and with the levels, and not
with their product.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.arrow import Arrangement, Arrow
from scalefit.fitting.level_sums import AllRows
from scalefit.fitting.linear_solve import product, stacked
from scalefit.fitting.model import Model

__all__ = ["LevelColumns", "LevelScaledColumns"]


class LevelColumns:
    """Sums over levels of the columns of a problem's linear parameters.

    Attributes:
        arrangement: of all parameters.
        linear_arrangement: of the coefficients alone.
        sums: ``LevelSums`` of each linear parameter, or a like.
        inner: ``LevelSums`` of the division that is eliminated.
        own: place of each linear parameter's coefficients among all.

    Args:
        model: its terms.
        divisions: ``LevelSums`` or ``TracedLevelSums`` of each division of the rows.
    """

    def __init__(self, model: Model, divisions: Sequence[Any]) -> None:
        problem = model.problem
        self.model, self.library = model, model.library
        self.arrangement = Arrangement(problem)
        self.linear_arrangement = Arrangement(problem, coordinates=False)
        self.sums: list[Any] = [
            AllRows() if own is None else divisions[own] for own in problem.divisions
        ]
        self.inner = self.sums[self.arrangement.inner[0]]
        self._pairs: dict[tuple[int, int], Any] = {}
        ends = np.cumsum([0, *problem.widths]).tolist()
        self.own = [slice(a, b) for a, b in pairwise(ends)]

    def joined(self, parts: Sequence[Any], shape: tuple[int, ...]) -> Any:
        """Numbers of each linear parameter's coefficients, one after the other, (*shape, k)."""
        xp = self.library
        if not parts:
            return xp.zeros((*shape, 0))
        return xp.concatenate(
            [xp.broadcast_to(part, (*shape, part.shape[-1])) for part in parts], axis=-1
        )

    def summed(self, rows: Sequence[Any], count: int) -> Any:
        """Sums over the rows of each coefficient, of rows of each linear parameter, (count, k)."""
        sums = [each.sums(item) for each, item in zip(self.sums, rows, strict=True)]
        return self.joined(sums, (count,))

    def terms(self, columns: Sequence[Any], coefficients: Any) -> list[Any]:
        """Columns times coefficients, (..., rows) for each linear parameter."""
        return [
            each.spread(coefficients[..., own]) * column
            for each, own, column in zip(self.sums, self.own, columns, strict=True)
        ]

    def scales(self, metric: Any, columns: Sequence[Any]) -> list[Any]:
        """Root mean square of each coefficient's column, by linear parameter."""
        xp = self.library
        return [
            xp.sqrt(each.sums(metric * column * column))
            for each, column in zip(self.sums, columns, strict=True)
        ]

    def gram(self, how: Arrangement, columns: Sequence[Any], rows: Any, weight: Any) -> Arrow:
        """Weighted inner products of raw columns and of rows of the coordinates.

        Args:
            how: the arrangement, with as many coordinates.
            columns: of each linear parameter, each broadcastable to (starts, rows).
            rows: of each coordinate, (starts, coordinates, rows).
            weight: shape (..., starts, rows).
        """
        xp, sums = self.library, self.inner.sums
        plain = rows
        if how.plain:
            shape = (len(rows), self.model.rows)
            first = stacked([columns[i] for i in how.plain], shape, xp)
            plain = xp.concatenate([first, rows], axis=1) if rows.shape[1] else first
        heavy = [weight * columns[i] for i in how.inner]
        blocks = [
            [sums(item * columns[j]) for j in how.inner[: a + 1]] for a, item in enumerate(heavy)
        ]
        size = range(len(heavy))
        inner = [xp.stack([blocks[max(a, b)][min(a, b)] for b in size], axis=-2) for a in size]
        cross = [sums(item[..., None, :] * plain) for item in heavy]
        corner = product(weight[..., None, :] * plain, plain, xp)
        for number, i in enumerate(how.divided):
            corner = self._bordered(how, columns, (corner, plain), weight * columns[i], number)
            across = [self._between(i, how.inner[0], item * columns[i]) for item in heavy]
            cross = [xp.concatenate(both, axis=-2) for both in zip(cross, across, strict=True)]
        return Arrow(xp.stack(inner, axis=-3), xp.stack(cross, axis=-2), corner)

    def _bordered(
        self,
        how: Arrangement,
        columns: Sequence[Any],
        so_far: tuple[Any, Any],
        weighted: Any,
        number: int,
    ) -> Any:
        """The corner of an arrow with the coefficients of one more linear parameter.

        Args:
            how: the arrangement.
            columns: of each linear parameter.
            so_far: the corner, and the plain rows that its first entries belong to.
            weighted: weight times the column of the one more.
            number: its number among ``how.divided``.
        """
        xp, i = self.library, how.divided[number]
        corner, plain = so_far
        edges = [self.sums[i].sums(weighted[..., None, :] * plain)]
        edges += [self._between(j, i, weighted * columns[j]) for j in how.divided[:number]]
        own = self.sums[i].sums(weighted * columns[i])
        own = own[..., None] * np.eye(own.shape[-1])
        edge = xp.concatenate(edges, axis=-2)
        above = xp.concatenate([corner, edge], axis=-1)
        below = xp.concatenate([xp.swapaxes(edge, -1, -2), own], axis=-1)
        return xp.concatenate([above, below], axis=-2)

    def _between(self, first: int, second: int, rows: Any) -> Any:
        """Sums over the rows of each pair of levels of two linear parameters, (..., w, w)."""
        one, other = self.sums[first], self.sums[second]
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


class LevelGram(NamedTuple):
    """Inner products of the columns of all coefficients, as ``dense_objective.Gram``."""

    how: Arrangement
    matrix: Arrow

    def ridged(self, share: float) -> LevelGram:
        """See ``Gram``."""
        inner, outer = self.matrix.diagonal
        return self._replace(matrix=self.matrix.plus(share * inner, share * outer))

    def times(self, vector: Any) -> Any:
        """See ``Gram``."""
        return self.how.joined(*self.matrix.times(*self.how.split(vector)))

    def solved(self, right: Any, held: Any) -> Any:
        """See ``Gram``."""
        matrix = self.matrix if held is None else self.matrix.without(*self.how.split(held))
        return self.how.joined(*matrix.solve(*self.how.split(right))[:2])


class LevelScaledColumns(NamedTuple):
    """Columns of all coefficients at some points, as ``dense_objective.ScaledColumns``."""

    levels: LevelColumns
    columns: list[Any]
    size: Any
    known: Any

    def equations(self, metric: Any, target: Any) -> tuple[LevelGram, Any]:
        """See ``ScaledColumns``."""
        levels, count, pull = self.levels, len(self.size), metric * target
        how, shape = levels.linear_arrangement, (count, levels.model.rows)
        none, factor = np.zeros((count, 0, shape[1])), 1.0 / self.size
        matrix = levels.gram(how, self.columns, none, np.broadcast_to(metric, shape))
        right = levels.summed([pull * column for column in self.columns], count)
        return LevelGram(how, matrix.scaled(*how.split(factor))), right * factor

    def predicted(self, coefficients: Any) -> Any:
        """See ``ScaledColumns``."""
        return sum(self.levels.terms(self.columns, coefficients / self.size))
