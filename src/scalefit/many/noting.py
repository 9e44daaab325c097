"""Codes of the notes of all tables of a stack, those that a fit of each would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.fitting.fit_notes import CONSISTENT, FAR_OUTSIDE
from scalefit.fitting.run_notes import WEAK_CONDITION
from scalefit.many.around import Around
from scalefit.many.judging import Judged
from scalefit.many.misfit import poor, rising
from scalefit.many.outlying import dominant, left_out
from scalefit.many.stacks import Posed, Stack
from scalefit.objective import Objective
from scalefit.problem.problem import Problem
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.runtime.settings import quiet

__all__ = ["LOOKED_FOR", "joined", "noted"]

# In the order in which a fit has them.
LOOKED_FOR = (
    "lower_envelope",
    "sigma_inconsistent",
    "delta_unused",
    "delta_tiny",
    "at_bound",
    "starts_disagree",
    "response_rises",
    "weakly_identified",
    "few_rows",
    "outliers_dominate",
    "poor_fit",
)


def joined(codes: Sequence[str]) -> str:
    """Those codes of a fit that are looked for, once each, joined by commas."""
    return ",".join(code for code in LOOKED_FOR if code in set(codes))


@quiet()
def noted(
    problem: Problem,
    objective: Objective,
    posed: Sequence[Posed],
    stack: Stack,
    found: Judged,
    near: Around,
) -> np.ndarray:
    """The codes of each table, joined by commas, (tables,).

    Args:
        problem: the problem that every table poses.
        objective: what was minimised.
        posed: the tables.
        stack: the same, stacked.
        found: their fits.
        near: their rows around the optima.
    """
    freedom = found.nobs - problem.size
    exact = found.status == "exact"
    weighted = np.array(["weight" in item.part.sources for item in posed])
    unused, tiny = _of_delta(problem, objective, near)
    outliers = _outliers(problem, objective, posed, found, near, exact)
    rises = rising(problem, stack, found, near.predicted)
    told = (freedom >= FEWEST_FREEDOM) & ~exact & ~rises & objective.penalty.symmetric
    observed = stack.data.response * stack.data.unit[:, None]
    residuals, own = near.residuals * near.unit[:, None], _own(posed, near)
    unlike = poor(objective, posed, observed, own, residuals, outliers, problem.size)
    masks = {
        "lower_envelope": np.full(len(posed), objective.asymmetry is not None),
        "sigma_inconsistent": _inconsistent(objective, found, freedom) & ~weighted,
        "delta_unused": unused & ~exact,
        "delta_tiny": tiny & ~unused & ~exact,
        "at_bound": found.held.any(axis=1),
        "starts_disagree": found.disagree,
        "response_rises": rises,
        "weakly_identified": found.condition > WEAK_CONDITION,
        "few_rows": (freedom < FEWEST_FREEDOM) & (objective.sigma is None),
        "outliers_dominate": outliers > 0,
        "poor_fit": told & unlike,
    }
    codes = np.full(len(posed), "", dtype=object)
    for code in LOOKED_FOR:
        codes[masks[code]] += np.where(codes[masks[code]] == "", code, "," + code)
    return codes


def _outliers(
    problem: Problem,
    objective: Objective,
    posed: Sequence[Posed],
    found: Judged,
    near: Around,
    exact: np.ndarray,
) -> np.ndarray:
    """How many rows of each table are told of as outliers, (tables,)."""
    used = near.weight > 0
    count = dominant(near.weight * near.residuals**2, found.nobs, problem.size)
    count = np.where(exact, 0, count)
    told = (found.nobs - problem.size >= FEWEST_FREEDOM) & ~exact & (count == 0)
    if objective.penalty.symmetric and told.any():
        root = np.sqrt(_own(posed, near))
        slopes = np.where(found.held[:, None, :], 0.0, root[..., None] * near.jacobian)
        count = count + left_out(root * near.residuals, slopes, used, told)
    return count


def _own(posed: Sequence[Posed], near: Around) -> np.ndarray:
    """The tables' own weights, without known errors, of mean one, (tables, rows)."""
    own = np.zeros_like(near.weight)
    for row, item in zip(own, posed, strict=True):
        row[: len(item.part.own)] = item.part.own
    mean = own.sum(axis=1) / np.count_nonzero(own, axis=1)
    return np.asarray(own / mean[:, None])


def _inconsistent(objective: Objective, found: Judged, freedom: np.ndarray) -> np.ndarray:
    """Where the chi-squared is one that the known errors hardly give."""
    if objective.sigma is None:
        return np.zeros(len(freedom), dtype=bool)
    from scipy.special import chdtrc

    p = chdtrc(np.maximum(freedom, 1), found.value)
    return np.asarray((freedom > 0) & ((p < CONSISTENT) | (p > 1 - CONSISTENT)))


def _of_delta(
    problem: Problem, objective: Objective, near: Around
) -> tuple[np.ndarray, np.ndarray]:
    """Where a Huber loss is a square in every row, and where it is a size in nearly every one."""
    none = np.zeros(len(near.weight), dtype=bool)
    if objective.delta is None:
        return none, none
    used, delta = near.weight > 0, objective.delta
    sizes = np.abs(near.residuals) * near.unit[:, None]
    typical = np.nanmedian(np.where(used, sizes, np.nan), axis=1)
    beyond = FAR_OUTSIDE * delta
    within = np.count_nonzero(used & (sizes <= beyond), axis=1)
    return sizes.max(axis=1) <= delta, (typical > beyond) & (within <= problem.size)
