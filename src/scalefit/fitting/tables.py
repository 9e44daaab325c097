"""The tables of a batch: one table, or resampled losses or weights of one design."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from scalefit.fitting.drawn import Drawn
from scalefit.objective import Objective
from scalefit.problem.problem import Data

__all__ = ["Tables", "padded", "padded_rows"]

# Rows of compiled programs are padded to powers of two, so that tables of like size share a
# program; no fewer than this.
FEWEST_ROWS = 32


class Tables:
    """Tables of one design: losses and weights of each, or those of the one table.

    Args:
        objective: what is minimised.
        data: the design, and the one table's losses and weights.
        observed: observed losses of every table, (tables, rows); the one table's by default.
        weight: row weights of every table, (tables, rows); the one table's by default. Drawn ones
            are those of the one table times how often each row was drawn.
    """

    def __init__(
        self,
        objective: Objective,
        data: Data,
        observed: np.ndarray | Drawn | None = None,
        weight: np.ndarray | Drawn | None = None,
    ) -> None:
        self.objective, self.data = objective, data
        self.observed, self.weight = observed, weight
        given = [item for item in (observed, weight) if item is not None]
        # Weights are in a unit of their own, a power of two: however large or small they are,
        # neither their squares nor thresholds of rounding are out of range.
        known = weight if isinstance(weight, np.ndarray) else data.weight
        most = np.max(known, initial=0.0)
        self.unit = float(np.exp2(np.floor(np.log2(most)))) if most > 0 else 1.0
        self.voids = isinstance(weight, Drawn) or bool((known == 0).any())
        # Whether every table has its own target, weight and metric.
        self.own = (observed is not None, weight is not None, bool(given))

    def take(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Losses, weights and metric of some tables, (tables, rows), or (1, rows) if shared.

        Weights are in the tables' own unit.
        """
        data = self.data
        if not any(self.own):
            return data.response[None], data.weight[None] / self.unit, data.metric[None]
        losses, weights = data.response[None], data.weight[None] / self.unit
        if self.observed is not None:
            losses = self.observed[index] / data.unit
        if self.weight is not None:
            weights = np.asarray(self.weight[index], dtype=np.float64) / self.unit
        metric = weights / losses**2 if self.objective.needs_positive_loss else weights
        metric = np.broadcast_to(metric, (len(index), losses.shape[-1]))
        # A table without any weight has no optimum: NaN to the end.
        return losses, weights, metric / metric.sum(axis=-1, keepdims=True)

    def one(self, index: int) -> Data:
        """One of the tables."""
        losses, weights, metric = (item[0] for item in self.take(np.array([index])))
        return self.data._replace(response=losses, weight=weights, metric=metric)

    def padded(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What :meth:`take` returns, for a compiled program: (tables, rows of the program)."""
        rows = self.data.response.size
        filling = ((0, 0), (0, padded_rows(rows) - rows))
        losses, weights, metric = (
            np.broadcast_to(item, (len(index), rows)) for item in self.take(index)
        )
        # Padding repeats the last row, so that nothing not finite enters, at weight zero.
        losses = np.pad(losses, filling, mode="edge")
        return losses, np.pad(weights, filling), np.pad(metric, filling)


def padded_rows(rows: int) -> int:
    """Rows of the compiled program for a table of so many."""
    return 1 << (max(FEWEST_ROWS, rows) - 1).bit_length()


def padded(data: Data) -> Data:
    """The design for a compiled program: rows filled up to a power of two, arrays only."""
    missing = padded_rows(data.response.size) - data.response.size

    def filled(values: Any) -> np.ndarray:
        return np.pad(values, (0, missing), mode="edge")

    return data._replace(
        columns=tuple(map(filled, data.columns)),
        codes=tuple(map(filled, data.codes)),
        response=filled(data.response),
        weight=np.pad(data.weight, (0, missing)),
        metric=np.pad(data.metric, (0, missing)),
        measure=cast(Any, None),
    )
