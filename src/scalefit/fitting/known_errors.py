"""Known standard errors of the losses, as those of the residuals."""

from __future__ import annotations

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed
from scalefit.objective import Objective

__all__ = ["residual_errors", "weights"]


def residual_errors(
    objective: Objective, table: LossTable, observed: np.ndarray
) -> np.ndarray | None:
    """The known standard error of each residual, shape (rows,); None where none is stated.

    To first order ln L and (L - f) / L have the error of L over L.

    Args:
        objective: what is summed: names the errors, in the unit of the table as it was given.
        table: the table.
        observed: its losses, shape (rows,).

    Raises:
        DataError: there is no such column, or an error in it is not positive.
    """
    if objective.sigma is None:
        return None
    if isinstance(objective.sigma, str):
        errors = _column(table, objective.sigma)
    else:
        errors = np.full(len(table), objective.sigma)
    scale = table.scales.get("loss", 1.0)
    if table.converted is not None:
        errors = errors * table.converted.slope(observed / scale)
    errors = errors * scale
    return np.asarray(errors / observed if objective.needs_positive_loss else errors)


def weights(objective: Objective, table: LossTable, observed: np.ndarray) -> np.ndarray:
    """Weight of each row in the sum: the table's own, over the square of a known error.

    Args:
        objective: what is summed.
        table: the table.
        observed: its losses, shape (rows,).

    Raises:
        DataError: as for :func:`residual_errors`.
    """
    errors = residual_errors(objective, table, observed)
    if errors is None:
        return table.weight
    used = table.weight > 0
    return np.where(used, table.weight / np.where(used, errors, 1.0) ** 2, 0.0)


def _column(table: LossTable, header: str) -> np.ndarray:
    """The errors of a column, shape (rows,); ones in rows that do not count."""
    # LossTable.column says what is wrong with a header or a cell.
    errors, used = table.column(header), table.weight > 0
    bad = used & ~(errors > 0)
    if bad.any():
        labels = [table.rows[i] for i in np.flatnonzero(bad)]
        raise DataError(
            f"{header} is {errors[bad][0]:g} (rows {listed(labels)}): a standard error is positive",
            column=header,
            rows=labels,
            remedy=f"Correct it, or leave the rows out with keep='`{header}` > 0'",
        )
    return np.where(used, errors, 1.0)
