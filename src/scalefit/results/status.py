"""How a fit ended."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status"]


class Status(Enum):
    """Outcome of a fit. The value is the message: what happened, likely causes, next step."""

    CONVERGED = "converged: the objective cannot be improved beyond rounding"
    EXACT = "exact: the law passes through every row to rounding, so spread cannot be estimated"
    STALLED = (
        "stalled: no step lowers the objective although its gradient is not zero. Likely causes: "
        "a flat valley (see the condition number), or a law that is not smooth. Treat the "
        "parameters with care; the objective value is an upper bound"
    )
    ITERATION_LIMIT = (
        "stopped at the iteration limit. Likely causes: a law with a very curved valley, or "
        "parameters that the table does not identify. Fix or tie a parameter, or add runs"
    )

    PUBLISHED = (
        "published, not fitted: values as a paper gives them. Nothing here says how they were "
        "searched for or how well they are determined"
    )

    @property
    def usable(self) -> bool:
        """Whether the parameters stand for an optimum that was reached, here or in a paper."""
        return self in (Status.CONVERGED, Status.EXACT, Status.PUBLISHED)
