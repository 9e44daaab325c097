"""fit_many(): one law on many small tables, as one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jax.sharding import Mesh

from scalefit import arguments
from scalefit.data.loss_units import LossUnit
from scalefit.data.table import Missing
from scalefit.errors import DataError
from scalefit.fitting.devices import Devices, checked_devices, chosen
from scalefit.laws import Law, find
from scalefit.many.around import around, points_of
from scalefit.many.intervals import Intervals, standard_errors
from scalefit.many.judging import judged
from scalefit.many.noting import noted
from scalefit.many.reading import Parts, given_tables, read_parts
from scalefit.many.result import FitMany
from scalefit.many.rows import Alone, Rows
from scalefit.many.search import compile_programs, search_stack
from scalefit.many.stacks import Posed, length_of, pose, stacked
from scalefit.objective import Objective, Residual, Robust
from scalefit.problem.options import read_bounds, read_fixed, read_ties
from scalefit.problem.problem import Problem
from scalefit.problem.separability import Structure, structure
from scalefit.results.prediction import refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.meshes import mesh_of
from scalefit.runtime.progress import counting, with_progress
from scalefit.runtime.settings import processor
from scalefit.runtime.threads import in_threads

__all__ = ["fit_many"]

# Tables of fewer rows are filled up to the length of longer ones where they are fewer than this:
# another length is another program to compile.
WORTH_A_PROGRAM = 20_000

# On the host, fewer tables are fitted one after another: compiling would take longer.
FEWEST_COMPILED = 150

# Rows of a batch, filled ones counted: some ten megabytes, and some seconds of work. So many are
# under way at once.
BATCH_NUMBERS = 2**17
AT_ONCE = 2


@with_progress
def fit_many(
    tables: Any,
    law: str | Law = "chinchilla",
    *,
    by: str | Sequence[str] | None = None,
    residual: Residual = "log",
    robust: Robust = "huber",
    delta: float = 1e-3,
    asymmetry: float = 10.0,
    sigma: float | str | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    tied: Sequence[Sequence[str]] = (),
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    intervals: bool = False,
    progress: bool = True,
    devices: Devices = None,
    **columns: str | tuple[str, float],
) -> FitMany:
    """Global optima of a law on many tables, each a fit of its own.

    Every table is searched as :func:`scalefit.fit` searches one, all of them in the same compiled
    program: rows are filled up to one length at weight zero. Fewer than 150 tables are fitted one
    after another, unless devices are named. A table that cannot be fitted is a row
    with the status ``failed``, and never an error.

    Args:
        tables: a DataFrame with ``by``; a frame that is grouped already, as
            ``frame.groupby("corpus")``; a mapping of keys to tables; or a sequence of tables.
        law: the law, or its name.
        by: columns whose values tell the tables of one frame apart.
        residual: as for ``fit``, and so for the options down to ``bytes_per_token``.
        robust: see ``residual``.
        delta: see ``residual``.
        asymmetry: see ``residual``.
        sigma: see ``residual``.
        fixed: see ``residual``.
        bounds: see ``residual``.
        tied: see ``residual``.
        keep: see ``residual``.
        missing: see ``residual``.
        loss_unit: see ``residual``.
        bytes_per_token: see ``residual``.
        intervals: whether ``fits.to_frame(level)`` is to have intervals: standard errors are then
            computed.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where to compute: ``"all"`` devices of this process, one as ``"gpu"`` or
            ``"gpu:1"``, or a mesh of JAX's. By default JAX's default device where that is an
            accelerator, otherwise the host.
        **columns: headers of the quantities, as for ``fit``.

    Returns:
        The fits, a row for each table.

    Raises:
        ArgumentError: an option makes no sense, or ``tables`` are none.
        DataError: no table can be read: a column is absent.
        LawError: the law is unknown or ill-formed.

    Source:
        As for ``fit``. Intervals are those of :func:`scalefit.covariance`.

    Example:
        >>> import pandas as pd
        >>> import scalefit as sf
        >>> design = sf.simulation.isoflop_design(points=4)
        >>> frames = {seed: sf.simulate(design, seed=seed) for seed in range(3)}
        >>> fits = sf.fit_many(frames)
        >>> fits
        <FitMany chinchilla: 3 tables, 0 failed>
    """
    law = find(law)
    refuse_unknown(fit_many, law, columns)
    objective = Objective(residual, robust, delta, asymmetry, sigma)
    options: dict[str, Any] = {
        "fixed": read_fixed(fixed),
        "bounds": read_bounds(bounds),
        "tied": read_ties(tied),
    }
    devices = checked_devices(devices)
    wanted = arguments.flag(intervals, "intervals")
    reading = {
        "keep": keep,
        "missing": missing,
        "loss_unit": loss_unit,
        "bytes_per_token": bytes_per_token,
        **columns,
    }
    given = given_tables(tables, by)
    parts = read_parts(given, law, objective, reading)
    alone = Alone(given, law, {**objective.options, **options}, reading)
    rows = Rows(given.keys, law, Intervals.blank(law, len(given.keys)) if wanted else None)
    for number, message in parts.failed.items():
        rows.fail(number, message)
    mesh = chosen(devices, single=False)
    fewest = FEWEST_COMPILED if mesh is None else 1
    mesh = mesh or mesh_of([processor()])
    with counting("fitting", len(given.keys), "tables") as stage:

        def count() -> None:
            stage.update(rows.known - stage.done)

        posed = _posed(parts, law, objective, options, rows)
        for batches in _groups(posed, objective, fewest):
            _fit_group(batches, objective, options["fixed"], mesh, rows, count)
        # Few tables; what no program takes, as absolute residuals and laws of many nonlinear
        # parameters; and tables that need a fit of their own.
        own = {item.number: item for item in posed}
        for number in rows.waiting():
            _fit_alone(own[number], objective, options["fixed"], rows, alone)
            count()
    return FitMany(law, objective, rows.frame(), parts.notes, rows.intervals, alone)


def _posed(
    parts: Parts, law: Law, objective: Objective, options: Mapping[str, Any], rows: Rows
) -> list[Posed]:
    """The problem of every table; those that pose none fail.

    The separable form of the law is proved on the first table. That it is that of every table shows
    where each fit is compared with the law as it is written.
    """
    found: list[Posed] = []
    known: Structure | None = None
    for number, part in parts.parts.items():
        try:
            known = known or structure(law, part.columns, options["bounds"])
            found.append(pose(number, part, law, known, objective, options))
        except DataError as error:
            rows.fail(number, str(error))
    return found


def _groups(
    posed: Sequence[Posed], objective: Objective, fewest: int
) -> Iterator[list[list[Posed]]]:
    """Batches of tables, in groups of one problem and of one number of rows when filled up.

    Problems of fewer tables than ``fewest``, and what no program takes, are left out.
    """
    by_problem: dict[Problem, list[Posed]] = {}
    for item in posed:
        by_problem.setdefault(item.problem, []).append(item)
    for problem, members in by_problem.items():
        if problem.scattered or objective.penalty.absolute or len(members) < fewest:
            continue
        by_length: dict[int, list[Posed]] = {}
        for item in members:
            by_length.setdefault(length_of(item), []).append(item)
        waiting: list[Posed] = []
        lengths = sorted(by_length)
        for length in lengths:
            waiting += by_length[length]
            if len(waiting) < WORTH_A_PROGRAM and length != lengths[-1]:
                continue
            most = max(1, BATCH_NUMBERS // length)
            # Of like size: a small one at the end would be another program to compile.
            parts = -(-len(waiting) // most)
            ends = [part * len(waiting) // parts for part in range(parts + 1)]
            yield [waiting[first:last] for first, last in pairwise(ends)]
            waiting = []


def _fit_group(
    batches: Sequence[Sequence[Posed]],
    objective: Objective,
    fixed: Mapping[str, float],
    mesh: Mesh,
    rows: Rows,
    shown: Callable[[], None],
) -> None:
    """Fit batches of tables by the same programs, one on the host while another is on a device."""
    compile_programs(batches[0][0].problem, objective, stacked(batches[0], objective, fixed), mesh)

    def work(members: Sequence[Posed]) -> None:
        _fit_batch(members, objective, fixed, mesh, rows)

    in_threads(work, batches, AT_ONCE, shown)


def _fit_batch(
    members: Sequence[Posed],
    objective: Objective,
    fixed: Mapping[str, float],
    mesh: Mesh,
    rows: Rows,
) -> None:
    """Fit tables of one problem together; those that need a fit of their own have no row yet."""
    problem = members[0].problem
    stack = stacked(members, objective, fixed)
    ends = search_stack(problem, objective, stack, mesh)
    found = judged(problem, objective, stack, ends, fixed)
    point = points_of(problem, found.params)
    near = around(problem, stack, point)
    rows.put(stack.numbers, found, noted(problem, objective, members, stack, found, near))
    if rows.intervals is not None:
        there = found.status == "converged"
        errors = standard_errors(problem, objective, near, point, found.held)
        rows.intervals.put(problem, stack.numbers, errors.only(there))
    rows.take_back(stack.numbers[found.doubtful])


def _fit_alone(
    posed: Posed,
    objective: Objective,
    fixed: Mapping[str, float],
    rows: Rows,
    alone: Alone,
) -> None:
    """Fit one table by itself."""
    found, problem = rows.put_alone(posed.number, alone), posed.problem
    if found is None or rows.intervals is None:
        return
    stack = stacked([posed], objective, fixed)
    point = problem.point(found.params)[None]
    held = [[group[0] in found.diagnostics.at_bound for group in problem.names]]
    near = around(problem, stack, point)
    errors = standard_errors(problem, objective, near, point, np.array(held, dtype=bool))
    there = np.array([found.status is Status.CONVERGED])
    rows.intervals.put(problem, stack.numbers, errors.only(there))
