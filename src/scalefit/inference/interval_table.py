"""Parameters with their intervals, as results for uncertainty show them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.reporting.description import Column, Table
from scalefit.results.fit import Fit

__all__ = ["interval_table", "least_certain"]


def interval_table(frame: pd.DataFrame, level: float, source: str) -> Table:
    """A row for each parameter.

    Args:
        frame: ``value``, ``se``, and perhaps ``low`` and ``high`` by parameter, raw units.
        level: coverage of the intervals.
        source: where the intervals come from.
    """
    low, high = (list(frame.get(name, ())) for name in ("low", "high"))
    title = f"parameters in raw units, with {100 * level:g} % intervals {source}"
    return Table(
        [
            Column("parameter", list(frame.index), "text"),
            Column("value", list(frame["value"]), low=low, high=high),
            Column("se", [f"{float(f'{error:.2g}'):g}" for error in frame["se"]], "text"),
        ],
        title if low else "parameters in raw units",
        f"{100 * level:g} % interval",
    )


def least_certain(fit: Fit, frame: pd.DataFrame, level: float) -> str:
    """How well the least certain exponent is known, or the least certain parameter without any.

    Args:
        fit: the fit.
        frame: ``value``, ``low`` and ``high`` by parameter.
        level: coverage of the intervals.
    """
    kinds = {param.name: param.kind.name for param in fit.law.params}
    exponents = [name for name in frame.index if kinds[name.partition("[")[0]] == "exponent"]
    chosen = frame.loc[exponents] if exponents else frame
    with np.errstate(divide="ignore", invalid="ignore"):
        half = (chosen["high"] - chosen["low"]) / (2 * chosen["value"].abs())
    half = half[np.isfinite(half)]
    if not len(half):
        return "no parameter has an interval with two ends"
    return f"{half.idxmax()} is known to ±{100 * half.max():.2g} % ({100 * level:g} %)"
