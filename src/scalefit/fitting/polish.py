"""From starts to optima: who runs the Newton iterations of a batch, and where.

On the host numpy does the work, in threads that each keep a batch of starts going: a start that
ends makes room for the next. On devices of JAX's the same iteration runs as one compiled program
(device_polish.py).

The sum of absolute residuals is first minimised as a Huber loss whose delta is their mean where a
start begins; its exact minimum follows from there, on the host (l1.py, huber_continuation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from scalefit.fitting.arrow import arrangement
from scalefit.fitting.device_polish import DevicePolish
from scalefit.fitting.end_points import Polished, blank, end_points, newton_ends
from scalefit.fitting.grid import Candidates
from scalefit.fitting.huber_continuation import continued
from scalefit.fitting.l1 import minimise_l1
from scalefit.fitting.level_objective import LevelObjective
from scalefit.fitting.newton import LENGTHS, MOST_ITERATIONS, State, advance, begin, frozen_where
from scalefit.fitting.objective_setup import (
    SMOOTHED_LEAST,
    goal_of,
    scaled_objective,
    starting_batch,
)
from scalefit.fitting.scaled_objective import Batch
from scalefit.fitting.tables import Tables
from scalefit.problem.problem import Problem, Settings
from scalefit.runtime.meshes import mesh_of
from scalefit.runtime.progress import Stage
from scalefit.runtime.settings import processor, quiet
from scalefit.runtime.threads import THREADS, checkpoint, in_threads

__all__ = ["HOST_NUMBERS", "Polisher"]

# Coefficients up to which absolute residuals are minimised with dense matrices.
MOST_DENSE_ABSOLUTE = 32

# Of absolute residuals near a minimum: the delta of their Huber loss, as a share of their median.
NEARBY = 1e-3

# Numbers in one row of a batch of starts on the host: it stays in cache, and is long enough that
# numpy's overhead of a call does not matter.
HOST_NUMBERS = 2**14
# Rows from which threads share the starts: on shorter rows threads of Python wait for each other
# longer than numpy works.
THREADED_ROWS = 2**14
# Starts that are done wait until this share of a batch is, and are then replaced together.
REFILL = 0.2

# Starts times rows above which the compiled program runs on the host as well: a few seconds of
# compiling are then worth it, and it uses every core (20,000 replicates of 200 rows).
COMPILED_NUMBERS = 2**22


class _Running(NamedTuple):
    """Starts under way.

    Attributes:
        place: number of each start.
        batch: their tables.
        state: where they are.
    """

    place: Any
    batch: Batch
    state: State


class Polisher:
    """Polishes starts on tables of one design.

    Args:
        problem: the problem.
        settings: bounds.
        tables: the tables.
        mesh: the devices whose compiled programs run, or None for numpy on the host.
        near: whether starts lie in the valley of their optimum, so that Newton's step will do.
    """

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        tables: Tables,
        mesh: Mesh | None = None,
        near: bool = False,
    ) -> None:
        self.settings, self.tables, self.mesh = settings, tables, mesh
        self.data = data = tables.data
        self.absolute = data.measure.absolute
        self.factor = data.measure.factor * tables.unit
        most = MOST_DENSE_ABSOLUTE if self.absolute else 0
        dense = arrangement(problem) is None or len(problem.owners) <= most
        self.objective = scaled_objective(problem, data, voids=tables.voids, dense=dense)
        self.lengths = () if near else LENGTHS
        self._advance = partial(
            advance,
            self.objective,
            goal=goal_of(self.absolute),
            lengths=self.lengths,
            projected=problem.scattered,
        )
        self._on_devices = DevicePolish(self.objective, settings, tables, dense)
        # Which fields of a batch each start has of its own, in the order of ``Batch``.
        self._own = (*tables.own, True, True, True, self.absolute, False)
        self._width = max(1, HOST_NUMBERS // data.response.size)

    def __call__(
        self,
        table: np.ndarray,
        starts: Candidates,
        most: int = MOST_ITERATIONS,
        stage: Stage | None = None,
    ) -> Polished:
        """Where starts end.

        Args:
            table: which table each is on, shape (starts,).
            starts: points to start from.
            most: iterations at most.
            stage: updated with how many have ended.
        """
        return self._ends(table, starts, most, stage, None)

    def from_nearby(self, start: Candidates, most: int = MOST_ITERATIONS) -> Polished:
        """Where one start ends that is known to be near a good minimum of the first table.

        A sum of absolute residuals is smoothed by no more than ``NEARBY`` of their median there:
        their mean may be that of a few rows far off, whose Huber loss has another minimum.
        """
        return self._ends(np.zeros(1, dtype=int), start, most, None, NEARBY)

    def _ends(
        self,
        table: np.ndarray,
        starts: Candidates,
        most: int,
        stage: Stage | None,
        share: float | None,
    ) -> Polished:
        count, rows = len(table), self.data.response.size
        exact = partial(self._minimise_l1, most, 1.0 if share is None else share)

        def on_host(table: np.ndarray, starts: Candidates) -> Polished:
            ends = self._on_host(table, starts, most, stage, share)
            return exact(table, ends) if self.absolute else ends

        if share is not None or (self.mesh is None and count * rows <= COMPILED_NUMBERS):
            return self._in_shares(on_host, table, starts)
        mesh = self.mesh or mesh_of([processor()])
        ends = self._on_devices(mesh, table, starts, most, stage)
        return self._in_shares(exact, table, ends) if self.absolute else ends

    def _in_shares(self, work: Any, table: np.ndarray, starts: Any) -> Polished:
        """Work on the host, shared among threads."""
        count, rows = len(table), self.data.response.size
        threads = max(1, min(THREADS, -(-count // self._width))) if rows >= THREADED_ROWS else 1

        def share(which: np.ndarray) -> Polished:
            leaves = (None if leaf is None else leaf[which] for leaf in starts)
            with quiet():
                return work(table[which], type(starts)(*leaves))

        shares = [np.arange(count)[i::threads] for i in range(threads)]
        if threads == 1:
            return share(shares[0])
        found = in_threads(share, shares, threads)
        order = np.argsort(np.concatenate(shares))
        return Polished(*(np.concatenate(leaves)[order] for leaves in zip(*found, strict=True)))

    # Newton iterations on the host

    def _on_host(
        self,
        table: np.ndarray,
        starts: Candidates,
        most: int,
        stage: Stage | None,
        share: float | None,
    ) -> Polished:
        """Keep a batch of starts going until every one has ended."""
        count, width = len(table), self._width
        ends = blank(count, self.objective)
        waiting = min(width, count)
        running = self._started(table, starts, np.arange(waiting), share)
        while True:
            checkpoint()
            before = running.state
            moved = self._advance(batch=running.batch, state=before)
            stopped = before.done | (before.iteration >= most)
            running = running._replace(state=frozen_where(np, stopped, before, moved))
            ended = running.state.done | (running.state.iteration >= most)
            # One that has ended stands still until others have, too.
            if np.count_nonzero(ended) < min(max(1, REFILL * width), len(ended)):
                continue
            mine = self._take(running, ended)
            ends.put(mine.place, newton_ends(self.objective, self.factor, mine.batch, mine.state))
            if stage is not None:
                stage.update(len(mine.place))
            running = self._take(running, ~ended)
            if waiting < count:
                more = np.arange(waiting, min(count, waiting + width - len(running.place)))
                waiting = int(more[-1]) + 1
                fresh = self._started(table, starts, more, share)
                running = self._join(running, fresh) if len(running.place) else fresh
            elif not len(running.place):
                return ends

    def _started(
        self, table: np.ndarray, starts: Candidates, which: np.ndarray, share: float | None
    ) -> _Running:
        """Some of the starts, before their first iteration."""
        batch, point = starting_batch(
            self.objective,
            self.settings,
            self.tables.take(table[which]),
            self.data.measure.delta,
            self.absolute,
            starts.coordinates[which],
            starts.coefficients[which],
        )
        if self.absolute and share is not None:
            sizes = np.abs(self.objective.residuals(batch, point))
            median = np.nanmedian(np.where(batch.weight > 0, sizes, np.nan), axis=-1)
            nearer = np.fmax(share * median, SMOOTHED_LEAST)[:, None]
            batch = batch._replace(delta=np.minimum(batch.delta, nearer))
        return _Running(which, batch, begin(self.objective, point))

    def _take(self, running: _Running, which: np.ndarray) -> _Running:
        own = zip(running.batch, self._own, strict=True)
        return _Running(
            running.place[which],
            Batch(*(item[which] if mine else item for item, mine in own)),
            State(*(leaf[which] for leaf in running.state)),
        )

    def _join(self, first: _Running, second: _Running) -> _Running:
        def both(a: Sequence[Any], b: Sequence[Any], own: Sequence[bool]) -> list[Any]:
            each = zip(a, b, own, strict=True)
            return [np.concatenate([x, y]) if mine else x for x, y, mine in each]

        return _Running(
            np.concatenate([first.place, second.place]),
            Batch(*both(first.batch, second.batch, self._own)),
            State(*both(first.state, second.state, (True,) * len(State._fields))),
        )

    # Absolute residuals

    def _minimise_l1(self, most: int, share: float, table: np.ndarray, ends: Polished) -> Polished:
        """Minima of sums of absolute residuals, from those of their smoothed ones."""
        objective = self.objective
        going = np.flatnonzero(np.isfinite(ends.value))
        for first in range(0, len(going), self._width):
            which = going[first : first + self._width]
            checkpoint()
            batch, point = starting_batch(
                objective,
                self.settings,
                self.tables.take(table[which]),
                0.0,
                False,
                ends.coordinates[which],
                ends.coefficients[which],
            )
            left = most - ends.iterations[which]
            if isinstance(objective, LevelObjective):
                found = continued(objective, batch, point, left, self.lengths, share)
            else:
                found = minimise_l1(objective, batch, point, left, share)
            polished = end_points(
                objective,
                batch,
                found.point,
                found.end,
                value=found.value * self.factor,
                newton_decrement=found.decrement,
                duality_gap=found.duality_gap,
                iterations=ends.iterations[which] + found.iterations,
            )
            ends.put(which, polished)
        return ends
