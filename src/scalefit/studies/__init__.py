"""Simulation studies: many simulated tables, fitted by several methods, against the truth."""

from scalefit.studies.estimates import METHODS, estimate
from scalefit.studies.study import Study, simulation_study

__all__ = [
    "METHODS",
    "Study",
    "estimate",
    "simulation_study",
]
