"""Symmetric matrices of many levels, solved in time and memory that grow with their number.

Coefficients that differ by the levels of one division of the rows have no row in common. The
matrix of all parameters is an arrow: a block for each level, of its few coefficients, and a border
of the parameters that all rows share,

    | D_1           C_1 |
    |      D_2      C_2 |
    |          ...      |
    | C_1' C_2'  .   K  |

Levels are eliminated first, each by itself, which leaves the Schur complement K - sum of C' D^-1 C
in the shared ones. Coefficients of another division have rows of several levels and stay in the
border, whose matrix K is dense.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.basis_columns import inner_division
from scalefit.fitting.linear_solve import Factor, combined, factorise, product, solve, solve_dense
from scalefit.problem.problem import Problem

__all__ = [
    "MOST_DENSE",
    "Arrangement",
    "Arrow",
    "arrangement",
    "definite",
    "solve_levels",
]

# Coefficients up to which dense matrices and columns of every level cost less.
MOST_DENSE = 16

# Halvings of the range in which an extreme eigenvalue lies: to rounding.
HALVINGS = 100


class Arrow(NamedTuple):
    """Matrices of this form; leading axes are those of a batch.

    Attributes:
        inner: among the coefficients of a level, shape (..., m, m, levels).
        cross: between the shared parameters and those, shape (..., t, m, levels).
        corner: among the shared parameters, shape (..., t, t).
    """

    inner: Any
    cross: Any
    corner: Any

    @property
    def diagonal(self) -> tuple[Any, Any]:
        """Of the levels, (..., m, levels), and of the shared parameters, (..., t)."""
        m, t = np.arange(self.inner.shape[-2]), np.arange(self.corner.shape[-1])
        return self.inner[..., m, m, :], self.corner[..., t, t]

    def scaled(self, inner: Any, outer: Any) -> Arrow:
        """Rows and columns multiplied by numbers, shapes (..., m, levels) and (..., t)."""
        return Arrow(
            self.inner * inner[..., :, None, :] * inner[..., None, :, :],
            self.cross * outer[..., :, None, None] * inner[..., None, :, :],
            self.corner * outer[..., :, None] * outer[..., None, :],
        )

    def plus(self, inner: Any, outer: Any) -> Arrow:
        """With numbers added to the diagonal, shapes (..., m, levels) and (..., t)."""
        m, t = self.inner.shape[-2], self.corner.shape[-1]
        return Arrow(
            self.inner + np.eye(m)[:, :, None] * inner[..., None, :, :],
            self.cross,
            self.corner + np.eye(t) * outer[..., None, :],
        )

    def without(self, inner: Any, outer: Any, library: Any = np) -> Arrow:
        """With rows and columns of the identity where parameters are left out."""
        xp = library
        m, t = self.inner.shape[-2], self.corner.shape[-1]
        within = inner[..., :, None, :] | inner[..., None, :, :]
        across = outer[..., :, None, None] | inner[..., None, :, :]
        among = outer[..., :, None] | outer[..., None, :]
        return Arrow(
            xp.where(within, np.eye(m)[:, :, None], self.inner),
            xp.where(across, 0.0, self.cross),
            xp.where(among, np.eye(t), self.corner),
        )

    def times(self, inner: Any, outer: Any, library: Any = np) -> tuple[Any, Any]:
        """The product with a vector, (..., m, levels) and (..., t)."""
        xp, m = library, self.inner.shape[-2]
        flat = _flat(self.cross)
        rows = [(self.inner[..., i, :, :] * inner).sum(axis=-2) for i in range(m)]
        of_inner = xp.stack(rows, axis=-2) + combined(outer, flat, xp).reshape(inner.shape)
        of_outer = (flat @ _flat(inner)[..., None])[..., 0]
        return of_inner, of_outer + (self.corner @ outer[..., None])[..., 0]

    def solve(self, inner: Any, outer: Any, library: Any = np) -> tuple[Any, Any, Any]:
        """The solution for a right-hand side, by block elimination; see ``solve_dense``.

        Args:
            inner: of the levels, (..., m, levels).
            outer: of the shared parameters, (..., t).
            library: ``numpy`` or ``jax.numpy``.

        Returns:
            The two parts, zero where the matrix is not safely positive definite; where it is.
        """
        xp, t = library, self.corner.shape[-1]
        # D^-1 [C^T, right], by elimination in each level at once.
        factor = _factor(self.inner, xp, True)
        every = xp.concatenate([self.cross, inner[..., None, :, :]], axis=-3)
        solved = solve(factor, [every[..., i, :] for i in range(every.shape[-2])])
        flat = _flat(xp.stack(solved, axis=-2))
        # C D^-1 C^T and C D^-1 right, which the Schur complement and its right-hand side lose.
        lost = product(_flat(self.cross), flat, xp)
        size = self.diagonal[1]
        found, ok = solve_dense(
            self.corner - lost[..., :t], outer - lost[..., t], library=xp, diagonal=size
        )
        ok = ok & xp.all(factor.ok, axis=(-2, -1))
        # Back substitution: D^-1 (right - C^T shared).
        first = flat[..., t, :] - combined(found, flat[..., :t, :], xp)
        first = first.reshape(inner.shape)
        return xp.where(ok[..., None, None], first, 0.0), xp.where(ok[..., None], found, 0.0), ok

    def shared(self) -> Any:
        """Schur complement in the shared parameters, (..., t, t), of semidefinite matrices."""
        blocks = np.moveaxis(self.inner, -1, -3)
        cross = np.moveaxis(self.cross, -1, -3)
        solved = np.linalg.pinv(blocks, hermitian=True) @ np.swapaxes(cross, -1, -2)
        return self.corner - (cross @ solved).sum(axis=-3)

    def extremes(self) -> tuple[float, float]:
        """The least and the largest eigenvalue of one matrix.

        With the blocks diagonal the eigenvalues outside of theirs are where the Schur complement
        K - x - C' (D - x)^-1 C has a zero eigenvalue. Beyond the eigenvalues of the blocks its own
        fall as x rises (their derivative is -1 - |(D - x)^-1 C v|^2), so that bisection finds it.
        """
        values, vectors = np.linalg.eigh(np.moveaxis(self.inner, -1, 0))
        cross = np.swapaxes(vectors, -1, -2) @ np.moveaxis(self.cross, -1, 0).swapaxes(-1, -2)
        values, cross = values.reshape(-1), cross.reshape(values.size, cross.shape[-1])
        eye = np.eye(len(self.corner))
        size = max(np.abs(values).max(initial=0.0), np.abs(self.corner).sum(axis=1).max(initial=0))
        reach = size + np.abs(cross).sum() + 1.0

        def least(x: float, sign: float) -> float:
            away = sign * (values - x)
            rest = sign * (self.corner - x * eye) - cross.T @ (cross / away[:, None])
            return float(np.linalg.eigvalsh(rest)[0]) if len(eye) else 1.0

        found = []
        for sign, edge in ((1.0, values.min()), (-1.0, values.max())):
            inside, outside = edge - sign * reach, edge
            for _ in range(HALVINGS):
                middle = 0.5 * (inside + outside)
                if middle in (inside, outside):
                    break
                positive = least(middle, sign) > 0
                inside, outside = (middle, outside) if positive else (inside, middle)
            found.append(inside)
        return found[0], found[1]


def definite(blocks: Any, library: Any = np) -> Any:
    """Which levels' blocks, (..., m, m, levels), are safely positive definite, (..., levels)."""
    return _factor(blocks, library).ok


