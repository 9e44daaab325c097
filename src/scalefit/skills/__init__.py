"""Latent skills of model families: many benchmarks at once, with a family's efficiency.

A model of a family is predicted on all benchmarks from its parameters and tokens, and from one
other model of the family. :func:`fit_skills` fits the law, :func:`leave_families_out` says how well
it predicts the larger models of families of which it has seen the smallest, and
:func:`fit_components` is the law of principal components over compute.
"""

from scalefit.skills.families_out import FamiliesOut, leave_families_out
from scalefit.skills.latent import Skills, fit_skills
from scalefit.skills.observational import Components, fit_components

__all__ = [
    "Components",
    "FamiliesOut",
    "Skills",
    "fit_components",
    "fit_skills",
    "leave_families_out",
]
