"""Chinchilla's Approach 2: parabolas budget by budget, rules for runs, the bias and its causes.

``scalefit.isoflop`` and ``scalefit.bias`` use it.
"""

from scalefit.approach2.attribution import Attribution, attribute_bias
from scalefit.approach2.bias_report import BiasReport
from scalefit.approach2.design_advice import Advice, advise
from scalefit.approach2.design_error import DesignBias, design_bias, parabola_shift
from scalefit.approach2.envelope_fit import Envelope, envelope
from scalefit.approach2.frontier import PowerLawOptimum
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.approach2.parabola import Parabolas, VertexFits, parabolas, vertex_fits
from scalefit.approach2.power_laws import PowerLaw, power_law
from scalefit.approach2.run_quality import flag_runs
from scalefit.approach2.sweep_vertices import Vertices, vertices

__all__ = [
    "Advice",
    "Attribution",
    "BiasReport",
    "DesignBias",
    "Envelope",
    "IsoFlop",
    "Parabolas",
    "PowerLaw",
    "PowerLawOptimum",
    "VertexFits",
    "Vertices",
    "advise",
    "attribute_bias",
    "design_bias",
    "envelope",
    "flag_runs",
    "parabola_shift",
    "parabolas",
    "power_law",
    "vertex_fits",
    "vertices",
]