def solve_levels(blocks: Any, right: Any, held: Any, library: Any = np) -> Any:
    """The solution in each level by itself, zero where some coefficients are held.

    Args:
        blocks: positive definite, shape (..., m, m, levels).
        right: shape (..., m, levels).
        held: coefficients that stay, (..., m, levels).
        library: ``numpy`` or ``jax.numpy``.
    """
    xp, m = library, right.shape[-2]
    within = held[..., :, None, :] | held[..., None, :, :]
    blocks = xp.where(within, np.eye(m)[:, :, None], blocks)
    right = xp.where(held, 0.0, right)
    found = solve(_factor(blocks, xp), [right[..., i, :] for i in range(m)])
    return xp.stack(found, axis=-2)


def _factor(blocks: Any, library: Any, several: bool = False) -> Factor:
    """Of levels' blocks, (..., m, m, levels), with an axis for several right-hand sides."""
    size = range(blocks.shape[-2])
    blocks = blocks[..., None, :] if several else blocks
    lead = (slice(None),) * (blocks.ndim - 3 - several)
    return factorise([[blocks[(*lead, i, j)] for j in size] for i in size], library=library)


def _flat(items: Any) -> Any:
    """The last two axes as one."""
    *lead, m, levels = items.shape
    return items.reshape(*lead, m * levels)


