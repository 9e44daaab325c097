"""The rows of an objective, as a proof takes them."""

from __future__ import annotations

import numpy as np

from scalefit.certification.conjugates import LogSquared, Loss, Squared
from scalefit.certification.huber_conjugates import Huber, LogHuber
from scalefit.objective import Objective

__all__ = ["loss"]


def loss(objective: Objective, observed: np.ndarray, weight: np.ndarray, value: float) -> Loss:
    """The rows of an objective where an incumbent has a value."""
    value, logs = max(value, 0.0), objective.residual == "log"
    divisor = observed if objective.residual == "relative" else np.ones_like(observed)
    delta, asymmetry = objective.delta or 0.0, objective.asymmetry or 1.0
    # No row is further from its observed loss, at no more than the value, while it is a square.
    furthest = float(np.sqrt(2 * value / weight).max(initial=0.0)) * (1 + 1e-9)
    squared = not objective.penalty.bounded
    if squared or (delta > furthest and asymmetry == 1):
        weight = weight if squared else 0.5 * weight
        if logs:
            return LogSquared(observed, weight, value)
        return Squared(observed, weight, divisor, value)
    delta = min(delta, furthest)
    if logs:
        return LogHuber(observed, weight, delta, asymmetry, value)
    return Huber(observed, weight, divisor, delta, asymmetry, value)
