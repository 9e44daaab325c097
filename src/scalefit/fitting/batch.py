"""Many fits of one law to one design at once: replicates of a bootstrap, splits of a hold-out.

Every replicate is a fit of its own: the grid is searched over the whole bounds for it, and its best
cells are polished to the same accuracy as a single fit's, by the same code. What replicates share
is the design: the columns of the law are evaluated once for all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.errors import DataError
from scalefit.fitting import grid, refine
from scalefit.fitting.devices import on_device
from scalefit.fitting.problem import Data, Problem, Settings
from scalefit.objective import Objective, measure

__all__ = ["Refits", "refit"]

# Cells per axis of a replicate's grid, where there are at most two: see grid.POINTS.
POINTS = 96

# Replicates are searched and polished together in chunks, so that memory does not grow with their
# number: a chunk holds about this many bytes of cells.
CHUNK_BYTES = 32 * 2**20


class Refits(NamedTuple):
    """The best point of every replicate.

    Attributes:
        coefficients: linear coefficients, raw units, shape (replicates, k).
        coordinates: nonlinear coordinates, shape (replicates, q).
        value: objective, shape (replicates,).
        promise: see :class:`scalefit.fitting.refine.Polished`, shape (replicates,).
        stationary: see there, shape (replicates,).
        active: see there, shape (replicates, p).
        basins: local minima on the grid, shape (replicates,).
    """

    coefficients: np.ndarray
    coordinates: np.ndarray
    value: np.ndarray
    promise: np.ndarray
    stationary: np.ndarray
    active: np.ndarray
    basins: np.ndarray


def refit(
    problem: Problem,
    objective: Objective,
    settings: Settings,
    data: Data,
    *,
    observed: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    points: int | None = None,
    starts: int = 1,
    device: str | None = None,
) -> Refits:
    """Fits of the same law to replicates of one table, each searched globally and polished.

    Args:
        problem: the problem.
        objective: what is minimised.
        settings: bounds.
        data: the table, packed.
        observed: observed losses of every replicate, shape (replicates, rows); the table's own by
            default.
        weight: row weights of every replicate, shape (replicates, rows); the table's own by
            default.
        points: grid cells per axis.
        starts: cells polished for each replicate.
        device: where to compute, as for ``fit``.

    Returns:
        The best point of each.

    Raises:
        DataError: neither losses nor weights are given, or their shapes differ from the table's.
    """
    rows = _rows(data)
    given = [item for item in (observed, weight) if item is not None]
    if not given or any(item.ndim != 2 or item.shape != (len(given[0]), rows) for item in given):
        raise DataError(
            f"replicates need losses or weights of shape (replicates, {rows}), not "
            f"{' and '.join(str(item.shape) for item in given) or 'none at all'}",
            remedy="Pass observed=, weight= or both, of one length, a column for each row",
        )
    count = len(given[0])
    axes = grid.axes(problem, settings, points or (POINTS if len(problem.nonlinear) <= 2 else None))
    cells = int(np.prod([len(axis) for axis in axes]))
    chunk = max(1, min(count, CHUNK_BYTES // (8 * max(cells, data.response.size * 64))))
    shared = observed is None
    found = []
    with on_device(device):
        for first in range(0, count, chunk):
            # The last chunk is filled up to the size that is compiled, and the filling dropped.
            index = np.arange(first, first + chunk) % count
            replicates = _packed(
                objective,
                data,
                None if observed is None else observed[index],
                None if weight is None else weight[index],
                rows,
            )
            found.append(
                jax.device_get(_refit(problem, replicates, settings, axes, starts, shared))
            )
    joined = [np.concatenate(leaves)[:count] for leaves in zip(*found, strict=True)]
    return Refits(*joined)


def _rows(data: Data) -> int:
    """Rows of the table without the padding, which repeats the first one at weight zero."""
    own = np.asarray(data.weight) > 0
    for values in (*data.columns, *data.codes, data.response):
        own = own | (np.asarray(values) != np.asarray(values)[0])
    return int(np.flatnonzero(own)[-1]) + 1


def _packed(
    objective: Objective,
    data: Data,
    observed: np.ndarray | None,
    weight: np.ndarray | None,
    rows: int,
) -> Data:
    """The table with losses and weights of several replicates, padded as it is."""
    size = data.response.size

    def padded(values: np.ndarray, fill: bool) -> np.ndarray:
        # As in the table: padding repeats the first row, at weight zero.
        rest = values[:, :1] if fill else np.zeros((len(values), 1))
        return np.concatenate([values, np.repeat(rest, size - rows, axis=1)], axis=1)

    response = data.response if observed is None else padded(observed, True) / data.unit
    weights = data.weight[None] if weight is None else padded(weight, False)
    metric = weights / response**2 if objective.needs_positive_loss else weights
    count = len(weights) if observed is None else len(observed)
    metric = np.broadcast_to(metric / metric.sum(axis=-1, keepdims=True), (count, size))
    return data._replace(
        response=response,
        weight=np.broadcast_to(weights, metric.shape),
        metric=metric,
        measure=measure(objective, response, float(data.unit)),
    )


@partial(jax.jit, static_argnames=("problem", "starts", "shared"))
def _refit(
    problem: Problem, data: Data, settings: Settings, axes: list[Any], starts: int, shared: bool
) -> Refits:
    def one(response: Any, weight: Any, metric: Any, divisor: Any) -> Refits:
        own = data._replace(
            response=response,
            weight=weight,
            metric=metric,
            measure=data.measure._replace(divisor=divisor),
        )
        ranking = grid.rank(problem, own, settings, axes, starts)
        candidates = grid.cells(problem, own, settings, axes, ranking.tiles)
        scale = jax.vmap(partial(refine.scales, problem, own))(candidates.coordinates)
        candidates = candidates._replace(coefficients=candidates.coefficients * own.unit / scale)
        polished = refine.polish(problem, own, settings, candidates)
        value = jnp.where(jnp.isfinite(polished.value), polished.value, jnp.inf)
        best = jnp.argmin(value)
        return Refits(
            polished.coefficients[best],
            polished.coordinates[best],
            polished.value[best],
            polished.promise[best],
            polished.stationary[best],
            polished.active[best],
            ranking.basins,
        )

    own = None if shared else 0
    return jax.vmap(one, (own, 0, 0, own))(
        data.response, data.weight, data.metric, data.measure.divisor
    )
