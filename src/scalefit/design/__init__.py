"""What a design of runs determines, and which runs to add to it.

``scalefit.check`` and ``scalefit.next_runs`` use it.
"""

from scalefit.design.chosen_runs import NextRuns
from scalefit.design.design_check import DesignCheck

__all__ = ["DesignCheck", "NextRuns"]
