"""Some rows of a table, as a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalefit.data.table import LossTable

__all__ = ["subset"]


def subset(table: LossTable, kept: np.ndarray) -> LossTable:
    """The rows that are kept, in their order, with everything that is known of the table.

    Args:
        table: the table.
        kept: whether each row is, booleans of shape (rows,).
    """
    return replace(table, frame=table.frame[kept])
