"""Whether residuals are as large as known errors say: the chi-squared of a fit."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ChiSquared", "chi_squared"]


class ChiSquared(NamedTuple):
    """Sum of squared residuals over their known errors.

    Attributes:
        value: the sum.
        df: residual degrees of freedom.
        p: probability of at least this much, where errors and law are right.
    """

    value: float
    df: int
    p: float

    def __str__(self) -> str:
        return f"{self.value:.3g} for {self.df} degrees of freedom (p = {self.p:.2g})"


def chi_squared(fit: Any) -> ChiSquared | None:
    """The chi-squared of a fit; None without known errors, freedom, or with weights beside them."""
    weighted = "column weight" in fit.provenance
    if fit.objective.sigma is None or fit.df_resid < 1 or weighted:
        return None
    from scipy.special import chdtrc

    value, df = float(fit.objective_value), int(fit.df_resid)
    return ChiSquared(value, df, float(chdtrc(df, value)))
