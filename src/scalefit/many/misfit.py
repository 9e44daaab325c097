"""Tables of a stack that a law does not describe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.data.column_names import ALIASES, normalised
from scalefit.fitting.fitted_rows import CLIPPED
from scalefit.fitting.judgement import BEYOND, LARGEST
from scalefit.fitting.misfit_notes import LEAST_EXPLAINED, MOST_SPREAD, OF_NOISE, OF_VARIATION
from scalefit.fitting.residual_patterns import cells_of
from scalefit.fitting.run_notes import MOST_RISING
from scalefit.laws import Law
from scalefit.many.judging import Judged
from scalefit.many.stacks import Posed, Stack
from scalefit.objective import Objective, robust_size
from scalefit.problem.problem import Problem
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.runtime.settings import quiet

__all__ = ["poor", "rising"]


@quiet()
def poor(
    objective: Objective,
    posed: Sequence[Posed],
    observed: np.ndarray,
    weight: np.ndarray,
    residuals: np.ndarray,
    outliers: np.ndarray,
    free: int,
) -> np.ndarray:
    """Whether residuals are large, or hardly anything is explained, (tables,).

    See ``fitting.judgement`` and ``fitting.misfit_notes``. Where rows of equal inputs differ as
    much, a fit asks for the cause of that, which is not looked for here: nothing is said then.

    Args:
        objective: what was minimised.
        posed: the tables.
        observed: losses, (tables, rows).
        weight: the tables' own, of mean one, (tables, rows).
        residuals: (tables, rows), in their unit.
        outliers: rows of each table that are told of, (tables,).
        free: free parameters.
    """
    used = weight > 0
    count = used.sum(axis=1)
    spread = _spreads(weight, residuals, count, outliers, free)
    scaled = np.log(np.where(used, observed, 1.0)) if objective.needs_positive_loss else observed
    mean = np.sum(weight * np.where(used, scaled, 0.0), axis=1) / weight.sum(axis=1)
    off = np.where(used, scaled - mean[:, None], 0.0)
    variance = np.sum(weight * off**2, axis=1) / weight.sum(axis=1) * count / (count - 1)
    variation = np.sqrt(variance)
    explained = np.where(variation > 0, 1 - np.minimum(spread / variation, BEYOND) ** 2, np.nan)
    size = np.ones(len(used))
    if not objective.needs_positive_loss:
        size = np.nanmedian(np.where(used, observed, np.nan), axis=1)
    losses = np.array([_is_loss(item) for item in posed]) & (~used | (observed > 0)).all(axis=1)
    large = losses & (spread / size > MOST_SPREAD) & (spread > OF_VARIATION * variation)
    found = large | (explained < LEAST_EXPLAINED)
    for one in np.flatnonzero(found & (explained >= LEAST_EXPLAINED)).tolist():
        noise = _noise(posed[one], weight[one], residuals[one], free)
        found[one] = not spread[one] <= OF_NOISE * noise
    return np.asarray(found)


def _spreads(
    weight: np.ndarray, residuals: np.ndarray, count: np.ndarray, outliers: np.ndarray, free: int
) -> np.ndarray:
    """Standard deviation of normal noise whose residuals, but for the largest, are like these."""
    from scipy.special import ndtri

    squares = np.where(weight > 0, weight * residuals**2, np.inf)
    order = np.argsort(squares, axis=1)
    squares, weight = (np.take_along_axis(item, order, axis=1) for item in (squares, weight))
    few = np.maximum(np.ceil(LARGEST * count).astype(int), outliers)
    kept = np.arange(squares.shape[1]) < np.where(few < count, count - few, count)[:, None]
    total = np.where(kept, squares, 0.0).sum(axis=1)
    share = few / count
    # Of a normal distribution without its tails of this share in all.
    end = ndtri(1 - share / 2)
    density = np.exp(-0.5 * end**2) / np.sqrt(2 * np.pi)
    factor = (1 - share - 2 * end * density) / (1 - share)
    mean = total / np.where(kept, weight, 0.0).sum(axis=1)
    correction = count / np.maximum(count - free, 1)
    return np.asarray(np.sqrt(np.where(few < count, mean * correction / factor, total / count)))


def _is_loss(posed: Posed) -> bool:
    """Whether the response is a loss by its header."""
    response = posed.problem.law.response
    header = normalised(str(posed.part.sources.get(response, response)))
    return response == "loss" and (header in ALIASES["loss"] or "loss" in header)


def _noise(posed: Posed, weight: np.ndarray, residuals: np.ndarray, free: int) -> float:
    """Noise of rows of equal inputs of one table, copies once; nan where they are few."""
    part = posed.part
    used = part.own > 0
    root = np.sqrt(weight[: len(used)][used])
    rest = root * residuals[: len(used)][used]
    size = CLIPPED * robust_size(rest, free)
    rest = np.clip(rest, -size, size) if size > 0 else rest
    inputs = [values[used] for values in part.columns.values()]
    _, kept = cells_of([*inputs, part.observed[used]])
    code, first = cells_of([values[kept] for values in inputs])
    freedom = len(code) - len(first)
    if freedom < FEWEST_FREEDOM:
        return np.nan
    root, rest = root[kept], rest[kept]
    mean = np.bincount(code, root * rest) / np.bincount(code, root**2)
    return float(np.sqrt(np.sum((rest - root * mean[code]) ** 2) / freedom))


@quiet()
def rising(problem: Problem, stack: Stack, found: Judged, predicted: np.ndarray) -> np.ndarray:
    """Whether the response rises where a law can only fall, (tables,).

    See ``fitting.run_notes``.

    Args:
        problem: the problem that every table poses.
        stack: the tables.
        found: their fits.
        predicted: in the unit of the stack, (tables, rows).
    """
    law, data = problem.law, stack.data
    used = data.weight > 0
    columns = dict(zip(law.columns, data.columns, strict=True))
    examples = {param.name: param.kind.example for param in law.params}
    if len(columns) == 1:
        (x,) = columns.values()
        at, usual = found.held.any(axis=1) & _falls(law, x, used, examples), -x
    elif law.response == "loss":
        at = _vanished(problem, found)
        flat = {name: item.ravel() for name, item in columns.items()}
        usual = law.evaluate(flat, examples).reshape(used.shape)
    else:
        return np.zeros(len(used), dtype=bool)
    up, follows = (-_correlations(usual, y, used) for y in (data.response, predicted))
    return np.asarray(at & (up > MOST_RISING) & ~(follows > MOST_RISING))


def _falls(law: Law, x: np.ndarray, used: np.ndarray, examples: dict[str, float]) -> np.ndarray:
    """Whether a law of one column, which is positive, usually falls along it, (tables,)."""
    low, high = np.where(used, x, np.inf).min(axis=1), np.where(used, x, -np.inf).max(axis=1)
    start, end = (law.evaluate({law.columns[0]: item}, examples) for item in (low, high))
    return np.asarray((end < start) & (low > 0))


def _vanished(problem: Problem, found: Judged) -> np.ndarray:
    """Whether terms are zero, and all of those at a bound, (tables,)."""
    held = {name: found.held[:, i] for i, group in enumerate(problem.names) for name in group}
    none = np.zeros(len(found.nobs), dtype=bool)
    zero, loose = none, none
    for param in problem.law.params:
        if param.kind.name == "amplitude":
            here = found.params[param.name] == 0.0
            zero, loose = zero | here, loose | (here & ~held.get(param.name, none))
    return zero & ~loose


def _correlations(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Rank correlation of two columns of each table, zero where one is constant, (tables,)."""
    first, second = (_ranks(item, used) for item in (x, y))
    count = used.sum(axis=1)[:, None]
    first, second = (
        np.where(used, item - item.sum(axis=1, keepdims=True) / count, 0.0)
        for item in (first, second)
    )
    size = np.sqrt(np.sum(first**2, axis=1) * np.sum(second**2, axis=1))
    return np.where(size > 0, np.sum(first * second, axis=1) / np.where(size > 0, size, 1.0), 0.0)


def _ranks(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Ranks of the rows of each table, equal ones of equal values, (tables, rows)."""
    values = np.where(used, values, np.inf)
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    rank = np.zeros_like(values)
    rank[:, 1:] = np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1)
    found = np.empty_like(rank)
    np.put_along_axis(found, order, rank, axis=1)
    return np.where(used, found, 0.0)
