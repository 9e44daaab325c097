"""Boxes of nonlinear parameters, and a law's columns over them.

A column depends on one parameter, so that boxes share its enclosures with each other and with
their parts.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scalefit.certification.enclosures import Columns
from scalefit.certification.rounding import EPSILON, gamma

__all__ = [
    "Boxes",
    "ColumnCache",
    "Gathered",
    "OpenBoxes",
    "curvature_bound",
    "least_ratio",
    "repair_ratio",
    "upper_bound",
    "workspace",
]

# Numbers of columns over intervals that are kept at a time: 64 MiB.
MOST_KEPT = 1 << 23

# Numbers of a working array that a thread keeps from one proof to the next: 4 MiB.
MOST_HELD = 1 << 19


@dataclass
class Boxes:
    """Boxes still to be bounded.

    Attributes:
        lower: lower ends of the coordinates, (boxes, q).
        upper: upper ends.
        passive: the columns with a positive coefficient in the parent, (boxes, columns).
        ranges: where a row's prediction lies at every point of the box that is below the target,
            as the loss counts predictions, (boxes, 2, rows); of no rows where the loss has no use
            for it.
    """

    lower: np.ndarray
    upper: np.ndarray
    passive: np.ndarray
    ranges: np.ndarray

    def __len__(self) -> int:
        return len(self.lower)

    def take(self, which: Any) -> Boxes:
        """Some of the boxes."""
        return Boxes(self.lower[which], self.upper[which], self.passive[which], self.ranges[which])

    def joined(self, other: Boxes) -> Boxes:
        """These boxes and others."""
        names = ("lower", "upper", "passive", "ranges")
        return Boxes(*(np.concatenate([getattr(x, n) for x in (self, other)]) for n in names))


class ColumnCache:
    """Enclosures of the columns over every interval bounded so far.

    Attributes:
        middle: see :class:`~scalefit.certification.enclosures.Pieces`, (places, 5, rows).
        error: by how much a product with ``middle`` may be off, for each unit of the other factor:
            the radius and the rounding of a dot product.
        against: what a unit of the direction takes off each column's test at least, (places,).
        least: lower bound of the column over the interval, (places, rows).
        finite: whether the column is finite at the ends, (places,).
    """

    def __init__(self, columns: Columns, direction: np.ndarray) -> None:
        self.columns, self.direction = columns, direction
        self.gamma = gamma(len(direction))
        self.by_axis = [
            [place for place, own in enumerate(columns.axis) if own == axis]
            for axis in range(len(columns.problem.nonlinear))
        ]
        self._clear()

    def _clear(self) -> None:
        self.used = 0
        # Memory that nothing is written to costs nothing.
        rows = len(self.direction)
        places = min(256, MOST_KEPT // (5 * rows))
        self.middle = np.empty((places, 5, rows))
        self.error = np.empty((places, 5, rows))
        self.against = np.empty(places)
        self.least = np.empty((places, rows))
        self.finite = np.empty(places, dtype=bool)
        # By coordinate and interval, the places of the columns that depend on the coordinate.
        self.places: list[dict[tuple[float, float], tuple[int, ...]]] = [{} for _ in self.by_axis]

    def find(self, boxes: Boxes) -> np.ndarray:
        """Place of each column over the interval of each box, (boxes, columns)."""
        if self.used * 5 * len(self.direction) > MOST_KEPT:
            self._clear()
        pairs = [
            list(zip(lower.tolist(), upper.tolist(), strict=True))
            for lower, upper in zip(boxes.lower.T, boxes.upper.T, strict=True)
        ]
        self._add(
            [
                [pair for pair in dict.fromkeys(mine) if pair not in held]
                for mine, held in zip(pairs, self.places, strict=True)
            ]
        )
        where = np.empty((len(boxes), len(self.columns)), dtype=int)
        for mine, held, columns in zip(pairs, self.places, self.by_axis, strict=True):
            where[:, columns] = np.array([held[pair] for pair in mine]).reshape(len(boxes), -1)
        return where

    def _add(self, fresh: list[list[tuple[float, float]]]) -> None:
        """Take up intervals, given for each coordinate."""
        counts = [len(fresh[axis]) for axis in self.columns.axis]
        if not sum(counts):
            for held, pairs in zip(self.places, fresh, strict=True):
                held.update(dict.fromkeys(pairs, ()))
            return
        ends = [np.array(pairs).reshape(-1, 2).T for pairs in fresh]
        pieces = self.columns.pieces([item[0] for item in ends], [item[1] for item in ends])
        first, last = self.used, self.used + sum(counts)
        if last > len(self.middle):
            for name in ("middle", "error", "against", "least", "finite"):
                old = getattr(self, name)
                grown = np.empty((2 * last, *old.shape[1:]), dtype=old.dtype)
                grown[:first] = old[:first]
                setattr(self, name, grown)
        mine = slice(first, last)
        self.middle[mine] = pieces.middle
        error = np.abs(pieces.middle, out=self.error[mine])
        error += pieces.radius
        error *= self.gamma
        error += pieces.radius
        e = self.direction
        self.against[mine] = pieces.least @ e - self.gamma * (np.abs(pieces.least) @ e)
        self.least[mine] = pieces.least
        self.finite[mine] = np.isfinite(pieces.middle[:, :2]).all(axis=(1, 2))
        starts = first + np.cumsum([0, *counts])
        for held, pairs, columns in zip(self.places, fresh, self.by_axis, strict=True):
            for number, pair in enumerate(pairs):
                held[pair] = tuple(int(starts[place]) + number for place in columns)
        self.used = last


class Gathered(NamedTuple):
    """Columns over the intervals of a batch of boxes.

    Attributes:
        middle: see :class:`~scalefit.certification.enclosures.Pieces`, (boxes, columns, 5, rows).
        error: see :class:`ColumnCache`, for each box.
        against: see :class:`ColumnCache`, (boxes, columns).
        places: where each column's bounds are in the cache, (boxes, columns).
        width: upper bound of the width of the interval, (boxes, columns).
    """

    middle: np.ndarray
    error: np.ndarray
    against: np.ndarray
    places: np.ndarray
    width: np.ndarray

    def take(self, which: Any) -> Gathered:
        """Columns of some of the boxes."""
        return Gathered(*(item[which] for item in self))

    def dots(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Products with u, (boxes, columns, 5), and bounds of their errors."""
        boxes, columns, kinds, rows = self.middle.shape
        shape = boxes, columns * kinds, rows
        found = self.middle.reshape(shape) @ u[:, :, None]
        errors = self.error.reshape(shape) @ np.abs(u)[:, :, None]
        errors *= 1.01
        return found.reshape(boxes, columns, kinds), errors.reshape(boxes, columns, kinds)


