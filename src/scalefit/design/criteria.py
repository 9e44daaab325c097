"""What new runs are chosen by: the variance of answers, or how far two laws come apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["Criterion", "Separation", "Variance"]


class Criterion(Protocol):
    """A number that new runs lower, and what it becomes with one run more."""

    def value(self, chosen: Sequence[int]) -> float:
        """The criterion with runs of these candidates; the same one may be there twice."""

    def with_each(self, chosen: Sequence[int]) -> np.ndarray:
        """The criterion with one run more, of each candidate, shape (candidates,)."""

    def least_gain(self, value: float) -> float:
        """What a change of the criterion must exceed to be worth another choice."""


# A variance, or a sum of squares, that changes by less than this share is the same for every
# purpose: the standard deviation then changes by less than 0.005 %.
SAME = 1e-4


class Variance:
    """Mean variance of linear functions of the parameters, relative to that before the new runs.

    With I + sum z z^T the information in coordinates in which it is the identity before, the
    variance of the function c is c^T (I + sum z z^T)^-1 c. It is averaged over functions and sets
    of parameters: c-optimality for one function, V-optimality for predictions at several points.
    The criterion is the logarithm of the average.

    Args:
        rows: z of each candidate, shape (sets, candidates, p).
        functions: c of each function, shape (sets, functions, p).

    Source:
        Atkinson, Donev and Tobias 2007, Optimum Experimental Designs, chapters 10 and 18
        (averages over parameters).
    """

    def __init__(self, rows: np.ndarray, functions: np.ndarray) -> None:
        self.rows = rows
        self.functions = functions

    def variances(self, chosen: Sequence[int]) -> np.ndarray:
        """Variance of each function, averaged over the sets of parameters, shape (functions,)."""
        solved = np.linalg.solve(self._matrix(chosen), self.functions.swapaxes(1, 2))
        return np.asarray(np.einsum("stp,spt->st", self.functions, solved).mean(axis=0))

    def value(self, chosen: Sequence[int]) -> float:
        """Logarithm of the mean variance."""
        mean = float(self.variances(chosen).mean())
        return float(np.log(max(mean, np.finfo(float).tiny)))

    def with_each(self, chosen: Sequence[int]) -> np.ndarray:
        """The same with one run more, by the formula of Sherman and Morrison."""
        inverse = np.linalg.inv(self._matrix(chosen))
        along = self.functions @ inverse
        before = np.einsum("stp,stp->st", along, self.functions)
        spread = np.einsum("smp,smp->sm", self.rows @ inverse, self.rows)
        gained = (self.rows @ along.swapaxes(1, 2)) ** 2 / (1 + spread[..., None])
        left = before[:, None, :] - gained
        # Rounding may not turn a variance around.
        return np.asarray(np.log(np.maximum(left.mean(axis=(0, 2)), np.finfo(float).tiny)))

    def least_gain(self, value: float) -> float:
        """A share of the variance: the criterion is its logarithm."""
        return SAME

    def _matrix(self, chosen: Sequence[int]) -> np.ndarray:
        rows = self.rows[:, list(chosen)]
        return np.eye(rows.shape[-1]) + rows.swapaxes(1, 2) @ rows


class Rival(NamedTuple):
    """A law that is fitted to the losses of another one, which is taken as true.

    Attributes:
        rows: of the rival, shape (candidates, p), as in :class:`Variance`.
        difference: what the true law predicts beyond the rival before any run is added, in
            standard deviations of a run, shape (candidates,).
        before: sum of squares that the rival leaves on the runs that are there, in the same unit.
    """

    rows: np.ndarray
    difference: np.ndarray
    before: float


class Separation:
    """How far two laws come apart, each refitted to the losses of the other without noise.

    With d what the true law predicts beyond the rival, refitted to the runs that are there, and
    I + Z^T Z the information of the rival's parameters with the new runs, the sum of squares that
    the rival leaves grows by d^T (I + Z Z^T)^-1 d. The criterion is the mean over both directions,
    with a minus sign: T-optimality, to first order in the parameters of the rival.

    Args:
        rivals: one for each law that may be true.

    Source:
        Atkinson and Fedorov 1975, Biometrika 62(1).
    """

    def __init__(self, rivals: Sequence[Rival]) -> None:
        self.rivals = tuple(rivals)

    def sums(self, chosen: Sequence[int]) -> np.ndarray:
        """Sum of squares that each rival leaves, in variances of a run, shape (rivals,)."""
        found = []
        for rival in self.rivals:
            _, shift = _refitted(rival, chosen)
            z, d = rival.rows[list(chosen)], rival.difference[list(chosen)]
            found.append(rival.before + d @ (d - z @ shift))
        return np.array(found)

    def value(self, chosen: Sequence[int]) -> float:
        """Mean of them, with a minus sign."""
        return -float(self.sums(chosen).mean())

    def with_each(self, chosen: Sequence[int]) -> np.ndarray:
        """The same with one run more: squared surprise over its variance is added."""
        total = -self.value(chosen)
        gains = []
        for rival in self.rivals:
            inverse, shift = _refitted(rival, chosen)
            spread = np.einsum("mp,mp->m", rival.rows @ inverse, rival.rows)
            gains.append((rival.difference - rival.rows @ shift) ** 2 / (1 + spread))
        return -(total + np.mean(gains, axis=0))

    def least_gain(self, value: float) -> float:
        """A share of the sum of squares."""
        return SAME * abs(value)


def _refitted(rival: Rival, chosen: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the rival with new runs, and the shift that fits it to the true law there."""
    z = rival.rows[list(chosen)]
    inverse = np.linalg.inv(np.eye(z.shape[1]) + z.T @ z)
    return inverse, inverse @ (z.T @ rival.difference[list(chosen)])
