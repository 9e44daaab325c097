"""How certain a fit is: draws of its parameters, and intervals of whatever follows from them."""

from scalefit.inference.bootstrap import bootstrap as bootstrap
from scalefit.inference.covariance import Covariance as Covariance
from scalefit.inference.covariance import covariance as covariance
from scalefit.inference.ensemble import Ensemble as Ensemble
from scalefit.inference.estimate import Draws as Draws
from scalefit.inference.estimate import Estimate as Estimate
from scalefit.inference.estimate import Tails as Tails
from scalefit.inference.posterior import posterior as posterior
from scalefit.inference.profile_likelihood import Profile as Profile
from scalefit.inference.profile_likelihood import profile as profile
