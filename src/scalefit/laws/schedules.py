"""Learning-rate schedules: loss at every step of a training curve, and the columns that it takes.

Both laws read a schedule as sums over the steps before a row, which no formula of one row can
hold. :func:`schedule_columns` computes them: they are columns of a table like any others, so that a
fit on some schedules predicts every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.arguments import number, numbers, refused, whole
from scalefit.laws.base import Law, Param, law
from scalefit.laws.kinds import (
    Amplitude,
    Bounds,
    Domain,
    Exponent,
    Kind,
    NotNegative,
    Offset,
    Positive,
    annotation,
)

__all__ = ["NODES", "annealing", "multi_power", "schedule_columns"]

# Nodes of the quadrature: six are within 3e-5 of the sum over all drops of a cosine or a decay,
# where these lower a loss by 0.2 (ADR 30).
NODES = 6
# Drops older than 1 / GROWTH steps are taken together with those that are older by this share.
GROWTH = 0.02
# Rows whose nodes are computed at a time.
ROWS = 512
# Relative differences that are rounding: of a learning rate from the largest, of S2 from zero.
ROUNDING = 1e-9
# Smaller changes, as a share of the largest learning rate, are rounding.
TINY = 1e-10
# What is left of a vector of unit length by rounding alone.
BREAKDOWN = 1e-11

KNOWN = ("learning-rate schedule", "cosine", "WSD", "warmup-stable-decay", "cooldown")


@law(
    source="Tissue et al. 2024, arXiv 2408.11029, L(s); S2 as in public code after the authors'",
    latex=r"L(s) = E + \frac{A}{S_1^\alpha} - C S_2",
    also_known_as=["annealing momentum law", "scaling law with learning rate annealing", *KNOWN],
)
def annealing(
    S1: Positive, S2: NotNegative, *, E: Offset, A: Amplitude, alpha: Exponent, C: Amplitude
) -> Any:
    """L(s) = E + A S1^-alpha - C S2

    Loss at every step of training under any learning-rate schedule, from two sums over its steps.

    Args:
        S1: sum of the learning rates until this step, of :func:`schedule_columns`.
        S2: annealing area, the sum of what the learning rate fell, with the memory ``lam`` that
            the columns were made with.
        E: loss that no training goes below at the peak learning rate.
        A: reducible loss at S1 = 1, in the unit of the learning rate.
        alpha: exponent, 0.4 to 0.6.
        C: loss that a unit of annealing area removes; grows as 1 - ``lam`` does.

    ``lam`` is no parameter: the columns depend on it. Fit with some values, 0.99 to 0.9995, and
    take the one of the least objective. :func:`multi_power` makes the multi-power law (MPL) of Luo
    et al. 2025 (arXiv 2503.12811), in which the pace of a drop depends on what it ended at.
    """
    return E + A * S1**-alpha - C * S2


FORMULA = "L(t) = E + A S1^-alpha - B sum over nodes of drop (1 - (1 + C lr^-gamma area)^-beta)"
ABOUT = """{formula}

Loss at every step under any learning-rate schedule: what each drop removes, it removes by and by.

Args:
    S1: sum of the learning rates until this step, warm-up included.
{nodes}
    E: loss that no training goes below at the peak learning rate.
    A: reducible loss at S1 = 1, in the unit of the learning rate.
    alpha: exponent, 0.4 to 0.6.
    B: loss that a drop of the learning rate by one removes in the end, 300 to 700.
    C: how fast it does, 0.001 to 3, in a unit that gamma changes.
    beta: exponent of its approach to the end, 0.1 to 0.6.
    gamma: exponent of the learning rate in its pace, 0.6 to 1.3.

