"""Whether a budget or a run is in another unit than the table of a fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.data.units import SAME_UNIT
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.results.fit import Fit

__all__ = ["require_units", "unit_mismatch"]

# So many times the largest run, or less than this share of the smallest, and sizes are in another
# unit than the table: nobody extrapolates from 1e9 to 1e14, or back to 1e6.
HIGH_UNIT, LOW_UNIT = 1e5, 1e-3


def require_units(fit: Fit, columns: Mapping[str, np.ndarray], mark: str = "") -> None:
    """Raise where the table of a fit is not in counts, and a budget or a run seems to be.

    Args:
        fit: the fit.
        columns: values by column, any shape.
        mark: what follows the name of a column in print.

    Raises:
        AllocationError: 6ND is nearer to the runs in counts than in their own unit, or N or D are
            far from every run.
    """
    units = next((note for note in fit.notes if note.code == "units"), None)
    if units is None or units.details["likely"].keys() == {"C"}:
        return
    # Where the table's own C is 6ND, budgets are in its unit.
    own = 1 / SAME_UNIT <= units.details.get("C/6ND", np.inf) <= SAME_UNIT
    far = "" if own else _nearer_in_counts(fit, columns, units.details["likely"], mark)
    for note in unit_mismatch(fit, columns, mark):
        far = far or note.message
    if far:
        raise AllocationError(f"{far}. Of the runs: {units.message}")


def _nearer_in_counts(
    fit: Fit, columns: Mapping[str, np.ndarray], likely: Mapping[str, float], mark: str
) -> str:
    """Why numbers seem to be in counts; empty where they do not."""
    scale = likely.get("N", 1.0) * likely.get("D", 1.0)
    if scale == 1.0 or not {"N", "D"} <= columns.keys() or "6ND" not in fit.domain:
        return ""
    low, high = fit.domain["6ND"]
    with np.errstate(all="ignore"):
        product = np.atleast_1d(6.0 * columns["N"] * columns["D"])
        own, counted = (
            np.maximum(np.log(product / (high * unit)), np.log(low * unit / product)).clip(0.0)
            for unit in (1.0, scale)
        )
    nearer = np.flatnonzero(counted < own)
    if not len(nearer):
        return ""
    return (
        f"6 N{mark} D{mark} = {product.flat[nearer[0]]:.3g} is nearer to the runs in counts "
        f"({low * scale:.3g} to {high * scale:.3g}) than in the unit of their table ({low:.3g} to "
        f"{high:.3g}): the budget or the run is in another unit"
    )


def unit_mismatch(fit: Fit, columns: Mapping[str, np.ndarray], mark: str = "") -> list[Note]:
    """A note where N or D are so far from every run that one of both is in another unit.

    Args:
        fit: the fit.
        columns: values by column, any shape.
        mark: what follows the name of a column in print.
    """
    far = {}
    for name in ("N", "D"):
        if name not in columns or name not in fit.domain:
            continue
        low, high = fit.domain[name]
        values = columns[name][np.isfinite(columns[name]) & (columns[name] > 0)]
        if not (values.size and low > 0):
            continue
        if values.max() > HIGH_UNIT * high:
            far[name] = (values.max(), "above the largest", high)
        elif values.min() < LOW_UNIT * low:
            far[name] = (values.min(), "below the smallest", low)
    if not far:
        return []
    said = " and ".join(
        f"{name}{mark} = {value:.3g} is {max(value / end, end / value):.2g} times {how} of the "
        f"runs ({end:.3g})"
        for name, (value, how, end) in far.items()
    )
    return [
        Note.of(
            "unit_mismatch",
            f"{said}: the budget or the run is in another unit than the fitted table. Give it "
            "in the unit of the table, or fit a table in raw counts",
            {name: float(value) for name, (value, _, _) in far.items()},
        )
    ]
