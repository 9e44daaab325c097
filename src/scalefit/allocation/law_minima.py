"""Where a law is least along some of its columns, at a fit and under every draw.

The law is tried on a grid, and its lowest cell is refined by Newton's method within the range, with
exact derivatives: of a quadratic form one step is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.column_derivatives import column_derivatives, derivatives_of
from scalefit.laws import Law
from scalefit.runtime.settings import quiet
from scalefit.tracing.operations import Function, Program

__all__ = ["Minima", "Valley", "minima"]

# Values of each column that are tried, by the number of columns: over six decades, a valley of two
# columns is seen that is wider than a fifth of a decade.
CELLS = {1: 257, 2: 33, 3: 13, 4: 7}

# Values of a law at once: 16 MB of each array.
AT_ONCE = 2_000_000

# Newton steps, and halvings of one that climbs. Ten are usual.
STEPS = 60
HALVINGS = 30

# Relative rounding of a value, by which a step may seem to climb.
ROUNDING = 1e-14
# The optimum is found where a step is shorter than this, in the coordinate (a logarithm).
FOUND = 1e-7
# Curvature, relative to the largest of all columns, below which a valley has no bottom.
FLAT = 1e-9


class Minima(NamedTuple):
    """The least values within a range, and what they are.

    Attributes:
        place: coordinates, shape (draws, points, columns).
        value: the response there, shape (draws, points).
        curvature: its second derivatives in the coordinates, shape (draws, points, columns,
            columns).
        ended: which column is at an end of its range, shape (draws, points, columns).
        inside: whether it is a minimum inside the range, shape (draws, points).
        flat: whether it does not change along some direction, shape (draws, points).
    """

    place: np.ndarray
    value: np.ndarray
    curvature: np.ndarray
    ended: np.ndarray
    inside: np.ndarray
    flat: np.ndarray


class Valley:
    """A law along some of its columns.

    Args:
        law: the law.
        over: the columns.
        logs: whether the coordinate of each is its logarithm.
        others: values of the other columns, each of shape (points,).
        params: parameters by name, each of shape (draws,).
    """

    def __init__(
        self,
        law: Law,
        over: Sequence[str],
        logs: Sequence[bool],
        others: Mapping[str, np.ndarray],
        params: Mapping[str, np.ndarray],
    ) -> None:
        self.law, self.over, self.logs = law, tuple(over), tuple(logs)
        self.others, self.params = others, params
        self.points = len(next(iter(others.values()))) if others else 1
        self.draws = len(next(iter(params.values())))

    def some(self, points: slice) -> Valley:
        """The same at some of the points."""
        others = {name: values[points] for name, values in self.others.items()}
        return Valley(self.law, self.over, self.logs, others, self.params)

    def columns(self, place: np.ndarray) -> dict[str, np.ndarray]:
        """Columns in raw units at coordinates of shape (..., columns)."""
        found = {
            name: np.exp(place[..., i]) if log else place[..., i]
            for i, (name, log) in enumerate(zip(self.over, self.logs, strict=True))
        }
        return {**self.others, **found}

    @quiet()
    def value(self, place: np.ndarray) -> np.ndarray:
        """The law at coordinates of shape (..., draws or 1, points or 1, columns); inf elsewhere.

        Returns:
            Shape (..., draws, points).
        """
        columns = self.columns(place)
        params = {name: values[:, None] for name, values in self.params.items()}
        found = self.law.evaluate(columns, params)
        for relation in self.law.relations:
            found = np.where(relation.holds(columns), found, np.inf)
        return np.where(np.isnan(found), np.inf, found)

    @quiet()
    def slopes(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivatives at coordinates of shape (draws, points, columns)."""
        shape = place.shape[:-1]
        coordinates = {name: place[..., i] for i, name in enumerate(self.over)}
        every = {**self.others, **coordinates}
        given = [np.broadcast_to(every[name], shape) for name in self.law.columns]
        params = [self.params[name] for name in self.law.names]
        found = _run(column_derivatives(self.law, self.over, self.logs), given, params)
        return derivatives_of(found, len(self.over), shape)[1:]


