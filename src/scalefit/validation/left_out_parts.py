"""What a fold's predictions would be with other training runs: the jackknife of its fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.multistart import follow
from scalefit.inference.fitted_data import attach, parameters
from scalefit.inference.subset_fits import SubsetFit

__all__ = ["left_out_predictions"]

# Parts that are left out in turn: a dozen give a standard error to a fifth.
PARTS = 12


def left_out_predictions(one: SubsetFit, test: LossTable) -> np.ndarray:
    """Predictions by a fit with one part of its runs left out in turn, shape (parts, rows).

    Runs are dealt out over a dozen parts at random, so that what is left has the same design: its
    fits differ by the noise of the runs left out, and not by how far they extrapolate. Each is
    followed from the fit to all runs, as a jackknife wants: another basin is no noise.

    Args:
        one: the fit of a fold, and its runs.
        test: the runs to predict.

    Returns:
        The predictions; NaN where there is no fit.
    """
    weight = one.table.weight
    rows = np.random.default_rng(0).permutation(np.flatnonzero(weight > 0))
    codes = np.full(len(weight), -1)
    codes[rows] = np.arange(len(rows)) % PARTS
    kept = weight * (codes != np.arange(codes.max() + 1)[:, None])
    predicted = np.full((len(kept), len(test)), np.nan)
    if one.fit is None:
        return predicted
    try:
        whole = attach(one.fit, one.table)
    except DataError:
        # No optimum, or no noise: nothing to follow.
        return predicted
    prepared = whole.prepared
    found = follow(
        prepared.problem,
        one.fit.objective,
        prepared.settings,
        prepared.data,
        whole.optimum,
        weight=kept,
    )
    params = parameters(whole, found.coefficients, found.coordinates, found.active)
    for k in np.flatnonzero(np.isfinite(found.value)):
        here = {name: float(values[k]) for name, values in params.items()}
        try:
            predicted[k] = replace(one.fit, params=here).evaluate(test)
        except DataError:
            # A level that only the part left out has.
            continue
    return predicted
