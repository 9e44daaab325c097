"""Whether a law is right here: what it leaves over, what it predicts, which law is better."""

from scalefit.validation.diagnosis import Diagnosis
from scalefit.validation.smooth_pattern import SmoothPattern
from scalefit.validation.targets import Target

__all__ = [
    "Diagnosis",
    "SmoothPattern",
    "Target",
]