class Arrangement:
    """Where the parameters of a problem stand in an arrow.

    The shared ones are in the order: coefficients of no division, coordinates, coefficients of
    other divisions.

    Args:
        problem: the problem.
        coordinates: whether they are parameters; or the coefficients alone.

    Attributes:
        inner: for each linear parameter of the division that is eliminated, which it is, (m,).
        plain: linear parameters of no division.
        divided: linear parameters of other divisions.
        levels: places of the levels' coefficients among all parameters, (m, levels).
        others: places of the shared parameters, (t,).
        coordinates: places of the coordinates among the shared parameters.
        within: places of each linear parameter among the shared ones, by its number.
    """

    def __init__(self, problem: Problem, coordinates: bool = True) -> None:
        division = inner_division(problem)
        k, q = len(problem.owners), len(problem.nonlinear) if coordinates else 0
        ends = np.cumsum([0, *problem.widths])
        places = [np.arange(first, last) for first, last in pairwise(ends)]
        every = list(enumerate(problem.divisions))
        self.inner = [i for i, own in every if own is not None and own == division]
        self.plain = [i for i, own in every if own is None]
        self.divided = [i for i, own in every if own is not None and own != division]
        self.division = division
        self.levels = np.stack([places[i] for i in self.inner])
        shared = [*(places[i] for i in self.plain), k + np.arange(q)]
        self.others = np.concatenate([*shared, *(places[i] for i in self.divided)]).astype(int)
        self.coordinates = slice(len(self.plain), len(self.plain) + q)
        ends = np.cumsum(
            [self.coordinates.stop, *(problem.widths[i] for i in self.divided)]
        ).tolist()
        self.within = {i: slice(place, place + 1) for place, i in enumerate(self.plain)}
        self.within |= {
            i: slice(a, b) for i, (a, b) in zip(self.divided, pairwise(ends), strict=True)
        }
        self._back = np.argsort(np.concatenate([self.levels.ravel(), self.others]))
        m, count, t = *self.levels.shape, len(self.others)
        self._shapes = ((m, m, count), (t, m, count), (t, t))
        self.size = sum(int(np.prod(shape)) for shape in self._shapes)

    def split(self, vector: Any) -> tuple[Any, Any]:
        """Parameters, (..., p), as those of the levels, (..., m, levels), and the shared ones."""
        return vector[..., self.levels], vector[..., self.others]

    def joined(self, inner: Any, outer: Any, library: Any = np) -> Any:
        """Parameters, (..., p), from those of the levels and the shared ones."""
        return library.concatenate([_flat(inner), outer], axis=-1)[..., self._back]

    def packed(self, matrix: Arrow, library: Any = np) -> Any:
        """Matrices as one row of numbers each: inner, cross, corner."""
        lead = matrix.corner.shape[:-2]
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        rows = [item.reshape(*lead, size) for item, size in zip(matrix, sizes, strict=True)]
        return library.concatenate(rows, axis=-1)

    def unpacked(self, row: Any) -> Arrow:
        """Matrices from such rows."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = np.split(row, ends[:-1], axis=-1)
        lead = row.shape[:-1]
        return Arrow(
            *(part.reshape(*lead, *shape) for part, shape in zip(parts, self._shapes, strict=True))
        )

    def dense(self, matrix: Arrow) -> Any:
        """Whole matrices, (..., p, p)."""
        m, count = self.levels.shape
        p = m * count + len(self.others)
        lead = matrix.corner.shape[:-2]
        whole = np.zeros((*lead, p, p))
        for i in range(m):
            for j in range(m):
                whole[..., self.levels[i], self.levels[j]] = matrix.inner[..., i, j, :]
            whole[..., self.others[:, None], self.levels[i]] = matrix.cross[..., i, :]
            across = np.swapaxes(matrix.cross[..., i, :], -1, -2)
            whole[..., self.levels[i][:, None], self.others] = across
        whole[..., self.others[:, None], self.others] = matrix.corner
        return whole


def arrangement(problem: Problem) -> Arrangement | None:
    """How the parameters of a problem are arranged; None where its matrices are dense."""
    if inner_division(problem) is None or len(problem.owners) <= MOST_DENSE:
        return None
    return Arrangement(problem)