B, C and beta trade off where training ends long before the drops have worked: at small beta only
their product B beta is identified.
"""
NODE = """\
    drop_{0}: fall of the learning rate at node {0}, below zero where it rose.
    lr_{0}: learning rate after it.
    area_{0}: sum of the learning rates since."""


def multi_power(nodes: int = NODES) -> Law:
    """The multi-power law, of the columns that :func:`schedule_columns` makes.

    The law of Luo et al. 2025, arXiv 2503.12811, is a sum over all steps before a row. It is
    written over a few nodes of a Gaussian quadrature, which are columns, so that it is a formula of
    one row, and a fit predicts any schedule.

    Args:
        nodes: as for :func:`schedule_columns`.

    Returns:
        A law with columns S1 and drop_1, lr_1, area_1 and so on for each node, and parameters
        E, A, alpha, B, C, beta and gamma.

    Raises:
        ArgumentError: ``nodes`` is no positive whole number.

    Example:
        >>> multi_power().names
        ('E', 'A', 'alpha', 'B', 'C', 'beta', 'gamma')
    """
    return _multi_power(whole(nodes, "nodes", least=1, most=64, remedy="Pass nodes=6"))


@cache
def _multi_power(nodes: int) -> Law:
    """The law of so many nodes, the same object each time."""

    def powers(
        S1: Any, *columns: Any, E: Any, A: Any, alpha: Any, B: Any, C: Any, beta: Any, gamma: Any
    ) -> Any:
        dropped = 0.0
        for place in range(0, 3 * nodes, 3):
            drop, lr, area = columns[place : place + 3]
            dropped += drop * (1.0 - (1.0 + C * lr**-gamma * area) ** -beta)
        return E + A * S1**-alpha - B * dropped

    numbered = range(1, nodes + 1)
    powers.__doc__ = ABOUT.format(formula=FORMULA, nodes="\n".join(map(NODE.format, numbered)))
    domains = {"S1": annotation(Positive, Domain)}
    for node in numbered:
        domains |= {
            f"lr_{node}": annotation(Positive, Domain),
            f"area_{node}": annotation(NotNegative, Domain),
        }
    kinds = {
        "E": annotation(Offset, Kind),
        "A": annotation(Amplitude, Kind),
        "alpha": annotation(Exponent, Kind),
        "B": annotation(Amplitude, Kind),
        "C": Kind("rate", 1e-6, 1e4, spacing="log"),
        "beta": annotation(Exponent, Kind),
        "gamma": annotation(Exponent, Kind).narrowed(Bounds(0.005, 2.0)),
    }
    return Law(
        powers,
        f"multi_power_{nodes}",
        ("S1", *_names(nodes)),
        tuple(Param(name, kind) for name, kind in kinds.items()),
        "Luo et al. 2025, arXiv 2503.12811, L(t) and LD(t)",
        latex=r"L(t) = E + \frac{A}{S_1^\alpha} - B \sum_k (\eta_{k-1} - \eta_k) "
        r"(1 - (1 + C \eta_k^{-\gamma} S_k(t))^{-\beta})",
        domains=domains,
        maker=(multi_power, (nodes,)),
        also_known_as=("MPL", *KNOWN),
    )


def _names(nodes: int) -> list[str]:
    return [f"{name}_{j}" for j in range(1, nodes + 1) for name in ("drop", "lr", "area")]


def schedule_columns(
    lr: Any, steps: Any, *, lam: float = 0.999, nodes: int = NODES, warmup: int | None = None
) -> pd.DataFrame:
    """Columns of ``annealing`` and of :func:`multi_power` at some steps of one schedule.

    With the learning rate lr[t] of step t: S1(t) is the sum of lr until t, warm-up included. After
    the warm-up, drops are lr[k-1] - lr[k]; m(k) = lam m(k-1) + lr[k-1] - lr[k], and S2(t) is the
    sum of m until t. The sum of multi_power over all drops until t is one over ``nodes`` nodes:
    large drops themselves, and a Gaussian quadrature in the logarithm of the area for the rest.

    Args:
        lr: learning rate of every step from 0 on, warm-up included. Where it was logged at some
            steps only, ``np.interp(np.arange(last + 1), logged_steps, logged_lr)`` fills it in.
        steps: steps that a loss is known at, or wanted, in any order.
        lam: memory of the annealing in S2: the share that is left of it after a step.
        nodes: for :func:`multi_power`; 0 for ``annealing`` alone.
        warmup: steps whose rise is no annealing; until the largest learning rate by default. With
            0, every rise counts as a drop below zero, as in the code of Luo et al.

    Returns:
        A row for each of the steps: step, S1, S2, and drop_1, lr_1, area_1 and so on.

    Raises:
        ArgumentError: a learning rate is negative, or zero before one that is not; a step is in the
            warm-up, or beyond the last one that has a learning rate.

    Example:
        >>> import numpy as np
        >>> lr = np.r_[np.linspace(0, 3e-4, 101), np.full(900, 3e-4), np.full(1000, 3e-5)]
        >>> schedule_columns(lr, [500, 1500], nodes=1).round(4).iloc[1].to_dict()
        {'step': 1500.0, 'S1': 0.3001, 'S2': 0.1063, 'drop_1': 0.0003, 'lr_1': 0.0, 'area_1': 0.015}
    """
    schedule = _schedule(lr, warmup)
    at = _steps(steps, schedule)
    lam = number(lam, "lam", least=0, below=1, remedy="Pass a share, as lam=0.999")
    count = whole(nodes, "nodes", least=0, most=64, remedy="Pass nodes=6")
    memory = accumulate(schedule.drops, lambda held, drop: lam * held + drop)
    annealed = np.cumsum(np.fromiter(memory, float, len(schedule.lr)))
    # A rise back to the peak leaves rounding below zero.
    annealed[(annealed < 0) & (annealed > -ROUNDING * annealed.max())] = 0.0
    found = {"step": at, "S1": schedule.area[at], "S2": annealed[at]}
    if count:
        phases = _phases(schedule, count)
        parts = [_nodes(schedule, at[i : i + ROWS], phases) for i in range(0, len(at), ROWS)]
        found |= dict(zip(_names(count), np.concatenate(parts).T, strict=True))
    return pd.DataFrame(found)


Groups = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Schedule(NamedTuple):
    """A schedule, with sums over its steps.

    Attributes:
        lr: learning rate of every step.
        area: sum of the learning rates until every step.
        drops: what the learning rate fell at every step, zero in the warm-up.
        warmup: last step of the warm-up.
    """

    lr: np.ndarray
    area: np.ndarray
    drops: np.ndarray
    warmup: int


def _schedule(given: Any, warmup: int | None) -> _Schedule:
    """The schedule, refused where a law has no value on it."""
    remedy = "Pass the learning rate of every step, from step 0 on"
    lr = numbers(given, "lr", least=0, empty=False, remedy=remedy)
    if lr.ndim != 1:
        raise refused("lr", given, "one number for each step", remedy)
    peak = int(np.argmax(lr >= lr.max() * (1 - ROUNDING)))
    if warmup is not None:
        peak = whole(warmup, "warmup", least=0, most=len(lr) - 1, remedy="Pass warmup=2000")
    zero = peak + np.flatnonzero(lr[peak:] == 0)
    if warmup == 0:
        zero = zero[zero > 0]
    if len(zero) and (lr[zero[0] :] > 0).any():
        raise refused(
            f"lr[{zero[0]}]",
            0.0,
            "a positive number until the last one that is not zero",
            "A drop to zero has no pace: give a least learning rate, as lr=np.maximum(lr, 1e-9)",
        )
    if not lr.any():
        raise refused("lr", given, "learning rates that are not all zero", remedy)
    drops = -np.diff(lr, prepend=lr[0])
    drops[: peak + 1] = 0.0
    return _Schedule(lr, np.cumsum(lr), drops, peak)


def _steps(given: Any, schedule: _Schedule) -> np.ndarray:
    """Steps after the warm-up that have a learning rate."""
    remedy = "Pass whole numbers, as steps=[1000, 2000]"
    found = numbers(given, "steps", least=0, empty=False, remedy=remedy)
    if found.ndim != 1 or (found != np.floor(found)).any():
        raise refused("steps", given, "whole numbers", remedy)
    at, last = found.astype(int), len(schedule.lr) - 1
    late, early = np.flatnonzero(at > last), np.flatnonzero(at < schedule.warmup)
    if len(late):
        raise refused(
            f"steps[{late[0]}]",
            int(at[late[0]]),
            f"a step that has a learning rate, 0 to {last}",
            "Pass the learning rate of every step, as "
            "lr=np.interp(np.arange(last + 1), logged_steps, logged_lr)",
        )
    if len(early):
        raise refused(
            f"steps[{early[0]}]",
            int(at[early[0]]),
            f"a step from the end of the warm-up on, {schedule.warmup}",
            f"Leave earlier ones out, as steps=steps[steps >= {schedule.warmup}], or say when the "
            "warm-up ends, as warmup=100",
        )
    return at


class _Phase(NamedTuple):
    """Drops of one sign on which the learning rate changes gradually, or one large drop.

    Attributes:
        drops: of every step of the schedule, zero outside of the phase.
        sign: of them.
        nodes: of the quadrature over them.
    """

    drops: np.ndarray
    sign: float
    nodes: int


def _phases(schedule: _Schedule, nodes: int) -> list[_Phase]:
    """The phases of a schedule, with more nodes for those in which it changes more."""
    drops = np.where(np.abs(schedule.drops) > TINY * schedule.lr.max(), schedule.drops, 0.0)
    steps = np.flatnonzero(drops)
    if not len(steps):
        return [_Phase(drops, 1.0, nodes)]
    size, sign = np.abs(drops[steps]), np.sign(drops[steps])
    large = size > size.sum() / nodes
    new = (np.diff(sign) != 0) | large[1:] | large[:-1]
    parts = np.split(np.arange(len(steps)), np.flatnonzero(new) + 1)
    if len(parts) > nodes:
        raise refused(
            "nodes",
            nodes,
            f"at least one for each of the {len(parts)} phases in which the learning rate changes",
            f"Pass nodes={2 * len(parts)}, here and to multi_power",
        )
    given = np.ones(len(parts), int)
    change, most = np.array([size[part].sum() for part in parts]), np.array([*map(len, parts)])
    for _ in range(nodes - len(parts)):
        given[int(np.argmax(np.where(given < most, change / given, -1.0)))] += 1
    found = []
    for part, count in zip(parts, given, strict=True):
        own = np.zeros_like(drops)
        own[steps[part]] = drops[steps[part]]
        found.append(_Phase(own, float(sign[part[0]]), int(count)))
    return found


def _nodes(schedule: _Schedule, at: np.ndarray, phases: Sequence[_Phase]) -> np.ndarray:
    """Drop, learning rate and area of each node, shape (steps, 3 nodes)."""
    found = []
    for phase in phases:
        empty = np.zeros((len(at), phase.nodes, 3))
        empty[:, :, 1] = schedule.lr.max()
        merged = _merged(schedule, np.abs(phase.drops), at)
        found.append(_quadrature(*merged, empty))
        found[-1][:, :, 0] *= phase.sign
    return np.concatenate(found, axis=1).reshape(len(at), -1)


def _merged(schedule: _Schedule, drops: np.ndarray, at: np.ndarray) -> Groups:
    """Drops before each step by age: singly where young, merged in groups where old.

    Returns:
        Weight, mean learning rate and mean area of each group, shape (steps, groups).
    """
    ages = [0]
    while ages[-1] <= at.max():
        ages.append(max(ages[-1] + 1, int(ages[-1] * (1 + GROWTH))))
    # Row t, group j: steps k with t - ages[j + 1] < k <= t - ages[j].
    edges = np.maximum(at[:, None] - np.array(ages), -1) + 1
    before = np.concatenate([[0.0], schedule.area[:-1]])

    def grouped(values: np.ndarray) -> np.ndarray:
        summed = np.concatenate([[0.0], np.cumsum(values)])[edges]
        return summed[:, :-1] - summed[:, 1:]

    weight = np.where(grouped(drops > 0) > 0, grouped(drops), 0.0)
    share = np.where(weight > 0, weight, 1.0)
    area = schedule.area[at][:, None] - grouped(drops * before) / share
    lr = grouped(drops * schedule.lr) / share
    # A drop to zero at the last step has had no time to work.
    works = (weight > 0) & (area > 0) & (lr > 0)
    return np.where(works, weight, 0.0), np.where(works, lr, 1.0), np.where(works, area, 1.0)


def _quadrature(
    weight: np.ndarray, lr: np.ndarray, area: np.ndarray, empty: np.ndarray
) -> np.ndarray:
    """Gaussian quadrature of every row's drops in the logarithm of the area.

    The nodes are eigenvalues of the Jacobi matrix that the Lanczos process gives: sums of every
    polynomial up to degree 2 count - 1 are exact, and so is any sum over up to ``count`` drops.

    Args:
        weight: of each group of drops, shape (rows, groups), as the next two.
        lr: after it.
        area: since.
        empty: nodes of rows without drops, shape (rows, count, 3).
    """
    found, count = empty.copy(), empty.shape[1]
    some = np.flatnonzero(weight.any(axis=1))
    if not len(some):
        return found
    weight, lr, area = weight[some], lr[some], area[some]
    total = weight.sum(axis=1, keepdims=True)
    log_area = np.log(area)
    middle = (weight * log_area).sum(axis=1, keepdims=True) / total
    distance = np.where(weight > 0, log_area - middle, 0.0)
    vector, basis = np.sqrt(weight / total), []
    jacobi = np.zeros((len(some), count, count))
    for j in range(count):
        basis.append(vector)
        left = distance * vector
        jacobi[:, j, j] = (left * vector).sum(axis=1)
        for known in basis:
            left = left - (left * known).sum(axis=1, keepdims=True) * known
        length = np.linalg.norm(left, axis=1)
        length[length < BREAKDOWN * (1 + np.abs(distance).max(axis=1))] = 0.0
        if j + 1 < count:
            jacobi[:, j, j + 1] = jacobi[:, j + 1, j] = length
        vector = left / np.where(length > 0, length, np.inf)[:, None]
    places, vectors = np.linalg.eigh(jacobi)
    drops = total * vectors[:, 0, :] ** 2
    for i, row in enumerate(some):
        here = weight[i] > 0
        between = np.interp(places[i], distance[i, here], np.log(lr[i, here]))
        holds = drops[i] > 0
        node = np.stack([drops[i], np.exp(between), np.exp(places[i] + middle[i])], axis=1)
        found[row, holds] = node[holds]
    return found
