"""Whether a law is right here: what it leaves over, what it predicts, which law is better."""

from scalefit.validation.comparison_result import Comparison

__all__ = ["Comparison"]
