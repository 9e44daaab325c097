"""Whether a law is right here: what it leaves over, what it predicts, which law is better."""

from scalefit.validation.hold_out_result import HoldOut

__all__ = ["HoldOut"]
