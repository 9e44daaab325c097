"""Known standard errors of the losses, as those of the residuals."""

from __future__ import annotations

import numpy as np

from scalefit.arguments import shown
from scalefit.data.column_names import unknown_header
from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed
from scalefit.objective import Objective

__all__ = ["residual_errors", "weights"]

# Of the size of the losses: no error is below their rounding, and none so far above them.
LEAST, MOST = 1e-15, 1e15


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
    _require_size(objective, table, observed, errors)
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


def _require_size(
    objective: Objective, table: LossTable, observed: np.ndarray, errors: np.ndarray
) -> None:
    """Refuse errors that are in no unit of the losses."""
    used = table.weight > 0
    size = float(np.median(np.abs(observed[used & (observed != 0)])))
    bad = used & ~((errors >= LEAST * size) & (errors <= MOST * size))
    if bad.any():
        rows = [table.rows[i] for i in np.flatnonzero(bad)]
        raise DataError(
            f"sigma={shown(objective.sigma)} is {errors[bad][0]:.3g} (rows {listed(rows)}), beside "
            f"losses of about {size:.3g}: no loss has such an error",
            rows=rows,
            remedy="Give it in the unit of the losses, as sigma=0.01",
        )


def _column(table: LossTable, header: str) -> np.ndarray:
    """The errors of a column, shape (rows,); ones in rows that do not count."""
    if header not in table and header not in table.sources.values():
        raise unknown_header("sigma", header, table.frame)
    # LossTable.column says what is wrong with a cell.
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
