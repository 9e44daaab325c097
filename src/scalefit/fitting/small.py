"""Algebra of k x k systems with k of about two to ten, unrolled into elementwise operations.

Matrices are nested lists of arrays that broadcast against each other: entry (i, j) of a Gram matrix
over a grid has the shape of the sub-grid it depends on, and a subset of the system that depends on
one axis is solved on that axis alone. Unrolled code also stays clear of batched LAPACK calls, of
which several in one compiled program can deadlock on few cores (docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Factor", "cholesky", "solve"]

Matrix = Sequence[Sequence[Any]]

# A pivot that shrinks below this share of its diagonal has lost 12 of 16 digits: the columns are
# collinear as far as float64 can tell, and the subset without one of them fits as well.
PIVOT_TOLERANCE = 1e-12


class Factor(NamedTuple):
    """Lower-triangular L with L L^T = A, and where A is safely positive definite."""

    lower: list[list[Any]]
    ok: jax.Array


def cholesky(matrix: Matrix, tolerance: float = PIVOT_TOLERANCE) -> Factor:
    """Cholesky factor of a small symmetric matrix, elementwise over broadcast entries.

    Args:
        matrix: k rows of k arrays; only the lower triangle is read.
        tolerance: smallest pivot accepted, relative to its diagonal entry.

    Returns:
        Factor; where ``ok`` is false its entries are finite and meaningless.
    """
    size = len(matrix)
    lower: list[list[Any]] = [[None] * size for _ in range(size)]
    ok = jnp.asarray(True)
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j]
            for k in range(j):
                rest = rest - lower[i][k] * lower[j][k]
            if i == j:
                good = rest > tolerance * jnp.abs(matrix[i][i])
                ok = ok & good
                # A rejected pivot is replaced so that no NaN reaches the accepted entries' batch.
                lower[i][i] = jnp.sqrt(jnp.where(good, rest, 1.0))
            else:
                lower[i][j] = rest / lower[j][j]
    return Factor(lower, ok)


def solve(factor: Factor, right: Sequence[Any]) -> list[Any]:
    """Solution x of A x = right, by forward and backward substitution."""
    lower = factor.lower
    size = len(right)
    forward: list[Any] = []
    for i in range(size):
        rest = right[i]
        for k in range(i):
            rest = rest - lower[i][k] * forward[k]
        forward.append(rest / lower[i][i])
    solution: list[Any] = [None] * size
    for i in reversed(range(size)):
        rest = forward[i]
        for k in range(i + 1, size):
            rest = rest - lower[k][i] * solution[k]
        solution[i] = rest / lower[i][i]
    return solution
