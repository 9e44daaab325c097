"""IsoFLOP sweeps: optima budget by budget without a law, their quality and their bias.

``scalefit.bias`` is in ``verdict``: here its name would hide the module ``bias``.
"""

from scalefit.approach2.attribution import Attribution as Attribution
from scalefit.approach2.attribution import attribute as attribute
from scalefit.approach2.comparison import BiasReport as BiasReport
from scalefit.approach2.design_advice import Advice as Advice
from scalefit.approach2.design_advice import advise as advise
from scalefit.approach2.design_error import DesignBias as DesignBias
from scalefit.approach2.design_error import design_bias as design_bias
from scalefit.approach2.design_error import parabola_shift as parabola_shift
from scalefit.approach2.envelope_fit import Envelope as Envelope
from scalefit.approach2.envelope_fit import envelope as envelope
from scalefit.approach2.isoflop_fit import IsoFlop as IsoFlop
from scalefit.approach2.isoflop_fit import Optimum as Optimum
from scalefit.approach2.isoflop_fit import isoflop as isoflop
from scalefit.approach2.parabola import Parabolas as Parabolas
from scalefit.approach2.parabola import PowerLaw as PowerLaw
from scalefit.approach2.parabola import VertexFits as VertexFits
from scalefit.approach2.parabola import approach2 as approach2
from scalefit.approach2.parabola import parabolas as parabolas
from scalefit.approach2.parabola import power_law as power_law
from scalefit.approach2.run_quality import quality as quality
