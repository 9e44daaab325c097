"""Whether the training compute of a table is 6ND."""

from __future__ import annotations

import numpy as np

from scalefit.note_codes import Severity
from scalefit.notes import Note

__all__ = ["FLOPS_TOLERANCE", "convention_notes"]

# 6ND is taken for the FLOPs of a run; real tables differ from it by this and more.
FLOPS_TOLERANCE = 0.05

# Largest over smallest C / 6ND of a table whose C is another multiple of ND throughout. Attention
# and embeddings make it vary by 1.4 (Marin) and more along a table; a factor left out does not.
ONE_FACTOR = 1.05

# C / 6ND where C is the compute of forward passes, 2ND.
FORWARD = 1 / 3


def convention_notes(C: np.ndarray, N: np.ndarray, D: np.ndarray, so: str) -> list[Note]:
    """A note where C differs from 6ND by more than 5 %.

    Args:
        C: training FLOP of each run; gaps are NaN.
        N: parameters.
        D: tokens.
        so: what follows from it, as a sentence without a full stop.
    """
    ratio = C / (6 * N * D)
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio) or np.abs(ratio - 1).max() <= FLOPS_TOLERANCE:
        return []
    low, high, middle = float(ratio.min()), float(ratio.max()), float(np.median(ratio))
    said = f"C / 6ND runs from {low:.3g} to {high:.3g} in this table (median {middle:.3g}): {so}"
    constant = high <= ONE_FACTOR * low
    if constant and abs(middle / FORWARD - 1) <= FLOPS_TOLERANCE:
        said += (
            ". C is 2ND throughout, the compute of forward passes only: training takes 3 times "
            "as much"
        )
    elif constant:
        said += f". C is {6 * middle:.3g} ND throughout: a unit or a factor, not a count"
    details = {"low": low, "high": high, "median": middle}
    severity: Severity = "warning" if constant else "info"
    return [Note.of("flops_convention", said, details, severity=severity)]
