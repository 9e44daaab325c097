"""Whether a budget or a run is in another unit than the table of a fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.data.units import SAME_UNIT
from scalefit.errors import AllocationError
from scalefit.results.domain import unit_mismatch
from scalefit.results.fit import Fit

__all__ = ["require_units"]


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
    for note in unit_mismatch(fit.domain, columns, mark):
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
