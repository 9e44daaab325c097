"""How the refits of a bootstrap went."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.reporting.description import Description

__all__ = ["Replicates"]


class Replicates(NamedTuple):
    """How the refit of each replicate went; every array of shape (draws,).

    Attributes:
        objective_value: objective at its optimum.
        newton_decrement: decrease a further Newton step promises, relative to the objective.
        gradient_cosine: largest cosine between the influence of the rows and a Jacobian column.
        global_search: whether the whole box was searched for it, not only around the fit.
        improved: whether it ended in a lower minimum than the fit led to, which that search found,
            or that of another replicate.
    """

    objective_value: np.ndarray
    newton_decrement: np.ndarray
    gradient_cosine: np.ndarray
    global_search: np.ndarray
    improved: np.ndarray

    def describe(self, usable: np.ndarray) -> Description:
        """How close the usable refits came to an optimum, and how many were searched."""
        return Description(
            "Refits of the replicates",
            facts={
                "converged": f"{usable.sum():,} of {len(usable):,}",
                "gradient": f"largest cosine {_largest(self.gradient_cosine, usable)}, Newton "
                f"decrement {_largest(self.newton_decrement, usable)}",
                "searched": f"{self.global_search.sum():,} over the whole bounds",
                "improved": f"{self.improved.sum():,} in a lower minimum than the fit led to",
            },
        )


def _largest(values: np.ndarray, usable: np.ndarray) -> str:
    return f"{values[usable].max(initial=0.0):.1e}"
