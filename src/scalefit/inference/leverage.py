"""Residuals of runs, or clusters, as if each had been left out of the fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["LeftOut", "left_out"]

# A direction of the parameters is determined by one run or cluster alone where the others have less
# than this share of the information about it.
LEAST_LEFT = 1e-8


class LeftOut(NamedTuple):
    """Residuals of runs that were left out of the fit, to first order.

    Attributes:
        values: shape (rows,).
        alone: how many runs or clusters determine some combination of the parameters by themselves.
            The fit passes through them there, and their residuals hold no noise.
    """

    values: np.ndarray
    alone: int


def left_out(
    jacobian: np.ndarray, weight: np.ndarray, values: np.ndarray, codes: np.ndarray | None = None
) -> LeftOut:
    """Residuals of fits without each run or cluster, to first order: (I - H)^-1 r by cluster.

    A fit follows its own runs, and those of high leverage most: residuals are the noise times
    I - H, with H = W^1/2 J (J^T W J)^-1 J^T W^1/2. For a single run that is 1 - h.

    Args:
        jacobian: derivatives of the residuals in the free parameters, shape (rows, p).
        weight: positive, shape (rows,).
        values: residuals, or what an objective makes of them, shape (rows,).
        codes: number of each row's cluster, shape (rows,); each row its own by default.

    Source:
        Davidson and MacKinnon 1993, Estimation and Inference in Econometrics, section 16.3 (HC3).
        Bell and McCaffrey 2002, Survey Methodology 28(2) (clusters).
    """
    # An orthonormal basis Q of the columns of W^1/2 J, so that H = Q Q^T; columns are scaled first,
    # and directions lost to rounding left out.
    root = np.sqrt(weight)
    scaled = root[:, None] * jacobian
    scaled = scaled / np.sqrt(np.sum(scaled**2, axis=0))
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    basis = left[:, sizes > sizes[0] * np.finfo(float).eps * max(scaled.shape)]
    inner = root * values
    if codes is None:
        # Of one row H is h, the sum of squares of its row of Q.
        rest = 1 - np.sum(basis**2, axis=1)
        known = rest > LEAST_LEFT
        return LeftOut(values / np.where(known, rest, 1.0), int(np.count_nonzero(~known)))
    found, alone = inner.copy(), 0
    for code in np.unique(codes):
        rows = codes == code
        # Eigenvalues of I - Q^T Q, Q of these rows: the other clusters' share of the information in
        # each direction.
        own = basis[rows]
        rest, turned = np.linalg.eigh(np.eye(own.shape[1]) - own.T @ own)
        known = rest > LEAST_LEFT
        alone += not known.all()
        # (I - Q Q^T)^-1 = I + Q (I - Q^T Q)^-1 Q^T: as many equations as parameters.
        part = turned[:, known] / rest[known] @ (turned[:, known].T @ (own.T @ inner[rows]))
        found[rows] += own @ part
    return LeftOut(found / root, alone)
