"""Which of all equal descriptions of latent skills is reported."""

from __future__ import annotations

import numpy as np

__all__ = ["identified"]

# Rounds of a rotation, and the change at which it has come to rest.
MOST_ROUNDS, AT_REST = 500, 1e-10


def identified(latent: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """The matrix that takes skills to those that are reported, as skills @ matrix, shape (d, d).

    Over the models they are uncorrelated with unit variance, and their loadings are rotated by
    varimax, so that a benchmark has few of them. The skill of the largest loadings is first, and
    loadings add up to a positive number.

    Args:
        latent: skills of the models, shape (models, d).
        loadings: of the benchmarks, shape (benchmarks, d).

    Source:
        Kaiser 1958, Psychometrika 23(3) (varimax).
    """
    centred = latent - latent.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(latent))
    # A skill that the penalty took away has no variance: it stays zero.
    size = np.sqrt(np.maximum(values, 1e-12 * max(values.max(), 1e-300)))
    whiten, back = vectors / size, vectors * size
    turned = _varimax(loadings @ back)
    rotated = loadings @ back @ turned
    order = np.argsort(-np.sum(rotated**2, axis=0), kind="stable")
    signs = np.where(rotated.sum(axis=0) < 0, -1.0, 1.0)
    return (whiten @ turned * signs)[:, order]


def _varimax(loadings: np.ndarray) -> np.ndarray:
    """The rotation that makes squares of loadings as unequal as they can be."""
    d = loadings.shape[1]
    found, last = np.eye(d), 0.0
    for _ in range(MOST_ROUNDS):
        turned = loadings @ found
        cubes = turned**3 - turned * np.mean(turned**2, axis=0)
        left, size, right = np.linalg.svd(loadings.T @ cubes)
        found = left @ right
        if size.sum() <= last * (1 + AT_REST):
            break
        last = size.sum()
    return found
