"""The polish as one compiled program, over blocks of starts, on the devices of a mesh.

Starts of a block go in lockstep. Those that take longer than a round go on from where they are, in
blocks of their own: where a start ends does not depend on the rounds.
"""

from __future__ import annotations

from collections.abc import Callable
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
from scalefit.runtime.progress import Stage
from scalefit.runtime.threads import in_threads

__all__ = ["DevicePolish", "block_width", "polish_in_rounds", "polished_block"]

# Numbers that a start takes for each row.
NUMBERS_PER_ROW = 64

# Most iterations of each round but the last; squares take 8, Huber losses 10 to 60.
LIMITS = (12, 16, 22, 30, 45, 70, 120)

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
        self, mesh: Mesh, table: np.ndarray, starts: Candidates, most: int, stage: Stage | None
    ) -> Polished:
        """Where starts end; see ``polish.Polisher``. Absolute residuals stay smoothed."""
        arrays = padded(self.data)
        ends = blank(len(table), self.objective)

        def call(index: np.ndarray, state: State, limit: int) -> tuple[Polished, State]:
            return self._blocks(mesh, arrays, table[index], starts.take(index), state, limit)

        width = block_width(mesh, arrays.response.size, len(table))
        polish_in_rounds(mesh, call, ends, most, width, stage)
        return ends

    def _blocks(
        self,
        mesh: Mesh,
        arrays: Data,
        table: np.ndarray,
        starts: Candidates,
        state: State,
        most: int,
    ) -> tuple[Polished, State]:
        how = self.data.measure
        static = (self.objective.problem, how.residual, how.absolute, self.dense)
        numbers = (how.delta, how.asymmetry, how.factor * self.tables.unit)
        shared = (arrays, self.settings, numbers, np.int64(most))
        lanes = (self.tables.padded(table), *starts[:2], state)
        found: tuple[Polished, State] = run_lanes(polished_block, mesh, static, shared, lanes)
        return found


def block_width(mesh: Mesh, rows: int, starts: int) -> int:
    """Starts of a block on each device, of so many with so many rows."""
    return lanes_of_block(mesh, 8 * rows * NUMBERS_PER_ROW, starts)


def polish_in_rounds(
    mesh: Mesh,
    call: Callable[[np.ndarray, State, int], tuple[Polished, State]],
    ends: Polished,
    most: int,
    width: int,
    stage: Stage | None = None,
) -> None:
    """Polish starts in blocks, round by round; those that go on are put together in between.

    Args:
        mesh: the devices.
        call: polishes the starts of some places, from their states, up to so many iterations.
        ends: where they end, written in place.
        most: iterations at most.
        width: starts of a block on each device.
        stage: updated with how many have ended.
    """
    count, at_once = len(ends.value), width * mesh.size
    limits = [] if count <= TOGETHER else [limit for limit in LIMITS if limit < most]
    states = _before(*ends.active.shape)
    going = np.arange(count)
    for limit in [*limits, most]:

        def run(index: np.ndarray, limit: int = limit) -> None:
            # The last blocks are filled up to the size that is compiled, the filling dropped.
            filled = np.resize(index, at_once)
            found = call(filled, State(*(leaf[filled] for leaf in states)), limit)
            for leaf, values in zip((*ends, *states), (*found[0], *found[1]), strict=True):
                leaf[index] = values[: len(index)]
            if stage is not None:
                stage.update(int(np.count_nonzero(states.done[index] | (limit >= most))))

        calls = [going[i : i + at_once] for i in range(0, len(going), at_once)]
        # Also a single call: a program that the caller's thread runs cannot be interrupted.
        in_threads(run, calls, callers(mesh))
        going = going[~states.done[going] & (limit < most)]
        if not len(going):
            break


def _before(count: int, size: int) -> State:
    """States of starts that have not begun."""
    return State(
        point=np.zeros((count, size)),
        best=np.zeros((count, size)),
        decrement=np.zeros(count),
        damping=np.zeros((count, 2)),
        finishing=np.zeros(count, dtype=np.int64),
        iteration=np.zeros(count, dtype=np.int64),
        done=np.zeros(count, dtype=bool),
    )


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
    lanes: tuple[Any, Any, Any, State],
) -> tuple[Polished, State]:
    """Where starts end, as one program, and their states.

    Args:
        problem: the problem.
        residual: of the objective.
        absolute: whether the objective is the sum of absolute residuals.
        dense: see :func:`scaled_objective`.
        shared: the design; bounds; delta, asymmetry and factor of the objective; iterations at
            most.
        lanes: losses, weights and metric of each start's table; points to start from, coordinates
            (starts, q) and coefficients in raw units (starts, k); states of those that have begun.
    """
    data, settings, numbers, most = shared
    tables, coordinates, coefficients, before = lanes
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

    begun = frozen_where(jnp, before.iteration > 0, before, begin(objective, point))
    state = lax.while_loop(going, step, begun)
    return newton_ends(objective, factor, batch, state), state
