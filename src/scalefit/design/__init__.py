"""What a design of runs determines, and which runs to add to it.

``scalefit.check`` uses it.
"""

from scalefit.design.design_check import DesignCheck

__all__ = ["DesignCheck"]
