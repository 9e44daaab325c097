"""Algebra of k x k systems with k of about two to ten, and the products they are made of.

Over a grid, matrices are nested lists of arrays that broadcast against each other: entry (i, j) of
a Gram matrix has the shape of the sub-grid it depends on, and a subset of the system that depends
on one axis is solved on that axis alone (:func:`factorise`, :func:`solve`). For a batch of dense
matrices :func:`solve_dense` works on whole rows, which makes a far smaller program.

No compiled program calls LAPACK: several batched calls in one can deadlock on few cores
(docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["Factor", "combined", "dot", "factorise", "product", "solve", "solve_dense", "stacked"]

Matrix = Sequence[Sequence[Any]]

# A pivot that shrinks below this share of its diagonal has lost 12 of 16 digits: the columns are
# collinear as far as float64 can tell, and the subset without one of them fits as well.
PIVOT_TOLERANCE = 1e-12


# Stands in for the pivot of a column of zeros.
TINY = 1e-60

# Elimination is unrolled up to this size, where it runs faster; above, a loop compiles faster.
UNROLLED = 10


# OpenBLAS shares products of more multiplications than this, and longer inner products, among
# threads, which wait for each other longer than the work takes, and on a busy machine much longer.
# The batch has threads of its own. Larger products are put together from blocks of this side.
ONE_THREAD = 2**18
ONE_THREAD_ROWS = 2**13
SIDE = 32


def product(left: Any, right: Any, library: Any = np) -> Any:
    """Left right^T over the last two axes, in one thread on the host.

    Args:
        left: shape (..., m, rows).
        right: shape (..., n, rows).
        library: ``numpy`` or ``jax.numpy``.

    Returns:
        Shape (..., m, n).
    """
    m, n, rows = left.shape[-2], right.shape[-2], left.shape[-1]
    if library is not np or m * n * rows <= ONE_THREAD:
        return left @ library.swapaxes(right, -1, -2)
    side = (min(m, SIDE), min(n, SIDE))
    length = max(1, ONE_THREAD // (side[0] * side[1]))
    shape = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    found = np.zeros((*shape, m, n))
    for i in range(0, m, SIDE):
        for j in range(0, n, SIDE):
            part = found[..., i : i + SIDE, j : j + SIDE]
            for r in range(0, rows, length):
                first = left[..., i : i + SIDE, r : r + length]
                part += first @ np.swapaxes(right[..., j : j + SIDE, r : r + length], -1, -2)
    return found


def dot(left: Any, right: Any, library: Any = np) -> Any:
    """Inner products over the last axis, in one thread on the host."""
    if library is np and left.shape[-1] > ONE_THREAD_ROWS:
        return np.einsum("...r,...r->...", left, right)
    return library.vecdot(left, right)


def combined(weights: Any, rows: Any, library: Any = np) -> Any:
    """Sums of rows with weights, in one thread on the host.

    Args:
        weights: shape (..., k).
        rows: shape (..., k, rows).
        library: ``numpy`` or ``jax.numpy``.

    Returns:
        Shape (..., rows).
    """
    if library is np and rows.shape[-1] * rows.shape[-2] > ONE_THREAD_ROWS:
        return np.einsum("...k,...kr->...r", weights, rows)
    return (weights[..., None, :] @ rows)[..., 0, :]


def stacked(items: Sequence[Any], shape: tuple[int, ...], library: Any = np) -> Any:
    """Rows that broadcast to a shape (..., rows), one above the other, (..., n, rows)."""
    xp = library
    if xp is np or not items:
        stack = xp.empty((*shape[:-1], len(items), shape[-1]))
        for place, item in enumerate(items):
            stack[..., place, :] = item
        return stack
    return xp.stack([xp.broadcast_to(item, shape) for item in items], axis=-2)


class Factor(NamedTuple):
    """A = L D L^T.

    Attributes:
        lower: unit lower-triangular L; the entries below its diagonal.
        inverse: 1 / D.
        ok: where A is safely positive definite.
    """

    lower: list[list[Any]]
    inverse: list[Any]
    ok: Any


def factorise(matrix: Matrix, tolerance: float = PIVOT_TOLERANCE, library: Any = jnp) -> Factor:
    """LDL^T factor of a small symmetric matrix, elementwise over broadcast entries.

    Without square roots and with one division for each pivot: over a grid, divisions cost most.

    Args:
        matrix: k rows of k arrays; only the lower triangle is read.
        tolerance: smallest pivot accepted, relative to its diagonal entry.
        library: ``numpy`` or ``jax.numpy``, as the entries are.

    Returns:
        Factor; where ``ok`` is false its entries are finite and meaningless.
    """
    size = len(matrix)
    lower: list[list[Any]] = [[None] * size for _ in range(size)]
    scaled: list[list[Any]] = [[None] * size for _ in range(size)]  # L D
    inverse: list[Any] = []
    ok: Any = True
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j]
            for k in range(j):
                rest = rest - scaled[i][k] * lower[j][k]
            if i == j:
                least = tolerance * library.abs(matrix[i][i])
                ok = ok & (rest > least)
                # A rejected pivot is replaced by the least that is not, so that no NaN arises.
                inverse.append(1.0 / library.maximum(rest, library.maximum(least, TINY)))
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
    matrix: Any,
    right: Any,
    tolerance: float = PIVOT_TOLERANCE,
    library: Any = jnp,
    diagonal: Any = None,
) -> tuple[Any, Any]:
    """Solution of A x = right for symmetric positive definite A, by Gauss-Jordan elimination.

    Without pivoting, which such matrices do not need.

    Args:
        matrix: shape (..., k, k).
        right: shape (..., k).
        tolerance: smallest pivot accepted, relative to its diagonal entry.
        library: ``numpy`` or ``jax.numpy``.
        diagonal: diagonal entries that the tolerance refers to, shape (..., k), where A is the
            Schur complement of a larger matrix; its own by default.

    Returns:
        x, shape (..., k), zero where A is not safely positive definite; and where it is, (...).
    """
    xp = library
    size = right.shape[-1]
    own = xp.diagonal(matrix, axis1=-2, axis2=-1) if diagonal is None else diagonal
    least = tolerance * xp.abs(own)
    if xp is np:
        return _solved_on_host(matrix, right, least)
    work = xp.concatenate([matrix, right[..., None]], axis=-1)
    rows = xp.arange(size)

    def eliminate(j: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        work, ok = state
        pivot = work[..., j, j]
        good = pivot > least[..., j]
        row = work[..., j, :] / xp.where(good, pivot, 1.0)[..., None]
        column = work[..., :, j] - (rows == j)
        return work - column[..., :, None] * row[..., None, :], ok & good

    state = work, xp.ones(right.shape[:-1], dtype=bool)
    if size <= UNROLLED:
        for j in range(size):
            state = eliminate(j, state)
    else:
        state = lax.fori_loop(0, size, eliminate, state)
    work, ok = state
    return xp.where(ok[..., None], work[..., -1], 0.0), ok


def _solved_on_host(matrix: Any, right: Any, least: Any) -> tuple[Any, Any]:
    """Solutions by LAPACK, for a batch. Pivots of elimination are squares of those of Cholesky."""
    try:
        # Most often every matrix of a batch is positive definite.
        root = np.diagonal(np.linalg.cholesky(matrix), axis1=-2, axis2=-1)
        ok = (root * root > least).all(axis=-1)
    except np.linalg.LinAlgError:
        ok = _definite(matrix, least)
    if not ok.all():
        matrix = np.where(ok[..., None, None], matrix, np.eye(matrix.shape[-1]))
        right = np.where(ok[..., None], right, 0.0)
    return np.linalg.solve(matrix, right[..., None])[..., 0], ok


def _definite(matrix: Any, least: Any) -> Any:
    """Which matrices have pivots above the least, (...)."""
    work, size = np.array(matrix), matrix.shape[-1]
    ok = np.ones(work.shape[:-2], dtype=bool)
    for j in range(size):
        pivot = work[..., j, j]
        good = pivot > least[..., j]
        ok &= good
        column = work[..., j + 1 :, j] / np.where(good, pivot, 1.0)[..., None]
        work[..., j + 1 :, j + 1 :] -= column[..., :, None] * work[..., None, j, j + 1 :]
    return ok
