"""How certain a fit is: draws of its parameters, and intervals of whatever follows from them."""

from scalefit.uncertainty.curvature import Covariance as Covariance
from scalefit.uncertainty.curvature import covariance as covariance
from scalefit.uncertainty.ensemble import Ensemble as Ensemble
from scalefit.uncertainty.estimate import Draws as Draws
from scalefit.uncertainty.estimate import Estimate as Estimate
from scalefit.uncertainty.estimate import Tails as Tails
from scalefit.uncertainty.likelihood import Profile as Profile
from scalefit.uncertainty.likelihood import profile as profile
from scalefit.uncertainty.resampling import bootstrap as bootstrap
from scalefit.uncertainty.sampling import posterior as posterior
