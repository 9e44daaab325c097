"""Two laws fitted to the same runs, each as a rival of the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.design.criteria import Rival
from scalefit.design.prior_information import of_runs
from scalefit.inference.fitted_data import FittedData

__all__ = ["rivals_of"]


def rivals_of(
    first: FittedData, second: FittedData, columns: Mapping[str, np.ndarray], noise: float
) -> tuple[Rival, Rival]:
    """The second law as the rival of the first, and the first as that of the second.

    Args:
        first: a fit on its table.
        second: a fit of another law to the same rows.
        columns: columns of both laws for each candidate, each of shape (candidates,).
        noise: standard deviation of the residual of a run.
    """
    return _rival(first, second, columns, noise), _rival(second, first, columns, noise)


def _rival(
    true: FittedData, rival: FittedData, columns: Mapping[str, np.ndarray], noise: float
) -> Rival:
    """A law against the losses of another one, both refitted to the runs that are there."""
    known = of_runs(rival, noise)
    there = {
        name: values[rival.used] for name, values in rival.table.columns_of(rival.fit.law).items()
    } | {name: values[rival.used] for name, values in true.table.columns_of(true.fit.law).items()}
    root = np.sqrt(rival.table.weight[rival.used])
    own = known.rows(there)[0] * root[:, None]
    beyond = _difference(true, rival, there, noise) * root
    # Rows of the runs are orthonormal in these coordinates, so that this is the refit to first
    # order of the rival to the true law on them.
    shift = own.T @ beyond
    rows = known.rows(columns)[0]
    return Rival(
        rows,
        _difference(true, rival, columns, noise) - rows @ shift,
        max(float(beyond @ beyond - shift @ shift), 0.0),
    )


def _difference(
    true: FittedData, rival: FittedData, columns: Mapping[str, np.ndarray], noise: float
) -> np.ndarray:
    """What one fit predicts beyond the other, on the scale of the residuals, over the noise."""
    one, other = (
        item.fit.law.evaluate(
            {name: columns[name] for name in item.fit.law.columns}, item.fit.params
        )
        for item in (true, rival)
    )
    if true.fit.objective.residual != "raw":
        one, other = np.log(one), np.log(other)
    return np.asarray((one - other) / noise)
