"""Estimates of every method on many tables of one design, which differ in their losses alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.approach2.parabola import vertex_fits
from scalefit.approach2.sweeps import sweeps
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.fitting.diagnostics import converged, exact
from scalefit.fitting.multistart import SAME_VALUE, Refits, refit
from scalefit.fitting.prepared_fit import PreparedFit, prepare_fit
from scalefit.frozen import Frozen
from scalefit.laws import find
from scalefit.laws.additive_forms import ln_optimum
from scalefit.objective import Objective
from scalefit.studies.approach3 import descend

__all__ = ["LAW", "METHODS", "SLOW", "answers_of", "estimate"]

LAW = find("chinchilla")

# Local minima of the grid that are polished where a table has several.
MOST_MINIMA = 4


class _Tables(NamedTuple):
    """Tables of one design.

    Attributes:
        runs: the design, with losses of the right size.
        losses: of every table, shape (tables, rows).
        objective: of the surface fit.
        flops: budget to extrapolate to, or None.
        seeds: of random starts, shape (tables,).
        devices: where the surface is fitted.
    """

    runs: LossTable
    losses: np.ndarray
    objective: Objective
    flops: float | None
    seeds: np.ndarray
    devices: Devices


def estimate(
    design: pd.DataFrame,
    losses: Any,
    methods: str | Sequence[str] = ("surface", "approach2"),
    *,
    flops: float | None = None,
    objective: Objective | None = None,
    seeds: Any = None,
    devices: Devices = None,
) -> pd.DataFrame:
    """Parameters and exponents by each method, on each of many tables of one design.

    Args:
        design: N (model parameters, count), D (training tokens, count) and, for Approach 2, budgets
            in C (FLOP), or counted as 6ND where there is no such column.
        losses: of every table, nats per token, shape (tables, rows).
        methods: names in :data:`scalefit.studies.METHODS`. ``surface``: the additive law, each
            table searched over the whole box and polished to a zero gradient, all tables in one
            batch. ``approach2``: a parabola for each budget and a power law through the vertices.
            ``approach3``: scipy's L-BFGS-B on squared raw losses, from the best of 1,024 starts.
            ``approach3_log``: the same on squared logarithms, the law as a log-sum-exp.
            ``approach3_random``: ``approach3`` from one random start.
        flops: budget at which N* and D* are given too, FLOP.
        objective: of ``surface``; squared raw losses by default.
        seeds: of the random starts, numbers or generators, one for each table; its number by
            default.
        devices: where ``surface`` is fitted, as for :func:`scalefit.bootstrap`.

    Returns:
        A row for each table and method: ``table`` (its number), ``method``, ``E``, ``A``, ``B``,
        ``alpha``, ``beta`` (NaN for Approach 2), ``n_exponent`` and ``d_exponent`` of N* and D*
        against the budget, ``N`` and ``D`` at ``flops``, ``value`` (the objective, or
        the sum of squares), ``status``. The status is ``converged`` or ``exact``; ``at_bound``
        where a bound holds a parameter; ``stalled`` or ``iteration_limit`` where a descent ended
        early; ``failed`` where there is no estimate (NaN): a budget whose parabola has no minimum,
        or a fit that is not a number.

    Raises:
        ArgumentError: an unknown method, losses of another shape, or another option that makes no
            sense.
        DataError: losses that are not finite, or not positive where their logarithm is taken; a
            design that cannot identify the law.

    Example:
        >>> import numpy as np
        >>> import scalefit as sf
        >>> from scalefit.studies import estimate
        >>> design = sf.simulation.isoflop_design(3, points=9)
        >>> losses = np.stack([sf.simulate(design, seed=seed)["loss"] for seed in range(8)])
        >>> estimate(design, losses).groupby("method")["n_exponent"].count().to_dict()
        {'approach2': 8, 'surface': 8}
    """
    arguments.instance(
        design,
        "design",
        pd.DataFrame,
        wanted="a DataFrame",
        remedy="Pass one run per row, as design=scalefit.simulation.isoflop_design()",
    )
    names = checked_methods(methods)
    flops, devices = checked_budget(flops), checked_devices(devices)
    goal = Objective("raw", "none")
    if objective is not None:
        remedy = "Pass objective=scalefit.objective.Objective('raw', 'none')"
        wanted = "an objective"
        goal = arguments.instance(objective, "objective", Objective, wanted=wanted, remedy=remedy)
    tables = _checked(design, losses, names, goal)
    numbers: Any = range(len(tables)) if seeds is None else seeds
    if not (isinstance(numbers, Sequence | np.ndarray) and len(numbers) == len(tables)):
        remedy = f"Pass one for each table, as seeds=range({len(tables)})"
        raise arguments.refused("seeds", seeds, f"{len(tables)} seeds", remedy)
    for place, item in enumerate(numbers):
        if not isinstance(item, np.random.Generator):
            arguments.seed(item, f"seeds[{place}]")
    # The mean size of the losses of all tables sets the unit of the fits: a single table may have
    # losses of any size.
    runs = LossTable.from_frame(design.assign(loss=np.sqrt((tables**2).mean(axis=0))))
    given = _Tables(runs, tables, goal, flops, np.asarray(numbers), devices)
    frames = [
        pd.DataFrame({"table": np.arange(len(tables)), "method": name, **METHODS[name](given)})
        for name in names
    ]
    return pd.concat(frames, ignore_index=True)


def checked_methods(methods: Any) -> tuple[str, ...]:
    """Names of methods.

    Raises:
        ArgumentError: none, or one that is unknown.
    """
    names = arguments.names(methods, "methods", remedy="Pass methods=['surface', 'approach2']")
    known = list(METHODS)
    for place, name in enumerate(names or ("",)):
        arguments.choice(
            name,
            "methods" if isinstance(methods, str) or not names else f"methods[{place}]",
            known,
            remedy="Pass methods=['surface', 'approach2']",
        )
    return names


def checked_budget(flops: Any) -> float | None:
    """A budget, FLOP, or None.

    Raises:
        ArgumentError: it is neither.
    """
    remedy = "Pass a budget in FLOP, as flops=1e24"
    return None if flops is None else arguments.number(flops, "flops", above=0, remedy=remedy)


def _checked(
    design: pd.DataFrame, given: Any, methods: Sequence[str], objective: Objective
) -> np.ndarray:
    remedy = "Pass an array of shape (tables, rows), a row for each table"
    losses = arguments.numbers(given, "losses", infinite=True, missing=True, remedy=remedy)
    if losses.ndim != 2 or losses.shape[1] != len(design) or not len(losses):
        raise ArgumentError(
            f"losses of shape {losses.shape} are not of tables of {len(design)} runs",
            argument="losses",
            value=given,
            remedy=remedy,
        )
    logarithm = "approach3_log" in methods or (
        "surface" in methods and objective.needs_positive_loss
    )
    good = np.isfinite(losses) & ((losses > 0) if logarithm else True)
    if not good.all():
        table, row = map(int, np.argwhere(~good)[0])
        raise DataError(
            f"loss {losses[table, row]} of table {table}, row {row}, is not "
            f"{'positive' if logarithm else 'finite'}",
            column="loss",
            rows=(row,),
            remedy="Use smaller noise, or noise of ln L" if logarithm else "Give finite losses",
        )
    return losses


def _surface(given: _Tables) -> dict[str, Any]:
    prepared = prepare_fit(given.runs, LAW, given.objective)
    found = _fits(prepared, given)
    states = [
        (exact(given.objective, prepared.data, found), "exact"),
        (~np.isfinite(found.value), "failed"),
        (~converged(given.objective, prepared.data, found), "stalled"),
        (found.active.any(axis=1), "at_bound"),
    ]
    status = np.select([mask for mask, _ in states], [name for _, name in states], "converged")
    point = np.concatenate([found.coefficients, np.exp(found.coordinates)], axis=1)
    point = np.where(status[:, None] == "failed", np.nan, point)
    return answers_of(point, given.flops) | {"value": found.value, "status": status}


def _fits(prepared: PreparedFit, given: _Tables) -> Refits:
    """Global optima of all tables: from the best cell of the grid, or from all basins."""
    objective, losses = given.objective, given.losses

    def search(which: np.ndarray, starts: int) -> Refits:
        return refit(
            prepared.problem,
            objective,
            prepared.settings,
            prepared.data,
            observed=losses[which],
            starts=starts,
            devices=given.devices,
        )

    found = search(np.arange(len(losses)), 1)
    there = converged(objective, prepared.data, found)
    several = np.flatnonzero((found.basins > 1) | ~there)
    if len(several):
        polished = search(several, MOST_MINIMA)
        better = polished.value < found.value[several] * (1 - SAME_VALUE)
        better |= converged(objective, prepared.data, polished) & ~there[several]
        for leaf, values in zip(found, polished, strict=True):
            leaf[several[better]] = values[better]
    return found


def _approach2(given: _Tables) -> dict[str, Any]:
    design = sweeps(given.runs, None, 0.05, None)
    place, weight = design.padded()
    budgets = np.array([design.budget(members) for members in design.members])
    found = vertex_fits(budgets, design.N[place], design.D[place], given.losses[:, place], weight)
    good = found.usable.all(axis=-1) & np.isfinite(found.n_law.exponent)
    empty = np.full(len(given.losses), np.nan)
    answers = dict.fromkeys(("E", "A", "B", "alpha", "beta"), empty)
    answers["n_exponent"] = np.where(good, found.n_law.exponent, np.nan)
    answers["d_exponent"] = np.where(good, found.d_law.exponent, np.nan)
    if given.flops is not None:
        answers["N"] = np.where(good, found.n_law.at(given.flops), np.nan)
        answers["D"] = np.where(good, found.d_law.at(given.flops), np.nan)
    return answers | {"value": empty, "status": np.where(good, "converged", "failed")}


def _descents(*, log: bool = False, random: bool = False) -> Callable[[_Tables], dict[str, Any]]:
    def method(given: _Tables) -> dict[str, Any]:
        n, d = (np.log(given.runs.column(name)) for name in ("N", "D"))
        found = [
            descend(n, d, loss, log=log, rng=np.random.default_rng(seed) if random else None)
            for loss, seed in zip(given.losses, given.seeds, strict=True)
        ]
        points = np.stack([item.point for item in found])
        return answers_of(points, given.flops) | {
            "value": np.array([item.value for item in found]),
            "status": np.array([item.status for item in found]),
        }

    return method


def answers_of(point: np.ndarray, flops: float | None) -> dict[str, np.ndarray]:
    """Parameters, exponents and optima of additive surfaces.

    Args:
        point: E, A, B, alpha, beta, shape (surfaces, 5).
        flops: budget, 6ND FLOP, or None.

    Returns:
        The parameters, the exponents and, at the budget, N* and D*, each of shape (surfaces,).
    """
    E, A, B, alpha, beta = point.T
    total = alpha + beta
    answers = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    answers |= {"n_exponent": beta / total, "d_exponent": alpha / total}
    if flops is not None:
        params = {"A": A, "B": B, "alpha": alpha, "beta": beta}
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            N, D = (np.exp(item) for item in ln_optimum(params, flops / 6))
        answers |= {"N": N, "D": D}
    return answers


METHODS: Mapping[str, Callable[[_Tables], dict[str, Any]]] = Frozen(
    {
        "surface": _surface,
        "approach2": _approach2,
        "approach3": _descents(),
        "approach3_log": _descents(log=True),
        "approach3_random": _descents(random=True),
    }
)
"""Methods by name."""

# Methods that fit table by table in scipy, a hundred times slower than a batch does.
SLOW = frozenset({"approach3", "approach3_log", "approach3_random"})
