"""Pictures: each function draws on the Axes given or on new ones, and returns them.

None shows or writes anything. matplotlib is imported when the first picture is drawn.
"""

from scalefit.plot.allocations import allocation as allocation
from scalefit.plot.allocations import pareto as pareto
from scalefit.plot.allocations import region as region
from scalefit.plot.bias_fans import bias as bias
from scalefit.plot.chosen_runs import next_runs as next_runs
from scalefit.plot.diagnosis_panels import diagnosis as diagnosis
from scalefit.plot.four_panels import overview as overview
from scalefit.plot.gap_parts import attribution as attribution
from scalefit.plot.held_out_errors import holdout as holdout
from scalefit.plot.isoflop_fans import isoflop as isoflop
from scalefit.plot.law_errors import comparison as comparison
from scalefit.plot.law_predictions import held_out as held_out
from scalefit.plot.loss_curves import curves as curves
from scalefit.plot.loss_surface import surface as surface
from scalefit.plot.observed_losses import observed as observed
from scalefit.plot.parameter_pairs import pairs as pairs
from scalefit.plot.prediction_bands import predictions as predictions
from scalefit.plot.profile_curve import profile as profile
from scalefit.plot.projected_error import projected as projected
from scalefit.plot.residual_panels import residuals as residuals
