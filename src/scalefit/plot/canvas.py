"""What a picture is drawn on: the Axes given, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.arguments import instance, refused

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["several", "single", "with_unit"]


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


def several(ax: Any, shape: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    """Several Axes in a row, shape (columns,), or in a grid, shape (rows, columns).

    Args:
        ax: as many Axes, or None.
        shape: rows and columns; one row is returned as a vector.
        size: width and height of a new figure, inches.

    Raises:
        ArgumentError: they are neither.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        ax = plt.subplots(*shape, figsize=size, layout="constrained")[1]
    try:
        found = np.ravel(np.asarray(ax, dtype=object))
    except Exception:  # Whatever its own methods raise.
        found = np.empty(0, dtype=object)
    count = shape[0] * shape[1]
    if len(found) != count or not all(isinstance(item, Axes) for item in found):
        remedy = f"Pass ax=matplotlib.pyplot.subplots({shape[0]}, {shape[1]})[1], or leave it out"
        raise refused("ax", ax, f"{count} Axes of matplotlib", remedy)
    return found if shape[0] == 1 and shape[1] > 1 else found.reshape(shape)


def with_unit(name: str, unit: str) -> str:
    """What an axis shows, with its unit where it is known."""
    return f"{name}, {unit}" if unit else name
