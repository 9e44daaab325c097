"""What a picture is drawn on: the Axes given, or new ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.allocation.result import Allocation
from scalefit.arguments import instance, refused
from scalefit.notes import Note
from scalefit.plot.style import prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["beyond", "several", "single", "warned"]

# Pictures show the first; the second sums up those of a fit.
SHOWN = ("extrapolation", "fit_warnings")


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
        return prepared(plt.subplots(figsize=size, layout="constrained")[1])
    remedy = "Pass Axes, as ax=matplotlib.pyplot.gca(), or leave it out"
    return prepared(instance(ax, "ax", Axes, wanted="Axes of matplotlib", remedy=remedy))


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
    for one in found:
        prepared(one)
    return found if shape[0] == 1 and shape[1] > 1 else found.reshape(shape)


def beyond(best: Allocation) -> list[str]:
    """How far the compute of an allocation lies beyond the runs of its fit, a phrase or none."""
    far = [note.details.get("flops", 0.0) for note in best.notes if note.code == "extrapolation"]
    return [
        f"{max(far):.1f} decades of compute beyond the runs" for _ in far[:1] if max(far) > 0.05
    ]


def warned(notes: Iterable[Note]) -> list[str]:
    """The codes of warnings but that of extrapolation, which pictures show, a phrase or none."""
    codes = [note.code for note in notes if note.severity == "warning"]
    codes = [code.replace("_", " ") for code in dict.fromkeys(codes) if code not in SHOWN]
    return [f"warned of: {', '.join(codes)}"] if codes else []
