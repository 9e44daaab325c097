"""The polish as one compiled program, over blocks of starts, on the devices of a mesh.

Starts of a block go in lockstep. Those that take longer than a round go on in blocks of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from scalefit.fitting.end_points import Polished, blank, newton_ends
from scalefit.fitting.grid import Candidates
from scalefit.fitting.newton import State, advance, begin, frozen_where
from scalefit.fitting.objective_setup import goal_of, scaled_objective, starting_batch
from scalefit.fitting.scaled_objective import ScaledObjective
from scalefit.fitting.tables import Tables, padded
from scalefit.objective import Residual
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.runtime.meshes import callers, lanes_of_block, run_lanes
from scalefit.runtime.threads import in_threads

__all__ = ["DevicePolish", "polished_block"]

# Numbers that a start takes for each row.
NUMBERS_PER_ROW = 64

# Most iterations of each round; squares take 8, Huber losses 10 to 60.
LIMITS = (12, 30)

# Up to so many starts go on together to the end.
TOGETHER = 32


class DevicePolish:
    """Polishes starts on tables of one design by the compiled program.

    Args:
        objective: the objective, on the host.
        settings: bounds.
        tables: the tables.
        dense: see :func:`scaled_objective`.
    """

    def __init__(
        self, objective: ScaledObjective, settings: Settings, tables: Tables, dense: bool
    ) -> None:
        self.objective, self.settings, self.tables, self.dense = objective, settings, tables, dense
        self.data = tables.data

    def __call__(
        self, mesh: Mesh, table: np.ndarray, starts: Candidates, most: int, bar: Any
    ) -> Polished:
        """Where starts end; see ``polish.Polisher``. Absolute residuals stay smoothed."""
        arrays = padded(self.data)
        each = 8 * arrays.response.size * NUMBERS_PER_ROW
        width = lanes_of_block(mesh, each, len(table)) * mesh.size
        ends = blank(len(table), self.objective)
        # Delta of a smoothed sum would be chosen anew whenever it is interrupted.
        together = self.data.measure.absolute or len(table) <= TOGETHER
        limits = [] if together else [limit for limit in LIMITS if limit < most]
        going, points = np.arange(len(table)), starts
        for limit in [*limits, most]:

            def run(index: np.ndarray, now: Candidates = points, limit: int = limit) -> None:
                # The last blocks are filled up to the size that is compiled, the filling dropped.
                filled = np.resize(index, width)
                found = self._blocks(mesh, arrays, table[filled], now, filled, limit)
                ends.put(index, Polished(*(leaf[: len(index)] for leaf in found)))

            calls = [going[first : first + width] for first in range(0, len(going), width)]
            # Also a single call: a program that the caller's thread runs cannot be interrupted.
            in_threads(run, calls, callers(mesh))
            left = going[ends.iterations[going] >= limit]
            if bar is not None:
                bar.update(len(going) - len(left) if limit < most else len(going))
            going = left
            if not len(going):
                break
            points = Candidates(ends.coordinates, ends.coefficients, ends.value)
        return ends

    def _blocks(
        self,
        mesh: Mesh,
        arrays: Data,
        table: np.ndarray,
        points: Candidates,
        which: np.ndarray,
        most: int,
    ) -> Polished:
        how = self.data.measure
        static = (self.objective.problem, how.residual, how.absolute, self.dense)
        numbers = (how.delta, how.asymmetry, how.factor * self.tables.unit)
        shared = (arrays, self.settings, numbers, np.int64(most))
        start = (points.coordinates[which], points.coefficients[which])
        lanes = (self.tables.padded(table), *start)
        return cast(Polished, run_lanes(polished_block, mesh, static, shared, lanes))


class _TracedMeasure(NamedTuple):
    """A measure whose numbers are passed beside it."""

    residual: Residual
    asymmetry: float = 1.0


def polished_block(
    problem: Problem,
    residual: Residual,
    absolute: bool,
    dense: bool,
    shared: tuple[Any, Any, Any, Any],
    lanes: tuple[Any, Any, Any],
) -> Polished:
    """Where starts end, as one program.

    Args:
        problem: the problem.
        residual: of the objective.
        absolute: whether the objective is the sum of absolute residuals.
        dense: see :func:`scaled_objective`.
        shared: the design; bounds; delta, asymmetry and factor of the objective; iterations at
            most.
        lanes: losses, weights and metric of each start's table; points to start from, coordinates
            (starts, q) and coefficients in raw units (starts, k).
    """
    data, settings, numbers, most = shared
    tables, coordinates, coefficients = lanes
    delta, asymmetry, factor = numbers
    data = data._replace(measure=cast(Any, _TracedMeasure(residual)))
    objective = scaled_objective(problem, data, jnp, asymmetry=asymmetry, dense=dense)
    start = (tables, delta, absolute, coordinates, coefficients)
    batch, point = starting_batch(objective, settings, *start)
    goal = goal_of(absolute)

    def step(state: State) -> State:
        moved = advance(objective, batch, goal, state, projected=problem.scattered)
        return frozen_where(jnp, state.done | (state.iteration >= most), state, moved)

    def going(state: State) -> Any:
        return (~state.done & (state.iteration < most)).any()

    state = lax.while_loop(going, step, begin(objective, point))
    return newton_ends(objective, factor, batch, state)
