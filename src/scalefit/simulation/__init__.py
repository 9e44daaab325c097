"""Designs, noise and simulated tables. ``scalefit.simulate`` puts losses on a design."""

from scalefit.simulation.designs import SURFACES, grid_design, isoflop_design, ratio_design
from scalefit.simulation.noise import Noise

__all__ = [
    "SURFACES",
    "Noise",
    "grid_design",
    "isoflop_design",
    "ratio_design",
]
