"""Information criteria of fits that maximise a Gaussian likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scalefit.data.table import LossTable
from scalefit.objective import Objective
from scalefit.validation.candidates import FittedCandidate

__all__ = ["Criteria", "criteria", "no_likelihood"]


class Criteria(NamedTuple):
    """Akaike's criterion for small samples and the Bayesian one, of each candidate.

    Attributes:
        aicc: shape (candidates,); NaN where there is none.
        bic: shape (candidates,).
    """

    aicc: np.ndarray
    bic: np.ndarray


def no_likelihood(objective: Objective, table: LossTable) -> str:
    """Why an objective is not a Gaussian likelihood of the losses; empty where it is one."""
    weight = table.weight[table.weight > 0]
    if objective.penalty.bounded:
        return (
            f"robust={objective.robust!r} is not a Gaussian likelihood: robust='none' is one, of "
            "normal noise"
        )
    if objective.residual == "relative":
        return "relative residuals are divided by the losses: residual='log' is a likelihood"
    if np.ptp(weight) > 0:
        return "rows have weights that differ, which are no counts of runs"
    return ""


def criteria(found: Sequence[FittedCandidate], table: LossTable) -> Criteria:
    """AICc = -2 ln L + 2 k + 2 k (k + 1) / (n - k - 1) and BIC = -2 ln L + k ln n.

    ln L is the Gaussian likelihood of ln loss, or of the loss, at its maximum over the parameters
    and the size of the noise, which is one of the k.

    Args:
        found: candidates fitted by squares of log or raw residuals, to the same rows.
        table: the table.

    Source:
        Hurvich and Tsai 1989, Biometrika 76(2). Schwarz 1978, Annals of Statistics 6(2).
    """
    used = table.weight > 0
    n = int(used.sum())
    k = np.array([item.n_free + 1 for item in found], dtype=np.float64)
    squares = np.array([np.sum(item.residuals[used] ** 2) for item in found])
    with np.errstate(divide="ignore"):
        doubled = n * (np.log(2 * np.pi * squares / n) + 1)
    room = n - k - 1
    small = np.where(room > 0, 2 * k * (k + 1) / np.where(room > 0, room, 1.0), np.nan)
    return Criteria(doubled + 2 * k + small, doubled + k * np.log(n))
