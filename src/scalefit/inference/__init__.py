"""How certain a fit is: results of ``bootstrap``, ``covariance``, ``posterior``, ``profile``."""

from scalefit.inference.covariance import Covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.profile_likelihood import Profile
from scalefit.inference.replicates import Replicates
from scalefit.inference.run_noise import RunNoise
from scalefit.results.estimate import Draws, Estimate, TailCorrection

__all__ = [
    "Covariance",
    "Draws",
    "Ensemble",
    "Estimate",
    "Profile",
    "Replicates",
    "RunNoise",
    "TailCorrection",
]