class OpenBoxes(NamedTuple):
    """Boxes whose ranges are being narrowed, with the best bound and dual vector of each.

    Attributes:
        gathered: their columns.
        corners: the columns at the ends of the intervals, (boxes, columns, rows).
        slack: what the bound loses by each coordinate, (boxes, q).
        ranges: see :class:`Boxes`.
        bounds: lower bounds, (boxes,).
        u: the dual vectors that prove them, (boxes, rows).
        predicted: predictions near the least sum of envelopes, (boxes, rows).
        passive: the columns with a positive coefficient, (boxes, columns).
    """

    gathered: Gathered
    corners: np.ndarray
    slack: np.ndarray
    ranges: np.ndarray
    bounds: np.ndarray
    u: np.ndarray
    predicted: np.ndarray
    passive: np.ndarray


_HELD = threading.local()


def workspace(name: str, *shape: int) -> np.ndarray:
    """An array to write to, until the next call with that name in this thread.

    The memory is used again, by other proofs too: fresh memory takes a fifth of a proof's time.
    """
    size = math.prod(shape)
    if size > MOST_HELD:
        return np.empty(shape)
    held: dict[str, np.ndarray] = _HELD.__dict__
    if name not in held or held[name].size < size:
        held[name] = np.empty(size)
    return held[name][:size].reshape(shape)


def curvature_bound(
    dots: np.ndarray, errors: np.ndarray, second: np.ndarray, third: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Upper bound of -g'' over the interval, by its enclosure or from its middle."""
    whole = -dots[..., 3] + second
    middle = -dots[..., 2] + errors[..., 2] + 0.5 * width * (np.abs(dots[..., 4]) + third)
    return np.minimum(
        np.where(np.isnan(whole), np.inf, whole), np.where(np.isnan(middle), np.inf, middle)
    )


def upper_bound(a: np.ndarray, b: np.ndarray, curve: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Upper bound on an interval of g with ends a and b and -g'' <= curve."""
    bulge = np.maximum(curve, 0.0) * width**2 / 8 * (1 + 8 * EPSILON)
    rise = np.abs(b - a) * (1 - 4 * EPSILON)
    # Chord plus parabola: its top lies inside where the chord rises less than 4 bulges.
    inside = rise < 4 * bulge
    top = 0.5 * (a + b) + bulge + np.where(inside, rise**2 / (16 * bulge), 0.0)
    top = np.where(inside, top + 8 * EPSILON * (np.abs(a) + np.abs(b) + bulge), np.maximum(a, b))
    return np.where(np.isnan(top), np.inf, top)


def repair_ratio(excess: np.ndarray, against: np.ndarray) -> np.ndarray:
    """How much of the direction repairs an excess; infinite where it cannot."""
    needed = excess / against * (1 + 1e-9)
    return np.where(excess <= 0, 0.0, np.where(against > 0, needed, np.inf))


def least_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Least ratio over the rows where the denominator is positive, not negative, rounded up."""
    ratio = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.inf)
    return np.asarray(np.maximum(ratio.min(axis=-1), 0.0) * (1 + 4 * EPSILON))
