"""What a fit holds: parameters, diagnostics, certificate; and coefficients that were published."""

from scalefit.results.certificate import Certificate
from scalefit.results.diagnostics import Diagnostics, Minimum
from scalefit.results.literature import published_fits
from scalefit.results.parameters import Parameters
from scalefit.results.surface import Surface

__all__ = [
    "Certificate",
    "Diagnostics",
    "Minimum",
    "Parameters",
    "Surface",
    "published_fits",
]
