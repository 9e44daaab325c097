"""Fitting: grid over the nonlinear parameters, then polish of the true objective."""

from scalefit.fitting.api import fit as fit
