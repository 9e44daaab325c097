"""What a picture is drawn on: the Axes given, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.arguments import instance, refused

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pair", "single"]


def single(ax: Any, size: tuple[float, float]) -> Axes:
    """The Axes themselves, or new ones.

    Args:
        ax: Axes, or None.
        size: width and height of a new figure, inches.

    Raises:
        ArgumentError: it is neither.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    remedy = "Pass Axes, as ax=matplotlib.pyplot.gca(), or leave it out"
    return instance(ax, "ax", Axes, wanted="Axes of matplotlib", remedy=remedy)


def pair(axes: Any, size: tuple[float, float], argument: str = "axes") -> np.ndarray:
    """Two Axes, side by side where they are new, shape (2,).

    Args:
        axes: two Axes, or None.
        size: width and height of a new figure, inches.
        argument: what they are called where they were passed.

    Raises:
        ArgumentError: they are neither.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if axes is None:
        axes = plt.subplots(1, 2, figsize=size, layout="constrained")[1]
    try:
        found = np.ravel(np.asarray(axes, dtype=object))
    except Exception:  # Whatever its own methods raise.
        found = np.empty(0, dtype=object)
    if len(found) != 2 or not all(isinstance(item, Axes) for item in found):
        remedy = f"Pass two, as {argument}=matplotlib.pyplot.subplots(1, 2)[1], or leave it out"
        raise refused(argument, axes, "two Axes of matplotlib", remedy)
    return found
