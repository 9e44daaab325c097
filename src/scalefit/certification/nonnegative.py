"""Nonnegative least squares for many boxes at once, in plain floating point."""

from __future__ import annotations

import numpy as np

__all__ = ["nonnegative"]


def nonnegative(
    gram: np.ndarray, moment: np.ndarray, passive: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise c.G c / 2 - c.b over c >= 0, a batch at once, by block principal pivoting.

    Portugal, Judice and Vicente 1994, Math. Comp. 63. What is returned need not be exact.
    """
    batch, m, _ = gram.shape
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    gram = gram * scale[:, :, None] * scale[:, None, :]
    b = moment * scale
    small = -1e-14 * np.abs(b).max(axis=1, keepdims=True)
    identity = np.eye(m)
    # A trace on the diagonal of what is solved keeps singular ones solvable.
    solved = gram + 1e-14 * identity
    # A coefficient free in sign is always passive: no sign of it is wrong.
    passive = passive | free
    found = np.empty((batch, m))
    # Of the problems that are not solved yet: the fewest coefficients on the wrong side so far, and
    # how many tries without fewer are left.
    work, p = np.arange(batch), passive
    best, patience = np.full(batch, m + 1), np.full(batch, 3)
    for _ in range(4 * m + 10):
        # The passive coefficients by the normal equations, the others zero.
        system = np.where(p[:, :, None] & p[:, None, :], solved, identity)
        c = np.linalg.solve(system, (b * p)[:, :, None])
        wrong = np.where(p, c[:, :, 0] < 0, (gram @ c)[:, :, 0] - b < small) & ~free
        found[work], passive[work] = c[:, :, 0], p
        bad = np.count_nonzero(wrong, axis=1)
        left = bad > 0
        if not left.any():
            break
        if not left.all():
            work, p, wrong, bad = work[left], p[left], wrong[left], bad[left]
            best, patience = best[left], patience[left]
            gram, solved, b, small = gram[left], solved[left], b[left], small[left]
        # All on the wrong side change at once while that leaves fewer; after three tries without
        # success the last one alone, which cannot cycle.
        better = bad < best
        trying = ~better & (patience > 0)
        best = np.where(better, bad, best)
        patience = np.where(better, 3, patience - trying)
        alone = ~better & ~trying
        if alone.any():
            last = m - 1 - np.argmax(wrong[:, ::-1], axis=1)
            wrong &= ~alone[:, None] | (np.arange(m) == last[:, None])
        p = p ^ wrong
    return np.where(free, found, np.maximum(found, 0.0)) * scale, passive
