"""What a design of runs determines, and which runs to add to it.

``scalefit.next_runs`` uses it.
"""

from scalefit.design.chosen_runs import NextRuns

__all__ = ["NextRuns"]
