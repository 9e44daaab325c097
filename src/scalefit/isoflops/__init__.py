"""IsoFLOP sweeps: optima budget by budget without a law, their quality and their bias.

``scalefit.bias`` is in ``verdict``: here its name would hide the module ``bias``.
"""

from scalefit.isoflops.advice import Advice as Advice
from scalefit.isoflops.advice import advise as advise
from scalefit.isoflops.attribution import Attribution as Attribution
from scalefit.isoflops.attribution import attribute as attribute
from scalefit.isoflops.bias import DesignBias as DesignBias
from scalefit.isoflops.bias import design_bias as design_bias
from scalefit.isoflops.bias import parabola_shift as parabola_shift
from scalefit.isoflops.envelope import Envelope as Envelope
from scalefit.isoflops.envelope import envelope as envelope
from scalefit.isoflops.parabola import Parabolas as Parabolas
from scalefit.isoflops.parabola import PowerLaw as PowerLaw
from scalefit.isoflops.parabola import VertexFits as VertexFits
from scalefit.isoflops.parabola import approach2 as approach2
from scalefit.isoflops.parabola import parabolas as parabolas
from scalefit.isoflops.parabola import power_law as power_law
from scalefit.isoflops.quality import quality as quality
from scalefit.isoflops.sweep import IsoFlop as IsoFlop
from scalefit.isoflops.sweep import Optimum as Optimum
from scalefit.isoflops.sweep import isoflop as isoflop
from scalefit.isoflops.verdict import BiasReport as BiasReport
