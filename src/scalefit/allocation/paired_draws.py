"""Two ensembles side by side: their draws paired, or independent."""

from __future__ import annotations

from scalefit.errors import AllocationError
from scalefit.results.estimate import Draws
from scalefit.results.surface import Surface

__all__ = ["paired_draws", "require_alike"]


def require_alike(first: Surface, second: Surface) -> None:
    """Raise where one is an ensemble and the other a fit.

    Raises:
        AllocationError: they differ in this.
    """
    if bool(first.drawn) != bool(second.drawn):
        raise AllocationError(
            "one recipe is an ensemble and the other a fit: bootstrap both, or give both fits"
        )


def paired_draws(ours: Draws, theirs: Draws, paired: bool) -> tuple[Draws, Draws]:
    """Draws of both, of one length.

    Args:
        ours: of the one.
        theirs: of the other.
        paired: whether draw i of both is of the same resample.

    Raises:
        AllocationError: they are not of the same resamples.
    """
    if not paired:
        count = min(len(ours.index), len(theirs.index))
        return ours.first(count), theirs.first(count)
    if ours.origin is None or ours.origin != theirs.origin:
        marks = [tuple(item.origin or ()) for item in (ours, theirs)]
        raise AllocationError(
            f"these ensembles are not paired: {marks[0]} and {marks[1]} (method, seed, draws, "
            "runs). Resample tables of the same runs in the same order by the same method with "
            "the same seed, or leave paired out"
        )
    return ours.shared(theirs), theirs.shared(ours)
