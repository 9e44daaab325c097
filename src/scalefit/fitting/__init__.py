"""Fitting: grid over the nonlinear parameters, then polish of the true objective."""
