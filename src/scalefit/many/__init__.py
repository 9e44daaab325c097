"""Fits of one law to many small tables at once."""

from scalefit.many.result import FitMany

__all__ = ["FitMany"]
