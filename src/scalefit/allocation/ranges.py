"""Ranges that callers pass: a pair of numbers in ascending order."""

from __future__ import annotations

from typing import Any, Unpack

from scalefit.arguments import Limits, number, refused
from scalefit.errors import ArgumentError

__all__ = ["checked_range"]


def checked_range(
    pair: Any, argument: str, *, remedy: str, **limits: Unpack[Limits]
) -> tuple[float, float]:
    """The ends of a range that is not empty.

    Args:
        pair: what was passed.
        argument: what it is called, as ``within['lr']``.
        remedy: what to pass instead.
        **limits: of both ends, as for :func:`scalefit.arguments.number`.

    Raises:
        ArgumentError: it is no pair of such numbers, or ends before it begins.
    """
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise refused(argument, pair, "a pair of the lowest and the highest value", remedy)
    low, high = (
        number(end, f"{argument}[{i}]", remedy=remedy, **limits) for i, end in enumerate(pair)
    )
    if not low < high:
        raise ArgumentError(
            f"{argument}=({low:g}, {high:g}) ends before it begins",
            argument=argument.partition("[")[0],
            value=pair,
            remedy=remedy,
        )
    return low, high
