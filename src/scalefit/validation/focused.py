"""The focused information criterion: which of two nested laws of one column extrapolates better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.derivatives import derivatives
from scalefit.fitting.prepared_fit import pack
from scalefit.inference.fitted_data import FittedData, attach
from scalefit.results.fit import Fit
from scalefit.validation.candidates import FittedCandidate
from scalefit.validation.linearised import linearised
from scalefit.validation.nesting import nesting

__all__ = ["chosen", "larger_by_focus", "variance_at"]

# Where a curve is extrapolated to: the octave after its end, at eighths. The forecasts of the
# learning curves are of it, and beyond it the range is still the same for both laws.
POINTS, OCTAVES = 8, 1.0


def chosen(found: Sequence[FittedCandidate], free: np.ndarray, table: LossTable) -> int:
    """Place of the law that is chosen: by held-out errors, and of nested curves by the criterion.

    Args:
        found: laws, the lowest error of held-out runs first.
        free: which may be chosen, booleans of shape (laws,); all where none may.
        table: their rows.
    """
    places = np.flatnonzero(free) if free.any() else np.array([0])
    best = int(places[0])
    for place in places[1:]:
        pair = sorted((best, int(place)), key=lambda k: found[k].n_free)
        small, large = (found[k] for k in pair)
        curves = all(len(item.candidate.law.columns) == 1 for item in (small, large))
        single = len(small.fits) == len(large.fits) == 1
        plain = single and not (small.fits[0].groups or large.fits[0].groups)
        if curves and plain and nesting(small, large) is not None:
            best = pair[int(larger_by_focus(small.fits[0], large.fits[0], table))]
    return best


def larger_by_focus(small: Fit, large: Fit, table: LossTable) -> bool:
    """Whether the larger of two nested laws predicts the octave after a curve with less error.

    With d the difference of both predictions in the logarithm, or of losses under a raw objective,
    v_L and v_S their variances under the larger law, the squared errors of the predictions are
    estimated by

        larger: v_L,    smaller: v_S + max(0, d^2 - (v_L - v_S)),

    and added up over the octave. d^2 exceeds the squared bias of the smaller law by v_L - v_S on
    average. Noise is that of the larger law, enlarged by (1 + rho) / (1 - rho) for an
    autocorrelation rho of its residuals along the curve.

    Args:
        small: the restriction, fitted.
        large: the law that it is a restriction of, fitted to the same rows.
        table: the rows.

    Returns:
        False where the larger law has no variance, as its runs do not determine it.

    Source:
        Claeskens and Hjort 2003, J. American Statistical Association 98(464).
    """
    (name,) = large.law.columns
    used = table.weight > 0
    x = table.column(name)
    ahead = x[used].max() * 2.0 ** (OCTAVES * np.arange(1, POINTS + 1) / POINTS)
    try:
        wide, narrow = attach(large, table), attach(small, table)
    except DataError:
        return False
    near = linearised(wide)
    left = near.residuals[np.argsort(x[used], kind="stable")]
    rho = max(0.0, float(np.sum(left[1:] * left[:-1]) / np.sum(left**2)))
    size = near.spread**2 * (1 + rho) / (1 - rho)
    v_large, v_small = (size * variance_at(item, {name: ahead}) for item in (wide, narrow))
    if not (np.isfinite(v_large).all() and np.isfinite(v_small).all()):
        return False
    more = np.maximum(v_large - v_small, 0.0).sum()
    one, two = (item.evaluate(**{name: ahead}) for item in (large, small))
    if large.objective.needs_positive_loss:
        one, two = np.log(one), np.log(two)
    return bool(more < max(0.0, float(np.sum((one - two) ** 2)) - more))


def variance_at(fitted: FittedData, columns: Mapping[str, Any]) -> np.ndarray:
    """Variance of predicted residuals per unit variance of the noise, shape (points,).

    Args:
        fitted: the fit on its table.
        columns: where; each of shape (points,).

    Returns:
        g^T (J^T W J)^-1 g, with J and g derivatives in the free parameters that are at no bound;
        infinite where some combination of them has no information.
    """
    near, prepared, fit = linearised(fitted), fitted.prepared, fitted.fit
    there = np.asarray(fit.evaluate(None, **columns))
    data = pack(prepared.problem, fit.objective, columns, there, np.ones(len(there)), fit.fixed, [])
    unit = float(data.unit) if fit.objective.residual == "raw" else 1.0
    slope = unit * derivatives(prepared.problem, data, fitted.point).jacobian[:, ~fitted.at_bound]
    rows = np.sqrt(near.weight)[:, None] * near.jacobian
    size = np.sqrt(np.sum(rows**2, axis=0))
    if not (size > 0).all() or len(rows) < len(size):
        return np.full(len(there), np.inf)
    _, sizes, right = np.linalg.svd(rows / size, full_matrices=False)
    if sizes[-1] <= np.finfo(float).eps * len(rows) * sizes[0]:
        return np.full(len(there), np.inf)
    return np.asarray(np.sum((slope / size @ right.T / sizes) ** 2, axis=1))