def minima(valley: Valley, low: np.ndarray, high: np.ndarray) -> Minima:
    """The least value of each draw and point within a range.

    Args:
        valley: the law.
        low: lower ends of the coordinates, shape (columns,).
        high: upper ends.
    """
    axes = [np.linspace(*ends, CELLS[len(low)]) for ends in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    each = max(1, AT_ONCE // (len(cells) * valley.draws))
    parts = []
    for start in range(0, valley.points, each):
        some = valley.some(slice(start, start + each))
        best = some.value(cells[:, None, None, :]).argmin(axis=0)
        parts.append(_refined(some, cells[best], low, high))
    return Minima(*(np.concatenate(items, axis=1) for items in zip(*parts, strict=True)))


def _refined(valley: Valley, place: np.ndarray, low: np.ndarray, high: np.ndarray) -> Minima:
    """Newton's method from places of shape (draws, points, columns), within the range."""
    value, step = valley.value(place), np.full(place.shape, np.inf)
    for _ in range(STEPS):
        first, second = valley.slopes(place)
        held = ((place <= low) & (first > 0)) | ((place >= high) & (first < 0))
        wanted = _newton_step(first, second, held)
        step, place, value = _descended(valley.value, place, value, wanted, low, high)
        if not (np.abs(step) > FOUND).any():
            break
    first, second = valley.slopes(place)
    ended = (place <= low) | (place >= high)
    least = np.linalg.eigvalsh(np.nan_to_num(second))
    # Relative to the steepest direction, and to the rounding of the response over the whole range.
    bottom = np.maximum(
        FLAT * np.abs(least).max(axis=-1), FLAT * np.abs(value) / np.square(high - low).max()
    )
    sound = least[..., 0] > bottom
    still = np.abs(_newton_step(first, second, np.zeros_like(ended))).max(axis=-1) < 100 * FOUND
    inside = ~ended.any(axis=-1) & sound & still & np.isfinite(value)
    return Minima(place, value, second, ended, inside, np.abs(least).min(axis=-1) <= bottom)


def _newton_step(first: np.ndarray, second: np.ndarray, held: np.ndarray) -> np.ndarray:
    """A step that descends: along each principal axis by the slope over the absolute curvature."""
    first = np.where(held, 0.0, np.nan_to_num(first))
    apart = held[..., :, None] | held[..., None, :]
    second = np.where(apart, 0.0, np.nan_to_num(second)) + np.eye(first.shape[-1]) * held[..., None]
    curvature, axes = np.linalg.eigh(second)
    size = np.abs(curvature).max(axis=-1, keepdims=True)
    curvature = np.maximum(np.abs(curvature), np.maximum(FLAT * size, np.finfo(float).tiny))
    along = np.einsum("...ji,...j->...i", axes, first) / curvature
    return np.asarray(-np.einsum("...ij,...j->...i", axes, along))


def _descended(
    function: Callable[[np.ndarray], np.ndarray],
    place: np.ndarray,
    value: np.ndarray,
    step: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The step made, where it leads and the value there: halved until it does not climb."""
    scale = np.ones(value.shape)
    for _ in range(HALVINGS):
        trial = np.clip(place + scale[..., None] * step, low, high)
        found = function(trial)
        climbs = ~(found <= value + ROUNDING * np.abs(value))
        if not climbs.any():
            break
        scale = np.where(climbs, 0.5 * scale, scale)
    trial = np.where(climbs[..., None], place, trial)
    return trial - place, trial, np.where(climbs, value, found)


def _run(function: Function, columns: list[np.ndarray], params: list[np.ndarray]) -> list[Any]:
    """A traced function at columns of shape (draws, points) and parameters of shape (draws,)."""
    if isinstance(function, Program):
        return function(*columns, *(item[:, None] for item in params))
    rows = [
        function.bind(*(item[k] for item in columns))(*(item[k : k + 1] for item in params))
        for k in range(len(columns[0]))
    ]
    return [np.stack([np.ravel(item) for item in items]) for items in zip(*rows, strict=True)]
