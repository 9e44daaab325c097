"""Whether a law is right here: what it leaves over, what it predicts, which law is better.

``scalefit.diagnose``, ``scalefit.holdout``, ``scalefit.compare`` and ``scalefit.compare_published``
return its results.
"""

from scalefit.validation.comparison_result import Comparison
from scalefit.validation.diagnosis import Diagnosis
from scalefit.validation.hold_out_result import HoldOut
from scalefit.validation.published_comparison import PublishedComparison
from scalefit.validation.smooth_pattern import SmoothPattern
from scalefit.validation.targets import Target

__all__ = [
    "Comparison",
    "Diagnosis",
    "HoldOut",
    "PublishedComparison",
    "SmoothPattern",
    "Target",
]
