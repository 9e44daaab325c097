"""The methods by which every public result shows itself, all from one description."""

from __future__ import annotations

from scalefit.arguments import level as checked_level
from scalefit.reporting import render
from scalefit.reporting.description import Description

__all__ = ["Described"]


class Described:
    """A result that shows itself: a subclass builds the description in :meth:`describe`."""

    def describe(self, level: float = 0.95) -> Description:
        """The description that all reports are rendered from.

        Args:
            level: coverage of intervals, where there are any.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        raise NotImplementedError

    def summary(self, level: float = 0.95) -> str:
        """The result as text, for a terminal: ``print(result)`` shows the same at 95 %.

        Args:
            level: coverage of intervals, where there are any.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        return render.text(self.describe(checked_level(level)))

    def to_markdown(self, level: float = 0.95) -> str:
        """The same as Markdown."""
        return render.markdown(self.describe(checked_level(level)))

    def to_latex(self, level: float = 0.95) -> str:
        """Its tables for a paper, with the rules of ``booktabs`` and errors beside the numbers.

        Notes are comments of LaTeX.
        """
        return render.latex(self.describe(checked_level(level)))

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return render.html(self.describe())
