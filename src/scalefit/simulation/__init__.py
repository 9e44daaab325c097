"""Designs, noise and simulated tables. ``scalefit.simulate`` makes a table of a design."""

from scalefit.simulation.synthetic import SURFACES, Noise, grid_design, isoflop_design, ratio_design

__all__ = [
    "SURFACES",
    "Noise",
    "grid_design",
    "isoflop_design",
    "ratio_design",
]
