"""Algebra of k x k systems with k of about two to ten, in elementwise operations only.

Over a grid, matrices are nested lists of arrays that broadcast against each other: entry (i, j) of
a Gram matrix has the shape of the sub-grid it depends on, and a subset of the system that depends
on one axis is solved on that axis alone (:func:`factorise`, :func:`solve`). For a batch of dense
matrices :func:`solve_dense` works on whole rows, which makes a far smaller program.

Nothing here calls LAPACK: several batched calls in one compiled program can deadlock on few cores
(docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["Factor", "factorise", "solve", "solve_dense"]

Matrix = Sequence[Sequence[Any]]

# A pivot that shrinks below this share of its diagonal has lost 12 of 16 digits: the columns are
# collinear as far as float64 can tell, and the subset without one of them fits as well.
PIVOT_TOLERANCE = 1e-12


# Elimination is unrolled up to this size, where it runs faster; above, a loop compiles faster.
UNROLLED = 10


class Factor(NamedTuple):
    """A = L D L^T.

    Attributes:
        lower: unit lower-triangular L; the entries below its diagonal.
        inverse: 1 / D.
        ok: where A is safely positive definite.
    """

    lower: list[list[Any]]
    inverse: list[Any]
    ok: jax.Array


def factorise(matrix: Matrix, tolerance: float = PIVOT_TOLERANCE) -> Factor:
    """LDL^T factor of a small symmetric matrix, elementwise over broadcast entries.

    Without square roots and with one division for each pivot: over a grid, divisions are what
    costs.

    Args:
        matrix: k rows of k arrays; only the lower triangle is read.
        tolerance: smallest pivot accepted, relative to its diagonal entry.

    Returns:
        Factor; where ``ok`` is false its entries are finite and meaningless.
    """
    size = len(matrix)
    lower: list[list[Any]] = [[None] * size for _ in range(size)]
    scaled: list[list[Any]] = [[None] * size for _ in range(size)]  # L D
    inverse: list[Any] = []
    ok = jnp.asarray(True)
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j]
            for k in range(j):
                rest = rest - scaled[i][k] * lower[j][k]
            if i == j:
                good = rest > tolerance * jnp.abs(matrix[i][i])
                ok = ok & good
                # A rejected pivot is replaced so that no NaN reaches the accepted entries' batch.
                inverse.append(1.0 / jnp.where(good, rest, 1.0))
            else:
                scaled[i][j] = rest
                lower[i][j] = rest * inverse[j]
    return Factor(lower, inverse, ok)


def solve(factor: Factor, right: Sequence[Any]) -> list[Any]:
    """Solution x of A x = right, by forward and backward substitution."""
    lower = factor.lower
    size = len(right)
    forward: list[Any] = []
    for i in range(size):
        rest = right[i]
        for k in range(i):
            rest = rest - lower[i][k] * forward[k]
        forward.append(rest)
    solution: list[Any] = [None] * size
    for i in reversed(range(size)):
        rest = forward[i] * factor.inverse[i]
        for k in range(i + 1, size):
            rest = rest - lower[k][i] * solution[k]
        solution[i] = rest
    return solution


def solve_dense(
    matrix: jax.Array, right: jax.Array, tolerance: float = PIVOT_TOLERANCE
) -> tuple[jax.Array, jax.Array]:
    """Solution of A x = right for symmetric positive definite A, by Gauss-Jordan elimination.

    Without pivoting, which such matrices do not need.

    Args:
        matrix: shape (..., k, k).
        right: shape (..., k).
        tolerance: smallest pivot accepted, relative to its diagonal entry.

    Returns:
        x, shape (..., k), zero where A is not safely positive definite; and where it is, (...).
    """
    size = right.shape[-1]
    diagonal = jnp.diagonal(matrix, axis1=-2, axis2=-1)
    work = jnp.concatenate([matrix, right[..., None]], axis=-1)
    rows = jnp.arange(size)

    def eliminate(j: Any, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        work, ok = state
        pivot = work[..., j, j]
        good = pivot > tolerance * jnp.abs(diagonal[..., j])
        row = work[..., j, :] / jnp.where(good, pivot, 1.0)[..., None]
        # Every other row loses its entry in column j; row j becomes the scaled one.
        column = work[..., :, j] - (rows == j)
        return work - column[..., :, None] * row[..., None, :], ok & good

    state = work, jnp.ones(right.shape[:-1], dtype=bool)
    if size <= UNROLLED:
        for j in range(size):
            state = eliminate(j, state)
    else:
        state = lax.fori_loop(0, size, eliminate, state)
    work, ok = state
    return jnp.where(ok[..., None], work[..., -1], 0.0), ok
