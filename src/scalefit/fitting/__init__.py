"""Fitting: grid over the nonlinear parameters, then polish of the true objective."""

from scalefit.fitting.pipeline import fit as fit
