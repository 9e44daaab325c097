"""What a fit holds: parameters, diagnostics, certificate; and coefficients that were published."""

from scalefit.results.certificate import Certificate
from scalefit.results.diagnostics import Diagnostics, Minimum
from scalefit.results.literature import published_fits
from scalefit.results.parameters import Parameters
from scalefit.results.surface import Surface
from scalefit.results.verdict import Influence, Pattern, Verdict

__all__ = [
    "Certificate",
    "Diagnostics",
    "Influence",
    "Minimum",
    "Parameters",
    "Pattern",
    "Surface",
    "Verdict",
    "published_fits",
]
